"""What a call of argparse's declares: `ArgumentParser(…)`, `add_argument(…)`, groups, subparsers, defaults."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

from heyhi.cli.draft.arguments import ABSENT, SUPPRESS, UNREAD, Argument, Missing, Parser, is_literal
from heyhi.cli.draft.kinds import kind_of
from heyhi.cli.draft.objects import Commands, Dotted, Group, Instance, Parsed

_ACTIONS = frozenset(
    {
        "store",
        "store_const",
        "store_true",
        "store_false",
        "append",
        "append_const",
        "count",
        "extend",
        "help",
        "version",
    }
)
_NOTHING_TO_SET = frozenset({"help", "version"})
# Words of `add_argument` that mean something for a config; the others are about how a command line looks.
_WORDS = frozenset({"action", "nargs", "const", "default", "type", "choices", "required", "help", "metavar", "dest"})
_ODD_WORDS = frozenset({"version", "deprecated", "widget", "gooey_options", "completer"})
_PARSING = frozenset({"parse_args", "parse_known_args", "parse_intermixed_args", "parse_known_intermixed_args"})
_PLACE = re.compile(r"%(?:\((\w*)\))?([a-zA-Z%])")


@dataclass
class Given:
    """The arguments of a call.

    Attributes:
        node: the call.
        values: those by place.
        named: those by name.
        nodes: their syntax trees, of those that stand in the call.
        is_open: whether there are others by place, which nobody knows.
        is_open_by_name: likewise by name.
    """

    node: ast.AST
    values: list[Any] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, ast.expr] = field(default_factory=dict)
    is_open: bool = False
    is_open_by_name: bool = False

    def text(self, name: str) -> str:
        """Return the text given by a name, '' where there is none."""
        value = self.named.get(name)
        return value if isinstance(value, str) else ""


class Scene(Protocol):
    """Who reads the script, as the calls of argparse see it."""

    parsers: list[Parser]

    @property
    def condition(self) -> str:
        """Under which conditions a call happens."""

    def remark(self, node: ast.AST, text: str, *, is_harmless: bool = False) -> None:
        """Note what couldn't be read."""

    def source(self, node: ast.AST) -> str:
        """Return what stands in the script at a node."""


def make_parser(given: Given, scene: Scene) -> Parser:
    """Make what `ArgumentParser(…)` or `add_parser(…)` makes."""
    parser = Parser(given.node, given.text("description") or given.text("help"))
    parser.prefixes = given.text("prefix_chars") or "-"
    parser.resolves = given.text("conflict_handler") == "resolve"
    parser.default_of_all = _plain(given.named.get("argument_default", ABSENT))
    parents = given.named.get("parents", [])
    for parent in parents if isinstance(parents, (list, tuple)) else [UNREAD]:
        if isinstance(parent, Parser):
            parent.is_parent = True
            parser.arguments += parent.arguments
            parser.defaults |= parent.defaults
        else:
            scene.remark(given.node, f"the arguments of a parent: {_shown(given, 'parents', scene)}")
    if given.is_open_by_name:
        scene.remark(given.node, f"parts of {scene.source(given.node)}")
    return parser


def call_parser(parser: Parser, name: str, given: Given, scene: Scene) -> Any:
    """Do what a method of a parser does."""
    if name == "add_argument":
        return add_argument(parser, "", given, scene)
    if name in ("add_argument_group", "add_mutually_exclusive_group"):
        return _group(parser, "", name, given, scene)
    if name == "add_subparsers":
        return Commands(parser)
    if name == "set_defaults":
        values = {key: given.nodes[key] if not is_literal(_plain(v)) and key in given.nodes else _plain(v)
                  for key, v in given.named.items()}  # fmt: skip
        parser.set_defaults({key: UNREAD if isinstance(value, ast.expr) and _has(parser, key) else value
                             for key, value in values.items()})  # fmt: skip
        if given.is_open_by_name:
            scene.remark(given.node, f"defaults: {scene.source(given.node)}")
        return None
    if name in _PARSING:
        parser.is_parsed = True
        parsed = Parsed(parser)
        return (parsed, UNREAD) if "known" in name else parsed
    return UNREAD


