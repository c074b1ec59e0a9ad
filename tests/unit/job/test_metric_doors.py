"""What main logs goes where `[tool.heyhi] log_to` says, and nothing of that ends a run or keeps it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .test_logging import PROTO, lines_in

KEEPER = """
import json, os, pathlib, threading

def keep(line, info):
    pathlib.Path(info["exp_path"], "kept.txt").open("a").write(json.dumps([line, info]) + "\\n")

def fail(line, info):
    raise RuntimeError(f"nobody listens at {line['step']}")

def echo(line, info):
    import heyhi
    keep(line, info)
    heyhi.log(again=line["step"], step=line["step"])
    heyhi.progress(line["step"], 100)

def hang(line, info):
    threading.Event().wait()
"""
MAIN = """
def main(task, cfg, log_level):
    for step in range(3):
        heyhi.log({"loss": cfg.lr * step, "val": {"accuracy": step}}, step=step)
    return {"accuracy": 2}
"""


def settings(task_lab: Any, *log_to: str, **more: Any) -> None:
    (task_lab.root / "keeper.py").write_text(KEEPER)
    values = {"name": "digits", "log_to": list(log_to), **more}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    (task_lab.root / "pyproject.toml").write_text(f"[tool.heyhi]\n{text}")


def exp_id_of(task_lab: Any) -> str:
    return str(task_lab.folder().path.relative_to(task_lab.root / "results"))


def kept_in(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "kept.txt").read_text().splitlines()]


def test_a_function_of_the_project_gets_each_line_and_what_there_is_to_know(task_lab: Any) -> None:
    settings(task_lab, "keeper:keep")
    assert task_lab.run(MAIN)[0] == 0
    folder = task_lab.folder()
    kept = kept_in(folder.path)
    assert [line for line, _ in kept] == lines_in(folder.path)
    info = kept[0][1]
    assert info.pop("run_id").isalnum()
    assert info == {
        "exp_id": exp_id_of(task_lab), "exp_path": str(folder.path), "config": {"lr": 0.5}, "project": "digits",
        "sweep": "", "attempt": 1, "name": "lr=0.5",
    }  # fmt: skip


def test_event_files_lie_in_the_experiments_folder(task_lab: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings(task_lab, "tensorboard")
    code, _, err = task_lab.run(MAIN)
    assert (code, err) == (0, "")
    events = EventAccumulator(str(task_lab.folder().path / "tensorboard"))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("val/accuracy")] == [(0, 0), (1, 1), (2, 2)]
    assert [one.value for one in events.Scalars("result/accuracy")] == [2]


@pytest.mark.parametrize(
    ("log_to", "why"),
    [
        ("keeper:fail", "RuntimeError: nobody listens at 0"),
        ("kepeer:keep", "there is no module 'kepeer' in {root}"),
        ("keeper:keeep", "{root}/keeper.py has no function 'keeep'"),
        ("keeper:hang", "it had not taken all within 1 s after main"),
    ],
)
def test_what_fails_is_said_once_and_the_run_is_done(task_lab: Any, log_to: str, why: str) -> None:
    settings(task_lab, log_to, "keeper:keep", end_grace=1)
    code, _, err = task_lab.run(MAIN)
    assert (code, err) == (0, "")
    folder = task_lab.folder()
    assert folder.read_result() == {"accuracy": 2}
    said = [line for line in folder.log_path.read_text().splitlines() if "log_to" in line]
    assert len(said) == 1, said
    where = why.format(root=task_lab.root)
    assert said[0].endswith(f"log_to {log_to}: {where}; the run goes on without it"), said
    assert len(kept_in(folder.path)) == 3


def test_a_function_that_logs_is_not_told_of_that_and_it_is_said_once(task_lab: Any) -> None:
    settings(task_lab, "keeper:echo", "keeper:keep")
    assert task_lab.run(MAIN)[0] == 0
    folder = task_lab.folder()
    assert [line["step"] for line in lines_in(folder.path)] == [0, 1, 2]
    assert len(kept_in(folder.path)) == 6
    (said,) = [line for line in folder.log_path.read_text().splitlines() if "log_to" in line]
    assert "log_to keeper:echo calls heyhi.log itself: that is ignored" in said


@pytest.mark.parametrize("library", ["tensorboardX", "wandb", "mlflow"])
def test_a_missing_library_is_said_with_what_installs_it_and_what_does_it_later(task_lab: Any, library: str) -> None:
    name = library.removesuffix("X")
    settings(task_lab, name)
    assert task_lab.run(MAIN, wrapper=f"sys.modules[{library!r}] = None")[0] == 0
    log = task_lab.folder().log_path.read_text()
    assert re.search(rf"log_to {name}: .*{library}(, which)? isn't installed here: pip install ", log)
    assert log.count("log_to") == 1
    assert f"`heyhi export {name} {exp_id_of(task_lab)}` does it afterwards" in log


def test_a_run_that_is_killed_has_given_what_it_had_logged_and_goes_on(task_lab: Any) -> None:
    settings(task_lab, "keeper:keep")
    run = task_lab.start(
        """
