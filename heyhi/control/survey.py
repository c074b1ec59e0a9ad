"""`heyhi status`: how many experiments are, why some are dead or blocked, and which have drifted.

How a single one is, `heyhi.experiment.status` says; how they are listed, `listing`.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.control.plans import PlanOf, no_plan, plans_of_expansion, plans_of_index, plans_of_manifest
from heyhi.experiment.given_files import given_files
from heyhi.experiment.names import (
    CLAIM_NAME,
    HELD_NAME,
    JOB_NAME,
    MIXED_NAME,
    NOTES_NAME,
    STATE_NAME,
    Status,
    has_ended,
    is_slot,
    is_winner,
    result_of,
    trial_of,
)
from heyhi.experiment.status import State, Statuses, no_best
from heyhi.project import Project
from heyhi.sweep.target import target_of

if TYPE_CHECKING:
    from heyhi.code.changes import CodeChange
    from heyhi.config.best import Best
    from heyhi.config.schema import Schema
    from heyhi.experiment.notes import Shown
    from heyhi.experiment.winners import GivenBests
    from heyhi.slurm.commands import View
    from heyhi.sweep.drift import DriftCheck
    from heyhi.sweep.expand import Expansion
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest


class Row(NamedTuple):
    """How one experiment is, and where.

    Attributes:
        exp_id: its exp id.
        exp_path: its folder.
        status: in a word.
        reason: why.
        slot: folder of the search's slot that it was asked for by; empty where it was asked for itself.
    """

    exp_id: str
    exp_path: str
    status: Status
    reason: str = ""
    slot: str = ""

    @property
    def asked(self) -> str:
        """The folder that it was asked for by: a slot's, or its own; what a launch names, and what `others` has."""
        return self.slot or self.exp_path

    @property
    def state(self) -> State:
        """How it is."""
        return State(self.status, self.reason)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "exp_id": self.exp_id,
            "exp_path": self.exp_path,
            "status": self.status.value,
            "reason": self.reason,
            "job_id": self.job_id,
            "trial": trial_of(self.slot) if self.slot else None,
        }

    @property
    def text(self) -> str:
        """The row as a line: status, exp id, reason, and the job where there was one."""
        return f"{self.status.value:<11} {self.exp_id}{f'  {self.rest}' if self.rest else ''}"

    @property
    def rest(self) -> str:
        """What a line says behind the exp id: the reason, and the job where the reason doesn't name it."""
        job = self.job_id
        told = f"(job {job})" if job and f"job {job}" not in self.reason else ""
        return "  ".join(text for text in (self.reason, told) if text)

    @property
    def job_id(self) -> str:
        """Id of the last job that had it; empty where there was none, or it was run without one since."""
        return _job_of(self.exp_path) or (_job_of(self.slot) if self.slot else "")


def _shown_folder(slot: str) -> str:
    from heyhi.experiment.slots import shown_folder  # takes longer to load than most looks

    return shown_folder(slot)


def _job_of(exp_path: str) -> str:
    if not any(os.access(f"{exp_path}/{name}", os.F_OK) for name in (JOB_NAME, CLAIM_NAME)):
        return ""
    from heyhi.errors import UnknownError
    from heyhi.experiment.status import find_job_id

    with contextlib.suppress(UnknownError):  # which its status says
        return find_job_id(exp_path)
    return ""


def _given_bests(project: Project) -> Callable[[], GivenBests]:
    """Return what makes, once, what tells which best ones of sweeps experiments are given: most are given none."""

    def make() -> GivenBests:
        from heyhi.experiment.winners import GivenBests

        return GivenBests(project.results_root)

    return cache(make)


def _held_back(project: Project) -> Mapping[str, str]:
    if not os.access(project.state_root / HELD_NAME, os.F_OK):  # mostly
        return {}
    from heyhi.control.held_back import why_held

    return why_held(project)


def _not_planned(path: str) -> bytes | None:
    return None


