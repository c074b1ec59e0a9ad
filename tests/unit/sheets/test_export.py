from __future__ import annotations

import datetime
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sheets_server import Fault, Server

from heyhi import gsheets as gsheets
from heyhi.sheets.cells import SheetsError
from heyhi.sheets.export import check, save_pandas_table
from heyhi.sheets.http import Patience

pytestmark = pytest.mark.usefixtures("as_service_account")

RUNS = pd.DataFrame({"status": ["DONE", "RUNNING"], "loss": [0.25, None], "exp_path": ["/r/a", "/r/b"]}, dtype=object)
Make = Callable[..., Patience]


def export(frames: Any = RUNS, name: str = "Project", tab: str = "sweep", **options: Any) -> Any:
    return save_pandas_table(frames, name, tab, **options)


def names(server: Server) -> list[str]:
    return [book.title for book in server.books.values()]


# --- what is asked of Google --------------------------------------------------------------------------------------


def test_a_first_export_makes_spreadsheet_and_worksheet_with_three_calls(server: Server) -> None:
    done = export()
    assert server.methods() == ["list", "create", "batchUpdate"]
    sheet = server.book("Project").sheet("sweep")
    assert sheet.values("B10:D12") == [
        ["status", "loss", "exp_path"],
        ["DONE", 0.25, "/r/a"],
        ["RUNNING", None, "/r/b"],
    ]
    assert done.calls == 3
    assert done.url == f"https://docs.google.com/spreadsheets/d/{server.book('Project').id}/edit#gid={sheet.id}"


def test_a_worksheet_is_added_to_a_spreadsheet_with_three_calls(server: Server) -> None:
    book = server.make_book("Project", "mine")
    book.sheet("mine").put("B10", "mine")
    export()
    assert server.methods() == ["list", "get", "batchUpdate"]
    assert book.sheet("mine").filled() == {"B10": "mine"}
    assert book.sheet("sweep").value("B11") == "DONE"


@pytest.mark.parametrize("rows", [1, 300])
def test_an_export_to_a_known_sheet_takes_three_calls_or_four_whatever_its_size(server: Server, rows: int) -> None:
    export()
    server.calls.clear()
    done = export([pd.concat([RUNS] * rows), RUNS])
    assert (server.methods(), done.calls) == (["list", "get", "batchGet", "batchUpdate"], 4)
    server.calls.clear()
    done = export([pd.concat([RUNS] * (rows + 5)), RUNS])
    assert (server.methods(), done.calls) == (["list", "get", "batchUpdate"], 3)


def test_a_table_that_gets_wider_is_the_fourth_call(server: Server) -> None:
    export()
    server.calls.clear()
    export(RUNS.assign(more=1, and_more=2))
    assert server.methods() == ["list", "get", "batchGet", "batchUpdate"]


def test_a_spreadsheet_that_is_named_by_its_address_needs_no_search(server: Server) -> None:
    book = server.make_book("Anything")
    export(name=f"https://docs.google.com/spreadsheets/d/{book.id}/edit#gid=0")
    assert server.methods() == ["get", "batchUpdate"]
    assert book.sheet("sweep").value("B11") == "DONE"


@pytest.mark.parametrize("name", ["it's", 'a "quoted" one', "back\\slash'", "ünï ✓"])
def test_any_name_is_found_again(server: Server, name: str) -> None:
    export(name=name)
    export(name=name)
    assert names(server) == [name]


