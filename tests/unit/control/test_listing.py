"""How experiments are listed: what died of one reason together, at any width, with all that people look for."""

from __future__ import annotations

import datetime
import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.control.listing import grouped, render, rows_lines
from heyhi.control.survey import Part, Row, Survey
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.records import End, Start
from heyhi.experiment.status import State
from heyhi.project import Project

DEAD = Status.DEAD


def survey_of(root: Path, states: dict[str, State], done: int = 0) -> Survey:
    project = Project(root)
    paths = [f"{project.results_root}/{name}" for name in states]
    more = [f"{project.results_root}/p/done{n}" for n in range(done)]
    part = Part(project, [*paths, *more], lambda _: [])
    return Survey([part], dict(zip(paths, states.values(), strict=True)))


def seeds(count: int, reason: str, name: str = "p/work/lr=1") -> dict[str, State]:
    return {f"{name},seed={n}_{n:016x}": State(DEAD, reason.format(n)) for n in range(count)}


def test_what_died_of_one_reason_is_told_of_together(tmp_path: Path) -> None:
    states = seeds(500, "exit code 1: ValueError: bad lr") | {"p/work/x=1": State(DEAD, "exit code 9")}
    lines = render(survey_of(tmp_path, states, done=7), {}).splitlines()
    assert lines == [
        "DEAD 501  DONE 7",
        "DEAD        500 × exit code 1: ValueError: bad lr",  # noqa: RUF001
        *(f"              p/work/lr=1,seed={n}_{n:016x}" for n in range(3)),
        "              … and 497 more (--all lists them)",
        "DEAD        p/work/x=1  exit code 9",
    ]
    every = render(survey_of(tmp_path, states, done=7), {}, everything=True, width=40).splitlines()
    assert len(every) == 509 and every[1] == f"DEAD        p/work/lr=1,seed=0_{0:016x}  exit code 1: ValueError: bad lr"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("TIMEOUT (job {0} on n{0})", "TIMEOUT"),
        ("killed (no end record; pid {0} on host h{0})", "killed"),
        ("exit code 137 (signal 9) (job {0} on n1)", "exit code 137 (signal 9)"),
        ("exit code 1: MemoryError: {0}.5 GiB of 3", "exit code 1: MemoryError: … GiB of …"),
        ("rank {0} on n{0}: exit code 9", "rank … on …: exit code 9"),
        ("job {0} was never started, as it seems", "job … was never started, as it seems"),
    ],
)  # fmt: skip
def test_jobs_hosts_and_numbers_make_no_other_reason(reason: str, shown: str) -> None:
    rows = [Row(f"p/{n}", f"/nowhere/p/{n}", DEAD, reason.format(n)) for n in range(4)]
    assert [(one.reason, len(one.rows)) for one in grouped(rows)] == [(shown, 4)]


def test_exit_codes_and_signals_do_make_another_reason() -> None:
    reasons = ["exit code 1", "exit code 2", "exit code 137 (signal 9)", "exit code 139 (signal 11)"]
    reasons += [f"rank 0 on n1: {reason}" for reason in reasons]
    rows = [Row(f"p/{n}", f"/nowhere/p/{n}", DEAD, reason) for n, reason in enumerate(reasons * 4)]
    assert {(one.reason, len(one.rows)) for one in grouped(sorted(rows, key=lambda row: row.reason))} == {
        *((reason, 4) for reason in reasons)
    }


@given(
    st.lists(st.tuples(st.sampled_from(list(Status)), st.sampled_from(["", "a: 1", "a: 2", "b (job 7)"])), max_size=40)
)
def test_each_experiment_is_told_of_once_whatever_they_died_of(found: list[tuple[Status, str]]) -> None:
    rows = [Row(f"p/{n}", f"/nowhere/{n}", *one) for n, one in enumerate(found)]
    told = [row for one in grouped(sorted(rows, key=lambda row: row.status.urgency)) for row in one.rows]
    assert sorted(told) == sorted(rows)
    assert [row.status.urgency for row in told] == sorted(row.status.urgency for row in rows)
    apart = (Status.RUNNING, Status.PENDING, Status.DONE)
    first = [(one.rows[0], len(one.rows)) for one in grouped(rows)]
    assert all(count == 1 for row, count in first if row.status in apart)
    # Of those that are held back there may be many.
    assert all(count == 1 for row, count in first if row.status is Status.NOT_STARTED and not row.reason)


def test_one_of_which_more_is_to_be_said_stands_alone(tmp_path: Path) -> None:
    states = seeds(5, "exit code 1")
    drifted = list(states)[2]
    shown = render(survey_of(tmp_path, states), {drifted: ["lr: 1 -> 2"]})
    assert f"\nDEAD        {drifted}  exit code 1\n            drifted: lr: 1 -> 2" in shown
    assert "4 × exit code 1" in shown  # noqa: RUF001


