"""What a run has left running when it has ended, and the end of that: daemons, children in sessions of their own.

A cluster with cgroups ends all of a job with the job. Where there are none, Slurm only finds what is still below its
own processes. So each run of a job has a mark of its own in its environment, which whatever it starts inherits,
however it is started; and when the run has ended, in whatever way, what still has that mark is ended by who has
started the run: the job's script, a pack, or the shell around a rank. A job that the run has submitted has the mark,
too, and another job id. Local runs have no mark: what they leave is their user's.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

# Environment variable with the mark of a run in a job: digits and dots; a pack's members add `.<number>` to the job's.
MARK_VARIABLE = "HEYHI_RUN"
# What gets a SIGTERM has 5 s to end, before it is killed.
_TRIES, _PAUSE_SECONDS = 50, 0.1

# Functions for bash. `left_by MARK VARIABLE=VALUE…` sets `left` to the processes that have the mark, and all these
# variables; `end_left` takes the same words, and ends them. grep reads the environments of all processes in some
# milliseconds; where nothing is left, as mostly, it is all that is started. bash looks for the processes only, not for
# a file of each.
SHELL = rf"""left_by() {{
  local files variable all=(/proc/[0-9]*)
  files=$(LC_ALL=C grep -lzsE "^{MARK_VARIABLE}=$1(\.[0-9]+)?\$" "${{all[@]/%//environ}}")
  shift
  for variable; do
    [ "$files" ] || break
    files=$(LC_ALL=C grep -lzsxF -- "$variable" $files)
  done
  left=${{files//[!0-9$'\n']/}}
}}
end_left() {{
  local sign left tries
  for sign in TERM KILL; do
    left_by "$@"
    [ "$left" ] || return 0
    kill -s "$sign" $left 2> /dev/null
    for ((tries = 0; tries < {_TRIES}; tries++)); do
      left_by "$@"
      [ "$left" ] || return 0
      sleep {_PAUSE_SECONDS:g}
    done
  done
}}
"""
# A rank is a child of this shell, which has its standard input. Slurm signals both, so the shell only waits.
_AROUND_RANK = f"""if [ "${{{MARK_VARIABLE}:-}}" ]; then  # it must not have the mark itself
  HEYHI_MARK="${MARK_VARIABLE}" exec env -u {MARK_VARIABLE} bash -c "$BASH_EXECUTION_STRING" "$0" "$@"
fi
{SHELL}
trap : TERM INT HUP USR1 USR2
mark=${{HEYHI_MARK:-}}
unset HEYHI_MARK
{MARK_VARIABLE}="$mark" "$@" <&0 &
run=$!
exec < /dev/null
while kill -0 "$run" 2> /dev/null; do wait "$run"; done
wait "$run"
code=$?
rank=("SLURM_JOB_ID=$SLURM_JOB_ID" "SLURM_STEP_ID=$SLURM_STEP_ID" "SLURM_PROCID=$SLURM_PROCID")
[ -z "$mark" ] || end_left "$mark" "${{rank[@]}}"
if [ "$code" -gt 128 ]; then ulimit -c 0; trap - TERM INT HUP USR1 USR2; kill -"$((code - 128))" $$; fi
exit "$code"
"""


def around_rank(words: Sequence[str]) -> list[str]:
    """Return the words by which a rank is started, so that nothing of it outlives it on its node.

    Args:
        words: of the rank's command; no shell reads them.
    """
    return ["bash", "-c", _AROUND_RANK, "heyhi-rank", *words]


def end_leftovers(mark: str, job: str) -> None:
    """End what a run of this machine has left that has ended; what gets no permission to is left alone.

    Args:
        mark: of the run.
        job: that it ran in.
    """
    wanted = {f"{MARK_VARIABLE}={mark}".encode(), f"SLURM_JOB_ID={job}".encode()}
    import signal  # who only writes SHELL down does without it

    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in _with_variables(wanted):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sign)
        for _ in range(_TRIES):
            if not _with_variables(wanted):
                return
            time.sleep(_PAUSE_SECONDS)


def _with_variables(wanted: set[bytes]) -> set[int]:
    """Return the process ids of all that was started with these variables, other than this process."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if wanted <= set(path.read_bytes().split(b"\0")):
                found.add(int(path.parent.name))
    return found - {os.getpid()}
