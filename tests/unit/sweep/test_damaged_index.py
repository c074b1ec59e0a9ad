"""An index that is damaged, or isn't there, or can't be written, answers as one that is made anew."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heyhi.sweep.index
from heyhi.config.schema import Schema
from heyhi.project import Project
from heyhi.sweep.expand import expand
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.known import LaunchRecord, note_known, write_launch
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.write_manifest import write_manifest

TRAIN = "conf/c02_sup_train/sl.prototxt"
EVAL = "conf/c03_eval/eval.prototxt"
PAGE = 4096
SEED = 9
NO_FILES: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere/at/all"),
}


@pytest.fixture(scope="module")
def made(repository: Path, schema: Schema, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A results root with an index of several pages: manifests, a launch, and experiments that were run alone."""
    project = Project(repository, results_override=tmp_path_factory.mktemp("made") / "results")
    points = [(EVAL, {"noise": number / 100}) for number in range(40)]
    write_manifest(expand(project, schema, points, label="wide"), project, schema)
    path = write_manifest(expand(project, schema, [(TRAIN, {"seed": n}) for n in range(3)], label="x"), project, schema)
    write_launch(project, LaunchRecord.now("heyhi launch", ["x.py"], "x", manifest=path.name))
    for number in range(40):
        note_known(project, {f"p/{'long' * 20}/{number}": [f"p/{'needed' * 10}"] if number % 7 == 0 else []})
    ManifestIndex.open(project)
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    shutil.copytree(made.results_root, tmp_path / "results")
    return made._replace(results_override=tmp_path / "results")


def index_of(project: Project) -> Path:
    return project.state_root / "index.sqlite"


def answers(project: Project) -> dict[str, Any]:
    """Ask an index all that it can be asked."""
    index = ManifestIndex.open(project)
    root = str(project.results_root)
    paths = [path for manifest in project.state_root.glob("manifests/*") for path in Manifest.open(manifest).folders]
    asked: dict[str, Any] = {
        "needs": index.needs(),
        "all": index.find_all([*paths, f"{root}/p/none"]),
        "look": [index.find_to_look(path) for path in paths],
        "has": [index.has(f"{root}/{exp_id}") for exp_id in ("p/none", f"p/{'long' * 20}/3")],
        "in": index.known_in(f"p/{'long' * 20}"),
        "known": index.known(),
    }
    return json.loads(json.dumps(asked, default=str).replace(root, "ROOT"))


def test_a_page_that_is_lost_is_no_matter(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    path = index_of(project)
    right, data = answers(project), path.read_bytes()
    assert len(right["known"]) == 43 and len(data) >= 10 * PAGE
    for start in range(0, len(data), PAGE):
        for lost in (bytes(PAGE), b"\xff" * PAGE, data[:PAGE]):
            if lost == data[start : start + PAGE]:
                continue
            path.write_bytes(data[:start] + lost + data[start + PAGE :])
            assert answers(project) == right
            caplog.clear()
            assert answers(project) == right and not caplog.records, "it is whole again"


def test_bits_that_have_turned_are_no_matter(project: Project) -> None:
    path = index_of(project)
    right, data = answers(project), path.read_bytes()
    turned = random.Random(SEED)
    for _ in range(100):
        changed = bytearray(data)
        for _ in range(turned.randint(1, 3)):
            changed[turned.randrange(len(changed))] ^= 1 << turned.randrange(8)
        path.write_bytes(changed)
        assert answers(project) == right


@pytest.mark.parametrize("kept", [0, 1, 16, 100, PAGE, PAGE + 1, 5 * PAGE])
def test_an_index_that_was_cut_short_is_made_anew(project: Project, kept: int) -> None:
    right, data = answers(project), index_of(project).read_bytes()
    index_of(project).write_bytes(data[:kept])
    assert answers(project) == right


@pytest.mark.parametrize("what", NO_FILES)
@pytest.mark.parametrize("suffix", ["", "-journal", "-wal"])
def test_what_is_no_file_is_removed(project: Project, what: str, suffix: str) -> None:
    right = answers(project)
    path = Path(f"{index_of(project)}{suffix}")
    path.unlink(missing_ok=True)
    NO_FILES[what](path)
    assert answers(project) == right
    assert index_of(project).is_file() and (not suffix or not os.path.lexists(path))


def test_what_cannot_be_removed_costs_time_and_a_line(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    right, path = answers(project), index_of(project)
    path.unlink()
    (path / "somebody's").mkdir(parents=True)
    assert answers(project) == right
    assert "can't be removed (Directory not empty)" in caplog.text and f"mv {path} {path}.old" in caplog.text
    assert (path / "somebody's").is_dir()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER bomb AFTER INSERT ON known BEGIN DELETE FROM known; END",
        "CREATE VIEW bomb AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
        "DROP TABLE known; CREATE VIEW known AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
        " SELECT x AS exp_id, NULL AS needs FROM n",
        "CREATE TABLE 'a \"table\" of' (x)",
        "PRAGMA user_version = 3",
        "DROP TABLE seal",
        "DELETE FROM seal",
        "DELETE FROM known WHERE exp_id LIKE '%/3'",
        "UPDATE expanded SET exp_id = CAST('p/x' AS BLOB) WHERE exp_id = (SELECT max(exp_id) FROM expanded)",
        "UPDATE known SET needs = '[1, {}]' WHERE needs IS NOT NULL",
        "PRAGMA journal_mode = WAL",
    ],
)
def test_what_somebody_has_put_into_it_is_not_asked(project: Project, statement: str) -> None:
    right = answers(project)
    connection = sqlite3.connect(index_of(project))
    connection.executescript(statement)
    connection.close()
    assert answers(project) == right


