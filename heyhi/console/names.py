"""What the experiments of a run are called in its lines: by what varies among them, else by their exp ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

from heyhi.config.identity import readable_tag
from heyhi.experiment.names import is_slot
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.search_spec import SearchSpec
from heyhi.sweep.target import folder_of
from heyhi.text import cut_alike

_LONGEST = 60  # characters of what varies, unless two would look alike
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

    They are written as in exp ids, and cut where they are long. Where that is nothing, or of two alike, it is the exp
    id.
    """
    shared = set.intersection(*(set(one.overrides) for one in experiments)) if experiments else set()
    one_cfg = len({one.cfg for one in experiments}) < 2
    names = []
    for one in experiments:
        varying = [override for override in one.overrides if override not in shared]
        stem = "" if one_cfg else readable_tag([PurePath(one.cfg).stem])
        names.append(":".join(part for part in (stem, readable_tag(varying) if varying else "") if part))
    count = Counter(names)
    its_own = [name for name in names if name and count[name] == 1] if len(experiments) > 1 else []
    short = dict(zip(its_own, cut_alike(its_own, _LONGEST), strict=True))
    return [short.get(name, one.exp_id) for name, one in zip(names, experiments, strict=True)]
