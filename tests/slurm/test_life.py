"""The life of a job on a real cluster: submitted, followed, adopted, cancelled, queued again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

Until = Callable[[Callable[[], object]], None]


def status(lab: Any, x: int) -> tuple[str, str]:
    row = lab.statuses()[x]
    return row["status"], row["reason"]


def test_a_sweep_runs_to_its_table(lab: Any) -> None:
    lab.sweep({"x": 1}, {"x": 2}, {"x": 3})
    code, out = lab.snakemake()
    assert code == 0, out
    assert sorted(lab.ledger) == [1, 2, 3]
    assert lab.result(2)["y"] == 20
    assert "3 experiments: 3 DONE" in out


def test_the_task_file_submits_once_and_returns(lab: Any, until: Until) -> None:
    first = lab.run("x=1", "do=wait")
    assert first.returncode == 0, first.stderr
    job = lab.job(1)
    assert f"job {job}" in first.stdout
    again = lab.run("x=1", "do=wait")
    assert (again.returncode, lab.job(1)) == (0, job)
    assert "nothing started" in again.stdout
    lab.allow()
    until(lambda: status(lab, 1)[0] == "DONE")
    assert lab.ledger == [1]


def test_an_experiment_is_pending_with_its_job_then_running(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=wait", "launcher.slurm.extra=--hold")
    job = lab.job(1)
    assert status(lab, 1) == ("PENDING", f"job {job} waits: JobHeldUser")
    subprocess.run(["scontrol", "release", job], check=True)
    until(lambda: lab.ledger)
    assert status(lab, 1)[0] == "RUNNING"
    assert job in status(lab, 1)[1]


def test_a_failure_is_dead_with_its_last_line(lab: Any) -> None:
    lab.sweep({"x": 1, "do": "fail"}, {"x": 2})
    code, out = lab.snakemake()
    assert code == 1
    assert status(lab, 1) == ("DEAD", "exit code 1: ValueError: boom")
    assert status(lab, 2)[0] == "DONE"
    assert "ValueError: boom" in out


def test_a_crash_is_dead_with_its_signal(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=crash")
    until(lambda: status(lab, 1)[0] == "DEAD")
    until(lambda: "signal 11" in status(lab, 1)[1])


def test_an_exit_code_of_the_tasks_own_has_no_job_queued_again(lab: Any, until: Until) -> None:
    assert lab.run("x=1", "do=exit75").returncode == 0
    until(lambda: lab.statuses()[1]["status"] == "DEAD")
    assert lab.statuses()[1]["reason"].startswith("exit code 75")
    assert lab.ledger == [1]


def test_a_cancelled_job_is_dead_and_ends_its_controller(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2, "do": "wait", "launcher.slurm.extra": "--hold"})
    controller = lab.start()
    until(lambda: lab.ledger == [1] and list(lab.root.glob("results/p/work/*x=2*/job.json")))
    subprocess.run(["scancel", lab.job(1), lab.job(2)], check=True)
    code, out = lab.end(controller)
    assert code == 1
    assert "CANCELLED" in out
    for x in (1, 2):
        assert status(lab, x)[0] == "DEAD"
        assert status(lab, x)[1].startswith(f"CANCELLED (job {lab.job(x)}")


def test_a_time_limit_is_a_timeout(lab: Any, until: Until) -> None:
    # Without a checkpoint the run is not queued again: it would begin anew for ever.
    lab.run("x=1", "do=wait", "launcher.slurm.hours=0.01", "launcher.slurm.signal_seconds=1")
    until(lambda: status(lab, 1)[0] == "DEAD")
    assert status(lab, 1)[1].startswith("TIMEOUT")


def test_memory_that_is_not_there(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "fill", "launcher.slurm.mem_per_gpu": 0.3, "launcher.slurm.max_attempts": 2,
               "launcher.slurm.oom_mem_factor": 10})  # fmt: skip
    controller = lab.start()
    until(lambda: lab.ledger == [1, 1])
    lab.allow()
    code, out = lab.end(controller)
    assert code == 0, out
    ends = [a for a in lab.attempts(1) if a["event"] == "end"]
    assert ends[-2]["job_state"] == "OUT_OF_MEMORY"


def test_a_new_controller_adopts_what_a_killed_one_left(lab: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2, 3)))
    first = lab.start()
    until(lambda: sorted(lab.ledger) == [1, 2, 3])
    os.killpg(first.pid, signal.SIGKILL)
    jobs = {lab.job(x) for x in (1, 2, 3)}
    assert status(lab, 1)[0] == "RUNNING"
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2, 3, 4)))
    second = lab.start()
    until(lambda: 4 in lab.ledger)
    lab.allow()
    code, out = lab.end(second)
    assert code == 0, out
    assert sorted(lab.ledger) == [1, 2, 3, 4]
    assert {lab.job(x) for x in (1, 2, 3)} == jobs


def test_ending_a_controller_leaves_its_jobs(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"})
    controller = lab.start()
    until(lambda: lab.ledger)
    controller.terminate()
    code, out = lab.end(controller)
    assert code != 0
    assert "go on without this process" in out
    assert status(lab, 1)[0] == "RUNNING"
    lab.allow()
    until(lambda: status(lab, 1)[0] == "DONE")


def test_ctrl_c_cancels_what_it_submitted_itself_and_nothing_else(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=wait")
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2, "do": "wait"})
    controller = lab.start()
    until(lambda: sorted(lab.ledger) == [1, 2])
    controller.send_signal(signal.SIGINT)
    _, out = lab.end(controller)
    assert "1 jobs of this run were cancelled; 1 that others have submitted go on" in out
    until(lambda: status(lab, 2)[0] == "DEAD")
    assert status(lab, 1)[0] == "RUNNING"


def test_a_run_goes_on_from_its_checkpoint_after_each_warning(lab: Any, cluster: Any, until: Until) -> None:
    lab.sweep({"x": 1, "do": "train", "steps": 4})
    controller = lab.start()
    lab.allow_steps(1, 2)
    done = lambda: next(iter(lab.root.glob("results/p/work/*x=1*/checkpoint")), None)  # noqa: E731
    until(lambda: done() and done().read_text() == "2")
    job = lab.job(1)
    with cluster.closed():
        subprocess.run(["scancel", "--signal=USR2", "--batch", job], check=True)
        until(lambda: status(lab, 1)[0] == "PENDING")
    assert (lab.root / "warned").exists()
    lab.allow_steps(3, 4)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now+2"], check=True)
    code, out = lab.end(controller)
    assert code == 0, out
    kinds = [a["kind"] for a in lab.attempts(1) if a["event"] == "start"]
    assert kinds == ["first", "requeue"]
    assert logged(lab) == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert lab.job(1) == job


def test_a_warning_in_the_first_moment_is_not_lost(lab: Any, cluster: Any, until: Until) -> None:
    lab.run("x=1", "do=train", "launcher.slurm.extra=--hold")
    job = lab.job(1)
    subprocess.run(["scontrol", "release", job], check=True)
    # The script's shell listens by then; Python takes longer to start.
    until(lambda: cluster.catches(signal.SIGUSR2))
    with cluster.closed():
        subprocess.run(["scancel", "--signal=USR2", "--batch", job], check=True)
        until(lambda: (lab.root / "warned").exists())
        until(lambda: status(lab, 1)[0] == "PENDING")


def test_a_preempted_run_goes_on(lab: Any, cluster: Any, until: Until) -> None:
    lab.run("x=1", "do=train", "launcher.slurm.partition=preempt", "launcher.slurm.extra=--nodelist=n1 --exclusive")
    until(lambda: lab.ledger == [1])
    lab.run("x=2", "do=wait", "launcher.slurm.partition=high", "launcher.slurm.extra=--nodelist=n1 --exclusive")
    until(lambda: lab.ledger == [1, 2])
    assert status(lab, 1)[0] == "PENDING"
    lab.allow()
    lab.allow_steps(1, 3)
    until(lambda: status(lab, 2)[0] == "DONE")
    subprocess.run(["scontrol", "update", f"JobId={lab.job(1)}", "StartTime=now+2"], check=True)
    until(lambda: status(lab, 1)[0] == "DONE")
    assert [a["kind"] for a in lab.attempts(1) if a["event"] == "start"] == ["first", "requeue"]


def test_preempted_for_good_is_dead_and_a_controller_submits_it_again(lab: Any, until: Until) -> None:
    extra = {"launcher.slurm.extra": "--nodelist=n1 --exclusive", "launcher.slurm.partition": "scavenge"}
    lab.sweep({"x": 1, "do": "train", **extra}, {"x": 3, "do": "wait", "launcher.slurm.requeue": False,
              "launcher.slurm.extra": "--nodelist=n2 --exclusive", "launcher.slurm.partition": "scavenge"})  # fmt: skip
    controller = lab.start()
    until(lambda: sorted(lab.ledger) == [1, 3])
    lab.run("x=2", "launcher.slurm.partition=high", "launcher.slurm.extra=--nodelist=n1 --exclusive")
    lab.run("x=4", "launcher.slurm.partition=high", "launcher.slurm.extra=--nodelist=n2 --exclusive")
    lab.allow_steps(1, 3)
    code, out = lab.end(controller)
    assert code == 1
    assert status(lab, 1)[0] == "DONE", out
    assert status(lab, 3)[0] == "DEAD"
    assert status(lab, 3)[1].startswith("PREEMPTED")


def test_an_edit_does_not_reach_queued_jobs(lab: Any, until: Until) -> None:
    lab.run("x=1", "launcher.slurm.extra=--hold")
    lab.run("x=2", "launcher.slurm.extra=--hold", "--no-snapshot")
    task = lab.root / "run.py"
    task.write_text(task.read_text().replace("first version", "second version"))
    subprocess.run(["scontrol", "release", lab.job(1), lab.job(2)], check=True)
    until(lambda: {status(lab, 1)[0], status(lab, 2)[0]} == {"DONE"})
    assert (lab.result(1)["note"], lab.result(2)["note"]) == ("first version", "second version")
    assert (lab.folder(1) / "code.json").exists()


def test_the_same_error_again_and_again_stops_a_launch(lab: Any) -> None:
    lab.settings("stop_after_same_error = 2")
    lab.sweep(*({"x": x, "do": "fail"} for x in range(1, 7)))
    code, out = lab.snakemake("--jobs", "1")
    assert code == 1
    assert len(lab.ledger) == 2
    assert "No more is submitted" in out


def test_a_refused_job_says_what_slurm_says(lab: Any) -> None:
    run = lab.run("x=1", "launcher.slurm.partition=nowhere")
    assert run.returncode == 2
    assert "invalid partition" in run.stderr
    assert "Traceback" not in run.stderr
    assert lab.run("x=1").returncode == 0


def test_two_controllers_start_each_experiment_once(lab: Any, until: Until) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in range(1, 7)))
    both = [lab.start(), lab.start()]
    until(lambda: sorted(lab.ledger) == [1, 2, 3, 4, 5, 6])
    lab.allow()
    for one in both:
        code, out = lab.end(one)
        assert code == 0, out
    assert sorted(lab.ledger) == [1, 2, 3, 4, 5, 6]


def test_a_status_without_an_answer_is_the_last_known_one(lab: Any, cluster: Any, until: Until) -> None:
    lab.run("x=1", "do=wait")
    until(lambda: lab.ledger)
    # All is written down, or Slurm gives the job's id to one of the next test, which its node doesn't take then.
    changed = time.time()
    subprocess.run(["scontrol", "update", f"JobId={lab.job(1)}", "AdminComment=changed"], check=True)
    cluster.wait_saved(changed)
    cluster.kill_slurmctld()
    state, reason = status(lab, 1)
    assert state == "RUNNING"
    assert "last known" in reason
    assert "Slurm doesn't answer: squeue: " in lab.heyhi("status").stdout
    watcher = lab.follow("status", "--watch", "0.5")
    assert watcher.stdout is not None
    until(lambda: watcher.stdout.readline().startswith("Slurm doesn't answer: squeue: "))
    cluster.start_slurmctld()
    until(lambda: watcher.stdout.readline() == "Slurm answers again\n")
    lab.allow()
    assert lab.end(watcher)[0] == 0
    assert status(lab, 1)[0] == "DONE"


def without(lab: Any, command: str) -> None:
    """Let a command of Slurm's fail as it does on a cluster that keeps no accounts."""
    folder = lab.root / "bin"
    folder.mkdir(exist_ok=True)
    (folder / command).write_text("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n")
    (folder / command).chmod(0o755)
    lab.env["PATH"] = f"{folder}:{lab.env['PATH']}"


