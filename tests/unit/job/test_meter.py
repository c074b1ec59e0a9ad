"""What a run uses, measured by itself: CPU time and memory of all its processes, and what is left when it is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.used import note_used, used_so_far
from heyhi.job import meter
from heyhi.job.meter import Measured, Meter

# Holds memory below the run that the run shares with it, or that it has for itself.
HOLD = (
    "import sys; x = bytearray(100 << 20); x[::4096] = b'1' * len(x[::4096]); print('x', flush=True); sys.stdin.read()"
)


def measured(code: str, *, fast: bool = False) -> dict[str, float]:
    """Run code in a process of its own beside a meter `m`; return what that read at the end, in MB."""
    setup = "from heyhi.job import meter\n"
    setup += "meter._SECONDS, meter._SHARE = 0.0, 10.0\n" if fast else ""
    setup += "m = meter.Meter(is_whole=True)\n"
    text = (
        f"import json, os, subprocess, sys, time\n{setup}{textwrap.dedent(code)}\nprint(json.dumps(m.read()._asdict()))"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return {**found, "mb": found["mem_gb"] * 1024}


def test_cpu_time_counts_in_this_process_and_in_those_below_dead_or_alive() -> None:
    busy = "import time\\nwhile time.process_time() < 0.5: pass"
    found = measured(f"""
        while time.process_time() < 0.5: pass
        subprocess.run([sys.executable, "-c", "{busy}"])
        below = subprocess.Popen(
            [sys.executable, "-c", "{busy}\\nprint('x', flush=True)\\ntime.sleep(60)"], stdout=subprocess.PIPE
        )
        below.stdout.readline()
        read, m.read = m.read(), lambda: read
        below.kill()
    """)
    assert 1.4 < found["cpu_seconds"] < 2.5 and found["seconds"] > 0.5


def test_memory_is_that_of_all_processes_at_their_peak() -> None:
    found = measured(f"""
        below = [subprocess.Popen([sys.executable, "-c", {HOLD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                 for _ in range(2)]
        for one in below: one.stdout.readline()
        m.read()
        for one in below: one.communicate()
    """)
    assert 200 < found["mb"] < 300


def test_memory_of_the_program_that_has_started_it_is_not_its() -> None:
    inner = "from heyhi.job import meter; print(meter.Meter(is_whole=True).read().mem_gb * 1024)"
    hold = "hold = bytearray(400 << 20); hold[::4096] = b'1' * len(hold[::4096])"
    large = f"{hold}; subprocess.run([sys.executable, '-c', {inner!r}])"
    done = subprocess.run(
        [sys.executable, "-c", f"import subprocess, sys; {large}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert 0 < float(done.stdout) < 200


def test_memory_that_processes_share_counts_once() -> None:
    found = measured("""
        hold = bytearray(200 << 20)
        hold[::4096] = b"1" * len(hold[::4096])
        ready, go = os.pipe(), os.pipe()
        pids = []
        for _ in range(3):
            pids.append(os.fork())
            if not pids[-1]:
                os.write(ready[1], b"x")
                os.read(go[0], 1)
                os._exit(0)
        for _ in pids: os.read(ready[0], 1)
        m.read()
        meter._YOUNG_SECONDS = 0.0  # as if these had passed
        read = m.read()
        os.write(go[1], b"xxx")
        for pid in pids: os.waitpid(pid, 0)
    """)
    assert 200 < found["mb"] < 300


def test_a_peak_between_two_samples_is_seen_at_the_end() -> None:
    assert measured("hold = bytearray(150 << 20)\nhold[::4096] = b'1' * len(hold[::4096])\ndel hold")["mb"] > 150


def test_a_process_that_is_just_being_started_is_not_this_one_twice() -> None:
    # Until it becomes another program, it has all memory of this one.
    found = measured(
        """
        hold = bytearray(200 << 20)
        hold[::4096] = b"1" * len(hold[::4096])
        m.start(lambda: None)
        for _ in range(1000): subprocess.run(["true"])
        """,
        fast=True,
    )
    assert 200 < found["mb"] < 300


def test_a_sample_costs_less_than_a_thousandth_of_a_core() -> None:
    one = Meter()
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return len(pauses) > 20

    one._stop = Stop()
    before = meter.time.thread_time()
    one._sample(lambda: None)
    assert (meter.time.thread_time() - before) / sum(pauses) < 0.001


def test_what_this_process_did_before_is_not_the_attempt_s() -> None:
    while meter.time.process_time() < 0.3:
        pass
    one = Meter()
    assert one.read().cpu_seconds < 0.2 and one.read().seconds < 10


def test_memory_of_ranks_is_that_of_the_node_with_most() -> None:
    first = Measured(9.0, 1.0, 0.5, "n1")
    others = [Measured(8.0, 2.0, 1.0, "n1"), Measured(8.0, 4.0, 1.25, "n2")]
    assert first.with_others(others) == Measured(9.0, 7.0, 1.5, "n1")


# --- on record


def test_the_end_of_an_attempt_says_what_it_used(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            while time.process_time() < 0.6: pass
            return {}
    """
    code, _, err = task_lab.run(main)
    assert code == 0, err
    (end,) = task_lab.folder().history().ends
    assert end.used.cpu_seconds >= 0.6 and end.used.seconds >= end.seconds and 0.01 < end.used.mem_gb < 1
    assert end.used.gpus is None and end.used.queued is None  # there was no job
    assert not (task_lab.folder().path / ".used.json").exists()


def test_a_run_in_this_process_has_its_own_time_only(task_lab: Any) -> None:
    outcome = task_lab.execute(lambda **_: {})
    (end,) = task_lab.folder().history().ends
    assert outcome.done and end.used.seconds < 30 and end.used.cpu_seconds < 30


def test_of_a_run_that_was_killed_the_next_start_keeps_what_it_noted(task_lab: Any) -> None:
    wait = """
        def main(task, cfg, log_level):
            meet("ready")
            time.sleep(600)
    """
    soon = "import heyhi.job.meter as meter\nmeter._FIRST_NOTE = meter._SECONDS = 0.01"
    run = task_lab.start(wait, soon)
    task_lab.meet("ready")
    folder = task_lab.folder()
    while not used_so_far(folder.path).attempt:
        assert run.poll() is None
    run.kill()
    run.communicate()
    noted = used_so_far(folder.path)
    assert noted.used.seconds > 0 and noted.is_of(folder.last_start())
    assert task_lab.execute(lambda **_: {}).done
    killed, done = folder.history().ends
    assert (killed.attempt, killed.reason, killed.used) == (1, "killed", noted.used)
    assert (done.attempt, done.reason) == (2, "done") and used_so_far(folder.path).attempt == 0


def test_the_note_of_another_attempt_is_nobody_s(task_lab: Any, tmp_path: Path) -> None:
    assert task_lab.execute(lambda **_: {}).done
    folder = task_lab.folder()
    start = folder.last_start()
    note_used(folder.path, start._replace(pid=(start.pid or 0) + 1), folder.history().ends[0].used)
    folder.attempts_path.write_text(folder.attempts_path.read_text().splitlines()[0] + "\n")
    folder.result_path.unlink()
    assert task_lab.execute(lambda **_: {}).done
    assert [end.reason for end in folder.history().ends] == ["done"]


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"attempt": "x"}', '{"attempt": 1, "time": 2, "used": 3}'])
def test_a_damaged_note_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / ".used.json").write_text(text)
    assert used_so_far(tmp_path).attempt == 0


@pytest.mark.usefixtures("srun")
def test_what_the_ranks_used_is_the_attempt_s(task_lab: Any) -> None:
    main = """
        def main(task, cfg, log_level):
            while time.process_time() < 0.7: pass
            return {}
    """
    task_lab.write(main)
    code, _, err = task_lab.end(task_lab.start(main, "import sys; sys.argv += ['--tasks', '2']"))
    assert code == 0, err
    (end,) = task_lab.folder().history().ends
    assert end.used.cpu_seconds >= 1.4
