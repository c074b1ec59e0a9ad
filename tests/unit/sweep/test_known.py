"""Records of what was run or handed over, and the index that takes them up: whole, by exp ids, wherever the root is."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.config.schema import Schema, load_schema
from heyhi.errors import ManifestError
from heyhi.project import Project
from heyhi.sweep.expand import expand
from heyhi.sweep.index import ManifestIndex, no_manifest
from heyhi.sweep.known import LaunchRecord, note_known, noting, read_known, read_launches, write_launch
from heyhi.sweep.manifest import Manifest, check_is_of, project_of
from heyhi.sweep.target import exp_id_of, exp_ids_of, folders_at, target_of, targets_at
from heyhi.sweep.write_manifest import write_manifest
from tests.other_user import as_another_user

TRAIN = "conf/c02_sup_train/sl.prototxt"
EVAL = "conf/c03_eval/eval.prototxt"
PART = st.from_regex(r"[A-Za-z0-9_=@+,][A-Za-z0-9._=@+,]{0,8}", fullmatch=True)
EXP_ID = st.lists(PART, min_size=1, max_size=4).map("/".join)


def known(project: Project) -> list[str]:
    return exp_ids_of(ManifestIndex.open(project).known(), project.results_root)


def written(project: Project, schema: Schema, *overrides: str, cfg: str = EVAL) -> Path:
    return write_manifest(expand(project, schema, [(cfg, overrides)]), project, schema)


def launch(project: Project, manifest: Path) -> Path:
    return write_launch(project, LaunchRecord.now("heyhi", ["launch", "x.py"], "x", manifest=manifest.name))


# --- exp ids


@given(EXP_ID, st.sampled_from(["/r", "/results root", "/a/b"]))
def test_an_exp_id_leads_to_its_folder_and_back(exp_id: str, root: str) -> None:
    (folder,) = folders_at([exp_id], root)
    assert folder == f"{root}/{exp_id}"
    assert exp_id_of(folder, root) == exp_id
    assert folders_at(["/elsewhere/x"], root) == ["/elsewhere/x"]
    assert exp_id_of("/elsewhere/x", root) == "/elsewhere/x"
    for project_root in (root, "/r", "/other"):
        targets = targets_at([exp_id, "/r/x"], root, project_root)
        assert targets == [target_of(path, project_root) for path in (folder, "/r/x")]


def test_a_root_of_two_names_has_each_experiment_once(tmp_path: Path) -> None:
    (tmp_path / "real/p/x").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    for folder in ("real/p/x", "link/p/x"):
        for root in ("real", "link"):
            assert exp_id_of(tmp_path / folder, tmp_path / root) == "p/x"


# --- records


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(EXP_ID, st.lists(EXP_ID, max_size=3, unique=True), max_size=4))
def test_what_is_noted_is_read_back_and_noted_once(
    tmp_path_factory: pytest.TempPathFactory, needs: dict[str, list[str]]
) -> None:
    project = Project(tmp_path_factory.mktemp("project"))
    first = note_known(project, needs)
    number = first.path.stat().st_ino
    again = note_known(project, dict(reversed(needs.items())))
    assert first.is_new and not again.is_new
    assert again.path == first.path and first.path.stat().st_ino == number
    assert read_known(first.path) == {exp_id: sorted(ids) for exp_id, ids in needs.items()}


def test_a_record_that_was_cut_short_is_said_and_written_anew(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    path = note_known(project, {"p/x": []}).path
    note_known(project, {"p/y": []})
    path.write_text(path.read_text()[:5])
    assert known(project) == ["p/y"]
    assert f"{path}: can't be read" in caplog.text
    assert note_known(project, {"p/x": []}).is_new
    assert known(project) == ["p/x", "p/y"]


def test_records_can_be_read_by_whom_the_umask_lets(project: Project) -> None:
    before = os.umask(0o002)
    try:
        paths = [note_known(project, {"p/x": []}).path, launch(project, Path("none.sqlite"))]
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o664, 0o664]
    assert [path.parent.stat().st_mode & 0o777 for path in paths] == [0o775, 0o775]


def test_what_comes_to_nothing_is_known_only_if_it_was_before(project: Project) -> None:
    note_known(project, {"p/old": []})
    for exp_id in ("p/old", "p/new"):
        with pytest.raises(KeyError), noting(project, {exp_id: []}):
            assert exp_id in known(project)
            raise KeyError
    assert known(project) == ["p/old"]


def test_a_launch_is_read_back_and_a_damaged_one_hides_no_other(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    record = LaunchRecord.now("heyhi", ["launch", "a b", "--x"], "label", manifest="m.sqlite")
    path = write_launch(project, record)
    path.with_name("20200101T000000-0.json").write_text("[]")
    assert read_launches(project) == [record]
    assert "20200101T000000-0.json: can't be read" in caplog.text
    assert read_launches(project._replace(results_override=Path("/nowhere"))) == []


def _note_many(project: Project, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    for number in range(20):
        note_known(project, {f"p/{number}": []})
        ManifestIndex.open(project).known()


def test_processes_that_note_at_once_lose_nothing(project: Project) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_note_many, args=(project, barrier)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert len(list((project.state_root / "known").iterdir())) == 20
    assert len(known(project)) == 20


# --- the index


def test_what_was_only_expanded_is_found_and_not_known(project: Project, schema: Schema) -> None:
    path = written(project, schema)
    folders = Manifest.open(path).folders
    index = ManifestIndex.open(project)
    assert index.known() == []
    assert all(index.has(folder) and index.find_to_look(folder) == path for folder in folders)
    assert not index.has(project.results_root / "p/other")
    launch(project, path)
    assert sorted(ManifestIndex.open(project).known()) == sorted(folders)


@pytest.mark.parametrize("first", ["manifest", "record"])
def test_a_launch_whose_manifest_comes_later_is_taken_up_with_it(project: Project, schema: Schema, first: str) -> None:
    path = written(project, schema, cfg=TRAIN)
    if first == "record":
        aside = path.rename(project.results_root.parent / "aside")
        launch(project, path)
        assert known(project) == []
        aside.rename(path)
    else:
        assert known(project) == []
        launch(project, path)
    assert len(known(project)) == 1


def test_a_launch_that_is_taken_back_is_not_known(project: Project, schema: Schema) -> None:
    record = launch(project, written(project, schema))
    assert len(known(project)) == 2
    record.unlink()
    assert known(project) == []


def test_needs_come_from_the_manifests_and_where_these_are_gone_from_the_record(
    project: Project, schema: Schema
) -> None:
    path = written(project, schema)
    with Manifest.open(path) as manifest:
        ((evaluation, (training,)),) = manifest.needed_folders.items()
    assert ManifestIndex.open(project).needs() == {evaluation: [training]}
    root = project.results_root
    note_known(project, {exp_id_of(evaluation, root): [exp_id_of(training, root)]})
    path.unlink()
    assert ManifestIndex.open(project).needs() == {evaluation: [training]}
    assert ManifestIndex.open(project).known() == [evaluation]


@pytest.fixture
def reachable(project: Project) -> Iterator[Project]:
    """Return the project with a results root that another user can get to."""
    with tempfile.TemporaryDirectory(prefix="heyhi-") as folder:
        Path(folder).chmod(0o755)
        yield project._replace(results_override=Path(folder) / "results")


@pytest.mark.parametrize("is_there", ["index", "no index", "old index", "damaged index"])
def test_who_may_only_read_is_answered_alike(reachable: Project, schema: Schema, is_there: str) -> None:
    project = reachable
    first = written(project, schema)
    launch(project, first)
    ManifestIndex.open(project)
    index = project.state_root / "index.sqlite"
    if is_there == "old index":
        launch(project, written(project, schema, "noise=0.7"))
    elif is_there != "index":
        index.unlink()
    if is_there == "damaged index":
        index.write_bytes(b"no database at all, but long enough to be read as one" * 100)
    project.state_root.chmod(0o555)

    def ask() -> list[str]:
        index = ManifestIndex.open(project)
        return [
            *map(str, (len(index.known()), len(index.needs()))),
            *{str(index.find_to_look(p)) for p in index.known()},
        ]

    told = as_another_user(ask)
    project.state_root.chmod(0o755)

    size = 3 if is_there == "old index" else 2  # both evaluations need one training
    assert told[:2] == [str(size), str(size - 1)]
    assert set(told[2:]) <= {str(p) for p in first.parent.iterdir()} and told[2:]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[Project, list[Path]]:
    """Three manifests, of which the last two share an experiment, aside of where they are looked for."""
    project = Project(repository, results_override=tmp_path_factory.mktemp("made"))
    schema = load_schema(project)
    points = (["noise=0.1"], ["noise=0.2"]), (["seed=4"],), (["seed=4"], ["seed=5"])
    sweeps = [[(EVAL if "noise" in words[0] else TRAIN, words) for words in sweep] for sweep in points]
    return project, [write_manifest(expand(project, schema, sweep), project, schema) for sweep in sweeps]


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_index_says_what_the_files_say(
    data: st.DataObject, three: tuple[Project, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is written, removed, cut short or moved, and whether the index was there or not."""
    made, manifests = three
    project = made._replace(results_override=tmp_path_factory.mktemp("root") / "results")
    clock = itertools.count(1)
    for _ in range(data.draw(st.integers(1, 12))):
        state = project.state_root
        match data.draw(st.sampled_from(["expand", "launch", "run", "remove", "cut", "index", "look", "move"])):
            case "expand":
                path = data.draw(st.sampled_from(manifests))
                (state / "manifests").mkdir(parents=True, exist_ok=True)
                shutil.copy(path, there := state / "manifests" / path.name)
                os.utime(there, ns=(moment := next(clock), moment))
            case "launch":
                launch(project, data.draw(st.sampled_from(manifests)))
            case "run":
                note_known(project, {data.draw(st.sampled_from(["p/x", "p/y"])): ["p/z"]})
            case "remove" if files := sorted(p for p in state.glob("*/*") if p.is_file()):
                data.draw(st.sampled_from(files)).unlink()
            case "cut" if files := sorted(state.glob("known/*")):
                data.draw(st.sampled_from(files)).write_text("{")
                (state / "index.sqlite").unlink(missing_ok=True)  # it would still know what was there
            case "index":
                (state / "index.sqlite").unlink(missing_ok=True)
            case "move" if state.exists():
                project = project._replace(results_override=project.results_root.with_name(f"moved{next(clock)}"))
                state.parent.rename(project.results_root)
            case _:
                ManifestIndex.open(project)
    index, root = ManifestIndex.open(project), project.results_root

    expected, newest, needing = set[str](), dict[str, Path](), dict[str, list[str]]()
    opened = {path.name: Manifest.open(path) for path in (project.state_root / "manifests").glob("*")}
    for path in (project.state_root / "known").glob("*"):
        with contextlib.suppress(ValueError):
            expected |= set(noted := read_known(path))
            needing |= noted
    for record in read_launches(project):
        expected |= set(opened[record.manifest].contents.exp_ids if record.manifest in opened else ())
    for manifest in sorted(opened.values(), key=lambda m: m.path.stat().st_mtime_ns):
        newest |= dict.fromkeys(manifest.folders, manifest.path)
        needing |= manifest.needed_exp_ids
    assert exp_ids_of(index.known(), root) == sorted(expected)
    assert index.find_all([*newest, "/elsewhere"]) == newest
    assert {folder: index.find_to_look(folder) for folder in newest} == newest
    found = index.needs()
    assert dict(zip(exp_ids_of(found, root), (exp_ids_of(n, root) for n in found.values()), strict=True)) == needing


