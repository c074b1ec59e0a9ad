"""`python -m benchmarks`: runs the benchmarks, progress on standard error, and prints their table."""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import dryrun, expand, hydra, local, log, metrics, report, runner, search, serve, slurm, startup, status
from benchmarks.table import Row, render
from benchmarks.timing import CommandFailed, say
from benchmarks.workspace import Effort

_BENCHMARKS = {
    module.__name__.rpartition(".")[2]: module
    for module in (startup, expand, hydra, status, report, metrics, log, serve, search, runner, local, dryrun, slurm)
}


def main() -> int:
    """Run the benchmarks; the exit code is 1 only where one broke, whatever was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", action="append", choices=sorted(_BENCHMARKS), help="run this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds: for trying things out")
    args = parser.parse_args()
    rows: list[Row] = []
    broken = []
    start = time.monotonic()
    for name, module in _BENCHMARKS.items():
        if args.only and name not in args.only:
            continue
        say(f"{name}: {(module.__doc__ or '').splitlines()[0]}")
        try:
            rows += module.measure(Effort(args.quick))
        except (CommandFailed, OSError) as error:
            say(f"{name}: broke: {error}")
            broken.append(name)
    say(f"measured for {time.monotonic() - start:.0f} s\n")
    print(render(rows))
    if broken:
        print(f"broke: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
