"""Fields of a task's launcher that are set and mean nothing to HeyHi, so that none is dropped without a word."""

from __future__ import annotations

from functools import lru_cache

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from heyhi.config.schema import field_named, type_of
from heyhi.config.values import shorten
from heyhi.errors import suggest
from heyhi.slurm.request import SLURM_FIELDS

_LOCAL_FIELDS = frozenset({"cpus", "tasks", "use_local"})  # the last one is the first HeyHi's, to choose it
_KINDS = {"slurm": SLURM_FIELDS, "local": _LOCAL_FIELDS}
_MAX_SHOWN = 60  # characters of a value


def unknown_fields(task: Message) -> list[str]:
    """Return what to say of each field of a task's launcher that is set and not understood.

    Args:
        task: message of the task.
    """
    if not may_have_some(type_of(task)) or not task.HasField("launcher"):
        return []
    found = []
    for field, value in task.launcher.ListFields():  # type: ignore[attr-defined]
        known = _KINDS.get(field.name)
        if known is None or field.message_type is None or field.is_repeated:
            found.append(f"launcher.{field.name}{_shown(value)}: HeyHi knows no such launcher: it changes nothing")
            continue
        for inner, given in value.ListFields():
            if inner.name not in known:
                found.append(
                    f"launcher.{field.name}.{inner.name}{_shown(given)}: HeyHi knows no such field of a launcher"
                    f"{suggest(inner.name, sorted(known))}: it changes nothing"
                )
    return found


@lru_cache(maxsize=64)
def may_have_some(task: Descriptor) -> bool:
    """Return whether a task's launcher has such fields at all; cached, as each point of a sweep asks."""
    launcher = field_named(task, "launcher")
    if launcher is None or launcher.message_type is None or launcher.is_repeated:
        return False
    for field in launcher.message_type.fields:
        known = _KINDS.get(field.name)
        if known is None or field.message_type is None or field.is_repeated:
            return True
        if any(inner.name not in known for inner in field.message_type.fields):
            return True
    return False


def _shown(value: object) -> str:
    if isinstance(value, Message):
        return ""
    return f"={shorten(str(value).lower() if isinstance(value, bool) else str(value), _MAX_SHOWN)}"
