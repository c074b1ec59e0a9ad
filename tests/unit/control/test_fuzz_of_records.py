"""Whatever is in the place of a record, commands answer: no traceback, no hang, the others as they were.

The files are those of a small project that has something of everything; what is damaged is drawn from what is there, so
that new kinds of files come in by themselves. `HEYHI_FUZZ_EXAMPLES=10000` looks longer than the tests of a change can.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import heyhi
from heyhi.cli.main import main
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.code.snapshot import take_snapshot
from heyhi.control.controller import ControllerSpec
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.mixed import note_mixed
from heyhi.experiment.owner import Owner
from heyhi.project import find_project
from heyhi.serve.board import Board, Known
from heyhi.serve.curves import Curves
from heyhi.serve.details import experiment
from heyhi.serve.log_pieces import piece
from heyhi.sweep.flow import Flow
from heyhi.sweep.known import LaunchRecord, write_launch
from heyhi.sweep.manifest import Manifest
from tests.damage import Damage, Tree, damages

EXAMPLES = int(os.environ.get("HEYHI_FUZZ_EXAMPLES", "250"))
# Of these parts of the tree the files are damaged: what lies in experiments' folders, and what else HeyHi keeps.
DAMAGED = ("results", "cache")
# What may be removed at any time, and is made anew.
REMOVABLE = tuple(f"results/.heyhi/{name}" for name in ("index", "readings", "expansions", "looked-at", "code/hashes"))
SECONDS = 60.0  # after which a command hangs
MOST_MEMORY = 4 << 30  # what a command may take more than the tests did before; an allocator reserves whole GB

FILES = {
    "conf/conf.proto": """
syntax = "proto3";
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Work work = 2; Check check = 3; }
}
message Include { string path = 1; string mount = 2; }
message Work { optional double lr = 1; int32 seed = 2; repeated int32 sizes = 3; }
message Check { string of = 1; int32 noise = 2; }
""",
    "conf/work.prototxt": "work {\n  lr: 0.1\n}\n",
    "conf/check.prototxt": 'check { of: "{{exp work.prototxt seed=1}}" }\n',
    "conf/many.py": """
def yield_sweep():
    for seed in (1, 2, 3):
        yield "conf/work.prototxt", {"seed": seed}
    yield "conf/check.prototxt", {}
""",
    "conf/others.py": """
def yield_sweep():
    for seed in (4, 5):
        yield "conf/work.prototxt", {"seed": seed}
""",
    "profiles/local/config.yaml": "cores: 1\n",
    "pyproject.toml": '[tool.heyhi]\nname = "fuzzed"\nsweep = "conf/many.py"\n',
    # 2 dies by an error, 3 and 4 are killed; 5 is never started.
    "run.py": """
import json, os, signal
import heyhi

def main(task, cfg, log_level):
    with open("metrics.jsonl", "a") as file:
        for step in range(3):
            file.write(json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\\n")
    print("said")
    if task == "work" and cfg.seed == 2:
        raise ValueError("boom")
    if task == "work" and cfg.seed in (3, 4):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"score": 1}

