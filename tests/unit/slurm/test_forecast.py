"""What a launch may cost, and what its lines make of Slurm's answers; a real cluster is asked in tests/slurm."""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import Any

import pytest

from heyhi.config.compose import Composer
from heyhi.config.schema import load_schema
from heyhi.project import Project, Settings
from heyhi.slurm.cluster import (
    Accounts,
    Association,
    Nodes,
    Partition,
    Qos,
    QueuedJob,
    minutes_of,
    parse_associations,
    parse_nodes,
    parse_partitions,
    parse_qos,
    parse_queue,
)
from heyhi.slurm.cost import cost_line, cost_of
from heyhi.slurm.forecast import capacity_lines
from heyhi.slurm.limits import Limit, hint, limit_line, limits_on, wait_of, would_fit
from heyhi.slurm.request import request_of

# --- what the commands print (Slurm 22.05) ------------------------------------------------------------------------

PARTITIONS = """\
PartitionName=main AllowGroups=ALL AllowAccounts=ALL Default=YES QoS=N/A DefaultTime=00:10:00 MaxNodes=UNLIMITED \
MaxTime=01:00:00 MinNodes=0 Nodes=n[1-3] State=UP TotalCPUs=192 TotalNodes=3 TRES=cpu=192,mem=750G,gres/gpu=24
PartitionName=long AllowGroups=ALL AllowAccounts=ALL Default=NO QoS=few DefaultTime=00:10:00 MaxNodes=2 \
MaxTime=1-00:00:00 MinNodes=0 Nodes=n[1-3] State=DRAIN TotalCPUs=192 TotalNodes=3
"""
NODES = """\
main|2|64|256000|gpu:8|idle
main|1|64+|512000|gpu:a100:4(S:0-1),gpu:v100:4,nic:2|drained
long|3|64|256000|(null)|mixed
"""
QOS = "normal||||\nsmall||2||\nshort|00:05:00|||40\nfew||9|20|\n"
USER = "heyhi|acc|acc||normal||10|\nheyhi|other|acc|long||12:00:00|3|\nelsewhere|acc|acc||||1|1\n"

PARSED = parse_partitions(PARTITIONS)
ACCOUNTS = Accounts(parse_associations(USER, "heyhi"), parse_qos(QOS))


@pytest.fixture(scope="module")
def composer() -> Composer:
    project = Project(Path(__file__).resolve().parents[3], Settings())
    return Composer(project, load_schema(project))


@pytest.fixture(scope="module")
def task(composer: Composer) -> Any:
    """Compose a task with the given fields of launcher.slurm."""

    def make(**fields: object) -> Any:
        words = [f"launcher.slurm.{name}={value}" for name, value in fields.items()]
        return composer.compose("c02_sup_train/sl", ["I.launcher=slurm", *words]).task_message

    return make


@pytest.fixture(scope="module")
def asking(task: Any) -> Any:
    def make(**fields: object) -> Any:
        return request_of(task(**fields))

    return make


def test_answers_of_slurm_are_read() -> None:
    assert parse_partitions(PARTITIONS) == [
        Partition("main", True, "01:00:00", None, "UP", ""),
        Partition("long", False, "1-00:00:00", 2, "DRAIN", "few"),
    ]
    assert parse_nodes(NODES) == [
        Nodes("main", 2, 64, 256000, 8, "idle"),
        Nodes("main", 1, 64, 512000, 8, "drained", {"a100": 4, "v100": 4}),
        Nodes("long", 3, 64, 256000, 0, "mixed"),
    ]
    assert ACCOUNTS.associations == [
        Association("acc", "acc", "", "normal", "", "10", ""),
        Association("other", "acc", "long", "", "12:00:00", "3", ""),
    ]
    assert ACCOUNTS.qos["short"] == Qos(
        "short", "00:05:00", {"MaxSubmitJobsPU": "", "MaxSubmitJobsPA": "", "GrpSubmitJobs": "40"}
    )
    assert parse_queue("acc|normal|main,long\n\nslurm error\n") == [QueuedJob("acc", "normal", ("main", "long"))]
    assert parse_partitions("slurm_load_partitions error\n") == parse_nodes("\n") == []


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("01:00:00", 60), ("1-00:00:00", 1440), ("00:00:30", 0.5), ("UNLIMITED", math.inf), ("", math.inf)],
)
def test_time_limits_are_read(limit: str, minutes: float) -> None:
    assert minutes_of(limit) == minutes


