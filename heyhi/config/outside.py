"""Configs outside of the project: they count by their content, and what was run of them is kept in the state root.

A script that writes a config of its own for each call gives it another path each time. Its name in an identity is
`outside/<16 hex of the content>.prototxt`, which is found again when the file is gone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from google.protobuf.message import Message

from heyhi.config.identity import SUFFIX
from heyhi.files import is_there, replace_file, writing
from heyhi.project import Project
from heyhi.regex import regex
from heyhi.sha import sha256

_FOLDER = "outside"  # in names, and in the state root
_NAME = regex(rf"{_FOLDER}/[0-9a-f]{{16}}{re.escape(SUFFIX)}")


def identity_cfg(project: Project, path: Path, message: Message) -> str:
    """Return by which name an identity has a root config.

    Args:
        project: whose experiments they are.
        path: of the config.
        message: root message that it gives, with all that it includes.

    Returns:
        its path below the project root; where it lies elsewhere, a name that follows from its content.
    """
    if path.parent == project.state_root / _FOLDER:
        return f"{_FOLDER}/{path.name}"
    if path.is_relative_to(project.root):
        return project.relative(path)
    real, root = os.path.realpath(path), os.path.realpath(project.root)
    if real.startswith(f"{root}/"):  # by another name of the project
        return real[len(root) + 1 :]
    digest = sha256(message.SerializeToString(deterministic=True)).hexdigest()[:16]
    return f"{_FOLDER}/{digest}{SUFFIX}"


def is_outside(cfg: str) -> bool:
    """Return whether an identity's config lies outside of the project."""
    return cfg.startswith(f"{_FOLDER}/") and _NAME.fullmatch(cfg) is not None


def find_kept(project: Project, cfg: str) -> Path | None:
    """Return where a config outside of the project is kept; None where a name is of none.

    Args:
        project: whose experiments they are.
        cfg: as an identity has it; the project root may stand before it.
    """
    name = cfg.removeprefix(f"{project.root}/")
    return project.state_root / name if is_outside(name) else None


def keep(project: Project, configs: Mapping[str, Message]) -> None:
    """Keep configs outside of the project, unless they are kept already.

    Args:
        project: whose experiments they are.
        configs: name in an identity -> root message of the config, without overrides.

    Raises:
        ResultError: they can't be written.
    """
    if not configs:
        return
    from google.protobuf import text_format  # most configs lie in the project

    for cfg, message in configs.items():
        place = project.state_root / cfg
        if not is_there(place):
            with writing(place):
                place.parent.mkdir(parents=True, exist_ok=True)
            replace_file(place, text_format.MessageToString(message, as_utf8=True))
