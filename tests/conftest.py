"""What all tests share: an environment that tells HeyHi nothing, and Hypothesis without a clock."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no reason to fail. In CI the same examples come each time;
# a person's runs keep looking for new ones.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "house")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the results root and the job that the tests themselves may run in, and a person's Google login."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no config"))
    for name in list(os.environ):
        if name.startswith(("HH_", "SLURM_")) or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this tree."""
    return REPOSITORY


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--snapshot-update", action="store_true", help="write tests/errors/messages.json anew: make snapshots"
    )
