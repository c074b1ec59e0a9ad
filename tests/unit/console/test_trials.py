"""What a run of a search tells: of each trial which experiment it has become, and what came of it."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from heyhi.console.names import Named
from heyhi.console.teller import Asked, Passing, Teller
from heyhi.experiment.claim import Claim
from heyhi.experiment.slots import Choice, SearchDir, SlotEnd
from heyhi.project import Project, Settings
from heyhi.sweep.search_spec import Axis, SearchSpec

TIME = re.compile(r"^\d\d:\d\d:\d\d ", re.MULTILINE)
SPEC = SearchSpec("c", (), (Axis("lr", "float", low=0.1, high=1),), "acc", "max", trials=9)


class Run:
    """A run of a search with some trials, of which a test makes the records."""

    def __init__(self, root: Path, trials: int) -> None:
        self.project = Project(root, Settings())
        self.search = SearchDir(self.project.results_root, SPEC.search_id)
        self.trials = trials
        self.stream = io.StringIO()
        passing = Passing(lambda record: True, lambda record: str(record.msg), lambda record, text: text)
        self.teller = Teller(self.project, Asked(self.named, lambda: "conf/tune.py"), self.stream, passing, frozenset())

    def named(self) -> dict[str, Named]:
        exp_ids = [f"searches/{SPEC.search_id}/slots/{number:04d}" for number in range(self.trials)]
        root = self.project.results_root
        return {f"{root}/{one}": Named(one, one, (f"slot={n}",), (), SPEC) for n, one in enumerate(exp_ids)}

    def say(self, event: str, **more: Any) -> None:
        record = logging.LogRecord("snakemake", logging.INFO, "", 0, "", (), None)
        record.__dict__.update(more, event=event)
        self.teller.take(record)

    def begin(self, count: int | None = None) -> None:
        """Begin with all trials, or as many as have not ended."""
        self.say("resources_info", cores=2)
        self.say("run_info", stats={"slot": self.trials if count is None else count, "aggregate": 1, "all": 1})

    def result(self, number: int, **result: float) -> None:
        """Write the result of a trial's experiment."""
        (self.project.results_root / f"p/lr={(number + 1) / 10:g}_0/result.json").write_text(json.dumps(result))

    def start(self, number: int) -> None:
        exp = self.search.slot(number).path.relative_to(self.project.root)
        self.say("job_info", jobid=number, rule_name="slot", wildcards={"exp": str(exp)}, rule_msg="", output=[])

    def end(self, number: int, status: str, value: float | None = None, reason: str = "", *, told: bool = True) -> None:
        slot = self.search.slot(number)
        lr = (number + 1) / 10
        slot.write_choice(Choice(f"p/lr={lr:g}_0", "c", (), {"lr": lr}))
        folder = self.project.results_root / f"p/lr={lr:g}_0"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log.txt").write_text("said\n")
        if status == "DONE":
            self.result(number, **({} if value is None else {SPEC.metric: value}))
        slot.write_end(SlotEnd(f"p/lr={lr:g}_0", status, value, reason))
        if told:
            self.say("job_finished", job_id=number)

    @property
    def lines(self) -> list[str]:
        return TIME.sub("", self.stream.getvalue()).splitlines()


def test_trials_are_told_of_by_number_choice_value_and_whether_it_is_the_best(tmp_path: Path) -> None:
    run = Run(tmp_path, 5)
    run.begin()
    for number in range(5):
        run.start(number)
    run.end(0, "DONE", 0.5)
    run.end(1, "DONE", 0.25)
    run.end(2, "PRUNED", 0.9, "ended at step 3")
    run.end(3, "DEAD", reason="exit code 1: ValueError: boom")
    run.end(4, "DONE", 0.97)
    run.teller.close()
    head, *rest = run.lines
    assert head.startswith("run     5 trials, on 2 cores of this machine, 20")
    assert rest[:5] == [f"start   trial {number}" for number in range(5)]
    assert rest[5:] == [
        "done    trial 0 lr=0.1  acc=0.5 (best so far)  0 s",
        "done    trial 1 lr=0.2  acc=0.25  0 s",
        "PRUNED  trial 2 lr=0.3  acc=0.9 ended at step 3",
        "DEAD    trial 3 lr=0.4  exit code 1: ValueError: boom  log: results/p/lr=0.4_0/log.txt",
        "done    trial 4 lr=0.5  acc=0.97 (best so far)  0 s",
        "end     3 done, 1 PRUNED, 1 DEAD in 0 s; heyhi logs --error p/lr=0.4_0 shows more, and heyhi retry --dead"
        f" searches/{SPEC.search_id}/slots/0003 starts it again",
    ]


