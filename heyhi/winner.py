"""`python -m heyhi.winner TARGET --manifest FILE`: chooses the best of a sweep, once; what the rule `winner` runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from heyhi.errors import reporting_errors
from heyhi.report.winner import settle
from heyhi.streams import guard_streams
from heyhi.sweep.manifest import Manifest, project_of
from heyhi.text import take_any_text


def main(args: Sequence[str] | None = None) -> int:
    """Choose the best of a sweep, unless it is chosen already."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.winner", description="Choose the best of a sweep, once.", allow_abbrev=False
    )
    parser.add_argument("target", help="that stands for it: results/winners/ID.json")
    parser.add_argument("--manifest", type=Path, required=True, help="what `heyhi expand` wrote")
    guard_streams(goes_on=True)
    take_any_text()
    options = parser.parse_args(args)
    with reporting_errors(), Manifest.open(options.manifest) as manifest:
        winner = settle(project_of(manifest), manifest, options.target)
        print(winner.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
