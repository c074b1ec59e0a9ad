"""The runner, as jobs start it: real processes, killed and stopped for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.code.environment import read_environment
from heyhi.code.versions import read_list
from heyhi.config.identity import Identity
from heyhi.config.schema import Schema, load_schema
from heyhi.errors import HeyhiError, IdentityError, ProjectError, ResultError
from heyhi.experiment.claim import CLAIM_NAME, Claim, read_owner
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.owner import JobRef
from heyhi.experiment.records import End, History, Record, Start
from heyhi.experiment.status import find_state, find_status
from heyhi.job import runner as runner
from heyhi.job import saving
from heyhi.job.load_main import load_main
from heyhi.job.runner import Outcome, execute
from heyhi.job.saving import save_result_in_cwd
from heyhi.project import Project, find_project
from heyhi.sweep.expand import expand
from heyhi.sweep.target import target_of
from heyhi.sweep.write_manifest import write_manifest

from .fifos import meet_at

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional string act = 1; optional double lr = 2 [default = 0.5]; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""

# What the task does is said by its config; `ready` and `go` are FIFOs, by which a test and a run wait for each other.
RUN = """
import ctypes, os, pathlib, signal, subprocess, sys, time
import heyhi

def meet(name):
    with open(os.environ["FIFOS"] + "/" + name, "w") as file:
        file.write("x")

def main(task, cfg, log_level):
    with open("ran.txt", "a") as file:
        file.write(f"{os.getpid()}\\n")
    return globals()[cfg.act](cfg)

def give(cfg):
    return {"lr": cfg.lr, "cwd": os.getcwd()}

def talk(cfg):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    ctypes.CDLL(None).puts(b"from C")
    subprocess.run(["echo", "from a child"], check=True)

def fail(cfg):
    raise ValueError("lr is too small\\nand more")

def leave(cfg):
    sys.exit(0)

def folder_in_the_way(cfg):
    os.makedirs("result.json/mine")
    return give(cfg)

def fifo_in_the_way(cfg):
    os.mkfifo("result.json")

def no_records(cfg):
    os.rename("attempts.jsonl", "attempts")
    os.mkfifo("attempts.jsonl")
    return give(cfg)

def early(cfg):
    heyhi.save_result_in_cwd({"early": True})
    raise OSError("late")

def early_none(cfg):
    heyhi.save_result_in_cwd({"early": True})

def broken_need(cfg):
    import no_such_library

def hang(cfg):
    meet("ready")
    while True:
        signal.pause()

def hang_once(cfg):
    if len(pathlib.Path("ran.txt").read_text().split()) > 1:
        return {"resumed": True}
    hang(cfg)

def hang_then_fail(cfg):
    meet("ready")
    meet("go")
    raise ValueError("after all")

def hang_then_give(cfg):
    meet("ready")
    meet("go")
    return {"late": True}

def careful(cfg):
    try:
        hang(cfg)
    except SystemExit:
        return {"stopped": True}

def worker_dies(cfg):
    try:
        hang(cfg)
    finally:
        raise RuntimeError("a worker died")

def fill(cfg):
    with open("big", "wb") as file:
        file.write(bytes(10_000_000))
