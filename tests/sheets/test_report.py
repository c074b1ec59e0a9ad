"""`heyhi report` to a Google spreadsheet: what its settings promise arrives there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import openpyxl
import pytest
from sheets_server import Server

import heyhi
from heyhi import maybe_launch
from heyhi.cli import main

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; } }
message Work { double lr = 1; string note = 2; }
"""
SWEEP = """
EXP_ID_PATTERN = "a=b/c,d+e@f/lr_%(redefines_hash)s"
def yield_sweep():
    for lr in (0.1, 0.2):
        yield "conf/work.prototxt", {"lr": lr}
"""
LINKS = """
folder_link = "https://host:8888/tree{exp_path}?a=1&b=2"
log_link = "https://host:8888/edit{exp_path}/log.txt"
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder whose name an address can't hold as it is."""
    root = tmp_path / "my project #1 ?q=ü&x%20"
    (root / "conf").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/work.prototxt").write_text("work {}\n")
    (root / "conf/many.py").write_text(SWEEP)
    set_up(root, LINKS)
    monkeypatch.chdir(root)
    return root


def set_up(root: Path, settings: str) -> None:
    text = f'[tool.heyhi]\nsweep = "conf/many.py"\nreports = ["csv"]\n{settings}'
    (root / "pyproject.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def run(root: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(args)
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def work(*, cfg: Any, **_: object) -> dict[str, float]:
    return {"accuracy": cfg.lr}


def rows_of(server: Server) -> list[dict[str, dict[str, Any]]]:
    """Return the worksheet's rows, as cells by the heads of their columns."""
    sheet = server.book("My runs").sheet("digits")
    letters = "BCDEFGHIJKLMNOPQRSTUVWXYZ"
    heads = {letter: sheet.value(f"{letter}10") for letter in letters}
    count = next(n for n in range(99) if sheet.value(f"B{11 + n}") is None)
    return [{str(h): sheet.cell(f"{c}{11 + n}") for c, h in heads.items() if h is not None} for n in range(count)]


def link_of(cell: dict[str, Any]) -> str:
    (part,) = cell["textFormatRuns"]
    link: str = part["format"]["link"]["uri"]
    return link


@pytest.mark.usefixtures("as_service_account")
def test_folders_and_logs_are_linked_by_the_patterns_of_the_settings(server: Server, root: Path, run: Run) -> None:
    assert run("report", "--sheet", "My runs", "digits")[0] == 0
    table = heyhi.table()
    rows = rows_of(server)
    assert len(rows) == 2
    for row, exp_id, exp_path in zip(rows, table["exp_id"], table["exp_path"], strict=True):
        assert row["exp_id"]["userEnteredValue"] == {"stringValue": exp_id}
        assert row["log"]["userEnteredValue"] == {"stringValue": "log"}
        folder, log = link_of(row["exp_id"]), link_of(row["log"])
        # Nothing of the path is anything but a path; the pattern's own query is one.
        assert re.fullmatch(r"https://host:8888/tree(/[\w.%~-]+)+\?a=1&b=2", folder)
        assert unquote(folder) == f"https://host:8888/tree{exp_path}?a=1&b=2"
        assert unquote(log) == f"https://host:8888/edit{exp_path}/log.txt" and "?" not in log


@pytest.mark.usefixtures("as_service_account")
def test_a_pattern_that_names_no_column_is_an_error_that_suggests_one(server: Server, root: Path, run: Run) -> None:
    set_up(root, 'folder_link = "https://host/tree{exp_pth}"\n')
    code, out, err = run("report", "--sheet", "My runs", "digits")
    assert code == 2 and "written:" in out
    assert "folder_link" in err and "{exp_pth}" in err and "'exp_path'" in err and err.count("\n") == 1
    set_up(root, 'log_link = "file://host{exp_path}"\n')
    code, out, err = run("report", "--sheet", "My runs", "digits")
    assert code == 2 and "written:" in out
    assert "log_link" in err and "http://" in err and err.count("\n") == 1


def test_workbook_and_page_link_to_a_folder_whatever_its_name(root: Path, run: Run) -> None:
    maybe_launch(work, cfg="conf/work.prototxt", overrides=["lr=0.1"], exp_id_pattern_override="a=b/c,d+e@f/x")
    (root / "conf/many.py").write_text(SWEEP.replace("lr_%(redefines_hash)s", "x").replace("(0.1, 0.2)", "(0.1,)"))
    assert run("report", "--to", "t.xlsx", "--to", "out/page.html")[0] == 0
    folder = root / "results/a=b/c,d+e@f/x"
    sheet = openpyxl.load_workbook("t.xlsx").active
    (link,) = [cell.hyperlink for row in sheet.rows for cell in row if cell.hyperlink]
    assert unquote(link.target) == f"FILE://{folder}" and not set("#? ") & set(link.target)
    page = (root / "out/page.html").read_text()
    links = re.findall(r'"(\./\.\./results/[^"]*)"', page)
    assert {unquote(link) for link in links} >= {"./../results/a=b/c,d+e@f/x/", "./../results/a=b/c,d+e@f/x/log.txt"}
