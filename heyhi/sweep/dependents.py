"""What was made of the results of experiments: who restarts these is told, since nothing is redone by itself."""

from __future__ import annotations

import os
from collections.abc import Iterable

from heyhi.experiment.names import ATTEMPTS_NAME
from heyhi.project import Project
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.target import folder_of, target_of

_MAX_NAMED = 8


def dependents_of(project: Project, folders: Iterable[str]) -> list[str]:
    """Return the exp ids of what was started and needs one of some experiments, itself or by others between.

    Args:
        project: whose manifests say what needs what.
        folders: exp paths.
    """
    users: dict[str, list[str]] = {}
    for target, needs in ManifestIndex.open(project).needing().items():
        for need in needs:
            users.setdefault(need, []).append(target)
    left = [target_of(folder, project.root) for folder in folders]
    named = set(left)
    found = []
    while left:
        for target in users.get(left.pop(), ()):
            if target not in named:
                named.add(target)
                left.append(target)
                folder = folder_of(target, project.root)
                if os.access(f"{folder}/{ATTEMPTS_NAME}", os.F_OK):
                    found.append(folder.removeprefix(f"{project.results_root}/"))
    return sorted(found)


def dependents_text(exp_ids: list[str]) -> str:
    """Say what becomes of them; empty for none."""
    if not exp_ids:
        return ""
    more = f" and {len(exp_ids) - _MAX_NAMED} more" if len(exp_ids) > _MAX_NAMED else ""
    return f"made of what would be made anew, and left as it is: {', '.join(exp_ids[:_MAX_NAMED])}{more}"