if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
""",
}
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("status", "conf/many.py"),
    ("status", "conf/others.py", "--json"),
    ("status", "--sweeps"),
    ("status", "--sweeps", "--json"),
    ("status", "--drift", "--all"),
    ("status", "--where", "loss<1"),
    ("plan",),
    ("plan", "conf/others.py", "--json"),
    ("launch", "--dry-run", "--profile", "profiles/local"),
    ("launch", "conf/others.py", "--dry-run", "--profile", "profiles/local", "--redo-drifted"),
    ("retry", "--dead", "--dry-run", "--profile", "profiles/local"),
    ("cancel", "--all", "--dry-run"),
    ("report", "--to", "-"),
    ("report", "--to", "out/table.json", "--to", "out/page.html"),
    ("report", "conf/others.py", "--drift", "--to", "-"),
    ("report", "--mean-over", "--needs", "--to", "-"),
    ("report", "p/work/seed=1_bb8c55440128c5c2", "--to", "-"),
    ("logs", "p/work/seed=1_bb8c55440128c5c2"),
    ("logs", "p/work/seed=2_e70e6bead2c7e3fb", "-n", "3"),
    ("diff", "p/work/seed=1_bb8c55440128c5c2", "p/work/seed=2_e70e6bead2c7e3fb"),
    ("expand",),
    ("expand", "conf/others.py", "--manifest"),
    ("clean", "--dry-run"),
    ("clean", "--dry-run", "--json"),
    ("clean", "--where", "status=DEAD", "--experiments", "--dry-run"),
    ("note",),
    ("note", "--json"),
    ("note", "p/work/seed=2_e70e6bead2c7e3fb", "two words", "--dry-run"),
    ("print", "work", "seed=1"),
    ("describe", "work"),
    ("describe", "--settings"),
)
RUN_PY: tuple[tuple[str, ...], ...] = (
    ("--cfg", "work", "seed=1", "--mode", "dryrun"),
    ("--cfg", "work", "seed=1"),
    ("--cfg", "check", "--print"),
)
FLOW = ("snakemake", "-n")  # what a dry run of it asks
SERVE = ("serve", "answers")  # what a live page is answered of each experiment


class Hang(BaseException):
    """A command doesn't end."""


@dataclass
class Project:
    """The project with all of these files, and how its experiments are while nothing is damaged."""

    root: Path
    tree: Tree
    statuses: dict[str, dict[str, Any]]
    of_record: dict[str, set[str]]  # file below the root -> exp ids that it is a record of

    def damageable(self) -> list[str]:
        """Return what of the tree is to be damaged."""
        return [name for name in self.tree.contents if name.startswith(DAMAGED) and name not in DAMAGED]

    def touched_by(self, damage: Damage) -> set[str]:
        """Return the exp ids of those which a damaged file says something of, and of what needs them."""
        touched = {
            exp_id
            for name, exp_ids in self.of_record.items()
            if name == damage.path or name.startswith(f"{damage.path}/")
            for exp_id in exp_ids
        }
        return {*self.statuses} if any(exp_id.startswith("p/work/seed=1_") for exp_id in touched) else touched


def build(root: Path, cache: Path) -> None:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    env = {**os.environ, "PYTHONPATH": str(Path(heyhi.__file__).parents[1]), "XDG_CACHE_HOME": str(cache)}
    for words in (*(f"work seed={seed}" for seed in (1, 2, 2, 3, 4)), "check"):
        mode = ["--mode", "restart", "--force"] if "seed=2" in words else []
        subprocess.run(
            [sys.executable, "run.py", "--cfg", *words.split(), *mode], env=env, cwd=root, capture_output=True
        )
    project = find_project(root)
    for sweep in ("many", "others"):
        manifest = project.root / said("expand", f"conf/{sweep}.py", "--manifest").out.strip()
        with Manifest.open(manifest) as opened:
            record = LaunchRecord.now("heyhi launch", [f"conf/{sweep}.py"], opened.label, manifest=manifest.name)
            spec = ControllerSpec.for_launch(project, [opened], [], root / "profiles/local")
        write_launch(project, record)
        folder = project.state_root / "controllers" / spec.name
        folder.mkdir(parents=True)
        (folder / "controller.json").write_text(json.dumps(asdict(spec)))
        folder.with_name(f"{spec.name}.log").write_text("snakemake: nothing to be done\n")
        if sweep == "many":
            (folder / "claim.json").write_text(json.dumps(asdict(Owner.this_process("controller"))))
    (lives,) = (project.results_root / "p/work").glob("seed=4_*")
    (lives / "claim.json").write_text(json.dumps(asdict(Owner.this_process("process"))))
    (dead,) = (project.results_root / "p/work").glob("seed=2_*")
    said("note", str(dead), "not of any use", "--exclude")
    note_mixed(project.results_root, f"p/work/{dead.name}")
    take_snapshot(project)
    for name in ("adhoc/0123456789abcdef.json", "packs/x/targets.json"):
        (project.state_root / name).parent.mkdir(parents=True)
    (project.state_root / "adhoc/0123456789abcdef.json").write_text('{"name": "x", "restart": 0}')
    (project.state_root / "packs/x/targets.json").write_text(json.dumps([f"{dead}/result.json"]))
    for command in COMMANDS:  # so that all is there that is kept between commands
        said(*command)


