"""What main logs by `heyhi.log` is its experiment's: by which attempt, by which rank, wherever it has gone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import heyhi
from heyhi.experiment.names import Status


def lines_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_what_main_logs_has_the_number_of_its_attempt_wherever_main_has_gone(task_lab: Any, tmp_path: Path) -> None:
    def main(task: str, cfg: Any, log_level: str) -> None:
        folder = Path.cwd()
        heyhi.log(loss=1, step=1)
        os.chdir(tmp_path)
        heyhi.log(loss=0.5, step=2)
        if len(lines_in(folder)) < 4:
            raise ValueError("again")

    folder = task_lab.folder().path
    assert [task_lab.execute(main).status for _ in range(2)] == [Status.DEAD, Status.DONE]
    assert [(line["step"], line["attempt"]) for line in lines_in(folder)] == [(1, 1), (2, 1), (1, 2), (2, 2)]
    assert not (tmp_path / "metrics.jsonl").exists()


def test_listeners_of_a_run_hear_what_its_main_logs(task_lab: Any) -> None:
    def main(task: str, cfg: Any, log_level: str) -> None:
        heyhi.log(loss=cfg.lr, step=1)

    heard: list[Any] = []
    assert task_lab.execute(main, listeners=[heard.append]).done
    assert heard == lines_in(task_lab.folder().path)


def test_what_can_not_be_logged_is_the_reason_of_the_end_and_the_log_says_where(task_lab: Any) -> None:
    def main(task: str, cfg: Any, log_level: str) -> None:
        heyhi.log(weights=[1, 2, 3])

    outcome = task_lab.execute(main)
    assert outcome.status is Status.DEAD
    assert "heyhi.log: 'weights' is [1, 2, 3] (list), and a metric is one number" in outcome.reason
    assert "heyhi.log(weights=[1, 2, 3])" in task_lab.folder().log_path.read_text()


RANKS = """
def main(task, cfg, log_level):
    env = heyhi.get_job_env()
    os.chdir("/")
    heyhi.log(rank=env.rank, step=1)
    subprocess.run([sys.executable, "-c", f"import heyhi; heyhi.log(below={env.rank})"], check=True)
    heyhi.progress(2, 2)

if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
"""
PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional double lr = 1 [default = 0.5]; optional Launcher launcher = 3; }
message Launcher { oneof kind { Local local = 1; } }
message Local { optional int32 cpus = 1 [default = 1]; optional int32 tasks = 2 [default = 1]; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""


def test_of_several_ranks_the_first_one_writes_and_what_it_starts(task_lab: Any) -> None:
    (task_lab.root / "conf" / "conf.proto").write_text(PROTO)
    task_lab.write(RANKS)
    words = ["run.py", "--cfg", "conf/job.prototxt", "launcher.local.tasks=2", "--out", "p/ranks"]
    code, _, err = task_lab.end(task_lab.open([sys.executable, *words]))
    assert code == 0, err
    found = lines_in(task_lab.root / "results" / "p" / "ranks")
    assert [{k: v for k, v in line.items() if k != "time"} for line in found] == [
        {"step": 1, "rank": 0, "attempt": 1},
        {"below": 0, "attempt": 1},
        {"step": 2, "total": 2, "attempt": 1},
    ]
