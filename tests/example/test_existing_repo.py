"""`heyhi init .` in repositories that have things already: what is theirs goes on, and ours runs beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import heyhi
from heyhi.code.snapshot import take_snapshot
from heyhi.project import find_project

HEYHI = Path(heyhi.__file__).parents[1]
PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "bakery"
version = "1"

[tool.setuptools.packages.find]
where = ["src"]
"""
FILES = {
    "README.md": "# Bakery\n",
    "pyproject.toml": PYPROJECT,
    "setup.cfg": "[flake8]\nmax-line-length = 120\n",
    ".gitignore": "*.egg-info/\n",
    "src/bakery/__init__.py": "",
    "src/bakery/oven.py": "HEAT = 200\n\n\ndef bake(minutes):\n    return HEAT * minutes\n",
    "tests/test_oven.py": "from bakery.oven import bake\n\n\ndef test_it():\n    assert bake(1)\n",
    "conf/config.yaml": "minutes: 1\n",
    "run.py": "print('theirs')\n",
    "Snakefile": "rule theirs:\n    output: 'theirs.txt'\n    shell: 'touch {output}'\n",
    "profiles/theirs.yaml": "a: 1\n",
    "workflows/theirs.smk": "rule no:\n",
    "results/theirs.csv": "1\n",
}
# What the user makes of the task file: a call of their own code.
CALL = (
    'return {"fit": fit}[task](cfg)',
    "return {'baked': bakery.oven.bake(cfg.epochs), 'file': bakery.oven.__file__}",
)


@dataclass
class Repo:
    """A repository, and a Python environment that has HeyHi and that the repository's package is installed in."""

    root: Path
    venv: Path

    @property
    def env(self) -> dict[str, str]:
        """The variables of a shell in which the environment is activated."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HEYHI_", "HH_", "SLURM_"))}
        return {**kept, "PATH": f"{self.venv}/bin{os.pathsep}{kept['PATH']}"}

    def call(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(words, cwd=self.root, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == code and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done.stdout + done.stderr

    def heyhi(self, *words: str) -> str:
        return self.call("python", "-P", "-m", "heyhi.cli", *words)

    def results(self) -> list[dict[str, object]]:
        return [json.loads(path.read_text()) for path in sorted(self.root.glob("heyhi_results/p/**/result.json"))]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A repository with a src layout, whose package is installed as by `pip install -e .`, and HeyHi added to it."""
    repo = Repo(tmp_path / "repo", tmp_path / "venv")
    for name, text in FILES.items():
        (repo.root / name).parent.mkdir(parents=True, exist_ok=True)
        (repo.root / name).write_text(text)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(repo.venv)], check=True)
    site = next(repo.venv.glob("lib/python*/site-packages"))
    (site / "base.pth").write_text(f"{HEYHI}\n{sysconfig.get_path('purelib')}\n")
    code = "import sys, setuptools.build_meta as backend; backend.build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=repo.root, check=True, capture_output=True)
    zipfile.ZipFile(next(tmp_path.glob("*.whl"))).extractall(site)
    person = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", *person, *words], cwd=repo.root, check=True)
    said = repo.heyhi("init", ".")
    assert "note:" not in said, "the package is installed from here"
    task = repo.root / "heyhi_task.py"
    text = task.read_text().replace(*CALL)
    assert text.count("# import bakery") == 1 and "bake(" in text
    task.write_text(text.replace("# import bakery", "import bakery.oven"))
    return repo


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
