"""How far a run is: which experiments run, how many have ended and how, and when the rest will have."""

from __future__ import annotations

from dataclasses import dataclass, field


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
        self._most = max(self._most, len(self.running))

    def finish(self, name: str, now: float) -> float:
        """Note that one is DONE; return for how long it was running."""
        seconds = now - self.running.pop(name, now)
        self.done += 1
        self._seconds += seconds
        return seconds

    def fail(self, name: str, word: str) -> None:
        """Note that one ended otherwise."""
        self.running.pop(name, None)
        self.failed[word] = self.failed.get(word, 0) + 1

    def again(self, word: str) -> None:
        """Note that one which ended so is tried again."""
        self.failed[word] = self.failed.get(word, 0) - 1
        if self.failed[word] <= 0:
            del self.failed[word]

    def seconds_left(self, now: float) -> float | None:
        """Return how long the rest will take, by those that are done; None as long as none is."""
        if not self.done or not self.left:
            return None
        if self.is_remote:  # how many run at once is the cluster's to say: it goes on as it went
            return self.left * (now - self.began) / self.ended
        each = self._seconds / self.done
        open_seconds = [max(0.0, each - (now - since)) for since in list(self.running.values())]
        waiting = max(0, self.left - len(self.running))
        return max([(sum(open_seconds) + waiting * each) / self._most, *open_seconds])

    def counts(self) -> str:
        """Write how many have ended how: `6 done, 4 DEAD`."""
        return ", ".join([f"{self.done} done", *(f"{count} {word}" for word, count in self.failed.items())])
