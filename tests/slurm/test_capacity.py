"""What `heyhi plan` says of a real cluster before anything is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heyhi.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Plan some of this tree's experiments; return what is said of their jobs."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path))

    def run(*words: str, **fields: object) -> list[str]:
        overrides = [f"launcher.slurm.{name}={value}" for name, value in fields.items()]
        assert main(["plan", "--cfg", "c02_sup_train/sl", "I.launcher=slurm", *overrides, *words]) == 0
        lines = capsys.readouterr().out.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("mode "))
        assert lines[-1].startswith("launch: snakemake --profile profiles/slurm ")
        return lines[start + 1 : -1]

    return run


def test_what_the_cluster_takes_is_only_counted(plan: Any, cluster: Any) -> None:
    assert plan("--sweep", "seed=range(3)", num_gpus=16, hours=0.5, requeue=False) == [
        "Slurm: 3 experiments in 3 jobs, at most 24 GPU-hours and 24 CPU-hours"
    ]
    assert not cluster.jobs()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"partition": "mian"}, "Invalid partition name specified (did you mean 'main'?)"),
        ({"account": "nobody"}, "Invalid account or account/partition combination specified (account 'nobody')"),
        ({"account": "closed"}, "Invalid account or account/partition combination specified (account 'closed')"),
        ({"qos": "nope"}, "Invalid qos specification (qos 'nope')"),
        ({"qos": "short"}, "(QOS 'short' lets jobs run for 00:05:00)"),
        ({"hours": 3}, "(hours=3; partition 'main' allows 01:00:00)"),
        ({"constraint": "h100"}, "Invalid feature specification (constraint 'h100')"),
        (
            {"num_gpus": 32},
            "(asked for 4 nodes with 8 GPUs, 8 cores and 16 GB each;"
            " partition 'main' has 3 nodes with 8 GPUs, 64 cores and 250 GB)",
        ),
        ({"num_gpus": 9, "gpus_per_node": 9}, "(asked for 1 node with 9 GPUs, 9 cores and 18 GB each;"),
        ({"mem_per_gpu": 300}, "(asked for 1 node with 0 GPUs, 1 core and 300 GB each;"),
        ({"cpus_per_gpu": 65}, "(asked for 1 node with 0 GPUs, 65 cores and 2 GB each;"),
        ({"extra": "--no-such-option"}, "unrecognized option '--no-such-option'"),
    ],
)
def test_what_the_cluster_would_refuse_is_said_with_its_reason(plan: Any, fields: dict[str, object], says: str) -> None:
    (line,) = plan(**fields)[1:]
    assert line.startswith("Slurm would refuse p/c02_sup_train/sl/")
    assert says in line


def test_more_jobs_than_a_qos_lets_in_are_a_warning(plan: Any) -> None:
    assert plan("--sweep", "seed=range(2)", qos="small")[1:] == []
    assert plan("--sweep", "seed=range(6)", qos="small", pack=3)[1:] == []
    (line,) = plan("--sweep", "seed=range(3)", qos="small")[1:]
    assert line.startswith("warning: 3 jobs, but QOS 'small' lets 2 wait or run at once (MaxSubmitJobsPU)")


def test_jobs_that_wait_already_take_room_but_refuse_nothing(plan: Any, cluster: Any, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\n")
    for _ in range(2):
        cluster.run("sbatch", "--hold", "--qos=small", "--time=1", "--output=/dev/null", str(script))
    (line,) = plan(qos="small")[1:]
    assert line.startswith(
        "warning: 1 job, but QOS 'small' lets 2 wait or run at once (MaxSubmitJobsPU, and you have 2)"
    )


def test_what_the_cluster_would_take_and_not_start_is_said(plan: Any, cluster: Any) -> None:
    cluster.run("scontrol", "update", "PartitionName=single", "State=DOWN")
    try:
        (line,) = plan(partition="single")[1:]
    finally:
        cluster.run("scontrol", "update", "PartitionName=single", "State=UP")
    assert line.endswith("and not start it: partition 'single' is DOWN")


def test_nodes_that_are_down_now_are_no_refusal(plan: Any, cluster: Any) -> None:
    cluster.set_node("n1", "drain")
    try:
        (line,) = plan(partition="single", num_gpus=8)[1:]
    finally:
        cluster.set_node("n1", "resume")
    assert line.startswith("warning: Slurm can't start p/")
    assert "(1 drained): it would wait" in line


def test_a_cluster_that_does_not_answer_is_one_line(plan: Any, cluster: Any) -> None:
    cluster.kill_slurmctld()
    try:
        lines = plan(requeue=False)
    finally:
        cluster.start_slurmctld()
    assert lines[0] == "Slurm: 1 experiment in 1 job, at most 0 GPU-hours and 1 CPU-hours"
    (line,) = lines[1:]
    assert line.startswith("sbatch is here, but Slurm's controller (")
    assert line.endswith(") doesn't answer: nothing can be handed over now")
