"""The troubles of the chaos test: each hurts a cluster or who uses it, and writes down whom."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from chaos_book import Book, Draws, choose
from chaos_project import Point, Project, read_ledger
from cluster import NODES, ClusterError

# What slurmctld had not written down yet when it was killed is lost: it does so every 5 s or so.
UNSAVED_SECONDS = 12.0
NODE_CORES = 64
# States of which no job comes back, unless slurmctld was killed before it had written them down.
OVER = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE"}


@dataclass
class Troubles:
    """What can be done to a cluster and who uses it; each returns whether there was something to do it to."""

    book: Book
    cluster: Any
    project: Project
    draws: Draws
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    code_of_cancelled: ClassVar[int | None] = None  # of a controller, where it can be cancelled as jobs are
    controller: subprocess.Popen[bytes] | None = None
    launches: int = 0
    hurt_nodes: set[str] = field(default_factory=set)
    singles: list[Point] = field(default_factory=list)
    hurried: float = 0.0
    seen: dict[str, tuple[str, float]] = field(default_factory=dict)  # job id -> its state, and when it was new

    def jobs(self, *words: str) -> list[dict[str, str]]:
        """Ask squeue."""
        names = ("id", "state", "partition", "node", "cores", "why", "comment")
        lines = self.cluster.run("squeue", "-h", "-o", "%i|%T|%P|%N|%C|%r|%k", *words).splitlines()
        return [dict(zip(names, line.split("|"), strict=True)) for line in sorted(lines)]

    def heyhis(self, *words: str) -> list[dict[str, str]]:
        """Ask for jobs of HeyHi's."""
        return [job for job in self.jobs(*words) if job["comment"].startswith("heyhi:")]

    def running(self, *words: str) -> list[dict[str, str]]:
        """Ask for running jobs of HeyHi's."""
        return [job for job in self.heyhis(*words) if job["state"] == "RUNNING"]

    def well(self) -> list[str]:
        """The nodes that nothing is wrong with now."""
        return [node for node in NODES if node not in self.hurt_nodes]

    def unsaved(self) -> set[str]:
        """Jobs that began, ended or were hurt so lately that slurmctld may not have written it down."""
        since = time.time() - UNSAVED_SECONDS
        found = {line.job for line in read_ledger(self.book.asked.folder / "ledger.txt") if line.time > since}
        for path in self.project.folders("job.json").values():
            with contextlib.suppress(OSError, ValueError):
                if path.stat().st_mtime > since:
                    found.add(str(json.loads(path.read_text())["job_id"]))
        found |= {job for job, (_, changed) in self.seen.items() if changed > since}
        return found | {job for job, harm in self.book.harm.items() if max(harm.values(), default=0.0) > since}

    def look(self) -> list[dict[str, str]]:
        """Ask for all jobs, and write down which of them slurmctld has brought back that were over."""
        jobs = self.jobs("-t", "all")
        for job in jobs:
            before, changed = self.seen.get(job["id"], ("", 0.0))
            if before in OVER and job["state"] not in OVER and job["state"] != "REQUEUED":
                self.book.say("ghost", f"job {job['id']} was {before}, is {job['state']}", [job["id"]], "slurmctld")
            self.seen[job["id"]] = job["state"], changed if job["state"] == before else time.time()
        return jobs

    def processes(self, job: str) -> dict[int, str]:
        """Processes of a job: number -> script, pack or runner."""
        wanted = {f"SLURM_JOB_ID={job}".encode(), f"SLURM_CONF={self.cluster.conf}".encode()}
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if not wanted <= set((path / "environ").read_bytes().split(b"\0")):
                    continue
                words = (path / "cmdline").read_bytes()
            except OSError:
                continue
            kinds = {
                b"heyhi.runner": "runner",
                b"heyhi.job.pack": "pack",
                b"heyhi.job.worker": "worker",
                b"slurm_script": "script",
            }
            found.update({int(path.name): kind for word, kind in kinds.items() if word in words})
        return found

    def kill_controller(self) -> bool:
        """End the controller, with the commands that it has just started or without."""
        if self.controller is None or self.controller.poll() is not None:
            return False
        rng = self.draws.next("kill controller")
        whole = rng.random() < 0.5
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whole else os.kill)(self.controller.pid, signal.SIGKILL)
        self.controller.wait()
        self.controller = None
        self.book.say("kill controller", "and its children" if whole else "alone")
        self.after(rng.uniform(0, 4), self.launch)
        return True

    def launch(self) -> None:
        """Start the controller, by the same command each time."""
        if self.controller is not None and self.controller.poll() is None:
            return
        self.controller = self.project.start_controller()
        self.launches += 1
        self.book.say("launch", f"controller {self.launches}")

    def end_controller(self) -> None:
        """End it for good."""
        if self.controller is not None:
            os.killpg(self.controller.pid, signal.SIGKILL)
            self.controller.wait()

    def facts(self) -> dict[str, Any]:
        """Return what more the book has to say."""
        return {}

    def kill_job(self) -> bool:
        """End processes of a job as the system does that is short of memory."""
        rng = self.draws.next("kill job")
        job = self._choose(self.running(), rng)
        if job is None:
            return False
        found = self.processes(job["id"])
        what = rng.choice(["all", "runner", "runner", "script"])
        if "worker" in found.values() and what == "script" and rng.random() < 0.5:
            what = "worker"
        if "pack" in found.values() and what == "script":
            what = "pack"
        pids = sorted(pid for pid, kind in found.items() if what in ("all", kind))
        if what == "runner":
            pids = pids[:1]
        if not pids:
            return False
        self.book.say("kill job", f"{what} of job {job['id']} on {job['node']}", [job["id"]], "kill")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return True

    def cancel(self) -> bool:
        """Cancel a job, mostly one that runs."""
        rng = self.draws.next("cancel")
        heyhis = self.heyhis()
        running = [job for job in heyhis if job["state"] == "RUNNING"]
        job = self._choose(running if rng.random() < 0.8 and running else heyhis, rng)
        if job is None:
            return False
        self.book.say("scancel", f"job {job['id']}, {job['state']}", [job["id"]], "cancel")
        self.cluster.run("scancel", job["id"])
        return True

    def warn(self) -> bool:
        """Send a job the signal that comes before its time limit."""
        job = self._choose(self.running(), self.draws.next("warn"))
        if job is None:
            return False
        self.book.say("warn", f"job {job['id']}", [job["id"]])
        with contextlib.suppress(ClusterError):  # it has just ended
            self.cluster.run("scancel", "--signal=USR2", "--batch", job["id"])
        return True

    def kill_slurmctld(self) -> bool:
        """End slurmctld; for some seconds no command of Slurm works."""
        seconds = self.draws.next("kill slurmctld").uniform(0, 6)
        with contextlib.suppress(ClusterError):
            self.look()
        self.cluster.kill_slurmctld()
        self.book.say("kill slurmctld", f"for {seconds:.1f} s", self.unsaved(), "slurmctld")
        time.sleep(seconds)
        # What was handed over or has ended meanwhile, it doesn't know either.
        for job in self.unsaved():
            self.book.harm[job]["slurmctld"] = time.time()
        self.cluster.start_slurmctld()
        self.book.say("start slurmctld", "")
        return True

    def kill_slurmd(self) -> bool:
        """End a node's slurmd, unnoticed or until Slurm gives the node up; with its jobs or without."""
        rng = self.draws.next("kill slurmd")
        node = choose(self.well(), rng)
        if node is None or len(self.hurt_nodes) > 1:
            return False
        with_jobs, seconds = rng.random() < 0.5, rng.choice([2, 8, 30])
        hurt = [job["id"] for job in self.jobs("-w", node)]
        self.hurt_nodes.add(node)
        self.cluster.kill_slurmd(node, jobs=with_jobs)
        self.book.say(
            "kill slurmd", f"{node} {'with' if with_jobs else 'without'} its jobs, for {seconds} s", hurt, "node"
        )

        def start() -> None:
            self.cluster.start_slurmd(node)
            self.hurt_nodes.discard(node)
            self.book.say("start slurmd", node)

        self.after(seconds, start)
        return True

    def set_down(self) -> bool:
        """Set a node down, as its administrator would."""
        rng = self.draws.next("set down")
        node = choose(self.well(), rng)
        if node is None or len(self.hurt_nodes) > 1:
            return False
        hurt = [job["id"] for job in self.jobs("-w", node)]
        self.hurt_nodes.add(node)
        self.cluster.set_node(node, "down")
        self.book.say("set node down", node, hurt, "node")

        def resume() -> None:
            with contextlib.suppress(ClusterError):  # it came back by itself
                self.cluster.set_node(node, "resume")
            self.hurt_nodes.discard(node)
            self.book.say("resume node", node)

        self.after(rng.uniform(3, 12), resume)
        return True

    def preempt(self) -> bool:
        """Submit a job that pushes out all on a node that may be."""
        best: tuple[int, str, list[str]] = (0, "", [])
        for node in self.well():
            its = [job for job in self.jobs("-w", node) if job["state"] == "RUNNING"]
            weak = [job for job in its if job["partition"] in ("preempt", "scavenge")]
            cores = sum(int(job["cores"]) for job in weak)
            stay = sum(int(job["cores"]) for job in its) - cores
            if weak and cores > best[0]:
                best = cores, node, [job["id"] for job in weak]
                want = NODE_CORES - stay
        if not best[1]:
            return False
        _, node, hurt = best
        self.book.say("preempt", f"jobs {' '.join(hurt)} on {node}", hurt, "preempt")
        self.cluster.run(
            "sbatch", "-p", "high", "-w", node, "-c", str(want), "--no-requeue", "-J", "high", "-o", "/dev/null",
            "-t", "1", "--wrap", f"sleep {self.draws.next('preempt').randint(3, 8)}",
        )  # fmt: skip
        return True

    def single(self) -> bool:
        """Launch some experiments by the task file, one after the other."""
        if not self.singles:
            return False
        some = [self.singles.pop() for _ in range(min(2, len(self.singles)))]
        for point in some:
            self.run_by_hand(point)
        return True

    def run_by_hand(self, point: Point) -> None:
        """Launch one experiment by the task file."""
        done = self.project.python("run.py", "--cfg", "conf/work.prototxt", *point.words)
        said = (done.stdout.strip().splitlines() or [""])[-1]
        self.book.say("run.py", f"x={point.x}: {said or done.stderr.strip()[-200:]}")
        if done.returncode:
            if "Traceback" in done.stderr or "unable" not in done.stderr.lower():
                self.book.wrong(f"run.py of x={point.x} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
            self.singles.insert(0, point)

    @staticmethod
    def _choose(jobs: list[dict[str, str]], rng: random.Random) -> dict[str, str] | None:
        """Choose a job by its experiments, since its number depends on what came before."""
        by_name = {f"{job['comment']} {job['id']}": job for job in jobs}
        found = choose({name.split()[0] for name in by_name}, rng)
        return next((job for name, job in sorted(by_name.items()) if name.split()[0] == found), None)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self.later.append((self.book.now + seconds, action))

    def do_later(self, everything: bool = False) -> None:
        """Do what is due."""
        due = [one for one in self.later if everything or one[0] <= self.book.now]
        self.later = [one for one in self.later if one not in due]
        for _, action in due:
            action()

    def hurry(self) -> None:
        """Spare queued jobs the wait that Slurm has for them, and do what its administrator would have to."""
        if self.book.now - self.hurried < 3:
            return
        self.hurried = self.book.now
        jobs = self.look()
        with (self.book.asked.folder / "squeue.txt").open("a") as file:
            file.writelines(f"{self.book.now:7.1f} {' '.join(job.values())}\n" for job in jobs)
        for job in jobs:
            with contextlib.suppress(ClusterError):
                if job["state"] == "PENDING" and job["why"] == "BeginTime":
                    self.cluster.run("scontrol", "update", f"JobId={job['id']}", "StartTime=now")
                elif job["state"] == "PENDING" and job["why"].endswith("held"):
                    # slurmctld forgot a job when it was killed, and gave its number to the next.
                    self.cluster.run("scontrol", "release", job["id"])
                    self.book.say("release", f"job {job['id']}: {job['why']}", [job["id"]], "slurmctld")
        for node in self.well():
            if self.cluster.node_state(node) in ("drained", "draining"):
                self.cluster.set_node(node, "resume")
                self.book.say("resume node", f"{node}, which Slurm had set to drain")

    def report_nodes(self) -> None:
        """Have the nodes say what they run: a slurmctld that was killed only learns in minutes that a job is over."""
        for node in NODES:
            self.cluster.kill_slurmd(node)
            self.cluster.start_slurmd(node)
        self.book.say("restart slurmds", "as jobs that are over still count as running")

    def deck(self) -> list[Callable[[], bool]]:
        """Everything that may be done, in an order that the seed gives; some of it more often."""
        some = [self.kill_controller, self.cancel, self.kill_slurmctld, self.kill_slurmd, self.set_down]
        some += [self.kill_job, self.preempt, self.single, self.warn]
        if not self.book.asked.events:
            some += [self.kill_job, self.kill_job, self.cancel, self.preempt, self.warn, self.single]
        self.draws.next("deck").shuffle(some)
        return some
