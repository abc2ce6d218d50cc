"""Clients, servers, the wires between them and time, around one real engine.

A world does one thing at a time, when it is told to: an end speaks or says again, a frame arrives,
late, twice or never, a second passes, an operator changes something, the engine starts anew.  What
must hold then is said here in plain words, each time a frame comes out:

    a translated segment is its original, but for the offsets of its connection, which never change
    a server hears a SYN of such clients only as have heard our SYN-ACK, and of no client twice
    nobody who has proven nothing makes anything reach a server, nor gets more than was sent
    a cookie is good for an epoch at least, and for two at most
    an entry is given up for another only where its connection is over, has been silent for
    `timeouts.active`, or has never been used
    no more connections open in a second than a bound lets, and no server hears more first SYNs
    than `pacing.rate` lets

and what an end must not be told stands in endpoint.
"""

import random
from typing import NamedTuple

from cython_core import _testing_proxy
from cython_core.proxy import counters as counter_names

from ..proxy.harness import DEFAULTS, EPOCH_S, START_MS, TICK_S, VECTOR, service
from .endpoint import CLOSED, Abilities, Endpoint, reset_for
from .flows import GOLDEN, Flow, Joined, Try, wrap
from .frames import ACK, FIN, RST, SYN, Said, pack, unpack, way
from .translation import check_echo, check_offer, check_to_client, check_to_server

COOKIE_LIFE_MS = 2 * EPOCH_S * 1000
FRAME_LIFE_MS = 60_000          # what has waited longer on a wire never comes: RFC 9293's MSL
# How long a connection may be silent, by how many of its ends have said FIN: both may make room.
IDLE_MS = [DEFAULTS[name] * TICK_S * 1000 for name in ("established_ticks", "half_closed_ticks")]
IDLE_MS.append(0)
ACTIVE_TICKS = 4                # silent for longer, a connection may make room for another
ACTIVE_MS = ACTIVE_TICKS * TICK_S * 1000
UNUSED_MS = TICK_S * 1000       # likewise where its server has said nothing: proxy/room
EVICTED = ("conn_evicted", "opening_evicted", "unused_evicted", "idle_evicted")
BOUNDS = {"service_bound": "open_rate", "source_bound": "source_rate",
          "pacing_full": "pacing_rate"}
TABLES = {"connections": 5, "half_open": 4, "early": 12, "supplies": 8}
FLOWS = (
    (way("198.51.100.7", 40_000, "10.0.0.2", 80), Abilities(), Abilities(window=65_000)),
    (way("198.51.100.8", 40_001, "10.0.0.2", 80), Abilities(timestamps=False, wscale=8),
     Abilities(window=65_000)),
    (way("2001:db8::7", 40_002, "fd00::2", 80), Abilities(mss=1220, wscale=14, sack=False),
     Abilities(mss=1440, wscale=2)),
    (way("2001:db8::8", 40_003, "fd00::2", 80),
     Abilities(mss=1440, timestamps=False, wscale=None), Abilities(mss=1440, wscale=2)),
    (way("198.51.100.9", 40_004, "10.0.0.3", 80), Abilities(mss=1400, wscale=10),
     Abilities(timestamps=False, sack=False)),
    (way("198.51.100.10", 40_005, "10.0.0.3", 80), Abilities(wscale=0),
     Abilities(timestamps=False, wscale=None)),
)
PREFIXES = ("10.0.0.0/24", "fd00::/64")
WIRES = ("client>", "server>", ">client", ">server")


class Flying(NamedTuple):
    flow: Flow
    frame: bytes
    said: Said
    joined: Joined | Try | None     # whose it is: of the ends, or of the try, that it was made for
    sent_ms: int


