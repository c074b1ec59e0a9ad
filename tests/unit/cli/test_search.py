"""Searches on the command line: their words, how their trials are, and what is started, ended or started again."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from heyhi.config.base import Base
from heyhi.config.identity import ExpPattern
from heyhi.config.schema import load_schema
from heyhi.control.controller import ControllerSpec
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import Status, result_of
from heyhi.experiment.records import PRUNED, End, Start
from heyhi.experiment.slots import Choice, SearchDir, SlotDir, SlotEnd, note_slot
from heyhi.experiment.status import Statuses, find_state
from heyhi.extras import install_line
from heyhi.project import find_project
from heyhi.sweep.known import LAUNCHES_NAME
from heyhi.sweep.manifest import Manifest

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Work { optional double lr = 1; optional int32 seed = 2; optional Launcher launcher = 3; }
message Check { optional string of = 1; }
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
message Local { optional int32 cpus = 1; }
message Slurm { optional double hours = 4 [default = 0.5]; optional int32 num_gpus = 5 [default = 2]; }
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; Check check = 3; } }
"""
WORDS = ("--cfg", "conf/work", "seed=3", "--space", "lr=loguniform(1e-3,1)", "--max", "y", "--trials", "6")
Run = Callable[..., tuple[int, str, str]]


class Searched:
    """A search of six trials, of which a test says how they are."""

    def __init__(self, root: Path, run: Run) -> None:
        self.root, self.project = root, find_project(root)
        code, out, err = run("expand", *WORDS)
        assert code == 0, err
        self.targets = out.split()
        code, out, _ = run("expand", *WORDS, "--manifest")
        self.manifest = Manifest.open(root / out.strip())
        assert self.manifest.search is not None
        self.spec = self.manifest.search
        self.search = SearchDir(self.project.results_root, self.spec.search_id)
        self.word = f"searches/{self.spec.search_id}"
        self.base = Base.from_bytes(self.manifest.base(), self.manifest.schema(), self.project)
        self.claims: list[Claim] = []

    def slot(self, number: int) -> SlotDir:
        slot = self.search.slot(number)
        slot.path.mkdir(parents=True, exist_ok=True)
        if not self.search.spec_path.exists():
            self.search.spec_path.write_text(self.spec.to_json())
        return slot

    def choose(self, number: int, lr: float) -> tuple[ExperimentDir, Experiment]:
        composed = self.base.compose({"lr": lr})
        exp_id = ExpPattern(self.project).exp_id(composed.identity)
        path = self.project.results_root / exp_id
        choice = Choice(exp_id, composed.identity.cfg, composed.identity.overrides, {"lr": lr})
        self.slot(number).write_choice(choice)
        config = composed.message.SerializeToString(deterministic=True)
        experiment = Experiment(exp_id, path, composed.identity, composed.task, config, roots=self.project.roots)
        return ExperimentDir(path, self.project.results_root), experiment

    def start(self, number: int, lr: float, *records: Start | End) -> ExperimentDir:
        folder, experiment = self.choose(number, lr)
        folder.prepare(experiment, load_schema(self.project))
        note_slot(folder.path, f"{self.word}/slots/{number:04d}")
        for record in records or (Start(1, pid=12, host="h"),):
            folder.append_attempt(record)
        return folder

    def end(self, number: int, lr: float, status: str, value: float | None = None, reason: str = "") -> ExperimentDir:
        how = {"DONE": "done", "PRUNED": PRUNED}.get(status, "failed")
        end = End(1, how, exit_code=int(how == "failed"), exception=reason)
        folder = self.start(number, lr, Start(1, pid=12, host="h"), end)
        if status == "DONE":
            folder.write_result({"y": value})
        self.slot(number).write_end(SlotEnd(folder.exp_id, status, value, reason))
        return folder

    def fail(self, number: int, why: str) -> None:
        """Have a slot's job fail before it has chosen an experiment."""
        slot = self.slot(number)
        slot.prepare(self.manifest.experiment(self.targets[number]), self.manifest.schema())
        slot.append_attempt(Start(1, pid=12, host="h"))
        slot.append_attempt(End(1, "failed", exit_code=2, exception=why))

    def claim(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        claim = Claim.acquire(path)
        assert isinstance(claim, Claim)
        self.claims.append(claim)


@pytest.fixture
def searched(make_project: Callable[..., Path], run: Run) -> Iterator[Searched]:
    root = make_project(PROTO)
    for name in ("local", "slurm"):
        (root / f"profiles/{name}").mkdir(parents=True)
        (root / f"profiles/{name}/config.yaml").write_text("executor: heyhi\n" * (name == "slurm") + "cores: 1\n")
    made = Searched(root, run)
    yield made
    for claim in made.claims:
        claim.release()


def states(searched: Searched) -> list[tuple[Status, str]]:
    statuses = Statuses(searched.manifest.folders)
    return [tuple(statuses.of(folder)) for folder in searched.manifest.folders]  # type: ignore[misc]


def test_a_slot_is_as_its_experiment_is(searched: Searched) -> None:
    assert {status for status, _ in states(searched)} == {Status.NOT_STARTED}
    searched.claim(searched.slot(0).path)
    searched.end(1, 0.1, "DONE", 0.5)
    searched.end(2, 0.2, "PRUNED", 0.1, "ended at step 3")
    searched.end(3, 0.3, "DEAD", reason="ValueError: boom")
    searched.claim(searched.start(4, 0.4).path)
    searched.start(5, 0.5, Start(1, pid=12, host="h"), End(1, "failed", exit_code=1, exception="ValueError: boom"))
    found = states(searched)
    assert [status.value for status, _ in found] == ["RUNNING", "DONE", "PRUNED", "DEAD", "RUNNING", "DEAD"]
    assert found[2][1] == "ended at step 3" and found[3][1] == "ValueError: boom" and "ValueError: boom" in found[5][1]


def test_an_experiment_that_its_living_slot_is_about_to_start_waits(searched: Searched) -> None:
    folder = searched.start(0, 0.1, Start(1, pid=12, host="h"), End(1, "failed", exit_code=1, exception="boom"))
    assert find_state(folder.path).status is Status.DEAD
    searched.claim(searched.slot(0).path)
    state = find_state(folder.path)
    assert state.status is Status.PENDING and "pid" in state.reason and states(searched)[0] == tuple(state)
    searched.slot(0).write_end(SlotEnd(folder.exp_id, "DEAD", reason="boom"))
    assert find_state(folder.path).status is Status.DEAD  # it is final: the slot does nothing more about it


@pytest.mark.parametrize("how", ["DONE", "PRUNED"])
def test_a_killed_slot_whose_experiment_is_over_has_that_to_note_yet(searched: Searched, how: str) -> None:
    searched.end(0, 0.1, how, 0.5)
    searched.slot(0).result_path.unlink()
    status, reason = states(searched)[0]
    assert status is Status.NOT_STARTED and f"is {how}, which is to be noted" in reason


def test_a_trial_that_was_done_outside_of_its_search_later_counts_as_done(searched: Searched) -> None:
    folder = searched.end(0, 0.1, "DEAD", reason="boom")
    folder.write_result({"y": 1})
    assert states(searched)[0][0] is Status.DONE


def test_a_damaged_slot_is_unknown_and_what_was_left_over_is_done(searched: Searched) -> None:
    searched.slot(0).choice_path.write_text("[]")
    searched.slot(1).result_path.write_text("no JSON")
    searched.slot(2).write_end(SlotEnd("", "SKIPPED", reason="all points were tried"))
    found = states(searched)
    assert [status for status, _ in found[:3]] == [Status.UNKNOWN, Status.UNKNOWN, Status.DONE]
    assert "damaged" in found[0][1]


def test_status_shows_trials_as_experiments_and_the_best_so_far(searched: Searched, run: Run) -> None:
    best = searched.end(1, 0.1, "DONE", 0.75)
    searched.end(4, 0.4, "DONE", 0.5)
    dead = searched.end(3, 0.3, "DEAD", reason="ValueError: boom")
    for word in (searched.word, f"results/{searched.word}", searched.spec.search_id, searched.manifest.path):
        code, out, _ = run("status", str(word))
        lines = out.splitlines()
        assert code == 1 and lines[0] == "DEAD 1  NOT_STARTED 3  DONE 2"
        assert lines[1].startswith(f"DEAD        {dead.exp_id}  ValueError: boom")
        assert (
            f"{searched.word}: best so far: y=0.75 by trial 1 (lr=0.1); 3 of 6 trials have ended: 2 DONE, 1 DEAD" in out
        )
    code, out, _ = run("status", best.exp_id)
    assert f"trial 1 of {searched.word}" in out
    rows = json.loads(run("status", searched.word, "--json")[1])["experiments"]
    assert rows[1]["exp_id"] == best.exp_id and rows[1]["trial"] == 1 and rows[0]["trial"] == 0


def test_of_one_trial_nothing_is_said_of_its_search_as_a_whole(searched: Searched, run: Run) -> None:
    searched.end(1, 0.1, "DONE", 0.75)
    searched.end(4, 0.4, "DONE", 0.5)
    for word in (f"{searched.word}/slots/0004", searched.targets[4]):
        code, out, err = run("status", word)
        assert code == 0 and "DONE 1" in out, err
        assert f"trial 4 of {searched.word}" in out and "best so far" not in out and "trials have ended" not in out
    assert "best so far: y=0.75 by trial 1" in run("status", searched.word)[1]


def test_status_says_that_a_launch_goes_on_with_trials_that_were_killed(searched: Searched, run: Run) -> None:
    for number in (0, 1):
        searched.start(number, 0.1 * (number + 1), Start(1, pid=12, host="h"), End(1, "failed", exception="killed"))
    code, out, _ = run("status", searched.word)
    line = f"heyhi launch {searched.word} starts them, and goes on with the 2 that are DEAD"
    assert code == 1 and f"no controller runs the 4 that are NOT_STARTED: {line}" in " ".join(out.split())
    assert "mode start_continue: 6 would start" in run("plan", *WORDS)[1]
    searched.end(1, 0.2, "DEAD", reason="boom")  # it is over: only a retry starts it
    _, out, _ = run("status", searched.word)
    assert "starts them, and goes on with the 1 that is DEAD" in " ".join(out.split())
    assert "mode start_continue: 5 would start" in run("plan", *WORDS)[1]


def test_status_says_what_goes_on_with_trials_that_were_cancelled_and_what_starts_all_that_are_dead(
    searched: Searched, run: Run
) -> None:
    for number in range(4):
        searched.start(number, 0.1 * (number + 1), Start(1, pid=12, host="h"), End(1, "failed", exception="cancelled"))
    for number in (4, 5):
        searched.end(number, 0.1 * (number + 1), "DEAD", reason="ValueError: boom")
    _, out, _ = run("status", searched.word)
    launch, retry = f"heyhi launch {searched.word}", f"heyhi retry --dead {searched.word}"
    assert (
        f"no controller runs these: {launch} goes on with the 4 that are not over for the search,"
        f" and {retry} starts all 6 again" in " ".join(out.split())
    )
    for number in (4, 5):
        searched.end(number, 0.1 * (number + 1), "DONE", 0.5)
    assert f"no controller runs these: {launch} goes on with them" in " ".join(run("status", searched.word)[1].split())


@pytest.mark.parametrize("status", ["PRUNED", "DEAD"])
def test_a_trial_that_somebody_has_brought_to_its_end_since_counts_with_its_new_value(
    searched: Searched, run: Run, status: str
) -> None:
    searched.end(0, 0.1, "DONE", 0.5)
    searched.end(1, 0.2, status, 0.1, "it was").write_result({"y": 0.9})
    searched.end(2, 0.4, "PRUNED", 0.2, "it is")
    out = run("status", searched.word)[1]
    assert "best so far: y=0.9 by trial 1 (lr=0.2); 3 of 6 trials have ended: 2 DONE, 1 PRUNED" in out


def test_a_trial_whose_result_is_gone_is_dead_wherever_people_look_and_made_anew_by_a_retry(
    searched: Searched, run: Run, started: list[ControllerSpec]
) -> None:
    folders = [searched.end(number, 0.1 * (number + 1), "DONE", 0.1 * number) for number in range(6)]
    shutil.rmtree(folders[5].path)
    gone = f"{folders[5].exp_id}  it was DONE, and its result is gone; heyhi retry --dead makes it anew"
    code, out, _ = run("status", searched.word)
    lines = " ".join(out.split())
    assert code == 1 and out.startswith("DEAD 1  DONE 5\n") and f"DEAD        {gone}" in out
    assert "best so far: y=0.4 by trial 4" in lines and "6 of 6 trials have ended: 5 DONE, 1 DEAD" in lines
    assert f"heyhi retry --dead {searched.word} starts it again" in lines
    out = run("report", searched.word)[1]
    assert "1 DEAD, 5 DONE" in out and f"{gone.replace('  ', ': ')}\n" in out and "by trial 4 (lr=0.5)" in out
    code, out, _ = run("launch", searched.word, "--profile", "local")
    assert code == 1 and not started and f"heyhi retry --dead {searched.word} starts the 1 again" in out
    assert run("retry", "--dead", searched.word, "--profile", "local")[0] == 0
    assert started[0].targets == (f"results/{searched.word}/slots/0005.json",)
    assert not searched.slot(5).has_result() and searched.slot(4).has_result()
    assert len(list((searched.project.state_root / "trash").rglob("0005.json"))) == 1


def test_a_trial_whose_result_is_gone_and_that_somebody_makes_anew_is_as_that_one(searched: Searched) -> None:
    folder = searched.end(0, 0.1, "DONE", 0.5)
    folder.result_path.unlink()
    assert states(searched)[0][0] is Status.DEAD
    searched.claim(folder.path)
    assert states(searched)[0][0] is Status.RUNNING
    folder.write_result({"y": 0.25})
    assert states(searched)[0] == (Status.DONE, "")


@pytest.mark.parametrize(("status", "reason"), [("PRUNED", "ended at step 3"), ("DEAD", "ValueError: boom")])
def test_a_trial_without_a_folder_is_as_its_slot_says_in_status_and_report(
    searched: Searched, run: Run, status: str, reason: str
) -> None:
    folder = searched.end(0, 0.1, status, 0.5, reason)
    shutil.rmtree(folder.path)
    assert states(searched)[0] == (Status(status), reason)
    out = run("report", searched.word)[1]
    assert f"1 experiment: 1 {status}" in out


def test_many_trials_that_nobody_has_chosen_yet_are_one_line(searched: Searched, run: Run) -> None:
    searched.end(1, 0.1, "DONE", 0.75)
    _, out, _ = run("status", searched.word)
    assert f"NOT_STARTED 5 trials of {searched.word}" in out and out.count("NOT_STARTED ") == 2


def test_a_trial_is_listed_once_among_all_that_are_known(searched: Searched, run: Run, started: Any) -> None:
    assert run("launch", *WORDS)[0] == 0
    folder = searched.end(1, 0.1, "DONE", 0.75)
    from heyhi.sweep.known import note_known

    note_known(searched.project, {folder.exp_id: []})
    rows = json.loads(run("status", "--json")[1])["experiments"]
    assert len(rows) == 6 and [row["exp_id"] for row in rows].count(folder.exp_id) == 1


def test_an_ended_search_starts_nothing_and_a_higher_number_of_trials_adds_some(
    searched: Searched, run: Run, started: list[ControllerSpec]
) -> None:
    for number in range(6):
        searched.end(number, 0.1 * (number + 1), "PRUNED" if number == 5 else "DONE", 0.5)
    code, out, _ = run("launch", *WORDS, "--profile", "local")
    assert code == 0 and "nothing to start" in out and "a higher --trials goes on" in out and not started
    given = "cfg='conf/work', overrides={'seed': 3}, space={'lr': 'loguniform(1e-3,1)'}, max='y', trials=6"
    (searched.root / "conf/tune.py").write_text(f"import heyhi\n\nSEARCH = heyhi.Search({given})\n")
    code, out, _ = run("launch", "conf/tune.py", "--profile", "local")
    assert code == 0 and "a higher trials= in conf/tune.py goes on" in out and not started
    code, out, _ = run("launch", *WORDS[:-1], "8", "--profile", "local")
    assert code == 0 and "2 to start" in out and len(started) == 1


@pytest.mark.parametrize("runs_all", [True, False])
def test_a_controller_that_runs_the_last_trials_is_named_and_no_second_one_is_started(
    searched: Searched, run: Run, started: list[ControllerSpec], runs_all: bool
) -> None:
    for number in range(4):
        searched.end(number, 0.1 * (number + 1), "DONE", 0.5)
    for number in (4, 5):
        searched.claim(searched.start(number, 0.1 * (number + 1)).path)
    targets = tuple(searched.targets[4 : 6 if runs_all else 5])
    folder = searched.project.state_root / "controllers" / "retry-1"
    folder.mkdir(parents=True)
    (folder / "controller.json").write_text(json.dumps(asdict(ControllerSpec("retry-1", "", targets=targets))))
    folder.with_name("retry-1.log").touch()
    claim = Claim.acquire(folder, kind="controller")
    assert isinstance(claim, Claim)
    with claim:
        code, out, _ = run("launch", searched.word, "--profile", "local")
    assert code == 0 and "0 to start" in out and len(started) == (not runs_all)
    if runs_all:
        said = f"nothing started: this is being run already by controller {claim.owner.describe()}\n"
        assert said in out and f"  its table: heyhi report {searched.word}\n" in out
        assert "  its log: results/.heyhi/controllers/retry-1.log\n" in out


def test_a_dead_trial_makes_the_exit_code_1_and_is_started_again_only_when_asked_for(
    searched: Searched, run: Run, started: list[ControllerSpec]
) -> None:
    for number in range(5):
        searched.end(number, 0.1 * (number + 1), "DONE", 0.5)
    dead = searched.end(5, 0.9, "DEAD", reason="ValueError: boom")
    code, out, _ = run("search", *WORDS, "--profile", "local")
    assert code == 1 and not started
    assert f"DEAD        {dead.exp_id}  ValueError: boom" in out
    assert f"heyhi retry --dead {searched.word} starts the 1 again that is DEAD" in out
    code, out, _ = run("retry", "--dead", searched.word, "--dry-run", "--profile", "local")
    assert code == 0 and "1 would start again" in out and searched.slot(5).has_result()
    code, out, err = run("retry", "--dead", searched.word, "--profile", "local")
    assert code == 0 and "1 to start again" in out, err
    assert started[0].targets == (f"results/{searched.word}/slots/0005.json",)
    assert not searched.slot(5).has_result() and searched.slot(5).read_choice() is not None
    assert len(list((searched.project.state_root / "trash").rglob("0005.json"))) == 1
    assert states(searched)[5][0] is Status.DEAD  # until it runs


def test_a_metric_that_no_trial_has_is_an_error_where_all_have_ended_and_a_line_wherever_people_look(
    searched: Searched, run: Run, started: list[ControllerSpec]
) -> None:
    for number in range(6):
        folder = searched.end(number, 0.1 * (number + 1), "DONE")
        folder.write_result({"yy": 0.5})
    why = "trial 0 is done and has no 'y' (did you mean 'yy'?), which its search is about (it has: yy)"
    for words in (("launch", searched.word), ("search", *WORDS)):
        code, _, err = run(*words, "--profile", "local")
        assert code == 1 and f"error: {searched.word}: {why}\n" in err and not started
    assert f"{searched.word}: {why}; 6 of 6 trials have ended: 6 DONE" in " ".join(
        run("status", searched.word)[1].split()
    )
    assert why in run("report", searched.word)[1]
    searched.slot(3).write_end(SlotEnd(folder.exp_id, "DONE", 0.5))  # one has it, after all
    assert run("launch", searched.word)[0] == 0
    assert why not in run("status", searched.word)[1] + run("report", searched.word)[1]


def test_nothing_starts_trials_of_a_search_for_what_none_has_and_nothing_is_said_to(
    searched: Searched, run: Run, started: list[ControllerSpec]
) -> None:
    searched.end(0, 0.1, "DONE").write_result({"yy": 0.5})
    for number in (1, 2):
        searched.fail(number, "trial 0 is done and has no 'y'")
    why = "trial 0 is done and has no 'y' (did you mean 'yy'?), which its search is about (it has: yy)"
    for command in ("launch", "search"):
        code, _, err = run(command, *WORDS, "--profile", "local")
        assert code == 1 and f"{why}: no more trials are started" in err
    code, out, _ = run("retry", "--dead", searched.word, "--profile", "local")
    assert code == 1 and f"left: {searched.word}: {why}: no more trials are started" in out and not started
    out = run("plan", *WORDS)[1]
    assert "mode start_continue: 0 would start" in out and why in out and "launch: " not in out
    out = " ".join(run("status", searched.word)[1].split())
    assert why in out and "no controller runs" in out and "heyhi launch" not in out and "heyhi retry" not in out
    searched.start(1, 0.2, Start(1, pid=12, host="h"), End(1, "failed", exception="killed"))  # it may have it yet
    code, out, _ = run("launch", searched.word, "--profile", "local")
    assert code == 0 and "1 to start" in out and len(started) == 1


@pytest.mark.parametrize(
    ("launcher", "kind"), [("", "local"), ("launcher.local.cpus=1", "local"), ("launcher.slurm.hours=2", "slurm")]
)
def test_a_search_is_launched_and_tried_again_where_its_launcher_says(
    searched: Searched, run: Run, started: list[ControllerSpec], launcher: str, kind: str
) -> None:
    words = [*WORDS[:3], *filter(None, [launcher]), *WORDS[3:]]
    assert run("launch", *words, "--profile", "local")[0] == 0
    code, out, _ = run("expand", *words)
    assert code == 0
    searched.targets = out.split()
    searched.search = SearchDir(searched.project.results_root, out.split("/")[2])
    searched.word = f"searches/{out.split('/')[2]}"
    dead = searched.end(0, 0.1, "DEAD", reason="boom")
    slot = searched.targets[1]
    code, out, err = run("retry", "--dead", searched.word, "--dry-run")
    assert code == 0 and "would start again, by profiles/local" in out, err  # by which it was launched last
    for record in (searched.project.state_root / LAUNCHES_NAME).iterdir():  # one of an earlier version
        record.write_text(json.dumps(json.loads(record.read_text()) | {"profile": ""}))
    for command in (words, [searched.word], [slot]):
        code, out, err = run("launch", *command, "--dry-run")
        assert code == 0 and f"would start by profiles/{kind}" in out, err
    for command in ([searched.word], [searched.targets[0]], [dead.exp_id], [dead.exp_id, searched.targets[0]], []):
        code, out, err = run("retry", "--dead", *command, "--dry-run")
        assert code == 0 and f"would start again, by profiles/{kind}" in out, err
    code, out, err = run("retry", "--where", "status=DEAD", "--dry-run")
    assert code == 0 and f"would start again, by profiles/{kind}" in out, err
    code, out, _ = run("launch", *words, "--dry-run", "--profile", "local")
    assert code == 0 and "by profiles/local" in out
    code, out, _ = run("launch", "--cfg", "conf/work", "--dry-run")
    assert code == 0 and "by profiles/slurm" in out


def test_a_slot_that_somebody_has_is_not_opened_anew(searched: Searched) -> None:
    from heyhi.control.reopening import reopen

    searched.end(0, 0.1, "DEAD", reason="boom")
    searched.end(1, 0.2, "DONE", 1.0)
    searched.claim(searched.slot(0).path)
    slots = [str(searched.slot(number).path) for number in range(3)]
    assert reopen(searched.project, slots) == [] and searched.slot(0).has_result() and searched.slot(1).has_result()
    searched.claims.pop().release()
    assert reopen(searched.project, slots) == slots[:1]


def test_plan_says_what_a_search_may_take(searched: Searched, run: Run) -> None:
    searched.end(1, 0.1, "DONE", 0.75)
    code, out, _ = run("plan", *WORDS)
    assert code == 0 and "mode start_continue: 5 would start" in out and f": 6 trials of {searched.word}\n" in out
    assert f"launch: heyhi search {' '.join(WORDS[:4])} 'lr=loguniform(1e-3,1)'" in out.replace('"', "'")
    assert "heyhi launch takes" not in out, "it takes the same profile"
    code, out, _ = run("plan", *WORDS, "launcher.slurm.hours=2")
    assert code == 0 and "Slurm: 5 experiments in 5 jobs, at most 20 GPU-hours" in out
    code, out, err = run("plan", searched.word, "--mode", "restart")
    assert code == 2 and "would wipe what trials of a search have done" in err


def test_no_slot_is_compared_with_what_is_done_since_nobody_knows_its_config_yet(searched: Searched, run: Run) -> None:
    from heyhi.sweep.known import note_known

    code, out, err = run("expand", *WORDS[:3])
    assert code == 0, err
    folder = searched.root / out.strip().removesuffix("/result.json")
    done = ExperimentDir(folder, searched.project.results_root)
    composed = searched.base.compose({})
    config = composed.message.SerializeToString(deterministic=True)
    exp_id = ExpPattern(searched.project).exp_id(composed.identity)
    one = Experiment(exp_id, folder, composed.identity, composed.task, config, roots=searched.project.roots)
    done.prepare(one, load_schema(searched.project))
    done.write_result({"y": 1.0})
    note_known(searched.project, {exp_id: []})
    code, out, err = run("plan", *WORDS)
    assert code == 0 and "6 would start" in out and "the same config is DONE" not in out + err
    assert "the same config is DONE" in run("plan", *WORDS[:3], "lr=0.1")[1]


def test_a_slot_that_has_chosen_nothing_has_no_config_to_compare(searched: Searched, run: Run) -> None:
    searched.fail(0, "no experiment was chosen")
    for words in (("plan", *WORDS), ("status", "--drift", searched.word)):
        out = run(*words)[1]
        assert "DEAD" in out and "compared" not in out and "drifted" not in out, out


@pytest.mark.parametrize("space", ["lr=0.1,0.2", "seed=range(2)"])
def test_a_space_with_fewer_points_than_trials_is_told(searched: Searched, run: Run, space: str) -> None:
    words = ("--cfg", "conf/work", "--space", space, "--max", "y", "--trials")
    for command in (("plan", *words, "3"), ("search", *words, "3", "--dry-run")):
        code, out, err = run(*command)
        assert code == 0 and "the space has only 2 points" in out + err
        assert "the space has only" not in "".join(run(*command[: len(words) + 1], "2", *command[len(words) + 2 :])[1:])


def test_only_as_many_trials_are_said_to_start_as_the_space_has_points(
    searched: Searched, run: Run, started: list[ControllerSpec]
) -> None:
    words = ("--cfg", "conf/work", "launcher.slurm.hours=2", "--space", "lr=0.1,0.2,0.4", "--max", "y", "--trials", "8")
    none = "the space has only 3 points, none for 5 more trials"
    code, out, _ = run("plan", *words)
    assert code == 0 and f"mode start_continue: 3 would start; {none}\n" in out and "launch: heyhi search" in out
    assert "Slurm: 3 experiments in 3 jobs, at most 12 GPU-hours" in out
    code, out, _ = run("launch", *words, "--dry-run")
    assert code == 0 and f"3 would start by profiles/slurm; {none}\n" in out
    code, out, _ = run("search", *words, "--dry-run", "--profile", "local")
    assert code == 0 and f"3 would start by profiles/local; {none}\n" in out


def test_points_that_trials_have_chosen_already_are_none_for_the_others(searched: Searched, run: Run) -> None:
    words = ("--cfg", "conf/work", "--space", "lr=0.1,0.2,0.4", "--max", "y", "--trials", "6")
    searched.word = f"searches/{run('expand', *words)[1].split('/')[2]}"
    searched.search = SearchDir(searched.project.results_root, searched.word.removeprefix("searches/"))
    searched.end(0, 0.1, "DONE", 0.5)
    searched.start(1, 0.2)  # goes on as it is
    for named in (words, (searched.word,)):
        code, out, _ = run("plan", *named)
        assert code == 0
        assert "mode start_continue: 2 would start; the space has only 3 points, none for 3 more trials\n" in out


def test_more_trials_of_a_search_that_is_named_by_its_id_are_told_as_words(searched: Searched, run: Run) -> None:
    for command in (("search", searched.word), ("launch", searched.word)):
        code, out, err = run(*command, "--trials", "9", "--learn-from", "conf/many.py", "--dry-run")
        assert code == 2 and not out
        assert "error: --trials goes with --cfg CFG; of this search: heyhi search --cfg conf/work" in err
        assert err.rstrip().endswith("--max y --trials 9 --learn-from conf/many.py")
    (searched.root / "conf/tune.py").write_text(
        "import heyhi\nSEARCH = heyhi.Search(cfg='conf/work', space={'lr': [0.1, 0.2]}, max='y', trials=2)\n"
    )
    word = f"searches/{run('expand', 'conf/tune.py')[1].split('/')[2]}"
    code, _, err = run("search", word, "--trials", "9")
    assert code == 2 and "--trials goes with --cfg CFG; conf/tune.py says in SEARCH what it searches" in err


def test_too_many_trials_are_refused_as_too_many(searched: Searched, run: Run) -> None:
    code, _, err = run("search", *WORDS[:-1], "1000000000", "--dry-run")
    assert code == 2 and "has 1,000,000,000 trials: a sweep has at most" in err


def test_without_optuna_a_search_is_refused_before_anything_is_started(
    searched: Searched, run: Run, started: list[ControllerSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    for command in (("launch", *WORDS), ("launch", searched.word, "--dry-run"), ("search", *WORDS)):
        code, _, err = run(*command)
        assert code == 2 and f"a search needs optuna, which isn't installed here: {install_line('search')}" in err
    assert not started and not searched.search.slots_path.exists()
    assert run("plan", *WORDS)[0] == 0 and run("launch", "conf/many.py", "--profile", "local")[0] == 0


def test_one_trial_is_one_trial(searched: Searched, run: Run) -> None:
    code, _, err = run("search", *WORDS[:-1], "1", "--dry-run")
    assert code == 0 and "; 1 trial, tpe" in err


def test_logs_and_cancel_go_by_the_experiment(searched: Searched, run: Run) -> None:
    folder = searched.start(0, 0.1)
    folder.log_path.write_text("said by the trial\n")
    for word in (folder.exp_id, f"{searched.word}/slots/0000", searched.targets[0]):
        code, out, _ = run("logs", word)
        assert code == 0 and out == "said by the trial\n", word
    searched.claim(searched.slot(0).path)
    for word in (folder.exp_id, searched.word):
        code, out, _ = run("cancel", word, "--dry-run")
        assert code == 0 and f"{folder.exp_id}: pid" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max", "a", "--min", "b"), "--max and --min: a search has one aim"),
        (("--max", "a", "--trials", "2", "--trials", "3"), "--trials is given twice: 2 and 3"),
        (("--max", "a"), "how many trials? --trials N"),
        (("--trials", "3"), "--max METRIC or --min METRIC"),
        (("--max", "a", "--trials", "0"), "--trials is a whole number of at least 1, not 0"),
        (("--max", "a", "--trials", "many"), "--trials many: expected a whole number"),
        (
            ("--max", "a", "--trials", "2", "--sampler", "tp"),
            "--sampler is tpe or random, not 'tp' (did you mean 'tpe'?)",
        ),
        (("--max", "a", "--trials", "2", "--stop", "ahsa"), "stop 'ahsa': expected asha"),
        (("--max", "a", "--trials", "2", "--sweep", "seed=1,2"), "--sweep goes without --space"),
        (("--max", "a", "--trials", "2", "--out", "x"), "--out goes without --space"),
        (("--max", "a", "--trials", "2", "--learn-from", "nothing"), "--learn-from nothing: expected a sweep file"),
        (("--max", "a", "--trials", "2", "--profile", "lokal"), "profile 'lokal' is no folder"),
        (("--max", "a", "--trials", "2", "--space", "sed=1,2"), "space 'sed'"),
        (("--max", "a", "--trials", "2", "--space", "launcher.local.cpus=1,2"), "launcher and scheduling are those of"),
        (("--max", "a", "--trials", "2", "--trial", "2"), "unknown option '--trial' (did you mean '--trials'"),
    ],
)
def test_contradicting_words_are_one_error_and_nothing_is_started(
    searched: Searched, run: Run, started: list[ControllerSpec], words: tuple[str, ...], said: str
) -> None:
    before = sorted(path for path in searched.root.rglob("*") if "state" not in path.name)
    code, out, err = run("search", "--cfg", "conf/work", "--space", "lr=uniform(0,1)", *words)
    assert code == 2 and said in err and err.count("\n") <= 2 and not started and out == ""
    assert sorted(path for path in searched.root.rglob("*") if "state" not in path.name) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "conf/many.py"), "conf/many.py: is no search: heyhi run or heyhi launch runs it"),
        (("search", "conf/many.py", "--trials", "3"), "--trials goes with --cfg CFG"),
        (("status", "searches/0123456789abcdef"), "is no search that was expanded in"),
        (
            ("status", "--cfg", "conf/work", "--space", "lr=1,2"),
            "'--space': heyhi status takes a search as searches/ID",
        ),
        (("report", "--cfg", "conf/work", "--min", "y"), "'--min': heyhi report takes a search as searches/ID"),
    ],
)
def test_what_is_no_search_is_told(searched: Searched, run: Run, words: tuple[str, ...], said: str) -> None:
    code, _, err = run(*words)
    assert code == 2 and said in err


