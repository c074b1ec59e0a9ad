"""Owns sweeps: points by grid, random draw or sweep file, and their expansion into experiments, all checked at once."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import itertools
import json
import math
import os
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from heyhi.compose import Composed, Composer, Overrides
from heyhi.errors import HeyhiError, SweepError, suggest
from heyhi.experiment import IDENTITY_NAME, Experiment, ExperimentDir
from heyhi.identity import ExpPattern, Identity
from heyhi.overrides import value_text
from heyhi.project import Project
from heyhi.schema import Schema

Point = tuple[str | Path, Overrides]
_MAX_SHOWN = 20  # groups of errors, and points of a group, that a message names
_DIGITS = 6  # significant digits of a drawn number: enough for any search, and a path stays readable
_CALL = re.compile(r"(\w+)\((.*)\)", re.DOTALL)


class Planned(NamedTuple):
    """Hold one experiment of an expansion, as lightly as a sweep of 100,000 wants it.

    Attributes:
        folder: exp path (absolute).
        needs: exp paths of what it needs.
    """

    exp_id: str
    folder: str
    identity: Identity
    task: str
    config: bytes
    needs: tuple[str, ...]
    resources: dict[str, int | str]

    def experiment(self, roots: Mapping[str, str]) -> Experiment:
        """Return the same as an experiment."""
        path, needs = Path(self.folder), tuple(map(Path, self.needs))
        return Experiment(self.exp_id, path, self.identity, self.task, self.config, needs, self.resources, roots)


@dataclass(frozen=True)
class Expansion:
    """Hold the experiments of a sweep, composed and checked.

    Attributes:
        planned: all of them, each after what it needs.
        own: exp ids of the sweep's own, in its order; the others are there because these need them.
        warnings: what a user should know before starting it.
        label: name for reports and manifests, `[A-Za-z0-9._-]`.
        sweep: sweep file, relative to the project root.
        pattern: exp id pattern of the sweep's own experiments.
        roots: the project's and the results' folders.
        files: configs that were read.
    """

    planned: list[Planned]
    own: list[str]
    warnings: list[str] = field(default_factory=list)
    label: str = "sweep"
    sweep: str | None = None
    pattern: str | None = None
    roots: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[Path] = frozenset()

    @cached_property
    def experiments(self) -> list[Experiment]:
        """All experiments, each after what it needs."""
        return [p.experiment(self.roots) for p in self.planned]

    @property
    def folders(self) -> list[str]:
        """Exp paths of the sweep's own experiments, in its order."""
        found = {p.exp_id: p.folder for p in self.planned}
        return [found[exp_id] for exp_id in self.own]


# --- points -------------------------------------------------------------------------------------------------------