def test_a_manifest_that_one_user_cannot_read_is_taken_up_for_those_who_can(reachable: Project, schema: Schema) -> None:
    path = written(reachable, schema)
    launch(reachable, path)
    (reachable.state_root / "index.sqlite").unlink()
    reachable.state_root.chmod(0o777)
    path.chmod(0)
    assert as_another_user(lambda: ManifestIndex.open(reachable).known()) == []
    path.chmod(0o400)
    assert len(ManifestIndex.open(reachable).known()) == 2


# --- results that were moved, and roots of two names


def test_records_stay_true_where_the_results_are_moved(project: Project, schema: Schema) -> None:
    path = written(project, schema)
    launch(project, path)
    before = known(project)
    moved = project._replace(results_override=project.results_root.parent / "elsewhere")
    project.results_root.rename(moved.results_root)
    assert known(moved) == before and not project.results_root.exists()
    with Manifest.open(moved.results_root / ".heyhi/manifests" / path.name) as manifest:
        assert sorted(manifest.folders) == ManifestIndex.open(moved).known()
        assert project_of(manifest).results_root == moved.results_root
        assert next(iter(manifest.experiments())).exp_path.is_relative_to(moved.results_root)
    # Expanded anew there, and moved back: each once.
    written(moved, schema)
    moved.results_root.rename(project.results_root)
    assert known(project) == before
    assert len(ManifestIndex.open(project).needs()) == 1


