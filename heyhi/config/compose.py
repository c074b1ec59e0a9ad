"""Composing: a config file and overrides become one message, an identity, and needs.

How files are found and merged is left to `includes`, what a key does to `recipe`, what a value means to `overrides`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.chunks import MergedFile, Merging, Root
from heyhi.config.contradictions import Choices, Contradiction, choices_made
from heyhi.config.identity import ExpPattern, Identity
from heyhi.config.ignored_fields import check_ignored
from heyhi.config.includes import ConfigFiles
from heyhi.config.keys import Key, Kind, Part, choices, is_replaced, lists, value_at
from heyhi.config.order import Line, canonical_order
from heyhi.config.overrides import (
    Overrides,
    canonical_text,
    cast_value,
    keys_and_values,
    override_texts,
    parts_written,
    shown_value,
)
from heyhi.config.recipe import Recipe, Write, make_recipe, refuse_includes
from heyhi.config.renames import Pair, once_named
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema, copy_of, is_too_deep, map_strings, message_type, type_of
from heyhi.config.templates import (
    OPEN,
    best_of,
    canonical_template,
    has_need,
    names_folder,
    protect,
    replace_needs,
    replace_root,
    split_words,
    template_in,
    unprotected,
)
from heyhi.config.values import (
    NULL,
    SELECT,
    Drawn,
    Special,
    Value,
    drawn_text,
    listed,
    renamed_value,
    shorten,
    value_text,
)
from heyhi.errors import ConfigError, HeyhiError, IdentityError, NeedsError, OverrideError
from heyhi.files import parse_json, read_bounded
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass, field
from heyhi.quick_tuple import NamedTuple
from heyhi.text import quoted, quoted_words, shell_word

if TYPE_CHECKING:
    from heyhi.config.best import Best, Chosen, Winners
    from heyhi.config.kept_files import Files, KeptFiles

_ONEOF = Kind.ONEOF  # to look up a member of an enum takes as long as to cast a number
_MAX_NEEDS = 50  # that lead from one to the next: each is some frames of Python's stack


class Composed(NamedTuple):
    """A composed experiment.

    Attributes:
        identity: config and canonical overrides.
        task: name of the chosen task.
        message: root message; its `includes` are merged and gone, its templates are written out.
        needs: experiments that its strings name by `{{exp …}}`, in order of first mention.
        base: the config as it is without overrides; needs in it are as they are written.
        files: files that its strings name by `{{file …}}`, likewise; see `heyhi.config.file_needs`.
        bests: best ones of sweeps that it names and that weren't known: these stand in the message as they are
            written, and what an include of one gives is missing.
        source: where there are such, the config's file and the overrides as they were given.
    """

    identity: Identity
    task: str
    message: Message
    needs: tuple[Composed, ...]
    base: Message
    files: tuple[str, ...] = ()
    bests: tuple[Best, ...] = ()
    source: tuple[Path, Overrides] | None = None

    @property
    def task_message(self) -> Message:
        """Message of the chosen task."""
        chosen: Message = getattr(self.message, self.task)
        return chosen


@dataclass(frozen=True)
class _Start:
    """What scalar overrides are applied to: a root config with include overrides merged.

    Attributes:
        message: root message, to be copied.
        lines: the include overrides as an identity names them.
        has_needs: whether a string in it names an experiment, or has quoted braces.
        sources: files that it was merged from, those that go over others first.
        joined: keys of the lists that several files gave elements to.
        errors: what is wrong with include overrides, each with the override's index.
        bests: best ones of sweeps whose overrides come first, known or not.
        told: keys of scalar overrides -> what is told of these lists then.
    """

    message: Message
    lines: tuple[str, ...]
    has_needs: bool
    sources: tuple[MergedFile, ...]
    joined: tuple[str, ...] = ()
    errors: tuple[tuple[int, HeyhiError], ...] = ()
    bests: tuple[Best, ...] = ()
    told: dict[tuple[str, ...], list[tuple[Key, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Config:
    """A root config, and what was found out about overrides of it.

    Attributes:
        root: the config as it is without overrides.
        start: the same, as scalar overrides find it.
        first_name: path that it first had, as an identity writes it.
        recipes: the overrides' keys -> how they are applied.
        starts: keys and paths of include overrides -> what scalar overrides find then.
    """

    root: Root
    start: _Start
    first_name: str
    recipes: dict[tuple[str, ...], Recipe] = field(default_factory=dict)
    starts: dict[tuple[tuple[str, str], ...], _Start] = field(default_factory=dict)


@dataclass
class _Needs:
    """What the strings of a message name: experiments by their exp ids, files, and the best ones of sweeps."""

    needs: dict[str, Composed] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    bests: dict[Best, None] = field(default_factory=dict)


class _Include(NamedTuple):
    """An include override: its index and text, its file, and where that is merged (None: the task itself)."""

    at: int
    text: str
    path: Path
    mount: Key | None


class _Point:
    """One experiment whose overrides aren't all plain numbers, while they are written.

    Attributes:
        config: its root config.
        start: what its scalar overrides are applied to.
        overrides: as they were given.
        chain: experiments that need it, one by the other, and itself; empty where nothing needs it.
        errors: what is wrong with overrides, each with the override's index.
        lines: the scalar overrides that were written so far, in canonical form.
        cast: place among these of those that had to be cast -> line with the value.
        odd: place among these of those that clear, select or only say how a run is scheduled -> line by which an
            identity names them, None where it doesn't.
        parts: place among these of those whose value is a list, a map or a message -> lines of its parts that count,
            each with whether it only schedules.
        has_needs: whether an override names an experiment, or has quoted braces.
        has_choices: whether an override names a member of a oneof, which an identity has by the member's own key, or
            not at all where it is chosen already.
    """

    __slots__ = (
        "cast",
        "chain",
        "config",
        "errors",
        "has_choices",
        "has_needs",
        "lines",
        "odd",
        "overrides",
        "parts",
        "start",
    )

    def __init__(
        self,
        config: _Config,
        start: _Start,
        overrides: Overrides,
        chain: tuple[str, ...],
        errors: list[tuple[int, HeyhiError]],
        lines: list[str],
    ) -> None:
        self.config = config
        self.start = start
        self.overrides = overrides
        self.chain = chain
        self.errors = errors
        self.lines = lines
        self.cast: dict[int, Line] = {}
        self.odd: dict[int, Line | None] = {}
        self.parts: dict[int, list[tuple[Line, bool]]] = {}
        self.has_needs = False
        self.has_choices = False

    @property
    def asking(self) -> tuple[str, ...]:
        """Experiments on whose behalf its needs are composed: those that need it, and itself."""
        return self.chain or (_experiment_text(self.config.root.name, self.overrides),)


class Composer:
    """The composer of one project's experiments; it reads and parses each file once.

    Args:
        project: where configs are looked up.
        schema: what they must fit.
        include_dirs: further folders in which includes are looked up, before those of the project's settings.
        tells_renames: warn of earlier names that are met.
        files: config files that were read before, in place of the project's.
        find_need: function that finds an experiment by the words of a need; default: it is composed.
        winners: what the best ones of sweeps have turned out to be; None: nobody knows yet.

    Raises:
        ProjectError: a pattern of the settings that names keys is like none.
    """

    def __init__(
        self,
        project: Project,
        schema: Schema,
        include_dirs: tuple[Path, ...] = (),
        *,
        tells_renames: bool = True,
        files: Files | None = None,
        find_need: Callable[[str], Composed] | None = None,
        winners: Winners | None = None,
    ) -> None:
        self.project = project
        self.schema = schema
        self._tells_renames = tells_renames
        self._files: Files = files or ConfigFiles(project, schema, include_dirs)
        self._find_need = find_need
        self._winners = winners
        if files is None:
            check_ignored(project, schema)
        self._scheduling = Scheduling(project.settings.identity_ignore)
        self._configs: dict[Path, _Config] = {}
        self._by_cfg: dict[str | Path, _Config] = {}  # the same by what callers name them
        self._needs: dict[str, Composed | HeyhiError] = {}
        self._needs_by_id: dict[str, Composed] = {}
        self._notes: dict[str, None] = {}
        self._literals: dict[str, str] = {}  # keys whose values quote a template -> what is said of the first of these
        self._replaced: dict[str, dict[str, None]] = {}  # include overrides -> those that come in their place

    @property
    def files(self) -> frozenset[Path]:
        """Config files that were read so far."""
        return self._files.paths

    @property
    def warnings(self) -> list[str]:
        """What a user should know of the configs that were composed so far."""
        replaced = []
        for text, others in self._replaced.items():
            come = "comes" if len(others) == 1 else "come"
            replaced.append(f"override '{shorten(text)}' counts for nothing: {listed(others)} {come} in its place")
        return [*self._files.notes, *self._notes, *self._literals.values(), *replaced]

    def _note(self, *notes: str) -> None:
        self._notes.update(dict.fromkeys(notes))

    @cached_property
    def _pattern(self) -> ExpPattern:
        return ExpPattern(self.project)

    def compose(self, cfg: str | Path, overrides: Overrides = (), *, as_typed: bool = False) -> Composed:
        """Compose one experiment: file with its includes, include overrides, scalar overrides.

        Args:
            cfg: config file: absolute, or relative to the working directory, the project root or its conf folder;
                `.prototxt` may be left out.
            overrides: `key=value` texts, or a mapping of keys to values.
            as_typed: they are what somebody asks for, and may not contradict one another; what is on record may.

        Raises:
            ConfigError: a file is missing or wrong.
            OverrideError: overrides are wrong; the message names all of them, a line each.
            NeedsError: experiments need one another in a circle.
        """
        return self._compose(self._config_of(cfg), overrides, (), as_typed=as_typed)

    def choices(self, cfg: str | Path, overrides: Overrides) -> Choices | None:
        """Find what overrides choose in oneofs; None where no two of them can choose in the same.

        Args:
            cfg: as for `compose`.
            overrides: likewise; their places are those in here.

        Raises:
            ConfigError: the config is missing or wrong.
        """
        config = self._config_of(cfg)
        keys, raw, errors = keys_and_values(overrides)
        recipe = config.recipes.get(keys) or self._recipe(config, keys)
        return _choices_made(recipe, raw) if recipe.may_contradict and not errors else None

    def may_contradict(self, cfg: str | Path, overrides: Overrides) -> bool:
        """Return whether two of some overrides, by other values, could choose different members of one oneof.

        Args:
            cfg: as for `compose`.
            overrides: likewise; only their keys count.

        Raises:
            ConfigError: the config is missing or wrong.
        """
        config = self._config_of(cfg)
        keys, _, _ = keys_and_values(overrides)
        return (config.recipes.get(keys) or self._recipe(config, keys)).may_contradict

    def oneofs_first(self, cfg: str | Path, keys: Sequence[str]) -> list[str]:
        """Put the keys of oneofs before those that lie in members of these, and leave the order otherwise.

        Args:
            cfg: as for `compose`.
            keys: of overrides.

        Raises:
            ConfigError: the config is missing or wrong.
        """
        config = self._config_of(cfg)
        found = {keys[write.at]: write.key for write in self._recipe(config, tuple(keys)).writes}
        left, ordered = list(keys), list[str]()
        while left:
            oneofs = {found[one].text for one in left if one in found and found[one].kind is _ONEOF}
            hangs = {one for one in left if one in found and any(name in oneofs for name, _ in choices(found[one]))}
            ready = next(one for one in left if one not in hangs)
            left.remove(ready)
            ordered.append(ready)
        return ordered

    def _config_of(self, cfg: str | Path) -> _Config:
        config = self._by_cfg.get(cfg)
        if config is None:
            config = self._by_cfg[cfg] = self._config(self.find_config(cfg))
        return config

    def find_config(self, cfg: str | Path, *, cwd: bool = True) -> Path:
        """Find a root config's file.

        Args:
            cfg: as for `compose`.
            cwd: look in the working directory, too.

        Raises:
            ConfigError: it doesn't exist; the message names the nearest ones.
        """
        return self._files.find_config(cfg, cwd=cwd)

    def keep(self, cfg: str | Path, includes: Iterable[tuple[str, str]]) -> KeptFiles:
        """Keep what a config and some include overrides of it read, so that it can be composed without the files.

        Args:
            cfg: as for `compose`.
            includes: key and path of each of them.

        Raises:
            HeyhiError: the config is wrong, or what an override includes.
        """
        if not isinstance(self._files, ConfigFiles):
            return self._files
        from heyhi.config.kept_files import KeptFiles  # only what names the best of a sweep is kept

        return KeptFiles.of(self._files, self.project, self.schema, self.find_config(cfg), includes)

    def find_need(self, words: str, cfg: str, overrides: Overrides) -> Composed:
        """Compose an experiment that another one needs.

        Args:
            words: by which that names it.
            cfg: config of the other one.
            overrides: of the other one.

        Raises:
            HeyhiError: it can't be composed.
        """
        return self._need(words, (_experiment_text(cfg, overrides),))

    def need_path(self, composed: Composed) -> Path:
        """Return the exp path of an experiment that another one needs: always by the default pattern."""
        return self._pattern.exp_path(self._exp_id(composed))

    def write_out_templates(self, message: Message, name: str) -> None:
        """Write out the project root and the folders of needs in a message that is no root config.

        Args:
            message: is changed.
            name: of what holds it, for errors.

        Raises:
            HeyhiError: a need can't be composed.
        """
        map_strings(message, lambda text: replace_root(text, str(self.project.root)))
        self._resolve_needs(message, (quoted(name),))

    def _config(self, path: Path) -> _Config:
        config = self._configs.get(path)
        if config is None:
            root = self._files.root(path)
            start = _Start(root.message, (), root.has_needs, root.sources, root.joined)
            config = self._configs[path] = _Config(root, start, self._files.first_name(root.name))
        return config

    # --- one experiment -------------------------------------------------------------------------------------------
    #
    # Example: conf/c02_sup_train/sl.prototxt with {"lr": 0.1, "launcher.slurm.hours": 4, "sgd": None}.
    #   recipe    writes lr, launcher.slurm.hours (ignored: it only schedules) and sgd
    #   start     the config's own message, since there are no include overrides
    #   plain     lr; the next two have to be looked at: one is ignored, the other has no number
    #   lines     lr=0.1, launcher.slurm.hours=4, sgd=NULL
    #   odd       1: None, since it changes nothing that counts; 2: sgd=NULL
    #   identity  (conf/c02_sup_train/sl.prototxt, lr=0.1, sgd=NULL)

    def _compose(
        self, config: _Config, overrides: Overrides, chain: tuple[str, ...], *, as_typed: bool = False
    ) -> Composed:
        """Compose one experiment, which is needed by those in a chain, one by the other."""
        # A large sweep spends its time here: what is the same for all its points is found once.
        root = config.root
        if chain:
            chain = _grown(chain, _experiment_text(root.name, overrides))
        keys, raw, errors = keys_and_values(overrides, config.recipes)
        recipe = config.recipes.get(keys) or self._recipe(config, keys)
        start = self._start(config, recipe, keys, raw) if recipe.includes else config.start
        if recipe.errors or start.errors:
            errors += [*recipe.errors, *start.errors]
        if self.schema.has_renames and isinstance(overrides, Mapping):
            errors += _given_twice(recipe, keys)
        if as_typed and recipe.may_contradict:
            errors += _contradictions(recipe, raw)
        message = copy_of(start.message)
        task: Message = getattr(message, root.task)
        found: _Needs | None = None  # mostly there are none
        lines = _write_plain(recipe, raw, task)
        if len(lines) == len(recipe.writes) and not (errors or start.has_needs or recipe.has_lists):
            named = [lines[i] for i in recipe.order]
        else:
            point = _Point(config, start, overrides, chain, errors, lines)
            self._write_rest(point, recipe, raw, task)
            if errors:
                raise _joined(errors)
            named = self._named(point, recipe, raw, task)
            if start.has_needs or point.has_needs:
                found = self._resolve_needs(message, point.asking)
        is_open = bool(start.bests) and self._winners is None
        if self.schema.has_required and not is_open and not message.IsInitialized():
            raise _unset(message, root)
        if start.joined:
            self._tell_joined(config, start, recipe, task)
        identity = Identity(config.first_name, (*start.lines, *named))
        needs: tuple[Composed, ...] = ()
        files: tuple[str, ...] = ()
        bests = start.bests
        if found is not None:
            needs, files = tuple(found.needs.values()), tuple(found.files)
            bests = tuple(dict.fromkeys([*bests, *found.bests]))
        if self._winners is not None:
            bests = ()
        source = (root.path, overrides) if bests else None
        return Composed(identity, root.task, message, needs, root.message, files, bests, source)

    def _recipe(self, config: _Config, keys: tuple[str, ...]) -> Recipe:
        task = message_type(self.schema.tasks[config.root.task])
        recipe = config.recipes[keys] = make_recipe(self.schema, task, keys, self._scheduling)
        found = [*(mount for _, mount in recipe.includes), *(write.key for write in recipe.writes)]
        self._tell(pair for key in found if key is not None for pair in key.renamed)
        return recipe

    def _tell(self, renamed: Iterable[Pair]) -> None:
        if self._tells_renames:
            self._files.tell(renamed)

    def _write_rest(self, point: _Point, recipe: Recipe, raw: Sequence[object], task: Message) -> None:
        """Cast and write the values that `_write_plain` has left, and note how an identity names them."""
        errors, lines = point.errors, point.lines
        for write in recipe.writes[len(lines) :]:
            given = raw[write.at]
            try:
                value: Value
                if type(given) is write.plain and write.low <= given <= write.high:
                    value, line = given, write.head + write.text(given)
                else:
                    as_text = self._as_text(write.key, given)
                    if write.adds or (write.is_composite and as_text not in ("NULL", "SELECT")):
                        self._write_parts(point, write, as_text, task)
                        continue
                    value = cast_value(write.key, as_text)
                    self._tell_value(write.key, as_text)
                    cast = self._named_line(point, Part(write.key, value, value != as_text))
                    self._tell_literal(write.key, value, as_text)
                    point.cast[len(lines)] = cast
                    value, line = cast.value, cast.text
                if write.key.kind is _ONEOF and value is not NULL:
                    point.has_choices = True
                    point.odd[len(lines)] = self._choice(task, write.key, str(value), is_open=bool(point.start.bests))
                elif write.is_ignored:
                    point.odd[len(lines)] = self._scheduling.line_that_counts(task, Line(write.key, value, line))
                elif type(value) is Special:
                    point.odd[len(lines)] = Line(write.key, value, line)
                lines.append(line)
                if not errors:
                    write.apply(task, value)
            except HeyhiError as error:
                errors.append((write.at, self._located(error, point, write, given)))

    def _choice(self, task: Message, key: Key, name: str, *, is_open: bool) -> Line | None:
        """Return how an identity names a oneof's choice: as an empty member, None where that is chosen already.

        Args:
            task: as it is before.
            key: of the oneof.
            name: of the member.
            is_open: nobody knows yet what is chosen before.
        """
        if key.chosen(task) == name and not is_open:
            return None
        member = key.member(name)
        line = Line(member, SELECT, f"{member.first_text}={SELECT.value}")
        return self._scheduling.line_that_counts(task, line) if self._scheduling.ignores(member.text) else line

    def _as_text(self, key: Key, given: object) -> str:
        if type(given) is Drawn and key.kind is Kind.SCALAR:
            return drawn_text(key.field, given)
        return given if type(given) is str else value_text(given)

    def _tell_literal(self, key: Key, value: object, text: str) -> None:
        """Note that a value is just text by its quotes, though what they hold looks like a template."""
        if OPEN in text and isinstance(value, str) and value != text and (template := template_in(value)):
            without = shell_word(f"{key.text}={value}") if text.startswith('"') else template
            self._literals.setdefault(
                key.text,
                f"key '{key.text}': {shorten(text)} is just text, since it has double quotes of its own: without them"
                f" it is a template, {shorten(without)}",
            )

    def _tell_value(self, key: Key, text: str) -> None:
        """Note that a value of an enum, or the member of a oneof, was given by an earlier name."""
        if key.kind is _ONEOF and text not in key.members and (known := once_named(key.choices, text)) is not None:
            self._tell([(text, known.name)])
        if key.kind is Kind.SCALAR and (renamed := renamed_value(key.field, text)) is not None:
            self._tell([renamed])

    def _write_parts(self, point: _Point, write: Write, text: str, task: Message) -> None:
        """Write the parts of a list, a map or a message, and note how an identity names those that count."""
        kind = type_of(task)
        check = partial(refuse_includes, self.schema, kind)
        if self.schema.has_renames:
            from heyhi.config.value_names import value_of_today  # most have none

            self._tell(value_of_today(write.key.field, text)[1])
        found: list[tuple[Line, bool]] = []
        for part in parts_written(write.key, text, task, adds=write.adds, check=check):
            line = self._named_line(point, part)
            if part.is_literal:
                self._tell_literal(part.key, part.value, text)
            is_ignored = self._scheduling.ignores(line.key.text)
            counts = self._scheduling.line_that_counts(task, line) if is_ignored else line
            if counts is not None:
                found.append((counts, is_ignored))
            if not point.errors:
                line.key.apply(task, line.value)
        point.parts[len(point.lines)] = found
        point.lines.append("")

    def _named_line(self, point: _Point, part: Part) -> Line:
        """Return a write with its value as it is written, and as an identity names it."""
        key, value, is_literal = part
        head = f"{key.first_text}="
        if (
            type(value) is str
            and "${" in value
            and self._tells_renames
            and key.field.type == FieldDescriptor.TYPE_STRING
        ):
            from heyhi.config.interpolations import interpolation_note  # for a value in which nothing is put

            task = message_type(self.schema.tasks[point.config.root.task])
            if note := interpolation_note(task, key.text, value):
                self._note(note)
        if type(value) is not str or OPEN not in value or key.field.type != FieldDescriptor.TYPE_STRING:
            return Line(key, value, head + canonical_text(key, value))
        if is_literal:
            point.has_needs = True
            return Line(key, protect(value), head + canonical_text(key, value), protect(value))
        if not names_folder(value):
            point.has_needs |= has_need(value)
            return Line(key, value, head + canonical_text(key, unprotected(value)), value)
        written, named = self._template(point, value)
        return Line(key, written, head + named, named)

    def _template(self, point: _Point, value: str) -> tuple[str, str]:
        """Return a string with templates as it is written, and as an identity names it: needs by their exp ids."""
        if "\0" in value:
            raise OverrideError("a string with {{…}} in it can't have a NUL character")
        from heyhi.config.file_needs import named_file  # most values have no templates

        chain = point.asking
        root = str(self.project.root)
        named = canonical_template(
            value,
            lambda words: self._exp_id(self._need(words, chain)),
            lambda words: named_file(words, root),
            lambda words: self._best(words).words,
        )
        written = replace_root(value, root)
        point.has_needs |= has_need(written)
        return written, named

    def _located(self, error: HeyhiError, point: _Point, write: Write, raw: object) -> HeyhiError:
        """Add to an override's error its text, and where a file sets its key."""
        if not isinstance(error, OverrideError):
            return error
        place = self._files.locate(point.start.sources, write.key)
        where = f"; {place} sets it" if place else ""
        text = f"{write.key.text}{'+' * write.adds}={shorten(shown_value(raw))}"
        return OverrideError(f"override '{text}': {error}{where}")

    # --- include overrides ----------------------------------------------------------------------------------------

    def _start(self, config: _Config, recipe: Recipe, keys: Sequence[str], values: Sequence[object]) -> _Start:
        named = tuple((keys[index], shown_value(values[index])) for index, _ in recipe.includes)
        start = config.starts.get(named)
        if start is None:
            start = config.starts[named] = self._merge_includes(config.root, recipe, named)
        return start

    def _merge_includes(self, root: Root, recipe: Recipe, named: Sequence[tuple[str, str]]) -> _Start:
        """Merge include overrides, given by their keys and paths, into a root config."""
        message = copy_of(root.message)
        task: Message = getattr(message, root.task)
        merging = Merging(task, root.has_needs, root.sources, joined=list(root.joined))
        errors: list[tuple[int, HeyhiError]] = []
        found: list[_Include] = []
        bests = self._best_includes(recipe, named, errors)
        lines = [f"I={{{{best {one.words}}}}}" for one in bests]
        try:
            chosen_ones = [self._chosen(one) for one in bests] if self._winners is not None else []
        except HeyhiError as error:  # it isn't what they give that is wrong
            chosen_ones = []
            errors.append((-1, error))
        try:
            if chosen_ones:
                self._write_best(root, merging, [line for one in chosen_ones for line in one.overrides])
        except HeyhiError as error:
            names = listed([one.text for one in bests])
            errors.append((-1, type(error)(f"{names} has what {root.name} can't take over: {error}")))
        told = {index for index, _ in errors}
        for (index, mount), (key, name) in zip(recipe.includes, named, strict=True):
            text = f"{key}={name}"
            try:
                if index in told or (OPEN in name and best_of(name) is not None):
                    continue
                place = replace_root(name, str(self.project.root))
                chosen = _chosen_member(task, mount, found)
                found.append(_Include(index, text, *self._files.find_mounted(place, mount, root.path.parent, chosen)))
            except HeyhiError as error:
                errors.append((index, OverrideError(f"override '{shorten(text)}': {error}")))
        for include in self._without_replaced(found):
            try:
                lines += self._merge_include(root, merging, include)
                if is_too_deep(message):
                    raise OverrideError("is nested too deeply")
            except HeyhiError as error:
                errors.append((include.at, OverrideError(f"override '{shorten(include.text)}': {error}")))
        joined = tuple(dict.fromkeys(merging.joined))
        return _Start(message, tuple(lines), merging.has_needs, merging.sources, joined, tuple(errors), tuple(bests))

    def _best_includes(
        self, recipe: Recipe, named: Sequence[tuple[str, str]], errors: list[tuple[int, HeyhiError]]
    ) -> list[Best]:
        """Return the best ones of sweeps that include overrides name, and note what is wrong with these."""
        found: dict[Best, None] = {}
        for (index, mount), (key, name) in zip(recipe.includes, named, strict=True):
            try:
                words = best_of(name) if OPEN in name else None
                if words is not None and mount is not None:
                    raise OverrideError("the overrides of an experiment start below its task: I={{best …}}")
                if words is not None:
                    found[self._best(words)] = None
            except HeyhiError as error:
                errors.append((index, OverrideError(f"override '{shorten(f'{key}={name}')}': {error}")))
        return list(found)

    def _write_best(self, root: Root, merging: Merging, overrides: Sequence[str]) -> None:
        """Write overrides that others take over from an experiment, before their own.

        Raises:
            OverrideError: they don't fit this config.
        """
        keys, raw, _ = keys_and_values(overrides)
        config = _Config(root, _Start(root.message, (), root.has_needs, root.sources, root.joined), "")
        recipe = self._recipe(config, keys)
        start = self._start(config, recipe, keys, raw) if recipe.includes else config.start
        point = _Point(config, start, overrides, (), [*recipe.errors, *start.errors], [])
        merging.message.CopyFrom(getattr(start.message, root.task))
        self._write_rest(point, recipe, raw, merging.message)
        if point.errors:
            raise _joined(point.errors)
        merging.has_needs |= start.has_needs or point.has_needs
        merging.sources = start.sources

    def _tell_joined(self, config: _Config, start: _Start, recipe: Recipe, task: Message) -> None:
        """Note what several files made of lists, but of those that overrides replaced.

        Args:
            config: root config.
            start: what was merged.
            recipe: of the overrides.
            task: as they have left it.
        """
        written = tuple(f"{write.key.text}{'+' * write.adds}" for write in recipe.writes)
        told = start.told.get(written)
        if told is None:
            merged: Message = getattr(start.message, config.root.task)
            told = start.told[written] = self._files.joined_lists(merged, start.joined, start.sources, written)
        self._note(*(note for key, note in told if value_at(task, key)))

    def _without_replaced(self, includes: Sequence[_Include]) -> list[_Include]:
        """Leave out include overrides in whose place later ones come."""
        kept: list[_Include] = []
        for include in includes:
            replaced = [one for one in kept if is_replaced(one.mount, include.mount)]
            for one in replaced:
                if one.text != include.text:
                    self._replaced.setdefault(one.text, {})[include.text] = None
            # An element keeps its place: those behind it may hang on that.
            stays = include.mount is not None and bool(lists(include.mount))
            place = kept.index(replaced[0]) if replaced and stays else len(kept) - len(replaced)
            kept = [one for one in kept if one not in replaced]
            kept.insert(place, include)
        return kept

    def _merge_include(self, root: Root, merging: Merging, include: _Include) -> list[str]:
        """Merge one file into a task.

        Returns:
            the line by which an identity names it, none where it only says how to schedule.
        """
        task, mount = merging.message, include.mount
        kind = type_of(task) if mount is None else message_type(mount.field)
        chunk = self._files.chunk(include.path, kind, (root.path,))
        counted = self._scheduling.counted(chunk.message, "" if mount is None else f"{mount.text}.")
        before = self._scheduling.counted(task)
        target = task if mount is None else mount.reach(task)
        if mount is not None and merging.has_merged(include.path, mount):
            chunk = chunk.again_into(target)
        merging.add(chunk, mount, target)
        if not counted and before == self._scheduling.counted(task):
            return []
        first_path = self._files.first_name(self.project.relative(include.path))
        return [f"{'I' if mount is None else f'I.{mount.first_text}'}={first_path}"]

    # --- naming ---------------------------------------------------------------------------------------------------

    def _named(self, point: _Point, recipe: Recipe, raw: Sequence[Any], task: Message) -> list[str]:
        """Return a point's scalar overrides as its identity names them, in canonical order."""
        lines, odd = point.lines, point.odd
        if not (any(odd.values()) or point.parts or point.has_choices or recipe.has_lists):
            return [lines[i] for i in recipe.order]
        applied: list[Line] = []
        doubtful: list[Line] = []  # of those that only schedule: they may change what counts
        for i, write in enumerate(recipe.writes):
            if i in point.parts:
                applied += [line for line, _ in point.parts[i]]
                doubtful += [line for line, is_ignored in point.parts[i] if is_ignored]
                continue
            line = odd[i] if i in odd else point.cast.get(i) or Line(write.key, _plain(write, raw[write.at]), lines[i])
            if line is not None:
                applied.append(line)
                if write.is_ignored or (point.has_choices and self._scheduling.ignores(line.key.text)):
                    doubtful.append(line)
        if point.start.bests:  # what they come to isn't known before these are
            marks = tuple(line.value if isinstance(line.value, Special) else None for line in applied)
            return [applied[i].text for i in canonical_order([line.key for line in applied], marks)]
        if doubtful:
            applied = self._without_idle(point, task, applied, doubtful)
        marks = tuple(line.value if isinstance(line.value, Special) else None for line in applied)
        if doubtful or point.parts or point.has_choices or recipe.is_named_together(marks):
            from heyhi.config.normal_form import named_lines  # most overrides stand for themselves

            start: Message = getattr(point.start.message, point.config.root.task)
            return [line.text for line in named_lines(start, applied)]
        return [applied[i].text for i in recipe.order_with(marks)]

    def _without_idle(self, point: _Point, task: Message, applied: list[Line], doubtful: Sequence[Line]) -> list[Line]:
        """Leave out the doubtful ones of some overrides without which the same counts in the end."""
        wanted = self._scheduling.counted(task)
        for line in doubtful:
            others = [other for other in applied if other is not line]
            # Together with those that it makes way with: what was chosen only to be left again names nothing.
            for fewer in (others, [other for other in others if not is_replaced(other.key, line.key)]):
                if self._counted_after(point, fewer) == wanted:
                    applied = fewer
                    break
        return applied

    def _counted_after(self, point: _Point, applied: Sequence[Line]) -> list[str] | None:
        """List what counts after some overrides of a point, None where they can't be applied."""
        message = copy_of(point.start.message)
        task: Message = getattr(message, point.config.root.task)
        try:
            for line in applied:
                line.key.apply(task, line.value)
        except OverrideError:
            return None
        return self._scheduling.counted(task)

    # --- needs ----------------------------------------------------------------------------------------------------

    def _exp_id(self, composed: Composed) -> str:
        return self._pattern.exp_id(composed.identity)

    def _resolve_needs(self, message: Message, chain: tuple[str, ...]) -> _Needs:
        """Write out the needs in a message, and return them."""
        found = _Needs()
        root = str(self.project.root)

        def folder(words: str) -> str:
            need = self._need(words, chain)
            found.needs.setdefault(self._exp_id(need), need)
            return str(self.need_path(need))

        def file(words: str) -> str:
            from heyhi.config.file_needs import named_file, path_of_file  # most need none

            found.files[(name := named_file(words, root))] = None
            return path_of_file(name, root)

        def best(words: str) -> str:
            found.bests[(one := self._best(words))] = None
            return f"{{{{best {one.words}}}}}" if self._winners is None else self._chosen(one).folder

        map_strings(message, lambda text: replace_needs(text, folder, file, best))
        return found

    def _chosen(self, best: Best) -> Chosen:
        chosen = self._winners(best.words) if self._winners is not None else None
        if chosen is None:
            raise NeedsError(f"{best.text} isn't chosen yet")
        return chosen

    def _best(self, words: str) -> Best:
        from heyhi.config.best import Best  # most need none

        return Best.parse(words, str(self.project.root))

    def _need(self, words: str, chain: tuple[str, ...]) -> Composed:
        """Compose what a need names: `CFG [OVERRIDE …]`, or the exp id of an experiment that was composed before."""
        if self._find_need is not None:
            return self._find_need(words)
        need = self._needs.get(words)
        if need is None:
            try:
                need = self._compose_need(words, chain)
            except NeedsError:
                raise  # a circle is one only in its chain
            except HeyhiError as error:
                need = error
            self._needs[words] = need
        if isinstance(need, HeyhiError):
            import shlex  # nothing else here takes words apart

            by, *_ = shlex.split(chain[-1])  # without its overrides: the points of a sweep share one error
            raise type(need)(f"{by} needs {words}: {need}")
        return need

    def _compose_need(self, words: str, chain: tuple[str, ...]) -> Composed:
        try:
            cfg, *overrides = split_words(words)
        except ValueError as error:
            raise OverrideError(f"{error}: expected {{{{exp CFG [OVERRIDE …]}}}}") from None
        cfg = replace_root(cfg, str(self.project.root))
        try:
            path = self._files.find_config(cfg, cwd=False)
        except ConfigError:
            known = None if overrides else self._known(cfg, chain)
            if known is None:
                raise
            return known
        need = self._compose(self._config(path), overrides, chain)
        self._needs_by_id[self._exp_id(need)] = need
        return need

    def _known(self, exp_id: str, chain: tuple[str, ...]) -> Composed | None:
        """Compose again an experiment that is named by its exp id, as identities name needs."""
        found = self._needs_by_id.get(exp_id)
        if found is not None:
            return found
        try:
            data = parse_json(read_bounded(self.project.results_root / exp_id / "identity.json"))
            identity = Identity.from_dict(data)
        except (OSError, ValueError, IdentityError):
            return None
        config = self._config(self._files.find_config(identity.cfg, cwd=False))
        composed = self._compose(config, identity.overrides, chain)
        return composed if self._exp_id(composed) == exp_id else None


