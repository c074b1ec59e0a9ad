"""What a config's launcher asks for, as numbers and as words for sbatch; nothing is started, no cluster is asked."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from heyhi.config.messages import message_class
from heyhi.config.schema import field_named, is_map, type_of
from heyhi.errors import LauncherError, suggest
from heyhi.quick_dataclass import dataclass, replace
from heyhi.regex import regex
from heyhi.slurm.commands import MARK
from heyhi.slurm.launcher import chosen, is_slurm, number
from heyhi.slurm.more_options import extra_words, split_words, srun_words, without_exclude

_MAX_COMMENT = 1024  # bytes
_MAX_HOURS = 1e6  # of a time limit: Slurm counts minutes in 32 bits
_MAX_GB = 1e6
_MAX_SIGNAL = 65_535  # seconds: Slurm has 16 bits for them
_MAX_ATTEMPTS = 1000
_MAX_REQUEUES = 1_000_000
_MAX_PACK = 59  # identity hashes that a comment holds
_HASHES = regex(rf"{MARK}[0-9a-f]+:([0-9a-f]+(?:,[0-9a-f]+)*)(?: |$)")
NAME_TAG = regex(r"%\((\w*)\)s")  # in `job_name`
_CONTROL = regex(r"[\x00-\x1f\x7f]")
# Values of launcher.slurm's fields where neither the config nor its proto has one.
_DEFAULTS: dict[str, int | float | bool] = {
    "num_gpus": 0,
    "gpus_per_node": 8,
    "single_task_per_node": False,
    "hours": 1.0,
    "mem_per_gpu": 2.0,
    "cpus_per_gpu": 1,
    "signal_seconds": 90,
    "requeue": True,
    "max_attempts": 1,
    "oom_mem_factor": 1.5,
    "timeout_hours_factor": 1.0,
    "pack": 1,
    "no_mem": False,
    "max_requeues": 3,
}
_MINIMUM = {
    "num_gpus": 0,
    "gpus_per_node": 1,
    "cpus_per_gpu": 1,
    "signal_seconds": 0,
    "max_attempts": 1,
    "oom_mem_factor": 1,
    "timeout_hours_factor": 1,
    "pack": 1,
    "mem_per_gpu": 0,
    "max_requeues": 0,
}
_ABOVE_ZERO = ("hours",)
# Unset where a proto can't tell that from zero.
_NEVER_ZERO = (*_ABOVE_ZERO, "mem_per_gpu")
_MAXIMUM = {
    "hours": _MAX_HOURS,
    "mem_per_gpu": _MAX_GB,
    "signal_seconds": _MAX_SIGNAL,
    "max_attempts": _MAX_ATTEMPTS,
    "pack": _MAX_PACK,
    "max_requeues": _MAX_REQUEUES,
}
_TEXTS = (
    "partition", "account", "qos", "comment", "extra", "exclude", "time", "gpu_type", "job_name", "python", "prefix",
    "srun_extra",
)  # fmt: skip
# Fields of the first HeyHi's: yes or no to a kind of GPU -> the node feature that it asked for; of two of a line, the
# first one is meant.
_KINDS_OF_GPU = (("volta32", "volta32gb"), ("volta", "volta")), (("pascal", "pascal"),)
# What is read of a launcher.
SLURM_FIELDS = frozenset(
    (*_DEFAULTS, *_TEXTS, "constraint", "constraints", "setup", *(name for line in _KINDS_OF_GPU for name, _ in line))
)
NAME_TAGS = ("cfg_folder", "cfg", "redefines", "exp_id", "task")  # what `job_name` may have
_GPU_TYPE = regex(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class JobRequest:
    """What a job asks for.

    Attributes:
        hours: time limit.
        nodes: number of nodes.
        tasks: on all nodes together.
        gpus_per_node: GPUs of each node, 0 for none.
        gpu_type: kind of these, empty for any.
        cpus_per_task: cores of each task.
        mem_gb_per_node: memory of each node, in GB of 1,024 MB; 0: all that it has; None: none is asked for.
        partition: empty: the cluster's default.
        account: empty: the user's default.
        qos: empty: the account's default.
        constraint: node features, empty for any.
        comment: the user's.
        extra: more options for sbatch, as they stand on its command line.
        signal_seconds: how long before its time limit the job gets a signal; 0: it gets none.
        requeue: whether the job is queued again then.
        max_attempts: how often the job may be started.
        oom_mem_factor: what the memory is multiplied by after a job ran out of it.
        timeout_hours_factor: what the hours are multiplied by after a job hit its time limit.
        pack: experiments that share the job.
        exclude: nodes that the job must not run on.
        max_requeues: how often in a row it may be queued again by itself without having got on; 0: without end.
        job_name: the user's, with tags; empty for the default.
        setup: lines for the job's shell, which run first.
        python: interpreter of the job; empty for the one that submits.
        prefix: words before it.
        srun_extra: more options for srun, where there are several tasks.
    """

    hours: float
    nodes: int
    tasks: int
    gpus_per_node: int
    cpus_per_task: int
    mem_gb_per_node: float | None
    partition: str
    account: str
    qos: str
    constraint: str
    comment: str
    extra: str
    signal_seconds: int
    requeue: bool
    max_attempts: int
    oom_mem_factor: float
    timeout_hours_factor: float
    pack: int
    exclude: tuple[str, ...] = ()
    gpu_type: str = ""
    max_requeues: int = 0
    job_name: str = ""
    setup: tuple[str, ...] = ()
    python: str = ""
    prefix: tuple[str, ...] = ()
    srun_extra: tuple[str, ...] = ()

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return self.nodes * self.gpus_per_node

    @property
    def cpus(self) -> int:
        """Cores of all tasks."""
        return self.tasks * self.cpus_per_task

    @property
    def minutes(self) -> int:
        """Time limit in whole minutes, as Slurm counts it."""
        return max(1, math.ceil(round(self.hours * 60, 6)))  # 1.5 h x 1.1 is 99.00000000000001 minutes

    @property
    def mem_mb_per_node(self) -> int | None:
        """Memory of each node in whole MB, as Slurm counts it; 0: all of it; None: none is asked for."""
        if not self.mem_gb_per_node:
            return None if self.mem_gb_per_node is None else 0
        return max(1, math.ceil(round(self.mem_gb_per_node * 1024, 6)))

    def asked(self) -> dict[str, Any]:
        """Return what it asks for, for the record: by the fields' names, and only what is set."""
        values = {
            "hours": self.hours,
            "nodes": self.nodes,
            "tasks": self.tasks,
            "gpus": self.gpus,
            "gpu_type": self.gpu_type,
            "cpus": self.cpus,
            "mem_gb_per_node": self.mem_gb_per_node,
            "prefix": list(self.prefix),
            "setup": list(self.setup),
            "srun_extra": list(self.srun_extra),
            "exclude": list(self.exclude),
            "pack": self.pack if self.pack > 1 else None,
        }
        names = ("partition", "account", "qos", "constraint", "extra", "python")
        values |= {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value not in ("", None, [])}

    def scaled(self, oom: int, timeouts: int, exclude: tuple[str, ...] = ()) -> JobRequest:
        """Return what the next attempt asks for.

        Args:
            oom: earlier attempts that ran out of memory.
            timeouts: earlier attempts that hit their time limit.
            exclude: nodes that the next one must not run on.
        """
        return replace(
            self,
            mem_gb_per_node=self.mem_gb_per_node and _grown(self.mem_gb_per_node, self.oom_mem_factor, oom, _MAX_GB),
            hours=_grown(self.hours, self.timeout_hours_factor, timeouts, _MAX_HOURS),
            exclude=tuple(dict.fromkeys((*self.exclude, *exclude))),
        )