def test_words_that_declare_a_search_are_refused_with_those_that_name_it(searched: Searched, run: Run) -> None:
    asked = ("status", "--where", "lr>1", *WORDS[:3], f"--space={WORDS[4]}", *WORDS[5:], "--json")
    code, out, err = run(*asked)
    told = f"heyhi status takes a search as searches/ID: heyhi status {searched.word} '--where=lr>1' --json"
    assert code == 2 and told in " ".join(err.split()), err
    assert json.loads(out)["error"]["fix"] == told.partition(": ")[2]
    assert run("status", searched.word, "--where=lr>1", "--json")[0] == 0
    code, _, err = run("status", *WORDS, "--where", "lr>1", "--lr")
    assert code == 2 and "'--lr': a key of a config is set without dashes: lr=…" in err


def test_more_trials_have_the_same_label_and_another_space_has_another(searched: Searched, run: Run) -> None:
    names = [run("expand", *words, "--manifest")[1] for words in (WORDS, (*WORDS[:-1], "9"), (*WORDS, "--seed", "1"))]
    labels = [Path(name).name.rpartition("-")[0] for name in names]
    assert labels[0] == labels[1] != labels[2] and "search" in labels[0]


def test_a_search_has_one_label_however_its_words_are_written(searched: Searched, run: Run) -> None:
    words = ("--cfg", "work.prototxt", "seed=0x3", "--sampler", "tpe", "--trials", "6", "--space")
    names = [
        run("expand", *words, space, "--max", "y", *more, "--manifest")[1]
        for space, *more in (("lr=loguniform(0.001, 1)",), ("--lr=loguniform(1e-3,1)", "lr=0.4"), ("lr=1,2",))
    ]
    labels = [Path(name).name.rpartition("-")[0] for name in names]
    assert labels[0] == labels[1] == searched.manifest.label != labels[2]
    assert searched.manifest.label.startswith("work-seed-3-search-lr-loguniform-0.001-1-max-y-")


