"""A small project of which a board is made, whose experiments a test steers, file by file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heyhi.config.schema import load_schema
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.records import End, Start
from heyhi.project import Project, find_project
from heyhi.report.gather import gather
from heyhi.report.page_data import page_of
from heyhi.report.page_payload import payload_of
from heyhi.report.shape import Shape
from heyhi.report.source import Source
from heyhi.report.titles import title_of
from heyhi.serve.board import Board
from heyhi.sweep.expand import expand
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.write_manifest import write_manifest

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 1; } }
message Work { double lr = 1; int32 seed = 2; string of = 3; }
"""
MAIN = "def main(**_):\n    return {}\n"
LONG_AGO = 1_600_000_000
NOT_OF_A_REPORT = {"made", "live", "server", "version", "keys", "notices", "phase", "tab"}
CURVED = ("curves", "arrays", "x", "common", "details")


class Sweep:
    """A sweep in a project of its own, and the folders of its experiments."""

    def __init__(self, root: Path, seeds: Sequence[int] = range(6)) -> None:
        (root / "conf").mkdir(parents=True, exist_ok=True)
        (root / "conf/conf.proto").write_text(PROTO)
        (root / "conf/work.prototxt").write_text("work { lr: 0.5 }\n")
        (root / "run.py").write_text(MAIN)
        self.project: Project = find_project(root)
        self.schema = load_schema(self.project)
        self.experiments: list[Experiment] = []
        self.folders: list[ExperimentDir] = []
        self.manifests: list[Path] = []
        self.add(seeds)

    def add(self, seeds: Sequence[int], *more: str) -> Path:
        """Expand some more experiments."""
        points = [("conf/work.prototxt", [*more, f"seed={seed}"]) for seed in seeds]
        return self.add_points(points)

    def add_points(self, points: Sequence[tuple[str, list[str]]]) -> Path:
        expansion = expand(self.project, self.schema, points, label=f"many{len(self.manifests)}")
        self.experiments += expansion.experiments
        self.folders += [ExperimentDir(e.exp_path, self.project.results_root) for e in expansion.experiments]
        self.manifests.append(write_manifest(expansion, self.project, self.schema))
        return self.manifests[-1]

    def sources(self) -> list[Source]:
        return [Source.of(Manifest.open(path), self.project) for path in self.manifests]

    def board(self) -> Board:
        return Board(self.project, self.sources)

    # --- what happens to an experiment

    def start(self, number: int, attempt: int = 1, **values: Any) -> ExperimentDir:
        folder = self.folders[number]
        folder.prepare(self.experiments[number], self.schema)
        size = folder.metrics_path.stat().st_size if folder.metrics_path.exists() else 0
        folder.append_attempt(Start(attempt, pid=12, host="h", metrics_size=size, **values))
        return folder

    def log(self, number: int, *lines: dict[str, Any]) -> None:
        with self.folders[number].metrics_path.open("a") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)

    def end(self, number: int, attempt: int = 1, **values: Any) -> None:
        defaults = {"exit_code": 1, "exception": "ValueError: boom", "seconds": 2.5}
        self.folders[number].append_attempt(End(attempt, "failed", **(defaults | values)))

    def finish(self, number: int, result: dict[str, Any] | None = None) -> None:
        self.folders[number].append_attempt(End(1, "", exit_code=0, seconds=2.5))
        self.folders[number].write_result(result or {})

    def age(self) -> None:
        """Have all that was written be written long ago: what was written just now is read again."""
        for folder, _, names in os.walk(self.project.results_root / "p"):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                os.utime(path, (LONG_AGO, LONG_AGO))

    def reported(self) -> dict[str, Any]:
        """Return what the page of `heyhi report` has of the same experiments."""
        sources = self.sources()
        shaped = Shape().apply(gather(sources))
        whole = payload_of(page_of(shaped, self.project, title_of([one.manifest for one in sources])), Path())
        return {name: value for name, value in whole.items() if name not in {*CURVED, *NOT_OF_A_REPORT}}


def looked(board: Board) -> dict[str, Any]:
    """Look until all is read, and return the whole table."""
    deadline = time.monotonic() + 60
    board.look()
    while board.is_unfinished and time.monotonic() < deadline:
        board.look()
    assert not board.is_unfinished
    return whole(board)


def whole(board: Board) -> dict[str, Any]:
    return json.loads(board.data_json())


def shown(board: Board) -> dict[str, Any]:
    """Return of a whole table what a report has, too."""
    found = whole(board)
    runs = found["runs"]
    live = [place for place, column in enumerate(runs["columns"]) if column["name"] == "progress"]
    for some in (runs["columns"], *runs["rows"]):
        for place in live:
            del some[place]
    return {name: value for name, value in found.items() if name not in NOT_OF_A_REPORT}


def cells(data: dict[str, Any], place: int) -> dict[str, Any]:
    names = [column["name"] for column in data["runs"]["columns"]]
    return dict(zip(names, data["runs"]["rows"][place], strict=True))


def merged(old: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """Do what the page does with an answer."""
    if "ids" in news and "runs" in news:
        return news
    new = json.loads(json.dumps(old))
    for place, row in news["rows"].items():
        new["runs"]["rows"][int(place)] = row
    for place, counts in news["counts"].items():
        new["counts"][int(place)] = counts
    return new | {name: value for name, value in news.items() if name not in ("rows", "counts")}
