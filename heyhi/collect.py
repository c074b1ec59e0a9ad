"""Owns gathering experiments into a table: a row each, whatever its status, with what varies and what came out.

How an experiment's files are read is `ExperimentDir`'s business, and how a table is written that of `table`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError, reporting_errors
from heyhi.experiment import Experiment, ExperimentDir, Status
from heyhi.handle import Handle
from heyhi.manifest import Manifest
from heyhi.project import Project, find_project
from heyhi.results import replace_file, writing
from heyhi.sweep import load_sweep_module
from heyhi.table import print_table, to_csv

if TYPE_CHECKING:
    import pandas as pd

    from heyhi.workflow import Flow

Collector = Callable[[Handle], Mapping[str, Any]]

_SMALL_IS_GOOD = re.compile(
    r"loss|error|perplexity|(^|[^a-z])(err|ppl|nll|mse|rmse|mae|wer|cer|fid|kl|cost|regret)([^a-z]|$)"
)
# What only counts or times has no best value.
_NO_BEST = re.compile(
    r"(^|[^a-z])(epochs?|steps?|iter(ation)?s?|batch(es)?|samples|seed|lr|learning_rate|time|seconds|timestamp)$"
)


# --- gathering ----------------------------------------------------------------------------------------------------


def collect(
    source: Manifest | Iterable[Experiment],
    get_logs_data: Collector | None = None,
    *,
    project: Project | None = None,
) -> pd.DataFrame:
    """Gather experiments into a table.

    Columns: `status`; `cfg` and overrides, where they differ; what came out; `reason` (why it is dead, by what it is
    blocked, who runs it); `problem` (what could not be read); `attempts`; `seconds` of all attempts; `exp_id`;
    `exp_path`. What is missing is None; NaN is what somebody wrote as a value.

    Args:
        source: a manifest, of which the sweep's own experiments are taken, or experiments.
        get_logs_data: returns what came out of an experiment that was started. Default: the last value of each
            metric, its best value as `<name>.best` (the smallest of losses and errors, else the largest), and the
            scalars of the result.
        project: where they belong; default: that of the manifest, or around the working directory.
    """
    if isinstance(source, Manifest):
        project = project or project_of(source)
        experiments = list(source.experiments(own=True))
        needs = {e.exp_path: e.needs for e in source.experiments() if e.needs}
    else:
        project = project or find_project()
        experiments = list(source)
        needs = {e.exp_path: e.needs for e in experiments if e.needs}
    reader = _Reader(project, needs, get_logs_data)
    return _frame(_varying(experiments), [reader.read(e) for e in experiments])


def project_of(manifest: Manifest) -> Project:
    """Return the project that a manifest was written in, with its results root."""
    return find_project(manifest.project_root)._replace(results_override=manifest.results_root)


def load_collector(project: Project, manifest: Manifest) -> Collector | None:
    """Return the sweep file's `get_logs_data`, or None where it has none.

    Raises:
        SweepError: the sweep file can't be read any more.
    """
    if manifest.sweep is None:
        return None
    collector: Collector | None = getattr(
        load_sweep_module(project, project.root / manifest.sweep), "get_logs_data", None
    )
    return collector


@dataclass(frozen=True)
class _Found:
    """Hold what was read of one experiment."""

    status: str
    outcome: dict[str, Any]
    reason: str
    problem: str
    attempts: int
    seconds: float | None
    exp_id: str
    exp_path: str


@dataclass(frozen=True)
class _Reader:
    """Read one experiment after the other; what is wrong with one stops none of the others."""

    project: Project
    needs: Mapping[Path, Sequence[Path]]
    get_logs_data: Collector | None

    def read(self, experiment: Experiment) -> _Found:
        folder = ExperimentDir(experiment.exp_path, self.project.results_root)
        problems: list[str] = []
        status, reason, records = Status.NOT_STARTED, "", []
        try:
            status, reason = folder.status_and_reason(experiment.needs, lambda path: self.needs.get(path, ()))
            records = folder.attempts() if status not in (Status.NOT_STARTED, Status.BLOCKED) else []
        except HeyhiError as error:
            problems.append(str(error))
        started = [r for r in records if r.get("event") == "start"]
        seconds = [r["seconds"] for r in records if r.get("event") == "end" and _is_number(r.get("seconds"))]
        outcome = self._outcome(experiment, folder, status, problems) if started or status is Status.DONE else {}
        return _Found(
            status=status.value,
            outcome=outcome,
            reason=reason,
            problem="; ".join(problems),
            attempts=len(started),
            seconds=math.fsum(seconds) if seconds else None,
            exp_id=experiment.exp_id,
            exp_path=str(experiment.exp_path),
        )

    def _outcome(
        self, experiment: Experiment, folder: ExperimentDir, status: Status, problems: list[str]
    ) -> dict[str, Any]:
        if self.get_logs_data is not None:
            return self._ask_collector(self.get_logs_data, experiment, problems)
        outcome: dict[str, Any] = {}
        try:
            outcome.update(_summed_up(folder.read_metrics()))
        except HeyhiError as error:
            problems.append(str(error))
        if status is Status.DONE:
            try:
                outcome.update({k: v for k, v in _flat(folder.read_result()) if not isinstance(v, list)})
            except HeyhiError as error:
                problems.append(str(error))
        return outcome

    def _ask_collector(self, collector: Collector, experiment: Experiment, problems: list[str]) -> dict[str, Any]:
        handle = Handle(experiment.exp_path, identity=experiment.identity, project=self.project)
        try:
            found = collector(handle)
            return {str(key): _cell(value) for key, value in found.items()}
        except HeyhiError as error:
            problems.append(str(error))
        except Exception as error:  # a user's code may raise anything; the other rows must come
            problems.append(f"get_logs_data: {type(error).__name__}: {error}")
        return {}


def _summed_up(metrics: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the last and the best value of each numeric metric."""
    last: dict[str, Any] = {}
    best: dict[str, Any] = {}
    for record in metrics:
        for key, value in _flat(record):
            if not _is_number(value):
                continue
            last[key] = value
            if _NO_BEST.search(key.lower()) is None:
                best[key] = _better(best.get(key), value, small=_SMALL_IS_GOOD.search(key.lower()) is not None)
    return {**last, **{f"{key}.best": value for key, value in best.items()}}


