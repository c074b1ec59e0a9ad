"""What the `type` of an argument is: one of Python's own, or a function of the script's, and how code names that."""

from __future__ import annotations

import ast
import builtins
import keyword
from typing import Any

from heyhi.cli.draft.arguments import Kind
from heyhi.cli.draft.objects import Class, Dotted, Function

SCRIPT = "script"  # by which name the task file imports the script
_PLAIN = {"int": "int", "float": "float", "str": "str", "bool": "bool", "builtins.str": "str"}
_PATHS = ("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "Path")
_SWITCHES = ("bool", "true", "flag", "onoff", "on_off", "yesno", "yes_no")


def kind_of(value: Any, node: ast.expr | None) -> Kind:
    """Return what kind of type a value is.

    Args:
        value: as far as it is known.
        node: as it is written.
    """
    shown = " ".join(ast.unparse(node).split()) if node is not None else ""
    if isinstance(value, Dotted):
        if value.name in _PLAIN or value.name in _PATHS:
            return Kind(_PLAIN.get(value.name, "path"), shown=shown)
        last = value.name.rpartition(".")[2].lower()
        return Kind("own", _named(value, node), shown, any(word in last for word in _SWITCHES))
    if isinstance(value, Function):
        returned = value.node.returns
        annotated = returned.id if isinstance(returned, ast.Name) else None
        is_switch = annotated == "bool" or any(word in value.node.name.lower() for word in _SWITCHES)
        is_global = value.scope.outer is None and not value.bound
        known = annotated if annotated in ("int", "float") else "own"
        return Kind(known, f"{SCRIPT}.{value.node.name}" if is_global else "", shown, is_switch)
    if isinstance(value, Class):
        return Kind("own", f"{SCRIPT}.{value.node.name}" if value.scope.outer is value.scope.outermost else "", shown)
    if isinstance(node, ast.Lambda) and _is_closed(node):
        return Kind("own", f"({shown})", shown)
    return Kind("unread", shown=shown)


def _named(value: Dotted, node: ast.expr | None) -> str:
    """Return how code names what is imported by the script, or Python's own."""
    if node is None or value.name.startswith(("argparse.", ".")):
        return ""
    text, first = ast.unparse(node), value.name.partition(".")[0]
    parts = text.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        return ""
    is_pythons = parts[0] == first and hasattr(builtins, first)
    if "." not in value.name and not is_pythons:
        return ""  # nobody knows where it is from
    return text if is_pythons else f"{SCRIPT}.{text}"


def _is_closed(node: ast.Lambda) -> bool:
    """Return whether all that a lambda names is its own, or Python's."""
    own = {one.arg for one in ast.walk(node) if isinstance(one, ast.arg)}
    names = {one.id: one.ctx for one in ast.walk(node) if isinstance(one, ast.Name)}
    own |= {name for name, context in names.items() if isinstance(context, ast.Store)}
    is_plain = not any(isinstance(one, (ast.NamedExpr, ast.Await, ast.Yield)) for one in ast.walk(node))
    return is_plain and all(name in own or hasattr(builtins, name) for name in names)
