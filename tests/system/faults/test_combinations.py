"""Loss, duplication, reordering and corruption at once: every byte arrives, and soon enough.

The short form of what `make faults` runs in full: a smaller stream, fewer combinations.
"""

from collections.abc import Callable, Iterator

import pytest

from appliance.lab.faults import Faults
from appliance.lab.proxy import Proxy
from appliance.lab.topology import Lab
from appliance.lab.trials import (
    COMBINATIONS,
    HANDSHAKE_S,
    PATIENT_SYSCTLS,
    USUAL_SYSCTLS,
    configure_hosts,
    handshake_trial,
    stream_trial,
)

Figure = Callable[[str], None]

# At each loss another one of the other faults, and at the ends all of them.
CHOSEN = [COMBINATIONS[at] for at in (4, 6, 12, 18, 20, 29)]
STREAM_BYTES = 1 << 17
HANDSHAKES = 1000
WORST_OF_5_PERCENT = Faults(loss=0.05, duplication=0.1, reordering=0.25, corruption=0.01)

pytestmark = pytest.mark.usefixtures("journal", "_harmless_again")


@pytest.fixture
def _patient(lab: Lab) -> Iterator[None]:
    configure_hosts(lab, PATIENT_SYSCTLS)
    yield
    configure_hosts(lab, USUAL_SYSCTLS)


@pytest.mark.usefixtures("_patient")
@pytest.mark.parametrize("faults", CHOSEN, ids=str)
def test_every_byte_arrives_both_ways(lab: Lab, proxy: Proxy, faults: Faults,
                                      figure: Figure) -> None:
    malformed = proxy.counters()["tcp_checksum"]
    trial = stream_trial(lab, "client", faults, stream_bytes=STREAM_BYTES,
                         first_port=20_000 + 100 * CHOSEN.index(faults))
    figure(f"{trial.seconds:.1f} s; {dict(trial.carried)}")
    assert not trial.failures
    assert trial.carried["overflow"] == 0, "no harm but that ordered"
    for chance, count in ((faults.loss, "lost"), (faults.duplication, "duplicated"),
                          (faults.reordering, "reordered"), (faults.corruption, "corrupted")):
        assert (trial.carried[count] > 0) == (chance > 0)
    if faults.corruption:
        assert proxy.counters()["tcp_checksum"] > malformed


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("side", ["client", "server"])
def test_handshakes_are_done_on_a_wire_that_loses_a_twentieth(lab: Lab, side: str,
                                                              figure: Figure) -> None:
    trial = handshake_trial(lab, side, WORST_OF_5_PERCENT, count=HANDSHAKES,
                            first_port={"client": 30_000, "server": 31_000}[side])
    heard_s = sorted(outcome.first_byte_s or 0 for outcome in trial.outcomes)
    figure(f"median {heard_s[HANDSHAKES // 2] * 1e3:.0f} ms, 99 % within "
           f"{heard_s[HANDSHAKES * 99 // 100]:.1f} s, all within {heard_s[-1]:.1f} s")
    assert trial.share_within(HANDSHAKE_S) >= 0.999
