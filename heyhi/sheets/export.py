"""Exports to Google Sheets, and what a person sets them up with: `save_pandas_table`, `login`, `check`.

`save_pandas_table` is for code that wants to know what was done, or why it failed, as `heyhi report` does; scripts use
`heyhi.save_pandas_table`. An export asks Google three times, whatever its size: where is the spreadsheet, how does the
worksheet stand, and one list of changes that happen all or not at all; a fourth time where cells have to be looked at
before they are moved.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import random
import re
import sys
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heyhi.errors import ExtraError
from heyhi.extras import check as check_extra
from heyhi.sheets.api import Google, UnsureError
from heyhi.sheets.cells import Frames, SheetsError, tables_of
from heyhi.sheets.http import Patience
from heyhi.sheets.login import Login, config_folder, find_client, find_login, how_to_set_up, is_interactive, log_in
from heyhi.sheets.plan import plan
from heyhi.sheets.wish import Wish, areas_to_read
from heyhi.sheets.worksheet import read_worksheet

_OFFSET = re.compile(r"(?:GMT|UTC)(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d\d)?")


@dataclass(frozen=True)
class Export:
    """What an export did.

    Attributes:
        url: address of the worksheet.
        spreadsheet_id: Google's id of the spreadsheet.
        worksheet: title of the worksheet.
        calls: how often Google was asked, failed tries included.
    """

    url: str
    spreadsheet_id: str
    worksheet: str
    calls: int


@dataclass(frozen=True)
class Finding:
    """One thing that a check found."""

    is_good: bool
    text: str


def save_pandas_table(
    dataframes: Frames,
    project_name: str,
    table_name: str,
    offset: int = 1,
    start: int = 10,
    *,
    links: Mapping[str, str] | None = None,
    status_column: str = "status",
    updated_column: str | None = None,
    group: str = "",
    share: Sequence[str] = (),
    credentials: Path | None = None,
    patience: Patience | None = None,
    clock: Callable[[], datetime.datetime] | None = None,
) -> Export | None:
    """Write tables into a worksheet of a Google spreadsheet, both made where absent.

    Without credentials, a line on the terminal says so and how they are set up, and nothing is written.
    A later export replaces what the last one wrote, wherever a user moved it to; all else in the spreadsheet stays.
    Values are written as data, never as formulas.

    Args:
        dataframes: one table, a list of them, or a dict of them by title; they go under one another.
        project_name: name of the spreadsheet, or its address.
        table_name: name of the worksheet.
        offset: columns that the first export leaves free on the left.
        start: row at which the first export begins, counted from 1.
        links: column -> address, such as `{"folder": "http://host:8888/tree{exp_path}"}`: cells of that column lead
            there, with the values of the columns in braces filled in. A column that isn't there is added.
        status_column: column whose statuses are coloured.
        updated_column: column of the times of last updates, by which running rows without one for an hour are
            coloured; written in the spreadsheet's time zone. Default: updated, last_update, last update or last.
        group: whose tables these are, where several sweeps share a worksheet: each replaces its own.
        share: mail addresses that may write to the spreadsheet, if it is made now.
        credentials: file of a service account or an OAuth client; default: what `heyhi.sheets.login.find_login` finds.
        patience: how long to go on when Google has no time.
        clock: returns the time, with its zone.

    Returns:
        What was done; None without credentials.

    Raises:
        SheetsError: it couldn't be written. What stood in the worksheet before still does.
    """
    if not project_name.strip() or not table_name.strip():
        raise SheetsError("a spreadsheet and a worksheet must have a name")
    if offset < 0 or start < 1:
        raise SheetsError("a table can't begin before the first row or column")
    who = _login(credentials, f"'{project_name}' / '{table_name}'")
    if who is None:
        return None
    now = clock or (lambda: datetime.datetime.now(datetime.UTC))

    def wish(zone: datetime.tzinfo | None) -> Wish:
        tables = tables_of(
            dataframes, links=links, status_column=status_column, updated_column=updated_column, zone=zone
        )
        time, knows_zone = now().astimezone(zone or datetime.UTC), zone is not None
        return Wish(tables, time, knows_zone, group, start, offset)

    google = Google(who, patience or Patience())
    with google.session():
        done = _export(google, project_name, table_name, tuple(share), wish)
    logging.info("Wrote '%s' / '%s' with %d calls: %s", project_name, done.worksheet, done.calls, done.url)
    return done


def _login(setting: Path | None, what: str) -> Login | None:
    """Find credentials, or say in a line that there are none, which is no error."""
    try:
        check_extra("sheets")
    except ExtraError as error:
        _say(f"{what} not exported: {error}")
        return None
    login = find_login(setting)
    if login is not None:
        return login
    client = find_client(setting)
    if client is not None and is_interactive():
        return log_in(client, input, _say)
    if client is not None:
        _say(f"Google Sheets: {what} not exported: nobody has logged in yet, run `heyhi sheets login`")
    else:
        _say(f"Google Sheets: {what} not exported, no credentials: {how_to_set_up(setting)}")
    return None


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _export(
    google: Google,
    project_name: str,
    table_name: str,
    share: Sequence[str],
    wish: Callable[[datetime.tzinfo | None], Wish],
) -> Export:
    """Write tables, from the beginning again whenever Google may or may not have done what was asked.

    To look again is what makes that safe: a spreadsheet that was made after all is found, and a table that was
    written after all is replaced by itself.
    """
    tried_to_make = False
    while True:
        try:
            spreadsheet_id = google.find(project_name)
            is_new = spreadsheet_id is None
            if spreadsheet_id is None:
                tried_to_make = True
                spreadsheet = google.make(project_name, table_name)
                spreadsheet_id = str(spreadsheet["spreadsheetId"])
            else:
                spreadsheet = google.look_at(spreadsheet_id)
            if tried_to_make:
                google.share(spreadsheet_id, share)
                tried_to_make = False
            wanted = wish(_zone(spreadsheet))
            sheet = read_worksheet(spreadsheet, table_name, random.randrange(1, 2**31 - 1))
            areas = [] if is_new else areas_to_read(sheet, wanted)
            cells = google.read_cells(spreadsheet_id, sheet.title, areas)
            google.change(spreadsheet_id, plan(sheet, wanted, cells))
        except UnsureError:
            continue
        url = f"https://docs.google.com/spreadsheets/d/{spreadsheet_id}/edit#gid={sheet.sheet_id}"
        return Export(url, spreadsheet_id, sheet.title, google.effort.calls)


def _zone(spreadsheet: Mapping[str, Any]) -> datetime.tzinfo | None:
    name = str(spreadsheet.get("properties", {}).get("timeZone", ""))
    fixed = _OFFSET.fullmatch(name)
    if fixed is not None:
        offset = datetime.timedelta(hours=int(fixed["hours"]), minutes=int(fixed["minutes"] or 0))
        return datetime.timezone(-offset if fixed["sign"] == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):  # also where the system has no time zones
        return None


def login(
    credentials: Path | None = None, *, ask: Callable[[str], str] = input, say: Callable[[str], None] = print
) -> Path:
    """Let a person log in: print the link, take the answer, keep the token.

    Args:
        credentials: file of an OAuth client; default: HH_GOOGLE_CLIENT_SECRET, or `client_secret.json` in the
            configuration folder.
        ask: asks for a line.
        say: prints one.

    Returns:
        File of the token, which only its owner can read.

    Raises:
        ExtraError: pygsheets isn't installed.
        SheetsError: there is no OAuth client, or Google refused.
    """
    check_extra("sheets")
    client = find_client(credentials)
    if client is None:
        who = None
        with contextlib.suppress(SheetsError):  # to name a damaged key is what a check is for
            who = find_login(credentials)
        if who is not None and who.account:
            raise SheetsError(f"a service account needs no login ({who.where}): `heyhi sheets check` tries it")
        raise SheetsError(
            "there is no OAuth client to log in with: make one of the kind 'Desktop app' in the Google Cloud console,"
            f" and save its JSON as {config_folder() / 'client_secret.json'} (heyhi docs sheets)"
        )
    done = log_in(client, ask, say)
    assert done.token_path is not None
    return done.token_path


def check(
    project_name: str = "", *, credentials: Path | None = None, patience: Patience | None = None
) -> list[Finding]:
    """Find out whether an export would work: are there credentials, does Google answer, may the spreadsheet be written.

    Args:
        project_name: spreadsheet to look for, by name or address; empty: none.
        credentials: file of a service account or an OAuth client.
        patience: how long to go on when Google has no time.

    Returns:
        What was found, up to the first thing that is bad; nothing is changed.
    """
    try:
        check_extra("sheets")
    except ExtraError as error:
        return [Finding(False, str(error))]
    findings: list[Finding] = []
    try:
        who = find_login(credentials)
        if who is None:
            return [Finding(False, f"no credentials: {how_to_set_up(credentials)}")]
        account = f" {who.account}" if who.account else ""
        findings.append(Finding(True, f"credentials: {who.kind}{account}, from {who.where}"))
        google = Google(who, patience or Patience(failures=3))
        with google.session():
            google.answers()
            findings.append(Finding(True, "Google Sheets and Drive answer"))
            if project_name:
                findings += _check_spreadsheet(google, project_name)
    except SheetsError as error:
        findings.append(Finding(False, str(error)))
    return findings


def _check_spreadsheet(google: Google, project_name: str) -> list[Finding]:
    spreadsheet_id = google.find(project_name)
    if spreadsheet_id is None:
        return [Finding(True, f"there is no spreadsheet '{project_name}' yet: the first export makes it")]
    title = google.look_at(spreadsheet_id)["properties"]["title"]
    where = f"spreadsheet '{title}', https://docs.google.com/spreadsheets/d/{spreadsheet_id}"
    if google.can_write(spreadsheet_id):
        return [Finding(True, f"{where}, can be written")]
    account = google.login.account or "the account that logged in"
    return [Finding(False, f"{where}, can only be read: share it with {account} as editor")]
