"""Hands experiments over to Slurm: each is claimed and prepared first, then noted with its job's id.

One function does it for `run.py` and for Snakemake's executor alike. Nothing here imports Snakemake.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from heyhi.code.snapshot import link_record
from heyhi.errors import HeyhiError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.names import LAUNCH_LOG_NAME, RESULT_NAME, is_slot
from heyhi.experiment.owner import SUBMISSION, JobRef, Owner
from heyhi.experiment.records import NOT_KNOWN, Submission
from heyhi.files import replace_file, utc_now, writing
from heyhi.job.handover import Handover, absent
from heyhi.job.job_name import job_name
from heyhi.job.order import PACK_LIST_NAME, PACKS_NAME, Order, Receipt
from heyhi.job.past import Past, past_of
from heyhi.job.script import batch_script, is_pack, retry_words, runner_words
from heyhi.loggers import get_logger
from heyhi.slurm.commands import Busy, Full, View, submit
from heyhi.slurm.request import JobRequest, comment_text, sbatch_options
from heyhi.sweep.continuing import Continuing

_log = get_logger(__name__)


def submit_job(
    experiments: Sequence[Experiment],
    request: JobRequest,
    order: Order,
    view: View,
    *,
    attempt: int = 1,
    left_out: tuple[str, ...] = (),
    handing_over: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    wait: Callable[[Busy], None] | None = None,
) -> Receipt:
    """Submit one job for some experiments, except those that are done, that somebody has, or that don't go on.

    Args:
        experiments: one, or as many as share the job.
        request: what the job asks for.
        order: what all jobs of the launch have in common.
        view: what Slurm says of jobs.
        attempt: how often this launch has tried.
        left_out: nodes that this launch keeps its jobs from, where there are others.
        handing_over: makes a context in which they are handed over, while nobody else can have them.
        wait: waits where Slurm may take it later, or raises; default: that is raised.

    Raises:
        Busy: Slurm may take it later.
        Refused: Slurm doesn't take it.
        UnknownError: nobody knows how one of them is. Nothing is claimed then.
        HeyhiError: a folder holds another experiment, or can't be written. Nothing is claimed then.
        Folders that were not there before are gone then.
    """
    while True:
        with prepare_job(experiments, request, order, view, attempt=attempt, left_out=left_out) as handover:
            while not handover.is_outdated:
                try:
                    return hand_over(handover, handing_over)
                except Busy as error:
                    if wait is None:
                        raise
                    wait(error)
        view = View()


def prepare_job(
    experiments: Sequence[Experiment],
    request: JobRequest,
    order: Order,
    view: View,
    *,
    attempt: int = 1,
    left_out: tuple[str, ...] = (),
    follows: Callable[[Owner], bool] | None = None,
    after: tuple[tuple[str, str], ...] = (),
) -> Handover:
    """Make some experiments ready to be submitted as one job; see `submit_job`.

    Args:
        experiments: one, or as many as share the job.
        request: what the job asks for.
        order: what all jobs of the launch have in common.
        view: what Slurm says of jobs.
        attempt: how often this launch has tried.
        left_out: nodes that this launch keeps its jobs from, where there are others.
        follows: returns whether the claim of a living owner passes on to who calls.
        after: exp path and job id of each experiment that has to end well before it starts.

    Raises:
        HeyhiError: one of them is UNKNOWN, holds another experiment, or can't be written. Nothing is claimed then.
    """
    with contextlib.ExitStack() as stack:
        handover = stack.enter_context(Handover(order, request, attempt, after=after))
        for experiment in experiments:
            new = absent(experiment.exp_path)
            got = _claim(experiment, order, view, follows)
            if not isinstance(got, Claim):
                handover.owned[experiment.exp_path] = got
                continue
            handover.add(experiment, got, new)
            if experiment.is_slot:  # what it has chosen is asked for when that starts
                continue
            going = Continuing.of(experiment, order.schema, order.identity_ignore).going_on(
                experiment.exp_path, experiment.config
            )
            if going.is_refused(is_allowed=order.continue_drifted):
                handover.refused[experiment.exp_path] = going.refusal
                got.release()
                handover.claims.pop()
                continue
            if going.note:
                _log.warning("%s: %s", experiment.exp_id, going.note)
        if handover.claims:
            _prepare(handover, view, left_out)
        stack.pop_all()
    return handover


def _prepare(handover: Handover, view: View, left_out: tuple[str, ...]) -> None:
    """Fill the folders of what is claimed, and find out what its job is to ask for and to run."""
    order, claims = handover.order, handover.claims
    mine = [experiment for experiment, _ in claims]
    needs = [_settled(experiment, view, handover.attempt - 1, order.node_faults) for experiment in mine]
    # Of several, the most that one of them needs.
    handover.nodes = tuple(dict.fromkeys([*left_out, *(node for need in needs for node in need.bad_nodes)]))
    request = handover.request.scaled(max(need.ooms for need in needs), max(need.timeouts for need in needs))
    for experiment in mine:
        ExperimentDir(experiment.exp_path).prepare(experiment, order.schema, order.entry)
        if order.snapshot is not None:
            link_record(order.snapshot, ExperimentDir(experiment.exp_path).code_path)
    is_shared = is_pack(mine, request)
    handover.request = request
    handover.folder = _pack_folder(mine, claims, order) if is_shared else mine[0].exp_path
    logs = [ExperimentDir(one.exp_path).launch_log_path for one in mine] if is_shared else []
    words = runner_words(claims, request, order, handover.folder, handover.attempt)
    again = retry_words(claims, request, order) if order.is_alone else ()
    handover.script = batch_script(words, order.results_root, request, logs, order.snapshot, again)


def _submit(handover: Handover, asked: JobRequest) -> str:
    mine = [experiment for experiment, _ in handover.claims]
    options = sbatch_options(
        asked,
        name=job_name(mine, asked.job_name),
        comment=comment_text(handover.order.root_mark, [one.identity.digest for one in mine], asked.comment),
        output=handover.folder / LAUNCH_LOG_NAME,
        chdir=handover.folder,
    )
    if handover.after:
        options += [
            f"--dependency=afterok:{':'.join(dict.fromkeys(job for _, job in handover.after))}",
            "--kill-on-invalid-dep=yes",
        ]
    return submit(options, handover.script)


def _submit_where_it_may_run(handover: Handover) -> str:
    if not handover.nodes:
        return _submit(handover, handover.request)
    from heyhi.job.left_out import submit_elsewhere  # most are kept from no node

    return submit_elsewhere(handover.request, handover.nodes, functools.partial(_submit, handover))


def hand_over(
    handover: Handover, handing_over: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
) -> Receipt:
    """Submit what was prepared; where that fails it stays prepared.

    Args:
        handover: what was prepared, not outdated.
        handing_over: makes a context in which it is handed over.

    Raises:
        Busy: Slurm may take it later.
        Refused: Slurm doesn't take it.
    """
    claims = handover.claims
    if not claims:
        return Receipt("", handover.owned, handover.refused)
    handover.tries += 1
    with handing_over():
        job_id = _found(handover) if handover.may_be_there else ""
        if not job_id:
            try:
                job_id = _submit_where_it_may_run(handover)
            except Busy as error:
                handover.may_be_there |= not isinstance(error, Full)
                raise
    leave_to(handover, job_id)
    return Receipt(job_id, handover.owned, handover.refused)


def leave_to(handover: Handover, job_id: str) -> None:
    """Leave what was prepared to a job, from here on, whatever happens to this process.

    Args:
        handover: what was prepared.
        job_id: of the job.
    """
    handover.settled()
    for experiment, claim in handover.claims:
        _note(experiment, handover, job_id)
        claim.hand_over(job_id)


def _found(handover: Handover) -> str:
    """Return the id of the job that Slurm has taken although its answer got lost; empty where it has none."""
    view = View()
    job_id = handover.find_job(view)
    handover.is_heard_again = handover.is_unheard and not view.queue.error
    handover.is_unheard = bool(view.queue.error)
    if view.queue.error:
        raise Busy(view.queue.error)
    return job_id


def _claim(
    experiment: Experiment, order: Order, view: View, follows: Callable[[Owner], bool] | None
) -> Claim | Owner | None:
    """Take an experiment's claim, or return who has it; None where it is done."""
    folder = ExperimentDir(experiment.exp_path)
    found = folder.look_anew()
    folder.check(experiment)
    if RESULT_NAME in found:
        return None
    with writing(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
    ref = JobRef("", order.root_mark, experiment.identity.digest)
    got = Claim.acquire(folder.path, kind=SUBMISSION, ref=ref, queue=view.queue, replaces=follows)
    if isinstance(got, Claim) and (RESULT_NAME in folder.look_anew() or _is_over(experiment, order)):
        got.release()  # it has just ended
        return None
    return got


def _is_over(experiment: Experiment, order: Order) -> bool:
    """Return whether there is nothing to run for a slot: who was to write down how it ended was killed before."""
    if not experiment.is_slot or order.search is None:
        return False
    from heyhi.experiment.slots import slot_dir
    from heyhi.job.slot_end import finish  # of searches alone

    return finish(slot_dir(experiment.exp_path, order.results_root), order.search) is not None


def _settled(experiment: Experiment, view: View, tries: int, faults: Sequence[str]) -> Past:
    """Put on record how the last job ended, as long as Slurm knows; and say what the next one has to be like."""
    folder = ExperimentDir(experiment.exp_path)
    settle(folder, view)
    return past_of((_chosen_by(folder) or folder).history(), tries, faults)


def _chosen_by(folder: ExperimentDir) -> ExperimentDir | None:
    """Return what a slot of a search has chosen; None for what is no slot, and where nothing is chosen yet."""
    if not is_slot(str(folder.path)):
        return None
    from heyhi.experiment.slots import chosen_dir

    return chosen_dir(folder)


def settle(folder: ExperimentDir, view: View) -> None:
    """Write into an experiment's records how its last job ended, where only Slurm can say; who calls has the claim.

    Slurm forgets in time, the records don't. For a slot it is written at what it has chosen, too.
    """
    chosen = _chosen_by(folder)
    if chosen is not None and chosen.path.exists():
        claim = Claim.acquire(chosen.path, kind="controller", queue=view.queue)
        if isinstance(claim, Claim):
            with claim:
                _settle(chosen, view)
    _settle(folder, view)


def _settle(folder: ExperimentDir, view: View) -> None:
    history = folder.history()
    if not history.job_to_ask:
        return
    from heyhi.experiment.death import ended_job, settled  # most had no job before

    job = ended_job(folder, history, view)
    if job is None:
        return
    started = [start for start in history.starts if start.job_id == history.job_to_ask]
    if is_slot(str(folder.path)):  # what was used is its experiment's
        folder.append_attempt(settled(history, job, utc_now()))
        return
    from heyhi.experiment.used import used_in_job  # most have had no job, or one that said so itself

    is_told = started and any(e.attempt == started[-1].attempt and e.used is not NOT_KNOWN for e in history.ends)
    end = settled(history, job, utc_now())
    folder.append_attempt(end if is_told else end._replace(used=used_in_job(folder.path, history, job)))


def _note(experiment: Experiment, handover: Handover, job_id: str) -> None:
    """Note which job an experiment has; without the note, the job's own record says it, once it has started."""
    request, order = handover.request, handover.order
    submission = Submission(
        job_id=job_id,
        time=utc_now(),
        attempt=handover.attempt,
        hours=request.hours,
        gpus=request.gpus,
        nodes=request.nodes,
        mem_gb_per_node=request.mem_gb_per_node,
        partition=request.partition,
        code=order.snapshot.digest if order.snapshot is not None else None,
        asked=request.asked(),
        pack=request.pack,
        after=tuple(os.path.relpath(need, experiment.exp_path) for need, _ in handover.after),
    )
    with contextlib.suppress(HeyhiError):
        ExperimentDir(experiment.exp_path).write_submission(submission)


def _pack_folder(mine: Sequence[Experiment], claims: Sequence[tuple[Experiment, Claim]], order: Order) -> Path:
    """Make the folder of a job that runs several experiments, with the list of them."""
    folder = order.state_root / PACKS_NAME / claims[0][1].owner.nonce
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / PACK_LIST_NAME, json.dumps([str(e.target) for e in mine], indent=0))
    return folder
