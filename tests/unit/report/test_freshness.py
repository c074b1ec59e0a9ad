"""When a table is made in the background, and how often; that it is made rightly, tests/workflow says."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heyhi.project import Project, Settings
from heyhi.report import freshness
from heyhi.report.freshness import IN_BACKGROUND, Freshness

SECONDS = 120.0  # after which something hangs
# Takes the place of what makes a table: it writes down what it was told to write, and how much of a core it took.
MAKER = """#!{python}
import sys, time
from pathlib import Path
began, ledger = time.monotonic(), Path("ledger.txt")
with ledger.open("a") as file:
    file.write(f"begins {{began}} {{' '.join(sys.argv[1:])}}\\n")
while time.process_time() < 0.1:
    pass
with ledger.open("a") as file:
    file.write(f"ends {{time.process_time()}}\\n")
{more}
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


@dataclass
class Run:
    """A run of two sweeps, of which one has three experiments and the other two of these."""

    root: Path
    looks: list[float]
    settings: Settings = field(default_factory=Settings)
    is_run: bool = True

    @property
    def project(self) -> Project:
        return Project(self.root, self.settings)

    @property
    def reported(self) -> list[Any]:
        return [
            SimpleNamespace(path=self.root / f"{label}.manifest", label=label, own_folders=[*map(str, folders)])
            for label, folders in (("all", self.folders), ("some", self.folders[:2]))
        ]

    @property
    def folders(self) -> list[Path]:
        return [self.root / f"results/p/{name}" for name in "abc"]

    def log(self, place: int) -> None:
        with (self.folders[place] / "metrics.jsonl").open("a") as file:
            file.write('{"loss": 1}\n')

    def begin_attempt(self, place: int) -> None:
        with (self.folders[place] / "attempts.jsonl").open("a") as file:
            file.write("{}\n")

    def look_again(self) -> None:
        """Wait until each was looked at whole, twice."""
        before = len(self.looks)
        until(lambda: len(self.looks) >= before + 6)

    @property
    def begun(self) -> list[str]:
        return self._lines("begins")

    @property
    def ended(self) -> list[str]:
        return self._lines("ends")

    def _lines(self, word: str) -> list[str]:
        path = self.root / "ledger.txt"
        return [line for line in path.read_text().splitlines() if line.startswith(word)] if path.exists() else []


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    run = Run(tmp_path, [])
    for folder in run.folders:
        folder.mkdir(parents=True)
    set_maker(run, monkeypatch)
    monkeypatch.setattr(freshness, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(freshness, "_SHORT_SECONDS", 0.0)
    monkeypatch.setattr(freshness, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(freshness, "_TABLE_SECONDS", 0.01)
    monkeypatch.setattr(freshness, "_TABLE_SHARE", 1.0)
    look = freshness._Watched.look

    def counted(watched: Any) -> bool:
        run.looks.append(time.monotonic())
        return look(watched)

    monkeypatch.setattr(freshness._Watched, "look", counted)
    yield run
    assert not [one for one in threading.enumerate() if one.name == "heyhi-fresh"]


def set_maker(run: Run, monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    maker = run.root / "maker"
    maker.write_text(MAKER.format(python=sys.executable, more=more))
    maker.chmod(0o755)
    monkeypatch.setattr(freshness, "sys", SimpleNamespace(executable=str(maker)))


@pytest.fixture
def fresh(run: Run) -> Iterator[Freshness]:
    found = Freshness()
    yield found
    found.end()


def test_the_first_table_comes_with_the_first_metric_and_the_next_with_any_change(run: Run, fresh: Freshness) -> None:
    fresh.begin(run)  # type: ignore[arg-type]
    run.begin_attempt(0)
    run.look_again()
    assert run.begun == []
    run.log(2)
    until(lambda: len(run.ended) == 1)
    assert (
        f"heyhi.report {run.root}/all.manifest {IN_BACKGROUND} --to {run.root}/results/reports/all.csv" in run.begun[0]
    )
    run.look_again()
    assert len(run.begun) == 1  # nothing has changed since
    run.begin_attempt(2)
    until(lambda: len(run.ended) == 2)
    run.look_again()
    assert len(run.begun) == 2


def test_of_two_sweeps_those_are_written_that_have_changed_one_after_the_other(run: Run, fresh: Freshness) -> None:
    fresh.begin(run)  # type: ignore[arg-type]
    run.log(0)
    until(lambda: len(run.ended) == 2)
    assert [re.search(r"(\w+)\.manifest", line)[1] for line in run.begun] == ["all", "some"]  # type: ignore[index]
    words = (run.root / "ledger.txt").read_text().split("\n")
    assert [line.split(" ")[0] for line in words] == ["begins", "ends", "begins", "ends", ""]


def test_what_takes_a_core_for_long_is_done_less_often(
    run: Run, fresh: Freshness, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = 5.0
    monkeypatch.setattr(freshness, "_TABLE_SHARE", share)
    stop = threading.Event()

    def log_on() -> None:
        while not stop.wait(0.001):
            run.log(2)

    logging = threading.Thread(target=log_on)
    logging.start()
    try:
        fresh.begin(run)  # type: ignore[arg-type]
        until(lambda: len(run.begun) == 4)
    finally:
        stop.set()
        logging.join()
    begun = [float(line.split()[1]) for line in run.begun]
    took = [float(line.split()[1]) for line in run.ended]
    for (before, after), cpu in zip(pairwise(begun), took, strict=False):
        assert after - before >= share * cpu


def test_as_it_is_meant_a_table_takes_at_most_some_hundredths_of_a_core() -> None:
    assert 1 / freshness._TABLE_SHARE + 1 / freshness._LOOK_SHARE <= 0.035
    assert freshness._TABLE_SECONDS >= 20
    assert freshness._FIRST_SECONDS >= 5  # a short run has none to pay for


def test_a_result_that_leaves_nothing_to_run_needs_none_as_the_end_comes(run: Run, fresh: Freshness) -> None:
    fresh.begin(run)  # type: ignore[arg-type]
    run.look_again()
    for folder in reversed(run.folders):
        (folder / "result.json").touch()
    run.look_again()
    fresh.end()
    assert len(run.begun) <= 2  # a look may have come between the results
    assert not any("some" in line for line in run.begun[1:])


def test_a_run_that_ends_soon_as_it_goes_has_none_made_before_its_end(
    run: Run, fresh: Freshness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "_SHORT_SECONDS", 600.0)
    (run.folders[2] / "result.json").touch()  # another run has made it: how fast this one goes, it doesn't say
    fresh.begin(run)  # type: ignore[arg-type]
    run.look_again()
    (run.folders[0] / "result.json").touch()
    run.look_again()
    assert run.begun == []
    monkeypatch.setattr(freshness, "_SHORT_SECONDS", 0.0)  # now it goes too slowly: what was news still is
    until(lambda: len(run.ended) == 2)


def test_metrics_of_a_run_of_which_nothing_has_ended_are_news_at_once(
    run: Run, fresh: Freshness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "_SHORT_SECONDS", 600.0)
    fresh.begin(run)  # type: ignore[arg-type]
    run.log(0)
    until(lambda: len(run.ended) == 2)


def test_a_trial_is_looked_at_in_the_folder_of_the_experiment_that_its_slot_is(run: Run, fresh: Freshness) -> None:
    slot = run.root / f"results/searches/{'0' * 16}/slots/0000"
    slot.mkdir(parents=True)
    reported = [SimpleNamespace(path=run.root / "one.manifest", label="one", own_folders=[str(slot)])]
    flow: Any = SimpleNamespace(is_run=True, project=run.project, reported=reported)
    fresh.begin(flow)
    (slot / "choice.json").write_text('{"exp_id": "p/b", "cfg": "", "overrides": [], "chosen": {}}')
    run.look_again()
    assert run.begun == []
    run.log(1)
    until(lambda: len(run.ended) == 1)
    (slot.parent / "0000.json").touch()
    run.look_again()
    assert len(run.begun) == 1


@pytest.mark.parametrize("case", ["a dry run", "no files are wanted", "no sweep is run whole"])
def test_nothing_is_looked_at_where(run: Run, fresh: Freshness, case: str) -> None:
    flow: Any = SimpleNamespace(
        is_run=case != "a dry run",
        project=Project(run.root, Settings(reports=()) if case == "no files are wanted" else Settings()),
        reported=[] if case == "no sweep is run whole" else run.reported,
    )
    fresh.begin(flow)
    assert not [one for one in threading.enumerate() if one.name == "heyhi-fresh"]
    fresh.end()


def test_an_error_is_said_once_and_it_is_tried_again(
    run: Run, fresh: Freshness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_maker(run, monkeypatch, more='sys.exit("error: all.csv: can\'t be written: \\x1b[2J the disk is full")')
    from snakemake.logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    fresh.begin(run)  # type: ignore[arg-type]
    for count in (1, 2, 3):
        run.log(2)
        until(lambda count=count: len(run.ended) == count)
        run.look_again()
    said = [record.getMessage() for record in caplog.records if "fresh" in record.getMessage()]
    assert said == [r"the table isn't fresh while this goes on: all.csv: can't be written: \x1b[2J the disk is full"]


def test_what_cannot_be_started_is_said_too(
    run: Run, fresh: Freshness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (run.root / "maker").unlink()
    from snakemake.logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    fresh.begin(run)  # type: ignore[arg-type]
    run.log(2)
    until(lambda: any("No such file" in record.getMessage() for record in caplog.records))
    run.look_again()


def test_the_end_ends_what_is_being_made_even_if_that_hears_no_signal(
    run: Run, fresh: Freshness, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = (
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "Path('deaf').write_text(str(os.getpid()))\nsignal.pause()"
    )
    set_maker(run, monkeypatch, more=deaf)
    fresh.begin(run)  # type: ignore[arg-type]
    run.log(2)
    until(lambda: (run.root / "deaf").exists() and (run.root / "deaf").read_text())
    fresh.end()
    assert not (Path("/proc") / (run.root / "deaf").read_text()).exists()


def test_the_run_itself_imports_nothing_heavy_for_it() -> None:
    heavy = "import sys, heyhi.report.freshness; print({'pandas', 'numpy', 'snakemake'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
