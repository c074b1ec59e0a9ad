"""What lies in a project's root or in a task's errors, and what a terminal can show, ends no run of Snakemake."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from .conftest import SECONDS, Tiny

# Modules of a person's own, whose names are Python's or a library's. What Snakemake imports itself, as it reads a
# Snakefile, is its own matter.
LIBRARIES = ["pandas", "numpy", "rich", "orjson", "openpyxl", "pyarrow", "yaml", "grpc_tools", "pathspec", "plotly"]
OTHERS = (
    "import os\nwith open(os.environ['TAKEN'], 'a') as taken:\n    taken.write(__name__ + chr(10))\nraise ImportError\n"
)
SWEEP = """
from mine import XS


def yield_sweep():
    for x in XS:
        yield "conf/work.prototxt", {"x": x}


def get_logs_data(handle):
    import also_mine
    return {"mine": also_mine.VALUE}
"""
TASK = """
def main(task, cfg, log_level):
    import also_mine
    return {"y": also_mine.VALUE}
"""


def call(tiny: Tiny, *command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", *command],
        cwd=tiny.root, env=tiny.env, capture_output=True, check=False, timeout=SECONDS,
    )  # fmt: skip


def test_files_named_as_pythons_modules_are_none_of_ours_and_the_projects_own_are_found(
    tiny: Tiny, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    tiny.env["TAKEN"] = str(taken)
    for name in (*sys.stdlib_module_names, *LIBRARIES):
        if not name.startswith("_"):
            (tiny.root / f"{name}.py").write_text(OTHERS)
    (tiny.root / "mine.py").write_text("XS = (1, 2)\n")
    (tiny.root / "also_mine.py").write_text("VALUE = 7\n")
    (tiny.root / "conf/sweep.py").write_text(SWEEP)
    (tiny.root / "run.py").write_text(TASK)
    (tiny.root / "pyproject.toml").write_text(
        '[tool.heyhi]\nsweep = "conf/sweep.py"\nreports = ["csv", "html", "xlsx", "parquet"]\n'
    )
    for command in (
        "heyhi.cli expand conf/sweep.py",
        "snakemake --profile profiles/local --cores 2",
        "heyhi.cli report --needs --drift",
        "heyhi.cli status conf/sweep.py --drift",
        "heyhi.cli plan",
        "heyhi.cli protos --out made",
    ):
        done = call(tiny, *command.split())
        assert done.returncode == 0, done.stderr.decode()
    assert not taken.exists(), taken.read_text()
    with (tiny.root / "results/reports/sweep.csv").open(newline="") as file:
        assert [row["mine"] for row in csv.DictReader(file)] == ["7", "7"]


def test_an_odd_text_and_a_terminal_without_our_signs_cost_nobody_a_table(tiny: Tiny) -> None:
    tiny.env |= {"PYTHONIOENCODING": "ascii"}
    task = (tiny.root / "run.py").read_text()
    (tiny.root / "run.py").write_text(task.replace('f"boom {cfg.x}"', '"boom \\ud800 \\udce9 caf\\xe9 \\x1b[31m"'))
    tiny.make_fail(2)
    done = call(tiny, "snakemake", "--profile", "profiles/local", "--cores", "2")
    assert done.returncode == 1 and b"Traceback" not in done.stdout + done.stderr, done.stderr
    assert b"3 experiments: 1 DEAD, 2 DONE" in done.stdout
    assert rb"ValueError: boom \ud800 \udce9 caf\xe9 \x1b[31m" in done.stdout
    with (tiny.root / "results/reports/sweep.csv").open(newline="", encoding="utf-8") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert reasons == ["", "exit code 1: ValueError: boom \\ud800 \\udce9 café \\x1b[31m", ""]


def test_a_lock_of_an_editor_is_in_nobodys_way(tiny: Tiny) -> None:
    for name in ("conf/.#work.prototxt", "conf/.#sweep.py", ".#run.py"):
        (tiny.root / name).symlink_to("me@host.12:3")
    (tiny.root / "conf/here").symlink_to(".")
    done = call(tiny, "snakemake", "--profile", "profiles/local", "--cores", "2")
    assert done.returncode == 0 and b"3 experiments: 3 DONE" in done.stdout, done.stderr
    assert (tiny.root / "conf/.#sweep.py").is_symlink()
