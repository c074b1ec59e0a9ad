"""What a launch has held back, as a page shows it, a report, a status, and whoever looks after the next launch."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from heyhi.control.controller import ControllerSpec
from heyhi.control.held_back import why_held
from heyhi.control.survey import Survey
from heyhi.sweep.held_note import forget_held, hold
from heyhi.sweep.target import target_of
from tests.unit.serve.boards import Sweep, cells, looked, shown

WHY = "held back: canary p/work/seed=0 died: exit code 1: ValueError: boom"


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.chdir(tmp_path)
    return Sweep(tmp_path)


def launched(sweep: Sweep, name: str, *numbers: int, after: int = 0) -> Path:
    """Leave what a controller has written down: it ran the whole sweep, or some of its experiments."""
    manifests = () if numbers else tuple(sweep.project.relative(path) for path in sweep.manifests)
    targets = tuple(target_of(str(sweep.folders[one].path), sweep.project.root) for one in numbers)
    folder = sweep.project.state_root / "controllers" / name
    folder.mkdir(parents=True)
    note = folder / "controller.json"
    note.write_text(json.dumps(asdict(ControllerSpec(name, "profiles/local", manifests=manifests, targets=targets))))
    stamp = note.stat().st_mtime_ns + after * 10**9
    os.utime(note, ns=(stamp, stamp))
    return folder


def reasons(sweep: Sweep) -> list[str]:
    survey = Survey.of_folders(sweep.project, [str(one.path) for one in sweep.folders])
    return [row.reason for row in survey.rows]


def test_an_open_page_hears_of_it_and_of_its_end(sweep: Sweep) -> None:
    sweep.start(0)
    sweep.end(0)
    looked(board := sweep.board())
    folder = launched(sweep, "many0")
    hold(folder, WHY)
    found = looked(board)
    assert [cells(found, place)["reason"] for place in range(1, 6)] == [WHY] * 5
    assert cells(found, 0)["status"] == "DEAD"
    assert shown(board) == sweep.reported()
    assert reasons(sweep)[1:] == [WHY] * 5

    forget_held(folder)
    assert "held back" not in json.dumps(looked(board))
    assert reasons(sweep)[1:] == [""] * 5


def test_another_launch_that_is_begun_later_has_what_it_was_told_to_run_forgotten(sweep: Sweep) -> None:
    launched(sweep, "before", 1, after=-60)
    hold(launched(sweep, "many0"), WHY)
    launched(sweep, "after", 2, after=60)
    held = why_held(sweep.project)
    assert [held.get(str(one.path), "") for one in sweep.folders] == [WHY, WHY, "", WHY, WHY, WHY]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"why": 3}', '{"why": "a\\u001b[2Jb\\nc"}', "\xff"])
def test_a_damaged_file_of_it_stops_nothing(sweep: Sweep, text: str) -> None:
    hold(launched(sweep, "many0"), WHY)
    (file,) = (sweep.project.state_root / "held").iterdir()
    file.write_bytes(text.encode("latin-1"))
    assert all("\x1b" not in reason and "\n" not in reason for reason in reasons(sweep))
    (sweep.project.state_root / "controllers/many0/controller.json").write_bytes(b"\xff")
    assert set(reasons(sweep)) == {""}


def test_of_two_launches_that_share_some_only_the_newer_ones_reason_is_said(sweep: Sweep) -> None:
    hold(launched(sweep, "first"), WHY)
    newer = launched(sweep, "second", 1, 2)
    hold(newer, "held back: 0.02 of 0.01 GPU-hours used")
    assert WHY not in reasons(sweep)
    assert reasons(sweep).count("held back: 0.02 of 0.01 GPU-hours used") == 2
