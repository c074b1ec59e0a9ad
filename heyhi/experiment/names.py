"""The names of the statuses, and of the files in an experiment's folder; `status` finds out which status it is."""

from __future__ import annotations

import enum
import os

from heyhi.project import STATE_NAME as STATE_NAME

METRICS_NAME = "metrics.jsonl"
ATTEMPTS_NAME = "attempts.jsonl"
IDENTITY_NAME = "identity.json"
CONFIG_NAME = "config.prototxt"
FLAT_CONFIG_NAME = "config_flat.json"
CONFIGS_NAME = "configs"  # folder of what earlier attempts had, where that was another config
LOG_NAME = "log.txt"
LAUNCH_LOG_NAME = "launch.log"
CODE_NAME = "code.json"
ROOT_NAMES = ("project_root", "results_root")
CONFIG_KEY = "config"  # in identity.json: digest of the config that lies beside it
ENTRY_KEY = "entry"  # in identity.json: function that it was launched with, where the settings name another one
MIXED_NAME = "mixed"  # in it: notes of the experiments that went on with another config
GIVEN_NAME = "given"  # in it: notes of the experiments that were given files, and what these files were
RUNNING_NAME = "running"  # in it: a file for each experiment that runs
NOTES_NAME = "notes"  # in it: what people noted of experiments
HELD_NAME = "held"  # in it: why launches held back what they were to start
RESULT_NAME = "result.json"
CLAIM_NAME = "claim.json"  # the first claim
JOB_NAME = "job.json"  # the last submission, where there was one
USED_NAME = ".used.json"  # what a running attempt has used so far
SEARCH_NAME = "search.json"  # of which slots of searches it is the experiment; of a search, what it searches
SEARCHES_NAME, SLOTS_NAME = "searches", "slots"  # folders: results/searches/ID/slots/0007 is a slot's
SEARCH_ID_DIGITS = 16
WINNERS_NAME = "winners"  # folder: results/winners/ID.json says what the best of a sweep is
_SLOTS, _WINNERS = f"/{SLOTS_NAME}/", f"{WINNERS_NAME}/"  # in the path of each
# What HeyHi itself writes there: never taken for a task's own files.
_RECORDS = (
    r"(metrics|attempts)\.jsonl|(identity|config_flat|code|result|job|search)\.json|config\.prototxt|configs"
    r"|log(\.\d+)?\.txt|launch\.log|workdir\.diff|claim\..*|\.(claim|ranks|notice|heyhi).*|\.used\.json|\..*\.tmp"
)


def is_record(name: str) -> bool:
    """Return whether a file or folder of an experiment's folder, by its name there, is a record of HeyHi's."""
    import re  # a run can do without

    return re.fullmatch(_RECORDS, name) is not None


def is_slot(exp_path: str) -> bool:
    """Return whether a folder, by its path or exp id, is that of a search's slot, and not an experiment's own."""
    # Plain text, since there may be 10,000 experiments, of which mostly none is one.
    if _SLOTS not in exp_path:
        return False
    *_, searches, search, slots, slot = ["", "", "", *exp_path.split("/")]
    return (searches, slots) == (SEARCHES_NAME, SLOTS_NAME) and slot.isdigit() and len(search) == SEARCH_ID_DIGITS


def is_winner(exp_path: str) -> bool:
    """Return whether a folder, by its path or exp id, stands for the best of a sweep, which is no experiment itself."""
    if _WINNERS not in exp_path:  # as of nearly all, of which there may be 10,000
        return False
    end = exp_path[-SEARCH_ID_DIGITS:]
    return f"/{exp_path}".endswith(f"/{WINNERS_NAME}/{end}") and len(end) == SEARCH_ID_DIGITS and end.isalnum()


def result_of(exp_path: str) -> str:
    """Return the file whose existence is DONE: an experiment's result.json.

    Of a slot, and of the best of a sweep, it is the file beside the folder by whose name it goes.
    """
    return f"{exp_path}.json" if is_slot(exp_path) or is_winner(exp_path) else f"{exp_path}/{RESULT_NAME}"


def trial_of(exp_path: str) -> int:
    """Return the number of a slot, by its folder or exp id; they count from 0."""
    return int(exp_path.rpartition("/")[2])


def has_ended(exp_path: str) -> bool:
    """Return whether a folder is that of a slot whose experiment is final for the search."""
    return is_slot(exp_path) and os.access(result_of(exp_path), os.F_OK)


class Status(enum.StrEnum):
    """How an experiment is; a result makes it DONE, whatever came after it was written.

    Each is a text, too: `handle.get_status() == "DONE"`.

    Attributes:
        NOT_STARTED: nothing has begun.
        PENDING: claimed by a process that is about to hand it over, or by a job that waits.
        RUNNING: some process runs it.
        PRUNED: ended early by a search: it may go on.
        DONE: it has a result.
        UNKNOWN: its folder or a record of it can't be read.
        DEAD: was started, has no result, and nobody runs it.
        BLOCKED: not started, and what it needs won't be done by itself.
    """

    NOT_STARTED = "NOT_STARTED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PRUNED = "PRUNED"
    DONE = "DONE"
    UNKNOWN = "UNKNOWN"
    DEAD = "DEAD"
    BLOCKED = "BLOCKED"

    @property
    def is_alive(self) -> bool:
        """Whether somebody has the experiment."""
        return self in (Status.PENDING, Status.RUNNING)

    @property
    def is_over(self) -> bool:
        """Whether it stays so until somebody does something about it."""
        return not self.is_alive and self is not Status.NOT_STARTED

    @property
    def is_started(self) -> bool:
        """Whether it was started, as far as anybody knows."""
        return self not in (Status.NOT_STARTED, Status.BLOCKED)

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look at it: it is dead, or nobody knows how it is."""
        return self in (Status.DEAD, Status.UNKNOWN)

    @property
    def blocks(self) -> bool:
        """Whether an experiment that needs one of this status waits in vain."""
        return self.is_over and self is not Status.DONE

    @property
    def urgency(self) -> int:
        """Place in a list for people: what needs their attention comes first."""
        return _URGENCY.index(self)


_URGENCY = (
    Status.DEAD,
    Status.UNKNOWN,
    Status.BLOCKED,
    Status.RUNNING,
    Status.PENDING,
    Status.PRUNED,
    Status.NOT_STARTED,
    Status.DONE,
)
