from __future__ import annotations

import copy
import dataclasses
import inspect
import os
import pickle
from pathlib import Path

import pytest

from heyhi.job_env import (
    JobEnv,
    first_host,
    get_job_env,
    get_slurm_job_id,
    get_slurm_master,
    hosts_of,
    is_adhoc,
    is_master,
    is_on_slurm,
    reset_slurm_cache,
)


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SLURM_") or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name)


def set_env(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_outside_slurm_a_process_is_alone() -> None:
    env = get_job_env()
    assert (env.job_id, env.rank, env.world_size, env.local_rank, env.restart_count) == (None, 0, 1, 0, 0)
    assert env.hostname and not env.is_slurm and not is_on_slurm() and is_master()
    assert get_slurm_job_id() is None and get_slurm_master() == "localhost"
    reset_slurm_cache()


def test_the_facts_are_a_dataclass() -> None:
    env = get_job_env()
    names = [one.name for one in dataclasses.fields(env)]
    assert dataclasses.is_dataclass(env) and names == list(inspect.signature(JobEnv).parameters)
    assert names[:3] == ["hostname", "job_id", "rank"] and "global_rank" not in names
    assert dataclasses.asdict(env) == {name: getattr(env, name) for name in names}
    assert JobEnv(**dataclasses.asdict(env)) == JobEnv(*dataclasses.astuple(env)) == env
    other = dataclasses.replace(env, rank=1)
    assert (other.global_rank, env.rank) == (1, 0) and other != env
    for same in (get_job_env(), copy.copy(env), copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert (same, hash(same), repr(same)) == (env, hash(env), repr(env))
    assert repr(env).startswith(f"JobEnv(hostname={env.hostname!r}, job_id=None, rank=0, world_size=1,")
    with pytest.raises(dataclasses.FrozenInstanceError):
        env.rank = 1  # type: ignore[misc]


def test_a_slurm_task_knows_its_job_and_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(
        monkeypatch,
        SLURM_JOB_ID="12",
        SLURM_PROCID="9",
        SLURM_NTASKS="16",
        SLURM_LOCALID="1",
        SLURM_RESTART_COUNT="2",
        SLURM_JOB_NODELIST="gpu[07-09,12],cpu1",
    )
    env = get_job_env()
    assert (env.job_id, env.rank, env.world_size, env.local_rank, env.restart_count) == ("12", 9, 16, 1, 2)
    assert (env.global_rank, env.num_tasks) == (9, 16)
    assert env.is_slurm and not is_master() and get_slurm_master() == "gpu07"


def test_a_task_of_an_array_has_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, SLURM_JOB_ID="14", SLURM_ARRAY_JOB_ID="12", SLURM_ARRAY_TASK_ID="2")
    assert get_slurm_job_id() == "12_2"


def test_a_shell_inside_an_allocation_is_not_on_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, SLURM_JOB_ID="12")
    assert not is_on_slurm()


def test_torchrun_below_a_slurm_task_says_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, SLURM_JOB_ID="12", SLURM_PROCID="0", SLURM_NTASKS="1")
    set_env(monkeypatch, RANK="3", WORLD_SIZE="8", LOCAL_RANK="3")
    env = get_job_env()
    assert (env.rank, env.world_size, env.local_rank) == (3, 8, 3) and not is_master()


def test_a_job_knows_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = get_job_env()
    assert (alone.num_nodes, alone.node, alone.hostnames) == (1, 0, [alone.hostname])
    set_env(monkeypatch, SLURM_JOB_ID="12", SLURM_PROCID="9", SLURM_NODEID="2")
    set_env(monkeypatch, SLURM_JOB_NUM_NODES="4", SLURM_JOB_NODELIST="gpu[07-09],cpu1")
    env = get_job_env()
    assert (env.num_nodes, env.node, env.hostnames) == (4, 2, ["gpu07", "gpu08", "gpu09", "cpu1"])


def test_torchrun_says_how_many_nodes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", LOCAL_WORLD_SIZE="4", GROUP_RANK="1")
    assert (get_job_env().num_nodes, get_job_env().node) == (2, 1)


@pytest.mark.parametrize(
    ("nodelist", "hosts"),
    [
        ("", []),
        ("node1", ["node1"]),
        ("gpu[3-5,7]", ["gpu3", "gpu4", "gpu5", "gpu7"]),
        ("gpu[098-101],cpu[1-2]", ["gpu098", "gpu099", "gpu100", "gpu101", "cpu1", "cpu2"]),
        ("rack[2-3]node[10,12]-ib,x", [*(f"rack{r}node{n}-ib" for r in (2, 3) for n in (10, 12)), "x"]),
    ],
)
def test_the_hosts_of_a_node_list(nodelist: str, hosts: list[str]) -> None:
    assert hosts_of(nodelist) == hosts
    assert first_host(nodelist) == (hosts[0] if hosts else "")


def test_a_variable_that_is_no_number_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    set_env(monkeypatch, SLURM_RESTART_COUNT="", SLURM_PROCID="x")
    assert get_job_env().restart_count == 0 and get_job_env().rank == 0


@pytest.mark.parametrize(
    ("nodelist", "host"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("gpu[3-5]", "gpu3"),
        ("gpu[003,005-9],cpu[1-2]", "gpu003"),
        ("rack[2-3]node[10,12]-ib,x", "rack2node10-ib"),
    ],
)
def test_the_first_host_of_a_node_list(nodelist: str, host: str) -> None:
    assert first_host(nodelist) == host


def test_adhoc_is_told_by_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "adhoc" / "2026-11-24" / "sl"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert is_adhoc()
    monkeypatch.chdir(tmp_path)
    assert not is_adhoc()
