"""How requests are sent to Google's APIs: without redirects or silent resending, and how long they are tried again.

What is asked is left to `heyhi.sheets.api`, where requests may go to `heyhi.sheets.login`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from heyhi.sheets.cells import SheetsError
from heyhi.sheets.login import Login, route

_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_RATE_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})  # Drive tells so with a 403
_MAX_SHOWN = 300  # characters of what Google says


class CutError(Exception):
    """There was no answer, or none in full: what was asked may have been done."""


@dataclass(frozen=True)
class Patience:
    """How long to go on when Google has no time, or the network fails.

    Attributes:
        failures: how many an export takes before it gives up, all its calls together.
        longest: most seconds between two tries.
        timeout: seconds to wait for an answer; Google itself stops after 180.
        sleep: waits.
        jitter: a number from 0 to 1, so that many who were refused together don't come back together.
    """

    failures: int = 7
    longest: float = 64.0
    timeout: float = 200.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, failures: int, asked: float | None) -> float:
        """Return the seconds to wait after so many failures, at least those that Google asked for."""
        return max(min(2.0 ** (failures - 1), self.longest - 1) + self.jitter(), asked or 0.0)


@dataclass(frozen=True)
class Failure:
    """What went wrong with a request.

    Attributes:
        text: what it was, in a line, with nothing secret.
        is_passing: trying again may help.
        after: seconds that Google asked to wait.
        status: HTTP status, 0 without an answer.
    """

    text: str
    is_passing: bool
    after: float | None = None
    status: int = 0


class Transport:
    """What sends requests in the place of httplib2, with its interface.

    httplib2 sends a request again, also one that makes something, when the connection ends without an answer:
    a spreadsheet would be made twice.
    """

    def __init__(self, timeout: float) -> None:
        import requests

        self.timeout = timeout
        self._session = requests.Session()
        self._session.mount("https://", requests.adapters.HTTPAdapter(max_retries=0))
        self._session.mount("http://", requests.adapters.HTTPAdapter(max_retries=0))

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_: object,
    ) -> tuple[Any, bytes]:
        """Send one request, once.

        Raises:
            CutError: no answer.
            SheetsError: it would go to another host than Google's.
        """
        import httplib2
        import requests

        target = route(uri)
        if target != uri:
            self._session.trust_env = False  # a test server is reached through no proxy
        data = body.encode() if isinstance(body, str) else body
        try:
            answer = self._session.request(
                method,
                target,
                data=data,
                headers=dict(headers or {}),
                timeout=(min(self.timeout, 20.0), self.timeout),
                allow_redirects=False,
                auth=_as_it_is,
            )
        except requests.RequestException as error:
            raise CutError(_of_network(error)) from None
        known = {name.lower(): value for name, value in answer.headers.items()}
        response = httplib2.Response({**known, "status": str(answer.status_code)})
        response.reason = answer.reason
        return response, answer.content

    def close(self) -> None:
        """Close connections."""
        self._session.close()


def _as_it_is(request: Any) -> Any:
    """Keep requests from putting a password of ~/.netrc in the place of our token."""
    return request


def _of_network(error: Exception) -> str:
    import requests

    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection"
    return "the connection failed or was cut"


def describe_failure(error: Exception, login: Login) -> Failure | None:
    """Return what an exception says about a request, None for one that comes from elsewhere."""
    from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
    from googleapiclient.errors import HttpError

    if isinstance(error, CutError):
        return Failure(str(error), is_passing=True)
    if isinstance(error, HttpError):
        return _of_answer(error, login)
    if isinstance(error, TransportError) or (isinstance(error, RefreshError) and error.retryable):
        return Failure("no token from Google", is_passing=True)
    if isinstance(error, GoogleAuthError):
        again = "run `heyhi sheets login`" if login.token_path else "the key may have been deleted: make a new one"
        return Failure(f"Google takes these credentials no more ({login.where}): {again}", is_passing=False, status=401)
    if isinstance(error, (ConnectionError, TimeoutError, json.JSONDecodeError)):
        return Failure("the answer was cut", is_passing=True)
    return None


def _of_answer(error: Any, login: Login) -> Failure:
    status = int(error.resp.status)
    try:
        told = json.loads(error.content)["error"]
        message, reasons = str(told["message"]), {e.get("reason") for e in told.get("errors", [])}
    except (ValueError, KeyError, TypeError, AttributeError):
        message, reasons = "", set()
    shown = " ".join(login.scrub(message).split())[:_MAX_SHOWN]
    is_passing = status in _RETRIED or (status == 403 and bool(reasons & _RATE_REASONS))
    text = f"Google answers {status}{': ' if shown else ''}{shown}"
    return Failure(text, is_passing, _seconds(error.resp.get("retry-after")), status)


def _seconds(text: str | None) -> float | None:
    """Read Retry-After; a date in it, which Google doesn't send, is not worth a clock."""
    try:
        return max(float(text), 0.0) if text is not None else None
    except ValueError:
        return None


class Effort:
    """The calls and failures of one export, and the waiting between them.

    Args:
        login: whose secrets are kept out of messages.
        patience: how many failures are taken, and how long to wait.
    """

    def __init__(self, login: Login, patience: Patience) -> None:
        self.login, self.patience = login, patience
        self.calls = 0
        self._failures = 0

    def failed(self, error: Exception, hint: str = "") -> None:
        """Count a failure, and wait where trying again may help.

        Args:
            error: what the request raised.
            hint: what a user can do where Google says no, or finds nothing.

        Raises:
            SheetsError: trying again won't help, or it was one failure too many.
        """
        failure = describe_failure(error, self.login)
        if failure is None:
            raise error
        if not failure.is_passing:
            advice = f" ({hint})" if hint and failure.status in (403, 404) else ""
            raise SheetsError(f"Google Sheets: {failure.text}{advice}") from None
        self._failures += 1
        pause = self.patience.pause(self._failures, failure.after)
        if self._failures >= self.patience.failures or pause > 2 * self.patience.longest:
            times = f"{self._failures} failed tries" if self._failures > 1 else "a failed try"
            asked = f", which asks to wait {pause:.0f} s" if self._failures < self.patience.failures else ""
            raise SheetsError(
                f"Google Sheets: given up after {times} ({failure.text}{asked}); try again later"
            ) from None
        self.patience.sleep(pause)
