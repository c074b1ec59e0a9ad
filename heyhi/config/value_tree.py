"""The text of a list, a message or a map as a tree of its parts: `[a, "b c"]`, `{width: 3 name: "x"}`, `{"a": 1}`.

It reads text format, and JSON, which is what a Python sweep's lists and dicts are written as. Which field a part is
for, and what its text means to it, is left to `composite`.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

from google.protobuf import text_encoding

from heyhi.config.values import shorten
from heyhi.errors import OverrideError
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

MAX_TEXT = 1_000_000  # characters of a value
MAX_DEPTH = 90  # protobuf reads no message that is nested deeper than 100 levels
_SPACE = regex(r"(?:\s|#[^\n]*(?:\n|$))*")
_NAME = regex(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = regex(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_WORD = regex(r"[^\s,;:\[\]{}\"']+")
_IN_LIST = regex(r"[^,\[\]{}]+")
_OPEN, _CLOSE = "[{", "]}"
_TEMPLATE = "{{"


class Text(NamedTuple):
    """A part that is no list and no message.

    Attributes:
        text: what it says, without quotes.
        raw: as it was written, without quotes.
        is_quoted: whether it had quotes.
    """

    text: str
    raw: str
    is_quoted: bool

    @property
    def is_literal(self) -> bool:
        """Whether braces in it are braces: they were written by escapes."""
        return _TEMPLATE in self.text and _TEMPLATE not in self.raw


class Items(NamedTuple):
    """A list: `[…]`."""

    items: tuple[Node, ...]


class Member(NamedTuple):
    """A field in a message, or a key in a JSON object, whose names are quoted."""

    name: str
    is_quoted: bool
    value: Node


class Members(NamedTuple):
    """A message, or a JSON object: `{…}`."""

    members: tuple[Member, ...]


Node = Text | Items | Members


def read_value(text: str, key: str) -> Node:
    """Read a value.

    Args:
        text: as an override has it.
        key: for the error.

    Raises:
        OverrideError: it is neither text format nor JSON, or too large.
    """
    if len(text) > MAX_TEXT:
        raise OverrideError(
            f"key '{key}': the value has {len(text):,} characters; at most {MAX_TEXT:,} are read", key=key
        )
    return _Reader(text, key).read()


class _Reader:
    """A reader of one value, from left to right."""

    def __init__(self, text: str, key: str) -> None:
        self._text = text
        self._key = key
        self._at = 0

    def read(self) -> Node:
        self._skip()
        if not self._text.startswith((*_OPEN, '"', "'"), self._at) or self._text.startswith(_TEMPLATE, self._at):
            return Text(self._text.strip(), self._text.strip(), is_quoted=False)
        node = self._node(0, in_list=False)
        self._skip()
        if self._at < len(self._text):
            self._refuse("expected the end of the value")
        return node

    def _node(self, depth: int, *, in_list: bool) -> Node:
        if depth > MAX_DEPTH:
            raise OverrideError(f"key '{self._key}': the value is nested deeper than {MAX_DEPTH} levels", key=self._key)
        here = self._text[self._at : self._at + 1]
        if self._text.startswith(_TEMPLATE, self._at):
            return self._bare(in_list=in_list)
        if here == "[":
            return self._list(depth)
        if here == "{":
            return self._message(depth)
        if here in ('"', "'") and here:
            return self._quoted()
        return self._bare(in_list=in_list)

    def _list(self, depth: int) -> Items:
        items: list[Node] = []
        self._at += 1
        self._skip(comments=False)
        if self._take("]"):
            return Items(())
        while True:
            self._skip(comments=False)
            if items and self._take("]"):
                return Items(tuple(items))  # a comma at the end, as Python has them
            if self._text.startswith((",", "]"), self._at):
                self._refuse("there is an empty element (an empty string is written '')")
            items.append(self._node(depth + 1, in_list=True))
            self._skip(comments=False)
            if self._take("]"):
                return Items(tuple(items))
            if not self._take(","):
                self._refuse("expected ',' or ']'")

    def _message(self, depth: int) -> Members:
        members: list[Member] = []
        self._at += 1
        while True:
            self._skip()
            if self._take("}"):
                return Members(tuple(members))
            members.append(self._member(depth))
            self._skip()
            if not self._take(","):
                self._take(";")

    def _member(self, depth: int) -> Member:
        quoted = self._text.startswith('"', self._at)
        if quoted:
            name = self._quoted().text
        else:
            found = _NAME.match(self._text, self._at)
            if found is None:
                self._refuse("expected a field's name or '}'")
            name, self._at = found[0], found.end()
        self._skip()
        has_colon = self._take(":")
        self._skip()
        if not has_colon and (quoted or not self._text.startswith((*_OPEN,), self._at)):
            self._refuse(f"expected ':' after '{shorten(name)}'")
        if not has_colon and self._text.startswith(_TEMPLATE, self._at):
            self._refuse(f"expected ':' after '{shorten(name)}'")
        return Member(name, quoted, self._node(depth + 1, in_list=False))

    def _quoted(self) -> Text:
        raw: list[str] = []
        text: list[str] = []
        while found := _QUOTED.match(self._text, self._at):  # those that stand side by side are one
            self._at = found.end()
            raw.append(found[0][1:-1])
            text.append(self._unquoted(found[0]))
            self._skip(comments=False)
        if not raw:
            self._refuse("the quotes don't end")
        return Text("".join(text), "".join(raw), is_quoted=True)

    def _unquoted(self, quoted: str) -> str:
        """Return what a quoted text says: a JSON string, else one with C escapes, as text format has them."""
        inner = quoted[1:-1]
        if "\\" not in inner:
            return inner
        try:
            decoded = json.loads(quoted) if quoted.startswith('"') else None
        except ValueError:
            decoded = None
        if isinstance(decoded, str):
            return decoded
        try:
            return text_encoding.CUnescape(inner).decode(errors="surrogateescape")  # of bytes, it may be no text
        except ValueError:
            self._refuse(f"{shorten(quoted)} has an escape that is none", self._at - len(quoted))

    def _bare(self, *, in_list: bool) -> Text:
        """Read what has no quotes: in a list up to the next comma, in a message one word; braces may nest."""
        start = self._at
        depth = 0
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in _OPEN and (in_list or depth or self._text.startswith(_TEMPLATE, start)):
                depth += 1
            elif char in _CLOSE and depth:
                depth -= 1
            elif not depth:
                plain = (_IN_LIST if in_list else _WORD).match(self._text, self._at)
                if plain is None:
                    break
                self._at = plain.end()
                continue
            self._at += 1
        if depth:
            self._refuse("the braces don't end", start)
        text = self._text[start : self._at].strip()
        if not text:
            self._refuse("expected a value")
        if text == "NULL":
            self._refuse('NULL is no value in here (a string is written "NULL")', start)
        return Text(text, text, is_quoted=False)

    def _skip(self, *, comments: bool = True) -> None:
        if comments:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
        else:
            while self._text[self._at : self._at + 1].isspace():
                self._at += 1

    def _take(self, char: str) -> bool:
        found = self._text.startswith(char, self._at)
        self._at += found
        return found

    def _refuse(self, why: str, at: int | None = None) -> NoReturn:
        at = self._at if at is None else at
        rest = self._text[at:]
        where = f"at '{shorten(rest, 20)}' (character {at + 1})" if rest.strip() else "at its end"
        raise OverrideError(f"key '{self._key}': the value can't be read {where}: {why}", key=self._key)
