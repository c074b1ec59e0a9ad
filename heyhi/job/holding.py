"""What keeps this process from ending, in words: threads that are no daemons, functions at exit, child processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from heyhi.text import readable, shorten

_MOST, _WIDTH = 20, 300  # threads and the like that are named, and how long what is said of one may be
_LIBRARY = str(Path(os.__file__).parent)
_OURS = str(Path(__file__).parent.parent)
# Below these, whatever main's thread does is waiting for threads, which are named themselves.
_JOINS = (("threading.py", "_shutdown"), ("thread.py", "_python_exit"), ("process.py", "_python_exit"))


class Holding(NamedTuple):
    """What keeps a process.

    Attributes:
        lines: one for each thread, function or process.
        children: process ids of those that are waited for.
    """

    lines: tuple[str, ...]
    children: tuple[int, ...]


def what_holds() -> Holding:
    """Look at what this process waits for, now that it is to end; for a thread of ours, which isn't counted."""
    frames = sys._current_frames()
    main = threading.main_thread()
    children, lines = _multiprocessing_children(), list[str]()
    stack = _below_joins(frames.get(main.ident or 0))
    if stack:
        children |= _waited_for(stack)
        lines.append(f"{_first_name(stack)}, {_place(stack)}")
    for thread in threading.enumerate():
        if thread in (main, threading.current_thread()) or thread.daemon:
            continue
        own = list(_outward(frames.get(thread.ident or 0)))
        children |= _waited_for(own)
        lines.append(f"the thread {thread.name!r}{f', {_place(own)}' if own else ''}")
    lines += [f"the process {pid}: {words}" for pid, words in sorted(children.items())]
    if not lines:
        # Nobody can tell which: what C runs has no frame, and `atexit` lists nothing.
        lines = [
            "code that is no Python's: a function at exit, or a library's, as its objects or it itself are cleared away"
        ]
    shown = [shorten(readable(line), _WIDTH) for line in lines[:_MOST]]
    if len(lines) > _MOST:
        shown.append(f"and {len(lines) - _MOST} more")
    return Holding(tuple(shown), tuple(children))


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _below_joins(frame: FrameType | None) -> list[FrameType]:
    """Return the stack of main's thread from inside out, as far as it is more than waiting for threads."""
    stack = list(_outward(frame))
    while stack:
        code = stack[-1].f_code
        if not any(code.co_name == name and code.co_filename.endswith(f"/{file}") for file, name in _JOINS):
            break
        if code.co_name == "_python_exit":  # what it does is to join them
            return []
        stack.pop()
    return stack


def _first_name(stack: list[FrameType]) -> str:
    """Say what main's thread runs, by its outermost function; the interpreter calls those at exit itself."""
    name = stack[-1].f_code.co_qualname
    if name == "<module>":
        return f"{stack[0].f_code.co_qualname}, which runs as what main had is cleared away"
    return f"the function at exit {name}"


def _place(stack: list[FrameType]) -> str:
    """Say where a stack is: in the innermost code that is neither Python's own library's nor ours."""
    own = [one for one in stack if not one.f_code.co_filename.startswith((f"{_LIBRARY}/", f"{_OURS}/", "<frozen"))]
    frame = own[0] if own else stack[0]
    code = frame.f_code
    return f"at {code.co_filename}:{frame.f_lineno} in {code.co_qualname}"


def _multiprocessing_children() -> dict[int, str]:
    """Return the living children that multiprocessing waits for, each with its name."""
    module = sys.modules.get("multiprocessing.process")
    if module is None:
        return {}
    return {child.pid: child.name for child in module.active_children() if child.pid is not None}


def _waited_for(stack: list[FrameType]) -> dict[int, str]:
    """Return the child processes that some frame waits for, each with its command."""
    found = {}
    for frame in stack:
        owner = frame.f_locals.get("self")
        if isinstance(owner, subprocess.Popen) and owner.returncode is None:
            found[owner.pid] = _command(owner.pid)
    return found


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "?"
    return os.fsdecode(words).replace("\0", " ").strip()
