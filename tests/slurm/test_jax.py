"""A real library for distributed training, over two nodes and in two processes of this machine: jax."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]

# Each rank adds its number to a sum over all ranks, at each step; rank 0 keeps the count.
TASK = """
import json, os, time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])


def main(task, cfg, log_level):
    import jax
    from jax.experimental import multihost_utils

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    env = heyhi.get_job_env()
    jax.distributed.initialize(
        f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}", env.world_size, env.rank, local_device_ids=[0]
    )
    done = Path("checkpoint")
    step = int(done.read_text()) if done.exists() else 0
    sums = []
    while step < cfg.steps:
        sums.append(float(multihost_utils.process_allgather(jax.numpy.float32(env.rank + 1)).sum()))
        step += 1
        heyhi.log(sum=jax.numpy.float32(sums[-1]), step=step)
        if env.rank == 0:
            done.write_text(str(step))
        name = ROOT / f"pid{env.rank}"
        name.with_suffix(".tmp").write_text(json.dumps({"pid": os.getpid(), "step": step}))
        name.with_suffix(".tmp").rename(name)
        while cfg.do == "wait" and step == 2 and not (ROOT / "go").exists():
            time.sleep(0.05)
    return {"sums": sums, "world": jax.process_count()}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""


@pytest.fixture
def training(lab: Any) -> Any:
    (lab.root / "run.py").write_text(TASK)
    return lab


def rank(lab: Any, number: int) -> dict[str, int]:
    path: Path = lab.root / f"pid{number}"
    found: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    return found


def ends(lab: Any) -> list[dict[str, Any]]:
    path = lab.folder(1) / "attempts.jsonl"
    return [one for one in lab.attempts(1) if one["event"] == "end"] if path.exists() else []


def test_jax_meets_over_two_nodes_and_a_retry_goes_on_after_a_rank_was_killed(training: Any, until: Until) -> None:
    words = ("x=1", "do=wait", "launcher.slurm.num_gpus=2", "launcher.slurm.gpus_per_node=1")
    done = training.run(*words)
    assert done.returncode == 0, done.stderr
    until(lambda: rank(training, 0).get("step") == rank(training, 1).get("step") == 2)
    subprocess.run(["kill", f"-{int(signal.SIGKILL)}", str(rank(training, 1)["pid"])], check=True)
    until(lambda: ends(training))
    assert ends(training)[0]["reason"] == "failed"
    assert (training.folder(1) / "checkpoint").read_text() == "2"
    training.allow()
    again = training.run(*words, "--mode", "start_continue")
    assert again.returncode == 0, again.stderr
    until(lambda: ends(training)[-1]["attempt"] == 2)
    assert training.result(1) == {"sums": [3.0], "world": 2}
    lines = map(json.loads, (training.folder(1) / "metrics.jsonl").read_text().splitlines())
    assert [(one["step"], one["sum"], one["attempt"]) for one in lines] == [(1, 3.0, 1), (2, 3.0, 1), (3, 3.0, 2)]


def test_jax_meets_in_two_processes_of_this_machine(training: Any) -> None:
    done = training.run("x=2", "launcher.slurm=NULL", "launcher.local.tasks=2")
    assert done.returncode == 0, done.stderr
    (result,) = training.root.glob("results/p/work/*x=2*/result.json")
    assert json.loads(result.read_text()) == {"sums": [3.0, 3.0, 3.0], "world": 2}
