"""What words on a command line name, for every command that looks at experiments.

A word is, in this order: an existing file (a sweep or a manifest); a target, exp path or exp id of an experiment that
was started; the id of a job; a config, bare or after `--cfg`; an experiment that was only expanded yet. Overrides,
`--sweep` and the other options of a config belong to the config before them. What can't be used is refused by name.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import groupby, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heyhi.cli.search_words import SEARCH_OPTIONS, changed_words, option_of, search_of
from heyhi.errors import (
    ConfigError,
    HeyhiError,
    ManifestError,
    NoProjectError,
    OverrideError,
    SweepError,
    UnknownError,
    suggest,
)
from heyhi.experiment.names import SEARCHES_NAME, is_slot
from heyhi.text import shell_line, steering

if TYPE_CHECKING:
    from heyhi.config.identity import Identity
    from heyhi.config.schema import Schema
    from heyhi.control.survey import Part, Survey
    from heyhi.project import Project
    from heyhi.report.source import Source
    from heyhi.sweep.expand import Expansion, Planned, Point
    from heyhi.sweep.index import ManifestIndex
    from heyhi.sweep.manifest import Manifest
    from heyhi.sweep.search import Search
    from heyhi.sweep.search_spec import SearchSpec

_MAKING = ("expand", "plan", "run", "launch", "search")  # commands that are for experiments that aren't there yet
_SAYS_ITSELF = "{} says in SEARCH what it searches"
_MAX_KNOWN = 2000  # files whose names an error may suggest


def _plain(name: str) -> str:
    """Return a name that can be used in place of another one."""
    return "".join(char if char.isprintable() else "_" for char in name)


class SweepWord(NamedTuple):
    """A sweep file."""

    path: Path


class ManifestWord(NamedTuple):
    """A manifest.

    Attributes:
        path: of it.
        word: by which it was named otherwise: `searches/ID`.
    """

    path: Path
    word: str = ""


class ExperimentWord(NamedTuple):
    """An experiment, or those of a job.

    Attributes:
        word: as it was given.
        folders: their exp paths.
        job_id: of the job that was named; empty where an experiment was.
    """

    word: str
    folders: tuple[str, ...]
    job_id: str = ""


class ConfigWord(NamedTuple):
    """A config, with what belongs to it on the command line.

    Attributes:
        cfg: as it was given.
        overrides: in their order.
        axes: of `--sweep`.
        paired: of `--zip KEY=VALUES`.
        pair: `--zip` that stands alone.
        adhoc: `--adhoc`.
        pattern: `--out`; None for the default one.
        search: options of a search, each with its value.
    """

    cfg: str
    overrides: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    paired: tuple[str, ...] = ()
    pair: bool = False
    adhoc: bool = False
    pattern: str | None = None
    search: tuple[tuple[str, str], ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether it names other experiments each time."""
        return self.adhoc and (self.pattern is None or "%(prefix)s" in self.pattern)

    @property
    def words(self) -> list[str]:
        """The words that name the same."""
        words = ["--cfg", self.cfg, *self.overrides, *(w for axis in self.axes for w in ("--sweep", axis))]
        words += [w for axis in self.paired for w in ("--zip", axis)]
        words += ["--zip"] * self.pair + ["--adhoc"] * self.adhoc
        words += [w for name, value in self.search for w in (option_of(name), value)]
        return [*words, "--out", self.pattern] if self.pattern is not None else words

    def given(self, option: str, value: str) -> ConfigWord:
        """Return it with one more option or override."""
        match option:
            case "sweep":
                return self._replace(axes=(*self.axes, value))
            case "zip" if value:
                return self._replace(paired=(*self.paired, value))
            case "zip":
                return self._replace(pair=True)
            case "adhoc":
                return self._replace(adhoc=True)
            case "pattern":
                return self._replace(pattern=value)
        if option in SEARCH_OPTIONS:
            return self._replace(search=(*self.search, (option, value)))
        return self._replace(overrides=(*self.overrides, value))

    def declared_search(self) -> Search | None:
        """Return the search that it declares; None where it declares none.

        Raises:
            SweepError: what it declares is wrong.
        """
        if not self.search:
            return None
        others = (("--sweep", self.axes), ("--zip", self.paired or self.pair), ("--adhoc", self.adhoc))
        for option, is_given in (*others, ("--out", self.pattern is not None)):
            if is_given:
                first = option_of(self.search[0][0])
                raise SweepError(f"{option} goes without {first}: a search chooses its experiments, and their names")
        return search_of(self.cfg, self.overrides, self.search)

    def points(
        self,
        today: Callable[[str], str] = str,
        in_order: Callable[[list[str]], list[str]] = list,
    ) -> list[Point]:
        """Return its points: one, or those of its axes.

        Args:
            today: gives a key that was renamed the name that it has by now.
            in_order: puts swept keys in the order in which a point has them, whichever comes first on the command line.

        Raises:
            SweepError: an axis is wrong.
        """
        from heyhi.config.overrides import split_override
        from heyhi.sweep.points import sweep_points

        if not (self.axes or self.paired):
            if self.pair:
                raise SweepError("--zip pairs the values of several --sweep, and there is none")
            return [(self.cfg, list(self.overrides))]
        points = sweep_points(self.axes, paired=self.paired, pair=self.pair, today=today)
        if not points:
            options = [*(f"--zip {axis}" for axis in self.paired), *(f"--sweep {axis}" for axis in self.axes)]
            raise SweepError(f"the sweep has no experiments: {' '.join(options)} has no values")
        keys = list(points[0])
        if (ordered := in_order(keys)) != keys:
            points = [{key: point[key] for key in ordered} for point in points]
        if not self.overrides:
            return [(self.cfg, point) for point in points]
        given = {place for place, _ in self._out_of_use(points[0], today)}
        base = [split_override(text) for place, text in enumerate(self.overrides) if place not in given]
        names = {today(key) for key, _ in base}
        if len(names) == len(base) and not names & set(map(today, points[0])):
            return [(self.cfg, {**dict(base), **point}) for point in points]
        # A key that is written twice is written in this order.
        return [(self.cfg, [*base, *point.items()]) for point in points]

    def warnings(self, today: Callable[[str], str] = str) -> list[str]:
        """Say which overrides count for nothing, since their keys are swept.

        Args:
            today: as for `points`.
        """
        from heyhi.sweep.points import sweep_keys

        found = self._out_of_use(sweep_keys([*self.paired, *self.axes]), today)
        return [
            f"{self.overrides[place]} is left out: '{key}' is swept, and the values of --sweep count"
            for place, key in found
        ]

    def _out_of_use(self, swept: Iterable[str], today: Callable[[str], str]) -> list[tuple[int, str]]:
        """Return the place of each override that a swept key writes over, and that key."""
        from heyhi.config.overrides import split_override
        from heyhi.sweep.written_over import written_over

        return written_over([split_override(text)[0] for text in self.overrides], swept, today)


