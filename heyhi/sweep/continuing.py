"""Whether an experiment that was started may go on with the config that it has today: one rule, whoever starts it.

What attempts had and did is on record; where it would be started, and what is said of it, is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError
from heyhi.experiment.folder import Experiment, ExperimentDir, config_digest
from heyhi.experiment.records import History
from heyhi.files import parse_json, read_bounded
from heyhi.project import SCHEDULING_KEYS, Project, Settings
from heyhi.quick_tuple import NamedTuple

if TYPE_CHECKING:
    from heyhi.config.schema import Schema
    from heyhi.sweep.drift import DriftCheck

CONTINUE_OPTION = "--continue-drifted"
CONTINUE_SETTING = "continue_drifted"  # of Snakemake's --config, and of maybe_launch
_MAX_KEYS = 6  # that a message names


class Going(NamedTuple):
    """How it would be to go on with an experiment.

    Attributes:
        changed: `key: then -> now` for what counts and differs from what it would go on from.
        attempt: number of the attempt that had the other config.
        is_mixed: that attempt has logged metrics, so that what came out would be of two configs.
    """

    changed: tuple[str, ...] = ()
    attempt: int = 0
    is_mixed: bool = False

    def is_refused(self, *, is_allowed: bool) -> bool:
        """Return whether it is not gone on with.

        Args:
            is_allowed: the user has said that it may go on with another config.
        """
        return self.is_mixed and not is_allowed

    @property
    def keys(self) -> str:
        """What differs, as a part of a sentence."""
        more = len(self.changed) - _MAX_KEYS
        return "; ".join([*self.changed[:_MAX_KEYS], *([f"and {more} more"] if more > 0 else [])])

    @property
    def refusal(self) -> str:
        """Why it is not gone on with, and what does so all the same."""
        return (
            f"not gone on with: attempt {self.attempt} has logged metrics with another config: {self.keys}."
            f" {CONTINUE_OPTION} (snakemake: --config {CONTINUE_SETTING}=1; Python: {CONTINUE_SETTING}=True)"
            " goes on all the same, --mode restart begins anew"
        )

    @property
    def note(self) -> str:
        """What is said where it goes on with another config; empty where it has the same."""
        kind = "mixed: it goes" if self.is_mixed else "it goes"
        return f"{kind} on with another config than attempt {self.attempt}: {self.keys}" if self.changed else ""


class Continuing:
    """The rule, for the experiments of one project.

    Args:
        project: whose they are.
        schema: of their configs.
    """

    def __init__(self, project: Project, schema: Schema) -> None:
        self._project = project
        self._schema = schema
        self._check: DriftCheck | None = None

    @classmethod
    def of(cls, experiment: Experiment, schema: Schema, identity_ignore: Sequence[str] = SCHEDULING_KEYS) -> Continuing:
        """Make the rule for one experiment where there is no project: in a job."""

        def root(name: str) -> Path:
            return Path(experiment.roots.get(name, experiment.exp_path))

        settings = Settings(identity_ignore=tuple(identity_ignore))
        return cls(Project(root("project_root"), settings, root("results_root")), schema)

    def going_on(self, exp_path: Path, config: bytes) -> Going:
        """Say how it would be to go on with what is there; where nothing was ever started, nothing differs.

        It costs a comparison of two digests where the config is that of the last attempt that has logged a metric.

        Args:
            exp_path: folder of the experiment.
            config: root message that it would be started with, serialised.

        Raises:
            UnknownError: a record of it can't be read.
        """
        folder = ExperimentDir(exp_path)
        history = History(folder.attempts())
        starts = history.starts
        if not starts:
            return Going()
        logged = history.logged(folder.metrics_now())
        base = (logged or starts)[-1]
        if base.config in ("", config_digest(config, self._schema)):
            return Going()
        lines = self._drift(folder, config, base.config)
        return Going(tuple(lines), base.attempt or starts.index(base) + 1, bool(lines and logged))

    def going_on_with(self, exp_path: str, config: bytes) -> Going:
        """Say the same for one of many, of which each is asked again when it is started: what can't be read is left."""
        try:
            return self.going_on(Path(exp_path), config)
        except HeyhiError:  # its status says so
            return Going()

    def _drift(self, folder: ExperimentDir, config: bytes, then: str) -> list[str]:
        if problem := _unreadable(folder.flat_config_path_of(then)):
            return [f"can't be compared: {problem}"]
        if self._check is None:
            from heyhi.sweep.drift import DriftCheck

            self._check = DriftCheck(self._project, self._schema)
        return self._check.drift(folder.path, config, then=then)


def _unreadable(path: Path) -> str:
    """Say why the config of an attempt can't be read: what nobody can compare is never taken for the same."""
    try:
        is_config = isinstance(parse_json(read_bounded(path)), dict)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    except ValueError:
        is_config = False
    return "" if is_config else f"{path} is damaged"


def was_done(exp_path: str) -> bool:
    """Return whether an experiment without a result had one: mostly that was moved away so that it goes on."""
    try:
        return ExperimentDir(Path(exp_path)).history().was_done
    except HeyhiError:  # its status says so
        return False


def continues_drifted(config: Mapping[str, object]) -> bool:
    """Return whether Snakemake's --config says that experiments go on with another config, too.

    Raises:
        HeyhiError: it says neither yes nor no.
    """
    value = config.get(CONTINUE_SETTING, False)
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if str(value).lower() not in known:
        raise HeyhiError(f"--config {CONTINUE_SETTING}={value}: expected 1 or 0")
    return known[str(value).lower()]
