"""`heyhi logs`: of which rank and attempt, why an experiment is dead, and whatever bytes a log may hold."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi import maybe_launch
from heyhi.cli.main import main
from heyhi.control.shown_log import harmless
from tests.unit.cli.works import PROTO

BOOM = b"Traceback (most recent call last):\n  File 'x'\nValueError: boom\n"
Show = Callable[..., tuple[str, str]]


@pytest.fixture(autouse=True)
def project(make_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_project(PROTO)
    monkeypatch.setenv("PATH", "/nowhere")  # no Slurm, and no tee
    return root


@pytest.fixture
def show(capfd: pytest.CaptureFixture[str]) -> Show:
    def run(*words: object, code: int = 0) -> tuple[str, str]:
        capfd.readouterr()
        try:
            found: object = main(["logs", *map(str, words)])
        except SystemExit as end:
            found = end.code
        out, err = capfd.readouterr()
        assert found == code, err
        return out, err

    return run


def run_task(seed: int, fails: str = "", says: str = "") -> Path:
    def task(**_: object) -> None:
        print(says or "begin")
        if fails:
            raise ValueError(fails)

    return Path(maybe_launch(task, cfg="work", overrides=[f"seed={seed}"], mode="start_continue").exp_path)


def dead(log: bytes, reason: str = "ValueError: boom", **ranks: bytes) -> Path:
    """Make an experiment that has died, with a log."""
    folder = run_task(90, "boom")
    (folder / "log.txt").write_bytes(log)
    for rank, content in ranks.items():
        (folder / f"log.{rank[1:]}.txt").write_bytes(content)
    end = {"event": "end", "attempt": 1, "reason": "failed", "exit_code": 1, "exception": reason}
    start = {"event": "start", "attempt": 1, "kind": "first"}
    (folder / "attempts.jsonl").write_text(f"{json.dumps(start)}\n{json.dumps(end)}\n")
    return folder


def test_an_attempt_has_its_part_of_the_log(show: Show) -> None:
    for fails, says in (("one", "first"), ("two", "second"), ("", "third")):
        folder = run_task(1, fails, says)
    parts = [show(folder, "--attempt", i)[0] for i in (1, 2, 3)]
    assert "".join(parts) == (folder / "log.txt").read_text() == show(folder)[0]
    for part, said in zip(parts, ("first", "second", "third"), strict=True):
        assert part.startswith(f"{said}\n")
    assert show(folder, "--attempt", 1, "-n", 1)[0] == "ValueError: one\n"
    assert "--attempt 7" in show(folder, "--attempt", 7, code=2)[1]


def test_an_error_is_the_last_traceback_then_the_reason_and_where_the_log_is(show: Show) -> None:
    for fails in ("one", "two"):
        folder = run_task(1, fails)
    out, err = show(folder, "--error")
    *shown, named, reason, log = out.splitlines()
    assert shown[0] == "Traceback (most recent call last):" and named == "ValueError: two" and err == ""
    assert reason.startswith("-- DEAD ") and reason.endswith("exit code 1: ValueError: two")
    assert log == f"-- log: {folder.relative_to(Path.cwd())}/log.txt (attempt 2 of 2)"
    assert "\nValueError: one\n-- DEAD " in show(folder, "--error", "--attempt", 1)[0]


def test_what_has_failed_before_it_was_done_has_its_error_still(show: Show) -> None:
    run_task(1, "one")
    folder = run_task(1)
    out = show(folder, "--error")[0]
    assert "\nValueError: one\n-- DONE " in out and "attempt 1 ended with exit code 1" in out
    assert show(run_task(2), "--error")[0].startswith("-- DONE ")


def test_without_a_traceback_the_reason_and_the_last_lines_are_shown(show: Show) -> None:
    folder = dead(b"".join(b"line %d\n" % i for i in range(100)), "main called sys.exit(3)")
    reason, *lines, _ = show(folder, "--error")[0].splitlines()
    assert lines == [f"line {i}" for i in range(80, 100)]
    assert reason.endswith("exit code 1: main called sys.exit(3)")


def test_what_ended_it_from_outside_is_said_before_the_traceback_that_it_left(show: Show) -> None:
    folder = dead(BOOM)
    end = {"event": "end", "attempt": 1, "reason": "TIMEOUT", "job_id": "12", "job_state": "TIMEOUT", "host": "n1"}
    with (folder / "attempts.jsonl").open("a") as file:
        file.write(json.dumps(end) + "\n")
    lines = show(folder, "--error")[0].splitlines()
    assert lines[0].endswith("TIMEOUT (job 12 on n1)") and lines[3] == "ValueError: boom" and len(lines) == 5


def test_of_several_experiments_each_reason_is_shown_once(show: Show) -> None:
    for seed in range(3):
        run_task(seed, f"bad loss at step {seed}")
    run_task(7, "something else")
    run_task(8)
    for words in ((), ("--cfg", "work", "--sweep", "seed=0,1,2,7,8")):
        out = show("--error", *words)[0]
        assert out.count("Traceback") == 2 and out.index("bad loss") < out.index("something else")
        assert "-- 3 experiments died of this, the first one's is shown:" in out and out.count("-- log: ") == 2
    odd = Path(run_task(0, "bad loss at step 0")) / "log.txt"
    odd.unlink()
    os.mkfifo(odd)
    shown = show("--error", code=1)[0]
    assert "it is a FIFO, no file" in shown and "something else" in shown
    assert "none of 2 experiments is dead" in show("--error", run_task(8), run_task(9))[0]
    assert "--attempt are of one" in show("--error", "--attempt", 1, code=2)[1]


def test_the_logs_of_other_ranks_are_named_and_shown(show: Show) -> None:
    folder = dead(b"of 0\n", r1=b"of 1\n", r2=b"of 2\nno end", r10=b"of 10\n")
    out, err = show(folder)
    assert out == "of 0\n" and "-- this is rank 0's; other ranks have log.1.txt, log.2.txt, log.10.txt: --rank N" in err
    assert show(folder, "--rank", 2)[0] == "of 2\nno end"
    assert show(folder, "--rank", "all") == ("[rank 0] of 0\n[rank 1] of 1\n[rank 2] of 2\n[rank 2] no end\n"
        "[rank 10] of 10\n", "")  # fmt: skip
    assert show(folder, "--rank", "all", "-n", 1)[0].count("\n") == 4
    assert "has no log.3.txt: there is a log of ranks 0, 1, 2, 10" in show(folder, "--rank", 3, code=2)[1]
    assert "expected the number of a rank" in show(folder, "--rank", "x", code=2)[1]


def test_an_error_is_that_of_the_rank_that_failed_first(show: Show, project: Path) -> None:
    said = (
        b"Traceback (most recent call last):\n  File 'y'\nRuntimeError: misses a rank\nrank 2 was the first to end: x\n"
    )
    folder = dead(said, r1=b"of 1\n", r2=BOOM)
    out = show(folder, "--error")[0]
    assert out.startswith(BOOM.decode()) and out.endswith("/log.2.txt (rank 2)\n")
    assert show(folder, "--error", "--rank", 1)[0].splitlines()[1] == "of 1"
    folder = dead(said, "rank 1 on n2: signal 11 (SIGSEGV)", r1=b"segfault\n")
    assert show(folder, "--error")[0].splitlines()[1] == "segfault"


def test_a_log_is_followed_for_all_ranks(show: Show) -> None:
    folder = dead(b"of 0\n", r1=b"of 1\nno end")
    (folder / "result.json").write_text("{}")
    assert show("-f", folder, "--rank", "all")[0] == "[rank 0] of 0\n[rank 1] of 1\n[rank 1] no end\n"
    assert show("-f", folder, "--rank", "1")[0] == "of 1\nno end"
    assert "--follow goes without --error" in show("-f", folder, "--error", code=2)[1]


@pytest.mark.parametrize("is_done", [False, True])
def test_the_end_of_what_is_followed_is_said_behind_its_log(project: Path, is_done: bool) -> None:
    folder = dead(b"one\nlast line\n")
    if is_done:
        (folder / "result.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "heyhi.cli", "logs", "-f", "-n", "1", folder],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert (done.returncode, said[0]) == (0 if is_done else 1, "last line")
    assert said[1].startswith("-- DONE" if is_done else "-- DEAD ")


def test_what_is_no_file_is_refused_in_one_line(show: Show) -> None:
    folder = dead(b"")
    (folder / "log.txt").unlink()
    os.mkfifo(folder / "log.txt")
    for words in ((), ("--error",)):
        out, err = show(folder, *words, code=2)
        assert out == "" and "log.txt: can't be read: it is a FIFO, no file" in err.splitlines()[-1]
    (folder / "result.json").write_text("{}")
    assert "it is a FIFO" in show("-f", folder)[1]


def test_memory_stays_as_it_is_where_a_log_is_one_long_line() -> None:
    folder = dead(b"")
    os.truncate(folder / "log.txt", 1 << 30)
    limit = 400 << 20

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    for words in (["--error"], ["-n", "1"], ["--rank", "all"]):
        command = [sys.executable, "-m", "heyhi.cli", "logs", str(folder), *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=bound) as process:
            assert process.stdout is not None and process.stderr is not None
            assert len(process.stdout.read(100_000)) > 1000
            process.stdout.close()
            assert process.wait() in (0, 141), process.stderr.read()


HOSTILE = b"\x1b[31mred\x1b[0m \r50%\b\b\x1b]0;title\x07\x1b]52;c;aGk=\x07\x1b[2J\x1b[1A\xff\x00\x7f caf\xc3\xa9\n"


def test_a_program_gets_a_log_as_it_is(show: Show) -> None:
    folder = dead(HOSTILE)
    command = [sys.executable, "-m", "heyhi.cli", "logs", str(folder)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == HOSTILE


def test_a_terminal_gets_colours_and_progress_bars_and_no_other_escape() -> None:
    folder = dead(HOSTILE + "\u202eevil\x1b".encode())
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "heyhi.cli", "logs", str(folder)]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    with subprocess.Popen(command, stdout=its, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(its)
        shown = b""
        try:
            while piece := os.read(ours, 1 << 16):
                shown += piece
        except OSError:  # Linux: at the end
            pass
        os.close(ours)
        assert process.wait() == 0
    assert shown.decode() == (
        "\x1b[31mred\x1b[0m \r50%\b\b\\x1b]0;title\\x07\\x1b]52;c;aGk=\\x07\\x1b[2J\\x1b[1A\\xff\\x00\\x7f café\r\n"
        "\\u202eevil\\x1b\x1b[0m"
    )


@given(st.text(st.characters(codec=None) | st.sampled_from("\x1b[0;31m]\r\b\x9b\u202e"), max_size=60))
def test_no_text_steers_a_terminal(text: str) -> None:
    shown = harmless(text)
    left = shown
    for allowed in ("\r", "\b", "\n", "\t"):
        left = left.replace(allowed, "")

    left = re.sub(r"\x1b\[[0-9;:]*m", "", left)
    assert not any(c < " " or "\x7f" <= c < "\xa0" or "\u202a" <= c <= "\u202e" for c in left)
