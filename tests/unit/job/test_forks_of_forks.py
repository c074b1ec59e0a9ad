"""Processes that main forks, and these again: whatever they do, the end on record is main's own."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from heyhi.experiment.names import Status
from heyhi.experiment.status import find_state

# What a child does that main waits for -> how it ends, as main sees it.
CHILDREN = {
    "os._exit(5)": 5,
    "os.kill(os.getpid(), 9)": -9,
    "os.execvp('sh', ['sh', '-c', 'exit 6'])": 6,
    "signal.raise_signal(signal.SIGTERM)": -signal.SIGTERM,
    "inner = os.fork(); inner and os.waitpid(inner, 0); sys.exit(7)": 7,
    "inner = os.fork(); inner and os.waitpid(inner, 0); return {'inner': True}": 0,
    "inner = os.fork(); inner and os.waitpid(inner, 0); raise ValueError('inner')": 1,
    "os.setsid(); os.fork() and os._exit(0); return {'daemon': True}": 0,
    "raise GeneratorExit": 1,
}
MAIN = """
def main(task, cfg, log_level):
    child = os.fork()
    if child == 0:
        {0}
    return {{"child": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}}
"""
POOLS = """
import concurrent.futures, multiprocessing

def leave(how):
    if how == "exit":
        sys.exit(5)
    if how == "kill":
        os.kill(os.getpid(), 9)
    raise BaseException(how)

def main(task, cfg, log_level):
    context = multiprocessing.get_context("fork")
    codes = []
    for how in ("exit", "kill", "raise"):
        process = context.Process(target=leave, args=(how,))
        process.start()
        process.join()
        codes.append(process.exitcode)
    {0}
    return {{"codes": codes}}
"""


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_ends_as_it_would_without_us(task_lab: Any, child: str) -> None:
    assert task_lab.run(MAIN.format(child))[0] == 0
    folder = task_lab.folder()
    assert folder.read_result() == {"child": CHILDREN[child]}
    assert len(folder.attempts()) == 2 and not folder.claim_path.exists()


def test_children_of_multiprocessing_end_as_they_would_without_us(task_lab: Any) -> None:
    assert task_lab.run(POOLS.format("")) == (0, "", "")
    assert task_lab.folder().read_result() == {"codes": [5, -9, 1]}
    assert len(task_lab.folder().attempts()) == 2


def test_a_pool_whose_worker_was_killed_is_the_reason(task_lab: Any) -> None:
    more = "concurrent.futures.ProcessPoolExecutor(1, mp_context=context).submit(leave, 'kill').result()"
    assert task_lab.run(POOLS.format(more))[0] == 1
    state = find_state(task_lab.folder().path)
    assert state.status is Status.DEAD and "BrokenProcessPool: A process in the process pool was term" in state.reason
    assert len(task_lab.folder().attempts()) == 2


def test_a_main_that_becomes_another_program_runs_as_long_as_that_does(task_lab: Any) -> None:
    process = task_lab.start(
        "def main(task, cfg, log_level): os.execvp('sh', ['sh', '-c', 'printf x > $FIFOS/ready; exec sleep 600'])"
    )
    task_lab.meet("ready")
    assert find_state(task_lab.folder().path).status is Status.RUNNING
    process.kill()
    task_lab.end(process)
    assert "main became another program, /" in find_state(task_lab.folder().path).reason
