"""The best ones of sweeps: what they are chosen from, what manifests keep, and what is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from heyhi.config.schema import Schema, load_schema
from heyhi.control.survey import Part, Survey
from heyhi.errors import HeyhiError, ManifestError, NeedsError, UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status, result_of
from heyhi.experiment.slots import Choice, SlotEnd, slot_dir
from heyhi.experiment.status import State, Statuses
from heyhi.experiment.winners import Winner, read_winner, waited_for, winner_path, write_failure, write_winner
from heyhi.project import Project
from heyhi.report.chosen import narrowed
from heyhi.report.gather import gather
from heyhi.report.meanings import known_in
from heyhi.report.source import Source
from heyhi.report.winner import changed_winners, choose, settle
from heyhi.sweep.drift import DriftCheck
from heyhi.sweep.expand import Expansion, Planned
from heyhi.sweep.file import expand_sweep_file
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import exp_id_of, folder_of, is_target, target_of
from heyhi.sweep.write_manifest import write_manifest

CFG = "conf/c02_sup_train/sl.prototxt"
TUNE = f"""
def yield_sweep():
    for lr in (0.01, 0.1):
        yield "{CFG}", {{"lr": lr, "I.launcher": "slurm"}}
"""
SEEDS = f"""
def yield_sweep():
    for seed in (1, 2):
        yield "{CFG}", {{"I": "{{{{best TUNE max=acc}}}}", "seed": seed}}
    yield "conf/c03_eval/eval.prototxt", {{"checkpoint": "{{{{best TUNE max=acc}}}}"}}
