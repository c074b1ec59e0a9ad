"""A tiny project of its own, real Snakemake, and tasks that fail or wait when a test says so."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from heyhi.experiment.folder import ExperimentDir

SECONDS = 300.0  # after which something hangs

PROTO = """
syntax = "proto2";
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Work work = 10; Look look = 11; }
}
message Include { optional string path = 1; optional string mount = 2; }
message Work { optional int32 x = 1; optional int32 size = 2 [default = 1]; optional Launcher launcher = 3; }
message Look { optional int32 x = 1; optional string at = 2; }
message Launcher { oneof kind { Local local = 1; } }
message Local { optional int32 cpus = 1 [default = 1]; optional int32 tasks = 2 [default = 1]; }
"""
# Each execution is a line of the ledger. What a file in the project root says, x does: fail, or wait at a gate.
TASK = """
import json
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main(task, cfg, log_level):
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{task} {cfg.x}\\n")
    if (ROOT / f"fail-{cfg.x}").exists():
        raise ValueError(f"boom {cfg.x}")
    if (ROOT / f"gate-{cfg.x}").exists():
        with (ROOT / "told").open("w") as told:
            told.write(f"{cfg.x} {os.getpid()}\\n")
        gate = os.open(ROOT / f"gate-{cfg.x}", os.O_RDONLY)
        os.read(gate, 1)
    print("said by", cfg.x)
    if task == "look":
        assert (Path(cfg.at) / "result.json").exists()
    with open("metrics.jsonl", "a") as metrics:
        metrics.write('{"loss": %d}\\n' % cfg.x)
    return {"y": 10 * cfg.x}
"""
SWEEP = """
def yield_sweep():
    for x in (1, 2, 3):
        yield "conf/work.prototxt", {"x": x}
"""
LOOKS = """
def yield_sweep():
    for x in (5, 6):
        yield "conf/look.prototxt", {"x": x}
"""


@dataclass
class Tiny:
    """A project in a folder of its own."""

    root: Path
    env: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    gates: dict[int, int] = field(default_factory=dict)
    told: int = -1

    def snakemake(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end."""
        process = self.start(*args)
        out, err = process.communicate(timeout=SECONDS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start Snakemake."""
        profile = () if "--no-profile" in args else ("--profile", "profiles/local", "--cores", "2")
        command = [sys.executable, "-m", "snakemake", *profile, *(a for a in args if a != "--no-profile")]
        process = subprocess.Popen(
            command, cwd=self.root, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.started.append(process)
        return process

    def heyhi(self, *args: str) -> str:
        """Run a command of HeyHi's and return what it prints."""
        command = [sys.executable, "-m", "heyhi.cli", *args]
        return subprocess.run(
            command, cwd=self.root, env=self.env, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS
        ).stdout

    @property
    def ledger(self) -> list[str]:
        """What was executed, in order."""
        path = self.root / "ledger.txt"
        return path.read_text().splitlines() if path.exists() else []

    def folder(self, target: str) -> ExperimentDir:
        """Folder of a target."""
        return ExperimentDir(self.root / Path(target).parent)

    def make_fail(self, x: int) -> Path:
        """Let x fail while the file that is returned exists."""
        path = self.root / f"fail-{x}"
        path.touch()
        return path

    def make_gate(self, x: int) -> None:
        """Let x say that it was started, and wait."""
        if self.told < 0:
            os.mkfifo(self.root / "told")
            self.told = os.open(self.root / "told", os.O_RDWR)
        os.mkfifo(self.root / f"gate-{x}")
        # Open for both, so that neither side waits for the other to open it.
        self.gates[x] = os.open(self.root / f"gate-{x}", os.O_RDWR)

    def wait_at_gate(self) -> tuple[int, int]:
        """Wait until a task is at its gate; return its x and process."""
        assert select.select([self.told], [], [], SECONDS)[0], "no task came to its gate"
        line = b""
        while not line.endswith(b"\n"):  # two tasks may have told at once
            line += os.read(self.told, 1)
        x, pid = line.decode().split()
        return int(x), int(pid)

    def open_gate(self, x: int) -> None:
        """Let x go on."""
        os.write(self.gates[x], b".")

    def close(self) -> None:
        """End what is left over."""
        for gate in self.gates.values():  # a task that waits there would keep the pipes open for ever
            os.write(gate, b".")
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=SECONDS)
        for handle in (self.told, *self.gates.values()):
            if handle >= 0:
                os.close(handle)


@pytest.fixture
def tiny(tmp_path: Path, repository: Path, cache: Path) -> Iterator[Tiny]:
    root = tmp_path / "tiny"
    conf = root / "conf"
    conf.mkdir(parents=True)
    for name in ("workflows", "profiles"):
        shutil.copytree(repository / name, root / name)
    shutil.copy(repository / "Snakefile", root)
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/sweep.py"\n')
    (root / "run.py").write_text(TASK)
    (conf / "conf.proto").write_text(PROTO)
    (conf / "work.prototxt").write_text("work { x: 0 }\n")
    (conf / "look.prototxt").write_text('look { at: "{{exp conf/work.prototxt x=9}}" }\n')
    (conf / "sweep.py").write_text(SWEEP)
    (conf / "looks.py").write_text(LOOKS)
    env = {**os.environ, "PYTHONPATH": str(repository), "XDG_CACHE_HOME": str(cache), "COLUMNS": "200"}
    made = Tiny(root, env)
    yield made
    made.close()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def until(condition: Callable[[], object]) -> None:
    """Wait for what no process tells us."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def heyhi(tiny: Tiny) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Call `heyhi` in the tiny project; what it has started is ended with the test."""

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "heyhi.cli", *args],
            cwd=tiny.root, env=tiny.env, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip

    yield call
    call("cancel", "--all", "--force")


def controllers(tiny: Tiny) -> list[int]:
    """Processes of the controllers that live."""
    claims = (tiny.root / "results/.heyhi/controllers").glob("*/claim.json")
    return [json.loads(path.read_text())["pid"] for path in claims]
