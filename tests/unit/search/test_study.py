"""A search as a study: what is drawn lies in the space, fits the schema, and reads back the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.search.study import Study, is_ordered, rounded
from heyhi.search.trial import Trial
from heyhi.search.whole_space import all_points, most_points
from heyhi.sweep.search_spec import Axis, SearchSpec

if TYPE_CHECKING:
    from tests.unit.conftest import Lab
    from tests.unit.search.conftest import SearchInLab

Make = Callable[..., "SearchInLab"]
FLOATS = st.floats(-8e307, 8e307, allow_subnormal=False)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    low, high = sorted((draw(FLOATS), draw(FLOATS)))
    if low > 0 and draw(st.booleans()):
        return f"loguniform({low!r},{high!r})"
    return f"uniform({low!r},{high!r})"


@st.composite
def whole_numbers(draw: st.DrawFn) -> str:
    low = draw(st.integers(-1000, 1000))
    high = low + draw(st.integers(0, 1000))
    kind = draw(st.sampled_from(["range", "uniform"] + ["loguniform"] * (low > 0)))
    if kind == "range":
        return f"range({low},{high + 1},{draw(st.integers(1, 9))})"
    return f"{kind}({low},{high})"


CHOICES = {
    "flag": ["true", "false"],
    "color": ["RED", "GREEN", "DEEP_BLUE"],
    "name": ["a", '"b, c"', "ä"],
    "optimizer": ["sgd", "adam", "NULL"],
    "ints": ["[1]", "[]", "[2,3]"],
    "by_int.3": ["x", "y"],
}


@st.composite
def spaces(draw: st.DrawFn) -> dict[str, str]:
    space = {key: draw(numbers()) for key in draw(st.sets(st.sampled_from(["lr", "scale.a", "modern.lr"])))}
    space |= {"single": "uniform(-1e30,1e30)"} if draw(st.booleans()) else {}
    whole = draw(st.sets(st.sampled_from(["i32", "i64", "s32", "layer.width", "modern.count"])))
    space |= {key: draw(whole_numbers()) for key in whole}
    for key in draw(st.sets(st.sampled_from(sorted(CHOICES)))):
        space[key] = ",".join(draw(st.lists(st.sampled_from(CHOICES[key]), min_size=1, unique=True)))
    if "adam" in space.get("optimizer", ""):
        space["adam.beta1"] = draw(numbers())
    return space or {"lr": "1,2"}


@settings(max_examples=60, deadline=None)
@given(space=spaces(), slot=st.integers(0, 9999), sampler=st.sampled_from(["tpe", "random"]))
def test_what_is_drawn_fits_the_schema_and_is_read_back_the_same(
    shared_lab: Lab, search_in: Make, space: dict[str, str], slot: int, sampler: str
) -> None:
    one = search_in(shared_lab, space, sampler=sampler)
    values = iter(range(100))
    trials: list[Trial] = []
    for number in range(3):
        trials.append(Trial(number, str(number), Study(one.spec, number, trials).ask(), "done", next(values)))
    chosen = Study(one.spec, slot, trials).ask()
    for axis in one.spec.axes:
        assert (axis.key in chosen) == axis.applies(chosen)
        if axis.kind == "choice":
            assert chosen.get(axis.key, axis.values[0]) in axis.values
        elif axis.key in chosen:
            assert axis.low <= chosen[axis.key] <= axis.high
    composed = one.base.compose(chosen)
    again = one.lab.composer().compose("conf/cfg.prototxt", composed.identity.overrides)
    assert again.identity == composed.identity
    assert again.message == composed.message or "nan" in str(again.message)


def test_numbers_are_rounded_and_stay_between_their_bounds() -> None:
    assert rounded(0.123456, Axis("lr", "float", low=0.0, high=1.0)) == 0.1235
    assert rounded(123456.0, Axis("lr", "float", low=0.0, high=1e6)) == 123500.0
    assert rounded(0.12345678, Axis("lr", "float", low=0.12345, high=0.12346)) == 0.12346
    assert rounded(0.99999, Axis("lr", "float", low=0.0, high=0.99999)) == 0.99999


def spec(**given: Any) -> SearchSpec:
    axes = (
        Axis("lr", "float", low=0.0, high=1.0),
        Axis("optimizer", "choice", ("sgd", "adam")),
        Axis("adam.beta1", "float", low=0.0, high=1.0, only_if=(("optimizer", "adam"),)),
    )
    return SearchSpec("c", (), given.pop("axes", axes), "score", "max", 50, **given)


def trials(count: int) -> list[Trial]:
    return [Trial(n, str(n), {"lr": n / count, "optimizer": "sgd"}, "done", n / count) for n in range(count)]


def test_what_is_asked_for_follows_from_search_slot_and_trials() -> None:
    assert Study(spec(), 3, trials(20)).ask() == Study(spec(), 3, trials(20)).ask()
    assert Study(spec(), 4, trials(20)).ask() != Study(spec(), 3, trials(20)).ask()
    assert Study(spec(seed=1), 3, trials(20)).ask() != Study(spec(), 3, trials(20)).ask()
    assert Study(spec(), 3, trials(21)).ask() != Study(spec(), 3, trials(20)).ask()


@pytest.mark.parametrize(
    ("values", "has_order"),
    [
        (("16", "32", "64"), True),
        (("1e-2", "0.001", "-3"), True),
        (("16", "64", "32"), False),
        (("16", "32"), False),
        (("16", "32", "NULL"), False),
        (("a", "b", "c"), False),
        (("nan", "1", "2"), False),
    ],
)
def test_numbers_that_rise_or_fall_have_an_order(values: tuple[str, ...], has_order: bool) -> None:
    axis = Axis("lr", "choice", values)
    assert is_ordered(axis) is has_order
    known = [Trial(n, str(n), {"lr": values[n % len(values)]}, "done", n) for n in range(12)]
    assert Study(spec(axes=(axis,)), 3, known).ask()["lr"] in values


def test_running_trials_count() -> None:
    running = [Trial(90 + n, str(n), {"lr": 0.97, "optimizer": "sgd"}, "running") for n in range(8)]
    assert Study(spec(), 3, [*trials(20), *running]).ask() != Study(spec(), 3, trials(20)).ask()


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_odd_outcomes_are_no_trouble(value: float | None) -> None:
    odd = [
        Trial(50, "a", {"lr": 0.5, "optimizer": "sgd"}, "done", value),
        Trial(51, "b", {"lr": 0.5, "optimizer": "sgd"}, "pruned", value),
        Trial(52, "c", {"lr": 0.5, "optimizer": "sgd"}, "pruned", value, {3: 0.25, 9: float("nan")}),
        Trial(53, "d", {"lr": 0.5, "optimizer": "sgd"}, "dead", value),
        Trial(54, "e", {"lr": 5.0, "optimizer": "sgt"}, "done", 1.0),
        Trial(55, "f", {"gone": 5.0}, "done", 1.0),
        Trial(56, "g", {}, "running"),
    ]
    assert Study(spec(), 3, [*trials(20), *odd]).ask()
    assert Study(spec(), 3, odd).ask()


def test_points_of_small_spaces_are_counted_and_listed() -> None:
    axes = (
        Axis("i", "int", low=2, high=8, step=3),
        Axis("optimizer", "choice", ("sgd", "adam")),
        Axis("adam.beta1", "choice", ("0.5", "0.9"), only_if=(("optimizer", "adam"),)),
        Axis("lr", "float", low=0.5, high=0.5),
    )
    points = list(all_points(axes))
    assert most_points(axes) == 12
    assert len(points) == 9
    assert points[0] == {"i": 2, "optimizer": "sgd", "lr": 0.5}
    assert most_points(spec().axes) == float("inf")
