"""Which message type a file describes that doesn't say so: a root config, or a chunk of one of the tasks' messages.

The text is parsed by `prototxt`; what becomes of it is left to `includes` and `api`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from heyhi.config.messages import message_class
from heyhi.config.prototxt import parse_for
from heyhi.config.schema import Schema, element, is_map_entry, message_type, types_below
from heyhi.errors import ConfigError
from heyhi.quick_tuple import NamedTuple


class Reading(NamedTuple):
    """A file's text, read as a message type.

    Attributes:
        kind: the type.
        message: what it gives, its includes among it; None where the text is none of that type.
        error: what is wrong then.
        place: line and column up to which it could be read.
    """

    kind: Descriptor
    message: Message | None
    error: ConfigError | None
    place: tuple[int, int]


def read_as(schema: Schema, text: str, name: str, kind: Descriptor) -> Reading:
    """Read a file's text as a message type.

    Args:
        schema: knows the type.
        text: of the file.
        name: of the file, for the error.
        kind: the type.
    """
    message = message_class(kind)()
    try:
        parse_for(schema, text, message, name)
    except ConfigError as error:
        found = re.match(r"(\d+)(?::(\d+))?: ", str(error).removeprefix(f"{name}:"))
        place = (int(found[1]), int(found[2] or 1)) if found is not None else (0, 0)
        return Reading(kind, None, error, place)
    return Reading(kind, message, None, (0, 0))


def types_of_folder(schema: Schema, folder: str) -> list[Descriptor]:
    """List the message types of the fields that a folder is named after: chunks for them lie in it."""
    fields = [element(field) for kind in _types_of_chunks(schema) for field in kind.fields if field.name == folder]
    return [field.message_type for field in fields if field.message_type is not None]


def chunk_type(schema: Schema, text: str, name: str, folder: str) -> Reading:
    """Find out which message type a file that is no root config describes.

    Args:
        schema: has the types.
        text: of the file.
        name: of the file, for errors.
        folder: name of the folder in which it lies: a chunk in one that is named after a field is taken for that
            field's message.

    Returns:
        of the types that the text can be, those of the folder first, the outermost; where it can be none, the one that
        it was most likely meant to be (the root message among them), with what is wrong with it.
    """
    by_folder = types_of_folder(schema, folder)
    tried: list[Reading] = []
    for reading in _readings(schema, text, name, [*by_folder, *_types_of_chunks(schema)]):
        if reading.error is None:
            return reading
        tried.append(reading)
    as_root = read_as(schema, text, name, schema.root)
    names = {kind.full_name for kind in by_folder}
    at_home = _furthest([reading for reading in tried if reading.kind.full_name in names])
    if at_home is not None and at_home.place >= as_root.place:
        return at_home
    return _furthest([as_root, *tried]) or as_root


def _types_of_chunks(schema: Schema) -> list[Descriptor]:
    """List the message types of tasks and of all that is in them, outer ones first, then those that no task holds."""
    own = schema.root.fields_by_name.get("includes")
    left_out = [schema.root, own.message_type if own is not None else None]
    # The latter may be read by a task's own code.
    kinds = [*types_below(*map(message_type, schema.tasks.values())), *schema.message_types().values()]
    return [kind for kind in dict.fromkeys(kinds) if not is_map_entry(kind) and kind not in left_out]


def _readings(schema: Schema, text: str, name: str, kinds: Iterable[Descriptor]) -> Iterator[Reading]:
    for kind in {kind.full_name: kind for kind in kinds}.values():
        yield read_as(schema, text, name, kind)


def _furthest(readings: list[Reading]) -> Reading | None:
    """Choose the reading that came furthest; of several the first for which what is wrong there has a near name."""
    return max(readings, key=lambda reading: (reading.place, _nearness(str(reading.error))), default=None)


def _nearness(error: str) -> float:
    """Return how near an unknown field's name is to one that the message has, up to 1."""
    found = re.search(r"has no field '(\w+)' \(did you mean '(\w+)'", error)
    if found is None:
        return 0
    import difflib  # of use to what is wrong only

    return difflib.SequenceMatcher(None, found[1].lower(), found[2].lower()).ratio()
