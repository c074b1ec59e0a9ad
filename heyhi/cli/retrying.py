"""`heyhi retry`: what is dead is started again, and what is DONE and was made otherwise is made anew."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from heyhi.cli.json_launch import LaunchAnswer
from heyhi.cli.options import REDO, continues_in, redo_in
from heyhi.cli.profiles import check_profile, profile_for
from heyhi.cli.resources import check_engine
from heyhi.cli.selection import select
from heyhi.cli.starting import check_files, print_unknown, redo_and_control
from heyhi.cli.unattended import Unattended
from heyhi.cli.whose import may_change
from heyhi.profiles import shown_profile, uses_slurm

if TYPE_CHECKING:
    from heyhi.sweep.manifest import Manifest


def retry(args: argparse.Namespace) -> int:
    """Start experiments that are dead again, or DONE ones anew that were made otherwise than they would be today."""
    told = LaunchAnswer("retry", args.dry_run)
    code = _retry(args, told)
    if args.json:
        told.give(code, has_waited=args.foreground)
    return code


def _retry(args: argparse.Namespace, told: LaunchAnswer) -> int:
    from heyhi.cli.choosing import Choice
    from heyhi.cli.redoing import Redoing
    from heyhi.cli.winners import choose_first
    from heyhi.control.controller import ControllerSpec
    from heyhi.control.going_on import Goings
    from heyhi.control.listing import rows_lines, terminal_width
    from heyhi.control.recording import Launching
    from heyhi.control.reopening import as_trials, reopen
    from heyhi.control.search_lines import missed_lines, stuck_slots
    from heyhi.control.survey import Survey
    from heyhi.errors import HeyhiError
    from heyhi.project import find_project
    from heyhi.sweep.expand import composable
    from heyhi.sweep.target import target_of

    project = find_project()
    check_profile(project, args)
    may_change(project, is_dry_run=args.dry_run)
    selection = select(project, args)
    choice = Choice(selection, args.where)
    groups = selection.groups
    selection.check_own("retry --dead")
    selection.validate()
    survey = selection.survey()
    chosen = set(choice.folders()) if args.where else set(survey.folders)
    vars(told).update(vars(LaunchAnswer.of("retry", selection, survey, dry_run=args.dry_run)), among=chosen)
    if args.where and not chosen:
        print(choice.none_text)
        return 0
    dead = [row for row in survey.dead if row.asked in chosen]
    wants_dead = args.dead or bool(args.where and not args.redo_drifted)
    if not (wants_dead or args.redo_drifted):
        which = (
            f"--dead starts those of them that are DEAD ({len(dead)} now)"
            if selection
            else f"Say --dead to start those that are DEAD again ({len(dead)} of them now)"
        )
        raise HeyhiError(
            f"retry which ones? {which}; {REDO} redoes those that are DONE with another config", fix="--dead"
        )
    among = chosen if args.where else None
    redoing = Redoing(selection, survey, redo_in(args), among=among)
    while not args.dry_run and (lines := choose_first(selection, redoing.folders)):
        print("\n".join(lines))
        survey = selection.survey()
        redoing = Redoing(selection, survey, redo_in(args), among=among, is_renewed=True)
    print("\n".join(redoing.lines), end="\n" * bool(redoing.lines))
    dead = as_trials(project, dead) if wants_dead else redoing.begun
    if not dead and not redoing.folders:
        if wants_dead:
            print(f"nothing to start: none of {len(chosen)} experiments is DEAD")
        print_unknown(survey, chosen)
        return int(survey.lacks)
    goings = Goings.of(survey, [row.asked for row in dead], selection.schema_of, is_allowed=continues_in(args))
    dead = [row for row in dead if row.asked not in goings.left]
    unmade: list[str] = []
    if not (selection and selection.is_whole):
        _, problems = composable([row.exp_path for row in dead if not row.slot], selection.composed_again)
        found = ((row.exp_id, problems[row.exp_path]) for row in dead if row.exp_path in problems)
        unmade = [f"left: {exp_id}: can't be composed today: {problem}" for exp_id, problem in found]
        dead = [row for row in dead if row.exp_path not in problems]
    stuck = stuck_slots(row.asked for row in dead)
    unmade += [f"left: {line}: no more trials are started" for line in missed_lines(stuck)]
    dead = [row for row in dead if row.asked not in stuck]
    profile = profile_for(args, selection, [*(row.asked for row in dead), *redoing.folders])
    unattended = Unattended.of(args, project, uses_slurm=uses_slurm(profile))
    # Who names experiments wants what waits for them, too, wherever it belongs; a sweep has its own.
    known = survey if selection.is_whole else Survey.of_index(project)
    blocked = known.blocked_by(path for row in dead for path in {row.exp_path, row.asked})
    starting = list(dict.fromkeys([*(row.asked for row in dead), *blocked, *redoing.folders]))
    check_files(selection, set(starting))
    check_engine(args, selection, starting, profile)
    told.by(project, profile)
    told.survey, told.starting, told.wiped = survey, starting, redoing.folders
    told.left = {path: going.changed for path, going in goings.left.items()}
    told.note_made(redoing.found)
    print("".join(f"{line}\n" for line in (*rows_lines(dead, terminal_width()), *goings.lines, *unmade)), end="")
    print_unknown(survey, chosen)
    if not dead and not redoing.folders:
        return 0 if args.dry_run else 1
    would = "would start" if args.dry_run else "to start"
    more = f", and {len(blocked)} that they block" if blocked else ""
    if dead:
        print(f"{len(dead)} {would} again{more}, by {shown_profile(project, profile)}")
    if redoing.folders:
        print(
            f"{len(redoing.folders)} {would} {redoing.how}, DONE and {redoing.before},"
            f" by {shown_profile(project, profile)}"
        )
    one = groups[0] if len(groups) == 1 else None
    manifests: list[Manifest] = []
    if args.dry_run:
        selection.validate_experiments(starting if one is None or one.manifest is None else [])
    else:
        manifests = [group.write(selection.schema) for group in groups if group.is_whole]  # sweeps as they are today
        if one is None or one.manifest is None:
            manifests += selection.manifests_to_run(starting)  # so are experiments that are named themselves
    spec = ControllerSpec.for_targets(
        [target_of(path, project.root) for path in starting],
        profile,
        lookup=project.relative(one.manifest.path.absolute()) if one is not None and one.manifest is not None else "",
        sweeps=[group.sweep for group in groups if group.sweep],
        no_snapshot=args.no_snapshot,
        continue_drifted=continues_in(args),
    )
    told.by(project, profile, manifests)
    launching = Launching(project, ["heyhi", *args.argv], [], starting, known, args.profile)
    if not args.dry_run:
        reopen(project, [row.slot for row in dead if row.slot])
    code = redo_and_control(
        selection, redoing, spec, args, unattended, launching, manifests, starting, told, others=len(dead)
    )
    return code or int(bool(goings.left or unmade) and not args.dry_run)
