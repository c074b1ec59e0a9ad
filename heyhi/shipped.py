"""Rules, profiles, pages and the launcher's proto, beside HeyHi's code: in template/ of a wheel, in a tree's root.

A project's own Snakefile and profiles are a few lines that take these in, so that upgrades reach them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parent
_PROFILES = "profiles"


def shipped_root() -> Path:
    """Return the folder that has the Snakefile, profiles/, workflows/, docs/ and conf/launcher.proto."""
    template = _PACKAGE / "template"
    return template if template.is_dir() else _PACKAGE.parent


def shipped_snakefile() -> Path:
    """Return the Snakefile by which experiments run."""
    return shipped_root() / "Snakefile"


def shipped_profiles() -> dict[str, Path]:
    """Return the profiles' folders by their names: `local`, `slurm`."""
    found = sorted((shipped_root() / _PROFILES).glob("*/config.yaml"))
    return {path.parent.name: path.parent for path in found}


def include_rules(workflow: Any) -> None:
    """Take the rules in, as if they stood in the Snakefile that calls this.

    `rule all` is what it makes by default, also where other rules stand above, unless one has `default_target: True`.

    Args:
        workflow: Snakemake's object of that name.
    """
    before = workflow.default_target
    chosen = before is not None and workflow.get_rule(before).ruleinfo.default_target is True
    workflow.include(str(shipped_snakefile()))
    # Snakemake's choice would be the first rule of all.
    workflow.default_target = before if chosen else "all"


def profile(name: str) -> dict[str, Any]:
    """Return what a profile says, for a profile of a project that begins with it: `<: ?profile("slurm")`.

    Args:
        name: of one of `shipped_profiles`.

    Raises:
        KeyError: there is none of that name.
    """
    import yaml  # Snakemake brings it

    found: dict[str, Any] = yaml.safe_load((shipped_profiles()[name] / "config.yaml").read_text(encoding="utf-8"))
    return found
