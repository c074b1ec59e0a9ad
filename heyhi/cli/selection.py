"""What words on a command line name, for every command alike."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from heyhi.config.schema import Schema
    from heyhi.control.survey import Survey
    from heyhi.project import Project
    from heyhi.report.source import Source
    from heyhi.sweep.expand import Expansion, Point


def _config_words(args: argparse.Namespace) -> list[str]:
    """Return the words by which a command line without a sweep file names its experiments."""
    words = ["--cfg", args.cfg, *args.words, *(w for axis in args.sweep for w in ("--sweep", axis))]
    words += ["--zip"] if args.zip else []
    words += ["--adhoc"] if args.adhoc else []
    return [*words, "--out", args.pattern] if args.pattern else words


def _look(project: Project, args: argparse.Namespace) -> Callable[[], Survey]:
    """Return what looks at the experiments that the arguments name; a sweep is expanded once, now."""
    from heyhi.control.survey import Survey

    word = args.words[0] if args.words else ""
    if word.endswith(".sqlite"):
        from heyhi.sweep.manifest import Manifest

        manifest = Manifest.open(Path(word))
        return lambda: Survey.of_manifest(project, manifest)
    if args.words or args.cfg is not None or args.sweep:
        expansion = _expansion(*_open(), args)
        return lambda: Survey.of_expansion(project, expansion)
    return lambda: Survey.of_index(project)


def _sources(project: Project, args: argparse.Namespace) -> list[Source]:
    """Expand what the arguments of a report name: a config and its overrides, or sweep files and manifests."""
    from heyhi.config.schema import load_schema
    from heyhi.report.source import Source

    if args.cfg is None:
        return [Source.open(project, path) for path in _check_words(project, args)]
    schema = load_schema(project)
    return [Source.of_expansion(project, schema, _expansion(project, schema, args))]


def _open() -> tuple[Project, Schema]:
    from heyhi.config.schema import load_schema
    from heyhi.project import find_project

    project = find_project()
    return project, load_schema(project)


def _expansion(project: Project, schema: Schema, args: argparse.Namespace) -> Expansion:
    """Expand what the arguments of a sweep command name."""
    from heyhi.config.overrides import split_override
    from heyhi.errors import SweepError
    from heyhi.sweep.expand import expand
    from heyhi.sweep.file import expand_sweep_file, label_of
    from heyhi.sweep.points import sweep_points

    files = _check_words(project, args)
    if args.cfg is None:
        if len(files) > 1:
            raise SweepError(f"one sweep file at a time, not also '{files[1]}'")
        # What it prints must not be taken for targets.
        with contextlib.redirect_stdout(sys.stderr):
            return _warned(expand_sweep_file(project, schema, files[0], progress=_counted))
    points: list[Point] = [(args.cfg, args.words)]
    if args.sweep:
        axes = sweep_points(args.sweep, pair=args.zip)
        base = dict(map(split_override, args.words))
        if len(base) == len(args.words) and not base.keys() & axes[0].keys():
            points = [(args.cfg, {**base, **point}) for point in axes]
        else:  # a key that is written twice is written in this order
            points = [(args.cfg, [*args.words, *(f"{k}={v}" for k, v in point.items())]) for point in axes]
    label = label_of(project, args.cfg)
    found = expand(project, schema, _counted(points), label=label, pattern=args.pattern, adhoc=args.adhoc)
    return _warned(found)


class _Chosen(NamedTuple):
    """What a command names: exp paths, the sweeps that they are of, and the manifest if one was named alone."""

    folders: list[str]
    sweeps: tuple[str, ...]
    manifest: str | None


def _choose(project: Project, args: argparse.Namespace, *, write: bool = False) -> _Chosen:
    """Find what words name: sweep files, manifests, targets, exp paths, exp ids, jobs; or, with --cfg, overrides.

    Args:
        project: whose experiments they are.
        args: of the command.
        write: write down what a sweep is today, for a launch.
    """
    from heyhi.control.find import find_folders
    from heyhi.sweep.manifest import Manifest
    from heyhi.sweep.write import write_manifest

    folders: dict[str, None] = {}
    sweeps: list[str] = []
    words = [] if args.cfg is not None else args.words
    manifests = [word for word in words if word.endswith(".sqlite")]
    plain = [word for word in words if not word.endswith((".sqlite", ".py"))]
    one_sweep = [[word] for word in words if word.endswith(".py")]
    for some in [args.words] if args.cfg is not None else one_sweep:
        schema = _open()[1]
        expansion = _expansion(project, schema, argparse.Namespace(**{**vars(args), "words": some}))
        if write:
            write_manifest(expansion, project, schema)
        folders.update(dict.fromkeys(p.folder for p in expansion.planned))
        sweeps.append(expansion.sweep or "")
    for word in manifests:
        manifest = Manifest.open(Path(word))
        folders.update((os.path.dirname(project.root / target), None) for target in manifest.all_targets)  # noqa: PTH120
        sweeps.append(manifest.sweep or "")
    folders.update(dict.fromkeys(find_folders(project, plain)))
    alone = project.relative(Path(os.path.abspath(manifests[0]))) if len(words) == len(manifests) == 1 else None  # noqa: PTH100
    return _Chosen(list(folders), tuple(sweeps), alone)


def _check_words(project: Project, args: argparse.Namespace) -> list[Path]:
    """Return the files that the arguments of a sweep command name; with --cfg there are none.

    Raises:
        HeyhiError: there are none without --cfg either, or something is given that goes with it.
    """
    from heyhi.errors import OverrideError, SweepError

    if args.cfg == "":
        raise SweepError("--cfg CFG: which config?")
    if args.cfg is not None:
        return []
    if args.sweep or args.zip:
        raise SweepError("--sweep goes with --cfg CFG; a sweep file says itself what it sweeps")
    if args.adhoc or args.pattern:
        raise SweepError("--adhoc and --out go with --cfg CFG; a sweep file sets EXP_ID_PATTERN")
    if not args.words:
        if project.settings.sweep is None:
            raise SweepError(
                "which sweep? Give a sweep file, or --cfg CFG, or set [tool.heyhi] sweep in pyproject.toml"
            )
        return [project.root / project.settings.sweep]
    for word in args.words:
        if "=" in word and not os.path.exists(word):  # noqa: PTH110 (never raises)
            raise OverrideError(f"'{word}': overrides go with --cfg CFG, not with a sweep file")
    return [Path(word) for word in args.words]


def _warned(expansion: Expansion) -> Expansion:
    for warning in expansion.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return expansion


def _counted(points: Iterable[Point]) -> Iterator[Point]:
    """Count points on a terminal's standard error while a long expansion lasts."""
    if not sys.stderr.isatty():
        yield from points
        return
    import time

    next_time, shown = time.monotonic() + 1, False
    for index, point in enumerate(points):
        if index % 1000 == 0 and time.monotonic() > next_time:
            print(f"\r{index} experiments composed", end="", file=sys.stderr, flush=True)
            next_time, shown = time.monotonic() + 0.5, True
        yield point
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
