"""A reader who follows docs/tutorial.md word by word, from an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_shown import ROOT, follow


@pytest.mark.slow
def test_a_reader_who_follows_the_tutorial_gets_what_it_shows(tmp_path: Path) -> None:
    # On the path, as `pip install -e .` puts it there.
    follow(ROOT / "docs/tutorial.md", ("console tutorial",), tmp_path, PYTHONPATH=str(tmp_path / "src"))
