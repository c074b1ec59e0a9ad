"""Owns launching one experiment, from Python or as `run.py --cfg …`: what its mode asks for, here or as a job."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heyhi.compose import Composed, Composer
from heyhi.errors import ModeError, NeedsError, OverrideError, reporting_errors, suggest
from heyhi.experiment import MODES, Experiment, ExperimentDir, Status
from heyhi.identity import DEFAULT_PATTERN
from heyhi.project import Project, find_project
from heyhi.schema import Schema, load_schema
from heyhi.sweep import Expansion, expand

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.handle import Handle

Main = Callable[..., object]
DEFAULT_MODE = "gentle_start"
ADHOC_MODE = "restart"


@dataclass(frozen=True)
class Action:
    """Hold what a mode asks for, given what is there.

    Attributes:
        start: start the experiment.
        wipe: empty its folder first.
        stop: end the run that has it, first.
    """

    start: bool = False
    wipe: bool = False
    stop: bool = False


_LEAVE, _START = Action(), Action(start=True)
_WIPE, _STOP = Action(start=True, wipe=True), Action(start=True, wipe=True, stop=True)
# The table of docs/workflow.md. A blocked experiment starts when its need does, which the need's own run decides.
_ACTIONS: dict[str, dict[Status, Action]] = {
    "gentle_start": {Status.NOT_STARTED: _START},
    "start_restart": {Status.NOT_STARTED: _START, Status.DEAD: _WIPE},
    "start_continue": {Status.NOT_STARTED: _START, Status.DEAD: _START},
    "restart": {
        Status.NOT_STARTED: _START,
        Status.PENDING: _STOP,
        Status.RUNNING: _STOP,
        Status.DEAD: _WIPE,
        Status.DONE: _WIPE,
    },
    "dryrun": {},
}


def action_of(mode: str, status: Status) -> Action:
    """Return what a mode does with an experiment of a status.

    Raises:
        ModeError: there is no such mode.
    """
    if mode not in _ACTIONS:
        raise ModeError(f"unknown mode '{mode}'{suggest(mode, MODES)}; modes are {', '.join(MODES)}")
    return _ACTIONS[mode].get(Status.NOT_STARTED if status is Status.BLOCKED else status, _LEAVE)


def get_default_exp_dir() -> Path:
    """Return the results root of the project around the working directory."""
    return find_project().results_root


def get_exp_dir(name: str) -> Path:
    """Return the results root, as scripts of the first HeyHi ask for it.

    The name changes nothing: a script and `heyhi expand` of the same sweep must give the same exp paths.
    """
    return get_default_exp_dir()


def __getattr__(attribute: str) -> str:
    # The first HeyHi's constant: here the project is the one around the working directory, whatever its name.
    if attribute == "PROJECT_NAME":
        return find_project().root.name
    raise AttributeError(f"module 'heyhi.run' has no attribute '{attribute}'")


def maybe_launch(
    main: Main,
    *,
    cfg: str | Path,
    overrides: Sequence[str] = (),
    mode: str = DEFAULT_MODE,
    exp_root: str | Path | None = None,
    checkpoint: str | Path | None = None,
    adhoc: bool = False,
    exp_id_pattern_override: str | None = None,
    force: bool = False,
    log_level: str = "INFO",
    snapshot: bool = True,
) -> Handle:
    """Launch an experiment if its mode asks for that, and return its handle in any case.

    A local experiment runs in this process and is over when this returns; when it raises, its status is DEAD and the
    caller goes on. One whose launcher is slurm is submitted, and is PENDING or further when this returns. The call is
    consent to what the mode wipes.

    Modes (what happens to NOT_STARTED; PENDING and RUNNING; DEAD; DONE experiments):
        gentle_start: start; leave; leave; leave
        start_restart: start; leave; wipe and start; leave
        start_continue: start; leave; start with its files; leave
        restart: start; stop, wipe and start; wipe and start; wipe and start
        dryrun: nothing

    Args:
        main: called as `main(task=, cfg=, log_level=)` in the experiment's folder; cfg is a frozen config.
        cfg: config file.
        overrides: `key=value` texts, applied in order.
        mode: one of MODES.
        exp_root: results root; default: the project's.
        checkpoint: taken and not used: the first HeyHi's folder for a copy of the code.
        adhoc: put it below `adhoc/<date>`.
        exp_id_pattern_override: exp id pattern.
        force: taken and not used: calling this is consent.
        log_level: for main.
        snapshot: have a job run a copy of the code as it is now, not the work tree as it is when the job starts.

    Raises:
        HeyhiError: config, overrides, pattern or mode are wrong, what the experiment needs isn't done, or Slurm takes
            no job.
    """
    project = find_project()
    if exp_root is not None:
        project = project._replace(results_override=Path(os.path.abspath(exp_root)))  # noqa: PTH100
    launch = _Launch.prepare(project, cfg, overrides, adhoc=adhoc, pattern=exp_id_pattern_override, snapshot=snapshot)
    action = action_of(mode, launch.status)
    if action.start:
        launch.start(main, action, log_level)
    return launch.handle()


class _Started(NamedTuple):
    """Hold what came of a start: a result, or a job."""

    done: bool = False
    job_id: str = ""


@dataclass(frozen=True)
class _Launch:
    """Hold one experiment about to be launched, composed and checked against its folder."""

    project: Project
    schema: Schema
    expansion: Expansion
    words: tuple[str, ...]  # by which `heyhi expand` names it
    snapshot: bool = True  # whether a job gets a copy of the code

    @classmethod
    def prepare(
        cls,
        project: Project,
        cfg: str | Path,
        overrides: Sequence[str],
        *,
        adhoc: bool,
        pattern: str | None,
        snapshot: bool = True,
    ) -> _Launch:
        schema = load_schema(project)
        expansion = expand(project, schema, [(cfg, overrides)], adhoc=adhoc, pattern=pattern)
        options = [*(["--adhoc"] if adhoc else []), *(["--out", pattern] if pattern is not None else [])]
        return cls(project, schema, expansion, ("--cfg", str(cfg), *overrides, *options), snapshot)

    @property
    def experiment(self) -> Experiment:
        return self.expansion.experiments[-1]

    @property
    def folder(self) -> ExperimentDir:
        return ExperimentDir(self.experiment.exp_path)

    @property
    def status(self) -> Status:
        return self.folder.status()

    @property
    def task_message(self) -> Message:
        root = self.schema.parse_root(self.experiment.config)
        message: Message = getattr(root, self.experiment.task)
        return message

    @property
    def is_for_slurm(self) -> bool:
        from heyhi.launcher import is_slurm

        return is_slurm(self.task_message)

    def handle(self) -> Handle:
        from heyhi.handle import Handle

        return Handle(self.experiment.exp_path, identity=self.experiment.identity, project=self.project)

    def start(self, main: Main, action: Action, log_level: str) -> _Started:
        """Run it here, or submit it."""
        from heyhi.claim import read_owner
        from heyhi.runner import execute

        self.check()
        owner = read_owner(self.experiment.exp_path) if action.stop else None
        if owner is not None:
            logging.warning("stopping %s, which has %s", owner.describe(), self.experiment.exp_id)
            owner.stop()
        if action.wipe:
            self.folder.wipe(self.experiment.identity)
        if self.is_for_slurm:
            return _Started(job_id=self._submit(log_level))
        outcome = execute(self.experiment, self.schema, main, log_level=log_level, if_claimed="leave")
        return _Started(outcome.done)

    def check(self) -> None:
        """Make sure that it can be started here.

        Raises:
            HeyhiError: what it needs isn't done, or its launcher asks for what no job can have.
        """
        self._check_needs()
        if self.is_for_slurm:
            from heyhi.launcher import request_of

            request_of(self.task_message)

    def _check_needs(self) -> None:
        missing = []
        for need in self.experiment.needs:
            status = ExperimentDir(need).status()
            if status is not Status.DONE:
                missing.append(f"  {need.relative_to(self.project.results_root)}: {status.value}")
        if missing:
            command = shlex.join(self.words)
            raise NeedsError(
                f"{self.experiment.exp_id} needs what isn't done:\n" + "\n".join(missing) + "\n"
                f"this runs what it needs, then it:\n"
                f"  snakemake --profile profiles/{'slurm' if self.is_for_slurm else 'local'} $(heyhi expand {command})"
            )

    def _submit(self, log_level: str) -> str:
        """Hand it over to Slurm, and return the job's id; what it is to run is written down first, as for a sweep."""
        from heyhi.launcher import request_of
        from heyhi.manifest import write_manifest
        from heyhi.slurm import View
        from heyhi.snapshot import take_snapshot
        from heyhi.submit import Order, submit_job

        code = take_snapshot(self.project) if self.snapshot else None
        order = Order(
            manifest=write_manifest(self.expansion, self.project, self.schema),
            schema=self.schema,
            results_root=self.project.results_root,
            state_root=self.project.state_root,
            code_root=code.root if code is not None else self.project.root,
            snapshot=code,
            log_level=log_level,
        )
        return submit_job([self.experiment], request_of(self.task_message), order, View()).job_id


