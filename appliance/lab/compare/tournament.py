"""All rows through all contestants, which run side by side: most of a row is waiting."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from appliance.lab.compare.contestants import Contestant
from appliance.lab.compare.rows import Row
from appliance.lab.compare.stand import FAMILIES, Measured, Stand
from appliance.lab.compare.table import Cell


def measure_all(stands: Sequence[Stand], rows: Sequence[Row],
                tell: Callable[[Contestant, Row, Cell], None]) -> list[list[Cell]]:
    """For each row the cells of all stands.  `tell` hears of each as it is known."""
    with ThreadPoolExecutor(len(stands)) as pool:
        columns = list(pool.map(lambda stand: _measure_column(stand, rows, tell), stands))
    return [list(cells) for cells in zip(*columns, strict=True)]


def _measure_column(stand: Stand, rows: Sequence[Row],
                    tell: Callable[[Contestant, Row, Cell], None]) -> list[Cell]:
    cells = []
    for row in rows:
        cells.append(_measure(stand, row))
        tell(stand.contestant, row, cells[-1])
    return cells


def _measure(stand: Stand, row: Row) -> Cell:
    if not (stand.contestant.proxies or row.wire_too):
        return {}
    with ThreadPoolExecutor(len(FAMILIES) if row.parallel else 1) as pool:
        measured = list(pool.map(lambda family: _run(stand, row, family), FAMILIES))
    return dict(zip(FAMILIES, measured, strict=True))


def _run(stand: Stand, row: Row, family: int) -> Measured:
    """A refused or timed-out connection that the script did not reckon with is wrong as well."""
    try:
        return row.script(stand, family)
    except OSError as error:
        return Measured(type(error).__name__, False)
