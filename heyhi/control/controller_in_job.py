"""What a controller does that is a job: it has the next one wait for its end, runs Snakemake, and hands over in time.

Whatever ends it, a limit, a kill, a node that fails, the next one goes on; only when all is over, or somebody cancels
it, there is none.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

from heyhi.control.controller import Controller, ControllerSpec, control, shown
from heyhi.control.controller_job import new_mark, submit_controller, why_no_submission
from heyhi.control.job_claim import NEXT_NAME, Asked, cancelled_at
from heyhi.control.spare import Spare
from heyhi.control.telling import tell_end, tell_given_up
from heyhi.errors import HeyhiError, reporting_errors
from heyhi.experiment.claim import Claim, read_last_owner
from heyhi.experiment.owner import SUBMISSION, JobRef, Owner
from heyhi.files import read_bounded, replace_file, utc_now, writing
from heyhi.job.starving import is_starving
from heyhi.project import Project, find_project
from heyhi.slurm.commands import Phase, Queue, SlurmError, View, account, cancel
from heyhi.slurm.surroundings import leave_job
from heyhi.streams import guard_streams
from heyhi.sweep.sign_of_life import CONTROLLERS_NAME
from heyhi.text import duration

_NOTICE = signal.SIGUSR2  # before the time limit
_TEST_SECONDS = 300.0  # for a Slurm that doesn't answer, before the first one gives up
_CLAIM_SECONDS = 10.0  # for another one to look whether it may be the controller
_LOOK_SECONDS = 60.0  # between two looks whether the next one is still there
_GLANCE_SECONDS, _MOST_STARVED = 15.0, 2  # between two looks whether it takes the place of all experiments
_LAST_SECONDS = 30.0  # for Slurm to take the next one at the end
_ACCOUNT_SECONDS = 5.0  # for Slurm's accounts to say how this job is ended
# So many in a row that were killed within a minute of their start: the next one would be, too.
_MOST_KILLED, _YOUNG_SECONDS = 5, 60.0
_KILLED_NAME = "killed"
# For a project that somebody is just editing, or whose work tree is another branch's for a moment.
_PROJECT_SECONDS, _PROJECT_PAUSE_SECONDS = 300.0, 2.0
_CANCELLED = "nothing to do: heyhi cancel has ended what this controller is for"


class Next:
    """The job that waits for the end of this one, and then goes on.

    Args:
        project_root: whose experiments they are; whatever is wrong there now, the next one may find it mended.
        controller: that this job is.
        asked: what its jobs ask for.
        ref: of this job.
    """

    def __init__(self, project_root: Path, controller: Controller, asked: Asked, ref: JobRef) -> None:
        self._project_root = project_root
        self._controller = controller
        self._asked = asked
        self._job_id = ref.job
        self._marks = {ref.mark}  # of this job, and of those that were to follow it
        self._folder = controller.folder / NEXT_NAME
        self._root = ref.root
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="heyhi-next", daemon=True)
        self._mark = ref.mark
        self.job_id = ""
        self.why = ""

    def begin(self) -> None:
        """See to it from now on that there is one."""
        self._thread.start()

    def see_to(self, seconds: float = 0.0) -> bool:
        """Submit it unless it is there; return whether it is now.

        Args:
            seconds: for how long a Slurm that doesn't answer is asked again.
        """
        with self._lock:
            if self._over.is_set():
                return False
            try:
                if not self._is_there():
                    self._submit(seconds)
            except HeyhiError as error:
                if str(error) != self.why:
                    print(f"{utc_now()} the next controller isn't submitted as yet: {error}", flush=True)
                self.why = str(error)
                return False
            return True

    def end(self) -> None:
        """Have none: all is over, or was cancelled."""
        self._over.set()
        with self._lock:
            if not self.job_id:
                return
            try:
                cancel([self.job_id])
            except SlurmError as error:
                print(f"{utc_now()} job {self.job_id}, the next controller, may still come: {error}", flush=True)
                return
            claim = Claim.acquire(self._folder, kind="controller", replaces=lambda owner: owner.mark in self._marks)
            if isinstance(claim, Claim):
                claim.release()

    def _keep(self) -> None:
        see_to_at, starved = 0.0, 0
        while not self._over.is_set():
            starved = starved + 1 if is_starving() else 0
            if starved >= _MOST_STARVED:
                self._leave_place()
            elif time.monotonic() >= see_to_at and not starved:
                self.see_to()
                see_to_at = time.monotonic() + _LOOK_SECONDS
            self._over.wait(_GLANCE_SECONDS)

    def _leave_place(self) -> None:
        """Leave the place to an experiment: a limit on jobs is reached, and nothing else of the launch has one."""
        with self._lock:
            if not self.job_id:
                return
            with contextlib.suppress(SlurmError):
                cancel([self.job_id])
                print(
                    f"{utc_now()} job {self.job_id}, the next controller, leaves its place to experiments", flush=True
                )
                self.job_id = ""

    def _is_there(self) -> bool:
        if not self.job_id:
            return False
        queue = Queue()  # a slurmctld that was killed has forgotten its last jobs, and gives their ids again
        job = queue.job(self.job_id)
        if queue.error:
            return True
        return job is not None and job.phase is not Phase.OVER and job.may_be(self._mark)

    def _submit(self, seconds: float) -> None:
        with writing(self._folder):
            self._folder.mkdir(exist_ok=True)
        self._mark = new_mark()
        ref = JobRef("", self._root, self._mark)
        claim = Claim.acquire(self._folder, kind=SUBMISSION, ref=ref, replaces=lambda owner: owner.mark in self._marks)
        if isinstance(claim, Owner):
            raise HeyhiError(f"{claim.describe()} waits to be it")
        with claim:
            job_id = submit_controller(
                self._project_root, self._controller, self._asked, claim, after=self._job_id, seconds=seconds
            )
            claim.hand_over(job_id)
        self.job_id, self.why = job_id, ""
        self._marks.add(self._mark)


class InJob:
    """A controller in its job.

    Args:
        folder: of the controller.
        job_id: of the job.
        mark: by which its submission has the claim.
        is_first: whether no other one of this launch came before.
    """

    def __init__(self, folder: Path, job_id: str, mark: str, *, is_first: bool) -> None:
        self._root = Path.cwd()  # the script has gone there
        self._controller = Controller(folder.name, folder, None)
        self._ref = JobRef(job_id, "", mark)
        self._is_first = is_first
        self._host = socket.gethostname()
        self.is_noticed = False
        self.is_lost = False

    def notice(self, number: int, frame: FrameType | None) -> None:
        """Hand over: the time limit is near."""
        self.is_noticed = True
        os.kill(os.getpid(), signal.SIGTERM)

    def run(self) -> int:
        """Be the controller; return the exit code."""
        if why := self._why_another():
            print(f"error: {why}", flush=True)
            return 1
        if why := self._why_not():
            return self._give_up(why, 1)
        claim = self._claim()
        if isinstance(claim, Owner):
            print(f"nothing to do: this is being run already by controller {claim.describe()}", flush=True)
            return 0
        with claim:
            if cancelled_at(self._controller.folder):
                print(_CANCELLED, flush=True)
                return 1
            spec, asked = self._controller.spec(), Asked.read(self._controller.folder)
            if spec is None or asked is None:
                return self._give_up(f"{self._controller.folder}: what the controller was told can't be read", 1)
            if self._is_first and (why := why_no_submission(asked, self._host, _TEST_SECONDS)):
                return self._give_up(why, 2)
            print(f"snakemake {shown(spec)}", flush=True)
            coming = Next(self._root, self._controller, asked, self._ref)
            coming.begin()
            old = threading.Timer(_YOUNG_SECONDS, self._count_killed, [0])
            old.daemon = True
            old.start()
            return self._control(spec, coming)

    def _control(self, spec: ControllerSpec, coming: Next) -> int:
        code, why = 1, ""
        try:
            self._wait_for_project(spec)
            code = control(self._controller, spec)
        except SystemExit as stop:  # while it waited
            code = stop.code if isinstance(stop.code, int) else 1
        except HeyhiError as error:
            code, why = error.exit_code, str(error)
            print(f"error: {why}", flush=True)
        finally:
            is_told = code == 128 + signal.SIGTERM or (self.is_noticed and code)
            is_cancelled = bool(cancelled_at(self._controller.folder))
            if not is_told or self.is_lost or is_cancelled or (not self.is_noticed and self._is_cancelled()):
                coming.end()
                tell_end(self._project, spec, code, why)
            else:
                code = self._hand_over(coming)
        return code

    def _hand_over(self, coming: Next) -> int:
        self._count_killed(0)
        if not coming.see_to(_LAST_SECONDS):
            return self._give_up(f"no next controller was submitted: {coming.why}: the same launch goes on", 1)
        print(f"hands over to job {coming.job_id}", flush=True)
        return 0

    def _give_up(self, why: str, code: int) -> int:
        """Say why there is no controller any more, here and to who is to be told; return the exit code."""
        print(f"error: {why}", flush=True)
        tell_given_up(self._project, self._controller.folder, why)
        return code

    @property
    def _project(self) -> Project:
        """The project; where it can't be read, what can be known of it."""
        folder = self._controller.folder
        with contextlib.suppress(HeyhiError):
            project = find_project(self._root)
            if _place_in(project, folder.name) == folder:
                return project
        return Project(self._root, results_override=folder.parent.parent.parent)

    def _wait_for_project(self, spec: ControllerSpec) -> None:
        """Wait until the project can be read: somebody may just be editing it, or looking at another branch.

        Raises:
            HeyhiError: it can't, for minutes.
        """
        deadline, said = time.monotonic() + _PROJECT_SECONDS, ""
        while why := self._why_unreadable(spec):
            if time.monotonic() >= deadline:
                raise HeyhiError(f"{why}, for {duration(_PROJECT_SECONDS)}")
            if why != said:
                print(f"{utc_now()} the project can't be read, and is looked at again: {why}", flush=True)
                said = why
            time.sleep(_PROJECT_PAUSE_SECONDS)

    def _why_unreadable(self, spec: ControllerSpec) -> str:
        try:
            project = find_project(self._root)
        except HeyhiError as error:
            return str(error)
        if _place_in(project, self._controller.name) != self._controller.folder:
            return f"{project.root}: its results are in {project.results_root} now, and this launch's are elsewhere"
        if not any((self._root / spec.profile).glob("config*.yaml")):
            return f"{self._root / spec.profile}: the profile isn't there"
        return ""

    def _is_cancelled(self) -> bool:
        """Return whether somebody has cancelled this job; of what else ends it by SIGTERM, the next one takes over."""
        deadline = time.monotonic() + _ACCOUNT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(SlurmError):
                job = account([self._ref.job]).get(self._ref.job)
                if job is not None and job.phase is Phase.OVER:
                    return job.state == "CANCELLED"
            time.sleep(0.5)
        return False

    def _why_another(self) -> str:
        """Say why somebody else is to be the controller, or nobody; empty where this job is."""
        folder = self._controller.folder
        told = read_last_owner(folder if self._is_first else folder / NEXT_NAME)
        own = read_last_owner(folder)
        ours = next((one for one in (told, own) if one is not None and one.mark == self._ref.mark), None)
        if ours is None:
            return "what has submitted this job has failed since, or took it back: the same launch goes on"
        self._ref = self._ref._replace(root=ours.root)
        return _CANCELLED if cancelled_at(folder) else ""

    def _why_not(self) -> str:
        """Say why there is to be no controller; empty where this job is it."""
        own = read_last_owner(self._controller.folder)
        if self._is_first or own is None or own.mark == self._ref.mark:
            return ""
        view = View()
        ended = view.ended(own.job) if own.job and view.queue.has_answer else None
        if ended is not None and ended.state == "CANCELLED":
            return f"job {own.job}, the controller before this one, was cancelled, and so is what it was for"
        killed = self._count_killed()
        if killed >= _MOST_KILLED:
            return f"{killed} controllers in a row were killed within {_YOUNG_SECONDS:.0f} s of their start"
        return ""

    def _count_killed(self, number: int | None = None) -> int:
        """Count one more that begins after a killed one, or begin anew; return how many there are in a row."""
        path = self._controller.folder / _KILLED_NAME
        if number is None:
            number = 1
            with contextlib.suppress(OSError, ValueError, HeyhiError):
                number = 1 + int(read_bounded(path))
        with contextlib.suppress(HeyhiError):
            replace_file(path, f"{number}\n")
        return number

    def _claim(self) -> Claim | Owner:
        deadline = time.monotonic() + _CLAIM_SECONDS
        while True:
            claim = Claim.acquire(
                self._controller.folder,
                kind="controller",
                ref=self._ref,
                replaces=lambda owner: owner.mark == self._ref.mark,
                on_lost=self._lose,
            )
            if isinstance(claim, Claim) or time.monotonic() >= deadline:
                return claim
            time.sleep(0.5)  # it may only look, or its job is just ending

    def _lose(self, why: str) -> None:
        print(f"error: {why}: another controller goes on", flush=True)
        self.is_lost = True
        os.kill(os.getpid(), signal.SIGTERM)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _place_in(project: Project, name: str) -> Path:
    return project.state_root / CONTROLLERS_NAME / name


def main(folder: Path, mark: str, *, is_first: bool) -> int:
    """Be a controller, in its job; whatever becomes of it, the log says how it ended.

    Args:
        folder: of the controller.
        mark: of the job.
        is_first: whether no other one of this launch came before.
    """
    code = 1
    try:
        signal.signal(signal.SIGTERM, _leave)
        job_id = os.environ.get("SLURM_JOB_ID", "")
        leave_job()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        Spare(folder, folder.with_name(f"{folder.name}.log")).print_through()
        in_job = InJob(folder, job_id, mark, is_first=is_first)
        signal.signal(_NOTICE, in_job.notice)
        code = in_job.run()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except HeyhiError as error:
        print(f"error: {error}", flush=True)
        code = error.exit_code
    except Exception:
        traceback.print_exc()
    print(f"{utc_now()} exit code {code}", flush=True)
    return code


if __name__ == "__main__":
    guard_streams(goes_on=True)
    with reporting_errors():
        sys.exit(main(Path(sys.argv[1]), sys.argv[2], is_first="--first" in sys.argv[3:]))
