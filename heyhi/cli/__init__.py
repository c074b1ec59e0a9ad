"""The command line `heyhi`, and that of a task file."""

from __future__ import annotations

from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line `heyhi`; imported when it is called, so that a task file's doesn't load it."""
    from heyhi.cli.main import main as run

    return run(args)
