from __future__ import annotations

import datetime
import enum
import json
import math
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.sheets.cells import CUT_MARK, MAX_TEXT, SheetsError, Table, cell_of, tables_of


def entered(cell: dict[str, Any]) -> Any:
    return next(iter(cell.get("userEnteredValue", {}).values()), None)


def table(frame: pd.DataFrame, **options: Any) -> Table:
    (found,) = tables_of(frame, **options)
    return found


def _place(heads: list[Any], name: str) -> int:
    """Return where a column stands; behind the name of one of times stands their zone."""
    return next(i for i, head in enumerate(heads) if head == name or str(head).startswith(f"{name} ("))


def column(frame: pd.DataFrame, name: str, **options: Any) -> list[Any]:
    found = table(frame, **options)
    heads = [entered(cell) for cell in found.rows[0]]
    return [entered(row[_place(heads, name)]) for row in found.rows[1:]]


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {}),
        ("", {}),
        (True, {"boolValue": True}),
        (np.bool_(False), {"boolValue": False}),
        (0, {"numberValue": 0}),
        (np.int64(7), {"numberValue": 7}),
        (-1.5e300, {"numberValue": -1.5e300}),
        (2**53, {"numberValue": 2**53}),
        (2**53 + 1, {"stringValue": "9007199254740993"}),
        (-(10**400), {"stringValue": str(-(10**400))}),
        (math.nan, {"stringValue": "NaN"}),
        (math.inf, {"stringValue": "Infinity"}),
        (np.float64("-inf"), {"stringValue": "-Infinity"}),
        (Decimal("0.5"), {"numberValue": 0.5}),
        (Decimal("0.1"), {"stringValue": "0.1"}),
        (Decimal("NaN"), {"stringValue": "NaN"}),
        (datetime.datetime(2026, 11, 24, 8, 30), {"stringValue": "2026-11-24 08:30:00"}),
        (pd.Timestamp("2026-11-24 08:30", tz="UTC"), {"stringValue": "2026-11-24 08:30:00+00:00"}),
        (datetime.date(2026, 11, 24), {"stringValue": "2026-11-24"}),
        (Path("/a/b"), {"stringValue": "/a/b"}),
        (Colour.RED, {"stringValue": "red"}),
        ([1, "=2"], {"stringValue": "[1, '=2']"}),
        ("007", {"stringValue": "007"}),
        ("+1", {"stringValue": "+1"}),
        ('=IMPORTXML("http://evil","//a")', {"stringValue": '=IMPORTXML("http://evil","//a")'}),
        ("two\nlines\r\tand 😀", {"stringValue": "two\nlines\r\tand 😀"}),
        ("file \udcff name", {"stringValue": "file � name"}),
    ],
)
def test_a_value_is_written_as_what_it_is(value: object, expected: dict[str, Any]) -> None:
    assert cell_of(value).get("userEnteredValue", {}) == expected


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["=1+1", "+1", "-1", "@SUM(1)", "'=1", '=HYPERLINK("http://evil")', "\t=1", "=\n1"]),
    st.binary(),
    st.datetimes(),
    st.integers(min_value=10**300, max_value=10**310),
)


@given(SCALARS)
def test_no_value_becomes_a_formula_and_each_can_be_sent(value: object) -> None:
    cell = cell_of(value)
    assert cell.keys() <= {"userEnteredValue"}
    assert cell.get("userEnteredValue", {}).keys() <= {"stringValue", "numberValue", "boolValue"}
    assert len(cell.get("userEnteredValue", {})) <= 1
    # Google takes neither NaN in JSON nor what is no text.
    text = json.dumps(cell, allow_nan=False, ensure_ascii=False)
    assert json.loads(text.encode("utf-8")) == cell


