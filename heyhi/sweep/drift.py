"""Drift: whether an experiment would be composed to another config today than when it was launched.

It only compares and says so; what becomes of a drifted experiment is left to who asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.config.compose import Composer
from heyhi.config.frozen import flatten, scalar_value
from heyhi.config.keys import Kind, find_key
from heyhi.config.overrides import default_of
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema
from heyhi.errors import HeyhiError, IdentityError
from heyhi.experiment.folder import ExperimentDir
from heyhi.project import Project
from heyhi.sweep.target import target_of

if TYPE_CHECKING:
    from heyhi.sweep.manifest import Manifest

_ABSENT = object()
_MAX_COMPARED = 60  # experiments that are looked at unasked: a quarter of a millisecond each


class DriftCheck:
    """A comparison of experiments of one project with what they would be composed to today.

    Args:
        project: where configs and results are today.
        schema: as it is today.
    """

    def __init__(self, project: Project, schema: Schema) -> None:
        self.project = project
        self.schema = schema

    @cached_property
    def _composer(self) -> Composer:
        return Composer(self.project, self.schema)

    @cached_property
    def _scheduling(self) -> Scheduling:
        return Scheduling(self.project.settings.identity_ignore)

    def drift(self, exp_path: Path, config: bytes | None = None, *, then: str = "") -> list[str]:
        """Compare one experiment.

        Keys that only say how a run is scheduled don't count, nor does a new field at its default, nor where the
        project or its results lie.

        Args:
            exp_path: its folder.
            config: root message as it is composed today, serialised; default: composed from its identity.
            then: digest of the config of an attempt that it is compared with; default: that of the last one.

        Returns:
            `key: then -> now` for each key that differs; one line that says why where it can't be composed today, or
            where nobody can tell which experiment it is.
        """
        try:
            return self._drift(exp_path, config, then)
        except IdentityError as error:  # the others are to be compared still
            return [f"can't be compared: {error}"]

    def _drift(self, exp_path: Path, config: bytes | None, digest: str = "") -> list[str]:
        folder = ExperimentDir(exp_path)
        try:
            then = json.loads(folder.flat_config_path_of(digest).read_text(encoding="utf-8"))
            identity = folder.read_identity()
        except (OSError, ValueError):
            return []  # written when it is started; before that there is nothing to compare with
        if identity is None or not isinstance(then, dict):
            return []
        try:
            if config is None:
                cfg = self.project.root / identity.cfg
                message = self._composer.compose(cfg, identity.overrides).message
            else:
                message = self.schema.parse_root(config)
        except HeyhiError as error:
            return [f"can't be composed today: {error}"]
        then = _with_roots_named(then, folder.read_roots(digest))
        today = {"project_root": str(self.project.root), "results_root": str(self.project.results_root)}
        # NaN and infinity go through JSON as Python writes them, bytes become text.
        now = _with_roots_named(json.loads(json.dumps(flatten(message), default=repr)), today)
        return drifted_keys(self._counted(then), self._counted(now), self._default)

    def _counted(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what only says how a run is scheduled; keys there start below the task."""
        return {k: v for k, v in flat.items() if not self._scheduling.ignores(k.partition(".")[2])}

    def _default(self, key: str) -> Any:
        try:
            found = find_key(self.schema.root, key)
        except HeyhiError:
            return _ABSENT
        return scalar_value(found.field, default_of(found.field)) if found.kind is Kind.SCALAR else _ABSENT


def count_drifted(project: Project, manifest: Manifest, folders: Sequence[str]) -> tuple[int, bool]:
    """Count the experiments that were launched with another config than a manifest has; of very many look at some.

    Args:
        project: where they are.
        manifest: which has them.
        folders: exp path of each.

    Returns:
        how many; whether there may be more.
    """
    step = -(-len(folders) // _MAX_COMPARED) or 1
    check = DriftCheck(project, manifest.schema())
    count = 0
    for folder in folders[::step]:
        try:
            config = manifest.experiment(target_of(folder, project.root)).config
            count += bool(check._drift(Path(folder), config))
        except HeyhiError:  # of another sweep, or damaged: nobody asked for this, so that it stops nothing
            continue
    return count, step > 1


def _with_roots_named(flat: Mapping[str, Any], roots: Mapping[str, str]) -> dict[str, Any]:
    """Write the project's and the results' folders in values as their names: a moved project is no drift."""
    named = dict(flat)
    for name in ("results_root", "project_root"):  # the results may lie inside the project
        root = roots.get(name, "")
        for key, value in named.items() if root else ():
            if isinstance(value, str) and root in value:
                named[key] = value.replace(root, f"<{name}>")
    return named


def drifted_keys(then: Mapping[str, Any], now: Mapping[str, Any], default: Callable[[str], Any]) -> list[str]:
    """Compare two configs written as dotted keys.

    Args:
        then: as it was launched.
        now: as it is composed today.
        default: what a key reads as today when nothing sets it.

    Returns:
        `key: then -> now` for each key that differs.
    """
    found = []
    for key in sorted({*then, *now}):
        if key not in then and now[key] == default(key):
            continue  # a field that is new
        if key not in now and then[key] is None:
            continue  # a field that is gone, and had no value
        was, today = then.get(key, "absent"), now.get(key, "absent")
        if was != today and not (was != was and today != today):  # NaN is no other than NaN here
            found.append(f"{key}: {was} -> {today}")
    return found
