"""An error as JSON: what it is, which word is at fault, what may have been meant, and what to type instead."""

from __future__ import annotations

from collections.abc import Sequence

from heyhi.cli.json_forms import Failure
from heyhi.errors import HeyhiError, SweepError
from heyhi.faults import Fault
from heyhi.slips import is_slip
from heyhi.text import shell_word

# What ends a command and is no HeyhiError.
USAGE, INTERRUPTED, OUTPUT, ENDED, BUG = "usage", "interrupted", "output", "ended", "bug"
NOT_STARTED, NOT_ENDED, LEFT, UNREAD = "not_started", "not_ended", "left", "unread"
OTHER_CODES = (USAGE, INTERRUPTED, OUTPUT, ENDED, BUG, NOT_STARTED, NOT_ENDED, LEFT, UNREAD)


class UsageError(HeyhiError):
    """A command line that argparse can't read."""

    error_code = USAGE


def failure_of(error: HeyhiError, words: Sequence[str] = ()) -> Failure:
    """Return an error as JSON has it.

    Args:
        error: that ended the command.
        words: of the command line; one of them may be what is at fault.
    """
    fault = error.fault
    # A sweep only says which of its experiments it is about.
    code = fault.code if isinstance(error, SweepError) and fault.code else error.error_code
    return failure(code, str(error), fault._replace(fix=fault.fix or _corrected(fault, words)))


def failure(code: str, message: str, fault: Fault = Fault()) -> Failure:  # noqa: B008 (it is a constant)
    """Return an error as JSON has it, of which the parts are known."""
    return {
        "code": code,
        "message": message,
        "key": fault.key or None,
        "nearest": list(fault.nearest),
        "fix": fault.fix or None,
    }


def _corrected(fault: Fault, words: Sequence[str]) -> str:
    """Return the word at fault with the nearest name in its place, as a shell reads it.

    Empty where it can't be told, and where nothing is so near that it must have been meant: a fix that is typed without
    a look at it would make another experiment.
    """
    if not (fault.key and fault.nearest and is_slip(fault.key, fault.nearest[0])):
        return ""
    found = next(filter(None, (_mended(word, fault.key, fault.nearest[0]) for word in words)), "")
    return shell_word(found) if found else ""


def _mended(word: str, wrong: str, right: str) -> str:
    """Return a word with a right name in place of a wrong one; empty where it hasn't that."""
    if word in (wrong, f"-{wrong}"):  # --sort -KEY
        return word.replace(wrong, right)
    option, equals, value = word.partition("=")
    if not equals:
        return ""
    name = option.removeprefix("--")
    if name == wrong or name.startswith(f"{wrong}."):
        return f"{right}{name.removeprefix(wrong)}={value}"
    if name == f"{wrong}+":
        return f"{right}+={value}"
    # --sweep=lr=1 as one word, or a value that ends in the name: I=optimizer/adm
    if value in (wrong, f"-{wrong}") or value.partition("=")[0] == wrong:
        return f"{option}={value.replace(wrong, right, 1)}"
    return ""
