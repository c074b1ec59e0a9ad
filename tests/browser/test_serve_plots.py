"""The plots of a live page: curves are fetched for what is drawn, and grow under whoever looks at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from heyhi.report.page import PageData
from tests.browser.served import Lab, Watch, append, attempt, line, settled

DRAWN = """() => document.getElementById("curves").data.map(({ x, y, name, mode, xaxis }) =>
  ({ x: [...x], y: [...y], name, mode, xaxis: xaxis ?? "x" }))"""

AT_POINT = """([x, y]) => {
  const { xaxis, yaxis } = document.getElementById("curves")._fullLayout;
  const { left, top } = document.getElementById("curves").getBoundingClientRect();
  return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y)];
}"""


def asked(page: Any) -> list[dict[str, list[str]]]:
    """Remember what the page asks for curves."""
    found: list[dict[str, list[str]]] = []

    def keep(request: Any) -> None:
        url = urlsplit(request.url)
        if url.path == "/curves":
            found.append(parse_qs(url.query))

    page.on("request", keep)
    return found


def set_control(page: Any, name: str, value: object) -> None:
    page.evaluate(
        """([id, value]) => {
          const control = document.getElementById(id);
          if (control.type === "checkbox") control.checked = value; else control.value = value;
          control.dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        [name, value],
    )
    settled(page)


def draw_metrics(page: Any, *names: str) -> None:
    page.evaluate(
        """(names) => {
          for (const input of document.querySelectorAll("#metrics input[type=checkbox]"))
            input.checked = names.includes(input.value);
          document.getElementById("metrics").dispatchEvent(new Event("input", { bubbles: true }));
        }""",
        list(names),
    )
    settled(page)


def note(page: Any) -> str:
    return str(page.locator("#curves-note").text_content())


def test_curves_are_asked_for_of_the_drawn_rows_and_metrics_by_pixels(lab: Lab, watch: Watch) -> None:
    lab.make([{"lr": lr / 100, "seed": 0} for lr in range(1, 41)])
    context = watch.context()
    questions = asked(context)
    page = watch.open(lab.serve(), "#lines=20", context=context)
    settled(page, "document.getElementById('curves').data.length === 20")
    assert sum(len(one["keys"][0].split(",")) for one in questions) == 20
    assert {tuple(one["metrics"]) for one in questions} == {("val_accuracy",)}
    width = page.evaluate("document.getElementById('curves').clientWidth")
    assert all(width / 2 < int(one["points"][0]) <= width for one in questions)
    questions.clear()
    draw_metrics(page, "loss")
    assert {tuple(one["metrics"]) for one in questions} == {("loss",)}
    questions.clear()
    draw_metrics(page, "val_accuracy")
    assert not questions, "they are kept"
    page.locator("#table tbody tr").nth(30).locator("td").nth(2).click()
    settled(page, "document.getElementById('curves').data.length === 21")
    assert [len(one["keys"][0].split(",")) for one in questions] == [1], "what is chosen is drawn as well"


def test_the_first_20_are_those_that_have_logged_something(lab: Lab, watch: Watch) -> None:
    folders = lab.expand([{"lr": lr / 100, "seed": 0} for lr in range(1, 61)])
    for folder in folders[35:]:
        append(folder, line(1, loss=1.0), line(2, loss=0.5))
        attempt(folder)
    page = watch.open(lab.serve(), "#lines=20")
    settled(page, "document.getElementById('curves').data.length === 20")


def test_a_curve_grows_and_zoom_choice_and_what_is_told_of_a_point_stay(lab: Lab, watch: Watch) -> None:
    folders = lab.make([{"lr": 0.1, "seed": 0}, {"lr": 0.2, "seed": 0}])
    page = watch.open(lab.serve())
    settled(page, "document.getElementById('curves').data.length === 2")
    page.locator("#table tbody tr").nth(1).locator("td").nth(2).click()
    page.evaluate("Plotly.relayout('curves', { 'xaxis.range': [20, 40], 'yaxis.range': [0.3, 0.9] })")
    settled(page)
    page.mouse.move(*page.evaluate(AT_POINT, [30, 2 / 3]))
    page.wait_for_selector("#curves .hovertext")
    append(folders[0], line(6, loss=0.05, val_accuracy=0.95))
    settled(page, "document.getElementById('curves').data.some(({ x }) => x.length === 6)")
    assert page.evaluate("document.getElementById('curves').layout.xaxis.range") == [20, 40]
    assert page.locator("#table tbody tr[aria-selected=true]").count() == 1
    page.wait_for_selector("#curves .hovertext")
    assert max(y for trace in page.evaluate(DRAWN) for y in trace["y"]) == pytest.approx(0.95)


