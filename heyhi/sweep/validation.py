"""A project's own checks of its configs, made before a launch: `validate(cfg)` of a sweep file, or of the settings.

Composing is left to `expand`; who only looks at what came of a sweep doesn't ask, since results outlive checks. What a
manifest has was checked when it was expanded, by the checks of then: those of today are asked again before it is run.
"""

from __future__ import annotations

import importlib
import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from heyhi.config.frozen import FrozenConfig
from heyhi.config.schema import Schema
from heyhi.errors import ProjectError, SweepError, suggest
from heyhi.project import Project
from heyhi.sweep.expand import Expansion, Planned
from heyhi.sweep.own_code import own_code, place_of, running, said_by

if TYPE_CHECKING:
    from heyhi.experiment.folder import Experiment
    from heyhi.sweep.manifest import Manifest

_MAX_SHOWN = 20  # errors that a message has


class _Check(NamedTuple):
    """A function that checks configs.

    Attributes:
        function: is called with a frozen config.
        path: of its file.
        of_needs: whether it checks what the sweep's experiments need, too.
    """

    function: Callable[[FrozenConfig], object]
    path: Path
    of_needs: bool


def validate(project: Project, schema: Schema, expansion: Expansion) -> None:
    """Have a project's own checks look at each experiment of a sweep.

    The sweep file's `validate` checks the sweep's own experiments; that of `[tool.heyhi] validate` also what they need.
    It is called with the config of the task, as main is. It refuses one by what it raises, or by a text that it
    returns.

    Raises:
        SweepError: some are refused; the message has each reason once.
        ProjectError: the settings name no function.
    """
    checks = [*_checks(project, expansion)]
    if checks:
        name = expansion.sweep or expansion.label
        own = frozenset(expansion.own)
        planned = [one for one in expansion.planned if not one.is_open]
        if expansion.search is not None:  # of what its trials may become, one stands for all
            slots = [one for one in planned if one.exp_id in own][:1]
            planned = [one for one in planned if one.exp_id not in own]
            planned += [one._replace(config=expansion.sample) for one in slots]
        _check(project, schema, checks, name, planned, own)


def validate_again(project: Project, manifest: Manifest, targets: Iterable[str] | None = None) -> None:
    """Have the check of the settings look at experiments that were expanded before.

    Args:
        project: theirs.
        manifest: has them.
        targets: those of it that are looked at; default: all.

    Raises:
        SweepError: some are refused; the message has each reason once.
        ProjectError: the settings name no function.
    """
    if project.settings.validate:
        checks = [_of_settings(project)]
        rows = manifest.experiments() if targets is None else map(manifest.experiment, targets)
        # What a slot of a search is to be, nobody knows yet.
        found = [one for one in rows if not one.is_slot]
        _check(project, manifest.schema(), checks, manifest.sweep or manifest.label, found)


def _check(
    project: Project,
    schema: Schema,
    checks: Sequence[_Check],
    name: str,
    experiments: Sequence[Planned | Experiment],
    own: Container[str] = (),
) -> None:
    """Refuse experiments that a check refuses."""
    reasons: dict[str, list[Planned | Experiment]] = {}
    with running(project.root):
        for one in experiments:
            message = getattr(schema.parse_root(one.config), one.task)
            for check in checks:
                if check.of_needs or one.exp_id in own:
                    reason = _reason(project, check, FrozenConfig(message))
                    if reason:
                        reasons.setdefault(reason, []).append(one)
                        break
    if reasons:
        raise SweepError(_text(name, len(experiments), reasons))


def _checks(project: Project, expansion: Expansion) -> Iterator[_Check]:
    if project.settings.validate:
        yield _of_settings(project)
    if expansion.validate is not None:
        yield _Check(expansion.validate, project.root / (expansion.sweep or ""), of_needs=False)


def _of_settings(project: Project) -> _Check:
    """Import the function that the settings name, from the project root."""
    where = f"[tool.heyhi] validate = {project.settings.validate!r}"
    name, _, function_name = project.settings.validate.partition(":")
    if not name or not function_name:
        raise ProjectError(f"{where}: expected module:function")
    path = project.root / f"{name.replace('.', '/')}.py"
    with own_code(project.root, path):
        try:
            module = _imported(project, name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # one that it imports
            raise ProjectError(f"{where}: there is no module '{name}' in {project.root}") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ProjectError(
            f"{where}: {module.__file__} has no function '{function_name}'{_near(module, function_name)}"
        )
    return _Check(function, Path(module.__file__ or path), of_needs=True)


def _imported(project: Project, name: str) -> ModuleType:
    found = sys.modules.get(name)
    # A process may have to do with several projects.
    if found is not None and not (found.__file__ or "").startswith(f"{project.root}/"):
        del sys.modules[name]
    return importlib.import_module(name)


def _near(module: ModuleType, name: str) -> str:
    return suggest(name, [one for one, value in vars(module).items() if callable(value)])


def _reason(project: Project, check: _Check, cfg: FrozenConfig) -> str:
    """Return why a check refuses a config, an empty text where it doesn't."""
    try:
        answer = check.function(cfg)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        place = place_of(error, check.path)
        said = said_by(error)
        if not said and isinstance(error, AssertionError):
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = (last.line or linecache.getline(last.filename, last.lineno or 0)).strip() or "assert"
        elif not isinstance(error, AssertionError):
            said = f"{type(error).__name__}: {said}".removesuffix(": ")
        return f"{_relative(project, place)}: {said}"
    if inspect.iscoroutine(answer):
        answer.close()  # or Python warns that nobody has awaited it, with a line of ours
        return f"{_relative(project, str(check.path))}: validate is an async function; expected a plain one"
    if answer is None or answer is True or answer == "":
        return ""
    place = _relative(project, str(check.path))
    if not isinstance(answer, str):
        return f"{place}: validate returned {answer!r:.80}; expected None, or a text that says what is wrong"
    return f"{place}: {answer}"


def _relative(project: Project, place: str) -> str:
    return place.removeprefix(f"{project.root}{os.sep}")


def _text(name: str, count: int, reasons: dict[str, list[Planned | Experiment]]) -> str:
    if count == 1:
        return f"refused by validate: {next(iter(reasons))}"
    lines = [f"{name}: {sum(map(len, reasons.values()))} of {count} experiments are refused by validate:"]
    for reason, refused in list(reasons.items())[:_MAX_SHOWN]:
        first = refused[0].identity
        lines.append("  " + reason.replace("\n", "\n  "))
        several = f"in {len(refused)} experiments, first: " if len(refused) > 1 else "in "
        lines.append(f"    {several}{' '.join([first.cfg, *first.overrides])}")
    if len(reasons) > _MAX_SHOWN:
        lines.append(f"  … and {len(reasons) - _MAX_SHOWN} other reasons")
    return "\n".join(lines)
