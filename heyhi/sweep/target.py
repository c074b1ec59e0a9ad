"""A target is the name by which Snakemake asks for an experiment's result; it stands for the experiment's folder.

It is relative to the root of the project that it belongs to where the folder lies inside, else absolute.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from heyhi.experiment.names import RESULT_NAME

_END = -len(RESULT_NAME) - 1


def target_of(exp_path: Path | str, project_root: Path | str) -> str:
    """Return the target of an experiment's folder (absolute)."""
    path, root = str(exp_path), f"{project_root}/"
    return f"{path[len(root) :] if path.startswith(root) else path}/{RESULT_NAME}"


def folder_of(target: str, project_root: Path | str) -> str:
    """Return the folder (absolute) that a target stands for, by the root of the project that it belongs to."""
    folder = target[:_END]
    return folder if folder.startswith("/") else f"{project_root}/{folder}"


def folders_of(targets: Iterable[str], project_root: Path | str) -> list[str]:
    """Return the folders of targets: plain text and no call for each, since there may be 10,000 of them."""
    root, end = f"{project_root}/", _END
    return [t[:end] if t.startswith("/") else f"{root}{t[:end]}" for t in targets]