def test_without_accounts_there_is_less_reason_and_no_wrong_status(lab: Any, until: Until) -> None:
    without(lab, "sacct")
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2, "do": "fail"}, {"x": 3}, {"x": 4, "do": "crash"})
    controller = lab.start()
    until(lambda: 1 in lab.ledger)
    assert status(lab, 1)[0] == "RUNNING"
    subprocess.run(["scancel", lab.job(1)], check=True)
    code, out = lab.end(controller)
    assert code == 1, out
    found = {x: (row["status"], row["reason"].split(" (")[0]) for x, row in lab.statuses().items()}
    assert found[1] == ("DEAD", "CANCELLED")
    assert found[2] == ("DEAD", "exit code 1: ValueError: boom")
    assert found[3] == ("DONE", "")
    assert found[4][0] == "DEAD"


def ended(lab: Any, x: int, state: str, host: str = "n1") -> None:
    """Put on record that the last attempt of an x ended in some state."""
    folder = lab.folder(x)
    start = lab.attempts(x)[-1] if (folder / "attempts.jsonl").exists() else {"attempt": 0}
    record = {"event": "end", "attempt": start["attempt"], "reason": state, "job_id": lab.job(x), "job_state": state}
    with (folder / "attempts.jsonl").open("a") as file:
        file.write(json.dumps({**record, "host": host}) + "\n")


