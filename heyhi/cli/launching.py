"""The commands that say what would run, and start it: expand, plan, launch."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from heyhi.cli.few_points import Pointless, few_points_text
from heyhi.cli.foreground import print_tables
from heyhi.cli.json_answer import give, owes_json
from heyhi.cli.json_launch import LaunchAnswer
from heyhi.cli.looking import print_recoded, print_wrapped
from heyhi.cli.options import REDO, continues_in, redo_in
from heyhi.cli.profiles import check_profile, profile_for
from heyhi.cli.resources import agree_on_defaults, check_engine, starting_of
from heyhi.cli.selection import Group, Selection, project_for, select
from heyhi.cli.starting import check_files, needed_files, print_unknown, redo_and_control, say_controller
from heyhi.cli.unattended import Unattended
from heyhi.cli.whose import may_change, only_looks
from heyhi.profiles import shown_profile, snakemake_command, uses_slurm
from heyhi.text import data_output, shell_line, shell_word

if TYPE_CHECKING:
    from pathlib import Path

    from heyhi.cli.json_forms import ExpandRow
    from heyhi.cli.redoing import Redoing
    from heyhi.control.survey import Survey
    from heyhi.experiment.folder import Experiment
    from heyhi.experiment.modes import Action
    from heyhi.project import Project
    from heyhi.sweep.manifest import Manifest
    from heyhi.sweep.search_spec import SearchSpec


def expand(args: argparse.Namespace) -> int:
    """Compose and check what is named, write it down, and print a target a line."""
    from heyhi.collector import Pause
    from heyhi.project import find_project
    from heyhi.sweep.target import targets_of

    project = find_project()
    only_looks(project)
    with Pause():  # a sweep's rows are all in use until the last target is printed, and then this is over
        selection = select(project, args, default=True)
        groups = selection.groups
        selection.check_own("expand")
        selection.validate()
        written = [_written(selection, group) for group in groups]
        for group, manifests in zip(groups, written, strict=True):
            names = ", ".join(project.relative(manifest.path) for manifest in manifests)
            print(f"{group.size}: {names}", file=sys.stderr)
            for line in _said_of_done(selection, group):
                print(line, file=sys.stderr)
        if args.manifest:
            paths = dict.fromkeys(project.relative(m.path) for manifests in written for m in manifests)
            print("\n".join(paths), file=data_output())
        elif args.json:
            paths = dict.fromkeys(project.relative(m.path) for manifests in written for m in manifests)
            give("expand", {"manifests": list(paths)}, last="experiments", rows=_rows(project, groups, written))
        else:
            root = str(project.root)
            folders = dict.fromkeys(path for group in groups for path in group.own_folders)
            data_output().write("".join([f"{target}\n" for target in targets_of(folders, root)]))
    return 0


def _said_of_done(selection: Selection, group: Group) -> list[str]:
    """Say what of a sweep or config is DONE and was made otherwise than it was composed just now."""
    if group.expansion is None:
        return []
    from heyhi.sweep.provenance import MAX_COMPARED, Inspector

    made = Inspector(group.project, selection.schema).look(group.part.configs, most=MAX_COMPARED).lines
    return [*made, *_twins(selection, group)]


def _ignored_lines(selection: Selection, group: Group) -> list[str]:
    """Say with which values of keys that are in no identity some of a sweep or config are DONE."""
    from heyhi.sweep.provenance import MAX_COMPARED, Inspector

    if group.expansion is None:
        return []
    return Inspector(group.project, selection.schema).look(group.part.configs, most=MAX_COMPARED).ignored_lines


def _twins(selection: Selection, group: Group) -> list[str]:
    """Say what of a sweep or config is DONE under other names."""
    from heyhi.sweep.twins import Twins

    if group.expansion is None:
        return []
    return Twins(group.project, selection.schema).lines(group.expansion.complete_configs)


def _written(selection: Selection, group: Group, *, is_look: bool = False, less: Container[str] = ()) -> list[Manifest]:
    """Return the manifests that have a group's experiments as they are composed today.

    Args:
        selection: what is named.
        group: of it.
        is_look: write them where no target leads to them.
        less: exp paths of those that were named themselves and are left.
    """
    if group.is_whole:
        return [group.write(selection.schema, is_look=is_look)]
    folders = [path for path in group.part.folders if path not in less]
    return selection.manifests_to_run(folders, is_look=is_look)


def _rows(project: Project, groups: list[Group], written: list[list[Manifest]]) -> Iterator[ExpandRow]:
    """Yield each experiment as `expand --json` prints it; one that several groups have counts once, as asked for."""
    from heyhi.sweep.target import target_of

    found: dict[str, tuple[Experiment, bool]] = {}
    for group, manifests in zip(groups, written, strict=True):
        named = {target_of(folder, project.root) for folder in group.part.folders}
        for manifest in manifests:
            own = set(manifest.targets) if group.is_whole else named
            for one in manifest.experiments():
                target = target_of(one.exp_path, project.root)
                if group.is_whole or target in named:
                    found[target] = (one, target in own or (target in found and found[target][1]))
    for target, (one, is_own) in found.items():
        yield {
            "target": target,
            "exp_id": one.exp_id,
            "cfg": one.identity.cfg,
            "overrides": list(one.identity.overrides),
            "task": one.task,
            "needs": [target_of(need, project.root) for need in one.needs],
            "own": is_own,
        }


def plan(args: argparse.Namespace) -> int:
    """Say what a launch would do."""
    from heyhi.cli.winners import winner_lines
    from heyhi.control.going_on import Goings
    from heyhi.control.listing import render, terminal_width
    from heyhi.control.search_lines import missed_lines, stuck_slots
    from heyhi.errors import ModeError
    from heyhi.experiment.modes import Action, action_of
    from heyhi.experiment.names import Status, is_slot
    from heyhi.sweep.drift import drifted_only

    project = project_for(args)
    only_looks(project)
    selection = select(project, args, default=True)
    selection.validate()
    selection.validate_experiments([f for group in selection.groups if not group.is_whole for f in group.part.folders])
    survey = selection.survey()
    drift = survey.drift(selection.schema_of)
    recoded = survey.recoded()
    actions = {row.asked: action_of(args.mode, row.status) for row in survey.rows}
    if any(actions[path].wipe for path in actions if is_slot(path)):
        raise ModeError(
            f"mode {args.mode} would wipe what trials of a search have done: that goes one at a time, by python run.py"
            " --cfg … --mode restart; heyhi retry --dead starts trials again that are dead"
        )
    actions |= dict.fromkeys(survey.ended, Action())
    stuck = stuck_slots(path for path, action in actions.items() if action.start)
    actions |= dict.fromkeys(stuck, Action())
    going_on = {path for path, action in actions.items() if action.start and not action.wipe}
    idle = going_on - survey.asked_for(going_on)
    goings = Goings.of(survey, going_on - idle, selection.schema_of)
    left = goings.left
    actions |= dict.fromkeys([*left, *idle], Action())
    check_files(selection, {path for path, action in actions.items() if action.start})
    starting = {path for path, action in actions.items() if action.start}
    if args.json:
        told = LaunchAnswer.of("plan", selection, survey, dry_run=True)
        told.mode, told.starting, told.drifted, told.recoded = args.mode, starting, drift, recoded
        told.wiped = {path for path, action in actions.items() if action.wipe}
        told.left = {path: going.changed for path, going in left.items()}
        told.give(0)
        return 0
    pointless = Pointless.of(selection, starting)
    starts = len(starting)
    wipes = sum(a.wipe for a in actions.values())
    for group in selection.groups:
        print(f"{group.label}: {group.size}{_search_text(group.search) if group.search is not None else ''}")
    print(render(survey, drift, everything=args.all, width=terminal_width()))
    print_recoded(recoded.values())
    refused = sum(a.refuse for a in actions.values())
    more = f", {wipes} of them from an emptied folder" if wipes else ""
    more += f"; {refused} would be refused: nobody knows how they are" if refused else ""
    more += f"; {pointless.text}" if pointless.text else ""
    more += f"; {len(left)} would be left" if left else ""
    more += f"; {len(idle)} not, since all that needs {'it' if len(idle) == 1 else 'them'} is DONE" if idle else ""
    twins = [line for group in selection.groups for line in _twins(selection, group)]
    print("\n".join([f"mode {args.mode}: {starts - len(pointless.slots)} would start{more}", *goings.lines, *twins]))
    print_wrapped([*winner_lines(selection), *missed_lines(survey.folders)])
    if wipes and (dependents := _dependents(selection, {path for path, a in actions.items() if a.wipe})):
        print(dependents)
    for group in selection.groups if project.settings.own_identity_ignore else ():
        print("".join(f"{line}\n" for line in _ignored_lines(selection, group)), end="")
    drifted = set(drifted_only(drift))
    left_done = [r for r in survey.rows if r.status is Status.DONE and not actions[r.asked].wipe]
    if done := sum(row.exp_id in drifted for row in left_done):
        are = "are DONE and left as they are" if done > 1 else "is DONE and left as it is"
        print(
            f"{done} of the drifted {are}: heyhi launch {REDO} runs {'them' if done > 1 else 'it'} again,"
            f" {REDO}=continue goes on from {'their' if done > 1 else 'its'} files"
        )
    if stale := sum(not actions[row.asked].wipe for row in survey.rows if row.exp_path in survey.stale):
        are, one = ("are", "them") if stale > 1 else ("is", "it")
        print(f"{stale} {are} stale: heyhi launch {REDO}=stale makes {one} anew")
    if starts:
        from heyhi.control.used_before import UsedBefore
        from heyhi.slurm.forecast import capacity_lines

        before = UsedBefore()
        jobs = capacity_lines(before.passed(starting_of(selection, starting - pointless.slots)))
        print_wrapped([*jobs, *before.lines()])
        print("".join(f"{line}\n" for line in _missing_files(selection, actions)), end="")
        # Snakemake goes on with what is there, whatever the mode is.
        would = {row.asked for row in survey.rows if action_of("start_continue", row.status).start}
        would -= left.keys() | idle | survey.ended | stuck.keys()
        is_alike = not wipes and would == starting
        kind = "slurm" if jobs else "local"
        print_wrapped(_lacking(selection, starting - pointless.slots, uses_slurm=bool(jobs)))
        if is_alike:
            print(_other_profile(selection, kind), end="")
        print(f"launch: {_snakemake_line(selection, kind) if is_alike else _run_py_line(selection, args.mode)}")
    return 0


def _lacking(selection: Selection, starting: set[str], *, uses_slurm: bool) -> list[str]:
    """Say which extras of HeyHi's the jobs and the end of a launch would lack, and what installs them."""
    from heyhi.errors import ExtraError
    from heyhi.extras import check
    from heyhi.report.foreseen import brings_own_python, end_lines, lacking_in_jobs

    lines: dict[str, None] = {}
    in_jobs = [lacking_in_jobs(group.project, is_search=group.search is not None) for group in selection.groups]
    is_theirs = (
        uses_slurm and any(in_jobs) and all(brings_own_python(one.task) for one in starting_of(selection, starting))
    )
    for group, lacking in zip(selection.groups, in_jobs, strict=True):
        if lacking and not is_theirs:
            try:
                check(lacking[0])
            except ExtraError as error:
                lines[f"heyhi launch would refuse it: {error}"] = None
        lines |= dict.fromkeys(end_lines(group.project, [group.sweep]) if group.is_whole else ())
    return [*lines]


