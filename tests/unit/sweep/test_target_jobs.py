"""How a job of another engine is told which experiment it runs: any name arrives as it was."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import snakemake.api  # noqa: F401 (first: its modules import each other)
from snakemake.dag import DAG
from snakemake.target_jobs import parse_target_jobs_cli_args
from snakemake_interface_executor_plugins.executors import real
from snakemake_interface_executor_plugins.utils import TargetSpec, format_cli_arg

from heyhi.sweep.target_jobs import hand_over_whole, take_over
from tests.threads import run_async

NAMES = [
    "results/p/work/x=1_93188956c3adf4e6",
    "results/p/work/lr=0.1,x=1_93188956c3adf4e6",
    "results/p/work/l=[1,2],x=1",
    'results/it\'s "it", $HOME `id` %2C 100%',
    "results/ä,ö\udcff",
    "'quoted'",
    "heyhi%x",
]


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is changed of Snakemake is put back."""
    monkeypatch.setattr(real, "encode_target_jobs_cli_args", real.encode_target_jobs_cli_args)
    monkeypatch.setattr(DAG, "new_job", DAG.new_job)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("patched")
def test_a_name_arrives_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, str]] = []

    async def new_job(dag: Any, rule: str, wildcards_dict: dict[str, str]) -> None:
        made.append(wildcards_dict)

    monkeypatch.setattr(DAG, "new_job", new_job)
    hand_over_whole()
    hand_over_whole()
    take_over()
    words = format_cli_arg("--target-jobs", real.encode_target_jobs_cli_args([TargetSpec("experiment", {"exp": name})]))
    (spec,) = parse_target_jobs_cli_args(shlex.split(words)[1:])
    run_async(DAG.new_job(object(), spec.rulename, wildcards_dict=spec.wildcards_dict))
    assert made == [{"exp": name}]


@pytest.mark.usefixtures("patched")
def test_what_wasnt_written_so_is_read_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    async def new_job(dag: Any, rule: str, wildcards_dict: dict[str, str] | None = None) -> None:
        made.append(wildcards_dict)

    monkeypatch.setattr(DAG, "new_job", new_job)
    take_over()
    run_async(DAG.new_job(object(), "own", wildcards_dict={"a": "50%2C"}))
    run_async(DAG.new_job(object(), "own"))
    assert made == [{"a": "50%2C"}, None]
