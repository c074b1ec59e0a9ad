"""A project that `heyhi init` makes, from this tree and from the wheel: its sweep, its task and its table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from heyhi.cli.init import init


def call(folder: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in run.stdout + run.stderr
    return run


def files_in(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def check_that_it_runs(root: Path, **env: str) -> None:
    """Run the new project's sweep, then one experiment twice."""
    swept = call(root, "-m", "snakemake", "--profile", "profiles/local", **env)
    assert swept.returncode == 0, swept.stderr
    assert "4 experiments: 4 DONE" in swept.stdout + swept.stderr
    results = sorted((root / "results/p/fit/line").glob("*/result.json"))
    assert len(results) == 4
    assert all(abs(json.loads(path.read_text())["slope"] - 2) < 0.2 for path in results)
    assert len((results[0].parent / "metrics.jsonl").read_text().splitlines()) == 20

    again = call(root, "-m", "snakemake", "--profile", "profiles/local", **env)
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr

    one = ("run.py", "--cfg", "conf/fit/line.prototxt", "lr=0.3")
    first, second = (call(root, *one, **env) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr
    assert "running" in first.stderr
    assert "nothing started" in second.stdout


@pytest.mark.slow
def test_a_new_project_runs_at_once(tmp_path: Path) -> None:
    init(tmp_path / "new")

    check_that_it_runs(tmp_path / "new")


@pytest.mark.slow
def test_a_project_made_by_the_installed_wheel_runs_at_once(repository: Path, tmp_path: Path) -> None:
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=repository, capture_output=True, text=True, check=True
    )
    installed = tmp_path / "installed"
    with zipfile.ZipFile(tmp_path / made.stdout.split()[-1]) as wheel:
        wheel.extractall(installed)
    env = {"PYTHONPATH": str(installed)}
    where = call(tmp_path, "-c", "import heyhi; print(heyhi.__file__)", **env).stdout.strip()
    assert where == str(installed / "heyhi/__init__.py"), "the wheel is what runs, not this tree"

    asked = call(tmp_path, "-m", "heyhi.cli", "init", "new", **env)
    assert asked.returncode == 0, asked.stderr
    init(tmp_path / "by this tree/new")
    assert files_in(tmp_path / "new") == files_in(tmp_path / "by this tree/new")
    check_that_it_runs(tmp_path / "new", **env)


@pytest.mark.slow
def test_snakemakes_own_options_work_with_the_rules_of_the_package(tmp_path: Path) -> None:
    init(tmp_path / "new")
    root = tmp_path / "new"
    for profile in ("local", "slurm"):
        planned = call(root, "-m", "snakemake", "--profile", f"profiles/{profile}", "-n")
        assert planned.returncode == 0 and "4 experiments" in planned.stderr, planned.stderr
    # A profile of the project's goes on from the package's, and a key below it goes before that.
    with (root / "profiles/local/config.yaml").open("a") as file:
        file.write("cores: 1\n")
    ran = call(root, "-m", "snakemake", "--profile", "profiles/local")
    assert ran.returncode == 0 and "on 1 core of this machine" in ran.stdout + ran.stderr
    assert "4 done" in ran.stdout + ran.stderr, "HeyHi's logger speaks"
    listed = call(root, "-m", "snakemake", "--profile", "profiles/local", "--summary").stdout
    assert "fit-sweep" in listed and "aggregate" in listed
    reported = call(root, "-m", "snakemake", "--profile", "profiles/local", "--report", "report.zip")
    assert reported.returncode == 0 and (root / "report.zip").exists(), reported.stderr
    linted = call(root, "-m", "snakemake", "--lint", "json")
    assert str(root) not in linted.stdout, "what there is to say is not of the project's own file"
    assert (
        call(root, "-m", "heyhi.cli", "plan", "--cfg", "fit/line", "lr=0.2")
        .stdout.splitlines()[-1]
        .startswith("launch: snakemake --profile profiles/local $(")
    )


@pytest.mark.slow
def test_rules_of_a_projects_own_stand_beside_those_of_the_package(tmp_path: Path) -> None:
    root = tmp_path / "new"
    init(root)
    (root / "workflows").mkdir()
    rule = "rule mine:\n    input: flow.report\n    output: '{}'\n    shell: 'cp {{input}} {{output}}'\n"
    (root / "workflows/own.smk").write_text(rule.format("a.csv"))
    with (root / "Snakefile").open("a") as file:
        file.write(rule.replace("mine", "below").format("b.csv"))
    made = call(root, "-m", "snakemake", "--profile", "profiles/local", "a.csv", "b.csv")
    assert made.returncode == 0, made.stderr
    assert (root / "a.csv").read_text() == (root / "b.csv").read_text() != ""
    # Without any Snakefile, HeyHi's own commands have Snakemake take the package's.
    (root / "Snakefile").unlink()
    ran = call(root, "-m", "heyhi.cli", "launch", "--profile", "local", "--foreground", "--cfg", "fit/line", "lr=0.2")
    assert "1 experiment: 1 DONE" in ran.stdout, ran.stderr


def test_an_interrupted_run_of_the_new_task_ends_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    code = """
import json, os, sys
from pathlib import Path
import heyhi, run
from heyhi.experiment.metrics_file import counting_lines
from heyhi.experiment.records import Start
whole, resumed = Path("whole"), Path("resumed")
cfg = heyhi.load_config("fit/line", ["epochs=5"]).fit
def train(folder, cfg):
    here = os.getcwd()
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    try:
        return run.fit(cfg)
    finally:
        os.chdir(here)
def lines(folder, *starts):
    counting = counting_lines(folder / "metrics.jsonl", starts)
    return [{name: line[name] for name in ("epoch", "loss")} for line in counting]
expected = train(whole, cfg)
train(resumed, heyhi.conf_set(cfg, "epochs", 3))
killed = resumed / "metrics.jsonl"
with killed.open("a") as file:
    file.write(json.dumps(lines(whole)[3]) + "\\nhalf")  # killed before the checkpoint of the fourth epoch
size = killed.stat().st_size
assert train(resumed, cfg) == expected
assert len(killed.read_text().splitlines()) == 7
assert lines(resumed, Start(1), Start(2, metrics_size=size)) == lines(whole)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
