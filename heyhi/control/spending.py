"""`--max-gpu-hours` as a launch goes on: what it holds back once the GPU-hours were used, and what is said of that.

Who starts something looks at the sum itself (`heyhi.sweep.budget`). `python -m heyhi.control.spending NAME` is for who
has no controller.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from heyhi.control.survey import Survey
from heyhi.errors import HeyhiError, reporting_errors
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.used import sums_of
from heyhi.project import Project, find_project
from heyhi.sweep.budget import Budget
from heyhi.sweep.held_note import hold
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME

_LOOK_SECONDS = 2.0
_MOST_LOOKED_AT = 200  # experiments that are DONE, for what one uses


@contextlib.contextmanager
def watched_budget(project: Project, folder: Path, exp_paths: Sequence[str]) -> Iterator[None]:
    """Have it known, while a launch runs, that it holds back the rest; say at its end how many these are.

    Args:
        project: whose launch it is.
        folder: of its controller.
        exp_paths: of what it runs.
    """
    budget = Budget.of(project.state_root, folder.name)
    if budget is None:
        yield
        return
    budget.begin()
    is_over = threading.Event()
    thread = threading.Thread(target=_watch, args=(budget, folder, is_over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        why, left = budget.why_none(), 0
        if why:
            states = Survey.of_folders(project, exp_paths).others
            left = sum(state.status is Status.NOT_STARTED for state in states.values())
            if left:
                hold(folder, why)
                many = "are" if left > 1 else "is"
                print(f"{why}; {left} {many} left: another launch with --max-gpu-hours counts anew", flush=True)
        if not left:
            print(budget.said(), flush=True)


def _watch(budget: Budget, folder: Path, is_over: threading.Event) -> None:
    while not is_over.wait(_LOOK_SECONDS):
        if why := budget.why_none():
            with contextlib.suppress(HeyhiError):  # it is tried again at the end
                hold(folder, why)
            return


def what_it_buys(most: float, starting: int, done: Sequence[str], asked: float) -> str:
    """Say how many experiments some GPU-hours are enough for.

    Args:
        most: GPU-hours.
        starting: how many experiments would start.
        done: exp paths of others of them that are DONE.
        asked: GPU-hours of one by its launcher, if it uses its whole time.
    """
    known = [hours for path in done[:_MOST_LOOKED_AT] if (hours := _hours_of(path))]
    if known:
        each, by = statistics.median(known), f"the median of {len(known)} that {'are' if len(known) > 1 else 'is'} DONE"
    else:
        each, by = asked, "the launcher's hours, of which most use less"
    count = min(starting, int(most / each)) if each else starting
    return f"--max-gpu-hours {most:g}: enough for {count} of {starting}, at {each:.3g} GPU-hours each ({by})"


def _hours_of(path: str) -> float | None:
    with contextlib.suppress(HeyhiError):
        sums = sums_of(ExperimentDir(Path(path)).history().ends)
        return (sums.gpu_hours or 0.0) + (sums.gpu_hours_lost or 0.0) or None
    return None


def main(name: str) -> int:
    """Have it known that a launch holds back the rest; the exit code is 0 where it doesn't."""
    project = find_project()
    budget = Budget.of(project.state_root, name)
    why = budget.why_none() if budget is not None else ""
    if why:
        hold(project.state_root / CONTROLLERS_NAME / name, why)
    return int(bool(why))


if __name__ == "__main__":
    with reporting_errors():
        sys.exit(main(sys.argv[1]))
