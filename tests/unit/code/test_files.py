"""Which files are code: what patterns leave out, compared with what git ignores."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.code.files import list_code
from heyhi.errors import SnapshotError
from heyhi.project import Project, Settings

# Of few letters, so that patterns often meet names. Two stars stand alone between slashes, as git's manual has them;
# a pattern that begins with # is a comment for git, and a name for us.
PIECES = ["a", "b", ".py", "*", "?", "[ab]", "[!a]", "[^b]", "[a-c]", r"\*", " ", "#", "{", "]"]
SEGMENTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join).filter(lambda text: "**" not in text)
PATTERNS = st.builds(
    lambda start, segments, end: start + "/".join(segments) + end,
    st.sampled_from(["", "/"]),
    st.lists(SEGMENTS | st.just("**"), min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
).filter(lambda text: not text.startswith("#"))
FILES = [
    *("a.py", "c", "a b", "b*", "#a", "{"),
    *(f"{outer}/{name}" for outer in ("a", "b", "ab") for name in ("b", "ab", "a.py", "a\nb", "b]")),
    *(f"{outer}/{inner}/{name}" for outer in ("a", "b") for inner in ("a", "x\n") for name in ("a", "b", "b.py")),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project outside git."""
    root = tmp_path_factory.mktemp("project")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "-q")
    return root


def git(root: Path, *words: str, given: str = "") -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", "-C", str(root), *words], env=env, input=given, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr  # 1: nothing is ignored
    return done.stdout


def excluded(root: Path, pattern: str) -> set[str]:
    return set(FILES) - set(list_code(Project(root, Settings(snapshot_exclude=(pattern,))), most=1000).paths)


@settings(max_examples=200, deadline=None)
@given(pattern=PATTERNS)
def test_a_pattern_leaves_out_what_git_ignores(tree: Path, repository: Path, pattern: str) -> None:
    (repository / ".git/info/exclude").write_text(f"{pattern}\n")
    ignored = git(repository, "check-ignore", "--no-index", "--stdin", "-z", given="\0".join(FILES))
    try:
        assert excluded(tree, pattern) == set(ignored.split("\0")[:-1])
    except SnapshotError:
        assert not ignored


@settings(max_examples=60, deadline=None)
@given(
    lines=st.dictionaries(
        st.sampled_from(["", "a/", "a/a/", "b/"]),
        st.lists(st.builds(str.__add__, st.sampled_from(["", "!"]), PATTERNS), min_size=1, max_size=4),
        min_size=1,
    )
)
def test_outside_git_a_gitignore_counts_as_in_it(
    tmp_path_factory: pytest.TempPathFactory, lines: dict[str, list[str]]
) -> None:
    root = tmp_path_factory.mktemp("both")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for folder, patterns in lines.items():
        (root / folder / ".gitignore").write_text("\n".join(patterns) + "\n")
    outside = set(list_code(Project(root), most=1000).paths)
    git(root, "init", "-q")
    inside = git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0")[:-1]
    assert outside == {name for name in inside if not name.endswith(".gitignore")}


def test_patterns_may_take_back_what_earlier_ones_leave_out(tree: Path) -> None:
    patterns = ("a/", "b*", "!a/b", "!b/**", "b/x*")
    kept = set(list_code(Project(tree, Settings(snapshot_exclude=patterns)), most=1000).paths)
    assert kept == {n for n in FILES if n in ("a.py", "c", "a b", "#a", "{", "a/b") or n.startswith(("ab/", "b/"))} - {
        n for n in FILES if n.startswith(("b/x", "ab/b"))
    }


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("#a", {"#a"}),
        ("./c", {"c"}),
        ("/ab/**/ ", set()),  # of what lies in it, only folders
        ("[!c]/ab", {"a/ab", "b/ab"}),
        ("a[!b]a", set()),  # a bracket is no slash
        ("*[[{]", {"{"}),
    ],
)
def test_a_pattern_means_what_it_says(
    tree: Path, pattern: str, files: set[str], recwarn: pytest.WarningsRecorder
) -> None:
    assert excluded(tree, pattern) == files
    assert not recwarn.list


@pytest.mark.parametrize("pattern", ["a\\", "./", "\t"])
def test_a_pattern_that_matches_nothing_is_refused(tree: Path, pattern: str) -> None:
    with pytest.raises(SnapshotError, match="snapshot_exclude has "):
        excluded(tree, pattern)


def test_only_who_has_patterns_pays_for_them(tree: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "import heyhi.cli.main, heyhi.code.snapshot, heyhi.job.runner, heyhi.job.submit\n"
        "from heyhi.project import Project, Settings\n"
        "heyhi.code.files.list_code(Project(Path(sys.argv[1]), Settings()), most=1000)\n"
        "assert 'pathspec' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tree)], check=True)
