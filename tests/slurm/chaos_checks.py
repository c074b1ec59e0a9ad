"""What must hold after the chaos test: nothing ran twice or is lost, and what is dead is so for its true reason."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from chaos_book import Book
from chaos_project import Line, Point, Project, read_ledger

# What may be the end of an experiment whose last job was hurt in one way.
MAY_END = {
    "cancel": {"CANCELLED"},
    "kill": {"killed"},
    "node": {"NODE_FAIL", "killed", "never started"},
    "slurmctld": {"NODE_FAIL", "killed", "never started"},
    "preempt": {"PREEMPTED"},  # of the partition preempt, only with requeue=false
}
# How reasons read, the first that matches counts.
REASONS = {
    **{state: rf"^{state}\b" for state in ("CANCELLED", "NODE_FAIL", "PREEMPTED", "TIMEOUT", "OUT_OF_MEMORY")},
    "exception": r"ValueError: made to fail",
    "never started": r"before it started|was never started",
    "killed": r"killed|signal 9",
}

# HeyHi's word for what the accounts have as a failure of the job: see that no script of it began.
NOT_STARTED_AGAIN = "Slurm could not start it again"


def reason_kind(reason: str) -> str:
    """Put a reason that HeyHi gives into one of few words."""
    return next((kind for kind, pattern in REASONS.items() if re.search(pattern, reason)), reason)


@dataclass
class Checks:
    """Hold what HeyHi says against the ledger, the book and Slurm's accounts."""

    book: Book
    cluster: Any
    project: Project

    def check_ledger(self) -> None:
        """Nothing ran twice: neither at once nor once it was done."""
        lines = read_ledger(self.book.asked.folder / "ledger.txt")
        for line in lines:
            if line.what == "OVERLAP":
                self.book.wrong(f"x={line.x} ran twice at once: job {line.job}, pid {line.pid}")
        results = self.project.folders("result.json")
        for point in self.project.points:
            ends = [line for line in lines if line.x == point.x and line.what == "end"]
            # One that was ended between its last line and its result has to run again.
            real = [line for line in ends if not self._was_cut(point.x, line)]
            if len(ends) > len(real):
                self.book.say("cut", f"x={point.x} was ended between its last line and its result")
            if len(real) > 1:
                self.book.wrong(f"x={point.x} was done {len(real)} times: {real}")
            if point.x in results and not real:
                self.book.wrong(f"x={point.x} is DONE, and no run of it has ended: {ends}")
            if real and point.x not in results:
                self.book.wrong(f"x={point.x} has ended, and its result is lost")
            if real and any(one.time > real[0].time for one in lines if one.x == point.x and one.what == "start"):
                self.book.wrong(f"x={point.x} was started again when it was done")

    def _was_cut(self, x: int, end: Line) -> bool:
        attempts = self.project.attempts(x)
        numbers = [a["attempt"] for a in attempts if a["event"] == "start" and a["pid"] == end.pid]
        ends = [a for a in attempts if a["event"] == "end" and a["attempt"] in numbers]
        return bool(numbers) and not any(a["reason"] in ("done", "failed") for a in ends) and self._is_late(x, end)

    def _is_late(self, x: int, end: Line) -> bool:
        """Return whether the result isn't that of a run, as it is older or much younger than the run's last line."""
        path = self.project.folders("result.json").get(x)
        return path is None or not -1 < path.stat().st_mtime - end.time < 5

    def check_statuses(self) -> dict[str, list[int]]:
        """Each is DONE or DEAD for its true reason; return the x of each reason."""
        rows = self.project.statuses()
        deaths: dict[str, list[int]] = defaultdict(list)
        for point in self.project.points:
            row = rows.get(point.x)
            if row is None:
                self.book.wrong(f"x={point.x} is lost: it has no status")
            elif row["status"] == "DEAD":
                kind = reason_kind(row["reason"])
                deaths[kind].append(point.x)
                self._check_reason(point, row, kind)
            elif row["status"] != "DONE":
                self.book.wrong(f"x={point.x} is {row['status']}: {row['reason']}")
            elif point.fails:
                self.book.wrong(f"x={point.x} is DONE, and was to fail")
        for x in rows.keys() - {point.x for point in self.project.points}:
            self.book.wrong(f"x={x} is none of ours: {rows[x]}")
        return dict(deaths)

    def _check_reason(self, point: Point, row: dict[str, Any], kind: str) -> None:
        harm = self.book.harm.get(row["job_id"], {})
        allowed = {"exception"} if point.fails else set()
        # Not only by us: jobs of the other partitions push these out, too.
        allowed |= {"PREEMPTED"} if point.is_ended_by_preemption else set()
        allowed = allowed.union(*(MAY_END[one] for one in harm))
        if self.project.workers:  # a job has several, one after another: each may have been hurt otherwise
            allowed |= {"killed", "TIMEOUT"} if harm or self._was_warned(row["job_id"]) else set()
        told = f"x={point.x} ({row['job_id']}) is DEAD: {row['reason']}"
        if kind not in allowed:
            self.book.wrong(f"{told}; expected {' or '.join(sorted(allowed)) or 'that it goes on'} after {dict(harm)}")
        state = self.cluster.accounting(row["job_id"]).get("State", "").partition(" ")[0]
        if "slurmctld" in harm or self.project.workers:
            return  # one that was killed brings back jobs that are over, and has what ends them then on record
        if state in REASONS and kind not in (state, "exception"):
            self.book.wrong(f"{told}; sacct says {state}")

    def _was_warned(self, job_id: str) -> bool:
        return any(event["kind"] == "warn" and job_id in event["jobs"] for event in self.book.events)

    def check_records(self) -> None:
        """What HeyHi has written down of ended jobs is what Slurm's accounts say, of some start of that job."""
        columns = "JobID,State,NodeList"
        rows = [
            row.split("|") for row in self.cluster.run("sacct", "-a", "-D", "-X", "-n", "-P", "-o", columns).split("\n")
        ]
        known = {(job, state.partition(" ")[0], nodes) for job, state, nodes in rows}
        for point in self.project.points:
            for end in self.project.attempts(point.x):
                told = end.get("job_id"), end.get("job_state"), end.get("host")
                if end.get("exception") == NOT_STARTED_AGAIN:
                    told = told[0], "FAILED", told[2]
                # Of its last seconds, slurmctld had the accounts say something else afterwards.
                if told[1] and told not in known and "slurmctld" not in self.book.harm.get(str(told[0]), {}):
                    self.book.wrong(f"x={point.x}: the record of {end['time']} says {told}, sacct {sorted(known)}")
