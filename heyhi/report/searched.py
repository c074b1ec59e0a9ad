"""What a report says of a search beside its table: the best trial, where others were ended, which keys matter."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import ExtraError, UnknownError
from heyhi.experiment.slots import SearchDir
from heyhi.extras import install_line
from heyhi.quick_dataclass import dataclass, field, replace
from heyhi.report.cell_text import value_text
from heyhi.report.columns import ColumnCache
from heyhi.search.aim import why_missed
from heyhi.search.best import best_among, best_line
from heyhi.search.importance import FEWEST, importances
from heyhi.search.rung_files import RungFiles
from heyhi.search.trial import State, Trial
from heyhi.search.trials import read_trials, trials_now

if TYPE_CHECKING:
    from heyhi.sweep.search_spec import SearchSpec

_MOST_KEYS = 5  # that are named as the most important ones


@dataclass(frozen=True)
class Searched:
    """A search, as its trials have it by now.

    Attributes:
        spec: what is searched.
        trials: those that were chosen, in the order of their slots, as they are by now.
        skipped: how many slots had nothing left to choose.
        rungs: step -> slot -> the value that its trial had there.
        cache: keeps how important keys are, which takes longer to compute than the rest; None: nothing does.
        problem: why its trials, or their rungs, can't be read; empty where they can.
        missed: that none of its trials has what it is about; empty where one has, or none is done.
        is_part: whether only some of its trials are meant.
    """

    spec: SearchSpec
    trials: Sequence[Trial] = ()
    skipped: int = 0
    rungs: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    cache: ColumnCache | None = None
    problem: str = ""
    missed: str = ""
    is_part: bool = False

    @classmethod
    def read(cls, results_root: Path, spec: SearchSpec, cache: ColumnCache | None = None) -> Searched:
        """Read a search; of one that can't be read, nothing is there but why."""
        search = SearchDir(results_root, spec.search_id)
        try:
            every = trials_now(results_root, spec, read_trials(search, spec))
            missed = why_missed(spec, every, lambda exp_id: str(results_root / exp_id))
            trials = [trial for trial in every if trial.slot < spec.trials]
            skipped = _ended(search, spec) - {trial.slot for trial in trials}
        except UnknownError as error:
            return cls(spec, problem=str(error))
        try:
            rungs = RungFiles(search).read() if spec.stop is not None else {}
        except OSError as error:
            problem = f"{search.rungs_path}: {error.strerror or error}"
            return cls(spec, trials, len(skipped), {}, cache, problem, missed)
        own = {step: {slot: one for slot, one in there.items() if slot < spec.trials} for step, there in rungs.items()}
        return cls(spec, trials, len(skipped), own, cache, missed=missed)

    def only(self, slots: Collection[int]) -> Searched:
        """Return it with some of its trials: the others aren't spoken of."""
        trials = [trial for trial in self.trials if trial.slot in slots]
        return replace(self, trials=trials, is_part=True)

    @property
    def waiting(self) -> int:
        """How many trials are to be chosen yet."""
        return self.spec.trials - len(self.trials) - self.skipped

    @property
    def best(self) -> Trial | None:
        """The best trial that is done, the first one of several; None where none has a value."""
        found = best_among(self.spec, ((trial, trial.value) for trial in self.trials if trial.state == "done"))
        return found[0] if found is not None else None

    @property
    def best_line(self) -> str:
        """The best trial in a line; empty where there is none."""
        best = self.best
        if best is None or best.value is None:
            return ""
        return best_line(self.spec, best.slot, best.value, best.chosen)

    @property
    def pruned_at(self) -> dict[int, int]:
        """Slot -> the rung at which its trial was ended, of those that were."""
        return self.last_rungs("pruned")

    def last_rungs(self, state: State) -> dict[int, int]:
        """Return the last rung that each trial has come to which has ended so: slot -> step."""
        return {t.slot: self._last_rung[t.slot] for t in self.trials if t.state == state and t.slot in self._last_rung}

    @cached_property
    def _last_rung(self) -> dict[int, int]:
        return {slot: step for step in sorted(self.rungs) for slot in self.rungs[step]}

    @cached_property
    def importance(self) -> Mapping[str, float]:
        """Key -> how important it is, as a share of 1, the most important one first; nothing where nobody can tell."""
        return self._importance[0]

    @property
    def why_unknown(self) -> str:
        """Why nobody can tell how important keys are; empty where one can."""
        return self._importance[1]

    def take_importance(self, before: Searched) -> bool:
        """Take over how important keys were before: to compute that takes long, and a trial more changes little.

        Returns:
            whether that was known.
        """
        known = vars(before).get("_importance")  # where a cached property keeps what it has computed
        if known is None or not known[0]:
            return False
        vars(self)["_importance"] = known
        return True

    @cached_property
    def _importance(self) -> tuple[Mapping[str, float], str]:
        if len(self.spec.axes) < 2:
            return {}, "importance of keys: the space has one key only"
        done = [trial for trial in self.trials if trial.state == "done" and trial.value is not None]
        if len(done) < FEWEST:
            return {}, f"importance of keys: too few trials are done ({len(done)}, of which {FEWEST} are needed)"
        name = f"importance-{self.spec.search_id}-{_digest(done)}"
        kept = self.cache.load(name) if self.cache is not None else {}
        if {"keys", "shares"} <= kept.keys():
            found = dict(zip(kept["keys"], kept["shares"], strict=False))
        else:
            try:
                found = importances(self.spec, done)
            except ExtraError:
                return {}, self._no_optuna
            if self.cache is not None:
                self.cache.store(name, {"keys": list(found), "shares": list(found.values())})
        return found, "" if found else "importance of keys: no key tells good trials from others"

    @cached_property
    def _no_optuna(self) -> str:
        return f"importance of keys needs optuna, which isn't installed here: {install_line('search')}"

    def lines(self) -> Iterator[str]:
        """Say in lines how far it is."""
        if self.is_part:
            return
        if line := self.best_line or self.missed:
            yield line
        if self.waiting and not self.problem:
            yield f"{self.waiting} of {self.spec.trials} trials not started"
        if self.skipped:
            yield f"{self.skipped} of {self.spec.trials} trials found no point left"
        if self.pruned_at:
            counts = Counter(self.pruned_at.values())
            listed = ", ".join(f"{count} at rung {step}" for step, count in sorted(counts.items()))
            yield f"ended early: {listed}"
        if self.importance:
            most = list(self.importance.items())[:_MOST_KEYS]
            yield f"most important: {', '.join(f'{value_text(key)} {100 * share:.0f} %' for key, share in most)}"
        elif self.why_unknown == self._no_optuna:
            yield self._no_optuna
        if self.problem:
            yield f"problem {self.problem}"


def search_lines(searches: Sequence[Searched]) -> list[str]:
    """Say of each search how far it is, by its id where there are several."""
    several = len(searches) > 1
    return [
        f"{f'searches/{one.spec.search_id}: ' if several else ''}{value_text(line)}"
        for one in searches
        for line in one.lines()
    ]


def _ended(search: SearchDir, spec: SearchSpec) -> set[int]:
    """Return the slots that have ended, whatever became of them."""
    names: list[str] = []
    with contextlib.suppress(OSError):  # told already, where there are any
        names = os.listdir(search.slots_path)  # noqa: PTH208 (thousands of names)
    stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return {int(stem) for stem in stems if stem.isdecimal() and int(stem) < spec.trials}


def _digest(trials: Sequence[Trial]) -> str:
    content = json.dumps([[trial.slot, trial.value, sorted(trial.chosen.items())] for trial in trials])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
