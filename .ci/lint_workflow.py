"""Run `snakemake --lint`; fail on anything but its advice to give each rule a conda environment, and one rule a log.

HeyHi's rules run in the environment that Snakemake was started from, which a false directive would only hide. The log
of an experiment is appended to, and Snakemake would remove it first.
"""

from __future__ import annotations

import re
import subprocess
import sys

ALLOWED, ALLOWED_ONCE = "Specify a conda environment or container for each rule.", "No log directive defined"


def main() -> int:
    """Return 0 when the linter has nothing else to say, else print all of it and return 1."""
    lint = [sys.executable, "-m", "snakemake", "--lint"]
    run = subprocess.run(lint, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    titles = re.findall(r"^ {4}\* (.+?):?$", run.stdout, flags=re.MULTILINE)
    others = [title for title in titles if title != ALLOWED]
    if ALLOWED_ONCE in others:
        others.remove(ALLOWED_ONCE)
    # A Snakefile that does not parse fails as well, and without a title.
    if others or (run.returncode != 0 and not titles):
        sys.stderr.write(run.stdout)
        return 1
    print(f"snakemake --lint: nothing but {ALLOWED!r} and {ALLOWED_ONCE!r} ({len(titles) - 1} rules)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
