"""The page of a search in a real browser: the best so far, parallel coordinates, which keys matter, and rungs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

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
    settled(page, "document.getElementById('search').data.length === 3")
    assert {trace["name"]: trace["y"] for trace in drawn(page)} == {
        "went on": [19, 0],
        "done": [0, 19],
        "ended early": [10, 0],
    }
    assert note(page) == "rung 3: 29 came, 10 were ended early · rung 9: 19 came, 19 came to their end"
    page.reload()
    settled(page, "document.getElementById('search').data?.length === 3")  # the address keeps what is drawn


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


def test_trials_that_were_ended_far_from_the_best_don_t_hide_how_it_became_better(
    open_page: Callable[..., Any],
) -> None:
    data = search(30, 30)
    (whole,) = data.searches
    far = [replace(one, value=-50.0 - one.slot) if one.state == "pruned" else one for one in whole.trials]
    page = open_page(replace(data, searches=[replace(whole, trials=far)]))
    assert "10 beyond the axis" in note(page)
    assert page.evaluate("document.getElementById('search').layout.yaxis.range[0]") > 0


def test_few_trials_stand_at_whole_numbers(open_page: Callable[..., Any]) -> None:
    page = open_page(search(4, 6))
    assert page.locator("#search .xtick text").all_text_contents() == ["0", "1", "2", "3"]


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
        assert not page.locator("#search").is_visible(), "no empty room stands above that"


def test_each_trial_is_counted_once_in_the_line_below_a_search(open_page: Callable[..., Any]) -> None:
    data = search(9, 9, bad=math.nan)
    page = open_page(data)
    assert note(page).startswith(
        "9 of 9 trials · ● 5 done · \u00d7 3 ended early, with what they had by then · 1 of these without a number"
        " · 1 dead"
    )


LONG = ('a,b "q"', "<b>x</b>", "</script><script>alert(1)</script>", "__proto__", "x" * 120, "\u8a9e" * 30)


def of_texts(count: int) -> PageData:
    """Make a page of a search whose space has long and odd texts, and numbers that lie close together."""
    data = search(count, count)
    table = data.table.assign(
        name=[LONG[place % len(LONG)] for place in range(count)],
        batch_size=[(1, 2, 500, 512)[place % 4] for place in range(count)],
    )
    return replace(data, table=table, overrides=["name", *data.overrides])


def boxes(page: Any, plot: str) -> list[tuple[str, float, float, float, float]]:
    """Return the labels of a plot of parallel coordinates, each with its sides: left, top, right, bottom."""
    found = page.locator(f"#{plot} .textpoint text").evaluate_all(
        "all => all.map((e) => [e.textContent, e.getBoundingClientRect()])"
        ".map(([text, box]) => [text, box.left, box.top, box.right, box.bottom])"
    )
    return [tuple(one) for one in found]


@pytest.mark.parametrize("width", [390, 900, 1500])
@pytest.mark.parametrize("data", [search(30, 30), of_texts(30)], ids=["numbers", "texts"])
def test_labels_of_parallel_coordinates_are_whole_and_apart(
    open_page: Callable[..., Any], data: PageData, width: int
) -> None:
    page = open_page(data, viewport={"width": width, "height": 900})
    for plot, shape in (("search", "search-shape"), ("overrides", "shape")):
        page.locator(f"#{shape}").select_option("parallel")
        settled(page, f"document.querySelectorAll('#{plot} .textpoint text').length > 8")
        around = page.locator(f"#{plot}").bounding_box()
        found = boxes(page, plot)
        texts = [text.strip() for text, *_ in found]
        assert {"0.000256", "0.934"} <= set(texts), "both ends of an axis have one"
        for text, left, top, right, bottom in found:
            assert around["x"] <= left and right <= around["x"] + around["width"] + 1, text
            assert around["y"] <= top and bottom <= around["y"] + around["height"] + 1, text
        for i, (text, left, top, right, bottom) in enumerate(found):
            for other, its_left, its_top, its_right, its_bottom in found[i + 1 :]:
                apart = right <= its_left or its_right <= left or bottom <= its_top + 2 or its_bottom <= top + 2
                assert apart, (text, other)


def test_axes_of_parallel_coordinates_turn_with_the_room_that_there_is(open_page: Callable[..., Any]) -> None:
    page = open_page(of_texts(30), viewport={"width": 1400, "height": 900})
    page.locator("#search-shape").select_option("parallel")
    settled(page, "document.getElementById('search').layout.xaxis.ticktext?.includes('name')")
    page.set_viewport_size({"width": 390, "height": 844})
    settled(page, "!document.getElementById('search').layout.xaxis.visible")
    assert page.locator("#search").bounding_box()["height"] > 300, "one below the other"
    page.set_viewport_size({"width": 1400, "height": 900})
    settled(page, "document.getElementById('search').layout.xaxis.ticktext?.includes('name')")
    page.locator("#search-shape").select_option("history")
    settled(page, "document.getElementById('search').clientHeight === 300")
    settled(page, "document.querySelector('#search .main-svg').getBoundingClientRect().height === 300")
