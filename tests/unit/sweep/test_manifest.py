"""Manifests: what is written is read back, nothing else is taken for one, and the newest one is found."""

from __future__ import annotations

import gc
import multiprocessing
import sqlite3
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from heyhi.config.schema import Schema
from heyhi.errors import ManifestError
from heyhi.experiment.folder import ExperimentDir
from heyhi.project import Project
from heyhi.sweep.expand import Expansion, expand
from heyhi.sweep.index import ManifestIndex, no_manifest
from heyhi.sweep.known import LaunchRecord, write_launch
from heyhi.sweep.manifest import Manifest, manifests_on_disk
from heyhi.sweep.points import grid
from heyhi.sweep.target import target_of
from heyhi.sweep.write_manifest import write_manifest

TRAIN = "conf/c02_sup_train/sl.prototxt"
EVAL = "conf/c03_eval/eval.prototxt"


def find_manifest(project: Project, folder: str) -> Path | None:
    return ManifestIndex.open(project).find_to_look(folder)


def expansion(project: Project, schema: Schema, cfg: str = TRAIN, label: str = "demo", **space: object) -> Expansion:
    return expand(project, schema, [(cfg, point) for point in grid(space)], label=label)


def test_what_was_written_is_read_back(project: Project, schema: Schema) -> None:
    written = expansion(project, schema, EVAL, noise=[0.0, 0.2])
    manifest = Manifest.open(write_manifest(written, project, schema))

    assert list(manifest.experiments()) == written.experiments
    assert [e.exp_id for e in manifest.experiments(own=True)] == written.own
    assert manifest.all_targets == [str(e.target) for e in written.experiments]
    assert manifest.targets == [f"{folder}/result.json" for folder in written.folders]
    assert (manifest.label, manifest.sweep, manifest.entry) == ("demo", None, "run:main")
    assert (manifest.project_root, manifest.results_root) == (project.root, project.results_root)
    assert manifest.schema().digest == schema.digest


def test_a_sweep_of_thousands_is_read_back_and_found(project: Project, schema: Schema) -> None:
    written = expansion(project, schema, seed=range(5_000))
    path = write_manifest(written, project, schema)

    manifest = Manifest.open(path)
    manifest.check()
    assert [node.target for node in manifest.nodes()] == [f"{folder}/result.json" for folder in written.folders]
    assert ManifestIndex.open(project).find_all(written.folders) == dict.fromkeys(written.folders, path)


def test_one_experiment_is_read_with_its_needs(project: Project, schema: Schema) -> None:
    training, evaluation = expansion(project, schema, EVAL, noise=[0.0]).experiments
    manifest = Manifest.open(write_manifest(expansion(project, schema, EVAL, noise=[0.0]), project, schema))

    assert manifest.experiment(str(evaluation.target)) == evaluation
    assert manifest.needs(str(evaluation.target)) == [str(training.target)]
    assert manifest.needs(str(training.target)) == []
    assert str(training.target) in manifest
    assert "elsewhere/result.json" not in manifest
    with pytest.raises(ManifestError, match="has no experiment elsewhere"):
        manifest.experiment("elsewhere/result.json")


def test_the_entries_of_some_are_as_those_of_all(project: Project, schema: Schema) -> None:
    written = expansion(project, schema, EVAL, noise=[0.0, 0.2])
    manifest = Manifest.open(write_manifest(written, project, schema))

    entries, own = manifest.entries()
    assert [entries[place][0] for place in own] == written.own
    targets = [f"{folder}/result.json" for _, folder, *_ in entries]
    assert manifest.entries_of(reversed(targets)) == entries[::-1]
    assert manifest.entries_of([]) == []
    with pytest.raises(ManifestError, match="has no experiment elsewhere"):
        manifest.entries_of(["elsewhere/result.json"])


def test_own_experiments_keep_the_order_of_the_sweep(project: Project, schema: Schema) -> None:
    # The training is needed by the first point, and a point itself.
    points = [(EVAL, {"noise": 0.5}), (TRAIN, {}), (EVAL, {"noise": 0.1})]
    written = expand(project, schema, points, label="demo")
    manifest = Manifest.open(write_manifest(written, project, schema))

    assert [target_of(project.results_root / i, project.root) for i in written.own] == manifest.targets
    assert manifest.all_targets.index(manifest.targets[1]) < manifest.all_targets.index(manifest.targets[0])


def test_targets_are_relative_to_the_project_where_they_lie_inside(repository: Path) -> None:
    assert target_of(repository / "results/p/a", repository) == "results/p/a/result.json"
    assert target_of(Path("/checkpoint/me/a"), repository) == "/checkpoint/me/a/result.json"


