"""Which way a metric is better: as a project declares it, else by plain words of its name."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from heyhi.errors import HeyhiError
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

Direction = Literal["min", "max"]

_SMALL = frozenset(
    "loss losses error errors err perplexity ppl nll mse rmse mae wer cer fid regret".split()  # noqa: SIM905
)
_LARGE = frozenset(
    "accuracy acc auc auroc f1 precision recall reward rewards return returns score bleu rouge iou psnr ssim"  # noqa: SIM905
    " success".split()
)
# With one of these in its name, it says something about such a metric and is none: loss_scale, reward_std.
_ABOUT = frozenset(
    "count coef coefficient decay delta epoch epochs iter iteration iterations lr num number ratio scale seconds"  # noqa: SIM905
    " seed sigma size std step steps stderr time timestamp var variance weight weights".split()
)
_WORD = regex(r"[A-Z]+(?![a-z])[0-9]*|[A-Za-z]?[a-z]+[0-9]*|[0-9]+")


class DirectionError(HeyhiError):
    """A metric whose direction nobody declared, or that was declared both ways, is asked for its best value."""


class Directions(NamedTuple):
    """The directions of metrics in a project.

    Attributes:
        minimize: patterns (`*` stands for any part) of metrics that are better when smaller.
        maximize: likewise of those that are better when larger.
    """

    minimize: tuple[str, ...] = ()
    maximize: tuple[str, ...] = ()

    def declared(self, name: str) -> Direction | None:
        """Return what the project says of a metric; None where it says nothing, or both."""
        small, large = _matching(name, self.minimize), _matching(name, self.maximize)
        return None if bool(small) == bool(large) else "min" if small else "max"

    def of(self, name: str) -> Direction | None:
        """Return which way a metric is better: as declared, else as assumed; None where nobody knows.

        Args:
            name: of the metric, without `.best`.
        """
        found = self.declared(name)
        if found is None and not _matching(name, self.minimize):
            return assumed(name)
        return found

    def needed(self, name: str) -> Direction:
        """Return which way a metric is better.

        Raises:
            DirectionError: nobody knows; the message says how to declare it.
        """
        found = self.of(name)
        small = _matching(name, self.minimize)
        if found is None and small:
            large = _matching(name, self.maximize)
            raise DirectionError(
                f"pyproject.toml, [tool.heyhi] minimize ('{small}') and maximize ('{large}') both name '{name}': say it"
                f" with --best '{name}:min' or '{name}:max', or in one of them only"
            )
        if found is None:
            raise DirectionError(
                f"nobody knows whether '{name}' is better when smaller or larger: say it with --best '{name}:min' or"
                f" '{name}:max', or in pyproject.toml, [tool.heyhi] minimize = [\"{name}\"] or maximize",
                key=name,
            )
        return found


def loss_of(value: float, direction: Direction) -> float:
    """Return a value of a metric such that less is better; what is no number is the worst."""
    if math.isnan(value):
        return math.inf
    return -value if direction == "max" else value


def is_better(value: float, other: float, direction: Direction) -> bool:
    """Return whether a value of a metric is better than another; what is no number isn't."""
    return loss_of(value, direction) < loss_of(other, direction)


def _matching(name: str, patterns: Sequence[str]) -> str | None:
    """Return the first pattern that a name meets."""
    return next((pattern for pattern in patterns if fnmatch.fnmatchcase(name, pattern)), None)


@lru_cache(maxsize=4096)
def assumed(name: str) -> Direction | None:
    """Return which way a metric is better by plain words of its name; None where they say nothing, or two things."""
    found = set(words(name))
    if found & _ABOUT:
        return None
    is_small, is_large = not found.isdisjoint(_SMALL), not found.isdisjoint(_LARGE)
    if is_small == is_large:
        return None
    return "min" if is_small else "max"


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: `val/topAccuracy_5` is val, top, accuracy, 5."""
    return [word.lower() for word in _WORD.findall(name)]
