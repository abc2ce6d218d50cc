"""What a daemon that starts runs, where there is not room for all of it."""

import pytest
from synproxy.v1.service_pb2 import Service

from appliance import lifecycle
from appliance.config.live import Live
from appliance.refusal import Refusal
from appliance.state.history import History, Origin
from appliance.state.start import Start
from cython_core.dataplane import DataplaneError

from .plane import Plane


class Small(Plane):
    """Has room for so many services."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def publish(self, services):
        if len(services) > self.room:
            raise DataplaneError("no memory for another snapshot")
        return super().publish(services)


@pytest.mark.parametrize(("room", "runs"), [(2, ["web", "mail"]), (1, ["web"])])
def test_where_there_is_no_room_for_what_was_changed_the_file_runs_alone(room, runs):
    web, mail = (
        Service(name=name, prefixes=[prefix], ports=["80"])
        for name, prefix in (("web", "192.0.2.1"), ("mail", "192.0.2.2")))
    file = Live(services={"web": web})
    start = Start(History(), Live(services={"web": web, "mail": mail}), file, Origin("f", "start"))
    made = lifecycle.catalogue_make(start, Small(room), 4)
    assert list(made.live.services) == runs
    assert bool(start.notices) == (room == 1)
    with pytest.raises(Refusal, match="no memory"):
        lifecycle.catalogue_make(start, Small(0), 4)