def _grown(value: float, factor: float, times: int, most: float) -> float:
    try:
        return min(value * factor**times, max(value, most))
    except OverflowError:
        return most


def request_of(task: Message) -> JobRequest:
    """Return what a task's launcher asks for.

    Fields are looked up by name, since a project's own proto need not have all of them: a field that it lacks, or
    that is unset and has no default, takes HeyHi's default.

    Args:
        task: message of the task.

    Returns:
        what `launcher.slurm` asks for; with another launcher or none, a job of one task with that launcher's `cpus`
        and HeyHi's defaults.

    Raises:
        LauncherError: a field has a value that no job can have.
    """
    slurm = chosen(task, "slurm")
    if slurm is not None:
        return _slurm_request(type_of(slurm), slurm.SerializePartialToString(deterministic=True))
    local = chosen(task, "local")
    cpus = number(local, "cpus", 1, "launcher.local") if local is not None else 1
    return _request({**_DEFAULTS, "cpus_per_gpu": _at_least("launcher.local.cpus", cpus, 1)}, {})


def gpus_of(task: Message) -> int:
    """Return how many GPUs a task's launcher asks for in all: only Slurm's does, wherever it is run."""
    return request_of(task).gpus if is_slurm(task) else 0


def plain_request(*, hours: float, mem_gb: float) -> JobRequest:
    """Return what a job of one core asks for that is none of an experiment's.

    Args:
        hours: time limit.
        mem_gb: memory.
    """
    return _request({**_DEFAULTS, "hours": hours, "mem_per_gpu": mem_gb, "signal_seconds": 0}, {})


