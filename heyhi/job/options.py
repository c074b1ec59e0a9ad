"""The command line of `python -m heyhi.runner`, which HeyHi writes itself for nearly all runs.

Such a line is read by itself: argparse, which takes as long to load as the run's claim and records take to write, is
asked where somebody wants help, or has written something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heyhi.quick_tuple import NamedTuple
from heyhi.sweep.continuing import CONTINUE_OPTION


class Options:
    """What it says.

    Attributes:
        target: result file, as the manifest names it.
        manifest: its path.
        log_level: for main.
        attempt: how often the launcher has tried.
        attempts: how often it does; None: as the launcher of the config says.
        code_root: folder that the task file is imported from; None: the manifest's.
        entry: function that is called; None: as before, or the manifest's.
        tasks: number of the job's tasks that it is run in.
        parent: process with which it ends; None: it has none.
        job: `ROOT:NONCE` of the submission of whose job it is; None: it is none.
        launch: that it is of; empty for none.
        given_up: where that leaves what is given up; None: nowhere.
        alone: it is in a job that sees to its own retries.
        continue_drifted: go on with another config than what it builds on had, too.
    """

    target: str
    manifest: Path
    log_level: str = "INFO"
    attempt: int = 1
    attempts: int | None = None
    code_root: Path | None = None
    entry: str | None = None
    tasks: int = 1
    parent: int | None = None
    job: str | None = None
    launch: str = ""
    given_up: Path | None = None
    alone: bool = False
    continue_drifted: bool = False


class _Option(NamedTuple):
    """One that may be given; its default is that of `Options`."""

    kind: type[str] | type[int] | type[Path] | type[bool]
    metavar: str
    help: str


_OPTIONS = {
    "--manifest": _Option(Path, "MANIFEST", "what `heyhi expand` wrote"),
    "--log-level": _Option(str, "L", "DEBUG, INFO, WARNING or ERROR"),
    "--attempt": _Option(int, "N", "how often the launcher has tried"),
    "--attempts": _Option(int, "N", "how often it does; default: as the launcher says"),
    "--code-root": _Option(Path, "DIR", "import the task file from here"),
    "--entry": _Option(str, "M:F", "call this function; default: as before, or the manifest's"),
    "--tasks": _Option(int, "N", "run it in N tasks of the job"),
    "--parent": _Option(int, "PID", "end when this process does, which has started it"),
    "--job": _Option(str, "ROOT:NONCE", "be a job of Slurm's, whose submission has this claim"),
    "--launch": _Option(str, "NAME", "launch that it is of"),
    "--given-up": _Option(Path, "FILE", "leave what is given up there"),
    "--alone": _Option(bool, "", "be in a job that sees to its own retries"),
    CONTINUE_OPTION: _Option(bool, "", "go on with another config than what it builds on had, too"),
}


def parse_options(words: Sequence[str]) -> Options:
    """Read the words of a command line.

    Raises:
        SystemExit: they ask for help, which is printed, or are none; a line on standard error says why (exit code 2).
    """
    options = _read(words)
    return options if options is not None else _read_by_argparse(words)


def _read(words: Sequence[str]) -> Options | None:
    """Read words as HeyHi writes them; None where they aren't."""
    options = Options()
    left = iter(words)
    for word in left:
        option = _OPTIONS.get(word)
        if option is None:
            if word.startswith("-") or hasattr(options, "target"):
                return None
            options.target = word
            continue
        value: Any = True if option.kind is bool else next(left, "-")
        if option.kind is not bool:
            if value.startswith("-") or (option.kind is int and not (value.isascii() and value.isdigit())):
                return None
            value = option.kind(value)
        setattr(options, word[2:].replace("-", "_"), value)
    return options if hasattr(options, "target") and hasattr(options, "manifest") else None


def _read_by_argparse(words: Sequence[str]) -> Options:
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m heyhi.runner",
        description="Run one experiment of a manifest, as a job does.",
        allow_abbrev=False,
    )
    parser.add_argument("target", help="its result file, as the manifest names it")
    for name, (kind, metavar, help_text) in _OPTIONS.items():
        default = getattr(Options, name[2:].replace("-", "_"), None)
        if kind is bool:
            parser.add_argument(name, action="store_true", help=help_text)
        else:
            is_needed = name == "--manifest"
            parser.add_argument(name, type=kind, default=default, metavar=metavar, required=is_needed, help=help_text)
    return parser.parse_args(words, Options())