def test_of_several_spreadsheets_our_own_oldest_one_is_written(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.make_book("Project", owned=False)
    mine = server.make_book("Project")
    server.make_book("Project")
    server.make_book("project")
    done = export()
    assert done.spreadsheet_id == mine.id
    assert "There are 3 spreadsheets 'Project'" in caplog.text


def test_a_spreadsheet_in_the_bin_is_not_written_to(server: Server) -> None:
    book = server.make_book("Project")
    server.files[book.id]["trashed"] = True
    assert export().spreadsheet_id != book.id


def test_a_new_spreadsheet_is_shared_once(server: Server) -> None:
    export(share=["a@x.org", "b@x.org"])
    (file,) = server.files.values()
    assert file["permissions"] == [
        {"role": "writer", "type": "user", "emailAddress": "a@x.org"},
        {"role": "writer", "type": "user", "emailAddress": "b@x.org"},
    ]
    export(share=["c@x.org"])
    assert len(file["permissions"]) == 2


def test_times_are_those_of_the_spreadsheets_clock(server: Server) -> None:
    def at() -> datetime.datetime:
        return datetime.datetime(2026, 11, 24, 8, 30, 5, tzinfo=datetime.UTC)

    frame = RUNS.assign(updated="2026-11-24T08:00:00Z")
    for zone, hour, shown in (
        ("America/New_York", 3, "2026-11-24 03:00:00"),
        ("GMT+05:30", 14, "2026-11-24 13:30:00"),
        ("GMT-3", 5, "2026-11-24 05:00:00"),
        ("Moon/Tranquility", 8, "2026-11-24 08:00:00"),
    ):
        server.zone = zone
        export(frame, name=zone, clock=at)
        sheet = server.book(zone).sheet("sweep")
        assert f"2026-11-24 {hour:02}:" in sheet.value("A1")
        assert sheet.value("E11") == shown
        assert sheet.value("A1").startswith("=") is (zone != "Moon/Tranquility")
        assert len(sheet.rules) == (8 if zone == "Moon/Tranquility" else 9)


def test_links_lead_to_folders_and_logs(server: Server) -> None:
    export(links={"exp_path": "http://h/tree{exp_path}", "logs": "http://h/edit{exp_path}/log.txt"})
    sheet = server.book("Project").sheet("sweep")
    assert sheet.cell("D11") == {
        "userEnteredValue": {"stringValue": "/r/a"},
        "textFormatRuns": [{"format": {"link": {"uri": "http://h/tree/r/a"}}}],
    }
    assert sheet.values("E10:E12") == [["logs"], ["logs"], ["logs"]]
    export()
    assert "textFormatRuns" not in sheet.cell("D11")
    assert sheet.value("E11") is None


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["=1+1", "+1", "=A1\n"])
        ),
        min_size=10,
        max_size=40,
    )
)
def test_google_takes_any_value_and_keeps_it_as_data(server: Server, values: list[Any]) -> None:
    export(pd.DataFrame({"a": values}, dtype=object), tab="any")
    sheet = server.book("Project").sheet("any")
    written = sheet.values(f"B11:B{10 + len(values)}")
    for value, (shown,) in zip(values, written, strict=True):
        if isinstance(value, bool) or (isinstance(value, str) and not re.search("[\ud800-\udfff]", value)):
            assert shown == (value if value != "" else None)
        elif isinstance(value, int):
            assert shown in (value, str(value))
    kinds = [kind for cell in sheet.cells.values() for kind in cell.get("userEnteredValue", {})]
    assert kinds.count("formulaValue") == 1


# --- when something fails -----------------------------------------------------------------------------------------


def picture(server: Server) -> list[Any]:
    return [book.to_json(None, True) for book in server.books.values()]


def at_noon() -> datetime.datetime:
    return datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("files.list", Fault(403, reason="userRateLimitExceeded")),
        ("files.list", Fault(cut="within")),
        ("spreadsheets.get", Fault(429)),
        ("values.batchGet", Fault(cut="before")),
        ("batchUpdate", Fault(429)),
        ("batchUpdate", Fault(500)),
        ("batchUpdate", Fault(cut="before")),
        ("batchUpdate", Fault(cut="within")),
        ("batchUpdate", Fault(cut="after")),
    ],
)
def test_what_passes_is_tried_again_and_changes_nothing_about_the_outcome(
    server: Server, patience: Make, waits: list[float], method: str, fault: Fault
) -> None:
    frames = [[RUNS, RUNS], [pd.concat([RUNS] * 3), RUNS.assign(more=1), RUNS]]
    for name in ("smooth", "Project"):
        export(frames[0], name=name, clock=at_noon)
        server.book(name).sheet("sweep").put("B20", "mine")
    export(frames[1], name="smooth", clock=at_noon)
    server.fail(method, fault, fault)
    export(frames[1], patience=patience(), clock=at_noon)
    assert not server.faults
    assert waits == [1.5, 2.5]
    smooth, tried = (server.book(name).sheet("sweep") for name in ("smooth", "Project"))
    assert tried.filled() == smooth.filled()
    assert tried.rules == smooth.rules
    assert [n.range for n in server.book("Project").named] == [n.range for n in server.book("smooth").named]
    assert len(server.book("Project").marks) == len(server.book("smooth").marks)


@pytest.mark.parametrize("fault", [Fault(503), Fault(cut="before"), Fault(cut="within"), Fault(cut="after")])
def test_a_spreadsheet_is_made_once_however_its_making_ends(server: Server, patience: Make, fault: Fault) -> None:
    server.fail("spreadsheets.create", fault)
    export(patience=patience(), share=["a@x.org"])
    assert names(server) == ["Project"]
    (file,) = server.files.values()
    assert len(file["permissions"]) == 1
    assert server.book("Project").sheet("sweep").value("B11") == "DONE"


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(
    server: Server, patience: Make, waits: list[float]
) -> None:
    server.fail("spreadsheets.create", Fault(hang=True))
    export(patience=patience(timeout=0.3))
    assert waits == [1.5]
    assert names(server) == ["Project"]


