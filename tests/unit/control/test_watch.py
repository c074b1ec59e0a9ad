"""What people watch, without anything that runs: the last lines of logs, and what a watch prints."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heyhi.control.watch
from heyhi.control.job_view import look_at_job
from heyhi.control.listing import live_lines
from heyhi.control.log import show_log
from heyhi.control.progress import progress_of
from heyhi.control.survey import Part, Row, Survey
from heyhi.control.watch import watch
from heyhi.errors import HeyhiError, ManifestError
from heyhi.experiment.claim import Claim
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
from heyhi.experiment.status import State
from heyhi.project import Project


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


@given(
    lines=st.lists(st.text("aä\r ", max_size=6), max_size=6),
    wanted=st.integers(0, 8),
    ends=st.booleans(),
    size=st.sampled_from([1, 2, 3, 7, 1 << 16]),
)
def test_the_last_lines_are_those_that_tail_prints(
    folder: Path, lines: list[str], wanted: int, ends: bool, size: int
) -> None:
    path = folder / "log.txt"
    path.write_text("\n".join(lines) + "\n" * ends, newline="")
    pieces = path.read_bytes().split(b"\n")  # not splitlines(): a progress bar's \r ends no line
    whole = [piece + b"\n" for piece in pieces[:-1]] + [pieces[-1]] * bool(pieces[-1])
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(heyhi.control.log, "_CHUNK", size)
        start = heyhi.control.log.start_of_last(file.fileno(), wanted)
    assert path.read_bytes()[start:] == b"".join(whole[len(whole) - wanted :] if wanted < len(whole) else whole)


def test_a_log_is_printed_as_it_is(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    data = b"caf\xc3\xa9 \xff\n" * 20_000 + b"half \xc3"
    (tmp_path / "log.txt").write_bytes(data)
    assert show_log(Project(tmp_path), ExperimentDir(tmp_path)) == 0
    assert capfdbinary.readouterr().out == data


def test_without_a_log_the_launch_log_is_printed_and_said_to_be(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    show_log(Project(tmp_path), ExperimentDir(tmp_path))
    assert "no log yet: NOT_STARTED" in capfd.readouterr().err
    (tmp_path / "launch.log").write_text("no such module\n")
    show_log(Project(tmp_path), ExperimentDir(tmp_path))
    out, err = capfd.readouterr()
    assert out == "no such module\n"
    assert f"no log.txt yet (NOT_STARTED); this is {tmp_path}/launch.log" in err


def read_all(terminal: int) -> str:
    """Read what was written to a terminal whose other side is closed."""
    data = b""
    with os.fdopen(terminal, "rb", buffering=0) as file, contextlib.suppress(OSError):  # Linux: EIO at the end
        while piece := file.read(1 << 16):
            data += piece
    return data.decode()


def test_a_watch_of_a_terminal_is_a_table_that_ends_with_the_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real terminal, though nobody sits at it."""
    project = Project(tmp_path)
    path = str(tmp_path / "results/p/[red]x=1")
    looks = iter(
        [
            Survey([Part(project, [path], lambda _: [])], {path: (Status.RUNNING, "pid 1 on host h")}),
            Survey(
                [Part(project, [path, path + "2"], lambda _: [])],
                {path: (Status.DEAD, "exit code 1: ValueError: [bold]boom")},
            ),
        ]
    )
    leader, follower = os.openpty()
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        assert watch(lambda: next(looks), 0.01) == 1
    shown = read_all(leader)
    assert "RUNNING 1" in shown
    assert "DEAD 1  DONE 1" in shown
    assert "p/[red]x=1" in shown
    assert "ValueError: [bold]boom" in shown


def shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *looks: Survey | Exception) -> str:
    """Watch on a terminal until the last look, and return all that was shown, without colours and moves."""
    left = list(looks)

    def look() -> Survey:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    leader, follower = os.openpty()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        watch(look, 0.01)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read_all(leader)).replace("\r\n", "\n")


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_narrow_terminal_what_died_of_one_reason_is_told_together_and_nothing_that_counts_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    project = Project(tmp_path)
    common = "p/c02_sup_train/a_rather_long_config/augment=strong,epochs=90,lr=0.1"
    paths = [str(tmp_path / f"results/{common},seed={seed}_{seed:016x}") for seed in range(14)]
    cuda = f"exit code 1: RuntimeError: {'CUDA error ' * 9}".strip()
    states = {path: State(Status.DEAD, cuda) for path in paths[:12]}
    states[paths[12]] = State(Status.DEAD, "exit code 1: ValueError: a learning rate of this size was never meant")
    states[paths[13]] = State(Status.RUNNING, "job 12 on n1")
    Path(paths[13]).mkdir(parents=True)
    (Path(paths[13]) / "metrics.jsonl").write_text('{"epoch": 1, "trainer/global_step": 1200, "loss": 0.5}\n{"ep')
    survey = Survey([Part(project, paths, lambda _: [])], states)
    survey.silence = "squeue: timed out"
    monkeypatch.setattr("heyhi.control.watch.End.is_over", lambda *_: True)
    shown = shown_on_a_terminal(monkeypatch, width, survey)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", shown)]
    assert max(map(len, lines)) <= width
    said = " ".join(shown.split())
    for text in (
        f"DEAD 12 × {cuda}",  # noqa: RUF001
        "… and 9 more",
        "exit code 1: ValueError: a learning rate of this size was never meant",
        "job 12 on n1 global_step 1200",
        "Slurm doesn't answer: squeue: timed out: what is said of jobs was last known",
    ):
        assert text in said
    assert all(any(f"seed={seed}_" in line for line in lines) for seed in (0, 1, 2, 12, 13))


def test_of_a_low_terminal_what_is_left_out_is_counted() -> None:
    rows = [Row(f"p/{n}", f"/nowhere/p/{n}", Status.DEAD, f"exit code {n}") for n in range(1, 40)]
    assert live_lines(rows, 80, 5) == [*(row.text for row in rows[:5]), "… and 34 more"]
    alike = [row._replace(reason="exit code 1") for row in rows]
    assert len(live_lines(alike, 80, 3)) == 3 and live_lines(rows[:5], 80, 5)[-1] == rows[4].text


def test_a_watch_says_for_how_long_what_runs_does_and_who_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    folder = project.results_root / "p/a"
    folder.mkdir(parents=True)
    claim = Claim.acquire(folder)
    assert isinstance(claim, Claim)
    values = json.loads((folder / "claim.json").read_text()) | {"since": "2026-01-01T00:00:00+00:00"}
    (folder / "claim.json").write_text(json.dumps(values))
    monkeypatch.setattr("heyhi.control.watch.End.is_over", lambda *_: True)
    states = {str(folder): State(Status.RUNNING, "here"), f"{folder}2": State(Status.NOT_STARTED)}
    shown = shown_on_a_terminal(monkeypatch, 80, Survey([Part(project, list(states), lambda _: [])], states))
    (line,) = {line for line in shown.splitlines() if line.startswith("RUNNING  ")}
    assert re.match(r"RUNNING +p/a +here  for [0-9]+ d [0-9]+ h", line)
    assert "no controller runs the one that is NOT_STARTED" in shown


def test_where_names_fit_they_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "results/p/a/lr=0.1,seed=3_0123456789abcdef")
    survey = Survey([Part(Project(tmp_path), [path], lambda _: [])], {path: State(Status.DEAD, "exit code 1")})
    assert "DEAD        p/a/lr=0.1,seed=3_0123456789abcdef  exit code 1" in shown_on_a_terminal(monkeypatch, 80, survey)


def test_a_watch_survives_whatever_goes_wrong_in_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, path = Project(tmp_path), str(tmp_path / "results/p/a")
    running = Survey([Part(project, [path], lambda _: [])], {path: State(Status.RUNNING)})
    done = Survey([Part(project, [path], lambda _: [])], {})
    errors = [ManifestError("m.sqlite is damaged"), OSError(5, "Input/output error", "x"), RecursionError()]
    shown = shown_on_a_terminal(monkeypatch, 80, errors[0], running, *errors, done)
    for text in ("error: m.sqlite is damaged", "error: OSError: [Errno 5] Input/output error: 'x'", "DONE 1"):
        assert text in shown
    assert shown.count("RUNNING     p/a") > 1  # beside the error stands what was known before

    looks = iter([errors[0], errors[0], running, *errors, done])
    monkeypatch.undo()

    def look() -> Survey:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    assert watch(look, 0.01) == 0
    out, err = capsys.readouterr()
    assert [line.partition("  ")[2] for line in out.splitlines()] == ["RUNNING 1", "DONE 1"]
    damaged = "error: m.sqlite is damaged"
    assert err.splitlines() == [
        damaged, damaged, "error: OSError: [Errno 5] Input/output error: 'x'", "error: RecursionError",
    ]  # fmt: skip


