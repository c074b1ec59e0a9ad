"""The lines that need somebody: no controller runs what is left, Slurm doesn't answer; as `heyhi status` says them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from heyhi.text import one_line, shell_line

if TYPE_CHECKING:
    from heyhi.control.attendance import Commands
    from heyhi.experiment.status import State
    from heyhi.report.source import Source
    from heyhi.slurm.commands import View

_LEAST_SECONDS = 10.0
_PART = 50  # of the time that may be spent on it
_MOST = 20  # lines


class Notices:
    """What there is to be said of some experiments, looked for now and then.

    Attributes:
        said: the lines.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self._next = 0.0
        self._is_old = False

    def find(
        self,
        sources: Sequence[Source],
        folders: Sequence[Sequence[str]],
        states: Callable[[], Mapping[str, State]],
        view: View,
    ) -> None:
        """Look whether there are others.

        Args:
            sources: what is shown.
            folders: exp paths of the experiments of each.
            states: returns how those are that aren't DONE.
            view: what Slurm says of jobs.
        """
        now = time.monotonic()
        if now >= self._next:
            said = self._find(sources, folders, states(), view)
            took = time.monotonic() - now
            self._next = now + took + max(_LEAST_SECONDS, _PART * took)
            self.said = [one_line(line) for line in said[:_MOST]]

    def forget(self) -> None:
        """All is done: there is nothing to be said."""
        self.said, self._next = [], 0.0

    def _find(
        self, sources: Sequence[Source], folders: Sequence[Sequence[str]], states: Mapping[str, State], view: View
    ) -> list[str]:
        from heyhi.control.attendance import Attendance
        from heyhi.control.survey import Part, Survey

        parts = [
            Part.of_folders(source.project, list(its))
            if source.only
            else Part.of_manifest(source.project, source.manifest)
            for source, its in zip(sources, folders, strict=True)
        ]
        survey = Survey(parts, states, view.queue.error)
        attendance = Attendance.of(survey)
        needs_somebody = attendance.unknown or attendance.alone or (attendance.dead and not attendance.living)
        said = attendance.lines(_commands(sources), reasons=survey.reasons) if needs_somebody else []
        return list(dict.fromkeys([*attendance.notices, *said]))


def _commands(sources: Sequence[Source]) -> Commands:
    """Return what starts the experiments, where words name them."""
    from heyhi.control.attendance import Commands
    from heyhi.control.last_profile import is_run_here

    project = sources[0].project
    starts = f"heyhi {'run' if is_run_here(project) else 'launch'}"
    if any(source.only for source in sources):
        return Commands(f"{starts}, with the words that heyhi status --sweeps lists,", "heyhi retry --dead")
    own = [[source.manifest.sweep] if source.manifest.sweep else source.manifest.words for source in sources]
    words = shell_line([word for some in own for word in some])
    return Commands(f"{starts} {words}", f"heyhi retry --dead {words}")
