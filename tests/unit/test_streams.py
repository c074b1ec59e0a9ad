"""Standard output and error that are closed, full, read by nobody or not to be waited for, seen from outside."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.redirections import REDIRECTIONS, UNREAD, redirected

SHOWS = "import sys; sys.argv[:] = ['heyhi', '--help']; from heyhi.cli import main; sys.exit(main())"
DOES = """
import sys
from heyhi.errors import reporting_errors
from heyhi.streams import guard_streams
guard_streams(goes_on=True)
with reporting_errors():
    for i in range(3):
        print("said", i, flush=True)
        print("told", i, file=sys.stderr)
    open(sys.argv[1], "w").close()
    sys.exit(3)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_who_shows_something_fails_where_that_is_lost(redirection: str, unbuffered: str) -> None:
    found = redirected([sys.executable, "-c", SHOWS], redirection, {"PYTHONUNBUFFERED": unbuffered})
    is_lost = ">&-" in redirection.replace("2>&-", "") or "> /dev/full" in redirection.replace("2> /dev/full", "")
    is_lost = is_lost or "1< " in redirection
    assert found.returncode == (141 if redirection == UNREAD else 2 if is_lost else 0), found.stderr
    assert "Traceback" not in found.stderr and "Exception ignored" not in found.stderr
    assert found.stderr.count("error: standard output can't be written: ") == (is_lost and "2>" not in redirection)


@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_who_does_something_goes_on_whatever_becomes_of_what_it_says(tmp_path: Path, redirection: str) -> None:
    found = redirected([sys.executable, "-c", DOES, str(tmp_path / "made")], redirection)
    assert found.returncode == 3 and (tmp_path / "made").exists(), found.stderr
    assert "Traceback" not in found.stderr and "Exception ignored" not in found.stderr
    warned = [line for line in found.stderr.splitlines() if line.startswith("warning: standard output can't be")]
    assert len(warned) <= 1


def test_nothing_waits_in_a_stream_that_is_to_be_unbuffered() -> None:
    code = "import os; from heyhi.streams import guard_streams; guard_streams(); print('said', end=''); os._exit(0)"
    found = subprocess.run([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert found.stdout == "said"


def test_an_output_that_is_not_to_be_waited_for_gets_all() -> None:
    code = "from heyhi.streams import guard_streams; guard_streams()\nfor i in range(100_000): print('line', i)"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        with os.fdopen(reader) as lines:
            assert len(lines.readlines()) == 100_000
        assert process.stderr is not None
        assert (process.wait(), process.stderr.read()) == (0, "")


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); sys.stdin.readline()\n"
        "from heyhi.streams import guard_streams; guard_streams(goes_on=True)\n"
        "print('out', flush=True); print('err', file=sys.stderr); sys.exit(5)"
    )
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=its, stderr=its, start_new_session=True
    ) as process:
        os.close(its)
        os.close(ours)
        process.communicate(b"go\n")
    assert process.returncode == 5


def test_a_file_that_is_opened_gets_no_standard_descriptor(tmp_path: Path) -> None:
    code = (
        "import os, sys; from heyhi.streams import guard_streams; guard_streams(goes_on=True)\n"
        "record = open(sys.argv[1], 'w'); print('to nobody', flush=True); os.system('echo a child')\n"
        "print('neither', file=sys.stderr); sys.stdin.read(); record.write(str(record.fileno() > 2))"
    )
    path = tmp_path / "record"
    assert redirected([sys.executable, "-c", code, str(path)], "<&- >&- 2>&-").returncode == 0
    assert path.read_text() == "True"


@pytest.mark.parametrize(
    "does",
    [
        "os.closerange(0, 256)",
        "sys.stdout.close(); sys.stderr.close()",
        "sys.stdout = sys.stderr = None",
        "sys.stdout = sys.stderr = object()",
        "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
    ],
)
def test_what_keeps_its_standard_output_gets_it_back(does: str) -> None:
    code = f"""
import os, sys
from heyhi.streams import guard_streams, kept_descriptors
guard_streams(goes_on=True)
with kept_descriptors() as regain:
    {does}
    regain()
    print("out", flush=True); print("err", file=sys.stderr)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("out\n", "err\n")
