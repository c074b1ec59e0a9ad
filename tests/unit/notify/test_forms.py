"""The forms of a message: what each service takes, and that nothing in it calls somebody or becomes a link."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from heyhi.notify.forms import Message, post_of
from heyhi.notify.whom import whom_of

HOSTILE = (
    "x=@everyone <!channel> <@U123> [click](https://evil.org) **b** `c` <https://evil.org|here>\n@here\r\x1b[31m"
    " www.evil.org \u202e"
)
KINDS = {
    "slack": "https://hooks.slack.com/services/x",
    "discord": "https://discord.com/api/webhooks/1/x",
    "mattermost": "https://chat.lab.org/hooks/abcdefghijklmnopqrstuvwxyz",
    "ntfy": "https://ntfy.sh/lab-topic",
    "url": "https://lab.org/hook",
}


def form(kind: str, *lines: str) -> Any:
    return json.loads(post_of(whom_of(KINDS[kind]), Message("death", "lab: first death", lines, {"exp_id": "a"})).data)


def texts(found: Any) -> list[str]:
    return [found[name] for name in ("text", "content", "message", "title") if name in found]


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_others_chose_call_nobody_and_are_no_links(kind: str) -> None:
    for text in texts(form(kind, HOSTILE)):
        assert not re.search(r"@(everyone|here|U123)|<!|<@|<https|\]\(|://|www\.", text), text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\r" not in text
        # It looks as it is, and stays on its line.
        assert "\n@" not in text.replace("\u200b", "")


def test_slack_is_given_entities_and_no_markup() -> None:
    found = form("slack", "a < b & c > d", HOSTILE)
    assert "a &lt; b &amp; c &gt; d" in found["text"]
    assert "<" not in found["text"]
    assert found["mrkdwn"] is False
    assert set(found) == {"text", "mrkdwn", "unfurl_links", "unfurl_media"}


def test_discord_may_call_nobody_and_takes_2000_characters() -> None:
    found = form("discord", *["y" * 450] * 20)
    assert found["allowed_mentions"] == {"parse": []}
    assert len(found["content"]) == 2000
    assert "\\*\\*b\\*\\*" in form("discord", HOSTILE)["content"]


def test_mattermost_shows_marks_as_they_are() -> None:
    assert form("mattermost", "p/a_b=1*2") == {"text": "lab: first death\np/a\\_b=1\\*2"}


def test_ntfy_is_given_the_topic_at_the_root_of_its_server() -> None:
    post = post_of(whom_of("ntfy:https://me:p%40ss@push.lab.org:8443/lab-topic"), Message("end", "over", ("ü" * 4000,)))
    found = json.loads(post.data)
    assert post.url == "https://push.lab.org:8443/"
    assert (found["topic"], found["title"]) == ("lab-topic", "over")
    assert len(found["message"].encode()) <= 4000
    assert post.headers["Authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert form("ntfy", "why")["priority"] == 4


def test_any_other_address_gets_what_slack_mattermost_and_discord_read_and_the_facts() -> None:
    found = form("url", "why")
    assert found["text"] == found["content"] == "lab: first death\nwhy"
    assert (found["event"], found["exp_id"], found["title"]) == ("death", "a", "lab: first death")
    # What these services take for orders isn't there.
    assert not {"channel", "username", "icon_url", "type", "props", "embeds", "attachments", "blocks"} & set(found)
