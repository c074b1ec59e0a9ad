"""Expansion: the points of a sweep become experiments, with what they need, and all of them are checked at once.

Where points come from is left to `points` and `file`; what is expanded is written down by `write`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.collector import paused_collection
from heyhi.config.compose import Composed, Composer
from heyhi.config.identity import ExpPattern, Identity
from heyhi.config.outside import is_outside
from heyhi.config.overrides import Overrides, override_texts
from heyhi.config.schema import Schema, type_of
from heyhi.config.templates import FORMS, bests_in
from heyhi.errors import HeyhiError, NeedsError, SweepError, UnknownError
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import IDENTITY_NAME, RESULT_NAME, is_winner, result_of
from heyhi.files import Listings, is_there, read_lines
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass, field, replace
from heyhi.quick_tuple import NamedTuple
from heyhi.slurm.request import launcher_resources
from heyhi.slurm.unknown_fields import may_have_some, unknown_fields
from heyhi.sweep.left_out import LeftOut

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.config.base import Base
    from heyhi.config.best import Best
    from heyhi.config.frozen import FrozenConfig
    from heyhi.sweep.doubles import Double
    from heyhi.sweep.search_spec import SearchSpec

Point = tuple[str | Path, Overrides]
_MAX_SHOWN = 20  # groups of errors, and points of a group, that a message names


class Planned(NamedTuple):
    """One experiment of an expansion; light, since a sweep may have 100,000.

    Attributes:
        exp_id: its exp id.
        folder: its exp path (absolute).
        identity: its config and canonical overrides.
        task: name of the chosen task.
        config: composed root message, serialised.
        needs: exp paths of what it needs.
        resources: of its launcher.
        given: overrides as they were given, where some are in no identity, since they only schedule.
        files: what it needs beside, see `heyhi.config.file_needs`.
        base: what it is completed from once the best of a sweep is known that its config names; see `config.base`.
        as_written: root message, serialised, while that wasn't known; empty where it names none.
    """

    exp_id: str
    folder: str
    identity: Identity
    task: str
    config: bytes
    needs: tuple[str, ...]
    resources: dict[str, int | str]
    given: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    base: bytes = b""
    as_written: bytes = b""

    @property
    def is_open(self) -> bool:
        """Whether its config isn't complete, since the best of a sweep that it names isn't known yet."""
        return bool(self.as_written) and self.config == self.as_written

    def completed(self, project: Project, base: Base) -> Planned:
        """Return it with its config completed, if the best ones of sweeps that it names are known by now."""
        bests = (need for need in self.needs if is_winner(need))
        if not all(os.access(result_of(folder), os.F_OK) for folder in bests):
            return self
        from heyhi.experiment.winners import known_winners  # most experiments name no best one

        message = base.complete(known_winners(project.results_root)).message
        return self._replace(config=message.SerializeToString(deterministic=True))

    def experiment(self, roots: Mapping[str, str]) -> Experiment:
        """Return it as an `Experiment`, with what `Project.roots` says."""
        path, needs = Path(self.folder), tuple(map(Path, self.needs))
        return Experiment(
            self.exp_id, path, self.identity, self.task, self.config, needs, self.resources, roots, self.files
        )


class Contest(NamedTuple):
    """The best of a sweep that some experiments need, and what it is chosen from.

    Attributes:
        exp_id: that stands for it.
        best: what it is.
        candidates: exp paths of what it is chosen from.
    """

    exp_id: str
    best: Best
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class Expansion:
    """The experiments of a sweep, composed and checked.

    Attributes:
        planned: all of them, each after what it needs.
        own: exp ids of the sweep's own, in its order; the others are there because these need them.
        warnings: what a user should know before starting it.
        label: name for reports and manifests, `[A-Za-z0-9._-]`.
        sweep: sweep file, relative to the project root.
        pattern: exp id pattern of the sweep's own experiments.
        roots: the project's and the results' folders, and its name; see `Project.roots`.
        files: configs that were read.
        validate: the sweep file's own check of each config; see `validation`.
        outside: configs outside of the project: name in an identity -> root message without overrides.
        search: what is searched, where its own experiments are a search's slots.
        base: what these are composed from, as `heyhi.config.base.Base` writes it.
        sample: one of the points that they may become: root message, serialised.
        contests: the best ones of sweeps that some of them need.
        searches: those of these sweeps that are searches, which have manifests of their own.
    """

    planned: list[Planned]
    own: list[str]
    warnings: list[str] = field(default_factory=list)
    label: str = "sweep"
    sweep: str | None = None
    pattern: str | None = None
    roots: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[Path] = frozenset()
    validate: Callable[[FrozenConfig], object] | None = None
    outside: Mapping[str, Message] = field(default_factory=dict, compare=False)
    search: SearchSpec | None = None
    base: bytes = b""
    sample: bytes = b""
    contests: tuple[Contest, ...] = ()
    searches: tuple[Expansion, ...] = field(default=(), compare=False)

    @cached_property
    def experiments(self) -> list[Experiment]:
        """All experiments, each after what it needs."""
        return [p.experiment(self.roots) for p in self.planned]

    def completed(self, project: Project, schema: Schema) -> Expansion:
        """Return it with the configs completed of those whose best ones of sweeps were chosen since."""
        if not any(one.is_open for one in self.planned):  # most are complete, and need nothing loaded for that
            return self
        from heyhi.config.base import Base

        planned = [
            one.completed(project, Base.from_bytes(one.base, schema, project)) if one.is_open else one
            for one in self.planned
        ]
        return replace(self, planned=planned)

    @property
    def complete_configs(self) -> dict[str, bytes]:
        """Exp path -> root message, serialised, of those whose config is known: the others' may become any other."""
        return {one.folder: one.config for one in self.planned if not one.is_open}

    @property
    def experiments_of_own(self) -> list[Planned]:
        """The sweep's own experiments, in its order."""
        found = {p.exp_id: p for p in self.planned}
        return [found[exp_id] for exp_id in self.own]

    @cached_property
    def folders(self) -> list[str]:
        """Exp paths of the sweep's own experiments, in its order."""
        found = {p.exp_id: p.folder for p in self.planned}
        return [found[exp_id] for exp_id in self.own]


