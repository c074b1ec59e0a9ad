"""Experiments that a search learns from beside its trials: one whose config lies in its space counts as a done one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass

from heyhi.config.keys import Key, Kind, find_key
from heyhi.config.overrides import parts_written
from heyhi.config.renames import first_name
from heyhi.config.values import Value, value_text
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.search.trial import Trial
from heyhi.search.values import value_of
from heyhi.sweep.search_spec import Axis, SearchSpec

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
        self._keys = [(axis, find_key(kind, axis.key)) for axis in axes]

    def chosen(self, flat: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return which point of the space a config is, None where it is none.

        Args:
            flat: the config as dotted keys with all defaults.
        """
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


def learned(folders: Iterable[str], spec: SearchSpec, fitting: Fitting, known: frozenset[str]) -> list[Trial]:
    """Return the experiments that are learned from as trials.

    Args:
        folders: their exp paths.
        spec: what is searched.
        fitting: finds where in its space they lie.
        known: exp paths of the search's own.
    """
    found: list[Trial] = []
    asked = 0
    for folder in folders:
        if folder in known:
            continue
        asked += 1
        experiment = ExperimentDir(Path(folder))
        try:
            if not experiment.has_result():
                continue
            value = value_of(folder, spec.metric, spec.direction)
            chosen = fitting.chosen(experiment.read_flat_config()) if value is not None else None
        except HeyhiError:
            continue
        if chosen is not None:
            found.append(Trial(-1, folder, chosen, "done", value))
    if asked:
        rest = ": the rest isn't done, or lies outside of its space" if len(found) < asked else ""
        _log.info("the search learns from %d of %d other experiments%s", len(found), asked, rest)
    return found


def _element(values: Any, index: int) -> Any:
    return values[index] if isinstance(values, list) and 0 <= index < len(values) else None