@given(st.text(alphabet=st.sampled_from(["x", "é", "😀"]), min_size=1, max_size=5), st.integers(-3, 3))
def test_long_text_is_cut_with_a_mark_where_google_would_refuse_it(unit: str, more: int) -> None:
    units = len(unit.encode("utf-16-le")) // 2
    text = unit * ((MAX_TEXT + more * units) // units)
    shown = entered(cell_of(text))
    assert len(shown.encode("utf-16-le")) // 2 <= MAX_TEXT
    if len(text.encode("utf-16-le")) // 2 <= MAX_TEXT:
        assert shown == text
    else:
        assert shown.endswith(CUT_MARK)
        assert text.startswith(shown.removesuffix(CUT_MARK))


def test_numbers_stay_numbers_and_nan_is_not_missing() -> None:
    frame = pd.DataFrame({"loss": [0.25, math.nan, math.inf]})
    assert column(frame, "loss") == [0.25, "NaN", "Infinity"]
    mixed = pd.DataFrame({"loss": pd.Series([0.25, None, math.nan], dtype=object)})
    assert column(mixed, "loss") == [0.25, None, "NaN"]


@pytest.mark.parametrize(
    "series",
    [
        pd.Series(["a", None]),
        pd.Series(["a", math.nan], dtype=object),
        pd.Series(["a", None], dtype="category"),
        pd.Series(["a", pd.NA], dtype="string"),
    ],
)
def test_missing_text_is_an_empty_cell(series: pd.Series[Any]) -> None:
    assert column(pd.DataFrame({"a": series}), "a") == ["a", None]


def test_missing_values_of_typed_columns_are_empty_cells() -> None:
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None], dtype="Int64"),
            "f": pd.array([0.5, None], dtype="Float32"),
            "b": pd.array([True, None], dtype="boolean"),
            "t": [pd.Timestamp("2026-01-02"), pd.NaT],
        }
    )
    assert [column(frame, name) for name in "ifbt"] == [
        [1, None],
        [0.5, None],
        [True, None],
        ["2026-01-02 00:00:00", None],
    ]


def test_a_short_float_reads_as_it_was_written() -> None:
    assert column(pd.DataFrame({"lr": np.array([0.1], dtype="float32")}), "lr") == [0.1]


def test_an_index_that_says_something_is_written_and_row_numbers_are_not() -> None:
    frame = pd.DataFrame({"model": ["a", "b"], "loss": [2, 1]})
    assert [entered(cell) for cell in table(frame.sort_values("loss")).rows[0]] == ["model", "loss"]
    assert [[entered(c) for c in row] for row in table(frame.set_index("model")).rows] == [
        ["model", "loss"],
        ["a", 2],
        ["b", 1],
    ]
    pivot = pd.DataFrame({"m": ["a", "a"], "lr": [1, 2], "acc": [3, 4]}).pivot_table(index="m", columns="lr")
    assert [entered(cell) for cell in table(pivot).rows[0]] == ["m", "acc / 1", "acc / 2"]


def test_columns_of_one_name_are_both_written() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert [[entered(c) for c in row] for row in table(frame).rows] == [["a", "a"], [1, 2]]


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"a": []})])
def test_a_table_without_rows_or_columns_is_one_still(frame: pd.DataFrame) -> None:
    found = table(frame)
    assert len(found.rows) == 1
    assert found.width == 1


def test_tables_have_titles_and_are_told_apart_by_them() -> None:
    frame = pd.DataFrame({"a": [1], "b": [2]})
    one, other, third = tables_of([("One", frame), ("One", frame), frame])
    assert [entered(cell) for cell in one.rows[0]] == ["One", None]
    assert (one.heads, third.heads) == (2, 1)
    assert len({one.key, other.key, third.key}) == 3
    assert [t.key for t in tables_of({"One": frame})] == [one.key]


def test_something_else_than_a_dataframe_is_refused() -> None:
    with pytest.raises(SheetsError, match="must be a pandas DataFrame, not dict"):
        tables_of([{"a": 1}])  # type: ignore[list-item]


# --- links --------------------------------------------------------------------------------------------------------


def uri(cell: dict[str, Any]) -> str | None:
    runs = cell.get("textFormatRuns")
    return runs[0]["format"]["link"]["uri"] if runs else None


FOLDERS = pd.DataFrame({"job_id": [12, None], "exp_path": ["/r/a b/ä?x#y", None]}, dtype=object)


