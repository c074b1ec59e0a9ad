"""What a script does when it is imported, by its syntax tree: which names it has then, and which calls it makes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_ANY_NAME = ("exec", "globals", "vars", "setattr", "locals")  # what may bind names that nobody sees in the source
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def first_call(source: bytes, names: tuple[str, ...]) -> tuple[str, int] | None:
    """Return the name and the line of the first call of some functions that is made on import in any case."""
    tree = _parsed(source)
    calls = ((_called(call), call.lineno) for call in _calls(tree.body)) if tree is not None else ()
    return next((found for found in calls if found[0] in names), None)


def binds(source: bytes, name: str) -> bool:
    """Return whether a script has a name when it is imported, not only when it is run; True where nobody can tell."""
    tree = _parsed(source)
    return tree is None or _binds(tree.body, name)


def _parsed(source: bytes) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (ValueError, SyntaxError, RecursionError):
        return None


def _binds(body: list[ast.stmt], name: str) -> bool:
    return any(_may_bind(node, name) for node in _outer(body, has_tests=True))


def _may_bind(node: ast.AST, name: str) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name == name or any(isinstance(n, ast.Global) and name in n.names for n in ast.walk(node))
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.alias):
        return node.name == "*" or (node.asname or node.name.partition(".")[0]) == name
    if isinstance(node, ast.Call):
        return _called(node) in _ANY_NAME
    return isinstance(node, (ast.MatchAs, ast.MatchStar, ast.ExceptHandler)) and node.name == name


def _calls(body: list[ast.stmt]) -> Iterator[ast.Call]:
    """Yield the calls that are made on import in any case."""
    return (node for node in _outer(body, has_tests=False) if isinstance(node, ast.Call))


def _outer(nodes: list[ast.stmt], *, has_tests: bool) -> Iterator[ast.AST]:
    """Yield what is in a module's own body and is not below a guard; without what other tests decide, if asked so."""
    left: list[ast.AST] = list(reversed(nodes))
    while left:
        node = left.pop()
        if isinstance(node, ast.If):
            kept = _kept(node) if has_tests or _is_guard(node.test, ast.NotEq) else []
            left += reversed(kept)
            continue
        yield node
        if not isinstance(node, _INNER):
            left += reversed(list(ast.iter_child_nodes(node)))


def _kept(node: ast.If) -> list[ast.AST]:
    """Return what of an `if` may be done on import."""
    if _is_guard(node.test, ast.Eq):
        return [*node.orelse]
    if _is_guard(node.test, ast.NotEq):
        return [*node.body]
    return [node.test, *node.body, *node.orelse]


def _is_guard(test: ast.expr, kind: type[ast.cmpop]) -> bool:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and kind is ast.Eq:
        return any(_is_guard(value, kind) for value in test.values)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], kind):
        return False
    sides = [test.left, *test.comparators]
    names = [side.id for side in sides if isinstance(side, ast.Name)]
    texts = [side.value for side in sides if isinstance(side, ast.Constant)]
    return names == ["__name__"] and texts == ["__main__"]


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