# --- what it costs ------------------------------------------------------------------------------------------------


def test_costs_are_gpus_times_hours_and_a_pack_counts_once(asking: Any) -> None:
    cost = cost_of({asking(num_gpus=16, hours=24, cpus_per_gpu=10): 3, asking(cpus_per_gpu=4, pack=4, hours=0.5): 9})
    assert (cost.experiments, cost.jobs) == (12, 6)
    assert cost.gpu_hours == cost.most_gpu_hours == 3 * 16 * 24
    assert cost.cpu_hours == 3 * 160 * 24 + 3 * 4 * 0.5
    assert cost_line(cost, has_requeue=False) == (
        "Slurm: 12 experiments in 6 jobs, at most 1,152 GPU-hours and 11,526 CPU-hours"
    )


def test_attempts_count_with_the_hours_that_each_would_ask_for(asking: Any) -> None:
    cost = cost_of({asking(num_gpus=1, hours=2, max_attempts=3, timeout_hours_factor=2): 1})
    assert (cost.gpu_hours, cost.most_gpu_hours) == (2, 2 + 4 + 8)
    assert cost_line(cost, has_requeue=True) == (
        "Slurm: 1 experiment in 1 job, at most 2 GPU-hours and 2 CPU-hours; 14 GPU-hours and 14 CPU-hours if each"
        " needs all its attempts (more where a job is queued again at its time limit)"
    )


# --- what Slurm takes and doesn't start ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"hours": 1}, ""),
        ({"hours": 1.01}, "partition 'main' lets jobs run for 01:00:00"),
        (
            {"hours": 1.01, "partition": "main,long"},
            "partition 'main' lets jobs run for 01:00:00; partition 'long' is DRAIN",
        ),
        ({"num_gpus": 24, "partition": "long"}, "partition 'long' gives a job at most 2 nodes"),
        ({"hours": 1, "partition": "main,long"}, ""),
        ({"qos": "short"}, "QOS 'short' lets jobs run for 00:05:00"),
        ({"qos": "unknown"}, ""),
    ],
)
def test_a_job_that_would_wait_for_ever_is_told_from_one_that_starts(
    asking: Any, fields: dict[str, object], reason: str
) -> None:
    assert wait_of(asking(**fields), PARSED, ACCOUNTS) == reason


def test_an_accounts_longest_job_counts_in_its_partition(asking: Any) -> None:
    up = [p._replace(state="UP") for p in PARSED]
    assert wait_of(asking(hours=13, partition="long", account="other"), up, ACCOUNTS) == (
        "account 'other' lets jobs run for 12:00:00"
    )
    assert wait_of(asking(hours=12, partition="long", account="other"), up, ACCOUNTS) == ""


def test_nodes_that_are_down_are_told_from_nodes_that_no_partition_has(asking: Any) -> None:
    nodes = parse_nodes(NODES)
    assert would_fit(asking(num_gpus=24), PARSED, nodes)
    assert not would_fit(asking(num_gpus=32), PARSED, nodes)
    assert not would_fit(asking(num_gpus=24, mem_per_gpu=40), PARSED, nodes)  # only one node has as much
    assert would_fit(asking(num_gpus=8, mem_per_gpu=40), PARSED, nodes)
    assert not would_fit(asking(num_gpus=8, partition="long"), PARSED, nodes)
    assert not would_fit(asking(cpus_per_gpu=65), PARSED, nodes)
    assert would_fit(asking(num_gpus=4, gpu_type="A100"), PARSED, nodes)
    assert not would_fit(asking(num_gpus=8, gpu_type="a100"), PARSED, nodes), "no node has as many of that kind"
    assert not would_fit(asking(num_gpus=1, gpu_type="h100"), PARSED, nodes)


