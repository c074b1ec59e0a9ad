"""The code that was pinned is what a job imports, in whatever way a project's modules get onto the path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi.code import pinned
from heyhi.code.pinned import heyhi_pinning
from heyhi.code.snapshot import Snapshot, take_snapshot
from heyhi.project import Project

SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
# What a job's process does; in `NAME` is the package. Each says what it has got.
PROBE = """
import importlib, importlib.resources, json, multiprocessing, os, subprocess, sys
from pathlib import Path

NAME = os.environ["NAME"]


def look():
    model = importlib.import_module(NAME + ".model")
    package = importlib.import_module(NAME)
    said = {"loss": model.LOSS, "gone": importlib.import_module(NAME + ".gone").HERE, "file": model.__file__}
    said["data"] = importlib.resources.files(NAME).joinpath("data.txt").read_text()
    said["beside"] = Path(model.__file__).with_name("data.txt").read_text()
    return said


def work(queue):
    queue.put(look())


if __name__ == "__main__":
    from heyhi.code.import_path import loaded_outside, pin_imports
    from heyhi.project import Project

    project, copy = Project(Path(os.environ["ROOT"])), Path(os.environ["COPY"])
    pin_imports(project, copy)
    if os.environ.get("FIRST"):
        sys.path.insert(0, os.environ["FIRST"])
    said = {"itself": look()}
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    worker = context.Process(target=work, args=(queue,))
    worker.start()
    said["worker"] = queue.get(timeout=60)
    worker.join()
    code = "import json, probe; print(json.dumps(probe.look()))"
    for name, words in (("program", ["-c", code]), ("module", ["-m", NAME + ".tell"])):
        child = subprocess.run([sys.executable, *words], capture_output=True, text=True)
        said[name] = json.loads(child.stdout) if child.returncode == 0 else child.stderr
    if "WITHOUT" not in os.environ:
        importlib.import_module(NAME + "._bisect")
    said["outside"] = loaded_outside(project, copy)
    print(json.dumps(said))
"""
TELL = "import json, probe\nprint(json.dumps(probe.look()))\n"


class Lab:
    """A project, a Python environment that it may be installed in, and a copy of its code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "project"
        self.venv = folder / "venv"
        self.site = self.venv / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HEYHI_", "SLURM_"))}

    def make(self, package: str, setup: str = "") -> None:
        """Write a package below the root, and an environment that has HeyHi."""
        path = self.root / package
        put(path / "__init__.py")
        put(path / "model.py", "LOSS = 0.5\n")
        put(path / "gone.py", "HERE = True\n")
        put(path / "tell.py", TELL)
        put(path / "data.txt", "pinned")
        extension = next(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob(f"_bisect{SUFFIX}"))
        shutil.copy(extension, path / extension.name)
        put(self.root / ".gitignore", "*.so\n*.egg-info\n/build\n/results\n")
        if setup:
            put(self.root / "pyproject.toml", textwrap.dedent(setup))
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.venv)], check=True)
        put(self.folder / "lib/probe.py", PROBE)
        places = [self.folder / "lib", Path(heyhi.__file__).parents[1], sysconfig.get_path("purelib")]
        put(self.site / "a_base.pth", "".join(f"{place}\n" for place in places))

    def install(self, backend: str) -> None:
        """Install it as `pip install -e` does."""
        built = self.folder / "built"
        built.mkdir()
        code = f"import sys, {backend} as backend; print(backend.build_editable(sys.argv[1]))"
        done = subprocess.run(
            [sys.executable, "-c", code, str(built)], cwd=self.root, capture_output=True, text=True, env=self.env
        )
        assert done.returncode == 0, done.stderr
        for wheel in built.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(self.site)

    def pin(self) -> Snapshot:
        """Copy the code; then edit a file of the work tree, and remove one."""
        snapshot = take_snapshot(Project(self.root))
        for path in self.root.rglob("model.py"):
            if "results" not in path.parts:
                put(path, "LOSS = 999.0\n")
                put(path.with_name("data.txt"), "edited")
                path.with_name("gone.py").unlink()
        return snapshot

    def probe(self, snapshot: Snapshot, name: str = "mypkg", **env: str) -> dict[str, Any]:
        """Run the probe as a job's process."""
        words = [str(self.venv / "bin/python"), "-P", "-m", "probe"]
        env = {**self.env, "NAME": name, "ROOT": str(self.root), "COPY": str(snapshot.root), **env}
        folder = self.root / "results/p/e"
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def put(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


MAPPED = """
    [build-system]
    requires = ["setuptools"]
    build-backend = "setuptools.build_meta"
    [project]
    name = "mypkg"
    version = "1"
    [tool.setuptools]
    packages = ["mypkg"]
    package-dir = {{"mypkg" = "{}"}}
"""
SOURCE = """
    [build-system]
    requires = ["setuptools"]
    build-backend = "setuptools.build_meta"
    [project]
    name = "mypkg"
    version = "1"
    [tool.setuptools.packages.find]
    where = ["src"]
"""
HATCH = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"
    [project]
    name = "mypkg"
    version = "1"
    [tool.hatch.build.targets.wheel]
    packages = ["src/mypkg"]
    [tool.hatch.build]
    dev-mode-dirs = ["src"]
"""
# As the library `editables` does, which some build backends use.
REDIRECTOR = """
import importlib.util, sys

class RedirectingFinder:
    _redirections = {{"mypkg": {!r}}}

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if "." in name or name not in cls._redirections:
            return None
        return importlib.util.spec_from_file_location(name, cls._redirections[name])

sys.meta_path.append(RedirectingFinder)
"""
# An import hook that nobody knows: where it finds things is its own secret.
HOOK = """
import sys
from importlib.machinery import PathFinder

class Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [{!r}]) if name == "mypkg" else None

