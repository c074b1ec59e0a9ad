"""A struct reads, compares and refuses as a frozen dataclass does."""

from __future__ import annotations

import copy
import inspect
import pickle
import typing
from functools import cached_property
from typing import ClassVar

import pytest

from heyhi.struct import NamedTuple, Struct


class Point(Struct):
    """Two numbers and a name."""

    kind: ClassVar[str] = "point"
    x: int
    y: int = 2
    name: str = ""

    @cached_property
    def sum(self) -> int:
        """Their sum."""
        return self.x + self.y


class Far(Point):
    """One with a distance."""

    away: int = 7


def test_fields_are_given_by_place_or_by_name_and_have_defaults() -> None:
    assert (Point(1).y, Point(1, 3).y, Point(x=1, name="a").name, Point(1).sum) == (2, 3, "a", 3)
    assert (Far(1, 2, "b").away, Far(1, away=9)._asdict()) == (7, {"x": 1, "y": 2, "name": "", "away": 9})


@pytest.mark.parametrize("args, kwargs", [((), {}), ((1, 2, "", 4), {}), ((1,), {"x": 2}), ((1,), {"z": 2})])
def test_what_is_no_set_of_fields_is_refused(args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Point takes x, y, name"):
        Point(*args, **kwargs)  # type: ignore[arg-type]


def test_it_is_compared_by_its_fields_and_its_class() -> None:
    assert Point(1) == Point(1, 2) != Point(1, 3)
    assert Point(1) != Far(1) and Point(1) != (1, 2, "")
    assert len({Point(1), Point(1, 2), Far(1)}) == 2
    first = Point(1)
    assert first.sum == 3 and first == Point(1)  # what is remembered is no part of it


def test_it_is_read_only_and_copied_with_changes() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="read only: 'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.y
    assert point._replace(y=5) == Point(1, 5) and point == Point(1)
    assert repr(point) == "Point(x=1, y=2, name='')"


def test_its_signature_names_its_fields() -> None:
    assert str(inspect.signature(Far)) == "(x: 'int', y: 'int' = 2, name: 'str' = '', away: 'int' = 7) -> None"


def test_it_is_copied_and_pickled() -> None:
    assert copy.deepcopy(Far(1)) == copy.copy(Far(1)) == pickle.loads(pickle.dumps(Far(1))) == Far(1)


class Pair(NamedTuple):
    """Two of something."""

    first: int
    second: str = "b"

    @property
    def text(self) -> str:
        """Both."""
        return f"{self.first}{self.second}"

    @classmethod
    def of(cls, first: int) -> Pair:
        """Make one."""
        return cls(first)


def test_a_named_tuple_is_what_that_of_typing_is() -> None:
    class Plain(typing.NamedTuple):
        first: int
        second: str = "b"

    pair = Pair(1)
    assert (pair, *pair) == ((1, "b"), 1, "b") == (Plain(1), *Plain(1)) and pair.text == Pair.of(1).text == "1b"
    assert (Pair._fields, Pair._field_defaults) == (Plain._fields, Plain._field_defaults)
    assert (Pair.__module__, Pair.__qualname__, Pair.__doc__) == (__name__, "Pair", "Two of something.")
    assert typing.get_type_hints(Pair) == typing.get_type_hints(Plain) == {"first": int, "second": str}
    assert pickle.loads(pickle.dumps(pair)) == pair._replace() and repr(pair) == "Pair(first=1, second='b')"
    with pytest.raises(TypeError):
        Pair()  # type: ignore[call-arg]
