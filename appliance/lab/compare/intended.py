"""The intended differences from the kernel's SYNPROXY, each with its reason.

The first rule that fits explains a difference.  Row numbers are those of the table of cases.
"""

from appliance.lab.compare import intended_fields as fields
from appliance.lab.compare import intended_segments as segments
from appliance.lab.compare.expected import owed
from appliance.lab.compare.rules import Rule

KERNELS_OWN = Rule(
    "the kernel's own connection",
    "What the kernel opened by mistake goes on without us; what reaches us of it belongs to no "
    "connection.",
    "G11", segments.kernels_own)
OURS_GOES_ON = Rule(
    "ours goes on",
    "The kernel has mistaken a segment: it passes later ones in wrong numbers or not at all, ours "
    "in the numbers that both ends expect.",
    "RFC 9293 §3.10.7.4", segments.ours_goes_on, owes=owed)

INTENDED = (
    Rule("routed",
         "The kernel's SYNPROXY is a router's; ours is a wire, on which no hop is counted.",
         "RFC 1812 §5.3.1", fields.routed),
    Rule("cookie in the SYN",
         "The kernel keeps its cookie in the SYN's ACK and TSecr fields, which mean nothing there; "
         "ours are zero.",
         "RFC 9293 §3.1, RFC 7323 §3.2", fields.cookie_in_syn),
    Rule("window of the SYN",
         "A SYN's window is never scaled: the client's is written out, as far as the field goes.",
         "RFC 7323 §2.2", fields.syn_window),
    Rule("exact MSS",
         "The kernel rounds the client's MSS down to one of four; ours arrives as it was, or "
         "without timestamps at most 4 % smaller.",
         "G10", fields.exact_mss),
    Rule("options without timestamps",
         "The kernel needs timestamps to remember SACK and window scale; ours keeps both.",
         "G9", fields.plain_options),
    Rule("TSecr of the ACK",
         "The kernel translates the TSecr of its own ACK a second time, and the server drops it.",
         "G1, RFC 7323 §3.2", fields.tsecr_of_ack),
    Rule("server's windows",
         "They are said in the scale that the client was told, not in the server's.",
         "G8, RFC 7323 §2.3", fields.window_to_client),
    Rule("client's windows",
         "A server that scales nothing is told windows that are not scaled.",
         "G14, RFC 7323 §2.2", fields.window_to_server),
    Rule("one TSval a cookie",
         "TSval is part of our cookie, so a repeated SYN gets the same; the kernel's is its clock.",
         "RFC 4987 §3.6", fields.repeated_clock),
    Rule("echo of the SYN",
         "The server echoes the TSval of the SYN that we sent; the kernel has sent a later one.",
         "RFC 7323 §4.3", fields.echo_of_repeated_syn),
    Rule("refusal",
         "A server's RST in answer to the SYN is made anew in the client's numbers, no options.",
         "RFC 9293 §3.10.7.3", fields.refusal),
    Rule("client gives up",
         "Its RST reaches the server with the one number that the server can check; its window "
         "means nothing.",
         "RFC 9293 §3.10.7.3", fields.rst_of_client),
    Rule("TSecr without ACK",
         "A TSecr means nothing in a segment without ACK, and stays as it is.",
         "RFC 7323 §3.2", fields.tsecr_without_ack),
    Rule("number of a RST",
         "The kernel sends a server's RST on with the number of the server's first byte; ours is "
         "translated by the offset of all.",
         "G2, RFC 5961 §3.2", fields.rst_seq, leads_to=(OURS_GOES_ON,)),
    Rule("old RST",
         "A RST from before the window passes: whether it is old, its receiver knows, since it may "
         "have got less than has passed here.",
         "RFC 5961 §3.2", segments.old_rst),
    Rule("learned",
         "What a server's SYN-ACK has said is announced to the next client; the kernel announces "
         "what its rule says.",
         "G14", fields.learned),
    Rule("early window",
         "Our SYN-ACK may open a small window at once; the kernel's never does.",
         "G17", fields.early_window),
    Rule("timestamps supplied",
         "A server without the timestamps that its client was told of gets none, and its client "
         "gets ours.",
         "G14, RFC 7323 §3.2", fields.timestamps_supplied),
    Rule("room for timestamps",
         "Where the server lacks the timestamps that its client was told of, a second SYN leaves "
         "room for ours.",
         "G14, RFC 7323 §3.2", segments.asked_for_room, leads_to=(OURS_GOES_ON,)),
    Rule("odd flags",
         "nft takes for a SYN whatever bears the flag, and a final ACK may have FIN or RST.",
         "G11, RFC 9293 §3.10.7.2", segments.odd_flags,
         leads_to=(KERNELS_OWN, OURS_GOES_ON)),
    Rule("window probe",
         "A client whose final ACK was lost probes from its ISN: the kernel takes no such cookie, "
         "or one with a wrong MSS and ISN.",
         "G5, G6, RFC 9293 §3.8.6.1", segments.probe_opens,
         leads_to=(OURS_GOES_ON,)),
    Rule("cookie's neighbours",
         "To the kernel a number near its cookie, or with another TSecr, is a cookie as well; ours "
         "is a MAC over all of it.",
         "RFC 4987 §3.6", segments.lax_cookie, leads_to=(KERNELS_OWN, OURS_GOES_ON)),
    Rule("SYN by the clock",
         "Ours repeats its SYN by its own timer; the kernel at each ACK that the client repeats.",
         "G15, RFC 6298 §5", segments.syn_by_each_ack),
    Rule("SYN again",
         "A SYN that the server did not answer is said again; the kernel's never is.",
         "G4, RFC 6298 §5", segments.own_syn_again),
    Rule("SYN-ACK again",
         "A repeated SYN-ACK of the server's asks for our ACK, and gets it; the kernel sends it to "
         "the client, as one that opens the window.",
         "RFC 9293 §3.10.7.4", segments.synack_again),
    Rule("SYN-ACK of another connection",
         "One with another ISN answers no SYN of ours; the kernel starts to translate by it.",
         "RFC 9293 §3.10.7.4", segments.synack_of_another, leads_to=(OURS_GOES_ON,)),
    Rule("SYN while the server is awaited",
         "It is answered as before; the kernel takes its own SYN-ACK for the server's.",
         "G3", segments.syn_while_awaited, leads_to=(OURS_GOES_ON,)),
    Rule("SYN in the open",
         "It gets the same SYN-ACK and leaves the connection alone; the kernel forgets its offset.",
         "G3", segments.syn_in_the_open, leads_to=(OURS_GOES_ON,)),
    Rule("no SYN-ACK",
         "What does not answer our SYN is dropped; the kernel passes it on untranslated.",
         "G12, RFC 9293 §3.10.7.3", segments.no_synack),
    Rule("RST that proves nothing",
         "A RST without ACK cannot answer a SYN.",
         "RFC 9293 §3.10.7.3", segments.blind_rst, leads_to=(OURS_GOES_ON,)),
    Rule("challenge ACK",
         "A server that acknowledges what was never sent holds an older connection: it gets a RST.",
         "G12, RFC 9293 §3.5.1", segments.challenged),
    Rule("refused",
         "Where one end has refused, the other gets a RST each time that it speaks again.",
         "RFC 9293 §3.5.2", segments.refused),
    Rule("ports again",
         "A valid cookie replaces the connection that had the ports, whose server gets a RST; the "
         "kernel keeps the old one.",
         "G3, RFC 9293 §3.5.2", segments.ports_again, leads_to=(OURS_GOES_ON,)),
    Rule("older connection",
         "What no cookie and no entry explains may be a connection's that is older than the proxy, "
         "and passes, at a bounded rate, as it is.",
         "G16", segments.older_connection),
    Rule("early data",
         "Data that comes before the server's SYN-ACK is held and sent behind it.",
         "G17", segments.early_data),
)