def test_waits_grow_and_end(server: Server, patience: Make, waits: list[float]) -> None:
    export()
    before = picture(server)
    server.fail("batchUpdate", *[Fault(503, message="The service is currently unavailable.")] * 50)
    with pytest.raises(SheetsError) as caught:
        export(RUNS.head(1), patience=patience(failures=10))
    assert waits == [1.5, 2.5, 4.5, 8.5, 16.5, 32.5, 63.5, 63.5, 63.5]
    assert str(caught.value) == (
        "Google Sheets: given up after 10 failed tries (Google answers 503: The service is currently unavailable.);"
        " try again later"
    )
    assert picture(server) == before


def test_the_default_patience_is_bounded() -> None:
    patience = Patience(jitter=lambda: 1.0)
    waits = [patience.pause(n, None) for n in range(1, patience.failures)]
    # A quota is by the minute: to wait for less would be in vain.
    assert 60 < sum(waits) < 120


def test_google_says_how_long_to_wait(server: Server, patience: Make, waits: list[float]) -> None:
    server.fail("files.list", Fault(429, retry_after="40"), Fault(429, retry_after="soon"), Fault(503, retry_after="0"))
    export(patience=patience())
    assert waits == [40.0, 2.5, 4.5]
    server.fail("files.list", Fault(429, retry_after="7200", message="Quota exceeded"))
    with pytest.raises(
        SheetsError, match=r"a failed try \(Google answers 429: Quota exceeded, which asks to wait 7200 s\)"
    ):
        export(patience=patience())


def test_a_refused_change_leaves_the_old_table_whole(server: Server, patience: Make, waits: list[float]) -> None:
    export()
    before = picture(server)
    server.book("Project").can_edit = False
    with pytest.raises(SheetsError) as caught:
        export(pd.concat([RUNS] * 9), patience=patience())
    assert str(caught.value) == (
        "Google Sheets: Google answers 403: The caller does not have permission"
        " (share the spreadsheet with exporter@tables.iam.gserviceaccount.com as editor)"
    )
    assert (picture(server), waits) == (before, [])


def test_a_service_account_that_may_make_no_file_says_what_to_do(server: Server, patience: Make) -> None:
    server.fail("spreadsheets.create", Fault(403, message="The user's Drive storage quota has been exceeded."))
    with pytest.raises(SheetsError, match=r"make 'Project' yourself and share it with exporter@tables"):
        export(patience=patience())


def test_a_wrong_address_is_an_error_that_says_so(server: Server) -> None:
    with pytest.raises(SheetsError, match=r"404: Requested entity was not found. \(share the spreadsheet"):
        export(name="https://docs.google.com/spreadsheets/d/nothing")


def test_too_many_cells_are_refused_before_anything_is_changed(server: Server) -> None:
    server.make_book("Project").add("large", rows=9_960_000, columns=1)
    before = picture(server)
    with pytest.raises(SheetsError, match="of which Google allows 10,000,000"):
        export()
    assert picture(server) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": " "}, "must have a name"),
        ({"tab": ""}, "must have a name"),
        ({"offset": -1}, "before the first row or column"),
        ({"start": 0}, "before the first row or column"),
        ({"links": {"a": "ftp://x"}}, "must begin with http"),
        ({"frames": [1]}, "must be a pandas DataFrame"),
    ],
)
def test_what_makes_no_sense_is_an_error_and_changes_nothing(
    server: Server, options: dict[str, Any], message: str
) -> None:
    export()
    before = picture(server)
    with pytest.raises(SheetsError, match=message):
        export(**options)
    assert picture(server) == before


def test_nobody_sends_an_export_elsewhere(server: Server) -> None:
    server.fail("spreadsheets.create", Fault(302, location=f"{server.root}/drive/v3/files"))
    with pytest.raises(SheetsError, match="Google answers 302"):
        export()
    assert server.methods() == ["list", "create"]


def test_a_token_that_is_taken_no_more_is_renewed(server: Server) -> None:
    export()
    server.fail("spreadsheets.get", Fault(401, message="Request had invalid authentication credentials."))
    export()
    assert len(server.token_requests) == 3


# --- check --------------------------------------------------------------------------------------------------------


