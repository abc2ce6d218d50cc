"""How long synproxy waits for the daemon, and what it says where no answer came in that time."""

import asyncio

import pytest

from appliance.exit_codes import ExitCode
from appliance.management import bounds, guard

from .methods import changing


@pytest.fixture
def given_s(monkeypatch):
    """By the method's path: how long its caller gives it."""
    seconds: dict[str, float] = {}
    check = guard._check_role

    async def checked(caller, method, context):
        seconds[method] = context.time_remaining()
        await check(caller, method, context)

    monkeypatch.setattr(guard, "_check_role", checked)
    return seconds


def test_a_command_that_changes_something_waits_longer_than_the_daemon_does(
    daemon, synproxy, given_s
):
    for arguments in (
        ("service", "create", "dns", "--prefix", "192.0.2.53", "--port", "53"),
        ("service", "set", "web", "mss=1300"), ("service", "delete", "mail"),
        ("config", "apply", str(daemon.path)), ("config", "rollback", "1"), ("config", "confirm"),
        ("connection", "delete", "198.51.100.7:40000", "192.0.2.7:443"),
        ("drain",), ("undrain",), ("secret", "rotate"), ("log-level", "--dpdk", "error"),
    ):
        synproxy(*arguments)
    assert set(given_s) == changing()
    assert min(given_s.values()) > bounds.UNARY_DEADLINE_S


@pytest.mark.parametrize(
    ("module", "arguments", "told_by"),
    [
        ("service_change", ("service", "set", "web", "mss=1300"), "synproxy config history"),
        ("config_change", ("config", "rollback", "1"), "synproxy config history"),
        ("drain", ("drain",), "synproxy system show"),
    ],
)
def test_a_change_that_is_not_answered_in_time_may_be_made_and_the_client_says_so(
    daemon, synproxy, monkeypatch, module, arguments, told_by
):
    synproxy("service", "set", "web", "mss=1200")
    monkeypatch.setattr(f"appliance.cli.{module}.CHANGE_TIMEOUT_S", 0.2)
    published = len(daemon.plane.published)
    daemon.plane.stuck = True
    result = synproxy(*arguments)
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert result.stderr.splitlines() == [
        "synproxy: Deadline Exceeded",
        f"synproxy: what was asked for may be done all the same; `{told_by}` tells",
    ]
    assert len(daemon.plane.published) == published + 1


def test_of_a_look_that_is_not_answered_in_time_nothing_more_is_said(synproxy, monkeypatch):
    async def never(caller, method, context):
        await asyncio.Event().wait()

    monkeypatch.setattr(guard, "_check_role", never)
    monkeypatch.setattr("appliance.cli.config.TIMEOUT_S", 0.2)
    result = synproxy("config", "history")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert result.stderr == "synproxy: Deadline Exceeded\n"
