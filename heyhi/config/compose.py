"""Owns composing: a config file and overrides become one message, an identity, and needs.

How files are found and merged is in `includes`, what a key or a value means in `overrides`.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.identity import ExpPattern, Identity
from heyhi.config.includes import ConfigFiles, MergedFile, Root, include_mount
from heyhi.config.keys import Key, Kind, find_key
from heyhi.config.order import Line, canonical_order
from heyhi.config.overrides import canonical_text, cast_value, split_override
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema, is_too_deep, message_type
from heyhi.config.templates import (
    OPEN,
    canonical_template,
    has_need,
    has_template,
    map_strings,
    protect,
    replace_needs,
    replace_root,
    unprotect,
)
from heyhi.config.values import INT_RANGES, Special, Value, shorten, value_text
from heyhi.errors import ConfigError, HeyhiError, IdentityError, NeedsError, OverrideError
from heyhi.project import Project

Overrides = Sequence[str] | Mapping[str, object]
_Errors = list[tuple[int, HeyhiError]]  # each with the index of its override
_MAX_NEEDS = 50  # that lead from one to the next: each is some frames of Python's stack


class Composed(NamedTuple):
    """A composed experiment.

    Attributes:
        identity: config and canonical overrides.
        task: name of the chosen task.
        message: root message; its `includes` are merged and gone, its templates are written out.
        needs: experiments that its strings name by `{{exp …}}`, in order of first mention.
        base: the config as it is without overrides; needs in it are as they are written.
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


class _Write(NamedTuple):
    """A scalar override's key, found in the schema, and how its values are written."""

    at: int  # its index among the overrides
    kind: type  # of Python's values that the field takes as they are, from low to high
    low: float
    high: float
    head: str  # the key and =
    apply: Callable[[Message, Value], None]
    key: Key
    is_string: bool
    is_ignored: bool  # it only says how a run is scheduled


@dataclass(frozen=True)
class _Recipe:
    """How a tuple of keys is applied; one for all points of a sweep."""

    includes: tuple[tuple[int, Key | None], ...]
    writes: tuple[_Write, ...]
    order: tuple[int, ...]  # canonical, of the writes that count, where all of them set values
    errors: tuple[tuple[int, HeyhiError], ...]
    orders: dict[tuple[Special | None, ...], list[int]] = field(default_factory=dict)  # where some clear or select


@dataclass(frozen=True)
class _Start:
    """What scalar overrides are applied to: a root config with include overrides merged."""

    message: Message
    lines: tuple[str, ...]  # canonical
    has_needs: bool
    sources: tuple[MergedFile, ...]
    errors: tuple[tuple[int, HeyhiError], ...] = ()


@dataclass(frozen=True)
class _Config:
    """A root config and what was found out about overrides of it."""

    root: Root
    start: _Start
    plans: dict[tuple[str, ...], _Recipe] = field(default_factory=dict)
    starts: dict[tuple[tuple[str, str], ...], _Start] = field(default_factory=dict)


class _Nothing:
    """Be the type of no value."""


