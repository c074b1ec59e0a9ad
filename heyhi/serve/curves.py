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
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.growing_metrics import GrowingMetrics
from heyhi.experiment.names import METRICS_NAME
from heyhi.experiment.records import Start
from heyhi.report.kept_curves import stamp_of
from heyhi.report.kept_readings import UNKNOWN, Stamp
from heyhi.report.page_arrays import Arrays
from heyhi.report.page_curves import CurveSet, Menu, RunCurves
from heyhi.report.page_payload import curve_set
from heyhi.report.readings import printable
from heyhi.report.x_axes import names_of_axes
from heyhi.serve import stored_curves
from heyhi.serve.long_readings import LONG_BYTES
from heyhi.serve.memory import give_back
from heyhi.serve.parameters import MOST_METRIC
from heyhi.serve.stored_curves import Stored

if TYPE_CHECKING:
    from pathlib import Path

    from heyhi.project import Project
    from heyhi.serve.board import Board, Known

_MOST_METRICS = 64  # that are remembered of an experiment
_LEAST_POINTS, _MOST_POINTS = 32, 2_048  # of a curve
_MOST_BYTES = 32 << 20  # that are remembered
_NUMBER_BYTES, _OWN_BYTES = 8, 5_000
_MOST_SENT = 8 << 20  # bytes of numbers, of an answer
_KEEP_SECONDS = 3.0
_LEAST_NEWS = 16  # experiments of which something is written to disk
_MOST_NAMES = 50_000  # of metrics, that an answer lists
_STAMP_DIGITS = 16
_BYTES_OF_BLOCK = 512


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
        self._stores: dict[tuple[Path | None, int], _Store] = {}
        self._bytes = 0
        self._keeping: threading.Timer | None = None

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
        asked = dict(zip_longest(keys, have[: len(keys)], fillvalue=""))
        left, sent = self._put_off(asked, buckets), 0
        for key in left:
            del asked[key]
        for key, known_stamp in asked.items():
            known = self._board.experiment(key)
            if known is None:
                continue
            if sent > _MOST_SENT:
                left.append(key)
                continue
            found = self._of(key, known, buckets, wanted)
            seen.append(found.menus)
            shown = _chosen(found.sets, wanted, axes)
            stamps[key] = _stamp_of(shown, found.menus)
            if stamps[key] == known_stamp:
                same.append(key)
                continue
            count = len(arrays.packed)
            sets[key] = [curve_set(one, list(one.x), arrays) for one in shown]
            sent += sum(map(len, arrays.packed[count:]))
            own = [name for menu in found.menus for name in menu.y if len(name) <= MOST_METRIC]
            names_left -= len(own)
            if names_left >= 0:
                names[key] = own
        self._keep_later()
        return {
            "points": buckets,
            "x": names_of_axes(seen),
            "arrays": arrays.packed,
            "curves": sets,
            "metrics": names,
            "stamps": stamps,
            "same": same,
            "left": left,
        }

    def _put_off(self, keys: Collection[str], buckets: int) -> list[str]:
        """Return those whose metrics take long to read: they are answered by themselves, and delay no others."""
        found = []
        for key in keys:
            known, kept = self._board.experiment(key), self._kept.get((key, buckets))
            if known is not None and (kept is None or kept.stored is None):
                size = _size_of(known.folder.metrics_path)
                if size - (kept.length if kept is not None else 0) > LONG_BYTES:
                    found.append(key)
        return found if len(found) < len(keys) else found[1:]

    def _of(self, key: str, known: Known, buckets: int, wanted: frozenset[str]) -> _Found:
        place = key, buckets
        with self._lock:
            of = known.folder.results_root, buckets
            store = self._stores.get(of)
            if store is None:
                store = self._stores[of] = _Store(known.project, buckets)
            kept = self._kept.get(place)
            if kept is None:
                kept = self._kept[place] = _Kept(known.folder, store, key)
            self._kept.move_to_end(place)
        with kept.lock:
            before = kept.stored
            found = kept.read(wanted)
            stored, size = kept.stored, kept.size
        with self._lock:
            if stored is not None and stored is not before:
                store.news[key] = stored
            if self._kept.get(place) is kept:
                self._bytes += size - kept.counted
                kept.counted = size
            while self._bytes > self._most_bytes and self._kept:
                _, forgotten = self._kept.popitem(last=False)
                self._bytes -= forgotten.counted
        return found

    def _keep_later(self) -> None:
        """Keep on disk what was read, once those have their answers who ask now: a page asks for some at a time."""
        with self._lock:
            if self._keeping is None and any(store.is_due for store in self._stores.values()):
                self._keeping = threading.Timer(_KEEP_SECONDS, self.keep)
                self._keeping.daemon = True
                self._keeping.start()

    def keep(self) -> None:
        """Keep on disk what was read, where it is much of what is known."""
        with self._lock:
            self._keeping = None
            due = []
            for store in self._stores.values():
                if store.is_due:
                    its = [(place[0], kept.stored) for place, kept in self._kept.items() if kept.store is store]
                    due.append((store, store.all_with({key: one for key, one in its if one is not None})))
        for store, every in due:  # a disk may be slow, and others ask meanwhile
            stored_curves.store(store.project, store.buckets, every)
        if due:
            give_back()


