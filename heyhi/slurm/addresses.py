"""At which address a node of the cluster is reached from another one."""

from __future__ import annotations

import re
import socket

from heyhi.slurm.commands import SlurmError, output_of

_ADDRESS = re.compile(r"(?:^|\s)NodeAddr=(\S+)")
_SECONDS = 20.0


def address_of(node: str) -> str:
    """Return by what a node is reached: its name, or where the system doesn't know that, the address that Slurm has.

    Slurm is asked for that one node only, and only then; where it doesn't say, the name has to do.
    """
    if _is_known(node):
        return node
    try:
        found = _ADDRESS.search(output_of(["scontrol", "show", "node", node], seconds=_SECONDS))
    except SlurmError:
        return node
    address = found[1] if found is not None else ""
    return address if address and _is_known(address) else node


def _is_known(name: str) -> bool:
    try:
        socket.getaddrinfo(name, None)
    except (OSError, UnicodeError):
        return False
    return True
