"""Points of a sweep and their expansion into experiments."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.schema import Schema
from heyhi.errors import HeyhiError, IdentityError, SweepError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state
from heyhi.project import Project
from heyhi.sweep.expand import expand
from heyhi.sweep.file import expand_sweep_file
from heyhi.sweep.points import grid, sample, sweep_points, zipped

TRAIN = "conf/c02_sup_train/sl.prototxt"
EVAL = "conf/c03_eval/eval.prototxt"


def sweep_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "my sweep.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("own_first", [True, False])
def test_no_experiment_takes_the_path_of_one_that_it_or_another_needs(
    project: Project, schema: Schema, own_first: bool
) -> None:
    need = expand(project, schema, [(TRAIN, {})]).own[0]
    points = [(EVAL, {}), (EVAL, {"seed": 1})]
    with pytest.raises(SweepError, match="two experiments would share the exp path"):
        expand(project, schema, points[:1] if own_first else points, pattern=need)


def test_grid_makes_every_combination_and_the_last_key_varies_fastest() -> None:
    assert grid({"sgd.momentum": [0.0, 0.9]}, seed=range(2)) == [
        {"sgd.momentum": 0.0, "seed": 0},
        {"sgd.momentum": 0.0, "seed": 1},
        {"sgd.momentum": 0.9, "seed": 0},
        {"sgd.momentum": 0.9, "seed": 1},
    ]
    assert grid() == [{}]


def test_sample_is_seeded_and_a_key_more_or_a_point_more_changes_no_draw() -> None:
    few = sample(3, seed=1, lr="loguniform(1e-4,1e-1)")
    more = sample(5, seed=1, lr="loguniform(1e-4,1e-1)", batch_size=[16, 32])
    assert [p["lr"] for p in more[:3]] == [p["lr"] for p in few]
    assert all(1e-4 <= p["lr"] <= 1e-1 for p in more)
    assert {p["batch_size"] for p in more} <= {16, 32}
    assert sample(3, seed=2, lr="loguniform(1e-4,1e-1)") != few


def test_sample_takes_no_list_for_its_own_seed() -> None:
    with pytest.raises(SweepError, match="put it into the dict"):
        sample(3, lr=[1, 2], seed=[0, 1])  # type: ignore[arg-type]
    assert "seed" in sample(3, {"seed": [0, 1]}, lr=[1, 2])[0]


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("lr=0.1,0.01", ["0.1", "0.01"]),
        ("seed=range(3)", [0, 1, 2]),
        ("seed=range(1,7,3),99", [1, 4, "99"]),
        ('name="a,b",c', ['"a,b"', "c"]),
        ("checkpoint={{exp x lr=1,2}},y", ["{{exp x lr=1,2}}", "y"]),
        ("name=f(x,y)", ["f(x,y)"]),
        ("name='a,b',c", ["a,b", "c"]),
        ("name=a, b ,'  c '", ["a", "b", "  c "]),
        ("name='range(2)',''", ["range(2)", ""]),
        ('name="",it\'s,5"', ['""', "it's", '5"']),
        ("h=[64],[64,64]", ["[64]", "[64,64]"]),
        ("sgd={momentum: 0.9},{name: 'a,}b'}", ["{momentum: 0.9}", "{name: 'a,}b'}"]),
        ("a=choice('x,y',n=1)", ["x,y"]),
        ("seed=range(0x10,0x12)", [16, 17]),
        ("name=a,", None),
        ("name=,a", None),
        ("name=a, ,b", None),
        ("name= ", None),
        ("name='a", None),
        ("name='a'b", None),
        ('name="a"b', None),
        ('name="a', None),
        ("name=(a,b", None),
        ("seed=range(010)", None),
        ("name=", None),
        ("=1", None),
        ("name", None),
        ("seed=range(x)", None),
        ("seed=range(1,2,0)", None),
        ("seed=range()", None),
        ("lr=uniform(0,1)", None),
        ("lr=uniform(1,0,n=2)", None),
        ("lr=loguniform(0,1,n=2)", None),
        ("lr=uniform(0,inf,n=2)", None),
        ("lr=unifrom(0,1,n=2)", None),
        ("lr=choice(n=2)", None),
        ("lr=uniform(0,1,n=1.5)", None),
    ],
)
def test_a_sweep_option_gives_its_values_or_an_error(axis: str, values: list[object] | None) -> None:
    if values is None:
        with pytest.raises(SweepError):
            sweep_points([axis])
    else:
        assert [next(iter(p.values())) for p in sweep_points([axis])] == values


def test_draws_of_a_sweep_option_differ_between_keys_and_seeds() -> None:
    def draw(axis: str) -> list[object]:
        return [next(iter(p.values())) for p in sweep_points([axis])]

    assert len(draw("lr=uniform(0,1,n=4)")) == 4
    assert draw("lr=uniform(0,1,4)") == draw("lr=uniform(0,1,n=4,seed=0)") != draw("lr=uniform(0,1,n=4,seed=1)")
    assert draw("lr=uniform(0,1,n=4)") != draw("noise=uniform(0,1,n=4)")
    assert set(draw("a=choice(x,y,n=50)")) == {"x", "y"}


@given(st.lists(st.text(max_size=30), max_size=3), st.booleans())
def test_any_text_as_a_sweep_option_gives_points_or_one_error(axes: list[str], pair: bool) -> None:
    try:
        points = sweep_points(axes, pair=pair)
    except SweepError as error:
        assert str(error)
    else:
        assert isinstance(points, list)


def test_several_keys_make_a_grid_or_are_paired() -> None:
    assert len(sweep_points(["a=1,2", "b=1,2,3"])) == 6
    assert sweep_points(["a=1,2", "b=3,4"], pair=True) == [{"a": "1", "b": "3"}, {"a": "2", "b": "4"}]
    with pytest.raises(SweepError, match="one length"):
        sweep_points(["a=1,2", "b=1,2,3"], pair=True)
    with pytest.raises(SweepError, match="twice"):
        sweep_points(["a=1", "a=2"])


def test_some_keys_are_paired_inside_a_grid() -> None:
    pairs = [{"a": "1", "b": "3"}, {"a": "2", "b": "4"}]
    wanted = [{**pair, "seed": seed} for pair in pairs for seed in (0, 1)]
    assert sweep_points(["seed=range(2)"], paired=["a=1,2", "b=3,4"]) == wanted
    assert grid(zipped(a="1,2", b=["3", "4"]), seed=range(2)) == wanted
    assert zipped({"a": [1]}, b=[2]) == [{"a": 1, "b": 2}]
    assert [p["seed"] for p in grid(sample(2, lr="uniform(0.1,0.2)"), seed=range(2))] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: sweep_points(["seed=1,2"], paired=["a=1,2"]),
        lambda: sweep_points(["seed=1,2"], paired=["a=1,2", "b=1,2"], pair=True),
        lambda: sweep_points([], paired=["a=1,2", "b=1"]),
        lambda: zipped(a=[1], b=[1, 2]),
        lambda: grid({"a": [1]}, a=[2]),
        lambda: grid([1, 2]),
    ],
)
def test_what_can_be_paired_in_no_way_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(SweepError):
        wrong()


def test_the_values_of_a_set_come_in_one_order_and_a_mapping_is_one_value() -> None:
    assert grid(name={"b", "a", "c"}) == [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    assert grid(sgd={"momentum": 0.9}, data=b"ab") == [{"sgd": {"momentum": 0.9}, "data": b"ab"}]


def test_a_field_of_whole_numbers_takes_a_drawn_one_rounded(project: Project, schema: Schema) -> None:
    points = sweep_points(["epochs=loguniform(1,100,n=3)"])
    found = expand(project, schema, [(TRAIN, point) for point in points])
    texts = [planned.identity.overrides[0] for planned in found.planned]
    assert texts == [f"epochs={round(point['epochs'])}" for point in points]
    assert expand(project, schema, [(TRAIN, list(point.items())) for point in points]).own == found.own
    real = expand(project, schema, [(TRAIN, point) for point in sample(1, lr="uniform(0,1)")])
    assert "." in real.planned[0].identity.overrides[0]


def test_what_is_needed_comes_first_and_once(project: Project, schema: Schema) -> None:
    found = expand(project, schema, [(EVAL, {"noise": n}) for n in (0.0, 0.1)])
    assert [e.task for e in found.experiments] == ["train", "eval", "eval"]
    assert len(found.own) == 2
    assert {e.needs for e in found.experiments[1:]} == {(found.experiments[0].exp_path,)}


def test_all_errors_of_a_sweep_are_told_at_once_in_groups(project: Project, schema: Schema) -> None:
    points = [(TRAIN, {"lrr": i}) for i in range(3)] + [(TRAIN, {"lr": "x"}), (TRAIN, {"lr": 0.1}), ("no", {})]
    with pytest.raises(SweepError) as caught:
        expand(project, schema, points)
    text = str(caught.value)
    assert "5 of 6 experiments can't be composed" in text
    assert text.count("unknown key 'lrr'") == 1 and "in 3 points (0, 1, 2)" in text
    assert "'x'" in text and "config 'no' doesn't exist" in text
    assert not project.results_root.exists()


def test_one_bad_experiment_is_told_as_it_is(project: Project, schema: Schema) -> None:
    with pytest.raises(SweepError, match=r"^unknown key 'lrr'"):
        expand(project, schema, [(TRAIN, ["lrr=1"])])


def test_two_experiments_at_one_path_are_refused(project: Project, schema: Schema) -> None:
    with pytest.raises(SweepError, match="share the exp path"):
        expand(project, schema, [(TRAIN, {"lr": 1}), (TRAIN, {"lr": 2})], pattern="%(cfg)s")


def test_an_experiment_inside_another_ones_folder_is_refused(project: Project, schema: Schema) -> None:
    points = [(TRAIN, {}), (TRAIN, {"lr": 2})]
    outer = expand(project, schema, points[:1], pattern="run").experiments[0]
    ExperimentDir(outer.exp_path).prepare(outer, schema)
    with pytest.raises(SweepError, match="inside another experiment's"):
        expand(project, schema, points[1:], pattern="run/inner")


def test_a_folder_of_another_experiment_is_refused_at_expansion(project: Project, schema: Schema) -> None:
    first = expand(project, schema, [(TRAIN, {"lr": 1})], pattern="run").experiments[0]
    ExperimentDir(first.exp_path).prepare(first, schema)
    expand(project, schema, [(TRAIN, {"lr": 1.0})], pattern="run")
    with pytest.raises(SweepError, match="holds another experiment"):
        expand(project, schema, [(TRAIN, {"lr": 2})], pattern="run")


def test_one_whose_identity_is_missing_stops_none_of_the_others(project: Project, schema: Schema) -> None:
    points = [(TRAIN, {"lr": lr}) for lr in (1, 2)]
    first = expand(project, schema, points).experiments[0]
    folder = ExperimentDir(first.exp_path)
    folder.prepare(first, schema)
    folder.identity_path.unlink()
    assert len(expand(project, schema, points).own) == 2
    state = find_state(first.exp_path)
    assert state.status is Status.UNKNOWN and f"{folder.identity_path}: is missing beside" in state.reason
    (folder.path / "thesis.tex").touch()
    for name in ("config.prototxt", "config_flat.json"):
        (folder.path / name).unlink()
    with pytest.raises(SweepError, match=r"holds files of no experiment \(thesis\.tex\)"):
        expand(project, schema, points)


def test_a_point_that_comes_twice_runs_once_and_is_warned_about(project: Project, schema: Schema) -> None:
    found = expand(project, schema, [(TRAIN, {"lr": 0.1}), (TRAIN, {"lr": "0.10"})])
    assert len(found.own) == len(found.experiments) == 1
    assert any("runs once" in w for w in found.warnings)


def test_two_points_with_one_config_are_warned_about(project: Project, schema: Schema) -> None:
    found = expand(project, schema, [(TRAIN, {}), (TRAIN, {"epochs": 50})])
    assert len(found.own) == 2
    assert any("same config" in w for w in found.warnings)


def test_only_hours_differ_so_it_is_the_same_experiment(project: Project, schema: Schema) -> None:
    first, second = (
        expand(project, schema, [(TRAIN, {"launcher.slurm.hours": hours})]).experiments[0] for hours in (1, 2)
    )
    assert first.exp_path == second.exp_path


def test_cores_of_a_local_run_reach_snakemake(project: Project, schema: Schema) -> None:
    found = expand(project, schema, [(TRAIN, {}), (TRAIN, {"lr": 1, "launcher.local.cpus": 3})])
    assert [dict(e.resources) for e in found.experiments] == [{}, {"threads": 3}]


def test_a_sweep_file_is_read(project: Project, schema: Schema, tmp_path: Path) -> None:
    path = sweep_file(
        tmp_path,
        f'EXP_ID_PATTERN = "mine/%(redefines)s"\ndef yield_sweep():\n    yield "{TRAIN}", {{"lr": 0.5}}\n',
    )
    found = expand_sweep_file(project, schema, path)
    assert found.own == ["mine/lr=0.5"]
    assert found.sweep == path.as_posix()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def yield_sweep(:\n", "my sweep.py:1: SyntaxError"),
        ("\nimport nosuchmodule\n", "my sweep.py:2: ModuleNotFoundError"),
        ("import sys\nsys.exit()", "my sweep.py:2: SystemExit: "),
        ("class Odd(BaseException): ...\nraise Odd(1)", "my sweep.py:2: Odd: 1"),
        ("def yield_sweep():\n    yield 1 / 0\n", "my sweep.py:2: ZeroDivisionError"),
        ("def yield_sweep():\n    yield 1\n", "point 0 is 1; expected"),
        (f"def yield_sweep(): yield {TRAIN!r}, None", "None); expected (config, {key: value})"),
        ("x = 1\n", "has no function yield_sweep"),
        ("EXP_ID_PATTERN = 3\ndef yield_sweep(): yield 'x', {}", "EXP_ID_PATTERN is 3; expected a text"),
        ("def yield_sweep():\n    return []\n", "has no experiments"),
        ("def yield_sweep():\n    yield 'c02_sup_train/sl', {'lr': [1, 2]}\n", "lr"),
        ("def yield_sweep():\n    yield 'c02_sup_train/sl', 'lr=1'\n", "lr=1"),
    ],
)
def test_a_bad_sweep_file_gets_one_clear_error(
    project: Project, schema: Schema, tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(HeyhiError, match=re.escape(expected)):
        expand_sweep_file(project, schema, sweep_file(tmp_path, text))


def test_a_missing_sweep_file_names_the_nearest(project: Project, schema: Schema) -> None:
    with pytest.raises(SweepError, match=r"did you mean 'conf/c02_sup_train/rs_yolo_01_example.py'"):
        expand_sweep_file(project, schema, Path("conf/c02_sup_train/rs_yolo_01_exmaple.py"))


@pytest.mark.parametrize("pattern", ["../x", "a/../../x", "", "%(nope)s", "a b", "a;b", "$(touch x)", "x" * 201, "-x"])
def test_a_pattern_that_leaves_the_root_or_is_no_clean_path_is_refused(
    project: Project, schema: Schema, pattern: str
) -> None:
    with pytest.raises((IdentityError, SweepError)):
        expand(project, schema, [(TRAIN, {})], pattern=pattern)


def test_an_absolute_pattern_is_allowed(project: Project, schema: Schema, tmp_path: Path) -> None:
    found = expand(project, schema, [(TRAIN, {})], pattern=f"{tmp_path}/elsewhere/run")
    assert found.experiments[0].exp_path == tmp_path / "elsewhere/run"
