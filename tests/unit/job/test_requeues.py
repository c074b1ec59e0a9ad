"""Whether a job that was queued again gets on, by what is on record and by its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.config.compose import Composer
from heyhi.config.schema import Schema, load_schema
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.metric_log import logging_to
from heyhi.experiment.records import REQUEUE, End, Start, Submission
from heyhi.job.ending import Ending
from heyhi.job.requeues import asked_by, fruitless, weigh, written_by_task
from heyhi.project import Project, Settings

ASKS = Ending("requeue", 75, "stopped to be queued again")


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    return ExperimentDir(tmp_path)


def attempts(folder: ExperimentDir, *written: int | None, job: str = "7", first: int = 1) -> None:
    """Put on record starts in a job, each ended by its wish to be queued again, but the last."""
    for number, files in enumerate(written, first):
        folder.append_attempt(Start(number, job_id=job, restart_count=number - first))
        if files is not None:
            folder.append_attempt(End(number, REQUEUE, 75, files=files))


def test_attempts_that_wrote_nothing_new_are_counted_back_to_one_that_did(folder: ExperimentDir) -> None:
    attempts(folder, 1, 2, 5, 5, 5, None)
    assert fruitless(folder.history(), 5) == 3
    assert fruitless(folder.history(), 6) == 0


def test_another_job_or_another_end_begins_the_count_anew(folder: ExperimentDir) -> None:
    attempts(folder, 5, 5)
    attempts(folder, 5, None, job="8", first=3)
    assert fruitless(folder.history(), 5) == 1
    folder.append_attempt(End(4, "terminated", 143))
    attempts(folder, None, job="8", first=5)
    assert fruitless(folder.history(), 5) == 0


def test_new_content_is_progress_and_what_heyhi_writes_is_none(folder: ExperimentDir) -> None:
    (folder.path / "deep").mkdir()
    checkpoint = folder.path / "deep" / "model.pt"
    checkpoint.write_bytes(b"12")
    before = written_by_task(folder)
    folder.append_attempt(Start(1, job_id="7"))
    for name in (
        "log.txt",
        "log.1.txt",
        "launch.log",
        "claim.json",
        "claim.a1.json",
        "job.json",
        ".ranks.0a1b",
        ".used.json",
    ):
        (folder.path / name).write_text("new")
    checkpoint.write_bytes(b"12")  # the same again: the callback writes it each time
    os.utime(checkpoint, (1, 1))
    (folder.path / "metrics.jsonl").touch()
    assert written_by_task(folder) == before
    (folder.path / "metrics.jsonl").write_text("{}")
    logged = written_by_task(folder)
    checkpoint.write_bytes(b"13")
    assert len({before, logged, written_by_task(folder)}) == 3


def test_what_heyhi_log_says_again_is_no_progress_and_a_further_step_or_epoch_is(folder: ExperimentDir) -> None:
    def logs(attempt: int, epoch: int, *steps: int) -> int:
        size = folder.metrics_path.stat().st_size if folder.metrics_path.exists() else 0
        folder.append_attempt(Start(attempt, job_id="7", metrics_size=size))
        with logging_to(folder.metrics_path, attempt=attempt):
            for step in steps:
                heyhi.log(epoch=epoch, loss=1, step=step)
        return written_by_task(folder)

    first = logs(1, 1, *range(300))
    assert first == logs(2, 1, *range(300)) == logs(3, 1, *range(290))
    further = logs(4, 1, *range(250, 301))
    assert further not in (first, logs(5, 2, *range(10)))


def test_a_large_file_goes_by_its_time(folder: ExperimentDir) -> None:
    path = folder.path / "model.pt"
    with path.open("wb") as file:
        file.truncate(1 << 25)
    before = written_by_task(folder)
    assert written_by_task(folder) == before
    os.utime(path, (1, 1))
    assert written_by_task(folder) != before


def test_what_cannot_be_looked_at_ends_no_run(folder: ExperimentDir) -> None:
    (folder.path / "gone").symlink_to("nowhere")
    os.mkfifo(folder.path / "pipe")
    (folder.path / "loop").symlink_to(".")
    assert written_by_task(folder) == written_by_task(folder) != 0


@pytest.mark.parametrize(
    ("most", "count", "text"),
    [(3, 3, "requeued 3 times without progress"), (1, 1, "requeued without progress"), (3, 2, ""), (0, 9, "")],
)
def test_a_run_that_never_gets_on_has_failed(folder: ExperimentDir, most: int, count: int, text: str) -> None:
    project = Project(Path(__file__).resolve().parents[3], Settings())
    schema: Schema = load_schema(project)
    words = ["I.launcher=slurm", f"launcher.slurm.max_requeues={most}"]
    composed: Any = Composer(project, schema).compose("c02_sup_train/sl", words)
    config = composed.message.SerializeToString()
    experiment = Experiment("p/x", folder.path, composed.identity, "train", config)
    attempts(folder, *[written_by_task(folder)] * count, None)
    ending = weigh(ASKS, folder, experiment, schema)
    assert (ending.reason, ending.exception) == (("failed", text) if text else ("requeue", ASKS.exception))
    assert bool(ending.files) is not bool(text)


def test_what_a_job_asked_for_is_known_from_its_own_note(folder: ExperimentDir) -> None:
    assert asked_by(folder, "7") == {}
    folder.write_submission(Submission("7", asked={"hours": 1}))
    assert asked_by(folder, "7") == {"hours": 1}
    assert asked_by(folder, "8") == asked_by(folder, None) == {}
