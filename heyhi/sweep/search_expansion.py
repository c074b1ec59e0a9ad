"""The expansion of a search: its slots, what their base needs, and what they are composed from.

Which experiment a slot is, is decided when its job starts; all that can be wrong with a search is found out here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.config.base import Base
from heyhi.config.compose import Composer
from heyhi.config.identity import Identity
from heyhi.config.overrides import Overrides, keys_and_values, override_texts
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema, type_of
from heyhi.errors import HeyhiError, SweepError
from heyhi.experiment.slots import slot_id
from heyhi.project import Project
from heyhi.sweep.expand import Expansion, Planned, expand
from heyhi.sweep.learned import learned_words
from heyhi.sweep.search import Search
from heyhi.sweep.search_spec import SearchSpec
from heyhi.sweep.size import check_size
from heyhi.sweep.space import axes_of, included_in, name_of_today
from heyhi.sweep.written_over import written_over

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from heyhi.config.frozen import FrozenConfig


def expand_search(
    project: Project,
    schema: Schema,
    search: Search,
    expand_file: Callable[[Path], Expansion],
    *,
    label: str,
    sweep: str | None = None,
    title: str = "",
    validate: Callable[[FrozenConfig], object] | None = None,
) -> Expansion:
    """Compose the base of a search and what that needs, and make its slots.

    Args:
        project: where configs and results are.
        schema: what configs must fit.
        search: as it was declared.
        expand_file: expands a sweep file that it learns from.
        label: name for reports and manifests.
        sweep: sweep file it came from, relative to the project root.
        title: name for messages; default: the sweep file, or the label.
        validate: the sweep file's own check of each config.

    Raises:
        SweepError: the base or the space is wrong.
        UnknownError: nobody can see what is in the results root.
    """
    name = title or sweep or label
    check_size(project, search.trials, f"{name} has {search.trials:,} trials")
    overrides = _overrides_of(search)
    cfg = Path(search.cfg)
    found = expand(project, schema, [(cfg, overrides)], label=label, title=name, sweep=sweep)
    own = next(one for one in found.planned if one.exp_id == found.own[0])
    composer = Composer(project, schema)
    base = Base.of(composer, cfg, overrides)
    start = base.compose({})
    if left_out := _left_out(search, type_of(start.task_message)):
        rest = _without(overrides, left_out)
        # Where the space fits no more, one of them has chosen the member of a oneof in which its key lies.
        with contextlib.suppress(HeyhiError):
            less = expand_search(
                project,
                schema,
                replace(search, overrides=rest),
                expand_file,
                label=label,
                sweep=sweep,
                title=title,
                validate=validate,
            )
            return replace(less, warnings=[*_left_out_lines(overrides, left_out), *less.warnings])
    axes = axes_of(search.space, schema, start.task_message, Scheduling(project.settings.identity_ignore))
    if includes := included_in(search.space, schema, start.task_message):
        base = Base.of(composer, cfg, overrides, includes)
    spec = search.spec(start.identity.cfg, start.identity.overrides, axes)
    spec = replace(spec, learn_from=learned_words(project, search.learn_from, expand_file))
    sample = _sample(base, spec, name)
    slots = [_slot(project, spec, number, own) for number in range(spec.trials)]
    return replace(
        found,
        planned=[*(one for one in found.planned if one.exp_id != own.exp_id), *slots],
        own=[one.exp_id for one in slots],
        files=found.files | composer.files,
        validate=validate,
        search=spec,
        base=base.to_bytes(),
        sample=sample,
    )


def _overrides_of(search: Search) -> Overrides:
    """Return its overrides, which may be gone through more than once."""
    given = search.overrides if search.overrides is not None else {}
    return given if isinstance(given, (Mapping, str)) or not isinstance(given, Iterable) else list(given)


def _left_out(search: Search, kind: Descriptor) -> dict[int, str]:
    """Return the places of overrides whose keys the space has, too, and these: whatever they say, none counts."""
    keys, _, _ = keys_and_values(_overrides_of(search))
    return dict(written_over(keys, [key.removeprefix("--") for key in search.space], partial(name_of_today, kind)))


def _without(overrides: Overrides, places: Container[int]) -> Overrides:
    if isinstance(overrides, Mapping):
        return {key: value for place, (key, value) in enumerate(overrides.items()) if place not in places}
    return [one for place, one in enumerate(overrides) if place not in places]


def _left_out_lines(overrides: Overrides, left_out: Mapping[int, str]) -> list[str]:
    texts = override_texts(overrides)
    return [
        f"{texts[place]} is left out: '{key}' is searched over, and the values of its space count"
        for place, key in left_out.items()
    ]


def _slot(project: Project, spec: SearchSpec, number: int, base: Planned) -> Planned:
    exp_id = slot_id(spec.search_id, number)
    identity = Identity(exp_id.partition("/slots/")[0], (f"slot={number}",))
    return base._replace(exp_id=exp_id, folder=f"{project.results_root}/{exp_id}", identity=identity, given=())


def _sample(base: Base, spec: SearchSpec, name: str) -> bytes:
    """Compose a point of the space: what fits each key may still be wrong together."""
    chosen: dict[str, Any] = {}
    for axis in spec.axes:
        if axis.applies(chosen):
            least: Mapping[str, Any] = {"int": int(axis.low), "float": axis.low}
            chosen[axis.key] = axis.values[0] if axis.kind == "choice" else least[axis.kind]
    try:
        composed = base.compose(chosen)
    except HeyhiError as error:
        point = " ".join(f"{key}={value}" for key, value in chosen.items())
        raise SweepError(f"{name}: a trial with {point} can't be composed: {error}") from None
    config: bytes = composed.message.SerializeToString(deterministic=True)
    return config
