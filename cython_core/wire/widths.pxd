"""Widths: the sets of vector instructions that this build has variants for, and which run here.

An attribute can't be said in Cython.  So a module with variants declares each of them, with a C
name of its own, behind WIDTH_V3 or WIDTH_V4 in a verbatim block; the definition that Cython writes
later inherits the attribute.  `flatten` has what it calls compiled for the same width.

Elsewhere than on x86-64 there is one width, the baseline; the other variants are then compiled as
that one is, and nobody picks them.  So it is with compilers that may not know the levels' names:
gcc does from version 12 on.

Reading list: the x86-64 psABI §3.1.1, "micro-architecture levels"; gcc's manual, "Common Function
Attributes" and "X86 Built-in Functions".  __builtin_cpu_supports asks the processor (CPUID) and the
kernel, whether it saves the wider registers (XGETBV): gcc/common/config/i386/cpuinfo.h,
get_available_features.
"""

from libc.stdint cimport uint32_t

cdef extern from *:
    """
    #include <stdint.h>
    #ifdef __x86_64__
    #define WIDTH_NARROWEST "x86-64-v2"     /* what the build asks of every processor */
    #else
    #define WIDTH_NARROWEST "baseline"
    #endif
    #if defined(__x86_64__) && !defined(__clang__) && __GNUC__ >= 12
    #define WIDTH_V3 __attribute__((target("arch=x86-64-v3"), flatten))
    #define WIDTH_V4 __attribute__((target("arch=x86-64-v4"), flatten))
    #define WIDTHS 3
    static inline int width_runs(uint32_t width)
    {
        __builtin_cpu_init();
        return width == 0 || (width == 1 && __builtin_cpu_supports("x86-64-v3"))
            || (width == 2 && __builtin_cpu_supports("x86-64-v4"));
    }
    #else
    #define WIDTH_V3
    #define WIDTH_V4
    #define WIDTHS 1
    static inline int width_runs(uint32_t width)
    {
        return width == 0;
    }
    #endif
    """
    const char *WIDTH_NARROWEST
    const uint32_t WIDTHS           # in the build; numbered from 0, the narrowest first
    bint width_runs(uint32_t width) noexcept nogil

cdef enum:
    WIDTHS_MAX = 3
