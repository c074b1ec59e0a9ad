"""What a page does to show much: it is counted, since times depend on who else uses the machine."""

from __future__ import annotations

import urllib.parse
from typing import Any

from tests.browser.served import Lab, Watch, attempt, settled
from tests.browser.test_serve_plots import set_control

# Counts what is drawn: calls of Plotly, and lines and points that it writes.
COUNTING = """
  window.drawn = [];
  let [lines, points, plotly] = [0, 0, undefined];
  const { setAttribute } = Element.prototype;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "d" && this.classList.contains("js-line")) lines += 1;
    if (name === "d" && this.classList.contains("point")) points += 1;
    return setAttribute.call(this, name, value);
  };
  Object.defineProperty(window, "Plotly", {
    configurable: true,
    get: () => plotly,
    set(found) {
      const { react } = (plotly = found);
      plotly.react = function (plot, traces, ...others) {
        [lines, points] = [0, 0];
        const answer = react.call(this, plot, traces, ...others);
        window.drawn.push({ plot, traces: traces.length, lines, points });
        return answer;
      };
    },
  });
"""
LINES = "document.getElementById('curves').data.reduce((sum, { meta }) => sum + (meta.lines?.length ?? 1), 0)"
COUNT = 300


def opened(lab: Lab, watch: Watch, view: str, lines: int = COUNT) -> tuple[Any, list[str]]:
    """Open the page of many experiments; second come the addresses that it asks for."""
    lab.make([{"lr": lr / 1000, "seed": 0} for lr in range(1, COUNT + 1)], epochs=80)
    served = lab.serve()
    first = watch.open(served, "#lines=1")
    settled(first, "!document.getElementById('made').textContent.includes('reading')")  # else parts of it are drawn
    first.close()
    context = watch.context()
    context.add_init_script(COUNTING)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page = watch.open(served, view, context=context)
    settled(page, f"{LINES} === {lines}")
    return page, asked


def test_hundreds_of_lines_are_few_traces_and_each_is_drawn_once(lab: Lab, watch: Watch) -> None:
    page, asked = opened(lab, watch, "#lines=Infinity&seeds=0")
    found = [one for one in page.evaluate("drawn") if one["plot"] == "curves" and one["lines"] > 10]
    # They come in two pieces, of which a busy browser may draw the first one apart; none is drawn twice.
    lines = [one["lines"] for one in found]
    assert lines == sorted(set(lines)) and lines[-1] == COUNT and len(lines) <= 2, lines
    assert found[-1]["traces"] <= 50, "a colour is a trace"
    dots = [one for one in page.evaluate("drawn") if one["plot"] == "overrides" and one["points"] > 10]
    assert 1 <= len(dots) <= len(lines), dots
    queries = [urllib.parse.parse_qs(one.partition("?")[2]) for one in asked if "curves?" in one]
    keys = [key for query in queries for key in query["keys"][0].split(",")]
    assert len(keys) == len(set(keys)), "each is asked for once"
    assert len([one for one in asked if one == "data"]) == 1, "it is fetched while the scripts are"


def test_a_line_among_hundreds_is_told_of_and_chosen(lab: Lab, watch: Watch) -> None:
    page, _ = opened(lab, watch, "#lines=Infinity&seeds=0")
    place = page.evaluate("""() => {
      const plot = document.getElementById("curves");
      const { xaxis, yaxis } = plot._fullLayout;
      const { left, top } = plot.getBoundingClientRect();
      const trace = plot.data.at(-1);
      const point = trace.meta.starts[2] + 40;
      const [x, y] = [trace.x[point], trace.y[point]];
      return { x: left + xaxis._offset + xaxis.d2p(x), y: top + yaxis._offset + yaxis.d2p(y) };
    }""")
    page.mouse.move(place["x"], place["y"])
    page.wait_for_selector("#curves .hovertext")
    told = page.locator("#curves .hovertext").text_content()
    page.mouse.down()
    page.mouse.up()
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 1")
    chosen = page.locator("tr[aria-selected=true]").text_content()
    rate = told.split("lr=")[1].split("val")[0]
    assert rate in chosen, (told, chosen)
    assert page.evaluate(LINES) == COUNT
    on_top = page.evaluate("document.getElementById('curves').data.at(-1)")
    assert on_top["meta"]["label"] == f"lr={rate}", "what is chosen lies on top, apart from the others"


def test_hundreds_of_lines_are_thin_and_have_long_dashes(lab: Lab, watch: Watch) -> None:
    page, _ = opened(lab, watch, "#lines=Infinity&seeds=0&metric=loss&metric=val_accuracy", lines=2 * COUNT)
    strokes = """() => [...document.querySelectorAll("#curves .js-line")].map((line) => {
      const { strokeWidth, strokeDasharray } = getComputedStyle(line);
      return { width: parseFloat(strokeWidth), shortest: Math.min(...(strokeDasharray.match(/[0-9.]+/g) ?? [])) };
    })"""
    drawn = page.evaluate(strokes)
    assert {stroke["width"] for stroke in drawn} == {1}, "what is wider takes a browser five times as long to paint"
    dashed = [stroke for stroke in drawn if stroke["shortest"] is not None and stroke["shortest"] < 10_000]
    assert len(dashed) == COUNT, "metrics are told apart"
    assert all(stroke["shortest"] >= 12 for stroke in dashed), "each dash takes its time"
    page.locator("#table tbody tr").nth(3).locator("td").nth(2).click()
    settled(page, "document.querySelectorAll('tr[aria-selected=true]').length === 1")
    assert len([stroke for stroke in page.evaluate(strokes) if stroke["width"] > 2]) == 2, "what is chosen is thick"


def test_news_of_an_experiment_draws_its_curve_once_where_it_is_what_it_was(lab: Lab, watch: Watch) -> None:
    page, asked = opened(lab, watch, "#lines=Infinity&seeds=0")
    page.evaluate("drawn.length = 0")
    asked.clear()
    attempt(next(lab.results.glob("p/fit/lr=0.001,*")))  # another one, which logs nothing
    settled(page, "drawn.some(({ plot }) => plot === 'curves')")
    assert [one for one in asked if one.startswith("curves")], "whether it is is asked"
    assert len([one for one in page.evaluate("drawn") if one["plot"] == "curves"]) == 1


def test_a_hundred_lines_and_fewer_are_a_trace_each(lab: Lab, watch: Watch) -> None:
    page, _ = opened(lab, watch, "#lines=Infinity&seeds=0")
    set_control(page, "lines", "100")
    settled(page, "document.getElementById('curves').data.length === 100")