def test_on_80_columns_names_are_cut_where_they_are_alike_and_no_line_is_longer(tmp_path: Path) -> None:
    name = "p/c02_sup_train/a_rather_long_config/augment=strong,epochs=90,lr=0.1"
    long = f"exit code 1: RuntimeError: {'CUDA error ' * 9}".strip()
    states = seeds(3, long, name) | {f"{name},seed=7_{7:016x}": State(Status.NOT_STARTED)}
    shown = render(survey_of(tmp_path, states), {}, width=80)
    assert max(map(len, shown.splitlines())) <= 80
    for seed in (0, 1, 2, 7):
        assert f"…seed={seed}_{seed:016x}" in shown
    assert " ".join(shown.split()).count(long) == 3
    assert name in render(survey_of(tmp_path, states), {})  # nobody's terminal: whole


def test_many_of_a_list_that_a_command_starts_are_a_few_lines() -> None:
    rows = [Row(f"p/{n}", f"/nowhere/p/{n}", DEAD, "exit code 1") for n in range(500)]
    lines = rows_lines(rows, prefix="left: ")
    assert len(lines) == 5 and lines[-1].endswith("… and 497 more")
    assert lines[0] == "left: DEAD        500 × exit code 1"  # noqa: RUF001


def started(root: Path, name: str, minutes: float) -> str:
    """Make an experiment that this process has had for some minutes."""
    folder = root / "results" / name
    folder.mkdir(parents=True)
    claim = Claim.acquire(folder)
    assert isinstance(claim, Claim)
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes)
    values = json.loads((folder / "claim.json").read_text()) | {"since": since.isoformat(timespec="seconds")}
    (folder / "claim.json").write_text(json.dumps(values))
    return str(folder)


def test_what_runs_says_for_how_long_and_its_last_step(tmp_path: Path) -> None:
    path = started(tmp_path, "p/a", 65)
    (Path(path) / "metrics.jsonl").write_text('{"step": 119}\n{"step": 120}\n{"st')
    shown = render(survey_of(tmp_path, {"p/a": State(Status.RUNNING, "pid 1 on host h")}), {})
    assert shown.endswith("RUNNING     p/a  pid 1 on host h  for 1 h 05 min, step 120")


def test_what_runs_says_when_it_will_have_come_to_its_end_and_what_waits_does_not(tmp_path: Path) -> None:
    path = Path(started(tmp_path, "p/a", 65))
    ExperimentDir(path).append_attempt(Start(1))
    now = time.time()
    lines = [{"step": 60 * n, "total": 600, "time": now + 60 * (n - 2), "attempt": 1} for n in range(3)]
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    def said(status: Status) -> str:
        return render(survey_of(tmp_path, {"p/a": State(status, "job 1")}), {}).partition("min, ")[2]

    assert said(Status.RUNNING) in ("step 120 of 600, about 8 min left", "step 120 of 600, about 7 min left")
    assert said(Status.PENDING) == "step 120 of 600"


def test_what_waits_says_for_how_long_since_it_was_queued_again_if_it_was(tmp_path: Path) -> None:
    path = started(tmp_path, "p/a", 65)
    waits = State(Status.PENDING, "job 1 waits: Priority")
    assert render(survey_of(tmp_path, {"p/a": waits}), {}).endswith("  job 1 waits: Priority  for 1 h 05 min")
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=7)
    ExperimentDir(Path(path)).append_attempt(End(1, "requeue", time=then.isoformat(timespec="seconds")))
    assert re.search(r"  for 7 min$", render(survey_of(tmp_path, {"p/a": waits}), {}))


def test_a_claim_or_time_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    path = started(tmp_path, "p/a", 1)
    values = json.loads((Path(path) / "claim.json").read_text()) | {"since": "yesterday"}
    (Path(path) / "claim.json").write_text(json.dumps(values))
    assert render(survey_of(tmp_path, {"p/a": State(Status.RUNNING, "here")}), {}).endswith("p/a  here")


def test_a_long_reason_takes_no_room_from_names_and_itself_a_few_lines() -> None:
    reasons = {"exit9": "exit code 9 (job 49)", "segv": "exit code 139", "long": f"exit code 1: E: {'word ' * 200}end"}
    rows = [
        Row(f"p/line/act={act},bad_rank=0,world=2_{n:016x}", f"/nowhere/{n}", DEAD, reason)
        for n, (act, reason) in enumerate(reasons.items())
    ]
    lines = rows_lines(rows, 80)
    assert lines[0] == "DEAD        …act=exit9,…world=2_0000000000000000  exit code 9 (job 49)"
    assert max(map(len, lines)) <= 80 and len(lines) == 6 and lines[-1].endswith("word …")
    assert rows_lines(rows)[2].endswith("word end")  # nobody's terminal: whole


@pytest.mark.parametrize("width", [44, 60, 80])
def test_where_names_differ_is_kept_though_reasons_then_need_lines_of_their_own(width: int) -> None:
    acts = ("exit9", "segv", "raises", "out_of_memory")
    rows = [
        Row(f"p/act={act},bad_rank=0,world={n}_{n:016x}", f"/nowhere/{n}", DEAD, f"exit code {n}: {'x ' * 14}")
        for n, act in enumerate(acts)
    ]
    lines = rows_lines(rows, width)
    assert max(map(len, lines)) <= width
    assert all(any(f"act={act}," in line for line in lines) for act in acts)
