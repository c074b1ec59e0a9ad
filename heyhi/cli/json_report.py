"""What `heyhi report` answers in JSON: the rows that are shown, with overrides and metrics as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from heyhi.cli.json_answer import give
from heyhi.cli.json_forms import ColumnForm, Failure, ReportRow
from heyhi.report.cells import is_none, varying

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.report.shaped import Shaped

_OVERRIDE, _METRIC, _OTHER = "override", "metric", "other"
_OWN = ("status", "reason", "exp_id")  # columns that a row has by its own names
_CFG = "cfg"  # no override, but named among them


def give_report(
    shaped: Shaped,
    notes: Sequence[str],
    warnings: Sequence[str],
    written: Sequence[str],
    sheets: Sequence[str],
    error: Failure | None = None,
) -> None:
    """Answer what a table shows.

    Args:
        shaped: the table.
        notes: lines that are said of it.
        warnings: lines that were said before.
        written: files that it was written to.
        sheets: links to the spreadsheets that it was exported to.
        error: why it could not be written everywhere.
    """
    columns = _columns(shaped.table)
    fields: dict[str, object] = {
        "columns": columns,
        "spread": shaped.spread,
        "counts": dict(Counter(map(str, shaped.whole["status"]))) if "status" in shaped.whole else {},
        "notes": list(notes),
        "warnings": list(warnings),
        "written": list(written),
        "sheets": list(sheets),
    }
    if error is not None:
        fields["error"] = error
    give("report", fields, last="rows", rows=_rows(shaped, columns))


def _columns(table: pd.DataFrame) -> list[ColumnForm]:
    overrides, metrics = set(varying(table)), tuple(map(str, table.attrs.get("metrics", ())))
    # Beside a mean stand its spread, and of how many it is.
    beside = tuple(f"{name}." for name in metrics)

    def kind(name: str) -> str:
        if name in overrides:
            return _OVERRIDE
        return _METRIC if name in metrics or name.startswith(beside) else _OTHER

    return [{"name": name, "kind": kind(name)} for name in map(str, table.columns)]


def _rows(shaped: Shaped, columns: Sequence[ColumnForm]) -> Iterator[ReportRow]:
    table = shaped.table
    exp_ids = shaped.whole["exp_id"].tolist() if "exp_id" in shaped.whole else []
    statuses = list(map(str, shaped.whole["status"])) if "status" in shaped.whole else []
    reasons = shaped.whole["reason"].tolist() if "reason" in shaped.whole else [None] * len(statuses)
    is_of_experiments = shaped.spread is None and "pivot" not in table.attrs
    constant = {str(name): value for name, value in table.attrs.get("constant", {}).items()}
    values = [table.iloc[:, place].tolist() for place in range(len(columns))]
    cells_of = zip(*values, strict=True) if values else iter([() for _ in range(len(table))])
    for cells, members in zip(cells_of, shaped.members, strict=True):
        parts: dict[str, dict[str, Any]] = {_OVERRIDE: dict(constant), _METRIC: {}, _OTHER: {}}
        for column, cell in zip(columns, cells, strict=True):
            value = None if is_none(cell) else cell
            if column["kind"] != _OVERRIDE or value is not None:
                parts[column["kind"]][column["name"]] = value
        for name in _OWN:
            parts[_OTHER].pop(name, None)
        one = members[0] if is_of_experiments and len(members) == 1 else None
        yield {
            "exp_ids": [exp_ids[place] for place in members],
            "statuses": dict(Counter(statuses[place] for place in members)),
            "status": statuses[one] if one is not None else None,
            "reason": reasons[one] if one is not None else None,
            "cfg": parts[_OVERRIDE].pop(_CFG, None),
            "overrides": parts[_OVERRIDE],
            "metrics": parts[_METRIC],
            "other": parts[_OTHER],
        }
