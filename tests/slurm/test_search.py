"""Searches on a real cluster: each slot is a job that chooses its experiment when it starts, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Lab

Until = Callable[[Callable[[], object]], None]


class SearchLab:
    """A lab whose default sweep is a search over x; each x is one trial."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def search(self, *points: int, trials: int = 0, parallel: int = 0, **overrides: object) -> None:
        fixed = {key.replace("__", ".launcher.slurm.").lstrip("."): value for key, value in overrides.items()}
        trials = trials or len(points)
        (self.lab.root / "conf" / "sweep.py").write_text(
            f"import heyhi\n\nSEARCH = heyhi.Search(cfg='conf/work.prototxt', overrides={fixed!r},\n"
            f"    space={{'x': {list(points)!r}}}, max='y', trials={trials}, parallel={parallel},"
            " sampler='random')\n"
        )

    @property
    def slots(self) -> list[Path]:
        return sorted(self.lab.root.glob("results/searches/*/slots/[0-9]*[0-9]"))

    @property
    def ends(self) -> list[tuple[str, float | None]]:
        """Status and value of each slot that has ended, in order."""
        files = sorted(self.lab.root.glob("results/searches/*/slots/*.json"))
        return [(end["status"], end["value"]) for end in (json.loads(file.read_text()) for file in files)]

    @property
    def chosen(self) -> list[str]:
        return [json.loads((slot / "choice.json").read_text())["exp_id"] for slot in self.slots]

    def status(self, x: int) -> tuple[str, str]:
        """Ask for the status of an x's experiment by its folder."""
        row = self.lab.statuses(str(self.lab.folder(x).relative_to(self.lab.root)))[x]
        return row["status"], row["reason"]

    def job_of_slot(self, number: int = 0) -> str:
        return str(json.loads((self.slots[number] / "job.json").read_text())["job_id"])


@pytest.fixture
def search(lab: Lab) -> SearchLab:
    return SearchLab(lab)


def values(search: SearchLab) -> list[float | None]:
    return sorted(value for _, value in search.ends if value is not None)


def test_a_search_runs_each_trial_once_and_run_again_starts_nothing(search: SearchLab) -> None:
    search.search(1, 2, 3, 4, 5, 6)
    code, out = search.lab.snakemake()

    assert code == 0, out
    assert sorted(search.lab.ledger) == [1, 2, 3, 4, 5, 6]
    assert values(search) == [10, 20, 30, 40, 50, 60]
    assert len(set(search.chosen)) == 6
    assert search.status(3)[0] == "DONE"
    assert search.lab.job(1) in {search.job_of_slot(n) for n in range(6)}
    assert (search.lab.folder(1) / "code.json").exists()

    code, out = search.lab.snakemake()
    assert code == 0, out
    assert len(search.lab.ledger) == 6

    search.search(1, 2, 3, 4, 5, 6, trials=8)
    code, out = search.lab.snakemake()
    assert code == 0, out
    assert len(search.lab.ledger) == 6
    assert [status for status, _ in search.ends] == ["DONE"] * 6 + ["SKIPPED"] * 2


def test_a_new_controller_adopts_the_trials_of_a_killed_one(search: SearchLab, until: Until) -> None:
    search.search(1, 2, 3, 4, do="wait")
    first = search.lab.start("--jobs", "2")
    until(lambda: len(search.lab.ledger) == 2)
    os.killpg(first.pid, signal.SIGKILL)
    jobs = {search.job_of_slot(n) for n in range(2)}
    second = search.lab.start()
    until(lambda: len(search.lab.ledger) == 4)
    third = search.lab.start()  # beside it
    search.lab.allow()

    for controller in (second, third):
        code, out = search.lab.end(controller)
        assert code == 0, out
    assert sorted(search.lab.ledger) == [1, 2, 3, 4]
    assert {search.job_of_slot(n) for n in range(2)} == jobs


def test_what_runs_already_counts_for_a_new_controller_that_is_to_run_no_more_than_two_at_once(
    search: SearchLab, until: Until
) -> None:
    lab = search.lab
    search.search(1, 2, 3, 4, 5, parallel=2, do="wait")
    first = lab.start()
    until(lambda: len(lab.ledger) == 2)
    stopped = list(lab.ledger)
    for x in stopped:
        lab.heyhi("cancel", str(lab.folder(x).relative_to(lab.root)), "--force")
    until(lambda: len(lab.ledger) == 4)
    running = lab.ledger[2:]
    os.killpg(first.pid, signal.SIGKILL)

    second = lab.start()
    lab.allow(f"go{running[0]}")
    until(lambda: len(lab.ledger) == 5)  # one has ended, so one may start
    jobs = lab.run_words("squeue", "--noheader", "--states=PENDING,RUNNING", "--format=%i")
    assert len(jobs.stdout.split()) == 2, jobs.stdout
    assert lab.ledger[4] in stopped
    lab.allow()
    code, out = lab.end(second)
    assert code == 0, out
    assert sorted(lab.ledger) == sorted([1, 2, 3, 4, 5, *stopped])


