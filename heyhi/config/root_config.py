"""The frozen root config, in which the chosen task's fields are found at once."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from heyhi.config.frozen import FrozenConfig
from heyhi.config.schema import TASK_ONEOF, field_named, real_oneofs, type_of
from heyhi.config.schema_cache import ROOT_MESSAGE


class RootConfig(FrozenConfig):
    """A frozen root config, in which fields of the chosen task are found at once: `cfg.lr` for `cfg.train.lr`."""

    __slots__ = ()

    def _read(self, name: str) -> Any:
        try:
            return super()._read(name)
        except AttributeError as error:
            task = self._task
            if task is None:
                raise
            try:
                return getattr(task, name)
            except AttributeError:
                raise error from None

    def __dir__(self) -> list[str]:
        task = self._task
        return sorted({*super().__dir__(), *(dir(task) if task is not None else ())})

    def __reduce__(self) -> tuple[Any, ...]:
        return _root_config, (FrozenConfig(self._message, self._folder),)

    @property
    def _task(self) -> FrozenConfig | None:
        task = task_of(self._message)
        return FrozenConfig(task, self._folder) if task is not None else None


def _root_config(cfg: FrozenConfig) -> RootConfig:
    return RootConfig(cfg._message, cfg._folder)


def task_of(message: Message) -> Message | None:
    """Return the chosen task's message of a root config, below which its keys start; None for any other message."""
    name = _task_name(message)
    return getattr(message, name) if name is not None else None


def key_below_task(message: Message, key: str) -> str:
    """Return a key of a root config as it is below the task.

    In the first HeyHi, code's keys of such a config began with the task's name: that is taken off where the task has no
    field of the name.
    """
    name = _task_name(message)
    start, dot, rest = key.partition(".")
    is_task = dot and start == name and field_named(type_of(getattr(message, start)), start) is None
    return rest if is_task else key


def _task_name(message: Message) -> str | None:
    if type_of(message).name != ROOT_MESSAGE:
        return None
    oneofs = [oneof.name for oneof in real_oneofs(type_of(message))]
    name = TASK_ONEOF if TASK_ONEOF in oneofs else "".join(oneofs[:1])
    task: str | None = message.WhichOneof(name) if name else None
    return task
