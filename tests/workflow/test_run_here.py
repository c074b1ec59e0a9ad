"""`heyhi run`: experiments run on this terminal, with real Snakemake, to their table."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import SECONDS

Heyhi = Callable[..., subprocess.CompletedProcess[str]]


def start(tiny: Any, *args: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "heyhi.cli", *args],
        cwd=tiny.root, env=tiny.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    tiny.started.append(process)
    return process


@pytest.fixture
def heyhi(tiny: Any) -> Heyhi:
    def call(*args: str) -> subprocess.CompletedProcess[str]:
        process = start(tiny, *args)
        out, err = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return call


def test_the_default_sweep_runs_here_to_its_table_and_again_starts_nothing(tiny: Any, heyhi: Heyhi) -> None:
    done = heyhi("run")
    assert done.returncode == 0, done.stderr
    assert "3 to start by profiles/local\n" in done.stdout
    assert "3 experiments: 3 DONE\ntable: results/reports/sweep.csv" in done.stdout
    assert "end     3 done" in done.stderr
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]
    again = heyhi("run")
    assert again.returncode == 0
    assert "nothing to start: all are done\n" in again.stdout
    assert "3 experiments: 3 DONE\n" in again.stdout and "run     " not in again.stderr
    assert len(tiny.ledger) == 3


def test_what_is_dead_is_named_with_what_to_type_and_the_same_command_goes_on(tiny: Any, heyhi: Heyhi) -> None:
    fails = tiny.make_fail(2)
    words = ("run", "--cfg", "work", "--sweep", "x=1,2")
    done = heyhi(*words)
    assert done.returncode == 1
    assert "exit code 1: ValueError: boom 2" in done.stderr
    assert "1 done, 1 DEAD" in done.stderr and "heyhi logs --error p/work/x=2_" in done.stderr
    assert "2 experiments: 1 DEAD, 1 DONE\n" in done.stdout
    fails.unlink()
    done = heyhi(*words)
    assert (done.returncode, tiny.ledger.count("work 1"), tiny.ledger.count("work 2")) == (0, 1, 2), done.stderr
    assert "2 experiments: 2 DONE\n" in done.stdout


def test_ctrl_c_ends_what_runs_is_told_once_and_exits_with_130(tiny: Any) -> None:
    tiny.make_gate(1)
    run = start(tiny, "run", "--cfg", "work", "x=1")
    tiny.wait_at_gate()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=SECONDS)
    assert run.returncode == 130
    assert err.count("stopped by Ctrl-C; the same command goes on") == 1
    assert "Traceback" not in err


def test_ctrl_c_is_told_in_json_too(tiny: Any) -> None:
    tiny.make_gate(1)
    run = start(tiny, "run", "--json", "--cfg", "work", "x=1")
    tiny.wait_at_gate()
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=SECONDS)
    document = json.loads(out)
    assert run.returncode == 130 and document["error"]["code"] == "interrupted"
    assert [row["exp_id"].rpartition("_")[0] for row in document["experiments"]] == ["p/work/x=1"]


def test_a_second_one_waits_for_the_first_and_prints_its_table(tiny: Any) -> None:
    tiny.make_gate(1)
    first = start(tiny, "run", "--cfg", "work", "x=1")
    tiny.wait_at_gate()
    second = start(tiny, "run", "--cfg", "work", "x=1")
    assert second.stderr is not None
    assert second.stderr.readline() == "waiting for it (Ctrl-C ends only the waiting)\n"
    tiny.open_gate(1)
    out, err = second.communicate(timeout=SECONDS)
    assert (first.wait(SECONDS), second.returncode) == (0, 0), err
    assert "nothing started: this is being run already by controller pid" in out
    assert "1 experiment: 1 DONE\n" in out
    assert tiny.ledger == ["work 1"]


def test_a_dry_run_starts_nothing_and_a_wrong_word_is_said_before_anything_is_written(tiny: Any, heyhi: Heyhi) -> None:
    dry = heyhi("run", "--dry-run")
    assert dry.returncode == 0 and "3 would start by profiles/local" in dry.stdout
    for words, said in ((("--cfg", "work", "xx=1"), "unknown key 'xx'"), (("conf/sweeep.py",), "did you mean")):
        done = heyhi("run", *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert tiny.ledger == [] and not (tiny.root / "results/p").exists()
