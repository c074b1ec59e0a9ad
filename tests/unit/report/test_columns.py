"""What is remembered between reports comes back as it was, or not at all."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import heyhi.report.columns
from heyhi.report.columns import ColumnCache

COLUMNS: dict[str, list[Any]] = {
    "floats": [0.1, -0.0, 1e-300, math.inf],
    "numbers": [0, -1, 2**63 - 1],
    "vast": [2**63, -(10**30)],
    "mixed": [1, 1.0, True, None, "x"],
    "like": [1, True, 1.0],
    "zeros": [0.0, -0.0],
    "same": ["x", "x", "x"],
    "none": [None, None],
    "texts": ["ä", "", "\n", "\x00", "null"],
    "odd text": ["\ud800", "a"],
    "lists": [["a", "b"], []],
    "empty": [],
    "name\n=": [1, None],
}


def test_columns_come_back_with_their_types(tmp_path: Path) -> None:
    cache = ColumnCache(tmp_path / "new" / "folder")
    cache.store("a", COLUMNS)
    assert repr(cache.load("a")) == repr(COLUMNS)


def test_nan_is_not_missing(tmp_path: Path) -> None:
    cache = ColumnCache(tmp_path)
    cache.store("a", {"floats": [math.nan, 1.0], "mixed": [math.nan, None, 1]})
    assert repr(cache.load("a")) == "{'floats': [nan, 1.0], 'mixed': [nan, None, 1]}"


def test_every_cut_and_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    cache = ColumnCache(tmp_path)
    cache.store("a", COLUMNS)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for place in range(len(whole)):
        for harmed in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            file.write_bytes(harmed)
            assert cache.load("a") in ({}, COLUMNS)  # a digit of the checksum may be written in two ways
    assert cache.load("b") == {}


def test_a_file_in_another_ones_place_is_ignored(tmp_path: Path) -> None:
    cache = ColumnCache(tmp_path)
    cache.store("a", {"x": [1]})
    cache.store("b", {"x": [2]})
    (tmp_path / "a.columns").replace(tmp_path / "b.columns")
    assert cache.load("b") == {}


def test_what_has_no_text_is_not_kept_and_leaves_what_was_kept(tmp_path: Path) -> None:
    cache = ColumnCache(tmp_path)
    cache.store("a", {"x": [1]})
    cache.store("a", {"x": [object()]})
    assert cache.load("a") == {"x": [1]} and len(list(tmp_path.iterdir())) == 1


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ColumnCache(tmp_path)
    monkeypatch.setattr(heyhi.report.columns, "_MOST_BYTES", 2_500)
    for number in range(4):
        cache.store(str(number), {"x": [str(number) * 900, ""]})
        for file in tmp_path.iterdir():
            os.utime(file, (int(file.stem), int(file.stem)))
    assert [bool(cache.load(str(number))) for number in range(4)] == [False, False, True, True]
    monkeypatch.setattr(heyhi.report.columns, "_MOST_BYTES", 10)
    cache.store("4", {"x": ["a", ""]})
    assert [file.stem for file in tmp_path.iterdir()] == ["4"]


def test_many_that_write_at_once_leave_one_of_them(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from heyhi.report.columns import ColumnCache\n"
        "for i in range(200): ColumnCache(Path(sys.argv[1])).store('a', {'x': [sys.argv[2]] * 999})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, tmp_path, str(number)]) for number in range(2)]
    cache, seen = ColumnCache(tmp_path), set()
    while any(writer.poll() is None for writer in writers):
        found = cache.load("a")
        seen.update(found.get("x", ()))
        assert not found or len(found["x"]) == 999
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen <= {"0", "1"} and [file.name for file in tmp_path.iterdir()] == ["a.columns"]
