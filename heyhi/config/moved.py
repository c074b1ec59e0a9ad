"""Configs and chunks that have another path by now: `renamed = {"conf/old.prototxt" = "conf/new.prototxt"}`.

Names inside of the protos are left to `renames`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from heyhi.errors import ProjectError
from heyhi.files import is_file
from heyhi.project import Project


class MovedConfigs:
    """The paths that a project's configs had before, relative to its root.

    Args:
        project: whose settings list them.

    Raises:
        ProjectError: what they list can't be: a path that is still there, leads to none or to two, runs in a circle
            that ends at no file, or is outside the project.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._steps = {os.path.normpath(old): os.path.normpath(new) for old, new in project.settings.renamed}
        self._returned = self._starts_of_circles()
        if self._steps:
            self._check()
        for name in self._returned:  # it is the one of today, and leads to no other
            del self._steps[name]
        self._before = {new: old for old, new in self._steps.items()}

    def __bool__(self) -> bool:
        return bool(self._steps)

    def pairs(self) -> list[tuple[str, str]]:
        """Return each earlier path with that of today."""
        return [(old, self.today(old)) for old in self._steps]

    def earlier(self) -> dict[str, list[str]]:
        """Return the earlier paths of each config that moved, the first one first."""
        found = {name: [name] for name in self._returned}
        for old, new in sorted(self.pairs(), key=lambda pair: len(list(self._way(pair[0]))), reverse=True):
            found.setdefault(new, []).append(old)
        return found

    def today(self, name: str) -> str:
        """Return the path of today of what has or had a path, both as identities write them."""
        while name in self._steps:
            name = self._steps[name]
        return name

    def first(self, name: str) -> str:
        """Return the path that a config or chunk first had, as an identity writes it."""
        if (today := self.today(name)) in self._returned:
            return today
        while name in self._before:
            name = self._before[name]
        return name

    def find(self, path: Path) -> Path | None:
        """Return where a file is that lay at a path before; None where none did."""
        if not self._steps:
            return None
        name = self._project.relative(Path(os.path.abspath(path)))  # noqa: PTH100 (a link keeps its name)
        return self._project.root / self.today(name) if name in self._steps else None

    def _starts_of_circles(self) -> list[str]:
        """Return the paths that were left and taken again: of those of a circle, the one that is listed first."""
        found: list[str] = []
        for old in self._steps:
            way = list(self._way(old))
            if old in way and not any(name in found for name in way):
                found.append(old)
        return found

    def _check(self) -> None:
        before: dict[str, str] = {}
        for old, new in self._steps.items():
            for name in (old, new):
                if Path(name).is_absolute() or name.split(os.sep, 1)[0] in ("..", "."):
                    raise self._wrong(
                        old, f"is '{new}' by now: expected paths of files, relative to the project root and inside it"
                    )
            way = list(self._way(old))
            if old == new:
                raise self._wrong(old, "leads back to itself: leave it out")
            if before.setdefault(new, old) != old:
                raise self._wrong(
                    old,
                    f"is '{new}' by now, and so is '{before[new]}': only one of them can be. A path that was left and"
                    f' taken again is listed as what it is today: "{before[new]}" = "{old}", "{old}" = "{new}"',
                )
            if old in self._returned:
                self._check_circle(old, way)
            elif is_file(self._project.root / old):
                raise self._wrong(old, f"is there still; '{new}' can't be the same one")
            if new not in self._steps and not is_file(self._project.root / new):
                raise self._wrong(old, f"is '{new}' by now, and there is no such file")

    def _check_circle(self, start: str, way: Sequence[str]) -> None:
        """Refuse a circle that doesn't end where a file is: it says that the path it begins with is taken again."""
        if is_file(self._project.root / start):
            return
        there = next((name for name in way if is_file(self._project.root / name)), None)
        circle = " -> ".join([start, *way])
        if there is None:
            raise self._wrong(start, f"leads back to itself: {circle}, and none of these files is there")
        raise self._wrong(
            start,
            f"leads back to itself: {circle}, and there is no such file, but '{there}' is: leave out what"
            f" '{there}' leads to",
        )

    def _way(self, name: str) -> Iterator[str]:
        """Yield the paths that one leads to, one after the other, each once."""
        seen: set[str] = set()
        while name in self._steps and name not in seen:
            seen.add(name)
            name = self._steps[name]
            yield name

    def _wrong(self, old: str, why: str) -> ProjectError:
        return ProjectError(f"{self._project.root / 'pyproject.toml'}: [tool.heyhi] renamed: '{old}' {why}")
