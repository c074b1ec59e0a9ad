"""Whatever is killed: the same command goes on, what is done stays, and nothing runs twice."""

from __future__ import annotations

import os
import re
import signal

from heyhi.experiment.names import Status
from heyhi.experiment.owner import read_parent_and_start
from heyhi.experiment.status import find_status

from .conftest import SECONDS, Tiny, until


def test_a_killed_controller_leaves_its_worker_whom_the_next_one_waits_for(tiny: Tiny) -> None:
    tiny.make_gate(2)
    killed = tiny.start()
    assert tiny.wait_at_gate()[0] == 2
    until(lambda: len(list((tiny.root / "results/p/work").glob("x=[13]_*/result.json"))) == 2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    folder = tiny.folder(str(next((tiny.root / "results/p/work").glob("x=2_*")) / "result.json"))
    assert find_status(folder.path) is Status.RUNNING

    second = tiny.start()
    until(lambda: folder.launch_log_path.exists() and "waiting for" in folder.launch_log_path.read_text())
    tiny.open_gate(2)
    out, err = second.communicate()

    assert second.returncode == 0, err
    assert "3 experiments: 3 DONE" in out
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]


def test_a_killed_worker_is_dead_and_goes_on_with_the_same_command(tiny: Tiny) -> None:
    tiny.make_gate(2)
    first = tiny.start()
    _, pid = tiny.wait_at_gate()
    os.kill(pid, signal.SIGKILL)
    out, err = first.communicate()
    assert first.returncode == 1
    assert f"signal 9 (SIGKILL) (pid {pid} on host " in out
    assert "DEAD    x=2  signal 9 (SIGKILL) (pid " in err
    assert "heyhi.runner" not in err  # the shell's words of its command are in launch.log
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"]

    second = tiny.start()
    assert tiny.wait_at_gate()[0] == 2
    tiny.open_gate(2)
    out, err = second.communicate()
    assert second.returncode == 0, err
    assert tiny.ledger[3:] == ["work 2"]
    assert "3 experiments: 3 DONE" in out


def test_one_whose_shell_alone_is_killed_is_told_to_go_on_and_waited_for_by_the_same_command(tiny: Tiny) -> None:
    tiny.make_gate(2)
    first = tiny.start()
    _, pid = tiny.wait_at_gate()
    parent = read_parent_and_start(pid)
    assert parent is not None
    os.kill(parent[0], signal.SIGKILL)
    assert first.wait(timeout=SECONDS) == 1

    second = tiny.start()
    tiny.open_gate(2)
    _, err = first.communicate(timeout=SECONDS)  # what goes on has its output, too
    assert "its shell has ended, and it goes on without it: RUNNING: pid " in err
    out, err = second.communicate(timeout=SECONDS)
    assert second.returncode == 0, err
    assert sorted(tiny.ledger) == ["work 1", "work 2", "work 3"] and "3 experiments: 3 DONE" in out


def test_what_was_said_of_an_attempt_is_still_there_after_the_next_one(tiny: Tiny) -> None:
    fails = tiny.make_fail(2)
    assert tiny.snakemake("--retries", "1").returncode == 1
    (folder,) = (path.parent for path in (tiny.root / "results/p/work").glob("x=2_*/launch.log"))
    lines = (folder / "launch.log").read_text().splitlines()
    assert [line.startswith("--- started again ") for line in lines] == [False, True, False]
    assert "boom 2" in lines[0] and "boom 2" in lines[2]
    fails.unlink()
    assert tiny.snakemake().returncode == 0
    assert (folder / "launch.log").read_text().splitlines()[:3] == lines


def test_what_hangs_after_its_run_holds_nothing_up_and_what_crashes_says_how(tiny: Tiny) -> None:
    with (tiny.root / "pyproject.toml").open("a") as settings:
        settings.write("\nend_grace = 1\n")
    task = tiny.root / "run.py"
    task.write_text(
        "import threading, time\n"
        + task.read_text().replace(
            '    print("said by", cfg.x)\n',
            "    if cfg.x == 2:\n        threading.Thread(target=time.sleep, args=(600,), name='left').start()\n"
            "    if cfg.x == 3:\n        os.abort()\n",
        )
    )
    ended = tiny.snakemake()
    assert ended.returncode == 1
    assert "3 experiments: 1 DEAD, 2 DONE" in ended.stdout, ended.stdout + ended.stderr
    assert "signal 6 (SIGABRT) (pid " in ended.stdout
    hung = tiny.folder(str(next((tiny.root / "results/p/work").glob("x=2_*")) / "result.json"))
    assert "the thread 'left', at " in hung.log_path.read_text()
    assert "the thread 'left', at " in hung.launch_log_path.read_text()


def test_what_ends_badly_behind_its_result_is_done(tiny: Tiny) -> None:
    task = tiny.root / "run.py"
    task.write_text(
        "import atexit\n"
        + task.read_text().replace(
            '    print("said by", cfg.x)\n',
            "    if cfg.x == 1:\n        atexit.register(os.abort)\n"
            "    if cfg.x == 2:\n        atexit.register(os._exit, 5)\n"
            "    if cfg.x == 3:\n        Path('result.json').write_text('{}')\n        os._exit(3)\n",
        )
    )
    ended = tiny.snakemake()
    assert "3 experiments: 3 DONE" in ended.stdout and ended.returncode == 0, ended.stdout + ended.stderr
    said = re.findall(r" done +(x=\d)  .*  its process ended with (.*) after that$", ended.stderr, re.MULTILINE)
    assert sorted(said) == [("x=1", "signal 6 (SIGABRT)"), ("x=2", "exit code 5"), ("x=3", "exit code 3")]
    assert " end     3 done in " in ended.stderr and "ERROR" not in ended.stderr
