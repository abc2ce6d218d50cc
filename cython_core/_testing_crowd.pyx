"""A crowd of clients and their server around one proxy, all in memory; not in the image.

What each of them says follows from the connection's number, so a crowd of ten million keeps no more
than what the proxy chose: 8 bytes a connection.  Benchmarks fill tables with it through whole
handshakes, open and close connections at the proxy's own pace, and write down the frames of
connections that are open.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from cython_core._testing_proxy cimport Box
from cython_core.dataplane cimport Dataplane
from cython_core.dpdk.owners cimport Owners, owner_of
from cython_core.dpdk.worker cimport WORKERS_MAX
from cython_core.proxy.burst cimport Burst, burst_run
from cython_core.proxy.conntable cimport ConnTable, conntable_words
from cython_core.proxy.counters cimport DROP_FIRST
from cython_core.proxy.handshake cimport L2_WORDS, Envelope, Tcp, compose
from cython_core.proxy.links cimport links_bytes
from cython_core.proxy.secrets cimport Secrets
from cython_core.proxy.synproxy cimport (
    NS_PER_MS, NS_PER_S, OUTBOX_FRAMES, VERDICT_ABSORB, VERDICT_TO_CLIENT, VERDICT_TO_SERVER,
    VERDICT_TRANSLATE, Outbox, Proxy, proxy_clock, proxy_snapshot,
)
from cython_core.proxy.tend cimport proxy_tend
from cython_core.wire.byteorder cimport load16, load32, store16
from cython_core.wire.checksum cimport checksum_apply, checksum_delta16
from cython_core.wire.options cimport WSCALE_ABSENT
from cython_core.wire.segment cimport (
    ETHERNET_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4_BYTES, IPV6_BYTES, TCP_ACK, TCP_BYTES,
    TCP_FIN, TCP_PSH, TCP_SYN, Flow, Segment,
)
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words

from cython_core.proxy import counters

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int CLOCK_REALTIME
    int clock_gettime(int, timespec *)

cdef enum:
    ROOM_BYTES = 2048
    COHORT = 4096               # handshakes at once
    CHUNK = 32                  # as a worker takes from a queue
    PORT = 80
    REQUEST_BYTES = 128
    RESPONSE_BYTES = 512
    ADDRESS_BITS = 20           # of a connection's number: the client's address; above: its port
    FIRST_PORT = 1024
    MSS_IPV4 = 1460
    MSS_IPV6 = 1440
    WSCALE = 7

# The segments of a connection, in their order.
cdef enum:
    STEP_SYN
    STEP_ACK
    STEP_SYNACK
    STEP_REQUEST
    STEP_RESPONSE
    STEP_CLIENT_FIN
    STEP_SERVER_FIN
    STEP_LAST_ACK
    STEPS
    # Of an open connection, at any time.
    STEP_CLIENT_ACK = STEPS
    STEP_SERVER_ACK
    SAYS_N


# One step: who says it, how far the two sides are then, and what the proxy makes of it.
cdef struct Say:
    bint from_client
    uint8_t flags
    uint32_t sent               # by its sender, with SYN and FIN
    uint32_t got
    uint32_t payload_bytes
    uint8_t verdict


cdef Say[SAYS_N] SAYS
SAYS[STEP_SYN] = Say(True, TCP_SYN, 0, 0, 0, VERDICT_TO_CLIENT)
SAYS[STEP_ACK] = Say(True, TCP_ACK, 1, 1, 0, VERDICT_TO_SERVER)
SAYS[STEP_SYNACK] = Say(False, TCP_SYN | TCP_ACK, 0, 1, 0, VERDICT_TO_CLIENT)
SAYS[STEP_REQUEST] = Say(True, TCP_ACK | TCP_PSH, 1, 1, REQUEST_BYTES, VERDICT_TRANSLATE)
SAYS[STEP_RESPONSE] = Say(False, TCP_ACK | TCP_PSH, 1, 1 + REQUEST_BYTES, RESPONSE_BYTES,
                          VERDICT_TRANSLATE)
SAYS[STEP_CLIENT_FIN] = Say(True, TCP_ACK | TCP_FIN, 1 + REQUEST_BYTES, 1 + RESPONSE_BYTES, 0,
                            VERDICT_TRANSLATE)
SAYS[STEP_SERVER_FIN] = Say(False, TCP_ACK | TCP_FIN, 1 + RESPONSE_BYTES, 2 + REQUEST_BYTES, 0,
                            VERDICT_TRANSLATE)
SAYS[STEP_LAST_ACK] = Say(True, TCP_ACK, 2 + REQUEST_BYTES, 2 + RESPONSE_BYTES, 0,
                          VERDICT_TRANSLATE)
SAYS[STEP_CLIENT_ACK] = Say(True, TCP_ACK, 1, 1, 0, VERDICT_TRANSLATE)
SAYS[STEP_SERVER_ACK] = Say(False, TCP_ACK, 1, 1, 0, VERDICT_TRANSLATE)
STEP_NAMES = ("SYN", "ACK", "SYN-ACK", "request", "response", "client's FIN", "server's FIN",
              "last ACK", "client's ACK", "server's ACK")


cdef struct Cookie:
    uint32_t isn                # the proxy's, toward the client
    uint32_t tsval


cdef class Crowd:
    """`count` connections of one family to one server; `door` is a Box, or a Dataplane that has a
    snapshot and has not started: its workers' tables are filled in their place."""

    cdef object door            # keeps the proxies
    cdef Proxy *proxy[WORKERS_MAX]
    cdef uint32_t workers
    cdef const Owners *owners   # NULL: there is but one
    cdef Burst *burst
    cdef uint8_t *frames
    cdef uint8_t *spares
    cdef Cookie *cookies
    cdef readonly uint32_t count
    cdef bint tolerant          # of other verdicts
    cdef uint32_t next          # the first connection of the next cohort
    cdef readonly uint8_t family
    cdef Envelope envelope
    # How long the proxies were at work with each step, and with how many frames.
    cdef uint64_t[SAYS_N] spent_ns
    cdef uint64_t[SAYS_N] frames_in

    def __cinit__(self, door, uint32_t count, uint8_t family=4):
        self.door = door
        self.count = count
        self.family = family
        self.cookies = <Cookie *>calloc(count, sizeof(Cookie))
        self.burst = <Burst *>calloc(1, sizeof(Burst))
        self.frames = <uint8_t *>calloc(CHUNK, ROOM_BYTES)
        self.spares = <uint8_t *>calloc(OUTBOX_FRAMES, ROOM_BYTES)
        if (self.cookies == NULL or self.burst == NULL or self.frames == NULL
                or self.spares == NULL):
            raise MemoryError()
        envelope_make(&self.envelope, family)
        self.enter(door)

    def __dealloc__(self):
        free(self.cookies)
        free(self.burst)
        free(self.frames)
        free(self.spares)

    cdef int enter(self, door) except -1:
        cdef Dataplane dataplane
        cdef uint32_t i
        if isinstance(door, Box):
            self.workers = 1
            self.proxy[0] = &(<Box>door).proxy
            return 0
        dataplane = door
        # Keys that are known: another process may then have the same cookies, and the same owners.
        memset(&dataplane.secrets, 0, sizeof(Secrets))
        dataplane.snapshot.secrets = dataplane.secrets
        self.workers = dataplane.workers().count
        self.owners = &dataplane.workers().owners
        for i in range(self.workers):
            self.proxy[i] = &dataplane.workers().worker[i].proxy
            memset(&self.proxy[i].table_key, 0, sizeof(self.proxy[i].table_key))
            proxy_snapshot(self.proxy[i], dataplane.snapshot)
        return 0

    def open(self, uint64_t now_ms, numbers=None):
        """The handshakes of those connections, or of all, at that time."""
        self.go(now_ms, range(self.count) if numbers is None else numbers, STEP_SYN, STEP_REQUEST)

    def serve(self, uint64_t now_ms, numbers):
        """A request and a response of those that are open."""
        self.go(now_ms, numbers, STEP_REQUEST, STEP_CLIENT_FIN)

    def close(self, uint64_t now_ms, numbers):
        """Both FINs of those that have been served."""
        self.go(now_ms, numbers, STEP_CLIENT_FIN, STEPS)

    def knock(self, uint64_t now_ms, numbers):
        """SYN and ACK of those connections, whatever becomes of them; no server answers."""
        self.tolerant = True
        self.go(now_ms, numbers, STEP_SYN, STEP_SYNACK)
        self.tolerant = False

    cdef int go(self, uint64_t now_ms, numbers, uint32_t first, uint32_t last) except -1:
        cdef uint32_t i
        for i in range(self.workers):
            proxy_clock(self.proxy[i], now_ms * NS_PER_MS)
        for at in range(0, len(numbers), COHORT):
            self.settle(numbers[at:at + COHORT], first, last)
        return 0

    @property
    def connection_bytes(self):
        """What a connection that may be takes of memory, all included."""
        cdef const ConnTable *table = self.proxy[0].table
        return (table.bytes + links_bytes(table.capacity)) / table.capacity

    def converse(self, uint32_t cohort, uint32_t rounds):
        """Connections opened, used and closed by the wall's clock, `cohort` of them at once.  For
        each step of theirs (name, frames, nanoseconds that the proxy itself took for them)."""
        cdef timespec wall
        memset(self.spent_ns, 0, sizeof(self.spent_ns))
        memset(self.frames_in, 0, sizeof(self.frames_in))
        for _ in range(rounds):
            clock_gettime(CLOCK_REALTIME, &wall)
            proxy_clock(self.proxy[0], <uint64_t>wall.tv_sec * NS_PER_S + wall.tv_nsec)
            if self.next + cohort > self.count:
                self.next = 0
            self.settle(range(self.next, self.next + cohort), STEP_SYN, STEPS)
            self.next += cohort
        return [(STEP_NAMES[step], self.frames_in[step], self.spent_ns[step])
                for step in range(<int>STEPS)]

    cdef int settle(self, numbers, uint32_t first, uint32_t last) except -1:
        cdef uint32_t step, worker
        if self.workers == 1:
            groups = [numbers]
        else:
            groups = [[] for _ in range(self.workers)]
            for number in numbers:
                groups[self.owner(number)].append(number)
        for worker, group in enumerate(groups):
            for step in range(first, last):
                self.walk(worker, group, step)
        return 0

    # One step of all those connections.
    cdef int walk(self, uint32_t worker, numbers, uint32_t step) except -1:
        cdef uint32_t[CHUNK] chunk
        cdef uint32_t filled = 0
        for number in numbers:
            chunk[filled] = number
            filled += 1
            if filled == CHUNK:
                self.say(worker, chunk, filled, step)
                filled = 0
        if filled:
            self.say(worker, chunk, filled, step)
        return 0

    cdef int say(self, uint32_t worker, const uint32_t *numbers, uint32_t count,
                 uint32_t step) except -1:
        cdef uint32_t i
        for i in range(count):
            self.speak(numbers[i], step, &self.burst.segment[i], self.frames + i * ROOM_BYTES)
        self.burst.count = count
        self.burst.from_client = SAYS[step].from_client
        self.turn(self.proxy[worker], step)
        for i in range(count):
            if self.burst.verdict[i] != SAYS[step].verdict and not self.tolerant:
                raise RuntimeError(
                    f"the {STEP_NAMES[step]} of connection {numbers[i]} met "
                    f"{verdict_name(self.burst.verdict[i])}")
            if step == STEP_SYN:
                self.take(numbers[i], &self.burst.segment[i])
        return 0

    # As a worker's turn, and with its clock held against it.
    cdef void turn(self, Proxy *proxy, uint32_t step) noexcept nogil:
        cdef Outbox kept = proxy.outbox
        cdef uint32_t i
        cdef uint64_t began
        for i in range(OUTBOX_FRAMES):
            proxy.outbox.frame[i] = self.spares + i * ROOM_BYTES
        proxy.outbox.ready = OUTBOX_FRAMES
        proxy.outbox.filled = 0
        began = now_ns()
        burst_run(self.burst, proxy)
        proxy.outbox.filled = 0
        proxy_tend(proxy)
        self.spent_ns[step] += now_ns() - began
        self.frames_in[step] += self.burst.count
        proxy.outbox = kept

    cdef void take(self, uint32_t number, const Segment *answered) noexcept nogil:
        cdef const uint8_t *tcp = answered.frame + self.tcp_at()
        self.cookies[number].isn = load32(tcp + 4)
        self.cookies[number].tsval = load32(tcp + TCP_BYTES + 8)    # behind MSS, and two heads

    cdef inline uint32_t tcp_at(self) noexcept nogil:
        return ETHERNET_BYTES + (IPV4_BYTES if self.family == 4 else IPV6_BYTES)

    cdef void flow_of(self, uint32_t number, Flow *flow) noexcept nogil:
        memset(flow, 0, sizeof(Flow))
        if self.family == 4:
            memset(flow.client_address + 10, 0xFF, 2)
            memset(flow.server_address + 10, 0xFF, 2)
            flow.client_address[12] = 16
            flow.server_address[12] = 10
            flow.server_address[15] = 2
        else:
            flow.client_address[0] = 0x20
            flow.client_address[1] = 0x01
            flow.server_address[0] = 0xFD
            flow.server_address[15] = 2
        flow.client_address[13] = <uint8_t>(number >> 16 & 0x0F)
        store16(flow.client_address + 14, <uint16_t>number)
        flow.client_port = <uint16_t>(FIRST_PORT + (number >> ADDRESS_BITS))
        flow.server_port = PORT

    cdef uint32_t owner(self, uint32_t number) noexcept nogil:
        cdef Flow flow
        cdef uint64_t[SIPHASH_WORDS] words
        self.flow_of(number, &flow)
        conntable_words(words, 1, &flow)
        return owner_of(self.owners, siphash_words(words, &self.proxy[0].table_key), &flow)

    # What connection `number` says at that step.
    cdef void speak(self, uint32_t number, uint32_t step, Segment *segment,
                    uint8_t *frame) noexcept nogil:
        cdef const Say *says = &SAYS[step]
        cdef uint32_t client_isn = number * <uint32_t>0x9E3779B1
        cdef uint32_t server_isn = number * <uint32_t>0x85EBCA6B + 1
        cdef Flow flow
        cdef Tcp tcp
        self.flow_of(number, &flow)
        memset(&tcp, 0, sizeof(tcp))
        tcp.flags = says.flags
        tcp.window = 512
        tcp.options.timestamps = True
        tcp.options.wscale = WSCALE_ABSENT
        if says.flags & TCP_SYN:
            tcp.window = 64240
            tcp.options.mss = MSS_IPV4 if self.family == 4 else MSS_IPV6
            tcp.options.sack_permitted = True
            tcp.options.wscale = WSCALE
        if says.from_client:
            tcp.seq = client_isn + says.sent
            tcp.ack = self.cookies[number].isn + says.got if says.flags & TCP_ACK else 0
            tcp.options.tsval = number + step
            tcp.options.tsecr = self.cookies[number].tsval if says.flags & TCP_ACK else 0
        else:
            tcp.seq = server_isn + says.sent
            tcp.ack = client_isn + says.got
            tcp.options.tsval = 2 * number + step
            tcp.options.tsecr = number + 1
        segment.frame = frame
        segment.room_bytes = ROOM_BYTES
        segment.frame_bytes = compose(frame, &self.envelope, &flow, says.from_client, &tcp)
        if says.payload_bytes:
            segment.frame_bytes = self.load(frame, segment.frame_bytes, says.payload_bytes)

    # Zeros behind the header: they add to no sum but by their number.
    cdef uint16_t load(self, uint8_t *frame, uint32_t frame_bytes,
                       uint32_t payload_bytes) noexcept nogil:
        cdef uint8_t *ip = frame + ETHERNET_BYTES
        cdef uint8_t *length = ip + (2 if self.family == 4 else 4)
        cdef uint16_t before = load16(length)
        cdef uint16_t after = <uint16_t>(before + payload_bytes)
        cdef uint64_t delta = checksum_delta16(before, after)
        memset(frame + frame_bytes, 0, payload_bytes)
        store16(length, after)
        if self.family == 4:
            checksum_apply(ip + 10, delta)
        checksum_apply(frame + self.tcp_at() + 16, delta)
        return <uint16_t>(frame_bytes + payload_bytes)

    def owners_of(self, numbers):
        """The index of the worker that owns each of those connections."""
        return [self.owner(number) for number in numbers]

    def frames_of(self, numbers, step):
        """What those connections say at a step of STEP_NAMES, as bytes; what the client says
        behind its SYN is known once the handshake is over."""
        cdef Segment segment
        cdef uint32_t at = STEP_NAMES.index(step)
        said = []
        for number in numbers:
            self.speak(number, at, &segment, self.frames)
            said.append((<char *>self.frames)[:segment.frame_bytes])
        return said


cdef void envelope_make(Envelope *envelope, uint8_t family) noexcept:
    cdef uint8_t[8 * L2_WORDS] l2
    memset(envelope, 0, sizeof(Envelope))
    memset(l2, 0, sizeof(l2))
    l2[0] = l2[6] = 0x02        # locally administered: IEEE 802-2014 §8.4
    l2[5] = 2
    l2[11] = 1
    store16(l2 + 12, ETHERTYPE_IPV4 if family == 4 else ETHERTYPE_IPV6)
    memcpy(envelope.l2, l2, sizeof(l2))
    envelope.l2_bytes = ETHERNET_BYTES
    envelope.family = family
    envelope.hop_limit = 64


cdef inline uint64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * NS_PER_S + now.tv_nsec


cdef verdict_name(uint8_t verdict):
    if verdict >= DROP_FIRST:
        return counters.NAMES[verdict]
    return {VERDICT_ABSORB: "absorb", VERDICT_TRANSLATE: "translate",
            VERDICT_TO_CLIENT: "to_client", VERDICT_TO_SERVER: "to_server"}.get(
                verdict, f"verdict {verdict}")
