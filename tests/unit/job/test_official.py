"""The official executor comes without pandas, which only its report of efficiency uses, and finds when it must.

Nor is a process started to find out whether there is a command.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.job import official

HEAVY = "{'pandas', 'numpy', 'pyarrow'} & set(sys.modules)"


def printed(code: str, **env: str) -> list[str]:
    """Run a program in a Python of its own; return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **env}
    )
    return done.stdout.splitlines()


def test_a_start_of_snakemake_does_not_wait_for_pandas(repository: Path) -> None:
    # Ours is found first, as where it is installed beside the official one.
    code = "import sys, snakemake.scheduling.job_scheduler; print('pandas' in sys.modules)"
    assert printed(code, PYTHONPATH=str(repository)) == ["False"]


def test_the_report_of_efficiency_finds_pandas_all_the_same() -> None:
    code = (
        "import sys; from heyhi.job.official import official;"
        f"print({HEAVY});"
        "from snakemake_executor_plugin_slurm import efficiency_report as report;"
        "print(report.parse_maxrss('2G'), report.parse_maxrss(float('nan')));"
        "import pandas; print(report.pd.DataFrame is pandas.DataFrame)"
    )
    assert printed(code) == ["set()", "2048.0 0", "True"]


def test_what_asks_while_the_executor_is_imported_gets_the_module_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "wave"  # any that nobody has imported
    monkeypatch.delitem(sys.modules, name, raising=False)
    with official._imported_later(name):
        stand_in = sys.modules[name]
        assert stand_in.Wave_read is sys.modules[name].Wave_read
        assert sys.modules[name] is not stand_in
    assert isinstance(sys.modules[name].__file__, str)


def test_nobody_else_meets_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with official._imported_later("wave", "os"):
        assert sys.modules["os"] is os
    assert "wave" not in sys.modules


@pytest.mark.parametrize("name", ["", ".validation", ".job_status_query"])
def test_whether_there_is_a_command_takes_no_process(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = importlib.import_module(f"{official.official.__name__}{name}")
    monkeypatch.setattr(subprocess, "Popen", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not module.is_query_tool_available("sacct")
    (tmp_path / "sacct").write_text("#!/bin/sh\n")
    (tmp_path / "sacct").chmod(0o755)
    assert module.is_query_tool_available("sacct")
