"""Choosing the best configuration of a sweep, once, for the experiments that are made of it.

It is the one with the best mean over its replicates, all of which are DONE: by the rules of tables. What others make of
it, `heyhi.config.best` says; where it is written down, `heyhi.experiment.winners`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.config.best import Best, taken_over
from heyhi.config.identity import Identity
from heyhi.errors import HeyhiError, ManifestError, NeedsError, suggest
from heyhi.experiment.directions import loss_of
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status, is_slot, result_of
from heyhi.experiment.since import end_now
from heyhi.experiment.slots import slot_dir
from heyhi.experiment.status import Statuses
from heyhi.experiment.winners import (
    Winner,
    failure_path,
    read_failure,
    read_winner,
    winner_path,
    write_failure,
    write_log,
    write_winner,
)
from heyhi.files import is_there, read_bounded, utc_now
from heyhi.project import Project
from heyhi.quick_dataclass import replace
from heyhi.report.counted import counting
from heyhi.report.gather import gather
from heyhi.report.source import Source
from heyhi.report.spread import DEFAULT_SPREAD, is_finite, mean_and_spread
from heyhi.sweep.manifest import ContestRow, Manifest
from heyhi.sweep.search_spec import SearchSpec
from heyhi.sweep.target import exp_id_of, folders_at, target_of
from heyhi.text import shell_line


class Candidate(NamedTuple):
    """An experiment that may be the best.

    Attributes:
        exp_id: of it.
        status: how it is.
        value: of the metric; None where it has none.
        counts: whether its results count in means.
        group: what it has in common with its replicates.
        identity: what makes it this experiment.
    """

    exp_id: str
    status: Status
    value: float | None
    counts: bool
    group: str
    identity: Identity


def settle(project: Project, manifest: Manifest, target: str) -> Winner:
    """Choose the best of a sweep, unless it is chosen, and write it down; why that can't be is written down, too.

    Args:
        project: whose experiments they are.
        manifest: has what it is chosen from.
        target: that stands for it.

    Raises:
        HeyhiError: there is none, or not yet.
    """
    row = manifest.contest(target)
    if row is None:
        raise NeedsError(f"{manifest.path}: {target} stands for the best of no sweep")
    path = winner_path(manifest.results_root, row.words)
    known = read_winner(path)
    if known is not None:
        return known
    folder = manifest.results_root / row.exp_id
    failure_path(folder).unlink(missing_ok=True)
    try:
        found = choose(project, manifest, row)
    except HeyhiError as error:
        write_failure(folder, str(error))
        raise
    return write_winner(path, found)


def settle_what_is_there(project: Project, manifest: Manifest, less: Container[str] = ()) -> list[Winner]:
    """Choose the best ones of sweeps all of whose results are there, before anything is compared with what they give.

    Who only waits for experiments that are DONE is never started, so that nothing else would choose them. One that is
    chosen from what is made of another one of them is left for the next call: that may have changed by then, and go.

    Args:
        project: whose experiments they are.
        manifest: has what they are chosen from.
        less: exp paths of those whose results go; what is chosen from them is left to its rule.

    Returns:
        those that were chosen.
    """
    found = []
    rows = {
        f"{manifest.results_root}/{row.exp_id}": row
        for row in manifest.choosable
        if not any(one in less for one in folders_at(row.candidates, manifest.results_root))
    }
    for folder, row in rows.items():
        if rows.keys().isdisjoint(_needed_by(manifest, folder)):
            with contextlib.suppress(HeyhiError):  # its rule says why
                path = winner_path(manifest.results_root, row.words)
                found.append(write_winner(path, choose(project, manifest, row)))
                write_log(path, found[-1])
    return found


def _needed_by(manifest: Manifest, folder: str) -> set[str]:
    """Return what something needs, directly or by others between."""
    found: set[str] = set()
    left = [folder]
    while left:
        new = set(manifest.needed_folders.get(left.pop(), ())) - found
        found |= new
        left += new
    return found


def choose(project: Project, manifest: Manifest, row: ContestRow) -> Winner:
    """Choose the best of a sweep, of the results that there are now.

    Raises:
        HeyhiError: there is none, or not yet.
    """
    named = Best.parse(row.words, manifest.written_for.project_root)
    best = _aimed(named, manifest, row)
    candidates = _candidates(project, manifest, row, best)
    open_ones = [one for one in candidates if one.status.is_alive or one.status is Status.NOT_STARTED]
    stuck = [one for one in candidates if one.status.blocks]
    if open_ones or (stuck and best.of == "all"):
        first = (open_ones or stuck)[0]
        is_pruned = not open_ones and any(one.status is Status.PRUNED for one in stuck)
        done = f": {named.of_done} is the best of those that are" if is_pruned else ""
        raise NeedsError(
            f"{best.text}: {len(open_ones or stuck)} of {len(candidates)} {_is(len(open_ones or stuck))} not DONE, such"
            f" as {first.exp_id}, which is {first.status}{done}"
        )
    group, value = best_group(best, [one for one in candidates if one.status is Status.DONE])
    chosen = first_of(best, group)
    taken, left_out = taken_over(chosen.identity.overrides, project.settings.replicate)
    results = [(one.exp_id, ExperimentDir(manifest.results_root / one.exp_id).result_digest()) for one in candidates]
    return Winner(
        words=row.words,
        exp_id=chosen.exp_id,
        value=value,
        replicates=tuple(one.exp_id for one in group),
        cfg=chosen.identity.cfg,
        overrides=tuple(taken),
        left_out=tuple(left_out),
        chosen_from=tuple((one.exp_id, one.value) for one in candidates),
        digest=hashlib.sha256(repr(results).encode()).hexdigest()[:16],
        manifest=manifest.path.name,
        time=utc_now(),
    )


def _aimed(best: Best, manifest: Manifest, row: ContestRow) -> Best:
    """Return the best of a search with the search's own aim, where none is named."""
    if best.metric:
        return best
    path = slot_dir(folders_at(row.candidates[:1], manifest.results_root)[0], manifest.results_root).search.spec_path
    try:
        spec = SearchSpec.from_json(read_bounded(path))
    except (OSError, ManifestError):  # its trials have written it, so that somebody has removed it
        raise NeedsError(f"{best.text}: by what its search goes isn't on record, or damaged: {path}") from None
    return replace(best, metric=spec.metric, direction=spec.direction)


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def best_group(best: Best, done: Sequence[Candidate]) -> tuple[list[Candidate], float]:
    """Return the experiments of the best configuration, and their mean."""
    groups: dict[str, list[Candidate]] = {}
    for one in done:
        if one.counts:
            groups.setdefault(one.group, []).append(one)
    ranked = []
    for group in groups.values():
        values = [one.value for one in group if one.value is not None and is_finite(one.value)]
        if len(values) == len(group):  # one that came to nothing can't be the best
            mean = mean_and_spread(values, DEFAULT_SPREAD)[0]
            assert mean is not None  # there are values
            ranked.append((loss_of(mean, best.direction), min(one.exp_id for one in group), mean, group))
    if not ranked:
        what = f"no experiment that is DONE has a number as '{best.metric}'" if done else "no experiment is DONE"
        raise NeedsError(f"{best.text}: {what}")
    _, _, mean, group = min(ranked, key=lambda one: one[:2])
    return sorted(group, key=lambda one: one.exp_id), mean


