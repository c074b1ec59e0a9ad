"""How our executor asks Slurm about the jobs that it waits for: by one call, and less often when Slurm is slow.

Slurm's commands are stand-ins that count how they are called, and time goes on as these tests say.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.settings import SharedFSUsage

import heyhi.job.executor
import heyhi.job.submitter
import heyhi.slurm.commands
from heyhi.config.schema import load_schema
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.records import PRUNED, End, Start
from heyhi.experiment.status import find_state
from heyhi.project import Project, find_project
from heyhi.sweep.file import expand_sweep_file
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.write_manifest import write_manifest
from tests.threads import run_async

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 10; } }
message Include { optional string path = 1; optional string mount = 2; }
message Work { optional int32 x = 1; optional Launcher launcher = 4; }
message Launcher { oneof kind { Slurm slurm = 2; } }
message Slurm { optional double hours = 4 [default = 0.1]; }
"""
SWEEP = """
def yield_sweep():
    for x in range({count}):
        yield "conf/work.prototxt", {{"x": x}}
"""
# Ids are process ids: no two submissions have the same.
SBATCH = """#!/bin/sh
cat > /dev/null
echo x >> {folder}/asked_sbatch
[ ! -e {folder}/says ] || {{ cat {folder}/says >&2; exit 1; }}
for word; do case $word in --comment=*) echo "$$ ${{word#--comment=}}" >> {folder}/ids;; esac; done
echo $$
"""
SQUEUE = """#!/bin/sh
echo x >> {folder}/asked
[ ! -e {folder}/broken ] || {{ echo "squeue: error: Socket timed out on send/recv operation" >&2; exit 1; }}
sed 's/ /\x1fPENDING\x1fPriority\x1f\x1f\\/\x1f/' {folder}/ids
"""
SACCT = """#!/bin/sh
echo x >> {folder}/asked_sacct
"""
OTHER = "#!/bin/sh\necho MaxArraySize = 1001\n"
SECONDS = 300.0  # after which something hangs


class Job:
    """What an executor sees of a job of Snakemake's."""

    attempt = 1
    rule = SimpleNamespace(name="experiment")
    priority = 0

    def __init__(self, target: str, manifest: Path) -> None:
        self.output = [target]
        self.resources = {"manifest": str(manifest)}

    def is_group(self) -> bool:
        return False

    def log_info(self) -> None: ...

    on_error: Callable[[str], object] | None = None

    def log_error(self, msg: str, **_: object) -> None:
        if self.on_error is None:
            raise AssertionError(msg)
        self.on_error(msg)

    def register(self, external_jobid: str) -> None: ...


class Executor(heyhi.job.executor.Executor):
    """Ours, which looks at its jobs when the test says so."""

    def _wait_thread(self) -> None: ...


