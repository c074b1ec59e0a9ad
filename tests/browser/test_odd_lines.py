"""The curves' card in a real browser where one experiment is unlike the others: what is drawn stays readable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd

from heyhi.report.page import PageData
from heyhi.report.page_curves import curves_of
from heyhi.text import readable
from tests.browser.test_curve_means import Lines, drawn, note, seeds, smooth, the_mean
from tests.browser.test_page_in_browser import draw_metrics, layout, settled

USUAL: Lines = [{"epoch": i, "time": float(60 * i), "loss": 1.0 / (1 + i)} for i in range(10)]


def of_many(*runs: Lines, statuses: list[str] | None = None) -> PageData:
    """Make a page of experiments that are nobody's replicates."""
    ids = [f"p/odd/lr={place}" for place in range(len(runs))]
    table = pd.DataFrame({"status": statuses or "DONE", "lr": range(len(runs)), "exp_id": ids})
    curves = {name: curves_of([lines]) for name, lines in zip(ids, runs, strict=True) if lines}
    return PageData("odd", table, [], ["lr"], curves)


def test_a_seed_with_its_own_time_turns_no_axis_and_is_in_no_mean(open_page: Callable[..., Any]) -> None:
    odd = [{"epoch": i % 5, "time": 1.8e9 + 60 * i, "loss": 0.5} for i in range(10)]
    page = open_page(seeds(*[USUAL] * 5, odd))
    assert layout(page)["xaxis"]["title"]["text"] == "epoch"
    assert {count for _, count in the_mean(page)["customdata"]} == {5}
    assert max(x for trace in drawn(page) for x in trace["x"]) == 9
    assert "1 not drawn: over time, far from the others' epoch (seed=5)" in note(page)
    page.locator("#x").select_option("time")
    settled(page, "document.getElementById('curves').layout.xaxis.title.text === 'time'")
    assert max(x for trace in drawn(page) for x in trace["x"]) == 540
    assert "1 not drawn: far from the others' time (seed=5)" in note(page)


def test_what_is_left_out_is_drawn_by_itself(open_page: Callable[..., Any]) -> None:
    odd: Lines = [{"loss": 0.5} for _ in range(1000)]
    page = open_page(of_many(USUAL, USUAL, odd))
    assert layout(page)["xaxis"]["title"]["text"] == "epoch"
    assert len(drawn(page)) == 2
    assert "1 not drawn: over line, far from the others' epoch (lr=2)" in note(page)
    page.locator("#table tbody tr").nth(2).locator("td").nth(2).click()
    page.locator("#lines").select_option("0")
    settled(page, "document.getElementById('curves').data.length === 1")
    assert layout(page)["xaxis"]["title"]["text"] == "line"
    assert "not drawn" not in note(page)


def test_a_mean_leads_nowhere_where_no_run_does(open_page: Callable[..., Any]) -> None:
    late = [{"epoch": 1000 + i, "loss": 0.5} for i in range(10)]
    found = the_mean(open_page(seeds(USUAL, late)))
    gaps = [i for i, y in enumerate(found["y"]) if y is None or y != y]
    assert len(gaps) == 1
    assert found["x"][gaps[0] - 1] == 9 and found["x"][gaps[0] + 1] == 1000


def test_a_run_that_makes_the_others_flat_is_named(open_page: Callable[..., Any]) -> None:
    odd = [*USUAL[:-1], {"epoch": 9, "loss": 1e22}]
    page = open_page(of_many(USUAL, USUAL, odd))
    assert "lr=2 up to 1e+22, far from the others, which look flat" in note(page)
    page.get_by_label("log y").check()
    settled(page, "document.getElementById('curves').layout.yaxis.type === 'log'")
    assert "look flat" not in note(page)


def test_the_first_20_are_those_that_have_curves(open_page: Callable[..., Any]) -> None:
    statuses = ["NOT_STARTED"] * 30 + ["DONE"] * 25
    page = open_page(of_many(*[[]] * 30, *[USUAL] * 25, statuses=statuses))
    assert len(drawn(page)) == 20
    assert page.locator("#lines option").first.text_content() == "first 20 with curves"


def test_what_runs_is_a_plain_line_until_there_is_a_band(open_page: Callable[..., Any]) -> None:
    data = seeds(USUAL, USUAL, USUAL, USUAL)
    status = ["DONE", "RUNNING", "RUNNING", "DEAD"]
    data = replace(data, table=data.table.assign(status=status), counts=[True, False, False, False])
    dashes = sorted(trace["dash"] for trace in drawn(open_page(data)))
    assert dashes == ["dot", "solid", "solid", "solid"]


def test_choosing_what_has_no_curve_dims_none(open_page: Callable[..., Any]) -> None:
    page = open_page(of_many(USUAL, USUAL, [], statuses=["DONE", "DONE", "BLOCKED"]))
    page.locator("#table tbody tr").nth(2).locator("td").nth(2).click()
    settled(page, "document.querySelector('#details h3')")
    opacities = "document.getElementById('curves').data.map(({ opacity }) => opacity)"
    assert page.evaluate(opacities) == [1, 1]
    assert "what is chosen has no curve of this" in note(page)
    page.locator("#table tbody tr").nth(1).locator("td").nth(2).click()
    settled(page, f"Math.min(...{opacities}) < 1")