def test_a_root_of_two_names_has_one_index(project: Project, schema: Schema) -> None:
    link = project._replace(results_override=project.results_root.parent / "link")
    link.results_root.symlink_to(project.results_root)
    project.results_root.mkdir(parents=True)
    for one in (project, link):
        launch(one, written(one, schema, cfg=TRAIN))
    assert known(project) == known(link)
    assert len(known(project)) == 1
    for one in (project, link):  # what either has written may be run by both
        (folder,) = ManifestIndex.open(one).known()
        path = ManifestIndex.open(one).find_to_run(folder)
        assert path is not None and path.is_relative_to(one.results_root)
        with Manifest.open(path) as manifest:
            assert manifest.folders == [folder]
            check_is_of(manifest, one, "heyhi launch")


def test_a_manifest_of_results_that_were_moved_is_not_run(project: Project, schema: Schema) -> None:
    expansion = expand(project, schema, [(TRAIN, ["seed=3"])])
    path = write_manifest(expansion, project, schema, words=["--cfg", TRAIN, "seed=3"])
    moved = project._replace(results_override=project.results_root.parent / "elsewhere")
    project.results_root.rename(moved.results_root)
    with Manifest.open(moved.results_root / ".heyhi/manifests" / path.name) as manifest:
        (folder,) = manifest.folders
        assert ManifestIndex.open(moved).find_to_look(folder) == manifest.path
        assert ManifestIndex.open(moved).find_to_run(folder) is None
        with pytest.raises(ManifestError, match=f"expand it anew:\n  heyhi expand --cfg {TRAIN} seed=3"):
            check_is_of(manifest, moved, "heyhi launch")
    assert f"heyhi expand --cfg {TRAIN} seed=3" in str(no_manifest(moved, target_of(folder, moved.root)))


