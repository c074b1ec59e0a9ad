"""The end of a file, as what shows a log reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.files import read_end


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"short", "short"),
        (b"12345678", "12345678"),
        (b"a line\nthe end\n", "the end\n"),
        (b"caf\xc3\xa9 \xff!", "caf\xe9 \ufffd!"),
        ("éééé!".encode(), "\ufffdééé!"),  # cut inside a character
    ],
)
def test_the_end_of_a_file_is_read_as_text(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "log").write_bytes(data)
    assert read_end(tmp_path / "log", 8) == text


def test_what_is_no_file_has_an_empty_end(tmp_path: Path) -> None:
    assert read_end(tmp_path / "nothing", 8) == ""
    assert read_end(tmp_path, 8) == ""
    (tmp_path / "closed").touch(0)
    (tmp_path / "loop").symlink_to("loop")
    assert read_end(tmp_path / "closed", 8) == read_end(tmp_path / "loop", 8) == ""


def test_the_end_of_a_large_file_costs_no_more_than_it_is_long(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        file.seek(1 << 33)  # sparse
        file.write(b"the end")
    assert read_end(tmp_path / "log", 7) == "the end"
