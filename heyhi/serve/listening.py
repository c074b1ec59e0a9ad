"""Where a server listens, by which names it is asked for, and what is printed of that."""

from __future__ import annotations

import errno
import getpass
import hashlib
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from heyhi.errors import HeyhiError
from heyhi.serve.kept_token import server_at
from heyhi.text import shell_word

FIRST_PORT, PORTS = 20_000, 10_000  # below those that systems give to whoever asks for any
_TRIES = 50
_NO_ADDRESS = "--host {}: is no address of this machine{}; 127.0.0.1 is the default, and 0.0.0.0 all of them"


@dataclass(frozen=True)
class Listening:
    """A socket that listens.

    Attributes:
        socket: of it.
        host: as it was given: an address, or a name.
        port: of it.
    """

    socket: socket.socket
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self._number).is_loopback

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens at all addresses of this machine."""
        return ipaddress.ip_address(self._number).is_unspecified

    @property
    def _number(self) -> str:
        return str(self.socket.getsockname()[0]).partition("%")[0]

    @property
    def names(self) -> list[str]:
        """The names by which it may be asked for beside loopback ones."""
        if self.is_loopback:
            return []
        machine = socket.gethostname()
        return sorted({one.lower() for one in (self.host, machine, machine.partition(".")[0], socket.getfqdn()) if one})

    def address(self, token: str) -> str:
        """Return what is typed into a browser."""
        name = self._number if self.is_loopback else socket.gethostname() if self.is_everywhere else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/?token={token}"

    def tunnel(self) -> str:
        """Return the line that brings it to another machine."""
        inside = f"[{self._number}]" if ":" in self._number else self._number
        where = "127.0.0.1" if self.is_everywhere else inside
        return f"ssh -L {self.port}:{where}:{self.port} {shell_word(f'{_user()}@{socket.gethostname()}')}"


def listen(host: str, port: int | None, results_root: Path, words: Sequence[str]) -> Listening:
    """Listen at a port: the one that is given, 0 for any, or one that stays the same for these words.

    Raises:
        HeyhiError: it can't be listened there.
    """
    ports = [port] if port is not None else [*_own_ports(results_root, words), 0]
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", "") or str(error)
        raise HeyhiError(_NO_ADDRESS.format(host, f" ({why})"), key=host) from None
    for one in ports:
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((place[0], one, *place[2:]))
            listening.listen()
            return Listening(listening, host, int(listening.getsockname()[1]))
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE or one == ports[-1]:
                raise _why(host, one, error) from None
    raise AssertionError("no port was tried")


def _own_ports(results_root: Path, words: Sequence[str]) -> Iterator[int]:
    """Yield the ports for some words, the first of which is taken that is free: it stays the same."""
    # Of this user: two who show the same results on a login node don't meet.
    named = "\0".join([str(os.getuid()), str(results_root), *words]).encode(errors="surrogateescape")
    first = int(hashlib.sha256(named).hexdigest(), 16)
    yield from (FIRST_PORT + (first + step) % PORTS for step in range(_TRIES))


def is_far(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether who reads this sits at another machine: there by ssh, or where nobody has a screen."""
    has_screen = sys.platform == "darwin" or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return bool(environment.get("SSH_CONNECTION")) or not has_screen


def _why(host: str, port: int, error: OSError) -> HeyhiError:
    if error.errno == errno.EADDRINUSE:
        whose = "another program"
        if process := server_at(port):
            whose = f"a heyhi serve of yours, which `kill {process}` ends"
        return HeyhiError(
            f"--port {port}: is taken by {whose}; take another one, or leave --port out, and a free one is found",
            key=str(port),
        )
    if error.errno == errno.EACCES:
        return HeyhiError(f"--port {port}: only root may listen there: --port takes another one", key=str(port))
    if error.errno == errno.EADDRNOTAVAIL:
        return HeyhiError(_NO_ADDRESS.format(host, ""), key=host)
    return HeyhiError(f"--host {host} --port {port}: can't be listened at: {error.strerror}", key=host)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # who has no name here
        return "USER"
