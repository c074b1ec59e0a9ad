"""A process runs one experiment at a time; other processes, forked ones too, run theirs beside it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.errors import BusyError
from heyhi.experiment.names import Status
from heyhi.experiment.status import find_status


class Running:
    """A run in another thread that goes on until it is told to end."""

    def __init__(self, lab: Any) -> None:
        self._started, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: lab.execute(self._main, lr=1))

    def _main(self, **_: object) -> dict[str, str]:
        self._started.set()
        self._end.wait(60)
        return {"cwd": str(Path.cwd())}

    def __enter__(self) -> None:
        self._thread.start()
        assert self._started.wait(60)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def never(**_: object) -> object:
    raise AssertionError("it was run")


def give(**_: object) -> dict[str, str]:
    return {"cwd": str(Path.cwd())}


def test_a_second_run_in_a_process_is_refused_before_anything_is_written(task_lab: Any) -> None:
    with Running(task_lab):
        with pytest.raises(BusyError, match=r"lr=2.* while it runs .*lr=1.*ProcessPoolExecutor"):
            task_lab.execute(never, lr=2)
        assert not task_lab.folder(2).path.exists()
    assert task_lab.folder(1).read_result() == {"cwd": str(task_lab.folder(1).path)}
    assert task_lab.execute(give, lr=2).done
    assert task_lab.folder(2).read_result() == {"cwd": str(task_lab.folder(2).path)}


def test_nothing_is_wiped_for_a_run_that_is_refused(task_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(task_lab.root)
    assert task_lab.execute(give, lr=2).done
    with Running(task_lab):
        monkeypatch.chdir(task_lab.root)
        for mode in ("restart", "start_restart"):
            for lr in ("2", "3"):
                if (mode, lr) != ("start_restart", "2"):  # it is done, and left
                    with pytest.raises(BusyError):
                        heyhi.maybe_launch(never, cfg="job", overrides=[f"lr={lr}"], mode=mode)
        assert heyhi.maybe_launch(never, cfg="job", overrides=["lr=2"]).is_done()
        assert heyhi.maybe_launch(never, cfg="job", overrides=["lr=3"], mode="dryrun").get_status() is (
            Status.NOT_STARTED
        )
    assert task_lab.folder(2).read_result() and not task_lab.folder(3).path.exists()


def test_of_many_threads_that_start_at_once_one_runs(task_lab: Any) -> None:
    barrier, end = threading.Barrier(8), threading.Event()
    ran: list[float] = []
    refused: list[str] = []
    experiments = [task_lab.experiment(lr) for lr in range(8)]

    def main(**_: object) -> None:
        end.wait(60)

    def run(number: int) -> None:
        barrier.wait()
        try:
            heyhi.job.runner.execute(experiments[number], schema, main)
            ran.append(number)
        except BusyError as error:
            refused.append(str(error))
            if len(refused) == 7:
                end.set()

    schema = task_lab.schema
    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ran) == 1 and len(refused) == 7
    assert [lr for lr in range(8) if task_lab.folder(lr).path.exists()] == ran


def test_a_main_that_launches_another_here_fails_with_the_way_to_do_it(
    task_lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(task_lab.root)

    def outer(**_: object) -> None:
        heyhi.maybe_launch(never, cfg="job", overrides=["lr=2"])

    outcome = task_lab.execute(outer, lr=1)
    assert outcome.status is Status.DEAD and "ProcessPoolExecutor" in outcome.reason
    assert not task_lab.folder(2).path.exists()
    # What it raised has given the turn back.
    assert task_lab.execute(give, lr=2).done


def test_a_run_that_never_began_gives_its_turn_back(task_lab: Any) -> None:
    path = task_lab.folder(1).path
    path.mkdir(parents=True)
    (path / "foreign").touch()
    with pytest.raises(heyhi.HeyhiError):
        task_lab.execute(never, lr=1)
    with pytest.raises(ZeroDivisionError):
        task_lab.execute(never, lr=2, make_room=lambda: 1 // 0)
    assert task_lab.execute(give, lr=3).done


POOL = """
import concurrent.futures, multiprocessing

def give(task, cfg, log_level):
    print("from", cfg.lr)
    return {"cwd": os.getcwd()}

def launch(lr):
    os.chdir(heyhi_root)
    return heyhi.maybe_launch(give, cfg="job", overrides=[f"lr={lr}"]).result()["cwd"]

heyhi_root = os.path.dirname(os.path.abspath(__file__))

def outer(task, cfg, log_level):
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        return {"cwds": list(pool.map(launch, (1, 2, 3)))}

if __name__ == "__main__":
    import heyhi.job.tee
    heyhi.job.tee._END_SECONDS = 0.1  # a helper of multiprocessing's keeps the output open
    print(heyhi.maybe_launch(outer, cfg="job", overrides=["lr=9"]).get_status())
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_pool_that_main_has_started_run_beside_it(task_lab: Any, method: str) -> None:
    process = task_lab.program(POOL.replace("sys.argv[1]", repr(method)))
    code, out, err = task_lab.end(process)
    assert (code, out.splitlines()[-1]) == (0, "DONE"), err
    folders = [str(task_lab.folder(lr).path) for lr in (1, 2, 3)]
    assert task_lab.folder(9).read_result() == {"cwds": folders}
    for lr, path in zip((1, 2, 3), folders, strict=True):
        assert (Path(path) / "log.txt").read_text() == f"from {lr}.0\n"
        assert find_status(path) is Status.DONE


def test_a_forked_child_may_run_another_and_its_parent_goes_on(task_lab: Any) -> None:
    experiments = {lr: task_lab.experiment(lr) for lr in (1, 2)}
    schema = task_lab.schema

    def outer(**_: object) -> dict[str, int]:
        child = os.fork()
        if child == 0:
            done = heyhi.job.runner.execute(experiments[2], schema, give, echo=False).done
            os._exit(0 if done and Path.cwd() == experiments[1].exp_path else 9)
        return {"child": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

    assert task_lab.execute(outer, lr=1).done
    assert task_lab.folder(1).read_result() == {"child": 0}
    assert task_lab.folder(2).read_result() == {"cwd": str(task_lab.folder(2).path)}
