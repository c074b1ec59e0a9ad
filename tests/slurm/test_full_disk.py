"""A controller of Slurm's whose results are on a full disk: who looks next is told, and no job is submitted twice."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def disk(lab: Any) -> Iterator[Path]:
    """The results of the project, on a disk of 8 MB."""
    results = lab.root / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(results)], check=True)
    try:
        yield results
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def fill(disk: Path) -> None:
    """Leave no room, in the last blocks of the controllers' logs neither."""
    for path in (disk / "filler", *(disk / ".heyhi/controllers").glob("*.log")):
        with path.open("ab", buffering=0) as file:
            for size in (1 << 16, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"\n" * size):
                        pass


def test_what_a_full_disk_kept_from_being_submitted_is_submitted_once_there_is_room(
    lab: Any, disk: Path, until: Until
) -> None:
    lab.sweep({"x": 1, "do": "wait"}, {"x": 2})
    said = lab.heyhi("launch", "--jobs", "1").stdout
    controller = Path("/proc") / re.search(r"started controller pid (\d+)", said)[1]  # type: ignore[index]
    until(lambda: lab.ledger == [1])
    fill(disk)
    subprocess.run(["scancel", lab.job(1)], check=True)
    until(lambda: not controller.exists())

    status = lab.heyhi("status").stdout
    assert "No space left on device: " in status and lab.ledger == [1]
    again = lab.heyhi("launch", "--jobs", "1")
    assert again.returncode == 2 and "can't be written: No space left on device" in again.stderr

    (disk / "filler").unlink()
    lab.allow()
    assert lab.heyhi("launch", "--jobs", "1").returncode == 0
    until(lambda: all(row["status"] == "DONE" for row in lab.statuses().values()))
    assert sorted(lab.ledger) == [1, 1, 2]
