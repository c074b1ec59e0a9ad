"""What `heyhi plan` says of files that experiments need and that aren't there yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from heyhi.experiment.given_files import NOT_THERE, OWN_RULES, why_missing
from heyhi.text import readable

_MAX_SAID = 8


def missing_lines(root: Path, names: Iterable[str]) -> list[str]:
    """Say of each file that isn't there what makes it, as far as that can be told without Snakemake.

    Args:
        root: of the project.
        names: of the files, one for each experiment that would start and needs it.
    """
    counts = Counter(names)
    missing = {name: why for name in counts if (why := why_missing(name, root))}
    makes = f"a rule of {OWN_RULES} is to make it" if (root / OWN_RULES).is_file() else f"there is no {OWN_RULES}"
    lines = []
    for name, why in missing.items():
        who = f"{counts[name]} experiment{'s need' if counts[name] > 1 else ' needs'} it"
        lines.append(readable(f"{name} {why}{f': {makes}' if why == NOT_THERE else ''} ({who})"))
    left = len(lines) - _MAX_SAID
    return [*lines[:_MAX_SAID], *([f"and {left} more files that can't be given"] if left > 0 else [])]
