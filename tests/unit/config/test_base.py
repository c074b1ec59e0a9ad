"""What a job composes of a base: what the files would have given."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.base import Base
from heyhi.config.compose import Composed, Composer
from heyhi.config.identity import ExpPattern
from heyhi.config.overrides import override_lines
from heyhi.config.schema import Schema, load_schema
from heyhi.config.values import Drawn
from heyhi.errors import ConfigError, HeyhiError, ManifestError, NeedsError, OverrideError
from heyhi.project import Project, Settings, find_project
from heyhi.sweep.manifest import JOB_SETTINGS

if TYPE_CHECKING:
    from tests.unit.conftest import Lab

CFG = "conf/cfg.prototxt"
CONFIG = """
includes { path: 'wide' mount: 'layer' }
includes { path: 'text' }
train {
  lr: 1 ints: [1, 2] name: '{{exp conf/need i32=3}}' strings: '{{ROOT_DIR}}/a' strings: 'x{{"{{"}}'
  layers { width: 3 } layers { name: 'b' } scale { key: 'a' value: 1 } named { key: 'n' value { width: 1 } }
  sgd { momentum: 0.5 } launcher { slurm { hours: 2 num_gpus: 1 } }
}
"""
FIXED: list[tuple[str, object]] = [
    *[("lr", 0.5), ("lr", "1e-2"), ("i32", Drawn(3.7)), ("flag", True), ("single", "0.1"), ("color", "DEEP_BLUE")],
    *[("name", "{{exp conf/need i32=4}}/x"), ("name", "NULL"), ("name", '{{"{{"}}a'), ("name", "{{ROOT_DIR}}")],
    *[("ints", "[4,5]"), ("ints", [7]), ("ints+", "[6]"), ("ints.0", 9), ("ints.-1", 8), ("ints", None)],
    *[("layers.0.width", 4), ("layers.0", "NULL"), ("layers+", "[{name: 'c'}]"), ("layers", "NULL")],
    *[("strings", ["{{exp conf/need}}", "b"]), ("layer", "{width: 2}"), ("layer", "NULL"), ("layer", "SELECT")],
    *[("scale.a", 2), ("scale.b", 3.5), ("scale", "NULL"), ("scale", "{key: 'z' value: 1}"), ("named.n", "NULL")],
    *[("sgd", "SELECT"), ("adam", "SELECT"), ("adam.beta1", 0.9), ("sgd.momentum", 0.1), ("sgd", "NULL")],
    *[("optimizer", "adam"), ("optimizer", "sgd"), ("optimizer", "NULL"), ("plain", 3), ("by_name", "{{ROOT_DIR}}x")],
    *[("launcher.slurm.hours", 7), ("launcher.slurm.num_gpus", 2), ("launcher.local", "SELECT"), ("launcher", None)],
    *[("modern.count", 0), ("modern.maybe", 0), ("modern.choice", "whole"), ("modern.parts", "[{x: 1}]")],
    *[("I.layer", "wide"), ("I.layer", "conf/thin"), ("I", "text"), ("I.launcher", "far"), ("I.optimizer", "fast")],
    *[("I.sgd", "fast"), ("I.foo", "wide"), ("I.layers.0", "thin"), ("I.modern", "empty")],
]  # fmt: skip


def write(lab: Lab) -> None:
    lab.write("cfg.prototxt", CONFIG)
    lab.write("need.prototxt", "train { lr: 7 name: '{{exp conf/deep}}' }")
    lab.write("deep.prototxt", "train { lr: 8 }")
    lab.write("wide.prototxt", "width: 100 sizes: 1 includes { clear: 'sizes' }")
    lab.write("thin.prototxt", "width: 1 sizes: [2, 3] name: '{{exp conf/deep lr=1}}'")
    lab.write("text.prototxt", "blob: 'x' doubles: 1")
    lab.write("far.prototxt", "slurm { partition: 'far' }")
    lab.write("fast.prototxt", "momentum: 0.01")
    lab.write("empty.prototxt", "")


def in_job(base: Base, project: Project, schema: Schema) -> Base:
    """Give a base to another process: all that this one has are bytes, the schema, and some settings."""
    data = base.to_bytes()
    settings = {key: getattr(project.settings, key) for key in JOB_SETTINGS}
    again = Schema.from_file_set(schema.file_set, schema.root_name)
    there = Base.from_bytes(data, again, project._replace(settings=Settings(**settings)))
    assert there.to_bytes() == data
    return there


def outcome(composed: Composed, project: Project) -> tuple[object, ...]:
    pattern = ExpPattern(project)
    needs = [(pattern.exp_id(one.identity), outcome(one, project)) for one in composed.needs]
    message = composed.message.SerializePartialToString(deterministic=True)
    base = composed.base.SerializePartialToString(deterministic=True)
    return composed.identity, composed.task, message, pattern.exp_id(composed.identity), needs, base


def tried(compose: object, project: Project) -> object:
    try:
        return outcome(compose(), project)  # type: ignore[operator]  # a function
    except HeyhiError as error:
        return type(error), str(error).split("; conf/", 1)[0]


POINTS = st.lists(st.sampled_from(FIXED), max_size=5)


@given(fixed=POINTS, chosen=POINTS, is_mapping=st.booleans())
def test_a_base_composes_what_the_files_would_have_given(
    shared_lab: Lab, fixed: list[tuple[str, object]], chosen: list[tuple[str, object]], is_mapping: bool
) -> None:
    write(shared_lab)
    composer = shared_lab.composer()
    # What is chosen has no needs, and includes are given beforehand.
    mine = {key: value for key, value in chosen if "{{exp" not in str(value)}
    includes = {key: [str(value)] for key, value in mine.items() if key.startswith("I")}
    overrides = dict(fixed) if is_mapping else fixed
    together = {**dict(fixed), **mine} if is_mapping else [*fixed, *mine.items()]
    try:
        base = in_job(Base.of(composer, CFG, overrides, includes), shared_lab.project, shared_lab.schema)
    except HeyhiError as error:
        with pytest.raises(type(error)):
            shared_lab.composer().compose(CFG, together)
        return
    expected = tried(lambda: shared_lab.composer().compose(CFG, together), shared_lab.project)
    found = tried(lambda: base.compose(mine), shared_lab.project)
    if isinstance(expected, tuple) and isinstance(expected[0], type):
        assert isinstance(found, tuple) and isinstance(found[0], type), found
    else:
        assert found == expected


@given(data=st.data())
def test_a_base_composes_any_values_of_a_message(shared_lab: Lab, data: st.DataObject) -> None:
    one, two = (data.draw(shared_lab.messages(shared_lab.train)) for _ in range(2))
    shared_lab.write("plain.prototxt", "train { lr: 1 }")

    def lines(message: object) -> list[str]:
        try:
            return override_lines(message)  # type: ignore[arg-type]
        except HeyhiError:
            return []

    fixed, chosen = lines(one), lines(two)
    pairs = [tuple(line.split("=", 1)) for line in chosen if '"' not in line.split("=", 1)[0]]
    keys = dict(pairs)
    composer = shared_lab.composer()
    try:
        expected = outcome(composer.compose("conf/plain", [*fixed, *keys.items()]), shared_lab.project)
    except HeyhiError:
        return
    base = in_job(Base.of(composer, "conf/plain", fixed), shared_lab.project, shared_lab.schema)
    assert outcome(base.compose(keys), shared_lab.project) == expected


@given(
    chosen=st.fixed_dictionaries(
        {},
        optional={
            "lr": st.floats(1e-4, 1),
            "batch_size": st.integers(1, 512),
            "optimizer": st.sampled_from(["sgd", "adam"]),
            "adam.beta1": st.floats(0, 1),
            "sgd.momentum": st.floats(0, 1),
            "hidden_sizes": st.lists(st.integers(1, 64), max_size=3),
            "hidden_sizes.0": st.integers(1, 64),
            "activation": st.sampled_from(["RELU", "TANH", 1]),
            "I.launcher": st.sampled_from(["slurm", "local"]),
        },
    )
)
def test_the_examples_search_is_composed_alike(repository: Path, chosen: dict[str, object]) -> None:
    project = find_project(repository)
    schema = load_schema(project)
    composer = Composer(project, schema)
    cfg, fixed = "conf/c02_sup_train/sl.prototxt", {"epochs": 3, "launcher.slurm.hours": 5, "lr": 0.3}
    base = in_job(Base.of(composer, cfg, fixed, {"I.launcher": ["slurm", "local"]}), project, schema)
    found = tried(lambda: base.compose(chosen), project)
    expected = tried(lambda: composer.compose(cfg, {**fixed, **chosen}), project)
    assert found == expected


# --- one by one ---


def test_nothing_is_read_when_a_point_is_composed(lab: Lab) -> None:
    write(lab)
    expected = lab.composer().compose(CFG, {"I.layer": "thin", "lr": 3, "name": "{{exp conf/need i32=4}}"})
    fixed = {"I.layer": "thin", "name": "{{exp conf/need i32=4}}"}
    base = Base.of(lab.composer(), CFG, fixed)
    (lab.root / "conf").rename(lab.root / "gone")
    found = in_job(base, lab.project, lab.schema).compose({"lr": 3})
    assert outcome(found, lab.project) == outcome(expected, lab.project)


def test_a_config_that_was_moved_keeps_its_first_name(lab: Lab) -> None:
    write(lab)
    lab.project = Project(
        lab.root, Settings(renamed=(("conf/old.prototxt", CFG), ("conf/was.prototxt", "conf/thin.prototxt")))
    )
    composer = lab.composer()
    base = in_job(Base.of(composer, CFG, {"I.layer": "thin"}), lab.project, lab.schema)
    found = base.compose({"lr": 3})
    assert found.identity == composer.compose(CFG, {"I.layer": "thin", "lr": 3}).identity
    assert found.identity.cfg == "conf/old.prototxt" and found.identity.overrides[0] == "I.layer=conf/was.prototxt"


def test_a_config_outside_of_the_project_is_composed_alike(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("outside") / "cfg.prototxt"
    path.write_text("train { lr: 2 }")
    base = Base.of(lab.composer(), path, {"i32": 3})
    expected = lab.composer().compose(path, {"i32": 3, "lr": 1})
    path.unlink()
    found = in_job(base, lab.project, lab.schema).compose({"lr": 1})
    assert outcome(found, lab.project) == outcome(expected, lab.project)


def test_a_config_without_its_required_fields_may_get_them_from_a_point(new_lab: object, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(
        'syntax = "proto2"; message Fit { required int32 must = 1; } message MetaCfg { oneof task { Fit fit = 1; } }'
    )
    (tmp_path / "conf/cfg.prototxt").write_text("fit {}")
    project = Project(tmp_path)
    schema = load_schema(project)
    base = in_job(Base.of(Composer(project, schema), CFG, {}), project, schema)
    assert base.compose({"must": 3}).identity.overrides == ("must=3",)
    with pytest.raises(ConfigError, match="required fields are not set: must"):
        base.compose({})


def test_an_include_is_chosen_among_those_that_were_read(lab: Lab) -> None:
    write(lab)
    base = in_job(Base.of(lab.composer(), CFG, {}, {"I.layer": ["wide", "thin"]}), lab.project, lab.schema)
    for name in ("wide", "thin"):
        expected = lab.composer().compose(CFG, {"I.layer": name, "layer.name": "x"})
        assert outcome(base.compose({"I.layer": name, "layer.name": "x"}), lab.project) == outcome(
            expected, lab.project
        )
    with pytest.raises(OverrideError, match=r"override 'I\.layer=text': files are read when a sweep is expanded"):
        base.compose({"I.layer": "text"})


def test_what_is_wrong_for_every_point_is_said_at_once(lab: Lab) -> None:
    write(lab)
    for overrides in ({"I.layer": "nowhere"}, {"I.nothing": "thin"}, {"I.layer": "cfg"}):
        with pytest.raises(HeyhiError):
            Base.of(lab.composer(), CFG, overrides)
    lab.write("circle.prototxt", "train { name: '{{exp conf/circle}}' }")
    with pytest.raises(NeedsError, match="in a circle"):
        Base.of(lab.composer(), "conf/circle", {})


def test_a_need_that_can_not_be_composed_is_an_error_where_it_is_not_overridden(lab: Lab) -> None:
    lab.write("cfg.prototxt", "train { name: '{{exp conf/nowhere}}' }")
    base = in_job(Base.of(lab.composer(), CFG, {}), lab.project, lab.schema)
    assert base.compose({"name": "x"}).task_message.name == "x"  # type: ignore[attr-defined]
    with pytest.raises(NeedsError, match="conf/nowhere"):
        base.compose({})


def test_bytes_of_something_else_are_refused(lab: Lab) -> None:
    write(lab)
    data = Base.of(lab.composer(), CFG, {"lr": 1}).to_bytes()
    for wrong in (b"", b"{}", data[:-1], data + b"x", b"[1]\n", data.replace(b'"format":1', b'"format":2')):
        with pytest.raises(ManifestError, match="no config to compose from"):
            Base.from_bytes(wrong, lab.schema, lab.project)


def test_a_point_is_composed_within_milliseconds(repository: Path) -> None:
    project = find_project(repository)
    schema = load_schema(project)
    cfg = "conf/c02_sup_train/sl.prototxt"
    data = Base.of(Composer(project, schema), cfg, {"epochs": 3}).to_bytes()
    schema.root_class()
    took = []
    for _ in range(5):
        start = time.process_time()
        Base.from_bytes(data, schema, project).compose({"lr": 0.1, "optimizer": "adam", "adam.beta1": 0.5})
        took.append(time.process_time() - start)
    assert min(took) < 0.005
