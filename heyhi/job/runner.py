"""One run of one experiment: once, in its folder, with its attempts, output and result on record.

`python -m heyhi.runner TARGET --manifest FILE` is what a job executes. Which experiments to run, and where, is
decided elsewhere.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from heyhi.code.environment import record_environment
from heyhi.code.git import CodeVersion
from heyhi.code.import_path import loaded_outside, outside_text, pin_imports
from heyhi.code.version import code_version, version_of_run
from heyhi.collector import collect_as_usual
from heyhi.config.schema import Schema, field_named, type_of
from heyhi.errors import HeyhiError, LauncherError, LostClaimError, ManifestError, ResultError, UnknownError
from heyhi.experiment.claim import Claim, RunClaim
from heyhi.experiment.exits import exit_text  # where a task leaves the process, nothing may be left to load
from heyhi.experiment.folder import Experiment, ExperimentDir, config_digest
from heyhi.experiment.launch_log import begin_attempt
from heyhi.experiment.metric_log import Listener, logging_to
from heyhi.experiment.names import LAUNCH_LOG_NAME, RESULT_NAME, Status
from heyhi.experiment.owner import JobRef, Owner, machine_text, read_job
from heyhi.experiment.records import PRUNED, REQUEUE, End, History, Start, Used
from heyhi.experiment.result import Encoded, encode
from heyhi.experiment.run_mark import RunMark
from heyhi.experiment.unclaimed import owner_of_run
from heyhi.experiment.used import forget_used, unfinished
from heyhi.files import is_there_now, utc_now, writing
from heyhi.job.crash import stacks_when_it_crashes
from heyhi.job.ending import KILL_SECONDS, Ending, Signals, Terminated, end_with, ending_of, leave_fork, print_error
from heyhi.job.grace import LOST, Grace
from heyhi.job.kept import KeptFolder
from heyhi.job.leaving import noting_exit
from heyhi.job.load_main import Main, call_main
from heyhi.job.meter import Measured
from heyhi.job.metric_doors import MetricDoors, doors_of, swept_as
from heyhi.job.notice import Notice, ask_again, clear_away
from heyhi.job.options import Options, parse_options
from heyhi.job.outcome import JobClaim, Outcome
from heyhi.job.place import in_place, link_into
from heyhi.job.saving import RECORD_SECONDS, announced, keep_trying, lost_text, save, why_not_held
from heyhi.job.task_main import returned
from heyhi.job.tee import Tee
from heyhi.job.turn import Turn, taken_turn
from heyhi.job.using import Using
from heyhi.job_env import REQUEUE_EXIT, get_job_env, job_nodes
from heyhi.loggers import get_logger, when_loaded
from heyhi.project import SCHEDULING_KEYS, Project
from heyhi.quick_dataclass import dataclass
from heyhi.streams import guard_streams, make_room
from heyhi.sweep.continuing import Continuing, Going
from heyhi.sweep.target import folder_of
from heyhi.text import shown_streams, streams_as_they_are, take_any_text

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.sweep.budget import Budget
    from heyhi.sweep.manifest import Manifest

# A waiting process looks again after 1 s, then less and less often.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 10.0
# After which a claim is looked for again that is made in a folder without records, of which a run may be under way: its
# task may be emptying it all the time.
_DOUBT_SECONDS = 0.2
# How Slurm says that a job has ended which then goes on by a retry of its own.
_OWN_ENDS = ("TIMEOUT", "OUT_OF_MEMORY")
_log = get_logger(__name__)


def execute(
    experiment: Experiment,
    schema: Schema,
    main: Main,
    *,
    log_level: str = "INFO",
    if_claimed: Literal["wait", "leave"] = "wait",
    echo: bool = True,
    code_root: Path | None = None,
    attempt: int = 1,
    job: JobClaim | None = None,
    project: Project | None = None,
    environment: Callable[[], str] | None = None,
    outside: Callable[[], tuple[str, ...]] | None = None,
    continue_drifted: bool = False,
    used_elsewhere: Callable[[], Sequence[Measured]] = tuple,
    is_whole_process: bool = False,
    on_start: Callable[[], None] = lambda: None,
    make_room: Callable[[], None] | None = None,
    on_end: Callable[[], None] = lambda: None,
    on_over: Callable[[Outcome], None] = lambda outcome: None,
    on_exit: Callable[[], object] = lambda: None,
    entry: str | None = None,
    listeners: Sequence[Listener] = (),
    sweep: str = "",
    spend: Callable[[int, Used], None] = lambda attempt, used: None,
) -> Outcome:
    """Run an experiment in this process, unless it is done or another runs it.

    Args:
        experiment: what to run.
        schema: of its config.
        main: called as `main(task=, cfg=, log_level=)` with the frozen config of the task, in the experiment's
            folder. What it returns becomes result.json; None is an empty result, unless `save_result_in_cwd`
            wrote one.
        log_level: for main.
        if_claimed: wait for the result of another process that runs it, taking over when that one dies, or
            leave it and say who it is.
        echo: let its output through to the terminal; it goes to the experiment's log in any case.
        code_root: folder of the code, of which the version is recorded; default: that of main.
        attempt: how often the launcher has tried: more than once is a retry.
        job: of Slurm's, that this process is all of. Its claim outlives a process that is to run again in it.
        project: of the experiment, for what only schedules; without it, neither the code's files nor the packages go
            on record.
        environment: returns the digest of what main had loaded, where that was in other processes.
        outside: returns what of that was the work tree's, likewise.
        continue_drifted: go on with another config than what it would build on had, too.
        used_elsewhere: returns what main has used in processes that aren't below this one.
        is_whole_process: this process is there for nothing else, so that all that it uses is the experiment's.
        on_start: called right before it runs, when nothing can refuse it any more.
        make_room: called first, once this process is free for the run.
        on_end: called when main has ended, before that is put on record.
        on_over: called when a run is over, all is on record, and its claim is released.
        on_exit: called instead where main ends this process by `os._exit`, and there is a result.
        entry: name of main for other processes, empty where it is that of the settings or has none; default: what it
            was launched with before.
        listeners: are called with what main logs, see `metric_log`; what `[tool.heyhi] log_to` names is called before.
        sweep: label of the one that it is run for, as trackers are told; empty for none.
        spend: is told what an attempt, by its number, has used so far, and at its end.

    Returns:
        How it ended. What main raised is told here and in the log, and not raised.

    Raises:
        BusyError: this process runs something already, in whatever thread; nothing was claimed or written.
        LostClaimError: another has taken the experiment over meanwhile; this run has written no result and no end.
        UnknownError: its claim, identity or a record of it can't be read.
        HeyhiError: the folder holds another experiment, or can't be written.
        KeyboardInterrupt: Ctrl-C, once the attempt is on record.
        SystemExit: likewise SIGTERM (143) and SIGHUP (129).
    """
    folder = ExperimentDir(experiment.exp_path)
    notice = Notice() if job is not None else None
    with _telling(on_over) as over, taken_turn(experiment.exp_id) as turn, Signals(notice) as signals:
        if make_room is not None:
            make_room()

        def on_lost(why: str) -> None:
            turn.lost = why
            signals.lose(why)

        kept, mark = KeptFolder(folder), RunMark(experiment)
        claim = _claim(
            folder, experiment, mark, if_claimed, on_lost, job, RunClaim(signals.kill_seconds, kept.look, mark.remove)
        )
        if isinstance(claim, Outcome):
            return claim
        with contextlib.ExitStack() as stack:
            stack.callback(claim.release)
            # Again, now that nobody else can change it.
            found = folder.look_anew()
            folder.check(experiment)
            if RESULT_NAME in found:
                return Outcome(Status.DONE)
            rule = Continuing.of(experiment, schema, _ignored(project))
            going = rule.going_on(folder.path, experiment.config)
            if going.is_refused(is_allowed=continue_drifted):
                return Outcome(Status.DEAD, going.refusal, exit_code=1, refused=True)
            folder.prepare(experiment, schema, entry)
            on_start()
            root = code_root or _folder_of(main)
            doors = doors_of(project, experiment, sweep, root)
            using = Using(folder, used_elsewhere, lambda: bool(turn.lost), is_whole=is_whole_process, spend=spend)
            stack.callback(using.stop)
            run = _Run(
                folder,
                experiment,
                schema,
                main,
                log_level,
                root,
                project,
                environment,
                outside,
                going,
                claim,
                turn,
                using,
                over,
                kept,
                on_end,
                listeners,
                doors,
                on_exit,
            )
            links = link_into(folder.path, project) if project is not None and project.settings.link else []
            with (
                streams_as_they_are(),
                kept.followed_log(),
                Tee(folder.log_path, echo=echo) as tee,
                in_place(experiment, project),
                announced(claim, folder.path),
                stacks_when_it_crashes(),
            ):
                signals.tell = tee.tell
                with shown_streams():
                    if links:
                        print(f"{experiment.exp_id}: no link to {', '.join(links)}", file=sys.stderr, flush=True)
                    if going.note:
                        print(f"{experiment.exp_id}: {going.note}", file=sys.stderr, flush=True)
                outcome = run.attempt(signals, attempt, tee.regain)
            if job is not None and (outcome.stopped or (job.is_kept and not outcome.done)):
                # Slurm decides whether the job goes on: until it is over, the claim is its.
                stack.pop_all()
    # Only when the claim is released: a stop is for the whole process, not only for this experiment.
    signals.raise_if_stopped()
    return outcome


def _claim(
    folder: ExperimentDir,
    experiment: Experiment,
    mark: RunMark,
    if_claimed: Literal["wait", "leave"],
    on_lost: Callable[[str], None],
    job: JobClaim | None,
    run: RunClaim,
) -> Claim | Outcome:
    """Take the claim, or say why not: it is done, or another has it and is left, or has failed just now."""
    wait, ended = _FIRST_WAIT, -1
    waited_for: Owner | None = None
    while True:
        found = folder.look_anew()
        folder.check(experiment)
        if RESULT_NAME in found:
            return Outcome(Status.DONE)
        # Also the note of its submission, which isn't needed here: nothing starts where nobody knows how it is.
        history = folder.history()
        if ended < 0:
            ended = len(history.ends)
        is_first = mark.make()
        look_again = 0.0 if is_first or folder.identity_path.exists() else _DOUBT_SECONDS
        with writing(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
        # Its task may have removed the claim; of an earlier start of the same job nothing is left.
        running = owner_of_run(folder.path, history) if job is None or not job.is_again else None
        got: Claim | Owner
        if running is not None:
            got = running
        elif job is not None:
            got = Claim.acquire(
                folder.path, on_lost=on_lost, ref=job.ref, replaces=job.follows, run=run, look_again=look_again
            )
        else:
            got = Claim.acquire(folder.path, on_lost=on_lost, run=run, look_again=look_again)
        if isinstance(got, Claim):
            if not is_first:
                mark.make()  # who had it may have removed it meanwhile
            ends = folder.history().ends[ended:] if waited_for is not None else []
            if not ends or ends[-1].reason != "failed" or is_there_now(folder.result_path):
                return got
            # What we have waited for has failed, and would again. It goes on where it was stopped or killed.
            got.release()
            from heyhi.experiment.death import death_of  # what isn't needed where all goes well is loaded late

            return Outcome(Status.DEAD, death_of(History(folder.attempts())).text, exit_code=1)
        if if_claimed == "leave" and not (job is not None and job.runs_already(got)):
            from heyhi.experiment.status import held_by
            from heyhi.slurm.commands import View

            return Outcome(held_by(got, View()).status, got.describe())
        if waited_for is None or waited_for.describe() != got.describe():
            _log.info("waiting for %s, which has %s", got.describe(), experiment.exp_id)
            waited_for = got
        time.sleep(wait)
        wait = min(1.5 * wait, _LONGEST_WAIT)


class _Over:
    """What is left of a run when it is over.

    Attributes:
        outcome: how it ended; None where nothing has run.
        held: what main has returned or raised. Destructors of what hangs on it may hang, so they run after all else.
    """

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.held: list[object] = []


@contextlib.contextmanager
def _telling(on_over: Callable[[Outcome], None]) -> Iterator[_Over]:
    """Say how a run has ended that was inside the context, when all else of it was left."""
    over = _Over()
    try:
        yield over
    finally:
        if over.outcome is not None:
            on_over(over.outcome)
        over.held.clear()


@dataclass(frozen=True)
class _Run:
    """What an attempt needs."""

    folder: ExperimentDir
    experiment: Experiment
    schema: Schema
    main: Main
    log_level: str
    code_root: Path
    project: Project | None
    environment: Callable[[], str] | None
    outside: Callable[[], tuple[str, ...]] | None
    going: Going
    claim: Claim
    turn: Turn
    using: Using
    over: _Over
    kept: KeptFolder
    on_end: Callable[[], None]
    listeners: Sequence[Listener]
    doors: MetricDoors
    on_exit: Callable[[], object]

    def attempt(self, signals: Signals, launcher_attempt: int, regain: Callable[[], None]) -> Outcome:
        """Run main once, with its start and end on record; then get back what is printed, which it may have diverted.

        Raises:
            LostClaimError: another has the experiment; then neither result nor end is written.
        """
        pid, clock = os.getpid(), time.monotonic()
        number = self._record_start(launcher_attempt)
        self.over.outcome = Outcome(Status.DEAD, exit_code=1, ran=True, attempt=number)
        self.kept.begin(self.claim, signals.fail)
        self.claim.settle()
        leaving = _Leaving(self, number, clock, signals)
        # Until all is on record: also what is asked for the text of an exception, and a thread that is left, may leave.
        with noting_exit(leaving.note_exit, leaving.note_program):
            ending = self._ending_of_main(number, pid, signals, regain)
            self._leave_if_lost(signals)
            ending = self._with_folder(ending)
            if ending.reason == REQUEUE:
                from heyhi.job.requeues import weigh

                ending = weigh(ending, self.folder, self.experiment, self.schema)
            self._record_end(number, ending, time.monotonic() - clock, signals)
        self.doors.close(ending.reason, is_hurried=ending.is_hurried)
        self.kept.end()
        self.over.outcome = outcome = self._outcome(ending, number)
        return outcome

    def _ending_of_main(self, number: int, pid: int, signals: Signals, regain: Callable[[], None]) -> Ending:
        """Run main, write what it returned, and return how that went; never in a process that it has forked."""
        try:
            with signals.raising():
                result = self._call_main(number)
                self.over.held.append(result)
                if os.getpid() == pid:
                    regain()  # warnings about it belong into the log
                    self.turn.raise_if_pruned()
                    # Inside: what is returned may have methods of the task's own, which take any time.
                    encoded = encode(result) if result is not None else None
            if os.getpid() != pid:
                leave_fork()
            self.on_end()
            self._save(encoded, signals)
            return Ending("done")
        except BaseException as error:
            if os.getpid() != pid:
                leave_fork(error)
            self.on_end()
            regain()
            self.over.held.append(error)
            ending = ending_of(error, signals)
            with contextlib.suppress(OSError):  # the log may be on the disk that is full
                print_error(error, ending)
            return ending

    def _outcome(self, ending: Ending, number: int) -> Outcome:
        if self.folder.has_result():
            return Outcome(Status.DONE, ran=True, attempt=number)
        stopped = ending.reason in ("terminated", REQUEUE)
        status = Status.PRUNED if ending.reason == PRUNED else Status.DEAD
        return Outcome(status, _reason(ending), ending.exit_code or 1, ran=True, attempt=number, stopped=stopped)

    def _save(self, result: Encoded | None, signals: Signals) -> None:
        """Write what main returned, unless it has saved a result itself and returned none."""
        if result is None and not self.folder.has_result():
            signals.raise_if_caught()
        self.kept.settle()  # whatever main has done to it

        def why_not() -> str:
            lost = signals.lost or why_not_held(self.claim)
            if not lost and self.kept.why_moved:
                raise ResultError(self.kept.why_moved)
            return lost

        if result is not None or not self.folder.has_result():
            self.turn.dropped = save(
                self.folder,
                self.experiment.exp_id,
                result,
                why_not,
                lambda: signals.is_stopping or bool(self.kept.why_moved),
            )

    def _with_folder(self, ending: Ending) -> Ending:
        """Have the folder as it was for the records of the end, and return that; another folder is its reason."""
        self.kept.settle()
        why = self.kept.why_moved or self.kept.why_not_removed(ending.exception)
        if not why:
            return ending
        if ending.reason in ("done", "failed") and why not in ending.exception:
            ending = Ending("failed", ending.exit_code or 1, f"{why}{f': {ending.exception}' * bool(ending.exception)}")
        self.kept.note_in_log(f"error: {ending.exception}")
        return ending

    def _leave_if_lost(self, signals: Signals) -> None:
        """End a run whose experiment another has by now, with all that it has started.

        Raises:
            LostClaimError: so it is.
        """
        lost = signals.lost or why_not_held(self.claim)
        if lost:
            self.doors.shut()
            self.over.outcome = Outcome(Status.RUNNING, exit_code=LostClaimError.exit_code, ran=True, lost=True)
            signals.end_the_lost()
            raise LostClaimError(f"{lost_text(self.experiment.exp_id, lost)} (log: {self.folder.log_path})")

    def _call_main(self, number: int) -> object:
        from heyhi.config.frozen import freeze

        message = self.schema.parse_root(self.experiment.config)
        cfg = freeze(getattr(message, self.experiment.task), self.experiment.cfg_folder)
        path, turn = self.folder.metrics_path, self.turn
        listeners: list[Listener] = [*self.doors.listeners, *self.listeners]
        with logging_to(path, attempt=number, listeners=listeners, is_lost=lambda: bool(turn.lost)):
            return returned(self.main(task=self.experiment.task, cfg=cfg, log_level=self.log_level))

    def _record_start(self, launcher_attempt: int) -> int:
        history = History(self.folder.attempts())
        starts = history.starts
        last = starts[-1] if starts else None
        number = (last.attempt or len(starts)) + 1 if last is not None else 1
        env, version, metrics = get_job_env(), self._code_version(), self.folder.metrics_now()
        start = Start(
            attempt=number,
            kind=_kind(history, env.job_id, env.restart_count, launcher_attempt),
            time=utc_now(),
            host=env.hostname,
            pid=os.getpid(),
            job_id=env.job_id or "",
            restart_count=env.restart_count,
            commit=version.commit or "",
            dirty=version.dirty,
            config=config_digest(self.experiment.config, self.schema),
            code=version.digest,
            metrics_size=metrics.size,
            metrics_tail=metrics.tail,
            needs=self._given(),
            changed=self.going.changed,
            is_mixed=self.going.is_mixed,
            asked=self._asked(env.job_id),
            nodes=job_nodes(),
            entry=self.folder.read_entry(),
            logs=_sizes(self.folder),
            machine=machine_text(),
            started=self.claim.owner.started,
        )
        if start.is_mixed:
            from heyhi.experiment.mixed import note_mixed

            self._note_in_root(note_mixed)
        if self.experiment.files:
            from heyhi.experiment.given_files import note_given

            self._note_in_root(note_given)
        if (end := unfinished(self.folder.path, history)) is not None:  # it was killed: its note says what it used
            self.folder.append_attempt(end)
            history = History([*history.attempts, end])
        self.folder.append_attempt(start)
        self.using.begin(start, history)
        return number

    def _given(self) -> dict[str, str]:
        if not (self.experiment.needs or self.experiment.files):
            return {}
        from heyhi.experiment.given import given_to  # most need nothing

        return given_to(self.experiment)

    def _asked(self, job_id: str | None) -> dict[str, Any]:
        if job_id is None:
            return {}
        from heyhi.job.requeues import asked_by

        return asked_by(self.folder, job_id)

    def _code_version(self) -> CodeVersion:
        if self.project is None:
            return code_version(self.code_root)
        # The variable that names the results root may be another one for the next run of this process.
        return version_of_run(self.code_root, self.project._replace(results_override=self.project.results_root))

    def _environment(self, ending: Ending) -> str:
        if self.environment is not None:
            return self.environment()
        if self.project is None:
            return ""
        return record_environment(self.project, self.code_root, may_take_long=not ending.is_hurried)

    def _outside(self) -> tuple[str, ...]:
        """Return what of the work tree a run of a copy has loaded, and say so in its log."""
        if self.outside is not None:
            names = self.outside()
        else:
            names = loaded_outside(self.project, self.code_root) if self.project is not None else ()
        if names:
            with contextlib.suppress(OSError), shown_streams():
                print(f"code: {outside_text(names)}", file=sys.stderr, flush=True)
        return names

    def _note_in_root(self, note: Callable[[Path, str], None]) -> None:
        root = self.experiment.roots.get("results_root")
        try:
            if root is not None:
                note(Path(root), self.experiment.exp_id)
        except ResultError as error:  # its own record says so still
            _log.warning("%s", error)

    def _record_end(self, number: int, ending: Ending, seconds: float, signals: Signals) -> None:
        environment = self._environment(ending)
        end = End(
            attempt=number,
            reason=ending.reason,
            exit_code=ending.exit_code,
            exception=ending.exception,
            seconds=round(seconds, 3),
            time=utc_now(),
            host=ending.node,
            environment=environment,
            dropped=self.turn.dropped,
            files=ending.files,
            outside=self._outside(),
            used=self.using.at_end(),
        )
        try:
            keep_trying(
                lambda: self.folder.append_attempt(end), RECORD_SECONDS, is_stopping=lambda: signals.is_stopping
            )
            self.using.stop()
            forget_used(self.folder.path)
        except ResultError as error:  # a full disk, which may be why it failed: the claim must be released
            _log.error("%s", error)


def ending_in(
    grace: Grace, project: Project, folder: ExperimentDir, tell: Callable[[Outcome], int] | None = None
) -> Callable[[Outcome], None]:
    """Return what begins the seconds that this process has to end, for `execute` to call when its run is over.

    Args:
        grace: of this process.
        project: of the experiment.
        folder: of it.
        tell: is told of its end first, and returns what this process ends with; default: what the outcome says.
    """

    def begin(outcome: Outcome) -> None:
        code = outcome.exit_code if outcome.stopped or outcome.lost else 0 if outcome.done else 1
        code = tell(outcome) if tell is not None else code
        if outcome.lost:  # it works where another does by now
            grace.begin(KILL_SECONDS, None, code, LOST)
        else:
            grace.begin(project.settings.end_grace, folder.log_path, code)

    return begin


@dataclass(frozen=True)
class _Leaving:
    """What goes on record where main leaves the process of its attempt."""

    run: _Run
    number: int
    clock: float
    signals: Signals

    def note_exit(self, code: int) -> int:
        """Put on record that main has ended this process, and return what to end with: 0 is for who has a result."""
        is_done = self._note(code, exit_text(code), is_over=True)
        with contextlib.suppress(OSError):
            print(f"main has called os._exit({code})", file=sys.stderr, flush=True)
        return code if code or is_done else 1

    def note_program(self, program: str) -> None:
        """Put on record that main becomes another program, which has the claim as long as it runs."""
        self._note(None, f"main became another program, {program}, by os.exec, and returned nothing", is_over=False)

    def _note(self, code: int | None, reason: str, *, is_over: bool) -> bool:
        """Put the end on record, and return whether there is a result."""
        run = self.run
        run.kept.look()
        is_done = os.access(run.folder.result_path, os.F_OK)
        seconds = round(time.monotonic() - self.clock, 3)
        how, why = ("failed", reason) if not run.turn.pruned else (PRUNED, run.turn.pruned)
        end = End(self.number, "done" if is_done else how, code, "" if is_done else why, seconds, utc_now())
        if not self.signals.lost and not why_not_held(run.claim):
            with contextlib.suppress(HeyhiError):
                run.folder.append_attempt(end._replace(used=run.using.at_end()))
                forget_used(run.folder.path)
                if is_over:
                    run.claim.release()  # a pack goes on without it
                if is_over and is_done:
                    run.on_exit()
        return is_done


def watching_in(grace: Grace, project: Project, folder: ExperimentDir) -> Callable[[], None]:
    """Return what watches the end of a run until `ending_in`, for `execute` to call when main has ended."""
    return lambda: grace.watch(project.settings.end_grace, folder.log_path, folder.result_path)


def _sizes(folder: ExperimentDir) -> dict[int, int]:
    """Return how much of each rank's log earlier attempts have written, as far as there is any."""
    sizes: dict[int, int] = {}
    with contextlib.suppress(OSError):  # there are no more
        for rank in itertools.count():
            sizes[rank] = folder.log_path_of(rank).stat().st_size
    return sizes if any(sizes.values()) else {}


