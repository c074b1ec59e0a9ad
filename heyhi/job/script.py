"""The batch script of a job, and the command in it, as text; submit.py hands it to Slurm."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from heyhi.code.import_path import pinned_folder, pinned_variables
from heyhi.code.snapshot import Snapshot
from heyhi.experiment.claim import Claim
from heyhi.experiment.death import AGAIN
from heyhi.experiment.folder import Experiment
from heyhi.job.notice import ASKS, NOTICE_VARIABLE, READY, REQUEUE_EXIT, WARNING
from heyhi.job.order import PACK_LIST_NAME, Order
from heyhi.project import RESULTS_VARIABLE
from heyhi.slurm.request import JobRequest
from heyhi.sweep.continuing import CONTINUE_OPTION


def is_pack(members: Sequence[object], request: JobRequest) -> bool:
    """Return whether a job runs its experiments as a pack; the last one left of a pack still has only its share."""
    return request.pack > 1 or len(members) > 1


def runner_words(
    claims: Sequence[tuple[Experiment, Claim]], request: JobRequest, order: Order, folder: Path, attempt: int
) -> list[str]:
    """Return the words of the command that a job runs.

    Args:
        claims: the job's experiments, each with its claim.
        request: what the job asks for.
        order: what all jobs of the launch have in common.
        folder: of a pack, with the list of its experiments.
        attempt: how often the launcher has tried.
    """
    # -P: what lies in the working directory, an experiment's folder, is no module.
    python = [sys.executable, "-P", "-m"]
    shared = [
        "--manifest",
        str(order.manifest.absolute()),
        "--code-root",
        str(order.code_root),
        "--attempt",
        str(attempt),
    ]
    shared += ["--log-level", order.log_level, *([CONTINUE_OPTION] if order.continue_drifted else [])]
    nonces = ",".join(claim.owner.nonce for _, claim in claims)
    if is_pack(claims, request):
        pack = ["--job", nonces, "--slots", str(request.pack)]
        return [*python, "heyhi.job.pack", str(folder / PACK_LIST_NAME), *pack, *shared]
    tasks = ["--tasks", str(request.tasks)] if request.tasks > 1 else []
    return [*python, "heyhi.runner", str(claims[0][0].target), "--job", nonces, *tasks, *shared]


def batch_script(words: Sequence[str], results_root: Path, snapshot: Snapshot | None = None) -> str:
    """Write the script of a job that runs a command, warns it before the end, and has the job queued again.

    Args:
        words: the command; a shell never reads them otherwise than as they are.
        results_root: for the run: seen from a copy of the code, the setting may lead elsewhere.
        snapshot: copy of the code that it runs.
    """
    sign = WARNING.name.removeprefix("SIG")
    return f"""#!/bin/bash
# Written by HeyHi. The run is a child of this shell, which passes on the signal that comes before the end.
export {RESULTS_VARIABLE}={shlex.quote(str(results_root))}
{_pinning(snapshot)}
own=$(mktemp -d 2> /dev/null) || own=$PWD
export {NOTICE_VARIABLE}="$own/.notice.$SLURM_JOB_ID.$$"
trap ': > "${NOTICE_VARIABLE}"; [ ! -e "${NOTICE_VARIABLE}{READY}" ] || kill -{sign} "$run" 2> /dev/null' {sign}
# Slurm tells the run itself; the script stays until it has ended. No trap for CONT, which Slurm sends with each signal:
# of two that come at once, bash forgets the one of the lower number.
trap : TERM
[ "${{SLURM_RESTART_COUNT:-0}}" = 0 ] || echo "job $SLURM_JOB_ID {AGAIN}"
{shlex.join(words)} &
run=$!
# A signal ends a wait, not the run.
while kill -0 "$run" 2> /dev/null; do wait "$run"; done
wait "$run"
code=$?
again=
if [ "$code" = {REQUEUE_EXIT} ] && [ -e "${NOTICE_VARIABLE}{ASKS}" ]; then again=yes; fi
rm -f "${NOTICE_VARIABLE}" "${NOTICE_VARIABLE}{READY}" "${NOTICE_VARIABLE}{ASKS}"
[ "$own" = "$PWD" ] || rmdir "$own"
if [ "$again" ]; then
  # Slurm ends this script, and what runs in it, when it has queued the job again.
  if scontrol requeue "$SLURM_JOB_ID"; then sleep 300; exit 0; fi
  echo "job $SLURM_JOB_ID could not be queued again" >&2
fi
# Slurm takes 128 and more off an exit code: only this way it learns of a signal that ended the run.
if [ "$code" -gt 128 ]; then ulimit -c 0; trap - TERM {sign}; kill -"$((code - 128))" $$; fi
exit "$code"
"""


def _pinning(snapshot: Snapshot | None) -> str:
    """Return the line by which each Python of the job finds the project's modules in the copy, from its start on."""
    variables = pinned_variables(snapshot.project_root, snapshot.root) if snapshot is not None else None
    if variables is None:  # the job that has submitted this one may have had some
        return f"unset {' '.join(pinned_variables(Path(), Path()))}"
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return f'export {words} PYTHONPATH={shlex.quote(pinned_folder())}"${{PYTHONPATH:+:$PYTHONPATH}}"'
