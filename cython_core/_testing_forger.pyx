"""A forger in front of a proxy, all in memory: frames by the hundred million; not in the image.

It takes frames to begin with, and says anew what in each may be anything: the bits of 16-bit words
that `Blank` names.  Checksums are brought up to date, so that what was right stays right, and what
was wrong stays wrong.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from cython_core._testing_proxy cimport Box
from cython_core.proxy.burst cimport BURST_FRAMES, burst_run
from cython_core.proxy.synproxy cimport (
    NS_PER_MS, VERDICT_BRIDGE, VERDICT_TO_CLIENT, VERDICT_TO_SERVER, VERDICT_TRANSLATE, proxy_clock,
)
from cython_core.proxy.tend cimport proxy_tend
from cython_core.wire.byteorder cimport load16, store16
from cython_core.wire.checksum cimport checksum_apply, checksum_delta16

from cython_core._testing_proxy import VERDICTS

from cython_core.proxy import counters

cdef enum:
    ROOM_BYTES = 2048
    TEMPLATES_MAX = 1024
    BLANKS_MAX = 24
    BURSTS_A_MS = 100           # of the proxy's time: 6.4 million frames a second


cdef struct Blank:
    uint16_t at                 # in the frame; even from its checksum's header on
    uint16_t mask               # the bits that are drawn
    bint in_ip                  # the IPv4 header's checksum covers it
    bint in_l4                  # TCP's or ICMP's, or their pseudo-header


cdef struct Template:
    uint8_t frame[ROOM_BYTES]
    uint16_t frame_bytes
    uint16_t ip_checksum_at     # 0: there is none
    uint16_t l4_checksum_at
    uint32_t blanks
    Blank blank[BLANKS_MAX]


cdef class Forger:
    """`box` hears what it makes, as from clients.  Counts are of all times."""

    cdef Box box
    cdef Template *template
    cdef uint32_t count
    cdef uint64_t state             # of the generator; never 0
    cdef uint64_t[256] verdicts
    cdef readonly uint64_t frames
    cdef readonly uint64_t octets       # of all frames
    cdef readonly uint64_t echoes       # frames that went back
    cdef readonly uint64_t echo_octets
    cdef readonly uint64_t longer       # of them, those longer than what they answer
    cdef readonly uint64_t passed       # frames that went to the server, bridged or our own

    def __cinit__(self, Box box, templates, uint64_t seed=1):
        """`templates`: (frame, IP checksum's place, TCP's, [(place, mask, in IP's, in TCP's)])."""
        self.box = box
        self.state = seed
        self.count = len(templates)
        if not 0 < self.count <= TEMPLATES_MAX:
            raise ValueError(f"{self.count} templates")
        self.template = <Template *>calloc(self.count, sizeof(Template))
        memset(self.verdicts, 0, sizeof(self.verdicts))
        for i, given in enumerate(templates):
            self.keep(&self.template[i], given)

    def __dealloc__(self):
        free(self.template)

    cdef int keep(self, Template *template, given) except -1:
        frame, template.ip_checksum_at, template.l4_checksum_at, blanks = given
        if len(frame) > ROOM_BYTES or len(blanks) > BLANKS_MAX:
            raise ValueError("the template is too long")
        template.frame_bytes = len(frame)
        template.blanks = len(blanks)
        memcpy(template.frame, <const uint8_t *>frame, len(frame))
        for i, (at, mask, in_ip, in_l4) in enumerate(blanks):
            if at + 2 > len(frame):
                raise ValueError(f"a blank at {at}, behind the frame")
            template.blank[i] = Blank(at, mask, in_ip, in_l4)
        return 0

    def send(self, uint64_t frames):
        """That many, in full bursts of the templates in turn; the proxy's time goes on."""
        cdef uint64_t bursts = (frames + BURST_FRAMES - 1) // BURST_FRAMES
        cdef uint64_t burst
        cdef uint64_t now_ms = self.box.proxy.now_ms
        with nogil:
            for burst in range(bursts):
                if burst % BURSTS_A_MS == 0:
                    now_ms += 1
                    proxy_clock(&self.box.proxy, now_ms * NS_PER_MS)
                self.fill(burst * BURST_FRAMES)
                burst_run(self.box.burst, &self.box.proxy)
                self.look()
                proxy_tend(&self.box.proxy)
                self.look_out()

    def told(self):
        """How many met each verdict, by its name."""
        return {VERDICTS.get(verdict) or counters.NAMES[verdict]: self.verdicts[verdict]
                for verdict in range(256) if self.verdicts[verdict]}

    cdef void fill(self, uint64_t first) noexcept nogil:
        cdef const Template *template
        cdef uint32_t i
        self.box.burst.count = BURST_FRAMES
        self.box.burst.from_client = True
        for i in range(BURST_FRAMES):
            template = &self.template[(first + i) % self.count]
            self.box.burst.segment[i].frame = self.box.buffers + i * ROOM_BYTES
            self.box.burst.segment[i].frame_bytes = template.frame_bytes
            self.box.burst.segment[i].room_bytes = ROOM_BYTES
            memcpy(self.box.burst.segment[i].frame, template.frame, template.frame_bytes)
            self.draw(self.box.burst.segment[i].frame, template)
            self.octets += template.frame_bytes
        self.frames += BURST_FRAMES

    cdef void draw(self, uint8_t *frame, const Template *template) noexcept nogil:
        cdef uint64_t ip_delta = 0
        cdef uint64_t l4_delta = 0
        cdef uint64_t bits = 0
        cdef uint16_t before, after
        cdef const Blank *blank
        cdef uint32_t i
        for i in range(template.blanks):
            bits = self.some_bits() if i % 4 == 0 else bits >> 16
            blank = &template.blank[i]
            before = load16(frame + blank.at)
            after = (before & ~blank.mask) | (<uint16_t>bits & blank.mask)
            store16(frame + blank.at, after)
            if blank.in_ip:
                ip_delta += checksum_delta16(before, after)
            if blank.in_l4:
                l4_delta += checksum_delta16(before, after)
        if template.ip_checksum_at:
            checksum_apply(frame + template.ip_checksum_at, ip_delta)
        if template.l4_checksum_at:
            checksum_apply(frame + template.l4_checksum_at, l4_delta)

    # Marsaglia's xorshift, 2003.
    cdef inline uint64_t some_bits(self) noexcept nogil:
        self.state ^= self.state << 13
        self.state ^= self.state >> 7
        self.state ^= self.state << 17
        return self.state

    # What became of the burst's frames, and of the outbox.
    cdef void look(self) noexcept nogil:
        cdef uint32_t i
        cdef uint8_t verdict
        cdef uint64_t sent_bytes
        for i in range(BURST_FRAMES):
            verdict = self.box.burst.verdict[i]
            self.verdicts[verdict] += 1
            if verdict == VERDICT_TO_CLIENT:
                sent_bytes = self.box.burst.segment[i].frame_bytes
                self.echoes += 1
                self.echo_octets += sent_bytes
                self.longer += sent_bytes > self.template[
                    (self.frames - BURST_FRAMES + i) % self.count].frame_bytes
            elif verdict in (VERDICT_BRIDGE, VERDICT_TRANSLATE, VERDICT_TO_SERVER):
                self.passed += 1
        self.look_out()

    # Unasked, by the engine.
    cdef void look_out(self) noexcept nogil:
        cdef uint32_t i
        outbox = &self.box.proxy.outbox
        for i in range(outbox.filled):
            if outbox.to_server[i]:
                self.passed += 1
            else:
                self.echoes += 1
                self.echo_octets += outbox.frame_bytes[i]
        outbox.filled = 0
