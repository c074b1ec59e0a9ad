from __future__ import annotations

import datetime
import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import sheets_server
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heyhi.sheets.cells import Frames, SheetsError, tables_of
from heyhi.sheets.plan import plan
from heyhi.sheets.wish import Wish, areas_to_read
from heyhi.sheets.worksheet import FIELDS, Cells, Worksheet, read_worksheet

API = sheets_server.Api("sheets", "v4")
TREE = sheets_server._parse_mask(FIELDS)
NOW = datetime.datetime(2026, 11, 24, 8, 30, 5)


class Tab:
    """A worksheet that a user and exports change in turn."""

    def __init__(self, title: str = "tab", *, is_new: bool = False) -> None:
        self.book = sheets_server.Book("book", "book", "Etc/UTC")
        self.title = title
        self.book.add("other" if is_new else title)

    @property
    def sheet(self) -> Any:
        return self.book.sheet(self.title)

    def state(self) -> Worksheet:
        told = API.select("Spreadsheet", self.book.to_json(TREE), FIELDS)
        return read_worksheet(told, self.title, 4711)

    def export(self, frames: Frames, **options: Any) -> list[dict[str, Any]]:
        """Export, as Google would let it happen; return the requests."""
        tables = tables_of(frames, zone=datetime.UTC, updated_column=options.pop("updated_column", None))
        wish = Wish(tables, NOW, **options)
        state = self.state()
        areas = areas_to_read(state, wish)
        read = [sheets_server._values(self.book, area.a1(state.title)) for area in areas]
        requests = plan(state, wish, Cells(areas, read))
        API.check("BatchUpdateSpreadsheetRequest", {"requests": requests}, "")
        changed = self.book.copied()
        sheets_server.Batch(API, changed).run(json.loads(json.dumps(requests)))
        self.book.take(changed)
        return requests

    def picture(self) -> Any:
        """Return all that there is, without when the last export was."""
        told = self.book.to_json(None, with_data=True)
        return json.loads(json.dumps(told).replace(self.stamp().replace('"', '\\"'), "stamp"))

    def stamp(self) -> str:
        (found,) = [v for v in self.sheet.filled().values() if str(v).startswith('="Last update')]
        return str(found)

    def bold(self) -> list[str]:
        return [
            sheets_server.a1(column, row)
            for (row, column), cell in sorted(self.sheet.cells.items())
            if cell.get("userEnteredFormat", {}).get("textFormat", {}).get("bold")
        ]

    def named(self, key: str) -> Any:
        """Return the named range of a block."""
        (found,) = [named for named in self.book.named if named.name.endswith(f"_{key}")]
        return found

    def paste(self, key: str, row: int, column: int) -> None:
        """Cut a table and paste it elsewhere, with its marks."""
        place = self.named(key).range
        by = column - place["startColumnIndex"]
        height = place["endRowIndex"] - place["startRowIndex"]
        width = place["endColumnIndex"] - place["startColumnIndex"]
        self.sheet.paste(place, row, column)
        place |= {"startRowIndex": row, "endRowIndex": row + height}
        place |= {"startColumnIndex": column, "endColumnIndex": column + width}
        for mark in self.book.marks:
            if mark.value == key and mark.column is not None:
                mark.column += by

    def rules(self) -> list[str]:
        return [rule["booleanRule"]["condition"]["values"][0]["userEnteredValue"] for rule in self.sheet.rules]


def frame(rows: int, columns: int = 2, tag: str = "") -> pd.DataFrame:
    return pd.DataFrame({f"{tag}c{j}": [f"{tag}{i}.{j}" for i in range(rows)] for j in range(columns)})


def runs(*statuses: str, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"exp": [f"e{i}" for i in range(len(statuses))], "status": statuses, **columns})


# --- the first export ---------------------------------------------------------------------------------------------


def test_a_first_export_leaves_rows_and_columns_free_as_asked() -> None:
    tab = Tab()
    tab.export(frame(2))
    assert tab.sheet.values("B10:C12") == [["c0", "c1"], ["0.0", "0.1"], ["1.0", "1.1"]]
    assert len(tab.sheet.filled()) == 7
    assert tab.sheet.find(tab.stamp()) == "A1"
    other = Tab()
    other.export(frame(1), offset=0, start=4)
    assert other.sheet.find("c0") == "A4"


@pytest.mark.parametrize(("size", "last"), [((1200, 2), "C1210"), ((2, 40), "AO12")])
def test_a_worksheet_is_made_where_there_is_none_and_large_enough(size: tuple[int, int], last: str) -> None:
    tab = Tab(is_new=True)
    tab.export(frame(*size))
    assert tab.sheet.value(last) == f"{size[0] - 1}.{size[1] - 1}"
    assert [sheet.title for sheet in tab.book.sheets] == ["other", "tab"]
    assert not tab.book.sheet("other").filled()


