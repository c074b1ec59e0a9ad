"""Timers of the C library, and what else of it a job calls: without what `ctypes` makes on import."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_an_alarm_runs_its_command_then_ends_the_process() -> None:
    done = run("import time; from heyhi.job.alarm import Alarm; Alarm('echo said', 0.1, 7, 0.2); time.sleep(60)")
    assert (done.returncode, done.stdout, done.stderr) == (7, "said\n", "")


def test_what_a_job_calls_of_c_loads_no_ctypes() -> None:
    code = "from heyhi.job.alarm import Alarm; from heyhi.job.tee import flush_all; Alarm(':', 60, 0, 60).stop()"
    assert run(f"import sys; {code}; flush_all(); print('ctypes' in sys.modules)").stdout == "False\n"
