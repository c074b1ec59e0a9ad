"""What a command says, or refuses, where the results may be another project's; whose they are is asked elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from heyhi.experiment.project_names import check_names, foreign_names

if TYPE_CHECKING:
    from heyhi.project import Project


def only_looks(project: Project) -> None:
    """Say before a command that only looks whose the results are, where they aren't plainly this project's."""
    _warn(foreign_names(project))


def may_change(project: Project, *, is_dry_run: bool = False) -> None:
    """Refuse a command that starts, wipes or ends something of another project; a dry run of it only looks.

    Raises:
        ProjectError: the results are another project's.
        UnknownError: nobody can tell whose they are.
    """
    _warn(foreign_names(project) if is_dry_run else check_names(project))


def _warn(text: str) -> None:
    if text:
        print(f"warning: {text}", file=sys.stderr)
