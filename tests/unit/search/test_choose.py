"""The choice of a slot: for ever, of a point that nobody has, and the same whoever makes it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.errors import ExtraError, SweepError
from heyhi.experiment.claim import Claim
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_status
from heyhi.search.kept_trials import KEPT_NAME
from heyhi.search.trials import read_trials

if TYPE_CHECKING:
    from tests.unit.conftest import Lab
    from tests.unit.search.conftest import SearchInLab

Make = Callable[..., "SearchInLab"]


def test_a_choice_says_which_experiment_it_is_and_stays(search: Make) -> None:
    one = search()
    choice = one.choose(7)
    composed = one.base.compose(choice.chosen)
    assert (choice.cfg, choice.overrides) == (composed.identity.cfg, composed.identity.overrides)
    assert choice.exp_id.startswith("p/cfg/")
    one.choose(3)
    assert one.choose(7) == choice == one.folder.slot(7).read_choice()


def test_what_is_chosen_follows_from_the_trials_and_the_slot(search: Make) -> None:
    one = search()
    for slot in range(14):
        one.choose(slot)
        one.end(slot, value=slot / 20)
    first = one.choose(20)
    one.folder.slot(20).choice_path.unlink()
    assert one.choose(20).chosen == first.chosen
    one.folder.slot(20).choice_path.unlink()
    assert one.choose(21).chosen != first.chosen


def test_what_is_drawn_lies_in_the_space_and_has_four_digits(search: Make) -> None:
    one = search({"lr": "loguniform(1e-4,1)", "i64": "loguniform(1,512)", "single": "uniform(-1,1)"})
    for slot in range(20):
        chosen = one.choose(slot).chosen
        one.end(slot, value=chosen["lr"])
        assert 1e-4 <= chosen["lr"] <= 1
        assert float(f"{chosen['lr']:.4g}") == chosen["lr"]
        assert type(chosen["i64"]) is int
        assert 1 <= chosen["i64"] <= 512


def test_conditional_keys_are_chosen_where_they_apply(search: Make) -> None:
    one = search()
    for slot in range(16):
        choice = one.choose(slot)
        one.end(slot, value=choice.chosen["lr"])
        assert ("adam.beta1" in choice.chosen) == (choice.chosen["optimizer"] == "adam")
        task = one.base.compose(choice.chosen).task_message
        assert task.WhichOneof("optimizer") == choice.chosen["optimizer"]


def test_files_are_chosen_between(search: Make, lab: Lab) -> None:
    for width, name in enumerate(["small", "large"]):
        lab.write(f"common/layer/{name}.prototxt", f"width: {width}")
    one = search({"I.layer": "small,large"})
    found = [one.choose(slot) for slot in range(3)]
    assert sorted(choice.overrides for choice in found[:2]) == [
        ("I.layer=conf/common/layer/large.prototxt",),
        ("I.layer=conf/common/layer/small.prototxt",),
    ]
    assert found[2].exp_id == ""
    assert one.base.compose(found[0].chosen).task_message.layer.width == (found[0].chosen["I.layer"] == "large")


def test_tpe_finds_more_than_chance_does(search: Make) -> None:
    def best(sampler: str) -> float:
        one = search({"lr": "uniform(0,1)", "single": "uniform(0,1)"}, sampler=sampler, seed=1)
        found = []
        for slot in range(30):
            chosen = one.choose(slot).chosen
            found.append(-((chosen["lr"] - 0.3) ** 2) - (chosen["single"] - 0.7) ** 2)
            one.end(slot, value=found[-1])
        return max(found)

    assert best("tpe") > best("random")


def test_no_point_is_chosen_twice_and_a_space_that_is_used_up_says_so(search: Make) -> None:
    one = search({"i32": "range(3)", "flag": "true,false"})
    found = [one.choose(slot) for slot in range(8)]
    assert len({choice.exp_id for choice in found[:6]}) == 6
    assert [choice.exp_id for choice in found[6:]] == ["", ""]
    assert found[6].reason == "all points of the space are taken"


def test_points_that_come_to_one_experiment_are_one(search: Make) -> None:
    one = search({"ints": "[1],[1 ],[2]"})
    found = [one.choose(slot).exp_id for slot in range(3)]
    assert len(set(found[:2])) == 2
    assert found[2] == ""


def test_what_is_done_elsewhere_is_taken(search: Make) -> None:
    one = search({"i32": "1,2"})
    exp_id = one.choose(0).exp_id
    one.folder.slot(0).choice_path.unlink()
    one.write_result(exp_id, {"score": 1})
    assert one.choose(0).exp_id == exp_id


def test_what_somebody_else_runs_is_not_chosen(search: Make) -> None:
    one = search({"i32": "1,2"})
    first = one.choose(0).exp_id
    one.folder.slot(0).choice_path.unlink()
    claim = Claim.acquire(one.experiment(first))
    assert isinstance(claim, Claim)
    with claim:
        assert one.choose(0).exp_id not in ("", first)
        last = one.choose(1)
    assert last.exp_id == ""
    assert last.reason == "all points of the space are taken, 1 of them by others"


@pytest.mark.parametrize(("reason", "status"), [("failed", Status.DEAD), ("pruned", Status.PRUNED)])
def test_what_died_or_was_ended_early_elsewhere_goes_on(search: Make, reason: str, status: Status) -> None:
    one = search({"i32": "1,2"})
    first = one.choose(0).exp_id
    one.folder.slot(0).choice_path.unlink()
    records = [{"event": "start", "attempt": 1}, {"event": "end", "attempt": 1, "reason": reason}]
    folder = one.started(first, one.base.compose({"i32": first.partition("i32=")[2][0]}))
    (folder / "attempts.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    assert find_status(one.experiment(first)) is status
    assert one.choose(0).exp_id == first


def test_a_search_whose_trials_do_not_have_its_aim_chooses_no_more(search: Make) -> None:
    one = search(max="val_acuracy")
    one.choose(0)
    choice = one.choose(1)
    one.end(0, "DEAD", None)
    one.choose(2)  # nobody knows yet
    one.end(1, value=None)
    one.write_result(choice.exp_id, {"val_accuracy": 0.5})
    (one.experiment(choice.exp_id) / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    with pytest.raises(SweepError) as caught:
        one.choose(3)
    said = str(caught.value)
    assert "has no 'val_acuracy' (did you mean 'val_accuracy'?)" in said
    assert "which its search is about (it has: loss, val_accuracy): no more trials are started" in said
    assert said.startswith("trial 1 is done")
    assert not one.folder.slot(3).choice_path.exists()
    one.end(2, "PRUNED", 0.25)  # it was logged, after all
    assert one.choose(3).exp_id


def test_one_trial_without_the_aim_counts_as_failed(search: Make) -> None:
    one = search()
    for slot, value in enumerate([None, 0.5, float("nan"), float("inf")]):
        one.choose(slot)
        if slot:
            one.end(slot, value=value)
    one.end(0, value=None)
    assert one.choose(4).exp_id


def test_without_optuna_the_extra_is_named(search: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = search()
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        ExtraError, match=r"a search needs optuna, which isn't installed here: pip install .*\[search\]"
    ):
        one.choose(0)


def test_what_optuna_says_in_a_task_is_as_it_was(search: Make, capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    before = optuna.logging.get_verbosity()
    search().choose(0)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr().err == ""


def test_a_chooser_that_is_killed_leaves_its_turn_to_the_next(search: Make) -> None:
    one = search()
    one.folder.choosing_path.mkdir(parents=True)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        claim = Claim.acquire(one.folder.choosing_path)
        os.write(writer, b"1" if isinstance(claim, Claim) else b"0")
        signal.pause()
    assert os.read(reader, 1) == b"1"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert one.choose(0).exp_id


def _choose_in(one: SearchInLab, slot: int, results: Any) -> None:
    results.put((slot, one.choose(slot).exp_id))


def test_slots_that_choose_at_once_choose_one_after_the_other(search: Make) -> None:
    one = search({"i32": "range(6)"})
    one.choose(0)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=_choose_in, args=(one, slot, results)) for slot in range(1, 6)]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    assert len(set(found.values())) == 5
    assert "" not in found.values()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_however_slots_come_go_and_are_killed_no_experiment_is_two_trials(
    shared_lab: Lab, search_in: Make, data: st.DataObject
) -> None:
    space = {"i32": "range(4)", "optimizer": "sgd,adam", "adam.beta1": "0.5,0.9"}
    one = search_in(shared_lab, space, seed=data.draw(st.integers(0, 3)))
    shutil.rmtree(one.lab.project.results_root, ignore_errors=True)
    chosen: dict[int, str] = {}
    for _ in range(data.draw(st.integers(1, 16))):
        slot = data.draw(st.integers(0, 13))
        what = data.draw(st.sampled_from(["choose", "killed before", "end", "forget what is kept"]))
        if what == "choose":
            exp_id = one.choose(slot).exp_id
            assert chosen.setdefault(slot, exp_id) == exp_id
        elif what == "killed before":  # with a folder, and no choice
            one.folder.slot(slot).path.mkdir(parents=True, exist_ok=True)
        elif what == "end" and chosen.get(slot):
            one.end(slot, data.draw(st.sampled_from(["DONE", "DEAD", "PRUNED"])), data.draw(st.floats(0, 1)))
        else:
            (one.folder.path / KEPT_NAME).unlink(missing_ok=True)
    some = [exp_id for exp_id in chosen.values() if exp_id]
    assert len(some) == len(set(some))
    assert {trial.exp_id for trial in read_trials(one.folder, one.spec)} == set(some)
