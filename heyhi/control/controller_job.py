"""`heyhi launch --controller slurm`: the controller is a small job, which is submitted and ended here.

What it does as a job, and how it hands over to the next one, `heyhi.control.controller_in_job` says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from heyhi.code.snapshot import code_for_jobs
from heyhi.control.controller import Controller, ControllerSpec, Started, place
from heyhi.control.job_claim import Asked, comment_of, forget_asked, forget_cancel, note_cancel, place_of
from heyhi.errors import HeyhiError, LauncherError
from heyhi.experiment.claim import Claim
from heyhi.experiment.owner import SUBMISSION, JobRef, Owner
from heyhi.files import replace_file
from heyhi.job.order import root_mark
from heyhi.project import Project, Settings
from heyhi.slurm.cluster import Cluster
from heyhi.slurm.commands import (
    Busy,
    Full,
    Phase,
    Queue,
    SlurmError,
    cancel,
    list_jobs,
    output_of,
    refusal,
    submit,
)
from heyhi.slurm.cost import counted
from heyhi.slurm.limits import limits_on, most_minutes, places_of
from heyhi.slurm.more_options import controller_words
from heyhi.slurm.refusals import Meaning, meaning_of
from heyhi.slurm.request import JobRequest, sbatch_options
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME, GIVEN_UP_NAME, NOTE_NAME
from heyhi.text import duration

OWN_JOBS = 2  # the controller, and the next one
_MODULE = "heyhi.control.controller_in_job"
# The controller of 1,000 experiments takes 0.2 GB, and so does what makes their table.
_MEM_GB, _MEM_GB_EACH = 1.0, 0.25 / 1000
_NOTICE_SECONDS = 120  # before the time limit: Snakemake ends in some seconds, and Slurm is late or early by a minute
_PATIENCE_SECONDS = 60.0  # for a Slurm that doesn't answer while somebody waits
_PAUSE_SECONDS = 2.0
_ANSWER_SECONDS, _ALL_SECONDS = 10.0, 30.0
_TEST_SCRIPT = "#!/bin/sh\n"
_ANOTHER = "[tool.heyhi] controller_options may ask for another one"
_INSTEAD = "--controller local stays on this machine, --controller none needs nobody"


def plan_job(project: Project, spec: ControllerSpec, requests: Sequence[JobRequest]) -> Asked | None:
    """Say what a controller's jobs would ask for, and make sure that Slurm would take them; None where one lives.

    Args:
        project: whose experiments it starts.
        spec: what it is to do.
        requests: what the jobs of these ask for, in order.

    Raises:
        HeyhiError: it couldn't be submitted, its node couldn't submit anything, or no place would be left for that.
    """
    now, coming = place_of(_controller(project, spec).folder)
    if now is not None or coming is not None:
        return None
    asked = _asked(project, spec, list(dict.fromkeys(requests)), _MEM_GB + _MEM_GB_EACH * len(requests))
    with contextlib.suppress(SlurmError):
        reason = refusal(asked.options, _TEST_SCRIPT, seconds=_ANSWER_SECONDS)
        # Nodes that are down or taken say nothing: it would wait.
        if meaning_of(reason) is Meaning.NEVER and reason and "node configuration" not in reason:
            raise LauncherError(_refused(project.settings, reason))
    return asked


def start_job(
    project: Project, spec: ControllerSpec, requests: Sequence[JobRequest], asked: Asked | None = None
) -> Started:
    """Submit a controller, unless one of its name lives already.

    Args:
        project: whose experiments it starts.
        spec: what it is to do.
        requests: what the jobs of these ask for, in order.
        asked: what `plan_job` has said.

    Raises:
        HeyhiError: it can't be submitted, or its node couldn't submit anything.
    """
    controller = _controller(project, spec)
    now, coming = place_of(controller.folder)
    if (living := now or coming) is not None:
        return Started(controller._replace(owner=living), False)
    asked = asked or plan_job(project, spec, requests)
    if asked is None:  # one has come meanwhile
        return start_job(project, spec, requests)
    if not spec.no_snapshot:
        spec = dataclasses.replace(spec, code=code_for_jobs(project).digest)
    place(project, spec)
    try:
        return _submit_first(project, spec, controller, asked)
    except HeyhiError:
        _remove_unused(controller)
        raise


def _submit_first(project: Project, spec: ControllerSpec, controller: Controller, asked: Asked) -> Started:
    ref = JobRef("", root_mark(project.results_root), new_mark())
    claim = Claim.acquire(controller.folder, kind=SUBMISSION, ref=ref)
    if isinstance(claim, Owner):
        return Started(controller._replace(owner=claim), False)
    with claim:
        replace_file(controller.folder / NOTE_NAME, json.dumps(dataclasses.asdict(spec), indent=1) + "\n")
        asked.write(controller.folder)
        forget_cancel(controller.folder)
        with contextlib.suppress(OSError):
            (controller.folder / GIVEN_UP_NAME).unlink()
        try:
            job_id = submit_controller(project.root, controller, asked, claim, is_first=True)
        except SlurmError as error:
            kind = type(error) if isinstance(error, Busy) else LauncherError
            raise kind(_refused(project.settings, str(error))) from None
        claim.hand_over(job_id)
    return Started(controller._replace(owner=dataclasses.replace(claim.owner, job=job_id)), True)


def _controller(project: Project, spec: ControllerSpec) -> Controller:
    """Return a controller whose folder needn't be there."""
    return Controller(spec.name, project.state_root / CONTROLLERS_NAME / spec.name, None)