class Bench:
    """An executor with jobs that wait in the queue.

    Attributes:
        now: seconds, beside those that calls of squeue take.
        slowness: seconds that a call of squeue takes.
        slept: is called after each time that the executor has slept.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self.now = 1000.0
        self.slowness = 0.0
        self.slept: Callable[[], None] = lambda: None
        self._manifest = manifest
        self.logger = MagicMock()
        workflow = MagicMock(main_snakefile="Snakefile", executor_settings=heyhi.job.executor.ExecutorSettings())
        workflow.executor_settings.no_snapshot = True
        workflow.config = {}
        workflow.storage_settings.shared_fs_usage = set(SharedFSUsage)
        workflow.remote_execution_settings = SimpleNamespace(
            jobname="{jobid}",
            jobscript=None,
            immediate_submit=True,
            max_status_checks_per_second=100,
            seconds_between_status_checks=10,
        )
        workflow.workdir_init = str(folder)
        self.executor = Executor(workflow, self.logger)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept()

    def clock(self) -> float:
        return self.now + self.slowness * self.asked

    @property
    def asked(self) -> int:
        """How often squeue was called."""
        return self._count("asked")

    @property
    def asked_sacct(self) -> int:
        """How often sacct was called."""
        return self._count("asked_sacct")

    def _count(self, name: str) -> int:
        path = self._folder / name
        return path.stat().st_size // 2 if path.exists() else 0

    def submit(self) -> None:
        """Have all experiments submitted."""
        targets = self._manifest.targets
        self.executor.run_jobs([Job(target, self._manifest.path) for target in targets])
        deadline = time.monotonic() + SECONDS
        while sum(info.external_jobid is not None for info in self.executor.active_jobs) < len(targets):
            assert time.monotonic() < deadline, "they were never submitted"
            time.sleep(0.02)

    def submit_other(self) -> None:
        """Have a job of another rule in the queue, which the official executor has submitted."""
        info = SubmittedJobInfo(Job("other", self._manifest.path), "1", {"slurm_logfile": self._folder / "1.log"})
        self.executor.report_job_submission(info)

    def look(self) -> int:
        """Let the executor look at its jobs; return how many it still waits for."""

        async def look() -> list[Any]:
            # As Snakemake does: what isn't active any more isn't looked at again, and submissions add to the list.
            active, self.executor.active_jobs = self.executor.active_jobs, []
            still_active = [info async for info in self.executor.check_active_jobs(active)]
            self.executor.active_jobs.extend(still_active)
            return still_active

        return len(run_async(look()))  # in a thread, as Snakemake does

    def times(self, count: int) -> list[float]:
        """Look each second until squeue was called so often; return the seconds from the end of each to the next."""
        ends: list[float] = []
        gaps: list[float] = []
        while len(gaps) < count:
            before, start = self.asked, self.clock()
            self.look()
            if self.asked > before:
                gaps += [start - ends[-1]] if ends else []
                ends.append(self.clock())
            self.now += 1
        return gaps

    def fail_with(self, on_error: Callable[[str], object]) -> None:
        """Let jobs fail, and tell why."""
        for info in self.executor.active_jobs:
            info.job.on_error = on_error

    def allow_attempts(self, count: int) -> None:
        """Have each experiment tried so often."""
        for info in self.executor.active_jobs:
            task = info.aux["heyhi"]
            task.request = dataclasses.replace(task.request, max_attempts=count)

    def any_job(self) -> tuple[str, Path]:
        """Return the id and folder of one of the jobs."""
        path = next(iter(self._folder.glob("results/p/work/*/job.json")))
        return json.loads(path.read_text())["job_id"], path.parent

    def end_job(self, job_id: str) -> None:
        """Have Slurm forget a job."""
        ids = self._folder / "ids"
        ids.write_text("".join(line for line in ids.open() if line.split()[0] != job_id))

    def say(self, words: str) -> None:
        """Have sbatch take no job, and say why; empty: have it take them again."""
        path = self._folder / "says"
        path.write_text(f"sbatch: error: {words}\n") if words else path.unlink()

    @property
    def asked_sbatch(self) -> int:
        """How often sbatch was called."""
        return self._count("asked_sbatch")

    def look_until(self, condition: Callable[[], object]) -> None:
        """Let it look again and again, a second later each time."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            self.now += 1
            self.look()
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.02)

    def break_squeue(self) -> None:
        (self._folder / "broken").touch()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Bench]]:
    """Make an executor with so many jobs in the queue."""
    made: list[Bench] = []
    handlers = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}

    def make(count: int) -> Bench:
        conf, fakes = tmp_path / "conf", tmp_path / "bin"
        conf.mkdir()
        fakes.mkdir()
        (conf / "conf.proto").write_text(PROTO)
        (conf / "work.prototxt").write_text("work { launcher { slurm {} } }\n")
        (conf / "sweep.py").write_text(SWEEP.format(count=count))
        (tmp_path / "pyproject.toml").write_text("[tool.heyhi]\n")
        for name in ("sbatch", "squeue", "sacct", "sinfo", "scontrol", "sacctmgr", "scancel"):
            text = {"sbatch": SBATCH, "squeue": SQUEUE, "sacct": SACCT}.get(name, OTHER)
            (fakes / name).write_text(text.replace("{folder}", str(tmp_path)).replace("{{", "{").replace("}}", "}"))
            (fakes / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{fakes}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.chdir(tmp_path)
        project: Project = find_project(tmp_path)
        schema = load_schema(project)
        expansion = expand_sweep_file(project, schema, conf / "sweep.py")
        one = Bench(tmp_path, Manifest.open(write_manifest(expansion, project, schema)))
        for module in (heyhi.job.executor, heyhi.job.submitter, heyhi.slurm.commands):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=one.clock, time=time.time, sleep=one.sleep))
        made.append(one)
        one.submit()
        return one

    yield make
    for sign, handler in handlers.items():
        signal.signal(sign, handler)
    for one in made:
        one.executor.shutdown()


