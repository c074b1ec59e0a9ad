"""What is said, before anything starts, of files that experiments need and that aren't there yet."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from heyhi.errors import NeedsError
from heyhi.experiment.given_files import NOT_THERE, OWN_RULES, not_given, why_missing
from heyhi.profiles import snakefile_words
from heyhi.text import readable

_MAX_SAID = 8
_NO_RULE = re.compile(r"^No rule to produce (.*?)(?: \(if you use input functions.*)?$", re.MULTILINE)
_SECONDS = 120.0  # that Snakemake has to read the rules: of who takes longer, it is found out when it runs


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


def check_made(root: Path, needed: Mapping[str, str]) -> None:
    """Refuse what Snakemake would refuse as soon as it runs: what needs a file that isn't there, and that nobody makes.

    Args:
        root: of the project.
        needed: name of each file -> target of an experiment that needs it.

    Raises:
        NeedsError: one can't be given.
    """
    missing = {name: why for name in needed if (why := why_missing(name, root))}
    if not missing:
        return
    lost = next((name for name, why in missing.items() if why != NOT_THERE), "") or _without_rule(root, list(missing))
    if lost:
        raise NeedsError(not_given(needed[lost], lost, missing[lost]))


def _without_rule(root: Path, names: list[str]) -> str:
    """Ask Snakemake for one of some files that no rule makes; empty where there is none, or nobody can tell."""
    words = ["--dry-run", "--nolock", *snakefile_words(root), "--", *names]
    command = [sys.executable, "-P", "-m", "snakemake", *words]
    try:
        done = subprocess.run(
            command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    found = _NO_RULE.search(done.stdout + done.stderr) if done.returncode else None
    return found[1] if found is not None and found[1] in names else ""
