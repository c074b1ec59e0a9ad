"""The tasks that a script has: one, or one for each of its subcommands, with the arguments of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from heyhi.cli.draft.arguments import Argument, Parser, Remark, unique
from heyhi.cli.draft.reading import Reader
from heyhi.cli.draft.script import Script, no_parser


@dataclass(frozen=True)
class Level:
    """What one parser reads of a command line.

    Attributes:
        word: the subcommand before it, '' of the first.
        arguments: in their order.
    """

    word: str
    arguments: list[Argument]


@dataclass(frozen=True)
class Task:
    """What a script does.

    Attributes:
        words: the subcommand, none where there is only one.
        description: what it says of itself.
        levels: what its command line has, from left to right.
        constants: what `set_defaults` adds that no argument has.
    """

    words: tuple[str, ...]
    description: str
    levels: list[Level]
    constants: dict[str, Any] = field(default_factory=dict)

    @property
    def by_dest(self) -> dict[str, list[Argument]]:
        """Its arguments by the attribute that argparse makes of them; several may make the same."""
        found: dict[str, list[Argument]] = {}
        for level in self.levels:
            for argument in level.arguments:
                found.setdefault(argument.dest, []).append(argument)
        return found


def tasks_of(script: Script) -> tuple[list[Task], list[Remark]]:
    """Read what tasks a script has, and what of it couldn't be read.

    Raises:
        ProjectError: it makes no parser.
    """
    reader = Reader(script)
    reader.read()
    roots = _roots(reader)
    if not roots:
        raise no_parser(script)
    return [_task(words, parsers) for words, parsers in _leaves(roots)], unique(reader.remarks)


def _roots(reader: Reader) -> list[Parser]:
    """Return the parsers whose arguments a command line has."""
    made: dict[object, Parser] = {}
    for parser in reader.parsers:
        if not parser.is_parent or parser.is_parsed:
            earlier = made.get(parser.node)
            made[parser.node] = parser if earlier is None or (parser.is_parsed and not earlier.is_parsed) else earlier
    parsed = [parser for parser in made.values() if parser.is_parsed]
    for parser in made.values():
        if parsed and not parser.is_parsed and parser.arguments:
            reader.remark(
                parser.node, f"arguments of a parser whose parse_args isn't called: {parser.arguments[0].dest} …"
            )
    return parsed or list(made.values())


def _leaves(roots: list[Parser]) -> Iterator[tuple[tuple[str, ...], list[list[Parser]]]]:
    """Yield the words of each command, and the parsers of each word; the first ones may be several in a row."""
    plain = [parser for parser in roots if not parser.commands]
    with_commands = [parser for parser in roots if parser.commands]
    if not with_commands:
        yield (), [plain]
    for root in with_commands:
        for words, (first, *others) in root.leaves:
            yield words, [[*plain, first], *([one] for one in others)]


def _task(words: tuple[str, ...], parsers: list[list[Parser]]) -> Task:
    levels = []
    seen: set[tuple[int, tuple[str, ...]]] = set()
    constants: dict[str, Any] = {}
    for word, several in zip(("", *words), parsers, strict=True):
        arguments = [one for parser in several for one in parser.arguments]
        fresh = [one for one in dict.fromkeys((a.line, a.flags or (a.dest,)) for a in arguments) if one not in seen]
        seen |= set(fresh)
        by_place = {(a.line, a.flags or (a.dest,)): a for a in arguments}
        levels.append(Level(word, [by_place[place] for place in fresh]))
        for parser in several:
            constants |= parser.defaults
    dests = {one.dest for level in levels for one in level.arguments}
    last = parsers[-1][-1]
    return Task(
        words, last.description, levels, {name: value for name, value in constants.items() if name not in dests}
    )
