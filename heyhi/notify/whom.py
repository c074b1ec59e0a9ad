"""Whom a message goes to, as `--notify` and `[tool.heyhi] notify` name them; an address is a secret as a whole.

What is shown of one, in messages and records, says where it leads and no more.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence

from heyhi.errors import NotifyError, suggest
from heyhi.quick_tuple import NamedTuple
from heyhi.regex import regex

EXPECTED = "a URL (https://…), ntfy:URL, mail:ADDRESS, command:COMMAND or env:NAME"
NOBODY_SAID = "nobody is told there"
_WORDS = ("https", "http", "ntfy", "mail", "command", "env")
_NAME = regex(r"[A-Za-z_][A-Za-z0-9_]*")
_MAIL = regex(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]*@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
)
_TOPIC = regex(r"/([A-Za-z0-9_-]{1,64})/?")
_HOOK = regex(r"(?:/[^/]+)?/hooks/[a-z0-9]{26}/?")
_DISCORD = ("discord.com", "discordapp.com")
_SLACK = ("hooks.slack.com", "hooks.slack-gov.com")
_SENDMAIL_PLACES = ("/usr/sbin", "/usr/lib", "/usr/local/sbin")
_SMTP_PORT = 25


_taken: dict[str, str] = {}  # variables that were in the environment


class Whom(NamedTuple):
    """One who is told.

    Attributes:
        kind: `slack`, `discord`, `mattermost`, `ntfy`, `url` (any other), `mail` or `command`.
        address: a URL, an address of mail, or a command line.
    """

    kind: str
    address: str

    @property
    def shown(self) -> str:
        """What others may see of it."""
        if self.kind == "mail":
            return f"mail:{self.address}"
        if self.kind == "command":
            return f"command:{shlex.split(self.address)[0]}"
        from urllib.parse import urlsplit  # most launches tell nobody

        parts = urlsplit(self.address)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}/…"


def check(text: str) -> None:
    """Make sure that a text names somebody, as far as the text alone tells it.

    Raises:
        NotifyError: it doesn't; the message has nothing of an address.
    """
    name = _variable(text)
    if name is None:
        _parse(text)
    elif not _NAME.fullmatch(name):
        raise NotifyError("env: takes the name of an environment variable which has the address, such as env:SLACK_URL")


def whom_of(text: str) -> Whom:
    """Return who is named; `env:NAME` stands for what an environment variable has.

    Raises:
        NotifyError: nobody; the message has nothing of an address.
    """
    check(text)
    name = _variable(text)
    if name is None:
        return _parse(text)
    value = (os.environ.get(name) or _taken.get(name, "")).strip()
    if not value:
        raise NotifyError(f"env:{name}: no environment variable {name} is set, which should have the address", key=name)
    if _variable(value) is not None:
        raise NotifyError(
            f"env:{name}: the variable {name} names another one, and should have the address itself", key=name
        )
    try:
        return _parse(value)
    except NotifyError as error:
        raise NotifyError(f"env:{name}: {error}") from None


def is_secret(text: str) -> bool:
    """Return whether a text has an address that only those may see who are to use it."""
    return _variable(text) is None and whom_of(text).kind not in ("mail", "command")


def take_from_environment(texts: Iterable[str]) -> None:
    """Take the variables that texts name out of this process's environment: what it starts needs no address.

    Args:
        texts: name those who are told; this process finds them as before.
    """
    for text in texts:
        name = _variable(text)
        if name and (value := os.environ.pop(name, "")):
            _taken[name] = value


def find_sendmail() -> str | None:
    """Return the path of sendmail, by which mail is sent."""
    import shutil  # most launches tell nobody

    places = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *_SENDMAIL_PLACES]
    return shutil.which("sendmail", path=os.pathsep.join(places))


def check_here(whom: Whom) -> None:
    """Make sure that this machine has what it takes to tell somebody.

    Raises:
        NotifyError: it hasn't.
    """
    import shutil
    import socket

    if whom.kind == "command":
        name = shlex.split(whom.address)[0]
        if shutil.which(name) is None:
            raise NotifyError(f"{whom.shown}: there is no such command on this machine")
    elif whom.kind == "mail" and find_sendmail() is None:
        try:
            socket.create_connection(("localhost", _SMTP_PORT), timeout=2).close()
        except OSError:
            raise NotifyError(
                f"{whom.shown}: this machine can't send mail: it has no sendmail, and nothing listens at port 25"
            ) from None


def shown_text(text: str) -> str:
    """Return what may be seen of a text that names somebody, also of one that names nobody."""
    if _variable(text) is not None:
        return text.strip()
    try:
        return _parse(text).shown
    except NotifyError:
        return "…"


def without_addresses(words: Sequence[str], option: str = "--notify") -> list[str]:
    """Return a command line with what may be seen of the addresses in it, for records that others read."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == option:
            found.append(shown_text(word))
        elif word.startswith(f"{option}="):
            found.append(f"{option}={shown_text(word.partition('=')[2])}")
        else:
            found.append(word)
    return found


