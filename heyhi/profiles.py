"""Which profile and Snakefile of Snakemake's a project runs by, by name, and how a command for a user names them.

A project's own go before those of the package.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

from heyhi.errors import HeyhiError, suggest
from heyhi.project import Project
from heyhi.regex import regex
from heyhi.shipped import shipped_profiles, shipped_snakefile
from heyhi.text import shell_line

LOCAL, SLURM = "local", "slurm"
# Names of what `heyhi init` adds, and those that it takes where the repository has something else by the first.
SNAKEFILE, OTHER_SNAKEFILE = "Snakefile", "heyhi.smk"
PROFILES, OTHER_PROFILES = "profiles", "heyhi_profiles"
# Where Snakemake looks for a Snakefile, in this order.
SNAKEFILES = (SNAKEFILE, "snakefile", "workflow/Snakefile", "workflow/snakefile")

_EXECUTOR = regex(r"^executor:\s*[\"']?(\S+?)[\"']?\s*$", re.MULTILINE)
_HEYHI = "heyhi"
_SLURM_EXECUTORS = (_HEYHI, "slurm")
_USES_YTE = regex(r"^__use_yte__:\s*true\s*$", re.MULTILINE | re.IGNORECASE)
_TAKES_IN = regex(r"^<:\s*[\"']?\?profile\(\\?[\"'](\w+)\\?[\"']\)[\"']?\s*$", re.MULTILINE)


def find_profile(project: Project, name: str) -> Path:
    """Find Snakemake's profile: by its name, the project's or else the package's; what has a slash is a folder.

    Raises:
        HeyhiError: there is none; the message has the nearest.
    """
    own = {path.name: path for folder in (PROFILES, OTHER_PROFILES) for path in _profiles_in(project.root / folder)}
    known = shipped_profiles() | own
    if name in known:
        return known[name]
    for place in (Path.cwd() / name, project.root / name, project.root / PROFILES / name):
        if _is_profile(place):
            return Path(os.path.abspath(place))  # noqa: PTH100 (a link keeps its name)
    folder = f"{os.path.normpath(name).rpartition('/')[0]}/" if "/" in name else ""
    last = Path(name).name
    there = [path.name for path in _profiles_in(project.root / folder)] if folder else []
    near = suggest(last, there, folder) or suggest(last, known)
    listed = "" if near else f"; there are {', '.join(sorted(known))}"
    raise HeyhiError(f"profile '{name}' is no folder with a config.yaml{near}{listed}")


def known_profiles(project: Project) -> list[str]:
    """Return the names by which there are profiles for a project."""
    own = {path.name for folder in (PROFILES, OTHER_PROFILES) for path in _profiles_in(project.root / folder)}
    return sorted(own | shipped_profiles().keys())


def uses_slurm(profile: Path) -> bool:
    """Return whether a profile hands experiments to Slurm.

    Raises:
        HeyhiError: it has code that fails.
    """
    return any(_executor(path) in _SLURM_EXECUTORS for path in profile.glob("config*.yaml"))


def runs_here(profile: Path) -> bool:
    """Return whether a profile runs experiments on this machine; else Slurm or another engine does.

    Raises:
        HeyhiError: it has code that fails.
    """
    return all(_executor(path) in ("", LOCAL) for path in profile.glob("config*.yaml"))


def settings_of(profile: Path) -> dict[str, Any]:
    """Return what a profile sets; nothing of a file that can't be read.

    Raises:
        HeyhiError: it has code that fails.
    """
    found: dict[str, Any] = {}
    for path in sorted(profile.glob("config*.yaml")):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found |= _rendered(path, path.read_text(encoding="utf-8"))
    return found


def leaves_jobs(profile: Path) -> bool:
    """Return whether a Snakemake of a profile that is ended, other than by Ctrl-C, lets its jobs go on.

    Raises:
        HeyhiError: it has code that fails.
    """
    return any(_executor(path) == _HEYHI for path in profile.glob("config*.yaml"))


def snakefile_words(root: Path) -> list[str]:
    """Return what Snakemake has to be told to find HeyHi's rules from a project's root; often nothing."""
    if (root / OTHER_SNAKEFILE).is_file():
        return ["--snakefile", OTHER_SNAKEFILE]
    if any((root / name).is_file() for name in SNAKEFILES):
        return []
    return ["--snakefile", str(shipped_snakefile())]


def snakemake_command(project: Project, profile: str) -> str:
    """Write the begin of a command that runs experiments, for a user to type in the project's root.

    Args:
        project: whose experiments they are.
        profile: its name.
    """
    folder = project.relative(find_profile(project, profile))
    return shell_line(["snakemake", *snakefile_words(project.root), "--profile", folder])


def shown_profile(project: Project, profile: Path) -> str:
    """Say which profile a folder is: in the project, by its path; of the package, by its name."""
    if not profile.is_relative_to(project.root) and profile in shipped_profiles().values():
        return f"{profile.name} (HeyHi's own profile)"
    return project.relative(profile)


def _profiles_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if _is_profile(path))


def _is_profile(folder: Path) -> bool:
    return any(folder.glob("config*.yaml"))


def _executor(path: Path) -> str:
    """Return the executor that a profile's file names; empty where it names none, or can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    named = _EXECUTOR.findall(text)
    if not _USES_YTE.search(text):
        return str(named[-1]) if named else ""
    taken = _TAKES_IN.search(text)
    if taken and not named and text.count("?") == 1:  # as `heyhi init` writes it: no need of what takes long to import
        shipped = shipped_profiles().get(taken[1])
        return _executor(shipped / "config.yaml") if shipped is not None else ""
    return str(_rendered(path, text).get("executor") or "")


def _rendered(path: Path, text: str) -> dict[str, Any]:
    """Return what a profile with code in it comes to, as Snakemake reads it."""
    import yte

    try:
        found = yte.process_yaml(text, require_use_yte=True)
    except Exception as error:
        raise HeyhiError(f"{path}: what it computes fails: {error}") from None
    return found if isinstance(found, dict) else {}
