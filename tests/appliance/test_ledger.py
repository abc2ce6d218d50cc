"""The lab's ledger of an attack finds what has no fate, another fate, or no cause."""

from collections import Counter
from dataclasses import replace

from appliance.lab.ledger import Ledger, Reading
from appliance.lab.mixture import Kind

KINDS = [Kind("SYN", "synack_sent", (), 1), Kind("ACK", "cookie_invalid", (), 1),
         Kind("FIN", "no_connection", (), 1), Kind("unreachable", "bridged", (), 1)]
SENT = {"SYN": 600, "ACK": 300, "FIN": 90, "unreachable": 10}
NOTHING = Reading(Counter(), Counter(), 0, 0, 0, 0, 0, 0)
# Three SYNs of clients among them, and seven frames that they sent besides.
WHOLE = Reading(
    Counter(synack_sent=603, translated=7), Counter(cookie_invalid=300, no_connection=90),
    offered=1010, received=1010, missed=0, client_syns=3, rsts=4, errors=10)


def faults(gained: Reading) -> list[str]:
    return Ledger(gained, KINDS, SENT).faults()


def test_what_has_met_its_fate_adds_up() -> None:
    ledger = Ledger(WHOLE, KINDS, SENT)
    assert ledger.faults() == []
    assert ledger.lost == 0
    assert {line.fate: line.met for line in ledger.lines} == {
        "synack_sent": 600, "cookie_invalid": 300, "no_connection": 90, "bridged": 10}


def test_what_the_port_has_missed_is_accounted_for() -> None:
    fewer = Counter(cookie_invalid=280, no_connection=90)
    assert faults(replace(WHOLE, drops=fewer, received=990, missed=20)) == []
    # One of the ACKs may have hit a cookie.
    assert faults(replace(WHOLE, drops=fewer, received=991, missed=19)) == []


def test_a_frame_without_a_fate_is_found() -> None:
    fewer = replace(WHOLE, drops=Counter(cookie_invalid=280, no_connection=90))
    assert faults(fewer) == ["20 frames have no fate, and the port has missed 0"]
    assert faults(replace(WHOLE, errors=0)) == ["10 frames have no fate, and the port has missed 0"]


def test_a_drop_that_nothing_explains_is_found() -> None:
    more = Counter(cookie_invalid=300, no_connection=92, table_full=5)
    assert faults(replace(WHOLE, drops=more)) == [
        "2 frames more are no_connection than were sent to be",
        "5 frames more are table_full than were sent to be"]


def test_the_hosts_own_rsts_may_be_dropped_and_no_more() -> None:
    dropped = WHOLE.drops + Counter(rst_out_of_window=4)
    assert faults(replace(WHOLE, drops=dropped)) == []
    assert faults(replace(WHOLE, drops=dropped, rsts=3)) == [
        "1 frames more are rst_out_of_window than were sent to be"]


def test_a_frame_that_came_nowhere_is_found() -> None:
    assert faults(replace(WHOLE, offered=1011)) == [
        "the client's interface has sent 1011 frames, and the port has received 1010 and missed 0"]


def test_a_reading_is_told_since_another() -> None:
    assert WHOLE.since(NOTHING) == WHOLE
    assert WHOLE.since(WHOLE) == NOTHING
