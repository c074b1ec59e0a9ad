"""The curves of some experiments, as the page asks for them: thinned to what its pixels show, and remembered.

A file that grows is read on from where it was. What is remembered is bounded by its size, the last asked stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.growing_metrics import GrowingMetrics
from heyhi.experiment.names import METRICS_NAME
from heyhi.experiment.records import Start
from heyhi.report.kept_curves import stamp_of
from heyhi.report.kept_readings import UNKNOWN
from heyhi.report.page_arrays import Arrays
from heyhi.report.page_curves import CurveSet, Menu, RunCurves
from heyhi.report.page_payload import curve_set
from heyhi.report.readings import printable
from heyhi.report.x_axes import names_of_axes
from heyhi.serve.board import Board

_MOST_METRICS = 64  # that are remembered of an experiment
_LEAST_POINTS, _MOST_POINTS = 32, 2_048  # of a curve
_MOST_BYTES = 48 << 20  # that are remembered
_NUMBER_BYTES = 8
_MOST_NAMES = 50_000  # of metrics, that an answer lists
_STAMP_DIGITS = 16


def buckets_for(points: int) -> int:
    """Return into how many even buckets a curve is parted, so that it has about as many points, or fewer.

    A power of two: who makes a window wider by some pixels has nothing read anew.
    """
    return 1 << (min(max(points, _LEAST_POINTS), _MOST_POINTS) // 2).bit_length() - 1


class Curves:
    """The curves of the experiments of a board.

    Several may ask at once; an experiment is read by one of them.

    Args:
        board: that knows them.
        most_bytes: about how much is remembered.
    """

    def __init__(self, board: Board, most_bytes: int = _MOST_BYTES) -> None:
        self._board, self._most_bytes = board, most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], _Kept] = OrderedDict()
        self._bytes = 0

    @property
    def remembered(self) -> int:
        """About how many bytes are remembered."""
        return self._bytes

    def answer(
        self,
        keys: Sequence[str],
        points: int,
        metrics: Collection[str] = (),
        axes: Collection[str] = (),
        have: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return curves, see `wire`.

        Args:
            keys: of experiments; what isn't shown any more is left out.
            points: about how many of each curve.
            metrics: which of them.
            axes: over which of what they can be drawn over; default: all. One that has none of them comes over its
                usual one.
            have: for each key the stamp of what the page has of it; may be shorter.
        """
        buckets, wanted = buckets_for(points), frozenset(metrics)
        arrays, names_left = Arrays(), _MOST_NAMES
        sets, names, stamps, same = dict[str, Any](), dict[str, list[str]](), dict[str, str](), list[str]()
        seen: list[Sequence[Menu]] = []
        for key, known_stamp in dict(zip_longest(keys, have[: len(keys)], fillvalue="")).items():
            known = self._board.experiment(key)
            if known is None:
                continue
            found = self._of(key, known.folder, buckets, wanted)
            seen.append(found.menus)
            shown = _chosen(found.sets, wanted, axes)
            stamps[key] = _stamp_of(shown, found.menus)
            if stamps[key] == known_stamp:
                same.append(key)
                continue
            sets[key] = [curve_set(one, list(one.x), arrays) for one in shown]
            own = [name for menu in found.menus for name in menu.y]
            names_left -= len(own)
            if names_left >= 0:
                names[key] = own
        return {
            "points": buckets,
            "x": names_of_axes(seen),
            "arrays": arrays.packed,
            "curves": sets,
            "metrics": names,
            "stamps": stamps,
            "same": same,
        }

    def _of(self, key: str, folder: ExperimentDir, buckets: int, wanted: frozenset[str]) -> _Found:
        place = key, buckets
        with self._lock:
            kept = self._kept.setdefault(place, _Kept(folder, buckets))
            self._kept.move_to_end(place)
        with kept.lock:
            found = kept.read(wanted)
            size = kept.size
        with self._lock:
            if self._kept.get(place) is kept:
                self._bytes += size - kept.counted
                kept.counted = size
            while self._bytes > self._most_bytes and self._kept:
                _, forgotten = self._kept.popitem(last=False)
                self._bytes -= forgotten.counted
        return found


class _Found(NamedTuple):
    """What was found of an experiment."""

    sets: Sequence[CurveSet] = ()
    menus: Sequence[Menu] = ()


class _Kept:
    """What is remembered of an experiment.

    Attributes:
        lock: of who reads it.
        counted: as how many bytes it was counted; whoever counts looks after that.
        size: about how many bytes it has.
    """

    def __init__(self, folder: ExperimentDir, buckets: int) -> None:
        self.lock = threading.Lock()
        self.counted = self.size = 0
        self._folder = folder
        self._metrics = GrowingMetrics(lambda: RunCurves(buckets), RunCurves.copy)
        self._stamp = UNKNOWN
        self._names = frozenset[str]()
        self._found = _Found()

    def read(self, wanted: frozenset[str]) -> _Found:
        """Return what there is of some metrics, read anew where it may have changed; what can't be read is left out."""
        stamp = stamp_of(str(self._folder.path))
        if UNKNOWN != stamp == self._stamp and wanted <= self._names:
            return self._found
        # With what was asked before: a page asks for one chart after the other.
        names = wanted | self._names if len(self._names) < _MOST_METRICS else wanted
        starts: list[Start] = []
        with contextlib.suppress(HeyhiError):
            starts = [record for record in self._folder.attempts() if isinstance(record, Start)]
        try:
            run = self._metrics.read(self._folder.path / METRICS_NAME, starts)
            menus = run.menus()
            own = {name for menu in menus for name in menu.y if printable(name) in names}
            sets = [CurveSet(*map(_printable, one)) for one in run.curves(own)]
            found = _Found(sets, [Menu(*map(_printable, menu)) for menu in menus])
        except HeyhiError:  # the table says so
            found, stamp = _Found(), UNKNOWN
        self._stamp, self._names, self._found = stamp, names, found if stamp != UNKNOWN else _Found()
        taken = self._metrics.taken
        texts = (text for one in self._found.sets for part in one for text in part.values())
        self.size = sum(map(len, texts)) + (_NUMBER_BYTES * taken.size if taken is not None else 0)
        return found


def _chosen(sets: Iterable[CurveSet], wanted: Collection[str], axes: Collection[str]) -> list[CurveSet]:
    """Return what was asked for of some sets, in an order that doesn't depend on what else was."""
    found = []
    for one in sets:
        own = [name for name in one.y if name in wanted]
        if own:
            over = [name for name in one.x if name in axes] or (list(one.x) if not axes else list(one.x)[:1])
            x, mean_x = ({name: part[name] for name in over if name in part} for part in (one.x, one.mean_x))
            y, mean = ({name: part[name] for name in own if name in part} for part in (one.y, one.mean))
            found.append(CurveSet(x, y, mean_x, mean))
    return sorted(found, key=lambda one: next(iter(one.y)))


def _printable(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with names as JSON can send them, and as the table has them."""
    return {printable(name): value for name, value in part.items()}


def _stamp_of(sets: Sequence[CurveSet], menus: Sequence[Menu]) -> str:
    """Return what changes when what is shown does."""
    digest = hashlib.blake2b(digest_size=_STAMP_DIGITS // 2)
    parts: list[Mapping[str, str | None]] = [part for one in sets for part in one]
    for part in [*parts, *(part for menu in menus for part in menu)]:
        for name, text in part.items():
            digest.update(f"{name}\0{text}\0".encode())
        digest.update(b"\1")
    return digest.hexdigest()
