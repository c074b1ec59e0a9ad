"""The forms of what commands print with `--json`, field by field, as `heyhi docs scripting` lists them.

Every document begins with `heyhi`, the number of the form, and has either `command` with the fields below, or `error`;
a command that starts or ends something may have both.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Failure(TypedDict):
    """What went wrong: `error` of any document."""

    code: str
    message: str
    key: str | None
    nearest: list[str]
    fix: str | None


class Experiment(TypedDict):
    """How an experiment is: what the rows of several commands begin with."""

    exp_id: str
    exp_path: str
    status: str
    reason: str
    job_id: str
    trial: int | None


class Marks(TypedDict):
    """What is to be said of an experiment beside how it is."""

    stale: list[str]
    mixed: str
    note: str
    excluded: bool


class Otherwise(TypedDict):
    """How an experiment was made otherwise than it would be today."""

    drifted: list[str]
    other_code: str


class ExpandRow(TypedDict):
    """An experiment of `expand`."""

    target: str
    exp_id: str
    cfg: str
    overrides: list[str]
    task: str
    needs: list[str]
    own: bool


class Expand(TypedDict):
    """`heyhi expand --json`."""

    manifests: list[str]
    experiments: list[ExpandRow]


class LaunchRow(Experiment, Marks, Otherwise):
    """An experiment of `plan`, `launch`, `retry` and `search`."""

    action: str
    wipe: bool
    left: list[str]


class ControllerForm(TypedDict):
    """Who starts what was launched, and waits for it: a process; with `kind` none nobody, and its jobs go on."""

    name: str
    kind: str
    is_new: bool
    pid: int | None
    host: str | None
    jobs: list[str]
    log: str


class Launch(TypedDict):
    """`heyhi plan`, `launch`, `retry` and `search --json`."""

    dry_run: bool
    mode: str
    profile: str | None
    counts: dict[str, int]
    searches: list[str]
    manifests: list[str]
    controller: ControllerForm | None
    experiments: list[LaunchRow]
    error: NotRequired[Failure]


class StatusRow(Experiment, Marks):
    """An experiment of `status`; `drifted` and `other_code` only with `--drift`."""

    since: str | None
    progress: str
    drifted: NotRequired[list[str]]
    other_code: NotRequired[str]


class Status(TypedDict):
    """`heyhi status --json`."""

    counts: dict[str, int]
    is_over: bool
    lacks: bool
    silence: str
    experiments: list[StatusRow]


class JobRow(Experiment):
    """An experiment of `status --job`."""

    log: str


class JobStatus(TypedDict):
    """`heyhi status --job ID --json`."""

    experiments: list[JobRow]


class LaunchedRow(TypedDict):
    """One of `status --sweeps`: what was launched, once or several times."""

    label: str
    first: str | None
    last: str | None
    launches: int
    user: str
    host: str
    command: list[str]
    words: list[str]
    manifest: str
    experiments: int
    statuses: dict[str, int]
    report: str
    problem: str


class Launches(TypedDict):
    """`heyhi status --sweeps --json`."""

    lacks: bool
    launches: list[LaunchedRow]


class ColumnForm(TypedDict):
    """A column of a table."""

    name: str
    kind: str


class ReportRow(TypedDict):
    """A row of a table: an experiment, or several that are put together."""

    exp_ids: list[str]
    statuses: dict[str, int]
    status: str | None
    reason: str | None
    cfg: str | None
    overrides: dict[str, Any]
    metrics: dict[str, Any]
    other: dict[str, Any]


class Report(TypedDict):
    """`heyhi report --json`."""

    columns: list[ColumnForm]
    spread: str | None
    counts: dict[str, int]
    notes: list[str]
    warnings: list[str]
    written: list[str]
    sheets: list[str]
    rows: list[ReportRow]
    error: NotRequired[Failure]


class EnumValue(TypedDict):
    """A value of an enum."""

    name: str
    number: int
    comment: str


class KeyForm(TypedDict):
    """A key that an override may set, and what it may be set to."""

    key: str
    type: str
    kind: str
    element: str | None
    map_key: str | None
    default: Any
    value: Any
    is_set: bool
    source: str | None
    required: bool
    repeated: bool
    schedules_only: bool
    values: list[EnumValue]
    minimum: int | float | None
    maximum: int | float | None
    members: list[str]
    oneof: str | None
    chunks: list[str]
    comment: str
    was: list[str]
    unfolded: bool


class Describe(TypedDict):
    """`heyhi describe CFG [KEY] --json`."""

    cfg: str | None
    task: str
    message: str
    comment: str
    remarks: list[str]
    keys: list[KeyForm]


class TaskForm(TypedDict):
    """A task of the schema."""

    task: str
    message: str
    comment: str


class Tasks(TypedDict):
    """`heyhi describe --json`."""

    root: str
    tasks: list[TaskForm]


class SettingForm(TypedDict):
    """A setting of `[tool.heyhi]`."""

    name: str
    source: str
    value: Any


class SettingsForm(TypedDict):
    """`heyhi describe --settings --json`."""

    settings: list[SettingForm]


class DiffedExperiment(TypedDict):
    """One of two that are compared."""

    exp_id: str
    exp_path: str
    words: list[str] | None
    status: str
    reason: str
    note: str


class Difference(TypedDict):
    """A key of which two experiments have different values; `a` or `b` is absent where one has none."""

    key: str
    a: NotRequired[Any]
    b: NotRequired[Any]


class DiffSection(TypedDict):
    """What differs of one kind of things."""

    title: str
    unread: list[str]
    missing: list[str]
    differences: list[Difference]


class Diff(TypedDict):
    """`heyhi diff --json`."""

    a: DiffedExperiment
    b: DiffedExperiment
    sections: list[DiffSection]
    error: NotRequired[Failure]


class CancelledRow(TypedDict):
    """One thing that is ended, or of which there is nothing to end."""

    what: str
    name: str
    exp_id: str | None
    job_id: str | None
    pid: int | None
    host: str | None
    ended: bool
    why: str


class Cancel(TypedDict):
    """`heyhi cancel --json`."""

    dry_run: bool
    found: list[CancelledRow]
    error: NotRequired[Failure]


class CleanRow(TypedDict):
    """What goes, or went, or stays and why."""

    kind: str
    name: str
    path: str | None
    bytes: int | None
    files: int | None
    time: float | None
    goes: bool
    gone: bool
    why: str


class Clean(TypedDict):
    """`heyhi clean --json`."""

    dry_run: bool
    problems: list[str]
    found: list[CleanRow]


class NoteRow(TypedDict):
    """A note on an experiment."""

    exp_id: str
    exp_path: str
    note: str
    excluded: bool
    is_of_earlier_run: bool
    user: str
    time: str


class Notes(TypedDict):
    """`heyhi note --json`."""

    notes: list[NoteRow]
