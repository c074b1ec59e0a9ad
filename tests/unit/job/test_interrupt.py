"""What Ctrl-C does before, while and after Snakemake runs something; tests/workflow has the real ones."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.logging import logger

from heyhi.job.interrupt import Interrupt, Interrupted
from heyhi.sweep.own_code import own_code


def workflow(*, is_main: bool = True, left_by: signal.Signals | None = None) -> SimpleNamespace:
    executor = SimpleNamespace(left_by=left_by)
    return SimpleNamespace(
        is_main_process=is_main, executor_plugin=None, local_exec=False, scheduler=SimpleNamespace(_executor=executor)
    )


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, signal.SIG_DFL)
    filters = list(logger.filters)
    yield
    logger.filters[:] = filters
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


@pytest.mark.parametrize(("sign", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_before_anything_runs_a_signal_ends_with_one_line(
    capsys: pytest.CaptureFixture[str], sign: signal.Signals, name: str
) -> None:
    Interrupt(workflow())
    with pytest.raises(Interrupted) as stop:
        signal.raise_signal(sign)
    assert stop.value.code == 128 + sign
    assert capsys.readouterr().err == f"stopped by {name}; nothing was started\n"


def test_code_of_a_sweep_is_not_taken_for_what_has_ended_it(tmp_path: Path) -> None:
    Interrupt(workflow())
    with pytest.raises(Interrupted), own_code(tmp_path, tmp_path / "sweep.py"):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("own", [signal.SIG_IGN, lambda *_: None])
def test_what_somebody_has_said_of_ctrl_c_holds(own: object) -> None:
    signal.signal(signal.SIGINT, own)  # type: ignore[arg-type]
    Interrupt(workflow())
    assert signal.getsignal(signal.SIGINT) is own


def test_a_job_of_snakemakes_own_keeps_its_ctrl_c() -> None:
    Interrupt(workflow(is_main=False))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_three_in_a_moment_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    interrupt = Interrupt(workflow())
    interrupt.begin()
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)  # Snakemake cancels its jobs by now
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted) as stop:
        interrupt.end()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C; the same command goes on\n"


def test_a_sigterm_of_a_local_run_is_taken_from_snakemake_and_ends_it_with_143(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = workflow()
    interrupt = Interrupt(run)
    run.local_exec = True
    signal.signal(signal.SIGTERM, lambda *_: None)  # Snakemake's own, of its scheduler
    interrupt.begin()
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted) as stop:
        interrupt.end()
    assert stop.value.code == 143
    assert capsys.readouterr().err == "stopped by SIGTERM; the same command goes on\n"


def test_a_run_that_nobody_has_stopped_ends_as_snakemake_ends_it() -> None:
    interrupt = Interrupt(workflow())
    interrupt.begin()
    interrupt.end()


def test_who_was_told_to_leave_its_jobs_ends_with_that_signal() -> None:
    interrupt = Interrupt(workflow(left_by=signal.SIGTERM))
    interrupt.begin()
    with pytest.raises(Interrupted) as stop:
        interrupt.end()
    assert stop.value.code == 143
