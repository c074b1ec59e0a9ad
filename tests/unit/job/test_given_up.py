from __future__ import annotations

from pathlib import Path

from heyhi.experiment.records import Submission
from heyhi.job.given_up import GivenUp

ONE, TWO = Path("/r/p/one"), Path("/r/p/two")


def test_the_next_controller_knows_what_was_given_up_and_which_attempt_the_others_are_at(tmp_path: Path) -> None:
    first = GivenUp(tmp_path / "notes")
    first.note(ONE, 2)
    first.note(ONE, 3, "DEAD: boom")
    first.note(TWO, 2)

    following = GivenUp(tmp_path / "notes")

    assert not first.is_handed_on
    assert following.is_handed_on
    assert (following.why(ONE), following.attempt(ONE)) == ("DEAD: boom", 3)
    assert (following.why(TWO), following.attempt(TWO)) == ("", 2)


def test_a_job_of_an_earlier_controller_is_followed_unless_its_end_was_seen_or_it_is_of_another_day(
    tmp_path: Path,
) -> None:
    first = GivenUp(tmp_path / "notes")
    job = Submission("7", time="2999-01-01T00:00:00+00:00", attempt=1)
    assert not first.has_submitted(ONE, job)
    first.note(TWO, 2)

    following = GivenUp(tmp_path / "notes")

    assert following.has_submitted(ONE, job)
    assert not following.has_submitted(ONE, job._replace(time="2020-01-01T00:00:00+00:00"))
    assert not following.has_submitted(TWO, job)
    assert not following.has_submitted(ONE, None)


def test_a_line_that_a_kill_has_cut_short_costs_no_other(tmp_path: Path) -> None:
    GivenUp(tmp_path / "notes").note(ONE, 1, "DEAD: boom")
    with (tmp_path / "notes").open("a") as file:
        file.write('{"exp_path": "/r')

    following = GivenUp(tmp_path / "notes")
    assert following.why(ONE) == "DEAD: boom"
    following.note(TWO, 2)
    assert GivenUp(tmp_path / "notes").attempt(TWO) == 2


def test_a_run_by_hand_notes_nothing() -> None:
    notes = GivenUp(None)
    notes.note(ONE, 2, "DEAD: boom")
    assert (notes.is_handed_on, notes.why(ONE), notes.attempt(ONE)) == (False, "", 1)
