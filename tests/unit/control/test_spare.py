"""What a controller says that its log doesn't take; a real full disk is in tests/workflow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.control.spare import Spare, read_unlogged


@pytest.fixture
def full() -> Iterator[int]:
    """A descriptor that takes nothing."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


def test_as_long_as_the_log_takes_all_nothing_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "c.log"
    with log.open("ab") as file:
        Spare(tmp_path, log).write(file.fileno(), b"all is well\n")
    assert log.read_text() == "all is well\n"
    assert read_unlogged(tmp_path) is None
    assert (tmp_path / "spare").stat().st_blocks * 512 >= 4096, "it has room on the disk already"


def test_what_the_log_does_not_take_is_kept_and_given_back_to_it(tmp_path: Path, full: int) -> None:
    log = tmp_path / "c.log"
    spare = Spare(tmp_path, log)
    spare.write(full, b"one\n")
    spare.write(full, b"two\n")
    assert read_unlogged(tmp_path) == (os.getpid(), f"No space left on device: {log}", "one\ntwo\n")
    with log.open("ab") as file:
        spare.write(file.fileno(), b"three\n")
    assert log.read_text() == (
        f"[No space left on device: {log}; of what was said since, this is the end]\none\ntwo\nthree\n"
    )
    assert read_unlogged(tmp_path) is None


def test_the_next_controller_begins_with_an_empty_one(tmp_path: Path, full: int) -> None:
    Spare(tmp_path, tmp_path / "c.log").write(full, b"one\n")
    Spare(tmp_path, tmp_path / "c.log")
    assert read_unlogged(tmp_path) is None


def test_where_there_was_no_room_for_it_nothing_is_raised(tmp_path: Path, full: int) -> None:
    spare = Spare(tmp_path / "nowhere", tmp_path / "c.log")
    spare.write(full, b"one\n")
    assert read_unlogged(tmp_path / "nowhere") is None


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_whatever_is_said_the_block_stays_of_its_size(tmp_path_factory: Any, parts: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("spare")
    spare, full = Spare(folder, folder / "c.log"), os.open("/dev/full", os.O_WRONLY)
    for part in parts:
        spare.write(full, part)
    os.close(full)
    assert (folder / "spare").stat().st_size == 4096
    found = read_unlogged(folder)
    assert (found is None) == (not any(parts))
