"""What this floor is told, and what it tells: the words of cython_core.dataplane's contract."""

from collections.abc import Sequence
from dataclasses import dataclass


class DataplaneError(Exception):
    """The data plane can't start or go on; the text is one line that says what to do."""


@dataclass(frozen=True)
class PortSpec:
    device: str


@dataclass(frozen=True)
class Settings:
    client_port: PortSpec
    server_port: PortSpec
    main_lcore: int = 0
    worker_lcores: Sequence[int] = (1,)
    hugepages: bool = True
    memory_mib: int = 512
    file_prefix: str = "synproxy"
    connections: int = 1 << 20
    half_open: int = 1 << 16
    mbufs: int = 16383
    rx_descriptors: int = 1024
    tx_descriptors: int = 1024
    eal_log_level: str = "warning"
    extra_eal_args: Sequence[str] = ()


@dataclass(frozen=True)
class WorkerStats:
    lcore: int
    counters: dict[str, int]
    connections: int
    connections_max: int
    half_open: int
    half_open_max: int
    generation: int
    turns: int
    busy_turns: int
    busy_cycles: int
    cycles: int


@dataclass(frozen=True)
class PortStats:
    role: str
    device: str
    driver: str
    mac: str
    link_up: bool
    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_missed: int
    rx_errors: int
    tx_errors: int
    rx_nombuf: int


@dataclass(frozen=True)
class MempoolStats:
    name: str
    size: int
    in_use: int
