"""Trials of two ranks that their search ends early on a real cluster, and an ordinary launch that goes on with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TASK = """
import os, time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])


def main(task, cfg, log_level):
    done = Path("checkpoint")
    epoch = int(done.read_text()) if done.exists() else 0
    heyhi.maybe_init_requeue_handler(lambda: done.write_text(str(epoch)))
    while heyhi.get_job_env().rank > 0 and not (ROOT / "go").exists():  # as one that waits for the first one
        time.sleep(0.05)
    while epoch < 5:
        epoch += 1
        heyhi.log(y=cfg.x, epoch=epoch)
    return {"y": cfg.x}
"""
SEARCH = """
import heyhi

SEARCH = heyhi.Search(
    cfg="conf/work.prototxt",
    overrides={"launcher.slurm.num_gpus": 2},
    space={"x": [1, 2]},
    max="y",
    trials=2,
    sampler="random",
    stop=heyhi.ASHA(grace=3, factor=3),
)
"""


def test_trials_of_two_ranks_end_early_together_and_one_goes_on_by_an_ordinary_launch(lab: Any, cluster: Any) -> None:
    (lab.root / "run.py").write_text(TASK)
    (lab.root / "conf" / "sweep.py").write_text(SEARCH)
    slots = [lab.root / target for target in lab.heyhi("expand", "conf/sweep.py").stdout.split()]
    rung = slots[0].parent.parent / "rungs" / "3"  # to which better ones have come before
    rung.mkdir(parents=True)
    for name in ("0100=8.0", "0101=9.0"):
        (rung / name).touch()
    code, out = lab.snakemake()
    assert code == 0, out
    ends = [json.loads(slot.read_text()) for slot in slots]
    assert [end["status"] for end in ends] == ["PRUNED", "PRUNED"]
    assert {end["reason"].partition(", among the worst ")[2] for end in ends} <= {"2 of 3", "3 of 4"}
    for x in (1, 2):
        folder: Path = lab.folder(x)
        assert (folder / "checkpoint").read_text() == "3"
        assert [a.get("reason") for a in lab.attempts(x)] == [None, "pruned"]
        assert lab.statuses(str(folder.relative_to(lab.root)))[x]["status"] == "PRUNED"
    assert not cluster.leftovers()

    lab.allow()
    target = lab.heyhi("expand", "conf/work.prototxt", "launcher.slurm.num_gpus=2", "x=1").stdout.strip()
    code, out = lab.snakemake(target)
    assert code == 0, out
    assert lab.result(1) == {"y": 1} and [a.get("reason") for a in lab.attempts(1)][1::2] == ["pruned", "done"]
    lines = [json.loads(line) for line in (lab.folder(1) / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
