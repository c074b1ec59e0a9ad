"""Which points of a long curve are drawn: the smallest and the largest of each bucket, so that no spike is lost.

Buckets are even in a curve's positions, and finer towards its start, as a logarithmic axis shows it. Their edges are
such that a bucket of a longer curve is made of whole ones of a shorter: what was kept can be thinned out again as the
curve grows, and that comes to the same as to thin out the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Positions: TypeAlias = NDArray[np.intp]

BUCKETS = 400  # that are even, or half of it where their widths double: more than a screen shows
_EVEN_PER_DOUBLING = 16  # even buckets for each one that a doubling of the position has: some 53 a decade


class Parts(NamedTuple):
    """How the points that there are of a curve lie in buckets.

    Attributes:
        edges: place of the first point of each bucket.
        bucket: number of each point's bucket.
    """

    edges: Positions
    bucket: Positions


def parted(positions: Positions, buckets: int, count: int) -> Parts:
    """Part the points of a curve into buckets; metrics with the same positions share them.

    Args:
        positions: of the points that there are, ascending, from 0.
        buckets: how many even ones there may be.
        count: how many points the curve has, with those that were dropped before.
    """
    import numpy as np

    edges = edges_of(bucket_starts(positions, buckets, count))
    is_edge = np.zeros(len(positions), dtype=np.intp)
    is_edge[edges] = 1
    return Parts(edges, np.cumsum(is_edge) - 1)


def kept_places(values: Floats, parts: Parts) -> Positions:
    """Choose what is kept of a curve.

    Args:
        values: of the points that there are.
        parts: the buckets in which these are.

    Returns:
        places of the first and the last point; of each bucket's first smallest and first largest finite value, and of
        its first and last one that isn't finite; and of the points around the begin of the first gap, and behind it.
    """
    import numpy as np

    edges, bucket = parts
    kept = np.zeros(len(values), dtype=np.bool_)
    kept[[0, -1]] = True
    finite = np.isfinite(values)
    low = high = values
    if not finite.all():
        kept[_around_gaps(finite, bucket)] = True
        low, high = np.where(finite, values, np.inf), np.where(finite, values, -np.inf)
    for inner, extremes in ((low, np.minimum.reduceat(low, edges)), (high, np.maximum.reduceat(high, edges))):
        kept[_first_in_each(np.flatnonzero((inner == extremes[bucket]) & finite), bucket)] = True
    return np.flatnonzero(kept)


def even_width(count: int, buckets: int) -> int:
    """Return how many points an even bucket has: the smallest power of two of which there are few enough."""
    return 1 << max(-(-count // buckets) - 1, 0).bit_length()


def edges_of(starts: Positions) -> Positions:
    """Return the place of the first point of each bucket, given what each point's bucket starts with."""
    import numpy as np

    is_edge = np.empty(len(starts), dtype=np.bool_)
    is_edge[:1] = True
    np.not_equal(starts[1:], starts[:-1], out=is_edge[1:])
    return np.flatnonzero(is_edge)


def bucket_starts(positions: Positions, buckets: int, count: int) -> Positions:
    """Return the first position of each point's bucket.

    Args:
        positions: of the points, ascending, from 0.
        buckets: how many even ones there may be.
        count: how many points the curve has.
    """
    import numpy as np

    per_doubling = max(buckets // _EVEN_PER_DOUBLING, 1).bit_length() - 1  # as a power of two
    exponents = np.frexp(np.maximum(positions, 1).astype(np.float64))[1] - 1 - per_doubling
    top = even_width(count, buckets).bit_length() - 1
    widths = np.left_shift(1, np.clip(exponents, 0, top).astype(np.intp))
    starts: Positions = positions & ~(widths - 1)
    return starts


def _first_in_each(places: Positions, bucket: Positions) -> Positions:
    """Return of some places the first in each bucket."""
    own = bucket[places]
    is_first = own != -1
    is_first[1:] = own[1:] != own[:-1]
    found: Positions = places[is_first]
    return found


def _around_gaps(finite: NDArray[np.bool_], bucket: Positions) -> Positions:
    import numpy as np

    bad = np.flatnonzero(~finite)
    begin = int(bad[0])
    behind = np.flatnonzero(finite[begin:])[:1] + begin
    last = _first_in_each(bad[::-1], bucket)
    return np.concatenate([_first_in_each(bad, bucket), last, [max(begin - 1, 0)], behind])
