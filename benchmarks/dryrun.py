"""Compares `snakemake -n` over a sweep, and a run with nothing to do, with the same over a bare Snakefile.

The peer has one wildcard rule with an input function, a log, and threads by a function, an aggregate with the same
targets as inputs, and `rule all`; its targets stand in a text file, and it is run with the same profile. What HeyHi
adds is expanding the sweep, writing its manifest, a manifest for each job, and the look how what is DONE was made.
Both have the same result files; HeyHi's experiments also have the records of a run.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.experiments import LONG_AGO
from benchmarks.table import Row
from benchmarks.timing import Command, Cost, in_turns, median, run
from benchmarks.workspace import Effort, Workspace

NONE_DONE, MEMORY, DONE = 1.0, 1.1, 0.3  # goals
_LARGE = 10_000
_SNAKEMAKE = Path(sys.executable).parent / "snakemake"
_RESULT = '{"loss": 0.5}'
_SWEEP = """\
def yield_sweep():
    for i in range({size}):
        yield "conf/c02_sup_train/sl.prototxt", {{"lr": (i // 100 + 1) / 1000, "seed": i % 100}}
"""
_SNAKEFILE = """\
from pathlib import Path

TARGETS = Path("targets.txt").read_text().split()


def needs(wildcards):
    return []


def threads(wildcards):
    return 1


rule all:
    input:
        "results/reports/sweep.csv",


rule experiment:
    input:
        needs=ancient(needs),
    output:
        result="{exp}/result.json",
    log:
        "{exp}/launch.log",
    threads: threads
    message:
        "run {wildcards.exp}"
    shell:
        "python -m job {output.result:q} 2> {log:q}"


rule aggregate:
    input:
        results=TARGETS,
    output:
        table="results/reports/sweep.csv",
    log:
        "results/reports/sweep.log",
    localrule: True
    message:
        "write {output.table}"
    shell:
        "python -m table {output.table:q} 2> {log:q}"
"""


def measure(effort: Effort) -> Iterator[Row]:
    """Measure both sizes: the goals are about the larger one."""
    for size in (1_000,) if effort.quick else (1_000, 10_000):
        with Workspace() as work:
            (work.root / "sweep.py").write_text(_SWEEP.format(size=size))
            yield from _Rows(work, size, effort.rounds).rows()


class _Rows:
    """The rows of a sweep of one size.

    Args:
        work: where.
        size: how many experiments.
        rounds: how often each side is measured.
    """

    def __init__(self, work: Workspace, size: int, rounds: int) -> None:
        self._work = work
        self._size = size
        self._rounds = rounds
        self._is_goal = size >= _LARGE
        self._bare = _bare_project(work, work.output(work.heyhi("expand", "sweep.py")))

    def rows(self) -> Iterator[Row]:
        """Measure while none is DONE, while 99 % are, and a run when all are and the tables are there."""
        name = f"{self._size:,}"
        ours, peer = self._costs("none DONE", "-n", empty=True)
        yield self._row(f"dry run: snakemake -n, {name}", ours, peer, NONE_DONE)
        peaks = [Cost(peak, peak) for peak in (max(one.peak for one in costs) for costs in (ours, peer))]
        most = MEMORY if self._is_goal else None
        yield Row(f"dry run: memory for {name} / bare Snakefile", peaks[0], peaks[1], at_most=most, unit="MB")
        targets = (self._bare / "targets.txt").read_text().split()
        self._finish([target for number, target in enumerate(targets) if number % 100 != 50])
        yield self._row(f"dry run: {name}, 99 % DONE", *self._costs("99 % DONE", "-n"), DONE)
        self._finish(targets)
        run(self._snakemake())  # makes the table
        (self._bare / "results/reports").mkdir()
        (self._bare / "results/reports/sweep.csv").touch()
        yield self._row(f"dry run: a run with nothing to do, {name}", *self._costs("nothing to do"), DONE)

    def _row(self, what: str, ours: list[Cost], peer: list[Cost], most: float) -> Row:
        goal = most if self._is_goal else None
        return Row(f"{what} / bare Snakefile", median(ours), median(peer), at_most=goal)

    def _snakemake(self, *args: str, empty: bool = False) -> Command:
        words = [*args, "--profile", "profiles/local", "--config", "sweep=sweep.py"]
        return self._work.command(_SNAKEMAKE, *words, empty=empty)

    def _costs(self, state: str, *args: str, empty: bool = False) -> tuple[list[Cost], list[Cost]]:
        commands = {
            f"snakemake, {self._size:,} experiments, {state}": self._snakemake(*args, empty=empty),
            f"bare snakemake, {self._size:,} experiments, {state}": self._work.command(
                _SNAKEMAKE, *args, "--profile", self._work.root / "profiles/local", cwd=self._bare
            ),
        }
        ours, peer = in_turns(commands, self._rounds).values()
        return ours, peer

    def _finish(self, targets: list[str]) -> None:
        """Put in place what runs of experiments leave behind, as far as it is looked at, and the peer's results."""
        from heyhi.experiment.folder import config_digest
        from heyhi.sweep.manifest import Manifest

        work = self._work
        path = work.root / work.output(work.heyhi("expand", "sweep.py", "--manifest")).strip()
        roots = {"project_root": str(work.root), "results_root": str(work.results)}
        end = json.dumps({"event": "end", "attempt": 1, "exit_code": 0, "exception": "", "seconds": 600.1})
        with Manifest.open(path) as manifest:
            digests = {row.exp_id: config_digest(row.config, manifest.schema()) for row in manifest.configs()}
            for target in targets:
                experiment = manifest.experiment(target)
                start: dict[str, object] = {"event": "start", "attempt": 1, "kind": "first", "host": "node", "pid": 7}
                start["config"] = digests[experiment.exp_id]
                files = {
                    "identity.json": json.dumps({**experiment.identity.to_dict(), **roots}, indent=2),
                    "attempts.jsonl": f"{json.dumps(start)}\n{end}",
                    "result.json": _RESULT,
                }
                for name, text in files.items():
                    _write(experiment.exp_path / name, text)
                _write(self._bare / target, _RESULT)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")
    os.utime(path, (LONG_AGO, LONG_AGO))


def _bare_project(work: Workspace, targets: str) -> Path:
    bare = work.folder / "bare"
    bare.mkdir()
    (bare / "Snakefile").write_text(_SNAKEFILE)
    (bare / "targets.txt").write_text(targets)
    return bare
