"""What the expressions of a script are, as far as that is known without running it; its calls happen on the way.

Statements are left to `reading`, what the calls of argparse mean to `calls`.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from heyhi.cli.draft import literals
from heyhi.cli.draft.arguments import ABSENT, UNREAD, Parser, Remark, is_literal
from heyhi.cli.draft.calls import Given, add_to_group, call_parser, make_parser, register
from heyhi.cli.draft.objects import Above, Class, Commands, Dotted, Function, Group, Instance, Method, Scope
from heyhi.cli.draft.script import Script

_MOST_STEPS, _MOST_DEPTH = 300_000, 40
MOST_TURNS = 500  # of a loop that is followed
_PARSERS = ("argparse.ArgumentParser",)
_ENUMS = ("enum.Enum", "enum.StrEnum", "enum.IntEnum")
_HANDED = frozenset({"add_argument", "add_argument_group", "add_mutually_exclusive_group"})
_OF_TEXT = frozenset({"lower", "upper", "title", "strip", "split", "replace", "join", "format", "capitalize", "lstrip"})


class TooLongError(Exception):
    """A script that calls its functions from one another more often than is followed."""


@dataclass
class Expressions(ABC):
    """What is known of a script so far.

    Attributes:
        script: what is read.
        parsers: in the order in which they were made.
        remarks: what couldn't be read.
        conditions: under which what is read now happens, each with whether it holds.
        seen: functions that have been called.
        returned: what each function that is gone through has returned, the innermost last.
    """

    script: Script
    parsers: list[Parser] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    conditions: list[tuple[ast.expr, bool]] = field(default_factory=list)
    _steps: int = 0
    _running: list[ast.AST] = field(default_factory=list)
    seen: set[ast.AST] = field(default_factory=set)
    returned: list[list[Any]] = field(default_factory=list)

    def remark(self, node: ast.AST, text: str, *, is_harmless: bool = False) -> None:
        """Note what couldn't be read."""
        self.remarks.append(Remark(getattr(node, "lineno", 1), text, is_harmless))

    def source(self, node: ast.AST) -> str:
        """Return what stands in the script at a node."""
        return self.script.source(node)

    @property
    def condition(self) -> str:
        """Under which conditions what is read now happens, as they are written."""
        return " and ".join(
            self.source(test) if holds else f"not ({self.source(test)})" for test, holds in self.conditions
        )

    @abstractmethod
    def run(self, body: Sequence[ast.stmt], scope: Scope) -> bool:
        """Go through statements; return whether nothing behind them is reached."""

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """Give what stands left of a `=` a value."""
        if isinstance(target, ast.Name):
            scope.set(target.id, value)
        elif isinstance(target, ast.Attribute):
            owner = self.value(target.value, scope)
            if isinstance(owner, Instance):
                owner.names[target.attr] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            many = value if isinstance(value, (tuple, list)) and len(value) == len(target.elts) else None
            for place, one in enumerate(target.elts):
                self.assign(one, UNREAD if many is None else many[place], scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, UNREAD, scope)
        elif isinstance(target, ast.Subscript):
            scope.forget(self.value(target.value, scope))

    def step(self) -> None:
        """Count what is done; raise TooLongError where that is more than is followed."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise TooLongError

    def value(self, node: ast.expr, scope: Scope) -> Any:
        """Return what an expression is, as far as that is known; calls in it have happened then."""
        self.step()
        match node:
            case ast.Constant():
                return UNREAD if isinstance(node.value, complex) or node.value is Ellipsis else node.value
            case ast.Name():
                return scope.get(node.id)
            case ast.Attribute():
                return self._attribute(self.value(node.value, scope), node.attr)
            case ast.Call():
                return self._call(node, scope)
            case ast.BinOp():
                return self._binary(node, scope)
            case ast.UnaryOp():
                return literals.signed(node.op, self.value(node.operand, scope))
            case ast.Compare():
                values = [self.value(one, scope) for one in (node.left, *node.comparators)]
                found = [literals.compared(values[i], op, values[i + 1]) for i, op in enumerate(node.ops)]
                return UNREAD if any(one is UNREAD for one in found) else all(found)
            case ast.BoolOp():
                return self._either(node, scope)
            case ast.IfExp():
                test = self.value(node.test, scope)
                if is_literal(test):
                    return self.value(node.body if test else node.orelse, scope)
                one, other = self.value(node.body, scope), self.value(node.orelse, scope)
                return one if isinstance(one, Parser) or equal(one, other) else UNREAD
            case ast.Tuple() | ast.List() | ast.Set():
                many = self._elements(node.elts, scope)
                return many if isinstance(node, ast.List) else _tuple_or_set(node, many)
            case ast.Dict():
                return self._mapping(node, scope)
            case ast.JoinedStr():
                return self._joined(node, scope)
            case ast.Subscript():
                return literals.item_of(self.value(node.value, scope), self.value(node.slice, scope))
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                return self._comprehension(node, scope)
            case ast.NamedExpr():
                value = self.value(node.value, scope)
                self.assign(node.target, value, scope)
                return value
            case ast.Await() | ast.Starred():
                return self.value(node.value, scope)
            case ast.Lambda() | ast.DictComp():
                return UNREAD
            case ast.Slice():
                parts = [self.value(one, scope) if one else None for one in (node.lower, node.upper, node.step)]
                return UNREAD if not all(map(is_literal, parts)) else slice(*parts)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child, scope)
        return UNREAD

    def _binary(self, node: ast.BinOp, scope: Scope) -> Any:
        # A long chain of + is a deep tree: its left side is gone down without recursion.
        chain: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            chain.append(left)
            left = left.left
        value = self.value(left, scope)
        for one in reversed(chain):
            value = literals.combine(one.op, value, self.value(one.right, scope))
        return value

    def _either(self, node: ast.BoolOp, scope: Scope) -> Any:
        value: Any = UNREAD
        for one in node.values:
            value = self.value(one, scope)
            if not is_literal(value):
                return UNREAD
            if bool(value) == isinstance(node.op, ast.Or):
                return value
        return value

    def _elements(self, nodes: Sequence[ast.expr], scope: Scope) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            value = self.value(node, scope)
            found += (self.items(value) or [UNREAD]) if isinstance(node, ast.Starred) else [value]
        return found

    def _mapping(self, node: ast.Dict, scope: Scope) -> Any:
        found: dict[Any, Any] = {}
        for key, one in zip(node.keys, node.values, strict=True):
            value = self.value(one, scope)
            name = self.value(key, scope) if key is not None else None
            if key is None and isinstance(value, dict):
                found |= value
            elif key is not None and isinstance(name, (str, int, float, bool, type(None))):
                found[name] = value
            else:
                return UNREAD
        return found

    def _joined(self, node: ast.JoinedStr, scope: Scope) -> Any:
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
            elif isinstance(part, ast.FormattedValue):
                spec = self.value(part.format_spec, scope) if part.format_spec is not None else ""
                one = self.value(part.value, scope)
                shown = literals.text_of(one, part.conversion, spec) if isinstance(spec, str) else UNREAD
                if not isinstance(shown, str):
                    return UNREAD
                text += shown
        return text if len(text) < 100_000 else UNREAD

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp, scope: Scope) -> Any:
        (first, *more) = node.generators
        many = self.items(self.value(first.iter, scope))
        if more or many is None or len(many) > MOST_TURNS:
            return UNREAD
        found = []
        inner = Scope(outer=scope)
        for one in many:
            self.assign(first.target, one, inner)
            tests = [self.value(test, inner) for test in first.ifs]
            if not all(map(is_literal, tests)):
                return UNREAD
            if all(tests):
                found.append(self.value(node.elt, inner))
        return found

    def items(self, value: Any) -> list[Any] | None:
        """Return what is gone through where a value is, None where that isn't known."""
        if isinstance(value, Class) and value.is_a(*_ENUMS):
            return list(value.members)
        return list(value) if isinstance(value, (list, tuple, dict, str)) else None

    def _attribute(self, owner: Any, name: str) -> Any:
        if isinstance(owner, Dotted):
            full = f"{owner.name}.{name}"
            return literals.NAMES.get(full, Dotted(full))
        if isinstance(owner, Instance) and name in owner.names:
            return owner.names[name]
        if isinstance(owner, (Instance, Above)):
            found = owner.of.get(name) if isinstance(owner, Instance) else _above(owner, name)
            me = owner if isinstance(owner, Instance) else owner.self
            return Function(found.node, found.scope, (me,), found.owner) if _is_method(found) else _known(found)
        if isinstance(owner, Class):
            value = owner.get(name)
            if owner.is_a(*_ENUMS) and is_literal(value):
                return Instance(owner, {"name": name, "value": value})
            return _known(value)
        if isinstance(owner, (Parser, Group, Commands, dict, list, str, set)):
            return Method(owner, name)
        return UNREAD

    def _call(self, node: ast.Call, scope: Scope) -> Any:
        called = self._called(node, scope)
        given = self._given(node, scope)
        if isinstance(called, Dotted):
            if called.name == "super":
                return self._super(scope)
            if called.name in _PARSERS:
                return self._made(given)
            if called.name in ("copy.deepcopy", "copy.copy") and given.values:
                return given.values[0]
            values = [self.items(value) if isinstance(value, Class) else value for value in given.values]
            return UNREAD if given.named or given.is_open else literals.called(called.name, values)
        if isinstance(called, Function):
            return self.call_function(called, given)
        if isinstance(called, Class):
            return self._instance(called, given)
        if isinstance(called, Method):
            if isinstance(called.of, (Parser, Group, Commands)):
                return self._call_method(called, given)
            return self._call_plain(called, given, scope)
        return UNREAD

    def _called(self, node: ast.Call, scope: Scope) -> Any:
        called = self.value(node.func, scope)
        if called is UNREAD and isinstance(node.func, ast.Attribute) and node.func.attr in _HANDED:
            owner = node.func.value
            # A parser that somebody else hands in: `def add_arguments(parser)`.
            if isinstance(owner, ast.Name):
                parser = Parser(owner)
                self.parsers.append(parser)
                scope.set(owner.id, parser)
                return Method(parser, node.func.attr)
        return called

    def _given(self, node: ast.Call, scope: Scope) -> Given:
        given = Given(node)
        for one in node.args:
            value = self.value(one, scope)
            if not isinstance(one, ast.Starred):
                given.values.append(value)
            elif isinstance(value, (list, tuple)):
                given.values += value
            else:
                given.is_open = True
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg is not None:
                given.named[keyword.arg] = value
                given.nodes[keyword.arg] = keyword.value
            elif isinstance(value, dict) and all(isinstance(name, str) for name in value):
                given.named |= value
            else:
                given.is_open_by_name = True
        return given

    def _super(self, scope: Scope) -> Any:
        me, owner = scope.get("self"), scope.get("__class__")
        return Above(owner, me) if isinstance(owner, Class) and isinstance(me, (Instance, Parser)) else UNREAD

    def _made(self, given: Given) -> Parser:
        parser = make_parser(given, self)
        self.parsers.append(parser)
        return parser

    def _instance(self, called: Class, given: Given) -> Any:
        if called.is_a(*_ENUMS):
            return UNREAD
        me = self._made(given) if called.is_a(*_PARSERS) else Instance(called)
        start = called.get("__init__")
        if isinstance(start, Function):
            self.call_function(Function(start.node, start.scope, (me,), start.owner), given)
        return me

    def _call_method(self, called: Method, given: Given) -> Any:
        owner = called.of
        if isinstance(owner, Group):
            return add_to_group(owner, called.name, given, self)
        if isinstance(owner, Commands):
            return register(owner, called.name, given, self)
        return call_parser(owner, called.name, given, self)

    def _call_plain(self, called: Method, given: Given, scope: Scope) -> Any:
        owner, values = called.of, given.values
        if isinstance(owner, dict) and called.name in ("keys", "values", "items"):
            return {"keys": list(owner), "values": list(owner.values()), "items": list(owner.items())}[called.name]
        if isinstance(owner, dict) and called.name == "get" and values and is_literal(values[0]):
            return owner.get(values[0], values[1] if len(values) > 1 else None)
        if called.name in ("copy", "index", "count"):
            return owner if called.name == "copy" else UNREAD
        if isinstance(owner, str):
            is_known = called.name in _OF_TEXT and all(map(is_literal, values)) and not given.named
            if not is_known or len(owner) > 10_000 or (called.name == "format" and ":" in owner):
                return UNREAD
            try:
                return getattr(owner, called.name)(*values)
            except (TypeError, ValueError, LookupError, AttributeError):
                return UNREAD
        scope.forget(owner)
        return UNREAD

    def call_function(self, called: Function, given: Given, *, is_own: bool = False) -> Any:
        """Go through a function of the script; return what is known of what it returns."""
        node = called.node
        if node in self._running or len(self._running) >= _MOST_DEPTH:
            return UNREAD
        self.seen.add(node)
        scope = Scope({} if called.owner is None else {"__class__": called.owner}, called.scope)
        self._bind(called, given, scope)
        self._running.append(node)
        self.returned.append([])
        before = list(self.conditions)
        try:
            self.run(node.body, scope)
        finally:
            self._running.pop()
            returned = self.returned.pop()
            self.conditions[:] = before
        known = [one for one in returned if one is not UNREAD and one is not None]
        if len(returned) == 1 or not known:
            return returned[0] if returned else None
        first = next((one for one in known if not is_literal(one)), UNREAD)
        return first if not all(one == known[0] for one in returned) else known[0]

    def _bind(self, called: Function, given: Given, scope: Scope) -> None:
        arguments = called.node.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        decorators = [one.id for one in called.node.decorator_list if isinstance(one, ast.Name)]
        bound = () if "staticmethod" in decorators else called.bound
        defaults = dict(zip(reversed(names), map(_literal_of, reversed(arguments.defaults)), strict=False))
        defaults |= {
            one.arg: UNREAD if default is None else _literal_of(default)
            for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        }
        found = {name: defaults.get(name, UNREAD) for name in (*names, *defaults)}
        found |= dict(zip(names, (*bound, *given.values), strict=False))
        found |= {name: value for name, value in given.named.items() if name in found}
        if arguments.vararg is not None:
            found[arguments.vararg.arg] = UNREAD if given.is_open else (*bound, *given.values)[len(names) :]
        if arguments.kwarg is not None:
            rest = {name: value for name, value in given.named.items() if name not in found}
            found[arguments.kwarg.arg] = UNREAD if given.is_open_by_name else rest
        scope.names |= found


def equal(one: Any, other: Any) -> bool:
    """Return whether two values are known, and equal."""
    return is_literal(one) and is_literal(other) and bool(one == other)


def _is_method(value: Any) -> bool:
    return isinstance(value, Function) and value.owner is not None


def _above(owner: Above, name: str) -> Any:
    found = (base.get(name) for base in owner.of.bases if isinstance(base, Class))
    return next((one for one in found if one is not ABSENT), UNREAD)


def _known(value: Any) -> Any:
    return UNREAD if value is ABSENT else value


def _literal_of(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return UNREAD


def _tuple_or_set(node: ast.expr, many: list[Any]) -> Any:
    if isinstance(node, ast.Tuple):
        return tuple(many)
    return (
        set(many)
        if all(map(is_literal, many)) and not any(isinstance(one, (list, dict, set)) for one in many)
        else UNREAD
    )
