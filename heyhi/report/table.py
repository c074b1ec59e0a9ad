"""A table of experiments: a row each, whatever its status, with what varies and what came out.

What its experiments are, and what came out of them, comes from `parts`; where the table goes is left to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from heyhi.config.best import Best
from heyhi.config.translation import Translation
from heyhi.experiment.status import no_best
from heyhi.project import Project
from heyhi.quick_dataclass import replace
from heyhi.report.code_names import named_alike
from heyhi.report.lazy_frame import LazyFrame
from heyhi.report.meanings import Known, outcome_names, override_name
from heyhi.report.outcomes import with_results
from heyhi.report.outline import Outline, filled, is_same_for_all, varying_columns
from heyhi.report.parts import Part, behind_columns, own_columns
from heyhi.report.plain_table import PlainTable
from heyhi.report.read import Reader
from heyhi.report.readings import IF_ANY, Entry
from heyhi.report.setting_values import values_of

if TYPE_CHECKING:
    import pandas as pd

# What is left out of a table where nobody has it.
_OPTIONAL = (*IF_ANY, "drifted")


def gathered_columns(
    project: Project,
    entries: Sequence[Entry],
    needs: Mapping[str, tuple[str, ...]],
    best_of: Callable[[str], Best | None] = no_best,
) -> Known:
    """Gather experiments as columns, named as in a table; those of the overrides also where all have the same.

    Args:
        project: whose experiments they are.
        entries: of them.
        needs: exp path -> exp paths of what it needs, also for those that are only needed.
        best_of: returns which best of a sweep a need stands for, by its exp path.
    """
    reader = Reader(project)
    outline = Outline(
        [e.exp_id for e in entries],
        [e.folder for e in entries],
        dict(needs),
        varying_columns(entries, values_of(project), Translation.of(project)),
    )
    found = reader.read(
        outline.folders, lambda places: [entries[place] for place in places], outline.needs, best_of=best_of
    )
    own, behind = own_columns(project, outline, found.fields, None, best_of), behind_columns(found.fields)
    part = _settled(Part(outline, found.fields["status"], found.outcome, own, behind))
    columns = _columns(part, part.outline.varying)
    outcome = set(outcome_names(part.outcome, ("status", *map(override_name, part.outline.varying))).values())
    return Known(
        {name: column for name, column in columns.items() if name not in outcome},
        outcome={name: column for name, column in columns.items() if name in outcome},
    )


def frame_of(parts: Sequence[Part], labels: Sequence[str] = (), *, lazily: bool = False) -> pd.DataFrame:
    """Put the experiments of some sources into one table, as `plain_table_of` does.

    Args:
        parts: of each source.
        labels: of each.
        lazily: whether pandas is imported only once something asks for what plain columns can't answer.
    """
    plain = plain_table_of(parts, labels)
    if not lazily:
        return _frame(plain)
    lazy: Any = LazyFrame(plain, _attrs(plain), lambda: _frame(plain))  # who reads it need not know
    frame: pd.DataFrame = lazy
    return frame


def plain_table_of(parts: Sequence[Part], labels: Sequence[str] = ()) -> PlainTable:
    """Put the experiments of some sources into one table, where what varies is what differs among all of them.

    `heyhi.table` says which columns it has. What is missing is None; NaN is what somebody wrote as a value.

    Args:
        parts: of each source.
        labels: of each; one that is none of several has no column `sweep`. An experiment of two has one row, in which
            what came out is what the first says, else the second.
    """
    joined = _settled(_joined(parts) if len(parts) > 1 else parts[0])
    if len(parts) == 1:
        return _plain(_columns(joined, joined.outline.varying), joined)
    sweeps: dict[str, list[str]] = {}
    for part, label in zip(parts, labels, strict=True):
        for folder in part.outline.folders:
            sweeps.setdefault(folder, []).append(label)
    columns = _columns(joined, joined.outline.varying)
    if len(set(labels)) < 2:
        return _plain(columns, joined)
    named = [", ".join(dict.fromkeys(sweeps[folder])) for folder in joined.outline.folders]
    return _plain({"status": columns["status"], "sweep": named} | columns, joined)


def _joined(parts: Sequence[Part]) -> Part:
    """Join the experiments of several sources."""
    folders = [folder for part in parts for folder in part.outline.folders]
    places: dict[str, list[int]] = {}
    for place, folder in enumerate(folders):
        places.setdefault(folder, []).append(place)

    def join(columns: Sequence[Mapping[str, Sequence[Any]]]) -> dict[str, list[Any]]:
        names = dict.fromkeys(name for one in columns for name in one)
        whole = {
            name: list(
                chain.from_iterable(
                    one.get(name) or [None] * len(part.status) for one, part in zip(columns, parts, strict=True)
                )
            )
            for name in names
        }
        if len(places) == len(folders):  # mostly, and then nothing has to be looked for
            return whole
        return {
            name: [next((v for p in at if (v := column[p]) is not None), None) for at in places.values()]
            for name, column in whole.items()
        }

    exp_ids = list(chain.from_iterable(part.outline.exp_ids for part in parts))
    varying = join([_overrides(part, _override_keys(parts)) for part in parts])
    outline = Outline(
        [exp_ids[at[0]] for at in places.values()],
        list(places),
        {folder: needs for part in parts for folder, needs in part.outline.needs.items()},
        {key: column for key, column in varying.items() if not is_same_for_all(column)},
        {key: column[0] for key, column in varying.items() if column and is_same_for_all(column)},
    )
    return Part(
        outline,
        join([{"status": part.status} for part in parts])["status"],
        join([part.outcome for part in parts]),
        join([part.own for part in parts]),
        join([part.behind for part in parts]),
        join([part.needed for part in parts]),
        frozenset(chain.from_iterable(part.settings for part in parts)),
    )


def _settled(part: Part) -> Part:
    """Have each column of one kind of things: values of metrics or of results; one name for equal code."""
    behind = part.behind
    return replace(
        part,
        outcome=with_results(part.outcome, behind["repeated"], behind["returned"]),
        own=part.own | {"code": named_alike(part.own["code"], behind["digest"])},
    )


def _override_keys(parts: Sequence[Part]) -> list[str]:
    return list(dict.fromkeys(key for part in parts for key in (*part.outline.varying, *part.outline.constant)))


def _overrides(part: Part, keys: Sequence[str]) -> dict[str, list[Any]]:
    """Return a column for each of some keys: what its experiments override, else what was composed."""
    count, own = len(part.status), part.outline
    columns = {key: own.varying.get(key) or [own.constant.get(key)] * count for key in keys}
    return filled(columns, part.composed)


def _columns(part: Part, varying: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Put the columns of a table together: status, what varies, what came out, and the rest about each experiment."""
    columns: dict[str, list[Any]] = {"status": part.status}
    if "trial" in part.own:  # of searches
        columns["trial"] = part.own["trial"]
    for key, column in varying.items():
        columns[override_name(key)] = column
    names = outcome_names(part.outcome, columns)
    columns |= {names[key]: column for key, column in part.outcome.items()}
    for key, column in part.needed.items():
        present = [value for value in column if value is not None]
        if key not in columns and not (key in part.settings and is_same_for_all(present)):
            columns[key] = column
    return columns | {k: v for k, v in part.own.items() if k not in _OPTIONAL or v.count(None) < len(v)}