def expand(
    project: Project,
    schema: Schema,
    points: Iterable[Point],
    *,
    label: str = "sweep",
    title: str = "",
    sweep: str | None = None,
    pattern: str | None = None,
    adhoc: bool | str = False,
    exp_ids: Sequence[str] = (),
    expand_file: ExpandFile | None = None,
    within: tuple[str, ...] = (),
) -> Expansion:
    """Compose all points of a sweep and what they need, and check them against one another and what is on disk.

    Args:
        project: where configs and results are.
        schema: what configs must fit.
        points: (config, overrides).
        label: name for reports and manifests.
        title: name for messages; default: the sweep file, or the label.
        sweep: sweep file they came from, relative to the project root.
        pattern: exp id pattern of the points; what they need has the default one.
        adhoc: put the points below `adhoc/<date>`, see `ExpPattern`.
        exp_ids: of the points, where these are known already.
        expand_file: expands the sweep files whose best ones are named.
        within: sweep files that are being expanded, each since the one before it names its best.

    Raises:
        SweepError: points are wrong; the message names all of them, grouped by what is wrong.
        UnknownError: nobody can see what is in the results root.
    """
    _check_root(project.results_root)
    composer = Composer(project, schema, tells_renames=not exp_ids)  # what is on record has the names of its time
    contests = Contests(project, composer, expand_file, (*within, sweep) if sweep is not None else within)
    gather = _Gather(project, composer, ExpPattern(project, pattern, adhoc=adhoc), contests)
    count, most = 0, project.settings.max_points
    placed = [ExpPattern(project, exp_id) for exp_id in exp_ids]
    left_out = LeftOut(composer)
    with paused_collection():
        for index, (cfg, overrides) in enumerate(points):
            count += 1
            if most and count > most:
                from heyhi.sweep.size import check_size

                check_size(project, count, f"{title or sweep or label} has more than {most:,} points")
            try:
                if placed:  # what is on record may contradict itself, as once it could
                    gather.add(composer.compose(cfg, overrides), placed[index], overrides)
                    continue
                rest = left_out.without(index, cfg, overrides)
                composed = composer.compose(cfg, rest, as_typed=True)
                gather.add(composed, gather.pattern, rest, is_less=rest is not overrides)
            except HeyhiError as error:
                gather.errors.setdefault(str(error), []).append((index, str(cfg), overrides))
    for text, wrong in left_out.errors():
        gather.errors.setdefault(text, []).extend(wrong)
    if gather.errors:
        raise SweepError(_grouped(title or sweep or label, count, gather.errors))
    if not gather.own:
        raise SweepError(f"{title or sweep or label}: the sweep has no experiments")
    gather.check_nesting()
    planned, own = list(gather.planned.values()), list(gather.own)
    return Expansion(
        planned,
        own,
        [*left_out.lines(), *gather.warnings()],
        label,
        sweep,
        pattern,
        project.roots,
        composer.files | contests.files,
        outside=gather.outside | contests.outside,
        contests=tuple(contests.found.values()),
        searches=tuple(contests.searches),
    )


