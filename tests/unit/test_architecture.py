"""docs/architecture.md says the truth about the tree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path


def test_every_file_that_the_map_names_is_there(repository: Path) -> None:
    text = (repository / "docs/architecture.md").read_text()
    named = set(re.findall(r"`((?:heyhi|conf)/[\w./]+)`", text))
    named |= {f"heyhi/{name}" for name in re.findall(r"`((?:cli|sweep|experiment)/\w+\.py)`", text)}
    assert len(named) > 25
    assert [name for name in sorted(named) if not (repository / name).exists()] == []


def test_every_package_is_on_the_map_and_in_the_contract(repository: Path) -> None:
    folders = {p.parent.name for p in (repository / "heyhi").glob("*/__init__.py")}
    text = (repository / "docs/architecture.md").read_text()
    assert folders <= set(re.findall(r"`(\w+)/`", text))
    contract = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert folders <= set(re.findall(r"\w+", " ".join(contract["layers"])))


def test_the_way_through_the_house_names_modules_that_exist(repository: Path) -> None:
    drawing = (repository / "docs/architecture.md").read_text().split("```")[1]
    modules = re.findall(r"\b(config|sweep|job|experiment|report)/(\w+)", drawing)
    assert modules and [m for m in modules if not (repository / "heyhi" / m[0] / f"{m[1]}.py").exists()] == []
