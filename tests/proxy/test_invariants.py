"""What must hold whatever comes, in whatever order: clients, servers and forgers at random.

After each step: the books (harness); no more to a client than came from it (harness); every
segment that passes is translated by its own connection's offsets; no open connection is lost
but by an exact RST, a newer handshake or time; no handshake opens twice while its cookie lives;
the table and the pool of awaited servers keep their bounds.
"""

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .connection import SYN_IPV4, SYN_IPV6, Connection, plain, wrap
from .harness import TICK_S, Proxy, service
from .segments import Segment, replace

ROOM = {"connections": 3, "half_open": 2}
COOKIE_LIFE_S = 120
EVICTED = (
    "conn_evicted", "opening_evicted", "half_open_evicted", "unused_evicted", "idle_evicted")
# In window, at its edge (2^16, rounded up), and far out of it.
SEQ_OFFSETS = st.sampled_from([0, 1, -1, 1448, 2**16, 2**20, -2**20, 2**31])
# ACKs of what has been said, or of what is far from it.
ACK_OFFSETS = st.sampled_from([0, -1, -1448, -2**16, 2**20, -2**20, 2**31])
NUMBERS = st.integers(0, 2**32 - 1)
LEGS = st.sampled_from(["client", "server"])
GOLDEN = 0x9E3779B1         # odd: so its multiples are ISNs far from each other
FLOWS = st.integers(0, 3)


class Ends:
    """One pair of ports: what its client and server know, and what was made of them."""

    def __init__(self, syn: Segment):
        self.syn = syn
        self.asked: list[Connection] = []           # answered SYNs
        self.awaited: Connection | None = None      # proven, its server not heard yet
        self.owner: Connection | None = None        # whose offsets the entry has
        self.open = False                           # the owner's entry must be there
        self.restart(0)

    def restart(self, now_s: int) -> None:
        self.sent = {"client": 0, "server": 0}
        self.acked = {"client": 0, "server": 0}     # of a side's bytes, as the other has said
        self.fins: set[str] = set()
        self.doubted, self.active_s = False, now_s

    def owned(self) -> bool:
        """By the newest of its handshakes that have been proven."""
        return self.owner in self.asked

    def limit_s(self) -> int:
        if self.doubted or len(self.fins) == 2:
            return 60                               # time_wait_ticks
        return 3600 if self.fins else 28_800

    def exact(self, side: str) -> int:
        """SEQ of a RST of `side` that its receiver would take."""
        isn = self.owner.syn.seq if side == "client" else self.owner.server_isn
        return wrap(isn + 1 + self.acked[side])