def test_the_same_sweep_has_one_manifest_and_another_sweep_another(project: Project, schema: Schema) -> None:
    first = write_manifest(expansion(project, schema, seed=[1, 2]), project, schema)
    inode = first.stat().st_ino
    again = write_manifest(expansion(project, schema, seed=[1, 2]), project, schema)
    other = write_manifest(expansion(project, schema, seed=[2, 1]), project, schema)
    recoded = write_manifest(expansion(project, schema, seed=[1, 2]), project, schema, code_root=Path("/elsewhere"))

    assert again == first and again.stat().st_ino == inode
    assert len({first, other, recoded}) == 3
    assert not first.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    assert [p.name for p in first.parent.iterdir() if p.name.startswith(".")] == []


def test_links_that_lead_nowhere_among_manifests_hide_none_of_them(project: Project, schema: Schema) -> None:
    path = write_manifest(expansion(project, schema, seed=[1]), project, schema)
    (path.parent / "gone-0.sqlite").symlink_to("nowhere")  # as one that is removed while they are listed
    (path.parent / "round-0.sqlite").symlink_to("round-0.sqlite")
    assert list(manifests_on_disk(path.parent)) == [path.name]
    assert find_manifest(project, Manifest.open(path).own_folders[0]) == path


def test_a_target_leads_to_the_manifest_it_was_expanded_into_last(project: Project, schema: Schema) -> None:
    wide = write_manifest(expansion(project, schema, seed=[1, 2]), project, schema)
    narrow = write_manifest(expansion(project, schema, seed=[2]), project, schema)
    one, two = Manifest.open(wide).own_folders

    assert find_manifest(project, one) == wide
    assert find_manifest(project, two) == narrow
    write_manifest(expansion(project, schema, seed=[1, 2]), project, schema)
    assert find_manifest(project, two) == wide
    assert ManifestIndex.open(project).find_all([one, two, "/elsewhere"]) == {one: wide, two: wide}


@pytest.mark.parametrize("damage", ["remove", "overwrite", "folder"])
def test_the_index_is_made_anew_when_it_is_lost_or_damaged(project: Project, schema: Schema, damage: str) -> None:
    wide = write_manifest(expansion(project, schema, seed=[1, 2]), project, schema)
    narrow = write_manifest(expansion(project, schema, seed=[2]), project, schema)
    one, two = Manifest.open(wide).own_folders
    write_launch(project, LaunchRecord.now("snakemake", [], "demo", manifest=wide.name))
    assert ManifestIndex.open(project).known() == [one, two]
    index = project.state_root / "index.sqlite"
    index.unlink()
    if damage == "overwrite":
        index.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    if damage == "folder":
        index.mkdir()

    assert find_manifest(project, one) == wide
    assert find_manifest(project, two) == narrow
    assert ManifestIndex.open(project).known() == [one, two]


def test_an_index_can_be_dropped_by_another_thread_than_opened_it(project: Project, schema: Schema) -> None:
    write_manifest(expansion(project, schema, lr=[0.1]), project, schema)
    index = [ManifestIndex.open(project)]
    thread = threading.Thread(target=index.clear)
    thread.start()
    thread.join()
    gc.collect()


def test_a_removed_manifest_leaves_its_targets_to_the_older_ones(project: Project, schema: Schema) -> None:
    wide = write_manifest(expansion(project, schema, seed=[1, 2]), project, schema)
    narrow = write_manifest(expansion(project, schema, seed=[2]), project, schema)
    two = Manifest.open(narrow).own_folders[0]

    assert find_manifest(project, two) == narrow
    narrow.unlink()
    assert find_manifest(project, two) == wide


def test_a_target_in_no_manifest_is_an_error_that_names_the_command(project: Project, schema: Schema) -> None:
    text = str(no_manifest(project, "results/p/x/result.json"))
    assert "results/p/x/result.json: is in no manifest" in text and "heyhi expand" in text
    experiment = expansion(project, schema, seed=[7]).experiments[0]
    ExperimentDir(experiment.exp_path).prepare(experiment, schema)
    assert f"heyhi expand --cfg {TRAIN} seed=7" in str(no_manifest(project, str(experiment.target)))


