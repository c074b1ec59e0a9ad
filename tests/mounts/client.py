"""A process on a machine of its own, as far as HeyHi can tell: it does what it is told by lines of JSON, and answers.

    python client.py '{"host": "n1", "clock": 600}'

`clock` is by how many seconds its clock is ahead. What runs is counted outside of the file system under test: in files
of the folder `book`, which is on a local disk.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from heyhi.config.schema import load_schema
from heyhi.experiment import claim, owner
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.status import find_state
from heyhi.files import replace_file
from heyhi.job.runner import execute
from heyhi.project import find_project
from heyhi.sweep.expand import expand

TOLD = json.loads(sys.argv[1])
_right = time.time
time.time = lambda: _right() + TOLD.get("clock", 0)
_machine = (TOLD["host"], f"boot of {TOLD['host']}", "pid:[1]")
owner.this_machine = claim.this_machine = lambda: _machine  # type: ignore[assignment]
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


def look(root: str, numbers: list[int]) -> list[bool]:
    """Look for results in folders that are there, so that this machine remembers whether there are any."""
    for number in numbers:
        exp_path(root, number).mkdir(parents=True, exist_ok=True)
    return [exp_path(root, number).joinpath("result.json").exists() for number in numbers]


def run(root: str, book: str, numbers: list[int]) -> list[str]:
    """Run experiments of a project as a job does, which leaves what another has; return how they are."""

    def main(task: str, cfg: Any, log_level: str) -> None:
        note(book, f"x{cfg.x}")

    schema = load_schema(find_project(Path(root)))
    return [
        execute(experiment(root, number), schema, main, if_claimed="leave", echo=False).status.value
        for number in numbers
    ]


def wipe(root: str, number: int) -> bool:
    """Wipe an experiment, as a restart does."""
    found = experiment(root, number)
    ExperimentDir(found.exp_path).wipe(found.identity)
    return True


def exp_path(root: str, number: int) -> Path:
    return experiment(root, number).exp_path


@functools.cache
def experiment(root: str, number: int) -> Experiment:
    project = find_project(Path(root))
    return expand(project, load_schema(project), [("conf/job.prototxt", [f"x={number}"])]).experiments[-1]


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
