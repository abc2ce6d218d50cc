"""One pair of ports: the connections that its client has tried, and what its server has of them."""

from dataclasses import dataclass, field

from .endpoint import CLOSED, Abilities, Endpoint
from .frames import Way

GOLDEN = 0x9E3779B1         # odd: so its multiples are ISNs far from each other


def wrap(number: int) -> int:
    return number % 2**32


@dataclass
class Try:
    """A connection that a client has asked for; it may be opened at the server more than once."""

    number: int
    client: Endpoint
    # Our ISNs, and when each was first said.
    cookies: dict[int, int] = field(default_factory=dict)
    asked_timestamps: bool = False      # of its server, by the last SYN
    opened: int = 0             # how often its ACK has led to a SYN, at once or in its turn
    asked: int = 0              # which of these its server has heard of
    excused: bool = False       # what kept it from opening once more is gone
    over: bool = False          # a RST has ended it, or its server has refused it

    @property
    def seed(self) -> int:
        return 2 * self.number

    @property
    def server_seed(self) -> int:
        return 2 * self.number + 1


@dataclass
class Joined:
    """Two ends that the proxy has joined, and the offsets that must hold until they part."""

    attempt: Try
    server: Endpoint
    seq_offset: int
    ts_offset: int | None
    supplied: bool              # the server has no timestamps, so that its client gets ours
    last_tsval: int             # to the client: of a clock that we supply
    active_ms: int              # the last segment that was translated
    used: bool = False          # its server has said something since its SYN-ACK


class Flow:
    def __init__(self, there: Way, client: Abilities, server: Abilities):
        self.there, self.client_abilities, self.server_abilities = there, client, server
        self.tries: dict[int, Try] = {}         # by the client's ISN
        self.by_cookie: dict[int, Try] = {}
        self.attempt: Try | None = None         # the client's current one
        self.server: Endpoint | None = None
        self.joined: Joined | None = None

    @property
    def client(self) -> Endpoint | None:
        return self.attempt.client if self.attempt else None

    def forget(self, before_ms: int) -> None:
        """Tries whose cookies are older."""
        self.tries = {isn: attempt for isn, attempt in self.tries.items()
                      if attempt is self.attempt or not attempt.cookies
                      or max(attempt.cookies.values()) >= before_ms}
        kept = set(map(id, self.tries.values()))
        self.by_cookie = {isn: attempt for isn, attempt in self.by_cookie.items()
                          if id(attempt) in kept}

    def free(self, end: Endpoint | None) -> bool:
        """Whether a new connection may begin there."""
        return end is None or end.state == CLOSED or end.done
