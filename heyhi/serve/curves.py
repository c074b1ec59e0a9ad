"""The curves of some experiments, as the page asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from heyhi.experiment.names import METRICS_NAME
from heyhi.experiment.records import Start
from heyhi.report.page_arrays import Arrays
from heyhi.report.page_curves import curves_of
from heyhi.report.page_payload import curve_set
from heyhi.report.x_axes import names_of_axes
from heyhi.serve.board import Board


def curves(board: Board, keys: Sequence[str], points: int, metrics: Iterable[str] = ()) -> dict[str, Any]:
    """Return curves: `{"points", "x": names of axes, "arrays", "curves": {key: sets as in the page's data}}`."""
    from heyhi.experiment.metrics_file import counting_blocks

    found = {}
    for key in keys:
        known = board.experiment(key)
        if known is None:
            continue
        starts = [record for record in known.folder.attempts() if isinstance(record, Start)]
        blocks = counting_blocks(known.folder.path / METRICS_NAME, starts)
        found[key] = curves_of((block.lines for block in blocks), points)
    arrays, axes = Arrays(), names_of_axes(list(found.values()))
    sets = {key: [curve_set(one, axes, arrays) for one in own] for key, own in found.items()}
    return {"points": points, "x": axes, "arrays": arrays.packed, "curves": sets}
