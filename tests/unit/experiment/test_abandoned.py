"""Which metrics count where attempts have logged some again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyhi.experiment import metrics_file
from heyhi.experiment.counters import counter_rank, is_counter
from heyhi.experiment.metrics_file import all_blocks, counting_blocks
from heyhi.experiment.records import Start

Lines = list[dict[str, Any]]


def write(path: Path, attempts: Sequence[Lines]) -> list[Start]:
    """Write the lines of attempts, and return the record of each one's start."""
    starts, data = [], b""
    for number, lines in enumerate(attempts, 1):
        starts.append(Start(number, metrics_size=len(data)))
        data += b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    path.write_bytes(data)
    return starts


def counting(path: Path, starts: Sequence[Start]) -> list[tuple[int, dict[str, Any]]]:
    return [(block.attempt, line) for block in counting_blocks(path, starts) for line in block.lines]


def of_attempts(tmp_path: Path, *attempts: Lines) -> list[tuple[int, dict[str, Any]]]:
    path = tmp_path / "metrics.jsonl"
    return counting(path, write(path, attempts))


def epochs(first: int, last: int, **more: Any) -> Lines:
    return [{"epoch": epoch, "loss": epoch / 10, **more} for epoch in range(first, last + 1)]


def test_what_was_logged_again_counts_once(tmp_path: Path) -> None:
    found = of_attempts(tmp_path, epochs(1, 10), epochs(6, 8))
    assert [(attempt, line["epoch"]) for attempt, line in found] == [(1, e) for e in range(1, 6)] + [
        (2, 6), (2, 7), (2, 8),
    ]  # fmt: skip


