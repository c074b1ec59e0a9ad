"""What `heyhi clean` removes and what it never does, by random trees of experiments, and by hand."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.code.snapshot import take_snapshot
from heyhi.config.schema import Schema, load_schema
from heyhi.control import needed as needed_module
from heyhi.control import removal as removal_module
from heyhi.control.clean import CleanPlan, Kind, plan_experiments, plan_rubbish
from heyhi.control.needed import find_needed
from heyhi.control.removal import remove
from heyhi.control.survey import Part, Survey
from heyhi.errors import ProjectError
from heyhi.experiment.checkpoints import Keep, Pattern, find_checkpoints
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import is_record
from heyhi.experiment.notes import Notes, write_note
from heyhi.experiment.records import End, Start, Submission
from heyhi.files import measure
from heyhi.project import Project, Settings
from heyhi.slurm.commands import Job
from heyhi.sweep.expand import Expansion, expand
from heyhi.sweep.known import LaunchRecord, note_known
from heyhi.sweep.manifest import manifests_root
from heyhi.sweep.target import exp_id_of, exp_ids_of
from heyhi.sweep.write_manifest import write_manifest

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 1; Check check = 2; } }
message Work { int32 seed = 1; }
message Check { string of = 1; int32 noise = 2; }
"""
NOBODY = 65534
DAY = 86_400


class World:
    """A project in a folder, whose experiments are put on disk as runs leave them."""

    def __init__(self, root: Path, schema: Schema | None = None) -> None:
        (root / "conf").mkdir(parents=True)
        (root / "conf/conf.proto").write_text(PROTO)
        (root / "conf/work.prototxt").write_text("work {}\n")
        (root / "conf/check.prototxt").write_text('check { of: "{{exp conf/work.prototxt seed=0}}" }\n')
        (root / "run.py").write_text("def main(task, cfg, log_level):\n    return {}\n")
        self.project = Project(root, Settings(checkpoints=("*.pt", "steps/step_*")))
        self.schema = schema or load_schema(self.project)

    def expand(self, *seeds: int, check: bool = False) -> Expansion:
        points: list[Any] = [("conf/work.prototxt", {"seed": seed}) for seed in seeds]
        return expand(self.project, self.schema, points if not check else [("conf/check.prototxt", {})], label="x")

    def experiment(self, seed: int) -> Experiment:
        return self.expand(seed).experiments[-1]

    def start(self, experiment: Experiment, status: str, *, code: str = "") -> ExperimentDir:
        """Put an experiment on disk: done, dead, pruned, unknown, or just prepared (new)."""
        folder = ExperimentDir(experiment.exp_path, self.project.results_root)
        folder.prepare(experiment, self.schema)
        if status == "new":
            return folder
        folder.append_attempt(Start(1, pid=1, host="h"))
        folder.log_path.write_text("hello")
        folder.metrics_path.write_text('{"loss": 1}\n')
        if code:
            folder.write_submission(Submission("7", code=code))
            folder.code_path.write_text("{}")
        if status == "done":
            folder.write_result({})
        elif status == "unknown":
            folder.identity_path.write_text("{")
        else:
            folder.append_attempt(End(1, reason="pruned" if status == "pruned" else "failed", exit_code=1))
        return folder

    def copy(self, digest: str, *, days: float = 2) -> Path:
        """Put a copy of code on disk."""
        folder = self.project.state_root / "code" / digest
        (folder / "tree").mkdir(parents=True)
        (folder / "tree" / "run.py").write_text(f"code {digest}")
        age(folder, days)
        return folder

    def write(self, expansion: Expansion, *, days: float = 2) -> Path:
        """Write a manifest of experiments that were handed over."""
        path = write_manifest(expansion, self.project, self.schema)
        root = self.project.results_root
        note_known(self.project, {exp_id_of(p.folder, root): exp_ids_of(p.needs, root) for p in expansion.planned})
        age(path, days)
        return path

    def rubbish(self, older_than: float = 0.0) -> CleanPlan:
        return plan_rubbish(self.project, older_than=older_than)

    def clean(self, older_than: float = 0.0) -> tuple[list[str], list[str]]:
        """Remove what nobody needs, and return names of what went and stayed."""
        plan = self.rubbish(older_than)
        outcome = remove(self.project, plan, lambda: self.rubbish(older_than), Keep.LAST)
        assert outcome.problems == [] and outcome.gone == plan.items
        return [item.name for item in plan.items], [one.name for one in plan.left]


def age(path: Path, days: float) -> None:
    changed = time.time() - days * DAY
    os.utime(path, (changed, changed))


