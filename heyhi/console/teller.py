"""What a run tells: of Snakemake's records its own lines of experiments, and the rest as Snakemake writes it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from heyhi.console.bar import bar_line
from heyhi.console.ends import Ended, bad_end_of, how_ended, log_of, said_by_executor, seconds_of
from heyhi.console.lines import AGAIN, BEST, DONE, END, ERROR, HELD, QUEUED, RUN, START, TABLE, WAITS, clock, day, line
from heyhi.console.names import Named, short_names
from heyhi.console.noise import is_noise, is_told_error, restarted, submitted
from heyhi.console.own_rules import OwnRules
from heyhi.console.paces import Paces
from heyhi.console.progress import Progress
from heyhi.console.screen import Plain, Screen, screen_for
from heyhi.console.trials import TrialEnd, Trials
from heyhi.errors import HeyhiError
from heyhi.experiment.claim import read_owner
from heyhi.experiment.names import Status, has_ended, is_slot, is_winner, result_of
from heyhi.experiment.slots import lacks_values, searches_of, shown_folder
from heyhi.experiment.winners import read_failure, read_winner
from heyhi.files import utc_now
from heyhi.project import Project
from heyhi.sweep.target import folder_of, target_of
from heyhi.text import duration, readable

_EXPERIMENT, _SLOT, _UNKNOWN, _TABLE, _ALL = "experiment", "slot", "unknown", "aggregate", "all"  # our rules
_WINNER = "winner"
_RUNS = (_EXPERIMENT, _SLOT)
_MOST_NAMED = 5
_LONG = 80  # characters of a reason that isn't said twice
# Quiet about these, Snakemake says nothing of starts, or of ends and progress.
_RULES, _PROGRESS = "rules", "progress"


class Passing(NamedTuple):
    """What Snakemake would make of a record.

    Attributes:
        is_wanted: returns whether it would show it.
        text: returns how.
        decorate: returns that text in its colour.
    """

    is_wanted: Callable[[logging.LogRecord], bool]
    text: Callable[[logging.LogRecord], str]
    decorate: Callable[[logging.LogRecord, str], str]


class Asked(NamedTuple):
    """What a run was asked for.

    Attributes:
        read: returns its experiments, and what they need, by their exp paths.
        words: returns what to call them in commands; empty where they are no sweep.
        files: returns the files that they need, by their exp paths.
    """

    read: Callable[[], Mapping[str, Named]]
    words: Callable[[], str]
    files: Callable[[], Mapping[str, Sequence[str]]] = dict


class _Job(NamedTuple):
    rule: str
    folder: str = ""
    text: str = ""


class Teller:
    """Tells of one run, record by record.

    Args:
        project: whose experiments are run.
        asked: what the run was asked for.
        stream: where to.
        passing: what Snakemake would make of a record.
        quiet: what Snakemake is to be quiet about.
    """

    def __init__(
        self,
        project: Project,
        asked: Asked,
        stream: TextIO,
        passing: Passing,
        quiet: frozenset[str] = frozenset(),
    ) -> None:
        self._project, self._asked = project, asked
        self._stream, self._passing, self._quiet = stream, passing, quiet
        self._screen: Screen = Plain(stream)
        self._jobs: dict[int, _Job] = {}
        self._named: Mapping[str, Named] = {}  # by exp path
        self._names: dict[str, str] = {}
        self._by_id: dict[str, str] = {}  # exp path by exp id
        self._ended: dict[str, str] = {}  # exp path -> how, of what has failed
        self._dead: list[str] = []  # exp paths
        self._logged: dict[str, str] = {}  # exp path -> exp id, of those that have a log
        self._said: set[str] = set()  # why trials of a search have ended
        self._again: set[str] = set()  # exp paths of what is tried again
        self._trials = Trials()
        self._own_rules = OwnRules(project.root)
        self._progress: Progress | None = None
        self._paces = Paces()
        self._where, self._most = "", 0
        self._day, self._since = "", ""
        self._is_held = False
        self._is_remote = self._is_interrupted = self._is_over = False
        self._by_event: dict[str, Callable[[Any], bool]] = {
            "resources_info": self._take_resources,
            "run_info": self._begin,
            "job_info": self._start,
            "job_finished": self._finish,
            "job_error": self._fail,
            "job_started": _drop,
            "progress": _drop,
            # A quiet of the command line takes the place of that of the profile, which leaves the host out.
            "workflow_started": lambda record: bool(self._quiet),
            "error": lambda record: is_told_error(str(record.msg)),
        }

    def take(self, record: logging.LogRecord) -> None:
        """Tell of a record what there is to tell."""
        event = getattr(record, "event", None)
        take = self._take_text if event is None else self._by_event.get(str(event), _leave)
        if not take(record) and self._passing.is_wanted(record):
            text = self._passing.text(record)
            if text not in ("", "None"):
                self._screen.write(self._passing.decorate(record, readable(text)))
        self._screen.refresh()

    def note_interrupt(self) -> None:
        """Note that the run is ended from outside: what is stopped now has not failed by itself."""
        self._is_interrupted = True

    def close(self) -> None:
        """Say how the run has ended, unless that was said, and leave the terminal as it was."""
        if self._is_over:
            return
        self._is_over = True
        try:
            if self._progress is not None:
                self._say_end(self._progress)
        finally:
            self._screen.close()

    # --- what Snakemake says

    def _take_text(self, record: logging.LogRecord) -> bool:
        text = str(record.msg)
        number = restarted(text)
        if number is not None and number in self._jobs:
            self._say_again(self._jobs[number])
            return True
        said = submitted(text)
        if said is not None and said[0] in self._by_id:
            folder = self._by_id[said[0]]
            self._tell(_RULES, QUEUED, self._name(folder), said[1])
            return True
        return is_noise(text)

    def _take_resources(self, record: Any) -> bool:
        nodes, cores = getattr(record, "nodes", None), getattr(record, "cores", None)
        if nodes is not None:
            self._is_remote = True
            self._where, self._most = "handed over", nodes if 0 < nodes < sys.maxsize else 0
        elif cores is not None:
            self._where = f"on {cores} core{'s' if cores != 1 else ''} of this machine"
        return True

    def _where_text(self, *, only_trials: bool) -> str:
        limits = [self._most, *([self._trials.at_once] if only_trials else [])]
        most = min(filter(None, limits), default=0)
        return f"{self._where}, at most {most} at once" if most else self._where

    def _begin(self, record: Any) -> bool:
        if self._progress is not None:
            return True
        stats: Mapping[str, int] = getattr(record, "stats", None) or {}
        trials = int(stats.get(_SLOT, 0))
        total = int(stats.get(_EXPERIMENT, 0)) + trials
        unknown = int(stats.get(_UNKNOWN, 0))
        self._progress = Progress(total + unknown, time.monotonic(), self._is_remote)
        with contextlib.suppress(HeyhiError):  # of what can't be read, exp ids will do
            self._named = self._asked.read()
        self._names = dict(zip(self._named, short_names(list(self._named.values())), strict=True))
        self._by_id = {named.exp_id: folder for folder, named in self._named.items()}
        self._trials = Trials(self._named)
        before = max(0, len(self._named) - total - unknown)
        counted = ((total - trials, "experiment"), (trials, "trial"))
        what = " and ".join(f"{count} {name}{'s' if count != 1 else ''}" for count, name in counted if count)
        what = what or "nothing but the table"
        now = time.time()
        self._day, self._since = day(now), utc_now()
        where = self._where_text(only_trials=total == trials) if total else ""
        said = (what, where, self._before(before), self._day)
        self._screen.write(line(now, RUN, ", ".join(filter(None, said))))
        if _PROGRESS not in self._quiet and total:
            self._screen = screen_for(self._stream, self._draw)
        return True

    def _before(self, count: int) -> str:
        """Say how so many had ended before that aren't run now: trials that are final are left, however they ended.

        Of a search that is run in part, all of its trials count.
        """
        count += self._trials.others
        left = {one: self._trials.before[one] for one in (Status.PRUNED, Status.DEAD) if self._trials.before[one]}
        done = count - sum(left.values())
        counted = ({Status.DONE: done} if done > 0 else {}) | left
        return f"{', '.join(f'{n} {one}' for one, n in counted.items())} before" if count else ""

    def _draw(self, width: int) -> str:
        assert self._progress is not None
        self._paces.look(self._progress, time.monotonic(), time.time())
        return bar_line(self._progress, time.monotonic(), width, getattr(self._stream, "encoding", None))

    # --- jobs

    def _start(self, record: Any) -> bool:
        rule = str(record.rule_name)
        if rule not in (*_RUNS, _WINNER, _UNKNOWN, _TABLE, _ALL):
            self._own_rules.start(record)
            return False
        folder = ""
        if rule == _WINNER:
            folder = self._folder(result_of(record.wildcards["winner"]))
        if rule in _RUNS:
            folder = self._folder(result_of(record.wildcards["exp"]))
            if self._progress is not None:
                self._progress.start(folder, time.monotonic())
            if not self._is_remote:
                word = AGAIN if folder in self._again else START
                self._again.discard(folder)
                if other := self._other_owner(folder):
                    self._tell(_RULES, WAITS, f"for {self._name(folder)}", other)
                else:
                    self._tell(_RULES, word, self._name(folder))
        text = ", ".join(map(str, record.output)) if rule == _TABLE else str(record.rule_msg)
        self._jobs[int(record.jobid)] = _Job(rule, folder, text)
        return True

    def _other_owner(self, folder: str) -> str:
        """Say who ran an experiment already when this run began, and runs it still; empty where nobody does."""
        if is_slot(folder):
            return ""
        with contextlib.suppress(HeyhiError):  # of what can't be read, its runner tells
            owner = read_owner(folder)
            # What has claimed it since may be this run's own.
            if owner is not None and owner.since < self._since:
                return f"which {owner.describe()} runs"
        return ""

    def _finish(self, record: Any) -> bool:
        job = self._jobs.get(int(record.job_id))
        if job is None:
            self._own_rules.finish(int(record.job_id))
            return False
        trial = self._trials.end(job.folder)
        if trial is not None and trial.status is not Status.DONE:
            self._tell_trial(job.folder, trial)
        elif job.rule in _RUNS and self._progress is not None:
            self._say_done(job.folder, trial.said if trial is not None else "", self._progress)
        elif job.rule == _WINNER:
            self._say_winner(job)
        elif job.rule == _TABLE:
            self._tell(_PROGRESS, TABLE, job.text.replace(" (update)", ""))
        return True

    def _say_winner(self, job: _Job) -> None:
        """Say what the best of a sweep is, by the name that the rule's message has for that."""
        name = job.text.removeprefix("choose ")
        with contextlib.suppress(HeyhiError):  # who needs it says what is wrong
            winner = read_winner(Path(result_of(job.folder)))
            if winner is not None:
                folder = f"{self._project.results_root}/{winner.exp_id}"
                self._tell(_PROGRESS, BEST, f"{name} is {self._name(folder)}", winner.shown_value(4))

    def _tell_trial(self, folder: str, trial: TrialEnd) -> None:
        """Tell of a trial that has ended otherwise than DONE: its search goes on without it."""
        log = log_of(shown_folder(folder), self._project.root) if trial.status is Status.DEAD else ""
        self._tell_end(folder, Ended(trial.status.value, trial.said, log))

    def _say_done(self, folder: str, said: str, progress: Progress) -> None:
        seconds: float | None = progress.finish(folder, time.monotonic())
        if self._is_remote:
            seconds = seconds_of(shown_folder(folder))
        took = "" if seconds is None else duration(seconds)
        self._tell(_PROGRESS, DONE, self._name(folder), said, took, "" if self._is_remote else bad_end_of(folder))

    def _fail(self, record: Any) -> bool:
        job = self._jobs.get(int(record.jobid))
        if job is None or job.rule not in (*_RUNS, _WINNER, _UNKNOWN):
            if not self._is_interrupted:  # what is stopped has not failed
                self._own_rules.fail(record)
            return False
        if job.rule == _WINNER:
            self._ended[job.folder] = ERROR
            log = self._project.relative(Path(f"{job.folder}.log"))
            self._tell("", ERROR, read_failure(job.folder) or f"{job.text}: that has failed, log: {log}")
            return True
        if job.rule == _UNKNOWN:
            target, _, why = job.text.partition(": ")
            folder = self._folder(target)
            ended = Ended(Status.UNKNOWN.value, why.removeprefix(f"{Status.UNKNOWN.value}: "))
            self._tell_end(folder, ended)
        else:
            ended = self._how_ended(job.folder, said_by_executor(record.rule_msg))
            if not (self._is_interrupted and ended.word == ERROR):  # what is stopped before it has begun is as it was
                self._tell_end(job.folder, ended)
        return True

    def _how_ended(self, folder: str, said: str = "") -> Ended:
        slot = folder.removeprefix(f"{self._project.results_root}/")
        also = (slot, target_of(folder, self._project.root)) if is_slot(folder) else ()
        return how_ended(shown_folder(folder), self._exp_id(folder), self._project.root, said, also, folder)

    def _tell_end(self, folder: str, ended: Ended) -> None:
        self._ended[folder] = ended.word
        if ended.word == HELD:  # a launch says so once of all, and at the end of how many
            if self._progress is not None:
                self._progress.fail(folder, HELD)
            if not self._is_held:
                self._tell("", RUN, f"{ended.why}: nothing more is started")
            self._is_held = True
            return
        if is_slot(folder):  # what keeps a search from going on, all that are left say
            is_new = ended.why not in self._said
            self._said.add(ended.why)
            ended = ended if is_new or len(ended.why) < _LONG else ended._replace(why="likewise")
        if ended.word == Status.DEAD.value:
            self._dead.append(folder)
            if ended.log:
                self._logged[folder] = self._exp_id(folder)
        if self._progress is not None:
            self._progress.fail(folder, ended.word)
        if ended.log or is_slot(folder) or ended.word == Status.PRUNED.value:
            self._tell("", ended.word, self._name(folder), ended.why, f"log: {ended.log}" if ended.log else "")
        else:
            self._tell("", ended.word, f"{self._exp_id(folder)}: {ended.why}")

    def _say_again(self, job: _Job) -> None:
        word = self._ended.pop(job.folder, "")
        self._dead = [folder for folder in self._dead if folder != job.folder]
        self._logged.pop(job.folder, None)
        if word and self._progress is not None:
            self._progress.again(word)
        if self._is_remote:
            self._tell(_RULES, AGAIN, self._name(job.folder) if job.folder else job.rule)
        else:
            self._again.add(job.folder)  # its next start is told as such

    # --- the end

    def _say_end(self, progress: Progress) -> None:
        # Snakemake may have stopped before it saw that they are (a full disk, Ctrl-C), or is to be quiet about it.
        for folder in filter(_has_result, list(progress.running)):
            trial = self._trials.end(folder)
            if trial is not None and trial.status is not Status.DONE:
                self._tell_trial(folder, trial)
                continue
            progress.finish(folder, time.monotonic())
            self._tell(_PROGRESS, DONE, self._name(folder), trial.said if trial is not None else "")
        is_any = progress.failed or self._own_rules.has_failed
        blocked = min(self._say_blocked(), progress.left) if is_any else 0
        if progress.total or progress.failed:
            left = progress.left - blocked
            counts = progress.counts() + (f", {blocked} {Status.BLOCKED.value}" if blocked else "")
            counts += f", {left} not done" if left else ""
            took = duration(time.monotonic() - progress.began)
            self._tell("", END, f"{counts} in {took}{self._what_next()}")

    def _say_blocked(self) -> int:
        """Name what was not started since something that it needs has failed: of that, Snakemake says nothing.

        Returns:
            how many these are.
        """
        bad = set(self._ended)
        blocked = []
        for need in dict.fromkeys(need for named in self._named.values() for need in named.needs):
            if is_winner(need) and not _has_result(need) and bad:
                bad.add(need)  # it was not chosen, since what it is chosen from has failed
        count = self._say_blocked_by_rules(bad)
        for folder, named in self._named.items():
            if folder not in bad and not bad.isdisjoint(named.needs) and not _has_result(folder):
                bad.add(folder)
                blocked.append(folder)
        if blocked:
            self._tell("", Status.BLOCKED.value, self._some(blocked))
        return count + len(blocked)

    def _say_blocked_by_rules(self, bad: set[str]) -> int:
        """Name what was not started since a rule of the project's own has failed; these are bad, too."""
        count = 0
        for why, folders in self._own_rules.blocked(self._asked.files() if self._own_rules.has_failed else {}).items():
            left = [folder for folder in folders if folder not in bad and not _has_result(folder)]
            if left:
                self._tell("", Status.BLOCKED.value, self._some(left), why)
            bad.update(left)
            count += len(left)
        return count

    def _some(self, folders: Sequence[str]) -> str:
        shown = [self._name(folder) for folder in folders[:_MOST_NAMED]]
        return ", ".join(shown) + (f" and {len(folders) - len(shown)} more" if len(folders) > len(shown) else "")

    def _what_next(self) -> str:
        if not self._dead or self._is_interrupted:
            return ""
        # Several may have died for different reasons: of a sweep, it shows each of these once.
        which = next(iter(self._logged.values())) if len(self._logged) == 1 else self._asked.words()
        shows = [f"{f'heyhi logs --error {which}'.rstrip()} shows more"] if self._logged else []
        goes_on = "the same command goes on"
        trials = [folder for folder in self._dead if has_ended(folder)]
        if trials:  # what is final for its search is started again by nothing else
            again = (
                self._named[trials[0]].exp_id if len(trials) == 1 and trials[0] in self._named else self._asked.words()
            )
            goes_on = f"{f'heyhi retry --dead {again}'.rstrip()} starts {'it' if len(trials) == 1 else 'them'} again"
        slots = list(filter(is_slot, self._ended))
        if len(slots) == len(self._ended) and all(map(lacks_values, searches_of(slots))):  # none of them goes anywhere
            goes_on = ""
        said = ", and ".join(filter(None, [*shows, goes_on]))
        return f"; {said}" if said else ""

    # --- names and lines

    def _folder(self, target: str) -> str:
        return folder_of(os.path.normpath(target), self._project.root)

    def _name(self, folder: str) -> str:
        return self._trials.name(folder) or self._names.get(folder) or self._exp_id(folder)

    def _exp_id(self, folder: str) -> str:
        if is_slot(folder):
            return shown_folder(folder).removeprefix(f"{self._project.results_root}/")
        named = self._named.get(folder)
        return named.exp_id if named is not None else folder.removeprefix(f"{self._project.results_root}/")

    def _tell(self, kind: str, word: str, *parts: str) -> None:
        if kind and kind in self._quiet:
            return
        now = time.time()
        if day(now) != self._day:  # a log may be of weeks
            self._day = day(now)
            self._screen.write(f"{clock(now)} {self._day}")
        self._screen.write(line(now, word, *parts))


def _drop(record: logging.LogRecord) -> bool:
    return True


def _leave(record: logging.LogRecord) -> bool:
    return False


def _has_result(folder: str) -> bool:
    return os.access(result_of(folder), os.F_OK)
