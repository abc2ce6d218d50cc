"""Python doors to parts of floor 2 that stand alone: a table, and cookies; not in the image."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free

from cython_core._testing_structs cimport block, flow_of, master_of, service_of
from cython_core.proxy.conntable cimport (
    ConnTable, conntable_bytes, conntable_find, conntable_init, conntable_insert, conntable_remove,
    conntable_words,
)
from cython_core.proxy.cookie cimport (
    Cookie, CookieKeys, Offer, cookie_agrees, cookie_key_of, cookie_keys_derive, cookie_mac,
    cookie_named, cookie_read, cookie_words,
)
from cython_core.proxy.secrets cimport Secrets
from cython_core.proxy.service cimport Service
from cython_core.wire.segment cimport Flow
from cython_core.wire.siphash cimport SIPHASH_WORDS, SipKey, siphash_words


cdef class Table:
    """A connection table alone; flows are (client, client port, server, server port), the
    addresses 16 bytes."""

    cdef ConnTable *table
    cdef SipKey key

    def __cinit__(self, uint32_t capacity):
        self.table = conntable_init(block(conntable_bytes(capacity)), capacity)
        self.key.k0 = 5
        self.key.k1 = 6

    def __dealloc__(self):
        free(self.table)

    @property
    def used(self):
        return self.table.used

    @property
    def bytes(self):
        return self.table.bytes

    def insert(self, flow):
        """False: full."""
        cdef Flow key = flow_of(flow)
        return conntable_insert(self.table, self.digest(&key), &key) != NULL

    def find(self, flow):
        cdef Flow key = flow_of(flow)
        return conntable_find(self.table, self.digest(&key), &key) != NULL

    def remove(self, flow):
        cdef Flow key = flow_of(flow)
        conntable_remove(self.table, self.digest(&key),
                         conntable_find(self.table, self.digest(&key), &key))

    cdef uint64_t digest(self, const Flow *flow):
        cdef uint64_t[SIPHASH_WORDS] words
        conntable_words(words, 1, flow)
        return siphash_words(words, &self.key)


cdef class Cookies:
    """What one service accepts as its cookies at one time; flows are as in Table."""

    cdef Service service
    cdef CookieKeys keys

    def __cinit__(self, service, uint64_t now_s, master=(1, 2)):
        cdef Secrets secrets
        master_of(&secrets, master)
        self.service = service_of(service)
        cookie_keys_derive(&self.keys, &secrets, now_s)

    def check(self, flow, uint8_t family, uint32_t client_isn, uint32_t isn, tsval=None):
        """What the client had offered, as a dict, or None.  `tsval`: of our SYN-ACK."""
        cdef Flow key = flow_of(flow)
        cdef Offer offer
        cdef Cookie cookie
        cookie.isn = isn
        cookie.tsval = 0 if tsval is None else tsval
        if not self.holds(&cookie, tsval is not None, &key, family, client_isn, &offer):
            return None
        return {"mss": offer.mss, "wscale": offer.wscale, "sack": bool(offer.sack),
                "ecn": bool(offer.ecn), "announced_wscale": offer.announced_wscale,
                "announced_sack": bool(offer.announced_sack)}

    def mac(self, flow, uint32_t client_isn, uint32_t tag, uint32_t bits):
        """What the MAC of these is in the current epoch; `bits` are cookie_bits'."""
        cdef Flow key = flow_of(flow)
        cdef uint64_t[SIPHASH_WORDS] words
        cookie_words(words, 1, &key, tag, bits)
        return cookie_mac(siphash_words(words, &self.keys.epoch[self.keys.number & 1]), client_isn)

    def count(self, flow, uint8_t family, uint32_t client_isn, uint32_t first, uint32_t step,
              uint32_t n, tsval=None):
        """How many of the `n` ISNs first, first + step, ... are cookies."""
        cdef Flow key = flow_of(flow)
        cdef bint timestamps = tsval is not None
        cdef uint32_t i
        cdef uint32_t good = 0
        cdef Offer offer
        cdef Cookie cookie
        cookie.tsval = 0 if tsval is None else tsval
        for i in range(n):
            cookie.isn = first + i * step
            good += self.holds(&cookie, timestamps, &key, family, client_isn, &offer)
        return good

    # Whether it was sent to `flow`, whose ISN was `isn`; then `offer` says what that had offered.
    cdef bint holds(self, const Cookie *cookie, bint timestamps, const Flow *flow, uint8_t family,
                    uint32_t isn, Offer *offer) noexcept:
        cdef uint64_t[SIPHASH_WORDS] words
        cdef uint64_t digest
        cdef uint32_t bits = cookie_named(cookie, timestamps, &self.service, &self.keys)
        cookie_words(words, 1, flow, self.service.tag, bits)
        digest = siphash_words(words, cookie_key_of(&self.keys, bits))
        if not cookie_agrees(cookie, cookie_mac(digest, isn), bits):
            return False
        cookie_read(bits, family, offer)
        return True