def main(task, cfg, log_level):
    kept = pathlib.Path("kept.txt")
    again = kept.exists()
    heyhi.log(loss=1, step=1)
    while not (kept.exists() and kept.stat().st_size):  # a line is written at once, after the file is made
        time.sleep(0.01)
    if not again:
        meet("ready")
        time.sleep(600)
"""
    )
    task_lab.meet("ready")
    os.kill(run.pid, signal.SIGKILL)
    task_lab.end(run)
    assert task_lab.end(task_lab.open(run.args))[0] == 0
    (one, first), (other, second) = kept_in(task_lab.folder().path)
    assert (one["attempt"], first["attempt"], other["attempt"], second["attempt"]) == (1, 1, 2, 2)
    assert first["run_id"] == second["run_id"]


def read_events(folder: Path) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(one.step, one.value) for one in events.Scalars("loss")]


def read_mlflow(folder: Path) -> list[tuple[int, float]]:
    (file,) = (folder.parents[2] / "mlruns").glob("*/*/metrics/loss")
    return sorted((int(step), float(value)) for _, value, step in map(str.split, file.read_text().splitlines()))


@pytest.mark.parametrize(("name", "read"), [("tensorboard", read_events), ("mlflow", read_mlflow)])
def test_what_an_attempt_logged_that_was_killed_before_its_tracker_was_open_comes_first(
    task_lab: Any, monkeypatch: pytest.MonkeyPatch, name: str, read: Callable[[Path], list[tuple[int, float]]]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings(task_lab, name, end_grace=0)  # however long it takes
    run = task_lab.start(
        """
def main(task, cfg, log_level):
    first = not pathlib.Path("again").exists()
    pathlib.Path("again").touch()
    for step in range(4) if first else range(3, 6):
        heyhi.log(loss=step if first else 10 * step, step=step)
    if first:
        meet("ready")
        time.sleep(600)
    sys.exit(7)
""",
        """
if not list(__import__("pathlib").Path(sys.argv[1]).parent.glob("again")):
    import heyhi.trackers.opening, threading
    heyhi.trackers.opening.open_tracker = lambda *args, **more: threading.Event().wait()
""",
    )
    task_lab.meet("ready")
    os.kill(run.pid, signal.SIGKILL)
    task_lab.end(run)
    for _ in range(2):  # nothing comes twice
        assert "exit code 7" in task_lab.end(task_lab.open(run.args))[2]
        assert read(task_lab.folder().path) == [(0, 0), (1, 1), (2, 2), (3, 30), (4, 40), (5, 50)]


def test_of_several_ranks_the_first_one_has_the_doors(task_lab: Any) -> None:
    settings(task_lab, "keeper:keep", "keeper:hang", end_grace=1)
    (task_lab.root / "conf" / "conf.proto").write_text(PROTO)
    task_lab.write(
        """
def main(task, cfg, log_level):
    heyhi.log(loss=heyhi.get_job_env().rank, step=1)
    return {"accuracy": 1}

if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
    )
    words = ["run.py", "--cfg", "conf/job.prototxt", "launcher.local.tasks=2", "--out", "p/ranks"]
    code, _, err = task_lab.end(task_lab.open([sys.executable, *words]))
    assert code == 0, err
    folder = task_lab.root / "results" / "p" / "ranks"
    assert [(line["loss"], line["step"]) for line, _ in kept_in(folder)] == [(0, 1)]
    log = (folder / "log.txt").read_text()
    assert log.count("log_to keeper:hang: it had not taken all within 1 s after main") == 1
