from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport strcmp

from cython_core._testing_engine cimport ROWS, Engine, engine_new
from cython_core._testing_hostile cimport frame_judge, options_judge, quote_judge
from cython_core._testing_services cimport services_say
from cython_core._testing_steps cimport STEPS_START_S, steps_run
from cython_core._testing_talk cimport Tape

from cython_core.proxy import counters as counter_names

TARGETS = ("frame", "options", "quote", "engine")

cdef Tape nothing
nothing.at = nothing.end = NULL
cdef Engine *engine = engine_new(<uint64_t>STEPS_START_S * 1000, services_say(&nothing))


cdef const char *engine_judge(const uint8_t *data, size_t size) noexcept nogil:
    cdef Tape tape
    tape.at = data
    tape.end = data + size
    return steps_run(engine, &tape)


cdef Judge judge_of(const char *target) noexcept nogil:
    if strcmp(target, "frame") == 0:
        return frame_judge
    if strcmp(target, "options") == 0:
        return options_judge
    if strcmp(target, "quote") == 0:
        return quote_judge
    if strcmp(target, "engine") == 0:
        return engine_judge
    return NULL


def judge(str target, bytes data):
    """None, or a sentence that says what is wrong."""
    wrong = judge_of(target.encode())(data, len(data))
    return None if wrong == NULL else wrong.decode()


def counters():
    """Totals by name, of the engine whose life was told last."""
    cdef uint32_t row, at
    return {name: sum([engine.proxy.rows[row].counters[at] for row in range(<int>ROWS)])
            for at, name in enumerate(counter_names.NAMES)}