def test_the_file_stays_and_all_of_it_can_be_had(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    starts = write(path, [epochs(1, 3), epochs(2, 3)])
    before = path.read_bytes()
    assert len(counting(path, starts)) == 3
    found = [(block.attempt, len(block.lines)) for block in all_blocks(path, starts)]
    assert found == [(1, 3), (2, 2)] and path.read_bytes() == before


def test_inside_one_attempt_nothing_is_struck(tmp_path: Path) -> None:
    restarting = [{"step": step, "loss": 1} for _ in range(3) for step in range(4)]
    late = [{"epoch": 5, "loss": 1}, {"epoch": 3, "val_loss": 1}, {"epoch": 6, "loss": 1}]
    assert len(of_attempts(tmp_path, restarting)) == 12
    assert len(of_attempts(tmp_path, late)) == 3


def test_a_step_that_restarts_in_each_epoch_leaves_the_order_to_the_epoch(tmp_path: Path) -> None:
    def lines(first: int, last: int) -> Lines:
        return [{"step": s, "epoch": e, "loss": e} for e in range(first, last + 1) for s in range(3)]

    found = of_attempts(tmp_path, lines(1, 4), lines(3, 5))
    assert [(a, line["epoch"]) for a, line in found] == [(1, 1)] * 3 + [(1, 2)] * 3 + [
        (2, e) for e in (3, 4, 5) for _ in range(3)
    ]
    without_epoch = [[{"step": s, "loss": 1} for _ in range(2) for s in range(3)]] * 2
    assert len(of_attempts(tmp_path, *without_epoch)) == 12


def test_it_is_per_metric_and_what_else_a_line_has_stays_with_what_counts(tmp_path: Path) -> None:
    first = [{"step": 1, "loss": 5, "val": {"acc": 0.1, "f1": 1}, "note": "a"}, {"step": 2, "loss": 4, "note": "b"}]
    second = [{"step": 1, "loss": 3, "val": {"acc": 0.2}}]
    assert of_attempts(tmp_path, first, second) == [
        (1, {"step": 1, "val": {"f1": 1}, "note": "a"}),
        (2, second[0]),
    ]


def test_dicts_may_lie_in_one_another_a_thousand_deep(tmp_path: Path) -> None:
    deep: dict[str, Any] = {"acc": 1}
    for _ in range(900):
        deep = {"a": deep}
    first = {"step": 2, "deep": deep, "f1": 1}
    assert [line for _, line in of_attempts(tmp_path, [first], [{**first, "step": 1, "f1": "no number"}])] == [
        {"step": 2, "f1": 1},
        {"step": 1, "deep": deep, "f1": "no number"},
    ]


def test_a_validation_that_was_not_logged_again_still_counts(tmp_path: Path) -> None:
    first = [{"step": 1, "loss": 1}, {"step": 2, "loss": 1}, {"step": 2, "val_loss": 7}]
    found = of_attempts(tmp_path, first, [{"step": 2, "loss": 3}])
    assert [line for _, line in found] == [first[0], first[2], {"step": 2, "loss": 3}]


def test_only_values_of_the_same_counter_are_compared(tmp_path: Path) -> None:
    assert len(of_attempts(tmp_path, [{"step": 100, "loss": 1}], [{"epoch": 2, "loss": 1}])) == 2
    assert len(of_attempts(tmp_path, [{"step": 100, "loss": 1}], [{"step": math.nan, "epoch": 2, "loss": 1}])) == 2
    assert len(of_attempts(tmp_path, [{"step": True, "loss": 1}], [{"step": 0, "loss": 1}])) == 2


@pytest.mark.parametrize("odd", [math.nan, "4", None, True])
def test_a_line_whose_counter_is_no_number_goes_by_the_next_one(tmp_path: Path, odd: object) -> None:
    first = [
        {"step": 1, "epoch": 1, "loss": 9},
        {"step": odd, "epoch": 2, "loss": 8},
        {"step": 3, "epoch": 3, "loss": 7},
    ]
    again = [{"step": 2, "epoch": 2, "loss": 6}, {"step": odd, "epoch": 3, "loss": 5}]
    assert [line["loss"] for _, line in of_attempts(tmp_path, first, again)] == [9, 6, 5]
    odd_again = [{"step": odd, "epoch": 2, "loss": 6}]
    assert [line["loss"] for _, line in of_attempts(tmp_path, first, odd_again)] == [9, 6]


def test_an_attempt_that_logged_nothing_strikes_nothing(tmp_path: Path) -> None:
    assert len(of_attempts(tmp_path, epochs(1, 3), [], epochs(4, 5), [])) == 5


def test_a_file_that_was_cut_back_has_no_lines_of_who_began_beyond(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    sizes = [start.metrics_size for start in write(path, [epochs(1, 5), epochs(6, 7), epochs(7, 8)])]
    starts = [Start(1), Start(2, metrics_size=sizes[1] * 9), Start(3, metrics_size=sizes[2])]
    found = counting(path, starts)
    assert [(attempt, line["epoch"]) for attempt, line in found] == [(1, e) for e in range(1, 7)] + [(3, 7), (3, 8)]


def test_lines_before_the_first_record_are_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    starts = write(path, [epochs(1, 3), epochs(2, 2)])
    assert [attempt for attempt, _ in counting(path, starts[1:])] == [0, 2]
    assert [attempt for attempt, _ in counting(path, [])] == [0] * 4


def test_a_line_is_of_the_attempt_that_began_it(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"epoch": 1, "loss": 1}\n{"epoch": 2, "loss": 2}')  # killed before the line's end
    starts = [Start(1), Start(2, metrics_size=path.stat().st_size)]
    with path.open("ab") as file:
        file.write(b'\n{"epoch": 3, "loss": 3}\n')
    assert [attempt for attempt, _ in counting(path, starts)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *[(name, True) for name in ("step", "Step", "global_step", "globalStep", "trainer/global_step", "env_steps")],
        *[(name, True) for name in ("Epoch", "iter", "training_iteration", "updates", "num_updates", "trainer.epoch")],
        *[(name, True) for name in ("time/total_timesteps", "n_updates", "samples_seen", "num_env_steps_sampled")],
        *[(name, False) for name in ("train_loss_step", "train_loss_epoch", "loss/step", "steps_per_second", "")],
        *[(name, False) for name in ("step_time", "loss", "footstep", "stepper", "epoch2", "lr", "time", "seconds")],
    ],
)
def test_a_counter_is_known_by_whole_words(name: str, is_one: bool) -> None:
    assert is_counter(name) == is_one


def test_the_finest_counter_comes_first() -> None:
    names = ["epoch", "trainer/global_step", "updates", "step", "iter"]
    assert sorted(names, key=lambda name: counter_rank(name) or ()) == [
        "step", "trainer/global_step", "iter", "updates", "epoch",
    ]  # fmt: skip


# --- against what the rule says, gone through one by one

COUNTERS = ("step", "epoch", "samples")
METRICS = ("loss", "val.acc", "lr")


def naive(attempts: Sequence[Lines]) -> list[tuple[int, dict[str, Any]]]:
    """Strike by the rule, with no thought of time: each value is compared with each one of later attempts."""

    def number(value: object) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    def get(line: dict[str, Any], metric: str) -> object:
        outer, _, inner = metric.partition(".")
        return line.get(outer, {}).get(inner) if inner else line.get(outer)

    def goes_down(metric: str, counter: str) -> bool:
        for lines in attempts:
            seen = [line[counter] for line in lines if number(get(line, metric)) and finite(line, counter)]
            if seen != sorted(seen):
                return True
        return False

    def finite(line: dict[str, Any], counter: str) -> bool:
        return number(line.get(counter)) and math.isfinite(line[counter])

    def is_struck(attempt: int, line: dict[str, Any], metric: str) -> bool:
        later = [other for lines in attempts[attempt + 1 :] for other in lines if number(get(other, metric))]
        for counter in COUNTERS:
            if finite(line, counter) and not goes_down(metric, counter):
                theirs = [other[counter] for other in later if finite(other, counter)]
                if theirs:
                    return bool(min(theirs) <= line[counter])
        return False

    found = []
    for attempt, lines in enumerate(attempts):
        for line in lines:
            own = [metric for metric in METRICS if number(get(line, metric))]
            struck = [metric for metric in own if is_struck(attempt, line, metric)]
            if struck and len(struck) == len(own):
                continue
            left = {k: v for k, v in line.items() if k not in struck and not (k == "val" and "val.acc" in struck)}
            found.append((attempt + 1, left))
    return found


values = st.one_of(st.integers(0, 6), st.sampled_from([0.5, 2.0]))
odd = st.one_of(values, st.sampled_from([math.inf, True, None, "x"]))
line = st.fixed_dictionaries(
    {},
    optional={
        "step": st.one_of(values, odd), "epoch": values, "samples": values,
        "loss": st.one_of(values, odd), "val": st.fixed_dictionaries({"acc": values}), "lr": values,
    },
)  # fmt: skip
plain = st.fixed_dictionaries({"step": values, "loss": values, "lr": values})
ascending = st.lists(plain, max_size=6).map(lambda lines: sorted(lines, key=lambda one: one["step"]))
attempts_strategy = st.lists(st.one_of(st.lists(line, max_size=6), ascending), min_size=1, max_size=4)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attempts=attempts_strategy, block=st.sampled_from([1, 30, 100, 1 << 18]))
def test_what_counts_is_what_the_rule_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: list[Lines], block: int
) -> None:
    monkeypatch.setattr(metrics_file, "_BLOCK_BYTES", block)
    assert repr(of_attempts(tmp_path, *attempts)) == repr(naive(attempts))
