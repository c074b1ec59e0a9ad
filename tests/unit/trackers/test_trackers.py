"""What the real libraries have of a run, read back by themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from heyhi.errors import HeyhiError, TrackerError
from heyhi.extras import install_line
from heyhi.trackers.catching_up import CatchingUp
from heyhi.trackers.event_files import EventFiles
from heyhi.trackers.mlflow_run import MlflowRun
from heyhi.trackers.opening import open_tracker
from heyhi.trackers.tracked_run import RunEnd
from heyhi.trackers.wandb_run import WandbRun

if TYPE_CHECKING:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from .conftest import MakeRun


def lines(first: int, last: int, *, scale: float = 1.0) -> list[dict[str, Any]]:
    """Return lines of the steps from the first to the last one, a second apart."""
    return [
        {"step": at, "loss": scale * at, "val": {"accuracy": at / 10}, "time": 1000.0 + at, "attempt": 1}
        for at in range(first, last + 1)
    ]


# --- TensorBoard


def read_events(folder: Path) -> EventAccumulator:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def test_tensorboard_has_metrics_steps_times_and_the_config(make_run: MakeRun) -> None:
    run = make_run()
    tracker = EventFiles(run)
    tracker.write(lines(3, 5))
    tracker.close(RunEnd.DONE, {"accuracy": 0.75, "name": "x"})
    events = read_events(run.exp_path / "tensorboard")
    assert set(events.Tags()["scalars"]) == {"loss", "val/accuracy", "result/accuracy"}
    found = [(event.wall_time, event.step, event.value) for event in events.Scalars("loss")]
    assert found == [(1003.0, 3, 3.0), (1004.0, 4, 4.0), (1005.0, 5, 5.0)]
    assert [(event.step, event.value) for event in events.Scalars("result/accuracy")] == [(5, 0.75)]
    (text,) = events.Tensors("config/text_summary")
    assert b'lr = 0.5\n    sizes = [64, 32]\n    optimizer = "sgd"' in text.tensor_proto.string_val[0]
    assert "hparams" in str(events.summary_metadata["_hparams_/session_start_info"].plugin_data.plugin_name)


def test_in_tensorboard_a_resumed_run_has_each_step_once(make_run: MakeRun) -> None:
    run = make_run()
    first = EventFiles(run)
    first.write(lines(0, 9))  # and is killed; it goes on from a checkpoint at 6
    second = EventFiles(make_run(attempt=2, earlier=10))  # lines that have no counter: the last one is at 9
    second.write(lines(6, 7, scale=2))
    second.write(lines(8, 12, scale=2))
    second.close(RunEnd.DONE, {})
    found = [(event.step, event.value) for event in read_events(run.exp_path / "tensorboard").Scalars("loss")]
    assert found == [(at, float(at if at < 6 else 2 * at)) for at in range(13)]


# --- Weights & Biases


def read_wandb(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """Read what wandb has kept of a run that isn't online: what is said of it, its history, its summary."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("*.wandb")
    data, at, whole = path.read_bytes(), 7, b""
    run: dict[str, Any] = {}
    over: dict[str, str] = {}
    history: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    while at + 7 < len(data):  # records in blocks of 32 KB, as LevelDB's log has them
        size, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        if kind == 0 or 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        if at + 7 + size > len(data):
            break
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (2, 3):
            continue
        record = Record.FromString(whole)
        whole = b""
        if record.HasField("run"):
            config = {one.key: json.loads(one.value_json) for one in record.run.config.update}
            its = record.run
            run = {"id": its.run_id, "name": its.display_name, "group": its.run_group, "project": its.project}
            run |= {"notes": its.notes, "lr": config.get("lr"), "sizes": config.get("sizes")}
        if record.HasField("metric"):
            over[record.metric.name] = record.metric.step_metric
        if record.HasField("history"):
            items = {".".join([one.key, *one.nested_key]).strip("."): one for one in record.history.item}
            history.append({key: json.loads(one.value_json) for key, one in items.items()})
        for one in record.summary.update:
            summary[".".join([one.key, *one.nested_key]).strip(".")] = json.loads(one.value_json)
        if record.HasField("exit"):
            summary["exit"] = record.exit.exit_code
    return run | ({"over": over} if over else {}), history, summary


