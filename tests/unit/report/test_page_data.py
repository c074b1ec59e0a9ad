"""A page as it is written from a table: which rows and experiments are on it, and what is said of them."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from heyhi.project import Project, Settings
from heyhi.report import page_data
from heyhi.report.package_kinds import kinds_of
from heyhi.report.page_data import write_html
from heyhi.report.shaped import Shaped


def typed(rows: list[dict[str, Any]], *varying: str) -> pd.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    table = pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})
    table.attrs["varying"] = list(varying)
    return table


def shaped(tmp_path: Path, *statuses: str, **columns: Any) -> Shaped:
    """Make a table of some experiments, two seeds each."""
    rows = [
        {
            "status": status,
            "lr": place // 2,
            "seed": place % 2,
            "val_loss": float(place),
            "latency_ms": 3.0,
            **columns,
            "code": "abc",
            "exp_id": f"p/{place}",
            "exp_path": str(tmp_path / f"results/p/{place}"),
        }
        for place, status in enumerate(statuses)
    ]
    whole = typed(rows, "lr", "seed")
    places = list(range(len(rows)))
    counts = [status == "DONE" for status in statuses]
    return Shaped(whole, whole, [[place] for place in places], counts, [place // 2 for place in places])


def written(tmp_path: Path, what: Shaped, **settings: Any) -> dict[str, Any]:
    """Write a page and return its data."""
    path = tmp_path / "page.html"
    write_html(path, what, Project(tmp_path, Settings(**settings)), "many")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def columns(data: dict[str, Any], table: str) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in data[table]["columns"]}


def test_a_row_an_experiment_is_written_once(tmp_path: Path) -> None:
    data = written(tmp_path, shaped(tmp_path, "DONE", "DONE", "DEAD", "DONE"))
    assert data["table"] is None
    assert data["ids"] == ["p/0", "p/1", "p/2", "p/3"]
    assert data["members"] == [[0], [1], [2], [3]]
    assert (data["groups"], data["counts"]) == ([0, 0, 1, 1], [True, True, False, True])
    found = columns(data, "runs")
    assert "exp_path" not in found
    assert [found[name]["kind"] for name in ("lr", "val_loss", "latency_ms")] == ["override", "metric", "metric"]
    assert found["seed"]["replicate"] and not found["lr"]["replicate"]
    assert found["code"]["hidden"]


def test_means_come_with_the_experiments_behind_them(tmp_path: Path) -> None:
    what = shaped(tmp_path, "DONE", "DONE", "DEAD", "DONE")
    rows = [
        {"status": "DONE", "lr": 1, "val_loss": 3.0, "val_loss.se": None, "n": 1, "wanted": 2, "code": None},
        {"status": "DONE", "lr": 0, "val_loss": 0.5, "val_loss.se": 0.5, "n": 2, "wanted": 2, "code": "2 versions"},
    ]
    means = replace(what, table=typed(rows, "lr"), members=[[2, 3], [0, 1]], spread="se", notes=["as asked"])
    means.table.attrs["metrics"] = ["val_loss"]
    data = written(tmp_path, means)
    found = columns(data, "table")
    assert [found[name]["kind"] for name in ("val_loss", "val_loss.se", "n", "code")] == [
        "metric",
        "part",
        "fact",
        "fact",
    ]
    assert (found["val_loss.se"]["hidden"], found["code"]["hidden"]) == (True, False)
    assert data["members"] == [[2, 3], [0, 1]]
    assert columns(data, "runs")["seed"]["kind"] == "override"
    assert (data["spread"], data["notes"]) == ("se", ["as asked"])
    assert data["factors"] == pytest.approx([0, 0, 2**-0.5])
    assert written(tmp_path, replace(means, spread="ci95"))["factors"][2] == pytest.approx(12.706 / 2**0.5, rel=1e-4)
    assert written(tmp_path, replace(means, spread="std"))["factors"][2] == 1


def test_what_is_in_no_row_is_not_on_the_page(tmp_path: Path) -> None:
    what = shaped(tmp_path, "DONE", "DONE", "DEAD", "DONE")
    best = what.whole.iloc[[3, 1]].reset_index(drop=True)
    best.attrs.update(what.whole.attrs)
    data = written(tmp_path, replace(what, table=best, members=[[3], [1]]))
    assert data["ids"] == ["p/1", "p/3"]
    assert data["members"] == [[1], [0]]
    assert data["groups"] == [0, 1]
    assert len(data["curves"]) == len(data["details"]) == len(data["runs"]["rows"]) == 2


def test_a_page_has_as_many_experiments_as_a_browser_can_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page_data, "_MOST_EXPERIMENTS", 3)
    what = shaped(tmp_path, "DONE", "DONE", "DONE", "DONE")
    data = written(tmp_path, what)
    assert (data["ids"], data["members"]) == (["p/0", "p/1", "p/2"], [[0], [1], [2]])
    assert "shows the first 3 of 4 rows (3 experiments)" in capsys.readouterr().err
    rows = typed([{"lr": 1}, {"lr": 0}], "lr")
    data = written(tmp_path, replace(what, table=rows, members=[[2, 3], [0, 1]], spread="se"))
    assert (data["ids"], data["members"]) == (["p/2", "p/3"], [[0, 1]]), "no mean of half its experiments"
    assert len(data["table"]["rows"]) == 1


def test_packages_are_the_same_whatever_more_one_has_loaded() -> None:
    some = {"a": {"numpy": 1}, "b": {"numpy": 1, "torch": 2}, "c": {"numpy": 3}, "d": {"torch": 2}}

    def same(digests: Sequence[str]) -> bool:
        return all(len({some[d][name] for d in digests if name in some[d]}) == 1 for d in digests for name in some[d])

    assert kinds_of(["a", "b", None, math.nan, "d"], same) == dict.fromkeys("abd", "a")
    assert kinds_of(["a", "b", "c"], same) == {"a": "a", "b": "a", "c": "c"}
    assert kinds_of([None], same) == {}


def test_directions_are_declared_or_plain_words(tmp_path: Path) -> None:
    what = shaped(tmp_path, "DONE", **{"val_loss.best": 0.0, "reach": 1.0})
    assert written(tmp_path, what)["directions"] == {"val_loss": "min", "val_loss.best": "min"}
    data = written(tmp_path, what, minimize=("latency*",), maximize=("reach",))
    assert data["directions"] == {"latency_ms": "min", "reach": "max", "val_loss": "min", "val_loss.best": "min"}


@pytest.mark.parametrize(
    ("statuses", "ago", "expected"),
    [
        (("DONE", "RUNNING"), 9999, True),
        (("DONE", "PENDING"), 9999, True),
        (("DONE", "DEAD", "PRUNED", "BLOCKED", "UNKNOWN"), 1, False),
        (("DONE", "NOT_STARTED"), 1, True),
        (("DONE", "NOT_STARTED"), 9999, False),
        (("NOT_STARTED",), None, False),
    ],
)
def test_a_page_loads_itself_again_as_long_as_something_goes_on(
    tmp_path: Path, statuses: tuple[str, ...], ago: float | None, expected: bool
) -> None:
    what = shaped(tmp_path, *statuses, updated=None if ago is None else time.time() - ago)
    assert (written(tmp_path, what)["refresh"] > 0) is expected
