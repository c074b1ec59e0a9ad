"""Slurm asked aside, by a thread: who looks at jobs again and again gets the last answers, and waits for none.

A busy controller answers late, and one that is gone lets its clients try for a minute. Nothing is asked as long as
nobody wants to know, and what is slow is asked less often.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from heyhi.slurm.commands import Job, Ledger, Queue, SlurmError, View, account

QUEUE_SECONDS = 2.5  # between two calls of squeue
LEDGER_SECONDS = 10.0  # of sacct
_PART = 10  # of the time that may be spent on either
_SOON_PART = 2  # likewise, where something is known to have changed
_MOST_SECONDS = 60.0  # between two calls, however long they take
_FIRST_SECONDS = 1.0  # for which the first answer is waited for
_AFTER_ERROR_SECONDS = 4.0
_LATE_SECONDS = 5.0  # after which it is said that there is no answer
_TRIES = 4  # to find out how a job has ended: accounts come late
_NOTHING_YET = "it hasn't answered yet"
_LATE = f"squeue: no answer for more than {_LATE_SECONDS:g} s"


class Aside:
    """Ask Slurm in threads of their own: one for squeue, one for sacct, which may be away while the other answers.

    Args:
        told: called from these threads whenever there is an answer.

    Attributes:
        view: what Slurm has said last, for who finds out how experiments are.
    """

    def __init__(self, told: Callable[[], object] = lambda: None) -> None:
        self._told = told
        self._changing = threading.Condition()
        self._is_over = False
        self._thread: threading.Thread | None = None
        self._ledger_thread: threading.Thread | None = None
        self._is_queue_wanted = self._is_soon = self._is_ledger_asked = False
        self._is_looked_at = False  # whether anybody wanted to know of the queue since the last look began
        self._asked_since: float | None = None  # squeue, which hasn't answered yet
        self._usual_seconds = 0.0  # of its last call that was answered
        self._answer: Queue | None = None
        self._known: dict[str, Job | None] = {}
        self._tries: dict[str, int] = {}
        self._wanted: dict[str, float] = {}  # ids of jobs that are to be asked for, each with when
        self._ledger_error = ""
        self.view = _LastView(self)

    @property
    def is_asking(self) -> bool:
        """Whether anything that was asked has had no answer at all yet."""
        with self._changing:
            has_none = self._answer is None and self._is_queue_wanted
            is_asked = self._asked_since is not None or self._is_ledger_asked
            return is_asked or has_none or not self._wanted.keys() <= self._known.keys()

    @property
    def silence(self) -> str:
        """Why Slurm doesn't answer, as far as this look wanted to know; empty where it does."""
        with self._changing:
            if not self._is_looked_at:
                return ""
            if self._answer is not None and self._answer.error:
                return self._answer.error
            late = max(_LATE_SECONDS, 2 * self._usual_seconds)
            is_late = self._asked_since is not None and time.monotonic() - self._asked_since > late
            return _LATE if is_late else ""

    def begin_look(self) -> None:
        """Take up what was answered since the last look."""
        with self._changing:
            self._is_looked_at = False
        self.view.begin_look()

    def ask_soon(self) -> None:
        """Ask about the queue as soon as may be: something has changed there."""
        with self._changing:
            self._is_soon = True
            self._changing.notify_all()

    def end(self) -> None:
        """Ask no more."""
        with self._changing:
            self._is_over = True
            self._changing.notify_all()

    def last(self) -> Queue | None:
        """Return the last answer of squeue, and have it asked again; None where it hasn't answered yet."""
        with self._changing:
            self._is_queue_wanted = self._is_looked_at = True
            is_first = self._thread is None
            if is_first:
                self._thread = threading.Thread(target=self._run_queue, name="heyhi-squeue", daemon=True)
                self._thread.start()
            self._changing.notify_all()
            if is_first:
                self._changing.wait_for(lambda: self._answer is not None, _FIRST_SECONDS)
            return self._answer

    def account_of(self, ids: Iterable[str]) -> tuple[dict[str, Job | None], str]:
        """Return how jobs have ended, as far as that is known, and why it isn't; those that aren't are asked for."""
        with self._changing:
            found = {one: self._known[one] for one in ids if one in self._known}
            new = [one for one in ids if one and one not in self._known and one not in self._wanted]
            self._wanted |= dict.fromkeys(new, 0.0)
            if new and self._ledger_thread is None:
                self._ledger_thread = threading.Thread(target=self._run_ledger, name="heyhi-sacct", daemon=True)
                self._ledger_thread.start()
            self._changing.notify_all()
            return found, self._ledger_error

    def is_open(self, job_id: str) -> bool:
        """Return whether it is to be found out yet how a job has ended."""
        with self._changing:
            return job_id in self._wanted

    def _run_queue(self) -> None:
        due = soon = 0.0
        while True:
            with self._changing:
                while not self._is_over:
                    now = time.monotonic()
                    times = [due] * self._is_queue_wanted + [soon] * self._is_soon
                    if times and min(times) <= now:
                        break
                    self._changing.wait(min(times) - now if times else None)
                if self._is_over:
                    return
                self._is_queue_wanted = self._is_soon = False
                self._asked_since = now
            due, soon = self._ask_queue()
            self._told()

    def _ask_queue(self) -> tuple[float, float]:
        """Ask squeue; return when it may be asked again, and when where something is known to have changed."""
        answer = Queue()
        is_there = answer.has_answer
        now, seconds = time.monotonic(), answer.seconds
        with self._changing:
            self._answer, self._asked_since = answer, None
            # One that had to wait while Slurm was away doesn't say how busy it is.
            usual = min(seconds, self._usual_seconds) if self._usual_seconds else seconds
            if is_there:
                self._usual_seconds = seconds
            self._changing.notify_all()
        if not is_there:  # how long that took says nothing of when it is back
            return now + _AFTER_ERROR_SECONDS, now + _AFTER_ERROR_SECONDS
        start = now - seconds
        due = max(start + min(max(QUEUE_SECONDS, _PART * usual), _MOST_SECONDS), now)
        return due, min(due, max(start + QUEUE_SECONDS, now + _SOON_PART * usual))

    def _run_ledger(self) -> None:
        due = 0.0
        while True:
            with self._changing:
                while not self._is_over:
                    now = time.monotonic()
                    when = max(due, min(self._wanted.values())) if self._wanted else None
                    if when is not None and when <= now:
                        break
                    self._changing.wait(when - now if when is not None else None)
                if self._is_over:
                    return
                ids = [one for one, asked in self._wanted.items() if asked <= now]
                self._is_ledger_asked = True
            due = self._ask_ledger(ids)
            with self._changing:
                self._is_ledger_asked = False
            self._told()

    def _ask_ledger(self, ids: list[str]) -> float:
        """Ask sacct; return when it may be asked again."""
        start, error = time.monotonic(), ""
        found: dict[str, Job] = {}
        try:
            found = account(ids)
        except SlurmError as problem:
            error = str(problem)
        now = time.monotonic()
        with self._changing:
            self._ledger_error = error
            for one in ids:
                job = found.get(one)
                self._known[one] = job
                self._tries[one] = tries = self._tries.get(one, 0) + 1
                is_sure = job is not None and job.exit_code is not None and job.state != "RUNNING"
                if is_sure or tries >= _TRIES:
                    del self._wanted[one]
                else:
                    self._wanted[one] = now + LEDGER_SECONDS * 2**tries
        if error:
            return now + 3 * LEDGER_SECONDS
        return start + min(max(LEDGER_SECONDS, _PART * (now - start)), now - start + _MOST_SECONDS)


