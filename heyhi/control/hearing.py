"""What a run of Snakemake says of deaths, heard for those who are told of the first one: by any engine and logger.

Only what is DEAD has died, and only where this run has seen more of it on record than there was: what is held back, or
isn't submitted, is as it was.

A run that failed is dead for good where Snakemake doesn't say in the next moments that it tries it again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.console.ends import how_ended, said_by_executor
from heyhi.console.noise import restarted
from heyhi.control.telling import Plain, Telling, find_telling, warn
from heyhi.errors import HeyhiError, NotifyError
from heyhi.experiment.names import ATTEMPTS_NAME, Status, is_slot, result_of
from heyhi.experiment.slots import shown_folder
from heyhi.experiment.status import find_state
from heyhi.notify.whom import NOBODY_SAID, Whom, take_from_environment, whom_of
from heyhi.sweep.target import folder_of

if TYPE_CHECKING:
    from heyhi.project import Project
    from heyhi.sweep.flow import Flow

_RUNS = ("experiment", "slot")  # our rules
_AGAIN_SECONDS = 3.0  # in which it is said that a run is tried again
_END_SECONDS = 15.0


class Hearing(logging.Handler):
    """Hears a run from its start to its end, where somebody is to be told; else it does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._telling: Telling | None = None
        self._project: Project | None = None
        self._is_plain = False
        self._folders: dict[int, tuple[str, str]] = {}  # job id -> rule, exp path
        self._before: dict[str, tuple[str, int]] = {}  # exp path -> what was on record of it when it was started
        self._failed: dict[int, tuple[float, str]] = {}  # job id -> when, what was said
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._work, name="heyhi-hearing", daemon=True)

    def begin(self, flow: Flow) -> None:
        """Begin: for `onstart`."""
        if not flow.is_run:
            return
        from snakemake.logging import logger

        self._project = flow.project
        self._is_plain = not flow.is_launched
        self._telling = _of_plain(flow) if self._is_plain else find_telling(flow.project, flow.launch, logger.warning)
        if self._telling is not None:
            logger.addHandler(self)
            self._thread.start()

    def end(self, *, is_cut_off: bool = False) -> None:
        """End: say what is still to be said; the end of a launch, who launched it says.

        Args:
            is_cut_off: whether it ends by a signal, so that what failed last hasn't failed by itself.
        """
        if self._telling is None:
            return
        from snakemake.logging import logger

        logger.removeHandler(self)
        with self._changed:
            self._is_over = True
            if is_cut_off:
                self._failed.clear()
            self._changed.notify()
        self._thread.join(_END_SECONDS)
        if self._is_plain and not is_cut_off and self._telling.has_begun:
            self._telling.end()

    def emit(self, record: logging.LogRecord) -> None:
        """Take what Snakemake says."""
        with contextlib.suppress(Exception):  # whatever it is, the run goes on
            self._hear(record)

    def _hear(self, record: Any) -> None:
        event = str(getattr(record, "event", "") or "")
        if event == "job_info" and record.rule_name in _RUNS:
            assert self._project is not None and self._telling is not None
            folder = folder_of(result_of(record.wildcards["exp"]), self._project.root)
            self._folders[int(record.jobid)] = str(record.rule_name), folder
            self._before[folder] = _on_record(folder)
            self._telling.begin()
        elif event == "job_error" and int(record.jobid) in self._folders:
            self._fail(int(record.jobid), said_by_executor(record.rule_msg))
        elif event == "job_finished" and self._folders.get(int(record.job_id), ("",))[0] == "slot":
            self._fail(int(record.job_id), "")  # its trial may be dead for its search
        elif not event and (number := restarted(str(record.msg))) is not None:
            with self._changed:
                self._failed.pop(number, None)

    def _fail(self, number: int, said: str) -> None:
        with self._changed:
            self._failed[number] = time.monotonic(), said
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = [one for one, (when, _) in self._failed.items() if self._is_over or when + _AGAIN_SECONDS <= now]
                if not due:
                    if self._is_over:
                        return
                    first = min((when for when, _ in self._failed.values()), default=None)
                    self._changed.wait(None if first is None else max(0.01, first + _AGAIN_SECONDS - now))
                    continue
                failed = [(self._folders[one][1], self._failed.pop(one)[1]) for one in due]
            for folder, said in failed:
                with contextlib.suppress(Exception):
                    self._tell(folder, said)

    def _tell(self, slot: str, said: str) -> None:
        """Tell of an experiment that has failed, if it is dead."""
        assert self._project is not None and self._telling is not None
        folder = shown_folder(slot) if is_slot(slot) else slot
        exp_id = folder.removeprefix(f"{self._project.results_root}/")
        state = find_state(folder)
        if state.status is not Status.DEAD or _on_record(slot) == self._before.get(slot):
            return
        ended = how_ended(folder, exp_id, self._project.root, said, asked=slot)
        reason = ended.why if ended.word != Status.PRUNED.value else ""
        if reason:
            self._telling.death(exp_id, f"{ended.word}: {reason}")


def _on_record(slot: str) -> tuple[str, int]:
    """Return which experiment an exp path stands for now, and how many bytes its attempts have on record."""
    folder = shown_folder(slot) if is_slot(slot) else slot
    try:
        return folder, os.stat(f"{folder}/{ATTEMPTS_NAME}").st_size  # noqa: PTH116
    except OSError:
        return folder, 0


def _of_plain(flow: Flow) -> Telling | None:
    """Return who is told of a run that was started by hand: whom the project's settings name."""
    whom: list[Whom] = []
    for text in flow.project.settings.notify:
        try:
            whom.append(whom_of(text))
        except NotifyError as error:
            warn(f"[tool.heyhi] notify: {error}; {NOBODY_SAID}")
    take_from_environment(flow.project.settings.notify)
    if not whom:
        return None
    from snakemake.logging import logger

    try:
        manifests = tuple(flow.project.relative(Path(manifest.path).absolute()) for manifest in flow.reported)
        targets = () if manifests else tuple(target for target, _ in flow.asked)
        sweeps = tuple(manifest.sweep or manifest.label for manifest in flow.reported)
    except HeyhiError:
        return None
    return Telling(flow.project, Plain("snakemake", manifests, targets, sweeps), whom, say=logger.warning)
