"""Whether somebody runs some experiments, and how a launch and who watches learn that nobody does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

import heyhi.control.first_start
import heyhi.sweep.sign_of_life
from heyhi.control.attendance import Attendance, Commands
from heyhi.control.controller import Controller, ControllerSpec, find_controllers
from heyhi.control.first_start import FirstStart
from heyhi.control.log import show_log
from heyhi.control.survey import Part, Survey
from heyhi.control.watch import End, exit_code, watch
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.records import REFUSED, Start
from heyhi.experiment.records import End as EndRecord
from heyhi.experiment.status import State
from heyhi.project import Project
from heyhi.sweep.sign_of_life import give_sign_of_life

NOPE = "sbatch: invalid partition specified: nope"
COMMANDS = Commands("heyhi launch s.py", "heyhi retry --dead s.py")


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def path_of(project: Project, name: str) -> str:
    return f"{project.results_root}/p/{name}"


def survey_of(project: Project, **statuses: Status) -> Survey:
    states = {path_of(project, name): State(status) for name, status in statuses.items()}
    return Survey(
        [Part(project, list(states), lambda _: [])], {p: s for p, s in states.items() if s.status is not Status.DONE}
    )


def controller_of(project: Project, *names: str, log: str = "", name: str = "sweep-1") -> Controller:
    """Make what a controller leaves that was told to run some experiments."""
    folder = project.state_root / "controllers" / name
    folder.mkdir(parents=True)
    targets = tuple(f"results/p/{one}/result.json" for one in names)
    (folder / "controller.json").write_text(json.dumps(asdict(ControllerSpec(name, "", targets=targets))))
    if log:
        begin = "2026-11-28T14:00:00+00:00 h pid 1: snakemake --profile p\n"
        folder.with_name(f"{name}.log").write_text(f"{begin}{log}2026-11-28T14:00:09+00:00 exit code 1\n")
    return Controller(name, folder, None)


@pytest.fixture
def living(project: Project) -> Iterator[Controller]:
    """A controller of a and b that lives."""
    controller = controller_of(project, "a", "b")
    claim = Claim.acquire(controller.folder, kind="controller")
    assert isinstance(claim, Claim)
    with claim:
        yield controller._replace(owner=claim.owner)


def test_what_a_living_controller_runs_is_said(project: Project, living: Controller) -> None:
    assert living.owner is not None
    who = f"controller pid {living.owner.pid} on {living.owner.host}"
    looked = Attendance.of(survey_of(project, a=Status.NOT_STARTED, b=Status.RUNNING))
    assert looked.may_start and looked.lines(COMMANDS) == [f"{who} runs these"]
    looked = Attendance.of(survey_of(project, a=Status.RUNNING, b=Status.DONE, c=Status.RUNNING))
    assert looked.lines(COMMANDS) == [f"{who} runs 1 of these 2"]
    looked = Attendance.of(survey_of(project, a=Status.DEAD, c=Status.NOT_STARTED, d=Status.NOT_STARTED))
    assert looked.lines(COMMANDS) == [
        f"{who} runs 1 of these 3",
        "no controller runs the 2 that are NOT_STARTED: heyhi launch s.py starts them",
    ]


@pytest.mark.parametrize(
    ("kind", "who", "does"),
    [
        ("launching", "a launch that is just submitting jobs", "has"),
        ("closing", "what makes the table", "is at work on"),
    ],
)
def test_who_submits_or_makes_the_table_is_called_no_controller(
    project: Project, kind: str, who: str, does: str
) -> None:
    claim = Claim.acquire(controller_of(project, "a").folder, kind=kind)
    assert isinstance(claim, Claim)
    with claim:
        (line,) = Attendance.of(survey_of(project, a=Status.NOT_STARTED)).lines(COMMANDS)
    assert line == f"{who} (pid {claim.owner.pid} on {claim.owner.host}) {does} it"


def test_one_of_other_experiments_runs_none_of_these(project: Project, living: Controller) -> None:
    looked = Attendance.of(survey_of(project, c=Status.NOT_STARTED))
    assert not looked.may_start
    assert looked.lines(COMMANDS) == ["no controller runs it: heyhi launch s.py starts it"]
    assert looked.lines() == ["no controller runs it"]


def test_one_that_nobody_knows_the_orders_of_may_run_whatever_it_is(project: Project, living: Controller) -> None:
    (living.folder / "controller.json").unlink()
    assert Attendance.of(survey_of(project, c=Status.NOT_STARTED)).lines()[0].endswith(" runs it")
    (living.folder / "claim.json").write_text("{}")
    looked = Attendance.of(survey_of(project, c=Status.NOT_STARTED))
    assert looked.lines() == ["controller sweep-1 may run it: its claim can't be read"]


def test_without_one_it_is_said_what_starts_them_and_what_the_last_one_said(project: Project) -> None:
    controller_of(project, "x", log="error: of another\n", name="other")
    error = "Error in rule experiment:\n    message: p/{}: not submitted: {} For further error details see the log\n"
    controller_of(project, "a", "b", log=error.format("a", NOPE) + error.format("b", NOPE))
    looked = Attendance.of(survey_of(project, a=Status.NOT_STARTED, b=Status.NOT_STARTED, c=Status.DONE))
    assert looked.lines(COMMANDS) == [
        "no controller runs these: heyhi launch s.py starts them",
        "the last one ended at 2026-11-28T14:00:09+00:00 with exit code 1 (results/.heyhi/controllers/sweep-1.log)",
        f"  2 × not submitted: {NOPE}",  # noqa: RUF001
    ]
    assert len(looked.lines(COMMANDS, reasons=[f"not submitted: {NOPE}"])) == 2


def test_what_only_done_experiments_need_is_started_by_nobody_and_that_is_said(project: Project) -> None:
    def looked(**statuses: Status) -> Attendance:
        survey = survey_of(project, **statuses)
        needs = {path_of(project, "own"): [path_of(project, "a"), path_of(project, "b")]}
        part = survey.parts[0]._replace(needs_of=lambda path: needs.get(path, []), own=lambda: [*needs])
        return Attendance.of(Survey([part], survey.others))

    new, done = Status.NOT_STARTED, Status.DONE
    assert looked(own=done, a=new, b=done).lines(COMMANDS) == [
        "1 is NOT_STARTED and stays so: all that needs it is DONE"
    ]
    assert looked(own=done, a=new, b=new).lines(COMMANDS) == [
        "2 are NOT_STARTED and stay so: all that needs them is DONE"
    ]
    assert looked(own=new, a=new, b=done, c=new).lines(COMMANDS) == [
        "no controller runs 2 of these: heyhi launch s.py starts them",
        "1 is NOT_STARTED and stays so: all that needs it is DONE",
    ]
    survey = survey_of(project, own=done, a=new)
    assert looked(own=done, a=new).starts_none(survey)


def test_what_is_dead_alone_is_started_by_a_retry(project: Project) -> None:
    looked = Attendance.of(survey_of(project, a=Status.DEAD, b=Status.DONE))
    assert looked.lines(COMMANDS) == ["no controller runs it: heyhi retry --dead s.py starts it again"]
    looked = Attendance.of(survey_of(project, a=Status.DEAD, b=Status.BLOCKED))
    assert looked.lines(COMMANDS) == [
        "no controller runs the one that is DEAD: heyhi retry --dead s.py starts it again"
    ]
    looked = Attendance.of(survey_of(project, a=Status.DEAD, b=Status.DEAD, c=Status.BLOCKED))
    assert looked.lines(COMMANDS) == [
        "no controller runs the 2 that are DEAD: heyhi retry --dead s.py starts them again"
    ]


def test_nothing_is_said_of_what_is_over_for_good(project: Project) -> None:
    for status in (Status.DONE, Status.PRUNED):
        assert Attendance.of(survey_of(project, a=status)).lines(COMMANDS) == []


def test_what_runs_or_waits_by_itself_has_no_controller(project: Project) -> None:
    for status in (Status.RUNNING, Status.PENDING):
        looked = Attendance.of(survey_of(project, a=status, b=Status.DONE))
        assert looked.lines(COMMANDS) == ["no controller has it: it goes on by itself"]
    looked = Attendance.of(survey_of(project, a=Status.RUNNING, b=Status.PENDING))
    assert looked.lines(COMMANDS) == ["no controller has these: they go on by themselves"]
    looked = Attendance.of(survey_of(project, a=Status.RUNNING, b=Status.PENDING, c=Status.NOT_STARTED))
    assert looked.lines(COMMANDS) == [
        "no controller has the 2 that wait or run: they go on by themselves",
        "no controller runs the one that is NOT_STARTED: heyhi launch s.py starts it",
    ]


def test_what_a_living_controller_last_said_of_slurm_is_said_as_long_as_it_holds(
    project: Project, living: Controller
) -> None:
    away = "Slurm takes no jobs now, and is asked again for 15 minutes: sbatch: Socket timed out"
    silent = "Slurm doesn't answer, and is asked again: squeue: Socket timed out"
    full = "Slurm takes no more jobs for now (QOSMaxSubmitJobPerUserLimit); the rest is submitted as jobs end."
    waiting = survey_of(project, a=Status.NOT_STARTED, b=Status.RUNNING)
    all_had = survey_of(project, a=Status.RUNNING, b=Status.RUNNING)

    def said(survey: Survey, *lines: str, pid: int = 0) -> list[str]:
        assert living.owner is not None
        begin = f"2026-11-28T14:00:00+00:00 h pid {pid or living.owner.pid}: snakemake --profile p\n"
        living.log.write_text(f"{begin}{silent}\n{begin}" + "".join(f"{line}\n" for line in lines))
        return Attendance.of(survey).lines(COMMANDS)[:-1]

    assert said(waiting, "Building DAG of jobs...") == []
    assert said(waiting, away) == said(waiting, "p/b: job 11", away, "Job 3: x") == [away]
    assert said(waiting, away, "p/b: job 12") == said(waiting, away, "14:00:01 queued  x=1  job 12") == []
    assert said(waiting, away, pid=1) == []  # of an earlier one: this one writes none
    assert said(all_had, silent) == [silent] and said(all_had, silent, "Slurm answers again.") == []
    assert said(waiting, full, "p/b: job 12") == [full] and said(all_had, full, "p/b: job 12") == []
    waiting.silence = "squeue: Socket timed out"
    assert said(waiting, silent, away) == [
        "Slurm doesn't answer: squeue: Socket timed out: what is said of jobs was last known",
        away,
    ]


def test_controllers_that_cannot_be_listed_may_be_there(project: Project) -> None:
    project.state_root.mkdir(parents=True)
    (project.state_root / "controllers").write_text("a file in the way")
    looked = Attendance.of(survey_of(project, a=Status.NOT_STARTED))
    assert looked.may_start and "nobody knows whether a controller runs these" in looked.lines()[0]


def test_a_snakemake_by_hand_is_seen_as_long_as_it_lives(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[tuple[object, ...]] = []
    monkeypatch.setattr(heyhi.sweep.sign_of_life.atexit, "register", lambda *call: ends.append(call))
    old = controller_of(project, "a", name="snakemake-dead")
    give_sign_of_life(project, [], ["results/p/a/result.json"])
    assert Attendance.of(survey_of(project, a=Status.NOT_STARTED)).lines()[0].endswith(" runs it")
    assert not Attendance.of(survey_of(project, b=Status.NOT_STARTED)).may_start
    assert old.folder.exists()  # it may be just beginning
    monkeypatch.setattr(heyhi.sweep.sign_of_life, "_OLD_SECONDS", -1.0)
    give_sign_of_life(project, [], ["results/p/b/result.json"])
    assert not old.folder.exists() and len(find_controllers(project)) == 2
    for end, *words in ends:
        end(*words)  # type: ignore[operator]
    assert list((project.state_root / "controllers").iterdir()) == []


# --- the end of a watch


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ({"a": Status.DONE}, 0),
        ({"a": Status.DONE, "b": Status.PRUNED}, 0),
        ({"a": Status.DONE, "b": Status.DEAD}, 1),
        ({"a": Status.BLOCKED}, 1),
        ({"a": Status.NOT_STARTED, "b": Status.DEAD}, 1),
        ({"a": Status.UNKNOWN}, 1),
    ],
)
def test_a_watch_ends_when_nothing_changes_by_itself_any_more(
    project: Project, monkeypatch: pytest.MonkeyPatch, statuses: dict[str, Status], code: int
) -> None:
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("heyhi.control.watch.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("heyhi.control.watch.time.sleep", lambda seconds: None)
    survey = survey_of(project, **statuses)
    assert watch(lambda: survey) == exit_code(survey) == code


def test_a_watch_goes_on_while_something_runs_or_a_controller_has_what_is_left(
    project: Project, living: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr("heyhi.control.watch.time.monotonic", lambda: next(clock))
    end = End()
    for statuses in ({"a": Status.NOT_STARTED}, {"c": Status.RUNNING, "d": Status.DEAD}, {"c": Status.PENDING}):
        survey = survey_of(project, **statuses)
        assert [end.is_over(survey, Attendance.of(survey)) for _ in range(5)] == [False] * 5
    for statuses in ({"c": Status.NOT_STARTED}, {"c": Status.NOT_STARTED, "a": Status.DEAD}):
        end, survey = End(), survey_of(project, **statuses)
        assert [end.is_over(survey, Attendance.of(survey)) for _ in range(3)] == [False, True, True]


# --- the log of what was never handed over


def refuse(project: Project, name: str) -> ExperimentDir:
    folder = ExperimentDir(Path(path_of(project, name)), project.results_root)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.identity_path.write_text('{"version": 2, "cfg": "c", "overrides": []}')
    folder.append_attempt(EndRecord(0, REFUSED, exception=NOPE))
    return folder


def test_logs_of_what_slurm_refused_say_so_and_what_the_controller_said(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = refuse(project, "a")
    (folder.path / "launch.log").touch()  # by Snakemake
    controller_of(project, "a", log="Error in rule experiment:\n    message: p/a: not submitted: no room\n")
    assert show_log(project, folder, commands=COMMANDS) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"-- no log yet: DEAD        p/a  not submitted: {NOPE}",
        "-- results/.heyhi/controllers/sweep-1.log says: not submitted: no room",
        "-- no controller runs it: heyhi retry --dead s.py starts it again",
    ]
    folder.log_path.write_text("of an earlier attempt\n")
    assert show_log(project, folder) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("of an earlier attempt\n", f"-- since then: not submitted: {NOPE}\n")


def test_following_what_slurm_refused_ends_at_once(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_log(project, refuse(project, "a"), follow=True) == 1
    assert f"not submitted: {NOPE}" in capsys.readouterr().err


# --- the first moments of a launch


def submit(project: Project, name: str, job: str) -> None:
    folder = Path(path_of(project, name))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps({"job_id": job}))


def first_start(project: Project, *names: str) -> FirstStart:
    return FirstStart(project, [path_of(project, name) for name in names])


def test_a_launch_waits_for_the_first_submission(project: Project, living: Controller) -> None:
    submit(project, "a", "7")  # of an earlier launch
    refuse(project, "b")
    first = first_start(project, "a", "b")
    timer = threading.Timer(0.3, submit, (project, "b", "12"))
    timer.start()
    assert first.wait(living) == (["submitted: job 12 (p/b)"], False)
    timer.join()


def test_a_launch_waits_for_the_first_run_on_this_machine(project: Project, living: Controller) -> None:
    folder = ExperimentDir(Path(path_of(project, "a")))
    folder.path.mkdir(parents=True)
    first = first_start(project, "a")
    claim = Claim.acquire(folder.path)
    assert isinstance(claim, Claim)
    with claim:
        folder.append_attempt(Start(1, "first", pid=claim.owner.pid))
        (line,) = first.wait(living).lines
    assert line == f"started: p/a (pid {claim.owner.pid} on {claim.owner.host})"
    (folder.path / "result.json").write_text("{}")
    assert first_start(project, "b").wait(living, 0.0).failed is False
    assert first.wait(living).lines == ["done already: p/a"]


def test_a_launch_of_which_all_is_refused_says_why_and_fails(project: Project, living: Controller) -> None:
    first = first_start(project, "a", "b")
    for name in "ab":
        refuse(project, name)
    lines, failed = first.wait(living)
    assert failed and lines[0].startswith(
        "nothing was submitted or started: all are refused (results/.heyhi/controllers/"
    )
    assert lines[1:] == [f"  2 × not submitted: {NOPE}"]  # noqa: RUF001


def test_a_launch_of_which_some_is_refused_waits_for_the_others(project: Project, living: Controller) -> None:
    first = first_start(project, "a", "b")
    refuse(project, "a")
    assert first.wait(living, 0.0).failed is False
    submit(project, "b", "12")
    assert first.wait(living).lines == [f"1 × not submitted: {NOPE}", "submitted: job 12 (p/b)"]  # noqa: RUF001


def test_a_controller_that_dies_at_once_has_its_reason_said(project: Project) -> None:
    first = first_start(project, "a")
    dead = controller_of(project, "a", log="Building DAG of jobs...\nerror: conf/x.py: boom\n")
    lines, failed = first.wait(dead)
    assert failed and lines == [
        "nothing was submitted or started: the controller ended at 2026-11-28T14:00:09+00:00 with exit code 1"
        " (results/.heyhi/controllers/sweep-1.log)",
        "  error: conf/x.py: boom",
    ]
    dead.log.write_text("no header\nand nothing that counts\n")
    lines, failed = first.wait(dead)
    assert failed and lines[1:] == ["  no header", "  and nothing that counts"]


def test_a_controller_that_ends_well_at_once_is_no_failure(project: Project) -> None:
    first = first_start(project, "a")
    done = controller_of(project, "a", log="x\n")
    done.log.write_text(done.log.read_text().replace("exit code 1", "exit code 0"))
    assert first.wait(done) == ([], False)


def test_of_a_large_sweep_a_few_are_looked_at(
    project: Project, living: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: set[str] = set()
    stamp = heyhi.control.first_start._stamp
    monkeypatch.setattr(heyhi.control.first_start, "_stamp", lambda path: looked.add(path) or stamp(path))
    names = [f"x{n}" for n in range(10_000)]
    first = first_start(project, *names)
    assert len(looked) <= 4 * 200 and any("/x9" in path for path in looked)
    (line,) = first.wait(living, 0.0).lines
    assert line == "nothing is submitted or started yet after 0 s; the controller goes on"


def test_a_launch_that_starts_nothing_itself_waits_for_nothing(project: Project, living: Controller) -> None:
    assert first_start(project).wait(living) == ([], False)
