"""The curves of many experiments: what is remembered of them, and when it is forgotten."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.project import Project
from heyhi.report import kept_curves
from heyhi.report.kept_curves import KeptCurves, buckets_of
from heyhi.report.page_curves import CurveSet, curves_of

LONG_AGO = 1_000_000_000
START = '{"event": "start", "attempt": 1}\n'
SMALL = [{"step": s, "loss": 1 / (1 + s)} for s in range(3)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, results_override=tmp_path / "results")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the lines of which curves are made."""
    counts: list[int] = []

    def counting(blocks: Any, buckets: int) -> list[CurveSet]:
        lines = [line for block in blocks for line in block]
        counts.append(len(lines))
        return curves_of([lines], buckets)

    monkeypatch.setattr(kept_curves, "curves_of", counting)
    return counts


def write(project: Project, name: str, lines: list[dict[str, Any]], attempts: str = START, when: int = LONG_AGO) -> str:
    folder = project.results_root / name
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"metrics.jsonl": "".join(f"{json.dumps(line)}\n" for line in lines), "attempts.jsonl": attempts}
    for file, text in texts.items():
        (folder / file).write_text(text)
        os.utime(folder / file, (when, when))
    return str(folder)


def read(project: Project, *folders: str, buckets: int = 400) -> list[list[CurveSet]]:
    return KeptCurves(project, buckets).read(folders)


def test_metrics_that_are_unchanged_are_read_once(project: Project, made: list[int]) -> None:
    folders = [write(project, "p/a", SMALL), write(project, "p/b", SMALL[:2]), str(project.results_root / "p/none")]
    first = read(project, *folders)
    assert first == [curves_of([SMALL]), curves_of([SMALL[:2]]), []]
    assert read(project, *folders) == first
    assert made == [3, 2, 0]
    write(project, "p/b", SMALL[:1])
    assert read(project, *folders) == [first[0], curves_of([SMALL[:1]]), []]
    assert read(project, *folders) == [first[0], curves_of([SMALL[:1]]), []]
    assert made == [3, 2, 0, 1]


def test_another_start_on_record_forgets_and_so_does_another_fineness(project: Project, made: list[int]) -> None:
    folder = write(project, "p/a", SMALL)
    read(project, folder), read(project, folder, buckets=64)
    write(project, "p/a", SMALL, attempts=START + START)
    read(project, folder), read(project, folder)
    assert len(made) == 3


def test_what_was_written_just_now_is_read_again(project: Project, made: list[int]) -> None:
    folder = write(project, "p/a", SMALL, when=2**33)
    read(project, folder), read(project, folder)
    assert len(made) == 2


def test_what_a_later_attempt_logged_again_is_drawn_once(project: Project) -> None:
    lines = [{"step": s, "loss": float(s)} for s in range(8)]
    written = sum(len(json.dumps(line)) + 1 for line in lines)
    starts = [{"event": "start", "attempt": 1}, {"event": "start", "attempt": 2, "metrics_size": written}]
    attempts = "".join(f"{json.dumps(start)}\n" for start in starts)
    again = [{"step": s, "loss": 10.0 + s} for s in range(4, 10)]
    folder = write(project, "p/a", lines + again, attempts)
    assert read(project, folder) == [curves_of([lines[:4] + again])]


HARMS: dict[str, Callable[[Path], object]] = {
    "removed": lambda file: file.unlink(),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "a bit": lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "read-only place": lambda file: (shutil.rmtree(file.parent), file.parent.write_text("")),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_remembered_can_be_lost_at_any_moment(project: Project, harm: str) -> None:
    folder = write(project, "p/a", SMALL)
    first = read(project, folder)
    (file,) = (project.state_root / "readings").iterdir()
    HARMS[harm](file)
    assert read(project, folder) == first


def test_metrics_that_cannot_be_read_leave_the_others_and_are_not_remembered(project: Project) -> None:
    folders = [write(project, "p/a", SMALL), write(project, "p/b", SMALL)]
    harmed = Path(folders[1], "metrics.jsonl")
    harmed.unlink()
    harmed.mkdir()
    os.utime(harmed, (LONG_AGO, LONG_AGO))
    assert read(project, *folders) == [curves_of([SMALL]), []]
    harmed.rmdir()
    write(project, "p/b", SMALL)
    assert read(project, *folders) == [curves_of([SMALL])] * 2


def test_numbers_that_json_lacks_and_odd_names_are_remembered(project: Project, made: list[int]) -> None:
    lines = [{"step": 2**60 + s, "ä\ud800": float("nan"), "b": float("-inf")} for s in range(3)]
    folder = write(project, "p/a", lines)
    assert read(project, folder) == read(project, folder) == [curves_of([lines])]
    assert len(made) == 1


def test_many_experiments_are_drawn_more_coarsely() -> None:
    assert buckets_of(0) == buckets_of(20) > buckets_of(500) >= buckets_of(5000) >= 64
