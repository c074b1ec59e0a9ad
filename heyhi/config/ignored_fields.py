"""Whether the patterns of `[tool.heyhi] identity_ignore` are like any field; one of a user's that isn't is a slip.

What a pattern does is left to `scheduling`; the default's patterns may name fields that a schema lacks.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from heyhi.config.keys import schema_keys
from heyhi.config.schema import Schema, is_map, message_type, real_oneofs
from heyhi.errors import ProjectError, suggest
from heyhi.project import Project
from heyhi.regex import regex

_SEGMENT = regex(r'"(?:[^"\\]|\\.)*"|[^."]+')
_WILD = regex(r"[*?\[]")
_MAX_KEYS = 20_000  # that are looked at for one pattern


def check_ignored(project: Project, schema: Schema) -> None:
    """Make sure that each pattern of the project's own is like a field of some task.

    Raises:
        ProjectError: one isn't; the message names the nearest keys.
    """
    for pattern in project.settings.own_identity_ignore:
        if not names_field(schema, pattern):
            kinds = map(message_type, schema.tasks.values())
            task, _, rest = pattern.removeprefix("!").partition(".")
            name = rest if rest and task in schema.tasks else pattern.removeprefix("!")
            near = suggest(name, (key for kind in kinds for key in schema_keys(kind)))
            raise ProjectError(
                f"{project.root / 'pyproject.toml'}: [tool.heyhi] identity_ignore: no task has a field like '{pattern}'"
                f"{near}; keys start below the task, and * stands for any part"
            )


def names_field(schema: Schema, pattern: str) -> bool:
    """Return whether some key of a task is like a pattern, with or without a `!` before it."""
    pattern = pattern.removeprefix("!")
    matches = re.compile(fnmatch.translate(pattern)).match
    keys = (key for field in schema.tasks.values() for key in _keys(message_type(field), pattern))
    # Of too many, nobody says that there is none.
    return any(matches(key) or count == _MAX_KEYS for count, key in enumerate(keys))


def _keys(task: Descriptor, pattern: str) -> Iterator[str]:
    """Yield keys of a task that a pattern could be like, with its own words for indices and entries."""
    parts = _SEGMENT.findall(pattern)
    head = pattern[: found.start()] if (found := _WILD.search(pattern)) else pattern
    places = dict.fromkeys(["0", *(re.sub(r"\[[^\]]*\]|[*?]", "0", part) for part in parts)])
    todo: list[tuple[str, Descriptor, tuple[str, ...]]] = [("", task, ())]
    while todo:
        prefix, kind, above = todo.pop()
        # A message inside itself has no end; a pattern has.
        if kind.full_name in above and len(above) > len(parts):
            continue
        yield from (f"{prefix}{oneof.name}" for oneof in real_oneofs(kind))
        for field in kind.fields:
            names = [f"{prefix}{field.name}"]
            if field.is_repeated:
                fits = places if is_map(field) else filter(_is_index, places)
                names += [f"{names[0]}.{place}" for place in fits]
            names = [name for name in names if name.startswith(head) or head.startswith(name)]
            yield from names
            inner = _inner(field)
            if inner is not None:
                below = names[1:] if field.is_repeated else names
                todo += [(f"{name}.", inner, (*above, kind.full_name)) for name in below]


def _is_index(place: str) -> bool:
    return place.removeprefix("-").isdigit()


def _inner(field: FieldDescriptor) -> Descriptor | None:
    """Return the message type of what a field, or each of its elements or entries, holds."""
    return message_type(field).fields_by_name["value"].message_type if is_map(field) else field.message_type
