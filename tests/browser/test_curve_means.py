"""What the page works out of long curves, in a real browser: bands and smoothed lines, with the right numbers."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from heyhi.report.decimation import BUCKETS, bucket_starts
from heyhi.report.page import PageData
from heyhi.report.page_curves import curves_of
from tests.browser.test_page_in_browser import layout, settled

Lines = list[dict[str, Any]]
LENGTH = 20_000


def seeds(*runs: Lines) -> PageData:
    """Make a page of the seeds of one experiment."""
    ids = [f"p/long/seed={seed}" for seed in range(len(runs))]
    table = pd.DataFrame({"status": "DONE", "seed": range(len(runs)), "exp_id": ids})
    curves = {name: curves_of([lines]) for name, lines in zip(ids, runs, strict=True)}
    return PageData("long", table, [], ["seed"], curves, replicate=["seed"], groups=[0] * len(runs))


def logged(values: Sequence[float], axis: str = "step") -> Lines:
    return [{axis: 10 * i, "loss": value} for i, value in enumerate(values)]


def noise(seed: int, length: int = LENGTH) -> list[float]:
    """Make a skewed series: its mean is far from the middle between its minimum and its maximum."""
    draw = random.Random(seed)
    return [draw.expovariate(1) ** 3 + seed for _ in range(length)]


def means(values: Sequence[float]) -> dict[float, float]:
    """Return the mean of each part of a series by the mean of its steps."""
    parts: dict[int, list[tuple[float, float]]] = {}
    starts = bucket_starts(np.arange(len(values)), BUCKETS // 2, len(values)).tolist()
    for i, (start, value) in enumerate(zip(starts, values, strict=True)):
        parts.setdefault(start, []).append((10.0 * i, value))
    return {statistics.mean(x for x, _ in part): statistics.mean(y for _, y in part) for part in parts.values()}


def drawn(page: Any) -> list[dict[str, Any]]:
    return page.evaluate(
        """() => document.getElementById("curves").data.map(({x, y, line, customdata, hoverinfo, meta}) =>
          ({x: [...x], y: [...y], dash: line.dash, customdata, raw: hoverinfo === "skip", label: meta?.label}))"""
    )


def the_mean(page: Any) -> dict[str, Any]:
    (found,) = [trace for trace in drawn(page) if trace["customdata"]]
    return found


def note(page: Any) -> str:
    return page.locator("#curves-note").text_content()


def smooth(page: Any, weight: float) -> None:
    page.locator("#smooth").evaluate(
        "(slider, weight) => {slider.value = weight; slider.dispatchEvent(new Event('input', {bubbles: true}));}",
        str(weight),
    )
    settled(page, f"document.getElementById('smooth-value').textContent === '{weight}'")


def test_a_skewed_series_is_smoothed_to_its_mean_and_drawn_raw_with_its_spikes(open_page: Callable[..., Any]) -> None:
    page = open_page(seeds(logged([100.0 if i % 50 == 25 else 0.0 for i in range(LENGTH)])))
    (raw,) = drawn(page)
    assert max(raw["y"]) == 100.0 and min(raw["y"]) == 0.0
    assert "means" not in note(page)
    smooth(page, 0.9)
    settled(page, "document.getElementById('curves').data.length === 2")
    behind, line = drawn(page)
    assert behind["raw"] and behind["y"] == raw["y"]
    late = line["y"][len(line["y"]) // 2 :]
    assert all(value == pytest.approx(2, abs=0.3) for value in late)
    assert "bands and smoothed lines: of the means of half as many parts" in note(page)


def test_a_band_of_long_seeds_has_their_mean_and_standard_error(open_page: Callable[..., Any]) -> None:
    series = [noise(seed) for seed in range(3)]
    page = open_page(seeds(*map(logged, series)))
    expected = [means(values) for values in series]
    found = the_mean(page)
    assert found["x"] == sorted(expected[0])
    for i, x in enumerate(found["x"]):
        own = [one[x] for one in expected]
        assert found["y"][i] == pytest.approx(statistics.mean(own), rel=1e-5)
        error, count = found["customdata"][i]
        assert (error, count) == (pytest.approx(statistics.stdev(own) / math.sqrt(3), rel=1e-4), 3)
    assert "1 band (mean ± standard error)" in note(page) and "of the means of" in note(page)


def test_seeds_of_different_lengths_are_averaged_where_both_are(open_page: Callable[..., Any]) -> None:
    short, long = [float(i) for i in range(300)], [2.0 * i for i in range(LENGTH)]
    page = open_page(seeds(logged(short), logged(long)))
    found = the_mean(page)
    for x, y, (_, count) in zip(found["x"], found["y"], found["customdata"], strict=True):
        expected = (0.15, 2) if x <= 2990 else (0.2, 1)
        assert (y, count) == (pytest.approx(expected[0] * x, rel=1e-5), expected[1])
    assert max(found["x"]) > 10 * (LENGTH - 300)


@pytest.mark.parametrize("length", [100, LENGTH])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_seed_that_diverged_is_left_out_where_it_did(open_page: Callable[..., Any], value: float, length: int):
    series = [noise(seed, length) for seed in range(3)]
    half = length // 2
    page = open_page(seeds(*map(logged, [*series[:2], series[2][:half] + [value] * half])))
    found = the_mean(page)
    expected = [means(values) if length == LENGTH else {10.0 * i: y for i, y in enumerate(values)} for values in series]
    behind = [(i, x) for i, x in enumerate(found["x"]) if x > 11 * half]
    assert len(behind) > 10
    for i, x in behind:
        assert found["y"][i] == pytest.approx(statistics.mean(one[x] for one in expected[:2]), rel=1e-5)
        assert found["customdata"][i][1] == 2
    assert found["customdata"][0][1] == 3
    assert "1 with NaN or infinity" in note(page)


def test_where_all_seeds_are_nan_there_is_a_gap_in_mean_and_band(open_page: Callable[..., Any]) -> None:
    values = [math.nan if 40 <= i < 60 else float(i) for i in range(100)]
    page = open_page(seeds(logged(values), logged([value + 1 for value in values])))
    *edges, mean = drawn(page)
    gone = [x for x, y in zip(mean["x"], mean["y"], strict=True) if y is None or math.isnan(y)]
    assert gone == [10.0 * i for i in range(40, 60)]
    assert [(edge["x"][0], edge["x"][-1]) for edge in edges] == [(0, 390)] * 2 + [(600, 990)] * 2
    assert "2 with NaN or infinity" in note(page)


def test_a_dotted_line_beside_a_band_is_of_means_as_the_band_is(open_page: Callable[..., Any]) -> None:
    series = [noise(seed) for seed in range(3)]
    page = open_page(replace(seeds(*map(logged, series)), counts=[True, True, False]))
    (dotted,) = [trace for trace in drawn(page) if trace["dash"] == "dot"]
    assert dotted["y"] == pytest.approx([y for _, y in sorted(means(series[2]).items())], rel=1e-5)
    assert "bands, dotted and smoothed lines: of the means" in note(page)


def test_a_seed_over_another_axis_is_dotted_beside_the_band_of_the_others(open_page: Callable[..., Any]) -> None:
    page = open_page(seeds(*[logged([value] * 50) for value in (1.0, 3.0)], logged([100.0] * 50, "epoch")))
    assert layout(page)["xaxis"]["title"]["text"] == "step, epoch"
    dotted = [trace for trace in drawn(page) if trace["dash"] == "dot"]
    assert [set(trace["y"]) for trace in dotted] == [{100.0}]
    assert "over epoch, so that no mean counts it" in dotted[0]["label"]
    assert set(the_mean(page)["y"]) == {2.0}
    assert "1 dotted: over another axis than its replicates, in no mean" in note(page)


def test_lines_at_one_x_count_once_with_their_mean(open_page: Callable[..., Any]) -> None:
    runs = [[{"epoch": i // 10, "loss": float(i % 10 + seed)} for i in range(50)] for seed in (0, 2)]
    page = open_page(seeds(*runs))
    found = the_mean(page)
    assert (found["x"], found["y"]) == ([0, 1, 2, 3, 4], [5.5] * 5)
