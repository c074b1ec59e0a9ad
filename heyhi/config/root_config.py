"""The frozen root config, in which the chosen task's fields are found at once."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from heyhi.config.frozen import FrozenConfig
from heyhi.config.schema import ROOT_MESSAGE, TASK_ONEOF, real_oneofs, type_of


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
    if type_of(message).name != ROOT_MESSAGE:
        return None
    oneofs = [oneof.name for oneof in real_oneofs(type_of(message))]
    name = TASK_ONEOF if TASK_ONEOF in oneofs else "".join(oneofs[:1])
    task = message.WhichOneof(name) if name else None
    return getattr(message, task) if task is not None else None
