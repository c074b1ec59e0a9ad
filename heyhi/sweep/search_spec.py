"""What a search is, as a manifest and its own folder keep it; how a user declares one is left to `search`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from heyhi.errors import ManifestError
from heyhi.experiment.directions import Direction
from heyhi.experiment.names import SEARCH_ID_DIGITS
from heyhi.quick_dataclass import asdict, dataclass
from heyhi.sha import sha256
from heyhi.sweep.elements import element_text
from heyhi.text import number_text

Sampler = Literal["tpe", "random"]
SAMPLERS: tuple[Sampler, ...] = ("tpe", "random")
AxisKind = Literal["choice", "int", "float"]


@dataclass(frozen=True)
class Axis:
    """A key of a search's space, and what it may be.

    Attributes:
        key: below the task, as canonical overrides write it.
        kind: `choice` of some values, or a whole number or a real one between two bounds.
        values: of a choice, as overrides write them.
        low: least number.
        high: greatest number.
        step: between whole numbers.
        log: draw evenly by the logarithm.
        only_if: (key of another axis, its value): it applies only where that is chosen; all of them hold.
    """

    key: str
    kind: AxisKind
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    log: bool = False
    only_if: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """What it may be, as `--space` has it."""
        if self.kind == "choice":
            return ",".join(map(element_text, self.values))
        bounds = f"({_number_text(self.low)},{_number_text(self.high)})"
        if self.log:
            return f"loguniform{bounds}"
        if self.kind == "float":
            return f"uniform{bounds}"
        step = f",{self.step}" * (self.step != 1)
        return f"range({_number_text(self.low)},{_number_text(self.high + 1)}{step})"

    def applies(self, chosen: Mapping[str, Any]) -> bool:
        """Return whether it applies to what is chosen for the axes before it."""
        return all(str(chosen.get(key)) == value for key, value in self.only_if)


@dataclass(frozen=True)
class AshaSpec:
    """Early stopping by rungs (Li et al., 2020: asynchronous successive halving).

    Attributes:
        grace: step of the first rung: none is ended before.
        factor: each rung is so many times the step of the one before; one in so many goes on.
        counter: of metrics' lines that is gone by; empty for the epoch, else the first one that a line has.
    """

    grace: int = 2
    factor: int = 3
    counter: str = ""


@dataclass(frozen=True)
class SearchSpec:
    """A search.

    Attributes:
        cfg: its base config, as identities name it.
        overrides: canonical overrides of the base.
        axes: its space, in order.
        metric: that it is about.
        direction: which way that is better.
        trials: how many slots there are.
        parallel: how many run at once; 0: as many as the profile says.
        sampler: what chooses.
        seed: of the choice.
        stop: how trials are ended early; None: none is.
        learn_from: words that name experiments which are learned from, too.
    """

    cfg: str
    overrides: tuple[str, ...]
    axes: tuple[Axis, ...]
    metric: str
    direction: Direction
    trials: int
    parallel: int = 0
    sampler: Sampler = "tpe"
    seed: int = 0
    stop: AshaSpec | None = None
    learn_from: tuple[str, ...] = ()

    @property
    def search_id(self) -> str:
        """16 hex digits over what makes it this search; more trials, or more at once, are of the same one."""
        data = {k: v for k, v in asdict(self).items() if k not in ("trials", "parallel", "learn_from")}
        return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:SEARCH_ID_DIGITS]

    def valued(self, value: float) -> str:
        """Write a value of its metric as people are shown it: `loss=0.25`."""
        return f"{self.metric}={number_text(value, '.6g')}"

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> SearchSpec:
        """Read it back.

        Raises:
            ManifestError: this is none.
        """
        try:
            data = json.loads(text)
            axes = tuple(_axis(one) for one in data.pop("axes"))
            stop = data.pop("stop")
            lists: Mapping[str, Sequence[str]] = {name: data.pop(name) for name in ("overrides", "learn_from")}
            return cls(
                axes=axes,
                stop=AshaSpec(**stop) if stop is not None else None,
                overrides=tuple(map(str, lists["overrides"])),
                learn_from=tuple(map(str, lists["learn_from"])),
                **data,
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ManifestError(f"no search: {error}") from None


def _number_text(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)


def _axis(data: dict[str, Any]) -> Axis:
    values, only_if = tuple(map(str, data.pop("values"))), tuple((str(k), str(v)) for k, v in data.pop("only_if"))
    return Axis(values=values, only_if=only_if, **data)
