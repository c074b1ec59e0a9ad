"""Reads an ordinary command line of a task file; any other one is left to its parser, which takes longer to load."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from heyhi.experiment.modes import MODES

_VALUES = {
    "-c": "cfg",
    "--cfg": "cfg",
    "--exp_id_pattern_override": "pattern",
    "--out": "pattern",
    "--mode": "mode",
    "--log-level": "log_level",
}
_FLAGS = {
    "--adhoc": "adhoc",
    "--continue-drifted": "continue_drifted",
    "--force": "force",
    "-y": "force",
    "--no-snapshot": "no_snapshot",
    "--print": "print",
    "--print-flat": "print_flat",
    "--print-flat-all": "print_flat_all",
}
_SHOWN = ("print", "print_flat", "print_flat_all")  # of which one can be had


class Words(SimpleNamespace):
    """What a command line says, as the parser's namespace has it."""


def read_words(words: Sequence[str]) -> Words | None:
    """Read options that are written out, each once, and overrides without dashes; None where there is anything else.

    Args:
        words: of the command line, less the program.
    """
    found: dict[str, object] = {}
    overrides: list[str] = []
    left = iter(words)
    for word in left:
        if not word.startswith("-"):
            overrides.append(word)
            continue
        name = _VALUES.get(word) or _FLAGS.get(word)
        value: str | bool = next(left, "-") if word in _VALUES else True
        if name is None or name in found or (isinstance(value, str) and value.startswith("-")):
            return None
        found[name] = value
    is_wrong = sum(name in found for name in _SHOWN) > 1 or found.get("mode") not in (None, *MODES)
    if is_wrong or "cfg" not in found or not all("=" in text for text in overrides):
        return None
    values = {"pattern": None, "mode": None, "log_level": "INFO", "redo_drifted": "", "checkpoint": None}
    return Words(**dict.fromkeys(_FLAGS.values(), False) | values | found, overrides=overrides)
