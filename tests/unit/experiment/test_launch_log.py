"""What runners say of an experiment past its own log: earlier attempts stay, and are no reason of the last one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.experiment.launch_log import of_last_attempt

BEGIN = "import sys; from pathlib import Path; from heyhi.experiment.launch_log import begin_attempt\n"
SAY = "begin_attempt(Path({!r})); print({!r}, file=sys.stderr)"


def attempt(log: Path, text: str, *, to: Path | None = None) -> None:
    with (to or log).open("ab") as stderr:
        subprocess.run([sys.executable, "-c", BEGIN + SAY.format(str(log), text)], stderr=stderr, check=True)


def test_a_line_stands_between_attempts_and_none_before_the_first(tmp_path: Path) -> None:
    log = tmp_path / "launch.log"
    attempt(log, "boom")
    assert log.read_text() == "boom\n"
    attempt(log, "bang")
    first, mark, second = log.read_text().splitlines()
    assert (first, second) == ("boom", "bang") and mark.startswith("--- started again 20")
    assert of_last_attempt(log.read_text()) == "bang\n"


def test_a_long_one_keeps_its_end(tmp_path: Path) -> None:
    log = tmp_path / "launch.log"
    log.write_text("first\n" + "x" * 99 + "\n" + ("y" * 99 + "\n") * 20_000 + "last\n")
    attempt(log, "bang")
    assert log.stat().st_size < 70_000
    lines = log.read_text().splitlines()
    assert set(map(len, lines[:-3])) == {99} and lines[-3] == "last"


def test_another_standard_error_is_left_alone(tmp_path: Path) -> None:
    log, other = tmp_path / "launch.log", tmp_path / "terminal"
    log.write_text("boom\n")
    other.write_text("$ python -m heyhi.runner\n")
    attempt(log, "bang", to=other)
    assert (log.read_text(), other.read_text()) == ("boom\n", "$ python -m heyhi.runner\nbang\n")


def test_where_the_log_takes_nothing_it_is_said_to_who_has_started_it(tmp_path: Path) -> None:
    log = tmp_path / "launch.log"
    code = BEGIN + SAY.format(str(log), "claim.json: can't be written: No space left on device")
    with log.open("ab") as stderr:
        done = subprocess.run(
            ["sh", "-c", 'ulimit -f 0 && exec "$@"', "sh", sys.executable, "-c", code],
            stdout=subprocess.PIPE, stderr=stderr, check=True, text=True,
        )  # fmt: skip
    assert done.stdout == "claim.json: can't be written: No space left on device\n"
    assert log.stat().st_size == 0


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("", ""),
        ("boom\n", "boom\n"),
        ("--- started again x\n", ""),
        ("boom\n--- started again x\n", ""),
        ("a --- started again x\nb\n", "a --- started again x\nb\n"),
        ("--- started again x\na\n--- started again y\nb", "b"),
    ],
)
def test_of_an_attempt_that_has_said_nothing_nothing_is_told(text: str, last: str) -> None:
    assert of_last_attempt(text) == last
