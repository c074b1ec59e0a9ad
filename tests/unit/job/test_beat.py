"""A run whose task does what it can to be taken for dead: its claim is kept by a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment import claim as claim_module
from heyhi.experiment.claim import Claim, read_owner
from heyhi.experiment.names import Status
from heyhi.experiment.owner import Owner
from heyhi.experiment.records import Start
from heyhi.experiment.status import find_state
from tests.processes import is_gone

FAST = "claim.HEARTBEAT_SECONDS = 0.05; ending.KILL_SECONDS = 0.3"
# Opens a FIFO by a call of C that keeps the interpreter's lock, until the test opens it, too.
HOLD = """
import ctypes

def main(task, cfg, log_level):
    child = subprocess.Popen(["sleep", "1000"])
    pathlib.Path("child").write_text(str(child.pid))
    meet("ready")
    ctypes.PyDLL(None).open(os.environ["FIFOS"].encode() + b"/go", 0)
    child.kill()
    return {"y": 1}
"""
WAIT = """
def main(task, cfg, log_level):
    meet("ready")
    meet("go")
    return {"y": 1}
"""


def wait_until(is_so: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def beats(lab: Any) -> list[int]:
    """Return the process ids of what beats for the runs of a test."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = f"FIFOS={lab.fifos}\0".encode() in (path / "environ").read_bytes()
            if is_ours and (path / "comm").read_text() == "heyhi-beat\n" and not is_gone(int(path.name)):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def beat_of(lab: Any) -> int:
    """Return the process id of what beats for the one run of a test, once that has its name."""
    found: list[int] = []
    wait_until(lambda: found.extend(beats(lab)) or found)  # for a moment it has no name again
    return found[0]


def files_of(pid: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it closes what it has read of a module meanwhile
            found.append(str(path.readlink()))
    return found


def begin(pid: int) -> None:
    """Wait until what beats has begun to look."""
    wait_until(lambda: any("pidfd" in name for name in files_of(pid)))


def age(lab: Any) -> None:
    """Have the claim look as if nobody had touched it for long, and wait until somebody has."""
    path = lab.folder().claim_path
    os.utime(path, (0, 0))
    wait_until(lambda: path.stat().st_mtime > 0)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process be on another host, where a claim is old soon."""
    monkeypatch.setattr(claim_module, "this_machine", lambda: ("elsewhere", "boot", "pid:[1]"))
    monkeypatch.setattr("heyhi.experiment.owner.this_machine", lambda: ("elsewhere", "boot", "pid:[1]"))
    monkeypatch.setattr(claim_module, "STALE_SECONDS", 20.0)


def test_a_task_that_keeps_the_interpreters_lock_is_not_taken_over_by_another_host(
    task_lab: Any, elsewhere: None
) -> None:
    process = task_lab.start(HOLD, FAST)
    task_lab.meet("ready")
    for _ in range(3):
        age(task_lab)
    assert isinstance(Claim.acquire(task_lab.folder().path), Owner)
    assert find_state(task_lab.folder().path).status is Status.RUNNING
    os.utime(task_lab.folder().claim_path, (time.time() - 25, time.time() - 25))
    wait_until(lambda: read_owner(task_lab.folder().path) is not None)
    (task_lab.fifos / "go").write_text("x")
    assert task_lab.end(process) == (0, "", "")
    assert task_lab.folder().read_result() == {"y": 1} and beats(task_lab) == []


def test_a_task_that_keeps_the_interpreters_lock_is_killed_when_another_has_its_claim(task_lab: Any) -> None:
    # Else the signal could come before the call.
    main = HOLD.replace("    meet", "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n    meet")
    process = task_lab.start(main, FAST)
    task_lab.meet("ready")
    child = int((task_lab.folder().path / "child").read_text())
    owner = task_lab.take_over()
    code, out, err = task_lab.end(process)
    assert (code, out) == (-signal.SIGKILL, "")
    wait_until(lambda: is_gone(child))
    assert f"was taken over by {owner.describe()}; this run has not ended " in err and "is killed" in err
    folder = task_lab.folder()
    assert [type(record) for record in folder.attempts()] == [Start] and not folder.result_path.exists()
    assert find_state(folder.path) == (Status.RUNNING, owner.describe())
    wait_until(lambda: not beats(task_lab))


def test_what_beats_is_nothing_that_a_task_can_find_or_has_lent_something(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            import multiprocessing, psutil
            found = []
            for wait in (os.wait, lambda: os.waitpid(-1, 0), lambda: os.waitid(os.P_ALL, 0, os.WEXITED)):
                try:
                    found.append(str(wait()))
                except ChildProcessError:
                    pass
            found += [str(one) for one in multiprocessing.active_children() + psutil.Process().children(True)]
            meet("ready")
            meet("go")
            return {"found": found}
        """
    process = task_lab.start(main, FAST)
    task_lab.meet("ready")
    pid = beat_of(task_lab)
    begin(pid)
    files = files_of(pid)
    assert {name for name in files if "pidfd" not in name} == {"/dev/null"}
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert os.getsid(pid) not in (os.getsid(process.pid), process.pid)
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(pid, sign)  # as Slurm sends them to all
    age(task_lab)
    task_lab.meet("go")
    assert task_lab.end(process) == (0, "", "")
    assert task_lab.folder().read_result() == {"found": []} and is_gone(pid)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_what_beats_ends_with_its_run_however_that_ends(task_lab: Any, sign: signal.Signals) -> None:
    process = task_lab.start(WAIT)  # at the usual pace
    task_lab.meet("ready")
    pid = beat_of(task_lab)
    process.send_signal(sign)
    assert task_lab.end(process)[0] != 0
    wait_until(lambda: is_gone(pid), 5.0)
    assert read_owner(task_lab.folder().path) is None


def test_a_run_whose_beat_is_killed_gets_another(task_lab: Any) -> None:
    process = task_lab.start(WAIT, FAST)
    task_lab.meet("ready")
    first = beat_of(task_lab)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: beats(task_lab) not in ([], [first]))
    (second,) = beats(task_lab)
    begin(second)
    files = files_of(second)
    assert {name for name in files if "pidfd" not in name} == {"/dev/null"}
    process.send_signal(signal.SIGSTOP)
    age(task_lab)
    process.send_signal(signal.SIGCONT)
    task_lab.meet("go")
    assert task_lab.end(process) == (0, "", "") and is_gone(second)


