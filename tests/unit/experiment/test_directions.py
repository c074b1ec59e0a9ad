"""Which way a metric is better: declared, or assumed by whole words of its name."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.experiment.directions import Direction, DirectionError, Directions, assumed, is_better, loss_of


@pytest.mark.parametrize(
    "name", ["loss", "val_loss", "valLoss", "eval/loss", "train.nll", "top1_error", "WER", "val-ppl"]
)
def test_a_loss_is_better_when_smaller(name: str) -> None:
    assert assumed(name) == "min"


@pytest.mark.parametrize(
    "name", ["accuracy", "val_acc", "acc@5", "F1", "val.auc", "episode_reward", "meanReturn", "success_rate"]
)
def test_an_accuracy_is_better_when_larger(name: str) -> None:
    assert assumed(name) == "max"


@pytest.mark.parametrize(
    "name",
    [
        "latency_ms",
        "bpb",
        "ece",
        "kl",
        "epoch",
        "lr",
        "glossary",
        "accelerate",
        "loss_scale",
        "reward_std",
        "step",
        "reward_loss",
        "error_count",
        "time",
    ],
)
def test_of_other_names_nothing_is_assumed(name: str) -> None:
    assert assumed(name) is None


def test_what_a_project_declares_goes_before_what_a_name_says() -> None:
    directions = Directions(("*_ms", "adv_accuracy"), ("kl_*",))
    assert [directions.of(n) for n in ("latency_ms", "adv_accuracy", "kl_reward", "kl_loss")] == [
        "min",
        "min",
        "max",
        "max",
    ]
    assert directions.declared("loss") is None and directions.of("loss") == "min"


def test_who_asks_for_the_best_of_an_unknown_metric_is_told_how_to_declare_it() -> None:
    with pytest.raises(DirectionError, match=r"--best 'bpb:min' or 'bpb:max'.*minimize = \[\"bpb\"\]"):
        Directions().needed("bpb")


def test_what_is_declared_both_ways_has_no_best_value_and_the_error_names_both() -> None:
    directions = Directions(("*test_score", "loss"), ("acc", "test_*"))
    assert directions.of("test_score") is None and directions.declared("test_score") is None
    assert Directions(("*loss",), ("val_*",)).of("val_loss") is None  # its name says nothing then
    assert [directions.of(name) for name in ("my_test_score", "test_loss", "loss")] == ["min", "max", "min"]
    with pytest.raises(DirectionError, match=r"minimize \('\*test_score'\) and maximize \('test_\*'\) both name"):
        directions.needed("test_score")


@given(st.floats(), st.floats(), st.sampled_from(["min", "max"]))
def test_of_two_values_the_better_one_is_nearer_to_the_aim_and_no_number_is_never(
    one: float, other: float, direction: Direction
) -> None:
    if math.isnan(one):
        assert not is_better(one, other, direction)
    elif math.isnan(other):
        assert is_better(one, other, direction) or loss_of(one, direction) == math.inf
    else:
        assert is_better(one, other, direction) == (one < other if direction == "min" else one > other)
