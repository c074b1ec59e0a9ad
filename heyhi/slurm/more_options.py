"""Options of sbatch and srun that are given as text: split into words; what HeyHi sets itself is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from heyhi.errors import LauncherError
from heyhi.quick_tuple import NamedTuple


class _Command(NamedTuple):
    """What a field with options for a command may not hold.

    Attributes:
        field: that holds them, as messages name it.
        fields: option -> what sets it instead.
        ours: options that HeyHi sets, or relies on their being unset.
        beginnings: options that a refused one begins with; the command takes any other beginning for the whole.
    """

    field: str
    fields: Mapping[str, str]
    ours: Iterable[str]
    beginnings: Iterable[str]


_SBATCH_OURS = (
    "array", "chdir", "clusters", "error", "export-file", "help", "open-mode", "output", "parsable", "quiet",
    "test-only", "usage", "verbose", "version", "wait", "workdir", "wrap",
)  # fmt: skip
_SRUN_OURS = (
    "chdir", "error", "help", "input", "jobid", "kill-on-bad-exit", "multi-prog", "no-allocate", "no-kill", "output",
    "pty", "quit-on-interrupt", "test-only", "unbuffered", "usage", "version", "wait",
)  # fmt: skip
_SBATCH = _Command(
    "launcher.slurm.extra",
    {
        "account": "launcher.slurm.account",
        "constraint": "launcher.slurm.constraint",
        "cpus-per-gpu": "launcher.slurm.cpus_per_gpu",
        "cpus-per-task": "launcher.slurm.cpus_per_gpu",
        "comment": "launcher.slurm.comment",
        "gpus": "launcher.slurm.num_gpus",
        "gpus-per-node": "launcher.slurm.num_gpus",
        "gpus-per-task": "launcher.slurm.num_gpus",
        "job-name": "launcher.slurm.job_name",
        "mem": "launcher.slurm.mem_per_gpu",
        "mem-per-cpu": "launcher.slurm.mem_per_gpu",
        "mem-per-gpu": "launcher.slurm.mem_per_gpu",
        "no-requeue": "launcher.slurm.requeue",
        "nodes": "launcher.slurm.num_gpus",
        "ntasks": "launcher.slurm.num_gpus",
        "ntasks-per-gpu": "launcher.slurm.num_gpus",
        "ntasks-per-node": "launcher.slurm.single_task_per_node",
        "partition": "launcher.slurm.partition",
        "qos": "launcher.slurm.qos",
        "requeue": "launcher.slurm.requeue",
        "signal": "launcher.slurm.signal_seconds",
        "time": "launcher.slurm.hours",
    },
    _SBATCH_OURS,
    ("export", "wait-all-nodes"),
)
_SRUN = _Command(
    "launcher.slurm.srun_extra",
    {
        "ntasks": "launcher.slurm.num_gpus",
        "nodes": "launcher.slurm.num_gpus",
        "cpus-per-task": "launcher.slurm.cpus_per_gpu",
    },
    _SRUN_OURS,
    ("export",),
)
_CONTROLLER = _Command(
    "[tool.heyhi] controller_options",
    {"time": "[tool.heyhi] controller_hours"},
    (*_SBATCH_OURS, "comment", "dependency", "job-name", "no-requeue", "nodes", "ntasks", "requeue", "signal"),
    ("export",),
)


def extra_words(extra: str) -> list[str]:
    """Split the launcher's `extra` as a shell splits words.

    Raises:
        LauncherError: a word is no option, or is one that HeyHi sets itself.
    """
    words = split_words(extra, _SBATCH.field)
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and name and "exclude".startswith(name) and (name != "exclude" or not value):
            raise LauncherError(f"launcher.slurm.extra={extra!r}: write '{word}' out as --exclude={value or 'NODES'}")
        _check_word(word, extra, _SBATCH)
    return words


def srun_words(extra: str) -> list[str]:
    """Split the launcher's `srun_extra` likewise.

    Raises:
        LauncherError: a word is no option, or is one that HeyHi sets itself.
    """
    return _checked_words(extra, _SRUN)


def controller_words(options: str) -> list[str]:
    """Split `[tool.heyhi] controller_options` likewise.

    Raises:
        LauncherError: a word is no option, or is one that HeyHi sets itself.
    """
    return _checked_words(options, _CONTROLLER)


def _checked_words(text: str, command: _Command) -> list[str]:
    words = split_words(text, command.field)
    for word in words:
        _check_word(word, text, command)
    return words


def split_words(text: str, field: str) -> list[str]:
    """Split a text as a shell splits words; nothing in it is evaluated.

    Args:
        text: of the field.
        field: as messages name it.

    Raises:
        LauncherError: a quotation has no end.
    """
    if not text:
        return []
    import shlex  # most launchers have no options of their own

    try:
        return shlex.split(text)
    except ValueError as error:
        raise LauncherError(f"{field}={text!r}: {str(error).lower()}") from None


def without_exclude(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the words of `extra` but --exclude, and the nodes that this names: sbatch heeds only the last one."""
    more: list[str] = []
    excluded: list[str] = []
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if name == "exclude":
            excluded += [value] if value else []
        else:
            more.append(word)
    return more, excluded


def _check_word(word: str, text: str, command: _Command) -> None:
    where = f"{command.field}={text!r}: "
    name, _, value = word.removeprefix("--").partition("=")
    if not word.startswith("--") or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        # It would be taken for a script or program, or for the value of a short option.
        raise LauncherError(f"{where}'{word}' is no option of the form --name or --name=value")
    if name == "export" and value.split(",")[0].upper() != "ALL":
        raise LauncherError(f"{where}'{word}' would take the job's environment away: write --export=ALL,NAME=value")
    if name in command.beginnings:
        return
    # The beginning of an option's name is taken for the whole name.
    refused = (*command.fields, *command.ours)
    full = name if name in refused else next((one for one in refused if one.startswith(name)), None)
    if full is not None:
        instead = f"set {command.fields[full]}" if full in command.fields else "HeyHi needs its own"
        raise LauncherError(f"{where}'{word}' can't be used: {instead}")
