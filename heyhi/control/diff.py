"""`heyhi diff`: how two experiments differ, by what lies in their folders."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from google.protobuf.descriptor import FieldDescriptor

from heyhi.code.changes import EDITED, GONE, NEW, CodeChanges
from heyhi.code.environment import normalized, own_requirements, read_environment
from heyhi.code.git import CodeVersion
from heyhi.code.import_path import outside_text
from heyhi.config.difference import plain
from heyhi.config.schema import Schema
from heyhi.config.shown_list import shown_bytes
from heyhi.config.translation import Translation
from heyhi.config.values import shorten
from heyhi.errors import ConfigError, HeyhiError, ResultError, UnknownError, fact_of
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.metric_line import less_facts
from heyhi.experiment.metrics_file import Damage, counting_lines
from heyhi.experiment.names import CONFIG_NAME
from heyhi.experiment.notes import Notes
from heyhi.experiment.records import History, Start
from heyhi.experiment.status import State, find_state
from heyhi.files import is_there, parse_json, read_bounded
from heyhi.project import Project
from heyhi.text import in_line

_MAX_VALUE = 48
_MOST_FILES = 20
_ABSENT = "-"
_Found = TypeVar("_Found")


class Section(NamedTuple):
    """What of one kind of things differs.

    Attributes:
        title: of what kind: config, code, packages, result, last metrics.
        lines: for a terminal.
        differences: key -> what each of the two has that has any.
        missing: `a`, `b`: those that have none of it.
        unread: those of which it can't be read.
    """

    title: str
    lines: list[str]
    differences: Mapping[str, Mapping[str, Any]] = {}
    missing: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


class Head(NamedTuple):
    """One of two experiments that are compared.

    Attributes:
        exp_id: its exp id.
        exp_path: its folder.
        words: config and overrides; None where it never was started, or nobody knows.
        state: how it is.
        note: that somebody made on it.
        lines: for a terminal.
    """

    exp_id: str
    exp_path: str
    words: list[str] | None
    state: State
    note: str
    lines: list[str]


class Comparison(NamedTuple):
    """How two experiments differ.

    Attributes:
        heads: which two these are.
        sections: what differs.
        unread: why some of it could not be compared.
    """

    heads: list[Head]
    sections: list[Section]
    unread: list[str]

    @property
    def text(self) -> str:
        """Lines for a terminal: what differs, a key a line."""
        lines = [line for head in self.heads for line in head.lines]
        return "\n".join([*lines, *(line for section in self.sections for line in ("", *section.lines))])


def diff(schema: Schema, project: Project, a: ExperimentDir, b: ExperimentDir) -> Comparison:
    """Compare two experiments: identity, status, config, code, packages, result and last metrics.

    Where something of one of them can't be read, the rest is compared all the same.

    Args:
        schema: of today; by its names both are told, and it reads a config that was kept as text only.
        project: that they are of.
        a: one of them.
        b: the other one.
    """
    both = _Both(a, b)
    heads = both.heads(Translation(schema, project))
    sections = [
        both.section("config", lambda folder: _with_bytes(schema, _config(schema, folder)), _configs),
        both.section("code", _version, lambda one, two: _code(project, one, two)),
        both.section("packages", _environment, lambda *digests: _packages(project, *digests)),
        both.section("result", _result, lambda *found: _section("result", *found)),
        both.section("last metrics", _metrics, lambda *found: _section("last metrics", *found)),
    ]
    return Comparison(heads, sections, list(both.unread))


class _Both:
    """Two experiments of which some may not be readable.

    Attributes:
        unread: why something could not be read, each once.
    """

    def __init__(self, a: ExperimentDir, b: ExperimentDir) -> None:
        self._named = (("A", a), ("B", b))
        self.unread: dict[str, None] = {}

    def section(
        self, title: str, read: Callable[[ExperimentDir], _Found], written: Callable[[_Found, _Found], Section]
    ) -> Section:
        """Write how what is read of both differs, or of which of them it can't be read."""
        found, missing = [], []
        for name, folder in self._named:
            try:
                found.append(read(folder))
            except HeyhiError as error:
                self.unread[fact_of(error)] = None
                missing.append(name)
        if missing:
            line = f"{title}: not compared: that of {' and '.join(missing)} can't be read"
            return Section(title, [line], unread=tuple(map(str.lower, missing)))
        return written(*found)

    def heads(self, today: Translation) -> list[Head]:
        """Say which two these are, and how they are."""
        return [self._head(name, folder, today) for name, folder in self._named]

    def _head(self, name: str, folder: ExperimentDir, today: Translation) -> Head:
        lines = [f"{name}  {folder.exp_id}"]
        words = None
        try:
            identity = folder.read_identity()
            words = today.words(identity) if identity is not None else None
            lines.append(f"   {' '.join(words)}" if words is not None else "   never started")
        except UnknownError as error:
            self.unread[error.fact] = None
            lines.append("   nobody knows of which config and overrides")
        state = find_state(folder.path)
        lines.append(f"   {state.text}")
        with contextlib.suppress(UnknownError):  # said where the code is compared
            if text := outside_text(History(folder.attempts()).outside):
                lines.append(f"   code: {text}")
        noted = Notes.read(folder.results_root).shown(str(folder.path)) if folder.results_root is not None else None
        if noted is not None:
            lines.append(f"   note: {noted.line}")
        return Head(folder.exp_id, str(folder.path), words, state, noted.text if noted is not None else "", lines)


