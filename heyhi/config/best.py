"""The best of a sweep, as a config names it: `{{best SWEEP max=KEY}}`, and what is known of it once it was chosen.

Which experiments it is chosen from is left to the expansion of a sweep, and the choice to `report/winner`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Self

from heyhi.config.fields import covers
from heyhi.config.templates import FORMS, best_of, split_words
from heyhi.errors import NeedsError, suggest
from heyhi.quick_dataclass import dataclass, replace
from heyhi.sha import sha256
from heyhi.text import shorten

Direction = Literal["max", "min"]
Of = Literal["all", "done"]
_AIMS: tuple[Direction, ...] = ("max", "min")
_OFS: tuple[Of, ...] = ("all", "done")
_OPTIONS = (*_AIMS, "of")
LAUNCHER = "launcher"  # field of a task
_DIGITS = 16


@dataclass(frozen=True)
class Best:
    """The best configuration of a sweep.

    Attributes:
        sweep: file that yields it, relative to the project root.
        metric: by which it is the best; empty: by the aim of the search that the sweep is.
        direction: which way that is better; of no account without a metric.
        of: whether all of the sweep have to be done, or those that came to nothing are left out.
    """

    sweep: str
    metric: str
    direction: Direction
    of: Of = "all"

    @classmethod
    def parse(cls, words: str, root: str) -> Best:
        """Read the words of a template.

        Args:
            words: behind `best`.
            root: of the project.

        Raises:
            NeedsError: they are none, or contradict one another.
        """
        text = shorten(f"{{{{best {words}}}}}")

        def refuse(why: str) -> NeedsError:
            return NeedsError(f"'{text}': {why}: expected {FORMS['best']}, and of=done where not all have to be done")

        try:
            sweep, *options = split_words(words)
        except ValueError as error:
            raise refuse(str(error)) from None
        if sweep.partition("=")[0] in _OPTIONS:
            raise refuse("no sweep is named")
        found: dict[str, str] = {}
        for option in options:
            key, sign, value = option.partition("=")
            if key not in _OPTIONS or not sign:
                raise refuse(f"unknown option '{shorten(option)}'{suggest(key, _OPTIONS)}")
            if not value:
                raise refuse(f"'{key}=' names nothing")
            if key in found:
                raise refuse(f"'{key}=' stands there twice")
            found[key] = value
        of = found.pop("of", "all")
        if of not in _OFS:
            raise refuse(f"of={shorten(of)}{suggest(of, _OFS)}; it is all or done")
        if len(found) > 1:
            raise refuse("max= and min= are both there")
        direction = next((way for way in _AIMS if way in found), _AIMS[0])
        return cls(_below(sweep, root), found.get(direction, ""), direction, next(one for one in _OFS if one == of))

    @property
    def words(self) -> str:
        """The words of its template, as an identity has them."""
        aim = [f"{self.direction}={self.metric}"] if self.metric else []
        return shlex.join([self.sweep, *aim, *([f"of={self.of}"] if self.of != "all" else [])])

    @property
    def winner_id(self) -> str:
        """Name of its winner: 16 hex digits that follow from its words."""
        return id_of(self.words)

    @property
    def text(self) -> str:
        """What it is called in a sentence."""
        return f"the best of {self.sweep}"

    @property
    def of_done(self) -> str:
        """How the same is written where only what is DONE counts."""
        return f"{{{{best {replace(self, of='done').words}}}}}"


@dataclass(frozen=True)
class Chosen:
    """What the best of a sweep has turned out to be.

    Attributes:
        folder: of its experiment (absolute).
        overrides: of that, as its identity has them, less those that are its own affair.
    """

    folder: str
    overrides: tuple[str, ...]


# Given the words of a template, as an identity has them: what it has turned out to be; None where nobody knows yet.
Winners = Callable[[str], Chosen | None]


@dataclass(frozen=True)
class Unchosen:
    """The config of an experiment that takes over what the best of a sweep overrides, before that is chosen.

    Only what its own overrides say is known of it by then: the best may override anything else.

    Attributes:
        bests: words of the best ones that it takes over from.
        keys: of its own overrides.
    """

    bests: tuple[str, ...]
    keys: tuple[str, ...]

    @classmethod
    def of(cls, overrides: Iterable[str]) -> Self | None:
        """Return what is known by an experiment's overrides; None where it takes over none.

        Args:
            overrides: as its identity has them.
        """
        pairs = [text.partition("=") for text in overrides]
        bests = tuple([words for key, _, value in pairs if key == "I" and (words := best_of(value)) is not None])
        return cls(bests, tuple([key.removesuffix("+") for key, _, _ in pairs if key != "I"])) if bests else None

    def knows(self, key: str, value: object = None) -> bool:
        """Return whether it is known what a key is.

        Args:
            key: of the config; of a oneof, too.
            value: that it has without the best; of a oneof, its member.
        """
        if key.partition(".")[0] == LAUNCHER:  # which nobody takes over
            return True
        below = f"{key.rpartition('.')[0]}.{value}.".removeprefix(".")
        return any(f"{key}.".startswith(f"{own}.") or f"{own}.".startswith(below) for own in self.keys)


def id_of(words: str) -> str:
    """Return the name of the winner that some words stand for, as an identity has them."""
    return sha256(words.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]


def taken_over(overrides: Iterable[str], fields: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the overrides of an experiment into those that others take over from it, and those that are its own affair.

    Those are where and with what it was run (its launcher), and what tells it from its replicates.

    Args:
        overrides: as an identity has them.
        fields: in which replicates differ.
    """
    taken: list[str] = []
    own: list[str] = []
    for text in overrides:
        key = text.partition("=")[0].removeprefix("I.").removesuffix("+")
        is_own = key.partition(".")[0] == LAUNCHER or covers(key, fields)
        (own if is_own else taken).append(text)
    return taken, own


def _below(path: str, root: str) -> str:
    """Write a path relative to the project root, where it lies inside."""
    clean = os.path.normpath(path)
    return clean.removeprefix(f"{root}/")
