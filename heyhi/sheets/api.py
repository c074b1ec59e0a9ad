"""Google's APIs of spreadsheets and files, as far as exports use them; all of pygsheets is behind this file.

What is asked in which order is left to `heyhi.sheets.export`, how requests are sent to `heyhi.sheets.http`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from heyhi.extras import load
from heyhi.sheets.http import Effort, Patience, Transport, describe_failure
from heyhi.sheets.login import Login, quiet
from heyhi.sheets.worksheet import FIELDS, Area, Cells

_ADDRESS = re.compile(r"https://docs\.google\.com/spreadsheets/(?:u/\d+/)?d/([\w-]+)")
_KIND = "application/vnd.google-apps.spreadsheet"
_NO_SUCH_ID = "heyhi-asks-whether-the-api-answers"


class UnsureError(Exception):
    """Google was asked for a change, and didn't say that it made it."""


class Google:
    """Google, as one login sees it: asked through pygsheets, without its waiting and retrying, which are bounded here.

    Args:
        login: whose credentials are used.
        patience: how long to go on when Google has no time.
    """

    def __init__(self, login: Login, patience: Patience) -> None:
        pygsheets = load("pygsheets")
        self.login = login
        self.effort = Effort(login, patience)
        self._transport = Transport(patience.timeout)
        with quiet():
            self._client: Any = pygsheets.authorize(
                custom_credentials=login.credentials, http=self._transport, retries=0, check=False
            )
        self._client.drive.retries = 0

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Close the connections at the end, and keep a token that was renewed."""
        token = self.login.credentials.token
        try:
            yield
        finally:
            self._transport.close()
            if self.login.credentials.token != token:
                self.login.keep()

    def find(self, project_name: str) -> str | None:
        """Return the id of a spreadsheet; of several of that name our own oldest one, so that it is always the same."""
        address = _ADDRESS.match(project_name)
        if address is not None:
            return address[1]
        found = [file for file in self._named(project_name) if file["name"] == project_name]
        if len(found) > 1:
            logging.warning("There are %d spreadsheets '%s': the oldest one is written", len(found), project_name)
        return str(found[0]["id"]) if found else None

    def _named(self, project_name: str) -> list[dict[str, Any]]:
        name = project_name.replace("\\", "\\\\").replace("'", "\\'")
        files: list[dict[str, Any]] = self._read(
            lambda: self._client.drive.list(
                q=f"name = '{name}' and mimeType = '{_KIND}' and trashed = false",
                fields="files(id,name,ownedByMe,createdTime),nextPageToken",
                supportsAllDrives=True,
                includeItemsFromAllDrives=True,
                pageSize=100,
            )
        )
        return sorted(files, key=lambda file: (not file.get("ownedByMe", False), file.get("createdTime", "")))

    def make(self, project_name: str, table_name: str) -> dict[str, Any]:
        """Make a spreadsheet with one worksheet."""
        template = {"sheets": [{"properties": {"title": table_name}}]}
        hint = f"make '{project_name}' yourself and share it with {self.login.account}" if self.login.account else ""
        made: dict[str, Any] = self._write(
            lambda: self._client.sheet.create(project_name, template=template, fields=FIELDS), hint
        )
        return made

    def share(self, spreadsheet_id: str, addresses: Sequence[str]) -> None:
        """Let people write to a spreadsheet; this is idempotent."""
        for address in addresses:
            self._read(
                functools.partial(
                    self._client.drive.create_permission,
                    spreadsheet_id,
                    "writer",
                    "user",
                    emailAddress=address,
                    sendNotificationEmail=False,
                )
            )

    def look_at(self, spreadsheet_id: str) -> dict[str, Any]:
        """Return how a spreadsheet stands, in Google's JSON and without its cells."""
        found: dict[str, Any] = self._read(
            lambda: self._client.sheet.get(spreadsheet_id, fields=FIELDS), self._sharing_hint
        )
        return found

    def read_cells(self, spreadsheet_id: str, title: str, areas: Sequence[Area]) -> Cells:
        """Read cells: formulas as such, so that one whose value is empty counts."""
        if not areas:
            return Cells()
        ranges = [area.a1(title) for area in areas]
        values = self._read(
            lambda: self._client.sheet.values_batch_get(
                spreadsheet_id, ranges, value_render_option=load("pygsheets").ValueRenderOption.FORMULA
            )
        )
        return Cells(areas, values)

    def change(self, spreadsheet_id: str, requests: list[dict[str, Any]]) -> None:
        """Change a spreadsheet: all that is asked for happens, or nothing."""
        self._write(
            lambda: self._client.sheet.batch_update(spreadsheet_id, requests, fields="spreadsheetId"),
            self._sharing_hint,
        )

    def can_write(self, spreadsheet_id: str) -> bool:
        """Return whether a spreadsheet may be written to, without doing it."""
        files = self._client.drive.service.files()
        asked = files.get(fileId=spreadsheet_id, fields="capabilities(canEdit)", supportsAllDrives=True)
        return bool(self._read(lambda: asked.execute(num_retries=0)).get("capabilities", {}).get("canEdit"))

    def answers(self) -> None:
        """Ask both APIs something that changes nothing.

        Raises:
            SheetsError: one doesn't answer as it does to who may ask.
        """
        self._named(_NO_SUCH_ID)
        try:
            self._send(lambda: self._client.sheet.get(_NO_SUCH_ID, fields="spreadsheetId"))
        except Exception as error:
            problem = error
        else:
            return
        failure = describe_failure(problem, self.login)
        if failure is None or failure.status != 404:
            self.effort.failed(problem)

    @property
    def _sharing_hint(self) -> str:
        return f"share the spreadsheet with {self.login.account} as editor" if self.login.account else ""

    def _send(self, call: Callable[[], Any]) -> Any:
        self.effort.calls += 1
        with quiet():
            return call()

    def _read(self, call: Callable[[], Any], hint: str = "") -> Any:
        while True:
            try:
                return self._send(call)
            except Exception as error:
                problem = error
            # Outside of that block, so that what Google said isn't kept as the new error's context.
            self.effort.failed(problem, hint)

    def _write(self, call: Callable[[], Any], hint: str = "") -> Any:
        try:
            return self._send(call)
        except Exception as error:
            problem = error
        self.effort.failed(problem, hint)
        raise UnsureError