def add_to_group(group: Group, name: str, given: Given, scene: Scene) -> Any:
    """Do what a method of a group does."""
    if name == "add_argument":
        argument = add_argument(group.parser, group.title, given, scene)
        group.members += [argument.dest] if argument is not None else []
        if group.is_exclusive and len(group.members) == 2:
            text = f"that {group.members[0]} and {argument.dest if argument else ''} exclude each other"
            scene.remark(given.node, text, is_harmless=True)
        return argument
    if name in ("add_argument_group", "add_mutually_exclusive_group"):
        return _group(group.parser, group.title, name, given, scene)
    return call_parser(group.parser, name, given, scene)


def register(commands: Commands, name: str, given: Given, scene: Scene) -> Any:
    """Do what a method of `add_subparsers()` does."""
    if name != "add_parser":
        return UNREAD
    word = given.values[0] if given.values else given.named.get("name", UNREAD)
    parser = make_parser(given, scene)
    if isinstance(word, str):
        commands.parser.commands[word] = parser
    else:
        scene.remark(given.node, f"a command: {scene.source(given.node)}")
    return parser


def _group(parser: Parser, outer: str, name: str, given: Given, scene: Scene) -> Group:
    if name == "add_mutually_exclusive_group":
        return Group(parser, outer, is_exclusive=True)
    title = given.values[0] if given.values else given.named.get("title")
    about = given.values[1] if len(given.values) > 1 else given.named.get("description")
    return Group(parser, ": ".join(text for text in (title, about) if isinstance(text, str)))


def add_argument(parser: Parser, group: str, given: Given, scene: Scene) -> Argument | None:
    """Add what `add_argument(…)` declares to a parser; None where it declares nothing that can be read."""
    node = given.node
    if given.is_open or not all(isinstance(one, str) for one in given.values):
        scene.remark(node, scene.source(node))
        return None
    flags = tuple(one for one in given.values if one[:1] and one[0] in parser.prefixes)
    dest = given.named.get("dest")
    name = dest if isinstance(dest, str) else _dest(given.values, flags, parser.prefixes)
    if not name or (dest is UNREAD):
        scene.remark(node, scene.source(node))
        return None
    action = _action(given, scene)
    if action in _NOTHING_TO_SET:
        return None
    if action == "append" and _plain(given.named.get("nargs")) not in (None, "?"):
        scene.remark(node, f"{name}: append with nargs={_shown(given, 'nargs', scene)} makes a list of lists")
        return None
    unknown = set(given.named) - _WORDS - _ODD_WORDS
    if unknown:
        scene.remark(node, f"{', '.join(sorted(unknown))} of {name}")
    if given.is_open_by_name:
        scene.remark(node, f"parts of {scene.source(node)}")
    argument = _argument(parser, group, given, scene, name, flags, action)
    earlier = parser.add(argument)
    if earlier is not None:
        scene.remark(node, f"{argument.flag or name} once more, which stands in line {earlier.line} already")
        return None
    return argument


