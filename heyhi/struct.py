"""Classes of values that cost little to define, where a job loads dozens: frozen ones, and named tuples.

`dataclass` writes and compiles code for each class, and imports what parses Python; `typing.NamedTuple` compiles each
class, and each annotation. For the classes of a job that was a third of what it took to load it.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, dataclass_transform

if TYPE_CHECKING:
    from inspect import Signature
    from typing import NamedTuple as NamedTuple
else:
    try:
        from _collections import _tuplegetter
    except ImportError:  # another Python's

        def _tuplegetter(index, doc):
            return property(itemgetter(index), doc=doc)

    class _Tuple(tuple):
        """What every named tuple has, as those of `collections.namedtuple` have it."""

        __slots__ = ()

        @classmethod
        def _make(cls, values):
            """Make one of as many values as it has fields."""
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **changed):
            """Return a copy with other values of some fields."""
            made = self._make(map(changed.pop, self._fields, self))
            if changed:
                raise ValueError(f"Got unexpected field names: {list(changed)!r}")
            return made

        def _asdict(self):
            """Return the fields' values by their names."""
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            values = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({values})"

    @cache
    def _template(count):
        """Return a function that makes a tuple of as many values; only the names are left to be those of a class."""
        names = "".join(f"a{index}, " for index in range(count))
        text = f"lambda _cls, {names}: new(_cls, ({names}))"
        return eval(text, {"new": tuple.__new__, "__builtins__": {}})  # noqa: S307  (as namedtuple does, for each class)

    class _TupleMaker(type):
        """What makes a class of named tuples from one that names their fields."""

        def __new__(cls, name, bases, content):
            if not bases:
                return super().__new__(cls, name, bases, content)
            fields = tuple(content.get("__annotations__", ()))
            defaults = {field: content[field] for field in fields if field in content}
            template = _template(len(fields))
            names = ("_cls", *fields)
            code = template.__code__.replace(co_varnames=names, co_name="__new__", co_qualname=f"{name}.__new__")
            made = {key: value for key, value in content.items() if key not in defaults}
            made |= {field: _tuplegetter(index, "") for index, field in enumerate(fields)}
            made |= {"__slots__": (), "__match_args__": fields, "_fields": fields, "_field_defaults": defaults}
            made["__new__"] = new = FunctionType(code, template.__globals__, "__new__", tuple(defaults.values()))
            new.__annotations__ = content.get("__annotations__", {})
            return type(name, (_Tuple,), made)

    class NamedTuple(metaclass=_TupleMaker):
        """What typing's NamedTuple is as a base class, less its look at the annotations."""


class _Signature:
    """The signature of a struct's class, made when it is asked for: by `help`, or by a page of docs."""

    def __get__(self, one: object, kind: type[Struct]) -> Signature:
        from inspect import Parameter, Signature

        parameters = []
        for name in kind._fields:
            annotation = next(
                c.__annotations__[name] for c in kind.__mro__ if name in vars(c).get("__annotations__", {})
            )
            default = getattr(kind, name, Parameter.empty)
            parameters.append(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation))
        return Signature(parameters, return_annotation=None)


@dataclass_transform(frozen_default=True)
class Struct:
    """A frozen value; its class names fields and defaults as a dataclass does, and mutable defaults are shared."""

    _fields: ClassVar[tuple[str, ...]] = ()
    _required: ClassVar[frozenset[str]] = frozenset()
    __signature__ = _Signature()

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