def _write_plain(recipe: Recipe, raw: Sequence[object], task: Message) -> list[str]:
    """Write values up to the first that has to be cast, or can't be written; return their canonical lines."""
    lines: list[str] = []
    # Taken apart at once: to look up each field takes as long as to write the value.
    for write in recipe.writes:
        at, _, head, apply, plain, low, high, text, *_ = write
        value = raw[at]
        if type(value) is Drawn:
            value = _plain(write, value)
        if type(value) is not plain or not low <= value <= high:
            break
        try:
            apply(task, value)
        except OverrideError:
            break
        lines.append(head + text(value))
    return lines


def _plain(write: Write, value: Any) -> Any:
    """Return a drawn number as one that the field of a write takes; any other value as it is."""
    if type(value) is not Drawn:
        return value
    return float(value) if write.plain is float else round(value)


def _chosen_member(task: Message, mount: Key | None, before: Sequence[_Include]) -> str | None:
    """Return which member of the oneof at a mount is chosen in a task, or by the last include override that does so."""
    if mount is None or mount.kind is not _ONEOF:
        return None
    found = [member for one in before if one.mount for oneof, member in choices(one.mount) if oneof == mount.text]
    return found[-1] if found else mount.chosen(task)


def _given_twice(recipe: Recipe, keys: Sequence[str]) -> Iterator[tuple[int, HeyhiError]]:
    """Yield an error for each key of a mapping that is another name of one before it: nobody means both."""
    before: dict[tuple[str, bool], Write] = {}
    for write in recipe.writes:
        other = before.setdefault((write.key.text, write.adds), write)
        appends = any(step.index == -1 for step in write.key.steps)
        if other is not write and not appends and (write.key.renamed or other.key.renamed):
            same = f"'{shorten(keys[other.at])}' and '{shorten(keys[write.at])}' are one and the same key"
            yield write.at, OverrideError(f"{same}, which is called '{shorten(write.key.text)}' today")


