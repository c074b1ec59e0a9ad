"""Pieces of a log as a live page asks for them: whole lines, bounded, and together exactly the log."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.control.shown_log import plain
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.project import Project, Settings
from heyhi.serve import log_pieces
from heyhi.serve.board import Known
from heyhi.serve.log_pieces import piece

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    g()\nValueError: boom\n'


def known(folder: Path) -> Known:
    folder.mkdir(exist_ok=True)
    return Known(Project(folder.parent, Settings(), folder.parent), ExperimentDir(folder, folder.parent))


def record(folder: Path, *records: dict[str, Any]) -> None:
    (folder / "attempts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))


def start(attempt: int, **logs: int) -> dict[str, Any]:
    return {"event": "start", "attempt": attempt, "logs": {name.lstrip("r"): size for name, size in logs.items()}}


LINES = st.lists(st.binary(max_size=200).map(lambda data: data.replace(b"\n", b" ")), max_size=12)


@settings(deadline=None)
@given(LINES, st.binary(max_size=30))
def test_pieces_from_the_begin_on_are_together_the_log(lines: list[bytes], last: bytes) -> None:
    last = last.replace(b"\n", b"")
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_pieces, "PIECE_BYTES", 256)
        of = known(Path(name, "a"))
        data = b"".join(line + b"\n" for line in lines) + last
        of.folder.log_path.write_bytes(data)
        at, text, rest = 0, "", ""
        for _ in range(100):
            found = piece(of, begin=at)
            assert found["from"] == at
            assert found["size"] == len(data)
            text, rest = text + found["text"], found["rest"]
            if found["to"] == at:
                break
            at = found["to"]
        assert at == len(data) - len(last)
        assert text + rest == plain(data.decode(errors="backslashreplace"))


@settings(deadline=None)
@given(LINES)
def test_pieces_back_from_the_end_are_together_the_log(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_pieces, "PIECE_BYTES", 256)
        of = known(Path(name, "a"))
        data = b"".join(line + b"\n" for line in lines)
        of.folder.log_path.write_bytes(data)
        found = piece(of)
        assert found["to"] == found["size"] == len(data)
        text = found["text"]
        while found["from"] > found["start"]:
            before = found["from"]
            found = piece(of, before=before)
            assert found["to"] == before
            text = found["text"] + text
        assert text == plain(data.decode(errors="backslashreplace"))


def test_a_follower_sees_a_line_grow_and_end(tmp_path: Path) -> None:
    of = known(tmp_path / "a")
    of.folder.log_path.write_text("one\ntwo")
    first = piece(of)
    assert (first["text"], first["rest"]) == ("one\n", "two")
    with of.folder.log_path.open("a") as log:
        log.write(" more\nthree\n")
    second = piece(of, begin=first["to"], file=first["file"])
    assert (second["text"], second["rest"], second["anew"]) == ("two more\nthree\n", "", False)


@pytest.mark.parametrize("how", ["cut", "replaced", "gone"])
def test_a_log_that_is_another_one_begins_anew(tmp_path: Path, how: str) -> None:
    of = known(tmp_path / "a")
    path = of.folder.log_path
    path.write_text("a first line\n")
    first = piece(of)
    if how == "cut":
        path.write_text("new\n")
    elif how == "replaced":
        path.with_name("other").write_text("new, and much longer than before\n")
        path.with_name("other").replace(path)
    else:
        path.unlink()
    second = piece(of, begin=first["to"], file=first["file"])
    assert second["anew"]
    assert second["from"] == 0
    assert second["text"] == ("" if how == "gone" else path.read_text())
    assert piece(of, before=first["to"], file=first["file"]) == second


def test_progress_bars_colours_and_what_steers_a_terminal_are_text(tmp_path: Path) -> None:
    of = known(tmp_path / "a")
    of.folder.log_path.write_bytes(
        b"\x1b[31mred\x1b[0m\n 10%|#   |\r 90%|### |\r100%|####|\n"
        b"longer\rshort\x1b[K\nab\bc\n\x1b]0;title\x07x\n\0\xff\n"
    )
    shown = piece(of)["text"].split("\n")
    assert shown == ["red", "100%|####|", "short", "ac", "x", "\\x00\\xff", ""]


def test_a_line_without_end_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pieces, "PIECE_BYTES", 100)
    of = known(tmp_path / "a")
    of.folder.log_path.write_bytes("ä".encode() * 60 + b"x" * 1000)
    at, text, sizes = 0, "", []
    while (found := piece(of, begin=at))["to"] > at:
        at, text = found["to"], text + found["text"].replace("\n", "")
        sizes.append(found["to"] - found["from"])
    assert text + found["rest"] == "ä" * 60 + "x" * 1000
    assert max(sizes) <= 100
    assert len(piece(of)["text"] + piece(of)["rest"]) <= 100


def test_a_bar_that_goes_back_for_ever_is_cut_where_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pieces, "PIECE_BYTES", 100)
    of = known(tmp_path / "a")
    of.folder.log_path.write_text("".join(f"\rstep {i:04}" for i in range(1000)))
    assert piece(of, begin=0)["text"] == "step 0008\n"
    assert piece(of)["rest"] == "step 0999"
    assert piece(of)["rest_to"] == piece(of)["size"]


def test_ranks_and_attempts_have_their_own(tmp_path: Path) -> None:
    of = known(tmp_path / "a")
    of.folder.log_path.write_text("first\nsecond\n")
    of.folder.log_path_of(1).write_text("of rank 1\n")
    record(of.folder.path, start(1), start(2, r0=6))
    assert piece(of, rank=1)["text"] == "of rank 1\n"
    assert piece(of, attempt=1)["text"] == "first\n"
    second = piece(of, attempt=2)
    assert (second["text"], second["start"], second["from"]) == ("second\n", 6, 6)
    assert piece(of, attempt=1, begin=0)["size"] == 6
    for wrong in ({"rank": 7}, {"rank": -1}, {"attempt": 9}):
        with pytest.raises(HeyhiError):
            piece(of, **wrong)
    assert piece(of, attempt=1, rank=0)["name"] == "log.txt"


def test_where_there_is_no_log_yet_the_launchers_is_shown(tmp_path: Path) -> None:
    of = known(tmp_path / "a")
    assert piece(of)["text"] == ""
    of.folder.launch_log_path.write_text("sbatch: error\n")
    found = piece(of)
    assert (found["text"], found["name"]) == ("sbatch: error\n", "launch.log")


def test_the_last_error_is_found_with_its_bytes(tmp_path: Path) -> None:
    of = known(tmp_path / "a")
    before = "ä said\n" * 3000
    of.folder.log_path.write_text(before + TRACEBACK + "behind\n")
    record(of.folder.path, start(1), {"event": "end", "attempt": 1, "reason": "error", "exception": "ValueError: boom"})
    found = piece(of, at="error")
    assert found["error"]["is_traceback"]
    assert found["error"]["at"] == found["from"] == len(before.encode())
    assert found["error"]["text"].startswith(TRACEBACK.rstrip())
    assert found["text"] == TRACEBACK + "behind\n"


def test_the_error_of_the_rank_that_failed_first_is_found(tmp_path: Path) -> None:
    of = known(tmp_path / "a")
    of.folder.log_path.write_text("fine\nrank 1 was the first to end: exit code 1\n")
    of.folder.log_path_of(1).write_text(TRACEBACK)
    record(of.folder.path, start(1), {"event": "end", "attempt": 1, "reason": "error", "exception": "ValueError: boom"})
    found = piece(of, at="error")
    assert (found["error"]["rank"], found["name"]) == (1, "log.1.txt")


def test_where_nothing_was_raised_the_last_lines_are_the_error(tmp_path: Path) -> None:
    of = known(tmp_path / "a")
    of.folder.log_path.write_text("".join(f"line {i}\n" for i in range(100)))
    error = piece(of, at="error")["error"]
    assert not error["is_traceback"]
    assert error["text"].startswith("line 80\n")
    assert piece(known(tmp_path / "none"), at="error")["error"] is None


def test_what_is_no_log_is_said_and_never_waited_for(tmp_path: Path) -> None:
    of = known(tmp_path / "a")
    os.mkfifo(of.folder.log_path)
    for asked in ({}, {"begin": 5}, {"at": "error"}):
        assert "it is a FIFO, no file" in piece(of, **asked)["unreadable"]
    of.folder.log_path.unlink()
    of.folder.log_path.symlink_to("log.txt")
    assert "Too many levels of symbolic links" in piece(of)["unreadable"]
    of.folder.log_path.unlink()
    with of.folder.log_path.open("wb") as log:
        log.truncate(1 << 40)
    assert len(piece(of)["rest"]) <= 4 * log_pieces.PIECE_BYTES
    assert piece(of, at="error")["error"] is not None
