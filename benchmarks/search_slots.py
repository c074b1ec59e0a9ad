"""`python -m benchmarks.search_slots`: slots beside batches, on one Slurm cluster, 8 trials at once.

A search of HeyHi's hands the next trial out as soon as one has ended. The peer is hydra's Optuna sweeper with its
submitit launcher, in an environment of its own: it hands out a batch, and waits for the slowest. Both search the same
space, by TPE with the same seed; the n-th run that starts takes as long on either side, log-normally, and does nothing
else. What is counted goes from the start of the command until the last trial has begun: then how much of the time of 8
slots a trial's run was in them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import CommandFailed, say
from tests.slurm.cluster import PACKAGES, Cluster, missing

LEAST_BUSY, LEAST_RATIO = 0.85, 1.4
ROOT = Path(__file__).resolve().parents[1]
PEER = (
    *("hydra-core==1.3.2", "hydra-optuna-sweeper==1.3.0", "hydra-submitit-launcher==1.2.0"),
    *("omegaconf==2.3.0", "optuna==2.10.1"),
)
# What a trial does on either side. The number of the run is what decides how long it takes.
_RUN = '''\
import fcntl
import json
import os
import time


def take(lr, momentum, width):
    """Take a trial's time, and write down when that was; return how good it is."""
    folder = os.environ["BENCH_FOLDER"]
    with open(f"{folder}/started", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        number = os.fstat(file.fileno()).st_size
        file.write("x")
        file.flush()
    begin = time.time()
    time.sleep(json.load(open(f"{folder}/seconds.json"))[number])
    with open(f"{folder}/runs", "a") as file:
        file.write(json.dumps([begin, time.time()]) + "\\n")
    return abs(momentum - 0.9) + abs(lr - 0.1) + width / 1000
'''
_PROTO = """\
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Train train = 10; } }
message Include { optional string path = 1; optional string mount = 2; }
message Train {
  optional double lr = 1 [default = 0.1];
  optional double momentum = 2;
  optional int32 width = 3 [default = 16];
  optional Launcher launcher = 4;
}
message Launcher { oneof kind { Slurm slurm = 2; } }
message Slurm {
  optional int32 num_gpus = 1;
  optional double hours = 2 [default = 0.5];
  optional double mem_per_gpu = 3;
}
"""
_MAIN = """\
from take import take


def main(task, cfg, log_level):
    return {"loss": take(cfg.lr, cfg.momentum, cfg.width)}
"""
_SEARCH = """\
import heyhi

SPACE = {{"lr": "loguniform(0.0001,1)", "momentum": "uniform(0,1)", "width": "16,32,64"}}
SEARCH = heyhi.Search(cfg="conf/train.prototxt", space=SPACE, min="loss", trials={trials}, parallel={parallel})
"""
_PEER_MAIN = """\
import sys

sys.path.insert(0, {folder!r})
import hydra
from take import take


@hydra.main(version_base=None, config_path=".", config_name="config")
def main(cfg):
    return take(cfg.lr, cfg.momentum, cfg.width)


main()
"""
_PEER_CONFIG = """\
defaults:
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: tpe
  - override hydra/launcher: submitit_slurm
lr: 0.1
momentum: 0.5
width: 16
hydra:
  launcher: {{timeout_min: 30, cpus_per_task: 1, mem_gb: 1, array_parallelism: {parallel}}}
  sweeper:
    n_trials: {trials}
    n_jobs: {parallel}
    direction: minimize
    sampler: {{seed: 0}}
    params:
      lr: tag(log, interval(0.0001, 1))
      momentum: interval(0, 1)
      width: choice(16, 32, 64)
"""


@dataclass(frozen=True)
class Measured:
    """What one side took.

    Attributes:
        handed_out: seconds until the last trial had begun.
        busy: share of the slots' time until then in which a trial's run was in them.
        whole: seconds of the whole command.
    """

    handed_out: float
    busy: float
    whole: float


def measured(runs: Sequence[tuple[float, float]], start: float, end: float, parallel: int) -> Measured:
    """Say what one side took, by when its runs began and ended.

    Args:
        runs: begin and end of each.
        start: of the command.
        end: of the command.
        parallel: slots.
    """
    last = max(begin for begin, _ in runs)
    busy = sum(min(stop, last) - min(begin, last) for begin, stop in runs)
    return Measured(last - start, busy / (parallel * (last - start)), end - start)


class Side:
    """A folder in which a command searches.

    Args:
        folder: to be made.
        cluster: that it runs on.
        options: of this program.
    """

    def __init__(self, folder: Path, cluster: Cluster, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        folder.mkdir()
        (folder / "take.py").write_text(_RUN)
        rng = random.Random(options.seed)
        seconds = [options.median * math.exp(rng.gauss(0, options.sigma)) for _ in range(options.trials)]
        (folder / "seconds.json").write_text(json.dumps(seconds))
        env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "HH_"))}
        self.env = {**env, **cluster.env, "BENCH_FOLDER": str(folder)}

    def run(self, command: Sequence[str | Path]) -> Measured:
        """Search, and say what it took.

        Raises:
            CommandFailed: the command has, or not all trials were run.
        """
        log, start = self.folder / "output.txt", time.time()
        with log.open("w") as file:
            code = subprocess.run(
                command, cwd=self.folder, env=self.env, stdout=file, stderr=file, check=False
            ).returncode
        end, path = time.time(), self.folder / "runs"
        runs = [tuple(json.loads(line)) for line in path.open()] if path.exists() else []
        if code or len(runs) != self.options.trials:
            raise CommandFailed(f"{command}: exit code {code}, {len(runs)} runs:\n{log.read_text()[-3000:]}")
        return measured(runs, start, end, self.options.parallel)


def search_by_heyhi(folder: Path, cluster: Cluster, options: argparse.Namespace) -> Measured:
    """Search with HeyHi, by Snakemake with its Slurm profile."""
    side = Side(folder, cluster, options)
    for name in ("workflows", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "conf").mkdir()
    (folder / "conf" / "conf.proto").write_text(_PROTO)
    (folder / "conf" / "train.prototxt").write_text("train { launcher { slurm { mem_per_gpu: 1 } } }\n")
    (folder / "conf" / "search.py").write_text(_SEARCH.format(trials=options.trials, parallel=options.parallel))
    (folder / "run.py").write_text(_MAIN)
    (folder / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/search.py"\n')
    side.env["PYTHONPATH"] = str(ROOT)
    jobs = ["--profile", "profiles/slurm", "--jobs", str(options.parallel)]
    return side.run([sys.executable, "-m", "snakemake", *jobs])


def search_by_hydra(folder: Path, cluster: Cluster, options: argparse.Namespace, python: Path) -> Measured:
    """Search with hydra's Optuna sweeper and its submitit launcher."""
    side = Side(folder, cluster, options)
    (folder / "app.py").write_text(_PEER_MAIN.format(folder=str(folder)))
    (folder / "config.yaml").write_text(_PEER_CONFIG.format(trials=options.trials, parallel=options.parallel))
    return side.run([python, "app.py", "--multirun"])


def peer_python(folder: Path) -> Path:
    """Return the Python of the peer's own environment, which is made where it isn't there.

    Raises:
        CommandFailed: it can't be installed.
    """
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        say(f"  installing {' '.join(PEER)} into {folder}")
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", *PEER], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CommandFailed(done.stderr[-2000:])
        (folder / "whole").touch()
    return python


@contextmanager
def _cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop(wipe=True)


def table(ours: Measured, peer: Measured, parallel: int) -> str:
    """Write what was measured as a table of Markdown."""
    rows = [
        "| | until the last trial has begun | of the slots' time a trial runs | whole command |",
        "|---|--:|--:|--:|",
        *(
            f"| {name} | {one.handed_out:.1f} s | {one.busy:.1%} | {one.whole:.1f} s |"
            for name, one in (
                (f"HeyHi, {parallel} slots", ours),
                (f"hydra-optuna-sweeper, batches of {parallel}", peer),
            )
        ),
    ]
    ratio = peer.handed_out / ours.handed_out
    goals = [
        f"busy {ours.busy:.1%}, at least {LEAST_BUSY:.0%} wanted: {_held(ours.busy >= LEAST_BUSY)}",
        f"{ratio:.2f} times less wall time, at least {LEAST_RATIO} wanted: {_held(ratio >= LEAST_RATIO)}",
    ]
    return "\n".join([*rows, "", *goals])


def _held(is_so: bool) -> str:
    return "reached" if is_so else "missed"


def main() -> int:
    """Measure both sides, one after the other, and print the table; the exit code is 1 where one broke."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_slots", description=__doc__, allow_abbrev=False)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--median", type=float, default=20.0, help="seconds of a run")
    parser.add_argument("--sigma", type=float, default=0.7, help="of their logarithms")
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    parser.add_argument("--peer", type=Path, default=ROOT / "build" / "hydra-optuna", help="the peer's environment")
    options = parser.parse_args()
    if lacks := missing():
        say(f"needs a Slurm cluster of its own, and there is no {lacks[0]} here (Debian: {PACKAGES})")
        return 1
    try:
        python = peer_python(options.peer.resolve())
        with tempfile.TemporaryDirectory(prefix="heyhi-bench-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            with _cluster(folder / "c") as cluster:
                say("HeyHi …")
                ours = search_by_heyhi(folder / "heyhi", cluster, options)
                say(f"  {ours}\nhydra-optuna-sweeper with submitit …")
                cluster.wait_idle()
                peer = search_by_hydra(folder / "hydra", cluster, options, python)
                say(f"  {peer}")
    except CommandFailed as error:
        say(str(error))
        return 1
    print(table(ours, peer, options.parallel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
