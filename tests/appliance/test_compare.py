"""The pure parts of `make compare`: segments, symbols, differences, rules and tables."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.lab.compare import differential, table
from appliance.lab.compare.difference import OMITTED, PRESENCE, Difference, differences
from appliance.lab.compare.flow import (
    CLIENT_CLOCK,
    CLIENT_ISN,
    SERVER_CLOCK,
    SERVER_ISN,
    Addresses,
    Flow,
    Heard,
    Say,
)
from appliance.lab.compare.intended import INTENDED
from appliance.lab.compare.rows import ROWS
from appliance.lab.compare.rules import Judgement, Rule
from appliance.lab.compare.script import Script
from appliance.lab.compare.scripts import scripts
from appliance.lab.compare.segment import Segment, read
from appliance.lab.compare.stand import Measured
from appliance.lab.compare.talk import ACK, PLAIN_ACK, PLAIN_SYN, SYN, SYN_ACK

CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
COOKIE, COOKIE_CLOCK = 0x70000000, 0x60000000
SEGMENTS = [
    Segment(source, destination, 40000, 80, "SA", seq=1, ack=2**32 - 1, mss=1400, wscale=0,
            sack_permitted=True, timestamps=(2**32 - 1, 7), payload=payload)
    for source, destination in (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"))
    for payload in (b"", b"odd")
] + [Segment("192.0.2.1", "192.0.2.2", 1, 2, "PA", sack=((5, 9), (2**32 - 4, 3)))]


@pytest.mark.parametrize("segment", SEGMENTS, ids=str)
def test_a_segment_is_read_as_it_was_written(segment: Segment) -> None:
    assert read(segment.frame(CLIENT_MAC, SERVER_MAC)) == segment


@pytest.mark.parametrize("segment", SEGMENTS, ids=str)
def test_scapy_computes_the_same_frame(segment: Segment) -> None:
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    frame = segment.frame(CLIENT_MAC, SERVER_MAC)
    anew = Ether(frame)
    assert anew[TCP].flags == segment.flags
    del anew[TCP].chksum
    if IP in anew:
        del anew[IP].chksum
    assert bytes(anew) == frame


def test_a_damaged_segment_is_not_sound() -> None:
    frame = bytearray(SEGMENTS[1].frame(CLIENT_MAC, SERVER_MAC))
    frame[50] ^= 1
    damaged = read(bytes(frame))
    assert damaged is not None
    assert not damaged.sound


def test_what_is_no_segment_is_none() -> None:
    frame = SEGMENTS[0].frame(CLIENT_MAC, SERVER_MAC)
    assert read(frame[:12] + b"\x08\x06" + frame[14:]) is None      # ARP
    assert read(frame[:40]) is None
    assert read(frame[:20] + b"\x20\x00" + frame[22:]) is None      # a first fragment


@pytest.fixture
def flow() -> Flow:
    return Flow(Addresses("192.0.2.1", "192.0.2.2", 30000, 20000))


def synack(seq: int = COOKIE, tsval: int = COOKIE_CLOCK) -> Segment:
    return Segment("192.0.2.2", "192.0.2.1", 20000, 30000, "SA", seq=seq, ack=CLIENT_ISN + 1,
                   wscale=7, sack_permitted=True, timestamps=(tsval, CLIENT_CLOCK))


def test_numbers_are_told_by_their_bases(flow: Flow) -> None:
    heard = flow.hear("client", synack())
    assert (heard.seq, heard.ack, heard.tsval, heard.tsecr) == ("k+0", "c+1", "k+0", "c+0")


def test_an_untranslated_number_shows(flow: Flow) -> None:
    flow.hear("client", synack())
    leaked = flow.hear("client", replace(synack(), flags="A", seq=SERVER_ISN + 1,
                                         timestamps=(SERVER_CLOCK + 9, 12345)))
    assert (leaked.seq, leaked.tsval, leaked.tsecr) == ("s+1", "s+9", "?")


def test_a_cookie_that_was_never_heard_is_not_acknowledged(flow: Flow) -> None:
    assert flow.segment(ACK) is None
    flow.hear("client", synack())
    said = flow.segment(ACK)
    assert said is not None
    assert (said.seq, said.ack) == (CLIENT_ISN + 1, COOKIE + 1)
    assert said.timestamps == (CLIENT_CLOCK + 10, COOKIE_CLOCK)


def test_a_second_cookie_has_a_letter_of_its_own(flow: Flow) -> None:
    flow.hear("client", synack())
    assert flow.hear("client", synack(seq=COOKIE + 2**30)).seq == "l+0"
    said = flow.segment(ACK)
    assert said is not None
    assert said.ack == COOKIE + 1, "a client goes by the first"


def test_a_client_that_opens_anew_goes_by_the_next_cookie(flow: Flow) -> None:
    flow.hear("client", synack())
    flow.segment(SYN)
    assert flow.segment(ACK) is None
    flow.hear("client", synack(seq=COOKIE + 2**30))
    said = flow.segment(ACK)
    assert said is not None
    assert said.ack == COOKIE + 2**30 + 1


def test_an_older_tsval_is_not_echoed(flow: Flow) -> None:
    flow.hear("client", synack())
    flow.hear("client", replace(synack(), flags="A", timestamps=(COOKIE_CLOCK + 50, 0)))
    flow.hear("client", replace(synack(), flags="A", timestamps=(COOKIE_CLOCK + 20, 0)))
    said = flow.segment(ACK)
    assert said is not None
    assert said.timestamps == (CLIENT_CLOCK + 10, COOKIE_CLOCK + 50)


def test_a_server_that_mirrors_has_no_option_that_its_client_has_not(flow: Flow) -> None:
    flow.hear("server", Segment("192.0.2.1", "192.0.2.2", 30000, 20000, "S", seq=CLIENT_ISN,
                                wscale=None, sack_permitted=True))
    said = flow.segment(replace(SYN_ACK, mirrors=True))
    assert said is not None
    assert (said.wscale, said.sack_permitted, said.timestamps) == (None, True, None)


def test_the_scripts_are_many_and_have_names_of_their_own() -> None:
    names = [script.name for script in scripts()]
    assert len(names) >= 200
    assert len(set(names)) == len(names)
    assert {script.family for script in scripts()} == {4, 6}


HEARD = Heard("server", 1, "S", "c+0", "0", 65535, 0, 1460, 7, True, "c+10", "0", (), 64, 0, True)
ANNOUNCED = Heard("client", 0, "SA", "k+0", "c+1", 0, 0, 1460, 7, True, "k+0", "c+0", (), 64, 0,
                  True)
SCRIPT = Script("a script", 4, (SYN, ACK, SYN_ACK))


def judged(kernel: Sequence[Heard], ours: Sequence[Heard], script: Script = SCRIPT,
           rules: Sequence[Rule] = INTENDED) -> Judgement:
    judgement = Judgement()
    judgement.judge(script, kernel, ours, rules)
    return judgement


def test_equal_performances_do_not_differ() -> None:
    assert list(differences(SCRIPT, [HEARD, HEARD], [HEARD, HEARD])) == []
    assert judged([HEARD], [HEARD]).alike == 1


def test_a_field_that_differs_is_named() -> None:
    (difference,) = differences(SCRIPT, [HEARD], [replace(HEARD, mss=536)])
    assert (difference.field, difference.turn, difference.side) == ("mss", 1, "server")
    assert "mss is 1460 by the kernel, 536 by ours" in str(difference)


def test_a_segment_that_one_alone_sends_is_a_difference() -> None:
    extra = replace(HEARD, flags="R")
    (difference,) = differences(SCRIPT, [HEARD], [extra, HEARD])
    assert difference == Difference(SCRIPT, 1, "server", PRESENCE, None, extra)
    (difference,) = differences(SCRIPT, [HEARD, extra], [HEARD])
    assert (difference.kernel, difference.ours) == (extra, None)


def test_the_same_segment_after_another_turn_differs() -> None:
    late = replace(HEARD, turn=2)
    assert len(list(differences(SCRIPT, [HEARD], [late]))) == 2


def test_a_difference_without_a_rule_is_unexplained() -> None:
    judgement = judged([HEARD], [replace(HEARD, traffic_class=4)])
    assert [difference.field for difference in judgement.unexplained] == ["traffic_class"]
    assert "1 unlike without a rule" in differential.summary(judgement)


def test_a_rule_holds_only_behind_the_one_that_leads_to_it() -> None:
    later = Rule("later", "", "", lambda meeting: meeting.difference.field == "window")
    first = Rule("first", "", "", lambda meeting: meeting.difference.field == "mss",
                 leads_to=(later,))
    small, shut = replace(HEARD, mss=536), replace(HEARD, turn=2, window=1)
    behind = judged([HEARD, replace(HEARD, turn=2)], [small, shut], rules=[first])
    assert (behind.unexplained, set(behind.applied)) == ([], {"first", "later"})
    before = judged([HEARD, replace(HEARD, turn=2)],
                    [replace(HEARD, window=1), replace(small, turn=2)], rules=[first])
    assert [difference.field for difference in before.unexplained] == ["window"]


def test_a_rule_leads_to_others_in_its_own_script_only() -> None:
    later = Rule("later", "", "", lambda meeting: meeting.difference.field == "window")
    first = Rule("first", "", "", lambda meeting: meeting.difference.field == "mss",
                 leads_to=(later,))
    judgement = judged([HEARD], [replace(HEARD, mss=536)], rules=[first])
    judgement.judge(SCRIPT, [HEARD], [replace(HEARD, window=1)], [first])
    assert [difference.field for difference in judgement.unexplained] == ["window"]
    assert judgement.idle([first]) == [later]


def test_what_ours_owes_is_missed_where_the_kernel_is_silent_too() -> None:
    again = replace(SYN, seq=1000, tsval=500)
    script = Script("again", 4, (SYN, ACK, SYN_ACK, again, replace(ACK, seq=1001, tsval=510)))
    start = [ANNOUNCED, HEARD]
    cookie = replace(ANNOUNCED, turn=3, seq="l+0", ack="c+1001", tsval="l+0", tsecr="c+500")
    asked = replace(HEARD, turn=4, seq="c+1000", tsval="c+510")
    rst = replace(HEARD, turn=4, flags="R", seq="c+1", window=0, mss=None, wscale=None,
                  sack_permitted=False, tsval=None, tsecr=None)
    answered = replace(script, says=(*script.says, SYN_ACK))
    assert not judged([*start, cookie], [*start, cookie, rst, asked], script).unexplained
    missed = judged([*start, cookie], [*start, cookie, rst, asked], answered).unexplained
    assert {(each.field, each.side) for each in missed} == {
        (OMITTED, "client"), (OMITTED, "server")}


def test_a_rule_that_never_applied_is_told() -> None:
    used = Rule("used", "", "", lambda _meeting: True)
    unused = Rule("unused", "", "", lambda _meeting: True)
    judgement = judged([HEARD], [], rules=[used, unused])
    assert judgement.idle([used, unused]) == [unused]


def test_every_rule_says_why() -> None:
    assert len({rule.name for rule in INTENDED}) == len(INTENDED)
    assert all(rule.reason.endswith(".") and rule.reference for rule in INTENDED)


def explained(kernel: Heard | None, ours: Heard | None, script: Script = SCRIPT) -> list[str]:
    """Names of the rules that explained it; empty where none did."""
    judgement = judged([kernel] if kernel else [], [ours] if ours else [], script)
    assert bool(judgement.applied) != bool(judgement.unexplained)
    return list(judgement.applied)


def test_only_the_exact_mss_is_meant() -> None:
    kernel = replace(HEARD, mss=1300)
    script = Script("small", 4, (replace(SYN, mss=1400), ACK))
    assert explained(kernel, replace(HEARD, mss=1400), script) == ["exact MSS"]
    assert explained(kernel, replace(HEARD, mss=1399), script) == []


def test_without_timestamps_only_the_class_below_is_meant() -> None:
    plain = replace(HEARD, tsval=None, tsecr=None)
    script = Script("plain", 4, (replace(PLAIN_SYN, mss=1400), PLAIN_ACK))
    assert explained(replace(plain, mss=1300), replace(plain, mss=1344), script) == ["exact MSS"]
    assert explained(replace(plain, mss=1300), replace(plain, mss=1401), script) == []


def test_only_the_window_written_out_is_meant() -> None:
    assert explained(replace(HEARD, window=100), replace(HEARD, window=12800)) == [
        "window of the SYN"]
    assert explained(replace(HEARD, window=100), replace(HEARD, window=12801)) == []


def test_only_the_servers_window_in_the_announced_scale_is_meant() -> None:
    script = Script("scale", 4, (SYN, ACK, replace(SYN_ACK, wscale=3),
                                 Say("server", window=1000, tsval=20)))
    told = replace(ANNOUNCED, turn=3, flags="A", seq="k+1", window=1000, mss=None, wscale=None,
                   sack_permitted=False, tsval="k+20", tsecr="c+10")

    def windows(kernel: int, ours: int) -> list[str]:
        before = [ANNOUNCED, HEARD]
        judgement = judged([*before, replace(told, window=kernel)],
                           [*before, replace(told, window=ours)], script)
        return list(judgement.applied)

    assert windows(1000, 62) == ["server's windows"]
    assert windows(1000, 63) == windows(1000, 0) == []


def test_one_hop_is_meant_and_no_two() -> None:
    assert explained(replace(HEARD, hop_limit=63), HEARD) == ["routed"]
    assert explained(replace(HEARD, hop_limit=62), HEARD) == []


def test_a_connection_that_only_ours_opens_is_not_meant() -> None:
    assert explained(None, HEARD) == []


def test_a_connection_that_ours_fails_to_open_is_not_meant() -> None:
    assert explained(HEARD, None) == []
    assert judged([ANNOUNCED, HEARD], [ANNOUNCED]).unexplained


def test_only_the_same_syn_may_be_said_again() -> None:
    again = replace(HEARD, turn=2)
    assert not judged([HEARD], [HEARD, again]).unexplained
    assert judged([HEARD], [HEARD, replace(again, mss=536)]).unexplained


def test_only_what_the_server_has_said_is_learned() -> None:
    script = Script("again", 6, (SYN, ACK, replace(SYN_ACK, mss=1380), SYN))
    told = Heard("client", 3, "SA", "l+0", "c+1", 0, 0, 1440, 7, True, "l+0", "c+0", (), 64, 0,
                 True)
    assert explained(told, replace(told, mss=1380), script) == ["learned"]
    assert explained(told, replace(told, mss=1220), script) == []


RIGHT, WRONG = Measured("fine | good", True), Measured("hangs", False)


def test_families_that_say_the_same_are_told_once() -> None:
    assert table.text({4: RIGHT, 6: RIGHT}) == "fine | good"
    assert table.text({4: RIGHT, 6: WRONG}) == "fine | good (IPv6: hangs)"
    assert table.text({}) == "-"


def test_one_family_that_is_wrong_makes_the_cell_wrong() -> None:
    assert table.is_right({4: RIGHT, 6: RIGHT})
    assert not table.is_right({4: RIGHT, 6: WRONG})


def test_the_markdown_marks_what_is_wrong() -> None:
    lines = table.markdown(["one", "two"], [(ROWS[0], [{4: RIGHT}, {4: WRONG}])]).splitlines()
    assert lines[0] == "| # | case | one | two | right is |"
    assert lines[2].startswith(f"| G1 | {ROWS[0].case} | fine \\| good | ✗ hangs | ")


def test_only_what_lies_between_the_marks_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.replace_block(file, "new\n")
    assert file.read_text() == f"before\n{table.BEGIN}\nnew\n{table.END}\nafter\n"


def test_a_file_without_marks_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("no marks\n")
    with pytest.raises(ValueError, match="README"):
        table.replace_block(file, "new\n")
    assert file.read_text() == "no marks\n"


def test_every_case_of_the_table_has_its_row() -> None:
    assert [row.number for row in ROWS] == [f"G{number}" for number in range(1, 18)]
