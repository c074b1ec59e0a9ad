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
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # tests are no package
from cluster import NODES, Cluster, ClusterError  # type: ignore[import-not-found]

REPOSITORY = Path(__file__).resolve().parents[2]
CONTROLLER = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm"]
# What slurmctld had not written down yet when it was killed is lost: it does so every 5 s or so.
UNSAVED_SECONDS = 12.0
NODE_CORES = 64

PROTO = """
syntax = "proto2";
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Work work = 10; }
}
message Include { optional string path = 1; optional string mount = 2; }
message Work {
  optional int32 x = 1;
  // What the run does: work, train (with checkpoints) or fail.
  optional string do = 2 [default = "work"];
  optional double seconds = 3 [default = 1];
  optional Launcher launcher = 4;
}
message Launcher { oneof kind { Slurm slurm = 1; } }
message Slurm {
  optional int32 num_gpus = 1 [default = 0];
  optional double hours = 2 [default = 0.5];
  optional string partition = 3;
  optional double mem_per_gpu = 4 [default = 0.5];
  optional int32 cpus_per_gpu = 5 [default = 20];
  optional int32 signal_seconds = 6 [default = 10];
  optional bool requeue = 7 [default = true];
  optional int32 max_attempts = 8 [default = 1];
  optional int32 pack = 9 [default = 1];
}
"""
TASK = '''
import fcntl
import os
import time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["CHAOS"])


def note(what, x, step=0):
    """Add a line to the ledger, by one write, so that none gets lost between others."""
    line = f"{what} {x} {time.time():.3f} {os.getpid()} {os.environ.get('SLURM_JOB_ID', '-')} {step}\\n"
    ledger = os.open(ROOT / "ledger.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(ledger, line.encode())
    os.close(ledger)


def main(task, cfg, log_level):
    with (ROOT / "locks" / str(cfg.x)).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("OVERLAP", cfg.x)
            raise
        if cfg.do == "train":
            train(cfg)
        else:
            note("start", cfg.x)
            time.sleep(cfg.seconds)
        if cfg.do == "fail" and not (ROOT / "mended").exists():
            raise ValueError(f"made to fail: {cfg.x}")
        note("end", cfg.x)
    return {"y": 10 * cfg.x}


def train(cfg):
    """Make a step a second, and keep what was done."""
    done = Path("checkpoint")
    step = int(done.read_text()) if done.exists() else 0

    def save():
        done.with_suffix(".new").write_text(str(step))
        done.with_suffix(".new").replace(done)

    note("start", cfg.x, step)
    heyhi.maybe_init_requeue_handler(save)
    while step < cfg.seconds:
        time.sleep(1)
        step += 1
        if step % 4 == 0:
            save()


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
'''

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


def reason_kind(reason: str) -> str:
    """Put a reason that HeyHi gives into one of few words."""
    return next((kind for kind, pattern in REASONS.items() if re.search(pattern, reason)), reason)


@dataclass(frozen=True)
class Line:
    """One line of the ledger that the task writes."""

    what: str
    x: int
    time: float
    pid: int
    job: str
    step: int


@dataclass
class Point:
    """One experiment: what its config sets, and how it is launched."""

    values: dict[str, object]
    in_sweep: bool = True
    by_hand: bool = False  # by run.py
    is_late: bool = False  # launched when all else is over, and cancelled

    @property
    def x(self) -> int:
        return int(str(self.values["x"]))

    @property
    def fails(self) -> bool:
        return self.values.get("do") == "fail"

    @property
    def words(self) -> list[str]:
        return [f"{key}={value}" for key, value in self.values.items()]


