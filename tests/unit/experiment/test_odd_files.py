"""Whatever lies where a file of an experiment should be: that experiment says so, and all others are served.

Each experiment has one odd thing in the place of one of its files; all commands look at all of them, with little
memory, and in a time in which nothing that waits for a FIFO would end.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import heyhi

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; } }
message Work { optional double lr = 1; int32 seed = 2; }
"""
SWEEP = """
def yield_sweep():
    for seed in range({}):
        yield "conf/work.prototxt", {{"seed": seed}}
"""
RUN = """
import heyhi
def main(task, cfg, log_level):
    with open("metrics.jsonl", "w") as file:
        file.write('{"loss": 1}\\n')
    if cfg.seed in DEAD:
        raise ValueError("boom")
    return {"score": cfg.seed}
"""
# Lines of records, and a claim and more by other keys, in which nothing has the type that it should have.
WRONG = [
    {
        "event": "start",
        "attempt": 10**30,
        "time": [],
        "host": {},
        "pid": 2**70,
        "needs": {"a": 3},
        "asked": {"x": [[1]]},
    },
    {"event": "start", "attempt": 1, "config": "../\0", "metrics_size": -(10**40), "changed": 3, "entry": "\ud800"},
    {
        "event": "end",
        "attempt": 1,
        "seconds": 10**400,
        "exception": "\x1b[31m\ud800",
        "used": {"gpus": 10**300},
        "cfg": 1,
    },
    {
        "event": "end",
        "attempt": 1,
        "reason": ["x"],
        "exit_code": 1e400,
        "dropped": {},
        "job_id": "--all",
        "overrides": 1,
    },
]
DEEP = b'{"a": ' * 90_000 + b"1" + b"}" * 90_000


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


KINDS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: (path / "in").mkdir(parents=True),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a terabyte": _sparse,
    "deep JSON": lambda path: path.write_bytes(DEEP + b"\n"),
    "wrong types": lambda path: path.write_text("".join(f"{json.dumps(line)}\n" for line in WRONG)),
    "no text": lambda path: path.write_bytes(b"\xff\0\xfe\n" * 1000),
}
# What has to be read to know how an experiment is; one of the others is only a problem of its own.
OF_STATUS = ("claim.json", "attempts.jsonl", "job.json", "identity.json")
OTHERS = ("metrics.jsonl", "config.prototxt", "config_flat.json", "launch.log", ".used.json", "code.json", "configs")
OF_RESULT = ("result.json", "metrics.jsonl", "config.prototxt", "config_flat.json", "attempts.jsonl", "identity.json")


class Case(NamedTuple):
    name: str
    kind: str
    is_dead: bool


CASES = [
    *(Case(name, kind, True) for name in OF_STATUS for kind in KINDS),
    *(Case(name, kind, True) for name in OTHERS for kind in ("a FIFO", "an endless device", "wrong types")),
    *(Case(name, kind, False) for name in OF_RESULT for kind in ("a FIFO", "a terabyte", "wrong types")),
    *(Case("result.json", kind, False) for kind in ("a folder", "a link to itself", "a link to nothing", "deep JSON")),
    Case("nothing", "", True),
    Case("nothing", "", False),
]


