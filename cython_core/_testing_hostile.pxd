"""What must hold of floor 1 whatever bytes come: each judge returns NULL, or says what is wrong.

Bytes lie in memory of exactly their length, so that a read behind them is seen by whoever watches
for it (tests/fuzz).
"""

from libc.stdint cimport uint8_t

# A frame as it comes off the wire: nothing that is found in it lies outside of it.
cdef const char *frame_judge(const uint8_t *data, size_t size) noexcept nogil

# A list of options: the parser agrees with a plain one, and what is stripped or written with it.
cdef const char *options_judge(const uint8_t *data, size_t size) noexcept nogil

# An ICMP error's message behind headers of ours: what is rewritten in it reads back, its checksum
# is as right as it was, and nothing else has changed.
cdef const char *quote_judge(const uint8_t *data, size_t size) noexcept nogil
