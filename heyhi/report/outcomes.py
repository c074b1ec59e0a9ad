"""What came out of experiments: their metrics, and what their results say of the same names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from heyhi.report.readings import RESULT

_BETWEEN = "\0"  # between names in one text: one object for many experiments, unlike a tuple that was kept on disk


class Outcome(NamedTuple):
    """What came out of one experiment.

    Attributes:
        values: by name. Where the result says something else than what was logged last, it has `<name> (result)`.
        repeated: names of what was logged, and that the result says alike; as `names_in` reads them.
        returned: names of what only the result says.
    """

    values: dict[str, Any]
    repeated: str | None = None
    returned: str | None = None


def outcome_of(logged: dict[str, Any], result: Mapping[str, Any]) -> Outcome:
    """Put the metrics and the result of an experiment side by side.

    Args:
        logged: what the metrics come to; what the result says is added.
        result: scalars by name.
    """
    take, repeats, returns = _plan(tuple(logged), tuple(result))
    ours, theirs = take(logged), take(result)
    if ours == theirs and list(map(type, ours)) == list(map(type, theirs)):  # as mostly
        return Outcome({**logged, **result}, repeats, returns)
    values, repeated, returned = dict(logged), list[str](), list[str]()
    beside: dict[str, Any] = {}
    for name, value in result.items():
        if name not in logged:
            returned.append(name)
            values[name] = value
            continue
        if _is_same(logged[name], value):
            repeated.append(name)
        else:
            beside[name] = value
    for name, value in beside.items():
        own = f"{name}{RESULT}"
        while own in values:  # a metric may be called like that
            own += RESULT
        values[own] = value
    return Outcome(values, _text(repeated), _text(returned))


@lru_cache(maxsize=256)  # there may be 10,000 experiments, mostly of few kinds
def _plan(
    logged: tuple[str, ...], result: tuple[str, ...]
) -> tuple[Callable[[Mapping[str, Any]], tuple[Any, ...]], str | None, str | None]:
    """Return what takes the values of the names that metrics and a result share, and both texts if these are alike."""
    shared = [name for name in result if name in logged]
    returned = [name for name in result if name not in logged]
    # Twice the first one: of a single name, no tuple would be taken.
    return itemgetter(*shared, shared[0]) if shared else _take_nothing, _text(shared), _text(returned)


def _take_nothing(values: Mapping[str, Any]) -> tuple[Any, ...]:
    return ()


def with_results(
    outcome: dict[str, list[Any]], repeated: Sequence[str | None], returned: Sequence[str | None]
) -> dict[str, list[Any]]:
    """Fill the columns of what results say.

    Where the result of one experiment differs from its metric, the column of the metric is of metrics only, and the
    one of results has all of them.

    Args:
        outcome: columns by name.
        repeated: of each experiment, as in `Outcome`.
        returned: likewise.
    """
    names = [name for name in outcome if f"{name}{RESULT}" in outcome]
    if not names:
        return outcome
    found = dict(outcome)
    for name in names:
        own = f"{name}{RESULT}"
        found[name], found[own] = list(outcome[name]), list(outcome[own])
        says = {text: (name in names_in(text)) for text in {*repeated, *returned}}
        for place, (alike, alone) in enumerate(zip(repeated, returned, strict=True)):
            if found[own][place] is None and (says[alike] or says[alone]):
                found[own][place] = outcome[name][place]
            if says[alone]:
                found[name][place] = None
    return found


def names_in(text: str | None) -> list[str]:
    """Return the names that are in a text."""
    return text.split(_BETWEEN) if text is not None else []


def _text(names: Sequence[str]) -> str | None:
    return _BETWEEN.join(names) if names else None


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return bool(one == other or (one != one and other != other))
