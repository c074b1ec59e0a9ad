"""The format and the destination of log messages, HeyHi's and its users'."""

from __future__ import annotations

import contextlib
import logging
import sys
from pathlib import Path
from typing import TextIO

from heyhi.job_env import get_job_env
from heyhi.loggers import settle
from heyhi.text import readable


class _Formatter(logging.Formatter):
    """The format of a record, one line: `I1124 10:00:00 [module:12] text`."""

    def __init__(self, label: str | None) -> None:
        env = get_job_env()
        rank = f" [rank {env.rank}]" if env.world_size > 1 else ""
        name = f" {label}".replace("%", "%%") if label else ""
        form = f"%(letter)s%(asctime)s{name}{rank} [%(module)s:%(lineno)d] %(message)s"
        super().__init__(form, "%m%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # What a task logs is its own; a message of ours may quote what others wrote.
        return readable(text) if record.name.partition(".")[0] == "heyhi" else text

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        record.letter = record.levelname[0]
        return super().formatMessage(record)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """A handler that writes to what `sys.stderr` is at that moment: a runner, a test or a notebook may replace it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        # A task may have closed it, or have put something odd there: that is to end nothing.
        with contextlib.suppress(AttributeError, ValueError):
            super().handleError(record)


class _FileHandler(logging.FileHandler):
    """A handler of ours, by whose class it differs from a user's."""


def setup_logging(
    console_level: str | int | None = "INFO",
    fpath: str | Path | None = None,
    file_level: str | int = "DEBUG",
    label: str | None = None,
) -> logging.Logger:
    """Log to standard error, one line a message; calling it again takes the place of the call before.

    Args:
        console_level: lowest level that is shown, by name or number; None: nothing is.
        fpath: also append messages to this file.
        file_level: lowest level that the file gets.
        label: stands in each message, behind the time.

    Returns:
        The root logger.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        # Ours of an earlier call, and what logging.basicConfig() left: it would print each line twice.
        if isinstance(handler, _StderrHandler | _FileHandler) or type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
            handler.close()
    if console_level is not None:
        _add(_StderrHandler(), console_level, label)
    else:
        root.setLevel(logging.CRITICAL)
    if fpath is not None:
        also_log_to_file(fpath, label, file_level)
    return root


def also_log_to_file(fpath: str | Path, label: str | None = None, file_level: str | int = "DEBUG") -> None:
    """Append messages to one more file, until `setup_logging` is called again.

    Args:
        fpath: the file.
        label: stands in each message, behind the time.
        file_level: lowest level that it gets, by name or number.
    """
    _add(_FileHandler(fpath, encoding="utf-8", errors="backslashreplace"), file_level, label)


def _add(handler: logging.Handler, level: str | int, label: str | None) -> None:
    handler.setLevel(level.upper() if isinstance(level, str) else level)
    handler.setFormatter(_Formatter(label))
    root = logging.getLogger()
    root.addHandler(handler)
    # Not lower than somebody asks for: libraries make no texts of messages that nobody wants.
    ours = [one.level for one in root.handlers if isinstance(one, _StderrHandler | _FileHandler)]
    root.setLevel(min(ours))


settle()
