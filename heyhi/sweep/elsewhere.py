"""Runs of a sweep's experiments that lie at other exp paths: a script may give `maybe_launch` a pattern of its own.

A name follows from what the file says, so that these aren't taken for its own: it is said where they are, and what to
write for them to be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from heyhi.config.identity import ExpPattern, Identity, readable_tag
from heyhi.errors import IdentityError, UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import IDENTITY_NAME
from heyhi.project import Project
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.target import exp_ids_of

Named = tuple[str, Identity]  # exp id and identity of an experiment
_HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_MAX_READ = 1000


def elsewhere_text(project: Project, name: str, own: Sequence[str], named: Callable[[], list[Named]]) -> str:
    """Say where runs of a sweep's experiments lie under other exp ids; empty where there are none.

    Only a sweep of which the first experiment was never started is looked at more closely.

    Args:
        project: whose sweep it is.
        name: of the sweep file.
        own: exp paths of its experiments.
        named: returns these with their identities.
    """
    if not own or os.access(f"{own[0]}/{IDENTITY_NAME}", os.F_OK):
        return ""
    index = ManifestIndex.open(project)
    by_hash: dict[str, list[str]] = {}
    for exp_id in exp_ids_of(index.known(), str(project.results_root)):
        for found in _HASH.findall(exp_id):
            by_hash.setdefault(found, []).append(exp_id)
    if not by_hash:
        return ""
    mine = named()
    ids = {exp_id for exp_id, _ in mine}
    found = [(other, i) for _, i in mine for other in by_hash.get(i.overrides_hash, ()) if other not in ids]
    found = [one for one in found[:_MAX_READ] if _holds(project, *one)]
    if not found:
        return ""
    pattern = _pattern_of(project, found)
    hint = f': EXP_ID_PATTERN = "{pattern}" in that file names them' if pattern else ""
    count = len({exp_id for exp_id, _ in found})
    which = f"{count} run{'s' * (count > 1)} of its experiments lie{'s' * (count == 1)}"
    return f"{name}: {which} under exp ids that a script has chosen, like {found[0][0]}{hint}"


def _holds(project: Project, exp_id: str, identity: Identity) -> bool:
    folder = Path(exp_id) if exp_id.startswith("/") else project.results_root / exp_id
    try:
        return ExperimentDir(folder).read_identity() == identity
    except UnknownError:
        return False


def _pattern_of(project: Project, found: Sequence[Named]) -> str:
    """Return the pattern that gives all of these exp ids; empty where none is plain."""
    exp_id, identity = found[0]
    tags = {"%(redefines_hash)s": identity.overrides_hash, "%(redefines)s": readable_tag(identity.overrides)[:100]}
    text = exp_id
    for tag, value in tags.items():
        text = text.replace(value, tag)
    text = re.sub(r"^p/", "%(prefix)s/", text)
    try:
        pattern = ExpPattern(project, text)
        return text if all(pattern.exp_id(its) == name for name, its in found) else ""
    except IdentityError:
        return ""
