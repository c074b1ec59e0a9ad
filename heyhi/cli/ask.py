"""A question to whoever sits at the terminal; with no terminal, the answer is no."""

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
    if owes_json() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        why = "--json never asks" if owes_json() else "there is no terminal to ask at"
        raise ModeError(f"{what}; say --force to do so ({why}){more}", fix="--force")
    print("\n".join([*shown, f"{what}: {question} [y/N] "]), end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ModeError(otherwise)
