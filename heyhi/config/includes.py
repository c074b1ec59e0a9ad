"""Config files and what they include: how a file is found, parsed once, and merged with its includes.

Text is parsed by `prototxt`; overrides, needs and identities are left to `compose`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.identity import SUFFIX as SUFFIX
from heyhi.config.keys import Key, Kind, find_key, mounts, schema_keys
from heyhi.config.prototxt import line_of, parse_into, read_text, set_lines
from heyhi.config.schema import INCLUDES as INCLUDES
from heyhi.config.schema import (
    Schema,
    children,
    field_named,
    is_map,
    is_map_entry,
    is_too_deep,
    message_type,
    oneof_named,
    type_of,
    types_below,
)
from heyhi.config.templates import OPEN, has_need, map_strings, replace_root
from heyhi.config.values import shorten
from heyhi.errors import ConfigError, HeyhiError, NeedsError, OverrideError, suggest
from heyhi.files import files_below, is_file, is_offered
from heyhi.project import Project

_Key = TypeVar("_Key")
_Found = TypeVar("_Found")
_MAX_KNOWN = 2000  # configs that are looked through for a near name


@dataclass(frozen=True)
class MergedFile:
    """A file that was merged, and the names of the fields that lead to where it was."""

    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class Chunk:
    """A message as a file and its includes give it.

    Attributes:
        message: to be copied; `includes` are merged and gone, `{{ROOT_DIR}}` is written out, needs are not.
        has_needs: whether a string in it names an experiment.
        sources: files that it was merged from, those that go over others first.
    """

    message: Message
    has_needs: bool
    sources: tuple[MergedFile, ...]


@dataclass(frozen=True)
class Root(Chunk):
    """A root config as its file and includes give it.

    Attributes:
        path: its file.
        name: its file relative to the project root.
        task: name of the task that it chooses.
    """

    path: Path
    name: str
    task: str


class ConfigFiles:
    """The config files of a project, each read and parsed once.

    Args:
        project: where configs are looked up.
        schema: what they must fit.
        include_dirs: further folders in which includes are looked up, before those of the project's settings.
    """

    def __init__(self, project: Project, schema: Schema, include_dirs: tuple[Path, ...] = ()) -> None:
        self.project = project
        self.schema = schema
        self.include_dirs = include_dirs
        self._configs: dict[tuple[str, str], Path | HeyhiError] = {}
        self._roots: dict[Path, Root | HeyhiError] = {}
        self._chunks: dict[tuple[Path, str], Chunk] = {}
        self._texts: dict[Path, str] = {}
        self._includers: dict[str, bool] = {}  # message type -> whether includes can stand in it
        self._lines: dict[tuple[tuple[MergedFile, ...], tuple[str, ...]], str] = {}

    # --- finding ---

    def find_config(self, cfg: str | Path, *, cwd: bool = True) -> Path:
        """Find a root config's file: absolute, or below the working directory, the project root, its conf folder.

        Raises:
            ConfigError: it doesn't exist; the message names the nearest ones.
        """
        key = (str(cfg), _working_directory() if cwd else "")
        return _once(self._configs, key, lambda: self._find_config(*key))

    def _find_config(self, cfg: str, cwd: str) -> Path:
        bases = [Path(cwd)] if cwd else []
        bases = list(dict.fromkeys([*bases, self.project.root, self.project.conf_root]))
        shown = shorten(cfg, 200)
        is_folder = False
        for base in bases if cfg.strip() else []:
            for name in (cfg, f"{cfg}{SUFFIX}"):
                if is_file(base / name):
                    return _clean(base / name)
            is_folder |= _is_folder(base / cfg)
        if is_folder:
            raise ConfigError(f"config '{shown}' is a folder: expected a {SUFFIX} file")
        where = "" if os.path.isabs(cfg) else f" (looked below {', '.join(map(str, bases))})"  # noqa: PTH117
        raise ConfigError(f"config '{shown}' doesn't exist{where}{suggest(cfg, self._known_configs())}")

    def _known_configs(self) -> Iterator[str]:
        conf = self.project.conf_root
        for path in sorted(files_below(conf, f"*{SUFFIX}"))[:_MAX_KNOWN]:
            for name in (self.project.relative(path), path.relative_to(conf).as_posix(), path.name):
                yield from (name, name.removesuffix(SUFFIX))

    def find_include(self, name: str, mount: str, folder: Path) -> Path:
        """Find an included file.

        Args:
            name: absolute; with a `/`, relative to the project root where that exists; else looked up.
            mount: key of the field that it is merged into, '' for none.
            folder: of the including config.

        Raises:
            ConfigError: it is nowhere; the message says where it was looked for.
        """
        if not name.strip():
            raise ConfigError("the path is empty")
        bases = self._include_bases(name, mount, folder)
        for base in bases:
            for candidate in (base / name, base / f"{name}{SUFFIX}"):
                if is_file(candidate):
                    return _clean(candidate)
        shown = shorten(name, 200)
        if os.path.isabs(name):  # noqa: PTH117
            raise ConfigError(f"{shown} {'is a folder' if _is_folder(Path(name)) else 'does not exist'}")
        looked = [base for base in bases if _is_folder(base)]
        files = (path for base in looked for path in base.glob(f"*{SUFFIX}") if is_offered(path))
        near = {path.name.removesuffix(SUFFIX) for path in files}
        where = ", ".join(self.project.relative(base) for base in looked)
        raise ConfigError(f"no file '{shown}' or '{shown}{SUFFIX}' in {where}{suggest(name, sorted(near))}")

    def _include_bases(self, name: str, mount: str, folder: Path) -> list[Path]:
        """List the folders that an include's path may be relative to, in the order in which they are tried."""
        bases = [self.project.root] if "/" in name else []
        below = mount_folder(mount)
        for one in include_folders(self.project, folder, self.include_dirs):
            bases += [one, one / below] if below else [one]
        return list(dict.fromkeys(bases))

    # --- loading ---

    def root(self, path: Path) -> Root:
        """Load a root config.

        Raises:
            ConfigError: it or an include is missing or wrong, or it chooses no task.
        """
        return _once(self._roots, path, lambda: self._load_root(path))

    def _load_root(self, path: Path) -> Root:
        name = self.project.relative(path)
        message = self.schema.new_root()
        try:
            has_needs = self._parse(path, message)
        except ConfigError as error:
            chunk = self._chunk_type(path)
            if chunk is None:
                raise error
            raise ConfigError(
                f"{name}: is a chunk ({chunk}), no root config: include it in one that chooses a task"
                f" ({', '.join(self.schema.tasks)})"
            ) from None
        task = message.WhichOneof(self.schema.task_oneof.name)
        if task is None:
            expected = " or ".join(f"{t} {{ … }}" for t in self.schema.tasks)
            raise ConfigError(f"{name}: no task is set: expected {expected}")
        includes = self._includes_of(message)
        needs, sources = self._merge_includes(getattr(message, task), path, (path,), (), includes)
        if includes:
            message.ClearField(INCLUDES)
        if is_too_deep(message):
            raise ConfigError(f"{name}: is nested too deeply, with what it includes (protobuf allows 100 levels)")
        return Root(message, has_needs or needs, (MergedFile(path, ()), *sources), path, name, task)

    def chunk(self, path: Path, kind: Descriptor, stack: tuple[Path, ...] = ()) -> Chunk:
        """Load a chunk.

        Args:
            path: its file.
            kind: message type that it describes.
            stack: files that are being loaded and lead to it.

        Raises:
            ConfigError: it or an include is missing or wrong, or it includes itself.
        """
        if path in stack:
            chain = " -> ".join(self.project.relative(p) for p in (*stack[stack.index(path) :], path))
            raise ConfigError(f"includes go in a circle: {chain}")
        found = self._chunks.get((path, kind.full_name))
        if found is None:
            message = message_factory.GetMessageClass(kind)()
            try:
                has_needs = self._parse(path, message)
            except ConfigError:
                if self._is_root(path):
                    raise ConfigError(
                        f"{self.project.relative(path)}: is a root config (it chooses a task), and only chunks can be"
                        " included: move what both share into one"
                    ) from None
                raise
            needs, sources = self._merge_includes(message, path, (*stack, path), (), ())
            found = Chunk(message, has_needs or needs, (MergedFile(path, ()), *sources))
            self._chunks[path, kind.full_name] = found
        return found

    def _is_root(self, path: Path) -> bool:
        root = self.schema.new_root()
        with contextlib.suppress(ConfigError):
            self._parse(path, root)
            return root.WhichOneof(self.schema.task_oneof.name) is not None
        return False

    def _parse(self, path: Path, message: Message) -> bool:
        """Parse a file into a message, write out {{ROOT_DIR}}, and return whether there is a need in it."""
        text = self.read(path)
        name = self.project.relative(path)
        parse_into(text, message, name, self.schema.pool)
        if OPEN not in text and "\\" not in text:  # escapes may hide braces
            return False
        root = str(self.project.root)
        found = False

        def change(value: str) -> str:
            nonlocal found
            found = found or has_need(value)
            return replace_root(value, root)

        try:
            map_strings(message, change)
        except NeedsError as error:
            raise NeedsError(f"{name}: {error}") from None
        return found

    @property
    def paths(self) -> frozenset[Path]:
        """Files that were read so far."""
        return frozenset(self._texts)

    def read(self, path: Path) -> str:
        """Return a file's text.

        Raises:
            ConfigError: it can't be read.
        """
        if path not in self._texts:
            self._texts[path] = read_text(path, self.project.relative(path))
        return self._texts[path]

    def _chunk_type(self, path: Path) -> str | None:
        """Name the message type that a file which is no root config describes, if any."""
        for kind in types_below(*map(message_type, self.schema.tasks.values())):
            if is_map_entry(kind):
                continue
            try:
                self._parse(path, message_factory.GetMessageClass(kind)())
            except HeyhiError:
                continue
            return kind.name
        return None

    # --- merging ---

    def _merge_includes(
        self, message: Message, path: Path, stack: tuple[Path, ...], names: tuple[str, ...], includes: Sequence[Any]
    ) -> tuple[bool, tuple[MergedFile, ...]]:
        """Merge what a message and the messages in it include, below what they set.

        Args:
            message: of a file; is changed.
            path: the file.
            stack: files that are being loaded.
            names: fields that lead to the message, as sources have them.
            includes: what it includes by a field outside of it.

        Returns:
            whether a need came in, and the files that were merged, those that go over others first.
        """
        has_needs = False
        sources: list[MergedFile] = []
        for name, child in children(message):
            if self._may_include(type_of(child)):
                needs, inner = self._merge_includes(child, path, stack, (*names, name), ())
                has_needs |= needs
                sources += inner
        inside = self._includes_of(message)
        if includes or inside:
            base, needs, below = self._merged(type(message), [*includes, *inside], path, stack, names)
            has_needs |= needs
            sources += below
            if inside:
                message.ClearField(INCLUDES)
            base.MergeFrom(message)
            message.CopyFrom(base)
        return has_needs, tuple(sources)

    def _merged(
        self, kind: type[Message], includes: Sequence[Any], path: Path, stack: tuple[Path, ...], names: tuple[str, ...]
    ) -> tuple[Message, bool, list[MergedFile]]:
        """Merge what one message includes, in order.

        Args:
            kind: class of the message.
            includes: of it.
            path: file of the message.
            stack: files that are being loaded.
            names: fields that lead to the message, as sources have them.

        Returns:
            what they give; whether a need is in it; the files, those that go over others first.
        """
        base = kind()
        has_needs = False
        sources: list[MergedFile] = []
        for include in includes:
            chunk, key = self._include(base, include, path, stack)
            has_needs |= chunk.has_needs
            mount = key.names if key is not None else ()
            sources = [*(MergedFile(s.path, (*names, *mount, *s.names)) for s in chunk.sources), *sources]
        return base, has_needs, sources

    def _include(self, into: Message, include: Any, path: Path, stack: tuple[Path, ...]) -> tuple[Chunk, Key | None]:
        mount: str = getattr(include, "mount", "")
        try:
            key = find_mount(type_of(into), mount) if mount else None
            found = self.find_include(include.path, mount, path.parent)
            target = key.reach(into) if key is not None else into
        except HeyhiError as error:
            line = self._include_line(path, include.path)
            what = f"include '{shorten(include.path)}'"
            raise ConfigError(f"{self.project.relative(path)}:{line}: {what}: {error}") from None
        chunk = self.chunk(found, type_of(target), stack)
        target.MergeFrom(chunk.message)
        return chunk, key

    def _include_line(self, path: Path, name: str) -> int:
        text = self.read(path)
        lines = text.split("\n")
        found = [line for names, line in set_lines(text) if names[-2:] == (INCLUDES, "path")]
        written = name.replace(str(self.project.root), "")
        return next((line for line in found if written in lines[line - 1]), found[0] if found else 1)

    def _includes_of(self, message: Message) -> list[Any]:
        has_own = include_field(self.schema, type_of(message)) is not None
        return list(message.includes) if has_own else []  # type: ignore[attr-defined]  # just looked up

    def _may_include(self, kind: Descriptor) -> bool:
        """Return whether a message of this type can have includes in it, at any depth."""
        known = self._includers.get(kind.full_name)
        if known is None:
            known = any(include_field(self.schema, inner) is not None for inner in types_below(kind))
            self._includers[kind.full_name] = known
        return known

    # --- naming places ---

    def locate(self, root: Root, sources: tuple[MergedFile, ...], key: Key) -> str:
        """Name the file and line that set a key, '' where no file does.

        Args:
            root: the config; its own file names the task first.
            sources: files that were merged, those that go over others first.
            key: starts below the task.
        """
        names = key.names
        count = next((i for i, step in enumerate(key.steps, 1) if step.field.is_repeated), len(names))
        names = (*names[:count], key.oneof) if key.oneof else names[:count]
        found = self._lines.get((sources, names))
        if found is None:
            found = self._lines[sources, names] = self._locate(root, sources, names)
        return found

    def _locate(self, root: Root, sources: tuple[MergedFile, ...], names: tuple[str, ...]) -> str:
        for source in sources:
            if source.names != names[: len(source.names)]:
                continue
            inner = names[len(source.names) :]
            line = line_of(self.read(source.path), (root.task, *inner) if source.path == root.path else inner)
            if line is not None:
                return f"{self.project.relative(source.path)}:{line}"
        return ""


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
    if not key.startswith("I") or field_named(task, first) is not None or oneof_named(task, first) is not None:
        return False, None
    if key == "I":
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
        raise OverrideError(f"unknown key '{shorten(key)}': {why}{near}") from None


def find_mount(message: Descriptor, mount: str) -> Key:
    """Find the message field that an include is merged into.

    Raises:
        OverrideError: there is none of that name, or it is no message.
    """
    key = find_key(message, mount)
    if key.kind is not Kind.MESSAGE:
        raise OverrideError(f"'{key.text}' is a {key.kind.value}, and a chunk is merged into a message")
    return key


def _once(found: dict[_Key, _Found | HeyhiError], key: _Key, find: Callable[[], _Found]) -> _Found:
    """Return what a key stands for, or raise its error again; it is looked for once."""
    if key not in found:
        try:
            found[key] = find()
        except HeyhiError as error:
            found[key] = error
    outcome = found[key]
    if isinstance(outcome, HeyhiError):
        raise outcome.anew()
    return outcome


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def _clean(path: Path) -> Path:
    """Drop what is no part of a path's name; a link keeps its name.

    Raises:
        ConfigError: the name is no text, and so can't stand in an identity.
    """
    clean = os.path.abspath(path)  # noqa: PTH100 (resolve would follow links)
    try:
        clean.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{clean!a}: the file's name is no UTF-8 text") from None
    return Path(clean)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
