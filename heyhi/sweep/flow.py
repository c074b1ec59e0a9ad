"""What the rules of the Snakefile ask: which experiments, with what needs and resources, and which tables.

A sweep is expanded when `rule all` asks for it, not when the Snakefile is read, nor for targets named by path.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from heyhi.code.import_path import own_modules_last
from heyhi.code.snapshot import CODE_SETTING
from heyhi.config.schema import load_schema
from heyhi.errors import HeyhiError, ManifestError, NeedsError, SweepError, UnknownError, reporting_errors, suggest
from heyhi.experiment.exits import ENDED
from heyhi.experiment.given_files import NOT_THERE, OWN_RULES, not_given, why_missing
from heyhi.experiment.names import SEARCHES_NAME, Status, result_of
from heyhi.experiment.project_names import check_names, foreign_names, take_root
from heyhi.experiment.slots import lacks_values, searches_of
from heyhi.experiment.status import State, Statuses
from heyhi.experiment.winners import read_winner, waited_for, winner_path, write_log
from heyhi.extras import missing
from heyhi.files import is_there, replace_bytes, writing
from heyhi.profiles import LOCAL, snakemake_command
from heyhi.project import Project, find_project
from heyhi.slurm.launcher import is_slurm
from heyhi.slurm.request import JobRequest, request_of
from heyhi.sweep.budget import BUDGET_SETTING
from heyhi.sweep.canaries import CANARY_SETTING
from heyhi.sweep.continuing import CONTINUE_OPTION, CONTINUE_SETTING, continues_drifted
from heyhi.sweep.engine import check_one_process, give_resources, is_other_engine
from heyhi.sweep.file import expand_sweep_file
from heyhi.sweep.graph import Graph
from heyhi.sweep.index import ManifestIndex, damaged_manifest, no_manifest
from heyhi.sweep.known import LaunchRecord, label_of, note_known, write_launch
from heyhi.sweep.manifest import SUFFIX, Manifest, Node, by_own_name, check_is_of, manifests_root, table_of
from heyhi.sweep.provenance import MAX_COMPARED, Inspector
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, GIVEN_UP_NAME, give_sign_of_life
from heyhi.sweep.target import (
    exp_ids_of,
    folder_of,
    folders_of,
    is_slot_target,
    is_target,
    is_winner_target,
    target_of,
)
from heyhi.sweep.target_jobs import hand_over_whole, take_over
from heyhi.sweep.twins import Twins
from heyhi.sweep.validation import validate, validate_again
from heyhi.sweep.write_manifest import write_manifest
from heyhi.text import shell_word, shown_streams

_UNKNOWN_NAME = "unknown"  # folder in the state root
_SETTINGS = ("sweep", "manifest")  # of --config: what is asked for
_LAUNCH_SETTING = "launch"
_ALL_SETTINGS = (*_SETTINGS, CONTINUE_SETTING, _LAUNCH_SETTING, CANARY_SETTING, CODE_SETTING, BUDGET_SETTING)
_RULES = ("experiment", "slot")  # that run experiments
_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])


class Flow:
    """The answers to the rules' questions, for one run of Snakemake.

    Where an attribute is said to be for the rules, it is a function of a rule's wildcards: when a user got something
    wrong, it ends Snakemake with one message and exit code 2.

    Args:
        workflow: Snakemake's object of that name.
        config: Snakemake's; `sweep` is a sweep file (or a manifest), `manifest` a manifest, `continue_drifted` whether
            what has progress goes on with another config, too, `launch` the record of a launch that `heyhi launch` or
            `retry` has written already. Default: the sweep of `[tool.heyhi]`.

    Attributes:
        project: whose experiments are run.
        launch: the record of the launch that has started this run; empty where somebody has by hand.
        python: this interpreter, quoted for a shell command.
        ended: with what the shell of an experiment begins what it says of an end that only it has seen.
        options: further words for the runner, with a space before each.
        reports: folder of the reports, as a pattern.
        needs: for the rules: targets that an experiment needs, and files, which rules of the project's own make.
        own_rules: file of the project's own rules, workflows/own.smk; this Snakefile may be the package's.
        has_own_rules: whether the project has any.
        unknown: folder of what stands for that an experiment is UNKNOWN, as a pattern; nothing is ever made there.
        why_unknown: for the rules: which experiment is UNKNOWN, and why.
        manifest: for the rules: manifest that an experiment's job reads.
        tries: for the rules: how often an experiment's run was tried, with this time, and how often it is.
        threads: for the rules: cores that an experiment is given.
        priority: for the rules: the higher, the earlier an experiment is started; in the order of its sweep, and before
            all others where it waits or runs already.
        report: for the rules: table of the sweep that was asked for.
        page: for the rules: its page; none where its extra isn't installed, or wasn't when the table was written.
        makes_page: whether the extra for it is installed.
        to_page: words for the command that writes a table, with a space before each.
        candidates: for the rules: what the best of a sweep is chosen from, where it isn't chosen yet.
        contest_manifest: for the rules: manifest that says so.
        contest: for the rules: what that best one is called.
        missing: for the rules: its experiments whose results were removed after its table was written.
        report_results: for the rules: experiments that a table waits for, or has an earlier result of.
        report_manifest: for the rules: manifest of a table.
    """

    def __init__(self, workflow: Any, config: Mapping[str, object]) -> None:
        self._workflow = workflow
        if not workflow.is_main_process:
            take_over()
        with reporting_errors():
            own_modules_last(Path.cwd())  # Snakemake puts the folder of its Snakefile first
            self.project = _project_here()
            self._sweep = _chosen_sweep(config, self.project)
            goes_on = continues_drifted(config)
        self._is_chosen = any(config.get(key) for key in _SETTINGS)
        self.launch = str(config.get(_LAUNCH_SETTING) or "")
        self._is_on_record = bool(self.launch)
        self._statuses = Statuses()
        self._parallel: list[int] = []  # of the searches: trials at once
        self._unknown: dict[str, str] = {}  # digest of a target -> what is said of it
        self._is_own = False  # whether it was asked whose the results are
        self._manifest: Manifest | None = None  # of the sweep
        self._known: dict[str, _Known] = {}  # by target
        self._index: ManifestIndex | None = None
        self._opened: dict[Path, Manifest] = {}
        self._asked: dict[str, Manifest] = {}  # by target
        self._validated: set[str] = set()  # targets
        self._left_out: set[str] = set()  # targets that were DONE, and are no jobs
        self._reported: dict[Path, Manifest] = {}  # by its path
        self._requests: dict[str, JobRequest | None] = {}  # by target, where the engine is another one
        self._graph = Graph(workflow, self.project.root, lambda target: self._find_target(target).node)
        self._told: Manifest | None = None  # to the rules
        self._is_engine_told: bool | None = None  # what launchers ask for; None: it isn't known which engine it is
        # -P: what lies in the project is no module of ours.
        self.python = _literal(f"{shlex.quote(sys.executable)} -P")
        self.ended = ENDED
        self.options = f" {CONTINUE_OPTION}" if goes_on else ""
        if name := config.get(BUDGET_SETTING):
            self.options += _literal(f" --launch {shlex.quote(str(name))}")
        if name := config.get(CANARY_SETTING):  # canaries that have died for good stay so
            given_up = self.project.state_root / CONTROLLERS_NAME / str(name) / GIVEN_UP_NAME
            if is_there(given_up):
                self.options += _literal(f" --given-up {shlex.quote(str(given_up))}")
        self.reports = _literal(self.project.relative(self.project.reports_root))
        self.needs = _for_rule(lambda wildcards: self._needs(self._ask(wildcards)))
        self.own_rules = str(self.project.root / OWN_RULES)
        self.has_own_rules = os.path.isfile(self.own_rules)  # noqa: PTH113
        self.unknown = _literal(self.project.relative(self.project.state_root / _UNKNOWN_NAME))
        self.why_unknown = _for_rule(lambda wildcards: self._unknown[wildcards.digest])
        self.manifest = _for_rule(lambda wildcards: self._name(self._find(wildcards).manifest))
        self.threads = _for_rule(lambda wildcards: self._threads(self._find(wildcards)))
        self.tries = _with_attempt(self._tries)
        self.priority = _for_rule(lambda wildcards: self._priority(self._find(wildcards)))
        self.report = _for_rule(lambda _: self._ask_report())
        self.candidates = _for_rule(lambda wildcards: self._candidates(self._find_contest(wildcards)))
        self.contest = _for_rule(lambda wildcards: self._contest_text(self._find_contest(wildcards)))
        self.contest_manifest = _for_rule(lambda wildcards: self._name(self._find_contest(wildcards).manifest))
        self.makes_page = not missing("page")
        self.to_page = " --to {output.page:q}" if self.makes_page else ""
        self.page = _for_rule(lambda _: self._ask_page(self._sweep_manifest()))
        self.missing = _for_rule(lambda _: self._missing(self._sweep_manifest()))
        self.report_results = _for_rule(lambda wildcards: self._report_results(self._open_report(wildcards)))
        self.report_manifest = _for_rule(lambda wildcards: self._name(self._open_report(wildcards)))
        for follow in self._loggers("follow_run"):
            follow(self)

    @property
    def asked(self) -> list[tuple[str, Manifest]]:
        """Experiments that this run was asked for, and what they need, each with its manifest."""
        return list(self._asked.items())

    @property
    def asked_in_order(self) -> list[tuple[str, Manifest]]:
        """The same: what was named in that order, then what that needs in the order of its manifest."""
        settings = self._workflow.dag_settings
        named = settings.targets if settings is not None else ()
        targets = dict.fromkeys(self.project.relative(Path(os.path.normpath(name))) for name in named)
        order = {target: number for number, target in enumerate(targets)}

        def place(asked: tuple[str, Manifest]) -> tuple[int, int]:
            return order.get(asked[0], len(order)), self._known_node(*asked).position

        return sorted(self.asked, key=place)

    @property
    def reported(self) -> list[Manifest]:
        """Manifests of the tables that this run was asked for."""
        return list(self._reported.values())

    @property
    def starting(self) -> list[tuple[Manifest, set[str]]]:
        """What isn't there of what this run was asked for: manifests, each with the exp paths of its experiments."""
        found: dict[Path, tuple[Manifest, set[str]]] = {}
        for target, manifest in self.asked:
            if not is_there(self.project.root / target):
                folder = folders_of([target], self.project.root)[0]
                found.setdefault(manifest.path, (manifest, set()))[1].add(folder)
        return [*found.values()]

    @property
    def is_remote(self) -> bool:
        """Whether jobs are handed to a cluster."""
        return bool(not self._workflow.local_exec)

    @property
    def is_launched(self) -> bool:
        """Whether `heyhi launch` or `retry` has started this run, and has said what is to be said before."""
        return self._is_on_record

    @property
    def words(self) -> str:
        """What to call what this run was asked for in commands; empty where that is no sweep."""
        if self._sweep is None or self._manifest is None or self._manifest.path not in self._reported:
            return ""
        if self._manifest.search is not None and self._sweep.suffix == SUFFIX:
            return self._manifest.sweep or f"{SEARCHES_NAME}/{self._manifest.search.search_id}"
        return shell_word(self.project.relative(self._sweep))

    @property
    def is_run(self) -> bool:
        """Whether something is run, as far as Snakemake has said so by now; a dry run is none."""
        return bool(self._workflow.is_main_process and self._is_executing)

    def end(self) -> None:
        """End this process where a trial of a search is dead for good, or none has what the search is about.

        For `onsuccess`, when all else is done; why, the table says.

        Raises:
            SystemExit: so it is.
        """
        slots = folders_of([target for target, _ in self.asked if is_slot_target(target)], self.project.root)
        slots += [
            folder for manifest in self.reported if manifest.search is not None for folder in manifest.own_folders
        ]
        slots = list(dict.fromkeys(slots))
        statuses = Statuses(slots)
        if any(statuses.look(slot).status is Status.DEAD for slot in slots) or any(
            map(lacks_values, searches_of(slots))
        ):
            raise SystemExit(1)

    def finish(self) -> None:
        """Have HeyHi's logger say how the run has ended: before its table is shown, or anything else is printed."""
        for finish in self._loggers("finish_run"):
            finish()

    def _loggers(self, method: str) -> list[Callable[..., None]]:
        """Return a method of the logger plugins that have it: HeyHi's, where the profile names it."""
        manager = getattr(self._workflow, "logger_manager", None)
        handlers = manager.get_log_handlers() if manager is not None else []
        return [getattr(handler, method) for handler in handlers if hasattr(handler, method)]

    def note_launch(self) -> None:
        """Write down that what this run was asked for is run: for `onstart`, which is for runs that start something."""
        if self._is_on_record or not self.is_run:
            return
        try:
            for manifest in self.reported:
                name, expand = manifest.path.name, manifest.words
                record = LaunchRecord.now(
                    "snakemake", sys.argv[1:], manifest.label, manifest=name, expand=expand, profile=_profile_given()
                )
                write_launch(self.project, record)
            self._note_single()
            give_sign_of_life(
                self.project,
                [self._name(manifest) for manifest in self.reported],
                [node.target for node in self._single],
            )
        except HeyhiError as error:  # the run is worth more than its record
            print(f"warning: {error}; `heyhi status` won't know of this launch", file=sys.stderr)

    @property
    def _single(self) -> list[Node]:
        """Experiments that are run, and of no sweep that is run whole."""
        whole = {folder for manifest in self.reported for folder in manifest.folders}
        nodes = [self._known_node(target, manifest) for target, manifest in self.asked]
        folders = folders_of([node.target for node in nodes], self.project.root)
        return [node for node, folder in zip(nodes, folders, strict=True) if folder not in whole]

    def _note_single(self) -> None:
        """Write down that experiments are run which are of no sweep that is run whole."""
        needs: dict[str, list[str]] = {}
        for node in self._single:
            folders = folders_of([node.target, *node.needs], self.project.root)
            exp_id, *ids = exp_ids_of(folders, self.project.results_root)
            needs[exp_id] = ids
        if needs:
            needs = dict(sorted(needs.items()))  # Snakemake asks for them in any order
            known = note_known(self.project, needs)
            write_launch(
                self.project,
                LaunchRecord.now(
                    "snakemake",
                    sys.argv[1:],
                    label_of(list(needs)),
                    known=known.path.name,
                    profile=_profile_given(),
                ),
            )

    def _known_node(self, target: str, manifest: Manifest) -> Node:
        known = self._known.get(target)
        node = known.node if known is not None else manifest.node(target)
        assert node is not None  # it was looked up there
        return node

    def report_copy(self, manifest: Manifest) -> Path:
        """Return the path of the copy of a sweep's last table, which has a fixed name."""
        return self.project.reports_root / f"{manifest.label}.csv"

    def page_path(self, manifest: Manifest) -> str:
        """Return the path of the page that goes with a manifest's table."""
        return f"{table_of(self.project, manifest).removesuffix('.csv')}.html"

    # --- experiments

    def _ask(self, wildcards: Any) -> _Known:
        """Look an experiment up, and note that this run was asked for it."""
        known = self._find(wildcards)
        self._tell_engine(known)
        self._tell_rules(known.manifest)
        if self._asks_check and known.node.target not in self._validated:
            self._validate([known, *self._named()])
        self._asked[known.node.target] = known.manifest
        if self._is_executing:
            # A killed Snakemake may have left a copy of a result, which it would bring back when the next try fails.
            self._workflow.persistence.cleanup_backup(Path(result_of(wildcards.exp)))
        return known

    def _tell_engine(self, known: _Known) -> None:
        """Have another engine than HeyHi's be told what launchers ask for; which one it is, no rule knows before.

        Raises:
            LauncherError: it can't run this experiment.
        """
        if self._is_engine_told is None:
            self._is_engine_told = is_other_engine(self._workflow)
            if self._is_engine_told:
                hand_over_whole()
                give_resources(
                    self._workflow, _RULES, _for_rule(lambda wildcards: self._request(self._find(wildcards)))
                )
        if self._is_engine_told and not is_there(self.project.root / known.node.target):
            check_one_process(known.node.target, self._request(known))

    def _tell_rules(self, manifest: Manifest) -> None:
        """Have the rules say once what is so for all jobs: to be asked for each takes a tenth of its time.

        Jobs are made before they are asked for resources, so that a second manifest comes in time.
        """
        if manifest is self._told or not self._workflow.is_main_process:
            return
        is_first, self._told = self._told is None, manifest
        settings = self._workflow.execution_settings
        is_tried_once = settings is not None and settings.attempt == 1 and settings.retries == 0
        for name in _RULES:
            resources = self._workflow.get_rule(name).resources
            resources["manifest"] = self._name(manifest) if is_first else self.manifest
            if is_tried_once:
                resources["tries"] = self._tries(1)

    def _threads(self, known: _Known) -> int:
        request = self._request(known) if self._is_engine_told else None
        return request.cpus if request is not None else int(known.node.resources.get("threads", 1))

    def _request(self, known: _Known) -> JobRequest | None:
        """Return what the launcher of an experiment asks for; None where that isn't Slurm's."""
        target = known.node.target
        if target not in self._requests:
            row = known.manifest.experiment(target)
            task = known.manifest.task_message(row.task, row.config)
            self._requests[target] = request_of(task) if is_slurm(task) else None
        return self._requests[target]

    @property
    def _asks_check(self) -> bool:
        """Whether the project's own check is asked: not by who only looks, nor for what `heyhi launch` has checked."""
        workflow = self._workflow
        is_run = workflow.is_main_process and workflow.executor_plugin is not None and not workflow.touch
        return bool(self.project.settings.validate) and is_run and not self._is_on_record

    def _named(self) -> Iterator[_Known]:
        """Yield what was named by its target, and what that needs."""
        settings = self._workflow.dag_settings
        left = [target for target in settings.targets if is_target(target)] if settings is not None else []
        seen = set(left)
        while left:
            with contextlib.suppress(HeyhiError):  # it is said when Snakemake asks for it
                known = self._find_target(left.pop())
                yield known
                left += [need for need in known.node.needs if need not in seen]
                seen.update(left)

    def _validate(self, experiments: Iterable[_Known]) -> None:
        """Have the project's own check look at what would be started and was expanded before.

        Raises:
            HeyhiError: it refuses some of it.
        """
        new: dict[Manifest, dict[str, None]] = {}
        for node, manifest in experiments if self._asks_check else ():
            target = node.target
            if target not in self._validated and not self._is_done(target):
                new.setdefault(manifest, {})[target] = None
            self._validated.add(target)
        if new:
            with shown_streams():
                for manifest, targets in new.items():
                    validate_again(self.project, manifest, targets)

    def _needs(self, known: _Known) -> list[str]:
        """Return what an experiment needs.

        Raises:
            UnknownError: it was named itself, and nobody knows how it is.
            NeedsError: a file isn't there, and no rule makes it.
        """
        node = known.node
        if self._is_unknown(node.target):
            why = self._look(node.target).line
            raise UnknownError(f"{node.target}: {why}; nothing is started: leave it out to run others")
        needs = [*self._needed(node), *self._bests(known)] if node.needs else []
        return [*needs, *self._files(node)] if node.files else needs

    def _needed(self, node: Node) -> list[str]:
        """Return the needs of an experiment that are in the graph: all where it is to run, so that it runs with all."""
        return self._in_graph(node.needs) if self._is_done(node.target) else self._touchable(node.needs)

    def _is_done(self, target: str) -> bool:
        return os.access(self.project.root / target, os.F_OK)

    def _bests(self, known: _Known) -> list[str]:
        """Return the best experiments whose folders one is given and that aren't DONE: they may be made anew now."""
        node, manifest = known
        if not self._workflow.is_main_process or not any(map(is_winner_target, node.needs)):
            return []
        folder, *needs = folders_of([node.target, *node.needs], self.project.root)
        found = [target_of(path, self.project.root) for path in manifest.missing_bests(folder, needs)]
        # That of a search's trial is started by its slot alone.
        return [target if self._can_run(target) else self._stand_in(target) for target in found]

    def _can_run(self, target: str) -> bool:
        with contextlib.suppress(ManifestError):  # it was expanded into none
            return not self._is_unknown(target) and bool(self._find_target(target))
        return False

    def _files(self, node: Node) -> Sequence[str]:
        """Return the files that an experiment needs.

        Raises:
            NeedsError: there is none, and no rule makes it.
        """
        if self._workflow.is_main_process:
            for name in node.files:
                why = why_missing(name, self.project.root)
                if why and not (why == NOT_THERE and self._is_made(name)):
                    raise NeedsError(not_given(node.target, name, why))
        return node.files

    def _is_made(self, name: str) -> bool:
        """Return whether a rule makes a file, as far as its outputs say it."""

        def makes(rule: Any) -> bool:
            with contextlib.suppress(Exception):  # it can't tell of constraints with braces, as some of ours have
                return bool(rule.is_producer(name))
            return False

        return any(map(makes, self._workflow.rules))

    # --- what is in the graph

    def leave_if_gone(self) -> None:
        """End Snakemake with 1 where what was DONE at its start, and so no job, isn't any more: it can't see that.

        Raises:
            SystemExit: so it is.
        """
        gone = sorted(target for target in self._left_out if not self._is_done(target))
        if gone:
            more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            with shown_streams():
                print(
                    f"error: {gone[0]}{more}: DONE when this run began, and not any more; run it again",
                    file=sys.stderr,
                    flush=True,
                )
            raise SystemExit(1)

    def _in_graph(self, targets: Sequence[str], since: float | None = None) -> list[str]:
        """Return what of some targets a rule waits for; what is left out for it was asked for all the same."""
        found, left_out = self._graph.parted(targets, since)
        self._left_out.update(left_out)
        while left_out:
            target = left_out.pop()
            if target not in self._asked and not is_winner_target(target):
                known = self._find_target(target)
                self._asked[target] = known.manifest
                left_out += known.node.needs
        return self._touchable(found)

    def _report_results(self, manifest: Manifest) -> list[str]:
        """Return what a table waits for; and what was done since it was written, so that it is written anew."""
        written = [table_of(self.project, manifest), *([self.page_path(manifest)] if self.makes_page else [])]
        return self._in_graph(manifest.targets, self._graph.oldest(written))

    def _touchable(self, targets: Sequence[str]) -> list[str]:
        """Put for each target that is UNKNOWN one that can't be made: what depends on it waits in vain, others go on.

        Of a target itself Snakemake would remove the log, make and list the folder, and end where it can't.
        """
        return [self._stand_in(target) if self._is_unknown(target) else target for target in targets]

    def _is_unknown(self, target: str) -> bool:
        # A job is given what the main process has made of it.
        return self._workflow.is_main_process and self._look(target).status is Status.UNKNOWN

    def _look(self, target: str) -> State:
        return self._statuses.look(folder_of(target, self.project.root))

    def _stand_in(self, target: str) -> str:
        digest = hashlib.sha256(target.encode(errors="surrogateescape")).hexdigest()[:16]
        self._unknown[digest] = f"{target}: {self._look(target).line}"
        return self.project.relative(self.project.state_root / _UNKNOWN_NAME / digest)

    # --- the best ones of sweeps

    def _find_contest(self, wildcards: Any) -> _Known:
        target = f"{wildcards.winner}.json"
        known = self._known.get(target)
        if known is None and self._is_chosen and self._manifest is None:
            self._sweep_manifest()
            known = self._known.get(target)
        if known is None:
            known = self._contest_of_asked(target)
        if known is None:
            raise no_manifest(self.project, target)
        return known

    def _contest_of_asked(self, target: str) -> _Known | None:
        """Look the best of a sweep up where the experiment was found that needs it."""
        for manifest in dict.fromkeys([*self._asked.values(), *self._opened.values()]):
            for node in manifest.contest_nodes():
                if node.target == target:
                    self._known[target] = _Known(node, manifest)
                    return self._known[target]
        return None

    def _candidates(self, known: _Known) -> list[str]:
        """Return what the best of a sweep waits for: nothing once it is chosen, whatever has become of it since."""
        node, manifest = known
        folder = folder_of(node.target, self.project.root)
        if is_there(self.project.root / node.target) or not self._workflow.is_main_process:
            return []
        own = set(manifest.targets)
        return self._in_graph(waited_for(manifest.best_of(folder), node.needs, self._is_stuck, own))

    def _contest_text(self, known: _Known) -> str:
        best = known.manifest.best_of(folder_of(known.node.target, self.project.root))
        return best.text if best is not None else known.node.target

    def _is_stuck(self, target: str) -> bool:
        return self._look(target).status.blocks

    def _tries(self, attempt: int) -> str:
        settings = self._workflow.execution_settings
        # A job of another executor doesn't know how often it is tried.
        is_known = self._workflow.is_main_process and settings is not None
        return f"{attempt} --attempts {1 + settings.retries}" if is_known else str(attempt)

    def _priority(self, known: _Known) -> int:
        # From 1: of what is worth nothing Snakemake's solver would start nothing.
        place = max(1, known.manifest.size - known.node.position)
        # What waits or runs already is waited for by whoever starts it. Only what was started counts against a limit.
        return place + (max(one.size for one in self._opened.values()) if self._is_alive(known.node.target) else 0)

    def _is_alive(self, target: str) -> bool:
        return self._workflow.is_main_process and self._look(target).status.is_alive

    def _find(self, wildcards: Any) -> _Known:
        """Look an experiment up: in the sweep if one was chosen, else in the manifest it was expanded into last."""
        return self._find_target(result_of(wildcards.exp))

    def _find_target(self, target: str) -> _Known:
        known = self._known.get(target)
        if known is None and self._is_chosen and self._manifest is None:
            self._sweep_manifest()
            known = self._known.get(target)
        if known is None:
            known = self._known[target] = self._find_in_index(target)
        return known

    def _find_in_index(self, target: str) -> _Known:
        """Look an experiment up in the manifest that it was expanded into last."""
        if self._index is None:
            self._check_settings()
            self._index = ManifestIndex.open(self.project)
        target = self.project.relative(Path(os.path.normpath(target)))
        path = self._index.find_to_run(folder_of(target, self.project.root))
        if path is not None:
            try:
                manifest = self._open(path)
                node = manifest.node(target)
            except ManifestError as error:
                raise damaged_manifest(self.project, target, error) from None
            # The index is a file that others may write.
            if node is not None and manifest.written_for.is_here(self.project):
                return _Known(node, manifest)
        raise no_manifest(self.project, target)

    def _name(self, manifest: Manifest) -> str:
        return self.project.relative(manifest.path)

    def _open(self, path: Path) -> Manifest:
        if path not in self._opened:
            self._opened[path] = Manifest.open(path)
        return self._opened[path]

    # --- the sweep

    def _sweep_manifest(self) -> Manifest:
        """Expand the sweep, once and in the main process only: a job reads what that has written."""
        if self._manifest is None:
            with reporting_errors():  # of what is printed: see `shown_streams`
                self._manifest = self._opened_sweep()
        return self._manifest

    def _opened_sweep(self) -> Manifest:
        self._check_settings()
        self._check_nothing_else_was_meant()
        if self._sweep is None:
            raise SweepError(
                "which experiments? Say --config sweep=FILE, name targets (heyhi expand prints some),"
                " or set [tool.heyhi] sweep in pyproject.toml"
            )
        path, is_new = self._sweep, self._sweep.suffix != SUFFIX
        if is_new:
            if not self._workflow.is_main_process:
                raise ManifestError("a sweep is expanded by the main process of Snakemake, never by a job")
            path = _expand(self.project, path, is_run=self._is_executing)
        manifest = self._open(by_own_name(path, self.project))
        check_is_of(manifest, self.project, "snakemake --profile PROFILE --config manifest=")
        if self._is_executing and not is_new:
            _choose(self.project, manifest)
        found = [_Known(node, manifest) for node in manifest.nodes()]
        self._known.update((known.node.target, known) for known in found)
        self._take_contests(manifest)
        self._limit_trials(manifest)
        if is_new:
            self._validated.update(known.node.target for known in found)
        else:
            self._validate(found)
        return manifest

    def _take_contests(self, manifest: Manifest) -> None:
        self._known.update((node.target, _Known(node, manifest)) for node in manifest.contest_nodes())

    def _limit_trials(self, manifest: Manifest) -> None:
        """Have no more trials of a search run at once than it allows; of several searches, all as many as the sum."""
        if manifest.search is not None:
            self._parallel.append(manifest.search.parallel)
            most = sum(self._parallel) if all(self._parallel) else sys.maxsize
            self._workflow.register_resource("trials", most)

    def _check_nothing_else_was_meant(self) -> None:
        """Refuse the default sweep where targets were given, and an option of several words has taken them for its own.

        Raises:
            SweepError: so it was.
        """
        settings = self._workflow.dag_settings
        if self._is_chosen or settings is None or settings.targets or not self._workflow.is_main_process:
            return
        taken = next((word for word in sys.argv[1:] if is_target(word)), None)
        if taken is not None:
            raise SweepError(
                f"{taken} was taken for a value of the option before it, and no target is left: nothing is run."
                " Put targets first, or -- before them (for the default sweep: all)"
            )

    def _check_settings(self) -> None:
        """Refuse to go on where Snakemake would take what is done for outdated, and remove it."""
        dag, execution = self._workflow.dag_settings, self._workflow.execution_settings
        if not self._workflow.is_main_process or dag is None:
            return
        missing = []
        if {trigger.name for trigger in dag.rerun_triggers} != {"MTIME"}:
            missing.append("--rerun-triggers mtime")
        if execution is not None and not execution.keep_incomplete:
            missing.append("--keep-incomplete")
        if missing:
            raise HeyhiError(
                f"run {snakemake_command(self.project, LOCAL)} (or another profile of HeyHi's), or snakemake with"
                f" {' '.join(missing)}: otherwise an edit would make it remove and redo what is done"
            )
        self._check_whose()

    def _check_whose(self) -> None:
        """Refuse to run anything in another project's results; who only looks is warned, once."""
        if self._is_own:
            return
        self._is_own = True
        warning = check_names(self.project) if self._is_executing else foreign_names(self.project)
        if warning:
            with shown_streams():
                print(f"warning: {warning}", file=sys.stderr)
        if self._is_executing:
            take_root(self.project)

    def _ask_report(self) -> str:
        """Return the sweep's table, and copy to its fixed name what is there of it already."""
        manifest = self._sweep_manifest()
        name = table_of(self.project, manifest)
        # With nothing to do no rule is run, and no hook: a sweep that was edited and edited back has its old table.
        for one in (name, *self._ask_page(manifest)) if self._is_executing else ():
            copy = self.report_copy(manifest).with_name(f"{manifest.label}{Path(one).suffix}")
            if is_there(self.project.root / one):
                with writing(copy):
                    data = (self.project.root / one).read_bytes()
                replace_bytes(copy, data)
        return name

    def _ask_page(self, manifest: Manifest) -> list[str]:
        """Return a sweep's page, where it is to be there: of a table that was written without it, none is made later.

        Whoever wants it names it, has the table written anew, or takes `heyhi report`.
        """
        page, table = self.page_path(manifest), table_of(self.project, manifest)
        is_asked = is_there(self.project.root / page) or not is_there(self.project.root / table)
        return [page] if self.makes_page and is_asked else []

    def _missing(self, manifest: Manifest) -> list[str]:
        """List a sweep's targets that aren't there although its table is."""
        # To Snakemake, a table that is there speaks for what it was made of.
        if not is_there(self.project.root / table_of(self.project, manifest)):
            return []
        root = f"{self.project.root}/"
        absent = [t for t in manifest.targets if not os.access(os.path.join(root, t), os.F_OK)]  # noqa: PTH118
        return self._touchable(absent)

    @property
    def _is_executing(self) -> bool:
        workflow = self._workflow
        return workflow.executor_plugin is not None and not workflow.dryrun and not workflow.touch

    def _open_report(self, wildcards: Any) -> Manifest:
        """Open the manifest of a table that is to be made."""
        path = manifests_root(self.project) / f"{wildcards.label}-{wildcards.digest}{SUFFIX}"
        manifest = self._open(path)
        if path not in self._reported:
            if self._workflow.is_main_process:  # its experiments may have to be run
                check_is_of(manifest, self.project, "snakemake --profile PROFILE --config manifest=")
            self._reported[path] = manifest
            if self._workflow.is_main_process and manifest is not self._manifest:
                # What the table was asked for with, not what somebody expanded into another manifest since.
                found = [_Known(node, manifest) for node in manifest.nodes()]
                self._known.update((known.node.target, known) for known in found)
                self._take_contests(manifest)
                self._limit_trials(manifest)
                self._validate(found)
        return manifest


