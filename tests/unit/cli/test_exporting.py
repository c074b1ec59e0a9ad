"""`heyhi export`: metrics that there are, for trackers; to export again doubles nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import heyhi
from heyhi import maybe_launch
from heyhi.experiment.folder import ExperimentDir
from heyhi.extras import install_line

from .works import PROTO

if TYPE_CHECKING:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(make_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return make_project(PROTO)


def work(*, cfg: Any, **_: object) -> dict[str, float]:
    for step in range(3):
        heyhi.log(loss=cfg.seed + step, step=step)
    if cfg.seed == 2:
        raise ValueError("boom")
    return {"score": cfg.seed}


@pytest.fixture
def ids(run: Run) -> list[str]:
    """Run the first and the last of a sweep, of which that dies, and return their exp ids."""
    assert run("expand")[0] == 0
    return [maybe_launch(work, cfg="conf/work.prototxt", overrides=[f"seed={seed}"]).exp_id for seed in (0, 2)]


def events_of(folder: Path) -> EventAccumulator:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_event_files_have_what_counts_once_however_often_they_are_exported(run: Run, ids: list[str]) -> None:
    folder = ExperimentDir(Path("results", ids[1]).absolute())
    with folder.metrics_path.open("a") as file:  # a later attempt, which goes on from a checkpoint at 2
        start = json.loads(folder.attempts_path.read_text().splitlines()[0])
        start |= {"attempt": 2, "metrics_size": folder.metrics_path.stat().st_size}
        file.write('{"step": 2, "loss": 40}\n{"step": 3, "loss": 50}\n')
    with folder.attempts_path.open("a") as file:
        file.write(json.dumps(start) + "\n")
    said = "2 experiments exported to results/exports/tensorboard; 1 had logged nothing: tensorboard --logdir"
    for _ in range(2):
        code, out, err = run("export", "tensorboard")
        assert (code, err) == (0, "") and out == f"{said} results/exports/tensorboard\n"
        found = [Path("results/exports/tensorboard", exp_id) for exp_id in ids]
        assert [len([*place.iterdir()]) for place in found] == [1, 1]
        events = [events_of(place) for place in found]
        assert [(one.step, one.value) for one in events[0].Scalars("loss")] == [(0, 0), (1, 1), (2, 2)]
        assert [(one.step, one.value) for one in events[1].Scalars("loss")] == [(0, 2), (1, 3), (2, 40), (3, 50)]
        assert "result/score" in events[0].Tags()["scalars"] and "result/score" not in events[1].Tags()["scalars"]


def test_words_conditions_and_a_folder_say_what_goes_where(run: Run, ids: list[str]) -> None:
    code, out, _ = run("export", "tensorboard", "conf/many.py", "--where", "status=DONE", "--to", "runs here")
    assert code == 0 and out == "1 experiment exported to runs here: tensorboard --logdir 'runs here'\n"
    assert [path.parent.relative_to("runs here").as_posix() for path in Path("runs here").rglob("events*")] == ids[:1]
    assert run("export", "--to", "other", "tensorboard", ids[1])[1].startswith("1 experiment exported to other")
    assert run("export", "tensorboard", "--where", "seed=9")[1].startswith("none of 3 experiments meets")


def test_a_run_of_mlflow_has_what_counts_once_however_often_it_is_exported(run: Run, ids: list[str]) -> None:
    from heyhi.trackers.mlflow_run import _client

    for _ in range(2):
        assert run("export", "mlflow")[1] == "2 experiments exported; 1 had logged nothing\n"
        client = _client(f"file:{Path('results/mlruns').absolute()}")
        (experiment,) = [one for one in client.search_experiments() if one.name != "Default"]
        assert experiment.name == "many"
        runs = client.search_runs([experiment.experiment_id])
        assert sorted((one.data.tags["heyhi.exp_id"], one.info.status) for one in runs) == sorted(
            [(ids[0], "FINISHED"), (ids[1], "FAILED")]
        )
        for one in runs:
            assert sorted(metric.step for metric in client.get_metric_history(one.info.run_id, "loss")) == [0, 1, 2]


def test_a_run_of_wandb_is_kept_here_once(run: Run, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    for _ in range(2):
        code, out, _ = run("export", "wandb", ids[0])
        assert (code, out) == (0, "1 experiment exported to results/exports\n")
        assert len([*Path("results/exports/wandb").glob("offline-run-*")]) == 1


def test_what_can_not_be_read_is_left_out_and_said(run: Run, ids: list[str]) -> None:
    Path("results", ids[0], "result.json").write_text("{")
    code, out, err = run("export", "tensorboard")
    assert code == 1 and out.startswith("1 experiment exported to results/exports/tensorboard; 1 had logged nothing")
    assert err.startswith(f"left out: {ids[0]}: ") and "is no JSON" in err


def test_a_missing_library_ends_it_with_what_installs_it(run: Run, ids: list[str]) -> None:
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "tensorboardX"}
    sys.modules["tensorboardX"] = None  # type: ignore[assignment]
    try:
        code, out, err = run("export", "tensorboard")
    finally:
        del sys.modules["tensorboardX"]
        sys.modules.update(before)
    assert (code, out) == (2, "")
    assert err == f"error: TensorBoard needs tensorboardX, which isn't installed here: {install_line('tensorboard')}\n"
