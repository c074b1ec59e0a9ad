"""The record of a launch by `heyhi launch` or `retry`: it is there before the controller, and gone if none is started.

What a record is, and where it lies, `heyhi.sweep.known` says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heyhi.control.survey import Survey
from heyhi.errors import HeyhiError
from heyhi.project import Project
from heyhi.sweep.known import LaunchRecord, label_of, note_known, write_launch
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import exp_ids_of


@dataclass(frozen=True)
class Launching:
    """What is about to be launched.

    Attributes:
        project: whose experiments they are.
        argv: the command line.
        whole: manifests of the sweeps that are run whole.
        single: exp paths of the experiments that are run beside them.
        survey: has looked at these; it knows what they need.
        profile: Snakemake's, by its name or folder.
    """

    project: Project
    argv: Sequence[str]
    whole: Sequence[Manifest]
    single: Sequence[str]
    survey: Survey
    profile: str
    _written: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the record, or of the first of them."""
        return self._written[0].stem if self._written else ""

    @contextlib.contextmanager
    def on_record(self) -> Iterator[Launching]:
        """Write it down, and take that back where what is done inside ends in a user's error.

        Raises:
            ResultError: it can't be written.
        """
        try:
            self._write()
            yield self
        except HeyhiError:
            self.take_back()
            raise

    def record_unknown(self) -> None:
        """Write down what there is nothing to start of, where some of it isn't known: its record was lost.

        Raises:
            ResultError: it can't be written.
        """
        from heyhi.sweep.index import ManifestIndex

        if not set(self.survey.folders) <= set(ManifestIndex.open(self.project).known()):
            self._write()

    def take_back(self) -> None:
        """Remove the records: nothing was launched by this."""
        for path in self._written:
            path.unlink(missing_ok=True)
        self._written.clear()

    def _write(self) -> None:
        command, words = self.argv[0], self.argv[1:]
        for manifest in self.whole:
            name, expand = manifest.path.name, manifest.words
            self._note(
                LaunchRecord.now(command, words, manifest.label, manifest=name, expand=expand, profile=self.profile)
            )
        if self.single:
            known = note_known(self.project, self._needs())
            if known.is_new:
                self._written.append(known.path)
            names = exp_ids_of(self.single, self.project.results_root)
            label = label_of(names)
            self._note(LaunchRecord.now(command, words, label, known=known.path.name, profile=self.profile))

    def _note(self, record: LaunchRecord) -> None:
        self._written.append(write_launch(self.project, record))

    def _needs(self) -> dict[str, list[str]]:
        """Return the single experiments and what they need, by exp ids."""
        root = self.project.results_root
        found: dict[str, list[str]] = {}
        left = list(self.single)
        while left:
            path = left.pop()
            exp_id, *needs = exp_ids_of([path, *(needed := self.survey.needs_of(path))], root)
            if exp_id not in found:
                found[exp_id] = needs
                left += needed
        return found
