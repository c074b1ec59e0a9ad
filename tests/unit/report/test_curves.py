"""The learning curves of one experiment: what is drawn of each metric, and over what."""

from __future__ import annotations

import base64
import json
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.report.decimation import bucket_starts
from heyhi.report.page_curves import MOST_METRICS, CurveSet, curves_of
from heyhi.report.x_axes import is_axis_name, names_of_axes

Lines = list[dict[str, Any]]


class Curve(NamedTuple):
    x: dict[str, list[float]]
    y: list[float]


def unpacked(packed: str) -> list[float]:
    """Return the numbers of an array of a page, as its script does."""
    data = base64.b64decode(packed[1:])
    if packed[0] in "12":
        first, unit = np.frombuffer(data[:16], "<f8")
        return (first + unit * np.cumsum(np.frombuffer(data[16:], f"<u{packed[0]}").astype(float))).tolist()
    return np.frombuffer(data, {"f": "<f4", "d": "<f8", "i": "<i4"}[packed[0]]).tolist()


def curves(lines: Lines, buckets: int = 400, block: int | None = None) -> dict[str, Curve]:
    """Return the curve of each metric."""
    blocks = [lines[i : i + block] for i in range(0, len(lines), block)] if block else [lines]
    return {
        name: Curve({key: unpacked(text) for key, text in one.x.items()}, unpacked(y))
        for one in curves_of(blocks, buckets)
        for name, y in one.y.items()
    }


def test_a_million_lines_with_four_spikes_show_all_four_and_how_they_began() -> None:
    spikes = {17: 9.0, 123_456: -8.0, 500_001: 7.0, 999_998: -6.0}

    def blocks() -> Iterator[Lines]:
        for begin in range(0, 1_000_000, 2_500):
            yield [{"step": s, "loss": spikes.get(s, 1 / (1 + s)), "lr": 0.1} for s in range(begin, begin + 2_500)]

    found = curves_of(blocks())
    (loss,) = [one for one in found if "loss" in one.y]
    steps, values = unpacked(loss.x["step"]), unpacked(loss.y["loss"])
    for step, spike in spikes.items():
        assert values[steps.index(step)] == spike
    assert len(values) <= 1_200
    assert sum(step < 3_345 for step in steps) >= 100, "over a logarithmic axis"
    assert (steps[0], steps[-1]) == (0, 999_999)
    (flat,) = [one for one in found if "lr" in one.y]
    assert len(unpacked(flat.y["lr"])) <= 1_200


