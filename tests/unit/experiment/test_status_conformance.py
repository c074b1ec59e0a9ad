"""How experiments are, in every situation and by everybody who asks: one answer, whoever gives it.

Slurm's commands are stand-ins: `squeue` and `sacct` print what a test has written down.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import heyhi.report.page
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.config.schema import Schema, load_schema
from heyhi.control.survey import Part, Survey
from heyhi.errors import ModeError, UnknownError
from heyhi.experiment.claim import STALE_SECONDS, Claim
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.handle import Handle
from heyhi.experiment.modes import MODES, action_of
from heyhi.experiment.names import Status
from heyhi.experiment.owner import SUBMISSION, Owner
from heyhi.experiment.records import PRUNED, REQUEUE, End, Start, Submission
from heyhi.experiment.status import Statuses, find_state
from heyhi.job import runner
from heyhi.job.launch import maybe_launch
from heyhi.job.order import Order
from heyhi.job.submit import submit_job
from heyhi.project import Project, find_project
from heyhi.report.parts import read_part
from heyhi.report.read import Reader
from heyhi.report.source import Source
from heyhi.report.table import frame_of
from heyhi.serve.board import Board
from heyhi.slurm.commands import View
from heyhi.slurm.request import JobRequest, request_of
from heyhi.sweep.expand import Expansion, expand
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import target_of
from heyhi.sweep.write_manifest import write_manifest

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Work { optional int32 x = 1; optional string of = 2; optional Launcher launcher = 3; }
message Launcher { oneof kind { Slurm slurm = 2; } }
message Slurm { optional double hours = 4 [default = 0.1]; }
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; } }
"""
SQUEUE = "#!/bin/sh\n[ ! -e {0}/silent ] || {{ echo 'squeue: error: Socket timed out' >&2; exit 1; }}\ncat {0}/queue\n"
JOBS = "jobs-of-mine"


class Lab:
    """A project with three experiments: `last` needs `middle`, which needs `first`."""

    def __init__(self, project: Project, bin_folder: Path) -> None:
        self.project = project
        self.schema: Schema = load_schema(project)
        self.expansion: Expansion = expand(project, self.schema, [("conf/last.prototxt", ())])
        self.manifest: Path = write_manifest(self.expansion, project, self.schema)
        self.first, self.middle, self.last = (ExperimentDir(e.exp_path) for e in self.expansion.experiments)
        self._bin = bin_folder
        self.claims: list[Claim] = []

    def experiment(self, folder: ExperimentDir) -> Experiment:
        return next(e for e in self.expansion.experiments if e.exp_path == folder.path)

    def clear(self) -> None:
        for claim in self.claims:
            claim.release()
        self.claims.clear()
        shutil.rmtree(self.project.results_root / "p", ignore_errors=True)
        for path in (self._bin / "silent", *self._bin.glob("*.called")):
            path.unlink(missing_ok=True)
        for name in ("queue", "accounts"):
            (self._bin / name).write_text("")

    def queue(self, state: str, why: str = "None", nodes: str = "") -> None:
        """Have squeue list job 7."""
        mark = self.experiment(self.first).identity.digest
        fields = ("7", state, why, nodes, str(self.first.path), f"heyhi:{JOBS}:{mark}")
        (self._bin / "queue").write_text("\x1f".join(fields) + "\n")

    def account(self, state: str, exit_code: str) -> None:
        """Have sacct tell of job 7."""
        fields = ("7", state, exit_code, "n1", str(self.first.path), "")
        (self._bin / "accounts").write_text("\x1f".join(fields) + "\n")

    def was_asked(self, command: str) -> bool:
        return (self._bin / f"{command}.called").exists()

    def silence(self) -> None:
        (self._bin / "silent").touch()

    # --- what may be in the folder of the first one

    def prepare(self) -> None:
        self.first.prepare(self.experiment(self.first), self.schema)

    def record(self, *records: Start | End) -> None:
        self.prepare()
        for record in records:
            self.first.append_attempt(record)

    def submit(self) -> None:
        self.prepare()
        self.first.write_submission(Submission("7"))

    def claim(self, kind: str = "process") -> None:
        self.first.path.mkdir(parents=True, exist_ok=True)
        claim = Claim.acquire(self.first.path, kind=kind)
        assert isinstance(claim, Claim)
        self.claims.append(claim)

    def write_claim(self, **values: Any) -> None:
        """Write the claim of another process, by default of one that is gone."""
        self.first.path.mkdir(parents=True, exist_ok=True)
        owner = dataclasses.replace(Owner.this_process("process"), **{"started": 1, **values})
        self.first.claim_path.write_text(json.dumps(dataclasses.asdict(owner)))

    def claim_for_job(self, kind: str = SUBMISSION) -> None:
        self.write_claim(kind=kind, job="7", root=JOBS, mark=self.experiment(self.first).identity.digest)

    def damage(self, name: str, text: str | None = None) -> None:
        """Put something in the place of a file that can't be read as that: text, or a folder."""
        self.first.path.mkdir(parents=True, exist_ok=True)
        path = self.first.path / name
        path.unlink(missing_ok=True)
        if text is None:
            path.mkdir()
        else:
            path.write_text(text)


