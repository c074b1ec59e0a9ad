"""An experiment whose job was to start after those of others, and was ended before it began."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heyhi.experiment.names import Status
from heyhi.experiment.status import State, Statuses, find_state
from heyhi.slurm.commands import Job, View


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """The folder of an experiment that job 12 was to run once that of `need` had ended well."""
    (tmp_path / "p/need").mkdir(parents=True)
    folder = tmp_path / "p/user"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps({"job_id": "12", "attempt": 1, "after": ["../need"]}))
    return folder


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> View:
    """A Slurm that has cancelled that job."""
    view = View()
    monkeypatch.setattr("heyhi.slurm.commands.account", lambda ids: {"12": Job("12", "CANCELLED")})
    monkeypatch.setattr("heyhi.slurm.commands._queue_lines", lambda *words: [])
    return view


def test_it_is_as_if_it_had_not_been_submitted(user: Path, view: View) -> None:
    assert find_state(user, view) == State(Status.NOT_STARTED)


def test_it_is_blocked_by_what_is_dead(user: Path, view: View) -> None:
    need = user.with_name("need")
    (need / "job.json").write_text(json.dumps({"job_id": "12", "attempt": 1}))
    statuses = Statuses([str(user)], needs_of=lambda path: [str(need)] if path == str(user) else [], view=view)
    state = statuses.of(str(user))
    assert state.status is Status.BLOCKED and state.reason.endswith("DEAD: CANCELLED (job 12)")


def test_where_all_that_it_needs_is_there_the_job_itself_was_ended(user: Path, view: View) -> None:
    (user.with_name("need") / "result.json").write_text("{}")
    assert find_state(user, view) == State(Status.DEAD, "CANCELLED (job 12)")
