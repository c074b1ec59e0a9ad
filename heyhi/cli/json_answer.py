"""The one JSON document that a command with `--json` puts on standard output: its answer, or what went wrong.

While such a command runs, whatever it or a program that it starts prints goes to standard error.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.cli.json_text import to_json
from heyhi.streams import LostOutput
from heyhi.text import steering

if TYPE_CHECKING:
    from heyhi.cli.json_forms import Failure

FORM = 1  # changes where a program that reads the form of before would err


class _Asked:
    """What is known of the document, while a command runs that owes one."""

    is_asked = False
    text: str | None = None


def is_asked(words: Sequence[str]) -> bool:
    """Return whether a command line that names `--json` asks for JSON; its help is for people."""
    return not {"-h", "--help"} & set(words)


def owes_json() -> bool:
    """Return whether the command that runs is to answer in JSON."""
    return _Asked.is_asked


def give(command: str, fields: Mapping[str, Any], *, last: str = "", rows: Iterable[object] = ()) -> None:
    """Answer a command, if it was asked for JSON; a later answer replaces an earlier one, and so does an error.

    Args:
        command: its name.
        fields: of the answer, a line each.
        last: name of the list that comes last, if there is one; it may be long.
        rows: of that list, a line each.
    """
    if not _Asked.is_asked:
        return
    heads = {"heyhi": FORM, "command": command, **fields}
    if last:
        parts = [f"{to_json(name)}: {to_json(value)}" for name, value in heads.items()]
        listed = ",\n  ".join(map(to_json, rows))
        listed = f"\n  {listed}\n" if listed else ""
        _Asked.text = f"{{{', '.join(parts)}, {to_json(last)}: [{listed}]}}\n"
    else:
        _Asked.text = f"{to_json(heads)}\n"


def answered(words: Sequence[str], run: Callable[[], int]) -> int:
    """Run a command, and print its answer, or what went wrong; return its exit code.

    Args:
        words: of the command line.
        run: runs it, and returns its exit code.
    """
    caught: BaseException | None = None
    code = 1
    with _aside():
        _Asked.is_asked, _Asked.text = True, None
        try:
            code = run()
        except BaseException as error:
            caught = error
        finally:
            _Asked.is_asked = False
    if caught is None:
        _print(_Asked.text or "")
        return code
    if (text := _failure_text(caught, words)) and not isinstance(caught, LostOutput):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it: the exit code says enough
            _print(text)
    raise caught


def print_failure(code: str, message: str) -> None:
    """Print what has ended a command that ran in another process."""
    from heyhi.cli.json_failure import failure

    _print(_error_text(failure(code, message)))


def _failure_text(error: BaseException, words: Sequence[str]) -> str:
    """Write what has ended a command as a document; empty where it has ended as it should, after its help."""
    from heyhi.cli.json_failure import BUG, INTERRUPTED, OUTPUT, failure, failure_of
    from heyhi.errors import HeyhiError

    if isinstance(error, HeyhiError):
        return _error_text(failure_of(error, words))
    if isinstance(error, SystemExit):
        return _error_text(failure(BUG, f"ended with exit code {error.code}")) if error.code not in (0, None) else ""
    if isinstance(error, KeyboardInterrupt):
        return _error_text(failure(INTERRUPTED, "interrupted by Ctrl-C"))
    text = f"{type(error).__name__}: {error}"
    is_output = isinstance(error, OSError) and error.filename is None
    return _error_text(failure(OUTPUT if is_output else BUG, text))


def _error_text(found: Failure) -> str:
    return f"{to_json({'heyhi': FORM, 'error': found})}\n"


def _print(text: str) -> None:
    # Of ASCII alone, in which everything else is an escape: no encoding lacks it, no terminal obeys it.
    out = steering(sys.stdout)
    if out is not None:
        out.write(text)
        out.flush()


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """Have what is printed go to standard error, by whatever process, and nobody be asked anything."""
    before, asked = sys.stdout, sys.stdin
    kept: int | None = None
    with contextlib.suppress(AttributeError, OSError, ValueError):
        before.flush()
        if before.fileno() == 1:  # else somebody has put another stream in its place
            kept = os.dup(1)
            os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        with open(os.devnull, encoding="utf-8") as nothing:  # noqa: PTH123 (it is no path of the project's)
            sys.stdin = nothing
            yield
    finally:
        sys.stdout, sys.stdin = before, asked
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)
            atexit.register(os.dup2, 2, 1)  # what C code has printed is written out after all else
