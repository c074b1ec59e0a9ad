"""Slurm asked aside: whoever looks gets the last answer at once, however long the next one takes."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heyhi.slurm import aside as aside_module
from heyhi.slurm.aside import Aside

SECONDS = 30.0
LINE = "\x1f".join(("7", "{}", "Priority", "", "/work", "heyhi:aa:bb"))
# Each call answers what a file holds, once a line is written into a FIFO.
SQUEUE = """#!/bin/sh
echo called >> {0}/calls
read word < {0}/go
[ "$word" = fail ] && {{ echo "slurm_load_jobs error: Socket timed out" >&2; exit 1; }}
cat {0}/queue
"""
SACCT = '#!/bin/sh\necho "$*" >> {0}/sacct.calls\ncat {0}/accounts\n'


class Slurm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.mkfifo(folder / "go")
        for name, script in (("squeue", SQUEUE), ("sacct", SACCT)):
            (folder / name).write_text(script.format(folder))
            (folder / name).chmod(0o755)
        self.state("PENDING")
        (folder / "accounts").write_text("")

    def state(self, state: str) -> None:
        (self.folder / "queue").write_text(LINE.format(state) + "\n")

    def answer(self, word: str = "ok") -> None:
        (self.folder / "go").write_text(f"{word}\n")  # waits for who reads it


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(aside_module, "_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(aside_module, "QUEUE_SECONDS", 0.0)
    monkeypatch.setattr(aside_module, "_AFTER_ERROR_SECONDS", 0.0)
    monkeypatch.setattr(aside_module, "_PART", 0)
    return Slurm(tmp_path)


@pytest.fixture
def told() -> threading.Semaphore:
    return threading.Semaphore(0)


@pytest.fixture
def aside(slurm: Slurm, told: threading.Semaphore) -> Iterator[Aside]:
    found = Aside(told.release)
    yield found
    found.end()
    while found._thread is not None and found._thread.is_alive():
        with contextlib.suppress(OSError):  # nobody reads
            handle = os.open(slurm.folder / "go", os.O_WRONLY | os.O_NONBLOCK)
            os.write(handle, b"ok\n")
            os.close(handle)
        found._thread.join(0.05)


def state(aside: Aside) -> str:
    aside.begin_look()
    job = aside.view.queue.job("7")
    return job.state if job is not None else ""


def wait(told: threading.Semaphore) -> None:
    assert told.acquire(timeout=SECONDS)


def test_nothing_is_asked_as_long_as_nobody_wants_to_know(aside: Aside, slurm: Slurm) -> None:
    aside.begin_look()
    assert not aside.is_asking and not (slurm.folder / "calls").exists()


def test_a_look_waits_for_no_answer_and_the_last_one_stays(
    aside: Aside, slurm: Slurm, told: threading.Semaphore
) -> None:
    begin = time.monotonic()
    assert state(aside) == "" and "answered yet" in aside.view.queue.error
    assert time.monotonic() - begin < SECONDS / 3
    slurm.answer()
    wait(told)
    assert state(aside) == "PENDING"
    slurm.state("RUNNING")
    assert state(aside) == "PENDING", "the next call is under way, and hasn't answered"
    slurm.answer()
    wait(told)
    assert state(aside) == "RUNNING"
    slurm.answer("fail")
    wait(told)
    assert state(aside) == "" and "Socket timed out" in aside.view.queue.error


def test_who_doubts_an_answer_gets_none_for_one_experiment(
    aside: Aside, slurm: Slurm, told: threading.Semaphore
) -> None:
    state(aside)
    slurm.answer()
    wait(told)
    assert state(aside) == "PENDING"
    aside.view.queue.forget()
    assert aside.view.queue.job("7") is None and not aside.view.queue.has_answer
    aside.view.begin_one()
    assert aside.view.queue.job("7") is not None


def test_how_a_job_has_ended_comes_later_and_is_asked_again_while_nobody_knows(
    aside: Aside, slurm: Slurm, told: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside_module, "LEDGER_SECONDS", 0.0)
    aside.view.begin_one()
    assert aside.view.ledger.job("8") is None and aside.view.ledger.is_missing
    wait(told)
    (slurm.folder / "accounts").write_text("\x1f".join(("8", "TIMEOUT", "0:0", "n1", "/work", "", "5", "")) + "\n")
    deadline = time.monotonic() + SECONDS
    while (job := aside.view.ledger.job("8")) is None and time.monotonic() < deadline:
        told.acquire(timeout=0.05)
    assert job is not None and job.state == "TIMEOUT"
    aside.view.begin_one()
    aside.view.ledger.job("8")
    assert not aside.view.ledger.is_missing


def test_a_job_that_accounts_never_know_is_given_up(
    aside: Aside, slurm: Slurm, told: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside_module, "LEDGER_SECONDS", 0.0)
    assert aside.view.ledger.job("9") is None
    for _ in range(aside_module._TRIES):
        wait(told)
    aside.view.begin_one()
    assert aside.view.ledger.job("9") is None and not aside.view.ledger.is_missing
    assert len((slurm.folder / "sacct.calls").read_text().splitlines()) == aside_module._TRIES


# --- Slurm that is away, or has something new


def test_one_that_does_not_answer_is_told_before_its_call_ends_and_no_more_once_it_does(
    aside: Aside, slurm: Slurm, told: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside_module, "_LATE_SECONDS", 0.0)
    state(aside)
    slurm.answer()
    wait(told)
    assert state(aside) == "PENDING"  # and asks again
    with aside._changing:
        assert aside._changing.wait_for(lambda: aside._asked_since is not None, SECONDS)
    aside._usual_seconds = 0.0
    assert "no answer" in aside.silence
    slurm.answer("fail")
    wait(told)
    state(aside)
    assert "Socket timed out" in aside.silence
    slurm.answer()
    wait(told)
    assert state(aside) == "PENDING"
    aside._usual_seconds = SECONDS
    assert aside.silence == ""


def test_a_call_that_failed_after_long_is_tried_again_soon_and_one_long_wait_does_not_count(
    aside: Aside, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("QUEUE_SECONDS", 2.5), ("_AFTER_ERROR_SECONDS", 4.0), ("_PART", 10)):
        monkeypatch.setattr(aside_module, name, value)
    seconds, error = 0.1, ""

    class Answer:
        def __init__(self) -> None:
            self.has_answer, self.seconds, self.error = not error, seconds, error

    monkeypatch.setattr(aside_module, "Queue", Answer)

    def ask() -> tuple[float, float]:
        now = time.monotonic()
        due, soon = aside._ask_queue()
        return round(due - now), round(soon - now)

    assert ask()[0] in (2, 3)
    seconds, error = 30.0, "Socket timed out"
    assert ask() == (4, 4)
    error = ""
    assert ask()[0] <= 3, "it waited while Slurm was away"
    seconds = 3.0
    assert ask() == (27, 6), "a busy one is asked less often"
    seconds = 200.0
    assert ask()[0] <= 60


def test_news_in_files_does_not_wait_until_a_busy_one_may_be_asked_again(
    aside: Aside, slurm: Slurm, told: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside_module, "_MOST_SECONDS", 10 * SECONDS)
    monkeypatch.setattr(aside_module, "QUEUE_SECONDS", 0.0)
    monkeypatch.setattr(aside_module, "_SOON_PART", 0)
    state(aside)
    monkeypatch.setattr(aside_module, "_PART", 1e9)
    slurm.answer()
    wait(told)
    slurm.state("RUNNING")
    assert state(aside) == "PENDING"
    aside.ask_soon()
    slurm.answer()
    wait(told)
    assert state(aside) == "RUNNING"
