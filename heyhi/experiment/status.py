"""How experiments are: the one rule, for one of them or for many, with what they need.

It reads what lies in their folders and asks Slurm; who writes there, and what is done about a status, is decided
elsewhere. Most experiments that are asked about are done, which one look tells: whatever else it takes is imported
when one is not.
"""

from __future__ import annotations

import contextlib
import os
import time
from _thread import _local  # threading's, without the rest of that
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from heyhi.errors import HeyhiError
from heyhi.experiment.names import (
    ATTEMPTS_NAME,
    CLAIM_NAME,
    JOB_NAME,
    RESULT_NAME,
    SEARCH_NAME,
    Status,
    is_slot,
    is_winner,
    result_of,
)
from heyhi.files import age_of
from heyhi.quick_tuple import NamedTuple
from heyhi.text import MAX_LINE, one_line, readable, shorten

if TYPE_CHECKING:
    from pathlib import Path

    from heyhi.config.best import Best
    from heyhi.experiment.folder import ExperimentDir
    from heyhi.experiment.owner import Owner
    from heyhi.experiment.records import History
    from heyhi.slurm.commands import Job, View


class State(NamedTuple):
    """How an experiment is.

    Attributes:
        status: in a word.
        reason: why it is dead, pruned or unknown, by what it is blocked, who runs it.
    """

    status: Status
    reason: str = ""

    @property
    def text(self) -> str:
        """The same for people: `DEAD (exit code 1: ValueError: boom)`."""
        return f"{self.status.value}{f' ({self.reason})' if self.reason else ''}"

    @property
    def line(self) -> str:
        """The same inside a sentence: `DEAD: exit code 1: ValueError: boom`."""
        return f"{self.status.value}{f': {self.reason}' if self.reason else ''}"


_MAX_UNKNOWN = 2_000  # characters of why nobody can tell how one is
_DONE, _NOT_STARTED = State(Status.DONE), State(Status.NOT_STARTED)


class _Look(NamedTuple):
    """What was seen of an experiment.

    Attributes:
        state: how it is.
        history: of one that is dead, which says why.
        folder: that this is of, where another one was asked about: a slot's, of a search.
        owner: who has it, and lives.
    """

    state: State
    history: History | None = None
    folder: str = ""
    owner: Owner | None = None


def _no_needs(exp_path: str) -> Sequence[str]:
    return ()


def no_best(exp_path: str) -> Best | None:
    """Say that a need stands for the best of no sweep."""
    return None


