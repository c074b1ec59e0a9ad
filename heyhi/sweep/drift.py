"""Drift: whether an experiment would be composed to another config today than when it was last started.

It only compares and says so; what becomes of a drifted experiment is left to who asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heyhi.config.compose import Composer
from heyhi.config.difference import Change, Difference, flat_of
from heyhi.config.keys import Kind, find_key
from heyhi.config.prototxt import read_text, set_lines
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema
from heyhi.config.templates import best_of
from heyhi.config.translation import Translation
from heyhi.errors import HeyhiError, IdentityError, UnknownError, fact_of
from heyhi.experiment.folder import ExperimentDir, config_digest
from heyhi.experiment.winners import is_known, known_winners
from heyhi.files import parse_json, read_bounded
from heyhi.project import Project
from heyhi.sweep.target import target_of

if TYPE_CHECKING:
    from heyhi.config.identity import Identity
    from heyhi.experiment.records import Sources, Start
    from heyhi.sweep.manifest import Manifest

_UNREADABLE, _UNCOMPOSED = "can't be compared: ", "can't be composed today: "
NOT_COMPARED = "not compared"  # what is said of one of which that can't be found out
_OPEN_BEST = b"{{best "
_MAX_COMPARED = 60  # experiments that are looked at unasked: a quarter of a millisecond each


class DriftCheck:
    """A comparison of experiments of one project with what they would be composed to today.

    Args:
        project: where configs and results are today.
        schema: as it is today.
    """

    def __init__(self, project: Project, schema: Schema) -> None:
        self.project = project
        self.schema = schema

    @cached_property
    def _composer(self) -> Composer:
        return Composer(self.project, self.schema, winners=known_winners(self.project.results_root))

    @cached_property
    def _difference(self) -> Difference:
        return Difference(self.schema, Scheduling(self.project.settings.identity_ignore))

    def drift(self, exp_path: Path, config: bytes | None = None, *, then: str = "") -> list[str]:
        """Compare one experiment.

        What counts is what an identity counts: keys that only say how a run is scheduled don't, nor does a launcher
        that is chosen with its fields at their defaults, a new field at its default, a field that is gone and was never
        set, or where the project or its results lie.

        Args:
            exp_path: its folder.
            config: root message as it is composed today, serialised; default: composed from its identity.
            then: digest of the config of an attempt that it is compared with; default: that of the last one.

        Returns:
            `key: then -> now` for each key that differs; one line that says why where it can't be composed today, or
            where nobody can tell what it was composed to.
        """
        try:
            return [change.text for change in self.changes(exp_path, config, then)]
        except IdentityError as error:  # the others are to be compared still; how it is, its status says
            return [f"{_UNREADABLE}{fact_of(error)}"]
        except HeyhiError as error:
            return [f"{_UNCOMPOSED}{error}"]

    def changes(self, exp_path: Path, config: bytes | None = None, then: str = "") -> list[Change]:
        """Compare one experiment, as `drift` does.

        Raises:
            IdentityError: nobody can tell which experiment it is, or what it was composed to.
            HeyhiError: it can't be composed today.
        """
        folder = ExperimentDir(exp_path)
        start = folder.last_start()
        if not then and config is not None and self.is_as_started(start, config):
            return []
        identity = folder.read_identity()
        if identity is None:
            return []
        if config is None or self._is_open(identity, config):
            config = self._composed(identity)
            if not then and self.is_as_started(start, config):
                return []
        # What lies beside the result may be of a submission that hasn't started yet.
        digest = then or (start.config if start is not None else "")
        flat = _read_flat(folder.flat_config_path_of(digest))
        if flat is None:
            return []  # written when it is started; before that there is nothing to compare with
        changes = self.changes_since(flat, config, folder.read_roots(digest))
        if any(self._gone(change.key) for change in changes):
            changes = self._without_defaults_of_gone(changes, folder.config_path_of(digest))
        return changes

    def changes_since(self, then: Mapping[str, Any], config: bytes, roots: Mapping[str, str]) -> list[Change]:
        """Compare a config with one of today.

        Args:
            then: as an experiment's folder has it, as dotted keys with all defaults.
            config: root message as it is composed today, serialised.
            roots: where the project and its results were then: a moved project is no drift.
        """
        now = flat_of(self.schema.parse_root(config))
        found = self._difference.changes(then, now)
        today = {"project_root": str(self.project.root), "results_root": str(self.project.results_root)}
        return [c for c in found if _with_roots_named(c.then, roots) != _with_roots_named(c.now, today)]

    def _without_defaults_of_gone(self, changes: list[Change], path: Path) -> list[Change]:
        """Leave out fields that the schema has no more, and that nothing had set.

        Args:
            changes: as they were found.
            path: config of then, as text, in which stands what was set.
        """
        try:
            was_set = {names for names, _ in set_lines(read_text(path, path.name))}
        except HeyhiError:
            return changes
        return [one for one in changes if not (gone := self._gone(one.key)) or gone in was_set]

    def _gone(self, key: str) -> tuple[str, ...]:
        """Return the names that lead to the first field on a key's way which the schema has no more; else empty.

        Of what lies in a list or a map, a text doesn't say which element it is of.
        """
        parts = key.split(".")
        for count in range(1, len(parts) + 1):
            try:
                found = find_key(self.schema.root, ".".join(parts[:count]))
            except HeyhiError:
                return tuple(parts[:count])
            if found.kind in (Kind.LIST, Kind.MAP):
                break
        return ()

    def composed_today(self, exp_path: Path) -> bytes | None:
        """Return the root message that a started experiment is composed to today, serialised; None for no experiment.

        Raises:
            HeyhiError: nobody can tell which one it is, or it can't be composed.
        """
        identity = ExperimentDir(exp_path).read_identity()
        return self._composed(identity) if identity is not None else None

    def _composed(self, identity: Identity) -> bytes:
        try:
            composed = self._composer.compose(self.project.root / identity.cfg, identity.overrides)
        except IdentityError as error:  # it isn't the folder that is wrong
            raise HeyhiError(str(error)) from None
        return composed.message.SerializeToString(deterministic=True)

    def _is_open(self, identity: Identity, config: bytes) -> bool:
        """Return whether a config is the one before the best of a sweep was chosen: that is nothing to compare with."""
        if _OPEN_BEST in config:  # in a text value; an include leaves none
            return True
        root = self.project.results_root
        bests = (best_of(text.partition("=")[2]) for text in identity.overrides if _OPEN_BEST.decode() in text)
        return any(words is not None and not is_known(root, words) for words in bests)

    def is_as_started(self, start: Start | Sources | None, config: bytes) -> bool:
        """Return whether an attempt was started with a config, by the digests that it has on record.

        Most were, and then nothing else has to be read. Where the protos are others now, defaults may be, too.
        """
        return start is not None and start.config == config_digest(config, self.schema)


def why_not_compared(lines: Sequence[str]) -> str:
    """Say why an experiment could not be compared, given the lines that `DriftCheck.drift` returned; else empty."""
    first = lines[0] if lines else ""
    return first.removeprefix(_UNREADABLE) if first.startswith((_UNREADABLE, _UNCOMPOSED)) else ""


def drifted_only(drift: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the exp ids of those that have drifted, less those that could not be compared."""
    return [exp_id for exp_id, lines in drift.items() if lines and not why_not_compared(lines)]


