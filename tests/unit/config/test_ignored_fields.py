"""Patterns of `identity_ignore`: they add to the default, and each is like some field."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.compose import Composer
from heyhi.config.ignored_fields import names_field
from heyhi.config.scheduling import Scheduling
from heyhi.config.settings_shown import settings_lines
from heyhi.errors import ProjectError
from heyhi.project import RESULTS_VARIABLE, SCHEDULING_KEYS, Project, find_project

if TYPE_CHECKING:
    from tests.unit.conftest import Lab

Make = Callable[[str], Project]


@pytest.fixture
def project(lab: Lab) -> Make:
    """Give the lab settings, as its pyproject.toml would."""

    def make(settings: str) -> Project:
        (lab.root / "pyproject.toml").write_text(f"[tool.heyhi]\n{settings}\n")
        return find_project(lab.root)

    lab.write("cfg.prototxt", "train { launcher { slurm { num_gpus: 8 } } }")
    return make


def named(lab: Lab, project: Project, *overrides: str) -> list[str]:
    return list(Composer(project, lab.schema).compose("conf/cfg.prototxt", overrides).identity.overrides)


def test_patterns_of_a_project_add_to_the_default_ones(lab: Lab, project: Make) -> None:
    given = ("launcher.slurm.hours=4", "launcher.slurm.num_gpus=2", "lr=3", "i32=5")
    assert named(lab, project(""), *given) == ["i32=5", "launcher.slurm.num_gpus=2", "lr=3"]
    assert named(lab, project('identity_ignore = ["i32"]'), *given) == ["launcher.slurm.num_gpus=2", "lr=3"]
    taken_out = project('identity_ignore = ["i32", "!launcher.slurm.hours"]')
    assert named(lab, taken_out, *given) == ["launcher.slurm.hours=4", "launcher.slurm.num_gpus=2", "lr=3"]
    assert taken_out.settings.own_identity_ignore == ("i32", "!launcher.slurm.hours")


@pytest.mark.parametrize(
    ("pattern", "given"),
    [
        ("ints", ["ints=[1, 2]"]),
        ("ints", ["ints+=[7]"]),
        ("ints", ["ints.-1=3"]),
        ("layer", ["layer.width=3", "layer.inside.name=a"]),
        ("scale", ['scale={"a": 1}']),
        ("sgd", ["sgd.momentum=0.5"]),
        ("sgd", ["sgd=SELECT"]),
    ],
)
def test_a_pattern_of_a_list_map_or_message_covers_what_is_below_it(
    lab: Lab, project: Callable[[str], Project], pattern: str, given: list[str]
) -> None:
    assert named(lab, project(f'identity_ignore = ["{pattern}"]'), *given, "lr=3") == ["lr=3"]
    assert len(named(lab, project(""), *given, "lr=3")) > 1


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("lrr", "(did you mean 'lr'?)"),
        ("!launcher.slurm.ours", "(did you mean 'launcher.slurm.hours' or "),
        ("train.lr", "(did you mean 'lr'"),
        ("layers.width", ""),
        ("nothing.*", ""),
    ],
)
def test_a_pattern_of_ones_own_that_is_like_no_field_is_an_error(
    lab: Lab, project: Make, pattern: str, near: str
) -> None:
    with pytest.raises(ProjectError) as raised:
        named(lab, project(f'identity_ignore = ["{pattern}"]'))
    says = f"{lab.root}/pyproject.toml: [tool.heyhi] identity_ignore: no task has a field like '{pattern}'"
    assert str(raised.value).startswith(f"{says}{' ' * bool(near)}{near}")


@pytest.mark.parametrize(
    "pattern",
    [
        "lr", "l?", "[il]*", "*", "*.width", "layer", "layer.*", "layer.inside.inside.inside.width", "layers",
        "layers.0", "layers.*.width", "layers.3.wid*", "scale", "scale.train", 'scale."a.b"', "named.*.name",
        "by_int.7",        "named.x.width", "optimizer", "sgd", "sgd.m*m", "launcher.*.hours", "!lr", "!launcher.*",
    ],
)  # fmt: skip
def test_a_pattern_may_name_any_key(lab: Lab, pattern: str) -> None:
    assert names_field(lab.schema, pattern)


def test_patterns_of_the_default_may_name_what_a_schema_lacks(lab: Lab, project: Make) -> None:
    assert not all(names_field(lab.schema, pattern) for pattern in SCHEDULING_KEYS)
    assert named(lab, project("")) == []


def test_settings_are_shown_with_where_they_are_from(
    lab: Lab, project: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (lab.root / "pyproject.toml").write_text("")
    made = project('entry = "run:main"\nminimize = ["loss"]\nidentity_ignore = ["i32", "!launcher.local.cpus"]')
    (lab.root / "pyproject.toml").open("a").write('[project]\nname = "ours"\n')
    made = find_project(lab.root)
    lines = settings_lines(made, lab.schema)
    words = [line.split() for line in lines]
    assert ["entry", "pyproject.toml", '"run:main"'] in words, "it is set, if only to the default"
    assert ["minimize", "pyproject.toml", '["loss"]'] in words
    assert ["results", "default", '"results"'] in words
    assert ["name", "pyproject.toml,", "[project]", '"ours"'] in words
    assert ["launcher.*.hours", "default"] in words
    assert ["launcher.*.qos", "default", "(no", "field", "here", "is", "like", "it)"] in words
    assert words[-2:] == [["i32", "pyproject.toml"], ["!launcher.local.cpus", "pyproject.toml"]]
    monkeypatch.setenv(RESULTS_VARIABLE, str(tmp_path / "else"))
    assert "environment (HH_EXP_DIR)" in settings_lines(made, lab.schema)[0]


@given(st.text("ab.*?", max_size=6), st.text("ab.", max_size=8))
def test_a_pattern_is_like_what_the_shell_has_it_like_and_what_is_below(pattern: str, key: str) -> None:
    expected = fnmatch.fnmatchcase(key, pattern) or fnmatch.fnmatchcase(key, f"{pattern}.*")
    assert bool(Scheduling([pattern]).ignores(key)) == expected


@pytest.mark.parametrize(
    ("patterns", "key", "ignored"),
    [
        (["lr", "!lr"], "lr", False),
        (["!lr", "lr"], "lr", True),
        (["sgd.*", "!sgd.lr"], "sgd.lr", False),
        (["[a-c]x"], "bx", True),
        (["[a-c]x"], "dx", False),
        (SCHEDULING_KEYS, "launcher.slurm.hours", True),
        (SCHEDULING_KEYS, "launcher.slurm.setup.0", True),
        (SCHEDULING_KEYS, "launcher.local.tasks", False),
        (SCHEDULING_KEYS, "launcher.slurm.num_gpus", False),
    ],
)
def test_of_several_patterns_the_last_one_decides(patterns: list[str], key: str, ignored: bool) -> None:
    assert bool(Scheduling(patterns).ignores(key)) is ignored
