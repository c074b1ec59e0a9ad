"""Text that no file or terminal can show, in one experiment: no command ends on it, in no encoding."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.records import End, Start, to_records
from heyhi.job.launch import maybe_launch

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; } }
message Work { double lr = 1; int32 seed = 2; string name = 3; }
"""
SWEEP = """
def yield_sweep():
    for seed in range(3):
        yield "conf/work.prototxt", {"seed": seed, "name": "é→"}
"""
ODD = "boom \ud800 caf\udce9 \x1b[31m é ±"
READABLE = "boom \\ud800 caf\\udce9 \\x1b[31m é ±"
COMMANDS = [
    ("status",),
    ("status", "conf/many.py", "--drift", "--all"),
    ("status", "conf/many.py", "--watch", "0.01"),
    ("status", "--sweeps"),
    ("plan", "conf/many.py"),
    ("report", "conf/many.py"),
    ("report", "conf/many.py", "--needs", "--drift"),
    ("print", "work", 'name="é→"'),
    ("describe", "work"),
    ("clean", "--dry-run"),
]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/work.prototxt").write_text("work {}\n")
    (tmp_path / "conf/many.py").write_text(SWEEP)
    (tmp_path / "pyproject.toml").write_text('[tool.heyhi]\nreports = ["csv", "html", "xlsx"]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def work(*, cfg: Any, **_: object) -> dict[object, object]:
    if cfg.seed == 1:
        raise ValueError(ODD)
    return {"note": ODD, ODD: object()} if cfg.seed == 0 else {"accuracy": 0.5}


@pytest.fixture
def folders() -> Iterator[list[ExperimentDir]]:
    # Pytest's processes can't tell one another such text.
    logging.disable(logging.CRITICAL)
    handles = [
        maybe_launch(work, cfg="conf/work.prototxt", overrides=[f"seed={seed}", 'name="é→"']) for seed in range(3)
    ]
    yield [ExperimentDir(handle.exp_path) for handle in handles]
    logging.disable(logging.NOTSET)


def as_of_earlier(folder: ExperimentDir) -> None:
    """Put the text on record as it was before it was made readable there."""
    text = folder.attempts_path.read_text()
    folder.attempts_path.write_text(text.replace(json.dumps(READABLE)[1:-1], json.dumps(ODD)[1:-1]))
    assert "\\ud800 caf" in folder.attempts_path.read_text()


def test_what_a_task_raised_and_what_was_dropped_are_readable_on_record(folders: list[ExperimentDir]) -> None:
    ends = [folder.history().ends[-1] for folder in folders]
    assert ends[1].exception == f"ValueError: {READABLE}" and ends[0].dropped == (READABLE,)
    for folder in folders:
        json.loads(folder.attempts_path.read_bytes().splitlines()[-1])
        assert b"\\ud800" not in folder.attempts_path.read_bytes().replace(b"\\\\", b"")


def test_what_was_written_down_otherwise_is_readable_when_it_is_read() -> None:
    start, end = to_records(
        [
            {"event": "start", "host": ODD, "changed": [ODD], "commit": ODD},
            {"event": "end", "exception": ODD, "reason": ODD, "dropped": [ODD]},
        ]
    )
    assert isinstance(start, Start) and start.host == READABLE == start.commit and start.changed == (READABLE,)
    assert isinstance(end, End) and end.exception == READABLE == end.reason and end.dropped == (READABLE,)


def test_no_command_ends_on_such_text_and_each_shows_the_others(run: Run, folders: list[ExperimentDir]) -> None:
    for folder in folders[:2]:
        as_of_earlier(folder)
    for words in COMMANDS:
        code, out, err = run(*words)
        assert code in (0, 1) and "Traceback" not in err, (words, err)
        out.encode()
    assert READABLE in run("status")[1]
    text = Path("results/reports/many.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["status"] for row in rows] == ["DONE", "DEAD", "DONE"]
    assert rows[1]["reason"] == f"exit code 1: ValueError: {READABLE}"
    assert f"dropped from its result: {READABLE}" in rows[0]["problem"]
    assert openpyxl.load_workbook("results/reports/many.xlsx").active.max_row == 4


ENCODINGS: list[dict[str, str]] = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("env", ENCODINGS, ids=str)
def test_no_encoding_of_the_output_is_a_traceback(env: dict[str, str], folders: list[ExperimentDir]) -> None:
    as_of_earlier(folders[1])
    script = f"from heyhi.cli.main import main\nfor words in {COMMANDS!a}:\n    main(words)\n"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **env},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert b"->" in done.stdout or b"\\u2192" in done.stdout


def test_a_run_and_its_log_take_any_text_in_any_encoding(root: Path) -> None:
    (root / "run.py").write_text(
        "import logging\n"
        "from heyhi import parse_args_and_maybe_launch\n\n\n"
        "def main(task, cfg, log_level):\n"
        f"    logging.warning({ODD!r})\n"
        f"    raise ValueError({ODD!r})\n\n\n"
        "parse_args_and_maybe_launch(main)\n"
    )
    for env in ENCODINGS:
        done = subprocess.run(
            [sys.executable, "run.py", "--cfg", "work", "seed=7", "--mode", "restart", "--force"],
            env={**os.environ, **env},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1 and b"Logging error" not in done.stderr, done.stderr
        assert b"UnicodeEncodeError" not in done.stderr