def test_a_trial_that_runs_out_of_memory_is_tried_again_with_more(search: SearchLab, until: Until) -> None:
    search.search(1, do="fill", __mem_per_gpu=0.3, __max_attempts=2, __oom_mem_factor=10)
    controller = search.lab.start()
    until(lambda: search.lab.ledger == [1, 1])
    search.lab.allow()
    code, out = search.lab.end(controller)

    assert code == 0, out
    ends = [a for a in search.lab.attempts(1) if a["event"] == "end"]
    assert [end["reason"] for end in ends] == ["OUT_OF_MEMORY", "done"]
    assert search.ends == [("DONE", 10)]


def test_a_trial_that_is_killed_for_good_is_dead_and_the_search_goes_on(search: SearchLab) -> None:
    search.search(1, do="crash")
    _, out = search.lab.snakemake()

    assert "signal 11" in out
    assert search.ends == [("DEAD", None)], out
    status, reason = search.status(1)
    assert (status, "signal 11" in reason) == ("DEAD", True)

    _code, out = search.lab.snakemake()
    assert search.lab.ledger == [1], out


def test_a_trial_that_fails_is_tried_as_often_as_its_launcher_says(search: SearchLab) -> None:
    search.search(1, do="fail", __max_attempts=2)
    _, out = search.lab.snakemake()

    assert search.lab.ledger == [1, 1], out
    assert search.ends == [("DEAD", None)]


def test_a_trial_that_is_queued_again_goes_on(search: SearchLab, cluster: Any, until: Until) -> None:
    lab = search.lab
    search.search(1, 2, do="train", steps=3, trials=1)
    controller = lab.start()
    until(lambda: lab.ledger)
    lab.allow_steps(1, 1)
    (x,) = lab.ledger
    until(lambda: next(iter(lab.root.glob("results/p/work/*/checkpoint")), None) is not None)
    job = lab.job(x)
    assert job == search.job_of_slot()
    with cluster.closed():
        subprocess.run(["scancel", "--signal=USR2", "--batch", job], check=True)
        until(lambda: search.status(x)[0] == "PENDING")
    lab.allow_steps(2, 3)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now+2"], check=True)
    code, out = lab.end(controller)

    assert code == 0, out
    assert lab.ledger == [x, x]
    assert [a["kind"] for a in lab.attempts(x) if a["event"] == "start"] == ["first", "requeue"]
    assert search.ends == [("DONE", 10 * x)]


def test_a_trial_that_is_cancelled_fails_its_run_and_goes_on_in_the_next(search: SearchLab, until: Until) -> None:
    lab = search.lab
    search.search(1, 2, do="wait", trials=1)
    controller = lab.start()
    until(lambda: lab.ledger)
    (x,) = lab.ledger
    done = lab.heyhi("cancel", str(lab.folder(x).relative_to(lab.root)), "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    code, out = lab.end(controller)

    assert (code, search.ends) == (1, []), out
    assert "CANCELLED" in out
    status, reason = search.status(x)
    assert (status, reason.partition(" ")[0]) == ("DEAD", "CANCELLED")
    lab.allow()
    code, out = lab.snakemake()
    assert code == 0, out
    assert lab.ledger == [x, x]


def test_the_trials_of_a_pack_are_different_ones(search: SearchLab) -> None:
    search.search(1, 2, 3, 4, __pack=2)
    code, out = search.lab.snakemake()

    assert code == 0, out
    assert sorted(search.lab.ledger) == [1, 2, 3, 4]
    assert len({search.job_of_slot(n) for n in range(4)}) == 2
    assert values(search) == [10, 20, 30, 40]


def test_one_of_a_pack_that_crashes_is_dead_and_the_others_are_done(search: SearchLab, until: Until) -> None:
    lab = search.lab
    text = (lab.root / "run.py").read_text()
    (lab.root / "run.py").write_text(text.replace('cfg.do == "crash"', 'cfg.do == "crash" and cfg.x == 1'))
    search.search(1, 2, do="crash", __pack=2)
    _, out = lab.snakemake()

    assert sorted(lab.ledger) == [1, 2]
    assert sorted(status for status, _ in search.ends) == ["DEAD", "DONE"], out


def test_the_ranks_of_a_trial_are_those_of_its_experiment(search: SearchLab) -> None:
    search.search(1, 2, __num_gpus=2)
    code, out = search.lab.snakemake()

    assert code == 0, out
    assert sorted(search.lab.ledger) == [1, 1, 2, 2]
    assert values(search) == [10, 20]


def test_a_point_that_somebody_runs_by_hand_is_not_chosen(search: SearchLab, until: Until) -> None:
    lab = search.lab
    lab.run("x=1", "do=wait")
    until(lambda: lab.ledger == [1])
    search.search(1, 2, do="wait", trials=1)
    controller = lab.start()
    until(lambda: lab.ledger == [1, 2])
    lab.allow()
    code, out = lab.end(controller)

    assert code == 0, out
    assert search.ends == [("DONE", 20)]
