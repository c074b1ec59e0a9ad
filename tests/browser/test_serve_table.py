"""The table of `heyhi serve` in a real browser, while experiments run and come and go."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from heyhi.experiment.alike import kind_of
from heyhi.text import readable
from tests.browser.served import Lab, Watch, append, attempt, line, settled

HOSTILE = "</script><img src=x onerror=alert(1)>&amp;\u202e"


def rows(page: Any) -> Any:
    return page.locator("#table tbody tr[data-row]")


def cells(page: Any, name: str) -> list[str]:
    """Return what the table shows in a column."""
    heads = page.locator("#table thead .dt-column-title").all_text_contents()
    return rows(page).locator(f"td:nth-child({heads.index(name) + 1})").all_text_contents()


def seen_rows(page: Any, count: int) -> None:
    settled(page, f"document.querySelectorAll('#table tbody tr[data-row]').length === {count}")


def grid(lab: Lab) -> list[Path]:
    return lab.make({"lr": lr, "seed": seed} for lr in (0.1, 0.2) for seed in (0, 1, 2))


# ---- Answers that a test changes on their way: what no small sweep brings about ----


def change_data(page: Any, changed: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what a page gets as its data."""

    def answer(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=json.dumps(changed(response.json())))

    page.route("**/data*", answer)


def widened(whole: dict[str, Any], count: int) -> dict[str, Any]:
    """Return a whole table with copies of its first experiment, each with an id of its own."""
    if "ids" not in whole or len(whole["ids"]) >= count:
        return whole
    names = [column["name"] for column in whole["runs"]["columns"]]
    first = whole["runs"]["rows"][0]
    for place in range(len(whole["ids"]), count):
        row = copy.copy(first)
        row[names.index("exp_id")] = exp_id = f"p/fit/lr={place % 7},seed={place}_{place:016x}"
        row[names.index("lr")] = place % 7
        row[names.index("seed")] = place
        row[names.index("status")] = ("DONE", "DONE", "PENDING", "DEAD")[place % 4]
        row[names.index("loss")] = place / 7
        whole["ids"].append(exp_id)
        whole["keys"].append(f"{place:016x}")
        whole["runs"]["rows"].append(row)
        whole["members"].append([place])
        whole["counts"].append(True)
        whole["groups"].append(place)
        whole["packages"].append(None)
    whole["total"] = count
    return whole


# ---- News ----


def test_a_new_line_of_a_running_experiment_is_seen_without_a_reload(lab: Lab, watch: Watch) -> None:
    lab.launch([1, 2])
    lab.begun(1)
    page = watch.open(lab.serve())
    seen_rows(page, 2)
    settled(page, "/^[12] RUNNING · lab . HeyHi$/.test(document.title)")
    assert page.locator("h1").text_content() == "All known experiments of lab"
    page.evaluate("window.isTheSame = true")
    lab.tell(1, line(1, loss=0.731), line(2, loss=0.5))
    page.get_by_role("gridcell", name="0.5", exact=True).first.wait_for()
    lab.tell(1, "end")
    page.get_by_role("button", name="1 DONE").wait_for()
    lab.begun(2)
    lab.tell(2, "raise boom")
    page.get_by_role("button", name="1 DEAD").wait_for()
    page.get_by_role("button", name="1 DEAD").click()
    page.get_by_role("button", name="ValueError: boom").wait_for()
    assert page.evaluate("window.isTheSame")


def test_news_leaves_alone_what_somebody_is_at(lab: Lab, watch: Watch) -> None:
    folders = grid(lab)
    page = watch.open(lab.serve())
    seen_rows(page, 6)
    page.locator("#find").fill("lr=0.1")
    seen_rows(page, 3)
    rows(page).nth(1).locator("td").nth(2).click()
    page.locator("#find").focus()
    page.evaluate("document.getElementById('find').setSelectionRange(2, 4)")
    page.locator("#filter-menu").evaluate("menu => menu.open = true")
    page.evaluate("""() => {
      window.kept = [...document.querySelectorAll('#table tbody tr')];
      document.querySelector('#table').closest('.dt-layout-cell').scrollLeft = 40;
    }""")
    append(folders[0], line(6, loss=0.0123))
    page.get_by_role("gridcell", name="0.0123", exact=True).first.wait_for()
    assert page.evaluate("window.kept.every(row => row.isConnected)"), "rows stay, and so does what is marked in them"
    assert page.evaluate("[document.activeElement.id, document.activeElement.selectionStart]") == ["find", 2]
    assert page.locator("#filter-menu").evaluate("menu => menu.open")
    assert page.locator("tr[aria-selected=true]").count() == 1
    assert page.evaluate("document.querySelector('#table').closest('.dt-layout-cell').scrollLeft") == 40
    assert len(cells(page, "status")) == 3, "the filter stays"


