"""The commands that a person types next for one experiment, as it is now: what starts it again, ends it, shows more.

They name it, and are typed in its project's folder. Nothing here runs one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.control.last_profile import last_profiles, ways_of
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.profiles import LOCAL, SLURM, find_profile, uses_slurm
from heyhi.project import Project
from heyhi.sweep.continuing import CONTINUE_OPTION, was_done
from heyhi.text import shell_line

_MOST_NEEDS = 10  # that a command names


class Typed(NamedTuple):
    """A command.

    Attributes:
        what: it is for.
        line: it, as a shell reads it.
    """

    what: str
    line: str


def commands_for_one(
    project: Project,
    folder: ExperimentDir,
    status: Status,
    *,
    words: Sequence[str] = (),
    blocked_by: Sequence[str] = (),
    has_log: bool = False,
) -> list[Typed]:
    """Return the commands that make sense for an experiment, what helps it on first.

    Args:
        project: whose it is.
        folder: of it.
        status: of it.
        words: its config and its overrides, as they are called today; empty where nobody knows.
        blocked_by: exp paths of the DEAD ones by which it is BLOCKED.
        has_log: whether it has a log.
    """
    word = word_for(folder)
    found: list[Typed] = []
    if status is Status.NOT_STARTED:
        found.append(Typed("start it", _start(project, folder)))
    elif status is Status.PRUNED:
        found.append(Typed("go on with it, to its end", _start(project, folder)))
    elif status is Status.DEAD:
        goes_on = [CONTINUE_OPTION] if was_done(str(folder.path)) else []
        what = "go on with it" if goes_on else "start it again, with the files that it left"
        ways = ways_of(project, [str(folder.path)])
        found.append(Typed(what, _line("retry", "--dead", *goes_on, *ways, word)))
        found.append(Typed("see why it died", _line("logs", "--error", word)))
    elif status is Status.BLOCKED and blocked_by:
        needs = [word_for(ExperimentDir(Path(path), folder.results_root)) for path in blocked_by[:_MOST_NEEDS]]
        found.append(Typed("start what it waits for again, and then it", _line("retry", "--dead", *needs)))
    elif status.is_alive:
        found.append(Typed("follow its log", _line("logs", "--follow", word)))
        found.append(Typed("cancel it", _line("cancel", word)))
    if has_log and not status.is_alive:
        found.append(Typed("see its log", _line("logs", word)))
    found.append(Typed("see how it is", _line("status", word)))
    if status.is_started and status is not Status.UNKNOWN:
        found.append(Typed("see its row of the table", _line("report", word)))
    if words:
        found.append(Typed("see its config, as it is composed today", _line("print", *words)))
        if status in (Status.DONE, Status.DEAD, Status.PRUNED):
            found.append(Typed("run the same here, as another experiment", _line("run", "--cfg", *words, "--adhoc")))
    return found


def word_for(folder: ExperimentDir) -> str:
    """Return the word that names an experiment: its exp id, or its folder where that may be read as something else."""
    exp_id = folder.exp_id
    return exp_id if "/" in exp_id and not exp_id.startswith("-") else str(folder.path)


def _start(project: Project, folder: ExperimentDir) -> str:
    """Write what starts an experiment, by the profile by which it was run last."""
    profile, is_here = "", False
    with contextlib.suppress(HeyhiError):
        name = last_profiles(project, [str(folder.path)]).get(str(folder.path), "")
        if name:
            is_here = not uses_slurm(find_profile(project, name))
            profile = name  # only of one that is there still
    usual = LOCAL if is_here else SLURM
    with contextlib.suppress(HeyhiError):
        if profile and find_profile(project, profile).resolve() == find_profile(project, usual).resolve():
            profile = ""
    options = ["--profile", profile] if profile else []
    ways = ways_of(project, [str(folder.path)], is_here=is_here)
    return _line("run" if is_here else "launch", *options, *ways, word_for(folder))


def _line(*words: str) -> str:
    return shell_line(["heyhi", *words])
