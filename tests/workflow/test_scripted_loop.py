"""The loop that docs/scripting.md shows, against real runs: by `--json` and exit codes alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs_shown import ROOT

SECONDS = 600.0


@pytest.mark.slow
def test_five_rounds_of_plan_run_wait_report_and_decide_read_no_prose(tmp_path: Path) -> None:
    (loop,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/scripting.md").read_text(), re.MULTILINE | re.DOTALL)
    assert "message" not in loop and "stderr=subprocess.DEVNULL" in loop
    env = {k: v for k, v in os.environ.items() if k != "HH_EXP_DIR"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    project = tmp_path / "project"
    subprocess.run(["heyhi", "init", str(project)], env=env, check=True, capture_output=True)
    (project / "loop.py").write_text(loop)
    told = subprocess.run(
        [sys.executable, "loop.py"], cwd=project, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert told.returncode == 0, told.stderr
    rounds = [json.loads(line) for line in told.stdout.splitlines()]
    assert [one["round"] for one in rounds] == [0, 1, 2, 3, 4]
    assert [one["started"] for one in rounds] == [3, 2, 2, 2, 2]
    assert rounds[0]["dead"] == [10.0]
    losses = [one["loss"] for one in rounds]
    assert losses == sorted(losses, reverse=True) and 0 < losses[-1] < 0.1
    # The slip in its words made no experiment.
    assert all("epochs=5" in path.name for path in (project / "results/p/fit/line").iterdir())
