"""An experiment with metrics, as trackers are told of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from heyhi.trackers.tracked_run import TrackedRun

MakeRun = Callable[..., TrackedRun]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return what makes a run of the experiment of a number, with lines that earlier attempts have written."""

    def make(number: int = 0, *, attempt: int = 1, earlier: int = 0, sweep: str = "lrs") -> TrackedRun:
        root = tmp_path / "results"
        exp_id = f"p/fit/lr=0.{number}_0123456789abcdef"
        folder = root / exp_id
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps({"loss": at}) + "\n" for at in range(earlier))
        (folder / "metrics.jsonl").write_text(text)
        config = {"lr": 0.5, "sizes": [64, 32], "optimizer": "sgd", "note": "x" * 9000, "odd key(1)": True}
        return TrackedRun(exp_id, folder, root, "digits", sweep, attempt, "2026-01-01T10:00:00Z", len(text), config)

    return make
