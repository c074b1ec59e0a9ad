"""The text of a config file: it is parsed, with errors that name line and column, and searched for what sets a field.

Includes are left to `includes`, overrides to `overrides`.
"""

from __future__ import annotations

import math
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from heyhi.config.plain_reader import read_plain
from heyhi.config.renames import Named, Pair, once_named
from heyhi.config.schema import (
    Schema,
    children,
    element,
    is_map,
    is_name,
    is_too_deep,
    set_fields,
    type_of,
    types_below,
)
from heyhi.config.values import describe_type, listed
from heyhi.errors import ConfigError, suggest
from heyhi.regex import regex

if TYPE_CHECKING:
    from google.protobuf import text_format
    from google.protobuf.descriptor_pool import DescriptorPool

    from heyhi.config.repeats import Place, Repeats

_TOKEN = regex(
    r"""\#[^\n]*|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|[A-Za-z_0-9.][\w.]*|[{}<>\[\]:,;]|\n""", re.DOTALL
)
_TWICE = "should not have multiple"  # as protobuf says it of a field
_TOO_DEEP = "{}: is nested too deeply (protobuf allows 100 levels)"


def read_text(path: Path, name: str) -> str:
    """Read a config file.

    Args:
        path: the file.
        name: of the file, for errors.

    Raises:
        ConfigError: it can't be read, or is no text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: can't be read: {error.strerror}") from None
    try:
        data = data.removeprefix(BOM_UTF8)  # the codec for that takes a fifth of a millisecond to load
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise ConfigError(f"{name}:{line}:{column}: is no UTF-8 text (byte 0x{data[error.start]:02x})") from None
    return text.replace("\r\n", "\n")


def parse_into(text: str, message: Message, name: str, pool: DescriptorPool) -> list[str]:
    """Parse a text message. A field that stands twice in it is merged: of a scalar the last one counts.

    Args:
        text: of the file.
        message: empty; gets what the text sets.
        name: of the file, for errors.
        pool: knows the schema's messages.

    Returns:
        what a user should know of fields that stand twice.

    Raises:
        ConfigError: the text is wrong; the message has file, line and column.
    """
    if read_plain(text, message):  # nothing stands twice there, is nested deeply, or is infinite
        return []
    repeats = _parse_by_protobuf(text, message, name, pool)
    if repeats is not None and repeats.clash is not None:
        clash = repeats.clash
        raise ConfigError(f"{name}:{clash.line}:{clash.column}: {_only_one(clash.first, clash.second, clash.oneof)}")
    if is_too_deep(message):
        raise ConfigError(_TOO_DEEP.format(name))
    if "inf" not in text.lower():
        _refuse_infinity(text, message, name, ())
    from heyhi.config.repeats import find_repeats

    # protobuf doesn't notice a second one of what was set to its zero, where a field doesn't tell zero from unset.
    return (repeats or find_repeats(_places(text), type_of(message))).told(name)


def _parse_by_protobuf(text: str, message: Message, name: str, pool: DescriptorPool) -> Repeats | None:
    from google.protobuf import text_format

    try:
        return _parse_or_merge(text, message, pool)
    except text_format.ParseError as error:
        raise ConfigError(_describe(name, text, error, type_of(message))) from None
    except RecursionError:
        raise ConfigError(_TOO_DEEP.format(name)) from None
    except ValueError as error:
        raise ConfigError(f"{name}: can't be parsed: {error}") from None


def _parse_or_merge(text: str, message: Message, pool: DescriptorPool) -> Repeats | None:
    """Parse a text; where a field stands twice, merge, and return what does. With a clash nothing is merged."""
    from google.protobuf import text_format

    try:
        text_format.Parse(text, message, descriptor_pool=pool)
    except text_format.ParseError as error:
        if _TWICE not in str(error):
            raise
        from heyhi.config.repeats import find_repeats

        repeats = find_repeats(_places(text), type_of(message))
        message.Clear()
        if repeats.clash is None:  # merging would take the last one
            text_format.Merge(text, message, descriptor_pool=pool)
        return repeats
    return None


def parse_for(schema: Schema, text: str, message: Message, name: str) -> tuple[str, list[Pair], list[str]]:
    """Parse a text message of a schema, in which names may be earlier ones where the schema has such.

    Args:
        schema: has the message's type.
        text: of the file.
        message: empty; gets what the text sets.
        name: of the file, for errors.

    Returns:
        as of `parse_renamed`.

    Raises:
        ConfigError: the text is wrong.
    """
    if schema.has_renames:
        return parse_renamed(text, message, name, schema.pool)
    return text, [], parse_into(text, message, name, schema.pool)


def parse_renamed(text: str, message: Message, name: str, pool: DescriptorPool) -> tuple[str, list[Pair], list[str]]:
    """Parse a text message in which fields and values of enums may have earlier names.

    Args:
        text: of the file.
        message: empty; gets what the text sets.
        name: of the file, for errors.
        pool: knows the schema's messages.

    Returns:
        the text with the names of today; the earlier ones that were in it, each with the one of today; what a user
        should know of fields that stand twice.

    Raises:
        ConfigError: the text is wrong.
    """
    renamed: list[Pair] = []
    own = text
    while True:
        message.Clear()
        try:
            twice = parse_into(text, message, name, pool)
        except ConfigError:
            # The parser stops at the first name that it doesn't know, and knows where that is.
            found = _next_renamed(text, type(message)(), pool)
            if found is None:
                raise
            start, pair = found
            text = text[:start] + pair[1] + text[start + len(pair[0]) :]
            renamed.append(pair)
            continue
        return (text, renamed, twice) if renamed else (own, [], twice)


def _next_renamed(text: str, message: Message, pool: DescriptorPool) -> tuple[int, Pair] | None:
    """Return where the first unknown name in a text message begins, and that name with the one of today."""
    from google.protobuf import text_format

    try:
        text_format.Merge(text, message, descriptor_pool=pool)  # a field may stand there twice
    except text_format.ParseError as error:
        what, line, column = str(error), error.GetLine(), error.GetColumn()
    except (RecursionError, ValueError):
        return None
    else:
        return None
    known: Named | None = None
    if field := re.search(r'Message type "([\w.]+)" has no field named "(\w+)"', what):
        old = field[2]
        known = once_named(pool.FindMessageTypeByName(field[1]).fields, old)
    elif value := re.search(r'Enum type "([\w.]+)" has no value named (\w+)', what):
        old = value[2]
        known = once_named(pool.FindEnumTypeByName(value[1]).values, old)
    if known is None or not line or not column:
        return None
    start = sum(len(one) + 1 for one in text.split("\n")[: line - 1]) + column - 1
    return (start, (old, known.name)) if text.startswith(old, start) else None


def _refuse_infinity(text: str, message: Message, name: str, above: tuple[str, ...]) -> None:
    """Refuse a number that its field can't hold: protobuf takes a float that is too large for infinity."""
    for field, value in set_fields(message):
        if element(field).cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
            names = (*above, field.name)
            numbers = value.values() if is_map(field) else value if field.is_repeated else [value]
            if any(map(math.isinf, numbers)):
                key, kind = ".".join(names), describe_type(element(field))
                line = line_of(text, names, last=not field.is_repeated) or 1
                raise ConfigError(f"{name}:{line}: '{key}' is out of range for {kind}")
    for field_name, child in children(message):
        _refuse_infinity(text, child, name, (*above, field_name))


