"""A real Slurm cluster for the tests of this folder, in a folder of its own; nothing of it is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import clusters
from .cluster import PACKAGES, Cluster, missing


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slurm: submits jobs to a real Slurm cluster")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    left_out = None if os.environ.get("HEYHI_REQUIRE_SLURM") else lacking()
    for number, item in enumerate(item for item in items if str(item.path).startswith(here)):
        item.add_marker("slurm")
        if left_out:  # by a mark: the summary has one line a file then
            item.add_marker(pytest.mark.skip(left_out))
        # Under `pytest -n N --dist loadgroup` each group has a worker, and so a cluster, of its own.
        item.add_marker(pytest.mark.xdist_group(f"slurm-{number % clusters()}"))


def lacking() -> str:
    """Say why no cluster can be started here; an empty text: one can."""
    if not (lacks := missing()):
        return ""
    return (
        f"left out: tests on a real Slurm cluster need {', '.join(lacks)}; on Debian, as root: "
        f"apt-get install {PACKAGES}, then make test ARGS=tests/slurm"
    )


@pytest.fixture(scope="session")
def slurm_programs() -> None:
    """Fail where a cluster is expected, and none can be started."""
    if what := lacking():
        pytest.fail(what, pytrace=False)


@pytest.fixture(scope="session")
def shared_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One cluster for all tests: the one named by HEYHI_TEST_SLURM_CONF, or a new one."""
    if conf := os.environ.get("HEYHI_TEST_SLURM_CONF"):
        cluster = Cluster(Path(conf).parent)
        if not cluster.is_up():
            pytest.fail(f"HEYHI_TEST_SLURM_CONF={conf} names a cluster that is not up: make slurm-up", pytrace=False)
        yield cluster
        return
    request.getfixturevalue("slurm_programs")
    # Not pytest's own folder: its name may be too long for sockets.
    with tempfile.TemporaryDirectory(prefix="heyhi-slurm-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(Path(folder) / "c")
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop(wipe=True)


@pytest.fixture(autouse=True)
def cluster(shared_cluster: Cluster, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, all of it up and idle, and every command of Slurm talks to it; afterwards no job is left."""
    monkeypatch.setenv("SLURM_CONF", str(shared_cluster.conf))
    shared_cluster.wait_idle()
    yield shared_cluster
    shared_cluster.recover()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for one more cluster."""
    with tempfile.TemporaryDirectory(prefix="heyhi-slurm-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


# --- a project ----------------------------------------------------------------------------------------------------

SECONDS = float(
    os.environ.get("HH_T", "300")
)  # after which something hangs: a time limit takes a minute and a half on an idle machine

PROTO = """
syntax = "proto2";
message MetaCfg {
  repeated Include includes = 1;
  oneof task { Work work = 10; }
}
message Include { optional string path = 1; optional string mount = 2; }
message Work {
  optional int32 x = 1;
  // What the run does, see TASK.
  optional string do = 2 [default = "end"];
  optional int32 steps = 3 [default = 3];
  optional Launcher launcher = 4;
  optional string after = 5;
}
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
message Local { optional int32 cpus = 1 [default = 1]; optional int32 tasks = 2 [default = 1]; }
message Slurm {
  optional int32 num_gpus = 1 [default = 0];
  optional int32 gpus_per_node = 2 [default = 8];
  optional bool single_task_per_node = 3;
  optional double hours = 4 [default = 0.1];
  optional string partition = 5;
  optional string account = 6;
  optional string qos = 7;
  optional double mem_per_gpu = 8 [default = 0.5];
  optional int32 cpus_per_gpu = 9 [default = 1];
  optional string constraint = 10;
  optional string comment = 11;
  optional int32 signal_seconds = 12 [default = 10];
  optional bool requeue = 13 [default = true];
  optional int32 max_attempts = 14 [default = 1];
  optional double oom_mem_factor = 15 [default = 2];
  optional double timeout_hours_factor = 16 [default = 1];
  optional int32 pack = 17 [default = 1];
  optional string extra = 18;
  optional string gpu_type = 20;
  optional int32 max_requeues = 22 [default = 3];
  optional string job_name = 23;
  repeated string setup = 24;
  optional string python = 25;
  optional string prefix = 26;
  optional string srun_extra = 27;
}
"""
# Each start is a line of the ledger. `do` says what the run does: end, fail, crash, exit75, nap (NAP seconds), wait
# (for the file `go`, or `go<x>`), train (steps, each with a checkpoint, for which it waits likewise; asks to be queued
# again), fill (memory).
TASK = """
import os
import signal
import time
from pathlib import Path

import heyhi

ROOT = Path(os.environ["LAB"])
NOTE = "first version"


def main(task, cfg, log_level):
    with (ROOT / "ledger.txt").open("a") as ledger:
        ledger.write(f"{cfg.x}\\n")
    if cfg.do == "fail":
        raise ValueError("boom")
    if cfg.do == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if cfg.do == "exit75":
        os._exit(75)
    if cfg.do == "wait":
        wait("go", f"go{cfg.x}")
    if cfg.do == "nap":
        time.sleep(float(os.environ.get("NAP", "4")))
    if cfg.do == "fill":
        hold = bytearray(800_000_000)
        for place in range(0, len(hold), 4096):
            hold[place] = 1
        wait("go")
    if cfg.do == "train":
        train(cfg.steps)
    return {"y": 10 * cfg.x, "note": NOTE}


def wait(*names):
    while not any((ROOT / name).exists() for name in names):
        time.sleep(0.05)


def train(steps):
    done = Path("checkpoint")
    heyhi.maybe_init_requeue_handler(lambda: (ROOT / "warned").touch())
    while (step := int(done.read_text()) if done.exists() else 0) < steps:
        wait(f"step{step + 1}")
        heyhi.log(step=step + 1)
        done.write_text(str(step + 1))
"""


class Lab:
    """A project of its own, whose experiments run on the cluster."""

    def __init__(self, root: Path, env: dict[str, str]) -> None:
        self.root = root
        self.env = env
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *args: str, **more: Any) -> subprocess.Popen[str]:
        """Start Snakemake with the Slurm profile, as a process group of its own."""
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *args]
        process = subprocess.Popen(
            command, cwd=self.root, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, **more,
        )  # fmt: skip
        self.started.append(process)
        return process

    def snakemake(self, *args: str) -> tuple[int, str]:
        """Run Snakemake to its end; return its exit code and what it printed."""
        return self.end(self.start(*args))

    def follow(self, *args: str) -> subprocess.Popen[str]:
        """Start a command of HeyHi's whose output is read while it comes."""
        process = subprocess.Popen(
            [sys.executable, "-m", "heyhi.cli", *args],
            cwd=self.root, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait until a process has ended; return its exit code and what it printed."""
        out, _ = process.communicate(timeout=SECONDS)
        return process.returncode, out

    def python(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this Python's."""
        return subprocess.run(
            [sys.executable, *args], cwd=self.root, env=self.env, capture_output=True, text=True, timeout=SECONDS
        )

    def run_words(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run any command in the project."""
        return subprocess.run(words, cwd=self.root, env=self.env, capture_output=True, text=True, timeout=SECONDS)

    def run(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        """Launch one experiment by the task file."""
        return self.python("run.py", "--cfg", "conf/work.prototxt", *overrides)

    def heyhi(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command of HeyHi's."""
        return self.python("-m", "heyhi.cli", *args)

    def sweep(self, *points: dict[str, object]) -> None:
        """Make the default sweep hold these points."""
        (self.root / "conf" / "sweep.py").write_text(
            f'def yield_sweep():\n    for point in {list(points)!r}:\n        yield "conf/work.prototxt", point\n'
        )

    def settings(self, text: str) -> None:
        """Set what [tool.heyhi] says."""
        (self.root / "pyproject.toml").write_text(f'[tool.heyhi]\nsweep = "conf/sweep.py"\n{text}\n')

    def allow(self, name: str = "go") -> None:
        """Let go on what waits."""
        (self.root / name).touch()

    def allow_steps(self, first: int, last: int) -> None:
        """Let trainings make some steps."""
        for step in range(first, last + 1):
            self.allow(f"step{step}")

    @property
    def ledger(self) -> list[int]:
        """The x of each start, in order."""
        path = self.root / "ledger.txt"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def statuses(self, *words: str) -> dict[int, dict[str, Any]]:
        """Ask `heyhi status`: x -> its row."""
        done = self.heyhi("status", "--json", *words)
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        rows = json.loads(done.stdout)["experiments"]
        return {int(re.search(r"x=(\d+)", row["exp_id"])[1]): row for row in rows}  # type: ignore[index]

    def folder(self, x: int) -> Path:
        """Folder of the experiment of an x."""
        (found,) = (p.parent for p in self.root.glob(f"results/p/work/*x={x}[,_]*/job.json"))
        return found

    def job(self, x: int) -> str:
        """Id of the job that an x was submitted as last."""
        return str(json.loads((self.folder(x) / "job.json").read_text())["job_id"])

    def attempts(self, x: int) -> list[dict[str, Any]]:
        """Records of the attempts of an x."""
        return [json.loads(line) for line in (self.folder(x) / "attempts.jsonl").read_text().splitlines()]

    def result(self, x: int) -> dict[str, Any]:
        """Result of an x."""
        found: dict[str, Any] = json.loads((self.folder(x) / "result.json").read_text())
        return found

    def close(self) -> None:
        """End what is left over."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=SECONDS)


@pytest.fixture
def lab(tmp_path: Path, repository: Path, cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path / "lab"
    conf = root / "conf"
    conf.mkdir(parents=True)
    for name in ("workflows", "profiles"):
        shutil.copytree(repository / name, root / name)
    shutil.copy(repository / "Snakefile", root)
    (root / "run.py").write_text(f'{TASK}\nif __name__ == "__main__":\n    heyhi.parse_args_and_maybe_launch(main)\n')
    (conf / "conf.proto").write_text(PROTO)
    (conf / "work.prototxt").write_text("work { launcher { slurm {} } }\n")
    env = {**os.environ, "PYTHONPATH": str(repository), "LAB": str(root), "COLUMNS": "200"}
    env["XDG_CACHE_HOME"] = str(tmp_path_factory.getbasetemp() / "cache")
    made = Lab(root, env)
    made.settings("")
    made.sweep({"x": 1})
    yield made
    made.close()


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for what no process tells us."""

    def wait_until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.05)

    return wait_until