def first_of(best: Best, group: Sequence[Candidate]) -> Candidate:
    """Return the experiment of a configuration that is best itself; of equal ones the smaller exp id."""
    return min(group, key=lambda one: (loss_of(one.value or 0.0, best.direction), one.exp_id))


# --- what it is chosen from


def _candidates(project: Project, manifest: Manifest, row: ContestRow, best: Best) -> list[Candidate]:
    if any(map(is_slot, row.candidates)):
        return _trials(project, manifest, row, best)
    folders = folders_at(row.candidates, manifest.results_root)
    targets = tuple(target_of(folder, manifest.project_root) for folder in folders)
    source = replace(Source.of(manifest, project), only=targets, runs_of=best.sweep)
    gathered = gather([source])
    table = gathered.table
    statuses = [Status(text) for text in table["status"].tolist()]
    if best.metric not in table.columns and Status.DONE in statuses:
        raise NeedsError(
            f"{best.text}: no experiment has '{best.metric}'{suggest(best.metric, table.attrs.get('metrics', ()))}"
        )
    values = table[best.metric].tolist() if best.metric in table.columns else [None] * len(table)
    identities = {one: manifest.experiment(target).identity for one, target in zip(folders, targets, strict=True)}
    columns = (table["exp_path"], statuses, values, counting(table), gathered.replicate_keys(gathered.replicate))
    return [
        Candidate(
            exp_id_of(path, manifest.results_root), status, _number(value), counts, str(group), identities[str(path)]
        )
        for path, status, value, counts, group in zip(*columns, strict=True)
    ]


