"""Whom a text names, what of it is shown, and what is refused without a word of the secret."""

from __future__ import annotations

import os

import pytest

from heyhi.errors import NotifyError
from heyhi.notify.whom import check, check_here, shown_text, take_from_environment, whom_of, without_addresses


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("https://hooks.slack.com/services/T0/B0/SECRET", "slack", "https://hooks.slack.com/…"),
        ("https://discord.com/api/webhooks/1/SECRET", "discord", "https://discord.com/…"),
        ("https://ptb.discord.com/api/webhooks/1/SECRET?thread_id=2", "discord", "https://ptb.discord.com/…"),
        ("https://discord.com/api/webhooks/1/SECRET/slack", "slack", "https://discord.com/…"),
        ("https://chat.lab.org/hooks/abcdefghijklmnopqrstuvwxyz", "mattermost", "https://chat.lab.org/…"),
        ("https://ntfy.sh/SECRET", "ntfy", "https://ntfy.sh/…"),
        ("ntfy:https://me:SECRET@push.lab.org/topic", "ntfy", "https://push.lab.org/…"),
        ("http://[::1]:8080/SECRET", "url", "http://[::1]:8080/…"),
        ("HTTPS://Lab.org/SECRET", "url", "https://lab.org/…"),
        ("mail:me@lab.org", "mail", "mail:me@lab.org"),
        ("mailto:me@lab.org", "mail", "mail:me@lab.org"),
        ("command:curl -H 'X: SECRET' lab.org", "command", "command:curl"),
    ],
)  # fmt: skip
def test_what_is_shown_of_an_address_is_where_it_leads_and_no_more(text: str, kind: str, shown: str) -> None:
    found = whom_of(text)
    assert (found.kind, found.shown) == (kind, shown)
    assert "SECRET" not in shown_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "SECRET", "hooks.slack.com/SECRET", "htps://lab.org/SECRET", "ftp://lab.org/SECRET",
        "https://", "https:///SECRET", "https://lab.org", "https://lab.org:99999/SECRET", "https://lab.org:SECRET/",
        "https://lab.org/SEC RET", "https://lab.org/SECRET\n", "https://lab.org/SECRET\r\nX: y", "https://[SECRET/",
        "https://lab.org/SÉCRET", "https://ntfy.sh/", "https://ntfy.sh/a/SECRET", "ntfy:topicSECRET", "me@lab.org",
        "mail:", "mail:SECRET", "mail:a@lab.org,b@lab.org", "mail:a@lab.org\nBcc: SECRET@x.org", "mail:-f@lab.org x",
        "command:", "command:  ", "command:'SECRET", "env:", "env:9SECRET", "env:A SECRET", "SECRET:x",
    ],
)  # fmt: skip
def test_what_names_nobody_is_refused_without_a_word_of_it(text: str) -> None:
    if text.endswith("SECRET\n"):  # a line end of an editor's is no part of it
        assert whom_of(text).address == text.strip()
        return
    with pytest.raises(NotifyError) as caught:
        whom_of(text)
    assert "SECRET" not in str(caught.value).replace("SECRET:", "")
    assert len(str(caught.value)) > 20
    assert "SECRET" not in shown_text(text) or text.startswith("env:")


def test_a_slip_names_what_was_meant() -> None:
    with pytest.raises(NotifyError, match="did you mean 'https'"):
        check("htps://lab.org/x")
    with pytest.raises(NotifyError, match="did you mean mail: before it"):
        check("me@lab.org")


def test_an_address_may_lie_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOOK", "https://hooks.slack.com/services/SECRET")
    assert whom_of("env:LAB_HOOK").kind == "slack"
    assert shown_text("env:LAB_HOOK") == "env:LAB_HOOK"
    monkeypatch.setenv("LAB_HOOK", "SECRET")
    with pytest.raises(NotifyError, match=r"^env:LAB_HOOK: ") as caught:
        whom_of("env:LAB_HOOK")
    assert "SECRET" not in str(caught.value)
    monkeypatch.setenv("LAB_HOOK", "env:OTHER")
    with pytest.raises(NotifyError, match="LAB_HOOK names another one, and should have the address itself"):
        whom_of("env:LAB_HOOK")
    monkeypatch.delenv("LAB_HOOK")
    check("env:LAB_HOOK")  # it may be set elsewhere
    with pytest.raises(NotifyError, match="no environment variable LAB_HOOK is set"):
        whom_of("env:LAB_HOOK")


def test_what_was_taken_out_of_the_environment_is_known_here_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heyhi.notify.whom._taken", {})
    monkeypatch.setenv("LAB_HOOK", "https://hooks.slack.com/services/SECRET")
    take_from_environment(["mail:me@lab.org", "env:LAB_HOOK"])
    assert "LAB_HOOK" not in os.environ
    assert whom_of("env:LAB_HOOK").kind == "slack"


def test_what_this_machine_lacks_is_said_before_anything_is_started() -> None:
    with pytest.raises(NotifyError, match="command:no-such-program-here: there is no such command on this machine"):
        check_here(whom_of("command:no-such-program-here --token SECRET"))
    check_here(whom_of("command:true"))


def test_a_command_line_for_records_has_no_address() -> None:
    words = [
        "launch",
        "a.py",
        "--notify",
        "https://lab.org/SECRET",
        "--notify=mail:me@lab.org",
        "--notify=SECRET",
        "b=1",
    ]
    assert without_addresses(words) == [
        "launch", "a.py", "--notify", "https://lab.org/…", "--notify=mail:me@lab.org", "--notify=…", "b=1",
    ]  # fmt: skip