@pytest.mark.parametrize(
    ("fields", "reason", "text"),
    [
        ({"partition": "mian"}, "Invalid partition name specified", " (did you mean 'main'?)"),
        ({"partition": "xyz"}, "Invalid partition name specified", " (there are: long, main)"),
        ({"hours": 2}, "Requested time limit is invalid", " (hours=2; partition 'main' allows 01:00:00)"),
        ({"account": "no"}, "Invalid account or account/partition combination specified", " (account 'no')"),
        ({}, "Invalid account or account/partition combination specified", " (no account is set)"),
        ({"constraint": "no"}, "Invalid feature specification", " (constraint 'no')"),
        (
            {"num_gpus": 32, "cpus_per_gpu": 2},
            "Node count specification invalid",
            " (asked for 4 nodes with 8 GPUs, 16 cores and 16 GB each; partition 'main' has 2 nodes with 8 GPUs,"
            " 64 cores and 250 GB; partition 'main' has 1 node with 8 GPUs, 64 cores and 500 GB)",
        ),
        (
            {"num_gpus": 1, "gpu_type": "h100"},
            "Requested node configuration is not available",
            " (asked for 1 node with 1 GPU of kind 'h100', 1 core and 2 GB each; partition 'main' has 2 nodes with"
            " 8 GPUs, 64 cores and 250 GB; partition 'main' has 1 node with 8 GPUs (a100, v100), 64 cores and 500 GB)",
        ),
        ({}, "Invalid node name specified", ""),
    ],
)
def test_a_refusal_is_told_with_what_was_asked_for(
    asking: Any, fields: dict[str, object], reason: str, text: str
) -> None:
    assert hint(asking(**fields), reason, PARSED, parse_nodes(NODES)) == text


# --- limits on the number of jobs ---------------------------------------------------------------------------------


def test_limits_of_account_qos_and_partition_are_found(asking: Any) -> None:
    assert limits_on(asking(), PARSED, ACCOUNTS) == [Limit("MaxSubmitJobs", 10, "account 'acc'", account="acc")]
    assert limits_on(asking(qos="small", account="other", partition="long"), PARSED, ACCOUNTS) == [
        Limit("MaxSubmitJobs", 3, "account 'other'", account="other"),
        Limit("MaxSubmitJobsPU", 2, "QOS 'small'", qos="small"),
        Limit("MaxSubmitJobsPU", 9, "partition 'long'", partition="long"),
        Limit("MaxSubmitJobsPA", 20, "partition 'long'", partition="long"),
    ]
    # In this account only the other partition is open: nothing is known of this one.
    assert limits_on(asking(account="other"), PARSED, ACCOUNTS) == []
    assert limits_on(asking(), PARSED, Accounts()) == []


def test_jobs_that_are_there_already_take_room(asking: Any) -> None:
    queue = parse_queue("acc|small|main\nacc|normal|main,long\nother|small|long\n")
    assert limit_line(Limit("MaxSubmitJobsPU", 4, "QOS 'small'", qos="small"), 2, queue) == ""
    assert limit_line(Limit("MaxSubmitJobsPU", 4, "QOS 'small'", qos="small"), 3, queue) == (
        "warning: 3 jobs, but QOS 'small' lets 4 wait or run at once (MaxSubmitJobsPU, and you have 2):"
        " the others are submitted as these end"
    )
    # Without anybody who stays, nobody submits these later.
    assert limit_line(Limit("MaxSubmitJobsPU", 4, "QOS 'small'", qos="small"), 3, queue, is_attended=False) == (
        "warning: 3 jobs, but QOS 'small' lets 4 wait or run at once (MaxSubmitJobsPU, and you have 2)"
    )
    assert "you have 2" in limit_line(Limit("x", 1, "y", partition="long"), 1, queue)
    assert "you have 2" in limit_line(Limit("x", 1, "y", account="acc"), 1, queue)
    assert "you have" not in limit_line(Limit("x", 1, "y"), 2, ())


def test_a_limit_of_no_jobs_at_all_is_a_refusal() -> None:
    assert limit_line(Limit("MaxSubmitJobsPU", 0, "QOS 'small'"), 1, parse_queue("acc|small|main\n")) == (
        "Slurm would refuse 1 job: QOS 'small' lets none wait or run (MaxSubmitJobsPU is 0)"
    )


# --- asking -------------------------------------------------------------------------------------------------------


