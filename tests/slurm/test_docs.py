"""Run every command that the docs show for a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_shown import copy_tree, docs_with, run_what_is_shown


@pytest.mark.parametrize("doc", docs_with("console cluster"), ids=lambda doc: doc.name)
def test_commands_for_a_cluster_do_what_is_shown(doc: Path, tmp_path: Path) -> None:
    run_what_is_shown(doc, "console cluster", copy_tree(tmp_path / "heyhi"))
