"""A door between a run and a tracker holds nothing up, says once what is wrong, and ends nothing."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from heyhi.trackers.door import Door, close_all
from heyhi.trackers.tracked_run import Line, RunEnd


class Kept:
    """A tracker that keeps what it gets, and may wait or fail."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.end: tuple[RunEnd, Mapping[str, Any]] | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.fails_at = ""

    def write(self, lines: list[Line]) -> None:
        self.may_go_on.wait()
        if self.fails_at == "write":
            raise ValueError("no such metric\nhere")
        self.lines += lines

    def close(self, end: RunEnd, result: Mapping[str, Any]) -> None:
        if self.fails_at == "close":
            sys.exit("refused")  # whatever a library may do
        self.end = end, result


def test_a_door_passes_on_all_lines_in_order_and_how_the_run_has_ended() -> None:
    kept = Kept()
    door = Door("own", lambda: kept)
    kept.may_go_on.clear()
    for at in range(3000):
        door({"step": at})
    kept.may_go_on.set()
    close_all([door], RunEnd.DONE, {"loss": 1}, 60)
    assert [line["step"] for line in kept.lines] == list(range(3000))
    assert kept.end == (RunEnd.DONE, {"loss": 1})


def test_a_door_without_a_line_opens_nothing() -> None:
    def opened() -> Kept:
        raise AssertionError

    close_all([Door("own", opened)], RunEnd.DONE, {}, 60)
    assert not [thread.name for thread in threading.enumerate() if thread.name == "heyhi-own"]


@pytest.mark.parametrize(
    ("fails_at", "why"), [("write", "ValueError: no such metric"), ("close", "SystemExit: refused")]
)
def test_a_door_that_fails_is_said_once(caplog: pytest.LogCaptureFixture, fails_at: str, why: str) -> None:
    kept = Kept()
    kept.fails_at = fails_at
    door = Door("own", lambda: kept, "; later")
    with caplog.at_level(logging.WARNING):
        for at in range(9):
            door({"step": at})
        close_all([door], RunEnd.DONE, {}, 60)
        door({"step": 10})
    (message,) = caplog.messages
    assert message.startswith(f"log_to own: {why}") and message.endswith("; the run goes on without it; later")
    assert kept.end == ((RunEnd.STOPPED, {}) if fails_at == "write" else None), "or it would be alive for ever"


def test_a_door_that_hangs_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    kept, other = Kept(), Kept()
    kept.may_go_on.clear()
    doors = [Door("slow", lambda: kept), Door("quick", lambda: other)]
    with caplog.at_level(logging.WARNING):
        for door in doors:
            door({"loss": 1})
        close_all(doors, RunEnd.STOPPED, {}, 0.2)
    kept.may_go_on.set()
    assert caplog.messages == ["log_to slow: it had not taken all within 0.2 s after main; the run goes on without it"]
    assert other.end == (RunEnd.STOPPED, {})


def test_a_forked_child_writes_nothing_through_its_parents_door() -> None:
    kept = Kept()
    door = Door("own", lambda: kept)
    child = os.fork()
    if child == 0:
        door({"step": 1})
        close_all([door], RunEnd.DONE, {}, 60)
        os._exit(len(threading.enumerate()) - 1)
    assert os.waitpid(child, 0)[1] == 0
    door({"step": 2})
    close_all([door], RunEnd.DONE, {}, 60)
    assert kept.lines == [{"step": 2}]
