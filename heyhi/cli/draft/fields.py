"""What an argument becomes: a field of a proto, its value in a config, and what the task file reads of it."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from heyhi.cli.draft.arguments import ABSENT, SUPPRESS, UNREAD, Argument, Kind, Missing, is_literal
from heyhi.cli.draft.code import python
from heyhi.cli.draft.names import Names, of_type
from heyhi.cli.draft.tasks import Task

_SWITCHES = ("store_true", "store_false", "optional")
_LISTS = ("append", "append_const", "extend")
_MOST_CHOICES = 200
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What a statement of an enum begins with, or an override says in place of a value.
_NO_VALUES = frozenset({"option", "reserved", "NULL", "SELECT", "export", "local", "message", "enum", "extensions"})
_INT32, _INT64 = 2**31, 2**63


@dataclass(frozen=True)
class Enum:
    """The choices of a field.

    Attributes:
        name: of the enum, or of the message around it.
        values: as the script has them.
        is_inside: whether a message is around it, since the task has another thing of a value's name.
    """

    name: str
    values: tuple[str, ...]
    is_inside: bool = False

    @property
    def type(self) -> str:
        """As fields name it."""
        return f"{self.name}.Kind" if self.is_inside else self.name


@dataclass(frozen=True)
class Field:
    """A field of a task's message.

    Attributes:
        name: in proto and config.
        dest: in the script.
        arguments: that set it.
        type: a scalar type of protos.
        enum: its choices, in place of that.
        is_list: whether it is repeated.
        is_required: whether it has to be set.
        default: what the script has where nothing is given; ABSENT where a field can't have that.
        fallback: likewise what a field can't have: None, or a literal of another type.
    """

    name: str
    dest: str
    arguments: Sequence[Argument]
    type: str
    is_list: bool
    is_required: bool
    default: Any
    fallback: Any
    enum: Enum | None = None

    @property
    def first(self) -> Argument:
        """The argument that it is described by."""
        return self.arguments[0]

    @property
    def kind(self) -> Kind | None:
        """What makes a value of its text, by the first argument that has one."""
        return next((one.kind for one in self.arguments if one.kind is not None), None)

    @property
    def has_to_be_set(self) -> bool:
        """Whether nothing runs without it; of a list, which no proto can require, argparse or the script says so."""
        return self.is_required or (self.is_list and all(one.required for one in self.arguments))

    @property
    def is_split(self) -> bool:
        """Whether it is a list that the script itself makes, of one text."""
        return self.is_list and self.first.action in ("store", "own") and self.first.nargs in (None, "?")

    @property
    def default_of_empty(self) -> Any:
        """What an empty list is taken as: a config can't tell it from one that nobody has named. ABSENT for itself."""
        if not self.is_list or self.default is ABSENT:
            return ABSENT
        return self.default or ABSENT

    @property
    def is_suppressed(self) -> bool:
        """Whether the script has no such attribute where nothing is given."""
        return any(one.default is SUPPRESS for one in self.arguments)


@dataclass
class Fields:
    """The fields of a task, and the enums that they are of."""

    fields: list[Field] = field(default_factory=list)
    enums: list[Enum] = field(default_factory=list)


def fields_of(task: Task, names: Names) -> Fields:
    """Return what a task's message has.

    Args:
        task: as the script has it.
        names: of its fields.
    """
    found = Fields([_field(dest, names.new(dest), arguments) for dest, arguments in task.by_dest.items()])
    enums: dict[tuple[str, ...], Enum] = {}
    for place, one in enumerate(found.fields):
        values = _enum_values(one)
        if values is None:
            continue
        if values not in enums:
            is_inside = any(value in names for value in values) or "Kind" in values
            for value in () if is_inside else values:
                names.take(value)
            enums[values] = Enum(names.new(of_type(one.name)), values, is_inside)
        default = one.default
        found.fields[place] = Field(**{**one.__dict__, "enum": enums[values], "default": default})
    found.enums = list(enums.values())
    return found


def _field(dest: str, name: str, arguments: Sequence[Argument]) -> Field:
    is_list = any(map(_gives_list, arguments))
    default = _converted(_default(arguments), arguments)
    kind = _type(arguments, default)
    fits = _fits_as_list(kind, default) if is_list else _fits(kind, default)
    is_required = all(one.required for one in arguments) and not is_list
    return Field(
        name=name,
        dest=dest,
        arguments=arguments,
        type=kind,
        is_list=is_list,
        is_required=is_required,
        default=default if fits else ABSENT,
        fallback=None if fits or isinstance(default, Missing) else default,
    )


def _gives_list(argument: Argument) -> bool:
    if argument.action in _LISTS:
        return True
    if argument.action not in ("store", "own"):
        return False
    is_one = argument.nargs in (None, "?")
    return not is_one or (isinstance(argument.default, (list, tuple)) and _natural(argument.default) is not None)


