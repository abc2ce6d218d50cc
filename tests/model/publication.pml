/* How a snapshot of the services comes to the workers, and when the former one may be freed:
 * cython_core/dataplane (publish, generation_seen), dpdk/crew, dpdk/worker (snapshot_take).
 *
 * A worker loads the pointer once a turn, takes what it points to, then tells the generation, and
 * reads nothing else until its next turn.  The control thread frees what was replaced once the
 * oldest generation told is a newer one, and answers an update then.  Each step is one store or
 * load: the product's are a release or an acquire, which keep their order.
 *
 * Broken on purpose:  -DFREE_AT_ONCE  -DTELL_FIRST  -DASK_ONE_WORKER
 */
#define WORKERS 2
#define UPDATES 3

byte pointer = 0;               /* the generation that is published */
bool alive[UPDATES + 1];        /* memory that is not freed */
byte told[WORKERS];             /* progress.generation */
byte taken[WORKERS];            /* what a worker reads from */

proctype worker(byte me)
{
    byte loaded;
turn:
    loaded = pointer;
    if
    :: loaded != told[me] ->
#ifdef TELL_FIRST
        told[me] = loaded;
        assert(alive[taken[me]]);       /* the turn before goes on */
        taken[me] = loaded
#else
        taken[me] = loaded;
        told[me] = loaded
#endif
    :: else
    fi;
    assert(alive[taken[me]]);           /* match, and again decide */
    assert(alive[taken[me]]);
end_idle:
    goto turn
}

proctype control()
{
    byte update, freed = 0, oldest, seen, i;
    for (update : 1 .. UPDATES) {
        alive[update] = true;
        pointer = update;
#ifdef FREE_AT_ONCE
        alive[update - 1] = false;
        freed = update;
#endif
        do
        :: oldest = UPDATES;
           i = 0;
           do
#ifdef ASK_ONE_WORKER
           :: i < 1 ->
#else
           :: i < WORKERS ->
#endif
               seen = told[i];             /* one load: it may be another the next time */
               if
               :: seen < oldest -> oldest = seen
               :: else
               fi;
               i++
           :: else -> break
           od;
           do
           :: freed < oldest -> alive[freed] = false; freed++
           :: else -> break
           od;
           if
           :: oldest >= update -> break         /* the update is answered */
           :: true -> break                     /* its caller has gone: the next one comes */
           :: oldest < update
           fi
        od;
        if
        :: oldest >= update ->
            for (i : 0 .. WORKERS - 1) { assert(taken[i] >= update) }
        :: else
        fi
    }
}

init {
    alive[0] = true;
    atomic { run worker(0); run worker(1); run control() }
}