class _Known(NamedTuple):
    """An experiment that was looked up, and the manifest that has it."""

    node: Node
    manifest: Manifest


def _for_rule(answer: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """Make a function that a rule can be given: it answers by a rule's wildcards, and reports a user's error."""

    def ask(wildcards: Any) -> _T:
        try:
            return answer(wildcards)
        except BaseException:
            with reporting_errors():  # entered now: it takes longer than most answers, of which there are 50,000
                raise

    return _with_parameters(ask)


def _with_attempt(answer: Callable[[int], str]) -> Callable[[Any, int], str]:
    """Make a function for a rule that is told how often a job was tried."""

    def ask(wildcards: Any, attempt: int) -> str:
        return answer(attempt)

    return _with_parameters(ask)


def _with_parameters(ask: _F) -> _F:
    """Have a function's parameters at hand: Snakemake asks 10 times an experiment, and finding out takes longer."""
    signature = inspect.signature(ask)
    ask.__signature__ = signature  # type: ignore[attr-defined]
    ask._overwrite_params = signature.parameters  # type: ignore[attr-defined]  # of snakemake.common: asks no further
    return ask


def _literal(text: str) -> str:
    """Keep Snakemake from reading braces in a path as wildcards."""
    return text.replace("{", "{{").replace("}", "}}")


def _project_here() -> Project:
    """Return the project whose root is the working directory; a HeyhiError where it is another folder."""
    project = find_project(Path.cwd())
    if not project.root.samefile(Path.cwd()):
        raise HeyhiError(
            f"snakemake must run in the project root: cd {project.root}, or add --directory {project.root}"
        )
    return project


def _chosen_sweep(config: Mapping[str, object], project: Project) -> Path | None:
    for key in config:
        near = suggest(key, _ALL_SETTINGS)
        if near and key not in _ALL_SETTINGS:
            raise HeyhiError(f"--config {key}=…: unknown setting{near}")
        if key in _SETTINGS and config[key] in ("", None):
            # A shell's $(heyhi expand …) that failed: the default sweep is not what was meant.
            raise HeyhiError(f"--config {key}=: nothing is named; did `heyhi expand` fail?")
    chosen = [str(config[key]) for key in _SETTINGS if config.get(key)]
    if len(chosen) > 1:
        raise HeyhiError("--config: sweep and manifest were both given; which one is it?")
    name = chosen[0] if chosen else project.settings.sweep
    if config.get("manifest") and not str(name).endswith(SUFFIX):
        raise ManifestError(
            f"--config manifest={name}: expected a manifest ({SUFFIX}); heyhi expand --manifest prints one"
        )
    return project.root / name if name else None


@contextlib.contextmanager
def _stopped_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C stop what runs inside: Snakemake's event loop would take note of it and go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _choose(project: Project, manifest: Manifest) -> bool:
    """Choose the best ones of sweeps that can be, and say which they are: where all is DONE no rule does so.

    Returns:
        whether one was chosen.
    """
    found = False
    for row in manifest.choosable:
        path = winner_path(manifest.results_root, row.words)
        command = [sys.executable, "-P", "-m", "heyhi.winner", project.relative(path), "--manifest", str(manifest.path)]
        ended = subprocess.run(command, cwd=project.root, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        winner = read_winner(path) if ended.returncode == 0 else None  # else its rule says why
        if winner is not None:
            print(f"chosen: the best of {winner.text}", file=sys.stderr)
            write_log(path, winner)  # as its rule does
            found = True
    return found


def _expand(project: Project, path: Path, *, is_run: bool) -> Path:
    """Expand a sweep file, print its warnings and what came of it, and return its manifest.

    Args:
        project: whose file it is.
        path: of it.
        is_run: its experiments are run, so that the best ones that they name are chosen where that can be.
    """
    schema = load_schema(project)
    with _stopped_by_ctrl_c():
        expansion = expand_sweep_file(project, schema, path)
        validate(project, schema, expansion)
    for warning in expansion.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    manifest = write_manifest(expansion, project, schema)
    needed = len(expansion.planned) - len(expansion.own)
    own = len(expansion.own)
    noun = f"{'experiment' if expansion.search is None else 'trial'}{'s' * (own != 1)}"
    needing = f" and {needed} that {'they need' if own != 1 else 'it needs'}" if needed else ""
    print(
        f"{expansion.sweep}: {own} {noun}{needing}, written down in {project.relative(manifest)}",
        file=sys.stderr,
    )
    is_renewed = False
    if is_run and expansion.contests:
        with Manifest.open(manifest) as written:
            is_renewed = _choose(project, written)
        if is_renewed:
            expansion = expansion.completed(project, schema)
    configs = {p.folder: p.config for p in expansion.planned}
    made = Inspector(project, schema).look(configs, most=MAX_COMPARED)
    for line in (*made.lines, *Twins(project, schema).lines(expansion.complete_configs)):
        print(line, file=sys.stderr)
    if is_renewed and made.drifted:
        words = shell_word(project.relative(path))
        print(
            f"what is DONE is left as it is; heyhi launch --redo-drifted=stale {words} makes anew what has drifted, and"
            " what was made of that",
            file=sys.stderr,
        )
    return manifest


def _profile_given() -> str:
    """Return the profile of Snakemake's command line, as HeyHi's commands take it; empty where there is none."""
    for word, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        option, _, value = word.partition("=")
        if option == "--profile" and (given := value or following):
            return given if "/" in given else f"./{given}"  # to Snakemake it is a folder
    return ""
