"""The types of a table's columns as a notebook gets it: numbers as numbers, whatever is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_BITS = 63  # of an Int64, beside its sign


def with_types(table: pd.DataFrame) -> pd.DataFrame:
    """Give each column the type of what it holds.

    Numbers are float64, Int64 where all are whole; flags are boolean; text and what is mixed stay objects. Of NaN in a
    column of floats `attrs["logged_nan"]` names the rows in which it is a value; in the others it is missing.
    """
    import pandas as pd

    metrics = set(table.attrs.get("metrics", ()))
    columns: dict[str, Any] = {}
    logged: dict[str, list[int]] = {}
    for place, name in enumerate(map(str, table.columns)):
        values = table.iloc[:, place].tolist()
        kind = _kind(values, is_metric=name in metrics)
        columns[name] = pd.Series(_converted(values, kind), dtype=kind, index=table.index)
        if kind == "float64" and (rows := [row for row, value in enumerate(values) if value != value]):
            logged[name] = rows
    found = pd.DataFrame(columns, index=table.index)
    found.attrs.update(table.attrs)
    found.attrs["logged_nan"] = logged
    return found


def _kind(values: Sequence[Any], *, is_metric: bool) -> str:
    types = {type(value) for value in values if value is not None}
    if not types:
        return "float64" if is_metric else "object"
    if types == {bool}:
        return "boolean"
    if types == {int}:
        return "Int64" if all(value is None or -(2**_BITS) <= value < 2**_BITS for value in values) else "object"
    if types <= {int, float} and all(type(v) is not int or int(_float(v)) == v for v in values if v is not None):
        return "float64"
    return "object"


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return 0.0


def _converted(values: Sequence[Any], kind: str) -> list[Any]:
    if kind == "float64":
        return [float("nan") if value is None else float(value) for value in values]
    return list(values)
