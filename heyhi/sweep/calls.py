"""Calls in a text of values: `range(3)`, `uniform(0,1)`, `loguniform(1e-4,1)`, `choice(a,b)`; how one is read.

What is made of it is left to who asks: points of a sweep, or an axis of a search.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from heyhi.config.values import shorten, whole_number
from heyhi.errors import OverrideError, SweepError, suggest
from heyhi.sweep.elements import Element, split_elements

DRAWS = ("uniform", "loguniform")
FUNCTIONS = (*DRAWS, "range", "choice")
_CALL = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


class Call(NamedTuple):
    """A call.

    Attributes:
        where: it stands, for errors: `'key=text'`.
        name: of the function.
        args: texts of the values in it.
        options: texts of `n=` and `seed=`.
    """

    where: str
    name: str
    args: tuple[str, ...]
    options: dict[str, str]

    def number(self, text: str) -> float:
        """Read a number in it.

        Raises:
            SweepError: it is none, or not finite.
        """
        try:
            whole = whole_number(text)
            number = float(text) if whole is None else whole
        except OverrideError as error:
            raise SweepError(f"{self.where}: {error}") from None
        except ValueError:
            raise SweepError(f"{self.where}: '{text}' is no number") from None
        if not math.isfinite(number):
            raise SweepError(f"{self.where}: '{text}' is not finite")
        return number

    def bounds(self) -> tuple[float, float]:
        """Return the two bounds that it draws between.

        Raises:
            SweepError: they are none.
        """
        bounds = [self.number(a) for a in self.args]
        if len(bounds) != 2 or not bounds[0] <= bounds[1]:
            raise SweepError(f"{self.where}: expected {self.name}(low,high) with low <= high")
        if self.name == "loguniform" and bounds[0] <= 0:
            raise SweepError(f"{self.where}: loguniform takes bounds above 0")
        return bounds[0], bounds[1]

    def range(self) -> range:
        """Return the whole numbers that it lists.

        Raises:
            SweepError: its arguments are no such ones.
        """
        numbers = [self.number(a) for a in self.args]
        if self.options or not 1 <= len(numbers) <= 3 or any(n != int(n) for n in numbers) or numbers[2:] == [0]:
            raise SweepError(f"{self.where}: expected range([start,]stop[,step]) with integers, step not 0")
        return range(*map(int, numbers))


def call_of(key: str, element: Element) -> Call | None:
    """Return the call that an element of a list is, None where it is a value.

    Args:
        key: that the values are for.
        element: of their list.

    Raises:
        SweepError: it can't be read.
    """
    item = element.text
    where = f"'{key}={item}'"
    call = None if element.is_quoted else _CALL.fullmatch(item)
    if call is not None and call[1] in FUNCTIONS:
        return Call(where, call[1], *_arguments(call[2], f"'{shorten(f'{key}={item}')}'"))
    if call is not None and (hint := suggest(call[1], FUNCTIONS)):
        raise SweepError(f"{where}: unknown function{hint}")
    name, opened, _ = item.partition("(")
    if call is None and opened and name in FUNCTIONS and not element.is_quoted and ")" not in item:
        raise SweepError(f"{where}: the bracket of {name}( isn't closed (as a text: in quotes)")
    return None


def _arguments(text: str, where: str) -> tuple[tuple[str, ...], dict[str, str]]:
    args: list[str] = []
    options: dict[str, str] = {}
    for part in split_elements(text, where) if text.strip() else []:
        name, equals, value = part.text.partition("=")
        if equals and name.strip() in ("n", "seed") and not part.is_quoted:
            options[name.strip()] = value.strip()
        else:
            args.append(part.text)
    return tuple(args), options
