"""The names of an experiment's folder: its target and its exp id.

A target is the name by which Snakemake asks for an experiment's result. It is relative to the root of the project that
it belongs to where the folder lies inside, else absolute. An exp id is relative to the results root, and absolute only
where the folder lies outside of it: records hold exp ids, so that they stay true when the results are moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from heyhi.errors import NO_TARGET
from heyhi.experiment.names import RESULT_NAME, is_slot, is_winner, result_of

_RESULT = f"/{RESULT_NAME}"
_END = -len(_RESULT)
_SLOT_END = ".json"


def target_of(exp_path: Path | str, project_root: Path | str) -> str:
    """Return the target of an experiment's folder (absolute)."""
    path, root = str(exp_path), f"{project_root}/"
    return result_of(path[len(root) :] if path.startswith(root) else path)


def targets_of(exp_paths: Iterable[str], project_root: Path | str) -> Iterator[str]:
    """Yield the targets of experiments' folders (absolute)."""
    root = f"{project_root}/"
    for path in exp_paths:  # no more calls than one for each, since there may be 100,000 of them
        yield result_of(path.removeprefix(root))


def is_target(word: str) -> bool:
    """Return whether a word of a command line was meant as a target: that of an experiment, or the one of a failure."""
    is_beside = is_slot_target(word) or is_winner_target(word)
    return word == NO_TARGET or word.endswith(f"/{RESULT_NAME}") or is_beside


def is_slot_target(word: str) -> bool:
    """Return whether a target is that of a search's slot."""
    return word.endswith(_SLOT_END) and is_slot(word.removesuffix(_SLOT_END))


def is_winner_target(word: str) -> bool:
    """Return whether a target is that of the best of a sweep."""
    return word.endswith(_SLOT_END) and is_winner(word.removesuffix(_SLOT_END))


def folder_of(target: str, project_root: Path | str) -> str:
    """Return the folder (absolute) that a target stands for, by the root of the project that it belongs to."""
    folder = _without_end(target)
    return folder if folder.startswith("/") else f"{project_root}/{folder}"


def folders_of(targets: Iterable[str], project_root: Path | str) -> list[str]:
    """Return the folders of targets: plain text and no call for each, since there may be 10,000 of them."""
    root = f"{project_root}/"
    return [
        folder if folder.startswith("/") else f"{root}{folder}"
        for folder in (t[:_END] if t.endswith(RESULT_NAME) else _without_end(t) for t in targets)
    ]


def _without_end(target: str) -> str:
    if target.endswith(_RESULT):  # most are, and there may be 10,000
        return target[:_END]
    beside = is_slot_target(target) or is_winner_target(target)
    return target.removesuffix(_SLOT_END) if beside else target[:_END]


def exp_id_of(exp_path: Path | str, results_root: Path | str) -> str:
    """Return the exp id of an experiment's folder (absolute)."""
    return exp_ids_of([exp_path], results_root)[0]


def exp_ids_of(exp_paths: Iterable[Path | str], results_root: Path | str) -> list[str]:
    """Return the exp ids of experiments' folders (absolute)."""
    root = f"{results_root}/"
    found = [path[len(root) :] if path.startswith(root) else path for path in map(str, exp_paths)]
    if any(exp_id.startswith("/") for exp_id in found):
        # A root that is reached by two names, one of them a link, is one: so are its experiments.
        real = f"{os.path.realpath(results_root)}/"
        found = [_below(real, exp_id) if exp_id.startswith("/") else exp_id for exp_id in found]
    return found


def _below(root: str, exp_path: str) -> str:
    real = os.path.realpath(exp_path)
    return real[len(root) :] if real.startswith(root) else exp_path


def folders_at(exp_ids: Iterable[str], results_root: Path | str) -> list[str]:
    """Return the folders (absolute) of exp ids."""
    root = f"{results_root}/"
    return [exp_id if exp_id.startswith("/") else f"{root}{exp_id}" for exp_id in exp_ids]


def targets_at(exp_ids: Iterable[str], results_root: Path | str, project_root: Path | str) -> list[str]:
    """Return the targets of exp ids."""
    head = target_of(f"{results_root}/", project_root)[:_END]
    return [
        target_of(exp_id, project_root) if exp_id.startswith("/") else f"{head}{result_of(exp_id)}"
        for exp_id in exp_ids
    ]
