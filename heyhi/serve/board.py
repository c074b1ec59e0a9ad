"""What a server knows of the experiments that it shows: looked at again and again, with a number for each news."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from heyhi.experiment.folder import ExperimentDir
from heyhi.report.gather import gather
from heyhi.report.page_data import page_of
from heyhi.report.page_payload import payload_of
from heyhi.report.shape import Shape
from heyhi.report.titles import title_of
from heyhi.serve.wire import key_of

if TYPE_CHECKING:
    from heyhi.project import Project
    from heyhi.report.source import Source


class Known(NamedTuple):
    """An experiment that is shown.

    Attributes:
        project: that it is of.
        folder: its folder.
    """

    project: Project
    folder: ExperimentDir


class Board:
    """The experiments that a server shows.

    It is looked at by one thread, and asked by others.

    Args:
        project: around the working directory.
        sources: returns what is shown, as it is now.
    """

    def __init__(self, project: Project, sources: Callable[[], Sequence[Source]]) -> None:
        self.server = secrets.token_hex(8)
        self._project = project
        self._sources = sources
        self._lock = threading.Lock()
        self._version = 0
        self._whole: dict[str, Any] = {}
        self._changed: dict[int, int] = {}  # place of an experiment -> version at which its row changed last
        self._anew = 0  # version at which something else than rows changed
        self._known: dict[str, Known] = {}

    @property
    def version(self) -> int:
        """The number of the last news; 0 before the first look."""
        return self._version

    def look(self) -> bool:
        """Look at the experiments now.

        Returns:
            whether there is news.

        Raises:
            HeyhiError: what is shown is wrong; what was known before is kept.
        """
        sources = self._sources()
        shaped = Shape().apply(gather(sources))
        folders: list[str] = shaped.whole["exp_path"].tolist()
        page = page_of(shaped, self._project, title_of([source.manifest for source in sources]))
        whole = payload_of(page, Path())
        del whole["curves"], whole["arrays"], whole["details"]
        known = {
            key_of(folder): Known(self._project, ExperimentDir(Path(folder), self._project.results_root))
            for folder in folders
        }
        whole |= {"live": True, "server": self.server, "keys": list(known)}
        with self._lock:
            return self._take(whole, known)

    def _take(self, whole: dict[str, Any], known: dict[str, Known]) -> bool:
        before, self._known = self._whole, known
        fixed = [name for name in whole if name not in ("made", "runs", "version", "counts")]
        is_same = before and all(before[name] == whole[name] for name in fixed)
        is_same = is_same and before["runs"]["columns"] == whole["runs"]["columns"]
        pairs = zip(before["runs"]["rows"], whole["runs"]["rows"], strict=True) if is_same else ()
        changed = [place for place, (then, now) in enumerate(pairs) if then != now]
        if is_same and not changed:
            return False
        self._version += 1
        if not is_same:
            self._anew = self._version
            self._changed = {}
        self._changed |= dict.fromkeys(changed, self._version)
        self._whole = whole | {"version": self._version}
        return True

    def data(self, server: str = "", since: int = 0) -> dict[str, Any]:
        """Return the whole table, or what is new in it; see `wire`.

        Args:
            server: whose version is known.
            since: that version.
        """
        with self._lock:
            whole = self._whole
            if server != self.server or since < self._anew or since > self._version:
                return whole
            places = [place for place, version in self._changed.items() if version > since]
            return {
                "server": self.server,
                "version": self._version,
                "made": datetime.now().astimezone().isoformat(timespec="seconds"),
                "rows": {place: whole["runs"]["rows"][place] for place in places},
                "counts": {place: whole["counts"][place] for place in places},
            }

    def experiment(self, key: str) -> Known | None:
        """Return the experiment of a key; None where it isn't shown."""
        return self._known.get(key)
