"""`make compare` tells right from wrong: a few of its rows and scripts, on real namespaces."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from appliance.lab.compare import differential
from appliance.lab.compare.contestants import Direct, NftSynproxy, Refused, Synproxyd
from appliance.lab.compare.intended import INTENDED
from appliance.lab.compare.rows import ROWS, Row
from appliance.lab.compare.scripts import scripts
from appliance.lab.compare.stand import FAMILIES, Stand
from appliance.lab.compare.table import is_right
from appliance.lab.compare.tournament import measure_all

# One of each kind: real stacks, windows, options, and one that the kernel can't get right.
QUICK_ROWS = [row for row in ROWS if row.number in ("G2", "G8", "G9")]
WIRE_ROWS = [row for row in QUICK_ROWS if row.wire_too]
EVERY_NTH = 13          # of the scripts
SOON_S = 2              # none that lets a cookie grow older


@pytest.fixture(scope="module")
def kernel() -> Iterator[Stand]:
    try:
        with Stand(NftSynproxy()) as stand:
            yield stand
    except Refused as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def ours() -> Iterator[Stand]:
    with Stand(Synproxyd()) as stand:
        yield stand


def rights(stand: Stand, rows: Sequence[Row]) -> dict[str, bool]:
    """By the row's number, whether the stand was right."""
    measured = measure_all([stand], rows, lambda *_cell: None)
    return {row.number: is_right(cell) for row, (cell,) in zip(rows, measured, strict=True)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_ours_is_right(ours: Stand, row: Row) -> None:
    assert rights(ours, [row]) == {row.number: True}


def test_a_wire_is_right() -> None:
    with Stand(Direct()) as wire:
        assert rights(wire, WIRE_ROWS) == {row.number: True for row in WIRE_ROWS}


def test_the_kernel_is_wrong_where_it_was_found_to_be(kernel: Stand) -> None:
    assert rights(kernel, QUICK_ROWS) == {row.number: False for row in QUICK_ROWS}


def test_every_difference_on_the_wire_is_intended(kernel: Stand, ours: Stand,
                                                  figure: Callable[[str], None]) -> None:
    some = [script for script in scripts()[::EVERY_NTH]
            if all(say.after_s <= SOON_S for say in script.says)]
    assert {script.family for script in some} == set(FAMILIES)
    judgement = differential.compare(kernel.raw, ours.raw, some, INTENDED)
    figure(differential.summary(judgement))
    assert not judgement.unexplained, "\n".join(map(str, judgement.unexplained))


def test_differences_are_seen(kernel: Stand, ours: Stand) -> None:
    """Without rules, every connection shows that a proxy of another make stands there."""
    judgement = differential.compare(kernel.raw, ours.raw, scripts()[:2], ())
    assert {difference.script for difference in judgement.unexplained} == set(scripts()[:2])


def test_a_kernel_without_synproxy_is_left_out_with_a_word(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.lab.compare.contestants.NFT_RULES", "table inet {")
    with pytest.raises(Refused, match="this kernel has none: nft"), Stand(NftSynproxy()):
        pass
