"""What `plan`, `launch`, `retry` and `search` answer in JSON: one form, whether something was started or would be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from heyhi.cli.json_answer import give
from heyhi.cli.json_failure import INTERRUPTED, LEFT, NOT_ENDED, NOT_STARTED, failure
from heyhi.cli.json_forms import ControllerForm, Launch, LaunchRow
from heyhi.experiment.names import Status
from heyhi.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from heyhi.cli.selection import Selection
    from heyhi.code.changes import CodeChange
    from heyhi.control.controller import Controller
    from heyhi.control.survey import Row, Survey
    from heyhi.project import Project
    from heyhi.sweep.manifest import Manifest
    from heyhi.sweep.provenance import Provenance

_CTRL_C = 130  # the exit code after it
_ENDED_BY_CTRL_C = (INTERRUPTED, "interrupted by Ctrl-C, and what ran was ended")


@dataclass
class LaunchAnswer:
    """What came of a launch, as far as it has come; commands fill it in on their way.

    Attributes:
        command: its name.
        dry_run: whether nothing is started.
        mode: what is done with what is there.
        profile: Snakemake's, by its name in the project.
        survey: how the experiments are.
        look: looks at them anew.
        among: folders of those that the command is about; None: all of the survey.
        searches: words that name the searches among them.
        manifests: by which they are run.
        starting: folders of what is started, or would be.
        wiped: of these, what begins anew.
        left: folder of each that has another config now and isn't gone on with -> the keys.
        drifted: exp id -> keys that have another value today.
        recoded: exp path -> what is otherwise in the code.
        controller: what runs it all.
        problem: why nothing was started.
    """

    command: str
    dry_run: bool
    mode: str = "start_continue"
    profile: str | None = None
    survey: Survey | None = None
    look: Callable[[], Survey] | None = None
    among: Collection[str] | None = None
    searches: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    starting: Collection[str] = ()
    wiped: Collection[str] = ()
    left: Mapping[str, Sequence[str]] = field(default_factory=dict)
    drifted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    recoded: Mapping[str, CodeChange] = field(default_factory=dict)
    controller: ControllerForm | None = None
    problem: str = ""

    @classmethod
    def of(cls, command: str, selection: Selection, survey: Survey, *, dry_run: bool) -> LaunchAnswer:
        """Begin with what is named."""
        searches = [f"searches/{group.search.search_id}" for group in selection.groups if group.search is not None]
        return cls(command, dry_run, survey=survey, look=selection.survey, searches=searches)

    def by(self, project: Project, profile: Path, manifests: Iterable[Manifest] = ()) -> None:
        """Say by which profile and manifests it is run."""
        self.profile = project.relative(profile)
        self.manifests = list(dict.fromkeys(project.relative(manifest.path) for manifest in manifests))

    def run_by(self, project: Project, controller: Controller, *, is_new: bool) -> None:
        """Say which controller runs it."""
        owner = controller.owner
        if owner is None:
            return
        log = project.relative(controller.log)
        self.controller = {"name": controller.name, "is_new": is_new, "pid": owner.pid, "host": owner.host, "log": log}

    def note_made(self, found: Provenance) -> None:
        """Say what of it is DONE and was made otherwise."""
        assert self.survey is not None
        names = {row.exp_path: row.exp_id for row in self.survey.rows} if found.drifted else {}
        self.drifted = {names[path]: texts for path, texts in found.drifted_texts.items() if path in names}
        self.recoded = found.recoded

    def give(self, exit_code: int, *, has_waited: bool = False) -> None:
        """Answer the command.

        Args:
            exit_code: of it; 1 is said in the answer, too.
            has_waited: all is over by now: how it has ended is looked at, and told.
        """
        if has_waited and not self.dry_run and self.controller is None and self.look is not None:
            self.survey = self.look()
        counts = self.survey.counts if self.survey is not None else {}
        form: Launch = {
            "dry_run": self.dry_run,
            "mode": self.mode,
            "profile": self.profile,
            "counts": {status.value: count for status, count in counts.items()},
            "searches": self.searches,
            "manifests": self.manifests,
            "controller": self.controller,
            "experiments": [],
        }
        if exit_code:
            form["error"] = failure(*(_ENDED_BY_CTRL_C if exit_code == _CTRL_C else self._what_failed()))
        give(self.command, {k: v for k, v in form.items() if k != "experiments"}, last="experiments", rows=self._rows())

    def _what_failed(self) -> tuple[str, str, Fault]:
        if self.problem:
            return NOT_STARTED, self.problem, Fault()
        if self.left:
            text = f"{len(self.left)} left, whose attempts have logged metrics with another config"
            return LEFT, text, Fault(fix="--continue-drifted")
        lacks = [row for row in (self.survey.not_done if self.survey is not None else []) if row.status.is_trouble]
        if lacks:
            text = f"{len(lacks)} not done, the first: {lacks[0].exp_id}: {lacks[0].status.value} {lacks[0].reason}"
            return NOT_ENDED, text.rstrip(), Fault(lacks[0].exp_id)
        return NOT_ENDED, "not all that was asked for is done", Fault()

    def _rows(self) -> Iterator[LaunchRow]:
        from heyhi.cli.looking import otherwise

        for row in self.survey.rows if self.survey is not None else ():
            if self.among is None or row.asked in self.among:
                made = otherwise(row, self.drifted, self.recoded)
                row_form = {
                    **row.to_dict(),
                    "action": self._action(row),
                    "wipe": row.asked in self.wiped,
                    "left": list(self.left.get(row.asked, ())),
                    **made,
                    **(self.survey.marks(row) if self.survey is not None else {}),
                }
                yield cast("LaunchRow", row_form)

    def _action(self, row: Row) -> str:
        """Say in a word what is done with an experiment."""
        if row.asked in self.starting:
            return "start"
        if row.status is Status.DONE:
            return "none"
        if row.status is Status.UNKNOWN:
            return "refuse"
        return "adopt" if row.status.is_alive else "leave"
