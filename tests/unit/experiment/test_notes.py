"""Notes on experiments as they are kept and read: whole, bounded, and of the run that they were made of."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import NOTES_NAME, STATE_NAME
from heyhi.experiment.notes import MAX_TEXT, Note, Notes, one_line, remove_note, write_note
from heyhi.experiment.records import Start
from tests.other_user import as_another_user


def folder(root: Path, exp_id: str, *times: str) -> ExperimentDir:
    """Put an experiment on disk that was started at some times."""
    path = root / exp_id
    path.mkdir(parents=True)
    found = ExperimentDir(path, root)
    for number, time in enumerate(times, 1):
        found.append_attempt(Start(number, time=time))
    return found


def files(root: Path) -> list[Path]:
    return sorted((root / STATE_NAME / NOTES_NAME).iterdir())


def test_a_note_is_kept_with_who_made_it_and_when(tmp_path: Path) -> None:
    one = folder(tmp_path, "p/a", "t1", "t2")
    write_note(one, "bad data", excluded=True)
    note = Notes.read(tmp_path).of(str(one.path))
    assert note is not None
    assert (note.exp_id, note.text, note.excluded, note.first) == ("p/a", "bad data", True, "t1")
    assert note.user and note.time.endswith("+00:00")
    shown = Notes.read(tmp_path).shown(str(one.path))
    assert shown is not None and (shown.text, shown.excluded, shown.is_earlier) == ("bad data", True, False)
    assert Notes.read(tmp_path).of(str(tmp_path / "p/b")) is None


def test_a_note_of_a_run_that_was_wiped_is_an_earlier_ones_and_excludes_nothing(tmp_path: Path) -> None:
    one = folder(tmp_path, "p/a", "t1")
    write_note(one, "bad data", excluded=True)
    one.append_attempt(Start(2, time="t2"))  # it goes on: the same run
    assert Notes.read(tmp_path).columns([str(one.path)]) == (["bad data"], [True])
    one.attempts_path.unlink()
    for begun_anew in (False, True):
        if begun_anew:
            one.append_attempt(Start(1, time="t3"))
        assert Notes.read(tmp_path).columns([str(one.path)]) == (["(of an earlier run) bad data"], [None])
    write_note(one, "good now")
    assert Notes.read(tmp_path).columns([str(one.path)]) == (["good now"], [None])


def test_a_note_on_what_never_started_is_of_its_first_run_too(tmp_path: Path) -> None:
    one = folder(tmp_path, "p/a")
    write_note(one, "wrong config", excluded=True)
    one.append_attempt(Start(1, time="t1"))
    assert Notes.read(tmp_path).columns([str(one.path)]) == (["wrong config"], [True])


def test_records_that_cannot_be_read_make_no_note_an_earlier_runs(tmp_path: Path) -> None:
    one = folder(tmp_path, "p/a", "t1")
    write_note(one, "bad data", excluded=True)
    one.attempts_path.unlink()
    one.attempts_path.mkdir()
    assert Notes.read(tmp_path).columns([str(one.path)]) == (["bad data"], [True])


def test_an_experiment_outside_of_the_root_has_its_note_there_by_its_whole_path(tmp_path: Path) -> None:
    root, outside = tmp_path / "results", ExperimentDir(tmp_path / "elsewhere", tmp_path / "results")
    write_note(outside, "far away")
    assert Notes.read(root).columns([str(outside.path), str(root / "p/a")]) == (["far away", None], [None, None])


def test_without_notes_nothing_is_there_and_nothing_is_made(tmp_path: Path) -> None:
    notes = Notes.read(tmp_path)
    assert not notes and notes.of("x") is None and list(tmp_path.iterdir()) == []
    assert not remove_note(ExperimentDir(tmp_path / "p/a", tmp_path))


def test_a_note_is_removed(tmp_path: Path) -> None:
    one = folder(tmp_path, "p/a")
    write_note(one, "bad")
    assert remove_note(one) and not Notes.read(tmp_path) and not remove_note(one)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        b'{"exp_id": 3}',
        b'{"exp_id": "p/a"}',
        b'{"exp_id": "p/b", "text": "x"}',
        b'{"exp_id": "\\ud800", "text": "x"}',
        b'{"exp_id": "p/a", "text": ["x"], "excluded": true}',
        b" " * 100_000 + b"{}",
    ],
)
def test_a_damaged_note_says_so_and_harms_no_other(tmp_path: Path, content: bytes) -> None:
    one, other = folder(tmp_path, "p/a", "t1"), folder(tmp_path, "p/other")
    write_note(one, "bad")
    (path,) = files(tmp_path)
    write_note(other, "fine", excluded=True)
    path.write_bytes(content)
    notes = Notes.read(tmp_path)
    texts, excluded = notes.columns([str(one.path), str(other.path), str(tmp_path / "p/c")])
    assert texts == [f"(its note can't be read: {path} is damaged)", "fine", None]
    assert excluded == [None, True, None]
    assert remove_note(one) and Notes.read(tmp_path).of(str(one.path)) is None  # it can still be taken away


def test_what_is_being_written_is_no_note(tmp_path: Path) -> None:
    write_note(folder(tmp_path, "p/a"), "bad")
    (path,) = files(tmp_path)
    path.with_name(f".{path.name}.0123.tmp").write_bytes(b"{")
    path.with_name("README").write_bytes(b"what is this?")
    notes = Notes.read(tmp_path)
    assert notes.columns([str(tmp_path / "p/a")]) == (["bad"], [None]) and not notes.damaged


def test_fields_of_another_version_are_no_damage(tmp_path: Path) -> None:
    one = folder(tmp_path, "p/a")
    write_note(one, "bad")
    (path,) = files(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "color": "red"}))
    assert Notes.read(tmp_path).columns([str(one.path)]) == (["bad"], [None])


@given(st.text(max_size=2 * MAX_TEXT) | st.text("a \n\x00\x1b\udc80\u202e", max_size=20))
def test_any_text_becomes_one_line_that_can_be_printed(text: str) -> None:
    line = one_line(text)
    assert line.isprintable() and len(line) <= MAX_TEXT and line == line.strip()
    assert one_line(line) == line
    line.encode()


def test_newlines_and_control_characters_are_spaces_and_nothing() -> None:
    assert one_line(" bad\n\tdata\x1b[31m: \udcffred ") == "bad data[31m: red"
    assert one_line("x" * (MAX_TEXT + 1)) == "x" * (MAX_TEXT - 1) + "…"


def test_what_somebody_wrote_into_the_file_is_one_line_too(tmp_path: Path) -> None:
    one = folder(tmp_path, "p/a")
    write_note(one, "bad")
    (path,) = files(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "text": "a\nb\x1b", "user": "\ud800x\n"}))
    note = Notes.read(tmp_path).of(str(one.path))
    assert note is not None and note.text == "a b" and note.user == "x"


def test_ten_thousand_experiments_cost_no_look_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = folder(tmp_path, "p/a", "t1")
    write_note(one, "bad")
    looked: list[str] = []
    attempts = ExperimentDir.attempts
    monkeypatch.setattr(ExperimentDir, "attempts", lambda self: looked.append(str(self.path)) or attempts(self))
    texts, _ = Notes.read(tmp_path).columns([*(str(tmp_path / f"p/{i}") for i in range(10_000)), str(one.path)])
    assert texts.count("bad") == 1 and looked == [str(one.path)]


def test_a_note_that_cannot_be_written_is_an_error_and_leaves_the_old_one() -> None:
    with tempfile.TemporaryDirectory(prefix="heyhi-") as place:
        Path(place).chmod(0o755)
        root = Path(place) / "results"
        one = folder(root, "p/a")
        write_note(one, "old")
        (root / STATE_NAME / NOTES_NAME).chmod(0o555)
        told = as_another_user(lambda: write_note(one, "new"))
        assert told == f"ResultError: {files(root)[0]}: can't be written: Permission denied"
        assert [note.text for note in Notes.read(root).by_id.values()] == ["old"] and len(files(root)) == 1


def test_a_folder_of_notes_that_cannot_be_read_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = tmp_path / STATE_NAME
    state.mkdir()
    (state / NOTES_NAME).write_text("in the way")
    assert not Notes.read(tmp_path)
    assert f"{state / NOTES_NAME}: can't be read" in caplog.text


def test_a_note_says_who_made_it_and_when_as_far_as_that_is_known() -> None:
    note = Note("p/a", "bad data", excluded=True, user="ann", time="2024-05-06T07:08:09+00:00")
    assert note.about == "by ann, 2024-05-06 07:08 UTC" and note._replace(time="").about == "by ann"
    assert Note("p/a", "x").about == ""
