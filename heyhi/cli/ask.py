"""A question to whoever sits at the terminal; with no terminal, what destroys something isn't done, all else is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from heyhi.cli.json_answer import owes_json
from heyhi.errors import ModeError


def agrees(what: str, question: str, shown: Sequence[str] = (), *, otherwise: str, more: str = "") -> None:
    """Ask before something is ended or wiped.

    Args:
        what: would happen.
        question: with a yes or no for an answer.
        shown: lines before it.
        otherwise: what happened when the answer is no.
        more: what else there is to do where there is no terminal.

    Raises:
        ModeError: nobody agreed.
    """
    if not _has_terminal():
        why = "--json never asks" if owes_json() else "there is no terminal to ask at"
        raise ModeError(f"{what}; say --force to do so ({why}){more}", fix="--force")
    print("\n".join([*shown, f"{what}: {question} [y/N] "]), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ModeError(otherwise)


def declines(question: str) -> bool:
    """Return whether whoever sits at the terminal says no to what is easily undone; nobody there, nobody does.

    Args:
        question: with a yes or no for an answer; Enter is yes.
    """
    if not _has_terminal():
        return False
    print(f"{question} [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return not answer or answer.strip().lower() not in ("", "y", "yes")


def _has_terminal() -> bool:
    return not owes_json() and sys.stdin.isatty() and sys.stderr.isatty()
