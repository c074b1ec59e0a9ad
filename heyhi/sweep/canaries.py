"""Which experiments of a run of Snakemake are canaries of its launch: they were started before the others."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from heyhi.files import parse_json, read_bounded
from heyhi.project import Project
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, NOTE_NAME
from heyhi.sweep.target import folders_of

CANARY_SETTING = "canary"  # of Snakemake's --config: the controller that has run canaries


def canaries_in(project: Project, config: Mapping[str, object]) -> set[str]:
    """Return the exp paths of the canaries that were run already; none where the run has none.

    Args:
        project: whose experiments are run.
        config: Snakemake's.
    """
    name = config.get(CANARY_SETTING)
    if name:
        with contextlib.suppress(OSError, ValueError):
            note = parse_json(read_bounded(project.state_root / CONTROLLERS_NAME / str(name) / NOTE_NAME))
            targets = note.get("canaries") if isinstance(note, dict) else None
            if isinstance(targets, list):
                return set(folders_of([text for text in targets if isinstance(text, str)], project.root))
    return set()
