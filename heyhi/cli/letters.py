"""What options of one letter mean in other programs, and how that is typed here; some letters mean two things.

Which option of sbatch's is which field of the launcher's stands in `habits`, and so do options with names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_OF_SBATCH = {
    "p": "partition",
    "A": "account",
    "t": "time",
    "q": "qos",
    "G": "gpus",
    "C": "constraint",
    "N": "nodes",
}
# Snakemake has these too, without a value; but for --quiet, which may have one.
_OF_SNAKEMAKE = {"q": "quiet", "p": "printshellcmds", "t": "touch", "C": "config"}
_QUIET = frozenset({"all", "progress", "rules", "host", "reason"})
STARTING = frozenset({"run", "launch", "plan", "search", "expand"})  # commands that take what is run
WITH_JOBS = frozenset({"run", "launch", "retry"})  # those with --jobs
_WITH_DRY_RUN = frozenset({"run", "launch", "search", "retry", "cancel", "clean", "note"})
OVERRIDES = "overrides stand there as they are: {v}"
_OUT = "--out P, an exp id pattern, or results in [tool.heyhi]"


class Typed(NamedTuple):
    """What a letter is typed as here.

    Attributes:
        text: in words; empty where the letter means nothing that is known.
        of_sbatch: the name of sbatch's option, where it may be that one.
        has_value: whether the word behind it belongs to it.
    """

    text: str = ""
    of_sbatch: str = ""
    has_value: bool = True


def typed(letter: str, command: str, value: str, following: str, is_named: Callable[[str], bool]) -> Typed:
    """Find out what a letter may mean.

    Args:
        letter: behind one dash.
        command: of `heyhi`; empty for a task file.
        value: behind the letter, where that is no override.
        following: the next word, whatever it is.
        is_named: asked whether a text names a config or a file.
    """
    value = "" if is_named(value) and letter != "c" else value
    is_starting = command in STARTING
    if letter in _OF_SNAKEMAKE and is_starting and (not value or (letter == "q" and value in _QUIET)):
        long = _OF_SNAKEMAKE[letter]
        text = f"Snakemake's --{long} is given to Snakemake itself, in the line that heyhi plan ends with"
        return Typed(text, _OF_SBATCH[letter] if value else "", bool(value))
    if letter in _OF_SBATCH and (value or letter not in _OF_SNAKEMAKE) and (is_starting or command in ("", "print")):
        return Typed("", _OF_SBATCH[letter])
    return Typed(_text(letter, command, value, following, is_named), "", bool(value))


def _text(letter: str, command: str, value: str, following: str, is_named: Callable[[str], bool]) -> str:
    is_run = command in STARTING or not command
    match letter:
        case "m" if command == "note":
            return "--text {v}"
        case "m" if is_run:
            return "--sweep KEY=VALUES sweeps a key, once for each of several"
        case "o" | "D" if "=" in following and (is_run or command == "print"):
            return OVERRIDES
        case "o" if command in ("report", "export") and value:
            return "--to {v}"
        case "o" if is_run and value:
            return _OUT
        case "p" if command == "serve":
            return "--port {v}"
        case "j" if command in WITH_JOBS:
            return "--jobs {v}"
        case "j" if command == "search":
            return "--parallel {v}"
        case "n" if command in _WITH_DRY_RUN and not value:
            return "--dry-run"
        case "c" if command and is_named(value):
            return "--cfg {v}"
    return ""
