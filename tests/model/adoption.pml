/* What a process finds that adopts the table of one which was killed.
 *
 * design/architecture: each entry is guarded so that a kill at any instruction leaves at most one
 * torn entry a worker.  A guard word of the shard names the entry that is being written: it is
 * stored before the first of the entry's words, and cleared behind the last.  A kill leaves a prefix
 * of the program's stores, so compiler barriers keep the order.  Who adopts drops what the guard
 * names, and only then clears the guard: it may be killed, too.
 *
 * Broken on purpose:  -DGUARD_LATE  -DGUARD_SHORT  -DNO_GUARD  -DADOPTER_CLEARS_FIRST
 */
#define ENTRIES 3
#define KILLS 3
#define WRITES 2
#define FREE 0

byte first[ENTRIES];            /* an entry's words, which must belong together */
byte last[ENTRIES];
byte guard;                     /* index + 1, or 0: none is being written */
byte version;                   /* of what is written next, never FREE */
byte kills;
bool running, killed;

/* A store that a kill may come before. */
#define STORE(what) if :: !killed -> what :: killed -> goto dead fi

proctype worker()
{
    byte at, writes;
    do
    :: writes < WRITES ->
        writes++;
        select(at : 0 .. ENTRIES - 1);
        atomic { version = version % 3 + 1 };
#if !defined(GUARD_LATE) && !defined(NO_GUARD)
        STORE(guard = at + 1);
#endif
        STORE(first[at] = version);
#ifdef GUARD_LATE
        STORE(guard = at + 1);
#endif
#ifdef GUARD_SHORT
        STORE(guard = 0);
#endif
        STORE(last[at] = version);
        STORE(guard = 0)
    :: else -> break
    od;
    (killed);
dead:
    running = false
}

proctype killer()
{
    do
    :: kills < KILLS && running && !killed -> atomic { kills++; killed = true }
    :: kills == KILLS && !running -> break
    od
}

/* One process after another: adopts, then works. */
proctype processes()
{
    byte at, torn;
adopt:
    torn = 0;
#ifdef ADOPTER_CLEARS_FIRST
    at = guard;
    if
    :: at != 0 ->
        STORE(guard = 0);
        STORE(first[at - 1] = FREE);
        STORE(last[at - 1] = FREE);
        torn++
    :: else
    fi;
#else
    if
    :: guard != 0 ->
        STORE(first[guard - 1] = FREE);
        STORE(last[guard - 1] = FREE);
        STORE(guard = 0);
        torn++
    :: else
    fi;
#endif
    assert(torn <= 1);
    for (at : 0 .. ENTRIES - 1) {
        assert(killed || first[at] == last[at])
    }
    if
    :: killed -> goto dead
    :: else
    fi;
    run worker();
    (!running);
    goto again;
dead:
    running = false;
again:
    if
    :: kills < KILLS -> atomic { killed = false; running = true }; goto adopt
    :: else
    fi
}

init {
    running = true;
    atomic { run processes(); run killer() }
}