def test_nothing_is_drawn_anew_under_a_drag(lab: Lab, watch: Watch) -> None:
    folders = lab.make([{"lr": 0.1, "seed": 0}])
    page = watch.open(lab.serve())
    settled(page, "document.getElementById('curves').data.length === 1")
    box = page.locator("#curves .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.25 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.75 * box["height"], steps=4)
    append(folders[0], line(6, loss=0.05, val_accuracy=0.95))
    settled(page, "document.getElementById('table').textContent.includes('0.95')")
    assert len(page.evaluate(DRAWN)[0]["x"]) == 5
    page.mouse.up()
    settled(page, "document.getElementById('curves').data[0].x.length === 6")
    low, high = page.evaluate("document.getElementById('curves').layout.xaxis.range")
    assert 15 < low < 25 < 35 < high < 45, "the zoom is what was dragged"


def test_a_first_metric_and_a_new_axis_come_to_an_open_page(lab: Lab, watch: Watch) -> None:
    folders = lab.expand([{"lr": 0.1, "seed": 0}])
    page = watch.open(lab.serve())
    settled(page)
    assert note(page) == "No experiment has logged metrics."
    attempt(folders[0], None)
    append(folders[0], {"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25})
    settled(page, "document.getElementById('curves').data?.length === 1")
    assert page.evaluate(DRAWN)[0]["x"] == [1, 2]
    assert page.locator("#x").input_value() == "epoch"
    append(folders[0], *({"epoch": epoch, "step": 10 * epoch, "loss": 1 / epoch} for epoch in range(3, 9)))
    settled(page, "[...document.getElementById('x').options].some(({ value }) => value === 'step')")
    set_control(page, "x", "step")
    assert page.evaluate(DRAWN)[0]["x"][-1] == 80


def test_seeds_are_bands_on_a_live_page(lab: Lab, watch: Watch) -> None:
    lab.make([{"lr": lr, "seed": seed} for lr in (0.1, 0.2) for seed in range(3)])
    page = watch.open(lab.serve())
    settled(page, "document.getElementById('curves').data.length === 6")
    assert "2 bands (mean ± standard error)" in note(page)
    page.locator("#legend button").first.click()
    settled(page, "document.querySelectorAll('#table tbody tr[aria-selected=true]').length === 3")
    set_control(page, "seeds", False)
    assert len(page.evaluate(DRAWN)) == 6
    assert "6 lines" in note(page)


def test_of_many_charts_those_in_sight_are_fetched_and_drawn(lab: Lab, watch: Watch) -> None:
    (folder,) = lab.expand([{"lr": 0.1, "seed": 0}])
    names = [f"train/m{n:02}" for n in range(30)]
    attempt(folder, None)
    append(folder, *({"step": step, **{name: step / (1 + n) for n, name in enumerate(names)}} for step in range(5)))
    page = watch.open(lab.serve(), viewport={"width": 1400, "height": 700})
    settled(page, "document.getElementById('curves').data.length === 1")
    page.locator("#metrics-menu summary").click()
    page.locator("#metrics-search").fill("m0")
    assert page.locator("#metrics label:visible").count() == 10
    page.keyboard.press("Escape")
    questions = asked(page)
    page.evaluate("document.getElementById('multiples').checked = true")
    draw_metrics(page, *names)
    drawn = len(page.evaluate(DRAWN))
    assert 3 <= drawn < 24
    assert len({name for one in questions for name in one["metrics"]}) <= drawn
    assert "the first 24 of these have a chart" in note(page)
    page.locator("#curves-note").scroll_into_view_if_needed()
    settled(page, f"document.getElementById('curves').data.length > {drawn}")


def test_what_cannot_be_fetched_is_said_and_tried_again(lab: Lab, watch: Watch) -> None:
    lab.make([{"lr": 0.1, "seed": 0}])
    served = lab.serve()
    page = watch.open(served)
    settled(page, "document.getElementById('curves').data.length === 1")
    watch.allowed += ["Failed to load resource"]
    page.route("**/curves?*", lambda route: route.fulfill(status=500, body="no more files"))
    draw_metrics(page, "loss")
    settled(page, "document.getElementById('curves-note').textContent.includes('no more files')")
    page.unroute("**/curves?*")
    settled(page, "document.getElementById('curves').data.length === 1")
    assert "no more files" not in note(page)


def test_names_of_metrics_and_overrides_stay_text_in_plots(lab: Lab, watch: Watch) -> None:
    hostile = "<img src=x onerror=alert(1)>%{y}"
    (folder,) = lab.expand([{"lr": 0.1, "seed": 0, "text": hostile}])
    attempt(folder, None)
    append(folder, {"step": 1, hostile: 0.5}, {"step": 2, hostile: 0.25})
    page = watch.open(lab.serve())
    settled(page, "document.getElementById('curves').data.length === 1")
    assert hostile in page.locator("#metrics").text_content()
    assert page.locator("img").count() == 0


def test_of_thousands_of_rows_some_are_drawn_and_a_drag_chooses_all_in_its_frame(
    open_page: Callable[..., Any],
) -> None:
    count = 5000
    table = pd.DataFrame(
        {
            "exp_id": [f"p/x/{n:04}" for n in range(count)],
            "status": "DONE",
            "lr": [n / count for n in range(count)],
            "loss": [(n * 7 % 100) / 100 for n in range(count)],
        }
    )
    page = open_page(PageData("many", table, metrics=["loss"], overrides=["lr"]))
    settled(page, "document.getElementById('overrides').data?.[0]?.x.length > 1000")
    assert page.evaluate("document.getElementById('overrides').data[0].x.length") < 2500
    assert "of them are drawn" in page.locator("#overrides-note").text_content()
    box = page.locator("#overrides .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 1, steps=4)
    page.mouse.up()
    settled(page, "document.querySelector('#details h2')?.textContent.endsWith('chosen')")
    chosen = int(page.locator("#details h2").text_content().split()[0])
    assert 2000 < chosen < 3000