def _search_text(search: SearchSpec) -> str:
    few = few_points_text(search)
    return f" of searches/{search.search_id}{f'; {few}' if few else ''}"


def _missing_files(selection: Selection, actions: Mapping[str, Action]) -> list[str]:
    """Say which files aren't there that experiments need which would start, and what makes them."""
    from heyhi.control.needed_files import missing_lines

    lines: dict[str, None] = {}
    for project, needed in needed_files(selection):
        names = [name for folder, files in needed if files and actions[folder].start for name in files]
        lines |= dict.fromkeys(missing_lines(project.root, names) if names else ())
    return [*lines]


def _dependents(selection: Selection, wiped: set[str]) -> str:
    """Name what was made of the results of experiments that would be wiped."""
    from heyhi.sweep.dependents import dependents_of, dependents_text

    found: list[str] = []
    for group in selection.groups:
        found += dependents_of(group.project, wiped.intersection(group.part.folders))
    wiped_ids = {path.removeprefix(f"{group.project.results_root}/") for group in selection.groups for path in wiped}
    return dependents_text([exp_id for exp_id in dict.fromkeys(found) if exp_id not in wiped_ids])


def _snakemake_line(selection: Selection, profile: str) -> str:
    """Write the command that runs what is named."""
    foreign = [group.project for group in selection.groups if group.project.root != selection.project.root]
    if foreign:
        return f"in its own project: cd {shell_word(str(foreign[0].root))}"
    words = selection.words
    snakemake = snakemake_command(selection.project, profile)
    if len(selection.groups) == 1 and selection.groups[0].search is not None and words[:1] == ["--cfg"]:
        return f"heyhi search {shell_line(words)} --profile {profile}"
    if len(selection.groups) == 1 and selection.groups[0].sweep and selection.groups[0].expansion is not None:
        return f"{snakemake} --config sweep={shell_word(selection.groups[0].sweep)}"
    return f"{snakemake} $(heyhi expand {shell_line(words)})"


