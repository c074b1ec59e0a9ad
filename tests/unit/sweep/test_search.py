"""Searches as they are declared: what can be said of one without a schema."""

from __future__ import annotations

from typing import Any

import pytest

import heyhi
from heyhi.errors import SweepError
from heyhi.sweep.search import read_space
from heyhi.sweep.search_spec import AshaSpec, Axis, SearchSpec

SPACE = {"lr": "loguniform(1e-4,1)"}
GIVEN: dict[str, Any] = {"cfg": "conf/train", "space": SPACE, "max": "val_accuracy", "trials": 20}


def test_a_search_says_what_it_is_about() -> None:
    search = heyhi.Search(cfg="conf/train", space=SPACE, min="loss", trials=3, stop="asha", learn_from="conf/grid.py")
    assert (search.metric, search.direction) == ("loss", "min")
    assert search.stop == heyhi.ASHA()
    assert search.learn_from == ("conf/grid.py",)
    assert heyhi.Search(**GIVEN).direction == "max"


def test_what_a_manifest_keeps_of_it_is_read_back() -> None:
    search = heyhi.Search(**GIVEN, parallel=8, seed=3, stop=heyhi.ASHA(grace=3, counter="epoch"))
    spec = search.spec("conf/train.prototxt", ["epochs=30"], [Axis("lr", "float", low=1e-4, high=1.0, log=True)])
    assert SearchSpec.from_json(spec.to_json()) == spec
    assert spec.stop == AshaSpec(3, 3, "epoch")
    assert (spec.direction, spec.parallel, spec.trials, spec.seed) == ("max", 8, 20, 3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max": ""}, "a search has one aim: max=METRIC or min=METRIC"),
        ({"min": "loss"}, "a search has one aim: max='val_accuracy' or min='loss'"),
        ({"max": 3}, "max is the name of a metric, not 3"),
        ({"trials": 0}, "trials is a whole number of at least 1, not 0"),
        ({"trials": 2.5}, "trials is a whole number"),
        ({"trials": True}, "trials is a whole number"),
        ({"parallel": -1}, "parallel is a whole number of at least 0"),
        ({"seed": "a"}, "seed is a whole number, not 'a'"),
        ({"sampler": "tpee"}, "sampler is tpe or random, not 'tpee' (did you mean 'tpe'?)"),
        ({"stop": "ahsa"}, "stop 'ahsa': expected asha, or asha(grace=2,factor=3) (did you mean 'asha'?)"),
        ({"stop": True}, "stop is heyhi.ASHA(…), 'asha' or None, not True"),
        ({"learn_from": 3}, "learn_from is words that name experiments, not 3"),
        ({"space": {}}, "space is a mapping of keys to what they may be"),
        ({"space": ["lr=1,2"]}, "space is a mapping"),
        ({"space": {"lr": 0.1}}, "'lr' may be a list, a range, or text"),
        ({"space": {3: "1,2"}}, "a key of the space is a text, not 3"),
        ({"cfg": ""}, "cfg is the path of a config"),
    ],
)
def test_what_is_no_search_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SweepError) as caught:
        heyhi.Search(**{**GIVEN, **given})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "asha"),
    [
        ("asha", heyhi.ASHA()),
        ("ASHA()", heyhi.ASHA()),
        ("asha(grace=3, factor=4,counter=epoch)", heyhi.ASHA(3, 4, "epoch")),
    ],
)
def test_early_stopping_is_read_from_a_word(text: str, asha: heyhi.ASHA) -> None:
    assert heyhi.ASHA.of(text) == asha


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("asha(gracee=3)", "expected grace=, factor= or counter=, not 'gracee=3' (did you mean 'grace'?)"),
        ("asha(3)", "expected grace=, factor= or counter="),
        ("asha(grace=0)", "grace is a whole number of at least 1, not 0"),
        ("asha(factor=1)", "factor is a whole number of at least 2, not 1"),
        ("asha(factor=x)", "factor is a whole number of at least 2, not 'x'"),
        ("", "stop '': expected asha"),
    ],
)
def test_a_word_for_early_stopping_that_cannot_be_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(SweepError) as caught:
        heyhi.ASHA.of(text)
    assert words in str(caught.value)


def test_a_space_is_read_from_words() -> None:
    assert read_space(["lr=loguniform(1e-4,1)", "--optimizer=sgd,adam"]) == {
        "lr": "loguniform(1e-4,1)",
        "optimizer": "sgd,adam",
    }
    for words in (["lr"], ["=1"], ["lr="], ["lr=1,2", "lr=3,4"]):
        with pytest.raises(SweepError, match="--space '"):
            read_space(words)


def test_a_search_is_another_one_by_its_space_aim_and_sampler_and_not_by_its_size() -> None:
    def search_id(**given: Any) -> str:
        return heyhi.Search(**{**GIVEN, **given}).spec("c", (), [Axis("lr", "choice", ("1", "2"))]).search_id

    same = search_id()
    assert search_id(trials=50) == search_id(parallel=3) == search_id(learn_from="x") == same
    assert len({same, search_id(sampler="random"), search_id(seed=1), search_id(stop="asha"), search_id(max="a")}) == 5