def _default(arguments: Sequence[Argument]) -> Any:
    """Return what argparse has where nothing is given: of several arguments for one attribute, the first one's."""
    known = [one for one in arguments if one.default is not SUPPRESS]
    if not known:
        return SUPPRESS
    first = known[0]
    if not first.flags and first.nargs == "*" and first.default is None:
        return []
    return first.default


def _converted(default: Any, arguments: Sequence[Argument]) -> Any:
    """Return a default as argparse makes it: a text goes through the type."""
    kind = arguments[0].kind
    if kind is None or not isinstance(default, str):
        return default
    make = {"int": int, "float": float, "bool": bool}.get(kind.name)
    if make is None or kind.text:
        return default
    try:
        return make(default)
    except (ValueError, OverflowError):
        return UNREAD


def _type(arguments: Sequence[Argument], default: Any) -> str:
    """Return the scalar type that a field of these arguments has."""
    first = arguments[0]
    samples = [*_items(default), *(one.const for one in arguments if one.action.endswith("const"))]
    known = [one for one in samples if one is not None and not isinstance(one, Missing)]
    if all(one.action in _SWITCHES for one in arguments):
        return "bool"
    if first.action == "count":
        return "int32" if isinstance(default, int) and default < 0 else "uint32"
    if first.action.endswith("const"):
        return _natural(known) or "string"
    kind = next((one.kind for one in arguments if one.kind is not None), None)
    choices = [one for one in first.choices if one is not None] if isinstance(first.choices, list) else []
    if kind is None:
        return _natural([*known, *choices]) or "string"
    if kind.name == "int":
        return _natural([0, *known, *choices], ("int32", "int64", "double")) or "int64"
    if kind.name in ("float", "bool", "str", "path"):
        return {"float": "double", "bool": "bool"}.get(kind.name, "string")
    if kind.is_switch and all(isinstance(one, bool) for one in known):
        return "bool"
    return _natural(known) or "string"


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _natural(values: Iterable[Any], allowed: Sequence[str] = ()) -> str | None:
    """Return the scalar type that values are of; None for none, or several."""
    known = [str(one) if isinstance(one, PurePath) else one for one in values]
    kinds = {type(one) for one in known}
    found = None
    if kinds == {bool}:
        found = "bool"
    elif kinds == {int} or (allowed and kinds <= {int, float, bool} and all(_is_whole(one) for one in known)):
        size = max(one if one >= 0 else -one - 1 for one in map(int, known))
        found = "int32" if size < _INT32 else "int64"
    elif kinds and kinds <= {int, float}:
        found = "double"
    elif kinds == {str}:
        found = "string"
    return found if not allowed or found in allowed else None


def _is_whole(value: object) -> bool:
    return not isinstance(value, float) or value.is_integer()


def _fits(kind: str, value: Any) -> bool:
    """Return whether a field of a scalar type can have a value as its default, and reads as it then."""
    if kind == "string":
        return isinstance(value, (str, PurePath)) and _is_encodable(str(value))
    if kind == "bool":
        return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if kind == "double":  # protobuf can't read the smallest ones back
        return abs(value) <= 2**53 if isinstance(value, int) else value == 0 or not abs(value) < sys.float_info.min
    if not _is_whole(value):
        return False
    limit = _INT64 if kind == "int64" else _INT32
    return math.isfinite(value) and (0 if kind == "uint32" else -limit) <= value < limit


