"""The site of the docs, as `make docs` makes it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build_docs(folder: Path) -> Path:
    """Make the site by the command of the Makefile, and return its folder.

    Where Sphinx isn't there, the test is left out, but in CI.
    """
    if importlib.util.find_spec("sphinx") is None and os.environ.get("CI", "").lower() != "true":
        pytest.skip("the site of the docs needs Sphinx: make .venv/.done/docs")
    (command,) = re.findall(r"^\t@\$\(BIN\)/python (-m sphinx .*) \$\(ARGS\)$", (ROOT / "Makefile").read_text(), re.M)
    words = command.replace("build/", f"{folder}/").split()
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder / "docs"
