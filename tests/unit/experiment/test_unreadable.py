"""What can't be read is never taken for absent: each such experiment is UNKNOWN with its reason, and the others come.

Everything is looked at by a user whom file permissions stop, as they don't stop root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import heyhi
from heyhi.cli.main import main as heyhi_command
from heyhi.errors import IdentityError, UnknownError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.files import is_file, is_there
from heyhi.project import find_project
from heyhi.sweep.index import ManifestIndex
from heyhi.sweep.known import LaunchRecord, note_known, write_launch
from heyhi.sweep.target import exp_id_of

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; } }
message Work { optional double lr = 1; int32 seed = 2; string of = 3; }
"""
SWEEP = """
def yield_sweep():
    for seed in range({}):
        yield "conf/work.prototxt", {{"seed": seed}}
    yield "conf/closed/work.prototxt", {{"seed": 0}}
"""
RUN = """
import heyhi
def main(task, cfg, log_level):
    with open("metrics.jsonl", "w") as file:
        file.write('{"loss": 1}\\n')
    print("said by", cfg.seed)
    if cfg.seed in DEAD:
        raise ValueError("boom")
    return {"score": cfg.seed}
"""
# Each is a seed of the sweep: what is done to its folder, how it is then, and what is said of it.
Step = Callable[[Path], object]


class Case(NamedTuple):
    what: str
    step: Step
    status: Status
    reason: str = ""
    problem: str = ""
    dead: bool = False
    started: bool = True


def closed(name: str) -> Step:
    return lambda folder: (folder / name).chmod(0)


def damaged_and_closed(name: str) -> Step:
    def step(folder: Path) -> None:
        (folder / "result.json").unlink()
        (folder / name).write_text("{}")
        (folder / name).chmod(0)

    return step


DENIED, LOOP = "can't be read: Permission denied", "can't be read: Too many levels of symbolic links"
CASES = (
    Case("as it should be", lambda folder: None, Status.DONE),
    Case("a closed folder", closed("."), Status.UNKNOWN, f"result.json: {DENIED}"),
    Case("a result for others", closed("result.json"), Status.DONE, problem=f"result.json: {DENIED}"),
    Case("metrics for others", closed("metrics.jsonl"), Status.DONE, problem=f"metrics.jsonl: {DENIED}"),
    Case("a folder that can't be listed", lambda folder: folder.chmod(0o311), Status.DONE),
    Case("not started", lambda folder: None, Status.NOT_STARTED, started=False),
    Case("a link to itself", lambda f: f.symlink_to(f.name), Status.UNKNOWN, f"result.json: {LOOP}", started=False),
    Case("a file", lambda f: f.write_text(""), Status.UNKNOWN, "result.json: can't be read: Not a dir", started=False),
    Case("dead", lambda folder: None, Status.DEAD, "boom", dead=True),
    Case("closed attempts", closed("attempts.jsonl"), Status.UNKNOWN, f"attempts.jsonl: {DENIED}", dead=True),
    Case("a closed identity", closed("identity.json"), Status.UNKNOWN, f"identity.json: {DENIED}", dead=True),
    Case("a closed claim", damaged_and_closed("claim.json"), Status.UNKNOWN, f"claim.json: {DENIED}"),
    Case("a closed note of its job", damaged_and_closed("job.json"), Status.UNKNOWN, f"job.json: {DENIED}"),
    Case("a closed log", closed("log.txt"), Status.DEAD, "boom", dead=True),
    Case("a closed config", closed("config_flat.json"), Status.DONE),
)
PARENT = len(CASES)  # below a folder that can't be entered


class Said(NamedTuple):
    code: int
    out: str
    err: str


