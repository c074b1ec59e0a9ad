"""Which lines of a log are the traceback of a failure: real ones, as Python and what starts workers write them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.control.last_traceback import last_traceback


def said_by(code: str) -> list[str]:
    """Return what a program says before it fails."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()


def found(lines: list[str], reason: str = "") -> list[str]:
    place = last_traceback(lines, reason)
    return [] if place is None else lines[slice(*place)]


def test_a_chain_of_exceptions_is_shown_from_its_first_one() -> None:
    lines = said_by(
        """
        def deep():
            {}["k"]
        try:
            try:
                deep()
            except KeyError as error:
                raise ValueError("a\\nb") from error
        except ValueError:
            raise RuntimeError("last")
        """
    )
    assert sum(line.startswith("Traceback") for line in lines) == 3
    earlier = ["epoch 1", "Traceback (most recent call last):", '  File "x", line 1', "OSError: handled", "epoch 2"]
    assert found([*earlier, *lines], "RuntimeError: last") == lines


def test_an_exception_group_is_shown_whole() -> None:
    lines = said_by(
        """
        def failing(error):
            raise error
        errors = []
        for one in (ValueError("one"), TypeError("two")):
            try:
                failing(one)
            except Exception as error:
                errors.append(error)
        raise ExceptionGroup("both", errors)
        """
    )
    assert found(["epoch 1", *lines], "ExceptionGroup: both (2 sub-exceptions)") == lines
    assert found(["epoch 1", *lines]) == lines


def test_what_failed_in_a_worker_is_shown_with_what_it_failed_for() -> None:
    lines = said_by(
        """
        import multiprocessing, os
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(1) as pool:
                pool.map(os.stat, ["/gone"])
        """
    )
    assert "RemoteTraceback" in lines[0]
    shown = found(["epoch 1", *lines])
    assert shown == lines


@pytest.mark.parametrize("prefix", ["[rank3]: ", "[rank3]:", "(pid=12) ", "0: "])
def test_a_prefix_of_each_line_belongs_to_it(prefix: str) -> None:
    lines = [prefix + line for line in said_by("def f(): raise ValueError('boom')\nf()")]
    assert len(lines) > 3
    assert found(["epoch 1", *lines], "ValueError: boom") == lines


def test_of_several_the_one_that_is_on_record_counts() -> None:
    first = said_by("raise ValueError('boom')")
    later = ["Exception ignored in: <object>", *said_by("raise TypeError('at exit')")]
    assert found([*first, *later], "ValueError: boom") == [*first, later[0]]
    assert found([*first, *later], "ValueError: boom (main works in /x)") == [*first, later[0]]
    assert found([*first, *later]) == later[1:]
    assert found([*first, *later], "exit code 1") == later[1:]


def test_a_crash_of_the_interpreter_has_the_stack_that_it_wrote() -> None:
    lines = said_by("import ctypes, faulthandler\nfaulthandler.enable()\nctypes.string_at(0)")
    assert lines[0].startswith("Fatal Python error: Segmentation fault")
    assert found(["epoch 1", *lines])[0] == lines[0]


def test_what_was_said_behind_a_traceback_is_kept_up_to_a_measure() -> None:
    lines = said_by("raise ValueError('a message\\n\\nof several lines')")
    assert found([*lines, "note: look there"])[-3:] == ["", "of several lines", "note: look there"]
    assert len(found([*lines, *["epoch"] * 1000])) < 60


def test_without_a_traceback_there_is_none() -> None:
    assert found(["epoch 1", "killed"]) == [] and found([]) == []


@given(
    st.lists(
        st.sampled_from(
            [
                "Traceback (most recent call last):",
                "  + Exception Group Traceback (most recent call last):",
                "During handling of the above exception, another exception occurred:",
                *("  | x", "", '"""', "  File", "ValueError: x"),
            ]
        )
        | st.text(max_size=5)
    ),
    st.text(max_size=10),
)
def test_any_lines_have_a_part_or_none(lines: list[str], reason: str) -> None:
    place = last_traceback(lines, reason)
    assert place is None or 0 <= place[0] < place[1] <= len(lines)
