"""How a message gets to those who are told: all at once, in a bounded time; what fails is said and stops nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus

from heyhi.notify.forms import Message, json_of, post_of
from heyhi.notify.whom import Whom, find_sendmail

SECONDS = 10.0  # that one of them may take
_TRIES = 3
_PAUSES = (1.0, 2.0)  # between them, unless the server says how long
_MOST_ANSWER = 10_000
_BUSY = HTTPStatus.TOO_MANY_REQUESTS


class _SendError(Exception):
    """A message didn't get there; the text says why, with nothing of an address."""


def send(whom: Sequence[Whom], message: Message, seconds: float = SECONDS) -> list[str]:
    """Tell some people, side by side; return what went wrong, one text for each whom it went wrong for.

    Args:
        whom: are told.
        message: what they are told.
        seconds: that it takes at most.
    """
    until = time.monotonic() + seconds
    failures: dict[Whom, str] = dict.fromkeys(whom, f"no answer within {seconds:.0f} s")

    def work(one: Whom) -> None:
        try:
            _WAYS.get(one.kind, _post)(one, message, until)
            failures[one] = ""
        except _SendError as error:
            failures[one] = str(error)
        except Exception as error:  # its text may quote the address
            failures[one] = f"it can't be reached: {type(error).__name__}"

    threads = [threading.Thread(target=work, args=(one,), name="heyhi-notify", daemon=True) for one in failures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()) + 0.5)
    return [f"{one.shown} was not told: {why}" for one, why in dict(failures).items() if why]


def _post(whom: Whom, message: Message, until: float) -> None:
    import http.client
    import urllib.error
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        """An address that leads elsewhere isn't followed: who gets there would learn what is told."""

        def redirect_request(self, *args: object) -> None:
            return None

    url, headers, data = post_of(whom, message)
    opener = urllib.request.build_opener(Stay)
    why = "no answer"
    for number in range(_TRIES):
        request = urllib.request.Request(url, data, headers, method="POST")
        pause = _PAUSES[min(number, len(_PAUSES) - 1)]
        try:
            with opener.open(request, timeout=max(0.1, until - time.monotonic())) as answer:
                answer.read(_MOST_ANSWER)
                return
        except urllib.error.HTTPError as error:
            with error:
                why = _said(error.code)
                if not (error.code == _BUSY or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR):
                    raise _SendError(why) from None
                with contextlib.suppress(ValueError):
                    pause = max(pause, float(error.headers.get("Retry-After", "")))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            # A text of the system's own, such as `Connection refused`; any other one may quote the address.
            text = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
            why = f"it can't be reached: {text}"
            if not isinstance(reason, ConnectionError):
                raise _SendError(why) from None
        if time.monotonic() + pause >= until:
            break
        if number + 1 < _TRIES:
            time.sleep(pause)
    raise _SendError(why)


def _said(code: int) -> str:
    with contextlib.suppress(ValueError):
        status = HTTPStatus(code)
        elsewhere = " (it leads elsewhere, and isn't followed)" if 300 <= code < 400 else ""
        return f"it answered {code} {status.phrase}{elsewhere}"
    return f"it answered {code}"


def _mail(whom: Whom, message: Message, until: float) -> None:
    import email.message
    import email.policy

    mail = email.message.EmailMessage(email.policy.SMTP)
    title, _, rest = message.text.partition("\n")
    mail["To"] = whom.address
    mail["Subject"] = f"HeyHi: {title}"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{title}\n{rest}\n")
    sendmail = find_sendmail()
    if sendmail is not None:
        data = mail.as_bytes(policy=email.policy.default)
        return _run([sendmail, "-oi", "-t"], data, dict(os.environ), until)
    import getpass
    import smtplib
    import socket

    mail["From"] = f"{getpass.getuser()}@{socket.getfqdn()}"
    try:
        with smtplib.SMTP("localhost", timeout=max(0.1, until - time.monotonic())) as server:
            server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise _SendError(f"the mail server of this machine didn't take it: {type(error).__name__}") from None
    return None


def _command(whom: Whom, message: Message, until: float) -> None:
    env = {**os.environ, "HEYHI_MESSAGE": message.text, "HEYHI_EVENT": message.event}
    _run(shlex.split(whom.address), f"{json.dumps(json_of(message))}\n".encode(), env, until)


def _run(command: Sequence[str], data: bytes, env: dict[str, str], until: float) -> None:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,  # Ctrl-C in a terminal isn't for it
        )
    except OSError as error:
        raise _SendError(f"it can't be run: {error.strerror}") from None
    try:
        process.communicate(data, timeout=max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise _SendError("it took too long, and was ended") from None
    if process.returncode:
        raise _SendError(f"it ended with exit code {process.returncode}")


_WAYS = {"mail": _mail, "command": _command}
