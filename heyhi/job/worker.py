"""A worker: a job that runs experiments of one launch, one after another, until nothing or no time is left.

look at the next one ─ claim it ─ its runner, a child ─ how it ended, on record ─ the next

Workers share nothing but the experiments' own folders: who may run one is settled by its claim, whether it is tried
again by its records. Each begins with every N-th of the list, so that two seldom want the same one, then helps others.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import os
import queue
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType

from heyhi.code.snapshot import open_snapshot
from heyhi.errors import HeyhiError, UnknownError
from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.death import Death
from heyhi.experiment.exits import exit_text
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import CLAIM_NAME, Status, result_of
from heyhi.experiment.owner import BACK, Owner
from heyhi.experiment.records import PRUNED
from heyhi.experiment.status import Statuses
from heyhi.files import read_bounded, replace_file, utc_now
from heyhi.job.ending import STOP_SIGNALS, end_with
from heyhi.job.left_out import MAX_FAULTS, fault_in
from heyhi.job.notice import Notice, ask_again
from heyhi.job.order import Order
from heyhi.job.submit import leave_to, prepare_job
from heyhi.job.work_list import FAULT, LEFT, STOP_NAME, Item, WorkList, cancel_note, in_turn
from heyhi.job.worker_retry import next_attempt
from heyhi.job.worker_run import Cut, Run, plain_env, python_words
from heyhi.job_env import NOTICE_VARIABLE, get_job_env, node_name
from heyhi.logs import setup_logging
from heyhi.slurm.commands import View
from heyhi.slurm.request import JobRequest, request_of
from heyhi.streams import guard_streams
from heyhi.sweep.budget import Budget
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import target_of
from heyhi.text import take_any_text

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_PAUSE_SHARE = 10.0  # times as long as the last round of looks took
# So long a worker waits with nothing but what others run: should one of these die, it is tried again. Longer would
# cost more than that is worth.
IDLE_SECONDS = 300.0
UNLESS_OTHERS = "--unless-others"  # of the closing program
_CLOSING = "heyhi.report.closing"
_MOST_TELLING = 60.0  # seconds that who is told of an end may take


class Fate(enum.Enum):
    """What came of a look at an experiment."""

    RAN = "it was run"
    LATER = "it may be run later"
    OVER = "nobody will run it, or need to"


@dataclass
class Worker:
    """One worker.

    Args:
        work: what is to be done.
        folder: of the launch.
        place: number of this worker among those of the launch, from 0 on.
        count: how many these are.
        job: id of its job.
    """

    work: WorkList
    folder: Path
    place: int
    count: int
    job: str
    stopped: signal.Signals | None = None
    _is_warned: bool = False
    _leaves: str = ""  # why it starts nothing more
    _run: Run | None = None
    _runs: int = 0
    _view: View = field(default_factory=View)
    _over: set[str] = field(default_factory=set)  # folders of those that nobody starts any more
    _done: set[str] = field(default_factory=set)
    _back: set[str] = field(default_factory=set)  # that this job has left to be tried again
    _unknown: set[str] = field(default_factory=set)  # that nobody can look at, which was said
    _waits: bool = False  # whether some wait for what they need
    _told: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)
    _errors: Counter[str] = field(default_factory=Counter)
    _has_done: bool = False
    _known_fault: int = 0
    _orders: dict[int, tuple[Manifest, Order]] = field(default_factory=dict)

    def run(self) -> int:
        """Run what there is, and return the exit code for the job's script."""
        for sign in STOP_SIGNALS:
            signal.signal(sign, self._stop)
        end_with(os.getppid())  # the script's end is that of the job
        notice = Notice()
        notice.listen()
        notice.forward(self._warn)
        self._known_fault = self._own_fault()
        self._has_left.unlink(missing_ok=True)
        self._say(f"worker {self.place + 1} of {self.count}: {len(self.work.items)} experiments")
        left = self._drain(self._in_order())
        if self.stopped is not None:
            self._say(f"stopped by {self.stopped.name}")
            return 128 + self.stopped
        if self._leaves:
            self._say(self._leaves)
            self._give_back()
            self._has_left.touch()
            self._call(_CLOSING, self.work.launch, UNLESS_OTHERS)  # the last that leaves makes the tables
            return 1
        if self._is_warned and left:
            self._say("time is up")
            return self._ask_again()
        if left:
            self._say(f"nothing to start: {len(left)} are run elsewhere")
            return 0
        self._has_mine.unlink(missing_ok=True)
        self._say("nothing is left")
        self._close()
        return 0

    def is_leaving(self) -> bool:
        """Whether nothing more is started."""
        return self.stopped is not None or self._is_warned or bool(self._leaves)

    # --- which one is next

    def _in_order(self) -> list[Item]:
        """Return all of them in the order in which this worker takes them: first what it had, then its share."""
        mine = self._mine()
        return sorted(in_turn(self.work.items, self.place, self.count), key=lambda item: item.folder != mine)

    def _mine(self) -> str:
        """Return which experiment this job has, or had last; empty for none."""
        with contextlib.suppress(OSError):
            return read_bounded(self._has_mine).decode(errors="replace").strip()
        return ""

    def _drain(self, line: list[Item]) -> list[Item]:
        """Run what can be run, until nothing is left, or it has to leave; return what may be left then."""
        asks, pause, idle_since = False, _FIRST_PAUSE, time.monotonic()
        while line and not self.is_leaving():
            began, has_run = time.monotonic(), False
            later: list[Item] = []
            self._view = View()
            self._waits = False
            for number, item in enumerate(line):
                if self.is_leaving():
                    later += line[number:]
                    break
                fate = self._try(item, asks=asks)
                if fate is Fate.RAN:
                    has_run, idle_since, self._view = True, time.monotonic(), View()
                if fate is Fate.OVER:
                    self._over.add(item.folder)
                elif item.folder not in self._over and item.folder not in self._done:
                    later.append(item)
            line = later
            if has_run or not asks:  # those that others had at the first look may be free by now
                asks, pause = True, _FIRST_PAUSE
                continue
            if not self._waits and time.monotonic() >= idle_since + IDLE_SECONDS:
                break
            self._sleep(max(pause, _PAUSE_SHARE * (time.monotonic() - began)))
            pause = min(1.5 * pause, _LONGEST_PAUSE)
        return line

    def _sleep(self, seconds: float) -> None:
        """Wait, unless this process is told something."""
        with contextlib.suppress(queue.Empty):
            self._told.get(timeout=seconds)

    def _try(self, item: Item, *, asks: bool) -> Fate:
        """Do as `_look` does; what can't be looked at is said."""
        try:
            return self._look(item, asks=asks)
        except HeyhiError as error:  # its own status says so, too
            if item.folder not in self._unknown:
                self._say(f"{self._name(item)}: {error}")
            if not isinstance(error, UnknownError):
                return Fate.OVER
            self._unknown.add(item.folder)  # another look may find it mended
            return Fate.LATER

    def _look(self, item: Item, *, asks: bool) -> Fate:
        """Run one if that can be, and return what came of it.

        Args:
            item: the experiment.
            asks: whether Slurm is asked about what others have.
        """
        if self._is_done(item.folder):
            return Fate.OVER
        if (fate := self._by_needs(item)) is not None:
            return fate
        if not asks and os.access(f"{item.folder}/{CLAIM_NAME}", os.F_OK) and self._mine() != item.folder:
            return Fate.LATER
        owner = read_owner(item.folder, self._view.queue)
        if owner is not None and not self._follows(owner):
            return Fate.LATER
        return self._start(item)

    def _by_needs(self, item: Item) -> Fate | None:
        """Return what becomes of one because of what it needs; None where all of that is done."""
        for need in item.needs:
            if self._is_done(need):
                continue
            if need in self._folders:
                is_dead = need in self._over
            else:
                status = Statuses([need], view=self._view).of(need).status
                is_dead = not (status.is_alive or status in (Status.UNKNOWN, Status.DONE))
            if is_dead:
                self._say(
                    f"{self._name(item)}: {Status.BLOCKED.value}: by {need.removeprefix(f'{self.work.results_root}/')}"
                )
                return Fate.OVER
            self._waits = True
            return Fate.LATER
        return None

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(item.folder for item in self.work.items)

    def _is_done(self, folder: str) -> bool:
        if folder not in self._done and os.access(result_of(folder), os.F_OK):
            self._done.add(folder)
        return folder in self._done

    def _follows(self, owner: Owner) -> bool:
        """Return whether a claim is of this job, and who had it is gone: its own, of before it was queued again.

        Not by the job's id alone: a Slurm controller that was killed may start a job twice at once. Or of a worker of
        this launch, which leaves the next attempt to any of them.
        """
        if owner.kind == BACK:
            return os.path.lexists(self._has_of(owner.job))
        is_known = owner.is_here or get_job_env().restart_count > 0
        return is_known and owner.job == self.job and not owner.runs

    # --- a run

    def _start(self, item: Item) -> Fate:
        """Claim one and run it to its end; return as `_look` does."""
        self._leaves = self._why_none()
        if self._leaves:
            return Fate.LATER
        manifest, order = self._order_of(item)
        experiment = manifest.experiment(target_of(item.folder, self.work.project_root))
        request = request_of(getattr(order.schema.parse_root(experiment.config), experiment.task))
        folder = ExperimentDir(experiment.exp_path)
        cancel = cancel_note(self.folder, experiment.identity.digest)
        if os.path.lexists(cancel):
            self._say(f"{experiment.exp_id}: left: it was cancelled")
            return Fate.OVER
        attempt = next_attempt(folder, request, self.work.since, self.job, self._view, self._is_at_fault)
        if not attempt:
            return Fate.OVER
        with prepare_job([experiment], request, order, self._view, attempt=attempt, follows=self._follows) as handover:
            if experiment.exp_path in handover.refused:
                self._say(f"{experiment.exp_id}: left: {handover.refused[experiment.exp_path]}")
                return Fate.OVER
            if not handover.claims:
                return Fate.LATER
            handover.request = request  # which its job has asked for, whatever the next one would
            leave_to(handover, self.job)
            replace_file(self._has_mine, f"{item.folder}\n")
            note = Path(f"{_note_path()}.{self._runs}")
            run = Run(experiment, handover, request, self.job, self._runs, note, cancel)
            self._run = run
            self._runs += 1
            if self.stopped is not None:  # it came just now
                run.stop()
            if self._is_warned:
                run.warn()
            self._say(f"{experiment.exp_id}: starts{f' (attempt {attempt})' if attempt > 1 else ''}")
            try:
                code = run.wait()
            except OSError as error:  # somebody has removed its folder, or there are no more processes
                self._say(f"{experiment.exp_id}: can't be started: {error}")
                code = 1
            self._run = None
        self._ended(item, run, code, attempt)
        return Fate.RAN

    def _why_none(self) -> str:
        """Say why this worker starts nothing more; empty where it does."""
        if self._own_fault() != self._known_fault:
            return f"{node_name()} is at fault (node_faults): this worker ends, and leaves the rest to others"
        budget = Budget.of(self.folder.parent.parent, self.work.launch)
        if budget is not None and (why := budget.why_none()):
            self._call("heyhi.control.spending", self.work.launch)
            return why
        with contextlib.suppress(OSError):
            return read_bounded(self.folder / STOP_NAME).decode(errors="replace").strip() or "stopped"
        return ""

    def _own_fault(self) -> int:
        """Return when this node was last noted to be at fault; 0: never.

        A worker that was submitted since runs here as there are no others.
        """
        with contextlib.suppress(OSError):
            return (self.folder / f"{FAULT}{node_name()}").stat().st_mtime_ns if node_name() else 0
        return 0

    def _ended(self, item: Item, run: Run, code: int, attempt: int) -> None:
        """Put on record what the run itself hasn't, and say how it ended."""
        name = run.experiment.exp_id
        if self._is_done(item.folder):
            run.cancel.unlink(missing_ok=True)  # it came too late
            self._has_done = True
            self._say(f"{name}: {Status.DONE.value}")
            return
        if run.asks:
            self._say(f"{name}: checkpoint written, goes on when this job is started again")
            return
        if self.stopped is not None:  # how the job ends is for Slurm to say
            self._say(f"{name}: stopped with this job")
            return
        if run.cut is Cut.TIMEOUT and self._runs > 1 and run.request.requeue:
            run.put_off(self._follows)  # it has had no more than a part of the job's time
            self._say(f"{name}: time is up, goes on when this job is started again")
            return
        if run.cut is Cut.NOT and os.path.lexists(run.cancel):  # it came as the run failed
            run.cut = Cut.CANCELLED
        again = False

        def goes_back(death: Death) -> bool:
            nonlocal again
            if run.cut is not Cut.CANCELLED and (fault := fault_in(run.folder, death, self._faults)):
                self._blame(fault)
            since, job = self.work.since, self.job
            again = bool(next_attempt(run.folder, run.request, since, job, self._view, self._is_at_fault))
            return again

        death = run.settle(code, self._follows, goes_back)
        if death is None:
            how = exit_text(code) if code < 0 else f"exit code {code}"
            self._say(f"{name}: {how}; {'done' if self._is_done(item.folder) else 'another has it'}")
            return
        if again:
            self._back.add(item.folder)
            self._say(f"{name}: {death.text}: goes back")
            return
        status = Status.PRUNED if death.kind == PRUNED else Status.DEAD
        self._say(f"{name}: {status.value}: {death.text}")
        self._over.add(item.folder)
        if status is Status.DEAD and run.cut is not Cut.CANCELLED:
            self._count(death)
            if self.work.notify:
                self._call("heyhi.control.telling", "death", self.work.launch, name)

    @property
    def _faults(self) -> Sequence[str]:
        return next(iter(self._orders.values()))[1].node_faults

    def _blame(self, fault: str) -> None:
        """Note that this node is at fault, unless so many are that it isn't the nodes'."""
        if len(list(self.folder.glob(f"{FAULT}*"))) < MAX_FAULTS and node_name():
            (self.folder / f"{FAULT}{node_name()}").touch()
            self._say(f"{node_name()} is at fault, and this is no attempt (node_faults: {fault})")

    def _is_at_fault(self, folder: ExperimentDir, death: Death, node: str) -> bool:
        """Return whether an experiment has died by the fault of a node that was noted."""
        return bool(node and fault_in(folder, death, self._faults) and os.path.lexists(self.folder / f"{FAULT}{node}"))

    def _count(self, death: Death) -> None:
        """Stop all workers where so many have died by one error, and none is done."""
        limit = self.work.stop_after
        if not (limit and death.exception) or self._has_done:
            return
        self._errors[death.exception] += 1
        if self._errors[death.exception] >= limit:
            why = f"no more is started: {limit} experiments ended with the same error, and none is done"
            replace_file(self.folder / STOP_NAME, f"{why}: {death.exception}\n")

    def _order_of(self, item: Item) -> tuple[Manifest, Order]:
        if item.source not in self._orders:
            source = self.work.sources[item.source]
            manifest = Manifest.open(Path(source.manifest))
            project = manifest.project
            snapshot = open_snapshot(project, source.snapshot) if source.snapshot else None
            self._orders[item.source] = (
                manifest,
                Order(
                    manifest=manifest.path,
                    schema=manifest.schema(),
                    results_root=manifest.results_root,
                    state_root=project.state_root,
                    code_root=Path(source.code_root),
                    snapshot=snapshot,
                    log_level=self.work.log_level,
                    identity_ignore=project.settings.identity_ignore,
                    continue_drifted=self.work.continue_drifted,
                    node_faults=project.settings.node_faults,
                    launch=self.work.launch,
                ),
            )
        return self._orders[item.source]

    # --- the end

    def _warn(self) -> None:
        self._is_warned = True
        self._told.put(None)
        if self._run is not None:
            self._run.warn()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopped is None:
            self.stopped = signal.Signals(number)
            self._told.put(None)
            if self._run is not None:
                self._run.stop()

    def _ask_again(self) -> int:
        """Have the job queued again, unless its launcher doesn't want that, or nothing came of this time."""
        request = self._request
        if request is None or not request.requeue:
            return 0
        return ask_again()

    @property
    def _request(self) -> JobRequest | None:
        if not self._runs:  # it had no time for a single one
            return None
        for manifest, order in self._orders.values():
            one = next(manifest.experiments(), None)
            if one is not None:
                return request_of(getattr(order.schema.parse_root(one.config), one.task))
        return None

    def _give_back(self) -> None:
        """Give up what waits for another attempt: from this worker it gets none."""
        for folder in self._back - self._done:
            with contextlib.suppress(HeyhiError):  # its claim ends with this job
                mine = Claim.acquire(
                    Path(folder), kind="controller", replaces=lambda one: one.kind == BACK and one.job == self.job
                )
                if isinstance(mine, Claim):
                    mine.release()

    def _close(self) -> None:
        """Have the tables made, and who is to be told of the end told; it is done once, whoever comes."""
        self._call(_CLOSING, self.work.launch)

    def _call(self, module: str, *words: str) -> None:
        env = plain_env(os.environ)
        try:
            subprocess.run(
                python_words(module, *words),
                cwd=self.work.project_root,
                env=env,
                stdin=subprocess.DEVNULL,
                timeout=None if module == _CLOSING else _MOST_TELLING,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._say(f"{module}: {error}")

    @property
    def _has_mine(self) -> Path:
        """Says which experiment this job has, or had last: when it is started again it goes on with that."""
        return self._has_of(self.job)

    def _has_of(self, job: str) -> Path:
        return self.folder / f"has-{job}"

    @property
    def _has_left(self) -> Path:
        return self.folder / f"{LEFT}{self.job}"

    def _name(self, item: Item) -> str:
        return item.folder.removeprefix(f"{self.work.results_root}/")

    def _say(self, what: str) -> None:
        print(f"{utc_now()} {what}", flush=True)


def _note_path() -> str:
    return os.environ.get(NOTICE_VARIABLE) or str(Path.cwd() / f"notice-{os.getpid()}")


def main(args: Iterable[str] | None = None) -> int:
    """Be a worker, and return the exit code: 0 when nothing is left that it could run."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.job.worker",
        description="Run experiments of a launch one after another, as one job.",
        allow_abbrev=False,
    )
    parser.add_argument("list", type=Path, help="what there is to run")
    parser.add_argument("--place", type=int, required=True, metavar="K", help="number of this worker, from 0 on")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="how many there are")
    guard_streams(goes_on=True)
    take_any_text()
    options = parser.parse_args(None if args is None else list(args))
    env = get_job_env()
    if env.job_id is None:
        print("a worker is for jobs of Slurm's: there is no SLURM_JOB_ID here", file=sys.stderr)
        return HeyhiError.exit_code
    try:
        work = WorkList.read(options.list)
        setup_logging(work.log_level)
        return Worker(work, options.list.parent.absolute(), options.place, options.count, env.job_id).run()
    except HeyhiError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
