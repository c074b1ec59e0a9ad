"""A question to whoever sits at the terminal; with no terminal, the answer is no."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from heyhi.errors import ModeError


def agrees(what: str, question: str, shown: Sequence[str] = (), *, instead: str, otherwise: str) -> None:
    """Ask before something is ended or wiped.

    Args:
        what: would happen.
        question: with a yes or no for an answer.
        shown: lines before it.
        instead: what to do where there is no terminal.
        otherwise: what happened when the answer is no.

    Raises:
        ModeError: nobody agreed.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ModeError(f"{what}; {instead} (there is no terminal to ask at)")
    print("\n".join([*shown, f"{what}: {question} [y/N] "]), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ModeError(otherwise)