"""


@dataclass
class Lab:
    """A project, and runs of it as jobs start them."""

    project: Project
    schema: Schema
    fifos: Path
    running: list[subprocess.Popen[str]]

    def experiment(self, act: str, *overrides: str) -> Experiment:
        return self.expand(act, *overrides)[0]

    def expand(self, act: str, *overrides: str) -> tuple[Experiment, Path, str]:
        expansion = expand(self.project, self.schema, [("conf/job.prototxt", [f"act={act}", *overrides])])
        manifest = write_manifest(expansion, self.project, self.schema)
        experiment = expansion.experiments[-1]
        return experiment, manifest, target_of(experiment.exp_path, self.project.root)

    def folder(self, act: str) -> ExperimentDir:
        return ExperimentDir(self.experiment(act).exp_path)

    def start(self, act: str, *overrides: str, wrapper: str = "") -> subprocess.Popen[str]:
        """Start a run as a job does; a waiting one looks often."""
        _, manifest, target = self.expand(act, *overrides)
        code = (
            "import sys, heyhi.job.runner as runner, heyhi.experiment.claim as claim\n"
            "runner._FIRST_WAIT = runner._LONGEST_WAIT = 0.02\n"
            f"{wrapper}\nsys.exit(runner.main())"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, target, "--manifest", str(manifest)],
            cwd=self.project.root,
            env={**os.environ, "FIFOS": str(self.fifos), "PYTHONPATH": str(Path(heyhi.__file__).parents[1])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def run(self, act: str, *overrides: str, wrapper: str = "") -> tuple[int, str, str]:
        process = self.start(act, *overrides, wrapper=wrapper)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def meet(self, name: str) -> None:
        """Wait for a run that says it is there, or lets itself be told to go on."""
        meet_at(self.fifos / name)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lab")
    (root / "conf").mkdir()
    (root / "conf" / "conf.proto").write_text(PROTO)
    (root / "conf" / "job.prototxt").write_text("job {}\n")
    (root / "run.py").write_text(RUN)
    return root


@pytest.fixture
def lab(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "results"))
    fifos = tmp_path / "fifos"
    fifos.mkdir()
    for name in ("ready", "go"):
        os.mkfifo(fifos / name)
    project = find_project(root)
    lab = Lab(project, load_schema(project), fifos, [])
    yield lab
    for process in lab.running:
        process.kill()
        process.communicate()


def started_and_waiting(process: subprocess.Popen[str]) -> str:
    """Read the line by which a second run says for whom it waits."""
    assert process.stderr is not None
    return process.stderr.readline()


def events(folder: ExperimentDir) -> list[tuple[Any, ...]]:
    return [
        ("start", one.attempt, one.kind) if isinstance(one, Start) else ("end", one.attempt, one.reason)
        for one in folder.attempts()
    ]


def runs(folder: ExperimentDir) -> int:
    return len((folder.path / "ran.txt").read_text().split())


# --- one run


def test_a_run_leaves_its_result_and_its_record(lab: Lab) -> None:
    assert lab.run("give", "lr=0.25") == (0, "", "")
    folder = ExperimentDir(lab.experiment("give", "lr=0.25").exp_path)
    assert folder.read_result() == {"lr": 0.25, "cwd": str(folder.path)}
    assert events(folder) == [("start", 1, "first"), ("end", 1, "done")]
    start, end = map(json.loads, folder.attempts_path.read_text().splitlines())
    assert start["pid"] and start["host"] and start["job_id"] is None and start["time"].endswith("+00:00")
    assert start["commit"] is None and start["dirty"] is False
    files = read_list(lab.project, start["code"])
    assert files is not None and set(files) == {"run.py"}
    assert end["exit_code"] == 0 and end["exception"] == "" and end["seconds"] >= 0
    packages = read_environment(lab.project, end["environment"])
    assert packages is not None and packages["python"] == sys.version.split()[0] and "protobuf" in packages
    assert folder.read_identity() == Identity("conf/job.prototxt", ("act=give", "lr=0.25"))
    assert not folder.claim_path.exists()


def test_what_a_failed_run_had_loaded_is_on_record(lab: Lab) -> None:
    assert lab.run("fail")[0] == 1
    (end,) = lab.folder("fail").history().ends
    packages = read_environment(lab.project, end.environment)
    assert packages is not None and "protobuf" in packages


def test_of_several_ranks_the_first_says_what_it_had_loaded(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text(
        '#!/bin/bash\nwhile [[ "$1" == --* ]]; do shift; done\n'
        'SLURM_PROCID=0 "$@" < /dev/null & SLURM_PROCID=1 "$@" < /dev/null &\nwait %1 && wait %2\n'
    )
    (programs / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    said = lab.run("give", wrapper="sys.argv += ['--tasks', '2']")
    assert said == (0, "", "")
    (end,) = lab.folder("give").history().ends
    packages = read_environment(lab.project, end.environment)
    assert packages is not None and "protobuf" in packages


def test_a_job_writes_down_its_config_only_where_its_submission_has_not(lab: Lab) -> None:
    experiment, folder = lab.experiment("give"), lab.folder("give")
    folder.prepare(experiment, lab.schema)
    written = folder.config_path.stat().st_ino
    job = runner.JobClaim(JobRef("7", "jobs", experiment.identity.digest), ())

    assert execute(experiment, lab.schema, lambda **_: {}, job=job).done
    assert folder.config_path.stat().st_ino == written

    folder.wipe(experiment.identity)
    assert execute(experiment, lab.schema, lambda **_: {}, job=job).done
    assert folder.config_path.exists() and folder.read_identity() == experiment.identity


def test_a_done_experiment_is_not_run_again(lab: Lab) -> None:
    lab.run("give")
    assert lab.run("give") == (0, "", "")
    assert runs(lab.folder("give")) == 1 and len(lab.folder("give").attempts()) == 2


def test_all_output_goes_to_the_log_and_none_to_the_launcher(lab: Lab) -> None:
    assert lab.run("talk") == (0, "", "")
    log = lab.folder("talk").log_path.read_text()
    assert set(log.splitlines()) == {"to stdout", "to stderr", "from C", "from a child"}
    assert lab.folder("talk").read_result() == {}


def test_a_failure_is_one_line_and_the_rest_is_in_the_log(lab: Lab) -> None:
    folder, experiment = lab.folder("fail"), lab.experiment("fail")
    reason = "DEAD: exit code 1: ValueError: lr is too small"
    assert lab.run("fail") == (1, "", f"{experiment.exp_id}: {reason} (log: {folder.log_path})\n")
    assert find_state(folder.path) == (Status.DEAD, reason.removeprefix("DEAD: "))
    log = folder.log_path.read_text()
    assert log.startswith("Traceback") and "and more" in log and "runner.py" not in log
    assert events(folder)[-1] == ("end", 1, "failed") and not folder.claim_path.exists()


def test_a_result_stands_whatever_came_after_it(lab: Lab) -> None:
    assert lab.run("early") == (0, "", "")
    assert lab.folder("early").read_result() == {"early": True}
    assert "OSError: late" in lab.folder("early").log_path.read_text()
    assert lab.run("early_none")[0] == 0
    assert lab.folder("early_none").read_result() == {"early": True}


def test_what_a_task_has_put_in_the_place_of_its_result_is_kept_beside_it(lab: Lab) -> None:
    for act, result in (("folder_in_the_way", 0.5), ("fifo_in_the_way", None)):
        assert lab.run(act) == (0, "", "")
        folder = lab.folder(act)
        assert folder.read_result().get("lr") == result and events(folder)[-1] == ("end", 1, "done")
        (aside,) = folder.path.glob("result.json.*")
        assert (aside / "mine").is_dir() or aside.is_fifo()
        assert f"is {aside.name} now" in folder.log_path.read_text()


def test_records_that_a_task_has_moved_away_are_put_back_for_its_end(lab: Lab) -> None:
    assert lab.run("no_records") == (0, "", "")
    folder = lab.folder("no_records")
    assert folder.read_result()["lr"] == 0.5 and events(folder)[-1] == ("end", 1, "done")
    assert "what was removed is put back: attempts.jsonl" in folder.log_path.read_text()


def test_a_record_that_is_no_file_starts_nothing_and_nobody_waits_for_it(lab: Lab) -> None:
    folder = lab.folder("fail")
    assert lab.run("fail")[0] == 1
    for name in ("attempts.jsonl", "identity.json", "metrics.jsonl", "claim.json", "log.txt"):
        path, kept = folder.path / name, folder.path / "kept"
        is_there = path.exists()
        if is_there:
            path.rename(kept)
        os.mkfifo(path)
        code, _, err = lab.run("fail")
        assert code == 2 and f"{path}: can't be" in err and "it is a FIFO, no file" in err, err
        path.unlink()
        if is_there:
            kept.rename(path)
    assert runs(folder) == 1
    (folder.path / "result.json").write_text("{}")
    os.mkfifo(folder.job_path)
    assert lab.run("fail") == (0, "", "")


def test_a_task_file_that_cannot_be_imported_is_on_record(lab: Lab) -> None:
    assert lab.run("broken_need")[0] == 1
    assert "ModuleNotFoundError: No module named 'no_such_library'" in find_state(lab.folder("broken_need").path).reason
    code, _, err = lab.run(
        "give", wrapper="runner.call_main = lambda *a, **k: (_ for _ in ()).throw(SyntaxError('bad'))"
    )
    assert code == 1 and "SyntaxError: bad" in err
    assert find_status(lab.folder("give").path) is Status.DEAD


def test_a_main_that_exits_without_a_result_is_dead(lab: Lab) -> None:
    code, _, err = lab.run("leave")
    assert code == 1 and "main called sys.exit(0) and returned nothing" in err
    assert find_status(lab.folder("leave").path) is Status.DEAD


def test_a_target_that_the_manifest_lacks_is_one_sentence(lab: Lab) -> None:
    _, manifest, _ = lab.expand("give")
    for args, text in (
        (["p/x/result.json", "--manifest", str(manifest)], "has no experiment p/x/result.json"),
        (["p/x/result.json", "--manifest", "gone.sqlite"], "gone.sqlite"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "heyhi.runner", *args],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(heyhi.__file__).parents[1],
        )
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1 and text in done.stderr


# What only some runs need, or hardly any, and what takes a millisecond or more to load.
NOT_LOADED = {
    *("pandas", "numpy", "snakemake", "rich", "sklearn", "grpc_tools", "grpc", "tempfile", "orjson", "asyncio"),
    *("_hashlib", "argparse", "ast", "dataclasses", "inspect", "importlib.metadata", "pickle", "shutil", "socket"),
    *("logging", "tomllib", "traceback", "unittest", "contextvars", "shlex", "sqlite3", "weakref", "zlib"),
    *(f"google.protobuf.{name}" for name in ("descriptor_pb2", "descriptor_pool", "message_factory", "text_format")),
    *(f"heyhi.config.{name}" for name in ("compiling", "compose", "keys", "overrides", "templates", "values")),
    "heyhi.config.renames",
    *(f"heyhi.experiment.{name}" for name in ("death", "given", "project_names", "slots", "status", "winners")),
    *(f"heyhi.job.{name}" for name in ("guard", "launch", "pack", "queue_again", "ranks", "slot", "step", "worker")),
    *("heyhi.slurm.commands", "heyhi.slurm.request", "heyhi.sweep.expand", "heyhi.sweep.budget", "heyhi.profiles"),
    *("heyhi.search", "heyhi.trackers", "heyhi.control", "heyhi.cli", "heyhi.report"),
}


def test_a_run_loads_only_what_it_uses(lab: Lab) -> None:
    code, out, _ = lab.run("give", wrapper="import atexit; atexit.register(lambda: print(*sys.modules))")
    assert code == 0 and sorted(NOT_LOADED & set(out.split())) == []


@pytest.mark.parametrize("option", ["-m", "-Pm"])
def test_python_looks_for_garbage_as_usual_while_main_runs(task_lab: Any, option: str) -> None:
    task_lab.write("""
        def main(task, cfg, log_level):
            import gc
            return {"usual": list(gc.get_threshold()), "on": gc.isenabled(), "left_alone": gc.get_freeze_count() > 0}
        """)
    experiment = task_lab.experiment()
    expansion = expand(task_lab.project, task_lab.schema, [("conf/job.prototxt", ["lr=0.5"])])
    manifest = write_manifest(expansion, task_lab.project, task_lab.schema)
    target = target_of(experiment.exp_path, task_lab.root)
    words = [sys.executable, option, "heyhi.runner", target, "--manifest", str(manifest)]
    assert task_lab.end(task_lab.open(words)) == (0, "", "")
    say = "import gc; print(*gc.get_threshold())"
    usual = subprocess.run([sys.executable, "-c", say], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    found = task_lab.folder().read_result()
    assert found == {"usual": [int(one) for one in usual], "on": True, "left_alone": True}


@pytest.mark.parametrize("words", [["-c", "import other"], ["-m", "other"], ["-m", "other", "-m", "heyhi.runner"]])
def test_who_loads_heyhi_for_something_else_has_garbage_looked_for(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/__init__.py").write_text("import gc, heyhi; print(gc.isenabled())")
    (tmp_path / "other/__main__.py").touch()
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


# --- stopped and killed


@pytest.mark.parametrize(
    ("sign", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)], ids=lambda x: str(x)
)
def test_a_stopped_run_is_on_record_and_can_go_on(lab: Lab, sign: signal.Signals, code: int) -> None:
    folder = lab.folder("hang_once")
    process = lab.start("hang_once")
    lab.meet("ready")
    assert find_status(folder.path) is Status.RUNNING
    process.send_signal(sign)
    _, err = process.communicate()
    assert process.returncode == code
    reason = f"exit code {code}: stopped by {sign.name}"
    assert f"DEAD: {reason} (log: " in err and err.count("\n") == 1
    assert find_state(folder.path) == (Status.DEAD, reason)
    assert not folder.claim_path.exists()
    assert lab.run("hang_once")[0] == 0
    assert folder.read_result() == {"resumed": True}
    assert events(folder)[1:] == [("end", 1, "terminated"), ("start", 2, "relaunch"), ("end", 2, "done")]


def test_a_killed_run_is_dead_and_the_next_one_goes_on(lab: Lab) -> None:
    folder = lab.folder("hang_once")
    process = lab.start("hang_once")
    lab.meet("ready")
    process.kill()
    process.wait()
    assert find_state(folder.path) == (
        Status.DEAD,
        f"killed (no end record; pid {process.pid} on host {os.uname().nodename})",
    )
    assert lab.run("hang_once")[0] == 0
    assert find_status(folder.path) is Status.DONE and not list(folder.path.glob("claim*"))


def test_what_a_run_raises_while_it_is_stopped_is_no_failure_of_its_own(lab: Lab) -> None:
    process = lab.start("worker_dies")
    lab.meet("ready")
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert find_state(lab.folder("worker_dies").path).reason == "exit code 143: stopped by SIGTERM"
    assert "a worker died" in lab.folder("worker_dies").log_path.read_text()


def test_a_main_that_sees_to_a_signal_itself_has_a_result(lab: Lab) -> None:
    process = lab.start("careful")
    lab.meet("ready")
    process.terminate()
    assert process.wait() == 0
    assert lab.folder("careful").read_result() == {"stopped": True}


def test_a_signal_while_the_result_is_written_does_not_lose_it(lab: Lab) -> None:
    wrapper = textwrap.dedent("""
        import os, signal
        real = runner.ExperimentDir.write_result
        def write_result(self, result):
            os.kill(os.getpid(), signal.SIGTERM)
            real(self, result)
        runner.ExperimentDir.write_result = write_result
    """)
    assert lab.run("give", wrapper=wrapper)[0] == 0
    assert events(lab.folder("give")) == [("start", 1, "first"), ("end", 1, "done")]


def test_a_full_disk_makes_it_dead_and_says_so(lab: Lab, tmp_path: Path) -> None:
    _, manifest, target = lab.expand("fill")
    path = lab.folder("fill").path
    path.mkdir(parents=True)
    script = 'mount -t tmpfs -o size=1m none "$0" && "$@"; code=$?; ls "$0"; exit $code'
    mounted = ["unshare", "-rm", "sh", "-c", script]
    code = (
        "import sys, heyhi.job.runner as runner, heyhi.job.saving as saving\n"
        "saving._sleep = lambda seconds: None\nsys.exit(runner.main())"
    )
    done = subprocess.run(
        [*mounted, path, sys.executable, "-c", code, target, "--manifest", manifest],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(heyhi.__file__).parents[1])},
        cwd=lab.project.root,
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.strip()}")
    assert done.returncode == 1
    assert "DEAD: exit code 1: OSError: [Errno 28] No space left on device (log: " in done.stderr
    assert "claim.json" not in done.stdout.split() and "result.json" not in done.stdout.split()


# --- two at once


def test_of_many_at_once_one_runs_and_all_have_the_result(lab: Lab) -> None:
    processes = [lab.start("give") for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    assert runs(lab.folder("give")) == 1


def test_who_comes_second_waits_for_the_result(lab: Lab) -> None:
    first = lab.start("hang_then_give")
    lab.meet("ready")
    second = lab.start("hang_then_give")
    assert f"waiting for pid {first.pid} on host" in started_and_waiting(second)
    lab.meet("go")
    assert (first.wait(), second.wait()) == (0, 0)
    folder = lab.folder("hang_then_give")
    assert runs(folder) == 1 and folder.read_result() == {"late": True}


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_who_waits_takes_over_when_the_owner_is_killed(lab: Lab, sign: signal.Signals) -> None:
    first = lab.start("hang_once")
    lab.meet("ready")
    seconds = [lab.start("hang_once") for _ in range(2)]
    for second in seconds:
        started_and_waiting(second)
    first.send_signal(sign)
    first.wait()
    assert [second.wait() for second in seconds] == [0, 0]
    folder = lab.folder("hang_once")
    assert runs(folder) == 2 and folder.read_result() == {"resumed": True}


def test_who_waits_does_not_repeat_a_failure(lab: Lab) -> None:
    first = lab.start("hang_then_fail")
    lab.meet("ready")
    second = lab.start("hang_then_fail")
    started_and_waiting(second)
    lab.meet("go")
    first.communicate()
    _, err = second.communicate()
    assert (first.returncode, second.returncode) == (1, 1)
    assert "DEAD: exit code 1: ValueError: after all" in err
    folder = lab.folder("hang_then_fail")
    assert runs(folder) == 1 and not list(folder.path.glob("claim*"))


def test_a_failure_from_before_the_wait_is_no_reason_not_to_take_over(lab: Lab) -> None:
    execute(lab.experiment("hang_once"), lab.schema, raising(ValueError("earlier")))
    first = lab.start("hang_once")
    lab.meet("ready")
    second = lab.start("hang_once")
    started_and_waiting(second)
    first.kill()
    assert second.wait() == 0
    assert lab.folder("hang_once").read_result() == {"resumed": True}


@pytest.mark.parametrize("same", [True, False])
def test_one_that_is_done_while_we_look_is_not_run_again(lab: Lab, monkeypatch: pytest.MonkeyPatch, same: bool) -> None:
    experiment = lab.experiment("give")
    other = Experiment("x", experiment.exp_path, Identity("conf/other.prototxt", ()), "job", experiment.config)
    real = Claim.acquire

    def acquire(folder: Path, **options: Any) -> object:
        monkeypatch.setattr(Claim, "acquire", real)
        done = ExperimentDir(experiment.exp_path)
        done.prepare(experiment if same else other, lab.schema)
        done.write_result({})
        return real(folder, **options)

    monkeypatch.setattr(Claim, "acquire", acquire)
    if same:
        assert execute(experiment, lab.schema, never) == Outcome(Status.DONE)
    else:
        with pytest.raises(IdentityError, match="another experiment"):
            execute(experiment, lab.schema, never)
    assert not list(experiment.exp_path.glob("claim*"))


# --- in this process


def test_an_experiment_that_another_runs_is_left(lab: Lab) -> None:
    experiment = lab.experiment("give")
    experiment.exp_path.mkdir(parents=True)
    for kind, status in (("process", Status.RUNNING), ("controller", Status.PENDING)):
        claim = Claim.acquire(experiment.exp_path, kind=kind)
        assert isinstance(claim, Claim)
        with claim:
            outcome = execute(experiment, lab.schema, never, if_claimed="leave")
        assert outcome == Outcome(status, claim.owner.describe()) and not outcome.done
    assert [p.name for p in experiment.exp_path.iterdir()] == []


@pytest.mark.parametrize(("other", "status"), [("7", Status.DONE), ("8", Status.RUNNING)])
def test_a_job_that_slurm_has_started_twice_at_once_ends_with_the_start_that_runs(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, other: str, status: Status
) -> None:
    experiment = lab.experiment("give")
    folder = ExperimentDir(experiment.exp_path)
    folder.prepare(experiment, lab.schema)
    claim = Claim.acquire(folder.path, ref=JobRef(other, "jobs", experiment.identity.digest))
    assert isinstance(claim, Claim)

    def end(seconds: float) -> None:
        folder.write_result({})
        claim.release()

    monkeypatch.setattr(runner.time, "sleep", end)
    job = runner.JobClaim(JobRef("7", "jobs", experiment.identity.digest), ())
    with claim:
        assert execute(experiment, lab.schema, never, if_claimed="leave", job=job).status is status


def test_executing_in_this_process_restores_what_it_changes(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    def main(task: str, cfg: Any, log_level: str) -> list[object]:
        print("seen")
        os.write(1, b"raw\n")
        return [task, cfg.lr, log_level]

    before = Path.cwd(), [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    experiment = lab.experiment("give")
    outcome = execute(experiment, lab.schema, main, log_level="DEBUG")
    assert outcome == Outcome(Status.DONE, ran=True, attempt=1) and outcome.done
    assert before == (Path.cwd(), [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)])
    folder = ExperimentDir(experiment.exp_path)
    assert folder.read_result() == {"result": ["job", 0.5, "DEBUG"]}
    assert set(folder.log_path.read_text().splitlines()) == {"seen", "raw"}
    assert set(capfd.readouterr().out.splitlines()) == {"seen", "raw"}
    assert execute(experiment, lab.schema, never) == Outcome(Status.DONE)


def test_what_main_raises_is_told_and_not_raised(lab: Lab) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    errors: list[tuple[BaseException, str]] = [
        (HeyhiError("lr: no such key\nsecond line"), "lr: no such key"),
        (Odd(), "Odd"),
        (SystemExit("text"), "main called sys.exit('text') and returned nothing"),
        (json.JSONDecodeError("bad", "x", 0), "json.decoder.JSONDecodeError: bad: line 1 column 1 (char 0)"),
    ]
    for number, (error, text) in enumerate(errors):
        outcome = execute(lab.experiment("give"), lab.schema, raising(error))
        assert (outcome.status, outcome.exit_code, outcome.ran, outcome.attempt) == (Status.DEAD, 1, True, number + 1)
        assert outcome.reason.startswith("exit code 1: ") and outcome.reason.endswith(text)


def test_ctrl_c_is_raised_once_it_is_on_record(lab: Lab) -> None:
    experiment = lab.experiment("give")
    with pytest.raises(KeyboardInterrupt):
        execute(experiment, lab.schema, lambda **_: signal.raise_signal(signal.SIGINT))
    assert find_state(experiment.exp_path).reason == "exit code 130: stopped by SIGINT"
    with pytest.raises(KeyboardInterrupt):
        execute(experiment, lab.schema, raising(KeyboardInterrupt()))
    assert find_state(experiment.exp_path).reason == "exit code 130: KeyboardInterrupt"
    assert read_owner(experiment.exp_path) is None


def test_a_signal_that_main_has_seen_to_ends_nothing_more(lab: Lab) -> None:
    def main(**_: object) -> dict[str, bool]:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return {"stopped": True}
        return {}

    assert execute(lab.experiment("give"), lab.schema, main).done


@pytest.mark.parametrize(("sign", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_that_comes_twice_leaves_main_the_time_to_write_a_checkpoint(
    lab: Lab, sign: signal.Signals, raised: type[BaseException]
) -> None:
    def main(**_: object) -> dict[str, bool]:
        try:
            signal.raise_signal(sign)
        finally:
            signal.raise_signal(sign)  # the same one, which a controller has passed on
            Path("checkpoint").touch()
        return {}

    experiment = lab.experiment("give")
    with pytest.raises(raised):
        execute(experiment, lab.schema, main)
    assert (experiment.exp_path / "checkpoint").exists()


def test_a_forked_child_ends_by_a_signal_as_it_would_without_us(lab: Lab) -> None:
    def main(**_: object) -> dict[str, int]:
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        return {"signal": os.WTERMSIG(os.waitpid(child, 0)[1])}

    execute(lab.experiment("give"), lab.schema, main)
    assert lab.folder("give").read_result() == {"signal": signal.SIGTERM}


def test_an_end_that_cannot_be_recorded_still_gives_the_claim_back(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ExperimentDir.append_attempt

    def append(self: ExperimentDir, record: Record) -> None:
        if isinstance(record, End):
            raise ResultError("no space")
        real(self, record)

    monkeypatch.setattr(ExperimentDir, "append_attempt", append)
    monkeypatch.setattr(saving, "_sleep", lambda seconds: None)
    outcome = execute(lab.experiment("give"), lab.schema, raising(ValueError("x")))
    assert (outcome.status, outcome.reason) == (Status.DEAD, "exit code 1: ValueError: x")
    assert not list(lab.folder("give").path.glob("claim*"))


def test_a_signal_that_is_ignored_stays_ignored(lab: Lab) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert execute(lab.experiment("give"), lab.schema, lambda **_: signal.raise_signal(signal.SIGHUP)).done
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_can_execute(lab: Lab) -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(
        target=lambda: outcomes.append(execute(lab.experiment("give"), lab.schema, lambda **_: {"a": 1}))
    )
    thread.start()
    thread.join()
    assert outcomes[0].done


def test_a_folder_that_holds_another_experiment_is_refused_and_left(lab: Lab) -> None:
    experiment = lab.experiment("give")
    other = Experiment("x", experiment.exp_path, Identity("conf/other.prototxt", ()), "job", experiment.config)
    execute(other, lab.schema, lambda **_: {})
    files = sorted(p.name for p in experiment.exp_path.iterdir())
    with pytest.raises(IdentityError, match="another experiment"):
        execute(experiment, lab.schema, never)
    assert files == sorted(p.name for p in experiment.exp_path.iterdir()) and CLAIM_NAME not in files


def test_retries_requeues_and_relaunches_are_told_apart(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = lab.experiment("fail")

    def attempt(launcher_attempt: int = 1, **env: str) -> None:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        execute(experiment, lab.schema, raising(ValueError()), attempt=launcher_attempt)

    attempt(SLURM_JOB_ID="7")
    attempt(SLURM_RESTART_COUNT="1")
    attempt()
    attempt(2)
    attempt(SLURM_JOB_ID="8", SLURM_RESTART_COUNT="2")
    starts = ExperimentDir(experiment.exp_path).history().starts
    assert [start.kind for start in starts] == ["first", "requeue", "relaunch", "retry", "relaunch"]
    assert [start.job_id for start in starts] == ["7", "7", "7", "7", "8"]


def test_the_version_of_the_code_is_on_record(lab: Lab) -> None:
    code_root = Path(heyhi.__file__).parents[1]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=code_root, capture_output=True, text=True, check=False)
    if head.returncode:
        pytest.skip("this tree is no git repository")
    execute(lab.experiment("give"), lab.schema, lambda **_: {}, code_root=code_root)
    assert lab.folder("give").history().starts[0].commit == head.stdout.strip()


def test_a_result_is_saved_by_a_call_or_a_decorator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = ExperimentDir(tmp_path)
    assert save_result_in_cwd({"a": 1}) == {"a": 1} == folder.read_result()

    @save_result_in_cwd
    def main(value: int) -> dict[str, int]:
        """Say so."""
        return {"b": value}

    assert main(3) == {"b": 3} == folder.read_result() and main.__doc__ == "Say so."
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    main(4)
    assert folder.read_result() == {"b": 3}


def test_an_entry_that_leads_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "entry_module.py").write_text("other = 3\n")
    with pytest.raises(ProjectError, match=f"no module 'no_such_entry' in {tmp_path}"):
        load_main("no_such_entry:main", tmp_path)
    with pytest.raises(ProjectError, match=r"entry_module\.py has no function 'main'"):
        load_main("entry_module:main", tmp_path)
    (tmp_path / "entry_module_2.py").write_text("import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load_main("entry_module_2:main", tmp_path)


def never(**_: object) -> object:
    raise AssertionError("it was run")


def raising(error: BaseException) -> Callable[..., object]:
    def main(**_: object) -> object:
        raise error

    return main


def test_the_kinds_of_attempts_need_no_job() -> None:
    assert runner._kind(History(), None, 0, 1) == "first"
    assert runner._kind(History([Start(1)]), None, 0, 1) == "relaunch"


@pytest.mark.parametrize(
    ("end", "attempt", "kind"),
    [
        (End(1, "failed", 1), 2, "retry"),
        (End(1, "TIMEOUT", job_state="TIMEOUT", job_id="7"), 2, "retry"),
        (End(1, "failed", 1), 1, "requeue"),
        (End(1, "requeue", 75), 2, "requeue"),
        (End(1, "terminated", 143), 2, "requeue"),
    ],
)
def test_a_job_s_own_retry_is_none_of_slurm_s_requeues(end: End, attempt: int, kind: str) -> None:
    assert runner._kind(History([Start(1, job_id="7"), end]), "7", 1, attempt) == kind
