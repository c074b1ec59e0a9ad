"""HeyHi's own modules are found as importlib finds them, whatever has become of their files."""

from __future__ import annotations

import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import pytest

import heyhi.errors
from heyhi.quick_import import Finder

NAME = "heyhi.one"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package's folder with a module, which was compiled."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/one.py").write_text("VALUE = 1\n\n\ndef where():\n    return where.__code__.co_filename\n")
    assert load(tmp_path / "package").VALUE == 1
    return tmp_path / "package"


def load(folder: Path) -> ModuleType:
    spec = Finder.find_spec(NAME, [str(folder)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(folder: Path) -> Path:
    (path,) = (folder / "__pycache__").iterdir()
    return path


def in_python(*words: str, **env: str) -> str:
    code = "import heyhi.errors; print(type(heyhi.errors.__spec__.loader).__module__, heyhi.errors.__file__)"
    line = [sys.executable, *words, "-c", code]
    done = subprocess.run(line, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True, check=True)
    loader, file = done.stdout.split()
    assert Path(file).samefile(heyhi.errors.__file__)
    return loader


def test_what_is_found_is_what_importlib_would_find() -> None:
    ours, usual = heyhi.errors.__spec__, PathFinder.find_spec("heyhi.errors", heyhi.__path__)
    assert ours is not None and usual is not None and type(ours.loader).__module__ == "heyhi.quick_import"
    facts = ("name", "origin", "cached", "has_location", "parent", "submodule_search_locations")
    assert [getattr(ours, fact) for fact in facts] == [getattr(usual, fact) for fact in facts]
    assert heyhi.errors.__file__ == usual.origin and heyhi.errors.__cached__ == usual.cached
    assert inspect.getsource(heyhi.errors.HeyhiError).startswith("class HeyhiError")


def test_a_source_that_was_changed_is_compiled_anew(folder: Path) -> None:
    before = (folder / "one.py").stat()
    (folder / "one.py").write_text((folder / "one.py").read_text().replace("1", "2"))
    os.utime(folder / "one.py", (before.st_atime, before.st_mtime + 1))
    assert load(folder).VALUE == 2
    written = compiled(folder).read_bytes()
    assert load(folder).VALUE == 2 and compiled(folder).read_bytes() == written


@pytest.mark.parametrize("size", [0, 10])
def test_compiled_code_of_which_a_part_is_missing_is_made_anew(folder: Path, size: int) -> None:
    whole = compiled(folder).read_bytes()
    compiled(folder).write_bytes(whole[:size])
    assert load(folder).VALUE == 1 and compiled(folder).read_bytes() == whole


def test_compiled_code_of_another_python_is_not_taken(folder: Path) -> None:
    whole = compiled(folder).read_bytes()
    compiled(folder).write_bytes(b"\0\0" + whole[2:])
    assert load(folder).VALUE == 1 and compiled(folder).read_bytes() == whole


def test_in_a_copy_of_the_folder_a_function_names_its_own_file(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copy2)
    assert load(tmp_path / "copy").where() == str(tmp_path / "copy/one.py")


def test_where_nothing_is_compiled_the_source_is_read(folder: Path) -> None:
    compiled(folder).unlink()
    assert load(folder).VALUE == 1 and compiled(folder).exists()


def test_packages_others_and_what_is_not_there_are_left_to_python(folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package/__init__.py").touch()
    (folder / "gone.py").touch()
    (folder / "gone.py").unlink()
    for name, path in (
        ("heyhi.package", [str(folder)]),
        ("heyhi.gone", [str(folder)]),
        ("heyhi", None),
        ("one", None),
        ("other.one", [str(folder)]),
        (NAME, [str(folder), str(folder)]),
        (NAME, [f"{folder}.zip"]),
    ):
        assert Finder.find_spec(name, path) is None, (name, path)


@pytest.mark.parametrize(
    ("words", "env", "loader"),
    [
        ((), {}, "heyhi.quick_import"),
        (("-I",), {}, "heyhi.quick_import"),
        ((), {"PYTHONDONTWRITEBYTECODE": "1"}, "heyhi.quick_import"),
        (("-O",), {"PYTHONDONTWRITEBYTECODE": "1"}, "_frozen_importlib_external"),
        ((), {"PYTHONPYCACHEPREFIX": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1"}, "_frozen_importlib_external"),
    ],
)
def test_where_compiled_code_lies_elsewhere_python_finds_all(
    words: tuple[str, ...], env: dict[str, str], loader: str
) -> None:
    assert in_python(*words, **env) == loader


def test_who_looks_for_modules_before_python_does_is_asked_before() -> None:
    code = (
        "import sys, types\n"
        "class First:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        asked.append(name)\n"
        "asked = []\n"
        "sys.meta_path.insert(0, First)\n"
        "import heyhi.errors\n"
        "print('heyhi.errors' in asked)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "True\n"
