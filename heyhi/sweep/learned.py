"""What a search learns from besides its own trials: experiments that words name, as a manifest keeps them.

A manifest has exp ids and searches, which any job finds in the results root; what else names experiments is resolved
when the search is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from heyhi.errors import SweepError, UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import SEARCH_ID_DIGITS, SEARCHES_NAME
from heyhi.experiment.slots import SearchDir, shown_folder
from heyhi.files import is_there
from heyhi.project import Project
from heyhi.sweep.expand import Expansion
from heyhi.sweep.manifest import SUFFIX, Manifest
from heyhi.sweep.target import exp_id_of, folder_of, is_target

_SEARCH = re.compile(rf"(?:.*/)?{SEARCHES_NAME}/([0-9a-f]{{{SEARCH_ID_DIGITS}}})/?")


def search_id_in(word: str) -> str:
    """Return the id of the search that a word names: `searches/ID`, or the path of that folder; empty where none is."""
    match = _SEARCH.fullmatch(word)
    return match[1] if match is not None else ""


def learned_words(project: Project, words: Sequence[str], expand_file: Callable[[Path], Expansion]) -> tuple[str, ...]:
    """Return what words name, as a manifest keeps it: exp ids, and searches by their folders.

    Args:
        project: whose experiments they are.
        words: sweep files, manifests, searches, and experiments by their targets, paths or exp ids.
        expand_file: expands a sweep file.

    Raises:
        HeyhiError: a word names nothing.
    """
    found: dict[str, None] = {}
    for word in words:
        found |= dict.fromkeys(_resolved(project, word, expand_file))
    return tuple(found)


def learned_folders(results_root: Path, words: Iterable[str]) -> list[str]:
    """Return the exp paths of what a manifest says that is learned from, as far as it was started.

    Args:
        results_root: where the experiments are.
        words: as `learned_words` returns them.
    """
    found: dict[str, None] = {}
    for word in words:
        search = search_id_in(word)
        found |= dict.fromkeys(_trials(results_root, search) if search else [str(results_root / word)])
    return list(found)


def _trials(results_root: Path, search_id: str) -> Iterator[str]:
    """Yield the experiments that the slots of a search have chosen."""
    search = SearchDir(results_root, search_id)
    try:
        names = sorted(path.name for path in search.slots_path.iterdir() if path.name.isdecimal())
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnknownError(f"{search.slots_path}: can't be read: {error.strerror or error}") from None
    for name in names:
        slot = str(search.slots_path / name)
        if (shown := shown_folder(slot)) != slot:
            yield shown


def _resolved(project: Project, word: str, expand_file: Callable[[Path], Expansion]) -> Iterable[str]:
    if search := search_id_in(word):
        if not is_there(SearchDir(project.results_root, search).path):
            raise SweepError(f"--learn-from {word}: there is no such search in {project.results_root}")
        return [f"{SEARCHES_NAME}/{search}"]
    if word.endswith(".py"):
        expansion = expand_file(Path(word))
        if expansion.search is not None:
            return [f"{SEARCHES_NAME}/{expansion.search.search_id}"]
        return expansion.own
    if word.endswith(SUFFIX):
        with Manifest.open(Path(word)) as manifest:
            if manifest.search is not None:
                return [f"{SEARCHES_NAME}/{manifest.search.search_id}"]
            return [exp_id_of(folder, project.results_root) for folder in manifest.own_folders]
    for base in (Path.cwd(), project.root, project.results_root):
        folder = folder_of(word, base) if is_target(word) else f"{base / word}".rstrip("/")
        if is_there(ExperimentDir(Path(folder)).identity_path):
            return [exp_id_of(folder, project.results_root)]
    raise SweepError(
        f"--learn-from {word}: expected a sweep file, a manifest, {SEARCHES_NAME}/ID or an experiment that was started"
    )
