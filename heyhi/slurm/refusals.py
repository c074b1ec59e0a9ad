"""What sbatch's words mean when it takes no job: whether, and when, it is worth to ask again.

The words are those of Slurm's own table of errors, and the names of its reasons; Slurm isn't asked here.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Mapping
from pathlib import Path

from heyhi.regex import regex

# Slurm puts the limit that a job meets in a line of its own, by the name that squeue has for it as a reason.
_LIMIT_NAME = regex(r"(?:^|: |; )((?:QOS|Assoc|Max|Min|Grp)[A-Z]\w*)(?=;|$)")
# Of these, a job that ends lets another one in (QOSMaxSubmitJobPerUserLimit, AssocGrpSubmitJobsLimit …), or soon.
_FULL = regex("SubmitJob|MaxJobCount")
# And of these only the user's own.
_FULL_OF_OWN = regex("^(?:QOSMaxSubmitJobPerUserLimit|AssocMaxSubmitJobLimit)$")
# Said of every limit, of a number of jobs or of what one job asks for; sites and old versions say no more than this.
_SOME_LIMIT = "job submit limit"
# The controller is away for a moment, or what it needs is.
_AWAY = regex(
    "contact slurm controller|controller not responding|in standby|timed out|zero bytes|connection|transport endpoint"
    "|temporarily un|authentication credential|authentication error|munge|I/O error writing|can ?not allocate memory"
    "|missing socket",
    re.IGNORECASE,
)
# sbatch finds no cluster: for a moment, or because there is none.
_NO_CONFIGURATION = regex("configuration (source|file)|fetch config", re.IGNORECASE)
_PLACES = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf")


class Meaning(enum.Enum):
    """Why sbatch took no job.

    Attributes:
        FULL: a limit on the number of jobs is reached: a place comes when one ends.
        FULL_OF_OWN: the same, of this user's jobs alone: without any of them it never lets one in.
        UNNAMED: a limit, and nobody says whether it is on the number of jobs.
        AWAY: Slurm doesn't answer as it should now.
        NO_CLUSTER: this machine finds no cluster.
        NEVER: the same job would be refused again.
    """

    FULL = "full"
    FULL_OF_OWN = "full of own"
    UNNAMED = "unnamed"
    AWAY = "away"
    NO_CLUSTER = "no cluster"
    NEVER = "never"


def meaning_of(text: str) -> Meaning:
    """Say what sbatch's words mean.

    Args:
        text: what it printed, its lines joined by `; `.
    """
    names = _LIMIT_NAME.findall(text)
    full = [name for name in names if _FULL.search(name)]
    if full and len(full) == len(names):
        return Meaning.FULL_OF_OWN if all(map(_FULL_OF_OWN.search, full)) else Meaning.FULL
    if names:
        return Meaning.NEVER
    if _SOME_LIMIT in text:
        return Meaning.UNNAMED
    if _NO_CONFIGURATION.search(text):
        return Meaning.NO_CLUSTER
    return Meaning.AWAY if _AWAY.search(text) else Meaning.NEVER


def is_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this machine is meant to know a cluster, whether that answers now or not."""
    return bool(environment.get("SLURM_CONF")) or any(Path(place).exists() for place in _PLACES)
