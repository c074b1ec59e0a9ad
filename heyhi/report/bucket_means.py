"""The means of the parts of a long curve, for what is worked out of it: minima and maxima have another mean than it.

Sums are kept instead of means: those of a longer curve's bucket are the sums of the shorter one's buckets in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from heyhi.report.decimation import bucket_starts, edges_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heyhi.report.decimation import Floats, Positions

_SCALE = 2.0**-40  # the sum of 10^12 of the largest numbers is finite then; as a power of two, it rounds nothing


class Sums(NamedTuple):
    """What the points in each bucket come to.

    Attributes:
        starts: the first position of each bucket that has points.
        of: for each series the sums of its finite values, and of how many each is, a row each.
    """

    starts: Positions
    of: dict[str, Floats]

    def means(self, name: str) -> Floats:
        """Return the mean in each bucket, NaN where nothing is finite."""
        import numpy as np

        sums, counts = self.of[name]
        means: Floats = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0) / _SCALE
        return means

    def counts(self) -> bytes:
        """Return what is the same where each series has as many finite values in each bucket."""
        return b"".join(counts.tobytes() for _, counts in self.of.values())


class Bucketing(NamedTuple):
    """Into which buckets the points of a curve fall, whatever is summed up.

    Attributes:
        buckets: how many even ones there may be.
        points: how many the curve has so far.
    """

    buckets: int
    points: int

    def filled(self, positions: Positions) -> Filled:
        """Return into which buckets points fall, given their positions, which ascend."""
        import numpy as np

        starts = bucket_starts(positions, self.buckets, self.points)
        edges = edges_of(starts)
        sizes = np.empty(len(edges))
        np.subtract(edges[1:], edges[:-1], out=sizes[:-1])
        sizes[-1:] = len(positions) - edges[-1:]
        return Filled(starts[edges], edges, sizes)

    def joined(self, old: Sums, new: Sums) -> Sums:
        """Put the sums of what was before to those of what came after it; a series that is new had nothing before."""
        import numpy as np

        places = np.concatenate([old.starts, new.starts])
        starts = bucket_starts(places, self.buckets, self.points)
        edges = edges_of(starts)
        nothing = np.zeros((2, len(old.starts)))
        of = {
            name: np.add.reduceat(np.concatenate([old.of.get(name, nothing), sums], axis=1), edges, axis=1)
            for name, sums in new.of.items()
        }
        return Sums(starts[edges], of)


class Filled(NamedTuple):
    """The buckets into which some points fall.

    Attributes:
        starts: the first position of each.
        edges: place of its first point.
        sizes: how many points it has.
    """

    starts: Positions
    edges: Positions
    sizes: Floats

    def sums(self, series: Mapping[str, Floats], counting: NDArray[np.bool_] | None = None) -> Sums:
        """Sum up points.

        Args:
            series: their values.
            counting: which of them count; all, if not given.
        """
        import numpy as np

        edges, of = self.edges, {}
        for name, values in series.items():
            counts = np.isfinite(values)
            if counting is not None:
                counts &= counting
            both = of[name] = np.empty((2, len(edges)))
            if counts.all():
                both[1] = self.sizes
                np.add.reduceat(values * _SCALE, edges, out=both[0])
            else:
                np.add.reduceat(counts, edges, dtype=np.float64, out=both[1])
                np.add.reduceat(np.where(counts, values, 0.0) * _SCALE, edges, out=both[0])
        return Sums(self.starts, of)


@dataclass
class CurveMeans:
    """Metrics that are in the same lines, and what they may be drawn over.

    Attributes:
        metrics: None as long as nothing was summed up.
        axes: over all points.
        own: over those where a metric is finite, of each that isn't everywhere.
    """

    metrics: Sums | None = None
    axes: Sums | None = None
    own: dict[str, Sums] = field(default_factory=dict)

    def add(
        self, bucketing: Bucketing, positions: Positions, x: Mapping[str, Floats], metrics: Mapping[str, Floats]
    ) -> None:
        """Go on with the next points."""
        import numpy as np

        filled = bucketing.filled(positions)
        new = filled.sums(metrics)
        for name, (_, counts) in new.of.items():
            if name in self.own or counts.sum() < len(positions):
                own = filled.sums(x, np.isfinite(metrics[name]))
                before = self.own.get(name, self.axes)  # so far it was finite everywhere
                self.own[name] = own if before is None else bucketing.joined(before, own)
        axes = filled.sums(x)
        self.metrics = new if self.metrics is None else bucketing.joined(self.metrics, new)
        self.axes = axes if self.axes is None else bucketing.joined(self.axes, axes)

    def divided(self, names: Iterable[str]) -> CurveMeans:
        """Return those of some metrics, to go on by themselves."""
        names = list(names)
        metrics = self.metrics and Sums(self.metrics.starts, {name: self.metrics.of[name] for name in names})
        return CurveMeans(metrics, self.axes, {name: self.own[name] for name in names if name in self.own})

    def places(self, metric: str) -> bytes:
        """Return what is the same for metrics whose means stand at the same places."""
        return self.own[metric].counts() if metric in self.own else b""

    def x(self, metric: str, axis: str) -> Floats:
        """Return where the means of a metric stand: the means over its finite points, or all points if none is."""
        import numpy as np

        assert self.axes is not None
        every = self.axes.means(axis)
        if metric not in self.own:
            return every
        own = self.own[metric].means(axis)
        places: Floats = np.where(np.isnan(own), every, own)
        return places

    def y(self, metric: str) -> Floats:
        """Return the means of a metric; NaN where none of its points is finite."""
        assert self.metrics is not None
        return self.metrics.means(metric)