def test_a_stopped_run_keeps_its_claim(task_lab: Any) -> None:
    process = task_lab.start(WAIT, FAST)
    task_lab.meet("ready")
    process.send_signal(signal.SIGSTOP)
    for _ in range(3):
        age(task_lab)
    process.send_signal(signal.SIGCONT)
    task_lab.meet("go")
    assert task_lab.end(process) == (0, "", "")


def test_a_short_run_starts_no_second_python_and_lends_what_beats_nothing(task_lab: Any) -> None:
    """Until its first look it is a shell."""
    late = "import os, heyhi.experiment.heartbeat as heartbeat; heartbeat._FIRST_PAUSE = 60.0"
    lent = 'os.set_inheritable(os.open("/etc/passwd", os.O_RDONLY), True); os.environ["BASH_ENV"] = "/dev/tty"'
    process = task_lab.start(WAIT, f"{late}; {lent}")
    task_lab.meet("ready")
    pid = beat_of(task_lab)
    wait_until(lambda: "\nState:\tS" in Path(f"/proc/{pid}/status").read_text())  # it waits
    for sign in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGALRM}:
        os.kill(pid, sign)
    assert Path(f"/proc/{pid}/exe").readlink().name == "bash" and Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert {name.partition(":")[0] for name in files_of(pid)} == {"/dev/null", "pipe"} and len(files_of(pid)) == 3
    assert os.getpgid(pid) not in (os.getpgid(process.pid), process.pid)
    task_lab.meet("go")
    assert task_lab.end(process) == (0, "", "") and is_gone(pid)


def test_what_beats_needs_no_shell(task_lab: Any) -> None:
    none = 'import heyhi.experiment.heartbeat as heartbeat; heartbeat._SHELL = "/none/bash"'
    process = task_lab.start(WAIT, f"{FAST}; {none}")
    task_lab.meet("ready")
    pid = beat_of(task_lab)
    process.send_signal(signal.SIGSTOP)
    age(task_lab)
    process.send_signal(signal.SIGCONT)
    assert os.getsid(pid) not in (os.getsid(process.pid), process.pid)
    task_lab.meet("go")
    assert task_lab.end(process) == (0, "", "") and is_gone(pid)


def test_a_claim_that_was_removed_before_the_first_look_is_put_back(task_lab: Any) -> None:
    main = HOLD.replace("    ctypes.PyDLL", '    pathlib.Path("claim.json").unlink()\n    ctypes.PyDLL')
    process = task_lab.start(main)  # at the usual pace
    task_lab.meet("ready")
    path = task_lab.folder().claim_path
    wait_until(lambda: path.exists() and '"put_back": true' in path.read_text())
    (task_lab.fifos / "go").write_text("x")
    assert task_lab.end(process) == (0, "", "")


