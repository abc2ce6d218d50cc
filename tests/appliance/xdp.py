"""An XDP program that passes every frame, attached to an interface for the length of a `with`.

Reading list: bpf(2), linux/bpf.h.
"""

import ctypes
import os
import platform
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

SYS_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
BPF_PROG_LOAD = 5
BPF_LINK_CREATE = 28
BPF_PROG_TYPE_XDP = 6
BPF_XDP = 37                # enum bpf_attach_type
ATTR_BYTES = 128

# r0 = XDP_PASS; exit.  struct bpf_insn: code, registers, offset, immediate.
PASS = struct.pack("=BBhi", 0xB7, 0, 0, 2) + struct.pack("=BBhi", 0x95, 0, 0, 0)


def bpf(command: int, attributes: bytes) -> int:
    """Returns a file descriptor; raises OSError."""
    buffer = ctypes.create_string_buffer(attributes, ATTR_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(SYS_BPF, command, buffer, ATTR_BYTES)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


@contextmanager
def xdp_attached(interface: str) -> Iterator[None]:
    code = ctypes.create_string_buffer(PASS)
    licence = ctypes.create_string_buffer(b"GPL")
    program = bpf(
        BPF_PROG_LOAD,
        struct.pack(
            "=IIQQ", BPF_PROG_TYPE_XDP, len(PASS) // 8,
            ctypes.addressof(code), ctypes.addressof(licence),
        ),
    )
    try:
        index = socket.if_nametoindex(interface)
        link = bpf(BPF_LINK_CREATE, struct.pack("=IIII", program, index, BPF_XDP, 0))
        try:
            yield
        finally:
            os.close(link)
    finally:
        os.close(program)