class World:
    steps = 0                       # of all worlds

    def __init__(self, flows=FLOWS, start_ms: int = START_MS, tables=TABLES, **options):
        self.now_ms = start_ms
        self.options = {"unknown_flow": "drop", "auto": True, "early_data": True, "syn_retries": 2,
                        "prefixes": PREFIXES, "active_ticks": ACTIVE_TICKS, "source_prefix": 32,
                        "source_prefix_ipv6": 128} | options
        self.opened: list[tuple[Flow, int]] = []    # under these options, and when
        self.asked: dict[bytes, int] = {}           # servers, and when they heard a paced SYN last
        self.paced = 0              # SYNs that had to wait, by the engine
        self.tables = tables
        self.box = self.begun()
        self.flows = {(flow[0].source, flow[0].sport): Flow(*flow) for flow in flows}
        self.wires: dict[str, list[Flying]] = {wire: [] for wire in WIRES}
        self.numbers = 0
        self.forgers = random.Random(0)
        self.sent = 0               # frames, by the engine
        self.gone = self.evicted = 0        # entries that have left, and those that made room

    def now(self) -> int:
        return self.now_ms

    # Ends.

    def connect(self, flow: Flow) -> bool:
        if not flow.free(flow.client):
            return False
        self.numbers += 1
        isn = wrap(self.numbers * GOLDEN - 2)
        client = Endpoint(flow.there, isn, 2 * self.numbers, flow.client_abilities, self.now)
        flow.attempt = flow.tries[isn] = Try(self.numbers, client)
        client.other_seed = flow.attempt.server_seed
        flow.forget(self.now_ms - 4 * COOKIE_LIFE_MS)
        # A wire keeps nothing beyond its ports' next use: RFC 9293 §3.4.3.
        self.clear(flow, WIRES)
        self.put(flow, "client>", client.connect())
        return True

    def ends(self, flow: Flow) -> list[tuple[str, Endpoint]]:
        return [(wire, end) for wire, end in (("client>", flow.client), ("server>", flow.server))
                if end is not None]

    def put(self, flow: Flow, wire: str, said: Said | None) -> bool:
        if said is None:
            return False
        there = flow.there if wire == "client>" else flow.there.back
        whose = flow.attempt if wire == "client>" else None
        frame = pack(there, said, wire[:-1])
        self.wires[wire].append(Flying(flow, frame, said, whose, self.now_ms))
        return True

    def clear(self, flow: Flow, wires) -> None:
        for wire in wires:
            self.wires[wire] = [flying for flying in self.wires[wire] if flying.flow is not flow]

    # Arrivals.

    def arrive(self, wire: str, flying: Flying) -> None:
        if wire == "client>" or wire == "server>":
            self.engine(flying, wire == "client>")
        elif wire == ">client":
            self.at_client(flying)
        else:
            self.at_server(flying)

    def at_client(self, flying: Flying) -> None:
        flow, said = flying.flow, flying.said
        attempt = flying.joined.attempt if isinstance(flying.joined, Joined) else flying.joined
        if flow.client is None:
            return
        for answer in flow.client.receive(said, strange=attempt is not flow.attempt):
            self.put(flow, "client>", answer)

    def at_server(self, flying: Flying) -> None:
        flow, said = flying.flow, flying.said
        if said.flags & (SYN | ACK | RST) == SYN and flow.free(flow.server):
            self.accept(flow, said)
            return
        strange = isinstance(flying.joined, Joined) and flying.joined.server is not flow.server
        answers = (reset_for(said) if flow.server is None
                   else flow.server.receive(said, strange or flying.joined is None))
        for answer in answers:
            self.put(flow, "server>", answer)

    def accept(self, flow: Flow, syn: Said) -> None:
        attempt = flow.tries[syn.seq]
        check_offer(attempt.client, syn)
        self.numbers += 1
        flow.server, synack = Endpoint.accept(
            syn, flow.there.back, wrap(-self.numbers * GOLDEN), attempt.server_seed,
            flow.server_abilities, self.now)
        flow.server.other_seed = attempt.seed
        self.clear(flow, WIRES[1:])         # what an earlier one had said
        self.put(flow, "server>", synack)

    # The engine.

    def engine(self, flying: Flying, from_client: bool) -> None:
        flow, said = flying.flow, flying.said
        (verdict,), sent = self.box.run([flying.frame], from_client)
        self.sent += len(sent)
        if from_client:
            self.check_cookie(flow, said, verdict)
            check_echo(flying.frame, sent)
        elif verdict == "to_client" and said.flags & (SYN | ACK) == SYN | ACK:
            self.join(flow, said, sent)
        for at, (to_server, frame) in enumerate(sent, 1):
            own = at == len(sent) and verdict == "translate"
            self.leave(to_server, frame, flying if own else None)

    def leave(self, to_server: bool, frame: bytes, original: Flying | None) -> None:
        """A frame that comes out; `original`: what it was translated from."""
        there, said = unpack(frame)
        if to_server:
            flow = self.flows[there.source, there.sport]
            assert there == flow.there
            whose = self.to_server(flow, said, original)
        else:
            flow = self.flows[there.destination, there.dport]
            assert there == flow.there.back
            whose = self.to_client(flow, said, original)
        self.wires[">server" if to_server else ">client"].append(
            Flying(flow, frame, said, whose, self.now_ms))

    def to_server(self, flow: Flow, said: Said, original: Flying | None) -> Joined | Try | None:
        if original is not None:
            assert flow.joined is not None
            check_to_server(flow.joined, original.said, said)
            return self.passage(flow.joined, said, flow.joined.attempt is original.joined)
        if said.flags & (SYN | RST) == SYN:
            attempt = flow.tries[said.seq]
            assert attempt.cookies, "a SYN of a client that has proven nothing"
            self.check_pacing(flow, attempt)
            attempt.asked_timestamps = said.tsval is not None
            return attempt
        return flow.joined

    def to_client(self, flow: Flow, said: Said, original: Flying | None) -> Joined | Try | None:
        if original is not None:
            assert flow.joined is not None
            check_to_client(flow.joined, original.said, said)
            flow.joined.used = True
            return self.passage(flow.joined, said, flow.joined.server is flow.server)
        cookie = said.seq if said.flags & SYN else wrap(said.seq - 1)
        if said.flags & SYN:
            attempt = flow.tries[wrap(said.ack - 1)]
            attempt.cookies.setdefault(cookie, self.now_ms)
            flow.by_cookie[cookie] = attempt
        attempt = flow.by_cookie.get(cookie)
        if said.flags & RST and attempt is not None:
            attempt.over = True
        return attempt

    def passage(self, joined: Joined, said: Said, own: bool) -> Joined | None:
        """`own`: its sender is one of the two ends; what others say keeps no connection."""
        joined.attempt.over |= bool(said.flags & RST)
        if not own:
            return None
        joined.active_ms = self.now_ms
        return joined

    def join(self, flow: Flow, synack: Said, sent) -> None:
        """The server's SYN-ACK has fixed the offsets."""
        (update,) = (unpack(frame)[1] for to_server, frame in sent if not to_server)
        cookie = wrap(update.seq - 1)
        attempt = flow.by_cookie[cookie]
        lacks = attempt.client.timestamps and synack.tsval is None
        flow.joined = Joined(
            attempt, flow.server, wrap(cookie - synack.seq),
            None if None in (update.tsval, synack.tsval) else wrap(synack.tsval - update.tsval),
            lacks and not attempt.asked_timestamps, update.tsval or 0, self.now_ms)
        # Where no SYN was left to ask without, its client goes on without them (proxy/answering),
        # as do segments that have no room for them.
        attempt.client.lenient |= lacks
        flow.server.lenient |= lacks and attempt.asked_timestamps

    def check_cookie(self, flow: Flow, said: Said, verdict: str) -> None:
        attempt = flow.by_cookie.get(wrap(said.ack - 1))
        if attempt is None or said.flags & (SYN | ACK | RST | FIN) != ACK:
            return
        age_ms = self.now_ms - attempt.cookies[wrap(said.ack - 1)]
        if verdict == "to_server" or (verdict == "absorb" and self.waits_now()):
            assert age_ms < COOKIE_LIFE_MS, f"a cookie of {age_ms} ms"
            assert attempt.opened == 0 or attempt.excused, "one proof, two SYNs"
            self.check_bounds(flow)
            attempt.opened, attempt.excused = attempt.opened + 1, False
            flow.joined = None
            self.reconcile()
        elif (age_ms < EPOCH_S * 1000 and attempt is flow.attempt and attempt.opened == 0
                and said.seq == wrap(attempt.client.isn + 1)):
            assert verdict in ("half_open_full", "table_full") or self.options.get(
                BOUNDS.get(verdict)), f"a good cookie met {verdict}"

    def waits_now(self) -> bool:
        """Whether a SYN waits for its turn since now."""
        if not self.options.get("pacing_rate"):
            return False
        before, self.paced = self.paced, self.box.counters()["server_syn_paced"]
        return self.paced != before

    def check_pacing(self, flow: Flow, attempt: Try) -> None:
        """A SYN to its server: first ones come one by one, each in its time."""
        rate, server = self.options.get("pacing_rate"), flow.there.destination
        if attempt.asked == attempt.opened:
            return
        attempt.asked = attempt.opened
        before_ms = self.asked.pop(server, 0)
        if rate:
            self.asked[server] = self.now_ms
            assert self.now_ms - before_ms >= 1000 // rate, "a SYN before its turn"

    def check_bounds(self, flow: Flow) -> None:
        """Each bound is one connection at once, and so many a second; each client has a prefix of
        its own."""
        self.opened = [(who, ms) for who, ms in self.opened if self.now_ms - ms < 1000]
        self.opened.append((flow, self.now_ms))
        for rate, those in ((self.options.get("open_rate"), self.opened),
                            (self.options.get("source_rate"),
                             [one for one in self.opened if one[0] is flow])):
            assert not rate or len(those) <= rate + 1, "more connections than a bound lets"

    # Time, and operators.

    def pass_time(self, ms: int, steps: int = 64) -> None:
        self.now_ms += ms
        self.box.set_clock(self.now_ms)
        sent = self.box.tend(steps)
        self.sent += len(sent)
        for to_server, frame in sent:
            self.leave(to_server, frame, None)
        self.reconcile()
        for wire, flying in self.wires.items():
            self.wires[wire] = [one for one in flying if self.now_ms - one.sent_ms < FRAME_LIFE_MS]

    def rotate(self, secret: tuple[int, int]) -> None:
        self.box.rotate(secret)

    def change(self, **options) -> None:
        """Of the service; a scale is announced to its epoch's end, as long as cookies without
        timestamps need it."""
        epoch = self.now_ms // 1000 // EPOCH_S
        scale = self.options.get("wscale", 7)
        until = self.options.get("wscale_former_until", 0)
        if options.get("wscale", scale) != scale and epoch > until:
            options |= {"wscale_former": scale, "wscale_former_until": epoch,
                        "wscale_older": self.options.get("wscale_former", scale),
                        "wscale_former_epochs": min(epoch - until, 255)}
        self.options |= options
        self.opened = []
        self.box.publish([service(**self.options)])

    def begun(self) -> _testing_proxy.Box:
        return _testing_proxy.Box([service(**self.options)], self.now_ms, vector=VECTOR,
                                  **self.tables)

    def restart(self) -> None:
        """Another engine with the same secrets.  It knows of no connection, so those that have got
        further than their handshake are lost to both ends; what the others say goes on to count."""
        former, self.box = self.box, self.begun()
        self.box.inherit(former)
        self.sent = self.gone = self.evicted = self.paced = 0
        self.opened, self.asked = [], {}
        for flow in self.flows.values():
            flow.joined = None
            for attempt in flow.tries.values():
                attempt.excused = True
            client = flow.client
            if client is not None and (client.una > 1 or client.got > 1 or client.later):
                self.sever(flow)
            self.clear(flow, (">client",))

    def sever(self, flow: Flow) -> None:
        """Both ends give up, without a word."""
        for _, end in self.ends(flow):
            end.state = CLOSED
        self.clear(flow, WIRES)

    # What goes on in the table.

    def reconcile(self) -> None:
        """Where an entry has gone its connection was over, or had been silent for as long as it
        may."""
        totals = self.box.counters()
        evicted = sum(totals[name] for name in EVICTED)
        gone = evicted + totals["conn_expired"]
        if gone == self.gone:
            return
        made_room, self.evicted, self.gone = evicted != self.evicted, evicted, gone
        entries = {entry["isn"] for entry in self.box.connections()}
        for flow in self.flows.values():
            for attempt in flow.tries.values():
                if attempt.opened and not attempt.excused and not entries & attempt.cookies.keys():
                    attempt.excused = True
                    self.check_gone(flow, attempt, made_room)

    def check_gone(self, flow: Flow, attempt: Try, made_room: bool) -> None:
        joined = flow.joined if flow.joined and flow.joined.attempt is attempt else None
        if joined is not None:
            finished = sum(end.fin_at is not None and end.far > end.fin_at
                           for end in (attempt.client, joined.server))
            idle_ms = self.now_ms - joined.active_ms
            most_ms = IDLE_MS[finished]
            if made_room:
                most_ms = min(most_ms, ACTIVE_MS if joined.used else UNUSED_MS)
            assert attempt.over or idle_ms >= most_ms, "an open connection is gone"
            flow.joined = None
        if attempt is flow.attempt:
            self.sever(flow)

    def check_books(self) -> None:
        totals = self.box.counters()
        drops = sum(totals[reason] for reason in counter_names.DROP_REASONS)
        kept = totals["bridged"] + totals["translated"] + totals["consumed"]
        assert totals["received"] == kept + drops
        assert self.sent == totals["bridged"] + totals["translated"] + totals["originated"]
        gauges = self.box.gauges()
        assert gauges["connections"] <= self.tables["connections"]
        assert gauges["half_open"] <= gauges["records"] <= self.tables["half_open"]
