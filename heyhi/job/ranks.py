"""The ranks of an experiment that runs in several tasks: a step of its job, or processes of this machine.

Each task runs `python -m heyhi.job.ranks TARGET …`. The runner waits for the step, and keeps the claim, the records
and the result. What the ranks tell it lies in a folder beside the results, since they may be on other nodes.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import TimeoutExpired
from typing import IO, Any

from heyhi.code.environment import record_environment
from heyhi.code.import_path import loaded_outside, pin_imports
from heyhi.config.schema import Schema
from heyhi.errors import HeyhiError, Pruned, ResultError
from heyhi.experiment.exits import exit_text
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.metric_log import Listener, logging_to
from heyhi.experiment.records import PRUNED
from heyhi.experiment.result import Encoded, encode
from heyhi.experiment.slots import shown_folder
from heyhi.files import parse_json, read_bounded, replace_file, writing
from heyhi.job.chosen import experiment_of, listeners_of
from heyhi.job.crash import stacks_when_it_crashes
from heyhi.job.early_end import EarlyEnd
from heyhi.job.ending import KILL_SECONDS, Ending, Signals, Terminated, end_with, ending_of, leave_fork, print_error
from heyhi.job.grace import LOST, Grace
from heyhi.job.leftovers import around_rank
from heyhi.job.load_main import call_main
from heyhi.job.meter import Measured, Meter
from heyhi.job.metric_doors import MetricDoors, doors_of, swept_as
from heyhi.job.notice import WARNING, Notice, Requeued
from heyhi.job.place import in_place
from heyhi.job.saving import RECORD_SECONDS, RESULT_SECONDS, keep_trying, set_aside
from heyhi.job.step import SrunStep, Start, Step
from heyhi.job.tee import Tee
from heyhi.job.turn import Turn, current_turn, taken_turn
from heyhi.job_env import (
    PREFIX_VARIABLE,
    REQUEUE_EXIT,
    SRUN_VARIABLE,
    cpus_per_task,
    get_job_env,
    node_name,
    rank_variables,
)
from heyhi.logs import setup_logging
from heyhi.project import Project, Settings
from heyhi.slurm.addresses import address_of
from heyhi.streams import guard_streams, kept_descriptors
from heyhi.sweep.target import folder_of
from heyhi.text import readable, streams_as_they_are, take_any_text

_NOTES = ".ranks."  # begins the name of the folder in which the ranks say how they have ended
_FIRST_NAME, _STEP_LOG_NAME = "first.json", "srun.txt"
_USED_SUFFIX = ".used.json"
_LOST = "LOST"  # what the runner tells the ranks when another has the experiment; says who
# After a stop, for the first rank to write its checkpoint.
_GRACE_SECONDS, _KILL_SECONDS = 60.0, 10.0
# Where another has the experiment, less than what the runner itself has then.
_LOST_SECONDS = KILL_SECONDS / 2
_UNTOLD = re.compile(r"^rank (?P<rank>\d+): .+$", re.MULTILINE)  # what a rank prints that can't leave its note


class RankError(HeyhiError):
    """A rank has failed; what it raised, or how it ended, is in the message.

    Args:
        text: the message.
        node: that it ran on; empty where that isn't known.
        code: its exit code, as its main has set it.
    """

    def __init__(self, text: str, node: str = "", code: int = 1) -> None:
        super().__init__(text)
        self.node = node
        self.code = code


def run_ranks(
    target: str,
    tasks: int,
    manifest: Path,
    code_root: Path,
    folder: ExperimentDir,
    log_level: str,
    on_environment: Callable[[str], None] = lambda digest: None,
    on_outside: Callable[[Sequence[str]], None] = lambda names: None,
    on_used: Callable[[Sequence[Measured]], None] = lambda readings: None,
    *,
    entry: str = "",
    start: Start | None = None,
) -> Encoded | None:
    """Run an experiment's main in all tasks of this job, and return what the first rank's returned.

    Args:
        target: as the manifest names it.
        tasks: of the job.
        manifest: what the ranks read the experiment from.
        code_root: folder that they import the task file from.
        folder: of the experiment.
        log_level: for main.
        on_environment: called with the digest of what the first rank had loaded when it ended.
        on_outside: called with what of the work tree each rank had loaded, where it ran a copy of the code.
        on_used: called with what the ranks have used, each with all below it.
        entry: `module:function` that they call; default: the manifest's.
        start: starts them; default: as a step of this job, by srun.

    Raises:
        RankError: a rank has failed: with what the one raised that was the first.
        Requeued: the first rank has written its checkpoint.
        Pruned: a search has ended it early.
    """
    for old in folder.path.glob(f"{_NOTES}*"):
        shutil.rmtree(old, ignore_errors=True)
    notes = folder.path / f"{_NOTES}{os.urandom(4).hex()}"
    with writing(notes):
        notes.mkdir()
    command = ranks_command(target, manifest, code_root, log_level, notes, entry)
    try:
        try:
            code, said = _run_step(start or functools.partial(_srun_step, tasks), command, notes / _STEP_LOG_NAME)
        except (KeyboardInterrupt, Terminated):
            _raise_if_pruned(_read(notes / _FIRST_NAME))
            if (result := _all_returned(notes, tasks)) is None:
                raise
            return result
        return _result(notes, tasks, code, said, folder)
    finally:
        on_environment(str((_read(notes / "0.json") or {}).get("environment") or ""))
        for rank in range(tasks):
            on_outside((_read(notes / f"{rank}.json") or {}).get("outside") or [])
        on_used(used_by_ranks(folder))
        shutil.rmtree(notes, ignore_errors=True)


def used_by_ranks(folder: ExperimentDir) -> list[Measured]:
    """Return what the ranks of an experiment have used, as far as they have told yet."""
    notes = [_read(path) for path in folder.path.glob(f"{_NOTES}*/*{_USED_SUFFIX}")]
    return [Measured(**note) for note in notes if note is not None]


def ranks_command(
    target: str, manifest: Path, code_root: Path, log_level: str, notes: Path, entry: str = ""
) -> list[str]:
    """Return the words of the command that is a rank; see `run_ranks`."""
    command = [sys.executable, "-P", "-m", "heyhi.job.ranks", target, "--manifest", str(manifest.absolute())]
    command += ["--code-root", str(code_root), "--log-level", log_level, *(["--entry", entry] if entry else [])]
    return [*command, "--notes", str(notes)]


def _srun_step(tasks: int, command: list[str], said: IO[bytes]) -> Step:
    if shutil.which("srun") is None:
        raise RankError("srun: there is no such command here, by which a job's tasks are started")
    return SrunStep([*_srun(tasks), *around_rank([*_words_of(PREFIX_VARIABLE), *command])], said)


def _srun(tasks: int) -> list[str]:
    # All are given, since a site may have set defaults of srun's. --wait=0: ranks may end at different times.
    return [
        "srun",
        f"--ntasks={tasks}",
        f"--cpus-per-task={cpus_per_task()}",
        "--kill-on-bad-exit=1",
        "--wait=0",
        "--input=all",
        "--unbuffered",
        *_words_of(SRUN_VARIABLE),
    ]


def _words_of(variable: str) -> list[str]:
    return shlex.split(os.environ.get(variable, ""))


def _run_step(start: Start, command: list[str], log: Path) -> tuple[int, str]:
    """Run the step to its end; return its exit code, and what it printed outside the ranks' logs."""
    with log.open("w+b") as said:
        step = start(command, said)
        try:
            notice = signal.getsignal(WARNING)
            if isinstance(notice, Notice):
                notice.forward(functools.partial(step.tell, WARNING.name))
            code = step.wait()
        except BaseException:
            try:
                _stop(step)
            finally:
                step.kill()  # a second signal, say
            raise
        said.seek(0)
        return code, said.read().decode("utf-8", "replace")


