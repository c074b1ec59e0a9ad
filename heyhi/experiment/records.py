"""What is on record of an experiment: start and end of each attempt, and the last job that it was submitted as.

The records are lines of attempts.jsonl and the object in job.json; `folder` reads and writes these files. Keys that
are unknown here are ignored, and a value of a wrong type counts as absent: another version may have written it. What a
task raised may be any text: it is made readable when it is written down, and when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from heyhi.quick_tuple import NamedTuple
from heyhi.slurm.job_id import is_job_id
from heyhi.text import one_line, readable

if TYPE_CHECKING:
    from heyhi.code.git import CodeVersion

REQUEUE = "requeue"  # reason of an attempt that asked for its job to be queued again
REQUEUED = "stopped to be queued again"  # exception of such an attempt, until it is known why it wasn't
PRUNED = "pruned"  # reason of an attempt that a search ended early; its experiment may go on
DONE = "done"  # reason of an attempt that made a result
REFUSED = "refused"  # reason of an end without an attempt: Slurm took no job, and never would; why is its exception
_TOO_LARGE = 1 << 63  # for a number on record
_NONE = type(None)
# Of the fields of all records; another version may have more.
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("attempt", "restart_count", "metrics_size", "metrics_tail", "files", "started"), (int,)),
    **dict.fromkeys(("pid", "exit_code"), (int, _NONE)),
    **dict.fromkeys(("event", "kind", "time", "host", "config", "code", "nodes", "entry", "reason", "machine"), (str,)),
    **dict.fromkeys(("exception", "job_state", "environment"), (str,)),
    **dict.fromkeys(("dirty", "is_mixed", "job_went_on"), (bool,)),
    **dict.fromkeys(("needs", "asked", "used", "logs"), (dict,)),
    **dict.fromkeys(("changed", "dropped", "outside"), (list,)),
    "job_id": (str, int, _NONE),
    "commit": (str, _NONE),
    "seconds": (int, float, _NONE),
}
_LATER_FIELDS = frozenset(
    (
        *("code", "metrics_size", "metrics_tail", "needs", "changed", "is_mixed", "asked", "nodes", "entry", "logs"),
        *("machine", "started"),
    )
)


class Metrics(NamedTuple):
    """What there is of metrics at some time, by which is seen that an attempt has logged some.

    Attributes:
        size: bytes.
        tail: checksum of the last of them: who has cut metrics back to a checkpoint may log as many bytes again.
    """

    size: int = 0
    tail: int = 0


class Start(NamedTuple):
    """The start of an attempt.

    Attributes:
        attempt: its number, from 1; 0 where the record doesn't say.
        kind: `first`, `requeue`, `retry` or `relaunch`.
        time: when it started (UTC).
        host: where it runs.
        pid: of its process.
        job_id: job that it runs in; empty outside Slurm.
        restart_count: how often that job had been queued again.
        commit: of the code; empty where there is none.
        dirty: whether the code had changes since that commit, or files that it doesn't have.
        config: digest of the config, as `folder.config_digest` makes it.
        code: digest of the code's files; empty where they were not listed.
        metrics_size: bytes of metrics that earlier attempts had written.
        metrics_tail: checksum of the last of them.
        needs: exp id of what it needs -> digest of the result that it was given.
        changed: `key: then -> now` for what counts of the config and differs from the attempt before.
        is_mixed: whether it went on from what an attempt with another config had done.
        asked: what its job had asked for, see `Submission`.
        nodes: of its job, as Slurm lists nodes.
        entry: function that was called, where that isn't the one of the settings.
        logs: rank -> bytes of its log that earlier attempts had written.
        machine: boot and pid namespace that its pid counts in.
        started: start time of its process in clock ticks since boot: a pid is used again. 0 where unknown.
    """

    attempt: int = 0
    kind: str = ""
    time: str = ""
    host: str = ""
    pid: int | None = None
    job_id: str = ""
    restart_count: int = 0
    commit: str = ""
    dirty: bool = False
    config: str = ""
    code: str = ""
    metrics_size: int = 0
    metrics_tail: int = 0
    needs: Mapping[str, str] = {}
    changed: tuple[str, ...] = ()
    is_mixed: bool = False
    asked: Mapping[str, Any] = {}
    nodes: str = ""
    entry: str = ""
    logs: Mapping[int, int] = {}
    machine: str = ""
    started: int = 0

    @property
    def metrics(self) -> Metrics:
        """What earlier attempts had logged."""
        return Metrics(self.metrics_size, self.metrics_tail)

    @property
    def version(self) -> CodeVersion:
        """Version of the code."""
        from heyhi.code.git import CodeVersion  # a status needs none of git

        return CodeVersion(self.commit or None, self.dirty, self.code)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Start:
        """Read it from a line of attempts.jsonl."""
        return cls._make(_values(record, cls))

    def to_dict(self) -> dict[str, Any]:
        """Return it as a line of attempts.jsonl holds it."""
        values = self._asdict()
        for name in _LATER_FIELDS:  # most attempts have nothing to say there
            if not values[name]:
                del values[name]
        return {"event": "start", **values, "job_id": self.job_id or None, "commit": self.commit or None}


class Sources(NamedTuple):
    """What an attempt was made of, of its start: of 10,000 experiments nothing else is read; see `Start`."""

    commit: str = ""
    dirty: bool = False
    config: str = ""
    code: str = ""
    needs: Mapping[str, str] = {}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Sources:
        """Read it from a line of attempts.jsonl."""
        get = record.get
        commit, config, code, needs = get("commit"), get("config"), get("code"), get("needs")
        return cls(
            "" if commit is None else _text(commit),
            get("dirty") is True,
            config if type(config) is str and config.isalnum() and config.isascii() else _digest(config),
            "" if code is None else _text(code),
            _texts_by_name(needs) if needs else {},
        )

    @classmethod
    def of(cls, start: Start) -> Sources:
        """Return that of a start that was read as a whole."""
        return cls(start.commit, start.dirty, start.config, start.code, start.needs)


class Used(NamedTuple):
    """What an attempt used of what it was given; None where that isn't known.

    Attributes:
        seconds: for which it had it: since its process was started, where that is there for nothing else.
        queued: seconds that it waited in the queue before.
        cpu_seconds: CPU time of all its processes.
        mem_gb: memory of them at its peak, on the node with most, in GB of 1,024 MB.
        gpus: that were asked for; of a job that several share, its share.
    """

    seconds: float | None = None
    queued: float | None = None
    cpu_seconds: float | None = None
    mem_gb: float | None = None
    gpus: float | None = None

    @property
    def gpu_hours(self) -> float | None:
        """Hours of GPUs, whether they worked or not."""
        return None if self.gpus is None or self.seconds is None else self.gpus * self.seconds / 3600

    @property
    def cpu_hours(self) -> float | None:
        """Hours of CPU time."""
        return None if self.cpu_seconds is None else self.cpu_seconds / 3600

    def or_else(self, other: Used) -> Used:
        """Return this, with what another knows of what isn't known here."""
        return Used(*[mine if mine is not None else its for mine, its in zip(self, other, strict=True)])

    @classmethod
    def from_dict(cls, record: object) -> Used:
        """Read it from a record; an odd value counts as absent."""
        if not isinstance(record, dict):
            return NOT_KNOWN
        found = cls(*[_amount(record.get(name)) for name in cls._fields])
        return found if found != NOT_KNOWN else NOT_KNOWN

    def to_dict(self) -> dict[str, float]:
        """Return what is known, as a record holds it."""
        return {k: round(v, 6 if k == "mem_gb" else 3) for k, v in self._asdict().items() if v is not None}


