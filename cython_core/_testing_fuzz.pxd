"""What a fuzzer calls: one input of bytes, judged by one of TARGETS; not in the image."""

from libc.stdint cimport uint8_t

ctypedef const char *(*Judge)(const uint8_t *data, size_t size) noexcept nogil

# By name, or NULL.  Ready from the module's import on.
cdef Judge judge_of(const char *target) noexcept nogil
