"""What an extra brings is imported in one place, which names the line that installs it."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from heyhi import extras
from heyhi.errors import ExtraError

PACKAGES = {module for _, modules in extras.EXTRAS.values() for module in modules}


def test_the_extras_are_those_of_the_package(repository: Path) -> None:
    declared = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {
        extra: {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in declared[extra]}
        for extra in extras.EXTRAS
    }
    assert names == {extra: {m.lower() for m in modules} for extra, (_, modules) in extras.EXTRAS.items()}
    assert declared["all"] == [f"heyhi[{','.join(sorted(extras.EXTRAS))}]"]


def test_nothing_else_imports_what_an_extra_brings(repository: Path) -> None:
    """Type checkers may; so does what a new project gets, which is its own."""
    own = [p for p in (repository / "heyhi").rglob("*.py") if "newproject" not in p.parts]
    assert len(own) > 300
    found = {
        f"{path.relative_to(repository)}: {name}" for path in own for name in imported(ast.parse(path.read_text()))
    }
    others = {one for one in found if one.partition(": ")[2].partition(".")[0] in PACKAGES}
    # The server is made of these: `heyhi serve` looks for them before it imports it.
    assert {
        one
        for one in others
        if not re.match(r"heyhi/serve/(answers|app|connections|server|static)\.py: (starlette|uvicorn)\b", one)
    } == set()


def imported(tree: ast.AST) -> set[str]:
    """Return what a file imports when it is run."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
        waiting += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("module", sorted(PACKAGES))
def test_a_package_that_is_missing_is_named_with_the_line_that_installs_its_extra(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    (extra, what) = next((e, what) for e, (what, modules) in extras.EXTRAS.items() if module in modules)
    monkeypatch.setitem(sys.modules, module, None)
    text = f"{what} needs {module}, which isn't installed here: {extras.install_line(extra)}"
    assert text.endswith(f"[{extra}]'") or text.endswith(f"[{extra}]")
    for ask in (lambda: extras.load(module), lambda: extras.check(extra)):
        with pytest.raises(ExtraError) as caught:
            ask()
        assert str(caught.value) == text


def test_several_that_are_missing_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("plotly", "itables"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExtraError, match=r"^the page needs plotly and itables, which aren't installed here: "):
        extras.check("page")


def test_a_package_that_is_there_and_broken_is_told_from_one_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "optuna.py").write_text("import no_such_thing\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "optuna"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ExtraError, match=r"needs optuna, which can't be imported \(No module named 'no_such_thing'\): "
    ):
        extras.load("optuna")
    extras.check("search")


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (None, "pip install 'heyhi[page,sheets]'"),
        ("no JSON", "pip install 'heyhi[page,sheets]'"),
        ([], "pip install 'heyhi[page,sheets]'"),
        ({"url": "file:///gone", "dir_info": {}}, "pip install 'heyhi[page,sheets]'"),
        ({"url": "file://<tmp>/a%20%7Bb%7D", "dir_info": {}}, "pip install '<tmp>/a {b}[page,sheets]'"),
        (
            {"url": "https://example.org/heyhi-2.whl", "archive_info": {}},
            "pip install 'heyhi[page,sheets] @ https://example.org/heyhi-2.whl'",
        ),
        (
            {"url": "https://example.org/h.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'heyhi[page,sheets] @ git+https://example.org/h.git@abc'",
        ),
        (
            {"url": "ssh://me@example.org/h", "vcs_info": {"vcs": "git", "commit_id": "a", "requested_revision": "v2"}},
            "pip install 'heyhi[page,sheets] @ git+ssh://me@example.org/h@v2'",
        ),
    ],
)
def test_the_line_takes_heyhi_from_where_it_was_installed_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: object, line: str
) -> None:
    info = tmp_path / "heyhi-9.dist-info"
    info.mkdir()
    (tmp_path / "a {b}").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heyhi\nVersion: 9\n")
    if origin is not None:
        text = origin if isinstance(origin, str) else json.dumps(origin)
        (info / "direct_url.json").write_text(text.replace("<tmp>", str(tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "heyhi/extras.py"))
    assert extras.install_line("page", "sheets") == line.replace("<tmp>", str(tmp_path))


def test_a_checkout_stays_the_one_that_is_imported(repository: Path) -> None:
    assert extras.install_line("search") == f"pip install -e '{repository}[search]'"
