"""The functions by which users' code loads, reads and changes configs, frozen or editable.

How a config is composed and how a frozen one behaves is left to `compose` and `frozen`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast, overload

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from heyhi.config.chunk_types import chunk_type, read_as, types_of_folder
from heyhi.config.chunks import Merging
from heyhi.config.compose import Composed, Composer
from heyhi.config.frozen import Frozen, FrozenConfig, editable, flatten, freeze, message_of, to_text
from heyhi.config.frozen_types import FrozenType, full_name_of
from heyhi.config.includes import ConfigFiles
from heyhi.config.keys import Key, find_key, is_replaced
from heyhi.config.mounts import include_mount
from heyhi.config.overrides import Overrides, keys_and_values, parts_written, shown_value
from heyhi.config.renames import earlier_names, renamed_text
from heyhi.config.root_config import RootConfig, key_below_task, task_of
from heyhi.config.schema import (
    Schema,
    copy_of,
    load_schema,
    map_strings,
    type_of,
)
from heyhi.config.templates import OPEN, check_templates, protect
from heyhi.config.values import shorten, value_text
from heyhi.errors import ConfigError, HeyhiError, KeyNameError, OverrideError, suggest
from heyhi.files import write_temp
from heyhi.project import Project, find_project, project_of

Config = Frozen | Message
_Config = TypeVar("_Config", bound=Config)
_Frozen = TypeVar("_Frozen", bound=Frozen)


@overload
def load_config(
    cfg: str | Path,
    overrides: Overrides = (),
    *,
    msg_class: type[_Frozen],
    extra_include_dirs: Sequence[str | Path] = (),
) -> _Frozen: ...


@overload
def load_config(
    cfg: str | Path,
    overrides: Overrides = (),
    msg_class: type[Message] | str | None = None,
    *,
    extra_include_dirs: Sequence[str | Path] = (),
) -> FrozenConfig: ...


def load_config(
    cfg: str | Path,
    overrides: Overrides = (),
    msg_class: Any = None,
    *,
    extra_include_dirs: Sequence[str | Path] = (),
) -> Any:
    """Compose a config: what the file includes, the file, include overrides, scalar overrides.

    Args:
        cfg: config file: a root config or a chunk. An absolute path may lie in another project than the one around
            the working directory: its own one counts then.
        overrides: `key=value` texts, or a mapping of keys to values; in a root config keys start below the chosen
            task.
        msg_class: message type that the file describes: a generated class, a type that `heyhi protos` has written, or
            a name. None finds it out, for a chunk by the folder it lies in and by trying; it is better to say it. Of a
            generated class are the messages that `to_editable()` gives, too.
        extra_include_dirs: folders in which includes are looked up, before those of the project's settings.

    Returns:
        frozen config: of a root config all of it (`.task` is the chosen task's config, which `.train` gives by its
        name, and whose fields can be read at once: `.lr`), of a chunk its message.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    message, folder = _load(cfg, overrides, msg_class, extra_include_dirs)
    return (RootConfig if task_of(message) is not None else FrozenConfig)(_own(message, msg_class), folder)


def load_root_config(
    cfg: str | Path, overrides: Overrides = (), *, extra_include_dirs: Sequence[str | Path] = ()
) -> FrozenConfig:
    """Compose a root config and return all of it.

    Args:
        cfg: config file that describes one task.
        overrides: as for `load_config`.
        extra_include_dirs: as for `load_config`.

    Returns:
        frozen root config; its `.task` is the chosen task's config, `.which_task` that task's name.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    _, message, folder = _load_root(cfg, overrides, extra_include_dirs)
    return FrozenConfig(message, folder)


def load_root_proto_message(
    cfg: str | Path, overrides: Overrides = (), extra_include_dirs: Sequence[str | Path] = ()
) -> tuple[str, Message]:
    """Compose a root config.

    Returns:
        name of the chosen task, and the root message, which can be edited: `getattr(message, task)` is the task's.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    task, message, _ = _load_root(cfg, overrides, extra_include_dirs)
    return task, editable(message)


