"""What argparse calls declare, as values: parsers, their arguments, and what of them couldn't be read."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any


class Missing(Enum):
    """What stands for a value that isn't there, or that nobody knows without running the script."""

    UNREAD = "unread"
    ABSENT = "absent"
    SUPPRESS = "suppress"  # argparse.SUPPRESS


UNREAD, ABSENT, SUPPRESS = Missing.UNREAD, Missing.ABSENT, Missing.SUPPRESS


@dataclass(frozen=True)
class Remark:
    """What couldn't be read, or is otherwise than in the script.

    Attributes:
        line: of the script.
        text: a sentence without its full stop.
        is_harmless: whether argparse has the same attributes without it.
    """

    line: int
    text: str
    is_harmless: bool = False


@dataclass(frozen=True)
class Kind:
    """What makes a value of an argument's text: the `type` of `add_argument`.

    Attributes:
        name: `int`, `float`, `str`, `bool`, `path`; `own` for a function or class, `unread` for what isn't known.
        text: how Python code that has imported the script names it; '' where it can't.
        shown: as it is written.
        is_switch: whether it is for words such as `yes` and `false`.
    """

    name: str
    text: str = ""
    shown: str = ""
    is_switch: bool = False


@dataclass(frozen=True)
class Argument:
    """An `add_argument` call.

    Attributes:
        line: of the script.
        flags: `-l`, `--lr` …; none for a positional argument.
        dest: name of the attribute that argparse makes of it.
        action: argparse's word for it; `optional` for BooleanOptionalAction, `own` for a class of the script's.
        kind: its type, None where nothing is said.
        nargs: as argparse has it.
        default: a literal, None, or a `Missing`.
        default_text: as it is written.
        const: likewise a literal.
        choices: literals, None where there are none, UNREAD.
        choices_text: as they are written.
        required: whether it has to be given.
        help: its text, with `%(default)s` and the like filled in.
        group: title of the group it is in.
        condition: under which the script adds it.
    """

    line: int
    flags: tuple[str, ...]
    dest: str
    action: str = "store"
    kind: Kind | None = None
    nargs: int | str | None = None
    default: Any = None
    default_text: str = ""
    const: Any = None
    choices: list[Any] | Missing | None = None
    choices_text: str = ""
    required: bool = False
    help: str = ""
    group: str = ""
    condition: str = ""

    @property
    def flag(self) -> str:
        """The flag by which it is best given: a long one if it has one."""
        return next((flag for flag in self.flags if len(flag) > 2), self.flags[0]) if self.flags else ""


@dataclass(eq=False)
class Parser:
    """An `ArgumentParser`, or one of its subparsers.

    Attributes:
        node: the call that made it.
        description: what it says of the script.
        prefixes: characters that flags begin with.
        arguments: in their order.
        defaults: what `set_defaults` names: literals, or syntax trees of what is none.
        commands: subparsers by their names.
        default_of_all: `argument_default`.
        resolves: whether a later argument may take an earlier one's flag.
        is_parsed: whether the script calls its `parse_args`.
        is_parent: whether its arguments are given to other parsers.
    """

    node: ast.AST
    description: str = ""
    prefixes: str = "-"
    arguments: list[Argument] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)
    commands: dict[str, Parser] = field(default_factory=dict)
    default_of_all: Any = ABSENT
    resolves: bool = False
    is_parsed: bool = False
    is_parent: bool = False

    def set_defaults(self, values: dict[str, Any]) -> None:
        """Take defaults as argparse does: also of arguments that are there."""
        self.defaults |= values
        self.arguments = [
            replace(one, default=values[one.dest], default_text="") if one.dest in values else one
            for one in self.arguments
        ]

    def add(self, argument: Argument) -> Argument | None:
        """Add an argument; return the earlier one whose flag it has, which argparse refuses."""
        taken = [one for one in self.arguments if set(one.flags) & set(argument.flags)]
        if taken and self.resolves:
            left = [(one, tuple(flag for flag in one.flags if flag not in argument.flags)) for one in self.arguments]
            self.arguments = [
                replace(one, flags=flags) if one.flags else one for one, flags in left if flags or not one.flags
            ]
        elif taken:
            return taken[0]
        self.arguments.append(argument)
        return None

    @property
    def leaves(self) -> Iterator[tuple[tuple[str, ...], list[Parser]]]:
        """The commands that can be given: words of each, and the parsers that read it, from this one on."""
        if not self.commands:
            yield (), [self]
        for name, parser in self.commands.items():
            for words, parsers in parser.leaves:
                yield (name, *words), [self, *parsers]


def is_literal(value: Any) -> bool:
    """Return whether a value is known as a whole."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(map(is_literal, value))
    if isinstance(value, dict):
        return all(is_literal(key) and is_literal(one) for key, one in value.items())
    from pathlib import PurePath

    return value is None or isinstance(value, (bool, int, float, str, bytes, PurePath))


def unique(remarks: Iterable[Remark]) -> list[Remark]:
    """Return remarks in the order of the script's lines, each once."""
    return sorted(dict.fromkeys(remarks), key=lambda remark: remark.line)
