"""Whether jobs can be handed over from here at all, asked before a launch writes anything.

A launch that goes on already waits for a Slurm that is away; who only begins is told so at once.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from heyhi.errors import LauncherError
from heyhi.regex import regex
from heyhi.slurm.commands import Answer, Busy, SlurmError, answer_of, is_here
from heyhi.slurm.surroundings import clusters_wished_for

_ANSWER_SECONDS = 20.0  # that scontrol may take to find out that no controller answers
_RESTART_SECONDS = 5.0  # that a controller may take to come back
_PAUSE_SECONDS = 1.0
_DOWN = regex(r"^Slurmctld\(.*?\) (?:at )?(\S+) (?:is|are) \S*DOWN", re.MULTILINE)


def check_reachable(
    instead: str = "",
    *,
    seconds: float = _RESTART_SECONDS,
    tell: Callable[[str], None] | None = None,
    asks: bool = True,
) -> None:
    """Make sure that this machine has a Slurm that answers, and that it is the cluster that jobs are meant for.

    Args:
        instead: what runs here what Slurm can't, as a sentence's second half; empty for nothing.
        seconds: for how long a controller that doesn't answer is asked again: one that is restarted takes a moment.
        tell: is told once why it is asked again.
        asks: whether its controllers are asked; who submits one job next is answered by sbatch.

    Raises:
        LauncherError: there is no sbatch, or no controller behind it.
        SlurmError: Slurm doesn't say what its cluster is called, where that is asked.
    """
    if why := unreachable(seconds=seconds, tell=tell) if asks else _missing():
        fix = "--profile=local" if instead else ""
        raise LauncherError(f"{why}{f': {instead}' if instead else ''}", key="sbatch", fix=fix)
    if clusters_wished_for():
        from heyhi.slurm.cluster import check_clusters

        check_clusters()


def unreachable(*, seconds: float = _RESTART_SECONDS, tell: Callable[[str], None] | None = None) -> str:
    """Return why no job can be handed over from here now; empty where one can be, or nobody can tell.

    Args:
        seconds: as `check_reachable` has it.
        tell: likewise.
    """
    if why := _missing():
        return why
    until = time.monotonic() + seconds
    while True:
        try:
            answer = answer_of(["scontrol", "ping"], seconds=_ANSWER_SECONDS)
        except (Busy, SlurmError):  # sites may keep scontrol away from users: the launch itself finds out
            return ""
        why, may_come_back = _read(answer)
        if not may_come_back or time.monotonic() >= until:
            return why
        if tell is not None:
            tell(why)
            tell = None
        time.sleep(_PAUSE_SECONDS)


def _missing() -> str:
    """Return what this machine lacks to hand jobs over, without asking Slurm; empty for nothing."""
    if not is_here():
        return "this machine has no sbatch, by which Slurm takes jobs"
    conf = os.environ.get("SLURM_CONF", "")
    if conf and not Path(conf).exists():  # Slurm's commands look for it a minute long
        return f"sbatch is here, but this machine knows of no cluster (SLURM_CONF={conf}: there is no such file)"
    return ""


def _read(answer: Answer) -> tuple[str, bool]:
    """Say why jobs can't be handed over, by a ping of the controllers, empty where they can; and if that may pass."""
    if not answer.exit_code or re.search(r"\bUP\b", answer.printed):
        return "", False
    if down := list(dict.fromkeys(_DOWN.findall(answer.printed))):
        return f"sbatch is here, but Slurm's controller ({', '.join(down)}) doesn't answer", True
    from heyhi.slurm.refusals import Meaning, meaning_of  # mostly nobody asks, or it is up

    meaning = meaning_of(answer.reason)
    if meaning is Meaning.NO_CLUSTER:
        return f"sbatch is here, but this machine knows of no cluster ({answer.reason.rpartition('; ')[2]})", False
    is_away = meaning is Meaning.AWAY
    return (f"sbatch is here, but Slurm doesn't answer ({answer.reason})" if is_away else ""), is_away
