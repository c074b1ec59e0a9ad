"""The HTML page in a real browser: means, what is marked, what it opens with, what its address keeps, and reloading."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pandas as pd
import pytest

from heyhi.report.page import PageData, write_page
from heyhi.report.page_curves import curves_of
from tests.browser.test_page_in_browser import (
    SEEDS,
    accuracy,
    chosen,
    draw_metrics,
    heading,
    layout,
    row,
    select,
    settled,
    shown,
    sweep,
    traces,
)

EPOCHS = 20


def typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a table whose gaps are None."""
    return pd.DataFrame({key: pd.Series([row.get(key) for row in rows], dtype=object) for key in rows[0]})


def means(tmp_path: Path) -> PageData:
    """Put the seeds of the sweep together; of the last learning rate none is DONE."""
    page = sweep(tmp_path)
    rows, members = [], []
    for place, lr in enumerate((0.001, 0.01, 0.1, 0.3)):
        values = [accuracy(lr, seed, EPOCHS) for seed in range(SEEDS)]
        runs = list(range(place * SEEDS, (place + 1) * SEEDS))
        if lr == 0.01:
            values.pop()  # one is left out
        is_done = lr != 0.3
        members.append(runs)
        rows.append(
            {
                "status": "DONE" if is_done else "2/3 DEAD, 1/3 NOT_STARTED",
                "lr": lr,
                "best_val_accuracy": statistics.mean(values) if is_done else None,
                "best_val_accuracy.se": statistics.stdev(values) / math.sqrt(len(values)) if is_done else None,
                "n": len(values) if is_done else 0,
                "wanted": SEEDS,
                "excluded": "seed=2: bad data" if lr == 0.01 else None,
                "code": "2 versions" if lr == 0.1 else None,
            }
        )
    counts = [place < 9 and place != 5 for place in range(12)]
    return replace(page, table=typed(rows), whole=page.table, members=members, counts=counts, spread="se", hidden=())


