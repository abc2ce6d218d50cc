"""The wire loses one chosen segment of each flow, once.

Reading list: nft(8), netdev family: `ingress` is before the host's stack, `egress` behind it.
"""

from contextlib import AbstractContextManager

from appliance.lab.namespace import Namespace

SYN_ONLY = "tcp flags & (syn | ack) == syn"
ACK_ONLY = "tcp flags & (syn | rst | ack) == ack"


def first_lost(host: Namespace, hook: str, family: int, dport: int,
               match: str) -> AbstractContextManager[None]:
    """At `host`, the first segment of each client port to `dport` that `match` fits is lost."""
    protocol = "ip" if family == 4 else "ip6"
    return host.nft_table(f"netdev first_lost_{hook}_{protocol}", f"""
        set lost {{ type inet_service; size 4096; flags dynamic,timeout; timeout 5m; }}
        chain passing {{
            type filter hook {hook} device eth0 priority 0
            meta protocol {protocol} tcp dport {dport} {match} tcp sport != @lost \\
                add @lost {{ tcp sport }} drop
        }}
        """)


def unheard(host: Namespace, family: int, dport: int) -> AbstractContextManager[None]:
    """At `host`, nothing to `dport` arrives."""
    protocol = "ip" if family == 4 else "ip6"
    return host.nft_table(f"{protocol} unheard", f"""
        chain arriving {{ type filter hook input priority 0; tcp dport {dport} drop; }}
        """)
