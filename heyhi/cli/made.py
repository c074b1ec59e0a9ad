"""What `heyhi init` has made in a folder, and how it says so."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from heyhi.cli.ignored import ignored_note
from heyhi.cli.placing import Names, OwnPackage, where_imported
from heyhi.project import Project, Settings
from heyhi.text import readable, shell_line, shell_word

_WHAT = {
    "README.md": "what to type",
    "pyproject.toml": "[tool.heyhi], by which HeyHi knows the project",
    ".gitignore": "what runs leave behind",
}


@dataclass(frozen=True)
class Made:
    """What came of `heyhi init`.

    Attributes:
        root: the project.
        names: of its files.
        files: that were made, relative to the project.
        extended: files of the user's that were extended, relative to the project, each with what was added.
        config: the first config; empty where there is none.
        override: such as may be tried on it.
        sweep: the first sweep; empty where there is none.
        packages: of the user's, that the task file may import.
        is_dry_run: nothing was written.
    """

    root: Path
    names: Names
    files: tuple[str, ...]
    extended: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    override: str = ""
    sweep: str = ""
    packages: tuple[OwnPackage, ...] = ()
    is_dry_run: bool = False

    @property
    def project(self) -> Project:
        """The project that it is by now."""
        return Project(self.root, Settings(conf=self.names.conf, results=self.names.results))

    def what(self, name: str) -> str:
        """Say in a few words what one of its files is for."""
        names = self.names
        known = {
            **_WHAT,
            names.task: "the task file: main() runs an experiment",
            names.snakefile: "takes in HeyHi's rules",
            f"{names.profiles}/local/config.yaml": "runs on this machine",
            f"{names.profiles}/slurm/config.yaml": "runs on a Slurm cluster",
            f"{names.conf}/conf.proto": "all settings of all tasks",
            f"{names.conf}/launcher.proto": "what a job may ask for",
            self.config: "the first config",
            self.sweep: "the first sweep",
        }
        is_launcher = name.startswith(f"{names.conf}/common/launcher/")
        return known.get(name, "a launcher to include" if is_launcher else "")


def lines_of(made: Made) -> list[str]:
    """Say file by file what was done."""
    verbs = ("would make", "would extend") if made.is_dry_run else ("made", "extended")
    rows = [(verbs[0], name, made.what(name)) for name in made.files]
    rows += [(verbs[1], name, added) for name, added in made.extended.items()]
    rows += [("left", usual, f"as it is: ours is {own}") for usual, own in made.names.taken]
    widths = [max(len(readable(row[column])) for row in rows) for column in (0, 1)]
    return [f"{verb:<{widths[0]}}  {readable(name):<{widths[1]}}  {what}".rstrip() for verb, name, what in rows]


def next_lines(made: Made) -> list[str]:
    """Say what to type next."""
    commands = []
    if (way := _way_to(made.root)) != ".":
        commands.append(f"cd {shell_word(way)}")
    if made.config:
        commands.append(shell_line(["heyhi", "describe", made.config]))
        words = ["python", made.names.task, "--cfg", made.config, *([made.override] if made.override else [])]
        commands.append(shell_line(words))
    if made.sweep:
        commands.append("heyhi run")
    notes = [note for package in made.packages if (note := where_imported(package, made.root))]
    notes += [note for note in (ignored_note(made.root, made.files),) if note]
    return ["next:", *(f"  {command}" for command in commands), *(f"note: {readable(note)}" for note in notes)]


def _way_to(root: Path) -> str:
    """Write a folder as it is typed here."""
    with contextlib.suppress(OSError):  # the working directory was removed
        way = os.path.relpath(root)
        return str(root) if way.startswith("..") else way
    return str(root)


def say(made: Made) -> None:
    """Print what was done, and on standard error what to type next."""
    print("\n".join(lines_of(made)), flush=True)
    if made.is_dry_run:
        print("dry run: nothing was written", file=sys.stderr)
        return
    print("\n".join(next_lines(made)), file=sys.stderr)
