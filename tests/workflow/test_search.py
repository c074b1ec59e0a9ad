"""Searches by real Snakemake: each point is tried once, whatever is killed, and one that has ended starts nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.experiment.slots import SearchDir, SlotDir

from .conftest import SECONDS, Tiny

SEARCH = """
import heyhi
SEARCH = heyhi.Search(cfg="conf/work", space={{"x": "{values}"}}, max="y", trials={trials}, sampler="random"{more})
"""


class Searching:
    """A project with a search over a few values, each of which is a trial's."""

    def __init__(self, tiny: Tiny) -> None:
        self.tiny = tiny
        self.write()

    def write(self, values: str = "1,2,3,4,5,6", trials: int = 6, more: str = "") -> None:
        (self.tiny.root / "conf/tune.py").write_text(SEARCH.format(values=values, trials=trials, more=more))

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return self.tiny.snakemake("--config", "sweep=conf/tune.py", *args)

    def heyhi(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "heyhi.cli", *args]
        return subprocess.run(
            command, cwd=self.tiny.root, env=self.tiny.env, capture_output=True, text=True, check=False, timeout=SECONDS
        )

    @property
    def search(self) -> SearchDir:
        (folder,) = (self.tiny.root / "results/searches").iterdir()
        return SearchDir(self.tiny.root / "results", folder.name)

    def slots(self, trials: int = 6) -> list[SlotDir]:
        return [self.search.slot(number) for number in range(trials)]

    def statuses(self, trials: int = 6) -> list[str]:
        return [end.status if (end := slot.read_end()) is not None else "" for slot in self.slots(trials)]


@pytest.fixture
def searching(tiny: Tiny) -> Searching:
    pytest.importorskip("optuna")
    return Searching(tiny)


def once(tiny: Tiny, *xs: int) -> list[str]:
    return sorted(f"work {x}" for x in xs)


def test_a_search_tries_each_point_once_starts_nothing_when_it_has_ended_and_goes_on_with_more_trials(
    searching: Searching,
) -> None:
    searching.write("1,2,3,4,5,6,7,8", more=", parallel=1")
    first = searching.run()
    assert first.returncode == 0, first.stderr
    ran = searching.tiny.ledger
    assert len(set(ran)) == len(ran) == 6 and searching.statuses() == ["DONE"] * 6
    lines = [line.split(maxsplit=2) for line in first.stderr.splitlines()]
    words = [line[1] for line in lines if len(line) > 2 and line[1] in ("start", "done")]
    assert words == ["start", "done"] * 6  # one at a time
    assert [line[2] for line in lines if line[1:2] == ["start"]] == [f"trial {number}" for number in range(6)]
    assert "6 trials, on 2 cores" in first.stderr and "y=" in first.stderr and "(best so far)" in first.stderr
    best = max(int(line.split()[1]) for line in ran)
    status = searching.tiny.heyhi("status", "conf/tune.py")
    assert status.startswith("DONE 6\n") and f"best so far: y={10 * best} by trial" in status
    assert searching.tiny.heyhi("status").startswith("DONE 6\n")

    again = searching.run()
    assert again.returncode == 0 and searching.tiny.ledger == ran
    searching.write("1,2,3,4,5,6,7,8", trials=9, more=", parallel=4")
    more = searching.run()
    assert more.returncode == 0, more.stderr
    assert sorted(searching.tiny.ledger) == once(searching.tiny, *range(1, 9)) and searching.tiny.ledger[:6] == ran
    assert searching.statuses(9).count("SKIPPED") == 1  # there was no point left


def test_a_search_for_what_no_trial_has_ends_with_exit_code_1_also_where_all_have_started_before_one_is_done(
    searching: Searching,
) -> None:
    tiny = searching.tiny
    searching.write("1,2", trials=2)
    path = tiny.root / "conf/tune.py"
    path.write_text(path.read_text().replace('max="y"', 'max="yy"'))
    tiny.make_gate(1)
    tiny.make_gate(2)
    first = tiny.start("--config", "sweep=conf/tune.py")
    tiny.wait_at_gate()
    tiny.wait_at_gate()
    tiny.open_gate(1)
    tiny.open_gate(2)
    out, err = first.communicate(timeout=SECONDS)
    why = "trial 0 is done and has no 'yy' (did you mean 'y'?), which its search is about (it has:"
    assert first.returncode == 1 and searching.statuses(2) == ["DONE", "DONE"], err
    assert f"error: {why} loss, y)\n" in err and why not in out and "has no yy" in err
    again = searching.heyhi("search", "conf/tune.py")
    assert again.returncode == 1 and why in again.stderr and len(tiny.ledger) == 2


