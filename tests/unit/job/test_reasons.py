"""The reason that is shown of a run that ended without a result: the true one, whatever its main has done."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state

MAIN = """
import ctypes

class Odd(BaseException):
    def __str__(self):
        raise SystemExit(0)

def write(name, text):
    with open(name, "w") as file:
        file.write(text)
    sys.path.insert(0, ".")

class Late:
    def __del__(self):
        raise ValueError("in a destructor")

def main(task, cfg, log_level):
    print("at work", flush=True)
    {0}
"""
CRASHES = {
    "ctypes.string_at(0)": signal.SIGSEGV,
    "os.abort()": signal.SIGABRT,
    "os.kill(os.getpid(), signal.SIGBUS)": signal.SIGBUS,
    "os.kill(os.getpid(), signal.SIGFPE)": signal.SIGFPE,
    "t = threading.Thread(target=os.abort); t.start(); t.join()": signal.SIGABRT,
}
SAID = "main called sys.exit({0}) and returned nothing"
# What main does -> the reason.
LEAVES = {
    "sys.exit()": f"exit code 0: {SAID.format(None)}",
    "sys.exit(3)": f"exit code 3: {SAID.format(3)}",
    "sys.exit(-1)": f"exit code 255: {SAID.format(-1)}",
    "sys.exit(True)": f"exit code 1: {SAID.format(True)}",
    "sys.exit('no data')": f"exit code 1: {SAID.format(repr('no data'))}",
    "sys.exit(2**70)": f"exit code 255: {SAID.format(2**70)}",
    "__import__('argparse').ArgumentParser('train.py').parse_args(['--x'])": (
        "exit code 2: train.py: error: unrecognized arguments: --x"
    ),
    "__import__('argparse').ArgumentParser('train.py').exit(3)": f"exit code 3: {SAID.format(3)}",
    "raise GeneratorExit": "exit code 1: GeneratorExit",
    "raise Odd": "exit code 1: run.Odd",
    "raise MemoryError": "exit code 1: MemoryError",
    "main(task, cfg, log_level)": "exit code 1: RecursionError: maximum recursion depth exceeded",
}


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_is_named_and_its_stack_is_in_the_log(task_lab: Any, crash: str) -> None:
    process = task_lab.start(MAIN.format(crash))
    code = task_lab.end(process)[0]
    sign = CRASHES[crash]
    assert code == -sign
    reason = f"signal {int(sign)} ({sign.name}) (pid {process.pid} on host {os.uname().nodename})"
    assert find_state(task_lab.folder().path) == (Status.DEAD, reason)
    assert re.search(r'run.py", line \d+ in main', task_lab.folder().log_path.read_text())


def test_a_crash_that_was_another_s_is_no_reason(task_lab: Any) -> None:
    """A child's that main has survived, an earlier attempt's."""
    main = MAIN.format("os.fork() or os.abort(); os.wait(); print('on'); os.kill(os.getpid(), 9)")
    assert task_lab.run(main)[0] == -signal.SIGKILL
    folder = task_lab.folder()
    assert "Fatal Python error: Aborted" in folder.log_path.read_text()
    assert find_state(folder.path).reason.startswith("killed (no end record; pid ")
    assert task_lab.run(MAIN.format("os.abort()"))[0] == -signal.SIGABRT
    assert "SIGABRT" in find_state(folder.path).reason
    assert task_lab.run(MAIN.format("os.kill(os.getpid(), 9)"))[0] == -signal.SIGKILL
    assert find_state(folder.path).reason.startswith("killed (no end record; pid ")


@pytest.mark.parametrize("leave", LEAVES)
def test_the_reason_says_how_main_was_left(task_lab: Any, leave: str) -> None:
    assert task_lab.run(MAIN.format(leave))[0] == 1
    reason = find_state(task_lab.folder().path).reason
    assert reason.startswith(LEAVES[leave]), reason
    if "exit" not in leave and "argparse" not in leave:
        assert "Traceback" in task_lab.folder().log_path.read_text()


def test_an_interrupt_that_no_signal_has_made_is_main_s_own(task_lab: Any) -> None:
    assert task_lab.run(MAIN.format("raise KeyboardInterrupt"))[0] == 130
    assert find_state(task_lab.folder().path) == (Status.DEAD, "exit code 130: KeyboardInterrupt")
    assert "Traceback" in task_lab.folder().log_path.read_text()


@pytest.mark.usefixtures("srun")
def test_in_ranks_it_is_the_same(task_lab: Any) -> None:
    leave = "sys.exit(3) if os.environ['RANK'] == '0' else time.sleep(60)"
    process = task_lab.start(MAIN.format(leave), "sys.argv += ['--tasks', '2']")
    assert task_lab.end(process)[0] == 1
    assert find_state(task_lab.folder().path).reason == f"exit code 3: {SAID.format(3)}"


TAKEN_AWAY = {
    "its way to modules": "sys.path.clear(); raise ValueError('boom')",
    "what finds them": "sys.meta_path.clear(); raise ValueError('boom')",
    "what tells of errors": "write('traceback.py', 'raise 1'); raise ValueError('boom')",
    "what counts its use": "write('resource.py', ''); raise ValueError('boom')",
}


@pytest.mark.parametrize("raises", TAKEN_AWAY.values(), ids=TAKEN_AWAY.keys())
def test_a_task_that_fails_and_has_taken_away_what_python_loads_modules_by_is_on_record(
    task_lab: Any, raises: str
) -> None:
    code, _, err = task_lab.run(MAIN.format(raises))
    assert code == 1, err
    folder = task_lab.folder()
    assert find_state(folder.path) == (Status.DEAD, "exit code 1: ValueError: boom"), err
    assert len(folder.attempts()) == 2 and not folder.claim_path.exists()
    assert "ValueError: boom" in folder.log_path.read_text() and ", in main" in folder.log_path.read_text()


def test_what_fails_in_a_thread_or_a_destructor_fails_no_run_and_is_in_the_log(task_lab: Any) -> None:
    leave = "late = Late(); del late; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join(); return {'x': 1}"
    assert task_lab.run(MAIN.format(leave)) == (0, "", "")
    log = task_lab.folder().log_path.read_text()
    assert "ZeroDivisionError" in log and "in a destructor" in log


def test_what_fails_at_exit_undoes_no_result(task_lab: Any) -> None:
    code, _, err = task_lab.run(MAIN.format("import atexit; atexit.register(lambda: 1 / 0); return {'x': 1}"))
    assert code == 0 and "ZeroDivisionError" in err
    assert find_state(task_lab.folder().path).status is Status.DONE


SAVE = "heyhi.save_result_in_cwd({'x': 1}); "
IN_A_THREAD = "t = threading.Thread(target=os._exit, args=(4,)); t.start(); t.join()"


@pytest.mark.parametrize(
    ("leave", "code", "reason"),
    [
        ("os._exit(0)", 1, "exit code 0, before main returned"),
        ("os._exit(3)", 3, "exit code 3"),
        (IN_A_THREAD, 4, "exit code 4"),
        ("sys.meta_path.clear(); os._exit(7)", 7, "exit code 7"),  # nothing is left to load
        ("sys.path.clear(); os._exit(7)", 7, "exit code 7"),
        (f"{SAVE}os._exit(0)", 0, ""),
        (f"{SAVE}os._exit(3)", 3, ""),
        ("os.fork() or os._exit(0); os.wait(); return {'x': 1}", 0, ""),
    ],
)
def test_a_main_that_ends_its_process_is_on_record(task_lab: Any, leave: str, code: int, reason: str) -> None:
    assert task_lab.run(MAIN.format(leave))[0] == code
    folder = task_lab.folder()
    assert find_state(folder.path) == ((Status.DEAD, reason) if reason else (Status.DONE, ""))
    assert len(folder.attempts()) == 2 and not folder.claim_path.exists()
    assert folder.history().last_end.reason == ("failed" if reason else "done")


BECOME = "main became another program, {0}, by os.exec, and returned nothing"


@pytest.mark.parametrize(
    ("leave", "code", "status", "reason"),
    [
        ("os.execv('/bin/true', ['true'])", 0, Status.DEAD, BECOME.format("/bin/true")),
        ("os.execlp('sh', 'sh', '-c', 'exit 5')", 5, Status.DEAD, "/sh, by os.exec, and returned nothing"),
        (f"{SAVE}os.execv('/bin/false', ['false'])", 1, Status.DONE, ""),
        ("os.execv('/bin/nothing', ['nothing'])", 1, Status.DEAD, "exit code 1: FileNotFoundError: "),
        ("os.execv('/bin/true', 5)", 1, Status.DEAD, "exit code 1: TypeError: "),
    ],
)
def test_a_main_that_becomes_another_program_is_on_record(
    task_lab: Any, leave: str, code: int, status: Status, reason: str
) -> None:
    assert task_lab.run(MAIN.format(leave))[0] == code
    state = find_state(task_lab.folder().path)
    assert state.status is status and reason in state.reason, state


def test_a_process_that_the_text_of_an_exception_ends_is_on_record(task_lab: Any) -> None:
    leave = "Odd.__str__ = lambda self: os._exit(0); raise Odd"
    assert task_lab.run(MAIN.format(leave))[0] == 1
    assert find_state(task_lab.folder().path) == (Status.DEAD, "exit code 0, before main returned")
    assert not task_lab.folder().claim_path.exists()


def test_nothing_of_that_is_left_in_a_program_whose_main_has_returned(task_lab: Any) -> None:
    before = os._exit, os.execv, os.execve
    assert task_lab.execute(lambda **_: {"x": 1}).done
    assert (os._exit, os.execv, os.execve) == before


CLOSES = {
    "one by one": "for fd in range(10):\n        try: os.close(fd)\n        except OSError: pass\n    ",
    "all": "os.closerange(0, 4096)\n    ",
}
ENDS = {
    "return {'x': 1}": (Status.DONE, ""),
    "raise ValueError('no data')": (Status.DEAD, "exit code 1: ValueError: no data"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("close", CLOSES)
@pytest.mark.parametrize("is_program", [False, True])
def test_a_main_that_closes_all_descriptors_has_its_result_and_its_reason(
    task_lab: Any, close: str, end: str, is_program: bool
) -> None:
    main = MAIN.format(CLOSES[close] + end)
    if is_program:
        main += (
            "\nif __name__ == '__main__':\n    heyhi.parse_args_and_maybe_launch(main, ['--cfg', 'job', 'lr=0.5'])\n"
        )
    code, _, err = task_lab.end(task_lab.program(main)) if is_program else task_lab.run(main)
    state = find_state(task_lab.folder().path)
    assert state == ENDS[end], err
    assert code == (0 if state.status is Status.DONE else 1)
    assert not task_lab.folder().claim_path.exists()