def _remove_unused(controller: Controller) -> None:
    """Remove what a launch has written that was refused, where none of its name has ever run."""
    if controller.log.exists():
        return
    with contextlib.suppress(OSError):  # somebody else may be about to use it
        forget_asked(controller.folder)
        (controller.folder / NOTE_NAME).unlink(missing_ok=True)
        controller.folder.rmdir()


def _refused(settings: Settings, reason: str) -> str:
    """Say that Slurm takes no job for a controller, and what may be done."""
    words = settings.controller_options
    asks = f"it asks for what [tool.heyhi] controller_options={words!r} says, too" if words else _ANOTHER
    return f"Slurm takes no job for the controller: {reason}; {asks}; {_INSTEAD}"


def said_of_job(asked: Asked) -> str:
    """Say what a controller's job would be: `a job of partition 'long', 24 h`."""
    words = (word.removeprefix("--partition=") for word in asked.options if word.startswith("--partition="))
    name = next(words, "")
    where = f"partition '{name}'" if name else "the default partition"
    hours, minutes = divmod(asked.minutes, 60)
    return f"a job of {where}, {duration(60 * minutes) if minutes and not hours else f'{asked.minutes / 60:.3g} h'}"


def new_mark() -> str:
    """Return by what one job of a controller is told from the others."""
    return os.urandom(8).hex()


def submit_controller(
    root: Path,
    controller: Controller,
    asked: Asked,
    claim: Claim,
    *,
    is_first: bool = False,
    after: str = "",
    seconds: float = _PATIENCE_SECONDS,
) -> str:
    """Submit the job that a claim was made for, and return its id.

    Args:
        root: of the project whose experiments it starts.
        controller: that it will be.
        asked: what it asks for.
        claim: of its submission.
        is_first: whether no other one of this launch came before.
        after: id of the job whose end it waits for; empty for none.
        seconds: for how long a Slurm that doesn't answer is asked again.

    Raises:
        Busy: Slurm may take it later.
        Refused: Slurm doesn't take it.
    """
    owner = claim.owner
    options = [*asked.options, f"--comment={comment_of(owner.root, owner.mark, controller.name)}"]
    options += [f"--dependency=afterany:{after}"] if after else []
    script = _script(root, controller, owner.mark, is_first=is_first)
    deadline = time.monotonic() + seconds
    while True:
        try:
            return submit(options, script)
        except Full:
            raise
        except Busy:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE_SECONDS)
        # Slurm may have taken it, and its answer got lost.
        if (job := owner.find_job(Queue())) is not None and job.phase is not Phase.OVER:
            return job.job_id


def _script(project_root: Path, controller: Controller, mark: str, *, is_first: bool) -> str:
    """Write the batch script: what a node may lack is said in the log before anything else."""
    words = [sys.executable, "-P", "-m", _MODULE, str(controller.folder), mark, *(["--first"] if is_first else [])]
    python, root = shlex.quote(sys.executable), shlex.quote(str(project_root))
    return f"""#!/bin/bash
# Written by HeyHi: a controller, which hands over to the next one before its time is up.
now() {{ date -u +%Y-%m-%dT%H:%M:%S+00:00; }}
lacks() {{ echo "error: node $(hostname) has no $1, which this controller needs"; echo "$(now) exit code 2"; exit 2; }}
echo "$(now) $(hostname) pid $$: snakemake in job $SLURM_JOB_ID"
cd {root} || lacks {root}
[ -x {python} ] || lacks {python}
exec {shlex.join(words)}
"""


