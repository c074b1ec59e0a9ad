"""Experiments that were ended early, in an ordinary sweep: what commands say of them, and how they go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state

from .conftest import TASK, Tiny

WHY = "ended at step 3: loss 2, among the worst 2 of 3"
PRUNES = f"""
    if (ROOT / f"prune-{{cfg.x}}").exists():
        Path("checkpoint").touch()
        import heyhi
        raise heyhi.Pruned({WHY!r})
"""
SWEEP = """
def yield_sweep():
    for x in (1, 2):
        yield "conf/work.prototxt", {"x": x}
        yield "conf/look.prototxt", {"x": x, "at": "{{exp conf/work.prototxt x=%d}}" % x}
"""


@pytest.fixture
def pruning(tiny: Tiny) -> Tiny:
    head, mark, rest = TASK.partition('    print("said by"')
    (tiny.root / "run.py").write_text(head + PRUNES + mark + rest)
    (tiny.root / "conf/sweep.py").write_text(SWEEP)
    (tiny.root / "prune-2").touch()
    return tiny


def test_what_is_pruned_blocks_until_an_ordinary_launch_goes_on_with_it(pruning: Tiny) -> None:
    first = pruning.snakemake("--config", "sweep=conf/sweep.py")
    assert first.returncode == 1
    assert f"PRUNED  work:x=2  {WHY}  log: results/p/work/x=2_" in first.stderr
    assert first.stderr.count("\n") < 20 and "2 done, 1 PRUNED, 1 BLOCKED" in first.stderr
    assert "4 experiments: 1 BLOCKED, 2 DONE, 1 PRUNED" in first.stdout

    status = pruning.heyhi("status", "conf/sweep.py")
    assert "BLOCKED 1  PRUNED 1  DONE 2" in status and f", PRUNED: {WHY}\n" in status
    for mode, starts in (("gentle_start", "1"), ("start_restart", "1"), ("start_continue", "2"), ("restart", "4")):
        assert f"mode {mode}: {starts} would start" in pruning.heyhi("plan", "--mode", mode, "conf/sweep.py")
    assert "2 would start" in pruning.heyhi("launch", "conf/sweep.py", "--dry-run")
    assert "none of 4 experiments is DEAD" in pruning.heyhi("retry", "--dead", "conf/sweep.py", "--dry-run")
    assert pruning.heyhi("logs", "--error", "conf/sweep.py") == "-- none of 4 experiments is dead\n"

    (pruning.root / "prune-2").unlink()
    (folder,) = (pruning.root / "results/p/work").glob("x=2_*")
    second = pruning.snakemake("--config", "sweep=conf/sweep.py")
    assert second.returncode == 0, second.stderr
    assert pruning.ledger.count("work 2") == 2 and pruning.ledger.count("look 2") == 1 == pruning.ledger.count("work 1")
    assert (folder / "checkpoint").exists() and find_state(folder).status is Status.DONE


TRAIN = """
import os
from pathlib import Path

import heyhi

ROOT = Path(__file__).resolve().parent


def main(task, cfg, log_level):
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{task} {cfg.x}\\n")
    done = Path("checkpoint")
    epoch = int(done.read_text()) if done.exists() else 0
    heyhi.maybe_init_requeue_handler(lambda: done.write_text(str(epoch)))
    while epoch < 30:
        epoch += 1
        heyhi.log(loss=cfg.x / epoch, epoch=epoch)
    return {"loss": cfg.x / epoch}
"""
SEARCH = """
import heyhi

SEARCH = heyhi.Search(
    cfg="conf/work.prototxt",
    space={"x": [1, 2, 3, 4, 5, 6, 7, 8]},
    min="loss",
    trials=8,
    sampler="random",
    stop=heyhi.ASHA(grace=3, factor=3),
)
"""


def test_a_search_ends_trials_early_and_only_an_ordinary_launch_goes_on_with_them(tiny: Tiny) -> None:
    (tiny.root / "run.py").write_text(TRAIN)
    (tiny.root / "conf/search.py").write_text(SEARCH)
    first = tiny.snakemake("--config", "sweep=conf/search.py")
    assert first.returncode == 0, first.stderr
    ends = slot_ends(tiny)
    pruned = sorted(x for x, end in ends.items() if end["status"] == "PRUNED")
    assert len(ends) == 8 and 2 <= len(pruned) <= 6 and 1 not in pruned
    assert {end["status"] for end in ends.values()} == {"DONE", "PRUNED"}
    assert f"{8 - len(pruned)} done, {len(pruned)} PRUNED" in first.stderr

    second = tiny.snakemake("--config", "sweep=conf/search.py")
    assert second.returncode == 0 and "Nothing to be done" in second.stderr and len(tiny.ledger) == 8

    x, other = pruned[-1], pruned[0]
    (folder,) = (tiny.root / "results/p/work").glob(f"x={x}_*")
    seen = epochs(folder)
    assert seen == list(range(1, len(seen) + 1)) and int((folder / "checkpoint").read_text()) == len(seen) < 30
    need = f"{{{{exp conf/work.prototxt x={other}}}}}"
    plan = tiny.heyhi("plan", "--mode", "gentle_start", "conf/look.prototxt", f"at={need}")
    assert f", PRUNED: {ends[other]['reason']}" in plan and "BLOCKED" in plan
    ordinary = tiny.snakemake(tiny.heyhi("expand", "conf/work.prototxt", f"x={x}").strip())
    assert ordinary.returncode == 0, ordinary.stderr
    assert epochs(folder) == list(range(1, 31)) and find_state(folder).status is Status.DONE
    assert tiny.ledger.count(f"work {x}") == 2 and slot_ends(tiny) == ends


def slot_ends(tiny: Tiny) -> dict[int, dict[str, str]]:
    """Return how the slots have ended, by the x of their experiments."""
    ends = [json.loads(file.read_text()) for file in (tiny.root / "results/searches").glob("*/slots/*.json")]
    return {int(end["exp_id"].partition("x=")[2].partition("_")[0]): end for end in ends}


def epochs(folder: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
