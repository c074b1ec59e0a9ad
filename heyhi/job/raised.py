"""What a task has raised, in words: its text is made by code of the task's own, which may raise, or take for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

# How long such a text may take: meanwhile the run is over, and holds its claim and its job.
_SECONDS = 5.0
_HEAD = "Traceback (most recent call last):\n"
_MAX_TRACE = 1_000_000  # characters of a traceback
_HERE = Path(__file__).parent.parent


def text_of(error: BaseException, seconds: float = _SECONDS) -> str:
    """Return what an exception says; empty where that can't be made in time.

    Args:
        error: what was raised.
        seconds: that its text may take.
    """
    return _made(lambda: str(error), seconds) or ""


def traceback_of(error: BaseException, seconds: float = _SECONDS) -> str:
    """Return the traceback of an exception as Python prints it, without our own frames, which say nothing.

    Args:
        error: what was raised.
        seconds: that the texts in it may take.
    """
    below = error.__traceback__
    while below is not None and _HERE in Path(below.tb_frame.f_code.co_filename).parents:
        below = below.tb_next
    frames = below or error.__traceback__
    try:
        from traceback import format_exception, format_tb  # most runs end well
    except Exception:  # the task has left no descriptor, no memory or no sys.path, or has a module of that name
        return f"{_HEAD}{_frames(frames)}{type(error).__qualname__}: {text_of(error, seconds)}\n"
    made = _made(lambda: "".join(format_exception(type(error), error, frames)), seconds)
    if made is None:
        head = f"{_HEAD}{''.join(format_tb(frames))}"
        made = f"{head}{type(error).__qualname__}: (its text could not be made within {seconds:g} s)\n"
    if len(made) <= _MAX_TRACE:
        return made
    half = _MAX_TRACE // 2
    return f"{made[:half]}\n… {len(made) - 2 * half} characters are left out …\n{made[-half:]}"


def _frames(below: TracebackType | None) -> str:
    """Return where an exception has come through, without the lines of code, for which files would be read."""
    lines = []
    while below is not None:
        code = below.tb_frame.f_code
        lines.append(f'  File "{code.co_filename}", line {below.tb_lineno}, in {code.co_name}\n')
        below = below.tb_next
    return "".join(lines)


def said_by_argparse(error: SystemExit) -> str:
    """Return the line with which argparse ended the process; empty where something else did."""
    below = error.__traceback__
    while below is not None:
        frame = below.tb_frame
        if frame.f_code.co_name == "exit" and frame.f_globals.get("__name__") == "argparse":
            message = frame.f_locals.get("message")
            return message.strip() if isinstance(message, str) else ""
        below = below.tb_next
    return ""


def _made(make: Callable[[], str], seconds: float) -> str | None:
    """Return a text that the task's code makes, in a thread of its own: one that doesn't end is left behind."""
    found: list[str] = []

    def run() -> None:
        try:
            found.append(make())
        except BaseException:  # whatever that code raises
            found.append("")

    thread = threading.Thread(target=run, name="heyhi-text", daemon=True)
    try:
        thread.start()
        thread.join(seconds)
    except RuntimeError:  # there can be no more threads
        run()
    return found[0] if found else None