def _configs(a: dict[str, Any] | None, b: dict[str, Any] | None) -> Section:
    return _section("config", *map(_less_empty_lists, _less_their_task([a, b])))


def _version(folder: ExperimentDir) -> CodeVersion:
    start, _ = History(folder.attempts()).last_attempt
    return start.version if start is not None else CodeVersion()


def _environment(folder: ExperimentDir) -> str:
    _, end = History(folder.attempts()).last_attempt
    return end.environment if end is not None else ""


def _config(schema: Schema, folder: ExperimentDir) -> dict[str, Any] | None:
    """Read a config as dotted keys; None where none was kept."""
    try:
        found = parse_json(read_bounded(folder.flat_config_path))
    except FileNotFoundError:
        return _config_from_text(schema, folder)
    except (OSError, ValueError) as error:
        raise ResultError(f"{folder.flat_config_path}: can't be read: {_reason(error)}") from None
    if not isinstance(found, dict):
        raise ResultError(f"{folder.flat_config_path}: is no JSON object")
    return dict(Translation(schema).flat(found))


def _config_from_text(schema: Schema, folder: ExperimentDir) -> dict[str, Any] | None:
    from heyhi.config.frozen import flatten
    from heyhi.config.prototxt import parse_renamed

    message = schema.new_root()
    try:
        text = read_bounded(folder.config_path).decode()
        parse_renamed(text, message, CONFIG_NAME, schema.pool)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ConfigError) as error:
        raise ResultError(f"{folder.path / CONFIG_NAME}: can't be read: {_reason(error)}") from None
    return flatten(message)


def _with_bytes(schema: Schema, config: dict[str, Any] | None) -> dict[str, Any] | None:
    """Write lists of bytes as an override has them: their escapes are no text."""
    read = Translation(schema)
    shown = {}
    for name, value in (config or {}).items():
        key = read.key(name.partition(".")[2], name.partition(".")[0]) if isinstance(value, list) and value else None
        if key is not None and key.field.type == FieldDescriptor.TYPE_BYTES:
            shown[name] = shown_bytes(plain(value))
    return config and config | shown


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _less_their_task(configs: list[dict[str, Any] | None]) -> list[dict[str, Any] | None]:
    """Write keys as overrides do, from below the task, where both configs have the same task."""
    tasks = {key.split(".", 1)[0] for config in configs for key in config or ()}
    if len(tasks) != 1:
        return configs
    return [c and {key.partition(".")[2] or key: value for key, value in c.items()} for c in configs]


def _less_empty_lists(config: dict[str, Any] | None) -> dict[str, Any] | None:
    """Leave out lists with nothing in them: one that has elements is told by these."""
    return config and {key: value for key, value in config.items() if value != []}


