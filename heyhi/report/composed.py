"""The values that keys have in composed configs, as a table shows those of overrides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError
from heyhi.report.setting_values import find, read_list, read_scalar

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.config.keys import Key
    from heyhi.config.schema import Schema
    from heyhi.experiment.folder import Experiment
    from heyhi.project import Project

ComposedAt = Callable[[Sequence[str]], dict[str, list[Any]]]  # returns a column for each of some keys, as far as known


def no_gaps(keys: Sequence[str]) -> dict[str, list[Any]]:
    """Fill no gaps: what was composed isn't known."""
    return {}


def composed_of(project: Project, experiments: Sequence[Experiment]) -> ComposedAt:
    """Return what says to what keys were composed in some experiments of a project, by its schema of today."""

    def columns(keys: Sequence[str]) -> dict[str, list[Any]]:
        from google.protobuf.message import DecodeError

        from heyhi.config.schema import load_schema

        if not any(one.config for one in experiments):
            return {}
        try:
            schema = load_schema(project)
            messages = [(one.task, getattr(schema.parse_root(one.config), one.task)) for one in experiments]
        except (HeyhiError, DecodeError, AttributeError):  # composed by protos of another day
            return {}
        return composed_columns(schema, messages, keys)

    return columns


def composed_columns(
    schema: Schema, configs: Iterable[tuple[str, Message]], keys: Sequence[str]
) -> dict[str, list[Any]]:
    """Return the values of some keys in composed configs.

    Args:
        schema: of the configs.
        configs: task of each, and its message.
        keys: below the task, as overrides write them.

    Returns:
        a column for each key: what is set, else the default; of a oneof its chosen member; None where the config has no
        such key, or nothing there.
    """
    found: dict[str, list[Any]] = {key: [] for key in keys}
    known: dict[tuple[str, str], Key | None] = {}
    for task, message in configs:
        for name, column in found.items():
            if (task, name) not in known:
                known[task, name] = _find(schema, task, name)
            key = known[task, name]
            column.append(None if key is None else _value(message, key))
    return found


def _find(schema: Schema, task: str, name: str) -> Key | None:
    """Find a key of a task that leads to a scalar, a list or a oneof; None for all others, and what the task lacks."""
    from heyhi.config.keys import Kind

    key = find(schema, task, name)
    return key if key is not None and key.kind in (Kind.SCALAR, Kind.LIST, Kind.ONEOF) else None


def _value(message: Message, key: Key) -> Any:
    from heyhi.config.keys import Kind, present
    from heyhi.config.leaves import default_of, in_oneof

    if key.kind is Kind.ONEOF:
        return key.chosen(message)
    *parents, last = key.steps
    for step in parents:
        found = present(message, step)
        if found is None:
            if in_oneof(step.field) or step.has_entry or step.index is not None:
                return None
            found = getattr(message, step.field.name)  # an empty one, whose defaults can be read
        message = found
    held = getattr(message, last.field.name)
    if key.kind is Kind.LIST:
        return read_list(key.field, held)
    if last.has_entry:
        value = held.get(last.entry)
    elif last.index is not None:
        value = held[last.index] if 0 <= last.index < len(held) else None
    elif last.field.has_presence and not message.HasField(last.field.name):
        value = None if in_oneof(last.field) else default_of(last.field)
    else:
        value = held
    return None if value is None else read_scalar(key.field, value)
