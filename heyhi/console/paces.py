"""How far the experiments are that run, by what they log: looked at now and then, a few at a time."""

from __future__ import annotations

from pathlib import Path

from heyhi.console.progress import Part, Progress
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.pace import reached_by
from heyhi.experiment.slots import shown_folder

# There may be a thousand of them, on a network file system: no more is read than a bar is worth.
_SECONDS, _MOST = 5.0, 4


class Paces:
    """Looks at the experiments of a run."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def look(self, progress: Progress, now: float, clock: float) -> None:
        """Look at some that run, unless that was done just now.

        Args:
            progress: of the run; gets how far they are.
            now: by its clock.
            clock: seconds since 1970.
        """
        due = sorted((self._next.get(folder, 0.0), folder) for folder in list(progress.running))
        for at, folder in due[:_MOST]:
            if at > now:
                break
            self._next[folder] = now + _SECONDS
            reached = reached_by(ExperimentDir(Path(shown_folder(folder))))
            if reached is not None:
                left = reached.seconds_left(clock)
                ends = now + left if left is not None else None
                progress.note(folder, Part(reached.made_part, reached.left_part, ends, reached.text(None)))
