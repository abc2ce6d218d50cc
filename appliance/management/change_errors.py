"""Why services aren't changed; what of it has to do with revisions stands in state/history."""

from collections.abc import Sequence

from appliance.config.violation import Violation


class UnknownServiceError(Exception):
    """No service has this name."""


class ServiceExistsError(Exception):
    """A service has this name already."""


class NoSlotError(Exception):
    """There are as many services as the data plane has been told at start."""


class StaleEtagError(Exception):
    """The service has changed since the caller read it."""


class InvalidServiceError(Exception):
    """The change would break rules; nothing was changed."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{v.path}: {v.reason}" for v in violations))
        self.violations = violations


class NotAcknowledgedError(Exception):
    """The snapshot is published, but a worker hasn't run it in time."""
