"""Classes that are made quickly behave as the standard library's do."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import textwrap
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import pytest

from heyhi.quick_dataclass import asdict, dataclass, field, replace


@dataclass(frozen=True)
class _Point:
    x: int
    names: tuple[str, ...] = ()
    kind: ClassVar[str] = "point"

    @cached_property
    def twice(self) -> int:
        return 2 * self.x


@dataclass(frozen=True)
class _Place(_Point):
    path: Path = Path()
    notes: dict[str, int] = field(default_factory=dict, compare=False, repr=False)


@dataclass
class _Open:
    x: int
    inside: list[_Point] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seen = self.x


@dataclass(eq=False)
class _One:
    x: int = field(default=3, repr=False)


def test_fields_are_filled_from_words_places_defaults_and_factories() -> None:
    place = _Place(1, path=Path("a"))
    assert (place.x, place.names, place.path, place.notes) == (1, (), Path("a"), {})
    assert _Place(1).notes is not _Place(1).notes
    assert _Open(4).seen == 4
    assert _One().x == 3


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1,), {"x": 2}), ((1,), {"y": 2}), ((1, (), 3), {}), ((), {"names": ()})]
)
def test_a_call_that_does_not_fit_is_refused(args: tuple[int, ...], kwargs: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"_Point\(x, names\)"):
        _Point(*args, **kwargs)  # type: ignore[arg-type]


def test_what_is_frozen_is_compared_and_hashed_by_fields_and_read_only() -> None:
    assert _Place(1, notes={"a": 1}) == _Place(1)
    assert _Place(1) != _Place(2)
    assert _Point(1) != _Place(1)
    assert len({_Point(1), _Point(1), _Point(2)}) == 2
    with pytest.raises(AttributeError, match="'x' can't be set"):
        _Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="'x' can't be deleted"):
        del _Point(1).x


def test_what_is_open_has_no_hash_and_what_is_itself_keeps_its_own() -> None:
    assert _Open(1) == _Open(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(_Open(1))
    assert _One() != _One()
    assert len({_One(), _One()}) == 2


def test_it_shows_its_fields() -> None:
    assert repr(_Place(1, ("a",))) == f"_Place(x=1, names=('a',), path={Path()!r})"
    assert repr(_One()) == "_One()"


def test_what_is_computed_once_is_no_field() -> None:
    point = _Point(2)
    assert point.twice == 4
    assert (point == _Point(2), replace(point, x=3).twice, asdict(point)) == (True, 6, {"x": 2, "names": ()})


def test_objects_in_objects_become_mappings() -> None:
    assert asdict(_Open(1, [_Point(2)])) == {"x": 1, "inside": [{"x": 2, "names": ()}]}


def test_it_is_copied_and_pickled() -> None:
    place = _Place(1, ("a",), Path("b"), {"c": 1})
    for same in (copy.deepcopy(place), pickle.loads(pickle.dumps(place))):
        assert (same, same.notes) == (place, place.notes)


def test_the_standard_library_takes_it_for_one_of_its_own() -> None:
    assert dataclasses.is_dataclass(_Place)
    assert dataclasses.replace(_Point(1), x=2) == _Point(2)
    assert dataclasses.asdict(_Open(1, [_Point(2)])) == asdict(_Open(1, [_Point(2)]))
    match _Point(1, ("a",)):
        case _Point(x, names):
            assert (x, names) == (1, ("a",))


@dataclasses.dataclass(frozen=True)
class _StandardPoint:
    x: int
    names: tuple[str, ...] = ()
    kind: ClassVar[str] = "point"


@dataclasses.dataclass(frozen=True)
class _StandardPlace(_StandardPoint):
    path: Path = Path()
    notes: dict[str, int] = dataclasses.field(default_factory=dict, compare=False, repr=False)


def test_it_is_described_as_a_standard_one_is() -> None:
    def described(kind: type) -> list[dict[str, object]]:
        names = ("name", "type", "default", "default_factory", "init", "repr", "hash", "compare", "metadata", "kw_only")
        return [{name: getattr(one, name) for name in names} for one in dataclasses.fields(kind)]

    for ours, standard in ((_Point, _StandardPoint), (_Place, _StandardPlace)):
        assert described(ours) == described(standard)
        assert inspect.signature(ours) == inspect.signature(standard)
        assert repr(ours.__dataclass_params__) == repr(standard.__dataclass_params__)  # type: ignore[attr-defined]
    assert str(inspect.signature(_Point)) == "(x: 'int', names: 'tuple[str, ...]' = ()) -> None"
    assert not _Open.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_a_class_that_has_its_own_signature_keeps_it() -> None:
    class Named(_Point):
        def __init__(self, name: str) -> None:
            super().__init__(1, (name,))
            self.length = len(name)  # which is no field

    assert str(inspect.signature(Named)) == "(name: 'str') -> 'None'"
    assert (Named("abc").names, Named("abc").length) == (("abc",), 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Named("abc").x = 2  # type: ignore[misc]


def test_a_standard_one_may_inherit_from_it() -> None:
    @dataclasses.dataclass(frozen=True)
    class Far(_Place):
        away: int = 7

    far = Far(1, away=9)
    assert (far.x, far.notes, dataclasses.replace(far, away=8).away) == (1, {}, 8)
    assert [one.name for one in dataclasses.fields(Far)] == list(inspect.signature(Far).parameters)
    with pytest.raises(dataclasses.FrozenInstanceError):
        far.x = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot inherit non-frozen"):
        dataclasses.dataclass(type("Open", (_Place,), {}))


def test_what_is_the_same_object_is_equal_though_it_is_not_equal_to_itself() -> None:
    nan = float("nan")
    assert _Open(nan) == _Open(nan)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "a line\nand another"])
def test_what_is_done_after_it_is_made_may_set_what_is_frozen(text: str) -> None:
    @dataclass(frozen=True)
    class Line:
        text: str

        def __post_init__(self) -> None:
            object.__setattr__(self, "text", self.text.partition("\n")[0])

    line = Line(text)
    assert line.text == text.partition("\n")[0] == replace(line, text=text).text
    assert (line, hash(line)) == (Line(text), hash(Line(text)))


def test_no_class_loads_the_standard_ones_until_it_is_asked() -> None:
    code = """
        from __future__ import annotations
        import sys
        from heyhi.quick_dataclass import dataclass, asdict, replace

        @dataclass(frozen=True)
        class Point:
            x: int

        asdict(replace(Point(1), x=2)), hash(Point(3)), repr(Point(4)), Point(5) == Point(5)
        assert not {"dataclasses", "inspect"} & sys.modules.keys()
        assert hasattr(Point, "__dataclass_fields__") and "dataclasses" in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
