"""HeyHi's own modules are found in a shorter way, and are what they are by Python's own; the rest is left to that."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

import pytest

import heyhi
from heyhi.quick_import import _Finder


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Return the file of a module that Python has compiled."""
    path = tmp_path / "one.py"
    path.write_text("value = 1\n")
    py_compile.compile(str(path), doraise=True)
    return path


def found(path: Path) -> ModuleSpec | None:
    return _Finder().find_spec(f"heyhi.{path.stem}", [str(path.parent)])


def loaded(spec: ModuleSpec | None) -> ModuleType:
    assert spec is not None and spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("name", ["heyhi.files", "heyhi.job"])
def test_a_module_is_what_it_is_by_pythons_own_search(name: str) -> None:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-c", f"import {name}"], env=env, check=True)  # compiles it where nobody has
    ours, theirs = (finder.find_spec(name, heyhi.__path__) for finder in (_Finder(), PathFinder))
    assert ours is not None and theirs is not None
    for what in ("name", "origin", "cached", "has_location", "parent", "submodule_search_locations"):
        assert getattr(ours, what) == getattr(theirs, what)
    assert isinstance(ours.loader, SourceFileLoader)
    assert ours.loader.get_source(name) == theirs.loader.get_source(name)  # type: ignore[union-attr]


def test_a_module_that_was_compiled_is_found_and_runs(module: Path) -> None:
    made = loaded(found(module))
    assert (made.value, made.__file__) == (1, str(module))


def test_tracebacks_name_the_file_where_it_is_now(module: Path) -> None:
    py_compile.compile(str(module), dfile="/elsewhere/one.py", doraise=True)
    spec = found(module)
    assert spec is not None and isinstance(spec.loader, SourceFileLoader)
    code = spec.loader.get_code(spec.name)
    assert code is not None and code.co_filename == str(module)


def test_what_is_loaded_again_is_read_again(module: Path) -> None:
    spec = found(module)
    assert loaded(spec).value == 1
    module.write_text("value = 'another'\n")
    assert loaded(spec).value == "another"


@pytest.mark.parametrize("change", ["text", "time", "gone", "damaged", "cut", "by its hash", "not compiled"])
def test_what_isnt_as_it_was_compiled_is_left_to_python(module: Path, change: str) -> None:
    compiled = next(module.parent.glob("__pycache__/*.pyc"))
    if change == "text":
        time = module.stat().st_mtime
        module.write_text("value = 1  # other size\n")
        os.utime(module, (time, time))
    elif change == "time":
        os.utime(module, (1, 1))
    elif change == "gone":
        module.unlink()
    elif change == "damaged":
        compiled.write_bytes(compiled.read_bytes()[:16] + b"?")
    elif change == "cut":
        compiled.write_bytes(compiled.read_bytes()[:10])
    elif change == "by its hash":
        py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    else:
        compiled.unlink()
    assert found(module) is None


def test_nobody_elses_modules_are_found(module: Path) -> None:
    folder = [str(module.parent)]
    assert _Finder().find_spec("one", folder) is None
    assert _Finder().find_spec("heyhi2.one", folder) is None
    assert _Finder().find_spec("heyhi.one") is None


@pytest.mark.parametrize(("options", "is_there"), [([], True), (["-O"], False), (["-X", "pycache_prefix=/x"], False)])
def test_other_places_for_compiled_code_are_left_to_python(options: list[str], is_there: bool) -> None:
    code = "import sys, heyhi.files; print('_Finder' in [type(finder).__name__ for finder in sys.meta_path])"
    done = subprocess.run([sys.executable, "-B", *options, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == str(is_there)


def test_what_a_module_raises_when_it_is_loaded_tells_nothing_of_the_search(module: Path) -> None:
    module.write_text("1 / 0\n")
    py_compile.compile(str(module), doraise=True)
    code = f"import heyhi; heyhi.__path__ = [{str(module.parent)!r}]; import heyhi.one"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False)
    assert "ZeroDivisionError" in done.stderr
    assert "quick_import" not in done.stderr
