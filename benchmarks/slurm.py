"""Compares what a job costs on one Slurm cluster, for 50 experiments whose task does nothing.

The peers do the same on the same cluster, in turns: a bare loop of `sbatch`, jobs of `python -c pass`; submitit, a
function that does nothing submitted 50 times, then its results waited for; and Snakemake with the official Slurm
executor, a bare Snakefile of 50 targets, all as they come. CPU time is the client's own and that of the jobs, as
accounting has it; what Slurm's daemons take is in neither. Wall time goes from the start to the end of a client that
waits for all results. HeyHi's hold more: the sweep's expansion, a copy of the code, claims, attempts, table and page.

One more row is about a limit of two jobs at once: 12 jobs of a second beside `sbatch --wait`, two at a time. It has
wall times alone. Another is about what lies between the ends of jobs and the starts of the next: a node with room for
20 at once gets 500 jobs of a second when all of them wait in Slurm's queue. Lost are the seconds in which a place there
runs no job's program while more jobs wait, by the programs' own clocks: Slurm's doing, and that of the job's script. A
further row counts all that isn't the job's one second of work, so also the start and the end of its program.

The cluster is one of three nodes on this machine, which the tests use too; on two cores it is the machine that limits
the wall times. Where Slurm isn't installed nothing is measured.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from benchmarks.expand import CFG
from benchmarks.table import Row
from benchmarks.timing import Command, CommandFailed, Cost, median, run, say
from benchmarks.workspace import Effort, Workspace
from tests.slurm.cluster import PACKAGES, Cluster, ClusterError, missing, wait_until

GOAL = 1.0
OFFICIAL_GOAL = 0.1
BARE_GOAL, BARE_WALL_GOAL = 7.5, 3.0
LIMIT_GOAL = 2.0
LOST_GOAL = 1.3
_SLOTS = 20
_LIMITED = 12
_NAP = "BENCH_NAP"  # environment variable: seconds that the task sleeps
_STAMPS = "BENCH_STAMPS"  # environment variable: folder in which a job writes down from when until when that was
_WORK = f"""\
import os
import time

began = time.time()
time.sleep(float(os.environ.get("{_NAP}", "0")))
if folder := os.environ.get("{_STAMPS}"):
    with open(f"{{folder}}/{{os.environ['SLURM_JOB_ID']}}.work", "x") as file:
        file.write(f"{{began}} {{time.time()}}")
"""
# A command that runs another one, and notes from when until when.
_AROUND = f"""\
#!/bin/bash
began=$EPOCHREALTIME
"$@"
code=$?
[ ! "${_STAMPS}" ] || echo "$began $EPOCHREALTIME" > "${_STAMPS}/$SLURM_JOB_ID.program"
exit "$code"
"""
_TASK = f"""\
def main(task, cfg, log_level):
{textwrap.indent(_WORK, "    ")}
    return {{}}


if __name__ == "__main__":
    import heyhi

    heyhi.parse_args_and_maybe_launch(main)
"""
_SWEEP = """\
def yield_sweep():
    for seed in range({size}):
        yield "conf/{cfg}.prototxt", {{"seed": seed, "I.launcher": "slurm", **{more}}}