def _describe(name: str, text: str, error: text_format.ParseError, root: Descriptor) -> str:
    """Write a parse error as file:line:column, with the nearest valid name."""
    line, column = error.GetLine(), error.GetColumn()
    what = str(error)
    if not line:
        return f"{name}: {what}"
    what = what.removeprefix(f"{line}:{column} : ").rstrip(".")
    lines = text.split("\n")
    quote = f"'{lines[line - 1]}': " if line <= len(lines) else ""  # most errors begin with the line
    at_end = what.startswith(("Expected", "'': "))
    what = _plain_words(what.removeprefix(quote).removeprefix("'': "), root)
    return f"{name}:{line}:{column}: {what}{' before the end of the file' if at_end else ''}"


def _plain_words(what: str, root: Descriptor) -> str:
    """Write what protobuf says of a text message in the words of our errors, with the nearest valid name."""
    if field := re.match(r'Message type "([\w.]+)" has no field named "(\w+)"', what):
        names = next(([f.name for f in t.fields] for t in types_below(root) if t.full_name == field[1]), [])
        hint = suggest(field[2], names) or (f" (it has: {listed(sorted(names))})" if names else "")
        return f"{field[1].rpartition('.')[2]} has no field '{field[2]}'{hint}"
    if value := re.match(r'Enum type "([\w.]+)" has no value named (\w+)', what):
        enums = (f.enum_type for t in types_below(root) for f in t.fields if f.enum_type is not None)
        names = next(([v.name for v in e.values] for e in enums if e.full_name == value[1]), [])
        return f"expected one of {listed(names)}, not '{value[2]}'{suggest(value[2], names)}"
    both = re.match(r'Field "(\w+)" is specified along with field "(\w+)", another member of oneof "(\w+)"', what)
    if both:
        return _only_one(both[2], both[1], both[3])
    return "the string is no valid UTF-8" if "codec can't" in what else what


