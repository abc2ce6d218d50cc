"""A client and a server on both sides of a proxy, and the handshake between them.

All numbers start near the wrap: the first bytes of either side cross it, and so does the
server's timestamp clock.
"""

from .harness import Proxy, mapped
from .segments import Segment, replace

CLIENT_ISN = 2**32 - 3
SERVER_ISN = 2**32 - 2
CLIENT_TSVAL = 2**32 - 1
SERVER_TSVAL = 2**32 - 4

SYN_IPV4 = Segment(
    "198.51.100.7", "10.0.0.2", 40000, 80, "S", seq=CLIENT_ISN, mss=1460, wscale=7,
    sack_permitted=True, tsval=CLIENT_TSVAL, tsecr=0,
)
SYN_IPV6 = replace(
    SYN_IPV4, source="2001:db8::7", destination="fd00::2", mss=1440, flow_label=0xBEEF5,
)


def plain(syn: Segment) -> Segment:
    """The same SYN from a client without timestamps, as Windows sends it."""
    return replace(syn, tsval=None, tsecr=None)


def wrap(number: int) -> int:
    return number % 2**32


class Connection:
    """Each step of a handshake is sent once and kept by its name."""

    def __init__(self, proxy: Proxy, syn: Segment = SYN_IPV4, server_isn: int = SERVER_ISN,
                 server_tsval: int = SERVER_TSVAL, **synack):
        """`synack`: what differs in the server's."""
        self.proxy, self.syn = proxy, syn
        self.server_isn, self.server_tsval = wrap(server_isn), wrap(server_tsval)
        self.synack_differs = synack

    @property
    def timestamps(self) -> bool:
        return self.synack.tsval is not None

    def ask(self) -> "Connection":
        """SYN → SYN-ACK."""
        self.synack = self.proxy.from_client(self.syn).to_client
        return self

    @property
    def ack(self) -> Segment:
        """The client's third segment."""
        return self.client()

    def prove(self, **differs) -> "Connection":
        """ACK → SYN to the server."""
        self.ask()
        self.server_syn = self.proxy.from_client(replace(self.ack, **differs)).to_server
        return self

    @property
    def server_synack(self) -> Segment:
        """The server's answer, with what it was offered."""
        syn = self.server_syn
        tsval = self.server_tsval if syn.tsval is not None else None
        answer = Segment(
            syn.destination, syn.source, syn.dport, syn.sport, "SA", seq=self.server_isn,
            ack=wrap(syn.seq + 1), window=65160, mss=syn.mss, sack_permitted=syn.sack_permitted,
            wscale=7 if syn.wscale is not None else None, tsval=tsval,
            tsecr=syn.tsval, source_mac=syn.destination_mac, destination_mac=syn.source_mac,
            tags=syn.tags,
        )
        return replace(answer, **self.synack_differs)

    def establish(self, **differs) -> "Connection":
        """SYN-ACK of the server → ACK to it, window update to the client."""
        self.prove(**differs)
        self.window_update, self.server_ack = self.proxy.from_server(self.server_synack).both
        return self

    @property
    def seq_offset(self) -> int:
        """What the client sees as the server's numbers, less the server's own."""
        return wrap(self.synack.seq - self.server_isn)

    @property
    def ts_offset(self) -> int:
        return wrap(self.server_tsval - self.synack.tsval)

    def client(self, sent: int = 0, got: int = 0, **differs) -> Segment:
        """What the client says after it has sent and got so many bytes."""
        syn, synack = self.syn, self.synack
        segment = Segment(
            syn.source, syn.destination, syn.sport, syn.dport, "A", seq=wrap(syn.seq + 1 + sent),
            ack=wrap(synack.seq + 1 + got), window=502, hop_limit=syn.hop_limit,
            flow_label=syn.flow_label, tags=syn.tags, source_mac=syn.source_mac,
            destination_mac=syn.destination_mac,
        )
        if self.timestamps:
            segment = replace(segment, tsval=wrap(syn.tsval + 20), tsecr=synack.tsval)
        return replace(segment, **differs)

    def server(self, sent: int = 0, got: int = 0, **differs) -> Segment:
        """What the server says, in its own numbers."""
        syn = self.server_syn
        segment = Segment(
            syn.destination, syn.source, syn.dport, syn.sport, "A",
            seq=wrap(self.server_isn + 1 + sent), ack=wrap(syn.seq + 1 + got), window=509,
            source_mac=syn.destination_mac, destination_mac=syn.source_mac, tags=syn.tags,
        )
        if self.timestamps:
            segment = replace(segment, tsval=wrap(self.server_tsval + 30),
                              tsecr=self.server_syn.tsval)
        return replace(segment, **differs)

    def as_server_sees(self, segment: Segment) -> Segment:
        """A client's segment behind the proxy."""
        shift, acks = self.seq_offset, "A" in segment.flags
        echoes = acks and segment.tsecr is not None     # RFC 7323 §3.2: only with ACK
        return replace(
            segment,
            ack=wrap(segment.ack - shift) if acks else segment.ack,
            tsecr=wrap(segment.tsecr + self.ts_offset) if echoes else segment.tsecr,
            sack=tuple((wrap(a - shift), wrap(b - shift)) for a, b in segment.sack),
        )

    def as_client_sees(self, segment: Segment) -> Segment:
        """A server's segment behind the proxy."""
        return replace(
            segment,
            seq=wrap(segment.seq + self.seq_offset),
            tsval=wrap(segment.tsval - self.ts_offset) if segment.tsval is not None else None,
        )

    def close_by_client(self) -> "Connection":
        """FIN of the client, then of the server, each acknowledged."""
        self.proxy.from_client(self.client(flags="FA"))
        self.proxy.from_server(self.server(got=1, flags="FA"))
        self.proxy.from_client(self.client(sent=1, got=1))
        return self

    def close_by_server(self) -> "Connection":
        self.proxy.from_server(self.server(flags="FA"))
        self.proxy.from_client(self.client(got=1, flags="FA"))
        self.proxy.from_server(self.server(sent=1, got=1))
        return self

    def delete(self):
        """An operator ends it: the entry that it had, and what goes out by where to (True: to the
        server), at most one segment each."""
        syn, proxy = self.syn, self.proxy
        was, sent = proxy.box.delete(
            (mapped(syn.source), syn.sport, mapped(syn.destination), syn.dport))
        proxy.sent += len(sent)
        proxy.check_books()
        to = {to_server: Segment.read(frame) for to_server, frame in sent}
        assert len(to) == len(sent)
        return was, to

    def bring_to(self, state: str) -> "Connection":
        """A fresh connection whose entry is in that state."""
        if state == "syn_sent":
            return self.prove()
        if state == "refused":
            self.prove()
            self.proxy.from_server(self.server(flags="RA"))
            return self
        self.establish()
        if state == "half_closed":
            self.proxy.from_client(self.client(flags="FA"))
        elif state == "time_wait":
            self.close_by_client()
        elif state == "closed":
            self.proxy.from_server(self.server(flags="R", ack=0))
        return self

    def anew(self, isn: int = 123_456) -> "Connection":
        """The same ports, another handshake: SYN → SYN-ACK."""
        return Connection(self.proxy, replace(self.syn, seq=isn), server_isn=88_888).ask()


STATES = ("syn_sent", "established", "half_closed", "time_wait", "closed", "refused")
