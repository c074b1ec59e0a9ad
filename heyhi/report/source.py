"""What a report is made of: a sweep, as its manifest or as its file is today, and the function that reads its runs."""

from __future__ import annotations

import contextlib
import glob
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.code.import_path import own_modules_first
from heyhi.collector import paused_collection
from heyhi.config.schema import load_schema
from heyhi.errors import HeyhiError, ManifestError
from heyhi.experiment.directions import Directions
from heyhi.experiment.metrics import BEST
from heyhi.project import Project
from heyhi.quick_dataclass import dataclass, field, replace
from heyhi.report.foreseen import sheet_named_by
from heyhi.report.parts import AtBest, Part, Plan, Progress, read_part
from heyhi.report.read import Collector, Reader
from heyhi.sweep.expand import composable
from heyhi.sweep.file import default_sweep, load_sweep_module, read_sweep_file
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.kept_expansion import RememberedExpansion
from heyhi.sweep.manifest import SUFFIX, Manifest, by_own_name, looked_at_root, project_of
from heyhi.sweep.own_code import stdout_to_stderr
from heyhi.sweep.target import target_of
from heyhi.sweep.write_manifest import write_manifest

if TYPE_CHECKING:
    from heyhi.config.schema import Schema
    from heyhi.experiment.handle import Handle
    from heyhi.sweep.expand import Expansion


def load_collector(project: Project, sweep: str | None) -> Collector | None:
    """Return the sweep file's `get_logs_data`, or None where it has none.

    Raises:
        SweepError: the sweep file can't be read any more.
    """
    if sweep is None:
        return None
    found: Collector | None = getattr(load_sweep_module(project, project.root / sweep), "get_logs_data", None)
    return _importing_own_modules(found, project.root) if callable(found) else found


def _importing_own_modules(collector: Collector, root: Path) -> Collector:
    def collect_run(handle: Handle) -> Mapping[str, Any]:
        with own_modules_first(root):
            return collector(handle)

    return collect_run


