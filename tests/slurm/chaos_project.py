"""The experiments of the chaos test, the project that they belong to, and the ledger that they write themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos_book import Draws
from cluster import ClusterError

REPOSITORY = Path(__file__).resolve().parents[2]

CONTROLLER = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm"]

PROTO = """
syntax = "proto2";
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Work work = 10; }
}
message Include { optional string path = 1; optional string mount = 2; }
message Work {
  optional int32 x = 1;
  // What the run does: work, train (with checkpoints) or fail.
  optional string do = 2 [default = "work"];
  optional double seconds = 3 [default = 1];
  optional Launcher launcher = 4;
}
message Launcher { oneof kind { Slurm slurm = 1; } }
message Slurm {
  optional int32 num_gpus = 1 [default = 0];
  optional double hours = 2 [default = 0.5];
  optional string partition = 3;
  optional double mem_per_gpu = 4 [default = 0.5];
  optional int32 cpus_per_gpu = 5 [default = 20];
  optional int32 signal_seconds = 6 [default = 10];
  optional bool requeue = 7 [default = true];
  optional int32 max_attempts = 8 [default = 1];
  optional int32 pack = 9 [default = 1];
}
"""
TASK = '''
import fcntl
import os
import time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["CHAOS"])


def note(what, x, step=0):
    """Add a line to the ledger, by one write, so that none gets lost between others."""
    line = f"{what} {x} {time.time():.3f} {os.getpid()} {os.environ.get('SLURM_JOB_ID', '-')} {step}\\n"
    ledger = os.open(ROOT / "ledger.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(ledger, line.encode())
    os.close(ledger)


def main(task, cfg, log_level):
    with (ROOT / "locks" / str(cfg.x)).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("OVERLAP", cfg.x)
            raise
        if cfg.do == "train":
            train(cfg)
        else:
            note("start", cfg.x)
            time.sleep(cfg.seconds)
        if cfg.do == "fail" and not (ROOT / "mended").exists():
            raise ValueError(f"made to fail: {cfg.x}")
        note("end", cfg.x)
    return {"y": 10 * cfg.x}


def train(cfg):
    """Make a step a second, and keep what was done."""
    done = Path("checkpoint")
    step = int(done.read_text()) if done.exists() else 0

    def save():
        done.with_suffix(".new").write_text(str(step))
        done.with_suffix(".new").replace(done)

    note("start", cfg.x, step)
    heyhi.maybe_init_requeue_handler(save)
    while step < cfg.seconds:
        time.sleep(1)
        step += 1
        if step % 4 == 0:
            save()


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
'''


@dataclass(frozen=True)
class Line:
    """One line of the ledger that the task writes."""

    what: str
    x: int
    time: float
    pid: int
    job: str
    step: int


@dataclass
class Point:
    """One experiment: what its config sets, and how it is launched."""

    values: dict[str, object]
    in_sweep: bool = True
    by_hand: bool = False  # by run.py
    is_late: bool = False  # launched when all else is over, and cancelled

    @property
    def x(self) -> int:
        return int(str(self.values["x"]))

    @property
    def fails(self) -> bool:
        return self.values.get("do") == "fail"

    @property
    def is_ended_by_preemption(self) -> bool:
        """Whether a job that is pushed out isn't queued again."""
        partition, requeue = (self.values.get(f"launcher.slurm.{key}") for key in ("partition", "requeue"))
        return partition == "scavenge" or (partition == "preempt" and requeue is False)

    @property
    def words(self) -> list[str]:
        return [f"{key}={value}" for key, value in self.values.items()]


def make_alike(number: int, draws: Draws, longest: float) -> list[Point]:
    """Plan experiments that all ask for the same job, for workers."""
    launcher = {"partition": "preempt", "max_attempts": 3}
    points = []
    for x in range(1, number + 1):
        seconds = round(draws.next("point").uniform(longest / 4, longest), 1)
        do = "train" if x % 3 == 0 else "fail" if x % 12 == 5 else "work"
        values: dict[str, object] = {"x": x, "seconds": seconds, "do": do}
        point = Point(values | {f"launcher.slurm.{key}": value for key, value in launcher.items()})
        if x % 10 == 2:
            point.by_hand = True
        points.append(point)
    points += [Point({"x": number + n, "seconds": 8.0}, in_sweep=False, is_late=True) for n in (1, 2)]
    return points


