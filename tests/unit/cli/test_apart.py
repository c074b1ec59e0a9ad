"""Commands whose output another one takes: all of it, or what tells of a failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from heyhi import maybe_launch
from tests.unit.cli.works import PROTO

FAILED = "heyhi-expand-failed\n"
POINTS = "def yield_sweep():\n    yield 'work', {'seed': 1}\n"


@pytest.fixture(autouse=True)
def project(make_project: Callable[..., Path]) -> Path:
    return make_project(PROTO)


def heyhi(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heyhi.cli", *words]
    return subprocess.run(command, **{"capture_output": True, "text": True, **more})  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("import os; os._exit(0)", 2, "ended this before it was through"),
        ("import os; os._exit(5)", 5, ""),
        ("import os; os.kill(os.getpid(), 9)", 137, "SIGKILL; was memory short?"),
        ("import os; os.abort()", 134, "SIGABRT"),
        ("raise KeyboardInterrupt", 130, ""),
        ("import sys; sys.exit()", 2, "SystemExit"),
        ("raise MemoryError", 2, "MemoryError"),
        ("class Odd(BaseException): pass\nraise Odd", 2, "Odd"),
        ("def yield_sweep():\n    yield from ()", 2, "no experiments"),
        ("def yield_sweep():\n    while True: yield 'work', {}", 2, "yields more than 1,000,000 points"),
        ("import heyhi\ndef yield_sweep():\n    yield heyhi.grid(seed=range(10**20))", 2, "has 100,000,000,"),
    ],
)  # fmt: skip
def test_whatever_ends_an_expansion_a_target_is_printed_that_nothing_makes(
    project: Path, text: str, code: int, said: str
) -> None:
    (project / "conf/bad.py").write_text(text)
    found = heyhi("expand", "conf/bad.py")
    assert (found.stdout, found.returncode) == (FAILED, code), found.stderr
    assert said in found.stderr
    found = heyhi("expand", "conf/bad.py", "--json")
    assert found.returncode == code and said in found.stderr
    assert set(json.loads(found.stdout)) == {"heyhi", "error"}


@pytest.mark.parametrize(
    "words",
    [
        "expand --nope",
        "expand --json --manifest x",
        "--nope expand",
        "expnd",
        "expand --cfg work --sweep seed=range(0)",
    ],
)
def test_a_wrong_expansion_prints_such_a_target(words: str) -> None:
    found = heyhi(*words.split())
    assert found.returncode == 2
    assert json.loads(found.stdout)["error"]["code"] == "usage" if "--json" in words else found.stdout == FAILED


def test_an_import_that_fails_in_heyhi_itself_prints_such_a_target(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/google.py").write_text("raise ImportError('broken')")
    found = heyhi("expand", env={**os.environ, "PYTHONPATH": str(tmp_path / "broken")})
    assert (found.stdout, found.returncode) == (FAILED, 1)


def test_help_is_help() -> None:
    found = heyhi("expand", "--help")
    assert (found.stdout[:12], found.returncode) == ("usage: heyhi", 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_prints_such_a_target(project: Path, number: int) -> None:
    (project / "conf/slow.py").write_text(
        "import signal, sys\nprint('here', file=sys.stderr, flush=True)\nsignal.pause()\n"
    )
    command = [sys.executable, "-m", "heyhi.cli", "expand", "conf/slow.py"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None and process.stderr.readline() == "here\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=300)
    assert out == FAILED and process.returncode == 128 + number


def test_ctrl_c_in_a_terminal_which_both_processes_get_ends_it_quietly(project: Path) -> None:
    (project / "conf/slow.py").write_text(
        "import signal, sys\nprint('here', file=sys.stderr, flush=True)\nsignal.pause()\n"
    )
    command = [sys.executable, "-m", "heyhi.cli", "expand", "conf/slow.py"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None and process.stderr.readline() == "here\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert (out, process.returncode) == (FAILED, 130) and "Traceback" not in err


def test_what_is_printed_past_python_is_no_target(project: Path) -> None:
    (project / "conf/loud.py").write_text(
        "import atexit, ctypes, os, subprocess\n"
        "ctypes.CDLL(None).printf(b'from C\\n')\n"
        "subprocess.run(['echo', 'a child'])\n"
        "atexit.register(print, 'at exit')\n"
        "def yield_sweep():\n    os.system('echo another')\n    yield 'work', {'seed': 1}\n"
    )
    found = heyhi("expand", "conf/loud.py")
    assert len(found.stdout.splitlines()) == 1 and found.stdout.startswith("results/p/work/seed=1_"), found.stdout
    for said in ("from C", "a child", "at exit", "another"):
        assert said in found.stderr
    for command in ("plan", "expand"):
        assert json.loads(heyhi(command, "--json", "conf/loud.py").stdout)["command"] == command


def test_a_process_that_a_sweep_file_leaves_behind_holds_nothing_up(project: Path) -> None:
    (project / "conf/left.py").write_text(
        "import os, signal\nif os.fork() == 0:\n    os.dup2(0, 2)\n    signal.pause()\n    os._exit(0)\n"
        "CHILD = 1\nos._exit(7)\n"
    )
    # What is left of it ends with the group that it was started in.
    command = [sys.executable, "-m", "heyhi.cli", "expand", "conf/left.py"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert process.wait(timeout=300) == 7
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_standard_output_may_be_closed_or_full(project: Path) -> None:
    script = f"{sys.executable} -m heyhi.cli expand"
    for redirection, code in ((">&-", 2), ("> /dev/full", 2), ("| true; exit ${PIPESTATUS[0]}", 141)):
        found = subprocess.run(["bash", "-c", f"{script} {redirection}"], capture_output=True, text=True)
        assert found.returncode == code and "Traceback" not in found.stderr, found.stderr


def test_what_a_sweep_file_prints_as_it_reads_results_is_no_part_of_the_table(project: Path) -> None:
    (project / "conf/loud.py").write_text(
        "import os\n" + POINTS + "def get_logs_data(handle):\n    print('loud')\n    os.system('echo a child')\n"
        "    return {'a': 1}\n"
    )
    maybe_launch(lambda **_: 1, cfg="work", overrides=["seed=1"])
    found = heyhi("report", "conf/loud.py", "--to", "-")
    assert "loud" in found.stderr and "a child" in found.stderr
    assert found.stdout.startswith("status") and "loud" not in found.stdout.replace("conf/loud", "")
    assert "a child" not in found.stdout
