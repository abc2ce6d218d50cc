"""The name of a loaded XDP program: bpf(2), linux/bpf.h.

The one question that netlink doesn't answer.  glibc has no bpf(), so it is asked by number.
"""

import ctypes
import os
import platform
import struct

SYS_BPF = {"x86_64": 321, "aarch64": 280}
BPF_PROG_GET_FD_BY_ID = 13
BPF_OBJ_GET_INFO_BY_FD = 15
ATTRIBUTES_BYTES = 128
INFO_BYTES = 256
# struct bpf_prog_info: `name` follows 64 bytes of numbers, and ends with a zero.
NAME_AT = 64
NAME_BYTES = 16


def program_name(program: int) -> str | None:
    """None where this process may not know, or the program is gone."""
    number = SYS_BPF.get(platform.machine())
    if number is None:
        return None
    handle = _bpf(number, BPF_PROG_GET_FD_BY_ID, struct.pack("=III", program, 0, 0))
    if handle < 0:
        return None
    info = ctypes.create_string_buffer(INFO_BYTES)
    where = struct.pack("=IIQ", handle, INFO_BYTES, ctypes.addressof(info))
    result = _bpf(number, BPF_OBJ_GET_INFO_BY_FD, where)
    os.close(handle)
    if result < 0:
        return None
    return info.raw[NAME_AT : NAME_AT + NAME_BYTES].split(b"\0")[0].decode(errors="replace")


def _bpf(number: int, command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, ATTRIBUTES_BYTES)
    return int(ctypes.CDLL(None).syscall(number, command, buffer, ATTRIBUTES_BYTES))
