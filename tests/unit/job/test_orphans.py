"""A job's run whose script or pack was killed says so: the signal that it gets then is nobody's wish."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

RUN = """
import os, time
from heyhi.job.ending import Signals, ending_of
from heyhi.job.notice import Notice
with Signals(Notice()) as signals:
    try:
        with signals.raising():
            print(os.getpid(), flush=True)
            time.sleep(120)
    except BaseException as error:
        print(ending_of(error, signals).exception, flush=True)
"""
STARTER = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {RUN!r}]))"


@pytest.mark.parametrize(
    ("killed", "reason"), [(True, "killed with the process that had started it"), (False, "stopped by SIGTERM")]
)
def test_what_ends_a_run_is_told_from_what_ends_who_has_started_it(killed: bool, reason: str) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        if killed:
            starter.kill()
            starter.wait()
        os.kill(pid, signal.SIGTERM)
        assert starter.stdout.readline() == f"{reason}\n"
