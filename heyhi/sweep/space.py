"""The space of a search: what each key may be, in the grammar of `--sweep`, checked against the schema.

    lr=loguniform(1e-4,1)    epochs=range(10,51,10)    batch_size=16,32,64    optimizer=sgd,adam    adam.beta1=…
    I.model=small,large

A key that lies in a member of a oneof applies where that member is chosen. How a point is drawn is left to
`heyhi.search`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.keys import Key, Kind, choices, find_key, prefixes, present
from heyhi.config.mounts import include_mount
from heyhi.config.overrides import parts_written
from heyhi.config.recipe import refuse_includes
from heyhi.config.renames import first_name
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema, copy_of, oneof_of, type_of
from heyhi.config.values import listed, shorten
from heyhi.errors import HeyhiError, SweepError, blame
from heyhi.sweep.axis import AxisReader, Place
from heyhi.sweep.search_spec import Axis


class _Asked(NamedTuple):
    """A key of a space: as it was given, where it leads, and what it may be."""

    given: str
    place: Place
    axis: Axis

    @property
    def key(self) -> Key:
        """The field or oneof that it is."""
        assert self.place.key is not None
        return self.place.key


def axes_of(space: Mapping[str, Any], schema: Schema, base: Message, scheduling: Scheduling) -> tuple[Axis, ...]:
    """Return the axes of a space.

    Args:
        space: key -> a list, a range, a value, or text as `--space` takes it.
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
            place = _place_of(given, schema, base, scheduling)
            _check_apart(given, place, asked)
            asked.append(_Asked(given, place, AxisReader(given, place, base, schema).axis(values)))
        except HeyhiError as error:
            errors.append(_located(given, blame(error, f"{given}={values}" if isinstance(values, str) else given)))
    if not errors:
        fields = [one for one in asked if not one.place.is_include]
        conditions = _Conditions(fields, base)
        for index, one in enumerate(asked):
            try:
                if one in fields:
                    asked[index] = one._replace(axis=replace(one.axis, only_if=conditions.of(one)))
            except HeyhiError as error:
                errors.append(_located(one.given, error))
    if not errors:
        asked = _in_order(asked)
        if len(fields) == len(asked):  # else files have a say, too
            errors = [line for one in asked for line in _misfits(one, asked, base)]
    if errors:
        raise SweepError("\n".join(errors))
    return tuple(one.axis for one in asked)


def included_in(space: Mapping[str, Any], schema: Schema, base: Message) -> dict[str, tuple[str, ...]]:
    """Return the files that a space may include, by the keys that its axes have.

    Args:
        space: as for `axes_of`.
        schema: likewise.
        base: likewise.

    Raises:
        HeyhiError: what a key may be can't be read.
    """
    found: dict[str, tuple[str, ...]] = {}
    for given, values in space.items():
        is_include, mount = include_mount(type_of(base), given.removeprefix("--"))
        if is_include:
            place = Place(mount, is_include)
            found[place.first_text] = AxisReader(given, place, base, schema).axis(values).values
    return found


def name_of_today(kind: Descriptor, key: str) -> str:
    """Return the name that a key has by now, as it was given where it leads nowhere.

    Args:
        kind: message type of the task.
        key: of an override or a space.
    """
    try:
        is_include, mount = include_mount(kind, key)
        return Place(mount if is_include else find_key(kind, key), is_include).text
    except HeyhiError:
        return key


def _located(given: str, error: HeyhiError) -> str:
    # Of a text of values, all of it is shown.
    return f"space {error}" if str(error).startswith(f"'{given}=") else f"space '{shorten(given)}': {error}"


def _place_of(given: str, schema: Schema, base: Message, scheduling: Scheduling) -> Place:
    kind = type_of(base)
    name = given.removeprefix("--")
    if name.endswith("+"):
        raise SweepError("a space says what a key may be, and adds to nothing: leave the + out")
    is_include, mount = include_mount(kind, name)
    key = mount if is_include else find_key(kind, name)
    if key is not None:
        refuse_includes(schema, kind, key)
        if "launcher" in key.names[:1] or scheduling.ignores(key.text):
            raise SweepError("launcher and scheduling are those of the base config: give it as an override")
        if any(step.index == -1 for step in key.steps):
            raise SweepError(
                "-1 appends to a list: name the element by its index, or search over whole lists ([16],[32])"
            )
    return Place(key, is_include)


def _check_apart(given: str, place: Place, asked: Sequence[_Asked]) -> None:
    for other in asked:
        if other.place.text == place.text:
            if other.given == given:
                raise SweepError("the key is given twice")
            raise SweepError(f"the key is given twice: '{other.given}' and '{given}' are one and the same")
        for inner, outer in ((place, other.place), (other.place, place)):
            if outer.is_include and not inner.is_include and _decides(outer, inner):
                raise SweepError(
                    f"whether '{inner.text}' applies hangs on the file that '{outer.text}' includes:"
                    " search over the fields alone, or over the files"
                )
            if outer.key is None or inner.key is None or outer.is_include or inner.is_include:
                continue
            if outer.text in prefixes(inner.key):
                raise SweepError(f"'{inner.text}' lies inside of '{outer.text}': search over one of them")


def _decides(include: Place, field: Place) -> bool:
    """Return whether a file that is included may choose in a oneof in which a key lies, or which it names."""
    oneofs = {*field.oneofs, *([field.text] if field.key is not None and field.key.kind is Kind.ONEOF else [])}
    if include.key is None:
        return bool(oneofs)
    inside = f"{include.key.text}."
    return any(one == include.key.text or one in include.oneofs or one.startswith(inside) for one in oneofs)


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
            members = ",".join(_members(one.key.steps[depth].field))
            raise SweepError(
                f"it applies nowhere: the config {what} in the oneof '{oneof}': choose it by the override"
                f" {oneof}={member}, or search over that, too: {oneof}={members}"
            )


def _members(field: FieldDescriptor) -> list[str]:
    """Name the members of a field's oneof that can be chosen by name."""
    oneof = oneof_of(field)
    return [one.name for one in oneof.fields if one.message_type is not None] if oneof is not None else []


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