def make_points(number: int, draws: Draws, longest: float) -> list[Point]:
    """Plan experiments of all kinds.

    Args:
        number: how many.
        draws: give partitions and durations.
        longest: seconds that one takes.
    """
    points = []
    packed = max(4, number // 8 // 4 * 4)
    for x in range(1, number + 1):
        rng = draws.next("point")
        values: dict[str, object] = {"x": x, "seconds": round(rng.uniform(longest / 4, longest), 1)}
        launcher: dict[str, object] = {"partition": rng.choice(["main", "preempt", "preempt", "scavenge"])}
        point = Point(values)
        if x <= packed:
            launcher = {"pack": 4, "partition": "preempt" if x > 4 else "main"}
            values["do"] = "train" if x % 4 < 2 else "fail" if x % 16 == 3 else "work"
        else:
            kind = x % 6
            values["do"] = "train" if kind in (0, 1) else "fail" if x % 12 == 5 else "work"
            launcher["max_attempts"] = rng.choice([1, 1, 2])
            launcher["requeue"] = rng.random() < 0.8
            if x % 5 == 2:
                point.by_hand, point.in_sweep = True, x % 10 == 2
        values |= {f"launcher.slurm.{key}": value for key, value in launcher.items()}
        points.append(point)
    points += [Point({"x": number + n, "seconds": 8.0}, in_sweep=False, is_late=True) for n in (1, 2)]
    return points


class Project:
    """A project of its own, whose experiments run on a cluster.

    Args:
        folder: where the project is made.
        cluster: where it runs.
        points: its experiments.
        workers: how many jobs run them all; 0: each has a job of its own, and a controller.
    """

    def __init__(self, folder: Path, cluster: Any, points: list[Point], workers: int = 0) -> None:
        self.workers = workers
        self.root = folder / "project"
        self.points = points
        self.log = folder / "controller.log"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "HH_"))}
        self.env = {**env, **cluster.env, "PYTHONPATH": str(REPOSITORY), "CHAOS": str(folder), "COLUMNS": "200"}
        self.env["XDG_CACHE_HOME"] = str(folder / "cache")
        conf = self.root / "conf"
        conf.mkdir(parents=True)
        (folder / "locks").mkdir()
        for name in ("workflows", "profiles"):
            shutil.copytree(REPOSITORY / name, self.root / name)
        shutil.copy(REPOSITORY / "Snakefile", self.root)
        (self.root / "run.py").write_text(TASK)
        (self.root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/sweep.py"\n')
        (conf / "conf.proto").write_text(PROTO)
        (conf / "work.prototxt").write_text("work { launcher { slurm {} } }\n")
        sweep = [point.values for point in points if point.in_sweep]
        (conf / "sweep.py").write_text(
            f'def yield_sweep():\n    for point in {sweep!r}:\n        yield "conf/work.prototxt", point\n'
        )

    def set(self, text: str) -> None:
        """Add a line to what [tool.heyhi] says."""
        with (self.root / "pyproject.toml").open("a") as file:
            file.write(f"{text}\n")

    def start_controller(self) -> subprocess.Popen[bytes]:
        """Start the controller, or what submits workers, as a process group of its own."""
        launch = [sys.executable, "-m", "heyhi.cli", "launch", "--profile", "slurm", "--workers", str(self.workers)]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                launch if self.workers else CONTROLLER, cwd=self.root, env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def python(self, *words: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command of this Python's."""
        return subprocess.run(
            [sys.executable, *words], cwd=self.root, env=self.env, capture_output=True, text=True, timeout=seconds,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def is_something_left(self) -> bool:
        """Return whether the controller has still to do."""
        done = self.folders("result.json")
        return any(p.x not in done and p.in_sweep and not p.fails for p in self.points)

    def statuses(self) -> dict[int, dict[str, Any]]:
        """Ask `heyhi status`: x -> its row."""
        done = self.python("-m", "heyhi.cli", "status", "--json")
        if done.returncode not in (0, 1):
            raise ClusterError(f"heyhi status ended with {done.returncode}: {done.stderr}")
        return {int(re.search(r"x=(\d+)", row["exp_id"])[1]): row for row in json.loads(done.stdout)["experiments"]}  # type: ignore[index]

    def folders(self, name: str) -> dict[int, Path]:
        """Files of a name in the experiments' folders: x -> file."""
        found = {}
        for path in self.root.glob(f"results/p/work/*/{name}"):
            if match := re.search(r"x=(\d+)", path.parent.name):
                found[int(match[1])] = path
        return found

    def attempts(self, x: int) -> list[dict[str, Any]]:
        """What HeyHi has on record."""
        path = self.folders("attempts.jsonl").get(x)
        return [json.loads(line) for line in path.read_text().splitlines()] if path is not None else []


def read_ledger(path: Path) -> list[Line]:
    """Read what the runs have written."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        what, x, when, pid, job, step = text.split()
        lines.append(Line(what, int(x), float(when), int(pid), job, int(step)))
    return lines
