"""`heyhi docs`: the pages, listed and shown; each stands in the index, and messages cite them by this command."""

from __future__ import annotations

import ast
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
PAGE_FILE = re.compile(r"docs/[a-z][\w-]*\.md")


def pages(repository: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in (repository / "docs").glob("*.md") if path.name != "README.md"}


def test_all_pages_are_listed_each_with_what_it_is_about(run: Run, repository: Path) -> None:
    code, out, _ = run("docs")
    listed = re.findall(r"^  (\S+) {2,}(\S.*)$", out, re.MULTILINE)
    assert code == 0 and len(listed) > 15
    missing = set(pages(repository)) - {name for name, _ in listed}
    assert not missing, f"put a line for each into docs/README.md: {missing}"
    assert len(listed) == len(pages(repository)), "a page stands twice, or there is none of its name"


def test_a_page_goes_into_a_pipe_as_it_is(run: Run, repository: Path) -> None:
    for name in ("slurm", "slurm.md", "docs/slurm.md", "slurm.md#several-tasks"):
        assert run("docs", name) == (0, pages(repository)["slurm"], "")


def test_the_place_of_pages_is_said(run: Run, repository: Path) -> None:
    assert run("docs", "--path") == (0, f"{repository / 'docs'}\n", "")
    assert run("docs", "slurm", "--path") == (0, f"{repository / 'docs/slurm.md'}\n", "")


def test_what_is_no_page_is_looked_for_in_all_of_them(run: Run) -> None:
    code, out, err = run("docs", "requeue")
    assert (code, out) == (2, "") and re.search(r"the word stands in .*\bslurm\b", err)
    assert "(did you mean 'sweeps'?)" in run("docs", "sweps")[2]
    assert "stands in" not in run("docs", "qqzzy.*")[2]


@pytest.mark.parametrize("pager", ["", "cat", "no-such-pager", "'", "odd"])
def test_a_terminal_gets_it_laid_out_whatever_its_pager(pager: str, repository: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    if pager == "odd":  # starts on no machine
        (tmp_path / "odd").write_bytes(b"\x7fELF")
        (tmp_path / "odd").chmod(0o755)
        pager = str(tmp_path / "odd")
    env = {**os.environ, "PAGER": pager, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-m", "heyhi.cli", "docs", "needs"]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=repository)
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:  # nobody writes to it any more
            break
        if not block:
            break
        shown += block
    os.close(ours)
    text = re.sub(r"\x1b\[[\d;]*m", "", shown.decode())
    assert child.wait(timeout=60) == 0
    assert "heyhi docs workflow" in text and "](workflow.md" not in text and "```" not in text


def test_no_program_cites_a_file_of_docs(repository: Path) -> None:
    """Who has installed the package has `heyhi docs NAME`."""
    files = [*(repository / "heyhi").rglob("*.py"), *repository.glob("snakemake_*/*.py")]
    cited = {
        f"{path.relative_to(repository)}:{text.lineno}"
        for path in files
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.Constant) and isinstance(text.value, str) and PAGE_FILE.search(text.value)
    }
    assert cited == set()
    shipped = [
        *(repository / "heyhi/newproject").rglob("*"),
        *repository.glob("profiles/**/*"),
        repository / "Snakefile",
    ]
    shipped += [*repository.glob("workflows/**/*"), repository / "conf/launcher.proto"]
    assert [path for path in shipped if path.is_file() and PAGE_FILE.search(path.read_text(errors="replace"))] == []


def test_every_page_that_a_program_names_is_there(repository: Path) -> None:
    named = {
        name
        for path in [*(repository / "heyhi").rglob("*.*"), repository / "Snakefile", repository / "README.md"]
        if path.suffix in ("", ".py", ".md", ".smk")
        for name in re.findall(r"heyhi docs ([a-z][\w-]*)", path.read_text())
    }
    assert {"search", "sheets"} <= named
    assert named <= set(pages(repository))
