"""What of an experiment may be shown: what lies in its folder, the results or the project, wherever links lead."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.text import one_line, readable

if TYPE_CHECKING:
    from heyhi.project import Project


def leads_out(path: Path, folder: Path, project: Project) -> str:
    """Return the line that is shown in the place of a file that lies elsewhere; empty where it is none.

    A task, or whoever may write the results, could have a link lead to any file that the server's user reads. The
    folder itself may lie on another disk.
    """
    real = os.path.realpath(path)
    for root in (project.results_root, project.root, folder):
        if os.path.commonpath([real, inner := os.path.realpath(root)]) == inner:
            return ""
    return one_line(readable(f"{path}: leads to {real}, outside of the results and the project, and isn't shown here"))
