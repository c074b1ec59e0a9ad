"""Compares a sweep of 200 experiments whose task does nothing, run on this machine, with the same by other tools.

HeyHi's side is `snakemake --profile profiles/local` over a sweep of which nothing is there, until its table is on the
terminal; its goal is about wall time, which is what somebody waits for. The peer is a bare Snakefile of as many jobs,
run as it comes. Each imports protobuf's text format, the least that a job with such a config starts with, and writes a
result: no claims, no records, no expansion, no table. Snakemake's default scheduler has a solver choose each
job; the peer runs once more with the greedy one.

hydra's `-m` runs them all in one process with its basic launcher, where the second one costs next to nothing and finds
what the first one has left behind; with the joblib launcher in one process for each core. Both have no process of its
own for each run, and are the floor of that.

The last row compares HeyHi with itself: experiments of the example's task beside as many that do nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.expand import CFG
from benchmarks.hydra import write_tree
from benchmarks.table import Row
from benchmarks.timing import Command, Cost, in_turns, median
from benchmarks.workspace import Effort, Workspace

GOAL = 1.6
_EMPTY_TASK = "def main(task, cfg, log_level):\n    return {}\n"
_SWEEP = """\
def yield_sweep():
    for seed in range({size}):
        yield "conf/{cfg}.prototxt", {{"seed": seed}}
"""
_SNAKEFILE = """\
rule all:
    input:
        [f"out/{i}/result.json" for i in range(int(config["size"]))],


rule empty:
    output:
        "out/{i}/result.json",
    shell:
        "PYTHON -c 'import google.protobuf.text_format; open(\\"{output}\\", \\"w\\").write(\\"null\\")'"
"""
_HYDRA_TASK = """\
import hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(config_path="tree", config_name="sl", version_base=None)
def main(cfg):
    with open(f"{HydraConfig.get().runtime.output_dir}/result.json", "w") as file:
        file.write("null")


if __name__ == "__main__":
    main()
"""


def measure(effort: Effort) -> Iterator[Row]:
    """Measure all in turns; wall times count."""
    size, few = (20, 4) if effort.quick else (200, 20)
    with Workspace() as work:
        bench = _Bench(work)
        costs = in_turns(
            {
                f"HeyHi, {size} empty experiments": bench.sweep(size),
                "a bare Snakefile": bench.bare(size),
                "a bare Snakefile, greedy scheduler": bench.bare(size, "--scheduler", "greedy"),
                "hydra -m": bench.hydra(size),
                "hydra -m, joblib launcher": bench.hydra(
                    size, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={os.cpu_count()}"
                ),
                f"HeyHi, {few} empty experiments": bench.sweep(few),
                f"HeyHi, {few} of the example": bench.sweep(few, is_empty=False),
            },
            1 if effort.quick else 3,
        )
    ours, bare, greedy, hydra, joblib, empty, example = map(median, costs.values())
    start = f"local: {size} empty,"
    yield Row(f"{start} wall / bare Snakefile", _wall(ours), _wall(bare), at_most=GOAL)
    yield Row(f"{start} CPU / bare Snakefile", ours, bare)
    yield Row(f"{start} wall / bare, greedy scheduler", _wall(ours), _wall(greedy))
    yield Row(f"{start} CPU / bare, greedy scheduler", ours, greedy)
    yield Row(f"{start} wall / hydra -m, one process", _wall(ours), _wall(hydra))
    yield Row(f"{start} wall / hydra -m, joblib", _wall(ours), _wall(joblib))
    yield Row(f"local: {few} of the example, wall / {few} empty", _wall(example), _wall(empty))


def _wall(cost: Cost) -> Cost:
    return replace(cost, cpu=cost.wall)


class _Bench:
    """Make the commands, each of which runs all of its jobs, however often it is called."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self._task = (work.root / "run.py").read_text()
        self._bare = work.folder / "bare"
        self._hydra = work.folder / "hydra"
        self._bare.mkdir()
        (self._bare / "Snakefile").write_text(_SNAKEFILE.replace("PYTHON", sys.executable))
        write_tree(self._hydra / "tree")
        (self._hydra / "app.py").write_text(_HYDRA_TASK)

    def sweep(self, size: int, *, is_empty: bool = True) -> Command:
        (self._work.root / f"sweep{size}.py").write_text(_SWEEP.format(size=size, cfg=CFG))

        def prepare() -> None:
            self._work.remove_results()
            (self._work.root / "run.py").write_text(_EMPTY_TASK if is_empty else self._task)

        profile = self._work.root / "profiles" / "local"
        command = self._work.command(_snakemake(), "--profile", profile, "--config", f"sweep=sweep{size}.py")
        return replace(command, prepare=prepare)

    def bare(self, size: int, *options: str) -> Command:
        return replace(
            self._work.command(_snakemake(), "--cores", "all", *options, "--config", f"size={size}", cwd=self._bare),
            prepare=_removal(self._bare / "out", self._bare / ".snakemake"),
        )

    def hydra(self, size: int, *overrides: str) -> Command:
        command = self._work.command(sys.executable, "app.py", "-m", f"seed=range({size})", *overrides, cwd=self._hydra)
        return replace(command, prepare=_removal(self._hydra / "multirun"))


def _snakemake() -> Path:
    return Path(sys.executable).parent / "snakemake"


def _removal(*folders: Path) -> Callable[[], None]:
    def remove() -> None:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    return remove
