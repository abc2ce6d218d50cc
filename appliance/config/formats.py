"""Strings with a grammar of their own.  Each parser raises ValueError with the reason."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from synproxy.v1 import rule_pb2

LOG_LEVELS = (
    "emergency", "alert", "critical", "error", "warning", "notice", "info", "debug",
)
VECTORS = ("auto", "baseline", "x86-64-v2", "x86-64-v3", "x86-64-v4")

# Linux: IFNAMSIZ counts the terminating zero; net/core/dev.c dev_valid_name names the rest.
_INTERFACE = re.compile(r"(?!\.{1,2}$)[^\s/:,]{1,15}")
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PCI_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
# What the SR-IOV network device plugin of Kubernetes tells a container.
_PCI_VARIABLE = re.compile(r"PCIDEVICE_[A-Z0-9_]+(?<!_INFO)")
_DEVICE = re.compile(r"(net|eth)_[a-z0-9_]+(,\S+)?")
# groupadd(8), with capital letters and dots as directories of users have them.
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_PORT_RANGE = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
# RFC 4291 §2.5.5.2; the data plane keeps IPv4 addresses in this form.
_MAPPED = IPv6Network("::ffff:0:0/96")
# struct sockaddr_un, unix(7): 108 bytes with the terminating zero.
_UNIX_PATH_BYTES_MAX = 107

Network = IPv4Network | IPv6Network


# A change of a service asks for its prefixes at every step, from the rules to the data plane, and a
# file for those of all its services, as many as there may be.
@lru_cache(maxsize=1 << 17)
def prefix_parse(text: str) -> Network:
    address, slash, length = text.partition("/")
    try:
        if "%" in text or (slash and not re.fullmatch(r"0|[1-9][0-9]{0,2}", length)):
            raise ValueError
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"must be an IP address or prefix such as 192.0.2.0/24 or 2001:db8::/32, not {text}"
        ) from None
    if network.version == 6 and network.overlaps(_MAPPED):
        raise ValueError(
            f"{text} holds the IPv6 form of IPv4 addresses, {_MAPPED}; name IPv4 prefixes as"
            " such, and all global unicast addresses of IPv6 as 2000::/3"
        )
    if _is_no_hosts(network):
        raise ValueError(f"{text} can be no host's: loopback, multicast or unspecified")
    if ip_address(address) != network.network_address:
        raise ValueError(f"{text} has host bits set; did you mean {network}?")
    return network


def _is_no_hosts(network: Network) -> bool:
    return network.is_loopback or network.is_multicast or network.is_unspecified


def port_range_parse(text: str) -> tuple[int, int]:
    """Both ends, inclusive."""
    match = _PORT_RANGE.fullmatch(text)
    if not match:
        raise ValueError(f"must be a port such as 443, or a range such as 8000-8100, not {text}")
    ends = [end for end in match.groups() if end is not None]
    if any(end.startswith("0") and end != "0" for end in ends):
        raise ValueError(f"must be written without leading zeros, not {text}")
    low, high = int(ends[0]), int(ends[-1])
    if not (1 <= low <= 65535 and 1 <= high <= 65535):
        raise ValueError(f"ports must be 1..65535, not {text}")
    if low > high:
        raise ValueError(f"{text} runs backwards; did you mean {high}-{low}?")
    return low, high


def http_address_parse(text: str) -> tuple[str, int]:
    """Returns host and port."""
    try:
        host, port = _socket_address_parse(text)
    except ValueError:
        raise ValueError(
            f"must be an IP address and a port such as 127.0.0.1:9105 or [::]:9105, not {text}"
        ) from None
    return str(host), port


def listen_address_parse(text: str) -> str:
    """Returns the path of a Unix socket, or "" for TCP, which is for this host alone."""
    path, host = _endpoint_parse(text, "127.0.0.1:port or [::1]:port")
    if host and not host.is_loopback:
        raise ValueError(f"must be a loopback address, since callers aren't authenticated: {text}")
    return path


def listener_address_parse(text: str) -> str:
    """Returns the path of a Unix socket, or "" for TCP."""
    return _endpoint_parse(text, "192.0.2.1:port or [::]:port")[0]


def is_loopback(address: str) -> bool:
    """`address` is one that listener_address_parse takes."""
    host = _endpoint_parse(address, "")[1]
    return bool(host and host.is_loopback)


def _endpoint_parse(text: str, tcp: str) -> tuple[str, IPv4Address | IPv6Address | None]:
    """The path of a Unix socket, or the address of a TCP socket; `tcp` is how such are written."""
    if text.startswith("unix:/"):
        path = text.removeprefix("unix:")
        if len(path.encode()) > _UNIX_PATH_BYTES_MAX:
            raise ValueError(f"the path of a Unix socket has {_UNIX_PATH_BYTES_MAX} bytes at most")
        return path, None
    try:
        return "", _socket_address_parse(text)[0]
    except ValueError:
        raise ValueError(f"must be unix:/absolute/path, {tcp}, not {text}") from None


def _socket_address_parse(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    match = re.fullmatch(r"(?:\[([0-9a-f:]+)\]|([0-9.]+)):([0-9]{1,5})", text)
    if not match or not 1 <= int(match[3]) <= 65535:
        raise ValueError
    return ip_address(match[1] or match[2]), int(match[3])


def is_pci_variable(text: str) -> bool:
    """It stands for an address that the environment has."""
    return bool(_PCI_VARIABLE.fullmatch(text))


def _one_of(words: Sequence[str]) -> Callable[[str], object]:
    return _matches(re.compile("|".join(words)), "one of " + ", ".join(words))


def _matches(pattern: re.Pattern[str], what: str) -> Callable[[str], object]:
    def parse(text: str) -> None:
        if not pattern.fullmatch(text):
            raise ValueError(f"must be {what}, not {text}")
    return parse


PARSERS: dict[rule_pb2.Format, Callable[[str], object]] = {
    rule_pb2.FORMAT_NAME: _matches(
        _NAME, "1..63 lower case letters, digits and inner hyphens, from a letter on"),
    rule_pb2.FORMAT_PREFIX: prefix_parse,
    rule_pb2.FORMAT_PORT_RANGE: port_range_parse,
    rule_pb2.FORMAT_INTERFACE: _matches(_INTERFACE, "the name of an interface, 1..15 characters"),
    rule_pb2.FORMAT_PCI_ADDRESS: _matches(
        re.compile(f"{_PCI_ADDRESS.pattern}|{_PCI_VARIABLE.pattern}"),
        "a PCI address such as 0000:03:00.0"),
    rule_pb2.FORMAT_LISTEN_ADDRESS: listen_address_parse,
    rule_pb2.FORMAT_HTTP_ADDRESS: http_address_parse,
    rule_pb2.FORMAT_DEVICE: _matches(
        _DEVICE, "a network vdev with its arguments, such as net_pcap0,iface=eth1"),
    rule_pb2.FORMAT_LOG_LEVEL: _one_of(LOG_LEVELS),
    rule_pb2.FORMAT_LISTENER_ADDRESS: listener_address_parse,
    rule_pb2.FORMAT_GROUP: _matches(_GROUP, "the name of a group, 1..32 characters"),
    rule_pb2.FORMAT_FILE: _matches(re.compile(r"/[^\0]{1,4094}"), "a file's absolute path"),
    rule_pb2.FORMAT_FOLDER: _matches(re.compile(r"/[^\0]{1,4094}"), "a folder's absolute path"),
    rule_pb2.FORMAT_CERTIFICATE_NAME: _matches(
        re.compile(r"[!-~]([ -~]{0,253}[!-~])?"), "a name as in a certificate, 1..255 characters"),
    rule_pb2.FORMAT_VECTOR: _one_of(VECTORS),
}
