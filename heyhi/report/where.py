"""Experiments chosen by what is in a table's columns: `--where lr=0.1 --where status!=DONE`.

A condition is a column, an operator and a value. Cells that are numbers are compared with a number, text with text;
`~` looks for a part of the text, whatever its case. `KEY=` holds where a cell is empty, `KEY!=` where it isn't; `!=`
holds wherever `=` doesn't. The order of a missing value is none, so `<`, `<=`, `>`, `>=` and `~` don't hold there. A
column that is left out where nobody has it is empty for all. `updated` is compared with a date or a time, too, and
`reason` with what `heyhi status` shows of many: `CANCELLED`, without each one's job.

Of a key that holds a list, a map or a message, the value is read as an override's (`composite_where`): a text that is
none is an error. What a key means is said by `meanings`, of which experiments by `chosen`, or whoever shapes a table.
"""

from __future__ import annotations

import contextlib
import datetime
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from heyhi.config.renames import renamed_text
from heyhi.errors import HeyhiError, suggest
from heyhi.experiment.names import Status
from heyhi.report.cell_text import UPDATED, listed
from heyhi.report.meanings import Known, tell_renamed
from heyhi.report.readings import FLAGS
from heyhi.text import shell_word

_OPERATORS = ("!=", ">=", "<=", "==", "=", ">", "<", "~")  # of two that begin alike, the longer first
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_REASON, _STATUS = "reason", "status"
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_DATE_DIGITS = (4, 8)  # of a year and a day, which are no seconds since 1970


class WhereError(HeyhiError):
    """A condition of `--where` can't be read, or names no column."""


class Condition(NamedTuple):
    """A column, an operator and what its cells are compared with."""

    key: str
    sign: str
    value: str

    def holds(self, cell: Any) -> bool:
        """Return whether it holds for a cell."""
        cell = _plain(cell)
        match self.sign:
            case "=":
                return _is_equal(cell, self.value)
            case "!=":
                return not _is_equal(cell, self.value)
            case "~":
                return cell is not None and self.value.lower() in str(cell).lower()
        other: Any = _number(self.value) if _is_number(cell) else self.value
        if cell is None or other is None:
            return False
        return _ORDERS[self.sign](cell if _is_number(cell) else _text(cell), other)


def readings(text: str) -> Iterator[Condition]:
    """Yield what a condition may mean, most likely first: a column may have an operator in its name.

    Raises:
        WhereError: it has no operator, or no column before it.
    """
    found = False
    place = 1
    while place < len(text):
        sign = next((one for one in _OPERATORS if text.startswith(one, place)), "")
        if sign:
            key, value = text[:place].strip(), text[place + len(sign) :].strip()
            if key:
                found = True
                yield Condition(key, "=" if sign == "==" else sign, value)
        place += max(1, len(sign))
    if not found:
        raise WhereError(
            f"--where {text}: expected KEY=VALUE, with one of = != > < >= <= ~ (such as status=DEAD, lr>0.1)"
        )


def check(conditions: Sequence[str]) -> None:
    """Make sure that conditions can be read, before there is a table.

    Raises:
        WhereError: one can't be, or asks for a status that there isn't.
    """
    for text in conditions:
        _check_status(text, next(readings(text)))


def _check_status(text: str, condition: Condition) -> None:
    """Refuse a status that there isn't: nothing would ever have it, and everything hasn't."""
    if condition.key != _STATUS or condition.sign not in ("=", "!=") or not condition.value:
        return
    if condition.value not in (known := [one.value for one in Status]):
        hint = suggest(condition.value, known)
        raise WhereError(
            f"--where {text}: there is no status '{condition.value}'{hint}; there are: {', '.join(known)}",
            key=condition.value,
        )


def chosen_rows(conditions: Sequence[str], known: Known) -> list[int]:
    """Return the places of the rows for which all conditions hold.

    Args:
        conditions: as they were given.
        known: what their keys may mean.

    Raises:
        WhereError: a condition can't be read or names no column, or a column of numbers is compared with none.
    """
    rows = list(range(known.count))
    for text in conditions:
        if (holds := _of_composite(text, known)) is not None:
            rows = list(filter(holds, rows))
            continue
        condition, column = _resolved(text, known)
        if condition.key in FLAGS and condition.value.lower() in _FALSE:
            column = [cell is True for cell in map(_plain, column)]
        if condition.key == _REASON and condition.sign in ("=", "!="):
            column = [condition.value if _is_of_kind(cell, condition.value) else cell for cell in column]
        if condition.key == UPDATED:
            condition = _at_time(text, condition)
        _check_kind(text, condition, column)
        rows = [row for row in rows if condition.holds(column[row])]
    return rows


