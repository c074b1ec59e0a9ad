"""All that is known of a results root, as the sources of a table: by the sweeps and searches that were launched.

An experiment stays with the sweep that launched it, whatever was launched again by itself since. A launch within
another one, of fewer experiments, is no sweep of its own; of others that overlap, the first has what both have.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from heyhi.errors import ManifestError
from heyhi.experiment.names import is_slot
from heyhi.experiment.slots import shown_folders
from heyhi.report.source import Source
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.known import KNOWN_NAME, LaunchRecord, read_known, read_launches
from heyhi.sweep.manifest import Manifest, manifests_root
from heyhi.sweep.target import folders_at, folders_of, target_of

if TYPE_CHECKING:
    from heyhi.project import Project
    from heyhi.sweep.expand import Expansion

_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)")


class _Sweep(NamedTuple):
    """A sweep that was launched, by one manifest or several.

    Attributes:
        manifests: of it, the newest first, each with the places of its own experiments among all that are known.
        its: all of these places.
        begun: when it was launched first.
        last: when it was launched last.
    """

    manifests: list[tuple[Manifest, list[int]]]
    its: frozenset[int]
    begun: str
    last: str


def known_sources(project: Project, recomposed: Callable[[Sequence[str]], Expansion]) -> list[Source]:
    """Return the sources of all that is known, what was launched last first.

    A search is a source with all of its trials; of a sweep, what is known of it, in its order.

    Args:
        project: whose experiments they are.
        recomposed: composes those that are in no manifest.

    Raises:
        HeyhiError: none of those can be composed.
    """
    index = ManifestIndex.open(project)
    index.warn_of_gone()
    every = index.known()
    slots = list(filter(is_slot, every))
    folders = [folder for folder in every if not is_slot(folder)]
    records = read_launches(project, said=index.unread())
    sweeps, searches = _launched(project, records, folders, index.find_all(slots).values())
    found = [(last, Source.of_search(manifest, project)) for manifest, last in searches]
    left = dict.fromkeys(range(len(folders)))
    for last, manifest, places in _divided(sweeps, folders, left):
        only = tuple(target_of(folders[place], manifest.project_root) for place in places)
        with contextlib.suppress(ManifestError):  # a row is damaged: said by who looks for another one that has it
            manifest.check_has(only)
            found.append((last, Source(manifest, project, only=only)))
            for place in places:
                del left[place]
    trials = set(shown_folders(slots))
    alone = sorted((folders[place] for place in left if folders[place] not in trials), key=by_number)
    if alone:
        times = _first_times(project, records)
        found += [(_time_of(one, times), one) for one in Source.of_experiments(project, alone, recomposed)]
    return [source for _, source in sorted(found, key=lambda one: one[0], reverse=True)]


def by_number(text: str) -> list[tuple[float, str]]:
    """Return what texts are sorted by so that `seed=2` comes before `seed=10`."""
    parts = _NUMBER.split(text)
    return [(float(part), "") if place % 2 else (0.0, part) for place, part in enumerate(parts)]


def _launched(
    project: Project, records: Sequence[LaunchRecord], folders: Sequence[str], of_slots: Iterable[Path]
) -> tuple[list[_Sweep], list[tuple[Manifest, str]]]:
    """Open what was launched whole: sweeps, and searches, each with when it was launched last."""
    place_of = {folder: place for place, folder in enumerate(folders)}
    root = manifests_root(project)
    times: dict[Path, list[str]] = {}
    for record in records:  # the oldest first
        if record.manifest:
            times.setdefault(root / record.manifest, []).append(record.time)
    sweeps: dict[str, list[tuple[str, str, Manifest, list[int]]]] = {}
    searches: dict[str, tuple[Manifest, str]] = {}
    for path in dict.fromkeys([*of_slots, *times]):
        with contextlib.suppress(ManifestError):  # said by the index, or by who looks for another one
            manifest = Manifest.open(path)
            its = times.get(path) or [_changed(path)]
            spec = manifest.search
            if spec is None:
                own = [place_of[folder] for folder in manifest.own_folders if folder in place_of]
                sweeps.setdefault(manifest.label, []).append((its[-1], its[0], manifest, own))
            elif spec.search_id not in searches or its[-1] >= searches[spec.search_id][1]:
                searches[spec.search_id] = manifest, its[-1]
    return [_sweep_of(of_label) for of_label in sweeps.values()], list(searches.values())


def _sweep_of(launched: list[tuple[str, str, Manifest, list[int]]]) -> _Sweep:
    """Put together what was launched under one label; of each manifest, when it was last and first."""
    launched.sort(key=lambda one: one[0], reverse=True)
    its = frozenset(place for *_, own in launched for place in own)
    manifests = [(manifest, own) for *_, manifest, own in launched]
    return _Sweep(manifests, its, min(begun for _, begun, *_ in launched), launched[0][0])


def _divided(
    sweeps: Sequence[_Sweep], folders: Sequence[str], known: Iterable[int]
) -> list[tuple[str, Manifest, list[int]]]:
    """Say which experiments are shown by which manifest: its own, and then what these need that is no other's."""
    whole: list[_Sweep] = []
    for one in sorted(sweeps, key=lambda one: (-len(one.its), one.begun)):
        if not any(one.its <= other.its for other in whole):
            whole.append(one)
    left = dict.fromkeys(known)
    found: list[tuple[str, Manifest, list[int]]] = []
    for one in sorted(whole, key=lambda one: one.begun):
        for manifest, own in one.manifests:
            places = [place for place in own if place in left]
            for place in places:
                del left[place]
            found.append((one.last, manifest, places))
    if left:  # mostly, all are some sweep's own
        place_of = {folders[place]: place for place in left}
        for _, manifest, places in found:
            with contextlib.suppress(ManifestError):
                places += [place_of.pop(folder) for folder in manifest.folders if folder in place_of]
    return [one for one in found if one[-1]]


def _first_times(project: Project, records: Sequence[LaunchRecord]) -> dict[str, str]:
    """Return when experiments were launched first by themselves, by their exp paths."""
    found: dict[str, str] = {}
    for record in records:
        if record.known:
            with contextlib.suppress(OSError, ValueError):
                names = folders_at(read_known(project.state_root / KNOWN_NAME / record.known), project.results_root)
                for folder in names:
                    found.setdefault(folder, record.time)
    return found


def _time_of(source: Source, times: Mapping[str, str]) -> str:
    """Return when what was launched by itself was, as far as that is known."""
    known = [time for folder in folders_of(source.only, source.manifest.project_root) if (time := times.get(folder))]
    if known:
        return min(known)
    return "" if source.passing is not None else _changed(source.manifest.path)


def _changed(path: Path) -> str:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="microseconds")
    except OSError:
        return ""
