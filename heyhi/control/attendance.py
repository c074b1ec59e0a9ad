"""Whether a controller lives that runs some experiments; where none does, what the last one has said of them.

A Snakemake that somebody has started by hand counts as one (`heyhi.sweep.sign_of_life`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from heyhi.control.controller import Controller, find_controllers, folders_of_controller
from heyhi.control.job_claim import DOING
from heyhi.control.last_words import NO_ANSWER, LastWords, last_trouble, last_words
from heyhi.control.search_lines import stuck_slots
from heyhi.control.survey import Survey
from heyhi.errors import UnknownError
from heyhi.experiment.names import Status, is_slot
from heyhi.experiment.owner import SUBMISSION
from heyhi.experiment.slots import shown_folders
from heyhi.experiment.status import State
from heyhi.project import Project
from heyhi.sweep.continuing import CONTINUE_OPTION, was_done
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, NOTE_NAME

_MOST_LOOKED_AT = 200  # experiments that are DEAD
_REFUSED = 2  # exit code
_MOST_ENDED = 20  # controllers whose orders are looked at, the last first


class Commands(NamedTuple):
    """What starts some experiments.

    Attributes:
        start: command for those that are NOT_STARTED; empty: none is named.
        again: for those that are DEAD.
        mark: written around each command, by which who shows the text finds it.
    """

    start: str = ""
    again: str = ""
    mark: str = ""

    def shown(self, command: str) -> str:
        """Return a command as a text has it."""
        return f"{self.mark}{command}{self.mark}" if self.mark not in command or not self.mark else command


NO_COMMANDS = Commands()


@dataclass(frozen=True)
class Ended:
    """A controller that is over.

    Attributes:
        log: of it, as people are told of it.
        words: what it has said last.
    """

    log: str
    words: LastWords


@dataclass(frozen=True)
class Attendance:
    """Who runs some experiments.

    Attributes:
        living: controllers that run some of them, each with how many; one that nobody knows the orders of runs all.
        left: how many aren't done.
        alone: exp paths of those that are NOT_STARTED, and that none of these runs.
        dead: how many are DEAD, and none of these runs.
        were_done: how many of these were DONE before, and have begun to go on, mostly with another config; as far as
            they were looked at.
        loose: how many wait or run, and none of these follows them.
        trials: how many of the dead ones are trials that aren't over for their search: what starts others of it goes on
            with them.
        over: how many of the dead ones are trials that are over for their search: only a retry starts these.
        is_stuck: whether nothing would start any of these: they are trials of searches for what no trial has.
        ended: the last controller that was to run some of those that nobody runs; None where there is none.
        unknown: why nobody can tell which controllers there are; empty where anybody can.
        silence: why Slurm doesn't answer; empty where it does, or needn't be asked.
        idle: how many are NOT_STARTED, and nobody starts, since only DONE experiments need them.
        troubles: what the living ones said of Slurm that still holds, such as that it takes no jobs now.
        canary: how many the last launch of those that nobody runs has started first; 0: all at once.
    """

    living: Sequence[tuple[Controller, int]]
    left: int
    alone: Sequence[str] = ()
    dead: int = 0
    were_done: int = 0
    loose: int = 0
    trials: int = 0
    over: int = 0
    is_stuck: bool = False
    ended: Ended | None = None
    unknown: str = ""
    silence: str = ""
    troubles: Sequence[str] = ()
    idle: int = 0
    canary: int = 0

    @classmethod
    def of(cls, survey: Survey) -> Attendance:
        """Look who runs what isn't done of some experiments; where all is done that takes nothing."""
        if not survey.others:
            return cls((), 0)
        living: list[tuple[Controller, int]] = []
        troubles: list[str] = []
        left = dict(survey.others)
        projects = list(dict.fromkeys(part.project for part in survey.parts))
        try:
            for project in projects:
                for controller in find_controllers(project):
                    mine = _run_by(project, controller, survey)
                    if mine:
                        living.append((controller, len(mine)))
                        is_full = any(_waits_for_job(survey.others[path]) for path in mine)
                        if controller.owner is not None:
                            troubles += last_trouble(controller.log, controller.owner.pid, is_full=is_full)
                        left = {path: state for path, state in left.items() if path not in mine}
        except UnknownError as error:
            return cls((), len(survey.others), unknown=str(error), silence=survey.silence)
        new = [path for path, (status, _) in left.items() if status is Status.NOT_STARTED]
        asked = survey.asked_for(new) if new else set()
        alone = [path for path in new if path in asked]
        dead = [path for path, (status, _) in left.items() if status is Status.DEAD]
        were_done = sum(map(was_done, map(survey.shown, dead[:_MOST_LOOKED_AT])))
        loose = sum(status.is_alive for status, _ in left.values())
        over = sum(path in survey.ended for path in dead)
        trials = sum(map(is_slot, dead)) - over
        ended = last_of(projects, alone) or _refused(last_of(projects, [] if alone else _dead_in(left)))
        slots = list(filter(is_slot, (*alone, *dead)))
        is_stuck = bool(slots) and len(stuck_slots(slots)) == len(alone) + len(dead)
        return cls(
            living,
            len(survey.others),
            alone,
            len(dead),
            were_done,
            loose,
            trials,
            over,
            is_stuck,
            ended,
            silence=survey.silence,
            troubles=troubles,
            idle=len(new) - len(alone),
            canary=next(filter(None, (_last_canary(project, alone) for project in projects)), 0) if alone else 0,
        )

    @property
    def notices(self) -> list[str]:
        """What is to be known of Slurm, as long as it lasts."""
        silence = [silence_line(self.silence)] if self.silence else []
        return [*silence, *(text for text in self.troubles if not (self.silence and text.startswith(NO_ANSWER)))]

    @property
    def may_start(self) -> bool:
        """Whether some may be started yet, or started again, by somebody who lives."""
        return bool(self.living or self.unknown)

    def starts_none(self, survey: Survey) -> bool:
        """Return whether nobody who lives was told to run any that is NOT_STARTED.

        Args:
            survey: that was looked at.
        """
        count = sum(status is Status.NOT_STARTED for status, _ in survey.others.values())
        return not self.unknown and len(self.alone) + self.idle == count

    def lines(self, commands: Commands = NO_COMMANDS, *, reasons: Collection[str] = ()) -> list[str]:
        """Say who runs them, and where nobody does, what would, and what the last one said.

        Args:
            commands: that start them.
            reasons: what is told of them anyhow.
        """
        if self.unknown:
            return [*self.notices, f"nobody knows whether a controller runs these: {self.unknown}"]
        lines = [*self.notices, *(_living_line(controller, count, self.left) for controller, count in self.living)]
        return [*lines, *self.unattended(commands, reasons=reasons)]

    def unattended(self, commands: Commands = NO_COMMANDS, *, reasons: Collection[str] = ()) -> list[str]:
        """Say which ones nobody runs, what would, and what the last controller said; arguments are those of `lines`."""
        commands = NO_COMMANDS if self.is_stuck else commands
        lines = []
        if self.loose and not self.living:
            some = f"the {self.loose} that wait or run" if self.loose > 1 else "the one that waits or runs"
            goes = "they go on by themselves" if self.loose > 1 else "it goes on by itself"
            lines.append(f"no controller has {_all(self.loose) if self.loose == self.left else some}: {goes}")
        count = len(self.alone)
        if count:
            which = f"the {count} that are NOT_STARTED" if count > 1 else "the one that is NOT_STARTED"
            which = f"{count} of these" if self.idle else which
            what = _all(count) if count == self.left else which
            start = _with_canary(commands.start, self.canary)
            starts = f": {commands.shown(start)} starts {'them' if count > 1 else 'it'}" if start else ""
            if starts and self.trials:
                starts += f", and goes on with the {self.trials} that {'are' if self.trials > 1 else 'is'} DEAD"
            lines.append(f"no controller runs {what}{starts}")
            lines += ended_lines(self.ended, reasons)
        elif self.dead and not self.living:
            starts = self._again(commands)
            which = f"the {self.dead} that are DEAD" if self.dead > 1 else "the one that is DEAD"
            lines.append(f"no controller runs {_all(self.dead) if self.dead == self.left else which}{starts}")
            lines += ended_lines(self.ended, reasons)
        if self.idle:
            stay, them = ("are NOT_STARTED and stay", "them") if self.idle > 1 else ("is NOT_STARTED and stays", "it")
            lines.append(f"{self.idle} {stay} so: all that needs {them} is DONE")
        return lines

    def _again(self, commands: Commands) -> str:
        """Say what goes on with those that are DEAD: of trials, a launch does with those that aren't over."""
        # What goes on with another config is left, unless that is said.
        option = f" {CONTINUE_OPTION}" if self.were_done else ""
        them = "them" if self.dead > 1 else "it"
        again = f"{commands.shown(commands.again + option)} starts" if commands.again else ""
        if not (self.trials and commands.start):
            return f": {again} {them} again" if again else ""
        launch = f": {commands.shown(commands.start + option)} goes on with"
        if not self.over:
            return f"{launch} {them}"
        count = self.dead - self.over
        which = f"{count} that {'are' if count > 1 else 'is'} not over for the search"
        return f"{launch} the {which}" + (f", and {again} all {self.dead} again" if again else "")


def _dead_in(left: Mapping[str, State]) -> list[str]:
    return [path for path, (status, _) in left.items() if status is Status.DEAD]


def _refused(ended: Ended | None) -> Ended | None:
    """Return a controller that has ended before it could start anything; how another one's are dead, they say."""
    return ended if ended is not None and ended.words.exit_code == _REFUSED else None


def silence_line(why: str) -> str:
    """Say that Slurm doesn't answer, and why."""
    return f"Slurm doesn't answer: {why}: what is said of jobs was last known"


def last_of(projects: Iterable[Project], folders: Sequence[str]) -> Ended | None:
    """Return the last controller that was to run some experiments, and lives no more; None where there is none."""
    return next(filter(None, (_ended(project, folders) for project in projects)), None) if folders else None


def ended_lines(ended: Ended | None, reasons: Collection[str] = ()) -> list[str]:
    """Say how the last controller ended, and why it did."""
    if ended is None:
        return []
    lines = [f"the last one {ended.words.how} ({ended.log})"]
    known = set(reasons)
    return [*lines, *(f"  {line}" for line in ended.words.summary(lambda text: text in known))]


def who_runs_all(survey: Survey, paths: Collection[str]) -> list[tuple[Project, Controller]]:
    """Return the controllers that live and run some experiments, each with its project; none where one has none.

    Args:
        survey: that was looked at.
        paths: folders that they were asked for by.
    """
    found: list[tuple[Project, Controller]] = []
    left = set(paths)
    try:
        for project in dict.fromkeys(part.project for part in survey.parts):
            for controller in find_controllers(project):
                # One that can't tell what it does may do something else.
                known = (controller.owner is not None or controller.is_unattended) and controller.spec() is not None
                if known and left & (mine := _run_by(project, controller, survey)):
                    found.append((project, controller))
                    left -= mine
    except UnknownError:
        return []
    return found if not left else []


