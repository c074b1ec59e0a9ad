"""What a profile of another engine than Slurm can't do of what is to start: known before anything is started.

Snakemake would say the same, seconds later, in a controller's log.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError
from heyhi.profiles import runs_here, settings_of, shown_profile, uses_slurm

if TYPE_CHECKING:
    from heyhi.control.used_before import Starting
    from heyhi.project import Project

_PLUGIN = "snakemake_executor_plugin_"
# What Snakemake has for local runs.
_BUILT_IN = ("dryrun", "touch")
# Without these it would take what is done for outdated.
_NEEDED = {"keep-incomplete": (True,), "rerun-triggers": ("mtime", ["mtime"])}
_SHOWN = {"keep-incomplete": "keep-incomplete: true", "rerun-triggers": "rerun-triggers: mtime"}


def check_other_engine(project: Project, starting: Iterable[Starting], profile: Path) -> None:
    """Refuse what another engine can't run, and say what of the launchers it isn't told.

    Args:
        project: whose they are.
        starting: what is to start; composed only where it is asked for.
        profile: Snakemake's.

    Raises:
        HeyhiError: its plugin isn't installed, or the profile lacks a setting.
        LauncherError: an experiment asks for what only Slurm's own profile can do.
    """
    if uses_slurm(profile) or runs_here(profile):
        return
    from heyhi.slurm.launcher import is_slurm
    from heyhi.slurm.request import request_of
    from heyhi.sweep.engine import check_one_process, not_told

    where = shown_profile(project, profile)
    settings = settings_of(profile)
    _check_plugin(str(settings.get("executor") or ""), where)
    _check_settings(settings, where)
    left_out: dict[str, None] = {}
    for one in starting:
        if is_slurm(one.task):
            request = request_of(one.task)
            check_one_process(one.exp_id, request)
            left_out |= dict.fromkeys(not_told(request))
    if left_out:
        print(f"not for this profile, and left out: {', '.join(left_out)} (heyhi docs engines)", flush=True)


def _check_plugin(executor: str, where: str) -> None:
    plugin = f"{_PLUGIN}{executor.replace('-', '_')}"
    if executor and executor not in _BUILT_IN and find_spec(plugin) is None:
        package = plugin.replace("_", "-")
        raise HeyhiError(
            f"profile {where}: its executor '{executor}' is a plugin of Snakemake's that isn't installed:"
            f" pip install {package}",
            key=executor,
            fix=f"pip install {package}",
        )


def _check_settings(settings: dict[str, object], where: str) -> None:
    given = {name.replace("_", "-"): value for name, value in settings.items()}
    lacking = [_SHOWN[name] for name, right in _NEEDED.items() if given.get(name) not in right]
    if lacking:
        raise HeyhiError(
            f"profile {where} lacks `{'` and `'.join(lacking)}` in its config.yaml: without, Snakemake would remove and"
            " redo what is done (heyhi docs engines shows a whole profile)"
        )
