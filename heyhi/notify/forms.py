"""The form of a message: one for each service, and one JSON for all others.

Names and reasons in it may be anything: in no form they call somebody, become links, or break its lines.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from heyhi.notify.whom import Whom
from heyhi.text import in_line, shorten

_BREAK = "\u200b"  # has no width
_MOST_LINE = 500  # characters
_MOST_DISCORD, _MOST_SLACK = 2000, 30_000
_MOST_NTFY = 4000  # bytes: of more, ntfy makes a file
# What calls somebody, opens a link, or ends a link's text.
_CALLS = re.compile(r"@|<(?=[!@#/a-zA-Z])|(?<=\])(?=\()|:(?=//)|\b(?i:www)(?=\.)")
_MARKS = re.compile(r"([\\`*_~|>#\[\]])")
_NO_EMBEDS = 4  # of Discord's flags of a message


class Message(NamedTuple):
    """What is said.

    Attributes:
        event: `death`, `end` or `test`.
        title: what counts.
        lines: the rest.
        facts: the same for programs.
    """

    event: str
    title: str
    lines: tuple[str, ...] = ()
    facts: Mapping[str, Any] = {}

    @property
    def text(self) -> str:
        """All of it, as a terminal or mail shows it."""
        return "\n".join(shorten(in_line(line), _MOST_LINE) for line in (self.title, *self.lines))


class Post(NamedTuple):
    """What a server is sent.

    Attributes:
        url: to which address.
        headers: with it.
        data: JSON.
    """

    url: str
    headers: dict[str, str]
    data: bytes


def post_of(whom: Whom, message: Message) -> Post:
    """Write a message in the form of who gets it."""
    parts = urlsplit(whom.address)
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "heyhi"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    path = parts.path
    if whom.kind == "ntfy":
        form, path = _ntfy(path.strip("/"), message), "/"
    else:
        form = {"slack": _slack, "discord": _discord, "mattermost": _mattermost}.get(whom.kind, _any)(message)
    url = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, parts.query, ""))
    return Post(url, headers, json.dumps(form).encode())


def json_of(message: Message) -> dict[str, Any]:
    """Return what a command is given: as any server gets it, with nothing put between."""
    return {"text": message.text, "title": in_line(message.title), "event": message.event, **message.facts}


def calm(text: str) -> str:
    """Return a text in which nothing calls somebody or opens a link: it looks the same."""
    return _CALLS.sub(lambda match: f"{match[0]}{_BREAK}", text)


def _slack(message: Message) -> dict[str, Any]:
    text = calm(shorten(message.text, _MOST_SLACK)).replace(f"<{_BREAK}", "<")
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def _discord(message: Message) -> dict[str, Any]:
    text = shorten(_plain(message.text), _MOST_DISCORD)
    return {"content": text, "allowed_mentions": {"parse": []}, "flags": _NO_EMBEDS}


def _mattermost(message: Message) -> dict[str, Any]:
    return {"text": shorten(_plain(message.text), _MOST_SLACK)}


def _plain(text: str) -> str:
    """Return Markdown that shows a text as it is."""
    return calm(_MARKS.sub(r"\\\1", text))


def _ntfy(topic: str, message: Message) -> dict[str, Any]:
    title, _, rest = message.text.partition("\n")
    text = calm(rest or title).encode()[:_MOST_NTFY].decode(errors="ignore")
    form = {"topic": topic, "title": calm(title), "message": text}
    return {**form, "tags": ["warning"], "priority": 4} if message.event == "death" else form


def _any(message: Message) -> dict[str, Any]:
    """Return what takes the form of Slack's and Discord's, and what reads JSON."""
    text = calm(message.text)
    return {
        "text": shorten(text, _MOST_SLACK),
        "content": shorten(text, _MOST_DISCORD),
        "allowed_mentions": {"parse": []},
        "title": calm(in_line(message.title)),
        "event": message.event,
        **message.facts,
    }
