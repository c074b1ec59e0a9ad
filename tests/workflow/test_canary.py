"""--canary: the others start once a canary has logged a line; where none does, they are held back, and say why."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.status import find_state
from heyhi.text import TIMES

from .conftest import SECONDS, Tiny, until

# Each start is a line of the ledger; it logs once `log<x>` or `log` is there, and ends once `end<x>` or `end` is.
TASK = """
import time
from pathlib import Path

import heyhi

ROOT = Path(__file__).parent


def main(task, cfg, log_level):
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{cfg.x}\\n")
    if (ROOT / f"fail-{cfg.x}").exists() or (ROOT / "bug").exists():
        raise ValueError("boom")
    wait(f"log{cfg.x}", "log")
    heyhi.log(loss=1.0)
    wait(f"end{cfg.x}", "end")
    return {"y": cfg.x}


def wait(*names):
    while not any((ROOT / name).exists() for name in names):
        time.sleep(0.05)
"""


class Flock:
    """A project whose experiments do what files say."""

    def __init__(self, tiny: Tiny) -> None:
        self.tiny = tiny
        self.root = tiny.root
        (self.root / "run.py").write_text(TASK)

    def allow(self, *names: str) -> None:
        for name in names:
            (self.root / name).touch()

    def start(self, *args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "heyhi.cli", *args],
            cwd=self.root, env=self.tiny.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.tiny.started.append(process)
        return process

    def run(self, *args: str) -> tuple[int, str, str]:
        process = self.start(*args)
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err

    def status(self, *args: str) -> dict[int, dict[str, Any]]:
        _, out, err = self.run("status", "--json", *args)
        assert "Traceback" not in err, err
        return {int(row["exp_id"].split("x=")[1][0]): row for row in json.loads(out)["experiments"]}

    def folder(self, x: int) -> Path:
        (found,) = self.root.glob(f"results/p/work/x={x}*")
        return found

    @property
    def ledger(self) -> list[str]:
        return self.tiny.ledger

    def wait_for(self, *ledger: str) -> None:
        until(lambda: sorted(self.ledger) == sorted(ledger))


@pytest.fixture
def flock(tiny: Tiny) -> Flock:
    return Flock(tiny)


def processes_in(root: Path) -> list[str]:
    """Return the command lines of what runs in a folder, or below it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                where, words = str((entry / "cwd").readlink()), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if Path(where).is_relative_to(root) and words:
                found.append(words.replace(b"\0", b" ").decode())
    return found


def test_the_others_start_once_the_canary_has_logged_a_line_and_nothing_is_run_twice(flock: Flock) -> None:
    run = flock.start("run", "--canary", "--jobs", "2", "conf/sweep.py")
    flock.wait_for("1")
    name = flock.folder(1).relative_to(flock.root / "results")
    assert flock.status()[2]["reason"] == f"waits for canary {name}"
    flock.allow("log1")  # and it goes on: the others don't wait for its end
    until(lambda: len(flock.ledger) > 1)
    assert not (flock.folder(1) / "result.json").exists()
    flock.allow("log", "end")
    out, err = run.communicate(timeout=SECONDS)

    assert run.returncode == 0, err
    assert sorted(flock.ledger) == ["1", "2", "3"]
    assert "runs; 2 wait for it" in err
    assert "logged a line after" in err
    assert "the other 2 are started" in err
    assert out.count("exp_id") == 1  # one table, of all
    assert "3 experiments: 3 DONE" in out


def test_a_sweep_with_a_bug_costs_one_run_and_what_is_held_back_says_why_until_the_next_launch(flock: Flock) -> None:
    (flock.root / "conf" / "sweep.py").write_text(
        'def yield_sweep():\n    for x in range(1, 7):\n        yield "conf/work.prototxt", {"x": x}\n'
    )
    flock.allow("bug", "log", "end")
    code, _, err = flock.run("run", "--canary", "conf/sweep.py")
    assert code == 1, err
    assert flock.ledger == ["1"]
    why = f"held back: canary {flock.folder(1).relative_to(flock.root / 'results')} died: exit code 1: ValueError: boom"
    assert f"{why}; 5 are not started" in err
    assert (flock.root / "results/reports/sweep.csv").read_text().count("NOT_STARTED") == 5

    rows = flock.status()
    assert rows[1]["status"] == "DEAD"
    assert [(rows[x]["status"], rows[x]["reason"]) for x in range(2, 7)] == [("NOT_STARTED", why)] * 5
    assert "conf/sweep.py --canary starts them" in flock.run("status", "conf/sweep.py")[1]
    shown = flock.run("status")[1]
    assert shown.count(why) == 1, shown
    assert f"NOT_STARTED 5 {TIMES} {why}" in shown
    assert why in flock.run("plan")[1]
    assert f"5 NOT_STARTED: {why}" in flock.run("report")[1]
    assert why in (flock.root / "results" / "reports" / "sweep.csv").read_text()

    (flock.root / "bug").unlink()
    assert flock.run("run", rows[3]["exp_id"])[0] == 0
    rows = flock.status()  # that launch had x=3 alone: the others are as they were
    assert (rows[2]["reason"], rows[3]["status"]) == (why, "DONE")
    code, _, err = flock.run("run", "conf/sweep.py", "--jobs", "4")
    assert code == 0, err
    assert not list((flock.root / "results" / ".heyhi" / "held").iterdir())


