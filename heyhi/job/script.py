"""The batch script of a job, and the command in it, as text; submit.py hands it to Slurm."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from heyhi.code.import_path import pinned_folder, pinned_variables
from heyhi.code.snapshot import Snapshot
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import Experiment
from heyhi.experiment.launch_log import AGAIN, NOT_AGAIN
from heyhi.job.leftovers import MARK_VARIABLE, SHELL
from heyhi.job.order import PACK_LIST_NAME, Order
from heyhi.job.setup import after_failure, before_run
from heyhi.job_env import ASKS, NOTICE_VARIABLE, READY, REQUEUE_EXIT, WARNING_NAME
from heyhi.project import RESULTS_VARIABLE
from heyhi.slurm.request import JobRequest
from heyhi.sweep.continuing import CONTINUE_OPTION
from heyhi.text import quoted, quoted_words

_ACT_SECONDS = 300  # in which Slurm ends a job that it has queued again


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
    python = [*request.prefix, request.python or sys.executable, "-P", "-m"]
    shared = [
        "--manifest",
        str(order.manifest.absolute()),
        "--code-root",
        str(order.code_root),
        "--attempt",
        str(attempt),
    ]
    shared += ["--entry", order.entry] if order.entry else []
    shared += [*(["--launch", order.launch] if order.launch else []), *(["--alone"] if order.is_alone else [])]
    shared += ["--log-level", order.log_level, *([CONTINUE_OPTION] if order.continue_drifted else [])]
    job = f"{order.root_mark}:{','.join(claim.owner.nonce for _, claim in claims)}"
    if is_pack(claims, request):
        pack = ["--job", job, "--slots", str(request.pack)]
        return [*python, "heyhi.job.pack", str(folder / PACK_LIST_NAME), *pack, *shared]
    tasks = ["--tasks", str(request.tasks)] if request.tasks > 1 else []
    return [*python, "heyhi.runner", str(claims[0][0].target), "--job", job, *tasks, *shared]


def retry_words(claims: Sequence[tuple[Experiment, Claim]], request: JobRequest, order: Order) -> list[str]:
    """Return the words of what a job that nobody waits for does once its run has failed.

    Args:
        claims: the job's experiment, with its claim.
        request: what the job asks for.
        order: what all jobs of the launch have in common.
    """
    (experiment, claim), *_ = claims
    python = [*request.prefix, request.python or sys.executable, "-P", "-m", "heyhi.job.queue_again"]
    words = [*python, str(experiment.target), "--manifest", str(order.manifest.absolute())]
    return [*words, "--job", f"{order.root_mark}:{claim.owner.nonce}", "--launch", order.launch]


def batch_script(
    words: Sequence[str],
    results_root: Path,
    request: JobRequest | None = None,
    logs: Sequence[Path] = (),
    snapshot: Snapshot | None = None,
    retry: Sequence[str] = (),
) -> str:
    """Write the script of a job that runs a command, warns it before the end, and has the job queued again.

    Args:
        words: the command; a shell never reads them otherwise than as they are.
        results_root: for the run: seen from a copy of the code, the setting may lead elsewhere.
        request: what the job asks for, as far as its script does it.
        logs: of several experiments that share the job: what is said in its own log of its end is said there, too.
        snapshot: copy of the code that it runs.
        retry: command for after a run that failed, with its exit code: it may have the job queued again.
    """
    sign = WARNING_NAME.removeprefix("SIG")
    before, failed = (before_run(request, logs), after_failure(request, words)) if request is not None else ("", "")
    return f"""#!/bin/bash
