"""The command `heyhi serve`."""

from __future__ import annotations

import argparse


def serve(args: argparse.Namespace) -> int:
    """Show experiments in a browser while they run."""
    from heyhi.cli.selection import project_for, select
    from heyhi.cli.whose import only_looks
    from heyhi.extras import check

    project = project_for(args)
    check("serve")
    only_looks(project)
    selection = select(project, args)
    from heyhi.serve.board import Board
    from heyhi.serve.server import serve as run_server

    def sources() -> list[object]:
        if selection:
            return select(project, args).sources()
        from functools import partial

        from heyhi.control.survey import Part
        from heyhi.experiment.slots import shown_folders
        from heyhi.report.source import Source

        return Source.of_experiments(
            project, shown_folders(Part.of_index(project).folders), partial(selection.composed_again, is_look=True)
        )

    run_server(Board(project, sources), args.port)
    return 0
