"""The commands around a launch on a real cluster: start, follow, cancel and start again, from any terminal."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .conftest import SECONDS

Until = Callable[[Callable[[], object]], None]


@pytest.fixture(autouse=True)
def nothing_left(lab: Any) -> Iterator[None]:
    yield
    lab.heyhi("cancel", "--all", "--force")


def status(lab: Any, x: int) -> tuple[str, str]:
    row = lab.statuses()[x]
    return row["status"], row["reason"]


def controllers(lab: Any) -> list[int]:
    """Processes of the controllers that live."""
    claims = lab.root.glob("results/.heyhi/controllers/*/claim.json")
    return [json.loads(path.read_text())["pid"] for path in claims]


def test_a_launch_outlives_its_terminal_and_makes_the_table(lab: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2)))
    shell = subprocess.run(
        # The shell ends as it does at log-out: all its group gets a SIGHUP.
        ["bash", "-c", f"{sys.executable} -m heyhi.cli launch; kill -HUP 0"],
        cwd=lab.root, env=lab.env, capture_output=True, text=True, start_new_session=True, timeout=SECONDS,
    )  # fmt: skip
    assert "started controller pid" in shell.stdout, shell.stderr
    assert "heyhi status --watch" in shell.stdout
    until(lambda: sorted(lab.ledger) == [1, 2])
    lab.allow()
    until(lambda: (lab.root / "results/reports/sweep.csv").exists())
    until(lambda: not controllers(lab))
    (log,) = lab.root.glob("results/.heyhi/controllers/sweep-*.log")
    assert "exit code 0" in log.read_text()


def test_the_table_of_a_launch_has_a_metric_while_its_experiments_run(lab: Any, until: Until) -> None:
    table = lab.root / "results/reports/sweep.csv"
    lab.sweep(*({"x": x, "do": "train"} for x in (1, 2)))
    lab.heyhi("launch")
    lab.allow_steps(1, 1)
    until(table.exists)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["status"] for row in rows} <= {"RUNNING", "PENDING"} and "1" in [row["step"] for row in rows]
    assert len(controllers(lab)) == 1
    lab.allow_steps(2, 3)
    until(lambda: not controllers(lab))
    assert [row["status"] for row in csv.DictReader(table.read_text().splitlines())] == ["DONE", "DONE"]


def test_a_run_refuses_a_slurm_launcher_unless_a_profile_is_given_with_which_it_stays_to_the_end(lab: Any) -> None:
    lab.sweep({"x": 1}, {"x": 2})
    refused = lab.heyhi("run")
    assert refused.returncode == 2 and "the launcher is slurm: heyhi launch conf/sweep.py hands over" in refused.stderr
    assert not list(lab.root.glob("results/p"))
    done = lab.heyhi("run", "--profile", "slurm")
    assert done.returncode == 0, done.stderr
    assert "2 experiments: 2 DONE\n" in done.stdout and lab.job(1) and controllers(lab) == []


def test_a_second_launch_of_the_same_sweep_starts_no_controller(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"})
    assert "started controller" in lab.heyhi("launch").stdout
    again = lab.heyhi("launch")
    assert again.returncode == 0
    assert "nothing started: this is being run already by controller pid" in again.stdout
    assert len(controllers(lab)) == 1


def test_launches_that_overlap_start_each_experiment_once(lab: Any, until: Until) -> None:
    (lab.root / "conf/other.py").write_text(
        'def yield_sweep():\n    for x in (2, 3, 4):\n        yield "conf/work.prototxt", {"x": x, "do": "wait"}\n'
    )
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2, 3)))
    started = [lab.follow("launch", *words) for words in ([], ["conf/other.py"], [])]
    said = [lab.end(process)[1] for process in started]
    assert [sum("started controller" in text for text in said), len(controllers(lab))] == [2, 2]
    until(lambda: sorted(lab.ledger) == [1, 2, 3, 4])
    lab.allow()
    until(lambda: not controllers(lab))
    assert sorted(lab.ledger) == [1, 2, 3, 4]
    assert {row["status"] for row in lab.statuses().values()} == {"DONE"}


def test_a_job_leads_to_its_experiment_and_back(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=wait")
    until(lambda: lab.ledger == [1])
    job = lab.job(1)
    assert lab.statuses()[1]["job_id"] == job
    assert f"job {job}" in lab.heyhi("status").stdout
    told = lab.heyhi("status", "--job", job)
    assert told.returncode == 0, told.stderr
    assert f"job {job}: RUNNING on n" in told.stdout
    assert str(lab.folder(1)) + "/log.txt" in told.stdout
    (row,) = json.loads(lab.heyhi("status", "--job", job, "--json").stdout)["experiments"]
    assert (row["exp_path"], row["status"]) == (str(lab.folder(1)), "RUNNING")
    near = str(int(job) * 10)
    wrong = lab.heyhi("status", "--job", near)
    assert wrong.returncode == 2
    assert f"no experiment has a job {near} (did you mean '{job}'?)" in wrong.stderr
    lab.allow()
    until(lambda: status(lab, 1)[0] == "DONE")
    assert "DONE" in lab.heyhi("status", "--job", job).stdout


def test_a_job_that_is_none_of_ours_is_said_to_be(lab: Any) -> None:
    words = ["sbatch", "--parsable", "--hold", f"--chdir={lab.root}", "--wrap=true"]
    job = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    told = lab.heyhi("status", "--job", job)
    assert told.returncode == 2
    assert f"job {job} is none of HeyHi's" in told.stderr
    assert lab.heyhi("cancel", job).returncode == 2
    shown = subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "PENDING"


def test_cancelling_a_sweep_ends_its_controller_and_jobs_and_wipes_nothing(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2, "do": "wait", "launcher.slurm.extra": "--hold"}, {"x": 3})
    lab.run("x=9", "do=wait")
    lab.heyhi("launch")
    until(lambda: sorted(lab.ledger) == [1, 3, 9] and status(lab, 3)[0] == "DONE" and status(lab, 2)[0] == "PENDING")
    (pid,) = controllers(lab)
    refused = lab.heyhi("cancel", "conf/sweep.py")
    assert refused.returncode == 2
    assert "2 jobs or runs would be cancelled; say --force" in refused.stderr
    assert status(lab, 1)[0] == "RUNNING"
    dry = lab.heyhi("cancel", "conf/sweep.py", "--dry-run")
    assert (dry.returncode, controllers(lab)) == (0, [pid])
    done = lab.heyhi("cancel", "conf/sweep.py", "--force")
    assert done.returncode == 0, done.stderr
    assert f"job {lab.job(1)} cancelled" in done.stdout
    assert "nothing to cancel: DONE" in done.stdout
    assert controllers(lab) == []
    until(lambda: status(lab, 1)[0] == "DEAD")
    for x in (1, 2):
        assert status(lab, x)[1].startswith(f"CANCELLED (job {lab.job(x)}")
    assert (lab.folder(1) / "log.txt").exists()
    assert status(lab, 9)[0] == "RUNNING"
    assert sorted(lab.ledger) == [1, 3, 9]


def test_one_job_is_cancelled_by_its_id_without_asking(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=wait")
    lab.run("x=2", "do=wait")
    until(lambda: sorted(lab.ledger) == [1, 2])
    done = lab.heyhi("cancel", lab.job(1))
    assert (done.returncode, f"job {lab.job(1)} cancelled" in done.stdout) == (0, True)
    until(lambda: status(lab, 1)[0] == "DEAD")
    assert status(lab, 2)[0] == "RUNNING"


def test_cancelling_one_of_a_pack_says_that_the_others_end_too(lab: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait", "launcher.slurm.pack": 2} for x in (1, 2)))
    lab.heyhi("launch")
    until(lambda: sorted(lab.ledger) == [1, 2])
    job = lab.job(1)
    assert lab.job(2) == job
    assert lab.heyhi("status", "--job", job, "--json").stdout.count('"RUNNING"') == 2
    which = lab.heyhi("logs", job)
    assert which.returncode == 2
    assert "the log of one experiment, and these words name 2: p/work/" in which.stderr
    done = lab.heyhi("cancel", str(lab.folder(1)))
    assert done.returncode == 0, done.stderr
    names = [lab.folder(x).relative_to(lab.root / "results") for x in (1, 2)]
    assert f"{names[0]}: job {job} cancelled\n{names[1]}: cancelled, too: it is in the same job {job}" in done.stdout
    until(lambda: not controllers(lab))
    assert [status(lab, x)[0] for x in (1, 2)] == ["DEAD", "DEAD"]


def test_the_dead_ones_are_started_again_and_no_other(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2}, {"x": 3, "do": "fail"})
    lab.heyhi("launch")
    until(lambda: sorted(lab.ledger) == [1, 2, 3])
    subprocess.run(["scancel", lab.job(1)], check=True)
    until(lambda: not controllers(lab))
    asked = lab.heyhi("retry")
    assert asked.returncode == 2
    assert "Say --dead to start those that are DEAD again (2 of them now)" in asked.stderr
    task = lab.root / "run.py"
    task.write_text(task.read_text().replace('raise ValueError("boom")', "pass"))
    lab.allow()
    dry = lab.heyhi("retry", "--dead", "--dry-run")
    assert "2 would start again" in dry.stdout
    assert controllers(lab) == []
    again = lab.heyhi("retry", "--dead")
    assert "2 to start again" in again.stdout, again.stderr
    until(lambda: {row["status"] for row in lab.statuses().values()} == {"DONE"})
    assert sorted(lab.ledger) == [1, 1, 2, 3, 3]


def test_a_log_is_followed_from_before_its_start_until_the_run_is_over(lab: Any, until: Until) -> None:
    task = lab.root / "run.py"
    task.write_text(task.read_text().replace("    if cfg.do", '    print("said by", cfg.x)\n    if cfg.do', 1))
    lab.run("x=1", "do=wait", "launcher.slurm.extra=--hold")
    job = lab.job(1)
    nothing = lab.heyhi("logs", job)
    assert nothing.returncode == 0
    assert "no log yet: PENDING" in nothing.stderr
    follower = lab.follow("logs", "-f", job)
    assert follower.stdout is not None
    assert f"job {job} waits: JobHeldUser" in follower.stdout.readline()
    subprocess.run(["scontrol", "release", job], check=True)
    until(lambda: lab.ledger == [1])
    lab.allow()
    code, out = lab.end(follower)
    assert (code, "said by 1" in out) == (0, True)
    assert "said by 1" in lab.heyhi("logs", job, "-n", "1").stdout


def test_following_a_log_ends_with_one_where_the_run_is_dead(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=fail")
    told = lab.heyhi("logs", "-f", str(lab.folder(1)))
    assert told.returncode == 1
    assert "ValueError: boom" in told.stdout
    assert "DEAD" in told.stderr


def test_watching_ends_when_all_are_over(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2, "do": "fail"})
    lab.heyhi("launch")
    watcher = lab.follow("status", "--watch", "0.5", "conf/sweep.py")
    assert watcher.stdout is not None
    lines = [""]
    while not lines[-1].startswith("DEAD"):
        lines.append(watcher.stdout.readline())
        assert lines[-1], "the watch has ended"
    lab.allow()
    code, rest = lab.end(watcher)
    out = "".join(lines) + rest
    assert code == 1
    assert "ValueError: boom" in out
    assert out.splitlines()[-1].endswith("DEAD 1  DONE 1")


def test_killing_the_controller_only_leaves_its_jobs_to_the_next(lab: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2)))
    lab.heyhi("launch")
    until(lambda: sorted(lab.ledger) == [1, 2])
    jobs = [lab.job(1), lab.job(2)]
    os.kill(controllers(lab)[0], signal.SIGKILL)
    until(lambda: "started controller" in lab.heyhi("launch").stdout)
    lab.allow()
    until(lambda: (lab.root / "results/reports/sweep.csv").exists())
    assert [lab.job(1), lab.job(2)] == jobs
    assert sorted(lab.ledger) == [1, 2]


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--foreground"]])
def test_a_job_that_there_can_never_be_is_said_at_once_and_none_is_started(lab: Any, words: list[str]) -> None:
    lab.sweep({"x": 1}, *({"x": x, "launcher.slurm.num_gpus": 12} for x in (2, 3)))
    done = lab.heyhi("launch", *words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "x=2_" in line
    assert " and 1 more: launcher.slurm.num_gpus=12: above 8 (gpus_per_node) it must be a multiple of 8" in line
    assert not list(lab.root.glob("results/.heyhi/controllers/*"))
    assert not list(lab.root.glob("results/p"))


def test_a_launch_says_what_the_cluster_would_refuse(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "launcher.slurm.partition": "mian"}, {"x": 2})
    done = lab.heyhi("launch")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if "would refuse" in line)
    assert "x=1_" in line
    assert "did you mean 'main'?" in line
    until(lambda: lab.statuses()[2]["status"] == "DONE")


def test_what_slurm_never_takes_is_said_by_launch_status_watch_and_logs(lab: Any) -> None:
    """No controller lives any more, and nothing changes by itself."""
    lab.sweep(*({"x": x, "launcher.slurm.partition": "nope"} for x in (1, 2, 3)))
    done = lab.heyhi("launch")
    assert done.returncode == 1, done.stderr
    first, *said = done.stdout.partition("nothing was submitted or started: ")[2].splitlines()
    assert "(results/.heyhi/controllers/sweep-" in first
    assert "3 \N{MULTIPLICATION SIGN} not submitted: sbatch: " in said[0] and "nope" in said[0]
    shown = lab.heyhi("status", "conf/sweep.py")
    assert "no controller runs these: heyhi " in shown.stdout and "not submitted: sbatch: " in shown.stdout
    watched = lab.heyhi("status", "--watch", "0.5", "conf/sweep.py")
    assert watched.returncode == 1 and "not submitted: sbatch: " in watched.stdout
    exp_id = next(row["exp_id"] for row in lab.statuses().values())
    told = lab.heyhi("logs", exp_id)
    assert told.returncode == 0 and "not submitted: sbatch: " in told.stderr and "nope" in told.stderr


def test_status_says_that_slurm_takes_no_jobs_as_long_as_it_takes_none(lab: Any, until: Until) -> None:
    sbatch = shutil.which("sbatch", path=lab.env["PATH"])
    folder = lab.root / "bin"
    folder.mkdir()
    says = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    (folder / "sbatch").write_text(
        f'#!/bin/sh\n[ -e {folder}/mended ] || {{ echo "{says}" >&2; exit 1; }}\nexec {sbatch} "$@"\n'
    )
    (folder / "sbatch").chmod(0o755)
    lab.env["PATH"] = f"{folder}:{lab.env['PATH']}"
    lab.sweep({"x": 1})
    launch = lab.follow("launch")
    away = "Slurm takes no jobs now, and is asked again for 15 minutes: sbatch: "
    until(lambda: f"\n{away}" in lab.heyhi("status", "conf/sweep.py").stdout)
    (folder / "mended").touch()
    until(lambda: away not in lab.heyhi("status", "conf/sweep.py").stdout)
    assert lab.end(launch)[0] == 0
    until(lambda: lab.statuses()[1]["status"] == "DONE")


def test_cancelled_before_they_ran_are_told_with_their_jobs_and_chosen_as_status_says(lab: Any) -> None:
    lab.sweep(*({"x": x, "launcher.slurm.extra": "--hold"} for x in range(1, 5)))
    lab.heyhi("launch")
    assert lab.heyhi("cancel", "conf/sweep.py", "--force").returncode == 0
    shown = lab.heyhi("status", "conf/sweep.py").stdout
    assert "4 \N{MULTIPLICATION SIGN} CANCELLED\n" in shown and shown.count("  (job ") == 3
    words = ("retry", "--dead", "--where", "reason=CANCELLED", "conf/sweep.py", "--dry-run")
    assert "4 would start again" in lab.heyhi(*words).stdout


def test_what_is_left_by_a_launch_that_stopped_early_is_said_with_its_reason(lab: Any) -> None:
    lab.settings("stop_after_same_error = 1")
    needing = {"x": 2, "after": "{{exp conf/work.prototxt x=1 do=fail}}"}
    lab.sweep({"x": 1, "do": "fail"}, needing, {"x": 3, "do": "fail"})
    lab.heyhi("launch")
    watched = lab.heyhi("status", "--watch", "0.5", "conf/sweep.py")
    assert watched.returncode == 1
    assert "ValueError: boom" in watched.stdout
    assert "controller runs" in lab.heyhi("status").stdout


def test_a_launch_names_the_first_job_and_status_who_runs_it(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"})
    done = lab.heyhi("launch")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"submitted: job {lab.job(1)} (p/work/")
    (pid,) = controllers(lab)
    assert f"controller pid {pid} on " in (shown := lab.heyhi("status").stdout) and shown.rstrip().endswith("runs it")
    until(lambda: lab.ledger == [1])
    (line,) = (line for line in lab.heyhi("status").stdout.splitlines() if line.startswith("RUNNING  "))
    assert "  for " in line
    (row,) = lab.statuses().values()
    assert row["since"] is not None
    lab.allow()
    until(lambda: not controllers(lab))


def test_a_snakemake_on_a_terminal_is_seen_to_run_what_it_runs(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"})
    process = lab.start()
    until(lambda: lab.ledger == [1])
    shown = lab.heyhi("status").stdout
    assert f"controller pid {process.pid} on " in shown and "runs it" in shown
    lab.allow()
    assert lab.end(process)[0] == 0
    assert controllers(lab) == [] and not list(lab.root.glob("results/.heyhi/controllers/*"))
    assert "controller" not in lab.heyhi("status").stdout
