"""What the runner makes of a step's end, by an srun of our own; real ones are in tests/slurm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.result import Encoded
from heyhi.job.notice import Requeued
from heyhi.job.ranks import RankError, run_ranks
from heyhi.job_env import rank_variables, tasks_on_node


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run two ranks with an srun that leaves the notes that are given, says something and ends with a code."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    folder = tmp_path / "exp"
    folder.mkdir()

    def run(notes: dict[str, dict[str, Any]], says: str = "", code: int = 0) -> object:
        lines = ["#!/bin/bash", f'printf "%s\\n" "$@" > {tmp_path}/words', 'notes="${@: -1}"']
        for name, note in notes.items():
            lines.append(f"cat > \"$notes/{name}.json\" <<'END'\n{json.dumps(note)}\nEND")
        lines.append(f"cat >&2 <<'END'\n{says}END\nexit {code}")
        (programs / "srun").write_text("\n".join(lines) + "\n")
        (programs / "srun").chmod(0o755)
        return run_ranks(
            "t/result.json", 2, tmp_path / "m.sqlite", tmp_path, ExperimentDir(folder), "INFO", run.environments.append
        )

    run.environments = []  # type: ignore[attr-defined]
    run.words = lambda: (tmp_path / "words").read_text().split("\n")  # type: ignore[attr-defined]
    run.folder = folder  # type: ignore[attr-defined]
    return run


def note(rank: int, reason: str, exception: str = "", result: object = None) -> dict[str, Any]:
    return {"rank": rank, "reason": reason, "exception": exception, "result": result}


DONE = {"0": {**note(0, "done", result='{"y": 1}'), "dropped": ["model"]}, "1": note(1, "done")}
RETURNED = Encoded('{"y": 1}', ("model",))


def test_the_first_rank_s_result_is_that_of_all_and_nothing_stays_behind(step: Any) -> None:
    assert step(DONE) == RETURNED
    assert {"--ntasks=2", "--cpus-per-task=3", "--kill-on-bad-exit=1"} <= set(step.words())
    assert list(step.folder.iterdir()) == []


def test_the_first_rank_says_what_it_had_loaded_also_where_it_fails(step: Any) -> None:
    step({**DONE, "0": {**DONE["0"], "environment": "a1"}})
    failed = {**note(0, "failed", "OSError: no"), "environment": "b2"}
    with pytest.raises(RankError):
        step({"0": failed, "first": failed}, code=1)
    with pytest.raises(RankError):
        step({})
    assert step.environments == ["a1", "b2", ""]


def test_a_rank_that_crashes_after_main_spoils_nothing(step: Any) -> None:
    assert step(DONE, "srun: error: n1: task 1: Segmentation fault\n", 139) == RETURNED


def test_the_rank_that_failed_first_gives_the_reason(step: Any, capfd: pytest.CaptureFixture[str]) -> None:
    failed = note(1, "failed", "ValueError: boom")
    notes = {"0": note(0, "failed", "OSError: lost a rank"), "1": failed, "first": failed}
    with pytest.raises(RankError, match=r"^ValueError: boom$"):
        step(notes, "srun: error: n1: task 0: Exited with exit code 1\n", 1)
    assert "rank 1 was the first to end" in capfd.readouterr().err


def test_a_crash_comes_before_those_that_missed_the_rank(step: Any) -> None:
    failed = note(0, "failed", "OSError: lost a rank")
    with pytest.raises(RankError, match=r"^rank 1 on n1: signal 11 \(SIGSEGV\)$"):
        step({"0": failed, "first": failed}, "srun: error: n1: task 1: Segmentation fault\n", 139)


STOPPED = note(0, "terminated", "stopped by SIGTERM")
ENDS_THE_OTHERS = "srun: launch/slurm: _step_signal: Terminating StepId=7.0\nsrun: error: n1: task 0: {}\n"


@pytest.mark.parametrize(
    ("said", "text", "node"),
    [
        ("n2: task 1: Exited with exit code 9", "rank 1 on n2: exit code 9", "n2"),
        ("n2: tasks 1-3: Killed", "rank 1 on n2: signal 9 (SIGKILL)", "n2"),
        ("n2: task 1: Segmentation fault (core dumped)", "rank 1 on n2: signal 11 (SIGSEGV)", "n2"),
        ("n2: task 1: Bus error", "rank 1 on n2: signal 7 (SIGBUS)", "n2"),
        ("n2: task 1: Out Of Memory", "rank 1 on n2: Out Of Memory", "n2"),
        ("n[2-3]: tasks 0-1: Killed", "rank 1: signal 9 (SIGKILL)", ""),
    ],
)
@pytest.mark.parametrize("is_noted", [True, False])
def test_a_rank_that_ended_without_a_word_is_named_and_not_those_that_were_ended_then(
    step: Any, said: str, text: str, node: str, is_noted: bool
) -> None:
    first = {"first": STOPPED} if is_noted else {}
    with pytest.raises(RankError) as caught:
        step(
            {"0": STOPPED, **first}, f"srun: error: {said}\n{ENDS_THE_OTHERS.format('Exited with exit code 143')}", 143
        )
    assert (str(caught.value), caught.value.node) == (text, node)


def test_a_rank_that_had_to_be_killed_after_another_failed_is_no_cause(step: Any) -> None:
    failed = {**note(0, "failed", "ValueError: boom"), "node": "n1"}
    said = "srun: error: n1: task 0: Exited with exit code 1\nsrun: error: n2: task 1: Killed\n"
    with pytest.raises(RankError) as caught:
        step({"0": failed, "first": failed}, said, 137)
    assert (str(caught.value), caught.value.node) == ("ValueError: boom", "n1")


def test_a_rank_that_could_not_leave_its_note_has_said_why(step: Any) -> None:
    told = "rank 1: /x/1.json: can't be written: No space left on device"
    with pytest.raises(RankError) as caught:
        step({"0": STOPPED, "first": STOPPED}, f"{told}\nsrun: error: n2: task 1: Exited with exit code 1\n", 143)
    assert str(caught.value) == told


def test_ranks_that_are_lost_with_their_node_say_which(step: Any) -> None:
    said = "srun: error: Node failure on n2\nsrun: Job step aborted: Waiting up to 7 seconds for job step to finish.\n"
    with pytest.raises(RankError, match=r"^n2 failed, and what ran there is lost$"):
        step({"0": STOPPED, "first": STOPPED}, said, 143)


def test_a_checkpoint_of_the_first_rank_asks_for_the_queue(step: Any) -> None:
    requeue = note(0, "requeue")
    notes = {"0": requeue, "first": requeue, "1": note(1, "failed", "OSError: lost a rank")}
    with pytest.raises(Requeued):
        step(notes, "srun: error: n1: task 0: Exited with exit code 75\n", 75)


def test_a_step_that_is_not_started_says_why(step: Any) -> None:
    with pytest.raises(RankError, match="Unable to create step"):
        step({}, "srun: error: Unable to create step for job 5: More processors requested than permitted\n", 1)


def test_a_rank_that_left_main_by_the_back_door_is_a_failure(step: Any) -> None:
    with pytest.raises(RankError, match=r"^rank 1: exit code 0, before main returned$"):
        step({"0": DONE["0"]})


def test_notes_of_an_earlier_start_count_for_nothing(step: Any) -> None:
    old = step.folder / ".ranks.0"
    old.mkdir()
    with pytest.raises(RankError):
        step({})
    assert not old.exists()


def test_without_srun_one_sentence_says_so(step: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RankError, match="srun"):
        run_ranks("t/result.json", 2, tmp_path / "m.sqlite", tmp_path, ExperimentDir(step.folder), "INFO")


@pytest.mark.parametrize(
    ("counts", "node", "tasks"),
    [("2(x3),1", 0, 2), ("2(x3),1", 2, 2), ("2(x3),1", 3, 1), ("8", 0, 8), ("", 0, 1), ("4,8(x2)", 1, 8)],
)
def test_the_tasks_of_a_node_are_read_from_slurm_s_counts(counts: str, node: int, tasks: int) -> None:
    assert tasks_on_node(counts, node) == tasks


def test_two_jobs_on_a_node_meet_at_different_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = set()
    for job in ("41", "42"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        ports.add(rank_variables()["MASTER_PORT"])
    assert ports == {"10041", "10042"}