class Composer:
    """Compose experiments of one project; each file is read and parsed once.

    Args:
        project: where configs are looked up.
        schema: what they must fit.
        include_dirs: further folders in which includes are looked up, before those of the project's settings.
    """

    def __init__(self, project: Project, schema: Schema, include_dirs: tuple[Path, ...] = ()) -> None:
        self.project = project
        self.schema = schema
        self._files = ConfigFiles(project, schema, include_dirs)
        self._scheduling = Scheduling(project.settings.identity_ignore)
        self._configs: dict[Path, _Config] = {}
        self._by_cfg: dict[str | Path, _Config] = {}  # the same by what callers name them
        self._needs: dict[str, Composed | HeyhiError] = {}
        self._needs_by_id: dict[str, Composed] = {}

    @property
    def files(self) -> frozenset[Path]:
        """Config files that were read so far."""
        return self._files.paths

    @cached_property
    def _pattern(self) -> ExpPattern:
        return ExpPattern(self.project)

    def compose(self, cfg: str | Path, overrides: Overrides = ()) -> Composed:
        """Compose one experiment: file with its includes, include overrides, scalar overrides.

        Args:
            cfg: config file: absolute, or relative to the working directory, the project root or its conf folder;
                `.prototxt` may be left out.
            overrides: `key=value` texts, or a mapping of keys to values.

        Raises:
            ConfigError: a file is missing or wrong.
            OverrideError: overrides are wrong; the message names all of them, a line each.
            NeedsError: experiments need one another in a circle.
        """
        config = self._by_cfg.get(cfg)
        if config is None:
            config = self._by_cfg[cfg] = self._config(self.find_config(cfg))
        return self._compose(config, overrides, ())

    def find_config(self, cfg: str | Path, *, cwd: bool = True) -> Path:
        """Find a root config's file.

        Args:
            cfg: as for `compose`.
            cwd: look in the working directory, too.

        Raises:
            ConfigError: it doesn't exist; the message names the nearest ones.
        """
        return self._files.find_config(cfg, cwd=cwd)

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
        map_strings(message, lambda text: replace_root(text, str(self.project.root)))
        self._resolve_needs(message, (shlex.quote(name),))

    def _config(self, path: Path) -> _Config:
        config = self._configs.get(path)
        if config is None:
            root = self._files.root(path)
            start = _Start(root.message, (), root.has_needs, root.sources)
            config = self._configs[path] = _Config(root, start)
        return config

    def _compose(self, config: _Config, overrides: Overrides, chain: tuple[str, ...]) -> Composed:
        # A large sweep spends its time in the next lines: what is the same for all its points is found once.
        root = config.root
        if chain:
            chain = _grown(chain, _experiment_text(root.name, overrides))
        keys, values, errors = _keys_and_values(overrides)
        plan = config.plans.get(keys)
        if plan is None:
            plan = config.plans[keys] = self._plan(root, keys)
        start = self._start(config, plan, keys, values) if plan.includes else config.start
        if plan.errors or start.errors:
            errors += [*plan.errors, *start.errors]
        message = type(start.message)()
        message.CopyFrom(start.message)
        task: Message = getattr(message, root.task)
        has_needs, has_literals = start.has_needs, False
        done: list[Value] = []
        lines: list[str] = []
        odd: dict[int, Line | None] = {}  # lines of values that an identity doesn't simply name in their order
        for at, kind, low, high, head, apply, key, is_string, is_ignored in plan.writes:
            raw = values[at]
            value: Value
            try:
                if type(raw) is kind and low <= raw <= high:  # type: ignore[operator]  # it is an int or a float
                    value, text = raw, repr(raw)  # type: ignore[assignment]  # as above
                else:
                    value = cast_value(key, value_text(raw))
                    text = canonical_text(key, value)
                    if is_string and type(value) is str and OPEN in value:
                        chain = chain or (_experiment_text(root.name, overrides),)
                        literal = value != value_text(raw)  # it was quoted
                        value, text = self._template(value, text, literal, chain)
                        has_literals |= literal
                        has_needs |= not literal and has_need(value)
                line = head + text
                if is_ignored:
                    odd[len(lines)] = self._scheduling.line_that_counts(task, Line(key, value, line))
                elif type(value) is Special:
                    odd[len(lines)] = Line(key, value, line)
                done.append(value)
                lines.append(line)
                if not errors:
                    apply(task, value)
            except HeyhiError as error:
                errors.append((at, self._located(error, config, start, key, raw)))
        if errors:
            raise _joined(errors)
        if any(odd.values()):
            named = self._canonical(start, root, task, plan, done, lines, odd)
        else:
            named = [lines[i] for i in plan.order]
        identity = Identity(root.name, (*start.lines, *named))
        needs: tuple[Composed, ...] = ()
        if has_needs:
            needs = self._resolve_needs(message, chain or (_experiment_text(root.name, overrides),))
        if has_literals:
            map_strings(message, unprotect)
        if self.schema.has_required and not message.IsInitialized():
            raise _unset(message, root)
        return Composed(identity, root.task, message, needs, root.message)

    # --- overrides ------------------------------------------------------------------------------------------------

    def _plan(self, root: Root, keys: tuple[str, ...]) -> _Recipe:
        task = message_type(self.schema.tasks[root.task])
        includes: list[tuple[int, Key | None]] = []
        writes: list[_Write] = []
        errors: _Errors = []
        for index, text in enumerate(keys):
            try:
                is_include, mount = include_mount(task, text)
                if is_include:
                    includes.append((index, mount))
                else:
                    key = find_key(task, text)
                    self._refuse_includes(task, key)
                    writes.append(_write(index, key, self._scheduling))
            except OverrideError as error:
                errors.append((index, error))
        counted = [i for i, write in enumerate(writes) if not write.is_ignored]
        order = canonical_order([writes[i].key for i in counted])
        return _Recipe(tuple(includes), tuple(writes), tuple(counted[i] for i in order), tuple(errors))

    def _refuse_includes(self, task: Descriptor, key: Key) -> None:
        here: Descriptor | None = task
        for part in key.parts:
            if here is not None and part.steps and part.steps[-1].field == self._files.include_field(here):
                mount = ".".join(["I", *key.names[: len(part.steps) - 1]])
                raise OverrideError(f"key '{key.text}': files are included by {mount}=path")
            here = part.field.message_type if part.steps else None

    def _start(self, config: _Config, plan: _Recipe, keys: Sequence[str], values: Sequence[object]) -> _Start:
        names = tuple((keys[index], _shown(values[index])) for index, _ in plan.includes)
        start = config.starts.get(names)
        if start is None:
            start = config.starts[names] = self._merge_includes(config, plan, names)
        return start

    def _merge_includes(self, config: _Config, plan: _Recipe, names: Sequence[tuple[str, str]]) -> _Start:
        """Merge include overrides into a root config; name those that don't only say how to schedule."""
        root = config.root
        message = type(root.message)()
        message.CopyFrom(root.message)
        task: Message = getattr(message, root.task)
        lines: list[str] = []
        sources = root.sources
        has_needs = root.has_needs
        errors: _Errors = []
        for (index, mount), (key, name) in zip(plan.includes, names, strict=True):
            below = ".".join(mount.names) if mount is not None else ""
            kind = message_type(mount.field) if mount is not None else message_type(self.schema.tasks[root.task])
            try:
                path = self._files.find_include(replace_root(name, str(self.project.root)), below, root.path.parent)
                chunk = self._files.chunk(path, kind, (root.path,))
                counts = self._scheduling.counted(chunk.message, f"{mount.text}." if mount is not None else "")
                before = self._scheduling.counted(task)
                target = mount.reach(task) if mount is not None else task
                target.MergeFrom(chunk.message)
            except HeyhiError as error:
                errors.append((index, OverrideError(f"override '{shorten(f'{key}={name}')}': {error}")))
                continue
            if is_too_deep(message):
                errors.append((index, OverrideError(f"override '{shorten(f'{key}={name}')}': is nested too deeply")))
            if counts or before != self._scheduling.counted(task):
                at = f"I.{mount.text}" if mount is not None else "I"
                lines.append(f"{at}={self.project.relative(path)}")
            names_before = mount.names if mount is not None else ()
            sources = (*(MergedFile(s.path, (*names_before, *s.names)) for s in chunk.sources), *sources)
            has_needs |= chunk.has_needs
        return _Start(message, tuple(lines), has_needs, sources, tuple(errors))

    def _template(self, value: str, text: str, literal: bool, chain: tuple[str, ...]) -> tuple[str, str]:
        """Return a string with braces as it is applied, and as an identity names it: needs by their exp ids."""
        if literal:
            return protect(value), text
        if not has_template(value):
            return value, text
        if "\0" in value:
            raise OverrideError("a string with {{…}} in it can't have a NUL character")
        named = canonical_template(value, lambda words: self._exp_id(self._need(words, chain)))
        return replace_root(value, str(self.project.root)), named

    def _canonical(
        self,
        start: _Start,
        root: Root,
        task: Message,
        plan: _Recipe,
        done: Sequence[Value],
        lines: Sequence[str],
        odd: Mapping[int, Line | None],
    ) -> list[str]:
        """Name overrides, some of which clear or select, or only schedule but may change what counts."""
        applied: list[Line] = []
        doubtful: list[Line] = []
        for i, write in enumerate(plan.writes):
            line = odd[i] if i in odd else Line(write.key, done[i], lines[i])
            if line is not None:
                applied.append(line)
                if write.is_ignored:
                    doubtful.append(line)
        wanted = self._scheduling.counted(task) if doubtful else []
        for line in doubtful:
            others = [other for other in applied if other is not line]
            if self._replayed(start, root, others) == wanted:
                applied = others
        marks = tuple(line.value if isinstance(line.value, Special) else None for line in applied)
        order = plan.orders.get(marks) if not doubtful else None
        if order is None:
            order = canonical_order([line.key for line in applied], marks)
            if not doubtful:
                plan.orders[marks] = order
        return [applied[i].text for i in order]

    def _replayed(self, start: _Start, root: Root, applied: Sequence[Line]) -> list[str] | None:
        """List what counts after some overrides, None where they can't be applied."""
        message = type(start.message)()
        message.CopyFrom(start.message)
        task: Message = getattr(message, root.task)
        try:
            for line in applied:
                line.key.apply(task, line.value)
        except OverrideError:
            return None
        return self._scheduling.counted(task)

    def _located(self, error: HeyhiError, config: _Config, start: _Start, key: Key, raw: object) -> HeyhiError:
        """Add to an override's error its text, and where a file sets its key."""
        if not isinstance(error, OverrideError):
            return error
        place = self._files.locate(config.root, start.sources, key)
        where = f"; {place} sets it" if place else ""
        return OverrideError(f"override '{key.text}={shorten(_shown(raw))}': {error}{where}")

    # --- needs ----------------------------------------------------------------------------------------------------

    def _exp_id(self, composed: Composed) -> str:
        return self._pattern.exp_id(composed.identity)

    def _resolve_needs(self, message: Message, chain: tuple[str, ...]) -> tuple[Composed, ...]:
        found: dict[str, Composed] = {}

        def folder(words: str) -> str:
            need = self._need(words, chain)
            found.setdefault(self._exp_id(need), need)
            return str(self.need_path(need))

        map_strings(message, lambda text: replace_needs(text, folder))
        return tuple(found.values())

    def _need(self, words: str, chain: tuple[str, ...]) -> Composed:
        """Compose what a need names: `CFG [OVERRIDE …]`, or the exp id of an experiment that was composed before."""
        need = self._needs.get(words)
        if need is None:
            try:
                need = self._compose_need(words, chain)
            except NeedsError:
                raise  # a circle is one only in its chain
            except HeyhiError as error:
                need = error
            self._needs[words] = need
        if isinstance(need, HeyhiError):
            by, *_ = shlex.split(chain[-1])  # without its overrides: the points of a sweep share one error
            raise type(need)(f"{by} needs {words}: {need}")
        return need

    def _compose_need(self, words: str, chain: tuple[str, ...]) -> Composed:
        try:
            cfg, *overrides = shlex.split(words)
        except ValueError as error:
            raise OverrideError(f"{error}: expected {{{{exp CFG [OVERRIDE …]}}}}") from None
        cfg = replace_root(cfg, str(self.project.root))
        try:
            path = self._files.find_config(cfg, cwd=False)
        except ConfigError:
            known = None if overrides else self._known(cfg, chain)
            if known is None:
                raise
            return known
        need = self._compose(self._config(path), overrides, chain)
        self._needs_by_id[self._exp_id(need)] = need
        return need

    def _known(self, exp_id: str, chain: tuple[str, ...]) -> Composed | None:
        """Compose again an experiment that is named by its exp id, as identities name needs."""
        found = self._needs_by_id.get(exp_id)
        if found is not None:
            return found
        try:
            data = json.loads((self.project.results_root / exp_id / "identity.json").read_text(encoding="utf-8"))
            identity = Identity.from_dict(data)
        except (OSError, ValueError, IdentityError):
            return None
        config = self._config(self._files.find_config(identity.cfg, cwd=False))
        composed = self._compose(config, identity.overrides, chain)
        return composed if self._exp_id(composed) == exp_id else None


