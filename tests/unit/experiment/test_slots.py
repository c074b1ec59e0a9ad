"""The slots of a search: their names, and what is written down of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.errors import UnknownError
from heyhi.experiment.names import is_slot, result_of
from heyhi.experiment.slots import Choice, SearchDir, SlotEnd, note_slot, shown_folder, slot_id, slots_of
from heyhi.sweep.search_spec import AshaSpec, Axis, SearchSpec
from heyhi.sweep.target import exp_ids_of, folder_of, folders_of, is_target, target_of, targets_at

ID = "0123456789abcdef"


@pytest.mark.parametrize("number", [0, 7, 9999, 12345])
def test_a_slot_s_target_is_a_file_beside_its_folder_and_leads_back_to_it(number: int) -> None:
    exp_id = slot_id(ID, number)
    folder = f"/root/results/{exp_id}"
    target = target_of(folder, "/root")
    assert target == f"results/{exp_id}.json" == targets_at([exp_id], "/root/results", "/root")[0]
    assert is_target(target) and folder_of(target, "/root") == folder == folders_of([target], "/root")[0]
    assert folder_of(f"/elsewhere/{exp_id}.json", "/root") == f"/elsewhere/{exp_id}"
    assert exp_ids_of([folder], "/root/results") == [exp_id] and is_slot(exp_id) and is_slot(folder)


@pytest.mark.parametrize("path", ["p/a/slots/0007", f"searches/{ID}/slots/x", f"searches/{ID}/0007", "slots/0007", ""])
def test_another_folder_is_no_slot(path: str) -> None:
    assert not is_slot(path) and result_of(path) == f"{path}/result.json"


def test_what_is_written_of_a_slot_is_read_back(tmp_path: Path) -> None:
    slot = SearchDir(tmp_path, ID).slot(7)
    assert slot.number == 7 and slot.search.search_id == ID and slot.search.results_root == tmp_path
    assert slot.read_choice() is None and slot.read_end() is None
    choice = Choice("p/c/lr=0.1_0", "conf/c.prototxt", ("lr=0.1",), {"lr": 0.1, "optimizer": "adam"}, time="now")
    slot.write_choice(choice)
    slot.write_choice(Choice("p/other"))  # it is for ever
    assert slot.read_choice() == choice
    end = SlotEnd("p/c/lr=0.1_0", "DONE", 0.93, time="later")
    slot.write_end(end)
    assert slot.read_end() == end and slot.result_path == tmp_path / "searches" / ID / "slots" / "0007.json"
    assert shown_folder(str(slot.path)) == str(tmp_path / "p/c/lr=0.1_0")


def test_a_damaged_record_of_a_slot_is_told(tmp_path: Path) -> None:
    slot = SearchDir(tmp_path, ID).slot(7)
    slot.path.mkdir(parents=True)
    for text in ("", "[]", '{"exp_id": 7}', "{"):
        slot.choice_path.write_text(text)
        slot.result_path.write_text(text)
        for read in (slot.read_choice, slot.read_end):
            with pytest.raises(UnknownError, match="damaged"):
                read()
        assert shown_folder(str(slot.path)) == str(slot.path)


def test_an_experiment_leads_back_to_its_slots(tmp_path: Path) -> None:
    assert slots_of(tmp_path) == []
    for number in (7, 8, 7):
        note_slot(tmp_path, slot_id(ID, number))
    assert slots_of(tmp_path) == [slot_id(ID, 7), slot_id(ID, 8)]
    (tmp_path / "search.json").write_text("[")
    assert slots_of(tmp_path) == []


def test_a_search_is_the_same_with_more_trials() -> None:
    axes = (Axis("lr", "float", low=1e-4, high=1, log=True), Axis("optimizer", "choice", ("sgd", "adam")))
    axes = (*axes, Axis("adam.beta1", "float", low=0.8, high=0.99, only_if=(("optimizer", "adam"),)))
    spec = SearchSpec("conf/c.prototxt", ("epochs=3",), axes, "val_accuracy", "max", 10, stop=AshaSpec(3, 3))
    assert SearchSpec.from_json(spec.to_json()) == spec
    assert axes[2].applies({"optimizer": "adam"}) and not axes[2].applies({"optimizer": "sgd"})
    more = SearchSpec(spec.cfg, spec.overrides, axes, "val_accuracy", "max", 20, parallel=4, stop=AshaSpec(3, 3))
    assert more.search_id == spec.search_id
    assert SearchSpec(spec.cfg, spec.overrides, axes, "loss", "min", 10).search_id != spec.search_id
