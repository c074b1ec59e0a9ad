"""Text from elsewhere, wherever it stands, steers no terminal, by no command and no run; what a task prints does."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from heyhi.cli.main import main
from heyhi.experiment.folder import ExperimentDir
from heyhi.job.launch import maybe_launch
from heyhi.text import readable, width_of

PROTO = """
syntax = "proto3";
message MetaCfg {{ oneof task {{ Work work = 2; }} }}
message Work {{
  double lr = 1;  // {}
  int32 seed = 2;
  string name = 3;
}}
"""
SWEEP = """
def yield_sweep():
    for seed in range(2):
        yield "conf/work.prototxt", {"seed": seed}
"""
EVIL = "\x1b]0;EVIL\x07\r\x1b[2K DONE \x9b1m\u202e\x7f"
# What can stand on a command line, and what can stand in a record or be raised.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
TEXTS = st.text(st.characters(codec=None), max_size=20)
LOOKS = [
    ("status",),
    ("status", "--all", "--drift"),
    ("status", "conf/many.py"),
    ("status", "conf/many.py", "--watch", "0.01"),
    ("plan", "conf/many.py"),
    ("report", "conf/many.py"),
    ("report", "conf/many.py", "--where", "status=DONE"),
    ("note",),
    ("clean", "--dry-run"),
    ("retry", "--dead", "--dry-run"),
]
# `{}` stands for the word.
WITH_WORD = [
    *(f"{command} {{}}" for command in ("", "status", "plan", "expand", "logs", "diff", "describe", "cancel", "retry")),
    "print work {}=1",
    "print work name={}",
    "print work I={}",
    "print work I.{}=x",
    "print {} lr=1",
    "describe work {}",
    "expand --cfg work --sweep {}=1,2",
    "expand --cfg work --sweep lr={}",
    "report conf/many.py --columns {}",
    "report conf/many.py --where {}>1",
    "report conf/many.py --sort {}",
    "report conf/many.py --to x.{}",
    "note conf/many.py {} --dry-run",
    "status --job {}",
    "status --watch {}",
    "completion {}",
]
DATA = ("print", "expand", "completion")  # whose standard output is for programs


def called(*words: str) -> str:
    """Run a command, and return what people see of it."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2)]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        code = 0
        try:
            code = main(words)
        except SystemExit as stop:
            assert isinstance(stop.code, int)
            code = stop.code
        for stream in streams:
            stream.flush()
    out, err = (stream.buffer.getvalue().decode() for stream in streams)  # type: ignore[attr-defined]
    assert code in (0, 1, 2) and "Traceback" not in err, (words, err)
    return err if words[0] in DATA else out + err


def work(*, cfg: Any, **_: object) -> dict[object, object]:
    if cfg.seed == 1:
        raise ValueError(EVIL)
    return {EVIL: 0.5, "note": EVIL}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("steering")
    (root / "conf").mkdir()
    (root / "profiles/slurm").mkdir(parents=True)
    (root / "profiles/slurm/config.yaml").write_text("")
    (root / "conf/conf.proto").write_text(PROTO.format(EVIL.replace("\r", "")))
    (root / "conf/work.prototxt").write_text("work {}\n")
    (root / "conf/many.py").write_text(SWEEP)
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\n')
    with contextlib.chdir(root), contextlib.redirect_stderr(io.StringIO()):
        for seed in range(2):
            maybe_launch(work, cfg="conf/work.prototxt", overrides=[f"seed={seed}"])
        called("note", "conf/many.py", f"noted {EVIL}")
        yield root


def folder_of(root: Path, seed: int) -> ExperimentDir:
    (path,) = (root / "results/p/work").glob(f"seed={seed}_*")
    return ExperimentDir(path)


def test_no_command_lets_what_it_shows_steer_a_terminal(root: Path) -> None:
    for words in (*LOOKS, ("describe", "work"), ("describe", "work", "lr"), ("describe", "--settings")):
        shown = called(*words)
        assert shown == readable(shown), words
    assert readable(EVIL) in called("status") and readable(EVIL.replace("\r", "")) in called("describe", "work")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, TEXTS, st.sampled_from(LOOKS))
