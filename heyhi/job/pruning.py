"""Early stopping of a trial: which of the lines that it logs come to a rung, and how it is ended there.

What a rung is, and who goes on, is left to `heyhi.search.rungs`. What a trial had at a rung is an empty file beside the
slots, `rungs/27/0007=0.93`: one look at that folder tells all rivals, and nobody waits for anybody.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from heyhi.errors import Pruned
from heyhi.experiment.counters import counters_among
from heyhi.experiment.slots import SearchDir, SlotDir, slot_name
from heyhi.job.notice import WARNING, Notice
from heyhi.job.turn import Turn, current_turn
from heyhi.search.rungs import Verdict, next_rung, rungs_between, verdict
from heyhi.sweep.search_spec import AshaSpec, SearchSpec

TOTAL_KEY = "total"  # of a line: the step at which the run has come to its end
_log = logging.getLogger(__name__)


def rungs_of(slot: SlotDir, spec: SearchSpec) -> list[Callable[[Mapping[str, Any]], None]]:
    """Return what is to be told each line that a trial logs, to end it where it is among the worst; nothing for none.

    Args:
        slot: of the trial, whose experiment runs in this process, or in others of which this is the first rank.
        spec: of its search.
    """
    return [_Rungs(slot, spec, spec.stop)] if spec.stop is not None else []


def read_rungs(search: SearchDir) -> dict[int, dict[int, float]]:
    """Return what the trials of a search had at its rungs: step -> slot -> value.

    Raises:
        OSError: that can't be read.
    """
    return {step: _read_rung(search.rungs_path / str(step)) for step in sorted(_steps_in(search.rungs_path))}


class _Rungs:
    """The rungs, as a trial comes to them."""

    def __init__(self, slot: SlotDir, spec: SearchSpec, stop: AshaSpec) -> None:
        self._folder = slot.search.rungs_path
        self._slot = slot.number
        self._metric, self._direction = spec.metric, spec.direction
        self._stop = stop
        self._counter = stop.counter
        self._total = math.inf
        self._passed = -math.inf  # step up to which it was compared
        self._next = next_rung(stop, -math.inf)
        self._is_first = True
        self._is_busy = False  # main's callback logs, too
        self._said: set[str] = set()

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Take notice of a line.

        Raises:
            Pruned: this trial is ended, now or before.
        """
        turn = current_turn()
        if turn is not None and not self._is_busy:
            turn.raise_if_pruned()
        total = _number(line.get(TOTAL_KEY))
        if total is not None:
            self._total = total
        value = self._value(line)
        if value is None:
            return
        step = self._step(line)
        if step is None or step < self._next or self._is_busy:
            return
        rungs = rungs_between(self._stop, self._passed, step)
        self._passed, self._next = step, next_rung(self._stop, step)
        why = self._compare(rungs, value, step)
        if why and step < self._total:  # there is nothing to be saved in one that is at its end
            self._end(f"ended at {self._counter} {step:.15g}: {why}", turn)

    def _value(self, line: Mapping[str, Any]) -> float | None:
        """Return the metric of a line, which may be a key of nested dicts; None where it has none."""
        return _number_at(line, self._metric)

    def _step(self, line: Mapping[str, Any]) -> float | None:
        if not self._counter:
            self._counter = next(iter(counters_among(tuple(line))), "")
        found = _number_at(line, self._counter)
        if found is None or not math.isfinite(found):
            what = f"no {self._counter}" if self._counter else "no step or the like"
            self._say(
                "step", f"a line of metrics with {self._metric} has {what}, so it is compared with no other trial's"
            )
            return None
        return found

    def _compare(self, rungs: list[int], value: float, step: float) -> str:
        """Note what this trial has at the rungs that it has come to, and say by what it is among the worst, if so."""
        why = ""
        try:
            if self._is_first:  # an earlier attempt has been compared at those below its last one
                self._is_first = False
                last = max((rung for rung in _steps_in(self._folder) if self._own(rung) is not None), default=0)
                rungs = [rung for rung in rungs if rung >= last]
            for rung in rungs:
                mine, found = self._noted(rung, value)
                if not found.goes_on:
                    at = f" at {self._counter} {rung}" if rung != step else ""
                    why = f"{self._metric} {mine:.4g}{at}, among the worst {found.worst} of {found.rivals}"
        except OSError as error:
            self._say("rungs", f"{error}: this trial can't be compared with others, and goes on")
        return why

    def _noted(self, rung: int, value: float) -> tuple[float, Verdict]:
        """Note a value at a rung, unless an earlier attempt has, and return the one that counts, and what follows."""
        folder = self._folder / str(rung)
        there = _read_rung(folder)
        mine = there.pop(self._slot, None)
        if mine is None:
            mine = value
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{slot_name(self._slot)}={value!r}").touch()
            there = _read_rung(folder)  # two that come at once see each other
            there.pop(self._slot, None)
        return mine, verdict(mine, there.values(), self._stop.factor, self._direction)

    def _own(self, rung: int) -> float | None:
        return _read_rung(self._folder / str(rung)).get(self._slot)

    def _end(self, why: str, turn: Turn | None) -> None:
        """Have main write its checkpoint, and leave it.

        Raises:
            Pruned: that is how.
        """
        self._is_busy = True
        try:
            _write_checkpoint(turn)
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


def _steps_in(folder: Path) -> set[int]:
    """Return the steps of the rungs that somebody has come to."""
    try:
        return {int(name) for name in os.listdir(folder) if name.isdecimal()}  # noqa: PTH208
    except FileNotFoundError:
        return set()


def _read_rung(folder: Path) -> dict[int, float]:
    """Return what trials had at a rung, the first value of each."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (makes NFS look again)
    except FileNotFoundError:
        return {}
    found: dict[int, float] = {}
    for name in sorted(names):
        slot, _, value = name.partition("=")
        if slot.isdecimal() and _is_number(value):
            found.setdefault(int(slot), float(value))
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