@lru_cache(maxsize=256)
def _slurm_request(kind: Descriptor, data: bytes) -> JobRequest:
    """Read a launcher; its text is the key, since most experiments of a large sweep have the same one."""
    slurm = message_class(kind).FromString(data)
    numbers = {name: _number(slurm, name, default) for name, default in _DEFAULTS.items()}
    texts = {name: _text(slurm, name) for name in _TEXTS}
    texts["constraint"] = _constraint(slurm)
    if texts["time"]:
        numbers["hours"] = _hours(texts["time"])
    return _request(numbers, texts, _setup(slurm))


def _request(numbers: dict[str, Any], texts: dict[str, str], setup: tuple[str, ...] = ()) -> JobRequest:
    _check(numbers)
    _check_texts(numbers, texts)
    extra = texts.get("extra", "")
    extra_words(extra)
    nodes, gpus_per_node = _nodes_and_gpus(numbers)
    is_single = numbers["single_task_per_node"] or not gpus_per_node
    request = JobRequest(
        hours=float(numbers["hours"]),
        nodes=nodes,
        tasks=nodes * (1 if is_single else gpus_per_node),
        gpus_per_node=gpus_per_node,
        cpus_per_task=numbers["cpus_per_gpu"] * (max(1, gpus_per_node) if is_single else 1),
        mem_gb_per_node=None if numbers["no_mem"] else float(numbers["mem_per_gpu"] * max(1, gpus_per_node)),
        partition=texts.get("partition", ""),
        account=texts.get("account", ""),
        qos=texts.get("qos", ""),
        constraint=texts.get("constraint", ""),
        comment=texts.get("comment", ""),
        extra=extra,
        signal_seconds=numbers["signal_seconds"],
        requeue=bool(numbers["requeue"]),
        max_attempts=numbers["max_attempts"],
        oom_mem_factor=float(numbers["oom_mem_factor"]),
        timeout_hours_factor=float(numbers["timeout_hours_factor"]),
        pack=numbers["pack"],
        exclude=tuple(node for node in texts.get("exclude", "").split(",") if node),
        gpu_type=texts.get("gpu_type", ""),
        max_requeues=numbers["max_requeues"],
        job_name=texts.get("job_name", ""),
        setup=setup,
        python=texts.get("python", ""),
        prefix=tuple(split_words(texts.get("prefix", ""), "launcher.slurm.prefix")),
        srun_extra=tuple(srun_words(texts.get("srun_extra", ""))),
    )
    if request.signal_seconds >= request.minutes * 60:
        # The job would get its signal as soon as it starts, and be queued again for ever.
        raise LauncherError(
            f"launcher.slurm.signal_seconds={request.signal_seconds}: is not below the time limit"
            f" (hours={request.hours:g}, {request.minutes * 60} seconds), so that nothing would be left to run;"
            " set fewer seconds, or 0 for no signal"
        )
    return request