def test_a_watch_ends_when_nobody_reads_it(tmp_path: Path) -> None:
    def look() -> Survey:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        watch(look, 0.01)


@pytest.mark.parametrize(
    ("metrics", "shown"),
    [
        (b"", ""),
        (b'{"loss": 1}\n', ""),
        (b'{"step": 3}\n{"loss": 1}\n', "step 3"),
        (b'{"step": 3}\n{"step": 4, "loss":', "step 3"),
        (b'{"epoch": 2, "step": 70}\n', "step 70"),
        (b'{"train": {"Epoch": 2.5, "loss_step": 1}}\n', "Epoch 2.5"),
        (b'{"eval/step": 1e6, "stepsize": 5}\n', "step 1000000"),
        (b'{"step": NaN}\n', ""),
        (b'{"step": "x"}\nnull\n[1]\n\xff\n', ""),
        (b'{"step": 5}\n' + b"x" * 20_000, ""),
    ],
)
def test_progress_is_the_last_counter_at_the_end_of_the_metrics(tmp_path: Path, metrics: bytes, shown: str) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(metrics)
    assert progress_of(ExperimentDir(tmp_path)) == shown


def test_a_watch_that_nobody_looks_at_prints_what_is_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    a, b = (str(tmp_path / f"results/p/{name}") for name in "ab")
    running, dead = (Status.RUNNING, ""), (Status.DEAD, "exit code 1")
    looks = iter([{a: running, b: running}, {a: running, b: running}, {a: dead, b: running}, {a: dead}])
    assert watch(lambda: Survey([Part(project, [a, b], lambda _: [])], next(looks)), 0.01) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "RUNNING 2",
        "DEAD 1  RUNNING 1",
        "      p/a  exit code 1",
        "DEAD 1  DONE 1",
    ]


def test_nothing_known_is_over_at_once(tmp_path: Path) -> None:
    assert watch(lambda: Survey([], {})) == 0


def test_a_job_that_nobody_knows_is_refused_also_without_slurm(tmp_path: Path) -> None:
    with pytest.raises(HeyhiError, match=r"no experiment has a job 7 .*no Slurm"):
        look_at_job(Project(tmp_path), "7")


def test_a_watch_ends_when_nobody_is_left_who_would_start_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    path = str(tmp_path / "results/p/a")
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("heyhi.control.watch.time.monotonic", lambda: next(clock))
    looks = iter([(Status.RUNNING, ""), *[(Status.NOT_STARTED, "")] * 50])
    assert watch(lambda: Survey([Part(project, [path], lambda _: [])], {path: next(looks)}), 0.001) == 1
    out = capsys.readouterr().out
    assert "no controller runs it\n" in out
    assert out.endswith("nothing waits or runs: what is left isn't started by itself\n")
    assert len(list(looks)) > 30


def test_a_watch_without_a_terminal_says_that_slurm_does_not_answer_as_long_as_it_lasts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "results/p/a")
    part = Part(Project(tmp_path), [path], lambda _: [])
    running = {path: State(Status.RUNNING)}
    away = "squeue: Socket timed out"
    looks = iter(
        [Survey([part], running), *[Survey([part], running, away)] * 3, Survey([part], running), Survey([part], {})]
    )
    assert watch(lambda: next(looks), 0.01) == 0
    lines = [re.sub(r"^[0-9:]+  ", "", line) for line in capsys.readouterr().out.splitlines()]
    said = f"Slurm doesn't answer: {away}: what is said of jobs was last known"
    assert lines == ["RUNNING 1", said, "Slurm answers again", "DONE 1"]