def _other_profile(selection: Selection, profile: str) -> str:
    """Say which profile `heyhi launch` takes where it is another one than that of the line with Snakemake's command."""
    from heyhi.cli.profiles import default_profile
    from heyhi.errors import HeyhiError

    with contextlib.suppress(HeyhiError):  # of trials that can't be launched from here, which it says itself
        taken = default_profile(selection)
        if taken != profile:
            return f"heyhi launch takes the profile {taken} unless it has --profile {profile}\n"
    return ""


def _run_py_line(selection: Selection, mode: str) -> str:
    """Write the command that does for one experiment what a mode says; it may have to be filled in."""
    words = selection.words
    if words[:1] == ["--cfg"] and words.count("--cfg") == 1 and not {"--sweep", "--zip"} & set(words):
        return f"python run.py {shell_line(words)} --mode {mode}"
    return f"one at a time: python run.py --cfg … --mode {mode}"


def launch(args: argparse.Namespace) -> int:
    """Start a controller that runs what is named."""
    from heyhi.project import find_project

    project = find_project()
    check_profile(project, args)
    may_change(project, is_dry_run=args.dry_run)
    selection = select(project, args, default=True)
    return launch_selected(args, selection, profile_for(args, selection))


def launch_selected(args: argparse.Namespace, selection: Selection, profile: Path) -> int:
    """Start a controller that runs what was read from words, or be one.

    Args:
        args: of the command.
        selection: what is named.
        profile: Snakemake's, a folder.
    """
    told = LaunchAnswer(args.command, args.dry_run)
    code = _launch(args, selection, profile, told)
    if owes_json():
        told.give(code, has_waited=args.foreground)
    return code