def test_a_program_with_threads_is_not_copied_and_says_nothing_of_it(task_lab: Any) -> None:
    """As a notebook: what it has registered for its forks is for these."""
    task_lab.write("def main(task, cfg, log_level): return {}")
    program = """
        import warnings
        warnings.simplefilter("error")
        import heyhi.experiment.claim as claim
        from heyhi.config.schema import load_schema
        from heyhi.job.runner import execute
        from heyhi.project import find_project
        from heyhi.sweep.expand import expand

        claim.HEARTBEAT_SECONDS = 0.05
        os.register_at_fork(after_in_child=lambda: print("copied", flush=True), after_in_parent=lambda: 1 / 0)
        over = threading.Event()
        threading.Thread(target=over.wait).start()
        project = find_project(pathlib.Path("."))
        schema = load_schema(project)

        def main(**_):
            meet("ready")
            meet("go")

        for lr in (1, 2):
            done = execute(expand(project, schema, [("conf/job.prototxt", [f"lr={lr}"])]).experiments[0], schema, main)
            assert done.done
        over.set()
        """
    process = task_lab.program(program)
    for lr in (1, 2):
        task_lab.meet("ready")
        wait_until(lambda: len(beats(task_lab)) == 1)
        process.send_signal(signal.SIGSTOP)
        path = task_lab.folder(lr).claim_path
        os.utime(path, (0, 0))
        wait_until(lambda path=path: path.stat().st_mtime > 0)  # type: ignore[misc]
        process.send_signal(signal.SIGCONT)
        task_lab.meet("go")
    code, out, err = task_lab.end(process)
    assert (code, out) == (0, "") and "Error" not in err and "Warning" not in err, err
    assert beats(task_lab) == []


def test_a_run_that_can_only_be_its_beats_parent_does_not_count_it(task_lab: Any) -> None:
    """As in a container, where the run is the first process."""
    main = """
        def main(task, cfg, log_level):
            from heyhi.experiment.processes import below_this, started_since
            return {"below": sorted(below_this() | started_since(0))}
        """
    adopts = "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER"
    assert task_lab.run(main, adopts) == (0, "", "")
    assert task_lab.folder().read_result() == {"below": []} and beats(task_lab) == []


def test_a_claim_that_somebody_has_removed_is_put_back(task_lab: Any) -> None:
    process = task_lab.start(WAIT, FAST)
    task_lab.meet("ready")
    folder = task_lab.folder()
    for _ in range(3):
        folder.claim_path.unlink()
        wait_until(folder.claim_path.exists)
    owner = read_owner(folder.path)
    assert owner is not None and owner.pid == process.pid
    task_lab.meet("go")
    assert task_lab.end(process) == (0, "", "")
    assert not list(folder.path.glob("*claim*")) and not list(folder.path.glob(".*tmp"))


def test_a_claim_is_put_back_by_a_run_that_keeps_the_interpreters_lock(task_lab: Any) -> None:
    process = task_lab.start(HOLD, FAST)
    task_lab.meet("ready")
    task_lab.folder().claim_path.unlink()
    wait_until(task_lab.folder().claim_path.exists)
    (task_lab.fifos / "go").write_text("x")
    assert task_lab.end(process) == (0, "", "")


@pytest.mark.parametrize("how", ["another has claimed it", "another has run it"])
def test_a_claim_is_not_put_back_where_another_may_have_run_the_experiment(task_lab: Any, how: str) -> None:
    process = task_lab.start(WAIT)
    task_lab.meet("ready")
    folder, beat = task_lab.folder(), beat_of(task_lab)
    for pid in (process.pid, beat):
        os.kill(pid, signal.SIGSTOP)
    held = json.loads(folder.claim_path.read_text())
    folder.claim_path.unlink()
    if how == "another has claimed it":
        folder.claim_path.write_text(json.dumps({**held, "host": "elsewhere", "nonce": "0f"}))
    else:
        folder.append_attempt(Start(attempt=2, host="elsewhere", pid=7, time="9999-01-01T00:00:00+00:00"))
    for pid in (process.pid, beat):
        os.kill(pid, signal.SIGCONT)
    task_lab.meet("go")
    code, _, err = task_lab.end(process)
    assert code == 1 and f"the claim {folder.claim_path} was " in err and not folder.result_path.exists()
