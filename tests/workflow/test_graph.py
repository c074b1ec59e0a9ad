"""What is DONE is no job of Snakemake's, and nothing is missed for that: tables, needs, and all that is asked for."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from .conftest import LOOKS, Tiny


def results(tiny: Tiny) -> dict[int, Path]:
    """The results that are there, by their x."""
    found = (tiny.root / "results/p").glob("*/x=*/result.json")
    return {int(path.parent.name[2:].partition("_")[0]): path for path in found}


def jobs(tiny: Tiny, *args: str) -> dict[str, int]:
    """How many jobs of each rule a dry run counts."""
    said = tiny.snakemake("--dry-run", *args)
    assert said.returncode == 0, said.stderr
    text = said.stdout + said.stderr
    if "Nothing to be done" in text:
        return {}
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}


def test_a_table_is_made_anew_when_a_result_is_newer_or_was_removed_or_it_isnt_there_itself(tiny: Tiny) -> None:
    assert tiny.snakemake().returncode == 0
    assert jobs(tiny) == {}
    table = next((tiny.root / "results/reports").glob("*/*.csv"))
    assert ",10," in table.read_text()

    results(tiny)[1].write_text('{"y": 17}')  # made anew by somebody since
    assert jobs(tiny) == {"all": 1, "aggregate": 1, "total": 2}
    assert tiny.snakemake().returncode == 0
    assert ",17," in table.read_text() and len(tiny.ledger) == 3
    os.utime(results(tiny)[1], (1, 1))
    assert jobs(tiny) == {}

    for removed in (table, table.with_suffix(".html")):
        removed.unlink(missing_ok=True)
    assert jobs(tiny) == {"all": 1, "aggregate": 1, "total": 2}
    assert tiny.snakemake().returncode == 0 and table.is_file()

    results(tiny)[2].unlink()
    assert jobs(tiny) == {"all": 1, "aggregate": 1, "experiment": 1, "total": 3}
    assert tiny.snakemake().returncode == 0
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 2", "work 3"]
    assert jobs(tiny) == {}

    (tiny.root / "conf/sweep.py").write_text(LOOKS.replace("look", "work").replace("(5, 6)", "(1, 2, 4)"))
    assert jobs(tiny) == {"all": 1, "aggregate": 1, "experiment": 1, "total": 3}


def test_who_asks_for_what_is_done_gets_it(tiny: Tiny, tmp_path: Path) -> None:
    assert tiny.snakemake().returncode == 0
    (first, second) = (str(results(tiny)[x].relative_to(tiny.root)) for x in (1, 2))

    assert jobs(tiny, first) == {}
    assert jobs(tiny, "--forcerun", "aggregate") == {"all": 1, "aggregate": 1, "total": 2}
    everything = {"all": 1, "aggregate": 1, "experiment": 3, "total": 5}
    for words in (["--forcerun", "experiment"], ["--forceall"]):
        assert jobs(tiny, *words) == everything
    sweep = ("--config", "sweep=conf/sweep.py")
    assert jobs(tiny, "--forcerun", first, *sweep) == {"all": 1, "aggregate": 1, "experiment": 1, "total": 3}
    assert jobs(tiny, first, "--force") == {"experiment": 1, "total": 1}
    assert jobs(tiny, "--until", "experiment") == {}
    for words in (["--summary"], ["--detailed-summary"], ["--dag"], ["--delete-all-output", "-n"]):
        said = tiny.snakemake(*words)
        assert said.returncode == 0, said.stderr
        text = said.stdout + said.stderr
        assert first in text or "x=1_" in text, words
        assert second in text or "x=2_" in text, words
    for words in (["--rulegraph"], ["--filegraph"]):
        assert "experiment" in tiny.snakemake(*words).stdout
    report = tiny.snakemake("--report", str(tmp_path / "report.zip"))
    assert report.returncode == 0, report.stderr
    before = results(tiny)[1].stat().st_mtime_ns
    touched = tiny.snakemake("--touch", "--forceall")
    assert touched.returncode == 0 and results(tiny)[1].stat().st_mtime_ns > before, touched.stderr
    assert len(tiny.ledger) == 3


def test_a_need_that_is_done_is_known_all_the_same_and_one_that_isnt_runs_first(tiny: Tiny) -> None:
    (tiny.root / "conf/looks.py").write_text(
        "def yield_sweep():\n    for x in (5, 6):\n"
        '        yield "conf/look.prototxt", {"x": x, "at": "{{exp conf/work.prototxt x=9}}"}\n'
    )
    (target, _) = tiny.heyhi("expand", "conf/looks.py").splitlines()
    ran = tiny.snakemake("--config", "sweep=conf/looks.py")
    assert ran.returncode == 0, ran.stderr
    assert tiny.ledger[0] == "work 9" and sorted(tiny.ledger[1:]) == ["look 5", "look 6"]

    shutil.rmtree((tiny.root / target).parent)
    assert jobs(tiny, target) == {"experiment": 1, "total": 1}
    shutil.rmtree(tiny.root / "results/.heyhi/launches")
    assert tiny.snakemake(target).returncode == 0
    assert tiny.ledger[-1] == "look 5" and len(tiny.ledger) == 4
    assert "DONE 2" in tiny.heyhi("status"), "what it needs is known, too"

    results(tiny)[9].unlink()  # what needs it is done
    assert jobs(tiny, "--config", "sweep=conf/looks.py") == {}
    (tiny.root / target).unlink()
    assert jobs(tiny, target) == {"experiment": 2, "total": 2}


def test_who_starts_nothing_loads_nothing_of_a_run(tiny: Tiny) -> None:
    (tiny.root / "workflows").mkdir(exist_ok=True)
    (tiny.root / "workflows/own.smk").write_text(
        "import atexit, sys\n"
        "of_a_run = ('heyhi.report.write', 'heyhi.report.gather', 'heyhi.control.hearing', 'heyhi.notify.sending')\n"
        "atexit.register(lambda: print('loaded:', *[name for name in of_a_run if name in sys.modules]))\n"
    )

    def loaded(*args: str) -> list[str]:
        said = tiny.snakemake(*args)
        assert said.returncode == 0, said.stderr
        return re.findall(r"^loaded:(.*)$", said.stdout, re.MULTILINE)

    assert loaded("--dry-run") == [""]
    assert any("heyhi.report.write" in line for line in loaded())
    assert loaded() == [""]  # with nothing to do


@pytest.mark.parametrize("is_dry", [True, False])
def test_two_sweeps_are_each_asked_for_by_their_tables(tiny: Tiny, is_dry: bool) -> None:
    assert tiny.snakemake().returncode == 0
    (tiny.root / "conf/more.py").write_text(LOOKS.replace("look", "work").replace("(5, 6)", "(3, 4)"))
    tiny.heyhi("expand", "conf/more.py")
    tables = []
    for manifest in sorted((tiny.root / "results/.heyhi/manifests").glob("*.sqlite")):
        label, digest = manifest.stem.rsplit("-", 1)
        tables.append(f"results/reports/{label}/{digest}.csv")
    assert jobs(tiny, *tables) == {"aggregate": 1, "experiment": 1, "total": 2}
    if not is_dry:
        assert tiny.snakemake(*tables).returncode == 0
        assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3", "work 4"]
        assert jobs(tiny, *tables) == {}


def test_what_is_no_job_and_is_removed_meanwhile_costs_the_run_its_success(tiny: Tiny) -> None:
    (tiny.root / "conf/looks.py").write_text(
        "def yield_sweep():\n    for x in (5, 6):\n"
        '        yield "conf/look.prototxt", {"x": x, "at": "{{exp conf/work.prototxt x=9}}"}\n'
    )
    looks = ("--config", "sweep=conf/looks.py")
    (first, second) = tiny.heyhi("expand", "conf/looks.py").splitlines()
    assert tiny.snakemake(*looks).returncode == 0
    task = (tiny.root / "run.py").read_text()

    def remove_meanwhile(path: Path) -> None:
        (tiny.root / first).unlink()
        (tiny.root / "run.py").write_text(
            f"import os\nif os.path.exists({str(path)!r}):\n    os.unlink({str(path)!r})\n{task}"
        )

    remove_meanwhile(tiny.root / second)
    ran = tiny.snakemake(*looks)
    assert ran.returncode == 1, ran.stdout
    assert f"error: {second}: DONE when this run began, and not any more" in ran.stdout + ran.stderr
    (tiny.root / "run.py").write_text(task)
    ran = tiny.snakemake(*looks)
    assert ran.returncode == 0, ran.stderr