def _launch(args: argparse.Namespace, selection: Selection, profile: Path, told: LaunchAnswer) -> int:
    """Do so, and note in the answer what comes of it."""
    from heyhi.cli.redoing import Redoing
    from heyhi.cli.winners import choose_first, unchosen_lines
    from heyhi.control.controller import ControllerSpec, foresee
    from heyhi.control.going_on import Goings
    from heyhi.control.recording import Launching
    from heyhi.control.search_lines import stuck_slots
    from heyhi.experiment.modes import action_of
    from heyhi.experiment.names import Status
    from heyhi.report.foreseen import check_jobs, end_lines
    from heyhi.sweep.target import target_of

    project = selection.project
    groups = selection.groups
    unattended = Unattended.of(args, project, uses_slurm=uses_slurm(profile))
    selection.check_own(args.command)
    selection.validate()
    survey = selection.survey()
    redoing = Redoing(selection, survey, redo_in(args))
    while not args.dry_run and (chosen := choose_first(selection, redoing.folders)):
        print("\n".join(chosen))
        survey = selection.survey()
        redoing = Redoing(selection, survey, redo_in(args), is_renewed=True)
    unknown = {row.asked: row for row in survey.not_done if row.status is Status.UNKNOWN}
    startable = {row.asked for row in survey.not_done if action_of("start_continue", row.status).start} - survey.ended
    stuck = stuck_slots(startable).keys()
    startable -= stuck
    starting = survey.asked_for(startable)
    others = survey.others.keys() - (startable - starting) - survey.ended - stuck
    goings = Goings.of(survey, starting, selection.schema_of, is_allowed=continues_in(args))
    starting -= goings.left.keys()
    starting |= set(redoing.folders)
    check_files(selection, starting)
    check_engine(args, selection, startable | set(redoing.folders), profile)
    written = [_written(selection, group, is_look=args.dry_run, less=unknown) for group in groups]
    pointless = Pointless.of(selection, starting)
    starts = len(starting - pointless.slots)
    vars(told).update(vars(LaunchAnswer.of(args.command, selection, survey, dry_run=args.dry_run)))
    told.by(project, profile, (manifest for manifests in written for manifest in manifests))
    told.starting, told.wiped = starting - pointless.slots, redoing.folders
    told.left = {path: going.changed for path, going in goings.left.items()}
    told.note_made(redoing.found)
    counts = "  ".join(f"{status.value} {n}" for status, n in survey.counts.items())
    for group in groups[:-1]:
        print(f"{group.label}: {group.size}")
    print(f"{groups[-1].label}: {groups[-1].size}: {counts}" if len(groups) == 1 else _both(groups[-1], counts))
    print("\n".join(redoing.lines), end="\n" * bool(redoing.lines))
    words = shell_line(selection.words)
    whole = [
        manifest for group, manifests in zip(groups, written, strict=True) if group.is_whole for manifest in manifests
    ]
    single = [folder for group in groups if not group.is_whole for folder in group.part.folders]
    launching = Launching(project, ["heyhi", *args.argv], whole, single, survey, args.profile)
    if not others and not starting:
        if not args.dry_run:
            launching.record_unknown()
            _tell_left(project, ControllerSpec.for_launch(project, whole, _targets(project, single), profile).name)
        prints_tables = args.command == "run" and not args.dry_run
        code = _say_all_done(survey, words, stuck, and_report=not prints_tables)
        if prints_tables:
            print_tables(selection)
        return code
    more = f", {len(redoing.folders)} of them DONE and {redoing.before}," if redoing.folders else ""
    few = f"; {pointless.text}" if pointless.text else ""
    print(f"{starts} {'would start' if args.dry_run else 'to start'}{more} by {shown_profile(project, profile)}{few}")
    for line in (*goings.lines, *(line for group in groups for line in _twins(selection, group))):
        print(line)
    print_wrapped(unchosen_lines(selection))
    stopped = goings.left.keys() | unknown.keys()
    named = _targets(project, (f for f in single if f not in unknown))
    print_unknown(survey, survey.others)
    if others <= stopped and not redoing.folders:
        return 0 if args.dry_run else 1
    if not (starting or args.dry_run or args.foreground) and _say_left(survey, others, args, words, told):
        launching.record_unknown()
        return 0
    spec = ControllerSpec.for_launch(
        project,
        whole,
        named,
        profile,
        more=[
            target_of(path, project.root) for path in _beside_tables(whole, named, survey, redoing, others - stopped)
        ],
        no_snapshot=args.no_snapshot,
        continue_drifted=continues_in(args),
    )
    for group, manifests in zip(groups, written, strict=True):
        check_jobs(group.project, manifests, starting, uses_slurm=spec.uses_slurm)
    print_wrapped(line for group in groups if group.is_whole for line in end_lines(group.project, [group.sweep]))
    if spec.uses_slurm and starts:
        if args.command == "launch":  # a search takes the profile that its launcher says
            agree_on_defaults(args, selection, starting - pointless.slots)
        print_wrapped(
            foresee(
                [manifest for manifests in written for manifest in manifests],
                starting - pointless.slots,
                unattended.workers,
                unattended.request_of_controller(project),
                is_attended=unattended.controller != "none",
            )
        )
    order = [path for path in survey.folders if path in starting]
    code = redo_and_control(
        selection,
        redoing,
        spec,
        args,
        unattended,
        launching,
        [m for manifests in written for m in manifests],
        order,
        told,
    )
    return code or int(bool(goings.left or unknown) and not args.dry_run)


