"""What a server sees of jobs on a real cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
        told: list[str] = []
        until(lambda: told.append(row(2)["reason"]) or row(2)["status"] == "RUNNING")
        assert not any("requeued" in reason for reason in told)
        job = lab.job(1)
        assert f"job {job} " in row(1)["reason"]
        cluster.run("scontrol", "release", job)
        until(lambda: row(1)["status"] == "RUNNING")
        lab.allow("step1")
        until(lambda: row(1).get("step") == 1)
        cluster.run("scontrol", "requeuehold", job)
        until(lambda: row(1)["status"] == "PENDING" and "requeued once" in row(1)["reason"])
        cluster.run("scontrol", "release", job)
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


def test_squeue_is_called_once_a_look_by_a_server_and_once_by_a_report(
    lab: Any, cluster: Any, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    calls.write_text("")
    programs = tmp_path / "bin"
    programs.mkdir()
    real = shutil.which("squeue")
    (programs / "squeue").write_text(f'#!/bin/sh\necho >> {calls}\nexec {real} "$@"\n')
    (programs / "squeue").chmod(0o755)
    project = find_project(lab.root)
    points = [{"x": x, "do": "wait"} for x in (1, 2)]
    lab.sweep(*points)
    with (lab.root / "conf/sweep.py").open("a") as sweep:
        sweep.write("\ndef get_logs_data(handle):\n    return handle.result() if handle.is_done() else {}\n")
    lab.start("--keep-going")
    until(lambda: len(lab.ledger) == 2)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    lab.env["PATH"] = os.environ["PATH"]
    before = len(calls.read_text().splitlines())
    done = lab.heyhi("report", "conf/sweep.py")
    assert done.returncode == 0, done.stderr
    assert len(calls.read_text().splitlines()) <= before + 2, "one of the report, one of the controller's meanwhile"
    board = Board(project, lambda: [Source.open(project, lab.root / "conf/sweep.py")])
    try:
        board.look()
        until(lambda: board.look() or "RUNNING" in board.data_json().decode())
        before = len(calls.read_text().splitlines())
        for _ in range(8):
            board.look()
        assert len(calls.read_text().splitlines()) <= before + 3
    finally:
        board.end()
        lab.allow("go")


def test_a_controller_of_slurm_that_hangs_is_told_soon_and_that_it_answers_at_once(
    lab: Any, cluster: Any, until: Until
) -> None:
    project = find_project(lab.root)

    def sources() -> list[Source]:
        folders = Part.of_index(project).folders
        return Source.of_experiments(project, folders, lambda some: None)  # type: ignore[arg-type, return-value]

    board = Board(project, sources)

    def notices() -> str:
        board.look()
        time.sleep(0.1)
        return "\n".join(json.loads(board.data_json()).get("notices", []))

    assert lab.run("x=1", "do=wait").returncode == 0
    until(lambda: lab.ledger == [1])
    try:
        until(lambda: board.look() or "RUNNING" in board.data_json().decode())
        assert "Slurm" not in notices()
        pid = cluster.pid("slurmctld")
        os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        try:
            until(lambda: "Slurm doesn't answer" in notices())
            assert time.monotonic() - begin < 15
            assert '"RUNNING"' in board.data_json().decode()
            lab.allow("go")
        finally:
            os.kill(pid, signal.SIGCONT)
        begin = time.monotonic()
        until(lambda: "Slurm doesn't answer" not in notices())
        until(lambda: board.look() or '"DONE"' in board.data_json().decode())
        assert time.monotonic() - begin < 15
    finally:
        board.end()
