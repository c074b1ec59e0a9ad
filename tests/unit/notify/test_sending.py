"""How messages get there: tried again where that helps, in a bounded time, and said without the address."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heyhi.notify.forms import Message
from heyhi.notify.sending import send
from heyhi.notify.whom import Whom, whom_of
from tests.listener import TOKEN, Listener, listening

MESSAGE = Message("end", "lab: over", ("best loss: 1",), {"counts": {"DONE": 2}})


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


def test_all_are_told_side_by_side(listener: Listener, tmp_path: Path) -> None:
    file = tmp_path / "told"
    script = tmp_path / "tell"
    script.write_text(f'#!/bin/sh\nprintf "%s/%s/" "$HEYHI_EVENT" "$HEYHI_MESSAGE" > {file}; cat >> {file}\n')
    script.chmod(0o755)
    whom = [
        whom_of(listener.url),
        whom_of(f"ntfy:http://{listener.host}/topic"),
        whom_of(f"command:{script} ';' $HOME"),
    ]
    assert send(whom, MESSAGE) == []
    assert {request.path for request in listener.got} == {f"/services/{TOKEN}", "/"}
    assert all(request.headers["Content-Type"].startswith("application/json") for request in listener.got)
    said, _, told = file.read_text().partition("1/")
    assert said == "end/lab: over\nbest loss: "
    assert json.loads(told) == {
        "text": "lab: over\nbest loss: 1", "title": "lab: over", "event": "end", "counts": {"DONE": 2},
    }  # fmt: skip


def test_a_busy_server_is_asked_again(listener: Listener) -> None:
    listener.answers = [(429, {"Retry-After": "0"}), (503, {}), (200, {})]
    assert send([whom_of(listener.url)], MESSAGE) == []
    assert len(listener.got) == 3


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(404, {})], "it answered 404 Not Found"),
        ([(302, {"Location": "/elsewhere"})], "it answered 302 Found (it leads elsewhere, and isn't followed)"),
        ([(429, {"Retry-After": "3600"})], "it answered 429 Too Many Requests"),
        ([(599, {}), (599, {}), (599, {})], "it answered 599"),
    ],
)
def test_what_fails_is_said_without_the_address(
    listener: Listener, answers: list[tuple[int, dict[str, str]]], said: str
) -> None:
    listener.answers = [*answers]
    assert send([whom_of(listener.url)], MESSAGE) == [f"http://{listener.host}/… was not told: {said}"]
    assert not listener.answers
    assert not any(request.path.startswith("GET") for request in listener.got)


def test_a_server_that_never_answers_takes_a_bounded_time(listener: Listener) -> None:
    listener.hold.clear()
    began = time.monotonic()
    (said,) = send([whom_of(listener.url)], MESSAGE, seconds=0.5)
    assert time.monotonic() - began < 5
    assert TOKEN not in said
    assert "was not told: " in said


def test_nobody_at_an_address_is_said(listener: Listener) -> None:
    address = listener.url
    with listening() as other:
        gone = other.url
    (said,) = send([whom_of(gone), whom_of(address)], MESSAGE, seconds=4)
    assert said.endswith("was not told: it can't be reached: Connection refused")
    assert len(listener.got) == 1


def test_odd_addresses_that_only_the_network_refuses_stay_secret() -> None:
    for url in (f"http://{'x' * 70}.invalid/{TOKEN}", f"http://a..b/{TOKEN}"):
        (said,) = send([whom_of(url)], MESSAGE, seconds=4)
        assert TOKEN not in said


def test_mail_goes_by_sendmail_and_its_headers_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "sendmail"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/args; cat > {tmp_path}/mail\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    message = Message("death", "x\nBcc: all@lab.org\r\nX: y", ("ümläut", "."))
    assert send([whom_of("mail:me@lab.org")], message) == []
    assert (tmp_path / "args").read_text() == "-oi -t\n"
    headers = (tmp_path / "mail").read_text().partition("\n\n")[0]
    assert "To: me@lab.org" in headers
    assert not any(line.startswith(("Bcc", "X:")) for line in headers.splitlines())


def test_a_command_that_fails_or_hangs_is_said() -> None:
    assert send([whom_of("command:false secret")], MESSAGE) == ["command:false was not told: it ended with exit code 1"]
    (said,) = send([whom_of("command:sleep 60")], MESSAGE, seconds=0.3)
    assert said.startswith("command:sleep was not told: ")
    (said,) = send([Whom("command", "/no/such/program")], MESSAGE)
    assert said.endswith("it can't be run: No such file or directory")