# --- command line -------------------------------------------------------------------------------------------------

_EPILOG = """\
examples:
  python run.py --cfg conf/c02_sup_train/sl.prototxt                    run it, unless it ran or runs already
  python run.py --cfg conf/c02_sup_train/sl.prototxt lr=0.1 seed=3      change the config by overrides
  python run.py --cfg conf/c02_sup_train/sl.prototxt --print-flat       show the composed config, run nothing
  python run.py --cfg conf/c02_sup_train/sl.prototxt --adhoc lr=0.1     try something out, below adhoc/<date>
  python run.py --cfg conf/c02_sup_train/sl.prototxt --mode restart     wipe what is there and run it again
  python run.py --cfg conf/c02_sup_train/sl.prototxt I.launcher=slurm   submit it to Slurm, and return at once
"""


def make_parser(prog: str | None = None) -> argparse.ArgumentParser:
    """Make the parser of a task file's command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run one experiment: a config, changed by overrides, in a folder of its own.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_config_arguments(parser, required=True)
    parser.add_argument(
        "--adhoc", action="store_true", help="put it below adhoc/<date>; the default mode is restart then"
    )
    parser.add_argument("--mode", choices=MODES, help=f"what to do with what is there (default: {DEFAULT_MODE})")
    parser.add_argument("--force", action="store_true", help="don't ask before something is wiped")
    show = parser.add_mutually_exclusive_group()
    show.add_argument("--print", action="store_true", help="print the composed config and stop")
    show.add_argument("--print-flat", action="store_true", help="print it as overrides that give the same config")
    show.add_argument("--print-flat-all", action="store_true", help="print it as overrides, defaults too")
    parser.add_argument(
        "--log-level", default="INFO", metavar="L", help="DEBUG, INFO, WARNING or ERROR (default: INFO)"
    )
    parser.add_argument(
        "--no-snapshot", action="store_true", help="a job runs the work tree as it is then, not a copy made now"
    )
    return parser


def add_config_arguments(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the arguments that name one experiment."""
    parser.add_argument("-c", "--cfg", required=required, metavar="CFG", help="config file (.prototxt may be left out)")
    parser.add_argument(
        "--exp_id_pattern_override",
        "--out",
        dest="pattern",
        metavar="P",
        help=f"exp id pattern, may be absolute (default: {DEFAULT_PATTERN.replace('%', '%%')})",
    )
    parser.add_argument("overrides", nargs="*", metavar="override", help="key=value, or I.mount=path for an include")


