"""The search of the chaos test: each x is one trial, and none is run twice or lost, whatever is killed around it."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos_book import Draws
from chaos_checks import Checks
from chaos_project import TASK, Point, Project, read_ledger
from cluster import ClusterError

SEARCH = """
import heyhi

SEARCH = heyhi.Search(cfg="conf/work.prototxt", space={{"x": list(range(1, {trials} + 1))}}, max="y", trials={trials})
"""
# The space of a search is a key of all trials alike: what each one does is planned beside.
PLANNED = """
    cfg = Planned(cfg.x, **json.loads((ROOT / "plan.json").read_text())[str(cfg.x)])
"""
HEAD = """
import json
from typing import NamedTuple


class Planned(NamedTuple):
    x: int
    do: str
    seconds: float


"""


@dataclass
class Trial(Point):
    """One point of the search.

    Attributes:
        do: what its run does.
        seconds: that it takes.
        partition: that all trials are in.
    """

    do: str = "work"
    seconds: float = 1.0
    partition: str = "preempt"

    @property
    def fails(self) -> bool:
        return self.do == "fail"

    @property
    def is_ended_by_preemption(self) -> bool:
        return self.partition == "scavenge"


def make_trials(number: int, draws: Draws, longest: float) -> list[Point]:
    """Plan the trials of a search; some of them are launched by hand, too."""
    trials: list[Point] = []
    for x in range(1, number + 1):
        rng = draws.next("point")
        kind = "train" if x % 3 == 0 else "fail" if x % 12 == 5 else "work"
        by_hand = x % 10 == 2
        trials.append(Trial({"x": x}, by_hand=by_hand, do=kind, seconds=round(rng.uniform(longest / 4, longest), 1)))
    return trials


class SearchProject(Project):
    """A project whose default sweep is a search."""

    def __init__(self, folder: Path, cluster: Any, points: list[Point], pack: int = 1) -> None:
        super().__init__(folder, cluster, points)
        head, main = "import fcntl\n", "def main(task, cfg, log_level):\n"
        text = TASK.replace(head, f"{HEAD}{head}", 1).replace(main, f"{main}{PLANNED}", 1)
        (self.root / "run.py").write_text(text)
        plan = {one.x: {"do": one.do, "seconds": one.seconds} for one in points if isinstance(one, Trial)}
        (folder / "plan.json").write_text(json.dumps(plan))
        slurm = f'partition: "preempt" max_attempts: 1 pack: {pack}'
        (self.root / "conf" / "work.prototxt").write_text(f"work {{ launcher {{ slurm {{ {slurm} }} }} }}\n")
        (self.root / "conf" / "sweep.py").write_text(SEARCH.format(trials=len(points)))

    @property
    def slots(self) -> dict[str, dict[str, Any]]:
        """Slot -> what it has chosen, and how it has ended, as far as it has."""
        found: dict[str, dict[str, Any]] = {}
        for folder in sorted(self.root.glob("results/searches/*/slots/[0-9]*[0-9]")):
            files = {"choice": folder / "choice.json", "end": folder.with_suffix(".json")}
            found[folder.name] = {k: json.loads(f.read_text()) if f.exists() else None for k, f in files.items()}
        return found

    def is_something_left(self) -> bool:
        ended = [one for one in self.slots.values() if one["end"] is not None]
        return len(ended) < len(self.points)

    def statuses(self) -> dict[int, dict[str, Any]]:
        """Ask `heyhi status` for what was started: x -> its row."""
        folders = sorted(str(path.relative_to(self.root)) for path in self.root.glob("results/p/work/*"))
        done = self.python("-m", "heyhi.cli", "status", "--json", *folders)
        if done.returncode not in (0, 1):
            raise ClusterError(f"heyhi status ended with {done.returncode}: {done.stderr}")
        return {_x_of(row["exp_id"]): row for row in json.loads(done.stdout)["experiments"]}


class SearchChecks(Checks):
    """The same, and that each slot is one experiment and each experiment one slot's."""

    project: SearchProject

    def check_statuses(self) -> dict[str, list[int]]:
        deaths = super().check_statuses()
        slots, results = self.project.slots, self.project.folders("result.json")
        choices = [one["choice"]["exp_id"] for one in slots.values() if one["choice"]]
        chosen = Counter(map(_x_of, filter(None, choices)))
        for x, count in chosen.items():
            if count > 1:
                self.book.wrong(f"x={x} was chosen by {count} slots")
        if len(slots) != len(self.project.points):
            self.book.wrong(f"{len(slots)} slots of {len(self.project.points)} have a folder")
        # What ran by hand when no other point was left is no trial's, and its slot is none.
        missed = {point.x for point in self.project.points} - chosen.keys()
        by_hand = {point.x for point in self.project.points if point.by_hand}
        if not missed <= by_hand or len(missed) != choices.count(""):
            self.book.wrong(f"x in {sorted(missed)} were never chosen, and {choices.count('')} slots found none")
        for name, one in slots.items():
            end = one["end"]
            if end is None:
                self.book.wrong(f"slot {name} has not ended: {one['choice']}")
                continue
            if end["status"] == "SKIPPED":
                continue
            x = _x_of(end["exp_id"])
            is_done = end["status"] == "DONE"
            if is_done != (x in results) or (is_done and end["value"] != 10 * x):
                self.book.wrong(f"slot {name} says {end}, and x={x} has {'a' if x in results else 'no'} result")
        return deaths

    def check_again(self, rounds: int) -> int:
        """Run the search again until all its trials are final, then once more, which starts nothing."""
        path = self.book.asked.folder / "ledger.txt"
        for number in range(1, rounds + 1):
            left, before = self.project.is_something_left(), len(read_ledger(path))
            code = self.project.start_controller().wait(timeout=max(60.0, self.book.deadline - self.book.now))
            started = [line.x for line in read_ledger(path)[before:] if line.what == "start"]
            self.book.say("run again", f"exit code {code}, starts {started}")
            if not left:
                if started:
                    self.book.wrong(f"the search was over, and run again it has started {started}")
                return number
        self.book.wrong(f"run {rounds} times, the search isn't over")
        return rounds


def _x_of(exp_id: str) -> int:
    found = re.search(r"x=(\d+)", exp_id)
    return int(found[1]) if found is not None else 0