def _number(value: Any) -> float | None:
    return float(value) if is_finite(value) else None


def _trials(project: Project, manifest: Manifest, row: ContestRow, best: Best) -> list[Candidate]:
    """Return the trials of a search, each by its slot's file."""
    found = []
    folders = folders_at(row.candidates, manifest.results_root)
    statuses = Statuses(folders, results_root=manifest.results_root)
    for folder in folders:
        slot = slot_dir(folder, manifest.results_root)
        choice, end = slot.read_choice(), slot.read_end()
        if end is not None and end.status == "SKIPPED":
            continue
        if end is not None:
            end = end_now(manifest.results_root, end, best.metric, best.direction)
        overrides = choice.overrides if choice is not None else ()
        exp_id = choice.exp_id if choice is not None and choice.exp_id else exp_id_of(folder, manifest.results_root)
        status = statuses.of(folder).status if end is None else Status(end.status)
        group = "\0".join(taken_over(overrides, project.settings.replicate)[0])
        identity = Identity(choice.cfg if choice is not None else "", overrides)
        found.append(Candidate(exp_id, status, end.value if end is not None else None, True, group, identity))
    return found


def changed_winners(project: Project, manifest: Manifest) -> list[str]:
    """Say what the best ones of sweeps would be by now, where these are others than were chosen, or can't be chosen.

    Below what is said of one may stand a command, on a line of its own.

    Args:
        project: whose experiments they are.
        manifest: has what they are chosen from, and what is made of them.
    """
    found = [_changed_winner(project, manifest, row) for row in manifest.contests.values()]
    return [line for line in found if line]


def _changed_winner(project: Project, manifest: Manifest, row: ContestRow) -> str:
    path = winner_path(manifest.results_root, row.words)
    try:
        known = read_winner(path)
        if known is None:
            return _why_not(project, manifest, row)
        if not _may_have_changed(manifest, row, known, path):
            return ""
        today = choose(project, manifest, row)
    except (HeyhiError, OSError):  # not all of it is there, or counts, by now: what was chosen stays
        return ""
    if known.given == today.given:
        return ""
    name = Best.parse(row.words, manifest.written_for.project_root).text
    return (
        f"{name}: experiments are made of {known.exp_id}, and by now it is {today.exp_id}: it stays until its file is"
        f" removed, after which the next launch chooses anew:\n  {shell_line(['rm', project.relative(path)])}"
    )


def _why_not(project: Project, manifest: Manifest, row: ContestRow) -> str:
    """Say why the best of a sweep can't be chosen though all results are there; empty where it can, or they aren't."""
    if not all(map(is_there, map(result_of, folders_at(row.candidates, manifest.results_root)))):
        return ""
    try:
        choose(project, manifest, row)
    except HeyhiError as error:
        name, _, why = str(error).partition(": ")
        is_told = str(error) == read_failure(manifest.results_root / row.exp_id)  # who needs it is blocked by that
        return "" if is_told else f"{name} can't be chosen: {why}"
    return ""


def _may_have_changed(manifest: Manifest, row: ContestRow, known: Winner, path: Path) -> bool:
    """Return whether there is a result, or an experiment, that wasn't there when the best of a sweep was chosen."""
    folders = folders_at(row.candidates, manifest.results_root)
    if any(map(is_slot, row.candidates)) or {*row.candidates} != {one for one, _ in known.chosen_from}:
        return True
    chosen = path.stat().st_mtime_ns
    results = (os.stat(result_of(folder)).st_mtime_ns for folder in folders if os.access(result_of(folder), os.F_OK))  # noqa: PTH116
    return any(changed > chosen for changed in results)
