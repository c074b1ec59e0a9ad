"""One key of a search's space: where it leads, and what its text, list or range of values comes to.

How keys hang together is left to `space`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.keys import Key, Kind, choices, is_composite
from heyhi.config.overrides import canonical_text, cast_value, parts_written
from heyhi.config.recipe import refuse_includes
from heyhi.config.renames import first_name
from heyhi.config.schema import Schema, copy_of, type_of
from heyhi.config.templates import OPEN
from heyhi.config.values import INT_RANGES, NULL, cast_scalar, describe_type, shorten, value_text
from heyhi.errors import SweepError
from heyhi.sweep.calls import DRAWS, Call, call_of
from heyhi.sweep.elements import Element, split_elements
from heyhi.sweep.search_spec import Axis
from heyhi.sweep.size import check_size, length_of

_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)
_LIKE_A_CALL = re.compile(r"\w+\(.*\)", re.DOTALL)
_MOST = 2**53  # beyond it, not every whole number is a double, as which samplers draw it


class Place(NamedTuple):
    """Where a key leads: to a field or a oneof, or to where a file is included (None: the task itself)."""

    key: Key | None
    is_include: bool = False

    @property
    def text(self) -> str:
        """The key as an override writes it."""
        return self._written(self.key.text if self.key is not None else "")

    @property
    def first_text(self) -> str:
        """The same as an identity writes it."""
        return self._written(self.key.first_text if self.key is not None else "")

    def _written(self, key: str) -> str:
        return f"I.{key}".rstrip(".") if self.is_include else key

    @property
    def oneofs(self) -> dict[str, str]:
        """The oneofs in whose members it lies, with these."""
        return dict(choices(self.key)) if self.key is not None else {}


class AxisReader:
    """Reads what a key may be.

    Args:
        given: the key, as it was given.
        place: where it leads.
        base: message of the task.
        schema: that it is of.
    """

    def __init__(self, given: str, place: Place, base: Message, schema: Schema) -> None:
        self._given = given
        self._place = place
        self._base = base
        self._schema = schema

    def axis(self, values: Any) -> Axis:
        """Return the axis that a text, list or range of values is, or a single value, whatever it hangs on.

        Raises:
            HeyhiError: it can't be read, or doesn't fit the key.
        """
        if isinstance(values, range):
            return self._whole(values, f"'{self._given}={values}'")
        if not isinstance(values, str):
            several = values if isinstance(values, (list, tuple)) else [values]
            return self._choice([value_text(one) for one in several])
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
                self._check_no_call(element)
                found.append(element.text)
            elif call.name == "range":
                found += _numbers_of(call.range(), call.where)
            else:
                raise SweepError(f"{call.where}: {call.name}(…) stands alone, and in no list")
        return self._choice(found)

    def _check_no_call(self, element: Element) -> None:
        """Refuse what is meant as a function of a space, for a field in which it can be nothing else."""
        if self._number_field is not None and not element.is_quoted and _LIKE_A_CALL.fullmatch(element.text):
            raise SweepError(
                f"'{shorten(element.text)}' is no function of a space: expected uniform(low,high),"
                " loguniform(low,high), range(…), choice(a,b) or values"
            )

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
        return Axis(self._place.first_text, "choice", tuple(values))

    def _value(self, text: str) -> str:
        """Return a value as an identity writes it."""
        key = self._place.key
        if OPEN in text:
            raise SweepError(f"'{shorten(text)}': what a trial needs is given by the base config: no {OPEN}…}}}} here")
        if key is None or self._place.is_include:
            return text
        if is_composite(key):
            check = partial(refuse_includes, self._schema, type_of(self._base))
            parts_written(key, text, copy_of(self._base), adds=False, check=check)
            return text.strip()
        value = cast_value(key, text)
        if key.kind is Kind.ONEOF and value is not NULL:
            return first_name(key.member(str(value)).field)
        if isinstance(value, float) and math.isnan(value):
            raise SweepError(f"{shorten(text)} is no value to search over")
        return canonical_text(key, value)

    def _whole(self, numbers: range, where: str) -> Axis:
        """Return an axis of whole numbers; of texts, for a field that takes no numbers."""
        if not length_of(numbers):
            raise SweepError(f"{where}: there is no number in this range")
        if self._number_field is None:
            return self._choice(_numbers_of(numbers, where))
        low, high = sorted((numbers[0], numbers[-1]))
        self._check_bounds(self._number_field, where, low, high)
        return Axis(self._place.first_text, "int", low=low, high=high, step=abs(numbers.step))

    def _real(self, call: Call) -> Axis:
        """Return an axis of numbers between two bounds: whole ones, for a field of such."""
        name, field = self._place.text, self._number_field
        if field is None:
            raise SweepError(f"{call.where}: '{name}' is {self._kind}, no number: expected a list of values")
        low, high = call.bounds()
        is_log = call.name == "loguniform"
        if field.cpp_type not in INT_RANGES:
            self._check_bounds(field, call.where, low, high)
            return Axis(self._place.first_text, "float", low=float(low), high=float(high), log=is_log)
        if low != int(low) or high != int(high):
            raise SweepError(f"{call.where}: '{name}' is {self._kind}: expected whole numbers as bounds")
        self._check_bounds(field, call.where, int(low), int(high))
        return Axis(self._place.first_text, "int", low=int(low), high=int(high), log=is_log)

    @property
    def _number_field(self) -> FieldDescriptor | None:
        """The field that the key leads to, None where it takes no numbers."""
        key = self._place.key
        if key is None or self._place.is_include or key.kind is not Kind.SCALAR:
            return None
        return key.field if key.field.cpp_type in (*INT_RANGES, *_FLOATS) else None

    @property
    def _kind(self) -> str:
        key = self._place.key
        if key is None or self._place.is_include:
            return "an include"
        return "a oneof" if key.kind is Kind.ONEOF else describe_type(key.field)

    def _check_bounds(self, field: FieldDescriptor, where: str, low: float, high: float) -> None:
        if not math.isfinite(high - low):
            raise SweepError(f"{where}: the bounds are further apart than any number is large")
        for bound in (low, high):
            cast_scalar(field, repr(bound), self._place.text)
            if isinstance(bound, int) and abs(bound) > _MOST:
                raise SweepError(f"{where}: {bound} is beyond what a search can draw: at most {_MOST}")


def _numbers_of(numbers: range, where: str) -> list[str]:
    size = length_of(numbers) or 0
    check_size(None, size, f"{where} has {size:,} values")
    return list(map(str, numbers))