def load_proto_message(
    cfg: str | Path,
    overrides: Overrides = (),
    msg_class: Any = None,
    *,
    extra_include_dirs: Sequence[str | Path] = (),
) -> Message:
    """Compose a config like `load_config`, and return its message, which can be edited.

    It has `to_frozen`, `to_dict` and `to_str_with_defaults`, unless it is of a generated class.

    Args:
        cfg: config file.
        overrides: as for `load_config`.
        msg_class: as for `load_config`; of a generated class the message is an instance.
        extra_include_dirs: as for `load_config`.

    Returns:
        protobuf message: of a root config all of it.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    message, _ = _load(cfg, overrides, msg_class, extra_include_dirs)
    return editable(_own(message, msg_class))


def _load_root(cfg: str | Path, overrides: Overrides, include_dirs: Sequence[str | Path]) -> tuple[str, Message, Path]:
    """Compose a root config; return its task's name, its message and the folder of its file."""
    composer = Composer(*_open(cfg), tuple(map(Path, include_dirs)))
    composed = composer.compose(cfg, overrides, as_typed=True)
    _warn_of(composer, composed)
    return composed.task, composed.message, composer.find_config(cfg).parent


def _load(
    cfg: str | Path, overrides: Overrides, msg_class: Any, extra_include_dirs: Sequence[str | Path]
) -> tuple[Message, Path]:
    """Compose a config, and return its message and the folder of its file."""
    project, schema = _open(cfg)
    files = ConfigFiles(project, schema, tuple(map(Path, extra_include_dirs)))
    composer = Composer(project, schema, files.include_dirs)
    path = files.find_config(cfg)
    kind = _guess_type(files, path) if msg_class is None else _message_type(schema, msg_class)
    if kind.full_name == schema.root_name:
        _warn(files.notes)
        composed = composer.compose(path, overrides, as_typed=True)
        _warn_of(composer, composed)
        return composed.message, path.parent
    chunk = files.chunk(path, kind)
    message = copy_of(chunk.message)
    keys, _, _ = keys_and_values(overrides)
    _warn([*files.notes, *(note for _, note in files.joined_lists(message, chunk.joined, chunk.sources, keys))])
    composer.write_out_templates(message, project.relative(path))
    _apply(message, overrides, path.parent, files.include_dirs)
    return message, path.parent


def _own(message: Message, msg_class: Any) -> Message:
    """Return a message as an instance of the class that was asked for, where that is a class."""
    if not (isinstance(msg_class, type) and issubclass(msg_class, Message)):
        return message
    return msg_class.FromString(message.SerializePartialToString())


def _warn_of(composer: Composer, composed: Composed) -> None:
    open_ones = [f"{best.text} isn't taken over here: `heyhi print` shows a config with it" for best in composed.bests]
    _warn([*composer.warnings, *open_ones])


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        _warn_once(note)


@lru_cache(maxsize=256)  # a config may be loaded thousands of times
def _warn_once(note: str) -> None:
    logging.warning("%s", note)


def _guess_type(files: ConfigFiles, path: Path) -> Descriptor:
    """Find out which message type a file describes: a root config, or a chunk.

    A chunk in a folder that is named after a field is taken for that field's message, if it is one; else for the
    first message that it can be, of those that tasks hold, outer ones first.
    """
    schema, text = files.schema, files.read(path)
    if files.task_in(path) is not None:
        return schema.root
    if read_as(schema, text, str(path), schema.root).error is None:  # nothing but includes is in it
        kinds = types_of_folder(schema, path.parent.name)
        return next((kind for kind in kinds if read_as(schema, text, str(path), kind).error is None), schema.root)
    # Where none fits, the one that it was meant to be says what is wrong.
    return chunk_type(schema, text, str(path), path.parent.name).kind


def save_config(cfg: Config, path: str | Path) -> None:
    """Write what is set in a config to a file, as a text message; whole or not at all.

    Args:
        cfg: frozen or editable.
        path: of the file; one that is there is replaced.

    Raises:
        ConfigError: the file can't be written.
    """
    target = Path(path)
    try:
        temp = write_temp(target, to_text(message_of(cfg)))
        try:
            temp.replace(target)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{target}: can't be written: {error.strerror}") from None


def flatten_cfg(cfg: Config, *, with_all: bool = True) -> dict[str, Any]:
    """Write a config as dotted keys.

    Args:
        cfg: frozen or editable.
        with_all: also what is not set, with its default (None where there is none, [] for a list).

    Returns:
        key -> scalar, enums by name, or list of these; elements of a list of messages have keys of their own.
    """
    return flatten(cfg, with_all=with_all)