def test_a_sorted_table_is_sorted_anew_and_the_focus_stays_on_its_row(lab: Lab, watch: Watch) -> None:
    folders = grid(lab)
    page = watch.open(lab.serve(), "#sort=" + quote('["loss"]'))
    seen_rows(page, 6)
    first = cells(page, "exp_id")[0]
    rows(page).first.focus()
    append(folders[5], line(6, loss=0.001))
    page.get_by_role("gridcell", name="0.001", exact=True).first.wait_for()
    settled(page)
    assert cells(page, "loss")[0] == "0.001"
    assert page.evaluate("document.activeElement.textContent").count(first) == 1


def test_new_experiments_come_and_removed_ones_go(lab: Lab, watch: Watch) -> None:
    folders = grid(lab)
    page = watch.open(lab.serve())
    seen_rows(page, 6)
    lab.make([{"lr": 0.7, "seed": 7}], name="later")
    page.get_by_text("lr=0.7", exact=False).first.wait_for()
    seen_rows(page, 7)
    shutil.rmtree(folders[0])
    page.get_by_role("button", name="1 NOT_STARTED").wait_for()


def test_a_metric_that_is_new_gets_a_column(lab: Lab, watch: Watch) -> None:
    folders = grid(lab)
    page = watch.open(lab.serve())
    seen_rows(page, 6)
    page.locator("#find").fill("seed")
    append(folders[0], {**line(6), "f1": 0.4321})
    page.get_by_role("gridcell", name="0.4321", exact=True).first.wait_for()
    assert page.locator("#find").input_value() == "seed"
    assert page.evaluate("document.activeElement.id") == "find", "another table is made, and the search box stays"


def test_a_server_that_was_killed_and_started_again_is_found_again(lab: Lab, watch: Watch) -> None:
    folders = grid(lab)
    served = lab.serve()
    context = watch.context()
    watch.allowed = ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "403"]
    page = watch.open(served, context=context)
    seen_rows(page, 6)
    page.evaluate("window.isTheSame = true")
    served.kill()
    page.locator("#connection[data-state=lost]").wait_for()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate("document.elementFromPoint(200, 5).id") == "connection", "it is in sight wherever one is"
    append(folders[0], line(6, loss=0.0123))
    again = served.again()
    watch.open(again, context=context)  # where its token is another one, this gives the cookie
    page.locator("#connection[data-state=live]").wait_for()
    page.get_by_role("gridcell", name="0.0123", exact=True).first.wait_for()
    assert page.evaluate("window.isTheSame")


def test_a_link_to_an_experiment_turns_the_table_to_it(lab: Lab, watch: Watch) -> None:
    folders = lab.make({"lr": 0.1, "seed": seed} for seed in range(60))
    last = str(folders[-1].relative_to(lab.results))
    page = watch.open(lab.serve(), f"#row={quote(last)}")
    row = page.locator("#table tbody tr.selected")
    row.wait_for()
    assert cells(page, "seed")[-1] == "59" and row.locator("td").filter(has_text="59").count()


def test_what_is_through_is_rounded_and_what_starts_the_rest_can_be_copied(lab: Lab, watch: Watch) -> None:
    folders = lab.expand({"lr": 0.1, "seed": seed} for seed in range(12))
    for folder in folders[:5]:
        attempt(folder)
        (folder / "result.json").write_text("{}")
    attempt(folders[5], 1, "ValueError: boom")
    page = watch.open(lab.serve("conf/sweep.py"))
    said = page.locator("#progress-text")
    page.get_by_text("5 of 12 through, 42 %").wait_for()
    assert "DEAD" in str(said.get_attribute("title"))
    command = page.locator("#notices code").first
    command.wait_for()
    assert re.fullmatch(r"heyhi (run|launch) conf/sweep\.py", command.inner_text())


