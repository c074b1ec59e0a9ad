"""The learning curves of many experiments: made of their metrics, and remembered as long as these stay as they are."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.metrics_file import counting_blocks
from heyhi.experiment.names import ATTEMPTS_NAME, METRICS_NAME
from heyhi.experiment.records import Start
from heyhi.project import Project
from heyhi.report.columns import ColumnCache
from heyhi.report.decimation import BUCKETS
from heyhi.report.kept_readings import SETTLED_SECONDS, UNKNOWN, Stamp
from heyhi.report.page_arrays import Arrays
from heyhi.report.page_curves import CurveSet, curves_of

_FORMAT = 2
_FILES = (METRICS_NAME, ATTEMPTS_NAME)
_ABSENT = (0, 0, 0)
_STAMPS, _SETS, _ARRAYS = "stamps", "sets", "arrays"
_ALL_BUCKETS = 128_000  # of a curve of each experiment of a page: a browser opens some 15 MB in 2 s
_COARSEST = 64


def buckets_of(experiments: int) -> int:
    """Return into how many buckets a curve is parted on a page of some experiments, so that a browser opens it."""
    return max(_COARSEST, min(BUCKETS, _ALL_BUCKETS // max(experiments, 1)))


class KeptCurves:
    """Make the curves of the experiments of a page.

    Args:
        project: where they are.
        buckets: how many even ones a curve is parted into.
    """

    def __init__(self, project: Project, buckets: int) -> None:
        self._buckets = buckets
        self._cache = ColumnCache(project.state_root / "readings")

    def read(self, folders: Sequence[str]) -> list[list[CurveSet]]:
        """Return the curves of each experiment; those of metrics that can't be read are left out.

        Args:
            folders: their exp paths.
        """
        name = self._name(folders)
        stamps, runs = restored_curves(self._cache.load(name), len(folders))
        is_news = False
        for place, folder in enumerate(folders):
            stamp = stamp_of(folder)
            if stamp != UNKNOWN and stamp == stamps[place]:
                continue
            try:
                runs[place] = self._made(folder)
            except HeyhiError:  # said where the table was made
                runs[place], stamp = [], UNKNOWN
            stamps[place] = stamp
            is_news = is_news or stamp != UNKNOWN
        if is_news:
            self._cache.store(name, columns_of_curves(stamps, runs))
        return runs

    def _name(self, folders: Sequence[str]) -> str:
        """Name what is kept: one file for all experiments of a page, since many small ones are slow to read."""
        text = "\0".join([str(_FORMAT), str(self._buckets), *folders])
        return f"curves-{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:32]}"

    def _made(self, folder: str) -> list[CurveSet]:
        """Make the curves of an experiment.

        Raises:
            HeyhiError: its metrics can't be read.
        """
        starts: list[Start] = []
        with contextlib.suppress(HeyhiError):
            starts = [record for record in ExperimentDir(Path(folder)).attempts() if isinstance(record, Start)]
        blocks = counting_blocks(Path(folder, METRICS_NAME), starts)
        return curves_of((block.lines for block in blocks), self._buckets)


def stamp_of(folder: str) -> Stamp:
    """Return what changes when the metrics of an experiment do; `UNKNOWN` where they may change unseen."""
    stamp: list[int] = []
    settled = (time.time() - SETTLED_SECONDS) * 1e9
    for name in _FILES:
        try:
            found = os.stat(f"{folder}/{name}")  # noqa: PTH116 (thousands of them: no object each)
        except FileNotFoundError:
            stamp += _ABSENT
            continue
        except OSError:
            return UNKNOWN
        if found.st_mtime_ns > settled:
            return UNKNOWN
        stamp += [found.st_mtime_ns, found.st_size, found.st_ino]
    return tuple(stamp)


def columns_of_curves(stamps: Sequence[Stamp], runs: Sequence[Sequence[CurveSet]]) -> dict[str, list[Any]]:
    """Return everything as columns, to be kept on disk; each array once."""
    arrays = Arrays()
    sets = [
        [[{name: arrays.add(text) for name, text in part.items()} for part in one] for one in run if stamp != UNKNOWN]
        for stamp, run in zip(stamps, runs, strict=True)
    ]
    return {_STAMPS: [list(stamp) for stamp in stamps], _SETS: sets, _ARRAYS: arrays.packed}


def restored_curves(columns: dict[str, list[Any]], count: int) -> tuple[list[Stamp], list[list[CurveSet]]]:
    """Restore what `columns_of_curves` returned; nothing of no experiment where there is nothing."""
    if not columns:
        return [UNKNOWN] * count, [[] for _ in range(count)]
    arrays = columns[_ARRAYS]
    sets = [
        [CurveSet(*[{name: arrays[number] for name, number in part.items()} for part in one]) for one in run]
        for run in columns[_SETS]
    ]
    return [tuple(stamp) for stamp in columns[_STAMPS]], sets