Word = SweepWord | ManifestWord | ExperimentWord | ConfigWord


class Group:
    """The experiments of one sweep, manifest or config, or those that were named themselves.

    Args:
        project: by whose settings they are read.
        words: that name them again.
        label: names them in print.
        part: what a survey looks at.
        expansion: of a sweep or config.
        manifest: that was named, or that the expansion was written to.
        sweep: name of the sweep file; empty where there is none.
    """

    def __init__(
        self,
        project: Project,
        words: list[str],
        label: str,
        part: Part,
        expansion: Expansion | None = None,
        manifest: Manifest | None = None,
        sweep: str = "",
    ) -> None:
        self.project = project
        self.words = words
        self.label = label
        self.part = part
        self.expansion = expansion
        self.manifest = manifest
        self.sweep = sweep

    @property
    def is_whole(self) -> bool:
        """Whether it is a sweep, of which there is a table."""
        return self.expansion is not None or self.manifest is not None

    @cached_property
    def own_folders(self) -> list[str]:
        """The exp path of each that was asked for, less what is only needed, in the order of the sweep."""
        if self.expansion is not None:
            return self.expansion.folders
        if self.manifest is not None:
            return self.manifest.own_folders
        return self.part.folders

    @property
    def search(self) -> SearchSpec | None:
        """What is searched, where it is a search."""
        if self.expansion is not None:
            return self.expansion.search
        return self.manifest.search if self.manifest is not None else None

    @property
    def size(self) -> str:
        """How many experiments there are, for print."""
        own = len(self.own_folders)
        needed = len(self.part.folders) - own
        noun = "experiment" if self.search is None else "trial"
        return f"{own} {noun}{'s' * (own != 1)}{f' (and {needed} needed by them)' if needed else ''}"

    def complete(self, schema: Schema) -> None:
        """Complete the configs of those whose best ones of sweeps were chosen since it was expanded."""
        from heyhi.control.survey import Part

        assert self.expansion is not None
        self.expansion = self.expansion.completed(self.project, schema)
        self.part = Part.of_expansion(self.project, self.expansion)

    def write(self, schema: Schema, *, is_look: bool = False) -> Manifest:
        """Write down what a sweep or config is today, unless it is, and return the manifest.

        Args:
            schema: of its configs.
            is_look: write it where no target leads to it, so that nothing is run by it.
        """
        from heyhi.sweep.manifest import Manifest, looked_at_root
        from heyhi.sweep.write_manifest import write_manifest

        if self.manifest is None:
            assert self.expansion is not None
            folder = looked_at_root(self.project) if is_look else None
            path = write_manifest(self.expansion, self.project, schema, words=self.words, folder=folder)
            self.manifest = Manifest.open(path)
            if self.expansion.search is not None and not (is_look or self.sweep):
                self.words = [f"{SEARCHES_NAME}/{self.expansion.search.search_id}"]  # which names it from now on
        return self.manifest


