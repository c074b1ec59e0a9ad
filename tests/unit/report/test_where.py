"""Conditions on columns: what they mean, whatever is compared, and which experiments they choose."""

from __future__ import annotations

import datetime
import math
import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heyhi.report import where
from heyhi.report.meanings import Known
from heyhi.report.where import Condition, WhereError, check, readings

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBERS = st.integers() | st.floats(allow_nan=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6).map(str.strip)
CELLS = NUMBERS | TEXTS | st.booleans() | st.none() | st.just(math.nan)
KEYS = st.from_regex(r"[a-z_.]{1,8}", fullmatch=True)


def is_text(text: str) -> bool:
    return text not in ("", "true", "false")


def chosen_rows(conditions: list[str], columns: dict[str, Any]) -> list[int]:
    return where.chosen_rows(conditions, Known(columns))


@given(NUMBERS, NUMBERS, st.sampled_from(sorted(ORDERS)))
def test_numbers_compare_as_numbers_however_they_are_written(cell: float, other: float, sign: str) -> None:
    assert Condition("x", sign, repr(other)).holds(cell) is ORDERS[sign](cell, other)


@given(TEXTS.filter(is_text), TEXTS.filter(is_text), st.sampled_from(sorted(ORDERS)))
def test_text_compares_as_text(cell: str, other: str, sign: str) -> None:
    assert Condition("x", sign, other).holds(cell) is ORDERS[sign](cell, other)


@given(CELLS, TEXTS | st.just(""))
def test_unequal_is_whatever_is_not_equal(cell: Any, value: str) -> None:
    assert Condition("x", "!=", value).holds(cell) is not Condition("x", "=", value).holds(cell)


@given(CELLS, CELLS.filter(lambda cell: cell is not None).map(str))
def test_no_cell_is_both_below_and_above(cell: Any, value: str) -> None:
    held = [sign for sign in ("<", ">", ">=", "<=") if Condition("x", sign, value).holds(cell)]
    assert held in ([], ["<", "<="], [">", ">="], [">=", "<="])


@given(st.none() | st.just(""), TEXTS.filter(bool))
def test_what_is_missing_equals_nothing_but_the_empty_value(cell: str | None, value: str) -> None:
    assert Condition("x", "=", "").holds(cell) and not Condition("x", "=", value).holds(cell)
    assert cell == "" or not any(Condition("x", sign, value).holds(cell) for sign in ("<", "<=", ">", ">=", "~"))


@given(st.text(max_size=5), st.text(min_size=1, max_size=3), st.text(max_size=5))
def test_a_part_of_a_text_is_found_whatever_its_case(before: str, part: str, after: str) -> None:
    assume(part.lower() == part.upper().lower())
    assert Condition("x", "~", part.upper()).holds(f"{before}{part}{after}") or not f"{before}{part}".isascii()


@given(
    KEYS,
    st.sampled_from(["!=", ">=", "<=", "=", ">", "<", "~"]),
    st.from_regex(r"[a-z0-9.][a-z0-9.=<>]{0,4}", fullmatch=True),
)
def test_a_condition_is_read_as_it_is_written(key: str, sign: str, value: str) -> None:
    assert next(readings(f"{key}{sign}{value}")) == (key, sign, value)
    assert next(readings(f" {key} {sign} {value} ")) == (key, sign, value)


@given(st.lists(CELLS, max_size=6), st.lists(CELLS, max_size=6))
def test_all_of_several_must_hold(one: list[Any], other: list[Any]) -> None:
    size = min(len(one), len(other))
    columns = {"a": one[:size], "b": other[:size]}
    both = chosen_rows(["a!=", "b~1"], columns)
    assert both == sorted(set(chosen_rows(["a!="], columns)) & set(chosen_rows(["b~1"], columns)))


def test_a_column_may_have_an_operator_in_its_name() -> None:
    columns = {"acc@<5": [1, 2], "acc@": [3, 4]}
    assert chosen_rows(["acc@<5=2"], {"acc@<5": [1, 2]}) == [1]
    assert chosen_rows(["acc@<4"], columns) == [0]
    assert chosen_rows(["lr==2"], {"lr": [1, 2]}) == [1]