class _Store:
    """What is kept on disk of the experiments of a project.

    Attributes:
        project: whose they are.
        buckets: into which their curves are parted.
        news: what was read since it was written last.
    """

    def __init__(self, project: Project, buckets: int) -> None:
        self.buckets = buckets
        self.news: dict[str, Stored] = {}
        self.project = project
        self._loaded: dict[str, Stored] | None = None
        self._count = 0

    def taken(self, key: str) -> Stored | None:
        """Return what was there of an experiment, and hold it no more."""
        if self._loaded is None:
            self._loaded = stored_curves.load(self.project, self.buckets)
            self._count = len(self._loaded)
        return self._loaded.pop(key, None)

    @property
    def is_due(self) -> bool:
        """Whether there is much that isn't on disk."""
        return len(self.news) >= max(_LEAST_NEWS, self._count // 8)

    def all_with(self, kept: Mapping[str, Stored]) -> dict[str, Stored]:
        """Return what is to be on disk: what is kept, and what was there and wasn't asked for yet."""
        every = {**self.news, **kept, **(self._loaded or {})}
        self._count, self.news = len(every), {}
        return every


class _Found(NamedTuple):
    """What was found of an experiment."""

    sets: Sequence[CurveSet] = ()
    menus: Sequence[Menu] = ()


class _Kept:
    """What is remembered of an experiment.

    Attributes:
        store: of its project.
        lock: of who reads it.
        stored: what is to be remembered; None where its files may change.
        counted: as how many bytes it was counted; whoever counts looks after that.
        size: about how many bytes it has.
        length: bytes of its metrics that were read.
    """

    def __init__(self, folder: ExperimentDir, store: _Store, key: str) -> None:
        self.lock = threading.Lock()
        self.counted = self.size = self.length = 0
        self.store, self.stored = store, store.taken(key)
        self._folder = folder
        self._metrics = GrowingMetrics(lambda: RunCurves(store.buckets), RunCurves.copy)
        self._names = frozenset[str]()

    def read(self, wanted: frozenset[str]) -> _Found:
        """Return what there is of some metrics, read anew where it may have changed; what can't be read is left out."""
        stamp, stored = stamp_of(str(self._folder.path)), self.stored
        if stored is not None and stored.stamp == stamp and wanted <= stored.names:
            found = _Found(stored.sets, stored.menus)
        else:
            found = self._read(stamp, wanted)
        taken = self._metrics.taken
        numbers = _NUMBER_BYTES * taken.size if taken is not None else 0
        self.size = _OWN_BYTES + numbers + (self.stored.size if self.stored is not None else 0)
        return found

    def _read(self, stamp: Stamp, wanted: frozenset[str]) -> _Found:
        # With what was asked before: a page asks for one chart after the other.
        before = self._names if self.stored is None else self.stored.names
        self._names = names = wanted | before if len(before) < _MOST_METRICS else wanted
        self.stored = None
        length = _size_of(self._folder.metrics_path)
        starts: list[Start] = []
        with contextlib.suppress(HeyhiError):
            starts = [record for record in self._folder.attempts() if isinstance(record, Start)]
        try:
            run = self._metrics.read(self._folder.path / METRICS_NAME, starts)
        except HeyhiError:  # the table says so
            return _Found()
        self.length = length
        menus = run.menus()
        own = {name for menu in menus for name in menu.y if printable(name) in names}
        sets = [CurveSet(*map(_printable, one)) for one in run.curves(own)]
        menus = [Menu(*map(_printable, menu)) for menu in menus]
        if stamp != UNKNOWN:
            self.stored = Stored(stamp, names, sets, menus)
        return _Found(sets, menus)


def _size_of(path: Path) -> int:
    """Return how many bytes of a file are to be read: none of its holes; 0 where there is none."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return min(found.st_size, found.st_blocks * _BYTES_OF_BLOCK)
    return 0


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
    if all(map(str.isascii, part)):
        return dict(part)
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
