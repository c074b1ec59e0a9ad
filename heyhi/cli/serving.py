"""The command `heyhi serve`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heyhi.report.source import Source


def serve(args: argparse.Namespace) -> int:
    """Show experiments in a browser while they run."""
    from heyhi.cli.selection import project_for, select
    from heyhi.cli.whose import only_looks
    from heyhi.extras import check, load

    project = project_for(args)
    check("serve")
    only_looks(project)
    selection = select(project, args)
    # A wrong word is said before anything is served; what was found is what is looked at first.
    found = [selection.sources()] if selection else []
    for module in ("uvicorn", "starlette"):
        load(module)  # a damaged one is named
    from heyhi.serve.board import Board
    from heyhi.serve.kept_token import KeptToken
    from heyhi.serve.listening import listen
    from heyhi.serve.server import serve as run_server

    def sources() -> Sequence[Source]:
        return found.pop() if found else select(project, args).sources()  # each time: files may have changed

    words = [word for pair in args.given for word in pair]
    listening = listen(args.host, args.port, project.results_root, words)
    kept = KeptToken(project.results_root, args.host, listening.port)
    return run_server(Board(project, sources), listening, kept, is_child=args.child, opens=args.open)
