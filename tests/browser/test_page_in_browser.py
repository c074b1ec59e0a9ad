"""The HTML page in a real browser: what a person sees and does."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from heyhi.report.page import Detail, PageData, write_page
from heyhi.report.page_curves import curves_of
from heyhi.text import readable

EPOCHS = 20
SEEDS = 3


def accuracy(lr: float, seed: int, epoch: int) -> float:
    return round(1 - lr - 0.5 / epoch - 0.01 * seed, 6)


def sweep(tmp_path: Path) -> PageData:
    """Make a sweep of four learning rates with three seeds each; the last experiment has no metrics yet."""
    rows, curves, details = [], {}, {}
    for lr in (0.001, 0.01, 0.1, 0.3):
        for seed in range(SEEDS):
            exp_id = f"p/sl/lr={lr}_seed={seed}"
            absent = (lr, seed) == (0.3, 2)
            if not absent:
                lines = [
                    {"epoch": e, "step": 45 * e, "loss": lr / e, "val_accuracy": accuracy(lr, seed, e)}
                    for e in range(1, EPOCHS + 1)
                ]
                curves[exp_id] = curves_of([lines])
            folder = tmp_path / "results" / exp_id
            folder.mkdir(parents=True)
            (folder / "log.txt").write_text("done\n")
            details[exp_id] = Detail(
                config=f"train {{\n  epochs: {EPOCHS}\n  lr: {lr}\n  seed: {seed}\n}}\n",
                flat={"train.epochs": EPOCHS, "train.lr": lr, "train.seed": seed},
                attempts=[] if absent else [{"attempt": 1, "host": "node1"}, {"attempt": 2, "host": "node2"}],
                log=[] if absent else ["\x1b[32mepoch 19\x1b[0m", f"epoch 20 of {exp_id}"],
                folder=folder,
                log_path=folder / "log.txt",
            )
            rows.append(
                {
                    "status": "NOT_STARTED" if absent else "DEAD" if lr == 0.3 else "DONE",
                    "reason": "" if absent or lr < 0.3 else "ValueError: diverged",
                    "best_val_accuracy": None if absent else accuracy(lr, seed, EPOCHS),
                    "lr": lr,
                    "seed": seed,
                    "exp_id": exp_id,
                    "folder": str(folder),
                    "seconds": None if absent else 3725.0,
                }
            )
    table = pd.DataFrame({key: pd.Series([row[key] for row in rows], dtype=object) for key in rows[0]})
    groups = [place // SEEDS for place in range(len(rows))]
    return PageData(
        "digits",
        table,
        ["best_val_accuracy"],
        ["lr", "seed"],
        curves,
        details,
        replicate=["seed"],
        groups=groups,
        counts=[row["status"] == "DONE" for row in rows],
    )


def shown(page: Any, column: int) -> list[str]:
    """Return what the table shows in a column (0 is the one of boxes)."""
    return page.locator("#table tbody tr").evaluate_all(f"rows => rows.map(row => row.children[{column}].textContent)")


def ids(page: Any) -> list[str]:
    found: list[str] = page.locator("#table tbody td.id").all_text_contents()
    return found


def chosen(page: Any) -> list[str]:
    return page.locator("#table tbody tr[aria-selected=true] td.id").all_text_contents()


def traces(page: Any, plot: str = "curves") -> list[dict[str, Any]]:
    return page.evaluate(
        """(plot) => document.getElementById(plot).data.map(({x, y, line, marker, opacity, meta, hoverinfo}) =>
          ({x: Array.from(x), y: Array.from(y), line, marker, opacity, rows: meta?.rows, hoverinfo}))""",
        plot,
    )


def layout(page: Any, plot: str = "curves") -> dict[str, Any]:
    return page.evaluate("(plot) => JSON.parse(JSON.stringify(document.getElementById(plot).layout))", plot)


def settled(page: Any, condition: str) -> None:
    """Wait until a condition is true and the page has drawn all that was changed: it draws before its next frame."""
    page.wait_for_function(f"() => globalThis.heyhi?.isDrawn() && ({condition})")


def select(page: Any, name: str) -> Any:
    return page.get_by_role("combobox", name=name, exact=True)


def draw_metrics(page: Any, *wanted: str) -> None:
    """Choose the metrics whose curves are drawn, as a person does in their menu."""
    page.locator("#metrics-menu summary").click()
    for box in page.locator("#metrics input").all():
        box.set_checked(box.get_attribute("value") in wanted)
    page.locator("#metrics-menu summary").click()


def row(page: Any, exp_id: str) -> Any:
    return page.locator("#table tbody tr", has=page.get_by_text(exp_id, exact=True))


def heading(page: Any, name: str) -> Any:
    return page.locator("#table thead th").filter(has=page.get_by_text(name, exact=True))


def test_page_shows_each_experiment_with_its_status_and_counts(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    assert page.title() == "digits"
    assert len(ids(page)) == 12
    assert page.locator("#statuses button").all_text_contents() == ["9 DONE", "2 DEAD", "1 NOT_STARTED"]
    assert shown(page, 8)[0] == "1 h 02 min"
    assert shown(page, 3)[-1] == "", "a missing metric is blank"


def test_clicking_a_heading_sorts_with_missing_values_last(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    heading(page, "best_val_accuracy").locator(".dt-column-title").click()
    settled(page, "document.querySelector('th[aria-sort=ascending]')")
    upward = shown(page, 3)
    heading(page, "best_val_accuracy").locator(".dt-column-title").click()
    settled(page, "document.querySelector('th[aria-sort=descending]')")
    downward = shown(page, 3)
    assert upward[-1] == downward[-1] == ""
    assert [float(v) for v in upward[:-1]] == sorted(float(v) for v in upward[:-1])
    assert downward[:-1] == upward[-2::-1]


def test_search_and_status_buttons_filter_table_and_plots(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    page.get_by_role("searchbox", name="Search").fill("lr=0.01_")
    settled(page, "document.getElementById('overrides').data[0].x.length === 3")
    assert ids(page) == [f"lr=0.01_seed={seed}" for seed in range(SEEDS)]
    assert {r for t in traces(page) for r in t["rows"] or ()} == {3, 4, 5}

    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("button", name="2 DEAD").click()
    settled(page, "document.querySelectorAll('#table tbody tr').length === 2")
    page.get_by_role("button", name="1 NOT_STARTED").click()
    settled(page, "document.querySelectorAll('#table tbody tr').length === 3")
    page.get_by_role("button", name="Clear filters").click()
    settled(page, "document.querySelectorAll('#table tbody tr').length === 12")
    assert page.locator("#statuses [aria-pressed=true]").count() == 0


def test_columns_filter_by_number_and_by_list(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    heading(page, "best_val_accuracy").get_by_role("button", name="Filter").click()
    page.locator(".dtcc-searchNumber select").select_option("less")
    page.locator(".dtcc-searchNumber input").fill("0.7")
    settled(page, "document.querySelectorAll('#table tbody tr').length === 2")
    assert ids(page) == ["lr=0.3_seed=0", "lr=0.3_seed=1"], "what has no metric isn't less than a number"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear filters").click()
    settled(page, "document.querySelectorAll('#table tbody tr').length === 12")

    heading(page, "lr").get_by_role("button", name="Filter").click()
    page.locator(".dtcc-list").get_by_text("0.1", exact=True).click()
    settled(page, "document.querySelectorAll('#table tbody tr').length === 3")
    assert ids(page) == [f"lr=0.1_seed={seed}" for seed in range(SEEDS)]


def test_metric_and_step_can_be_chosen(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    assert [text.strip() for text in page.locator("#metrics label").all_text_contents()] == ["loss", "val_accuracy"]
    assert layout(page)["yaxis"]["title"]["text"] == "val_accuracy", "what the table's first metric is about"
    draw_metrics(page, "loss")
    select(page, "over").select_option("epoch")
    page.get_by_label("seeds as bands").uncheck()
    settled(page, "document.getElementById('curves').layout.yaxis.title.text === 'loss'")
    first = traces(page)[0]
    assert first["x"] == list(range(1, EPOCHS + 1))
    assert first["y"] == pytest.approx([0.001 / e for e in range(1, EPOCHS + 1)])


def test_log_axes_and_smoothing_change_the_curves(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    page.get_by_label("seeds as bands").uncheck()
    page.get_by_label("log y").check()
    page.get_by_label("log x").check()
    settled(page, "document.getElementById('curves').layout.xaxis.type === 'log'")
    assert layout(page)["yaxis"]["type"] == "log"

    page.get_by_label("Smooth").focus()
    for _ in range(50):
        page.keyboard.press("ArrowRight")
    settled(page, "document.getElementById('smooth-value').textContent === '0.5'")
    average = total = 0.0
    expected = []
    for epoch in range(1, EPOCHS + 1):
        average = 0.5 * average + 0.5 * accuracy(0.001, 0, epoch)
        total = 0.5 * total + 0.5
        expected.append(average / total)
    # It may still draw what one of the first keys asked for.
    settled(page, f"Math.abs(document.getElementById('curves').data[1].y[1] - {expected[1]}) < 1e-6")
    assert len(traces(page)) == 22
    raw, smooth = traces(page)[:2]
    assert raw["hoverinfo"] == "skip"
    assert raw["opacity"] < smooth["opacity"]
    assert smooth["y"] == pytest.approx(expected, abs=1e-6)


def test_seeds_are_bands_of_mean_and_standard_error(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    low, high, mean = traces(page)[:3]
    last = [accuracy(0.001, seed, EPOCHS) for seed in range(SEEDS)]
    error = statistics.stdev(last) / math.sqrt(SEEDS)
    assert mean["rows"] == [0, 1, 2]
    assert mean["y"][-1] == pytest.approx(statistics.mean(last), abs=1e-6)
    assert high["y"][-1] - mean["y"][-1] == pytest.approx(error, abs=1e-6)
    assert mean["y"][-1] - low["y"][-1] == pytest.approx(error, abs=1e-6)
    page.get_by_label("seeds as bands").uncheck()
    settled(page, "document.getElementById('curves').data.length === 11")


def test_chosen_row_shows_in_plots_and_details(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    page.get_by_label("seeds as bands").uncheck()
    row(page, "lr=0.1_seed=1").locator("td").nth(1).click()
    settled(page, "!document.getElementById('details').hidden")
    drawn = traces(page)
    assert drawn[-1]["rows"] == [7]
    assert drawn[-1]["opacity"] == 1
    assert all(t["opacity"] < 0.5 for t in drawn[:-1])
    sizes = traces(page, "overrides")[0]["marker"]["size"]
    assert sizes.index(max(sizes)) == 7

    details = page.locator("#details")
    assert details.locator("h3").text_content() == "p/sl/lr=0.1_seed=1"
    differing = details.locator("details").first.locator("tr").all_text_contents()
    assert differing == ["keyheresame in", "train.lr0.12 of 11 others", "train.seed13 of 11 others"]
    assert details.locator("pre mark").all_text_contents() == ["  lr: 0.1", "  seed: 1"]
    assert "node2" in details.get_by_text("Attempts (2)").locator("..").text_content()
    assert details.locator("pre").last.text_content() == "epoch 19\nepoch 20 of p/sl/lr=0.1_seed=1"
    folder = tmp_path / "results/p/sl/lr=0.1_seed=1"
    assert details.get_by_role("link", name="folder").evaluate("a => a.href") == folder.as_uri() + "/"
    assert details.get_by_role("link", name="log").evaluate("a => a.href") == (folder / "log.txt").as_uri()
    assert not details.get_by_role("link", name="log").get_attribute("href").startswith("/")


def test_points_and_curves_choose_rows(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    page.get_by_label("seeds as bands").uncheck()
    settled(page, "document.getElementById('curves').data.length === 11")
    point = page.locator("#overrides .points path").nth(4).bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.wait_for_selector("#overrides .hoverlayer .hovertext")
    assert "lr=0.01 seed=1" in page.locator("#overrides .hoverlayer").text_content()
    page.mouse.down()
    page.mouse.up()
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 1")
    assert chosen(page) == ["lr=0.01_seed=1"]

    at = page.evaluate(
        """() => {
          const line = document.querySelectorAll("#curves .js-line")[8];
          const point = line.getPointAtLength(line.getTotalLength());
          const {x, y} = new DOMPoint(point.x, point.y).matrixTransform(line.getScreenCTM());
          return [x - 1, y, line.parentNode.__data__[0].trace.meta.rows[0]];
        }"""
    )
    page.mouse.move(*at[:2])
    page.wait_for_selector("#curves .hoverlayer .hovertext")
    page.mouse.down()
    page.mouse.up()
    wanted = sweep_ids()[at[2]]
    settled(page, f"document.querySelector('tr[aria-selected=true]')?.textContent.includes('{wanted}')")
    assert chosen(page) == [wanted]


def sweep_ids() -> list[str]:
    return [f"lr={lr}_seed={seed}" for lr in (0.001, 0.01, 0.1, 0.3) for seed in range(SEEDS)]


@pytest.mark.parametrize("shape", ["scatter", "parallel"])
def test_dragging_over_points_chooses_all_of_them(open_page: Callable[..., Any], tmp_path: Path, shape: str):
    page = open_page(sweep(tmp_path))
    page.locator("#shape").select_option(shape)
    settled(page, f"(document.getElementById('overrides').data.length > 1) === {str(shape == 'parallel').lower()}")
    # In both, lr is at the left: the first learning rate's points, and nothing else, are in its column.
    where = page.evaluate(
        """() => {
          const plot = document.getElementById("overrides");
          const box = plot.querySelector(".nsewdrag").getBoundingClientRect();
          const points = [...plot.querySelectorAll(".points path")].map((p) => p.getBoundingClientRect());
          const left = Math.min(...points.map((p) => p.x + p.width / 2));
          const low = Math.max(...points.filter((p) => p.x < left).map((p) => p.y + p.height / 2));
          return {x: left, top: box.top + 1, bottom: box.bottom - 1, low};
        }"""
    )
    top = where["low"] - 15 if shape == "parallel" else where["top"]
    page.mouse.move(where["x"] - 12, top)
    page.mouse.down()
    page.mouse.move(where["x"] + 12, where["bottom"], steps=5)
    page.mouse.up()
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 3")
    assert chosen(page) == [f"lr=0.001_seed={seed}" for seed in range(SEEDS)]
    settled(page, "!document.querySelector('#overrides .selectionlayer path, #overrides .select-outline')")
    heads = page.locator("#details h2").text_content(), page.locator("#details summary").all_text_contents()[:2]
    assert heads == ("3 chosen", ["Metrics (1)", "What differs (1)"])


def test_boxes_add_rows_and_two_are_compared(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    row(page, "lr=0.001_seed=0").get_by_role("checkbox").click()
    row(page, "lr=0.1_seed=2").get_by_role("checkbox").click()
    settled(page, "document.querySelector('#details h2').textContent === '2 chosen'")
    metrics, configs = page.locator("#details details").all()[:2]
    assert metrics.locator("tr").all_text_contents() == [
        "metriclr=0.001 seed=0lr=0.1 seed=2",
        "best_val_accuracy0.9740.855",
    ]
    assert metrics.locator("td.best").all_text_contents() == ["0.974"]
    assert configs.locator("tbody tr").all_text_contents() == ["train.lr0.0010.1", "train.seed02"]
    row(page, "lr=0.1_seed=2").get_by_role("checkbox").click()
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 1")


def test_everything_can_be_done_by_keyboard(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    page.locator("#metrics-menu summary").focus()
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if page.evaluate("document.activeElement.matches('#table tbody tr')"):
            break
    assert {"x", "log-y", "log-x", "smooth", "seeds", "lines", "shape", "scatter-y"} <= set(reached)
    assert reached[-1] == "TR"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 1")
    assert chosen(page) == ["lr=0.001_seed=2"]
    page.keyboard.press("End")
    page.keyboard.press(" ")
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 2")
    assert chosen(page) == ["lr=0.001_seed=2", "lr=0.3_seed=2"]
    page.keyboard.press("Escape")
    settled(page, "document.getElementById('details').hidden")
    assert chosen(page) == []
    page.keyboard.press("Tab")
    settled(page, "!document.activeElement.matches('tr')")  # one Tab leaves the rows
    heading(page, "lr").locator(".dt-column-order").focus()
    page.keyboard.press("Enter")
    settled(page, "document.querySelector('th[aria-sort=ascending]')?.textContent.startsWith('lr')")


def test_arrows_go_over_the_ends_of_pages(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep_of(120))
    last = page.locator("#table tbody tr").nth(49)
    last.focus()
    page.keyboard.press("ArrowDown")
    settled(page, "document.activeElement.dataset.row === '50'")
    page.keyboard.press("ArrowUp")
    settled(page, "document.activeElement.dataset.row === '49'")
    page.keyboard.press("Enter")
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 1")


def sweep_of(count: int, lines: int = 3) -> PageData:
    """Make a sweep of many experiments without details."""
    names = [f"p/many/x={i}" for i in range(count)]
    table = pd.DataFrame(
        {"status": "DONE", "score": [float(i) for i in range(count)], "x": range(count), "exp_id": names}
    )
    curves = {
        name: curves_of([[{"step": s, **{f"m{k}": math.sin(s / 9 + i) + k for k in range(5)}} for s in range(lines)]])
        for i, name in enumerate(names)
    }
    return PageData("many", table, ["score"], ["x"], curves)


def test_choosing_in_a_plot_turns_to_the_rows_page(open_page: Callable[..., Any]):
    page = open_page(sweep_of(120))
    point = page.locator("#overrides .points path").nth(119).bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.wait_for_selector("#overrides .hoverlayer .hovertext")
    page.mouse.down()
    page.mouse.up()
    settled(page, "document.querySelector('tr[aria-selected=true]')?.dataset.row === '119'")


LINES = "document.getElementById('curves').data.reduce((sum, { meta }) => sum + (meta.lines?.length ?? 1), 0)"


def test_first_rows_of_the_table_are_drawn_at_first_and_all_on_demand(open_page: Callable[..., Any]):
    page = open_page(sweep_of(120))
    assert len(traces(page)) == 20
    heading(page, "score").locator(".dt-column-title").click()
    heading(page, "score").locator(".dt-column-title").click()
    settled(page, "document.getElementById('curves').data[0].meta.rows[0] === 119")
    select(page, "Lines").select_option("Infinity")
    settled(page, f"{LINES} === 120")
    select(page, "Lines").select_option("0")
    settled(page, "document.getElementById('curves').data.length === 0")


def test_colours_can_tell_an_override_and_curves_share_them_with_rows(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    select(page, "Colour").select_option("lr")
    settled(page, "document.querySelectorAll('#legend .key').length === 5")
    assert page.locator("#legend .key").all_text_contents() == ["lr:", "0.001", "0.01", "0.1", "0.3"]
    color = traces(page)[2]["line"]["color"]
    box = row(page, "lr=0.001_seed=0").get_by_role("checkbox")
    assert box.evaluate("e => e.style.getPropertyValue('--colour')") == color
    assert traces(page, "overrides")[0]["marker"]["color"][0] == color


def background(page: Any, selector: str) -> int:
    """Return how light a background is, from 0 to 255."""
    color = page.locator(selector).evaluate("e => getComputedStyle(e).backgroundColor")
    return max(int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3])


def test_dark_follows_the_system_and_the_button(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path), color_scheme="dark")
    assert background(page, "body") < 60
    assert background(page, "#table-card") < 60
    assert layout(page)["font"]["color"] == "#dde3ea"
    page.get_by_role("button", name="Colours: auto").click()
    settled(page, "document.getElementById('curves').layout.font.color === '#22272e'")
    assert background(page, "body") > 200
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert background(page, "body") > 200, "the choice is kept"


def test_settings_are_kept_when_the_page_is_loaded_again(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    draw_metrics(page, "loss")
    page.get_by_label("log y").check()
    settled(page, "location.hash.includes('log-y')")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert layout(page)["yaxis"]["title"]["text"] == "loss"
    assert layout(page)["yaxis"]["type"] == "log"


def test_phone_shows_all_without_scrolling_sideways(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    width = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(width)
    for part in ("#curves", "#overrides", "#table"):
        assert page.locator(part).is_visible()
    assert page.locator("h1").bounding_box()["height"] < 40, "the heading has room"
    boxes = [page.locator(f"#{c}-card").bounding_box() for c in ("curves", "overrides", "table")]
    assert [b["y"] for b in boxes] == sorted(b["y"] for b in boxes)
    assert len({b["x"] for b in boxes}) == 1, "one column"
    row(page, "lr=0.01_seed=1").locator("td").nth(1).tap()
    settled(page, "!document.getElementById('details').hidden")
    assert page.evaluate(width)
    assert layout(page)["dragmode"] is False


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<!--<script>",
    "{{data}} ${x} %{y} & \u2028 '\"",
    "__proto__",
    "=IMPORTXML(1)",
    "<b>b</b> <a href='//e.org'>l</a> &lt;",
]


def hostile_page() -> PageData:
    names = [f"{i} {text}" for i, text in enumerate(HOSTILE)]
    table = pd.DataFrame(
        {
            "status": HOSTILE,
            "reason": HOSTILE,
            HOSTILE[1]: [float(i) for i in range(len(HOSTILE))],
            HOSTILE[0]: HOSTILE,
            HOSTILE[4]: list(range(len(HOSTILE))),
            "exp_id": names,
            "folder": HOSTILE,
        }
    )
    lines = [{"step": s, **dict.fromkeys(HOSTILE, s * 1.0)} for s in range(3)]
    curves = {name: curves_of([lines]) for name in names}
    details = {
        name: Detail(
            config=text,
            flat={text: text, "toString": 1},
            attempts=[{text: text}],
            log=[text],
            folder=Path("javascript:alert(3)"),
            log_path=Path(text.replace("/", "")),
        )
        for name, text in zip(names, HOSTILE, strict=True)
    }
    return PageData(HOSTILE[0], table, [HOSTILE[1]], [HOSTILE[0], HOSTILE[4]], curves, details, ["seed"])


def test_hostile_values_are_shown_as_text(open_page: Callable[..., Any]):
    page = open_page(hostile_page())
    told = list(map(readable, HOSTILE))
    assert page.title() == HOSTILE[0]
    assert page.locator("h1").text_content() == HOSTILE[0]
    for column in (1, 2, 4):
        assert shown(page, column) == told
    assert page.locator("#table thead .dt-column-title").all_text_contents()[3:6] == [
        HOSTILE[1],
        HOSTILE[0],
        HOSTILE[4],
    ]
    assert [text.strip() for text in page.locator("#metrics label").all_text_contents()] == told
    for metric in HOSTILE:
        draw_metrics(page, metric)
        settled(page, f"document.querySelector('#curves .ytitle')?.textContent === {json.dumps(readable(metric))}")
        assert len(traces(page)) == len(HOSTILE)

    page.get_by_role("button", name="Columns").click()
    page.locator(".dt-button-collection .dt-button").first.wait_for()
    listed = page.locator(".dt-button-collection .dt-button").all_text_contents()
    assert [text.strip() for text in listed][2:5] == [HOSTILE[1], HOSTILE[0], HOSTILE[4]]
    page.keyboard.press("Escape")
    page.locator("#table thead th").nth(4).get_by_role("button", name="Filter").click()
    page.locator(".dtcc-list .dtcc-button-text").first.wait_for()
    options = page.locator(".dtcc-list .dtcc-button-text").all_text_contents()
    assert set(told) <= set(options)
    page.keyboard.press("Escape")

    select(page, "Colour").select_option(HOSTILE[0])
    settled(page, "document.querySelectorAll('#legend .key').length === 8")
    assert page.locator("#legend .key").all_text_contents()[1:] == told
    page.locator("#shape").select_option("parallel")
    settled(page, "document.getElementById('overrides').data.length > 1")
    for i, text in enumerate(told):
        page.locator("#table tbody tr").nth(i).locator("td").nth(1).click()
        settled(page, f"document.querySelector('#details h3')?.textContent.startsWith('{i} ')")
        assert text in page.locator("#details h3").text_content()
        assert page.locator("#details pre").last.text_content() == text
        assert page.locator("#details pre").first.text_content() == text + "\n"
        for link in page.locator("#details .links a").all():
            assert link.evaluate("a => a.protocol") == "file:"
    point = page.locator("#overrides .points path").first.bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.wait_for_selector("#overrides .hoverlayer .hovertext")
    assert page.locator("img, script[src]").count() == 0
    assert page.evaluate("document.scripts.length") == 4


def test_plots_offer_no_button_that_sends_them_anywhere(open_page: Callable[..., Any], tmp_path: Path):
    page = open_page(sweep(tmp_path))
    for plot in ("curves", "overrides"):
        names = page.locator(f"#{plot} .modebar-btn").evaluate_all("all => all.map(b => b.dataset.title)")
        assert len(names) == 5
        assert not [name for name in names if re.search("share|cloud|edit|plotly", name, re.IGNORECASE)]


def test_numbers_that_are_none_are_told_from_missing_ones(open_page: Callable[..., Any]):
    values = [0.5, float("nan"), None, float("inf"), float("-inf"), 2**60 + 1]
    names = [f"e{i}" for i in range(len(values))]
    table = pd.DataFrame({"exp_id": names, "score": pd.Series(values, dtype=object), "lr": range(len(values))})
    lines = [{"step": s, "score": v} for s, v in enumerate([1.0, float("nan"), float("inf"), 2.0])]
    curves = {"e0": curves_of([lines])}
    page = open_page(PageData("numbers", table, ["score"], ["lr"], curves))
    assert shown(page, 2) == ["0.5", "NaN", "", "Infinity", "-Infinity", str(2**60 + 1)]
    heading(page, "score").locator(".dt-column-title").click()
    settled(page, "document.querySelector('th[aria-sort=ascending]')")
    assert shown(page, 2) == ["-Infinity", "0.5", str(2**60 + 1), "Infinity", "NaN", ""]
    assert "1 with NaN or infinity" in page.locator("#curves-note").text_content()
    assert "3 with NaN or infinity in score · 1 without score" in page.locator("#overrides-note").text_content()


@pytest.mark.parametrize("count", [0, 1])
def test_page_of_nothing_says_so(open_page: Callable[..., Any], count: int):
    table = pd.DataFrame({"status": ["PENDING"] * count, "exp_id": ["p/one"] * count})
    page = open_page(PageData("little", table))
    assert page.locator("#curves-note").text_content() == "No experiment has logged metrics."
    assert page.locator("#overrides-note").text_content().startswith("Nothing to draw")


def test_page_works_inside_of_another_that_allows_it_nothing_but_scripts(open_page: Callable[..., Any], tmp_path: Path):
    write_page(tmp_path / "inner.html", sweep(tmp_path))
    (tmp_path / "outer.html").write_text('<iframe sandbox="allow-scripts" src="inner.html"></iframe>')
    page = open_page(tmp_path / "outer.html", wait=False)
    inner = page.frame_locator("iframe")
    inner.locator("body[data-ready]").wait_for(state="attached")
    inner.get_by_label("log y").check()
    inner.get_by_role("button", name="Colours: auto").click()
    inner.get_by_role("button", name="Colours: light").wait_for()


@pytest.mark.slow
def test_five_hundred_experiments_of_a_thousand_points_open_in_three_seconds(open_page: Callable[..., Any]):
    page = open_page(sweep_of(1))
    session = page.context.new_cdp_session(page)
    # Time that the page's main thread has had a processor: the time it takes where nothing else runs.
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    write_page(Path(page.url.removeprefix("file://")), sweep_of(500, 1000))

    def used() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(float(m["value"]) for m in metrics if m["name"] == "ThreadTime")

    before = used()
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert len(traces(page)) == 20
    assert page.locator("#table tbody tr").count() == 50
    assert used() - before < 3


def test_a_metric_without_the_chosen_axis_is_drawn_over_what_it_has_and_the_axis_says_so(
    open_page: Callable[..., Any],
):
    lines: list[dict[str, Any]] = [{"step": 7000 * s, "loss": 1 / s, "lr": 1.0} for s in (1, 2, 9)]
    lines += [{"epoch": 1, "val_loss": 0.5}, {"epoch": 3, "val_loss": 0.25}]
    table = pd.DataFrame({"exp_id": ["e0"], "loss": [0.5]})
    page = open_page(PageData("axes", table, ["loss"], [], {"e0": curves_of([lines])}))
    assert layout(page)["xaxis"]["title"]["text"] == "step"
    assert traces(page)[0]["x"] == [7000, 14000, 63000]
    draw_metrics(page, "val_loss")
    settled(page, "document.getElementById('curves').layout.xaxis.title.text === 'epoch'")
    assert traces(page)[0]["x"] == [1, 3]
