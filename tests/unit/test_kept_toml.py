"""A pyproject.toml that was read is read again without TOML, and as it is then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.kept_toml import read_toml

PLAIN = b"""
[project]
name = "lab"
version = "1"
[tool.heyhi]
entry = "run:main"
end_grace = 3
controller_hours = 2.0
identity_ignore = ["a", "b"]
renamed = {"conf/a.prototxt" = "conf/b.prototxt"}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/heyhi"


def test_what_is_asked_for_is_the_same_from_the_cache(cache: Path) -> None:
    first = read_toml(PLAIN)
    (place,) = cache.iterdir()
    again = read_toml(PLAIN)
    assert again["tool"] == first["tool"] and again["project"] == {"name": "lab"}
    assert isinstance(again["tool"]["heyhi"]["controller_hours"], float)
    assert read_toml(PLAIN.replace(b"lab", b"other"))["project"]["name"] == "other"
    place.write_text("[")
    assert read_toml(PLAIN) == first


@pytest.mark.parametrize(
    "text",
    [
        b'[tool.heyhi]\nnotify = ["https://example.com/secret"]',
        b'[tool.heyhi]\nsheets_credentials = "key.json"',
        b"[tool.heyhi]\nname = 1979-05-27",
        b"[tool.heyhi]\ncontroller_hours = nan",
        b'tool = "x"',
        b"[project]\nname = 'x'",
    ],
)
def test_secrets_and_what_is_odd_are_not_kept(cache: Path, text: bytes) -> None:
    read_toml(text)
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize("text", [b"[", b"\xff", b"a = 1\na = 2"])
def test_what_is_no_toml_is_said_each_time(text: bytes) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=r"."):
            read_toml(text)


def test_without_a_place_it_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert read_toml(PLAIN)["tool"]["heyhi"]["end_grace"] == 3


def test_a_kept_one_needs_no_reader_of_toml(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/x.proto").write_text("")
    (tmp_path / "pyproject.toml").write_bytes(PLAIN)
    code = "import sys; from heyhi.project import find_project; find_project(); print('tomllib' in sys.modules)"
    said = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["True", "False"]