def contents(root: Path) -> dict[str, bytes | str]:
    return {
        path.relative_to(root).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


@pytest.fixture(scope="module", autouse=True)
def no_slurm() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(needed_module, "is_here", lambda: False)
        yield


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "project")


@pytest.fixture(scope="session")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    return World(tmp_path_factory.mktemp("schema") / "project").schema


# --- random trees

FILES = st.dictionaries(
    st.sampled_from(
        ["a.pt", "b.pt", "best.pt", "c.txt", "steps/step_1/m", "steps/step_2/m", "steps/step_2/n", "steps/other",
         ".h.pt", "deep/x.pt", "configs/c.pt"]
    ),
    st.tuples(st.binary(max_size=9), st.integers(1, 5)),
    min_size=2,
)  # fmt: skip
STATUSES = ["done", "done", "done", "dead", "pruned", "unknown", "new", "absent"]
TROUBLES = ["", "", "", "claimed", "foreign", "foreign file", "reached through a link"]
EXPERIMENT = st.fixed_dictionaries(
    {
        "status": st.sampled_from(STATUSES),
        "files": FILES,
        "trouble": st.sampled_from(TROUBLES),
        "needs": st.sets(st.integers(0, 2), max_size=1),
        "link": st.sampled_from(["", "a.pt", "steps/step_1", "../../outside.pt"]),
    }
)


def build(world: World, wanted: list[dict[str, Any]], stack: ExitStack) -> dict[str, list[str]]:
    """Put experiments on disk; return what each exp path needs."""
    experiments = [world.experiment(seed) for seed in range(len(wanted))]
    for experiment, one in zip(experiments, wanted, strict=True):
        if one["status"] == "absent":
            continue
        folder = world.start(experiment, one["status"])
        for name, (data, second) in one["files"].items():
            path = folder.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (second, second))
            if one["trouble"] == "foreign file" and os.getuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        if one["link"]:
            (folder.path / "link.pt").symlink_to(one["link"])
        if one["trouble"] == "claimed":
            claim = Claim.acquire(folder.path)
            assert isinstance(claim, Claim)
            stack.enter_context(claim)
        if one["trouble"] == "foreign" and os.getuid() == 0:
            os.chown(folder.path, NOBODY, NOBODY)
        if one["trouble"] == "reached through a link":
            moved = world.project.root / "moved" / folder.path.name
            moved.parent.mkdir(exist_ok=True)
            folder.path.rename(moved)
            folder.path.symlink_to(moved)
    paths = [str(experiment.exp_path) for experiment in experiments]
    return {
        path: [paths[need] for need in one["needs"] if need < len(paths) and paths[need] != path]
        for path, one in zip(paths, wanted, strict=True)
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(EXPERIMENT, min_size=1, max_size=3), st.sampled_from(list(Keep)), st.booleans(), st.integers(-5, 2))
def test_only_what_may_go_goes_whatever_lies_there(
    schema: Schema, wanted: list[dict[str, Any]], keep: Keep, whole: bool, not_chosen: int
) -> None:
    with tempfile.TemporaryDirectory() as temp, ExitStack() as stack:
        world = World(Path(temp) / "project", schema)
        needs = build(world, wanted, stack)
        paths = list(needs)
        folders = [path for place, path in enumerate(paths) if place != not_chosen]

        def plan() -> CleanPlan:
            survey = Survey.of_parts([Part(world.project, paths, needs.__getitem__)])
            return plan_experiments(world.project, folders, survey, keep=keep, whole=whole)

        root = world.project.root
        before = contents(root)
        planned = plan()
        assert contents(root) == before  # looking changes nothing
        sizes = {item.path: measure(item.path) for item in planned.items}
        outcome = remove(world.project, planned, plan, keep)
        assert outcome.problems == [] and outcome.gone == planned.items
        after = contents(root)

        # What it said is what went, byte for byte.
        gone = {name: data for name, data in before.items() if name not in after}
        named = {p.relative_to(root).as_posix() for p in sizes}
        assert all(any(name == n or name.startswith(f"{n}/") for n in named) for name in gone)
        assert sum(len(data) for data in gone.values()) == sum(tree.bytes for tree in sizes.values())
        assert len(gone) == sum(tree.files for tree in sizes.values())
        if whole:  # nothing is lost
            kept = [data for name, data in after.items() if name not in before]
            assert sorted(map(repr, kept)) == sorted(map(repr, gone.values()))
        else:
            assert after == {name: data for name, data in before.items() if name in after}

        open_ones = [p for p, one in zip(paths, wanted, strict=True) if one["status"] != "done"]
        needed = {need for path in open_ones for need in needs[path]}
        for place, (path, one) in enumerate(zip(paths, wanted, strict=True)):
            below = f"{Path(path).relative_to(root).as_posix()}/"
            lost = [name.removeprefix(below) for name in gone if name.startswith(below)]
            if not lost:
                continue
            assert place != not_chosen and one["status"] != "unknown" and path not in needed
            assert one["trouble"] not in ("claimed", "reached through a link")
            assert os.getuid() != 0 or one["trouble"] != "foreign"
            assert (
                os.getuid() != 0 or one["trouble"] != "foreign file" or not any(name in one["files"] for name in lost)
            )
            if whole:
                continue
            assert not any(is_record(name.partition("/")[0]) for name in lost)
            assert all(name in one["files"] for name in lost)
            left = [name for name in one["files"] if name not in lost]
            tops = [n for n in one["files"] if "/" not in n and n.endswith(".pt") and not n.startswith(".")]
            if keep is Keep.LAST or (keep is Keep.BEST and one["status"] != "done"):
                newest = max((one["files"][name][1] for name in tops), default=0)
                assert all(name in left for name in tops if one["files"][name][1] == newest)
            if keep is Keep.BEST:
                assert "best.pt" not in lost
            if keep is not Keep.NONE and one["link"] == "a.pt":
                assert "a.pt" not in lost