sys.meta_path.append(Hook)
"""


def on_path(place: str) -> Callable[[Lab], dict[str, str]]:
    return lambda lab: {"PYTHONPATH": str(lab.root / place)}


def by_pth(lab: Lab) -> dict[str, str]:
    put(lab.site / "mypkg.pth", f"{lab.root}/src\n")
    return {}


def by_pth_through_a_link(lab: Lab) -> dict[str, str]:
    (lab.folder / "link").symlink_to(lab.root / "src")
    put(lab.site / "mypkg.pth", f"{lab.folder}/link\n")
    return {}


def by_link(lab: Lab) -> dict[str, str]:
    (lab.site / "mypkg").symlink_to(lab.root / "src/mypkg")
    return {}


def by_redirector(lab: Lab) -> dict[str, str]:
    put(lab.site / "redirector.py", REDIRECTOR.format(f"{lab.root}/lib/impl/__init__.py"))
    put(lab.site / "mypkg.pth", "import redirector\n")
    return {}


def by_backend(name: str) -> Callable[[Lab], dict[str, str]]:
    return lambda lab: lab.install(name) or {}  # type: ignore[func-returns-value]


def by_relative_path(lab: Lab) -> dict[str, str]:
    return {"PYTHONPATH": "src", "SLURM_SUBMIT_DIR": str(lab.root)}


WAYS = {
    "the root on PYTHONPATH": ("mypkg", "", on_path("")),
    "src on PYTHONPATH": ("src/mypkg", "", on_path("src")),
    "src on PYTHONPATH, relative to where it was submitted": ("src/mypkg", "", by_relative_path),
    "a .pth": ("src/mypkg", "", by_pth),
    "a .pth that leads there through a link": ("src/mypkg", "", by_pth_through_a_link),
    "setuptools, by a .pth": ("src/mypkg", SOURCE, by_backend("setuptools.build_meta")),
    "setuptools, by an import hook": ("lib/impl", MAPPED.format("lib/impl"), by_backend("setuptools.build_meta")),
    "a link among the packages": ("src/mypkg", "", by_link),
    "a redirecting import hook": ("lib/impl", "", by_redirector),
    "hatchling": ("src/mypkg", HATCH, by_backend("hatchling.build")),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_was_pinned_is_imported_however_it_is_installed(lab: Lab, way: str) -> None:
    package, setup, install = WAYS[way]
    lab.make(package, setup)
    env = install(lab)
    snapshot = lab.pin()
    said = lab.probe(snapshot, **env)
    wanted = {"loss": 0.5, "gone": True, "data": "pinned", "beside": "pinned"}
    for process in ("itself", "worker", "program", "module"):
        assert said[process] == {**wanted, "file": str(snapshot.root / package / "model.py")}, process
    assert said["outside"] == [f"{package}/_bisect{SUFFIX}"]


@pytest.mark.parametrize(
    "way", ["src on PYTHONPATH", "a .pth", "setuptools, by an import hook", "a redirecting import hook"]
)
def test_what_the_work_tree_has_no_more_is_imported_all_the_same(lab: Lab, way: str) -> None:
    package, setup, install = WAYS[way]
    lab.make(package, setup)
    env = install(lab)
    snapshot = lab.pin()
    shutil.rmtree(lab.root / package)  # another branch was checked out
    said = lab.probe(snapshot, **env, WITHOUT="1")
    assert {said[process]["loss"] for process in ("itself", "worker", "program", "module")} == {0.5}
    assert said["outside"] == []


def test_a_namespace_of_an_import_hook_is_pinned(lab: Lab) -> None:
    lab.make(
        "lib/impl", MAPPED.format("lib/impl").replace('"mypkg" =', '"space.mypkg" =').replace('["my', '["space.my')
    )
    lab.install("setuptools.build_meta")
    snapshot = lab.pin()
    said = lab.probe(snapshot, "space.mypkg")
    assert {said[process]["loss"] for process in ("itself", "worker", "program", "module")} == {0.5}


@pytest.mark.parametrize("way", ["hook", "path"])
def test_what_is_found_in_the_work_tree_later_is_pinned_too(lab: Lab, way: str) -> None:
    lab.make("src/mypkg")
    if way == "hook":
        put(lab.site / "hook.py", HOOK.format(f"{lab.root}/src"))
        put(lab.site / "hook.pth", "import hook\n")
    snapshot = lab.pin()
    said = lab.probe(snapshot, **({"FIRST": f"{lab.root}/src"} if way == "path" else {}))
    assert (said["itself"]["loss"], said["worker"]["loss"]) == (0.5, 0.5)
    assert said["outside"] == [f"src/mypkg/_bisect{SUFFIX}"]


def test_a_sitecustomize_of_the_project_is_pinned_and_that_of_the_environment_is_run(lab: Lab) -> None:
    lab.make("src/mypkg")
    put(lab.root / "src/sitecustomize.py", "import os\nos.environ['CUSTOM'] = 'pinned'\n")
    snapshot = lab.pin()
    put(lab.root / "src/sitecustomize.py", "import os\nos.environ['CUSTOM'] = 'edited'\n")
    env = {"HEYHI_CODE_ROOT": str(lab.root), "HEYHI_CODE_COPY": str(snapshot.root)}
    own = Path(heyhi.__file__).with_name("code") / "pinned"
    words = [str(lab.venv / "bin/python"), "-c", "import os; print(os.environ['CUSTOM'], os.environ['PYTHONPATH'])"]
    for path in ("src", "lib"):
        put(lab.root / "lib/sitecustomize.py", "import os\nos.environ['CUSTOM'] = 'other'\n")
        done = subprocess.run(
            words, env={**lab.env, **env, "PYTHONPATH": f"{own}:{lab.root}/{path}"}, capture_output=True, text=True
        )
        assert done.stdout == {
            "src": f"pinned {own}:{snapshot.root}/src\n", "lib": f"other {own}:{lab.root}/lib\n",
        }[path], done.stderr  # fmt: skip


def test_without_another_sitecustomize_python_starts_as_ever(lab: Lab) -> None:
    lab.make("src/mypkg")
    own = Path(heyhi.__file__).with_name("code") / "pinned"
    code = "import sys; print([p for p in sys.path if 'pinned' in p], type(sys.modules['sitecustomize']).__name__)"
    for env in ({}, {"HEYHI_CODE_ROOT": str(lab.root), "HEYHI_CODE_COPY": str(lab.root / "is gone/tree")}):
        done = subprocess.run(
            [str(lab.venv / "bin/python"), "-S", "-c", f"import site; site.main()\n{code}"],
            env={**lab.env, **env, "PYTHONPATH": str(own)}, capture_output=True, text=True,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("[] module\n", "")


def test_a_job_finds_its_copy_by_one_finder_from_its_start_on(lab: Lab) -> None:
    lab.make("src/mypkg")
    snapshot = lab.pin()
    own = Path(heyhi.__file__).with_name("code") / "pinned"
    code = (
        "import sys; from heyhi.code.pinned import heyhi_pinning\n"
        f"heyhi_pinning.pin({str(lab.root)!r}, {str(snapshot.root)!r})\n"
        "print([type(finder).__module__ for finder in sys.meta_path if hasattr(finder, 'counterpart')])"
    )
    env = {**lab.env, "HEYHI_CODE_ROOT": str(lab.root), "HEYHI_CODE_COPY": str(snapshot.root), "PYTHONPATH": str(own)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['heyhi_pinning']\n", "")


def test_what_finds_the_copy_is_no_code_of_the_work_tree_where_heyhi_is_the_project(lab: Lab) -> None:
    lab.make("src/mypkg")
    finds = lab.root / "heyhi/code/pinned"
    shutil.copytree(Path(heyhi.__file__).with_name("code") / "pinned", finds)
    snapshot = lab.pin()
    said = lab.probe(
        snapshot,
        PYTHONPATH=f"{finds}:{lab.root}/src",
        HEYHI_CODE_ROOT=str(lab.root),
        HEYHI_CODE_COPY=str(snapshot.root),
    )
    assert said["itself"]["loss"] == 0.5
    assert said["outside"] == [f"src/mypkg/_bisect{SUFFIX}"]


def test_a_job_that_another_one_submitted_runs_its_own_copy(lab: Lab) -> None:
    lab.make("src/mypkg")
    first = lab.pin()
    put(lab.root / "src/mypkg/gone.py", "HERE = True\n")
    put(lab.root / "src/mypkg/model.py", "LOSS = 2.0\n")
    second = take_snapshot(Project(lab.root))
    put(lab.root / "src/mypkg/model.py", "LOSS = 3.0\n")
    own = Path(heyhi.__file__).with_name("code") / "pinned"
    handed_on = {"HEYHI_CODE_ROOT": str(lab.root), "HEYHI_CODE_COPY": str(first.root)}
    said = lab.probe(second, **handed_on, PYTHONPATH=f"{own}:{first.root}/src")
    assert {said[process]["loss"] for process in ("itself", "worker", "program", "module")} == {2.0}


def test_an_environment_in_the_project_is_no_code_of_its(lab: Lab) -> None:
    lab.venv = lab.root / ".venv"
    lab.site = lab.venv / lab.site.relative_to(lab.folder / "venv")
    lab.make("src/mypkg")
    put(lab.site / "library.py", "")
    put(lab.root / "src/mypkg/__init__.py", "import library\n")
    by_pth(lab)
    said = lab.probe(lab.pin())
    assert said["itself"]["loss"] == 0.5
    assert said["outside"] == [f"src/mypkg/_bisect{SUFFIX}"]


def test_a_folder_of_the_work_tree_is_no_package_in_place_of_a_library_that_is_missing(lab: Lab) -> None:
    lab.make("src/mypkg")
    put(lab.root / "tracker/run.txt")
    put(lab.root / ".gitignore", "/tracker\n*.so\n/results\n")
    put(
        lab.root / "src/mypkg/__init__.py",
        "try:\n    import tracker\nexcept ImportError:\n    tracker = None\nelse:\n    1 / 0\n",
    )
    by_pth(lab)
    assert lab.probe(lab.pin())["itself"]["loss"] == 0.5


@pytest.mark.parametrize("name", ["ROOT_VARIABLE", "COPY_VARIABLE", "HERE"])
def test_who_submits_a_job_and_what_begins_in_it_mean_the_same(name: str) -> None:
    assert getattr(pinned, name) == getattr(heyhi_pinning, name)
