"""What takes long to read is read beside the looks, one after the other: a file of 100 MB delays no others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from heyhi.errors import error_text
from heyhi.report.kept_readings import UNKNOWN, Look, Stamp
from heyhi.report.readings import Reading
from heyhi.text import one_line

LONG_BYTES = 16 << 20  # of metrics, which take about a second
_SIZE = 4  # place of the size of the metrics in a stamp


class Found(NamedTuple):
    """What was read of an experiment.

    Attributes:
        look: what the system said of its files before.
        reading: what there is.
        kept: with which stamp it may be remembered.
    """

    look: Look
    reading: Reading
    kept: Stamp


class LongReadings:
    """The experiments of one source that take long to read.

    It is used by one thread.
    """

    def __init__(self) -> None:
        self._read: dict[str, int] = {}  # folder -> size of its metrics up to which they were read
        self._waiting: dict[str, tuple[Look, Callable[[], Found]]] = {}
        self._found: dict[str, Found] = {}
        self._lock = threading.Lock()
        self._is_reading = False

    @property
    def sizes(self) -> dict[str, int]:
        """How many bytes are being read, or wait for that, by the folders."""
        with self._lock:
            return {folder: _size(look) for folder, (look, _) in self._waiting.items() if folder not in self._found}

    def is_long(self, folder: str, look: Look) -> bool:
        """Return whether an experiment is read beside the looks."""
        return folder in self._waiting or _size(look) - self._read.get(folder, 0) > LONG_BYTES

    def find(self, folder: str, look: Look, read: Callable[[], tuple[Reading, Stamp]], failed: Reading) -> Found | None:
        """Return what was read of an experiment; None while it is being read, which is begun.

        Args:
            folder: its exp path.
            look: what the system says of its files now.
            read: reads them.
            failed: what there is where that fails, less why.
        """

        def work() -> Found:
            try:
                return Found(look, *read())
            except Exception as error:  # the other rows must come
                return Found(look, failed._replace(problem=one_line(error_text(error))), UNKNOWN)

        with self._lock:
            found = self._found.pop(folder, None)
            if found is not None:
                self._read[folder] = _size(found.look)
                del self._waiting[folder]
                return found
            self._waiting.setdefault(folder, (look, work))
            if not self._is_reading:
                self._is_reading = True
                threading.Thread(target=self._run, name="reading what is long", daemon=True).start()
        return None

    def _run(self) -> None:
        while True:
            with self._lock:
                left = [folder for folder in self._waiting if folder not in self._found]
                if not left:
                    self._is_reading = False
                    return
                work = self._waiting[left[0]][1]
            found = work()
            with self._lock:
                self._found[left[0]] = found


def _size(look: Look) -> int:
    return look.stamp[_SIZE] if look.stamp else 0