"""


def done(planned: Planned, project: Project) -> None:
    """Have an experiment done."""
    folder = ExperimentDir(Path(planned.folder), project.results_root)
    folder.prepare(planned.experiment(project.roots), load_schema(project))
    (folder.path / "result.json").write_text('{"acc": 0.5}')


class Sweeps:
    """Sweep files in a folder, by their names."""

    def __init__(self, project: Project, schema: Schema, folder: Path) -> None:
        self.project, self.schema, self.folder = project, schema, folder

    def write(self, name: str, text: str) -> Path:
        """Write a file; the names of others in it, in capitals, become their paths."""
        path = self.folder / f"{name}.py"
        for other in ("TUNE", "SEEDS", "OTHER"):
            for end in (" ", "}"):
                text = text.replace(f"best {other}{end}", f"best {self.folder / other.lower()}.py{end}")
        path.write_text(text)
        return path

    def expand(self, name: str = "seeds") -> Expansion:
        """Expand one."""
        return expand_sweep_file(self.project, self.schema, self.folder / f"{name}.py")

    def choose(self, exp_id: str, *overrides: str, name: str = "tune") -> Winner:
        """Write down what the best of a sweep is."""
        words = f"{self.folder}/{name}.py max=acc"
        winner = Winner(words, exp_id, 1.0, (exp_id,), CFG, overrides, (), ((exp_id, 1.0),), "", "", "")
        return write_winner(winner_path(self.project.results_root, words), winner)


@pytest.fixture
def sweeps(project: Project, schema: Schema, tmp_path: Path) -> Sweeps:
    made = Sweeps(project, schema, tmp_path)
    made.write("tune", TUNE)
    made.write("seeds", SEEDS)
    return made


def test_all_that_it_is_chosen_from_comes_before_what_is_made_of_it(sweeps: Sweeps, project: Project) -> None:
    tuned, expansion = sweeps.expand("tune"), sweeps.expand()
    assert [one.exp_id for one in expansion.planned] == [*tuned.own, *expansion.own]
    [contest] = expansion.contests
    assert contest.best.text == f"the best of {sweeps.folder}/tune.py" and list(contest.candidates) == tuned.folders
    folder = f"{project.results_root}/{contest.exp_id}"
    assert [one.needs for one in expansion.experiments_of_own] == [(folder,)] * 3
    assert all(one.is_open for one in expansion.experiments_of_own)
    assert not expansion.warnings


def test_a_config_is_completed_once_it_is_known_and_its_manifest_stays(sweeps: Sweeps, project: Project) -> None:
    before = write_manifest(sweeps.expand(), project, sweeps.schema)
    manifest = Manifest.open(before)
    target = manifest.targets[0]
    with pytest.raises(NeedsError, match=r"needs the best of .*tune\.py, which isn't chosen yet: snakemake --profile"):
        manifest.check_complete(manifest.experiment(target))
    sweeps.choose("p/x", "lr=0.1", "adam.beta1=0.5")

    experiment = manifest.experiment(target)
    manifest.check_complete(experiment)
    task = manifest.task_message(experiment.task, experiment.config)
    assert (task.lr, task.seed, task.adam.beta1) == (0.1, 1, 0.5)  # type: ignore[attr-defined]  # of the example
    test = manifest.experiment(manifest.targets[2])
    task = manifest.task_message(test.task, test.config)
    assert task.checkpoint == f"{project.results_root}/p/x"  # type: ignore[attr-defined]
    assert {row.exp_id: row.config for row in manifest.configs()}[experiment.exp_id] == experiment.config

    assert manifest.entries()[0][-1][-1] == (f"{project.results_root}/p/x",)
    assert manifest.configs()[-1].needs == ("p/x",), "a table shows what was chosen"

    expansion = sweeps.expand()
    assert write_manifest(expansion, project, sweeps.schema) == before
    assert [one.config for one in expansion.experiments_of_own] == [
        manifest.experiment(one).config for one in manifest.targets
    ]
    drift = DriftCheck(project, sweeps.schema)
    assert drift._composed(experiment.identity) == experiment.config


def test_needs_lead_through_it_in_manifests_and_in_the_index(sweeps: Sweeps, project: Project) -> None:
    expansion = sweeps.expand()
    manifest = Manifest.open(write_manifest(expansion, project, sweeps.schema))
    [contest] = expansion.contests
    folder = f"{project.results_root}/{contest.exp_id}"
    [node] = manifest.contest_nodes()
    assert node.target == result_of(folder) and is_target(node.target)
    assert [folder_of(need, project.root) for need in node.needs] == list(contest.candidates)
    assert manifest.needed_folders[folder] == list(contest.candidates)
    index = ManifestIndex.open(project)
    assert index.needs()[folder] == list(contest.candidates)
    assert manifest.node(manifest.targets[0]).needs == (node.target,)  # type: ignore[union-attr]
    assert exp_id_of(folder, project.results_root) == contest.exp_id
    assert target_of(folder, project.root) == node.target

    # However it is asked, what is made of it is blocked by what it is chosen from.
    unknown = Path(contest.candidates[0])
    unknown.mkdir(parents=True)
    (unknown / "attempts.jsonl").write_text("{}\n")
    own = expansion.folders
    for part in (
        Part.of_manifest(project, manifest),
        Part.of_expansion(project, expansion),
        Part.of_folders(project, own),
    ):
        others = Survey.of_parts([part]).others
        assert others[own[0]].line == f"BLOCKED: by the best of {sweeps.folder}/tune.py: of 2, 1 is UNKNOWN", others


def test_who_writes_a_manifest_tells_the_index_what_it_would_read(sweeps: Sweeps, project: Project) -> None:
    index = project.state_root / "index.sqlite"

    def rows() -> dict[str, list[tuple[object, ...]]]:
        with contextlib.closing(sqlite3.connect(index)) as asked:
            tables = [name for (name,) in asked.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: asked.execute(f"SELECT * FROM {name}").fetchall() for name in tables}

    for name in ("tune", "seeds"):
        write_manifest(sweeps.expand(name), project, sweeps.schema)
    told = rows()
    index.unlink()
    ManifestIndex.open(project)
    assert rows() == told
    # Of two manifests, the one that was asked for last has what both have, and what is made of the best needs that.
    assert len(told["expanded"]) == 2 + 3 + 1 and sum(needs is not None for *_, needs in told["expanded"]) == 3 + 1


def test_what_is_given_the_folder_of_a_best_one_waits_for_that_to_be_made_anew(
    sweeps: Sweeps, project: Project
) -> None:
    winner = sweeps.expand().experiments[0]
    sweeps.choose(winner.exp_id, "lr=0.01")
    expansion = sweeps.expand()
    manifest = Manifest.open(write_manifest(expansion, project, sweeps.schema))
    taken, _, given = expansion.folders
    parts = (
        Part.of_manifest(project, manifest),
        Part.of_expansion(project, expansion),
        Part.of_folders(project, expansion.folders),
    )
    folder = str(winner.exp_path)
    for part in parts:
        assert part.waits_for(given) == [*part.needs_of(given), folder]
        assert part.waits_for(taken) == list(part.needs_of(taken)), "what it takes over is on record"
        assert Survey([part], {folder: State(Status.NOT_STARTED)}).uses_of(given)[-1] == folder
    assert manifest.waited_folders[given][-1] == folder and len(manifest.waited_folders[taken]) == 1

    (Path(folder) / "attempts.jsonl").parent.mkdir(parents=True)
    (Path(folder) / "attempts.jsonl").write_text("{}\n")
    for part in parts:
        others = Survey.of_parts([part]).others
        assert others[given].line.startswith(f"BLOCKED: by {winner.exp_id}, UNKNOWN"), others[given]
        assert others[taken].status is Status.NOT_STARTED
    table = gather([Source.of(manifest, project)]).table
    assert table["status"].tolist() == ["NOT_STARTED", "NOT_STARTED", "BLOCKED"]

    Path(result_of(folder)).write_text("{}")
    assert all(part.waits_for(given) == list(part.needs_of(given)) for part in parts)
    assert Survey([parts[1]], {}).uses_of(given)[-1] == folder, "who runs reads it"


def test_what_takes_over_the_best_of_what_is_made_of_a_best_one_needs_both(sweeps: Sweeps, project: Project) -> None:
    sweeps.write(
        "other",
        f"""
