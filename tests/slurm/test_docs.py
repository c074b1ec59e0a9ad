"""Run every command that the docs show for a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_shown import ROOT, copy_tree, docs_with, follow, run_example, run_what_is_shown


@pytest.mark.parametrize("doc", docs_with("console cluster"), ids=lambda doc: doc.name)
def test_commands_for_a_cluster_do_what_is_shown(doc: Path, tmp_path: Path) -> None:
    run_what_is_shown(doc, "console cluster", copy_tree(tmp_path / "heyhi"))


def test_a_reader_who_follows_the_tutorial_to_its_end_has_runs_on_the_cluster(tmp_path: Path) -> None:
    kinds = ("console tutorial", "console tutorial cluster")
    follow(ROOT / "docs/tutorial.md", kinds, tmp_path, PYTHONPATH=str(tmp_path / "src"))


def test_the_example_for_a_cluster_prints_what_it_shows(tmp_path: Path) -> None:
    run_example(ROOT / "examples/14_slurm.sh", tmp_path)