NOT_KNOWN = Used()


class End(NamedTuple):
    """The end of an attempt, or of a job that ended before it started one.

    Attributes:
        attempt: number of the attempt; 0 where none was started.
        reason: `done`, `failed`, `terminated`, REQUEUE, PRUNED, REFUSED, `killed`, or how Slurm says that the job
            ended.
        exit_code: of the process.
        exception: last line of what the task raised, or in words why the attempt was ended.
        seconds: how long it took; None where only others saw its end.
        time: when that was written down (UTC).
        job_id: job that it ended with, where the job's end is what is on record; else the start has it.
        job_state: how Slurm says that the job ended; empty where Slurm wasn't asked.
        host: nodes of that job; where a rank was the first to fail, its node alone.
        environment: digest of what was installed and used; empty where that isn't known.
        dropped: keys of the result that could not be kept.
        files: checksum of what the task had written when it asked to be queued again; 0 where it didn't.
        outside: files of the work tree that a run of a copy of the code has loaded as modules.
        used: what it used; of two ends of one attempt, only one has it.
        job_went_on: whether its job went on with others, so that how that ends says nothing of it.
    """

    attempt: int = 0
    reason: str = ""
    exit_code: int | None = None
    exception: str = ""
    seconds: float | None = None
    time: str = ""
    job_id: str = ""
    job_state: str = ""
    host: str = ""
    environment: str = ""
    dropped: tuple[str, ...] = ()
    files: int = 0
    outside: tuple[str, ...] = ()
    used: Used = NOT_KNOWN
    job_went_on: bool = False

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> End:
        """Read it from a line of attempts.jsonl."""
        return cls._make(_values(record, cls))

    def to_dict(self) -> dict[str, Any]:
        """Return it as a line of attempts.jsonl holds it."""
        values: dict[str, Any] = {"event": "end", "attempt": self.attempt, "reason": self.reason}
        values |= {"exit_code": self.exit_code, "exception": one_line(self.exception)}
        values |= {"seconds": self.seconds} if self.seconds is not None else {}
        values |= {"time": self.time}
        values |= {"job_id": self.job_id} if self.job_id else {}
        values |= {"job_state": self.job_state} if self.job_state else {}
        values |= {"host": self.host} if self.job_state or self.host else {}
        values |= {"environment": self.environment} if self.environment else {}
        values |= {"dropped": list(map(readable, self.dropped))} if self.dropped else {}
        values |= {"files": self.files} if self.files else {}
        values |= {"outside": list(map(readable, self.outside))} if self.outside else {}
        values |= {"used": used} if (used := self.used.to_dict()) else {}
        values |= {"job_went_on": True} if self.job_went_on else {}
        return values


