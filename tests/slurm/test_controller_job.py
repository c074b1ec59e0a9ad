"""A controller that is a job: it hands over to the next one, whatever ends it, and leaves nothing on this host."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.listener import listening

from .cluster import Cluster, ClusterError
from .conftest import Lab

Until = Callable[[Callable[[], object]], None]


def _launch(lab: Lab, *words: str, code: int = 0) -> str:
    done = lab.heyhi("launch", "--controller", "slurm", *words)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def _log(lab: Lab) -> str:
    return "".join(path.read_text() for path in lab.root.glob("results/.heyhi/controllers/*.log"))


def _begun(lab: Lab) -> list[tuple[int, str]]:
    """Pid and job of each controller that has begun, in order."""
    lines = [line.split() for line in _log(lab).splitlines() if "snakemake in job" in line]
    return [(int(words[3].rstrip(":")), words[-1]) for words in lines]


def _state(cluster: Cluster, job: str) -> str:
    return cluster.run("sacct", "-n", "-X", "-P", "-j", job, "-o", "State").strip().split()[0]


def _controllers(cluster: Cluster) -> list[str]:
    """Ids of the jobs that are controllers, or will be."""
    lines = cluster.run("squeue", "-h", "-o", "%i %k").splitlines()
    return [line.split()[0] for line in lines if " controller " in line]


def _programs(lab: Lab) -> Path:
    """Programs that a node has, without sbatch."""
    programs = lab.root / "bin"
    programs.mkdir()
    for name in ("date", "hostname", "env", "squeue", "scontrol", "git"):
        (programs / name).symlink_to(subprocess.check_output(["which", name], text=True).strip())
    return programs


def _here(lab: Lab) -> list[str]:
    """Processes of the project's that belong to no job."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environ = (path / "environ").read_bytes().split(b"\0")
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        is_jobs = any(line.startswith(b"SLURM_JOB_ID=") for line in environ)
        if f"LAB={lab.root}".encode() in environ and not is_jobs:
            found.append(words)
    return found