@example(EVIL, EVIL, EVIL, LOOKS[0])
def test_nothing_on_record_steers_a_terminal(
    root: Path, raised: str, key: str, value: str, words: tuple[str, ...]
) -> None:
    dead, done = folder_of(root, 1), folder_of(root, 0)
    lines = [json.loads(line) for line in dead.attempts_path.read_bytes().splitlines()]
    end = {**lines[-1], "exception": raised, "host": value, "job_state": key}
    before = {path: path.read_bytes() for path in (dead.attempts_path, done.result_path)}
    try:
        dead.attempts_path.write_text("".join(f"{json.dumps(line)}\n" for line in (*lines[:-1], end)))
        done.result_path.write_text(json.dumps({key: value, f"{key}2": 0.5}))
        shown = called(*words)
    finally:
        for path, data in before.items():
            path.write_bytes(data)
    assert shown == readable(shown)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WORDS, st.sampled_from(WITH_WORD))
@example(EVIL, WITH_WORD[0])
def test_no_word_of_a_command_line_steers_a_terminal(root: Path, word: str, command: str) -> None:
    shown = called(*(text.replace("{}", word) for text in command.split()))
    assert shown == readable(shown)


def test_what_a_sweep_file_raises_steers_no_terminal_and_what_it_prints_is_its_own(root: Path) -> None:
    (root / "conf/odd.py").write_text(
        f"import sys\nprint('\\x1b[1mhello\\x1b[0m', file=sys.stderr)\nraise ValueError({EVIL!a})\n"
    )
    for command in ("plan", "expand", "status"):
        first, *rest = called(command, "conf/odd.py").splitlines()
        assert first == "\x1b[1mhello\x1b[0m" and "\n".join(rest) == readable("\n".join(rest)) != ""


def test_columns_stand_below_each_other_whatever_is_in_them(root: Path) -> None:
    done = folder_of(root, 0)
    before = done.result_path.read_bytes()
    try:
        done.result_path.write_text(json.dumps({"name": "e\u0301学習率", "z": "last"}))
        lines = called("report", "conf/many.py", "--columns", "status,name,z").splitlines()[:2]
    finally:
        done.result_path.write_bytes(before)
    head, row = (line[: line.index(word)] for line, word in zip(lines, ("z", "last"), strict=True))
    assert width_of(head) == width_of(row)


RUN = f"""
import sys
from heyhi import parse_args_and_maybe_launch


def main(task, cfg, log_level):
    print("\\x1b[1mown\\x1b[0m")
    print("\\r50%\\r100%", file=sys.stderr)
    if cfg.seed == 7:
        sys.exit({EVIL!a} + "x" * 100_000)
    raise ValueError({EVIL!a})


parse_args_and_maybe_launch(main)
"""


@pytest.mark.parametrize("seed", [7, 8])
def test_a_task_has_the_terminal_to_itself_and_what_ends_it_steers_nothing(root: Path, seed: int) -> None:
    (root / "run.py").write_text(RUN)
    words = [sys.executable, "run.py", "--cfg", "work", f"seed={seed}", "--mode", "restart", "--force"]
    done = subprocess.run(words, capture_output=True, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 1 and out.startswith("\x1b[1mown\x1b[0m\n") and "\r50%\r100%\n" in err
    for text in (out.removeprefix("\x1b[1mown\x1b[0m\n"), err.replace("\r50%\r100%\n", "")):
        assert text == readable(text) and r"\x1b]0;EVIL\x07" in text
        assert seed == 8 or max(map(len, text.splitlines())) < 800


@pytest.mark.parametrize("words", [("status", "--watch", "0.01"), ("report",), ("status",), ("plan", "conf/many.py")])
def test_on_a_terminal_only_colours_and_the_cursor_are_steered(root: Path, words: tuple[str, ...]) -> None:
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "heyhi.cli", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    read = b""
    with contextlib.suppress(OSError):  # it has ended
        while chunk := os.read(ours, 4096):
            read += chunk
    os.close(ours)
    assert process.wait() in (0, 1)
    text = read.decode()
    assert "DEAD" in text and "]0;EVIL" in text
    assert [part for part in ("\x1b]", "\x07", "\r\x1b[2K DONE", "\x9b", "\u202e", "\x7f") if part in text] == []
