"""Where a project is, and what its pyproject.toml says about it; protos and configs are read elsewhere."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from heyhi.errors import NoProjectError, NotifyError, ProjectError, suggest
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

RESULTS_VARIABLE = "HH_EXP_DIR"  # environment variable that names the results root
STATE_NAME = ".heyhi"  # of a results root: what HeyHi keeps for itself, copies of the code among it
# What a run tells its children, whatever their working directory: the project's root, and the experiment's folder.
ROOT_VARIABLE, FOLDER_VARIABLE = "HH_PROJ_ROOT", "HH_EXP_PATH"
PROJECT_KEY = "project"  # the project's name, in records of experiments
# Fields that say how a run is scheduled, never what it computes; see docs/configs.md.
SCHEDULING_KEYS: tuple[str, ...] = (
    "launcher.local",
    "launcher.local.*",
    "!launcher.local.tasks",  # like num_gpus, it changes what is computed
    "launcher.slurm",
    *(
        f"launcher.*.{name}"
        for name in (
            "hours",
            "partition",
            "account",
            "qos",
            "mem_per_gpu",
            "cpus_per_gpu",
            "mem",
            "constraint",
            "constraints",
            "volta",
            "volta32",
            "pascal",
            "exclude",
            "comment",
            "signal_seconds",
            "requeue",
            "max_attempts",
            "oom_mem_factor",
            "timeout_hours_factor",
            "pack",
            "extra",
            "time",
            "gpu_type",
            "no_mem",
            "max_requeues",
            "job_name",
            "setup",
            "setup.*",
            "python",
            "prefix",
            "srun_extra",
        )
    ),
)
# What a failed task has raised, or a killed one printed last, by which its node is known to be at fault. Not what may
# be the task's own doing: an illegal address, a failed NCCL call, a bus error (a full /dev/shm), a full results root.
NODE_FAULTS: tuple[str, ...] = (
    "uncorrectable ECC",
    "uncorrectable NVLink",
    "GPU is lost",
    "GPU has fallen off the bus",
    "no CUDA-capable device is detected",
    "CUDA-capable device(s) is/are busy or unavailable",
    "no ROCm-capable device is detected",
    "Input/output error",
    "Stale file handle",
    "Cannot send after transport endpoint shutdown",
    "No space left on device: '/tmp/",
)


# What metrics can go to beside their file: `[tool.heyhi] log_to`, `heyhi export`.
TRACKERS = ("tensorboard", "wandb", "mlflow")
# Who stays for a launch: a process of this machine, a job of Slurm's, or nobody.
CONTROLLERS = ("local", "slurm", "none")
_FUNCTION = regex(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


class Settings(NamedTuple):
    """What `[tool.heyhi]` in a project's pyproject.toml may set, with the defaults.

    Attributes:
        results: results root, relative to the project root or absolute; `HH_EXP_DIR` goes before it.
        entry: `module:function` of the task file, imported from the project root.
        sweep: sweep file that the bare profile runs, relative to the project root.
        conf: folder of protos and configs, relative to the project root.
        include_dirs: further folders in which includes are looked up, relative to the project root.
        replicate: fields of which several values are one experiment repeated.
        minimize: patterns (`*` for any part) of metrics that are better when smaller.
        maximize: likewise of those that are better when larger.
        reports: formats that `heyhi report` and the aggregate rule write: csv, html, xlsx, parquet.
        folder_link: address of an experiment's folder, for sheets: `http://host/tree{exp_path}`.
        log_link: likewise of its log.
        sheets_credentials: file of a service account or an OAuth client, relative to the project root.
        identity_ignore: key patterns (`*` for any part) that are in no identity: how a run is scheduled. One with `!`
            takes keys out of what those before it name. pyproject.toml adds to the default ones.
        snapshot_exclude: patterns (as in .gitignore) of what a copy of the code for queued jobs leaves out; with a `!`
            before it, one of what it takes in all the same.
        snapshot_link: files and folders that such a copy links to instead.
        link: files and folders in the project root that each experiment's folder gets a link to.
        checkpoints: patterns of the files in an experiment's folder that `heyhi clean` may remove: `*` within a name,
            `**` across folders.
        stop_after_same_error: a launch submits no more after so many experiments of it have ended with the same
            exception and none is done; 0: it goes on.
        node_faults: texts, in whatever case, of what a task raised, or printed last before it was killed: such a
            failure is the node's. It is no attempt, and the launch leaves the node out.
        end_grace: seconds that a process has to end once its run is over, before it is ended; 0: any number.
        log_to: what metrics go to beside their file: tensorboard, wandb, mlflow, or a `module:function`, imported from
            the project root, that is called with each line.
        controller: who stays for a launch on Slurm: local, slurm or none.
        controller_hours: time limit of a controller that is a job: the next one takes over before.
        controller_options: more options for sbatch of such a job: `--partition=long --mem=2G`.
        notify: whom a launch tells of its first death and of its end: addresses, `mail:ADDRESS`, `command:COMMAND`.
        max_points: how many points a sweep may have; 0: any number.
        validate: `module:function`, imported from the project root, that is called with each config before a launch.
        renamed: earlier paths of configs and chunks, each with the next one, relative to the project root.
        name: of the project, by which its results are told from another one's; default: the name in `[project]`.
        was: names that it had before: what is left of those is its own.
    """

    results: str = "results"
    entry: str = "run:main"
    sweep: str | None = None
    conf: str = "conf"
    include_dirs: tuple[str, ...] = ()
    identity_ignore: tuple[str, ...] = SCHEDULING_KEYS
    replicate: tuple[str, ...] = ("seed",)
    minimize: tuple[str, ...] = ()
    maximize: tuple[str, ...] = ()
    reports: tuple[str, ...] = ("csv", "html")
    folder_link: str = ""
    log_link: str = ""
    sheets_credentials: str = ""
    snapshot_exclude: tuple[str, ...] = ()
    snapshot_link: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    stop_after_same_error: int = 0
    node_faults: tuple[str, ...] = NODE_FAULTS
    end_grace: int = 30
    log_to: tuple[str, ...] = ()
    controller: str = "local"
    controller_hours: float = 24.0
    controller_options: str = ""
    notify: tuple[str, ...] = ()
    max_points: int = 1_000_000
    validate: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    name: str | None = None
    was: tuple[str, ...] = ()

    @property
    def own_identity_ignore(self) -> tuple[str, ...]:
        """Those patterns of `identity_ignore` that aren't the default's."""
        return tuple(pattern for pattern in self.identity_ignore if pattern not in SCHEDULING_KEYS)


class Project(NamedTuple):
    """A project's root folder and settings; every other folder hangs off it."""

    root: Path
    settings: Settings = Settings()
    results_override: Path | None = None  # an old script names its own results root

    @property
    def name(self) -> str:
        """Its declared name; empty where it has none."""
        return self.settings.name or ""

    @property
    def roots(self) -> dict[str, str]:
        """Where it and its results are, and what it is called if anything: this goes with each experiment."""
        roots = {"project_root": str(self.root), "results_root": str(self.results_root)}
        return roots | {PROJECT_KEY: self.name} if self.name else roots

    @property
    def conf_root(self) -> Path:
        """Folder of protos and configs."""
        return Path(os.path.normpath(self.root / self.settings.conf))

    @property
    def results_root(self) -> Path:
        """Absolute folder below which experiments live: `HH_EXP_DIR`, else the setting."""
        if self.results_override is not None:
            return self.results_override
        chosen = os.environ.get(RESULTS_VARIABLE) or self.settings.results
        # As strings: pathlib raises where a `~name` is unknown, and that is a name like any other.
        return _path_of(os.path.abspath(os.path.join(self.root, os.path.expanduser(chosen))))  # noqa: PTH100, PTH111, PTH118

    @property
    def reports_root(self) -> Path:
        """Folder of the tables that the aggregate rule writes."""
        return self.results_root / "reports"

    @property
    def state_root(self) -> Path:
        """Folder of what HeyHi keeps for itself (manifests and their index)."""
        return _below(self.results_root, STATE_NAME)

    @property
    def sheets_credentials(self) -> Path | None:
        """File of the credentials for Google that the settings name, whether it is there or not."""
        named = self.settings.sheets_credentials
        return Path(os.path.abspath(self.root / os.path.expanduser(named))) if named else None  # noqa: PTH100, PTH111

    def relative(self, path: Path) -> str:
        """Write a path relative to the project root (POSIX) where it lies inside, else absolute."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()


@lru_cache(maxsize=64)  # of a few projects, asked for dozens of times
def _path_of(text: str) -> Path:
    return Path(text)


@lru_cache(maxsize=64)
def _below(folder: Path, name: str) -> Path:
    return folder / name


def name_line(root: Path) -> str:
    """Write the line of pyproject.toml that calls a project as its folder is called."""
    name = "".join(c for c in root.name if c.isprintable()).strip() or "project"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'name = "{quoted}"'


def find_project(start: Path | None = None) -> Project:
    """Find the project around a folder.

    Args:
        start: folder to look from, upward; default: the working directory, then the main script's folder, then the
            project of the run that this process is part of. That one goes before what lies in the run's own folder,
            or in a copy of its code: results may be in another project, or in none.

    Raises:
        NoProjectError: no folder on the way up has `conf/*.proto` (or what `[tool.heyhi] conf` names).
    """
    starts = [start] if start is not None else _starts()
    closed = ""
    for first in starts:
        # abspath, not resolve: a project reached through a link keeps the name its user gave it.
        folder = Path(os.path.abspath(first))  # noqa: PTH100
        for candidate in (folder, *folder.parents):
            try:
                project = _project_at(candidate)
            except _ClosedError as error:  # one further up may be meant
                closed = closed or str(error)
                continue
            if project is not None:
                return project
    if closed:
        raise ProjectError(f"{closed}, so nobody knows whether a project is there")
    raise NoProjectError(
        f"{starts[0] if starts else 'no working directory'}: no HeyHi project here or above (no conf/*.proto)"
        " (`heyhi init .` makes this folder one, `heyhi init DIR` a new one)"
    )


def project_of(path: Path) -> Project:
    """Find the project of a file given by an absolute path, which may be another one than around the working directory.

    That is the one around the working directory where the file lies in it or in none, and where it lies in a copy of
    the code, which is no project of its own.

    Raises:
        NoProjectError: there is neither.
    """
    here: Project | None = None
    with contextlib.suppress(NoProjectError):
        here = find_project()
    if here is not None and (path.is_relative_to(here.root) or STATE_NAME in path.parts):
        return here
    try:
        return find_project(path.parent)
    except NoProjectError:
        if here is None:
            raise
        return here


def _starts() -> list[Path]:
    """Return from where to look for the project of this process."""
    starts = _working_directory()
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script and not _is_installed(Path(script)):
        starts.append(Path(script).parent)
    root, folder = os.environ.get(ROOT_VARIABLE), os.environ.get(FOLDER_VARIABLE)
    if not root:
        return starts
    real = f"{os.path.realpath(folder)}/" if folder else ""
    own = [(real and f"{os.path.realpath(start)}/".startswith(real)) or STATE_NAME in start.parts for start in starts]
    return [*(Path(root) if is_own else start for is_own, start in zip(own, starts, strict=True)), Path(root)]


def _is_installed(script: Path) -> bool:
    """Return whether a script is a command (`heyhi` itself) and no task: it may lie in some project's environment."""
    folder = os.path.abspath(script.parent)  # noqa: PTH100 (links keep their names, as in sys.prefix)
    return any(f"{folder}/".startswith(f"{home}/") for home in (sys.prefix, os.path.dirname(__file__)))  # noqa: PTH120


