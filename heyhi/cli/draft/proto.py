"""The proto of a script's tasks: a message for each, with a field for each argument."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from heyhi.cli.draft.arguments import ABSENT, SUPPRESS, UNREAD, Argument, Remark
from heyhi.cli.draft.code import comment, proto_default
from heyhi.cli.draft.fields import Enum, Field, Fields

_MOST_SHOWN = 50  # of choices, and of a list's elements
_HEAD = """\
// Every setting of every task. The comment above a field is what `heyhi describe` prints for it.
syntax = "proto2";

import "{conf}/launcher.proto";

// The root of every config that can be run: which task, and with what.
message MetaCfg {{
  // Other configs to start from, merged in order before this file's own fields: chunks, or a config of the same task.
  repeated Include includes = 1;
  // What to run. In overrides, keys start below the chosen task: lr=0.1, not {first}.lr=0.1.
  oneof task {{
"""


@dataclass(frozen=True)
class Message:
    """A task as the proto has it.

    Attributes:
        name: of its field.
        type: of its message.
        about: what it does.
        fields: its settings.
    """

    name: str
    type: str
    about: str
    fields: Fields


def proto_of(messages: Sequence[Message], remarks: Sequence[Remark], conf: str, include: str) -> str:
    """Write conf.proto.

    Args:
        messages: the tasks.
        remarks: what couldn't be read.
        conf: folder of the project's protos.
        include: the message of an include.
    """
    lines = [_HEAD.format(conf=conf, first=messages[0].name).rstrip("\n")]
    for number, one in enumerate(messages, 10):
        lines += [*comment(one.about, "    "), f"    {one.type} {one.name} = {number};"]
    lines += ["  }", "}", "", include.strip("\n"), ""]
    for remark in remarks:
        lines += comment(f"not read: line {remark.line}: {remark.text}")
    lines += [""] if remarks else []
    for one in messages:
        lines += [*comment(one.about), *_message(one), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _message(message: Message) -> Iterator[str]:
    yield f"message {message.type} {{"
    for enum in message.fields.enums:
        yield from _enum(enum)
    yield "  // Where to execute."
    yield "  optional Launcher launcher = 1;"
    group = ""
    for number, one in enumerate(message.fields.fields, 2):
        if one.first.group != group:
            group = one.first.group
            # A comment by itself: it isn't about the field below it.
            yield from ["", *comment(f"--- {group or 'others'}", "  "), ""]
        yield from comment(about(one), "  ")
        # Numbers from 19000 to 19999 are protobuf's own.
        yield f"  {_declared(one)} = {number if number < 19_000 else number + 1000}{_default(one)};"
    yield "}"


def _enum(enum: Enum) -> Iterator[str]:
    indent = "  "
    if enum.is_inside:
        yield f"  // The values of {enum.name}."
        yield f"  message {enum.name} {{"
        indent = "    "
    yield f"{indent}enum {'Kind' if enum.is_inside else enum.name} {{"
    for number, value in enumerate(enum.values):
        yield f"{indent}  {value} = {number};"
    yield f"{indent}}}"
    if enum.is_inside:
        yield "  }"


def _declared(one: Field) -> str:
    label = "repeated" if one.is_list else "required" if one.is_required else "optional"
    return f"{label} {one.enum.type if one.enum is not None else one.type} {one.name}"


def _default(one: Field) -> str:
    if one.is_list or one.is_required or one.default is ABSENT:
        return ""
    return f" [default = {proto_default('enum' if one.enum is not None else one.type, one.default)}]"


def about(one: Field) -> str:
    """Say what a field is: the script's help, and what of its argument a field's type doesn't say."""
    notes = [_help(one.first)]
    for argument in one.arguments:
        notes += _notes(one, argument)
    told = list(dict.fromkeys(note for note in notes if note)) or [_named(one)]
    if one.default_of_empty is not ABSENT:
        told.append(f"An empty list is the default of the script, {_shown(one.default_of_empty)}.")
    # `heyhi describe` shows them in one line.
    ended = [note if note.endswith((".", "!", "?", ":")) else f"{note}." for note in told[:-1]]
    return "\n".join([*ended, *told[-1:]])


def _help(argument: Argument) -> str:
    """Return the script's help; of a switch that says no with its name, since the field says yes."""
    text = argument.help.strip()
    return f"{argument.flag}: {text}" if text and argument.action == "store_false" else text


def _notes(one: Field, argument: Argument) -> Iterator[str]:
    flag = argument.flag
    if argument is not one.first:
        yield _help(argument)
    if argument.action == "store_false" and not argument.help.strip():
        yield f"false is {flag} in the script."
    elif argument.action in ("store_const", "append_const"):
        yield f"{flag} in the script is {argument.const!r}."
    elif argument.action != "store_false" and flag.lstrip("-").replace("-", "_") not in ("", one.name):
        yield f"{flag} in the script."
    elif not flag and argument.dest != one.name:
        yield f"{argument.dest} in the script."
    if isinstance(argument.choices, list) and one.enum is None:
        yield f"One of: {', '.join(str(choice) for choice in argument.choices[:_MOST_SHOWN])}."
    elif argument.choices is UNREAD:
        yield f"One of: {argument.choices_text}."
    if isinstance(argument.nargs, int) and not isinstance(argument.nargs, bool):
        yield f"Of {argument.nargs} value{'s' if argument.nargs != 1 else ''}."
    if argument.nargs == "?" and argument.const is not None and argument.action == "store":
        yield f"{flag} alone is {argument.const!r} in the script."
    if argument.default is UNREAD and argument.default_text:
        yield f"Default in the script: {argument.default_text}."
    elif argument.default is SUPPRESS:
        yield "Unset, the script has no such attribute."
    elif one.fallback is not None:
        yield f"Unset, it is {one.fallback!r} in the script."
    if one.is_list and argument.required:
        yield "It has to be set."
    if argument.condition:
        yield f"In the script only if {argument.condition}."


def _shown(default: Sequence[Any]) -> str:
    more = ", …" if len(default) > _MOST_SHOWN else ""
    return f"[{', '.join(str(one) for one in default[:_MOST_SHOWN])}{more}]"


def _named(one: Field) -> str:
    return f"{one.first.flag or one.first.dest} of the script."
