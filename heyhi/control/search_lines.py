"""What is said of searches: the best trial so far, how many have ended, and which trial an experiment is."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.control.survey import Row, Survey
from heyhi.errors import HeyhiError
from heyhi.experiment.names import SEARCHES_NAME, Status, has_ended, is_slot, trial_of
from heyhi.files import read_bounded

if TYPE_CHECKING:
    from heyhi.experiment.slots import SearchDir, SlotEnd
    from heyhi.project import Project
    from heyhi.sweep.manifest import Manifest
    from heyhi.sweep.search_spec import SearchSpec

_FEW = 3  # trials that are to be chosen yet and have lines of their own


def search_lines(survey: Survey) -> list[str]:
    """Say of each search whose trials were looked at how far it is, and which is the best so far.

    Of one of which only some were looked at, nothing is said: the best may be another one.
    """
    found: dict[str, list[str]] = {}
    for path in filter(is_slot, survey.folders):
        found.setdefault(path.rpartition("/slots/")[0], []).append(path)
    projects = {path: part.project for part in survey.parts for path in part.folders} if found else {}
    whole = (slots for slots in found.values() if len(slots) >= _size_of(projects[slots[0]], slots[0]))
    return [line for slots in whole for line in _lines_of(slots)]


def _size_of(project: Project, slot: str) -> int:
    """Return how many trials the search of a slot has by now, 0 where nobody can tell."""
    with contextlib.suppress(HeyhiError), _manifest_of(project, slot) as manifest:  # who looks at it is told
        return manifest.search.trials if manifest is not None and manifest.search is not None else 0
    return 0


@contextlib.contextmanager
def _manifest_of(project: Project, slot: str) -> Iterator[Manifest | None]:
    """Open the newest manifest of a slot, by its folder; None where there is none."""
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest

    path = ManifestIndex.open(project).find_to_look(slot)
    if path is None:
        yield None
        return
    with Manifest.open(path) as manifest:
        yield manifest


def _lines_of(slots: Sequence[str]) -> Iterator[str]:
    from heyhi.experiment.slots import read_end, slot_dir

    search = slot_dir(slots[0]).search
    ends: dict[str, SlotEnd] = {}
    for slot in filter(has_ended, slots):
        with contextlib.suppress(HeyhiError):  # its status says so
            end = read_end(slot)
            if end is not None:
                ends[slot] = end
    if not ends:
        return
    spec = _spec_of(search)
    if spec is not None:
        ends = {slot: _end_now(search, spec, end) for slot, end in ends.items()}
    counts = Counter(end.status for end in ends.values())
    counted = ", ".join(f"{count} {status}" for status, count in counts.items())
    best = (_best(spec, ends) or _missed(search)) if spec is not None else ""
    of = f"{len(ends)} of {len(slots)} trials have ended: {counted}"
    yield f"{SEARCHES_NAME}/{search.search_id}: {'; '.join(filter(None, (best, of)))}"


def _end_now(search: SearchDir, spec: SearchSpec, end: SlotEnd) -> SlotEnd:
    from heyhi.experiment.since import end_now  # only a search has need of it

    return end_now(search.results_root, end, spec.metric, spec.direction)


def stuck_slots(paths: Iterable[str]) -> dict[str, str]:
    """Return those of some slots that choose nothing any more, since no trial has what their search is about, with why.

    Args:
        paths: what is no slot among them is left out.
    """
    slots = list(filter(is_slot, paths))
    if not slots:
        return {}
    from heyhi.experiment.slots import searches_of, shown_folder

    whys = {search.slots_path: why for search in searches_of(slots) if (why := _missed(search))}
    found = ((slot, whys[Path(slot).parent]) for slot in slots if Path(slot).parent in whys) if whys else ()
    return {slot: why for slot, why in found if shown_folder(slot) == slot}


def missed_lines(paths: Iterable[str]) -> list[str]:
    """Say of which searches that some slots are of no trial has what they are about.

    Args:
        paths: what is no slot among them is left out.
    """
    slots = list(filter(is_slot, paths))
    if not slots:
        return []
    from heyhi.experiment.slots import searches_of

    return [f"{SEARCHES_NAME}/{one.search_id}: {why}" for one in searches_of(slots) if (why := _missed(one))]


def _missed(search: SearchDir) -> str:
    """Say that no trial of a search has what it is about; empty where one has, none is done, or nobody can tell."""
    from heyhi.experiment.slots import lacks_values

    spec = _spec_of(search) if lacks_values(search) else None
    if spec is None:
        return ""
    from heyhi.search.aim import missed  # only a search has need of it

    return missed(search, spec)


def _best(spec: SearchSpec, ends: dict[str, SlotEnd]) -> str:
    from heyhi.experiment.slots import read_choice
    from heyhi.search.best import best_among, best_line

    done = ((slot, end.value) for slot, end in ends.items() if end.status == Status.DONE.value)
    found = best_among(spec, done)
    if found is None:
        return ""
    slot, value = found
    choice = read_choice(slot)
    return best_line(spec, trial_of(slot), value, choice.chosen if choice is not None else {})


def _spec_of(search: SearchDir) -> SearchSpec | None:
    from heyhi.sweep.search_spec import SearchSpec

    with contextlib.suppress(OSError, HeyhiError):
        return SearchSpec.from_json(read_bounded(search.spec_path))
    return None


def trial_lines(project: Project, row: Row) -> list[str]:
    """Say which trial of which search an experiment is; nothing where it is none."""
    from heyhi.experiment.slots import slots_of

    exp_ids = slots_of(row.exp_path)
    if row.slot and not exp_ids:
        exp_ids = [row.slot.removeprefix(f"{project.results_root}/")]
    return [f"trial {trial_of(exp_id)} of {_named(project, exp_id)}" for exp_id in exp_ids]


def _named(project: Project, exp_id: str) -> str:
    search = exp_id.partition("/slots/")[0]
    slot = str(Path(project.results_root, exp_id))
    with contextlib.suppress(HeyhiError), _manifest_of(project, slot) as manifest:  # it is one all the same
        return f"{search} ({manifest.sweep})" if manifest is not None and manifest.sweep else search
    return search


def without_waiting(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Part rows from those of trials of which nobody knows yet what they will be, where these are many.

    Returns:
        the others; a line for those of each search.
    """
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        if row.slot == row.exp_path and row.status is Status.NOT_STARTED and not row.reason:
            waiting.setdefault(row.exp_id.partition("/slots/")[0], []).append(row)
    many = {search: its for search, its in waiting.items() if len(its) > _FEW}
    left = {row.exp_path for its in many.values() for row in its}
    lines = [f"{Status.NOT_STARTED.value:<11} {len(its)} trials of {search}" for search, its in many.items()]
    return [row for row in rows if row.exp_path not in left] if left else list(rows), lines