def conf_get(cfg: Config, key: str) -> Any:
    """Read a key, such as `sgd.momentum`, `layers.0.width` or `scale.train`; in a root config it starts below the task.

    Args:
        cfg: frozen or editable.
        key: names of fields joined by dots; in a list its numbers, from 0 on, or -1 for the last
            element; in a map its keys.

    Returns:
        what attributes of a frozen config give; None where a list or map has no such element.

    Raises:
        OverrideError: the schema has no such key.
    """
    message, found = _find(message_of(cfg), key)
    value: Any = freeze(message)
    for step in found.steps:
        value = getattr(value, step.field.name, None) if value is not None else None
        if value is not None and step.has_entry:
            value = value.get(step.entry)
        elif value is not None and step.index is not None:
            value = value[step.index] if -1 <= step.index < len(value) and value else None
    return getattr(value, found.oneof) if found.oneof and value is not None else value


def conf_set(cfg: _Config, key: str, value: object) -> _Config:
    """Set a key to a value, which is cast as an override's would be (None clears).

    Args:
        cfg: frozen or editable.
        key: as for `conf_get`.
        value: a scalar, a list or a dict, as Python has them, or a text as on a command line.

    Returns:
        the same config, changed, where it is editable; a changed copy of a frozen one.

    Raises:
        OverrideError: the schema has no such key, or the value doesn't fit.
    """
    if isinstance(cfg, Frozen):
        return _like(cfg, _set(copy_of(message_of(cfg)), key, value))
    _set(message_of(cfg), key, value)
    return cfg


def conf_is_set(cfg: Config, key: str) -> bool:
    """Return whether a key is set, by a file or an override, and not only readable by its default.

    Args:
        cfg: frozen or editable.
        key: as for `conf_get`.

    Raises:
        OverrideError: the schema has no such key.
    """
    here: Any
    here, found = _find(message_of(cfg), key)
    for step in found.steps:
        name = step.field.name
        if all(field.name != name for field, _ in here.ListFields()):
            return False
        here = getattr(here, name)
        if step.has_entry:
            if step.entry not in here:
                return False
            here = here[step.entry]
        elif step.index is not None:
            if step.index >= len(here):
                return False
            here = here[step.index]
    return here.WhichOneof(found.oneof) is not None if found.oneof else True


def conf_to_dict(cfg: Config, include_defaults: bool = False) -> dict[str, Any]:
    """Return a config as nested dicts, lists and scalars.

    Args:
        cfg: frozen or editable.
        include_defaults: also what is not set, with its default (None where there is none).
    """
    return FrozenConfig(message_of(cfg)).to_dict(with_all=include_defaults)


def conf_with_overrides(
    cfg: _Config, overrides: Overrides, *, extra_include_dirs: Sequence[str | Path] = ()
) -> _Config:
    """Return a copy of a config with overrides applied; frozen or editable as the config was.

    Args:
        cfg: what `load_config` gave, or a part of it, or a message.
        overrides: as for `load_config`. Includes are looked up in the folder of the config's own file, as far as that
            is known: messages don't know it.
        extra_include_dirs: as for `load_config`.

    Raises:
        OverrideError: an override is wrong.
    """
    message = copy_of(message_of(cfg))
    folder = cfg._folder if isinstance(cfg, Frozen) else None
    _apply(message, overrides, folder, tuple(map(Path, extra_include_dirs)))
    return _like(cfg, message)


def _like(cfg: _Config, message: Message) -> _Config:
    """Return a message as the config that it was made of was, frozen or editable."""
    made = type(cfg)(message, cfg._folder) if isinstance(cfg, Frozen) else editable(message)
    return cast(_Config, made)


def _open(cfg: str | Path | None = None) -> tuple[Project, Schema]:
    """Return the project of a config and its schema; of one that is named by no absolute path, the one around here."""
    project = project_of(Path(cfg)) if cfg is not None and Path(cfg).is_absolute() else find_project()
    return project, load_schema(project)


def _find(message: Message, key: str) -> tuple[Message, Key]:
    """Find a key, and the message in which it starts."""
    task = task_of(message)
    start = message if task is None else task
    try:
        return start, find_key(type_of(start), key_below_task(message, key))
    except OverrideError as error:
        raise KeyNameError(str(error)) from None