def _choices_made(recipe: Recipe, raw: Sequence[object]) -> Choices:
    """Find what overrides choose in oneofs; their places are those among all overrides."""
    found = choices_made([(write.key, shown_value(raw[write.at])) for write in recipe.writes])
    at = [write.at for write in recipe.writes]

    def placed(one: Contradiction) -> Contradiction:
        return one._replace(first=at[one.first], second=at[one.second])

    return Choices(
        [placed(one) for one in found.clashing],
        {at[place]: (placed(one), member) for place, (one, member) in found.outside.items()},
        {at[place] for place in found.inside},
    )


def _contradictions(recipe: Recipe, raw: Sequence[object]) -> Iterator[tuple[int, HeyhiError]]:
    """Yield an error for each two overrides that choose different members of one oneof."""
    found = _choices_made(recipe, raw)
    keys = {write.at: write.key.text for write in recipe.writes}
    texts = {one.at: f"{keys[one.at]}{'+' * one.adds}={shown_value(raw[one.at])}" for one in recipe.writes}
    for one in (*found.clashing, *(one for one, _ in found.outside.values())):
        yield one.second, one.error(texts, keys[one.second])


def _joined(errors: list[tuple[int, HeyhiError]]) -> HeyhiError:
    """Make one error of all that overrides got wrong, in their order."""
    ordered = [error for _, error in sorted(errors, key=lambda item: item[0])]
    return ordered[0].anew() if len(ordered) == 1 else OverrideError("\n".join(map(str, ordered)))


def _unset(message: Message, root: Root) -> ConfigError:
    missing: list[str] = message.FindInitializationErrors()  # type: ignore[attr-defined]  # the stubs lack it
    names = ", ".join(name.removeprefix(f"{root.task}.") for name in missing)
    return ConfigError(f"{root.name}: required fields are not set: {names}")


def _experiment_text(cfg: str, overrides: Overrides) -> str:
    """Write an experiment as a command line would."""
    return quoted_words([cfg, *override_texts(overrides)])


def _grown(chain: tuple[str, ...], label: str) -> tuple[str, ...]:
    """Add an experiment to those that need it, one after the other."""
    if label in chain:
        circle = [*chain[chain.index(label) :], label]
        raise NeedsError(f"experiments need one another in a circle: {' -> '.join(circle)}")
    if len(chain) >= _MAX_NEEDS:
        raise NeedsError(f"{chain[0]}: needs lead through more than {_MAX_NEEDS} experiments, up to {shorten(label)}")
    return (*chain, label)
