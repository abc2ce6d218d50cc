"""What synproxy top computes, and how it is laid out, without a daemon and without a terminal."""

import io
import re
import time
from pathlib import Path

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from synproxy.v1 import stats_service_pb2 as api

from appliance.top import headline as headline_module
from appliance.top.blocks import meter, sparkline
from appliance.top.headline import EARLY, QUIET, Level
from appliance.top.history import KEPT
from appliance.top.keys import Keys
from appliance.top.look import Looking
from appliance.top.loop import Top
from appliance.top.room import LEAST, lines_shared
from appliance.top.view import SECTIONS
from appliance.top.words import short

PAGE = Path(__file__).parents[2] / "appliance/metrics/page/page.js"
MANY = 10_000
LOOK_S = 0.25       # of one core and each second, with so many services


def answer(seconds, services=(), drops=None, turns=None, **counters):
    """Of a daemon with one worker, which turns unless told otherwise."""
    made = api.GetStatsResponse(
        generation=1,
        workers=[api.WorkerStats(
            lcore=1, counters=counters, drops=drops or {}, generation=1, connections_max=1000,
            half_open_max=100, turns=1000 * seconds if turns is None else turns,
            cycles=1000 * seconds, busy_cycles=250 * seconds)],
        services=services,
        ports=[api.PortStats(role=role, link_up=True) for role in ("client", "server")],
        mempools=[api.MempoolStats(name="frames", size=100, in_use=1)],
    )
    made.uptime.FromSeconds(seconds)
    return made


def looks(*answers):
    looking = Looking()
    return [looking.take(one) for one in answers]


def said(look):
    return [(one.level, one.text) for one in look.headline]


def test_rates_are_between_two_looks():
    first, last = looks(
        answer(10, received=100, syn_received=10, syn_passed=5),
        answer(12, received=300, syn_received=30, syn_passed=15))
    assert first.plots["received"] == ()
    assert last.plots["received"] == (100,)
    assert last.plots["syns"] == (15,)
    assert [(row.frames, row.turns, row.busy) for row in last.workers] == [(100, 1000, 0.25)]


def test_a_services_row_has_its_rates_and_what_most_is_dropped_for():
    def service(received, *drops):
        counters = {"syn_received": received, "cookie_valid": received // 2}
        return api.ServiceStats(
            name="web", counters=counters | dict(zip(kinds, drops, strict=True)),
            cookies=True, connections=7)

    kinds = {"cookie_invalid": 0, "rate": 0}
    _, look = looks(answer(1, [service(10, 90, 1)], kinds), answer(3, [service(30, 94, 11)], kinds))
    row, = look.services
    assert (row.syns, row.proved, row.dropped, row.reason) == (10, 5, 7, "rate")
    assert (row.name, row.cookies, row.connections, row.total) == ("web", True, 7, 30)


def test_a_restart_is_no_rate_and_leaves_the_history():
    before, after, later = looks(
        answer(10, received=100), answer(11, received=200), answer(1, received=5))[0:3]
    assert after.plots["received"] == later.plots["received"] == (100,)
    assert before.headline == later.headline == [EARLY]
    assert later.workers[0].frames == 0


def test_history_is_bounded():
    *_, last = looks(*(answer(at + 1, received=at) for at in range(KEPT + 50)))
    assert len(last.plots["received"]) == KEPT


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({}, [QUIET]),
        ({"synack_sent": 1000}, [QUIET]),
        ({"synack_sent": 1051, "cookie_valid": 50},
         [(Level.BAD, "SYN flood: 1001 cookies/s unproved, 50/s proved.")]),
        ({"synack_sent": 5000, "cookie_valid": 4500}, [QUIET]),
        ({"drops": {"checksum": 100}}, [QUIET]),
        ({"drops": {"checksum": 101}}, [(Level.WARN, "101 frames/s are dropped.")]),
        ({"turns": 1000}, [(Level.BAD, "The worker on core 1 is stuck: it makes no turn.")]),
    ],
)
def test_the_headline_says_what_is_going_on(now, told):
    assert said(looks(answer(1), answer(2, **now))[1]) == told


def test_what_fills_up_and_has_no_link_is_told_at_once():
    first = answer(1)
    first.workers[0].connections, first.workers[0].half_open = 810, 96
    first.ports[1].link_up = False
    assert said(looks(first)[0]) == [
        (Level.BAD, "The server port has no link."), (Level.BAD, "Half open: 96.0 % in use."),
        (Level.WARN, "Connections: 81.0 % in use."),
    ]


def test_a_drain_is_told_at_once():
    first = answer(1)
    first.draining = True
    assert said(looks(first)[0]) == [
        (Level.WARN, "Draining: new connections are not taken.")]


def test_it_speaks_up_where_the_status_page_does():
    page = dict(re.findall(r"([A-Z_]+) = ([0-9.]+)[,;]", PAGE.read_text()))
    for name in ("FLOOD_PPS", "DROPS_PPS", "FILL_WARN", "FILL_BAD"):
        assert float(page[name]) == getattr(headline_module, name)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (7, "7"), (0.04, "0.0"), (9.94, "9.9"), (9.96, "10"), (9999, "9999"),
     (9999.5, "10.0 k"), (999_949, "999.9 k"), (999_950, "1.0 M"), (2.5e12, "2.5 T")],
)
def test_numbers_are_short(value, words):
    assert short(value) == words


