"""How far a run is: which experiments run, how many have ended and how, and when the rest will have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

_ENOUGH = 0.1  # experiments' work that has to be done elsewhere until it tells how long the rest takes


class Part(NamedTuple):
    """How far one is that runs.

    Attributes:
        made: which part of its work was done since it began.
        left: which part is left.
        ends: when it will have ended; None where nobody knows.
        text: how far that is, in words.
    """

    made: float
    left: float
    ends: float | None = None
    text: str = ""


@dataclass
class Progress:
    """The counts of a run.

    Attributes:
        total: experiments that it is to run.
        began: when it did (seconds of any clock that only goes on, as all times here).
        is_remote: whether they run elsewhere: when one has started there isn't known.
        running: since when, by the experiment.
        done: how many are DONE.
        failed: status -> how many ended otherwise.
    """

    total: int
    began: float
    is_remote: bool = False
    running: dict[str, float] = field(default_factory=dict)
    done: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    _parts: dict[str, Part] = field(default_factory=dict)
    _seconds: float = 0.0  # of all that are done
    _most: int = 1  # at once

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.done + sum(self.failed.values())

    @property
    def left(self) -> int:
        """How many have not."""
        return max(0, self.total - self.ended)

    def start(self, name: str, now: float) -> None:
        """Note that one is started, or handed over."""
        self.running[name] = now
        self._parts.pop(name, None)
        self._most = max(self._most, len(self.running))

    def note(self, name: str, part: Part) -> None:
        """Note how far one is that runs."""
        if name in self.running:
            self._parts[name] = part

    def finish(self, name: str, now: float) -> float:
        """Note that one is DONE; return for how long it was running."""
        seconds = now - self.running.pop(name, now)
        self._parts.pop(name, None)
        self.done += 1
        self._seconds += seconds
        return seconds

    def fail(self, name: str, word: str) -> None:
        """Note that one ended otherwise."""
        self.running.pop(name, None)
        self._parts.pop(name, None)
        self.failed[word] = self.failed.get(word, 0) + 1

    def again(self, word: str) -> None:
        """Note that one which ended so is tried again."""
        self.failed[word] = self.failed.get(word, 0) - 1
        if self.failed[word] <= 0:
            del self.failed[word]

    def seconds_left(self, now: float) -> float | None:
        """Return how long the rest will take, by those that are done and how far the others are; None if none tells."""
        if not self.left:
            return None
        return self._left_elsewhere(now) if self.is_remote else self._left_here(now)

    def _left_elsewhere(self, now: float) -> float | None:
        """Return it where how many run at once is the cluster's to say: it goes on as it went."""
        parts = list(self._parts.values())
        made = self.ended + sum(part.made for part in parts)
        if not self.done and made < _ENOUGH:
            return None
        left = self.left - sum(1 - part.left for part in parts)
        return max([left * (now - self.began) / made, *self._rests(now).values()])

    def _left_here(self, now: float) -> float | None:
        running, rests = dict(self.running), self._rests(now)
        if self.done:
            each = self._seconds / self.done
        elif rests:
            each = sum(now - running.get(name, now) + rest for name, rest in rests.items()) / len(rests)
        else:
            return None
        open_seconds = [rests.get(name, max(0.0, each - (now - since))) for name, since in running.items()]
        waiting = max(0, self.left - len(running))
        return max([(sum(open_seconds) + waiting * each) / self._most, *open_seconds])

    def _rests(self, now: float) -> dict[str, float]:
        """Return how long those take that say so themselves."""
        return {name: max(0.0, part.ends - now) for name, part in list(self._parts.items()) if part.ends is not None}

    def said_of_the_one(self) -> str:
        """Say how far the one is that runs; empty where several do, or nobody knows."""
        running = list(self.running)
        part = self._parts.get(running[0]) if len(running) == 1 else None
        return part.text if part is not None else ""

    def counts(self) -> str:
        """Write how many have ended how: `6 done, 4 DEAD`."""
        return ", ".join([f"{self.done} done", *(f"{count} {word}" for word, count in self.failed.items())])