def _working_directory() -> list[Path]:
    try:
        return [Path.cwd()]
    except OSError:  # it was removed
        return []


class _ClosedError(Exception):
    """A folder that can't be looked into."""


def _project_at(folder: Path) -> Project | None:
    pyproject = folder / "pyproject.toml"
    try:
        has_settings = stat.S_ISREG(os.stat(pyproject).st_mode)  # noqa: PTH116 (is_file takes closed ones for absent)
    except (FileNotFoundError, NotADirectoryError):
        has_settings = False
    except OSError as error:
        raise _ClosedError(f"{pyproject}: can't be read: {error.strerror}") from None
    settings, is_declared = _read_settings(pyproject) if has_settings else (Settings(), False)
    conf = folder / settings.conf
    try:
        has_protos = any(name.endswith(".proto") for name in os.listdir(conf))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        has_protos = False
    except OSError as error:
        raise ProjectError(f"{conf}: can't be read: {error.strerror}") from None
    if has_protos:
        return Project(folder, settings)
    if is_declared:
        raise ProjectError(f"{pyproject}: has [tool.heyhi], but there is no .proto file in {conf}")
    return None


def _read_settings(pyproject: Path) -> tuple[Settings, bool]:
    """Read `[tool.heyhi]`, and the project's name; return also whether there is such a table at all."""
    content = _toml(pyproject)
    tool = content.get("tool")
    table = tool.get("heyhi") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ProjectError(f"{pyproject}: tool.heyhi must be a table, not {table!r}")
    values = _checked(pyproject, table or {})
    about = content.get("project")
    if "name" not in values and isinstance(about, dict) and "name" in about:
        values["name"] = _checked_name(pyproject, "[project] name", about["name"])
    return Settings(**values), table is not None


