"""What an attempt ran with: whose files were loaded, as the lists of what is installed say, and what CUDA there was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heyhi
from heyhi.code import environment, packages
from heyhi.code.environment import DIGITS, read_environment, record_environment, same_packages
from heyhi.code.packages import Packages, map_of
from heyhi.errors import ResultError
from heyhi.project import Project

OLD = 1_600_000_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(packages, "_WORTH_KEEPING", 1)
    return tmp_path / "cache/heyhi"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    return folder


def install(site: Path, name: str, version: str, *files: str, **info: str) -> None:
    """Install a distribution as pip does; with `top_level` as a system does, without a list of its files."""
    stem = f"{name.replace('-', '_')}-{version}.dist-info"
    (site / stem).mkdir()
    (site / stem / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no\n")
    rows = []
    for file in files:
        path = site / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        rows.append(f'"{file}",sha256=x,0' if "," in file else f"{file},sha256=x,0")
    if "top_level" in info:
        (site / stem / "top_level.txt").write_text(info["top_level"])
    else:
        (site / stem / "RECORD").write_text("\n".join([*rows, f"{stem}/RECORD,,", "../../bin/x.py,,"]) + "\n")
    if "url" in info:
        (site / stem / "direct_url.json").write_text(json.dumps({"url": info["url"], "dir_info": {"editable": True}}))
    os.utime(site, (OLD, OLD))


def owners(site: Path, *files: str) -> dict[str, str]:
    return Packages([map_of(str(site))]).versions(f"{site}/{file}" for file in files)


def recorded(project: Project, digest: str) -> dict[str, str]:
    found = read_environment(project, digest)
    assert found is not None
    return found


# Whose file it is


def test_a_file_is_of_the_distribution_that_lists_it(site: Path) -> None:
    install(site, "one-dist", "1.2.3", "one/__init__.py", "one/inner/a.py", "one_single.py")
    install(site, "Two", "0.1rc1", "_two.cpython-311-x86_64-linux-gnu.so")
    install(site, "idle", "9", "idle/__init__.py")
    assert owners(site, "one/inner/a.py") == {"one-dist": "1.2.3"} == owners(site, "one_single.py")
    assert owners(site, "_two.cpython-311-x86_64-linux-gnu.so") == {"Two": "0.1rc1"}
    assert owners(site, "unknown/a.py", "unknown.py") == {}


def test_a_namespace_that_many_share_is_divided_by_files(site: Path) -> None:
    install(site, "protobuf", "5", "google/protobuf/__init__.py", "google/protobuf/any_pb2.py", "google/_upb/_m.so")
    install(site, "storage", "2", "google/cloud/storage/__init__.py", "google/cloud/a.py", "google/__init__.py")
    install(site, "auth", "3", "google/auth/__init__.py", "google/cloud/b.py", "google/c,d.py")
    install(site, "cublas", "12.4", "nvidia/cublas/lib/libcublas.so.12", "nvidia/__init__.py")
    install(site, "cudnn", "9.1", "nvidia/cudnn/lib/libcudnn.so.9", "nvidia/__init__.py")
    assert owners(site, "google/protobuf/any_pb2.py", "google/_upb/_m.so") == {"protobuf": "5"}
    assert owners(site, "google/cloud/storage/__init__.py") == {"storage": "2"}
    assert owners(site, "google/cloud/a.py", "google/cloud/b.py") == {"storage": "2", "auth": "3"}
    assert owners(site, "google/c,d.py") == {"auth": "3"}
    assert owners(site, "nvidia/cudnn/lib/libcudnn.so.9") == {"cudnn": "9.1"}


NAMES = st.sampled_from(["a.py", "b.py", "n/a.py", "n/b.py", "n/m/a.py", "n/m/b.py", "n/k/a.py", "o/a.py"])


@given(st.lists(st.sets(NAMES, min_size=1), min_size=1, max_size=4))
def test_every_listed_file_leads_to_one_that_lists_it(
    tmp_path_factory: pytest.TempPathFactory, lists: list[set[str]]
) -> None:
    site = tmp_path_factory.mktemp("site")
    for number, files in enumerate(lists):
        install(site, f"p{number}", str(number), *files)
    found = Packages([map_of(str(site))])
    for file in set.union(*lists):
        (name,) = found.versions([f"{site}/{file}"])
        assert file in lists[int(name[1:])]


def test_one_without_a_list_of_files_is_known_by_its_modules(site: Path) -> None:
    install(site, "PyYAML", "6", top_level="_yaml\nyaml\n")
    (site / "old-0.3.egg-info").write_text("Metadata-Version: 1.1\nName: old\nVersion: 0.3\n")
    assert owners(site, "yaml/loader.py", "_yaml.py") == {"PyYAML": "6"}


def test_what_is_installed_as_a_link_counts_and_what_lies_inside_of_it_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "my project"
    site = project / ".venv/site-packages"
    site.mkdir(parents=True)
    install(site, "mine", "0.1", "_mine.pth", url=f"file://{str(project).replace(' ', '%20')}")
    install(site, "other", "2", "other.py")
    found = Packages([map_of(str(site))])
    assert found.versions([f"{project}/src/mine/a.py"]) == {"mine": "0.1"}
    assert found.versions([f"{site}/other.py", f"{site}/stray.py"]) == {"other": "2"}
    (tmp_path / "link").symlink_to(project)
    assert Packages([map_of(f"{tmp_path}/link/.venv/site-packages")]).versions([f"{site}/other.py"]) == {"other": "2"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 3, "dir_info": {"editable": true}}', '{"dir_info": 3}'])
def test_a_damaged_address_of_a_source_is_none(site: Path, text: str) -> None:
    install(site, "one", "1", "one.py", url="file:///x")
    (site / "one-1.dist-info/direct_url.json").write_text(text)
    assert map_of(str(site)).editable == {}


# What goes on record


def loaded(monkeypatch: pytest.MonkeyPatch, name: str, file: str | None = None, **values: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update({"__file__": file, **values})
    monkeypatch.setitem(sys.modules, name, module)
    return module


def test_what_is_loaded_goes_on_record_once_for_a_content(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, results_override=tmp_path / "out")
    install(site, "one", "1.5", "one/__init__.py")
    install(site, "idle", "9", "idle/__init__.py")
    before = record_environment(project, tmp_path)
    assert "one" not in recorded(project, before)
    loaded(monkeypatch, "one", f"{site}/one/__init__.py")
    digest = record_environment(project, tmp_path)
    found = recorded(project, digest)
    assert found["one"] == "1.5" and "idle" not in found and found["python"] == sys.version.split()[0]
    assert list(found)[:2] == ["python", "platform"] and "hypothesis" in found and "cuda" not in found
    (path,) = (p for p in (tmp_path / "out/.heyhi/environments").iterdir() if digest in p.name)
    inode = path.stat().st_ino
    assert record_environment(project, tmp_path) == digest and path.stat().st_ino == inode
    path.write_text("{}")
    with pytest.raises(ResultError, match=f"{digest}.json: can't be read"):
        read_environment(project, digest)
    assert record_environment(project, tmp_path) == digest and recorded(project, digest) == found
    assert len(list(path.parent.iterdir())) == 2
    assert read_environment(project, "0123") is None and read_environment(project, "../x") is None


def test_runs_of_one_environment_have_the_same_packages_whatever_each_has_imported(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, results_override=tmp_path / "out")
    for name in ("one", "lazy", "other_lazy"):
        install(site, name, "1.5", f"{name}/__init__.py")
    loaded(monkeypatch, "one", f"{site}/one/__init__.py")
    digests = []
    for name in ("lazy", "other_lazy"):
        with monkeypatch.context() as patch:
            loaded(patch, name, f"{site}/{name}/__init__.py")
            digests.append(record_environment(project, tmp_path))
    assert digests[0] != digests[1]  # so digests alone don't tell
    assert same_packages(project, digests) and same_packages(project, [digest[:DIGITS] for digest in digests])
    assert same_packages(project, [digests[0], "0123", "../x", ""])
    newer = tmp_path / "newer"
    newer.mkdir()
    install(newer, "One", "1.6", "one/__init__.py")
    monkeypatch.setattr(sys, "path", [*sys.path, str(newer)])
    loaded(monkeypatch, "one", f"{newer}/one/__init__.py")
    digests.append(record_environment(project, tmp_path))
    assert not same_packages(project, digests) and same_packages(project, digests[2:])


def test_python_counts_among_the_packages_and_the_node_does_not(tmp_path: Path) -> None:
    project = Project(tmp_path, results_override=tmp_path / "out")
    folder = tmp_path / "out/.heyhi/environments"
    folder.mkdir(parents=True)
    for digest, more in {"a": {}, "b": {"platform": "y", "driver": "2"}, "c": {"python": "3.12.0"}}.items():
        record = {"python": "3.11.7", "platform": "x", "driver": "1", **more, "packages": {}}
        (folder / f"{digest * 16}.json").write_text(json.dumps(record))
    (folder / f"{'d' * 16}.json").write_text("cut sho")
    assert same_packages(project, ["a" * 8, "b" * 8, "d" * 8]) and not same_packages(project, ["a" * 8, "c" * 8])


def test_a_lazy_module_is_not_imported_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"asked for {name}")

    with monkeypatch.context() as patched:  # pytest itself asks all modules for their files as it tears down
        patched.setitem(sys.modules, "lazy", Lazy("lazy"))
        patched.setitem(sys.modules, "odd", 3)  # type: ignore[arg-type]
        assert record_environment(Project(tmp_path, results_override=tmp_path / "out"), tmp_path)


def test_cuda_is_what_a_loaded_library_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.14  Release Build  (a@b)\n")
    monkeypatch.setattr(environment, "_DRIVER", driver)
    project = Project(tmp_path, results_override=tmp_path / "out")
    loaded(monkeypatch, "torch.version", cuda=None)
    assert "cuda" not in recorded(project, record_environment(project, tmp_path))
    loaded(monkeypatch, "torch.version", cuda="12.4")
    found = recorded(project, record_environment(project, tmp_path))
    assert (found["cuda"], found["driver"]) == ("12.4", "550.54.14")
    driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n")
    monkeypatch.delitem(sys.modules, "torch.version")
    maps = tmp_path / "maps"
    maps.write_text("7f0-7f1 r-xp 00000000 08:01 12    /opt/cuda/lib64/libcudart.so.11.8.89\n7f2-7f3 rw-p 0 0:0 0\n")
    monkeypatch.setattr(environment, "_MAPS", maps)
    found = recorded(project, record_environment(project, tmp_path))
    assert (found["cuda"], found["driver"]) == ("11.8.89", "535.104.05")
    loaded(monkeypatch, "tensorflow.python.platform.build_info", build_info={"cuda_version": "12.3"})
    assert recorded(project, record_environment(project, tmp_path))["cuda"] == "12.3"


def test_libraries_count_that_no_module_has(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "cublas", "12.4", "nvidia/cublas/lib/libcublas.so.12")
    maps = tmp_path / "maps"
    maps.write_text(f"7f0-7f1 r-xp 00000000 08:01 12    {site}/nvidia/cublas/lib/libcublas.so.12\n")
    monkeypatch.setattr(environment, "_MAPS", maps)
    project = Project(tmp_path, results_override=tmp_path / "out")
    assert recorded(project, record_environment(project, tmp_path))["cublas"] == "12.4"


def test_what_is_installed_as_a_link_to_the_project_counts_in_a_copy_too(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, copy = Project(tmp_path / "project", results_override=tmp_path / "out"), tmp_path / "copy/tree"
    install(site, "mine", "0.1", "_mine.pth", url=f"file://{project.root}")
    loaded(monkeypatch, "mine", f"{copy}/src/mine/__init__.py")
    assert recorded(project, record_environment(project, copy))["mine"] == "0.1"
    assert "mine" not in recorded(project, record_environment(project, tmp_path / "other"))


@pytest.mark.parametrize("what", ["results", "installed"])
def test_no_run_fails_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    project = Project(tmp_path, results_override=tmp_path / "out")
    if what == "results":
        (tmp_path / "out").touch()
    else:
        monkeypatch.setattr(packages, "map_of", lambda folder: 1 / 0)
    assert record_environment(project, tmp_path) == ""


# The map is made once


def maps_made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    real = packages.map_of
    monkeypatch.setattr(packages, "map_of", lambda folder: (made.append(folder), real(folder))[1])
    return made


def test_a_map_is_made_once_until_something_is_installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = maps_made(monkeypatch)
    monkeypatch.setattr(sys, "path", [str(site)])
    install(site, "one", "1", "one.py")
    for _ in range(2):
        found = Packages.here()
        assert found is not None and found.versions([f"{site}/one.py"]) == {"one": "1"}
    assert made == [str(site)]
    install(site, "two", "2", "two.py")
    os.utime(site, (OLD + 1, OLD + 1))
    found = Packages.here()
    assert found is not None and found.versions([f"{site}/two.py"]) == {"two": "2"}
    assert len(made) == 2


def test_a_map_of_what_was_just_installed_is_not_kept(site: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(site)])
    install(site, "one", "1", "one.py")
    os.utime(site)
    assert Packages.here() is not None and not cache.exists()


def test_who_is_about_to_be_killed_makes_no_map(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = maps_made(monkeypatch)
    monkeypatch.setattr(sys, "path", [str(site)])
    install(site, "one", "1", "one.py")
    project = Project(tmp_path, results_override=tmp_path / "out")
    assert record_environment(project, tmp_path, may_take_long=False) == "" and made == []
    assert record_environment(project, tmp_path) != ""
    assert record_environment(project, tmp_path, may_take_long=False) != "" and len(made) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: "",
        lambda content: "[]",
        lambda content: content[:40],
        lambda content: content.replace('"one.py": 0', '"one.py": 7'),
        lambda content: content.replace('"one.py": 0', '"one.py": "0"'),
        lambda content: content.replace('["one", "1"]', '["one"]'),
        lambda content: json.dumps({**json.loads(content), "map": json.loads(content)["map"][:3]}),
    ],
    ids=["empty", "no map", "cut short", "other place", "text for a place", "no version", "short row"],
)
def test_a_damaged_map_is_made_anew(site: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any) -> None:
    monkeypatch.setattr(sys, "path", [str(site)])
    install(site, "one", "1", "one.py")
    Packages.here()
    (path,) = cache.iterdir()
    whole = path.read_text()
    path.write_text(spoil(whole))
    made = maps_made(monkeypatch)
    found = Packages.here()
    assert found is not None and found.versions([f"{site}/one.py"]) == {"one": "1"}
    assert len(made) == 1 and path.read_text() == whole


def test_what_is_shared_may_be_read_by_all(site: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(site)])
    install(site, "one", "1", "one.py")
    before = os.umask(0o022)
    try:
        Packages.here()
    finally:
        os.umask(before)
    (path,) = cache.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_run_imports_nothing_to_read_a_map(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import heyhi.job.runner\n"
        "from heyhi.code.environment import record_environment; from heyhi.project import Project\n"
        "project = Project(Path(sys.argv[1]), results_override=Path(sys.argv[1]) / 'out')\n"
        "from heyhi.code import packages; packages._WORTH_KEEPING = 1; packages._SETTLED_NS = 0\n"
        "before = set(sys.modules); record_environment(project, project.root)\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(heyhi.__file__).parents[1])}
    said = []
    for _ in range(2):
        command = [sys.executable, "-c", code, str(tmp_path)]
        said.append(subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.split())
    assert "importlib.metadata" in said[0] and said[1] == []
