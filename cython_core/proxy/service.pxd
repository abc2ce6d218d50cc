"""Protected services, compiled: the immutable snapshot that every worker reads.

The control plane builds a snapshot, publishes it by one store, and frees it once no worker
reads it.  Lookup is by tuple space: one probe for each prefix length in use, longest first,
then the port ranges of that prefix; so its cost grows with the number of different prefix
lengths and not with that of services.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

# When SYNs are answered with cookies: design/protocol §5.
cdef enum Activation:
    ACTIVATION_ALWAYS
    ACTIVATION_AUTO             # while a mark of load is passed
    ACTIVATION_MONITOR          # never, but AUTO's decisions are taken and counted
    ACTIVATION_OFF


# What becomes of segments whose connection is not known.
cdef enum UnknownFlow:
    UNKNOWN_FORWARD
    UNKNOWN_DROP
    UNKNOWN_RESET_IT


cdef struct Service:
    uint32_t row                # its row of counters (slot + 1)
    uint32_t tag                # stable over restarts and boxes; an input of its cookies
    uint16_t mss                # bytes announced over IPv4
    uint16_t mss_ipv6           # bytes announced over IPv6
    uint8_t wscale              # shift.cnt announced, or WSCALE_ABSENT
    uint8_t wscale_former       # announced before the last change: its cookies still count
    uint32_t wscale_former_until    # the last epoch (proxy/cookie) in which it was announced
    bint sack
    bint timestamps
    bint ecn
    bint mss_auto               # what is learned of a server goes before the value
    bint mss_ipv6_auto
    bint wscale_auto
    uint8_t syn_retries         # SYNs to a silent server after the first
    uint32_t syn_timeout_ms     # before the first retry; doubles with each
    uint16_t established_ticks  # idle timeouts, in ticks of conntable's activity clock
    uint16_t half_closed_ticks
    uint16_t time_wait_ticks
    uint16_t closed_ticks
    bint early_data             # the SYN-ACK opens a window, what comes early waits
    uint8_t activation          # an Activation
    uint8_t unknown_flow        # an UnknownFlow
    uint32_t unknown_rate       # client segments of unknown connections let through, each second
    uint32_t syn_rate_mark      # SYNs a second, of one worker, from which cookies are on
    uint32_t half_open_mark     # passed handshakes without an end, of one worker, likewise
    uint32_t hold_ms            # how long the load is below half of each before they go off
    uint32_t grace_ms           # how long after a switch both kinds of handshake are taken


# "This prefix, these ports, that service": how a snapshot is described to snapshot_build.
cdef struct Rule:
    uint8_t address[16]         # as in Flow; bits behind the prefix are zero
    uint8_t bits                # prefix length in the 128-bit form (IPv4 /24 is 120)
    uint16_t port_low           # inclusive
    uint16_t port_high
    uint32_t service            # index into the services


cdef struct PortRange:
    uint16_t low
    uint16_t high
    uint32_t service


cdef struct Prefix:
    uint64_t address[2]         # masked, as it lies in memory
    uint32_t range_first
    uint32_t range_count        # 0: the slot is empty
    uint8_t bits


cdef struct PrefixLength:
    uint64_t mask[2]            # as it lies in memory
    uint8_t bits


cdef struct Snapshot:
    uint64_t generation
    uint32_t service_count
    uint32_t length_count       # prefix lengths in use, longest first
    uint32_t prefix_mask        # slots of `prefixes` less one
    PrefixLength lengths[129]
    Service *services
    Prefix *prefixes            # open addressing, at most half full
    PortRange *ranges           # those of one prefix side by side


# `rules` sorted by (bits descending, address); every rule of one prefix side by side.  Copies
# everything.  NULL where memory is short.
cdef Snapshot *snapshot_build(uint64_t generation, const Service *services, uint32_t service_count,
                              const Rule *rules, uint32_t rule_count) noexcept nogil
cdef void snapshot_free(Snapshot *snapshot) noexcept nogil

# The service of a server address and port, or NULL.
cdef const Service *snapshot_match(const Snapshot *snapshot, const uint8_t *address,
                                   uint16_t port) noexcept nogil

# True where any service has this address, whatever the port: fragments have none.
cdef bint snapshot_covers(const Snapshot *snapshot, const uint8_t *address) noexcept nogil
