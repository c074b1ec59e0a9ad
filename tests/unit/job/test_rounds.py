"""Snakemake looks what can start when something may, and not again and again."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from heyhi.job import rounds
from heyhi.job.rounds import look_when_needed


class Timers:
    """Timers that are due when a test says so."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def __call__(self, delay: float, call: Any, args: tuple[Any, ...]) -> Any:
        timer = SimpleNamespace(delay=delay, fire=lambda: call(*args), start=lambda: self.all.append(timer))
        return timer


class Limiter:
    timespan = 1

    def __init__(self, most: int) -> None:
        self.left = most

    def get_free_jobs(self) -> int:
        return self.left

    def register_jobs(self, count: int) -> None:
        self.left -= count


class Scheduler:
    def __init__(self, most: int) -> None:
        self.job_rate_limiter: Any = Limiter(most)
        self._open_jobs = threading.Semaphore(0)

    def _schedule_reevalutation(self, delay: float) -> None:
        raise AssertionError

    def look(self, ready: int) -> None:
        """As Snakemake's does."""
        if self.job_rate_limiter.get_free_jobs():
            self.job_rate_limiter.register_jobs(min(ready, self.job_rate_limiter.left))
        self._schedule_reevalutation(self.job_rate_limiter.timespan)

    @property
    def is_woken(self) -> bool:
        return self._open_jobs.acquire(blocking=False)


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    timers = Timers()
    monkeypatch.setattr(rounds.threading, "Timer", timers)
    return timers


def scheduler_of(most: int) -> Scheduler:
    scheduler = Scheduler(most)
    look_when_needed(SimpleNamespace(scheduler=scheduler))
    return scheduler


def test_what_waits_for_cores_is_looked_at_when_one_is_free(timers: Timers) -> None:
    scheduler = scheduler_of(100)
    for _ in range(50):
        scheduler.look(ready=1)
    assert timers.all == []


def test_what_the_limit_has_kept_back_is_looked_at_once_more_after_its_time(timers: Timers) -> None:
    scheduler = scheduler_of(3)
    for _ in range(5):
        scheduler.look(ready=2)
    assert [timer.delay for timer in timers.all] == [1]
    assert timers.all[0].daemon
    assert not scheduler.is_woken
    timers.all[0].fire()
    assert scheduler.is_woken
    scheduler.look(ready=2)
    assert len(timers.all) == 2, "the limit is still used up"


def test_what_waits_for_a_queue_is_looked_at_after_its_own_time(timers: Timers) -> None:
    scheduler = scheduler_of(100)
    scheduler.look(ready=1)
    scheduler._schedule_reevalutation(10)  # nothing was to be started, so the limit wasn't asked
    assert [timer.delay for timer in timers.all] == [10]
    scheduler.job_rate_limiter.register_jobs(99)
    scheduler.look(ready=1)
    assert [timer.delay for timer in timers.all] == [10, 1], "that is sooner"
    for timer in timers.all:
        timer.fire()
    assert scheduler.is_woken and scheduler.is_woken


def test_a_snakemake_without_a_limit_is_left_as_it_is() -> None:
    for scheduler in (SimpleNamespace(job_rate_limiter=None), SimpleNamespace(job_rate_limiter=1), SimpleNamespace()):
        before = dict(vars(scheduler))
        look_when_needed(SimpleNamespace(scheduler=scheduler))
        assert vars(scheduler) == before
