"""What the docs show: commands in console blocks, what they print, and a copy of the tree to run them in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
_EXIT_CODE = re.compile(r"\s+# exit code (\d+)$")


def docs_with(kind: str) -> list[Path]:
    """List the docs that have blocks of a kind: `console`, or `console cluster` for what needs a cluster."""
    return [doc for doc in DOCS if _commands(doc.read_text(), kind)]


def copy_tree(copy: Path) -> Path:
    """Copy what belongs to the tree, committed or not."""
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


def run_what_is_shown(doc: Path, kind: str, tree: Path) -> None:
    """Run the commands of a doc in order, and compare exit codes and what they print."""
    env = {k: v for k, v in os.environ.items() if k != "HH_EXP_DIR"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env["COLUMNS"] = "120"
    for command, code, output in _commands(doc.read_text(), kind):
        done = subprocess.run(
            ["bash", "-c", f"({command}) 2>&1"], cwd=tree, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"$ {command}\n{done.stdout}"
        pattern = ".*".join(re.escape(piece) for piece in output.strip().split("..."))
        assert re.fullmatch(pattern, done.stdout.strip(), re.DOTALL), f"$ {command}\n{done.stdout}\nexpected:\n{output}"


def _commands(text: str, kind: str) -> list[tuple[str, int, str]]:
    """Return command, exit code and expected output of each `$ command` of the blocks of a kind."""
    found = []
    for block in re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            code = _EXIT_CODE.search(command)
            found.append((_EXIT_CODE.sub("", command), int(code[1]) if code else 0, output))
    return found