def test_the_next_attempt_asks_for_what_the_last_one_lacked(lab: Any, until: Until) -> None:
    words = ["x=1", "launcher.slurm.extra=--hold", "launcher.slurm.timeout_hours_factor=3"]
    words += ["launcher.slurm.hours=0.2", "launcher.slurm.mem_per_gpu=0.5", "launcher.slurm.oom_mem_factor=2"]
    lab.run(*words)
    subprocess.run(["scancel", lab.job(1)], check=True)
    until(lambda: status(lab, 1)[0] == "DEAD")
    for state in ("TIMEOUT", "OUT_OF_MEMORY", "OUT_OF_MEMORY", "NODE_FAIL"):
        ended(lab, 1, state, host="n2")
    again = lab.run(*words, "--mode", "start_continue")
    assert again.returncode == 0, again.stderr
    job = subprocess.run(["scontrol", "show", "job", lab.job(1)], capture_output=True, text=True, check=True).stdout
    assert "TimeLimit=00:36:00" in job
    assert "mem=2G" in job
    assert "ExcNodeList=n2" in job


def test_a_failed_job_is_tried_again_as_profile_and_launcher_say(lab: Any) -> None:
    lab.sweep({"x": 1, "do": "fail"}, {"x": 2, "do": "fail", "launcher.slurm.max_attempts": 3})
    code, _ = lab.snakemake("--retries", "1")
    assert code == 1
    # Snakemake tries each once more; the launcher's own attempts begin anew then.
    assert lab.ledger.count(1) == 2
    assert [a["kind"] for a in lab.attempts(1) if a["event"] == "start"] == ["first", "retry"]
    assert lab.ledger.count(2) >= 3


