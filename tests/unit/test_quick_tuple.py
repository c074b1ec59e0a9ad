"""A named tuple whose class is made quickly is what that of typing is."""

from __future__ import annotations

import pickle
import types
import typing

import pytest

from heyhi.quick_tuple import NamedTuple


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


@pytest.mark.parametrize("count", [0, 1, 2, 22, 23, 40])
def test_any_number_of_fields_is_held_by_name(count: int) -> None:
    names = [f"field_{number}" for number in range(count)]
    kind = types.new_class(
        "Many", (NamedTuple,), exec_body=lambda body: body.update(__annotations__=dict.fromkeys(names, "int"))
    )
    made = kind(*range(count))
    assert made == kind(**dict(zip(names, range(count), strict=True))) == tuple(range(count))
    assert [getattr(made, name) for name in names] == [*range(count)]
    with pytest.raises(TypeError, match=r"Many\.__new__\(\)"):
        kind(*range(count + 1))
    if count:
        with pytest.raises(TypeError, match=r"Many\.__new__\(\)"):
            kind(*range(count - 1))
        with pytest.raises(TypeError, match=r"Many\.__new__\(\)"):
            kind(*range(count), field_0=1)
    with pytest.raises(TypeError, match=r"Many\.__new__\(\)"):
        kind(*range(count), other=1)


@pytest.mark.parametrize("count", [22, 23])
def test_what_is_not_said_has_its_default(count: int) -> None:
    names = [f"field_{number}" for number in range(count)]
    last = dict(zip(names[2:], range(2, count), strict=True))
    kind = types.new_class(
        "Many", (NamedTuple,), exec_body=lambda body: body.update(last, __annotations__=dict.fromkeys(names, "int"))
    )
    assert kind(0, field_1=1) == tuple(range(count)) and kind(0, 1, field_5=-1)[5] == -1
    assert kind(0, 1)._replace(field_3=9)[3] == 9
