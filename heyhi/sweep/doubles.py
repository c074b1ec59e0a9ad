"""Doubles: one experiment that is asked for twice, with other values of what is in no identity: the first count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heyhi.config.difference import ABSENT, flat_of, one_line
from heyhi.quick_tuple import NamedTuple

if TYPE_CHECKING:
    from heyhi.config.schema import Schema

_MAX_NAMED = 5
_MAX_KEYS = 4


class Double(NamedTuple):
    """One experiment, and a config that it was asked for with as well.

    Attributes:
        exp_id: its name.
        task: field of the root message.
        config: with which it is run: root message, serialised.
        other: that it isn't run with.
    """

    exp_id: str
    task: str
    config: bytes
    other: bytes


def double_lines(schema: Schema, doubles: Sequence[Double]) -> list[str]:
    """Say with which values each of some experiments was asked for, and which of them count."""
    lines = [_line(schema, double) for double in doubles[:_MAX_NAMED]]
    rest = len(doubles) - _MAX_NAMED
    return [*lines, *([f"… and {rest} more that are asked for twice, with other values"] if rest > 0 else [])]


def _line(schema: Schema, double: Double) -> str:
    then, now = (flat_of(getattr(schema.parse_root(one), double.task)) for one in (double.config, double.other))
    keys = [key for key in {**then, **now} if then.get(key, ABSENT) != now.get(key, ABSENT)]
    both = [f"{key} {one_line(then.get(key, ABSENT))} / {one_line(now.get(key, ABSENT))}" for key in keys[:_MAX_KEYS]]
    first = [f"{key} {one_line(then.get(key, ABSENT))}" for key in keys[:_MAX_KEYS]]
    more = f" and {len(keys) - _MAX_KEYS} more" if len(keys) > _MAX_KEYS else ""
    return (
        f"{double.exp_id} is asked for twice, with {', '.join(both)}{more}, in no identity: it runs once, with"
        f" {', '.join(first)}"
    )
