"""Each of examples/, run by itself in a tree without results; its lines `#>` are what it prints, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_shown import ROOT, run_example

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("[0-9]*") if "slurm" not in path.name)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.slow
def test_an_example_prints_what_it_shows(example: Path, tmp_path: Path) -> None:
    run_example(example, tmp_path)


def test_the_page_of_examples_has_each_with_what_it_says_of_itself() -> None:
    page = (ROOT / "docs/examples.md").read_text()
    for example in sorted((ROOT / "examples").glob("[0-9]*")):
        text = example.read_text()
        says = text.splitlines()[0].strip('#" ')
        assert f"[{example.name}](../examples/{example.name})" in page
        assert says in page, says
        assert len(text.splitlines()) < 40
