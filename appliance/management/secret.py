"""The secret of the cookies: how many there have been, and from when the last one counts.

Here is only ever its number; the secret itself stays in the data plane.
"""

from collections.abc import Callable
from functools import partial

from google.protobuf.timestamp_pb2 import Timestamp
from synproxy.v1.system_service_pb2 import SecretState

from appliance.management.catalogue import Catalogue
from appliance.management.changes import change_note, fields_changed
from cython_core.dataplane import Dataplane


class Secret:
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._state = SecretState(number=1)

    @property
    def state(self) -> SecretState:
        return self._state

    async def rotate(self) -> None:
        """Returns once every worker knows it.  Raises what Catalogue.republish does."""
        await self._catalogue.republish(self._draw)

    def _draw(self) -> Callable[[], None]:
        rotation = self._dataplane.rotate()
        return partial(self._remember, SecretState(
            number=self._state.number + 1,
            effective_time=Timestamp(seconds=rotation.since_s),
            former_expire_time=Timestamp(seconds=rotation.former_until_s),
        ))

    def _remember(self, state: SecretState) -> None:
        former, self._state = self._state, state
        change_note("system/secret", fields_changed(former, state))
