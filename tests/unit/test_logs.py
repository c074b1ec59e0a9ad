from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import heyhi
from heyhi.code.git import CodeVersion
from heyhi.code.version import code_version, log_git_status
from heyhi.logs import setup_logging


@pytest.fixture(autouse=True)
def root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GIT_DIR", raising=False)
    root = tmp_path / "code"
    root.mkdir()
    (root / "run.py").write_text("print(1)\n")
    for args in (["init", "-q"], ["add", "run.py"], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *args], cwd=root, check=True)
    return root


def test_a_message_is_one_line_with_level_time_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("INFO")
    logging.info("epoch %d", 3)
    assert re.fullmatch(r"I\d{4} \d\d:\d\d:\d\d \[test_logs:\d+\] epoch 3\n", capsys.readouterr().err)


def test_calling_it_again_changes_the_level_and_doubles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger().addHandler(logging.StreamHandler())  # as logging.basicConfig() would
    setup_logging()
    setup_logging("warn")
    logging.info("quiet")
    logging.warning("loud")
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "loud" in err


def test_it_follows_a_stderr_that_is_replaced_later(monkeypatch: pytest.MonkeyPatch) -> None:
    setup_logging()
    later = io.StringIO()
    monkeypatch.setattr(sys, "stderr", later)
    logging.info("here")
    assert "here" in later.getvalue()


def test_a_file_gets_more_than_the_console(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    setup_logging(console_level="INFO", fpath=str(tmp_path / "log.txt"))
    logging.debug("deep")
    logging.info("high")
    shown, written = capsys.readouterr().err, (tmp_path / "log.txt").read_text()
    assert "high" in shown and "deep" not in shown
    assert written.endswith(shown) and "deep" in written


def test_a_file_may_be_all_that_gets_messages(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    setup_logging(None, tmp_path / "log.txt", logging.WARNING, "worker 50%")
    logging.info("quiet")
    logging.warning("loud %d", 1)
    assert capsys.readouterr().err == ""
    line = (tmp_path / "log.txt").read_text()
    assert re.fullmatch(r"W\d{4} \d\d:\d\d:\d\d worker 50% \[test_logs:\d+\] loud 1\n", line)


def test_one_more_file_is_added_until_it_is_set_up_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    setup_logging("WARNING")
    heyhi.util.also_log_to_file(tmp_path / "more.txt", "mine")
    logging.debug("deep")
    setup_logging(label="last")
    logging.info("after")
    assert "mine [test_logs" in (tmp_path / "more.txt").read_text()
    assert "after" not in (tmp_path / "more.txt").read_text()
    assert re.fullmatch(r"I\d+ [\d:]+ last \[.*\] after\n", capsys.readouterr().err)


def test_without_a_console_and_a_file_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(console_level=None)
    logging.error("lost")
    assert capsys.readouterr().err == ""


def test_several_ranks_say_which_they_are(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    setup_logging()
    logging.info("x")
    assert "[rank 3]" in capsys.readouterr().err


def test_a_code_version_is_the_commit_and_whether_it_was_edited(repository: Path) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    ).stdout.strip()
    (repository / "new.txt").touch()
    assert code_version(repository) == CodeVersion(head, dirty=False)
    code_version.cache_clear()
    (repository / "run.py").write_text("print(2)\n")
    assert code_version(repository) == CodeVersion(head, dirty=True)


def test_without_git_there_is_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code_version.cache_clear()
    assert code_version(tmp_path) == CodeVersion(None, dirty=False)
    code_version.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_version(tmp_path) == CodeVersion(None, dirty=False)


def test_an_edit_is_saved_beside_the_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(repository))
    code_version.cache_clear()
    log_git_status()
    assert not (tmp_path / "workdir.diff").exists()
    (repository / "run.py").write_text("print(2)\n")
    code_version.cache_clear()
    log_git_status()
    assert "+print(2)" in (tmp_path / "workdir.diff").read_text()
    assert "edited" in caplog.text
    (tmp_path / "elsewhere").mkdir()
    log_git_status(base_path_for_logging=tmp_path / "elsewhere")
    assert "+print(2)" in (tmp_path / "elsewhere/workdir.diff").read_text()


def test_an_edit_is_saved_in_the_folder_that_is_named(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(repository))
    (repository / "run.py").write_text("print(2)\n")
    code_version.cache_clear()
    log_git_status(base_path_for_logging=folder)
    assert "+print(2)" in (folder / "workdir.diff").read_text()
    assert not (tmp_path / "workdir.diff").exists()


def test_the_version_of_a_copy_is_that_of_the_code_it_was_made_of(tmp_path: Path) -> None:
    root = tmp_path / "0123" / "tree"
    root.mkdir(parents=True)
    (root.parent / "code.json").write_text('{"commit": "abc", "dirty": true, "diff": "+x"}')
    assert code_version(root) == CodeVersion("abc", True)


def test_a_message_of_ours_steers_no_terminal_and_what_a_task_logs_is_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup_logging("INFO")
    logging.getLogger("heyhi.job").warning("\x1b[2K")
    logging.getLogger("task").warning("\x1b[1m")
    ours, theirs = capsys.readouterr().err.splitlines()
    assert ours.endswith("] \\x1b[2K") and theirs.endswith("] \x1b[1m")
