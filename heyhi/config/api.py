"""The functions by which users' code loads, reads and changes configs, frozen or editable.

How a config is composed and how a frozen one behaves is left to `compose` and `frozen`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from heyhi.config.compose import Composer
from heyhi.config.frozen import FrozenConfig, flatten, freeze, message_of, to_text
from heyhi.config.includes import ConfigFiles, include_mount
from heyhi.config.keys import Key, find_key
from heyhi.config.overrides import split_override, write_override
from heyhi.config.prototxt import parse_into
from heyhi.config.schema import (
    ROOT_MESSAGE,
    TASK_ONEOF,
    Schema,
    copy_of,
    element,
    is_map_entry,
    load_schema,
    message_type,
    real_oneofs,
    type_of,
    types_below,
)
from heyhi.config.values import value_text
from heyhi.errors import ConfigError, HeyhiError, OverrideError, suggest
from heyhi.files import write_temp
from heyhi.project import Project, find_project

Config = FrozenConfig | Message


class RootConfig(FrozenConfig):
    """A frozen root config, in which fields of the chosen task are found at once: `cfg.lr` for `cfg.train.lr`."""

    __slots__ = ()

    def _read(self, name: str) -> Any:
        try:
            return super()._read(name)
        except AttributeError as error:
            task = _task_of(self._message)
            if task is None:
                raise
            try:
                return getattr(FrozenConfig(task), name)
            except AttributeError:
                raise error from None

    def __reduce__(self) -> tuple[Any, ...]:
        return _root_config, (FrozenConfig(self._message),)


def _root_config(cfg: FrozenConfig) -> RootConfig:
    return RootConfig(message_of(cfg))


def load_config(
    cfg: str | Path,
    overrides: Sequence[str] = (),
    msg_class: Any = None,
    *,
    extra_include_dirs: Sequence[str | Path] = (),
) -> FrozenConfig:
    """Compose a config: what the file includes, the file, include overrides, scalar overrides.

    Args:
        cfg: config file: a root config or a chunk.
        overrides: `key=value` texts; in a root config keys start below the chosen task.
        msg_class: message type that the file describes: a generated class, or a name. None finds it out, for a chunk
            by the folder it lies in and by trying; it is better to say it.
        extra_include_dirs: folders in which includes are looked up, before those of the project's settings.

    Returns:
        frozen config: of a root config all of it (`.task` is the chosen task's config, which `.train` gives by its
        name, and whose fields can be read at once: `.lr`), of a chunk its message.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    message = _load(cfg, overrides, msg_class, extra_include_dirs)
    is_root = type_of(message).name == ROOT_MESSAGE and _task_of(message) is not None
    return RootConfig(message) if is_root else FrozenConfig(message)


def load_root_config(
    cfg: str | Path, overrides: Sequence[str] = (), *, extra_include_dirs: Sequence[str | Path] = ()
) -> FrozenConfig:
    """Compose a root config and return all of it.

    Returns:
        frozen root config; its `.task` is the chosen task's config, `.which_task` that task's name.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    return FrozenConfig(_composer(extra_include_dirs).compose(cfg, overrides).message)


def load_root_proto_message(
    cfg: str | Path, overrides: Sequence[str] = (), extra_include_dirs: Sequence[str | Path] = ()
) -> tuple[str, Message]:
    """Compose a root config.

    Returns:
        name of the chosen task, and the root message, which can be edited: `getattr(message, task)` is the task's.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    composed = _composer(extra_include_dirs).compose(cfg, overrides)
    return composed.task, composed.message


def load_proto_message(
    cfg: str | Path,
    overrides: Sequence[str] = (),
    msg_class: Any = None,
    *,
    extra_include_dirs: Sequence[str | Path] = (),
) -> Message:
    """Compose a config like `load_config`, and return its message, which can be edited.

    Args:
        cfg: config file.
        overrides: `key=value` texts.
        msg_class: as for `load_config`; of a generated class the message is an instance.
        extra_include_dirs: as for `load_config`.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    message = _load(cfg, overrides, msg_class, extra_include_dirs)
    if msg_class is None or isinstance(msg_class, str):
        return message
    own: Message = msg_class.FromString(message.SerializePartialToString())
    return own


def _load(
    cfg: str | Path, overrides: Sequence[str], msg_class: Any, extra_include_dirs: Sequence[str | Path]
) -> Message:
    project, schema = _open()
    files = ConfigFiles(project, schema, tuple(map(Path, extra_include_dirs)))
    composer = Composer(project, schema, files.include_dirs)
    path = files.find_config(cfg)
    kind = _guess_type(files, path) if msg_class is None else _message_type(schema, msg_class)
    if kind.full_name == schema.root_name:
        return composer.compose(path, overrides).message
    message = copy_of(files.chunk(path, kind).message)
    composer.write_out_templates(message, project.relative(path))
    _apply(message, overrides, path.parent, files.include_dirs)
    return message


def _guess_type(files: ConfigFiles, path: Path) -> Descriptor:
    """Find out which message type a file describes: a root config, or a chunk.

    A chunk in a folder that is named after a field is taken for that field's message, if it is one; else for the
    first message that it can be, of those that tasks hold, outer ones first.
    """
    root = files.schema.root
    as_root = _parsed(files, path, root)
    if as_root is not None and _task_of(as_root) is not None:
        return root
    tasks = map(message_type, files.schema.tasks.values())
    found = [kind for kind in types_below(*tasks) if not is_map_entry(kind)]
    fields = [element(field) for kind in found for field in kind.fields if field.name == path.parent.name]
    by_folder = [field.message_type for field in fields if field.message_type is not None]
    kinds = by_folder if as_root is not None else [*by_folder, *found]
    # Where none fits, the root message says what is wrong.
    return next((kind for kind in kinds if _parsed(files, path, kind) is not None), root)


def _parsed(files: ConfigFiles, path: Path, kind: Descriptor) -> Message | None:
    """Parse a file as a message type, less its includes; None where it is none of that type."""
    message = message_factory.GetMessageClass(kind)()
    try:
        parse_into(files.read(path), message, str(path), files.schema.pool)
    except ConfigError:
        return None
    return message


def save_config(cfg: Config, path: str | Path) -> None:
    """Write what is set in a config to a file, as a text message; whole or not at all.

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