def test_a_page_without_the_right_token_says_what_to_open(lab: Lab, watch: Watch) -> None:
    grid(lab)
    page = watch.open(lab.serve())
    seen_rows(page, 6)
    watch.allowed = ["403"]
    page.context.clear_cookies()
    page.evaluate("globalThis.heyhi.wantNews()")
    page.get_by_text("open the address that `heyhi serve` prints now").wait_for()
    assert len(cells(page, "status")) == 6, "what was known stays"


def test_statuses_are_shown_while_metrics_are_read(lab: Lab, watch: Watch) -> None:
    grid(lab)
    served = lab.serve()
    page = watch.open(served, wait=False)
    stage = ["statuses"]

    def reading(news: dict[str, Any]) -> dict[str, Any]:
        if "ids" in news and stage[0]:
            kept = [i for i, column in enumerate(news["runs"]["columns"]) if column["kind"] != "metric"]
            news["runs"]["columns"] = [news["runs"]["columns"][i] for i in kept]
            news["runs"]["rows"] = [[row[i] for i in kept] for row in news["runs"]["rows"]]
            news |= {"phase": stage[0], "server": "before"}  # another server's version: the next is a whole table
        return news

    change_data(page, reading)
    page.goto(served.address)
    page.reload()
    page.get_by_text("reading metrics…").wait_for()
    assert "loss" not in page.locator("#table thead").inner_text()
    stage[0] = ""
    page.evaluate("globalThis.heyhi.wantNews()")
    page.locator("#table thead").get_by_text("loss").first.wait_for()
    assert "reading" not in page.locator("#made").inner_text()


# ---- What is asked for ----


def test_a_status_says_why_in_groups_that_filter(lab: Lab, watch: Watch) -> None:
    folders = lab.expand({"lr": 0.1, "seed": seed} for seed in range(7))
    for place, folder in enumerate(folders[:5]):
        attempt(folder, 1, f"ValueError: boom {place}" if place < 3 else "MemoryError: full")
    page = watch.open(lab.serve())
    page.get_by_role("button", name="5 DEAD").click()
    seen_rows(page, 5)
    reasons = page.locator("#reasons button")
    assert reasons.count() == 2
    assert re.match(r"3 \S .*ValueError: boom …$", reasons.first.inner_text())
    reasons.first.click()
    seen_rows(page, 3)
    page.get_by_role("button", name="Take off the filter DEAD").click()
    seen_rows(page, 3)
    page.get_by_role("button", name="Clear filters").click()
    seen_rows(page, 7)


def test_the_page_takes_for_alike_what_the_terminal_does(lab: Lab, watch: Watch) -> None:
    grid(lab)
    page = watch.open(lab.serve())
    reasons = ["", "job 12 waits: Priority", "job 12_7 waits: Resources", "exit code 1: ValueError: x = -3.5e7 of 12"]
    reasons += [
        "killed (job 3 on node1): 3 GB",
        "signal 9: out of memory at 0x12",
        "rank 3 on n-1.a: boom 4",
        "no colon 7",
    ]
    reasons += ["needs p/fit/lr=0.1: DEAD", "exit code 3", "a: exit code 3, signal 9, v1.2"]
    assert page.evaluate("reasons => reasons.map(globalThis.heyhi.kindOf)", reasons) == list(map(kind_of, reasons))


def test_filters_are_seen_kept_in_the_address_and_taken_off_one_by_one(lab: Lab, watch: Watch) -> None:
    grid(lab)
    served = lab.serve()
    page = watch.open(served)
    seen_rows(page, 6)
    page.locator("#filter-menu summary").click()
    page.locator("#filter-column").select_option("lr")
    page.get_by_label("lr from").fill("0.15")
    seen_rows(page, 3)
    page.locator("#filter-column").select_option("seed")
    page.locator("#filter-form input[value='1']").check()
    page.locator("#filter-column").select_option("val_accuracy")
    page.get_by_label("val_accuracy to").fill("0.9")
    page.keyboard.press("Escape")
    page.locator("#find").fill("!seed=2")
    settled(page, "document.querySelectorAll('#filters button').length === 4")
    before = cells(page, "exp_id")
    address = page.url
    other = watch.open(served, "#" + address.partition("#")[2])
    settled(other, "document.querySelectorAll('#filters button').length === 4")
    assert cells(other, "exp_id") == before, "a link restores the view in another browser"
    for left in (3, 2, 1, 0):
        page.locator("#filters button").first.click()
        settled(page, f"document.querySelectorAll('#filters button').length === {left}")
    seen_rows(page, 6)


