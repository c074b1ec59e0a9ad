"""The book that the chaos test keeps: what it was asked for, what it has done, to which jobs, and what must not be."""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Asked:
    """What the command line asks for."""

    seed: int
    minutes: float
    experiments: int
    folder: Path
    events: int  # at most; 0: until all is over
    longest: float
    gap: float
    workers: int = 0


@dataclass
class Book:
    """What was done and found so far."""

    asked: Asked
    began: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    # Job id -> how it was hurt, and when last.
    harm: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def deadline(self) -> float:
        """Seconds after which all must be over; the rest is for the end."""
        return self.asked.minutes * 60 - 30

    def say(self, kind: str, detail: str, jobs: Iterable[str] = (), harm: str = "") -> None:
        """Write down what was done, and which jobs it hurt."""
        jobs = list(jobs)
        self.events.append({"time": round(self.now, 1), "kind": kind, "detail": detail, "jobs": jobs})
        print(f"{self.now:7.1f} s  {kind:<18} {detail}", flush=True)
        for job in jobs if harm else ():
            self.harm[job][harm] = time.time()

    def wrong(self, text: str) -> None:
        """Write down what must not be."""
        self.violations.append(text)
        print(f"{self.now:7.1f} s  WRONG: {text}", flush=True)


@dataclass
class Draws:
    """What the seed gives: what is drawn for one thing doesn't depend on how much was drawn for others before."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)

    def next(self, name: str) -> random.Random:
        """Return what draws for the next thing of a name."""
        self.counts[name] += 1
        return random.Random(f"{self.seed} {name} {self.counts[name]}")


def choose(some: Iterable[str], rng: random.Random) -> str | None:
    """Choose among names: the same one again where it is there again, whatever else there is."""
    salt = str(rng.random())
    return min(some, key=lambda name: hashlib.sha256(f"{salt} {name}".encode()).digest(), default=None)
