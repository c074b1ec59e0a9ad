"""A repository that has things already, with a package in src, installed as by `pip install -e`, and HeyHi added."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import heyhi

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
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HEYHI_", "HH_"))}
        return {**kept, "PATH": f"{self.venv}/bin{os.pathsep}{kept['PATH']}"}

    def call(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(words, cwd=self.root, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == code and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done.stdout + done.stderr

    def heyhi(self, *words: str) -> str:
        return self.call("python", "-P", "-m", "heyhi.cli", *words)

    def results(self) -> list[dict[str, object]]:
        return [json.loads(path.read_text()) for path in sorted(self.root.glob("*results/p/**/result.json"))]


def make_repo(tmp_path: Path, without: tuple[str, ...] = ()) -> Repo:
    """Make one, and have its task call the package.

    Args:
        tmp_path: an empty folder.
        without: files that it doesn't have.
    """
    repo = Repo(tmp_path / "repo", tmp_path / "venv")
    for name, text in FILES.items():
        if name in without:
            continue
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
    task = repo.root / ("run.py" if "run.py" in without else "heyhi_task.py")
    text = task.read_text().replace(*CALL)
    assert text.count("# import bakery") == 1 and "bake(" in text
    task.write_text(text.replace("# import bakery", "import bakery.oven"))
    return repo