def test_charts_over_the_same_are_zoomed_together(open_page: Callable[..., Any]) -> None:
    lines = [{**line, "accuracy": 0.5} for line in USUAL]
    page = open_page(of_many(lines, lines))
    draw_metrics(page, "loss", "accuracy")
    page.locator("#multiples").check()
    settled(page, "document.getElementById('curves').layout.xaxis2")
    page.evaluate("Plotly.relayout('curves', { 'xaxis.range': [2, 4] })")
    settled(page, "document.getElementById('curves')._fullLayout.xaxis2.range[1] === 4")


def test_names_in_the_legend_leave_out_what_all_share(open_page: Callable[..., Any]) -> None:
    data = of_many(USUAL, USUAL, USUAL)
    shared = ["a", "a", "b"]
    page = open_page(replace(data, table=data.table.assign(model=shared), overrides=["model", "lr"]))
    assert page.locator("#legend button").first.text_content() == "lr=0 model=a"
    page.locator("#find").fill("model=a")
    settled(page, "document.querySelectorAll('#legend button').length === 2")
    assert page.locator("#legend button").first.text_content() == "lr=0"


def test_a_metric_without_a_name_is_one_among_others(open_page: Callable[..., Any]) -> None:
    data = of_many(*[[{**line, "": 7.0} for line in USUAL]] * 3)
    page = open_page(replace(data, table=data.table.assign(**{"": [1.0, 2.0, 3.0], "loss": 0.5}), metrics=["", "loss"]))
    colours = "document.getElementById('curves').data.map(({ line }) => line.color)"
    assert page.locator("#legend").text_content() == "lr=0lr=1lr=2", "each has its own colour"
    before = page.evaluate(colours)
    page.locator("#colour").select_option("=")
    settled(page, "document.getElementById('legend').textContent.startsWith('\"\"')")
    assert page.evaluate(colours) != before
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#colour").input_value() == "="
    assert '""' in page.locator("#metrics").text_content()


def test_a_long_name_of_a_metric_leaves_its_values_in_sight(open_page: Callable[..., Any]) -> None:
    name = "loss/" + "of_a_part_" * 40
    data = of_many(USUAL, USUAL)
    page = open_page(replace(data, table=data.table.assign(**{name: [0.25, 0.5]}), metrics=[name]))
    page.locator("#table tbody tr").first.locator("td").nth(2).click()
    page.locator("#table tbody tr").nth(1).locator("td").nth(2).click(modifiers=["Control"])
    values = page.locator("#details [data-about=Metrics]")
    values.wait_for()
    assert values.locator("tbody th").get_attribute("title") == name
    box, cell = page.locator("#details").bounding_box(), values.locator("td").last.bounding_box()
    assert cell["x"] + cell["width"] <= box["x"] + box["width"]


def test_what_nobody_would_see_is_its_escape_as_in_the_terminal(open_page: Callable[..., Any]) -> None:
    chars = [chr(code) for code in (*range(0x300), *range(0x2000, 0x2100), 0xFEFF) if chr(code) not in "\n\t\r"]
    text = f"a\u202eb {''.join(chars)} \U0001f600 z"
    data = of_many([{**line, text: 1.0} for line in USUAL], USUAL)
    table = data.table.assign(text=[text, "b"], **{text: [1.0, 2.0]})
    page = open_page(replace(data, title=f"x {text} y", table=table, overrides=["lr", "text"], metrics=[text]))
    assert page.locator("h1").evaluate("element => element.textContent") == readable(f"x {text} y")
    for place in ("title", "h1", "#table thead", "#table tbody", "#metrics", "#legend", "#colour", "#curves-card"):
        shown = page.locator(place).first.evaluate("element => element.textContent + (element.title ?? '')")
        assert "a\\u202eb" in shown or place == "#legend", place
        assert "\u202e" not in shown and "\x07" not in shown, place
    assert "\u202e" not in page.evaluate("document.title")
    page.locator("#table tbody tr").first.locator("td").nth(2).click()
    settled(page, "document.querySelector('#details h3')")
    page.locator("#filter-menu summary").click()
    page.locator("#filter-column").select_option("text")
    page.locator("#filter-form input[type=checkbox]").first.check()
    settled(page, "document.querySelector('#filters button')")
    titles = "[...document.querySelectorAll('[title], [placeholder]')].map((one) => one.title + one.placeholder).join()"
    for shown in (page.evaluate("document.body.innerText"), page.evaluate(titles)):
        assert "\u202e" not in shown
    assert page.locator("#table tbody tr").count() == 1, "it is found by what it is"


def test_many_lines_are_smoothed_when_the_slider_rests(open_page: Callable[..., Any]) -> None:
    page = open_page(of_many(*[USUAL] * 20))
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 10})
    smooth(page, 0.5)  # learns how long a drawing takes
    drawings = page.evaluate(
        """async () => {
          const [slider, frame] = [document.getElementById("smooth"), () => new Promise(requestAnimationFrame)];
          let drawings = 0;
          document.getElementById("curves").on("plotly_afterplot", () => (drawings += 1));
          for (const weight of ["0.6", "0.7", "0.8"]) {
            slider.value = weight;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
            await frame();
          }
          while (!globalThis.heyhi.isDrawn()) await frame();
          return drawings;
        }"""
    )
    assert drawings == 1
