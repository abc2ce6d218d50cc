"""What runs at start: the newest revision, with what has changed in the file since."""

import asyncio
from pathlib import Path

import pytest
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.live import Live, live_merge, live_of, restart_part
from appliance.config.load import config_parse
from appliance.config.writer import config_text
from appliance.state.folder import Folder
from appliance.state.history import History, Origin
from appliance.state.start import start_from

from .conftest import MINIMAL

WEB = "  - {name: web, prefixes: [192.0.2.0/24], ports: [443]}\n"
MAIL = "  - {name: mail, prefixes: [192.0.2.25], ports: [25]}\n"
ORIGIN = Origin("somebody", "ServicesService/UpdateService")


def service(name, mss=None, prefix="198.51.100.1"):
    return Service(name=name, prefixes=[prefix], ports=["80"],
                   options=ServiceOptions(mss=mss) if mss else None)


def live(*services, mss=None):
    return Live(ServiceOptions(mss=mss) if mss else ServiceOptions(),
                {one.name: one for one in services})


A, A1, A2, B = service("a"), service("a", 1000), service("a", 1200), service("b")


@pytest.mark.parametrize(("former", "file", "running", "merged", "overridden"), [
    # Neither has changed anything, or one of them.
    (live(A), live(A), live(A), live(A), ()),
    (live(A), live(A1), live(A), live(A1), ()),
    (live(A), live(A), live(A1), live(A1), ()),
    (live(A), live(A, B), live(A), live(A, B), ()),
    (live(A, B), live(A), live(A, B), live(A), ()),
    (live(A), live(A), live(A, B), live(A, B), ()),
    (live(A, B), live(A, B), live(B), live(B), ()),
    # Both, of different services.
    (live(A), live(A, B), live(A1), live(A1, B), ()),
    (live(A, B), live(A), live(A1, B), live(A1), ()),
    (live(A, B), live(A1, B), live(A), live(A1), ()),
    # Both, of the same.
    (live(A), live(A1), live(A1), live(A1), ()),
    (live(A), live(A1), live(A2), live(A1), ("services/a",)),
    (live(A), live(), live(A2), live(), ("services/a",)),
    (live(A), live(A1), live(), live(A1), ("services/a",)),
    (live(), live(A1), live(A2), live(A1), ("services/a",)),
    (live(A), live(), live(), live(), ()),
    # The defaults.
    (live(mss=1), live(mss=1), live(mss=2), live(mss=2), ()),
    (live(mss=1), live(mss=2), live(mss=1), live(mss=2), ()),
    (live(mss=1), live(mss=2), live(mss=3), live(mss=2), ("defaults",)),
    (live(mss=1), live(mss=2), live(mss=2), live(mss=2), ()),
])
def test_what_changed_in_the_file_is_done_to_what_runs(former, file, running, merged, overridden):
    done = live_merge(former, file, running)
    assert (done.live, done.overridden) == (merged, overridden)


def test_the_files_order_comes_first():
    assert list(live_merge(live(A), live(B, A), live(service("c"), A)).live.services) == [
        "b", "a", "c"]


class Host:
    """Starts a daemon's revisions again and again, over one folder."""

    def __init__(self, folder):
        self.path = folder / "synproxy.yaml"
        self.folder = folder / "state"

    def start(self, services, more="", head=MINIMAL):
        config = config_parse(
            f"{head}management: {{state_folder: {self.folder}}}\n{more}services:\n{services}"
            .encode(), "f")
        start = start_from(config, self.path)
        start.history.close()
        return start

    def keep(self, start, running=None, **how):
        """As the catalogue does it at start, or what somebody has made of it."""
        history = History()
        list(history.load(Folder(self.folder)))
        asyncio.run(history.add(running or start.live, start.file, ORIGIN, [], **how))
        history.close()


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def changed(live_, name, mss):
    services = dict(live_.services)
    one = Service()
    one.CopyFrom(services[name])
    one.options.mss = mss
    services[name] = one
    return Live(live_.defaults, services)


def test_first_the_file_runs(host):
    start = host.start(WEB)
    assert (list(start.live.services), start.notices, start.origin) == (
        ["web"], [], Origin(f"file {host.path}", "start"))


def test_a_change_survives_and_so_does_a_change_of_the_file(host):
    first = host.start(WEB)
    host.keep(first)
    host.keep(first, changed(first.live, "web", 1000))
    start = host.start(WEB + MAIL)
    assert list(start.live.services) == ["web", "mail"]
    assert start.live.services["web"].options.mss == 1000
    assert start.notices == []


