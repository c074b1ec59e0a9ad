"""What all tests of the code's versions have in common."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def git_without_a_persons_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