def grid(space: Mapping[str, Any] | None = None, /, **more: Any) -> list[dict[str, Any]]:
    """Make every combination of some keys' values; the last key varies fastest.

    Args:
        space: key -> list, range, or text as `--sweep` takes it (`"1,2"`, `"range(3)"`); for keys with dots.
        more: the same for keys that are Python names.

    Raises:
        SweepError: a text can't be read.

    Example:
        >>> grid({"sgd.momentum": [0.0, 0.9]}, seed=range(2))[1]
        {'sgd.momentum': 0.0, 'seed': 1}
    """
    lists = {key: _listed(key, values) for key, values in {**(space or {}), **more}.items()}
    return [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


def sample(n: int, space: Mapping[str, Any] | None = None, /, *, seed: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Draw random points.

    A key's draws depend on the seed and its own name only: another key more, or a larger n, changes none of them.

    Args:
        n: how many points.
        space: key -> list or range to choose from, or text: `uniform(a,b)`, `loguniform(a,b)`, `choice(a,b,…)`.
        seed: of the draw; a key of that name goes into `space`.
        more: the same for keys that are Python names.

    Raises:
        SweepError: a text can't be read.
    """
    if type(seed) is not int:
        raise SweepError(
            f"sample(): seed is the draw's own and a whole number, not {seed!r};"
            " to sweep a key of that name, put it into the dict: {'seed': [0, 1, 2]}"
        )
    columns = {key: _drawn(key, values, n, seed) for key, values in {**(space or {}), **more}.items()}
    return [{key: column[i] for key, column in columns.items()} for i in range(n)]


def sweep_points(axes: Sequence[str], *, pair: bool = False) -> list[dict[str, Any]]:
    """Read `--sweep key=VALUES` texts.

    Args:
        axes: VALUES is a list `a,b`, `range([start,]stop[,step])`, `uniform(low,high,n[,seed])`,
            `loguniform(low,high,n[,seed])` or `choice(a,b,…,n=…[,seed=…])`.
        pair: put the first values together, then the second ones, … instead of every combination.

    Raises:
        SweepError: a text can't be read, or the lists to be paired differ in length.
    """
    columns: dict[str, list[Any]] = {}
    for axis in axes:
        key, equals, text = axis.removeprefix("--").partition("=")
        if not equals or not key or not text:
            raise SweepError(f"--sweep '{axis}': expected key=value,value,… or key=range(…)")
        if key in columns:
            raise SweepError(f"--sweep '{axis}': the key '{key}' is swept twice")
        columns[key] = _listed(key, text)
    if not pair:
        return grid(columns)
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{key} has {len(values)}" for key, values in columns.items())
        raise SweepError(f"--zip pairs lists of one length: {lengths}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _listed(key: str, values: Any) -> list[Any]:
    if not isinstance(values, str):
        return list(values) if isinstance(values, Iterable) else [values]
    return [v for item in _split(values) for v in _item_values(key, item)]


def _item_values(key: str, item: str) -> list[Any]:
    call = _CALL.fullmatch(item)
    if call is None or call[1] not in (*_DRAWS, "range", "choice"):
        if call is not None and suggest(call[1], (*_DRAWS, "range", "choice")):
            raise SweepError(f"'{key}={item}': unknown function{suggest(call[1], (*_DRAWS, 'range', 'choice'))}")
        return [item]
    args, options = _arguments(key, item, call[2])
    if call[1] == "range":
        numbers = [_number(key, item, a) for a in args]
        if options or not 1 <= len(numbers) <= 3 or any(n != int(n) for n in numbers) or numbers[2:] == [0]:
            raise SweepError(f"'{key}={item}': expected range([start,]stop[,step]) with integers, step not 0")
        return list(range(*map(int, numbers)))
    names = () if call[1] == "choice" else ("n", "seed")
    positional = len(args) if call[1] == "choice" else 2
    for name, value in zip(names, args[positional:], strict=False):
        options.setdefault(name, value)
    if "n" not in options or len(args) > positional + len(names):
        form = "a,b,…,n=COUNT" if call[1] == "choice" else "low,high,n=COUNT"
        raise SweepError(f"'{key}={item}': expected {call[1]}({form}[,seed=SEED])")
    n, seed = _number(key, item, options["n"]), _number(key, item, options.get("seed", "0"))
    if n != int(n) or n < 1 or seed != int(seed):
        raise SweepError(f"'{key}={item}': n and seed are whole numbers, n at least 1")
    return _drawn(key, f"{call[1]}({','.join(args[:positional])})", int(n), int(seed))


def _drawn(key: str, values: Any, n: int, seed: int) -> list[Any]:
    draw = random.Random(f"{seed}:{key}")
    if isinstance(values, str):
        call = _CALL.fullmatch(values.strip())
        if call is not None and call[1] in _DRAWS:
            args, options = _arguments(key, values, call[2])
            bounds = [_number(key, values, a) for a in args]
            if options or len(bounds) != 2 or not bounds[0] <= bounds[1]:
                raise SweepError(f"'{key}={values}': expected {call[1]}(low,high) with low <= high")
            if call[1] == "loguniform" and bounds[0] <= 0:
                raise SweepError(f"'{key}={values}': loguniform takes bounds above 0")
            return [float(f"{_DRAWS[call[1]](draw, *bounds):.{_DIGITS}g}") for _ in range(n)]
        if call is not None and call[1] == "choice":
            values = _arguments(key, values, call[2])[0]
    choices = _listed(key, values)
    if not choices:
        raise SweepError(f"'{key}': there is nothing to choose from")
    return [draw.choice(choices) for _ in range(n)]


_DRAWS: dict[str, Callable[[random.Random, float, float], float]] = {
    "uniform": lambda draw, low, high: draw.uniform(low, high),
    "loguniform": lambda draw, low, high: math.exp(draw.uniform(math.log(low), math.log(high))),
}


def _arguments(key: str, item: str, text: str) -> tuple[list[str], dict[str, str]]:
    args: list[str] = []
    options: dict[str, str] = {}
    for part in _split(text) if text.strip() else []:
        name, equals, value = part.partition("=")
        if equals and name.strip() in ("n", "seed"):
            options[name.strip()] = value.strip()
        else:
            args.append(part.strip())
    if any(not a for a in args):
        raise SweepError(f"'{key}={item}': an argument is empty")
    return args, options


def _number(key: str, item: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise SweepError(f"'{key}={item}': '{text}' is no number") from None
    if not math.isfinite(number):
        raise SweepError(f"'{key}={item}': '{text}' is not finite")
    return number


def _split(text: str) -> list[str]:
    """Split at commas that stand in no brackets and no double quotes."""
    parts, start, depth, position = [], 0, 0, 0
    while position < len(text):
        char = text[position]
        if char == '"':
            with contextlib.suppress(ValueError):  # a lone quote is a character like any other
                position = json.JSONDecoder().raw_decode(text, position)[1] - 1
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth = max(0, depth - 1)
        elif char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


# --- sweep files --------------------------------------------------------------------------------------------------


def load_sweep_module(project: Project, path: Path) -> ModuleType:
    """Import a sweep file, as `python -m` would where it lies in the project.

    Raises:
        SweepError: it doesn't exist or raises; the message has file and line.
    """
    path = (
        path
        if path.is_absolute()
        else next((b / path for b in (Path.cwd(), project.root) if (b / path).is_file()), path)
    )
    path = Path(os.path.abspath(path))  # noqa: PTH100 (a link keeps its name)
    if not path.is_file():
        known = [project.relative(p) for p in sorted(project.conf_root.rglob("*.py"))]
        raise SweepError(f"sweep file '{project.relative(path)}' doesn't exist{suggest(project.relative(path), known)}")
    if path.suffix != ".py":
        raise SweepError(f"sweep file '{project.relative(path)}': expected a Python file (.py) with yield_sweep()")
    parts = Path(project.relative(path)).with_suffix("").parts
    with _importing(project.root, path):
        # By the name that `python -m` gives it, so that relative imports work; read anew each time, since a notebook
        # lives longer than a version of the file.
        name = ".".join(parts) if all(part.isidentifier() for part in parts) else path.stem
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up there
        spec.loader.exec_module(module)
        return module


class _importing:  # noqa: N801 (used as a function is)
    """Put the project on the import path while its code is run, and turn what that raises into a SweepError."""

    def __init__(self, root: Path, path: Path) -> None:
        self.root, self.path = str(root), path

    def __enter__(self) -> None:
        if self.root not in sys.path:
            sys.path.insert(0, self.root)

    def __exit__(self, kind: object, error: BaseException | None, trace: Any) -> None:
        # sys.exit() too: a command line takes what expand prints, and would go on with nothing.
        if not isinstance(error, (Exception, SystemExit)) or isinstance(error, HeyhiError):
            return
        line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(self.path) else None
        while trace is not None and not isinstance(error, SyntaxError):
            if trace.tb_frame.f_code.co_filename == str(self.path):
                line = trace.tb_lineno
            trace = trace.tb_next
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        raise SweepError(f"{self.path}:{line or '?'}: {type(error).__name__}: {what}") from None


def expand_sweep_file(
    project: Project,
    schema: Schema,
    path: Path,
    *,
    progress: Callable[[Iterable[Point]], Iterable[Point]] = iter,
) -> Expansion:
    """Expand a sweep file.

    Args:
        project: where configs and results are.
        schema: what configs must fit.
        path: the file.
        progress: what the points go through, to count them.

    Raises:
        SweepError: the file is wrong, or some of its experiments are: all of these are named.
    """
    sweep = read_sweep_file(project, path)
    return sweep.expand(project, schema, progress(sweep.points))


class SweepFile(NamedTuple):
    """Hold what a sweep file says.

    Attributes:
        name: of the file, relative to the project root.
        pattern: exp id pattern; None for the default one.
        points: (config, overrides); the file yields them while they are read.
    """

    name: str
    pattern: str | None
    points: Iterable[Point]

    def expand(self, project: Project, schema: Schema, points: Iterable[Point]) -> Expansion:
        """Expand points of it.

        Raises:
            SweepError: some are wrong: all of these are named.
        """
        label = label_of(project, self.name)
        return expand(project, schema, points, label=label, sweep=self.name, pattern=self.pattern)


def read_sweep_file(project: Project, path: Path) -> SweepFile:
    """Run a sweep file, up to its points.

    Raises:
        SweepError: the file is wrong.
    """
    module = load_sweep_module(project, path)
    name = project.relative(Path(str(module.__file__)))
    if not callable(getattr(module, "yield_sweep", None)):
        raise SweepError(f"{name}: has no function yield_sweep() that yields (config, {{key: value}})")
    pattern = getattr(module, "EXP_ID_PATTERN", None)
    if not isinstance(pattern, (str, NoneType)):
        raise SweepError(f"{name}: EXP_ID_PATTERN is {pattern!r}; expected a text")

    def points() -> Iterator[Point]:
        with _importing(project.root, Path(str(module.__file__))):
            for index, point in enumerate(module.yield_sweep()):
                if not (
                    isinstance(point, tuple)
                    and len(point) == 2
                    and isinstance(point[0], (str, Path))
                    and isinstance(point[1], (dict, list, tuple, Mapping))
                ):
                    raise SweepError(f"{name}: point {index} is {point!r}; expected (config, {{key: value}})")
                yield point

    return SweepFile(name, pattern, points())


def label_of(project: Project, path: str) -> str:
    """Name reports and manifests after a sweep file or config: its path below `conf`, as one word."""
    relative = Path(project.relative(project.root / path)).with_suffix("")
    conf = Path(project.settings.conf)
    relative = relative.relative_to(conf) if relative.is_relative_to(conf) else relative
    return re.sub(r"[^A-Za-z0-9._]+", "-", str(relative)).strip("-.")[-80:] or "sweep"


# --- expansion ----------------------------------------------------------------------------------------------------


def expand(
    project: Project,
    schema: Schema,
    points: Iterable[Point],
    *,
    label: str = "sweep",
    sweep: str | None = None,
    pattern: str | None = None,
    adhoc: bool = False,
) -> Expansion:
    """Compose all points of a sweep and what they need, and check them against one another and what is on disk.

    Args:
        project: where configs and results are.
        schema: what configs must fit.
        points: (config, overrides).
        label: name for reports and manifests.
        sweep: sweep file they came from, relative to the project root.
        pattern: exp id pattern of the points; what they need has the default one.
        adhoc: put the points below `adhoc/<date>`.

    Raises:
        SweepError: points are wrong; the message names all of them, grouped by what is wrong.
    """
    composer = Composer(project, schema)
    gather = _Gather(project, composer, ExpPattern(project, pattern, adhoc=adhoc))
    count = 0
    with paused_collection():
        for index, (cfg, overrides) in enumerate(points):
            count += 1
            try:
                gather.add(composer.compose(cfg, overrides))
            except HeyhiError as error:
                gather.errors.setdefault(str(error), []).append((index, str(cfg), overrides))
    if gather.errors:
        raise SweepError(_grouped(sweep or label, count, gather.errors))
    if not gather.own:
        raise SweepError(f"{sweep or label}: the sweep has no experiments")
    gather.check_nesting()
    roots = {"project_root": str(project.root), "results_root": str(project.results_root)}
    planned, own = list(gather.planned.values()), list(gather.own)
    return Expansion(planned, own, gather.warnings(), label, sweep, pattern, roots, composer.files)


def _holds(exp_path: str, identity: Identity) -> bool:
    """Tell whether a folder plainly holds an experiment; if not, `check_identity` says what is wrong, if anything."""
    import orjson  # most sweeps that are expanded are new, and need none

    try:
        with open(f"{exp_path}/{IDENTITY_NAME}", "rb", buffering=0) as file:  # noqa: PTH123 (10,000 of them)
            data = orjson.loads(file.read())
        held = (data["cfg"], tuple(data["overrides"]), data["version"])
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return held == (identity.cfg, identity.overrides, identity.version)


@contextlib.contextmanager
def paused_collection() -> Iterator[None]:
    """Keep the cyclic garbage collector from walking over all of a large sweep's rows again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass
class _Gather:
    """Gather experiments, each after what it needs, and notice when two of them meet."""

    project: Project
    composer: Composer
    pattern: ExpPattern
    planned: dict[str, Planned] = field(default_factory=dict)
    own: dict[str, None] = field(default_factory=dict)
    errors: dict[str, list[tuple[int, str, Overrides]]] = field(default_factory=dict)
    _folders: dict[str, frozenset[str]] = field(default_factory=dict)
    _by_config: dict[bytes, str] = field(default_factory=dict)
    _repeated: list[str] = field(default_factory=list)
    _alike: list[tuple[str, str]] = field(default_factory=list)

    def add(self, composed: Composed) -> None:
        """Add a point and what it needs."""
        exp_id = self.pattern.exp_id(composed.identity)
        known = self.planned.get(exp_id)
        self._check_same(known, composed.identity)
        if exp_id in self.own:
            self._repeated.append(exp_id)
            return
        planned = known or self._plan(composed, exp_id, self.pattern.folder(exp_id))
        self.own[exp_id] = None
        other = self._by_config.setdefault(planned.config, exp_id)
        if other != exp_id:
            self._alike.append((other, exp_id))

    def _plan(self, composed: Composed, exp_id: str, folder: str) -> Planned:
        needs = tuple([self._need(need) for need in composed.needs]) if composed.needs else ()
        self._check_disk(folder, composed.identity)
        config = composed.message.SerializeToString(deterministic=True)
        resources = launcher_resources(composed.task_message)
        # What it needs may have taken its path just now.
        self._check_same(self.planned.get(exp_id), composed.identity)
        planned = Planned(exp_id, folder, composed.identity, composed.task, config, needs, resources)
        self.planned[exp_id] = planned
        return planned

    def _need(self, composed: Composed) -> str:
        folder = str(self.composer.need_path(composed))
        exp_id = folder.removeprefix(f"{self.project.results_root}/")
        known = self.planned.get(exp_id)
        self._check_same(known, composed.identity)
        if known is None:
            self._plan(composed, exp_id, folder)
        return folder

    def _check_same(self, known: Planned | None, identity: Identity) -> None:
        if known is not None and known.identity != identity:
            raise SweepError(
                f"two experiments would share the exp path {known.folder}: {_named(known.identity)}"
                f" and {_named(identity)}: let the exp id pattern tell them apart"
            )

    def _check_disk(self, exp_path: str, identity: Identity) -> None:
        # One listing of a parent answers for all experiments in it; most sweeps are new or in few folders.
        parent, _, name = exp_path.rpartition("/")
        names = self._folders.get(parent)
        if names is None:
            try:
                names = frozenset(os.listdir(parent))  # noqa: PTH208 (a set of names is all that is asked)
            except OSError:
                names = frozenset()
            self._folders[parent] = names
        if name in names and not _holds(exp_path, identity):
            ExperimentDir(Path(exp_path)).check_identity(identity)

    def check_nesting(self) -> None:
        """Refuse an experiment inside another one's folder, which a restart of the outer one would wipe."""
        if self.pattern.is_default:
            return  # its exp ids end in a hash, and nothing goes on below that
        paths = {e.folder for e in self.planned.values()}
        for path in sorted(paths):
            for parent in Path(path).parents:
                if str(parent) in paths or ExperimentDir(parent).identity_path.is_file():
                    raise SweepError(f"exp path {path} lies inside another experiment's, {parent}")

    def warnings(self) -> list[str]:
        """Say what is odd about the points, though it can be run."""
        found = []
        if self._repeated:
            found.append(
                f"{len(self._repeated)} points name an experiment of the sweep again,"
                f" e.g. {self._repeated[0]}: it runs once"
            )
        if self._alike:
            first, second = self._alike[0]
            more = f" ({len(self._alike)} such points)" if len(self._alike) > 1 else ""
            found.append(f"two experiments have the same config: {first} and {second}{more}")
        return found


def launcher_resources(task: Message) -> dict[str, int | str]:
    """Return what Snakemake has to know of a task's launcher: `threads` of a local run."""
    if not _has_local_cpus(task.DESCRIPTOR):
        return {}
    cpus: int = task.launcher.local.cpus  # type: ignore[attr-defined]
    return {"threads": cpus} if cpus > 1 else {}


@lru_cache(maxsize=64)
def _has_local_cpus(task: Descriptor) -> bool:
    """Tell whether a task's messages have `launcher.local.cpus`: asked for each point of a sweep."""
    for name in ("launcher", "local"):
        field = task.fields_by_name.get(name)
        if field is None or field.message_type is None or field.is_repeated:
            return False
        task = field.message_type
    return "cpus" in task.fields_by_name


def _named(identity: Identity) -> str:
    return " ".join([identity.cfg, *identity.overrides])


def _grouped(name: str, count: int, errors: dict[str, list[tuple[int, str, Overrides]]]) -> str:
    if count == 1:
        return next(iter(errors))
    wrong = sum(map(len, errors.values()))
    lines = [f"{name}: {wrong} of {count} experiments can't be composed:"]
    for text, points in list(errors.items())[:_MAX_SHOWN]:
        lines.append("  " + text.replace("\n", "\n  "))
        index, cfg, overrides = points[0]
        pairs = overrides.items() if isinstance(overrides, Mapping) else ()
        example = [f"{k}={value_text(v) if not isinstance(v, (list, tuple, dict, set)) else v}" for k, v in pairs]
        example = example or list(map(str, overrides))
        which = ", ".join(str(i) for i, _, _ in points[:_MAX_SHOWN]) + (", …" if len(points) > _MAX_SHOWN else "")
        several = f"{len(points)} points ({which}), first" if len(points) > 1 else f"point {index}"
        lines.append(f"    in {several}: {' '.join([cfg, *example])}")
    if len(errors) > _MAX_SHOWN:
        lines.append(f"  … and {len(errors) - _MAX_SHOWN} other errors")
    return "\n".join(lines)
