"""Who looks, and when: a thread, at a stand-in that says when it was looked at."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from heyhi.serve.looking import Looking

SECONDS = 30.0  # for which a busy machine may take


class StandIn:
    """Something that is looked at: each look waits for what the test has it do."""

    def __init__(self) -> None:
        self.begun: queue.Queue[int] = queue.Queue()
        self.answers: queue.Queue[bool | Exception] = queue.Queue()
        self.woken: Callable[[], object] = lambda: None
        self.is_unfinished = False
        self.has_ended = False
        self._count = 0

    def look(self) -> bool:
        self._count += 1
        self.begun.put(self._count)
        answer = self.answers.get(timeout=SECONDS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        self.has_ended = True

    def next_look(self, answer: bool | Exception = False) -> int:
        """Wait until it is looked at, and answer."""
        number = self.begun.get(timeout=SECONDS)
        self.answers.put(answer)
        return number

    def is_left_alone(self) -> bool:
        with contextlib.suppress(queue.Empty):
            self.begun.get(timeout=0.3)
            return False
        return True


class Told:
    def __init__(self) -> None:
        self.errors: queue.Queue[str] = queue.Queue()
        self.looking: Looking | None = None

    def __call__(self) -> None:
        assert self.looking is not None
        self.errors.put(self.looking.error)

    def next(self) -> str:
        return self.errors.get(timeout=SECONDS)


@pytest.fixture
def board() -> StandIn:
    return StandIn()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def looking(board: StandIn, told: Told) -> Iterator[Looking]:
    found = told.looking = Looking(board, told, seconds=0.0)
    found.begin()
    yield found
    board.answers.put(False)
    found.end()


def test_without_a_viewer_it_looks_once(board: StandIn, looking: Looking) -> None:
    board.next_look()
    assert board.is_left_alone()
    looking.wake()
    assert board.is_left_alone(), "whatever is to be seen, nobody sees it"


def test_it_looks_on_until_there_is_nothing_more_to_be_shown_of_what_was_seen(board: StandIn, looking: Looking) -> None:
    board.is_unfinished = True
    assert [board.next_look() for _ in range(3)] == [1, 2, 3]
    board.begun.get(timeout=SECONDS)
    board.is_unfinished = False
    board.answers.put(False)
    assert board.is_left_alone()


def test_while_somebody_sees_it_it_looks_again_and_again(board: StandIn, looking: Looking) -> None:
    board.next_look()
    with looking.viewer():
        assert [board.next_look() for _ in range(3)] == [2, 3, 4]
        with looking.viewer():
            assert board.next_look() == 5
        assert board.next_look() == 6
        board.begun.get(timeout=SECONDS)
    board.answers.put(False)
    assert board.is_left_alone()


def test_the_first_viewer_wakes_it_and_so_does_news_of_slurm(board: StandIn, told: Told) -> None:
    looking = told.looking = Looking(board, told, seconds=1e6)
    looking.begin()
    board.next_look()
    with looking.viewer():
        assert board.next_look() == 2
        assert board.is_left_alone()
        board.woken()
        assert board.next_look() == 3
    looking.end()


def test_news_and_errors_are_told_once(board: StandIn, told: Told, looking: Looking) -> None:
    with looking.viewer():
        board.next_look(True)
        assert told.next() == ""
        board.next_look(ValueError("boom"))
        assert told.next() == "ValueError: boom"
        board.next_look(ValueError("boom"))
        board.next_look(False)
        assert told.next() == "" == looking.error
        board.next_look(True)
        assert told.next() == ""
    assert told.errors.empty()


def test_it_ends_at_once_whatever_a_look_does(board: StandIn, told: Told) -> None:
    looking = told.looking = Looking(board, told, seconds=0.0)
    looking.begin()
    board.begun.get(timeout=SECONDS)  # and is never answered until the end
    begin = time.monotonic()
    looking.end()
    assert time.monotonic() - begin < SECONDS / 3 and board.has_ended
    board.answers.put(True)
    for thread in threading.enumerate():
        if thread.name == "heyhi-looking":
            thread.join(SECONDS)
    assert told.errors.empty(), "its news is told to nobody any more"
