"""The end of a file, as what shows a log reads it; what lies in a folder, and its removal."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from heyhi.errors import UnknownError
from heyhi.files import (
    MOST_BYTES,
    NO_ORIGIN,
    Tree,
    age_of,
    forget,
    is_there_now,
    look_anew,
    measure,
    opened_parent,
    parse_json,
    read_bounded,
    read_end,
    read_found,
    read_lines,
    remove_below,
)


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


def test_what_is_no_file_is_not_read_whole_and_says_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "endless").symlink_to("/dev/zero")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    (tmp_path / "nowhere").symlink_to("nothing")
    (tmp_path / "record").write_bytes(b"as it is\n")
    for name, why in {
        "fifo": "it is a FIFO, no file",
        "endless": "it is a device, no file",
        "large": "it is larger than the 64 MB that such a file may have",
        "nowhere": "it is a link that leads nowhere",
        "": "Is a directory",
    }.items():
        with pytest.raises(OSError, match=why):
            read_bounded(tmp_path / name)
        with pytest.raises(OSError, match=why):
            read_lines(str(tmp_path / name))
    assert read_bounded(tmp_path / "record") == b"as it is\n"
    assert read_end(tmp_path / "fifo", 10) == read_end(tmp_path / "endless", 10) == ""


def test_a_file_that_does_not_say_how_large_it_is_is_read_no_further_than_it_may_be(tmp_path: Path) -> None:
    status = Path("/proc/self/status")  # its size is 0
    assert read_bounded(status).startswith(b"Name:")
    with pytest.raises(OSError, match="it is larger than the 0 MB"):
        read_bounded(status, 100)
    (tmp_path / "record").write_bytes(b"x" * 100)
    assert read_bounded(tmp_path / "record", 100) == b"x" * 100


@pytest.mark.parametrize("data", [b"", b"x\n", b"no end", b"x\n" * 4095, b"x\n" * 4096, b"x\n" * 50_000])
def test_lines_are_read_to_the_last_however_many_there_are(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "record").write_bytes(data)
    assert read_lines(str(tmp_path / "record")) == data


def test_lines_are_read_no_further_than_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(b"x\n" * 50_000)
    with pytest.raises(OSError, match="it is larger than"):
        read_lines(str(tmp_path / "record"), 99_999)
    with pytest.raises(FileNotFoundError):
        read_lines(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "\0" * 50,
        "[" * 200_000 + "]" * 200_000,
        '{"a": ' * 900 + "1" + "}" * 900,
        "[" * 202 + "]" * 202,
        "9" * 5000,
    ],
    ids=["nothing", "half", "zeros", "endless", "deep", "a bit too deep", "a number of 5,000 digits"],
)
def test_damaged_json_is_one_kind_of_error(text: str) -> None:
    for data in (text, text.encode()):
        with pytest.raises(ValueError):
            parse_json(data)
    with pytest.raises(ValueError):
        parse_json(b'{"a": "\xff"}')


def test_what_is_wrong_with_json_is_said_for_who_wrote_the_file() -> None:
    wrong = {
        b"\0" * 101: "Expecting value",
        b'{"a": "\xff"}': "byte 7",
        b"[" + b"9" * 5000 + b"]": "an integer of more digits",
    }
    for data, said in wrong.items():
        with pytest.raises(ValueError, match=said) as caught:
            parse_json(data)
        assert "codec" not in str(caught.value) and "sys." not in str(caught.value)
    assert parse_json(b"\xef\xbb\xbf[1]") == [1]


def test_json_as_deep_as_a_result_may_be_is_read() -> None:
    wide = [{"a": [1, {"b": 2}]}] * 1000
    for value in (wide, json.loads("[" * 190 + "]" * 190), {"a": float("inf")}, "text", None):
        assert parse_json(json.dumps(value)) == parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("names", [["a/x", "a/xy"], ["a", "a/b"], ["ab/c", "ac/c"], ["a/b"], ["ä/ö", "z"], []])
def test_files_are_read_from_the_folder_that_all_lie_in(tmp_path: Path, names: list[str]) -> None:
    folders = [str(tmp_path / name) for name in names]
    for folder in folders:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, "file").write_text(folder)
    with opened_parent(folders) as origin:
        assert (origin == NO_ORIGIN) == (not names)
        for folder in folders:
            assert read_found(f"{folder}/file", origin=origin)[0].decode() == folder
    assert not Path(f"/proc/self/fd/{origin.handle}").exists()


def test_what_is_no_file_is_told_the_same_from_a_folder_that_is_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/dangling").symlink_to("nothing")
    os.mkfifo(tmp_path / "a/fifo")
    (tmp_path / "a/folder").mkdir()
    (tmp_path / "a/large").write_text("12345")
    with opened_parent([str(tmp_path / "a")]) as origin:
        for name in ("dangling", "fifo", "folder", "large", "nothing"):
            path = str(tmp_path / "a" / name)
            with pytest.raises(OSError) as plain:
                read_found(path, 4)
            with pytest.raises(type(plain.value)) as found:
                read_found(path, 4, origin)
            assert (found.value.errno, found.value.strerror) == (plain.value.errno, plain.value.strerror)


def test_folders_that_have_no_folder_in_common_that_is_there_are_read_as_they_are(tmp_path: Path) -> None:
    with opened_parent([str(tmp_path / "gone/a"), str(tmp_path / "gone/b")]) as origin:
        assert origin == NO_ORIGIN


def test_a_tree_is_measured_without_what_its_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 1000)
    (tmp_path / "e" / "deep").mkdir(parents=True)
    (tmp_path / "e" / "deep" / "a").write_bytes(b"x" * 5)
    (tmp_path / "e" / "link").symlink_to("../data")
    os.utime(tmp_path / "e" / "deep" / "a", (7, 7))
    os.utime(tmp_path / "e" / "link", (9, 9), follow_symlinks=False)
    assert measure(tmp_path / "e") == Tree(5 + len("../data"), 2, 9_000_000_000, is_ours=True)
    with pytest.raises(FileNotFoundError):
        measure(tmp_path / "gone")


def test_what_is_removed_is_never_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to("../data")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        remove_below(tmp_path / "root", tmp_path / "root" / "link" / "deep")
    remove_below(tmp_path / "root", tmp_path / "root" / "link")
    assert (tmp_path / "data" / "deep" / "a").exists() and list((tmp_path / "root").iterdir()) == []


def test_folders_that_their_owner_has_protected_are_removed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "e" / "deep").mkdir(parents=True)
    (tmp_path / "e" / "deep" / "a").touch()
    (tmp_path / "e" / "deep").chmod(0o555)
    real = shutil.rmtree

    def rmtree(name: str, *, dir_fd: int) -> None:
        if not (tmp_path / "e" / "deep").stat().st_mode & 0o200:
            raise PermissionError(13, "Permission denied")  # as for anybody but root
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    remove_below(tmp_path, tmp_path / "e")
    assert list(tmp_path.iterdir()) == []


def test_looking_anew_says_what_is_there_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    assert look_anew(tmp_path, ("a", "b", "link")) == {"a", "link"}
    assert look_anew(tmp_path / "gone", ("a",)) == set()
    assert is_there_now(tmp_path / "a") and not is_there_now(tmp_path / "b")
    for name in ("a", "b", "link"):
        forget(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "link"]


def test_a_folder_that_is_a_file_is_not_taken_for_absent(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(UnknownError, match="a: can't be read"):
        is_there_now(tmp_path / "a" / "b")


def test_an_age_is_by_the_clock_of_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert -1 < age_of(path, path.stat().st_mtime - 5) - 5 < 60
    assert [found.name for found in tmp_path.iterdir()] == ["a"]
