"""The secrets that the keys of cookies come from, and from which epoch on each counts.

Another secret counts from an epoch that hasn't begun, so that an epoch has one: what was sent under
the former one is then taken exactly as long as if nothing had changed, and no cookie needs a word
about its secret.  Three are enough: that of the epoch before, of this one, and of the next.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from cython_core.wire.siphash cimport SipKey

cdef enum:
    SECRETS = 3
    SECRET_BYTES = 16


cdef struct Secret:
    SipKey master
    uint32_t since              # the first epoch (proxy/cookie) that it counts for


cdef struct Secrets:
    Secret secret[SECRETS]      # the newest first


# The secret of an epoch; one that is older than all three has the oldest.
cdef inline const SipKey *secrets_master(const Secrets *secrets, uint32_t epoch) noexcept nogil:
    cdef uint32_t at
    for at in range(SECRETS - 1):
        if secrets.secret[at].since <= epoch:
            return &secrets.secret[at].master
    return &secrets.secret[SECRETS - 1].master

# Another one from `since` on, which is after the current epoch, in place of one that was to begin
# then; `master` has SECRET_BYTES.
cdef inline void secrets_rotate(Secrets *secrets, const uint8_t *master,
                                uint32_t since) noexcept nogil:
    cdef uint32_t at
    if secrets.secret[0].since < since:
        for at in range(SECRETS - 1, 0, -1):
            secrets.secret[at] = secrets.secret[at - 1]
    memcpy(&secrets.secret[0].master, master, SECRET_BYTES)
    secrets.secret[0].since = since
