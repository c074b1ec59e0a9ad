"""`python -m benchmarks.install`: what `pip install heyhi` takes, beside the packages that it is made of by hand.

The peer is what somebody installs who does the same without HeyHi: protobuf and its compiler, Snakemake with its plugin
for Slurm, pandas. Hydra with submitit and HeyHi with all extras stand beside it for information. Each goes into a fresh
environment, in turns, with all that is downloaded in pip's cache; making the environment isn't counted. A size is what
an install adds to site-packages, compiled modules included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.table import Row, render
from benchmarks.timing import Command, CommandFailed, Cost, in_turns, median, say

AT_MOST = 1.15  # times what the peer takes
ROOT = Path(__file__).resolve().parents[1]
PEER = ("protobuf", "grpcio-tools", "snakemake", "snakemake-executor-plugin-slurm", "pandas")
HYDRA = ("hydra-core", "submitit")


class Place:
    """An environment that packages are installed into, made anew for each round.

    Args:
        folder: of the environment.
        packages: as pip takes them.
    """

    def __init__(self, folder: Path, packages: Sequence[str]) -> None:
        self._folder = folder
        self._packages = packages
        self._before = 0

    def command(self) -> Command:
        """Return the command that installs the packages."""
        pip = (self._folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
        # Without what a shell has set for other Pythons; the index and the cache are the user's own.
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return Command([*pip, *self._packages], self._folder.parent, env, self._renew)

    @property
    def size(self) -> float:
        """MB that the last install has added."""
        return (_size(self._folder) - self._before) / 1e6

    def _renew(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", self._folder], check=True)
        self._before = _size(self._folder)


def _size(environment: Path) -> int:
    return sum(path.lstat().st_size for path in environment.glob("lib/*/site-packages/**/*") if not path.is_dir())


def build_wheel(folder: Path) -> Path:
    """Build HeyHi's wheel: an index would have it, so that building it isn't counted."""
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("heyhi-*.whl")
    return wheel


def rows_of(times: Mapping[str, Cost], sizes: Mapping[str, float]) -> list[Row]:
    """Compare what installs took, by the names of the sets: heyhi, peer, all, hydra."""

    def row(ours: str, peer: str, what: str, at_most: float | None) -> list[Row]:
        mb = [Cost(sizes[name], sizes[name]) for name in (ours, peer)]
        return [
            Row(f"install: {what}", times[ours], times[peer], at_most=at_most, both=True),
            Row(f"size: {what}", *mb, at_most=at_most, unit="MB"),
        ]

    return [
        *row("heyhi", "peer", "heyhi / the packages by hand", AT_MOST),
        *row("all", "peer", "heyhi[all] / the same", None),
        *row("heyhi", "hydra", "heyhi / hydra-core, submitit", None),
    ]


def main() -> int:
    """Measure, and print the table; the exit code is 1 where an install broke, whatever was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.install", description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=3, help="after one that fills pip's cache")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heyhi-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            wheel = build_wheel(folder)
            sets = {"heyhi": (str(wheel),), "peer": PEER, "hydra": HYDRA, "all": (f"{wheel}[all]",)}
            places = {what: Place(folder / what, packages) for what, packages in sets.items()}
            costs = in_turns({what: place.command() for what, place in places.items()}, options.rounds)
        except (CommandFailed, subprocess.CalledProcessError) as error:
            say(str(error))
            return 1
        sizes = {what: place.size for what, place in places.items()}
    print(render(rows_of({what: median(its) for what, its in costs.items()}, sizes)))
    say(", ".join(f"{what} {median(its).wall:.1f} s of wall time" for what, its in costs.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