class Place(NamedTuple):
    """A project with all of the cases."""

    root: Path
    folders: list[Path]  # of the cases, then the one below a closed folder

    def weakly(self, code: str, *args: str) -> str:
        """Run Python as a user whom file permissions stop; return what it prints."""
        command = [sys.executable, "-c", code, *args]
        if os.geteuid() == 0:
            rights = "-dac_override,-dac_read_search"
            command = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", *command]
        env = {**os.environ, "PYTHONPATH": str(Path(heyhi.__file__).parents[1])}
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=self.root)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *commands: str) -> dict[str, Said]:
        """Give commands, in one process; `python` starts one of the task file."""
        code = (
            "import contextlib, io, json, sys; sys.path.insert(0, '.')\n"
            "import run\n"
            "from heyhi.cli.main import main\n"
            "from heyhi.cli.task_command import parse_args_and_maybe_launch\n"
            "said = {}\n"
            "for line in sys.argv[1:]:\n"
            "    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))\n"
            "    words = line.split()\n"
            "    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):\n"
            "        try:\n"
            "            code = main(words) if words[0] != 'python' else"
            " parse_args_and_maybe_launch(run.main, words[1:])\n"
            "        except SystemExit as stop:\n"
            "            code = stop.code\n"
            "    said[line] = code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()\n"
            "json.dump(said, sys.stdout)\n"
        )
        return {line: Said(*found) for line, found in json.loads(self.weakly(code, *commands)).items()}


