"""The learning curves of one experiment as a page draws them, made while its metrics are read.

They are thinned out block by block (`decimation`), so that metrics of any length fit into memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.experiment.metric_line import TIME
from heyhi.report.bucket_means import Bucketing, CurveMeans
from heyhi.report.curve_points import Points, appended, joined, thinned
from heyhi.report.decimation import BUCKETS, parted
from heyhi.report.metric_columns import Column, columns_of
from heyhi.report.page_arrays import packed, packed_axis
from heyhi.report.x_axes import LINE, Trend, is_axis_name, rank

if TYPE_CHECKING:
    from heyhi.report.decimation import Floats, Positions

MOST_METRICS = 1_000  # of an experiment: nobody looks at more, and a name may be made for each line
_MOST_COUNTERS, _MOST_OTHERS = 8, 4  # over which the same metric may be drawn
_MOST_WAITING = 1 << 20  # numbers that are held until they are thinned out
_MEAN_SHARE = 2  # as many buckets have one mean: a smooth line needs fewer points than one with spikes
_EACH = 32  # numbers that take as much memory as an array does beside its own


class CurveSet(NamedTuple):
    """Metrics that are drawn at the same places.

    Attributes:
        x: what they can be drawn over, the usual first, each with packed numbers (`page_arrays`).
        y: the metrics, likewise.
        mean_x: where the means of their parts stand, likewise; nothing where all points may be drawn.
        mean: these means.
    """

    x: dict[str, str]
    y: dict[str, str]
    mean_x: dict[str, str]
    mean: dict[str, str]


def curves_of(blocks: Iterable[Sequence[Mapping[str, Any]]], buckets: int = BUCKETS) -> list[CurveSet]:
    """Make the curves of one experiment.

    Args:
        blocks: lines of its metrics file, a block after the other.
        buckets: how many even ones a curve is parted into; few points are all kept.
    """
    run = RunCurves(buckets)
    for lines in blocks:
        run.add(lines)
    return run.curves()


class Menu(NamedTuple):
    """What can be drawn of metrics that stand in the same lines.

    Attributes:
        x: names of what they can be drawn over, the usual first.
        y: names of the metrics.
    """

    x: Mapping[str, None]
    y: Mapping[str, None]


class _Chunk(NamedTuple):
    """Lines of a set that were read and not thinned out yet."""

    lines: Positions
    x: dict[str, Floats]
    y: dict[str, Floats]


@dataclass
class _Set:
    """Metrics that were in the same lines so far.

    Attributes:
        count: of these lines.
        axes: what may be drawn over.
        kept: what is kept of each metric; empty as long as nothing was thinned out.
        means: of their parts; nothing as long as all points are kept.
    """

    metrics: list[str]
    count: int = 0
    axes: dict[str, Trend] = field(default_factory=dict)
    kept: dict[str, Points] = field(default_factory=dict)
    waiting: list[_Chunk] = field(default_factory=list)
    means: CurveMeans = field(default_factory=CurveMeans)

    @property
    def size(self) -> int:
        """About how many numbers are kept, with what waits left out."""
        each = len(self.axes) + 3
        held = sum((len(points.positions) + _EACH) * each for points in self.kept.values())
        means = self.means.metrics
        return held if means is None else held + 2 * len(means.starts) * (len(means.of) + len(self.axes) + 1)

    def add(self, where: Positions, first_line: int, columns: Mapping[str, Column], candidates: Sequence[str]) -> int:
        """Add lines that have these metrics, and return how many numbers wait."""
        x = {}
        for name in self._admitted(candidates):
            values = columns[name].at(where)
            self.axes[name].add(values)
            x[name] = values
        self.waiting.append(_Chunk(where + first_line, x, {name: columns[name].values for name in self.metrics}))
        self.count += len(where)
        return (len(where) + _EACH) * (1 + len(x) + len(self.metrics))

    def _admitted(self, candidates: Sequence[str]) -> list[str]:
        for name in candidates:
            if name not in self.axes:
                like = sum(is_axis_name(other) == is_axis_name(name) for other in self.axes)
                if like < (_MOST_COUNTERS if is_axis_name(name) else _MOST_OTHERS):
                    self.axes[name] = Trend()
        return [name for name in candidates if name in self.axes and not self.axes[name].falls]

    def thin(self, buckets: int, left_out: Collection[str] = ()) -> None:
        """Thin out what waits, together with what was kept before; of what is left out nothing is needed any more."""
        import numpy as np

        if not self.waiting:
            return
        names = [name for name, trend in self.axes.items() if not trend.falls]
        lines = np.concatenate([chunk.lines for chunk in self.waiting])
        positions = np.arange(self.count - len(lines), self.count)
        x = {
            name: joined([chunk.x.get(name, len(chunk.lines)) for chunk in self.waiting], len(lines)) for name in names
        }
        came = {
            metric: Points(positions, lines, joined([chunk.y[metric] for chunk in self.waiting], len(lines)), x)
            for metric in self.metrics
            if metric not in left_out
        }
        self.waiting.clear()
        if self.count > buckets:
            self._sum_up(came, buckets)
        parts = parted(positions, buckets, self.count) if self.count > buckets and not self.kept else None
        for metric, new in came.items():
            if metric in self.kept:
                points = appended(self.kept[metric], new)
                self.kept[metric] = thinned(points, parted(points.positions, buckets, self.count))
            else:
                self.kept[metric] = new if parts is None else thinned(new, parts)

    def _sum_up(self, came: Mapping[str, Points], buckets: int) -> None:
        if self.means.metrics is None and self.kept:  # until now, all points were kept
            came = {metric: appended(self.kept[metric], new) for metric, new in came.items()}
        for points in list(came.values())[:1]:  # the others are in the same lines
            x = {**points.x, LINE: points.numbers()}
            bucketing = Bucketing(max(buckets // _MEAN_SHARE, 1), self.count)
            self.means.add(bucketing, points.positions, x, {metric: one.values for metric, one in came.items()})

    def drawn(self, metrics: Sequence[str], axes: Sequence[str]) -> CurveSet:
        """Return metrics that stand at the same places, over some axes."""
        points, means = self.kept[metrics[0]], self.means
        x = {name: points.numbers() if name == LINE else points.x[name] for name in axes}
        mean_x = {} if means.metrics is None else {name: means.x(metrics[0], name) for name in axes}
        return CurveSet(
            {name: packed_axis(values) for name, values in x.items()},
            {name: packed(self.kept[name].values) for name in metrics},
            {name: packed_axis(values) for name, values in mean_x.items()},
            {} if means.metrics is None else {name: packed(means.y(name)) for name in metrics},
        )

    def divided(self, groups: Iterable[list[str]], buckets: int) -> list[_Set]:
        """Part the set where its metrics are not in the same lines any more."""
        self.thin(buckets)
        found = []
        for group in groups:
            axes = {name: trend.copy() for name, trend in self.axes.items()}
            kept = {name: self.kept[name] for name in group}
            found.append(_Set(group, self.count, axes, kept, means=self.means.divided(group)))
        return found


class RunCurves:
    """One experiment's metrics, while they are read.

    Args:
        buckets: how many even ones a curve is parted into; few points are all kept.
    """

    def __init__(self, buckets: int) -> None:
        self._buckets = buckets
        self._sets: list[_Set] = []
        self._trends: dict[str, Trend] = {}
        self._lines = self._waiting = 0
        self._began: float | None = None  # when the first line of `heyhi.log` was written

    @property
    def size(self) -> int:
        """About how many numbers are held."""
        return self._waiting + sum(one.size for one in self._sets)

    def copy(self) -> RunCurves:
        """Return another one that has read the same, to go on by itself; what waits is thinned out before."""
        other = RunCurves(self._buckets)
        other._sets = [own for one in self._sets for own in one.divided([one.metrics], self._buckets)]
        other._trends = {name: trend.copy() for name, trend in self._trends.items()}
        other._lines, other._began = self._lines, self._began
        self._waiting = 0
        return other

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Go on with the next lines."""
        import numpy as np

        columns, clock = columns_of(lines)
        if clock is not None and TIME not in columns:
            self._began = clock.values[0] if self._began is None else self._began
            with np.errstate(invalid="ignore"):  # a time may be infinite
                columns[TIME] = Column(clock.where, clock.values - self._began)
        for name in list(columns):
            if name not in self._trends:
                if len(self._trends) >= MOST_METRICS:
                    del columns[name]
                    continue
                self._trends[name] = Trend()
            self._trends[name].add(columns[name].values)
        candidates = [name for name in columns if self._may_be_axis(name)]
        candidates.sort(key=_by_rank)
        self._part(columns)
        for one in self._sets:
            if one.metrics[0] in columns:
                where = columns[one.metrics[0]].where
                self._waiting += one.add(where, self._lines, columns, candidates)
        self._lines += len(lines)
        if self._waiting > _MOST_WAITING:
            self.thin()

    def _part(self, columns: Mapping[str, Column]) -> None:
        """Have each set's metrics be in the same lines of a block, all of them or none."""
        places: dict[str, bytes] = {name: column.where.tobytes() for name, column in columns.items()}
        sets, known = [], set()
        for one in self._sets:
            known.update(one.metrics)
            groups = _grouped(one.metrics, places)
            sets += [one] if len(groups) == 1 else one.divided(groups, self._buckets)
        new = [name for name in columns if name not in known]
        self._sets = sets + [_Set(group) for group in _grouped(new, places)]

    def thin(self) -> None:
        """Thin out what waits."""
        for one in self._sets:
            one.thin(self._buckets)
        self._waiting = 0

    def menus(self) -> list[Menu]:
        """Return what can be drawn of what was read so far."""
        menus = [
            Menu(dict.fromkeys(self._axes(one)), dict.fromkeys(filter(self._is_drawn, one.metrics)))
            for one in self._sets
        ]
        return [menu for menu in menus if menu.y]

    def curves(self, names: Collection[str] | None = None) -> list[CurveSet]:
        """Return what is drawn of what was read; no more lines may be added then.

        Args:
            names: of the metrics that are asked for; None: all.
        """
        if names is None:
            left_out = {name for name, trend in self._trends.items() if is_axis_name(name) and not trend.falls}
        else:
            left_out = self._trends.keys() - set(names)
        for one in self._sets:
            if names is None or not left_out.issuperset(one.metrics):
                one.thin(self._buckets, left_out)
        return [curve for one in self._sets for curve in self._drawn(one, names)]

    def _drawn(self, one: _Set, names: Collection[str] | None) -> list[CurveSet]:
        axes = self._axes(one)
        together: dict[tuple[bytes, bytes], list[str]] = {}
        for metric in one.metrics:
            if (names is None or metric in names) and self._is_drawn(metric):
                places = one.kept[metric].positions.tobytes(), one.means.places(metric)
                together.setdefault(places, []).append(metric)
        return [one.drawn(metrics, axes) for metrics in together.values()]

    def _is_drawn(self, metric: str) -> bool:
        if metric == TIME and self._began is not None:  # which falls where clocks are put back, and is no metric then
            return False
        return self._trends[metric].falls or not is_axis_name(metric)

    def _may_be_axis(self, name: str) -> bool:
        # What is called a counter may decrease elsewhere, where an attempt went back, and not in the lines of a metric.
        return is_axis_name(name) or (name != LINE and self._trends[name].counts(name))

    def _axes(self, one: _Set) -> list[str]:
        """Return over what a set is drawn: what most of its lines have, and what grows, if there is such."""
        names = [
            name
            for name, trend in one.axes.items()
            if not trend.falls and 2 * trend.seen >= one.count and self._may_be_axis(name)
        ]
        names.sort(key=_by_rank)
        names = [name for name in names if one.axes[name].grows] or names
        if not any(map(is_axis_name, names)):  # others are offered only where they decrease in no experiment
            names.append(LINE)
        return names


def _grouped(names: Iterable[str], places: Mapping[str, bytes]) -> list[list[str]]:
    """Group metrics by the lines of a block that have them."""
    groups: dict[bytes | None, list[str]] = {}
    for name in names:
        groups.setdefault(places.get(name), []).append(name)
    return list(groups.values())


def _by_rank(name: str) -> tuple[bool, tuple[int, int, str]]:
    found = rank(name)
    return found is None, found or (0, 0, name)