def _argument(
    parser: Parser, group: str, given: Given, scene: Scene, dest: str, flags: tuple[str, ...], action: str
) -> Argument:
    def value(name: str, otherwise: Any = None) -> Any:
        return _plain(_of_enum(given.named.get(name, otherwise), given.named.get("type")))

    default = value("default", ABSENT)
    if default is ABSENT:
        default = parser.defaults.get(dest, parser.default_of_all)
    if isinstance(default, ast.expr):
        default = UNREAD
    if default is ABSENT:
        default = {"store_true": False, "store_false": True}.get(action)
    nargs = value("nargs")
    if action == "extend":
        nargs = "+" if nargs is None else nargs
    if nargs is UNREAD:
        scene.remark(given.node, f"nargs={_shown(given, 'nargs', scene)} of {dest}")
        nargs = "*"
    choices = value("choices")
    if not is_literal(choices):
        choices = UNREAD
    if isinstance(choices, (str, dict, tuple, set, range)):
        choices = sorted(choices) if isinstance(choices, set) else list(choices)
    const = value("const", UNREAD if action in ("store_const", "append_const") else None)
    required = value("required", False)
    kind = kind_of(given.named["type"], given.nodes.get("type")) if given.named.get("type") is not None else None
    if kind is not None and not kind.text and kind.name in ("own", "unread"):
        scene.remark(given.node, f"what the type {kind.shown or '?'} of {dest} does: the field is a text")
    if default is UNREAD:
        scene.remark(given.node, f"the default of {dest}: {_shown(given, 'default', scene)}")
    if choices is UNREAD:
        scene.remark(given.node, f"the choices of {dest}: {_shown(given, 'choices', scene)}")
    text = given.named.get("help")
    argument = Argument(
        line=getattr(given.node, "lineno", 1),
        flags=flags,
        dest=dest,
        action=action,
        kind=kind,
        nargs=nargs,
        default=default,
        default_text=_shown(given, "default", scene),
        const=const,
        choices=choices,
        choices_text=_shown(given, "choices", scene),
        required=(not flags and nargs not in ("?", "*", "...")) or required is True,
        group=group,
        condition=scene.condition,
    )
    return _with_help(argument, text if isinstance(text, str) else "")


def _with_help(argument: Argument, text: str) -> Argument:
    from dataclasses import replace

    words = {
        "default": argument.default_text if isinstance(argument.default, Missing) else argument.default,
        "dest": argument.dest,
        "choices": ", ".join(map(str, argument.choices))
        if isinstance(argument.choices, list)
        else argument.choices_text,
        "nargs": argument.nargs,
        "const": argument.const,
        "required": argument.required,
        "type": argument.kind.shown if argument.kind is not None else None,
        "metavar": argument.dest.upper(),
        "prog": "the script",
    }

    def filled(place: re.Match[str]) -> str:
        if place[2] == "%" and place[1] is None:
            return "%"
        return str(words[place[1]])[:200] if place[1] in words else place[0]

    return replace(argument, help=_PLACE.sub(filled, text))


def _action(given: Given, scene: Scene) -> str:
    action = given.named.get("action", "store")
    if isinstance(action, str) and action in _ACTIONS:
        return action
    if isinstance(action, Dotted) and action.name == "argparse.BooleanOptionalAction":
        return "optional"
    if action is None:
        return "store"
    scene.remark(
        given.node, f"what the action {_shown(given, 'action', scene)} does: its value is taken as it is given"
    )
    return "own"


def _dest(names: list[Any], flags: tuple[str, ...], prefixes: str) -> str:
    if not flags:
        return str(names[0]) if len(names) == 1 else ""
    long = next((flag for flag in flags if len(flag) > 2 and flag[1] in prefixes), flags[0])
    return long.lstrip(prefixes).replace("-", "_")


def _has(parser: Parser, dest: str) -> bool:
    return any(one.dest == dest for one in parser.arguments)


def _plain(value: Any) -> Any:
    """Return a value as a literal, where it is one."""
    if isinstance(value, Dotted) and value.name.startswith("argparse."):
        known = {"SUPPRESS": SUPPRESS, "REMAINDER": "...", "OPTIONAL": "?", "ZERO_OR_MORE": "*", "ONE_OR_MORE": "+"}
        return known.get(value.name.removeprefix("argparse."), UNREAD)
    if isinstance(value, Missing):
        return value
    if value == "==SUPPRESS==":
        return SUPPRESS
    return value if is_literal(value) else UNREAD


def _of_enum(value: Any, kind: Any) -> Any:
    """Return members of an enum that is the argument's type as what they are made of."""
    if isinstance(value, Instance) and value.of is kind:
        return value.names.get("value")
    return [_of_enum(one, kind) for one in value] if isinstance(value, list) else value


def _shown(given: Given, name: str, scene: Scene) -> str:
    node = given.nodes.get(name)
    return scene.source(node) if node is not None else ""
