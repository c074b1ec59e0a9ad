"""The lines that need somebody: no controller runs what is left, Slurm doesn't answer; as `heyhi status` says them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heyhi.experiment.names import Status
from heyhi.text import one_line, shell_line

if TYPE_CHECKING:
    from heyhi.control.attendance import Attendance, Commands
    from heyhi.control.survey import Survey
    from heyhi.report.source import Source
    from heyhi.serve.watched import Watched
    from heyhi.slurm.commands import View

_LEAST_SECONDS = 10.0
_PART = 50  # of the time that may be spent on it
_NEWS_PART = 20  # likewise, where a status has changed
_MOST = 20  # lines
_MOST_NAMED = 3  # experiments that a command names
_MARK = "`"  # around a command, which the page offers to copy


class Notices:
    """What there is to be said of some experiments, looked for now and then.

    Attributes:
        said: the lines; commands stand in backticks.
    """

    def __init__(self) -> None:
        self._found: list[str] = []
        self._silence = ""
        self._next = self._next_of_news = 0.0
        self._is_due = False

    @property
    def said(self) -> list[str]:
        """The lines; commands stand in backticks."""
        if not self._silence:
            return self._found
        from heyhi.control.last_words import NO_ANSWER

        return [self._silence, *(line for line in self._found if not line.startswith(NO_ANSWER))]

    def find(
        self,
        sources: Sequence[Source],
        watched: Sequence[Watched],
        view: View,
        silence: str = "",
        *,
        is_news: bool = True,
    ) -> None:
        """Look whether there are others.

        Args:
            sources: what is shown.
            watched: the experiments of each.
            view: what Slurm says of jobs.
            silence: why it doesn't answer; empty where it does.
            is_news: whether a status has changed since.
        """
        if silence:
            from heyhi.control.attendance import silence_line

            silence = one_line(silence_line(silence))
        self._silence = silence
        now = time.monotonic()
        self._is_due = self._is_due or is_news
        if now >= self._next or (self._is_due and now >= self._next_of_news):
            said = self._find(sources, watched, view)
            took = time.monotonic() - now
            self._next = now + took + max(_LEAST_SECONDS, _PART * took)
            self._next_of_news = now + (1 + _NEWS_PART) * took
            self._is_due = False
            self._found = [one_line(line) for line in said[:_MOST]]

    def forget(self) -> None:
        """All is done: there is nothing to be said."""
        self._found, self._silence, self._next = [], "", 0.0

    def _find(self, sources: Sequence[Source], watched: Sequence[Watched], view: View) -> list[str]:
        from heyhi.control.attendance import Attendance
        from heyhi.control.survey import Part, Survey

        groups: dict[tuple[object, ...], list[tuple[Source, Watched]]] = {}
        for source, its in zip(sources, watched, strict=True):
            groups.setdefault(_name(source), []).append((source, its))
        lines, troubles = [], []
        for members in groups.values():
            if all(one.state.status is Status.DONE for _, its in members for one in its.seen):
                continue
            parts = [
                Part.of_folders(source.project, list(its.plan.outline.folders))
                if source.only
                else Part.of_manifest(source.project, source.manifest)
                for source, its in members
            ]
            if any(its.plan.outline.needs for _, its in members):
                survey = Survey.of_parts(parts, view)
                survey.silence = ""  # which is told of all
            else:  # what was looked at is all that there is
                states = {folder: state for _, its in members for folder, state in its.states().items()}
                survey = Survey(parts, states, "")
            attendance = Attendance.of(survey)
            troubles += attendance.notices
            said = self._of_group([source for source, _ in members], survey, attendance)
            label = members[0][0].manifest.label
            lines += [f"{label}: {line}" if len(groups) > 1 else line for line in said]
        return list(dict.fromkeys([*troubles, *lines]))

    def _of_group(self, sources: Sequence[Source], survey: Survey, attendance: Attendance) -> list[str]:
        """Say what needs somebody of some experiments that were launched together."""
        from heyhi.control.attendance import ended_lines, last_of

        if attendance.unknown:
            return attendance.lines()
        is_left = attendance.alone or (attendance.dead and not attendance.living)
        ended = None
        if attendance.loose and not attendance.living and not attendance.alone:
            # What was started without a controller goes on without one; what had one lacks it.
            loose = [path for path, state in survey.others.items() if state.status.is_alive]
            ended = last_of(dict.fromkeys(source.project for source in sources), loose)
        if not (is_left or ended):
            return []
        commands = _commands(sources, survey)
        lines = attendance.unattended(commands, reasons=survey.reasons)
        if ended is not None:
            if commands.start.startswith("heyhi launch"):
                lines[0] += f"; {commands.shown(commands.start)} follows them again"
            lines[1:1] = ended_lines(ended, survey.reasons)
        return lines


def _name(source: Source) -> tuple[object, ...]:
    """Return what tells those that were launched together from others."""
    manifest = source.manifest
    return source.project, manifest.label, *manifest.words


def _commands(sources: Sequence[Source], survey: Survey) -> Commands:
    """Return what starts the experiments."""
    from heyhi.control.attendance import Commands
    from heyhi.control.last_profile import launched_by, start_words, ways_of

    project = sources[0].project
    ways = ways_of(project, survey.folders)
    again = shell_line(["heyhi", "retry", "--dead", *ways])
    starts = shell_line(start_words(project, launched_by(project, survey.folders)))
    own = [[source.manifest.sweep] if source.manifest.sweep else list(source.manifest.words) for source in sources]
    words = list(dict.fromkeys(map(tuple, own)))
    if not all(words):  # they were named themselves
        rows = [row for row in survey.not_done if row.status in (Status.NOT_STARTED, Status.DEAD)]
        if len(rows) > _MOST_NAMED:
            return Commands(f"{starts}, with the words that heyhi status --sweeps lists,", again)
        words = [tuple(dict.fromkeys(row.exp_id for row in rows))]
    line = shell_line([*(word for some in words for word in some), *ways])
    return Commands(f"{starts} {line}", f"heyhi retry --dead {line}", _MARK)
