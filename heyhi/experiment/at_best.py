"""The metrics at the counter where one of them was best: the test accuracy at the best validation epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from heyhi.experiment.abandoned import Logged
from heyhi.experiment.directions import Direction, is_better
from heyhi.experiment.kinds import Kind, is_finite, kinds_of
from heyhi.experiment.metrics import best_of
from heyhi.experiment.metrics_file import counting_blocks
from heyhi.experiment.records import Start


def values_at_best(
    path: Path | str,
    starts: Sequence[Start],
    metric: str,
    direction: Direction,
    *,
    damaged: Callable[[int], object] = lambda line: None,
    cut: Callable[[int], object] = lambda line: None,
) -> dict[str, Any]:
    """Return the value of each metric that was logged where one was best, that one's best, and the counters there.

    What is logged there is told by the first counter of that line that orders that metric and the other one; without
    one, by the line itself. Of several values the last counts, of several equally good places the first.

    Args:
        path: of the metrics file; it is read twice.
        starts: of the experiment's attempts.
        metric: that is to be best.
        direction: which way it is better.
        damaged: called with the number of each line that can't be read, from 1.
        cut: as in `metrics_file.counting_blocks`.

    Returns:
        nothing where the metric was never logged.

    Raises:
        ResultError: the file can't be read.
    """
    search = _Search(metric, direction)
    for number, block in enumerate(counting_blocks(path, starts, damaged=damaged, cut=cut)):
        search.add(number, block.attempt, block.lines)
    if search.best is None:
        return {}
    found = dict[str, Any]()
    for number, block in enumerate(counting_blocks(path, starts)):
        there = (one for kind in kinds_of(block.lines) for one in search.values_in(kind, number))
        found.update((name, value) for _, name, value in sorted(there, key=itemgetter(0)))
    return {**search.counters, **found, metric: search.best}


class _Search:
    """Where a metric is best, found a block after the other."""

    def __init__(self, metric: str, direction: Direction) -> None:
        self.metric = metric
        self.direction = direction
        self.best: float | None = None
        self.counters: dict[str, float] = {}
        self._place = (-1, -1)
        self._attempt: int | None = None
        self._logged = Logged()
        self._last: dict[str, float] = {}
        self._repeated: set[str] = set()

    def add(self, number: int, attempt: int, lines: Sequence[dict[str, Any]]) -> None:
        """Look at a block of lines.

        Args:
            number: of the block.
            attempt: that wrote it.
            lines: that count.
        """
        if attempt != self._attempt:
            self._attempt = attempt
            self._logged.begin_attempt()
        self._logged.add(lines)
        kinds = [kind for kind in kinds_of(lines) if self.metric in kind.columns]
        for place, kind, at in sorted((place, n, at) for n, k in enumerate(kinds) for at, place in enumerate(k.places)):
            self._note_repeated(kinds[kind], at)
            value = kinds[kind].columns[self.metric][at]
            if self._is_better(value):
                self.best, self._place = value, (number, place)
                self.counters = {key: kinds[kind].columns[key][at] for key in kinds[kind].counters}

    def _note_repeated(self, kind: Kind, at: int) -> None:
        for key in kind.counters:
            value = kind.columns[key][at]
            if self._last.get(key) == value:
                self._repeated.add(key)
            self._last[key] = value

    def _is_better(self, value: float) -> bool:
        best = self.best
        if best is None:
            return True
        if is_finite(best) and is_finite(value):
            return is_better(value, best, self.direction)
        return value != best and best_of([best, value], self.direction) is value

    def values_in(self, kind: Kind, number: int) -> Iterator[tuple[int, str, float]]:
        """Yield the metrics of a kind of lines that were logged where the best is: which line, name and value.

        Args:
            kind: of a block's lines.
            number: of the block.
        """
        here = None
        if number == self._place[0] and self._place[1] in kind.places:
            here = kind.places.index(self._place[1])
        # One at which the metric itself was logged twice tells less than one at which it wasn't.
        own = sorted(self.counters, key=lambda key: key in self._repeated)
        known: dict[str | None, int | None] = {}
        for metric in kind.metrics:
            order = next((k for k in own if k in kind.counters and self._orders(k, metric)), None)
            if order not in known:
                known[order] = here
                if order is not None:
                    column = kind.columns[order]
                    at = [at for at, value in enumerate(column) if value == self.counters[order]]
                    known[order] = at[-1] if at else None
            last = known[order]
            if last is not None:
                yield kind.places[last], metric, kind.columns[metric][last]

    def _orders(self, counter: str, metric: str) -> bool:
        return all(self._logged.order(one, [counter]) is not None for one in (metric, self.metric))