def _check_root(results_root: Path) -> None:
    """Refuse a results root that nobody can look into; what is wrong with one experiment, its status says."""
    try:
        os.stat(f"{results_root}/.")  # noqa: PTH116
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UnknownError(f"{results_root}: the results can't be read: {error.strerror or error}") from None


def composable(
    folders: Sequence[str], compose: Callable[[Sequence[str]], object]
) -> tuple[list[str], dict[str, HeyhiError]]:
    """Part experiments into those that can be composed and the others; mostly all can, and they are composed at once.

    Args:
        folders: their exp paths.
        compose: composes some, or raises HeyhiError.

    Returns:
        those that can; what is wrong with each other one.
    """
    try:
        if folders:
            compose(folders)
    except HeyhiError as error:
        if len(folders) == 1:
            return [], {folders[0]: error}
    else:
        return [*folders], {}
    problems: dict[str, HeyhiError] = {}
    for folder in folders:
        problems |= composable([folder], compose)[1]
    return [folder for folder in folders if folder not in problems], problems


def _holds(exp_path: str, identity: Identity) -> bool:
    """Return whether a folder plainly holds an experiment; if not, `check_identity` says what is wrong, if anything."""
    import orjson  # most sweeps that are expanded are new, and need none

    try:
        data = orjson.loads(read_lines(f"{exp_path}/{IDENTITY_NAME}"))
        held = (data["cfg"], tuple(data["overrides"]), data["version"])
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return held == (identity.cfg, identity.overrides, identity.version)


def _is_experiment(folder: Path) -> bool:
    """Return whether a folder plainly is an experiment's; below one that can't be looked at, all are UNKNOWN anyway."""
    with contextlib.suppress(UnknownError):
        return is_there(ExperimentDir(folder).identity_path)
    return False


ExpandFile = Callable[[Path, tuple[str, ...]], Expansion]


