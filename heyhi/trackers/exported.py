"""Giving trackers afterwards what an experiment has logged: all that counts of it. To do so again doubles nothing."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from heyhi.files import writing
from heyhi.trackers.event_files import EVENT_FILES
from heyhi.trackers.opening import open_tracker
from heyhi.trackers.tracked_run import RunEnd, TrackedRun, Tracker

EXPORTS_NAME = "exports"  # folder in a results root


def export_run(
    name: str,
    run: TrackedRun,
    lines: Iterable[list[dict[str, Any]]],
    end: RunEnd,
    result: Mapping[str, Any],
    folder: Path | None,
) -> None:
    """Give a tracker all of one experiment.

    Args:
        name: of the tracker.
        run: the experiment.
        lines: of its metrics, some at a time.
        end: how it is.
        result: what came out.
        folder: where the tracker's files go, see `folder_of`; None: where the tracker says.

    Raises:
        ExtraError, TrackerError: the tracker's library is missing.
        ResultError: the metrics can't be read.
        Exception: whatever the library raises.
    """
    if name != "tensorboard":
        if folder is not None:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        _give(open_tracker(name, run, folder, is_whole=True), lines, end, result)
        return
    place = (folder or run.exp_path) / run.exp_id.strip("/")
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=place) as temp:
        _give(open_tracker(name, run, Path(temp), is_whole=True), lines, end, result)
        with writing(place):
            for old in place.glob(EVENT_FILES):
                old.unlink()
            for new in Path(temp).iterdir():
                shutil.move(new, place / new.name)


def folder_of(name: str, results_root: Path, to: Path | None) -> Path | None:
    """Return where a tracker's files go.

    Args:
        name: of the tracker.
        results_root: of the experiments.
        to: what was asked for.

    Returns:
        None for where the tracker says, as MLflow does where its user has named a store.
    """
    if to is not None or name == "mlflow":
        return to
    return results_root / EXPORTS_NAME / (name if name == "tensorboard" else "")


def _give(tracker: Tracker, lines: Iterable[list[dict[str, Any]]], end: RunEnd, result: Mapping[str, Any]) -> None:
    try:
        for some in lines:
            tracker.write([*some])
    except BaseException:
        with contextlib.suppress(Exception):  # or its run would be alive for ever
            tracker.close(end, {})
        raise
    tracker.close(end, result)
