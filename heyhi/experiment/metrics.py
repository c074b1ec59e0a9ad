"""What a task's metrics come to: the last and the best value of each; reading them is left to `metrics_file`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from heyhi.experiment.directions import Direction, Directions
from heyhi.experiment.kinds import NUMBERS, is_finite, kinds_of
from heyhi.experiment.metric_line import is_progress, less_facts

BEST = ".best"  # what ends the name of a best value
_MOST_NAMES = 10_000  # more metrics than that are no metrics, and fit into no table
# For `add_unparsed`. A line of numbers that can be turned into a list, without the characters of its numbers:
_PLAIN_LINE = re.compile(rb'\{"[^"\\]*": ?(, ?"[^"\\]*": ?)*\}\n')
_IN_NUMBERS = b"0123456789.-"
_AS_LIST = bytes.maketrans(b"{}:\n", b"  ,,")
_IN_NAMES = bytes(set(range(256)) - set(b'{}:\n", ' + _IN_NUMBERS))


class Summary:
    """The last value of each metric, and the best one of each that has a direction, a block of lines after the other.

    The best is a finite one wherever there is one.

    Args:
        directions: of the project.

    Attributes:
        is_cut: whether there were more metrics than it holds.
    """

    def __init__(self, directions: Directions) -> None:
        self.directions = directions
        self.is_cut = False
        self._last: dict[str, float] = {}
        self._best: dict[str, float] = {}

    def copy(self) -> Summary:
        """Return one that goes on from here by itself."""
        found = Summary(self.directions)
        found.is_cut, found._last, found._best = self.is_cut, dict(self._last), dict(self._best)
        return found

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Take in a block of lines."""
        if lines and not self._add_by_column(lines):
            self._add_kinds(lines)

    def add_unparsed(self, data: bytes) -> bool:
        """Take in lines of a metrics file, without making a dict of each line.

        A fast path for the usual file: without it, a table of 10,000 experiments takes 1.2 times as long. It is for
        lines that differ in nothing but the digits of their numbers. All letters are taken out of the text, which then
        is one list: `{"step": 1, "loss": 0.5}` and the lines after it become `["", 1, "", 0.5, "", 2, "", 0.25]`. A
        digit in a name is left in that name's place, and so noticed.

        Returns:
            False, with nothing done, where the lines differ in more, a number has an exponent, or something isn't JSON.
        """
        import orjson

        line = data[data.rfind(b"\n", 0, -1) + 1 :]
        try:
            last: dict[str, Any] = orjson.loads(line)
            shape = line.translate(None, _IN_NUMBERS)
            if not _is_plain(shape) or is_progress(last):
                return False
            shapes = data.translate(None, _IN_NUMBERS)
            lines = len(shapes) // len(shape)
            if shapes != shape * lines:
                return False
            found = orjson.loads(b"[%b]" % data[:-1].translate(_AS_LIST, _IN_NAMES))
        except ValueError:
            return False
        width = 2 * len(last)
        # A digit in a name, or a name that stands twice in a line.
        is_plain = len(found) == lines * width and found[::2].count("") == lines * len(last)
        if not is_plain or len(self._last) + len(last) > _MOST_NAMES:
            return False
        chosen = _plan(tuple(last), self.directions)[1]
        self._put(last, {name: choose(found[2 * place + 1 :: width]) for place, name, choose in chosen})
        return True

    def result(self) -> dict[str, Any]:
        """Return the last values by name, and as `<name>.best` the best ones."""
        found: dict[str, Any] = dict(self._last)
        for name, value in self._best.items():
            found[name + BEST] = value
        return found

    def _add_by_column(self, lines: Sequence[Mapping[str, Any]]) -> bool:
        """Take in lines that have the same keys and hold numbers only; False, and nothing done, where they don't.

        This is the usual case, and no line is gone through by itself.
        """
        last = lines[-1]
        if len(last) < 2 or not NUMBERS.issuperset(map(type, last.values())) or set(map(len, lines)) != {len(last)}:
            return False
        if len(self._last) + len(last) > _MOST_NAMES:
            return False
        best = {}
        try:
            values_of, chosen = _plan(tuple(last), self.directions)
            columns = list(zip(*map(values_of, lines), strict=True))
            for place, name, choose in chosen:
                found = choose(columns[place])  # raises TypeError where one is no number
                # min and max stop comparing at a NaN; True is no number, and 1.
                if type(found) is bool or not is_finite(found):
                    return False
                best[name] = found
        except (KeyError, TypeError):
            return False
        self._put(last, best)
        return True

    def _put(self, last: Mapping[str, float], best: dict[str, float]) -> None:
        """Take in what some lines come to."""
        last = less_facts(last)
        if not self._last:  # mostly there is but one block
            self._last, self._best = dict(last), best
            return
        self._last.update(last)
        for name, value in best.items():
            self._note_best(name, [value])

    def _add_kinds(self, lines: Sequence[Mapping[str, Any]]) -> None:
        kinds = kinds_of(lines)
        for kind in kinds:
            for name, column in kind.columns.items():
                if name not in self._last and len(self._last) >= _MOST_NAMES:
                    self.is_cut = True
                    continue
                self._last.setdefault(name, column[-1])
                self._note_best(name, column)
        for kind in sorted(kinds, key=lambda kind: kind.places[-1]):
            self._last.update((name, column[-1]) for name, column in kind.columns.items() if name in self._last)

    def _note_best(self, name: str, values: Sequence[float]) -> None:
        direction = self.directions.of(name)
        if direction is not None:
            known = [self._best[name]] if name in self._best else []
            self._best[name] = best_of([*known, *values], direction)


def best_of(values: Sequence[float], direction: Direction) -> float:
    """Return the best of some numbers: a finite one where there is one, else none that is NaN where there is one."""
    values = [v for v in values if is_finite(v)] or [v for v in values if v == v] or values
    return min(values) if direction == "min" else max(values)


@lru_cache(maxsize=256)
def _is_plain(shape: bytes) -> bool:
    return _PLAIN_LINE.fullmatch(shape) is not None


@lru_cache(maxsize=256)
def _plan(
    keys: tuple[str, ...], directions: Directions
) -> tuple[Callable[[Any], tuple[Any, ...]], list[tuple[int, str, Callable[..., Any]]]]:
    """Prepare summing up lines that have these keys.

    Returns:
        a function that takes the values out of a line; for each key that has a best value its place among the keys,
        its name, and min or max.
    """
    found = [
        (place, key, directions.of(key)) for place, key in enumerate(keys) if key in less_facts(dict.fromkeys(keys))
    ]
    return itemgetter(*keys), [(i, key, min if one == "min" else max) for i, key, one in found if one is not None]
