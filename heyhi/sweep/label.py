"""The label of a sweep: the name of its reports, manifests and controllers, as one word of `[A-Za-z0-9._-]`.

It follows from the name or words of the sweep alone, and those of two sweeps differ: a name that is read in one way
only is a label as it is, any other one gets a digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.project import Project
from heyhi.regex import regex
from heyhi.sha import sha256

if TYPE_CHECKING:
    from heyhi.sweep.search_spec import SearchSpec

_MAX_LABEL = 80
_MAX_TOGETHER = 120
_DIGEST = 6  # hex digits
_PLAIN_PART = regex(r"[A-Za-z0-9_]+")
_ENDS_AS_DIGEST = regex(rf"-[0-9a-f]{{{_DIGEST}}}")
_OTHERS = regex(r"[^A-Za-z0-9._]+")


def label_of(project: Project, path: str) -> str:
    """Return the label of a sweep file: its path below `conf`, with `-` between the folders.

    A path in which something else becomes a `-`, or is lost, has a digest behind it: `bad-sweep` is conf/bad/sweep.py,
    and conf/bad-sweep.py another one.
    """
    relative = _relative(project, path)
    inside = _below_conf(project, path)
    readable = inside.with_suffix("").as_posix()
    label = readable.replace("/", "-")
    is_plain = inside != relative and inside.suffix == ".py" and all(map(_PLAIN_PART.fullmatch, readable.split("/")))
    if is_plain and len(label) <= _MAX_LABEL and not _ENDS_AS_DIGEST.fullmatch(label[-_DIGEST - 1 :]):
        return label
    return _with_digest(readable, [relative.as_posix()])


def label_of_words(project: Project, cfg: str, words: Sequence[str]) -> str:
    """Return the label of a sweep over a config.

    Args:
        project: whose config it is.
        cfg: the config, as it was given.
        words: all that was given with it.
    """
    relative = _below_conf(project, cfg)
    name = (relative.with_suffix("") if relative.suffix == ".prototxt" else relative).as_posix()
    plain = [word.removeprefix("--") if "=" in word else word for word in words]
    said = [word for word in plain if not word.startswith("--")]
    return _with_digest("-".join([name, *said]), [name, *plain])


def label_of_search(project: Project, search: SearchSpec) -> str:
    """Return the label of a search over a config, however its words were written: it has one for each search id."""
    cfg = _below_conf(project, search.cfg).with_suffix("").as_posix()
    space = [f"{axis.key}={axis.text}" for axis in search.axes]
    words = [cfg, *search.overrides, "search", *space, f"{search.direction}-{search.metric}"]
    return _with_digest("-".join(words), [search.search_id])


def label_of_experiments(project: Project, cfgs: Iterable[str], exp_ids: Sequence[str]) -> str:
    """Return the label of experiments that were named themselves."""
    names = {_below_conf(project, cfg).with_suffix("").as_posix() for cfg in cfgs}
    return _with_digest(names.pop() if len(names) == 1 else "experiments", exp_ids)


def label_together(labels: Sequence[str], digests: Sequence[str]) -> str:
    """Return the name of a table of several sweeps, whatever their order: `a+b`.

    Args:
        labels: of the sweeps.
        digests: of their manifests, by which several of one label are told apart.
    """
    if len(set(digests)) == 1:
        return labels[0]
    joined = "+".join(sorted(labels))
    if len(set(labels)) == len(labels) and len(joined) <= _MAX_TOGETHER:
        return joined
    return f"{joined[: _MAX_TOGETHER - _DIGEST - 1]}-{_digest(sorted(zip(labels, digests, strict=True)))}"


def _below_conf(project: Project, path: str) -> Path:
    """Return a path relative to the folder of configs, or to the project, where it lies in one of them."""
    relative, conf = _relative(project, path), Path(project.relative(project.conf_root))
    return relative.relative_to(conf) if relative.is_relative_to(conf) else relative


def _relative(project: Project, path: str) -> Path:
    return Path(project.relative(project.root / path))


def _with_digest(readable: str, content: object) -> str:
    word = _OTHERS.sub("-", readable)
    while "--" in word:
        word = word.replace("--", "-")
    word = word[: _MAX_LABEL - _DIGEST - 1].strip("-.") or "sweep"
    return f"{word}-{_digest(content)}"


def _digest(content: object) -> str:
    return sha256(json.dumps(content).encode()).hexdigest()[:_DIGEST]
