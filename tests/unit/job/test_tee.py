"""Where a run's output goes, seen from outside of a process that uses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.errors import ResultError
from heyhi.job.tee import Tee

PRINT = """
import ctypes, os, pathlib, subprocess, sys
from heyhi.job.tee import Tee
print("before")
with Tee(pathlib.Path(sys.argv[1]), echo=sys.argv[2] == "echo"):
    print("out")
    print("err", file=sys.stderr)
    os.write(1, b"raw\\n")
    ctypes.CDLL(None).puts(b"from C")  # waits in C's own buffer
    subprocess.run(["echo", "child"], check=True)
print("after")
print("late", file=sys.stderr)
"""


def run(code: str, log: Path, echo: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        # Where Python is told to buffer nothing, a line is written in two pieces.
        [sys.executable, "-c", code, log, echo],
        text=True,
        check=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        **options,
    )


def test_all_output_goes_to_the_log_alone(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("earlier\n")
    done = run(PRINT, log, "no", capture_output=True)
    assert (done.stdout, done.stderr) == ("before\nafter\n", "late\n")
    lines = log.read_text().splitlines()
    assert lines[0] == "earlier" and set(lines[1:]) == {"out", "err", "raw", "from C", "child"}


def test_the_terminal_sees_it_too(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    done = run(PRINT, log, "echo", capture_output=True)
    assert set(done.stdout.splitlines()) == {"before", "out", "raw", "from C", "child", "after"}
    assert done.stderr == "err\nlate\n"
    assert set(log.read_text().splitlines()) == {"out", "err", "raw", "from C", "child"}


def test_one_terminal_gets_both_in_their_order(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from heyhi.job.tee import Tee
with Tee(pathlib.Path(sys.argv[1]), echo=True):
    for i in range(200):
        print(i, file=(sys.stdout, sys.stderr)[i % 2], flush=True)
"""
    log = tmp_path / "log.txt"
    done = run(code, log, "echo", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.stdout.splitlines() == log.read_text().splitlines() == [str(i) for i in range(200)]


def test_a_reader_that_has_seen_enough_ends_neither_run_nor_log(tmp_path: Path) -> None:
    code = """
import pathlib, sys
from heyhi.job.tee import Tee
with Tee(pathlib.Path(sys.argv[1]), echo=True):
    for i in range(50_000):
        print(i)
"""
    log = tmp_path / "log.txt"
    reader, writer = os.pipe()
    os.close(reader)
    run(code, log, "echo", stdout=writer)
    assert len(log.read_text().splitlines()) == 50_000
    os.close(writer)


def test_what_was_printed_last_before_a_crash_is_kept(tmp_path: Path) -> None:
    code = """
import os, pathlib, signal, sys
from heyhi.job.tee import Tee
with Tee(pathlib.Path(sys.argv[1]), echo=True):
    os.write(2, b"Segmentation fault in libfoo\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    log = tmp_path / "log.txt"
    done = subprocess.run([sys.executable, "-c", code, log], capture_output=True, text=True, check=False)
    # Both pipes are at their end now, so the pumps have ended too.
    assert done.returncode == -signal.SIGKILL
    assert log.read_text() == done.stderr == "Segmentation fault in libfoo\n"


def test_a_process_that_stays_behind_holds_nothing_up(tmp_path: Path) -> None:
    code = """
import pathlib, subprocess, sys
from heyhi.job import tee
tee._DRAIN_SECONDS, tee._END_SECONDS = 1000.0, 0.1
with tee.Tee(pathlib.Path(sys.argv[1]), echo=True):
    left = subprocess.Popen(["sleep", "100"])
    print("x")
print("after", flush=True)
left.kill()
"""
    done = run(code, tmp_path / "log.txt", "echo", capture_output=True)
    assert done.stdout == "x\nafter\n"


def test_closed_descriptors_are_no_obstacle(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", PRINT, log, "echo"], check=False
    )
    assert done.returncode == 0
    assert set(log.read_text().splitlines()) >= {"raw", "from C", "child"}


def test_a_python_stream_without_a_descriptor_is_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a notebook, or below pytest."""
    log, before = tmp_path / "log.txt", sys.stdout
    with Tee(log, echo=True):
        print("seen")
    assert sys.stdout is before
    with Tee(log, echo=False):
        print("not seen")
    assert log.read_text() == "seen\nnot seen\n"
    assert capsys.readouterr().out == "seen\n"


def test_without_the_tee_program_the_log_still_gets_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    log = tmp_path / "log.txt"
    with Tee(log, echo=True):
        os.write(1, b"raw\n")
    assert log.read_text() == "raw\n"


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ResultError, match=r"gone/log\.txt: can't be written: No such file"),
        Tee(tmp_path / "gone" / "log.txt", echo=False),
    ):
        pass


