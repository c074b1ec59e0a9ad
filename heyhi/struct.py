"""Classes of values that cost little to define, where a job loads dozens: frozen ones, and named tuples.

`dataclass` writes and compiles code for each class, and imports what parses Python; `typing.NamedTuple` compiles each
annotation. For the classes of a job that was a third of what it took to load it.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, dataclass_transform

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class _TupleMaker(type):
        """What makes a class of named tuples from one that names their fields."""

        def __new__(cls, name, bases, content):
            if not bases:
                return super().__new__(cls, name, bases, content)
            kinds = content.get("__annotations__", {})
            defaults = [content[field] for field in kinds if field in content]
            made = namedtuple(name, kinds, defaults=defaults, module=content["__module__"])
            made.__annotations__ = kinds
            for key, value in content.items():
                if key not in kinds and key not in ("__module__", "__annotations__"):
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_TupleMaker):
        """What typing's NamedTuple is as a base class, less its look at the annotations."""


@dataclass_transform(frozen_default=True)
class Struct:
    """A frozen value; its class names fields and defaults as a dataclass does, and mutable defaults are shared."""

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