def _run_by(project: Project, controller: Controller, survey: Survey) -> Set[str]:
    """Return which of those that aren't done a controller runs; one that nobody knows the orders of runs all.

    Where nobody stays, that is what has a job; but of workers, all.
    """
    if controller.is_unattended and not controller.has_workers:
        return _ordered_from(project, controller, survey) & {
            path for path, state in survey.others.items() if state.status.is_alive
        }
    return _ordered_from(project, controller, survey)


def _ordered_from(project: Project, controller: Controller, survey: Survey) -> Set[str]:
    its = folders_of_controller(project, controller)
    if its is None:
        return survey.others.keys()
    mine = survey.others.keys() & set(its)
    if len(mine) < len(survey.others) and any(map(is_slot, its)):
        mine = survey.others.keys() & {*its, *shown_folders(filter(is_slot, its))}
    return mine


def _waits_for_job(state: State) -> bool:
    """Return whether Slurm has no job of an experiment yet: what has one says so."""
    return state.status is Status.NOT_STARTED or (
        state.status is Status.PENDING and not state.reason.startswith("job ")
    )


def _all(count: int) -> str:
    return "these" if count > 1 else "it"


def _living_line(controller: Controller, count: int, left: int) -> str:
    what = _all(count) if count == left else f"{count} of these {left}"
    if controller.owner is None and not controller.is_unattended:
        return f"controller {controller.name} may run {what}: its claim can't be read"
    if controller.owner is not None and controller.owner.kind == SUBMISSION:
        return f"{controller.describe()} is to run {what}; nothing more is submitted until then"
    if controller.owner is not None and controller.owner.kind in DOING:
        return f"{controller.describe()} {DOING[controller.owner.kind]} {what}"
    if controller.is_unattended and not controller.has_workers and count < len(controller.jobs):
        controller = controller._replace(jobs=controller.jobs[:count])  # others of its jobs have just ended
    comma = "," if controller.is_unattended and not controller.has_workers else ""
    return f"{controller.describe()}{comma} {'run' if len(controller.jobs) > 1 else 'runs'} {what}"


