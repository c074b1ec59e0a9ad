"""The site of the docs in a real browser, opened from the disk: it finds words, and asks nobody for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.docs_built import build_docs


def test_a_reader_finds_a_word_follows_links_and_needs_no_network(chromium: Any, tmp_path: Path) -> None:
    site = build_docs(tmp_path)
    context = chromium.new_context()
    context.set_default_timeout(120_000)  # milliseconds, after which something hangs
    page = context.new_page()
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("requestfailed", lambda request: messages.append(f"failed: {request.url}"))
    page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: messages.append(f"uncaught: {error}"))

    page.goto((site / "index.html").as_uri())
    page.wait_for_url("**/README.html")
    assert page.locator("h1").text_content().startswith("HeyHi's pages")
    page.get_by_placeholder("Search").fill("requeue")
    page.keyboard.press("Enter")
    page.wait_for_selector("ul.search li a")
    page.wait_for_function("document.querySelector('.search-summary')?.textContent.includes('found')")
    found = page.locator("ul.search li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert any(link.startswith("slurm.html") for link in found), found

    page.locator("ul.search li a[href^='slurm.html']").first.click()
    page.wait_for_url("**/slurm.html*")
    page.locator("article a[href='workflow.html#a-process-that-does-not-end']").first.click()
    page.wait_for_url("**/workflow.html#a-process-that-does-not-end")
    assert page.locator("#a-process-that-does-not-end h2, #a-process-that-does-not-end h3").first.is_visible()

    assert [url for url in requests if not url.startswith(("file://", "data:"))] == []
    assert messages == []
    context.close()