def test_a_manifest_of_a_search_says_by_which_words_it_is_made_again(searched: Searched, run: Run) -> None:
    words = searched.manifest.words
    code, out, _ = run("expand", *words)
    assert code == 0 and out.split() == searched.targets and result_of(searched.manifest.folders[0]).endswith(".json")


def test_without_a_space_the_names_of_its_options_are_overrides_as_ever(searched: Searched, run: Run) -> None:
    plain = run("expand", "--cfg", "conf/work", "--seed=2")
    assert plain[0] == 0 and plain == run("expand", "--cfg", "conf/work", "seed=2")
    code, _, err = run("plan", "--cfg", "conf/work", "--seed", "2")
    assert code == 2 and "what is searched? --space KEY=VALUES" in err


def test_conditions_choose_trials_by_what_they_have_become(searched: Searched, run: Run) -> None:
    for number, lr in enumerate((0.1, 0.2, 0.4)):
        searched.end(number, lr, "DEAD", reason="ValueError: boom")
    code, out, _ = run("status", searched.word, "--where", "lr>0.15")
    assert code == 1 and out.startswith("DEAD 2\n") and "lr=0.1_" not in out
    code, out, _ = run(
        "retry", searched.word, "--where", "lr=0.2", "--where", "status=DEAD", "--dry-run", "--profile", "local"
    )
    assert code == 0 and "1 would start again" in out


