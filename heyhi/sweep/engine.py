"""What other engines of Snakemake's are told that an experiment needs: by the names that all of them know.

HeyHi's own executor reads the launcher itself, and on this machine only cores count. Any other one (cluster-generic,
LSF, HTCondor, Kubernetes …) reads resources of Snakemake's: `mem_mb`, `runtime`, `gpu`, `gpu_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from heyhi.errors import LauncherError
from heyhi.slurm.request import JobRequest, plain_request

OWN = "heyhi"  # the name of HeyHi's executor
_NAMES = ("mem_mb", "runtime", "gpu", "gpu_model")
# Of a launcher, what only HeyHi's own executor reads.
_OURS = (
    "setup", "python", "prefix", "partition", "account", "qos", "constraint", "exclude", "extra", "comment", "job_name",
    "pack", "max_attempts",
)  # fmt: skip
_Value = str | int | None


def is_other_engine(workflow: Any) -> bool:
    """Return whether jobs are handed to an engine that is neither this machine nor HeyHi's own executor."""
    plugin = workflow.executor_plugin
    return plugin is not None and not workflow.local_exec and plugin.name != OWN


def standard_resources(request: JobRequest | None) -> Mapping[str, _Value]:
    """Return what an engine is asked for by a launcher; what that leaves open isn't there.

    Args:
        request: of the launcher; None where that says nothing of clusters.
    """
    if request is None:
        return {}
    values: dict[str, _Value] = {"mem_mb": request.mem_mb_per_node, "runtime": request.minutes}
    values |= {"gpu": request.gpus_per_node, "gpu_model": request.gpu_type}
    return {name: value for name, value in values.items() if value}


def not_told(request: JobRequest) -> list[str]:
    """Name the fields of a launcher that say something and that no other engine is told."""
    usual = plain_request(hours=1, mem_gb=1)
    return [name for name in _OURS if getattr(request, name) != getattr(usual, name)]


def check_one_process(exp_id: str, request: JobRequest | None) -> None:
    """Refuse what runs on several nodes, or as several tasks: each of other engines' jobs is one process on one node.

    Raises:
        LauncherError: so it is.
    """
    if request is not None and request.nodes > 1:
        raise LauncherError(
            f"{exp_id}: its launcher asks for {request.nodes} nodes, and only profiles/slurm starts ranks on several:"
            " take that, or fewer GPUs"
        )
    if request is not None and request.tasks > 1:
        raise LauncherError(
            f"{exp_id}: its launcher asks for {request.tasks} tasks, and only profiles/slurm starts more than one of a"
            " job: take that, or launcher.slurm.single_task_per_node=true, which is one process with all GPUs"
        )


def give_resources(workflow: Any, rules: Iterable[str], request_of: Callable[[Any], JobRequest | None]) -> None:
    """Have rules ask for what launchers say; `--set-resources` goes before that, `--default-resources` stand behind.

    Args:
        workflow: Snakemake's object of that name.
        rules: names of them.
        request_of: returns what the launcher of a rule's wildcards asks for.
    """
    fixed = workflow.resource_settings._parsed_overwrite_resources  # by the names that it gives them itself
    for name in rules:
        resources = workflow.get_rule(name).resources
        for resource in _NAMES:
            if resource not in fixed.get(name, {}):
                resources[resource] = _asking(resource, request_of, resources.get(resource))


def _asking(name: str, request_of: Callable[[Any], JobRequest | None], default: Any) -> Callable[..., _Value]:
    """Make a function for a rule that returns one resource."""

    def ask(wildcards: Any, **more: Any) -> _Value:
        value = standard_resources(request_of(wildcards)).get(name)
        if value is not None or default is None:
            return value
        found: _Value = default.evaluate(wildcards, **more).value  # it may be an expression of whatever
        return found

    return ask
