"""What a pyproject.toml says of a project, kept by the digest of its text: Python reads TOML far slower than JSON.

Only what HeyHi asks for is kept, and nothing that may be a secret.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heyhi.files import read_bounded, user_cache, write_temp
from heyhi.sha import sha256

_VERSION = b"1"
_SECRET = ("notify", "sheets_credentials")  # settings that may hold a secret, or lead to one
_DIGITS = 32


def read_toml(data: bytes) -> dict[str, Any]:
    """Read a pyproject.toml: all of it, or `[tool.heyhi]` and the project's name.

    Args:
        data: content of the file.

    Raises:
        TOMLDecodeError, UnicodeDecodeError, RecursionError: it is no valid TOML.
    """
    place = user_cache() / f"{sha256(_VERSION + data).hexdigest()[:_DIGITS]}.pyproject.json"
    try:
        kept = json.loads(read_bounded(place))
        if isinstance(kept, dict):
            return kept
    except (OSError, ValueError, RecursionError):  # not there, or damaged
        pass
    import tomllib

    content = tomllib.loads(data.decode())
    _keep(place, content)
    return content


def _keep(place: Path, content: dict[str, Any]) -> None:
    """Keep what is asked for, where it is as it should be: anything else is read anew, and said."""
    table, project = content.get("tool", {}), content.get("project", {})
    own = table.get("heyhi") if isinstance(table, dict) else None
    if not isinstance(own, dict) or not isinstance(project, dict) or any(name in own for name in _SECRET):
        return
    asked = {"tool": {"heyhi": own}, "project": {name: project[name] for name in ("name",) if name in project}}
    try:
        text = json.dumps(asked)
        if json.loads(text) != asked:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        write_temp(place, text).replace(place)
    except (OSError, TypeError, ValueError):  # a date; no home, or a full one
        pass
