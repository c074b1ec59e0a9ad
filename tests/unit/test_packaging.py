"""What is installed: exact versions, from whatever index, each with its reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

LOCKS = ("build", "run", "dev", "bench")


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


@pytest.mark.parametrize(("lock", "extras"), [("run", ["example"]), ("dev", ["example", "dev"]), ("bench", ["bench"])])
def test_a_lock_holds_what_the_project_asks_for(repository: Path, lock: str, extras: list[str]) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    names = {re.match(r"[A-Za-z0-9-]+", requirement)[0].lower() for requirement in asked}  # type: ignore[index]
    assert names <= pins(repository, lock).keys()


def test_locks_agree_on_versions(repository: Path) -> None:
    run = pins(repository, "run")
    for lock in ("build", "dev", "bench"):
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