def test_an_address_with_nonsense_in_it_is_text_and_breaks_nothing(lab: Lab, watch: Watch) -> None:
    grid(lab)
    served = lab.serve()
    nonsense = [
        HOSTILE,
        "[",
        "null",
        "[1]",
        '["lr"]',
        '["lr",{"a":1}]',
        '["constructor",1,2]',
        '["lr","' + "x" * 3000 + '"]',
    ]
    view = "&".join(
        f"{name}={quote(text)}" for name in ("only", "filter", "why", "status", "row", "sort") for text in nonsense
    )
    page = watch.open(served, f"#search={quote(HOSTILE)}&page=-7&length=zwölf&{view}")
    settled(page)
    assert page.locator("#find").input_value() == HOSTILE
    assert page.locator("#filters img, #table img").count() == 0
    page.get_by_role("button", name="Clear filters").click()
    seen_rows(page, 6)


def test_hostile_names_overrides_reasons_and_notes_stay_text(lab: Lab, watch: Watch) -> None:
    folders = lab.expand([{"lr": 0.1, "text": HOSTILE}, {"lr": 0.2, "text": "x" * 3000}])
    attempt(folders[0], 1, f"ValueError: {HOSTILE[:-1]}")  # what turns the direction is told by its number
    append(folders[0], {**line(1), HOSTILE[:40]: 3.25})
    page = watch.open(lab.serve(), wait=False)
    change_data(
        page,
        lambda news: (
            news
            | {"notices": [HOSTILE, f"do `{HOSTILE}` now"], "notes": [HOSTILE], "title": HOSTILE, "tab": HOSTILE[-29:]}
        ),
    )
    page.reload()
    page.get_by_role("button", name="1 DEAD").click()
    settled(page)
    assert page.locator("#notices code").inner_text() == readable(HOSTILE)
    assert page.locator("h1").inner_text() == readable(HOSTILE)
    assert page.title().startswith(readable(HOSTILE[-29:]))
    assert page.locator("body img").count() == 0
    assert HOSTILE[:-1] in page.locator("#reasons").inner_text()
    page.locator("#find").fill("onerror=alert(1)>&amp;")
    seen_rows(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_columns_of_rows_that_a_filter_leaves_out_are_shown_on_demand(lab: Lab, watch: Watch) -> None:
    first, *_ = grid(lab)
    append(first, line(6, loss=0.1, val_accuracy=0.9, rare=1.0, scarce=2.0))
    served = lab.serve()
    page = watch.open(served)
    seen_rows(page, 6)

    def heads() -> list[str]:
        found: list[str] = page.locator("#table thead .dt-column-title").all_text_contents()
        return found

    def turn(name: str) -> None:
        page.get_by_role("button", name="Columns").click()
        page.locator(".buttons-columnVisibility", has_text=name).click()
        page.locator("h1").click()  # elsewhere: the menu closes
        page.locator(".dt-button-collection").wait_for(state="detached")

    every = heads()
    assert {"rare", "scarce", "lr", "loss"} <= set(every)
    page.locator("#find").fill("lr=0.2")
    seen_rows(page, 3)
    assert heads() == [name for name in every if name not in ("rare", "scarce")]
    turn("rare")
    assert "rare" in heads() and "scarce" not in heads()
    other = watch.open(served, "#" + page.url.partition("#")[2])
    seen_rows(other, 3)
    settled(other)
    assert other.locator("#table thead .dt-column-title").all_text_contents() == heads(), "a link shows the same"
    page.locator("#find").fill("lr=0.2 seed=99")
    settled(page, "document.querySelector('#table td.dt-empty')")
    assert {"lr", "loss"} <= set(heads()), "where nothing fits, the table is still one"
    page.locator("#find").fill("")
    seen_rows(page, 6)
    assert heads() == every
    turn("scarce")
    for words, count in (("lr=0.2", 3), ("", 6)):
        page.locator("#find").fill(words)
        seen_rows(page, count)
    assert heads() == [name for name in every if name != "scarce"], "what somebody has hidden stays hidden"


def test_that_nothing_fits_is_read_on_a_phone(lab: Lab, watch: Watch) -> None:
    grid(lab)
    page = watch.open(lab.serve(), viewport={"width": 360, "height": 800})
    seen_rows(page, 6)
    page.locator("#find").fill("seed=99")
    settled(page, "document.querySelector('#table td.dt-empty')")
    right = page.evaluate(
        """() => {
          const text = document.createRange();
          text.selectNodeContents(document.querySelector('#table td.dt-empty'));
          return text.getBoundingClientRect().right;
        }"""
    )
    assert right <= 360
    for note in ("#curves-note", "#overrides-note"):
        assert page.locator(note).text_content() == "Nothing fits the filters."


def test_what_runs_says_how_far_it_is_and_since_when_by_the_clock_of_the_one_who_looks(lab: Lab, watch: Watch) -> None:
    lab.launch([1])
    lab.begun(1)
    lab.tell(1, line(3, loss=0.5))
    page = watch.open(lab.serve())
    page.get_by_role("gridcell", name="step 30", exact=True).wait_for()
    (reason,) = cells(page, "reason")
    assert re.search(r" since \d", reason) and "+00:00" not in reason and not re.search(r"\dT\d", reason)
    rows(page).first.locator("td").nth(2).click()
    fact = page.locator("#details td.fact").first
    assert fact.text_content() == reason, "of the one that is chosen, too"
    page.keyboard.press("Escape")
    assert page.locator("#notices").is_hidden(), "nobody is needed"
    lab.tell(1, "end")
    page.get_by_role("button", name="1 DONE").wait_for()
    settled(page, "![...document.querySelectorAll('#table th')].some((one) => one.textContent.trim() === 'progress')")


# ---- Keys ----


def test_all_can_be_done_by_keys(lab: Lab, watch: Watch) -> None:
    grid(lab)
    page = watch.open(lab.serve())
    seen_rows(page, 6)
    page.keyboard.press("?")
    assert page.get_by_role("dialog", name="Keys").is_visible()
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    page.keyboard.press("/")
    page.keyboard.type("lr=0.2")
    seen_rows(page, 3)
    page.keyboard.press("Escape")  # empties it
    seen_rows(page, 6)
    assert page.locator("#table tbody tr[tabindex='0']").count() == 1, "Tab reaches one row"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    settled(page, "document.querySelector('#table tbody tr:nth-child(2)[aria-selected=true]')")
    page.keyboard.press("k")
    page.keyboard.press("Space")
    settled(page, "document.querySelectorAll('#table tbody tr[aria-selected=true]').length === 2")
    style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style == "solid", "the row that has the focus is seen"
    page.keyboard.press("Escape")
    settled(page, "!document.querySelector('#table tbody tr[aria-selected=true]')")
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.id") == "filter-column"
    page.keyboard.press("Escape")
    assert not page.locator("#filter-menu").evaluate("menu => menu.open")


def test_tab_comes_back_to_the_row_that_has_the_focus_when_all_is_shown_anew(lab: Lab, watch: Watch) -> None:
    grid(lab)
    page = watch.open(lab.serve())
    seen_rows(page, 6)
    rows(page).first.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#table tbody tr[tabindex='0']").evaluate_all("found => found.map(tr => tr.dataset.row)") == [
        "1"
    ]
    page.evaluate("heyhi.show({})")
    settled(page, "document.activeElement.dataset.row === '1'")
    assert page.locator("#table tbody tr[tabindex='0']").evaluate_all("found => found.map(tr => tr.dataset.row)") == [
        "1"
    ]


