"""The same experiments in MLflow's SQLite store, and what it takes there to see what is new.

The store is made by MLflow. Its rows are written in bulk, as `log_batch`, `log_param` and `set_tag` leave them, which
would take a quarter of an hour: the parameters are the overrides, the metrics those of metrics.jsonl, and there are the
tags of every run. What changes is logged by MLflow's client.

Asked is by the client in the process of the store, without a server and JSON between them, as the least that it takes:
`search_runs` of all, a page of as many as it gives, and `get_metric_history` of each metric of what has changed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.timing import CommandFailed, Cost, say

_PAGE = 50_000  # runs: the most that MLflow answers at once
_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'metrics' AND sql IS NOT NULL"
_ENV = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}


class InMlflow:
    """Fill a store.

    Args:
        database: its file.
        folders: of the experiments.
        metrics: that their lines have.
    """

    def __init__(self, database: Path, folders: Sequence[Path], metrics: Sequence[str]) -> None:
        self._database, self._metrics = database, metrics
        self._runs = {folder: f"{place:032x}" for place, folder in enumerate(folders)}
        say(f"  writing {len(folders):,} runs into MLflow's store")
        self._call("make", {})
        _fill(database, self._runs, metrics)

    def refresh(self, lines: Mapping[Path, Mapping[str, float]]) -> Cost:
        """Log a line of each of some experiments, and return what it takes to see all anew."""
        found = self._call("refresh", {self._runs[folder]: dict(line) for folder, line in lines.items()})
        count, points, cpu, wall = found
        if count != len(self._runs) or points < len(lines) * len(self._metrics):
            raise CommandFailed(f"MLflow found {count} runs and {points} points")
        return Cost(cpu, wall)

    def _call(self, what: str, lines: Mapping[str, Mapping[str, float]]) -> Any:
        command = [sys.executable, __file__, what, str(self._database), json.dumps(self._metrics)]
        folder = Path(__file__).parents[1]
        env = {**os.environ, **_ENV, "PYTHONPATH": str(folder)}
        done = subprocess.run(
            command, input=json.dumps(lines), capture_output=True, text=True, check=False, cwd=folder, env=env
        )
        if done.returncode:
            raise CommandFailed(done.stderr[-2000:])
        return json.loads(done.stdout or "null")


def _fill(database: Path, runs: Mapping[Path, str], metrics: Sequence[str]) -> None:
    read = {run: _lines(folder) for folder, run in runs.items()}
    moment = int(time.time() * 1000)

    def points() -> Iterator[tuple[object, ...]]:
        for name in metrics:  # in the order of the table's key, which is filled fastest so
            for place in range(max(map(len, read.values()))):
                for run, lines in read.items():
                    if place < len(lines):
                        yield name, lines[place][name], moment + place, run, lines[place]["step"], False

    with sqlite3.connect(database) as store:
        store.execute("PRAGMA synchronous = OFF")
        store.execute("PRAGMA cache_size = -200000")
        indexes = store.execute(_INDEXES).fetchall()  # are made faster when all is there
        for name, _ in indexes:
            store.execute(f"DROP INDEX {name}")
        store.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) VALUES"
            " (?, ?, 'UNKNOWN', '', '', 'me', 'RUNNING', ?, NULL, '', 'active', ?, 0)",
            ((run, folder.name, moment, f"{database.parent}/0/{run}/artifacts") for folder, run in runs.items()),
        )
        store.executemany(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", points()
        )
        for _, made in indexes:
            store.execute(made)
        store.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?)",
            (
                (name, lines[-1][name], moment + len(lines) - 1, lines[-1]["step"], False, run)
                for run, lines in read.items()
                for name in metrics
            ),
        )
        store.executemany(
            "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
            ((key, value, run) for folder, run in runs.items() for key, value in _overrides(folder)),
        )
        store.executemany(
            "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
            (
                (key, value, run)
                for folder, run in runs.items()
                for key, value in (
                    ("mlflow.runName", folder.name),
                    ("mlflow.user", "me"),
                    ("mlflow.source.name", "run.py"),
                    ("mlflow.source.type", "LOCAL"),
                    ("mlflow.source.git.commit", "c" * 40),
                )
            ),
        )
        store.execute("ANALYZE")  # without it SQLite looks for a run's history at all points of the metric
    store.close()


def _lines(folder: Path) -> list[dict[str, float]]:
    return [orjson.loads(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]


def _overrides(folder: Path) -> list[list[str]]:
    name = folder.name.rpartition("_")[0]
    return [text.split("=") for text in name.split(",")]


# --- what is measured: this file is run as a script for it -----------------------------------------------------------


def _refresh(database: str, metrics: Sequence[str], lines: Mapping[str, Mapping[str, float]]) -> list[float]:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(f"sqlite:///{database}")
    moment = int(time.time() * 1000)
    for run, line in lines.items():
        step = int(line["step"])
        client.log_batch(run, [Metric(name, line[name], moment, step) for name in metrics])
    client.search_runs(["0"], max_results=1)  # what is only imported when something is asked
    client.get_metric_history(next(iter(lines)), metrics[0])
    cpu, wall = time.process_time(), time.perf_counter()
    found: list[object] = []
    token = None
    while token is None or token:
        page = client.search_runs(["0"], max_results=_PAGE, page_token=token)
        found += page
        token = page.token or ""
    points = sum(len(client.get_metric_history(run, name)) for run in lines for name in metrics)
    return [len(found), points, time.process_time() - cpu, time.perf_counter() - wall]


def _make(database: str) -> None:
    from mlflow import MlflowClient

    MlflowClient(f"sqlite:///{database}").search_experiments()  # makes the default one, too


if __name__ == "__main__":
    _what, _database, _metrics = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if _what == "make":
        _make(_database)
    else:
        print(json.dumps(_refresh(_database, _metrics, json.load(sys.stdin))))