def test_the_stamp_tells_minutes_by_the_spreadsheets_clock() -> None:
    tab = Tab()
    tab.export(frame(1))
    assert tab.stamp() == (
        '="Last update: 2026-11-24 08:30:05 ("&ROUND((NOW()-46350-30605/86400)*1440)&" minutes ago)"'
    )
    formulas = [cell for cell in tab.sheet.cells.values() if "formulaValue" in cell.get("userEnteredValue", {})]
    assert len(formulas) == 1


def test_without_a_known_time_zone_the_stamp_is_text_in_utc() -> None:
    tab = Tab()
    tab.export(frame(1), knows_zone=False)
    assert tab.sheet.value("A1") == "Last update: 2026-11-24 08:30:05 UTC"


def test_several_tables_go_under_one_another_with_bold_titles_and_heads() -> None:
    tab = Tab()
    tab.export({"One": frame(2), "Two": frame(1, 1, "x")})
    assert tab.sheet.values("B10:B17") == [[v] for v in ["One", "c0", "0.0", "1.0", None, None, "Two", "xc0"]]
    assert tab.sheet.value("B18") == "x0.0"
    assert tab.bold() == ["B10", "C10", "B11", "C11", "B16", "B17"]


def test_what_stands_where_a_table_would_go_moves_down() -> None:
    tab = Tab()
    tab.sheet.put("A1", "my notes")
    tab.sheet.put("C11", "mine")
    tab.sheet.put("H11", "beside")
    tab.export(frame(2))
    assert tab.sheet.find("my notes") == "A2"
    assert tab.sheet.values("B11:C13") == [["c0", "c1"], ["0.0", "0.1"], ["1.0", "1.1"]]
    assert (tab.sheet.find("mine"), tab.sheet.find("beside")) == ("C17", "H17")


def test_notes_beside_the_place_of_a_table_stay() -> None:
    tab = Tab()
    tab.sheet.put("A11", "left")
    tab.sheet.put("H11", "right")
    tab.export(frame(2))
    assert (tab.sheet.find("left"), tab.sheet.find("right"), tab.sheet.find("c0")) == ("A11", "H11", "B10")


# --- export again -------------------------------------------------------------------------------------------------


def test_to_export_the_same_again_changes_nothing_and_reads_no_cell() -> None:
    tab = Tab()
    frames = {"One": runs("DONE", "RUNNING", updated=["2026-11-24T08:00:00Z"] * 2), "Two": frame(1)}
    tab.export(frames)
    before = tab.picture()
    state = tab.state()
    assert areas_to_read(state, Wish(tables_of(frames), NOW)) == []
    for _ in range(2):
        tab.export(frames)
        assert tab.picture() == before


def test_a_table_that_grows_moves_down_what_stands_below() -> None:
    tab = Tab()
    tab.export([frame(2), frame(1, tag="x")])
    tab.sheet.put("B13", "between")
    tab.sheet.put("F12", "beside")
    tab.sheet.put("D40", "far below")
    tab.export([frame(5), frame(1, tag="x")])
    assert tab.sheet.values("B10:B16") == [[v] for v in ["c0", "0.0", "1.0", "2.0", "3.0", "4.0", "between"]]
    assert tab.sheet.find("beside") == "F12"
    assert tab.sheet.find("xc0") == "B18"
    assert tab.sheet.find("far below") == "D43"
    assert tab.bold() == ["B10", "C10", "B18", "C18"]


def test_a_table_of_a_header_only_grows_without_bold_data() -> None:
    tab = Tab()
    tab.export(frame(0))
    tab.export(frame(3))
    assert tab.bold() == ["B10", "C10"]


def test_a_table_that_shrinks_leaves_what_stands_below_and_beside() -> None:
    tab = Tab()
    tab.export(frame(5))
    tab.sheet.put("E15", "beside")
    tab.sheet.put("B17", "below")
    tab.export(frame(2))
    assert tab.sheet.values("B12:B17") == [["1.0"], [None], [None], [None], [None], ["below"]]
    assert tab.sheet.find("beside") == "E15"
    # Its old rows are blank and its own still: to grow again moves nothing.
    tab.export(frame(5))
    assert (tab.sheet.find("below"), tab.sheet.find("beside")) == ("B17", "E15")
    tab.export(frame(6))
    assert (tab.sheet.find("below"), tab.sheet.find("beside")) == ("B18", "E15")