def test_where_both_changed_a_service_the_file_has_the_last_word_and_it_is_said(host):
    first = host.start(WEB)
    host.keep(first)
    host.keep(first, changed(first.live, "web", 1000))
    start = host.start(WEB.replace("443", "8443"))
    assert start.live == start.file
    assert start.notices == [
        "services/web: the file has changed it, which takes the place of another change"]


def test_what_was_deleted_stays_so(host):
    first = host.start(WEB + MAIL)
    host.keep(first)
    host.keep(first, Live(first.live.defaults, {"mail": first.live.services["mail"]}))
    assert list(host.start(WEB + MAIL).live.services) == ["mail"]


@pytest.mark.parametrize(("services", "more", "words"), [
    (MAIL.replace(".25]", ".80]").replace("25]", "80]"), "", "belongs to"),
    (MAIL, "limits: {services: 2}\n", "limits.services is 2"),
])
def test_where_both_together_break_a_rule_the_file_runs_alone_and_it_is_said(
    host, services, more, words
):
    first = host.start(MAIL)
    host.keep(first)
    other = {"x": service("x", prefix="192.0.2.80"), "y": service("y", prefix="198.51.100.2")}
    host.keep(first, Live(first.live.defaults, {**first.live.services, **other}))
    start = host.start(services, more)
    assert start.live == start.file
    assert start.notices[0].startswith("revision 2 doesn't go with the file, which runs alone: ")
    assert words in start.notices[0]


def test_what_was_not_confirmed_never_was(host):
    first = host.start(WEB)
    host.keep(first)
    host.keep(first, changed(first.live, "web", 1000))
    host.keep(first, changed(first.live, "web", 900), confirm_within_s=60)
    start = host.start(WEB + MAIL)
    assert start.live.services["web"].options.mss == 1000
    assert list(start.live.services) == ["web", "mail"]
    assert start.origin == Origin("daemon", "start: revision 3 was not confirmed")


def test_where_the_one_before_is_torn_the_last_good_one_comes_back(host):
    first = host.start(WEB)
    host.keep(first)
    host.keep(first, changed(first.live, "web", 1000))
    host.keep(first, changed(first.live, "web", 900), confirm_within_s=60)
    (host.folder / "0000000002.revision").write_bytes(b"")
    start = host.start(WEB)
    assert start.live == first.live
    assert start.notices[-1].endswith("revision 1 is back")
    (host.folder / "0000000001.revision").write_bytes(b"")
    start = host.start(WEB)
    assert start.live == start.file
    assert start.notices[-1].endswith("none before it is whole: the file runs alone")


def test_without_a_folder_it_is_said(tmp_path):
    start = start_from(config_parse(f"{MINIMAL}services:\n{WEB}".encode(), "f"), tmp_path)
    assert start.notices == [
        "management.state_folder isn't set: changes over gRPC last until the daemon ends"]
    assert (start.history.persistent, start.history.kept) == (False, True)


def test_with_one_that_cannot_be_used_it_is_said_and_counts_as_an_error(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o777)
    start = Host(tmp_path).start(WEB)
    assert start.notices[0].startswith(f"management.state_folder: {folder}: others may write")
    assert start.notices[0].endswith("changes over gRPC last until the daemon ends")
    assert list(start.live.services) == ["web"]
    assert not start.history.kept


# What takes a restart, and files that are written.

def test_what_is_written_as_its_default_is_as_if_it_were_not():
    plain = config_parse(MINIMAL.encode(), "f")
    spoken = config_parse(f"{MINIMAL}limits: {{connections: 1048576}}\nworkers: {{lcores: [1]}}\n"
                          f"defaults: {{mss: 1000}}\nservices:\n{WEB}".encode(), "f")
    other = config_parse(f"{MINIMAL}limits: {{connections: 131072}}\n".encode(), "f")
    assert restart_part(plain) == restart_part(spoken) != restart_part(other)


def test_what_is_written_reads_back_as_the_same():
    example = (Path(__file__).parents[2] / "examples" / "synproxy.yaml").read_bytes()
    odd = f"""\
{MINIMAL}
eal: {{log_level: "error", arguments: ["--no-telemetry", "yes", "1e3", "#x", ""]}}
management: {{address: "127.0.0.1:50051", state_folder: "/var/lib/a b: c"}}
defaults: {{activation: OFF, syn_timeout: 200ms, timeouts: {{established: 1h30m}}, sack: false}}
services:
  - {{name: "on", prefixes: ["2001:db8::/32", 192.0.2.1], ports: [443, "8000-8100"]}}
""".encode()
    for text in (example, odd, f"{MINIMAL}services:\n{WEB}".encode()):
        config = config_parse(text, "f")
        assert config_parse(config_text(config).encode(), "f") == config
    assert live_of(config_parse(odd, "f")).defaults.timeouts.established.seconds == 5400