def test_a_controller_on_the_cluster_runs_a_sweep_and_leaves_no_process_here(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.sweep(*({"x": x, "do": "wait"} for x in (1, 2)))

    said = _launch(lab)

    assert "started controller job" in said and "submitted: job" in said
    assert _here(lab) == []
    (first, following) = sorted(_controllers(cluster), key=int)
    assert f"controller job {first} (on " in lab.heyhi("status").stdout
    assert f"scancel {first} only the controller" in said
    again = json.loads(lab.heyhi("launch", "--controller", "slurm", "--json").stdout)["controller"]
    assert (again["is_new"], again["kind"], again["jobs"]) == (False, "slurm", [first])
    assert f"being run already by controller job {first}" in lab.heyhi("launch").stdout

    lab.allow()
    until(lambda: _state(cluster, first) == "COMPLETED")

    assert {x: row["status"] for x, row in lab.statuses().items()} == {1: "DONE", 2: "DONE"}
    assert (lab.root / "results/reports/sweep.csv").exists()
    assert _state(cluster, following) == "CANCELLED"
    assert "exit code 0" in _log(lab)
    assert lab.heyhi("clean", "--force").returncode == 0


@pytest.mark.parametrize("by", ["its limit", "a kill", "its node"])
def test_the_next_controller_goes_on_with_what_the_last_one_had(
    lab: Lab, cluster: Cluster, until: Until, by: str
) -> None:
    lab.settings('controller_options = "--nodelist=n2"')
    (lab.root / "conf" / "work.prototxt").write_text(
        'work { launcher { slurm { max_attempts: 2 extra: "--nodelist=n1" } } }\n'
    )
    lab.sweep({"x": 1, "do": "fail"}, {"x": 2, "do": "wait"}, {"x": 3, "do": "wait"})
    _launch(lab, "--jobs", "2")
    until(lambda: lab.statuses()[1]["status"] == "DEAD" and lab.ledger.count(2))
    until(lambda: len(_controllers(cluster)) == 2)
    (pid, first) = _begun(lab)[0]
    run = lab.root / "run.py"
    run.write_text(run.read_text().replace("first version", "second version"))

    if by == "its limit":
        cluster.run("scancel", "--signal=USR2", "--batch", first)
    elif by == "a kill":
        os.kill(pid, signal.SIGKILL)
    else:
        cluster.set_node("n2", "down")
        until(lambda: _state(cluster, first) == "NODE_FAIL")
        with contextlib.suppress(ClusterError):  # it came back by itself
            cluster.set_node("n2", "resume")
    until(lambda: len(_begun(lab)) == 2)

    assert _begun(lab)[1][1] != first
    lab.allow()
    until(lambda: lab.statuses()[3]["status"] == "DONE")
    until(lambda: not _controllers(cluster))
    # What was dead for good isn't started again, what ran isn't either, and an edit reaches none.
    assert sorted(lab.ledger) == [1, 1, 2, 3]
    assert lab.statuses()[1]["status"] == "DEAD"
    assert lab.result(3)["note"] == "first version"


def test_what_fails_after_a_hand_over_is_tried_again_as_its_launcher_says(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    (lab.root / "conf" / "work.prototxt").write_text("work { launcher { slurm { max_attempts: 3 } } }\n")
    lab.sweep({"x": 1, "do": "fail"})
    run = lab.root / "run.py"
    run.write_text(run.read_text().replace('raise ValueError("boom")', 'wait("go")\n        raise ValueError("boom")'))
    _launch(lab)
    until(lambda: lab.ledger == [1] and len(_controllers(cluster)) == 2)

    cluster.run("scancel", "--signal=USR2", "--batch", _begun(lab)[0][1])
    until(lambda: len(_begun(lab)) == 2)
    lab.allow()
    until(lambda: not _controllers(cluster))

    assert lab.ledger == [1, 1, 1]
    assert lab.statuses()[1]["status"] == "DEAD"


def test_a_controller_that_is_cancelled_by_hand_ends_with_the_next_one_and_leaves_its_jobs(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    lab.sweep({"x": 1, "do": "wait"})
    _launch(lab)
    until(lambda: lab.ledger == [1] and len(_controllers(cluster)) == 2)

    cluster.run("scancel", _begun(lab)[0][1])
    until(lambda: not _controllers(cluster))

    status = lab.heyhi("status").stdout
    assert lab.statuses()[1]["status"] == "RUNNING"
    assert "no controller has it: it goes on by itself" in status
    assert len(_begun(lab)) == 1


def test_cancel_ends_a_controller_the_next_one_and_their_experiments(lab: Lab, cluster: Cluster, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2, "do": "wait"})
    _launch(lab)
    until(lambda: len(lab.ledger) == 2 and len(_controllers(cluster)) == 2)
    both = sorted(_controllers(cluster), key=int)

    done = lab.heyhi("cancel", "--force", "conf/sweep.py")

    assert done.returncode == 0, done.stdout + done.stderr
    assert all(job in done.stdout for job in both)
    until(lambda: not cluster.run("squeue", "-h", "-t", "PD,R").strip())
    assert len(_begun(lab)) == 1


def test_a_controller_that_waits_in_the_queue_is_said_to_and_can_be_cancelled(lab: Lab, cluster: Cluster) -> None:
    with cluster.closed():
        said = _launch(lab)
        (job,) = _controllers(cluster)

        assert f"the controller's job {job} waits in the queue" in said
        (line,) = [line for line in lab.heyhi("status").stdout.splitlines() if f"controller job {job} (waits" in line]
        assert line.endswith("is to run it; nothing more is submitted until then")
        done = lab.heyhi("cancel", "--force", "conf/sweep.py")
        assert done.returncode == 0, done.stdout + done.stderr
        assert _controllers(cluster) == []


@pytest.mark.parametrize(
    ("sbatch", "says"),
    [("", "has no sbatch"), ("echo 'sbatch: error: Access/permission denied' >&2; exit 1", "permission denied")],
)
def test_a_node_that_can_not_submit_ends_the_launch_with_one_clear_line(
    lab: Lab, sbatch: str, says: str, cluster: Cluster
) -> None:
    programs = _programs(lab)
    if sbatch:
        (programs / "sbatch").write_text(f"#!/bin/sh\n{sbatch}\n")
        (programs / "sbatch").chmod(0o755)
    lab.settings(f'controller_options = "--export=ALL,PATH={programs}"')

    said = _launch(lab, code=1)

    assert "nothing was submitted or started: the controller ended at" in said
    assert says in said and "--controller local stays on this machine" in said
    assert _controllers(cluster) == []
    assert "ended at" in (status := lab.heyhi("status").stdout) and says in status


def test_a_cluster_that_takes_no_jobs_from_nodes_is_found_out_before_anything_is_submitted(
    lab: Lab, cluster: Cluster
) -> None:
    cluster.run("scontrol", "update", "PartitionName=main", "AllocNodes=login1,login2")
    try:
        said = [_launch(lab, *words, code=2) for words in ([], ["--dry-run"])]
    finally:
        cluster.run("scontrol", "update", "PartitionName=main", "AllocNodes=ALL")

    for one in said:
        assert "partition 'main' takes jobs from login1,login2 alone" in one
        # The other ways would be refused here, too.
        assert "launch from one of these, with --controller local or none" in one
    assert not list(lab.root.glob("results/.heyhi/launches/*"))
    assert not list(lab.root.glob("results/.heyhi/controllers/*"))
    assert _controllers(cluster) == []


def test_a_limit_that_leaves_no_place_for_an_experiment_is_refused_unless_the_controller_has_another_one(
    lab: Lab, cluster: Cluster
) -> None:
    (lab.root / "conf" / "work.prototxt").write_text('work { launcher { slurm { qos: "small" } } }\n')
    lab.sweep({"x": 1}, {"x": 2})

    for words in ([], ["--dry-run"]):
        said = _launch(lab, *words, code=2)
        assert "QOS 'small' lets 2 jobs wait or run at once (MaxSubmitJobsPU)" in said
        assert "no experiment could ever run" in said and "controller_options" in said
    assert _controllers(cluster) == [] and not list(lab.root.glob("results/.heyhi/controllers/*"))

    lab.settings('controller_options = "--qos=normal"')
    assert "the controller would be a job of the default partition, 1 h" in _launch(lab, "--dry-run")
    lab.settings('controller_options = "--qos=normal --partition=long"')
    assert "the controller would be a job of partition 'long', 24 h" in _launch(lab, "--dry-run")


def test_a_limit_counts_the_controller_and_the_next_one(lab: Lab, cluster: Cluster) -> None:
    cluster.run("sacctmgr", "-i", "modify", "qos", "small", "set", "MaxSubmitJobsPerUser=4")
    (lab.root / "conf" / "work.prototxt").write_text('work { launcher { slurm { qos: "small" } } }\n')
    lab.sweep({"x": 1}, {"x": 2}, {"x": 3})
    try:
        said = _launch(lab, "--dry-run")
        alone = lab.heyhi("launch", "--dry-run").stdout
    finally:
        cluster.run("sacctmgr", "-i", "modify", "qos", "small", "set", "MaxSubmitJobsPerUser=2")

    assert "lets 4 wait or run at once (MaxSubmitJobsPU, and 2 are the controller and the next one)" in said
    assert "wait or run at once" not in alone


def test_an_option_that_slurm_refuses_is_named_with_its_setting_before_anything_is_written(
    lab: Lab, cluster: Cluster
) -> None:
    lab.settings('controller_options = "--partition=nope"')
    for words in ([], ["--dry-run"]):
        said = _launch(lab, *words, code=2)
        assert "[tool.heyhi] controller_options='--partition=nope'" in said and "invalid partition" in said
    lab.settings('controller_options = "--nodes=3"')
    said = _launch(lab, code=2)
    assert "controller_options='--nodes=3'" in said and "to start" not in said
    lab.settings("")
    said = _launch(lab, "--dry-run", "--foreground", code=2)
    assert "--foreground" in said and "would start" not in said
    assert not list(lab.root.glob("results/.heyhi/controllers/*"))


@pytest.mark.parametrize("what", ["pyproject.toml", "conf", "profiles"])
def test_a_project_that_can_not_be_read_at_a_hand_over_is_looked_at_again(
    lab: Lab, cluster: Cluster, until: Until, what: str
) -> None:
    lab.sweep({"x": 1, "do": "wait"})
    _launch(lab)
    until(lambda: lab.ledger == [1] and len(_controllers(cluster)) == 2)

    (lab.root / what).rename(lab.root / "aside")
    if what == "pyproject.toml":
        (lab.root / what).write_text("[tool.heyhi\n")
    cluster.run("scancel", "--signal=USR2", "--batch", _begun(lab)[0][1])
    until(lambda: "the project can't be read, and is looked at again" in _log(lab))
    until(lambda: len(_controllers(cluster)) == 2)  # the next one waits already
    (lab.root / "aside").rename(lab.root / what)
    lab.allow()
    until(lambda: not _controllers(cluster))

    assert len(_begun(lab)) == 2 and lab.ledger == [1]
    assert lab.statuses()[1]["status"] == "DONE"
    assert (lab.root / "results/reports/sweep.csv").exists()
    # One table, at the end: the next controller makes it.
    assert _log(lab).count("table: ") == 1 and "Terminating" not in _log(lab)


def test_whoever_is_to_be_told_is_told_why_no_controller_goes_on(lab: Lab, cluster: Cluster, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"})
    with listening() as listener:
        _launch(lab, "--notify", listener.url)
        until(lambda: lab.ledger == [1] and len(_controllers(cluster)) == 2)
        (note,) = lab.root.glob("results/.heyhi/controllers/*/controller.json")
        note.write_text("{")
        cluster.run("scancel", "--signal=USR2", "--batch", _begun(lab)[0][1])
        until(lambda: not _controllers(cluster) and listener.got)

    assert listener.events == ["end"]
    assert "what the controller was told can't be read" in listener.got[0].form["text"]
    assert _log(lab).endswith("exit code 1\n")
    lab.allow()


def test_a_controller_that_begins_after_a_cancel_is_none(lab: Lab, cluster: Cluster, until: Until) -> None:
    programs = lab.root / "bin"
    programs.mkdir()
    (programs / "scancel").write_text("#!/bin/sh\nexit 1\n")
    (programs / "scancel").chmod(0o755)
    with cluster.closed():
        _launch(lab)
        path = lab.env["PATH"]
        lab.env["PATH"] = f"{programs}:{path}"
        assert lab.heyhi("cancel", "--force", "conf/sweep.py").returncode == 1
        lab.env["PATH"] = path
    until(lambda: not _controllers(cluster))

    assert lab.ledger == [] and "heyhi cancel has ended what this controller is for" in _log(lab)
    assert "the last one was cancelled at" in lab.heyhi("status").stdout
    _launch(lab)
    until(lambda: lab.ledger == [1])


def test_cancel_just_after_a_hand_over_ends_it_and_status_says_so(lab: Lab, cluster: Cluster, until: Until) -> None:
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2, "do": "wait"})
    _launch(lab, "--jobs", "1")
    until(lambda: lab.ledger == [1] and len(_controllers(cluster)) == 2)

    cluster.run("scancel", "--signal=USR2", "--batch", _begun(lab)[0][1])
    until(lambda: len(_begun(lab)) == 2)
    assert lab.heyhi("cancel", "--force", "conf/sweep.py").returncode == 0
    until(lambda: not _controllers(cluster))

    assert "the last one was cancelled at" in lab.heyhi("status").stdout
    assert lab.ledger == [1]


def test_the_same_launch_with_the_same_jobs_says_nothing_of_them(lab: Lab, cluster: Cluster) -> None:
    lab.sweep({"x": 1, "do": "wait"})
    with cluster.closed():
        _launch(lab, "--jobs", "3")
        assert "left out" not in _launch(lab, "--jobs", "3")
        assert "--jobs 4 was left out" in _launch(lab, "--jobs", "4")
        lab.heyhi("cancel", "--force", "conf/sweep.py")


def test_a_retry_that_its_node_refuses_is_told_of_by_status(lab: Lab, cluster: Cluster, until: Until) -> None:
    lab.sweep({"x": 1, "do": "fail"})
    _launch(lab)
    until(lambda: not _controllers(cluster))
    assert "the last one" not in lab.heyhi("status", "conf/sweep.py").stdout  # its own records say all
    lab.settings(f'controller_options = "--export=ALL,PATH={_programs(lab)}"')
    done = lab.heyhi("retry", "--dead", "--controller", "slurm", "conf/sweep.py")
    assert done.returncode == 1, done.stdout + done.stderr

    status = lab.heyhi("status", "conf/sweep.py").stdout
    assert "the last one ended at" in status and "has no sbatch" in status


def test_a_setting_makes_launches_on_slurm_do_so_and_no_others(lab: Lab, cluster: Cluster, until: Until) -> None:
    lab.settings('controller = "slurm"\ncontroller_hours = 0.5\ncontroller_options = "--partition=long --mem=700M"')

    assert "started controller job" in lab.heyhi("launch").stdout
    until(lambda: lab.statuses()[1]["status"] == "DONE" and not _controllers(cluster))

    job = _begun(lab)[0][1]
    asked = ("sacct", "-n", "-X", "-P", "-j", job, "-o", "Partition,ReqMem,Timelimit,ReqCPUS")
    until(lambda: cluster.run(*asked).strip() == "long|700M|00:30:00|1")  # accounts come a little late
    lab.sweep({"x": 2})
    assert "started controller pid" in lab.heyhi("launch", "--profile", "local").stdout
    until(lambda: lab.statuses("conf/sweep.py")[2]["status"] == "DONE")


def test_the_next_controller_leaves_its_place_where_a_limit_has_none_for_experiments(
    lab: Lab, cluster: Cluster, until: Until
) -> None:
    (lab.root / "conf" / "work.prototxt").write_text('work { launcher { slurm { qos: "small" } } }\n')
    lab.sweep({"x": 1}, {"x": 2})
    limit = ("sacctmgr", "-i", "modify", "qos", "small", "set")
    cluster.run(*limit, "MaxSubmitJobsPerUser=3")
    try:
        with cluster.closed():
            _launch(lab)
            cluster.run(*limit, "MaxSubmitJobsPerUser=2")
        until(lambda: not _controllers(cluster))
    finally:
        cluster.run(*limit, "MaxSubmitJobsPerUser=2")

    assert "the next controller, leaves its place to experiments" in _log(lab)
    assert {x: row["status"] for x, row in lab.statuses().items()} == {1: "DONE", 2: "DONE"}
