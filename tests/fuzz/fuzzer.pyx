"""libFuzzer's program: an interpreter that only begins, and then bytes to a judge, at C's speed.

FUZZ_TARGET names the judge (cython_core._testing_fuzz).  Reading list: LLVM's LibFuzzer.rst,
"Fuzz Target" and "Startup initialization".
"""

from libc.stdint cimport uint8_t
from libc.stdio cimport fprintf, stderr
from libc.stdlib cimport abort, getenv

from cython_core._testing_fuzz cimport Judge, judge_of

cdef extern from *:
    """
    PyMODINIT_FUNC PyInit_fuzzer(void);
    """

cdef extern from "Python.h":
    ctypedef struct PyObject
    PyObject *PyInit_fuzzer()
    int PyImport_AppendInittab(const char *name, PyObject *(*init)())
    void Py_InitializeEx(int handle_signals)
    PyObject *PyImport_ImportModule(const char *name)
    void PyErr_Print()

cdef const char *target = getenv("FUZZ_TARGET")
cdef Judge judge = judge_of(target) if target != NULL else NULL


# Called before there is an interpreter: nothing here is an object of Cython's.
cdef public int LLVMFuzzerInitialize(int *argc, char ***argv) noexcept:
    PyImport_AppendInittab(b"fuzzer", PyInit_fuzzer)
    Py_InitializeEx(0)
    if PyImport_ImportModule(b"fuzzer") == NULL:
        PyErr_Print()
        abort()
    if judge == NULL:
        fprintf(stderr, b"FUZZ_TARGET names no target\n")
        abort()
    return 0


cdef public int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) noexcept nogil:
    cdef const char *wrong = judge(data, size)
    if wrong != NULL:
        fprintf(stderr, b"%s\n", wrong)
        abort()
    return 0
