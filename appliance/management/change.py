"""What is asked of the catalogue, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from synproxy.v1.revision_pb2 import Difference, Revision
from synproxy.v1.service_pb2 import Service

from appliance.config.live import Live


@dataclass(frozen=True)
class Change:
    """`before` is None of a new service, `after` of a deleted one.  `generation` is 0 where the
    change was only checked."""

    before: Service | None
    after: Service | None
    generation: int
    elapsed_ns: int


@dataclass(frozen=True)
class Wanted:
    """What is to run in place of all that does."""

    live: Live
    file: Live | None = None        # the configuration file, where it was taken with it
    confirm_within_s: float = 0     # 0: no confirmation is needed
    must_be_kept: bool = True
    ends_wait: bool = False         # it may take the place of a revision that isn't confirmed


@dataclass(frozen=True)
class Replacement:
    """`revision` is unset and `generation` 0 where the same runs already, or where the change was
    only checked."""

    differences: Sequence[Difference]
    revision: Revision | None
    generation: int
    elapsed_ns: int