@dataclass(frozen=True)
class Source:
    """A sweep that is reported: its manifest, and what its sweep file says about the report."""

    manifest: Manifest
    project: Project
    sheet: tuple[str, str] | None = None
    warnings: list[str] = field(default_factory=list)
    passing: object = None  # a folder of the manifest that goes with this, where the results can't be written
    only: tuple[str, ...] = ()  # targets of those that were named themselves; empty for the whole sweep
    runs_of: str = ""  # sweep file whose function reads their runs; empty for the manifest's

    @classmethod
    def open(cls, project: Project, sweep: Path) -> Source:
        """Open a sweep file (expanded as it is now) or a manifest.

        Raises:
            HeyhiError: it is wrong, or isn't there.
        """
        if sweep.suffix == SUFFIX:
            return cls.of(Manifest.open(by_own_name(sweep, project)), project)
        schema = load_schema(project)
        file = read_sweep_file(project, sweep)
        points = list(file.points)
        remembered = RememberedExpansion(project, schema, file, points)
        found = remembered.find()
        if found is not None:
            with contextlib.suppress(ManifestError):  # damaged: it is written anew
                source = cls.of(Manifest.open(found.manifest), project)
                return replace(source, warnings=[*found.warnings, *source.warnings])
        expansion = file.expand(project, schema, points)
        source = cls.of_expansion(project, schema, expansion)
        remembered.keep(expansion, source.manifest.path)
        return source

    @classmethod
    def of_expansion(cls, project: Project, schema: Schema, expansion: Expansion, words: Sequence[str] = ()) -> Source:
        """Report a sweep that was expanded just now, by the words that name it."""
        try:
            folder = looked_at_root(project)
            manifest = Manifest.open(write_manifest(expansion, project, schema, words=words, folder=folder))
        except ManifestError:  # somebody else's results, or a full disk: both can be looked at
            return cls._passing(project, schema, expansion, words)
        sheet, warnings = _sheet_of(project, manifest)
        return cls(manifest, _aimed(project, manifest), sheet, [*expansion.warnings, *warnings])

    @classmethod
    def _passing(cls, project: Project, schema: Schema, expansion: Expansion, words: Sequence[str] = ()) -> Source:
        """Report what is expanded into a manifest that is gone afterwards."""
        passing = tempfile.TemporaryDirectory(prefix="heyhi-")
        folder = Path(passing.name)
        manifest = Manifest.open(write_manifest(expansion, project, schema, words=words, folder=folder))
        sheet, warnings = _sheet_of(project, manifest)
        return cls(manifest, _aimed(project, manifest), sheet, [*expansion.warnings, *warnings], passing)

    @classmethod
    def of(cls, manifest: Manifest, here: Project | None = None) -> Source:
        """Report what an open manifest holds, by the settings of its own project.

        Args:
            manifest: of whatever project.
            here: the project around the working directory; it has the manifest where it was moved together with it.
        """
        project = project_of(manifest, here)
        return cls(manifest, _aimed(project, manifest), *_sheet_of(project, manifest))

    @classmethod
    def of_search(cls, manifest: Manifest, project: Project) -> Source:
        """Report all trials of a search by this project, whoever has launched it."""
        return cls(manifest, _aimed(project, manifest))

    @classmethod
    def of_experiments(
        cls, project: Project, folders: Sequence[str], recomposed: Callable[[Sequence[str]], Expansion]
    ) -> list[Source]:
        """Report experiments that were named themselves, by the manifests that each was expanded into last.

        Args:
            project: whose experiments they are.
            folders: their exp paths.
            recomposed: composes those that are in no manifest.
        """
        index = ManifestIndex.open(project).find_all(folders)
        known: dict[Path, list[str]] = {}
        for folder in folders:
            if folder in index:
                known.setdefault(index[folder], []).append(folder)
        sources, said = [], []
        for path, its in known.items():
            try:
                manifest = Manifest.open(path)
                only = tuple(target_of(folder, manifest.project_root) for folder in its)
                manifest.check_has(only)
            except ManifestError as error:  # as if it were gone
                said.append(f"{error}; it is composed as it would be today")
                for folder in its:
                    del index[folder]
                continue
            # By this project, whoever has expanded it: the sweep file of another clone is code that isn't run here.
            sources.append(cls(manifest, project, only=only))
        alone, problems = composable([folder for folder in folders if folder not in index], recomposed)
        if alone:
            source = cls._passing(project, load_schema(project), recomposed(alone))
            sources.append(replace(source, only=tuple(source.manifest.targets)))
        if problems and not sources:
            raise next(iter(problems.values()))
        said += [f"left out, since it can't be composed today: {problem}" for problem in problems.values()]
        return [replace(source, warnings=[*source.warnings, *said]) for source in sources[:1]] + sources[1:]

    def collector(self) -> tuple[Collector | None, bytes]:
        """Return the sweep file's `get_logs_data` and its text; neither where it has none or can't be read any more."""
        sweep = self.runs_of or self.manifest.sweep
        if sweep is None:
            return None, b""
        try:
            found = load_collector(self.project, sweep)
            return found, (self.project.root / sweep).read_bytes() if found is not None else b""
        except (HeyhiError, OSError) as error:
            print(f"warning: {error}; the table has the default columns", file=sys.stderr)
            return None, b""

    def plan(self) -> Plan:
        """Plan how its experiments are read, again and again."""
        reader = Reader(self.project, *self.collector(), follows=True)
        return Plan.of(self.manifest, reader, only=self.only)

    def part(
        self,
        *,
        with_needs: bool = False,
        drift: bool = False,
        at_best: AtBest | None = None,
        progress: Progress = lambda total: lambda: None,
    ) -> Part:
        """Read its experiments."""
        collector, source = self.collector()
        # A table may go to standard output; what get_logs_data prints is no part of it.
        with paused_collection(), stdout_to_stderr() if collector is not None else contextlib.nullcontext():
            return read_part(
                self.manifest,
                Reader(self.project, collector, source, at_best),
                with_needs=with_needs,
                drift=self._drift() if drift else None,
                progress=progress,
                only=self.only,
            )

    def _drift(self) -> dict[str, list[str]]:
        from heyhi.control.survey import Part, Survey

        return Survey.of_parts([Part.of_manifest(self.project, self.manifest)]).drift(load_schema)


def _aimed(project: Project, manifest: Manifest) -> Project:
    """Return a project that knows which way the metric of a search is better, unless it declares that itself."""
    spec, settings = manifest.search, project.settings
    if spec is None:
        return project
    metric = spec.metric.removesuffix(BEST)
    if Directions(settings.minimize, settings.maximize).declared(metric):
        return project
    pattern = glob.escape(metric)
    if spec.direction == "min":
        return project._replace(settings=settings._replace(minimize=(*settings.minimize, pattern)))
    return project._replace(settings=settings._replace(maximize=(*settings.maximize, pattern)))


def _sheet_of(project: Project, manifest: Manifest) -> tuple[tuple[str, str] | None, list[str]]:
    """Return the spreadsheet and worksheet that a sweep file names."""
    return (None, []) if manifest.sweep is None else sheet_named_by(project, manifest.sweep)


def sweeps_of(project: Project, sweep: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """Name the sweeps that are meant.

    Raises:
        HeyhiError: none is, and the settings name none.
    """
    if sweep is None or (not isinstance(sweep, (str, Path)) and not sweep):
        return [default_sweep(project)]
    return [Path(s) for s in ([sweep] if isinstance(sweep, (str, Path)) else sweep)]
