"""Tables as XLSX and Parquet, read back by other libraries."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest

from heyhi.errors import HeyhiError, ResultError
from heyhi.report.destination import ExportError, suffix_of
from heyhi.report.export import write_parquet, write_xlsx

HOSTILE = ['=IMPORTXML("http://x")', "+1", "-1", "@x", "\tx", "http://x/y", "1.5", "ü 漢", "a\nb", "\x00\x1b[31m"]


def frame(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


def test_cells_have_the_types_of_their_values(tmp_path: Path) -> None:
    write_xlsx(frame(a=[1, 2.5, True, None, "x"]), tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    assert [c.value for c in sheet["A"]] == ["a", 1, 2.5, True, None, "x"]
    assert [c.data_type for c in sheet["A"]][1:4] == ["n", "n", "b"]


def test_nan_and_infinity_are_text_and_not_missing(tmp_path: Path) -> None:
    write_xlsx(frame(a=[math.nan, math.inf, -math.inf, 2**70]), tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    assert [c.value for c in sheet["A"]][1:] == ["NaN", "Infinity", "-Infinity", str(2**70)]


def test_text_is_never_a_formula_nor_a_link(tmp_path: Path) -> None:
    write_xlsx(frame(a=HOSTILE), tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    cells = list(sheet["A"])[1:]
    assert {c.data_type for c in cells} == {"s"}
    assert [c.value for c in cells[:9]] == HOSTILE[:9]
    assert all(c.hyperlink is None for c in cells)


def test_header_stays_statuses_are_coloured_and_ids_lead_to_folders(tmp_path: Path) -> None:
    table = frame(
        status=["DONE", "DEAD"], exp_id=["p/a", "p/b"], exp_path=[str(tmp_path / "a b"), str(tmp_path / "b#1")]
    )
    write_xlsx(table, tmp_path / "t.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").active
    assert sheet.freeze_panes == "B2" and sheet.auto_filter.ref == "A1:C3"
    rules = [rule for ranges in sheet.conditional_formatting for rule in ranges.rules]
    assert '"DEAD"' in {f for rule in rules for f in rule.formula}
    assert sheet["B2"].value == "p/a"
    assert sheet["B2"].hyperlink.target == f"FILE://{tmp_path}/a%20b"
    assert sheet["B3"].hyperlink.target.endswith("b%231")


def test_no_rows_and_no_columns_can_be_written(tmp_path: Path) -> None:
    write_xlsx(frame(a=[]), tmp_path / "t.xlsx")
    write_xlsx(pd.DataFrame(), tmp_path / "u.xlsx")
    write_parquet(frame(a=[]), tmp_path / "t.parquet")
    assert openpyxl.load_workbook(tmp_path / "t.xlsx").active["A1"].value == "a"


def test_parquet_keeps_numbers_nan_and_what_is_missing(tmp_path: Path) -> None:
    table = frame(n=[1, None, 3], f=[0.5, math.nan, None], m=[1, "x", None], t=HOSTILE[:3], big=[2**70, 1, None])
    table["vast"] = pd.Series([10**400, 1.5, None], dtype=object)
    write_parquet(table, tmp_path / "t.parquet")
    found = pq.read_table(tmp_path / "t.parquet").to_pydict()
    assert found["n"] == [1, None, 3]
    assert found["f"][0] == 0.5 and math.isnan(found["f"][1]) and found["f"][2] is None
    assert found["m"] == ["1", "x", None]
    assert found["vast"] == [str(10**400), "1.5", None]
    assert found["t"] == HOSTILE[:3]
    assert found["big"] == [str(2**70), "1", None]


def test_what_cant_be_written_is_said_and_the_old_file_stays(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").mkdir()
    with pytest.raises(ResultError, match=r"t\.xlsx"):
        write_xlsx(frame(a=[1]), tmp_path / "t.xlsx")
    with pytest.raises(HeyhiError):
        write_parquet(frame(a=[1]), tmp_path / "no/folder.parquet")
    assert not list(tmp_path.glob(".*"))


def test_a_name_says_its_format() -> None:
    assert [suffix_of(Path(n)) for n in ("a.csv", "b.XLSX", "c.d.html", "-", "-.md")] == [
        "csv",
        "xlsx",
        "html",
        "csv",
        "md",
    ]
    with pytest.raises(ExportError, match=r"\.csv, .*\.xlsx, \.parquet or \.html"):
        suffix_of(Path("a.txt"))
    with pytest.raises(ExportError, match=r"-\.xlsx: \.xlsx is no text; expected a file, or -\.csv, "):
        suffix_of(Path("-.xlsx"))


def test_integers_with_gaps_stay_integers_for_pandas_too(tmp_path: Path) -> None:
    values = [2**60 + 1, None, 3]
    table = pd.DataFrame({"large": pd.Series(values, dtype=object), "whole": [1, 2, 3], "m": [0.5, 1.0, 2.0]})
    write_parquet(table, tmp_path / "t.parquet")
    found = pd.read_parquet(tmp_path / "t.parquet")
    assert str(found["large"].dtype) == "Int64" and found["large"].tolist()[::2] == [2**60 + 1, 3]
    assert found["large"].isna().tolist() == [False, True, False]
    assert (str(found["whole"].dtype), str(found["m"].dtype)) == ("int64", "float64")
