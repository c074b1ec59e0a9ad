"""Experiments that were ended early, in an ordinary sweep: what commands say of them, and how they go on."""

from __future__ import annotations

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
