"""Credentials for Google: where they come from, how a person logs in, and to which hosts they may be sent.

Nothing secret is in a message, a log or a `repr` of what is here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from heyhi.sheets.cells import SheetsError

# Tables, names of spreadsheets to find one by, and sharing what we made ourselves; no other file's content.
SCOPES = (
    "https://www.googleapis.com/auth/spreadsheets",
    "https://www.googleapis.com/auth/drive.metadata.readonly",
    "https://www.googleapis.com/auth/drive.file",
)
# Names of environment variables.
KEY_VARIABLE = "HH_GOOGLE_SERVICE_ACCOUNT"
CLIENT_VARIABLE = "HH_GOOGLE_CLIENT_SECRET"
API_ROOT_VARIABLE = "HH_GOOGLE_API_ROOT"  # a server that stands for Google, in tests
HOW_TO = (
    f"put a service account's key at {{folder}}/service_account.json or name it in {KEY_VARIABLE}, or an OAuth"
    " client's at {folder}/client_secret.json and run `heyhi sheets login` (heyhi docs sheets)"
)
_HOSTS = frozenset({"sheets.googleapis.com", "www.googleapis.com", "oauth2.googleapis.com", "accounts.google.com"})
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_TOKEN = re.compile(r"\bya29\.[\w.-]+|\b1//[\w.-]+|\bGOCSPX-[\w-]+|(?<=Bearer )\S+")  # as Google writes them
# At level DEBUG these log what they send, codes and tokens included.
_TALKATIVE = ("requests_oauthlib", "oauthlib", "google", "google_auth_httplib2", "urllib3", "googleapiclient")
# The browser comes back to this address, at which nobody listens: it may run on another machine than we do.
_REDIRECT = "http://localhost:1/"


def config_folder() -> Path:
    """Return the folder of credentials: `heyhi` in the user's configuration."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "heyhi"


def how_to_set_up(setting: Path | None = None) -> str:
    """Return a line on how credentials are set up, and whether the file that the settings name is missing."""
    missing = "" if setting is None or _is_there(setting) else "the file that the settings name isn't there; "
    return missing + HOW_TO.format(folder=config_folder())


def route(url: str) -> str:
    """Return where a request to Google is really sent: to Google, or to a test server on this machine.

    Raises:
        SheetsError: it would go to any other host, with credentials.
    """
    parts = urlsplit(url)
    root = os.environ.get(API_ROOT_VARIABLE, "").rstrip("/")
    if root:
        local = urlsplit(root)
        if local.scheme != "http" or local.hostname not in _LOOPBACK or local.username is not None:
            raise SheetsError(
                f"{API_ROOT_VARIABLE} is for tests and takes a server on this machine only (http://127.0.0.1:…)"
            )
        if url.startswith(f"{root}/"):
            return url
    if parts.scheme != "https" or parts.hostname not in _HOSTS or parts.port not in (None, 443):
        raise SheetsError(f"credentials for Google are not sent to {parts.scheme}://{parts.hostname}")
    if not root:
        return url
    return f"{root}{parts.path}{'?' if parts.query else ''}{parts.query}"


@dataclass(frozen=True)
class Login:
    """Credentials, and what may be said of them.

    Attributes:
        kind: "service account" or "OAuth".
        where: what they were read from.
        account: mail address of a service account, else empty.
        credentials: google-auth's.
        token_path: file that keeps what a refresh changes, None for a service account.
    """

    kind: str
    where: str
    account: str
    credentials: Any = field(repr=False)
    token_path: Path | None = None

    def keep(self) -> None:
        """Write what a refresh changed; a token that can't be kept is asked for again next time."""
        if self.token_path is not None:
            with contextlib.suppress(SheetsError):
                _write_private(self.token_path, self.credentials.to_json())

    def scrub(self, text: str) -> str:
        """Remove what is secret from a text that came from elsewhere."""
        for name in ("token", "refresh_token", "client_secret"):
            secret = getattr(self.credentials, name, None)
            text = text.replace(secret, "[secret]") if secret else text
        return _TOKEN.sub("[secret]", text)


def find_login(setting: Path | None = None) -> Login | None:
    """Find credentials, None without any.

    They are looked for in this order: HH_GOOGLE_SERVICE_ACCOUNT (a file, or the key itself as JSON); the setting; in
    the configuration folder, the token of a login, then `service_account.json`.

    Args:
        setting: file of a service account, as settings name it; may also be an OAuth client's, for a login. One
            that isn't there is no error: settings are shared, credentials are not.

    Raises:
        SheetsError: those that were found can't be used.
    """
    named = os.environ.get(KEY_VARIABLE, "").strip()
    if named.startswith("{"):
        return _service_account(_parsed(named, KEY_VARIABLE), KEY_VARIABLE)
    if named:
        # What isn't a file may be a key that lost its braces: it is not shown.
        return _service_account(_read(Path(named).expanduser(), f"the file that {KEY_VARIABLE} names"), KEY_VARIABLE)
    if setting is not None and _is_there(setting):
        info = _read(setting.expanduser(), _shown(setting))
        if info.get("type") == "service_account":
            return _service_account(info, _shown(setting))
        if not _is_client(info):
            raise SheetsError(f"{_shown(setting)} is neither a service account's key nor an OAuth client's")
    token = config_folder() / "token.json"
    if token.is_file():
        return _stored(token)
    key = config_folder() / "service_account.json"
    return _service_account(_read(key, str(key)), str(key)) if key.is_file() else None


