"""The size of a sweep: how many points one may have, so that a slip (`range(10000000000)`) takes no memory."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from itertools import islice
from typing import Any

from heyhi.errors import NoProjectError, SweepError
from heyhi.project import Project, Settings, find_project

_SMALL = 1000  # points, for which no settings are looked up


def check_size(project: Project | None, size: int, what: str) -> None:
    """Refuse more points than the settings allow.

    Args:
        project: whose settings count; None: of the one around the working directory.
        size: how many there would be.
        what: says so in a sentence that goes on.

    Raises:
        SweepError: they are too many.
    """
    if project is None and size <= _SMALL:
        return
    most = (project.settings if project is not None else _settings()).max_points
    if most and size > most:
        raise SweepError(f"{what}: a sweep has at most {most:,} ([tool.heyhi] max_points = … raises that)")


def length_of(values: Iterable[Any]) -> int | None:
    """Return how many values there are, None where only going through them tells."""
    if isinstance(values, range):  # len() takes no number beyond 2^63
        return max(0, -(-(values.stop - values.start) // values.step))
    return len(values) if isinstance(values, Sized) else None


def listed(key: str, values: Iterable[Any]) -> list[Any]:
    """Return values as a list; they are counted first, or while they come.

    Raises:
        SweepError: they are too many.
    """
    size = length_of(values)
    if size is not None:
        check_size(None, size, f"'{key}' has {size:,} values")
        return list(values)
    most = _settings().max_points
    found = list(islice(values, most + 1)) if most else list(values)
    check_size(None, len(found), f"'{key}' has more than {most:,} values")
    return found


def _settings() -> Settings:
    try:
        return find_project().settings
    except NoProjectError:
        return Settings()