START, JOB_START = Start(1, pid=12, host="h"), Start(1, job_id="7", host="n1")
END_AGAIN = End(1, REQUEUE, exit_code=75)
FAILED = End(1, "failed", exit_code=1, exception="ValueError: boom")
PRUNED_END = End(1, PRUNED, exit_code=0, exception="worse than half of them")
STOPPED = End(1, "terminated", exit_code=143, exception="stopped by SIGTERM")


class Situation(NamedTuple):
    """What is done to the first experiment, and how it is then."""

    name: str
    steps: Callable[[Lab], object]
    status: Status
    reason: str = ""  # a part of it


def every(*steps: Callable[[Lab], object]) -> Callable[[Lab], object]:
    return lambda lab: [step(lab) for step in steps]


def circle(lab: Lab) -> None:
    lab.write_claim(nonce="ab")
    (lab.first.path / "claim.ab.json").write_text(lab.first.claim_path.read_text())


def old_damaged_claim(lab: Lab) -> None:
    lab.damage("claim.json", "{")
    os.utime(lab.first.claim_path, (time.time() - STALE_SECONDS - 60,) * 2)


UNKNOWN = [
    Situation("claim is a folder", lambda s: s.damage("claim.json"), Status.UNKNOWN, "claim.json: can't be read: Is a"),
    Situation("claim is damaged", lambda s: s.damage("claim.json", "{"), Status.UNKNOWN, "claim.json: is damaged"),
    Situation("claims go round", circle, Status.UNKNOWN, "circle"),
    Situation(
        "attempts are a folder",
        every(Lab.prepare, lambda s: s.damage("attempts.jsonl")),
        Status.UNKNOWN,
        "attempts.jsonl: can't be read",
    ),
    Situation("note is a folder", lambda s: s.damage("job.json"), Status.UNKNOWN, "job.json: can't be read"),
    Situation("note is damaged", lambda s: s.damage("job.json", "[]"), Status.UNKNOWN, "job.json: is damaged"),
    Situation(
        "note is damaged beside attempts",
        every(lambda s: s.record(START, FAILED), lambda s: s.damage("job.json", "{")),
        Status.UNKNOWN,
        "job.json: is damaged",
    ),
    Situation(
        "identity is a folder", lambda s: s.damage("identity.json"), Status.UNKNOWN, "identity.json: can't be read"
    ),
    Situation(
        "identity is damaged",
        every(lambda s: s.record(START, FAILED), lambda s: s.damage("identity.json", "{")),
        Status.UNKNOWN,
        "identity.json: is damaged",
    ),
]
OWN = [
    Situation("no folder", lambda s: None, Status.NOT_STARTED),
    Situation("only prepared", Lab.prepare, Status.NOT_STARTED),
    Situation("claimed by one that is gone", Lab.write_claim, Status.NOT_STARTED),
    Situation("an old damaged claim", old_damaged_claim, Status.NOT_STARTED),
    Situation("about to be handed over", lambda s: s.claim("controller"), Status.PENDING, f"pid {os.getpid()}"),
    Situation("running here", Lab.claim, Status.RUNNING, f"pid {os.getpid()}"),
    Situation("running again", every(lambda s: s.record(START, FAILED), Lab.claim), Status.RUNNING, "pid"),
    Situation(
        "submitted and waiting",
        every(Lab.submit, Lab.claim_for_job, lambda s: s.queue("PENDING", "Priority")),
        Status.PENDING,
        "job 7 waits: Priority",
    ),
    Situation(
        "its job runs",
        every(
            Lab.submit,
            lambda s: s.record(JOB_START),
            lambda s: s.claim_for_job("process"),
            lambda s: s.queue("RUNNING", nodes="n1"),
        ),
        Status.RUNNING,
        "job 7 on n1",
    ),
    *(
        Situation(
            f"its job is {state}",
            every(
                Lab.submit,
                lambda s: s.record(JOB_START),
                lambda s: s.claim_for_job("process"),
                lambda s, state=state: s.queue(state, nodes="n1"),
            ),
            status,
            f"job 7 {text}on n1",
        )
        for state, status, text in (
            ("SUSPENDED", Status.PENDING, "is suspended "),
            ("STOPPED", Status.PENDING, "is stopped (SIGSTOP) "),
            ("CONFIGURING", Status.PENDING, "waits for its nodes to start "),
            ("COMPLETING", Status.RUNNING, "is just ending "),
            ("STAGE_OUT", Status.RUNNING, "is ending, and its files are copied out "),
            ("SIGNALING", Status.RUNNING, ""),
            ("RESIZING", Status.RUNNING, ""),
        )
    ),
    Situation(
        "its job was queued again",
        every(
            Lab.submit,
            lambda s: s.record(JOB_START, End(1, REQUEUE, exit_code=75)),
            lambda s: s.claim_for_job("process"),
            lambda s: s.queue("REQUEUED", "BeginTime"),
        ),
        Status.PENDING,
        "job 7 waits: BeginTime, requeued once",
    ),
    Situation(
        "its job runs again",
        every(
            Lab.submit,
            lambda s: s.record(JOB_START, END_AGAIN, JOB_START._replace(attempt=3, restart_count=2)),
            lambda s: s.claim_for_job("process"),
            lambda s: s.queue("RUNNING", nodes="n1"),
        ),
        Status.RUNNING,
        "job 7 on n1, requeued 2 times",
    ),
    Situation(
        "Slurm is silent",
        every(Lab.submit, Lab.claim_for_job, Lab.silence),
        Status.PENDING,
        "last known: squeue: Socket timed out",
    ),
    Situation("died", lambda s: s.record(START, FAILED), Status.DEAD, "exit code 1: ValueError: boom"),
    Situation("killed", lambda s: s.record(START), Status.DEAD, "killed (no end record; pid 12 on host h)"),
    Situation(
        "died, with the claim left", every(lambda s: s.record(START), Lab.write_claim), Status.DEAD, "killed (no end"
    ),
    Situation(
        "its job timed out",
        every(Lab.submit, lambda s: s.record(JOB_START, STOPPED), lambda s: s.account("TIMEOUT", "0:0")),
        Status.DEAD,
        "TIMEOUT (job 7 on n1)",
    ),
    Situation("its job never started", Lab.submit, Status.DEAD, "job 7 was never started"),
    Situation(
        "records of another version",
        every(Lab.prepare, lambda s: s.damage("attempts.jsonl", '{"event": "start", "attempt": "x", "new": 1}\n')),
        Status.DEAD,
        "killed",
    ),
    Situation("pruned", lambda s: s.record(START, PRUNED_END), Status.PRUNED, "worse than half of them"),
    Situation(
        "pruned in a job that Slurm remembers",
        every(Lab.submit, lambda s: s.record(JOB_START, PRUNED_END), lambda s: s.account("COMPLETED", "0:0")),
        Status.PRUNED,
        "worse than half of them",
    ),
    Situation("going on after it was pruned", every(lambda s: s.record(START, PRUNED_END), Lab.claim), Status.RUNNING),
    Situation(
        "died after it was pruned",
        lambda s: s.record(START, PRUNED_END, START._replace(attempt=2), FAILED._replace(attempt=2)),
        Status.DEAD,
        "boom",
    ),
    Situation("done", every(lambda s: s.record(START), lambda s: s.first.write_result({})), Status.DONE),
    Situation(
        "done, and failed after that",
        every(lambda s: s.record(START, FAILED), lambda s: s.first.write_result({})),
        Status.DONE,
    ),
    Situation(
        "done, with a claim that can't be read",
        every(lambda s: s.damage("claim.json"), Lab.prepare, lambda s: s.first.write_result({})),
        Status.DONE,
    ),
    *UNKNOWN,
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("project")
    (root / "conf").mkdir()
    (root / "conf" / "conf.proto").write_text(PROTO)
    (root / "conf" / "first.prototxt").write_text("work { x: 1 launcher { slurm {} } }")
    (root / "conf" / "middle.prototxt").write_text('work { of: "{{exp first.prototxt}}" }')
    (root / "conf" / "last.prototxt").write_text('work { of: "{{exp middle.prototxt}}" }')
    (root / "run.py").write_text("def main(**_):\n    return {}\n")
    bin_folder = tmp_path_factory.mktemp("bin")
    for name, script in {
        "squeue": SQUEUE.format(bin_folder),
        "sacct": f"#!/bin/sh\ntouch {bin_folder}/sacct.called; cat {bin_folder}/accounts\n",
        "sbatch": f"#!/bin/sh\ncat > /dev/null; touch {bin_folder}/sbatch.called; echo 9\n",
    }.items():
        (bin_folder / name).write_text(script)
        (bin_folder / name).chmod(0o755)
    yield Lab(find_project(root), bin_folder)


@pytest.fixture
def lab(made: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("PATH", f"{made._bin}:{os.environ['PATH']}")
    monkeypatch.chdir(made.project.root)
    made.clear()
    yield made
    made.clear()


Run = Callable[..., tuple[int, str, str]]
Found = list[tuple[str, str]]  # status and reason of first, middle and last


def by_rule(lab: Lab, run: Run) -> Found:
    needs = {planned.folder: planned.needs for planned in lab.expansion.planned}
    root = lab.project.results_root
    statuses = Statuses(list(needs), needs_of=lambda path: needs.get(path, ()), results_root=root)
    found: Found = [statuses.of(path) for path in needs]
    assert found[0] == find_state(lab.first.path), "alone it is as it is among others"
    return found


def by_survey_of_expansion(lab: Lab, run: Run) -> Found:
    return [row.state for row in Survey.of_parts([Part.of_expansion(lab.project, lab.expansion)]).rows]


def by_survey_of_manifest(lab: Lab, run: Run) -> Found:
    with Manifest.open(lab.manifest) as manifest:
        rows = {row.exp_path: row.state for row in Survey.of_parts([Part.of_manifest(lab.project, manifest)]).rows}
    return [rows[str(e.exp_path)] for e in lab.expansion.experiments]


def by_table(lab: Lab, run: Run) -> Found:
    table = frame_of([read_part(list(lab.expansion.experiments), Reader(lab.project))])
    return list(zip(table["status"], [reason or "" for reason in table["reason"]], strict=True))


def by_command(lab: Lab, run: Run) -> Found:
    rows = json.loads(run("status", "--json", "--cfg", "last")[1])["experiments"]
    return [(row["status"], row["reason"]) for row in rows]


def by_plan(lab: Lab, run: Run) -> Found:
    rows = json.loads(run("plan", "--json", "--cfg", "last")[1])["experiments"]
    return [(row["status"], row["reason"]) for row in rows]


def by_handle(lab: Lab, run: Run) -> Found:
    return [(Handle(lab.first.path, project=lab.project).get_status(), "")]


def by_board(lab: Lab, run: Run) -> Found:
    manifest = Manifest.open(lab.manifest)
    source = dataclasses.replace(Source.of(manifest, lab.project), only=tuple(manifest.all_targets))
    board, is_over = Board(lab.project, lambda: [source]), False
    while not is_over:
        is_over = not board.is_asking and bool(board.version)  # before a look that takes up what was answered
        board.look()
    board.end()
    data = json.loads(board.data_json())
    names = [column["name"] for column in data["runs"]["columns"]]
    rows = {row[names.index("exp_id")]: (row[0], row[names.index("reason")] or "") for row in data["runs"]["rows"]}
    return [rows[e.exp_id] for e in lab.expansion.experiments]


CALLERS = [by_rule, by_survey_of_expansion, by_survey_of_manifest, by_table, by_command, by_plan, by_handle, by_board]


@pytest.mark.parametrize("ask", CALLERS, ids=lambda ask: ask.__name__)
@pytest.mark.parametrize("situation", OWN, ids=lambda situation: situation.name)
def test_everybody_says_how_it_is_and_what_that_means_for_those_that_need_it(
    lab: Lab, run: Run, situation: Situation, ask: Callable[[Lab, Run], Found]
) -> None:
    situation.steps(lab)
    first, *others = ask(lab, run)
    assert first[0] == situation.status
    if not others:
        return
    assert situation.reason in first[1] and bool(first[1]) == (first[0] not in ("DONE", "NOT_STARTED"))
    if situation.status not in (Status.DEAD, Status.PRUNED, Status.UNKNOWN):
        assert others == [("NOT_STARTED", ""), ("NOT_STARTED", "")]
        return
    names = [folder.path.relative_to(lab.project.results_root) for folder in (lab.first, lab.middle)]
    blocked = f"by {names[0]}, {situation.status}: {first[1]}"
    assert others == [("BLOCKED", blocked), ("BLOCKED", f"by {names[1]}, BLOCKED: {blocked}")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "situation", [one for one in OWN if not one.status.is_alive], ids=lambda situation: situation.name
)
def test_a_launch_starts_what_the_table_of_modes_says(
    lab: Lab, situation: Situation, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local one: its launcher is taken away."""
    monkeypatch.setattr("heyhi.job.launch.Launch.is_for_slurm", False)
    situation.steps(lab)
    started: list[bool] = []
    action = action_of(mode, situation.status)
    try:
        handle = maybe_launch(lambda **_: started.append(True), cfg="conf/first.prototxt", mode=mode)
    except ModeError as error:
        assert action.refuse and situation.reason in str(error)
    except UnknownError as error:  # who wipes it must have its claim
        assert action.wipe and "claim.json: can't be read" in str(error)
        return
    else:
        assert not action.refuse and bool(started) == action.start
        assert handle.get_status() is (Status.DONE if action.start else situation.status)
    assert bool(started) == action.start


def test_what_is_unknown_is_refused_by_restart_and_left_by_all_others() -> None:
    for mode in MODES:
        action = action_of(mode, Status.UNKNOWN)
        assert not (action.start or action.wipe or action.stop)
        assert action.refuse == (mode == "restart")


# --- nothing starts where nobody knows how it is ---------------------------------------------------------------------


@pytest.mark.parametrize("situation", UNKNOWN, ids=lambda situation: situation.name)
def test_a_job_does_not_start_what_is_unknown(
    lab: Lab, situation: Situation, capsys: pytest.CaptureFixture[str]
) -> None:
    situation.steps(lab)
    target = str(lab.experiment(lab.first).target)
    assert runner.main([target, "--manifest", str(lab.manifest)]) == 2
    error = capsys.readouterr().err
    assert "UNKNOWN: " in error and situation.reason in error and "Traceback" not in error
    assert not lab.first.result_path.exists()


@pytest.mark.parametrize("situation", UNKNOWN, ids=lambda situation: situation.name)
def test_what_is_unknown_is_not_submitted(lab: Lab, situation: Situation) -> None:
    situation.steps(lab)
    before = sorted(path.name for path in lab.first.path.iterdir())
    experiment = lab.experiment(lab.first)
    message = lab.schema.parse_root(experiment.config)
    request: JobRequest = request_of(getattr(message, experiment.task))
    order = Order(lab.manifest, lab.schema, lab.project.results_root, lab.project.state_root, lab.project.root)
    with pytest.raises(UnknownError, match=situation.reason.split(":")[0]):
        submit_job([experiment], request, order, View())
    assert not lab.was_asked("sbatch")
    assert sorted(path.name for path in lab.first.path.iterdir()) == before, "no claim is left"


@pytest.mark.parametrize("situation", UNKNOWN, ids=lambda situation: situation.name)
def test_a_task_file_says_why_it_starts_nothing(
    lab: Lab, situation: Situation, capsys: pytest.CaptureFixture[str]
) -> None:
    situation.steps(lab)
    for mode, code in (("gentle_start", 1), ("start_continue", 1), ("restart", 2)):
        with pytest.raises(SystemExit) as stop:
            parse_args_and_maybe_launch(pytest.fail, ["--cfg", "first", "--mode", mode, "--force"])
        assert stop.value.code == code
        said = "".join(capsys.readouterr())
        assert "UNKNOWN" in said and situation.reason in said


@pytest.mark.parametrize("situation", UNKNOWN, ids=lambda situation: situation.name)
def test_commands_name_what_is_unknown_and_go_on(lab: Lab, run: Run, situation: Situation) -> None:
    situation.steps(lab)
    code, out, err = run("status", "--cfg", "last")
    assert (code, err) == (1, "") and out.startswith("UNKNOWN 1  BLOCKED 2\n") and situation.reason in out
    _, out, _ = run("cancel", str(lab.first.path), str(lab.middle.path), "--dry-run")
    assert "UNKNOWN: " in out and situation.reason in out and "BLOCKED" in out
    _, out, _ = run("report", "--cfg", "first")
    assert "1 experiment: 1 UNKNOWN" in out and situation.reason in out and "problem" not in out
    code, out, _ = run("status", "--watch", "1", "--cfg", "last")
    assert code == 1 and "UNKNOWN 1  BLOCKED 2" in out and situation.reason in out


def test_the_reason_says_how_a_claim_is_mended_and_that_mends_it(lab: Lab) -> None:
    lab.damage("claim.json")
    reason = find_state(lab.first.path).reason
    command = reason.partition("if nobody runs this experiment, remove it: ")[2]
    subprocess.run(command, shell=True, check=True)
    assert find_state(lab.first.path) == (Status.NOT_STARTED, "")


@pytest.mark.parametrize("name", ["result.json", "attempts.jsonl", ""])
def test_an_error_of_the_disk_is_no_missing_file(lab: Lab, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    lab.prepare()
    path, real = str(lab.first.path / name), os.stat

    def stat(what: Any, *args: Any, **options: Any) -> os.stat_result:
        if os.fspath(what) == path:
            raise OSError(errno.EIO, "Input/output error", path)
        return real(what, *args, **options)

    monkeypatch.setattr(os, "stat", stat)
    state = find_state(lab.first.path)
    assert state == (Status.UNKNOWN, f"{path}: can't be read: Input/output error")
    assert Handle(lab.first.path).get_status() is Status.UNKNOWN
    assert Survey.of_parts([Part.of_expansion(lab.project, lab.expansion)]).rows[0].state == state


# --- what many cost, and jobs ----------------------------------------------------------------------------------------


def test_a_job_that_waits_is_known_by_its_note_and_without_one_by_its_claim(lab: Lab) -> None:
    handle = Handle(lab.first.path)
    assert handle.maybe_get_job_id() is None
    lab.claim_for_job()
    lab.queue("PENDING")
    assert handle.maybe_get_job_id() == "7"
    lab.submit()
    lab.first.claim_path.unlink()
    assert handle.maybe_get_job_id() == "7"
    lab.record(Start(1, job_id="7"), FAILED)
    assert handle.maybe_get_job_id() == "7"
    lab.record(Start(2))
    assert handle.maybe_get_job_id() is None, "it was run without a job since"
    lab.first.write_submission(Submission("8", JOBS))
    assert handle.maybe_get_job_id() == "8"


def test_predicates_of_the_statuses() -> None:
    named: dict[str, str] = {
        "is_alive": "PENDING RUNNING",
        "is_over": "PRUNED DONE UNKNOWN DEAD BLOCKED",
        "is_started": "PENDING RUNNING PRUNED DONE UNKNOWN DEAD",
        "is_trouble": "UNKNOWN DEAD",
        "blocks": "PRUNED UNKNOWN DEAD BLOCKED",
    }
    for name, wanted in named.items():
        assert [s.value for s in Status if getattr(s, name)] == wanted.split(), name
    assert sorted(Status, key=lambda s: s.urgency)[0] is Status.DEAD
    assert len({status.urgency for status in Status}) == len(Status)


def test_a_launch_that_leaves_what_is_dead_asks_no_accounts(lab: Lab) -> None:
    lab.submit()
    lab.record(JOB_START, STOPPED)
    assert maybe_launch(pytest.fail, cfg="conf/first.prototxt").get_status() is Status.DEAD
    assert not lab.was_asked("sacct")
    assert find_state(lab.first.path).reason == "exit code 143: stopped by SIGTERM"
    assert lab.was_asked("sacct")


def test_every_status_has_a_colour_on_the_page() -> None:
    plots = Path(heyhi.report.page.__file__).with_name("page_files") / "plots.js"
    colours = plots.read_text().partition("const STATUS = {")[2].partition("}")[0]
    assert {line.split(":")[0].strip() for line in colours.strip().splitlines()} == {s.value for s in Status}


def test_the_rule_is_light_to_import() -> None:
    code = "import sys; import heyhi.experiment.status; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {"dataclasses", "google.protobuf", "heyhi.experiment.folder", "heyhi.experiment.claim", "heyhi.slurm"}
    assert not heavy & loaded


# --- answers of Slurm's that are older than what lies in a folder

JOB_AGAIN = JOB_START._replace(attempt=2, restart_count=1)


def answered_before(*steps: Callable[[Lab], object]) -> Callable[[Lab], str]:
    """Return what has squeue say that the job waits, and then does some steps; it returns how that is."""

    def look(lab: Lab) -> str:
        view = View()
        lab.queue("PENDING", "Priority")
        assert view.queue.has_answer
        for step in steps:
            step(lab)
        return find_state(lab.first.path, view).text

    return look


def test_a_job_that_has_started_since_slurm_answered_runs_and_was_not_queued_again(lab: Lab) -> None:
    lab.submit()
    text = answered_before(lambda s: s.claim_for_job("process"), lambda s: s.record(JOB_START))(lab)
    assert text == "RUNNING (job 7 has just started)"


def test_a_job_that_was_queued_again_keeps_its_count_while_it_starts(lab: Lab) -> None:
    lab.submit()
    lab.record(JOB_START, END_AGAIN)
    lab.claim_for_job()
    text = answered_before(lambda s: s.claim_for_job("process"), lambda s: s.record(JOB_AGAIN))(lab)
    assert text == "RUNNING (job 7 has just started, requeued once)"


def test_a_start_that_slurm_did_not_know_yet_says_nothing_of_waiting_again(lab: Lab) -> None:
    lab.submit()
    lab.claim_for_job()
    assert answered_before(lambda s: s.record(JOB_START))(lab) == "PENDING (job 7 waits: Priority)"


def test_a_job_that_really_waits_again_is_pending_though_its_last_process_has_the_claim(lab: Lab) -> None:
    lab.submit()
    lab.record(JOB_START)
    lab.claim_for_job("process")
    time.sleep(0.02)  # a file's time is that of the kernel's last tick
    assert answered_before()(lab) == "PENDING (job 7 waits: Priority, requeued once)"


# --- how often Slurm is asked


def of_a_collector(lab: Lab, body: str) -> tuple[Callable[[], int], Source]:
    """Have squeue count its calls, and experiments read by a function; return the count, and what is reported."""
    calls = lab._bin / "squeue.calls"
    calls.write_text("")
    plain = (lab._bin / "squeue").read_text()
    (lab._bin / "squeue").write_text(plain.replace("#!/bin/sh\n", f"#!/bin/sh\necho >> {calls}\n"))
    (lab.project.root / "conf/asked.py").write_text(f"def get_logs_data(handle):\n    return {body}\n")
    source = Source.of(Manifest.open(lab.manifest), lab.project)
    root = source.manifest.project_root
    only = tuple(target_of(str(folder.path), root) for folder in (lab.first, lab.middle, lab.last))
    source = dataclasses.replace(source, runs_of="conf/asked.py", only=only)
    return lambda: len(calls.read_text().splitlines()), source


@pytest.mark.parametrize("asked", ["done", "running", "started"])
def test_squeue_is_called_once_for_a_table_and_its_collector(lab: Lab, asked: str) -> None:
    before = (lab._bin / "squeue").read_text()
    body = f'{{"is": handle.is_{asked}(), "text": handle.get_status().value}}'
    calls, source = of_a_collector(lab, body)
    try:
        lab.submit()
        lab.record(JOB_START)
        lab.claim_for_job("process")
        lab.queue("RUNNING", nodes="n1")
        part = source.part()
        place = part.status.index("RUNNING")
        assert part.outcome["text"][place] == "RUNNING" and part.outcome["is"][place] is (asked != "done")
        assert calls() == 1
        board = Board(lab.project, lambda: [source])
        try:
            for _ in range(4):
                board.look()
            assert calls() <= 2, "one call lasts for all looks within its time"
        finally:
            board.end()
    finally:
        (lab._bin / "squeue").write_text(before)


def test_whether_a_handle_is_done_is_asked_of_nobody(lab: Lab) -> None:
    before = (lab._bin / "squeue").read_text()
    calls, _ = of_a_collector(lab, "{}")
    try:
        lab.submit()
        lab.claim_for_job()
        lab.queue("PENDING")
        assert not Handle(lab.first.path).is_done()
        assert not calls()
        lab.record(JOB_START)
        lab.first.write_result({})
        assert Handle(lab.first.path).is_done() and not calls()
    finally:
        (lab._bin / "squeue").write_text(before)
