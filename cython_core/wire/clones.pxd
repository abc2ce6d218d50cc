"""CPU_CLONES: one C function, built for several vector widths; the loader picks (ifunc).

An attribute can't be said in Cython.  So a module that cimports this one declares its function,
with a C name of its own, behind CPU_CLONES in a verbatim block; the definition that Cython
writes later inherits the attribute.  Elsewhere than on x86-64 with glibc there is no ifunc to
rely on, and the width that the build was set to has to do; before version 12, gcc does not know
the names of the x86-64 levels.
"""

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12
    #define CPU_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
    #else
    #define CPU_CLONES
    #endif
    """
