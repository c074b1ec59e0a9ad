"""What the tests of sweeps share: this repository as a project with an empty results root."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.config.schema import Schema, load_schema
from heyhi.project import Project, find_project


@pytest.fixture(scope="module")
def schema(repository: Path) -> Schema:
    return load_schema(find_project(repository))


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Project:
    return find_project(repository)._replace(results_override=tmp_path / "results")
