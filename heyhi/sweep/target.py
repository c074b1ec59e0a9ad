"""The name by which Snakemake asks for an experiment's result, and the folder that it stands for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from heyhi.experiment.names import RESULT_NAME


def target_of(exp_path: Path | str, project_root: Path | str) -> str:
    """Name an experiment's result as Snakemake does: relative to the project root where it lies inside."""
    path, root = str(exp_path), f"{project_root}/"
    return f"{path[len(root) :] if path.startswith(root) else path}/{RESULT_NAME}"


def _folder_of(root: str, target: str) -> str:
    folder = target[: -len(RESULT_NAME) - 1]
    return folder if folder.startswith("/") else f"{root}/{folder}"


def _folders(root: str, targets: Iterable[str]) -> list[str]:
    """Return the absolute exp paths of targets: plain text, since there may be 10,000 of them."""
    end = -len(RESULT_NAME) - 1
    return [t[:end] if t.startswith("/") else f"{root}/{t[:end]}" for t in targets]


def _target(root: str, exp_path: str) -> str:
    inside = exp_path.removeprefix(f"{root}/")
    return f"{inside}/{RESULT_NAME}"