def count_drifted(project: Project, manifest: Manifest, folders: Sequence[str]) -> tuple[int, bool]:
    """Count the experiments that were launched with another config than a manifest has; of very many look at some.

    Args:
        project: where they are.
        manifest: which has them.
        folders: exp path of each.

    Returns:
        how many; whether there may be more.
    """
    step = -(-len(folders) // _MAX_COMPARED) or 1
    today = Translation.of(project)
    check = DriftCheck(project, manifest.schema() if today is None else today.schema(manifest.schema()))
    count = 0
    for folder in folders[::step]:
        try:
            config = manifest.experiment(target_of(folder, project.root)).config
            count += bool(check.changes(Path(folder), config))
        except HeyhiError:  # of another sweep, or damaged: nobody asked for this, so that it stops nothing
            continue
    return count, step > 1


def _read_flat(path: Path) -> dict[str, Any] | None:
    """Read what an experiment was composed to, None where it never was started."""
    found: object = None
    try:
        found = _parsed(read_bounded(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnknownError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError:
        pass
    if not isinstance(found, dict):
        raise UnknownError(f"{path}: is damaged, so nobody knows what it was composed to")
    return found


def _parsed(data: bytes) -> object:
    import orjson

    try:
        return orjson.loads(data)
    except ValueError:  # it may have NaN and infinity in it, which Python's own reads
        return parse_json(data)


def _with_roots_named(value: object, roots: Mapping[str, str]) -> object:
    """Write the project's and the results' folders in a value as their names."""
    if isinstance(value, list):
        return [_with_roots_named(one, roots) for one in value]
    for name in ("results_root", "project_root"):  # the results may lie inside the project
        root = roots.get(name, "")
        if root and isinstance(value, str):
            value = value.replace(root, f"<{name}>")
    return value
