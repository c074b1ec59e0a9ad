"""`heyhi report` to a Google spreadsheet: what its settings promise arrives there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import openpyxl
import pytest
from sheets_server import Server

import heyhi
from heyhi import maybe_launch
from heyhi.cli.main import main
from heyhi.project import find_project
from heyhi.report.show import show
from heyhi.report.source import Source

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


@pytest.mark.usefixtures("as_service_account")
def test_means_and_their_errors_are_numbers_in_a_sheet_too(server: Server, root: Path, run: Run) -> None:
    (root / "conf/many.py").write_text(SWEEP)
    for lr in (0.1, 0.2):
        maybe_launch(work, cfg="conf/work.prototxt", overrides=[f"lr={lr}"])
    words = ("--cfg", "work", "--sweep", "lr=0.1,0.2,0.3", "--mean-over", "lr")
    assert "0.150 ± 0.050 (2/3)" in run("report", *words, "--sheet", "My runs", "digits")[1]
    (row,) = rows_of(server)
    numbers = {
        name: row[name]["userEnteredValue"]["numberValue"] for name in ("accuracy", "accuracy.se", "n", "wanted")
    }
    assert numbers == pytest.approx({"accuracy": 0.15, "accuracy.se": 0.05, "n": 2, "wanted": 3})
    assert row["missing"]["userEnteredValue"] == {"stringValue": "lr=0.3"}


@pytest.mark.usefixtures("as_service_account")
def test_the_worksheet_of_a_sweep_file_keeps_the_whole_table_and_a_named_one_gets_what_is_shown(
    server: Server, root: Path, run: Run
) -> None:
    (root / "conf/many.py").write_text(SWEEP + '\nSHEET = ("My runs", "digits")\n')
    code, out, _ = run("report", "--columns", "lr,exp_id,exp_path", "--where", "lr=0.1")
    assert code == 0 and len(rows_of(server)) == 2 and "status" in rows_of(server)[0]
    (link,) = re.findall(r"^sheet: (https://docs\.google\.com/spreadsheets/d/\S+/edit#gid=\d+)$", out, re.MULTILINE)
    assert f"sheet: {link}\n" in run("report", "--columns", "lr,exp_id,exp_path", "--sheet", "My runs", "digits")[1]
    assert [set(row) for row in rows_of(server)] == [{"lr", "exp_id", "exp_path", "log"}] * 2


@pytest.mark.usefixtures("as_service_account")
def test_last_updates_in_a_sheet_say_their_zone(server: Server, root: Path, run: Run) -> None:
    maybe_launch(work, cfg="conf/work.prototxt", overrides=["lr=0.1"])
    assert run("report", "--cfg", "work", "lr=0.1", "--sheet", "My runs", "digits")[0] == 0
    (row,) = rows_of(server)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:]{8}", row["updated (Etc/UTC)"]["userEnteredValue"]["stringValue"])


# --- whose credentials ----------------------------------------------------------------------------------------------

SECRET = "MIIEvQIBADANBgkqhkiG9w0BAQ"
CLIENT = {
    "installed": {
        "client_id": "c",
        "client_secret": "GOCSPX-very-secret",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
}


def put(path: Path, info: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(info if isinstance(info, str) else json.dumps(info))
    return path


@pytest.fixture
def named(root: Path) -> Path:
    """The file of credentials that the settings name."""
    set_up(root, 'sheets_credentials = "keys/lab.json"\n')
    return root / "keys/lab.json"


def test_a_report_uses_the_credentials_that_the_settings_name(
    server: Server, named: Path, root: Path, run: Run, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(named, account)
    (root / "deep").mkdir()
    monkeypatch.chdir(root / "deep")  # the setting is relative to the project, not to who asks
    assert run("report", "--sheet", "My runs", "digits")[0] == 0
    assert len(rows_of(server)) == 2
    code, out, _ = run("sheets", "check", "My runs")
    assert code == 0 and f"service account {account['client_email']}, from {named}" in out and "can be written" in out


def test_a_service_account_is_told_that_it_needs_no_login(named: Path, run: Run, account: dict[str, str]) -> None:
    put(named, account)
    code, _, err = run("sheets", "login")
    assert code == 2 and f"a service account needs no login ({named})" in err and err.count("\n") == 1
    put(named, SECRET)
    code, out, err = run("sheets", "login")
    assert code == 2 and "holds no JSON object" in err and SECRET not in out + err


def test_the_table_at_the_end_of_a_run_uses_them_too(
    server: Server, named: Path, root: Path, account: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "conf/many.py").write_text(SWEEP + '\nSHEET = ("My runs", "digits")\n')
    project = find_project()
    manifest = Source.open(project, Path("conf/many.py")).manifest
    flow: Any = SimpleNamespace(project=project, reported=[manifest], finish=lambda: None)
    put(named, SECRET)
    show(flow)
    assert f"error: {named} holds no JSON object\n" in capsys.readouterr().err
    put(named, account)
    show(flow)
    assert len(rows_of(server)) == 2
    assert "\nsheet: https://docs.google.com/spreadsheets/d/" in capsys.readouterr().out


def test_the_environment_goes_before_the_settings(
    named: Path, run: Run, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(named, account)
    monkeypatch.setenv("HH_GOOGLE_SERVICE_ACCOUNT", json.dumps({**account, "client_email": "other@x"}))
    assert "service account other@x, from HH_GOOGLE_SERVICE_ACCOUNT" in run("sheets", "check")[1]


def test_credentials_that_are_not_there_are_one_line_and_no_failure(named: Path, root: Path, run: Run) -> None:
    code, out, err = run("report", "--sheet", "My runs", "digits")
    assert code == 0 and "written: results/reports/many.csv" in out
    assert err.count("\n") == 1 and "the file that the settings name isn't there" in err and "not exported" in err
    assert run("sheets", "check")[1].startswith("bad no credentials: the file that the settings name isn't there")


def test_who_lacks_the_file_of_the_settings_may_have_logged_in(
    server: Server, named: Path, run: Run, account: dict[str, str], tmp_path: Path
) -> None:
    usual = put(tmp_path / "config/heyhi/service_account.json", account)
    assert run("report", "--sheet", "My runs", "digits")[0] == 0
    assert len(rows_of(server)) == 2
    assert f"from {usual}" in run("sheets", "check")[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no JSON object"),
        (f'{{"type": "service_account", "private_key": "{SECRET}"', "holds no JSON object"),
        (f'{{"type": "service_account", "private_key": "{SECRET}"}}', "holds no service account's key"),
        (f'{{"private_key": "{SECRET}"}}', "neither a service account's key nor an OAuth client's"),
    ],
)
def test_broken_credentials_are_one_line_that_names_the_file(
    named: Path, run: Run, root: Path, text: str, expected: str
) -> None:
    put(named, text)
    code, out, err = run("report", "--sheet", "My runs", "digits")
    assert code == 2 and "written: results/reports/many.csv" in out
    assert err.count("\n") == 1 and expected in err and str(named) in err and SECRET not in out + err
    code, out, err = run("sheets", "check")
    assert code == 1 and expected in out and SECRET not in out + err


@pytest.mark.parametrize(
    "value", [f'\'{{"private_key": "{SECRET}"}}\'', f'{{private_key = "{SECRET}"}}', f'["{SECRET}"]']
)
def test_a_key_in_place_of_its_files_name_is_not_shown(root: Path, run: Run, value: str) -> None:
    set_up(root, f"sheets_credentials = {value}\n")
    for args in (("report", "--sheet", "My runs", "digits"), ("sheets", "check"), ("sheets", "login")):
        _, out, err = run(*args)
        assert SECRET not in out + err and "Traceback" not in err


def test_a_login_takes_the_client_that_the_settings_name(
    server: Server, named: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(named, CLIENT)
    code, _, err = run("report", "--sheet", "My runs", "digits")
    assert code == 0 and err.count("\n") == 1 and "nobody has logged in yet, run `heyhi sheets login`" in err

    monkeypatch.setattr("heyhi.sheets.export.login", lambda credentials: tmp_path / credentials.name)
    assert str(tmp_path / "lab.json") in run("sheets", "login")[1]


def test_sheets_can_be_set_up_outside_of_any_project(
    server: Server, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("sheets", "check")
    assert code == 1 and out.startswith("bad no credentials")
    code, _, err = run("sheets", "login")
    assert code == 2 and "Desktop app" in err
