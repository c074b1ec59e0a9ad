"""How a script is run by a task file: by one of its functions, or as a whole; and how it is imported."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from heyhi.cli.draft.script import Script

_PARSING = ("parse_args", "parse_known_args", "parse_intermixed_args")
_ENDING = ("exit", "SystemExit", "print")  # of whose arguments one is what a script does


class How(Enum):
    """By what a script does its work."""

    WITH_ARGS = "main(args)"  # a function that takes what argparse gives
    BY_ITSELF = "main()"  # a function that reads the command line
    AS_A_WHOLE = "script"  # all of it, as Python runs it
    NOT_AT_ALL = "nothing"  # it only defines things


@dataclass(frozen=True)
class Running:
    """How a script is run.

    Attributes:
        how: by what.
        function: its name.
        why: in words, why it is run as a whole.
        line: of the script, that this is about.
    """

    how: How
    function: str = ""
    why: str = ""
    line: int = 1


@dataclass(frozen=True)
class Import:
    """How a script is imported.

    Attributes:
        module: its name.
        folders: in which it and what it imports is looked for, relative to the project unless absolute; besides the
            project itself.
        path: of its file, likewise.
        is_relative: whether it imports what lies beside it by `from . import`.
    """

    module: str
    folders: tuple[str, ...]
    path: str
    is_relative: bool

    @property
    def can_be_named(self) -> bool:
        """Whether an import statement can name it."""
        import keyword

        return all(part.isidentifier() and not keyword.iskeyword(part) for part in self.module.split("."))


def running_of(script: Script, *, has_commands: bool, is_whole: bool) -> Running:
    """Find out what of a script does its work.

    Args:
        script: the script.
        has_commands: whether it has subcommands.
        is_whole: whether all of its arguments could be read.
    """
    functions = {one.name: one for one in script.tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    guard = next((one for one in script.tree.body if isinstance(one, ast.If) and is_guard(one)), None)
    working = next((one for one in script.tree.body if one is not guard and _works(one, functions)), None)
    if script.stem in sys.stdlib_module_names and working is None and guard is not None:
        why = f"{script.path.name} can't be imported: Python has a module of that name"
        return Running(How.AS_A_WHOLE, why=why, line=guard.lineno)
    if working is not None:
        return Running(How.AS_A_WHOLE, why="it does its work when it is imported", line=working.lineno)
    if guard is not None:
        return _of_guard(guard, functions, has_commands=has_commands, is_whole=is_whole)
    main = functions.get("main")
    if main is None or isinstance(main, ast.AsyncFunctionDef):
        return Running(How.NOT_AT_ALL)
    is_with_args = _takes_one(main) and not has_commands
    return (
        Running(How.WITH_ARGS if is_with_args else How.BY_ITSELF, "main")
        if _can_take(main)
        else Running(How.NOT_AT_ALL)
    )


def is_guard(node: ast.If) -> bool:
    """Return whether a statement is `if __name__ == "__main__":`."""
    return any(isinstance(one, ast.Name) and one.id == "__name__" for one in ast.walk(node.test))


def _of_guard(
    guard: ast.If, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef], *, has_commands: bool, is_whole: bool
) -> Running:
    calls = [call for call in _calls(guard.body) if isinstance(call.func, ast.Name) and call.func.id in functions]
    works = [call for call in calls if not _gives_to_others(call, guard.body)]
    if not works:
        return Running(How.AS_A_WHOLE, why="its work stands below its `if __name__`, in no function", line=guard.lineno)
    call = works[-1]
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    others = [one for one in guard.body if not _is_only(one, call) and not _prepares(one, functions, name)]
    is_plain = not isinstance(functions[name], ast.AsyncFunctionDef) and not call.keywords
    if others or not is_plain:
        why = f"more than the call of {name} stands below its `if __name__`"
        return Running(How.AS_A_WHOLE, name, why, (others or [guard])[0].lineno)
    if not call.args and not any(_parses(one) for one in guard.body):
        return Running(How.BY_ITSELF, name)
    if len(call.args) == 1 and _takes_one(functions[name]) and not has_commands and is_whole:
        return Running(How.WITH_ARGS, name)
    why = "its subcommands" if has_commands else "not all of its arguments could be read"
    if len(call.args) != 1 or not _takes_one(functions[name]):
        why = f"{name} doesn't take just what argparse gives"
    return Running(How.AS_A_WHOLE, name, why, call.lineno)


def _works(node: ast.stmt, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> bool:
    """Return whether a statement of the module parses arguments, or calls a function of the script's on its own."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
        return False
    if isinstance(node, ast.If) and is_guard(node):
        return False
    if any(_is_parsing(call) for call in _calls([node])):
        return True
    is_alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    called = [call.func.id for call in _calls([node]) if isinstance(call.func, ast.Name) and call.func.id in functions]
    return bool(called) and (is_alone or any(_parses(functions[name]) for name in called))


