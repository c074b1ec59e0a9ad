"""DONE experiments that were made otherwise than they would be today: what is said of them, and how they are redone."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.cli.ask import agrees
from heyhi.cli.options import REDO
from heyhi.errors import HeyhiError, ModeError
from heyhi.experiment.given import stale_text
from heyhi.experiment.names import Status
from heyhi.sweep.continuing import was_done
from heyhi.sweep.provenance import MAX_COMPARED, Inspector, Provenance, Redo, compared_by, is_done
from heyhi.text import readable

if TYPE_CHECKING:
    from heyhi.cli.selection import Group, Selection
    from heyhi.config.identity import Identity
    from heyhi.control.controller import ControllerSpec
    from heyhi.control.survey import Survey

_MAX_LISTED = 40
_LEAST_NAME = 24  # characters of one that is shown on a narrow terminal


class Redoing:
    """What is DONE of all that a command names, beside what it would be made of now; and what of it is made anew.

    Args:
        selection: what is named.
        survey: how it is.
        redo: what is made anew.
        among: exp paths of those that may be; default: all.
        is_renewed: another one of a sweep was just chosen to be its best.
    """

    def __init__(
        self,
        selection: Selection,
        survey: Survey,
        redo: Redo,
        *,
        among: Container[str] | None = None,
        is_renewed: bool = False,
    ) -> None:
        self.project = selection.project
        self._is_renewed = is_renewed
        self._redo = redo
        self.found = Provenance()
        self._inspected: dict[str, tuple[Inspector, bytes | None]] = {}  # by exp path
        for inspector, configs in _inspectors(selection, survey, redo):
            its = {path: config for path, config in configs.items() if path not in self._inspected}
            its = its if among is None else {path: config for path, config in its.items() if path in among}
            self._inspected |= {path: (inspector, config) for path, config in its.items()}
            self.found = self.found.merged(inspector.look(its, most=None if redo else MAX_COMPARED))
        # What was killed or has failed since its result was moved away goes on by the command that has begun it.
        self.begun = [row for row in survey.dead if was_done(row.exp_path)] if redo == "continue" else []
        if among is not None:
            self.begun = [row for row in self.begun if row.exp_path in among]
        self.left: list[str] = []  # why some are not made anew
        self._made_of: dict[str, list[str]] = {}  # exp path -> exp ids of those that it is made of and that are redone
        self._waiting = _waiting_in(selection)
        self.identities = dict(self._taken(survey, self._to_redo(self.found)))
        if redo == "stale":
            self._take_what_is_made_of_them(survey)
        self.failed = False

    @property
    def folders(self) -> list[str]:
        """The exp paths of those that are made anew."""
        return list(self.identities)

    @property
    def goes_on(self) -> bool:
        """Whether they go on from their files, of which only the result is moved away."""
        return self._redo == "continue"

    @property
    def how(self) -> str:
        """How they are started, in a sentence."""
        return "with their files" if self.goes_on else "anew"

    @property
    def before(self) -> str:
        """What is done to them before, in a sentence."""
        return "their results moved away before" if self.goes_on else "wiped before"

    @property
    def lines(self) -> list[str]:
        """What is said of those that were made otherwise, and what can be done about it."""
        chosen = self._to_redo(self.found)
        more = [] if self._redo else self._advice()
        count = len(self._made_of)
        more += [f"made of what is made anew: {count} experiment{'s' * (count > 1)}"] if count else []
        more += self._dependents()
        nothing = self._redo and not (chosen or self.begun)
        return [*self.found.lines, *self.left, *more, *(["nothing to redo"] if nothing else [])]

    def _dependents(self) -> list[str]:
        """Say what was made of the results that would be others."""
        from heyhi.sweep.dependents import dependents_of, dependents_text

        if not self.folders:
            return []
        root = f"{self.project.results_root}/"
        left = [one for one in dependents_of(self.project, self.folders) if f"{root}{one}" not in self.identities]
        could = self._redo is True and any(f"{root}{one}" in self._inspected for one in left)
        text = dependents_text(left)
        return [f"{text}; {REDO}=stale makes such ones anew, too" if could else text] if text else []

    def _advice(self) -> list[str]:
        if not (self.found.drifted or self.found.recoded):
            return []
        if self._is_renewed and self.found.drifted:
            made = "makes anew what has drifted, and what was made of that"
            return [f"what is DONE is left as it is; {REDO}=stale {made}"]
        return [f"what is DONE is left as it is; {REDO}{'' if self.found.drifted else '=code'} runs it again"]

    def _take_what_is_made_of_them(self, survey: Survey) -> None:
        """Have also those made anew that are made of what is: with another result of that they would be stale.

        What waits for a choice is composed once that is made: it can't be compared yet, and is what follows.
        """
        from heyhi.experiment.given import find_made_of

        unread = self.found.unread.keys() - self._waiting
        may = [path for path in self._inspected if path not in self.identities and path not in unread]
        root, chosen = self.project.results_root, self.folders
        taken = dict(self._taken(survey, [*find_made_of(root, filter(is_done, may), chosen)]))
        # What is left keeps its result, and so does what is made of that alone.
        self._made_of = find_made_of(root, taken, chosen)
        self.identities |= {path: taken[path] for path in self._made_of}
        others = self._inspected.keys() - self.identities.keys() - self.found.stale.keys() - unread - taken.keys()
        still = [path for path in survey.stale if path in others and is_done(path)]
        if still:
            name = still[0].removeprefix(f"{root}/")
            more = f", and {len(still) - 1} more" if len(still) > 1 else ""
            why = stale_text(survey.stale[still[0]])
            self.left.append(f"not redone: {name}: what it needs is stale itself, {why}: name that, too{more}")

    def _taken(self, survey: Survey, chosen: Sequence[str]) -> Iterator[tuple[str, Identity]]:
        """Yield those of some that are made anew; what a living experiment needs, or nobody can name, is left."""
        from heyhi.experiment.folder import ExperimentDir

        users = _users(survey) if chosen else {}
        for path in chosen:
            name = path.removeprefix(f"{self.project.results_root}/")
            try:
                identity = ExperimentDir(Path(path)).read_identity()
            except HeyhiError as error:
                self.left.append(f"not redone: {error}")
                continue
            if path in users:
                self.left.append(f"not redone: {name}: {users[path]}, which needs it, runs or waits")
            elif identity is None:
                self.left.append(f"not redone: {name}: nobody knows which experiment it is")
            elif stuck := _unknown_need(survey, path):
                self.left.append(f"not redone: {name}: it could not start: nobody knows how {Path(stuck).name} is")
            else:
                yield path, identity

    @property
    def listed(self) -> list[str]:
        """A line for each that is made anew."""
        from heyhi.control.listing import terminal_width
        from heyhi.text import cut_alike

        root, width = f"{self.project.results_root}/", terminal_width()
        listed = self.folders[:_MAX_LISTED]
        names = [path.removeprefix(root) for path in listed]
        names = cut_alike(names, max(_LEAST_NAME, width - 50)) if width else names
        lines = [f"{'DONE':<11} {name}  {self._why(path)}" for name, path in zip(names, listed, strict=True)]
        rest = len(self.folders) - _MAX_LISTED
        return [*lines, f"… and {rest} more"] if rest > 0 else lines

    def _why(self, path: str) -> str:
        made_of = self._made_of.get(path)
        return f"made of {readable(', '.join(made_of))}" if made_of else self.found.why(path)

    def check(self, spec: ControllerSpec) -> None:
        """Make sure that a controller can start once they are wiped.

        Raises:
            ModeError: one of its name lives.
        """
        from heyhi.control.controller import find_controllers

        for controller in find_controllers(self.project):
            if controller.name == spec.name and controller.owner is not None:
                raise ModeError(
                    f"nothing was wiped: this is being run already by controller {controller.owner.describe()};"
                    " wait for its end, or heyhi cancel it first"
                )

    def wipe(self, *, force: bool) -> list[str]:
        """Ask, and empty the folders of those that are made anew.

        What somebody has by now, or made anew in the meantime, is left and said.

        Returns:
            the exp paths of those that were wiped.

        Raises:
            ModeError: nobody agreed; nothing was wiped.
        """
        from heyhi.experiment.folder import ExperimentDir

        count = len(self.identities)
        if not force:
            what = f"{count} experiment{'s' * (count > 1)}, DONE, would"
            agrees(
                f"{what} go on, their results moved to the trash" if self.goes_on else f"{what} be wiped",
                "go on with them?" if self.goes_on else "wipe and run them again?",
                self.listed,
                otherwise=f"nothing was {'moved' if self.goes_on else 'wiped'}, nothing started",
            )
        wiped, places = [], []
        # What is made of others first: cut short, none is left that has a result of what is gone.
        for path, identity in reversed(self.identities.items()):
            folder = ExperimentDir(Path(path), self.project.results_root)
            try:
                place = folder.wipe(
                    identity,
                    keeps_entry=True,
                    still=lambda path=path: self._is_still_to_redo(path),  # type: ignore[misc]
                    only_result=self.goes_on,
                )
            except HeyhiError as error:
                print(f"error: {error}", file=sys.stderr)
                self.failed = True
            else:
                wiped.append(path)
                places += [place] if place is not None else []
        if places:
            more = f", and of {len(places) - 1} more beside it" if len(places) > 1 else ""
            print(f"what was there is in {self.project.relative(places[0])}{more}, until heyhi clean")
        return wiped

    def _is_still_to_redo(self, path: str) -> bool:
        if path in self._made_of:  # of which the results may be gone by now
            from heyhi.experiment.given import find_made_of

            return is_done(path) and path in find_made_of(self.project.results_root, [path], self.folders)
        inspector, config = self._inspected[path]
        return path in self._to_redo(inspector.look({path: config}))

    def _to_redo(self, found: Provenance) -> list[str]:
        """Return those that are made anew, also of those that are stale and wait for a choice, which is made first."""
        if not self._redo:
            return []
        stale = [path for path in found.stale if path in self._waiting]
        return list(dict.fromkeys([*found.to_redo(self._redo), *stale]))


def _waiting_in(selection: Selection) -> set[str]:
    """Return the exp paths of those that wait for the best of a sweep, which are composed once it is chosen."""
    expansions = [group.expansion for group in selection.groups if group.expansion is not None]
    return {one.folder for expansion in expansions for one in expansion.planned if one.is_open}


def _inspectors(
    selection: Selection, survey: Survey, redo: Redo
) -> Iterator[tuple[Inspector, Mapping[str, bytes | None]]]:
    """Yield what looks at the experiments of each group, and the config that each would be run with."""
    from heyhi.code.changes import CodeChanges

    project = compared_by(selection.project, redo)
    codes = CodeChanges(project)
    if not selection and redo:
        yield Inspector(project, selection.schema, codes, redo=redo), dict.fromkeys(survey.folders)
    for group in selection.groups:
        schema, configs = selection.schema, _configs(group)
        if group.expansion is None and group.manifest is not None:
            schema = group.manifest.schema()
        yield Inspector(project, schema, codes, redo=redo), configs


def _configs(group: Group) -> Mapping[str, bytes | None]:
    """Return the config that each experiment of a group would be run with; None: as it is composed today."""
    if group.expansion is not None:
        return group.part.configs
    if group.manifest is not None:
        return {str(one.exp_path): one.config for one in group.manifest.experiments()}
    return dict.fromkeys(group.part.folders)


def _unknown_need(survey: Survey, path: str) -> str:
    """Return the exp path of one that is UNKNOWN and that an experiment needs, itself or by others; empty for none."""
    left, seen = [path], {path}
    while left:
        for need in survey.waits_for(left.pop()):
            if need in survey.others and need not in seen:
                if survey.others[need].status is Status.UNKNOWN:
                    return need
                seen.add(need)
                left.append(need)
    return ""


def _users(survey: Survey) -> dict[str, str]:
    """Return the exp paths that living experiments need, directly or by others, each with one that does."""
    found: dict[str, str] = {}
    for path, (status, _) in survey.others.items():
        left = [path] if status.is_alive else []
        while left:
            for need in survey.uses_of(left.pop()):
                if need not in found:
                    found[need] = Path(path).name
                    left.append(need)
    return found