def _fits_as_list(kind: str, value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(_fits(kind, one) for one in value)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _enum_values(one: Field) -> tuple[str, ...] | None:
    """Return the choices of a field where an enum can have them."""
    first = one.first
    if len(one.arguments) != 1 or not isinstance(first.choices, list) or one.type != "string":
        return None
    if not first.choices or len(first.choices) > _MOST_CHOICES or (one.kind is not None and one.kind.name == "path"):
        return None
    values = tuple(dict.fromkeys(first.choices))
    if not all(isinstance(v, str) and _IDENTIFIER.fullmatch(v) and v not in _NO_VALUES for v in values):
        return None
    defaults = [] if one.default is ABSENT or one.default is None else _items(one.default)
    has_others = one.fallback is not None or any(value not in values for value in defaults)
    return None if has_others else values


# --- what the task file reads ---------------------------------------------------------------------------------------


def read_code(one: Field) -> str:
    """Write the expression that is the attribute which argparse makes of a field's argument."""
    value = f"cfg.{one.name}"
    make = _make(one)
    if one.is_list:
        many = f"[{make}(one) for one in {value}]" if make else f"list({value})"
        if one.default is ABSENT:
            return f"{many} or {python(one.fallback)}"
        if isinstance(one.default, tuple):
            many = f"tuple({many if make else value})"
        return many if one.default_of_empty is ABSENT else f"{many} or {python(one.default_of_empty)}"
    if one.default is not ABSENT or one.is_required:
        return f"{make}({value})" if make else value
    if one.type == "bool":
        return f"cfg.to_dict().get({python(one.name)}{_as_default(one.fallback)})"
    if make:
        return f"{python(one.fallback)} if {value} is None else {make}({value})"
    return value if one.fallback is None else f"{python(one.fallback)} if {value} is None else {value}"


def checked_code(one: Field) -> str:
    """Write the same expression, with what argparse would refuse, and no field's type does."""
    code, argument, name = read_code(one), one.first, python(one.first.flag or one.dest)
    if len(one.arguments) != 1 or argument.action not in (*_LISTS, "store", "own"):
        return code
    default = one.fallback if one.default is ABSENT else one.default
    if one.is_list and argument.action not in _LISTS:
        exact = argument.nargs if isinstance(argument.nargs, int) else None
        least = exact or int(argument.nargs == "+" or (argument.required and argument.nargs is not None))
        if least:
            code, default_ = (f"{code} or []", None) if argument.required else (code, default)
            code = f"counted({name}, {code}, {least}, {exact}, {python(default_)})"
    if isinstance(argument.choices, list) and one.enum is None:
        others = [value for value in _items(default) if value is not None and value not in argument.choices]
        code = f"one_of({name}, {code}, {python([*argument.choices, *others])})"
    return code


def _as_default(fallback: Any) -> str:
    return "" if fallback is None else f", {python(fallback)}"


def _make(one: Field) -> str:
    """Return what makes of a field's value what the script has, '' where that is the same."""
    kind = one.kind
    if one.is_split and kind is not None and kind.name != "path":
        return ""  # it is for the text as a whole
    paths = [value for value in _items(one.default) if isinstance(value, PurePath)]
    if (kind is None and paths) or (kind is not None and kind.name == "path"):
        return "Path"
    return kind.text if kind is not None and kind.text and one.type == "string" else ""


# --- what a command line has ----------------------------------------------------------------------------------------


def is_open(one: Field) -> bool:
    """Return whether argparse takes whatever stands behind a field's option for one of its values, but for options."""
    return one.is_list and one.first.nargs in ("*", "+", "...")


def can_end(one: Field) -> bool:
    """Return whether a field can always have an option on the command line, which ends the values of one before it."""
    is_one = not one.is_list and one.first.action in ("store", "own", "optional")
    return bool(one.first.flags) and is_one and (one.default is not ABSENT or one.is_required)


def words_code(one: Field, *, is_always: bool = False) -> list[str]:
    """Write the elements of a list that are the words of a command line for a field, by functions of the task file.

    Args:
        one: the field; one that `can_end` where it is always to have words.
        is_always: have words where it has its default, too.
    """
    found: list[str] = []
    has_stored = False
    for argument in one.arguments:
        is_stored = argument.action in ("store", "own", "append", "extend")
        if is_stored and has_stored:
            continue
        has_stored = has_stored or is_stored
        found += [f"*{code}" for code in _argument_words(one, argument, is_always=is_always)]
    return found


def _argument_words(one: Field, argument: Argument, *, is_always: bool) -> list[str]:
    name, value = python(argument.flag), f"cfg.{one.name}"
    default = python(None if one.default is ABSENT or is_always else one.default)
    if one.type == "bool" and one.default is ABSENT:
        value = f"cfg.to_dict().get({python(one.name)})"
    match argument.action:
        case "store_true":
            return [f"flag({name}, {value} is True)"]
        case "store_false":
            return [f"flag({name}, {value} is False)"]
        case "optional":
            no = python(f"--no-{argument.flag[2:]}")
            return [f"flag({name}, {value} is True)", f"flag({no}, {value} is False)"]
        case "store_const":
            return [f"flag({name}, {value} == {python(argument.const)})"] if is_literal(argument.const) else []
        case "append_const":
            return [f"[{name}] * {value}.count({python(argument.const)})"] if is_literal(argument.const) else []
        case "count":
            more = (
                f"max(0, {value} - {one.default})"
                if isinstance(one.default, int) and one.default
                else f"({value} or 0)"
            )
            return [f"[{name}] * {more}"]
        case "append":
            return [f"each({name}, {value}, {default})"]
    if one.is_split:
        default = python(",".join(map(str, _items(one.default)))) if isinstance(one.default, (list, tuple)) else "None"
        return [f'option({name}, ",".join(map(str, {value})) or None, {default})']
    if one.is_list:
        return [f"many({name}, {value}, {default})" if argument.flags else f"many(None, {value}, {default})"]
    if not argument.flags:
        return [f"word({value}, {default})"]
    if argument.kind is not None and argument.kind.name == "bool":  # of which only '' is False
        given = python(("True" if one.default else "") if isinstance(one.default, bool) and not is_always else None)
        return [f'option({name}, {{True: "True", False: ""}}.get({value}), {given})']
    return [f"option({name}, {value}, {default})"]
