"""Config files and what they include: how a file is found, parsed once, and merged with its includes.

Text is parsed by `prototxt`; overrides, needs and identities are left to `compose`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.chunks import Chunk, MergedFile, Merging, Root
from heyhi.config.identity import SUFFIX
from heyhi.config.keys import Key, Kind, find_key, value_at
from heyhi.config.messages import message_class
from heyhi.config.mounts import find_mount, include_field, include_folders, leads_into_includes, mount_folder
from heyhi.config.moved import MovedConfigs
from heyhi.config.outside import find_kept, identity_cfg
from heyhi.config.prototxt import line_of, parse_for, read_text, set_lines
from heyhi.config.renames import Pair, renamed_text
from heyhi.config.schema import (
    INCLUDES,
    Schema,
    children,
    copy_of,
    field_named,
    is_too_deep,
    map_strings,
    message_type,
    type_of,
    types_below,
)
from heyhi.config.templates import OPEN, has_need, replace_root
from heyhi.config.values import list_text, listed, shorten
from heyhi.errors import ConfigError, HeyhiError, NeedsError, OverrideError, suggest
from heyhi.files import files_below, is_file, is_offered
from heyhi.project import Project

CLEAR = "clear"  # its field of keys to be cleared
_Key = TypeVar("_Key")
_Found = TypeVar("_Found")
_IS_ROOT = (
    "{}: is a root config (it chooses a task), and only chunks can be included: move what both share into one; a root"
    " config of the same task extends it by an include without a mount"
)
_FEW = 4  # that a message lists
_MAX_KNOWN = 2000  # configs that are looked through for a near name


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
        self.moved = MovedConfigs(project)
        self._notes: dict[str, None] = {}
        self._configs: dict[tuple[str, str], Path | HeyhiError] = {}
        self._roots: dict[Path, Root | HeyhiError] = {}
        self._chunks: dict[tuple[Path, str], Chunk] = {}
        self._texts: dict[Path, str] = {}
        self._twice: dict[Path, list[str]] = {}  # what is said of fields that stand twice in a file
        self._includers: dict[str, bool] = {}  # message type -> whether includes can stand in it
        self._lines: dict[tuple[tuple[MergedFile, ...], tuple[str, ...]], str] = {}

    # --- earlier names ---

    @property
    def notes(self) -> list[str]:
        """What a user should know of the files that were read so far."""
        return list(self._notes)

    def _note(self, *notes: str) -> None:
        self._notes.update(dict.fromkeys(notes))

    def tell(self, renamed: Iterable[Pair]) -> None:
        """Note that earlier names were met, each with the one of today."""
        self._note(*(renamed_text(old, new) for old, new in renamed))

    def first_name(self, name: str) -> str:
        """Return the path that a config or chunk first had, as an identity writes it."""
        return self.moved.first(name)

    def _find_file(self, path: Path) -> Path | None:
        """Return the file that is, or was, at a path."""
        if is_file(path):
            return _clean(path)
        found = self.moved.find(path)
        if found is not None:
            self.tell([(self.project.relative(_clean(path)), self.project.relative(found))])
        return found

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
                if (found := self._find_file(base / name)) is not None:
                    return found
            is_folder |= _is_folder(base / cfg)
        kept = find_kept(self.project, cfg)
        if kept is not None and is_file(kept):
            return kept
        if is_folder:
            inside = [one for one in self._known_configs() if one.startswith(f"{cfg.rstrip('/')}/")]
            common = "common/" if "common/" not in f"{cfg}/" else "\0"
            named = [one for one in inside if not one.endswith(SUFFIX) and common not in one][:_FEW]
            which = f": which of its configs? {listed(named)}" if named else f": expected a {SUFFIX} file"
            raise ConfigError(f"config '{shown}' is a folder{which}")
        where = "" if os.path.isabs(cfg) else f" (looked below {', '.join(map(str, bases))})"  # noqa: PTH117
        raise ConfigError(f"config '{shown}' doesn't exist{where}{suggest(cfg, self._known_configs())}", key=cfg)

    def _known_configs(self) -> Iterator[str]:
        conf = self.project.conf_root
        for path in sorted(files_below(conf, f"*{SUFFIX}"))[:_MAX_KNOWN]:
            for name in (path.relative_to(conf).as_posix(), self.project.relative(path)):
                yield from (name.removesuffix(SUFFIX), name)

    def find_mounted(
        self, name: str, mount: Key | None, folder: Path, chosen: str | None = None
    ) -> tuple[Path, Key | None]:
        """Find an included file, and the message that it is merged into.

        Args:
            name: as for `find_include`.
            mount: leads to a message; or to a oneof, for the member of it that the file describes; None: no field.
            folder: of the including config.
            chosen: the oneof's member that is chosen there, which decides where the file fits several.

        Raises:
            ConfigError: it is nowhere, or describes no member of the oneof, or one of several.
        """
        if mount is None:
            return self.find_include(name, "", folder), None
        # An entry of a map has the map's folder, and may have its own below that.
        below, further = (
            ".".join([*mount.names, mount.oneof] if mount.oneof else mount.names),
            [mount.text, mount.first_text],
        )
        if mount.kind is not Kind.ONEOF:
            oneof = mount.steps[-1].oneof
            further += [".".join([*mount.names[:-1], oneof])] if oneof is not None else []
            return self.find_include(name, below, folder, further), mount
        members = [mount.member(one.name) for one in mount.choices if one.message_type is not None]
        further += [text for member in members for text in (".".join(member.names), member.first_text)]
        path = self.find_include(name, below, folder, further)
        self._refuse_rivals(path, name, mount)
        return path, self._member_of(path, mount, members, chosen)

    def _refuse_rivals(self, path: Path, name: str, mount: Key) -> None:
        """Refuse a file that was found in one member's folder where another's has one of that name, too."""
        if path.parent.name not in mount.members:
            return
        folders = [path.parent.parent / one for one in mount.members]
        files = [folder / file for folder in folders for file in (name, f"{name}{SUFFIX}")]
        found = [one for one in files if one != path and is_file(one) and not path.samefile(one)]
        if found:
            each = [self.project.relative(one) for one in (path, *found)]
            raise ConfigError(
                f"members of the oneof '{mount.text}' have a file of that name each: {listed(each)}: include it at one"
                " of them"
            )

    def _member_of(self, path: Path, mount: Key, members: Sequence[Key], chosen: str | None) -> Key:
        """Return the member of a oneof that a file describes; one that is named as the file or its folder first."""
        fits: dict[str, Key] = {}
        errors: dict[str, ConfigError] = {}
        for member in members:
            try:
                self._parse(path, message_class(message_type(member.field))())
                fits[member.names[-1]] = member
            except ConfigError as error:
                errors[member.names[-1]] = error
        likely = [path.name.removesuffix(SUFFIX), path.parent.name, *([chosen] if chosen is not None else [])]
        named = next((fits[name] for name in likely if name in fits), None)
        if named is not None or len(fits) == 1:
            return named or next(iter(fits.values()))
        file = self.project.relative(path)
        if fits:
            raise ConfigError(
                f"{file} fits several members of the oneof '{mount.text}': {listed(fits)}: include it at one of them,"
                " or name the file as one"
            )
        if self.task_in(path) is not None:
            raise ConfigError(_IS_ROOT.format(file))
        if (wrong := next((errors[name] for name in likely if name in errors), None)) is not None:
            raise wrong
        tried = "; ".join(f"as {name}: {wrong}" for name, wrong in errors.items())
        raise ConfigError(f"{file} fits no member of the oneof '{mount.text}': {tried}")

    def find_include(self, name: str, mount: str, folder: Path, further: Sequence[str] = ()) -> Path:
        """Find an included file.

        Args:
            name: absolute; with a `/`, relative to the project root where that exists; else looked up.
            mount: key of the field that it is merged into, '' for none.
            folder: of the including config.
            further: keys of other fields that it may be merged into.

        Raises:
            ConfigError: it is nowhere; the message says where it was looked for.
        """
        if not name.strip():
            raise ConfigError("the path is empty")
        if has_need(name):
            raise ConfigError("what is included can't lie in an experiment's folder: configs are there before any runs")
        bases = self._include_bases(name, [mount, *further], folder)
        for base in bases:
            for candidate in (base / name, base / f"{name}{SUFFIX}"):
                if (found := self._find_file(candidate)) is not None:
                    return found
        shown = shorten(name, 200)
        if os.path.isabs(name):  # noqa: PTH117
            raise ConfigError(f"{shown} {'is a folder' if _is_folder(Path(name)) else 'does not exist'}")
        looked = [base for base in bases if _is_folder(base)]
        begun = f"{name.rpartition('/')[0]}/" if "/" in name else ""
        near = {
            f"{below}{path.name.removesuffix(SUFFIX)}"
            for base in looked
            for below in ("", begun)
            for path in (base / below).glob(f"*{SUFFIX}")
            if is_offered(path)
        }
        where = ", ".join(self.project.relative(base) for base in looked)
        raise ConfigError(f"no file '{shown}' or '{shown}{SUFFIX}' in {where}{suggest(name, sorted(near))}", key=name)

    def _include_bases(self, name: str, mounts: Sequence[str], folder: Path) -> list[Path]:
        """List the folders that an include's path may be relative to, in the order in which they are tried."""
        bases = [self.project.root] if "/" in name else []
        below = [inner for inner in map(mount_folder, mounts) if inner]
        for one in include_folders(self.project, folder, self.include_dirs):
            bases += [one, *(one / inner for inner in below)]
        return list(dict.fromkeys(bases))

    # --- loading ---

    def root(self, path: Path) -> Root:
        """Load a root config.

        Raises:
            ConfigError: it or an include is missing or wrong, or it chooses no task.
        """
        return _once(self._roots, path, lambda: self._load_root(path))

    def _load_root(self, path: Path, stack: tuple[Path, ...] = ()) -> Root:
        self._refuse_circle(path, stack)
        name = self.project.relative(path)
        message = self.schema.new_root()
        try:
            self._parse_text(path, message)
        except ConfigError as error:
            from heyhi.config.chunk_types import chunk_type

            chunk = chunk_type(self.schema, self.read(path), name, path.parent.name)
            if chunk.error is not None:
                raise (error if chunk.kind == self.schema.root else chunk.error) from None
            assert chunk.message is not None
            self._write_root(path, chunk.message)  # what is wrong in it goes before what it isn't
            raise ConfigError(
                f"{name}: is a chunk ({chunk.kind.name}), no root config: include it in one that chooses a task"
                f" ({', '.join(self.schema.tasks)})"
            ) from None
        has_needs = self._write_root(path, message)
        task = message.WhichOneof(self.schema.task_oneof.name) or self.task_in(path)
        if task is None:
            expected = " or ".join(f"{t} {{ … }}" for t in self.schema.tasks)
            raise ConfigError(f"{name}: no task is set: expected {expected}")
        includes = self._includes_of(message)
        chosen: Message = getattr(message, task)
        chosen.SetInParent()
        found = self._merge_includes(chosen, path, (*stack, path), includes, task)
        if includes:
            message.ClearField(INCLUDES)
        if found.extended:
            message = _over_others(message, found.extended)
            chosen = getattr(message, task)
        if is_too_deep(message):
            raise ConfigError(f"{name}: is nested too deeply, with what it includes (protobuf allows 100 levels)")
        self._note(*self._twice.get(path, ()))
        sources = (MergedFile(path, (), (task,)), *found.sources)
        needs = has_needs or found.has_needs
        name = identity_cfg(self.project, path, message)
        return Root(message, needs, sources, tuple(found.cleared), tuple(found.joined), path, name, task)

    def task_in(self, path: Path, seen: tuple[Path, ...] = ()) -> str | None:
        """Return the task that a root config chooses, or a config that it extends; None for what is no root config."""
        message = self.schema.new_root()
        try:
            self._parse(path, message)
        except HeyhiError:
            return None
        task: str | None = message.WhichOneof(self.schema.task_oneof.name)
        for include in self._includes_of(message) if task is None else ():
            with contextlib.suppress(HeyhiError):
                found = self.find_include(include.path, "", path.parent)
                if not getattr(include, "mount", "") and found not in (*seen, path):
                    task = task or self.task_in(found, (*seen, path))
        return task

    def _refuse_circle(self, path: Path, stack: tuple[Path, ...]) -> None:
        if path in stack:
            chain = " -> ".join(self.project.relative(p) for p in (*stack[stack.index(path) :], path))
            raise ConfigError(f"includes go in a circle: {chain}")

    def chunk(self, path: Path, kind: Descriptor, stack: tuple[Path, ...] = ()) -> Chunk:
        """Load a chunk.

        Args:
            path: its file.
            kind: message type that it describes.
            stack: files that are being loaded and lead to it.

        Raises:
            ConfigError: it or an include is missing or wrong, or it includes itself.
        """
        self._refuse_circle(path, stack)
        found = self._chunks.get((path, kind.full_name))
        if found is None:
            message = message_class(kind)()
            try:
                has_needs = self._parse(path, message)
            except ConfigError:
                if self.task_in(path) is not None:
                    raise ConfigError(_IS_ROOT.format(self.project.relative(path))) from None
                raise
            inner = self._merge_includes(message, path, (*stack, path), ())
            sources = (MergedFile(path, ()), *inner.sources)
            needs = has_needs or inner.has_needs
            found = Chunk(message, needs, sources, tuple(inner.cleared), tuple(inner.joined))
            self._chunks[path, kind.full_name] = found
            self._note(*self._twice.get(path, ()))
        return found

    def _parse(self, path: Path, message: Message) -> bool:
        """Parse a file into a message, write out {{ROOT_DIR}}, and return whether there is a need in it."""
        self._parse_text(path, message)
        return self._write_root(path, message)

    def _parse_text(self, path: Path, message: Message) -> None:
        text, name = self.read(path), self.project.relative(path)
        self._texts[path], renamed, self._twice[path] = parse_for(self.schema, text, message, name)
        self.tell(renamed)

    def _write_root(self, path: Path, message: Message) -> bool:
        """Write out {{ROOT_DIR}} in a file's message, and return whether there is a need in it, or quoted braces."""
        text = self.read(path)
        if OPEN not in text and "\\" not in text:  # escapes may hide braces
            return False
        root = str(self.project.root)
        found = False

        def change(value: str) -> str:
            nonlocal found
            try:
                found = found or has_need(value)
                return replace_root(value, root)
            except HeyhiError as error:
                start = text.find(value)
                line = f":{text.count(chr(10), 0, start) + 1}" if start >= 0 else ""
                kind = NeedsError if isinstance(error, NeedsError) else ConfigError
                raise kind(f"{self.project.relative(path)}{line}: {error}") from None

        map_strings(message, change)
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

    # --- merging ---

    def _merge_includes(
        self, message: Message, path: Path, stack: tuple[Path, ...], includes: Sequence[Any], task: str = ""
    ) -> Merging:
        """Merge what a message and the messages in it include, below what they set.

        Args:
            message: of a file; is changed.
            path: the file.
            stack: files that are being loaded.
            includes: what it includes by a field outside of it.
            task: of the root config whose task it is.
        """
        own = Merging(message)
        for name, child in children(message):
            if self._may_include(type_of(child)):
                field = field_named(type_of(message), name)
                inner = self._merge_includes(child, path, stack, ())
                own.take(inner, name, is_single=field is not None and not field.is_repeated)
        inside = self._includes_of(message)
        if not (includes or inside):
            return own
        base = Merging(type(message)())
        for include in [*includes, *inside]:
            self._include(base, include, path, stack, task)
        if inside:
            message.ClearField(INCLUDES)
        base.put_under(own)
        return base

    def _include(self, into: Merging, include: Any, path: Path, stack: tuple[Path, ...], task: str = "") -> None:
        """Do what one include says: merge a file, or clear something."""
        kind, mount = type_of(into.message), getattr(include, "mount", "")
        cleared, name = _cleared_by(include), include.path
        try:
            for name in cleared:
                self._clear(into, name, stands_alone=not (include.path or mount))
            if cleared:
                return
            key = find_mount(kind, mount) if mount else None
            self.tell(key.renamed if key is not None else ())
            chosen = key.chosen(into.message) if key is not None and key.kind is Kind.ONEOF else None
            found, key = self.find_mounted(include.path, key, path.parent, chosen)
            target = key.reach(into.message) if key is not None else into.message
            other = self.task_in(found) if task and key is None else None
            if other not in (task, None):
                raise ConfigError(
                    f"{self.project.relative(found)} is a config of the task '{other}': only one of the same task"
                    f" ('{task}') can be extended"
                )
        except HeyhiError as error:
            line = self._include_line(path, CLEAR if cleared else "path", name)
            what = f"{CLEAR if cleared else 'include'} '{shorten(name)}'"
            raise ConfigError(f"{self.project.relative(path)}:{line}: {what}: {error}") from None
        if other is None:
            chunk = self.chunk(found, type_of(target), stack)
        else:
            root = self._load_root(found, stack)
            into.extended.append(root)
            chunk = Chunk(getattr(root.message, task), root.has_needs, root.sources, root.cleared, root.joined)
        into.add(chunk, key, target)

    def _clear(self, into: Merging, text: str, *, stands_alone: bool) -> None:
        """Clear what was merged so far at a key."""
        if not stands_alone:
            raise ConfigError(
                f"it stands in an include of its own: {INCLUDES} {{ {CLEAR}: … }} clears what those before it gave,"
                f" and those behind it, {INCLUDES} {{ path: … }}, add to that"
            )
        kind = type_of(into.message)
        key = find_key(kind, text)
        if any(step.index is not None for step in key.steps):
            raise OverrideError("an element of a list has no place of its own here: clear the list")
        if leads_into_includes(self.schema, kind, key):
            raise OverrideError("what was included is merged already: clear the fields that it gave")
        into.clear(text)

    def _include_line(self, path: Path, what: str, name: str) -> int:
        text = self.read(path)
        lines = text.split("\n")
        found = [line for names, line in set_lines(text) if names[-2:] == (INCLUDES, what)]
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

    def joined_lists(
        self, message: Message, joined: Iterable[str], sources: Sequence[MergedFile], written: Sequence[str] = ()
    ) -> list[tuple[Key, str]]:
        """Say of lists what several files made of them, but of those that overrides replace.

        Args:
            message: as the files give it.
            joined: keys of the lists.
            sources: files that were merged, those that go over others first.
            written: keys that overrides write, with the `+` of `key+=…`.

        Returns:
            each with the list's key.
        """
        told = []
        for text in dict.fromkeys(joined):
            key = find_key(type_of(message), text)
            value = value_at(message, key)
            if not value or any(f"{text}.".startswith(f"{other}.") for other in written):
                continue
            is_whole = not any(_is_written_in(text, other) for other in written)
            # A file that was merged twice at one place gave its elements once.
            first, *others = dict.fromkeys([*self._places(sources, key.names)][::-1]) or [""]
            how = (
                f"{' and '.join(others)} append{'s' * (len(others) == 1)} to what {first} gives"
                if others
                else "two files give elements of it"
            )
            before = "" if is_whole else " before overrides"
            told.append((key, f"{text} is {list_text(key.field, value)}{before}: {how}"))
        return told

    def locate(self, sources: tuple[MergedFile, ...], key: Key) -> str:
        """Name the file and line that set a key, '' where no file does.

        Args:
            sources: files that were merged, those that go over others first.
            key: starts below the task.
        """
        names = key.names
        count = next((i for i, step in enumerate(key.steps, 1) if step.field.is_repeated), len(names))
        names = (*names[:count], key.oneof) if key.oneof else names[:count]
        found = self._lines.get((sources, names))
        if found is None:
            is_list = bool(key.steps) and key.steps[min(count, len(key.steps)) - 1].field.is_repeated
            places = self._places(sources, names, last=not is_list)
            found = self._lines[sources, names] = next(places, "")
        return found

    def _places(self, sources: Iterable[MergedFile], names: tuple[str, ...], *, last: bool = False) -> Iterator[str]:
        """Yield the files that set a field, each with its first or last line; those that go over others first."""
        for source in sources:
            inner = source.names_in(names)
            line = line_of(self.read(source.path), inner, last=last) if inner else None
            if line is not None:
                yield f"{self.project.relative(source.path)}:{line}"


def _is_written_in(text: str, written: str) -> bool:
    """Return whether an override adds to a list, or writes one of its elements."""
    outer = written.removesuffix("+")
    return written.startswith(f"{text}.") or (outer != written and f"{text}.".startswith(f"{outer}."))


def _over_others(message: Message, extended: Iterable[Root]) -> Message:
    """Return a root message with what the configs that it extends say beside their task, which is merged already."""
    whole = type(message)()
    for root in extended:
        beside = copy_of(root.message)
        beside.ClearField(root.task)
        whole.MergeFrom(beside)
    whole.MergeFrom(message)
    return whole


def _cleared_by(include: Message) -> list[str]:
    """List the keys that an include clears."""
    field = type_of(include).fields_by_name.get(CLEAR)
    if field is None or field.type != FieldDescriptor.TYPE_STRING:
        return []
    found: Any = getattr(include, CLEAR)
    return list(found) if field.is_repeated else [found] * bool(found)


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
