"""A slot's choice, made in a process of its own: what that takes is gone before a task runs.

What chooses loads large libraries with threads of their own. The run that follows has neither: its packages on record
are those that it uses, and its claim can be kept by a copy of its small process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from heyhi.errors import HeyhiError, UnknownError
from heyhi.experiment.exits import exit_text
from heyhi.job.ending import end_with
from heyhi.job.tee import flush_all

_MOST_BYTES = 1 << 16  # of an error


def do_apart(act: Callable[[], object], what: str) -> None:
    """Do something in a copy of this process, which has one thread, and wait until it is done.

    Args:
        act: does it; what it returns is dropped.
        what: it is, for messages.

    Raises:
        HeyhiError: it has raised one, or has ended otherwise.
    """
    flush_all()
    reader, writer = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        os.close(reader)
        _be_child(act, parent, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if said:
        is_unknown, text = json.loads(said)
        raise UnknownError(text) if is_unknown else HeyhiError(text)
    if code:
        raise HeyhiError(f"{what}: {exit_text(code)}")


def _be_child(act: Callable[[], object], parent: int, writer: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a terminal tells both processes, and the other one says so
        end_with(parent)
        act()
        code = 0
    except HeyhiError as error:
        text = str(error)[:_MOST_BYTES]
        with contextlib.suppress(OSError):
            os.write(writer, json.dumps([isinstance(error, UnknownError), text]).encode())
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            flush_all()
        os._exit(code)