class Part(NamedTuple):
    """Experiments of one project that a survey looks at.

    Attributes:
        project: by whose settings they are read.
        folders: exp path of each.
        needs_of: returns the exp paths that an experiment needs itself, by its own; for the best of a sweep, those of
            what it is chosen from.
        configs: exp path -> serialised root message as it is composed today, where the caller has it.
        planned: returns the serialised root message that a launch starts an experiment with, by its exp path; None
            where nobody knows.
        needing: returns the exp paths that each experiment needs itself, of those that need any.
        plan_of: returns what an experiment was expanded to, by its exp path; None where nobody knows.
        schema: returns the schema of what `planned` returns, where that isn't today's.
        best_of: returns which best of a sweep a need stands for, by its exp path.
        lacks: whether experiments may be missing, since a record of what was launched can't be read or is gone.
        own: returns the exp paths of those that were asked for, less what is only needed; None: all were.
        given: returns what tells which best ones of sweeps experiments are given; the same at each call.
    """

    project: Project
    folders: list[str]
    needs_of: Callable[[str], Sequence[str]]
    configs: Mapping[str, bytes] = {}
    planned: Callable[[str], bytes | None] = _not_planned
    needing: Callable[[], Mapping[str, Sequence[str]]] = dict
    plan_of: PlanOf = no_plan
    schema: Callable[[], Schema] | None = None
    best_of: Callable[[str], Best | None] = no_best
    lacks: bool = False
    own: Callable[[], Sequence[str]] | None = None
    given: Callable[[], GivenBests] | None = None

    def waits_for(self, path: str) -> list[str]:
        """Return what an experiment needs itself, with the best experiment whose folder it is given and isn't DONE."""
        needs = self.needs_of(path)
        return [*needs, *self.bests_of(path, needs, is_missing=True)]

    def bests_of(self, path: str, needs: Iterable[str], *, is_missing: bool = False) -> list[str]:
        """Return the exp paths of the best ones of sweeps whose folders an experiment is given.

        Args:
            path: of the experiment.
            needs: exp paths of what it needs itself.
            is_missing: only of those that aren't DONE.
        """
        if not any(map(is_winner, needs)):
            return []
        given = (self.given or _given_bests(self.project))()
        return given.of(needs, lambda: self._config_of(path), is_missing=is_missing)

    def _config_of(self, path: str) -> bytes | None:
        config = self.planned(path)
        if config is None and (plan := self.plan_of(path)) is not None:  # it never was started
            config = plan.config
        return config

    @classmethod
    def of_expansion(cls, project: Project, expansion: Expansion) -> Part:
        """Take a sweep's experiments, each after what it needs."""
        # A search whose best is needed has a manifest of its own, and is run together with what needs it.
        every = [*(p for search in expansion.searches for p in search.planned), *expansion.planned]
        planned = {p.folder: p for p in every}
        contests = {f"{project.results_root}/{one.exp_id}": one for one in expansion.contests}

        def needs(path: str) -> Sequence[str]:
            if path in contests:
                return contests[path].candidates
            return planned[path].needs if path in planned else ()

        def best_of(path: str) -> Best | None:
            return contests[path].best if path in contests else None

        configs = {folder: p.config for folder, p in planned.items()}

        def needing() -> dict[str, tuple[str, ...]]:
            return {folder: p.needs for folder, p in planned.items() if p.needs}

        return cls(
            project,
            list(planned),
            needs,
            configs,
            configs.get,
            needing,
            plans_of_expansion(project, planned),
            best_of=best_of,
            own=lambda: expansion.folders,
            given=_given_bests(project),
        )

    @classmethod
    def of_manifest(cls, project: Project, manifest: Manifest) -> Part:
        """Take the experiments of a manifest of that project, each after what it needs."""

        def planned(path: str) -> bytes:
            return manifest.experiment(target_of(path, manifest.project_root)).config

        def needing() -> Mapping[str, Sequence[str]]:
            return manifest.needed_folders

        return cls(
            project,
            manifest.folders,
            _looked_up(needing),
            planned=planned,
            needing=needing,
            plan_of=plans_of_manifest(manifest),
            schema=manifest.schema,
            best_of=manifest.best_of,
            own=lambda: manifest.own_folders,
            given=_given_bests(project),
        )

    @classmethod
    def of_folders(cls, project: Project, folders: Sequence[str]) -> Part:
        """Take some experiments; what they need is looked up in the index."""
        from heyhi.sweep.index import ManifestIndex

        return cls._of_known(project, ManifestIndex.open(project), list(folders))

    @classmethod
    def of_index(cls, project: Project) -> Part:
        """Take every experiment that was run or handed over in a project's results root; say which may be missing."""
        from heyhi.sweep.index import ManifestIndex

        index = ManifestIndex.open(project)
        index.warn_of_gone()
        known = index.known()
        if any(map(is_slot, known)):  # what is an experiment's slot, and the experiment, count once
            slots = dict.fromkeys(filter(is_slot, known))
            shown = {_shown_folder(slot): slot for slot in reversed(slots)}
            kept = set(shown.values())
            known = [path for path in known if path in kept or not (path in shown or is_slot(path))]
        return cls._of_known(project, index, known)._replace(lacks=index.lacks())

    @classmethod
    def _of_known(cls, project: Project, index: ManifestIndex, folders: list[str]) -> Part:
        checks: list[DriftCheck] = []

        def planned(path: str) -> bytes | None:
            # Who starts one that was named itself composes it anew.
            if not checks:
                from heyhi.config.schema import load_schema
                from heyhi.sweep.drift import DriftCheck

                checks.append(DriftCheck(project, load_schema(project)))
            return checks[0].composed_today(Path(path))

        return cls(
            project,
            folders,
            _looked_up(index.needs),
            planned=planned,
            needing=index.needs,
            plan_of=plans_of_index(index, folders),
            best_of=partial(_best_in_index, index),
            given=_given_bests(project),
        )


