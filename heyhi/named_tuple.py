"""`NamedTuple` as `typing` has it, whose classes cost half: what annotations mean isn't looked at.

A type checker sees that of `typing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from collections import namedtuple

    _NOT_TAKEN = ("__annotations__", "__module__", "__dict__", "__weakref__")

    class _Making(type):
        """Makes a tuple with named fields of what is written as a subclass of NamedTuple."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            kinds = body.get("__annotations__", {})
            made = namedtuple(
                name, kinds, defaults=[body[field] for field in kinds if field in body], module=body["__module__"]
            )
            made.__annotations__ = made.__new__.__annotations__ = kinds
            for key, value in body.items():
                if key not in kinds and key not in _NOT_TAKEN:
                    setattr(made, key, value)
            return made

    NamedTuple = type.__new__(_Making, "NamedTuple", (), {})