def _of_composite(text: str, known: Known) -> Callable[[int], bool] | None:
    """Return what says of a row whether a condition on a list, a map or a message holds; None for all others.

    Raises:
        WhereError: its value is none of that key.
    """
    if not known.settings:
        return None
    from heyhi.report.composite_where import chooser

    for one in readings(text):
        try:
            holds = chooser(one.key, one.sign, one.value, known)
        except HeyhiError as error:
            raise WhereError(f"--where {text}: {error}") from None
        if holds is not None or known.find(one.key) is not None:
            return holds
    return None


def _resolved(text: str, known: Known) -> tuple[Condition, Sequence[Any]]:
    """Return what a condition means in a table."""
    meanings = list(readings(text))
    for condition in meanings:
        if (found := known.find(condition.key)) is not None:
            return _with_value_of_today(condition, known) if found.kind != "outcome" else condition, found.column
    for condition in meanings:
        key = known.called_today(condition.key)
        if (found := known.find(key)) is not None:
            return _with_value_of_today(condition._replace(key=key), known), found.column
    names = known.names()
    old = meanings[0].key if meanings else text
    key = known.called_today(old)
    hints = (suggest(one, names) for one in (key, *known.leaves_today(old)))
    what = f"'{key}'" if key == old else f"'{key}' ({renamed_text(old, key)})"
    raise WhereError(
        f"--where {text}: there is no column {what}{next(filter(None, hints), '')}; there are: {listed(names)}"
    )


def _with_value_of_today(condition: Condition, known: Known) -> Condition:
    """Return a condition in which values of enums have the names of today."""
    for one in known.translations:
        value = one.cell(condition.key, condition.value)
        if value != condition.value:
            tell_renamed(condition.value, value)
            return condition._replace(value=value)
    return condition


def none_text(conditions: Sequence[str], total: int) -> str:
    """Say that conditions chose none of some experiments."""
    what = " ".join(f"--where {shell_word(condition)}" for condition in conditions)
    return f"none of {total} experiment{'s' * (total != 1)} meets {what}"


def _at_time(text: str, condition: Condition) -> Condition:
    """Turn a date, or a time of a day, into seconds since 1970; one without a zone is in UTC."""
    is_date = condition.value.isdecimal() and len(condition.value) in _DATE_DIGITS
    if condition.sign == "~" or not condition.value or (not is_date and _number(condition.value) is not None):
        return condition
    try:
        text_of = f"{condition.value}-01-01" if is_date and len(condition.value) == _DATE_DIGITS[0] else condition.value
        found = datetime.datetime.fromisoformat(text_of)
    except ValueError:
        raise WhereError(
            f"--where {text}: '{UPDATED}' has times, and '{condition.value}' is none: expected such as 2026-11-28 or"
            " 2026-11-28T12:30 (UTC)"
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return condition._replace(value=repr(found.timestamp()))


def _check_kind(text: str, condition: Condition, column: Sequence[Any]) -> None:
    """Refuse to compare a column of nothing but numbers with something else: it would be none of them, or all."""
    if condition.sign == "~" or not condition.value or _number(condition.value) is not None:
        return
    cells = [cell for cell in map(_plain, column) if cell is not None]
    if cells and all(map(_is_number, cells)):
        raise WhereError(f"--where {text}: '{condition.key}' has numbers, and '{condition.value}' is none")


def _is_equal(cell: Any, value: str) -> bool:
    if cell is None or not value:
        return cell in (None, "") and value in ("", "[]")
    if isinstance(cell, bool):
        return value.lower() in (_TRUE if cell else _FALSE)
    if _is_number(cell):
        number = _number(value)
        return number is not None and bool(number == cell or (number != number and cell != cell))
    return _text(cell) == value or _is_same_list(_text(cell), value)


def _is_same_list(cell: str, value: str) -> bool:
    """Return whether two texts are one list, however it is written: `[64,64]` and `[64, 64.0]`."""
    if not (cell.startswith("[") and value.startswith("[")):
        return False
    from heyhi.config.shown_list import elements_of

    mine, theirs = elements_of(cell), elements_of(value)
    if mine is None or theirs is None or len(mine) != len(theirs):
        return False
    return all(
        a == b or (_number(a) is not None and _number(a) == _number(b)) for a, b in zip(mine, theirs, strict=True)
    )


def _is_of_kind(reason: Any, value: str) -> bool:
    from heyhi.experiment.alike import kind_of

    return isinstance(reason, str) and bool(value) and kind_of(reason) == value


def _plain(cell: Any) -> Any:
    """Return a cell as Python's own kinds; what an override wrote as `true` is true."""
    if getattr(cell, "shape", None) == () and hasattr(cell, "item"):
        cell = cell.item()
    return {"true": True, "false": False}.get(cell, cell) if isinstance(cell, str) else cell


def _text(cell: Any) -> str:
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, (int, float)) and not isinstance(cell, bool)


def _number(text: str) -> int | float | None:
    """Read a number; None where a text is none."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return None