def _kind(history: History, job_id: str | None, restart_count: int, launcher_attempt: int) -> str:
    """Return whether an attempt is the first, Slurm's requeue, a launcher's or its job's retry, or a new launch."""
    last, end = history.last_attempt
    if last is None:
        return "first"
    if job_id is not None and job_id == last.job_id and restart_count > last.restart_count:
        from heyhi.experiment.death import outside_state

        has_failed = end is not None and (end.reason in ("failed", "killed") or outside_state(end) in _OWN_ENDS)
        return "retry" if has_failed and launcher_attempt > 1 else "requeue"
    return "retry" if launcher_attempt > 1 else "relaunch"


def _reason(ending: Ending) -> str:
    try:
        from heyhi.experiment.death import death_of
    except Exception:  # main has left nothing to load it by, see `raised`: why it is dead is on record
        return ending.exception
    reason = PRUNED if ending.reason == PRUNED else ""
    end = End(1, reason, exit_code=ending.exit_code, exception=ending.exception)
    return death_of(History([Start(1), end])).text


def _ignored(project: Project | None) -> Sequence[str]:
    return project.settings.identity_ignore if project is not None else SCHEDULING_KEYS


def _folder_of(main: Main) -> Path:
    file = getattr(sys.modules.get(getattr(main, "__module__", None) or ""), "__file__", None)
    return Path(file).resolve().parent if file else Path.cwd()


