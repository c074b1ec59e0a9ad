"""Owns composing: a config file, the chunks it includes and overrides become one message, an identity and needs."""

from __future__ import annotations

import fnmatch
import math
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import message_factory, text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.errors import ConfigError, HeyhiError, NeedsError, OverrideError, suggest
from heyhi.identity import ExpPattern, Identity
from heyhi.overrides import (
    NULL,
    SELECT,
    Key,
    Kind,
    Value,
    canonical_text,
    cast_value,
    find_key,
    is_map,
    leaves,
    shorten,
    split_override,
    value_text,
)
from heyhi.project import Project
from heyhi.schema import Schema
from heyhi.values import INT_RANGES

SUFFIX = ".prototxt"
_ROOT_DIR = "{{ROOT_DIR}}"
_NEED = re.compile(r"\{\{exp(?=[\s}])")
Overrides = Sequence[str] | Mapping[str, object]


class Composed(NamedTuple):
    """Hold a composed experiment.

    Attributes:
        identity: config and canonical overrides.
        task: name of the chosen task.
        message: root message; its `includes` are merged and gone, its templates are written out.
        needs: experiments that its strings name by `{{exp …}}`, in order of first mention.
        base: the config as it is without overrides.
    """

    identity: Identity
    task: str
    message: Message
    needs: tuple[Composed, ...]
    base: Message

    @property
    def task_message(self) -> Message:
        """Message of the chosen task."""
        chosen: Message = getattr(self.message, self.task)
        return chosen


@dataclass(frozen=True)
class _Root:
    """Hold a root config as its file and includes give it: parsed once, copied for each experiment."""

    path: Path
    name: str
    task: str
    message: Message
    has_needs: bool
    plans: dict[tuple[str, ...], _Plan | HeyhiError] = field(default_factory=dict)


@dataclass(frozen=True)
class _Op:
    """Hold one override's key, found in the schema, and what to do with it."""

    key: Key
    ignored: bool

    @cached_property
    def label(self) -> str:
        return f"{self.key.text}="

    @cached_property
    def direct(self) -> tuple[type, float, float]:
        """Type and bounds of Python values that a sweep may give and the field takes as they are."""
        bounds = INT_RANGES.get(self.key.field.cpp_type) if self.key.kind is Kind.SCALAR else None
        if bounds is not None:
            return int, bounds[0], bounds[1]
        return (float, -math.inf, math.inf) if self.is_double else (type(None), 0, 0)

    @cached_property
    def is_string(self) -> bool:
        return self.key.kind is Kind.SCALAR and self.key.field.type == FieldDescriptor.TYPE_STRING

    @cached_property
    def is_double(self) -> bool:
        return self.key.kind is Kind.SCALAR and self.key.field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE


@dataclass(frozen=True)
class _Plan:
    """Hold how a tuple of keys is applied and written in canonical order; one for all points of a sweep."""

    includes: tuple[tuple[int, Key | None], ...]
    scalars: tuple[tuple[int, _Op], ...]
    order: tuple[int, ...]  # of the scalars that count, as indices into `scalars`

    @cached_property
    def steps(self) -> tuple[tuple[int, _Op, type, float, float, str, Callable[[Message, Value], None]], ...]:
        """What is done for each scalar, with all that is the same for every point of a sweep looked up."""
        return tuple((index, op, *op.direct, op.label, op.key.apply) for index, op in self.scalars)