def _stop(step: Step) -> None:
    """End the step, after the first rank has written its checkpoint or has taken too long for it.

    Where another has the experiment, no checkpoint is written into its folder.
    """
    turn = current_turn()
    lost = turn.lost if turn is not None else ""
    step.tell(f"{_LOST} {lost}" if lost else signal.SIGTERM.name)
    grace = _LOST_SECONDS if lost else _GRACE_SECONDS
    for seconds, end in ((grace, step.terminate), (_KILL_SECONDS, step.kill)):
        try:
            step.wait(seconds)
        except TimeoutExpired:
            end()
        else:
            return


def _result(notes: Path, tasks: int, code: int, said: str, folder: ExperimentDir) -> Encoded | None:
    """Return the first rank's result, or raise what ended the step: by the ranks' notes where there are any."""
    from heyhi.job.rank_end import first_end, lost_node  # most steps end well

    ended = [_read(notes / f"{rank}.json") for rank in range(tasks)]
    if _are_done(ended):
        return _returned(ended[0] or {})
    first = _read(notes / _FIRST_NAME)
    _raise_if_pruned(first)
    if first is not None and first["reason"] == "requeue":
        raise Requeued(REQUEUE_EXIT)
    if said.strip():
        print(readable(said.strip()), file=sys.stderr)
    died = first_end(said)
    # A rank that ended without a note (it crashed, or memory ran out) is the cause; others fail as they miss it, or are
    # ended. One that could not leave its note has printed why.
    silent = [rank for rank in died.ranks if ended[rank : rank + 1] == [None]] if died is not None else []
    if died is not None and silent:
        untold = next((line[0] for line in _UNTOLD.finditer(said) if int(line["rank"]) in silent), "")
        raise RankError(untold or died.text(silent[0]), died.node)
    if first is not None and first["reason"] == "failed":
        print(f"rank {first['rank']} was the first to end: {folder.log_path_of(first['rank'])}", file=sys.stderr)
        raise RankError(first["exception"], str(first.get("node", "")), int(first.get("exit_code", 1)))
    if (untold_line := _UNTOLD.search(said)) is not None:
        raise RankError(untold_line[0])
    if node := lost_node(said):
        raise RankError(f"{node} failed, and what ran there is lost", node)
    if first is not None:
        raise RankError(first["exception"])
    if died is not None:
        raise RankError(died.text(died.ranks[0]), died.node)
    lines = [line for line in said.splitlines() if line.strip()]
    if lines and code:
        raise RankError(lines[-1])
    quiet = next((rank for rank, one in enumerate(ended) if one is None), 0)
    raise RankError(f"rank {quiet}: {exit_text(0)}")