def yield_sweep():
    yield "{CFG}", {{"I": "{{{{best SEEDS max=acc}}}}", "seed": 7}}
    yield "conf/c03_eval/eval.prototxt", {{"checkpoint": "{{{{best SEEDS max=acc}}}}"}}
""",
    )
    tune = sweeps.choose("p/x", "lr=0.1")
    sweeps.choose("p/y", f"I={{{{best {sweeps.folder}/tune.py max=acc}}}}", name="seeds")
    taken, text = sweeps.expand("other").experiments_of_own
    folders = [f"{project.results_root}/{contest.exp_id}" for contest in sweeps.expand("other").contests]
    assert set(taken.needs) == set(folders) and len(taken.needs) == 2
    assert len(text.needs) == 1, "a text value has the folder, whatever that was made of"
    assert not taken.is_open and sweeps.schema.parse_root(taken.config).train.lr == 0.1  # type: ignore[attr-defined]
    identity, whole = taken.identity, taken.config

    winner_path(project.results_root, tune.words).unlink()
    taken, text = sweeps.expand("other").experiments_of_own
    assert taken.is_open and not text.is_open
    manifest = Manifest.open(write_manifest(sweeps.expand("other"), project, sweeps.schema))
    with pytest.raises(NeedsError, match=r"needs the best of .*tune\.py, which isn't chosen yet"):
        manifest.check_complete(manifest.experiment(manifest.targets[0]))
    folder = ExperimentDir(Path(taken.folder), project.results_root)
    folder.prepare(dataclasses.replace(manifest.experiment(manifest.targets[0]), identity=identity), sweeps.schema)
    [said] = DriftCheck(project, sweeps.schema).drift(folder.path, taken.config, then="none")
    assert said.endswith("tune.py isn't chosen yet"), said
    sweeps.choose("p/x", "lr=0.1")
    assert sweeps.expand("other").experiments_of_own[0].config == whole


@pytest.mark.parametrize(
    ("of", "state"),
    [
        ("", "BLOCKED: by the best of {}/tune.py: of 2, 1 is UNKNOWN"),
        (" of=done", "NOT_STARTED"),
    ],
)
def test_a_table_says_by_what_is_blocked_as_status_does(sweeps: Sweeps, project: Project, of: str, state: str) -> None:
    sweeps.write("seeds", SEEDS.replace("max=acc", f"max=acc{of}"))
    expansion = sweeps.expand()
    manifest = Manifest.open(write_manifest(expansion, project, sweeps.schema))
    unknown = Path(expansion.contests[0].candidates[0])
    unknown.mkdir(parents=True)
    (unknown / "attempts.jsonl").write_text("{}\n")

    some = Source.of(manifest, project)
    for source, size in ((some, 3), (replace(some, only=tuple(manifest.targets[:2])), 2)):
        table = gather([source]).table
        reasons = table["reason"] if "reason" in table else [None] * size
        found = [State(Status(status), why or "") for status, why in zip(table["status"], reasons, strict=True)]
        assert [one.line for one in found] == [state.format(sweeps.folder)] * size
        assert set(table["needs"]) == {f"the best of {sweeps.folder}/tune.py"}
    parts = [Part.of_manifest(project, manifest)]
    [chosen] = narrowed(parts, [f"status={state.partition(':')[0]}", "seed>0"])
    assert chosen.folders == expansion.folders[:2]
    if ":" in state:
        [chosen] = narrowed(parts, ["reason~the best of"])
        assert chosen.folders == expansion.folders


def test_what_the_best_is_to_give_is_not_shown_as_known_before_it_is_chosen(sweeps: Sweeps, project: Project) -> None:
    sweeps.write("seeds", SEEDS + f'    yield "{CFG}", {{"lr": 0.3, "adam.beta1": 0.7, "seed": 3}}\n')

    def shown(name: str) -> list[object]:
        gathered = gather([Source.of(manifest, project)])
        found = known_in(gathered).find(name)
        assert found is not None
        assert gathered.configs()[3]["optimizer"] == "adam", "what is no matter of the best is known"
        return list(found.column)

    def where(condition: str) -> list[list[str]]:
        some = (Part.of_manifest(project, manifest), Part.of_expansion(project, sweeps.expand()))
        return [[folder for folder in part.folders if folder in own] for part in narrowed(some, [condition])]

    expansion = sweeps.expand()
    own = expansion.folders
    manifest = Manifest.open(write_manifest(expansion, project, sweeps.schema))
    base = sweeps.schema.parse_root(expansion.experiments_of_own[0].config)
    lr, epochs = base.train.lr, base.train.epochs  # type: ignore[attr-defined]  # of the example
    assert shown("lr") == [None, None, None, 0.3] and shown("seed") == [1, 2, 0, 3]
    assert shown("epochs") == [None, None, None, epochs] and shown("optimizer")[:3] == [None, None, None]
    assert where(f"lr={lr}") == [[], []] and where(f"epochs={epochs}") == [own[3:], own[3:]]
    assert shown("launcher.kind")[0] == "local", "which nobody takes over"
    assert where("batch_size=") == [own[:2], own[:2]], "no error: there is such a key"
    assert where("seed=2") == [own[1:2], own[1:2]]
    gathered = gather([Source.of(manifest, project)])
    keys = gathered.replicate_keys(["seed"])
    assert keys[0] == keys[1] and len(set(keys)) == 3
    assert gathered.differences([0, 1], ["seed"]) == [] and gathered.differences([0, 3], ["seed"])[:1] == ["I"]

    sweeps.choose("p/x", f"lr={lr}")
    assert shown("lr") == [lr, lr, None, 0.3] and shown("epochs") == [epochs, epochs, None, epochs]
    assert where(f"lr={lr}") == [own[:2], own[:2]]


def test_who_says_of_done_waits_only_for_those_that_may_come_to_something() -> None:
    def states(of: str, *found: Status) -> tuple[State, list[str]]:
        from heyhi.config.best import Best

        best = Best("t.py", "acc", "max", of)  # type: ignore[arg-type]
        statuses = Statuses(needs_of=lambda path: names if path == winner else (), best_of=lambda path: best)
        names = [f"/{number}" for number in range(len(found))]
        winner = "/winners/0123456789abcdef"
        statuses._states |= {name: State(one) for name, one in zip(names, found, strict=True)}
        waited = waited_for(best, names, lambda path: statuses.of(path).status.blocks, ())
        return statuses.of(winner), waited

    dead, done, new = Status.DEAD, Status.DONE, Status.NOT_STARTED
    assert states("all", done, new)[0].status is new
    assert states("all", dead, done, Status.PRUNED)[0].reason == (
        "the best of t.py: of 3, 1 is DEAD and 1 is PRUNED (of=done leaves out what isn't DONE)"
    )
    assert states("done", dead, done) == (State(new), ["/1"])
    assert states("done", dead, new) == (State(new), ["/1"])
    assert states("done", dead, Status.UNKNOWN)[0].reason == "the best of t.py: of 2, 1 is DEAD and 1 is UNKNOWN"
    assert states("done", dead, dead)[1] == ["/0", "/1"], "one of them has to be DONE"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("seeds", SEEDS.replace("TUNE", "TUNEE"), "sweep file 'TUNEE' doesn't exist"),
        ("tune", SEEDS, "tune.py: an experiment can't need the best of its own sweep"),
        ("tune", SEEDS.replace("TUNE", "SEEDS"), "sweeps need one another's best in a circle: "),
        ("seeds", SEEDS.replace(" max=acc", ""), "by which metric isn't said"),
        ("tune", TUNE.replace("lr", "lrr"), "unknown key 'lrr'"),
        ("tune", TUNE + "\nraise ValueError('mine')\n", "ValueError: mine"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(sweeps: Sweeps, name: str, text: str, message: str) -> None:
    sweeps.write(name, text)
    with pytest.raises(HeyhiError) as raised:
        sweeps.expand()
    assert message in str(raised.value), raised.value
    assert not sweeps.project.results_root.exists()


def test_the_nearest_sweep_file_is_named(sweeps: Sweeps) -> None:
    sweeps.write("seeds", SEEDS.replace("TUNE", "conf/c02_sup_train/rs_yolo_01_exampel.py"))
    with pytest.raises(HeyhiError, match=r"did you mean 'conf/c02_sup_train/rs_yolo_01_example\.py'"):
        sweeps.expand()


def test_a_manifest_whose_rows_of_it_were_changed_is_damaged(sweeps: Sweeps, project: Project) -> None:
    path = write_manifest(sweeps.expand(), project, sweeps.schema)
    sweeps.choose("p/x", "lr=0.1")
    changes: dict[str, Callable[[Manifest], object]] = {
        "UPDATE base SET content = x'00'": lambda manifest: manifest.experiment(manifest.targets[0]),
        "DELETE FROM base": lambda manifest: manifest.experiment(manifest.targets[0]),
        "UPDATE contest SET candidates = '[]'": lambda manifest: manifest.contests,
    }
    for change, read in changes.items():
        damaged = path.with_name("damaged.sqlite")
        shutil.copyfile(path, damaged)
        with sqlite3.connect(damaged) as connection:
            connection.execute(change)
        connection.close()
        with pytest.raises(ManifestError, match="damaged"):
            read(Manifest.open(damaged))
        with pytest.raises(ManifestError, match="damaged"):
            Manifest.open(damaged).check()
        damaged.unlink()


def test_who_chooses_first_decides_and_a_damaged_choice_is_never_taken_for_none(sweeps: Sweeps) -> None:
    first = sweeps.choose("p/x", "lr=0.1")
    assert sweeps.choose("p/y", "lr=0.2") == first
    path = winner_path(sweeps.project.results_root, first.words)
    assert read_winner(path) == first
    stands = ExperimentDir(path.with_suffix(""), sweeps.project.results_root)
    digest = stands.result_digest()
    path.unlink()
    assert stands.result_digest() == ""
    sweeps.choose("p/x", "lr=0.1")
    assert stands.result_digest() == digest, "chosen anew, it makes nothing stale"
    path.unlink()
    sweeps.choose("p/y", "lr=0.2")
    assert stands.result_digest() not in ("", digest)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(UnknownError, match="remove it, and it is chosen anew"):
        read_winner(path)
    with pytest.raises(HeyhiError, match="is damaged") as caught:
        sweeps.expand()
    assert "can't take over" not in str(caught.value), "it isn't what the best one has that is wrong"


def test_why_it_could_not_be_chosen_is_its_status(sweeps: Sweeps, project: Project) -> None:
    expansion = sweeps.expand()
    folder = Path(f"{project.results_root}/{expansion.contests[0].exp_id}")
    folder.parent.mkdir(parents=True)
    write_failure(folder, "no experiment has 'acc'")
    others = Survey.of_parts([Part.of_expansion(project, expansion)]).others
    assert others[expansion.folders[0]] == State(Status.BLOCKED, "by no experiment has 'acc'")


def test_what_comes_to_one_config_by_a_choice_is_no_matter_for_a_warning(sweeps: Sweeps) -> None:
    sweeps.write("seeds", SEEDS + f'    yield "{CFG}", {{"lr": 0.1, "seed": 1}}\n')
    sweeps.choose("p/x", "lr=0.1")
    expansion = sweeps.expand()
    first, *_, last = expansion.experiments_of_own
    assert first.config == last.config and not expansion.warnings
    others = "".join(f'    yield "{CFG}", {{"seed": 1, {one}}}\n' for one in ('"lr": 0.03', '"batch_size": 32'))
    sweeps.write("seeds", SEEDS + others)
    [warning] = sweeps.expand().warnings
    assert warning.startswith("these 2 experiments have the same config: "), "two others are, as ever"


SEARCH = f'import heyhi\nSEARCH = heyhi.Search(cfg="{CFG}", space={{"lr": "uniform(0,1)"}}, max="acc", trials=2)\n'


def ended(project: Project, folders: list[str], *statuses: str) -> None:
    """Have trials of a search ended, each better than the one before."""
    for number, (folder, status) in enumerate(zip(folders, statuses, strict=True)):
        slot = slot_dir(folder, project.results_root)
        slot.write_choice(Choice(f"p/{number}", CFG, (f"lr={number}",), {"lr": number}))
        slot.write_end(SlotEnd(f"p/{number}", status, 0.5 + 0.1 * number))
        if status == "DONE":
            (project.results_root / f"p/{number}").mkdir(parents=True)
            (project.results_root / f"p/{number}/result.json").write_text("{}")


def test_where_no_aim_is_named_that_of_the_search_counts(sweeps: Sweeps, project: Project) -> None:
    sweeps.write("tune", SEARCH)
    sweeps.write("seeds", SEEDS.replace(" max=acc", ""))
    expansion = sweeps.expand()
    [contest], [search] = expansion.contests, expansion.searches
    assert expansion.experiments_of_own[0].identity.overrides[0] == f"I={{{{best {sweeps.folder}/tune.py}}}}"
    manifest = Manifest.open(write_manifest(expansion, project, sweeps.schema))
    ended(project, search.folders, "DONE", "DONE")
    row = manifest.contests[contest.exp_id]
    with pytest.raises(NeedsError, match=r"the best of .*tune\.py: by what its search goes isn't on record"):
        choose(project, manifest, row)
    assert search.search is not None
    spec = slot_dir(search.folders[0], project.results_root).search.spec_path
    for direction, exp_id, value in (("max", "p/1", 0.6), ("min", "p/0", 0.5)):
        spec.write_text(replace(search.search, direction=direction).to_json())  # type: ignore[arg-type]
        best = choose(project, manifest, row)
        assert (best.exp_id, best.value, best.words) == (exp_id, value, contest.best.words)


def test_early_stopping_leaves_none_to_choose_from_unless_only_what_is_done_counts(
    sweeps: Sweeps, project: Project
) -> None:
    sweeps.write("tune", SEARCH.replace("=2)", "=2, stop=heyhi.ASHA(grace=3, factor=3))"))
    how = f"{{{{best {sweeps.folder}/tune.py max=acc of=done}}}}"
    expansion = sweeps.expand()
    assert expansion.warnings == [
        f"the best of {sweeps.folder}/tune.py needs all of its trials DONE, and its search ends some early:"
        f" {how} is the best of those that are"
    ]
    [search] = expansion.searches
    ended(project, search.folders, "DONE", "PRUNED")
    others = Survey.of_parts([Part.of_expansion(project, expansion)]).others
    reason = f"by the best of {sweeps.folder}/tune.py: of 2, 1 is PRUNED (of=done leaves out what isn't DONE)"
    assert others[expansion.folders[0]] == State(Status.BLOCKED, reason)
    manifest = Manifest.open(write_manifest(expansion, project, sweeps.schema))
    with pytest.raises(NeedsError) as raised:
        choose(project, manifest, manifest.contests[expansion.contests[0].exp_id])
    assert str(raised.value).endswith(f"which is PRUNED: {how} is the best of those that are"), raised.value
    spec = slot_dir(search.folders[0], project.results_root).search.spec_path
    spec.write_text(search.search.to_json())  # type: ignore[union-attr]
    sweeps.write("seeds", SEEDS.replace(" max=acc", ""))
    without = Manifest.open(write_manifest(sweeps.expand(), project, sweeps.schema))
    with pytest.raises(NeedsError) as raised:
        choose(project, without, next(iter(without.contests.values())))
    assert how.replace(" max=acc", "") in str(raised.value), "as it is written"
    sweeps.write("seeds", SEEDS)

    sweeps.choose("p/x", "lr=0.1")
    assert not sweeps.expand().warnings, "it was chosen"
    sweeps.write("seeds", SEEDS.replace("max=acc", "max=acc of=done"))
    assert not sweeps.expand().warnings


def test_what_can_not_be_chosen_is_told_as_soon_as_all_is_done(sweeps: Sweeps, project: Project) -> None:
    for number, metric in enumerate(("acc", "ac")):
        sweeps.write("seeds", SEEDS.replace("max=acc", f"max={metric}"))
        expansion = sweeps.expand()
        manifest = Manifest.open(write_manifest(expansion, project, sweeps.schema))
        if not number:
            for one in expansion.planned[:1]:
                done(one, project)
            assert not changed_winners(project, manifest), "it may come yet"
            done(expansion.planned[1], project)
    assert changed_winners(project, manifest) == [
        f"the best of {sweeps.folder}/tune.py can't be chosen: no experiment has 'ac' (did you mean 'acc'?)"
    ]
    with pytest.raises(NeedsError):
        settle(project, manifest, manifest.contest_nodes()[0].target)
    assert not changed_winners(project, manifest), "its status says so by now"


def test_a_search_is_chosen_from_by_its_own_aim_and_has_a_manifest_of_its_own(sweeps: Sweeps, project: Project) -> None:
    sweeps.write(
        "tune",
        f'import heyhi\nSEARCH = heyhi.Search(cfg="{CFG}", space={{"lr": "uniform(0,1)"}}, max="acc", trials=2)\n',
    )
    expansion = sweeps.expand()
    [search] = expansion.searches
    assert list(expansion.contests[0].candidates) == search.folders and len(expansion.planned) == 3
    manifest = Manifest.open(write_manifest(expansion, project, sweeps.schema))
    assert manifest.search is None
    slot = ManifestIndex.open(project).find_to_run(search.folders[0])
    assert slot is not None and Manifest.open(slot).search == search.search
    assert len(Survey.of_parts([Part.of_expansion(project, expansion)]).rows) == 5
    found = [slot_dir(folder, project.results_root) for folder in search.folders]
    for number, (one, status) in enumerate(zip(found, ("DONE", "PRUNED"), strict=True)):
        one.write_choice(Choice(f"p/{number}", CFG, (f"lr={number}",), {"lr": number}))
        one.write_end(SlotEnd(f"p/{number}", status, 0.5 - 0.1 * number))
        path = project.results_root / f"p/{number}"
        path.mkdir(parents=True)
        (path / "result.json").write_text(f'{{"acc": {0.5 + 0.1 * number}}}')  # somebody has gone on with the second
    best = choose(project, manifest, manifest.contests[expansion.contests[0].exp_id])
    assert best.exp_id == "p/1" and best.value == 0.6
    sweeps.write("seeds", SEEDS.replace("max=acc", "min=loss"))
    with pytest.raises(HeyhiError, match=r"is a search for max=acc, and its best is by that: \{\{best .* max=acc\}\}"):
        sweeps.expand()
