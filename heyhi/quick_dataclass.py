"""`dataclass` as the standard library has it, for classes that take no time to make: no code is written and compiled.

That would take a third of the time in which a command starts. It has what is used here: fields with defaults, classes
that are frozen, or compared by who they are. An object takes some microseconds more to make: of what there is a million
of, the standard library's are the better ones.

Who asks a class what it is as a dataclass (the standard library's functions, `inspect`, `help`) is answered by a
standard one with the same fields, which is made then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, dataclass_transform, overload

_Class = TypeVar("_Class", bound=type)
_Object = TypeVar("_Object")
_Made = TypeVar("_Made")
_FIELDS = "__quick_fields__"  # of a class: all its fields by name
_OPTIONS = "__quick_options__"  # what `dataclass` was told of it
_NOTHING = object()


class Field:
    """What is said of a field; see `field`."""

    __slots__ = ("compare", "default", "factory", "repr")

    def __init__(self, default: object, factory: Any, repr: bool, compare: bool) -> None:  # noqa: A002
        self.default, self.factory, self.repr, self.compare = default, factory, repr, compare


@overload
def field(*, default_factory: Callable[[], _Made], repr: bool = True, compare: bool = True) -> _Made: ...
@overload
def field(*, default: _Made, repr: bool = True, compare: bool = True) -> _Made: ...
@overload
def field(*, repr: bool = True, compare: bool = True) -> Any: ...
def field(
    *,
    default: object = _NOTHING,
    default_factory: object = None,
    repr: bool = True,  # noqa: A002
    compare: bool = True,
) -> Any:
    """Say of a field what its default is, or what makes it; whether it is shown; whether objects are compared by it."""
    return Field(default, default_factory, repr, compare)


def replace(one: _Object, /, **changed: Any) -> _Object:
    """Return a copy of an object with other values of some fields."""
    kind = type(one)
    return kind(**{name: getattr(one, name) for name in getattr(kind, _FIELDS)} | changed)


def asdict(one: object, /) -> dict[str, Any]:
    """Return the fields of an object by name, and those of objects in them likewise."""
    return {name: _plain(getattr(one, name)) for name in getattr(type(one), _FIELDS)}


def _plain(value: Any) -> Any:
    if hasattr(type(value), _FIELDS):
        return asdict(value)
    if type(value) in (list, tuple):
        return type(value)([_plain(one) for one in value])
    return {key: _plain(one) for key, one in value.items()} if type(value) is dict else value


@overload
def dataclass(kind: _Class, /) -> _Class: ...
@overload
def dataclass(*, frozen: bool = False, eq: bool = True) -> Callable[[_Class], _Class]: ...
@dataclass_transform(field_specifiers=(field,))
def dataclass(kind: _Class | None = None, /, *, frozen: bool = False, eq: bool = True) -> Any:
    """Make a class hold the fields that its annotations name.

    Args:
        kind: the class.
        frozen: whether they are read only.
        eq: whether objects are equal whose fields are.
    """

    def make(kind: _Class) -> _Class:
        _make(kind, frozen=frozen, eq=eq)
        return kind

    return make if kind is None else make(kind)


def _make(kind: type, *, frozen: bool, eq: bool) -> None:
    own = vars(kind)
    fields: dict[str, Field] = {}
    for base in kind.__mro__[:0:-1]:
        fields |= vars(base).get(_FIELDS, {})
    for name, annotation in own.get("__annotations__", {}).items():
        if annotation.startswith("ClassVar"):
            continue
        told = own.get(name, _NOTHING)
        if isinstance(told, Field):
            delattr(kind, name)  # a default is filled in, not looked up
        fields[name] = told if isinstance(told, Field) else Field(told, None, repr=True, compare=True)
    methods: dict[str, Any] = {"__init__": _initialiser(fields, hasattr(kind, "__post_init__")), "__repr__": _repr}
    methods["__replace__"] = replace  # which `copy.replace` calls
    if eq:
        methods |= _comparison([name for name, one in fields.items() if one.compare], frozen=frozen)
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    methods |= {_FIELDS: fields, _OPTIONS: {"frozen": frozen, "eq": eq}, "__match_args__": tuple(fields), **_STANDARD}
    for name, method in methods.items():
        if name not in own:
            setattr(kind, name, method)


def _initialiser(fields: dict[str, Field], has_more: bool) -> Callable[..., None]:
    names, known = tuple(fields), frozenset(fields)
    defaults = {name: one.default for name, one in fields.items() if one.default is not _NOTHING}
    factories = {name: one.factory for name, one in fields.items() if one.factory is not None}

    def __init__(self: Any, *args: object, **kwargs: object) -> None:  # noqa: N807
        given = dict(zip(names, args, strict=False), **kwargs)
        state = defaults | given
        for name, factory in factories.items():
            if name not in state:
                state[name] = factory()
        if state.keys() != known or len(given) != len(args) + len(kwargs):
            missing = ", ".join(sorted(known - state.keys()))
            text = f"{type(self).__qualname__}({', '.join(names)})"
            raise TypeError(f"{text}: {f'no {missing}' if missing else f'{args}, {kwargs}'}")
        self.__dict__.update(state)
        if has_more:
            self.__post_init__()

    return __init__


def _repr(self: Any) -> str:
    shown = [f"{name}={getattr(self, name)!r}" for name, one in getattr(self, _FIELDS).items() if one.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _comparison(names: list[str], *, frozen: bool) -> dict[str, Any]:
    def __eq__(self: Any, other: object) -> bool:  # noqa: N807
        if type(other) is not type(self):
            return NotImplemented
        return [getattr(self, name) for name in names] == [getattr(other, name) for name in names]

    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(tuple([getattr(self, name) for name in names]))

    return {"__eq__": __eq__, "__hash__": __hash__ if frozen else None}


def _refuse_to_set(self: object, name: str, value: object) -> None:
    _check_open(self, name, "set")
    object.__setattr__(self, name, value)


def _refuse_to_delete(self: object, name: str) -> None:
    _check_open(self, name, "deleted")
    object.__delattr__(self, name)


def _check_open(one: object, name: str, what: str) -> None:
    """Refuse what is read only; a class that only inherits may have attributes of its own."""
    kind = type(one)
    if _FIELDS in vars(kind) or name in getattr(kind, _FIELDS):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"{kind.__qualname__} is read only: '{name}' can't be {what}")


@cache
def _standard(kind: type) -> Any:
    """Return a standard dataclass with the same fields."""
    import dataclasses

    annotations: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        annotations |= vars(base).get("__annotations__", {})
    fields = []
    for name, own in getattr(kind, _FIELDS).items():
        told = {"default": own.default} if own.default is not _NOTHING else {}
        told |= {"default_factory": own.factory} if own.factory is not None else {}
        fields.append((name, annotations[name], dataclasses.field(repr=own.repr, compare=own.compare, **told)))
    return dataclasses.make_dataclass(kind.__name__, fields, **getattr(kind, _OPTIONS))


class _OfStandard:
    """An attribute of a class that the standard dataclass has."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, one: object, kind: type) -> Any:
        return getattr(_standard(kind), self._name)


class _Signature:
    """The signature of a class, which tells no more than `*args, **kwargs` by itself."""

    def __get__(self, one: object, kind: type) -> Any:
        if one is not None or kind.__init__.__module__ != __name__:  # type: ignore[misc]
            raise AttributeError("__signature__")  # of an object that can be called, or a class with its own
        from inspect import signature

        return signature(_standard(kind))


_STANDARD: dict[str, object] = {name: _OfStandard(name) for name in ("__dataclass_fields__", "__dataclass_params__")}
_STANDARD["__signature__"] = _Signature()