@dataclass
class Said:
    code: int
    out: str
    err: str


def said(*command: str) -> Said:
    """Run a command in this process; what is no answer goes on as it is."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True) for _ in range(2))
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), bounded():
        try:
            if command == FLOW:
                ask_as_snakemake_does()
            elif command == SERVE:
                try:
                    answer_as_a_server_does()
                except HeyhiError as error:
                    print(f"error: {error}", file=err)
                    code = error.exit_code
            elif command in RUN_PY:
                parse_args_and_maybe_launch(lambda **_: {}, command)
            else:
                code = main(command)
        except SystemExit as stop:
            code = stop.code
    texts = [stream.buffer.getvalue().decode(errors="replace") for stream in (out, err)]  # type: ignore[attr-defined]
    return Said(code if isinstance(code, int) else int(code is not None), *texts)


def ask_as_snakemake_does() -> None:
    """Ask what a dry run of Snakemake asks of a sweep."""

    class Asks:
        is_main_process = True
        executor_plugin = dag_settings = execution_settings = None
        touch = dryrun = False

        def get_rule(self, name: str) -> Any:
            return SimpleNamespace(resources={})

    class Wildcards:
        exp = ""

    flow = Flow(Asks(), {})
    target = flow.report(Wildcards())
    label, _, digest = target.removesuffix(".csv").rpartition("/")
    wildcards = Wildcards()
    wildcards.label, wildcards.digest = Path(label).name, digest  # type: ignore[attr-defined]
    flow.report_manifest(wildcards)
    for result in flow.report_results(wildcards):
        wildcards.exp = result.removesuffix("/result.json")
        for ask in (flow.needs, flow.manifest, flow.threads, flow.priority):
            ask(wildcards)


def answer_as_a_server_does() -> None:
    """Answer what a live page asks of each experiment: its curves, itself, its logs."""
    project = find_project()
    known = {
        path.name: Known(project, ExperimentDir(path, project.results_root))
        for path in sorted(project.results_root.glob("p/*/*"))
    }

    class Shown(Board):
        def __init__(self) -> None:
            pass

        def experiment(self, key: str) -> Known | None:
            return known.get(key)

    answers: list[Any] = [Curves(Shown()).answer(list(known), 500, ["loss"])]
    for one in known.values():
        answers.append(experiment(one))
        for how in ({}, {"begin": 0}, {"before": 1 << 40}, {"attempt": 1}, {"rank": 0}, {"at": "error"}):
            with contextlib.suppress(HeyhiError):  # which is said to the page
                answers.append(piece(one, **how))
    for answer in answers:
        assert len(orjson.dumps(answer)) < 4 << 20


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Interrupt what hangs, and have no memory for what takes too much of it."""

    def stop(_: int, frame: FrameType | None) -> None:
        raise Hang(f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "")

    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_MEMORY, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    root, here = tmp_path_factory.mktemp("fuzzed"), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "tree/cache"))
        patch.delenv("HH_EXP_DIR", raising=False)
        (root / "tree").mkdir()
        patch.chdir(root / "tree")
        build(root / "tree", root / "tree/cache")
        made = Project(root / "tree", Tree(root / "tree", root / "aside"), statuses(said("status", "--json")), {})
        for name in made.tree.contents:
            made.of_record[name] = exp_ids_in(root / "tree", name, set(made.statuses))
        yield made
        patch.chdir(here)


def statuses(of: Said) -> dict[str, dict[str, Any]]:
    return {one["exp_id"]: one for one in json.loads(of.out)["experiments"]}


