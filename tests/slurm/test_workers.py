"""`heyhi launch --workers N` on a real cluster: jobs that run experiments one after another, and nobody else."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import is_gone

from .cluster import Cluster
from .conftest import Lab

Until = Callable[[Callable[[], object]], None]


def launch(lab: Lab, *words: str) -> str:
    done = lab.heyhi("launch", "--profile", "slurm", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def points(lab: Lab, count: int, **more: object) -> None:
    lab.sweep(*({"x": x, **more} for x in range(1, count + 1)))


def jobs_of(out: str) -> list[str]:
    return re.findall(r"^worker \d+ of \d+: job (\d+)$", out, re.M)


def words_of(lab: Lab) -> str:
    return "".join(path.read_text() for path in sorted(lab.root.glob("results/.heyhi/controllers/*/worker-*.log")))


def is_over(lab: Lab, cluster: Cluster) -> Callable[[], bool]:
    return lambda: not cluster.run("squeue", "--noheader").strip()


def hurry(cluster: Cluster, job: str, until: Until) -> None:
    """Have a job that was queued again start: Slurm would wait two minutes."""
    until(lambda: "PENDING" in cluster.run("squeue", "--noheader", "--format=%T", f"--jobs={job}"))
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now+1")


def starts(lab: Lab, x: int) -> list[dict[str, object]]:
    return [one for one in lab.attempts(x) if one["event"] == "start"]


def test_workers_run_all_of_a_sweep_in_their_own_jobs_and_nothing_stays_here(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    points(lab, 6)
    out = launch(lab, "--workers", "2")
    jobs = jobs_of(out)
    assert len(jobs) == 2
    assert "started 2 workers; nothing of it stays on this machine" in out
    until(is_over(lab, cluster))
    assert sorted(lab.ledger) == [1, 2, 3, 4, 5, 6]
    rows = lab.statuses()
    assert {row["status"] for row in rows.values()} == {"DONE"}
    assert {lab.job(x) for x in rows} == set(jobs)
    assert words_of(lab).count(": starts") == 6


def test_one_that_fails_is_tried_again_as_often_as_its_launcher_says_and_the_others_go_on(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    slurm = {"launcher.slurm.max_attempts": 2}
    lab.sweep({"x": 1, "do": "fail", **slurm}, {"x": 2, **slurm}, {"x": 3, "do": "crash", **slurm})
    launch(lab, "--workers", "1")
    until(is_over(lab, cluster))
    assert sorted(lab.ledger) == [1, 1, 2, 3, 3]
    rows = lab.statuses()
    assert rows[2]["status"] == "DONE"
    assert rows[1]["status"] == "DEAD"
    assert "exit code 1: ValueError: boom" in rows[1]["reason"]
    assert rows[3]["status"] == "DEAD"
    assert "SIGSEGV" in rows[3]["reason"]
    assert [one["kind"] for one in starts(lab, 1)] == ["first", "retry"]


def test_a_run_that_is_killed_costs_one_attempt_of_one_experiment_and_its_worker_goes_on(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.sweep({"x": 1, "do": "wait", "launcher.slurm.max_attempts": 2}, {"x": 2, "launcher.slurm.max_attempts": 2})
    launch(lab, "--workers", "1")
    until(lambda: lab.ledger == [1])
    os.kill(int(lab.attempts(1)[0]["pid"]), signal.SIGKILL)
    until(lambda: 2 in lab.ledger)
    until(lambda: lab.ledger == [1, 2, 1])
    lab.allow()
    until(is_over(lab, cluster))
    assert {row["status"] for row in lab.statuses().values()} == {"DONE"}
    assert "killed" in [one.get("reason") for one in lab.attempts(1)]


def test_what_a_worker_had_that_is_killed_is_taken_by_another(lab: Lab, cluster: Cluster, until: Until) -> None:
    points(lab, 2, do="wait", **{"launcher.slurm.max_attempts": 2})
    first, second = jobs_of(launch(lab, "--workers", "2"))
    until(lambda: sorted(lab.ledger) == [1, 2])
    lost = next(x for x in (1, 2) if lab.job(x) == first)
    cluster.run("scancel", first)
    lab.allow(f"go{3 - lost}")
    until(lambda: sorted(lab.ledger) == sorted([1, 2, lost]))
    assert lab.job(lost) == second
    lab.allow()
    until(is_over(lab, cluster))
    assert {row["status"] for row in lab.statuses().values()} == {"DONE"}


def test_one_run_of_a_worker_is_cancelled_and_the_worker_goes_on(lab: Lab, cluster: Cluster, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait", "launcher.slurm.max_attempts": 3}, {"x": 2, "launcher.slurm.max_attempts": 3})
    (job,) = jobs_of(launch(lab, "--workers", "1"))
    until(lambda: lab.ledger == [1])
    done = lab.heyhi("cancel", str(lab.folder(1)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"its run in job {job} ended; that worker goes on with others" in done.stdout
    until(is_over(lab, cluster))
    rows = lab.statuses()
    assert lab.ledger == [1, 2]
    assert rows[1]["status"] == "DEAD"
    assert rows[1]["reason"].startswith(f"CANCELLED (job {job}")
    assert rows[2]["status"] == "DONE"


def test_a_sweep_is_cancelled_with_its_workers(lab: Lab, cluster: Cluster, until: Until) -> None:
    points(lab, 4, do="wait")
    jobs = jobs_of(launch(lab, "--workers", "2"))
    until(lambda: len(lab.ledger) == 2)
    shown = lab.heyhi("status").stdout
    assert f"2 workers (jobs {', '.join(jobs)}) run these" in shown
    done = lab.heyhi("cancel", "--force", "conf/sweep.py")
    assert done.returncode == 0, done.stdout + done.stderr
    until(is_over(lab, cluster))
    rows = lab.statuses()
    assert sorted(row["status"] for row in rows.values()) == ["DEAD", "DEAD", "NOT_STARTED", "NOT_STARTED"]
    assert len(lab.ledger) == 2


def test_a_second_launch_adds_the_workers_that_are_missing(lab: Lab, cluster: Cluster, until: Until) -> None:
    points(lab, 4, do="wait")
    (first,) = jobs_of(launch(lab, "--workers", "1"))
    until(lambda: lab.ledger == [1])
    again = launch(lab, "--workers", "1")
    assert f"nothing started: this is being run already by 1 worker (job {first})" in again
    more = launch(lab, "--workers", "3")
    assert len(jobs_of(more)) == 2
    assert "started 2 workers, beside 1 that lives" in more
    until(lambda: len(lab.ledger) == 3)
    lab.allow()
    until(is_over(lab, cluster))
    assert sorted(lab.ledger) == [1, 2, 3, 4]


def test_when_time_is_up_a_run_saves_and_its_worker_goes_on_with_it_in_its_next_allocation(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.sweep({"x": 1, "do": "train"}, {"x": 2})
    (job,) = jobs_of(launch(lab, "--workers", "1"))
    lab.allow_steps(1, 1)
    until(lambda: (lab.folder(1) / "checkpoint").exists() if lab.ledger else False)
    cluster.run("scancel", "--signal=USR2", "--batch", job)
    until(lambda: (lab.root / "warned").exists())
    hurry(cluster, job, until)
    lab.allow_steps(2, 3)
    until(is_over(lab, cluster))
    assert lab.ledger == [1, 1, 2]
    assert {row["status"] for row in lab.statuses().values()} == {"DONE"}
    assert [one["kind"] for one in starts(lab, 1)] == ["first", "requeue"]
    assert lab.job(1) == lab.job(2) == job


def test_a_run_that_began_late_and_can_not_save_is_run_again_in_the_next_allocation(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.sweep({"x": 1}, {"x": 2, "do": "wait"}, {"x": 3})
    (job,) = jobs_of(launch(lab, "--workers", "1"))
    until(lambda: lab.ledger == [1, 2])
    until(lambda: cluster.catches(signal.SIGUSR2))
    cluster.run("scancel", "--signal=USR2", "--batch", job)
    hurry(cluster, job, until)
    until(lambda: lab.ledger == [1, 2, 2])
    lab.allow()
    until(is_over(lab, cluster))
    assert lab.ledger == [1, 2, 2, 3]
    assert {row["status"] for row in lab.statuses().values()} == {"DONE"}


def test_an_experiment_waits_for_what_it_needs_and_is_blocked_where_that_is_dead(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.sweep(
        {"x": 1, "do": "wait"},
        {"x": 2, "after": "{{exp conf/work.prototxt x=1 do=wait}}"},
        {"x": 3, "do": "fail"},
        {"x": 4, "after": "{{exp conf/work.prototxt x=3 do=fail}}"},
    )
    launch(lab, "--workers", "2")
    until(lambda: {1, 3} <= set(lab.ledger))
    lab.allow()
    until(is_over(lab, cluster))
    rows = json.loads(lab.heyhi("status", "--json").stdout)["experiments"]
    assert sorted(row["status"] for row in rows) == ["BLOCKED", "DEAD", "DONE", "DONE"]
    assert lab.ledger.index(2) > lab.ledger.index(1)
    assert ": BLOCKED: by p/work/do=fail,x=3" in words_of(lab)


def test_workers_are_refused_where_experiments_ask_for_different_jobs(lab: Lab, cluster: Cluster) -> None:
    lab.sweep({"x": 1}, {"x": 2, "launcher.slurm.hours": 0.2})
    done = lab.heyhi("launch", "--profile", "slurm", "--workers", "2")
    assert done.returncode == 2
    assert "launcher.slurm.hours: 0.1 and 0.2" in done.stderr
    assert not cluster.run("squeue", "--noheader").strip()
    assert not list(lab.root.glob("results/.heyhi/controllers/*"))


def test_a_launch_with_a_controller_beside_workers_runs_nothing_twice(lab: Lab, cluster: Cluster, until: Until) -> None:
    points(lab, 3, do="wait")
    launch(lab, "--workers", "1")
    until(lambda: lab.ledger == [1])
    process = lab.start("--config", "sweep=conf/sweep.py")
    until(lambda: len(lab.ledger) == 3)
    lab.allow()
    code, out = lab.end(process)
    assert code == 0, out
    until(is_over(lab, cluster))
    assert sorted(lab.ledger) == [1, 2, 3]


def test_a_worker_that_is_killed_loses_one_attempt_and_its_run_ends_with_it(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    points(lab, 2, do="wait", **{"launcher.slurm.max_attempts": 2})
    first, _ = jobs_of(launch(lab, "--workers", "2"))
    until(lambda: sorted(lab.ledger) == [1, 2])
    lost = next(x for x in (1, 2) if lab.job(x) == first)
    run = int(starts(lab, lost)[0]["pid"])  # type: ignore[call-overload]
    parent = Path(f"/proc/{run}/stat").read_text().rpartition(")")[2].split()[1]
    os.kill(int(parent), signal.SIGKILL)
    lab.allow(f"go{3 - lost}")
    until(lambda: sorted(lab.ledger) == sorted([1, 2, lost]))
    assert is_gone(run)
    lab.allow()
    until(is_over(lab, cluster))
    assert {row["status"] for row in lab.statuses().values()} == {"DONE"}


def test_a_worker_leaves_the_node_that_is_at_fault_and_that_is_no_attempt(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.settings('node_faults = ["boom"]')
    points(lab, 2, do="fail")
    (first,) = jobs_of(launch(lab, "--workers", "1"))
    until(is_over(lab, cluster))
    assert lab.ledger == [1]
    assert "is at fault, and this is no attempt (node_faults: boom)" in words_of(lab)
    node = next(start["nodes"] for start in starts(lab, 1))
    (second,) = jobs_of(launch(lab, "--workers", "1"))
    assert node in cluster.run("scontrol", "show", "job", second).partition("ExcNodeList=")[2].split()[0]
    until(is_over(lab, cluster))
    assert first != second


def test_what_is_dead_is_tried_again_by_workers(lab: Lab, cluster: Cluster, until: Until) -> None:
    points(lab, 3, do="fail")
    launch(lab, "--workers", "2")
    until(is_over(lab, cluster))
    assert sorted(lab.ledger) == [1, 2, 3]
    done = lab.heyhi("retry", "--dead", "--profile", "slurm", "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(jobs_of(done.stdout)) == 2
    until(is_over(lab, cluster))
    assert sorted(lab.ledger) == [1, 1, 2, 2, 3, 3]


def test_the_last_worker_makes_the_table(lab: Lab, cluster: Cluster, until: Until) -> None:
    points(lab, 2)
    launch(lab, "--workers", "2")
    until(is_over(lab, cluster))
    assert "exit code 0" in words_of(lab)
    tables = list(lab.root.glob("results/reports/*/*.csv"))
    assert tables, [*lab.root.glob("results/*/*")]
    assert "NOT_STARTED" not in lab.heyhi("status").stdout


SBATCH = """#!/bin/bash
case "$*" in *--test-only*) exec {real} "$@" ;; esac
[ -e {folder}/first ] || {{ touch {folder}/first; exec {real} "$@"; }}
{real} "$@" > {folder}/answer && touch {folder}/submitted
exec sleep 20
"""


def hold_answers(lab: Lab, folder: Path) -> None:
    """Have Slurm take jobs and say so only of the first."""
    folder.mkdir()
    (folder / "sbatch").write_text(SBATCH.format(folder=folder, real=shutil.which("sbatch", path=lab.env["PATH"])))
    (folder / "sbatch").chmod(0o755)
    lab.env["PATH"] = f"{folder}:{lab.env['PATH']}"


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_worker_that_is_submitted_as_its_launch_is_ended_is_one_all_the_same(
    lab: Lab, cluster: Cluster, until: Until, tmp_path: Path, sign: signal.Signals
) -> None:
    points(lab, 4, do="wait")
    path = lab.env["PATH"]
    hold_answers(lab, tmp_path / "bin")
    process = lab.follow("launch", "--profile", "slurm", "--workers", "3")
    until((tmp_path / "bin" / "submitted").exists)
    process.send_signal(sign)
    _, out = lab.end(process)
    assert ("workers that were submitted go on; the same command submits the rest" in out) == (sign == signal.SIGINT)
    lab.env["PATH"] = path
    until(lambda: len(lab.ledger) == 2)
    jobs = sorted([*jobs_of(out), (tmp_path / "bin" / "answer").read_text().strip()])
    assert f"2 workers (jobs {', '.join(jobs)}) run these" in lab.heyhi("status").stdout
    assert "started 1 worker, beside 2 that live" in launch(lab, "--workers", "3")
    done = lab.heyhi("cancel", "--force", "conf/sweep.py")
    assert done.returncode == 0, done.stdout + done.stderr
    until(is_over(lab, cluster))
    assert len(lab.ledger) <= 3


def fails_and_goes_back(lab: Lab, until: Until) -> str:
    """Start a worker that has tried x=1 once, which is to be tried again once x=2 has ended."""
    slurm = {"launcher.slurm.max_attempts": 3}
    lab.sweep({"x": 1, "do": "fail", **slurm}, {"x": 2, "do": "wait", **slurm})
    (job,) = jobs_of(launch(lab, "--workers", "1"))
    until(lambda: lab.ledger == [1, 2])
    return job


def test_what_is_to_be_tried_again_is_pending_and_so_blocks_nothing(lab: Lab, cluster: Cluster, until: Until) -> None:
    fails_and_goes_back(lab, until)
    row = lab.statuses()[1]
    assert row["status"] == "PENDING"
    assert row["reason"] == "to be tried again: attempt 1: exit code 1: ValueError: boom"
    lab.allow()
    until(is_over(lab, cluster))
    assert lab.ledger == [1, 2, 1, 1]
    assert lab.statuses()[1]["status"] == "DEAD"


def test_what_is_to_be_tried_again_can_be_cancelled(lab: Lab, cluster: Cluster, until: Until) -> None:
    fails_and_goes_back(lab, until)
    done = lab.heyhi("cancel", str(lab.folder(1)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not tried again; the workers go on with others" in done.stdout
    assert lab.statuses()[1]["status"] == "DEAD"
    lab.allow()
    until(is_over(lab, cluster))
    assert lab.ledger == [1, 2]
    assert {x: row["status"] for x, row in lab.statuses().items()} == {1: "DEAD", 2: "DONE"}


def test_what_goes_back_is_taken_by_another_worker_of_its_launch(lab: Lab, cluster: Cluster, until: Until) -> None:
    slurm = {"launcher.slurm.max_attempts": 3}
    lab.sweep({"x": 1, "do": "fail", **slurm}, *({"x": x, "do": "wait", **slurm} for x in (2, 3)))
    first, second = jobs_of(launch(lab, "--workers", "2"))
    until(lambda: sorted(lab.ledger) == [1, 2, 3])
    lab.allow("go2" if lab.job(2) != lab.job(1) else "go3")
    until(lambda: sorted(lab.ledger) == [1, 1, 1, 2, 3])
    assert {start["job_id"] for start in starts(lab, 1)} == {first, second}
    lab.allow()
    until(is_over(lab, cluster))
    assert {x: row["status"] for x, row in lab.statuses().items()} == {1: "DEAD", 2: "DONE", 3: "DONE"}


def test_what_a_killed_worker_had_is_not_tried_again_once_that_is_cancelled(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    points(lab, 2, do="wait", **{"launcher.slurm.max_attempts": 2})
    first, second = jobs_of(launch(lab, "--workers", "2"))
    until(lambda: sorted(lab.ledger) == [1, 2])
    lost = next(x for x in (1, 2) if lab.job(x) == first)
    cluster.run("scontrol", "suspend", second)
    cluster.run("scancel", first)
    until(lambda: lab.statuses()[lost]["status"] == "DEAD")
    done = lab.heyhi("cancel", str(lab.folder(lost)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not tried again; the workers go on with others" in done.stdout
    cluster.run("scontrol", "resume", second)
    lab.allow()
    until(is_over(lab, cluster))
    assert sorted(lab.ledger) == [1, 2]


def test_what_living_workers_are_through_with_is_said_to_be_left_and_gets_no_worker(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.sweep({"x": 1, "do": "fail"}, {"x": 2, "do": "wait"})
    (job,) = jobs_of(launch(lab, "--workers", "1"))
    until(lambda: lab.ledger == [1, 2])
    said = launch(lab, "--workers", "2")
    assert f"nothing started: this is being run already by 1 worker (job {job})" in said
    assert re.search(
        r"^p/work/do=fail,x=1_\S+ is DEAD, and these workers don't try it again:"
        r" heyhi retry --dead .*--workers 1 starts it again$",
        said,
        re.MULTILINE,
    ), said
    lab.allow()
    until(is_over(lab, cluster))
    assert lab.ledger == [1, 2]
    assert "--workers 1 starts it again" in lab.heyhi("status", "conf/sweep.py").stdout


def test_what_a_worker_would_have_tried_again_is_dead_once_no_more_is_started(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.settings("stop_after_same_error = 1")
    slurm = {"launcher.slurm.max_attempts": 2}
    lab.sweep({"x": 1, "do": "fail", **slurm}, {"x": 2, "do": "fail", **slurm})
    launch(lab, "--workers", "1")
    until(is_over(lab, cluster))
    assert {row["status"] for row in lab.statuses().values()} == {"DEAD"}
    assert "PENDING" not in "".join(path.read_text() for path in lab.root.glob("results/reports/*.csv"))
