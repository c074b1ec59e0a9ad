"""What an experiment was given of what it needs: which results and files. One whose need was made anew since is stale.

What needs what is known by the manifests, and by the records of what was started; nothing is redone here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.given_files import digest_of, key_of, name_in
from heyhi.experiment.names import is_winner
from heyhi.experiment.records import History, Metrics
from heyhi.text import readable


def given_to(experiment: Experiment) -> dict[str, str]:
    """Return the exp id of each need with the digest of the result that it has now; of a file that of its content.

    Of the best of a sweep that is what it gives, and where its folder stands in a text value, that experiment has a
    digest of its own: its content counts then.
    """
    if not (experiment.needs or experiment.files):
        return {}
    root, project = (experiment.roots.get(name) for name in ("results_root", "project_root"))
    results_root = Path(root) if root is not None else None
    folders = [ExperimentDir(need, results_root) for need in experiment.needs]
    folders += [ExperimentDir(Path(path), results_root) for path in best_folders(experiment)]
    found = {folder.exp_id: digest for folder in folders if (digest := folder.result_digest())}
    if results_root is not None and project is not None:
        digests = {key_of(name): digest_of(name, project, results_root) for name in experiment.files}
        found |= {key: digest for key, digest in digests.items() if digest}
    return found


def best_folders(experiment: Experiment) -> list[str]:
    """Return the folders of the best ones of sweeps that stand in the text values of an experiment's config."""
    needs = [str(need) for need in experiment.needs if is_winner(str(need))]
    root = experiment.roots.get("results_root")
    if not needs or root is None:
        return []
    from heyhi.experiment.winners import GivenBests  # most need none

    return GivenBests(root).of(needs, lambda: experiment.config)


def given_in(history: History, metrics: Metrics) -> dict[str, list[str]]:
    """Return the results that what came out of an experiment is made of.

    Args:
        history: what is on record of it.
        metrics: that there are now.

    Returns:
        exp id of a need -> digests of its results that the last attempt was given, and those that have logged metrics
        on which that one may build.
    """
    found: dict[str, list[str]] = {}
    if any(start.needs for start in history.starts):
        for start in [*history.logged(metrics), *history.starts[-1:]]:
            for need, digest in start.needs.items():
                if digest not in found.setdefault(need, []):
                    found[need].append(digest)
    return found


class Results:
    """The results of one results root, and files that experiments were given, of which each is looked at once.

    Args:
        root: the results root.
        project_root: where these files are; default: nobody asks for any.
    """

    def __init__(self, root: Path, project_root: Path | None = None) -> None:
        self._root = root
        self._project_root = project_root
        self._digests: dict[str, str] = {}
        self._stale: dict[str, list[str]] = {}

    def digest(self, exp_id: str) -> str:
        """Return the digest of a result, or of a file by its key, as it is now; empty where there is none."""
        if exp_id not in self._digests:
            self._digests[exp_id] = self._digest_now(exp_id)
        return self._digests[exp_id]

    def _digest_now(self, exp_id: str) -> str:
        name = name_in(exp_id)
        if not name:
            return ExperimentDir(self._root / exp_id).result_digest()
        return digest_of(name, self._project_root, self._root) if self._project_root is not None else ""

    def made_anew(self, given: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the exp ids of those needs, and of what these need, of which there is another result now.

        Args:
            given: exp id of a need -> digests of the results that were given.
        """
        found = dict.fromkeys(self.replaced(given))
        for need in given:
            # Each once: there are more ways through layers of needs than anybody could list.
            found.update(dict.fromkeys(self._of_need(need)))
        return list(found)

    def replaced(self, given: Mapping[str, Sequence[str]]) -> list[str]:
        """Return the same, less what these need."""
        return [need for need, digests in given.items() if (now := self.digest(need)) and {*digests} != {now}]

    def _of_need(self, exp_id: str) -> list[str]:
        if exp_id not in self._stale:
            self._stale[exp_id] = []  # ends a circle, which damaged records could hold
            folder = ExperimentDir(self._root / exp_id)
            with contextlib.suppress(HeyhiError):
                history = History(folder.attempts() if not name_in(exp_id) else ())
                if any(start.needs for start in history.starts):
                    self._stale[exp_id] = self.made_anew(given_in(history, folder.metrics_now()))
        return self._stale[exp_id]


def find_stale(
    results_root: Path, folders: Iterable[str], project_root: Path | None = None, *, is_whole: bool = True
) -> dict[str, list[str]]:
    """Find out which experiments are stale.

    Args:
        results_root: of their needs.
        folders: exp paths of those that need others or files and were started; the records of each are read.
        project_root: where these files are.
        is_whole: also those that are only made of stale ones.

    Returns:
        exp path -> exp ids of the needs of which there is another result now, and keys of files that were changed.
    """
    results = Results(results_root, project_root)
    find = results.made_anew if is_whole else results.replaced
    found = {}
    for path, given in _given_of(folders):
        with contextlib.suppress(HeyhiError):  # of what can't be read nobody says that it is another one
            if needs := find(given):
                found[path] = needs
    return found


def find_made_of(results_root: Path, folders: Iterable[str], chosen: Iterable[str]) -> dict[str, list[str]]:
    """Find out which experiments are made of the results of some, or of others that are.

    Args:
        results_root: of all of them.
        folders: exp paths of those that may be; the records of each are read.
        chosen: exp paths of the ones that they may be made of.

    Returns:
        exp path -> exp ids of those of the chosen and the found that it is made of.
    """
    left = {path: list(given) for path, given in _given_of(folders) if given}
    root = f"{results_root}/"
    ids = {path.removeprefix(root) for path in chosen}
    found: dict[str, list[str]] = {}
    while new := {path: its for path, given in left.items() if (its := [need for need in given if need in ids])}:
        found |= new
        left = {path: given for path, given in left.items() if path not in new}
        ids |= {path.removeprefix(root) for path in new}
    return found


def _given_of(folders: Iterable[str]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield each of some experiments with the results that what came out of it is made of."""
    for path in folders:
        folder = ExperimentDir(Path(path))
        with contextlib.suppress(HeyhiError):  # its status says what can't be read
            history = History(folder.attempts())
            # Of a single attempt nobody has to know whether it has logged anything; there may be 10,000.
            yield path, given_in(history, folder.metrics_now() if len(history.starts) > 1 else Metrics())


def stale_text(needs: Sequence[str]) -> str:
    """Write by which needs an experiment is stale, as a part of a sentence; empty for none."""
    files = [name_in(need) for need in needs if name_in(need)]
    choices = [need for need in needs if is_winner(need)]
    results = [need for need in needs if not (name_in(need) or is_winner(need))]
    parts = [f"an earlier result of {readable(', '.join(results))}"] if results else []
    parts += [f"an earlier choice, {readable(', '.join(choices))}"] if choices else []
    parts += [f"an earlier {readable(', '.join(files))}"] if files else []
    return f"made of {' and of '.join(parts)}" if parts else ""