def _raise_if_pruned(first: dict[str, Any] | None) -> None:
    if first is not None and first["reason"] == PRUNED:
        raise Pruned(first["exception"])


def _are_done(ended: Sequence[dict[str, Any] | None]) -> bool:
    return all(one is not None and one["reason"] == "done" for one in ended)


def _all_returned(notes: Path, tasks: int) -> Encoded | None:
    """Return the result of ranks that were stopped, where each has seen to that itself, and the first has a result."""
    ended = [_read(notes / f"{rank}.json") for rank in range(tasks)]
    return _returned(ended[0] or {}) if _are_done(ended) else None


def _returned(note: dict[str, Any]) -> Encoded | None:
    """Return what the first rank returned; None where it has saved its result itself."""
    dropped, turn = tuple(note.get("dropped", ())), current_turn()
    if turn is not None:
        turn.dropped = dropped
    return Encoded(note["result"], dropped) if note.get("result") is not None else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        note = parse_json(read_bounded(path))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def main(args: Sequence[str] | None = None) -> int:
    """Run main in one task of a job, note how it has ended, and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.job.ranks",
        description="Run one rank of an experiment, as a task of a job's step.",
        allow_abbrev=False,
    )
    parser.add_argument("target", help="its result file, as the manifest names it")
    parser.add_argument("--manifest", type=Path, required=True, help="what `heyhi expand` wrote")
    parser.add_argument("--code-root", type=Path, required=True, metavar="DIR", help="import the task file from here")
    parser.add_argument("--log-level", default="INFO", metavar="L", help="DEBUG, INFO, WARNING or ERROR")
    parser.add_argument("--notes", type=Path, required=True, metavar="DIR", help="note there how it has ended")
    parser.add_argument("--entry", metavar="M:F", help="call this function; default: the manifest's")
    parser.add_argument("--channel", type=int, metavar="FD", help="be a process of this machine, told of signals there")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process does, which has started it")
    parser.add_argument("--unwarned", action="store_true", help="nobody gives notice before the end")
    guard_streams(goes_on=True)
    take_any_text()
    options = parser.parse_args(args)
    channel: int = options.channel if options.channel is not None else _take_channel()
    setup_logging(options.log_level)
    if options.parent is not None:
        end_with(options.parent)
    if options.channel is None:
        os.environ.update(rank_variables())
        os.environ["MASTER_ADDR"] = address_of(os.environ["MASTER_ADDR"])
    rank = get_job_env().rank
    notice = None if options.unwarned else Notice()
    if notice is not None:
        notice.listen()
    # The others stay until the first one has written its checkpoint: it may wait for them before it gets to that.
    metered = _metered(options.notes / f"{rank}{_USED_SUFFIX}")
    held: list[object] = []
    doors: list[MetricDoors] = []
    with Grace() as grace:
        with metered, Signals(notice, stays=rank > 0 and notice is not None) as signals:
            _listen(channel, signals, options.parent)
            ending, result = _run(options, rank, signals, held, doors)
            code = ending.exit_code or (0 if ending.reason == "done" else 1)
            if ending.reason == PRUNED:  # the others are ended as when the job is queued again
                code = REQUEUE_EXIT
            if signals.lost:
                for one in doors:
                    one.shut()
                signals.end_the_lost()
            else:
                try:
                    _note(options.notes, rank, ending, result, _loaded(options, rank, ending), signals)
                except ResultError as error:
                    print(f"rank {rank}: {_aside(options.target, result)}{error}", file=sys.stderr)
                    code = 1
                for one in doors:
                    _close(one, options, signals, ending, result)
        _begin(grace, options, rank, code, is_lost=bool(signals.lost))
        held.clear()
    return code


def _close(
    doors: MetricDoors, options: argparse.Namespace, signals: Signals, ending: Ending, result: Encoded | None
) -> None:
    """Tell trackers how the first rank has ended, now that the runner knows; the log has what is said of it."""
    folder = ExperimentDir(Path(options.target).absolute().parent)
    with contextlib.suppress(HeyhiError, OSError), _logged(folder, 0, options, signals):
        doors.close(ending.reason, is_hurried=ending.is_hurried, result=result.text if result is not None else "")


def _begin(grace: Grace, options: argparse.Namespace, rank: int, code: int, *, is_lost: bool) -> None:
    """Begin the seconds that this rank has to end, now that it has said how its main has ended."""
    from heyhi.sweep.manifest import Manifest

    if is_lost:
        grace.begin(KILL_SECONDS, None, code, LOST)
        return
    seconds, log = Settings().end_grace, None
    with contextlib.suppress(HeyhiError), Manifest.open(options.manifest) as manifest:
        seconds = manifest.project.settings.end_grace
        path = shown_folder(str(manifest.experiment(options.target).exp_path))
        log = ExperimentDir(Path(path)).log_path_of(rank)
    # What the first one of this machine prints goes into its log already.
    grace.begin(seconds, log if rank > 0 or options.channel is None else None, code)


@contextlib.contextmanager
def _metered(path: Path) -> Iterator[None]:
    """Note what this rank uses, every minute and at its end: it isn't below the runner."""
    meter = Meter(is_whole=True)

    def note() -> None:
        with contextlib.suppress(HeyhiError):
            replace_file(path, json.dumps(meter.read()._asdict()))

    meter.start(note)
    try:
        yield
    finally:
        meter.stop()
        note()


