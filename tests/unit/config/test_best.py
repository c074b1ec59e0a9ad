"""The best of a sweep in a config: how it is written, what an identity makes of it, and what it comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from heyhi.config.base import Base
from heyhi.config.best import Best, Chosen, taken_over
from heyhi.config.compose import Composed
from heyhi.config.identity import ExpPattern
from heyhi.errors import HeyhiError, NeedsError, OverrideError

if TYPE_CHECKING:
    from tests.unit.conftest import Lab

CFG = "conf/cfg.prototxt"
BEST = "{{best conf/tune.py max=acc}}"
TUNE = Best("conf/tune.py", "acc", "max")


def compose(lab: Lab, *overrides: str, config: str = "train { lr: 1 sgd { momentum: 0.5 } }") -> Composed:
    lab.write("cfg.prototxt", config)
    return lab.composer().compose(CFG, overrides)


def completed(lab: Lab, composed: Composed, chosen: list[str], folder: str = "/results/p/x") -> Composed:
    assert composed.source is not None
    base = Base.of(lab.composer(), *composed.source, candidates=[chosen])
    again = Base.from_bytes(base.to_bytes(), lab.schema, lab.project)
    found = again.complete({TUNE.words: Chosen(folder, tuple(chosen))}.get)
    assert found.identity == composed.identity and not found.bests
    return found


# --- how it is written ---


@pytest.mark.parametrize(
    ("words", "canonical"),
    [
        ("conf/tune.py max=acc", "conf/tune.py max=acc"),
        ("./conf//tune.py   max=acc of=all", "conf/tune.py max=acc"),
        ("/root/conf/tune.py of=done min='a b'", "conf/tune.py 'min=a b' of=done"),
        ("/else/tune.py min=val.loss", "/else/tune.py min=val.loss"),
        ("./conf/search.py", "conf/search.py"),
        ("conf/search.py of=done", "conf/search.py of=done"),
    ],
)
def test_it_has_one_way_to_be_written(words: str, canonical: str) -> None:
    best = Best.parse(words, "/root")
    assert best.words == canonical
    assert Best.parse(canonical, "/root") == best


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("max=acc", "no sweep is named"),
        ("conf/tune.py max=a min=b", "max= and min= are both there"),
        ("conf/tune.py max=a max=b", "'max=' stands there twice"),
        ("conf/tune.py maxx=a", "unknown option 'maxx=a' (did you mean 'max'?)"),
        ("conf/tune.py acc", "unknown option 'acc'"),
        ("conf/tune.py max=", "'max=' names nothing"),
        ("conf/tune.py max=a of=doen", "of=doen (did you mean 'done'?); it is all or done"),
        ("conf/tune.py max='a", "No closing quotation"),
    ],
)
def test_what_is_wrong_with_it_is_said(words: str, message: str) -> None:
    with pytest.raises(NeedsError) as raised:
        Best.parse(words, "/root")
    assert message in str(raised.value)
    assert "expected {{best SWEEP max=KEY}}" in str(raised.value)


def test_what_an_experiment_was_run_with_and_what_tells_replicates_apart_are_its_own() -> None:
    overrides = [
        "I.launcher=conf/slurm.prototxt",
        "data.seed=3",
        "launcher.slurm.num_gpus=2",
        "lr=1",
        "seed=1",
        "seeds=2",
    ]
    assert taken_over(overrides, ["seed"]) == (["lr=1", "seeds=2"], [overrides[i] for i in (0, 1, 2, 4)])


# --- what an identity makes of it ---


def test_a_text_names_it_as_it_is_written(lab: Lab) -> None:
    composed = compose(lab, "name={{best  conf/tune.py of=all max=acc}}/x")
    assert composed.identity.overrides == (f"name={BEST}/x",)
    assert composed.bests == (TUNE,)
    assert composed.source is not None and composed.source[0] == lab.root / CFG


def test_a_config_may_name_it(lab: Lab) -> None:
    composed = compose(lab, config=f"train {{ name: '{BEST}' strings: '{{{{ROOT_DIR}}}}' }}")
    assert composed.identity.overrides == () and composed.bests == (TUNE,)
    assert completed(lab, composed, []).task_message.name == "/results/p/x"  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", ["best ", "bset conf/tune.py max=acc", "best conf/tune.py max=acc min=loss"])
def test_what_is_wrong_with_it_is_said_once(lab: Lab, words: str) -> None:
    with pytest.raises(OverrideError) as raised:
        compose(lab, f"I={{{{{words}}}}}")
    assert str(raised.value).count("override 'I={{") == 1, raised.value


def test_an_include_names_it_before_all_others(lab: Lab) -> None:
    lab.write("wide.prototxt", "width: 100")
    composed = compose(lab, "lr=3", "I.layer=wide", f"I={BEST}", "i32=1")
    assert composed.identity.overrides == (f"I={BEST}", "I.layer=conf/wide.prototxt", "i32=1", "lr=3")
    assert composed.bests == (TUNE,)


def test_own_overrides_are_named_whatever_the_best_one_has(lab: Lab) -> None:
    # Without it, sgd is what the config has chosen, and the override comes to nothing.
    assert compose(lab, "optimizer=sgd").identity.overrides == ()
    assert compose(lab, f"I={BEST}", "optimizer=sgd").identity.overrides == (f"I={BEST}", "sgd=SELECT")
    assert compose(lab, f"I={BEST}", "ints=[1,2]", "ints+=[3]").identity.overrides[0] == f"I={BEST}"
    assert compose(lab, f"I={BEST}", "launcher.slurm.hours=3").identity.overrides == (f"I={BEST}",)


def test_a_need_may_be_made_of_it(lab: Lab) -> None:
    lab.write("need.prototxt", "train { lr: 7 }")
    composed = compose(lab, f"name={{{{exp conf/need I={BEST} lr=2}}}}")
    [need] = composed.needs
    assert need.identity.overrides == (f"I={BEST}", "lr=2") and need.bests == (TUNE,)
    assert composed.bests == ()
    assert composed.identity.overrides == (f"name={{{{exp {ExpPattern(lab.project).exp_id(need.identity)}}}}}",)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("I.layer={{best conf/tune.py max=acc}}", "start below its task: I={{best …}}"),
        ("I={{best conf/tune.py max=}}", "'max=' names nothing"),
        ("I={{best conf/tune.py max=acc}}/x", "can't lie in an experiment's folder"),
        ("name={{best conf/tune.py max=}}", "'max=' names nothing"),
        ("name={{bset conf/tune.py max=acc}}", "unknown template"),
    ],
)
def test_what_is_wrong_is_said_with_the_override(lab: Lab, override: str, message: str) -> None:
    with pytest.raises(HeyhiError) as raised:
        compose(lab, override)
    assert message in str(raised.value)


# --- what it comes to ---


def test_its_overrides_come_before_a_configs_own(lab: Lab) -> None:
    lab.write("wide.prototxt", "width: 100 name: 'wide'")
    chosen = ["I.layer=conf/wide.prototxt", "adam.beta1=0.3", "i32=2", "lr=5", "name={{best conf/other.py max=x}}"]
    composed = compose(lab, f"I={BEST}", "lr=3", "layer.width=1")
    message = completed(lab, composed, chosen[:-1]).task_message
    expected = lab.composer().compose(CFG, [*chosen[:-1], "lr=3", "layer.width=1"]).task_message
    assert lab.data(message) == lab.data(expected)


def test_its_includes_are_those_that_were_read(lab: Lab) -> None:
    lab.write("wide.prototxt", "width: 100")
    composed = compose(lab, f"I={BEST}")
    assert composed.source is not None
    base = Base.of(lab.composer(), *composed.source, candidates=[["I.layer=conf/wide.prototxt"], ["lr=3"]])
    (lab.root / "conf/wide.prototxt").unlink()
    found = base.complete({TUNE.words: Chosen("/x", ("I.layer=conf/wide.prototxt",))}.get)
    assert found.task_message.layer.width == 100  # type: ignore[attr-defined]


def test_the_best_of_what_was_made_of_the_best_takes_over_both(lab: Lab) -> None:
    composed = compose(lab, "I={{best conf/seeds.py max=acc}}", "i32=4")
    assert composed.source is not None
    base = Base.of(lab.composer(), *composed.source, candidates=[[f"I={BEST}", "lr=3"], ["lr=9", "flag=true"]])
    winners = {
        "conf/seeds.py max=acc": Chosen("/s", (f"I={BEST}", "lr=3")),
        TUNE.words: Chosen("/t", ("flag=true", "lr=9")),
    }
    task = base.complete(winners.get).task_message
    assert (task.lr, task.flag, task.i32) == (3, True, 4)  # type: ignore[attr-defined]
    with pytest.raises(NeedsError, match=r"the best of conf/tune\.py isn't chosen yet"):
        base.complete({"conf/seeds.py max=acc": winners["conf/seeds.py max=acc"]}.get)


def test_needs_among_its_overrides_are_written_out(lab: Lab) -> None:
    lab.write("need.prototxt", "train { lr: 7 }")
    chosen = ["name={{exp conf/need}}"]
    composed = compose(lab, f"I={BEST}")
    found = completed(lab, composed, chosen)
    expected = lab.composer().compose(CFG, chosen)
    assert lab.data(found.task_message) == lab.data(expected.task_message)
    assert len(found.needs) == 1


def test_what_does_not_fit_is_said_with_the_sweep(lab: Lab) -> None:
    composed = compose(lab, f"I={BEST}")
    assert composed.source is not None
    base = Base.of(lab.composer(), *composed.source)
    with pytest.raises(OverrideError, match=r"the best of conf/tune\.py has what conf/cfg\.prototxt can't take over"):
        base.complete({TUNE.words: Chosen("/x", ("nothing=1",))}.get)