class AnyOrder(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.proxy = Proxy(service(syn_retries=1), **ROOM)
        self.isns, self.opened = 0, {}
        self.history: list[tuple[Ends, str, Segment]] = []
        self.ends = [Ends(replace(syn, sport=40_000 + n)) for n, syn in enumerate(
            (SYN_IPV4, plain(SYN_IPV4), SYN_IPV6, plain(SYN_IPV6)))]

        self.connect(0)
        self.connect(2)

    # What goes in, and what is made of whatever comes out.

    def send(self, ends, side, segment):
        self.history.append((ends, side, segment))
        return self.deliver(ends, side, segment)

    def deliver(self, ends, side, segment):
        out = self.proxy.run([segment], side == "client")
        if out.verdict == "translate":
            self.check_translation(ends, side, segment, out)
            if "R" in segment.flags:
                self.note_reset(ends, side, segment)
        if side == "client" and "S" not in segment.flags:
            self.note_proof(ends, segment, out)
        return out

    def check_translation(self, ends, side, segment, out):
        owner = ends.owner
        assert owner is not None
        if side == "client":
            assert out.to_server == owner.as_server_sees(segment)
        else:
            assert out.to_client == owner.as_client_sees(segment)

    def note_reset(self, ends, side, rst):
        if rst.seq == ends.exact(side):
            ends.open = False
        ends.doubted = True

    def note_proof(self, ends, segment, out):
        """A SYN to the server: of a handshake that was asked for, and of none twice."""
        for server_syn in (s for to_server, s in out.sent if to_server and s.flags == "S"):
            (conn,) = (c for c in ends.asked if c.synack.seq == wrap(segment.ack - 1))
            now_s, key = self.proxy.clock.now_s, conn.syn.seq
            assert self.evicted() or (
                now_s - self.opened.get(key, now_s - COOKIE_LIFE_S) >= COOKIE_LIFE_S)
            self.opened[key] = now_s
            for other in self.ends:
                if len(other.fins) == 2 and self.proxy.counters.conn_evicted:
                    other.open = False      # TIME-WAIT makes room where the table is full
            conn.server_syn = server_syn
            assert server_syn.seq == conn.syn.seq
            ends.awaited, ends.open = conn, False
            self.forget_older(ends, conn)

    def evicted(self):
        """Entries that have made room; what they knew of their cookies went with them."""
        counters = self.proxy.counters
        return sum(getattr(counters, name) for name in EVICTED)

    def forget_older(self, ends, conn):
        """A wire keeps no segment beyond its connection's ports' next use: RFC 9293 §3.4.3."""
        ends.asked = ends.asked[ends.asked.index(conn):]
        self.history = [sent for sent in self.history if sent[0] is not ends]

    # Handshakes: whole ones, and each leg alone.

    @rule(at=FLOWS)
    def connect(self, at):
        ends = self.ends[at]
        conn = self.ask(at)
        self.send(ends, "client", conn.client())
        if ends.awaited is conn:
            self.server_accepts(ends)

    @rule(at=FLOWS)
    def ask_only(self, at):
        self.ask(at)

    def ask(self, at):
        ends, gauges = self.ends[at], self.proxy.gauges
        self.isns += 1
        syn = replace(ends.syn, seq=wrap(self.isns * GOLDEN - 2))
        conn = Connection(self.proxy, syn, wrap(-self.isns * GOLDEN)).ask()
        self.history.append((ends, "client", syn))
        ends.asked.append(conn)
        assert self.proxy.gauges == gauges
        return conn

    @precondition(lambda self: any(ends.asked for ends in self.ends))
    @rule(data=st.data(), probe=st.booleans())
    def prove(self, data, probe):
        ends = data.draw(st.sampled_from([ends for ends in self.ends if ends.asked]))
        conn = data.draw(st.sampled_from(ends.asked[-2:]))
        self.send(ends, "client", conn.client(-1 if probe else 0))

    @precondition(lambda self: any(ends.awaited for ends in self.ends))
    @rule(data=st.data(), refuses=st.booleans(), challenges=st.booleans())
    def server_answers(self, data, refuses, challenges):
        ends = data.draw(st.sampled_from([ends for ends in self.ends if ends.awaited]))
        conn = ends.awaited
        if challenges:
            self.send(ends, "server", conn.server(seq=5, ack=wrap(conn.syn.seq + 2**30)))
        elif refuses:
            self.send(ends, "server", conn.server(flags="RA"))
            ends.awaited = None
        else:
            self.server_accepts(ends)

    def server_accepts(self, ends):
        before, conn = self.proxy.counters.server_established, ends.awaited
        self.send(ends, "server", conn.server_synack)
        ends.awaited = None
        if self.proxy.counters.server_established > before:
            ends.owner, ends.open = conn, True
            ends.restart(self.proxy.clock.now_s)

    # Open connections.

    @precondition(lambda self: any(ends.open for ends in self.ends))
    @rule(data=st.data(), side=LEGS, length=st.integers(0, 1400), fin=st.booleans())
    def speak(self, data, side, length, fin):
        """Data or none, maybe the last, and an ACK of all that the other side has said."""
        ends = data.draw(st.sampled_from([ends for ends in self.ends if ends.open]))
        other = "server" if side == "client" else "client"
        if side in ends.fins:
            length, fin = 0, False
        segment = getattr(ends.owner, side)(
            ends.sent[side], ends.sent[other], flags="FA" if fin else "A", payload=b"x" * length)
        ends.sent[side] += length + fin
        ends.acked[other] = ends.sent[other]
        ends.fins |= {side} if fin else set()
        ends.doubted, ends.active_s = False, self.proxy.clock.now_s
        assert self.send(ends, side, segment).verdict == "translate"

    @precondition(lambda self: any(ends.owned() for ends in self.ends))
    @rule(data=st.data(), side=LEGS, seq_off=SEQ_OFFSETS, ack_off=ACK_OFFSETS,
          flags=st.sampled_from(["A", "PA", "R", "RA"]), payload=st.sampled_from([b"", b"forged"]))
    def forge(self, data, side, seq_off, ack_off, flags, payload):
        ends = data.draw(st.sampled_from([ends for ends in self.ends if ends.owned()]))
        other = "server" if side == "client" else "client"
        segment = getattr(ends.owner, side)(
            ends.acked[side] + seq_off, ends.acked[other] + ack_off, flags=flags, payload=payload)
        self.send(ends, side, segment)

    # The wire's, and time's.

    @precondition(lambda self: self.history)
    @rule(data=st.data())
    def duplicate(self, data):
        ends, side, segment = data.draw(st.sampled_from(self.history[-40:]))
        self.deliver(ends, side, segment)

    @rule(at=FLOWS, side=LEGS, flags=st.text("FSRPAUECN", max_size=5), seq=NUMBERS, ack=NUMBERS)
    def nonsense(self, at, side, flags, seq, ack):
        """Never a server's SYN alone, which opens a connection of the server's own."""
        syn, flags = self.ends[at].syn, "".join(sorted(set(flags), key="FSRPAUECN".index))
        if side == "client":
            self.proxy.from_client(replace(syn, flags=flags, seq=seq, ack=ack))
        elif "S" not in flags and "R" not in flags:
            self.proxy.from_server(Segment(
                syn.destination, syn.source, syn.dport, syn.sport, flags, seq=seq, ack=ack))

    @rule(seconds=st.sampled_from([0.25, 1, 5, 30, 61]))
    def wait(self, seconds):
        for to_server, segment in self.proxy.clock.leap(seconds).sent:
            # Our SYN again; to a client, its window again or the end; to both, that it made room.
            assert segment.flags in (("S", "R") if to_server else ("A", "RA", "R"))
        for ends in self.ends:
            if self.proxy.clock.now_s - ends.active_s > ends.limit_s():
                ends.open = False               # it may be gone, and may not

    # After each step.

    @invariant()
    def nothing_exceeds_its_bound(self):
        gauges = self.proxy.gauges
        assert gauges.connections <= ROOM["connections"]
        assert gauges.half_open <= min(ROOM["half_open"], gauges.connections)

    @invariant()
    def no_open_connection_is_lost(self):
        states = {(entry["isn"], entry["client"][1]): entry["state"]
                  for entry in self.proxy.box.connections()}
        for ends in self.ends:
            if not ends.open:
                continue
            state = states.get((ends.owner.synack.seq, ends.syn.sport))
            if state is None:                   # it has made room: it had been silent
                counters = self.proxy.counters
                assert counters.unused_evicted + counters.idle_evicted
                assert self.proxy.clock.now_s - ends.active_s >= TICK_S
                ends.open = False
                continue
            if state == "closed":
                state = self.refuted(ends)
            assert state in ("established", "half_closed", "time_wait")

    def refuted(self, ends):
        """The state, once its client has answered a RST that isn't exact: RFC 5961 §3.2.  What a
        server says again, as in a keep-alive (RFC 9293 §3.8.4), its RST is judged by, too."""
        ends.doubted, ends.active_s = False, self.proxy.clock.now_s
        self.send(ends, "client", ends.owner.client(ends.sent["client"], ends.acked["server"]))
        (entry,) = (entry for entry in self.proxy.box.connections()
                    if entry["isn"] == ends.owner.synack.seq)
        return entry["state"]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=200, stateful_step_count=50, derandomize=True,
    phases=[Phase.generate, Phase.shrink])
