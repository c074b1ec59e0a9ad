"""A sweep file's own code: its random numbers, and how many points it may yield."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from heyhi.config.schema import Schema
from heyhi.errors import SweepError
from heyhi.project import Project
from heyhi.sweep.expand import expand
from heyhi.sweep.file import expand_sweep_file
from heyhi.sweep.points import grid, sample, sweep_points

TRAIN = "conf/c02_sup_train/sl.prototxt"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "drawing.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("library", ["random.random()", "float(numpy.random.rand())"])
@pytest.mark.parametrize("is_loaded", [True, False])
def test_a_sweep_file_draws_the_same_points_each_time_and_changes_nothing_outside(
    project: Project, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, is_loaded: bool
) -> None:
    text = (
        f"import numpy, numpy.random, random\nFIRST = {library}\n"
        f"def yield_sweep():\n    yield {TRAIN!r}, {{'lr': FIRST}}\n    yield {TRAIN!r}, {{'lr': {library}}}\n"
    )
    path = written(tmp_path, text)
    if not is_loaded:
        monkeypatch.setattr(np, "random", np.random)  # which is put back, too: to load it anew sets it
        monkeypatch.delitem(sys.modules, "numpy.random")
    before = random.getstate()
    first = expand_sweep_file(project, schema, path).own
    random.seed(99)
    np.random.seed(99)
    after = random.random()
    assert expand_sweep_file(project, schema, path).own == first
    assert len(set(first)) == 2
    random.setstate(before)
    random.seed(99)
    assert random.random() == after
    expand_sweep_file(project, schema, path)
    state = random.getstate()
    random.seed(99)
    random.random()
    assert random.getstate() == state


@pytest.mark.parametrize(
    ("value", "kind"),
    [("len", "builtin_function_or_method"), ("lambda: 1", "function"), ("object()", "object"), ("dict", "type")],
)
def test_a_function_or_an_object_is_no_value(
    project: Project, schema: Schema, tmp_path: Path, value: str, kind: str
) -> None:
    path = written(
        tmp_path,
        f"def yield_sweep():\n    yield {TRAIN!r}, {{}}\n    yield {TRAIN!r}, {{'lr': {value}}}\n",
    )
    with pytest.raises(SweepError) as error:
        expand_sweep_file(project, schema, path)
    article = "an" if kind[0] in "aeiou" else "a"
    assert f"override 'lr=<{kind}>': {article} {kind} is no value" in str(error.value)
    assert "in point 1:" in str(error.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: grid(seed=range(10**10)),
        lambda: grid(seed=range(-(10**20), 10**20)),
        lambda: grid(a=range(2000), b=range(2000)),
        lambda: grid(a=iter(int, 1)),
        lambda: sample(10**12, lr="uniform(0,1)"),
        lambda: sweep_points(["seed=range(10000000000)"]),
        lambda: sweep_points(["lr=uniform(0,1,n=10000000000)"]),
        lambda: sweep_points(["lr=choice(1,2,n=10000000000)"]),
        lambda: sweep_points(["a=range(2000)", "b=range(2000)"]),
    ],
)
def test_a_slip_is_refused_before_it_takes_memory(make: object) -> None:
    with pytest.raises(SweepError, match=r"at most 1,000,000 \(\[tool.heyhi\] max_points"):
        make()  # type: ignore[operator]


def test_a_setting_says_how_many_points_a_sweep_may_have(project: Project, schema: Schema) -> None:
    points = [(TRAIN, {"seed": seed}) for seed in range(3)]
    small = project._replace(settings=project.settings._replace(max_points=2))
    with pytest.raises(SweepError, match="at most 2 "):
        expand(small, schema, points)
    any_number = project._replace(settings=project.settings._replace(max_points=0))
    assert len(expand(any_number, schema, points).own) == 3


def test_a_version_of_the_same_second_and_length_is_read_anew(
    project: Project, schema: Schema, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    found = []
    for seed in (1, 2):
        path = written(tmp_path, f"def yield_sweep():\n    yield {TRAIN!r}, {{'seed': {seed}}}\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        found += [one.identity.overrides for one in expand_sweep_file(project, schema, path).planned]
    assert found == [("seed=1",), ("seed=2",)]