def test_of_two_canaries_one_that_is_well_is_enough_and_the_death_of_the_other_is_said(flock: Flock) -> None:
    flock.allow("fail-2", "log", "end")
    code, _, err = flock.run("run", "--canary=2", "--jobs", "2", "conf/sweep.py")

    assert code == 1
    assert "passed: p/work/x=1" in err
    assert "died: exit code 1: ValueError: boom" in err
    assert "the other 1 is started" in err
    assert sorted(flock.ledger) == ["1", "2", "3"]  # what has died for good isn't started once more
    assert flock.status()[3]["status"] == "DONE"


def test_lines_of_an_earlier_attempt_say_nothing_of_a_canary(flock: Flock) -> None:
    (flock.root / "run.py").write_text(TASK.replace('wait(f"end{cfg.x}", "end")', "raise ValueError('late')"))
    flock.allow("log")
    assert flock.run("run", "--canary", "conf/sweep.py", "--jobs", "2")[0] == 1
    before = len(flock.ledger)
    flock.allow("bug")
    code, _, err = flock.run("run", "--canary", "conf/sweep.py")

    assert code == 1
    assert "held back" in err
    assert len(flock.ledger) == before + 1


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_ends_the_controller_ends_its_canary_and_the_same_command_goes_on(
    flock: Flock, sign: signal.Signals
) -> None:
    run = flock.start("run", "--canary", "conf/sweep.py")
    flock.wait_for("1")
    run.send_signal(sign)
    _, err = run.communicate(timeout=SECONDS)

    assert run.returncode == 128 + sign, err
    assert "Traceback" not in err
    assert "held back" not in err
    assert find_state(flock.folder(1)).text == f"DEAD (exit code {128 + sign}: stopped by {sign.name})"
    assert not processes_in(flock.root)

    flock.allow("log", "end")
    code, _, err = flock.run("run", "--canary", "conf/sweep.py")
    assert code == 0, err
    assert sorted(flock.ledger) == ["1", "1", "2", "3"]


def test_a_canary_that_runs_still_ends_with_the_run_of_the_others(flock: Flock) -> None:
    run = flock.start("run", "--canary", "--jobs", "2", "conf/sweep.py")
    flock.wait_for("1")
    flock.allow("log1")
    until(lambda: len(flock.ledger) > 1)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=SECONDS)

    assert run.returncode == 130, err
    assert "Traceback" not in err
    assert find_state(flock.folder(1)).text == "DEAD (exit code 130: stopped by SIGINT)"
    assert not processes_in(flock.root)


def test_a_controller_that_is_killed_leaves_its_canary_and_no_process_of_its_own(flock: Flock) -> None:
    run = flock.start("run", "--canary", "conf/sweep.py")
    flock.wait_for("1")
    run.kill()
    run.wait(timeout=SECONDS)
    until(lambda: not any("canary_run" in words for words in processes_in(flock.root)))
    assert find_state(flock.folder(1)).status == "RUNNING"

    again = flock.start("run", "--canary", "conf/sweep.py")
    until(lambda: any("canary_run" in words for words in processes_in(flock.root)))
    flock.allow("log", "end")
    out, err = again.communicate(timeout=SECONDS)
    assert again.returncode == 0, err
    assert "goes on; 2 wait for it" in out
    assert "runs; 2 wait for it" in err
    assert sorted(flock.ledger) == ["1", "2", "3"]


def test_a_detached_launch_ends_with_1_and_says_so_in_its_status(flock: Flock) -> None:
    flock.allow("bug")
    code, out, err = flock.run("launch", "--canary", "--profile", "local", "conf/sweep.py")
    assert code == 0, err
    assert "canary: p/work/x=1" in out
    until(lambda: "with exit code 1" in flock.run("status")[1])
    assert flock.ledger == ["1"]
    (log,) = (flock.root / "results" / ".heyhi" / "controllers").glob("*.log")
    assert "held back: canary p/work/x=1" in log.read_text()


def test_a_dry_run_says_which_would_be_the_canary_and_what_is_needed_is_none(flock: Flock) -> None:
    (flock.root / "conf" / "sweep.py").write_text(
        'def yield_sweep():\n    for x in (5, 6):\n        yield "conf/look.prototxt", {"x": x}\n'
    )
    code, out, err = flock.run("launch", "--canary", "--dry-run", "--profile", "local", "conf/sweep.py")
    assert code == 0, err
    assert "canary: p/look/" in out
    assert "first; 2 wait for it" in out


def test_as_many_canaries_as_experiments_make_no_difference(flock: Flock) -> None:
    flock.allow("log", "end")
    code, out, err = flock.run("run", "--canary=3", "conf/sweep.py", "--jobs", "2")
    assert code == 0, err
    assert "--canary=3 makes no difference: 3 to start" in out
    assert "passed" not in err
