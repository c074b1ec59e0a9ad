"""The trials of a search in the lines of a run: which experiment each has become, what came of it, which is best.

A trial is a slot: what it is called, and how it ended, stands in its own files, or in those of its experiment where
that has come to its end since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from heyhi.console.names import Named
from heyhi.errors import UnknownError
from heyhi.experiment.directions import is_better
from heyhi.experiment.names import Status, is_slot, trial_of
from heyhi.experiment.since import end_now
from heyhi.experiment.slots import SlotEnd, ended_slots, searches_of, slot_dir
from heyhi.text import shorten

_LONGEST = 60  # characters of what was chosen


class TrialEnd(NamedTuple):
    """How a trial has ended.

    Attributes:
        status: of its experiment.
        said: its value, or why it has none.
    """

    status: Status
    said: str


class Trials:
    """The trials of a run, and the others of their searches.

    Args:
        named: what a run was asked for, by its exp paths; what is no slot among it is left out.

    Attributes:
        before: how many of them had ended before, by how.
        others: how many of these the run was not asked for.
    """

    def __init__(self, named: Mapping[str, Named] | None = None) -> None:
        slots = {path: one.search for path, one in (named or {}).items() if one.search is not None}
        self._searches = {_folder(path): search for path, search in slots.items()}  # by the folder of their slots
        self._dirs = {str(one.slots_path): one for one in searches_of(slots)}
        self._best: dict[str, tuple[str, float]] = {}  # slot and value, by that folder
        self._seen: set[str] = set()  # slots that had ended
        self.before: Counter[Status] = Counter()
        self.others = 0
        for folder in self._searches:
            for path, end in self._look(folder):
                self.before[end.shown_status] += 1
                self.others += path not in slots

    @property
    def at_once(self) -> int:
        """How many of them run at once, by what their searches say; 0 where one leaves it open."""
        each = [search.parallel for search in self._searches.values()]
        return sum(each) if all(each) else 0

    def name(self, path: str) -> str:
        """Return what a trial is called: `trial 7 lr=0.01 optimizer=adam`; empty where it is none."""
        if not is_slot(path):
            return ""
        return " ".join(filter(None, (f"trial {trial_of(path)}", chosen_text(path))))

    def end(self, path: str) -> TrialEnd | None:
        """Return how a trial has ended; None where it is none, or nobody can tell."""
        end = self._end_of(path) if is_slot(path) else None
        if end is None:
            return None
        if not end.exp_id:
            return TrialEnd(Status.DONE, end.reason or "nothing was left to choose")
        search = self._searches.get(_folder(path))
        value = ""
        if search is not None and end.value is not None:
            value = search.valued(end.value)
        elif search is not None and end.shown_status is Status.DONE:
            value = f"has no {search.metric}"
        best = "(best so far)" if end.shown_status is Status.DONE and self._is_best(path, end) else ""
        why = end.reason if end.shown_status is not Status.DONE else ""
        return TrialEnd(end.shown_status, " ".join(filter(None, (value, best, why))))

    def _is_best(self, path: str, end: SlotEnd) -> bool:
        """Return whether a trial is the best of its search so far, by those that somebody else runs, too."""
        self._seen.add(path)
        folder = _folder(path)
        if self._is_better(folder, end):
            self._note(path, end)
            list(self._look(folder))
        return self._best.get(folder) == (path, end.value)

    def _is_better(self, folder: str, end: SlotEnd) -> bool:
        search = self._searches.get(folder)
        if search is None or end.value is None or end.value != end.value or end.shown_status is not Status.DONE:
            return False
        known = self._best.get(folder)
        return known is None or is_better(end.value, known[1], search.direction)

    def _note(self, path: str, end: SlotEnd) -> None:
        if end.value is not None and self._is_better(_folder(path), end):
            self._best[_folder(path)] = (path, end.value)

    def _look(self, folder: str) -> Iterator[tuple[str, SlotEnd]]:
        """Look at the trials of a search that have ended since the last time, and yield how each has."""
        most = self._searches[folder].trials  # there may be more of before, when it had more
        for path in ended_slots(self._dirs[folder]):
            if path in self._seen or trial_of(path) >= most:
                continue
            self._seen.add(path)
            if (end := self._end_of(path)) is not None:
                self._note(path, end)
                yield path, end

    def _end_of(self, path: str) -> SlotEnd | None:
        slot, search = slot_dir(path), self._searches.get(_folder(path))
        try:
            end = slot.read_end()
        except UnknownError:
            return None
        if end is None or search is None:
            return end
        return end_now(slot.search.results_root, end, search.metric, search.direction)


def _folder(slot: str) -> str:
    return slot.rpartition("/")[0]


def chosen_text(path: str) -> str:
    """Write what a slot has chosen: `lr=0.01 optimizer=adam`; empty where it hasn't, or nobody can tell."""
    try:
        choice = slot_dir(path).read_choice()
    except UnknownError:  # its status says so
        return ""
    chosen = choice.chosen if choice is not None else {}
    return shorten(" ".join(f"{key}={value}" for key, value in chosen.items()), _LONGEST)
