"""Compares gathering a sweep's table with a bare loop of orjson over the same files, and says what a page takes.

The peer is a Python loop that opens each metrics.jsonl, parses each of its lines with `orjson.loads`, drops what it
got, and does the same with each result.json, which a report must read too. HeyHi also finds out which experiments
there are, looks at each one's files and attempts, takes last and best values, remembers them and makes a DataFrame.

All are measured around the call, in a process of their own that has imported all and made a table of one experiment:
start-up is no part of it. *Cold*: nothing is remembered. *Warm*: all was remembered, and then the files of every
hundredth experiment were changed. From a manifest, as the aggregate rule does; and from a sweep file, as `heyhi
report` does, which is expanded first.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks.experiments import LONG_AGO, make_experiments
from benchmarks.table import Row
from benchmarks.timing import Cost, in_turns, median, say
from benchmarks.workspace import Effort, Workspace

COLD, WARM = 1.5, 0.1
PAGE_SECONDS = 5.0


def measure(effort: Effort) -> Iterator[Row]:
    """Measure tables, then a page."""
    size = 1_000 if effort.quick else 10_000
    with Workspace() as work:
        manifest, folders = make_experiments(work, "sweep.py", size)
        costs = _in_turns(work, manifest, folders, effort.rounds)
    peer = costs["bare loop"]
    for name, what in (("manifest", "of a manifest"), ("sweep file", "of a sweep file")):
        cold, warm = costs[f"{name}, cold"], costs[f"{name}, warm"]
        yield Row(f"report: {size:,} {what}, cold / bare orjson", cold, peer, at_most=COLD)
        yield Row(f"report: {size:,} {what}, 1 % changed / cold", warm, cold, at_most=WARM)
    with Workspace() as work:
        make_experiments(work, "sweep.py", 1_000)
        command = work.heyhi("report", "sweep.py", "--to", "page.html")
        (page,) = map(median, in_turns({"heyhi report --to page.html": command}, effort.rounds).values())
    limit = Cost(PAGE_SECONDS, PAGE_SECONDS)
    yield Row(f"page: heyhi report, 1,000 experiments / {PAGE_SECONDS:g} s", page, limit, at_most=1.0)


def _in_turns(work: Workspace, manifest: Path, folders: list[Path], rounds: int) -> dict[str, Cost]:
    listed = _listed(work, folders)
    remembered = work.results / ".heyhi/readings"
    draw = random.Random(0)

    def forget() -> None:
        shutil.rmtree(remembered, ignore_errors=True)

    def change() -> None:
        for folder in draw.sample(folders, len(folders) // 100):
            when = LONG_AGO + draw.randrange(10_000_000)
            for path in folder.iterdir():
                os.utime(path, (when, when))

    steps: dict[str, tuple[Callable[[], None], str, Path]] = {
        "bare loop": (lambda: None, "loop", listed),
        "manifest, cold": (forget, "table", manifest),
        "manifest, warm": (change, "table", manifest),
        "sweep file, cold": (forget, "table", work.root / "sweep.py"),
        "sweep file, warm": (change, "table", work.root / "sweep.py"),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, (prepare, what, path) in steps.items():
            say(f"  {f'round {number} of {rounds}' if number else 'warming up'}: {name}")
            prepare()
            cost = _cost(work, what, path)
            if number:
                costs[name].append(cost)
    return {name: median(found) for name, found in costs.items()}


def bare_loop(work: Workspace, folders: Sequence[Path]) -> Callable[[], Cost]:
    """Return what measures the peer, for experiments that are done."""
    return partial(_cost, work, "loop", _listed(work, folders))


def _listed(work: Workspace, folders: Sequence[Path]) -> Path:
    listed = work.folder / "folders.txt"
    listed.write_text("".join(f"{folder}\n" for folder in folders))
    return listed


def _cost(work: Workspace, what: str, path: Path) -> Cost:
    printed = work.output(work.command(sys.executable, __file__, what, path))
    return Cost(*map(float, printed.split()))


# --- what is measured: this file is run as a script for it -----------------------------------------------------------


def _bare_loop(listed: Path) -> Callable[[], object]:
    from orjson import loads

    folders = listed.read_text().split()

    def loop() -> None:
        for folder in folders:
            with open(f"{folder}/metrics.jsonl", "rb") as file:  # noqa: PTH123 (Path's takes longer)
                for line in file:
                    loads(line)
            with open(f"{folder}/result.json", "rb") as file:  # noqa: PTH123
                loads(file.read())

    return loop


def _table(sweep: Path) -> Callable[[], object]:
    import heyhi

    heyhi.table("one.py", progress=False)
    return lambda: heyhi.table(sweep, progress=False)


def _measured(work: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()  # kept until the clocks are read: freeing it is no part of making it
    cost = Cost(time.process_time() - cpu, time.perf_counter() - wall)
    del found
    return cost


if __name__ == "__main__":
    cost = _measured({"loop": _bare_loop, "table": _table}[sys.argv[1]](Path(sys.argv[2])))
    print(cost.cpu, cost.wall)
