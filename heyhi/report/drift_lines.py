"""How many experiments of a table were made with another config than their sweep has today, or by other code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heyhi.experiment.names import Status
from heyhi.report.source import Source
from heyhi.sweep.target import folders_of

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.code.changes import CodeChange

NO_CODE_LOOKED = "not compared with the code of today, nor each config: --drift does that"
_SLACK_SECONDS = 2.0  # between the clocks of a file system and of who measured an attempt


def drift_line(table: pd.DataFrame, sources: Sequence[Source]) -> str:
    """Say how many rows have drifted, as far as that is known cheaply, and how many can't be compared; else empty."""
    unknown = 0
    if "drifted" in table:
        from heyhi.sweep.drift import NOT_COMPARED

        cells = table["drifted"].dropna().astype(str)
        unknown = int(cells.str.startswith(f"{NOT_COMPARED}: ").sum())
        count, more = len(cells) - unknown, False
        than = "would be composed today (column drifted)"
    else:
        seen: set[str] = set()  # an experiment that several sweeps have counts once
        counts = [_drifted(table, source, seen) for source in sources]
        count, more = sum(n for n, _ in counts), any(more for _, more in counts)
        than = "the sweep has now (--drift names the keys, and other code)"
    lines = [f"{'at least ' if more else ''}{count} drifted: launched with another config than {than}"] if count else []
    lines += [f"{unknown} not compared with the config of today: column drifted says why"] if unknown else []
    return "\n".join(lines)


def find_recoded_rows(table: pd.DataFrame, sources: Sequence[Source]) -> list[CodeChange]:
    """Return what of the code is otherwise today for each row that is DONE and was made by other code."""
    from heyhi.sweep.provenance import find_recoded

    left = dict.fromkeys(table["exp_path"][table["status"] == Status.DONE.value])
    found: dict[str, CodeChange] = {}
    for source in sources:  # an experiment that several sweeps have counts once
        its = folders_of(source.only or source.manifest.all_targets, source.manifest.project_root)
        if source.manifest.search is not None:  # whose trials no manifest has
            its += [path for path in left if path.startswith(f"{source.manifest.results_root}/")]
        found |= find_recoded(source.project, [path for path in its if path in left and path not in found])
    return list(found.values())


def _drifted(table: pd.DataFrame, source: Source, seen: set[str]) -> tuple[int, bool]:
    """Count the rows that have drifted from a sweep's manifest.

    Only experiments that may have started before the manifest was written are compared: most started after that.

    Returns:
        how many have; whether there may be more, because not all were compared.
    """
    moment = source.manifest.path.stat().st_mtime + _SLACK_SECONDS
    columns = (table[name].tolist() for name in ("exp_path", "attempts", "seconds", "updated"))
    folders = [
        folder
        for folder, attempts, seconds, updated in zip(*columns, strict=True)
        # A config is that of the last attempt; how long ago that was is known where there was no other one.
        if updated is not None and (attempts > 1 or seconds is None or updated - seconds < moment)
    ]
    only = folders_of(source.only, source.manifest.project_root)
    its = set(only or source.manifest.folders) - seen
    folders = [folder for folder in folders if folder in its]
    seen |= its
    if not folders:
        return 0, False
    from heyhi.sweep.drift import count_drifted

    return count_drifted(source.project, source.manifest, folders)
