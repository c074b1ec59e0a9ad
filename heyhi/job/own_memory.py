"""Whether a process of this job was killed since the job has run out of memory, as its control group counts."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

_OF_JOB = re.compile(r"/job_\d+")
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def has_run_out(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> bool:
    """Return whether the kernel has killed something for memory in the job that this process is of.

    Slurm itself says so only when the job is over. Where it confines no memory, nothing says so.

    Args:
        proc: where the system says in which groups this process is.
        root: where the groups are.
    """
    with contextlib.suppress(OSError):
        for line in proc.read_text().splitlines():
            _, names, path = line.split(":", 2)
            found = _OF_JOB.search(path)
            if found is None or names not in ("", "memory"):
                continue
            job = root / names / path[: found.end()].lstrip("/")
            for file in (job / "memory.events", *sorted(job.rglob("memory.oom_control"))):
                with contextlib.suppress(OSError):
                    kills = _KILLS.search(file.read_text())
                    if kills is not None and int(kills[1]):
                        return True
    return False
