"""Runs of a sweep's experiments that lie at other exp paths: a script may give `maybe_launch` a pattern of its own.

A name follows from what the file says, so that these aren't taken for its own: it is said where they are, and what to
write for them to be.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from heyhi.config.identity import ExpPattern, Identity, readable_tag
from heyhi.errors import HeyhiError, IdentityError, UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import IDENTITY_NAME
from heyhi.project import Project
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.target import exp_ids_of

Named = tuple[str, Identity]  # exp id and identity of an experiment
_HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_MAX_READ = 1000
_MOST_ASKED = 100  # experiments of a sweep that are asked whether they were started at all


def elsewhere_text(project: Project, name: str, own: Sequence[str], named: Callable[[], list[Named]]) -> str:
    """Say where runs of a sweep's experiments lie under other exp ids; empty where there are none.

    Only a sweep of which some experiments were never started is looked at more closely, and of runs whose exp ids have
    no hash in them a bounded number.

    Args:
        project: whose sweep it is.
        name: of the sweep file.
        own: exp paths of its experiments.
        named: returns these with their identities.
    """
    if all(map(_is_started, own[:: max(1, len(own) // _MOST_ASKED)])):
        return ""
    known: list[str] = []
    with contextlib.suppress(HeyhiError):  # who looks at the experiments is told
        known = exp_ids_of(ManifestIndex.open(project).known(), str(project.results_root))
    if not known:
        return ""
    mine = named()
    ids = {exp_id for exp_id, _ in mine}
    missing = [i for exp_id, i in mine if not _is_started(str(_folder(project, exp_id)))]
    by_hash: dict[str, list[str]] = {}
    plain = []
    for exp_id in known:
        hashes = _HASH.findall(exp_id) if exp_id not in ids else [""]
        if not hashes:
            plain.append(exp_id)
        for found_hash in hashes:
            by_hash.setdefault(found_hash, []).append(exp_id)
    hashed = [(other, i) for i in missing for other in by_hash.get(i.overrides_hash, ())][:_MAX_READ]
    found = [(other, i) for other, i in hashed if _read(project, other) == i]
    wanted = set(missing)
    read = [(other, _read(project, other)) for other in plain[:_MAX_READ]]
    found += [(other, i) for other, i in read if i in wanted and i is not None]
    if not found:
        return ""
    pattern = _pattern_of(project, found)
    hint = f': EXP_ID_PATTERN = "{pattern}" in that file names them' if pattern else ""
    count = len({exp_id for exp_id, _ in found})
    which = f"{count} run{'s' * (count > 1)} of its experiments lie{'s' * (count == 1)}"
    return f"{name}: {which} under exp ids that a script has chosen, like {found[0][0]}{hint}"


def _is_started(exp_path: str) -> bool:
    return os.access(f"{exp_path}/{IDENTITY_NAME}", os.F_OK)


def _folder(project: Project, exp_id: str) -> Path:
    return Path(exp_id) if exp_id.startswith("/") else project.results_root / exp_id


def _read(project: Project, exp_id: str) -> Identity | None:
    try:
        return ExperimentDir(_folder(project, exp_id)).read_identity()
    except UnknownError:
        return None


def _pattern_of(project: Project, found: Sequence[Named]) -> str:
    """Return the pattern that gives all of these exp ids; empty where none is plain."""
    exp_id, identity = found[0]
    tags = {"%(redefines_hash)s": identity.overrides_hash, "%(redefines)s": readable_tag(identity.overrides)[:100]}
    text = exp_id
    for tag, value in tags.items():
        text = text.replace(value, tag)
    if text == exp_id:  # which names this one alone
        return ""
    text = re.sub(r"^p/", "%(prefix)s/", text)
    try:
        pattern = ExpPattern(project, text)
        return text if all(pattern.exp_id(its) == name for name, its in found) else ""
    except IdentityError:
        return ""
