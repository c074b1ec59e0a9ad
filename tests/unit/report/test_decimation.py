"""Which points of a long curve are kept: for any series, every extreme, and nothing that wasn't there."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.report.decimation import BUCKETS, even_width, kept_places, parted

if TYPE_CHECKING:
    from heyhi.report.decimation import Floats, Positions

VALUES = st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, 1e300, math.nan, math.inf, -math.inf]), min_size=1)


def noise(seed: int, count: int, gaps: float) -> list[float]:
    draw = random.Random(seed)
    return [math.nan if draw.random() < gaps else draw.gauss(0, 1) for _ in range(count)]


NOISE = st.builds(noise, st.integers(0, 10**6), st.integers(1, 400), st.sampled_from([0.0, 0.05, 0.9]))
SERIES = st.one_of(VALUES, NOISE)


def keep(values: Floats, buckets: int) -> Positions:
    return kept_places(values, parted(np.arange(len(values)), buckets, len(values)))


def width_at(position: int, buckets: int, count: int) -> int:
    """Return how wide a bucket is, by the plain rule: even, or finer, as a fraction of its position."""
    per_doubling = max(buckets // 16, 1)
    width, widest = 1, even_width(count, buckets)
    while width < widest and position >= 2 * width * 2 ** (per_doubling.bit_length() - 1):
        width *= 2
    return width


@given(SERIES, st.integers(1, 40))
def test_each_bucket_keeps_its_minimum_its_maximum_and_its_gaps(series: list[float], buckets: int) -> None:
    values = np.array(series)
    kept = keep(values, buckets)
    assert list(kept) == sorted(set(kept)), "a subsequence"
    assert {kept[0], kept[-1]} == {0, len(series) - 1}
    position = 0
    while position < len(series):
        width = width_at(position, buckets, len(series))
        bucket = values[position : position + width]
        found = values[[k for k in kept if position <= k < position + width]]
        finite = bucket[np.isfinite(bucket)]
        if len(finite):
            assert finite.min() in found and finite.max() in found
        assert np.isfinite(bucket).all() == np.isfinite(found).all()
        position += width


@given(SERIES, st.integers(1, 40), st.lists(st.integers(0, 400)))
def test_thinning_out_as_it_grows_comes_to_the_same_as_thinning_out_the_whole(
    series: list[float], buckets: int, cuts: list[int]
) -> None:
    values = np.array(series)
    kept = np.array([], dtype=np.intp)
    ends = sorted({min(cut, len(series)) for cut in cuts} | {len(series)})
    for begin, end in zip([0, *ends], ends, strict=False):
        positions = np.concatenate([kept, np.arange(begin, end)])
        if len(positions):
            kept = positions[kept_places(values[positions], parted(positions, buckets, end))]
    assert list(kept) == list(keep(values, buckets))


@given(SERIES)
def test_few_points_are_all_kept(series: list[float]) -> None:
    assert list(keep(np.array(series), len(series))) == list(range(len(series)))


@given(SERIES, st.integers(1, 20))
def test_where_a_curve_breaks_off_and_where_it_goes_on_is_exact(series: list[float], buckets: int) -> None:
    kept = set(keep(np.array(series), buckets))
    bad = [i for i, value in enumerate(series) if not math.isfinite(value)]
    if bad:
        behind = [i for i, value in enumerate(series) if math.isfinite(value) and i > bad[0]]
        assert {max(bad[0] - 1, 0), bad[0], *behind[:1]} <= kept


@pytest.mark.parametrize("count", [300, 1_000, 10_000, 1_000_000])
def test_the_number_of_points_is_bounded_and_every_doubling_has_its_share(count: int) -> None:
    values = np.random.default_rng(0).normal(size=count)
    kept = keep(values, BUCKETS)
    assert len(kept) <= 1_200
    assert len(kept) >= min(count, BUCKETS // 2)
    start = 1
    while 2 * start < count:
        assert np.count_nonzero((kept >= start) & (kept < 2 * start)) >= min(start, 16)
        start *= 2
    even = np.histogram(kept, bins=100, range=(0, count))[0]
    assert even.min() >= 3
