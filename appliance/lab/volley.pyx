"""The flood's inner loop: a volley of frames, renewed in place and sent in one call.

Each slot of the volley holds a frame made from a template.  Before each transmission every slot
has its blanks drawn anew (of a SYN: source address, source port, ISN and TSval), and gets the
checksums that go with them: the template's own sum, taken once without them, plus the new words.

One sendmmsg(2) on a packet socket sends the whole volley.

Reading list: RFC 1071 §2, packet(7), sendmmsg(2).
"""

from libc.errno cimport EAGAIN, EINTR, ENOBUFS, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, nanosleep, timespec

cdef extern from "<sys/socket.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    cdef struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    int sendmmsg(int fd, mmsghdr *messages, unsigned int count, int flags)

cdef enum:
    VOLLEY_FRAMES = 64      # one sendmmsg
    FRAME_BYTES_MAX = 128   # Ethernet, IPv6, TCP and 40 bytes of options are 114
    BLANKS_MAX = 12
    NS_PER_S = 1_000_000_000
    ROUND_NS = 2_000_000    # of work and rest: a ring holds what comes meanwhile


cdef struct Blank:
    uint16_t at                 # an offset from the frame's first byte
    uint16_t fixed              # the bits that the frame has
    uint16_t mask               # the bits that are drawn
    bint in_ip                  # the IPv4 header's checksum covers it
    bint in_l4


cdef struct Slot:
    uint8_t frame[FRAME_BYTES_MAX]
    uint16_t length_bytes
    uint16_t ip_checksum        # offsets; 0 where there is none
    uint16_t checksum
    uint16_t blanks
    uint32_t ip_sum             # of the header, without what is drawn and its checksum
    uint32_t sum                # of pseudo-header, header and payload, likewise
    Blank blank[BLANKS_MAX]


cdef inline uint64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * NS_PER_S + <uint64_t>now.tv_nsec


# Of less than a second.
cdef inline void sleep_ns(uint64_t duration_ns) noexcept nogil:
    cdef timespec pause
    pause.tv_sec = 0
    pause.tv_nsec = <long>duration_ns
    nanosleep(&pause, NULL)


