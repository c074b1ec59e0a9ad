"""An error as JSON: what it is, which word is at fault, what may have been meant, and what to type instead."""

from __future__ import annotations

from collections.abc import Sequence

from heyhi.cli.json_forms import Failure
from heyhi.errors import HeyhiError, SweepError
from heyhi.faults import Fault

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
    """Return the word at fault with the nearest name in its place; empty where it can't be told."""
    if not (fault.key and fault.nearest):
        return ""
    wrong, right = fault.key, fault.nearest[0]
    for word in words:
        bare = word.removeprefix("--") if "=" in word else word
        name, equals, value = bare.partition("=")
        if bare == wrong:
            return right
        if equals and (name == wrong or name.startswith(f"{wrong}.")):
            return f"{right}{name.removeprefix(wrong)}={value}"
        if equals and name == f"{wrong}+":
            return f"{right}+={value}"
        if equals and value == wrong:
            return f"{name}={right}"
        # --sweep lr=1 as one word, or a value that ends in the name: I=optimizer/adm
        if equals and value.partition("=")[0] == wrong:
            return f"{name}={right}{value.removeprefix(wrong)}"
    return ""