@dataclass
class Composer:
    """Compose experiments of one project; each file is read and parsed once.

    Args:
        project: where configs are looked up.
        schema: what they must fit.
        include_dirs: further folders in which includes are looked up, before those of the project's settings.
    """

    project: Project
    schema: Schema
    include_dirs: tuple[Path, ...] = ()
    _configs: dict[tuple[str, bool], Path] = field(default_factory=dict)
    _roots: dict[Path, _Root | HeyhiError] = field(default_factory=dict)
    _chunks: dict[tuple[Path, str], tuple[Message, bool]] = field(default_factory=dict)
    _by_cfg: dict[str | Path, _Root] = field(default_factory=dict)
    _needs: dict[str, Composed] = field(default_factory=dict)
    _texts: dict[Path, str] = field(default_factory=dict)

    def compose(self, cfg: str | Path, overrides: Overrides = ()) -> Composed:
        """Compose one experiment: file with its includes, include overrides, scalar overrides.

        Args:
            cfg: config file: absolute, or relative to the working directory, the project root or its conf folder;
                `.prototxt` may be left out.
            overrides: `key=value` texts, or a mapping of keys to values.

        Raises:
            ConfigError: a file is missing or wrong.
            OverrideError: an override is wrong.
            NeedsError: experiments need one another in a circle.
        """
        root = self._by_cfg.get(cfg)
        if root is None:
            root = self._by_cfg[cfg] = self._root(self.find_config(cfg))
        return self._compose(root, overrides, ())

    def find_config(self, cfg: str | Path, *, cwd: bool = True) -> Path:
        """Find a root config's file.

        Raises:
            ConfigError: it doesn't exist; the message names the nearest ones.
        """
        key = (str(cfg), cwd)
        if key not in self._configs:
            self._configs[key] = self._find_config(str(cfg), cwd)
        return self._configs[key]

    def _find_config(self, cfg: str, cwd: bool) -> Path:
        bases = [Path.cwd()] if cwd else []
        bases += [self.project.root, self.project.conf_root]
        for base in bases:
            for name in (cfg, f"{cfg}{SUFFIX}"):
                path = Path(os.path.abspath(base / name))  # noqa: PTH100 (a link keeps its name)
                if _is_file(path):
                    return path
        known = [self.project.relative(p) for p in sorted(self.project.conf_root.rglob(f"*{SUFFIX}"))[:2000]]
        raise ConfigError(
            f"config '{cfg}' doesn't exist (looked below {', '.join(map(str, dict.fromkeys(bases)))})"
            f"{suggest(cfg, [s for k in known for s in (k, k.removesuffix(SUFFIX), Path(k).stem)])}"
        )

    def _compose(self, root: _Root, overrides: Overrides, chain: tuple[str, ...]) -> Composed:
        # A large sweep spends its time in the next lines: what is the same for all its points is found once.
        keys, texts = _keys_and_texts(overrides)
        if chain:
            _refuse_circle(chain, _experiment_text(root.name, overrides))
        plan = root.plans.get(keys)
        if not isinstance(plan, _Plan):
            plan = self._plan(root, keys, texts)
        message = type(root.message)()
        message.CopyFrom(root.message)
        task: Message = getattr(message, root.task)
        canonical: list[str] = []
        has_needs = root.has_needs
        for index, mount in plan.includes:
            line, needy = self._apply_include(root, task, mount, value_text(texts[index]))
            has_needs |= needy
            canonical += line
        lines: list[str] = []
        for index, op, kind, low, high, label, apply in plan.steps:
            raw = texts[index]
            value: Value
            if type(raw) is kind and low <= raw <= high:  # type: ignore[operator]
                value, text = raw, repr(raw)  # type: ignore[assignment]
            else:
                value, text, needy = self._cast(root, op, raw, chain)
                has_needs |= needy
            if op.ignored and (clears := self._clears_counted(op, task, value)):
                canonical.append(f"{op.key.text}={text}")
            try:
                apply(task, value)
            except OverrideError as error:
                raise self._located(error, root, op.key) from None
            lines.append(label + text)
        canonical += [lines[i] for i in plan.order]
        identity = Identity(root.name, tuple(canonical))
        needs: tuple[Composed, ...] = ()
        if has_needs:
            label = _experiment_text(root.name, identity.overrides)
            _refuse_circle(chain, label)
            needs = self._resolve_needs(message, (*chain, label))
        if self.schema.has_required and not message.IsInitialized():
            missing = ", ".join(message.FindInitializationErrors())
            raise ConfigError(f"{root.name}: required fields are not set: {missing}")
        return Composed(identity, root.task, message, needs, root.message)

    # --- files ----------------------------------------------------------------------------------------------------

    def _root(self, path: Path) -> _Root:
        found = self._roots.get(path)
        if found is None:
            try:
                found = self._load_root(path)
            except HeyhiError as error:
                found = error
            self._roots[path] = found
        if isinstance(found, HeyhiError):
            raise found
        return found

    def _load_root(self, path: Path) -> _Root:
        name = self.project.relative(path)
        message = self.schema.new_root()
        try:
            needy = self._parse(path, message)
        except ConfigError as error:
            chunk = self._chunk_type(path)
            if chunk is not None:
                raise ConfigError(
                    f"{name}: is a chunk (a {chunk}), not a root config: include it in one that chooses a task"
                    f" ({', '.join(self.schema.tasks)})"
                ) from None
            raise error
        task = message.WhichOneof(self.schema.task_oneof.name)
        if task is None:
            members = " or ".join(f"{t} {{ … }}" for t in self.schema.tasks)
            raise ConfigError(f"{name}: no task is set: expected {members}")
        includes = _includes_of(message)
        chosen = getattr(message, task)
        needy |= self._resolve_includes(chosen, path, (path,), includes)
        if includes:
            message.ClearField("includes")
        return _Root(path, name, task, message, needy)

    def _parse(self, path: Path, message: Message) -> bool:
        """Parse a file into a message and write out {{ROOT_DIR}}; tell whether it has a need in it."""
        text = self._read(path)
        name = self.project.relative(path)
        try:
            text_format.Parse(text, message, descriptor_pool=self.schema.pool)
        except text_format.ParseError as error:
            raise ConfigError(_parse_error(name, error, message.DESCRIPTOR)) from None
        except (RecursionError, UnicodeError, ValueError) as error:
            raise ConfigError(f"{name}: can't be parsed: {error or type(error).__name__}") from None
        if "{{" not in text:
            return False
        root = str(self.project.root)
        _map_strings(message, lambda s: s.replace(_ROOT_DIR, root))
        return _NEED.search(text) is not None

    def _read(self, path: Path) -> str:
        if path not in self._texts:
            try:
                self._texts[path] = path.read_text(encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"{self.project.relative(path)}: can't be read: {error.strerror}") from None
            except UnicodeDecodeError as error:
                raise ConfigError(f"{self.project.relative(path)}: is not UTF-8 text (byte {error.start})") from None
        return self._texts[path]

    def _chunk_type(self, path: Path) -> str | None:
        """Name the message type that a file which is no root config describes, if any."""
        seen: dict[str, Descriptor] = {}
        todo = [f.message_type for f in self.schema.tasks.values()]
        while todo:
            here = todo.pop(0)
            if here.full_name in seen or here.GetOptions().map_entry:
                continue
            seen[here.full_name] = here
            todo += [f.message_type for f in here.fields if f.message_type is not None]
        for descriptor in seen.values():
            try:
                self._parse(path, message_factory.GetMessageClass(descriptor)())
            except HeyhiError:
                continue
            return descriptor.name
        return None

    # --- includes -------------------------------------------------------------------------------------------------

    def _resolve_includes(
        self, message: Message, path: Path, stack: tuple[Path, ...], includes: Iterable[Any] = ()
    ) -> bool:
        """Merge what a message and the messages in it include, below what they set; tell whether a need came in."""
        needy = False
        for child in _children(message):
            if _may_include(child.DESCRIPTOR):
                needy |= self._resolve_includes(child, path, stack)
        own = [*includes, *_includes_of(message)]
        if not own:
            return needy
        merged = type(message)()
        for include in own:
            needy |= self._merge_file_include(merged, include, path, stack)
        if _may_include(message.DESCRIPTOR, deep=False):
            message.ClearField("includes")
        merged.MergeFrom(message)
        message.CopyFrom(merged)
        return needy

    def _merge_file_include(self, into: Message, include: Any, path: Path, stack: tuple[Path, ...]) -> bool:
        name = self.project.relative(path)
        mount = getattr(include, "mount", "")
        where = f"{name}:{_line_of(self._read(path), include.path)}: include '{include.path}'"
        try:
            key = find_mount(into.DESCRIPTOR, mount) if mount else None
        except OverrideError as error:
            raise ConfigError(f"{where}: mount: {error}") from None
        try:
            found = self.find_include(include.path, mount, path.parent)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        target = key.reach(into) if key is not None else into
        chunk, needy = self._chunk(found, target.DESCRIPTOR, stack)
        target.MergeFrom(chunk)
        return needy

    def _chunk(self, path: Path, descriptor: Descriptor, stack: tuple[Path, ...]) -> tuple[Message, bool]:
        if path in stack:
            chain = " -> ".join(self.project.relative(p) for p in (*stack, path))
            raise ConfigError(f"includes go in a circle: {chain}")
        cached = self._chunks.get((path, descriptor.full_name))
        if cached is None:
            message = message_factory.GetMessageClass(descriptor)()
            needy = self._parse(path, message)
            needy |= self._resolve_includes(message, path, (*stack, path))
            cached = self._chunks[path, descriptor.full_name] = (message, needy)
        return cached

    def load_chunk(self, path: Path, descriptor: Descriptor) -> Message:
        """Return a copy of a chunk with what it includes merged; needs in it stay as they are written.

        Raises:
            ConfigError: a file is missing or wrong.
        """
        message = message_factory.GetMessageClass(descriptor)()
        message.CopyFrom(self._chunk(path, descriptor, ())[0])
        return message

    def find_include(self, name: str, mount: str, folder: Path) -> Path:
        """Find an included file.

        Args:
            name: absolute; with a `/`, relative to the project root where that exists; else looked up.
            mount: key of the field that it is merged into, '' for none.
            folder: of the including config.

        Raises:
            ConfigError: it is nowhere; the message says where it was looked for.
        """
        if not name:
            raise ConfigError("the path is empty")
        below = mount.replace(".", "/")
        folders = [folder, self.project.conf_root / "common", *self.include_dirs]
        folders += [self.project.root / d for d in self.project.settings.include_dirs]
        bases = [self.project.root] if "/" in name else []
        for one in dict.fromkeys(folders):
            bases += [one, one / below] if below else [one]
        for base in bases:
            for candidate in (base / name, base / f"{name}{SUFFIX}"):
                if _is_file(candidate):
                    return Path(os.path.abspath(candidate))  # noqa: PTH100 (a link keeps its name)
        if Path(name).is_absolute():
            raise ConfigError(f"{name} doesn't exist")
        looked = [self.project.relative(b) for b in bases if b.is_dir()]
        near = {p.stem for b in bases if b.is_dir() for p in b.glob(f"*{SUFFIX}")}
        raise ConfigError(f"no file '{name}' (or {name}{SUFFIX}) in {', '.join(looked)}{suggest(name, sorted(near))}")

    def _apply_include(self, root: _Root, task: Message, mount: Key | None, name: str) -> tuple[list[str], bool]:
        """Merge an include override; return its canonical text, nothing where it only says how to schedule."""
        at = f"I.{mount.text}" if mount else "I"
        text = f"{at}={name}"
        try:
            path = self.find_include(
                name.replace(_ROOT_DIR, str(self.project.root)), mount.text if mount else "", root.path.parent
            )
            target = mount.reach(task) if mount else task
            chunk, needy = self._chunk(path, target.DESCRIPTOR, (root.path,))
        except HeyhiError as error:
            raise OverrideError(f"override '{text}': {error}") from None
        prefix = f"{mount.text}." if mount else ""
        only_scheduling = all(self._is_ignored(prefix + key) for key, _, _ in leaves(chunk))
        before = self._counted(task) if only_scheduling else None
        target.MergeFrom(chunk)
        if only_scheduling and before == self._counted(task):
            return [], needy
        return [f"{at}={self.project.relative(path)}"], needy

    # --- overrides ------------------------------------------------------------------------------------------------

    def _plan(self, root: _Root, keys: tuple[str, ...], texts: Sequence[object]) -> _Plan:
        plan = root.plans.get(keys)
        if plan is None:
            try:
                plan = self._make_plan(root, keys, texts)
            except HeyhiError as error:
                plan = error
            root.plans[keys] = plan
        if isinstance(plan, HeyhiError):
            raise plan
        return plan

    def _make_plan(self, root: _Root, keys: tuple[str, ...], texts: Sequence[object]) -> _Plan:
        task = self.schema.tasks[root.task].message_type
        includes: list[tuple[int, Key | None]] = []
        scalars: list[tuple[int, _Op]] = []
        errors: list[str] = []
        for index, text in enumerate(keys):
            try:
                is_include, mount = include_mount(task, text)
                if is_include:
                    includes.append((index, mount))
                else:
                    key = find_key(task, text)
                    scalars.append((index, _Op(key, self._is_ignored(key.text))))
            except OverrideError as error:
                errors.append(f"override '{text}={shorten(_show(texts[index]))}': {error}")
        if errors:
            raise OverrideError("\n".join(errors))
        counted = [i for i, (_, op) in enumerate(scalars) if not op.ignored]
        order = canonical_order([scalars[i][1].key for i in counted])
        return _Plan(tuple(includes), tuple(scalars), tuple(counted[i] for i in order))

    def _cast(self, root: _Root, op: _Op, raw: object, chain: tuple[str, ...]) -> tuple[Value, str, bool]:
        """Cast an override's value; return it, its canonical text, and whether it has a need in it."""
        try:
            text = value_text(raw)
            if op.is_string and "{{" in text and not text.startswith('"'):
                return self._cast_template(root, op, text, chain)
            value = cast_value(op.key, text)
        except OverrideError as error:
            raise self._located(error, root, op.key, raw) from None
        return value, canonical_text(op.key, value), False

    def _cast_template(self, root: _Root, op: _Op, text: str, chain: tuple[str, ...]) -> tuple[Value, str, bool]:
        """Cast a string with templates: the canonical text names a need by its exp id and keeps {{ROOT_DIR}}."""
        value = cast_value(op.key, text)
        assert isinstance(value, str)
        expanded = value.replace(_ROOT_DIR, str(self.project.root))
        here = (*chain, _experiment_text(root.name, [f"{op.key.text}={text}"]))
        if not _NEED.search(value):
            plain = canonical_text(op.key, value) if _ROOT_DIR not in value else value
            return expanded, plain, False
        named = _expand_needs(expanded, lambda words: f"{{{{exp {self._exp_id(self._need(words, here))}}}}}")
        return expanded, named.replace(str(self.project.root), _ROOT_DIR), True

    def _located(self, error: OverrideError, root: _Root, key: Key, raw: object = None) -> OverrideError:
        """Add to an override's error where a file sets its key."""
        shown = f"override '{key.text}={shorten(_show(raw))}': " if raw is not None else "override: "
        for path in [root.path, *(p for p, _ in self._chunks)]:
            line = locate(self._read(path), (root.task, *key.text.split(".")), key.text.split("."))
            if line:
                return OverrideError(f"{shown}{error}; {self.project.relative(path)}:{line} sets it")
        return OverrideError(f"{shown}{error}")

    @cached_property
    def _ignored(self) -> re.Pattern[str]:
        patterns = self.project.settings.identity_ignore
        return re.compile("|".join(fnmatch.translate(p) for p in patterns) or r"(?!)")

    def _is_ignored(self, key: str) -> bool:
        return self._ignored.match(key) is not None

    def _counted(self, task: Message) -> list[tuple[str, Any]]:
        """List what is set and says what is computed, not how it is scheduled."""
        return [(key, value) for key, _, value in leaves(task) if not self._is_ignored(key)]

    def _clears_counted(self, op: _Op, task: Message, value: Value) -> bool:
        """Tell whether an override that only says how to schedule takes away something else: another oneof member."""
        through = [s.field for s in op.key.steps if s.field.containing_oneof is not None]
        if not through and value is not NULL and value is not SELECT:
            return False
        copy = type(task)()
        copy.CopyFrom(task)
        before = self._counted(copy)
        op.key.apply(copy, value)
        return before != self._counted(copy)

    def drift_view(self, message: Message) -> dict[str, Any]:
        """Write a root message as dotted keys with defaults, less what only says how a run is scheduled."""
        from heyhi.frozen import flatten

        task = message.WhichOneof(self.schema.task_oneof.name)
        flat = flatten(getattr(message, task)) if task else {}
        return {key: value for key, value in flat.items() if not self._is_ignored(key)}

    # --- needs ----------------------------------------------------------------------------------------------------

    @cached_property
    def _pattern(self) -> ExpPattern:
        return ExpPattern(self.project)

    def _exp_id(self, composed: Composed) -> str:
        return self._pattern.exp_id(composed.identity)

    def need_path(self, composed: Composed) -> Path:
        """Return the exp path of an experiment that another one needs: always by the default pattern."""
        return self._pattern.exp_path(self._exp_id(composed))

    def write_out_templates(self, message: Message, name: str) -> None:
        """Write out the project root and the folders of needs in a message that is no root config.

        Args:
            message: is changed.
            name: of what holds it, for errors.

        Raises:
            HeyhiError: a need can't be composed.
        """
        root = str(self.project.root)
        _map_strings(message, lambda s: s.replace(_ROOT_DIR, root))
        self._resolve_needs(message, (name,))

    def _resolve_needs(self, message: Message, chain: tuple[str, ...]) -> tuple[Composed, ...]:
        found: dict[str, Composed] = {}

        def replace(words: str) -> str:
            need = self._need(words, chain)
            found.setdefault(self._exp_id(need), need)
            return str(self.need_path(need))

        _map_strings(message, lambda s: _expand_needs(s, replace))
        return tuple(found.values())

    def _need(self, words: str, chain: tuple[str, ...]) -> Composed:
        if words in self._needs:
            return self._needs[words]
        by = chain[-1]
        try:
            cfg, *overrides = shlex.split(words)
        except ValueError as error:
            raise NeedsError(f"{by}: {{{{exp {words}}}}}: {error}: expected {{{{exp CFG [OVERRIDE …]}}}}") from None
        try:
            need = self._compose(self._root(self.find_config(cfg, cwd=False)), overrides, chain)
        except NeedsError:
            raise
        except HeyhiError as error:
            raise type(error)(f"{by} needs {_experiment_text(cfg, overrides)}: {error}") from None
        self._needs[words] = need
        return need


