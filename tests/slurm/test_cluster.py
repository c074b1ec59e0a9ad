"""The test cluster does what a real one does to jobs; other tests lean on it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from . import cluster as slurm_cluster
from .cluster import Cluster, ClusterError, wait_until


@pytest.fixture
def submit(cluster: Any, tmp_path: Path) -> Any:
    def submit_it(script: str, *options: str) -> str:
        return cluster.run("sbatch", "--parsable", f"--output={tmp_path}/%j.txt", *options, f"--wrap={script}")

    return submit_it


def has_state(cluster: Any, job: str, state: str) -> None:
    """Wait until accounting has a state."""
    wait_until(lambda: cluster.accounting(job).get("State", "").split()[:1] == [state], f"{job} is {state}")


def is_running(cluster: Any, job: str) -> None:
    wait_until(lambda: cluster.run("squeue", "-h", "-j", job, "-o", "%T") == "RUNNING", f"{job} runs")


def wrote(path: Path, text: str) -> None:
    """Wait until a job wrote something: only then its script is surely at work."""
    wait_until(lambda: path.exists() and text in path.read_text(), f"{path.name} has {text!r}")


def test_starting_a_cluster_that_is_up_says_so(cluster: Any) -> None:
    assert cluster.start() is False
    shown = subprocess.run(
        [sys.executable, slurm_cluster.__file__, "up", cluster.folder], capture_output=True, text=True, check=True
    )
    assert "up already" in shown.stdout
    assert f"export SLURM_CONF={cluster.conf}" in shown.stdout


def test_a_job_is_in_accounting_with_its_state_and_exit_code(cluster: Any, submit: Any) -> None:
    good, bad = submit("true", "--comment=so it is called"), submit("exit 7")
    has_state(cluster, good, "COMPLETED")
    has_state(cluster, bad, "FAILED")
    assert cluster.accounting(good)["ExitCode"] == "0:0"
    assert cluster.accounting(good)["Comment"] == "so it is called"
    assert cluster.accounting(bad)["ExitCode"] == "7:0"


def test_a_job_gets_all_gpus_of_two_nodes(cluster: Any, submit: Any, tmp_path: Path) -> None:
    job = submit("srun env", "--nodes=2", "--ntasks-per-node=8", "--gpus-per-node=8", "--mem-per-gpu=4G")
    has_state(cluster, job, "COMPLETED")
    assert "gres/gpu=16" in cluster.accounting(job)["AllocTRES"]
    said = (tmp_path / f"{job}.txt").read_text()
    assert {line for line in said.splitlines() if line.startswith("SLURM_PROCID=")} == {
        f"SLURM_PROCID={rank}" for rank in range(16)
    }
    assert said.count("CUDA_VISIBLE_DEVICES=0,1,2,3,4,5,6,7") == 16


def test_a_job_of_the_partition_preempt_starts_again_after_it_was_pushed_out(
    cluster: Any, submit: Any, tmp_path: Path
) -> None:
    script = "echo restart=${SLURM_RESTART_COUNT:-0}; sleep 600"
    low = submit(script, "-p", "preempt", "--open-mode=append", "-w", "n1", "--gpus-per-node=8")
    wrote(tmp_path / f"{low}.txt", "restart=0")
    high = submit("sleep 5", "-p", "high", "-w", "n1", "--gpus-per-node=8")
    has_state(cluster, high, "COMPLETED")
    wrote(tmp_path / f"{low}.txt", "restart=1")
    attempts = ["sacct", "-n", "-X", "-D", "-j", low, "-o", "State"]
    wait_until(lambda: cluster.run(*attempts).split() == ["PREEMPTED", "RUNNING"], "accounting has both attempts")


def test_a_job_of_the_partition_scavenge_is_over_when_it_was_pushed_out(
    cluster: Any, submit: Any, tmp_path: Path
) -> None:
    low = submit("echo begun; sleep 600", "-p", "scavenge", "-w", "n1", "--gpus-per-node=8")
    wrote(tmp_path / f"{low}.txt", "begun")
    submit("true", "-p", "high", "-w", "n1", "--gpus-per-node=8")
    has_state(cluster, low, "PREEMPTED")


def test_a_job_that_uses_more_memory_than_it_asked_for_is_killed_but_not_called_out_of_memory(
    cluster: Any, submit: Any
) -> None:
    eater = f"{sys.executable} -c \"x = b'1' * 300_000_000; import time; time.sleep(600)\""
    job = submit(eater, "--mem=50M")
    has_state(cluster, job, "FAILED")  # OUT_OF_MEMORY takes cgroups: README.md
    assert cluster.accounting(job)["ExitCode"] == "0:9"


@pytest.mark.slow
def test_a_job_ends_at_its_time_limit(cluster: Any, submit: Any) -> None:
    has_state(cluster, submit("sleep 600", "--time=1"), "TIMEOUT")


def test_the_queue_outlives_the_controller(cluster: Any, submit: Any, tmp_path: Path) -> None:
    running = submit("echo begun; sleep 600")
    wrote(tmp_path / f"{running}.txt", "begun")
    waiting = submit("true", "--begin=now+1hour")
    cluster.wait_saved(time.time())
    cluster.kill_slurmctld()
    with pytest.raises(ClusterError):
        cluster.run("squeue")
    cluster.start_slurmctld()
    assert set(cluster.jobs()) == {running, waiting}
    is_running(cluster, running)


@pytest.mark.slow
@pytest.mark.parametrize(("option", "state"), [("--no-requeue", "NODE_FAIL"), ("--requeue", "again")])
def test_the_jobs_of_a_node_that_died_fail_or_start_again_elsewhere(
    cluster: Any, submit: Any, tmp_path: Path, option: str, state: str
) -> None:
    script = "echo restart=${SLURM_RESTART_COUNT:-0} on $SLURMD_NODENAME; sleep 600"
    job = submit(script, option, "--open-mode=append")
    wrote(tmp_path / f"{job}.txt", "restart=0")
    node = cluster.run("squeue", "-h", "-j", job, "-o", "%N")
    cluster.kill_slurmd(node, jobs=True)
    wait_until(lambda: node in cluster.down_nodes(), f"{node} is down")
    if state == "NODE_FAIL":
        has_state(cluster, job, "NODE_FAIL")
    else:
        wrote(tmp_path / f"{job}.txt", "restart=1")
        assert f"restart=1 on {node}" not in (tmp_path / f"{job}.txt").read_text()
    cluster.start_slurmd(node)


def test_a_node_that_is_set_down_takes_no_jobs_until_it_is_resumed(cluster: Any, submit: Any) -> None:
    cluster.set_node("n1", "down")
    assert cluster.down_nodes() == ["n1"]
    job = submit("true", "-w", "n1")
    cluster.set_node("n1", "resume")
    has_state(cluster, job, "COMPLETED")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--account=unknown", "Invalid account"),
        ("--account=closed", "Invalid account"),
        ("--qos=unknown", "Invalid qos"),
        ("--partition=unknown", "invalid partition"),
        ("--time=2:00:00", "time limit"),
        ("--qos=short --time=10", "QOSMaxWallDurationPerJobLimit"),
        ("--mem=300G", "Memory"),
        ("--gpus-per-node=9", "node configuration"),
        ("--partition=single --nodes=2", "[Nn]ode"),
    ],
)
def test_a_job_is_refused(submit: Any, options: str, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        submit("true", *options.split())


def test_the_small_qos_refuses_a_third_job(submit: Any) -> None:
    for _ in range(2):
        submit("true", "--qos=small", "--begin=now+1hour")
    with pytest.raises(ClusterError, match=r"MaxSubmitJobsPerUser|QOSMaxSubmitJobPerUserLimit"):
        submit("true", "--qos=small", "--begin=now+1hour")


def test_a_second_cluster_beside_it_comes_up_again_after_everything_was_killed(
    cluster: Any, submit: Any, short_folder: Path
) -> None:
    first = submit("sleep 600")
    second = Cluster(short_folder / "c")
    try:
        assert second.start()
        assert second.jobs() == []
        job = second.run("sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 600")
        is_running(second, job)
        second.kill_all()
        assert not second.is_up()
        is_running(cluster, first)
        assert second.start()
        assert second.jobs() == [job]
        assert second.stop()
        assert second.stop() is False
        assert second.leftovers() == []
        is_running(cluster, first)
    finally:
        second.stop(wipe=True)
    assert not second.folder.exists()


def test_a_process_that_got_the_number_of_a_daemon_is_left_alone(short_folder: Path) -> None:
    other = subprocess.Popen(["sleep", "600"])
    try:
        run = short_folder / "c" / "run"
        run.mkdir(parents=True)
        (run / "slurmctld.started").write_text(f"{other.pid} 12345")
        assert Cluster(short_folder / "c").stop() is False
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_the_default_place_is_linked_only_where_nothing_is_and_unlinked_only_if_ours(
    short_folder: Path, tmp_path: Path
) -> None:
    ours, theirs = Cluster(short_folder / "ours"), Cluster(short_folder / "theirs")
    place = tmp_path / "slurm.conf"
    ours.link_default(place)
    ours.link_default(place)
    theirs.unlink_default(place)
    assert place.is_symlink()
    with pytest.raises(ClusterError, match="left as it is"):
        theirs.link_default(place)
    ours.unlink_default(place)
    assert not place.is_symlink()
    place.write_text("a site's own")
    with pytest.raises(ClusterError, match="left as it is"):
        ours.link_default(place)
    ours.unlink_default(place)
    assert place.read_text() == "a site's own"


def test_a_folder_with_other_things_or_a_long_name_is_refused(tmp_path: Path, short_folder: Path) -> None:
    (short_folder / "c").mkdir()
    (short_folder / "c" / "thesis.tex").touch()
    with pytest.raises(ClusterError, match="holds something else"):
        Cluster(short_folder / "c").start()
    with pytest.raises(ClusterError, match="too long"):
        Cluster(tmp_path / ("x" * 100)).start()
    assert not (tmp_path / ("x" * 100)).exists()
