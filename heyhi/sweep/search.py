"""Searches as users declare them: `SEARCH = heyhi.Search(…)` in a sweep file, or the words of `heyhi search`.

What its space comes to in a schema is left to `space`, what a manifest keeps of it to `search_spec`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from heyhi.config.overrides import Overrides
from heyhi.config.values import shorten
from heyhi.errors import SweepError, suggest
from heyhi.experiment.directions import Direction
from heyhi.sweep.search_spec import SAMPLERS, AshaSpec, Axis, Sampler, SearchSpec

_STOPS = ("asha",)
_CALL = re.compile(r"(\w+)(?:\((.*)\))?", re.DOTALL)


@dataclass(frozen=True)
class ASHA:
    """Early stopping by rungs (Li et al., 2020): of those that reach one, only the best go on.

    Args:
        grace: step of the first rung: no trial is ended before.
        factor: each rung is so many times the step of the one before; one trial in so many goes on.
        counter: of the metrics' lines that is gone by, such as `step`; default: the epoch, else the first one.

    Raises:
        SweepError: one of them is no such number or name.
    """

    grace: int = 2
    factor: int = 3
    counter: str = ""

    def __post_init__(self) -> None:
        _check_whole("ASHA", "grace", self.grace, 1)
        _check_whole("ASHA", "factor", self.factor, 2)
        if not isinstance(self.counter, str):
            raise SweepError(f"heyhi.ASHA: counter is the name of a number in the metrics, not {_shown(self.counter)}")

    @classmethod
    def of(cls, text: str) -> ASHA:
        """Read it as the command line has it: `asha`, or `asha(grace=2,factor=3,counter=epoch)`.

        Raises:
            SweepError: it can't be read.
        """
        call = _CALL.fullmatch(text.strip())
        if call is None or call[1].lower() not in _STOPS:
            hint = suggest(call[1] if call is not None else text, _STOPS)
            raise SweepError(f"stop '{shorten(text)}': expected asha, or asha(grace=2,factor=3){hint}")
        options: dict[str, Any] = {}
        for part in filter(None, map(str.strip, (call[2] or "").split(","))):
            name, equals, value = (word.strip() for word in part.partition("="))
            if name not in ("grace", "factor", "counter") or not equals or not value:
                hint = suggest(name, ("grace", "factor", "counter"))
                raise SweepError(f"stop '{shorten(text)}': expected grace=, factor= or counter=, not '{part}'{hint}")
            options[name] = int(value) if value.isdecimal() and name != "counter" else value
        return cls(**options)

    @property
    def spec(self) -> AshaSpec:
        """What a manifest keeps of it."""
        return AshaSpec(self.grace, self.factor, self.counter)


@dataclass(frozen=True)
class Search:
    """A search for the best point of a space, each of whose trials is an ordinary experiment.

    Args:
        cfg: config that the trials start from, as for `yield_sweep`.
        overrides: fixed ones, applied before a trial's own.
        space: key -> what it may be: a list, a range, or text as `--sweep` takes it: `"16,32,64"`, `"range(1,9)"`,
            `"uniform(0,1)"`, `"loguniform(1e-4,1)"`, `"choice(a,b)"`. A key that lies in a member of a oneof over which
            the space has an axis, too, applies where that member is chosen.
        max: metric that is better when larger.
        min: metric that is better when smaller; it is one of the two.
        trials: how many there are.
        parallel: how many run at once; 0: as many as the profile says.
        sampler: what chooses: `tpe`, or `random`.
        seed: of the choices.
        stop: `heyhi.ASHA(…)`, or `"asha"`: end trials early that are among the worst.
        learn_from: words that name earlier experiments to learn from.

    Raises:
        SweepError: one of these is no such thing.

    Example:
        >>> Search(cfg="conf/train", space={"lr": "loguniform(1e-4,1)"}, max="val_accuracy", trials=20).metric
        'val_accuracy'
    """

    cfg: str | PathLike[str]
    overrides: Overrides | None = None
    space: Mapping[str, Any] = field(default_factory=dict)
    max: str = ""
    min: str = ""
    trials: int = 0
    parallel: int = 0
    sampler: Sampler = "tpe"
    seed: int = 0
    stop: ASHA | str | None = None
    learn_from: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.cfg, (str, PathLike)) or not str(self.cfg):
            raise SweepError(f"heyhi.Search: cfg is the path of a config, not {_shown(self.cfg)}")
        self._check_aim()
        _check_whole("Search", "trials", self.trials, 1)
        _check_whole("Search", "parallel", self.parallel, 0)
        _check_whole("Search", "seed", self.seed, None)
        if self.sampler not in SAMPLERS:
            hint = suggest(str(self.sampler), SAMPLERS)
            raise SweepError(f"heyhi.Search: sampler is {' or '.join(SAMPLERS)}, not {_shown(self.sampler)}{hint}")
        self._check_space()
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", ASHA.of(self.stop))
        elif self.stop is not None and not isinstance(self.stop, ASHA):
            raise SweepError(f"heyhi.Search: stop is heyhi.ASHA(…), 'asha' or None, not {_shown(self.stop)}")
        words = (self.learn_from,) if isinstance(self.learn_from, str) else self.learn_from
        if not isinstance(words, Iterable) or not all(isinstance(word, str) and word for word in words):
            raise SweepError(f"heyhi.Search: learn_from is words that name experiments, not {_shown(self.learn_from)}")
        object.__setattr__(self, "learn_from", tuple(words))

    def _check_aim(self) -> None:
        for name, metric in (("max", self.max), ("min", self.min)):
            if not isinstance(metric, str):
                raise SweepError(f"heyhi.Search: {name} is the name of a metric, not {_shown(metric)}")
        if bool(self.max) == bool(self.min):
            raise SweepError(
                "heyhi.Search: a search has one aim: "
                + (f"max='{self.max}' or min='{self.min}'" if self.max else "max=METRIC or min=METRIC")
            )

    def _check_space(self) -> None:
        if not isinstance(self.space, Mapping) or not self.space:
            shown = "" if isinstance(self.space, Mapping) else f", not {_shown(self.space)}"
            raise SweepError(
                f"heyhi.Search: space is a mapping of keys to what they may be: {{'lr': 'loguniform(1e-4,1)'}}{shown}"
            )
        for key, values in self.space.items():
            if not isinstance(key, str) or not key:
                raise SweepError(f"heyhi.Search: a key of the space is a text, not {_shown(key)}")
            if not isinstance(values, (str, list, tuple, range)):
                raise SweepError(
                    f"heyhi.Search: '{key}' may be a list, a range, or text such as 'loguniform(1e-4,1)' or '16,32',"
                    f" not {_shown(values)}"
                )

    @property
    def metric(self) -> str:
        """What it is about."""
        return self.max or self.min

    @property
    def direction(self) -> Direction:
        """Which way that is better."""
        return "max" if self.max else "min"

    def spec(self, cfg: str, overrides: Sequence[str], axes: Sequence[Axis]) -> SearchSpec:
        """Return what a manifest keeps of it.

        Args:
            cfg: base config, as identities name it.
            overrides: canonical ones of the base.
            axes: what the space comes to.
        """
        stop = self.stop.spec if isinstance(self.stop, ASHA) else None
        return SearchSpec(
            cfg=cfg,
            overrides=tuple(overrides),
            axes=tuple(axes),
            metric=self.metric,
            direction=self.direction,
            trials=self.trials,
            parallel=self.parallel,
            sampler=self.sampler,
            seed=self.seed,
            stop=stop,
            learn_from=tuple(self.learn_from),
        )


def read_space(words: Iterable[str]) -> dict[str, str]:
    """Read a space from the words of `--space KEY=VALUES`.

    Raises:
        SweepError: one of them is no such word, or names the key of an earlier one.
    """
    space: dict[str, str] = {}
    for word in words:
        key, equals, text = word.removeprefix("--").partition("=")
        if not equals or not key or not text.strip():
            raise SweepError(f"--space '{word}': expected key=value,value,… or key=loguniform(…)")
        if key in space:
            raise SweepError(f"--space '{word}': the key '{key}' is given twice")
        space[key] = text
    return space


def _check_whole(what: str, name: str, value: object, least: int | None) -> None:
    if type(value) is not int or (least is not None and value < least):
        most = "" if least is None else f" of at least {least}"
        raise SweepError(f"heyhi.{what}: {name} is a whole number{most}, not {_shown(value)}")


def _shown(value: object) -> str:
    return shorten(repr(value))
