"""Tuples with named fields that are made quickly behave as those of `typing` do."""

from __future__ import annotations

import pickle
import typing

from heyhi.named_tuple import NamedTuple


class _Pair(NamedTuple):
    """Two values."""

    first: int
    second: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return self.first + len(self.second)

    @classmethod
    def of(cls, text: str) -> _Pair:
        return cls(int(text))


class _Other(_Pair):
    """A class of a tuple's own kind may add what it likes."""

    @property
    def size(self) -> int:
        return -1


def test_it_is_a_tuple_with_names_defaults_and_methods() -> None:
    pair = _Pair(1, second=("a",))
    assert pair == (1, ("a",))
    assert (_Pair.of("2"), _Pair.of("2").size, pair.size) == ((2, ()), 2, 2)
    assert pair._replace(first=3)._asdict() == {"first": 3, "second": ("a",)}
    assert repr(pair) == "_Pair(first=1, second=('a',))"
    assert (_Pair.__doc__, _Pair.__module__) == ("Two values.", __name__)
    assert _Other(1).size == -1


def test_it_tells_its_types_and_is_pickled() -> None:
    assert typing.get_type_hints(_Pair) == {"first": int, "second": tuple[str, ...]}
    assert pickle.loads(pickle.dumps(_Pair(1))) == _Pair(1)