class _Wishes(NamedTuple):
    """What `[tool.heyhi] controller_options` says, as far as the job's time limit follows from it, and the rest."""

    places: dict[str, str]
    rest: list[str]


def _wishes(settings: Settings) -> _Wishes:
    wishes = _Wishes({}, [])
    for word in controller_words(settings.controller_options):
        name, _, value = word.removeprefix("--").partition("=")
        if name in ("partition", "account", "qos", "constraint") and value:
            wishes.places[name] = value
        else:
            wishes.rest.append(word)
    return wishes


def request_of_controller(settings: Settings, requests: Collection[JobRequest]) -> JobRequest:
    """Return what a controller's job asks for, less its memory and what limits its time.

    Args:
        settings: of the project.
        requests: what the jobs of its experiments ask for.
    """
    wishes = _wishes(settings)

    def common(name: str) -> str:
        values = {str(getattr(request, name)) for request in requests}
        return values.pop() if len(values) == 1 else ""

    return JobRequest(
        hours=settings.controller_hours,
        nodes=1,
        tasks=1,
        gpus_per_node=0,
        cpus_per_task=1,
        # Where memory isn't asked for (`no_mem`), it mustn't be.
        mem_gb_per_node=None if requests and all(r.mem_gb_per_node is None for r in requests) else _MEM_GB,
        partition=wishes.places.get("partition", common("partition")),
        account=wishes.places.get("account", common("account")),
        qos=wishes.places.get("qos", common("qos")),
        constraint=wishes.places.get("constraint", ""),
        comment="",
        extra="",
        signal_seconds=0,
        requeue=False,
        max_attempts=1,
        oom_mem_factor=1.0,
        timeout_hours_factor=1.0,
        pack=1,
    )


def _asked(project: Project, spec: ControllerSpec, requests: Sequence[JobRequest], memory: float) -> Asked:
    """Say what the controller's jobs ask for, and make sure that their nodes may submit, as far as can be known here.

    Args:
        project: whose experiments it starts.
        spec: what it is to do.
        requests: of these, each once.
        memory: in GB.

    Raises:
        LauncherError: Slurm takes no jobs from there, an option can't be used, or a limit leaves no place for others.
    """
    request = request_of_controller(project.settings, requests)
    if request.mem_gb_per_node is not None:
        request = dataclasses.replace(request, mem_gb_per_node=memory)
    cluster = Cluster(_ANSWER_SECONDS, _ALL_SECONDS)
    with contextlib.suppress(SlurmError):  # sites may keep these commands away from users
        most = most_minutes(request, cluster.partitions, cluster.accounts)
        request = dataclasses.replace(request, hours=min(request.hours, most / 60))
        _check_hosts(cluster, request, requests)
        _check_places(cluster, request, requests)
    notice = min(_NOTICE_SECONDS, request.minutes * 15)
    request = dataclasses.replace(request, signal_seconds=notice)
    log = _controller(project, spec).log
    options = sbatch_options(request, name=f"heyhi {spec.name}", comment="", output=log, chdir=project.root)
    rest = _wishes(project.settings).rest
    options = [*(word for word in options if not word.startswith("--comment=")), *rest]
    return Asked(options, _first(options, requests), request.minutes, notice)


def _first(options: Sequence[str], requests: Sequence[JobRequest]) -> list[str]:
    """Return by which options it is tried whether a node may submit: an experiment's, if Slurm takes that from here."""
    if requests:
        first = sbatch_options(requests[0], name="heyhi-plan", comment="", output=Path(os.devnull), chdir=Path("/"))
        with contextlib.suppress(SlurmError):
            if not refusal(first, _TEST_SCRIPT, seconds=_ANSWER_SECONDS):
                return first
    return list(options)