def test_what_a_user_writes_where_a_table_was_is_not_written_over() -> None:
    tab = Tab()
    tab.export(frame(5))
    tab.export(frame(2))
    tab.sheet.put("C14", "mine now")
    tab.export(frame(5))
    assert tab.sheet.values("B10:B15") == [["c0"], ["0.0"], ["1.0"], ["2.0"], ["3.0"], ["4.0"]]
    assert tab.sheet.find("mine now") == "C16"


def test_a_table_that_widens_takes_blank_columns_and_moves_filled_ones() -> None:
    tab = Tab()
    tab.export(frame(2))
    tab.sheet.put("E11", "note")
    tab.sheet.put("E1", "title of my notes")
    tab.export(frame(2, 4))
    assert tab.sheet.values("B10:E10") == [["c0", "c1", "c2", "c3"]]
    assert (tab.sheet.find("note"), tab.sheet.find("title of my notes")) == ("F11", "F1")
    assert tab.bold() == ["B10", "C10", "D10", "E10"]


def test_a_table_that_narrows_and_widens_again_stays_where_it_is() -> None:
    tab = Tab()
    tab.export(frame(2, 4))
    tab.sheet.put("F11", "note")
    tab.export(frame(2, 2))
    assert tab.sheet.values("B11:F11") == [["0.0", "0.1", None, None, "note"]]
    tab.export(frame(2, 4))
    assert tab.sheet.values("B11:F11") == [["0.0", "0.1", "0.2", "0.3", "note"]]


def test_a_narrow_table_below_a_wide_one_widens_without_cutting_it() -> None:
    tab = Tab()
    tab.export([frame(1, 4), frame(1, 2, "x")])
    tab.sheet.put("D14", "mine")
    tab.export([frame(1, 4), frame(1, 3, "x")])
    assert tab.sheet.values("B10:E10") == [["c0", "c1", "c2", "c3"]]
    assert tab.sheet.values("B14:E14") == [["xc0", "xc1", "xc2", "mine"]]


def test_a_table_that_widens_and_grows_at_once_writes_over_no_note_beside_its_old_rows() -> None:
    tab = Tab()
    tab.export([frame(1, 1), frame(2, 1, "x")])
    tab.export([frame(1, 1), frame(1, 1, "x")])
    tab.sheet.put("C16", "mine")  # beside the row that the lower table left blank
    tab.export([frame(1, 2), frame(2, 2, "x")])
    assert tab.sheet.values("B14:D16") == [["xc0", "xc1", None], ["x0.0", "x0.1", None], ["x1.0", "x1.1", "mine"]]


def test_a_table_that_is_no_more_is_blanked_and_a_new_one_takes_a_free_place() -> None:
    tab = Tab()
    tab.export({"One": frame(1), "Two": frame(1, tag="x")})
    tab.export({"One": frame(1)})
    assert not [value for value in tab.sheet.filled().values() if str(value).startswith(("x", "Two"))]
    assert [named.name for named in tab.book.named] == [named.name for named in tab.book.named if "t" in named.name]
    assert len(tab.book.named) == 2
    tab.export({"One": frame(1), "Three": frame(1, tag="y")})
    assert tab.sheet.find("Three") == "B15"


def test_a_table_with_another_title_takes_the_place_of_the_old_one() -> None:
    tab = Tab()
    tab.export({"One": frame(1), "Two": frame(1, tag="x")})
    tab.export({"Two": frame(2, tag="x"), "Uno": frame(2)})
    assert (tab.sheet.find("Uno"), tab.sheet.find("Two")) == ("B10", "B16")
    before = tab.picture()
    tab.export({"Two": frame(2, tag="x"), "Uno": frame(2)})
    assert tab.picture() == before
    tab.export([frame(2), frame(2, tag="x")])
    assert tab.sheet.value("B10") == "c0"
    assert tab.bold() == ["B10", "C10", "B16", "C16"]


def test_a_further_table_moves_down_what_stands_below_the_last_one() -> None:
    tab = Tab()
    tab.export([frame(1)])
    tab.sheet.put("B14", "below")
    tab.export([frame(1), frame(1, tag="x")])
    assert tab.sheet.values("B10:B18") == [[v] for v in ["c0", "0.0", None, None, "xc0", "x0.0", None, None, "below"]]


