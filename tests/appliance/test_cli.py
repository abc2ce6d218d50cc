"""synproxy as a user and a script meet it: what it prints, and how it ends."""

import json
import signal
import subprocess
import time
from ipaddress import ip_address

import pytest
import yaml
from click.testing import CliRunner

from appliance.api import CONFIGURATION, SERVICE_NAMES
from appliance.cli.connection import default_address
from appliance.cli.main import main
from appliance.cli.output import table_text
from appliance.exit_codes import ExitCode
from appliance.lab.namespace import synproxy_command
from cython_core.dataplane import (
    COUNTER_HELP,
    COUNTERS,
    DROP_REASONS,
    CookieSwitch,
    LearnedServer,
)

# Bounds of design: what a command may take, without waiting for anything.
HELP_S = 0.15
LIST_S = 0.4
ATTEMPTS = 7        # other work on the machine slows some of them


@pytest.fixture
def synproxy(daemon):
    """Runs the client against the daemon; returns its result."""

    def run(*arguments, address=daemon.address):
        return CliRunner().invoke(main, ["--address", address, *arguments])

    return run


def test_services_are_a_table(synproxy):
    assert synproxy("service", "list").stdout.splitlines() == [
        "SERVICE  PREFIXES      PORTS          OPTIONS",
        "web      192.0.2.0/24  443 8000-8100  mss=1400",
        "mail     192.0.2.25    25",
    ]


def test_a_service_shows_what_is_set_and_what_is_in_effect(synproxy):
    lines = synproxy("service", "get", "web").stdout.splitlines()
    said, etag = lines[0].split(", etag ")
    assert len(etag) == 24
    assert [said, *lines[1:3]] == [
        "web: 192.0.2.0/24 ports 443 8000-8100",
        "OPTION                     SET   EFFECTIVE",
        "mss                        1400  1400",
    ]
    assert "wscale                     -     9" in lines


@pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_message_with_the_schemas_names(synproxy, output, load):
    services = load(synproxy("service", "list", "-o", output).stdout)["services"]
    assert services[0]["options"] == {"mss": 1400}
    assert services[0]["effective_options"]["timeouts"]["established"] == "28800s"
    stats = load(synproxy("stats", "-o", output).stdout)
    assert stats["workers"][0]["counters"][COUNTERS[0]] == "7"
    changed = load(synproxy("service", "set", "web", "mss=1300", "-o", output).stdout)
    assert changed["service"]["options"]["mss"] == 1300


def test_set_shows_before_after_and_how_long_it_took(synproxy):
    lines = synproxy(
        "service", "set", "web", "mss=1300", "timeouts.established=2h", "sack=true"
    ).stdout.splitlines()
    assert lines[:4] == [
        "OPTION                BEFORE  AFTER",
        "mss                   1400    1300",
        "sack                  true    true",
        "timeouts.established  8h      2h",
    ]
    assert lines[4].startswith("all workers run generation 2 after ")
    assert lines[4].endswith(" ms")


def test_default_takes_back_what_was_set(synproxy):
    assert "mss     1400    1460" in synproxy("service", "set", "web", "mss=default").stdout


def test_validate_only_changes_nothing(synproxy):
    lines = synproxy("service", "set", "web", "mss=1300", "--validate-only").stdout.splitlines()
    assert lines[1:] == ["mss     1400    1300", "valid; nothing was changed"]
    assert "mss=1400" in synproxy("service", "list").stdout


@pytest.fixture
def learned(daemon):
    """Three servers, of which the data plane tells in an order of its own."""
    daemon.plane.servers = [
        LearnedServer(ip_address("2001:db8::1"), 8443, None, 1440, None, False, True, 3600),
        LearnedServer(ip_address("192.0.2.25"), 25, 1, 536, 0, True, False, 0),
        LearnedServer(ip_address("192.0.2.7"), 443, 0, 1460, 7, True, True, 95),
    ]


@pytest.mark.usefixtures("learned")
def test_servers_are_a_table(synproxy):
    assert synproxy("server", "list").stdout.splitlines() == [
        "ADDRESS      PORT  SERVICE   MSS  WSCALE  SACK  TIMESTAMPS    AGE",
        "192.0.2.7     443  web      1460       7  yes   yes         1m35s",
        "192.0.2.25     25  mail      536       0  yes   no             0s",
        "2001:db8::1  8443  -        1440       -  no    yes            1h",
    ]


@pytest.mark.usefixtures("learned")
def test_the_servers_of_one_service(synproxy):
    lines = synproxy("server", "list", "--service", "mail").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ADDRESS", "192.0.2.25"]


def test_a_list_of_servers_has_every_page(daemon, synproxy):
    daemon.plane.servers = [
        LearnedServer(ip_address("192.0.2.7"), port, 0, 1460, 7, True, True, 1)
        for port in range(1, 2502)
    ]
    listed = json.loads(synproxy("server", "list", "-o", "json").stdout)
    assert [server["port"] for server in listed["servers"]] == list(range(1, 2502))
    assert listed["next_page_token"] == ""


