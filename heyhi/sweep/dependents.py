"""What was made of the results of experiments: who restarts these is told, since nothing is redone by itself."""

from __future__ import annotations

import os
from collections.abc import Iterable

from heyhi.experiment.names import ATTEMPTS_NAME
from heyhi.project import Project
from heyhi.sweep.index import ManifestIndex

_MAX_NAMED = 8


def dependents_of(project: Project, folders: Iterable[str]) -> list[str]:
    """Return the exp ids of what was started and needs one of some experiments, itself or by others between.

    Args:
        project: whose manifests and records say what needs what.
        folders: exp paths.
    """
    users: dict[str, list[str]] = {}
    for path, needs in ManifestIndex.open(project).needs().items():
        for need in needs:
            users.setdefault(need, []).append(path)
    left = list(folders)
    named = set(left)
    found = []
    while left:
        for path in users.get(left.pop(), ()):
            if path not in named:
                named.add(path)
                left.append(path)
                if os.access(f"{path}/{ATTEMPTS_NAME}", os.F_OK):
                    found.append(path.removeprefix(f"{project.results_root}/"))
    return sorted(found)


def dependents_text(exp_ids: list[str]) -> str:
    """Say what becomes of them; empty for none."""
    if not exp_ids:
        return ""
    more = f" and {len(exp_ids) - _MAX_NAMED} more" if len(exp_ids) > _MAX_NAMED else ""
    return f"made of what would be made anew, and left as it is: {', '.join(exp_ids[:_MAX_NAMED])}{more}"