def main(args: Sequence[str] | None = None) -> int:
    """Run the experiment of a target as a manifest has it, and return the exit code: 0 when it has a result.

    Its output goes to its log; where it fails, one line on standard error says why and where the log is.
    """
    make_room()
    guard_streams(goes_on=True)
    take_any_text()
    options = parse_options(sys.argv[1:] if args is None else args)
    _set_up_logging(options.log_level)
    if options.given_up is not None:
        from heyhi.job.given_up import is_given_up  # of a launch by Snakemake

        if is_given_up(options.given_up, Path(folder_of(options.target, Path.cwd()))):
            return 1  # without a word: its last attempt has the last one
    if options.job is None:
        begin_attempt(Path(folder_of(options.target, Path.cwd()), LAUNCH_LOG_NAME))
    with Grace() as grace:
        grace.exit_code = _exit_code(options, grace)
    return grace.exit_code


def _set_up_logging(level: str) -> None:
    """Have what is logged go to standard error, from when somebody can log something."""

    def set_up() -> None:
        from heyhi.logs import setup_logging

        setup_logging(level)

    # A word that is none is said now.
    if level.upper() in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        when_loaded(set_up)
    else:
        set_up()


def _exit_code(options: Options, grace: Grace) -> int:
    """Run what was asked for, and return the exit code; say what went wrong."""
    try:
        if options.parent is not None:
            end_with(options.parent)
        return _run_target(options, grace)
    except UnknownError as error:
        print(f"{options.target}: {Status.UNKNOWN.value}: {error}", file=sys.stderr)
        return error.exit_code
    except LostClaimError as error:  # which names the experiment
        print(error, file=sys.stderr)
        return error.exit_code
    except HeyhiError as error:
        print(f"{options.target}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Terminated as stop:
        return int(stop.code or 1)


def _run_target(options: Options, grace: Grace) -> int:
    from heyhi.sweep.manifest import Manifest

    with Manifest.open(options.manifest) as manifest:
        experiment, sweep = manifest.experiment(options.target), swept_as(manifest)
        manifest.check_complete(experiment)
    # What it says of all its experiments is in memory.
    command = _Command.of(options, grace, manifest, experiment, sweep)
    job = _job_claim(options.job, experiment) if options.job is not None else None
    if options.alone and job is not None:
        from heyhi.job.own_retry import tries_in  # most are waited for

        job = job._replace(is_kept=True)
        history = ExperimentDir(experiment.exp_path).history()
        options.attempt += tries_in(history, job.ref.job, manifest.project.settings.node_faults)
    if why := command.why_none(experiment, job):
        print(f"{experiment.exp_id}: {why}", file=sys.stderr)
        return int(job is None)  # of a job, that isn't how the experiment has ended
    if experiment.is_slot:
        return _run_slot(command, manifest, experiment, job)
    folder = ExperimentDir(experiment.exp_path)
    try:
        outcome = command.run(experiment, job, if_claimed="wait" if job is None else "leave")
    except (KeyboardInterrupt, Terminated):
        if folder.has_result():
            return 0
        if job is not None:  # whether it is dead is for Slurm to say
            print(f"{experiment.exp_id}: stopped by a signal (log: {folder.log_path})", file=sys.stderr)
            raise
        from heyhi.experiment.status import find_state

        print(f"{experiment.exp_id}: {find_state(folder.path).line} (log: {folder.log_path})", file=sys.stderr)
        raise
    if outcome.done:
        clear_away()
        return 0
    if outcome.exit_code == REQUEUE_EXIT and outcome.stopped:
        print(f"{experiment.exp_id}: checkpoint written, to be queued again", file=sys.stderr)
        return ask_again()
    if outcome.refused:
        print(f"{experiment.exp_id}: {outcome.reason}", file=sys.stderr)
        return outcome.exit_code
    if not outcome.ran and outcome.status in (Status.RUNNING, Status.PENDING):
        print(f"{experiment.exp_id}: left to {outcome.reason}", file=sys.stderr)
        return int(options.alone)  # what waits for this job needs its result
    print(f"{experiment.exp_id}: {outcome.status.value}: {outcome.reason} (log: {folder.log_path})", file=sys.stderr)
    return 1


def _run_slot(command: _Command, manifest: Manifest, slot: Experiment, job: JobClaim | None) -> int:
    """Run a search's slot, and return the exit code."""
    from heyhi.job.slot import SlotRun  # most targets are experiments

    if manifest.search is None:
        raise ManifestError(f"{manifest.path}: has no search, of which {slot.exp_id} could be a slot")
    options = command.options
    code = SlotRun(manifest, slot, manifest.search, job, options.attempt, command.attempts, command.run).run()
    if code == REQUEUE_EXIT and job is not None:
        print(f"{slot.exp_id}: checkpoint written, to be queued again", file=sys.stderr)
        return ask_again()
    return code


@dataclass(frozen=True)
class _Command:
    """What the command line and the manifest say of how an experiment is run.

    Attributes:
        options: of the command line.
        grace: of this process.
        manifest: absolute path, as long as the working directory is that of who has named it.
        own: function that experiments call that were launched with no other one.
        code_root: folder that the task file is imported from.
        schema: of the config.
        project: as far as a job needs it.
        here: in how many processes of this machine main runs.
        tasks: in how many it runs at all.
        sweep: label of the sweep that it is run for; empty for none.
        budget: of the launch; None where that has none.
    """

    options: Options
    grace: Grace
    manifest: Path
    own: str
    code_root: Path
    schema: Schema
    project: Project
    here: int
    tasks: int
    sweep: str
    budget: Budget | None = None

    @classmethod
    def of(cls, options: Options, grace: Grace, manifest: Manifest, experiment: Experiment, sweep: str) -> _Command:
        """Read it; all that a search may choose has the launcher of its slot."""
        code_root, schema, project = options.code_root or manifest.code_root, manifest.schema(), manifest.project
        message = getattr(schema.parse_root(experiment.config), experiment.task)
        here = 1 if options.tasks > 1 else _tasks_here(message)
        pin_imports(project, code_root)
        path, tasks = options.manifest.absolute(), max(here, options.tasks)
        budget = _budget_of(project, options.launch) if options.launch else None
        return cls(options, grace, path, manifest.entry, code_root, schema, project, here, tasks, sweep, budget)

    def attempts(self, experiment: Experiment) -> int:
        """Return how often the launcher tries an experiment: as it has said, or in a job as the config says."""
        if self.options.attempts is not None or self.options.job is None:
            return self.options.attempts or 1
        from heyhi.slurm.request import request_of  # most end well

        with contextlib.suppress(LauncherError):  # it was submitted with another config
            return request_of(getattr(self.schema.parse_root(experiment.config), experiment.task)).max_attempts
        return 1

    def run(
        self,
        experiment: Experiment,
        job: JobClaim | None,
        *,
        if_claimed: Literal["wait", "leave"] = "wait",
        on_start: Callable[[], None] = lambda: None,
        on_over: Callable[[Outcome], int] | None = None,
        on_exit: Callable[[], object] = lambda: None,
        listeners: Sequence[Listener] = (),
    ) -> Outcome:
        """Run an experiment; see `execute`.

        Args:
            experiment: what to run.
            job: of Slurm's, by which it is claimed.
            if_claimed: wait, or leave it.
            on_start: called right before it runs.
            on_over: called when the run is over; returns what this process is to end with.
            on_exit: called where main has ended this process, and there is a result.
            listeners: are called with what main logs in this process.
        """
        options, folder = self.options, ExperimentDir(experiment.exp_path)
        told: list[str] = []  # by the first rank: digest of what it had loaded
        loaded: list[str] = []  # by all ranks: what of that was the work tree's
        used: list[Sequence[Measured]] = []  # by all ranks, once they have ended

        def task_main(**kwargs: object) -> object:
            given = folder.read_entry()  # by who has launched it last with a function of their own
            collect_as_usual()  # what there is by now is the run's, and stays
            if self.tasks > 1:
                # Most runs are one process, and are spared the imports.
                from heyhi.job.ranks import run_ranks
                from heyhi.job.step import local_step

                return run_ranks(
                    options.target,
                    self.tasks,
                    self.manifest,
                    self.code_root,
                    folder,
                    options.log_level,
                    told.append,
                    loaded.extend,
                    used.append,
                    entry=given,
                    start=functools.partial(local_step, self.here) if self.here > 1 else None,
                )
            # Imported within the attempt: what fails on import is then on record, and in the log.
            return call_main(given or self.own, self.code_root, is_given=bool(given), **kwargs)

        def used_elsewhere() -> Sequence[Measured]:
            if options.tasks == 1:  # ranks of this machine are below this process
                return ()
            from heyhi.job.ranks import used_by_ranks

            return used[-1] if used else used_by_ranks(folder)

        return execute(
            experiment,
            self.schema,
            task_main,
            log_level=options.log_level,
            echo=False,
            code_root=self.code_root,
            used_elsewhere=used_elsewhere,
            is_whole_process=True,
            attempt=options.attempt,
            if_claimed=if_claimed,
            job=job,
            project=self.project,
            environment=None if self.tasks == 1 else lambda: "".join(told[-1:]),
            outside=None if self.tasks == 1 else lambda: tuple(sorted(set(loaded))),
            continue_drifted=options.continue_drifted,
            on_start=on_start,
            on_end=watching_in(self.grace, self.project, folder),
            on_over=ending_in(self.grace, self.project, folder, on_over),
            on_exit=on_exit,
            listeners=listeners,
            entry=options.entry,
            sweep=self.sweep,
            spend=self._spending(experiment),
        )

    def _spending(self, experiment: Experiment) -> Callable[[int, Used], None]:
        """Return what notes for the launch what an attempt has used."""
        if (budget := self.budget) is None:
            return lambda attempt, used: None
        from heyhi.slurm.request import gpus_of  # most launches have none

        gpus = gpus_of(getattr(self.schema.parse_root(experiment.config), experiment.task))
        return lambda attempt, used: budget.note(experiment.identity.digest, attempt, used, gpus)

    def why_none(self, experiment: Experiment, job: JobClaim | None) -> str:
        """Say why the launch starts nothing more; empty where it does. Its job is then as if it had never been."""
        why = self.budget.why_none() if self.budget is not None else ""
        folder = ExperimentDir(experiment.exp_path)
        if self.budget is None or not why or folder.has_result():
            return ""
        from heyhi.sweep.held_note import held_by, hold  # most launches may start all that they have

        launch = self.budget.folder.parent
        if not held_by(launch):  # whoever was to see to that may be gone
            with contextlib.suppress(ResultError):  # nothing is started, whether others know why or not
                hold(launch, why)
        if job is not None:
            claim = Claim.acquire(folder.path, ref=job.ref, replaces=job.follows)
            if isinstance(claim, Claim):
                from heyhi.job.withdrawing import withdraw

                with claim:
                    withdraw(folder, job.ref.job)
        return why


def _budget_of(project: Project, launch: str) -> Budget | None:
    from heyhi.sweep.budget import Budget  # of what is run by a launch

    return Budget.of(project.state_root, launch)


def _tasks_here(task: Message) -> int:
    """Return in how many processes of this machine main runs, whatever the tasks of the job."""
    launcher = field_named(type_of(task), "launcher")
    if launcher is None or launcher.message_type is None or launcher.is_repeated or not task.HasField("launcher"):
        return 1
    from heyhi.slurm.launcher import local_tasks  # some have no launcher

    return local_tasks(task)


def _job_claim(job: str, experiment: Experiment) -> JobClaim:
    env = get_job_env()
    if env.job_id is None:
        raise HeyhiError("--job is for jobs of Slurm's: there is no SLURM_JOB_ID here")
    root, nonces = read_job(job)
    ref = JobRef(env.job_id, root, experiment.identity.digest)
    return JobClaim.of(ref, nonces, ExperimentDir(experiment.exp_path))


if __name__ == "__main__":
    sys.exit(main())