def find_client(setting: Path | None = None) -> Path | None:
    """Find an OAuth client to log in with: HH_GOOGLE_CLIENT_SECRET, the setting, or `client_secret.json`."""
    named = os.environ.get(CLIENT_VARIABLE)
    if named:
        return Path(named).expanduser()
    if setting is not None and _is_there(setting) and _is_client(_read(setting.expanduser(), _shown(setting))):
        return setting.expanduser()
    usual = config_folder() / "client_secret.json"
    return usual if usual.is_file() else None


def _shown(path: Path) -> str:
    """Name a file in a message; what names no file may be the secret itself, put in the wrong place."""
    return str(path) if _is_there(path) else "the file of credentials"


def _is_there(path: Path) -> bool:
    return os.path.exists(path.expanduser())  # noqa: PTH110 (never raises)


def _is_client(info: Mapping[str, Any]) -> bool:
    return isinstance(info.get("installed") or info.get("web"), dict)


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise SheetsError(f"{name} can't be read: {reason}") from None
    return _parsed(text, name)


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        info = json.loads(text)
    except ValueError:
        info = None
    if not isinstance(info, dict):
        raise SheetsError(f"{name} holds no JSON object") from None
    return info


def _service_account(info: Mapping[str, Any], where: str) -> Login:
    from google.oauth2 import service_account

    kind: Any = service_account.Credentials  # its types are half written

    class Account(kind):  # type: ignore[misc]
        """A service account that asks no further service, from a thread, in which regions it may be used."""

        def _is_regional_access_boundary_lookup_required(self) -> bool:
            return False

    try:
        if info.get("type") != "service_account":
            raise ValueError
        credentials = Account.from_service_account_info(info, scopes=SCOPES)
        account = str(info["client_email"])
    except (ValueError, KeyError, TypeError):  # what the error says may hold a part of the key
        raise SheetsError(f"{where} holds no service account's key, or a damaged one") from None
    route(str(info.get("token_uri", "")))
    return Login("service account", where, account, credentials)


def _stored(token: Path) -> Login:
    from google.oauth2 import credentials as oauth

    kind: Any = oauth.Credentials
    info = _read(token, str(token))
    with contextlib.suppress(OSError):
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)
    try:
        credentials = kind.from_authorized_user_info(info)
    except (ValueError, TypeError, AttributeError):
        raise SheetsError(f"{token} holds no login: remove it and run `heyhi sheets login`") from None
    return Login("OAuth", str(token), "", credentials, token)


def log_in(client: Path, ask: Callable[[str], str], say: Callable[[str], None]) -> Login:
    """Let a person log in, in a browser on whatever machine, and keep the token for this user only.

    Args:
        client: file of an OAuth client of the kind "Desktop app".
        ask: asks for a line.
        say: prints one.

    Raises:
        SheetsError: the file is no OAuth client's, or Google refused.
    """
    from google_auth_oauthlib.flow import Flow

    info = _read(client, _shown(client))
    if not _is_client(info):
        raise SheetsError(f"{_shown(client)} holds no OAuth client")
    kind = "installed" if "installed" in info else "web"
    try:
        settings = {**info[kind], "token_uri": route(str(info[kind].get("token_uri", "")))}
        urlsplit(route(str(settings.get("auth_uri", ""))))
        flow = Flow.from_client_config({kind: settings}, scopes=SCOPES, redirect_uri=_REDIRECT)
        # Without "consent", a second login would come without the token that makes it last.
        address, state = flow.authorization_url(access_type="offline", prompt="consent")
    except (ValueError, KeyError, TypeError):
        raise SheetsError(f"{_shown(client)} holds no OAuth client, or a damaged one") from None
    say(f"Open this address in a browser, on any machine, and allow the access:\n{address}")
    say(f"The browser ends at a page that doesn't load ({_REDIRECT}?…). That is right: its address holds the answer.")
    try:
        answer = ask("Paste that address here: ")
    except (EOFError, UnicodeDecodeError):
        raise SheetsError("no answer came: run `heyhi sheets login` again, in a terminal") from None
    code = _code(answer.strip(), state)
    _fetch_token(flow, code)
    path = config_folder() / "token.json"
    _write_private(path, flow.credentials.to_json())
    return Login("OAuth", str(path), "", flow.credentials, path)


def _code(answer: str, state: str) -> str:
    query: dict[str, list[str]] = {}
    with contextlib.suppress(ValueError):  # no address at all
        query = parse_qs(urlsplit(answer).query)
    if "error" in query:
        raise SheetsError(f"the login was refused ({query['error'][0][:80]})")
    if query.get("state") != [state] or len(query.get("code", [])) != 1:
        raise SheetsError("that is not the address at which this login ended; run `heyhi sheets login` again")
    return query["code"][0]


def _fetch_token(flow: Any, code: str) -> None:
    from oauthlib.oauth2 import OAuth2Error
    from requests import RequestException

    try:
        with quiet():
            flow.fetch_token(code=code, timeout=60)
    except OAuth2Error as error:
        why = str(error.error)[:80]
        raise SheetsError(f"Google refused the login ({why}): run `heyhi sheets login` again") from None
    except RequestException as error:
        raise SheetsError(f"Google can't be reached ({type(error).__name__})") from None
    except Warning:  # so is told that scopes are missing
        raise SheetsError("not all that was asked for was allowed: run `heyhi sheets login` again, tick all") from None


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise SheetsError(f"{path} can't be written: {error.strerror}") from None


def is_interactive() -> bool:
    """Return whether a person at a terminal can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep libraries from logging what they send, whatever level a user set."""
    below = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _TALKATIVE]
    loggers = [logging.getLogger(name) for name in {*_TALKATIVE, *below}]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
