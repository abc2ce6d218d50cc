"""How the daemon ends, where nothing is left to be proxied or the drain itself fails."""

import asyncio
import signal
import time

import pytest

from appliance.ending import Ending

from .plane import worker_state

LONG_S = 60


@pytest.fixture
def ended(daemon):
    """Asks a daemon with one entry in its table to end; how long it waited, in seconds."""
    daemon.plane.states = [worker_state(connections=1)]

    def end(*signals, grace_s=LONG_S):
        async def drain():
            ending = Ending()
            for how in signals:
                ending.ask(how)
            began_s = time.monotonic()
            async with asyncio.timeout(LONG_S):
                await ending.asked.wait()
                await ending.drain(daemon.server.draining, grace_s)
            return time.monotonic() - began_s

        return daemon.call(drain())

    return end


@pytest.mark.parametrize("signals", [
    (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT),
])
def test_some_signals_leave_no_time_for_a_drain(ended, daemon, signals):
    ended(*signals)
    assert daemon.plane.drains == []


def test_no_grace_is_no_drain(ended, daemon):
    ended(signal.SIGTERM, grace_s=0)
    assert daemon.plane.drains == []


def test_an_empty_table_is_no_drain(ended, daemon):
    daemon.plane.states = [worker_state(connections=0)]
    ended(signal.SIGTERM)
    assert daemon.plane.drains == []


def test_the_grace_is_the_most_that_it_waits(ended, daemon, capfd):
    assert 1 <= ended(signal.SIGTERM, grace_s=1) < 5
    assert daemon.plane.drains == ["bridge"]
    assert "in 1s at the latest; SIGTERM again ends it at once" in capfd.readouterr().err


def test_a_drain_that_there_is_no_memory_for_is_told_and_not_waited_for(ended, daemon, capfd):
    daemon.plane.failing = True
    assert ended(signal.SIGTERM) < 5
    assert "synproxyd: ends without a drain: no memory" in capfd.readouterr().err
