"""What the docs show: commands in console blocks, what they print, and a copy of the tree to run them in."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
DOCS = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
_EXIT_CODE = re.compile(r"\s+# exit code (\d+)$")
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN_BY_EXAMPLE = re.compile(r"^ *# ?> (.*)$", re.MULTILINE)
_CTRL_C = "^C\n"  # a line of what a command prints, where the reader presses it


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
    for shown in _commands(doc.read_text(), kind):
        _check(*shown, tree, {})


def follow(doc: Path, kinds: tuple[str, ...], folder: Path, **env: str) -> None:
    """Do all that a doc says, from top to bottom: write its files, edit them, run the commands of some kinds of blocks.

    A block is a file if the file's name stands behind its language (```python src/train.py); with the language `diff`
    it is an edit of that file.
    """
    for info, block in _FENCE.findall(doc.read_text()):
        language, _, name = info.partition(" ")
        if info in kinds:
            for shown in _commands(f"```{info}\n{block}```", info):
                _check(*shown, folder, env)
        elif language == "diff":
            (folder / name).write_text(_edited((folder / name).read_text(), block))
        elif name and language != "console":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(block)


def run_example(example: Path, tree: Path) -> None:
    """Run one of examples/ in a tree without results; its lines `#>` are what it prints, in order, or part of that."""
    copy_examples(tree)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    interpreter = [sys.executable] if example.suffix == ".py" else ["bash", "-eu"]
    run = subprocess.run(
        [*interpreter, str(tree / "examples" / example.name)],
        env=env,
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    shows(example.read_text(), run.stdout)


def copy_examples(tree: Path) -> None:
    """Copy examples/, and what they take from the tree, without results."""
    for name in ("examples", "profiles", "workflows"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("results", "__pycache__", ".snakemake"))
    shutil.copy(ROOT / "Snakefile", tree)


def shows(text: str, printed: str) -> None:
    """Check that what was printed has all that the lines `#>` of a text say, in order."""
    rest = printed
    for line in _SHOWN_BY_EXAMPLE.findall(text):
        found = re.search(".*?".join(map(re.escape, line.split("..."))), rest)
        assert found is not None, f"not shown: {line}\n{printed}"
        rest = rest[found.end() :]


def _edited(text: str, diff: str) -> str:
    """Apply an edit whose parts are separated by lines `...`; one that only adds is for the end of the file."""
    for part in re.split(r"^ ?\.\.\.\n", diff, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        old, new = ("".join(line[1:] for line in lines if line[0] in marks) for marks in (" -", " +"))
        assert text.count(old) == 1 or not old, f"stands {text.count(old)} times in the file:\n{old}"
        text = text.replace(old, new) if old else text + new
    return text


def _check(command: str, code: int, output: str, folder: Path, env: dict[str, str]) -> None:
    """Run a command in a folder, and compare its exit code and what it prints with what is shown."""
    all_env = {k: v for k, v in os.environ.items() if k != "HH_EXP_DIR"} | {"COLUMNS": "120"} | env
    all_env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{all_env['PATH']}"
    before, ctrl_c, after = output.partition(_CTRL_C)
    with subprocess.Popen(
        ["bash", "-c", f"({command}) 2>&1"], cwd=folder, env=all_env, stdout=subprocess.PIPE, start_new_session=True
    ) as run:
        assert run.stdout is not None
        printed = ""
        if ctrl_c:
            printed = _read_until(_pattern(before), run.stdout)
            os.killpg(run.pid, signal.SIGINT)
        printed += run.stdout.read().decode()
    # A shell whose command Ctrl-C has ended is ended by it, too.
    assert code == (130 if run.returncode == -signal.SIGINT else run.returncode), f"$ {command}\n{printed}"
    assert re.fullmatch(_pattern(before + after), printed.strip(), re.DOTALL), (
        f"$ {command}\n{printed}\nexpected:\n{output}"
    )


def _pattern(shown: str) -> str:
    return ".*".join(re.escape(piece) for piece in shown.strip().split("..."))


def _read_until(pattern: str, stream: IO[bytes]) -> str:
    """Read what a program prints until it is like a pattern."""
    printed = b""
    while not re.match(pattern, printed.decode(errors="replace"), re.DOTALL):
        piece = os.read(stream.fileno(), 4096)
        assert piece, f"ended before {pattern!r}:\n{printed.decode()}"
        printed += piece
    return printed.decode()


def _commands(text: str, kind: str) -> list[tuple[str, int, str]]:
    """Return command, exit code and expected output of each `$ command` of the blocks of a kind."""
    found = []
    for block in re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            code = _EXIT_CODE.search(command)
            found.append((_EXIT_CODE.sub("", command), int(code[1]) if code else 0, output))
    return found