def test_the_size_is_linear_in_the_number_of_metrics() -> None:
    draw = random.Random(0)
    names = [f"m{k}" for k in range(50)]
    lines = [{"step": s, "epoch": s // 100, **{name: draw.random() for name in names}} for s in range(20_000)]
    one = sum(map(_size, curves_of([[{key: line[key] for key in ("step", "epoch", "m0")} for line in lines]])))
    all_of_them = curves_of([lines])
    assert {name for part in all_of_them for name in part.y} == set(names)
    assert sum(map(_size, all_of_them)) < 55 * one
    assert one < (1_200 * (4 + 2 + 2) + 300 * (4 + 2 + 2)) * 4 / 3 + 200


def _size(one: CurveSet) -> int:
    return sum(len(text) for part in one for text in part.values())


def test_few_lines_are_all_drawn_and_their_metrics_share_their_steps() -> None:
    (one,) = curves_of([[{"step": s, "a": math.sin(s), "b": math.cos(s)} for s in range(400)]])
    assert (list(one.x), list(one.y)) == (["step"], ["a", "b"])
    assert not one.mean_x and not one.mean
    assert unpacked(one.x["step"]) == list(range(400))


def test_long_curves_keep_ends_extremes_and_where_they_break() -> None:
    values = [math.sin(i / 50) for i in range(1000)]
    values[333], values[777] = 9.0, -9.0
    loss = [1.0] * 700 + [math.nan] * 300
    lines = [{"step": 10 * i, "score": v, "loss": w} for i, (v, w) in enumerate(zip(values, loss, strict=True))]
    found = curves(lines, buckets=50)
    x, y = found["score"]
    assert 50 <= len(y) <= 150
    assert (x["step"][0], x["step"][-1]) == (0, 9990)
    assert y[x["step"].index(3330)] == 9.0
    assert y[x["step"].index(7770)] == -9.0
    x, y = found["loss"]
    assert (y[x["step"].index(6990)], str(y[x["step"].index(7000)])) == (1.0, "nan")


def test_nested_metrics_have_curves_by_dotted_names() -> None:
    lines = [{"trainer": {"step": s}, "train": {"loss": 1.0 + s, "by": {"class": [1]}}} for s in (1, 2)]
    assert curves(lines) == {"train.loss": Curve({"trainer.step": [1, 2]}, [2, 3])}


def test_metrics_that_are_logged_at_times_have_their_own_steps() -> None:
    lines: Lines = [{"step": i, "loss": float(i)} for i in range(6)]
    lines[2]["accuracy"], lines[5]["accuracy"] = 0.5, 0.75
    lines[3]["accuracy"], lines[4]["note"] = None, "text is no metric"
    found = curves(lines)
    assert set(found) == {"loss", "accuracy"}
    assert found["accuracy"] == Curve({"step": [2, 5]}, [0.5, 0.75])
    assert found["loss"].x["step"] == list(range(6))


def test_each_metric_is_drawn_over_what_its_own_lines_have() -> None:
    lines: Lines = [{"step": i, "loss": 1 / (1 + i)} for i in range(6)]
    lines[3:3] = [{"epoch": 1, "val_loss": 0.5}]
    lines += [{"epoch": 2, "val_loss": 0.4}]
    found = curves(lines)
    assert found["loss"].x == {"step": [0, 1, 2, 3, 4, 5]}
    assert found["val_loss"].x == {"epoch": [1, 2]}
    assert names_of_axes([curves_of([lines])]) == ["step", "epoch"]


def test_a_first_line_without_a_step_takes_the_step_from_no_other() -> None:
    lines: Lines = [{"loss": 9.0}, {"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    assert repr(curves(lines)["loss"].x["step"]) == "[nan, 1.0, 2.0]"


@pytest.mark.parametrize("name", ["trainer/global_step", "env_steps", "Epoch", "wall_time", "samples", "total_tokens"])
def test_counters_are_offered_whatever_stands_around_their_word(name: str) -> None:
    assert curves([{name: i, "loss": 1.0} for i in range(3)]) == {"loss": Curve({name: [0, 1, 2]}, [1, 1, 1])}


def test_a_counter_that_starts_again_is_no_axis_and_nothing_is_lost() -> None:
    lines = [{"step": i % 3, "epoch": i // 3, "loss": float(i)} for i in range(9)]
    found = curves(lines)
    assert found["loss"].x == {"epoch": [0, 0, 0, 1, 1, 1, 2, 2, 2]}
    assert found["step"].y == [0, 1, 2] * 3
    assert list(curves([{"time": 0.3 - i / 10, "loss": 1.0} for i in range(3)])) == ["time", "loss"]


def test_a_number_of_another_name_that_never_decreases_is_both() -> None:
    lines = [{"step": i, "queries": 10 * i, "loss": float(i), "speed": float(i % 2)} for i in range(20)]
    found = curves(lines)
    assert set(found) == {"queries", "loss", "speed"}
    assert list(found["speed"].x) == ["step", "queries"]
    assert names_of_axes([curves_of([lines])]) == ["step", "queries"]
    rises, falls = ([{"queries": float(sign * i), "loss": 1.0} for i in range(20)] for sign in (1, -1))
    assert names_of_axes([curves_of([rises])]) == ["queries", "line"]
    assert names_of_axes([curves_of([rises]), curves_of([falls])]) == ["line"]


def test_a_metric_that_is_called_line_is_no_other_ones_axis() -> None:
    found = curves([{"line": 10 * i, "loss": 1.0} for i in range(20)])
    assert found["loss"].x == {"line": list(range(1, 21))}


def test_what_most_metrics_have_is_the_first_axis() -> None:
    train = [{"step": i, "seconds": i / 2, "loss": 1.0} for i in range(3)]
    val: Lines = [{"epoch": i, "seconds": i / 2, "val_loss": 1.0, "val_accuracy": 0.5} for i in range(3)]
    lines = [line for pair in zip(train, val, strict=True) for line in pair]
    assert names_of_axes([curves_of([lines])]) == ["seconds", "epoch", "step"]


def test_one_odd_experiment_turns_the_axis_of_no_other() -> None:
    usual = [{"epoch": i, "time": float(i), "loss": 1.0} for i in range(3)]
    twice = [{"epoch": i % 2, "time": 1.8e9 + i, "loss": 1.0} for i in range(4)]
    runs = [curves_of([usual])] * 2
    assert names_of_axes([*runs, curves_of([twice])]) == ["epoch", "time"]
    assert names_of_axes([curves_of([twice])]) == ["time"]
    both = [{"step": i, **line} for i, line in enumerate(usual)]
    assert names_of_axes([*runs, curves_of([both])])[:2] == ["epoch", "time"], "few have the steps"


def test_curves_without_a_step_are_drawn_over_their_lines() -> None:
    assert curves([{"loss": 1.0}, {"loss": 2.0}]) == {"loss": Curve({"line": [1, 2]}, [1, 2])}
    assert curves([]) == {}
    assert curves([{"note": "x"}, {"step": 1}]) == {}


def test_a_counter_that_stands_still_is_an_axis_only_where_there_is_no_other() -> None:
    assert list(curves([{"epoch": 1, "step": i, "loss": 1.0} for i in range(3)])["loss"].x) == ["step"]
    assert list(curves([{"epoch": 1, "loss": 1.0}])["loss"].x) == ["epoch"]


def test_numbers_lose_nothing_that_could_be_seen() -> None:
    lines = [
        {"time": 1.7e9 + i / 4, "step": 2**40 + i, "tiny": 1e-300 * (i + 1), "huge": 10**400, "on": i > 0}
        for i in range(3)
    ]
    found = curves(lines)
    assert found["tiny"].y == [1e-300, 2e-300, 3e-300]
    assert found["huge"].y == [math.inf] * 3
    assert found["on"].y == [0, 1, 1]
    assert found["tiny"].x == {"step": [2**40, 2**40 + 1, 2**40 + 2], "time": [1.7e9, 1.7e9 + 0.25, 1.7e9 + 0.5]}


@given(st.lists(st.integers(0, 2**53 - 1) | st.integers(0, 300), min_size=1))
def test_steps_come_back_exactly(steps: list[int]) -> None:
    steps.sort()
    assert curves([{"step": step, "m": 1.0} for step in steps])["m"].x["step"] == steps


KEYS = st.sampled_from(["step", "epoch", "a", "b", "c"])
VALUES = st.one_of(
    st.integers(-3, 3),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=2),
    st.dictionaries(st.sampled_from("ab"), st.integers()),
)


@given(st.lists(st.dictionaries(KEYS, VALUES), max_size=80), st.integers(1, 30), st.integers(2, 12))
def test_any_lines_give_the_same_curves_in_whatever_blocks_they_come(lines: Lines, block: int, buckets: int) -> None:
    assert _over_counters(lines, buckets, block) == _over_counters(lines, buckets, None)
    for name, curve in curves(lines, 100).items():
        logged = [v for line in lines for v in _at(line, name)]
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(np.array(curve.y, "f4"), np.array(logged, "f8").astype("f4"))


BUCKETS_OF_MEANS = st.integers(2, 24)
TINY = 1e-290  # sums are scaled, so that the smallest numbers lose digits
LOGGED = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, -3.5, 100.0, 1e300, math.nan, math.inf, -math.inf]) | st.floats(-1e6, 1e6),
        st.integers(0, 9),
        st.booleans(),
    ),
    min_size=1,
    max_size=150,
)


@given(LOGGED, st.integers(1, 40), BUCKETS_OF_MEANS)
def test_means_of_parts_are_those_of_the_whole_series_in_whatever_blocks_it_comes(
    logged: list[tuple[float, int, bool]], block: int, buckets: int
) -> None:
    steps = np.cumsum([grown for _, grown, _ in logged]).tolist()
    lines: Lines = [
        {"step": step, "a": value, "b": float(i % 7), **({"samples": 10 * step, "c": -float(i)} if has_samples else {})}
        for i, (step, (value, _, has_samples)) in enumerate(zip(steps, logged, strict=True))
    ]
    # Not all at once: a block of its own is summed up, put to what there was, and made coarser as the curve grows.
    found = curves_of([lines[i : i + block] for i in range(0, len(lines), block)], buckets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("heyhi.report.page_curves._MOST_WAITING", 0)
        in_parts = curves_of([lines[i : i + block] for i in range(0, len(lines), block)], buckets)
    for curves_found in (found, in_parts):
        for name in ("a", "b", "c"):
            own = [line for line in lines if name in line]
            for one in curves_found:
                if name in one.y:
                    assert (name in one.mean) == (len(own) > buckets)
                if name in one.mean:
                    _assert_means(one, name, own, buckets)


def _assert_means(one: CurveSet, name: str, lines: Lines, buckets: int) -> None:
    """Compare with means that are worked out plainly, over all lines of each part."""
    means = list(zip(*[unpacked(one.mean[name]), *[unpacked(one.mean_x[axis]) for axis in one.x]], strict=True))
    starts = bucket_starts(np.arange(len(lines)), buckets // 2, len(lines)).tolist()
    assert len(means) == len(set(starts))
    for start, (mean, *places) in zip(sorted(set(starts)), means, strict=True):
        part = [line for line, own in zip(lines, starts, strict=True) if own == start]
        finite = [line for line in part if math.isfinite(line[name])]
        top = max((abs(line[name]) for line in finite), default=0.0)
        assert mean == pytest.approx(
            _mean([line[name] for line in finite]), rel=1e-6, abs=1e-6 * top + TINY, nan_ok=True
        )
        for axis, place in zip(one.x, places, strict=True):
            if not is_axis_name(axis):
                continue  # of one that isn't called as a counter, the first values may come before anybody can tell
            counting = [line[axis] for line in finite or part if axis in line]
            rest = [line[axis] for line in part if axis in line]
            assert place == pytest.approx(_mean(counting or rest), nan_ok=True)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def test_a_mean_of_the_largest_numbers_is_as_large_as_they_are() -> None:
    (one,) = curves_of([[{"step": s, "loss": 1.5e308} for s in range(100)]], 4)
    assert unpacked(one.mean["loss"]) == pytest.approx([1.5e308] * len(unpacked(one.mean["loss"])))


def test_seeds_of_one_length_have_their_means_at_the_same_places() -> None:
    runs = [[{"step": 3 * s, "loss": random.Random(seed + s).random()} for s in range(3_000)] for seed in (1, 2)]
    one, other = (curves_of([lines])[0] for lines in runs)
    assert one.x != other.x
    assert one.mean_x == other.mean_x
    assert len(unpacked(one.mean["loss"])) <= 300


def _over_counters(lines: Lines, buckets: int, block: int | None) -> list[str]:
    """Return the curves as texts; what else they may be drawn over is seen only after some lines."""
    return sorted(
        repr((name, y, {key: values for key, values in x.items() if key in ("step", "epoch")}))
        for name, (x, y) in curves(lines, buckets, block).items()
    )


def _at(line: dict[str, Any], name: str) -> Sequence[Any]:
    """Return the number that a line has under a dotted name, if it has one."""
    value: Any = line
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return [value] if isinstance(value, int | float) else []


def test_a_name_for_each_line_and_dicts_without_end_are_cut_off() -> None:
    found = curves_of([[{f"m{i}": 1.0} for i in range(2 * MOST_METRICS)]])
    assert sum(len(one.y) for one in found) == MOST_METRICS
    deep: dict[str, Any] = {"loss": 1.0}
    for _ in range(900):
        deep = {"d": deep}
    assert curves([{"loss": 2.0, **deep}]) == {"loss": Curve({"line": [1]}, [2])}


def test_packed_curves_are_json() -> None:
    found = curves_of([[{"step": 10**400, "a": math.nan, "b": -math.inf, "c": 2**63}] * 3])
    assert json.loads(json.dumps(found, allow_nan=False)) == [list(one) for one in found]


def stamped(*lines: dict[str, Any], began: float = 1.7e9, attempt: int = 1) -> Lines:
    return [{**line, "time": began + 10 * place, "attempt": attempt} for place, line in enumerate(lines)]


def test_lines_of_heyhi_log_are_drawn_over_the_time_since_the_first_of_them_which_is_no_metric() -> None:
    lines = stamped(*({"step": step, "loss": -step, "total": 50} for step in range(20)))
    drawn = curves(lines, block=7)
    assert set(drawn) == {"loss"}
    assert set(drawn["loss"].x) == {"step", "time"}
    assert drawn["loss"].x["time"] == pytest.approx([10 * place for place in range(20)])


def test_a_clock_that_was_put_back_is_no_axis_and_no_metric_either() -> None:
    first, again = ({"step": step, "loss": 1.0} for step in (1, 2)), ({"step": step, "loss": 1.0} for step in (3, 4))
    drawn = curves([*stamped(*first), *stamped(*again, began=1.6e9, attempt=2)])
    assert set(drawn) == {"loss"} and set(drawn["loss"].x) == {"step"}


def test_what_a_task_itself_calls_time_is_drawn_as_it_was() -> None:
    drawn = curves([{"step": step, "time": -step, "attempt_rate": 1} for step in range(3)])
    assert drawn["time"].y == [0, -1, -2]
    mixed = [{"step": 0, "attempt": 7, "loss": 1.0}, *stamped({"step": 1, "loss": 1.0}, {"step": 2, "loss": 1.0})]
    assert curves(mixed)["attempt"].y == [7]