class Statuses:
    """How many experiments are: each is looked at once, with one call of squeue and at most one of sacct for all.

    Args:
        folders: exp paths that will be asked about; others may be, too.
        needs_of: returns the exp paths that an experiment needs itself, by its own.
        best_of: returns which best of a sweep a need stands for, by its exp path; it needs all that it is chosen from.
        results_root: folder below which a need is called by its exp id.
        view: what Slurm says of jobs; default: ask it, if need be.
        held: returns why experiments were held back that aren't started: exp path -> a line.
    """

    def __init__(
        self,
        folders: Sequence[str] = (),
        *,
        needs_of: Callable[[str], Sequence[str]] = _no_needs,
        best_of: Callable[[str], Best | None] = no_best,
        results_root: Path | str = "",
        view: View | None = None,
        held: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._folders = folders
        self._needs_of = needs_of
        self._best_of = best_of
        self._prefix = f"{results_root}/" if results_root else ""
        self._view = view
        self._held = cache(held)
        self._looks: dict[str, _Look] = {}
        self._states: dict[str, State] = {}
        self._are_accounts_asked = False

    def of(self, exp_path: str) -> State:
        """Return how one is; one that can't be looked at is UNKNOWN, with the reason."""
        state = self._states.get(exp_path)
        if state is None:
            self._states[exp_path] = _NOT_STARTED  # ends a circle, which a damaged manifest could hold
            state = self._states[exp_path] = _shown(self._find(exp_path))
        return state

    def look(self, exp_path: str) -> State:
        """Return how one is, without what it needs, and without the reason where it is dead."""
        return _shown(self._look(exp_path).state)

    def owner_of(self, exp_path: str) -> Owner | None:
        """Return who has one, and lives; None of a slot, which is as another one is."""
        return None if is_slot(exp_path) else self._look(exp_path).owner

    def not_done(self) -> dict[str, State]:
        """Return how those of its folders are that are not DONE; one that is costs a single look for its result."""
        # Access takes two thirds of the time of stat.
        missing = [path for path in self._folders if not os.access(f"{path}/{RESULT_NAME}", os.F_OK)]
        # One may have ended between the two looks.
        return {path: state for path in missing if (state := self.of(path)).status is not Status.DONE}

    def view(self) -> View:
        """Return what Slurm says of jobs; it is asked for what isn't known yet."""
        return self._ask()

    @property
    def silence(self) -> str:
        """Why Slurm didn't answer; empty where it did, or wasn't asked."""
        return self._view.queue.error if self._view is not None else ""

    def _find(self, exp_path: str) -> State:
        state, history, folder, _ = self._look(exp_path)
        if history is not None:
            return State(state.status, self._why_dead(folder or exp_path, history))
        if state.status is Status.NOT_STARTED:
            try:
                needs = self._needs_of(exp_path)
            except HeyhiError as error:  # what it was expanded into can't be read: the others' statuses come
                return State(Status.UNKNOWN, str(error))
            if is_winner(exp_path):
                return self._of_best(exp_path, needs)
            for need in needs:
                its = self.of(need)
                if its.status.blocks and is_winner(need):
                    return State(Status.BLOCKED, f"by {its.reason}")
                if its.status.blocks:
                    return State(Status.BLOCKED, f"by {need.removeprefix(self._prefix)}, {its.line}")
            if not state.reason:
                return state._replace(reason=self._held().get(exp_path, ""))
        return state

    def _of_best(self, exp_path: str, candidates: Sequence[str]) -> State:
        """Return how the best of a sweep is, which isn't chosen yet, by how those are that it is chosen from."""
        best = self._best_of(exp_path)
        stuck = [status for status in (self.of(path).status for path in candidates) if status.blocks]
        is_all = best is None or best.of == "all"
        if not stuck or not (is_all or len(stuck) == len(candidates)):
            return _NOT_STARTED
        name = best.text if best is not None else exp_path.removeprefix(self._prefix)
        each = [f"{stuck.count(one)} {'is' if stuck.count(one) == 1 else 'are'} {one}" for one in dict.fromkeys(stuck)]
        hint = " (of=done leaves out what isn't DONE)" if Status.PRUNED in stuck and best and best.of == "all" else ""
        return State(Status.BLOCKED, f"{name}: of {len(candidates)}, {' and '.join(each)}{hint}")

    def _look(self, exp_path: str) -> _Look:
        look = self._looks.get(exp_path)
        if look is None:
            found = partial(_look_at_slot, of=self._look) if is_slot(exp_path) else _look_closely
            look = self._looks[exp_path] = _look_at(exp_path, self._ask, found)
        return look

    def _ask(self) -> View:
        if self._view is None:
            from heyhi.slurm.commands import View

            self._view = View()
        return self._view

    def _why_dead(self, exp_path: str, history: History) -> str:
        from pathlib import Path

        from heyhi.experiment.death import death_in, ended_job
        from heyhi.experiment.folder import ExperimentDir

        folder = ExperimentDir(Path(exp_path))
        if not history.job_to_ask:
            return death_in(folder, history).text
        if not self._are_accounts_asked:
            self._are_accounts_asked = True
            self._ask_accounts()
        return death_in(folder, history, ended_job(folder, history, self._ask())).text

    def _ask_accounts(self) -> None:
        """Ask once how all the jobs have ended that have to be asked about, also those of what is needed."""
        seen, left = set[str](), list(self._folders)
        jobs = []
        while left:
            path = left.pop()
            if path in seen or os.access(result_of(path), os.F_OK):
                continue
            seen.add(path)
            if os.access(f"{path}/{JOB_NAME}", os.F_OK):
                history = self._look(path).history
                jobs += [history.job_to_ask] if history is not None else []
            else:
                with contextlib.suppress(HeyhiError):  # its status says so
                    left += self._needs_of(path)
        self._ask().ledger.load(jobs)


def _shown(state: State) -> State:
    """Return a state with a reason that anything can show: it may name a path, or what Slurm or a task said."""
    if state.status is Status.UNKNOWN:  # these name paths and what mends it, and are our own words
        return state._replace(reason=shorten(readable(state.reason), _MAX_UNKNOWN))
    is_short = len(state.reason) <= MAX_LINE and state.reason.isprintable()
    return state if is_short else state._replace(reason=one_line(state.reason))


_shared = _local()


@contextlib.contextmanager
def asking_once(view: Callable[[], View]) -> Iterator[None]:
    """Have all that ask how experiments are meanwhile take the same answer of Slurm's: a squeue for each is many.

    Args:
        view: returns what Slurm says of jobs.
    """
    before, _shared.view = _shared_view(), view
    try:
        yield
    finally:
        _shared.view = before


def _shared_view() -> Callable[[], View] | None:
    """Return what this thread asks meanwhile; None where each asks for itself."""
    found: Callable[[], View] | None = getattr(_shared, "view", None)
    return found


def find_state(exp_path: Path | str, view: View | None = None, *, why_dead: bool = True) -> State:
    """Return how an experiment is, without what it needs: it is never BLOCKED here.

    Args:
        exp_path: its folder.
        view: what Slurm says of jobs; default: that of `asking_once`; else it is asked, if need be.
        why_dead: find out why a dead one is dead, which may take a call of sacct.
    """
    if view is None and (shared := _shared_view()) is not None:
        view = shared()
    statuses = Statuses(view=view)
    return statuses.of(str(exp_path)) if why_dead else statuses.look(str(exp_path))


def find_status(exp_path: Path | str, view: View | None = None) -> Status:
    """Return the status of an experiment, without what it needs and without the reason."""
    return find_state(exp_path, view, why_dead=False).status


def is_done(exp_path: Path | str) -> bool:
    """Return whether an experiment is DONE: its result says so, and Slurm needn't be asked."""
    path = str(exp_path)
    if is_slot(path):
        return find_status(path) is Status.DONE
    try:
        if _exists(result_of(path)):
            return True
        if is_winner(path) or not _exists(path):
            return False
        from pathlib import Path

        from heyhi.experiment.folder import ExperimentDir

        return RESULT_NAME in ExperimentDir(Path(path)).look_anew()
    except (HeyhiError, OSError):  # UNKNOWN
        return False


def find_job_id(exp_path: Path | str) -> str:
    """Return the id of the job that has an experiment, or had it last; empty where its last attempt was in none.

    Raises:
        UnknownError: its claim or a record can't be read.
    """
    from pathlib import Path

    from heyhi.experiment.claim import read_last_owner
    from heyhi.experiment.folder import ExperimentDir

    history = ExperimentDir(Path(exp_path)).history()
    owner = read_last_owner(exp_path)
    # A submission that could not be noted is known by its claim.
    if owner is not None and owner.job and owner.job not in history.job_ids:
        return owner.job
    return history.current_job


def held_by(owner: Owner, view: View) -> State:
    """Return how an experiment is that somebody has; where Slurm doesn't answer, how it was last known to be."""
    return _held_with(owner.find_job(view.queue), owner, view)


def _held_with(job: Job | None, owner: Owner, view: View) -> State:
    from heyhi.slurm.commands import Phase

    if job is None or job.phase is Phase.OVER:  # or it is just ending
        status = Status.RUNNING if owner.kind == "process" else Status.PENDING
    else:
        status = Status.PENDING if job.phase is Phase.WAITING or job.is_resting else Status.RUNNING
    if job is None:
        asked = f" (last known: {view.queue.error})" if owner.root and view.queue.error else ""
        return State(status, f"{owner.describe()}{asked}")
    if job.phase is Phase.WAITING:
        return State(status, f"job {job.job_id} waits{f': {job.why}' if job.why else ''}")
    words = ("job", job.job_id, job.remark, f"on {job.nodes}" if job.nodes else "")
    return State(status, " ".join(filter(None, words)))


def _held(folder: ExperimentDir, owner: Owner, view: View) -> _Look:
    from heyhi.experiment.owner import BACK
    from heyhi.slurm.commands import Phase

    job = owner.find_job(view.queue)
    state = _held_with(job, owner, view)
    asked = view.queue.asked
    if job is not None and job.phase is Phase.WAITING and owner.kind == "process" and asked is not None:
        from heyhi.experiment.claim import file_of

        claim = file_of(owner, folder.path)
        if claim is not None and _is_changed_since(claim, asked):
            state = State(Status.RUNNING, f"job {job.job_id} has just started")
    if owner.kind == BACK:
        return _Look(State(Status.PENDING, _tried_again(folder, owner) or "to be tried again"), owner=owner)
    waits_again = state.status is Status.PENDING and not (job is not None and job.is_resting)
    if waits_again and job is not None and (again := _tried_again(folder, owner)):
        return _Look(state._replace(reason=f"{state.reason}, {again}"), owner=owner)
    return _Look(state._replace(reason=f"{state.reason}{_requeues(folder, owner, waits_again, asked)}"), owner=owner)


def _tried_again(folder: ExperimentDir, owner: Owner) -> str:
    """Say of what the last attempt of a job has died that is to try once more; empty where it has died of nothing."""
    from heyhi.experiment.death import death_in
    from heyhi.experiment.records import REQUEUE

    with contextlib.suppress(HeyhiError):  # it lives all the same
        history = folder.history()
        others = (REQUEUE, "terminated", "PREEMPTED", "NODE_FAIL")  # of these Slurm has queued it again
        start, end = history.last_attempt
        if start is not None and end is not None and start.job_id == owner.job and end.reason not in others:
            return f"to be tried again: attempt {start.attempt}: {death_in(folder, history).text}"
    return ""


def _is_changed_since(path: Path, asked: float) -> bool:
    """Return whether a file was changed after Slurm was asked: then it knows more than the answer.

    Args:
        path: the file.
        asked: when, by `time.monotonic`.
    """
    with contextlib.suppress(OSError):
        changed = path.stat().st_mtime
        seconds = time.monotonic() - asked
        if time.time() - changed >= seconds:
            return False
        with contextlib.suppress(OSError):  # read-only for us: our own clock must do
            return age_of(path, changed) < seconds
        return True
    return False


def _requeues(folder: ExperimentDir, owner: Owner, waits_again: bool, asked: float | None) -> str:
    """Say how often the job of a living owner was queued again; nothing where it wasn't.

    Args:
        folder: of the experiment.
        owner: of it.
        waits_again: whether Slurm has said that its job waits.
        asked: when it was asked that; None where it wasn't, or didn't answer.
    """
    if not owner.root:
        return ""
    from heyhi.experiment.records import Start

    attempts = []
    with contextlib.suppress(HeyhiError):  # it lives all the same
        attempts = folder.attempts()
    last = next((one for one in reversed(attempts) if isinstance(one, Start)), None)
    if last is None or not owner.job or last.job_id != owner.job:
        return ""
    # An answer that is older than this start says nothing of what came after it.
    waits_again = (
        waits_again
        and asked is not None
        and not (attempts[-1] is last and _is_changed_since(folder.path / ATTEMPTS_NAME, asked))
    )
    count = last.restart_count + waits_again
    return f", requeued {count} times" if count > 1 else ", requeued once" if count else ""


def _look_at(exp_path: str, ask: Callable[[], View], look: Callable[[str, Callable[[], View]], _Look]) -> _Look:
    """Look at the folder of an experiment; whatever can't be read is never taken for absent."""
    try:
        return look(exp_path, ask)
    except HeyhiError as error:
        return _Look(State(Status.UNKNOWN, str(error)))
    except OSError as error:
        return _Look(State(Status.UNKNOWN, f"{error.filename or exp_path}: can't be read: {error.strerror or error}"))


def _look_closely(exp_path: str, ask: Callable[[], View]) -> _Look:
    # Most of a new sweep has no folder yet.
    if _exists(result_of(exp_path)):
        return _Look(_DONE)
    if is_winner(exp_path):
        from heyhi.experiment.winners import read_failure

        why = read_failure(exp_path)
        return _Look(State(Status.DEAD, why) if why else _NOT_STARTED)
    if not _exists(exp_path):
        if os.path.islink(exp_path):  # noqa: PTH114 (of 10,000)
            return _Look(State(Status.UNKNOWN, f"{exp_path}: is a link that leads nowhere"))
        return _Look(_NOT_STARTED)
    from pathlib import Path

    from heyhi.experiment.claim import read_owner
    from heyhi.experiment.folder import ExperimentDir
    from heyhi.experiment.unclaimed import unclaimed_owner

    view = ask()
    has_claim = _exists(f"{exp_path}/{CLAIM_NAME}")
    owner = read_owner(exp_path, view.queue)
    folder = ExperimentDir(Path(exp_path))
    if owner is not None:
        return _held(folder, owner, view)
    names = folder.look_anew()  # nobody has it, as far as this machine remembers
    if RESULT_NAME in names:
        return _Look(_DONE)
    if not has_claim and CLAIM_NAME in names and (owner := read_owner(exp_path, view.queue, is_there=True)) is not None:
        return _held(folder, owner, view)
    folder.read_identity()  # one that can't be read says of which experiment the rest is
    # A link that leads nowhere is there, too.
    if names.isdisjoint((ATTEMPTS_NAME, JOB_NAME)) and not any(
        _exists(f"{exp_path}/{name}") for name in (ATTEMPTS_NAME, JOB_NAME)
    ):
        return _waiting_slot(exp_path, ask) or _Look(_NOT_STARTED)
    history = folder.history()
    if _exists(f"{exp_path}/{RESULT_NAME}"):  # it has ended since the first look
        return _Look(_DONE)
    if (owner := unclaimed_owner(history)) is not None:
        return _held(folder, owner, view)
    if (look := _waiting_slot(exp_path, ask)) is not None:
        return look
    if _has_waited_in_vain(exp_path, history) or _was_withdrawn(exp_path, history):
        return _Look(_NOT_STARTED)
    return _Look(State(Status.PRUNED if history.pruned is not None else Status.DEAD), history)


def _has_waited_in_vain(exp_path: str, history: History) -> bool:
    """Return whether the last job of an experiment was to start after others, and one of these has no result.

    Slurm has ended it then before it began: nothing of it is dead.
    """
    submission = history.submission
    if submission is None or not submission.after or not history.unstarted_job:
        return False
    return not all(_exists(result_of(os.path.normpath(f"{exp_path}/{need}"))) for need in submission.after)


def _was_withdrawn(exp_path: str, history: History) -> bool:
    """Return whether its only job was withdrawn before it had started anything."""
    if history.attempts or history.submission is not None:
        return False
    # A link that leads nowhere is there, too.
    return not (os.path.lexists(f"{exp_path}/{ATTEMPTS_NAME}") or os.path.islink(f"{exp_path}/{JOB_NAME}"))  # noqa: PTH114


def _waiting_slot(exp_path: str, ask: Callable[[], View]) -> _Look | None:
    """Look at the slot of a search that an experiment is of, which is about to start it; None where none is alive."""
    if is_slot(exp_path) or not _exists(f"{exp_path}/{SEARCH_NAME}"):
        return None
    from heyhi.experiment.slots import living_slots_of

    for slot in living_slots_of(exp_path):
        look = _look_closely(slot, ask)
        if look.state.status.is_alive:
            return _Look(State(Status.PENDING, look.state.reason))
    return None


def _look_at_slot(exp_path: str, ask: Callable[[], View], of: Callable[[str], _Look]) -> _Look:
    """Look at a search's slot: it is as its experiment is, once that is chosen.

    Args:
        exp_path: folder of the slot.
        ask: asks Slurm.
        of: looks at an experiment.
    """
    from heyhi.experiment.slots import GONE, folder_chosen, is_gone, read_choice, read_end, shown_folder

    end = read_end(exp_path)
    if end is not None and end.shown_status is Status.DONE:  # which most are, and there may be 10,000 of them
        done = folder_chosen(exp_path, end.exp_id) if end.exp_id else ""
        if not done or not is_gone(done):
            return _Look(State(Status.DONE, end.reason if not end.exp_id else ""))
        now = of(done)._replace(folder=done)
        return now if now.state.status is not Status.NOT_STARTED else _Look(State(Status.DEAD, GONE))
    choice = read_choice(exp_path) if end is None else None  # raises where it is damaged
    chosen = exp_path if end is None and choice is None else shown_folder(exp_path)
    its = of(chosen)._replace(folder=chosen) if chosen != exp_path else None
    if end is not None:
        is_so = its is not None and (its.state.status.is_alive or its.state.status is Status.DONE)
        return its if its is not None and is_so else _Look(State(end.shown_status, end.reason))
    own = _look_closely(exp_path, ask)
    if its is None or its.state.status is Status.UNKNOWN:
        return its or own
    if own.state.status.is_alive:
        return its if its.state.status.is_alive else _Look(State(Status.PENDING, own.state.reason))
    if its.state.status in (Status.DONE, Status.PRUNED):  # who was to write that down was killed
        return _Look(State(Status.NOT_STARTED, f"its experiment is {its.state.status.value}, which is to be noted yet"))
    return own if its.state.status is Status.NOT_STARTED else its


def _exists(path: str) -> bool:
    # Not `is_there`, for its error: whatever the system says is the reason. A file where a folder should be is none of
    # the experiment's: it is there, and in the way.
    try:
        os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return False
    return True
