"""The trials of a search, read from its slots' files; what is kept of them may go or be damaged at any time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.experiment.slots import Choice, SlotEnd
from heyhi.search.kept_trials import KEPT_NAME
from heyhi.search.trial import Trial
from heyhi.search.trials import read_trials

if TYPE_CHECKING:
    from tests.unit.conftest import Lab
    from tests.unit.search.conftest import SearchInLab

Make = Callable[..., "SearchInLab"]


def write(one: SearchInLab, slot: int, status: str = "", value: float | None = 0.5) -> None:
    exp_id = f"p/cfg/{slot}" if status != "SKIPPED" else ""
    one.folder.slot(slot).write_choice(Choice(exp_id, chosen={"lr": slot / 8} if exp_id else {}))
    if status:
        one.folder.slot(slot).write_end(SlotEnd(exp_id, status, value))


def test_each_slot_that_has_chosen_is_a_trial(search: Make) -> None:
    one = search()
    write(one, 0, "DONE", 0.5)
    write(one, 1, "PRUNED", 0.25)
    write(one, 2, "DEAD", None)
    write(one, 3)
    write(one, 4, "SKIPPED", None)
    one.folder.slot(5).path.mkdir()
    for name in ("27/0001=0.25", "9/0001=0.125", "9/0003=1", "9/x", "9/0001", "tmp/0001=3"):
        (one.folder.rungs_path / name).parent.mkdir(parents=True, exist_ok=True)
        (one.folder.rungs_path / name).touch()
    assert read_trials(one.folder, one.spec) == [
        Trial(0, "p/cfg/0", {"lr": 0.0}, "done", 0.5),
        Trial(1, "p/cfg/1", {"lr": 0.125}, "pruned", 0.25, {27: 0.25, 9: 0.125}),
        Trial(2, "p/cfg/2", {"lr": 0.25}, "dead"),
        Trial(3, "p/cfg/3", {"lr": 0.375}, "running"),
    ]


def test_a_search_that_has_not_begun_has_none(search: Make) -> None:
    one = search()
    assert read_trials(one.folder, one.spec, keeps=True) == []


def test_what_is_final_is_read_once(search: Make) -> None:
    one = search()
    for slot in range(3):
        write(one, slot, "DONE", math.nan if slot == 1 else slot)
    first = read_trials(one.folder, one.spec, keeps=True)
    for slot in range(3):
        one.folder.slot(slot).choice_path.unlink()
    assert repr(read_trials(one.folder, one.spec)) == repr(first)
    (one.folder.path / KEPT_NAME).unlink()
    assert read_trials(one.folder, one.spec) == []


def test_a_slot_that_was_taken_back_or_ended_anew_is_read_anew(search: Make) -> None:
    one = search()
    for slot in range(3):
        write(one, slot, "DEAD", None)
    read_trials(one.folder, one.spec, keeps=True)
    one.folder.slot(0).result_path.rename(one.folder.path / "trash")
    one.folder.slot(1).result_path.rename(one.folder.path / "trash 2")
    one.folder.slot(1).write_end(SlotEnd("p/cfg/1", "DONE", 1.0))
    assert [trial.state for trial in read_trials(one.folder, one.spec)] == ["running", "done", "dead"]


def test_a_slot_whose_files_are_damaged_is_no_trial(search: Make) -> None:
    one = search()
    for slot in range(3):
        write(one, slot, "DONE" * (slot < 2))
    one.folder.slot(0).result_path.write_text("{")
    one.folder.slot(1).choice_path.write_text("{")
    one.folder.slot(2).choice_path.write_text("[]")
    write(one, 3, "DONE")
    one.folder.slot(3).choice_path.unlink()
    assert read_trials(one.folder, one.spec, keeps=True) == []
    write(one, 3)
    assert [trial.slot for trial in read_trials(one.folder, one.spec, keeps=True)] == [3]


@pytest.mark.parametrize("axes", [["lr"], []])
def test_what_is_kept_of_another_space_is_not_taken(search: Make, axes: list[str]) -> None:
    one, other = search({"lr": "1,2"}), search({"i32": "1,2"})
    write(one, 0, "DONE")
    read_trials(one.folder, one.spec, keeps=True)
    assert read_trials(one.folder, other.spec)[0].chosen == {"lr": 0.0}


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_kept_may_be_damaged_anyhow(shared_lab: Lab, search_in: Make, data: st.DataObject) -> None:
    one = search_in(shared_lab, {"lr": "1,2"}, seed=77)
    for slot in range(6):
        if not one.folder.slot(slot).choice_path.exists():
            write(one, slot, "DONE", slot)
    path = one.folder.path / KEPT_NAME
    path.unlink(missing_ok=True)
    expected = read_trials(one.folder, one.spec, keeps=True)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert read_trials(one.folder, one.spec) == expected