SWEEP = st.fixed_dictionaries(
    {
        "statuses": st.lists(
            st.sampled_from(["done", "done", "dead", "new", "absent", "running"]), min_size=1, max_size=3
        ),
        "days": st.sampled_from([0.0, 2.0, 9.0]),
        "is_launched": st.booleans(),
        "codes": st.lists(st.sampled_from(["aaaa", "bbbb", "cccc", ""]), min_size=3, max_size=3),
    }
)
COPIES = st.dictionaries(st.sampled_from(["aaaa", "bbbb", "cccc", "dddd"]), st.sampled_from([0.0, 2.0]))


@settings(max_examples=25, deadline=None)
@given(st.lists(SWEEP, max_size=3), COPIES, st.sampled_from([0.0, 3.5 * DAY]), st.lists(st.integers(0, 8), max_size=3))
def test_rubbish_is_only_what_nothing_needs(
    schema: Schema, sweeps: list[dict[str, Any]], copies: dict[str, float], older_than: float, wiped: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as temp, ExitStack() as stack:
        world = World(Path(temp) / "project", schema)
        written: list[tuple[Path, dict[str, Any]]] = []
        used: set[str] = set()
        for number, sweep in enumerate(sweeps):
            seeds = [10 * number + place for place in range(len(sweep["statuses"]))]
            expansion = world.expand(*seeds)
            for experiment, status, code in zip(expansion.experiments, sweep["statuses"], sweep["codes"], strict=False):
                if status != "absent":
                    folder = world.start(experiment, "dead" if status == "running" else status, code=code)
                if status == "running":
                    claim = Claim.acquire(folder.path)
                    assert isinstance(claim, Claim)
                    stack.enter_context(claim)
            is_open = any(status != "done" for status in sweep["statuses"])
            had = [
                c
                for c, status in zip(sweep["codes"], sweep["statuses"], strict=False)
                if status not in ("absent", "new")
            ]
            used |= set(had) if is_open else set()
            written.append((world.write(expansion), sweep))
        for path, sweep in written:
            age(path, sweep["days"])
            if sweep["is_launched"]:
                launches = world.project.state_root / "launches"
                launches.mkdir(exist_ok=True)
                record = LaunchRecord.now("heyhi launch", [], "x", manifest=path.name)
                (launches / f"{path.stem}.json").write_text(json.dumps(record.to_dict()))
        for digest, days in copies.items():
            world.copy(digest, days=days)
        for number, days in enumerate(wiped):
            moment = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime(time.time() - days * DAY))
            entry = world.project.state_root / "trash" / f"{moment}-{number:08x}" / "p" / "x"
            entry.mkdir(parents=True)
            (entry / "result.json").write_text(str(number))
        before = contents(world.project.root)
        plan = world.rubbish(older_than)
        after_look = {k: v for k, v in contents(world.project.root).items() if "index.sqlite" not in k}
        assert after_look == {k: v for k, v in before.items() if "index.sqlite" not in k}
        world.clean(older_than)
        there = {path.name for path in (world.project.state_root / "code").glob("*")}
        assert there == {digest for digest, days in copies.items() if days == 0 or digest in used}
        for path, sweep in written:
            is_open = any(status != "done" for status in sweep["statuses"])
            assert path.exists() is (is_open or sweep["is_launched"] or sweep["days"] == 0)
        left = [days for days in wiped if days * DAY < older_than]
        assert len(list((world.project.state_root / "trash").glob("*"))) == len(left)
        removed = {item.path for item in plan.items}
        gone = {name for name in before if name not in contents(world.project.root)} - {".heyhi/index.sqlite"}
        assert all(any((world.project.root / name).is_relative_to(path) for path in removed) for name in gone)


