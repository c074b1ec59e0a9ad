"""What experiments would be run as, by what they were expanded to: what their folders don't say before they start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heyhi.errors import ManifestError
from heyhi.sweep.target import target_of

if TYPE_CHECKING:
    from heyhi.config.identity import Identity
    from heyhi.config.schema import Schema
    from heyhi.project import Project
    from heyhi.sweep.expand import Planned
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest


class Plan(NamedTuple):
    """What an experiment would be run as.

    Attributes:
        identity: what makes it this experiment.
        config: root message, serialised.
        schema: loads the schema of the config.
    """

    identity: Identity
    config: bytes
    schema: Callable[[], Schema]


PlanOf = Callable[[str], Plan | None]  # by its exp path; None where nobody knows


def no_plan(path: str) -> Plan | None:
    """Know nothing of any experiment."""
    return None


def plans_of_expansion(project: Project, planned: Mapping[str, Planned]) -> PlanOf:
    """Return what looks experiments up in a sweep that was expanded just now, given it by exp paths."""
    from heyhi.config.schema import load_schema

    def plan_of(path: str) -> Plan | None:
        found = planned.get(path)
        return Plan(found.identity, found.config, partial(load_schema, project)) if found is not None else None

    return plan_of


def plans_of_manifest(manifest: Manifest) -> PlanOf:
    """Return what looks experiments up in a manifest."""

    def plan_of(path: str) -> Plan | None:
        try:
            found = manifest.experiment(target_of(path, manifest.project_root))
        except ManifestError:
            return None
        return Plan(found.identity, found.config, manifest.schema)

    return plan_of


def plans_of_index(index: ManifestIndex, folders: list[str]) -> PlanOf:
    """Return what looks experiments up in the newest manifest of each.

    Args:
        index: leads there.
        folders: exp paths of those that may be asked for.
    """
    opened: dict[Path, PlanOf] = {}
    paths: list[dict[str, Path]] = []

    def plan_of(path: str) -> Plan | None:
        from heyhi.sweep.manifest import Manifest

        if not paths:  # mostly none is asked for
            paths.append(index.find_all(folders))
        place = paths[0].get(path)
        if place is None:
            return None
        try:
            its = opened.get(place) or opened.setdefault(place, plans_of_manifest(Manifest.open(place)))
        except ManifestError:  # damaged, which whoever runs it is told
            return None
        return its(path)

    return plan_of
