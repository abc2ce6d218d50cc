"""The wire loses one chosen segment of each flow, once.

Reading list: nft(8), netdev family: `ingress` is before the host's stack, `egress` behind it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from appliance.lab.namespace import Namespace

SYN_ONLY = "tcp flags & (syn | ack) == syn"
ACK_ONLY = "tcp flags & (syn | rst | ack) == ack"


@contextmanager
def first_lost(host: Namespace, hook: str, family: int, dport: int, match: str) -> Iterator[None]:
    """At `host`, the first segment of each client port to `dport` that `match` fits is lost."""
    protocol = "ip" if family == 4 else "ip6"
    table = f"first_lost_{hook}_{protocol}"
    host.run(["nft", "-f", "-"], input=f"""
        table netdev {table} {{
            set lost {{ type inet_service; size 4096; flags dynamic,timeout; timeout 5m; }}
            chain passing {{
                type filter hook {hook} device eth0 priority 0
                meta protocol {protocol} tcp dport {dport} {match} tcp sport != @lost \\
                    add @lost {{ tcp sport }} drop
            }}
        }}
        """)
    try:
        yield
    finally:
        host.run(["nft", "delete", "table", "netdev", table])


@contextmanager
def unheard(host: Namespace, family: int, dport: int) -> Iterator[None]:
    """At `host`, nothing to `dport` arrives."""
    protocol = "ip" if family == 4 else "ip6"
    host.run(["nft", "-f", "-"], input=f"""
        table {protocol} unheard {{
            chain arriving {{ type filter hook input priority 0; tcp dport {dport} drop; }}
        }}
        """)
    try:
        yield
    finally:
        host.run(["nft", "delete", "table", protocol, "unheard"])
