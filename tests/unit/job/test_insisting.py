"""A stop that comes where Python, or C code, drops what a signal's handler raises."""

from __future__ import annotations

import signal
import textwrap
from typing import Any

import pytest

from heyhi.job.ending import Signals, Terminated

# PyObject_HasAttrString drops what is raised in it, as the compiler does in constants; nothing in it is Python.
IN_C = """
import ctypes, functools, operator

class Stopped:
    asked = property(operator.methodcaller("stop"))

one = Stopped()
one.stop = functools.partial(signal.raise_signal, signal.SIGNAL)
ctypes.pythonapi.PyObject_HasAttrString(ctypes.py_object(one), b"asked")
"""
IN_A_DESTRUCTOR = """
class Stopped:
    def __del__(self):
        signal.raise_signal(signal.SIGNAL)

Stopped()
"""


@pytest.mark.parametrize("where", [IN_C, IN_A_DESTRUCTOR])
@pytest.mark.parametrize("sign", ["SIGTERM", "SIGINT"])
def test_a_stop_that_is_dropped_where_it_comes_still_ends_main(task_lab: Any, where: str, sign: str) -> None:
    body = textwrap.indent(where.replace("SIGNAL", sign), "    ")
    # The time that is waited for the stop to come after all.
    main = f"def main(task, cfg, log_level):\n{body}\n    time.sleep(60)\n    return {{}}\n"
    run = task_lab.start(main + '\nif __name__ == "__main__":\n    heyhi.parse_args_and_maybe_launch(main)\n')
    _, err = run.communicate(timeout=120)
    assert not task_lab.folder().has_result(), err
    end = task_lab.folder().attempts()[-1]
    assert (end.reason, end.exit_code) == ("terminated", 128 + getattr(signal, sign))


def test_a_stop_that_comes_as_main_is_about_to_begin_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals()
    opens = signals._ears.open

    def stopped() -> None:
        opens()
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(signals._ears, "open", stopped)
    with signals, pytest.raises(Terminated), signals.raising():
        pytest.fail("main has begun")


def test_a_run_that_cannot_go_on_before_main_begins_does_not_begin() -> None:
    with Signals() as signals:
        signals.fail("a reason")
        with pytest.raises(Terminated), signals.raising():
            pytest.fail("main has begun")
