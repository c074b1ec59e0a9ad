"""Values that are read only and compared by their fields, as frozen dataclasses are, but whose classes cost nothing.

`dataclass` writes and compiles code for each class, and imports what parses Python: that is a tenth of a second for the
two dozen of a job that does little itself.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Struct:
    """A value whose class names its fields and their defaults as a dataclass does; mutable defaults are shared."""

    _fields: ClassVar[tuple[str, ...]] = ()
    _required: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        own = [name for name, kind in vars(cls).get("__annotations__", {}).items() if not kind.startswith("ClassVar")]
        cls._fields = (*cls._fields, *own)
        cls._required = frozenset(name for name in cls._fields if not hasattr(cls, name))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Defaults are read from the class.
        given = dict(zip(self._fields, args, strict=False)) | kwargs
        if len(given) != len(args) + len(kwargs) or not self._required <= given.keys() <= set(self._fields):
            names = ", ".join(self._fields)
            raise TypeError(f"{type(self).__name__} takes {names}; it was given {', '.join(map(str, args))} {kwargs}")
        self.__dict__.update(given)

    def _replace(self, **changed: Any) -> Self:
        """Return a copy with other values of some fields."""
        return type(self)(**self._asdict() | changed)

    def _asdict(self) -> dict[str, Any]:
        """Return the fields' values by their names."""
        return {name: getattr(self, name) for name in self._fields}

    def _content(self) -> tuple[Any, ...]:
        """Return what it is compared by."""
        return tuple([getattr(self, name) for name in self._fields])

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is read only: '{name}' can't be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is read only: '{name}' can't be deleted")
