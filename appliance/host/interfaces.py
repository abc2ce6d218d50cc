"""Whether the interfaces are there, and nobody else's."""

from collections.abc import Callable, Iterator, Sequence

from appliance.config.attachment import Attachment
from appliance.host.link import Link, link_read
from appliance.host.xdp import program_name
from appliance.refusal import Refusal

# The program that DPDK's AF_XDP driver attaches, and libxdp's around it where the kernel lets one
# program call others (a bpffs, BPF_PROG_TYPE_EXT).  A daemon that was killed leaves it behind, and
# the next one takes it over; where its owner lives, binding the socket fails.
OUR_PROGRAMS = ("xsk_def_prog", "xdp_dispatcher")


def interface_refusals(
    attachments: Sequence[Attachment],
    read: Callable[[str], Link | None] = link_read,
    name_of: Callable[[int], str | None] = program_name,
) -> Iterator[Refusal]:
    for one in attachments:
        if one.interface:
            reason = _reason(one, read(one.interface), name_of)
            if reason:
                yield Refusal(f"{one.interface}: {reason}")


def interface_notices(
    attachments: Sequence[Attachment], read: Callable[[str], Link | None] = link_read
) -> Iterator[str]:
    """What keeps frames from passing for now, but not the daemon from starting: at boot a cable
    may come later than we do."""
    for one in attachments:
        link = read(one.interface) if one.interface else None
        if link is None:
            continue
        if not link.up:
            yield (
                f"{one.interface}: is down, nothing passes until"
                f" `ip link set dev {one.interface} up`"
            )
        elif not link.carrier:
            yield f"{one.interface}: has no carrier, nothing passes; look at its cable or peer"


def _reason(one: Attachment, link: Link | None, name_of: Callable[[int], str | None]) -> str:
    if link is None:
        return (
            "no such interface in this network namespace; `ip link` lists those that are there"
        )
    if not link.ethernet:
        return (
            "is no Ethernet interface (loopback and tunnels carry no Ethernet frames);"
            " name another one"
        )
    if one.driver == "net_af_xdp" and link.xdp_program and not one.given_map:
        name = name_of(link.xdp_program)
        # A process that may not know the name leaves it to the driver to find out.
        if name not in (*OUR_PROGRAMS, None):
            return (
                f"is in use, XDP program {link.xdp_program} is attached to it; stop its owner, or"
                f" detach it with `ip link set dev {one.interface} xdp off`"
            )
    if one.driver == "net_af_packet" and link.master:
        return (
            "is a port of a bridge or bond, which would forward every frame a second time;"
            f" take it out with `ip link set dev {one.interface} nomaster`"
        )
    return ""
