"""The logger plugin as Snakemake takes it: its contract, and that nothing it does wrong ends a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.logging import LoggerManager, logger
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase
from snakemake_interface_logger_plugins.tests import TestLogHandlerBase

from heyhi.project import Project, Settings
from snakemake_logger_plugin_heyhi import LogHandler

logger_of_snakemake = logger


class TestContract(TestLogHandlerBase):
    """Snakemake's own tests of a logger plugin."""

    __test__ = True

    @pytest.fixture(autouse=True)
    def _leave_no_handler(self) -> Iterator[None]:
        before = list(logger_of_snakemake.handlers)
        yield
        logger_of_snakemake.handlers[:] = before

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> LogHandlerSettingsBase:
        return LogHandlerSettingsBase()


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(logger, "propagate", False)  # to what other tests have set up
    made = LoggerManager(
        logger, OutputSettings(log_handler_settings={"heyhi": LogHandlerSettingsBase()}, enable_file_logging=False)
    )
    yield made
    made.stop()


def test_snakemake_finds_it_by_its_name() -> None:
    assert LoggerPluginRegistry().get_plugin("heyhi").log_handler is LogHandler


def test_of_another_snakefile_all_is_told_as_snakemake_does(manager: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logger.info("Building DAG of jobs...")
    assert capsys.readouterr().err == "Building DAG of jobs...\n"


def test_a_record_is_told_when_it_comes_and_once(manager: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logger.warning("one")
    assert capsys.readouterr().err == "one\n"  # not when a queue's thread finds the time
    manager.stop()
    assert capsys.readouterr().err == ""


def test_a_log_file_on_a_full_disk_is_said_in_one_line_whatever_comes(
    manager: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    file = logging.FileHandler("/dev/full")
    logger.addHandler(file)
    try:
        logger.warning("one")
        logger.warning("two")
    finally:
        logger.removeHandler(file)
    said = capsys.readouterr().err.splitlines()
    assert [said[0], *said[2:]] == ["one", "two"]
    assert said[1].startswith("/dev/full: can't be written: No space left on device; make room there")


def test_what_comes_before_it_is_known_whether_something_runs_is_not_lost(
    manager: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (handler,) = manager.get_log_handlers()
    handler.follow_run(SimpleNamespace(project=Project(tmp_path, Settings()), is_run=False, asked=[]))
    logger.info("Assuming unrestricted shared filesystem usage.")
    assert capsys.readouterr().err == ""
    logger.info("Building DAG of jobs...")
    assert capsys.readouterr().err == "Assuming unrestricted shared filesystem usage.\nBuilding DAG of jobs...\n"
    logger.info("Assuming unrestricted shared filesystem usage.")
    manager.stop()
    assert capsys.readouterr().err == "Assuming unrestricted shared filesystem usage.\n"


def test_what_goes_wrong_in_it_ends_no_run_and_hides_nothing(
    manager: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (handler,) = manager.get_log_handlers()
    handler.follow_run(SimpleNamespace(project=Project(tmp_path, Settings()), is_run=True, asked=None))
    logger.info("Job stats: 1", extra={"event": "run_info", "stats": {"experiment": 1}})  # asked can't be read
    logger.log(logging.ERROR, "odd", extra={"event": "job_info"})  # has none of its attributes
    logger.error("WorkflowError: no")
    handler.finish_run()
    assert "WorkflowError: no\n" in capsys.readouterr().err


def test_that_a_run_is_interrupted_is_known_though_others_hide_it(
    manager: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (handler,) = manager.get_log_handlers()
    handler.follow_run(SimpleNamespace(project=Project(tmp_path, Settings()), is_run=True, asked=[]))
    logger.info("", extra={"event": "run_info", "stats": {"experiment": 1}})
    exp = {"rule_name": "experiment", "jobid": 3, "wildcards": {"exp": "results/p/a"}, "rule_msg": None, "output": []}
    logger.info("", extra={"event": "job_info", **exp})

    def drop(record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Terminating")

    logger.addFilter(drop)
    try:
        logger.info("Terminating processes on user request, this might take some time.")
    finally:
        logger.removeFilter(drop)
    logger.error("", extra={"event": "job_error", **exp})
    handler.finish_run()
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["run", "start", "end"]
