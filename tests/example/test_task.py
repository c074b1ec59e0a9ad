"""The example task: the same numbers for a seed whatever interrupts it, clear words when a file is bad."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import heyhi
from heyhi.experiment.metrics_file import counting_lines
from heyhi.experiment.records import Start

ROOT = Path(__file__).parents[2]
TRAIN = "conf/c02_sup_train/sl.prototxt"
EVAL = "conf/c03_eval/eval.prototxt"
Result = dict[str, Any]
Run = Callable[..., Result]

# Trains in forked children, each killed one step later, before or after a file operation, and another goes on
# from there; until one lives to its end. In a process of its own, as pytest's forks would copy its threads.
KILL_EVERYWHERE = """
import json, os, signal, sys
from pathlib import Path

import sklearn.datasets
import threadpoolctl
import heyhi
import run
from heyhi.experiment.metric_log import logging_to

base = Path(sys.argv[1])
cfg = heyhi.load_root_config(sys.argv[2], sys.argv[3:]).task


def train(folder, last):
    metrics = folder / "metrics.jsonl"
    starts = [*json.loads((folder / "starts").read_text() or "[]"), metrics.stat().st_size if metrics.exists() else 0]
    (folder / "starts").write_text(json.dumps(starts))
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seen = 0

    def note():
        nonlocal seen
        seen += 1
        if last == 2 * seen - 1:
            kill()
        if last == 2 * seen:
            sys.setprofile(kill)  # called when the operation returns

    def count(event, args):
        if event in ("open", "os.rename") and str(args[0]).startswith("checkpoint"):
            note()

    def kill(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    write = os.write

    def noted_write(handle, data):
        note()
        return write(handle, data)

    os.chdir(folder)
    os.write = noted_write  # by which metrics are
    sys.addaudithook(count)
    with logging_to(metrics, attempt=len(starts)):
        result = run.main("train", cfg, "ERROR")
    Path("result.json").write_text(json.dumps(result))
    os._exit(0)


for last in range(1, 100):
    folder = base / f"killed_{last:02}"
    folder.mkdir()
    (folder / "starts").touch()
    if train(folder, last) == 0:
        folder.rename(base / "whole")
        break
    assert train(folder, 0) == 0
"""


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The task file as a module."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, "run", raising=False)  # another project's
    import run

    return run


@pytest.fixture
def run_in(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a config in a folder, as the runner does."""

    def run_in(folder: Path, cfg: str, *overrides: str) -> Result:
        monkeypatch.chdir(ROOT)
        root = heyhi.load_root_config(cfg, list(overrides))
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        result: Result = task.main(root.which_task, root.task, "WARNING")
        return result

    return run_in


def metrics(folder: Path, starts: Sequence[Start] = ()) -> list[Result]:
    """Return the metrics that count; of several attempts, the last line of each epoch."""
    lines = counting_lines(folder / "metrics.jsonl", starts, damaged=lambda line: pytest.fail(f"line {line}"))
    return [{key: value for key, value in line.items() if key not in ("time", "attempt", "total")} for line in lines]


def test_a_seed_decides_the_numbers(run_in: Run, tmp_path: Path) -> None:
    first = run_in(tmp_path / "a", TRAIN, "epochs=2", "seed=1")
    again = run_in(tmp_path / "b", TRAIN, "epochs=2", "seed=1")
    other = run_in(tmp_path / "c", TRAIN, "epochs=2", "seed=2")
    assert first == again != other
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")


def test_each_epoch_writes_a_line_and_the_result_is_the_last(run_in: Run, tmp_path: Path) -> None:
    result = run_in(tmp_path, TRAIN, "epochs=3", "batch_size=100")
    lines = metrics(tmp_path)
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 12), (2, 24), (3, 36)]
    assert result == {**lines[-1], "best_val_accuracy": max(line["val_accuracy"] for line in lines)}


