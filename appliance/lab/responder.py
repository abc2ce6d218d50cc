"""The server that `appliance.lab.churn` turns connections over with:
`python -m appliance.lab.responder`.

It listens on PORTS of both families.  A request is a number, the answer is ANSWER_BYTES that only
that number gives; the request also says which side closes first.  SIGTERM ends it.
"""

import hashlib
import signal
import socket
import sys

from appliance.lab.conversations import READABLE, Conversation, Conversations, received
from appliance.lab.listening import start_server
from appliance.lab.namespace import python_module
from appliance.lab.topology import Lab

PORTS = range(7071, 7079)       # protected in the lab, and free of other servers
BACKLOG = 4096                  # as many as may wait in a namespace by default (somaxconn)
REQUEST_BYTES = 9
ANSWER_BYTES = 64
SERVER_CLOSES = b"S"
CLIENT_CLOSES = b"C"


def request_make(number: int, *, server_closes: bool) -> bytes:
    return number.to_bytes(REQUEST_BYTES - 1) + (
        SERVER_CLOSES if server_closes else CLIENT_CLOSES)


def answer_to(request: bytes) -> bytes:
    return hashlib.blake2b(request, digest_size=ANSWER_BYTES).digest()


def serve_one(connection: socket.socket) -> Conversation:
    request = yield from received(connection, REQUEST_BYTES)
    if len(request) < REQUEST_BYTES:
        return
    connection.send(answer_to(request))
    if request.endswith(CLIENT_CLOSES):
        yield READABLE
        connection.recv(1)


def accept_all(listener: socket.socket, conversations: Conversations) -> Conversation:
    """The listener's own conversation never ends."""
    while True:
        yield READABLE
        try:
            while True:
                connection, _address = listener.accept()
                connection.setblocking(False)
                conversations.begin(connection, serve_one(connection))
        except BlockingIOError:
            pass


def start_responder(lab: Lab) -> None:
    """Serve in the server namespace until the lab ends."""
    start_server(lab, "responder", python_module("appliance.lab.responder"), *PORTS, sockets=1)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # A client that goes away is its own to report.
    conversations = Conversations(failed=lambda _error: None)
    for port in PORTS:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG,
                                        dualstack_ipv6=True)
        listener.setblocking(False)
        conversations.begin(listener, accept_all(listener, conversations))
    while True:
        conversations.turn()


if __name__ == "__main__":
    main()
