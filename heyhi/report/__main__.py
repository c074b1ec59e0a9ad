"""`python -m heyhi.report MANIFEST --to FILE`: what the aggregate rule runs."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from heyhi.collector import Pause
from heyhi.errors import reporting_errors
from heyhi.report.freshness import IN_BACKGROUND, end_with_parent
from heyhi.report.gather import gather
from heyhi.report.shape import Shape
from heyhi.report.source import Source
from heyhi.report.titles import title_of
from heyhi.report.write import write_files
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
    parser.add_argument(
        IN_BACKGROUND,
        action="store_true",
        help="leave what somebody else has written meanwhile, and end with the process that has started this",
    )
    guard_streams(goes_on=True)
    take_any_text()
    options = parser.parse_args(args)
    if options.in_background:
        end_with_parent()
    # What was read of 10,000 experiments is in use until the table is made, and nothing is done after that.
    with reporting_errors(), Pause(), Manifest.open(options.manifest) as manifest:
        before = set(map(_look_at, options.to))
        source = Source.of(manifest)
        shaped = Shape().apply(gather([source], lazily=True))
        paths = [path for path in options.to if not options.in_background or _look_at(path) in before]
        for problem in write_files(paths, shaped, source.project, title_of([manifest])).problems:
            raise problem
    return 0


def _look_at(path: Path) -> tuple[Path, int, int]:
    """Return a file's name, number and time of change, zeros where it isn't there."""
    with contextlib.suppress(OSError):
        found = path.stat()
        return path, found.st_ino, found.st_mtime_ns
    return path, 0, 0


if __name__ == "__main__":
    sys.exit(main())
