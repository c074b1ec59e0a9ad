"""A launch of several sweeps and experiments at once: one controller, each experiment once, each sweep's own table."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from heyhi.experiment.folder import ExperimentDir


def test_several_sweeps_are_one_launch_with_a_table_each(tiny: Any) -> None:
    (tiny.root / "conf/looks.py").write_text(
        'def yield_sweep():\n    yield "conf/look.prototxt", {"x": 5}\n\n\n'
        "def get_logs_data(handle):\n    return {'twice': 2 * handle.result()['y']} if handle.is_done() else {}\n"
    )
    (tiny.root / "fail-2").touch()

    def heyhi(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "heyhi.cli", *args],
            cwd=tiny.root, env=tiny.env, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    words = ["conf/sweep.py", "conf/looks.py", "--cfg", "work", "x=9"]
    run = heyhi("launch", "--foreground", "--profile", "local", *words)
    assert run.returncode == 1, run.stderr  # one is dead
    ledger = sorted(tiny.ledger)
    assert ledger == sorted(set(ledger)) and {"work 1", "work 3", "work 9", "look 5"} <= set(ledger)
    reports = tiny.root / "results/reports"
    assert "DEAD" in (reports / "sweep.csv").read_text()
    assert "twice" in (reports / "looks.csv").read_text().splitlines()[0]
    assert len(list(reports.glob("work-x-9-*.csv"))) == 1

    (tiny.root / "fail-2").unlink()
    assert heyhi("launch", "--foreground", "--profile", "local", *words).returncode == 0
    assert sorted(tiny.ledger) == sorted([*ledger, "work 2"])
    assert "DEAD" not in (reports / "sweep.csv").read_text()
    again = heyhi("launch", "--foreground", "--profile", "local", *words)
    assert "nothing to start: all are done" in again.stdout
    rows = [ExperimentDir(path.parent).result_path for path in (tiny.root / "results").rglob("result.json")]
    assert len(rows) == 5  # the one that the look needs is named itself, too
