"""The benchmark of a sweep on this machine runs as many jobs on each side, each time it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.local import Bench
from benchmarks.timing import Command, run
from benchmarks.workspace import Workspace


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Workspace() as work:
        yield Bench(work)


def made(command: Command, folder: Path) -> int:
    """Run a command twice; return how many results it has made the second time."""
    run(command)
    before = _results(folder)
    run(command)
    assert before.isdisjoint(_results(folder))
    return len(_results(folder))


def _results(folder: Path) -> set[tuple[Path, int]]:
    return {(path, path.stat().st_mtime_ns) for path in folder.rglob("result.json")}


def test_a_sweep_is_run_anew_to_its_table(bench: Bench) -> None:
    assert made(bench.sweep(3), bench.results) == 3
    assert list((bench.results / "reports").glob("*.csv"))


def test_the_bare_snakefile_is_run_anew(bench: Bench) -> None:
    assert made(bench.snakefile(3), bench.bare) == 3


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_hydra_runs_as_many(bench: Bench, launcher: str) -> None:
    assert made(bench.multirun(3, f"hydra/launcher={launcher}"), bench.hydra) == 3
