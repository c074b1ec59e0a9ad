"""The space of a search: what each key may be, in the grammar of `--sweep`, checked against the schema.

    lr=loguniform(1e-4,1)    epochs=range(10,51,10)    batch_size=16,32,64    optimizer=sgd,adam    adam.beta1=…

A key that lies in a member of a oneof applies where that member is chosen. How a point is drawn is left to
`heyhi.search`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.composite import is_composite
from heyhi.config.keys import Key, Kind, choices, find_key, prefixes, present
from heyhi.config.mounts import include_mount
from heyhi.config.overrides import canonical_text, cast_value, parts_written
from heyhi.config.recipe import refuse_includes
from heyhi.config.renames import first_name
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema, copy_of, type_of
from heyhi.config.templates import OPEN
from heyhi.config.values import INT_RANGES, NULL, cast_scalar, describe_type, listed, shorten, value_text
from heyhi.errors import HeyhiError, SweepError
from heyhi.sweep.calls import DRAWS, Call, call_of
from heyhi.sweep.elements import split_elements
from heyhi.sweep.search_spec import Axis
from heyhi.sweep.size import check_size, length_of

_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
_MOST = 2**53  # beyond it, not every whole number is a double, as which samplers draw it


class _Asked(NamedTuple):
    """A key of a space: as it was given, as it was found, and what it may be."""

    given: str
    key: Key
    axis: Axis


def axes_of(space: Mapping[str, Any], schema: Schema, base: Message, scheduling: Scheduling) -> tuple[Axis, ...]:
    """Return the axes of a space.

    Args:
        space: key -> a list, a range, or text as `--space` takes it.
        schema: that the keys are of.
        base: message of the task that the trials start from.
        scheduling: which keys only say how a run is scheduled.

    Returns:
        in the order of the space, but each after those on which it hangs.

    Raises:
        SweepError: the space doesn't fit; the message names all that is wrong, a line each.
    """
    asked: list[_Asked] = []
    errors: list[str] = []
    for given, values in space.items():
        try:
            key = _key_of(given, schema, base, scheduling)
            _check_apart(given, key, asked)
            asked.append(_Asked(given, key, _Reader(given, key, base, schema).axis(values)))
        except HeyhiError as error:
            errors.append(_located(given, error))
    if not errors:
        conditions = _Conditions(asked, base)
        for place, one in enumerate(asked):
            try:
                asked[place] = one._replace(axis=replace(one.axis, only_if=conditions.of(one)))
            except HeyhiError as error:
                errors.append(_located(one.given, error))
    if not errors:
        asked = _in_order(asked)
        errors = [line for one in asked for line in _misfits(one, asked, base)]
    if errors:
        raise SweepError("\n".join(errors))
    return tuple(one.axis for one in asked)


def _located(given: str, error: HeyhiError) -> str:
    head = f"space '{shorten(given)}"
    return str(error) if str(error).startswith(head) else f"{head}': {error}"


def _key_of(given: str, schema: Schema, base: Message, scheduling: Scheduling) -> Key:
    kind = type_of(base)
    name = given.removeprefix("--")
    if name.endswith("+"):
        raise SweepError("a space says what a key may be, and adds to nothing: leave the + out")
    if include_mount(kind, name)[0]:
        raise SweepError(
            "a space can't choose which file is included: search over the fields themselves, such as the member of a"
            " oneof (optimizer=sgd,adam)"
        )
    key = find_key(kind, name)
    refuse_includes(schema, kind, key)
    if "launcher" in key.names[:1] or scheduling.ignores(key.text):
        raise SweepError("launcher and scheduling are those of the base config: give it as an override")
    if any(step.index == -1 for step in key.steps):
        raise SweepError("-1 appends to a list: name the element by its index, or search over whole lists ([16],[32])")
    return key


def _check_apart(given: str, key: Key, asked: Sequence[_Asked]) -> None:
    for other in asked:
        if other.key.text == key.text:
            if other.given == given:
                raise SweepError("the key is given twice")
            raise SweepError(f"the key is given twice: '{other.given}' and '{given}' are one and the same")
        for inner, outer in ((key, other.key), (other.key, key)):
            if outer.text in prefixes(inner):
                raise SweepError(f"'{inner.text}' lies inside of '{outer.text}': search over one of them")


class _Reader:
    """Reads what a key may be."""

    def __init__(self, given: str, key: Key, base: Message, schema: Schema) -> None:
        self._given = given
        self._key = key
        self._base = base
        self._schema = schema

    def axis(self, values: Any) -> Axis:
        if isinstance(values, range):
            return self._whole(values, f"'{self._given}={values}'")
        if not isinstance(values, str):
            return self._choice([value_text(one) for one in values])
        text = values.strip()
        if not text:
            raise SweepError("expected a,b,c or range(…), uniform(low,high), loguniform(low,high), choice(a,b)")
        elements = split_elements(text, f"'{shorten(f'{self._given}={text}')}'")
        calls = [call_of(self._given, one) for one in elements]
        if len(elements) == 1 and (call := calls[0]) is not None:
            return self._called(call)
        found: list[str] = []
        for element, call in zip(elements, calls, strict=True):
            if call is None:
                found.append(element.text)
            elif call.name == "range":
                found += _numbers_of(call.range(), call.where)
            else:
                raise SweepError(f"{call.where}: {call.name}(…) stands alone, and in no list")
        return self._choice(found)

    def _called(self, call: Call) -> Axis:
        if call.name == "range":
            return self._whole(call.range(), call.where)
        form = "a,b,…" if call.name == "choice" else "low,high"
        if call.options or (call.name in DRAWS and len(call.args) > 2):
            raise SweepError(f"{call.where}: a search draws as many as it needs: expected {call.name}({form})")
        return self._choice(call.args) if call.name == "choice" else self._real(call)

    def _choice(self, texts: Sequence[str]) -> Axis:
        if not texts:
            raise SweepError("there is nothing to choose from")
        values = [self._value(text) for text in texts]
        if twice := next((value for place, value in enumerate(values) if value in values[:place]), None):
            raise SweepError(f"the value {shorten(twice)} is given twice")
        return Axis(self._key.first_text, "choice", tuple(values))

    def _value(self, text: str) -> str:
        """Return a value as an identity writes it."""
        key = self._key
        if OPEN in text:
            raise SweepError(f"'{shorten(text)}': what a trial needs is given by the base config: no {OPEN}…}}}} here")
        if is_composite(key):
            check = partial(refuse_includes, self._schema, type_of(self._base))
            parts_written(key, text, copy_of(self._base), adds=False, check=check)
            return text.strip()
        value = cast_value(key, text)
        if key.kind is Kind.ONEOF and value is not NULL:
            return first_name(key.member(str(value)).field)
        return canonical_text(key, value)

    def _whole(self, numbers: range, where: str) -> Axis:
        """Return an axis of whole numbers; of texts, for a field that takes no numbers."""
        if not length_of(numbers):
            raise SweepError(f"{where}: there is no number in this range")
        if not self._takes_numbers():
            return self._choice(_numbers_of(numbers, where))
        low, high = sorted((numbers[0], numbers[-1]))
        self._check_bounds(where, low, high)
        return Axis(self._key.first_text, "int", low=low, high=high, step=abs(numbers.step))

    def _real(self, call: Call) -> Axis:
        """Return an axis of numbers between two bounds: whole ones, for a field of such."""
        if not self._takes_numbers():
            kind = "a oneof" if self._key.kind is Kind.ONEOF else describe_type(self._key.field)
            raise SweepError(f"{call.where}: '{self._key.text}' is {kind}, no number: expected a list of values")
        low, high = call.bounds()
        is_log = call.name == "loguniform"
        if self._key.field.cpp_type not in INT_RANGES:
            self._check_bounds(call.where, low, high)
            return Axis(self._key.first_text, "float", low=float(low), high=float(high), log=is_log)
        if low != int(low) or high != int(high):
            kind = describe_type(self._key.field)
            raise SweepError(f"{call.where}: '{self._key.text}' is {kind}: expected whole numbers as bounds")
        self._check_bounds(call.where, int(low), int(high))
        return Axis(self._key.first_text, "int", low=int(low), high=int(high), log=is_log)

    def _takes_numbers(self) -> bool:
        return self._key.kind is Kind.SCALAR and self._key.field.cpp_type in (*INT_RANGES, *_FLOATS)

    def _check_bounds(self, where: str, low: float, high: float) -> None:
        for bound in (low, high):
            cast_scalar(self._key.field, repr(bound), self._key.text)
            if isinstance(bound, int) and abs(bound) > _MOST:
                raise SweepError(f"{where}: {bound} is beyond what a search can draw: at most {_MOST}")


def _numbers_of(numbers: range, where: str) -> list[str]:
    size = length_of(numbers) or 0
    check_size(None, size, f"{where} has {size:,} values")
    return list(map(str, numbers))


class _Conditions:
    """Where the keys of a space apply: by the members of oneofs in which they lie."""

    def __init__(self, asked: Sequence[_Asked], base: Message) -> None:
        self._base = base
        self._over = {one.key.text: one for one in asked if one.key.kind is Kind.ONEOF}
        # A oneof's member that is given itself, as a number or as a whole, is chosen by that.
        self._choosers: dict[str, list[Key]] = {}
        for one in asked:
            for oneof, _ in choices(one.key):
                self._choosers.setdefault(oneof, []).append(one.key)

    def of(self, one: _Asked) -> tuple[tuple[str, str], ...]:
        found: dict[tuple[str, str], None] = {}
        for (oneof, member), depth in zip(choices(one.key), _depths(one.key), strict=True):
            if (over := self._over.get(oneof)) is not None:
                found |= dict.fromkeys(self.of(over))
                found[self._chosen_there(one, over, member)] = None
                continue
            if depth == len(one.key.steps) - 1 and one.key.kind is not Kind.ONEOF:
                self._check_alone(one, oneof, member)
            else:
                self._check_base(one, oneof, member, depth)
        return tuple(found)

    def _chosen_there(self, one: _Asked, over: _Asked, member: str) -> tuple[str, str]:
        name = first_name(next(field for field in over.key.choices if field.name == member))
        if name not in over.axis.values:
            raise SweepError(
                f"it applies nowhere: '{over.key.text}' is never '{member}', but {listed(over.axis.values)}: add it"
                f" there, or leave '{one.key.text}' out"
            )
        return over.axis.key, name

    def _check_alone(self, one: _Asked, oneof: str, member: str) -> None:
        others = [key.text for key in self._choosers[oneof] if dict(choices(key))[oneof] != member]
        if others:
            raise SweepError(f"it chooses '{member}' in the oneof '{oneof}', and '{others[0]}' wants another member")

    def _check_base(self, one: _Asked, oneof: str, member: str, depth: int) -> None:
        here: Message | None = self._base
        for step in one.key.steps[:depth]:
            here = present(here, step) if here is not None else None
        chosen = here.WhichOneof(oneof.rpartition(".")[2]) if here is not None else None
        if chosen != member:
            what = f"chooses '{chosen}'" if chosen else "chooses nothing"
            both = f"{chosen},{member}" if chosen else member
            raise SweepError(
                f"it applies nowhere: the config {what} in the oneof '{oneof}': choose it by the override"
                f" {oneof}={member}, or search over it, too: {oneof}={both}"
            )


def _depths(key: Key) -> Iterator[int]:
    """Yield the places of the steps that go through a oneof, as `choices` names these."""
    return (place for place, step in enumerate(key.steps) if step.oneof is not None)


def _in_order(asked: Sequence[_Asked]) -> list[_Asked]:
    """Put each key after those on which it hangs, and leave the order otherwise."""
    left, found = list(asked), list[_Asked]()
    while left:
        known = {one.axis.key for one in found}
        ready = next(one for one in left if all(key in known for key, _ in one.axis.only_if))
        left.remove(ready)
        found.append(ready)
    return found


def _misfits(one: _Asked, asked: Sequence[_Asked], base: Message) -> Iterator[str]:
    """Yield what goes wrong where a point in which a key applies is written to the base: an index, for one."""
    wanted = dict(one.axis.only_if)
    chosen: dict[str, str] = {}
    task = copy_of(base)
    for other in asked:
        if not other.axis.applies(chosen):
            continue
        first = other.axis.values[0] if other.axis.kind == "choice" else repr(other.axis.low)
        text = chosen[other.axis.key] = wanted.get(other.axis.key, first)
        try:
            for part in parts_written(other.key, text, task, adds=False):
                part.key.apply(task, part.value)
        except HeyhiError as error:
            if other is one:
                yield _located(one.given, error)
            return