def test_a_column_that_is_not_there_is_added_with_links() -> None:
    rows = table(FOLDERS, links={"logs": "http://host:88/edit{exp_path}/log.txt"}).rows
    assert [entered(row[2]) for row in rows] == ["logs", "logs", None]
    assert uri(rows[1][2]) == "http://host:88/edit/r/a%20b/%C3%A4%3Fx%23y/log.txt"
    assert uri(rows[2][2]) is None


def test_cells_of_a_column_that_is_there_become_links_and_stay_text() -> None:
    rows = table(FOLDERS, links={"job_id": "https://host/{job_id}"}).rows
    assert rows[1][0] == {
        "userEnteredValue": {"stringValue": "12"},
        "textFormatRuns": [{"format": {"link": {"uri": "https://host/12"}}}],
    }
    assert rows[2][0] == {}


def test_a_table_without_the_columns_of_an_address_has_no_such_link() -> None:
    assert table(FOLDERS, links={"logs": "http://host/{folder}"}).width == 2


@pytest.mark.parametrize("pattern", ["javascript:alert({exp_path})", "{exp_path}", "file:///{exp_path}", "http://"])
def test_an_address_that_is_none_of_the_web_is_refused(pattern: str) -> None:
    with pytest.raises(SheetsError, match="must begin with http"):
        tables_of(FOLDERS, links={"logs": pattern})


def test_a_brace_without_a_column_is_refused() -> None:
    with pytest.raises(SheetsError, match="brace"):
        tables_of(FOLDERS, links={"logs": "http://host/{exp_path"})


@given(st.text(min_size=1))
def test_no_value_gets_out_of_its_place_in_an_address(value: str) -> None:
    frame = pd.DataFrame({"folder": [value]}, dtype=object)
    found = uri(table(frame, links={"f": "http://host/tree/{folder}?a=b"}).rows[1][1])
    assert found is not None
    assert found.startswith("http://host/tree/")
    assert found.endswith("?a=b")
    assert found.count("?") == 1
    assert "#" not in found


# --- times of last updates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-24T08:30:05Z",
        "2026-11-24T08:30:05.123+00:00",
        datetime.datetime(2026, 11, 24, 8, 30, 5, tzinfo=datetime.UTC),
        datetime.datetime(2026, 11, 24, 8, 30, 5, tzinfo=datetime.UTC).timestamp() + 0.5,
        datetime.datetime(2026, 11, 24, 8, 30, 5, tzinfo=datetime.UTC).astimezone().replace(tzinfo=None),
    ],
)
def test_last_updates_are_written_by_the_clock_of_the_spreadsheet(value: object) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=-5))
    for name in ("updated", "last"):
        frame = pd.DataFrame({name: pd.Series([value, None, "yesterday", 12], dtype=object)})
        assert column(frame, name, zone=zone) == ["2026-11-24 03:30:05", None, "yesterday", 12]
        assert entered(table(frame, zone=zone).rows[0][0]) == f"{name} (UTC-05:00)"
        assert entered(table(frame, zone=zoneinfo.ZoneInfo("UTC")).rows[0][0]) == f"{name} (UTC)"


def test_the_column_of_last_updates_can_be_named() -> None:
    frame = pd.DataFrame({"updated": ["x"], "seen": ["2026-11-24T08:30:05Z"], "status": ["RUNNING"]})
    found = table(frame, updated_column="seen", zone=datetime.UTC)
    assert (found.status, found.updated) == (2, 1)
    assert entered(found.rows[1][1]) == "2026-11-24 08:30:05"


def test_a_time_beyond_what_clocks_can_convert_stays_as_it_is() -> None:
    frame = pd.DataFrame({"updated": ["0001-01-01T00:00:00+00:00"]})
    assert column(frame, "updated", zone=datetime.timezone(datetime.timedelta(hours=-5))) == [
        "0001-01-01T00:00:00+00:00"
    ]


@given(st.lists(SCALARS, min_size=1))
def test_any_column_becomes_as_many_cells(values: list[Any]) -> None:
    make: Callable[..., Any] = pd.Series
    found = table(pd.DataFrame({"updated": make(values, dtype=object)}), zone=datetime.UTC)
    assert len(found.rows) == len(values) + 1
    json.dumps(found.rows, allow_nan=False, ensure_ascii=False).encode()
