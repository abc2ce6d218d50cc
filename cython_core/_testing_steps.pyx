from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from cython_core._testing_audit cimport proxy_audit
from cython_core._testing_engine cimport (
    engine_add, engine_clock, engine_delete, engine_next, engine_publish, engine_reset,
    engine_rotate, engine_run, engine_tend,
)
from cython_core._testing_services cimport services_say
from cython_core._testing_talk cimport (
    TALKS, Talk, talk_error, talk_mangle, talk_segment, talk_syn, talk_synack, talks_begin,
    talks_hear, tape_byte, tape_half,
)
from cython_core.proxy.burst cimport BURST_FRAMES
from cython_core.proxy.events cimport events_switch
from cython_core.proxy.synproxy cimport OUTBOX_FRAMES
from cython_core.wire.segment cimport Segment, segment_parse

cdef enum Step:
    STEP_SYN
    STEP_CLIENT
    STEP_SERVER
    STEP_SYNACK
    STEP_CLIENT_ERROR
    STEP_SERVER_ERROR
    STEP_CLIENT_MANGLED
    STEP_SERVER_MANGLED
    STEP_BURST                  # what has gathered goes through
    STEP_TIME
    STEP_TEND
    STEP_SERVICES
    STEP_ROTATE
    STEP_DELETE
    STEP_SPARES
    STEP_EVENTS

cdef enum:
    TURNS_MAX = 8               # of the timers, in one step

# What time may pass at once, in ms: less than a wheel's tick up to more than any timeout.
cdef uint32_t[16] TIMES_MS = [
    1, 15, 16, 200, 999, 1000, 4000, 8000, 30_000, 59_999, 60_000, 61_000, 120_000, 3_600_000,
    28_804_000, 262_144_000]


cdef struct Life:
    Engine *engine
    Talk talk[TALKS]
    uint64_t now_ms


cdef const char *steps_run(Engine *engine, Tape *tape) noexcept nogil:
    cdef const char *wrong = NULL
    cdef Life life
    life.engine = engine
    life.now_ms = <uint64_t>STEPS_START_S * 1000
    talks_begin(life.talk)
    engine_reset(engine)
    while wrong == NULL and tape.at != tape.end:
        wrong = step(&life, tape)
    if wrong == NULL:
        wrong = gathered_run(&life)
    return wrong if wrong != NULL else proxy_audit(&engine.proxy)


cdef const char *step(Life *life, Tape *tape) noexcept nogil:
    cdef uint8_t which = tape_byte(tape)
    cdef const char *wrong = NULL
    if which & 15 < STEP_BURST:
        return frame_step(life, which & 15, &life.talk[which >> 4 & (TALKS - 1)], tape)
    wrong = gathered_run(life)
    return wrong if wrong != NULL else other_step(life, which & 15, which >> 4, tape)


cdef bint is_clients(uint8_t which) noexcept nogil:
    return which in (STEP_SYN, STEP_CLIENT, STEP_CLIENT_ERROR, STEP_CLIENT_MANGLED)


cdef const char *frame_step(Life *life, uint8_t which, Talk *talk, Tape *tape) noexcept nogil:
    cdef bint from_client = is_clients(which)
    cdef const char *wrong = NULL
    cdef uint16_t frame_bytes
    cdef uint8_t *frame
    if from_client != life.engine.burst.from_client or life.engine.burst.count == BURST_FRAMES:
        wrong = gathered_run(life)
    life.engine.burst.from_client = from_client
    frame = engine_next(life.engine)
    if which == STEP_SYN:
        frame_bytes = talk_syn(talk, tape, frame)
    elif which == STEP_SYNACK:
        frame_bytes = talk_synack(talk, tape, frame)
    elif which == STEP_CLIENT_ERROR or which == STEP_SERVER_ERROR:
        frame_bytes = talk_error(talk, from_client, tape, frame)
    else:
        frame_bytes = talk_segment(talk, from_client, tape, frame)
    if which == STEP_CLIENT_MANGLED or which == STEP_SERVER_MANGLED:
        frame_bytes = talk_mangle(tape, frame, frame_bytes)
    engine_add(life.engine, frame_bytes, talk.tags == 1)
    return wrong


cdef const char *gathered_run(Life *life) noexcept nogil:
    cdef const char *wrong
    if life.engine.burst.count == 0:
        return NULL
    wrong = engine_run(life.engine)
    hear(life)
    return wrong


cdef void hear(Life *life) noexcept nogil:
    cdef uint32_t at
    for at in range(life.engine.sent_count):
        talks_hear(life.talk, &life.engine.sent[at].segment, life.engine.sent[at].to_server)


cdef const char *other_step(Life *life, uint8_t which, uint8_t how, Tape *tape) noexcept nogil:
    cdef Engine *engine = life.engine
    if which == STEP_TIME:
        life.now_ms += TIMES_MS[how]
        engine_clock(engine, life.now_ms)
        return tend(life, 1)
    if which == STEP_TEND:
        return tend(life, 1 + how % TURNS_MAX)
    if which == STEP_SERVICES:
        engine_publish(engine, services_say(tape))
    elif which == STEP_ROTATE:
        engine_rotate(engine, tape_half(tape), how & 1)
    elif which == STEP_DELETE:
        return delete(life, &life.talk[how & (TALKS - 1)])
    elif which == STEP_SPARES:
        engine.proxy.outbox.ready = how if how < 8 else OUTBOX_FRAMES
    elif which == STEP_EVENTS:
        events_switch(engine.proxy.events, how & 1)
    return NULL


cdef const char *tend(Life *life, uint32_t turns) noexcept nogil:
    cdef const char *wrong = NULL
    cdef uint32_t _turn
    for _turn in range(turns):
        if wrong == NULL:
            wrong = engine_tend(life.engine)
            hear(life)
    return wrong if wrong != NULL else proxy_audit(&life.engine.proxy)


# Its ports are said by a SYN that goes nowhere.
cdef const char *delete(Life *life, Talk *talk) noexcept nogil:
    cdef Tape nothing
    cdef Segment syn
    cdef const char *wrong
    memset(&nothing, 0, sizeof(nothing))
    syn.frame = engine_next(life.engine)
    syn.frame_bytes = talk_syn(talk, &nothing, syn.frame)
    segment_parse(&syn)
    wrong = engine_delete(life.engine, &syn)
    hear(life)
    return wrong
