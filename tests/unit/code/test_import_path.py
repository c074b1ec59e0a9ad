"""Where a project's own modules are looked for, while its code runs and afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from heyhi.code.import_path import own_modules_first, own_modules_last


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "path", ["/lib", "/site"])
    return sys.path


def test_a_projects_modules_come_first_inside_and_not_at_all_afterwards(path: list[str]) -> None:
    with own_modules_first(Path("/p")):
        assert path == ["/p", "/lib", "/site"]
        with own_modules_first(Path("/p")):
            assert path == ["/p", "/lib", "/site"]
        assert path == ["/p", "/lib", "/site"]
        path.remove("/p")  # by what ran there
    assert path == ["/lib", "/site"]


def test_where_they_are_first_already_they_stay(path: list[str]) -> None:
    path.insert(0, "/p")  # the folder of the script
    with pytest.raises(KeyError), own_modules_first(Path("/p")):
        raise KeyError
    assert path == ["/p", "/lib", "/site"]


def test_where_they_come_later_they_come_first_inside(path: list[str]) -> None:
    path.append("/p")
    with own_modules_first(Path("/p")):
        assert path == ["/p", "/lib", "/site", "/p"]
    assert path == ["/lib", "/site", "/p"]


def test_they_come_last_by_whatever_name_they_were_first(path: list[str], tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    path.insert(0, str(tmp_path / "link"))
    path.insert(0, str(tmp_path / "real"))
    own_modules_last(tmp_path / "real")
    assert path == ["/lib", "/site", str(tmp_path / "real")]
    own_modules_last(tmp_path / "elsewhere")
    assert path == ["/lib", "/site", str(tmp_path / "real")]
