"""A process on a machine of its own, as far as HeyHi can tell: it does what it is told by lines of JSON, and answers.

    python client.py '{"host": "n1", "clock": 600, "stale": 4, "heartbeat": 0.5}'

`clock` is by how many seconds its clock is ahead. What runs is counted outside of the file system under test: in files
of the folder `book`, which is on a local disk.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from heyhi.experiment import claim, owner
from heyhi.experiment.claim import Claim
from heyhi.experiment.status import find_state

TOLD = json.loads(sys.argv[1])
_right = time.time
time.time = lambda: _right() + TOLD.get("clock", 0)
_machine = (TOLD["host"], f"boot of {TOLD['host']}", "pid:[1]")
owner.this_machine = claim.this_machine = lambda: _machine  # type: ignore[assignment]
claim.HEARTBEAT_SECONDS = TOLD.get("heartbeat", claim.HEARTBEAT_SECONDS)
claim.STALE_SECONDS = TOLD.get("stale", claim.STALE_SECONDS)
held: dict[str, Claim] = {}


def acquire(folder: str) -> str:
    """Take a claim; return whose it is."""
    got = Claim.acquire(Path(folder))
    if isinstance(got, Claim):
        held[folder] = got
        return "mine"
    return got.host


def is_held(folder: str) -> bool:
    return held[folder].is_held()


def release(folder: str) -> bool:
    held.pop(folder).release()
    return True


def state(folder: str) -> list[str]:
    found = find_state(folder)
    return [found.status.value, found.reason]


def result(folder: str) -> bool:
    """Put the result in place, as a run does."""
    from heyhi.files import replace_file

    replace_file(Path(folder, "result.json"), '{"y": 1}\n')
    return True


def hammer(folder: str, book: str, rounds: int, seed: int, dies: float) -> int:
    """Take and release a claim again and again; nobody else may be inside meanwhile. May die inside."""
    rng = random.Random(seed)
    done = 0
    while done < rounds:
        got = Claim.acquire(Path(folder))
        if not isinstance(got, Claim):
            time.sleep(0.001)
            continue
        with Path(book, "inside").open("a+") as inside:
            try:
                fcntl.flock(inside, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                Path(book, "TWO").write_text(f"{TOLD['host']} {os.getpid()}")
                return -1
            if lost := got.why_lost():
                Path(book, "LOST").write_text(f"{TOLD['host']} {lost}")
            note(book, "count")
            if rng.random() < dies:
                os.kill(os.getpid(), signal.SIGKILL)
        got.release()
        done += 1
    return done


def race(folders: list[str], book: str) -> int:
    """Start each experiment of many unless it is done or another's: as a runner does; return how many ran here."""
    from heyhi.files import is_there_now

    ran = 0
    for folder in folders:
        path = Path(folder)
        (path / "result.json").exists()  # so that this machine remembers
        if is_there_now(path / "result.json"):
            continue
        got = Claim.acquire(path)
        if not isinstance(got, Claim):
            continue
        with got:
            if not is_there_now(path / "result.json"):
                note(book, path.name)
                result(folder)
                ran += 1
    return ran


def note(book: str, name: str) -> None:
    handle = os.open(f"{book}/{name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, b"x")
    os.close(handle)


def main() -> None:
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *words = json.loads(line)
        answer: Any
        try:
            answer = globals()[name](*words)
        except Exception as error:  # whoever asks shows it
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