def test_a_check_changes_nothing_and_says_what_works(server: Server) -> None:
    book = server.make_book("Project")
    before = picture(server)
    assert [(f.is_good, f.text) for f in check("Project")] == [
        (True, "credentials: service account exporter@tables.iam.gserviceaccount.com, from HH_GOOGLE_SERVICE_ACCOUNT"),
        (True, "Google Sheets and Drive answer"),
        (True, f"spreadsheet 'Project', https://docs.google.com/spreadsheets/d/{book.id}, can be written"),
    ]
    assert len(check()) == 2
    assert check("Other")[-1].text == "there is no spreadsheet 'Other' yet: the first export makes it"
    book.can_edit = False
    assert not check("Project")[-1].is_good
    assert check("Project")[-1].text.endswith(
        "can only be read: share it with exporter@tables.iam.gserviceaccount.com as editor"
    )
    book.can_edit = True
    assert picture(server) == before


def test_a_check_says_what_google_objects_to(server: Server, patience: Make) -> None:
    server.fail("spreadsheets.get", Fault(403, message="Google Sheets API has not been used in project 1 before."))
    good, bad = check("Project", patience=patience())
    assert (good.is_good, bad.is_good) == (True, False)
    assert bad.text == "Google Sheets: Google answers 403: Google Sheets API has not been used in project 1 before."


# --- secrets ------------------------------------------------------------------------------------------------------


def test_nothing_secret_is_in_any_log_or_error(
    server: Server,
    account: dict[str, str],
    patience: Make,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("", "google", "google.auth", "googleapiclient", "urllib3", "pygsheets", "requests_oauthlib"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    texts = []
    try:
        export(patience=patience())
        assert [record.getMessage()[:16] for record in caplog.records] == ["Wrote 'Project' "]
        token = next(iter(server.tokens))
        for method, fault in (
            ("batchUpdate", Fault(400, message=f"who sent Authorization: Bearer {token}?\nor {token}")),
            ("files.list", Fault(503, message=f"{token}")),
            ("spreadsheets.get", Fault(cut="before")),
        ):
            server.fail(method, *[fault] * 9)
            with pytest.raises(SheetsError) as caught:
                export(patience=patience())
            texts += [str(caught.value), repr(caught.value), str(caught.value.__context__)]
            server.faults.clear()
        server.is_revoked = True
        with pytest.raises(SheetsError) as caught:
            export(patience=patience())
        texts += [str(caught.value)]
        assert "takes these credentials no more" in texts[-1]
        texts += [f.text for f in check(patience=patience())]
    finally:
        for name in ("google", "google.auth", "googleapiclient", "urllib3", "pygsheets", "requests_oauthlib"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    out, err = capfd.readouterr()
    everything = "\n".join([*texts, caplog.text, out, err])
    secrets = [*server.tokens, account["private_key_id"], *account["private_key"].splitlines()[1:-1]]
    assert secrets
    assert [secret for secret in secrets if secret in everything] == []
    assert "assertion=" not in everything
    assert all("\n" not in text for text in texts)


# --- scripts ------------------------------------------------------------------------------------------------------

SCRIPT = """
    import pandas as pd
    from heyhi.gsheets import save_pandas_table
    save_pandas_table(pd.DataFrame({"status": ["DONE"]}), "Project", "sweep", offset=1)
    print("the end")
"""


def run_script(cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_a_script_of_the_first_heyhi_writes_its_table(server: Server, tmp_path: Path) -> None:
    done = run_script(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")
    assert server.book("Project").sheet("sweep").value("B11") == "DONE"


def test_a_script_without_credentials_says_so_in_a_line_and_goes_on(tmp_path: Path) -> None:
    done = run_script(tmp_path, HH_GOOGLE_SERVICE_ACCOUNT="")
    assert (done.returncode, done.stdout) == (0, "the end\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Google Sheets: 'Project' / 'sweep' not exported, no credentials: put a service account's")
    assert "heyhi sheets login" in line


def test_a_script_that_google_refuses_ends_with_a_line(server: Server, tmp_path: Path) -> None:
    server.is_revoked = True
    done = run_script(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: Google Sheets: Google takes these credentials no more")


def test_the_first_heyhis_arguments_mean_what_they_meant(server: Server) -> None:
    frame = pd.DataFrame({"folder": ["/r/a"]})
    gsheets.save_pandas_table([frame, frame], "Project", "sweep", 2, 20, 8888)
    sheet = server.book("Project").sheet("sweep")
    assert sheet.values("C20:D21") == [["folder", "viz"], ["/r/a", "viz"]]
    assert json.dumps(sheet.cell("D21")).count("http://localhost:8888/?game=/r/a") == 1