Record = Start | End


class Submission(NamedTuple):
    """The last job that an experiment was submitted as.

    Attributes:
        job_id: its id.
        time: when it was submitted (UTC).
        attempt: how often its launch had tried.
        hours: time limit.
        gpus: of the whole job.
        nodes: how many.
        mem_gb_per_node: memory.
        partition: where it was submitted to.
        code: digest of the copy of the code that it runs.
        asked: what was asked for, by the names of the launcher's fields, as far as it was set.
        pack: experiments that have room in the job.
        after: what had to end well before the job could start, relative to the experiment's folder.
        withdrawn: whether its launch has given it up: one that has started nothing by then was none.
    """

    job_id: str
    time: str = ""
    attempt: int = 1
    hours: float | None = None
    gpus: int | None = None
    nodes: int | None = None
    mem_gb_per_node: float | None = None
    partition: str | None = None
    code: str | None = None
    asked: Mapping[str, Any] = {}
    pack: int = 1
    after: tuple[str, ...] = ()
    withdrawn: bool = False

    @property
    def gpu_share(self) -> float | None:
        """GPUs of the job, divided by those that have room in it."""
        return None if self.gpus is None else self.gpus / max(1, self.pack)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Submission:
        """Read it from job.json."""
        get = record.get
        return cls(
            _job_id(get("job_id")),
            _text(get("time")),
            _int(get("attempt")) or 1,
            _number(get("hours")),
            _int(get("gpus")),
            _int(get("nodes")),
            _number(get("mem_gb_per_node")),
            _text(get("partition")) or None,
            _text(get("code")) or None,
            _asked(get("asked")),
            _int(get("pack")) or 1,
            _texts(get("after")),
            get("withdrawn") is True,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as job.json holds it."""
        return {name: value for name, value in self._asdict().items() if value or name not in ("after", "withdrawn")}


class History(NamedTuple):
    """All that is on record of an experiment.

    Attributes:
        attempts: starts and ends, in order.
        submission: the last one, if it was submitted.
    """

    attempts: Sequence[Record] = ()
    submission: Submission | None = None

    @property
    def starts(self) -> list[Start]:
        """Starts of its attempts, in order."""
        return [record for record in self.attempts if isinstance(record, Start)]

    @property
    def ends(self) -> list[End]:
        """Ends of its attempts, in order."""
        return [record for record in self.attempts if isinstance(record, End)]

    @property
    def last_attempt(self) -> tuple[Start | None, End | None]:
        """Start and end of the attempt that was started last, which is the one that made a result."""
        start = next((one for one in reversed(self.attempts) if isinstance(one, Start)), None)
        ends = (one for one in reversed(self.attempts) if isinstance(one, End))
        return start, next((end for end in ends if start is not None and end.attempt == start.attempt), None)

    @property
    def outside(self) -> tuple[str, ...]:
        """Files of the work tree that its last attempt has loaded as modules, though it ran a copy of the code."""
        _, end = self.last_attempt
        return end.outside if end is not None else ()

    @property
    def last_end(self) -> End | None:
        """The last record, if that is an end."""
        last = self.attempts[-1] if self.attempts else None
        return last if isinstance(last, End) else None

    @property
    def was_done(self) -> bool:
        """Whether an attempt has made a result: where there is none now, it was removed, or moved away to go on."""
        return any(end.reason == DONE for end in self.ends)

    @property
    def unstarted_job(self) -> str:
        """Id of the last submission's job where no record is of it; empty otherwise."""
        job = self.submission.job_id if self.submission is not None else ""
        return "" if any(record.job_id == job for record in self.attempts) else job

    @property
    def current_job(self) -> str:
        """Id of the job that has the experiment, or had it last; empty where its last attempt was in none."""
        if self.unstarted_job:
            return self.unstarted_job
        for record in reversed(self.attempts):
            # A job may have ended before it started anything: cancelled while it waited.
            if isinstance(record, Start) or (isinstance(record, End) and not record.attempt and record.job_id):
                return record.job_id
        return ""

    @property
    def job_to_ask(self) -> str:
        """Id of the job that Slurm must be asked about to know how it ended; empty where the records say all."""
        if self.unstarted_job or not self.attempts:
            return self.unstarted_job
        end = self.last_end
        if end is not None and (end.job_state or end.job_went_on or end.reason in (PRUNED, REFUSED)):
            return ""
        last = self.attempts[-1]
        return last.job_id or next((s.job_id for s in reversed(self.starts) if s.attempt == last.attempt), "")

    @property
    def job_ids(self) -> set[str]:
        """Ids of all its jobs."""
        submitted = self.submission.job_id if self.submission is not None else ""
        return {submitted, *(record.job_id for record in self.attempts)} - {""}

    def logged(self, metrics: Metrics) -> list[Start]:
        """Return the attempts that have logged metrics, by what was there when each began and when it had ended.

        One that had cut its metrics back to a checkpoint has changed their size, too.

        Args:
            metrics: that there are now.
        """
        starts = self.starts
        after = [*(start.metrics for start in starts[1:]), metrics]
        return [start for start, end in zip(starts, after, strict=False) if end.size and end != start.metrics]

    def mixed(self, metrics: Metrics, *, is_done: bool) -> str:
        """Say which attempts made a result of two configs: `lr 0.1 → 0.2 at attempt 2`; empty where none did.

        Of those that went on from what others had done with another config, one that came to nothing is none.

        Args:
            metrics: that there are now.
            is_done: whether there is a result, which is of the last attempt.
        """
        lines = []
        counting = [*self.logged(metrics), *(self.starts[-1:] if is_done else [])]
        for start in self.starts:
            if start.is_mixed and start in counting:
                changed = (line.replace(": ", " ", 1).replace(" -> ", " → ", 1) for line in start.changed)
                lines.append(f"{', '.join(changed)} at attempt {start.attempt}")
        return "; ".join(lines)

    @property
    def may_be_mixed(self) -> bool:
        """Whether an attempt went on from what another config had done, whatever came of it; most have none."""
        return any(start.is_mixed for start in self.starts)

    @property
    def pruned(self) -> End | None:
        """The end of its last attempt where a search ended that early, and nothing was submitted since."""
        end = self.last_end
        return end if end is not None and end.reason == PRUNED and not self.unstarted_job else None


def rank_ended(exception: str) -> int | None:
    """Return which rank ended without raising anything, as the exception says: `rank 2 on n2: exit code 9`; else None.

    What a rank raised begins with the name of a class.
    """
    found = re.match(r"rank (\d+)(?: on \S+)?: ", exception)
    return int(found[1]) if found is not None else None


def to_records(lines: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Read the lines of attempts.jsonl; what is neither start nor end is left out."""
    found: list[Record] = []
    for line in lines:
        event = line.get("event")
        if event == "start":
            found.append(Start.from_dict(line))
        elif event == "end":
            found.append(End.from_dict(line))
    return found


def wrong_fields(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of what has a wrong type in some lines of attempts.jsonl, and so counts as absent."""
    found: dict[str, None] = {}
    for line in lines:
        for name in _wrong(tuple(line), tuple(map(type, line.values()))):
            found[name] = None
    return list(found)


@lru_cache(maxsize=256)  # most lines hold the same; there may be 10,000 experiments
def _wrong(names: tuple[str, ...], types: tuple[type, ...]) -> tuple[str, ...]:
    return tuple(name for name, one in zip(names, types, strict=True) if one not in _TYPES.get(name, (one,)))


def _text(value: object) -> str:
    if type(value) is str:
        return value if value.isprintable() else readable(value)
    return str(value) if _is_small(value) else ""  # ids of jobs may have been written as numbers


def _job_id(value: object) -> str:
    text = _text(value)
    return text if not text or is_job_id(text) else ""


def _digest(value: object) -> str:
    """Read what becomes part of a file's name."""
    text = _text(value)
    return text if text.isascii() and text.isalnum() else ""


def _line(value: object) -> str:
    return one_line(_text(value))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(readable(one) for one in value if type(one) is str) if isinstance(value, (list, tuple)) else ()


def _texts_by_name(value: object) -> dict[str, str]:
    found = value.items() if isinstance(value, dict) else ()
    return {readable(name): readable(one) for name, one in found if type(one) is str}


def _sizes(value: object) -> dict[int, int]:
    """Read bytes by number, which are texts in JSON."""
    found = value.items() if isinstance(value, dict) else ()
    return {int(k): v for k, v in found if k.isdecimal() and len(k) < 10 and type(v) is int and v >= 0}


def _asked(value: object) -> dict[str, Any]:
    """Read what was asked for: numbers, texts and lists of texts by name."""
    found = value.items() if isinstance(value, dict) else ()
    return {
        readable(name): list(_texts(one)) if isinstance(one, list) else readable(one) if isinstance(one, str) else one
        for name, one in found
        if isinstance(one, (str, list)) or _number(one) is not None or type(one) is bool
    }


def _is_small(value: object) -> bool:
    # A file may hold integers that no float can, and that nobody would read.
    return type(value) is int and -_TOO_LARGE < value < _TOO_LARGE


def _int(value: object) -> int | None:
    return value if type(value) is int and -_TOO_LARGE < value < _TOO_LARGE else None


def _number(value: object) -> float | None:
    # A NaN is none, either.
    return value if type(value) in (int, float) and -_TOO_LARGE < value < _TOO_LARGE else None  # type: ignore


def _amount(value: object) -> float | None:
    return value if type(value) in (int, float) and 0 <= value < _TOO_LARGE else None  # type: ignore


def _count(value: object) -> int:
    return value if type(value) is int and -_TOO_LARGE < value < _TOO_LARGE else 0


def _is_true(value: object) -> bool:
    return value is True


_Readers = Mapping[str, Callable[[Any], Any]]
# How each field is read of a line; of what a line lacks, the class has the default.
_START_READERS: _Readers = {
    **dict.fromkeys(("kind", "time", "host", "commit", "code", "nodes", "entry", "machine"), _text),
    **dict.fromkeys(("attempt", "restart_count", "metrics_size", "metrics_tail", "started"), _count),
    **dict.fromkeys(("dirty", "is_mixed"), _is_true),
    "pid": _int,
    "job_id": _job_id,
    "config": _digest,
    "needs": _texts_by_name,
    "changed": _texts,
    "asked": _asked,
    "logs": _sizes,
}
_END_READERS: _Readers = {
    **dict.fromkeys(("reason", "exception", "job_state"), _line),
    **dict.fromkeys(("time", "host", "environment"), _text),
    **dict.fromkeys(("attempt", "files"), _count),
    **dict.fromkeys(("dropped", "outside"), _texts),
    "exit_code": _int,
    "seconds": _number,
    "job_id": _job_id,
    "used": Used.from_dict,
    "job_went_on": _is_true,
}


def _values(record: Mapping[str, Any], kind: type[Record]) -> list[Any]:
    """Return the values of a record's fields; only what its line holds is gone through, of which most hold few."""
    values = list(kind._field_defaults.values())
    for place, name, read in _known(tuple(record), kind is Start):
        values[place] = read(record[name])
    return values


@lru_cache(maxsize=256)  # most lines hold the same; there may be 10,000 experiments
def _known(names: tuple[str, ...], is_start: bool) -> list[tuple[int, str, Callable[[Any], Any]]]:
    """Return place, name and reader of each field that is among some names."""
    fields, readers = (Start._fields, _START_READERS) if is_start else (End._fields, _END_READERS)
    return [(fields.index(name), name, readers[name]) for name in names if name in readers]
