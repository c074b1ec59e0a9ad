"""Run every command that the docs show, in order, on a copy of the tree, and compare what it prints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXIT_CODE = re.compile(r"\s+# exit code (\d+)$")


def _commands(text: str) -> list[tuple[str, int, str]]:
    """Return command, exit code and expected output of each `$ command` of the console blocks."""
    found = []
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            code = _EXIT_CODE.search(command)
            found.append((_EXIT_CODE.sub("", command), int(code[1]) if code else 0, output))
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("docs") / "heyhi"
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.mark.parametrize("doc", [d for d in DOCS if _commands(d.read_text())], ids=lambda d: d.name)
def test_commands_of_the_docs_do_what_is_shown(doc: Path, tree: Path) -> None:
    env = {k: v for k, v in os.environ.items() if k != "HH_EXP_DIR"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env["COLUMNS"] = "120"
    for command, code, output in _commands(doc.read_text()):
        done = subprocess.run(
            ["bash", "-c", f"({command}) 2>&1"], cwd=tree, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"$ {command}\n{done.stdout}"
        pattern = ".*".join(re.escape(piece) for piece in output.strip().split("..."))
        assert re.fullmatch(pattern, done.stdout.strip(), re.DOTALL), f"$ {command}\n{done.stdout}\nexpected:\n{output}"
