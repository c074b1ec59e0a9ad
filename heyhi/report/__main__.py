"""`python -m heyhi.report MANIFEST --to FILE`: what the aggregate rule runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from heyhi.errors import reporting_errors
from heyhi.report.gather import gather
from heyhi.report.shape import Shape
from heyhi.report.source import Source
from heyhi.report.titles import title_of
from heyhi.report.write import write_table
from heyhi.streams import guard_streams
from heyhi.sweep.manifest import Manifest
from heyhi.text import take_any_text


def main(args: Sequence[str] | None = None) -> int:
    """Write the table of a manifest's sweep to files."""
    parser = argparse.ArgumentParser(
        prog="python -m heyhi.report", description="Write the table of a sweep.", allow_abbrev=False
    )
    parser.add_argument("manifest", type=Path, help="what `heyhi expand` wrote")
    parser.add_argument("--to", type=Path, action="append", required=True, metavar="FILE", help="may be repeated")
    guard_streams(goes_on=True)
    take_any_text()
    options = parser.parse_args(args)
    with reporting_errors(), Manifest.open(options.manifest) as manifest:
        source = Source.of(manifest)
        shaped = Shape().apply(gather([source]))
        for path in options.to:
            write_table(path, shaped, source.project, title_of([manifest]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
