"""The log of an experiment on a live page: it follows, goes back, finds, and leads to the last error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.served import Lab, Watch, attempt, settled

HOSTILE = "<script>alert(1)</script>\x1b[31m<img src=x onerror=alert(2)>"
AT_END = "(box => box.scrollHeight - box.scrollTop - box.clientHeight < 30)(document.querySelector('pre.log'))"
TEXT = "document.querySelector('pre.log').textContent"


def one(lab: Lab, text: str) -> Path:
    (folder,) = lab.make([{"lr": 0.1, "seed": 0}])
    (folder / "log.txt").write_text(text)
    return folder


def write(folder: Path, text: str) -> None:
    with (folder / "log.txt").open("a") as file:
        file.write(text)


def open_log(lab: Lab, watch: Watch) -> Any:
    page = watch.open(lab.serve())
    page.locator("#table tbody tr").first.locator("td").nth(2).click()
    settled(page, "document.querySelector('pre.log')?.textContent")
    return page


def note(page: Any) -> str:
    return str(page.locator("#details details[data-about=Log] .note").text_content())


def test_the_end_of_a_log_follows_what_is_written_as_text(lab: Lab, watch: Watch) -> None:
    folder = one(lab, "".join(f"line {n}\n" for n in range(200)))
    page = open_log(lab, watch)
    settled(page, AT_END)
    write(folder, f"{HOSTILE}\n")
    settled(page, f"{TEXT}.includes('<img src=x')")
    settled(page, AT_END)
    write(folder, "half a line")
    settled(page, f"{TEXT}.endsWith('half a line')")
    write(folder, " is whole\n")
    settled(page, f"{TEXT}.endsWith('half a line is whole\\n')")
    assert page.evaluate(TEXT).count("half a line") == 1
    assert page.locator("pre.log script, pre.log img").count() == 0
    assert "follows" in note(page)


def test_a_bar_that_goes_back_is_followed_into_the_next_attempt(lab: Lab, watch: Watch) -> None:
    folder = one(lab, "".join(f"line {n}\n" for n in range(200)) + "\r".join(f"{n} %" for n in range(30)))
    page = open_log(lab, watch)
    settled(page, AT_END)
    write(folder, "\r40 %")
    settled(page, f"{TEXT}.endsWith('40 %')")
    settled(page, AT_END)
    write(folder, "\r50 %\nValueError: boom\n")
    settled(page, f"{TEXT}.endsWith('boom\\n')")
    attempt(folder, 1, "ValueError: boom")
    write(folder, "the second attempt\n")
    settled(page, f"{TEXT}.endsWith('the second attempt\\n')")
    assert "follows" in note(page)


def test_who_scrolls_up_is_left_there_until_the_button_goes_on(lab: Lab, watch: Watch) -> None:
    folder = one(lab, "".join(f"line {n}\n" for n in range(500)))
    page = open_log(lab, watch)
    settled(page, AT_END)
    # What is drawn in this moment goes to the end once more: who scrolls does so until it stays.
    settled(
        page,
        "(document.querySelector('pre.log').scrollTop = 400) &&"
        " [...document.querySelectorAll('.log-bar button')].some(b => b.textContent === 'follow' && !b.hidden)",
    )
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/log" in request.url else None)
    write(folder, "the newest line\n")
    page.get_by_role("button", name="follow").click()
    settled(page, f"{TEXT}.includes('the newest line')")
    settled(page, AT_END)
    assert not any("from=" in url for url in requests[:1]), "nothing was asked before the button"


def test_earlier_pieces_come_on_scrolling_up_and_what_is_far_away_goes(lab: Lab, watch: Watch) -> None:
    one(lab, "".join(f"line {n:06} {'x' * 100}\n" for n in range(20_000)))  # 2 MB
    page = open_log(lab, watch)
    settled(page, f"{TEXT}.includes('line 019999')")
    assert "line 000000" not in page.evaluate(TEXT)
    for _ in range(60):
        if "line 000000" in page.evaluate(TEXT):
            break
        first = page.evaluate(f"{TEXT}.slice(0, 11)")
        page.evaluate("document.querySelector('pre.log').scrollTop = 0")
        page.wait_for_function(f"(first) => {TEXT}.slice(0, 11) !== first", arg=first)
        shown = page.evaluate("document.querySelector('pre.log').scrollTop")
        assert shown > 0, "what was read stays in sight"
    text = page.evaluate(TEXT)
    assert text.startswith("line 000000")
    assert len(text) < 1.2 * (1 << 20)
    assert "line 019999" not in text
    numbers = [int(row.split()[1]) for row in text.splitlines()]
    assert numbers == list(range(len(numbers))), "no line is missing or twice"


def test_the_last_error_is_gone_to(lab: Lab, watch: Watch) -> None:
    traceback = "Traceback (most recent call last):\n  File 'a.py', line 1\nValueError: boom é\n"
    folder = one(lab, "é\n" * 1000 + traceback + "".join(f"after {n}\n" for n in range(3000)))
    attempt(folder, 1, "ValueError: boom")
    page = open_log(lab, watch)
    page.get_by_role("button", name="last error").click()
    settled(page, f"{TEXT}.includes('é\\nTraceback')")  # with what was before
    place = "[...CSS.highlights.get('found-here')][0].getBoundingClientRect().top"
    box = "document.querySelector('pre.log').getBoundingClientRect()"
    settled(page, f"{place} >= {box}.top && {place} < {box}.top + 100")
    assert page.evaluate("[...CSS.highlights.get('found-here')][0].toString()").startswith("Traceback")


def test_a_log_without_an_error_says_so(lab: Lab, watch: Watch) -> None:
    one(lab, "")
    page = watch.open(lab.serve())
    page.locator("#table tbody tr").first.locator("td").nth(2).click()
    settled(page, "document.querySelector('pre.log')")
    page.get_by_role("button", name="last error").click()
    settled(page, "document.querySelector('[data-about=Log] .note').textContent.startsWith('no error')")


def test_text_is_found_in_what_is_shown(lab: Lab, watch: Watch) -> None:
    one(lab, "".join(f"line {n} {'needle' if n % 100 == 0 else ''}\n" for n in range(1000)))
    page = open_log(lab, watch)
    box = page.get_by_label("Find in the log")
    box.fill("NEEDLE")
    found = page.locator(".log-bar [role=status]")
    settled(page, "document.querySelector('.log-bar [role=status]').textContent === '10 of 10'")
    box.press("Shift+Enter")
    assert found.text_content() == "9 of 10"
    assert page.evaluate("[...CSS.highlights.get('found')].length") == 10
    box.fill("nowhere")
    assert found.text_content() == "not found"


def test_a_log_that_is_begun_anew_is_shown_anew(lab: Lab, watch: Watch) -> None:
    folder = one(lab, "old\n" * 100)
    page = open_log(lab, watch)
    settled(page, f"{TEXT}.includes('old')")
    (folder / "log.txt").unlink()
    (folder / "log.txt").write_text("new\n")
    settled(page, f"{TEXT} === 'new\\n'")


def test_ranks_are_chosen_where_there_are_several(lab: Lab, watch: Watch) -> None:
    folder = one(lab, "of the first\n")
    (folder / "log.1.txt").write_text("of the second\n")
    page = open_log(lab, watch)
    choice = page.locator("[data-about=Log] label", has_text="rank").locator("select")
    choice.select_option("1")
    settled(page, f"{TEXT} === 'of the second\\n'")