def test_exports_of_two_groups_share_a_worksheet_side_by_side() -> None:
    tab = Tab()
    tab.export(frame(3), group="a", offset=1)
    tab.export(frame(6, tag="x"), group="b", offset=5)
    tab.sheet.put("B14", "below a")
    tab.export(frame(5), group="a", offset=1)
    assert tab.sheet.values("B10:B16") == [[v] for v in ["c0", "0.0", "1.0", "2.0", "3.0", "4.0", "below a"]]
    assert tab.sheet.values("F10:F16") == [["xc0"], *([f"x{i}.0"] for i in range(6))]
    tab.export(frame(1, 6), group="a", offset=1)
    assert tab.sheet.values("B11:G11") == [[f"0.{j}" for j in range(6)]]
    assert tab.sheet.find("xc0") == "H10"
    tab.export(frame(6, tag="x"), group="b", offset=5)
    assert tab.sheet.values("H10:I11") == [["xc0", "xc1"], ["x0.0", "x0.1"]]
    assert len([v for v in tab.sheet.filled().values() if str(v).startswith('="Last update')]) == 1


def test_a_further_table_of_a_group_cuts_none_of_another_group_beside_it() -> None:
    tab = Tab()
    tab.export(frame(1), group="a", offset=1)
    tab.export(frame(5, tag="x"), group="b", offset=4)
    tab.export([frame(1), frame(1, 5, "y")], group="a", offset=1)
    assert tab.sheet.values("E10:F15") == [["xc0", "xc1"], *([f"x{i}.0", f"x{i}.1"] for i in range(5))]
    assert tab.sheet.values("B18:F19") == [[f"yc{j}" for j in range(5)], [f"y0.{j}" for j in range(5)]]
    tab.export(frame(6, tag="x"), group="b", offset=4)
    assert tab.sheet.find("x5.0") == "E16"
    assert tab.sheet.find("y0.0") == "B20"


def test_a_table_that_widens_between_others_moves_a_taller_one_beside_it_as_a_whole() -> None:
    tab = Tab()
    tab.export([frame(1), frame(1, 4, "y")], group="a", offset=1)
    for rows in (1, 2):
        tab.export(frame(rows, tag="x"), group="b", offset=3)
    assert tab.sheet.values("D10:E12") == [["xc0", "xc1"], ["x0.0", "x0.1"], ["x1.0", "x1.1"]]
    tab.export([frame(1, 3), frame(1, 4, "y")], group="a", offset=1)
    assert tab.sheet.values("B10:F12") == [
        ["c0", "c1", "c2", "xc0", "xc1"],
        ["0.0", "0.1", "0.2", "x0.0", "x0.1"],
        [None, None, None, "x1.0", "x1.1"],
    ]
    tab.export(frame(2, tag="x"), group="b", offset=3)
    assert tab.sheet.values("E10:F10") == [["xc0", "xc1"]]
    assert tab.state().blocks[Wish([], NOW, group="b").prefix + "t0"].columns == [4, 5]


def test_two_tables_side_by_side_do_not_take_the_same_blank_cells() -> None:
    tab = Tab()
    tab.export([frame(1, 1), frame(3, 1, "x")])
    tab.export([frame(1, 1), frame(0, 1, "x")])
    # The lower one, with three blank rows that are its own, is put to the upper right of the other.
    tab.paste("t1", 7, 3)
    tab.export([frame(1, 4), frame(3, 1, "x")])
    expected = [v for f in (frame(1, 4), frame(3, 1, "x")) for v in [*f.columns, *f.to_numpy().ravel()]]
    assert sorted(tab.sheet.filled().values()) == sorted([*expected, tab.stamp()])


def test_a_table_that_a_user_put_beside_another_moves_aside_with_its_marks() -> None:
    tab = Tab()
    tab.export([frame(1), frame(1, tag="x")])
    tab.paste("t1", 9, 3)
    tab.sheet.put("F11", "note")
    before = {mark.id for mark in tab.book.marks}
    tab.export([frame(1, 4), frame(1, tag="x")])
    assert tab.sheet.values("B11:H11") == [["0.0", "0.1", "0.2", "0.3", "x0.0", "x0.1", "note"]]
    assert before <= {mark.id for mark in tab.book.marks}


# --- a user changes the worksheet ---------------------------------------------------------------------------------


def test_a_table_is_found_wherever_rows_and_columns_around_it_moved_it() -> None:
    tab = Tab()
    tab.export(frame(2))
    tab.sheet.insert("ROWS", 3, 5)
    tab.sheet.insert("COLUMNS", 0, 2)
    tab.sheet.move("ROWS", 14, 17, 30)
    place = tab.sheet.find("c0")
    assert place == "D28"
    tab.export(frame(4))
    assert tab.sheet.find("c0") == place
    assert tab.sheet.find("3.1") == "E32"
    assert tab.sheet.find(tab.stamp()) == "C1"


