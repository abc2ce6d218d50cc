"""Who may stand in the middle: a plain wire, the kernel's SYNPROXY twice, and synproxyd.

Each is the same lab with the same hosts.  `wire` joins the two sides without a proxy, `proxying`
puts the proxy in its place: a connection opened before has to survive the switch (G16).

The kernel's SYNPROXY works on routed packets only, so its namespace routes between the two
halves of the subnet and answers ARP and neighbour solicitations for the other side
(ip-sysctl: proxy_arp, proxy_ndp).  Hosts and scripts see no difference but the hop limit.

Reading list: nft(8) "SYNPROXY STATEMENT", iptables-extensions(8) "SYNPROXY",
nf_conntrack-sysctl (nf_conntrack_tcp_loose).
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from appliance.lab.bridge import bridged
from appliance.lab.namespace import LabError
from appliance.lab.proxy import Proxy
from appliance.lab.topology import (
    CLIENT_IPV4,
    CLIENT_IPV6,
    PROXY_CLIENT_MAC,
    PROXY_SERVER_MAC,
    SERVER_IPV4,
    SERVER_IPV6,
    Lab,
)

# A client and a server that are no stack but a script: addresses and MACs that no kernel has.
RAW_CLIENT_IPV4, RAW_SERVER_IPV4 = "10.71.0.11", "10.71.0.12"
RAW_CLIENT_IPV6, RAW_SERVER_IPV6 = "fd00:71::11", "fd00:71::12"
RAW_CLIENT_MAC, RAW_SERVER_MAC = "02:00:00:00:71:0b", "02:00:00:00:71:0c"
# A host behind the client's namespace, which then is its router.
INNER_IPV4, INNER_IPV6 = "10.71.1.2", "fd00:71:0:1::2"
INNER_PREFIXES = ("10.71.1.0/24", "fd00:71:0:1::/64")

MSS_IPV4, MSS_IPV6, WSCALE = 1460, 1440, 7      # what all of them announce
SILENT_PORT = 19999         # a service that soon gives a silent server up
PORTS = "7001-7099", "20000-29999"

SERVICES = f"""\
services:
  - name: compared
    prefixes: [{SERVER_IPV4}, {RAW_SERVER_IPV4}, "{SERVER_IPV6}", "{RAW_SERVER_IPV6}"]
    ports: ["{PORTS[0]}", "{PORTS[1]}"]
  - name: silent
    prefixes: [{SERVER_IPV4}, "{SERVER_IPV6}"]
    ports: ["{SILENT_PORT}"]
    options: {{syn_retries: 2, syn_timeout: 500ms}}
"""

ROUTING_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/arp_ignore": "0",
    "net/ipv4/conf/client/arp_ignore": "0",
    "net/ipv4/conf/server/arp_ignore": "0",
    "net/ipv4/conf/client/proxy_arp": "1",
    "net/ipv4/conf/server/proxy_arp": "1",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/neigh/client/proxy_delay": "0",
    "net/ipv4/neigh/server/proxy_delay": "0",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/client/disable_ipv6": "0",
    "net/ipv6/conf/server/disable_ipv6": "0",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/client/proxy_ndp": "1",
    "net/ipv6/conf/server/proxy_ndp": "1",
    "net/ipv6/neigh/client/proxy_delay": "0",
    "net/ipv6/neigh/server/proxy_delay": "0",
}
# seed.txt, and nft(8): the final ACK must not be picked up as a connection without a SYN.
SYNPROXY_SYSCTLS = {
    "net/netfilter/nf_conntrack_tcp_loose": "0",
    "net/ipv4/tcp_syncookies": "1",
    "net/ipv4/tcp_timestamps": "1",
}


class Refused(Exception):
    """The contestant can't take part on this machine; the text says why."""


class Contestant(ABC):
    """One way to fill the middle."""

    name: str
    proxies = True              # false for the plain wire
    routes = False              # whether frames for the other side go to the middle's own MAC

    def wire(self, lab: Lab) -> AbstractContextManager[None]:
        """Both sides joined, nothing proxied."""
        return bridged(lab)

    @abstractmethod
    def proxying(self, lab: Lab) -> AbstractContextManager[None]:
        """The proxy at work."""

    def toward_server(self, mac: str) -> str:
        """The MAC that a client's frames for `mac` bear."""
        return PROXY_CLIENT_MAC if self.routes else mac

    def toward_client(self, mac: str) -> str:
        return PROXY_SERVER_MAC if self.routes else mac


class Direct(Contestant):
    name = "direct"
    proxies = False

    def proxying(self, lab: Lab) -> AbstractContextManager[None]:
        return bridged(lab)


