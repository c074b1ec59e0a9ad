"""What the workers of a launch have to do, as one file in its folder: written once, before the first is submitted.

Beside it lie their logs and small notes: which experiment a worker has, what is to be ended, which node is at fault.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from heyhi.errors import ResultError
from heyhi.files import parse_json, read_bounded, replace_file
from heyhi.slurm.commands import WORK_NAME

CANCEL = "cancel-"  # before the digest of an experiment that is to be ended
FAULT = "fault-"  # before the name of a node that is at fault
LEFT = "left-"  # before the job of a worker that has left something behind, and only closes yet
_MOST_BYTES = 1 << 30  # of the list: 100,000 experiments take some 20 MB
STOP_NAME = "stopped"  # says why no worker is to start anything more


class Source(NamedTuple):
    """Where experiments are read from, and what code they run.

    Attributes:
        manifest: absolute path.
        code_root: folder that the task file is imported from.
        snapshot: digest of the copy of the code; empty where it is the work tree's.
    """

    manifest: str
    code_root: str
    snapshot: str = ""


class Item(NamedTuple):
    """One experiment.

    Attributes:
        folder: its exp path.
        source: number of its source.
        needs: exp paths of what it needs.
    """

    folder: str
    source: int
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkList:
    """The experiments of a launch that workers run, in order.

    Attributes:
        launch: name of the launch.
        since: when it was launched (UTC): what was submitted before is no attempt of this launch.
        project_root: folder of the project.
        results_root: that its exp ids are relative to.
        sources: of its experiments.
        items: the experiments.
        log_level: for main.
        continue_drifted: whether what has progress goes on with another config, too.
        stop_after: after so many deaths by one error, and none done, no more is started; 0: never.
        notify: whether somebody is told of the first death and of the end.
    """

    launch: str
    since: str
    project_root: str
    results_root: str
    sources: tuple[Source, ...]
    items: tuple[Item, ...]
    log_level: str = "INFO"
    continue_drifted: bool = False
    stop_after: int = 0
    notify: bool = False

    def write(self, folder: Path) -> None:
        """Write it into the folder of its launch.

        Raises:
            ResultError: it can't be written.
        """
        values: dict[str, Any] = {**vars(self), "items": [[*item[:2], *item.needs] for item in self.items]}
        replace_file(folder / WORK_NAME, json.dumps(values) + "\n")

    @classmethod
    def read(cls, path: Path) -> WorkList:
        """Read it.

        Raises:
            ResultError: it is gone or damaged.
        """
        try:
            note = parse_json(read_bounded(path, _MOST_BYTES))
            if not isinstance(note, Mapping):
                raise TypeError("it is no JSON object")
            sources = tuple(Source(*map(str, source)) for source in note["sources"])
            items = tuple(Item(str(f), int(n), tuple(map(str, needs))) for f, n, *needs in note["items"])
            if any(not 0 <= item.source < len(sources) for item in items):
                raise ValueError("an experiment has no source")
            return cls(**{**note, "sources": sources, "items": items})
        except OSError as error:
            raise ResultError(f"{path}: can't be read: {error.strerror or error}; launch again") from None
        except (ValueError, TypeError, KeyError) as error:
            raise ResultError(f"{path}: is damaged: {error}; launch again") from None


def cancel_note(folder: Path, digest: str) -> Path:
    """Return the path that is there once an experiment's run is to be ended, or it isn't to be run any more.

    Args:
        folder: of the launch.
        digest: of the experiment's identity.
    """
    return folder / f"{CANCEL}{digest}"


def in_turn(items: Sequence[Item], place: int, count: int) -> list[Item]:
    """Return all items in the order in which one of several workers takes them: every N-th first, then the others'.

    Args:
        items: in the order of the sweep.
        place: number of the worker, from 0 on.
        count: how many workers there are.
    """
    share = range(place % max(1, count), len(items), max(1, count))
    return [*(items[n] for n in share), *(item for n, item in enumerate(items) if n not in share)]
