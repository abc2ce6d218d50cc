"""How many new connections a service takes, in all and of one prefix of clients.

Asked once a client has proven its address, and before anything else is done for it: what a forged
source sends uses up nobody's bound, and what is beyond a bound makes nobody room.  Who is beyond
its prefix's bound uses up none of its service's.

What is refused is dropped by name, without an answer, as what is beyond `unknown_rate` is: the
client believes to be connected and says its segment again, each time after twice as long, and its
cookie is good for a minute at least.
"""

from libc.stdint cimport uint8_t

from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow

# VERDICT_NONE: it counts, and may open; else the reason to drop it.
cdef uint8_t bounds_take(Proxy *proxy, const Flow *flow, const Service *service) noexcept nogil