def test_notes_differences_and_what_is_removed_are_the_experiment_s(searched: Searched, run: Run) -> None:
    one, other = searched.end(0, 0.1, "DONE", 0.5), searched.end(1, 0.2, "DONE", 0.5)
    assert run("note", f"{searched.word}/slots/0000", "looks odd")[0] == 0
    assert one.exp_id in run("note")[1] and "note: looks odd" in run("status", searched.word, "--all")[1]
    code, out, _ = run("diff", f"{searched.word}/slots/0000", f"{searched.word}/slots/0001")
    assert code == 0 and "lr" in out and one.exp_id in out and other.exp_id in out
    code, out, err = run("clean", searched.word, "--where", "lr=0.1", "--experiments", "--force")
    assert code == 0 and not one.identity_path.exists() and other.identity_path.exists(), err
    assert searched.slot(0).has_result() and searched.slot(0).read_choice() is not None
    assert run("clean", "--force")[0] == 0 and searched.slot(0).has_result()


def test_single_trials_are_run_by_what_their_search_was_expanded_to(
    searched: Searched, run: Run, started: list[ControllerSpec]
) -> None:
    assert run("launch", *WORDS, "--profile", "local")[0] == 0
    searched.end(0, 0.1, "DEAD", reason="ValueError: boom")
    code, out, err = run("retry", "--dead", "--profile", "local")  # all that is known
    assert code == 0 and "1 to start again" in out, (out, err)
    code, out, err = run("launch", f"{searched.word}/slots/0003", "--profile", "local")
    assert code == 0 and "1 to start" in out, (out, err)
    assert [spec.targets for spec in started[1:]] == [
        (f"results/{searched.word}/slots/0000.json",),
        (f"results/{searched.word}/slots/0003.json",),
    ]
    assert run("plan", f"{searched.word}/slots/0003")[0] == 0