@pytest.mark.parametrize(
    "overrides",
    [
        ("sgd.momentum=0.5", "weight_decay=0.001"),
        ("adam.beta1=0.8", "lr=0.01"),
        ("activation=TANH", "hidden_sizes.-1=32"),
        ("hidden_sizes=NULL",),
        ("sgd=NULL", "lr=0.1"),
    ],
    ids=" ".join,
)
def test_it_learns_with_each_setting(run_in: Run, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    assert run_in(tmp_path, TRAIN, "epochs=5", *overrides)["val_accuracy"] > 0.9


@pytest.mark.parametrize("activation", ["RELU", "TANH"])
def test_gradients_agree_with_differences(task: ModuleType, activation: str) -> None:
    rng = np.random.default_rng(0)
    model = task.Model([5, 4, 4, 3], activation, rng)
    for name in model.params:  # a bias of zero lies on the kink of RELU
        model.params[name] = rng.standard_normal(model.params[name].shape)
    images, labels = rng.standard_normal((6, 5)), rng.integers(0, 3, 6)

    def mean_loss() -> float:
        loss, _ = task.measure(model, (images, labels))
        return float(loss)

    _, grads = model.gradients(images, labels)
    for name, param in model.params.items():
        for at in np.ndindex(param.shape):
            kept = param[at]
            param[at] = kept + 1e-6
            above = mean_loss()
            param[at] = kept - 1e-6
            slope = (above - mean_loss()) / 2e-6
            param[at] = kept
            assert grads[name][at] == pytest.approx(slope, abs=1e-7), (name, at)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_killed_anywhere_and_resumed_equals_never_killed(tmp_path: Path, optimizer: str) -> None:
    subprocess.run(
        [sys.executable, "-c", KILL_EVERYWHERE, str(tmp_path), TRAIN, "epochs=2", f"{optimizer}=SELECT"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        check=True,
    )
    whole = tmp_path / "whole"
    killed = sorted(tmp_path.glob("killed_*"))
    assert len(killed) >= 12, "an epoch has three file operations or more"
    for folder in killed:
        sizes = json.loads((folder / "starts").read_text())
        starts = [Start(attempt, metrics_size=size) for attempt, size in enumerate(sizes, 1)]
        assert metrics(folder, starts) == metrics(whole), folder
        assert (folder / "result.json").read_text() == (whole / "result.json").read_text(), folder


def test_half_written_line_is_written_again(run_in: Run, tmp_path: Path) -> None:
    whole = run_in(tmp_path / "whole", TRAIN, "epochs=4")
    run_in(tmp_path / "cut", TRAIN, "epochs=2")
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "train_lo')
        size = file.tell()
    assert run_in(tmp_path / "cut", TRAIN, "epochs=4") == whole
    assert metrics(tmp_path / "cut", [Start(1), Start(2, metrics_size=size)]) == metrics(tmp_path / "whole")


def test_finished_training_trains_no_more(run_in: Run, tmp_path: Path) -> None:
    first = run_in(tmp_path, TRAIN, "epochs=2")
    kept = (tmp_path / "checkpoint.npz").stat()
    assert run_in(tmp_path, TRAIN, "epochs=2") == first
    assert (tmp_path / "checkpoint.npz").stat().st_ino == kept.st_ino


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-100], lambda data: b"x" + data[1:]])
def test_damaged_checkpoint_is_named(run_in: Run, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    run_in(tmp_path, TRAIN, "epochs=1")
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    for cfg, override in ((TRAIN, "epochs=2"), (EVAL, f"checkpoint={tmp_path}")):
        with pytest.raises(RuntimeError, match="damaged") as error:
            run_in(tmp_path, cfg, override)
        assert str(checkpoint) in str(error.value)


def test_checkpoint_of_another_network_is_refused(run_in: Run, tmp_path: Path) -> None:
    run_in(tmp_path, TRAIN, "epochs=1")
    with pytest.raises(RuntimeError, match="another model or optimizer"):
        run_in(tmp_path, TRAIN, "epochs=2", "hidden_sizes.0=32")


def test_a_training_goes_on_without_its_earlier_metrics(run_in: Run, tmp_path: Path) -> None:
    whole = run_in(tmp_path / "whole", TRAIN, "epochs=3")
    run_in(tmp_path / "cut", TRAIN, "epochs=2")
    (tmp_path / "cut" / "metrics.jsonl").unlink()
    assert run_in(tmp_path / "cut", TRAIN, "epochs=3") == whole


@pytest.mark.parametrize("override", ["epochs=0", "batch_size=0", "val_fraction=0", "val_fraction=1"])
def test_senseless_setting_is_named(run_in: Run, tmp_path: Path, override: str) -> None:
    with pytest.raises(ValueError, match=override.split("=")[0]):
        run_in(tmp_path, TRAIN, override)


def test_no_training_sees_a_test_image(task: ModuleType) -> None:
    parts = [task.load_data(val_fraction, seed) for val_fraction, seed in ((0.2, 0), (0.5, 7))]
    for train, val, test in parts:
        assert len(train[1]) + len(val[1]) + len(test[1]) == 1797
        assert np.array_equal(test[0], parts[0][2][0])
    assert len(parts[1][1][1]) > len(parts[0][1][1])


def test_evaluation_measures_another_experiment(run_in: Run, tmp_path: Path) -> None:
    run_in(tmp_path / "train", TRAIN, "epochs=5", "activation=TANH")
    checkpoint = f"checkpoint={tmp_path / 'train'}"
    clean = run_in(tmp_path / "eval", EVAL, checkpoint)
    noisy = run_in(tmp_path / "eval", EVAL, checkpoint, "noise=0.5")
    assert clean["trained_epochs"] == 5
    assert clean["test_accuracy"] > 0.9 > noisy["test_accuracy"]
    assert run_in(tmp_path / "eval", EVAL, checkpoint, "noise=0.5") == noisy
    assert run_in(tmp_path / "eval", EVAL, checkpoint, "noise=0.5", "seed=1") != noisy
    assert not list((tmp_path / "eval").iterdir())


def test_evaluation_without_a_training_says_so(run_in: Run, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no epoch of that training is done"):
        run_in(tmp_path, EVAL, f"checkpoint={tmp_path}")
    with pytest.raises(ValueError, match="checkpoint is not set"):
        run_in(tmp_path, EVAL, "checkpoint=NULL")


def test_task_file_is_light_to_import() -> None:
    code = "import run, sys; print({'numpy', 'sklearn', 'pandas'} & sys.modules.keys() or 'light')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"


@pytest.mark.slow
def test_search_starts_what_is_missing_and_then_only_sums_up(tmp_path: Path) -> None:
    def call(*args: str) -> list[str]:
        env = {**os.environ, "HH_EXP_DIR": str(tmp_path)}
        done = subprocess.run(args, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.splitlines()

    module = "conf.c02_sup_train.rs_yolo_01_example"
    first = call(sys.executable, "-m", module)
    targets = call(str(Path(sys.executable).with_name("heyhi")), "expand", f"{module.replace('.', '/')}.py")
    written = {target: Path(target).stat().st_mtime_ns for target in targets}
    assert len(written) == 8, "people and Snakemake get the same exp paths"
    second = call(sys.executable, "-m", module)
    assert {target: Path(target).stat().st_mtime_ns for target in targets} == written
    assert second == first
    status, best, table = second[-3:]
    assert status == "8 DONE"
    assert best.startswith("best so far: 0.9")
    assert Path(table.removeprefix("table: ")).read_text().count("\n") == 9
