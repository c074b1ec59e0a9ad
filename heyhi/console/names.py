"""What the experiments of a run are called in its lines: by what varies among them, else by their exp ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

from heyhi.config.identity import readable_tag
from heyhi.experiment.names import is_slot
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.search_spec import SearchSpec
from heyhi.sweep.target import folder_of
from heyhi.text import cut_alike, without_hash

_LONGEST = 60  # characters of what varies, unless two would look alike
_MOST = 75  # even then
_NEED = re.compile(r"\{\{exp ([^{}]*)\}\}")
_SHARE = 20  # all of a manifest are read in the time that so large a share of them takes, one by one


class Named(NamedTuple):
    """An experiment.

    Attributes:
        exp_id: its exp id.
        cfg: its config file.
        overrides: its canonical overrides.
        needs: exp paths of what it needs.
        search: that it is a trial of; None of other experiments.
    """

    exp_id: str
    cfg: str
    overrides: tuple[str, ...]
    needs: tuple[str, ...] = ()
    search: SearchSpec | None = None


def read_named(asked: Iterable[tuple[str, Manifest]]) -> dict[str, Named]:
    """Read what experiments are named by, by their exp paths; of one manifest, each comes after what it needs.

    Args:
        asked: targets, each with its manifest.
    """
    targets: dict[int, tuple[Manifest, list[str]]] = {}
    for target, manifest in asked:
        targets.setdefault(id(manifest), (manifest, []))[1].append(target)
    found = {}
    for manifest, its in targets.values():
        few = len(its) * _SHARE < manifest.size
        wanted = {folder_of(target, manifest.project_root) for target in its}
        for exp_id, folder, identity, _, needs in manifest.entries_of(its) if few else manifest.entries()[0]:
            if folder in wanted:
                search = manifest.search if is_slot(exp_id) else None
                found[folder] = Named(exp_id, identity.cfg, identity.overrides, needs, search)
    return found


def short_names(experiments: Sequence[Named]) -> list[str]:
    """Name experiments by their overrides that not all of them have, and by the config where there are several.

    They are written as in exp ids, needs in them without their hashes, and cut where they are long. Where that is
    nothing, or of two alike, it is the exp id; a long one of several is cut as well.
    """
    shared = set.intersection(*(set(one.overrides) for one in experiments)) if experiments else set()
    one_cfg = len({one.cfg for one in experiments}) < 2
    names = []
    for one in experiments:
        varying = [override for override in one.overrides if override not in shared]
        stem = "" if one_cfg else readable_tag([PurePath(one.cfg).stem])
        names.append(":".join(part for part in (stem, ",".join(map(_tag, varying))) if part))
    count = Counter(names)
    its_own = [name for name in names if name and count[name] == 1] if len(experiments) > 1 else []
    cut = zip(its_own, cut_alike(its_own, _LONGEST), strict=True)
    short = {name: text for name, text in cut if len(text) <= _MOST}
    left = [one.exp_id for name, one in zip(names, experiments, strict=True) if name not in short]
    ids = dict(zip(left, cut_alike(left, _LONGEST) if len(experiments) > 1 else left, strict=True))
    return [short.get(name) or ids[one.exp_id] for name, one in zip(names, experiments, strict=True)]


def _tag(override: str) -> str:
    """Write an override as an exp id has it, and an experiment in it as `line:seed=3`, by the last parts of its own."""
    pieces = _NEED.split(override)  # each second one is an exp id
    return "".join(
        without_hash(":".join(PurePath(piece).parts[-2:])).removesuffix(":default")
        if place % 2
        else readable_tag([piece])
        for place, piece in enumerate(pieces)
        if piece
    )
