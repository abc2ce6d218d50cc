"""Whether an engine's tables agree with themselves and with each other.

    entries in use, free ones and fresh ones are all there are; each in use is found by its flow
    an entry that awaits its server and the record that awaits it name each other
    an armed record stands in its ring, one that waits for its turn in its server's queue, one with
    early data in the list of deliveries
    a server with somebody waiting stands in the round; who waits is counted, there and in all
    early segments stand once in the order of all, and once in the queue of one record
    a supply belongs to one entry
    no more connections part than there is room for
"""

from cython_core.proxy.synproxy cimport Proxy

# NULL, or a sentence that says what is wrong.
cdef const char *proxy_audit(const Proxy *proxy) noexcept nogil
