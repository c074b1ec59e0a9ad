"""The lines of a run: each is one line whatever is in it, and what a log must tell again is read as it was written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from heyhi.console.lines import ERROR, QUEUED, is_submission, line, unlogged
from heyhi.text import readable

NOON = 1_000_000_000.0


@given(st.lists(st.text(max_size=2000), max_size=4))
def test_whatever_is_said_is_one_line_that_any_terminal_can_show(parts: list[str]) -> None:
    text = line(NOON, "DEAD", *parts)
    assert readable(text) == text and len(text.splitlines()) == 1 and len(text) < 2100
    text.encode()


@given(st.text("abz019._=@+,-", min_size=1).map(lambda name: f"p/{name}"), st.sampled_from([ERROR, "DEAD", "UNKNOWN"]))
def test_why_one_without_a_log_has_ended_is_read_again(exp_id: str, word: str) -> None:
    said = "not submitted: sbatch: invalid partition: nope"
    status = "" if word == ERROR else f"{word}: "
    assert unlogged(line(NOON, word, f"{exp_id}: {said}")) == f"{exp_id}: {status}{said}"


def test_other_lines_say_nothing_of_the_kind() -> None:
    for text in (
        line(NOON, "DEAD", "lr=0.1", "exit code 1: ValueError: p/a: x", "log: results/p/a/log.txt"),
        line(NOON, "DEAD", "p/a", "exit code 1: ValueError: boom", "log: results/p/a/log.txt"),
        line(NOON, "start", "lr=0.1"),
        "p/a: job 12",
        "",
    ):
        assert unlogged(text) is None


def test_a_submission_is_known_by_our_line_and_by_the_executors() -> None:
    assert is_submission(line(NOON, QUEUED, "lr=0.1", "job 12"))
    assert is_submission("p/work/x=1_9: job 12")
    assert not is_submission("Job 3: x") and not is_submission(line(NOON, "start", "lr=0.1"))
