"""A service's slot: two places among the snapshot's services, and two rows.

The first place is the service's, the second that of what leaves from its slot.  Rows stand in the
same order and begin at 1, the row before them being nobody's.
"""

from libc.stdint cimport uint32_t


cdef inline uint32_t live_at(uint32_t slot) noexcept nogil:
    return 2 * slot

cdef inline uint32_t leaving_at(uint32_t slot) noexcept nogil:
    return 2 * slot + 1

cdef inline uint32_t slot_row(uint32_t slot) noexcept nogil:
    return live_at(slot) + 1

# Of either row; `row` is not nobody's.
cdef inline uint32_t row_slot(uint32_t row) noexcept nogil:
    return (row - 1) >> 1