def _take_channel() -> int:
    """Return a descriptor of standard input, by which the runner sends signals, and leave main an empty one."""
    channel = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return channel


def _listen(channel: int, signals: Signals, parent: int | None) -> None:
    """Raise in the main thread the signals that the runner sends, and end it where all is lost.

    Args:
        channel: that they come by.
        signals: of this rank.
        parent: process id of the runner, where it has started this process itself.
    """
    process, thread = os.getpid(), threading.main_thread().ident
    signs = {sign.name.encode(): sign for sign in (WARNING, signal.SIGTERM)}

    def read() -> None:
        with os.fdopen(channel, "rb") as lines:
            for line in lines:
                word, _, rest = line.strip().partition(b" ")
                sign = signs.get(word)
                if thread is None or os.getpid() != process:
                    continue
                if sign is not None:
                    signal.pthread_kill(thread, sign)
                elif word == _LOST.encode():
                    signals.lose(rest.decode(errors="replace"))
        if parent is None or os.getpid() != process:
            return
        # Where the runner is gone, the system has told it so; one that waits for other ranks in C code hears no signal,
        # and would for ever. Asked after that time: a process closes its files before it is gone.
        time.sleep(_GRACE_SECONDS)
        if os.getppid() != parent:
            signals.kill()

    threading.Thread(target=read, name="heyhi-signals", daemon=True).start()