# --- words


def test_two_spellings_are_one_manifest_with_the_words_of_the_first(project: Project, schema: Schema) -> None:
    expansion = expand(project, schema, [(TRAIN, ["lr=0.1"])])
    first = write_manifest(expansion, project, schema, words=["--cfg", TRAIN, "lr=0.10"])
    assert write_manifest(expansion, project, schema, words=["--cfg", TRAIN, "lr=0.1"]) == first
    assert Manifest.open(first).words == ("--cfg", TRAIN, "lr=0.10")
    other = expand(project, schema, [(TRAIN, ["lr=0.2"])], pattern="q/%(redefines)s")
    assert Manifest.open(write_manifest(other, project, schema)).words == (
        *("--cfg", TRAIN, "lr=0.2", "--out", "q/%(redefines)s"),
    )


# --- clones


def test_a_clone_runs_only_what_it_has_expanded_itself(project: Project, schema: Schema) -> None:
    theirs = project._replace(root=project.results_root.parent / "clone", results_override=project.results_root)
    theirs.root.mkdir()
    own = written(project, schema, cfg=TRAIN)
    (folder,) = Manifest.open(own).folders
    newer = write_manifest(expand(project, schema, [(TRAIN, ())]), theirs, schema)
    assert newer != own

    assert ManifestIndex.open(project).find_to_look(folder) == newer
    assert ManifestIndex.open(project).find_to_run(folder) == own
    assert ManifestIndex.open(theirs).find_to_run(folder) == newer
    own.unlink()
    assert ManifestIndex.open(project).find_to_run(folder) is None
    text = str(no_manifest(project, target_of(folder, project.root)))
    assert f"was only expanded by the project {theirs.root}" in text
    assert text.endswith(f"heyhi expand --cfg {TRAIN}")


def test_code_from_elsewhere_is_not_run_from_here(project: Project, schema: Schema) -> None:
    expansion = expand(project, schema, [(TRAIN, ())])
    path = write_manifest(expansion, project, schema, code_root=Path("/elsewhere"))
    (folder,) = Manifest.open(path).folders
    assert ManifestIndex.open(project).find_to_run(folder) is None
    with Manifest.open(path) as manifest, pytest.raises(ManifestError):
        check_is_of(manifest, project, "heyhi launch")
