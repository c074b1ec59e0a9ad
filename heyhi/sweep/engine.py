"""What other engines of Snakemake's are told that an experiment needs: by the names that all of them know.

HeyHi's own executor reads the launcher itself, and on this machine only cores count. Any other one (cluster-generic,
LSF, HTCondor, Kubernetes …) reads resources of Snakemake's: `mem_mb`, `runtime`, `gpu`, `gpu_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from heyhi.errors import LauncherError
from heyhi.slurm.request import JobRequest

OWN = "heyhi"  # the name of HeyHi's executor
_NAMES = ("mem_mb", "runtime", "gpu", "gpu_model")
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


def check_one_node(exp_id: str, request: JobRequest | None) -> None:
    """Refuse what needs several nodes: of other engines' jobs each is one process on one.

    Raises:
        LauncherError: so it is.
    """
    if request is not None and request.nodes > 1:
        raise LauncherError(
            f"{exp_id}: its launcher asks for {request.nodes} nodes, and only profiles/slurm starts ranks on several:"
            " take that, or fewer GPUs"
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
