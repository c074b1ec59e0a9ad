"""For the chaos test, a project on two mounts of one folder that remember as NFS does, the second one on two nodes.

All nodes are on this machine, so the second mount is put over the first one in a mount namespace of these nodes' own.
The ledger lies on a local disk for both: lines that two clients append at once would overwrite each other.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

LEDGER = "ledger.txt"
FAR = ("slurmd.n2", "slurmd.n3")
_SERVER = Path(__file__).resolve().parents[1] / "mounts" / "fuse.py"
# $1: the second mount, $2: the first one, $3: the project's name in it, $4: the true ledger.
_OTHER_CLIENT = (
    f'mount --bind "$1" "$2" && ls "$2/$3" >/dev/null && mount --bind "$4" "$2/$3/{LEDGER}" && shift 4 && exec "$@"'
)


@contextlib.contextmanager
def two_mounts(folder: Path, seconds: float = 30.0) -> Iterator[tuple[Path, Callable[[str], list[str]]]]:
    """Mount a new folder twice.

    Args:
        folder: for the mounts, what is mounted, and the ledger.
        seconds: for which each remembers names, absences and attributes.

    Yields:
        The project's folder; the words before a daemon's command, by the daemon's name.
    """
    places = [folder / "a", folder / "b"]
    back, ledger = folder / "back", folder / LEDGER
    for place in (back, *places):
        place.mkdir(parents=True)
    project = places[0] / "p"
    servers = []
    try:
        for place in places:
            words = [sys.executable, str(_SERVER), str(back), str(place), "--seconds", str(seconds)]
            server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            servers.append(server)
            if server.stdout is None or server.stdout.readline() != "mounted\n":
                raise OSError(f"{place} can't be mounted: that takes root, and /dev/fuse")
        project.mkdir()
        for path in (ledger, project / LEDGER):
            path.touch()
        subprocess.run(["mount", "--bind", str(ledger), str(project / LEDGER)], check=True)
        client = ["unshare", "-m", "--propagation", "private", "sh", "-c", _OTHER_CLIENT, "sh"]
        client += [str(places[1]), str(places[0]), project.name, str(ledger)]
        yield project, lambda name: client if name in FAR else []
    finally:
        for place in (project / LEDGER, *places):
            subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)
        for server in servers:
            server.kill()
            server.wait()
