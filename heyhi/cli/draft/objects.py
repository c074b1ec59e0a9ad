"""What a name in a script can stand for while it is read, beside literals and parsers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from heyhi.cli.draft.arguments import ABSENT, UNREAD, Parser


@dataclass(frozen=True)
class Dotted:
    """What is imported, or of Python's own, by its full name."""

    name: str


@dataclass(eq=False)
class Scope:
    """The names of a module, a function or a class."""

    names: dict[str, Any] = field(default_factory=dict)
    outer: Scope | None = None
    elsewhere: dict[str, Scope] = field(default_factory=dict)  # those that `global` and `nonlocal` name

    def get(self, name: str) -> Any:
        """Return what a name stands for; what no scope has is Python's own, or unknown."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return Dotted(name)

    def set(self, name: str, value: Any) -> None:
        """Have a name stand for a value."""
        self.elsewhere.get(name, self).names[name] = value

    def forget(self, value: Any) -> None:
        """Know nothing more of a list or dict that something changes, by whatever name."""
        scope: Scope | None = self
        while scope is not None:
            scope.names.update({name: UNREAD for name, one in scope.names.items() if one is value})
            scope = scope.outer

    @property
    def outermost(self) -> Scope:
        """That of the module."""
        return self if self.outer is None else self.outer.outermost


@dataclass(eq=False)
class Function:
    """A function of the script's; bound to an object where it is a method that was looked up."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    scope: Scope
    bound: tuple[Any, ...] = ()
    owner: Class | None = None


@dataclass(eq=False)
class Class:
    """A class of the script's."""

    node: ast.ClassDef
    scope: Scope
    bases: list[Any]

    @property
    def line(self) -> Iterator[Class]:
        """Itself and the classes of the script that it is derived from, in the order in which names are looked up."""
        yield self
        for base in self.bases:
            if isinstance(base, Class):
                yield from base.line

    def is_a(self, *names: str) -> bool:
        """Return whether it is derived from one of these, which the script imports."""
        return any(isinstance(base, Dotted) and base.name in names for one in self.line for base in one.bases)

    def get(self, name: str) -> Any:
        """Return what it has by a name."""
        return next((one.scope.names[name] for one in self.line if name in one.scope.names), ABSENT)

    @property
    def members(self) -> list[Instance]:
        """Those of an enum, in their order."""
        values = {name: value for name, value in self.scope.names.items() if not name.startswith("_")}
        plain = {name: value for name, value in values.items() if not isinstance(value, (Function, Class, Dotted))}
        return [Instance(self, {"name": name, "value": value}) for name, value in plain.items()]


@dataclass(eq=False)
class Instance:
    """An object of a class of the script's."""

    of: Class
    names: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Above:
    """What `super()` gives."""

    of: Class
    self: Any


@dataclass(eq=False)
class Group:
    """A group of a parser's arguments."""

    parser: Parser
    title: str
    members: list[str] = field(default_factory=list)
    is_exclusive: bool = False


@dataclass(eq=False)
class Commands:
    """What `add_subparsers` gives."""

    parser: Parser


@dataclass(eq=False)
class Parsed:
    """What `parse_args` gives."""

    parser: Parser


@dataclass(frozen=True)
class Method:
    """A method of a parser, a group, a list …, that was looked up."""

    of: Any
    name: str