def _prepares(node: ast.stmt, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef], main: str) -> bool:
    """Return whether a statement has to do with arguments only, so that nobody misses it who has them."""
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass)):
        return True
    if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.Expr)) or node.value is None:
        return False
    if isinstance(node.value, ast.Constant):
        return isinstance(node, ast.Expr)
    call = node.value
    if not isinstance(call, ast.Call):
        return False
    name = _name_of(call)
    if name in ("ArgumentParser", "add_argument", "add_argument_group", "set_defaults", *_PARSING):
        return True
    return name in functions and name != main and _only_parses(functions[name])


def _only_parses(function: ast.AST) -> bool:
    names = [one.attr for one in ast.walk(function) if isinstance(one, ast.Attribute)]
    names += [one.id for one in ast.walk(function) if isinstance(one, ast.Name)]
    return any(name in ("ArgumentParser", "add_argument", *_PARSING) for name in names)


def _is_only(node: ast.stmt, call: ast.Call) -> bool:
    """Return whether a statement is a call, or `sys.exit` of it."""
    value = node.value if isinstance(node, (ast.Expr, ast.Assign)) else None
    if isinstance(value, ast.Call) and value is not call and len(value.args) == 1 and value.args[0] is call:
        return _name_of(value) in _ENDING
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return call in node.exc.args
    return value is call


def _gives_to_others(call: ast.Call, body: Sequence[ast.stmt]) -> bool:
    """Return whether what a call gives is given to another one, or kept."""
    kept = any(isinstance(one, (ast.Assign, ast.AnnAssign)) and one.value is call for one in body)
    outer = any(
        other is not call and _name_of(other) not in _ENDING and call in ast.walk(other) for other in _calls(body)
    )
    return kept or outer


def _calls(body: Sequence[ast.stmt]) -> Iterator[ast.Call]:
    for node in body:
        yield from (one for one in ast.walk(node) if isinstance(one, ast.Call))


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else str(getattr(call.func, "id", ""))


def _is_parsing(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _PARSING


def _parses(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Call) and _is_parsing(one) for one in ast.walk(node))


def _takes_one(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    names = [*arguments.posonlyargs, *arguments.args]
    required = len(names) - len(arguments.defaults)
    no_others = all(default is not None for default in arguments.kw_defaults)
    # `main(argv=None)` takes words, and no namespace.
    is_words = bool(names) and required == 0 and names[0].arg in ("argv", "argument_list", "cli_args")
    return bool(names) and required <= 1 and no_others and not is_words and (required == 1 or not _parses(function))


def _can_take(function: ast.FunctionDef) -> bool:
    arguments = function.args
    return len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults) <= 1


def import_of(script: Script, root: Path) -> Import:
    """Find out how a script is imported by a file in the project's root."""
    parts = [script.stem]
    base = script.path.parent
    while (base / "__init__.py").exists() and base not in (root, base.parent) and base.name.isidentifier():
        parts.insert(0, base.name)
        base = base.parent
    is_relative = any(level > 0 for _, level in script.imports)
    folders = [base]
    siblings = {path.stem for path in script.path.parent.glob("*.py")} - {script.stem, "__init__"}
    if len(parts) > 1 and any(name.partition(".")[0] in siblings for name, level in script.imports if level == 0):
        folders.append(script.path.parent)
    shown = [_relative(folder, root) for folder in folders]
    return Import(".".join(parts), tuple(one for one in shown if one != "."), _relative(script.path, root), is_relative)


def _relative(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return os.fspath(path)