@dataclass
class Contests:
    """The best ones of sweeps that experiments need, while these are gathered.

    Attributes:
        project: where sweep files and results are.
        composer: has composed the experiments.
        expand_file: expands a sweep file, given also those that are being expanded.
        within: those.
        found: exp id -> what it is.
        searches: the sweeps that are searches.
        outside: see `Expansion`.
        files: configs that were read.
        warnings: what a user should know of them before starting anything.
    """

    project: Project
    composer: Composer
    expand_file: ExpandFile | None
    within: tuple[str, ...]
    found: dict[str, Contest] = field(default_factory=dict)
    searches: list[Expansion] = field(default_factory=list)
    outside: dict[str, Message] = field(default_factory=dict)
    files: frozenset[Path] = frozenset()
    warnings: dict[str, None] = field(default_factory=dict)
    _expanded: dict[str, Expansion | HeyhiError] = field(default_factory=dict)

    def of(self, best: Best) -> tuple[Contest, list[Planned]]:
        """Expand the sweep of a best one.

        Returns:
            it; all that has to be there for it, each after what it needs.

        Raises:
            NeedsError: sweeps need one another's best in a circle.
            HeyhiError: the sweep can't be expanded.
        """
        expansion = self._expand(best)
        search = expansion.search
        if search is None and not best.metric:
            raise NeedsError(
                f"'{{{{best {best.words}}}}}': by which metric isn't said, and {best.sweep} is no search, which has an"
                f" aim of its own: expected {FORMS['best']}"
            )
        if search is not None and best.metric and (search.metric, search.direction) != (best.metric, best.direction):
            raise NeedsError(
                f"{best.text}: is a search for {search.direction}={search.metric}, and its best is by that:"
                f" {{{{best {best.sweep} {search.direction}={search.metric}}}}}"
            )
        from heyhi.experiment.winners import winner_id, winner_path

        contest = Contest(winner_id(best), best, tuple(expansion.folders))
        is_open = not is_there(winner_path(self.project.results_root, best.words))
        if search is not None and search.stop is not None and best.of == "all" and is_open:
            self.warnings[
                f"{best.text} needs all of its trials DONE, and its search ends some early: {best.of_done} is the best"
                " of those that are"
            ] = None
        self.found.setdefault(contest.exp_id, contest)
        for inner in expansion.contests:
            self.found.setdefault(inner.exp_id, inner)
        return contest, expansion.planned if expansion.search is None else []

    def needed_by(self, composed: Composed) -> list[Best]:
        """Return the best ones of sweeps without which a config can't be completed.

        Who takes over the overrides of one takes over the best ones that these name.
        """
        found = dict.fromkeys(composed.bests)
        left = [best for best in composed.bests if f"I={{{{best {best.words}}}}}" in composed.identity.overrides]
        while left:
            for best, is_include in self._named_in(left.pop()):
                if best not in found:
                    found[best] = None
                    left += [best] if is_include else []
        return list(found)

    def _named_in(self, best: Best) -> Iterator[tuple[Best, bool]]:
        """Yield the best ones of sweeps that the overrides name which others may take over; whether as an include."""
        from heyhi.config.best import Best, taken_over

        expansion = self._expand(best)
        if expansion.search is None:  # which can't start from any
            for one in expansion.experiments_of_own:
                for text in taken_over(one.identity.overrides, self.project.settings.replicate)[0]:
                    for words in bests_in(text):
                        yield Best.parse(words, str(self.project.root)), text.startswith("I=")

    def completed(self, planned: Planned, composed: Composed) -> Planned:
        """Give an experiment what its config is completed from, and complete it if the best ones are known."""
        from heyhi.config.base import Base
        from heyhi.config.best import taken_over

        assert composed.source is not None
        fields = self.project.settings.replicate
        candidates = [taken_over(line, fields)[0] for best in composed.bests for line in self._lines(best)]
        base = Base.of(self.composer, *composed.source, candidates=candidates)
        found = planned._replace(base=base.to_bytes(), as_written=planned.config)
        return found.completed(self.project, base)

    def _lines(self, best: Best) -> Iterator[tuple[str, ...]]:
        """Yield the overrides of each experiment that may turn out to be the best, and of those that it is made of."""
        expansion = self._expand(best)
        if expansion.search is not None:
            yield from _overrides_of(expansion.search)
            return
        for one in expansion.experiments_of_own:
            yield one.identity.overrides
        for contest in expansion.contests:
            yield from self._lines(contest.best)

    def _expand(self, best: Best) -> Expansion:
        found = self._expanded.get(best.sweep)
        if found is None:
            try:
                found = self._expand_anew(best)
            except HeyhiError as error:
                found = error
            self._expanded[best.sweep] = found
        if isinstance(found, HeyhiError):
            raise found.anew()
        return found

    def _expand_anew(self, best: Best) -> Expansion:
        if best.sweep in self.within:
            circle = [*self.within[self.within.index(best.sweep) :], best.sweep]
            if len(circle) == 2:
                raise NeedsError(f"{best.sweep}: an experiment can't need the best of its own sweep")
            raise NeedsError(f"sweeps need one another's best in a circle: {' -> '.join(circle)}")
        if self.expand_file is None:
            raise NeedsError(f"{best.text} can't be what a search starts from: name what it has turned out to be")
        found = self.expand_file(self.project.root / best.sweep, self.within)
        if found.search is not None:
            self.searches.append(found)
        self.searches += found.searches
        self.outside |= found.outside
        self.files |= found.files
        return found


