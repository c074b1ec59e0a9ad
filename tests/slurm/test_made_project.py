"""A project that `heyhi init .` has made of a repository runs on a cluster, by its own profile or the package's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.made_repo import Repo, make_repo

Until = Callable[[Callable[[], object]], None]
FREE = ("run.py", "Snakefile", "profiles/theirs.yaml", "results/theirs.csv")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path, without=FREE)


def test_its_profile_and_the_packages_run_jobs_that_import_a_package_below_src(repo: Repo, until: Until) -> None:
    chosen = ("--cfg", "fit/line", "I.launcher=slurm", "launcher.slurm.hours=0.1")
    targets = repo.heyhi("expand", *chosen, "--sweep", "epochs=1,2").splitlines()[:2]
    ran = repo.call("python", "-m", "snakemake", "--profile", "profiles/slurm", *targets)
    assert "2 done" in ran, ran
    assert sorted(result["baked"] for result in repo.results()) == [200, 400]

    shutil.rmtree(repo.root / "profiles")
    (repo.root / "Snakefile").unlink()
    held = ("launcher.slurm.extra=--hold", "epochs=3")
    launched = repo.heyhi("launch", *chosen, *held, "--profile", "slurm", "--force")
    assert "1 to start by slurm (HeyHi's own profile)" in launched
    until(lambda: list(repo.root.glob("results/p/fit/line/*epochs=3*/job.json")))
    (repo.root / "src/bakery/oven.py").write_text("HEAT = None\n")
    (repo.root / "run.py").write_text("raise SystemExit('edited')\n")
    jobs = subprocess.run(["squeue", "-h", "-o", "%A"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["scontrol", "release", *jobs], check=True)
    until(lambda: len(repo.results()) == 3)
    last = next(result for result in repo.results() if result["baked"] == 600)
    assert "/.heyhi/code/" in str(last["file"]) and str(last["file"]).endswith("/src/bakery/oven.py")
