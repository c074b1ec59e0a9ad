"""A project with one task, whose main each test writes, and runs of it as jobs or programs start them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.config.schema import Schema, load_schema
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.owner import Owner
from heyhi.job.runner import Outcome, execute
from heyhi.project import Project, find_project
from heyhi.sweep.expand import expand
from heyhi.sweep.target import target_of
from heyhi.sweep.write_manifest import write_manifest

from .fifos import meet_at

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional double lr = 1 [default = 0.5]; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""
# Before each main: `meet` waits until the test is there, too.
HEAD = """
import os, pathlib, signal, subprocess, sys, threading, time
import heyhi

def meet(name):
    with open(os.environ["FIFOS"] + "/" + name, "w") as file:
        file.write("x")

"""
# Before each run.
START = """
import sys
import heyhi.job.runner as runner, heyhi.job.ending as ending, heyhi.job.saving as saving
import heyhi.experiment.claim as claim
"""

# As Slurm's does: two tasks, which get what comes by standard input, and end by themselves.
SRUN = """#!{python}
import os, signal, subprocess, sys, threading
words = sys.argv[sys.argv.index("--unbuffered") + 1 :]
ranks = []
for rank in range(2):
    env = dict(os.environ, SLURM_PROCID=str(rank), SLURM_NTASKS="2", SLURM_LOCALID=str(rank), SLURM_STEP_ID="0")
    ranks.append(subprocess.Popen(words, env=env, stdin=subprocess.PIPE, start_new_session=True))

def pass_on():
    for line in sys.stdin.buffer:
        for one in ranks:
            try:
                one.stdin.write(line)
                one.stdin.flush()
            except OSError:
                pass

def end():  # as --kill-on-bad-exit does
    for one in ranks:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGTERM)
    for one in ranks:
        try:
            one.wait(1)
        except subprocess.TimeoutExpired:
            os.killpg(one.pid, signal.SIGKILL)

def follow(rank):
    code = ranks[rank].wait()
    if code:
        print(f"srun: error: n1: task {rank}: Exited with exit code {code}", file=sys.stderr, flush=True)
        end()

threading.Thread(target=pass_on, daemon=True).start()
followers = [threading.Thread(target=follow, args=(rank,)) for rank in range(2)]
for one in followers:
    one.start()
for one in followers:
    one.join()
os._exit(max(abs(one.returncode) for one in ranks))
"""


class TaskLab:
    """The project, and what a test does with it.

    Attributes:
        root: its folder.
        fifos: folder of the FIFOs by which a test and a run wait for each other.
    """

    def __init__(self, root: Path, fifos: Path) -> None:
        self.root = root
        self.fifos = fifos
        self.running: list[subprocess.Popen[str]] = []

    @property
    def project(self) -> Project:
        return find_project(self.root)

    @property
    def schema(self) -> Schema:
        return load_schema(self.project)

    def write(self, main: str) -> None:
        """Write the task file; it defines `main(task, cfg, log_level)`."""
        (self.root / "run.py").write_text(HEAD + textwrap.dedent(main))

    def experiment(self, lr: float = 0.5) -> Experiment:
        return expand(self.project, self.schema, [("conf/job.prototxt", [f"lr={lr}"])]).experiments[-1]

    def folder(self, lr: float = 0.5) -> ExperimentDir:
        return ExperimentDir(self.experiment(lr).exp_path)

    def execute(self, main: Callable[..., object], lr: float = 0.5, **options: Any) -> Outcome:
        """Run a main in this process."""
        return execute(self.experiment(lr), self.schema, main, **options)

    def start(self, main: str, wrapper: str = "", **options: Any) -> subprocess.Popen[str]:
        """Start a run as a job does; `wrapper` is run before."""
        self.write(main)
        expansion = expand(self.project, self.schema, [("conf/job.prototxt", ["lr=0.5"])])
        manifest = write_manifest(expansion, self.project, self.schema)
        target = target_of(expansion.experiments[-1].exp_path, self.project.root)
        code = f"{START}{textwrap.dedent(wrapper)}\nsys.exit(runner.main())"
        return self.open([sys.executable, "-c", code, target, "--manifest", str(manifest)], **options)

    def program(self, text: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program of a user's."""
        (self.root / "program.py").write_text(HEAD + textwrap.dedent(text))
        return self.open([sys.executable, "program.py"], **options)

    def open(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        env = {**os.environ, "FIFOS": str(self.fifos), "PYTHONPATH": str(Path(heyhi.__file__).parents[1])}
        process = subprocess.Popen(
            command, cwd=self.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        self.running.append(process)
        return process

    def run(self, main: str, wrapper: str = "", **options: Any) -> tuple[int, str, str]:
        return self.end(self.start(main, wrapper, **options))

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def meet(self, name: str) -> None:
        """Wait for a run that says it is there, or lets itself be told to go on."""
        meet_at(self.fifos / name)

    def take_over(self, lr: float = 0.5) -> Owner:
        """Take an experiment's claim over as another host would that has taken its owner for dead."""
        folder = self.folder(lr)
        held = json.loads(folder.claim_path.read_text())
        other = {**held, "host": "elsewhere", "pid": 7, "nonce": "0123456789abcdef"}
        temp = folder.path / "taken"
        temp.write_text(json.dumps(other))
        temp.rename(folder.path / f"claim.{held['nonce']}.json")
        return Owner(**other)


@pytest.fixture
def task_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskLab]:
    """Return a project of which each test writes the task."""
    root, fifos = tmp_path / "lab", tmp_path / "fifos"
    for folder in (root / "conf", fifos):
        folder.mkdir(parents=True)
    (root / "conf" / "conf.proto").write_text(PROTO)
    (root / "conf" / "job.prototxt").write_text("job {}\n")
    for name in ("ready", "go"):
        os.mkfifo(fifos / name)
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    lab = TaskLab(root, fifos)
    yield lab
    for process in lab.running:
        process.kill()
        process.communicate()


@pytest.fixture
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an srun on the path that starts two tasks on this machine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text(SRUN.replace("{python}", sys.executable))
    (programs / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