def test_a_run_that_goes_on_knows_the_best_of_before(tmp_path: Path) -> None:
    run = Run(tmp_path, 2)
    run.end(0, "DONE", 0.9, told=False)
    run.begin()
    run.start(1)
    run.end(1, "DONE", 0.5)
    assert run.lines[-1] == "done    trial 1 lr=0.2  acc=0.5  0 s"


def test_a_trial_that_somebody_has_brought_to_its_end_since_counts_with_what_it_has_now(tmp_path: Path) -> None:
    run = Run(tmp_path, 4)
    run.end(0, "DONE", 0.5, told=False)
    run.end(1, "PRUNED", 0.2, "ended at step 3", told=False)
    run.end(2, "DEAD", reason="exit code 1", told=False)
    run.result(1, acc=0.9)
    run.begin(1)
    assert ", 2 DONE, 1 DEAD before, " in run.lines[0]
    run.start(3)
    run.end(3, "DONE", 0.8)
    assert run.lines[-1] == "done    trial 3 lr=0.4  acc=0.8  0 s"


def test_a_run_that_goes_on_says_how_the_trials_of_before_have_ended(tmp_path: Path) -> None:
    run = Run(tmp_path, 9)
    for number, status in enumerate(["DONE", "DONE", "SKIPPED", *["PRUNED"] * 4, "DEAD"]):
        run.end(number, status, told=False)
    run.begin(1)
    assert run.lines[0].startswith("run     1 trial, on 2 cores of this machine, 3 DONE, 4 PRUNED, 1 DEAD before, 20")


def test_a_run_of_some_trials_knows_the_best_of_all_and_counts_them(tmp_path: Path) -> None:
    run = Run(tmp_path, 2)
    run.end(5, "DONE", 0.9, told=False)
    run.end(6, "DEAD", reason="exit code 1", told=False)
    run.end(9, "DONE", 0.95, told=False)  # of a time when the search had more
    run.begin()
    run.start(0)
    run.end(0, "DONE", 0.5)
    run.start(1)
    run.end(1, "DONE", 0.92)
    assert run.lines[0].startswith("run     2 trials, on 2 cores of this machine, 1 DONE, 1 DEAD before, 20")
    assert [line for line in run.lines if line.startswith("done")] == [
        "done    trial 0 lr=0.1  acc=0.5  0 s",
        "done    trial 1 lr=0.2  acc=0.92 (best so far)  0 s",
    ]


def test_a_better_one_that_another_run_has_ended_meanwhile_is_the_best(tmp_path: Path) -> None:
    run = Run(tmp_path, 2)
    run.begin()
    run.start(0)
    run.end(5, "DONE", 0.9, told=False)
    run.end(0, "DONE", 0.5)
    assert run.lines[-1] == "done    trial 0 lr=0.1  acc=0.5  0 s"


@pytest.mark.parametrize(("status", "word"), [("DONE", "done"), ("DEAD", "DEAD")])
def test_what_has_ended_in_the_end_is_told_as_it_has(tmp_path: Path, status: str, word: str) -> None:
    run = Run(tmp_path, 1)
    run.begin()
    run.start(0)
    run.end(0, status, 0.5, told=False)
    run.teller.close()
    assert run.lines[2].startswith(f"{word:<7} trial 0 lr=0.1  acc=0.5")
    assert run.lines[3].startswith(f"end     {'1 done in' if word == 'done' else '0 done, 1 DEAD in'}")


