"""The line below a table that says what its experiments have used, and how much of that in vain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from heyhi.report.spread import is_finite

if TYPE_CHECKING:
    import pandas as pd

_LEAST_CPU_HOURS = 0.1  # that are worth a line where there are no GPUs


def used_line(table: pd.DataFrame) -> str:
    """Sum up what experiments have used: `used 12.3 GPU-hours, 1.2 of them by attempts that failed`.

    Args:
        table: a row an experiment.

    Returns:
        the line; empty where that is hardly anything.
    """
    gpu, gpu_lost = _sum(table, "gpu_hours"), _sum(table, "gpu_hours_lost")
    cpu, cpu_lost = _sum(table, "cpu_hours"), _sum(table, "cpu_hours_lost")
    if not gpu + gpu_lost and cpu + cpu_lost < _LEAST_CPU_HOURS:
        return ""
    found = [
        (f"{hours_text(made + lost)} {what}-hours", lost)
        for what, made, lost in (("GPU", gpu, gpu_lost), ("CPU", cpu, cpu_lost))
        if made + lost
    ]
    used = " and ".join(text for text, _ in found)
    vain = " and ".join(hours_text(lost) for _, lost in found)
    more = f", {vain} of them by attempts that failed" if any(lost for _, lost in found) else ""
    return f"used {used}{more}"


def hours_text(hours: float) -> str:
    """Write a number of hours with three digits that count: `0.052`, `12.3`, `1,234`."""
    return f"{hours:,.0f}" if hours >= 100 else f"{float(f'{hours:.3g}'):g}"


def _sum(table: pd.DataFrame, name: str) -> float:
    column: Sequence[Any] = table[name].tolist() if name in table else ()
    return float(sum(value for value in column if is_finite(value)))
