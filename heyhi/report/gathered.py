"""A table of experiments with what stands behind its rows: composed configs, and who is a replicate of whom."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Gathered:
    """The experiments of one or several sweeps.

    Attributes:
        table: a row an experiment, as `heyhi.report.table.collect` says.
        configs: returns the composed config of each row as dotted keys below its task, an empty one where none is
            known; read when it is first asked for.
        replicate_keys: given the fields that are averaged over, returns for each row what it has in common with its
            replicates, and with nobody else.
        replicate: the fields of `[tool.heyhi] replicate`.
    """

    table: pd.DataFrame
    configs: Callable[[], Sequence[Mapping[str, Any]]]
    replicate_keys: Callable[[Sequence[str]], Sequence[Hashable]]
    replicate: tuple[str, ...] = ("seed",)
