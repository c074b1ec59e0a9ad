"""By which names profiles are found, what they say, and which commands are shown to a user."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.cli.init import init
from heyhi.errors import HeyhiError
from heyhi.profiles import find_profile, known_profiles, shown_profile, snakefile_words, snakemake_command, uses_slurm
from heyhi.project import Project
from heyhi.shipped import profile, shipped_profiles, shipped_snakefile


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "project"
    for name, text in (("local", "cores: 1\n"), ("slurm", "jobs: 5\nexecutor: heyhi\n"), ("mine", "executor: slurm\n")):
        write(root / "profiles" / name, text)
    monkeypatch.chdir(root)
    return Project(root)


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("name", ["profiles/slurm", "slurm", "profiles/slurm/"])
def test_a_profile_is_found_by_path_and_by_name(project: Project, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_profile(project, name) == project.root / "profiles/slurm"
    monkeypatch.chdir(project.root / "profiles/local")  # from anywhere in the project
    assert find_profile(project, name) == project.root / "profiles/slurm"
    assert find_profile(project, str(project.root / "profiles/mine")) == project.root / "profiles/mine"


def test_a_project_without_profiles_has_those_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bare = Project(tmp_path)
    assert find_profile(bare, "slurm") == shipped_profiles()["slurm"]
    assert known_profiles(bare) == ["local", "slurm"]
    assert uses_slurm(find_profile(bare, "slurm")) and not uses_slurm(find_profile(bare, "local"))
    assert shown_profile(bare, find_profile(bare, "local")) == "local (HeyHi's own profile)"
    write(tmp_path / "profiles/slurm", "executor: slurm\n")
    assert find_profile(bare, "slurm") == tmp_path / "profiles/slurm", "its own goes before the package's"
    with pytest.raises(HeyhiError, match=r"profile 'profiles/local' is no folder .*did you mean 'local'\?"):
        find_profile(bare, "profiles/local")


def test_a_folder_for_those_whose_profiles_were_something_else_goes_first(project: Project) -> None:
    other = write(project.root / "heyhi_profiles/slurm", "executor: heyhi\n")
    assert find_profile(project, "slurm") == other
    assert find_profile(project, "mine") == project.root / "profiles/mine"
    assert find_profile(project, "profiles/slurm") == project.root / "profiles/slurm"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("slrum", r"did you mean 'slurm'\?"),
        ("profiles/slrum", r"did you mean 'profiles/slurm'\?"),
        ("xyz", "there are local, mine, slurm"),
        ("", "there are local, mine, slurm"),
    ],
)
def test_an_unknown_profile_names_the_nearest(project: Project, name: str, said: str) -> None:
    with pytest.raises(HeyhiError, match=said):
        find_profile(project, name)


def test_a_profile_says_whether_it_needs_slurm(project: Project) -> None:
    found = {name: uses_slurm(project.root / "profiles" / name) for name in ("local", "slurm", "mine")}
    assert found == {"local": False, "slurm": True, "mine": True}


THIN = '__use_yte__: true\n__definitions__:\n  - from heyhi.shipped import profile\n<: ?profile("slurm")\n'


@pytest.mark.parametrize(
    ("text", "is_slurm"),
    [
        (THIN, True),
        (THIN.replace("slurm", "local"), False),
        (f"{THIN}executor: local\n", False),
        (f"{THIN.replace('slurm', 'local')}executor: slurm\n", True),
        (f'{THIN}# more?\njobs: ?2 + 3\n?if True:\n  executor: "local"\n', False),
        ("__use_yte__: true\nexecutor: ?'hey' + 'hi'\n", True),
    ],
)
def test_a_profile_that_takes_another_in_says_what_both_come_to(project: Project, text: str, is_slurm: bool) -> None:
    assert uses_slurm(write(project.root / "profiles/thin", text)) is is_slurm


def test_a_profile_whose_code_fails_is_named(project: Project) -> None:
    broken = write(project.root / "profiles/broken", f"{THIN}jobs: ?1 / 0\n")
    with pytest.raises(HeyhiError, match=r"profiles/broken/config\.yaml: what it computes fails: .*division by zero"):
        uses_slurm(broken)


def test_the_profiles_of_a_new_project_come_to_those_of_the_package(tmp_path: Path) -> None:
    import yte

    init(tmp_path / "new")
    for name in ("local", "slurm"):
        with (tmp_path / "new/profiles" / name / "config.yaml").open() as file:
            found = yte.process_yaml(file, require_use_yte=True)
        assert found == profile(name) and len(found) > 5
        assert uses_slurm(tmp_path / "new/profiles" / name) is (name == "slurm")


def test_the_command_that_is_shown_has_what_is_there(project: Project) -> None:
    root = project.root
    assert snakefile_words(root) == ["--snakefile", str(shipped_snakefile())]
    (root / "Snakefile").write_text("")
    assert snakemake_command(project, "local") == "snakemake --profile profiles/local"
    (root / "heyhi.smk").write_text("")  # the other one is the user's
    write(root / "heyhi_profiles/local", "cores: 1\n")
    assert snakemake_command(project, "local") == "snakemake --snakefile heyhi.smk --profile heyhi_profiles/local"


def test_the_page_of_other_engines_shows_the_whole_profile_that_lies_beside_it(repository: Path) -> None:
    page = (repository / "docs/engines.md").read_text()
    for name in ("config.yaml", "status.sh"):
        assert (repository / "docs/engines" / name).read_text() in page
