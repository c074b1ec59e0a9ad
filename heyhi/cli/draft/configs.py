"""The first config and sweep of a task that was read from a script."""

from __future__ import annotations

from collections.abc import Sequence

from heyhi.cli.draft.arguments import ABSENT
from heyhi.cli.draft.code import comment, proto_default, python, quoted
from heyhi.cli.draft.fields import Field
from heyhi.cli.draft.proto import Message

_SWEEP = '''\
"""{question} Run it by `heyhi run`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import heyhi


def yield_sweep() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each point as (config, overrides)."""
    for overrides in heyhi.grid({points}):
        yield {config}, overrides


# What the table shows of an experiment is the last and best value of each metric, and what the task has returned. A
# function get_logs_data(handle) here can choose something else: `heyhi docs sweeps`.
'''
_RATES = ("lr", "learning_rate", "base_lr", "init_lr", "blr")


def config_of(message: Message, where: Sequence[tuple[Field, str]], title: str) -> str:
    """Write the first config of a task.

    Args:
        message: the task.
        where: fields that name what lies in the project, each with its path there.
        title: what it is of.
    """
    lines = [
        *comment(
            f"{title}, as the script has it where nothing is given; what isn't here has the default that the proto"
            " says.",
            sign="#",
        )
    ]
    lines += ["includes {", '  path: "local"', '  mount: "launcher"', "}", "", f"{message.name} {{"]
    for one in message.fields.fields:
        if one.has_to_be_set:
            lines += [f"  # {one.name}: has to be set, here or by {one.name}=…"]
    for one, path in where:
        lines += (
            [f"  # A run works in its experiment's folder: the project's {path} from there."]
            if path.isprintable()
            else []
        )
        lines += [f"  {one.name}: {quoted(f'{{{{ROOT_DIR}}}}/{path}')}"]
    named = {one.name for one, _ in where}
    for one in message.fields.fields:
        if one.is_list and one.default is not ABSENT and one.name not in named:
            kind = "enum" if one.enum is not None else one.type
            lines += [f"  {one.name}: {proto_default(kind, value)}" for value in one.default]
    return "\n".join([*lines, "}"]) + "\n"


def sweep_of(message: Message, config: str) -> str:
    """Write the first sweep of a task: over its learning rate, its seed, or else its first number."""
    points, question = _points(message.fields.fields)
    return _SWEEP.format(question=question, points=points, config=python(config))


def override_of(message: Message) -> str:
    """Return an override that may be tried on the first config: what has to be set, or else another number."""
    for needed in message.fields.fields:
        if needed.is_list and needed.has_to_be_set:
            return f"{needed.name}=[…]"
        if needed.is_required:
            return f"{needed.name}={needed.name.upper() if needed.type == 'string' and needed.enum is None else '…'}"
    one = _number(message.fields.fields)
    return f"{one.name}={_other(one)}" if one is not None else ""


def _points(fields: Sequence[Field]) -> tuple[str, str]:
    one = _number(fields)
    if one is None:
        return "", "What comes out?"
    return f"{one.name}=[{python(one.default)}, {_other(one)}]", f"What does {one.name} change?"


def _number(fields: Sequence[Field]) -> Field | None:
    """Return the field that is tried first."""
    numbers = [
        one
        for one in fields
        if one.type in ("double", "int32")
        and one.default is not ABSENT
        and not one.is_list
        and one.first.choices is None
    ]
    numbers = [one for one in numbers if isinstance(one.default, (int, float)) and abs(one.default) < 1e6]
    by_name = {one.name: one for one in numbers}
    known = next((by_name[name] for name in (*_RATES, "seed") if name in by_name), None)
    return known or next((one for one in numbers if one.type == "double" and one.default), next(iter(numbers), None))


def _other(one: Field) -> str:
    """Return another value of a number."""
    value = one.default
    if one.type == "double":
        return repr(float(f"{value / 2:.6g}")) if value else "0.1"
    return str(int(value) + 1) if one.name == "seed" or value < 2 else str(int(value) // 2)
