"""The command `heyhi clean`: what it shows, asks and prints; what may go, `heyhi.control.clean` says."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from heyhi.cli.ask import agrees
from heyhi.cli.json_answer import give
from heyhi.cli.whose import may_change

if TYPE_CHECKING:
    from heyhi.cli.json_forms import CleanRow
    from heyhi.cli.selection import Selection
    from heyhi.control.clean import CleanPlan, Item, Left
    from heyhi.control.removal import Outcome
    from heyhi.control.survey import Survey
    from heyhi.experiment.checkpoints import Keep
    from heyhi.project import Project

_NAMES = {
    "trash": ("wiped experiment", "wiped experiments"),
    "code": ("copy of the code", "copies of the code"),
    "manifest": ("manifest", "manifests"),
    "checkpoint": ("checkpoint", "checkpoints"),
    "experiment": ("experiment", "experiments"),
    "note": ("note on what is gone", "notes on what is gone"),
}
_MAX_LISTED = 20  # lines about what stays
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def clean(args: argparse.Namespace) -> int:
    """Show what nobody needs, and remove it when somebody agrees.

    Returns:
        exit code: 1 where something of what was named is left.
    """
    from heyhi.control.removal import remove
    from heyhi.experiment.checkpoints import Keep
    from heyhi.project import find_project

    project = find_project()
    may_change(project, is_dry_run=args.dry_run)
    keep = Keep(args.keep or Keep.LAST)
    make_plan, is_named = _planner(project, args, keep)
    plan = make_plan()
    # What nobody named was never asked for: that some rubbish is too young is no failure.
    left = int(is_named and bool(plan.left) and not args.dry_run)
    if args.dry_run or not plan.items:
        if args.json:
            _give(plan, None, is_dry_run=args.dry_run)
        else:
            last = "dry run: nothing was removed" if args.dry_run else ""
            print("\n".join([*_shown(plan), *([last] if last else [])]))
        return left
    total = _amount(plan.items)
    moves = args.experiments
    if not args.force:
        agrees(
            f"{total} would be {'moved to the trash' if moves else 'removed for good'}",
            "do so?",
            _shown(plan),
            otherwise="nothing was removed",
            more=", or --dry-run to see what it is",
        )
    outcome = remove(project, plan, make_plan, keep)
    if args.json:
        _give(plan, outcome, is_dry_run=False)
    else:
        if args.force:
            print("\n".join(_shown(plan)))
        done = "moved to the trash, which the next heyhi clean empties" if moves else "removed"
        print("\n".join([*outcome.problems, f"{_amount(outcome.gone)} {done}"]))
    return 1 if outcome.problems else left


def _planner(project: Project, args: argparse.Namespace, keep: Keep) -> tuple[Callable[[], CleanPlan], bool]:
    """Return what makes the plan, each time anew, that the options ask for; and whether they name experiments.

    Raises:
        HeyhiError: options don't go together, or a word names nothing.
    """
    from heyhi.cli.selection import select
    from heyhi.control.clean import plan_experiments, plan_rubbish
    from heyhi.errors import HeyhiError
    from heyhi.report.where import check

    check(args.where)
    selection = select(project, args)
    if not selection and not args.where:
        for name, is_given in (("--experiments", args.experiments), ("--keep", args.keep is not None)):
            if is_given:
                raise HeyhiError(f"{name} of which experiments? Name some, or choose them by --where")
        return lambda: plan_rubbish(project, older_than=args.older_than or 0.0), False
    if args.older_than is not None:
        raise HeyhiError("--older-than is for the trash, and goes without words and --where")
    if args.experiments and args.keep is not None:
        raise HeyhiError("--experiments moves whole experiments, so there is nothing to --keep")
    if not args.experiments and not project.settings.checkpoints:
        raise HeyhiError(
            "which files are checkpoints? pyproject.toml doesn't say: [tool.heyhi] checkpoints = ['*.pt', 'step_*']"
        )
    selection.check_own("clean")

    def plan() -> CleanPlan:
        folders, survey = _chosen(project, select(project, args), args.where)
        return plan_experiments(project, folders, survey, keep=keep, whole=args.experiments)

    return plan, True


def _chosen(project: Project, selection: Selection, where: Sequence[str]) -> tuple[list[str], Survey]:
    """Return the exp paths that are named and meet the conditions, and a survey of these and of all that are known."""
    from heyhi.cli.choosing import Choice
    from heyhi.control.survey import Part, Survey
    from heyhi.experiment.names import is_slot
    from heyhi.experiment.slots import shown_folders

    folders = Choice(selection, where, own=True).folders()
    parts = [Part.of_index(project), *(group.part for group in selection.groups)]
    if any(map(is_slot, folders)):  # of a search's trials, the experiments
        folders = shown_folders(folders)
        parts.append(Part.of_folders(project, folders))
    return folders, Survey.of_parts(parts)


# --- print


def _shown(plan: CleanPlan) -> list[str]:
    """Write what goes, a line for each kind, and what stays and why."""
    lines = []
    for kind in _NAMES:
        its = [item for item in plan.items if item.kind == kind]
        if its:
            lines.append(f"{_counted(kind, len(its))}: {_amount(its)}{_times(its)}")
    if not lines:
        lines.append("nothing to remove")
    return [*lines, *_left_lines(plan.left)]


def _left_lines(left: Sequence[Left]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for one in left:
        groups.setdefault((one.kind, one.why), []).append(one.name)
    lines = []
    for (kind, why), names in groups.items():
        what = names[0] if len(names) == 1 else _counted(kind, len(names))
        lines.append(f"left: {what}: {why}")
    more = [f"… and {len(lines) - _MAX_LISTED} more lines (--json has all)"] if len(lines) > _MAX_LISTED else []
    return [*lines[:_MAX_LISTED], *more]


def _counted(kind: str, count: int) -> str:
    return f"{count} {_NAMES[kind][count != 1]}"


def _amount(items: Sequence[Item]) -> str:
    size, files = sum(item.tree.bytes for item in items), sum(item.tree.files for item in items)
    text = next((f"{size / unit:.1f} {name}" for unit, name in _SIZES if size >= unit), f"{size} bytes")
    return f"{text} in {files} file{'s' * (files != 1)}"


def _times(items: Sequence[Item]) -> str:
    oldest, newest = (_time(pick(item.made for item in items)) for pick in (min, max))
    return f", of {oldest}" if oldest == newest else f", of {oldest} to {newest}"


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _give(plan: CleanPlan, outcome: Outcome | None, *, is_dry_run: bool) -> None:
    """Answer in JSON."""
    problems = list(outcome.problems) if outcome is not None else []
    give("clean", {"dry_run": is_dry_run, "problems": problems}, last="found", rows=_rows(plan, outcome))


def _rows(plan: CleanPlan, outcome: Outcome | None) -> Iterator[CleanRow]:
    """Yield what goes, or went, and what stays, as JSON holds it."""
    gone: Iterable[Item] = set(outcome.gone) if outcome is not None else ()
    for item in plan.items:
        yield {
            "kind": item.kind.value,
            "name": item.name,
            "path": str(item.path),
            "bytes": item.tree.bytes,
            "files": item.tree.files,
            "time": item.made,
            "goes": True,
            "gone": item in gone,
            "why": "",
        }
    for one in plan.left:
        yield {
            "kind": one.kind.value,
            "name": one.name,
            "path": None,
            "bytes": None,
            "files": None,
            "time": None,
            "goes": False,
            "gone": False,
            "why": one.why,
        }