def test_a_column_that_a_user_puts_in_between_stays_theirs() -> None:
    tab = Tab()
    tab.export(frame(3, 3))
    tab.sheet.insert("COLUMNS", 2, 1)
    tab.sheet.put("C10", "why")
    tab.sheet.put("C12", "diverged")
    tab.export(frame(4, 4))
    assert tab.sheet.values("B10:F12") == [
        ["c0", "why", "c1", "c2", "c3"],
        ["0.0", None, "0.1", "0.2", "0.3"],
        ["1.0", "diverged", "1.1", "1.2", "1.3"],
    ]
    tab.export(frame(1, 2))
    assert tab.sheet.values("B10:F12") == [
        ["c0", "why", "c1", None, None],
        ["0.0", None, "0.1", None, None],
        [None, "diverged", None, None, None],
    ]


def test_a_column_of_ours_that_a_user_deletes_comes_back() -> None:
    tab = Tab()
    tab.export(frame(1, 3))
    tab.sheet.put("E11", "note")
    tab.sheet.delete("COLUMNS", 2, 1)
    tab.export(frame(1, 3))
    assert tab.sheet.values("B11:E11") == [["0.0", "0.1", "0.2", "note"]]


def test_columns_that_a_user_moves_come_back_in_our_order_and_stay_marked() -> None:
    tab = Tab()
    tab.export(frame(1, 3))
    tab.sheet.move("COLUMNS", 3, 4, 1)
    tab.export(frame(1, 3))
    assert tab.sheet.values("B11:D11") == [["0.0", "0.1", "0.2"]]


@pytest.mark.parametrize("at", [10, 12, 14])
def test_a_row_that_a_user_puts_in_between_moves_below_the_table(at: int) -> None:
    tab = Tab()
    tab.export(runs("DONE", "DONE", "RUNNING", "DONE", "DEAD"))
    tab.sheet.insert("ROWS", at, 1)
    tab.sheet.put(f"C{at + 1}", "--- new code from here ---")
    tab.sheet.put(f"G{at + 1}", "and beside")
    tab.sheet.put("B17", "below")
    tab.export(runs(*["DONE"] * 7))
    assert tab.sheet.values("B11:B17") == [[f"e{i}"] for i in range(7)]
    assert tab.sheet.values("C18:G18") == [["--- new code from here ---", None, None, None, "and beside"]]
    assert tab.sheet.find("below") == "B19"


def test_a_row_between_tables_side_by_side_is_moved_out_of_one_without_tearing_the_other() -> None:
    tab = Tab()
    tab.export(frame(3), group="a", offset=1)
    tab.export(frame(3, tag="x"), group="b", offset=5)
    tab.sheet.insert("ROWS", 11, 1)
    tab.sheet.put("B12", "--- new code from here ---")
    tab.sheet.put("F12", "mine")
    tab.export(frame(3), group="a", offset=1)
    assert tab.sheet.values("B10:B15") == [[v] for v in ["c0", "0.0", "1.0", "2.0", None, "--- new code from here ---"]]
    assert tab.sheet.values("F10:F14") == [[v] for v in ["xc0", "x0.0", "mine", "x1.0", "x2.0"]]
    tab.export(frame(4, tag="x"), group="b", offset=5)
    assert tab.sheet.values("F10:F15") == [[v] for v in ["xc0", "x0.0", "x1.0", "x2.0", "x3.0", "mine"]]
    assert tab.sheet.find("--- new code from here ---") == "B16"


def test_blank_rows_that_a_user_wrote_into_are_looked_at_also_where_rows_were_put_in_between() -> None:
    tab = Tab()
    tab.export(frame(5), group="a", offset=1)
    tab.export(frame(5, tag="x"), group="b", offset=5)
    tab.export(frame(2), group="a", offset=1)
    tab.sheet.insert("ROWS", 11, 1)
    tab.sheet.put("B15", "mine")
    tab.export(frame(6), group="a", offset=1)
    assert tab.sheet.values("B10:B16") == [[v] for v in ["c0", *(f"{i}.0" for i in range(6))]]
    assert "mine" in tab.sheet.filled().values()


def test_a_row_that_a_user_put_in_stays_when_its_table_is_no_more() -> None:
    tab = Tab()
    tab.export({"One": frame(1), "Two": frame(3, tag="x")})
    tab.sheet.insert("ROWS", 17, 2)
    tab.sheet.put("B18", "mine")
    tab.export({"One": frame(1)})
    assert tab.sheet.find("mine") == "B18"
    assert sorted(tab.sheet.filled().values()) == sorted([tab.stamp(), "One", "c0", "c1", "0.0", "0.1", "mine"])


def test_a_table_that_is_no_more_is_blanked_where_it_is_when_the_stamp_is_put_in_anew() -> None:
    tab = Tab()
    tab.export({"One": frame(1), "Two": frame(1, tag="x")})
    tab.sheet.delete("ROWS", 0, 1)
    tab.sheet.put("A1", "my notes")
    tab.sheet.put("B13", "mine")  # just above the second table
    tab.export({"One": frame(1)})
    expected = [tab.stamp(), "my notes", "One", "c0", "c1", "0.0", "0.1", "mine"]
    assert sorted(tab.sheet.filled().values()) == sorted(expected)