def parse_with_overrides(parser: argparse.ArgumentParser, args: Sequence[str] | None) -> argparse.Namespace:
    """Parse arguments; what is no option of the parser and has a `=` is an override, a leading `--` or not.

    Raises:
        OverrideError: an option is unknown and no override.
    """
    known, rest = parser.parse_known_intermixed_args(args)
    for text in rest:
        if "=" not in text:
            flags = [flag for action in parser._actions for flag in action.option_strings]
            raise OverrideError(
                f"unknown option '{text}'{suggest(text, flags)}: see --help; overrides are key=value, or --key=value"
            )
    known.overrides = in_given_order([*known.overrides, *rest], sys.argv[1:] if args is None else args)
    return known


def in_given_order(overrides: Sequence[str], args: Sequence[str]) -> list[str]:
    """Put overrides, of which a parser sets those with a leading `--` apart, in the order of the command line."""
    left = Counter(overrides)
    ordered = []
    for text in args:
        if left[text] > 0:
            left[text] -= 1
            ordered.append(text)
    return ordered


def parse_args_and_maybe_launch(main: Main, args: Sequence[str] | None = None) -> None:
    """Be the command line of a task file: `if __name__ == "__main__": heyhi.parse_args_and_maybe_launch(main)`.

    Exits with 0 when the experiment is done or was left as it is, 1 when it failed, 2 when the command was wrong.

    Args:
        main: called as `main(task=, cfg=, log_level=)` in the experiment's folder.
        args: command line; default: sys.argv's.
    """
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:
        from heyhi.completion import complete

        complete(parser)
    with reporting_errors():
        sys.exit(_run_command(parse_with_overrides(parser, args), main))


