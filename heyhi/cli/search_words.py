"""The words of a search on a command line: which options there are, and the search that they declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heyhi.errors import SweepError

if TYPE_CHECKING:
    from heyhi.sweep.search import Search

SPACE, LEARN_FROM = "space", "learn_from"  # those that may be repeated
NUMBERS = ("trials", "parallel", "seed")
TEXTS = ("max", "min", "sampler", "stop")
_MOST_DIGITS = 18  # of what is taken for a number at all
SEARCH_OPTIONS = (SPACE, LEARN_FROM, *NUMBERS, *TEXTS)


def option_of(name: str) -> str:
    """Write an option as it is typed."""
    return f"--{name.replace('_', '-')}"


def changed_words(words: Sequence[str], given: Sequence[tuple[str, str]]) -> list[str]:
    """Return the words of a search with other values of some of its options.

    Args:
        words: of it.
        given: options, each with its value; one that may be repeated is added.
    """
    found = list(words)
    for name, text in given:
        option = option_of(name)
        if name not in (SPACE, LEARN_FROM) and option in found:
            found[found.index(option) + 1] = text
        else:
            found += [option, text]
    return found


def search_of(cfg: str, overrides: Sequence[str], given: Sequence[tuple[str, str]]) -> Search:
    """Return the search that words declare.

    Args:
        cfg: its config.
        overrides: of that.
        given: options of a search in their order, each with its value.

    Raises:
        SweepError: they declare none, or contradict one another.
    """
    from heyhi.sweep.search import Search, read_space

    values: dict[str, Any] = {}
    for name, text in given:
        if name in (SPACE, LEARN_FROM):
            values.setdefault(name, []).append(text)
        elif name in values:
            raise SweepError(f"{option_of(name)} is given twice: {values[name]} and {text}")
        else:
            values[name] = _number(name, text) if name in NUMBERS else text
    if SPACE not in values:
        raise SweepError("what is searched? --space KEY=VALUES says what a key may be: --space 'lr=loguniform(1e-4,1)'")
    if "max" in values and "min" in values:
        raise SweepError("--max and --min: a search has one aim; which is it?")
    if not {"max", "min"} & values.keys():
        raise SweepError("what is it for? --max METRIC or --min METRIC names what is to be large, or small")
    if "trials" not in values:
        raise SweepError("how many trials? --trials N")
    values[SPACE] = read_space(values[SPACE])
    try:
        return Search(cfg, list(overrides), **values)
    except SweepError as error:
        raise SweepError(_as_options(str(error))) from None


def _number(name: str, text: str) -> int:
    digits = text.removeprefix("-") if name == "seed" else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
        raise SweepError(f"{option_of(name)} {text}: expected a whole number, such as 20")
    return int(text)


def _as_options(text: str) -> str:
    """Say what is wrong with a search by its options."""
    head = "heyhi.Search: "
    if not text.startswith(head):
        return text
    name, _, rest = text.removeprefix(head).partition(" ")
    return f"{option_of(name)} {rest}" if name in SEARCH_OPTIONS else text.removeprefix(head)