def _better(one: float | None, other: float, *, small: bool) -> float:
    if one is None or math.isnan(one):
        return other
    if math.isnan(other):
        return one
    return min(one, other) if small else max(one, other)


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> Any:
    """Turn what a collector returns into what a cell holds: scalars of number libraries into Python's."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _varying(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Return of each experiment the config and the overrides that are not the same for all."""
    points = [{"cfg": e.identity.cfg, **dict(_split(o) for o in e.identity.overrides)} for e in experiments]
    keys = dict.fromkeys(key for point in points for key in point)
    vary = [k for k in keys if any(k not in p or p[k] != points[0].get(k) for p in points)]
    return [{k: _scalar(p[k]) for k in vary if k in p} for p in points]


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.partition("=")
    return key, value


def _scalar(text: str) -> Any:
    """Read an override's value: numbers as such, so that a table can be sorted by them."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text


def _frame(points: list[dict[str, Any]], found: list[_Found]) -> pd.DataFrame:
    import pandas as pd

    keys = dict.fromkeys(key for point in points for key in point)
    names = {key: key if key not in _Found.__dataclass_fields__ else f"{key} (override)" for key in keys}
    columns: dict[str, list[Any]] = {"status": [f.status for f in found]}
    columns |= {name: [point.get(key) for point in points] for key, name in names.items()}
    for key in _shown(found):
        # A metric may be named as an override is: lr, of a schedule.
        name = key if key not in {*columns, *_Found.__dataclass_fields__} else f"{key} (result)"
        columns[name] = [f.outcome.get(key) for f in found]
    for name in ("reason", "problem"):
        texts = [getattr(f, name) or None for f in found]
        if any(texts) or name == "reason":
            columns[name] = texts
    for name in ("attempts", "seconds", "exp_id", "exp_path"):
        columns[name] = [getattr(f, name) for f in found]
    # As objects, None stays None; a column in which nothing is missing gets the type of its values.
    frame = pd.DataFrame(columns, dtype=object)
    for name, values in columns.items():
        if values and not any(v is None for v in values):
            frame[name] = frame[name].infer_objects()
    frame.attrs["varying"] = list(names.values())
    return frame


def _shown(found: list[_Found]) -> list[str]:
    """Name what came out, in the order in which it came; a best value that is the last one everywhere says nothing."""
    keys = dict.fromkeys(key for f in found for key in f.outcome)

    def is_needless(key: str) -> bool:
        plain = key.removesuffix(".best")
        return plain != key and plain in keys and all(_same(f.outcome.get(key), f.outcome.get(plain)) for f in found)

    return [key for key in keys if not is_needless(key)]


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))


# --- what the workflow calls ----------------------------------------------------------------------------------------


def collect_sweep(manifest: Manifest, experiments: Iterable[Experiment] | None = None) -> pd.DataFrame:
    """Gather a sweep as its sweep file says, or in the default way where that can't be read any more.

    Args:
        manifest: of the sweep.
        experiments: of the manifest; default: the sweep's own.
    """
    project = project_of(manifest)
    try:
        collector = load_collector(project, manifest)
    except HeyhiError as error:
        print(f"warning: {error}; the table has the default columns", file=sys.stderr)
        collector = None
    return collect(manifest if experiments is None else experiments, collector, project=project)


def write_report(table: pd.DataFrame, path: Path) -> None:
    """Put a table in place as a whole.

    Raises:
        ResultError: it can't be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, to_csv(table))


def show(flow: Flow) -> None:
    """Print the table at the end of a run of Snakemake, whether all went well or not.

    Where a sweep was asked for, it is that sweep's, and the copy of its report below the fixed name is refreshed;
    else it is that of the experiments that were asked for.
    """
    try:
        if flow.reported is not None:
            table = collect_sweep(flow.reported)
            print_table(table)  # first: the disk may be full, which may be why something has failed
            path = flow.report_copy(flow.reported)
            write_report(table, path)
            complete = flow.project.root / flow.report_path(flow.reported)
            files = [path, complete] if complete.is_file() else [path]
            print(f"table: {', '.join(flow.project.relative(f) for f in files)}", flush=True)
        elif flow.asked:
            manifests = {manifest.path: manifest for _, manifest in flow.asked}
            experiments = [manifest.experiment(target) for target, manifest in flow.asked]
            if len(manifests) == 1:
                print_table(collect_sweep(next(iter(manifests.values())), experiments))
            else:
                print_table(collect(experiments, project=flow.project))
    except HeyhiError as error:  # the run itself is over, and its exit code is its own
        print(f"error: {error}", file=sys.stderr)


def main(args: Sequence[str] | None = None) -> int:
    """Write the table of a manifest's sweep, as the aggregate rule does."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.collect", description="Write the table of a sweep.", allow_abbrev=False
    )
    parser.add_argument("manifest", type=Path, help="what `heyhi expand` wrote")
    parser.add_argument("--csv", type=Path, action="append", required=True, metavar="FILE", help="may be repeated")
    options = parser.parse_args(args)
    with reporting_errors(), Manifest.open(options.manifest) as manifest:
        table = collect_sweep(manifest)
        for path in options.csv:
            write_report(table, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
