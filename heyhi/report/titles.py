"""What a table of one or several sweeps is called: a label, which its files have, and a title, which people read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from heyhi.project import Project
from heyhi.report.source import Source
from heyhi.sweep.label import label_together
from heyhi.sweep.manifest import Manifest

_MAX_TITLE, _MAX_TITLES = 200, 5  # characters of a sweep in words, and how many of them a title has


def label_of(sources: Sequence[Source]) -> str:
    """Return the name of a table of one or several sweeps, which its files have."""
    manifests = [source.manifest for source in sources]
    return label_together([m.label for m in manifests], [m.digest for m in manifests])


def title_of_known(project: Project) -> str:
    """Return the title of all that is known."""
    return f"All known experiments of {name_of(project)}"


def name_of(project: Project) -> str:
    """Return what a project is called: as it says, else as its folder."""
    return project.name or project.root.name


def title_of(manifests: Sequence[Manifest]) -> str:
    """Return one or several sweeps in words, as the title of a page: their files, or the words that name them."""
    titles = [m.sweep or shlex.join(m.words) or m.label for m in manifests]
    titles = [one if len(one) <= _MAX_TITLE else f"{one[: _MAX_TITLE - 1]}…" for one in dict.fromkeys(titles)]
    more = f" and {len(titles) - _MAX_TITLES} more" if len(titles) > _MAX_TITLES else ""
    return f"{' + '.join(titles[:_MAX_TITLES])}{more}"
