"""A chaos test: experiments run on a cluster of their own that is hurt all the time, and in the end none is lost.

    python tests/slurm/chaos.py --seed 7 --minutes 15 --experiments 60 --folder DIR

What is done, and when, follows from the seed. What has run is counted outside HeyHi: each run of the task writes a line
when it starts and one when it has ended, and holds a lock meanwhile. DIR gets the project, all logs and `ledger.json`.
The exit code is 0 only if each experiment was done once, or dead for its true reason, and all were done in the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # tests are no package
from chaos_book import Asked, Book, Draws
from chaos_checks import Checks
from chaos_controller import HOURS, JobTroubles
from chaos_mounts import two_mounts
from chaos_project import Point, Project, make_alike, make_points, read_ledger
from chaos_search import SearchChecks, SearchProject, make_trials
from chaos_troubles import Troubles
from cluster import Cluster, ClusterError


@dataclass
class Chaos:
    """Hurt a cluster and who uses it until all is over, then see what is left."""

    book: Book
    cluster: Any
    project: Project
    troubles: Troubles
    checks: Checks

    def rage(self) -> None:
        """Hurt until all is over, or half of the time is, or enough was done."""
        deck: list[Callable[[], bool]] = []
        done, tries, next_at = 0, 0, self.book.now + self.book.asked.gap
        while self.book.now < 0.55 * self.book.deadline and not (
            self.book.asked.events and done >= self.book.asked.events
        ):
            self.troubles.do_later()
            self.troubles.hurry()
            if self.troubles.controller is not None and self.troubles.controller.poll() is not None:
                self.book.say("controller ended", f"exit code {self.troubles.controller.returncode}")
                self.troubles.controller = None
                if not self.project.is_something_left():
                    break
                # Who has submitted workers looks again later.
                self.troubles.after(5.0 if self.project.workers else 0.0, self.troubles.launch)
            if self.book.now >= next_at and self.troubles.running():
                deck = deck or self.troubles.deck()
                if deck[-1]():
                    deck.pop()
                    done, tries = done + 1, 0
                elif tries > 3 and not self.book.asked.events:
                    deck.pop()  # it may never be possible again, and others are to come once more
                    tries = 0
                else:
                    # Nothing there to do it to: another comes first.
                    deck.insert(0, deck.pop())
                    tries += 1
                next_at = self.book.now + self.troubles.draws.next("gap").uniform(0.4, 1.6) * self.book.asked.gap
            time.sleep(0.2)

    def settle(self) -> None:
        """Hurt nothing any more, and wait until no controller and no job is left."""
        self.troubles.do_later(everything=True)
        self.troubles.launch()
        while self.troubles.singles and self.book.now < self.book.deadline:
            self.troubles.single()
        # Nobody launches these again, so they stay as they are.
        late = [point for point in self.project.points if point.is_late]
        for point in late:
            self.troubles.run_by_hand(point)
        while self.book.now < self.book.deadline and any(job["state"] != "RUNNING" for job in self._jobs_of(late)):
            self.troubles.hurry()
            time.sleep(0.3)
        for job in self._jobs_of(late):
            self.book.say("scancel", f"job {job['id']}, {job['state']}", [job["id"]], "cancel")
            self.cluster.run("scancel", job["id"])
        empty_since = None
        while self.book.now < self.book.deadline:
            self.troubles.hurry()
            left = self.cluster.leftovers()
            is_empty = not left and any(job["state"] == "RUNNING" for job in self.troubles.jobs())
            empty_since = (empty_since or self.book.now) if is_empty else None
            if empty_since is not None and self.book.now - empty_since > 6:
                self.troubles.report_nodes()
                empty_since = None
            if self.troubles.controller is not None and self.troubles.controller.poll() is not None:
                self.book.say("controller ended", f"exit code {self.troubles.controller.returncode}")
                code = self.troubles.controller.returncode
                self.troubles.controller = None
                if code == self.troubles.code_of_cancelled:  # what was done last may have been that
                    self.troubles.launch()
                elif code not in (0, 1):
                    self.book.wrong(f"the last controller ended with {code}")
            if self.troubles.controller is None and not left and not self.troubles.jobs():
                if not (self.project.workers and self._is_one_unstarted()):
                    return
                self.troubles.launch()
            time.sleep(0.5)
        jobs = ", ".join(f"{job['id']} {job['state']} {job['why']}" for job in self.troubles.jobs())
        alive = "a controller and " if self.troubles.controller is not None else ""
        self.book.wrong(f"not over in time: {alive}jobs [{jobs}] are left, processes {self.cluster.leftovers()}")

    def _jobs_of(self, points: list[Point]) -> list[dict[str, str]]:
        notes = self.project.folders("job.json")
        ids = {str(json.loads(notes[p.x].read_text())["job_id"]) for p in points if p.x in notes}
        return [job for job in self.troubles.jobs() if job["id"] in ids]

    def _is_one_unstarted(self) -> bool:
        """Return whether some were never started: the last workers have ended before."""
        started = self.project.folders("attempts.jsonl")
        return any(point.x not in started for point in self.project.points if point.in_sweep)

    def mend(self) -> int:
        """Take away what makes some fail, and have HeyHi start what is dead; return how often that was needed."""
        if isinstance(self.checks, SearchChecks):
            return 0  # a trial that is dead is an answer
        (self.book.asked.folder / "mended").touch()
        rounds = 0
        while any(row["status"] != "DONE" for row in self.project.statuses().values()) and rounds < 3:
            rounds += 1
            left = max(30.0, self.book.asked.minutes * 60 - self.book.now)
            done = self.project.python("-m", "heyhi.cli", "retry", "--dead", "--foreground", seconds=left)
            (self.book.asked.folder / f"retry{rounds}.log").write_text(done.stdout + done.stderr)
            self.book.say("heyhi retry --dead", f"exit code {done.returncode}")
            if done.returncode:
                self.book.wrong(f"heyhi retry --dead ended with {done.returncode}; see retry{rounds}.log")
        for x, row in sorted(self.project.statuses().items()):
            if row["status"] != "DONE":
                self.book.wrong(f"x={x} is {row['status']} in the end: {row['reason']}")
        return rounds

    def run(self) -> None:
        """Do it all, and leave the book."""
        self.troubles.singles = [point for point in self.project.points if point.by_hand]
        deaths: dict[str, list[int]] = {}
        rounds = 0
        try:
            self.troubles.single()
            self.troubles.launch()
            self.rage()
            self.settle()
            if isinstance(self.checks, SearchChecks):
                rounds = self.checks.check_again(4)
            self.checks.check_ledger()
            deaths = self.checks.check_statuses()
            self.checks.check_records()
            if not self.book.violations:
                rounds += self.mend()
                self.checks.check_ledger()
        except (ClusterError, subprocess.TimeoutExpired) as error:
            self.book.wrong(f"{type(error).__name__}: {error}")
        finally:
            if self.troubles.controller is not None and self.troubles.controller.poll() is None:
                self.troubles.end_controller()
            with contextlib.suppress(ClusterError):
                columns = "JobID,State,ExitCode,NodeList,Submit,Start,End,JobName"
                text = self.cluster.run("sacct", "-a", "-D", "-X", "-P", "-o", columns)
                (self.book.asked.folder / "sacct.txt").write_text(f"{text}\n")
        self.write(deaths, rounds)

    def write(self, deaths: dict[str, list[int]], rounds: int) -> None:
        """Write the book, and print its summary."""
        lines = read_ledger(self.book.asked.folder / "ledger.txt")
        kinds = Counter(
            str(a["kind"]) for p in self.project.points for a in self.project.attempts(p.x) if a["event"] == "start"
        )
        counts = Counter(line.what for line in lines)
        book = {
            "seed": self.book.asked.seed,
            "seconds": round(self.book.now),
            "experiments": len(self.project.points),
            "launches of the controller": self.troubles.launches,
            **self.troubles.facts(),
            "events": dict(Counter(event["kind"] for event in self.book.events)),
            "starts": counts["start"],
            "starts from a checkpoint": sum(line.what == "start" and line.step > 0 for line in lines),
            "starts by kind": dict(kinds),
            "ends": counts["end"],
            "overlaps": counts["OVERLAP"],
            "dead by reason, before retry": {kind: len(xs) for kind, xs in deaths.items()},
            "retries of the dead, or runs again of the search": rounds,
            "done": len(self.project.folders("result.json")),
            "violations": self.book.violations,
        }
        (self.book.asked.folder / "ledger.json").write_text(
            json.dumps({**book, "log": self.book.events}, indent=1) + "\n"
        )
        print()
        for name, value in book.items():
            text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            print(f"{name:<30} {len(value) if isinstance(value, list) else text}")
        for text in self.book.violations:
            print(f"WRONG: {text}")


def _made(options: argparse.Namespace, draws: Draws, book: Book, cluster: Cluster) -> tuple[Project, Checks]:
    place, number, longest = book.asked.folder, book.asked.experiments, book.asked.longest
    if options.search:
        search = SearchProject(place, cluster, make_trials(number, draws, longest), options.pack)
        return search, SearchChecks(book, cluster, search)
    make = make_alike if options.workers else make_points
    project = Project(place, cluster, make(number, draws, longest), options.workers)
    return project, Checks(book, cluster, project)


def main(arguments: list[str] | None = None) -> int:
    """Run the test from a shell."""
    parser = argparse.ArgumentParser(
        prog="python tests/slurm/chaos.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--minutes", type=float, default=15.0, help="in all, at most")
    parser.add_argument("--experiments", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="for the project and the logs; must not be there yet")
    parser.add_argument("--events", type=int, default=0, help="things to do; default: until all is over")
    parser.add_argument("--longest", type=float, default=45.0, help="seconds that an experiment takes at most")
    parser.add_argument("--gap", type=float, default=4.0, help="seconds between two events")
    parser.add_argument("--controller", choices=("local", "slurm"), default="local", help="who starts it all")
    parser.add_argument("--search", action="store_true", help="the experiments are the trials of a search")
    parser.add_argument("--pack", type=int, default=1, help="trials of a search that share a job")
    parser.add_argument("--workers", type=int, default=0, help="jobs that run all, one experiment after another each")
    parser.add_argument("--mounts", action="store_true", help="on two mounts that remember as NFS does; needs root")
    options = parser.parse_args(arguments)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="heyhi-chaos-")).resolve()
    folder.mkdir(parents=True, exist_ok=options.folder is None)
    with contextlib.ExitStack() as stack:
        place, around = stack.enter_context(two_mounts(folder)) if options.mounts else (folder, lambda name: [])
        words = {k: v for k, v in vars(options).items() if k not in ("mounts", "search", "pack", "controller")}
        asked = Asked(**{**words, "folder": place})
        draws, book = Draws(asked.seed), Book(asked)
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="heyhi-slurm-", ignore_cleanup_errors=True))
        cluster = Cluster(Path(short) / "c", around)
        try:
            cluster.start()
            project, checks = _made(options, draws, book, cluster)
            kind = JobTroubles if options.controller == "slurm" else Troubles
            if options.controller == "slurm":
                project.set(f"controller_hours = {HOURS}")
            Chaos(book, cluster, project, kind(book, cluster, project, draws), checks).run()
        finally:
            shutil.copytree(cluster.folder / "log", folder / "slurm", dirs_exist_ok=True)
            cluster.stop(wipe=True)
    print(f"all of it is in {folder}")
    return 1 if book.violations else 0


if __name__ == "__main__":
    sys.exit(main())
