/* The handshake: a client, a proxy that keeps nothing for its SYN, a server, and somebody who hears
 * nothing and says anything.  Wires lose and double; secrets rotate; epochs pass.
 *
 * A cookie is who it was sent to, its epoch, and the secret that its epoch had.  What SipHash makes
 * of these can't be guessed, so a guess is the secret NOBODYS.
 *
 *   - a server hears a SYN only where its client has heard our SYN-ACK
 *   - and once for each: the entry stays, as a tombstone at last, for as long as the cookie is good
 *   - a cookie is taken in its epoch and the next one, in which a box with the same secrets takes it
 *     too, and in none behind; whatever is rotated when
 *
 * Broken on purpose:  -DROTATE_AT_ONCE  -DNO_SECRET  -DNO_TOMBSTONE  -DTHREE_EPOCHS
 */
#define EPOCHS 3
#define NOBODYS 7
#define ACKS 2                  /* as many copies as come: lost ones don't */
#define GUESSES 1
#define RETRIES 1
#define ROTATIONS 1

mtype = { SYN, SYNACK, ACK, RST, DATA };
mtype = { NONE, AWAITED, JOINED, TOMBSTONE };

/* (what, epoch of the cookie, its secret), from and to the client */
chan from_client = [2] of { mtype, byte, byte };
chan to_client = [1] of { mtype, byte, byte };
chan to_server = [1] of { mtype };
chan from_server = [1] of { mtype };

byte epoch = 1;
byte secret[EPOCHS + 2];        /* of each epoch */
byte rotations;
mtype entry = NONE;
byte entered;                   /* the epoch in which its cookie was made */
byte retries;
bool heard;                     /* the client has our SYN-ACK */
byte opened;                    /* SYNs for a proof */
bool server_up;

#define MADE_NOW epoch, secret[epoch]
#define SAY(wire, what) if :: nfull(wire) -> wire!what :: true /* lost */ fi

/* Whatever SYN-ACK comes again, it acknowledges the first: RFC 9293 3.10.7.4. */
proctype client()
{
    byte e, s, mine, mine_s, acks;
    from_client!SYN, 0, 0;
    do
    :: to_client?SYNACK, e, s ->
        if
        :: !heard -> atomic { heard = true; mine = e; mine_s = s }
        :: else
        fi
    :: heard && acks < ACKS && nfull(from_client) -> from_client!ACK, mine, mine_s; acks++
    :: to_client?RST, e, s
    :: to_client?DATA, e, s
    :: timeout -> break
    od
}

/* The client's address is the source, so that its guesser hears none of the answers. */
proctype forger()
{
    byte guesses;
    do
    :: guesses < GUESSES && nfull(from_client) -> from_client!ACK, 1, NOBODYS; guesses++
    :: guesses < GUESSES && nfull(from_client) -> from_client!SYN, 0, 0; guesses++
    :: guesses == GUESSES -> break
    od
}

/* Time; another secret counts from the next epoch on. */
proctype clock()
{
    byte later;
    do
    :: epoch < EPOCHS -> atomic {
           epoch++;
           if   /* a tombstone is kept for as long as its cookie is good */
           :: entry == TOMBSTONE && epoch > entered + 1 -> entry = NONE
           :: else
           fi }
    :: rotations < ROTATIONS -> atomic {
           rotations++;
#ifdef ROTATE_AT_ONCE
           later = epoch;
#else
           later = epoch + 1;
#endif
           do
           :: later <= EPOCHS + 1 -> secret[later] = rotations; later++
           :: else -> break
           od }
    :: epoch == EPOCHS -> break
    od
}

proctype proxy()
{
    byte e, s;
    bool good;
    do
    :: from_client?SYN, _, _ -> atomic { SAY(to_client, SYNACK(MADE_NOW)) }
    :: from_client?ACK, e, s -> atomic {
           good = (s != NOBODYS && s == secret[e]);
#ifdef NO_SECRET
           good = true;
#endif
#ifdef THREE_EPOCHS
           good = good && epoch <= e + 2;
#else
           good = good && epoch <= e + 1;
#endif
           /* A cookie that our client has is good for an epoch. */
           assert(good || s == NOBODYS || epoch > e + 1);
           assert(!good || epoch <= e + 1);
           if
           :: good && entry == NONE ->
               assert(heard);
               opened++;
               assert(opened == 1);
               entry = AWAITED;
               entered = e;
               retries = 0;
               SAY(to_server, SYN)
           :: else
           fi }
    :: from_server?SYNACK -> atomic {
           if
           :: entry == AWAITED -> entry = JOINED; SAY(to_server, ACK); SAY(to_client, DATA(0, 0))
           :: entry == JOINED -> SAY(to_server, ACK)
           :: entry == TOMBSTONE || entry == NONE -> SAY(to_server, RST)
           fi }
    :: entry == AWAITED && retries < RETRIES -> atomic { retries++; SAY(to_server, SYN) }
    :: entry == AWAITED && retries == RETRIES -> atomic {    /* silent: its client is told */
#ifdef NO_TOMBSTONE
           entry = NONE;
#else
           entry = TOMBSTONE;
#endif
           SAY(to_client, RST(0, 0)) }
    :: entry == JOINED -> atomic {                          /* both have said FIN, or idle */
#ifdef NO_TOMBSTONE
           entry = NONE
#else
           entry = TOMBSTONE
#endif
           }
    :: timeout -> break
    od
}

proctype server()
{
    do
    :: to_server?SYN -> atomic { assert(heard); SAY(from_server, SYNACK) }
    :: to_server?ACK -> server_up = true
    :: to_server?RST -> server_up = false
    :: timeout -> break
    od
}

init {
    atomic { run client(); run forger(); run clock(); run proxy(); run server() }
}