def test_rows_of_ours_that_a_user_deletes_come_back() -> None:
    tab = Tab()
    tab.export(frame(4))
    tab.sheet.put("B16", "below")
    tab.sheet.delete("ROWS", 9, 2)
    tab.export(frame(4))
    assert tab.sheet.values("B10:B14") == [["c0"], ["0.0"], ["1.0"], ["2.0"], ["3.0"]]
    assert tab.sheet.find("below") == "B16"


def test_a_table_that_a_user_deletes_as_a_whole_is_written_anew() -> None:
    tab = Tab()
    tab.export(frame(3))
    tab.sheet.delete("ROWS", 9, 4)
    assert tab.named("t0").range is None
    tab.export(frame(2))
    assert tab.sheet.values("B10:B12") == [["c0"], ["0.0"], ["1.0"]]
    assert len(tab.book.named) == 2
    assert len([mark for mark in tab.book.marks if mark.key == "heyhi.block"]) == 1


def test_a_table_that_was_cut_and_pasted_elsewhere_is_found_there() -> None:
    tab = Tab()
    tab.export(frame(1, 2))
    # Cells and named ranges go along, developer metadata of columns doesn't.
    cells = tab.sheet.cells
    tab.sheet.cells = {(r + 3, c + 1) if r >= 9 else (r, c): cell for (r, c), cell in cells.items()}
    tab.named("t0").range |= {
        "startRowIndex": 12,
        "endRowIndex": 14,
        "startColumnIndex": 2,
        "endColumnIndex": 4,
    }
    for _ in range(2):
        tab.export(frame(1, 2))
        assert tab.sheet.values("B13:D14") == [[None, "c0", "c1"], [None, "0.0", "0.1"]]
    assert sorted(mark.column for mark in tab.book.marks if mark.column is not None) == [2, 3]


def test_a_copy_of_a_worksheet_is_exported_to_by_itself() -> None:
    tab = Tab()
    tab.export(frame(1))
    copied = tab.book.add("Copy of tab", 99)
    copied.cells = dict(tab.sheet.cells)
    for named in list(tab.book.named):
        place = {**named.range, "sheetId": 99}
        tab.book.named.append(sheets_server.Named(f"copied{named.id}", f"'Copy of tab'!{named.name}", place))
    before = dict(tab.sheet.cells)
    tab.title = "Copy of tab"
    tab.export(frame(3))
    assert copied.values("B10:B13") == [["c0"], ["0.0"], ["1.0"], ["2.0"]]
    assert tab.book.sheet("tab").cells == before


def test_a_name_that_went_to_another_worksheet_is_not_taken_twice() -> None:
    tab = Tab()
    tab.export(frame(1))
    other = tab.book.add("other", 5)
    tab.named("t0").range["sheetId"] = other.id
    tab.export(frame(1))
    assert sorted(named.name for named in tab.book.named) == ["heyhi_0_t0", "heyhi_0_t0__2", "heyhi_0_updated"]
    before = tab.picture()
    tab.export(frame(1))
    assert tab.picture() == before


def test_metadata_that_is_damaged_is_as_good_as_none() -> None:
    tab = Tab()
    tab.export(frame(2))
    for mark in tab.book.marks:
        if mark.key == "heyhi.block":
            mark.value = "{"
    tab.export(frame(3))
    assert tab.sheet.find("2.0") == "B13"


# --- colours ------------------------------------------------------------------------------------------------------


def test_each_status_has_a_colour_and_running_without_a_sign_of_life_another_one() -> None:
    tab = Tab()
    tab.export(runs("DONE", "RUNNING", updated=["2026-11-24T08:00:00Z", "2026-11-24T06:00:00Z"]))
    stale, *plain = tab.rules()
    assert stale == '=(N("heyhi:t0:STALE")=0)*($C11="RUNNING")*($D11<>"")*(NOW()-VALUE($D11)>1/24)>0'
    assert plain == [
        f'=(N("heyhi:t0:{name}")=0)*($C11="{name}")>0'
        for name in ("DONE", "RUNNING", "PENDING", "PRUNED", "DEAD", "UNKNOWN", "BLOCKED", "NOT_STARTED")
    ]
    (status, updated), (only,) = tab.sheet.rules[0]["ranges"], tab.sheet.rules[1]["ranges"]
    assert [status["startColumnIndex"], updated["startColumnIndex"], only["startColumnIndex"]] == [2, 3, 2]
    assert [only["startRowIndex"], only["endRowIndex"]] == [10, 12]
    done = tab.sheet.rules[1]["booleanRule"]["format"]["backgroundColor"]
    assert done["green"] > max(done["red"], done["blue"])


