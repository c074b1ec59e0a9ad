"""The commands that start and end experiments: expand, plan, launch, retry, cancel."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.cli.looking import _print_json
from heyhi.cli.selection import _choose, _Chosen, _config_words, _expansion, _open

if TYPE_CHECKING:
    from heyhi.config.schema import Schema
    from heyhi.control.controller import ControllerSpec
    from heyhi.project import Project
    from heyhi.sweep.expand import Expansion


def _expand(args: argparse.Namespace) -> int:
    from heyhi.sweep.expand import paused_collection

    project, schema = _open()
    with paused_collection():  # a sweep's rows are all in use until the last target is printed
        _print_expansion(args, project, _expansion(project, schema, args), schema)
    return 0


def _print_expansion(args: argparse.Namespace, project: Project, expansion: Expansion, schema: Schema) -> None:
    from heyhi.sweep.target import target_of
    from heyhi.sweep.write import write_manifest

    path = write_manifest(expansion, project, schema)
    print(f"{_size(expansion)}: {project.relative(path)}", file=sys.stderr)
    if args.manifest:
        print(project.relative(path))
    elif args.json:
        _print_json(
            {
                "target": target_of(e.exp_path, project.root),
                "exp_id": e.exp_id,
                "cfg": e.identity.cfg,
                "overrides": list(e.identity.overrides),
                "task": e.task,
                "needs": [target_of(n, project.root) for n in e.needs],
                "own": e.exp_id in own,
            }
            for own in [set(expansion.own)]
            for e in expansion.experiments
        )
    else:
        root = str(project.root)
        sys.stdout.writelines(f"{target_of(folder, root)}\n" for folder in expansion.folders)


def _plan(args: argparse.Namespace) -> int:
    project, schema = _open()
    from heyhi.control.survey import Survey
    from heyhi.experiment.modes import action_of

    expansion = _expansion(project, schema, args)
    survey = Survey.of_expansion(project, expansion)
    drift = survey.drift(schema)
    actions = {row.exp_id: action_of(args.mode, row.status) for row in survey.rows}
    if args.json:
        _print_json(
            {**row.to_dict(), "start": actions[row.exp_id].start, "wipe": actions[row.exp_id].wipe}
            | {"drifted": drift.get(row.exp_id, [])}
            for row in survey.rows
        )
        return 0
    starts = sum(a.start for a in actions.values())
    wipes = sum(a.wipe for a in actions.values())
    print(f"{expansion.label}: {_size(expansion)}")
    print(survey.render(drift, everything=args.all))
    print(f"mode {args.mode}: {starts} would start{f', {wipes} of them from an emptied folder' if wipes else ''}")
    if starts:
        from heyhi.slurm.forecast import capacity_lines

        starting = (p for p in expansion.planned if actions[p.exp_id].start)
        jobs = capacity_lines((p.exp_id, getattr(schema.parse_root(p.config), p.task)) for p in starting)
        for line in jobs:
            print(line)
        profile = "slurm" if jobs else "local"
        print(f"launch: snakemake --profile profiles/{profile} {_snakemake_words(args, expansion)}")
    return 0


def _size(expansion: Expansion) -> str:
    own, needed = len(expansion.own), len(expansion.planned) - len(expansion.own)
    return f"{own} experiment{'s' * (own != 1)}{f' (and {needed} needed by them)' if needed else ''}"


def _snakemake_words(args: argparse.Namespace, expansion: Expansion) -> str:
    import shlex

    if expansion.sweep is not None:
        return f"--config sweep={shlex.quote(expansion.sweep)}"
    return f"$(heyhi expand {shlex.join(_config_words(args))})"


def _launch(args: argparse.Namespace) -> int:
    import shlex

    from heyhi.control.controller import ControllerSpec, find_profile, foresee
    from heyhi.control.survey import Survey
    from heyhi.experiment.modes import action_of
    from heyhi.sweep.manifest import Manifest
    from heyhi.sweep.write import write_manifest

    project, schema = _open()
    profile = find_profile(project, args.profile)
    if args.words and args.words[0].endswith(".sqlite"):
        manifest = Manifest.open(Path(args.words[0]))
        survey = Survey.of_manifest(project, manifest)
        words, size = [args.words[0]], f"{len(survey.folders)} experiments"
    else:
        expansion = _expansion(project, schema, args)
        survey = Survey.of_expansion(project, expansion)
        manifest = Manifest.open(write_manifest(expansion, project, schema))
        words, size = [expansion.sweep] if expansion.sweep is not None else _config_words(args), _size(expansion)
    starting = {row.exp_path for row in survey.not_done if action_of("start_continue", row.status).start}
    starts = len(starting)
    print(f"{manifest.label}: {size}: {'  '.join(f'{status.value} {n}' for status, n in survey.counts.items())}")
    if not survey.others:
        print(f"nothing to start: all are done; heyhi report {shlex.join(words)} makes their table")
        return 0
    print(f"{starts} {'would start' if args.dry_run else 'to start'} by {project.relative(profile)}")
    spec = ControllerSpec.for_sweep(project, manifest, profile, no_snapshot=args.no_snapshot)
    if spec.uses_slurm and starts:
        for line in foresee(manifest, starting):
            print(line)
    return _control(project, spec, args, shlex.join(words))


def _control(project: Project, spec: ControllerSpec, args: argparse.Namespace, words: str) -> int:
    """Start a controller, or be one, and say how to follow and to stop it."""
    from heyhi.control.controller import run_here, start
    from heyhi.errors import HeyhiError
    from heyhi.slurm.commands import is_here

    if args.dry_run:
        return 0
    if spec.uses_slurm and not is_here():
        raise HeyhiError(
            f"this machine has no sbatch, which {args.profile} needs: --profile profiles/local runs them here"
        )
    if args.foreground:
        (controller, is_new), code = run_here(project, spec)
        if is_new:
            return code
    else:
        controller, is_new = start(project, spec)
    owner = controller.owner
    assert owner is not None
    print(f"{'started' if is_new else 'nothing started: this is being run already by'} controller {owner.describe()}")
    print(f"  follow:  heyhi status --watch {words}".rstrip())
    print(f"  its log: {project.relative(controller.log)}")
    left = f"; kill {owner.pid} only the controller: jobs go on" if spec.uses_slurm else ""
    print(f"  stop:    heyhi cancel {words or '--all'} (ends its runs, too{left})")
    return 0


def _cancel(args: argparse.Namespace) -> int:
    from heyhi.control.cancel import Canceller, ask, describe, idle_lines, plan_cancel
    from heyhi.control.survey import Survey
    from heyhi.errors import HeyhiError
    from heyhi.project import find_project

    project = find_project()
    is_named = bool(args.words) or args.cfg is not None
    if args.all and is_named:
        raise HeyhiError("--all goes without anything named: which is it?")
    if not args.all and not is_named:
        raise HeyhiError("cancel what? Name targets, exp ids, jobs, a sweep file or a manifest, or say --all")
    chosen = _choose(project, args) if is_named else _Chosen(Survey.of_index(project).folders, (), None)
    plan = plan_cancel(project, chosen.folders, sweeps=chosen.sweeps, everything=args.all)
    if args.dry_run:
        print("\n".join([*describe(project, plan), *idle_lines(project, plan), "dry run: nothing was cancelled"]))
        return 0
    ask(project, plan, force=args.force)
    canceller = Canceller(project)
    canceller.run(plan)
    print("\n".join(canceller.lines))
    return 1 if canceller.failed else 0


def _retry(args: argparse.Namespace) -> int:
    import shlex

    from heyhi.control.controller import ControllerSpec, find_profile
    from heyhi.control.survey import Survey
    from heyhi.errors import HeyhiError
    from heyhi.project import find_project
    from heyhi.sweep.target import target_of

    project = find_project()
    profile = find_profile(project, args.profile)
    is_named = bool(args.words) or args.cfg is not None
    chosen = _choose(project, args, write=True) if is_named else None
    survey = Survey.of_folders(project, chosen.folders) if chosen is not None else Survey.of_index(project)
    dead = survey.dead
    if not args.dead:
        raise HeyhiError(f"retry which ones? Say --dead to start those that are DEAD again ({len(dead)} of them now)")
    if not dead:
        print(f"nothing to start: none of {len(survey.folders)} experiments is DEAD")
        return 0
    # Who names experiments wants what waits for them, too, wherever it belongs; a sweep has its own.
    is_whole = chosen is None or bool(chosen.sweeps)
    blocked = (survey if is_whole else Survey.of_index(project)).blocked_by(row.exp_path for row in dead)
    print("\n".join(row.text for row in dead))
    more = f", and {len(blocked)} that they block" if blocked else ""
    print(f"{len(dead)} {'would start' if args.dry_run else 'to start'} again{more}, by {project.relative(profile)}")
    sweeps = chosen.sweeps if chosen is not None else ()
    spec = ControllerSpec.for_targets(
        [target_of(path, project.root) for path in dict.fromkeys([*(row.exp_path for row in dead), *blocked])],
        profile,
        manifest=(chosen.manifest if chosen is not None else None) or "",
        sweep=sweeps[0] if len(sweeps) == 1 else "",
        no_snapshot=args.no_snapshot,
    )
    words = _config_words(args) if args.cfg is not None else args.words if len(sweeps) == len(args.words) == 1 else []
    return _control(project, spec, args, shlex.join(words))
