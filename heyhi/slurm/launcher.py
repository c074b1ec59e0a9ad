"""Which launcher a config has chosen, and what each run asks of it; what a job asks for is read in `request`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heyhi.config.schema import field_named, type_of
from heyhi.errors import LauncherError

if TYPE_CHECKING:
    from google.protobuf.message import Message

_MAX_LOCAL_TASKS = 1000


def is_slurm(task: Message) -> bool:
    """Return whether a task's launcher is Slurm."""
    return chosen(task, "slurm") is not None


def is_local(task: Message) -> bool:
    """Return whether a task's launcher is this machine."""
    return chosen(task, "local") is not None


def local_tasks(task: Message) -> int:
    """Return in how many processes of this machine a task's local launcher wants its main to run.

    Raises:
        LauncherError: in none.
    """
    local = chosen(task, "local")
    tasks = number(local, "tasks", 1, "launcher.local") if local is not None else 1
    if not 1 <= tasks <= _MAX_LOCAL_TASKS:
        raise LauncherError(f"launcher.local.tasks={tasks}: must be at least 1, and at most {_MAX_LOCAL_TASKS}")
    return int(tasks)


def chosen(task: Message, kind: str) -> Message | None:
    """Return the launcher of a kind where the task has chosen it."""
    message = task
    for name in ("launcher", kind):
        field = field_named(type_of(message), name)
        if field is None or field.message_type is None or field.is_repeated or not message.HasField(name):
            return None
        message = getattr(message, name)
    return message


def number(message: Message, name: str, default: int | float | bool, where: str, *, is_never_zero: bool = True) -> Any:
    """Return a number, or a yes or no, of a launcher.

    Args:
        message: the launcher.
        name: of the field.
        default: where it isn't set, and its proto has none.
        where: the launcher, for messages.
        is_never_zero: zero is none, in a proto3 that can't tell.

    Raises:
        LauncherError: the proto has it as another type.
    """
    field = field_named(type_of(message), name)
    if field is None:
        return default
    value = getattr(message, name)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise LauncherError(f"{where}.{name} must be a bool in the proto: it says yes or no")
        return value
    if isinstance(value, bool) or not isinstance(value, int if isinstance(default, int) else (int, float)):
        kind = "whole number (int32)" if isinstance(default, int) else "number (double)"
        raise LauncherError(f"{where}.{name} must be a {kind} in the proto")
    if field.has_presence:
        is_unset = not message.HasField(name) and not field.has_default_value
    else:
        is_unset = not value and is_never_zero
    return default if is_unset else value
