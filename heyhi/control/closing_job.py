"""The last job of a launch that nobody stays for: once all others have ended, it makes the tables and tells of the end.

What it does is in `heyhi.report.closing`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shlex
import sys
from collections.abc import Sequence

from heyhi.errors import HeyhiError
from heyhi.job.order import root_mark
from heyhi.project import RESULTS_VARIABLE, Project
from heyhi.slurm.commands import cancel, submit
from heyhi.slurm.request import JobRequest, comment_text, sbatch_options
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME

_HOURS, _GB = 0.5, 2.0
_MOST = 10_000  # ids in one dependency
_SCRIPT = """\
#!/bin/bash
# Written by HeyHi: all of the launch is over, whatever has become of it.
export {results}
exec {python} -P -m heyhi.report.closing {name}
"""


def submit_closing(
    project: Project, name: str, jobs: Sequence[str], request: JobRequest | None, instead_of: str = ""
) -> str:
    """Submit it, and return its id.

    Args:
        project: of the launch.
        name: of the launch.
        jobs: ids of all others.
        request: what one of these asks for: where it runs, and on whose account.
        instead_of: id of an earlier one, which waits for fewer.

    Raises:
        HeyhiError: Slurm doesn't take it.
    """
    options = sbatch_options(
        small(request),
        name=f"heyhi: the end of {name}",
        comment=comment_text(root_mark(project.results_root), [_mark(name)], ""),
        output=project.state_root / CONTROLLERS_NAME / f"{name}.log",
        chdir=project.root,
    )
    script = _SCRIPT.format(
        results=f"{RESULTS_VARIABLE}={shlex.quote(str(project.results_root))}",
        python=shlex.quote(sys.executable),
        name=shlex.quote(name),
    )
    waits_for = list(jobs)
    while len(waits_for) > _MOST:  # one word of a command line has no room for more
        parts = [waits_for[first : first + _MOST] for first in range(0, len(waits_for), _MOST)]
        waits_for = [submit([*options, _after(part)], "#!/bin/bash\n") for part in parts]
    closing = submit([*options, _after(waits_for)], script)
    if instead_of:
        with contextlib.suppress(HeyhiError):  # it leaves its work to the new one
            cancel([instead_of])
    return closing


def small(request: JobRequest | None) -> JobRequest:
    """Return what a job of one core asks for, which runs where another one does."""
    from heyhi.slurm.request import plain_request

    plain = plain_request(hours=_HOURS, mem_gb=_GB)
    if request is None:
        return plain
    return dataclasses.replace(
        plain,
        mem_gb_per_node=None if request.mem_gb_per_node is None else _GB,
        partition=request.partition,
        account=request.account,
        qos=request.qos,
    )


def _after(jobs: Sequence[str]) -> str:
    return f"--dependency=afterany:{':'.join(jobs)}"


def _mark(name: str) -> str:
    """Return what stands in its comment for an experiment: it has none."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]
