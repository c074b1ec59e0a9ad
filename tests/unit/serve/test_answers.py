"""What is sent, and how much of it at a time."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import MutableMapping
from typing import Any

import orjson
import pytest

from heyhi.serve import answers
from heyhi.serve.answers import Pieces, Sending, json_answer
from tests.threads import run_async


async def statuses_of(first: Pieces, second: Pieces) -> list[int]:
    """Send two answers, the second while the reader of the first takes nothing."""
    found: list[int] = []
    stuck, goes_on = asyncio.Event(), asyncio.Event()

    async def take(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found.append(message["status"])

    async def take_late(message: MutableMapping[str, Any]) -> None:
        await take(message)
        stuck.set()
        await goes_on.wait()

    async def nothing() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    waiting = asyncio.create_task(first({"type": "http"}, nothing, take_late))
    await stuck.wait()
    await second({"type": "http"}, nothing, take)
    goes_on.set()
    await waiting
    return found


def test_where_much_waits_for_readers_no_more_is_begun_by_the_same_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_SENDING", 1000)
    one, another = Sending(), Sending()

    def answer(sending: Sending) -> Pieces:
        return json_answer(sending, "x" * 600, packed=False)

    assert run_async(statuses_of(answer(one), answer(one))) == [200, 503]
    assert run_async(statuses_of(answer(one), answer(another))) == [200, 200]
    assert one.bytes == another.bytes == 0, "what was sent is counted no more"


@pytest.mark.parametrize("is_dense", [False, True])
def test_what_is_packed_is_the_same_when_it_is_unpacked(is_dense: bool) -> None:
    value = {"numbers": [str(number) * 3 for number in range(5000)], "same": "x" * 100_000}
    answer = json_answer(Sending(), value, packed=True, is_dense=is_dense)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 60_000
    assert orjson.loads(gzip.decompress(answer.body)) == value


def test_what_several_are_sent_is_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = b'"' + b"x" * (1 << 20) + b'"'
    for packed in (False, True):
        sending = Sending()
        monkeypatch.setattr(answers, "MOST_SENDING", 1)
        first, second = (
            json_answer(sending, bytes(bytearray(table)) if packed else table, packed=packed) for _ in "ab"
        )
        assert first.body is second.body
        assert run_async(statuses_of(first, second)) == [200, 200]
        assert sending.bytes == 0
