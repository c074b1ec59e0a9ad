"""The logs of an experiment: of which ranks, and which part of each an attempt has written."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from heyhi.errors import HeyhiError, ResultError, suggest
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import LOG_NAME
from heyhi.experiment.records import History
from heyhi.experiment.slots import living_slots_of, slot_dir
from heyhi.files import is_there, open_regular

_RANK = re.compile(rf"{Path(LOG_NAME).stem}\.(?P<rank>[1-9]\d*){re.escape(Path(LOG_NAME).suffix)}")


@dataclass(frozen=True)
class LogPart:
    """What of a log is meant.

    Attributes:
        path: of the log.
        start: its first byte.
        end: the one behind its last; None: of the file.
    """

    path: Path
    start: int = 0
    end: int | None = None

    def open(self) -> tuple[int, int, int]:
        """Open the log; return its descriptor, and where the part begins and ends now.

        Raises:
            ResultError: it can't be read.
        """
        try:
            file = open_regular(self.path)
        except OSError as error:
            raise ResultError(f"{self.path}: can't be read: {error.strerror or error}") from None
        size = os.fstat(file).st_size
        if self.start > size:  # it was cut, or begun anew
            return file, 0, size
        return file, self.start, size if self.end is None else min(self.end, size)

    def last_bytes(self, most: int) -> bytes:
        """Read the end of the part.

        Raises:
            ResultError: it can't be read.
        """
        return self.end_from(most)[1]

    def end_from(self, most: int) -> tuple[int, bytes]:
        """Read the end of the part; return where it begins in the file, too.

        Raises:
            ResultError: it can't be read.
        """
        file, start, end = self.open()
        with os.fdopen(file, "rb") as opened:
            start = max(start, end - most)
            opened.seek(start)
            return start, opened.read(end - start)


def ranks_of(folder: ExperimentDir) -> list[int]:
    """Return the ranks that have a log, in order."""
    try:
        names = [path.name for path in folder.path.iterdir()]
    except OSError:
        return []
    found = [int(match["rank"]) for name in names if (match := _RANK.fullmatch(name)) is not None]
    return sorted([*found, *([0] if LOG_NAME in names else [])])


def launch_log_of(folder: ExperimentDir) -> Path:
    """Return the log of who has launched an experiment: its own, or that of the search's slot that runs it.

    Raises:
        UnknownError: nobody can tell.
    """
    slots = [slot_dir(slot) for slot in living_slots_of(str(folder.path))]  # whose job has run it, if it was started
    return next((one for one in (folder, *slots) if has_text(one.launch_log_path)), folder).launch_log_path


def has_text(path: Path) -> bool:
    """Return whether a log has something to say: Snakemake leaves an empty one of a job that it couldn't submit.

    Raises:
        UnknownError: nobody can tell.
    """
    return is_there(path) and path.stat().st_size > 0


def check_rank(folder: ExperimentDir, rank: int) -> None:
    """Make sure that a rank has a log.

    Raises:
        HeyhiError: it has none.
    """
    there = ranks_of(folder)
    if rank not in there:
        plural = "s" * (len(there) > 1)
        has = f"there is a log of rank{plural} {_listed(there)}" if there else "there is no log yet"
        raise HeyhiError(f"--rank {rank}: {folder.path.name} has no {folder.log_path_of(rank).name}: {has}")


def part_of(folder: ExperimentDir, history: History, rank: int, attempt: int | None) -> LogPart:
    """Return what an attempt has written into the log of a rank; all of it where no attempt is asked for.

    Raises:
        HeyhiError: there is no such attempt on record.
    """
    path = folder.log_path_of(rank)
    if attempt is None:
        return LogPart(path)
    starts = history.starts
    numbers = numbers_of(history)
    if attempt not in numbers:
        has = f"on record: {_listed(numbers)}" if numbers else "none is on record"
        known = suggest(str(attempt), map(str, numbers))
        raise HeyhiError(f"--attempt {attempt}: {folder.path.name} has no such attempt{known}: {has}")
    at = len(numbers) - 1 - numbers[::-1].index(attempt)
    start = starts[at].logs.get(rank, 0)
    if at + 1 == len(starts):
        return LogPart(path, start)
    end = starts[at + 1].logs.get(rank, 0)
    return LogPart(path, start if start <= end else 0, end)  # else it was begun anew meanwhile


def numbers_of(history: History) -> list[int]:
    """Return the numbers of all attempts, in order; where a record doesn't say which it is, its place counts."""
    return [start.attempt or place for place, start in enumerate(history.starts, 1)]


def _listed(numbers: list[int]) -> str:
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers[:10])) + ", …" * (len(numbers) > 10)
