"""What a server shows, as it is by now: the sources of its table, found anew where something came that tells of others.

That is a launch, a manifest, a best of a sweep that was chosen, an edited sweep file or config. Each look costs a few
calls of stat; where nothing has changed, nothing is composed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError
from heyhi.experiment.names import WINNERS_NAME
from heyhi.experiment.slots import SearchDir
from heyhi.report.kept_readings import SETTLED_SECONDS
from heyhi.serve.watched import Watched
from heyhi.sweep.kept_expansion import config_stamps
from heyhi.sweep.known import KNOWN_NAME, LAUNCHES_NAME
from heyhi.sweep.manifest import manifests_root

if TYPE_CHECKING:
    from heyhi.project import Project
    from heyhi.report.searched import Searched
    from heyhi.report.source import Source
    from heyhi.slurm.aside import Aside

_PART = 5  # of the time that may be spent on finding sources, or the trials of a search
_CONFIG_SECONDS = 2.0  # between two looks at the configs
_IMPORTANCE_SECONDS = 60.0  # between two computations of how important the keys of a search are

Stamps = list[tuple[object, ...]]


class ShownSources:
    """The sources of a table, and what is watched of each.

    Args:
        project: around the working directory.
        find: returns the sources as they are now.
        aside: asks Slurm.

    Attributes:
        sources: of the table.
        watched: the experiments of each.
        is_found: whether they were found at least once.
        error: why they can't be found now; None where they can.
    """

    def __init__(self, project: Project, find: Callable[[], Sequence[Source]], aside: Aside) -> None:
        self.sources: list[Source] = []
        self.watched: list[Watched] = []
        self.is_found = False
        self.error: HeyhiError | None = None
        self._project, self._find, self._aside = project, find, aside
        self._stamps: Stamps | None = None
        self._configs: Stamps = []
        self._next = self._next_configs = 0.0
        self._searches: list[Stamps] = []
        self._next_search: list[float] = []
        self._computed: dict[str, float] = {}  # search -> when it was computed how important its keys are

    def look(self, *, is_news: bool) -> bool:
        """Find the sources anew where they may be others.

        Args:
            is_news: whether experiments have changed.

        Returns:
            whether they are others.
        """
        now = time.monotonic()
        if now < self._next:
            return False
        if now >= self._next_configs:
            self._configs = list(self._config_stamps())
            took = time.monotonic() - now
            self._next_configs = now + max(_CONFIG_SECONDS, _PART * took)
        stamps = [*self._own_stamps(), *self._configs]
        if stamps == self._stamps:
            return self._look_at_searches(is_news=is_news)
        try:
            sources = list(self._find())
            changed = self._take(sources) or not self.is_found
            self.is_found, self.error = True, None
        except HeyhiError as error:  # what was known stays
            self.error = error
            changed = False
        # Of the sources by now; what has come meanwhile, or may come within a clock's tick, is found by the next look.
        before = {stamp[0]: stamp for stamp in stamps}
        own = [before.get(stamp[0]) or stamp for stamp in self._own_stamps()]
        self._stamps = [*own, *self._configs] if all(map(_is_settled, own)) else None
        self._next = time.monotonic() + _PART * (time.monotonic() - now)
        return changed or self._look_at_searches(is_news=is_news)

    def _take(self, sources: list[Source]) -> bool:
        then = {_name(source): watched for source, watched in zip(self.sources, self.watched, strict=True)}
        names = list(map(_name, sources))
        is_same = names == list(map(_name, self.sources)) and bool(self.sources)
        if is_same and [one.warnings for one in sources] == [one.warnings for one in self.sources]:
            return False
        found = []
        for name, source in zip(names, sources, strict=True):
            watched = then.get(name)
            if watched is None:
                plan = source.plan()
                before = self._before(source, plan.reader.name)
                watched = Watched(plan, self._aside, before)
            found.append(watched)
        self.sources, self.watched = sources, found
        self._searches = [list(_search_stamps(source)) for source in sources]
        self._next_search = [0.0] * len(sources)
        return True

    def _before(self, source: Source, name: bytes) -> Watched | None:
        """Return what was watched of the same sweep before, or of the most experiments that were read alike."""
        alike = [
            (then.manifest.label == source.manifest.label, len(watched.seen), watched)
            for then, watched in zip(self.sources, self.watched, strict=True)
            if watched.plan.reader.name == name and then.project.results_root == source.project.results_root
        ]
        return max(alike, key=lambda one: one[:2])[2] if alike else None

    def _look_at_searches(self, *, is_news: bool) -> bool:
        """Read the trials of searches anew where there may be others."""
        changed = False
        now = time.monotonic()
        for place, source in enumerate(self.sources):
            if source.manifest.search is None or now < self._next_search[place]:
                continue
            stamps = list(_search_stamps(source))
            if stamps == self._searches[place] and not is_news:
                continue
            before = self.watched[place]
            begin = time.monotonic()
            try:
                plan = source.plan()
            except HeyhiError as error:
                self.error = error
                continue
            if plan.searched is not None and before.plan.searched is not None:
                self._keep_importance(plan.searched, before.plan.searched, now)
            self.watched[place] = Watched(plan, self._aside, before)
            self._searches[place], changed = stamps, True
            self._next_search[place] = time.monotonic() + _PART * (time.monotonic() - begin)
        return changed

    def _keep_importance(self, now: Searched, before: Searched, when: float) -> None:
        search = now.spec.search_id
        is_old = when - self._computed.setdefault(search, when) >= _IMPORTANCE_SECONDS
        if is_old or not now.take_importance(before):
            self._computed[search] = when

    # --- what tells of others

    def _own_stamps(self) -> Iterator[tuple[object, ...]]:
        projects = dict.fromkeys([self._project, *(source.project for source in self.sources)])
        for project in projects:
            root = project.state_root
            for folder in (root / KNOWN_NAME, root / LAUNCHES_NAME, manifests_root(project)):
                yield _stamp(folder)
            yield _stamp(project.results_root / WINNERS_NAME)
        for source in self.sources:
            if source.manifest.sweep:
                yield _stamp(source.project.root / source.manifest.sweep)

    def _config_stamps(self) -> Iterator[tuple[object, ...]]:
        if any(not source.only for source in self.sources):
            with contextlib.suppress(OSError):
                yield from config_stamps(self._project)


def _name(source: Source) -> tuple[object, ...]:
    """Return what tells a source from others."""
    manifest = source.manifest
    chosen = manifest.completed_by if manifest.contests else ""
    stamp = _stamp(source.project.root / manifest.sweep) if manifest.sweep else ()
    return source.project, manifest.digest, str(manifest.results_root), chosen, source.only, source.runs_of, stamp


def _search_stamps(source: Source) -> Iterator[tuple[object, ...]]:
    spec = source.manifest.search
    if spec is None:
        return
    search = SearchDir(source.manifest.results_root, spec.search_id)
    for path in (search.path, search.slots_path, search.rungs_path):
        yield _stamp(path)
    with contextlib.suppress(OSError), os.scandir(search.rungs_path) as entries:
        for entry in entries:
            yield entry.name, entry.stat().st_mtime_ns


def _is_settled(stamp: tuple[object, ...]) -> bool:
    """Return whether a file or folder can't have changed since without another stamp."""
    return len(stamp) < 3 or (isinstance(stamp[1], int) and stamp[1] / 1e9 < time.time() - SETTLED_SECONDS)


def _stamp(path: Path) -> tuple[object, ...]:
    try:
        found = path.stat()
    except OSError as error:
        return str(path), error.errno
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino
