"""The read-only mapping that a frozen config gives for a map field: a dict, so that all that takes dicts takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class FrozenMap(dict[_Key, _Value]):
    """A dict that can be hashed, and can't be written.

    It is a dict, and not just a mapping, since `json.dumps` takes no other mappings.

    Raises:
        RuntimeError: something was written; `dict(…)` gives a copy that can be.
    """

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none, since it can be written
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"FrozenMap({dict(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # As a dict it would be filled element by element.
        return FrozenMap, (dict(self),)

    def __copy__(self) -> FrozenMap[_Key, _Value]:
        return self

    def __deepcopy__(self, memo: object) -> FrozenMap[_Key, _Value]:
        return self

    def copy(self) -> dict[_Key, _Value]:
        """Return a dict of the same, which can be written."""
        return dict(self)

    def __setitem__(self, key: _Key, value: _Value) -> NoReturn:
        self._refuse()

    def __delitem__(self, key: _Key) -> NoReturn:
        self._refuse()

    def __ior__(self, other: Mapping[_Key, _Value] | Iterable[tuple[_Key, _Value]]) -> NoReturn:  # type: ignore[override,misc]
        self._refuse()

    def clear(self) -> NoReturn:
        """Refuse to be written."""
        self._refuse()

    def pop(self, *args: Any) -> NoReturn:
        """Refuse to be written."""
        self._refuse()

    def popitem(self) -> NoReturn:
        """Refuse to be written."""
        self._refuse()

    def setdefault(self, *args: Any) -> NoReturn:
        """Refuse to be written."""
        self._refuse()

    def update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be written."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RuntimeError("a config is read-only: this map can't be changed (dict(…) of it gives a copy that can)")
