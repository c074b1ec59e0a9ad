"""What becomes of experiments that a real Slurm takes later, or never; each call of sbatch is counted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]
# Notes each call, and how it ended; then does as Slurm's own, or as the test says.
SBATCH = """#!/bin/sh
if words=$(cat {folder}/broken 2> /dev/null); then
  cat > /dev/null; echo "$words" >&2; echo broken >> {folder}/calls; exit 1
fi
{sbatch} "$@"
code=$?
echo $code >> {folder}/calls
exit $code
"""
LIMIT = {"launcher.slurm.qos": "small"}  # two jobs of a user's at once


class Calls:
    """How often sbatch was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def lines(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def say(self, words: str) -> None:
        """Have sbatch do nothing but fail with these words."""
        (self.folder / "new").write_text(words + "\n")
        (self.folder / "new").rename(self.folder / "broken")

    def mend(self) -> None:
        """Have it do as Slurm's own again."""
        (self.folder / "broken").unlink()


@pytest.fixture
def calls(lab: Any, tmp_path: Path) -> Calls:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(SBATCH.format(folder=folder, sbatch=shutil.which("sbatch")))
    (folder / "sbatch").chmod(0o755)
    lab.env["PATH"] = f"{folder}{os.pathsep}{lab.env['PATH']}"
    return Calls(folder)


def files(lab: Any) -> dict[str, int]:
    """All files of the experiments, each with when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in lab.root.glob("results/p/**/*") if path.is_file()}


def test_at_a_submit_limit_sbatch_is_asked_seldom_and_all_that_is_let_in_gets_in(
    lab: Any, calls: Calls, until: Until
) -> None:
    lab.sweep(*({"x": x, "do": "nap", **LIMIT} for x in range(200)))
    assert lab.heyhi("launch").returncode == 0
    until(lambda: len(lab.ledger) >= 1)
    start, before, first = time.monotonic(), len(lab.ledger), len(calls.lines)
    until(lambda: time.monotonic() > start + 60)
    seconds, started = time.monotonic() - start, len(lab.ledger) - before
    count = len(calls.lines) - first
    lab.heyhi("cancel", "--all", "-y")
    print(f"{started} jobs of 4 s in {seconds:.0f} s, {count} calls of sbatch")
    assert count < seconds
    assert started >= 0.5 * 2 * seconds / 4


def test_a_job_that_slurm_refuses_for_good_is_dead_at_once_with_its_words_and_the_rest_goes_on(
    lab: Any, calls: Calls
) -> None:
    lab.sweep({"x": 1, "launcher.slurm.qos": "short"}, {"x": 2}, {"x": 3, "launcher.slurm.partition": "nope"})
    code, out = lab.snakemake()
    assert code == 1, out
    assert "not submitted: sbatch: QOSMaxWallDurationPerJobLimit; Batch job submission failed: Job violates" in out
    rows = lab.statuses()
    assert {x: row["status"] for x, row in rows.items()} == {1: "DEAD", 2: "DONE", 3: "DEAD"}
    assert rows[1]["reason"].startswith("not submitted: sbatch: QOSMaxWallDurationPerJobLimit; Batch job")
    assert rows[3]["reason"] == (
        "not submitted: sbatch: invalid partition specified: nope;"
        " Batch job submission failed: Invalid partition name specified"
    )
    assert len(calls.lines) == 3
    assert not list(lab.root.glob("results/p/work/*/claim*"))

    # Nothing keeps it from being started once it asks for less: a retry tries it again.
    lab.sweep({"x": 1, "launcher.slurm.qos": "short", "launcher.slurm.hours": 0.05}, {"x": 2})
    assert lab.snakemake()[0] == 0
    assert lab.statuses()[1]["status"] == "DONE"
    assert sorted(lab.ledger) == [1, 2]


def test_what_waits_for_a_place_is_prepared_once_and_freed_when_its_controller_is_killed(
    lab: Any, calls: Calls, until: Until
) -> None:
    lab.sweep(*({"x": x, "do": "wait", **LIMIT} for x in range(1, 8)))
    lab.heyhi("launch")
    until(lambda: len(lab.ledger) == 2 and len(calls.lines) >= 7)
    written = files(lab)
    count = len(calls.lines)
    until(lambda: len(calls.lines) > count)
    assert {path: at for path, at in files(lab).items() if path in written and "claim" not in path} == {
        path: at for path, at in written.items() if "claim" not in path
    }
    states = {x: row["status"] for x, row in lab.statuses().items()}
    assert {states[x] for x in lab.ledger} == {"RUNNING"}
    # Those that were asked about are this controller's; of the others it knows nothing yet.
    assert set(states.values()) == {"RUNNING", "PENDING", "NOT_STARTED"}

    (claim,) = lab.root.glob("results/.heyhi/controllers/*/claim.json")
    os.kill(json.loads(claim.read_text())["pid"], signal.SIGKILL)
    until(lambda: "PENDING" not in {row["status"] for row in lab.statuses().values()})
    assert "started controller" in lab.heyhi("launch").stdout
    lab.allow()
    until(lambda: {row["status"] for row in lab.statuses().values()} == {"DONE"})
    assert sorted(lab.ledger) == list(range(1, 8))


def test_a_launch_that_is_ended_while_slurm_is_full_leaves_what_only_waited_as_if_it_never_had(
    lab: Any, calls: Calls, until: Until
) -> None:
    lab.sweep(*({"x": x, "do": "wait", **LIMIT} for x in range(1, 6)))
    process = lab.start()
    until(lambda: len(lab.ledger) == 2 and len(calls.lines) >= 5)
    process.send_signal(signal.SIGINT)
    code, out = lab.end(process)
    assert code == 130, out
    assert "2 jobs of this run were cancelled" in out
    assert len(list(lab.root.glob("results/p/work/*"))) == 2
    assert [row["status"] for row in lab.statuses().values()].count("NOT_STARTED") == 3


@pytest.mark.parametrize(
    "words",
    ["sbatch: error: Batch job submission failed: I/O error writing script/environment to file",
     "sbatch: fatal: Could not establish a configuration source"],
)  # fmt: skip
def test_a_hiccup_is_waited_out(lab: Any, calls: Calls, until: Until, words: str) -> None:
    calls.say(words)
    lab.sweep(*({"x": x} for x in range(1, 9)))
    process = lab.start()
    until(lambda: len(calls.lines) >= 6)
    calls.mend()
    code, out = lab.end(process)
    assert code == 0, out
    assert out.count("is asked again for 15 minutes: sbatch: ") == 1
    assert sorted(lab.ledger) == list(range(1, 9))
    assert len(calls.lines) <= 4 + 3 + 8


def test_one_experiment_waits_a_hiccup_out_and_ctrl_c_leaves_nothing_behind(
    lab: Any, calls: Calls, until: Until
) -> None:
    calls.say("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)")
    words = [sys.executable, "run.py", "--cfg", "conf/work.prototxt"]

    def start(x: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*words, f"x={x}"], cwd=lab.root, env=lab.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lab.started.append(process)
        return process

    first = start(1)
    until(lambda: len(calls.lines) >= 3)
    first.send_signal(signal.SIGINT)
    code, out = lab.end(first)
    assert code == 130, out
    assert out.count("Slurm takes no job now, and is asked again for 3 minutes") == 1
    assert not list(lab.root.glob("results/p"))

    second = start(2)
    count = len(calls.lines)
    until(lambda: len(calls.lines) >= count + 2)
    calls.mend()
    code, out = lab.end(second)
    assert code == 0, out
    until(lambda: lab.statuses("--cfg", "conf/work.prototxt", "x=2")[2]["status"] == "DONE")
    assert lab.ledger == [2]


def test_a_job_that_slurm_took_though_its_answer_was_lost_is_not_submitted_twice(
    lab: Any, calls: Calls, until: Until
) -> None:
    sbatch = (calls.folder / "sbatch").read_text()
    lost = 'out=$({real} "$@") || exit; echo lost >> {folder}/calls; touch {folder}/once\n'
    lost += "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1\n"
    real = shutil.which("sbatch", path=lab.env["PATH"].partition(os.pathsep)[2])
    text = sbatch.replace("#!/bin/sh\n", f"#!/bin/sh\nif [ ! -e {calls.folder}/once ]; then\n{lost}fi\n", 1)
    (calls.folder / "sbatch").write_text(text.replace("{real}", str(real)).replace("{folder}", str(calls.folder)))
    lab.sweep({"x": 1, "do": "wait"})
    process = lab.start()
    until(lambda: lab.ledger == [1])
    lab.allow()
    code, out = lab.end(process)
    assert code == 0, out
    assert calls.lines == ["lost"]
    assert lab.ledger == [1]


def test_the_first_points_of_a_sweep_are_the_first_submitted_where_only_some_are_at_once(
    lab: Any, until: Until
) -> None:
    order = [5, 2, 4, 1, 6, 3]
    lab.sweep(*({"x": x, "do": "wait"} for x in order))
    done = lab.heyhi("launch", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    for count in (2, 4, 6):
        until(lambda count=count: len(lab.ledger) == count)
        assert set(lab.ledger) == set(order[:count])
        # Each lets go on only those that run now.
        for x in order[count - 2 : count]:
            lab.allow(f"go{x}")
    until(lambda: {row["status"] for row in lab.statuses().values()} == {"DONE"})


def test_short_jobs_at_a_limit_are_submitted_with_few_calls_in_vain(lab: Any, calls: Calls) -> None:
    lab.env["NAP"] = "1"
    lab.sweep(*({"x": x, "do": "nap", **LIMIT} for x in range(12)))
    start = time.monotonic()
    code, out = lab.snakemake()
    assert code == 0, out
    # How long it takes beside others, a benchmark says.
    assert len(calls.lines) - 12 < time.monotonic() - start
