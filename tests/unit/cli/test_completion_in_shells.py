"""Tab in real shells: bash and zsh on a terminal, fish by its own question for completions."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.cli.test_completion import FILES

BIN = Path(sys.executable).parent
PATIENCE = 60
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07|[\r\x07]|\x1b\(B|.\x08")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "proj"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    other = root / "other.py"
    other.write_text("# PYTHON_ARGCOMPLETE_OK\nopen('was run', 'w')\n")
    for file in (root / "run.py", other):
        file.write_text(f"#!{sys.executable}\n{file.read_text()}")
        file.chmod(0o755)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PATH", str(BIN), prepend=":")
    monkeypatch.setenv("HOME", str(tmp_path))
    return root


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        assert not os.environ.get("CI"), f"{shell} is missing"
        pytest.skip(f"{shell} is missing")


class Terminal:
    """A shell on a terminal of its own."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.seen = b""

    def type(self, text: str) -> None:
        self.seen = b""
        os.write(self.fd, text.encode())

    def shows(self, *texts: str) -> bool:
        """Wait until all of these are on the screen."""
        until = time.monotonic() + PATIENCE
        while not all(text in self.screen for text in texts):
            if not select.select([self.fd], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError(f"not all of {texts} in:\n{self.screen}")
            self.seen += os.read(self.fd, 65536)
        return True

    @property
    def screen(self) -> str:
        return _ESCAPES.sub(b"", self.seen).decode(errors="replace")


@contextmanager
def terminal(*shell: str) -> Iterator[Terminal]:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 180, 0, 0))
    env = {**os.environ, "TERM": "xterm", "PS1": "", "INPUTRC": "/dev/null", "ZDOTDIR": os.environ["HOME"]}
    run = subprocess.Popen(["setsid", "--ctty", *shell], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    try:
        one = Terminal(ours)
        # The words of the question aren't those of the answer.
        one.type(f'PS1="> "; eval "$(heyhi completion {shell[0]})"; echo REA""DY\n')
        one.shows("READY\n")
        yield one
    finally:
        run.kill()
        run.wait()
        os.close(ours)


SHELLS = {"bash": ("bash", "--norc", "--noprofile", "-i"), "zsh": ("zsh", "-f", "-i")}
# What is typed, and the line as it is then.
LINES = [
    ("heyhi desc", "heyhi describe "),
    ("heyhi print a/o", "heyhi print a/one "),
    ("heyhi expand --cfg a/one act=T", "heyhi expand --cfg a/one act=TANH "),
    ("heyhi expand --cfg a/one I=fa", "heyhi expand --cfg a/one I=fast/quick "),
    ("heyhi expand --cfg a/one I.launcher=f", "heyhi expand --cfg a/one I.launcher=far "),
    ("heyhi expand --cfg a/one I.l", "heyhi expand --cfg a/one I.launcher="),
    ("heyhi launch --profile s", "heyhi launch --profile slurm "),
    ("cd . && heyhi print a/o", "cd . && heyhi print a/one "),
    ("HH_X=1 heyhi print a/o", "HH_X=1 heyhi print a/one "),
    ("python run.py --cfg a/one launcher.far.r", "python run.py --cfg a/one launcher.far.requeue="),
    ("python -u run.py --cfg a/one --mode d", "python -u run.py --cfg a/one --mode dryrun "),
    ("./run.py --cfg a/one act=T", "./run.py --cfg a/one act=TANH "),
]


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_the_line_in(shell: str, root: Path) -> None:
    needs(shell)
    with terminal(*SHELLS[shell]) as screen:
        for typed, line in LINES:
            screen.type(f"{typed}\t")
            assert screen.shows(line), line
            screen.type("\x15")  # Ctrl-U: another line


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_lists_what_there_is_to_choose_from_in(shell: str, root: Path) -> None:
    needs(shell)
    with terminal(*SHELLS[shell]) as screen:
        screen.type("heyhi print a/one I=\t\t")
        assert screen.shows("base", "fast/quick")
        screen.type("\x15heyhi print a/one act=\t\t")
        assert screen.shows("RELU", "TANH")
        if shell == "zsh":
            assert screen.shows("Cuts off."), "it shows what values mean"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_that_is_not_heyhis_is_never_run_by_a_tab_in(shell: str, root: Path) -> None:
    needs(shell)
    with terminal(*SHELLS[shell]) as screen:
        screen.type("python other.py conf/a/o\t")
        # Files, as without HeyHi; a shell may put them in quotes of its own.
        assert screen.shows("python other.py conf/a/o")
        screen.type("\x15python run.py --cfg a/o\t")
        assert screen.shows("python run.py --cfg a/one "), "the Tab before is answered"
    assert not (root / "was run").exists()


def test_bash_completes_what_is_no_task_file_as_it_did_before(root: Path) -> None:
    with terminal(*SHELLS["bash"]) as screen:
        screen.type('_py() { COMPREPLY=("--of-python "); }; _comp_load() { complete -F _py "$1"; }; echo SE""T\n')
        screen.shows("SET\n")
        for typed, line in (
            ("python --of", "python --of-python "),
            ("python other.py --", "python other.py --of-python "),
            ("python run.py --cfg a/o", "python run.py --cfg a/one "),
        ):
            screen.type(f"{typed}\t")
            assert screen.shows(line), line
            screen.type("\x15")


def test_bash_offers_no_files_for_a_value_but_where_a_path_begins(root: Path) -> None:
    (root / "a-file").touch()
    with terminal(*SHELLS["bash"]) as screen:
        for typed in ("heyhi launch --cfg a/one --sweep lr=", "heyhi print a/two I=", "heyhi print a/one lr=a-f"):
            screen.type(f"{typed}\t\t\x15echo SE''EN\n")
            screen.shows("SEEN\n")
            assert "a-file" not in screen.screen
        screen.type("heyhi print a/two model=./a-f\t")
        assert screen.shows("model=./a-file")


@pytest.mark.parametrize(("typed", "line"), LINES)
def test_fish_offers(typed: str, line: str, root: Path) -> None:
    needs("fish")
    assert line.split()[-1] in [one.partition("\t")[0] for one in ask_fish(typed)]


def ask_fish(typed: str) -> list[str]:
    code = "heyhi completion fish | source; complete -C $argv[1]"
    done = subprocess.run(["fish", "--no-config", "-c", code, typed], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_fish_shows_what_values_mean_and_runs_no_script_that_is_not_heyhis(root: Path) -> None:
    needs("fish")
    assert "act=RELU\tCuts off." in ask_fish("heyhi print a/one act=")
    assert "lr=\tHow fast." in ask_fish("python run.py --cfg a/one l")
    assert not any("heyhi" in one for one in ask_fish("python other.py --c"))
    assert not (root / "was run").exists()