# Written by HeyHi. The run is a child of this shell, which passes on the signal that comes before the end.
export {RESULTS_VARIABLE}={quoted(str(results_root))}
own=$(mktemp -d 2> /dev/null) || own=$PWD
export {NOTICE_VARIABLE}="$own/.notice.$SLURM_JOB_ID.$$"
trap '{{ : > "${NOTICE_VARIABLE}"; }} 2> /dev/null
[ ! -e "${NOTICE_VARIABLE}{READY}" ] || kill -{sign} "$run" 2> /dev/null' {sign}
# Slurm tells the run itself; the script stays until it has ended. No trap for CONT, which Slurm sends with each signal:
# of two that come at once, bash forgets the one of the lower number.
told=
trap told=yes TERM
[ "${{SLURM_RESTART_COUNT:-0}}" = 0 ] || echo "job $SLURM_JOB_ID {AGAIN}"
{before}{_pinning(snapshot)}
{SHELL}mark="$SLURM_JOB_ID.$$.$RANDOM$RANDOM"
{MARK_VARIABLE}="$mark" {quoted_words(words)} &
run=$!
# A signal ends a wait, not the run.
while kill -0 "$run" 2> /dev/null; do wait "$run"; done
wait "$run"
code=$?
end_left "$mark" "SLURM_JOB_ID=$SLURM_JOB_ID"
{failed}again=
if [ "$code" = {REQUEUE_EXIT} ] && [ -e "${NOTICE_VARIABLE}{ASKS}" ]; then again=yes; fi
if [ "$own" = "$PWD" ]; then
  rm -f "${NOTICE_VARIABLE}" "${NOTICE_VARIABLE}{READY}" "${NOTICE_VARIABLE}{ASKS}"
elif [ -e "$own" ]; then  # a run that is done has removed it
  rm -rf -- "$own"
fi
if [ "$again" ]; then
  # Incomplete: one that was cancelled just now would come back.
  said=$(scontrol requeue Incomplete "$SLURM_JOB_ID" 2>&1)
  asked=$?
  # Slurm ends this script, and what runs in it, also that command, when it has queued the job again.
  if [ "$asked" = 0 ] || [ "$asked" -gt 128 ]; then
    if [ "$told" ]; then sleep 5; exit 0; fi
    sleep {_ACT_SECONDS} || exit 0
    said="Slurm was asked to, and did nothing for {_ACT_SECONDS} s"
  fi
  said=${{said##*$'\n'}}
  # bash begins its own errors with where it is.
  said="job $SLURM_JOB_ID {NOT_AGAIN}${{said#*: line [0-9]*: }}"
  echo "$said" >&2
{_appending(logs)}fi
{_retrying(retry)}# Slurm takes 128 and more off an exit code: only this way it learns of a signal that ended the run.
if [ "$code" -gt 128 ]; then ulimit -c 0; trap - TERM {sign}; kill -"$((code - 128))" $$; fi
exit "$code"
"""


def _retrying(words: Sequence[str]) -> str:
    """Write the lines of the script that see to a run which failed, and which isn't queued again for its own wish."""
    if not words:
        return ""
    return f"""\
if [ "$code" != 0 ] && [ ! "$again" ]; then
  {quoted_words(words)} --code "$code"
  case $? in
    0) exit 0 ;;
    {REQUEUE_EXIT})
      if [ "$told" ]; then sleep 5; exit 0; fi
      sleep {_ACT_SECONDS} || exit 0
      echo "job $SLURM_JOB_ID {NOT_AGAIN}Slurm was asked to, and did nothing for {_ACT_SECONDS} s" >&2
      ;;
  esac
fi
"""


def _appending(logs: Sequence[Path]) -> str:
    """Write the lines of the script that append what was said to some logs."""
    return "".join(f'  echo "$said" >> {quoted(str(log))}\n' for log in logs)


def _pinning(snapshot: Snapshot | None) -> str:
    """Return the line by which each Python of the job finds the project's modules in the copy, from its start on."""
    variables = pinned_variables(snapshot.project_root, snapshot.root) if snapshot is not None else None
    if variables is None:  # the job that has submitted this one may have had some
        return f"unset {' '.join(pinned_variables(Path(), Path()))}"
    words = " ".join(f"{name}={quoted(value)}" for name, value in variables.items())
    return f'export {words} PYTHONPATH={quoted(pinned_folder())}"${{PYTHONPATH:+:$PYTHONPATH}}"'