class Synproxyd(Contestant):
    """Ours, on AF_XDP."""

    name = "synproxyd"

    @contextmanager
    def proxying(self, lab: Lab) -> Iterator[None]:
        with Proxy(lab, "AF_XDP", services=SERVICES):
            yield


class KernelSynproxy(Contestant):
    """A namespace that routes, and the rules that make it a SYN proxy."""

    routes = True

    @abstractmethod
    def load(self, lab: Lab) -> None:
        """Put the rules in place."""

    def wire(self, lab: Lab) -> AbstractContextManager[None]:
        lab.proxy.configure(ROUTING_SYSCTLS)
        lab.proxy.ip([*_routes()])
        return nullcontext()

    @contextmanager
    def proxying(self, lab: Lab) -> Iterator[None]:
        try:
            self.load(lab)
        except LabError as error:
            raise Refused(f"this kernel has none: {error}") from None
        lab.proxy.configure(SYNPROXY_SYSCTLS)
        yield


class NftSynproxy(KernelSynproxy):
    """As it is on a NIC that checks checksums.  An IPv6 segment that nobody has checked yet is
    held by nft's SYNPROXY against IPv4's sum, and dropped; on a veth it is GRO that checks."""

    name = "kernel, nft"

    def load(self, lab: Lab) -> None:
        lab.proxy.run(["nft", "-f", "-"], input=NFT_RULES)
        for interface in ("client", "server"):
            lab.proxy.run(["ethtool", "-K", interface, "gro", "on"])


class IptablesSynproxy(KernelSynproxy):
    name = "kernel, iptables"

    def load(self, lab: Lab) -> None:
        if not shutil.which("iptables"):
            raise Refused("iptables is not installed")
        for command, mss in (("iptables", MSS_IPV4), ("ip6tables", MSS_IPV6)):
            for rule in _iptables_rules(mss):
                lab.proxy.run([command, "-w", *rule.split()])


def contestants() -> list[Contestant]:
    return [Direct(), NftSynproxy(), IptablesSynproxy(), Synproxyd()]


def _routes() -> Iterator[str]:
    """Hosts are on one side each; for the other side the middle answers in their place."""
    sides = {
        "client": (CLIENT_IPV4, RAW_CLIENT_IPV4, CLIENT_IPV6, RAW_CLIENT_IPV6),
        "server": (SERVER_IPV4, RAW_SERVER_IPV4, SERVER_IPV6, RAW_SERVER_IPV6),
    }
    other = {"client": "server", "server": "client"}
    for side, hosts in sides.items():
        for address in hosts:
            yield f"route add {address} dev {side}"
            if ":" in address:
                yield f"neighbour add proxy {address} dev {other[side]}"
    for prefix, gateway in zip(INNER_PREFIXES, (CLIENT_IPV4, CLIENT_IPV6), strict=True):
        yield f"route add {prefix} via {gateway} dev client"
    for mac, side, addresses in (
            (RAW_CLIENT_MAC, "client", (RAW_CLIENT_IPV4, RAW_CLIENT_IPV6)),
            (RAW_SERVER_MAC, "server", (RAW_SERVER_IPV4, RAW_SERVER_IPV6))):
        for address in addresses:
            yield f"neighbour add {address} lladdr {mac} dev {side} nud permanent"


# As nft(8) has it, for routed packets.
NFT_RULES = f"""
define protected = {{ {", ".join(PORTS)}, {SILENT_PORT} }}
table inet compared {{
    chain raw {{
        type filter hook prerouting priority raw
        iifname client tcp dport $protected tcp flags syn notrack
    }}
    chain forward {{
        type filter hook forward priority filter
        iifname client tcp dport $protected ct state invalid,untracked jump answer
        ct state invalid drop
    }}
    chain answer {{
        meta nfproto ipv4 synproxy mss {MSS_IPV4} wscale {WSCALE} timestamp sack-perm
        meta nfproto ipv6 synproxy mss {MSS_IPV6} wscale {WSCALE} timestamp sack-perm
    }}
}}
"""


def _iptables_rules(mss: int) -> Iterator[str]:
    """As seed.txt has it, for routed packets."""
    ports = ",".join([*PORTS, str(SILENT_PORT)]).replace("-", ":")
    match = f"-i client -p tcp -m multiport --dports {ports}"
    yield f"-t raw -A PREROUTING {match} --syn -j CT --notrack"
    yield (f"-A FORWARD {match} -m conntrack --ctstate UNTRACKED,INVALID -j SYNPROXY"
           f" --sack-perm --timestamp --mss {mss} --wscale {WSCALE}")
    yield "-A FORWARD -m conntrack --ctstate INVALID -j DROP"