def _nodes_and_gpus(numbers: dict[str, Any]) -> tuple[int, int]:
    """Return how many nodes a job takes, and how many GPUs on each."""
    gpus, per_node = numbers["num_gpus"], numbers["gpus_per_node"]
    if gpus > per_node and gpus % per_node:
        raise LauncherError(
            f"launcher.slurm.num_gpus={gpus}: above {per_node} (gpus_per_node) it must be a multiple of {per_node},"
            f" e.g. {math.ceil(gpus / per_node) * per_node}"
        )
    nodes = max(1, gpus // per_node)
    if numbers["pack"] > 1 and nodes > 1:
        raise LauncherError(
            f"launcher.slurm.pack={numbers['pack']}: several experiments share one node, and num_gpus={gpus}"
            f" asks for {nodes}"
        )
    return nodes, min(gpus, per_node)


def _check(numbers: dict[str, Any]) -> None:
    for name, value in numbers.items():
        if name in _MINIMUM:
            _at_least(f"launcher.slurm.{name}", value, _MINIMUM[name])
        if name in _ABOVE_ZERO and not (0 < value < math.inf):
            raise LauncherError(f"launcher.slurm.{name}={value:g}: must be above 0")
        if name in _MAXIMUM and value > _MAXIMUM[name]:
            raise LauncherError(f"launcher.slurm.{name}={value:g}: must be at most {_MAXIMUM[name]:,.0f}")


def _check_texts(numbers: dict[str, Any], texts: dict[str, str]) -> None:
    gpu_type, python = texts.get("gpu_type", ""), texts.get("python", "")
    if gpu_type and not _GPU_TYPE.fullmatch(gpu_type):
        raise LauncherError(f"launcher.slurm.gpu_type={gpu_type!r}: is no kind of GPU as clusters name them, e.g. v100")
    if gpu_type and not numbers["num_gpus"]:
        raise LauncherError(f"launcher.slurm.gpu_type={gpu_type}: the job has no GPU; set launcher.slurm.num_gpus")
    if python.startswith("-") or ("/" in python and not python.startswith("/")):
        raise LauncherError(
            f"launcher.slurm.python={python!r}: must be an absolute path, or the name of a program"
            " (a relative path would begin in the experiment's folder)"
        )
    job_name = texts.get("job_name", "")
    for tag in NAME_TAG.findall(job_name) if job_name else ():
        if tag not in NAME_TAGS:
            raise LauncherError(
                f"launcher.slurm.job_name={job_name!r}: there is no tag '%({tag})s'{suggest(tag, NAME_TAGS)};"
                f" tags are {', '.join(f'%({name})s' for name in NAME_TAGS)}"
            )


def _constraint(slurm: Message) -> str:
    """Return the node features to ask for, as sbatch takes them: the user's, and a kind of GPU that was said yes to."""
    given = _text(slurm, "constraint") or _text(slurm, "constraints")
    asked = [[(name, feature) for name, feature in line if _number(slurm, name, False)] for line in _KINDS_OF_GPU]
    kinds = [line[0] for line in asked if line]
    if len(kinds) > 1:
        names = " and ".join(f"launcher.slurm.{name}" for name, _ in kinds)
        raise LauncherError(f"{names}: a node has one kind of GPU; set one of them")
    if not kinds or kinds[0][1] in re.split(r"[^\w.-]+", given):
        return given
    feature = kinds[0][1]
    if "|" in given and not (given.startswith("[") and given.endswith("]")):
        given = f"({given})"
    return f"{given}&{feature}" if given else feature


def _hours(text: str) -> float:
    from heyhi.config.duration import FORMS, parse_hours  # most give a number

    hours = parse_hours(text)
    if hours is None:
        hint = " (is it 1:30:00, hours, minutes and seconds?)" if re.fullmatch(r"\d+:\d+", text) else ""
        raise LauncherError(f"launcher.slurm.time={text!r}: is no time such as {FORMS}{hint}")
    return hours


def _setup(slurm: Message) -> tuple[str, ...]:
    """Return the lines for the job's shell; a text of several lines is as good as several texts."""
    field = field_named(type_of(slurm), "setup")
    if field is None:
        return ()
    value = getattr(slurm, "setup")  # noqa: B009 (the schema's, which may lack it)
    texts = value if field.is_repeated and not is_map(field) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise LauncherError("launcher.slurm.setup must be a string, or several, in the proto")
    lines = [line.rstrip() for text in texts for line in text.split("\n")]
    for line in lines:
        if _CONTROL.search(line.replace("\t", " ")):
            raise LauncherError(f"launcher.slurm.setup={line!r}: holds a character that isn't to be seen")
    return tuple(lines) if any(lines) else ()


def _at_least(name: str, value: Any, least: int) -> Any:
    if not (least <= value < math.inf):
        raise LauncherError(f"{name}={value:g}: must be at least {least}")
    return value


def _number(slurm: Message, name: str, default: int | float | bool) -> Any:
    # proto3: where no job can be asked for with zero, zero is unset.
    is_never_zero = name in _NEVER_ZERO or _MINIMUM.get(name, 1) > 0
    return number(slurm, name, default, "launcher.slurm", is_never_zero=is_never_zero)


def _text(message: Message, name: str) -> str:
    field = field_named(type_of(message), name)
    if field is None or field.message_type is not None or is_map(field):
        return ""
    value = getattr(message, name)
    if field.is_repeated:
        value = ("&" if name.startswith("constraint") else ",").join(map(str, value))
    if not isinstance(value, str):
        raise LauncherError(f"launcher.slurm.{name} must be a string in the proto")
    if name != "comment" and not value.isprintable() and _CONTROL.search(value):
        raise LauncherError(f"launcher.slurm.{name}={value!r}: holds a character that isn't to be seen")
    return value.strip()


def sbatch_options(request: JobRequest, *, name: str, comment: str, output: Path, chdir: Path) -> list[str]:
    """Return the options for sbatch, a word each: for an argument list, as no shell reads them.

    Args:
        request: what the job asks for.
        name: of the job.
        comment: of the job, as `comment_text` writes it.
        output: log of the job; in the file's name, though not in its folder's, Slurm replaces `%j` and the like.
        chdir: folder that the job starts in.

    Raises:
        LauncherError: `extra` can't be used.
    """
    more, excluded = without_exclude(extra_words(request.extra))
    log = f"{str(output.parent).replace('%', '%%')}/{output.name}"
    options = [
        f"--job-name={name}",
        f"--comment={comment}",
        f"--output={log}",
        "--open-mode=append",
        f"--chdir={chdir}",
        f"--time={request.minutes}",
        f"--nodes={request.nodes}",
        f"--ntasks={request.tasks}",
        f"--ntasks-per-node={request.tasks // request.nodes}",
    ]
    if request.gpus_per_node:
        kind = f"{request.gpu_type}:" if request.gpu_type else ""
        options.append(f"--gpus-per-node={kind}{request.gpus_per_node}")
    options.append(f"--cpus-per-task={request.cpus_per_task}")
    if request.mem_mb_per_node is not None:
        options.append(f"--mem={request.mem_mb_per_node}M" if request.mem_mb_per_node else "--mem=0")
    for option in ("partition", "account", "qos", "constraint"):
        value = getattr(request, option)
        if value:
            options.append(f"--{option}={value}")
    exclude = [*request.exclude, *excluded]
    if exclude:
        options.append(f"--exclude={','.join(exclude)}")
    if request.signal_seconds:
        options.append(f"--signal=B:USR2@{request.signal_seconds}")
    options.append("--requeue" if request.requeue else "--no-requeue")
    return [*options, *more]


def comment_text(root: str, hashes: Iterable[str], user: str) -> str:
    """Write a job's comment: mark of its results root and its experiments, then the user's own, in at most 1,024 bytes.

    Args:
        root: mark of the results root.
        hashes: identity hashes of the experiments.
        user: the user's comment.

    Raises:
        LauncherError: the marks alone are longer.
    """
    mark = f"{MARK}{root}:{','.join(hashes)}"
    if len(mark.encode()) > _MAX_COMMENT:
        raise LauncherError(f"a job's comment can't hold {mark.count(',') + 1} experiments: set a smaller pack")
    own = " ".join(_CONTROL.sub(" ", user).split())
    text = f"{mark} {own}" if own else mark
    return text.encode()[:_MAX_COMMENT].decode(errors="ignore").rstrip()


def hashes_in(comment: str) -> tuple[str, ...]:
    """Return the identity hashes in a job's comment; none where the job isn't ours."""
    match = _HASHES.match(comment)
    return tuple(match.group(1).split(",")) if match else ()


def launcher_resources(task: Message) -> dict[str, int | str]:
    """Return the resources of a task's launcher that Snakemake schedules by: the `threads` of a local run."""
    if not _has_local_cpus(task.DESCRIPTOR):
        return {}
    cpus: int = task.launcher.local.cpus  # type: ignore[attr-defined]
    return {"threads": cpus} if cpus > 1 else {}


@lru_cache(maxsize=64)
def _has_local_cpus(task: Descriptor) -> bool:
    """Return whether a task's messages have `launcher.local.cpus`; cached, as each point of a sweep asks."""
    for name in ("launcher", "local"):
        field = task.fields_by_name.get(name)
        if field is None or field.message_type is None or field.is_repeated:
            return False
        task = field.message_type
    return "cpus" in task.fields_by_name
