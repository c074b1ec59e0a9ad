"""A table that imports pandas only where it must shows the same as a DataFrame, by whatever way it is looked at."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.cli.main import main
from heyhi.report.gathered import Gathered
from heyhi.report.lazy_frame import LazyFrame
from heyhi.report.page_content import PageData
from heyhi.report.page_payload import table_payload
from heyhi.report.plain_table import PlainTable
from heyhi.report.shape import Shape
from heyhi.report.shaped import Shaped
from heyhi.report.table import _attrs, _frame
from heyhi.report.terminal import print_table
from heyhi.report.text_files import to_csv, to_json

CELLS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
COLUMNS = st.lists(
    st.lists(CELLS, min_size=3, max_size=3)
    | st.lists(st.integers() | st.floats(), min_size=3, max_size=3)
    | st.lists(st.integers(-(2**70), 2**70), min_size=3, max_size=3)
    | st.lists(st.booleans(), min_size=3, max_size=3),
    min_size=1,
    max_size=4,
)


def plain(columns: list[list[Any]], **more: list[Any]) -> PlainTable:
    own: dict[str, list[Any]] = {
        "status": ["DONE", "DEAD", "RUNNING"],
        **{f"c{place}": column for place, column in enumerate(columns)},
        "reason": [None, "exit code 1", None],
        "exp_id": ["p/a", "p/b", "p/c"],
        "exp_path": ["/r/p/a", "/r/p/b", "/r/p/c"],
        **more,
    }
    return PlainTable(own, ["c0"], {"lr": 1}, [], ["c0"])


def lazy(table: PlainTable) -> Any:
    return LazyFrame(table, _attrs(table), lambda: _frame(table))


def shaped(table: Any) -> Shaped:
    return Shape().apply(Gathered.of_table(table))


def printed(table: Any) -> str:
    out = io.StringIO()
    print_table(shaped(table), out)
    return out.getvalue()


@given(COLUMNS)
def test_its_cells_are_those_of_the_data_frame(columns: list[list[Any]]) -> None:
    table = plain(columns)
    frame, found = _frame(table), lazy(table)
    assert list(found.columns) == list(found) == list(frame.columns)
    for place, name in enumerate(frame.columns):
        expected = list(map(repr, frame[name].tolist()))
        assert list(map(repr, found[name].tolist())) == expected
        assert list(map(repr, found[name])) == expected
        assert list(map(repr, found.iloc[:, place].tolist())) == expected
        assert list(found[name].notna()) == frame[name].notna().tolist()
    assert found.attrs == frame.attrs


@given(COLUMNS)
def test_files_and_terminal_show_the_same(columns: list[list[Any]]) -> None:
    table = plain(columns, note=[None, "odd", None])
    assert to_csv(lazy(table)) == to_csv(_frame(table))
    assert to_json(lazy(table)) == to_json(_frame(table))
    assert printed(lazy(table)) == printed(_frame(table))


@given(COLUMNS)
def test_a_page_shows_the_same(columns: list[list[Any]]) -> None:
    table = plain(columns)
    frame = _frame(table).drop(columns=["exp_path"])
    found = lazy(table).drop(columns=["exp_path"]).plain
    one, other = (table_payload(PageData("t", shown, whole=shown)) for shown in (frame, found))
    assert repr(one["runs"]) == repr(other["runs"])


def test_what_plain_columns_cannot_answer_the_data_frame_does() -> None:
    table = lazy(plain([[3, 1, 2]]))
    assert table.sort_values("c0")["exp_id"].tolist() == ["p/b", "p/c", "p/a"]
    assert table["c0"].mean() == 2
    assert table[table["status"] == "DONE"]["exp_id"].tolist() == ["p/a"]
    assert table.iloc[[2, 0]]["c0"].tolist() == [2, 3]
    assert table.drop(columns="c0").sort_values("exp_id").columns.tolist() == [
        "status", "reason", "exp_id", "exp_path"
    ]  # fmt: skip
    assert isinstance(table.copy(), pd.DataFrame) and table.copy().attrs["varying"] == ["c0"]
    with pytest.raises(KeyError):
        table["absent"]
    with pytest.raises(KeyError):
        table.drop(columns=["absent"])


def test_the_end_of_a_run_imports_neither_pandas_nor_numpy_nor_snakemake(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "results"))
    assert main(["expand", "--cfg", "c02_sup_train/sl", "--sweep", "lr=0.1,0.2"]) == 0
    (manifest,) = tmp_path.glob("results/.heyhi/manifests/*.sqlite")
    code = (
        "import sys; from pathlib import Path; from heyhi.report.__main__ import main;"
        "from heyhi.report.show import show_sweep; from heyhi.project import find_project;"
        "from heyhi.sweep.manifest import Manifest;"
        f"main([{str(manifest)!r}, '--to', {str(tmp_path / 'a.csv')!r}, '--to', {str(tmp_path / 'a.html')!r}]);"
        f"show_sweep(find_project(), Manifest.open(Path({str(manifest)!r})));"
        "print({'pandas', 'numpy', 'snakemake', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "2 experiments: 2 NOT_STARTED" in done.stdout
    assert (tmp_path / "a.csv").read_text().count("NOT_STARTED") == 2