@pytest.mark.slow
def test_one_call_tells_about_a_thousand_jobs(bench: Callable[[int], Bench]) -> None:
    thousand = bench(1000)
    assert thousand.asked == 0, "to submit them takes no call"

    assert thousand.look() == 1000
    assert thousand.asked == 1
    assert thousand.times(3) == [3, 3, 3]
    assert thousand.asked == 5


def test_a_slow_controller_is_asked_less_often(bench: Callable[[int], Bench]) -> None:
    few = bench(3)
    assert few.times(2) == [3, 3]

    few.slowness = 1
    few.look()
    few.now += 100
    assert few.times(3) == [12, 20, 20]

    few.slowness = 30
    few.now += 100
    assert few.times(4) == [40, 80, 120, 120]


def test_one_late_answer_does_not_make_it_blind_for_minutes(bench: Callable[[int], Bench]) -> None:
    few = bench(3)
    few.look()
    few.slowness = 30
    few.now += 100
    few.look()
    few.now += few.slowness * few.asked
    few.slowness = 0

    before, seconds = few.asked, 0
    while few.asked == before:
        few.now += 1
        seconds += 1
        few.look()
    assert seconds == 6
    assert few.times(2) == [3, 3]


def test_a_controller_that_does_not_answer_is_asked_less_and_less_and_no_job_is_taken_for_dead(
    bench: Callable[[int], Bench],
) -> None:
    few = bench(3)
    few.break_squeue()

    assert few.times(6) == [6, 12, 24, 48, 96, 120]
    assert few.look() == 3
    assert few.logger.warning.call_count == 1
    assert "Socket timed out" in few.logger.warning.call_args.args[0]


def test_jobs_of_other_rules_are_asked_about_as_seldom_as_the_official_executor_wants(
    bench: Callable[[int], Bench],
) -> None:
    few = bench(3)
    few.submit_other()

    asked = []
    for second in range(100):
        before = few.asked_sacct
        assert few.look() == 4
        if few.asked_sacct > before:
            asked.append(second)
        few.now += 1
    assert asked == [0, 20, 50, 90]


def test_nothing_waits_for_an_executor_that_has_nothing_to_look_for(bench: Callable[[int], Bench]) -> None:
    few = bench(3)
    few.look()
    few.now += 60
    few.look()
    assert few.executor.next_seconds_between_status_checks == 1

    few.executor.active_jobs.clear()
    few.look()
    assert few.executor.next_seconds_between_status_checks < 0.5


def test_an_end_is_seen_soon_where_others_have_just_come(bench: Callable[[int], Bench]) -> None:
    three = bench(3)
    _, folder = three.any_job()
    pauses = []

    def look() -> float:
        three.look()
        pauses.append(three.executor.next_seconds_between_status_checks)
        return pauses[-1]

    assert look() == pytest.approx(0.1)
    while look() < 1:  # the longer nothing happens, the less often
        three.now += pauses[-1]
    assert pauses == sorted(pauses) and 10 < len(pauses) < 100
    assert three.asked < 12  # Slurm is asked no more often for that

    (folder / "result.json").touch()
    assert look() == pytest.approx(0.1)


