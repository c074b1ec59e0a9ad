"""What a job is called in Slurm's lists: for people; HeyHi finds its jobs by their comments and ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from heyhi.config.identity import SUFFIX, readable_tag
from heyhi.experiment.folder import Experiment
from heyhi.regex import regex
from heyhi.slurm.request import NAME_TAG

_MAX_CHARS = 100
_CUT = "..."
_CONTROL = regex(r"[\x00-\x1f\x7f-\x9f]+")


def job_name(experiments: Sequence[Experiment], pattern: str = "") -> str:
    """Return the name of a job: `c02_sup_train/sl lr=0.1`, and `+7` behind it where it runs seven more.

    Args:
        experiments: that it runs.
        pattern: launcher.slurm.job_name, with tags such as `%(cfg)s`; empty: folder and name of the config, and the
            overrides.
    """
    tags = _tags(experiments[0])
    default = f"{tags['cfg_folder']}/{tags['cfg']} {tags['redefines']}".strip("/ ")
    text = NAME_TAG.sub(lambda match: tags[match.group(1)], pattern) if pattern else default
    more = f" +{len(experiments) - 1}" if len(experiments) > 1 else ""
    text = " ".join((text if text.isprintable() else _CONTROL.sub(" ", text)).split())
    return _cut(text, _MAX_CHARS - len(more)) + more


def _tags(experiment: Experiment) -> dict[str, str]:
    cfg = PurePosixPath(experiment.identity.cfg)
    overrides = experiment.identity.overrides
    return {
        "cfg_folder": cfg.parent.name if len(cfg.parent.parts) > 1 else "",  # not conf itself
        "cfg": cfg.name.removesuffix(SUFFIX),
        "redefines": readable_tag(overrides) if overrides else "",
        "exp_id": experiment.exp_id,
        "task": experiment.task,
    }


def _cut(text: str, most: int) -> str:
    """Cut the middle out: configs are told apart by the beginning, experiments of a sweep by the end."""
    if len(text) <= most:
        return text
    head = (most - len(_CUT)) // 2
    return f"{text[:head]}{_CUT}{text[-(most - len(_CUT) - head) :]}"
