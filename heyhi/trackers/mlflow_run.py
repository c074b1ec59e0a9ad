"""Runs of MLflow."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from heyhi.files import parse_json, read_bounded, replace_file
from heyhi.trackers.points import Points, of_result
from heyhi.trackers.tracked_run import Line, RunEnd, TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

FOLDER_NAME = "mlruns"  # of the file store in a results root, where the user has named no other
RUN_TAG, EXP_ID_TAG = "heyhi.run", "heyhi.exp_id"
_T = TypeVar("_T")
_NOTE_NAME = ".heyhi.mlflow.json"  # in an experiment's folder: the id of its run, by the store
_ALLOW_FILES = "MLFLOW_ALLOW_FILE_STORE"
_EXPERIMENT = "heyhi"  # of what has neither sweep nor project
# What MLflow takes, of any version.
_MOST_METRICS, _MOST_PARAMS = 1000, 100
_MOST_NAME, _MOST_VALUE = 250, 500
_ODD = re.compile(r"[^\w./\- ]", re.ASCII)
_STATUSES = {
    RunEnd.DONE: "FINISHED",
    RunEnd.PRUNED: "FINISHED",
    RunEnd.FAILED: "FAILED",
    RunEnd.STOPPED: "KILLED",
    RunEnd.AGAIN: "SCHEDULED",
}


class MlflowRun:
    """The run of one experiment: all its attempts are one run, and a metric is logged once at a step.

    Args:
        run: what it is of.
        folder: in which a file store is made; default: the store that the user has named (MLFLOW_TRACKING_URI), else
            one in the results root.
        is_whole: all that counts will be given, not only what an attempt logs.
    """

    def __init__(self, run: TrackedRun, folder: Path | None = None, *, is_whole: bool = False) -> None:
        self._points = Points.of(run, is_whole=is_whole)
        self._last = 0
        self._uri = _uri(run, folder)
        self._client = _client(self._uri)
        found = self._find(run, is_whole=is_whole)
        # name -> steps; None: of a new run nothing is asked
        self._logged: dict[str, set[int]] | None = None if found is None else {}
        self._keys = _Keys(self._uri, found.data.metrics if found is not None else ())
        self._id = self._make(run) if found is None else str(found.info.run_id)
        if found is not None and not is_whole:
            self._client.update_run(self._id, status="RUNNING")

    def _find(self, run: TrackedRun, *, is_whole: bool) -> Run | None:
        """Return the experiment's run; None where there is none yet."""
        noted = _noted(run).get(self._uri, "")
        if noted and (one := self._noted_run(noted, run)) is not None:
            return one
        if run.attempt <= 1 and not is_whole:  # one's first: to search takes time that grows with the sweep
            return None
        experiments = [one.experiment_id for one in self._client.search_experiments()]
        found = self._client.search_runs(experiments, f"tags.`{RUN_TAG}` = '{run.run_id}'", max_results=1)
        return found[0] if found else None

    def _noted_run(self, run_id: str, run: TrackedRun) -> Run | None:
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        is_its = found.info.lifecycle_stage == "active" and found.data.tags.get(RUN_TAG) == run.run_id
        return found if is_its else None

    def _make(self, run: TrackedRun) -> str:
        tags = {RUN_TAG: run.run_id, EXP_ID_TAG: run.exp_id}
        tags |= {"heyhi.sweep": run.sweep} if run.sweep else {}
        made = self._client.create_run(self._experiment(run), tags=tags, run_name=run.name)
        run_id = str(made.info.run_id)
        try:
            self._log_config(run_id, run.config)
        except BaseException:
            with contextlib.suppress(Exception):  # or it would be alive for ever
                self._client.set_terminated(run_id, _STATUSES[RunEnd.STOPPED])
            raise
        with contextlib.suppress(Exception):  # to note it only saves a search
            replace_file(run.exp_path / _NOTE_NAME, json.dumps({**_noted(run), self._uri: run_id}))
        return run_id

    def _log_config(self, run_id: str, config: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        keys = _Keys(self._uri)
        params = [Param(keys.of(key), _text(value)[:_MOST_VALUE]) for key, value in config.items()]
        for some in _parts(params, _MOST_PARAMS):
            self._client.log_batch(run_id, params=some)

    def _experiment(self, run: TrackedRun) -> str:
        """Return the id of the MLflow experiment, which many jobs may make at once."""
        from mlflow.exceptions import MlflowException

        name = run.sweep or run.project or _EXPERIMENT
        with _locked(self._uri):
            found = self._client.get_experiment_by_name(name)
            if found is not None:
                return str(found.experiment_id)
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
                return str(found.experiment_id)

    def write(self, lines: list[Line]) -> None:
        """Log what lines have."""
        now = time.time()
        found: list[Metric] = []
        for values, step, seconds, _ in self._points.of_lines(lines):
            self._last = max(step, self._last)
            at = int(1000 * (now if seconds is None else seconds))
            found += self._new(values, at, step)
        self._log(found)

    def close(self, end: RunEnd, result: Mapping[str, Any]) -> None:
        """Log the numbers of the result, at the last step, and end the run."""
        try:
            self._log(self._new(of_result(result), int(1000 * time.time()), self._last))
        finally:
            self._client.set_terminated(self._id, _STATUSES[end])

    def _new(self, values: Mapping[str, float], at: int, step: int) -> list[Metric]:
        """Return those metrics that have no value at a step yet: MLflow would keep both."""
        from mlflow.entities import Metric

        found = []
        for name, value in values.items():
            key = self._keys.of(name)
            if self._logged is not None:
                if key not in self._logged:
                    self._logged[key] = {one.step for one in self._client.get_metric_history(self._id, key)}
                if step in self._logged[key]:
                    continue
            found.append(Metric(key, value, at, step))
        return found

    def _log(self, metrics: Sequence[Metric]) -> None:
        for some in _parts(metrics, _MOST_METRICS):
            self._client.log_batch(self._id, metrics=some)


class _Keys:
    """By which keys MLflow has some names: each by one of its own.

    In a store of files a key is a file, and what stands before a slash a folder: `loss` and `loss/train` can't both be.

    Args:
        uri: of the store.
        there: keys that are there.
    """

    def __init__(self, uri: str, there: Iterable[str] = ()) -> None:
        self._are_files = uri.startswith("file:") or "://" not in uri
        self._found: dict[str, str] = {}  # by name
        self._files, self._folders = set[str](), set[str]()
        for key in there:
            self._add(key)

    def of(self, name: str) -> str:
        """Return the key of a name: always the same."""
        if name not in self._found:
            key = _key(name)
            if self._are_files and key not in self._files:
                if key in self._folders:
                    key = f"{key}/_"
                elif not self._files.isdisjoint(_folders_of(key)):
                    key = key.replace("/", ".")
            while key in self._found.values():
                key += "_"
            self._found[name] = key
            self._add(key)
        return self._found[name]

    def _add(self, key: str) -> None:
        self._files.add(key)
        self._folders.update(_folders_of(key))


def _folders_of(key: str) -> list[str]:
    return [key[:at] for at, char in enumerate(key) if char == "/"]


def _parts(items: Sequence[_T], most: int) -> Iterator[Sequence[_T]]:
    for begin in range(0, len(items), most):
        yield items[begin : begin + most]


def _key(name: str) -> str:
    """Return a name as MLflow takes it: of few characters, and one path below its folder."""
    parts = _ODD.sub("_", name).split("/")
    key = "/".join("_" if part in ("", ".", "..") else part for part in parts)
    return key if len(key) <= _MOST_NAME else key[:_MOST_NAME].rstrip("./")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _uri(run: TrackedRun, folder: Path | None) -> str:
    """Return the address of the store."""
    import mlflow

    if folder is None and mlflow.tracking.is_tracking_uri_set():  # type: ignore[no-untyped-call]
        return str(mlflow.get_tracking_uri())
    return f"file:{(folder or run.results_root) / FOLDER_NAME}"


def _client(uri: str) -> MlflowClient:
    """Open a store; one of files has to be allowed, by a variable that is put back."""
    from mlflow import MlflowClient

    before = os.environ.get(_ALLOW_FILES)
    os.environ.setdefault(_ALLOW_FILES, "true")
    try:
        return MlflowClient(tracking_uri=uri)
    finally:
        if before is None:
            del os.environ[_ALLOW_FILES]


@contextlib.contextmanager
def _locked(uri: str) -> Iterator[None]:
    """Have a store of files to oneself: of two that make one experiment, each would have its own."""
    if not uri.startswith("file:/"):
        yield
        return
    folder = Path(uri.removeprefix("file:"))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".heyhi.lock").open("w") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _noted(run: TrackedRun) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        found = parse_json(read_bounded(run.exp_path / _NOTE_NAME))
        if isinstance(found, dict):
            return {str(uri): str(run_id) for uri, run_id in found.items()}
    return {}
