"""Loss, duplication, reordering and corruption at once: every byte arrives.

The short form of what `make faults` runs in full: a smaller stream, fewer combinations.
"""

from collections.abc import Callable, Iterator

import pytest

from appliance.lab.faults import Faults
from appliance.lab.proxy import Proxy
from appliance.lab.topology import Lab
from appliance.lab.trials import COMBINATIONS, start_patient_peers, stream_trial

Figure = Callable[[str], None]

# At each loss another one of the other faults, and at the ends all of them.
CHOSEN = [COMBINATIONS[at] for at in (4, 6, 12, 18, 20, 29)]
STREAM_BYTES = 1 << 17


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One of its own, for hosts of their own kind."""
    with Lab(wires=("client",)) as laid:
        start_patient_peers(laid)
        yield laid


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