def test_what_is_locked_for_long_is_not_waited_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heyhi.sweep.index, "_BUSY_SECONDS", 0.1)
    right = answers(project)
    data = index_of(project).read_bytes()
    other = sqlite3.connect(index_of(project))
    other.execute("BEGIN EXCLUSIVE")
    assert answers(project) == right
    assert "index.sqlite: was locked for 0.1 s, so this command does without it" in caplog.text
    other.close()
    assert index_of(project).read_bytes() == data


def test_who_has_it_locked_is_waited_for_once_by_a_process(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(heyhi.sweep.index, "_BUSY_SECONDS", 0.3)
    right = ManifestIndex.open(project).known()
    waited: list[float] = []

    def open_to_write(path: Path, *, seconds: float) -> sqlite3.Connection:
        waited.append(seconds)
        return really(path, seconds=seconds)

    really = heyhi.sweep.database.open_to_write
    monkeypatch.setattr(heyhi.sweep.database, "open_to_write", open_to_write)
    other = sqlite3.connect(index_of(project))
    other.execute("BEGIN EXCLUSIVE")
    for _ in range(3):
        assert ManifestIndex.open(project).known() == right
    assert waited == [0.3, 0.1, 0.1] and caplog.text.count("was locked for 0.3 s") == 1
    other.close()


def test_an_index_that_turns_out_damaged_when_it_is_asked_is_made_anew(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    right = answers(project)["known"]
    index = ManifestIndex.open(project)
    data = index_of(project).read_bytes()
    index_of(project).write_bytes(data[:PAGE] + bytes(len(data) - PAGE))  # in place: the same file
    root = str(project.results_root)
    assert [path.replace(root, "ROOT") for path in index.known()] == right
    assert len(caplog.records) == 1 and "index.sqlite: was damaged (" in caplog.text


def _ask_known(project: Project, said: Any) -> None:
    said.put(sorted(ManifestIndex.open(project).known()))


def test_several_that_find_it_damaged_at_once_are_answered_alike(project: Project) -> None:
    right, data = sorted(ManifestIndex.open(project).known()), index_of(project).read_bytes()
    index_of(project).write_bytes(data[:PAGE] + bytes(len(data) - PAGE))
    context = multiprocessing.get_context("fork")
    said: Any = context.Queue()
    others = [context.Process(target=_ask_known, args=(project, said)) for _ in range(6)]
    for one in others:
        one.start()
    assert [said.get(timeout=120) for _ in others] == [right] * len(others)
    for one in others:
        one.join()
    assert sorted(ManifestIndex.open(project).known()) == right


def test_what_a_record_that_is_damaged_names_is_left_out_and_said(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    right = answers(project)["known"]
    (path,) = (one for one in project.state_root.glob("known/*") if f'{"long" * 20}/3"' in one.read_text())
    path.write_text(path.read_text().replace("/3", "/9999"))
    index_of(project).unlink()  # it would still know what was there
    assert [one for one in right if one not in answers(project)["known"]] == [f"ROOT/p/{'long' * 20}/3"]
    assert str(path) in caplog.text and "it was changed" in caplog.text


@pytest.mark.parametrize("damage", ["turned", "a FIFO", "a device", "a link to itself", "a link to nothing"])
def test_what_is_noted_again_mends_a_damaged_record(project: Project, damage: str) -> None:
    right, experiments = answers(project)["known"], {f"p/{'long' * 20}/3": list[str]()}
    path = note_known(project, experiments).path
    data = path.read_bytes()
    if damage == "turned":
        path.write_bytes(data[:-10] + b"X" + data[-9:])
    else:
        path.unlink()
        NO_FILES[damage](path)
    index_of(project).unlink()
    assert note_known(project, experiments) == (path, True)
    assert not path.is_symlink() and path.read_bytes() == data
    assert answers(project)["known"] == right
