"""Where what has failed is tried again, on a real cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

# The first node that one runs on is the bad one, on which each fails. A start is a line of the ledger, with its node.
TASK = """
import os, signal, time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])
NODE = os.environ.get("SLURMD_NODENAME", "")
ECC = "CUDA error: uncorrectable ECC error encountered"


def main(task, cfg, log_level):
    rank = heyhi.get_job_env().rank
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{cfg.x} {rank} {NODE}\\n")
    try:
        with (ROOT / "bad").open("x") as bad:
            bad.write(NODE if not cfg.do.startswith("last") else "n2")
    except FileExistsError:
        pass
    while not (ROOT / "bad").read_text():
        pass
    if NODE == (ROOT / "bad").read_text():
        if cfg.do == "ecc":
            raise RuntimeError(ECC)
        if cfg.do == "abort":
            print(ECC, flush=True)
            os.kill(os.getpid(), signal.SIGABRT)
        if cfg.do in ("boom", "last"):
            raise ValueError("boom")
    if cfg.do == "last":
        while not (ROOT / "go").exists():
            time.sleep(0.05)
    return {"node": NODE}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


@pytest.fixture
def nodes(lab: Any) -> Any:
    (lab.root / "run.py").write_text(TASK)
    return lab


def places(lab: Any, x: int) -> list[str]:
    """The nodes that an x was started on, in order; of its first rank."""
    lines = [line.split() for line in (lab.root / "ledger.txt").read_text().splitlines()]
    return [node for number, rank, node in lines if (number, rank) == (str(x), "0")]


def test_what_fails_is_tried_again_on_another_node(nodes: Any) -> None:
    nodes.sweep({"x": 1, "do": "boom", "launcher.slurm.max_attempts": 2})
    code, out = nodes.snakemake()
    assert code == 0, out
    first, second = places(nodes, 1)
    assert first != second
    assert [a["nodes"] for a in nodes.attempts(1) if a["event"] == "start"] == [first, second]


@pytest.mark.parametrize("do", ["ecc", "abort"])
def test_a_node_s_fault_is_no_attempt_and_the_launch_leaves_the_node_out(nodes: Any, do: str) -> None:
    nodes.sweep(*({"x": x, "do": do} for x in (1, 2, 3)))
    code, out = nodes.snakemake("--jobs", "1")
    assert code == 0, out
    bad = (nodes.root / "bad").read_text()
    assert f"{bad} is left out from now on, and this is no attempt (node_faults: uncorrectable ECC)" in out
    # The others, which come after it, are never started there.
    assert [place for x in (1, 2, 3) for place in places(nodes, x)].count(bad) == 1
    assert len([place for x in (1, 2, 3) for place in places(nodes, x)]) == 4


def test_no_faults_may_be_named(nodes: Any) -> None:
    nodes.settings("node_faults = []")
    nodes.sweep({"x": 1, "do": "ecc"})
    code, out = nodes.snakemake()
    assert code == 1
    assert len(places(nodes, 1)) == 1
    assert "left out" not in out


def test_the_only_node_is_tried_again(nodes: Any) -> None:
    single = {"launcher.slurm.partition": "single", "launcher.slurm.max_attempts": 2}
    nodes.sweep({"x": 1, "do": "boom", **single}, {"x": 2, "do": "ecc", **single})
    code, out = nodes.snakemake("--keep-going")
    assert code == 1
    assert places(nodes, 1) == ["n1", "n1"]
    # The first time it was no attempt; after that the node is known to be the only one.
    assert places(nodes, 2) == ["n1", "n1", "n1"]
    assert "may run on n1 again: no others can have it now" in out
    assert "  exit code 1: RuntimeError: CUDA error: uncorrectable ECC error encountered  log: " in out


def test_what_is_tried_again_does_not_wait_for_nodes_that_are_away(nodes: Any, cluster: Any) -> None:
    for node in ("n2", "n3"):
        cluster.set_node(node, "drain")
    nodes.sweep({"x": 1, "do": "boom", "launcher.slurm.max_attempts": 2})
    code, _ = nodes.snakemake()
    assert code == 1
    assert places(nodes, 1) == ["n1", "n1"]


def test_another_launch_knows_the_fault_from_the_records(nodes: Any, until: Until) -> None:
    assert nodes.run("x=1", "do=ecc").returncode == 0
    until(lambda: nodes.statuses()[1]["status"] == "DEAD")
    done = nodes.run("x=1", "do=ecc", "--mode", "start_continue")
    assert done.returncode == 0, done.stderr
    until(lambda: nodes.statuses()[1]["status"] == "DONE")
    bad = (nodes.root / "bad").read_text()
    assert [place == bad for place in places(nodes, 1)] == [True, False]


def test_of_two_nodes_only_that_of_the_rank_which_failed_is_left(nodes: Any) -> None:
    two = {"launcher.slurm.num_gpus": 2, "launcher.slurm.gpus_per_node": 1, "launcher.slurm.max_attempts": 2}
    nodes.allow()
    nodes.sweep({"x": 1, "do": "last", **two})
    code, out = nodes.snakemake()
    assert code == 0, out
    # Both had n1 as their first; n2 was the bad one.
    assert places(nodes, 1) == ["n1", "n1"]
    (end,) = (a for a in nodes.attempts(1) if a["event"] == "end" and a["reason"] == "failed" and "job_state" not in a)
    assert end["host"] == "n2"


def test_those_of_a_pack_that_failed_by_their_node_go_elsewhere(nodes: Any, until: Until) -> None:
    nodes.sweep(*({"x": x, "do": "ecc", "launcher.slurm.pack": 3} for x in (1, 2, 3)))
    code, out = nodes.snakemake()
    assert code == 0, out
    bad = (nodes.root / "bad").read_text()
    assert [[place == bad for place in places(nodes, x)] for x in (1, 2, 3)] == 3 * [[True, False]]


def test_a_killed_run_is_tried_again_on_another_node(nodes: Any, until: Until) -> None:
    nodes.sweep({"x": 1, "do": "last", "launcher.slurm.max_attempts": 2})
    controller = nodes.start()
    until(lambda: (nodes.root / "ledger.txt").exists() and len(places(nodes, 1)) == 1)
    os.kill(nodes.attempts(1)[0]["pid"], signal.SIGKILL)
    nodes.allow()
    code, _ = nodes.end(controller)
    first, second = places(nodes, 1)
    assert first != second
    # It was set to fail on n2.
    assert code == int(second == "n2")
