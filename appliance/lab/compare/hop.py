"""A host behind the client, beyond a link with a smaller MTU: the client's namespace is its router.

    inner 10.71.1.2 ─── 1300 bytes ─── client 10.71.0.1 ─── …

Only the router's side of the link is narrow: the inner host announces the MSS of a full frame,
and learns of nothing.
"""

from appliance.lab.compare.contestants import INNER_IPV4, INNER_IPV6, INNER_PREFIXES
from appliance.lab.namespace import ip
from appliance.lab.topology import CLIENT_IPV4, CLIENT_IPV6, HOST_SYSCTLS, Lab, prepare

NARROW_BYTES = 1300
ROUTER_IPV4, ROUTER_IPV6 = "10.71.1.1", "fd00:71:0:1::1"


def lay_inner_host(lab: Lab) -> None:
    lab.inner.create(HOST_SYSCTLS)
    ip([f"link add name eth0 netns {lab.inner.name} type veth "
        f"peer name hop netns {lab.client.name}"])
    prepare(lab.inner, "eth0", (f"{INNER_IPV4}/24", f"{INNER_IPV6}/64"))
    prepare(lab.client, "hop", (f"{ROUTER_IPV4}/24", f"{ROUTER_IPV6}/64"), NARROW_BYTES)
    lab.inner.ip([f"route add default via {gateway}" for gateway in (ROUTER_IPV4, ROUTER_IPV6)])
    lab.client.configure({"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"})
    lab.server.ip([f"route add {prefix} via {gateway}" for prefix, gateway in zip(
        INNER_PREFIXES, (CLIENT_IPV4, CLIENT_IPV6), strict=True)])