@pytest.mark.parametrize("kept", [0, 50, 5000, -100])
def test_a_manifest_that_was_cut_short_is_an_error(project: Project, schema: Schema, kept: int) -> None:
    path = write_manifest(expansion(project, schema, seed=range(50)), project, schema)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:kept])

    with pytest.raises(ManifestError, match="heyhi expand"):
        Manifest.open(path)
    assert Manifest.open(write_manifest(expansion(project, schema, seed=range(50)), project, schema)).targets


@pytest.mark.parametrize("content", [b"", b"no database", b'{"targets": []}'])
def test_a_file_that_is_no_database_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.sqlite"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"m.sqlite: is no manifest"):
        Manifest.open(path)


def test_a_missing_file_and_a_foreign_database_are_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such manifest"):
        Manifest.open(tmp_path / "none.sqlite")
    with pytest.raises(ManifestError, match="is a folder, no manifest"):
        Manifest.open(tmp_path)
    with sqlite3.connect(tmp_path / "foreign.sqlite") as connection:
        connection.execute("CREATE TABLE meta (key, value)")
    connection.close()
    with pytest.raises(ManifestError, match="is no manifest of HeyHi"):
        Manifest.open(tmp_path / "foreign.sqlite")


def change(path: Path, *statements: str) -> None:
    path.chmod(0o644)
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_newer_format_says_so(project: Project, schema: Schema) -> None:
    path = write_manifest(expansion(project, schema, seed=[1]), project, schema)
    change(path, "PRAGMA user_version = 99")
    with pytest.raises(ManifestError, match="newer HeyHi"):
        Manifest.open(path)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('it\'s "one"; DROP TABLE experiment; -- ?1 λ', id="quotes"),
        pytest.param("more than a statement may be" * 50_000, id="long"),
    ],
)
def test_what_all_experiments_have_alike_is_written_as_it_is(project: Project, schema: Schema, text: str) -> None:
    written = expansion(project, schema, seed=range(3))
    same = [one._replace(task=text, given=(text,)) for one in written.planned]
    path = write_manifest(replace(written, planned=same), project, schema)

    manifest = Manifest.open(path)
    manifest.check()
    assert [one.task for one in manifest.experiments()] == [text] * 3
    assert manifest.given(manifest.targets[2]) == [text]


@pytest.mark.parametrize("column", ["config = x'0102'", "overrides = '[]'", "needs = 'no JSON'", "exp_id = 'p/other'"])
def test_a_row_that_was_changed_is_noticed(project: Project, schema: Schema, column: str) -> None:
    path = write_manifest(expansion(project, schema, seed=[1]), project, schema)
    change(path, f"UPDATE experiment SET {column}")
    with pytest.raises(ManifestError, match="changed"):
        Manifest.open(path).experiment(Manifest.open(path).targets[0])


def test_a_results_root_that_cannot_be_written_is_one_message(project: Project, schema: Schema) -> None:
    project.results_root.parent.mkdir(exist_ok=True)
    project.results_root.write_text("a file where the folder should be")
    written = Expansion([], [], label="demo")
    with pytest.raises(ManifestError, match="can't be written there: Not a directory"):
        write_manifest(written, project, schema)


def test_a_node_says_what_an_experiment_needs_and_what_is_reserved_for_it(project: Project, schema: Schema) -> None:
    points = [(EVAL, ["launcher.local.cpus=2"])]
    manifest = Manifest.open(write_manifest(expand(project, schema, points, label="demo"), project, schema))
    training, evaluation = manifest.nodes()
    assert (training.needs, training.resources) == ((), {})
    assert (evaluation.needs, evaluation.resources) == ((training.target,), {"threads": 2})
    assert manifest.node(evaluation.target) == evaluation
    assert manifest.node("elsewhere/result.json") is None


def _write(project: Project, schema: Schema, label: str, count: int, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    for i in range(3):
        write_manifest(expansion(project, schema, label=label, seed=range(count + i)), project, schema)


def test_processes_that_write_at_once_leave_whole_manifests_and_one_index(project: Project, schema: Schema) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    jobs = [("demo", 5), ("demo", 5), ("demo", 6), ("other", 5)]
    processes = [context.Process(target=_write, args=(project, schema, *job, barrier)) for job in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [p.exitcode for p in processes] == [0, 0, 0, 0]
    folder = project.state_root / "manifests"
    assert sorted(len(Manifest.open(p).targets) for p in folder.iterdir()) == [5, 5, 6, 6, 7, 7, 8]
    targets = {folder for p in folder.iterdir() for folder in Manifest.open(p).folders}
    assert len(targets) == 8
    assert {getattr(find_manifest(project, t), "name", None) for t in targets} <= {p.name for p in folder.iterdir()}
