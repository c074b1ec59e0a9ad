"""Lists, messages and maps as values of a sweep, by each way to give one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.config.schema import Schema
from heyhi.errors import HeyhiError, SweepError
from heyhi.project import Project
from heyhi.sweep.expand import expand
from heyhi.sweep.points import sweep_points

CFG = "conf/c02_sup_train/sl.prototxt"


def names(project: Project, schema: Schema, points: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    expansion = expand(project, schema, [(project.root / CFG, point) for point in points], label="x")
    return [planned.identity.overrides for planned in expansion.planned]


def test_a_sweep_over_lists_is_the_same_from_each_door(project: Project, schema: Schema, tmp_path: Path) -> None:
    wanted = [("hidden_sizes=[64]",), ("hidden_sizes=[64,64]",)]
    doors: dict[str, list[dict[str, Any]]] = {
        "command line": sweep_points(["hidden_sizes=[64],[64, 64]"]),
        "grid": heyhi.grid(hidden_sizes=[[64], (64, 64)]),
        "text in grid": heyhi.grid(hidden_sizes="[64],[64,64]"),
        "elements": [{"hidden_sizes": [64]}, {"hidden_sizes": [], "hidden_sizes+": [64, 64]}],
    }
    for door, points in doors.items():
        assert names(project, schema, points) == wanted, door


def test_messages_are_swept(project: Project, schema: Schema) -> None:
    points = sweep_points(["sgd={momentum: 0.75},{}"])
    assert names(project, schema, points) == [("sgd=SELECT", "sgd.momentum=0.75"), ("sgd=SELECT",)]
    assert names(project, schema, [{"sgd": {"momentum": 0.75}}]) == [("sgd=SELECT", "sgd.momentum=0.75")]


def test_a_list_is_drawn(project: Project, schema: Schema) -> None:
    drawn = heyhi.sample(4, hidden_sizes=[[8], [8, 16]])
    assert set(names(project, schema, drawn)) <= {("hidden_sizes=[8]",), ("hidden_sizes=[8,16]",)}


@pytest.mark.parametrize(
    ("value", "says"),
    [({64}, "is a set, which has no order"), ([[64]], "'hidden_sizes.0' is an integer"), ([None], "NULL is no value")],
    ids=["set", "nested", "none"],
)
def test_what_is_no_list_of_the_fields_values_is_an_error(
    project: Project, schema: Schema, value: object, says: str
) -> None:
    with pytest.raises(HeyhiError, match=says):
        names(project, schema, [{"hidden_sizes": value}])


@pytest.mark.parametrize("text", ["range(3", "loguniform(1,100,n=3", "choice("])
def test_a_function_whose_bracket_is_not_closed_is_no_text(text: str) -> None:
    with pytest.raises(SweepError, match="isn't closed"):
        sweep_points([f"name={text}"])
    assert sweep_points([f'name="{text}"']) == [{"name": f'"{text}"'}]