@pytest.mark.usefixtures("learned")
@pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_servers_with_the_schemas_names(synproxy, output, load):
    first, _, last = load(synproxy("server", "list", "-o", output).stdout)["servers"]
    assert first == {
        "address": "192.0.2.7", "port": 443, "service": "web", "mss": 1460, "wscale": 7,
        "sack": True, "timestamps": True, "age": "95s",
    }
    assert "wscale" not in last


def test_stats_say_where_syns_meet_cookies_and_since_when(daemon, synproxy):
    assert cookies(synproxy("stats")) == ["web      on       start", "mail     off      2m10s ago"]
    daemon.plane.cookies = [CookieSwitch(False, None), CookieSwitch(True, 0.9)]
    assert cookies(synproxy("stats")) == ["web      off      start", "mail     on       0s ago"]


def cookies(result):
    """The rows of that table."""
    _, _, table = result.stdout.partition("SERVICE  COOKIES  SINCE\n")
    return table.partition("\n\n")[0].splitlines()


def test_stats_sum_the_workers_and_name_the_drops(synproxy):
    lines = synproxy("stats").stdout.splitlines()
    assert f"received     14  {COUNTER_HELP['received']}" in lines
    assert any(line.split()[:2] == [DROP_REASONS[-1], "6"] for line in lines)
    assert any(line.split() == ["2", "1", "2/1024", "1/64", "25.0%"] for line in lines)


def test_drops_stand_by_their_number_and_zeros_only_where_asked_for(daemon, synproxy):
    daemon.plane.counters |= {DROP_REASONS[1]: 5, DROP_REASONS[2]: 50}
    assert dropped(synproxy("stats")) == [DROP_REASONS[2], DROP_REASONS[1], DROP_REASONS[-1]]
    assert set(dropped(synproxy("stats", "--all"))) == set(DROP_REASONS)


def test_where_nothing_was_counted_it_says_so(daemon, synproxy):
    daemon.plane.counters = dict.fromkeys(COUNTERS, 0)
    lines = synproxy("stats").stdout.splitlines()
    assert "no frame has come yet" in lines
    assert "nothing was dropped" in lines


def test_a_narrow_terminal_costs_prose_and_no_number(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    row = ("received", 1234567890, "Frames taken from the ports.")
    assert table_text(("A", "B", "C"), [row], numbers=(1,), prose=True).splitlines() == [
        "A                  B  C", "received  1234567890  Frames t",
    ]
    assert str(row[2]) in table_text(("A", "B", "C"), [row])


def dropped(result):
    """The reasons in the table of drops."""
    _, _, table = result.stdout.partition("DROPPED")
    rows = table.partition("\n\n")[0].splitlines()[1:]
    return [row.split()[0] for row in rows]


def process(daemon, *arguments, **how):
    return subprocess.Popen(
        synproxy_command(*arguments, address=daemon.address), stderr=subprocess.PIPE, text=True,
        **how,
    )


def test_watching_shows_rates_and_ends_well_with_ctrl_c(daemon):
    watching = process(daemon, "stats", "--watch", "--interval", "0.1", stdout=subprocess.PIPE)
    for line in watching.stdout:
        if "PER SECOND" in line:
            break
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=10)
    assert (watching.returncode, said) == (ExitCode.OK, "")


def test_a_reader_that_has_seen_enough_is_no_error(daemon):
    watching = process(daemon, "stats", "--watch", "--interval", "0.1", stdout=subprocess.PIPE)
    watching.stdout.readline()
    watching.stdout.close()
    assert watching.wait(timeout=10) == ExitCode.OK
    assert watching.stderr.read() == ""


def test_a_full_disk_is_told_in_one_line(daemon):
    with open("/dev/full", "w") as full:
        listing = process(daemon, "service", "list", stdout=full)
        assert listing.wait(timeout=10) == ExitCode.FAILED
    assert listing.stderr.read() == "synproxy: can't write: No space left on device\n"


@pytest.mark.parametrize("address", ["nonsense", "unix:", "/run/synproxy/api.sock"])
def test_what_is_no_address_is_a_usage_error(synproxy, address):
    result = synproxy("stats", address=address)
    assert result.exit_code == ExitCode.USAGE
    assert f"--address must be unix:/path or host:port, not {address}" in result.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "[::1]:65536", "localhost:0"])
def test_a_port_that_is_none_is_a_usage_error_with_the_range(synproxy, address):
    result = synproxy("stats", address=address)
    assert result.exit_code == ExitCode.USAGE
    port = address.rpartition(":")[2]
    assert f"the port of --address must be 1..65535, not {port}\n" in result.stderr


def test_health_is_told_by_name(synproxy):
    result = synproxy("health")
    assert result.exit_code == 0
    assert result.stdout.count("SERVING") == len(SERVICE_NAMES) + 2