def exp_ids_in(root: Path, name: str, known: set[str]) -> set[str]:
    """Return the exp ids that a record is about."""
    if name.startswith("results/p/"):
        return {exp_id for exp_id in known if f"{name}/".startswith(f"results/{exp_id}/")}
    if name.startswith("results/.heyhi/manifests/"):
        with Manifest.open(root / name) as manifest:
            return set(manifest.contents.exp_ids)
    if name.startswith(("results/.heyhi/known/", "results/.heyhi/notes/", "results/.heyhi/mixed/")):
        text = (root / name).read_text() if (root / name).is_file() else ""
        return {exp_id for exp_id in known if exp_id in text}
    if name.startswith("results/.heyhi/launches/") and (root / name).is_file():
        manifest = json.loads((root / name).read_text())["manifest"]
        return exp_ids_in(root, f"results/.heyhi/manifests/{manifest}", known)
    return set()


def test_something_of_everything_is_there(project: Project) -> None:
    found = {one["exp_id"].split("_")[0]: one["status"] for one in project.statuses.values()}
    assert found == {
        "p/work/seed=1": "DONE",
        "p/work/seed=2": "DEAD",
        "p/work/seed=3": "DEAD",
        "p/work/seed=4": "RUNNING",
        "p/work/seed=5": "NOT_STARTED",
        "p/check/default": "DONE",
    }
    kinds = {Path(name).parts[2] for name in project.damageable() if name.startswith("results/.heyhi/")}
    assert kinds >= {
        *("adhoc", "code", "controllers", "environments", "expansions", "index.sqlite", "known", "launches"),
        *("looked-at", "manifests", "mixed", "notes", "packs", "project.json", "readings", "trash", "versions"),
    }


@pytest.mark.slow
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), print_blob=True)
@given(data=st.data())
def test_any_bytes_in_any_file_are_answered(project: Project, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(project.damageable()), "path")
    damage = data.draw(damages(path, project.tree.contents[path]), "damage")
    commands = data.draw(
        st.lists(st.sampled_from((*COMMANDS, *RUN_PY, FLOW, SERVE)), min_size=1, max_size=2), "commands"
    )
    note(str(damage))
    check(project, damage, commands)


def check(project: Project, damage: Damage, commands: Sequence[tuple[str, ...]]) -> None:
    """Make sure that commands answer although a file is damaged, that all others are as they were, and stay."""
    with project.tree.damaged(damage), freed(project.root / damage.path):
        before = held(project, damage)
        for command in (*commands, ("status", "--json")):
            answer = said(*command)
            assert answer.code in (0, 1, 2), (command, answer)
            assert "Traceback" not in answer.out + answer.err, (command, answer)
            assert answer.code != 2 or "error: " in answer.err, (command, answer)
            assert command != SERVE or answer.code == 0 or nobody_can_know(project, damage), (command, answer)
        if answer.code == 2:
            assert nobody_can_know(project, damage), answer
        else:
            found, touched = statuses(answer), project.touched_by(damage)
            for exp_id, status in project.statuses.items():
                assert exp_id in touched or found.get(exp_id) == status, (found.get(exp_id), answer.err)
        assert held(project, damage) == before


@contextlib.contextmanager
def freed(path: Path) -> Iterator[None]:
    """Give a FIFO somebody who writes, in the end: a library that waits for one can't be interrupted."""
    handles: list[int] = []
    is_fifo = os.path.lexists(path) and stat.S_ISFIFO(path.lstat().st_mode)
    timer = threading.Timer(2 * SECONDS, lambda: handles.append(os.open(path, os.O_RDWR | os.O_NONBLOCK)))
    timer.daemon = True
    if is_fifo:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for handle in handles:
            os.close(handle)
    assert not handles, f"{path}: was waited for"


def nobody_can_know(project: Project, damage: Damage) -> bool:
    """Return whether a damage may leave nothing to answer by: a list of what is known can't be read."""
    return project.tree.contents[damage.path] is None


def held(project: Project, damage: Damage) -> dict[str, bytes]:
    """Return what no command that looks may change or remove: the files of experiments, and records."""
    return {
        name: (project.root / name).read_bytes()
        for name, data in project.tree.contents.items()
        if name.startswith("results/") and not name.startswith((*REMOVABLE, damage.path)) and data is not None
    }
