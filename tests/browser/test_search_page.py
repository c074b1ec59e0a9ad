"""The page of a search in a real browser: the best so far, parallel coordinates, which keys matter, and rungs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from heyhi.report.page import PageData
from heyhi.report.searched import Searched
from heyhi.search.trial import State, Trial
from heyhi.sweep.search_spec import AshaSpec, Axis, SearchSpec
from tests.browser.test_page_in_browser import settled
from tests.browser.test_page_view import typed

AXES = (
    Axis("lr", "float", low=1e-4, high=1, log=True),
    Axis("batch_size", "choice", ("16", "32", "64")),
    Axis("optimizer", "choice", ("sgd", "adam")),
    Axis("adam.beta1", "float", low=0.5, high=0.99, only_if=(("optimizer", "adam"),)),
)


def search(count: int, planned: int, bad: float | None = None) -> PageData:
    """Make a page of a search: a third of its trials is ended at rung 3, the first one has died."""
    drawn, trials, rows = random.Random(1), [], []
    rungs: dict[int, dict[int, float]] = {3: {}, 9: {}}
    for slot in range(count):
        picked: dict[str, Any] = {"lr": float(f"{10 ** drawn.uniform(-4, 0):.4g}"), "batch_size": "32"}
        picked["optimizer"] = drawn.choice(["sgd", "adam"])
        if picked["optimizer"] == "adam":
            picked["adam.beta1"] = round(drawn.uniform(0.5, 0.99), 3)
        value: float | None = round(1 - abs(math.log10(picked["lr"]) + 2) / 4 - drawn.random() / 20, 4)
        state: State = "dead" if slot == 0 else "pruned" if slot % 3 == 2 else "done"
        value = None if state == "dead" else bad if bad is not None and slot == 4 else value
        exp_id = f"p/sl/{slot}<b>"
        trials.append(Trial(slot, exp_id, picked, state, value))
        if value is not None:
            rungs[3][slot] = value
            if state == "done":
                rungs[9][slot] = value
        status = {"dead": "DEAD", "pruned": "PRUNED", "done": "DONE"}[state]
        adam = picked.get("adam.beta1")
        rows.append({"status": status, "trial": slot, **picked, "adam.beta1": adam, "acc": value, "exp_id": exp_id})
    spec = SearchSpec("conf/x", (), AXES, "acc", "max", planned, stop=AshaSpec())
    keys = [axis.key for axis in AXES]
    counts = [trial.state == "done" for trial in trials]
    searched = Searched(spec, trials, rungs=rungs)
    return PageData("tune", typed(rows), ["acc"], keys, counts=counts, searches=[searched])


def drawn(page: Any) -> list[dict[str, Any]]:
    found = page.evaluate("document.getElementById('search').data.map(({name, x, y, type}) => ({name, x, y, type}))")
    assert isinstance(found, list)
    return found


def note(page: Any) -> str:
    return str(page.locator("#search-note").text_content())


def test_a_search_is_drawn_by_its_best_its_space_its_keys_and_its_rungs(open_page: Callable[..., Any]) -> None:
    data = search(30, 40)
    page = open_page(data)
    assert page.locator("#search-card").is_visible() and page.locator("#search-best").text_content().startswith("best")
    traces = {trace["name"]: trace for trace in drawn(page)}
    assert list(traces) == ["done", "pruned", "best so far"]
    best = data.searches[0].best
    assert best is not None and traces["best so far"]["y"][-1] == best.value
    assert traces["best so far"]["y"] == sorted(traces["best so far"]["y"])
    assert note(page).startswith("30 of 40 trials · ● 19 done · ") and "10 ended early" in note(page)
    box = page.locator("#search .points path").nth(0).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # the plot's own layer hears of it
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 1")
    assert "1<b>" in page.locator("tr[aria-selected=true]").text_content()

    page.locator("#search-shape").select_option("parallel")
    settled(page, "document.getElementById('search-note').textContent.startsWith('29 trials, coloured by acc')")
    heads = page.evaluate("document.getElementById('search').layout.xaxis.ticktext")
    assert heads == ["lr", "optimizer", "adam.beta1", "acc"]

    page.locator("#search-shape").select_option("importance")
    settled(page, "document.getElementById('search').data[0].type === 'bar'")
    assert page.evaluate("document.getElementById('search').layout.yaxis.ticktext.at(-1)") == "lr"

    page.locator("#search-shape").select_option("rungs")
    settled(page, "document.getElementById('search').data.length === 2")
    assert [trace["y"] for trace in drawn(page)] == [[19, 19], [10, 0]]
    assert "rung 3: 29 came, 10 were ended" in note(page)
    page.reload()
    settled(page, "document.getElementById('search').data?.length === 2")  # the address keeps what is drawn


def test_a_search_of_10000_trials_draws_a_bounded_number_of_points(open_page: Callable[..., Any]) -> None:
    data = search(10_000, 10_000, bad=-1e9)
    few = PageData(
        "tune", data.table.head(50), ["acc"], data.overrides, counts=data.counts[:50], searches=data.searches
    )
    page = open_page(few)
    points = sum(len(trace["x"]) for trace in drawn(page) if trace["name"] != "best so far")
    assert points < 2_100
    assert "of 9999 points are drawn" in note(page)
    page = open_page(search(60, 60, bad=-1e9))
    assert "1 beyond the axis" in note(page)


def test_a_page_of_no_search_has_no_card_of_one_and_a_young_search_says_what_lacks(
    open_page: Callable[..., Any],
) -> None:
    data = search(3, 5)
    page = open_page(PageData("plain", data.table, ["acc"], data.overrides))
    assert page.locator("#search-card").is_hidden()
    spec = data.searches[0].spec
    page = open_page(PageData("young", data.table.head(0), ["acc"], data.overrides, searches=[Searched(spec)]))
    assert note(page) == "Nothing to draw: no trial has a value yet"
    for shape, text in (("importance", "too few trials are done (0"), ("rungs", "No trial has come to a rung yet")):
        page.locator("#search-shape").select_option(shape)
        settled(page, f"document.getElementById('search-note').textContent.includes({text!r})")