def _run(
    options: argparse.Namespace, rank: int, signals: Signals, held: list[object], doors: list[MetricDoors]
) -> tuple[Ending, Encoded | None]:
    """Run main, and return how it has ended, with its result where this is the first rank.

    Args:
        options: of this process.
        rank: of it.
        signals: that end it.
        held: gets what main has returned or raised: its destructors may hang, and run when all is noted.
        doors: gets those of the first rank, which are closed then.
    """
    process = os.getpid()
    folder = _folder_of(options.target)
    ending: Ending | None = None
    try:
        with signals.raising():
            experiment, entry, schema, project, sweep, rungs = _read_manifest(options)
            if rank == 0:
                doors.append(doors_of(project, experiment, sweep, options.code_root))
            folder = ExperimentDir(experiment.exp_path)
            with (
                taken_turn(experiment.exp_id) as turn,
                streams_as_they_are(),
                _logged(folder, rank, options, signals) as regain,
                in_place(experiment, project),
                stacks_when_it_crashes(),
                EarlyEnd(
                    options.notes / f"{rank}.json", options.notes / _FIRST_NAME, rank, project.settings.end_grace
                ) as early_end,
            ):
                turn.on_pruned = early_end.announce
                try:
                    listeners: list[Listener] = [*doors[0].listeners, *rungs] if rank == 0 else []
                    with _logging(folder, signals, listeners) if rank == 0 else contextlib.nullcontext():
                        result = _call(experiment, schema, entry, options)
                    held.append(result)
                    if os.getpid() != process:
                        leave_fork()
                    regain()
                    turn.raise_if_pruned()
                    if rank == 0 and result is None and not folder.has_result():
                        signals.raise_if_caught()
                    # As JSON has it: warnings about it belong into the log.
                    return Ending("done"), _encoded(result, turn) if rank == 0 else None
                except BaseException as error:
                    if os.getpid() != process:
                        leave_fork(error)
                    regain()
                    ending = ending_of(error, signals)  # while main's working directory still is ours
                    with contextlib.suppress(OSError):
                        print_error(error, ending, is_rank=True)
                    raise
    except BaseException as error:
        held.append(error)
        return ending or ending_of(error, signals), None


@contextlib.contextmanager
def _logged(
    folder: ExperimentDir, rank: int, options: argparse.Namespace, signals: Signals
) -> Iterator[Callable[[], None]]:
    """Put what a rank prints into its log; the first one of this machine has that of the process that started it.

    Gives what gets that back after main, which may have diverted it.
    """
    if rank == 0 and options.channel is not None:
        with kept_descriptors() as regain:
            yield regain
        return
    with Tee(folder.log_path_of(rank), echo=False) as tee:
        signals.tell = tee.tell
        yield tee.regain