def test_a_look_that_takes_long_is_made_less_often(
    bench: Callable[[int], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    three = bench(3)
    is_done = heyhi.job.submitter.Task.is_done

    def slow(task: Any) -> bool:
        three.now += 0.001
        return bool(is_done.fget(task))  # type: ignore[attr-defined]

    monkeypatch.setattr(heyhi.job.submitter.Task, "is_done", property(slow))
    three.look()
    assert three.executor.next_seconds_between_status_checks == pytest.approx(0.3)


def test_a_folder_that_was_removed_is_not_waited_for(bench: Callable[[int], Bench]) -> None:
    three = bench(3)
    failed: list[str] = []
    three.fail_with(failed.append)
    job_id, folder = three.any_job()
    shutil.rmtree(folder)
    assert three.look() == 3, "its job still waits"

    three.end_job(job_id)
    three.now += 10
    assert three.look() == 2
    assert len(failed) == 1
    assert "its folder was removed" in failed[0]

    three.executor.cancel_jobs(three.executor.active_jobs)
    assert "2 jobs of this run were cancelled" in three.logger.info.call_args.args[0]


def test_one_that_is_not_gone_on_with_fails_with_the_reason_and_the_others_go_on(
    bench: Callable[[int], Bench],
) -> None:
    three = bench(3)
    failed: list[str] = []
    three.fail_with(failed.append)
    three.allow_attempts(3)
    job_id, path = three.any_job()
    folder = ExperimentDir(path)
    folder.append_attempt(Start(1, job_id=job_id, config="anotherone"))
    folder.metrics_path.write_text('{"loss": 1}\n')
    folder.append_attempt(End(1, "failed", exit_code=1, exception="ValueError: boom"))
    three.end_job(job_id)
    three.now += 10
    three.look()  # finds it dead
    three.now += 1
    deadline = time.monotonic() + SECONDS
    while not failed:
        three.look()
        assert time.monotonic() < deadline, "it never failed"
        time.sleep(0.02)
    assert "not gone on with: attempt 1 has logged metrics with another config" in failed[0]
    assert three.look() == 2 and len(failed) == 1
    assert find_state(path).reason.endswith("ValueError: boom")


def test_what_slurm_refuses_for_good_is_dead_at_once_and_on_record_with_what_it_said(
    bench: Callable[[int], Bench], tmp_path: Path
) -> None:
    three = bench(3)
    failed: list[str] = []
    three.fail_with(failed.append)
    three.allow_attempts(2)
    job_id, path = three.any_job()
    before = three.asked_sbatch
    folder = ExperimentDir(path, tmp_path / "results")
    identity = folder.read_identity()
    assert identity is not None
    three.end_job(job_id)
    (path / "claim.json").unlink()
    wiped = folder.wipe(identity)
    assert wiped is not None
    three.say("QOSMaxGRESPerJob")
    three.look_until(lambda: failed)

    assert "not submitted: sbatch: QOSMaxGRESPerJob" in failed[0]
    assert three.asked_sbatch == before + 1
    place = wiped.relative_to(tmp_path / "results")
    text = f"not submitted: sbatch: QOSMaxGRESPerJob; what was wiped before is in {place}"
    assert find_state(path) == (Status.DEAD, text)
    assert not (path / "claim.json").exists()
    assert three.look() == 2
    # Snakemake's own retries don't ask again.
    again = Job(str(path / "result.json"), three._manifest.path)
    again.on_error = failed.append
    three.executor.run_jobs([again])
    three.look_until(lambda: len(failed) == 2)
    assert three.asked_sbatch == before + 1


def test_while_slurm_is_away_it_is_asked_for_minutes_and_then_that_is_the_reason(
    bench: Callable[[int], Bench],
) -> None:
    three = bench(3)
    failed: list[str] = []
    three.fail_with(failed.append)
    three.say("Batch job submission failed: Unable to contact slurm controller (connect failure)")
    paths = [path.parent for path in Path("results").glob("p/work/*/job.json")]
    for path in paths:
        three.end_job(json.loads((path / "job.json").read_text())["job_id"])
    start, before = three.now, three.asked_sbatch
    three.look_until(lambda: len(failed) == 3)
    assert 900 <= three.now - start < 1100
    assert three.asked_sbatch - before < 40
    assert three.logger.warning.call_count == 1
    for path in paths:
        state = find_state(path)
        assert state.status is Status.DEAD
        assert state.reason.endswith("Unable to contact slurm controller (connect failure), for 15 minutes")
        assert not (path / "claim.json").exists()


def test_what_waits_for_slurm_goes_on_where_it_was_once_it_answers(bench: Callable[[int], Bench]) -> None:
    three = bench(3)
    three.say("QOSMaxSubmitJobPerUserLimit")
    job_id, path = three.any_job()
    three.end_job(job_id)
    before = three.asked_sbatch
    three.look_until(lambda: three.asked_sbatch >= before + 3)
    claim = (path / "claim.json").read_bytes()
    assert three.look() == 3
    three.say("")
    three.look_until(lambda: json.loads((path / "job.json").read_text())["job_id"] != job_id)
    assert json.loads((path / "claim.json").read_bytes())["nonce"] == json.loads(claim)["nonce"]
    assert three.look() == 3


def test_an_executor_that_ends_leaves_no_claim_of_what_only_waited(bench: Callable[[int], Bench]) -> None:
    three = bench(3)
    three.say("QOSMaxSubmitJobPerUserLimit")
    job_id, path = three.any_job()
    three.end_job(job_id)
    before = three.asked_sbatch
    three.look_until(lambda: three.asked_sbatch >= before + 2)
    three.executor.cancel_jobs(three.executor.active_jobs)
    assert not list(path.glob("claim*"))
    assert "2 jobs of this run were cancelled" in three.logger.info.call_args.args[0]


def test_records_that_cannot_be_read_are_named_and_the_others_go_on(bench: Callable[[int], Bench]) -> None:
    three = bench(3)
    failed: list[str] = []
    three.fail_with(failed.append)
    three.allow_attempts(3)
    job_id, folder = three.any_job()
    (folder / "attempts.jsonl").mkdir()
    three.end_job(job_id)
    assert three.look() == 2
    assert len(failed) == 1
    assert f"UNKNOWN: {folder}/attempts.jsonl: can't be read: Is a directory" in failed[0]


def test_a_claim_that_cannot_be_read_is_waited_for_and_named_once(bench: Callable[[int], Bench]) -> None:
    three = bench(3)
    job_id, folder = three.any_job()
    (folder / "claim.json").unlink()
    (folder / "claim.json").mkdir()
    three.end_job(job_id)
    for _ in range(3):
        assert three.look() == 3
        three.now += 10
    (warning,) = three.logger.warning.call_args_list
    assert "UNKNOWN, and waited for: " in warning.args[0]
    assert f"remove it: rm -r {folder}/claim.json" in warning.args[0]
    (folder / "claim.json").rmdir()
    three.look()
    assert "was never started, and Slurm knows nothing of it: submitted again" in three.logger.info.call_args.args[0]


def test_what_a_search_ended_early_is_not_tried_again(bench: Callable[[int], Bench]) -> None:
    three = bench(3)
    failed: list[str] = []
    three.fail_with(failed.append)
    three.allow_attempts(3)
    job_id, path = three.any_job()
    folder = ExperimentDir(path)
    folder.append_attempt(Start(1, job_id=job_id))
    folder.append_attempt(End(1, PRUNED, exit_code=0, exception="worse than half of them"))
    three.end_job(job_id)
    assert three.look() == 2
    assert len(failed) == 1
    assert "PRUNED: worse than half of them" in failed[0]
    assert find_state(path) == (Status.PRUNED, "worse than half of them"), "nothing else is put on record"


@pytest.mark.parametrize(("ends", "said"), [(True, "cancelled."), (False, "cancelled, 3 of them still ending.")])
def test_the_table_after_a_ctrl_c_waits_a_moment_for_the_ends_of_the_jobs(
    bench: Callable[[int], Bench], tmp_path: Path, ends: bool, said: str
) -> None:
    three = bench(3)
    before, sleeps = three.now, []

    def sleep() -> None:
        sleeps.append(three.now)
        if ends and len(sleeps) == 2:
            (tmp_path / "ids").write_text("")

    three.slept = sleep
    three.executor.cancel_jobs(three.executor.active_jobs)
    assert three.logger.info.call_args.args[0] == f"3 jobs of this run were {said}"
    assert len(sleeps) == 2 if ends else three.now - before < 10


def test_an_impatient_ctrl_c_does_not_end_the_cancelling(bench: Callable[[int], Bench], tmp_path: Path) -> None:
    three = bench(3)
    # The terminal's second Ctrl-C comes while scancel runs.
    (tmp_path / "bin" / "scancel").write_text(
        f'#!/bin/sh\nkill -INT {os.getpid()}\nsleep 0.2\necho "$*" >> {tmp_path}/cancelled\n'
    )
    (tmp_path / "bin" / "scancel").chmod(0o755)

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    three.executor.cancel_jobs(three.executor.active_jobs)

    assert len((tmp_path / "cancelled").read_text().split()) == 1 + 3
    assert "3 jobs of this run were cancelled" in three.logger.info.call_args.args[0]


def test_the_end_of_a_run_does_not_wait_for_the_next_look(bench: Callable[[int], Bench]) -> None:
    executor = bench(1).executor
    executor.next_seconds_between_status_checks = 10 * SECONDS
    looks = executor.wait_thread = threading.Thread(target=lambda: run_async(executor.sleep()), daemon=True)
    looks.start()
    deadline = time.monotonic() + SECONDS
    while executor._wake is None:
        assert time.monotonic() < deadline, "it never slept"
        time.sleep(0.02)

    executor.shutdown()

    looks.join(SECONDS)
    assert not looks.is_alive()
    run_async(executor.sleep())  # nor is another one waited for
    executor.shutdown()  # as Snakemake does where a run that ends is cancelled