def test_wandb_has_one_run_of_all_attempts(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    for attempt, part, end in ((1, lines(0, 3), RunEnd.AGAIN), (2, lines(2, 5), RunEnd.DONE)):
        run, folder = make_run(attempt=attempt), tmp_path / str(attempt)
        folder.mkdir()
        tracker = WandbRun(run, folder)
        tracker.write([*part, {"epoch": 1, "test": 1.0}])
        tracker.close(end, {"accuracy": 0.5})
        (kept,) = (folder / "wandb").glob(f"offline-run-*-{run.run_id}")
        until = time.monotonic() + 60
        while "exit" not in (found := read_wandb(kept))[2] and time.monotonic() < until:
            time.sleep(0.01)  # wandb's own process writes it
        said, history, summary = found
        assert said.pop("over") == {"loss": "step", "val/accuracy": "step", "test": "epoch"}
        assert said == {
            "id": run.run_id, "name": "lr=0.0", "group": "lrs", "project": "digits", "notes": run.exp_id,
            "lr": 0.5, "sizes": [64, 32],
        }  # fmt: skip
        steps = [(one["step"], one["loss"], one["val/accuracy"]) for one in history if "loss" in one]
        assert steps == [(one["step"], one["loss"], one["val"]["accuracy"]) for one in part]
        assert [one["test"] for one in history if "test" in one] == [1.0]
        assert (summary["result/accuracy"], summary["exit"]) == (0.5, int(end is not RunEnd.DONE))


@pytest.mark.parametrize("is_whole", [False, True])
def test_wandb_has_lines_of_several_counters_and_of_none_each_at_its_own(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_whole: bool
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logged: list[dict[str, Any]] = [{"params": 1}, {"gpus": 2}, {"x": 3}]
    logged += [{"loss": at, "step": at} for at in range(6)]
    logged += [{"val": {"loss": at}, "epoch": at} for at in range(5)]
    logged += [{"acc": at, "step": at} for at in range(5)]
    logged += [{"big": 1, "step": 10**20}, {"final": 1, "step": 6}, {"odd*": 1, "step": 7}]
    run = make_run(attempt=2, earlier=7)
    tracker = WandbRun(run, tmp_path, is_whole=is_whole)
    tracker.write(logged)
    tracker.close(RunEnd.DONE, {})
    (kept,) = (tmp_path / "wandb").glob(f"offline-run-*-{run.run_id}")
    until = time.monotonic() + 60
    while "exit" not in (found := read_wandb(kept))[2] and time.monotonic() < until:
        time.sleep(0.01)  # wandb's own process writes it
    flat = [{"val/loss" if k == "val" else k: at if k == "val" else v for k, v in one.items()}
            for one in logged for at in [one.get("epoch")]]  # fmt: skip
    history = [{k: v for k, v in one.items() if not k.startswith("_")} for one in found[1]]
    assert history == flat
    begin = 0 if is_whole else 7  # lines of the attempt before
    assert [one["_step"] for one in found[1]] == list(range(begin, begin + len(logged)))
    assert (found[0]["over"]["loss"], found[0]["over"]["val/loss"], found[0]["over"]["acc"]) == (
        "step",
        "epoch",
        "step",
    )


def test_in_wandb_what_a_killed_attempt_gave_nobody_comes_first(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = make_run(attempt=2, earlier=3)
    starts = [{"event": "start", "attempt": 1}, {"event": "start", "attempt": 2, "metrics_size": run.earlier_bytes}]
    (run.exp_path / "attempts.jsonl").write_text("".join(json.dumps(start) + "\n" for start in starts))
    own = [{"loss": 7, "time": 1.0, "attempt": 2}]
    with (run.exp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(own[0]) + "\n")
    for attempt, losses in ((2, [0, 1, 2, 7]), (3, [7])):
        tracker = CatchingUp("wandb", run._replace(attempt=attempt))
        tracker.write([*own])
        tracker.close(RunEnd.AGAIN, {})
        (kept,) = (run.exp_path / "wandb").glob(f"offline-run-*-{run.run_id}")
        until = time.monotonic() + 60
        while "exit" not in (found := read_wandb(kept))[2] and time.monotonic() < until:
            time.sleep(0.01)  # wandb's own process writes it
        assert [one["loss"] for one in found[1]] == losses
        assert [one["_step"] for one in found[1]] == list(range(4 - len(losses), 4))
        shutil.rmtree(kept)


def test_without_a_key_wandb_asks_nobody(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import wandb

    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(wandb, "setup", lambda: type("S", (), {"settings": type("T", (), {"mode": "online"})}))
    with pytest.raises(TrackerError, match="wandb has no API key: `wandb login`, or WANDB_MODE=offline"):
        WandbRun(make_run())


# --- MLflow


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has named no store."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)


def history(tracker: MlflowRun, name: str) -> list[tuple[int, float, int]]:
    found = tracker._client.get_metric_history(tracker._id, name)
    return sorted((metric.step, metric.value, metric.timestamp) for metric in found)


def test_mlflow_has_one_run_of_all_attempts_with_each_step_once(make_run: MakeRun, no_store: None) -> None:
    run = make_run()
    first = MlflowRun(run)
    first.write([*lines(0, 2), {"val.odd(name)": 1.0}])
    first.close(RunEnd.AGAIN, {})
    second = MlflowRun(make_run(attempt=2))
    assert second._id == first._id
    second.write(lines(2, 4, scale=2))
    second.close(RunEnd.DONE, {"accuracy": 0.5})
    assert history(second, "loss") == [
        (0, 0, 10**6),
        (1, 1, 1001000),
        (2, 2, 1002000),
        (3, 6, 1003000),
        (4, 8, 1004000),
    ]
    assert history(second, "val/odd_name_")
    found = second._client.get_run(second._id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "lr=0.0")
    assert found.data.tags["heyhi.exp_id"] == run.exp_id
    assert {key: value[:500] for key, value in found.data.params.items()} == {
        "lr": "0.5", "sizes": "[64, 32]", "optimizer": "sgd", "note": "x" * 500, "odd key_1_": "true",
    }  # fmt: skip
    assert found.data.metrics["result/accuracy"] == 0.5
    assert second._client.get_experiment(found.info.experiment_id).name == "lrs"
    assert second._uri == f"file:{run.results_root}/mlruns"
    assert "MLFLOW_ALLOW_FILE_STORE" not in os.environ


def test_mlflow_has_each_metric_whatever_its_name(make_run: MakeRun, no_store: None) -> None:
    tracker = MlflowRun(make_run())
    names = ["", "b//c", "d/", "f/../g", "h" * 249 + "/i", "fine"]
    tracker.write([{**dict.fromkeys(names, 1.0), "step": 1}])
    tracker.close(RunEnd.DONE, {"": 2})
    found = tracker._client.get_run(tracker._id)
    assert found.info.status == "FINISHED"
    assert {"_", "b/_/c", "d/_", "f/_/_/_/g", "h" * 249, "fine", "result/_"} == set(found.data.metrics)


@pytest.mark.parametrize("names", [("loss", "loss/train"), ("loss/train", "loss"), ("result", "a/b/c", "a/b", "a")])
def test_mlflow_has_a_metric_beside_another_below_its_name(
    make_run: MakeRun, no_store: None, names: tuple[str, ...]
) -> None:
    for attempt, some in enumerate((names, names[::-1]), 1):
        tracker = MlflowRun(make_run(attempt=attempt))
        for name in some:
            tracker.write([{name: float(len(name)), "step": attempt}])
        assert tracker._client.get_run(tracker._id).info.status == "RUNNING"
        tracker.close(RunEnd.AGAIN if attempt == 1 else RunEnd.DONE, {"accuracy": 0.5})
    found = tracker._client.get_run(tracker._id)
    assert found.info.status == "FINISHED"
    assert sorted(found.data.metrics.values()) == sorted([0.5, *(float(len(name)) for name in names)])
    for key in found.data.metrics.keys() - {"result/accuracy", "result.accuracy"}:
        assert [step for step, _, _ in history(tracker, key)] == [1, 2]


def test_names_that_mlflow_has_no_characters_for_stay_apart(make_run: MakeRun, no_store: None) -> None:
    run = make_run()
    run = run._replace(config={"a(1)": 1, "a[1]": 2, "m": 3, "m/x": 4})
    tracker = MlflowRun(run)
    tracker.write([{"b(1)": 1.0, "b[1]": 2.0}])
    found = tracker._client.get_run(tracker._id).data
    assert sorted(found.params.values()) == ["1", "2", "3", "4"]
    assert found.metrics == {"b_1_": 1.0, "b_1__": 2.0}


def test_a_run_of_mlflows_that_fails_is_ended(
    make_run: MakeRun, no_store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    made: list[str] = []

    def refuse(self: MlflowClient, run_id: str, *args: Any, **more: Any) -> None:
        made.append(run_id)
        raise OSError("no room")

    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    with pytest.raises(OSError, match="no room"):
        MlflowRun(make_run())
    client = MlflowClient(tracking_uri=f"file:{make_run().results_root}/mlruns")
    assert client.get_run(made[0]).info.status == "KILLED"


def test_mlflow_finds_a_run_by_its_tag(make_run: MakeRun, no_store: None, tmp_path: Path) -> None:
    first = MlflowRun(make_run(), tmp_path)
    (make_run().exp_path / ".heyhi.mlflow.json").unlink()
    other = MlflowRun(make_run(1), tmp_path)
    assert (
        MlflowRun(make_run(attempt=2), tmp_path)._id == MlflowRun(make_run(), tmp_path, is_whole=True)._id == first._id
    )
    assert other._id != first._id
    gone = make_run(1)
    other._client.delete_run(other._id)
    assert MlflowRun(gone, tmp_path, is_whole=True)._id not in (first._id, other._id)


# --- what all have


@pytest.mark.parametrize(
    ("name", "library", "install"),
    [
        ("tensorboard", "tensorboardX", f", which isn't installed here: {install_line('tensorboard')}"),
        ("wandb", "wandb", " isn't installed here: pip install wandb"),
        ("mlflow", "mlflow", " isn't installed here: pip install mlflow-skinny"),
    ],
)
def test_a_library_that_is_missing_is_named_with_what_installs_it(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, name: str, library: str, install: str
) -> None:
    for one in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, one, None)
    with pytest.raises(HeyhiError, match=re.escape(f"{library}{install}")):
        open_tracker(name, make_run())
