"""What is shown where nothing is named: all that is known, by the sweeps that launched it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from heyhi.report.known_sources import by_number, known_sources
from heyhi.report.source import Source
from heyhi.serve import board as board_module
from heyhi.serve import shown_sources
from heyhi.serve.board import Board
from heyhi.sweep.expand import expand
from heyhi.sweep.known import LaunchRecord, note_known, write_launch
from heyhi.sweep.write_manifest import write_manifest
from tests.unit.serve.boards import Sweep, cells, looked

COLLECTOR = """
def yield_sweep():
    yield "conf/work.prototxt", {}


def get_logs_data(handle):
    return {"own": 1}
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setattr(board_module, "_QUIET_SECONDS", 0.0)
    monkeypatch.setattr(shown_sources, "_PART", 0)
    monkeypatch.chdir(tmp_path)
    return Sweep(tmp_path, [99])  # which is expanded, and not launched


def launch(sweep: Sweep, points: Sequence[str], label: str, time: str, *, alone: bool = False, file: str = "") -> None:
    """Launch a sweep, or its experiments by themselves, as retry does."""
    expansion = expand(
        sweep.project,
        sweep.schema,
        [("conf/work.prototxt", point.split()) for point in points],
        label=label,
        sweep=file or None,
    )
    manifest = write_manifest(expansion, sweep.project, sweep.schema)
    record = LaunchRecord.now("heyhi launch", [], label, manifest=manifest.name)
    if alone:
        known = note_known(sweep.project, {one.exp_id: [] for one in expansion.experiments})
        record = record._replace(manifest="", known=known.path.name)
    write_launch(sweep.project, record._replace(time=f"2026-01-{time}T00:00:00.000000+00:00"))


def sources(sweep: Sweep) -> list[Source]:
    return known_sources(sweep.project, lambda some: pytest.fail("composed"))


def shown(sweep: Sweep) -> list[tuple[str, Any]]:
    """Return the sweep and the seed of each row."""
    data = looked(Board(sweep.project, lambda: sources(sweep), is_of_all=True))
    rows = [cells(data, place) for place in range(len(data["ids"]))]
    return [(row.get("sweep", "only"), row["seed"]) for row in rows]


def test_what_is_launched_again_by_itself_stays_in_its_sweep_and_in_its_place(sweep: Sweep) -> None:
    launch(sweep, [f"seed={seed}" for seed in range(12)], "first", "01")
    launch(sweep, ["lr=7 seed=3", "lr=7 seed=1"], "second", "02")
    expected = [("second", 3), ("second", 1), *(("first", seed) for seed in range(12))]
    assert shown(sweep) == expected
    launch(sweep, ["seed=1"], "alone-1", "03", alone=True)
    launch(sweep, ["seed=5"], "alone-5", "04")  # as `heyhi run --cfg` has it
    launch(sweep, ["seed=3", "seed=2"], "part", "05")
    assert shown(sweep) == expected


def test_a_sweep_that_is_launched_again_comes_first_with_what_it_has_by_now(sweep: Sweep) -> None:
    launch(sweep, ["seed=0", "seed=1"], "grows", "01")
    launch(sweep, ["lr=7 seed=0"], "other", "02")
    launch(sweep, ["seed=2", "seed=0"], "grows", "03")
    assert shown(sweep) == [("grows", 2), ("grows", 0), ("grows", 1), ("other", 0)]


def test_of_two_sweeps_that_overlap_the_first_keeps_what_both_have(sweep: Sweep) -> None:
    launch(sweep, ["seed=0", "seed=1", "seed=2"], "one", "01")
    launch(sweep, ["seed=2", "seed=3", "seed=4"], "two", "02")
    launch(sweep, ["seed=0", "seed=1", "seed=2"], "one-otherwise", "03")
    assert shown(sweep) == [("two", 3), ("two", 4), ("one", 0), ("one", 1), ("one", 2)]


def test_what_was_only_launched_by_itself_is_in_the_order_of_its_numbers(sweep: Sweep) -> None:
    launch(sweep, [f"seed={seed}" for seed in (10, 9, 2)], "alone", "01", alone=True)
    launch(sweep, ["seed=10"], "again", "04", alone=True)
    assert [seed for _, seed in shown(sweep)] in ([10, 2, 9], [2, 9, 10])
    assert sorted(["seed=10,lr=0.1", "seed=9,lr=0.1", "seed=9,lr=0.02"], key=by_number) == [
        "seed=9,lr=0.02", "seed=9,lr=0.1", "seed=10,lr=0.1",
    ]  # fmt: skip


def test_a_retry_changes_no_column(sweep: Sweep) -> None:
    (sweep.project.root / "conf/many.py").write_text(COLLECTOR)
    launch(sweep, ["lr=7 seed=0", "lr=7 seed=1"], "many", "01", file="conf/many.py")
    launch(sweep, ["seed=3"], "other", "02")

    def columns() -> list[str]:
        data = looked(Board(sweep.project, lambda: sources(sweep)))
        return [column["name"] for column in data["runs"]["columns"]]

    before = columns()
    launch(sweep, ["lr=7 seed=1"], "alone", "03", alone=True)
    assert columns() == before
    assert [source.manifest.sweep for source in sources(sweep)] == [None, "conf/many.py"]


def test_all_that_is_known_has_a_title_of_its_own(sweep: Sweep) -> None:
    launch(sweep, ["seed=0"], "one", "01")
    launch(sweep, ["seed=1"], "two", "02")
    data = looked(Board(sweep.project, lambda: sources(sweep), is_of_all=True))
    name = sweep.project.root.name
    assert (data["title"], data["tab"]) == (f"All known experiments of {name}", name)
    assert looked(Board(sweep.project, lambda: sources(sweep)[:1]))["tab"] == "two"


def test_a_metric_of_one_sweep_and_what_get_logs_data_returns_in_another_are_one_column(sweep: Sweep) -> None:
    (sweep.project.root / "conf/many.py").write_text(COLLECTOR.replace('"own": 1', '"val": {"accuracy": 0.75}'))
    launch(sweep, ["seed=1"], "logs", "02")
    launch(sweep, ["seed=2"], "returns", "01", file="conf/many.py")
    sweep.add_points([("conf/work.prototxt", ["seed=1"]), ("conf/work.prototxt", ["seed=2"])])
    for number in (-2, -1):
        sweep.start(number)
    sweep.log(-2, {"step": 1, "val": {"accuracy": 0.5}})
    sweep.finish(-2, {"val": {"accuracy": 0.5}})
    data = looked(Board(sweep.project, lambda: sources(sweep)))
    names = [column["name"] for column in data["runs"]["columns"] if "accuracy" in column["name"]]
    assert names == ["val.accuracy", "val.accuracy.best"]
    assert [cells(data, place)["val.accuracy"] for place in range(2)] == [0.5, 0.75]
