"""A process whose run is over has some seconds to end; then it is ended, and the log says what has kept it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state
from tests.processes import is_gone

HEAD = "this process had not ended 1 s after its run ([tool.heyhi] end_grace), and is ended; what kept it:"
THREADS = (
    "threading.Thread(target=time.sleep, args=(600,), name='sleeper').start();"
    " threading.Thread(target=lambda: subprocess.run(['sleep', '601'])).start();"
    " import concurrent.futures as c; p = c.ThreadPoolExecutor(1); p.submit(hang)"
)
# What a main leaves -> what is said of it.
KEEPS = {
    THREADS: (
        "the thread 'sleeper', at ",
        "<lambda>)', at ",
        "the thread 'ThreadPoolExecutor-0_0', at ",
        ": sleep 601",
    ),
    "import atexit; atexit.register(hang)": ("the function at exit hang, at ",),
    "import atexit; atexit.register(time.sleep, 600)": ("code that is no Python's: a function at exit, or",),
    "import weakref; weakref.finalize(os, hang)": ("_exitfunc, at ",),
}
LOCKED = "import atexit, ctypes; atexit.register(lambda: ctypes.PyDLL(None).sleep(600))"
AFTER = "import ctypes; c = ctypes.CDLL(None); c.on_exit(ctypes.cast(c.pause, ctypes.c_void_p), None)"
HANG = """
def hang():
    while True:
        time.sleep(600)

class Odd:
    def __del__(self):
        hang()

def main(task, cfg, log_level):
    print("at work")
    {0}
    {1}
"""


LOCAL = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Local { optional int32 tasks = 1; }
message Launcher { oneof launcher { Local local = 1; } }
message Job { optional double lr = 1 [default = 0.5]; optional Launcher launcher = 2; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""


@pytest.fixture
def lab(task_lab: Any) -> Any:
    """Return the project, with a second to end in."""
    (task_lab.root / "pyproject.toml").write_text("[tool.heyhi]\nend_grace = 1\n")
    return task_lab


def log_of(lab: Any) -> list[str]:
    lines: list[str] = lab.folder().log_path.read_text().splitlines()
    return lines


@pytest.mark.parametrize("keep", KEEPS)
def test_what_keeps_a_process_is_named_and_ended(lab: Any, keep: str) -> None:
    code, out, err = lab.run(HANG.format(keep, "return {'x': 1}"))
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == HEAD and all(one in err for one in KEEPS[keep]), err
    assert log_of(lab) == ["at work", *err.splitlines()]  # and what the process printed itself isn't lost
    if "hang" in keep:
        assert f"at {lab.root}/run.py:12 in hang" in err
    assert find_state(lab.folder().path).status is Status.DONE and not lab.folder().claim_path.exists()
    assert lab.folder().history().last_end.seconds < 1  # of the run, not of its end


def test_a_failed_run_keeps_its_exit_code_and_its_reason(lab: Any) -> None:
    keep = "threading.Thread(target=hang, name='left').start()"
    code, _, err = lab.run(HANG.format(keep, "raise ValueError('no data')"))
    assert code == 1 and "the thread 'left', at " in err
    assert find_state(lab.folder().path) == (Status.DEAD, "exit code 1: ValueError: no data")


@pytest.mark.parametrize("leave", ["return {'x': 1, 'odd': Odd()}", "odd = Odd(); raise ValueError('no data')"])
def test_a_destructor_that_hangs_comes_after_the_records(lab: Any, leave: str) -> None:
    code, _, err = lab.run(HANG.format("", leave))
    done = "return" in leave
    assert code == (0 if done else 1) and "run.py:12 in hang" in err, err
    assert find_state(lab.folder().path).status is (Status.DONE if done else Status.DEAD)
    assert not lab.folder().claim_path.exists()


def test_children_that_python_waits_for_are_named_and_ended(lab: Any) -> None:
    keep = "import multiprocessing as m; m.get_context('fork').Process(target=hang, name='worker').start()"
    code, _, err = lab.run(HANG.format(keep, "return {'child': m.active_children()[0].pid}"))
    child = lab.folder().read_result()["child"]
    assert code == 0 and f"the process {child}: worker" in err and "_exit_function, at " in err
    assert is_gone(child)


def test_a_program_that_a_thread_waits_for_is_named_and_ended(lab: Any) -> None:
    keep = "p = subprocess.Popen(['sleep', '602']); threading.Thread(target=p.wait).start()"
    code, _, err = lab.run(HANG.format(keep, "return {'child': p.pid}"))
    child = lab.folder().read_result()["child"]
    assert code == 0 and f"the process {child}: sleep 602" in err
    assert is_gone(child)


@pytest.mark.parametrize(("keep", "says"), [(LOCKED, 'run.py", line 20 in <lambda>'), (AFTER, "code that is no")])
def test_code_of_c_that_hangs_is_ended_too(lab: Any, keep: str, says: str) -> None:
    code, _, err = lab.run(HANG.format(keep, "return {'x': 1}"))
    assert code == 0 and HEAD in err and "code that is no Python's" in err
    assert any(says in line for line in log_of(lab)), log_of(lab)
    assert find_state(lab.folder().path).status is Status.DONE


@pytest.mark.parametrize(("end", "code"), [("return {'x': 1}", 0), ("raise ValueError('no data')", 1)])
def test_run_py_is_ended_and_the_terminal_says_why(lab: Any, end: str, code: int) -> None:
    text = HANG.format("threading.Thread(target=hang, name='left').start()", end)
    text += "\nif __name__ == '__main__':\n    heyhi.parse_args_and_maybe_launch(main, ['--cfg', 'job', 'lr=0.5'])\n"
    got, out, err = lab.end(lab.program(text))
    assert got == code and ("DONE" in out) == (code == 0), err
    assert err.splitlines()[-2] == HEAD and "the thread 'left', at " in err.splitlines()[-1]
    assert log_of(lab)[-2:] == err.splitlines()[-2:]


def test_a_program_of_its_own_is_not_ended(lab: Any) -> None:
    text = HANG.format("threading.Thread(target=linger).start()", "return {'x': 1}")
    text += """
