"""What the fuzzer has kept, in the ordinary build: what reaches far, and what was found once."""

from pathlib import Path

import pytest
from cython_core._testing_fuzz import TARGETS, counters, judge

HERE = Path(__file__).parent

# Of the first pair of ports, whose low half of a byte says the step: a SYN with all options, its
# ACK, the SYN-ACK, a request and its response; in between, what has gathered goes through.
SYN = bytes([0x00, 0x0F, 0x05, 0xB4, 0x07])
ACK = bytes([0x01, 0x10, 0x00, 0x08, 0x00])
SYNACK = bytes([0x03, 0x0F, 0x00, 0x05, 0xB4, 0x07])
REQUEST = bytes([0x01, 0x18, 0x00, 0x08, 0x24])
RESPONSE = bytes([0x02, 0x18, 0x00, 0x08, 0x26])
THROUGH = bytes([0x08])
SECOND, MINUTE = bytes([0x59]), bytes([0xA9])
FORGED = bytes([0x01, 0x10, 0x70, 0x08, 0x00])      # its ACK is 65535 too far
DELETED = bytes([0x0D])
PACED = bytes([0x0B, 0x30, *bytes(6)])              # few first SYNs to each server


def inputs(target):
    return sorted(path for folder in ("corpus", "regressions")
                  for path in (HERE / folder / target).glob("*"))


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_wrong_with_any_input(target):
    paths = inputs(target)
    assert paths
    assert {path.name: wrong for path in paths if (wrong := judge(target, path.read_bytes()))} == {}


def told(*steps):
    assert judge("engine", THROUGH.join(steps)) is None
    return counters()


def test_thirty_bytes_tell_a_connections_whole_opening():
    now = told(SYN, ACK, SYNACK, REQUEST, RESPONSE)
    assert (now["cookie_valid"], now["server_established"], now["translated"]) == (1, 1, 2)


def test_a_number_that_is_not_the_next_one_proves_nothing():
    now = told(SYN, FORGED)
    assert (now["cookie_valid"], now["unknown_forwarded"]) == (0, 1)


def test_time_and_operators_are_told_as_well():
    assert told(SYN, MINUTE, ACK)["cookie_valid"] == 1
    assert told(SYN, MINUTE, MINUTE, ACK)["cookie_valid"] == 0
    assert told(SYN, ACK, SYNACK, DELETED)["conn_deleted"] == 1


def test_one_may_wait_for_its_turn_at_a_server():
    another = [bytes([step[0] | 4 << 4]) + step[1:] for step in (SYN, ACK)]
    now = told(PACED, SYN, ACK, *another)
    assert (now["server_syn_sent"], now["server_syn_paced"]) == (1, 1)
    assert told(PACED, SYN, ACK, *another, SECOND)["server_syn_sent"] == 2


def test_each_life_begins_anew():
    assert told(SYN)["syn_received"] == told(SYN)["syn_received"] == 1
