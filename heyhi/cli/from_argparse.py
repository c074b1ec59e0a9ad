"""`heyhi init --from SCRIPT`: a project whose settings are a script's arguments; draft/ has what is made of them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from heyhi.cli.draft.drafts import Drafts, Place, draft
from heyhi.cli.init import init, is_project, looking_into, project_names
from heyhi.cli.made import lines_of, next_lines
from heyhi.cli.placing import is_empty
from heyhi.project import Project, find_project
from heyhi.text import in_line

_MOST_REMARKS = 20


def init_from(script: Path, folder: Path, *, is_dry_run: bool) -> None:
    """Make a folder a project by what a script reads by argparse, and say what was made of it.

    Args:
        script: is read, and neither run nor changed.
        folder: is to be the project.
        is_dry_run: write nothing, and print what would be written; of a project, what its files lack for the script.

    Raises:
        ProjectError: there are no arguments that could be read, or the folder can't be made a project.
    """
    root = Path(os.path.abspath(folder))  # noqa: PTH100 (names in messages are those that the user gave)
    with looking_into(root):
        if is_dry_run and is_project(root):
            _show_for(find_project(root), script)
            return
        names = project_names(folder)
        is_new = is_empty(root)
    # With those two, at most twelve files are made.
    missing = sum(not os.path.lexists(root / name) for name in ("pyproject.toml", ".gitignore"))
    place = Place(root, names.task, names.conf, 3 - missing, is_new)
    drafts = draft(script, place)
    made = init(
        folder,
        drafts=drafts.files,
        config=drafts.config,
        override=drafts.override,
        sweep=drafts.sweep,
        is_dry_run=is_dry_run,
    )
    print("\n".join(lines_of(made)), flush=True)
    if is_dry_run:
        for name in (name for name in made.files if name in drafts.files):
            _show(name, drafts)
        sys.stdout.flush()
    for line in _said(drafts, names.conf):
        print(in_line(line), file=sys.stderr)
    if is_dry_run:
        print("dry run: nothing was written", file=sys.stderr)
        return
    # The task file has the folders of the script's packages on its path; a sweep that lacks something can't run yet.
    made = replace(made, packages=(), sweep="" if drafts.unset else made.sweep)
    print("\n".join(next_lines(made)), file=sys.stderr)


def _show_for(project: Project, script: Path) -> None:
    """Print what would be written for a script if the project weren't there, to be copied from."""
    place = Place(project.root, _task_file_of(project), project.relative(project.conf_root))
    drafts = draft(script, place)
    for name in drafts.files:
        _show(name, drafts)
    sys.stdout.flush()
    for line in _said(drafts, place.conf):
        print(in_line(line), file=sys.stderr)
    print(
        "dry run: nothing was written; this is a project already, and what to take over from these is shown by"
        " `heyhi docs existing-repo`: A second task",
        file=sys.stderr,
    )


def _task_file_of(project: Project) -> str:
    return f"{project.settings.entry.partition(':')[0].replace('.', '/')}.py"


def _show(name: str, drafts: Drafts) -> None:
    print(f"\n--- {in_line(name)}\n{drafts.files[name].decode()}", end="")


def _said(drafts: Drafts, conf: str) -> list[str]:
    """Say what was read, what wasn't, and what to know of it."""
    lines = [drafts.summary]
    lines += [f"not read: line {remark.line}: {remark.text}" for remark in drafts.remarks[:_MOST_REMARKS]]
    if len(drafts.remarks) > _MOST_REMARKS:
        lines.append(f"not read: {len(drafts.remarks) - _MOST_REMARKS} more, which are in {conf}/conf.proto")
    return [*lines, *(f"note: {note}" for note in drafts.notes)]