# --- pure helpers -------------------------------------------------------------------------------------------------


def include_mount(task: Descriptor, key: str) -> tuple[bool, Key | None]:
    """Tell whether an override's key is an include (`I`, `I.mount`, `Imount`), and find its mount.

    Raises:
        OverrideError: it is one, and its mount is no message of the task.
    """
    first = key.split(".", 1)[0]
    if not key.startswith("I") or first in task.fields_by_name:
        return False, None
    if key == "I":
        return True, None
    if first == "I":
        return True, find_mount(task, key[2:])
    try:
        return True, find_mount(task, key[1:])
    except OverrideError:
        return False, None


def find_mount(message: Descriptor, mount: str) -> Key:
    """Find the message field that an include is merged into.

    Raises:
        OverrideError: there is none of that name, or it is no message.
    """
    key = find_key(message, mount)
    if key.kind is not Kind.MESSAGE:
        what = key.kind.value if key.kind is not Kind.SCALAR else "scalar"
        raise OverrideError(f"'{mount}' is a {what}; an include is merged into a message")
    return key


def canonical_order(keys: Sequence[Key]) -> list[int]:
    """Put keys in the order in which an identity names them.

    Sorted by name, each key once, at its last write. Keys between which order matters stay in applied order: those
    that write the same list, lie one inside the other, or choose different members of one oneof.

    Returns:
        indices into `keys`; of a key that a later write replaces, only the later one.
    """
    last = {key.text: i for i, key in enumerate(keys)}
    kept = [i for i, key in enumerate(keys) if last[key.text] == i or _lists(key)]
    group = {i: i for i in kept}

    def find(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    first_of: dict[tuple[str, ...], int] = {}
    paths = {keys[i].text for i in kept}
    members: dict[str, set[str]] = {}
    for i in kept:
        for oneof, member in _choices(keys[i]):
            members.setdefault(oneof, set()).add(member)
    for i in kept:
        marks = [("list", path) for path in _lists(keys[i])]
        marks += [("oneof", oneof) for oneof, _ in _choices(keys[i]) if len(members[oneof]) > 1]
        marks += [("path", prefix) for prefix in _prefixes(keys[i]) if prefix in paths]
        for mark in marks:
            group[find(i)] = find(first_of.setdefault(mark, i))
    names: dict[int, str] = {}
    for i in kept:
        top = find(i)
        names[top] = min(names.get(top, keys[i].text), keys[i].text)
    return sorted(kept, key=lambda i: (names[find(i)], i))


def _prefixes(key: Key) -> Iterator[str]:
    """Yield the key and every key that it lies inside."""
    parts: list[str] = []
    for step in key.steps:
        parts.append(step.field.name)
        yield ".".join(parts)
        if step.text != step.field.name:
            parts[-1] = step.text
            yield ".".join(parts)
    if key.oneof:
        yield key.text


def _lists(key: Key) -> list[str]:
    """Name the lists that a key goes through or into."""
    found, parts = [], []
    for step in key.steps:
        if step.field.is_repeated and not is_map(step.field):
            found.append(".".join([*parts, step.field.name]))
        parts.append(step.text)
    return found


def _choices(key: Key) -> Iterator[tuple[str, str]]:
    """Yield the oneofs that a key goes through, each with the member that it chooses ('': it clears the oneof)."""
    parts: list[str] = []
    for step in key.steps:
        if step.field.containing_oneof is not None:
            yield ".".join([*parts, step.field.containing_oneof.name]), step.field.name
        parts.append(step.text)
    if key.oneof:
        yield ".".join([*parts, key.oneof]), ""


def locate(text: str, *paths: Sequence[str]) -> int | None:
    """Find the line of a text message that sets one of the given field paths."""
    tokens = text_format.Tokenizer(text.splitlines())
    stack: list[str] = []
    name = ""
    try:
        while not tokens.AtEnd():
            token, line = tokens.token, tokens._line + 1
            if token in ("{", "<"):
                stack.append(name)
            elif token in ("}", ">"):
                stack and stack.pop()
            elif token.isidentifier():
                name = token
                if any([*stack, token] == list(path) for path in paths):
                    return line
            tokens.NextToken()
    except text_format.ParseError:
        return None
    return None


def _line_of(text: str, value: str) -> int:
    return next((i for i, line in enumerate(text.splitlines(), 1) if f'"{value}"' in line or f"'{value}'" in line), 1)


def _parse_error(name: str, error: text_format.ParseError, root: Descriptor) -> str:
    """Write a parse error as file:line:column, with the nearest valid name."""
    line, column = error.GetLine(), error.GetColumn()
    text = re.sub(rf"^{line}:{column} : ", "", str(error)) if line else str(error)
    text = re.sub(r"^'.*?': ", "", text, count=1, flags=re.DOTALL)
    unknown = re.search(r'Message type "([\w.]+)" has no field named "([^"]+)"', text)
    if unknown:
        holder = _find_message(root, unknown[1])
        fields = [f.name for f in holder.fields] if holder is not None else []
        text += suggest(unknown[2], fields) or (f" It has: {', '.join(sorted(fields))}." if fields else "")
    return f"{name}:{line}:{column}: {text}" if line else f"{name}: {text}"


def _find_message(root: Descriptor, full_name: str) -> Descriptor | None:
    todo, seen = [root], set()
    while todo:
        here = todo.pop()
        if here.full_name == full_name:
            return here
        seen.add(here.full_name)
        todo += [f.message_type for f in here.fields if f.message_type and f.message_type.full_name not in seen]
    return None


def _includes_of(message: Message) -> list[Any]:
    return list(message.includes) if _may_include(message.DESCRIPTOR, deep=False) else []  # type: ignore[attr-defined]


def _may_include(descriptor: Descriptor, *, deep: bool = True, seen: frozenset[str] = frozenset()) -> bool:
    """Tell whether a message type has a field `includes` of messages with a path, or (deep) one in it does."""
    own = descriptor.fields_by_name.get("includes")
    if own is not None and own.is_repeated and own.message_type is not None and not is_map(own):
        path = own.message_type.fields_by_name.get("path")
        if path is not None and path.type == FieldDescriptor.TYPE_STRING:
            return True
    if not deep:
        return False
    seen |= {descriptor.full_name}
    inner = (f.message_type for f in descriptor.fields if f.message_type is not None)
    return any(_may_include(m, seen=seen) for m in inner if m.full_name not in seen)


def _children(message: Message) -> Iterator[Message]:
    """Yield the messages that are set in a message, elements of lists and maps too."""
    for one, value in message.ListFields():
        if one.message_type is None or (one.name == "includes" and _may_include(message.DESCRIPTOR, deep=False)):
            continue
        if is_map(one):
            if one.message_type.fields_by_name["value"].message_type is not None:
                yield from (value[k] for k in value)
        elif one.is_repeated:
            yield from value
        else:
            yield value


def _map_strings(message: Message, change: Callable[[str], str]) -> None:
    """Rewrite each string value in a message, in place."""
    for one, value in message.ListFields():
        name = one.name
        if is_map(one):
            values = one.message_type.fields_by_name["value"]
            if values.type == FieldDescriptor.TYPE_STRING:
                for k in list(value):
                    value[k] = change(value[k])
        elif one.type == FieldDescriptor.TYPE_STRING:
            if one.is_repeated:
                value[:] = [change(v) for v in value]
            elif "{{" in value:
                setattr(message, name, change(value))
    for child in _children(message):
        _map_strings(child, change)
    for include in _includes_of(message):
        _map_strings(include, change)


def _expand_needs(text: str, replace: Callable[[str], str]) -> str:
    """Replace each `{{exp WORDS}}` (braces in it may nest) by what a function makes of its words."""
    out, position = [], 0
    while match := _NEED.search(text, position):
        depth, end = 1, match.end()
        while depth and end < len(text):
            if text.startswith("{{", end):
                depth, end = depth + 1, end + 2
            elif text.startswith("}}", end):
                depth, end = depth - 1, end + 2
            else:
                end += 1
        words = text[match.end() : end - 2].strip()
        if depth or not words:
            raise NeedsError(f"'{shorten(text)}': expected {{{{exp CFG [OVERRIDE …]}}}}")
        out += [text[position : match.start()], replace(words)]
        position = end
    return "".join([*out, text[position:]])


def _keys_and_texts(overrides: Overrides) -> tuple[tuple[str, ...], Sequence[object]]:
    if type(overrides) is dict or isinstance(overrides, Mapping):
        return tuple(map(str, overrides)), list(overrides.values())
    if isinstance(overrides, str):
        raise OverrideError(f"overrides must be a list of key=value texts, not one text: '{shorten(overrides)}'")
    pairs = [split_override(text) for text in overrides]
    return tuple(key for key, _ in pairs), [value for _, value in pairs]


def _experiment_text(cfg: str, overrides: Overrides) -> str:
    """Write an experiment as a command line would."""
    if isinstance(overrides, Mapping):
        overrides = [f"{key}={_show(value)}" for key, value in overrides.items()]
    return shlex.join([cfg, *overrides])


def _refuse_circle(chain: tuple[str, ...], label: str) -> None:
    if label in chain:
        circle = [*chain[chain.index(label) :], label]
        raise NeedsError(f"experiments need one another in a circle: {' -> '.join(circle)}")


def _show(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
