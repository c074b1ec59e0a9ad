"""What trials had at the rungs of their search: an empty file each, beside the slots, `rungs/27/0007=0.93`.

One look at a folder tells all that have come there, and nobody waits for anybody. A file is never changed. A trial that
is to be ended at a rung has a second one there, `rungs/27/0007.ended=2of3`: so it is ended when it comes again, and one
without has passed the rung.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from heyhi.experiment.slots import SearchDir, slot_name

_ENDED = re.compile(r"([0-9]+)\.ended=([0-9]+)of([0-9]+)")


class EndedAt(NamedTuple):
    """Where a trial is to be ended.

    Attributes:
        step: of the rung.
        value: that it had there.
        worst: among how many of the worst it was.
        rivals: how many had come there, itself included.
    """

    step: int
    value: float
    worst: int
    rivals: int


class RungFiles:
    """The rungs of a search, as trials have come to them.

    Args:
        search: its folder.
    """

    def __init__(self, search: SearchDir) -> None:
        self._folder = search.rungs_path

    def read(self) -> dict[int, dict[int, float]]:
        """Return all of them: step -> slot -> value.

        Raises:
            OSError: they can't be read.
        """
        return {step: _read(self._folder / str(step)) for step in sorted(_steps_in(self._folder))}

    def of(self, slot: int) -> dict[int, float]:
        """Return what one trial had: step -> value.

        Raises:
            OSError: that can't be read.
        """
        return {step: there[slot] for step, there in self.read().items() if slot in there}

    def note(self, step: int, slot: int, value: float) -> dict[int, float]:
        """Note what a trial has at a rung, unless it was noted before, and return what all have there.

        Raises:
            OSError: that can't be written, or read.
        """
        folder = self._folder / str(step)
        if slot not in (there := _read(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{slot_name(slot)}={value!r}").touch()
            there = {slot: value} | _read(folder)  # two that come at once see each other
        return there

    def note_ended(self, slot: int, ended: EndedAt) -> None:
        """Note that a trial is to be ended at a rung, where its value was noted before.

        Raises:
            OSError: that can't be written.
        """
        name = f"{slot_name(slot)}.ended={ended.worst}of{ended.rivals}"
        (self._folder / str(ended.step) / name).touch()

    def ended(self, slot: int) -> EndedAt | None:
        """Return where a trial is to be ended; None where it isn't, as far as it has come.

        Raises:
            OSError: that can't be read.
        """
        for step, value in self.of(slot).items():
            for name in sorted(os.listdir(self._folder / str(step))):  # noqa: PTH208
                found = _ENDED.fullmatch(name)
                if found is not None and int(found[1]) == slot:
                    return EndedAt(step, value, int(found[2]), int(found[3]))
        return None


def _steps_in(folder: Path) -> set[int]:
    try:
        return {int(name) for name in os.listdir(folder) if name.isdecimal()}  # noqa: PTH208
    except FileNotFoundError:
        return set()


def _read(folder: Path) -> dict[int, float]:
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