def test_a_trial_without_what_is_searched_for_says_so_and_nothing_is_said_to_go_on_where_none_has_it(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, 2)
    run.begin()
    for number in range(2):
        run.start(number)
    run.end(0, "DONE")
    run.end(1, "DEAD", reason="exit code 1: ValueError: boom")
    run.teller.close()
    assert "done    trial 0 lr=0.1  has no acc  0 s" in run.lines
    assert run.lines[-1].endswith("heyhi logs --error p/lr=0.2_0 shows more")


def test_a_trial_whose_shell_alone_was_killed_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path, 2)
    run.begin()
    for number in range(2):
        run.start(number)
        slot = run.search.slot(number)
        slot.path.mkdir(parents=True)
        if number:
            slot.write_choice(Choice("p/lr=0.1_0", "c", (), {"lr": 0.1}))
        claim = Claim.acquire(slot.path)
        assert isinstance(claim, Claim)
        with claim:
            run.say("job_error", jobid=number, rule_name="slot", rule_msg=None)
    chooses, starts = (line for line in run.lines if line.startswith("ERROR"))
    assert chooses.startswith("ERROR   trial 0  its shell has ended, and it goes on")
    assert starts.startswith("ERROR   trial 1 lr=0.1  its shell has ended, and it goes on")


def test_a_long_reason_that_ends_many_trials_is_said_once(tmp_path: Path) -> None:
    run = Run(tmp_path, 2)
    run.begin()
    for number in range(2):
        run.start(number)
        run.end(number, "DEAD", reason="exit code 2: trial 1 has no 'acc'; " + "it has loss, " * 9)
    assert "it has loss" in run.lines[-2] or "it has loss" in run.lines[2]
    assert sum("it has loss" in line for line in run.lines) == 1 and sum("likewise" in line for line in run.lines) == 1


@pytest.mark.parametrize("form", ["{slot}", "results/{slot}.json"])
@pytest.mark.parametrize("has_log", [True, False])
def test_a_trial_that_is_not_over_is_told_of_by_one_name(tmp_path: Path, form: str, has_log: bool) -> None:
    run = Run(tmp_path, 1)
    run.begin()
    run.start(0)
    run.search.slot(0).write_choice(Choice("p/lr=0.1_0", "c", (), {"lr": 0.1}))
    folder = run.project.results_root / "p/lr=0.1_0"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("said\n" * has_log)
    slot = form.format(slot=f"searches/{SPEC.search_id}/slots/0000")
    run.say("job_error", jobid=0, rule_name="slot", rule_msg=f"{slot}: DEAD: CANCELLED (job 36 on n1)")
    said = "CANCELLED (job 36 on n1)"
    told = f"{said}{'  log: results/p/lr=0.1_0/log.txt' if has_log else ''}"
    assert run.lines[-1] == f"DEAD    trial 0 lr=0.1  {told}"
    run.teller.close()
    shows = "heyhi logs --error p/lr=0.1_0 shows more, and " if has_log else ""
    assert run.lines[-1] == f"end     0 done, 1 DEAD in 0 s; {shows}the same command goes on"


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"nodes": 1000}, "handed over, at most 3 at once"),
        ({"nodes": 2}, "handed over, at most 2 at once"),
        ({"cores": 8}, "on 8 cores of this machine, at most 3 at once"),
    ],
)
def test_a_run_of_trials_says_how_many_their_search_lets_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, int], where: str
) -> None:
    monkeypatch.setattr(__name__ + ".SPEC", dataclasses.replace(SPEC, parallel=3))
    run = Run(tmp_path, 5)
    run.say("resources_info", **given)
    run.say("run_info", stats={"slot": 5, "aggregate": 1, "all": 1})
    assert run.lines[0].startswith(f"run     5 trials, {where}, 20")
