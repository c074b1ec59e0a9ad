"""What a task has raised is told whatever its text is: of any length, made by code that raises or never ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.job.ending import Ending, Signals, ending_of, print_error
from heyhi.job.raised import text_of, traceback_of
from heyhi.text import MAX_LINE, readable


class _OddError(Exception):
    """Its text is what a function makes."""

    def __init__(self, make: Callable[[], str]) -> None:
        super().__init__()
        self._make = make

    def __str__(self) -> str:
        return self._make()


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def exits(code: int = 3) -> str:
    raise SystemExit(code)


def test_a_text_that_never_ends_is_not_waited_for() -> None:
    end = threading.Event()
    error = raised(_OddError(lambda: str(end.wait())))
    assert text_of(error, 0.01) == ""
    trace = traceback_of(error, 0.01)
    assert trace.startswith("Traceback (most recent call last):\n") and "in raised" in trace
    assert trace.endswith("\n_OddError: (its text could not be made within 0.01 s)\n")
    end.set()


def test_a_text_that_cannot_be_made_is_left_out_and_ends_nothing() -> None:
    for make in (exits, lambda: "x"[1], lambda: 3):
        error = raised(_OddError(make))  # type: ignore[arg-type]
        assert text_of(error) == ""
        assert ending_of(error, Signals()).exception == f"{__name__}._OddError"


def test_a_traceback_of_any_length_keeps_both_its_ends() -> None:
    trace = traceback_of(raised(ValueError("".join(f"{n}\n" for n in range(10_000)))))
    assert trace.endswith("\n9999\n\n") and trace.count("\n") > 10_000
    trace = traceback_of(raised(ValueError(f"begin {'x' * 5_000_000} end")))
    assert len(trace) < 1_100_000 and "ValueError: begin xxx" in trace and trace.endswith("xxx end\n")
    assert "characters are left out" in trace


def test_a_traceback_names_what_a_group_holds() -> None:
    trace = traceback_of(raised(ExceptionGroup("both", [ValueError("one"), KeyError("two")])))
    assert "ValueError: one" in trace and "KeyError: 'two'" in trace


@given(st.text(st.characters(codec=None)), st.integers(0, 3000))
def test_a_reason_is_one_line_of_a_sane_length_whatever_was_raised(text: str, times: int) -> None:
    for error in (ValueError(text * times), SystemExit(text * times), KeyError(text * times), OSError(5, text * times)):
        found = ending_of(raised(error), Signals()).exception
        assert 0 < len(found) <= MAX_LINE and "\n" not in found and readable(found) == found
    assert len(Ending("failed", 1, text * times).exception) <= MAX_LINE


def test_an_error_is_printed_in_a_sane_length_and_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (raised(SystemExit("\x1b[2K" + "x" * 100_000)), raised(ValueError("\r\x1b[2K DONE"))):
        print_error(error, ending_of(error, Signals()))
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= MAX_LINE + len("error: ")
    assert "\\x1b[2Kxxx" in lines[0] and lines[-1] == r"ValueError: \r\x1b[2K DONE"