def _overrides_of(search: SearchSpec) -> Iterator[tuple[str, ...]]:
    """Yield overrides as the trials of a search may have them: of each kind some, since only includes are looked at."""
    yield search.overrides
    for axis in search.axes:
        if axis.key == "I" or axis.key.startswith("I."):
            yield from ((f"{axis.key}={value}",) for value in axis.values)


@dataclass
class _Gather:
    """The experiments of a sweep while they are gathered, each after what it needs.

    It notices when two of them meet, in one folder or in one config.

    Attributes:
        project: where configs and results are.
        composer: has composed the points.
        pattern: exp id pattern of the points.
        contests: the best ones of sweeps that some need.
        planned: exp id -> experiment, each after what it needs.
        own: exp ids of the points, in order.
        errors: text of an error -> index, config and overrides of each point that has it.
        outside: see `Expansion`.
    """

    project: Project
    composer: Composer
    pattern: ExpPattern
    contests: Contests
    planned: dict[str, Planned] = field(default_factory=dict)
    own: dict[str, None] = field(default_factory=dict)
    errors: dict[str, list[tuple[int, str, Overrides]]] = field(default_factory=dict)
    outside: dict[str, Message] = field(default_factory=dict)
    _listings: Listings = field(default_factory=Listings)
    _may_nest: bool = False
    _repeated: list[str] = field(default_factory=list)  # exp ids that another point has already
    _doubles: list[Double] = field(default_factory=list)
    _odd: dict[str, bool] = field(default_factory=dict)  # by task
    _unknown: dict[str, None] = field(default_factory=dict)  # what is said of fields that mean nothing

    def add(self, composed: Composed, pattern: ExpPattern, overrides: Overrides, *, is_less: bool = False) -> None:
        """Add a point, at the place that a pattern gives it, and what it needs.

        Args:
            composed: the point.
            pattern: that names it.
            overrides: by which it was composed.
            is_less: some that were asked for apply elsewhere only: that others are like it then is no oversight.
        """
        exp_id = pattern.exp_id(composed.identity)
        self._may_nest = self._may_nest or not pattern.is_default
        planned = self._known(exp_id, composed.identity)
        if planned is not None:
            other = composed.message.SerializeToString(deterministic=True)
            if other != planned.config:
                from heyhi.sweep.doubles import Double  # there are hardly ever any

                self._doubles.append(Double(exp_id, planned.task, planned.config, other))
        if exp_id in self.own:
            if not is_less:
                self._repeated.append(exp_id)
            return
        if planned is None:
            planned = self._plan(composed, exp_id, self.pattern.folder(exp_id))
            if len(overrides) > len(composed.identity.overrides):
                planned = self.planned[exp_id] = planned._replace(given=tuple(override_texts(overrides)))
        self.own[exp_id] = None

    def _plan(self, composed: Composed, exp_id: str, folder: str) -> Planned:
        needs = tuple([self._need(need) for need in composed.needs]) if composed.needs else ()
        if composed.bests:
            needs += tuple([self._best(best) for best in self.contests.needed_by(composed)])
        self._check_disk(folder, composed.identity)
        if is_outside(composed.identity.cfg):
            self.outside[composed.identity.cfg] = composed.base
        config = composed.message.SerializeToString(deterministic=True)
        task = composed.task_message
        resources = launcher_resources(task)
        if self._may_be_odd(composed.task, task):
            for text in unknown_fields(task):
                self._unknown[text] = None
        if needs:
            self._known(exp_id, composed.identity)  # one of these may have taken its path just now
        planned = Planned(
            exp_id, folder, composed.identity, composed.task, config, needs, resources, files=composed.files
        )
        if composed.bests:
            planned = self.contests.completed(planned, composed)
        self.planned[exp_id] = planned
        return planned

    def _may_be_odd(self, name: str, task: Message) -> bool:
        """Return whether a task's launcher has fields that mean nothing: asked once for each task, by its name."""
        found = self._odd.get(name)
        if found is None:
            found = self._odd[name] = may_have_some(type_of(task))
        return found

    def _best(self, best: Best) -> str:
        """Return what stands for the best of a sweep; what it is chosen from is needed."""
        contest, candidates = self.contests.of(best)
        for one in candidates:
            if self._known(one.exp_id, one.identity) is None:
                self.planned[one.exp_id] = one
        return self.pattern.folder(contest.exp_id)

    def _need(self, composed: Composed) -> str:
        folder = str(self.composer.need_path(composed))
        exp_id = folder.removeprefix(f"{self.project.results_root}/")
        if self._known(exp_id, composed.identity) is None:
            self._plan(composed, exp_id, folder)
        return folder

    def _known(self, exp_id: str, identity: Identity) -> Planned | None:
        """Return the experiment that was planned at an exp id, None where none was; refuse another one there."""
        known = self.planned.get(exp_id)
        if known is not None and known.identity != identity:
            raise SweepError(
                f"two experiments would share the exp path {known.folder}: {_named(known.identity)}"
                f" and {_named(identity)}: let the exp id pattern tell them apart"
            )
        return known

    def _check_disk(self, exp_path: str, identity: Identity) -> None:
        """Refuse a folder that holds another experiment."""
        if self._listings.may_have(exp_path) and not _holds(exp_path, identity):
            with contextlib.suppress(UnknownError):  # its status says so, and nothing starts there
                ExperimentDir(Path(exp_path)).check_identity(identity)

    def check_nesting(self) -> None:
        """Refuse an experiment inside another one's folder, which a restart of the outer one would wipe."""
        if not self._may_nest:
            return  # its exp ids end in a hash, and nothing goes on below that
        paths = {e.folder for e in self.planned.values()}
        for path in sorted(paths):
            for parent in Path(path).parents:
                if str(parent) in paths or _is_experiment(parent):
                    raise SweepError(f"exp path {path} lies inside another experiment's, {parent}")

    def _is_done(self, exp_id: str) -> bool:
        return os.access(f"{self.planned[exp_id].folder}/{RESULT_NAME}", os.F_OK)

    def warnings(self) -> list[str]:
        """List what is odd about the points, though they can be run."""
        found = [*self.composer.warnings, *self.contests.warnings, *list(self._unknown)[:_MAX_SHOWN]]
        if self._doubles:
            from heyhi.sweep.doubles import double_lines

            found += double_lines(self.composer.schema, self._doubles)
        if self._repeated:
            count = len(self._repeated)
            found.append(
                f"{count} point{'s name' if count > 1 else ' names'} an experiment of the sweep again,"
                f" e.g. {self._repeated[0]}: it runs once"
            )
        if len(self.own) > 1:
            from heyhi.sweep.twins import Twins, alike_lines  # who runs one experiment does without

            # What the best of a sweep gives is nobody's oversight: it may well be what another one has anyhow.
            own = [
                (p.exp_id, p.identity, p.config) for p in map(self.planned.__getitem__, self.own) if not p.as_written
            ]
            found += alike_lines(Twins(self.project, self.composer.schema).among(own), self._is_done)
        return found


def _named(identity: Identity) -> str:
    return " ".join([identity.cfg, *identity.overrides])


def _grouped(name: str, count: int, errors: dict[str, list[tuple[int, str, Overrides]]]) -> str:
    """Write what is wrong with points of a sweep: each error once, with the points that have it."""
    if count == 1:
        return next(iter(errors))
    wrong = sum(map(len, errors.values()))
    lines = [f"{name}: {wrong} of {count} experiments can't be composed:"]
    for text, points in list(errors.items())[:_MAX_SHOWN]:
        lines.append("  " + text.replace("\n", "\n  "))
        index, cfg, overrides = points[0]
        which = ", ".join(str(i) for i, _, _ in points[:_MAX_SHOWN]) + (", …" if len(points) > _MAX_SHOWN else "")
        several = f"{len(points)} points ({which}), first" if len(points) > 1 else f"point {index}"
        lines.append(f"    in {several}: {' '.join([cfg, *override_texts(overrides)])}")
    if len(errors) > _MAX_SHOWN:
        lines.append(f"  … and {len(errors) - _MAX_SHOWN} other errors")
    return "\n".join(lines)
