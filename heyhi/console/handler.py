"""HeyHi's logger plugin for Snakemake: whether a run is told of in HeyHi's lines, or all is as Snakemake writes it.

HeyHi's lines are for what really runs. A dry run, `--summary`, `--touch` and their like, errors before anything is run,
and all with `--verbose` are Snakemake's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from functools import partial
from typing import Protocol

from snakemake.logging import ColorizingTextHandler, logger
from snakemake_interface_logger_plugins.base import LogHandlerBase

from heyhi.console.names import read_named
from heyhi.console.noise import EARLY, INTERRUPTED
from heyhi.console.own_rules import read_files
from heyhi.console.teller import Asked, Passing, Teller
from heyhi.project import Project
from heyhi.sweep.manifest import Manifest
from heyhi.text import readable, steering

_NOTHING = logging.CRITICAL + 1  # a level that no record has


class Run(Protocol):
    """What is asked of a run."""

    project: Project

    @property
    def is_run(self) -> bool:
        """Whether something is run, as far as Snakemake has said so by now."""

    @property
    def asked(self) -> list[tuple[str, Manifest]]:
        """Experiments that it was asked for, and what they need, each with its manifest."""

    @property
    def words(self) -> str:
        """What to call that in commands; empty where it is no sweep."""


class LogHandler(LogHandlerBase):
    """Snakemake's handler of all that it says.

    Snakemake has a plugin's records go through a queue, and so behind what is printed meanwhile: this one hears them
    directly.
    """

    def __post_init__(self) -> None:
        """Listen."""
        settings = self.common_settings
        quiet = frozenset(getattr(one, "name", str(one)).lower() for one in settings.quiet or ())
        self._quiet = quiet
        self._is_own = bool(settings.dryrun or settings.verbose or settings.debug_dag or "all" in quiet)
        self._run: Run | None = None
        self._teller: Teller | None = None
        self._held: list[logging.LogRecord] = []
        self._snakemakes: ColorizingTextHandler | None = None
        self._watched: list[logging.FileHandler] = []
        self._unwritten: list[logging.FileHandler] = []
        self._direct = _Direct(self)
        logger.addHandler(self._direct)
        logger.addFilter(self._note)  # sees also what a filter behind it drops

    @property
    def writes_to_stream(self) -> bool:
        """Say that this takes the place of Snakemake's handler."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Leave Snakemake's log file to it."""
        return False

    @property
    def has_filter(self) -> bool:
        """Take Snakemake's filter."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Take Snakemake's formatter."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """Need none."""
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Take what comes by the queue, unless it was heard already."""
        if self._direct not in logger.handlers:
            self.hear(record)

    def follow_run(self, run: Run) -> None:
        """Learn which run it is: of a Snakefile that isn't HeyHi's, all is told as Snakemake writes it."""
        self._run = run

    def finish_run(self) -> None:
        """Say how the run has ended: what comes now is its table."""
        with self._direct.lock or contextlib.nullcontext():
            self._end()

    def close(self) -> None:
        """End, and leave a terminal as it was."""
        self.finish_run()
        self._release()
        logger.removeFilter(self._note)
        super().close()

    def watch_files(self) -> None:
        """Have a log file that can't be written said once: each record would be a traceback."""
        for one in logger.handlers:
            if isinstance(one, logging.FileHandler) and one not in self._watched:
                self._watched.append(one)
                setattr(one, "handleError", partial(self._say_unwritten, one))  # noqa: B010 (a method to mypy)

    def _say_unwritten(self, file: logging.FileHandler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if file in self._unwritten:
            return
        self._unwritten.append(file)
        why = error.strerror if isinstance(error, OSError) else error
        text = f"{file.baseFilename}: can't be written: {why}; make room there: Snakemake needs it for its records"
        self.hear(logger.makeRecord(logger.name, logging.WARNING, "", 0, text, (), None))

    def hear(self, record: logging.LogRecord) -> None:
        """Tell of a record, in one's own way or in Snakemake's."""
        if self._is_own or self._run is None:
            self._as_snakemake(record)
        elif self._teller is not None or self._run.is_run:
            self._tell(record, self._run)
        elif getattr(record, "event", None) == "workflow_started" or str(record.msg).startswith(EARLY):
            self._held.append(record)
        else:
            self._release()
            self._as_snakemake(record)

    def _note(self, record: logging.LogRecord) -> bool:
        if self._teller is not None and str(record.msg).startswith(INTERRUPTED):
            self._teller.note_interrupt()
        return True

    def _tell(self, record: logging.LogRecord, run: Run) -> None:
        try:
            if self._teller is None:
                handler = self._handler()
                decorate = _as_it_is if os.environ.get("NO_COLOR") else handler.decorate
                passing = Passing(lambda record: bool(self.filter(record)), self.format, decorate)
                asked = Asked(lambda: read_named(run.asked), lambda: run.words, lambda: read_files(run.asked))
                self._teller = Teller(run.project, asked, sys.stderr, passing, self._quiet)
            held, self._held = self._held, []
            for one in (*held, record):
                self._teller.take(one)
        except Exception:  # whatever is wrong with what is told, the run goes on
            with contextlib.suppress(Exception):
                self._as_snakemake(record)

    def _end(self) -> None:
        with contextlib.suppress(Exception):
            if self._teller is not None:
                self._teller.close()

    def _release(self) -> None:
        held, self._held = self._held, []
        for record in held:
            self._as_snakemake(record)

    def _as_snakemake(self, record: logging.LogRecord) -> None:
        if self.filter(record):
            self._handler().emit(record)

    def _handler(self) -> ColorizingTextHandler:
        if self._snakemakes is None:
            self._snakemakes = ColorizingTextHandler(
                nocolor=self.common_settings.nocolor,
                stream=steering(sys.stdout if self.common_settings.stdout else sys.stderr),
                formatter=_Readable(self.formatter),
            )
        return self._snakemakes


def _as_it_is(record: logging.LogRecord, text: str) -> str:
    return text


class _Readable(logging.Formatter):
    """Snakemake's formatter, in whose texts nothing steers the terminal: colours come behind it."""

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        text: str | None = self._formatter.format(record)
        return readable("" if text is None else text)


class _Direct(logging.Handler):
    """What hears records as they come."""

    def __init__(self, handler: LogHandler) -> None:
        super().__init__()
        self._handler = handler

    def emit(self, record: logging.LogRecord) -> None:
        self._handler.setLevel(_NOTHING)  # nothing need come by the queue as well
        self._handler.watch_files()
        self._handler.hear(record)