def said_of_experiment(project: Project, folder: str, exp_id: str) -> Iterator[tuple[str, str]]:
    """Yield what the last controller that was to run an experiment has said of it, each with its log.

    Args:
        project: of the experiment.
        folder: its exp path.
        exp_id: its exp id.
    """
    for controller in _by_last(project):
        its = folders_of_controller(project, controller)
        if its is not None and folder in set(its):
            log = project.relative(controller.log)
            yield from ((log, line) for line in last_words(controller.log).of(exp_id))
            return


def _ended(project: Project, folders: Sequence[str]) -> Ended | None:
    """Return the last controller that was to run some experiments."""
    wanted = set(folders)
    for controller in _by_last(project):
        its = folders_of_controller(project, controller)
        if its is not None and not wanted.isdisjoint(its):
            return Ended(project.relative(controller.log), last_words(controller.log))
    return None


def _with_canary(command: str, canary: int) -> str:
    """Return a command that starts what a launch with canaries has left, with these; a text that says more stays."""
    if not canary or not command or command.endswith(","):
        return command
    return f"{command} --canary{f'={canary}' if canary > 1 else ''}"


def _last_canary(project: Project, folders: Sequence[str]) -> int:
    """Return how many the last launch of some experiments has started first, also one on a terminal, without a log."""
    found = []
    for note in (project.state_root / CONTROLLERS_NAME).glob(f"*/{NOTE_NAME}"):
        with contextlib.suppress(OSError):
            found.append((note.stat().st_mtime, note.parent))
    for _, folder in sorted(found, reverse=True)[:_MOST_ENDED]:
        controller = Controller(folder.name, folder, None)
        spec = controller.spec()
        if spec is not None and not set(folders).isdisjoint(folders_of_controller(project, controller) or ()):
            return spec.canary
    return 0


def _by_last(project: Project) -> list[Controller]:
    """Return the controllers whose logs are there, the last first."""
    root = project.state_root / CONTROLLERS_NAME
    found = []
    try:
        for entry in os.scandir(root):
            if entry.name.endswith(".log"):
                found.append((entry.stat().st_mtime, Path(entry.path)))
    except OSError:
        return []
    found.sort(reverse=True)
    return [Controller(log.stem, log.with_suffix(""), None) for _, log in found[:_MOST_ENDED]]