def test_restart_cancels_the_job_wipes_and_submits(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=wait")
    until(lambda: lab.ledger)
    job = lab.job(1)
    (lab.folder(1) / "checkpoint").write_text("old")
    refused = lab.run("x=1", "do=wait", "--mode", "restart")
    assert (refused.returncode, lab.job(1)) == (2, job)
    again = lab.run("x=1", "do=wait", "--mode", "restart", "--force")
    assert again.returncode == 0, again.stderr
    assert lab.job(1) != job
    assert not (lab.folder(1) / "checkpoint").exists()
    lab.allow()
    until(lambda: status(lab, 1)[0] == "DONE")


def test_what_is_needed_runs_first(lab: Any) -> None:
    lab.sweep({"x": 2, "after": "{{exp conf/work.prototxt x=1}}"})
    code, out = lab.snakemake()
    assert code == 0, out
    assert lab.ledger == [1, 2]
    early = lab.run("x=4", "after={{exp conf/work.prototxt x=3}}")
    assert early.returncode == 2
    assert "snakemake --profile profiles/slurm" in early.stderr


def test_a_full_queue_is_waited_for(lab: Any) -> None:
    # Two jobs of this quality of service may be submitted at once.
    lab.sweep(*({"x": x, "launcher.slurm.qos": "small"} for x in range(1, 5)))
    code, out = lab.snakemake()
    assert code == 0, out
    assert sorted(lab.ledger) == [1, 2, 3, 4]
    assert "takes no more jobs for now" in out


def test_a_path_that_means_something_to_a_shell_is_only_a_path(lab: Any, until: Until) -> None:
    odd = lab.root.parent / "a $(touch hacked) 'b' \"c\" %j;x"
    lab.root.rename(odd)
    lab.root = odd
    lab.env["LAB"] = str(odd)
    done = lab.run("x=1")
    assert done.returncode == 0, done.stderr
    until(lambda: status(lab, 1)[0] == "DONE")
    assert not list(odd.rglob("hacked"))


def test_a_job_that_slurm_has_forgotten_is_submitted_again(lab: Any, cluster: Any, until: Until) -> None:
    lab.sweep({"x": 1, "launcher.slurm.extra": "--hold"})
    controller = lab.start()
    until(lambda: list(lab.root.glob("results/p/work/*x=1*/job.json")))
    lost = lab.job(1)
    cluster.kill_slurmctld()  # before it has written the job down
    cluster.start_slurmctld()
    until(lambda: controller.poll() is not None or release(lab.job(1)))
    code, out = lab.end(controller)
    assert (code, lab.ledger) == (0, [1]), out
    assert lab.job(1) == lost or "knows nothing of it: submitted again" in out


def release(job: str) -> bool:
    return subprocess.run(["scontrol", "release", job], capture_output=True).returncode == 0


def test_a_training_is_stopped_at_its_time_limit_and_goes_on(lab: Any, until: Until) -> None:
    lab.run("x=1", "do=train", "launcher.slurm.hours=0.01", "launcher.slurm.signal_seconds=1")
    lab.allow_steps(1, 1)
    until(lambda: (lab.root / "warned").exists())  # by Slurm's own clock, within a minute and a half
    lab.allow_steps(2, 3)
    until(lambda: status(lab, 1)[0] == "DONE")
    assert [a["kind"] for a in lab.attempts(1) if a["event"] == "start"] == ["first", "requeue"]
    assert logged(lab) == [(1, 1), (2, 2), (3, 2)]


def logged(lab: Any) -> list[tuple[int, int]]:
    """The steps that the first experiment has logged, and which attempt did."""
    lines = map(json.loads, (lab.folder(1) / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["attempt"]) for line in lines]


def test_a_node_that_dies_is_the_reason_and_the_next_attempt_goes_elsewhere(
    lab: Any, cluster: Any, until: Until
) -> None:
    lab.sweep({"x": 1, "do": "wait", "launcher.slurm.requeue": False, "launcher.slurm.max_attempts": 2})
    controller = lab.start()
    until(lambda: lab.ledger)
    first = lab.job(1)
    node = subprocess.run(["squeue", "-h", "-j", first, "-o", "%N"], capture_output=True, text=True).stdout.strip()
    cluster.kill_slurmd(node, jobs=True)
    until(lambda: lab.ledger == [1, 1])
    assert [a["job_state"] for a in lab.attempts(1) if a["event"] == "end"] == ["NODE_FAIL"]
    shown = subprocess.run(["scontrol", "show", "job", lab.job(1)], capture_output=True, text=True, check=True).stdout
    assert f"ExcNodeList={node}" in shown
    lab.allow()
    code, out = lab.end(controller)
    assert code == 0, out
    cluster.start_slurmd(node)
