"""The choice of a slot: which experiment it is, made when its job starts, one slot after the other, and for ever.

A point that another slot of the search has isn't chosen, nor one that somebody else runs just now, nor one of which
nobody can tell how it is. One that is DONE, or was ended early by another search, is taken as it is; one that has died
elsewhere is chosen and tried again.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from heyhi.config.compose import Composed
from heyhi.config.identity import ExpPattern
from heyhi.config.schema import Schema, message_type
from heyhi.experiment.claim import Claim
from heyhi.experiment.names import Status
from heyhi.experiment.slots import Choice, SearchDir, SlotDir
from heyhi.experiment.status import find_status
from heyhi.files import utc_now, writing
from heyhi.project import Project
from heyhi.search.aim import check_aim
from heyhi.search.others import Fitting, Others
from heyhi.search.study import Study, import_optuna
from heyhi.search.trial import Trial
from heyhi.search.trials import read_trials
from heyhi.search.whole_space import all_points, most_points
from heyhi.sweep.search_spec import SearchSpec

_ASKS = 50  # of the study: a space in which so many in a row are taken is gone through
_MOST_POINTS = 100_000  # that are gone through
_LONGEST_PAUSE = 1.0  # seconds between two looks whether another slot has chosen
_LONG = 30.0  # seconds after which a wait for that is told of
_log = logging.getLogger(__name__)


class Composing(Protocol):
    """What composes a point: `heyhi.config.base.Base`."""

    def compose(self, chosen: Mapping[str, object]) -> Composed:
        """Compose the base config with what is chosen."""


def choose(
    project: Project, schema: Schema, spec: SearchSpec, base: Composing, slot: SlotDir, others: Iterable[str] = ()
) -> Choice:
    """Return which experiment a slot is; it is chosen and written down where it wasn't.

    Who calls has the slot's claim. What is chosen follows from the search, its trials and the slot's number.

    Args:
        project: of the search.
        schema: of its configs.
        spec: what is searched.
        base: composes its points.
        slot: its folder.
        others: exp paths of further experiments to learn from.

    Returns:
        the choice; one with an empty exp id where there is nothing left to choose, with the reason.

    Raises:
        SweepError: no trial logs what the search is about.
        ExtraError: Optuna isn't installed.
        UnknownError: nobody can tell what is chosen already.
    """
    if (choice := slot.read_choice()) is not None:
        return choice
    import_optuna()  # before others wait for it
    with _turn(slot.search):
        if (choice := slot.read_choice()) is None:
            choice = _Choosing(project, schema, spec, base, slot).choice(others)
            slot.write_choice(choice)
    return choice


@contextlib.contextmanager
def _turn(search: SearchDir) -> Iterator[None]:
    """Wait until no other slot chooses; of one that was killed meanwhile, the turn is taken over."""
    with writing(search.choosing_path):
        search.choosing_path.mkdir(parents=True, exist_ok=True)
    pause, told_at = 0.01, time.monotonic() + _LONG
    while not isinstance(claim := Claim.acquire(search.choosing_path), Claim):
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE)
        if time.monotonic() > told_at:
            _log.info("waiting for %s, which chooses for another slot", claim.describe())
            told_at = math.inf
    with claim:
        yield


class _Found(NamedTuple):
    """A point, composed: its experiment, and how that is by now."""

    chosen: dict[str, Any]
    composed: Composed
    exp_id: str
    status: Status


class _Choosing:
    """One choice."""

    def __init__(self, project: Project, schema: Schema, spec: SearchSpec, base: Composing, slot: SlotDir) -> None:
        self._schema = schema
        self._spec = spec
        self._base = base
        self._slot = slot
        self._pattern = ExpPattern(project)
        self._trials = read_trials(slot.search, spec, keeps=True)
        self._taken = {trial.exp_id for trial in self._trials}
        self._elsewhere = 0

    def choice(self, others: Iterable[str]) -> Choice:
        check_aim(self._spec, self._trials, self._pattern.folder)
        found = self._asked(others) or self._left()
        if found is None:
            return Choice("", reason=self._why_none(), time=utc_now())
        identity = found.composed.identity
        return Choice(found.exp_id, identity.cfg, identity.overrides, found.chosen, time=utc_now())

    def _asked(self, others: Iterable[str]) -> _Found | None:
        """Ask the study, until it names a point that can be chosen."""
        study = Study(self._spec, self._slot.number, [*self._learned(others), *self._trials])
        for _ in range(_ASKS):
            found = self._look(study.ask())
            if self._is_free(found):
                return found
            if not found.status.is_alive:
                study.refuse()
        return None

    def _learned(self, others: Iterable[str]) -> Sequence[Trial]:
        folders = list(others)
        if not folders:
            return ()
        task = self._base.compose({}).task
        fitting = Fitting(self._spec.axes, task, message_type(self._schema.tasks[task]))
        known = frozenset(map(self._pattern.folder, self._taken))
        return Others(self._slot.search.path, self._spec, fitting).trials(folders, known)

    def _left(self) -> _Found | None:
        """Return a point of a small space that can be chosen, in an order of the slot's own."""
        if most_points(self._spec.axes) > _MOST_POINTS:
            return None
        points = list(all_points(self._spec.axes))
        random.Random(f"{self._spec.search_id}:{self._slot.number}").shuffle(points)
        tried = {tuple(sorted(trial.chosen.items())) for trial in self._trials}
        fresh = (point for point in points if tuple(sorted(point.items())) not in tried)
        return next((found for found in map(self._look, fresh) if self._is_free(found)), None)

    def _look(self, chosen: dict[str, Any]) -> _Found:
        composed = self._base.compose(chosen)
        exp_id = self._pattern.exp_id(composed.identity)
        is_own = exp_id in self._taken
        status = Status.NOT_STARTED if is_own else find_status(self._pattern.folder(exp_id))
        return _Found(chosen, composed, exp_id, status)

    def _is_free(self, found: _Found) -> bool:
        if found.exp_id in self._taken:
            return False
        if found.status.is_alive or found.status is Status.UNKNOWN:
            self._elsewhere += 1
            self._taken.add(found.exp_id)
            return False
        return True

    def _why_none(self) -> str:
        most = most_points(self._spec.axes)
        if most > _MOST_POINTS:
            return f"the search found no new point in {_ASKS} tries"
        also = f", {self._elsewhere} of them by others" if self._elsewhere else ""
        return f"all points of the space are taken{also}"
