"""The signal before the end: who acts on it, and what doesn't break into that."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from heyhi.errors import HeyhiError
from heyhi.job.ending import Signals
from heyhi.job.notice import WARNING, Notice, Requeued, is_to_stop, maybe_init_requeue_handler, requeue


@pytest.fixture
def notice() -> Iterator[Notice]:
    before = signal.getsignal(WARNING)
    made = Notice()
    made.listen()
    yield made
    signal.signal(WARNING, before)


def test_a_signal_that_came_before_the_callback_calls_it_at_once(notice: Notice) -> None:
    called: list[str] = []
    os.kill(os.getpid(), WARNING)
    with pytest.raises(Requeued):
        notice.register(lambda: called.append("saved"))
    assert called == ["saved"]


def test_without_a_callback_the_run_is_queued_again_as_it_is(notice: Notice) -> None:
    assert maybe_init_requeue_handler()
    with pytest.raises(Requeued):
        os.kill(os.getpid(), WARNING)


def test_outside_a_job_nothing_is_queued_again() -> None:
    assert not maybe_init_requeue_handler()


def test_a_stop_does_not_break_into_the_writing_of_a_checkpoint(notice: Notice) -> None:
    written: list[str] = []

    def save() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        written.append("all of it")

    with Signals(notice) as signals, pytest.raises(Requeued), signals.raising():
        notice.register(save)
        os.kill(os.getpid(), WARNING)
    assert written == ["all of it"]


def test_a_stop_has_a_checkpoint_written_first(notice: Notice) -> None:
    written: list[str] = []
    with Signals(notice) as signals, pytest.raises(SystemExit) as stop, signals.raising():
        notice.register(lambda: written.append("all of it"))
        os.kill(os.getpid(), signal.SIGTERM)
    assert written == ["all of it"]
    assert stop.value.code == 143


def test_a_signal_after_main_is_only_noted(notice: Notice) -> None:
    with Signals(notice) as signals:
        with signals.raising():
            notice.register(lambda: pytest.fail("called"))
        os.kill(os.getpid(), WARNING)
    assert notice.came


def test_who_only_forwards_does_so_for_each_signal_and_for_one_that_came_before(notice: Notice) -> None:
    told: list[str] = []
    os.kill(os.getpid(), WARNING)
    notice.forward(lambda: told.append("now"))
    os.kill(os.getpid(), WARNING)
    assert told == ["now", "now"]


def test_one_of_several_processes_that_is_ended_by_another_stays(notice: Notice) -> None:
    with Signals(notice, stays=True) as signals, signals.raising():
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received is signal.SIGTERM


def test_only_the_first_rank_writes_and_leaves(notice: Notice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    notice.register(lambda: pytest.fail("called"))
    os.kill(os.getpid(), WARNING)
    assert notice.came


def test_a_loop_that_asks_is_told_and_leaves_by_itself(notice: Notice) -> None:
    assert not is_to_stop()
    os.kill(os.getpid(), WARNING)
    assert is_to_stop()
    with pytest.raises(Requeued):
        requeue()


def test_a_stop_does_not_break_into_a_loop_that_asks(notice: Notice) -> None:
    with Signals(notice) as signals, pytest.raises(SystemExit) as stop, signals.raising():
        assert not is_to_stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert is_to_stop()
        requeue()
    # It doesn't ask for the queue: a cancelled job must not come back.
    assert stop.value.code == 143 and not isinstance(stop.value, Requeued)
    assert signals.received is signal.SIGTERM


def test_ctrl_c_breaks_into_a_loop_that_asks(notice: Notice) -> None:
    with Signals(notice) as signals, pytest.raises(KeyboardInterrupt), signals.raising():
        assert not is_to_stop()
        os.kill(os.getpid(), signal.SIGINT)


def test_another_rank_waits_for_the_first_one_s_end(notice: Notice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with Signals(notice, stays=True) as signals, pytest.raises(SystemExit) as stop, signals.raising():
        os.kill(os.getpid(), WARNING)
        assert is_to_stop()
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        requeue()
    assert stop.value.code == 143


def test_outside_a_job_nothing_is_to_stop() -> None:
    assert not is_to_stop()
    with pytest.raises(HeyhiError, match="no job"):
        requeue()


@pytest.mark.parametrize("sign", [WARNING, signal.SIGTERM])
def test_who_knows_of_the_end_and_returns_nothing_has_left_its_work(notice: Notice, sign: signal.Signals) -> None:
    with Signals(notice) as signals:
        with signals.raising():
            assert not is_to_stop()
            os.kill(os.getpid(), sign)
            assert is_to_stop()
        with pytest.raises(Requeued if sign is WARNING else SystemExit) as stop:
            signals.raise_if_caught()
    assert stop.value.code == (75 if sign is WARNING else 143)


@pytest.mark.parametrize("sign", [WARNING, signal.SIGTERM])
def test_who_has_not_asked_again_has_ended_by_itself(notice: Notice, sign: signal.Signals) -> None:
    with Signals(notice) as signals:
        with signals.raising():
            assert not is_to_stop()
            os.kill(os.getpid(), sign)
        signals.raise_if_caught()


def test_who_catches_what_a_checkpoint_ends_with_is_queued_again_all_the_same(notice: Notice) -> None:
    with Signals(notice) as signals:
        with signals.raising(), contextlib.suppress(SystemExit):
            notice.register(lambda: None)
            os.kill(os.getpid(), WARNING)
        with pytest.raises(Requeued):
            signals.raise_if_caught()
