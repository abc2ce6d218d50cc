"""What lies below TCP in a made-up frame: Ethernet with tags, IP, and ICMP errors that quote."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from cython_core._testing_talk cimport Talk


# Offsets from the frame's first byte.
cdef struct Layers:
    uint8_t family
    uint8_t protocol
    uint32_t l3
    uint32_t l4
    uint32_t end


# Headers of a frame whose transport header and payload are that long; they are still to be written.
cdef Layers layers_write(const Talk *talk, bint from_client, uint8_t protocol, uint32_t l4_bytes,
                         uint8_t *frame) noexcept nogil

# The same of a frame that layers_write has begun.
cdef Layers layers_of(const uint8_t *frame) noexcept nogil

# The checksums of IP and of what it carries.
cdef void layers_seal(const Layers *layers, uint8_t *frame) noexcept nogil

# A whole ICMP error of one end about a segment of the other, with that sequence number, of which it
# quotes so many bytes.  Returns the frame's length.
cdef uint16_t quote_write(const Talk *talk, bint from_client, uint8_t kind, uint16_t mtu,
                          uint32_t seq, uint32_t quoted_bytes, uint8_t *frame) noexcept nogil
