"""A whole engine's life, told in bytes: what comes from either side, time, and what operators do.

Each step begins with a byte, its low half saying which step and its high half whose.  Frames that
come from one side gather to a burst, which goes through before anything else happens.
"""

from cython_core._testing_engine cimport Engine
from cython_core._testing_talk cimport Tape

cdef enum:
    # Since 1970, some seconds before the lower 32 bits of milliseconds wrap.
    STEPS_START_S = 1_700_807_030

# NULL, or a sentence that says what is wrong.
cdef const char *steps_run(Engine *engine, Tape *tape) noexcept nogil