def _code(project: Project, a: CodeVersion, b: CodeVersion) -> Section:
    """Write the versions of the code that made both, and the files that differ, as a table."""
    one, two = [{"version": version.name} if version.name else None for version in (a, b)]
    change = CodeChanges(project).between(a, b)
    if change is None or one is None or two is None:
        # Of one commit, what differs otherwise is no code: configs, or who may read a file.
        return _section("code", one, one if two is not None and a.commit == b.commit else two)
    for path, edit in list(change.edits.items())[:_MOST_FILES]:
        one |= {path: "there"} if edit != NEW else {}
        two |= {path: EDITED if edit == EDITED else "there"} if edit != GONE else {}
    rest = len(change.edits) - _MOST_FILES
    found = _section("code", one, two)
    return found._replace(lines=[*found.lines, *([f"and {rest} more files"] if rest > 0 else [])])


def _packages(project: Project, *digests: str) -> Section:
    """Write the packages that differ as a table, less those that only HeyHi itself loaded in one of the runs."""
    try:
        a, b = [read_environment(project, digest) for digest in digests]
    except ResultError as error:  # it has the file and why
        line = "packages: can't be read: " + str(error).replace(": can't be read", "", 1)
        return Section("packages", [line], unread=("a", "b"))
    if a is None or b is None:
        whose = "" if a is b else "of A " if a is None else "of B "
        missing = tuple(name for name, one in (("a", a), ("b", b)) if one is None)
        return Section("packages", [f"packages: {whose}not on record"], missing=missing)
    own = own_requirements()
    less = {name for name in a.keys() ^ b.keys() if normalized(name) in own}
    return _section("packages", *[{n: v for n, v in found.items() if n not in less} for found in (a, b)])


def _result(folder: ExperimentDir) -> dict[str, Any] | None:
    return _flat(folder.read_result()) if is_there(folder.result_path) else None


def _metrics(folder: ExperimentDir) -> dict[str, Any] | None:
    """Return the last line of metrics that counts."""
    damage = Damage()
    starts: Sequence[Start] = ()
    with contextlib.suppress(UnknownError):  # said where the code is compared; a table shows all lines then, too
        starts = History(folder.attempts()).starts
    lines = counting_lines(folder.metrics_path, starts, damaged=damage)
    last = deque(lines, maxlen=1)
    damage.warn(folder.metrics_path)
    return _flat(less_facts(last[0])) if last else None


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, one in value.items():
        if isinstance(one, dict) and one:
            flat.update(_flat(one, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = one
    return flat


def _section(title: str, a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> Section:
    """Write what differs between two sets of keys as a table."""
    name, lacking = title, tuple(which for which, one in (("a", a), ("b", b)) if one is None)
    if a is None or b is None:
        missing = "neither has one" if a is b else f"{'A' if a is None else 'B'} has none"
        if a is b:
            return Section(name, [f"{title}: {missing}"], missing=lacking)
        title = f"{title} ({missing})"
    keys = list(dict.fromkeys([*(a or {}), *(b or {})]))
    rows = [(key, a or {}, b or {}) for key in keys if not _same(a or {}, b or {}, key)]
    if not rows:
        return Section(name, [f"{title}: no difference" if keys else f"{title}: empty"], missing=lacking)
    differences = {key: {which: one[key] for which, one in (("a", x), ("b", y)) if key in one} for key, x, y in rows}
    table = [(title, "A", "B", "B - A")]
    table += [(in_line(key), _shown(x, key), _shown(y, key), _change(x.get(key), y.get(key))) for key, x, y in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in table]
    return Section(name, lines, differences, lacking)


def _same(a: Mapping[str, Any], b: Mapping[str, Any], key: str) -> bool:
    if (key in a) != (key in b):
        return False
    x, y = a[key], b[key]
    # JSON tells true from 1, and NaN is what it is.
    return json.dumps(x) == json.dumps(y) or (_is_number(x) and _is_number(y) and bool(x == y))


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return _ABSENT
    value = values[key]
    if value is None:
        return "unset"
    return shorten(in_line(value) if isinstance(value, str) else json.dumps(value), _MAX_VALUE)


def _change(x: Any, y: Any) -> str:
    if _is_number(x) and _is_number(y):
        with contextlib.suppress(OverflowError):  # an integer larger than any float
            return f"{y - x:+.4g}"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
