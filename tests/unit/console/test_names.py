"""What experiments are called in the lines of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.schema import load_schema
from heyhi.console.names import Named, read_named, short_names
from heyhi.project import find_project
from heyhi.sweep.expand import expand
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import folder_of
from heyhi.sweep.write_manifest import write_manifest


def named(*overrides: str, cfg: str = "conf/train.prototxt") -> Named:
    return Named(f"p/{cfg[5:-9]}/{','.join(overrides)[:20]}_{abs(hash((cfg, overrides)))}", cfg, overrides)


def test_they_are_called_by_what_varies() -> None:
    assert short_names([named("lr=0.1", "epochs=5", "seed=1"), named("lr=0.2", "epochs=5", "seed=2")]) == [
        "lr=0.1,seed=1",
        "lr=0.2,seed=2",
    ]


def test_of_several_configs_the_config_is_part_of_it() -> None:
    assert short_names([named("x=1"), named("x=1", cfg="conf/eval.prototxt")]) == ["train", "eval"]


def test_where_that_says_nothing_it_is_the_exp_id() -> None:
    alone, default, other = named("lr=0.1"), named(), named("lr=0.2")
    assert short_names([alone]) == [alone.exp_id]
    assert short_names([default, other]) == [default.exp_id, "lr=0.2"]
    spaced, other = named("note='a b'"), named("note='a_b'")
    assert short_names([spaced, other]) == [spaced.exp_id, other.exp_id]
    assert short_names([]) == []


def test_they_are_written_as_in_exp_ids_and_cut_where_they_are_long() -> None:
    assert short_names([named("sizes=[64]", "x=1"), named("sizes=[8, 8]", "note='a b'")])[0] == "sizes=64,x=1"
    long = [named(f"encoder.layers={x}", "decoder.attention.heads=16", "optimizer.momentum=0.9") for x in (1, 2)]
    long.append(named("encoder.layers=3", "lr=0.1"))
    first, second, third = short_names(long)
    assert third == "encoder.layers=3,lr=0.1" and len({first, second, third}) == 3
    assert first != long[0].exp_id and first.startswith(("…", "encoder.layers=1")) and len(first) <= 75
    (end, other) = short_names([named(f"note='{'x' * 80}'", "seed=1"), named("note='y'", "seed=2")])
    assert (len(end), end[0], end[-7:]) == (60, "…", ",seed=1") and other.endswith(",seed=2")


def test_an_experiment_that_is_needed_is_called_as_in_lines_of_its_own() -> None:
    need = "{{exp p/fit/line/I=best_tune,seed=10_cdaaa623780b6092}}"
    one, other, plain = (
        named(f"checkpoint={need}/x.npz", cfg="conf/fit/test.prototxt"),
        named(f"checkpoint={need.replace('10', '11')}", cfg="conf/fit/test.prototxt"),
        named("checkpoint={{exp p/fit/line/default_cdaaa623780b6092}}", cfg="conf/fit/test.prototxt"),
    )
    assert short_names([one, other, plain, named("lr=0.1")]) == [
        "test:checkpoint=line:I=best_tune,seed=10_x.npz",
        "test:checkpoint=line:I=best_tune,seed=11",
        "test:checkpoint=line",
        "train:lr=0.1",
    ]
    again = named(f"checkpoint={need.replace('cdaaa', 'cdaab')}/x.npz", cfg="conf/fit/test.prototxt")
    assert short_names([one, again]) == [one.exp_id, again.exp_id], "two that would be called alike"


def test_however_long_and_odd_texts_are_names_are_short_and_none_is_anothers() -> None:
    texts = [f"{'<' * 40}{mark}{'x' * 60}" for mark in "<>&ab"] + ["x" * 300]
    found = [
        Named(f"p/train/note={'_' * 95}_{number:016x}", "conf/train.prototxt", (f"note='{text}'", f"seed={seed}"))
        for number, (text, seed) in enumerate((text, seed) for text in texts for seed in (1, 2))
    ]
    names = short_names(found)
    assert len(set(names)) == len(found) and max(map(len, names)) <= 75, names


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4).map(tuple), unique=True, max_size=12))
def test_no_two_have_one_name(overrides: list[tuple[str, ...]]) -> None:
    # Of one experiment the canonical order is one: another order is another experiment.
    names = short_names([named(*its) for its in overrides])
    assert len(set(names)) == len(names) == len(overrides)


@pytest.mark.parametrize("count", [2, 60])
def test_what_they_are_named_by_is_read_of_few_and_of_all_of_a_manifest(
    repository: Path, tmp_path: Path, count: int
) -> None:
    project = find_project(repository)._replace(results_override=tmp_path / "results")
    schema = load_schema(project)
    points: list[tuple[str, Mapping[str, object]]] = [
        ("conf/c03_eval/eval.prototxt", {"noise": n / 100}) for n in range(count)
    ]
    manifest = Manifest.open(write_manifest(expand(project, schema, points, label="demo"), project, schema))

    training, *evaluations = manifest.all_targets
    everything = read_named([(target, manifest) for target in manifest.all_targets])
    names = dict(zip(everything, short_names(list(everything.values())), strict=True))
    assert names[folder_of(evaluations[1], project.root)] == "eval:noise=0.01"
    assert len(set(names.values())) == count + 1
    needs = everything[folder_of(evaluations[0], project.root)].needs
    assert needs == (folder_of(training, project.root),)
    few = read_named([(target, manifest) for target in evaluations[:2]])
    assert few == {folder: everything[folder] for folder in few} and len(few) == 2
