from __future__ import annotations

import json
import logging
import stat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from sheets_server import Server

from heyhi.sheets.cells import SheetsError
from heyhi.sheets.export import check, login, save_pandas_table
from heyhi.sheets.login import SCOPES, find_login, route

CLIENT = {
    "installed": {
        "client_id": "client.apps.googleusercontent.com",
        "client_secret": "GOCSPX-very-secret",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
}
FRAME = pd.DataFrame({"status": ["DONE"]})


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Path:
    """The folder of credentials."""
    return tmp_path / "config" / "heyhi"


def write(path: Path, info: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(info))
    return path


class Person:
    """Opens the link, allows all, and pastes the address at which the browser ended."""

    def __init__(self, answer: str = "http://localhost:1/?state={state}&code=4/a-code&scope=x") -> None:
        self.answer = answer
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @property
    def query(self) -> dict[str, list[str]]:
        (address,) = [word for line in self.lines for word in line.split() if word.startswith("https://accounts")]
        return parse_qs(urlsplit(address).query)

    def ask(self, prompt: str) -> str:
        return self.answer.format(state=self.query["state"][0]) + "\n"


@pytest.fixture
def logging_in(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    """A person, an OAuth client and a server on http that hands out tokens."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    server.token_scope = " ".join(SCOPES)
    write(folder / "client_secret.json", CLIENT)
    return Person()


# --- a login ------------------------------------------------------------------------------------------------------


def test_a_login_prints_the_link_and_keeps_a_token_that_only_its_owner_reads(
    server: Server, folder: Path, logging_in: Person
) -> None:
    path = login(ask=logging_in.ask, say=logging_in.say)
    assert path == folder / "token.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in folder.iterdir() if p.name.startswith("token")] == ["token.json"]
    assert logging_in.query["scope"] == [" ".join(SCOPES)]
    assert logging_in.query["access_type"] == ["offline"]
    (asked,) = server.token_requests
    assert asked["code"] == "4/a-code"
    assert len(asked["code_verifier"]) >= 43
    done = save_pandas_table(FRAME, "Project", "sweep")
    assert done is not None
    assert server.book("Project").sheet("sweep").value("B11") == "DONE"
    assert len(server.token_requests) == 1


def test_a_folder_that_a_login_makes_is_closed_to_others(
    server: Server, tmp_path: Path, logging_in: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = write(tmp_path / "elsewhere.json", CLIENT)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "new"))
    path = login(client, ask=logging_in.ask, say=logging_in.say)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("http://localhost:1/?error=access_denied&state={state}", r"was refused \(access_denied\)"),
        ("http://localhost:1/?state=other&code=4/a-code", "not the address at which this login ended"),
        ("http://localhost:1/?state={state}", "not the address at which this login ended"),
        ("4/a-code", "not the address at which this login ended"),
        ("http://[", "not the address at which this login ended"),
    ],
)
def test_another_answer_than_the_one_to_this_login_is_refused(
    server: Server, folder: Path, logging_in: Person, answer: str, message: str
) -> None:
    logging_in.answer = answer
    with pytest.raises(SheetsError, match=message):
        login(ask=logging_in.ask, say=logging_in.say)
    assert not server.token_requests
    assert not (folder / "token.json").exists()


def test_a_login_that_nobody_answers_is_an_error_in_a_line(logging_in: Person) -> None:
    def ask(prompt: str) -> str:
        raise EOFError

    with pytest.raises(SheetsError, match=r"^no answer came: run `heyhi sheets login` again, in a terminal$"):
        login(ask=ask, say=logging_in.say)


def test_a_login_that_google_refuses_is_an_error_in_a_line(server: Server, logging_in: Person) -> None:
    server.is_revoked = True
    with pytest.raises(
        SheetsError, match=r"^Google refused the login \(invalid_grant\): run `heyhi sheets login` again$"
    ):
        login(ask=logging_in.ask, say=logging_in.say)


def test_a_login_in_which_not_all_was_allowed_says_so(server: Server, logging_in: Person) -> None:
    server.token_scope = SCOPES[0]
    with pytest.raises(SheetsError, match="not all that was asked for was allowed"):
        login(ask=logging_in.ask, say=logging_in.say)


def test_a_login_logs_nothing_secret(
    server: Server, logging_in: Person, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    login(ask=logging_in.ask, say=logging_in.say)
    everything = caplog.text + "".join(capfd.readouterr()) + "".join(logging_in.lines)
    for secret in ("GOCSPX-very-secret", "1//refresh-very-secret", "4/a-code", *server.tokens):
        assert secret not in everything


def test_without_a_client_a_login_says_where_one_goes(folder: Path) -> None:
    with pytest.raises(SheetsError, match=r"no OAuth client to log in with.*client_secret\.json"):
        login()


def test_a_client_that_sends_people_elsewhere_is_refused(folder: Path, logging_in: Person) -> None:
    for field in ("auth_uri", "token_uri"):
        changed = {"installed": {**CLIENT["installed"], field: "https://evil.example/token"}}
        write(folder / "client_secret.json", changed)
        with pytest.raises(SheetsError, match=r"not sent to https://evil\.example"):
            login(ask=logging_in.ask, say=logging_in.say)


# --- what is found ------------------------------------------------------------------------------------------------


def token_of(folder: Path) -> Path:
    info = {"refresh_token": "1//stored-secret", "client_id": "c", "client_secret": "GOCSPX-very-secret"}
    return write(folder / "token.json", info)


def test_credentials_are_looked_for_in_order(
    folder: Path, account: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def where(setting: Path | None = None) -> str | None:
        found = find_login(setting)
        return None if found is None else found.where

    assert where() is None
    write(folder / "service_account.json", account)
    assert where() == str(folder / "service_account.json")
    token_of(folder)
    assert where() == str(folder / "token.json")
    key = write(tmp_path / "key.json", account)
    assert where(key) == str(key)
    assert where(write(tmp_path / "client.json", CLIENT)) == str(folder / "token.json")
    monkeypatch.setenv("HH_GOOGLE_SERVICE_ACCOUNT", str(key))
    assert where() == "HH_GOOGLE_SERVICE_ACCOUNT"
    monkeypatch.setenv("HH_GOOGLE_SERVICE_ACCOUNT", json.dumps(account))
    assert where(key) == "HH_GOOGLE_SERVICE_ACCOUNT"


def test_a_stored_token_is_closed_to_others_renewed_and_kept(server: Server, folder: Path) -> None:
    path = token_of(folder)
    path.chmod(0o644)
    save_pandas_table(FRAME, "Project", "sweep")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["token"] in server.tokens
    save_pandas_table(FRAME, "Project", "sweep")
    assert [request["grant_type"] for request in server.token_requests] == ["refresh_token"]


def test_a_token_that_is_good_still_is_closed_to_others_and_left_as_it_is(server: Server, folder: Path) -> None:
    server.tokens.add("ya29.good-still")
    info = {"refresh_token": "1//r", "client_id": "c", "client_secret": "s", "token": "ya29.good-still"}
    path = write(folder / "token.json", {**info, "expiry": "2999-01-01T00:00:00Z"})
    path.chmod(0o644)
    before = path.read_text()
    save_pandas_table(FRAME, "Project", "sweep")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (path.read_text(), server.token_requests) == (before, [])


def test_a_login_that_was_revoked_says_how_to_log_in_again(server: Server, folder: Path) -> None:
    token_of(folder)
    server.is_revoked = True
    with pytest.raises(SheetsError) as caught:
        save_pandas_table(FRAME, "Project", "sweep")
    assert str(caught.value) == (
        f"Google Sheets: Google takes these credentials no more ({folder / 'token.json'}): run `heyhi sheets login`"
    )


def test_no_credentials_are_a_line_and_no_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert save_pandas_table(FRAME, "Project", "sweep") is None
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert str(folder / "service_account.json") in err
    assert [finding.is_good for finding in check()] == [False]
    assert "no credentials" in check()[0].text


def test_a_client_without_a_login_is_a_line_that_says_how_to_log_in(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "client_secret.json", CLIENT)
    assert save_pandas_table(FRAME, "Project", "sweep") is None
    assert capsys.readouterr().err.endswith("nobody has logged in yet, run `heyhi sheets login`\n")


SECRET = "MIIEvQIBADANBgkqhkiG9w0BAQ"


@pytest.mark.parametrize(
    "text",
    [
        f'"type": "service_account", "private_key": "{SECRET}"',
        f'{{"type": "service_account", "private_key": "{SECRET}"',
        f'{{"type": "service_account", "private_key": "{SECRET}", "client_email": "a@b", "token_uri": "https://x"}}',
        f'{{"private_key": "{SECRET}"}}',
        SECRET,
        SECRET * 300,
        "\0" + SECRET,
    ],
)
def test_a_key_in_the_wrong_shape_or_place_is_not_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    errors = []
    if "\0" not in text:
        monkeypatch.setenv("HH_GOOGLE_SERVICE_ACCOUNT", text)
        errors += [finding.text for finding in check()]
        monkeypatch.delenv("HH_GOOGLE_SERVICE_ACCOUNT")
        monkeypatch.setenv("HH_GOOGLE_CLIENT_SECRET", text)
        with pytest.raises(SheetsError) as caught:
            login()
        errors.append(str(caught.value))
        monkeypatch.delenv("HH_GOOGLE_CLIENT_SECRET")
    errors += [finding.text for finding in check(credentials=Path(text))]
    for name in ("service_account.json", "token.json"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        errors += [finding.text for finding in check()]
    assert errors
    assert [error for error in errors if SECRET in error or "\n" in error] == []


def test_what_is_held_is_not_in_any_repr(folder: Path, account: dict[str, str]) -> None:
    write(folder / "service_account.json", account)
    found = find_login()
    assert account["client_email"] in repr(found)
    assert account["private_key"].splitlines()[1] not in repr(found) + str(found)


# --- where credentials go -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v4/spreadsheets",
        "https://sheets.googleapis.com.evil.example/",
        "https://sheets.googleapis.com@evil.example/",
        "http://sheets.googleapis.com/v4/spreadsheets",
        "https://sheets.googleapis.com:444/v4",
        "https://other.googleapis.com/v1",
        "",
    ],
)
def test_credentials_are_sent_to_nobody_else(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for root in ("", "http://127.0.0.1:1"):
        monkeypatch.setenv("HH_GOOGLE_API_ROOT", root)
        with pytest.raises(SheetsError, match="are not sent to"):
            route(url)


@pytest.mark.parametrize(
    "root",
    [
        "http://evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "http://user:pass@127.0.0.1",
        "https://127.0.0.1:1",
        "127.0.0.1:1",
    ],
)
def test_a_test_server_is_on_this_machine_or_none(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setenv("HH_GOOGLE_API_ROOT", root)
    with pytest.raises(SheetsError, match="takes a server on this machine only"):
        route("https://sheets.googleapis.com/v4/spreadsheets")


def test_requests_go_to_google_or_to_the_test_server(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://sheets.googleapis.com/v4/spreadsheets?fields=a%2Cb"
    assert route(url) == url
    monkeypatch.setenv("HH_GOOGLE_API_ROOT", "http://127.0.0.1:8/")
    assert route(url) == "http://127.0.0.1:8/v4/spreadsheets?fields=a%2Cb"
    assert route("http://127.0.0.1:8/token") == "http://127.0.0.1:8/token"


def test_a_service_account_that_sends_its_claims_elsewhere_is_refused(
    folder: Path, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changed: dict[str, Any] = {**account, "token_uri": "https://evil.example/token"}
    monkeypatch.setenv("HH_GOOGLE_SERVICE_ACCOUNT", json.dumps(changed))
    with pytest.raises(SheetsError, match=r"not sent to https://evil\.example"):
        save_pandas_table(FRAME, "Project", "sweep")
