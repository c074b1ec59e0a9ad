"""Launches one experiment, as `heyhi.maybe_launch` and `run.py --cfg …` do: in this process, or as a job of Slurm's."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.config.outside import keep
from heyhi.config.schema import Schema, load_schema
from heyhi.errors import LauncherError, ModeError, NeedsError, ResultError, UnknownError
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.modes import DEFAULT_MODE, GO_ON, REDO, Action, action_of
from heyhi.experiment.names import Status
from heyhi.experiment.project_names import check_names, foreign_names, take_root
from heyhi.experiment.status import State, Statuses, find_state
from heyhi.files import is_there
from heyhi.job.guard import check_script
from heyhi.job.importing import check_not_importing
from heyhi.project import Project, find_project
from heyhi.quick_dataclass import dataclass
from heyhi.quick_tuple import NamedTuple
from heyhi.sweep.expand import Expansion, expand
from heyhi.sweep.label import label_of_words
from heyhi.sweep.target import exp_id_of, exp_ids_of, target_of
from heyhi.text import shell_line

if TYPE_CHECKING:
    from typing import Protocol

    from google.protobuf.message import Message

    from heyhi.code.snapshot import Snapshot
    from heyhi.experiment.handle import Handle
    from heyhi.job.adhoc import AdhocRun
    from heyhi.job.entry import Importable
    from heyhi.job.grace import Grace
    from heyhi.job.local_ranks import Ranks
    from heyhi.job.meeting import Guest, Host
    from heyhi.job_env import Tasks
    from heyhi.sweep.continuing import Going
    from heyhi.sweep.provenance import Provenance, Redo

    class CheckSlurm(Protocol):
        """Makes sure that Slurm is here, and, where it is to ask, that it answers."""

        def __call__(self, *, asks: bool) -> None:
            """Raise a HeyhiError where it isn't, or doesn't."""


Main = Callable[..., object]


def get_default_exp_dir() -> Path:
    """Return the results root of the project around the working directory."""
    return find_project().results_root


def get_exp_dir(name: str) -> Path:
    """Return the results root, as scripts of the first HeyHi ask for it.

    The name changes nothing: a script and `heyhi expand` of the same sweep must give the same exp paths.
    """
    return get_default_exp_dir()


def maybe_launch(
    main: Main,
    *,
    cfg: str | Path,
    overrides: Sequence[str] = (),
    mode: str = DEFAULT_MODE,
    exp_root: str | Path | None = None,
    checkpoint: str | Path | None = None,
    adhoc: bool = False,
    exp_id_pattern_override: str | None = None,
    force: bool = False,
    log_level: str = "INFO",
    snapshot: bool = True,
    continue_drifted: bool = False,
    redo_drifted: Redo = False,
) -> Handle:
    """Launch an experiment if its mode asks for that, and return its handle in any case.

    A local experiment runs in this process and is over when this returns; when it raises, its status is DEAD and the
    caller goes on. One whose launcher is slurm is submitted, and is PENDING or further when this returns. The call is
    consent to what the mode wipes.

    A process runs one experiment at a time, since working directory and output are the whole process's. Several at once
    take a process each, by `concurrent.futures.ProcessPoolExecutor`; submitting and asking may be done from threads.

    Modes (what happens to NOT_STARTED; PENDING and RUNNING; PRUNED; DEAD; DONE experiments):
        gentle_start: start; leave; leave; leave; leave
        start_restart: start; leave; leave; wipe and start; leave
        start_continue: start; leave; start with its files; start with its files; leave
        restart: start; stop, wipe and start; wipe and start; wipe and start; wipe and start
        dryrun: nothing
    One that is UNKNOWN, whose folder or records can't be read, is left by each; restart raises. One that has logged
    metrics with another config is left, too, with a warning that names the keys, unless `continue_drifted` is set. One
    that is DONE and was made with another config than it has today, or by other code, is left with a warning, unless
    `redo_drifted`.

    Args:
        main: called as `main(task=, cfg=, log_level=)` in the experiment's folder; cfg is a frozen config.
        cfg: config file.
        overrides: `key=value` texts, applied in order.
        mode: one of MODES.
        exp_root: results root; default: the project's.
        checkpoint: taken and not used: the first HeyHi's folder for a copy of the code.
        adhoc: put it below `adhoc/<date>`: each call is a run of its own, but in a job that was queued again.
        exp_id_pattern_override: exp id pattern.
        force: taken and not used: calling this is consent.
        log_level: for main.
        snapshot: have a job run a copy of the code as it is now, not the work tree as it is when the job starts.
        continue_drifted: go on with another config than what is there was made with, too; its row stays marked as
            mixed.
        redo_drifted: wipe and start it where it is DONE and was made with another config; `"code"`: or by other code;
            `"stale"`: or of an earlier result of what it needs; `"continue"`: go on from its files instead, with its
            result moved to the trash, as `continue_drifted` does.

    Returns:
        the experiment's handle, whether it was started or left as it is.

    Raises:
        BusyError: this process runs an experiment; nothing was wiped or written.
        LostClaimError: another has taken the experiment over meanwhile; this run was ended.
        HeyhiError: config, overrides, pattern, mode or redo_drifted are wrong, what the experiment needs isn't done,
            nobody knows how the one to restart is, the results are another project's, or Slurm takes no job.
    """
    check_not_importing("maybe_launch")
    project = find_project()
    if exp_root is not None:
        project = project._replace(results_override=Path(os.path.abspath(exp_root)))  # noqa: PTH100
    is_dry_run = mode == "dryrun"
    _warn_once(foreign_names(project) if is_dry_run else check_names(project))
    launch = Launch.prepare(
        project,
        cfg,
        overrides,
        adhoc=adhoc,
        pattern=exp_id_pattern_override,
        snapshot=snapshot,
        continue_drifted=continue_drifted,
        redo_drifted=redo_drifted,
    )
    if not is_dry_run:
        launch.check_project()
    if launch.adhoc is not None and launch.adhoc.is_again and mode == DEFAULT_MODE:
        mode = "start_continue"
    for line in launch.expansion.warnings:
        _warn_once(line)
    for line in launch.needs_lines:
        _warn("%s: %s", launch.experiment.exp_id, line)
    state = find_state(launch.experiment.exp_path, why_dead=False)
    action = launch.action(mode, state)
    if action.wipe and (dependents := launch.dependents):
        _warn("%s: %s", launch.experiment.exp_id, dependents)
    if action.start:
        started = launch.start(main, action, log_level)
        if started.refused:
            _warn("%s: %s", launch.experiment.exp_id, started.refused)
    elif state.status is Status.UNKNOWN:
        _warn("%s: %s", launch.experiment.exp_id, state.line)
    elif state.status is Status.DONE:
        if not is_dry_run:
            launch.note()
        _warn_of(launch)
        if other := launch.made_by_other(main):
            _warn("%s: %s", launch.experiment.exp_id, other)
    return launch.handle()


def _expand_file(project: Project, schema: Schema, path: Path, within: tuple[str, ...]) -> Expansion:
    """Expand a sweep file of which a config names the best; few do."""
    from heyhi.sweep.file import expand_sweep_file

    return expand_sweep_file(project, schema, path, within=within)


def _warn_of(launch: Launch) -> None:
    """Log how a DONE experiment was made otherwise than it would be today."""
    from heyhi.sweep.provenance import code_lines

    found = launch.provenance
    for line in found.config_lines:
        _warn("%s: %s", launch.experiment.exp_id, line)
    for line in code_lines(found.recoded.values(), is_one=True):
        _warn_once(f"what is DONE was {line}")


def _warn(text: str, *args: object) -> None:
    import logging  # most launches have nothing to say

    logging.warning(text, *args)


@lru_cache(maxsize=256)  # a script may launch thousands, or gather their handles
def _warn_once(text: str) -> None:
    if text:
        _warn("%s", text)


class _Outcome(NamedTuple):
    """What came of a start: a result, a job, or why it was not gone on with."""

    done: bool = False
    job_id: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Launch:
    """One experiment about to be launched, composed and checked against its folder."""

    project: Project
    schema: Schema
    expansion: Expansion
    words: tuple[str, ...]  # by which `heyhi expand` names it
    snapshot: bool = True  # whether a job gets a copy of the code
    continue_drifted: bool = False  # whether it goes on with another config, too
    redo_drifted: Redo = False  # what is made anew where it is DONE
    adhoc: AdhocRun | None = None

    @classmethod
    def prepare(
        cls,
        project: Project,
        cfg: str | Path,
        overrides: Sequence[str],
        *,
        adhoc: bool,
        pattern: str | None,
        snapshot: bool = True,
        continue_drifted: bool = False,
        redo_drifted: Redo = False,
    ) -> Launch:
        """Compose the experiment, and check it against its folder."""
        if redo_drifted is not False:
            from heyhi.sweep.provenance import checked_redo

            checked_redo(redo_drifted)
        schema = load_schema(project)
        options = [*(["--adhoc"] if adhoc else []), *(["--out", pattern] if pattern is not None else [])]
        label = label_of_words(project, str(cfg), [*overrides, *options])
        words = ("--cfg", str(cfg), *overrides, *options)
        run = None
        if adhoc:
            from heyhi.job.adhoc import AdhocRun

            run = AdhocRun.of_command(project, words)
        named = run.name if run is not None else False
        expansion = expand(
            project,
            schema,
            [(cfg, overrides)],
            label=label,
            adhoc=named,
            pattern=pattern,
            expand_file=partial(_expand_file, project, schema),
        )
        if project.settings.validate:
            from heyhi.sweep.validation import validate

            validate(project, schema, expansion)
        goes_on = continue_drifted or redo_drifted == "continue"
        return cls(project, schema, expansion, words, snapshot, goes_on, redo_drifted, run)

    @property
    def experiment(self) -> Experiment:
        """What is launched; what it needs comes before it in the expansion."""
        return self.expansion.experiments[-1]

    @property
    def folder(self) -> ExperimentDir:
        """Where it lies."""
        return ExperimentDir(self.experiment.exp_path, self.project.results_root)

    @property
    def state(self) -> State:
        """How it is now, without what it needs."""
        return find_state(self.experiment.exp_path)

    def action(self, mode: str, state: State) -> Action:
        """Return what a mode does with it, given how it is.

        Raises:
            ModeError: there is no such mode, or it can't be done.
        """
        action = action_of(mode, state.status)
        if action.refuse:
            raise ModeError(f"{self.experiment.exp_path}: {state.line}; --mode {mode} changes nothing there")
        is_left = state.status is Status.DONE and not action.start and mode != "dryrun"
        again = GO_ON if self.redo_drifted == "continue" else REDO
        return again if is_left and self.is_to_redo else action

    @property
    def provenance(self) -> Provenance:
        """How it was made where it is DONE, beside what it would be made of now."""
        from heyhi.sweep.provenance import Inspector, code_changes, compared_by  # for what is DONE

        project = compared_by(self.project, self.redo_drifted)
        inspector = Inspector(project, self.schema, code_changes(self.project), redo=self.redo_drifted)
        return inspector.look({str(self.experiment.exp_path): self.experiment.config})

    @property
    def needs_lines(self) -> list[str]:
        """How what it needs was made, where that was with another config than it would be now."""
        needs = {str(one.exp_path): one.config for one in self.expansion.experiments[:-1]}
        if not needs:
            return []
        from heyhi.sweep.provenance import Inspector, code_changes

        found = Inspector(self.project, self.schema, code_changes(self.project)).look(needs)
        return [f"what it needs was {line}" for line in found.config_lines]

    @property
    def is_to_redo(self) -> bool:
        """Whether it is DONE, was made otherwise than it would be now, and is to be made anew then."""
        return bool(self.redo_drifted and self.provenance.to_redo(self.redo_drifted))

    @property
    def task_message(self) -> Message:
        """The chosen task's message."""
        root = self.schema.parse_root(self.experiment.config)
        message: Message = getattr(root, self.experiment.task)
        return message

    @property
    def is_for_slurm(self) -> bool:
        """Whether its launcher is slurm."""
        from heyhi.slurm.launcher import is_slurm

        return is_slurm(self.task_message)

    @property
    def going(self) -> Going:
        """How it would be to go on with what is there.

        Raises:
            UnknownError: a record of it can't be read.
        """
        from heyhi.sweep.continuing import Continuing

        return Continuing(self.project, self.schema).going_on(self.experiment.exp_path, self.experiment.config)

    @property
    def refusal(self) -> str:
        """Why it can't go on with what is there; empty where it can.

        Raises:
            UnknownError: a record of it can't be read.
        """
        going = self.going
        return going.refusal if going.is_refused(is_allowed=self.continue_drifted) else ""

    @property
    def twins(self) -> list[str]:
        """Which others with the same config are DONE, in lines."""
        from heyhi.sweep.twins import Twins

        own, complete = str(self.experiment.exp_path), self.expansion.complete_configs
        return Twins(self.project, self.schema).lines({own: complete[own]} if own in complete else {})

    @property
    def dependents(self) -> str:
        """What was made of its result, as far as it is known; empty for nothing."""
        from heyhi.sweep.dependents import dependents_of, dependents_text

        return dependents_text(dependents_of(self.project, [str(self.experiment.exp_path)]))

    def handle(self) -> Handle:
        """Return its handle."""
        from heyhi.experiment.handle import Handle

        return Handle(self.experiment.exp_path, identity=self.experiment.identity, project=self.project)

    def start(
        self,
        main: Main,
        action: Action,
        log_level: str,
        host: Host | None = None,
        grace: Grace | None = None,
        ready: CheckSlurm | None = None,
    ) -> _Outcome:
        """Run it here, or submit it.

        Args:
            main: what to run.
            action: what its mode does.
            log_level: for main.
            host: the first of several tasks that run it together.
            grace: of this process, where it is to end when the run is over.
            ready: makes sure that Slurm is here, called before anything is written; and that it answers, where what
                is done next couldn't be taken back, or sbatch had no answer.
        """
        from heyhi.job.task_main import check_main

        self.check()
        check_main(main, self.experiment.exp_id)
        entry = self._entry(main)
        if self.is_for_slurm:
            check_script(main, self.experiment.exp_id)
        self.check_project()
        if ready is not None:
            # What was wiped stays wiped, and a results root that is made stays. Else sbatch is the first to ask.
            ready(asks=action.stop or action.wipe or not is_there(self.project.state_root))
        take_root(self.project)
        keep(self.project, self.expansion.outside)
        if self.adhoc is not None:
            self.adhoc.remember()

        def make_room() -> None:
            owner = None
            if action.stop:
                from heyhi.experiment.unclaimed import find_owner

                owner = find_owner(self.experiment.exp_path)
            if owner is not None:
                _warn("stopping %s, which has %s", owner.describe(), self.experiment.exp_id)
                owner.stop()
            if action.wipe:
                self._wipe(action)

        if self.is_for_slurm:
            code = self._copy_of_code(entry)
            make_room()
            return self._submit(entry, code, log_level, ready)
        from heyhi.job.runner import ending_in, execute, watching_in  # who submits does without

        ranks = self._ranks(main, log_level, host)
        outcome = execute(
            self.experiment,
            self.schema,
            ranks or main,
            code_root=ranks.code_root if ranks is not None else self._own_copy(main),
            environment=ranks.environment if ranks is not None else None,
            log_level=log_level,
            if_claimed="leave",
            project=self.project,
            continue_drifted=self.continue_drifted,
            on_start=self.note,
            on_end=watching_in(grace, self.project, self.folder) if grace is not None else lambda: None,
            on_over=ending_in(grace, self.project, self.folder) if grace is not None else lambda outcome: None,
            make_room=make_room,
            entry=entry.text if entry is not None else "",
        )
        return _Outcome(outcome.done, refused=outcome.reason if outcome.refused else "")

    def _entry(self, main: Main) -> Importable | None:
        """Return by which name another process finds main; None where the settings name it, or nobody has to find it.

        Raises:
            LauncherError: a job would have to, and can't.
        """
        from heyhi.job.entry import entry_in

        try:
            return entry_in(self.project, main, f"{self.experiment.exp_id}: a job of Slurm's")
        except LauncherError:
            if self.is_for_slurm:
                raise
            return None

    def made_by_other(self, main: Main) -> str:
        """Say that it was made by another function than this one; empty where it wasn't, as far as anybody knows."""
        start = None
        with contextlib.suppress(UnknownError):
            start = self.folder.last_start()
        try:
            entry = self._entry(main)
        except LauncherError:
            return ""
        own = entry.text if entry is not None else ""
        if start is None or start.entry == own:
            return ""
        settings = self.project.settings.entry
        return f"made by the function {start.entry or settings}, not by {own or settings}"

    def _ranks(self, main: Main, log_level: str, host: Host | None) -> Ranks | None:
        """Return what runs main in several processes; None where this one will do."""
        from heyhi.slurm.launcher import local_tasks

        tasks = host.tasks.count if host is not None else local_tasks(self.task_message)
        if tasks == 1:
            return None
        from heyhi.job.entry import find_importable
        from heyhi.job.local_ranks import Ranks
        from heyhi.job.step import local_step
        from heyhi.sweep.write_manifest import write_manifest

        found = find_importable(main, f"{self.experiment.exp_id}: {tasks} tasks")
        check_script(main, self.experiment.exp_id)
        manifest = write_manifest(self.expansion, self.project, self.schema, words=self.words)
        target = target_of(self.experiment.exp_path, self.project.root)
        start = host.start if host is not None else partial(local_step, tasks)
        return Ranks(target, manifest, found.text, found.folder, self.folder, log_level, tasks, start)

    def guest(self, main: Main, log_level: str, folder: Path, tasks: Tasks) -> Guest:
        """Return what a task does that isn't the first of those that run it together.

        Args:
            main: as for `start`.
            log_level: for main.
            folder: in which they meet.
            tasks: of which this process is one.
        """
        from heyhi.job.entry import find_importable
        from heyhi.job.meeting import Guest
        from heyhi.job.ranks import ranks_command
        from heyhi.sweep.manifest import Manifest, manifests_root

        def command(manifest: str, notes: str) -> list[str]:
            found = find_importable(main, f"{self.experiment.exp_id}: {tasks.count} tasks")
            path = manifests_root(self.project) / manifest
            with Manifest.open(path) as held:  # the first one knows by which name an ad hoc run goes
                (folder,) = held.own_folders
            target = target_of(folder, self.project.root)
            return ranks_command(target, path, found.folder, log_level, Path(folder) / notes, found.text)

        return Guest(folder, tasks, command)

    def check_no_tasks(self) -> None:
        """Make sure that it doesn't ask for processes of its own where there are tasks already.

        Raises:
            LauncherError: it does.
        """
        from heyhi.slurm.launcher import local_tasks

        if not self.is_for_slurm and (tasks := local_tasks(self.task_message)) > 1:
            raise LauncherError(
                f"launcher.local.tasks={tasks}: leave it out: srun or torchrun has started several tasks already,"
                " which are the ranks"
            )

    @property
    def _as_known(self) -> dict[str, list[str]]:
        """The experiment, as it becomes known when it is run or handed over."""
        one, root = self.experiment, self.project.results_root
        return {exp_id_of(one.exp_path, root): exp_ids_of(one.needs, root)}

    def note(self) -> None:
        """Put on record that it was run, unless it is; one that is DONE may have lost its record."""
        from heyhi.sweep.known import note_known

        try:
            note_known(self.project, self._as_known)
        except ResultError as error:  # an exp path may lie where others may write than in the results root
            _warn("%s; `heyhi status` won't list this run", error)

    def check(self) -> None:
        """Make sure that it can be started here.

        Raises:
            HeyhiError: what it needs isn't done, its launcher asks for what no job can have, or the environment wishes
                for another cluster.
        """
        self._check_needs()
        from heyhi.slurm.launcher import local_tasks
        from heyhi.slurm.request import request_of

        if self.is_for_slurm:
            from heyhi.slurm.surroundings import clusters_wished_for

            request_of(self.task_message)
            if clusters_wished_for():
                from heyhi.slurm.cluster import check_clusters

                check_clusters()
        else:
            local_tasks(self.task_message)

    def check_project(self) -> None:
        """Make sure that what is there is no other project's, as far as anybody can tell.

        Raises:
            IdentityError: it is.
        """
        with contextlib.suppress(UnknownError):  # its status says so, and nothing starts there
            self.folder.check_project(self.experiment.roots, self.project.settings.was)

    def _wipe(self, action: Action) -> None:
        """Move what is there to the trash, and say where it is."""
        if self.is_for_slurm:
            self._check_sbatch()
        still = (lambda: self.is_to_redo) if action.is_redo else (lambda: True)
        wiped = self.folder.wipe(self.experiment.identity, still=still, only_result=action.keeps_files)
        if wiped is not None:
            where = self.project.relative(wiped)
            what = "the result that %s had" if action.keeps_files else "what %s held"
            _warn(f"{what} is in %s now, until heyhi clean", self.experiment.exp_id, where)

    def _check_sbatch(self) -> None:
        from heyhi.slurm.commands import is_here

        if not is_here():
            raise LauncherError(f"{self.experiment.exp_id}: nothing was wiped: no sbatch here to submit it by")

    def _check_needs(self) -> None:
        if self.experiment.files:
            from heyhi.experiment.given_files import check_files
            from heyhi.profiles import LOCAL, snakemake_command

            check_files(
                self.experiment.files,
                self.project.root,
                self.experiment.exp_id,
                snakemake_command(self.project, LOCAL),
            )
        if not self.experiment.needs:
            return
        missing = []
        from heyhi.experiment.given import best_folders

        needs = [*self.experiment.needs, *map(Path, best_folders(self.experiment))]
        statuses = Statuses(list(map(str, needs)))
        for need in needs:
            state = statuses.of(str(need))
            if state.status is not Status.DONE:
                text = state.line if state.status.is_trouble else state.status.value
                missing.append(f"  {self._named(need)}: {text}")
        if missing:
            from heyhi.profiles import LOCAL, SLURM, snakemake_command  # where something is wrong

            command = shell_line(self.words)
            snakemake = snakemake_command(self.project, SLURM if self.is_for_slurm else LOCAL)
            raise NeedsError(
                f"{self.experiment.exp_id} needs what isn't done:\n" + "\n".join(missing) + "\n"
                f"this runs what it needs, then it:\n"
                f"  {snakemake} $(heyhi expand {command})"
            )

    def _named(self, need: Path) -> str:
        """Name a need as people do."""
        exp_id = str(need.relative_to(self.project.results_root))
        contest = next((one for one in self.expansion.contests if one.exp_id == exp_id), None)
        return contest.best.text if contest is not None else exp_id

    def _copy_of_code(self, entry: Importable | None) -> Snapshot | None:
        """Take the copy of the code that the job is to run; None where it runs the work tree.

        Raises:
            LauncherError: it doesn't have the function.
        """
        from heyhi.code.import_path import pinned_copy
        from heyhi.code.snapshot import code_for_jobs

        if self.project.settings.notify:
            from heyhi.notify.whom import take_from_environment  # most tell nobody

            take_from_environment(self.project.settings.notify)
        code = code_for_jobs(self.project) if self.snapshot else None
        if code is not None and entry is not None and not (code.root / entry.file).is_file():
            why = "leaves out: see snapshot_exclude in [tool.heyhi], or run"
            if pinned_copy(self.project) is not None:
                why = "that was pinned for this one doesn't have: run"
            raise LauncherError(
                f"{self.experiment.exp_id}: main is '{entry.name}' of {entry.file}, which the copy of the code for jobs"
                f" {why} the work tree by --no-snapshot"
            )
        return code

    def _own_copy(self, main: Main) -> Path | None:
        """Return the copy of the project's code that a function was imported from, as in a job; None for no copy."""
        from heyhi.code.version import copy_around

        file = getattr(sys.modules.get(getattr(main, "__module__", None) or ""), "__file__", None)
        return copy_around(Path(file), self.project.root) if isinstance(file, str) else None

    def _submit(
        self, entry: Importable | None, code: Snapshot | None, log_level: str, ready: CheckSlurm | None
    ) -> _Outcome:
        """Hand it over to Slurm; what it is to run is written down first, as for a sweep."""
        from heyhi.job.order import Order
        from heyhi.job.patience import Patience
        from heyhi.job.submit import submit_job
        from heyhi.slurm.commands import NoCluster, View
        from heyhi.slurm.request import request_of
        from heyhi.sweep.known import noting
        from heyhi.sweep.write_manifest import write_manifest

        order = Order(
            # The index takes it up when it is opened next: of a loop's, each finds what those before have left.
            manifest=write_manifest(self.expansion, self.project, self.schema, words=self.words, indexed=False),
            schema=self.schema,
            results_root=self.project.results_root,
            state_root=self.project.state_root,
            code_root=code.root if code is not None else self.project.root,
            snapshot=code,
            log_level=log_level,
            identity_ignore=self.project.settings.identity_ignore,
            continue_drifted=self.continue_drifted,
            node_faults=self.project.settings.node_faults,
            entry=entry.text if entry is not None else "",
        )
        ask = partial(ready, asks=True) if ready is not None else None
        try:
            receipt = submit_job(
                [self.experiment],
                request_of(self.task_message),
                order,
                View(),
                handing_over=lambda: noting(self.project, self._as_known),
                wait=Patience(self.experiment.exp_id, ask=ask).wait,
            )
        except NoCluster:
            if ask is not None:
                ask()  # which says what can be done instead
            raise
        return _Outcome(job_id=receipt.job_id, refused=receipt.refused.get(self.experiment.exp_path, ""))
