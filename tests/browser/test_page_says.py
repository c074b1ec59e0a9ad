"""The HTML page in a real browser: what it says of what is shown and left out, and how it tells lines apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from heyhi.report.decimation import BUCKETS
from heyhi.report.page import PageData
from heyhi.report.page_curves import curves_of
from tests.browser.test_page_in_browser import draw_metrics, heading, layout, select, settled, sweep, traces
from tests.browser.test_page_view import means, typed


def many(count: int, seeds: int = 1, names: tuple[str, ...] = ("loss",), points: int = 5, **settings: Any) -> PageData:
    """Make a sweep of many learning rates."""
    rows = [
        {"status": "DONE", "loss": 1.0 + place, "lr": place // seeds, "seed": place % seeds, "exp_id": f"p/x/{place}"}
        for place in range(count * seeds)
    ]
    curves = {
        row["exp_id"]: curves_of([[{"step": s, **dict.fromkeys(names, s + row["loss"])} for s in range(points)]])
        for row in rows
    }
    groups = [place // seeds for place in range(len(rows))]
    return PageData("many", typed(rows), ["loss"], ["lr", "seed"], curves, {}, ["seed"], groups=groups, **settings)


def note(page: Any, plot: str = "curves") -> str:
    found = page.locator(f"#{plot}-note").text_content()
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("count", [4, 12, 19])
def test_charts_of_many_metrics_are_as_high_as_their_box_at_once(open_page: Callable[..., Any], count: int) -> None:
    names = tuple(f"metric_{place}" for place in range(count))
    page = open_page(many(3, names=names))
    draw_metrics(page, *names)
    page.get_by_label("a chart each").check()
    settled(page, f"document.querySelectorAll('#curves .subplot.xy, #curves [class^=\"subplot x\"]').length >= {count}")
    box = page.locator("#curves").bounding_box()
    assert page.locator("#curves .main-svg").first.bounding_box()["height"] == pytest.approx(box["height"], abs=1)
    heights = page.locator("#curves .plotclip rect").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    ranges = [layout(page)[name]["domain"] for name in layout(page) if name.startswith("yaxis")]
    assert len(ranges) == count
    assert all((high - low) * (box["height"] - 48) > 120 for low, high in ranges), heights
    page.get_by_label("a chart each").uncheck()
    settled(page, "document.querySelector('#curves .main-svg').getBoundingClientRect().height === 340")


# ---- Colours ----


def colours(page: Any) -> dict[int, str]:
    """Return the colour of each row that is drawn."""
    return {trace["rows"][0]: trace["line"]["color"] for trace in traces(page) if trace["rows"]}


def test_few_lines_of_a_large_sweep_have_different_colours(open_page: Callable[..., Any]) -> None:
    page = open_page(many(60))
    assert len(set(colours(page).values())) == len(colours(page)) == 20
    heading(page, "lr").get_by_role("button", name="Filter").click()
    page.locator(".dtcc-searchNumber, .dtcc-searchText").locator("select").select_option("greater")
    page.locator(".dtcc-searchNumber, .dtcc-searchText").locator("input").fill("49")
    settled(page, "document.getElementById('curves').data.length === 10")
    page.keyboard.press("Escape")
    settled(page, "!document.querySelector('.dtcc-dropdown')")
    before = colours(page)
    assert len(set(before.values())) == 10
    heading(page, "loss").locator(".dt-column-title").click()
    heading(page, "loss").locator(".dt-column-title").click()
    settled(page, "document.querySelector('#table tbody tr').dataset.row === '59'")
    select(page, "Lines").select_option("0")
    for place in (53, 57):
        page.locator(f"#table tr[data-row='{place}']").get_by_role("checkbox").click()
    settled(page, "document.getElementById('curves').data.length === 2")
    assert colours(page).items() <= before.items(), "they stay while the filters do"
    points = dict(enumerate(traces(page, "overrides")[0]["marker"]["color"]))
    assert set(points.values()) == set(before.values()), "one colour in both plots"


def test_single_seeds_are_told_apart(open_page: Callable[..., Any]) -> None:
    page = open_page(many(2, seeds=3))
    page.get_by_label("seeds as bands").uncheck()
    settled(page, "document.getElementById('curves').data.every((one) => one.hoverinfo !== 'skip')")
    assert len(set(colours(page).values())) == 6
    page = open_page(many(5, seeds=4))
    page.get_by_label("seeds as bands").uncheck()
    settled(page, "document.getElementById('curves').data.every((one) => one.hoverinfo !== 'skip')")
    assert len(set(colours(page).values())) == 20


# ---- What was asked for ----


def test_the_head_says_of_how_many_the_shown_ones_were_chosen(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(replace(many(5), total=500, asked=["--where lr>0.9", "--best loss"]))
    said = page.locator("#made").text_content()
    assert said.startswith("5 of 500 experiments (--where lr>0.9 --best loss) · ")
    page = open_page(many(5))
    assert page.locator("#made").text_content().startswith("5 experiments · ")
    page = open_page(replace(means(tmp_path), total=40, asked=["--mean-over seed"]))
    assert page.locator("#made").text_content().startswith("4 rows of 12 of 40 experiments (--mean-over seed) · ")


def test_where_nothing_was_chosen_no_axes_are_drawn(open_page: Callable[..., Any]) -> None:
    empty = many(3)
    page = open_page(replace(empty, table=empty.table[:0], curves={}, groups=[], total=3, asked=["--where lr>7"]))
    assert page.locator("#made").text_content().startswith("None of 3 experiments meets --where lr>7")
    assert page.locator("#table tbody").text_content() == "None of 3 experiments meets --where lr>7"
    assert not page.locator("#curves-card").is_visible() and not page.locator("#overrides-card").is_visible()


def test_without_metrics_no_axes_are_drawn(open_page: Callable[..., Any]) -> None:
    page = open_page(replace(many(3), curves={}))
    assert note(page) == "No experiment has logged metrics."
    assert layout(page)["xaxis"]["visible"] is False and layout(page)["yaxis"]["visible"] is False


def test_the_page_of_a_pivot_names_the_metric_of_its_cells(open_page: Callable[..., Any]) -> None:
    whole = many(2, seeds=2)
    table = typed([{"lr": lr, "seed=0": 1.0, "seed=0.se": 0.1, "seed=0.n": 1} for lr in range(2)])
    page = open_page(
        replace(
            whole,
            **{"table": table, "whole": whole.table, "members": [[0, 1], [2, 3]], "spread": "se"},
            **{"metrics": ["loss", "seed=0"], "pivot": ("lr", "seed", "loss")},
        )
    )
    assert layout(page, "overrides")["yaxis"]["title"]["text"] == "loss · seed=0 ± se"


# ---- What is left out ----


def test_rows_without_an_override_are_said_to_lack_it(open_page: Callable[..., Any], tmp_path: Path) -> None:
    data = many(6)
    beta1 = pd.Series([0.5, 0.9, None, None, None, None], dtype=object)
    table = data.table.assign(**{"adam.beta1": beta1})
    data = replace(data, table=table, overrides=["adam.beta1", "lr"], direction=lambda name: "max")
    page = open_page(data)
    page.locator("#scatter-x").select_option("adam.beta1")
    settled(page, "document.getElementById('overrides').data[0].x.length === 2")
    assert "4 without adam.beta1" in note(page, "overrides")
    assert "★" not in note(page, "overrides"), "the best is none of these"
    page.locator("#scatter-x").select_option("lr")
    settled(page, "document.getElementById('overrides').data[0].x.length === 6")
    assert "★ best (largest)" in note(page, "overrides")
    page.locator("#scatter-log").check()
    settled(page, "document.getElementById('overrides').data[0].x.length === 5")
    assert "1 value at or below 0 is not on a logarithmic axis" in note(page, "overrides")


def signed(values: list[float]) -> PageData:
    curves = {"e": curves_of([[{"step": s + 1, "loss": value} for s, value in enumerate(values)]])}
    return PageData("signed", typed([{"status": "DONE", "exp_id": "e"}]), curves=curves)


def test_a_logarithmic_axis_says_what_it_has_no_place_for(open_page: Callable[..., Any]) -> None:
    page = open_page(signed([3.0, 1.0, 0.0, -1.0, -2.0]))
    assert "logarithmic" not in note(page)
    page.get_by_label("log y").check()
    settled(page, "document.getElementById('curves').layout.yaxis.type === 'log'")
    assert "3 values at or below 0 are not on a logarithmic axis" in note(page)
    page = open_page(signed([-3.0, -1.0]))
    page.get_by_label("log y").check()
    settled(page, "document.getElementById('curves').layout.yaxis.type === 'log'")
    assert page.locator("#curves .annotation").text_content() == "no value above 0, as a logarithmic axis needs"


def test_only_curves_that_were_thinned_out_are_said_to_be(open_page: Callable[..., Any]) -> None:
    assert "minimum and maximum" not in note(open_page(many(2, points=50)))
    assert f"minimum and maximum of up to {BUCKETS} parts" in note(open_page(many(2, points=4 * BUCKETS)))


def test_a_metric_that_is_all_over_something_else_is_not_said_to_be_so_in_part(open_page: Callable[..., Any]) -> None:
    lines: list[dict[str, Any]] = [{"step": s, "loss": 1.0 / (s + 1)} for s in range(20)]
    lines += [{"epoch": e, "val_loss": 1.0 / (e + 1)} for e in range(3)]
    page = open_page(PageData("t", typed([{"status": "DONE", "exp_id": "e"}]), curves={"e": curves_of([lines])}))
    draw_metrics(page, "loss", "val_loss")
    settled(page, "document.getElementById('curves').data.length === 2")
    assert "2 metrics · loss over step" in note(page) and "some of" not in note(page)


def test_columns_that_are_empty_everywhere_are_shown_on_demand(open_page: Callable[..., Any]) -> None:
    data = many(3)
    page = open_page(replace(data, table=data.table.assign(reason="")))
    assert page.locator("#table thead th").filter(has_text="reason").count() == 0
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("button", name="reason", exact=True).click()
    settled(page, "[...document.querySelectorAll('#table thead th')].some((e) => e.textContent.includes('reason'))")


def test_a_band_of_all_seeds_is_named_so(open_page: Callable[..., Any]) -> None:
    page = open_page(many(1, seeds=2, direction=lambda name: "max"))
    assert page.locator("#legend button").all_text_contents() == ["★all seeds"]


# ---- Keys, menus, drawings ----


def test_escape_clears_what_a_box_has_chosen(open_page: Callable[..., Any]) -> None:
    page = open_page(many(3))
    box = page.locator("#table tr[data-row='1']").get_by_role("checkbox")
    box.click()
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 1")
    page.get_by_role("button", name="Columns").click()
    page.locator(".dt-button-collection").wait_for()
    page.keyboard.press("Escape")
    page.locator(".dt-button-collection").wait_for(state="detached")
    assert page.locator("tr[aria-selected=true]").count() == 1, "the menu was closed"
    box.focus()
    page.keyboard.press("Escape")
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 0")


def test_the_menu_of_columns_opens_in_view(open_page: Callable[..., Any]) -> None:
    data = many(3)
    table = data.table.assign(**{f"fact_{place}": place for place in range(40)})
    page = open_page(replace(data, table=table), viewport={"width": 1024, "height": 800})
    page.get_by_role("button", name="Columns").click()
    page.locator(".dt-button-collection").wait_for()
    settled(page, "document.querySelector('.dt-button-collection').getAnimations({subtree: true}).length === 0")
    settled(page, "document.querySelector('.dt-button-collection').getBoundingClientRect().bottom <= innerHeight")
    assert page.locator(".dt-button-collection").bounding_box()["y"] >= 0
    assert page.locator("div.dt-button-background").count() == 0
    page.locator(".buttons-columnVisibility").last.scroll_into_view_if_needed()
    last, menu = (
        page.locator(css).last.bounding_box() for css in (".buttons-columnVisibility", ".dt-button-collection")
    )
    assert last["y"] + last["height"] <= menu["y"] + menu["height"], "it scrolls"


def test_a_drawing_is_light_and_its_legend_in_order(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path), color_scheme="dark")
    page.locator("#curves").hover()
    with page.expect_download() as found:
        page.locator("#curves .modebar-btn").last.click()
    drawing = Path(found.value.path()).read_text()
    dark = page.evaluate(
        """['--card', '--text', '--grid', '--quiet'].map((name) =>
          getComputedStyle(document.documentElement).getPropertyValue(name))"""
    )
    rgb = ["rgb({}, {}, {})".format(*(int(color[i : i + 2], 16) for i in (1, 3, 5))) for color in dark]
    assert not [color for color in rgb if color in drawing]
    assert "rgb(255, 255, 255)" in drawing and "rgb(34, 39, 46)" in drawing
    legend = drawing[drawing.index('class="legend"') :]
    places = [legend.index(f"lr={lr}<") for lr in ("0.001", "0.01", "0.1", "0.3")]
    assert places == sorted(places)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


# ---- Loading again ----


def test_a_page_that_was_left_in_the_search_box_loads_itself_again(open_page: Callable[..., Any]) -> None:
    page = open_page(many(3, refresh=2))
    page.evaluate("window.first = true")
    page.locator(".dt-search input").press_sequentially("p/x")
    while page.locator("#reload").text_content() != "⟳ waits while you work":
        page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.body.dataset.ready && !window.first && globalThis.heyhi")
    found = page.evaluate("[document.activeElement.value, document.activeElement.selectionStart]")
    assert found == ["p/x", 2]
    assert "focus=" not in page.url