def _logging(
    folder: ExperimentDir, signals: Signals, listeners: Sequence[Listener]
) -> contextlib.AbstractContextManager[object]:
    """Have what the first rank logs be the experiment's metrics, of the attempt that the runner has begun."""
    starts = folder.history().starts
    attempt = starts[-1].attempt if starts else 1
    path, is_lost = folder.metrics_path, lambda: bool(signals.lost)
    return logging_to(path, attempt=attempt, listeners=listeners, is_lost=is_lost)


def _encoded(result: object, turn: Turn) -> Encoded | None:
    """Return a result as JSON has it; None where there is none, or it was saved."""
    if result is None:
        return Encoded("", turn.dropped) if turn.dropped else None
    return encode(result)


def _read_manifest(
    options: argparse.Namespace,
) -> tuple[Experiment, str, Schema, Project, str, Sequence[Listener]]:
    from heyhi.sweep.manifest import Manifest

    with Manifest.open(options.manifest) as manifest:
        pin_imports(manifest.project, options.code_root)
        experiment, rungs = experiment_of(manifest, options.target), listeners_of(manifest, options.target)
        return experiment, manifest.entry, manifest.schema(), manifest.project, swept_as(manifest), rungs


def _call(experiment: Experiment, schema: Schema, entry: str, options: argparse.Namespace) -> object:
    from heyhi.config.frozen import freeze

    cfg = freeze(getattr(schema.parse_root(experiment.config), experiment.task), experiment.cfg_folder)
    return call_main(
        options.entry or entry,
        options.code_root,
        is_given=bool(options.entry),
        task=experiment.task,
        cfg=cfg,
        log_level=options.log_level,
    )


def _loaded(options: argparse.Namespace, rank: int, ending: Ending) -> dict[str, Any]:
    """Return what of the work tree this rank has loaded, of the first one also the digest of all, put on record."""
    from heyhi.sweep.manifest import Manifest

    with contextlib.suppress(HeyhiError), Manifest.open(options.manifest) as manifest:
        project, code_root = manifest.project, options.code_root
        said: dict[str, Any] = {"outside": loaded_outside(project, code_root)}
        if rank == 0:
            said["environment"] = record_environment(project, code_root, may_take_long=not ending.is_hurried)
        return said
    return {}


def _note(
    notes: Path, rank: int, ending: Ending, result: Encoded | None, loaded: Mapping[str, Any], signals: Signals
) -> None:
    """Note how this rank has ended; the first rank to fail or stop also notes it for all ranks.

    Only one rank can make the link, so no clocks have to be compared.
    """
    note: dict[str, Any] = {"rank": rank, "reason": ending.reason, "exception": ending.exception, "node": node_name()}
    note |= {"exit_code": ending.exit_code}
    if result is not None:
        note |= {"result": result.text or None, "dropped": result.dropped}
    note |= loaded
    path = notes / f"{rank}.json"

    def write() -> None:
        with contextlib.suppress(OSError):  # it is there, unless main has emptied its folder
            notes.mkdir()
        replace_file(path, json.dumps(note))

    keep_trying(
        write,
        RESULT_SECONDS if result is not None else RECORD_SECONDS,
        is_stopping=lambda: signals.is_stopping,
    )
    if ending.reason in ("failed", "requeue", PRUNED) or (ending.reason == "terminated" and rank == 0):
        with writing(path), contextlib.suppress(FileExistsError):
            (notes / _FIRST_NAME).hardlink_to(path)


def _aside(target: str, result: Encoded | None) -> str:
    """Put a result aside that can't reach the runner, and say where; empty where there is none."""
    if result is None or not result.text:
        return ""
    folder = _folder_of(target)
    return f"{set_aside(result, folder.path.name, folder.log_path)}, since "


def _folder_of(target: str) -> ExperimentDir:
    """Return the folder of the experiment that a target stands for: of a slot, the one that it has chosen."""
    return ExperimentDir(Path(shown_folder(folder_of(target, Path.cwd()))))


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until main runs, a Ctrl-C ends this without a traceback: who has started it hears it as well, and says so.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
