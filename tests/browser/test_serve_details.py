"""What a live page tells of chosen experiments, side by side and one by one, and the commands that it has copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.browser.served import Lab, Watch, append, attempt, line, settled

HOSTILE = "<img src=x onerror=alert(1)>"


def configured(folders: list[Path], **keys: list[object]) -> None:
    """Write the config's keys of experiments, as a launch does."""
    for place, folder in enumerate(folders):
        flat = {f"fit.{key}": values[place] for key, values in keys.items()}
        (folder / "config_flat.json").write_text(json.dumps(flat))
        text = "".join(f"  {key}: {values[place]}\n" for key, values in keys.items())
        (folder / "config.prototxt").write_text(f"fit {{\n{text}}}\n")


def choose(page: Any, *places: int) -> None:
    for i, place in enumerate(places):
        cell = page.locator("#table tbody tr").nth(place).locator("td").nth(0 if i else 2)
        cell.click()
    settled(page, f"document.querySelectorAll('#table tbody tr[aria-selected=true]').length === {len(places)}")


def sections(page: Any) -> list[str]:
    return [text.strip() for text in page.locator("#details > details > summary").all_text_contents()]


def test_a_chosen_experiment_tells_what_it_is_and_how_it_went(lab: Lab, watch: Watch) -> None:
    folders = lab.make([{"lr": 0.1, "seed": 0}, {"lr": 0.2, "seed": 0}])
    configured(folders, lr=[0.1, 0.2], text=["a", HOSTILE])
    attempt(folders[1], 1, f"ValueError: {HOSTILE}")
    page = watch.open(lab.serve())
    choose(page, 1)
    details = page.locator("#details")
    assert page.locator("#details h3.id").text_content().endswith(folders[1].name)
    assert any(text.startswith("Differs from others") for text in sections(page))
    assert any(text.startswith("Attempts (") for text in sections(page))
    page.locator("#details summary", has_text="Keys").click()
    assert HOSTILE in details.text_content()
    page.locator("#details .key-search").last.fill("text")
    assert page.locator("#details details[data-about=Keys] tbody tr:visible").count() == 1
    assert page.locator("img").count() == 0


def test_numbers_side_by_side_are_whole_on_a_phone(lab: Lab, watch: Watch) -> None:
    for place, folder in enumerate(lab.make({"lr": lr, "seed": 0} for lr in (0.1, 0.2, 0.3))):
        append(folder, line(6, loss=0.000123456 + place / 1e5, val_accuracy=0.987654))
    page = watch.open(lab.serve(), viewport={"width": 360, "height": 800})
    choose(page, 0, 1, 2)
    heights = page.locator("#details details[data-about=Metrics] tbody td").evaluate_all(
        "cells => cells.map((cell) => cell.getClientRects()[0].height)"
    )
    assert len(set(heights)) == 1, heights


def test_a_command_is_copied(lab: Lab, watch: Watch) -> None:
    lab.make([{"lr": 0.1, "seed": 0}])
    context = watch.context(permissions=["clipboard-read", "clipboard-write"])
    page = watch.open(lab.serve(), context=context)
    choose(page, 0)
    page.locator("#details summary", has_text="Commands").click()
    line_ = page.locator("#details .copied-line").first
    line_.get_by_role("button").click()
    settled(page, "document.querySelector('#details .copied-line button').textContent === 'copied'")
    assert page.evaluate("navigator.clipboard.readText()") == line_.locator("code").text_content()


def test_what_the_browser_does_not_copy_is_selected(lab: Lab, watch: Watch) -> None:
    lab.make([{"lr": 0.1, "seed": 0}])
    page = watch.open(lab.serve())
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }")
    choose(page, 0)
    page.locator("#details summary", has_text="Commands").click()
    line_ = page.locator("#details .copied-line").first
    line_.get_by_role("button").click()
    settled(page, "document.querySelector('#details .copied-line button').textContent === 'press Ctrl+C'")
    assert page.evaluate("getSelection().toString()") == line_.locator("code").text_content()


def test_news_leave_what_is_opened_scrolled_and_selected_in_the_details(lab: Lab, watch: Watch) -> None:
    folders = lab.make([{"lr": 0.1, "seed": 0}, {"lr": 0.2, "seed": 0}])
    configured(folders, lr=[0.1, 0.2], **{f"key{n:02}": [n, n] for n in range(40)})
    page = watch.open(lab.serve(), viewport={"width": 1400, "height": 600})
    choose(page, 0)
    page.locator("#details summary", has_text="Keys").click()
    page.locator("#details summary", has_text="Attempts").click()
    keys = page.locator("#details details[data-about=Keys]")
    keys.evaluate("(one) => { one.scrollIntoView(); one.querySelector('.scroll').scrollTop = 120; }")
    keys.evaluate("(one) => getSelection().selectAllChildren(one.querySelector('tbody th'))")
    place = page.evaluate("document.getElementById('details').scrollTop")
    selected = page.evaluate("getSelection().toString()")
    again = {"event": "start", "attempt": 2, "kind": "gentle_start", "host": "other", "pid": 1 << 22, "job_id": None}
    with (folders[0] / "attempts.jsonl").open("a") as records:
        records.write(json.dumps(again) + "\n")
    append(folders[0], line(6, loss=0.05, val_accuracy=0.95))
    settled(page, "document.querySelector('#details details[data-about=Attempts] summary').textContent.includes('(2)')")
    assert keys.evaluate("(one) => [one.open, one.querySelector('.scroll').scrollTop]") == [True, 120]
    assert not page.locator("#details details[data-about=Attempts]").evaluate("(one) => one.open")
    assert page.evaluate("document.getElementById('details').scrollTop") == place
    assert page.evaluate("getSelection().toString()") == selected


