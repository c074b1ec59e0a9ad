"""The batch script of a job, run by bash with commands of our own; real jobs are in tests/slurm."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from heyhi.job.script import batch_script
from heyhi.job_env import ASKS, NOTICE_VARIABLE, READY, REQUEUE_EXIT

ASK = ["bash", "-c", f'touch "$HEYHI_NOTICE{ASKS}"; exit {REQUEUE_EXIT}']
COULD_NOT = "job 7 could not be queued again: "


def run(
    tmp_path: Path, words: list[str], logs: list[Path] | None = None, retry: Sequence[str] = (), **commands: str
) -> subprocess.CompletedProcess[str]:
    """Run a job's script, with commands that are lines of shell; Slurm's own are missing where none is given."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    for name, line in {"sleep": "exit 0", **commands}.items():
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {shlex.quote(str(tmp_path))}/calls\n{line}\n')
        (programs / name).chmod(0o755)
    for name in ("bash", "sh", "mktemp", "rm", "rmdir", "touch", "grep"):
        if not (programs / name).exists():
            (programs / name).symlink_to(f"/bin/{name}")
    script = tmp_path / "slurm_script"
    script.write_text(batch_script(words, tmp_path, logs=logs or [], retry=retry))
    env = {"PATH": str(programs), "SLURM_JOB_ID": "7", "TMPDIR": str(tmp_path), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(["/bin/bash", str(script)], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)


def calls(tmp_path: Path) -> list[str]:
    path = tmp_path / "calls"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("code", [0, 1, REQUEUE_EXIT])
def test_the_script_ends_as_the_run_does_and_asks_for_nothing(tmp_path: Path, code: int) -> None:
    done = run(tmp_path, ["bash", "-c", f"exit {code}"], scontrol="exit 0")
    assert (done.returncode, done.stderr) == (code, "")
    assert calls(tmp_path) == []


def test_what_a_killed_run_leaves_in_the_folder_of_the_script_goes_with_it(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    leave = f'touch "${NOTICE_VARIABLE}.3{READY}"; kill -9 $$'
    done = run(tmp_path, ["bash", "-c", leave], mktemp=f"/bin/mkdir {tmp_path}/tmp/own; echo {tmp_path}/tmp/own")
    assert "rmdir" not in done.stderr and "rm:" not in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_where_a_run_has_cleared_away_the_script_starts_nothing_for_that(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    code = "from heyhi.job.notice import Notice, clear_away; Notice().listen(); clear_away()"
    own = f"/bin/mkdir {tmp_path}/tmp/own; echo {tmp_path}/tmp/own"
    done = run(tmp_path, [sys.executable, "-c", code], mktemp=own, rm="exit 0")
    assert (done.returncode, done.stderr) == (0, "")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not any(call.startswith("rm ") for call in calls(tmp_path))


def test_one_of_several_runs_of_a_job_leaves_what_the_others_need(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    code = (
        f"import os; os.environ['{NOTICE_VARIABLE}'] += '.0';"
        "from heyhi.job.notice import Notice, clear_away; Notice().listen(); clear_away();"
        "print(*os.listdir('tmp/own'))"
    )
    done = run(tmp_path, [sys.executable, "-c", code], mktemp=f"/bin/mkdir {tmp_path}/tmp/own; echo {tmp_path}/tmp/own")
    assert done.stdout.endswith(f".0{READY}\n")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_without_a_folder_of_its_own_the_script_leaves_that_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    run(tmp_path, ["bash", "-c", "exit 0"], mktemp="exit 1")
    assert (tmp_path / "kept").exists()


def test_a_job_that_was_cancelled_meanwhile_is_left_out_when_it_is_queued_again(tmp_path: Path) -> None:
    done = run(tmp_path, ASK, scontrol="exit 0", sleep="exit 1")
    assert calls(tmp_path)[0] == "scontrol requeue Incomplete 7"
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("scontrol", "why"),
    [
        ("echo 'Requested operation is presently disabled for job 7' >&2; exit 1",
         "Requested operation is presently disabled for job 7"),
        ("echo 'a word of the site' >&2; echo 'scontrol: error: Invalid user id' >&2; exit 1",
         "scontrol: error: Invalid user id"),
        ("exit 0", "Slurm was asked to, and did nothing for 300 s"),
        (None, "scontrol: command not found"),
    ],
)  # fmt: skip
def test_the_script_says_why_a_job_was_not_queued_again(tmp_path: Path, scontrol: str | None, why: str) -> None:
    done = run(tmp_path, ASK, **({"scontrol": scontrol} if scontrol is not None else {}))
    assert done.returncode == REQUEUE_EXIT
    assert done.stderr == f"{COULD_NOT}{why}\n"


def test_nothing_is_said_where_slurm_ends_the_script(tmp_path: Path) -> None:
    # Also the command that asks may be ended so before it has printed anything.
    done = run(tmp_path, ASK, scontrol="kill -TERM $$", sleep="kill -TERM $$")
    assert done.returncode == 0
    assert COULD_NOT not in done.stderr


def test_each_of_several_experiments_of_a_job_is_told(tmp_path: Path) -> None:
    logs = [tmp_path / "a $(touch hacked)", tmp_path / "b"]
    run(tmp_path, ASK, logs)
    assert [log.read_text() for log in logs] == 2 * [f"{COULD_NOT}scontrol: command not found\n"]
    assert not (tmp_path / "hacked").exists()


def run_alone(tmp_path: Path, words: list[str], answer: int, sleep: str = "exit 0") -> subprocess.CompletedProcess[str]:
    """Run the script of a job that sees to its own retries, by a command that answers so."""
    again = tmp_path / "again"
    again.write_text(f'#!/bin/sh\necho "again $*" >> {shlex.quote(str(tmp_path))}/calls\nexit {answer}\n')
    again.chmod(0o755)
    return run(tmp_path, words, retry=[str(again), "a b"], scontrol="exit 0", sleep=sleep)


def test_after_a_run_that_failed_the_job_is_asked_whether_it_tries_again(tmp_path: Path) -> None:
    done = run_alone(tmp_path, ["bash", "-c", "exit 7"], 1)
    assert (done.returncode, calls(tmp_path)) == (7, ["again a b --code 7"])


def test_one_that_is_queued_again_waits_for_slurm_to_end_it(tmp_path: Path) -> None:
    done = run_alone(tmp_path, ["bash", "-c", "kill -9 $$"], 75, sleep="exit 1")
    assert (done.returncode, calls(tmp_path)) == (0, ["again a b --code 137", "sleep 300"])


def test_what_has_a_result_all_the_same_ends_well(tmp_path: Path) -> None:
    assert run_alone(tmp_path, ["bash", "-c", "exit 7"], 0).returncode == 0


def test_neither_a_run_that_ends_well_nor_one_that_asks_itself_asks_so(tmp_path: Path) -> None:
    assert run_alone(tmp_path, ["true"], 1).returncode == 0
    assert run_alone(tmp_path, ASK, 1, sleep="exit 1").returncode == 0
    assert [call for call in calls(tmp_path) if call.startswith("again")] == []