class Selection:
    """What the words of one command name.

    Args:
        project: around the working directory.
        named: what the words are, in their order.
    """

    def __init__(self, project: Project, named: Sequence[Word]) -> None:
        self.project = project
        self.named = tuple(named)

    def __bool__(self) -> bool:
        return bool(self.named)

    @cached_property
    def schema(self) -> Schema:
        """The project's schema."""
        from heyhi.config.schema import load_schema

        return load_schema(self.project)

    @property
    def projects(self) -> list[Project]:
        """Whose experiments these are."""
        return list(dict.fromkeys(group.project for group in self.groups)) or [self.project]

    def schema_of(self, project: Project) -> Schema:
        """Return the schema of a project that experiments are of."""
        from heyhi.config.schema import load_schema

        return self.schema if project.root == self.project.root else load_schema(project)

    @cached_property
    def groups(self) -> list[Group]:
        """All that is named; sweeps and configs are expanded once, when this is first asked for.

        Raises:
            HeyhiError: something that is named is wrong; nothing was written.
        """
        groups = []
        for kind, words in groupby(self.named, key=type):
            if kind is ExperimentWord:
                groups.append(self._experiments([word for word in words if isinstance(word, ExperimentWord)]))
            else:
                groups += [self._group(word) for word in words if not isinstance(word, ExperimentWord)]
        return groups

    @property
    def words(self) -> list[str]:
        """The words that name the same again, for the command that is to be typed next."""
        return [word for group in self.groups for word in group.words]

    @property
    def is_whole(self) -> bool:
        """Whether only sweeps, manifests and configs are named, and no single experiments."""
        return all(group.is_whole for group in self.groups)

    def survey(self) -> Survey:
        """Look at the experiments now; where nothing is named, at all that are known."""
        from heyhi.control.survey import Survey

        return Survey.of_parts(self.parts())

    def parts(self, *, own: bool = False) -> list[Part]:
        """Return what a survey looks at; where nothing is named, all that is known now.

        Args:
            own: less what is only needed.
        """
        from heyhi.control.survey import Part

        if not self.named:
            return [Part.of_index(self.project)]
        return [group.part._replace(folders=group.own_folders) if own else group.part for group in self.groups]

    def sources(self) -> list[Source]:
        """Return what a report is made of, where nothing is named all that is known now.

        A sweep file that was expanded alike before isn't composed again.
        """
        from heyhi.experiment.slots import shown_folders
        from heyhi.report.known_sources import known_sources
        from heyhi.report.source import Source
        from heyhi.sweep.manifest import Manifest

        composed_again = partial(self.composed_again, is_look=True)
        if not self.named:
            return known_sources(self.project, composed_again)
        # Configs first: a wrong one is said before anything is written.
        expanded = {i: self._expand_config(w) for i, w in enumerate(self.named) if isinstance(w, ConfigWord)}
        found: list[Source] = []
        for place, word in enumerate(self.named):
            match word:
                case SweepWord(path):
                    source = Source.open(self.project, path)
                    self._say_elsewhere(str(path), source.manifest.own_folders, partial(_named_in, source.manifest))
                    found.append(source)
                case ManifestWord(path):
                    found.append(Source.of(Manifest.open(path), self.project))
                case ConfigWord():
                    found.append(Source.of_expansion(self.project, self.schema, expanded[place], word.words))
                case ExperimentWord() if place == 0 or not isinstance(self.named[place - 1], ExperimentWord):
                    beside = takewhile(lambda one: isinstance(one, ExperimentWord), self.named[place:])
                    named = (path for one in beside if isinstance(one, ExperimentWord) for path in one.folders)
                    folders = shown_folders(named)
                    found += Source.of_experiments(self.project, folders, composed_again)
        return found

    def one_experiment(self, what: str, otherwise: str = "") -> tuple[Project, str]:
        """Return the only experiment that is named, less what it needs, and its project.

        Args:
            what: is wanted of it, for the message.
            otherwise: what there is for several.

        Raises:
            HeyhiError: there is none, or there are several.
        """
        found = self.own_experiments()
        if len(found) == 1:
            return found[0]
        if not found:
            raise HeyhiError(f"{what} of which experiment? Name a target, exp path, exp id, job or config")
        raise HeyhiError(f"{what} of one experiment, and these words name {len(found)}{self.listed(found)}{otherwise}")

    def own_experiments(self) -> list[tuple[Project, str]]:
        """Return project and exp path of all that is named, less what is only needed; of trials, the experiment's."""
        from heyhi.experiment.slots import shown_folders

        found: dict[str, Project] = {}
        for group in self.groups:
            found |= dict.fromkeys(shown_folders(group.own_folders), group.project)
        return [(project, path) for path, project in found.items()]

    def listed(self, found: Sequence[tuple[Project, str]]) -> str:
        """Write the first of some experiments behind a colon."""
        names = [path.removeprefix(f"{project.results_root}/") for project, path in found[:8]]
        return f": {', '.join([*names, '…'] if len(found) > 8 else names)}" if names else ""

    def check_own(self, what: str) -> None:
        """Refuse manifests of other projects, whose experiments are started from there.

        Args:
            what: the command.

        Raises:
            ManifestError: there is one; the message names the folder to start it in.
        """
        from heyhi.sweep.manifest import check_is_of

        for group in self.groups:
            if group.manifest is not None:
                check_is_of(group.manifest, self.project, f"heyhi {what}")

    def composed_again(self, folders: Sequence[str], *, is_look: bool = False) -> Expansion:
        """Compose experiments as they are today, by what their folders or manifests say that they are.

        Args:
            folders: their exp paths.
            is_look: nothing is run by it: where a manifest is damaged, nobody needs to know where they were to run.

        Raises:
            HeyhiError: one can't be composed today, or was never started and not expanded here.
        """
        from heyhi.experiment.folder import ExperimentDir
        from heyhi.sweep.expand import expand
        from heyhi.sweep.file import file_expander
        from heyhi.sweep.label import label_of_experiments

        points, exp_ids = [], []
        for folder in folders:
            identity, given = self._identity(folder, is_look=is_look)
            points.append((self.project.root / identity.cfg, given or list(identity.overrides)))
            exp_ids.append(ExperimentDir(Path(folder), self.project.results_root).exp_id)
        label = label_of_experiments(self.project, (str(cfg) for cfg, _ in points), exp_ids)
        expand_file = file_expander(self.project, self.schema)
        return expand(self.project, self.schema, points, label=label, exp_ids=exp_ids, expand_file=expand_file)

    def _identity(self, folder: str, *, is_look: bool) -> tuple[Identity, list[str]]:
        """Return which experiment a folder is for, and its overrides as they were given, where some only schedule.

        The folder says it, else the manifest by which it would be run here; only the latter knows where it was to run.
        """
        from heyhi.experiment.folder import ExperimentDir
        from heyhi.sweep.index import damaged_manifest, no_manifest
        from heyhi.sweep.manifest import Manifest
        from heyhi.sweep.target import target_of

        identity = ExperimentDir(Path(folder)).read_identity()
        path = self._index.find_to_run(folder)
        if path is None:
            if identity is None:
                raise no_manifest(self.project, target_of(folder, self.project.root))
            return identity, []
        try:
            manifest = self._opened.get(path) or self._opened.setdefault(path, Manifest.open(path))
            target = target_of(folder, manifest.project_root)
            planned, given = manifest.experiment(target).identity, manifest.given(target)
        except ManifestError as error:
            if is_look and identity is not None:
                return identity, []
            raise damaged_manifest(self.project, target_of(folder, self.project.root), error) from None
        return (identity, given if planned == identity else []) if identity is not None else (planned, given)

    @cached_property
    def _opened(self) -> dict[Path, Manifest]:
        return {}

    @cached_property
    def _index(self) -> ManifestIndex:
        from heyhi.sweep.index import ManifestIndex

        return ManifestIndex.open(self.project)

    def manifests_to_run(self, folders: Sequence[str], *, is_look: bool = False) -> list[Manifest]:
        """Write experiments that are named themselves down as they are composed today, and return the manifests.

        Trials of a search are run by what that was expanded to: which experiments they are, is theirs to choose.

        Args:
            folders: their exp paths.
            is_look: write it where no target leads to it, so that nothing is run by it.

        Raises:
            HeyhiError: one can't be composed today, or was never started and not expanded here.
        """
        from heyhi.sweep.manifest import Manifest, looked_at_root
        from heyhi.sweep.validation import validate
        from heyhi.sweep.write_manifest import write_manifest

        manifests = self._manifests_of_trials([path for path in folders if is_slot(path)])
        folders = [path for path in folders if not is_slot(path)]
        if not folders:
            return manifests
        folder = looked_at_root(self.project) if is_look else None
        expansion = self.composed_again(folders, is_look=is_look)
        validate(self.project, self.schema, expansion)
        return [*manifests, Manifest.open(write_manifest(expansion, self.project, self.schema, folder=folder))]

    def _manifests_of_trials(self, slots: Sequence[str]) -> list[Manifest]:
        from heyhi.sweep.index import no_manifest
        from heyhi.sweep.manifest import Manifest
        from heyhi.sweep.target import target_of

        found: dict[Path, None] = {}
        for slot in slots:
            path = self._index.find_to_run(slot)
            if path is None:
                raise no_manifest(self.project, target_of(slot, self.project.root))
            found[path] = None
        return [Manifest.open(path) for path in found]

    def validate(self) -> None:
        """Have the project's own checks look at what is expanded, now or into a manifest that is named.

        Raises:
            HeyhiError: they refuse some of it.
        """
        from heyhi.sweep.validation import validate, validate_again

        for group in self.groups:
            if group.expansion is not None:
                validate(group.project, self.schema, group.expansion)
            elif group.manifest is not None and group.project.root == self.project.root:
                validate_again(group.project, group.manifest)

    def validate_experiments(self, folders: Sequence[str]) -> None:
        """Have the project's own checks look at experiments as they are composed today; what can't be, is left.

        Raises:
            HeyhiError: they refuse some of them.
        """
        from heyhi.sweep.expand import composable
        from heyhi.sweep.validation import validate

        if not self.project.settings.validate:
            return
        found, _ = composable([path for path in folders if not is_slot(path)], self.composed_again)
        if found:
            validate(self.project, self.schema, self.composed_again(found))

    # --- expanding

    def _experiments(self, words: Sequence[ExperimentWord]) -> Group:
        from heyhi.control.survey import Part

        folders = list(dict.fromkeys(folder for word in words for folder in word.folders))
        label = words[0].word if len(words) == 1 else f"{len(words)} words"
        part = Part.of_folders(self.project, folders)
        return Group(self.project, [word.word for word in words], label, part)

    def _group(self, word: SweepWord | ManifestWord | ConfigWord) -> Group:
        from heyhi.control.survey import Part

        match word:
            case ManifestWord(path, name):
                from heyhi.sweep.manifest import Manifest, project_of

                manifest = Manifest.open(path)
                project = project_of(manifest, self.project)
                part = Part.of_manifest(project, manifest)
                return Group(
                    project, [name or str(path)], manifest.label, part, manifest=manifest, sweep=manifest.sweep or ""
                )
            case SweepWord(path):
                from heyhi.sweep.file import expand_sweep_file

                expansion = _warned(expand_sweep_file(self.project, self.schema, path, progress=_counted))
                self._say_elsewhere(expansion.sweep or str(path), expansion.folders, partial(_named, expansion))
                words = [expansion.sweep or str(path)]
            case ConfigWord():
                expansion, words = _warned(self._expand_config(word)), word.words
                if word.is_new:
                    words = list(expansion.own)
        expansion = self._as_named_first(expansion)
        part = Part.of_expansion(self.project, expansion)
        return Group(self.project, words, expansion.label, part, expansion, sweep=expansion.sweep or "")

    @cached_property
    def _first(self) -> dict[str, Planned]:
        return {}  # by exp path

    def _as_named_first(self, expansion: Expansion) -> Expansion:
        """Have what an earlier word names, too, run as it says: of two values that are in no identity, one counts."""
        from heyhi.sweep.doubles import Double, double_lines

        if not self._first:  # it is the first word
            self._first.update((one.folder, one) for one in expansion.planned)
            return expansion
        planned, doubles = [], []
        for one in expansion.planned:
            first = self._first.setdefault(one.folder, one)
            if first.config != one.config and (first.needs, first.identity) == (one.needs, one.identity):
                doubles.append(Double(one.exp_id, one.task, first.config, one.config))
                one = first
            planned.append(one)
        for line in double_lines(self.schema, doubles):
            print(f"warning: {line}", file=sys.stderr)
        return replace(expansion, planned=planned) if doubles else expansion

    def _say_elsewhere(self, name: str, own: Sequence[str], named: Callable[[], list[tuple[str, Identity]]]) -> None:
        """Say where runs of a sweep's experiments lie that a script has named otherwise."""
        from heyhi.sweep.elsewhere import elsewhere_text

        if text := elsewhere_text(self.project, name, own, named):
            print(f"warning: {text}", file=sys.stderr)

    def _expand_config(self, word: ConfigWord) -> Expansion:
        from heyhi.sweep.expand import expand
        from heyhi.sweep.file import file_expander
        from heyhi.sweep.label import label_of_words

        search = word.declared_search()
        if search is not None:
            return self._expand_search(search)
        label = label_of_words(self.project, word.cfg, word.words[2:])
        today = self._name_of_today(word)
        points = _counted(word.points(today, partial(self._oneofs_first, word.cfg)))
        expansion = expand(
            self.project,
            self.schema,
            points,
            label=label,
            title=word.cfg,
            pattern=word.pattern,
            adhoc=word.adhoc,
            expand_file=file_expander(self.project, self.schema),
        )
        return replace(expansion, warnings=[*word.warnings(today), *expansion.warnings])

    def _expand_search(self, search: Search) -> Expansion:
        from heyhi.sweep.file import expand_sweep_file
        from heyhi.sweep.label import label_of_search
        from heyhi.sweep.search_expansion import expand_search

        expand_file = partial(expand_sweep_file, self.project, self.schema)
        found = expand_search(self.project, self.schema, search, expand_file, label="search", title=str(search.cfg))
        assert found.search is not None
        return replace(found, label=label_of_search(self.project, found.search))

    def _oneofs_first(self, cfg: str, keys: list[str]) -> list[str]:
        """Put swept oneofs before keys in members of theirs, so that either order of axes names the same."""
        if len(keys) == 1:
            return keys
        from heyhi.config.compose import Composer

        with contextlib.suppress(HeyhiError):  # who composes its points says what is wrong
            return Composer(self.project, self.schema, tells_renames=False).oneofs_first(cfg, keys)
        return keys

    def _name_of_today(self, word: ConfigWord) -> Callable[[str], str]:
        """Return what gives a key of a config the name that it has by now, so that it isn't taken for two."""
        if not (self.schema.has_renames and (word.axes or word.paired)):
            return str
        from heyhi.config.compose import Composer
        from heyhi.config.translation import Translation

        try:
            task = Composer(self.project, self.schema, tells_renames=False).compose(word.cfg).task
        except HeyhiError:  # who composes its points says what is wrong
            return str
        names = Translation(self.schema, self.project)
        return lambda key: names.name(key.removesuffix("+"), task) + "+" * key.endswith("+")


