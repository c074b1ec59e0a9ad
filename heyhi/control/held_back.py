"""Experiments that a launch was to start, and has held back: why, for whoever asks how they are.

A file for each such launch, whatever their number. It is forgotten with the next launch that has them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.names import HELD_NAME
from heyhi.files import parse_json, read_bounded
from heyhi.project import Project
from heyhi.sweep.held_note import NOTE_SUFFIX, read_why
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, NOTE_NAME
from heyhi.sweep.target import folders_of


def why_held(project: Project) -> Mapping[str, str]:
    """Return why experiments were held back: exp path -> a line; of what has been started since, that is no matter.

    Args:
        project: whose experiments they are.
    """
    root = project.state_root / HELD_NAME
    found: dict[str, str] = {}
    told: dict[str, str] = {}  # also of what was started since
    for name, since in _newest_last(root, NOTE_SUFFIX):
        why = read_why(root / name)
        if why:
            note = _note(project, name.removesuffix(NOTE_SUFFIX))
            first = set(folders_of(_texts(note, "canaries"), project.root))  # which are told apart
            its = [path for path in folders_in(project, note) if path not in first]
            # Of launches that have some in common, the newest one's reason alone holds.
            outdated = {told[path] for path in its if path in told}
            found = {path: line for path, line in found.items() if line not in outdated}
            found |= dict.fromkeys(its, why)
            told |= dict.fromkeys(its, why)
            # Another launch that has some of them was begun later, and hasn't held them back.
            for other in _begun_after(project, since, name.removesuffix(NOTE_SUFFIX)):
                for path in folders_in(project, _note(project, other)):
                    found.pop(path, None)
    return found


def held_mark(project: Project) -> object:
    """Return what is the same as long as the same is held back."""
    root = project.state_root / HELD_NAME
    held = [*_newest_last(root, NOTE_SUFFIX)]
    return held and (held, [*_begun_after(project, held[0][1], "")])


def folders_in(project: Project, note: Mapping[str, object]) -> list[str]:
    """Return the exp paths of what a controller was told to run.

    Args:
        project: whose controller it is.
        note: as it has written it down.
    """
    folders = folders_of([*_texts(note, "targets"), *_texts(note, "more")], project.root)
    for path in _texts(note, "manifests"):
        with contextlib.suppress(HeyhiError), Manifest.open(project.root / path) as manifest:
            folders += manifest.folders
    return list(dict.fromkeys(folders))


def _note(project: Project, name: str) -> Mapping[str, object]:
    with contextlib.suppress(OSError, ValueError):
        data = parse_json(read_bounded(project.state_root / CONTROLLERS_NAME / name / NOTE_NAME))
        if isinstance(data, dict):
            return data
    return {}


def _texts(note: Mapping[str, object], key: str) -> list[str]:
    values = note.get(key)
    return [text for text in values if isinstance(text, str)] if isinstance(values, list | tuple) else []


def _newest_last(root: Path, suffix: str) -> Iterator[tuple[str, int]]:
    """Yield the names of files, and when they were written; none where there is no such folder."""
    try:
        entries = [entry for entry in os.scandir(root) if entry.name.endswith(suffix)]
        yield from sorted(((entry.name, entry.stat().st_mtime_ns) for entry in entries), key=lambda one: one[1])
    except OSError:
        return


def _begun_after(project: Project, since: int, but: str) -> Iterator[str]:
    """Yield the names of the controllers that were begun after a time."""
    root = project.state_root / CONTROLLERS_NAME
    try:
        entries = [entry for entry in os.scandir(root) if not entry.name.endswith(".log") and entry.name != but]
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            if os.stat(f"{entry.path}/{NOTE_NAME}").st_mtime_ns > since:  # noqa: PTH116
                yield entry.name
