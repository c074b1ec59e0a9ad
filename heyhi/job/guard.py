"""What a script does when another process imports it: which names it has then, and whether it launches anything.

`if __name__ == "__main__":` keeps what is below it from that. Only what is plain from the source is said; what isn't is
found out when a job imports it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from heyhi.errors import LauncherError
from heyhi.job.importing import GUARD

_LAUNCHING = ("maybe_launch", "parse_args_and_maybe_launch")
_ANY_NAME = ("exec", "globals", "vars", "setattr", "locals")  # what may bind names that nobody sees in the source
_INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def check_script(main: object, what_for: str) -> None:
    """Make sure that a job can import a function of the script of this process without launching again.

    Args:
        main: the function; one of another module is imported without the script.
        what_for: what it is imported for, for the error.

    Raises:
        LauncherError: it launches outside of a guard.
    """
    if getattr(main, "__module__", None) != "__main__":
        return
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    tree = _parsed(Path(file)) if isinstance(file, str) else None
    for call in _calls(tree.body) if tree is not None else ():
        name = _called(call)
        if name in _LAUNCHING:
            raise LauncherError(
                f"{what_for}: {file}:{call.lineno}: {name} is called whenever this file is imported, as each run of it"
                f" does: put the call below {GUARD}"
            )


def is_bound_on_import(path: Path, name: str) -> bool:
    """Return whether a script has a name when it is imported, not only when it is run; True where nobody can tell."""
    tree = _parsed(path)
    return tree is None or _binds(tree.body, name)


def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
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
