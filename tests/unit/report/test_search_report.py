"""Reports of searches: a row a trial, the best so far, what was ended where, and which keys matter."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from heyhi.config.base import Base
from heyhi.config.identity import ExpPattern
from heyhi.config.schema import Schema, load_schema
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import PRUNED, End, Start
from heyhi.experiment.slots import Choice, SearchDir, SlotEnd
from heyhi.extras import install_line
from heyhi.project import Project, find_project
from heyhi.report.__main__ import main as report_main
from heyhi.report.gather import gather
from heyhi.report.known_sources import known_sources
from heyhi.report.page_data import page_of
from heyhi.report.page_payload import payload_of
from heyhi.report.page_search import search_payload
from heyhi.report.searched import Searched
from heyhi.report.shape import Shape
from heyhi.report.shaped import Shaped
from heyhi.report.source import Source
from heyhi.report.terminal import print_table
from heyhi.search.rung_files import RungFiles
from heyhi.serve import shown_sources
from heyhi.serve.board import Board
from heyhi.sweep.file import expand_sweep_file
from heyhi.sweep.known import LaunchRecord, note_known, write_launch
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.write_manifest import write_manifest

FILE = """\
import heyhi
SEARCH = heyhi.Search(
    cfg="conf/c02_sup_train/sl.prototxt", overrides={{"epochs": 9}},
    space={{"lr": "loguniform(1e-4,1)", "batch_size": "16,32,64"{space}}}, {aim}, trials={trials},
    stop=heyhi.ASHA(grace=3, factor=3),
)
"""


@dataclass
class Made:
    """A search of which a test says how its trials are."""

    project: Project
    manifest: Manifest
    folder: SearchDir
    base: Base

    def trial(self, slot: int, status: str = "DONE", value: float | None = 0.5, **chosen: Any) -> ExperimentDir:
        """Have a slot choose, and its experiment be so."""
        chosen = {"lr": 0.01 * (slot + 1), "batch_size": "32", **chosen}
        composed = self.base.compose(chosen)
        exp_id = ExpPattern(self.project).exp_id(composed.identity)
        place = self.folder.slot(slot)
        place.write_choice(Choice(exp_id, composed.identity.cfg, composed.identity.overrides, chosen))
        folder = ExperimentDir(self.project.results_root / exp_id, self.project.results_root)
        if status == "NOT_STARTED":
            return folder
        folder.path.mkdir(parents=True)
        folder.identity_path.write_text(json.dumps(composed.identity.to_dict()))
        folder.append_attempt(Start(1, pid=1, host="h"))
        if value is not None:
            folder.metrics_path.write_text(json.dumps({"epoch": 1, "val_accuracy": value}) + "\n")
        reason = {"DEAD": "failed", "PRUNED": PRUNED}.get(status, "")
        why = {"DEAD": "ValueError: boom", "PRUNED": "ended at epoch 3: val_accuracy 0.1"}.get(status, "")
        folder.append_attempt(End(1, exit_code=int(status == "DEAD"), reason=reason, exception=why, seconds=2.0))
        if status == "DONE":
            folder.write_result({} if value is None else {"val_accuracy": value})
        place.write_end(SlotEnd(exp_id, status, None if status == "DEAD" else value, why))
        return folder

    def shaped(self, **options: Any) -> Shaped:
        """Gather it."""
        return Shape(**options).apply(gather([Source.of(self.manifest, self.project)]))

    def printed(self, **options: Any) -> str:
        """Print it, as a pipe gets it."""
        out = io.StringIO()
        print_table(self.shaped(**options), out)
        return out.getvalue()


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Project:
    return find_project(repository)._replace(results_override=tmp_path / "results")


@pytest.fixture(scope="module")
def schema(repository: Path) -> Schema:
    return load_schema(find_project(repository))


@pytest.fixture
def made(project: Project, schema: Schema, tmp_path: Path) -> Callable[..., Made]:
    def make(trials: int = 6, space: str = "", end: str = "", aim: str = 'max="val_accuracy"') -> Made:
        path = tmp_path / "tune.py"
        path.write_text(FILE.format(trials=trials, space=space, aim=aim) + end)
        expansion = expand_sweep_file(project, schema, path)
        manifest = Manifest.open(write_manifest(expansion, project, schema))
        assert manifest.search is not None
        folder = SearchDir(project.results_root, manifest.search.search_id)
        return Made(project, manifest, folder, Base.from_bytes(manifest.base(), schema, project))

    return make


def test_a_row_is_a_trial_whatever_became_of_it_and_what_is_not_chosen_is_a_line(made: Callable[..., Made]) -> None:
    search = made(trials=6)
    search.trial(0, value=0.8)
    search.trial(1, "DEAD", value=None)
    search.trial(2, "PRUNED", value=0.1)
    search.trial(3, value=0.9, batch_size="64")
    search.trial(4, "NOT_STARTED")
    rungs = RungFiles(search.folder)
    for slot, value in ((0, 0.5), (2, 0.1), (3, 0.6)):
        rungs.note(3, slot, value)

    shaped = search.shaped()
    table = shaped.table
    assert table["trial"].tolist() == [0, 1, 2, 3, 4]
    assert table["status"].tolist() == ["DONE", "DEAD", "PRUNED", "DONE", "NOT_STARTED"]
    assert table["lr"].tolist() == [0.01, 0.02, 0.03, 0.04, 0.05]
    assert table["batch_size"].tolist() == [32, 32, 32, 64, 32]
    assert table["pruned_at"].tolist() == [None, None, 3, None, None]
    assert "boom" in table["reason"][1] and "ended at epoch 3" in table["reason"][2]
    assert table.attrs["varying"] == ["lr", "batch_size"] and table.attrs["constant"]["epochs"] == 9
    assert not [path for path in table["exp_path"] if "/slots/" in path]
    text = search.printed()
    assert "best so far: val_accuracy=0.9 by trial 3 (lr=0.04 batch_size=64)\n" in text
    assert "1 of 6 trials not started\n" in text
    assert "ended early: 1 at rung 3\n" in text
    assert "most important" not in text  # of two trials nobody can tell


def test_a_search_of_which_nothing_is_chosen_has_a_table_without_rows(made: Callable[..., Made]) -> None:
    search = made(trials=2)
    assert len(search.shaped().table) == 0
    assert search.printed() == "0 experiments\n2 of 2 trials not started\n"


@pytest.mark.parametrize("status", ["PRUNED", "DEAD"])
def test_a_trial_that_somebody_has_brought_to_its_end_since_counts_with_its_new_value(
    made: Callable[..., Made], status: str
) -> None:
    search = made(trials=3)
    search.trial(0, value=0.8)
    search.trial(1, status, value=0.1).write_result({"val_accuracy": 0.9})
    search.trial(2, "PRUNED", value=0.2)
    for slot in (1, 2):
        RungFiles(search.folder).note(3, slot, 0.1 * slot)

    text = search.printed()
    assert "best so far: val_accuracy=0.9 by trial 1 (lr=0.02 batch_size=32)\n" in text
    assert "ended early: 1 at rung 3\n" in text
    assert search.manifest.search is not None
    payload = search_payload(Searched.read(search.project.results_root, search.manifest.search), [])
    assert payload["states"] == ["done", "done", "pruned"] and payload["values"] == [0.8, 0.9, 0.2]


def test_only_what_is_done_counts_in_means_and_for_the_best(made: Callable[..., Made]) -> None:
    search = made()
    search.trial(0, value=0.2)
    search.trial(1, "PRUNED", value=0.9)
    search.trial(2, value=0.4)
    assert search.shaped(best="val_accuracy").table["trial"].tolist() == [2]
    means = search.shaped(group_by=("batch_size",), mean_over=("lr",)).table
    assert means["val_accuracy"].tolist() == [pytest.approx(0.3)] and means["n"].tolist() == [2]
    assert search.shaped(where=("trial>=1", "status!=PRUNED")).table["trial"].tolist() == [2]
    assert search.shaped(where=("epochs=9", "weight_decay!=0.7")).table["trial"].tolist() == [0, 1, 2]


def test_a_key_that_applies_in_some_trials_has_a_column_with_gaps(made: Callable[..., Made]) -> None:
    search = made(space=', "optimizer": "sgd,adam", "adam.beta1": "uniform(0.5,0.9)"')
    search.trial(0, optimizer="sgd")
    search.trial(1, optimizer="adam", **{"adam.beta1": 0.7})
    table = search.shaped().table
    assert table["optimizer"].tolist() == ["sgd", "adam"]
    assert table["adam.beta1"].tolist() == [None, 0.7]
    assert table.attrs["varying"] == ["lr", "batch_size", "optimizer", "adam.beta1"]


def test_the_keys_that_matter_most_are_named_once_enough_trials_are_done(made: Callable[..., Made]) -> None:
    search = made(trials=12)
    for slot in range(12):
        search.trial(slot, value=-abs(slot - 6) / 10, batch_size=str((16, 32, 64)[slot % 3]))
    shaped = search.shaped()
    (searched,) = shaped.searches
    assert next(iter(searched.importance)) == "lr" and sum(searched.importance.values()) == pytest.approx(1)
    assert "most important: lr " in search.printed()


def test_of_one_key_nothing_is_said_of_which_matters(made: Callable[..., Made]) -> None:
    search = made(trials=12)
    for slot in range(12):
        search.trial(slot, value=-abs(slot - 6) / 10)
    spec = search.manifest.search
    assert spec is not None
    searched = Searched.read(search.project.results_root, replace(spec, axes=spec.axes[:1]))
    assert not [line for line in searched.lines() if "most important" in line]
    payload = search_payload(searched, [])
    assert payload["importance"] == [] and payload["unknown"] == "importance of keys: the space has one key only"


def test_what_was_found_to_matter_is_kept_until_more_trials_are_done(
    made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = made(trials=12)
    for slot in range(11):
        search.trial(slot, value=slot / 10)
    first = search.shaped().searches[0].importance
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert search.shaped().searches[0].importance == first != {}
    search.trial(11, value=1.1)
    why = f"importance of keys needs optuna, which isn't installed here: {install_line('search')}\n"
    assert why in search.printed()


def test_what_was_found_to_matter_is_taken_over_where_it_was_found(
    made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = made(trials=13)
    for slot in range(12):
        search.trial(slot, value=-abs(slot - 6) / 10)
    spec = search.manifest.search
    assert spec is not None
    before = Searched.read(search.project.results_root, spec)
    search.trial(12, value=-0.6)
    now = Searched.read(search.project.results_root, spec)
    assert not now.take_importance(before), "nobody has asked yet"
    found = before.importance
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert now.take_importance(before)
    assert now.importance == found != {}


def test_a_sweep_files_own_columns_are_those_of_a_search_too(made: Callable[..., Made]) -> None:
    end = "def get_logs_data(handle):\n    return {'overrides': ' '.join(handle.overrides)}\n"
    search = made(end=end)
    search.trial(0)
    search.trial(1, "DEAD", value=None)
    table = search.shaped().table
    assert table["overrides"].tolist() == [f"batch_size=32 epochs=9 lr=0.0{slot}" for slot in (1, 2)]
    assert "val_accuracy" not in table


def test_the_aggregate_rule_writes_table_and_page_where_trials_were_ended_early_or_died(
    made: Callable[..., Made], tmp_path: Path
) -> None:
    search = made(trials=4)
    search.trial(0, value=float("nan"))
    search.trial(1, "DEAD", value=None)
    search.trial(2, "PRUNED", value=0.1)
    assert report_main([str(search.manifest.path), "--to", f"{tmp_path}/t.csv", "--to", f"{tmp_path}/t.html"]) == 0
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [(row["trial"], row["status"], row["lr"]) for row in rows] == [
        ("0", "DONE", "0.01"),
        ("1", "DEAD", "0.02"),
        ("2", "PRUNED", "0.03"),
    ]
    assert (tmp_path / "t.html").exists()


def test_trials_that_were_named_themselves_are_the_rows(made: Callable[..., Made]) -> None:
    search = made()
    for slot in range(3):
        search.trial(slot)
    source = Source(search.manifest, search.project, only=(search.manifest.targets[1],))
    shaped = Shape().apply(gather([source]))
    assert shaped.table["trial"].tolist() == [1] and list(shaped.searches[0].lines()) == []


def test_a_search_beside_a_sweep_has_its_rows_in_one_table(made: Callable[..., Made], tmp_path: Path) -> None:
    search, text = made(), "def yield_sweep():\n    yield 'conf/c02_sup_train/sl.prototxt', {'lr': 0.5}\n"
    search.trial(0)
    (tmp_path / "other.py").write_text(text)
    other = Source.open(search.project, tmp_path / "other.py")
    table = Shape().apply(gather([Source.of(search.manifest, search.project), other])).table
    assert table["trial"].tolist() == [0, None] and table["lr"].tolist() == [0.01, 0.5]


def test_slots_that_cannot_be_listed_are_told_and_other_sweeps_are_shown(made: Callable[..., Made]) -> None:
    search = made()
    search.folder.path.mkdir(parents=True)
    search.folder.slots_path.write_text("in the way")
    assert "problem " in search.printed() and "slots: can't be read" in search.printed()


def test_a_search_says_which_way_its_metric_is_better(made: Callable[..., Made]) -> None:
    search = made(aim='min="gap"')
    for slot, gap in enumerate((0.3, 0.1, 0.2)):
        folder = search.trial(slot)
        folder.metrics_path.write_text("".join(json.dumps({"epoch": e, "gap": gap + e % 2}) + "\n" for e in (1, 2, 3)))
    shaped = search.shaped(best="gap.best")
    assert shaped.table["trial"].tolist() == [1] and shaped.table["gap.best"].tolist() == [0.1]
    assert not [note for note in shaped.notes if "assumed" in note]


def test_trials_and_the_best_so_far_come_while_somebody_looks(
    made: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_sources, "_PART", 0)
    search = made(trials=4)
    board = Board(search.project, lambda: [Source.of(search.manifest, search.project)])

    def seen() -> dict[str, Any]:
        board.look()
        while board.is_unfinished:
            board.look()
        return dict(json.loads(board.data_json()))

    assert seen()["ids"] == []
    folder = search.trial(0, value=0.25)
    data = seen()
    assert len(data["ids"]) == 1 and "0.25" in data["searches"][0]["best"]
    search.trial(1, value=0.5)
    search.trial(2, "PRUNED", value=0.125)
    data, shaped = seen(), search.shaped()
    assert data["searches"] == [json.loads(json.dumps(search_payload(one, data["ids"]))) for one in shaped.searches]
    assert "0.5" in data["searches"][0]["best"]
    whole = payload_of(page_of(shaped, search.project, data["title"]), Path())
    assert data["runs"] == json.loads(json.dumps(whole["runs"]))
    version = board.version
    folder.metrics_path.write_text('{"epoch": 2, "val_accuracy": 0.75}\n')
    assert seen()["version"] > version


def test_a_search_is_shown_as_one_among_all_that_is_known(made: Callable[..., Made]) -> None:
    search = made(trials=4)
    root = search.project.results_root
    for slot in range(3):
        exp_id = search.trial(slot, value=slot / 10).path.relative_to(root).as_posix()
        note_known(search.project, {exp_id: []})  # as its job does
    label = search.manifest.label
    write_launch(search.project, LaunchRecord.now("heyhi search", [], label, manifest=search.manifest.path.name))

    def sources() -> list[Source]:
        return known_sources(search.project, lambda some: pytest.fail("composed"))

    (source,) = sources()
    assert (source.manifest.label, source.only) == (label, ())
    board = Board(search.project, sources, is_of_all=True)
    board.look()
    while board.is_unfinished:
        board.look()
    data = json.loads(board.data_json())
    assert len(data["ids"]) == 3 and [one["best"] for one in data["searches"]] == [
        search.shaped().searches[0].best_line
    ]


def test_a_trial_more_has_only_that_one_read(made: Callable[..., Made], tmp_path: Path) -> None:
    end = (
        "from pathlib import Path\n"
        "def get_logs_data(handle):\n"
        f"    with Path({str(tmp_path / 'read.txt')!r}).open('a') as file:\n"
        "        print(handle.exp_id.count('_'), handle.overrides[-1], file=file)\n"
        "    return {'made': handle.overrides[-1]}\n"
    )
    search = made(end=end)

    def read(slots: list[int]) -> list[str]:
        (tmp_path / "read.txt").write_text("")
        assert search.shaped().table["made"].tolist() == [f"lr=0.0{slot + 1}" for slot in slots]
        return [line.split()[1] for line in (tmp_path / "read.txt").read_text().splitlines()]

    def old(slot: int) -> None:
        for path in search.trial(slot).path.iterdir():
            os.utime(path, (1e9, 1e9))

    old(1)
    old(2)
    assert read([1, 2]) == ["lr=0.02", "lr=0.03"]
    assert read([1, 2]) == []
    old(0)  # it chose late
    old(4)
    assert read([0, 1, 2, 4]) == ["lr=0.01", "lr=0.05"]
    assert read([0, 1, 2, 4]) == []
