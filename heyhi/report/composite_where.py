"""Conditions on keys that hold a list, a map or a message: their values are read as overrides', and compared as such.

`layers=[{width: 3}]` holds wherever that override would give what is there, however both are written; what nothing is
in meets `NULL`. Lists of scalars have an order, element by element.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.config.fields import key_of
from heyhi.errors import HeyhiError, OverrideError
from heyhi.report.meanings import Known, tell_renamed
from heyhi.report.readings import OWN_NAMES
from heyhi.report.setting_values import find

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from heyhi.config.keys import Key
    from heyhi.config.schema import Schema

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_EMPTY = (None, "", "[]")


class _Place(NamedTuple):
    """A key as some task has it: `prefix` stands before it where that task is needed."""

    prefix: str
    key: Key
    schema: Schema
    task: str

    @property
    def name(self) -> str:
        """What the key is called among those of a config."""
        return self.prefix + self.key.text

    @property
    def is_plain_list(self) -> bool:
        """Whether it holds a list of scalars."""
        from heyhi.config.keys import Kind

        return self.key.kind is Kind.LIST and self.key.field.message_type is None

    def is_oneof(self, name: str) -> bool:
        """Return whether a column says which member of a oneof is chosen."""
        from heyhi.config.keys import Kind

        found = find(self.schema, self.task, name.removeprefix(self.prefix))
        return found is not None and found.kind is Kind.ONEOF


class _Leaf(NamedTuple):
    """What is wanted of one key of the configs."""

    value: Any
    field: FieldDescriptor


def chooser(name: str, sign: str, value: str, known: Known) -> Callable[[int], bool] | None:
    """Return what says of a row whether a condition holds; None where its key holds no list, map or message.

    Raises:
        HeyhiError: the value is none of that key, or they have no order.
    """
    if sign == "~" or name in OWN_NAMES:
        return None
    wanted: list[tuple[_Place, dict[str, _Leaf]]] = []
    errors: list[HeyhiError] = []
    for place in _places(key_of(name), known):
        try:
            wanted.append((place, _wanted(place, value)))
        except OverrideError as error:
            errors.append(error)
    if not wanted and errors:
        raise errors[0]
    if not wanted:
        return None
    if (today := wanted[0][0].name) != key_of(name):
        tell_renamed(key_of(name), today)
    if sign in _ORDERS:
        return _ordered(*wanted[0], sign, known)
    each = [(_columns(place, known), leaves) for place, leaves in wanted]

    def is_equal(row: int) -> bool:
        return any(_is_same(columns, row, leaves) for columns, leaves in each)

    return is_equal if sign == "=" else lambda row: not is_equal(row)


def _places(name: str, known: Known) -> Iterator[_Place]:
    """Yield where the schemas have a key that holds a list, a map or a message."""
    from heyhi.config.keys import is_composite

    first, _, rest = name.partition(".")
    for one in known.settings:
        tasks = one.schema.tasks if one.schema is not None else ()
        ways = [("", task, name) for task in tasks] + [(f"{first}.", first, rest)] * (first in tasks and bool(rest))
        for prefix, task, below in ways:
            key = one.key(task, below)
            if key is not None and one.schema is not None and is_composite(key):
                yield _Place(prefix, key, one.schema, task)


def _wanted(place: _Place, value: str) -> dict[str, _Leaf]:
    """Return what would be at a key and below it if an override had that value."""
    from google.protobuf import message_factory

    from heyhi.config.keys import Key
    from heyhi.config.overrides import parts_written
    from heyhi.config.schema import message_type

    steps = tuple(step if step.index is None else step.__class__(step.field, index=0) for step in place.key.steps)
    key = Key(steps, place.key.kind)
    message = message_factory.GetMessageClass(message_type(place.schema.tasks[place.task]))()
    for part in parts_written(key, value or "NULL", message, adds=False):
        try:
            part.key.apply(message, part.value)
        except OverrideError:
            if value not in ("", "NULL"):
                raise
    return dict(_leaves(message, key.text))


def _leaves(message: Message, key: str) -> Iterator[tuple[str, _Leaf]]:
    from heyhi.config.leaves import leaves
    from heyhi.config.values import Special
    from heyhi.report.setting_values import read_list, read_scalar

    for name, field, value in leaves(message, with_defaults=True, whole_lists=True):
        if (name == key or name.startswith(f"{key}.")) and value is not None and value != []:
            read = read_list if isinstance(value, list) else read_scalar
            cell = value.value if isinstance(value, Special) else read(field, value)
            yield name[len(key) :], _Leaf(cell, field)


def _columns(place: _Place, known: Known) -> dict[str, Any]:
    """Return the columns at a key and below it, by what stands behind the key."""
    if place.is_plain_list and place.name in known.columns:
        return {"": known.columns[place.name]}
    count = len(place.name)
    return {
        own[count:]: column
        for own, column in known.configs.items()
        if (own == place.name or own.startswith(f"{place.name}.")) and not place.is_oneof(own)
    }


def _is_same(columns: Mapping[str, Any], row: int, wanted: Mapping[str, _Leaf]) -> bool:
    there = {name: column[row] for name, column in columns.items() if column[row] not in _EMPTY or name in wanted}
    return there.keys() == wanted.keys() and all(_is_equal(there[name], leaf) for name, leaf in wanted.items())


def _is_equal(cell: Any, leaf: _Leaf) -> bool:
    mine, other = _plain(cell), _plain(leaf.value)
    if mine == other or (mine != mine and other != other):
        return True
    if not leaf.field.is_repeated:
        return False
    return _elements(mine, leaf.field) == _elements(other, leaf.field)


def _ordered(place: _Place, wanted: Mapping[str, _Leaf], sign: str, known: Known) -> Callable[[int], bool]:
    """Return what compares lists, element by element."""
    if not place.is_plain_list:
        raise OverrideError(f"key '{place.name}' holds no list of scalars, and has no order: = and != compare it")
    column, field = _columns(place, known).get(""), place.key.field
    other = _elements(wanted[""].value, field) if wanted else []

    def holds(row: int) -> bool:
        mine = None if column is None or column[row] is None else _elements(column[row], field)
        return mine is not None and other is not None and _ORDERS[sign](mine, other)

    return holds


def _elements(cell: Any, field: FieldDescriptor) -> list[Any] | None:
    """Return the elements of a list of scalars as values, None where a cell has none."""
    from google.protobuf.descriptor import FieldDescriptor as Types

    from heyhi.config.shown_list import elements_of
    from heyhi.config.values import cast_scalar

    found = elements_of(cell) if isinstance(cell, str) else None
    if found is None or field.type in (Types.TYPE_STRING, Types.TYPE_BYTES):
        return found
    try:
        return [cast_scalar(field, one, "") for one in found]
    except OverrideError:  # of another day
        return list(found)


def _plain(cell: Any) -> Any:
    if getattr(cell, "shape", None) == () and hasattr(cell, "item"):
        cell = cell.item()
    return {"true": True, "false": False}.get(cell, cell) if isinstance(cell, str) else cell
