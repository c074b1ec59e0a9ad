"""Notes in a table: as columns in files, as lines below it in print, and as columns to choose by."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import heyhi
from heyhi import maybe_launch
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.handle import Handle
from heyhi.experiment.notes import write_note
from heyhi.report.gathered import Gathered
from heyhi.report.meanings import Known
from heyhi.report.readings import IF_ANY, OWN_NAMES
from heyhi.report.shape import Shape
from heyhi.report.terminal import print_table
from heyhi.report.where import chosen_rows

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; } }
message Work { int32 seed = 1; string note = 2; }
"""
SWEEP = """
def yield_sweep():
    for seed in range(3):
        yield "conf/work.prototxt", {"seed": seed, "note": f"n{seed}"}
"""


@pytest.fixture
def handles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """Run three experiments of a project, which have a field of the name of a column of their own."""
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/work.prototxt").write_text("work {}\n")
    (tmp_path / "conf/many.py").write_text(SWEEP)
    (tmp_path / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\n')
    monkeypatch.chdir(tmp_path)

    def work(*, cfg: Any, **_: object) -> dict[str, Any]:
        return {"y": cfg.seed, "excluded": "perhaps"}

    return [maybe_launch(work, cfg="work", overrides=[f"seed={seed}", f"note=n{seed}"]) for seed in range(3)]


def table() -> pd.DataFrame:
    return heyhi.table(progress=False)


def noted(handle: Handle, text: str, *, excluded: bool = False) -> None:
    write_note(ExperimentDir(handle.exp_path, Path("results").absolute()), text, excluded=excluded)


def test_columns_of_a_sweep_that_have_the_same_names_are_told_apart(handles: list[Handle]) -> None:
    noted(handles[0], "bad data", excluded=True)
    found = table()
    assert found["note (override)"].tolist() == ["n0", "n1", "n2"] and found["note"].tolist() == [
        "bad data",
        None,
        None,
    ]
    assert set(found["excluded (result)"]) == {"perhaps"} and found["excluded"].fillna(False).tolist() == [
        True,
        False,
        False,
    ]


def test_print_says_below_the_table_what_was_noted_and_how_many_are_excluded(handles: list[Handle]) -> None:
    noted(handles[0], "bad data", excluded=True)
    noted(handles[2], "fine")
    print_table(Shape().apply(Gathered.of_table(table())), out := io.StringIO())
    head, *_, first, second, last = out.getvalue().splitlines()
    assert not {"note", "excluded"} & set(re.split(r"\s{2,}", head))
    assert [first, second] == [
        f"note    {handles[0].exp_id}: bad data (excluded)",
        f"note    {handles[2].exp_id}: fine",
    ]
    assert last == "3 experiments: 3 DONE; 2 noted; 1 excluded"


def test_rows_are_chosen_by_notes(handles: list[Handle]) -> None:
    def chosen(condition: str) -> list[int]:
        return chosen_rows([condition], Known({str(name): column.tolist() for name, column in table().items()}))

    assert chosen("excluded=true") == chosen("note~bad") == [] and chosen("excluded!=true") == [0, 1, 2]
    noted(handles[1], "Bad data", excluded=True)
    assert chosen("excluded=true") == chosen("note~bad") == [1] and chosen("excluded!=true") == [0, 2]


def test_what_is_left_out_where_nobody_has_it_is_a_column_of_the_tables_own() -> None:
    assert set(IF_ANY) <= set(OWN_NAMES)