def test_an_experiment_that_is_a_dead_trial_is_tried_again_by_its_slot(
    searched: Searched, run: Run, started: list[ControllerSpec]
) -> None:
    folder = searched.end(2, 0.1, "DEAD", reason="ValueError: boom")
    code, out, err = run("retry", "--dead", folder.exp_id, "--profile", "local")
    assert code == 0 and "1 to start again" in out, (out, err)
    assert started[0].targets == (f"results/{searched.word}/slots/0002.json",) and not searched.slot(2).has_result()


def test_searches_are_offered_by_their_folders(searched: Searched, run: Run, started: Any) -> None:
    from heyhi.cli.completion import _experiments

    assert run("launch", *WORDS, "--profile", "local")[0] == 0
    assert list(_experiments("searches/")) == [searched.word]
    searched.slot(0)
    assert list(_experiments("searches/")) == [searched.word]


def test_trials_are_exported_as_the_experiments_that_they_have_become(searched: Searched, run: Run) -> None:
    from heyhi.trackers.mlflow_run import _client

    folder = searched.end(1, 0.1, "DONE", 0.5)
    folder.metrics_path.write_text('{"step": 1, "loss": 2}\n')
    searched.choose(2, 0.2)
    for words in ([searched.word], [folder.exp_id]):
        code, out, err = run("export", "mlflow", *words)
        assert (code, err) == (0, "") and out.startswith("1 experiment exported"), out
    client = _client(f"file:{searched.project.results_root}/mlruns")
    (experiment,) = [one for one in client.search_experiments() if one.name != "Default"]
    assert experiment.name == searched.manifest.label
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.data.tags["heyhi.exp_id"] == folder.exp_id and found.data.metrics["result/y"] == 0.5
