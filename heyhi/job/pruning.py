"""Early stopping of a trial: which of the lines that it logs come to a rung, and how it is ended there.

What a rung is, and who goes on, is left to `heyhi.search.rungs`; what others had there, to `heyhi.search.rung_files`.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

from heyhi.errors import HeyhiError, Pruned, suggest
from heyhi.experiment.counters import counters_among
from heyhi.experiment.directions import words
from heyhi.experiment.metric_line import TOTAL, counter_of
from heyhi.experiment.metrics import BEST
from heyhi.experiment.slots import SlotDir, chosen_dir
from heyhi.experiment.values import best_logged
from heyhi.job.ending import Terminated
from heyhi.job.notice import WARNING, Notice
from heyhi.job.turn import Turn, current_turn
from heyhi.search.rung_files import EndedAt, RungFiles
from heyhi.search.rungs import Verdict, better, is_near_end, next_rung, rungs_between, verdict
from heyhi.sweep.search_spec import AshaSpec, SearchSpec

_log = logging.getLogger(__name__)


def rungs_of(slot: SlotDir, spec: SearchSpec) -> list[Callable[[Mapping[str, Any]], None]]:
    """Return what is to be told each line that a trial logs, to end it where it is among the worst; nothing for none.

    Args:
        slot: of the trial, whose experiment runs in this process, or in others of which this is the first rank.
        spec: of its search.
    """
    return [_Rungs(slot, spec, spec.stop)] if spec.stop is not None else []


class _Rungs:
    """The rungs, as a trial comes to them."""

    def __init__(self, slot: SlotDir, spec: SearchSpec, stop: AshaSpec) -> None:
        self._search = RungFiles(slot.search)
        self._folder, self._slot = slot, slot.number
        # By the best that it had so far a trial is compared in any case.
        self._metric, self._direction = spec.metric.removesuffix(BEST), spec.direction
        self._stop = stop
        self._counter = stop.counter
        self._total = math.inf
        self._best = math.nan  # so far
        self._passed = -math.inf  # step up to which it was compared
        self._next = next_rung(stop, -math.inf)
        self._has_some = False  # of the metric
        self._is_resumed = False  # from where an earlier attempt has come to
        self._ended: EndedAt | None = None  # before that was on record
        self._is_busy = False  # main's callback logs, too
        self._said: set[str] = set()

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Take notice of a line.

        Raises:
            Pruned: this trial is ended, now or before.
        """
        if self._is_busy:
            return
        turn = current_turn()
        if turn is not None:
            turn.raise_if_pruned()
        total = _number_at(line, TOTAL)
        if total is not None:
            self._total = total
        value = _number_at(line, self._metric)
        if value is None:
            if not self._has_some:
                self._say_if_none(line)
            return
        self._has_some = True
        self._best = better(self._best, value, self._direction)
        step = self._step(line)
        if step is None or step < self._next:
            return
        is_known = self._is_resumed or self._resume()
        rungs = rungs_between(self._stop, self._passed, step)
        self._passed, self._next = max(step, self._passed), next_rung(self._stop, step)
        ended = self._compare(rungs, value) if is_known else None
        if self._ended is not None and self._ended.step <= step:
            self._end(self._ended, step, turn)
        if ended is not None and not self._is_near_end(line):
            self._end(ended, step, turn)

    def _step(self, line: Mapping[str, Any]) -> float | None:
        self._counter = self._counter or _counter_in(line)
        step = _number_at(line, self._counter)
        if step is None or not math.isfinite(step):
            what = f"no {self._counter}" if self._counter else "no step or the like"
            self._say("step", f"a line of metrics with {self._metric} has {what}: it is compared with no other trial's")
            return None
        return step

    def _say_if_none(self, line: Mapping[str, Any]) -> None:
        """Say that none of its lines has the metric, once it has come to the second rung, as far as it has any."""
        step = _number_at(line, self._counter or _counter_in(line))
        if step is not None and step >= self._stop.grace * self._stop.factor and "metric" not in self._said:
            near = suggest(self._metric, line)
            self._say("metric", f"no line of metrics has {self._metric}{near}: until one has, no trial is compared")

    def _is_near_end(self, line: Mapping[str, Any]) -> bool:
        """Return whether a trial has little left, as far as it has said when it ends."""
        found = counter_of(line)
        return found is not None and is_near_end(found[1], self._total, self._stop.factor)

    def _resume(self) -> bool:
        """Take up what earlier attempts have left: rungs that were passed are passed, and the best so far stays it.

        Returns:
            whether that can be read.
        """
        try:
            before, self._ended = self._search.of(self._slot), self._search.ended(self._slot)
        except OSError as error:
            self._say("rungs", f"{error}: this trial can't be compared with others, and goes on")
            return False
        self._is_resumed = True
        self._passed = max(before, default=self._passed)
        known = list(before.values())
        try:
            folder = chosen_dir(self._folder)
            if folder is not None and len(folder.history().starts) > 1:
                logged = best_logged(folder, self._metric, self._direction)
                known += [logged] if logged is not None else []
        except (HeyhiError, OSError) as error:
            self._say("earlier", f"{error}: this trial is compared without what it has logged before")
        for one in known:
            self._best = better(self._best, one, self._direction)
        return True

    def _compare(self, rungs: list[int], value: float) -> EndedAt | None:
        """Note what this trial has at the rungs that it has come to, and return where it is among the worst, if so."""
        ended = None
        try:
            for rung in rungs:
                # One whose last value is no number gets nowhere, whatever it had before.
                mine, found = self._noted(rung, value if math.isnan(value) else self._best)
                if not found.goes_on:
                    ended = EndedAt(rung, mine, found.worst, found.rivals)
        except OSError as error:
            self._say("rungs", f"{error}: this trial can't be compared with others, and goes on")
        return ended

    def _noted(self, rung: int, value: float) -> tuple[float, Verdict]:
        """Note a value at a rung, unless an earlier attempt has, and return the one that counts, and what follows."""
        there = self._search.note(rung, self._slot, value)
        mine = there.pop(self._slot, value)
        return mine, verdict(mine, there.values(), self._stop.factor, self._direction)

    def _end(self, ended: EndedAt, step: float, turn: Turn | None) -> None:
        """Have main write its checkpoint, and leave it.

        Raises:
            Pruned: that is how.
        """
        with contextlib.suppress(OSError):  # it is ended now, unless it is killed before that is on record
            self._search.note_ended(self._slot, ended)
        at = f" at {self._counter} {ended.step}" if ended.step != step else ""
        among = f"among the worst {ended.worst} of {ended.rivals}"
        why = f"ended at {self._counter} {step:.15g}: {self._metric} {ended.value:.4g}{at}, {among}"
        self._is_busy = True
        try:
            _write_checkpoint(turn)
        except Terminated:  # a signal: it is ended by that, and by this when it comes again
            raise
        except (Exception, SystemExit) as error:
            # Which trial it is that ends early doesn't change by that; what is lost is what it would go on from.
            _log.exception("main's checkpoint could not be written before this trial ends")
            why += "" if isinstance(error, SystemExit) else f"; no checkpoint: {type(error).__name__}: {error}"
        finally:
            self._is_busy = False
        if turn is not None:
            turn.pruned = why
            turn.on_pruned(why)
            if turn.thread != threading.get_ident():
                _raise_in(turn.thread)
        raise Pruned(why)

    def _say(self, kind: str, text: str) -> None:
        """Say something, each kind once."""
        if kind not in self._said:
            self._said.add(kind)
            _log.warning("%s", text)


def _write_checkpoint(turn: Turn | None) -> None:
    notice = signal.getsignal(WARNING)
    if isinstance(notice, Notice):
        notice.write_checkpoint()
    elif turn is not None and turn.checkpoint is not None:  # outside of a job nobody else calls it
        turn.checkpoint()


def _raise_in(thread: int) -> None:
    """Have main leave what it does, where another thread of it has logged, when it next runs Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Pruned))


def _counter_in(line: Mapping[str, Any]) -> str:
    """Return by which counter trials are compared that log such a line: epochs, where it has them; empty for none.

    They mean the same to trials of different batch sizes, and what is measured once in each has no rungs between two.
    """
    names = tuple(name for name, value in line.items() if isinstance(value, int | float))
    epochs = (name for name in counters_among(names) if {"epoch", "epochs"} & set(words(name)))
    found = counter_of(line)
    return next(epochs, found[0] if found is not None else "")


def _number_at(line: Mapping[str, Any], name: str) -> float | None:
    """Return a number of a line, which may be in nested dicts whose keys are joined by dots; None where it has none."""
    found: Any = line.get(name)
    if found is None and "." in name:
        found = line
        for key in name.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
    return _number(found)


def _number(value: object) -> float | None:
    """Return a number as a float; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