def _write(at: int, key: Key, scheduling: Scheduling) -> _Write:
    kind: type = _Nothing
    low, high = -math.inf, math.inf
    is_string = False
    if key.kind is Kind.SCALAR:
        cpp_type = key.field.cpp_type
        is_string = key.field.type == FieldDescriptor.TYPE_STRING
        if cpp_type in INT_RANGES:
            kind = int
            low, high, _ = INT_RANGES[cpp_type]
        elif cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
            kind = float
    ignored = scheduling.ignores(key.text)
    return _Write(at, kind, low, high, f"{key.text}=", key.apply, key, is_string, ignored)


def _keys_and_values(
    overrides: Overrides,
) -> tuple[tuple[str, ...], Sequence[object], _Errors]:
    """Split overrides; what can't be split is an error, and is left out."""
    if type(overrides) is dict or isinstance(overrides, Mapping):
        return tuple(map(str, overrides)), list(overrides.values()), []
    if isinstance(overrides, str):
        raise OverrideError(f"overrides must be a list of key=value texts, not one text: '{shorten(overrides)}'")
    if not isinstance(overrides, Iterable):
        raise OverrideError(f"overrides must be a mapping or a list of key=value texts, not {overrides!r}")
    keys: list[str] = []
    values: list[object] = []
    errors: _Errors = []
    for text in overrides:
        try:
            if not isinstance(text, str):
                raise OverrideError(f"override {text!r}: expected a text key=value")
            key, value = split_override(text)
        except OverrideError as error:
            errors.append((len(keys), error))
        else:
            keys.append(key)
            values.append(value)
    return tuple(keys), values, errors


