"""What systemd hears, and when it has no time to: nobody waits for it."""

import socket
import threading
from contextlib import suppress

import pytest

from appliance import notify as telling
from appliance.notify import notify, notify_beat, notify_reloading, notify_running

SOON_S = 10


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as heard:
        heard.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", heard.getsockname())
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        yield heard
    telling._unsent.clear()


@pytest.fixture
def stalled(systemd):
    """It has as much to read as it takes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as other:
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"other", systemd.getsockname())
        yield systemd


def at_once(*works):
    """Done without waiting for systemd."""
    def run():
        for work in works:
            work()

    working = threading.Thread(target=run, daemon=True)
    working.start()
    working.join(SOON_S)
    assert not working.is_alive(), "it waits for systemd"


def heard(systemd):
    """The daemon's own words since it was asked before."""
    words = []
    with suppress(BlockingIOError):
        while True:
            words.append(systemd.recv(4096).decode())
    return [one for one in words if one != "other"]


def test_what_a_stalled_systemd_misses_it_hears_in_order_at_the_next_beat(stalled):
    at_once(lambda: notify("READY=1"), notify_reloading, lambda: notify_running("bad\nfile"),
            lambda: notify_beat(alive=True))
    assert heard(stalled) == []
    notify_beat(alive=False)
    ready, reloading, running = heard(stalled)
    assert ready == "READY=1"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert running == "READY=1\nSTATUS=reload failed: bad file"
    notify_beat(alive=False)
    assert heard(stalled) == []


def test_of_all_that_it_misses_it_hears_the_newest(stalled):
    at_once(*[notify_reloading, lambda: notify_running("bad")] * 100,
            lambda: notify("STOPPING=1"))
    assert heard(stalled) == []
    notify_beat(alive=False)
    *_, reloading, running, stopping = told = heard(stalled)
    assert len(told) == telling.UNSENT_MAX
    assert reloading.startswith("RELOADING=1")
    assert (running, stopping) == ("READY=1\nSTATUS=reload failed: bad", "STOPPING=1")


def test_that_the_daemon_was_alive_is_not_told_later(stalled):
    at_once(lambda: notify_beat(alive=True))
    assert heard(stalled) == []
    notify_beat(alive=False)
    assert heard(stalled) == []


def test_what_was_missed_comes_before_the_next_sign_of_life(stalled):
    at_once(lambda: notify("READY=1"))
    assert heard(stalled) == []
    notify_beat(alive=True)
    assert heard(stalled) == ["READY=1", "WATCHDOG=1"]


def test_who_has_no_watchdog_hears_no_signs_of_life(systemd, monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC")
    notify_beat(alive=True)
    notify("READY=1")
    assert heard(systemd) == ["READY=1"]


def test_without_systemd_nothing_happens(systemd, monkeypatch):
    for address in ("", "relative", f"{systemd.getsockname()}.gone"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
        notify_beat(alive=True)
    assert heard(systemd) == []
