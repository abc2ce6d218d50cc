"""The table of design/protocol §2: each case with its rule, and the script that measures it."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.lab.compare import raw_rows, stack_rows
from appliance.lab.compare.stand import Measured, Stand


@dataclass(frozen=True)
class Row:
    """`script` measures over one family.  `parallel`: it uses sockets of its own alone, so both
    families may be measured at once.  `wire_too`: it has a meaning where there is no proxy."""

    number: str
    case: str
    rule: str                                   # what is right
    script: Callable[[Stand, int], Measured]
    parallel: bool = False
    wire_too: bool = True


ROWS = (
    Row("G1", "server speaks first",
        "banner within 200 ms, no TSecr rejected by the server",
        stack_rows.server_first),
    Row("G2", "server resets after data was acknowledged",
        "the client is reset within 200 ms", stack_rows.server_resets, parallel=True),
    Row("G3", "30 connections over 20 source ports", "all are served",
        stack_rows.ports_reused, parallel=True),
    Row("G4", "SYN to the server lost once", "served within 2.5 s",
        stack_rows.syn_to_server_lost, parallel=True),
    Row("G5", "client's final ACK lost once", "served within 2.5 s",
        stack_rows.final_ack_lost, parallel=True),
    Row("G6", "window probe of a client with MSS 1400, its final ACK lost",
        "the server is offered 1400; without timestamps at most 4 % less",
        raw_rows.mss_after_probe),
    Row("G7", "200 kB through a 1300-byte hop on the client's side", "served within 2.5 s",
        stack_rows.narrow_hop, parallel=True),
    Row("G8", "server's window scale is 3, not 7",
        "its windows arrive to within one unit, none as zero", raw_rows.other_wscale),
    Row("G9", "client without timestamps",
        "SACK and wscale 8 reach the server", raw_rows.no_timestamps),
    Row("G10", "MSS 1400 and 1412",
        "exact; without timestamps at most 4 % less", raw_rows.mss_kept),
    Row("G11", "SYN with FIN, RST or ACK; valid ACK with RST or FIN",
        "none is answered or opens a connection", raw_rows.odd_flags, wire_too=False),
    Row("G12", "server answers the SYN from a half-open old connection", "served within 6 s",
        stack_rows.server_is_challenged),
    Row("G13", "server never answers", "the client is told within 12 s",
        stack_rows.server_is_silent, parallel=True),
    Row("G14", "server without timestamps, SACK or wscale",
        "translated for this client, announced right to the next", raw_rows.fewer_options,
        wire_too=False),
    Row("G15", "a valid ACK again, the connection gone", "no SYN reaches the server",
        raw_rows.replayed_ack, wire_too=False),
    Row("G16", "connection older than the proxy", "served within 200 ms",
        stack_rows.older_than_proxy, parallel=True),
    Row("G17", "third ACK carries data", "all of it arrives in the first flight",
        raw_rows.early_data),
)
