"""The command `heyhi export`: metrics that there are, for TensorBoard, wandb or MLflow."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.errors import HeyhiError, ResultError, TrackerError, suggest
from heyhi.project import TRACKERS

if TYPE_CHECKING:
    from heyhi.control.survey import Part
    from heyhi.experiment.folder import ExperimentDir
    from heyhi.experiment.names import Status
    from heyhi.project import Project
    from heyhi.trackers.tracked_run import RunEnd

_ENDS = {"DONE": "DONE", "PRUNED": "PRUNED", "DEAD": "FAILED", "BLOCKED": "FAILED"}
_SILENT = "WANDB_SILENT"
_MAX_SAID = 20


def export(args: argparse.Namespace) -> int:
    """Give a tracker what experiments have logged.

    Returns:
        exit code: 1 where one of them can't be read.
    """
    from heyhi.cli.choosing import Choice
    from heyhi.cli.selection import project_for, select
    from heyhi.cli.whose import only_looks

    name = _take_name(args)
    here = project_for(args)
    only_looks(here)
    choice = Choice(select(here, args, default=True), args.where, own=True)
    parts = choice.parts()
    if not any(part.folders for part in parts):
        print(choice.none_text)
        return 0
    if name == "wandb":  # which would say some lines of each
        os.environ.setdefault(_SILENT, "true")
    exported, left = 0, list[str]()
    for part in parts:
        to = args.to.absolute() if args.to is not None else None
        for exp_id, problem in _export_part(name, part, to):
            exported += not problem
            left += [f"{exp_id}: {problem}"] if problem and problem != _NOTHING else []
    total = sum(len(part.folders) for part in parts)
    print(_said(name, parts[0].project, args.to, exported, total - exported - len(left)))
    for line in left[:_MAX_SAID]:
        print(f"left out: {line}", file=sys.stderr)
    return 1 if left else 0


_NOTHING = "has logged nothing"


def _take_name(args: argparse.Namespace) -> str:
    """Take the tracker's name from the words.

    Raises:
        HeyhiError: the first word is none.
    """
    kind, word = args.given[0] if args.given else ("", "")
    among = f"one of {', '.join(TRACKERS)}, then which experiments: heyhi export tensorboard SWEEP.py"
    if kind != "word":
        raise HeyhiError(f"export for what? Expected {among}")
    if word not in TRACKERS:
        raise HeyhiError(
            f"'{word}' is nothing that metrics are exported for{suggest(word, TRACKERS)}: expected {among}"
        )
    args.given = args.given[1:]
    return str(word)


def _said(name: str, project: Project, to: Path | None, exported: int, silent: int) -> str:
    from heyhi.text import shell_word
    from heyhi.trackers.exported import folder_of

    folder = folder_of(name, project.results_root, to)
    where = f" to {project.relative(folder)}" if folder is not None else ""
    more = f"; {silent} had logged nothing" if silent else ""
    look = f": tensorboard --logdir {shell_word(project.relative(folder))}" if name == "tensorboard" and folder else ""
    return f"{exported} experiment{'s' * (exported != 1)} exported{where}{more}{look}"


def _export_part(name: str, part: Part, to: Path | None) -> Iterator[tuple[str, str]]:
    """Export experiments of one project; yield the exp id of each, and why it is left out.

    Raises:
        TrackerError: the tracker takes none.
    """
    from heyhi.experiment.folder import ExperimentDir
    from heyhi.experiment.names import Status
    from heyhi.experiment.slots import shown_folder
    from heyhi.experiment.status import Statuses
    from heyhi.report.terminal import show_progress
    from heyhi.sweep.target import exp_ids_of

    project = part.project
    statuses = Statuses(part.folders, needs_of=part.waits_for, best_of=part.best_of, results_root=project.results_root)
    shown = {path: shown_folder(path) for path in part.folders}  # a trial is the experiment that it has become
    sweeps = _sweeps(project, shown)
    tick = show_progress(len(part.folders), "exported", every=1)
    for path, exp_id in zip(part.folders, exp_ids_of(shown.values(), project.results_root), strict=True):
        folder = ExperimentDir(Path(shown[path]), project.results_root)
        state = statuses.of(path)
        problem = ""
        if state.status is Status.UNKNOWN:
            problem = state.line
        elif not (state.status.is_started and (folder.metrics_path.exists() or state.status is Status.DONE)):
            problem = _NOTHING
        else:
            try:
                _export_one(name, project, folder, sweeps.get(path, ""), state.status, to)
            except ResultError as error:
                problem = str(error)
        tick()
        yield exp_id, problem


def _export_one(
    name: str, project: Project, folder: ExperimentDir, sweep: str, status: Status, to: Path | None
) -> None:
    from heyhi.experiment.metrics_file import Damage, counting_blocks
    from heyhi.experiment.names import Status
    from heyhi.experiment.records import History
    from heyhi.trackers.exported import export_run, folder_of
    from heyhi.trackers.opening import reason_of
    from heyhi.trackers.tracked_run import RunEnd, TrackedRun

    starts = History(folder.attempts()).starts
    its = folder.read_project_name() or project.name or project.root.name
    run = TrackedRun.of(folder, project.results_root, its, sweep, starts)
    result: Mapping[str, Any] = folder.read_result() if status is Status.DONE else {}
    end: RunEnd = RunEnd[_ENDS.get(status.value, "AGAIN")]
    damage = Damage()
    lines = (block.lines for block in counting_blocks(folder.metrics_path, starts, damaged=damage))
    try:
        export_run(name, run, lines, end, result, folder_of(name, project.results_root, to))
    except HeyhiError:
        raise
    except Exception as error:
        raise TrackerError(f"{run.exp_id}: {name}: {reason_of(error)}") from error
    damage.warn(folder.metrics_path)


def _sweeps(project: Project, shown: Mapping[str, str]) -> dict[str, str]:
    """Return the label of the sweep that each experiment was launched with last, as a run of it would know.

    Args:
        project: whose they are.
        shown: exp path of each, or the folder of a slot -> exp path of its experiment.
    """
    from heyhi.experiment.slots import slots_of
    from heyhi.job.metric_doors import swept_as
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest

    index = ManifestIndex.open(project)
    found = index.find_all(shown)
    # A trial that was named itself is in no manifest: its slot is.
    slots = {path: slots_of(one) for path, one in shown.items() if path not in found}
    by_slot = {path: f"{project.results_root}/{named[-1]}" for path, named in slots.items() if named}
    of_slots = index.find_all(by_slot.values()) if by_slot else {}
    found |= {path: of_slots[slot] for path, slot in by_slot.items() if slot in of_slots}
    labels: dict[Path, str] = {}
    for path in dict.fromkeys(found.values()):
        try:
            with Manifest.open(path) as manifest:
                labels[path] = swept_as(manifest)
        except HeyhiError:  # a damaged one, which `heyhi expand` writes anew
            labels[path] = ""
    return {str(folder): labels[path] for folder, path in found.items()}