def test_chosen_experiments_are_compared_key_by_key(lab: Lab, watch: Watch) -> None:
    folders = lab.make([{"lr": 0.1, "seed": 0}, {"lr": 0.2, "seed": 0}, {"lr": 0.3, "seed": 0}])
    configured(folders, lr=[0.1, 0.2, 0.3], depth=[1, 1, 2], width=[8, 8, 8])
    page = watch.open(lab.serve())
    choose(page, 0, 1, 2)
    differs = page.locator("#details details[data-about='What differs']")
    settled(page, "document.querySelector(\"#details details[data-about='What differs'] tbody tr\")")
    assert differs.locator("tbody th").all_text_contents() == ["fit.lr", "fit.depth"]
    assert differs.locator("tbody tr").nth(1).locator("td").all_text_contents() == ["1", "1", "2"]
    row = page.evaluate("document.querySelector('#details .compared button[data-row]').dataset.row")
    differs.locator("select").select_option(row)
    settled(page)
    marked = differs.locator("tbody tr").nth(1).locator("td").evaluate_all("(all) => all.map((td) => td.className)")
    assert sorted(marked) == ["differs", "quiet", "quiet"]


def test_commands_of_several_come_as_one_where_they_take_several(lab: Lab, watch: Watch) -> None:
    folders = lab.make([{"lr": 0.1, "seed": 0}, {"lr": 0.2, "seed": 0}])
    page = watch.open(lab.serve())
    page.route(
        "**/experiments/*",
        lambda route: route.fulfill(json={"flat": {}, "commands": commands(folders, route.request.url, page)}),
    )
    choose(page, 0, 1)
    page.locator("#details summary", has_text="Commands for all").click()
    settled(page, "document.querySelectorAll(\"[data-about='Commands for all'] code\").length === 3")
    lines = page.locator("[data-about='Commands for all'] code").all_text_contents()
    ids = [f"p/fit/{folder.name}" for folder in folders]
    assert [one for one in lines if one.startswith("heyhi cancel")] == [f"heyhi cancel {' '.join(ids)} --yes"]
    assert sorted(one for one in lines if one.startswith("heyhi logs")) == [f"heyhi logs {one} -f" for one in ids]


def commands(folders: list[Path], url: str, page: Any) -> list[list[str]]:
    """Return commands as the server writes them, of the experiment that was asked for."""
    from heyhi.serve.wire import key_of

    folder = next(one for one in folders if url.endswith(key_of(str(one))))
    name = f"p/fit/{folder.name}"
    return [["cancel", f"heyhi cancel {name} --yes"], ["log", f"heyhi logs {name} -f"]]


def test_what_is_needed_is_chosen_by_a_click(lab: Lab, watch: Watch) -> None:
    from heyhi.serve.wire import key_of

    folders = lab.make([{"lr": 0.1, "seed": 0}, {"lr": 0.2, "seed": 0}])
    needs = [
        {"key": key_of(str(folders[1])), "id": f"p/fit/{folders[1].name}", "status": "DONE"},
        {"key": None, "id": HOSTILE, "status": "DEAD"},
    ]
    page = watch.open(lab.serve())
    page.route("**/experiments/*", lambda route: route.fulfill(json={"flat": {}, "needs": needs}))
    choose(page, 0)
    assert page.locator("#details .linked li").all_text_contents()[1].endswith(HOSTILE)
    page.locator("#details .linked button").click()
    settled(page, f"document.querySelector('#details h3.id').textContent.endsWith('{folders[1].name}')")
    assert page.locator("#table tbody tr").nth(1).get_attribute("aria-selected") == "true"


def test_details_that_cannot_be_fetched_are_said_and_tried_again(lab: Lab, watch: Watch) -> None:
    lab.make([{"lr": 0.1, "seed": 0}])
    page = watch.open(lab.serve())
    watch.allowed += ["Failed to load resource"]
    page.route("**/experiments/*", lambda route: route.fulfill(status=500, body="no more files"))
    choose(page, 0)
    settled(page, "document.querySelector('#details .failed')?.textContent.includes('no more files')")
    page.unroute("**/experiments/*")
    settled(page, "document.querySelector('#details .commands') && !document.querySelector('#details .failed')")