def test_colours_are_there_once_and_cover_what_the_table_has() -> None:
    tab = Tab()
    for count in (2, 5, 3):
        tab.export(runs(*["DONE"] * count))
        assert len(tab.rules()) == 8
        assert {rule["ranges"][0]["endRowIndex"] for rule in tab.sheet.rules} == {10 + count}
    tab.export(runs())
    assert tab.rules() == []


def test_a_users_rules_and_colours_stay() -> None:
    tab = Tab()
    mine = {
        "ranges": [tab.sheet.area({"endRowIndex": 3})],
        "booleanRule": {"condition": {"type": "NOT_BLANK"}, "format": {"backgroundColor": {"red": 1}}},
    }
    tab.sheet.rules.append(mine)
    tab.export({"One": runs("DONE"), "Two": runs("DEAD")})
    assert len(tab.sheet.rules) == 17
    tab.sheet.rules[1]["booleanRule"]["format"] = {"backgroundColor": {"blue": 1}}
    del tab.sheet.rules[3]
    tab.export({"One": runs("DONE", "DONE"), "Two": runs("DEAD")})
    assert tab.sheet.rules[0] == mine
    assert tab.sheet.rules[1]["booleanRule"]["format"] == {"backgroundColor": {"blue": 1}}
    assert len(tab.sheet.rules) == 17
    tab.export({"Two": runs("DEAD")})
    assert tab.sheet.rules[0] == mine
    assert len(tab.sheet.rules) == 9


def test_without_a_column_of_statuses_nothing_is_coloured() -> None:
    tab = Tab()
    tab.export(frame(3))
    assert tab.rules() == []


def test_colours_follow_the_column_of_statuses() -> None:
    tab = Tab()
    tab.export(runs("DONE"))
    tab.sheet.insert("COLUMNS", 2, 1)
    tab.export(runs("DONE")[["status", "exp"]])
    assert {rule["ranges"][0]["startColumnIndex"] for rule in tab.sheet.rules} == {1}
    assert "$B11" in tab.rules()[0]


# --- limits -------------------------------------------------------------------------------------------------------


def test_more_cells_than_google_allows_is_an_error_that_says_so() -> None:
    tab = Tab()
    tab.book.add("large", rows=1_000_000, columns=9)
    state = tab.state()
    wish = Wish(tables_of(frame(1)), NOW)
    assert plan(state, wish, Cells())
    with pytest.raises(SheetsError, match=r"would have 10,026,000 cells, of which Google allows 10,000,000"):
        plan(replace(state, other_cells=10_000_000), wish, Cells())
    with pytest.raises(SheetsError, match=r"18,400 columns, of which Google allows 18,278"):
        plan(replace(state, rows=20, columns=18_400), wish, Cells())


def test_what_is_no_grid_is_refused() -> None:
    told = {"sheets": [{"properties": {"sheetId": 1, "title": "Chart", "sheetType": "OBJECT"}}]}
    with pytest.raises(SheetsError, match="'Chart' is a chart"):
        read_worksheet(told, "chart", 1)


def test_marks_of_many_wide_tables_fit_what_google_allows() -> None:
    tab = Tab()
    tab.export({f"Table {i}": frame(1, 100) for i in range(6)})
    assert len(tab.book.named) == 7


def test_a_title_with_quotes_can_be_read() -> None:
    tab = Tab("it's a 'tab'!")
    tab.sheet.put("B12", "mine")
    tab.export(frame(2))
    assert tab.sheet.value("B10") == "c0"
    assert tab.sheet.find("mine") == "B17"


# --- anything in any order ----------------------------------------------------------------------------------------

SIZES = st.tuples(st.integers(0, 5), st.integers(1, 4))
STEPS = st.one_of(
    st.tuples(st.just("export"), st.lists(SIZES, min_size=1, max_size=3)),
    st.tuples(st.just("export"), st.lists(SIZES, min_size=1, max_size=3)),
    st.tuples(st.just("put"), st.tuples(st.integers(0, 24), st.integers(0, 9))),
    st.tuples(st.just("rows"), st.tuples(st.integers(0, 24), st.integers(1, 3))),
    st.tuples(st.just("columns"), st.tuples(st.integers(0, 9), st.integers(1, 2))),
    st.tuples(st.just("move"), st.tuples(st.integers(0, 9), st.integers(0, 9))),
)


