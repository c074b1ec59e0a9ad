"""Where includes can stand and lead: the fields by which a message includes files, and the mounts of these.

Which files they are, and how they are merged, is left to `includes`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from heyhi.config.keys import Key, Kind, field_once_named, find_key, mounts, oneof_once_named, schema_keys
from heyhi.config.schema import INCLUDES, Schema, field_named, is_map, oneof_named
from heyhi.config.values import shorten
from heyhi.errors import OverrideError, suggest
from heyhi.project import Project


def leads_into_includes(schema: Schema, message: Descriptor, key: Key) -> bool:
    """Return whether a key leads into a field by which files include others."""
    here: Descriptor | None = message
    for part in key.parts if key.steps else ():
        if here is not None and part.steps and part.steps[-1].field == include_field(schema, here):
            return True
        here = part.field.message_type if part.steps else None
    return False


def include_folders(project: Project, folder: Path, extra: Iterable[Path] = ()) -> list[Path]:
    """List the folders in which included files are looked up by their names, in order.

    Args:
        project: has the folders that all its configs share.
        folder: of the including config.
        extra: further ones, before those of the project's settings.
    """
    from_settings = [project.root / name for name in project.settings.include_dirs]
    return [folder, project.conf_root / "common", *map(Path.absolute, extra), *from_settings]


def mount_folder(mount: str) -> str:
    """Return the folder in which chunks for a mount are looked up, below the others.

    Lists and maps are folders by their names: `agents.0` is looked up in `agents/`.
    """
    return "/".join(part for part in mount.split(".") if part.isidentifier())


def include_field(schema: Schema, kind: Descriptor) -> FieldDescriptor | None:
    """Return a message type's field of includes: named so, of the type that the root message has there."""
    found = kind.fields_by_name.get(INCLUDES)
    if found is None or not found.is_repeated or found.message_type is None or is_map(found):
        return None
    path = found.message_type.fields_by_name.get("path")
    if path is None or path.is_repeated or path.type != FieldDescriptor.TYPE_STRING:
        return None
    own = schema.root.fields_by_name.get(INCLUDES)
    wanted = own.message_type if own is not None else None
    fits = found.message_type.name == "Include" if wanted is None else found.message_type == wanted
    return found if fits else None


def include_mount(task: Descriptor, key: str) -> tuple[bool, Key | None]:
    """Return whether an override's key is an include (`I`, `I.mount`, `Imount`), and find its mount.

    Raises:
        OverrideError: it is one, and its mount is no message of the task.
    """
    first = key.partition(".")[0]
    if not key.startswith("I") or _is_or_was_field(task, first):
        return False, None
    if key in ("I", "I."):  # the latter was a way to write it in the first HeyHi
        return True, None
    if first == "I":
        try:
            return True, find_mount(task, key[2:])
        except OverrideError as error:
            raise OverrideError(f"include '{shorten(key)}': {error}") from None
    try:
        return True, find_mount(task, key[1:])
    except OverrideError:
        near = suggest(key, [*schema_keys(task), *(f"I{mount}" for mount in mounts(task))])
        why = f"{task.name} has no field '{shorten(first)}', and no message '{shorten(key[1:])}' to include into"
        raise OverrideError(f"unknown key '{shorten(key)}': {why}{near}", key=key) from None


def _is_or_was_field(kind: Descriptor, name: str) -> bool:
    found = (find(kind, name) for find in (field_named, oneof_named, field_once_named, oneof_once_named))
    return any(one is not None for one in found)


def find_mount(message: Descriptor, mount: str) -> Key:
    """Find the message field that an include is merged into, or the oneof of which it is merged into a member.

    Raises:
        OverrideError: there is none of that name, or it is no message.
    """
    key = find_key(message, mount)
    if key.kind is Kind.ONEOF and any(one.message_type is not None for one in key.choices):
        return key
    if key.kind is not Kind.MESSAGE:
        raise OverrideError(f"'{key.text}' is a {key.kind.value}, and a chunk is merged into a message")
    return key
