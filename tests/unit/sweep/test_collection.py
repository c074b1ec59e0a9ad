"""Python looks for garbage rarely while a graph is made, and as ever while it is run."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from heyhi.sweep.collection import RareCollection
usual, rare = gc.get_threshold(), RareCollection()
print(gc.get_threshold()[0] > 10 * usual[0] and gc.isenabled())
rare.end()
print(gc.get_threshold() == usual and gc.get_freeze_count() > 0)
"""
END_SCRIPT = """
import atexit, gc
atexit.register(lambda: print(gc.get_freeze_count() > 0))
from heyhi.sweep.collection import RareCollection
rare = RareCollection()
print(gc.get_freeze_count() > 0)
"""


def test_garbage_is_looked_for_rarely_until_the_first_job_and_then_as_usual() -> None:
    said = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.split() == ["True", "True"]


def test_garbage_is_not_looked_for_when_a_process_ends_that_has_run_nothing() -> None:
    said = subprocess.run([sys.executable, "-c", END_SCRIPT], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert said.split() == ["False", "True"]
