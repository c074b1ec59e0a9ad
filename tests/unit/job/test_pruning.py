"""Early stopping of a trial: which lines come to a rung, what lies there, and how its main is ended."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.experiment.directions import Direction
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import Start
from heyhi.experiment.slots import Choice, SearchDir
from heyhi.job.ending import Terminated
from heyhi.job.notice import WARNING, Notice
from heyhi.job.pruning import rungs_of
from heyhi.job.turn import Turn, taken_turn
from heyhi.search.rung_files import RungFiles
from heyhi.sweep.search_spec import AshaSpec, SearchSpec

ID = "0123456789abcdef"
Listener = Callable[[Mapping[str, Any]], None]


class Trials:
    """A search, and its trials."""

    def __init__(self, root: Path) -> None:
        self.search = SearchDir(root, ID)

    def spec(self, counter: str = "", metric: str = "acc", direction: Direction = "max") -> SearchSpec:
        return SearchSpec("c", (), (), metric, direction, 9, stop=AshaSpec(3, 3, counter))

    def trial(self, slot: int, **spec: Any) -> Listener:
        (listener,) = rungs_of(self.search.slot(slot), self.spec(**spec))
        return listener

    def have(self, step: int, *values: float) -> None:
        """Let other trials have come to a rung."""
        for slot, value in enumerate(values, start=100):
            self.trial(slot)({"step": step, "acc": value})

    @property
    def names(self) -> dict[str, list[str]]:
        """Of the values at the rungs."""
        rungs = self.search.rungs_path.iterdir()
        return {one.name: sorted(path.name for path in one.iterdir() if ".ended" not in path.name) for one in rungs}

    def attempt(self, slot: int, steps: Mapping[float, float], **spec: Any) -> None:
        """Run an attempt of a trial that has chosen an experiment, as it logs."""
        self.search.slot(slot).write_choice(Choice("p/x"))
        folder = ExperimentDir(self.search.results_root / "p/x", self.search.results_root)
        folder.path.mkdir(parents=True, exist_ok=True)
        size = folder.metrics_path.stat().st_size if folder.metrics_path.exists() else 0
        number = len(folder.history().starts) + 1
        folder.append_attempt(Start(number, "first", "2026-01-01T00:00:00+00:00", "here", 1, metrics_size=size))
        (listener,) = rungs_of(self.search.slot(slot), self.spec(**spec))
        for step, value in steps.items():
            line = {"step": step, "acc": value}
            with folder.metrics_path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            listener(line)


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    return Trials(tmp_path)


@pytest.fixture
def turn() -> Iterator[Turn]:
    with taken_turn("p/x") as turn:
        yield turn


def lines(listener: Listener, steps: Mapping[float, float], **more: Any) -> None:
    for step, value in steps.items():
        listener({"step": step, "acc": value, **more})


def test_a_search_that_stops_nobody_early_has_none(trials: Trials) -> None:
    spec = SearchSpec("c", (), (), "acc", "max", 9)
    assert rungs_of(trials.search.slot(1), spec) == []


def test_what_a_trial_has_at_a_rung_is_a_file_of_its_name(trials: Trials) -> None:
    lines(trials.trial(7), {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 9: 0.9, 10: 1.0})
    assert trials.names == {"3": ["0007=0.3"], "9": ["0007=0.9"]}
    assert RungFiles(trials.search).read() == {3: {7: 0.3}, 9: {7: 0.9}}


def test_a_step_that_jumps_over_rungs_counts_at_each(trials: Trials) -> None:
    lines(trials.trial(7), {2: 0.2, 10: 0.5, 26: 0.6, 1000: 0.7})
    assert RungFiles(trials.search).read() == {
        3: {7: 0.5},
        9: {7: 0.5},
        **{step: {7: 0.7} for step in (27, 81, 243, 729)},
    }


def test_lines_without_the_metric_or_with_another_kind_of_value_don_t_count(trials: Trials) -> None:
    listener = trials.trial(7)
    for value in (None, "0.9", True, [0.9]):
        listener({"step": 3, "acc": value})
    listener({"step": 3, "loss": 0.1})
    assert not trials.search.rungs_path.exists()
    listener({"step": 4, "acc": 10**400})
    assert trials.names == {"3": ["0007=inf"]}


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ({}, {"epoch": 3, "acc": 0.5}),
        ({}, {"epoch": 3, "step": 100, "acc": 0.5}),
        ({"counter": "step"}, {"epoch": 100, "step": 3, "acc": 0.5}),
        ({}, {"tokens": 1e9, "step": 3, "acc": 0.5}),
        ({"counter": "epoch"}, {"epoch": 3, "step": 1, "acc": 0.5}),
        ({"metric": "val.acc"}, {"step": 3, "val": {"acc": 0.5}}),
        ({"metric": "val.acc"}, {"step": 3, "val.acc": 0.5}),
        ({"counter": "train.epoch"}, {"train": {"epoch": 3}, "acc": 0.5}),
    ],
)
def test_steps_and_values_are_found_by_their_names(trials: Trials, spec: Any, line: dict[str, Any]) -> None:
    trials.trial(7, **spec)(line)
    assert trials.names == {"3": ["0007=0.5"]}


def test_a_line_without_a_step_is_said_once_and_compared_with_none(
    trials: Trials, caplog: pytest.LogCaptureFixture
) -> None:
    listener = trials.trial(7, counter="epoch")
    for step in (3, 4):
        listener({"step": step, "acc": 0.5})
    assert not trials.search.rungs_path.exists()
    assert caplog.messages == ["a line of metrics with acc has no epoch: it is compared with no other trial's"]


def test_a_metric_that_no_line_has_is_said_once(trials: Trials, caplog: pytest.LogCaptureFixture) -> None:
    listener = trials.trial(7, metric="val_acc.best")
    for step in range(1, 30):
        listener({"step": step, "vall_acc": 0.5, "time": 1.5})
    assert caplog.messages == [
        "no line of metrics has val_acc (did you mean 'vall_acc'?): until one has, no trial is compared"
    ]
    listener({"step": 30, "val_acc": 0.5})
    assert RungFiles(trials.search).read() == {3: {7: 0.5}, 9: {7: 0.5}, 27: {7: 0.5}}


def test_a_trial_among_the_worst_is_ended_with_its_reason(trials: Trials) -> None:
    trials.have(3, 0.8, 0.9)
    with pytest.raises(heyhi.Pruned) as ended:
        lines(trials.trial(7), {3: 0.7123456})
    assert str(ended.value) == "ended at step 3: acc 0.7123, among the worst 2 of 3"
    assert not isinstance(ended.value, Exception)
    with pytest.raises(heyhi.Pruned, match=r"^ended at step 5: acc 0.1 at step 3, among the worst 3 of 4$"):
        lines(trials.trial(8), {2: 0.05, 5: 0.1})


@pytest.mark.parametrize(("direction", "worst"), [("max", 0.1), ("min", 0.9), ("max", math.nan), ("min", math.inf)])
def test_which_is_worst_follows_from_the_aim(trials: Trials, direction: Any, worst: float) -> None:
    trials.have(3, 0.5, 0.5)
    with pytest.raises(heyhi.Pruned):
        lines(trials.trial(7, direction=direction), {3: worst})
    assert trials.names["3"][0] == f"0007={worst!r}"


def test_the_first_value_of_a_rung_stays_whatever_a_resumed_run_logs(trials: Trials) -> None:
    lines(trials.trial(7), {3: 0.9})
    lines(trials.trial(7), {3: 0.1, 4: 0.1})
    assert trials.names == {"3": ["0007=0.9"]}


def test_a_trial_has_the_best_that_it_had_so_far_also_before_it_was_resumed(trials: Trials) -> None:
    lines(trials.trial(7), {1: 0.8, 3: 0.3})
    lines(trials.trial(7), {4: 0.5, 9: 0.1})
    lines(trials.trial(8, direction="min"), {1: math.nan, 2: 0.8, 3: 0.9})
    assert RungFiles(trials.search).read() == {3: {7: 0.8, 8: 0.8}, 9: {7: 0.8}}


def test_one_that_has_come_to_no_number_has_nothing_of_what_it_had(trials: Trials) -> None:
    trials.have(3, 0.5, 0.6)
    with pytest.raises(heyhi.Pruned, match=r"^ended at step 3: acc nan, among the worst 2 of 3$"):
        lines(trials.trial(7), {1: 0.9, 3: math.nan})


def test_a_run_that_was_killed_when_it_was_ended_is_ended_when_it_comes_again(trials: Trials) -> None:
    """Between its file at the rung and its end on record."""
    trials.have(9, 0.8, 0.9)
    with pytest.raises(heyhi.Pruned):
        lines(trials.trial(7), {9: 0.7})
    with pytest.raises(heyhi.Pruned, match=r"^ended at step 10: acc 0.7 at step 9, among the worst 2 of 3$"):
        lines(trials.trial(7), {8: 0.95, 10: 0.95})


def test_a_resumed_run_is_not_compared_again_at_rungs_that_it_has_passed(trials: Trials) -> None:
    lines(trials.trial(7), {3: 0.1, 9: 0.9})
    trials.have(3, 0.8, 0.9)
    lines(trials.trial(7), {4: 0.5, 10: 0.5})
    lines(trials.trial(7), {1: 0.5, 3: 0.5, 8: 0.5})


def test_a_rung_that_was_passed_stays_passed_whoever_has_come_there_since(trials: Trials) -> None:
    lines(trials.trial(7), {3: 0.1, 6: 0.9})
    trials.have(3, 0.8, 0.9)
    lines(trials.trial(7), {4: 0.1, 7: 0.1})
    assert not list(trials.search.rungs_path.glob("*/0007.ended*"))


def test_one_that_was_to_be_ended_is_ended_though_worse_ones_have_come_since(trials: Trials) -> None:
    trials.have(3, 0.8, 0.9)
    with pytest.raises(heyhi.Pruned):
        lines(trials.trial(7), {3: 0.7})
    for slot in range(20, 30):
        (trials.search.rungs_path / "3" / f"00{slot}=0.1").touch()
    for step in (3, 4):
        at = " at step 3" if step != 3 else ""
        with pytest.raises(heyhi.Pruned, match=rf"^ended at step {step}: acc 0.7{at}, among the worst 2 of 3$"):
            lines(trials.trial(7), {step: 0.95})


def test_one_that_had_little_left_at_a_rung_has_passed_it(trials: Trials) -> None:
    trials.have(9, 0.8, 0.9)
    lines(trials.trial(7), {9: 0.1}, total=10)
    lines(trials.trial(7), {10: 0.1})


@pytest.mark.parametrize("direction", ["max", "min"])
def test_what_an_earlier_attempt_has_logged_between_rungs_counts_at_the_next(
    trials: Trials, direction: Direction
) -> None:
    best, worse = (0.8, 0.3) if direction == "max" else (0.3, 0.8)
    trials.attempt(7, {2: worse, 3: worse, 5: best, 6: worse}, direction=direction)
    trials.attempt(7, {7: worse, 8: worse, 9: worse}, direction=direction)
    assert RungFiles(trials.search).read() == {3: {7: worse}, 9: {7: best}}


def test_what_a_resumed_attempt_has_logged_again_does_not_count(trials: Trials) -> None:
    trials.attempt(7, {1: 0.1, 2: 0.9})
    trials.attempt(7, {2: 0.2, 3: 0.1})
    assert RungFiles(trials.search).read() == {3: {7: 0.2}}


def test_earlier_metrics_that_can_t_be_read_are_told_once_and_end_nothing(
    trials: Trials, caplog: pytest.LogCaptureFixture
) -> None:
    trials.attempt(7, {1: 0.9})
    (trials.search.slot(7).choice_path).write_text("{")
    lines(trials.trial(7), {3: 0.5, 9: 0.5})
    (said,) = caplog.messages
    assert said.endswith("this trial is compared without what it has logged before")
    assert RungFiles(trials.search).read() == {3: {7: 0.5}, 9: {7: 0.5}}


@pytest.mark.parametrize("total", [9, 10, 13])
def test_a_trial_that_has_little_left_is_not_ended(trials: Trials, total: int) -> None:
    trials.have(9, 0.8, 0.9)
    lines(trials.trial(7), {9: 0.1}, total=total)
    assert "0007=0.1" in trials.names["9"], "but others are compared with it"
    with pytest.raises(heyhi.Pruned):
        lines(trials.trial(8), {9: 0.1}, total=14)


def test_main_s_checkpoint_is_written_first(trials: Trials, turn: Turn) -> None:
    trials.have(3, 0.8, 0.9)
    listener, done = trials.trial(7), list[str]()
    turn.on_pruned = done.append

    def checkpoint() -> None:
        listener({"step": 3, "acc": 0.7})  # who logs in it isn't ended in it
        done.append("checkpoint")

    heyhi.maybe_init_requeue_handler(checkpoint)
    with pytest.raises(heyhi.Pruned):
        lines(listener, {3: 0.7})
    assert done == ["checkpoint", "ended at step 3: acc 0.7, among the worst 2 of 3"] and turn.pruned == done[1]
    with pytest.raises(heyhi.Pruned, match=r"^ended at step 3"):
        listener({"other": 1})
    assert len(done) == 2, "whoever catches it is ended again, without another checkpoint"


def test_in_a_job_the_checkpoint_is_written_once_whatever_else_ends_it(
    trials: Trials, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice, before, done = Notice(), signal.getsignal(WARNING), list[int]()
    notice.listen()
    try:
        heyhi.maybe_init_requeue_handler(lambda: done.append(1))
        trials.have(3, 0.8, 0.9)
        with pytest.raises(heyhi.Pruned):
            lines(trials.trial(7), {3: 0.7})
        signal.raise_signal(WARNING)
        assert done == [1]
    finally:
        signal.signal(WARNING, before)


def test_a_checkpoint_that_fails_is_told_and_keeps_no_trial_alive(trials: Trials, turn: Turn) -> None:
    trials.have(3, 0.8, 0.9)
    heyhi.maybe_init_requeue_handler(lambda: [][0])
    with pytest.raises(heyhi.Pruned, match=r"worst 2 of 3; no checkpoint: IndexError: list index out of range$"):
        lines(trials.trial(7), {3: 0.7})


def test_a_signal_in_its_checkpoint_ends_it_as_a_signal_does(trials: Trials, turn: Turn) -> None:
    def stopped() -> None:
        raise Terminated(143)

    trials.have(3, 0.8, 0.9)
    listener = trials.trial(7)
    heyhi.maybe_init_requeue_handler(stopped)
    with pytest.raises(Terminated):
        lines(listener, {3: 0.7})
    assert not turn.pruned
    heyhi.maybe_init_requeue_handler(lambda: sys.exit(0))  # its own way to leave when all is written
    with pytest.raises(heyhi.Pruned, match=r"among the worst 2 of 3$"):
        lines(trials.trial(7), {4: 0.7})


def test_main_is_ended_where_another_thread_logs(trials: Trials, turn: Turn) -> None:
    trials.have(3, 0.8, 0.9)
    ended = list[BaseException]()

    def log() -> None:
        try:
            lines(trials.trial(7), {3: 0.7})
        except heyhi.Pruned as error:
            ended.append(error)

    thread = threading.Thread(target=log)
    with pytest.raises(heyhi.Pruned):
        thread.start()
        while True:
            thread.join(0.01)
    thread.join()
    assert len(ended) == 1


def test_a_disk_that_takes_nothing_ends_no_training(
    trials: Trials, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    trials.search.path.mkdir(parents=True)
    trials.search.rungs_path.write_text("in the way")
    lines(trials.trial(7), {3: 0.7, 9: 0.8, 27: 0.9})
    (said,) = caplog.messages
    assert said.endswith("this trial can't be compared with others, and goes on")
    trials.search.rungs_path.unlink()
    lines(trials.trial(7), {3: 0.7})
    assert trials.names == {"3": ["0007=0.7"]}


def test_odd_files_among_the_rungs_are_left_out(trials: Trials) -> None:
    (trials.search.rungs_path / "3").mkdir(parents=True)
    for name in (".nfs01", "0008", "0009=x", "x=0.1", "0010=0.5=1", "0011=0.5", "0011=0.6"):
        (trials.search.rungs_path / "3" / name).touch()
    (trials.search.rungs_path / "notes").mkdir()
    assert RungFiles(trials.search).read() == {3: {11: 0.5}}


def test_a_line_between_two_rungs_touches_no_disk(trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = trials.trial(7)
    lines(listener, {3: 0.7})

    def refuse(*args: object, **kwargs: object) -> Any:
        raise AssertionError(args)

    for name in ("listdir", "open", "stat", "scandir"):
        monkeypatch.setattr(os, name, refuse)
    lines(listener, dict.fromkeys(range(4, 9), 0.7))
