"""A logger of ours logs as one of `logging` does, and that is set up when it is loaded."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.loggers import get_logger, when_loaded


def test_a_logger_is_the_one_of_its_name(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("heyhi.somewhere")
    with caplog.at_level("INFO"):
        log.info("one %s", 1)
        log.warning("two")
    assert [(one.name, one.getMessage(), one.module) for one in caplog.records] == [
        ("heyhi.somewhere", "one 1", Path(__file__).stem),
        ("heyhi.somewhere", "two", Path(__file__).stem),
    ]
    assert log.name == logging.getLogger("heyhi.somewhere").name


def test_where_logging_is_loaded_it_is_set_up_at_once() -> None:
    called: list[str] = []
    before = list(sys.meta_path)
    when_loaded(lambda: called.append("set up"))
    assert called == ["set up"] and sys.meta_path == before


def _run(code: str, folder: Path) -> str:
    text = f"import sys\nsys.path.insert(0, {str(folder)!r})\nfrom heyhi.loggers import get_logger, when_loaded\n{code}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout


def test_it_is_set_up_when_somebody_loads_it_and_is_pythons_own(tmp_path: Path) -> None:
    (tmp_path / "logging.py").write_text("raise RuntimeError('a file of the project')\n")
    code = """
log = get_logger("a")
when_loaded(lambda: print("set up", sys.modules["logging"].getLogger().level))
count = len(sys.meta_path)
print("logging" in sys.modules)
import logging.handlers
print(logging.__spec__.loader is logging.__loader__, len(sys.meta_path) - count)
log.warning("x")
"""
    assert _run(code, tmp_path) == "False\nset up 30\nTrue -1\n"


def test_it_is_set_up_when_it_is_loaded_after_somebody_has_asked_where_it_is(tmp_path: Path) -> None:
    code = """
import importlib.util
when_loaded(lambda: print("set up"))
print(importlib.util.find_spec("logging") is not None)
import logging
"""
    assert _run(code, tmp_path) == "True\nset up\n"


@pytest.mark.parametrize("first", ["logging", "heyhi.logs", "logging.config"])
def test_whoever_loads_it_first_it_has_our_handler(tmp_path: Path, first: str) -> None:
    code = f"""
def set_up():
    from heyhi.logs import setup_logging
    setup_logging("ERROR")
when_loaded(set_up)
import {first}, logging
print([type(one).__name__ for one in logging.getLogger().handlers], logging.getLogger().level)
"""
    assert _run(code, tmp_path) == "['_StderrHandler'] 40\n"


def test_what_cannot_be_logged_is_printed(tmp_path: Path) -> None:
    code = """
import builtins
whole = builtins.__import__
def refuse(name, *args, **kwargs):
    if name == "logging":
        raise OSError(24, "too many open files")
    return whole(name, *args, **kwargs)
builtins.__import__, sys.stderr = refuse, sys.stdout
get_logger("a").error("not kept: %s", "why")
"""
    assert _run(code, tmp_path) == "not kept: why\n"
