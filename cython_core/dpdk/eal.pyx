"""EAL, DPDK's environment: initialised once a process from Settings, and given back.

While it is set up, what EAL, the drivers and the libraries beneath them say is held back: a
failure is one line of ours with the cause, and on success only who asked for talk gets it.
"""

import os
import sys
from contextlib import contextmanager, suppress

from libc.errno cimport errno
from libc.stdio cimport FILE, fdopen, fflush, stderr
from libc.stdlib cimport calloc
from libc.string cimport strdup

from cython_core.dpdk.rte cimport (
    rte_eal_cleanup, rte_eal_get_runtime_dir, rte_eal_init, rte_log_set_global_level,
    rte_log_set_level_pattern, rte_openlog_stream, rte_strerror, rte_version, shim_errno,
)

from cython_core.dpdk.cause import eal_cause, settings_cause
from cython_core.dpdk.terms import DataplaneError

# rte_log.h's levels; drivers tell the causes of failures at "info" and above.
LOG_LEVELS = {
    "emergency": 1, "alert": 2, "critical": 3, "error": 4, "warning": 5, "notice": 6, "info": 7,
    "debug": 8,
}
TALK = LOG_LEVELS["notice"]

VERSION = rte_version().decode().removeprefix("DPDK ")


def eal_start(settings, talk):
    """The arguments that it was given.  Raises DataplaneError; then nothing of EAL is left but the
    memory of this process."""
    cause = settings_cause(settings)
    if cause:
        raise DataplaneError(cause)
    arguments = eal_arguments(settings)
    if eal_init(arguments) < 0:
        error = rte_strerror(shim_errno()).decode()
        forget_directory()
        raise DataplaneError(eal_cause(talk(), error))
    return arguments


def eal_stop():
    rte_eal_cleanup()
    forget_directory()


def forget_directory():
    """EAL makes a directory for files that it then doesn't write, memory being anonymous."""
    with suppress(OSError):
        os.rmdir(rte_eal_get_runtime_dir().decode())


def eal_arguments(settings):
    """Vdevs aren't among them: they are attached one by one, so that a failure has a name."""
    ports = (settings.client_port, settings.server_port)
    pci = [port.device for port in ports if not is_vdev(port.device)]
    lcores = ["-l", ",".join(map(str, [settings.main_lcore, *settings.worker_lcores]))]
    if any(argument.startswith("--lcores") for argument in settings.extra_eal_args):
        lcores = []             # an lcore is then not the CPU of the same number
    # --in-memory keeps hugepages anonymous; without hugepages 22.11 refuses it.
    memory = ["--in-memory"] if settings.hugepages else ["--no-huge", "--no-shconf"]
    return [
        "synproxyd", *lcores, "--main-lcore", str(settings.main_lcore),
        *memory, "-m", str(settings.memory_mib),
        *([f"--allow={device}" for device in pci] or ["--no-pci"]),
        "--file-prefix", settings.file_prefix, "--no-telemetry",
        f"--log-level={max(LOG_LEVELS['info'], LOG_LEVELS[settings.eal_log_level])}",
        *settings.extra_eal_args,
    ]


def is_vdev(device):
    """By its driver's name; anything else is an address on the PCI bus."""
    return device.startswith(("net_", "eth_"))


cdef int eal_init(arguments) except? -1:
    # EAL keeps pointers into its arguments, so they live as long as the process.
    cdef char **argv = <char **>calloc(len(arguments) + 1, sizeof(char *))
    cdef int i
    for i, argument in enumerate(arguments):
        argv[i] = strdup(argument.encode())
    return rte_eal_init(<int>len(arguments), argv)


def log_level_set(level):
    """Of all that DPDK says, whichever library or driver says it."""
    # In between it would tell of each of them that its level changes.
    rte_log_set_global_level(LOG_LEVELS["emergency"])
    rte_log_set_level_pattern(b"*", LOG_LEVELS[level])
    rte_log_set_global_level(LOG_LEVELS[level])


def log_to(int descriptor):
    """It stays open: whatever thread of DPDK's is writing there needn't be known."""
    cdef FILE *stream = fdopen(descriptor, "w")
    if stream == NULL:
        raise OSError(errno, os.strerror(errno))
    rte_openlog_stream(stream)


@contextmanager
def talk_held_back(level):
    """Inside, standard output and error are a file in memory; what is yielded reads it.

    By file descriptor, since libraries beneath the drivers know no other way.  `level` is that of
    DPDK's log outside.
    """
    held = os.memfd_create("talk")
    outside = [os.dup(descriptor) for descriptor in (1, 2)]
    flush()
    os.dup2(held, 1)
    os.dup2(held, 2)
    rte_openlog_stream(stderr)
    try:
        yield lambda: read_talk(held)
    finally:
        flush()
        for descriptor, original in zip((1, 2), outside):
            os.dup2(original, descriptor)
            os.close(original)
        rte_log_set_global_level(LOG_LEVELS[level])
        if LOG_LEVELS[level] >= TALK:
            sys.stderr.write(read_talk(held))
        os.close(held)


def flush():
    sys.stdout.flush()
    sys.stderr.flush()
    fflush(NULL)


def read_talk(held):
    fflush(NULL)
    return os.pread(held, os.fstat(held).st_size, 0).decode(errors="replace")