# splitmix64 (Steele, Lea, Flood 2014): one word of state, and any seed will do.
cdef inline uint64_t draw(uint64_t *state) noexcept nogil:
    state[0] += 0x9E3779B97F4A7C15ULL
    cdef uint64_t z = state[0]
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef inline void put16(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = <uint8_t>(value >> 8)
    at[1] = <uint8_t>value


cdef inline uint32_t fold(uint32_t sum) noexcept nogil:
    sum = (sum & 0xFFFF) + (sum >> 16)
    sum = (sum & 0xFFFF) + (sum >> 16)
    return ~sum & 0xFFFF


cdef void slot_renew(Slot *slot, uint64_t *state) noexcept nogil:
    cdef uint32_t ip_sum = slot.ip_sum
    cdef uint32_t sum = slot.sum
    cdef uint64_t bits = 0
    cdef const Blank *blank
    cdef uint32_t word
    cdef uint16_t i
    for i in range(slot.blanks):
        if i % 4 == 0:
            bits = draw(state)
        blank = &slot.blank[i]
        word = <uint32_t>bits & blank.mask
        bits >>= 16
        put16(slot.frame + blank.at, blank.fixed | word)
        ip_sum += word if blank.in_ip else 0
        sum += word if blank.in_l4 else 0
    if slot.ip_checksum:
        put16(slot.frame + slot.ip_checksum, fold(ip_sum))
    if slot.checksum:
        put16(slot.frame + slot.checksum, fold(sum))


cdef class Volley:
    """A flood under way: its frames, its random state, its schedule and its score.

    `templates` are appliance.lab.template.Template objects, at most 64, used in turn.
    """

    cdef Slot slots[VOLLEY_FRAMES]
    cdef iovec pieces[VOLLEY_FRAMES]
    cdef mmsghdr messages[VOLLEY_FRAMES]
    cdef uint64_t state
    cdef uint64_t started_ns    # 0 until the first volley
    cdef readonly uint64_t sent
    cdef readonly uint64_t refused      # frames that the interface did not take
    cdef readonly uint64_t drawn        # frames made: those after a refused one are made anew
    cdef uint64_t sent_of[VOLLEY_FRAMES]

    def __cinit__(self, templates, uint64_t seed):
        self.state = seed
        memset(self.messages, 0, sizeof(self.messages))
        memset(self.sent_of, 0, sizeof(self.sent_of))
        for i in range(VOLLEY_FRAMES):
            self._load(&self.slots[i], templates[i % len(templates)])
            self.pieces[i].iov_base = self.slots[i].frame
            self.pieces[i].iov_len = self.slots[i].length_bytes
            self.messages[i].msg_hdr.msg_iov = &self.pieces[i]
            self.messages[i].msg_hdr.msg_iovlen = 1

    cdef int _load(self, Slot *slot, template) except -1:
        frame = bytes(template.frame)
        if len(frame) > FRAME_BYTES_MAX:
            raise ValueError(f"a template of {len(frame)} bytes; {FRAME_BYTES_MAX} fit")
        memcpy(slot.frame, <const uint8_t *>frame, len(frame))
        slot.length_bytes = len(frame)
        slot.ip_checksum = template.ip_checksum
        slot.checksum = template.checksum
        slot.ip_sum = template.ip_sum
        slot.sum = template.sum
        slot.blanks = len(template.blanks)
        if slot.blanks > BLANKS_MAX:
            raise ValueError(f"a template of {slot.blanks} blanks; {BLANKS_MAX} fit")
        for i, blank in enumerate(template.blanks):
            fixed = int.from_bytes(frame[blank.at:blank.at + 2], "big")
            slot.blank[i] = Blank(blank.at, fixed, blank.mask, blank.in_ip, blank.in_l4)
        return 0

    def sent_by_slot(self):
        """How many of `sent` had each template, by its place among them; where a volley has more
        slots than there are templates, these are taken again in the same order."""
        return [self.sent_of[i] for i in range(VOLLEY_FRAMES)]

    def renew(self):
        """A new volley of frames, as a list of bytes: what `fire` would send next."""
        return [self._renewed(i) for i in range(VOLLEY_FRAMES)]

    cdef bytes _renewed(self, int i):
        slot_renew(&self.slots[i], &self.state)
        return self.slots[i].frame[:self.slots[i].length_bytes]

    def fire(self, int socket_fd, uint64_t count, uint64_t pps, uint64_t until_ns,
             double rest=0):
        """Send until `count` frames in all have gone out or CLOCK_MONOTONIC reads `until_ns`;
        `pps` 0 is as fast as it goes.  The schedule runs on from one call to the next.  At the
        end of each ROUND_NS `rest` of it, 0..1, is slept, however much is due: others have the
        core then.
        Raises OSError where the interface fails; full queues only count as refused."""
        cdef int error
        with nogil:
            error = self._fire(socket_fd, count, pps, until_ns, <uint64_t>(rest * ROUND_NS))
        if error:
            raise OSError(error, "sendmmsg")

    cdef int _fire(self, int socket_fd, uint64_t count, uint64_t pps, uint64_t until_ns,
                   uint64_t rest_ns) noexcept nogil:
        cdef uint64_t now = now_ns()
        cdef uint64_t burst
        cdef int taken
        cdef uint64_t i
        if not self.started_ns:
            self.started_ns = now
        while self.sent < count and now < until_ns:
            if ROUND_NS - now % ROUND_NS <= rest_ns:
                sleep_ns(ROUND_NS - now % ROUND_NS)
                now = now_ns()
                continue
            burst = self._due(now, pps)
            if burst:
                burst = min(burst, count - self.sent)
                for i in range(burst):
                    slot_renew(&self.slots[i], &self.state)
                self.drawn += burst
                taken = sendmmsg(socket_fd, self.messages, <unsigned int>burst, 0)
                if taken >= 0:
                    self.sent += taken
                    for i in range(<uint64_t>taken):
                        self.sent_of[i] += 1
                elif errno == ENOBUFS or errno == EAGAIN:
                    self.refused += burst
                elif errno != EINTR:
                    return errno
            now = now_ns()
        return 0

    # How many frames to send now: a whole volley, or after a sleep what the rate then allows.
    cdef uint64_t _due(self, uint64_t now, uint64_t pps) noexcept nogil:
        if not pps:
            return VOLLEY_FRAMES
        # A thousandth of a second's worth a volley keeps slow floods even.
        cdef uint64_t volley = min(<uint64_t>VOLLEY_FRAMES, pps // 1000 + 1)
        cdef uint64_t gone = self.sent + self.refused
        cdef uint64_t wait_ns = <uint64_t>(<double>(gone + volley) * NS_PER_S / pps)
        cdef uint64_t passed_ns = now - self.started_ns
        if passed_ns >= wait_ns:
            return volley
        sleep_ns(min(wait_ns - passed_ns, <uint64_t>NS_PER_S - 1))
        return 0