def _run_command(args: argparse.Namespace, main: Main) -> int:
    project = find_project()
    if args.print or args.print_flat or args.print_flat_all:
        composed = Composer(project, load_schema(project)).compose(args.cfg, args.overrides)
        flat = "all" if args.print_flat_all else "set" if args.print_flat else None
        sys.stdout.write(render(composed, flat=flat))
        return 0
    launch = _Launch.prepare(
        project, args.cfg, args.overrides, adhoc=args.adhoc, pattern=args.pattern, snapshot=not args.no_snapshot
    )
    for warning in launch.expansion.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    mode = args.mode or (ADHOC_MODE if args.adhoc else DEFAULT_MODE)
    status, reason = launch.folder.status_and_reason()
    action = action_of(mode, status)
    where = f"{launch.experiment.exp_path}: {status.value}{f' ({reason})' if reason else ''}"
    if not action.start:
        print(where)
        print(_what_next(mode, status, launch))
        return 0
    launch.check()
    if action.wipe:
        _ask_before_wiping(where, force=args.force)
        if not action_of(mode, launch.status).wipe:  # while we asked
            raise ModeError(f"{launch.experiment.exp_path}: {launch.status.value} by now: nothing was wiped")
    print(f"{'submitting' if launch.is_for_slurm else 'running'} {launch.experiment.exp_path}", file=sys.stderr)
    started = launch.start(main, action, args.log_level)
    if started.job_id:
        print(f"{launch.experiment.exp_path}: {Status.PENDING.value} (job {started.job_id})")
        return 0
    if started.done:
        print(f"{launch.experiment.exp_path}: {Status.DONE.value}")
        return 0
    status, reason = launch.folder.status_and_reason()
    print(f"{launch.experiment.exp_path}: {status.value}{f' ({reason})' if reason else ''}")
    return 1 if status is Status.DEAD else 0


def _what_next(mode: str, status: Status, launch: _Launch) -> str:
    if mode == "dryrun":
        would = action_of(DEFAULT_MODE, status)
        return f"dry run: {DEFAULT_MODE} would {'start it' if would.start else 'leave it as it is'}"
    if status is Status.DONE:
        return f"nothing started; the result is in {launch.folder.result_path.name}; --mode restart runs it again"
    if status is Status.DEAD:
        return "nothing started; --mode start_continue goes on from its files, --mode restart begins anew"
    return "nothing started; --mode restart would stop it and begin anew"


def _ask_before_wiping(where: str, *, force: bool) -> None:
    if force:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ModeError(f"{where}: this would wipe it; say --force to do so (there is no terminal to ask at)")
    print(f"{where}\nwipe it and start again? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ModeError("nothing was wiped, nothing started")


def render(composed: Composed, *, flat: str | None) -> str:
    """Write a composed config as text, or as overrides.

    Args:
        composed: what to write.
        flat: None for the text message, `set` for overrides that give what is set, `all` for these and the defaults.
    """
    from heyhi.frozen import to_text
    from heyhi.overrides import override_lines

    if flat is None:
        return to_text(composed.message)
    base = getattr(composed.base, composed.task)
    lines = override_lines(composed.task_message, base, with_defaults=flat == "all")
    return "".join(f"{line}\n" for line in lines)