def _targets(project: Project, folders: Iterable[str]) -> list[str]:
    from heyhi.sweep.target import target_of

    return [target_of(folder, project.root) for folder in folders]


def _tell_left(project: Project, name: str) -> None:
    """Tell of the end those whom a launch was to tell whose controller is gone, and whose jobs have ended since."""
    from heyhi.control.controller import find_controllers
    from heyhi.control.telling import left_whom, tell_left
    from heyhi.errors import UnknownError
    from heyhi.notify.whom import shown_all

    if not (whom := left_whom(project, name)):
        return
    with contextlib.suppress(UnknownError):
        if not any(one.name == name for one in find_controllers(project)):
            tell_left(project, name)
            print(f"told {shown_all(whom)} of the end: the controller that was to do so was ended before")


def _beside_tables(
    whole: list[Manifest], named: list[str], survey: Survey, redoing: Redoing, missing: Container[str]
) -> list[str]:
    """Return the exp paths of what has to be asked for beside the tables of sweeps, in the order of these.

    To Snakemake, a table that is there speaks for what it was made of: what is wiped is asked for itself, and where no
    `rule all` asks for it, what is missing.

    Args:
        whole: manifests of the sweeps.
        named: targets that are named beside them.
        survey: how it all is.
        redoing: what of it is made anew.
        missing: exp paths of what isn't DONE, and can be.
    """
    from heyhi.files import is_there
    from heyhi.sweep.manifest import table_of

    asked = set(redoing.folders)
    if len(whole) > 1 or (whole and named):
        root = redoing.project.root
        told = [manifest for manifest in whole if is_there(root / table_of(redoing.project, manifest))]
        asked.update(path for manifest in told for path in manifest.own_folders if path in missing)
    return [path for path in survey.folders if path in asked]