def declared_settings(pyproject: Path) -> dict[str, str]:
    """Name the settings that a file sets itself, each with where in it.

    Raises:
        ProjectError: it can't be read.
    """
    if not pyproject.is_file():
        return {}
    content = _toml(pyproject)
    about, table = content.get("project") or {}, (content.get("tool") or {}).get("heyhi") or {}
    from_project = {"name": "pyproject.toml, [project]"} if "name" in about else {}
    return from_project | dict.fromkeys(table, "pyproject.toml")


def _toml(pyproject: Path) -> dict[str, Any]:
    from heyhi.kept_toml import read_toml  # a job needs no settings

    try:
        return read_toml(pyproject.read_bytes())
    except OSError as error:
        raise ProjectError(f"{pyproject}: can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of tomllib
        raise ProjectError(f"{pyproject}: is no valid TOML: {error}") from None


def _checked(pyproject: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of `[tool.heyhi]` as `Settings` has them; a ProjectError where one is wrong."""
    known = Settings._fields
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ProjectError(f"{pyproject}: [tool.heyhi] has no setting '{key}'{suggest(key, known)}")
        if key == "renamed":
            values[key] = _checked_pairs(pyproject, value)
            continue
        if isinstance(Settings._field_defaults[key], int):
            if type(value) is not int or value < 0:
                raise ProjectError(f"{pyproject}: [tool.heyhi] {key} must be a whole number from 0 on, not {value!r}")
            values[key] = value
            continue
        if isinstance(Settings._field_defaults[key], float):
            if type(value) not in (int, float) or not 0 < value < math.inf:
                raise ProjectError(f"{pyproject}: [tool.heyhi] {key} must be a number above 0, not {value!r}")
            values[key] = float(value)
            continue
        wants_list = isinstance(Settings._field_defaults[key], tuple)
        fits = isinstance(value, list) if wants_list else isinstance(value, str)
        texts = value if wants_list and fits else [value]
        if not fits or not all(isinstance(text, str) and "\0" not in text for text in texts):
            kind = "a list of strings" if wants_list else "a string"
            # Somebody may have put the key itself where its file's name belongs; whom a launch tells is a secret.
            given = "" if key in ("sheets_credentials", "notify") else f", not {value!r}"
            raise ProjectError(f"{pyproject}: [tool.heyhi] {key} must be {kind}{given}")
        if key in ("name", "was"):
            texts = [_checked_name(pyproject, f"[tool.heyhi] {key}", text) for text in texts]
        values[key] = tuple(texts) if wants_list else value
    if "link" in values:
        values["link"] = tuple(_checked_link(pyproject, path) for path in values["link"])
    if "log_to" in values:
        values["log_to"] = tuple(dict.fromkeys(_checked_tracker(pyproject, name) for name in values["log_to"]))
    if values.get("controller", "local") not in CONTROLLERS:
        name = values["controller"]
        raise ProjectError(
            f"{pyproject}: [tool.heyhi] controller is {name!r}{suggest(name, CONTROLLERS)}; expected"
            f" {', '.join(CONTROLLERS)}"
        )
    for text in values.get("notify", ()):
        from heyhi.notify.whom import check  # who sets nobody needn't know how

        try:
            check(text)
        except NotifyError as error:
            raise ProjectError(f"{pyproject}: [tool.heyhi] notify: {error}") from None
    if "identity_ignore" in values:  # in addition to the default: its last pattern decides
        values["identity_ignore"] = (*SCHEDULING_KEYS, *values["identity_ignore"])
    if any(not text.strip() for text in values.get("node_faults", ())):
        raise ProjectError(f"{pyproject}: [tool.heyhi] node_faults has an empty text, which every error holds")
    for pattern in values.get("minimize", ()):
        if pattern in values.get("maximize", ()):
            raise ProjectError(f"{pyproject}: [tool.heyhi] minimize and maximize both name '{pattern}'")
    return values


def _checked_link(pyproject: Path, text: str) -> str:
    """Return a path inside the project root; a ProjectError where it is none."""
    path = text.rstrip("/")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ProjectError(
            f"{pyproject}: [tool.heyhi] link has {text!r}; expected a path inside the project root, like 'data/images'"
        )
    return path


def _checked_tracker(pyproject: Path, name: str) -> str:
    """Return what metrics go to; a ProjectError where it is neither a tracker nor the name of a function."""
    if name in TRACKERS or _FUNCTION.fullmatch(name):
        return name
    raise ProjectError(
        f"{pyproject}: [tool.heyhi] log_to has {name!r}{suggest(name, TRACKERS)}; expected {', '.join(TRACKERS)}, or a"
        " function of the project's, such as 'my_tracker:log'"
    )


def _checked_pairs(pyproject: Path, value: object) -> tuple[tuple[str, str], ...]:
    """Return a table of paths; a ProjectError where it is none."""
    pairs = tuple(value.items()) if isinstance(value, dict) else None
    if pairs is None or not all(isinstance(new, str) and new.strip() and "\0" not in old + new for old, new in pairs):
        raise ProjectError(
            f"{pyproject}: [tool.heyhi] renamed must be a table of earlier paths with those of today, such as"
            f' {{"conf/old.prototxt" = "conf/new.prototxt"}}, not {value!r:.100}'
        )
    return pairs


def _checked_name(pyproject: Path, key: str, value: object) -> str:
    """Return the name of a project; a ProjectError where it is none that can be said in a line."""
    if isinstance(value, str) and value.strip() == value != "" and value.isprintable():
        return value
    raise ProjectError(f"{pyproject}: {key} must be a name: printable text in one line, not {value!r:.100}")