# --- by hand


def plan_of(world: World, *folders: ExperimentDir, keep: Keep = Keep.LAST, whole: bool = False) -> CleanPlan:
    survey = Survey.of_parts([Part(world.project, [str(f.path) for f in folders], lambda _: [])])
    return plan_experiments(world.project, [str(f.path) for f in folders], survey, keep=keep, whole=whole)


def put(folder: ExperimentDir, **seconds: int) -> None:
    for name, second in seconds.items():
        path = folder.path / name.replace("__", "/").replace("_pt", ".pt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10)
        os.utime(path, (second, second))


def names(plan: CleanPlan, folder: ExperimentDir) -> list[str]:
    return [item.path.relative_to(folder.path).as_posix() for item in plan.items]


def test_the_last_checkpoint_of_each_pattern_stays(world: World) -> None:
    folder = world.start(world.experiment(1), "done")
    put(folder, a_pt=1, b_pt=2, c_pt=3, steps__step_1__m=1, steps__step_1__n=5, steps__step_2__m=4)
    assert names(plan_of(world, folder), folder) == ["a.pt", "b.pt", "steps/step_2"]


def test_the_best_is_told_by_its_name_and_nothing_goes_where_it_cannot_be(world: World) -> None:
    folder, other = world.start(world.experiment(1), "done"), world.start(world.experiment(2), "done")
    put(folder, a_pt=1, model_best_pt=2, c_pt=3)
    put(other, a_pt=1, c_pt=3)
    plan = plan_of(world, folder, other, keep=Keep.BEST)
    assert names(plan, folder) == ["a.pt", "c.pt"]
    assert [(one.name, one.why) for one in plan.left] == [
        (other.exp_id, "nobody can tell which is best: no name that '*.pt' matches has 'best' in it")
    ]


def test_one_that_may_go_on_keeps_its_last_beside_its_best(world: World) -> None:
    folder = world.start(world.experiment(1), "dead")
    put(folder, a_pt=1, best_pt=2, c_pt=3)
    assert names(plan_of(world, folder, keep=Keep.BEST), folder) == ["a.pt"]
    assert names(plan_of(world, folder, keep=Keep.NONE), folder) == ["a.pt", "best.pt", "c.pt"]


def test_what_a_link_calls_the_last_or_the_best_stays(world: World) -> None:
    folder = world.start(world.experiment(1), "done")
    put(folder, a_pt=1, b_pt=2, c_pt=3)
    (folder.path / "best.pt").symlink_to("a.pt")
    assert names(plan_of(world, folder), folder) == ["b.pt"]
    assert names(plan_of(world, folder, keep=Keep.BEST), folder) == ["b.pt", "c.pt"]


def test_what_a_link_leads_to_stays_and_so_does_what_is_reached_through_one(world: World, tmp_path: Path) -> None:
    folder = world.start(world.experiment(1), "done")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.pt").write_text("precious")
    (folder.path / "steps").symlink_to(tmp_path / "data")
    (folder.path / "x.pt").symlink_to(tmp_path / "data" / "a.pt")
    assert plan_of(world, folder, keep=Keep.NONE).items == []
    real = world.project.results_root / "p"
    real.rename(tmp_path / "elsewhere")
    real.symlink_to(tmp_path / "elsewhere")
    put(folder, a_pt=1, b_pt=2)
    (left,) = plan_of(world, folder, keep=Keep.NONE, whole=True).left
    assert left.why == f"reached through the symbolic link {real}"


@pytest.mark.parametrize(
    "name", ["result.json", "log.txt", "log.3.txt", "claim.ab.json", "job.json", "configs", "code.json"]
)
def test_a_record_is_no_checkpoint_whatever_the_pattern(world: World, name: str) -> None:
    folder = world.start(world.experiment(1), "done")
    (folder.path / name).parent.mkdir(exist_ok=True)
    if not (folder.path / name).exists():
        (folder.path / name).touch()
    patterns = [Pattern(text) for text in ("*", "**", "**/*", "*.*", ".*", name)]
    found = find_checkpoints(folder.path, patterns)
    assert {one.path for some in found.by_pattern.values() for one in some} == set()


def test_another_experiment_inside_is_no_checkpoint(world: World) -> None:
    folder = world.start(world.experiment(1), "done")
    (folder.path / "deep" / "inner").mkdir(parents=True)
    (folder.path / "deep" / "inner" / "identity.json").write_text("{}")
    (folder.path / "deep" / "inner" / "a.pt").touch()
    found = find_checkpoints(folder.path, [Pattern("**"), Pattern("*"), Pattern("**/*.pt")])
    assert not any(found.by_pattern.values())


@pytest.mark.parametrize("text", ["/a", "", "../x", "a/../b", "a//b", "a/", "./a"])
def test_a_pattern_that_leaves_the_folder_is_refused(text: str) -> None:
    with pytest.raises(ProjectError, match="is no pattern of files below"):
        Pattern(text)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.pt", "a.pt", True),
        ("*.pt", "deep/a.pt", False),
        ("*.pt", ".a.pt", False),
        (".*.pt", ".a.pt", True),
        ("**/*.pt", "a.pt", True),
        ("**/*.pt", "x/y/a.pt", True),
        ("**/*.pt", "x/.y/a.pt", False),
        ("x/**", "x/y/a", True),
        ("x/**", "y/a", False),
        ("x/**/a", "x/a", True),
        ("step_[0-9]", "step_5", True),
        ("?.pt", "ab.pt", False),
    ],
)
def test_a_star_stays_within_a_name_and_two_cross_folders(pattern: str, path: str, matches: bool) -> None:
    assert Pattern(pattern).matches(path.split("/"), is_folder=False) is matches


