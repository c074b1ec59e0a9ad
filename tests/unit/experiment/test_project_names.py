"""Two projects with one results root: neither takes, wipes or ends what is the other's, whoever it is asked by."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heyhi
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.errors import IdentityError, ProjectError, UnknownError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.project_names import check_names, foreign_names, is_same_project, take_root
from heyhi.job import runner
from heyhi.job.launch import maybe_launch
from heyhi.job.order import Order
from heyhi.job.submit import submit_job
from heyhi.project import Project, Settings, find_project
from heyhi.slurm.commands import View
from heyhi.slurm.request import JobRequest
from heyhi.sweep.manifest import Manifest

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; } }
message Work { optional double lr = 1; int32 seed = 2; }
"""
SWEEP = "def yield_sweep():\n    for seed in (1, 2):\n        yield 'conf/work.prototxt', {'seed': seed}\n"
NO_REQUEST = cast(JobRequest, None)  # nothing is asked of Slurm
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results root that all projects have."""
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "shared"))
    return tmp_path / "shared"


@pytest.fixture
def enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """Go to a project in a folder, which is made; with settings."""

    def go(folder: str, settings: str = "", *, about: str = "") -> Project:
        root = tmp_path / folder
        (root / "conf").mkdir(parents=True, exist_ok=True)
        (root / "conf/conf.proto").write_text(PROTO)
        (root / "conf/work.prototxt").write_text("work { lr: 0.1 }\n")
        (root / "conf/sweep.py").write_text(SWEEP)
        (root / "run.py").write_text("def main(task, cfg, log_level):\n    return {'lr': cfg.lr}\n")
        (root / "profiles/slurm").mkdir(parents=True, exist_ok=True)
        (root / "profiles/slurm/config.yaml").write_text("executor: heyhi\n")
        (root / "pyproject.toml").write_text(f'{about}\n[tool.heyhi]\nsweep = "conf/sweep.py"\n{settings}\n')
        monkeypatch.chdir(root)
        return find_project()

    return go


def named(name: str, *was: str) -> str:
    return f'name = "{name}"\nwas = {json.dumps(was)}'


def call(*args: str, by: str = "") -> int:
    def main(task: str, cfg: Any, log_level: str) -> dict[str, str]:
        return {"by": by}

    with pytest.raises(SystemExit) as caught:
        parse_args_and_maybe_launch(main, ["--cfg", "work", *args])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def started_by_a(enter: Callable[..., Project]) -> Path:
    """Have one experiment in the shared root, made by project A; return its folder."""
    enter("a", named("A"))
    handle = maybe_launch(lambda **_: {"by": "A"}, cfg="work")
    assert handle.result() == {"by": "A"}
    return handle.exp_path


def everything_in(root: Path) -> dict[str, bytes]:
    """What there is of experiments; databases and manifests may come."""
    return {str(p): p.read_bytes() for p in sorted((root / "p").rglob("*")) if p.is_file()}


def test_the_name_is_in_the_identity_file_and_in_no_hash_or_path(
    enter: Callable[..., Project], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started_by_a(enter)
    assert json.loads((first / "identity.json").read_text())["project"] == "A"
    monkeypatch.setenv("HH_EXP_DIR", str(shared.with_name("other")))
    enter("b", "")
    second = maybe_launch(lambda **_: {}, cfg="work").exp_path
    assert first.relative_to(shared) == second.relative_to(shared.with_name("other"))
    assert "project" not in json.loads((second / "identity.json").read_text())
    assert ExperimentDir(first).read_identity() == ExperimentDir(second).read_identity()


@pytest.mark.parametrize("mode", ["gentle_start", "start_restart", "start_continue", "restart"])
def test_another_projects_run_takes_and_wipes_nothing_whatever_the_mode(
    enter: Callable[..., Project], shared: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    started_by_a(enter)
    before = everything_in(shared)
    project = enter("b", named("B"))
    assert call("--mode", mode, "--force", by="B") == 2
    said = capsys.readouterr().err
    assert said == (
        f"error: {shared}: has the results of the project 'A', and this project is 'B' ({project.root}/pyproject.toml):"
        " nothing is started, wiped or ended there. Give this one other results (HH_EXP_DIR, or results in"
        ' [tool.heyhi]); or, if that was this project\'s name, say so there in [tool.heyhi]: was = ["A"]\n'
    )
    with pytest.raises(ProjectError, match="'A', and this project is 'B'"):
        maybe_launch(lambda **_: {"by": "B"}, cfg="work", mode=mode)
    with pytest.raises(ProjectError, match="'A', and this project is 'B'"):
        maybe_launch(lambda **_: {"by": "B"}, cfg="work", overrides=["seed=7"], mode=mode)  # nor anything new
    assert everything_in(shared) == before


def test_a_run_that_was_refused_leaves_nothing(enter: Callable[..., Project], shared: Path) -> None:
    started_by_a(enter)
    before = sorted(shared.rglob("*"))
    enter("b", named("B"))
    assert call("seed=9") == 2
    assert sorted(shared.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        "launch conf/sweep.py",
        "launch conf/sweep.py --foreground",
        "retry --dead",
        "cancel --all",
        "clean --force",
        "cancel conf/sweep.py",
    ],
)
def test_commands_that_start_or_end_something_are_refused(
    enter: Callable[..., Project], shared: Path, run: Command, words: str
) -> None:
    started_by_a(enter)
    before = everything_in(shared)
    enter("b", named("B"))
    code, out, err = run(*words.split())
    assert (code, out) == (2, "") and "'A'" in err and "'B'" in err and err.count("\n") == 1
    assert everything_in(shared) == before


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "status conf/sweep.py",
        "plan",
        "report conf/sweep.py",
        "logs EXP",
        "diff EXP EXP",
        "print work",
        "expand",
        "launch conf/sweep.py --dry-run",
        "cancel --all --dry-run",
        "clean --dry-run",
    ],
)
def test_commands_that_only_look_warn_once_and_go_on(
    enter: Callable[..., Project], shared: Path, run: Command, words: str
) -> None:
    folder = started_by_a(enter)
    enter("b", named("B"))
    code, _, err = run(*words.replace("EXP", str(folder)).split())
    warning = f"warning: {shared}: has the results of the project 'A', and this project is 'B'"
    assert err.count(warning) == 1 and err.count("warning:") == 1
    assert code == 0 or words.startswith("diff")  # of one experiment with itself


def test_results_that_lead_to_a_disk_that_is_away_are_not_taken_for_none(
    enter: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Command
) -> None:
    project = enter("one")
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    (project.root / "away").symlink_to(tmp_path / "disk")
    for root in ("away", "away/results"):
        monkeypatch.setenv("HH_EXP_DIR", str(project.root / root))
        for words in (["status"], ["plan", "conf/many.py"], ["report", "conf/many.py"], ["note"], ["expand"]):
            code, out, err = run(*words)
            assert code == 2 and "isn't there (is its disk mounted?)" in err, words
            assert not out or words == ["expand"]
    assert not (tmp_path / "disk").exists()


def test_a_report_leaves_another_projects_tables_as_they_are(
    enter: Callable[..., Project], shared: Path, run: Command, tmp_path: Path
) -> None:
    started_by_a(enter)
    assert run("report")[0] == 0
    tables = {path: path.read_bytes() for path in (shared / "reports").iterdir()}
    enter("b", named("B"))
    code, out, _ = run("report")
    assert code == 0 and "no file was written, since the results are another project's: --to FILE writes one" in out
    assert run("report", "--to", str(tmp_path / "own.csv"))[0] == 0 and (tmp_path / "own.csv").exists()
    assert {path: path.read_bytes() for path in (shared / "reports").iterdir()} == tables and tables


def test_a_dry_run_of_the_task_file_warns_and_goes_on(
    enter: Callable[..., Project], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    started_by_a(enter)
    enter("b", named("B"))
    for words in (("--mode", "dryrun"), ("--print",)):
        assert call(*words) == 0
        assert capsys.readouterr().err.count("warning: ") == 1
    assert maybe_launch(lambda **_: {}, cfg="work", mode="dryrun").is_done()
    assert "this project is 'B'" in caplog.text
    heyhi.table("conf/sweep.py", progress=False)
    assert caplog.text.count("this project is 'B'") == 2


def test_what_an_earlier_name_left_is_accepted_and_nothing_is_redone(
    enter: Callable[..., Project], shared: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    project = enter("a", named("A"))
    first = maybe_launch(lambda **_: {"by": "A"}, cfg="work").exp_path
    assert run("expand")[0] == 0
    before = everything_in(shared)
    (old,) = (project.state_root / "manifests").glob("*.sqlite")

    enter("a", named("Alpha", "A"))
    assert call(by="Alpha") == 0
    assert everything_in(shared) == before
    assert "warning" not in capsys.readouterr().err
    second = maybe_launch(lambda **_: {}, cfg="work", overrides=["seed=3"]).exp_path
    assert ExperimentDir(second).read_project_name() == "Alpha"
    assert run("expand")[0] == 0
    assert list((project.state_root / "manifests").glob("*.sqlite")) == [old]  # and so its table is what it was
    with Manifest.open(old) as manifest:
        assert {one.roots["project"] for one in manifest.experiments()} == {"Alpha"}

    # A clone that isn't up to date has the earlier name still, and is the same project.
    enter("clone", named("A"))
    assert maybe_launch(lambda **_: {}, cfg="work", overrides=["seed=3"]).exp_path == second
    assert maybe_launch(lambda **_: {"by": "A"}, cfg="work", overrides=["seed=3"], mode="restart").result()
    assert first.exists()


def test_an_experiment_that_another_project_made_is_refused_also_without_a_record_of_the_root(
    enter: Callable[..., Project], shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = started_by_a(enter)
    (shared / ".heyhi/project.json").unlink()
    before = everything_in(shared)
    enter("b", named("B"))
    for mode in ("gentle_start", "restart"):
        assert call("--mode", mode, "--force", by="B") == 2
        assert f"error: {folder}: is of the project 'A', and this project is 'B'" in capsys.readouterr().err
    assert everything_in(shared) == before
    # What nobody has is B's from now on.
    assert call("seed=5", by="B") == 0
    enter("a", named("A"))
    with pytest.raises(ProjectError, match="the project 'B', and this project is 'A'"):
        maybe_launch(lambda **_: {}, cfg="work", overrides=["seed=6"])


def test_a_runner_and_a_submission_refuse_what_another_project_made(
    enter: Callable[..., Project], shared: Path, run: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    started_by_a(enter)
    (shared / ".heyhi/project.json").unlink()
    before = everything_in(shared)
    project = enter("b", named("B"))
    code, out, _ = run("expand", "--cfg", "work")
    (path,) = (project.state_root / "manifests").glob("*.sqlite")
    assert code == 0
    assert runner.main([out.strip(), "--manifest", str(path)]) == 2
    assert "is of the project 'A', and this project is 'B'" in capsys.readouterr().err
    with Manifest.open(path) as manifest:
        (experiment,) = manifest.experiments()
        order = Order(path, manifest.schema(), project.results_root, project.state_root, project.root)
        with pytest.raises(IdentityError, match="is of the project 'A'"):
            submit_job([experiment], NO_REQUEST, order, View())
    assert everything_in(shared) == before


def test_a_run_of_another_project_is_not_ended(
    enter: Callable[..., Project], shared: Path, run: Command, tmp_path: Path
) -> None:
    enter("a", named("A"))
    folder = maybe_launch(lambda **_: {}, cfg="work").exp_path
    (folder / "result.json").unlink()
    (shared / ".heyhi/project.json").unlink()
    enter("b", named("B"))
    with Claim.acquire(folder) as claim:  # type: ignore[union-attr]
        code, out, _ = run("cancel", str(folder))
        assert code == 0 and "nothing to cancel: it is of the project 'A', which alone may end it" in out
        assert claim.is_held()


def test_a_name_that_the_packaging_declares_counts(enter: Callable[..., Project]) -> None:
    started_by_a(enter)
    project = enter("b", about='[project]\nname = "B"')
    assert project.name == "B"
    assert call() == 2
    enter("b", 'name = "A"', about='[project]\nname = "B"')
    assert call() == 0


def test_a_project_without_a_name_is_told_which_line_to_add(
    enter: Callable[..., Project], shared: Path, capsys: pytest.CaptureFixture[str], run: Command
) -> None:
    project = enter("b")
    line = f'add this line to [tool.heyhi] in {project.root}/pyproject.toml: name = "b"'
    assert call() == 0
    said = capsys.readouterr().err
    assert said.count("warning: this project has no name") == 1 and line in said
    assert "warning" not in run("status")[2]  # who only looks is told where there is another's

    started = enter("a", named("A"))
    assert maybe_launch(lambda **_: {}, cfg="work", overrides=["seed=2"]).is_done()
    assert started.name == "A"
    enter("b")
    told = run("status")[2]
    assert told.count("warning: ") == 1 and f"in {shared}, where the project 'A' has some already" in told
    assert call("seed=4") == 0
    assert "where the project 'A' has some already" in capsys.readouterr().err


def test_where_the_results_lie_inside_nobody_is_warned(
    enter: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], run: Command
) -> None:
    monkeypatch.delenv("HH_EXP_DIR")
    enter("b")
    assert call() == 0
    assert "warning" not in capsys.readouterr().err + run("status")[2]


def test_a_link_inside_that_leads_outside_is_outside(
    enter: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HH_EXP_DIR")
    project = enter("b")
    (tmp_path / "scratch").mkdir()
    (project.root / "results").symlink_to(tmp_path / "scratch")
    assert "has no name" in check_names(project)
    (tmp_path / "also b").symlink_to(project.root)
    assert check_names(Project(tmp_path / "also b", Settings(results="out"))) == ""


def test_a_record_that_cannot_be_read_is_no_absent_one(
    enter: Callable[..., Project], shared: Path, run: Command
) -> None:
    started_by_a(enter)
    for text in ("", "{", '{"names": 1}', '{"names": [1]}', "[]", "[" * 100_000):
        (shared / ".heyhi/project.json").write_text(text)
        code, _, err = run("retry", "--dead")
        assert code == 2 and f"{shared}/.heyhi/project.json: is damaged, so nobody knows whose results these are" in err
        code, _, err = run("status")
        assert "is damaged, so nobody knows" in err and code == 0
    (shared / ".heyhi/project.json").unlink()
    (shared / ".heyhi/project.json").mkdir()
    with pytest.raises(UnknownError, match="can't be read, so nobody knows"):
        maybe_launch(lambda **_: {}, cfg="work")


def test_of_many_projects_that_meet_in_a_new_root_one_gets_it(tmp_path: Path, shared: Path) -> None:
    start = threading.Barrier(8)
    won: list[str] = []

    def come(name: str) -> None:
        project = Project(tmp_path / name, Settings(name=name))
        start.wait()
        try:
            take_root(project)
            won.append(name)
        except ProjectError:
            pass

    threads = [threading.Thread(target=come, args=(f"p{i % 4}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(won)) == 1 and len(won) == 2  # two clones of the one that won
    assert not list((shared / ".heyhi").glob(".*.tmp"))


NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=2)), min_size=1, max_size=6))
def test_a_root_never_has_two_names_that_nobody_said_are_one(
    tmp_path_factory: pytest.TempPathFactory, comers: list[tuple[str, list[str]]]
) -> None:
    root = tmp_path_factory.mktemp("root")
    known: set[str] = set()
    for name, was in comers:
        project = Project(root / name, Settings(name=name, was=tuple(was)), root)
        own = {name, *was}
        if not known or own & known:
            assert check_names(project) == "" == foreign_names(project)
            take_root(project)
            known |= own
        else:
            for refuse in (check_names, take_root):
                with pytest.raises(ProjectError):
                    refuse(project)
            assert f"this project is '{name}'" in foreign_names(project)
        for one in "abcd":
            for other in "abcd":
                assert is_same_project(one, other, root) == (one == other or {one, other} <= known)


def test_a_job_needs_no_pyproject_to_know_its_project(
    enter: Callable[..., Project], run: Command, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "run", raising=False)  # another test's task file
    project = enter("a", named("A"))
    targets = run("expand")[1].split()
    (path,) = (project.state_root / "manifests").glob("*.sqlite")
    (project.root / "pyproject.toml").unlink()
    assert runner.main([targets[0], "--manifest", str(path)]) == 0
    folder = ExperimentDir(Path(targets[0]).parent)
    assert folder.read_project_name() == "A"
    assert folder.read_roots().keys() == {"project_root", "results_root"}


def test_an_unnamed_experiment_is_anybodys(enter: Callable[..., Project]) -> None:
    enter("b")
    folder = maybe_launch(lambda **_: {}, cfg="work").exp_path
    enter("a", named("A"))
    assert maybe_launch(lambda **_: {}, cfg="work").get_status() is Status.DONE
    experiment = Experiment("x", folder, ExperimentDir(folder).read_identity(), "work", b"", roots={"project": "A"})  # type: ignore[arg-type]
    ExperimentDir(folder).check(experiment)