def test_a_killed_search_goes_on_loses_nothing_and_runs_nothing_twice(searching: Searching) -> None:
    tiny = searching.tiny
    tiny.make_gate(3)
    tiny.make_gate(5)
    killed = tiny.start("--config", "sweep=conf/tune.py")
    (_, one), _ = tiny.wait_at_gate(), tiny.wait_at_gate()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    os.kill(one, signal.SIGKILL)  # the other's goes on by itself, until the next one waits for it
    before = {slot.number: slot.read_choice() for slot in searching.slots()}
    ended = searching.statuses()

    second = tiny.start("--config", "sweep=conf/tune.py")
    tiny.wait_at_gate()
    tiny.open_gate(3)
    tiny.open_gate(5)
    _, err = second.communicate(timeout=SECONDS)
    assert second.returncode == 0, err
    assert searching.statuses() == ["DONE"] * 6
    for slot, (number, choice) in zip(searching.slots(), before.items(), strict=True):
        assert choice is None or slot.read_choice() == choice, number
    assert sorted(set(tiny.ledger)) == once(tiny, *range(1, 7)) and len(tiny.ledger) == 7  # but for what was killed
    assert ended.count("DONE") + 2 <= 6


def test_a_point_that_is_done_is_taken_and_a_dead_one_makes_the_exit_code_1_until_it_is_tried_again(
    searching: Searching,
) -> None:
    tiny = searching.tiny
    assert tiny.snakemake(*tiny.heyhi("expand", "--cfg", "conf/work", "x=4").split()).returncode == 0
    fails = tiny.make_fail(2)
    first = searching.run()
    assert first.returncode == 1
    assert sorted(tiny.ledger) == once(tiny, *range(1, 7)) and sorted(searching.statuses()) == ["DEAD", *["DONE"] * 5]
    (line,) = [line for line in first.stderr.splitlines() if line.split()[1:2] == ["DEAD"]]
    assert "x=2" in line and "boom 2" in line and "log: results/p/work/x=2_" in line
    assert "5 done, 1 DEAD" in first.stderr and "DEAD" in first.stdout

    again = searching.heyhi("search", "conf/tune.py")
    assert again.returncode == 1 and "nothing to start" in again.stdout and "boom 2" in again.stdout
    assert len(tiny.ledger) == 6
    fails.unlink()
    retried = searching.heyhi("retry", "--dead", "conf/tune.py", "--profile", "local", "--foreground")
    assert retried.returncode == 0, retried.stderr
    assert tiny.ledger[6:] == ["work 2"] and searching.statuses() == ["DONE"] * 6


def test_a_failed_trial_is_tried_as_often_as_snakemake_is_told(searching: Searching) -> None:
    searching.write("1,2", trials=2)
    searching.tiny.make_fail(2)
    run = searching.run("--retries", "1")
    assert run.returncode == 1 and sorted(searching.tiny.ledger) == ["work 1", "work 2", "work 2"]
    assert sorted(searching.statuses(2)) == ["DEAD", "DONE"]


def test_a_search_by_words_runs_on_this_terminal_and_goes_by_its_folder(searching: Searching) -> None:
    words = ("--cfg", "conf/work", "--space", "x=1,2", "--max", "y", "--trials", "2", "--sampler", "random")
    dry = searching.heyhi("search", *words, "--dry-run")
    assert dry.returncode == 0 and "2 would start" in dry.stdout and not searching.tiny.ledger
    run = searching.heyhi("search", *words)
    assert run.returncode == 0, run.stderr
    name = f"searches/{searching.search.search_id}"
    assert f"{name}: max y of conf/work.prototxt over x=1,2; 2 trials, random" in run.stderr
    assert sorted(searching.tiny.ledger) == ["work 1", "work 2"]
    assert f"{name}: best so far: y=20 by trial" in searching.tiny.heyhi("status", name)
    target = Path(f"results/{name}/slots/0001.json")
    (searching.tiny.root / target).unlink()  # as if its job had been killed right before
    assert searching.tiny.snakemake(str(target)).returncode == 0 and len(searching.tiny.ledger) == 2
    assert (searching.tiny.root / target).exists()