ODD = """
import contextlib, io, os, pathlib, signal, subprocess, sys
from heyhi.job.tee import Tee
class Odd: pass
with Tee(pathlib.Path(sys.argv[1]), echo=sys.argv[2] == "echo") as tee:
    print("begin", flush="dup2" in "DOES" or "closerange" in "DOES")
    DOES
    try:
        print("inside")
    except (ValueError, AttributeError):
        pass
    tee.regain()
    print("regained"); print("error regained", file=sys.stderr); os.system("echo a child")
print("after"); print("late", file=sys.stderr)
"""


@pytest.mark.parametrize("echo", ["echo", "no"])
@pytest.mark.parametrize(
    ("does", "inside"),
    [
        ("sys.stdout.close()", False),
        ("sys.stdout.close(); sys.stderr.close()", False),
        ("sys.stdout.detach(); sys.stderr.detach()", False),
        ("sys.stdout = sys.stderr = None", False),
        ("sys.stdout = sys.stderr = Odd()", False),
        ("contextlib.redirect_stdout(io.StringIO()).__enter__()", False),
        ("os.close(1)", True),
        ("os.close(2)", True),
        ("os.closerange(0, 256)", True),
        ("os.closerange(3, 256)", True),
        ("null = os.open(os.devnull, os.O_WRONLY); os.dup2(null, 1); os.dup2(null, 2)", False),
        ("os.closerange(0, 3); open(sys.argv[1] + '.mine', 'w').close()", True),
    ],
)
def test_whatever_a_task_does_to_its_streams_is_over_when_it_is(
    tmp_path: Path, does: str, inside: bool, echo: str
) -> None:
    log = tmp_path / "log.txt"
    done = run(ODD.replace("DOES", does), log, echo, capture_output=True)
    shown = {"regained", "a child", "begin"} | ({"inside"} if inside else set())
    assert set(log.read_text().splitlines()) == shown | {"error regained"}
    assert set(done.stdout.splitlines()) == (shown if echo == "echo" else set()) | {"after"}
    assert done.stderr.splitlines() == ["error regained"] * (echo == "echo") + ["late"]


def test_a_task_that_closes_all_descriptors_that_it_may_have_is_run_to_its_end(tmp_path: Path) -> None:
    does = "import resource; os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    for echo in ("echo", "no"):
        run(ODD.replace("DOES", does), tmp_path / "log.txt", echo, capture_output=True)
    assert "begin\n" in (tmp_path / "log.txt").read_text()


def test_a_tee_program_that_is_killed_takes_nothing_with_it_but_what_it_was_about_to_write(tmp_path: Path) -> None:
    code = """
import contextlib, os, pathlib, signal, subprocess, sys, time
from heyhi.job.tee import Tee
log = pathlib.Path(sys.argv[1])
with Tee(log, echo=True):
    for i in range(20_000):
        print(i)
        if i % 5000 == 100:
            sys.stdout.flush()
            while not log.read_text().endswith(f"{i}\\n"):
                time.sleep(0.001)
            tees = []
            while not tees:  # one that has just been started may not be that program yet
                found = subprocess.run(["pgrep", "-P", str(os.getpid()), "-x", "tee"], capture_output=True)
                tees = found.stdout.split()
            for one in tees:
                os.kill(int(one), signal.SIGKILL)
                end = pathlib.Path(f"/proc/{int(one)}/stat")
                with contextlib.suppress(OSError):  # it is gone
                    while ") Z" not in end.read_text():
                        time.sleep(0.001)
            subprocess.run(["echo", "child"], check=True)
"""
    log = tmp_path / "log.txt"
    done = run(code, log, "echo", capture_output=True)
    lines = log.read_text().splitlines()
    assert lines.count("child") == 4
    assert [line for line in lines if line != "child"] == [str(i) for i in range(20_000)]
    assert done.stderr == "" and done.stdout.endswith("19999\n")


def test_a_full_disk_ends_no_task_by_what_it_prints(tmp_path: Path) -> None:
    code = """
import pathlib, resource, sys
from heyhi.job.tee import Tee
with Tee(pathlib.Path(sys.argv[1]), echo=sys.argv[2] == "echo"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
    for i in range(3):
        print("line", i, flush=True)
print("after")
"""
    log = tmp_path / "log.txt"
    done = run(code, log, "no", capture_output=True)
    assert done.stdout == "after\n" and log.read_text() == "line 0\nlin"
    assert done.stderr == f"{log}: some of what was printed is lost: File too large\n"
    assert run(code, log, "echo", capture_output=True).stdout.splitlines()[-2:] == ["line 2", "after"]


def test_a_disk_with_room_again_gets_what_is_printed_then(tmp_path: Path) -> None:
    code = """
import os, pathlib, resource, sys, time
from heyhi.job.tee import Tee
log = pathlib.Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (5, resource.RLIM_INFINITY))  # the tee program has it for good
with Tee(log, echo=True):
    print("filled", flush=True)
    while not log.read_text().startswith("fille"):
        time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while "found" not in log.read_text():
        print("found", flush=True)
        time.sleep(0.01)
"""
    log = tmp_path / "log.txt"
    done = run(code, log, "echo", capture_output=True)
    assert done.stdout.startswith("filled\nfound\n") and log.read_text().count("found\n") > 0