def shown_all(whom: Iterable[Whom]) -> str:
    """Name some who are told."""
    return ", ".join(one.shown for one in whom)


def _variable(text: str) -> str | None:
    """Return the name of the environment variable that a text names; None where it names none."""
    text = text.strip()
    return text.removeprefix("env:") if text.startswith("env:") else None


def _parse(text: str) -> Whom:
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    if not text:
        raise NotifyError(f"nobody is named: expected {EXPECTED}")
    if not colon:
        hint = " (did you mean mail: before it?)" if _MAIL.fullmatch(text) else ""
        raise NotifyError(f"what is named begins with no https:, mail: or command:{hint}; expected {EXPECTED}")
    scheme = scheme.lower()
    if scheme in ("mail", "mailto"):
        return _parse_mail(rest)
    if scheme == "command":
        return _parse_command(rest)
    if scheme == "ntfy":
        return _parse_url(rest.strip(), "ntfy:", is_ntfy=True)
    if scheme in ("http", "https"):
        return _parse_url(text)
    known = scheme if scheme.isalpha() and len(scheme) <= 20 else "…"  # what else stands there may be a secret
    raise NotifyError(f"'{known}:' is no way to tell somebody{suggest(known, _WORDS)}; expected {EXPECTED}", key=known)


def _parse_mail(address: str) -> Whom:
    address = address.strip()
    if not _MAIL.fullmatch(address):
        raise NotifyError(
            "mail: takes one plain address, such as mail:me@example.org; for several, --notify is repeated"
        )
    return Whom("mail", address)


def _parse_command(line: str) -> Whom:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise NotifyError(f"command: can't be split into words: {str(error).lower()}") from None
    if not words or not words[0] or "\0" in line:
        raise NotifyError("command: takes a program and its arguments, such as 'command:notify-send HeyHi'")
    return Whom("command", line.strip())


def _parse_url(text: str, before: str = "", *, is_ntfy: bool = False) -> Whom:
    from urllib.parse import urlsplit

    expected = f"expected {before}https://HOST/PATH"
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise NotifyError(f"the URL has blanks or other characters that no URL has; {expected}, others as %20")
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:  # which may quote it
        raise NotifyError(f"the URL can't be read: its host or port is none; {expected}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise NotifyError(f"the URL has no host, or isn't of the web; {expected}")
    if is_ntfy or host == "ntfy.sh" or host.partition(".")[0] == "ntfy":
        if not _TOPIC.fullmatch(parts.path):
            raise NotifyError(f"{before}{parts.scheme}://{host}: ntfy's address ends in a topic: https://{host}/TOPIC")
        return Whom("ntfy", text)
    if not parts.path.strip("/") and not parts.query:
        raise NotifyError(f"{parts.scheme}://{host}: a webhook's address has a path, too: copy all of it")
    return Whom(_kind(host, parts.path), text)


def _kind(host: str, path: str) -> str:
    if host in _SLACK:
        return "slack"
    # Of both, what ends in /slack takes Slack's form.
    if any(host == one or host.endswith(f".{one}") for one in _DISCORD) and path.startswith("/api/"):
        return "slack" if path.rstrip("/").endswith("/slack") else "discord"
    return "mattermost" if _HOOK.fullmatch(path) else "url"