"""
# The cluster's QOS that lets a user have two jobs at once.
_LIMIT = {"launcher.slurm.qos": "small"}
_LIMITED_LOOP = """\
seq "$1" | xargs -P 2 -I{} sbatch --wait --qos=small --time=5 --mem=2000 --output=/dev/null --wrap 'sleep 1' > /dev/null
"""
# All of the memory of the only node of this partition, in as many parts as it has places.
_NODE, _NODE_MB = "single", 256_000
_PLACE = {"launcher.slurm.partition": _NODE, "launcher.slurm.mem_per_gpu": f"{_NODE_MB / _SLOTS / 1024:g}"}
_PLACE_LOOP = f"""\
for i in $(seq "$1"); do
  sbatch --partition={_NODE} --time=5 --mem={_NODE_MB // _SLOTS} --output=/dev/null --wrap "$2 $0 $3" > /dev/null
done
until [ "$(ls "${_STAMPS}" | grep -c program)" = "$1" ]; do sleep 0.2; done
"""
# Each waits until the results are there. $0 is Python, $1 how many, $2 the folder.
_WAIT = 'until [ "$(find "$2" -name "$3" | wc -l)" = "$1" ]; do sleep 0.2; done'
_BARE_LOOP = f"""\
mkdir "$2"
for i in $(seq "$1"); do
  sbatch --parsable --time=5 --mem=2000 --output=/dev/null --wrap "$0 -c pass && : > $2/$i.done" > /dev/null
done
{_WAIT}
"""
_TASK_FILE_LOOP = f"""\
for i in $(seq "$1"); do "$0" run.py --cfg {CFG} seed="$i" I.launcher=slurm > /dev/null; done
{_WAIT}
"""
_SUBMITIT = """\
import sys
import submitit

def empty():
    return {}

executor = submitit.AutoExecutor(folder=sys.argv[2], cluster="slurm")
executor.update_parameters(timeout_min=5, cpus_per_task=1, mem_gb=2)
jobs = [executor.submit(empty) for _ in range(int(sys.argv[1]))]
assert [job.result() for job in jobs] == [{}] * len(jobs)
"""
_SNAKEFILE = """\
rule all:
    input:
        [f"out/{i}.done" for i in range(int(config["size"]))],


rule empty:
    output:
        "out/{i}.done",
    resources:
        runtime=5,
        mem_mb=2000,
    shell:
        "PYTHON -c pass && touch {output}"
"""


def measure(effort: Effort) -> Iterator[Row]:
    """Measure all in turns; the official executor once, as it takes minutes."""
    lacks = missing()
    if lacks:
        say(f"  left out: needs a Slurm cluster of its own, and there is no {lacks[0]} here (Debian: {PACKAGES})")
        return
    size, rounds = (10, 2) if effort.quick else (50, 3)
    with Workspace() as work, _cluster(work.folder / "c") as cluster:
        bench = _Bench(work, cluster)
        commands = {
            "bare sbatch loop": bench.bare_loop,
            "submitit": bench.submitit,
            "HeyHi: snakemake": bench.snakemake,
            "HeyHi: run.py in a loop": bench.task_file_loop,
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, command in commands.items():
                cost = bench.cost_of(name, command(size if number else 2))
                if number:
                    costs[name].append(cost)
        official = None if effort.quick else _official(bench, size)
        limited = [
            bench.cost_of("sbatch --wait, two at once", bench.limited_loop(_LIMITED)),
            bench.cost_of("HeyHi at that limit", bench.limited(_LIMITED)),
        ]
        many = 40 if effort.quick else 500
        lost = [
            bench.lost("sbatch", bench.place_loop(many), many),
            bench.lost("HeyHi", bench.places(many), many),
        ]
    bare, submitit, snakemake, task_file = map(median, costs.values())
    start = f"slurm: {size} jobs,"
    yield Row(f"{start} snakemake / submitit", snakemake, submitit, at_most=GOAL, both=True)
    yield Row(f"{start} run.py in a loop / submitit", task_file, submitit)
    if official is not None:
        yield Row(f"{start} snakemake / official executor", snakemake, official, at_most=OFFICIAL_GOAL, both=True)
    yield Row(f"{start} snakemake / bare sbatch loop", snakemake, bare, at_most=BARE_GOAL, at_most_wall=BARE_WALL_GOAL)
    waited, ours = (Cost(cost.wall, cost.wall) for cost in limited)
    yield Row(f"slurm: {_LIMITED} jobs of 1 s, 2 at once / sbatch --wait", ours, waited, at_most=LIMIT_GOAL)
    (between, beside), (our_between, our_beside) = lost
    what = f"slurm: {many} jobs of 1 s, {_SLOTS} at once:"
    yield Row(f"{what} lost between / sbatch loop", our_between, between, at_most=LOST_GOAL)
    yield Row(f"{what} lost between and in them / sbatch loop", our_beside, beside)


def _official(bench: _Bench, size: int) -> Cost | None:
    try:
        with bench.at_default_place():
            return bench.cost_of("Snakemake with the official executor", bench.official(size))
    except (ClusterError, CommandFailed) as error:
        say(f"  left out: the official executor: {error}")
    return None


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    except ClusterError as error:
        raise CommandFailed(str(error)) from None
    finally:
        cluster.stop(wipe=True)


class _Bench:
    """Run commands that submit jobs, and count what their jobs have cost too."""

    def __init__(self, work: Workspace, cluster: Cluster) -> None:
        self._work = work
        self._cluster = cluster
        (work.root / "run.py").write_text(_TASK)
        self._scratch = work.folder / "peer"
        self._stamps = work.folder / "stamps"

    def cost_of(self, name: str, command: Command) -> Cost:
        """Run a command on an idle cluster; the cost is its own and its jobs'."""
        self._cluster.wait_idle()
        first = self._next_job()
        cost = run(replace(command, env={**command.env, **self._cluster.env}))
        jobs = [str(number) for number in range(first, self._next_job())]
        cpu = self._cpu_of(jobs)
        say(f"  {name}, {len(jobs)} jobs: {cost.wall:.1f} s; CPU {cost.cpu:.1f} s and {cpu:.1f} s in the jobs")
        return Cost(cost.cpu + cpu, cost.wall)

    def lost(self, name: str, command: Command, size: int) -> tuple[Cost, Cost]:
        """Run a command that submits jobs of a second; return what is lost between programs, and between their seconds.

        The jobs begin once all of them wait, so that it takes no part in that how fast they come.
        """
        self._cluster.wait_idle()
        shutil.rmtree(self._stamps, ignore_errors=True)
        self._stamps.mkdir()
        more = {_NAP: "1", _STAMPS: str(self._stamps)}
        command = replace(command, env={**command.env, **self._cluster.env, **more})
        with ThreadPoolExecutor(1) as pool:
            with self._cluster.closed(_NODE):
                cost = pool.submit(run, command)
                wait_until(lambda: cost.done() or len(self._cluster.jobs()) == size, "all jobs wait", 600)
            cost.result()
        between, beside = (
            lost_in([_times_in(path) for path in self._stamps.glob(f"*.{what}")], _SLOTS)
            for what in ("program", "work")
        )
        say(
            f"  {name}, {size} jobs of 1 s: lost {between:.1f} s between programs, {beside:.1f} s between their seconds"
        )
        return Cost(between, between), Cost(beside, beside)

    def place_loop(self, size: int) -> Command:
        work = self._work.folder / "work.py"
        work.write_text(_WORK)
        return self._peer("bash", "-c", _PLACE_LOOP, sys.executable, str(size), self._around(), work)

    def places(self, size: int) -> Command:
        return self.snakemake(size, {**_PLACE, "launcher.slurm.prefix": str(self._around())})

    def _around(self) -> Path:
        path = self._work.folder / "around"
        path.write_text(_AROUND)
        path.chmod(0o755)
        return path

    def bare_loop(self, size: int) -> Command:
        return self._peer("bash", "-c", _BARE_LOOP, sys.executable, str(size), self._scratch / "out", "*.done")

    def submitit(self, size: int) -> Command:
        return self._peer(sys.executable, "-c", _SUBMITIT, str(size), self._scratch / "log")

    def official(self, size: int) -> Command:
        snakefile = self._work.folder / "Snakefile"
        snakefile.write_text(_SNAKEFILE.replace("PYTHON", sys.executable))
        # Jobs of its fail now and then: it is to end when all results are there, as the others do.
        options = ("--executor", "slurm", "--slurm-no-account", "--jobs", str(size), "--retries", "3")
        snakemake = Path(sys.executable).parent / "snakemake"
        return self._peer(snakemake, "-s", snakefile, *options, "--config", f"size={size}")

    def limited_loop(self, size: int) -> Command:
        return self._peer("bash", "-c", _LIMITED_LOOP, sys.executable, str(size))

    def limited(self, size: int) -> Command:
        command = self.snakemake(size, _LIMIT)
        return replace(command, env={**command.env, _NAP: "1"})

    def snakemake(self, size: int, more: Mapping[str, str] = MappingProxyType({})) -> Command:
        (self._work.root / "sweep.py").write_text(_SWEEP.format(size=size, cfg=CFG, more=dict(more)))
        snakemake = Path(sys.executable).parent / "snakemake"
        return self._work.command(snakemake, "--profile", "profiles/slurm", "--config", "sweep=sweep.py", empty=True)

    def task_file_loop(self, size: int) -> Command:
        args = (sys.executable, str(size), self._work.results, "result.json")
        return self._work.command("bash", "-c", _TASK_FILE_LOOP, *args, empty=True)

    @contextlib.contextmanager
    def at_default_place(self) -> Iterator[None]:
        """Put the configuration where the official executor's jobs look for it, unless something is there."""
        self._cluster.link_default()
        try:
            yield
        finally:
            self._cluster.unlink_default()

    def _peer(self, *args: str | Path) -> Command:
        """Make a command that runs in a folder of its own, each time a new one."""

        def prepare() -> None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch.mkdir()

        return Command(args, self._scratch, self._work.env, prepare)

    def _next_job(self) -> int:
        config = self._cluster.run("scontrol", "show", "config").splitlines()
        return int(next(line.partition("=")[2] for line in config if line.startswith("NEXT_JOB_ID")))

    def _cpu_of(self, jobs: list[str]) -> float:
        """Wait until all jobs have ended, and add up the seconds that accounting has for them."""
        found: dict[str, tuple[str, str]] = {}

        def are_over() -> bool:
            text = self._cluster.run("sacct", "-n", "-P", "-j", ",".join(jobs), "-o", "JobID,State,TotalCPU")
            rows = (line.split("|") for line in text.splitlines())
            found.update({job: (state, cpu) for job, state, cpu in rows})  # steps, too
            states = [found.get(job, ("PENDING", ""))[0] for job in jobs]
            return not any(state in ("PENDING", "RUNNING", "COMPLETING", "SUSPENDED") for state in states)

        wait_until(are_over, "accounting knows how all jobs have ended", 60)
        failed = [job for job in jobs if found[job][0] != "COMPLETED"]
        if failed:
            say(f"  {len(failed)} jobs ended otherwise: {', '.join(sorted({found[job][0] for job in failed}))}")
        return sum(seconds_of(found[job][1]) for job in jobs)


def lost_in(works: Sequence[tuple[float, float]], slots: int) -> float:
    """Return for how many seconds in all places did no work between the first start and the last.

    Args:
        works: start and end of each.
        slots: how many places there are.
    """
    first, last = min(began for began, _ in works), max(began for began, _ in works)
    return slots * (last - first) - sum(min(ended, last) - began for began, ended in works)


def _times_in(path: Path) -> tuple[float, float]:
    began, ended = map(float, path.read_text().split())
    return began, ended


def seconds_of(text: str) -> float:
    """Read a time of Slurm's: [days-][hours:]minutes:seconds."""
    days, _, rest = text.rpartition("-")
    total = 0.0
    for part in rest.split(":"):
        total = 60 * total + float(part)
    return 86_400 * int(days or 0) + total