class Place(NamedTuple):
    root: Path
    folders: list[Path]

    def python(self, code: str, *args: str) -> str:
        """Run Python with little memory, and not for ever; return what it prints."""
        limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n{code}"
        env = {**os.environ, "PYTHONPATH": str(Path(heyhi.__file__).parents[1])}
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, '.')\n{limited}", *args]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=self.root, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("odd") / "project"
    (root / "conf").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/work.prototxt").write_text("work { lr: 0.1 }\n")
    (root / "conf/sweep.py").write_text(SWEEP.format(len(CASES)))
    (root / "pyproject.toml").write_text('[tool.heyhi]\nname = "it"\nsweep = "conf/sweep.py"\n')
    (root / "run.py").write_text(RUN.replace("DEAD", str([n for n, case in enumerate(CASES) if case.is_dead])))
    (root / "profiles/local").mkdir(parents=True)
    (root / "profiles/local/config.yaml").write_text("cores: all\n")
    made = Place(root, []).python(
        "import contextlib, io, json, heyhi, run\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "    found = [str(heyhi.maybe_launch(run.main, cfg='conf/work', overrides=[f'seed={seed}']).exp_path)"
        f" for seed in range({len(CASES)})]\n"
        "json.dump(found, sys.stdout)"
    )
    found = Place(root, [Path(text) for text in json.loads(made)])
    for case, folder in zip(CASES, found.folders, strict=True):
        if case.kind:
            (folder / case.name).unlink(missing_ok=True)
            KINDS[case.kind](folder / case.name)
    return found


COMMANDS = (
    "status conf/sweep.py --json",
    "status --all --drift",
    "plan --mode start_continue",
    "plan --mode restart",
    "expand",
    "report --drift --to table.csv --to page.html",
    "report --at-best loss",
    "launch conf/sweep.py --dry-run --profile profiles/local",
    "retry --dead --dry-run --profile profiles/local",
    "cancel --all --dry-run",
    "clean --dry-run",
    "note conf/sweep.py looked-at",
)


@pytest.fixture(scope="module")
def said(place: Place) -> dict[str, tuple[int, str, str]]:
    """What all commands say, and `diff` of the last experiment and each of the others."""
    code = (
        "import contextlib, io, json\nfrom heyhi.cli.main import main\nsaid = {}\n"
        "for line in sys.argv[1:]:\n"
        "    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))\n"
        "    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):\n"
        "        try:\n            code = main(line.split())\n"
        "        except SystemExit as stop:\n            code = stop.code\n"
        "    said[line] = code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()\n"
        "json.dump(said, sys.stdout)\n"
    )
    diffs = [f"diff {place.folders[-1]} {folder}" for folder in place.folders[:-1:3]]
    return {line: tuple(found) for line, found in json.loads(place.python(code, *COMMANDS, *diffs)).items()}


def test_no_command_ends_in_a_traceback(said: dict[str, tuple[int, str, str]]) -> None:
    for line, (code, out, err) in said.items():
        assert code in (0, 1, 2), line
        assert "Traceback" not in err and "Errno" not in out + err and "\x1b" not in out + err, line
        assert (code == 2) == ("error: " in err) and (code != 2 or line.startswith(("diff", "note"))), (line, err)
    unread = sum(case.name == "attempts.jsonl" and case.kind != "wrong types" for case in CASES)
    assert f"noted 'looked-at': {len(CASES) - unread} experiments" in said["note conf/sweep.py looked-at"][1]


def test_each_says_how_it_is_and_names_what_is_odd(place: Place, said: dict[str, tuple[int, str, str]]) -> None:
    rows = {row["exp_path"]: row for row in json.loads(said["status conf/sweep.py --json"][1])["experiments"]}
    for case, folder in zip(CASES, place.folders, strict=True):
        row = rows[str(folder)]
        if not case.is_dead:
            is_loop = (case.name, case.kind) == ("result.json", "a link to itself")
            assert row["status"] == ("UNKNOWN" if is_loop else "DONE"), (case, row)
        elif case.name in OF_STATUS and (case.name, case.kind) != ("attempts.jsonl", "wrong types"):
            assert row["status"] == "UNKNOWN" and f"{folder}/{case.name}: " in row["reason"], (case, row)
        else:
            assert row["status"] == "DEAD" and (case.name == "attempts.jsonl" or "boom" in row["reason"]), (case, row)


def test_nothing_is_started_where_nobody_knows_how_it_is(said: dict[str, tuple[int, str, str]]) -> None:
    rows = json.loads(said["status conf/sweep.py --json"][1])["experiments"]
    unknown, dead = (sum(row["status"] == status for row in rows) for status in ("UNKNOWN", "DEAD"))
    assert f"mode restart: {len(CASES) - unknown} would start" in said["plan --mode restart"][1]
    assert f"{unknown} would be refused: nobody knows how they are" in said["plan --mode restart"][1]
    assert f"{dead} would start again" in said["retry --dead --dry-run --profile profiles/local"][1]


def test_a_table_has_all_rows_and_the_problems_of_these(place: Place, said: dict[str, tuple[int, str, str]]) -> None:
    _, out, _ = said["report --drift --to table.csv --to page.html"]
    assert f"{len(CASES)} experiments: " in out
    with (place.root / "table.csv").open(newline="") as file:
        rows = {row["exp_path"]: row for row in csv.DictReader(file)}
    for case, folder in zip(CASES, place.folders, strict=True):
        told = rows[str(folder)]["problem"] + rows[str(folder)]["reason"]
        if case.name in ("result.json", "metrics.jsonl", "attempts.jsonl") and case.kind != "wrong types":
            assert case.name in told, (case, told)


def test_python_is_served_as_well(place: Place) -> None:
    code = (
        "import heyhi\nfrom heyhi.errors import HeyhiError\nfrom heyhi.experiment.handle import Handle\n"
        "for path in sys.argv[1:]:\n"
        "    handle = Handle(path)\n"
        "    for ask in (handle.get_status, handle.result, handle.metrics, handle.maybe_get_job_id, handle.__repr__,"
        " lambda: handle.metrics(all=True), lambda: handle.overrides, lambda: handle.cfg_path):\n"
        "        try:\n            ask()\n"
        "        except HeyhiError as error:\n            assert path in str(error), error\n"
        "print(len(heyhi.table('conf/sweep.py', progress=False)))\n"
    )
    assert place.python(code, *map(str, place.folders)) == f"{len(CASES)}\n"


def test_no_result_was_lost(place: Place, said: dict[str, tuple[int, str, str]]) -> None:
    for case, folder in zip(CASES, place.folders, strict=True):
        assert os.path.lexists(folder / "result.json") is not case.is_dead
        assert len(list(folder.glob("log.txt"))) == 1
