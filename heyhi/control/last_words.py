"""What counts in the log of a controller: why it ended, and why it didn't hand over an experiment."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from heyhi.config.values import shorten
from heyhi.console.lines import is_own, is_submission, unlogged
from heyhi.console.noise import without_advice
from heyhi.control.job_claim import cancelled_at
from heyhi.control.spare import read_unlogged
from heyhi.files import read_end
from heyhi.text import TIMES, readable

_MOST_BYTES = 1_000_000  # of a log's end
_MOST_LINES = 5
_LONG = 500  # characters of a line
_BEGIN = re.compile(r"^\S+ \S+ pid (?P<pid>\d+): (?:snakemake|heyhi) .*\n", re.MULTILINE)
_END = re.compile(r"^(\S+) exit code (-?\d+)\n\Z", re.MULTILINE)
# What Snakemake makes of what an executor says of a job.
_MESSAGE = re.compile(r"^\s*message: (?P<text>.*)$")
# Of what Snakemake adds, none says why.
_NOISE = ("At least one job did not complete successfully.", "Exiting because a job execution failed")
_ERROR = re.compile(
    r"^(?:error: |\w*(?:Error|Exception)\b(?:: | in |:?$)|No more is submitted|.*(?:No space left on device|Disk quota"
    r" exceeded|Read-only file system|Input/output error))"
)
# Of a disk: why all else has failed, too.
_OF_DISK = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system|Input/output error")
# `SyntaxError in file F, line 3:`, as Snakemake says of a Snakefile, and what it is in the next line.
_IN_FILE = re.compile(r"^\w+ in file .*:\s*$")
_NO_MORE = "No more is submitted. "
_ON_RECORD = ("DEAD: ", "PRUNED: ")
_RULE = re.compile(r"^Error in (rule|group) ")


# What a controller that lives says of Slurm, and what it says once that is over.
NO_ANSWER = "Slurm doesn't answer, and is asked again"
_NO_JOBS = "Slurm takes no jobs now, and is asked again"
_FULL = "Slurm takes no more jobs for now"
_ANSWERS = "Slurm answers again"


class LastWords(NamedTuple):
    """What the last run of a controller has left in its log.

    Attributes:
        time: when it ended (UTC); empty where it didn't write that: it was killed, or its disk was full.
        exit_code: of it; None likewise.
        lines: what counts, in order: of experiments `EXP_ID: why`, and errors of its own.
        cancelled: when it was cancelled, if it was a job; empty otherwise.
    """

    time: str
    exit_code: int | None
    lines: list[str]
    cancelled: str = ""

    @property
    def how(self) -> str:
        """How it ended."""
        if self.cancelled:
            return f"was cancelled at {self.cancelled}"
        if self.exit_code is None:
            return "was killed, or couldn't write any more: its log has no end"
        return f"ended at {self.time} with exit code {self.exit_code}"

    def of(self, exp_id: str) -> list[str]:
        """Return what it has said of an experiment."""
        found = (line.removeprefix(f"{exp_id}: ") for line in self.lines if line.startswith(f"{exp_id}: "))
        return list(dict.fromkeys(found))

    def summary(self, is_known: Callable[[str], bool] = lambda text: False) -> list[str]:
        """Write what counts in a few lines, what was said of many experiments once.

        Args:
            is_known: returns whether a text is told elsewhere.
        """
        texts = Counter(line.partition(": ")[2] if _is_of_experiment(line) else line for line in self.lines)
        told = [
            (text, count)
            for text, count in texts.items()
            # How one has ended that was started, its own records say; what was said of all, each of them has, too.
            if not text.startswith(_ON_RECORD) and text.removeprefix(_NO_MORE) not in texts.keys() - {text}
            if not is_known(text)
        ]
        lines = [f"{count} {TIMES} {text}" if count > 1 else text for text, count in told[:_MOST_LINES]]
        return [*lines, f"… and {len(told) - _MOST_LINES} more"] if len(told) > _MOST_LINES else lines


def last_words(log: Path) -> LastWords:
    """Read what the last run of a controller has left in its log; what can't be read says nothing."""
    pid, text = _last_run(log)
    folder = log.with_name(log.name.removesuffix(".log"))
    spared = read_unlogged(folder)
    if spared is not None:
        # Of another one, if the log didn't even take that one's begin.
        text = f"{text}\n{spared.text}" if pid in (spared.pid, None) else spared.text
    end = _END.search(text)
    lines = sorted(_counting(text.splitlines()), key=lambda line: not _OF_DISK.search(line))
    if spared is not None:
        lines.insert(0, shorten(readable(spared.why), _LONG))
    return LastWords(end[1] if end else "", int(end[2]) if end else None, lines, cancelled_at(folder))


def last_trouble(log: Path, pid: int, *, is_full: bool) -> list[str]:
    """Return what a controller that lives has said of Slurm last, as far as it may still hold.

    Args:
        log: of it.
        pid: of it: one on a terminal writes no log, and finds that of an earlier one of its name.
        is_full: whether something is left that a limit on jobs may keep back: who has no more to submit doesn't say so.
    """
    found: dict[str, str] = {}
    its_pid, text = _last_run(log)
    for line in text.splitlines() if its_pid in (pid, None) else ():
        if line.startswith("Slurm "):
            if line.startswith(_ANSWERS):
                found.pop(NO_ANSWER, None)
            for opening in (NO_ANSWER, _NO_JOBS, _FULL):
                if line.startswith(opening):
                    found[opening] = line
        elif _NO_JOBS in found and is_submission(line):
            del found[_NO_JOBS]
    if not is_full:
        found.pop(_FULL, None)
    return [shorten(readable(line), _LONG) for line in found.values()]


def _last_run(log: Path) -> tuple[int | None, str]:
    """Return the pid of who wrote a log last, None where so much was written since, and what it wrote."""
    text = read_end(log, _MOST_BYTES)
    for begin in deque(_BEGIN.finditer(text), 1):
        return int(begin["pid"]), text[begin.end() :]
    return None, text


def _counting(lines: Collection[str]) -> list[str]:
    found: list[str] = []
    is_rule, is_head, is_in_file = False, False, False
    for line in lines:
        if is_in_file and line.strip():  # what is wrong there
            is_in_file = False
            found[-1] += f" {line.strip().rstrip(':')}"
            continue
        if (told := unlogged(line)) is not None:  # in a line of our own logger
            found.append(told)
        elif is_own(line):
            continue  # how one has ended that has a log, its own records say
        elif is_head:  # `WorkflowError:` stands alone, and what it is in the next line
            is_head = False
            if line.strip() and not line.startswith(_NOISE):
                found.append(line.strip())
        elif is_rule and (message := _MESSAGE.match(line)):
            is_rule = False
            text = without_advice(message["text"])
            if text != "None" and not text.startswith("run "):  # of a run on this machine, its own records say more
                found.append(text)
        elif _RULE.match(line):
            is_rule = True
        elif line.rstrip().endswith("Error:") and _ERROR.match(line):
            is_head = True
        elif _ERROR.match(line):
            found.append(line.strip())
            is_in_file = _IN_FILE.match(line) is not None
    return [shorten(readable(line), _LONG) for line in dict.fromkeys(found)]


def _is_of_experiment(line: str) -> bool:
    """Return whether a line is of an experiment, whose id stands first: it has no spaces."""
    name, colon, _ = line.partition(": ")
    return bool(colon) and "/" in name and " " not in name