def _check_hosts(cluster: Cluster, request: JobRequest, requests: Sequence[JobRequest]) -> None:
    """Make sure that the nodes of the controller's partitions are among the hosts that may submit (`AllocNodes`)."""
    own = places_of(request, cluster.partitions)
    if not own:
        return
    nodes = output_of(["sinfo", "--noheader", "--format=%N", f"--partition={','.join(p.name for p in own)}"])
    theirs = [place for one in (request, *requests) for place in places_of(one, cluster.partitions)]
    for one in dict.fromkeys(theirs):
        if one.submit_hosts:
            takes = set(output_of(["scontrol", "show", "hostnames", one.submit_hosts]).split())
            has = output_of(["scontrol", "show", "hostnames", ",".join(nodes.split())]).split()
            if not takes.intersection(has):
                host = socket.gethostname()
                if takes.isdisjoint((host, host.partition(".")[0])):
                    instead = f"nor from this host, {host}: launch from one of these, with --controller local or none"
                else:
                    instead = _INSTEAD
                raise LauncherError(
                    f"--controller slurm: partition '{one.name}' takes jobs from {one.submit_hosts} alone (AllocNodes),"
                    f" and none of these is a node that the controller could run on; {instead}"
                )


def _check_places(cluster: Cluster, request: JobRequest, requests: Sequence[JobRequest]) -> None:
    """Make sure that a limit on jobs leaves a place for an experiment beside the controller and the next one."""
    shared = {limit for one in requests for limit in limits_on(one, cluster.partitions, cluster.accounts)}
    for limit in limits_on(request, cluster.partitions, cluster.accounts):
        if limit.jobs < OWN_JOBS + (limit in shared):
            raise LauncherError(
                f"--controller slurm: {limit.whose} lets {counted(limit.jobs, 'job')} wait or run at once"
                f" ({limit.name}), and the controller and the next one, which waits for its end, are {OWN_JOBS}:"
                f" {'no experiment could ever run' if limit in shared else 'it could not be handed over'}; [tool.heyhi]"
                " controller_options may ask for another QOS, account or partition; --controller local stays on this"
                " machine"
            )


def why_no_submission(asked: Asked, host: str, seconds: float) -> str:
    """Say why jobs can't be submitted from this node; empty where they can be.

    Args:
        asked: what the controller asks for.
        host: this node.
        seconds: for how long a Slurm that doesn't answer is asked again.
    """
    if shutil.which("sbatch") is None:
        return f"node {host} has no sbatch, so that a controller there can't submit anything: {_INSTEAD}"
    deadline = time.monotonic() + seconds
    while True:
        try:
            reason = refusal(asked.first, _TEST_SCRIPT)
        except SlurmError as error:
            reason = ""
            if time.monotonic() >= deadline:
                return f"node {host} can't submit jobs: {error}: {_INSTEAD}"
        else:
            break
        time.sleep(_PAUSE_SECONDS)
    # Nodes that are down or taken say nothing of this one.
    if not reason or "node configuration" in reason:
        return ""
    return f"node {host} may not submit jobs: sbatch says {reason}: {_INSTEAD}"


def end_jobs(controller: Controller) -> list[str]:
    """End the jobs that are a controller, now and next; return their ids.

    Raises:
        HeyhiError: Slurm doesn't say, or they don't end.
    """
    ended: list[str] = []
    note_cancel(controller.folder)  # one that begins just now sees it, or is seen here
    for _ in range(3):  # one may submit the next just now
        now, coming = place_of(controller.folder, Queue())
        if coming is not None and coming.job:
            cancel([coming.job])
            ended.append(coming.job)
        if now is not None:
            now.stop()
            ended += [now.job] if now.job else []
        if now is None and coming is None:
            break
    return list(dict.fromkeys(ended))


def waiting_line(owner: Owner, words: str) -> str:
    """Say that a controller's job waits in the queue, and what can be done; empty where it doesn't.

    Args:
        owner: of the controller's claim.
        words: by which its experiments are named.

    Raises:
        SlurmError: there is no answer.
    """
    job = next(iter(list_jobs([owner.job])), None) if owner.job else None
    if job is None or job.phase is not Phase.WAITING:
        return ""
    return (
        f"the controller's job {owner.job} waits in the queue{f' ({job.why})' if job.why else ''}, and nothing is"
        ' submitted before it runs. [tool.heyhi] controller_options = "--partition=NAME" may have it run sooner;'
        f" heyhi cancel {words or '--all'} and --controller local or none start at once"
    )
