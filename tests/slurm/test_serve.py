"""What a server sees of jobs on a real cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from heyhi.control.survey import Part
from heyhi.project import find_project
from heyhi.report.source import Source
from heyhi.serve.board import Board

Until = Callable[[Callable[[], object]], None]


def test_a_job_is_seen_to_wait_to_run_to_be_queued_again_to_end_and_to_be_cancelled(
    lab: Any, cluster: Any, until: Until
) -> None:
    project = find_project(lab.root)

    def sources() -> list[Source]:
        folders = Part.of_index(project).folders
        return Source.of_experiments(project, folders, lambda some: None)  # type: ignore[arg-type, return-value]

    board = Board(project, sources)

    def row(x: int) -> dict[str, Any]:
        board.look()
        data = json.loads(board.data_json())
        names = [column["name"] for column in data["runs"]["columns"]]
        rows = [dict(zip(names, cells, strict=True)) for cells in data["runs"]["rows"]]
        return next((row for row in rows if f"x={x}" in row["exp_id"]), {"status": "", "reason": ""})

    try:
        lab.sweep({"x": 1, "do": "train", "launcher.slurm.extra": "--hold"}, {"x": 2, "do": "wait"})
        controller = lab.start("--keep-going")
        until(lambda: row(1)["status"] == "PENDING" and "waits: JobHeldUser" in row(1)["reason"])
        until(lambda: row(2)["status"] == "RUNNING")
        job = lab.job(1)
        assert f"job {job} " in row(1)["reason"]
        cluster.run("scontrol", "release", job)
        until(lambda: row(1)["status"] == "RUNNING")
        lab.allow("step1")
        until(lambda: row(1).get("step") == 1)
        cluster.run("scontrol", "requeue", job)
        until(lambda: row(1)["status"] == "PENDING" and "requeued once" in row(1)["reason"])
        cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")
        lab.allow_steps(2, 3)
        until(lambda: row(1)["status"] == "DONE" and row(1).get("step") == 3)
        assert row(1)["attempts"] == 2
        lab.allow("go")
        until(lambda: row(2)["status"] == "DONE")
        assert lab.end(controller)[0] == 0
        lab.run("x=3", "do=train", "steps=9")
        until(lambda: row(3)["status"] == "RUNNING")
        cluster.run("scancel", lab.job(3))
        until(lambda: row(3)["status"] == "DEAD" and row(3)["reason"].startswith("CANCELLED (job"))
    finally:
        board.end()
