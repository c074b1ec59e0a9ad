"""An experiment that is run inside an allocation, by srun: each task is a rank of one run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from .test_ranks import TASK


@pytest.fixture
def ranks(lab: Any) -> Any:
    (lab.root / "run.py").write_text(TASK)
    (lab.root / "conf" / "here.prototxt").write_text("work { launcher { local {} } }\n")
    return lab


def in_allocation(lab: Any, *words: str) -> tuple[int, str]:
    command = ["salloc", "--quiet", "--ntasks=2", "--nodes=2", "srun", sys.executable, "run.py", "--cfg", *words]
    process = lab.run_words(*command)
    return process.returncode, process.stdout + process.stderr


def folder(lab: Any) -> Path:
    (found,) = (path.parent for path in lab.root.glob("results/p/here/*/attempts.jsonl"))
    return Path(found)


def test_two_tasks_of_an_allocation_are_the_ranks_of_one_experiment(ranks: Any) -> None:
    code, said = in_allocation(ranks, "conf/here.prototxt", "x=1", "do=read")
    assert code == 0 and said.count("DONE") == 1, said
    seen = [json.loads((ranks.root / "told" / f"rank{rank}").read_text()) for rank in range(2)]
    assert [(s["RANK"], s["LOCAL_RANK"], s["NODE_RANK"]) for s in seen] == [("0", "0", "0"), ("1", "0", "1")]
    assert {(s["WORLD_SIZE"], s["MASTER_ADDR"]) for s in seen} == {("2", "127.0.0.1")}
    assert len({s["MASTER_PORT"] for s in seen}) == 1
    where = folder(ranks)
    assert json.loads((where / "result.json").read_text())["rank"] == 0
    assert (where / "log.1.txt").read_text() == "said by rank 1\n"
    assert len((where / "attempts.jsonl").read_text().splitlines()) == 2
    code, said = in_allocation(ranks, "conf/here.prototxt", "x=1", "do=read")
    assert code == 0 and said.count("nothing started") == 1, said


def test_a_rank_of_an_allocation_that_fails_ends_all(ranks: Any) -> None:
    code, said = in_allocation(ranks, "conf/here.prototxt", "x=1", "do=fail1")
    assert code == 1 and "DEAD (exit code 1: ValueError: boom)" in said


def test_several_tasks_that_submit_a_job_submit_one(ranks: Any) -> None:
    code, said = in_allocation(ranks, "conf/work.prototxt", "x=1", "do=read", "launcher.slurm.num_gpus=1")
    assert code == 0 and said.count("PENDING (job") == 1, said
