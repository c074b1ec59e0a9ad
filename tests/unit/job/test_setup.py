"""What a launcher's setup, prefix and python do in the script of a job, run by a real shell."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.experiment.death import death_of, ended_job, find_death
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import End, Submission
from heyhi.job.script import batch_script
from heyhi.job.submit import settle
from heyhi.slurm.commands import Job, View
from heyhi.slurm.request import JobRequest

from ..slurm.test_request import PLAIN


def run(
    request: JobRequest, folder: Path, words: Sequence[str] = ("env",), logs: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a job's script in a folder, as Slurm does."""
    (folder / "tmp").mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "7", "TMPDIR": str(folder / "tmp")}
    script = batch_script(words, folder / "results", request, logs)
    done = subprocess.run(
        ["bash", "-s"], input=script, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert list((folder / "tmp").iterdir()) == [], "nothing is left in the system's temporary folder"
    return done


def with_setup(*lines: str) -> JobRequest:
    return dataclasses.replace(PLAIN, setup=tuple(lines))


def test_setup_lines_come_first_and_what_they_set_is_there_for_the_run(tmp_path: Path) -> None:
    (tmp_path / "more.sh").write_text("false\nexport MORE=2\nf() { false; export DEEP=3; }\n")
    lines = ("export ONE=1", ". ./more.sh", "f", "if false", "then exit 9; fi", "cd /", "false || true", "set -u")
    done = run(with_setup(*lines, "echo to stdout; echo to stderr >&2"), tmp_path, ["env"])
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert done.returncode == 0, done.stderr
    assert (seen["ONE"], seen["MORE"], seen["DEEP"], seen["PWD"]) == ("1", "2", "3", str(tmp_path))
    assert "to stdout" in done.stdout and done.stderr == "to stderr\n"


@pytest.mark.parametrize("line", ["false && true", "! true", "[ -f /nowhere ] && . /nowhere"])
def test_what_may_fail_on_its_way_is_no_failure_as_the_last_line_either(tmp_path: Path, line: str) -> None:
    done = run(with_setup("export A=1", line), tmp_path, ["env"])
    assert done.returncode == 0 and "A=1" in done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(
    ("lines", "code", "why"),
    [
        (["export A=1", "module load cuda", "echo on"], 127, "line 2: module: command not found"),
        (["false", "echo on"], 1, "line 1: exit code 1"),
        (["", "ls /nowhere", "echo on"], 2, r"line 2: ls: cannot access '/nowhere': No such file or directory"),
        (["exit 3"], 3, "exit code 3"),
        (["if true", "fi", "echo on"], 2, "line 2: syntax error near unexpected token `fi'"),
        (["set -e", "f() { nosuch; }", "f", "echo on"], 127, "line .: .*nosuch: command not found"),
        (["echo early; echo warned >&2; source /nowhere.sh", "echo on"], 1, "line 1: /nowhere.sh: No such file.*"),
        (["(exit 4)", "echo on"], 4, "line 1: exit code 4"),
    ],
)
def test_a_line_that_fails_ends_the_job_and_says_why(tmp_path: Path, lines: list[str], code: int, why: str) -> None:
    done = run(with_setup(*lines), tmp_path, ["echo", "the run"])
    assert done.returncode == code
    assert "the run" not in done.stdout and "on\n" not in done.stdout
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(f"job 7 setup: {why}", last), last


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20))
def test_setup_is_read_by_the_shell_as_it_stands(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("job")
    done = run(with_setup(f"export SAID={shlex.quote(text)}"), folder, ["sh", "-c", 'printf %s "$SAID"'])
    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")


def test_words_before_the_interpreter_are_no_shell(tmp_path: Path) -> None:
    request = dataclasses.replace(PLAIN, prefix=("echo", "$(touch hacked)", "a b"), srun_extra=("--mpi=a b",))
    done = run(request, tmp_path, [*request.prefix, "python", "-P", "-m", "heyhi.runner"])
    assert done.stdout == "$(touch hacked) a b python -P -m heyhi.runner\n"
    assert not (tmp_path / "hacked").exists()
    told = run(request, tmp_path, ["env"]).stdout
    assert "HEYHI_PREFIX=echo '$(touch hacked)' 'a b'\n" in told and "HEYHI_SRUN='--mpi=a b'\n" in told


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("/nowhere/python", r"/nowhere/python: No such file or directory"),
        ("{bare}", "ModuleNotFoundError: No module named 'heyhi'"),
    ],
)
def test_a_python_without_heyhi_is_named(tmp_path: Path, python: str, why: str) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    request = dataclasses.replace(PLAIN, python=python.format(bare=bare))
    done = run(request, tmp_path, [request.python, "-P", "-m", "heyhi.runner", "x"])
    assert done.returncode in (1, 127)
    assert re.fullmatch(f"job 7 python: {why}", done.stderr.splitlines()[-1]), done.stderr


def test_a_run_that_fails_by_itself_says_nothing_of_its_python(tmp_path: Path) -> None:
    request = dataclasses.replace(PLAIN, python=sys.executable)
    done = run(request, tmp_path, [request.python, "-P", "-m", "heyhi.runner", "--no-such-option"])
    assert done.returncode == 2 and "python:" not in done.stderr


def test_the_members_of_a_pack_learn_why_none_was_started(tmp_path: Path) -> None:
    logs = [tmp_path / "a b", tmp_path / "c"]
    logs[0].write_text("before\n")
    done = run(with_setup("false"), tmp_path, ["true"], logs)
    assert (done.returncode, done.stderr) == (1, "job 7 setup: line 1: exit code 1\n")
    assert logs[0].read_text() == f"before\n{done.stderr}" and logs[1].read_text() == done.stderr


class Told(View):
    """What Slurm says of job 7: it ended with the code of a setup line; or nothing."""

    def __init__(self, *, knows: bool) -> None:
        super().__init__()
        self.job = Job("7", "FAILED", exit_code=127) if knows else None

    def ended(self, job_id: str) -> Job | None:
        return self.job


@pytest.mark.parametrize("knows", [True, False])
def test_status_says_which_line_of_setup_failed(tmp_path: Path, knows: bool) -> None:
    folder = ExperimentDir(tmp_path)
    folder.write_submission(Submission("7"))
    folder.launch_log_path.write_text(
        "job 7 setup: line 1: old\njob 7 starts again\nx\njob 7 setup: line 2: module: command not found\n"
    )
    view = Told(knows=knows)
    why = "setup: line 2: module: command not found"
    code = 127 if knows else None
    death = find_death(folder, view)
    assert (death.kind, death.exception) == ("failed", why)
    assert death.text == (why if code is None else f"exit code {code}: {why}")
    # Once that is on record, it reads alike.
    settle(folder, view)
    end = folder.history().last_end
    assert isinstance(end, End) and (end.reason, end.exception) == ("failed", why)
    assert death_of(folder.history(), ended_job(folder, folder.history(), Told(knows=False))).text.endswith(why)
