"""Follows a script from its first line on, as Python would, to where it makes parsers; nothing of it is run.

Both ways of an `if` are followed. What expressions are is left to `expressions`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from heyhi.cli.draft import literals
from heyhi.cli.draft.arguments import UNREAD, Parser, is_literal
from heyhi.cli.draft.calls import Given
from heyhi.cli.draft.expressions import MOST_TURNS, Expressions, TooLongError, equal
from heyhi.cli.draft.objects import Class, Commands, Dotted, Function, Group, Instance, Scope

# Names of methods by which something happens to a parser; a loop without one is gone through once.
_HAPPENING = frozenset({"add_argument", "add_argument_group", "add_parser", "set_defaults", "ArgumentParser", "append"})


class Reader(Expressions):
    """Who reads a script: its statements, and by them its expressions."""

    def read(self) -> None:
        """Go through the script, then through what of it nothing has called."""
        module = Scope({"__name__": "__main__", "__file__": UNREAD, "__doc__": ast.get_docstring(self.script.tree)})
        try:
            self.run(self.script.tree.body, module)
            for node, scope, owner in self._uncalled(self.script.tree.body, module, None):
                if node not in self.seen:
                    me = (Instance(owner),) if owner is not None else ()
                    self.call_function(Function(node, scope, me, owner), Given(node), is_own=True)
        except (TooLongError, RecursionError):
            self.remark(self.script.tree, "the script goes on further than is followed: arguments may be missing")

    def _uncalled(
        self, body: Sequence[ast.stmt], scope: Scope, owner: Class | None
    ) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, Scope, Class | None]]:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _makes_arguments(node):
                yield node, scope, owner
            elif isinstance(node, ast.ClassDef) and isinstance(found := scope.names.get(node.name), Class):
                yield from self._uncalled(node.body, found.scope, found)

    def run(self, body: Sequence[ast.stmt], scope: Scope) -> bool:
        """Go through statements; return whether nothing behind them is reached."""
        return any(self._run_one(node, scope) for node in body)

    def _run_one(self, node: ast.stmt, scope: Scope) -> bool:
        self.step()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                scope.set(node.name, Function(node, scope))
            case ast.ClassDef():
                self._define_class(node, scope)
            case ast.Import() | ast.ImportFrom():
                _bind_imports(node, scope)
            case ast.Assign():
                value = self.value(node.value, scope)
                for target in node.targets:
                    self.assign(target, value, scope)
            case ast.AnnAssign() if node.value is not None:
                self.assign(node.target, self.value(node.value, scope), scope)
            case ast.AugAssign():
                left = self.value(node.target, scope)
                right = self.value(node.value, scope)
                scope.forget(left) if isinstance(left, (list, dict, set)) else None
                self.assign(node.target, literals.combine(node.op, left, right), scope)
            case ast.Return():
                value = self.value(node.value, scope) if node.value is not None else None
                if self.returned:
                    self.returned[-1].append(value)
                return True
            case ast.Raise() | ast.Continue() | ast.Break():
                return True
            case ast.If():
                return self._branch(node, scope)
            case ast.For() | ast.AsyncFor():
                self._loop(node, scope)
            case ast.While():
                self.value(node.test, scope)
                self._maybe([node.body, node.orelse], scope)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    value = self.value(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, value, scope)
                return self.run(node.body, scope)
            case ast.Try() | ast.TryStar():
                ended = self.run([*node.body, *node.orelse], scope)
                self._maybe([handler.body for handler in node.handlers], scope)
                return self.run(node.finalbody, scope) or (ended and not node.handlers)
            case ast.Match():
                self.value(node.subject, scope)
                self._maybe([case.body for case in node.cases], scope)
            case ast.Global() | ast.Nonlocal():
                scope.elsewhere |= dict.fromkeys(node.names, scope.outermost)
            case ast.Delete():
                for target in node.targets:
                    self.assign(target, UNREAD, scope)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, ast.expr):
                        self.value(child, scope)
        return False

    def _branch(self, node: ast.If, scope: Scope) -> bool:
        test = self.value(node.test, scope)
        if isinstance(test, Dotted) and test.name.endswith("TYPE_CHECKING"):
            test = False
        if is_literal(test):
            return self.run(node.body if test else node.orelse, scope)
        return all(self._maybe([node.body, node.orelse], scope, [(node.test, True), (node.test, False)]))

    def _maybe(
        self, bodies: Sequence[Sequence[ast.stmt]], scope: Scope, conditions: Sequence[tuple[ast.expr, bool]] = ()
    ) -> list[bool]:
        """Go each of several ways; afterwards a name is known where all that come out of them agree."""
        before = dict(scope.names)
        after: list[dict[str, Any]] = []
        ends: list[bool] = []
        outer = list(self.conditions)
        for place, body in enumerate(bodies):
            scope.names = dict(before)
            self.conditions = [*outer, *conditions[place : place + 1]]
            ends.append(self.run(body, scope))
            if not ends[-1]:
                after.append(scope.names)
        self.conditions = outer
        if len(bodies) < 2:  # a loop, or one handler: it may also be passed by
            after.append(before)
        scope.names = _merged(after) if after else before
        return ends

    def _loop(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        many = self.items(self.value(node.iter, scope))
        if many is not None and len(many) <= MOST_TURNS and _makes_arguments(node):
            for one in many:
                self.assign(node.target, one, scope)
                self.run(node.body, scope)
        else:
            for name in ast.walk(ast.Module([*node.body], [])):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    scope.set(name.id, UNREAD)
            self.assign(node.target, UNREAD, scope)
            self.run(node.body, scope)
        self.run(node.orelse, scope)

    def _define_class(self, node: ast.ClassDef, scope: Scope) -> None:
        own = Scope(outer=scope)
        found = Class(node, own, [self.value(base, scope) for base in node.bases])
        self.run(node.body, own)
        own.names = {name: _owned(value, found) for name, value in own.names.items()}
        scope.set(node.name, found)


def _bind_imports(node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
    for one in node.names:
        if isinstance(node, ast.Import):
            scope.set(
                one.asname or one.name.partition(".")[0], Dotted(one.name if one.asname else one.name.split(".")[0])
            )
        elif one.name == "*":
            for name in ("ArgumentParser", "SUPPRESS", "REMAINDER", "BooleanOptionalAction", "FileType"):
                if node.module == "argparse":
                    scope.set(name, Dotted(f"argparse.{name}"))
        else:
            full = f"{'.' * node.level}{node.module or ''}.{one.name}"
            scope.set(one.asname or one.name, literals.NAMES.get(full, Dotted(full)))


@cache
def _makes_arguments(node: ast.AST) -> bool:
    """Return whether something happens to a parser below a node."""
    return any(
        (isinstance(one, ast.Attribute) and one.attr in _HAPPENING)
        or (isinstance(one, ast.Name) and one.id == "ArgumentParser")
        for one in ast.walk(node)
    )


def _merged(ways: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for way in ways for name in way):
        first, *others = [way[name] for way in ways if name in way]
        is_same = all(one is first or (type(one) is type(first) and equal(one, first)) for one in others)
        known = next((one for one in (first, *others) if isinstance(one, (Parser, Group, Commands))), UNREAD)
        found[name] = first if is_same else known
    return found


def _owned(value: Any, owner: Class) -> Any:
    return Function(value.node, value.scope.outer or value.scope, (), owner) if isinstance(value, Function) else value