@pytest.mark.parametrize(("output", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_health_however_it_is(daemon, synproxy, output, load):
    daemon.do(daemon.server.set_serving, False)
    result = synproxy("health", "-o", output)
    assert result.exit_code == ExitCode.UNAVAILABLE
    states = {name: one["status"] for name, one in load(result.stdout)["statuses"].items()}
    assert states == {"": "SERVING", CONFIGURATION: "SERVING",
                      **dict.fromkeys(SERVICE_NAMES, "NOT_SERVING")}


def test_stats_of_one_service(daemon, synproxy):
    services = json.loads(synproxy("stats", "--service", "mail", "-o", "json").stdout)["services"]
    assert [one["name"] for one in services] == ["mail"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["service", "list"], ExitCode.OK, ""),
        (["nonsense"], ExitCode.USAGE, "No such command"),
        (["service", "set", "web"], ExitCode.USAGE, "nothing to change: give OPTION=VALUE"),
        (["stats", "-o", "xml"], ExitCode.USAGE, "Invalid value"),
        (["server", "list"], ExitCode.OK, ""),
        (["server"], ExitCode.USAGE, "Usage: "),
        (["server", "nonsense"], ExitCode.USAGE, "No such command"),
        (["server", "list", "web"], ExitCode.USAGE, "unexpected extra argument"),
        (["server", "list", "-o", "xml"], ExitCode.USAGE, "Invalid value"),
        (["server", "list", "--service", "nope"], ExitCode.NOT_FOUND,
         "synproxy: no service is called nope\n"),
        (["service", "get", "nope"], ExitCode.NOT_FOUND, "synproxy: no service is called nope\n"),
        (["service", "set", "nope", "mss=1300"], ExitCode.NOT_FOUND, "no service is called nope"),
        (["service", "set", "web", "mss"], ExitCode.INVALID, "mss: must be OPTION=VALUE\n"),
        (["service", "set", "web", "msss=1"], ExitCode.INVALID,
         "msss: unknown option; did you mean mss?\n"),
        (["service", "set", "web", "=1"], ExitCode.INVALID, "=1: must be OPTION=VALUE\n"),
        (["service", "set", "web", "mss="], ExitCode.INVALID, "decimal digits, not nothing\n"),
        (["service", "set", "web", "mss=1300", "mss=1400"], ExitCode.INVALID,
         "synproxy: mss: is given twice\n"),
        (["service", "set", "web", "mss=-1", "wscale=99999999999"], ExitCode.INVALID,
         "synproxy: mss: must be 536..8960 bytes, not -1\n"
         "synproxy: wscale: must be 0..14 bits, not 99999999999\n"),
        (["stats", "--service", "nope"], ExitCode.NOT_FOUND,
         "synproxy: no service is called nope\n"),
        (["stats", "--interval", "0.05"], ExitCode.USAGE, "0.1<=x<=3600.0"),
        (["stats", "--interval", "nan"], ExitCode.USAGE, "nan is no number of seconds"),
        (["service", "set", "web", "sack=yes"], ExitCode.INVALID,
         "sack: must be true or false, not yes\n"),
        (["service", "set", "web", "mss=1", "wscale=15"], ExitCode.INVALID,
         "synproxy: service.options.mss: must be 536..8960 bytes, not 1\n"
         "synproxy: service.options.wscale: must be 0..14 bits, not 15\n"),
        (["service", "set", "web", "mss=x", "wscale=y"], ExitCode.INVALID,
         "synproxy: mss: must be a whole number in decimal digits, not x\n"
         "synproxy: wscale: must be a whole number in decimal digits, not y\n"),
    ],
)
def test_how_it_ends(synproxy, arguments, code, message):
    result = synproxy(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert (result.stdout == "") == (code != ExitCode.OK)


def test_no_daemon_is_told_in_one_line(synproxy, tmp_path):
    address = f"unix:{tmp_path}/none.sock"
    result = synproxy("stats", address=address)
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert result.stderr == f"synproxy: no answer at {address}; is synproxyd running there?\n"


def test_a_refused_update_is_unavailable(daemon, synproxy):
    daemon.plane.failing = True
    result = synproxy("service", "set", "web", "mss=1300")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert "no memory" in result.stderr


def test_the_address_comes_from_the_environment_too(daemon):
    result = CliRunner().invoke(main, ["health"], env={"SYNPROXY_ADDRESS": daemon.address})
    assert result.exit_code == 0


def test_without_an_address_it_is_the_daemons_default():
    assert default_address() == "unix:/run/synproxy/api.sock"


def fastest(arguments):
    """Seconds of the quickest of some attempts, each a process of its own."""
    times = []
    for _ in range(ATTEMPTS):
        began = time.monotonic()
        subprocess.run(synproxy_command(*arguments), check=True, capture_output=True)
        times.append(time.monotonic() - began)
    return min(times)


def test_help_is_quick():
    assert fastest(["--help"]) <= HELP_S


def test_a_list_is_quick(daemon):
    assert fastest(["--address", daemon.address, "service", "list"]) <= LIST_S
