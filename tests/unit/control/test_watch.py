"""What people watch, without anything that runs: the last lines of logs, and what a watch prints."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heyhi.control.watch
from heyhi.control.job_view import look_at_job
from heyhi.control.log import show_log
from heyhi.control.survey import Part, Survey
from heyhi.control.watch import watch
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import Status
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
        start = heyhi.control.log._start_of_last(file.fileno(), wanted)
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
        assert watch([project], lambda: next(looks), 0.01) == 1
    shown = read_all(leader)
    assert "RUNNING 1" in shown
    assert "DEAD 1  DONE 1" in shown
    assert "p/[red]x=1" in shown
    assert "ValueError: [bold]boom" in shown


def test_a_watch_that_nobody_looks_at_prints_what_is_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = Project(tmp_path)
    a, b = (str(tmp_path / f"results/p/{name}") for name in "ab")
    running, dead = (Status.RUNNING, ""), (Status.DEAD, "exit code 1")
    looks = iter([{a: running, b: running}, {a: running, b: running}, {a: dead, b: running}, {a: dead}])
    assert watch([project], lambda: Survey([Part(project, [a, b], lambda _: [])], next(looks)), 0.01) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "RUNNING 2",
        "DEAD 1  RUNNING 1",
        "      p/a  exit code 1",
        "DEAD 1  DONE 1",
    ]


def test_nothing_known_is_over_at_once(tmp_path: Path) -> None:
    assert watch([Project(tmp_path)], lambda: Survey([], {})) == 0


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
    assert watch([project], lambda: Survey([Part(project, [path], lambda _: [])], {path: next(looks)}), 0.001) == 1
    assert "no controller of `heyhi launch` is there" in capsys.readouterr().out
    assert len(list(looks)) > 30
