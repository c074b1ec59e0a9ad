"""Compares `snakemake -n` over a sweep with the same over a bare Snakefile of the same shape.

The peer has one wildcard rule with an input function, a log, and threads by a function, an aggregate with the same
targets as inputs, and `rule all`; its targets stand in a text file, and it is run with the same profile. What HeyHi
adds is expanding the sweep, writing its manifest, and a manifest for each job.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.table import Row
from benchmarks.timing import in_turns, median
from benchmarks.workspace import Effort, Workspace

GOAL = 1.25
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
    """Measure both sizes."""
    for size in (1_000,) if effort.quick else (1_000, 10_000):
        with Workspace() as work:
            (work.root / "sweep.py").write_text(_SWEEP.format(size=size))
            bare = _bare_project(work, work.output(work.heyhi("expand", "sweep.py")))
            dry_run = (Path(sys.executable).parent / "snakemake", "-n", "--profile", work.root / "profiles/local")
            costs = in_turns(
                {
                    f"snakemake -n, {size:,} experiments": work.command(
                        *dry_run, "--config", "sweep=sweep.py", empty=True
                    ),
                    f"bare snakemake -n, {size:,} experiments": work.command(*dry_run, cwd=bare),
                },
                effort.rounds,
            )
            ours, peer = map(median, costs.values())
            yield Row(f"dry run: snakemake -n, {size:,} / bare Snakefile", ours, peer, at_most=GOAL)


def _bare_project(work: Workspace, targets: str) -> Path:
    bare = work.folder / "bare"
    bare.mkdir()
    (bare / "Snakefile").write_text(_SNAKEFILE)
    (bare / "targets.txt").write_text(targets)
    return bare