def make(root: Path) -> Place:
    (root / "conf/closed").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    for folder in ("conf", "conf/closed"):
        (root / folder / "work.prototxt").write_text("work { lr: 0.1 }\n")
    (root / "conf/sweep.py").write_text(SWEEP.format(len(CASES)))
    (root / "pyproject.toml").write_text('[tool.heyhi]\nname = "it"\nsweep = "conf/sweep.py"\n')
    dead = [seed for seed, case in enumerate(CASES) if case.dead]
    (root / "run.py").write_text(RUN.replace("DEAD", str(dead)))
    for name in ("local", "slurm"):
        (root / "profiles" / name).mkdir(parents=True)
        (root / "profiles" / name / "config.yaml").write_text("cores: all\n")
    code = (
        "import json, sys; sys.path.insert(0, '.')\nimport heyhi, run\n"
        "def go(cfg, seed, mode='gentle_start'):\n"
        "    return str(heyhi.maybe_launch(run.main, cfg=cfg, overrides=[f'seed={seed}'], mode=mode).exp_path)\n"
        "modes = json.loads(sys.argv[1])\n"
        "found = [go('conf/work', seed, mode) for seed, mode in enumerate(modes)] + [go('conf/closed/work', 0)]\n"
        "json.dump(found, open('found.json', 'w'))\n"
    )
    modes = ["gentle_start" if case.started else "dryrun" for case in CASES]
    env = {**os.environ, "PYTHONPATH": str(Path(heyhi.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code, json.dumps(modes)], cwd=root, env=env, check=True, capture_output=True)
    place = Place(root, [Path(text) for text in json.loads((root / "found.json").read_text())])
    project = find_project(root)
    for folder in place.folders:  # those that were not started have been handed over
        note_known(project, {exp_id_of(folder, project.results_root): []})
    for case, folder in zip(CASES, place.folders, strict=False):
        case.step(folder)
    place.folders[PARENT].parent.chmod(0)
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make(tmp_path_factory.mktemp("unreadable") / "project")


def watched(place: Place) -> str:
    """A watch of those that are over."""
    over = [str(place.folders[seed]) for seed, case in enumerate(CASES) if case.status is not Status.NOT_STARTED]
    return f"status --watch 1 {' '.join(over)} {place.folders[PARENT]}"


@pytest.fixture(scope="module")
def said(place: Place) -> dict[str, Said]:
    """What all commands say, each given once."""
    folders = [str(folder) for folder in place.folders]
    return place.run(
        "status conf/sweep.py --json",
        "status conf/sweep.py --all",
        "plan",
        "plan --mode restart",
        "report --to table.csv --to page.html",
        "expand",
        "status",
        "status --drift --all",
        "launch conf/sweep.py --dry-run --profile profiles/local",
        f"launch {folders[1]} --profile profiles/local",
        "retry --dead --dry-run --profile profiles/local",
        "cancel --all --dry-run",
        f"cancel {folders[1]} {folders[PARENT]} --dry-run",
        *(f"logs {folder}" for folder in folders),
        *(f"logs -f {folder}" for seed, folder in enumerate(folders) if seed != 5),  # that one may start yet
        *(f"diff {folders[0]} {folder}" for folder in folders[1:]),
        *(f"python --cfg conf/work seed={seed} --mode {mode}" for seed in range(PARENT) for mode in ("dryrun",)),
        "python --cfg conf/closed/work seed=0",
        "python --cfg conf/closed/work seed=0 --mode restart --force",
        f"status {place.folders[PARENT].parent}/seed=7",
        watched(place),
        "status --job 18",
    )


def reasons() -> list[tuple[int, Status, str]]:
    return [*((i, case.status, case.reason) for i, case in enumerate(CASES)), (PARENT, Status.UNKNOWN, DENIED)]


def test_no_command_ends_in_a_traceback(said: dict[str, Said]) -> None:
    for line, (code, out, err) in said.items():
        assert code in (0, 1, 2), line
        assert "Traceback" not in err and "Errno" not in out + err, line
        assert (code != 2) or err.startswith("error: ") or "\nerror: " in err, line


def test_status_says_of_each_how_it_is_and_why(place: Place, said: dict[str, Said]) -> None:
    rows = {row["exp_path"]: row for row in json.loads(said["status conf/sweep.py --json"].out)["experiments"]}
    for place_of, status, reason in reasons():
        row = rows[str(place.folders[place_of])]
        assert row["status"] == status.value and reason in row["reason"], row
    for line in ("status conf/sweep.py --all", watched(place), "plan", "status --drift --all"):
        out = said[line].out
        assert out.count("UNKNOWN   ") == 8 and "UNKNOWN 8" in out, line
    assert said["status conf/sweep.py --all"].code == 1


def test_a_plan_starts_only_what_can_be_started(said: dict[str, Said]) -> None:
    assert "mode start_continue: 3 would start\n" in said["plan"].out  # one that is new, and two that are dead
    assert "; 8 would be refused: nobody knows how they are" in said["plan --mode restart"].out
    assert "3 would start" in said["launch conf/sweep.py --dry-run --profile profiles/local"].out
    assert "2 would start again" in said["retry --dead --dry-run --profile profiles/local"].out


def test_a_table_has_the_others_and_says_what_is_wrong_with_these(place: Place, said: dict[str, Said]) -> None:
    code, out, _ = said["report --to table.csv --to page.html"]
    assert code == 0 and "16 experiments: 2 DEAD, 8 UNKNOWN, 5 DONE, 1 NOT_STARTED" in out
    for folder, case in zip(place.folders, CASES, strict=False):
        assert case.problem == "" or f"{folder}/{case.problem}" in out
    page = (place.root / "page.html").read_text()
    assert "(log.txt can't be read: Permission denied)" in page
    assert len((place.root / "table.csv").read_text().splitlines()) == 17


def test_logs_say_why_there_are_none(place: Place, said: dict[str, Said]) -> None:
    for seed in (1, 13, PARENT):
        folder = place.folders[seed]
        assert said[f"logs {folder}"] == (2, "", f"error: {folder}/log.txt: {DENIED}\n")
        followed = said[f"logs -f {folder}"]
        assert followed.code == 1 and f"-- {folder}/log.txt: {DENIED}\n" in followed.err
        assert "left no log" not in followed.err


def test_a_job_that_no_record_names_may_be_one_that_cannot_be_read(said: dict[str, Said]) -> None:
    code, _, err = said["status --job 18"]
    assert code == 2 and "no experiment has a job 18; the records of 6 experiments can't be read" in err


def test_diff_names_what_it_cannot_read(place: Place, said: dict[str, Said]) -> None:
    for seed, name in ((1, "identity.json"), (2, "result.json"), (3, "metrics.jsonl"), (14, "config_flat.json")):
        code, out, err = said[f"diff {place.folders[0]} {place.folders[seed]}"]
        assert code == 2 and f"error: {place.folders[seed]}/{name}: {DENIED}" in err
        assert out.startswith("A  ") or seed == 1


def test_cancel_and_launch_leave_what_is_unknown_and_say_so(place: Place, said: dict[str, Said]) -> None:
    out = said["cancel --all --dry-run"].out
    assert out.count("nothing to cancel: UNKNOWN: ") == 8 and "UNKNOWN 8" in out
    named = said[f"cancel {place.folders[1]} {place.folders[PARENT]} --dry-run"].out
    assert named.count(f"UNKNOWN: {place.root}/results/p/") == 2 and "rm -r" not in named
    code, out, _ = said[f"launch {place.folders[1]} --profile profiles/local"]
    assert code == 1 and "left as it is: UNKNOWN" in out and "controller" not in out


def test_a_task_file_starts_nothing_there(place: Place, said: dict[str, Said]) -> None:
    assert said["python --cfg conf/closed/work seed=0"].code == 1
    assert f"{place.folders[PARENT]}: UNKNOWN (" in said["python --cfg conf/closed/work seed=0"].out
    code, _, err = said["python --cfg conf/closed/work seed=0 --mode restart --force"]
    assert code == 2 and "--mode restart changes nothing there" in err
    for seed, case in enumerate(CASES):
        assert f": {case.status.value}" in said[f"python --cfg conf/work seed={seed} --mode dryrun"].out


def test_a_word_that_leads_into_a_closed_folder_is_not_missing(place: Place, said: dict[str, Said]) -> None:
    _, _, err = said[f"status {place.folders[PARENT].parent}/seed=7"]
    assert err.endswith(f"experiment, job or config: {place.folders[PARENT].parent}/seed=7: {DENIED}\n")


def test_the_others_are_told_from_python_too(place: Place) -> None:
    code = (
        "import json, sys; sys.path.insert(0, '.')\nimport heyhi, run\n"
        "handles = [heyhi.maybe_launch(run.main, cfg='conf/work', overrides=[f'seed={seed}'], mode='start_restart')"
        " for seed in (0, 1, 2, 6, 7, 9, 10, 11, 12)]\n"
        "table = heyhi.table('conf/sweep.py', progress=False)\n"
        "json.dump([[h.get_status() for h in handles], list(table.status)], sys.stdout)\n"
    )
    statuses, column = json.loads(place.weakly(code))
    assert statuses == [CASES[seed].status.value for seed in (0, 1, 2, 6, 7, 9, 10, 11, 12)]
    assert column == [status.value for _, status, _ in reasons()]


def test_what_could_not_be_read_is_not_remembered_so(tmp_path: Path) -> None:
    place = make(tmp_path / "project")
    problem, other = (f"{place.folders[seed]}/{CASES[seed].problem}" for seed in (2, 3))
    assert problem in place.run("report")["report"].out
    (place.folders[2] / "result.json").chmod(0o644)  # which changes no file
    out = place.run("report")["report"].out
    assert problem not in out and other in out


def test_a_closed_place_of_the_results_is_one_error(tmp_path: Path) -> None:
    place = make(tmp_path / "project")
    results, state = place.root / "results", place.root / "results/.heyhi"
    told = ["status", "status conf/sweep.py", "report", "plan", "cancel --all", "expand"]
    results.chmod(0)
    for line, (code, out, err) in place.run(*told).items():
        assert (
            code == 2 and err.count("error: ") == 1 and "Permission denied" in err and "Traceback" not in out + err
        ), line
    results.chmod(0o755)
    state.chmod(0)
    said = place.run(*told)
    for line in ("status", "cancel --all", "expand"):
        assert said[line].code == 2 and f"error: {state}" in said[line].err, line
    for line in ("status conf/sweep.py", "plan", "report"):
        assert "UNKNOWN 8" in said[line].out or "8 UNKNOWN" in said[line].out, line
    state.chmod(0o755)


def test_a_closed_manifest_hides_nothing_from_those_who_may_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(tmp_path / "project")
    monkeypatch.chdir(place.root)
    assert heyhi_command(["expand", "--cfg", "conf/work", "seed=40"]) == 0
    (manifest,) = (place.root / "results/.heyhi/manifests").glob("work-*.sqlite")
    project = find_project()
    write_launch(project, LaunchRecord.now("snakemake", [], "work", manifest=manifest.name))
    index = place.root / "results/.heyhi/index.sqlite"
    index.unlink(missing_ok=True)
    manifest.chmod(0)
    place.run("status")  # takes up what it may read
    manifest.chmod(0o444)
    assert any("seed=40" in path for path in ManifestIndex.open(project).known())

    manifest.chmod(0)
    assert "seed=40" in place.run("status --all")["status --all"].out  # it was taken up before
    code, _, err = place.run(f"status {manifest}")[f"status {manifest}"]
    assert (code, err) == (2, f"error: {manifest}: {DENIED}\n")


def test_another_config_is_not_taken_where_one_cannot_be_looked_at(tmp_path: Path) -> None:
    place = make(tmp_path / "project")
    (place.root / "conf/near").mkdir()
    for folder in ("conf/near", "conf/common"):
        (place.root / folder).mkdir(exist_ok=True)
        (place.root / folder / "five.prototxt").write_text("work { lr: 5 }\n")
    (place.root / "conf/near").chmod(0)
    said = place.run("print near/five", "print conf/near/five.prototxt")
    for line, (code, out, err) in said.items():
        assert (code, out) == (2, "") and err.startswith("error: ") and DENIED in err, line


def test_a_runner_that_cannot_see_whether_there_is_a_result_runs_nothing(tmp_path: Path) -> None:
    place = make(tmp_path / "project")
    target = place.folders[1] / "result.json"
    place.run("expand")
    (manifest,) = (place.root / "results/.heyhi/manifests").glob("*.sqlite")
    code = "import sys; from heyhi.job import runner\nprint(runner.main([sys.argv[1], '--manifest', sys.argv[2]]))"
    assert place.weakly(code, str(target.relative_to(place.root)), str(manifest)).strip() == "2"
    place.folders[1].chmod(0o755)
    assert json.loads(target.read_text()) == {"score": 1}
    assert len((place.folders[1] / "attempts.jsonl").read_text().splitlines()) == 2


def test_what_may_hold_another_experiment_is_not_wiped(tmp_path: Path) -> None:
    place = make(tmp_path / "project")
    inner = place.folders[0] / "deeper"
    inner.mkdir()
    (inner / "kept").write_text("mine")
    inner.chmod(0)
    code, _, err = place.run("python --cfg conf/work seed=0 --mode restart --force").popitem()[1]
    assert code == 2 and f"is not wiped: {inner} can't be looked into: Permission denied" in err
    inner.chmod(0o755)
    assert (inner / "kept").read_text() == "mine" and (place.folders[0] / "result.json").is_file()


def test_there_absent_and_unknown_are_three_things(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to nothing").symlink_to("nothing")
    assert is_there(tmp_path) and is_there(tmp_path / "file") and is_file(tmp_path / "file") and not is_file(tmp_path)
    for name in ("nothing", "nothing/below", "to nothing"):
        assert not is_there(tmp_path / name) and not is_file(tmp_path / name)
    for name in ("loop", "loop/x"):
        for ask in (is_there, is_file):
            with pytest.raises(UnknownError, match=LOOP):
                ask(tmp_path / name)
    for name in ("file/x", "x" * 300):  # in words of a user, names that no file can have
        assert not is_file(tmp_path / name)
        with pytest.raises(UnknownError):
            is_there(tmp_path / name)
    assert not is_file("\0")


def test_a_folder_that_is_a_file_is_refused_by_who_would_start_there(tmp_path: Path) -> None:
    (tmp_path / "e").write_text("")
    with pytest.raises(UnknownError, match=r"identity.json: can't be read: Not a directory"):
        ExperimentDir(tmp_path / "e").read_identity()
    with pytest.raises(IdentityError):
        ExperimentDir(tmp_path / "e").check_project({"project": "A"})