def test_what_changed_after_somebody_agreed_stays(world: World) -> None:
    folder = world.start(world.experiment(1), "done")
    put(folder, a_pt=1, b_pt=2, c_pt=3)
    plan = plan_of(world, folder)
    put(folder, a_pt=9)
    outcome = remove(world.project, plan, lambda: plan_of(world, folder), Keep.LAST)
    assert [item.path.name for item in outcome.gone] == ["b.pt"]
    assert outcome.problems == [f"{folder.exp_id}/a.pt: is left: it has changed since"]
    assert (folder.path / "a.pt").exists() and (folder.path / "c.pt").exists()


def test_what_changes_after_the_last_look_stays_too(world: World) -> None:
    folder = world.start(world.experiment(1), "done")
    put(folder, a_pt=1, b_pt=2, c_pt=3)
    plan = plan_of(world, folder)
    outcome = remove(world.project, plan, lambda: (put(folder, a_pt=9), plan)[1], Keep.LAST)
    assert [item.path.name for item in outcome.gone] == ["b.pt"]
    assert outcome.problems == [f"{folder.exp_id}/a.pt: is left: it has changed since"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_another_users_experiments_and_checkpoints_are_left(world: World) -> None:
    mine, theirs = world.start(world.experiment(1), "done"), world.start(world.experiment(2), "done")
    put(mine, a_pt=1, b_pt=2, c_pt=3)
    put(theirs, a_pt=1, b_pt=2)
    os.chown(mine.path / "a.pt", NOBODY, NOBODY)
    os.chown(theirs.path, NOBODY, NOBODY)
    plan = plan_of(world, mine, theirs)
    assert names(plan, mine) == ["b.pt"]
    assert [(one.name, one.why) for one in plan.left] == [
        (f"{mine.exp_id}/a.pt", "another user's"),
        (theirs.exp_id, "another user's"),
    ]
    assert plan_of(world, mine, theirs, whole=True).items == []


def test_nobody_can_start_an_experiment_while_its_files_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = world.start(world.experiment(1), "dead")
    put(folder, a_pt=1, b_pt=2)
    seen: list[object] = []
    real = removal_module.remove_below

    def remove_below(root: Path, path: Path) -> None:
        seen.append(Claim.acquire(folder.path))
        real(root, path)

    monkeypatch.setattr(removal_module, "remove_below", remove_below)
    plan = plan_of(world, folder)
    remove(world.project, plan, lambda: plan, Keep.LAST)
    assert len(seen) == 1 and not isinstance(seen[0], Claim)
    assert not (folder.path / "a.pt").exists() and not folder.claim_path.exists()


def test_one_that_was_started_while_somebody_was_asked_is_left(world: World) -> None:
    folder = world.start(world.experiment(1), "dead")
    put(folder, a_pt=1, b_pt=2)
    for whole in (False, True):
        plan = plan_of(world, folder, whole=whole)
        claim = Claim.acquire(folder.path)
        assert isinstance(claim, Claim)
        with claim:
            again = plan_of(world, folder, whole=whole)
            assert again.items == [] and "RUNNING" in again.left[0].why
            late = remove(world.project, plan, lambda plan=plan: plan, Keep.LAST)  # even if it came after the last look
            assert late.gone == [] and f"pid {os.getpid()}" in late.problems[0]
    assert (folder.path / "a.pt").exists()


def test_a_whole_experiment_goes_to_the_trash_and_the_next_clean_empties_it(world: World) -> None:
    expansion = world.expand(1)
    world.write(expansion)
    folder = world.start(expansion.experiments[0], "done")
    before = contents(folder.path)
    plan = plan_of(world, folder, whole=True)
    assert remove(world.project, plan, lambda: plan_of(world, folder, whole=True), Keep.LAST).problems == []
    (entry,) = (world.project.state_root / "trash").glob("*")
    assert not folder.path.exists() and contents(entry / folder.exp_id) == before
    gone, _ = world.clean()
    assert str(entry) in gone and not entry.exists()


def test_the_trash_beside_experiments_is_emptied_too(world: World, tmp_path: Path) -> None:
    outside = expand(world.project, world.schema, [("conf/work.prototxt", {})], pattern=f"{tmp_path}/runs/e")
    world.write(outside)
    folder = world.start(outside.experiments[0], "done")
    gone = folder.wipe(outside.experiments[0].identity)
    assert gone is not None and gone.parent.parent == tmp_path / "runs" / ".heyhi-trash"
    assert str(gone.parent) in world.clean()[0] and not gone.exists()


def test_what_is_just_being_wiped_is_left(world: World) -> None:
    entry = world.project.state_root / "trash" / f".{time.strftime('%Y-%m-%dT%H-%M-%SZ', time.gmtime())}-00000001.tmp"
    entry.mkdir(parents=True)
    assert world.clean() == ([], [str(entry)])
    old = entry.rename(entry.with_name(".2020-01-01T00-00-00Z-00000001.tmp"))
    assert world.clean() == ([str(old)], [])


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_another_users_trash_copies_and_manifests_are_left(world: World) -> None:
    trash = world.project.state_root / "trash" / "2020-01-01T00-00-00Z-00000001"
    trash.mkdir(parents=True)
    (trash / "x").touch()
    manifest, copy = world.write(world.expand(1)), world.copy("aaaa")
    world.start(world.experiment(1), "done")
    for path in (trash / "x", manifest, copy / "tree" / "run.py"):
        os.chown(path, NOBODY, NOBODY)
    age(copy, 2)
    plan = world.rubbish()
    assert plan.items == [] and {one.why for one in plan.left} == {"another user's"} and len(plan.left) == 3


@pytest.mark.parametrize("name", ["trash", "code", "manifests"])
def test_a_folder_of_ours_that_is_a_link_is_left(world: World, tmp_path: Path, name: str) -> None:
    (tmp_path / "other" / "2020-01-01T00-00-00Z-00000001").mkdir(parents=True)
    (tmp_path / "other" / "x.sqlite").touch()
    age(tmp_path / "other" / "x.sqlite", 3)
    world.project.state_root.mkdir(parents=True)
    if name == "manifests":
        pytest.importorskip("sqlite3")
    (world.project.state_root / name).symlink_to(tmp_path / "other")
    plan = world.rubbish()
    assert plan.items == [] and any("symbolic link" in one.why for one in plan.left)


def test_a_copy_that_is_asked_for_while_it_goes_is_made_anew_or_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = take_snapshot(world.project)
    age(snapshot.root.parent, 2)
    plan = world.rubbish()
    assert [item.kind for item in plan.items] == [Kind.CODE]
    # Asked for before it has lost its name: it keeps it.
    outcome = remove(world.project, plan, lambda: (take_snapshot(world.project), plan)[1], Keep.LAST)
    assert outcome.gone == [] and "somebody has just asked for it" in outcome.problems[0]
    assert (snapshot.root / "run.py").exists() and world.rubbish().items == []
    # Asked for after that: it is made anew.
    age(snapshot.root.parent, 2)
    real = removal_module.remove_below

    def remove_below(root: Path, path: Path) -> None:
        assert take_snapshot(world.project) == snapshot
        real(root, path)

    monkeypatch.setattr(removal_module, "remove_below", remove_below)
    plan = world.rubbish()
    assert remove(world.project, plan, lambda: plan, Keep.LAST).gone == plan.items
    assert (snapshot.root / "run.py").exists() and take_snapshot(world.project) == snapshot


def test_a_manifest_that_is_asked_for_while_it_goes_stays(world: World) -> None:
    expansion = world.expand(1)
    path = world.write(expansion)
    world.start(expansion.experiments[0], "done")
    plan = world.rubbish()
    assert [item.path for item in plan.items] == [path]
    outcome = remove(
        world.project, plan, lambda: (write_manifest(expansion, world.project, world.schema), plan)[1], Keep.LAST
    )
    assert outcome.gone == [] and path.exists() and world.rubbish().items == []


def test_what_a_controller_runs_is_needed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    expansion = world.expand(1)
    path = world.write(expansion)
    world.start(expansion.experiments[0], "done")
    world.copy("aaaa", days=1.5)
    folder = world.project.state_root / "controllers" / "x"
    folder.mkdir(parents=True)
    note = {"name": "x", "profile": "p", "manifests": [world.project.relative(path)]}
    claim = Claim.acquire(folder, kind="controller")
    assert isinstance(claim, Claim)
    with claim:
        assert {one.why for one in world.rubbish().left} == {"controller x runs, and its note can't be read"}
        (folder / "controller.json").write_text(json.dumps(note))
        plan = world.rubbish()
        assert [item.name for item in plan.items] == ["aaaa"]
        assert [(one.name, one.why) for one in plan.left] == [(path.name, "run by a controller")]
        # One that was started a day ago may hand out a copy that was made a day before.
        started = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - DAY))
        owner = json.loads((folder / "claim.json").read_text())
        (folder / "claim.json").write_text(json.dumps({**owner, "since": started}))
        assert world.rubbish().items == []
    assert {item.name for item in world.rubbish().items} == {path.name, "aaaa"}


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_record_of_a_launch_that_cannot_be_read_keeps_everything(world: World, text: str) -> None:
    path = world.write(world.expand(1))
    world.start(world.experiment(1), "done")
    world.copy("aaaa")
    (world.project.state_root / "launches").mkdir()
    (world.project.state_root / "launches" / "x.json").write_text(text)
    plan = world.rubbish()
    assert plan.items == [] and {one.name for one in plan.left} == {path.name, "aaaa"}
    assert all("is no record of a launch" in one.why for one in plan.left)