# --- reading words


class _Reader:
    """Read words in their order.

    Args:
        project: around the working directory.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        # Before the first config: they are its own where it is the only thing named.
        self.early: list[tuple[str, str]] = []
        self.named: list[Word] = []

    def read(self, kind: str, text: str) -> None:
        """Take one more word or option."""
        if kind == "cfg":
            if not text:
                raise SweepError("--cfg CFG: which config?")
            if text.endswith((".py", ".sqlite")):
                kind = "sweep file" if text.endswith(".py") else "manifest"
                raise SweepError(f"--cfg {text}: is a {kind}, which is named without --cfg")
            self.named.append(ConfigWord(text))
        elif kind != "word":
            self._option(kind, text)
        elif self._is_override(text):
            self._option("override", text)
        else:
            self.named.append(self._word(text))

    def end(self) -> list[Word]:
        """Return what was named.

        Raises:
            HeyhiError: something belongs to no config.
        """
        if not self.early:
            return self.named
        if len(self.named) == 1 and isinstance(config := self.named[0], ConfigWord):
            # As if they stood behind it: before what does, so that the last of two writes to a key counts.
            first = ConfigWord(config.cfg)
            for option, text in self.early:
                first = first.given(option, text)
            return [
                ConfigWord(
                    config.cfg,
                    (*first.overrides, *config.overrides),
                    (*first.axes, *config.axes),
                    (*first.paired, *config.paired),
                    first.pair or config.pair,
                    first.adhoc or config.adhoc,
                    first.pattern if config.pattern is None else config.pattern,
                    (*first.search, *config.search),
                )
            ]
        option, text = self.early[0]
        if option == "override":
            raise OverrideError(f"'{text}': overrides go with --cfg CFG and stand behind it", key=text)
        if option in ("sweep", "zip"):
            raise SweepError(f"--{option} goes with --cfg CFG, behind it; a sweep file says itself what it sweeps")
        if option in SEARCH_OPTIONS:
            where = self._words_of_search() or _SAYS_ITSELF.format("a sweep file")
            raise SweepError(f"{option_of(option)} goes with --cfg CFG; {where}")
        raise SweepError("--adhoc and --out go with --cfg CFG, behind it; a sweep file sets EXP_ID_PATTERN")

    def _words_of_search(self) -> str:
        """Say by which words the search is another one that is named itself; empty where none is."""
        from heyhi.sweep.manifest import Manifest

        if len(self.named) != 1 or not isinstance(word := self.named[0], ManifestWord):
            return ""
        with Manifest.open(word.path) as manifest:
            if manifest.search is None:
                return ""
            if manifest.sweep:
                return _SAYS_ITSELF.format(manifest.sweep)
            given = [(name, text) for name, text in self.early if name in SEARCH_OPTIONS]
            words = changed_words(manifest.words, given)
        return f"of this search: heyhi search {shell_line(words)}"

    def _option(self, option: str, text: str) -> None:
        if self.named and isinstance(config := self.named[-1], ConfigWord):
            self.named[-1] = config.given(option, text)
        else:
            self.early.append((option, text))

    def _is_override(self, text: str) -> bool:
        """Return whether a word is an override: exp ids have a `=`, too, but mostly behind a `/`."""
        key, equals, _ = text.partition("=")
        if not equals or os.path.isfile(text):  # noqa: PTH113 (never raises)
            return False
        after_config = bool(self.named) and isinstance(self.named[-1], ConfigWord)
        if "/" not in key and (after_config or not self._is_experiment(text)):
            return True
        # A map's key may hold a `/`; a word that names an experiment, or lies beside some, is none.
        return "/" in key and after_config and not self._is_experiment(text) and not _is_beside(self.project, text)

    def _is_experiment(self, text: str) -> bool:
        from heyhi.control.find import find_started

        return find_started(self.project, text) is not None

    def _word(self, text: str) -> Word:
        if not text:
            raise HeyhiError("'' is an empty word: did a command that was to print it fail?")
        if not text.isprintable():
            if any(os.path.lexists(f"{base}{text}") for base in ("", f"{self.project.root}/")):
                # Snakemake, Slurm and every table would have to take it as a part of names and lines of their own.
                raise HeyhiError(
                    f"{text!a} can't be used by this name, which has characters that can't be shown, or bytes that are"
                    f" no UTF-8: rename it\n  mv {shell_line([text, _plain(text)])}",
                    key=text,
                    fix=shell_line(["mv", text, _plain(text)]),
                )
            raise HeyhiError(f"{text!a} is no sweep file, manifest, experiment, job or config", key=text)
        if text.endswith(".py"):
            from heyhi.sweep.file import find_sweep_file

            find_sweep_file(self.project, Path(text))  # a wrong word is said before anything is expanded
            return SweepWord(Path(text))
        if text.endswith(".sqlite"):
            return ManifestWord(self._manifest(Path(text)))
        if (manifest := self._search(text)) is not None:
            return ManifestWord(manifest, text)
        from heyhi.control.find import explain_missing, find_expanded, find_job, find_started

        folder = find_started(self.project, text)
        if folder is not None:
            return ExperimentWord(text, (folder,))
        if text.endswith(".prototxt"):
            return ConfigWord(text)
        problem = ""
        if text.isdecimal():
            try:
                return ExperimentWord(text, tuple(find_job(self.project, text).folders), text)
            except HeyhiError as error:
                problem = str(error)
        config = self._config(text)
        if config is not None:
            return config
        folder = find_expanded(self.project, text)
        if folder is not None:
            return ExperimentWord(text, (folder,))
        if problem:
            raise HeyhiError(problem)
        if os.path.isfile(text):  # noqa: PTH113 (never raises)
            raise HeyhiError(
                f"'{text}' names no experiments: expected a sweep (.py), a manifest (.sqlite), a config (.prototxt),"
                " an experiment or a job",
                key=text,
            )
        told = explain_missing(self.project, text)
        # What lies in the results is nearer where it has something of such a name.
        hint = f": {told}" if any(text in told for text in ("(did you mean", "is a folder", "can't be read")) else ""
        hint = hint or suggest(text, _known_files(self.project)) or (f": {told}" if told and "/" in text else "")
        if self.named and isinstance(self.named[-1], ConfigWord):
            hint = f", and no override (key=value, or I.mount=path){hint}"
        raise HeyhiError(f"'{text}' is no sweep file, manifest, experiment, job or config{hint}", key=text)

    def _manifest(self, path: Path) -> Path:
        """Return where a manifest lies: as it is given, from here or from the project root."""
        from heyhi.sweep.manifest import Manifest, by_own_name

        inside = self.project.root / path
        place = path if os.path.isfile(path) or not os.path.isfile(inside) else inside  # noqa: PTH113 (never raises)
        with Manifest.open(place):  # raises where it is none
            return by_own_name(place, self.project)

    def _search(self, text: str) -> Path | None:
        """Return the manifest of a search that a word names by its id or folder; None where it names none.

        Raises:
            HeyhiError: it names one that was never expanded here.
        """
        from heyhi.experiment.slots import SearchDir
        from heyhi.sweep.index import ManifestIndex
        from heyhi.sweep.learned import search_id_in

        search = search_id_in(text) or search_id_in(f"{SEARCHES_NAME}/{text}")
        if not search:
            return None
        root = SearchDir(self.project.results_root, search)
        path = ManifestIndex.open(self.project).find_to_look(str(root.slot(0).path))
        if path is None and "/" in text:
            raise HeyhiError(f"'{text}' is no search that was expanded in {self.project.results_root}", key=text)
        return path

    def _config(self, text: str) -> ConfigWord | None:
        from heyhi.config.includes import ConfigFiles
        from heyhi.config.schema import load_schema

        with contextlib.suppress(ConfigError, UnknownError):
            path = ConfigFiles(self.project, load_schema(self.project)).find_config(text)
            return ConfigWord(text) if path.suffix == ".prototxt" else None
        return None


def project_for(args: argparse.Namespace) -> Project:
    """Return the project around the working directory; outside of any, that of the first manifest that is named.

    Raises:
        HeyhiError: there is none.
    """
    from heyhi.project import find_project

    try:
        return find_project()
    except NoProjectError:
        from heyhi.sweep.manifest import Manifest, project_of

        for kind, text in args.given:
            if kind == "word" and text.endswith(".sqlite") and os.path.isfile(text):  # noqa: PTH113 (never raises)
                return project_of(Manifest.open(Path(text)))
        raise


def select(project: Project, args: argparse.Namespace, *, default: bool = False) -> Selection:
    """Read what the words of a command name.

    Args:
        project: around the working directory.
        args: of the command; `given` has words and options in the order of the command line.
        default: where nothing is named, take the sweep of the settings.

    Raises:
        HeyhiError: a word names nothing, or an option belongs to nothing.
    """
    found = read_words(project, args.given)
    if getattr(args, "command", "") not in _MAKING and any(
        isinstance(word, ConfigWord) and word.is_new for word in found.named
    ):
        raise SweepError(
            "--adhoc makes new experiments each time: those that there are go by their exp ids, adhoc/<date>/<time>…,"
            " which their launch has printed and `heyhi status` lists"
        )
    if found or not default:
        return found
    from heyhi.sweep.file import default_sweep

    return Selection(project, [SweepWord(default_sweep(project))])


def read_words(project: Project, given: Iterable[tuple[str, str]]) -> Selection:
    """Read what words name.

    Args:
        project: around the working directory.
        given: words and options in the order of the command line, each with its kind.

    Raises:
        HeyhiError: a word names nothing, or an option belongs to nothing.
    """
    reader = _Reader(project)
    for kind, text in given:
        reader.read(kind, text)
    return Selection(project, reader.end())


def _is_beside(project: Project, text: str) -> bool:
    """Return whether a word leads to a folder in which experiments could lie."""
    bases = (Path.cwd(), project.root, project.results_root)
    return any(os.path.isdir((base / text).parent) for base in bases)  # noqa: PTH112 (never raises)


def _known_files(project: Project) -> Iterator[str]:
    """Name configs and sweep files as people do."""
    from heyhi.files import files_below

    found = (path for path in sorted(files_below(project.conf_root, "*")) if path.suffix in (".prototxt", ".py"))
    for path, _ in zip(found, range(_MAX_KNOWN), strict=False):
        short = path.relative_to(project.conf_root).as_posix()
        yield project.relative(path)
        if path.suffix == ".prototxt":
            yield short.removesuffix(".prototxt")


def _named(expansion: Expansion) -> list[tuple[str, Identity]]:
    own = set(expansion.own)
    return [(one.exp_id, one.identity) for one in expansion.planned if one.exp_id in own]


def _named_in(manifest: Manifest) -> list[tuple[str, Identity]]:
    rows, places = manifest.entries()
    return [(rows[place][0], rows[place][2]) for place in places]


def _warned(expansion: Expansion) -> Expansion:
    for warning in expansion.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return expansion


def _counted(points: Iterable[Point]) -> Iterator[Point]:
    """Count points on a terminal's standard error while a long expansion lasts."""
    if not sys.stderr.isatty():
        yield from points
        return
    import time

    next_time, shown = time.monotonic() + 1, False
    for index, point in enumerate(points):
        if index % 1000 == 0 and time.monotonic() > next_time:
            print(f"\r{index} experiments composed", end="", file=steering(sys.stderr), flush=True)
            next_time, shown = time.monotonic() + 0.5, True
        yield point
    if shown:
        print("\r\033[K", end="", file=steering(sys.stderr), flush=True)
