"""Whether an experiment would be composed otherwise today: what its folder says against what is composed now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heyhi.config.compose import Composed, Composer
from heyhi.config.leaves import default_of
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import Schema, children, copy_of, load_schema, oneof_of, set_fields
from heyhi.errors import HeyhiError, IdentityError
from heyhi.experiment.folder import Experiment, ExperimentDir, config_digest
from heyhi.experiment.records import Start
from heyhi.project import Project, Settings
from heyhi.sweep.drift import DriftCheck

CFG = "conf/cfg.prototxt"


def started(lab: Any, composed: Composed, place: str = "p/one", schema: Schema | None = None) -> Path:
    """Leave a folder as the start of an attempt does."""
    project, path = lab.project, lab.project.results_root / place
    config = composed.message.SerializeToString(deterministic=True)
    roots = {"project_root": str(project.root), "results_root": str(project.results_root)}
    folder = ExperimentDir(path)
    folder.prepare(Experiment(place, path, composed.identity, composed.task, config, roots=roots), schema or lab.schema)
    folder.append_attempt(Start(1, "first", config=config_digest(config, schema or lab.schema)))
    return path


def compose(lab: Any, *overrides: str, text: str = "train {}") -> Composed:
    lab.write("cfg.prototxt", text)
    return lab.composer().compose(CFG, overrides)  # type: ignore[no-any-return]


def data(composed: Composed) -> bytes:
    return composed.message.SerializeToString(deterministic=True)


def check(lab: Any) -> DriftCheck:
    return DriftCheck(lab.project, lab.schema)


def test_launched_on_slurm_and_planned_without_is_no_drift(lab: Any) -> None:
    lab.write("common/launcher/slurm.prototxt", "slurm { hours: 3 partition: 'x' }")
    path = started(lab, compose(lab, "I.launcher=slurm", "lr=0.3"))
    assert check(lab).drift(path, data(compose(lab, "lr=0.3"))) == []
    assert check(lab).drift(path) == []


def test_more_gpus_are_drift(lab: Any) -> None:
    path = started(lab, compose(lab, "launcher.slurm.num_gpus=8"))
    now = data(compose(lab, "launcher.slurm.num_gpus=1"))
    assert check(lab).drift(path, now) == ["train.launcher.slurm.num_gpus: 8 -> 1"]


def test_an_edited_file_is_drift_and_one_that_reads_the_same_is_none(lab: Any) -> None:
    path = started(lab, compose(lab, text="train { lr: 0.3 }"))
    lab.write("cfg.prototxt", "train { lr: 0.4 }")
    assert check(lab).drift(path) == ["train.lr: 0.3 -> 0.4"]
    lab.write("cfg.prototxt", "train {  # the same\n  lr: 0.30 }")
    assert check(lab).drift(path) == []


def _with_protos(lab: Any, old: str, new: str) -> DriftCheck:
    proto = lab.project.root / "conf/conf.proto"
    assert old in proto.read_text()
    proto.write_text(proto.read_text().replace(old, new))
    return DriftCheck(lab.project, load_schema(lab.project))


def test_a_changed_default_is_drift_although_the_config_has_the_same_bytes(lab: Any) -> None:
    composed = compose(lab, "i32=1")
    path = started(lab, composed)
    edited = _with_protos(lab, "lr = 2 [default = 0.1]", "lr = 2 [default = 0.2]")
    assert edited.drift(path, data(composed)) == ["train.lr: 0.1 -> 0.2"]


@pytest.mark.parametrize(
    "field",
    ["optional bytes b = 90 [default = 'x'];", "optional double d = 90 [default = nan];", "optional Sgd s = 90;"],
)
def test_a_new_field_at_its_default_is_no_drift(lab: Any, field: str) -> None:
    composed = compose(lab, "i32=1")
    path = started(lab, composed)
    assert _with_protos(lab, "optional float single = 3;", f"optional float single = 3; {field}").drift(path) == []


def test_a_field_that_is_gone_is_drift_only_where_it_was_set(lab: Any) -> None:
    lab.write("cfg.prototxt", "train {}")
    old, gone = "optional float single = 3;", "optional float single = 3; optional string out = 90 [default = 'runs'];"
    with_out = _with_protos(lab, old, gone)
    paths = {}
    for name, override in {"default": "i32=1", "set": "out=else", "set to its default": "out=runs"}.items():
        composed = Composer(with_out.project, with_out.schema).compose(CFG, [override])
        paths[name] = started(lab, composed, f"p/{name}", with_out.schema)
    now = data(compose(lab, "i32=1"))
    assert check(lab).drift(paths["default"]) == check(lab).drift(paths["default"], now) == []
    now = data(compose(lab))
    assert check(lab).drift(paths["set"], now) == ["train.out: else -> absent"]
    assert check(lab).drift(paths["set to its default"], now) == ["train.out: runs -> absent"]


def test_a_launcher_whose_default_counts_and_was_changed_is_drift(lab: Any) -> None:
    composed = compose(lab, "launcher.slurm=SELECT")
    path = started(lab, composed)
    edited = _with_protos(lab, "num_gpus = 1 [default = 0]", "num_gpus = 1 [default = 2]")
    assert edited.drift(path, data(composed)) == ["train.launcher.slurm.num_gpus: 0 -> 2"]


def test_a_member_that_is_chosen_now_is_drift_though_it_is_at_its_defaults(lab: Any) -> None:
    path = started(lab, compose(lab))
    assert check(lab).drift(path, data(compose(lab, text="train { sgd {} }"))) == ["train.sgd: absent -> SELECT"]


def test_a_text_that_happens_to_begin_as_the_old_root_does_is_no_drift(lab: Any, tmp_path: Path) -> None:
    near = f"{lab.project.root}er/data"
    composed = compose(lab, f"name={near}")
    path = started(lab, composed)
    moved = Project(tmp_path / "moved", Settings(), lab.project.results_root)
    assert DriftCheck(moved, lab.schema).drift(path, data(composed)) == []


def test_a_folder_of_the_project_is_no_drift_where_the_project_moved(lab: Any, tmp_path: Path) -> None:
    path = started(lab, compose(lab, "name={{ROOT_DIR}}/x", "i32=1"))
    message = copy_of(compose(lab, "name={{ROOT_DIR}}/x", "i32=2").message)
    moved = Project(tmp_path / "moved", Settings(), lab.project.results_root)
    message.train.name = f"{moved.root}/x"  # type: ignore[attr-defined]  # no stubs
    assert DriftCheck(moved, lab.schema).drift(path, message.SerializeToString()) == ["train.i32: 1 -> 2"]


def test_a_list_of_the_projects_folders_is_no_drift_where_it_moved(lab: Any, tmp_path: Path) -> None:
    path = started(lab, compose(lab, "strings=[{{ROOT_DIR}}/x, y]", "ints=[32]"))
    message = copy_of(compose(lab, "ints=[64,64]").message)
    moved = Project(tmp_path / "moved", Settings(), lab.project.results_root)
    message.train.strings.extend([f"{moved.root}/x", "y"])  # type: ignore[attr-defined]  # no stubs
    assert DriftCheck(moved, lab.schema).drift(path, message.SerializeToString()) == [
        "train.ints: [32] -> [64, 64]",
    ]


def test_drift_is_from_the_last_attempt(lab: Any) -> None:
    again = compose(lab, "lr=0.3")
    path = started(lab, compose(lab, "lr=0.2"))
    digest = config_digest(data(again), lab.schema)
    ExperimentDir(path).append_attempt(Start(2, "relaunch", config=digest))
    assert check(lab).drift(path, data(again)) == []


def test_what_was_never_started_has_not_drifted(lab: Any) -> None:
    assert check(lab).drift(lab.project.results_root / "p/none", data(compose(lab))) == []


@pytest.mark.parametrize("name", ["identity.json", "config_flat.json", "attempts.jsonl"])
def test_what_cannot_be_read_is_told_and_is_not_taken_for_alike(lab: Any, name: str) -> None:
    path = started(lab, compose(lab))
    (path / name).unlink()
    (path / name).mkdir()
    (line,) = check(lab).drift(path, data(compose(lab, "lr=0.4")))
    assert line.startswith("can't be compared: ") and name in line
    with pytest.raises(IdentityError):
        check(lab).changes(path, data(compose(lab, "lr=0.4")))


def test_a_record_that_was_cut_short_costs_only_time(lab: Any) -> None:
    composed = compose(lab)
    path = started(lab, composed)
    with (path / "attempts.jsonl").open("a") as file:
        file.write('{"event": "start", "attempt": 2, "conf')
    last = ExperimentDir(path).last_start()
    assert last is not None and last.attempt == 1
    assert check(lab).drift(path, data(composed)) == []
    assert check(lab).drift(path, data(compose(lab, "lr=0.4"))) == ["train.lr: 0.1 -> 0.4"]


def test_the_last_start_is_not_one_that_an_exception_quotes(lab: Any) -> None:
    path = started(lab, compose(lab))
    end = {"event": "end", "attempt": 1, "exception": '{"event": "start", "attempt": 7}'}
    with (path / "attempts.jsonl").open("a") as file:
        file.write(json.dumps(end) + "\n")
    last = ExperimentDir(path).last_start()
    assert last is not None and last.attempt == 1


# --- by random overrides ----------------------------------------------------------------------------------------------

OVERRIDES = st.lists(
    st.sampled_from(
        [
            "lr=0.1", "lr=0.2", "color=GREEN", "sgd=SELECT", "sgd.momentum=0.9", "sgd.momentum=0.5", "adam=SELECT",
            "plain=1", "layers.-1.width=8", "layers.-1.name=x", "named.x.width=8", "named.x=SELECT", "layer.width=8",
            "launcher.slurm=SELECT", "launcher.slurm.num_gpus=0", "launcher.slurm.num_gpus=8", "launcher=NULL",
            "launcher.slurm.hours=3", "launcher.local.cpus=2", "launcher.local=SELECT", "modern.blob=", "ints.-1=0",
            "name=SELECT", "modern.none=SELECT", "optimizer=NULL", "scale.x=0",
        ]
    ),
    max_size=5,
)  # fmt: skip
ONLY_SCHEDULE = st.lists(
    st.sampled_from(["launcher.slurm.hours=9", "launcher.slurm.partition=y", "launcher.slurm.hours=NULL"]), max_size=3
)


@pytest.fixture(scope="module")
def places() -> Callable[[], str]:
    """Names of folders, another one each time."""
    numbers = iter(range(10**9))
    return lambda: f"p/{next(numbers)}"


def lines(composed: Composed) -> list[str]:
    """List what an identity counts, less what is set to its default."""
    task = copy_of(composed.task_message)

    def clear(message: Any) -> None:
        for field, value in set_fields(message):
            is_plain = not field.is_repeated and field.message_type is None and oneof_of(field) is None
            if is_plain and value == default_of(field):
                message.ClearField(field.name)
        for _, child in children(message):
            clear(child)

    clear(task)
    return Scheduling(Settings().identity_ignore).counted(task)


def composable(lab: Any, overrides: list[str]) -> Composed | None:
    try:
        return compose(lab, *overrides)
    except HeyhiError:
        return None


@given(first=OVERRIDES, second=OVERRIDES)
def test_drift_is_exactly_in_the_lines_that_count(
    shared_lab: Any, places: Callable[[], str], first: list[str], second: list[str]
) -> None:
    then, now = composable(shared_lab, first), composable(shared_lab, second)
    assume(then is not None and now is not None)
    assert then is not None and now is not None
    path = started(shared_lab, then, places())
    assert (check(shared_lab).drift(path, data(now)) == []) == (lines(then) == lines(now))


@given(overrides=OVERRIDES, more=ONLY_SCHEDULE)
def test_whatever_only_schedules_is_no_drift(
    shared_lab: Any, places: Callable[[], str], overrides: list[str], more: list[str]
) -> None:
    then, now = composable(shared_lab, overrides), composable(shared_lab, [*overrides, *more])
    assume(then is not None and now is not None)
    assert then is not None and now is not None
    assume(then.identity == now.identity)  # else it took away what counts
    path = started(shared_lab, then, places())
    assert check(shared_lab).drift(path, data(now)) == []
    assert check(shared_lab).drift(path) == []
