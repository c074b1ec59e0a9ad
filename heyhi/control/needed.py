"""What is still needed of what HeyHi keeps beside experiments: copies of the code, manifests, and needs themselves.

Whatever can't be read counts as needed, and so does everything that it could have named.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from heyhi.control.controller import Controller, find_controllers
from heyhi.control.find import experiments_of
from heyhi.control.survey import Part, Survey
from heyhi.errors import HeyhiError, ManifestError
from heyhi.experiment.claim import read_owner
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import CLAIM_NAME, JOB_NAME
from heyhi.job.order import root_mark
from heyhi.project import Project
from heyhi.slurm.commands import Phase, Queue, is_here
from heyhi.slurm.refusals import Meaning, meaning_of
from heyhi.sweep.known import LAUNCHES_NAME, names_in, read_launch
from heyhi.sweep.manifest import Manifest, manifests_on_disk, manifests_root, project_of


@dataclass
class Needed:
    """What is needed, and by what.

    Attributes:
        code: digest of a copy of the code -> why.
        manifests: name of a manifest -> why.
        everything: why no copy and no manifest at all may go; empty where some may.
        since: when the first of the controllers that live was started, in seconds since 1970; None where none lives.
    """

    code: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)
    everything: str = ""
    since: float | None = None


def needed_experiments(survey: Survey) -> dict[str, str]:
    """Return the exp paths of what experiments need that aren't done yet -> which one needs it."""
    found: dict[str, str] = {}
    for row in survey.not_done:
        for need in survey.waits_for(row.asked):
            found.setdefault(need, f"{row.exp_id} needs it, and is {row.status.value}")
    return found


def find_needed(project: Project, survey: Survey) -> Needed:
    """Find what experiments, jobs, controllers and launches of a results root need.

    Args:
        project: whose results root it is.
        survey: of all experiments that are known.
    """
    search = _Search(project, survey)
    try:
        search.run()
    except (HeyhiError, OSError) as error:
        search.needed.everything = str(error)
    return search.needed


class _Search:
    """One look at all that may need something."""

    def __init__(self, project: Project, survey: Survey) -> None:
        self.project = project
        self.survey = survey
        self.needed = Needed()
        self._recorded: dict[str, str] = {}  # exp path -> why the code on its record is needed

    def run(self) -> None:
        """Look at everything.

        Raises:
            HeyhiError: something can't be read that may need whatever there is.
            OSError: likewise.
        """
        for controller in find_controllers(self.project):
            self._add_controller(controller)
        self._add_launches()
        self._add_jobs()
        self._add_manifests()
        for path in self.survey.folders:
            if path in self.survey.others:
                self._recorded.setdefault(path, "on record of experiments that aren't done")
            # Its job may be about to end, and reads code until then.
            elif os.path.lexists(f"{path}/{CLAIM_NAME}") and read_owner(path) is not None:
                self._recorded.setdefault(path, "run by jobs")
        for path, why in self._recorded.items():
            history = ExperimentDir(Path(path)).history()
            job = history.submission
            if job is not None and job.code:
                self.needed.code.setdefault(job.code, why)

    def _add_controller(self, controller: Controller) -> None:
        """Keep what a controller was told to run; which copy of the code it hands out, follows from when it started."""
        spec = controller.spec()
        if spec is None or (controller.owner is None and not controller.is_unattended):
            raise HeyhiError(f"controller {controller.name} runs, and its note can't be read")
        for path in (*spec.manifests, *([spec.lookup] if spec.lookup else [])):
            self.needed.manifests[Path(path).name] = "run by a controller"
        if controller.owner is None:  # what its jobs run is on their records
            return
        started = datetime.datetime.fromisoformat(controller.owner.since).timestamp()
        self.needed.since = min(started, self.needed.since or started)

    def _add_launches(self) -> None:
        """Keep what a launch on record was of: its table can be made again."""
        folder = self.project.state_root / LAUNCHES_NAME
        for name in sorted(names_in(folder)):
            try:
                manifest = read_launch(folder / name).manifest
            except FileNotFoundError:  # removed just now
                continue
            except ValueError as error:
                raise HeyhiError(f"{folder / name}: is no record of a launch: {error}") from None
            if manifest:
                self.needed.manifests.setdefault(manifest, "named by a launch on record")

    def _add_jobs(self) -> None:
        """Keep what living jobs run, and everything where that isn't known."""
        if not (is_here() and self._had_jobs()):
            return
        queue = Queue()
        jobs = queue.jobs(root_mark(self.project.results_root))
        if jobs is None:
            reason = queue.error.rpartition("; ")[2]
            is_unknown = meaning_of(queue.error) is Meaning.NO_CLUSTER
            why = f"Slurm is here, but this machine knows of no cluster ({reason})" if is_unknown else queue.error
            raise HeyhiError(f"nobody knows which jobs there are: {why}")
        known = set(self.survey.folders)
        for job in jobs.values():
            if job.phase is Phase.OVER:
                continue
            folders = experiments_of(self.project, job)
            if not folders or not known.issuperset(folders):
                raise HeyhiError(f"job {job.job_id} runs what isn't known here")
            self._recorded.update(dict.fromkeys(folders, "run by jobs"))

    def _had_jobs(self) -> bool:
        """Return whether anything was ever handed to Slurm: where nothing was, it needn't answer."""
        if os.path.lexists(self.project.state_root / "code"):
            return True
        return any(os.access(f"{path}/{JOB_NAME}", os.F_OK) for path in self.survey.folders)

    def _add_manifests(self) -> None:
        """Keep the manifests by which experiments may be started, and the code of sweeps that aren't done yet.

        A controller may have submitted only some of a sweep: whatever it submits next is to run the same code.
        """
        others, manifests = self.survey.others, self.needed.manifests
        seen = set[str]()
        for name, folders in self._newest_first():
            open_ones = [path for path in folders if path in others]
            for path in open_ones:
                if not others[path].status.is_over:
                    manifests.setdefault(name, "with experiments that wait or run")
                elif path not in seen:
                    manifests.setdefault(name, "the newest of experiments that aren't done")
            seen.update(open_ones)
            if open_ones:
                self._recorded.update(dict.fromkeys(folders, "on record of sweeps that aren't done"))

    def _newest_first(self) -> Iterator[tuple[str, list[str]]]:
        """Yield name and exp paths of each manifest; one that can't be read is needed."""
        root = manifests_root(self.project)
        try:
            found = manifests_on_disk(root)
        except FileNotFoundError:
            return
        for name in sorted(found, key=found.__getitem__, reverse=True):
            try:
                with Manifest.open(root / name) as manifest:
                    folders = Part.of_manifest(project_of(manifest, self.project), manifest).folders
            except ManifestError:
                self.needed.manifests.setdefault(name, "can't be read")
            else:
                yield name, folders
