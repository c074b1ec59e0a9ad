"""The command `heyhi serve`."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from heyhi.project import Project
    from heyhi.report.source import Source


def serve(args: argparse.Namespace) -> int:
    """Show experiments in a browser while they run."""
    from heyhi.cli.told_once import ToldOnce

    # What is wrong is met by each look, and by whoever else reads the same file.
    with contextlib.redirect_stderr(ToldOnce(sys.stderr)):
        return _serve(args)


def _serve(args: argparse.Namespace) -> int:
    from heyhi.cli.selection import project_for
    from heyhi.cli.whose import only_looks
    from heyhi.extras import check, load

    project = project_for(args)
    check("serve")
    only_looks(project)
    sources = _sources(project, args)
    for module in ("uvicorn", "starlette"):
        load(module)  # a damaged one is named
    from heyhi.serve.board import Board
    from heyhi.serve.kept_token import KeptToken
    from heyhi.serve.listening import listen
    from heyhi.serve.server import serve as run_server

    words = [word for pair in args.given for word in pair]
    listening = listen(args.host, args.port, project.results_root, words)
    board = Board(project, sources, is_of_all=not words)
    kept = KeptToken(project.results_root, args.host, listening.port)
    return run_server(board, listening, kept, is_child=args.child, opens=args.open)


def _sources(project: Project, args: argparse.Namespace) -> Callable[[], Sequence[Source]]:
    """Return what returns the experiments that are shown, as configs and sweep files are then.

    Raises:
        HeyhiError: a word is wrong.
    """
    from heyhi.cli.selection import select

    def look() -> Sequence[Source]:
        found = select(project, args).sources()
        for source in found:
            for warning in source.warnings:
                print(f"warning: {warning}", file=sys.stderr, flush=True)
        return found

    # A wrong word is said before anything is served; what was found is what is looked at first.
    first = [look()] if select(project, args) else []
    return lambda: first.pop() if first else look()
