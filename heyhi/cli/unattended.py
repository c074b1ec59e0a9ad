"""What a launch does while nobody looks, by its options: who stays, which go first, who is told, what it may cost.

What doesn't go together is refused here, before anything is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

from heyhi.cli.options import NOBODY, NOTIFY
from heyhi.errors import LauncherError, NotifyError
from heyhi.notify.whom import NOBODY_SAID, Whom, check_here, is_secret, take_from_environment, whom_of
from heyhi.profiles import find_profile, runs_here
from heyhi.project import Project

if TYPE_CHECKING:
    from heyhi.slurm.request import JobRequest


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
    notify: tuple[Whom, ...] = ()
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
            NotifyError: somebody who was named can't be told.
        """
        kind, workers = cls._together(args, project, uses_slurm=uses_slurm)
        return cls(
            cast('Literal["local", "slurm", "none"]', kind),
            workers,
            args.canary,
            _whom(args.notify, project),
            args.max_gpu_hours or 0.0,
        )

    @staticmethod
    def _together(args: argparse.Namespace, project: Project, *, uses_slurm: bool) -> tuple[str, int]:
        """Make sure that the options go together, before anybody else is asked; return who stays, and the workers.

        Args:
            args: of the command.
            project: whose experiments are launched.
            uses_slurm: whether they become jobs of Slurm's.

        Raises:
            LauncherError: some don't.
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
                is_here = runs_here(find_profile(project, args.profile))
                at_once = "; --jobs says how many run at once here" if is_here else ""
                raise LauncherError(
                    f"--workers {workers}: workers are jobs of Slurm's, and --profile {args.profile} is none{at_once}"
                )
            if asked or args.foreground:
                raise LauncherError(
                    f"--workers {workers}: nobody stays for workers: leave out --controller and --foreground"
                )
            kind = "none"
        if kind == "none":
            for option, value in (("--canary", args.canary), ("--max-gpu-hours", args.max_gpu_hours)):
                if value and not (workers and option == "--max-gpu-hours"):
                    who = "--workers" if workers else "--controller none"
                    raise LauncherError(f"{option}: somebody has to wait and see, and with {who} nobody does")
        if kind == "slurm":
            from heyhi.slurm.more_options import controller_words

            controller_words(project.settings.controller_options)
        return kind, workers

    def request_of_controller(self, project: Project) -> Callable[[Collection[JobRequest]], JobRequest] | None:
        """Return what says what a controller's job asks for, by what those of its experiments do; None without one."""
        if self.controller != "slurm":
            return None
        from heyhi.control.controller_job import request_of_controller

        return partial(request_of_controller, project.settings)


def _whom(given: Sequence[str], project: Project) -> tuple[Whom, ...]:
    """Return who is told: whom the command line names, else the settings, of which not all hold on every machine."""
    found: dict[Whom, None] = {}
    for text in given or project.settings.notify:
        if given and text == NOBODY:
            continue
        try:
            whom = whom_of(text)
            check_here(whom)
        except NotifyError as error:
            if given:
                raise NotifyError(f"{NOTIFY}: {error}") from None
            print(f"warning: [tool.heyhi] notify: {error}; {NOBODY_SAID}", file=sys.stderr)
        else:
            found[whom] = None
            if not given and is_secret(text):
                place = 'put it into a variable of the environment, and notify = ["env:NAME"]'
                print(
                    f"warning: [tool.heyhi] notify: {whom.shown}: copies of the code hold it: {place}", file=sys.stderr
                )
    take_from_environment([*given, *project.settings.notify])
    return tuple(found)