def _only_one(first: str, second: str, oneof: str) -> str:
    return f"'{first}' and '{second}' are both set; only one member of the oneof '{oneof}' can be"


def set_lines(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield each field that a text message sets, as the names that lead to it, and its line (the first is 1).

    Elements of lists and entries of maps have the name of their field; what doesn't parse is passed over.
    """
    return ((place.names, place.line) for place in _places(text) if place.what == "set")


def _places(text: str) -> Iterator[Place]:
    """Yield where a text message sets fields, and opens and closes messages; what doesn't parse is passed over."""
    from heyhi.config.repeats import Place  # what is plain is read without it

    line, line_start, name = 1, 0, ""
    stack: list[str] = []  # names of the open messages; "" for a list
    is_value = False
    value_start = 0
    for match in _TOKEN.finditer(text):
        token, column = match[0], match.start() - line_start + 1
        if "\n" in token:
            line += token.count("\n")
            line_start = match.start() + token.rindex("\n") + 1
        if is_value and token not in "{<[}>],;:\n" and token[0] != "#":
            value = re.sub(r"#[^\n]*\n", "", text[value_start : match.end()])  # its sign is no token
            yield Place("value", _names(stack, name), line, column, value.strip())
        if token in "{<":
            yield Place("open", _names(stack, name), line, column)
            stack.append(name)
            is_value = False
        elif token == "[":
            stack.append("")
        elif token in "}>]":
            if stack:
                closed = stack.pop()
                name = closed or name
                if token != "]":
                    yield Place("close", _names(stack, name), line, column)
            is_value = False
        elif token == ":":
            is_value, value_start = True, match.end()
        elif token in ",;\n" or token[0] in "\"'#":
            is_value = is_value and token[0] in "\n#"  # a value may stand on the next line
        elif is_value or (stack and not stack[-1]) or not is_name(token):
            is_value = False
        else:
            name = token
            yield Place("set", _names(stack, name), line, column)


def _names(stack: list[str], name: str) -> tuple[str, ...]:
    return (*(part for part in stack if part), name)


def line_of(text: str, *paths: tuple[str, ...], last: bool = False) -> int | None:
    """Find the line of a text message that sets one of some fields, given by the names that lead to them.

    Args:
        text: of the message.
        paths: names that lead to the fields.
        last: which line to return of several: of a scalar the last one counts.
    """
    found = None
    for names, line in set_lines(text):
        if names in paths:
            found = line
            if not last:
                break
    return found
