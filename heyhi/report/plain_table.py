"""A table as plain columns, before anything makes a DataFrame of it: what `heyhi serve` shows needs none."""

from __future__ import annotations

from typing import Any

from heyhi.quick_dataclass import dataclass, field


@dataclass(frozen=True)
class PlainTable:
    """Columns of experiments, and what is known of them.

    Attributes:
        columns: a column for each name; None where a row has nothing.
        varying: names of those that vary in configs and overrides.
        constant: the value of what all have alike, by its name.
        needed: names of those of the configs of what is needed.
        metrics: names of what came out.
    """

    columns: dict[str, list[Any]]
    varying: list[str] = field(default_factory=list)
    constant: dict[str, Any] = field(default_factory=dict)
    needed: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def without(self, name: str) -> PlainTable:
        """Return it without one of its columns."""
        left = {key: column for key, column in self.columns.items() if key != name}
        return PlainTable(left, self.varying, self.constant, self.needed, self.metrics)

    def column(self, name: str) -> list[Any]:
        """Return a column; one that nobody has anything in where there is none."""
        return self.columns[name] if name in self.columns else [None] * len(self)
