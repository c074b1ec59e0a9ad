"""The format and the destination of log messages, HeyHi's and its users'."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TextIO

from heyhi.job_env import get_job_env


class _Formatter(logging.Formatter):
    """The format of a record, one line: `I1124 10:00:00 [module:12] text`."""

    def __init__(self) -> None:
        env = get_job_env()
        rank = f" [rank {env.rank}]" if env.world_size > 1 else ""
        form = f"%(letter)s%(asctime)s{rank} [%(module)s:%(lineno)d] %(message)s"
        super().__init__(form, "%m%d %H:%M:%S")

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


class _FileHandler(logging.FileHandler):
    """A handler of ours, by whose class it differs from a user's."""


def setup_logging(
    level: str | int = "INFO", file: Path | None = None, *, console_level: str | int | None = None
) -> logging.Logger:
    """Log to standard error, one line a message; calling it again changes the level and adds nothing.

    Args:
        level: lowest level that is shown, by name or number.
        file: also append everything to this file.
        console_level: the first HeyHi's name for `level`.

    Returns:
        The root logger.
    """
    level = level if console_level is None else console_level
    root = logging.getLogger()
    for handler in root.handlers[:]:
        # Ours of an earlier call, and what logging.basicConfig() left: it would print each line twice.
        if isinstance(handler, _StderrHandler | _FileHandler) or type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
            handler.close()
    handlers: list[logging.Handler] = [_StderrHandler()]
    if file is not None:
        handlers.append(_FileHandler(file, encoding="utf-8", errors="backslashreplace"))
    for handler in handlers:
        handler.setFormatter(_Formatter())
        root.addHandler(handler)
    root.setLevel(level.upper() if isinstance(level, str) else level)
    return root