def make_points(number: int, rng: random.Random, longest: float) -> list[Point]:
    """Plan experiments of all kinds.

    Args:
        number: how many.
        rng: draws partitions and durations.
        longest: seconds that one takes.
    """
    points = []
    packed = max(4, number // 8 // 4 * 4)
    for x in range(1, number + 1):
        values: dict[str, object] = {"x": x, "seconds": round(rng.uniform(longest / 4, longest), 1)}
        launcher: dict[str, object] = {"partition": rng.choice(["main", "preempt", "preempt", "scavenge"])}
        point = Point(values)
        if x <= packed:
            launcher = {"pack": 4, "partition": "preempt" if x > 4 else "main"}
            values["do"] = "train" if x % 4 < 2 else "fail" if x % 16 == 3 else "work"
        else:
            kind = x % 6
            values["do"] = "train" if kind in (0, 1) else "fail" if x % 12 == 5 else "work"
            launcher["max_attempts"] = rng.choice([1, 1, 2])
            launcher["requeue"] = rng.random() < 0.8
            if x % 5 == 2:
                point.by_hand, point.in_sweep = True, x % 10 == 2
        values |= {f"launcher.slurm.{key}": value for key, value in launcher.items()}
        points.append(point)
    points += [Point({"x": number + n, "seconds": 8.0}, in_sweep=False, is_late=True) for n in (1, 2)]
    return points


class Project:
    """A project of its own, whose experiments run on a cluster.

    Args:
        folder: where the project is made.
        cluster: where it runs.
        points: its experiments.
    """

    def __init__(self, folder: Path, cluster: Any, points: list[Point]) -> None:
        self.root = folder / "project"
        self.points = points
        self.log = folder / "controller.log"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "HH_"))}
        self.env = {**env, **cluster.env, "PYTHONPATH": str(REPOSITORY), "CHAOS": str(folder), "COLUMNS": "200"}
        self.env["XDG_CACHE_HOME"] = str(folder / "cache")
        conf = self.root / "conf"
        conf.mkdir(parents=True)
        (folder / "locks").mkdir()
        for name in ("workflows", "profiles"):
            shutil.copytree(REPOSITORY / name, self.root / name)
        shutil.copy(REPOSITORY / "Snakefile", self.root)
        (self.root / "run.py").write_text(TASK)
        (self.root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/sweep.py"\n')
        (conf / "conf.proto").write_text(PROTO)
        (conf / "work.prototxt").write_text("work { launcher { slurm {} } }\n")
        sweep = [point.values for point in points if point.in_sweep]
        (conf / "sweep.py").write_text(
            f'def yield_sweep():\n    for point in {sweep!r}:\n        yield "conf/work.prototxt", point\n'
        )

    def start_controller(self) -> subprocess.Popen[bytes]:
        """Start the controller, as a process group of its own."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                CONTROLLER, cwd=self.root, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def python(self, *words: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command of this Python's."""
        return subprocess.run(
            [sys.executable, *words], cwd=self.root, env=self.env, capture_output=True, text=True, timeout=seconds,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def statuses(self) -> dict[int, dict[str, Any]]:
        """Ask `heyhi status`: x -> its row."""
        done = self.python("-m", "heyhi.cli", "status", "--json")
        if done.returncode not in (0, 1):
            raise ClusterError(f"heyhi status ended with {done.returncode}: {done.stderr}")
        return {int(re.search(r"x=(\d+)", row["exp_id"])[1]): row for row in json.loads(done.stdout)}  # type: ignore[index]

    def folders(self, name: str) -> dict[int, Path]:
        """Files of a name in the experiments' folders: x -> file."""
        found = {}
        for path in self.root.glob(f"results/p/work/*/{name}"):
            if match := re.search(r"x=(\d+)", path.parent.name):
                found[int(match[1])] = path
        return found


def read_ledger(path: Path) -> list[Line]:
    """Read what the runs have written."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        what, x, when, pid, job, step = text.split()
        lines.append(Line(what, int(x), float(when), int(pid), job, int(step)))
    return lines


@dataclass
class Asked:
    """What the command line asks for."""

    seed: int
    minutes: float
    experiments: int
    folder: Path
    events: int  # at most; 0: until all is over
    longest: float
    gap: float


@dataclass
class Chaos:
    """Hurt a cluster and who uses it, and keep book of it."""

    asked: Asked
    cluster: Any
    project: Project
    rng: random.Random
    began: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    # Job id -> how it was hurt, and when last.
    harm: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    controller: subprocess.Popen[bytes] | None = None
    launches: int = 0
    hurt_nodes: set[str] = field(default_factory=set)
    singles: list[Point] = field(default_factory=list)
    hurried: float = 0.0

    # --- keeping book

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def deadline(self) -> float:
        """Seconds after which all must be over; the rest is for the end."""
        return self.asked.minutes * 60 - 30

    def say(self, kind: str, detail: str, jobs: Iterable[str] = (), harm: str = "") -> None:
        """Write down what was done, and which jobs it hurt."""
        jobs = list(jobs)
        self.events.append({"time": round(self.now, 1), "kind": kind, "detail": detail, "jobs": jobs})
        print(f"{self.now:7.1f} s  {kind:<18} {detail}", flush=True)
        for job in jobs if harm else ():
            self.harm[job][harm] = time.time()

    def wrong(self, text: str) -> None:
        """Write down what must not be."""
        self.violations.append(text)
        print(f"{self.now:7.1f} s  WRONG: {text}", flush=True)

    # --- what is there

    def jobs(self, *words: str) -> list[dict[str, str]]:
        """Ask squeue."""
        names = ("id", "state", "partition", "node", "cores", "why", "comment")
        lines = self.cluster.run("squeue", "-h", "-o", "%i|%T|%P|%N|%C|%r|%k", *words).splitlines()
        return [dict(zip(names, line.split("|"), strict=True)) for line in sorted(lines)]

    def running(self, *words: str) -> list[dict[str, str]]:
        """Ask for running jobs of HeyHi's."""
        return [job for job in self.jobs(*words) if job["state"] == "RUNNING" and job["comment"].startswith("heyhi:")]

    def well(self) -> list[str]:
        """The nodes that nothing is wrong with now."""
        return [node for node in NODES if node not in self.hurt_nodes]

    def unsaved(self) -> set[str]:
        """Jobs that began, ended or were hurt so lately that slurmctld may not have written it down."""
        since = time.time() - UNSAVED_SECONDS
        found = {line.job for line in read_ledger(self.asked.folder / "ledger.txt") if line.time > since}
        for path in self.project.folders("job.json").values():
            with contextlib.suppress(OSError, ValueError):
                if path.stat().st_mtime > since:
                    found.add(str(json.loads(path.read_text())["job_id"]))
        return found | {job for job, harm in self.harm.items() if max(harm.values(), default=0.0) > since}

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
            kinds = {b"heyhi.runner": "runner", b"heyhi.job.pack": "pack", b"slurm_script": "script"}
            found.update({int(path.name): kind for word, kind in kinds.items() if word in words})
        return found

    # --- what is done; each returns whether there was something to do it to

    def kill_controller(self) -> bool:
        """End the controller, with the commands that it has just started or without."""
        if self.controller is None or self.controller.poll() is not None:
            return False
        whole = self.rng.random() < 0.5
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if whole else os.kill)(self.controller.pid, signal.SIGKILL)
        self.controller.wait()
        self.controller = None
        self.say("kill controller", "and its children" if whole else "alone")
        self.after(self.rng.uniform(0, 4), self.launch)
        return True

    def launch(self) -> None:
        """Start the controller, by the same command each time."""
        if self.controller is not None and self.controller.poll() is None:
            return
        self.controller = self.project.start_controller()
        self.launches += 1
        self.say("launch", f"controller {self.launches}")

    def kill_job(self) -> bool:
        """End processes of a job as the system does that is short of memory."""
        job = self._choose(self.running())
        if job is None:
            return False
        found = self.processes(job["id"])
        what = self.rng.choice(["all", "runner", "runner", "script"])
        if "pack" in found.values() and what == "script":
            what = "pack"
        pids = sorted(pid for pid, kind in found.items() if what in ("all", kind))
        if what == "runner":
            pids = pids[:1]
        if not pids:
            return False
        self.say("kill job", f"{what} of job {job['id']} on {job['node']}", [job["id"]], "kill")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return True

    def cancel(self) -> bool:
        """Cancel a job, mostly one that runs."""
        heyhis = [job for job in self.jobs() if job["comment"].startswith("heyhi:")]
        running = [job for job in heyhis if job["state"] == "RUNNING"]
        job = self._choose(running if running and self.rng.random() < 0.8 else heyhis)
        if job is None:
            return False
        self.say("scancel", f"job {job['id']}, {job['state']}", [job["id"]], "cancel")
        self.cluster.run("scancel", job["id"])
        return True

    def warn(self) -> bool:
        """Send a job the signal that comes before its time limit."""
        job = self._choose(self.running())
        if job is None:
            return False
        self.say("warn", f"job {job['id']}", [job["id"]])
        with contextlib.suppress(ClusterError):  # it has just ended
            self.cluster.run("scancel", "--signal=USR2", "--batch", job["id"])
        return True

    def kill_slurmctld(self) -> bool:
        """End slurmctld; for some seconds no command of Slurm works."""
        seconds = self.rng.uniform(0, 6)
        self.cluster.kill_slurmctld()
        self.say("kill slurmctld", f"for {seconds:.1f} s", self.unsaved(), "slurmctld")
        time.sleep(seconds)
        # What was handed over or has ended meanwhile, it doesn't know either.
        for job in self.unsaved():
            self.harm[job]["slurmctld"] = time.time()
        self.cluster.start_slurmctld()
        self.say("start slurmctld", "")
        return True

    def kill_slurmd(self) -> bool:
        """End a node's slurmd, unnoticed or until Slurm gives the node up; with its jobs or without."""
        node = self._choose(self.well())
        if node is None or len(self.hurt_nodes) > 1:
            return False
        with_jobs, seconds = self.rng.random() < 0.5, self.rng.choice([2, 8, 30])
        hurt = [job["id"] for job in self.jobs("-w", node)]
        self.hurt_nodes.add(node)
        self.cluster.kill_slurmd(node, jobs=with_jobs)
        self.say("kill slurmd", f"{node} {'with' if with_jobs else 'without'} its jobs, for {seconds} s", hurt, "node")

        def start() -> None:
            self.cluster.start_slurmd(node)
            self.hurt_nodes.discard(node)
            self.say("start slurmd", node)

        self.after(seconds, start)
        return True

    def set_down(self) -> bool:
        """Set a node down, as its administrator would."""
        node = self._choose(self.well())
        if node is None or len(self.hurt_nodes) > 1:
            return False
        hurt = [job["id"] for job in self.jobs("-w", node)]
        self.hurt_nodes.add(node)
        self.cluster.set_node(node, "down")
        self.say("set node down", node, hurt, "node")

        def resume() -> None:
            with contextlib.suppress(ClusterError):  # it came back by itself
                self.cluster.set_node(node, "resume")
            self.hurt_nodes.discard(node)
            self.say("resume node", node)

        self.after(self.rng.uniform(3, 12), resume)
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
        self.say("preempt", f"jobs {' '.join(hurt)} on {node}", hurt, "preempt")
        self.cluster.run(
            "sbatch", "-p", "high", "-w", node, "-c", str(want), "--no-requeue", "-J", "high", "-o", "/dev/null",
            "-t", "1", "--wrap", f"sleep {self.rng.randint(3, 8)}",
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
        self.say("run.py", f"x={point.x}: {said or done.stderr.strip()[-200:]}")
        if done.returncode:
            if "Traceback" in done.stderr or "unable" not in done.stderr.lower():
                self.wrong(f"run.py of x={point.x} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
            self.singles.insert(0, point)

    def _choose(self, some: list[Any]) -> Any:
        return self.rng.choice(some) if some else None

    # --- in time

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self.later.append((self.now + seconds, action))

    def do_later(self, everything: bool = False) -> None:
        """Do what is due."""
        due = [one for one in self.later if everything or one[0] <= self.now]
        self.later = [one for one in self.later if one not in due]
        for _, action in due:
            action()

    def hurry(self) -> None:
        """Spare queued jobs the wait that Slurm has for them, and do what its administrator would have to."""
        if self.now - self.hurried < 3:
            return
        self.hurried = self.now
        jobs = self.jobs("-t", "all")
        with (self.asked.folder / "squeue.txt").open("a") as file:
            file.writelines(f"{self.now:7.1f} {' '.join(job.values())}\n" for job in jobs)
        for job in jobs:
            with contextlib.suppress(ClusterError):
                if job["state"] == "PENDING" and job["why"] == "BeginTime":
                    self.cluster.run("scontrol", "update", f"JobId={job['id']}", "StartTime=now")
                elif job["state"] == "PENDING" and job["why"].endswith("held"):
                    # slurmctld forgot a job when it was killed, and gave its number to the next.
                    self.cluster.run("scontrol", "release", job["id"])
                    self.say("release", f"job {job['id']}: {job['why']}", [job["id"]], "slurmctld")
        for node in self.well():
            if self.cluster.node_state(node) in ("drained", "draining"):
                self.cluster.set_node(node, "resume")
                self.say("resume node", f"{node}, which Slurm had set to drain")

    def deck(self) -> list[Callable[[], bool]]:
        """Everything that may be done, in an order that the seed gives; some of it more often."""
        some = [self.kill_controller, self.cancel, self.kill_slurmctld, self.kill_slurmd, self.set_down]
        some += [self.kill_job, self.preempt, self.single, self.warn]
        if not self.asked.events:
            some += [self.kill_job, self.kill_job, self.cancel, self.preempt, self.warn, self.single]
        self.rng.shuffle(some)
        return some

    def rage(self) -> None:
        """Hurt until all is over, or half of the time is, or enough was done."""
        deck: list[Callable[[], bool]] = []
        done, tries, next_at = 0, 0, self.now + self.asked.gap
        while self.now < 0.55 * self.deadline and not (self.asked.events and done >= self.asked.events):
            self.do_later()
            self.hurry()
            if self.controller is not None and self.controller.poll() is not None:
                self.say("controller ended", f"exit code {self.controller.returncode}")
                self.controller = None
                if not self._is_something_left():
                    break
                self.launch()
            if self.now >= next_at and self.running():
                deck = deck or self.deck()
                if deck[-1]() or tries > 3:
                    deck.pop()
                    done, tries = done + 1, 0
                else:
                    # Nothing there to do it to: another comes first.
                    deck.insert(0, deck.pop())
                    tries += 1
                next_at = self.now + self.rng.uniform(0.4, 1.6) * self.asked.gap
            time.sleep(0.2)

    def _is_something_left(self) -> bool:
        done = self.project.folders("result.json")
        return any(p.x not in done and p.in_sweep and not p.fails for p in self.project.points)

    def settle(self) -> None:
        """Hurt nothing any more, and wait until no controller and no job is left."""
        self.do_later(everything=True)
        self.launch()
        while self.singles and self.now < self.deadline:
            self.single()
        # Nobody launches these again, so they stay as they are.
        late = [point for point in self.project.points if point.is_late]
        for point in late:
            self.run_by_hand(point)
        while self.now < self.deadline and any(job["state"] != "RUNNING" for job in self._jobs_of(late)):
            self.hurry()
            time.sleep(0.3)
        for job in self._jobs_of(late):
            self.say("scancel", f"job {job['id']}, {job['state']}", [job["id"]], "cancel")
            self.cluster.run("scancel", job["id"])
        empty_since = None
        while self.now < self.deadline:
            self.hurry()
            left = self.cluster.leftovers()
            is_empty = not left and any(job["state"] == "RUNNING" for job in self.jobs())
            empty_since = (empty_since or self.now) if is_empty else None
            if empty_since is not None and self.now - empty_since > 6:
                self.report_nodes()
                empty_since = None
            if self.controller is not None and self.controller.poll() is not None:
                self.say("controller ended", f"exit code {self.controller.returncode}")
                if self.controller.returncode not in (0, 1):
                    self.wrong(f"the last controller ended with {self.controller.returncode}")
                self.controller = None
            if self.controller is None and not left and not self.jobs():
                return
            time.sleep(0.5)
        jobs = ", ".join(f"{job['id']} {job['state']} {job['why']}" for job in self.jobs())
        alive = "a controller and " if self.controller is not None else ""
        self.wrong(f"not over in time: {alive}jobs [{jobs}] are left, processes {self.cluster.leftovers()}")

    def report_nodes(self) -> None:
        """Have the nodes say what they run: a slurmctld that was killed only learns in minutes that a job is over."""
        for node in NODES:
            self.cluster.kill_slurmd(node)
            self.cluster.start_slurmd(node)
        self.say("restart slurmds", "as jobs that are over still count as running")

    def _jobs_of(self, points: list[Point]) -> list[dict[str, str]]:
        notes = self.project.folders("job.json")
        ids = {str(json.loads(notes[p.x].read_text())["job_id"]) for p in points if p.x in notes}
        return [job for job in self.jobs() if job["id"] in ids]

    # --- what must hold

    def check_ledger(self) -> None:
        """Nothing ran twice: neither at once nor once it was done."""
        lines = read_ledger(self.asked.folder / "ledger.txt")
        for line in lines:
            if line.what == "OVERLAP":
                self.wrong(f"x={line.x} ran twice at once: job {line.job}, pid {line.pid}")
        results = self.project.folders("result.json")
        for point in self.project.points:
            ends = [line for line in lines if line.x == point.x and line.what == "end"]
            # One that was ended between its last line and its result has to run again.
            real = [line for line in ends if not self._was_cut(point.x, line)]
            if len(ends) > len(real):
                self.say("cut", f"x={point.x} was ended between its last line and its result")
            if len(real) > 1:
                self.wrong(f"x={point.x} was done {len(real)} times: {real}")
            if point.x in results and not real:
                self.wrong(f"x={point.x} is DONE, and no run of it has ended: {ends}")
            if real and point.x not in results:
                self.wrong(f"x={point.x} has ended, and its result is lost")
            if real and any(one.time > real[0].time for one in lines if one.x == point.x and one.what == "start"):
                self.wrong(f"x={point.x} was started again when it was done")

    def _was_cut(self, x: int, end: Line) -> bool:
        attempts = self.attempts(x)
        numbers = [a["attempt"] for a in attempts if a["event"] == "start" and a["pid"] == end.pid]
        ends = [a for a in attempts if a["event"] == "end" and a["attempt"] in numbers]
        return bool(numbers) and not any(a["reason"] in ("done", "failed") for a in ends) and self._is_late(x, end)

    def _is_late(self, x: int, end: Line) -> bool:
        """Return whether the result isn't that of a run, as it is older or much younger than the run's last line."""
        path = self.project.folders("result.json").get(x)
        return path is None or not -1 < path.stat().st_mtime - end.time < 5

    def attempts(self, x: int) -> list[dict[str, Any]]:
        """What HeyHi has on record."""
        path = self.project.folders("attempts.jsonl").get(x)
        return [json.loads(line) for line in path.read_text().splitlines()] if path is not None else []

    def check_statuses(self) -> dict[str, list[int]]:
        """Each is DONE or DEAD for its true reason; return the x of each reason."""
        rows = self.project.statuses()
        deaths: dict[str, list[int]] = defaultdict(list)
        for point in self.project.points:
            row = rows.get(point.x)
            if row is None:
                self.wrong(f"x={point.x} is lost: it has no status")
            elif row["status"] == "DEAD":
                kind = reason_kind(row["reason"])
                deaths[kind].append(point.x)
                self._check_reason(point, row, kind)
            elif row["status"] != "DONE":
                self.wrong(f"x={point.x} is {row['status']}: {row['reason']}")
            elif point.fails:
                self.wrong(f"x={point.x} is DONE, and was to fail")
        for x in rows.keys() - {point.x for point in self.project.points}:
            self.wrong(f"x={x} is none of ours: {rows[x]}")
        return dict(deaths)

    def _check_reason(self, point: Point, row: dict[str, Any], kind: str) -> None:
        harm = self.harm.get(row["job_id"], {})
        allowed = {"exception"} if point.fails else set()
        # Not only by us: jobs of the other partitions push these out, too.
        allowed |= {"PREEMPTED"} if point.values.get("launcher.slurm.partition") == "scavenge" else set()
        allowed = allowed.union(*(MAY_END[one] for one in harm))
        told = f"x={point.x} ({row['job_id']}) is DEAD: {row['reason']}"
        if kind not in allowed:
            self.wrong(f"{told}; expected {' or '.join(sorted(allowed)) or 'that it goes on'} after {dict(harm)}")
        state = self.cluster.accounting(row["job_id"]).get("State", "").partition(" ")[0]
        if state in REASONS and kind not in (state, "exception"):
            self.wrong(f"{told}; sacct says {state}")

    def check_records(self) -> None:
        """What HeyHi has written down of ended jobs is what Slurm's accounts say, of some start of that job."""
        columns = "JobID,State,NodeList"
        rows = [
            row.split("|") for row in self.cluster.run("sacct", "-a", "-D", "-X", "-n", "-P", "-o", columns).split("\n")
        ]
        known = {(job, state.partition(" ")[0], nodes) for job, state, nodes in rows}
        for point in self.project.points:
            for end in self.attempts(point.x):
                told = end.get("job_id"), end.get("job_state"), end.get("host")
                # Of its last seconds, slurmctld had the accounts say something else afterwards.
                if told[1] and told not in known and "slurmctld" not in self.harm.get(told[0], {}):
                    self.wrong(f"x={point.x}: the record of {end['time']} says {told}, sacct {sorted(known)}")

    def mend(self) -> int:
        """Take away what makes some fail, and have HeyHi start what is dead; return how often that was needed."""
        (self.asked.folder / "mended").touch()
        rounds = 0
        while any(row["status"] != "DONE" for row in self.project.statuses().values()) and rounds < 3:
            rounds += 1
            left = max(30.0, self.asked.minutes * 60 - self.now)
            done = self.project.python("-m", "heyhi.cli", "retry", "--dead", "--foreground", seconds=left)
            (self.asked.folder / f"retry{rounds}.log").write_text(done.stdout + done.stderr)
            self.say("heyhi retry --dead", f"exit code {done.returncode}")
            if done.returncode:
                self.wrong(f"heyhi retry --dead ended with {done.returncode}; see retry{rounds}.log")
        for x, row in sorted(self.project.statuses().items()):
            if row["status"] != "DONE":
                self.wrong(f"x={x} is {row['status']} in the end: {row['reason']}")
        return rounds

    # --- all of it

    def run(self) -> None:
        """Do it all, and leave the book."""
        self.singles = [point for point in self.project.points if point.by_hand]
        deaths: dict[str, list[int]] = {}
        rounds = 0
        try:
            self.single()
            self.launch()
            self.rage()
            self.settle()
            self.check_ledger()
            deaths = self.check_statuses()
            self.check_records()
            if not self.violations:
                rounds = self.mend()
                self.check_ledger()
        except (ClusterError, subprocess.TimeoutExpired) as error:
            self.wrong(f"{type(error).__name__}: {error}")
        finally:
            if self.controller is not None and self.controller.poll() is None:
                os.killpg(self.controller.pid, signal.SIGKILL)
                self.controller.wait()
            with contextlib.suppress(ClusterError):
                columns = "JobID,State,ExitCode,NodeList,Submit,Start,End,JobName"
                text = self.cluster.run("sacct", "-a", "-D", "-X", "-P", "-o", columns)
                (self.asked.folder / "sacct.txt").write_text(f"{text}\n")
        self.write(deaths, rounds)

    def write(self, deaths: dict[str, list[int]], rounds: int) -> None:
        """Write the book, and print its summary."""
        lines = read_ledger(self.asked.folder / "ledger.txt")
        kinds = Counter(
            str(a["kind"]) for p in self.project.points for a in self.attempts(p.x) if a["event"] == "start"
        )
        counts = Counter(line.what for line in lines)
        book = {
            "seed": self.asked.seed,
            "seconds": round(self.now),
            "experiments": len(self.project.points),
            "launches of the controller": self.launches,
            "events": dict(Counter(event["kind"] for event in self.events)),
            "starts": counts["start"],
            "starts from a checkpoint": sum(line.what == "start" and line.step > 0 for line in lines),
            "starts by kind": dict(kinds),
            "ends": counts["end"],
            "overlaps": counts["OVERLAP"],
            "dead by reason, before retry": {kind: len(xs) for kind, xs in deaths.items()},
            "retries of the dead": rounds,
            "done": len(self.project.folders("result.json")),
            "violations": self.violations,
        }
        (self.asked.folder / "ledger.json").write_text(json.dumps({**book, "log": self.events}, indent=1) + "\n")
        print()
        for name, value in book.items():
            text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            print(f"{name:<30} {len(value) if isinstance(value, list) else text}")
        for text in self.violations:
            print(f"WRONG: {text}")


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
    options = parser.parse_args(arguments)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="heyhi-chaos-")).resolve()
    folder.mkdir(parents=True, exist_ok=options.folder is None)
    asked = Asked(**{**vars(options), "folder": folder})
    rng = random.Random(asked.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="heyhi-slurm-", ignore_cleanup_errors=True) as short:
        cluster = Cluster(Path(short) / "c")
        try:
            cluster.start()
            project = Project(folder, cluster, make_points(asked.experiments, rng, asked.longest))
            chaos = Chaos(asked, cluster, project, rng, began)
            chaos.run()
        finally:
            shutil.copytree(cluster.folder / "log", folder / "slurm", dirs_exist_ok=True)
            cluster.stop(wipe=True)
    print(f"all of it is in {folder}")
    return 1 if chaos.violations else 0


if __name__ == "__main__":
    sys.exit(main())
