"""Files that an experiment needs: what `{{file PATH}}` names.

Who makes such a file (a rule of the user's own) is known to Snakemake alone; what its content was is on record of each
attempt, see `heyhi.experiment.given_files`.
"""

from __future__ import annotations

import os

from heyhi.config.templates import replace_root
from heyhi.errors import NeedsError
from heyhi.text import shorten


def named_file(words: str, root: str) -> str:
    """Return the file that a need names: relative to the project root where it lies inside, else absolute.

    Args:
        words: what stands behind `file`, which is the path as a whole; a relative one begins at the project root.
        root: of the project.

    Raises:
        NeedsError: it is no path of a file, or leads out of the project without being absolute.
    """
    path = replace_root(words, root)
    shown = shorten(f"{{{{file {words}}}}}")
    if not path.isprintable():
        raise NeedsError(f"{shown}: expected the path of a file, such as data/digits.npz")
    if path.endswith("/"):
        raise NeedsError(
            f"{shown}: is a folder: name a file in it, such as one that the rule that fills it writes last"
        )
    whole = os.path.normpath(path if path.startswith("/") else f"{root}/{path}")
    inside = whole.removeprefix(f"{root}/")
    if whole == root:
        raise NeedsError(f"{shown}: that is the project itself; expected a file, such as data/digits.npz")
    if inside == whole and not path.startswith("/"):
        raise NeedsError(
            f"{shown}: leads out of the project ({root}); expected a path inside it, such as data/digits.npz, or an"
            " absolute one"
        )
    if inside.startswith("~"):
        raise NeedsError(
            f"{shown}: ~ is no home folder here, and no file of a project is named so; expected a path inside it, such"
            " as data/digits.npz, or an absolute one"
        )
    return inside


def path_of_file(name: str, root: str) -> str:
    """Return the absolute path of a file as `named_file` names it."""
    return name if name.startswith("/") else f"{root}/{name}"
