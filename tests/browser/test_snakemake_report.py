"""Snakemake's own report of a new project's sweep: its page opens where Snakemake keeps it as a file of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECONDS = 300.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project whose sweep has run, with both kinds of report."""
    root = tmp_path_factory.mktemp("new") / "p"
    profile = ["--profile", "profiles/local", "--cores", "2"]
    call(root.parent, "heyhi.cli", "init", "p")
    call(root, "snakemake", *profile)
    for name in ("report.zip", "report.html"):
        call(root, "snakemake", *profile, "--report", name)
    shutil.unpack_archive(root / "report.zip", root / "unpacked")
    return root


def call(folder: Path, *command: str) -> None:
    words = [sys.executable, "-m", *command]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr


def open_report(chromium: Any, path: Path) -> Any:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(path.as_uri())
    page.get_by_text("Results", exact=True).click()
    return page


def test_the_page_opens_in_a_report_of_several_files(project: Path, chromium: Any) -> None:
    page = open_report(chromium, project / "unpacked/report/report.html")
    entry = page.locator("tr", has_text="page (to be seen in --report report.zip)")
    entry.get_by_role("link").or_(entry.locator("a, button")).first.click()
    frame = page.frame_locator("iframe")
    frame.locator("body[data-ready]").wait_for()
    assert frame.locator("table tbody tr").count() >= 3
    page.context.close()


def test_a_report_in_one_file_says_where_the_page_is_to_be_seen(project: Path, chromium: Any) -> None:
    page = open_report(chromium, project / "report.html")
    page.get_by_text("page (to be seen in --report report.zip)").first.wait_for()
    assert "opens in a report that was made by --report report.zip" in re.sub(r"\s+", " ", page.inner_text("body"))
    page.context.close()