def _best_in_index(index: ManifestIndex, path: str) -> Best | None:
    from heyhi.errors import HeyhiError
    from heyhi.sweep.manifest import Manifest

    place = index.find_all([path]).get(path)
    with contextlib.suppress(HeyhiError):  # damaged, which whoever runs it is told
        return Manifest.open(place).best_of(path) if place is not None else None
    return None


def _looked_up(load: Callable[[], Mapping[str, Sequence[str]]]) -> Callable[[str], Sequence[str]]:
    """Return what looks up needs in a table that is loaded when the first is asked for: what is done asks for none."""
    loaded = cache(load)
    return lambda path: loaded().get(path, ())


class Survey:
    """How many experiments are; an experiment that several parts have counts once.

    Args:
        parts: the experiments.
        others: exp path -> status and reason, of those that are not DONE. Most are, and cost nothing more than a look.

    Attributes:
        folders: exp path of each.
        silence: why Slurm doesn't answer; empty where it does, or needn't be asked.
    """

    def __init__(self, parts: Sequence[Part], others: Mapping[str, State], silence: str = "") -> None:
        self.parts = parts
        self.silence = silence
        self.others = others
        # Mostly there is one part, and it may have 10,000.
        every = (path for part in parts for path in part.folders)
        self.folders: list[str] = parts[0].folders if len(parts) == 1 else list(dict.fromkeys(every))
        self._shown: dict[str, str] = {}  # by the folder of a slot

    @classmethod
    def of_parts(cls, parts: Iterable[Part], view: View | None = None) -> Survey:
        """Look at some experiments now.

        Args:
            parts: the experiments.
            view: what Slurm says of jobs; default: ask it, if need be.
        """
        survey = cls(list(parts), {})
        others: dict[str, State] = {}
        for project in dict.fromkeys(part.project for part in survey.parts):  # one call of squeue for each
            its = [part.folders for part in survey.parts if part.project == project]
            folders = its[0] if len(its) == 1 else [path for some in its for path in some]
            statuses = Statuses(
                folders,
                needs_of=survey.waits_for,
                best_of=survey.best_of,
                results_root=project.results_root,
                view=view,
                held=partial(_held_back, project),
            )
            others |= statuses.not_done()
            survey.silence = survey.silence or statuses.silence
        survey.others = others
        return survey

    @classmethod
    def of_index(cls, project: Project) -> Survey:
        """Look at every experiment that was run or handed over in a project's results root."""
        return cls.of_parts([Part.of_index(project)])

    @classmethod
    def of_folders(cls, project: Project, folders: Sequence[str]) -> Survey:
        """Look at some experiments of a project."""
        return cls.of_parts([Part.of_folders(project, folders)])

    def needs_of(self, path: str) -> list[str]:
        """Return the exp paths that an experiment needs itself."""
        if len(self.parts) == 1:
            return list(self.parts[0].needs_of(path))
        return list(dict.fromkeys(need for part in self.parts for need in part.needs_of(path)))

    def waits_for(self, path: str) -> list[str]:
        """Return the same, with the best experiments whose folders it is given and that aren't DONE."""
        if len(self.parts) == 1:
            return self.parts[0].waits_for(path)
        return list(dict.fromkeys(need for part in self.parts for need in part.waits_for(path)))

    def uses_of(self, path: str) -> list[str]:
        """Return the exp paths that a living experiment uses: what it needs, and the best ones that it is given."""
        needs = self.needs_of(path)
        return [*needs, *dict.fromkeys(one for part in self.parts for one in part.bests_of(path, needs))]

    def best_of(self, path: str) -> Best | None:
        """Return which best of a sweep a need stands for."""
        return next((best for part in self.parts if (best := part.best_of(path)) is not None), None)

    def is_missing(self, path: str) -> bool:
        """Return whether what is needed isn't there: an experiment that is not DONE, or the best of a sweep."""
        return path in self.others or (is_winner(path) and not os.access(result_of(path), os.F_OK))

    def is_stuck(self, path: str) -> bool:
        """Return whether an experiment waits in vain, or whoever waits for it."""
        return path in self.others and self.others[path].status.blocks

    def asked_for(self, some: Iterable[str]) -> set[str]:
        """Return those of some experiments that are asked for: named themselves, or needed by what isn't DONE.

        Snakemake doesn't make what only DONE experiments need.
        """
        asked = {path for part in self.parts for path in (part.folders if part.own is None else part.own())}
        found = set(some)
        if found <= asked:
            return found
        from heyhi.experiment.winners import waited_for

        own = set(asked)
        left = [path for path in asked if path in self.others]
        while left:
            path = left.pop()
            needs: Sequence[str] = self.waits_for(path)
            if is_winner(path):
                needs = waited_for(self.best_of(path), needs, self.is_stuck, own)
            needs = [need for need in needs if need not in asked and self.is_missing(need)]
            asked.update(needs)
            left += needs
        return found & asked

    @cached_property
    def rows(self) -> list[Row]:
        """One an experiment."""
        return self._rows_of(self.folders)

    @property
    def not_done(self) -> list[Row]:
        """Those that aren't done, what needs attention first."""
        return sorted(self._rows_of(self.others), key=lambda row: row.status.urgency)

    def _rows_of(self, folders: Iterable[str]) -> list[Row]:
        done = (Status.DONE, "")
        if len(self.parts) == 1:  # there may be 10,000 of them
            root = f"{self.parts[0].project.results_root}/"
            return [
                self._trial(path, root)
                if is_slot(path)
                else Row(path.removeprefix(root), path, *self.others.get(path, done))
                for path in folders
            ]
        roots = {path: f"{part.project.results_root}/" for part in reversed(self.parts) for path in part.folders}
        return [
            self._trial(path, roots[path])
            if is_slot(path)
            else Row(path.removeprefix(roots[path]), path, *self.others.get(path, done))
            for path in folders
        ]

    def _trial(self, slot: str, root: str) -> Row:
        shown, state = self.shown(slot), self.others.get(slot, State(Status.DONE))
        return Row(shown.removeprefix(root), shown, *state, slot=slot)

    def shown(self, path: str) -> str:
        """Return the folder that people are shown for one: of a search's slot, that of its experiment."""
        if not is_slot(path):
            return path
        if path not in self._shown:
            self._shown[path] = _shown_folder(path)
        return self._shown[path]

    @cached_property
    def ended(self) -> set[str]:
        """Slots of searches that are not DONE, and final all the same: a launch starts none of them again."""
        return {path for path in self.others if has_ended(path)}

    @property
    def counts(self) -> dict[Status, int]:
        """How many experiments have each status."""
        found = Counter(status for status, _ in self.others.values())
        found[Status.DONE] = len(self.folders) - len(self.others)
        return {status: found[status] for status in sorted(found, key=lambda s: s.urgency) if found[status]}

    def blocked_by(self, folders: Iterable[str]) -> list[str]:
        """Return the exp paths of those that are BLOCKED by some, directly or by others between."""
        blocked = {path for path, (status, _) in self.others.items() if status is Status.BLOCKED}
        users = self._users_below(blocked)
        left, reached = list(folders), set[str]()
        while left:  # upwards: each experiment once, however many ways lead to it
            more = [path for path in users.get(left.pop(), ()) if path not in reached]
            reached.update(more)
            left += more
        return [path for path in self.folders if path in reached and path in blocked]

    def _users_below(self, folders: Iterable[str]) -> dict[str, list[str]]:
        """Return what needs what, of some experiments and all that they need."""
        users: dict[str, list[str]] = {}
        left = list(folders)
        seen = set(left)
        while left:
            path = left.pop()
            for need in self.waits_for(path):
                users.setdefault(need, []).append(path)
                if need not in seen:
                    seen.add(need)
                    left.append(need)
        return users

    @property
    def dead(self) -> list[Row]:
        """Those that are DEAD."""
        return self._rows_of(path for path, (status, _) in self.others.items() if status is Status.DEAD)

    @property
    def reasons(self) -> set[str]:
        """Why some are as they are."""
        return {reason for _, reason in self.others.values()}

    @property
    def lacks(self) -> bool:
        """Whether experiments may be missing, since a record of what was launched can't be read or is gone."""
        return any(part.lacks for part in self.parts)

    @property
    def has_trouble(self) -> bool:
        """Whether some experiment is dead, or nobody knows how it is, or whether there are others."""
        return self.lacks or any(status.is_trouble for status, _ in self.others.values())

    @cached_property
    def stale(self) -> dict[str, list[str]]:
        """Exp path of each that is made of an earlier result of what it needs -> exp ids of these needs.

        A file that it was given is named by its key, see `given_files`. Only the records of those are read that need
        others, or were given files.
        """
        found: dict[str, list[str]] = {}
        for part in self.parts:
            needing, root = part.needing(), part.project.results_root
            given = given_files(root)
            own = [p for p in part.folders if p in needing or self.shown(p) in given] if needing or given else []
            ended = [path for path in own if self._has_ended(path)]
            if ended:
                from heyhi.experiment.given import find_stale

                found |= find_stale(root, list(map(self.shown, ended)), part.project.root)
        return found

    @cached_property
    def mixed(self) -> dict[str, str]:
        """Exp path of each that went on from what another config had done -> what changed, and when."""
        noted: dict[str, str] = {}
        for root in dict.fromkeys(part.project.results_root for part in self.parts):
            if os.access(f"{root}/{STATE_NAME}/{MIXED_NAME}", os.F_OK):
                from heyhi.experiment.mixed import find_mixed

                noted |= find_mixed(root)
        return {path: noted[path] for path in self._shown_folders() if path in noted} if noted else {}

    @cached_property
    def notes(self) -> dict[str, Shown]:
        """Exp path of each on which somebody made a note -> what that says."""
        found: dict[str, Shown] = {}
        for root in dict.fromkeys(part.project.results_root for part in self.parts):
            if os.access(f"{root}/{STATE_NAME}/{NOTES_NAME}", os.F_OK):
                from heyhi.experiment.notes import Notes

                if notes := Notes.read(root):
                    shown = ((path, notes.shown(path)) for path in self._shown_folders() if path not in found)
                    found |= {path: one for path, one in shown if one is not None}
        return found

    def _shown_folders(self) -> list[str]:
        return list(map(self.shown, self.folders)) if any(map(is_slot, self.folders)) else self.folders

    def _has_ended(self, path: str) -> bool:
        status = self.others[path].status if path in self.others else Status.DONE
        return status.is_over and status.is_started

    def marks(self, row: Row) -> dict[str, Any]:
        """Return what is to be said of an experiment beside how it is, as JSON holds it."""
        note = self.notes.get(row.exp_path)
        return {
            "stale": self.stale.get(row.exp_path, []),
            "mixed": self.mixed.get(row.exp_path, ""),
            "note": note.text if note is not None else "",
            "excluded": note is not None and note.excluded,
        }

    def drift(self, schema_of: Callable[[Project], Schema]) -> dict[str, list[str]]:
        """Compare what each started experiment was composed to with what it would be today.

        Args:
            schema_of: returns a project's schema as it is today.

        Returns:
            exp id -> lines `key: then -> now`, for those that differ; why, for those that can't be compared.
        """
        from heyhi.sweep.drift import DriftCheck

        # Of what is UNKNOWN its status says why.
        rows = {row.exp_path: row for row in self.rows if row.status.is_started and row.status is not Status.UNKNOWN}
        found = {}
        for part in self.parts:
            check = DriftCheck(part.project, schema_of(part.project))
            for asked in part.folders:
                path = self.shown(asked)
                if is_slot(path):  # it is no experiment yet
                    continue
                today = part.configs.get(path) if path == asked else None  # a slot's is only what it begins with
                if path in rows and (lines := check.drift(Path(path), today)):
                    found[rows[path].exp_id] = lines
        return found

    def recoded(self) -> dict[str, CodeChange]:
        """Compare the code that DONE experiments were made by with today's.

        Returns:
            exp path -> what is otherwise, for those where something is.
        """
        from heyhi.sweep.provenance import find_recoded

        found: dict[str, CodeChange] = {}
        for part in self.parts:
            done = [self.shown(path) for path in part.folders if path not in self.others]
            found |= find_recoded(part.project, done)
        return found
