"""`make docs`: no link of a page leads nowhere, each page stands in the list beside it, and none asks a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs_site.pictures import FOLDER, MOST_BYTES, SHOTS
from tests.docs_built import build_docs


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_docs(tmp_path_factory.mktemp("site"))


def test_every_page_is_made_and_listed_beside_all_others(site: Path, repository: Path) -> None:
    names = {path.stem for path in (repository / "docs").glob("*.md")}
    made = {path.stem for path in site.glob("*.html")} - {"index", "find"}
    assert made == names
    for page in ("index", "slurm"):
        text = (site / f"{page}.html").read_text()
        listed = set(re.findall(r'<a class="reference internal" href="([\w-]+)\.html">', text))
        assert page == "index" or names - {"README", page} <= listed
        assert page == "index" or 'href="search.html">Search</a>' in text, "not Sphinx's own"
    assert "trials" in (site / "search.html").read_text(), "where one searches has its place"
    assert 'url=README.html"' in (site / "index.html").read_text()


def test_nothing_of_a_page_comes_from_elsewhere(site: Path) -> None:
    """What a browser fetches by itself; a link that a reader follows may lead anywhere."""
    for page in site.glob("*.html"):
        text = page.read_text()
        fetched = re.findall(r'<(?:script|img|iframe|source)\b[^>]* src="([^"]*)"', text)
        fetched += re.findall(r'<link\b[^>]* href="([^"]*)"', text)
        assert len(fetched) > 3 or page.stem == "index"
        assert [url for url in fetched if re.match(r"(?:[a-z]+:)?//", url)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", style.read_text()), style


def test_the_pictures_are_those_that_are_taken_and_small_and_each_is_shown(repository: Path) -> None:
    found = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert set(found) == {f"{shot.name}.png" for shot in SHOTS}
    assert max(found.values()) <= MOST_BYTES
    texts = [path.read_text() for path in [*(repository / "docs").glob("*.md"), repository / "README.md"]]
    assert {name for name in found if any(f"/pictures/{name})" in text for text in texts)} == set(found)