def is_ours(tab: Tab, row: int, column: int) -> bool:
    blocks = tab.state().blocks.values()
    return any(b.top <= row < b.bottom and column in b.columns for b in blocks)


def is_cutting(tab: Tab, row: int, before: int) -> bool:
    return any(b.top <= row < b.bottom or b.top < before < b.bottom for b in tab.state().blocks.values())


def change(tab: Tab, number: int, kind: str, detail: Any, mine: list[str], *, between: bool = False) -> None:
    """Do what a user does; what they write into the worksheet is kept in a list.

    Args:
        tab: the worksheet.
        number: of the step.
        kind: what is done.
        detail: where, or how much.
        mine: what users wrote.
        between: they write into blank rows of tables, too.
    """
    if kind == "put":
        row, column = detail
        old = tab.sheet.value(sheets_server.a1(column, row))
        if not is_ours(tab, row, column) or (between and old is None):
            tab.sheet.put(sheets_server.a1(column, row), f"mine {number}")
            mine[:] = [*[m for m in mine if m != old], f"mine {number}"]
    elif kind == "rows":
        tab.sheet.insert("ROWS", *detail)
    elif kind == "columns":
        tab.sheet.insert("COLUMNS", *detail)
    else:
        at, to = detail
        if not is_cutting(tab, at, to) and at != to:
            tab.sheet.move("ROWS", at, at + 1, to)


@settings(max_examples=100)
@given(st.lists(STEPS, min_size=1, max_size=14))
@example([("export", [(0, 1), (1, 1)]), ("export", [(0, 1), (0, 1)]), ("put", (6, 2)), ("export", [(0, 2), (1, 2)])])
def test_whatever_users_and_exports_do_tables_are_right_and_no_cell_of_a_user_is_lost(
    steps: list[tuple[str, Any]],
) -> None:
    tab = Tab()
    mine: list[str] = []
    for number, (kind, detail) in enumerate(steps):
        if kind == "export":
            frames = [frame(*size, tag=f"t{i}-") for i, size in enumerate(detail)]
            tab.export(frames, start=3)
            check_tables(tab, {"": frames}, mine)
        else:
            change(tab, number, kind, detail, mine)


GROUPS = {"": 1, "b": 4, "c": 6}  # and the columns that each leaves free


@pytest.mark.parametrize("is_growing", [False, True])
@settings(max_examples=60)
@given(
    steps=st.lists(st.one_of(st.tuples(st.sampled_from([*GROUPS]), st.lists(SIZES, max_size=3)), STEPS), max_size=14)
)
def test_groups_side_by_side_are_right_and_lose_no_cell_of_each_other_or_of_a_user(
    is_growing: bool, steps: list[tuple[str, Any]]
) -> None:
    tab = Tab()
    mine: list[str] = []
    written: dict[str, list[pd.DataFrame]] = {}
    for number, (kind, detail) in enumerate(steps):
        group = "" if kind == "export" else kind
        if group in GROUPS:
            before = written.pop(group, [])
            sizes = grown(before, detail) if is_growing else detail
            written[group] = [frame(*size, tag=f"{group}t{i}-") for i, size in enumerate(sizes)]
            tab.export(written[group], start=3, group=group, offset=GROUPS[group])
            check_tables(tab, written, mine)
        else:
            # A row that a user put into a table is told for certain only where the table keeps all rows of its own.
            change(tab, number, kind, detail, mine, between=is_growing)


def grown(before: list[pd.DataFrame], sizes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return sizes of tables none of which is smaller than it was, nor so narrow that a row can't be recognized."""
    least = [f.shape for f in before] + [(0, 2)] * (len(sizes) - len(before))
    wanted = sizes + [(0, 0)] * (len(before) - len(sizes))
    return [
        (max(rows, more), max(columns, wider)) for (rows, columns), (more, wider) in zip(least, wanted, strict=True)
    ]


def check_tables(tab: Tab, written: dict[str, list[pd.DataFrame]], mine: list[str]) -> None:
    """Check that all is there once that exports and users wrote, and that the last group's tables are right."""
    expected = [v for frames in written.values() for f in frames for v in [*f.columns, *f.to_numpy().ravel()]]
    assert sorted(tab.sheet.filled().values()) == sorted([*expected, *mine, tab.stamp()])
    state = tab.state()
    assert len(state.blocks) == sum(map(len, written.values())) + 1
    group = [*written][-1]
    prefix = Wish([], NOW, group=group).prefix
    for i, f in enumerate(written[group]):
        block = state.blocks[f"{prefix}t{i}"]
        rows = [
            [tab.sheet.value(sheets_server.a1(c, r)) for c in block.columns] for r in range(block.top, block.bottom)
        ]
        assert rows == [list(f.columns), *f.to_numpy().tolist()]
