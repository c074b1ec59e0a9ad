"""Experiments that a search learns from beside its trials: one whose config lies in its space counts as a done one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass

from heyhi.config.keys import Key, Kind, find_key
from heyhi.config.mounts import include_mount
from heyhi.config.overrides import parts_written
from heyhi.config.renames import first_name
from heyhi.config.values import Value, value_text
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import RESULT_NAME
from heyhi.experiment.values import value_of
from heyhi.search.kept import read_kept, write_kept
from heyhi.search.kept_trials import written_value
from heyhi.search.trial import Trial
from heyhi.sweep.search_spec import Axis, SearchSpec

KEPT_NAME = ".kept_others.json"
_FORMAT = 1
_SHARE = 50  # it is written anew where one in so many is new
# Stamp of the result, which point it is, and its value, as JSON holds it.
_Entry = tuple[list[int], dict[str, Any] | None, float | str | None]
_log = logging.getLogger(__name__)


class Fitting:
    """Finds where in a space a config lies.

    Args:
        axes: the space.
        task: name of the task that it is over.
        kind: message type of that.
    """

    def __init__(self, axes: Iterable[Axis], task: str, kind: Descriptor) -> None:
        self._task = task
        self._empty = GetMessageClass(kind)()
        found = [(axis, include_mount(kind, axis.key)[0]) for axis in axes]
        # Which files a config was made of, it doesn't say.
        self._is_of_files = any(is_include for _, is_include in found)
        self._keys = [(axis, find_key(kind, axis.key)) for axis, is_include in found if not is_include]

    def chosen(self, flat: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return which point of the space a config is, None where it is none.

        Args:
            flat: the config as dotted keys with all defaults.
        """
        if self._is_of_files:
            return None
        chosen: dict[str, Any] = {}
        for axis, key in self._keys:
            if axis.applies(chosen):
                value = self._value(axis, key, flat)
                if value is None:
                    return None
                chosen[axis.key] = value
        return chosen

    def _value(self, axis: Axis, key: Key, flat: Mapping[str, Any]) -> str | int | float | None:
        name = f"{self._task}.{key.text}"
        if key.kind is Kind.ONEOF:
            return self._member(axis, key, flat)
        found = flat.get(name)
        if found is None and key.steps[-1].index is not None:
            found = _element(flat.get(name.rpartition(".")[0]), key.steps[-1].index)
        if axis.kind == "choice":
            return self._choice(axis, key, found)
        if not isinstance(found, (int, float)) or isinstance(found, bool) or not axis.low <= found <= axis.high:
            return None
        if axis.kind == "float":
            return float(found)
        return int(found) if found == int(found) and (int(found) - int(axis.low)) % axis.step == 0 else None

    def _choice(self, axis: Axis, key: Key, found: Any) -> str | None:
        if found is None:
            return "NULL" if "NULL" in axis.values else None
        try:
            wanted = self._written(key, value_text(found))
            return next((value for value in axis.values if self._written(key, value) == wanted), None)
        except HeyhiError:
            return None

    def _written(self, key: Key, text: str) -> list[tuple[str, Value]]:
        return [(part.key.text, part.value) for part in parts_written(key, text, self._empty, adds=False)]

    def _member(self, axis: Axis, key: Key, flat: Mapping[str, Any]) -> str | None:
        for field in key.choices:
            name = f"{self._task}.{key.member(field.name).text}"
            if name in flat or any(one.startswith(f"{name}.") for one in flat):
                member = first_name(field)
                return member if member in axis.values else None
        return "NULL" if "NULL" in axis.values else None


class Others:
    """The experiments that a search learns from, as trials; what was read of those is kept beside its slots.

    Args:
        search: its folder.
        spec: what is searched.
        fitting: finds where in its space they lie.
    """

    def __init__(self, search: Path, spec: SearchSpec, fitting: Fitting) -> None:
        self._path = search / KEPT_NAME
        self._spec = spec
        self._fitting = fitting

    def trials(self, folders: Iterable[str], known: frozenset[str] = frozenset()) -> list[Trial]:
        """Return those that are done and lie in the space as trials, in the order of their folders.

        Args:
            folders: their exp paths.
            known: exp paths of the search's own, which are no others.
        """
        kept = self._kept()
        fresh = 0
        found: list[Trial] = []
        asked = [folder for folder in dict.fromkeys(folders) if folder not in known]
        for folder in asked:
            stamp = _stamp(folder)
            if stamp is None:
                continue
            entry = kept.get(folder)
            if entry is None or entry[0] != stamp:
                entry = kept[folder] = (stamp, *self._read(folder))
                fresh += 1
            if entry[1] is not None and entry[2] is not None:
                found.append(Trial(-1, folder, entry[1], "done", float(entry[2])))
        if fresh > len(kept) // _SHARE:
            write_kept(self._path, {"format": _FORMAT, "search": self._spec.search_id, "others": kept})
        if asked:
            rest = ": the rest isn't done, or lies outside of its space" if len(found) < len(asked) else ""
            _log.info("the search learns from %d of %d other experiments%s", len(found), len(asked), rest)
        return found

    def _kept(self) -> dict[str, _Entry]:
        found = read_kept(self._path)
        try:
            if found is None or found["format"] != _FORMAT or found["search"] != self._spec.search_id:
                return {}
            return {
                str(folder): (list(stamp), chosen, value) for folder, (stamp, chosen, value) in found["others"].items()
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            return {}

    def _read(self, folder: str) -> tuple[dict[str, Any] | None, float | str | None]:
        """Return which point of the space one is, and its value."""
        try:
            chosen = self._fitting.chosen(ExperimentDir(Path(folder)).read_flat_config())
            value = value_of(folder, self._spec.metric, self._spec.direction) if chosen is not None else None
        except HeyhiError:
            return None, None
        return chosen, written_value(value)


def _stamp(folder: str) -> list[int] | None:
    """Return what changes with an experiment's result; None where it has none."""
    try:
        stat = os.stat(f"{folder}/{RESULT_NAME}")  # noqa: PTH116 (thousands of them: no object each)
    except OSError:
        return None
    return [stat.st_mtime_ns, stat.st_size, stat.st_ino]


def _element(values: Any, index: int) -> Any:
    return values[index] if isinstance(values, list) and 0 <= index < len(values) else None
