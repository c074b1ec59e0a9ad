"""A main that is told to end, catches that and returns: with a result it is DONE, with nothing it has left its work."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state

WAIT = """
class Odd(BaseException): pass

def main(task, cfg, log_level):
    {before}
    try:
        meet("ready")
        while True:
            {loop}
    except BaseException as error:
        print("caught", type(error).__name__)
    {end}
"""
LOOP = "time.sleep(0.1)"  # signal.pause() may miss one that comes just before it
ASKS = "time.sleep(0.01)\n            if heyhi.is_to_stop(): break"
CAUGHT = "which main has caught and returned nothing"
# How a main ends that has caught it -> whether it has a result.
ENDS = {
    "return None": False,
    "": False,
    "return {'steps': 3}": True,
    "return {}": True,
    "heyhi.save_result_in_cwd({'steps': 3})": True,
    "sys.exit(0)": False,
    "raise Odd": False,
}


def end_of(lab: Any, main: str, sign: signal.Signals, **options: Any) -> int:
    process = lab.start(main, **options)
    lab.meet("ready")
    process.send_signal(sign)
    code: int = lab.end(process)[0]
    return code


@pytest.mark.parametrize("end", ENDS)
def test_what_is_stopped_is_done_where_it_has_a_result_alone(task_lab: Any, end: str) -> None:
    code = end_of(task_lab, WAIT.format(before="", loop=LOOP, end=end), signal.SIGTERM)
    state = find_state(task_lab.folder().path)
    if ENDS[end]:
        assert (code, state.status) == (0, Status.DONE)
        return
    assert (code, state.status) == (143, Status.DEAD) and "stopped by SIGTERM" in state.reason
    assert (CAUGHT in state.reason) == (end in ("return None", "")) and not task_lab.folder().claim_path.exists()


def test_ctrl_c_in_run_py_that_main_has_caught_is_no_end_of_its_own(task_lab: Any) -> None:
    main = WAIT.format(before="", loop=LOOP, end="")
    text = (
        main + "\nif __name__ == '__main__':\n    heyhi.parse_args_and_maybe_launch(main, ['--cfg', 'job', 'lr=0.5'])\n"
    )
    process = task_lab.program(text)
    task_lab.meet("ready")
    process.send_signal(signal.SIGINT)
    assert task_lab.end(process)[0] in (130, -signal.SIGINT)
    state = find_state(task_lab.folder().path)
    assert state == (Status.DEAD, f"exit code 130: stopped by SIGINT, {CAUGHT}")


@pytest.mark.usefixtures("srun")
@pytest.mark.parametrize("end", ["return None", "return {'steps': 3}"])
def test_so_it_is_in_a_rank(task_lab: Any, end: str) -> None:
    """Where the others end well, too."""
    main = WAIT.format(
        # A rank that is stopped before it has begun doesn't end well.
        before="if os.environ['RANK'] == '1': return\n"
        "    while not list(pathlib.Path().glob('.ranks.*/1.json')): time.sleep(0.01)",
        loop=LOOP,
        end=end,
    )
    code = end_of(task_lab, main, signal.SIGTERM, wrapper="sys.argv += ['--tasks', '2']")
    state = find_state(task_lab.folder().path)
    if "steps" in end:
        assert (code, task_lab.folder().read_result()) == (0, {"steps": 3})
    else:
        assert code == 143 and state.status is Status.DEAD and "stopped by SIGTERM" in state.reason


OWN = """
def main(task, cfg, log_level):
    stops = []
    signal.signal(signal.{sign}, lambda *_: stops.append(1))
    {before}
    meet("ready")
    while not stops:
        time.sleep(0.01)
    {end}
"""


@pytest.mark.parametrize(
    ("sign", "end", "status"),
    [
        ("SIGTERM", "", Status.DEAD),
        ("SIGINT", "", Status.DEAD),
        ("SIGHUP", "", Status.DONE),  # so that a run outlives the terminal
        ("SIGTERM", "return {'steps': 3}", Status.DONE),
    ],
)
def test_so_it_is_with_handlers_of_main_s_own(task_lab: Any, sign: str, end: str, status: Status) -> None:
    number = getattr(signal, sign)
    code = end_of(task_lab, OWN.format(sign=sign, before="", end=end), number)
    state = find_state(task_lab.folder().path)
    assert state.status is status
    assert code == (0 if status is Status.DONE else 128 + number)
    assert status is Status.DONE or state.reason == f"exit code {128 + number}: stopped by {sign}, {CAUGHT}"


def test_what_children_are_told_is_no_word_for_main(task_lab: Any) -> None:
    """A child inherits main's handler, and all else by which signals are heard."""
    main = """
        def main(task, cfg, log_level):
            stops = []
            signal.signal(signal.SIGTERM, lambda *_: stops.append(1))
            ready, say = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(say, b"x")
                while not stops:
                    time.sleep(0.01)
                os._exit(0)
            os.read(ready, 1)  # Python forgets what comes to a child before this
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
        """
    assert task_lab.run(main) == (0, "", "")
    assert find_state(task_lab.folder().path).status is Status.DONE


SLOW = """
class Slow(dict):
    def items(self):
        meet("ready")
        while True:
            {}

def main(task, cfg, log_level):
    return Slow(a=1)
"""


@pytest.mark.parametrize("loop", ["pass", "time.sleep(60)"])
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_what_main_returned_is_still_its_own_code_as_it_becomes_json(
    task_lab: Any, loop: str, sign: signal.Signals
) -> None:
    assert end_of(task_lab, SLOW.format(loop), sign) == 128 + sign
    state = find_state(task_lab.folder().path)
    assert state == (Status.DEAD, f"exit code {128 + sign}: stopped by {sign.name}")
    assert not task_lab.folder().claim_path.exists() and not task_lab.folder().has_result()


def test_a_ctrl_c_that_python_itself_handles_is_no_exception_of_main_s(task_lab: Any) -> None:
    main = WAIT.format(before="signal.signal(signal.SIGINT, signal.default_int_handler)", loop=LOOP, end="raise error")
    main = main.replace("print(", "raise; print(")
    assert end_of(task_lab, main, signal.SIGINT) == 130
    assert find_state(task_lab.folder().path) == (Status.DEAD, "exit code 130: stopped by SIGINT")
