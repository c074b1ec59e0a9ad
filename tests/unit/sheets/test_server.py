"""The server that stands for Google is as strict as Google: what it would let pass, no test of an export would see."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from sheets_server import Server

UPDATE = {
    "range": {"sheetId": 0, "startRowIndex": 0, "endRowIndex": 1, "startColumnIndex": 0, "endColumnIndex": 1},
    "rows": [{"values": [{"userEnteredValue": {"stringValue": "x"}}]}],
    "fields": "userEnteredValue",
}


def ask(server: Server, path: str, body: Any = None, *, token: str = "t") -> tuple[int, str]:
    server.tokens.add("t")
    answer = requests.request(
        "GET" if body is None else "POST",
        server.root + path,
        data=body if isinstance(body, str) or body is None else json.dumps(body),
        headers={"authorization": f"Bearer {token}"},
        timeout=20,
    )
    told = answer.json()
    return answer.status_code, told.get("error", {}).get("message", json.dumps(told))


def update(server: Server, *asked: dict[str, Any]) -> tuple[int, str]:
    book = server.make_book("Book", "tab")
    status, message = ask(server, f"/v4/spreadsheets/{book.id}:batchUpdate", {"requests": list(asked)})
    if status != 200:
        assert book.sheet("tab").filled() == {}
        assert len(book.sheets) == 1
    return status, message


def test_a_right_request_is_done(server: Server) -> None:
    assert update(server, {"updateCells": UPDATE})[0] == 200
    assert server.book("Book").sheet("tab").filled() == {"A1": "x"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"updateCells": {**UPDATE, "colour": 1}}, "Unknown name \"colour\" at 'requests[1].updateCells'"),
        ({"updateCells": {**UPDATE, "rows": {}}}, "Invalid value at 'requests[1].updateCells.rows' (repeated)"),
        (
            {"updateCells": {**UPDATE, "rows": [{"values": [{"userEnteredValue": {"numberValue": "1"}}]}]}},
            "Invalid value at 'requests[1].updateCells.rows[0].values[0].userEnteredValue.numberValue' (TYPE_DOUBLE)",
        ),
        ({"updateCells": {**UPDATE, "fields": "userEnteredValue,colour"}}, "'colour' is no field of CellData"),
        ({"updateCells": {**UPDATE, "fields": ""}}, "At least one field"),
        ({"updateCells": {**UPDATE, "range": {**UPDATE["range"], "endRowIndex": 1001}}}, "exceeds grid limits"),
        ({"updateCells": {**UPDATE, "range": {"sheetId": 5}}}, "No grid with id: 5"),
        ({"updateCells": UPDATE, "addSheet": {}}, "Must set exactly one kind"),
        ({"addSheets": {}}, 'Unknown name "addSheets"'),
        ({"addSheet": {"properties": {"title": "TAB"}}}, "already exists"),
        ({"addNamedRange": {"namedRange": {"name": "A1", "range": UPDATE["range"]}}}, "looks like a cell"),
        ({"appendDimension": {"sheetId": 0, "dimension": "ROW", "length": 1}}, "Invalid value at"),
        (
            {
                "insertDimension": {
                    "range": {"sheetId": 0, "dimension": "ROWS", "startIndex": 0, "endIndex": 1},
                    "inheritFromBefore": True,
                }
            },
            "inheritFromBefore",
        ),
        ({"appendDimension": {"sheetId": 0, "dimension": "ROWS", "length": 500_000}}, "above 10000000 cells"),
        (
            {"updateCells": {**UPDATE, "rows": [{"values": [{"userEnteredValue": {"stringValue": "x" * 50_001}}]}]}},
            "more than the maximum of 50000 characters",
        ),
        (
            {
                "updateCells": {
                    **UPDATE,
                    "fields": "*",
                    "rows": [
                        {
                            "values": [
                                {"userEnteredValue": {"numberValue": 1}, "textFormatRuns": [{"format": {"bold": True}}]}
                            ]
                        }
                    ],
                }
            },
            "only be set on cells with text",
        ),
    ],
)
def test_a_wrong_request_is_refused_and_none_of_its_list_is_done(
    server: Server, asked: dict[str, Any], message: str
) -> None:
    status, told = update(server, {"updateCells": UPDATE}, asked)
    assert (status, message in told) == (400, True), told


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v4/spreadsheets/book-1_x?colour=1", 400, 'Unknown name "colour"'),
        ("/v4/spreadsheets/book-1_x?includeGridData=yes", 400, "TYPE_BOOL"),
        ("/v4/spreadsheets/book-1_x?fields=sheets(colour)", 400, "Invalid field selection colour"),
        ("/v4/spreadsheets/book-1_x?fields=sheets(", 400, "Invalid field selection"),
        ("/v4/spreadsheets/nothing", 404, "not found"),
        ("/v4/spreadsheets/book-1_x/cells", 400, "unknown method"),
        ("/v4/spreadsheets/book-1_x/values:batchGet?ranges='no'!A1:B2&valueRenderOption=FORMULA", 400, "parse range"),
        ("/v4/spreadsheets/book-1_x/values:batchGet?ranges='tab'!A1:ZZ2&valueRenderOption=FORMULA", 400, "exceeds"),
        ("/drive/v3/files?q=nonsense", 400, "Invalid Value"),
        ("/drive/v3/files?pageSize=0", 400, "must be within the range"),
        ("/drive/v3/files?fields=files(id,colour)", 400, "Invalid field selection colour"),
    ],
)
def test_a_wrong_question_is_refused(server: Server, path: str, status: int, message: str) -> None:
    server.make_book("Book", "tab")
    found, told = ask(server, path)
    assert (found, message in told) == (status, True), told


def test_only_what_was_asked_for_is_told(server: Server) -> None:
    server.make_book("Book", "tab")
    status, told = ask(server, "/v4/spreadsheets/book-1_x?fields=properties.title,sheets(properties/sheetId)")
    assert status == 200
    assert json.loads(told) == {"properties": {"title": "Book"}, "sheets": [{"properties": {"sheetId": 0}}]}


def test_who_has_no_token_is_told_nothing(server: Server) -> None:
    assert ask(server, "/drive/v3/files", token="x")[0] == 401


def test_what_is_no_json_is_refused(server: Server) -> None:
    for text in ("{", '{"properties": {"title": NaN}}', "[]"):
        assert ask(server, "/v4/spreadsheets", text)[0] == 400
