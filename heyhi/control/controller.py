"""`heyhi launch`: controllers. One is the Snakemake of a sweep; it outlives its terminal, and lives once on a machine.

A controller holds a claim on a folder of its own, by which others see that it lives. What it runs, and how, is
Snakemake's and its executor's business.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.control.handed_over import Living
from heyhi.control.held_back import folders_in
from heyhi.control.job_claim import CLOSING, LAUNCHING, describe_job, living_owner, take
from heyhi.control.spare import Spare
from heyhi.control.telling import tell_end
from heyhi.errors import ClaimError, HeyhiError, LauncherError, UnknownError, reporting_errors
from heyhi.experiment.claim import Claim
from heyhi.experiment.owner import Owner
from heyhi.files import parse_json, read_bounded, read_end, replace_file, utc_now, writing
from heyhi.profiles import leaves_jobs, snakefile_words, uses_slurm
from heyhi.project import Project, find_project
from heyhi.slurm.request import request_of
from heyhi.streams import guard_streams
from heyhi.sweep.budget import BUDGET_SETTING
from heyhi.sweep.canaries import CANARY_SETTING
from heyhi.sweep.continuing import CONTINUE_SETTING
from heyhi.sweep.held_note import forget_held
from heyhi.sweep.manifest import Manifest, table_of
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, GIVEN_UP_NAME, NOTE_NAME
from heyhi.sweep.target import folders_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heyhi.control.canary import Canaries
    from heyhi.slurm.request import JobRequest

_TAIL_BYTES = 2000
_MOST_NAMED = 8  # jobs
_ALL = "all"  # Snakemake's rule for a sweep


@dataclass(frozen=True)
class ControllerSpec:
    """What a controller is to do.

    Attributes:
        name: of the controller: `<label>-<8 hex>`, the same for the same sweep.
        profile: Snakemake's profile, a folder.
        manifests: of the sweeps that are run whole, each with its table.
        tables: targets of these tables.
        targets: experiments that are run beside them.
        more: experiments of these sweeps, or that these need, that are run though all that is made of them is there.
        lookup: manifest in which targets are looked up; empty for the one that each was expanded into last.
        sweeps: sweep files that these experiments are of.
        uses_slurm: whether the profile hands experiments to Slurm.
        no_snapshot: run the code of the work tree instead of a copy.
        continue_drifted: go on with another config than metrics that are there were logged with, too.
        jobs: how many experiments at once; 0: as many as the profile says.
        launch: name of the record of the launch, which is written before there is a controller.
        kind: who stays for it: `local` a process, `slurm` a job, `none` nobody.
        workers: how many jobs run them all, one after another each; 0: each has a job of its own.
        canary: how many of these are started first; 0: all at once.
        canaries: targets of those that may be first, in order.
        waiting: how many are started after these.
        notify: who is told of the first death and of the end, as it may be shown; `heyhi.control.telling` has where.
        max_gpu_hours: once so many were used nothing more is started; 0: any number.
        code: digest of the copy of the code that its jobs run; empty: one that it makes.
    """

    name: str
    profile: str
    manifests: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    lookup: str = ""
    sweeps: tuple[str, ...] = ()
    uses_slurm: bool = False
    no_snapshot: bool = False
    continue_drifted: bool = False
    jobs: int = 0
    launch: str = ""
    kind: str = "local"
    workers: int = 0
    canary: int = 0
    canaries: tuple[str, ...] = ()
    waiting: int = 0
    notify: tuple[str, ...] = ()
    max_gpu_hours: float = 0.0
    code: str = ""

    @classmethod
    def for_launch(
        cls,
        project: Project,
        manifests: Sequence[Manifest],
        targets: Sequence[str],
        profile: Path,
        *,
        more: Sequence[str] = (),
        no_snapshot: bool = False,
        continue_drifted: bool = False,
    ) -> ControllerSpec:
        """Order whole sweeps with their tables, and single experiments.

        Args:
            project: whose they are.
            manifests: of the sweeps.
            targets: of the experiments.
            profile: Snakemake's.
            more: targets of what the sweeps have or need that is run though all that is made of it is there.
            no_snapshot: run the code of the work tree instead of a copy.
            continue_drifted: go on with another config than metrics that are there were logged with, too.
        """
        if len(manifests) == 1 and not targets:
            name = f"{manifests[0].label}-{manifests[0].digest[:8]}"
        else:
            name = f"launch-{_digest([*(manifest.digest for manifest in manifests), *targets])}"
        sweeps = tuple(manifest.sweep for manifest in manifests if manifest.sweep)
        return cls(
            name=name,
            profile=str(profile),
            manifests=tuple(project.relative(manifest.path.absolute()) for manifest in manifests),
            tables=tuple(table_of(project, manifest) for manifest in manifests),
            targets=tuple(targets),
            more=tuple([target for target in more if target not in targets]),
            # By a sweep's name only what is all of it is ended.
            sweeps=sweeps if len(sweeps) == len(manifests) and not targets else (),
            uses_slurm=uses_slurm(profile),
            no_snapshot=no_snapshot,
            continue_drifted=continue_drifted,
        )

    @classmethod
    def for_targets(
        cls,
        targets: Sequence[str],
        profile: Path,
        *,
        lookup: str = "",
        sweeps: Iterable[str] = (),
        no_snapshot: bool = False,
        continue_drifted: bool = False,
    ) -> ControllerSpec:
        """Order some experiments anew, of a sweep or not."""
        return cls(
            name=f"retry-{_digest(sorted(targets))}",
            profile=str(profile),
            targets=tuple(targets),
            lookup=lookup,
            sweeps=tuple(sweeps),
            uses_slurm=uses_slurm(profile),
            no_snapshot=no_snapshot,
            continue_drifted=continue_drifted,
        )

    @property
    def words(self) -> list[str]:
        """What Snakemake is given."""
        canary = {CANARY_SETTING: self.name if self.canary else ""}
        if self._is_one_sweep:
            # Without a name, it is rule all, which has its own way with what is missing behind a table.
            return self._words([_ALL, *self.more] if self.more else [], canary)
        return self._words([*self.tables, *self.targets, *self.more], canary)

    @property
    def canary_words(self) -> list[str]:
        """What the Snakemake is given that runs the canaries, beside this one's."""
        return [*self._words(self.canaries, {}), "--nolock"]

    @property
    def _is_one_sweep(self) -> bool:
        return len(self.manifests) == 1 and not self.targets

    def _words(self, asked: Sequence[str], more: Mapping[str, str]) -> list[str]:
        lookup = self.manifests[0] if self._is_one_sweep else self.lookup
        goes_on = "1" if self.continue_drifted else ""
        told = {"manifest": lookup, CONTINUE_SETTING: goes_on, "launch": self.launch, **more}
        told[BUDGET_SETTING] = self.name if self.max_gpu_hours else ""
        if self.code:
            from heyhi.code.snapshot import code_setting

            told |= code_setting(self.code)
        settings = [f"{key}={value}" for key, value in told.items() if value]
        words = [*asked, "--profile", self.profile, *(["--config", *settings] if settings else [])]
        words += ["--jobs", str(self.jobs)] if self.jobs else []
        # Snakemake knows the option by the plugin's name, and ignores it where another executor is used.
        return [*words, *(["--heyhi-no-snapshot"] if self.no_snapshot else [])]

    def note(self, folder: Path) -> None:
        """Write it down where others find it, and have forgotten what the one before has held back: it begins anew.

        Raises:
            ResultError: it can't be written.
        """
        replace_file(folder / NOTE_NAME, json.dumps(asdict(self), indent=1) + "\n")
        forget_held(folder)

    @classmethod
    def from_note(cls, note: object) -> ControllerSpec:
        """Read what `dataclasses.asdict` and JSON made of one.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(note, Mapping):
            raise TypeError("it is no JSON object")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in note.items()}
        spec = cls(**values)
        for one in fields(cls):
            value = getattr(spec, one.name)
            # The types of the fields are their names here.
            if type(value).__name__ != str(one.type).partition("[")[0]:
                raise TypeError(f"{one.name} is no {one.type}")
            if isinstance(value, tuple) and not all(isinstance(text, str) for text in value):
                raise TypeError(f"{one.name} has something else than text")
        return spec


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:8]


class Controller(NamedTuple):
    """A controller that lives, or lived.

    Attributes:
        name: as in `ControllerSpec`.
        folder: of its claim and note.
        owner: the process; None where it is over, or nobody can tell, or where nobody stays.
        jobs: ids of those that go on by themselves, where nobody stays for them.
        closing: id of the job that makes the tables once these have ended; empty for none.
        workers: ids of those among `jobs` that run one experiment after another.
    """

    name: str
    folder: Path
    owner: Owner | None
    jobs: tuple[str, ...] = ()
    closing: str = ""
    workers: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """What it and all before it of this name have printed."""
        return self.folder.with_name(f"{self.name}.log")

    @property
    def is_unattended(self) -> bool:
        """Whether it is jobs that go on without anybody."""
        return self.owner is None and bool(self.jobs or self.closing)

    @property
    def has_workers(self) -> bool:
        """Whether these jobs are workers, which run all of it, one after another."""
        return self.is_unattended and bool(self.workers)

    def describe(self) -> str:
        """Say in words who it is: `controller pid 12 on h`, `3 jobs by themselves, without a controller`."""
        if self.owner is not None and self.owner.root:
            return f"controller {describe_job(self.folder, self.owner)}"
        if self.owner is not None and self.owner.kind == LAUNCHING:
            return f"a launch that is just submitting jobs (pid {self.owner.pid} on {self.owner.host})"
        if self.owner is not None and self.owner.kind == CLOSING:
            return f"what makes the table (pid {self.owner.pid} on {self.owner.host})"
        if self.owner is not None:
            return f"controller pid {self.owner.pid} on {self.owner.host}"
        if self.jobs and self.has_workers:
            listed = ", ".join(self.jobs[:_MOST_NAMED]) + (", …" if len(self.jobs) > _MOST_NAMED else "")
            return f"{len(self.jobs)} workers (jobs {listed})" if len(self.jobs) > 1 else f"1 worker (job {listed})"
        if self.jobs:
            some, them = (f"{len(self.jobs):,} jobs", "themselves") if len(self.jobs) > 1 else ("1 job", "itself")
            return f"{some} by {them}, without a controller"
        return f"job {self.closing}, which makes the table" if self.closing else f"controller {self.name}"

    def spec(self) -> ControllerSpec | None:
        """Return what it was told to do, or None where the note is gone or damaged."""
        try:
            return ControllerSpec.from_note(parse_json(read_bounded(self.folder / NOTE_NAME)))
        except (OSError, ValueError, TypeError):
            return None


class Started(NamedTuple):
    """What came of a launch: the controller, and whether this launch has started it."""

    controller: Controller
    is_new: bool


def foresee(
    manifests: Iterable[Manifest],
    exp_paths: Container[str],
    workers: int = 0,
    controller: Callable[[Collection[JobRequest]], JobRequest] | None = None,
    *,
    is_attended: bool = True,
) -> list[str]:
    """Say what some experiments may use on Slurm and what it would refuse: else only a controller's log would tell.

    Args:
        manifests: have the experiments.
        exp_paths: of those that are to be started.
        workers: how many jobs run them all; 0: each has its own.
        controller: says what a controller's job asks for, by what theirs do; None where none is a job.
        is_attended: whether somebody stays who submits later what is beyond a limit now.

    Raises:
        LauncherError: one asks for what no job can be asked for.
    """
    from heyhi.slurm.forecast import capacity_lines

    tasks = check_requests(manifests, exp_paths)
    return capacity_lines(tasks, workers=workers, controller=controller, is_attended=is_attended)


def check_requests(manifests: Iterable[Manifest], exp_paths: Container[str]) -> list[tuple[str, Message]]:
    """Make sure that some experiments ask for what a job can be asked for; return exp id and task message of each.

    Args:
        manifests: have the experiments.
        exp_paths: of those that are to be started.

    Raises:
        LauncherError: one doesn't.
    """
    tasks = list(
        {
            one.exp_path: (one.exp_id, getattr(manifest.schema().parse_root(one.config), one.task))
            for manifest in manifests
            for one in manifest.experiments()
            if str(one.exp_path) in exp_paths
        }.values()
    )
    wrong: dict[str, list[str]] = {}
    for exp_id, task in tasks:
        try:
            request_of(task)
        except LauncherError as error:
            wrong.setdefault(str(error), []).append(exp_id)
    for text, ids in wrong.items():
        raise LauncherError(f"{ids[0]}{f' and {len(ids) - 1} more' if len(ids) > 1 else ''}: {text}")
    return tasks


def find_controllers(project: Project) -> list[Controller]:
    """Return the controllers that live, as far as can be seen from here; one that may live has no owner.

    A launch that nobody stays for is one as long as Slurm has a job of it.

    Raises:
        UnknownError: nobody can tell which there are.
    """
    root = project.state_root / CONTROLLERS_NAME
    found = []
    try:
        names = sorted(os.listdir(root))  # noqa: PTH208 (names are all that is asked)
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise UnknownError(f"{root}: can't be read: {error.strerror or error}") from None
    living = Living(project)
    queue = living.queue  # asked once, where a job is one
    for name in names:
        try:
            owner = living_owner(root / name, queue)  # of their logs, which lie there too: none
        except ClaimError:
            found.append(Controller(name, root / name, None))
            continue
        if owner is not None:
            found.append(Controller(name, root / name, owner))
        elif (jobs := living.of(root / name)).ids:
            found.append(Controller(name, root / name, None, jobs.jobs, jobs.closing, jobs.workers))
    return found


def folders_of_controller(project: Project, controller: Controller) -> list[str] | None:
    """Return the exp paths of all experiments that a controller runs, or ran; None where nobody can tell."""
    spec = controller.spec()
    return folders_of_spec(project, spec) if spec is not None else None


def folders_of_spec(project: Project, spec: ControllerSpec) -> list[str]:
    """Return the exp paths of all experiments that a controller is to run."""
    return folders_in(project, asdict(spec))


def start(project: Project, spec: ControllerSpec) -> Started:
    """Start a controller that outlives this process and its terminal, unless one of its name lives already.

    Raises:
        HeyhiError: it doesn't start.
    """
    controller = place(project, spec)
    reading, telling = os.pipe()
    try:
        with writing(controller.log), controller.log.open("ab") as log:
            process = subprocess.Popen(
                # -P: what lies in the project is no module of ours.
                [sys.executable, "-P", "-m", "heyhi.control.controller", str(controller.folder), str(telling)],
                cwd=project.root,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(telling,),
            )
    finally:
        os.close(telling)
    with os.fdopen(reading, "rb") as answer:
        # One that has ended by itself has said why in its log.
        with contextlib.suppress(BrokenPipeError):
            process.communicate(json.dumps(asdict(spec)).encode())
        told = answer.read()
    try:
        answered = json.loads(told)
        if isinstance(answered, str):
            raise HeyhiError(f"the controller did not start: {answered}")
        is_new, values = answered
        return Started(controller._replace(owner=Owner(**values)), bool(is_new))
    except (ValueError, TypeError):
        said = read_end(controller.log, _TAIL_BYTES).strip()
        raise HeyhiError(f"the controller did not start; {controller.log} says:\n{said or 'nothing'}") from None


def run_here(project: Project, spec: ControllerSpec) -> tuple[Started, int]:
    """Be the controller, on this terminal, unless one of its name lives already.

    Returns:
        the controller; exit code of Snakemake, 0 where another controller lives.
    """
    controller = place(project, spec)
    claim = take(controller.folder)
    if isinstance(claim, Owner):
        return Started(controller._replace(owner=claim), False), 0
    with claim:
        os.chdir(project.root)
        code = control(controller, spec)
        tell_end(project, spec, code, is_here=True)
        return Started(controller._replace(owner=claim.owner), True), code


def place(project: Project, spec: ControllerSpec) -> Controller:
    """Make the folder of a controller, and return it as one that isn't there yet.

    Raises:
        ResultError: it can't be made.
    """
    folder = project.state_root / CONTROLLERS_NAME / spec.name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return Controller(spec.name, folder, None)


def control(controller: Controller, spec: ControllerSpec) -> int:
    """Run Snakemake in this process, so that whoever ends it ends Snakemake.

    Args:
        controller: that this process is.
        spec: what it is to do.

    Returns:
        exit code of Snakemake.
    """
    spec.note(controller.folder)
    given_up = controller.folder / GIVEN_UP_NAME
    if spec.kind != "slurm":  # there, a controller goes on with what the one before it has given up
        with writing(given_up):
            given_up.unlink(missing_ok=True)
    # Like no_snapshot, other executors ignore it: the runner is told.
    more = ["--heyhi-given-up", str(given_up)] if spec.kind == "slurm" or (spec.canary and spec.uses_slurm) else []
    if spec.max_gpu_hours:
        from heyhi.control.spending import watched_budget

        project = find_project(Path.cwd())
        with watched_budget(project, controller.folder, folders_of_controller(project, controller) or ()):
            return _run(controller, spec, more)
    return _run(controller, spec, more)


def _run(controller: Controller, spec: ControllerSpec, more: Sequence[str]) -> int:
    from snakemake.cli import main as snakemake

    canaries = _canaries(controller, spec)
    if canaries is not None and (code := canaries.wait()) is not None:
        return code
    code = 0
    try:
        snakemake([*spec.words, *more, *snakefile_words(Path.cwd())])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        if canaries is not None:
            canaries.end(code)
    return code


def _canaries(controller: Controller, spec: ControllerSpec) -> Canaries | None:
    """Return the canaries of a launch; None where all are started at once."""
    if not (spec.canary and spec.canaries):
        return None
    from heyhi.control.canary import Canaries

    project = find_project(Path.cwd())
    return Canaries(
        project,
        controller.folder,
        folders_of(spec.canaries, project.root),
        [*spec.canary_words, *snakefile_words(project.root)],
        launch=spec.launch,
        others=spec.waiting,
        leaves_jobs=leaves_jobs(Path(spec.profile)),
    )


def main(folder: Path, telling: int) -> int:
    """Be a detached controller: read what to do from standard input, tell who has the claim, and run.

    Args:
        folder: of the controller.
        telling: file descriptor to say on that it runs, or who does.
    """
    spec = ControllerSpec.from_note(json.load(sys.stdin))
    # The process that asked for this one needn't wait for it, and this one can't get a terminal again.
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    with os.fdopen(telling, "w") as answer:
        try:
            claim = take(folder)
        except HeyhiError as error:  # its log may be on the same full disk
            json.dump(str(error), answer)
            raise
        owner = claim if isinstance(claim, Owner) else claim.owner
        json.dump([isinstance(claim, Claim), asdict(owner)], answer)
    if isinstance(claim, Owner):
        return 0
    with claim:
        Spare(folder, folder.with_name(f"{folder.name}.log")).print_through()
        print(f"{utc_now()} {owner.host} pid {owner.pid}: snakemake {shown(spec)}", flush=True)
        code = control(Controller(folder.name, folder, owner), spec)
        tell_end(find_project(Path.cwd()), spec, code)
        print(f"{utc_now()} exit code {code}", flush=True)
        return code


def shown(spec: ControllerSpec) -> str:
    """Write what Snakemake is given, for a log: of many names the first."""
    words = spec.words
    count = words.index("--profile")
    return shlex.join([*words[:3], f"… {count - 3} more", *words[count:]] if count > 3 else words)


if __name__ == "__main__":
    guard_streams(goes_on=True)  # its log may be on the disk that is full
    with reporting_errors():
        sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
