"""Durable records of what was run or handed over, by whatever door: looking makes none.

They are small JSON files below the state root, written once and never changed:

    known/<16 hex of the content>.json      {"experiments": {exp id: [exp ids that it needs itself]}}
    launches/<UTC time>-<hex>.json          one launch, see `LaunchRecord`

A launch of a whole sweep names its manifest, whose experiments are all known by it; one of single experiments names a
file in `known`. `run.py` and `maybe_launch` write only such a file, of one experiment, whose name follows from that: to
run it again writes nothing. Exp ids are relative to the results root, so that it can be moved. `index` takes all of it
up; a manifest that a launch names is needed as long as the launch is on record.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from heyhi.errors import UnknownError
from heyhi.files import parse_json, read_bounded, replace_bytes, replace_file, writing
from heyhi.project import Project
from heyhi.quick_tuple import NamedTuple
from heyhi.sha import sha256

KNOWN_NAME = "known"  # folders in the state root
LAUNCHES_NAME = "launches"
SUFFIX = ".json"
_DIGITS = 16  # hex digits by which a file in `known` is named
# Exp id -> exp ids of what it needs itself.
Needs = Mapping[str, Sequence[str]]


class LaunchRecord(NamedTuple):
    """One launch.

    Attributes:
        time: ISO 8601, UTC.
        user: who launched.
        host: where.
        command: that was given: `heyhi launch`, `heyhi retry` or `snakemake`.
        words: its arguments.
        label: name of the sweep, or of what was named.
        manifest: name of the manifest that was run whole, in the folder of the manifests; empty for single experiments.
        known: name of the file in `known` that has these; empty for a whole sweep.
        expand: words by which `heyhi expand` writes the manifest anew; none for single experiments.
        profile: Snakemake's, by its name or folder; empty where it isn't on record.
    """

    time: str
    user: str
    host: str
    command: str
    words: tuple[str, ...]
    label: str
    manifest: str = ""
    known: str = ""
    expand: tuple[str, ...] = ()
    profile: str = ""

    @classmethod
    def now(
        cls,
        command: str,
        words: Sequence[str],
        label: str,
        *,
        manifest: str = "",
        known: str = "",
        expand: Sequence[str] = (),
        profile: str = "",
    ) -> LaunchRecord:
        """Return the record of a launch by this process."""
        import datetime  # `heyhi status`, which only reads, can do without all of these
        import socket

        from heyhi.job_env import user_name

        # Two in one second have an order, too.
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        who = (user_name(), socket.gethostname())
        return cls(time, *who, command, tuple(words), label, manifest, known, tuple(expand), profile)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**self._asdict(), "words": list(self.words), "expand": list(self.expand)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LaunchRecord:
        """Read what `to_dict` made.

        Raises:
            ValueError: it is none.
        """
        try:
            words, expand = data["words"], data.get("expand", [])
            texts = {name: data[name] for name in cls._fields if name not in ("words", "expand", "profile")}
            texts["profile"] = data.get("profile", "")  # which those of earlier versions lack
            are_lists = isinstance(words, list) and isinstance(expand, list)
            if not are_lists or not all(isinstance(text, str) for text in (*words, *expand, *texts.values())):
                raise TypeError("it has something else than text")
            if not all(map(_is_file_name, (texts["manifest"], texts["known"]))):
                raise TypeError("what it names is no file")
        except KeyError as error:
            raise ValueError(f"it has no {error}") from None
        except TypeError as error:
            raise ValueError(str(error)) from None
        return cls(**texts, words=tuple(words), expand=tuple(expand))


def _is_file_name(text: str) -> bool:
    """Return whether a text is empty, or the name of one of our files."""
    return text.isprintable() and "/" not in text  # no half of a surrogate is printable


def label_of(exp_ids: Sequence[str]) -> str:
    """Name experiments that were launched themselves."""
    return exp_ids[0] if len(exp_ids) == 1 else f"{exp_ids[0]} and {len(exp_ids) - 1} more"


class Noted(NamedTuple):
    """A file in `known`, and whether it was written just now."""

    path: Path
    is_new: bool


def note_known(project: Project, experiments: Needs) -> Noted:
    """Write down that some experiments are run or handed over, unless that is on record.

    Args:
        project: in whose results root they are.
        experiments: exp id -> exp ids of what it needs itself.

    Raises:
        ResultError: it can't be written.
    """
    plain = {exp_id: sorted(experiments[exp_id]) for exp_id in sorted(experiments)}
    data = (json.dumps({"experiments": plain}, separators=(",", ":")) + "\n").encode()
    path = project.state_root / KNOWN_NAME / f"{sha256(data).hexdigest()[:_DIGITS]}{SUFFIX}"
    with contextlib.suppress(OSError):
        if read_bounded(path) == data:  # else it is damaged
            return Noted(path, is_new=False)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_bytes(path, data)
    return Noted(path, is_new=True)


@contextlib.contextmanager
def noting(project: Project, experiments: Needs) -> Iterator[None]:
    """Write down that some experiments are handed over inside; where that raises, what was written is taken back.

    Before, not after: who is killed in between has handed them over.

    Raises:
        ResultError: it can't be written.
    """
    path, is_new = note_known(project, experiments)
    try:
        yield
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise


def read_known(path: Path) -> dict[str, list[str]]:
    """Return the experiments of a file in `known`, each with what it needs itself.

    Raises:
        OSError: it can't be read.
        ValueError: it is damaged.
    """
    data = read_bounded(path)
    if sha256(data).hexdigest()[:_DIGITS] != path.name.removesuffix(SUFFIX):
        raise ValueError("it was changed: it holds something else than when it got its name")
    try:
        found = parse_json(data)["experiments"]
        return {str(exp_id): list(map(str, needs)) for exp_id, needs in found.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no record of experiments: {error}") from None


def find_single(project: Project) -> dict[str, Path]:
    """Return the files in `known` that are of one experiment, by its exp id, and of no launch on record.

    Left out are those that can't be read, and those of experiments outside of the results root: only the file tells
    where their trash lies.
    """
    found: dict[str, Path] = {}
    folder = project.state_root / KNOWN_NAME
    try:
        names = names_in(folder)
    except UnknownError:
        return found
    for name in names - {record.known for record in read_launches(project)}:
        with contextlib.suppress(OSError, ValueError):
            experiments = read_known(folder / name)
            exp_id = next(iter(experiments), "/")
            if len(experiments) == 1 and not exp_id.startswith("/"):
                found[exp_id] = folder / name
    return found


def write_launch(project: Project, record: LaunchRecord) -> Path:
    """Write down a launch; who finds out that nothing was launched removes the file that is returned.

    Raises:
        ResultError: it can't be written.
    """
    moment = "".join(c for c in record.time if c.isalnum())[:21]  # 20260131T120000123456
    path = project.state_root / LAUNCHES_NAME / f"{moment}-{os.urandom(4).hex()}{SUFFIX}"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(record.to_dict(), indent=1) + "\n")
    return path


def read_launch(path: Path) -> LaunchRecord:
    """Read the record of one launch.

    Raises:
        OSError: it can't be read.
        ValueError: it is damaged.
    """
    found = parse_json(read_bounded(path))
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return LaunchRecord.from_dict(found)


def read_launches(project: Project, *, said: Container[str] = ()) -> list[LaunchRecord]:
    """Return the launches of a results root, the oldest first; one that can't be read is said and left out.

    Args:
        project: whose results root it is.
        said: names of records, as `launches/x.json`, of which it was said before.
    """
    folder = project.state_root / LAUNCHES_NAME
    found = []
    for name in sorted(names_in(folder)):
        try:
            found.append(read_launch(folder / name))
        except (OSError, ValueError) as error:
            if f"{LAUNCHES_NAME}/{name}" not in said:
                warn_unreadable(folder / name, error)
    return sorted(found, key=lambda record: record.time)


def warn_unreadable(path: Path, error: Exception) -> None:
    """Say that a record can't be read, what becomes of it, and what can be done."""
    import logging

    logging.getLogger(__name__).warning(
        "%s: can't be read, so what is on record there is left out: %s; remove it, and run or launch that again:"
        " what is done stays done",
        path,
        error.strerror or error if isinstance(error, OSError) else error,
    )


def names_in(folder: Path) -> set[str]:
    """Return the names of the records in a folder; none where it isn't there.

    Raises:
        UnknownError: it can't be listed.
    """
    try:
        return {n for n in os.listdir(folder) if n.endswith(SUFFIX) and n[0] != "."}  # noqa: PTH208 (names only)
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise UnknownError(f"{folder}: can't be read: {error.strerror}; nobody knows what was launched") from None