def _joined(errors: _Errors) -> HeyhiError:
    """Make one error of all that overrides got wrong, in their order."""
    ordered = [error for _, error in sorted(errors, key=lambda item: item[0])]
    return ordered[0].anew() if len(ordered) == 1 else OverrideError("\n".join(map(str, ordered)))


def _unset(message: Message, root: Root) -> ConfigError:
    missing: list[str] = message.FindInitializationErrors()  # type: ignore[attr-defined]  # the stubs lack it
    names = ", ".join(name.removeprefix(f"{root.task}.") for name in missing)
    return ConfigError(f"{root.name}: required fields are not set: {names}")


def _experiment_text(cfg: str, overrides: Overrides) -> str:
    """Write an experiment as a command line would."""
    if isinstance(overrides, Mapping):
        overrides = [f"{key}={_shown(value)}" for key, value in overrides.items()]
    return shlex.join([cfg, *map(str, overrides)])


def _grown(chain: tuple[str, ...], label: str) -> tuple[str, ...]:
    """Add an experiment to those that need it, one after the other."""
    if label in chain:
        circle = [*chain[chain.index(label) :], label]
        raise NeedsError(f"experiments need one another in a circle: {' -> '.join(circle)}")
    if len(chain) >= _MAX_NEEDS:
        raise NeedsError(f"{chain[0]}: needs lead through more than {_MAX_NEEDS} experiments, up to {shorten(label)}")
    return (*chain, label)


def _shown(value: object) -> str:
    """Write any value that an override was given."""
    try:
        return value_text(value)
    except OverrideError:
        return f"<{type(value).__name__}>"
