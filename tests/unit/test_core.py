"""What everybody has: every module can be imported without an extra, and an old Python is told in one line."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core_only import core_only

IMPORT_ALL = """
import importlib, pkgutil, heyhi
from heyhi.extras import EXTRAS, missing
assert missing("search") == ["optuna"] and missing("page") == ["plotly", "itables"], "nothing is refused"
names = [m.name for m in pkgutil.walk_packages(heyhi.__path__, "heyhi.")]
names = [n for n in names if ".newproject" not in n and ".pinned" not in n and not n.endswith(".__main__")]
assert missing("serve") == ["starlette", "uvicorn", "plotly", "itables"]
server = ("answers", "app", "connections", "server", "static")  # made of what the extra brings, and imported after it
names = [n for n in names if n not in [f"heyhi.serve.{module}" for module in server]]
for name in names:
    importlib.import_module(name)
for name in heyhi.__all__:
    if name not in ("PROJ_ROOT", "CONF_ROOT"):
        getattr(heyhi, name)
print(len(names))
"""


def test_every_module_and_public_name_is_there_with_the_core_alone(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": core_only(tmp_path / "refusing")}
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 300


@pytest.mark.parametrize("version", [(3, 7), (3, 10)])
def test_an_older_python_reads_as_far_as_the_line_that_says_so(repository: Path, version: tuple[int, int]) -> None:
    tree = ast.parse((repository / "heyhi/__init__.py").read_text(), feature_version=version)
    # An annotation of 3.10, or a feature from __future__ that it doesn't know, would be an error before that line.
    assert not [one for one in tree.body if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
    said = next(place for place, one in enumerate(tree.body) if "sys.version_info" in ast.unparse(one))
    before = [ast.unparse(one) for one in tree.body[1:said]]
    assert before == ["import sys"]


@pytest.mark.parametrize("module", ["heyhi", "heyhi.cli.main", "heyhi.job.runner", "snakemake_logger_plugin_heyhi"])
def test_an_older_python_is_told_in_one_line(repository: Path, module: str) -> None:
    code = f"import sys; sys.version_info = (3, 10, 13, 'final', 0); import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    line = f"error: HeyHi needs Python 3.11 or newer; this is 3.10.13 ({sys.executable})\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize("module", ["heyhi", "heyhi.cli"])
def test_python_runs_the_command_line_by_the_name_of_the_package(tmp_path: Path, module: str) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run("--version").stdout.startswith("heyhi ")
    wrong = run("lanch")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "error: 'lanch' is no command: heyhi launch; heyhi --help lists them\n"


def test_an_older_python_that_runs_the_package_is_told_in_the_same_line(tmp_path: Path) -> None:
    code = "import runpy, sys; sys.version_info = (3, 10, 13, 'final', 0); runpy.run_module('heyhi', None, '__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    line = f"error: HeyHi needs Python 3.11 or newer; this is 3.10.13 ({sys.executable})\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
