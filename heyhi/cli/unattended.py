"""What a launch does while nobody looks, by its options: who stays, which go first, who is told, what it may cost.

What doesn't go together is refused here, before anything is written.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Literal, cast

from heyhi.errors import LauncherError
from heyhi.project import Project


@dataclass(frozen=True)
class Unattended:
    """The options of one launch.

    Attributes:
        controller: who stays: a process here, a job of Slurm's, or nobody.
        workers: how many jobs run all of them, one after another each; 0: each has a job of its own.
        canary: how many are started first, and the others when these are well; 0: all at once.
        notify: who is told of the first death and of the end.
        max_gpu_hours: once so many were used nothing more is started; 0: any number.
    """

    controller: Literal["local", "slurm", "none"] = "local"
    workers: int = 0
    canary: int = 0
    notify: tuple[str, ...] = ()
    max_gpu_hours: float = 0.0

    @classmethod
    def of(cls, args: argparse.Namespace, project: Project, *, uses_slurm: bool) -> Unattended:
        """Read the options of a command, and what the project sets where they say nothing.

        Args:
            args: of the command.
            project: whose experiments are launched.
            uses_slurm: whether they become jobs of Slurm's.

        Raises:
            LauncherError: some don't go together.
        """
        asked = getattr(args, "controller", None)
        workers = getattr(args, "workers", None) or 0
        kind = asked or (project.settings.controller if uses_slurm and not args.foreground else "local")
        if kind != "local" and not uses_slurm:
            raise LauncherError(f"--controller {kind}: is for launches on Slurm, and --profile {args.profile} is none")
        if kind != "local" and asked and args.foreground:
            raise LauncherError(f"--controller {kind}: --foreground is a controller on this terminal: give only one")
        if workers:
            if not uses_slurm:
                raise LauncherError(
                    f"--workers {workers}: workers are jobs of Slurm's; --jobs says how many run at once here"
                )
            if asked in ("local", "slurm") or args.foreground:
                raise LauncherError(
                    f"--workers {workers}: nobody stays for workers: leave out --controller and --foreground"
                )
            kind = "none"
        if kind == "none":
            for option, value in (("--canary", args.canary), ("--max-gpu-hours", args.max_gpu_hours)):
                if value and not (workers and option == "--max-gpu-hours"):
                    who = "--workers" if workers else "--controller none"
                    raise LauncherError(f"{option}: somebody has to wait and see, and with {who} nobody does")
        return cls(
            cast('Literal["local", "slurm", "none"]', kind),
            workers,
            args.canary,
            tuple(dict.fromkeys(args.notify)) or project.settings.notify,
            args.max_gpu_hours or 0.0,
        )