def linger():
    end = time.monotonic() + 2
    while time.monotonic() < end:
        time.sleep(0.05)
    print("still there")

heyhi.maybe_launch(main, cfg="job", overrides=["lr=0.5"])
print("on with the program")
"""
    code, out, err = lab.end(lab.program(text))
    assert code == 0, err
    assert out.splitlines()[-2:] == ["on with the program", "still there"]


@pytest.mark.parametrize("seconds", [0, 10**20])
def test_nothing_is_ended_where_the_setting_says_so(lab: Any, seconds: int) -> None:
    (lab.root / "pyproject.toml").write_text(f"[tool.heyhi]\nend_grace = {seconds}\n")
    process = lab.start(HANG.format("threading.Thread(target=meet, args=('go',)).start()", "return {'x': 1}"))
    lab.meet("go")
    assert lab.end(process) == (0, "", "")


@pytest.mark.usefixtures("srun")
def test_a_rank_that_does_not_end_holds_up_nobody_for_longer(lab: Any) -> None:
    main = HANG.format("threading.Thread(target=hang, name='left').start()", "return {'rank': os.environ['RANK']}")
    code, _, err = lab.end(lab.start(main, "sys.argv += ['--tasks', '2']"))
    assert code == 0, err
    assert lab.folder().read_result() == {"rank": "0"}
    for rank in range(2):
        assert "the thread 'left', at " in lab.folder().log_path_of(rank).read_text().splitlines()[-1]


def test_a_rank_of_this_machine_is_ended_too(lab: Any) -> None:
    words = ["--cfg", "job", "lr=0.5", "launcher.local.tasks=2"]
    (lab.root / "conf" / "conf.proto").write_text(LOCAL)
    text = HANG.format("threading.Thread(target=hang, name='left').start()", "return {'rank': os.environ['RANK']}")
    text += f"\nif __name__ == '__main__':\n    heyhi.parse_args_and_maybe_launch(main, {words!r})\n"
    code, out, err = lab.end(lab.program(text))
    assert code == 0 and out.endswith("DONE\n"), err
    folder = ExperimentDir(Path(out.splitlines()[-1].rpartition(":")[0]))
    assert folder.read_result() == {"rank": "0"}
    for rank in range(2):
        log = folder.log_path_of(rank).read_text()
        assert log.count("the thread 'left', at ") == 1 and log.count(HEAD) == 1, log


def test_a_run_that_has_lost_its_claim_has_less_time_to_end_and_writes_nothing(lab: Any) -> None:
    main = HANG.format("threading.Thread(target=hang, name='left').start(); meet('ready')", "hang()")
    process = lab.start(main, "claim.HEARTBEAT_SECONDS = 0.02; runner.KILL_SECONDS = 0.2")
    lab.meet("ready")
    lab.take_over()
    code, _, err = lab.end(process)
    assert code == 1 and "0.2 s after its run (another has the experiment)" in err
    assert "the thread 'left'" in err and not any("the thread" in line for line in log_of(lab))


@pytest.mark.parametrize("end", ["return {'x': 1}", "raise ValueError('no data')"])
@pytest.mark.parametrize("is_program", [False, True])
def test_who_takes_the_interpreter_s_lock_as_the_end_is_put_on_record_is_ended_too(
    lab: Any, end: str, is_program: bool
) -> None:
    """After main, when its result is there, or its failure is known, and before its end is."""
    hold = "import ctypes; from heyhi.experiment.folder import ExperimentDir as E; E.append_attempt = hold"
    main = HANG.format(hold, end) + "\ndef hold(*_): import ctypes; ctypes.PyDLL(None).sleep(600)\n"
    if is_program:
        main += "if __name__ == '__main__':\n    heyhi.parse_args_and_maybe_launch(main, ['--cfg', 'job', 'lr=0.5'])\n"
    code, _, err = lab.end(lab.program(main)) if is_program else lab.run(main)
    done = "return" in end
    assert code == (0 if done else -9), err
    assert find_state(lab.folder().path).status is (Status.DONE if done else Status.DEAD)
    assert HEAD in log_of(lab) and any("in hold" in line for line in log_of(lab))


def test_what_takes_the_log_s_place_is_not_waited_for(lab: Any) -> None:
    code, _, err = lab.run(HANG.format("os.unlink('log.txt'); os.mkfifo('log.txt')", "return {'x': 1}"))
    assert (code, err) == (0, "")
    assert find_state(lab.folder().path).status is Status.DONE
