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
    bare = table.copy(deep=False)
    bare.attrs = {}  # they would be copied with each column
    columns: dict[str, Any] = {}
    logged: dict[str, list[int]] = {}
    for place, name in enumerate(map(str, table.columns)):
        column = bare.iloc[:, place]
        if column.dtype.kind == "i":
            columns[name] = column.astype("Int64")
        elif column.dtype.kind == "f":
            columns[name] = column
            logged[name] = column.isna().to_numpy().nonzero()[0].tolist()
        else:
            values = column.tolist()
            kind = _kind(values, is_metric=name in metrics)
            columns[name] = pd.Series(_converted(values, kind), dtype=kind, index=table.index)
            if kind == "float64":
                logged[name] = [row for row, value in enumerate(values) if value is not None and value != value]
    found = pd.DataFrame(columns, index=table.index)
    found.attrs.update(table.attrs)
    found.attrs["logged_nan"] = {name: rows for name, rows in logged.items() if rows}
    return found


def _kind(values: Sequence[Any], *, is_metric: bool) -> str:
    types = set(map(type, values)) - {type(None)}
    if not types:
        return "float64" if is_metric else "object"
    if types == {bool}:
        return "boolean"
    if types == {int}:
        present = [value for value in values if value is not None]
        return "Int64" if min(present) >= -(2**_BITS) and max(present) < 2**_BITS else "object"
    if types <= {int, float} and all(type(v) is not int or _is_exact(v) for v in values):
        return "float64"
    return "object"


def _is_exact(value: int) -> bool:
    """Return whether a float can hold an integer as it is."""
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _converted(values: Sequence[Any], kind: str) -> list[Any]:
    if kind == "float64":
        return [float("nan") if value is None else float(value) for value in values]
    return list(values)