def conf_set(cfg: Config, key: str, value: object) -> Config:
    """Set a key to a value, which is cast as an override's would be (None clears).

    Returns:
        the same config, changed, where it is editable; a changed copy of a frozen one.

    Raises:
        OverrideError: the schema has no such key, or the value doesn't fit.
    """
    if isinstance(cfg, FrozenConfig):
        return FrozenConfig(_set(cfg.to_editable(), key, value))
    return _set(cfg, key, value)


def conf_is_set(cfg: Config, key: str) -> bool:
    """Return whether a key is set, by a file or an override, and not only readable by its default.

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


def conf_to_dict(cfg: Config, include_defaults: bool = True) -> dict[str, Any]:
    """Return a config as nested dicts, lists and scalars.

    Args:
        cfg: frozen or editable.
        include_defaults: also what is not set, with its default (None where there is none).
    """
    return freeze(message_of(cfg)).to_dict(with_all=include_defaults)


def conf_with_overrides(cfg: Config, overrides: Sequence[str]) -> Config:
    """Return a copy of a config with overrides applied; frozen or editable as the config was.

    Raises:
        OverrideError: an override is wrong.
    """
    message = copy_of(message_of(cfg))
    task = _task_of(message)
    _apply(message if task is None else task, overrides, None)
    return FrozenConfig(message) if isinstance(cfg, FrozenConfig) else message


def _open() -> tuple[Project, Schema]:
    project = find_project()
    return project, load_schema(project)


def _composer(include_dirs: Sequence[str | Path] = ()) -> Composer:
    return Composer(*_open(), tuple(map(Path, include_dirs)))


def _task_of(message: Message) -> Message | None:
    """Return the chosen task's message of a root config, below which its keys start; None for any other message."""
    if type_of(message).name != ROOT_MESSAGE:
        return None
    oneofs = [oneof.name for oneof in real_oneofs(type_of(message))]
    name = TASK_ONEOF if TASK_ONEOF in oneofs else "".join(oneofs[:1])
    task = message.WhichOneof(name) if name else None
    return getattr(message, task) if task is not None else None


def _find(message: Message, key: str) -> tuple[Message, Key]:
    """Find a key, and the message in which it starts."""
    task = _task_of(message)
    start = message if task is None else task
    return start, find_key(type_of(start), key)


def _message_type(schema: Schema, msg_class: Any) -> Descriptor:
    name = msg_class if isinstance(msg_class, str) else msg_class.DESCRIPTOR.full_name
    found = schema.message_types()
    matching = [found[name]] if name in found else [d for d in found.values() if d.name == name]
    if not matching:
        raise ConfigError(f"'{name}' is no message of the schema{suggest(name, found)}")
    if len(matching) > 1:
        names = ", ".join(d.full_name for d in matching)
        raise ConfigError(f"'{name}' is the name of several messages: {names}")
    return matching[0]


def _set(message: Message, key: str, value: object) -> Message:
    task = _task_of(message)
    write_override(message if task is None else task, key, value_text(value))
    return message


def _apply(
    message: Message, overrides: Sequence[str], folder: Path | None, include_dirs: tuple[Path, ...] = ()
) -> None:
    """Apply overrides to any message: includes first, then scalars, each kind in its order.

    Args:
        message: is changed.
        overrides: texts; only includes and templates in them need a project.
        folder: in which includes are looked up first; None: the configs' folder.
        include_dirs: further ones.
    """
    pairs = [(text, *split_override(text)) for text in overrides]
    includes, scalars = [], []
    for text, key, value in pairs:
        is_include, mount = include_mount(type_of(message), key)
        if is_include:
            includes.append((text, mount, value))
        else:
            scalars.append((text, key, value))
    for text, mount, path in includes:
        project, schema = _open()
        files = ConfigFiles(project, schema, include_dirs)
        target = mount.reach(message) if mount is not None else message
        try:
            found = files.find_include(path, mount.text if mount is not None else "", folder or project.conf_root)
            target.MergeFrom(files.chunk(found, type_of(target)).message)
        except HeyhiError as error:
            raise OverrideError(f"override '{text}': {error}") from None
    for text, key, value in scalars:
        try:
            _set(message, key, value)
        except OverrideError as error:
            raise OverrideError(f"override '{text}': {error}") from None
    if includes or any("{{" in value for _, _, value in scalars):
        _composer().write_out_templates(message, "this config")


def proj_root() -> Path:
    """Return the root folder of the project around the working directory."""
    return find_project().root


def conf_root() -> Path:
    """Return the folder of protos and configs of the project around the working directory."""
    return find_project().conf_root
