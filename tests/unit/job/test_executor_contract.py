"""What our executor leans on in Snakemake's executor interface and in the official Slurm executor.

Where one of these fails after an upgrade, nothing else need fail: then read what changed there, beside the method of
`heyhi/job/executor.py` that the message names. Why there is ours:
`tests/workflow/test_official_executor.py`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as official
from snakemake_interface_executor_plugins.executors import base, real, remote
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from heyhi.job import executor as executor

# Method -> its parameters: what ours overrides, calls with super(), or calls.
METHODS = {
    "__init__": ["self", "workflow", "logger"],
    "__post_init__": ["self", "test_mode"],
    "run_jobs": ["self", "jobs"],
    "check_active_jobs": ["self", "active_jobs"],
    "cancel_jobs": ["self", "active_jobs"],
    "shutdown": ["self"],
    "sleep": ["self"],
    "run_job_pre": ["self", "job"],
    "report_job_submission": ["self", "job_info", "register_job"],
    "report_job_success": ["self", "job_info"],
    "report_job_error": ["self", "job_info", "msg", "kwargs"],
}
OVERRIDDEN = {"__init__", "__post_init__", "run_jobs", "check_active_jobs", "cancel_jobs", "shutdown", "sleep"}


@pytest.mark.parametrize("name", METHODS)
def test_the_official_executor_has_the_method_with_these_parameters(name: str) -> None:
    found = list(inspect.signature(getattr(official.Executor, name)).parameters)

    assert found == METHODS[name], f"heyhi/job/executor.py overrides or calls {name} as it was before"


@pytest.mark.parametrize("name", sorted(OVERRIDDEN))
def test_ours_takes_what_the_official_method_takes(name: str) -> None:
    ours, theirs = getattr(executor.Executor, name), getattr(official.Executor, name)

    assert ours is not theirs
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


def test_following_jobs_is_an_asynchronous_generator() -> None:
    assert inspect.isasyncgenfunction(official.Executor.check_active_jobs), "ours passes on what super() yields"
    assert inspect.isasyncgenfunction(executor.Executor.check_active_jobs)


def test_between_two_looks_an_executor_sleeps_until_the_run_is_over() -> None:
    assert inspect.iscoroutinefunction(official.Executor.sleep), "ours ends that early, once `wait` is False"
    assert "self.wait = False" in inspect.getsource(remote.RemoteExecutor.shutdown)


def test_an_executor_says_itself_when_its_jobs_are_looked_at_next() -> None:
    found = inspect.getattr_static(official.Executor, "next_seconds_between_status_checks")

    assert isinstance(found, property)
    assert found.fset is not None, "ours sets it after each look, or results would be seen late"


def test_a_submitted_job_carries_something_of_ours() -> None:
    fields = [field.name for field in dataclasses.fields(base.SubmittedJobInfo)]

    assert fields == ["job", "external_jobid", "aux"], "ours keeps its task in aux, and knows its own jobs by that"


@pytest.mark.parametrize("name", ["is_group", "resources", "output", "attempt"])
def test_a_job_tells_what_ours_asks_of_it(name: str) -> None:
    assert hasattr(JobExecutorInterface, name), "heyhi/job/executor.py asks each job for it"


def test_a_job_of_snakemakes_tells_its_priority() -> None:
    from snakemake.jobs import Job

    assert isinstance(inspect.getattr_static(Job, "priority"), property), "ours submits in the order that follows"


def test_a_run_that_is_cancelled_cancels_its_jobs_then_ends() -> None:
    calls: list[object] = []
    fake = SimpleNamespace(lock=threading.Lock(), active_jobs=["a job"])
    fake.cancel_jobs, fake.shutdown = calls.append, lambda: calls.append("shutdown")

    remote.RemoteExecutor.cancel(fake)  # type: ignore[arg-type]

    assert calls == [["a job"], "shutdown"], "ours leaves jobs alone, or cancels its own, in cancel_jobs"


def test_snakemake_would_cancel_jobs_on_sigterm_once_it_has_made_its_executor() -> None:
    from snakemake.scheduling.job_scheduler import JobScheduler

    text = inspect.getsource(JobScheduler.__init__)

    assert 0 < text.index("executor_plugin.executor(") < text.index("signal.SIGTERM"), (
        "ours replaces that handler when it is given its first jobs, see Executor._catch_signals"
    )


def test_settings_are_a_dataclass_whose_fields_have_defaults() -> None:
    assert dataclasses.is_dataclass(official.ExecutorSettings)
    assert issubclass(official.ExecutorSettings, ExecutorSettingsBase)
    for field in dataclasses.fields(official.ExecutorSettings):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        assert has_default, f"{field.name} has none, and ours adds fields with defaults below it"


def test_common_settings_are_for_jobs_elsewhere_that_are_looked_at_from_the_start() -> None:
    assert isinstance(executor.common_settings, CommonSettings)
    assert executor.common_settings.non_local_exec
    assert not executor.common_settings.implies_no_shared_fs, "claims and results are files that all see"
    assert executor.common_settings.init_seconds_before_status_checks == 0


def test_snakemake_finds_ours_by_its_name() -> None:
    registry = ExecutorPluginRegistry()

    assert registry.get_plugin("heyhi").executor is executor.Executor
    settings = registry.get_plugin("heyhi").settings_cls
    assert settings is executor.ExecutorSettings
    assert "no_snapshot" in {field.name for field in dataclasses.fields(settings)}


def names_of(*modules: ModuleType) -> set[str]:
    """Collect what classes define, and what their methods set on or take from self."""
    found = set()
    for module in modules:
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(node, ast.ClassDef) and "Executor" in node.name and "Settings" not in node.name:
                found |= {n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
                found |= {
                    n.attr
                    for n in ast.walk(node)
                    if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self"
                }
    return found


def test_no_name_of_ours_is_one_of_theirs_by_accident() -> None:
    known = set(METHODS) | {"workflow", "logger", "lock", "wait", "next_seconds_between_status_checks"}

    shared = names_of(executor) & names_of(official, base, real, remote)

    assert shared == known, (
        f"{sorted(shared ^ known)}: a name of heyhi/job/executor.py now means something in its bases"
    )