def _say_all_done(survey: Survey, words: str, stuck: Collection[str] = (), *, and_report: bool = True) -> int:
    """Say that there is nothing to start, and return the exit code: trials of a search that are dead stay so.

    Args:
        survey: of what is named.
        words: by which it is named.
        stuck: trials that aren't started, since no other one has what their search is about.
        and_report: say what makes the table, too.
    """
    from heyhi.control.listing import rows_lines, terminal_width
    from heyhi.control.search_lines import missed_lines

    table = f"; heyhi report {words} makes their table" if and_report else ""
    missed = missed_lines(survey.folders)
    no_more = ": no more trials are started" if stuck else ""
    print("".join(f"error: {line}{no_more}\n" for line in missed), end="", file=sys.stderr)
    if stuck:
        return 1

    dead = [row for row in survey.dead if row.asked in survey.ended]
    if not survey.ended:
        which = "that is asked for is" if survey.others else "are"
        print(f"nothing to start: all {which} done{table}")
        return int(bool(missed))
    print("".join(f"{line}\n" for line in rows_lines(dead, terminal_width())), end="")
    higher = f"trials= in {words}" if words.endswith(".py") else "--trials"
    more = "" if missed else f", a higher {higher} goes on"
    print(f"nothing to start: the search has ended{table.replace('their', 'its')}{more}")
    if dead and not missed:
        print(f"heyhi retry --dead {words} starts the {len(dead)} again that {'are' if len(dead) > 1 else 'is'} DEAD")
    return int(bool(dead or missed))


def _both(group: Group, counts: str) -> str:
    return f"{group.label}: {group.size}\nin all: {counts}"


def _say_left(
    survey: Survey, others: Collection[str], args: argparse.Namespace, words: str, told: LaunchAnswer
) -> bool:
    """Say which controllers run the trials that are left of a search, where all of these have one; return whether.

    Of other experiments one more controller waits for the end, and makes their table.

    Args:
        survey: of what is named.
        others: what isn't done of it, and isn't to be started.
        args: of the command.
        words: by which it is named.
        told: is told of the last of them.
    """
    from heyhi.control.attendance import who_runs_all
    from heyhi.experiment.names import is_slot

    living = who_runs_all(survey, others) if all(map(is_slot, others)) else []
    for project, controller in living:
        spec = controller.spec()
        say_controller(project, controller, args, words, told, uses_slurm=spec is not None and spec.uses_slurm)
    if living:
        print(f"  its table: heyhi report {words}")
    return bool(living)