def test_true_is_true_however_it_was_written() -> None:
    assert chosen_rows(["x=True"], {"x": [True, "true", False, "false", None, 1]}) == [0, 1]
    assert chosen_rows(["x=0"], {"x": [True, False, 0, 0.0]}) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        (" =3", "expected KEY=VALUE"),
        ("lrr=1", r"no column 'lrr' \(did you mean 'lr'\?\); there are: lr, status"),
        ("lr=high", "'lr' has numbers, and 'high' is none"),
        ("lr!=0,1", "'lr' has numbers, and '0,1' is none"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, says: str) -> None:
    with pytest.raises(WhereError, match=says):
        chosen_rows([text], {"lr": [0.1, None], "status": ["DONE", "DEAD"]})


def test_conditions_are_checked_before_there_is_a_table() -> None:
    check(["lr=1", "a~b"])
    with pytest.raises(WhereError, match="--where status: expected"):
        check(["lr=1", "status"])


def test_a_column_that_nobody_has_is_empty() -> None:
    columns = {"status": ["DONE", "DEAD"]}
    assert chosen_rows(["excluded=true"], columns) == [] and chosen_rows(["excluded!=true"], columns) == [0, 1]
    assert chosen_rows(["excluded=false"], columns) == [0, 1] and chosen_rows(["excluded!=false"], columns) == []
    flags = {"excluded": [True, None, True]}
    assert chosen_rows(["excluded=FALSE"], flags) == [1] and chosen_rows(["excluded!=0"], flags) == [0, 2]
    assert chosen_rows(["excluded="], flags) == [1] and chosen_rows(["excluded=1"], flags) == [0, 2]
    assert chosen_rows(["note~bad"], columns) == [] and chosen_rows(["note="], columns) == [0, 1]
    known = Known(columns, lambda: {"note": ["Bad", "good"]})
    assert where.chosen_rows(["note~bad"], known) == []  # whether anybody has one changes no meaning
    assert where.chosen_rows(["note (override)~bad"], known) == [0]
    with pytest.raises(WhereError, match="no column 'drifted'"):  # which is only there if asked for
        chosen_rows(["drifted!="], columns)
    with pytest.raises(WhereError, match="did you mean 'note'"):
        chosen_rows(["nota~bad"], columns)


def test_when_something_was_last_written_is_compared_with_dates_and_times() -> None:
    noon = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC).timestamp()
    columns = {"updated": [noon, noon + 60, None]}
    assert chosen_rows(["updated>2026-11-28"], columns) == [0, 1] and chosen_rows(["updated<2026-11-28"], columns) == []
    assert chosen_rows(["updated>2026-11-28T12:00"], columns) == [1]
    assert chosen_rows(["updated>=2026-11-28T13:00:00+01:00"], columns) == [0, 1]
    assert chosen_rows(["updated<=2026-11-28T12:00:00Z"], columns) == [0]
    assert chosen_rows([f"updated={noon}"], columns) == [0]
    assert chosen_rows(["updated>2026"], columns) == [0, 1] and chosen_rows(["updated>2027"], columns) == []
    assert chosen_rows(["updated>20261128"], columns) == [0, 1] and chosen_rows(["updated>20261129"], columns) == []
    with pytest.raises(WhereError, match="'updated' has times, and 'yesterday' is none: expected such as 2026-11-28"):
        chosen_rows(["updated>yesterday"], columns)


def test_a_reason_is_also_what_status_shows_of_many_that_have_ended_alike() -> None:
    reasons = ["CANCELLED (job 7 on n1)", "CANCELLED (job 8)", "exit code 1: ValueError: 3 of 4", "", None]
    assert chosen_rows(["reason=CANCELLED"], {"reason": reasons}) == [0, 1]
    assert chosen_rows(["reason!=CANCELLED"], {"reason": reasons}) == [2, 3, 4]
    assert chosen_rows(["reason=CANCELLED (job 8)"], {"reason": reasons}) == [1]
    assert chosen_rows(["reason=exit code 1: ValueError: … of …"], {"reason": reasons}) == [2]
    assert chosen_rows(["reason="], {"reason": reasons}) == [3, 4]
    assert chosen_rows(["x=CANCELLED"], {"x": reasons}) == []