def _program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def slurm_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that stand for Slurm's; the real ones aren't found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    for name in ("sbatch", "scontrol", "sacctmgr", "squeue", "sinfo"):
        _program(folder, name, f"echo $0 >> {tmp_path}/asked; exit 1")
    return folder


def test_without_slurm_launchers_nothing_is_said_nor_asked(
    composer: Composer, slurm_here: Path, tmp_path: Path
) -> None:
    local = composer.compose("c02_sup_train/sl", ["I.launcher=local"]).task_message
    assert capacity_lines([("a", local)] * 3) == []
    assert not (tmp_path / "asked").exists()


def test_without_slurms_commands_the_cost_is_said_and_that_nothing_can_be_handed_over(
    task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert capacity_lines([("a", task(num_gpus=8, requeue=False))]) == [
        "Slurm: 1 experiment in 1 job, at most 8 GPU-hours and 8 CPU-hours",
        "this machine has no sbatch, by which Slurm takes jobs: nothing can be handed over from here",
    ]


def test_a_launcher_that_asks_for_the_impossible_is_named_beside_the_others(
    task: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lines = capacity_lines([("a", task(num_gpus=12)), ("b", task(num_gpus=12)), ("c", task())])
    assert lines[0].startswith("2 experiments, the first a: launcher.slurm.num_gpus=12: above 8")
    assert lines[1].startswith("Slurm: 1 experiment in 1 job")


@pytest.mark.parametrize(
    "script",
    [
        "echo 'allocation failure: Unable to contact slurm controller (connect failure)' >&2; exit 1",
        "echo 'sbatch: fatal: Could not establish a configuration source' >&2; exit 1",
        "exec /bin/sleep 100",
    ],
)
def test_a_slurm_that_does_not_answer_is_one_line(task: Any, slurm_here: Path, script: str) -> None:
    _program(slurm_here, "sbatch", script)
    lines = capacity_lines([("a", task(requeue=False))] * 2, answer_seconds=0.2)
    assert lines[1:] == ["Slurm doesn't answer within seconds: what it would refuse isn't known"]


def test_each_kind_of_job_is_asked_about_once(task: Any, slurm_here: Path, tmp_path: Path) -> None:
    _program(slurm_here, "sbatch", f"echo x >> {tmp_path}/asked; echo 'allocation failure: No' >&2; exit 1")
    tasks = [("a", task(comment=c, max_attempts=n)) for c in ("x", "y") for n in (1, 2)]
    lines = capacity_lines([*tasks, ("b", task(hours=0.5))])
    assert lines[1:3] == ["Slurm would refuse 4 experiments, the first a: No", "Slurm would refuse b: No"]
    assert (tmp_path / "asked").read_text().count("x\n") == 2


def test_many_kinds_of_refused_jobs_are_not_all_listed(task: Any, slurm_here: Path) -> None:
    _program(slurm_here, "sbatch", "echo 'allocation failure: No' >&2; exit 1")
    lines = capacity_lines([(f"e{n}", task(hours=n)) for n in range(1, 15)])
    assert len([line for line in lines if "would refuse e" in line]) == 10
    assert "… and 4 more kinds of jobs like these" in lines
    lines = capacity_lines([(f"e{n}", task(hours=n)) for n in range(1, 12)])
    assert "… and 1 more kind of jobs like these" in lines


def test_a_full_queue_is_no_refusal(task: Any, slurm_here: Path) -> None:
    _program(slurm_here, "sbatch", "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1")
    assert not any(line.startswith("Slurm would refuse") for line in capacity_lines([("a", task())]))


def test_accounting_that_does_not_answer_hides_no_refusal(task: Any, slurm_here: Path) -> None:
    _program(slurm_here, "sbatch", "case $* in *--time=60*) exit 0;; esac; echo 'allocation failure: No' >&2; exit 1")
    _program(slurm_here, "scontrol", "echo 'AccountingStorageEnforce = associations,limits'")
    lines = capacity_lines([("a", task()), ("b", task(hours=2))])
    assert lines[1:] == [
        "Slurm would refuse b: No",
        "Slurm's accounting doesn't answer within seconds: its limits aren't known",
    ]