def test_the_code_of_what_may_go_on_is_needed_though_no_manifest_has_it(world: World) -> None:
    dead = world.start(world.experiment(1), "dead", code="aaaa")
    done = world.start(world.experiment(2), "done", code="bbbb")
    survey = Survey.of_parts([Part(world.project, [str(dead.path), str(done.path)], lambda _: [])])
    assert find_needed(world.project, survey).code.keys() - {""} == {"aaaa"}
    claim = Claim.acquire(done.path)
    assert isinstance(claim, Claim)
    with claim:  # its job reads code until it has ended
        assert find_needed(world.project, survey).code.keys() - {""} == {"aaaa", "bbbb"}


def test_the_newest_manifest_of_what_may_go_on_stays(world: World) -> None:
    older, newer = world.write(world.expand(1, 2), days=5), world.write(world.expand(1), days=3)
    world.start(world.experiment(1), "dead")
    world.start(world.experiment(2), "done")
    plan = world.rubbish()
    assert [item.path for item in plan.items] == [older]
    assert [(one.name, one.why) for one in plan.left] == [(newer.name, "the newest of experiments that aren't done")]


def test_a_manifest_that_cannot_be_read_is_left(world: World) -> None:
    manifests_root(world.project).mkdir(parents=True)
    bad = manifests_root(world.project) / "bad.sqlite"
    bad.write_text("no manifest")
    age(bad, 3)
    plan = world.rubbish()
    assert plan.items == [] and [(one.name, one.why) for one in plan.left] == [("bad.sqlite", "can't be read")]


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in for squeue and sbatch; the file is what squeue runs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("squeue", "sbatch"):
        (folder / name).write_text("#!/bin/sh\necho broken >&2; exit 1\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(needed_module, "is_here", lambda: True)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield folder / "squeue"
    shutil.rmtree(folder)


def test_nothing_that_a_job_may_run_goes_where_slurm_does_not_answer(world: World, squeue: Path) -> None:
    world.write(world.expand(1))
    world.start(world.experiment(1), "done")
    world.copy("aaaa")
    plan = world.rubbish()
    assert plan.items == [] and all("nobody knows which jobs there are" in one.why for one in plan.left)


def test_a_slurm_that_knows_of_no_cluster_is_told_as_that(world: World, squeue: Path) -> None:
    said = "squeue: error: resolve_ctls_from_dns_srv: Unknown host\nsqueue: error: failed to fetch config"
    squeue.write_text(f"#!/bin/sh\necho '{said}' >&2; exit 1\n")
    world.write(world.expand(1))
    world.copy("aaaa")
    why = "Slurm is here, but this machine knows of no cluster (failed to fetch config)"
    assert any(one.why.endswith(f"nobody knows which jobs there are: {why}") for one in world.rubbish().left)


class Answer:
    """Stand in for squeue, with an answer."""

    error = ""
    found: ClassVar[dict[str, Job]] = {}

    def jobs(self, root: str) -> dict[str, Job]:
        assert len(root) == 10
        return self.found


def test_what_a_living_job_runs_is_needed_and_everything_where_that_is_not_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expansion = world.expand(1)
    path = world.write(expansion)
    folder = world.start(expansion.experiments[0], "done", code="aaaa")
    world.copy("aaaa")
    world.copy("bbbb")
    monkeypatch.setattr(needed_module, "is_here", lambda: True)
    monkeypatch.setattr(needed_module, "Queue", Answer)
    mark = expansion.experiments[0].identity.digest
    Answer.found = {"7": Job("7", "COMPLETING", workdir=str(folder.path), comment=f"heyhi:0a:{mark}")}
    assert [item.name for item in world.rubbish().items] == ["bbbb", path.name]
    assert [(one.name, one.why) for one in world.rubbish().left] == [("aaaa", "run by jobs")]
    Answer.found = {"8": Job("8", "PENDING", workdir=str(world.project.results_root / "p" / "gone"))}
    assert world.rubbish().items == []
    assert {one.why for one in world.rubbish().left} == {"job 8 runs what isn't known here"}
    Answer.found = {"8": Job("8", "COMPLETED", workdir=str(world.project.results_root / "p" / "gone"))}
    assert {item.name for item in world.rubbish().items} == {"aaaa", "bbbb", path.name}


def test_a_note_goes_when_nobody_knows_its_experiment_and_nothing_of_it_is_left(world: World, tmp_path: Path) -> None:
    root = world.project.results_root
    done, launched, expanded, gone = (world.experiment(seed) for seed in range(4))
    outside = ExperimentDir(tmp_path / "outside/one", root)
    folders = [ExperimentDir(one.exp_path, root) for one in (done, launched, expanded, gone)]
    world.start(done, "done")
    world.write(world.expand(1))
    for folder in (*folders, outside):
        write_note(folder, f"on {folder.exp_id}")
    items = [item for item in world.rubbish().items if item.kind is Kind.NOTE]
    names = [f"note on {folder.exp_id}" for folder in (*folders[2:], outside)]
    assert sorted(item.name for item in items) == sorted(names)
    world.clean()
    assert set(Notes.read(root).by_id) == {done.exp_id, launched.exp_id}
    # What was wiped may be moved back.
    ExperimentDir(done.exp_path, root).wipe(done.identity)
    done.exp_path.rmdir()
    assert [item.kind for item in world.rubbish().items] == [Kind.TRASH]
    world.clean()
    assert set(Notes.read(root).by_id) == {done.exp_id, launched.exp_id}
    world.clean()
    assert set(Notes.read(root).by_id) == {launched.exp_id}


def test_a_note_that_was_changed_after_somebody_agreed_stays(world: World) -> None:
    folder = ExperimentDir(world.experiment(0).exp_path, world.project.results_root)
    write_note(folder, "old")
    plan = world.rubbish()
    write_note(folder, "newer")
    outcome = remove(world.project, plan, world.rubbish, Keep.LAST)
    assert outcome.gone == [] and "has changed since" in outcome.problems[0]
    assert [note.text for note in Notes.read(world.project.results_root).by_id.values()] == ["newer"]


@pytest.mark.parametrize("closed", ["results/p", "results/.heyhi/trash"])
def test_a_note_stays_where_nobody_can_tell_whether_its_experiment_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    folder = ExperimentDir(world.experiment(0).exp_path, world.project.results_root)
    write_note(folder, "old")
    place = str(world.project.root / closed)
    Path(place).mkdir(parents=True, exist_ok=True)

    def refusing(look: Any) -> Any:
        def ask(path: Any, *args: Any, **options: Any) -> Any:
            if str(path).startswith(place):
                raise PermissionError(13, "Permission denied", str(path))
            return look(path, *args, **options)

        return ask

    for name in ("lstat", "scandir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    assert [item for item in world.rubbish().items if item.kind is Kind.NOTE] == []
