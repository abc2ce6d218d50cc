"""Handshakes on a wire that loses a segment in twenty: all are done soon enough."""

from collections.abc import Callable

import pytest

from appliance.lab.faults import Faults
from appliance.lab.topology import Lab
from appliance.lab.trials import HANDSHAKE_S, handshake_trial

Figure = Callable[[str], None]

HANDSHAKES = 1000
FAULTS = Faults(loss=0.05, duplication=0.1, reordering=0.25, corruption=0.01)


@pytest.mark.usefixtures("proxy", "journal", "_harmless_again")
@pytest.mark.parametrize("side", ["client", "server"])
def test_handshakes_are_done_in_time(lab: Lab, side: str, figure: Figure) -> None:
    trial = handshake_trial(lab, side, FAULTS, count=HANDSHAKES,
                            first_port={"client": 30_000, "server": 31_000}[side])
    heard_s = sorted(outcome.first_byte_s or 0 for outcome in trial.outcomes)
    figure(f"median {heard_s[HANDSHAKES // 2] * 1e3:.0f} ms, 99 % within "
           f"{heard_s[HANDSHAKES * 99 // 100]:.1f} s, all within {heard_s[-1]:.1f} s")
    assert trial.share_within(HANDSHAKE_S) >= 0.999