def test_whatever_can_be_used_has_a_name(lab: Lab, watch: Watch) -> None:
    grid(lab)
    page = watch.open(lab.serve(), "#status=DONE")
    seen_rows(page, 6)
    unnamed = page.evaluate("""() => [...document.querySelectorAll('button, input, select, summary, dialog, [role]')]
      .filter(one => one.checkVisibility() && !one.closest('.plot'))
      .filter(one => !['presentation', 'rowgroup', 'row', 'gridcell'].includes(one.getAttribute('role')))
      .filter(one => !(one.getAttribute('aria-label') || one.getAttribute('aria-labelledby')
        || one.labels?.length || one.textContent.trim()))
      .map(one => one.outerHTML.slice(0, 200))""")
    assert unnamed == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


# ---- Sizes and colours ----


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1600])
def test_nothing_is_wider_than_the_window(lab: Lab, watch: Watch, width: int, scheme: str) -> None:
    folders = grid(lab)
    attempt(folders[0], 1, "ValueError: " + "long" * 300)
    is_phone = width == 360
    options = {"viewport": {"width": width, "height": 740}, "color_scheme": scheme}
    page = watch.open(lab.serve(), "#status=DONE&search=seed", **options, has_touch=is_phone, is_mobile=is_phone)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if is_phone:
        heights = page.evaluate("""[...document.querySelectorAll('#statuses button, #find, #filter-menu summary')]
          .map(one => one.getBoundingClientRect().height)""")
        assert min(heights) >= 32, "a finger finds them"
    rows(page).first.locator("td").nth(2).click()
    settled(page, "!document.getElementById('details').hidden")
    box = page.locator("#details").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out_from_what_they_stand_on(lab: Lab, watch: Watch, theme: str) -> None:
    grid(lab)
    page = watch.open(lab.serve(), f"#theme={theme}")
    names = ("page", "card", "text", "quiet", "accent", "chosen", "hover", "mark", "star")
    found = page.evaluate(
        "names => names.map(name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim())",
        list(names),
    )
    colours = dict(zip(names, map(luminance, found), strict=True))

    def contrast(front: str, back: str) -> float:
        light, dark = sorted((colours[front], colours[back]), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    texts = [(front, back) for front in ("text", "quiet") for back in ("page", "card", "hover", "chosen")]
    texts += [("text", "mark"), ("accent", "card"), ("accent", "chosen")]
    assert {pair: round(contrast(*pair), 2) for pair in texts if contrast(*pair) < 4.5} == {}
    assert contrast("star", "card") >= 3


# ---- Many ----


@pytest.mark.parametrize("count", [10_000, 20_000])
def test_what_is_done_to_many_rows_depends_on_what_is_seen_of_them(lab: Lab, watch: Watch, count: int) -> None:
    """Work on the main thread is counted by the rows that are looked at: a drawing is bounded by a page of rows."""
    grid(lab)
    watch.allowed += ["status of 404"]  # what is made up has no curves
    served = lab.serve()
    page = watch.open(served, wait=False)
    change_data(page, lambda news: widened(news, count))
    page.goto(served.address + "#page=3")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    seen_rows(page, 50)
    assert f"of {count:,}" in page.locator(".dt-info").inner_text()
    made = page.evaluate("""() => {
      window.made = 0;
      const create = document.createElement.bind(document);
      document.createElement = (...args) => (window.made += 1, create(...args));
    }""")
    assert made is None
    for text in ("seed=77", "seed=7"):
        page.locator("#find").fill(text)
        settled(page, f"document.querySelector('#filters')?.textContent.includes('{text}”')")
    page.locator("#find").fill("")
    settled(page, "!document.querySelector('#filters button')")
    page.get_by_role("button", name="PENDING").click()
    settled(page, "document.querySelector('#filters button')")
    assert page.evaluate("window.made") < 40_000, "of a few pages of cells, not of all rows"


def test_news_of_a_hundred_of_ten_thousand_makes_a_hundredth_of_what_all_make(lab: Lab, watch: Watch) -> None:
    grid(lab)
    watch.allowed += ["status of 404"]  # what is made up has no curves
    served = lab.serve()
    page = watch.open(served, wait=False)
    kept: dict[str, Any] = {}

    def many(news: dict[str, Any]) -> dict[str, Any]:
        if kept and "ids" not in news:
            names = [column["name"] for column in kept["whole"]["runs"]["columns"]]
            rows = {}
            for place in range(6, 10_000, 100):
                cells = kept["whole"]["runs"]["rows"][place]
                cells[names.index("epoch")] += 1
                rows[place] = cells
            return news | {"version": news["version"], "rows": rows, "counts": {}}
        kept["whole"] = widened(news, 10_000)
        return kept["whole"]

    change_data(page, many)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    seen_rows(page, 50)
    settled(page)
    page.evaluate("""() => {
      window.made = 0;
      const create = document.createElement.bind(document);
      document.createElement = (...args) => (window.made += 1, create(...args));
      window.kept = [...document.querySelectorAll('#table tbody tr')];
    }""")
    before = cells(page, "epoch")[6]
    page.evaluate("globalThis.heyhi.wantNews()")
    settled(page, f"document.querySelector('#table tbody tr:nth-child(7)').textContent.includes('{int(before) + 1}')")
    assert page.evaluate("window.kept.every(row => row.isConnected)")
    assert page.evaluate("window.made") < 5_000
