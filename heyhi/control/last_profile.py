"""By which profile experiments were run last, as the launches on record say; of others, it isn't known."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from heyhi.errors import HeyhiError, ManifestError
from heyhi.profiles import find_profile, runs_here, uses_slurm
from heyhi.project import Project
from heyhi.sweep.known import KNOWN_NAME, LAUNCHES_NAME, LaunchRecord, names_in, read_known, read_launch
from heyhi.sweep.manifest import Manifest, manifests_root
from heyhi.sweep.target import folders_at

_BOUNDS = ("--max-gpu-hours",)  # which hold wherever it runs
_WAYS = ("--controller", "--workers", *_BOUNDS)
_MOST_LOOKED_AT = 100  # launches, the last first


def last_profiles(project: Project, folders: Collection[str]) -> dict[str, str]:
    """Return the profile of the last launch of each of some experiments, by its exp path, as far as it is known."""
    found: dict[str, str] = {}
    left = set(folders)
    for record in _by_last(project):
        if not left:
            break
        its = left.intersection(_folders(project, record))
        left -= its
        if record.profile:
            found |= dict.fromkeys(its, record.profile)
    return found


def launched_by(project: Project, folders: Collection[str] | None = None) -> Path | None:
    """Return the profile of the last launch of some experiments, or of all that are known; None where nobody knows."""
    asked = None if folders is None else set(folders)
    for record in _by_last(project):
        if record.profile and (asked is None or not asked.isdisjoint(_folders(project, record))):
            with contextlib.suppress(HeyhiError):
                return find_profile(project, record.profile)
            return None
    return None


def ways_of(project: Project, folders: Collection[str] | None = None, *, is_here: bool = False) -> list[str]:
    """Return the options by which the last launch of some experiments, or of all that are known, said who stays for it.

    Who types its command again without them would get a process on this machine instead, or one without a budget.

    Args:
        project: whose experiments they are.
        folders: their exp paths.
        is_here: only those that `heyhi run` has, too.
    """
    asked = None if folders is None else set(folders)
    for record in _by_last(project):
        if asked is None or not asked.isdisjoint(_folders(project, record)):
            return _ways_in(record.words, _BOUNDS if is_here else _WAYS)
    return []


def _ways_in(words: Sequence[str], options: Sequence[str]) -> list[str]:
    found: dict[str, str] = {}
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in options:
            found[name] = value if equals else "".join(words[number + 1 : number + 2])
    return [word for pair in found.items() for word in pair]


def start_words(project: Project, profile: Path | None) -> list[str]:
    """Return the words of the command that starts experiments by a profile again; without one, on Slurm."""
    with contextlib.suppress(HeyhiError):
        if profile is not None and runs_here(profile):
            return ["heyhi", "run"]
        if profile is not None and not uses_slurm(profile):  # by another engine
            return ["heyhi", "launch", "--profile", project.relative(profile)]
    return ["heyhi", "launch"]


def _by_last(project: Project) -> Iterator[LaunchRecord]:
    folder = project.state_root / LAUNCHES_NAME
    with contextlib.suppress(HeyhiError):
        for name in sorted(names_in(folder), reverse=True)[:_MOST_LOOKED_AT]:  # they begin with their times
            with contextlib.suppress(OSError, ValueError):  # which `heyhi status --sweeps` says
                yield read_launch(folder / name)


def _folders(project: Project, record: LaunchRecord) -> list[str]:
    with contextlib.suppress(OSError, ValueError, ManifestError):
        if not record.manifest:
            return folders_at(read_known(project.state_root / KNOWN_NAME / record.known), project.results_root)
        with Manifest.open(manifests_root(project) / record.manifest) as manifest:
            return list(manifest.folders)
    return []