def _find_to_write(message: Message, key: str) -> tuple[Message, Key]:
    """Find a key like `_find`, and tell of earlier names in it."""
    start, found = _find(message, key)
    _warn([renamed_text(old, new) for old, new in found.renamed])
    return start, found


def _message_type(schema: Schema, msg_class: Any) -> Descriptor:
    if isinstance(msg_class, FrozenType):
        name = full_name_of(msg_class)
    else:
        name = msg_class if isinstance(msg_class, str) else msg_class.DESCRIPTOR.full_name
    found = schema.message_types()
    matching = [found[name]] if name in found else [d for d in found.values() if d.name == name]
    if not matching and (matching := [d for d in found.values() if name.rpartition(".")[2] in earlier_names(d)]):
        _warn([renamed_text(name, matching[0].name)])
    if not matching:
        raise ConfigError(f"'{name}' is no message of the schema{suggest(name, found)}")
    if len(matching) > 1:
        names = ", ".join(d.full_name for d in matching)
        raise ConfigError(f"'{name}' is the name of several messages: {names}")
    return matching[0]


def _set(message: Message, key: str, value: object) -> Message:
    start, found = _find_to_write(message, key.removesuffix("+"))
    for part in parts_written(found, value_text(value), start, adds=key.endswith("+")):
        part.key.apply(start, part.value)
    return message


def _apply(message: Message, overrides: Overrides, folder: Path | None, include_dirs: tuple[Path, ...] = ()) -> None:
    """Apply overrides to any message: includes first, then scalars, each kind in its order.

    Args:
        message: is changed; a root message below its task.
        overrides: as they were given; only includes and templates in them need a project.
        folder: in which includes are looked up first; None: the configs' folder.
        include_dirs: further ones.
    """
    keys, values, errors = keys_and_values(overrides)
    for _, error in errors:
        raise error
    keys = tuple(key_below_task(message, key) for key in keys)
    task = task_of(message)
    message = message if task is None else task
    includes: list[tuple[str, Key | None, str]] = []
    scalars: list[tuple[str, str, object]] = []
    for key, value in zip(keys, values, strict=True):
        text = f"{key}={shorten(shown_value(value))}"
        is_include, mount = include_mount(type_of(message), key)
        if is_include:
            includes.append((text, mount, shown_value(value)))
        else:
            scalars.append((text, key, value))
    has_templates = bool(includes) or any(OPEN in shown_value(value) for _, _, value in scalars)
    composer: Composer | None = None
    if has_templates:  # what the config has already is written out: it stands for what it says
        map_strings(message, protect)
        project, schema = _open(folder / "_" if folder is not None else None)
        files = ConfigFiles(project, schema, include_dirs)
        composer = Composer(project, schema, include_dirs)
        _include(files, message, includes, folder or project.conf_root)
    for text, key, value in scalars:
        try:
            start, at = _find_to_write(message, key.removesuffix("+"))
            given = value_text(value)
            for part in parts_written(at, given, start, adds=key.endswith("+")):
                held = part.value
                if has_templates and isinstance(held, str):
                    is_literal = part.is_literal or (part.key is at and held != given)
                    held = protect(held) if is_literal else check_templates(held)
                part.key.apply(start, held)
        except OverrideError as error:
            raise OverrideError(f"override '{text}': {error}") from None
    if composer is not None:
        composer.write_out_templates(message, "this config")


def _include(
    files: ConfigFiles, message: Message, includes: Sequence[tuple[str, Key | None, str]], folder: Path
) -> None:
    """Merge include overrides, given by their texts, mounts and paths; a later one at the same mount counts alone."""
    found: list[tuple[str, Key | None, Path]] = []
    for text, mount, name in includes:
        try:
            path, mount = files.find_mounted(name, mount, folder)
        except HeyhiError as error:
            raise OverrideError(f"override '{text}': {error}") from None
        found = [*(one for one in found if not is_replaced(one[1], mount)), (text, mount, path)]
    merging = Merging(message)
    for text, mount, path in found:
        try:
            target = mount.reach(message) if mount is not None else message
            merging.add(files.chunk(path, type_of(target)), mount, target)
        except HeyhiError as error:
            raise OverrideError(f"override '{text}': {error}") from None


def proj_root() -> Path:
    """Return the root folder of the project around the working directory."""
    return find_project().root


def conf_root() -> Path:
    """Return the folder of protos and configs of the project around the working directory."""
    return find_project().conf_root
