"""Run `snakemake --lint`; fail on anything but its advice to give each rule a conda environment, and two a log.

HeyHi's rules run in the environment that Snakemake was started from, which a false directive would only hide. The log
of an experiment, or of a search's slot, is appended to, and Snakemake would remove it first.
"""

from __future__ import annotations

import re
import subprocess
import sys

ALLOWED, NO_LOG = "Specify a conda environment or container for each rule.", "No log directive defined"
UNLOGGED = 2  # rules


def main() -> int:
    """Return 0 when the linter has nothing else to say, else print all of it and return 1."""
    lint = [sys.executable, "-m", "snakemake", "--lint"]
    run = subprocess.run(lint, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    titles = re.findall(r"^ {4}\* (.+?):?$", run.stdout, flags=re.MULTILINE)
    others = [title for title in titles if title != ALLOWED]
    if others.count(NO_LOG) == UNLOGGED:
        others = [title for title in others if title != NO_LOG]
    # A Snakefile that does not parse fails as well, and without a title.
    if others or (run.returncode != 0 and not titles):
        sys.stderr.write(run.stdout)
        return 1
    print(f"snakemake --lint: nothing but {ALLOWED!r} and {NO_LOG!r} ({len(titles) - UNLOGGED} rules)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
