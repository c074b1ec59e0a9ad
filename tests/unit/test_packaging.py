"""What is installed and built: exact versions, each with its reason, and a wheel that can start a project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from heyhi.extras import EXTRAS

LOCKS = ("build", "run", "dev", "bench", "docs")


def pins(repository: Path, lock: str) -> dict[str, str]:
    text = (repository / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_is_exact_and_hashed(repository: Path, lock: str) -> None:
    text = (repository / "requirements" / f"{lock}.txt").read_text()
    requirements = [r for r in re.sub(r"\\\n|(?m:^ *#.*$)", "", text).splitlines() if r.strip()]
    assert requirements
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+==\S+( ; .+?)? +--hash=sha256:", requirement), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_package_index(repository: Path, lock: str) -> None:
    text = (repository / "requirements" / f"{lock}.txt").read_text()
    assert not re.search(r"https?:|--(extra-)?index|--find-links|--trusted-host", text)


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("run", ["example", *EXTRAS]),
        ("dev", ["example", *EXTRAS, "dev"]),
        ("bench", ["example", *EXTRAS, "bench"]),
        ("docs", ["example", *EXTRAS, "docs"]),
    ],
)
def test_a_lock_holds_what_the_project_asks_for(repository: Path, lock: str, extras: list[str]) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    names = {re.match(r"[A-Za-z0-9-]+", requirement)[0].lower() for requirement in asked}  # type: ignore[index]
    assert names <= pins(repository, lock).keys()


def test_locks_agree_on_versions(repository: Path) -> None:
    run = pins(repository, "run")
    for lock in ("build", "dev", "bench", "docs"):
        other = pins(repository, lock)
        assert {name: other[name] for name in other.keys() & run.keys()} == {
            name: run[name] for name in other.keys() & run.keys()
        }


def test_every_direct_dependency_is_explained(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    explained = (repository / "docs" / "dependencies.md").read_text()
    for requirement in sum(project["optional-dependencies"].values(), project["dependencies"]):
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name and re.search(rf"^\|.*\b{name[0]}\b.*\|$", explained, flags=re.MULTILINE), requirement


def test_the_wheel_carries_the_workflow_of_a_new_project(repository: Path, tmp_path: Path) -> None:
    build = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    run = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=repository, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(tmp_path / run.stdout.split()[-1]) as wheel:
        names = set(wheel.namelist())
        metadata = next(name for name in names if name.endswith("entry_points.txt"))
        assert "heyhi = heyhi.cli:main" in wheel.read(metadata).decode()
        # There is no host of the docs: what an index shows of the package says which command has them.
        description = next(name for name in names if name.endswith(".dist-info/METADATA"))
        assert "`heyhi docs` lists all pages" in wheel.read(description).decode()
        wheel.extractall(tmp_path / "installed")
    plugins = {f"snakemake_{kind}_plugin_heyhi/__init__.py" for kind in ("executor", "logger")}
    assert {"heyhi/__init__.py", "heyhi/py.typed", *plugins} <= names
    sources = [repository / "Snakefile", repository / "conf/launcher.proto", *(repository / "workflows").rglob("*.smk")]
    sources += (repository / "workflows").rglob("*.rst")
    sources += (repository / "profiles").rglob("*.yaml")
    assert len(sources) >= 7
    sources += (repository / "docs").glob("*.md")
    show = [sys.executable, "-c", "from heyhi.cli import main; main(['docs', 'slurm', '--path'])"]
    shown = subprocess.run(show, cwd=tmp_path / "installed", capture_output=True, text=True, check=True)
    assert shown.stdout == f"{tmp_path / 'installed/heyhi/template/docs/slurm.md'}\n"
    assert {f"heyhi/template/{path.relative_to(repository).as_posix()}" for path in sources} <= names
    own = {p.relative_to(repository).as_posix() for p in (repository / "heyhi").rglob("*") if p.is_file()}
    assert {name for name in own if "__pycache__" not in name} <= names
    assert not [name for name in names if "_pb2" in name or "__pycache__" in name]