def _plain(columns: dict[str, list[Any]], part: Part) -> PlainTable:
    varying = [override_name(key) for key in part.outline.varying]
    names = outcome_names(part.outcome, ("status", *varying))
    return PlainTable(
        columns,
        varying,
        {override_name(key): value for key, value in part.outline.constant.items()},
        [name for name in part.needed if name in part.settings and name in columns],
        [names[key] for key in part.outcome],
    )


def _frame(table: PlainTable) -> pd.DataFrame:
    """Make a DataFrame, in which a column of nothing but numbers has their type, and None stays None."""
    import numpy as np
    import pandas as pd

    data: dict[str, Any] = {}
    for name, values in table.columns.items():
        types = set(map(type, values))
        typed = np.array(values) if types in ({float}, {int}) else None
        if typed is not None and typed.dtype.kind == ("f" if float in types else "i"):  # else integers of 64 bits
            data[name] = typed
        else:
            # As objects, None stays None; a column of nothing but numbers gets their type.
            data[name] = pd.Series(values, dtype=object)
            if all(issubclass(t, (bool, int, float)) for t in types):
                data[name] = data[name].infer_objects()
    frame = pd.DataFrame(data)
    frame.attrs.update(_attrs(table))
    return frame


def _attrs(table: PlainTable) -> dict[str, Any]:
    """Return what is known of a table, as the attributes of a DataFrame."""
    return {
        "varying": table.varying,
        "constant": table.constant,
        "needed": table.needed,
        "metrics": table.metrics,
    }
