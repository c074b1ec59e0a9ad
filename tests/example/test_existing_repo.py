"""`heyhi init .` in a repository that has things already: what is theirs goes on, and ours runs beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from heyhi.code.snapshot import take_snapshot
from heyhi.project import find_project
from tests.made_repo import Repo, make_repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path)


@pytest.mark.slow
def test_what_was_there_is_untouched_and_ours_runs_beside_it(repo: Repo) -> None:
    changed = subprocess.run(
        ["git", "status", "--short", "-uall"], cwd=repo.root, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {line[3:] for line in changed if line.startswith(" M")} == {".gitignore", "pyproject.toml"}
    added = [line[3:] for line in changed if line.startswith("??")]
    assert len(added) == 10 and "heyhi.smk" in added
    assert repo.call("python", "run.py") == "theirs\n"
    repo.call("python", "-m", "snakemake", "--cores", "1", "--nolock", "theirs")
    assert (repo.root / "theirs.txt").exists()

    assert "DONE" in repo.call("python", "heyhi_task.py", "--cfg", "fit/line", "epochs=3")
    (result,) = repo.results()
    assert result == {"baked": 600, "file": str(repo.root / "src/bakery/oven.py")}
    swept = repo.call("python", "-m", "snakemake", "--profile", "heyhi_profiles/local")
    assert "4 experiments: 4 DONE" in swept
    # Every line that is printed to be typed works as it is printed, and so does a name of a profile.
    planned = repo.heyhi("plan", "--cfg", "fit/line", "epochs=4").splitlines()[-1]
    assert planned.startswith("launch: snakemake --snakefile heyhi.smk --profile heyhi_profiles/local $(heyhi expand ")
    line = planned.removeprefix("launch: ").replace("snakemake", "python -m snakemake", 1)
    ran = repo.call("bash", "-c", line.replace("heyhi expand", "python -P -m heyhi.cli expand"))
    assert "1 experiment: 1 DONE" in ran
    launched = repo.heyhi("launch", "--cfg", "fit/line", "epochs=5", "--profile", "local", "--foreground")
    assert "1 to start by heyhi_profiles/local" in launched and len(repo.results()) == 7
    assert "python: can't open" not in repo.heyhi("status")


@pytest.mark.slow
def test_a_queued_job_imports_the_package_as_it_was_at_its_launch(repo: Repo) -> None:
    target = repo.heyhi("expand", "--cfg", "fit/line", "epochs=2").splitlines()[0]
    manifest = next(repo.root.glob("heyhi_results/.heyhi/manifests/*.sqlite"))
    copy = take_snapshot(find_project(repo.root))
    (repo.root / "src/bakery/oven.py").write_text("HEAT = None\n")
    (repo.root / "heyhi_task.py").write_text("raise SystemExit('edited')\n")
    runner = ["python", "-P", "-m", "heyhi.runner", target, "--manifest", str(manifest)]
    repo.call(*runner, "--code-root", str(copy.root))
    (result,) = repo.results()
    assert result == {"baked": 400, "file": f"{copy.root}/src/bakery/oven.py"}


@pytest.mark.slow
def test_protoc_goes_on_working_beside_other_configs(repo: Repo) -> None:
    protoc = 'protoc() { python -P -m grpc_tools.protoc -I. "$@"; }'
    repo.call("bash", "-c", f"{protoc}; protoc conf/*.proto --python_out ./")
    code = "from conf import conf_pb2; print(conf_pb2.FitTask().launcher.slurm.max_requeues)"
    assert repo.call("python", "-c", code) == "3\n"
    ignored = subprocess.run(["git", "status", "--short", "-uall"], cwd=repo.root, capture_output=True, text=True)
    assert "_pb2" not in ignored.stdout