class _LastQueue(Queue):
    """What squeue has said last."""

    def __init__(self, aside: Aside) -> None:
        super().__init__()
        self._aside = aside
        self._is_doubted = False

    def begin_look(self) -> None:
        """Forget the answer that was taken up."""
        super().forget()
        self._is_doubted = False

    def forget(self) -> None:
        """Count what is asked next as not answered: a claim is younger than the answer. Another one is asked for."""
        super().forget()
        self._is_doubted = True
        self._aside.ask_soon()

    def trust(self) -> None:
        """Take the answer again for what is asked next."""
        if self._is_doubted:
            self.begin_look()

    def _ask(self) -> None:
        self._is_asked = True
        answer = self._aside.last()
        if self._is_doubted or answer is None:
            self.error = "" if self._is_doubted else _NOTHING_YET
            return
        self._lines, self._marked, self.error = answer._lines, answer._marked, answer.error
        self.seconds, self.asked = answer.seconds, answer.asked


class _LastLedger(Ledger):
    """What sacct has said of the jobs that were asked about.

    Attributes:
        is_missing: whether somebody has asked since `begin` for what isn't answered yet.
    """

    def __init__(self, aside: Aside) -> None:
        super().__init__()
        self._aside = aside
        self.is_missing = False

    def load(self, ids: Iterable[str]) -> None:
        """Have those jobs asked for that haven't been yet."""
        wanted = [one for one in ids if one]
        if wanted:
            found, self.error = self._aside.account_of(wanted)
            self._known |= found

    def job(self, job_id: str) -> Job | None:
        """Return how a job has ended; None where accounting doesn't say, or not yet."""
        self.load([job_id])
        self.is_missing = self.is_missing or self._aside.is_open(job_id)
        return self._known.get(job_id)


class _LastView(View):
    """What Slurm has said last."""

    def __init__(self, aside: Aside) -> None:
        self.queue: _LastQueue = _LastQueue(aside)
        self.ledger: _LastLedger = _LastLedger(aside)

    def begin_look(self) -> None:
        """Take up what was answered since the last look."""
        self.queue.begin_look()

    def begin_one(self) -> None:
        """Begin to ask for one experiment."""
        self.queue.trust()
        self.ledger.is_missing = False

    @property
    def is_asked(self) -> bool:
        """Whether anything was asked of the queue in this look."""
        return self.queue._is_asked

    def lines(self) -> dict[str, str]:
        """Return what squeue has said of each job, by its id; nothing where it hasn't, or wasn't asked."""
        return self.queue._lines or {}