def test_rows_of_means_say_how_far_they_spread_and_of_how_many_they_are(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(means(tmp_path))
    heads = page.locator("#table thead .dt-column-title").all_text_contents()
    assert heads[1:5] == ["marks", "status", "lr", "best_val_accuracy ± se"]
    assert "best_val_accuracy.se" not in heads, "it stands beside the mean"
    assert shown(page, 4) == ["0.9640 ± 0.0058", "0.9600 ± 0.0050 (2/3)", "0.8650 ± 0.0058", ""]
    assert shown(page, 1) == ["", "excluded", "code 2 versions", ""]
    assert page.locator("#statuses button").all_text_contents() == ["9 DONE", "2 DEAD", "1 NOT_STARTED"]
    heading(page, "best_val_accuracy ± se").locator(".dt-column-title").click()
    settled(page, "document.querySelector('th[aria-sort=ascending]')")
    assert [text[:5] for text in shown(page, 4)] == ["0.865", "0.960", "0.964", ""]
    page.get_by_role("button", name="2 DEAD").click()
    settled(page, "document.querySelectorAll('#table tbody tr').length === 1")


def test_a_band_is_of_those_that_count_and_the_others_are_dotted(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(means(tmp_path))
    row(page, "0.01").locator("td").nth(2).click()
    settled(page, "!document.getElementById('details').hidden")
    drawn = [trace for trace in traces(page) if trace["rows"] == [1]]
    last = [accuracy(0.01, seed, EPOCHS) for seed in range(2)]
    assert [trace["line"].get("dash") for trace in drawn] == ["dot", "solid"]
    assert drawn[0]["y"][-1] == pytest.approx(accuracy(0.01, 2, EPOCHS))
    assert drawn[1]["y"][-1] == pytest.approx(statistics.mean(last))
    note = page.locator("#curves-note").text_content()
    assert "3 bands (mean ± standard error)" in note and "dotted" in note
    listed = page.locator("#details details").first.locator("tbody tr").all_text_contents()
    assert [text for text in listed if "doesn't count" in text] == [listed[2]]
    page.locator("#details").get_by_role("button", name="seed=2").click()
    settled(page, "document.querySelector('#details h3.id').textContent === 'p/sl/lr=0.01_seed=2'")


def test_the_band_is_as_wide_as_the_spread_that_was_asked_for(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(replace(sweep(tmp_path), spread="ci95"))
    _, high, mean = traces(page)[:3]
    last = [accuracy(0.001, seed, EPOCHS) for seed in range(SEEDS)]
    half = 4.302653 * statistics.stdev(last) / math.sqrt(SEEDS)
    assert high["y"][-1] - mean["y"][-1] == pytest.approx(half, abs=1e-6)
    assert "95 % confidence interval" in page.locator("#curves-note").text_content()


def test_replicates_of_other_code_are_marked_where_they_are_put_together(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    data = sweep(tmp_path)
    table = data.table.assign(code=["aaa", "bbb", "bbb"] + ["aaa"] * 9)
    page = open_page(replace(data, table=table))
    assert page.locator("#legend .mark").all_text_contents() == ["code 2 versions"]
    assert "1 made by several versions of the code" in page.locator("#curves-note").text_content()
    page = open_page(replace(data, packages=[None, "p", "q", *["r", None, "r"] * 3]))
    assert page.locator("#legend button:has(.mark)").all_text_contents() == ["★lr=0.001code 2 versions"]


def test_train_and_val_share_a_chart_or_have_one_each(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path))
    page.get_by_label("seeds as bands").uncheck()
    draw_metrics(page, "loss", "val_accuracy")
    settled(page, "document.getElementById('curves').data.length === 22")
    assert {trace["line"]["dash"] for trace in traces(page)} == {"solid", "dash"}
    assert page.locator("#legend svg.dash").count() == 2
    page.get_by_label("a chart each").check()
    settled(page, "document.getElementById('curves').layout.yaxis2?.title")
    found = layout(page)
    assert [found[name]["title"]["text"] for name in ("yaxis", "yaxis2")] == ["loss", "val_accuracy"]
    assert found["xaxis"]["domain"][1] < found["xaxis2"]["domain"][0], "side by side"
    assert {trace["line"]["dash"] for trace in traces(page)} == {"solid"}
    assert page.locator("#curves .subplot").count() >= 2


def test_one_runs_metrics_are_told_apart_by_colour(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path))
    draw_metrics(page, "loss", "val_accuracy")
    row(page, "lr=0.1_seed=1").get_by_role("checkbox").click()
    page.get_by_label("seeds as bands").uncheck()
    select(page, "Lines").select_option("0")
    settled(page, "document.getElementById('curves').data.length === 2")
    assert len({trace["line"]["color"] for trace in traces(page)}) == 2


def test_the_legend_names_what_is_drawn_and_chooses_it(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path))
    assert page.locator("#legend button").all_text_contents() == ["★lr=0.001", "lr=0.01", "lr=0.1", "lr=0.3"]
    page.locator("#legend").get_by_role("button", name="lr=0.1").click()
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 3")
    assert chosen(page) == [f"lr=0.1_seed={seed}" for seed in range(SEEDS)]
    settled(page, "document.querySelectorAll('#legend button[aria-pressed=true]').length === 1")
    assert page.locator("#legend button[aria-pressed=true]").all_text_contents() == ["lr=0.1"]


def test_a_plot_is_saved_as_a_drawing_with_its_legend(
    open_page: Callable[..., Any], tmp_path: Path, plot: str = "curves"
) -> None:
    page = open_page(sweep(tmp_path))
    page.locator("#curves").hover()
    with page.expect_download() as found:
        page.locator(f"#{plot} .modebar-btn").last.click()
    assert found.value.suggested_filename.startswith("digits_Learning_curves")
    assert found.value.suggested_filename.endswith(".svg")
    drawing = Path(found.value.path()).read_text()
    assert drawing.startswith("<svg")
    for text in ("lr=0.01", "lr=0.3", "val_accuracy", "step"):
        assert text in drawing


def test_the_best_row_is_marked_where_one_knows_which_way_is_better(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    data = sweep(tmp_path)
    page = open_page(data)
    assert page.locator("tr.best-row span.id").all_text_contents() == ["lr=0.001_seed=0"]
    assert page.locator("#table td .best").all_text_contents() == ["0.974"]
    unknown = data.table.rename(columns={"best_val_accuracy": "latency_ms"})
    page = open_page(replace(data, table=unknown, metrics=["latency_ms"]))
    assert page.locator("tr.best-row, #table td .best").count() == 0
    page = open_page(replace(data, table=unknown, metrics=["latency_ms"], direction=lambda name: "min"))
    assert page.locator("tr.best-row span.id").all_text_contents() == ["lr=0.1_seed=2"], "what is DEAD isn't the best"
    assert "★ best (smallest)" in page.locator("#overrides-note").text_content()


def test_rows_that_are_equally_good_are_marked_all(open_page: Callable[..., Any], tmp_path: Path) -> None:
    data = sweep(tmp_path)
    rounded = data.table.assign(best_val_accuracy=[0.9] * 9 + [0.95, 0.95, None])
    page = open_page(replace(data, table=rounded))
    assert page.locator("tr.best-row").count() == 9, "of what is DONE"


def test_a_curve_says_which_run_it_is(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path))
    box = page.locator("#curves .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.15)
    page.wait_for_selector("#curves .hoverlayer .hovertext")
    told = page.locator("#curves .hoverlayer").text_content()
    assert "lr=" in told and "mean ± standard error of 3" in told and "_seed=0 and 2 more" in told
    page.get_by_label("seeds as bands").uncheck()
    settled(page, "document.getElementById('curves').data.length === 11")
    end = page.evaluate(
        """() => {
          const line = [...document.querySelectorAll("#curves .js-line")].at(-1); // below the buttons
          const {x, y} = line.getPointAtLength(line.getTotalLength());
          const point = new DOMPoint(x, y).matrixTransform(line.getScreenCTM());
          return [point.x - 1, point.y];
        }"""
    )
    page.mouse.move(*end)
    settled(page, "/lr=[0-9.]+ seed=[0-9]/.test(document.querySelector('#curves .hoverlayer').textContent)")
    assert "_seed=" in page.locator("#curves .hoverlayer").text_content(), "its exp id"


def small() -> PageData:
    """Make a sweep as a first run has it: most columns say nothing."""
    rows = [
        {
            "status": "DONE",
            "batch_size": [16, 32][place % 2],
            "lr": [1e-4, 3e-4, 1e-3, 1e-2][place],
            "seed": place,
            "epoch": 50,
            "loss": 0.1,
            "val_accuracy": 0.5 + place / 10,
            "exp_id": f"p/x/{place}",
        }
        for place in range(4)
    ]
    lines = [{"step": s, "epoch": s // 10, "loss": 1 / (s + 1), "val_accuracy": 1 - 1 / (s + 2)} for s in range(30)]
    names = [row["exp_id"] for row in rows]
    overrides = ["batch_size", "seed", "lr"]
    return PageData(
        "first",
        typed(rows),
        ["epoch", "loss", "val_accuracy"],
        overrides,
        dict.fromkeys(names, curves_of([lines])),
        {},
        ["seed"],
    )


def test_the_first_picture_says_something(open_page: Callable[..., Any]) -> None:
    page = open_page(small())
    found = layout(page, "overrides")
    assert [found[axis]["title"]["text"] for axis in ("xaxis", "yaxis")] == ["lr", "val_accuracy"]
    assert layout(page)["yaxis"]["title"]["text"] == "val_accuracy"


def test_small_numbers_on_a_log_axis_have_exponents(open_page: Callable[..., Any]) -> None:
    page = open_page(small())
    settled(page, "document.getElementById('overrides').layout.xaxis.type === 'log'")
    ticks = page.locator("#overrides .xaxislayer-above text").all_text_contents()
    assert [tick.replace("\u2212", "-") for tick in ticks] == ["1e-4", "1e-3", "0.01"]


def test_a_seed_is_no_axis_of_parallel_coordinates(open_page: Callable[..., Any]) -> None:
    page = open_page(small())
    page.locator("#shape").select_option("parallel")
    settled(page, "document.getElementById('overrides').data.length > 1")
    assert layout(page, "overrides")["xaxis"]["ticktext"] == ["batch_size", "lr", "val_accuracy"]


def contrast(page: Any, selector: str) -> float:
    """Return the contrast of an element's text with what is behind it, as the accessibility guidelines define it."""
    colours = page.locator(selector).first.evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
    )

    def light(color: str) -> float:
        parts = [float(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted(map(light, colours), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_row_that_is_chosen_and_pointed_at_can_be_read(
    open_page: Callable[..., Any], tmp_path: Path, scheme: str
) -> None:
    page = open_page(sweep(tmp_path), color_scheme=scheme)
    one = row(page, "lr=0.01_seed=1")
    one.locator("td").nth(1).click()
    one.hover()
    settled(page, "document.querySelector('tr.selected:hover')")
    assert contrast(page, "#table tr.selected:hover td") > 7
    assert contrast(page, "#table tr.selected:hover td:nth-child(3)") > 7


def test_on_a_phone_what_is_chosen_is_told_in_view(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    one = row(page, "lr=0.01_seed=1")
    one.locator("td").nth(1).tap()
    settled(page, "!document.getElementById('details').hidden")
    box = page.locator("#details").bounding_box()
    assert box["y"] >= 844 * 0.4 and box["y"] + box["height"] <= 845, "it leaves room for the table"
    top = page.locator("#details .bar").first
    page.locator("#details pre").last.scroll_into_view_if_needed()
    assert top.bounding_box()["y"] >= box["y"] - 1, "it can be closed, wherever one reads"
    page.get_by_role("button", name="Close").tap()
    settled(page, "document.getElementById('details').hidden")


def test_marks_and_notes_are_shown_in_rows_and_details(open_page: Callable[..., Any], tmp_path: Path) -> None:
    data = sweep(tmp_path)
    table = data.table.assign(
        note=pd.Series(["bad <b>data</b>"] + [None] * 11, dtype=object),
        excluded=pd.Series([True] + [None] * 11, dtype=object),
        stale=pd.Series([None, "of p/x"] + [None] * 10, dtype=object),
    )
    page = open_page(replace(data, table=table, notes=["excluded: seed=0: <i>bad</i> data"]))
    assert shown(page, 1)[:3] == ["excludednote", "stale", ""]
    assert page.locator("#notes li").all_text_contents() == ["excluded: seed=0: <i>bad</i> data"]
    row(page, "lr=0.001_seed=0").locator("td").nth(2).click()
    settled(page, "!document.getElementById('details').hidden")
    facts = page.locator("#details table").first.locator("tr").all_text_contents()
    assert facts == ["notebad <b>data</b>", "excludedleft out of means and of the best"]


def test_each_metric_is_drawn_over_what_it_has(open_page: Callable[..., Any]) -> None:
    lines: list[dict[str, Any]] = [{"step": s, "loss": 1.0 / (s + 1)} for s in range(20)]
    lines += [{"epoch": e, "val_loss": 1.0 / (e + 1)} for e in range(3)]
    page = open_page(PageData("t", typed([{"status": "DONE", "exp_id": "e"}]), curves={"e": curves_of([lines])}))
    draw_metrics(page, "val_loss")
    settled(page, "document.getElementById('curves').layout.yaxis.title.text === 'val_loss'")
    assert layout(page)["xaxis"]["title"]["text"] == "epoch"
    assert traces(page)[0]["x"] == [0, 1, 2]
    draw_metrics(page, "loss", "val_loss")
    settled(page, "document.getElementById('curves').data.length === 2")
    assert "over" in page.locator("#curves-note").text_content()


# ---- What the address keeps ----


def change_all(page: Any) -> None:
    """Look at a page otherwise than it was opened."""
    draw_metrics(page, "loss", "val_accuracy")
    select(page, "over").select_option("epoch")
    page.get_by_label("log y").check()
    page.get_by_label("seeds as bands").uncheck()
    page.locator("#scatter-x").select_option("seed")
    select(page, "Colour").select_option("lr")
    heading(page, "lr").get_by_role("button", name="Filter").click()
    page.locator(".dtcc-list").get_by_text("0.1", exact=True).click()
    page.locator(".dtcc-list").get_by_text("0.01", exact=True).click()
    settled(page, "document.querySelectorAll('#table tbody tr').length === 6")
    page.keyboard.press("Escape")
    heading(page, "best_val_accuracy").get_by_role("button", name="Filter").click()
    page.locator(".dtcc-searchNumber select").select_option("greater")
    page.locator(".dtcc-searchNumber input").fill("0.86")
    settled(page, "document.querySelectorAll('#table tbody tr').length === 5")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="9 DONE").click()
    heading(page, "best_val_accuracy").locator(".dt-column-title").click()
    settled(page, "document.querySelector('th[aria-sort=ascending]')")
    row(page, "lr=0.1_seed=0").get_by_role("checkbox").click()
    row(page, "lr=0.01_seed=2").get_by_role("checkbox").click()
    page.get_by_role("button", name="Colours: auto").click()
    settled(page, "location.hash.includes('theme') && document.querySelector('#details h2').textContent === '2 chosen'")


def state(page: Any) -> dict[str, Any]:
    """Return how a page is looked at."""
    found = layout(page)
    return {
        "rows": page.locator("#table tbody span.id").all_text_contents(),
        "chosen": page.locator("#table tbody tr[aria-selected=true] span.id").all_text_contents(),
        "metrics": page.locator("#metrics input").evaluate_all("all => all.filter(e => e.checked).map(e => e.value)"),
        "axes": [found["xaxis"]["title"]["text"], found["yaxis"]["type"]],
        "overrides": layout(page, "overrides")["xaxis"]["title"]["text"],
        "sorted": page.locator("th[aria-sort]").get_attribute("aria-sort"),
        "theme": page.evaluate("document.documentElement.dataset.theme"),
        "legend": page.locator("#legend .key").all_text_contents(),
        "bands": page.get_by_label("seeds as bands").is_checked(),
        "statuses": page.locator("#statuses [aria-pressed=true]").all_text_contents(),
        "told": page.locator("#details h3").text_content(),
    }


def test_the_address_keeps_how_a_page_is_looked_at(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path))
    change_all(page)
    before = state(page)
    assert before["chosen"] == ["lr=0.1_seed=0", "lr=0.01_seed=2"]
    assert len(before["rows"]) == 5
    address = page.url
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert {**state(page), "told": before["told"]} == before
    page.evaluate("localStorage.clear()")
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    assert {**state(page), "told": before["told"]} == before, "somebody else sees the same"


def test_an_address_that_names_what_is_gone_opens_what_is_there(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path))
    odd = (
        "row=gone&row=p%2Fsl%2Flr%3D0.1_seed%3D1&metric=none&x=none&sort=[%22nothing%22]&sort=x&filter=[1&filter=[%22no%22,1]"
        "&theme=pink&status=LOST&page=-3&length=x&smooth=z&at=a,b&column=%2Bnone&constructor=1&log-y=1"
    )
    page.goto("about:blank")
    page.goto((tmp_path / "report.html").as_uri() + "#" + odd.replace("&status=LOST", ""))
    page.wait_for_selector("body[data-ready]")
    assert len(shown(page, 1)) == 12
    assert chosen(page) == ["lr=0.1_seed=1"]
    assert layout(page)["yaxis"] | {} and layout(page)["yaxis"]["type"] == "log"


def grown(tmp_path: Path, refresh: float) -> PageData:
    """Return the sweep a moment later: the last experiment has run, and another one is there before all others."""
    data = sweep(tmp_path / "later")
    rows = data.table.to_dict("records")
    rows[-1] |= {"status": "DONE", "best_val_accuracy": 0.5}
    first = {**rows[0], "exp_id": "p/sl/lr=0.0001_seed=0", "lr": 0.0001}
    return replace(
        data, table=typed([first, *rows]), groups=[4, *data.groups], counts=[True, *data.counts], refresh=refresh
    )


def test_data_that_is_shown_later_changes_nothing_of_the_view(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(sweep(tmp_path))
    change_all(page)
    before = state(page)
    later = open_page(grown(tmp_path, 0))
    payload = later.evaluate("document.getElementById('data').textContent")
    page.evaluate("text => globalThis.heyhi.show(JSON.parse(text))", payload)
    settled(page, "document.getElementById('made').textContent.startsWith('13')")
    after = state(page)
    assert after.pop("statuses") == ["11 DONE"] and before.pop("statuses") == ["9 DONE"]
    assert "lr:" in after["legend"] and after.pop("legend") != before.pop("legend"), "there is another lr"
    assert after == before
    page.evaluate("globalThis.heyhi.show({title: 'other'})")
    assert page.title() == "other"
    after = state(page)
    assert [after[name] for name in ("rows", "chosen", "metrics")] == [before[n] for n in ("rows", "chosen", "metrics")]


def test_a_page_loads_itself_again_until_all_is_over(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(replace(sweep(tmp_path), refresh=0.3), viewport={"width": 1400, "height": 500})
    page.get_by_label("log y").check()
    row(page, "lr=0.1_seed=1").get_by_role("checkbox").click()
    page.evaluate("scrollTo(0, 200)")
    page.evaluate("window.first = true")
    write_page(tmp_path / "report.html", grown(tmp_path, 0.3))
    page.wait_for_function("() => document.body.dataset.ready && !window.first && globalThis.heyhi")
    settled(page, "document.getElementById('made').textContent.startsWith('13')")
    assert chosen(page) == ["lr=0.1_seed=1"]
    assert layout(page)["yaxis"]["type"] == "log"
    assert page.evaluate("scrollY") == 200
    write_page(tmp_path / "report.html", replace(grown(tmp_path / "again", 0), title="over"))
    settled(page, "document.title === 'over' && document.body.dataset.ready")
    assert not page.locator("#reload").is_visible()
    assert "at=" not in page.url


def test_loading_again_can_be_switched_off(open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(replace(sweep(tmp_path), refresh=1000))
    button = page.get_by_role("button", name="Load again while something runs")
    assert button.text_content() == "⟳ every 1000 s"
    button.click()
    settled(page, "document.getElementById('reload').getAttribute('aria-pressed') === 'false'")
    settled(page, "location.hash.includes('reload=off')")


def test_the_address_stays_short_where_all_are_chosen(open_page: Callable[..., Any]) -> None:
    names = [f"p/many/x={i}" for i in range(600)]
    table = pd.DataFrame({"status": "DONE", "score": [float(i) for i in range(600)], "x": range(600), "exp_id": names})
    page = open_page(PageData("many", table, ["score"], ["x"]))
    page.evaluate("globalThis.heyhi.show({members: [...Array(600).keys()].map((run) => [run])})")
    page.locator("#overrides .nsewdrag").scroll_into_view_if_needed()
    box = page.locator("#overrides .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] - 1, steps=5)
    page.mouse.up()
    settled(page, "document.querySelector('#details h2')?.textContent.endsWith(' chosen')")
    settled(page, "location.hash.includes('row=')")
    assert len(parse_qs(page.url.partition("#")[2])["row"]) == 200
    assert json.dumps(page.title()) == '"many"'
