"""The best of a sweep on a real Slurm: what is made of it is submitted once it is chosen, by whichever controller."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

Until = Callable[[Callable[[], object]], None]
TUNE = """
def yield_sweep():
    for x in (1, 2):
        yield "conf/work.prototxt", {"x": x}
"""


def test_what_is_made_of_the_best_is_a_job_once_that_is_chosen_and_a_new_controller_adopts_it(
    lab: Any, until: Until
) -> None:
    (lab.root / "conf/tune.py").write_text(TUNE)
    lab.sweep({"I": "{{best conf/tune.py max=y}}", "do": "wait"})
    first = lab.start()
    until(lambda: len(lab.ledger) == 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    lab.allow()
    code, out = lab.snakemake()
    assert code == 0, out
    assert sorted(lab.ledger[:2]) == [1, 2] and lab.ledger[2:] == [2]
    (winner,) = (json.loads(path.read_text()) for path in lab.root.glob("results/winners/*.json"))
    assert winner["overrides"] == ["x=2"] and winner["value"] == 20
    (folder,) = (path.parent for path in lab.root.glob("results/p/work/I=best_tune*/result.json"))
    assert json.loads((folder / "result.json").read_text())["y"] == 20
    assert "x: 2" in (folder / "config.prototxt").read_text()
