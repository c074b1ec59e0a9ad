"""The app and its twin of docs/from-hydra.md; Hydra's side is run where Hydra is installed (the extra `bench`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tests.docs_shown import ROOT, follow


def test_the_app_and_its_twin_do_what_the_page_shows(tmp_path: Path) -> None:
    kinds = ("console hydra", "console twin") if find_spec("hydra") is not None else ("console twin",)
    follow(ROOT / "docs/from-hydra.md", kinds, tmp_path)