@pytest.mark.parametrize(
    ("points", "line"),
    [((), "    "), ((0, 0), "  ▁▁"), ((1, 8, 4), " ▂█▅"), ((80, 1, 1, 1, 8), "▁▁▁▁")],
)
def test_a_sparkline_ends_with_the_newest_and_knows_the_highest(points, line):
    assert sparkline(points, 4) == line


def test_a_meter_shows_any_use():
    assert [meter(share, 4) for share in (0, 0.001, 0.5, 1)] == ["░░░░", "█░░░", "██░░", "████"]


@given(st.integers(0, 200), st.lists(st.integers(2, 50), min_size=1, max_size=6), st.data())
def test_no_line_is_given_twice_and_none_is_left_while_wanted(room, wanted, data):
    chosen = data.draw(st.integers(0, len(wanted) - 1))
    lines = lines_shared(room, wanted, chosen)
    assert sum(lines) <= room
    assert all(one == 0 or LEAST <= one <= most for one, most in zip(lines, wanted, strict=True))
    assert lines[chosen] or room < LEAST
    if sum(lines) < room - 1:
        assert lines == wanted
    assert all(lines[chosen] >= min(wanted[chosen], one) for one in lines)


@pytest.mark.parametrize(
    ("pieces", "keys"),
    [
        ([b"q"], ["q"]), ([b" s\t"], ["space", "s", "tab"]), ([b"\x1b[A\x1bOB"], ["up", "down"]),
        ([b"\x1b", b"[5", b"~"], ["page up"]), ([b"\x1b[6~\x1b[H\x1b[4~"],
                                                ["page down", "home", "end"]),
        ([b"\x1b[1;5A\x1b[200~x"], ["x"]), ([b"\x1bx"], ["escape", "x"]),
        ([b"\xc3\xbc\xff"], []), ([b"\x1b\x1b[A"], ["escape", "up"]), ([b"\x1b"], []),
    ],
)
def test_bytes_are_keys(pieces, keys):
    reader = Keys()
    assert [key for piece in pieces for key in reader.feed(piece)] == keys


def test_only_time_makes_a_lone_escape_a_key():
    reader = Keys()
    reader.feed(b"\x1b")
    assert reader.settle() == []
    time.sleep(reader.patience_s or 0)
    assert reader.settle() == ["escape"]
    assert reader.patience_s is None


@given(st.binary(max_size=30))
def test_no_bytes_break_the_keys(some):
    reader = Keys()
    assert all(isinstance(key, str) for key in reader.feed(some))


@pytest.fixture
def crowd():
    """Two answers about many services, of which every hundredth has seen SYNs in between."""

    def at(seconds):
        return answer(seconds, drops={"checksum": 0, "rate": 0}, services=[
            api.ServiceStats(name=f"s{number:05}", connections=number, counters={
                "syn_received": 10 + (0 if number % 100 else number * seconds), "rate": 3,
                "cookie_valid": 4, "server_established": 4, "synack_sent": 10})
            for number in range(MANY)])

    return at(1), at(2)


@pytest.fixture
def screen(crowd):
    """A top that has seen both; call it with keys for the lines that then are drawn."""
    top = Top(crowd[0])
    top.answers.append(crowd[1])
    top.take_answers()

    def press(*keys):
        for key in keys:
            top.view.press(key)
        written = io.StringIO()
        console = Console(file=written, force_terminal=True, legacy_windows=False)
        with console.screen():
            top.draw(console, 80, 40)
            shown = pyte.Screen(80, 40)
            pyte.Stream(shown).feed(written.getvalue())
        return shown.display

    return press


def listed(lines):
    return [line.split()[0] for line in lines if re.match(r"s\d{5} ", line)]


def test_the_busiest_service_comes_first(screen):
    assert listed(screen())[:2] == ["s09900", "s09800"]


def test_thousands_are_scrolled_to_either_end(screen):
    page = len(listed(screen()))
    assert listed(screen("s", "s", "s", "s", "s"))[0] == "s00000"
    assert listed(screen("down"))[0] == "s00001"
    assert listed(screen("page down"))[0] == f"s{1 + page:05}"
    assert listed(screen("end"))[-1] == f"s{MANY - 1:05}"
    assert listed(screen("page up"))[-1] == f"s{MANY - 1 - page:05}"
    assert listed(screen("home", "up"))[0] == "s00000"
    assert listed(screen("r"))[0] == f"s{MANY - 1:05}"


def test_each_list_is_reached_with_tab(screen):
    for _ in SECTIONS:
        lines = screen("tab", "end", "page up", "home")
        assert "h keys" in lines[-1]
    assert listed(lines)[0] == "s09900"


def test_thousands_of_services_are_cheap(crowd):
    top = Top(crowd[0])
    console = Console(file=io.StringIO(), force_terminal=True, legacy_windows=False)
    times = []
    with console.screen():
        for one in [*crowd, *crowd]:
            began = time.process_time()
            top.answers.append(api.GetStatsResponse.FromString(one.SerializeToString()))
            top.take_answers()
            top.draw(console, 80, 40)
            times.append(time.process_time() - began)
    assert min(times) < LOOK_S
