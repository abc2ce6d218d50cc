"""Many sockets in one thread, each with its own conversation, told as a generator.

A conversation yields the epoll event that it waits for, and ends its connection by returning.
No futures, tasks or streams: what is measured is to be the connections, not their clients.

Reading list: epoll(7).
"""

import select
import socket
from collections.abc import Callable, Generator

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
MORE_EVENTS = 512       # taken from the kernel in one call

Conversation = Generator[int, None, None]


def received(connection: socket.socket, size_bytes: int) -> Generator[int, None, bytes]:
    """Part of a conversation: so many bytes, or fewer where the stream ends before."""
    got = b""
    while len(got) < size_bytes:
        yield READABLE
        piece = connection.recv(size_bytes - len(got))
        if not piece:
            break
        got += piece
    return got


class Conversations:
    """Those under way.  `failed` hears of each that an OSError ended."""

    def __init__(self, failed: Callable[[OSError], None]) -> None:
        self._failed = failed
        self._epoll = select.epoll()
        # By file descriptor: socket, conversation, event waited for.
        self._open: dict[int, tuple[socket.socket, Conversation, int]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, connection: socket.socket, conversation: Conversation) -> None:
        """`connection` does not block; it is closed when the conversation ends."""
        self._go_on(connection, conversation, 0)

    def turn(self, timeout_s: float | None = None) -> bool:
        """Wait until something happens, and let it happen; false where nothing did in time."""
        events = self._epoll.poll(timeout_s, MORE_EVENTS)
        for fd, _event in events:
            self._go_on(*self._open[fd])
        return bool(events)

    def abandon(self) -> None:
        """End all that are under way."""
        for connection, _conversation, _event in list(self._open.values()):
            self._end(connection)

    def _go_on(self, connection: socket.socket, conversation: Conversation, event: int) -> None:
        try:
            wanted = next(conversation, 0)
        except OSError as error:
            self._failed(error)
            wanted = 0
        if not wanted:
            self._end(connection)
            return
        if not event:
            self._epoll.register(connection, wanted)
        elif wanted != event:
            self._epoll.modify(connection, wanted)
        else:
            return
        self._open[connection.fileno()] = (connection, conversation, wanted)

    def _end(self, connection: socket.socket) -> None:
        """close(2) takes it out of the epoll set as well."""
        self._open.pop(connection.fileno(), None)
        connection.close()
