"""Run every command that the docs show, in order, on a copy of the tree, and compare what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_shown import copy_tree, docs_with, run_what_is_shown
from tests.first_tree import write_first_tree

# One worker of `pytest -n` runs all: a doc may go on from what those before it have left.
pytestmark = pytest.mark.xdist_group("docs")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("docs") / "heyhi")


@pytest.mark.parametrize("doc", docs_with("console"), ids=lambda doc: doc.name)
def test_commands_of_the_docs_do_what_is_shown(doc: Path, tree: Path) -> None:
    run_what_is_shown(doc, "console", tree)


@pytest.mark.parametrize("doc", docs_with("console old tree"), ids=lambda doc: doc.name)
def test_an_old_tree_comes_in_by_the_commands_that_are_shown(doc: Path, tmp_path: Path) -> None:
    run_what_is_shown(doc, "console old tree", write_first_tree(tmp_path / "bakery"))
