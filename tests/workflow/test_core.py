"""A project where nothing but HeyHi's core is installed: it runs, has its table, and is told what it lacks before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.extras import install_line
from tests.core_only import core_only

from .conftest import SECONDS, Tiny

SEARCH = """
import heyhi
SEARCH = heyhi.Search(cfg="conf/work", space={"x": "1,2"}, max="y", trials=2, sampler="random")
"""
NO_OPTUNA = f"error: a search needs optuna, which isn't installed here: {install_line('search')}"
NO_TENSORBOARD = f"error: TensorBoard needs tensorboardX, which isn't installed here: {install_line('tensorboard')}"


class Core:
    """The tiny project, its commands without any extra."""

    def __init__(self, tiny: Tiny, folder: Path) -> None:
        self.tiny = tiny
        self.root = tiny.root
        self.full = dict(tiny.env)
        tiny.env |= {"PYTHONPATH": core_only(folder)}

    def heyhi(self, *args: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "heyhi.cli", *args]
        done = subprocess.run(
            command, cwd=self.root, env=self.tiny.env, capture_output=True, text=True, check=False, timeout=SECONDS
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    def set(self, line: str) -> None:
        with (self.root / "pyproject.toml").open("a") as file:
            file.write(f"{line}\n")

    @property
    def reports(self) -> list[str]:
        return sorted(path.suffix for path in (self.root / "results/reports/sweep").iterdir())


@pytest.fixture
def core(tiny: Tiny, tmp_path: Path) -> Core:
    return Core(tiny, tmp_path / "refusing")


def test_all_but_a_page_comes_without_extras_and_nothing_is_redone_when_they_come(core: Core) -> None:
    for command in (("--help",), ("print", "work"), ("expand",), ("describe", "work")):
        assert core.heyhi(*command)[0] == 0, command
    code, out, _ = core.heyhi("plan")
    lacks = f"there will be no page: {install_line('page')}"
    assert code == 0 and lacks in out.splitlines()
    first = core.tiny.snakemake()
    assert first.returncode == 0, first.stderr
    assert lacks in first.stderr.splitlines()
    assert f"no page: {install_line('page')}" in first.stdout.splitlines()
    assert core.reports == [".csv", ".log"] and (core.root / "results/reports/sweep.csv").exists()
    assert not (core.root / "results/reports/sweep.html").exists()
    assert "DONE 3" in core.heyhi("status")[1]
    code, out, _ = core.heyhi("report", "--to", "t.csv", "--to", "t.xlsx", "--to", "t.md")
    assert code == 0 and "written: t.csv, t.xlsx, t.md" in out
    code, out, _ = core.heyhi("report")
    assert code == 0 and "written: results/reports/sweep.csv" in out.splitlines()
    assert out.splitlines()[-1] == f"no page: {install_line('page')}"
    again = core.tiny.snakemake()
    assert again.returncode == 0 and "Nothing to be done" in again.stderr

    core.tiny.env = core.full  # now it is installed
    again = core.tiny.snakemake()
    assert again.returncode == 0 and "Nothing to be done" in again.stderr, again.stderr
    assert core.reports == [".csv", ".log"]
    asked = core.tiny.snakemake("--forcerun", "aggregate")
    assert asked.returncode == 0 and "no page" not in asked.stdout + asked.stderr
    assert core.reports == [".csv", ".html", ".log"] and (core.root / "results/reports/sweep.html").exists()
    assert sorted(core.tiny.ledger) == ["work 1", "work 2", "work 3"]

    core.tiny.env = {**core.full, "PYTHONPATH": core_only(core.root.parent / "again")}  # and gone
    again = core.tiny.snakemake()
    assert again.returncode == 0 and "Nothing to be done" in again.stderr


def test_a_format_or_sheet_that_is_asked_for_by_name_is_refused_with_its_extra(core: Core) -> None:
    for words, extra in (
        (("--to", "t.html"), "page"),
        (("--to", "t.parquet"), "parquet"),
        (("--sheet", "a", "b"), "sheets"),
    ):
        code, out, err = core.heyhi("report", *words)
        assert (code, out) == (2, "") and err.endswith(f"here: {install_line(extra)}\n"), err
    assert core.heyhi("sheets", "login")[0] == 2
    assert install_line("sheets") in core.heyhi("sheets", "check")[1]


def test_what_the_end_will_lack_is_said_in_one_line_before_anything_starts(core: Core) -> None:
    core.set('reports = ["csv", "html", "parquet"]')
    with (core.root / "conf/sweep.py").open("a") as file:
        file.write('SHEET = ("A spreadsheet", "a sheet")\n')
    lacks = (
        f"there will be no page and no Parquet file and no Google Sheet: {install_line('page', 'parquet', 'sheets')}"
    )
    assert lacks in core.heyhi("plan")[1].splitlines()
    code, out, _ = core.heyhi("launch", "--foreground", "--profile", "profiles/local")
    assert code == 0 and out.splitlines().index(lacks) < 5
    assert len(core.tiny.ledger) == 3
    core.tiny.env = core.full
    assert "there will be no" not in core.heyhi("plan")[1]


def test_nothing_is_said_of_a_page_that_the_settings_leave_out(core: Core) -> None:
    core.set('reports = ["csv"]')
    assert "page" not in core.heyhi("plan")[1]
    done = core.tiny.snakemake()
    assert done.returncode == 0 and "no page" not in done.stdout + done.stderr


def test_a_search_without_optuna_is_refused_by_whatever_starts_it(core: Core) -> None:
    (core.root / "conf/tune.py").write_text(SEARCH)
    for command in (("launch", "conf/tune.py"), ("search", "conf/tune.py")):
        code, _, err = core.heyhi(*command)
        assert code == 2 and err.splitlines()[-1] == NO_OPTUNA, err
    code, out, _ = core.heyhi("plan", "conf/tune.py")
    assert code == 0 and NO_OPTUNA.replace("error: ", "heyhi launch would refuse it: ") in out.splitlines()
    done = core.tiny.snakemake("--config", "sweep=conf/tune.py")
    assert done.returncode == 2 and NO_OPTUNA in done.stderr.splitlines() and "Traceback" not in done.stderr
    assert not core.tiny.ledger and not [*(core.root / "results").glob("searches/*/slots/*")]
    assert "conf/tune.py" not in core.heyhi("status", "--sweeps")[1]


def test_a_run_that_is_to_log_to_tensorboard_without_it_is_refused_until_all_is_done(core: Core) -> None:
    core.set('log_to = ["tensorboard"]')
    done = core.tiny.snakemake()
    assert done.returncode == 2 and NO_TENSORBOARD in done.stderr.splitlines(), done.stderr
    code, _, err = core.heyhi("launch", "--profile", "profiles/local")
    assert code == 2 and err.splitlines()[-1] == NO_TENSORBOARD
    assert core.tiny.snakemake("-n").returncode == 0  # who only looks starts nothing
    assert not core.tiny.ledger
    core.tiny.env, core_env = core.full, core.tiny.env
    assert core.tiny.snakemake().returncode == 0
    core.tiny.env = core_env
    done = core.tiny.snakemake("--forcerun", "aggregate")  # of what is done, a table is written anyway
    assert done.returncode == 0, done.stderr
    assert len(core.tiny.ledger) == 3
