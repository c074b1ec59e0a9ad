"""Claims and statuses over two mounts of one folder whose machines remember for half a minute what they have seen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.records import Start
from heyhi.files import is_there_now

ROUNDS = int(os.environ.get("HEYHI_TEST_ROUNDS", "400"))
# By how many seconds the clock of one of the machines is ahead of the file system's.
CLOCKS = [0, 420, -420]

Clients = Callable[..., Any]


def counted(book: Path, name: str = "count") -> int:
    path = book / name
    return path.stat().st_size if path.exists() else 0


def troubles(book: Path) -> list[str]:
    return [path.read_text() for path in book.iterdir() if path.name in ("TWO", "LOST")]


def begun(folder: Path, host: str) -> None:
    """Have an attempt on record, as one that was begun on a machine."""
    start = Start(attempt=1, kind="first", host=host, pid=1).to_dict()
    (folder / "attempts.jsonl").write_text(json.dumps(start) + "\n")


@pytest.mark.parametrize("clock", CLOCKS)
def test_nobody_is_ever_inside_with_another(mount: Any, client: Clients, clock: int) -> None:
    there = mount(seconds=30)
    all_of_them = [
        (client(host=f"{side}{n}", clock=clock if side == "b" else 0), folder, n)
        for side, folder in (("a", there.a), ("b", there.b))
        for n in range(2)
    ]
    for number, (one, folder, _) in enumerate(all_of_them):
        one.begin("hammer", folder, there.book, ROUNDS, number, 0)
    assert [one.answer() for one, _, _ in all_of_them] == [ROUNDS] * 4
    assert troubles(there.book) == []
    assert counted(there.book) == 4 * ROUNDS


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_claim_of_one_that_died_elsewhere_is_taken_over_by_exactly_one(
    mount: Any, client: Clients, clock: int
) -> None:
    there = mount(seconds=1)
    hurried = {"stale": 5, "heartbeat": 0.5}
    total = 0
    for seed in range(3):
        some = [
            client(host=f"{side}{n}", clock=clock if side == "b" else 0, **hurried) for side in "ab" for n in range(2)
        ]
        for number, one in enumerate(some):
            folder = there.a if number < 2 else there.b
            one.begin("hammer", folder, there.book, 10, 10 * seed + number, 0.08)
        answers = [one.answer() for one in some]
        assert {answer for answer in answers if answer is not None} <= {10}
        total += answers.count(None)
    assert troubles(there.book) == []
    assert total, "nobody died"


def test_a_link_that_was_answered_twice_is_ones_own(mount: Any, client: Clients) -> None:
    there = mount(seconds=30, lost=3)
    some = [client(host=side) for side in "ab"]
    for number, one in enumerate(some):
        one.begin("hammer", (there.a, there.b)[number], there.book, ROUNDS, number, 0)
    assert [one.answer() for one in some] == [ROUNDS] * 2
    assert troubles(there.book) == []
    assert [path.name for path in there.a.iterdir()] == []


@pytest.mark.parametrize("clock", CLOCKS)
def test_what_one_has_done_no_other_does_again(mount: Any, client: Clients, clock: int) -> None:
    there = mount(seconds=30)
    names = [f"x{n}" for n in range(ROUNDS // 2)]
    for name in names:
        (there.a / name).mkdir()
    one, other = client(host="a"), client(host="b", clock=clock)
    one.begin("race", [str(there.a / name) for name in names], there.book)
    other.begin("race", [str(there.b / name) for name in names], there.book)
    one.answer(), other.answer()
    # What the slower one has just passed by, as it was another's, may be done by now.
    one.ask("race", [str(there.a / name) for name in names], there.book)
    assert [counted(there.book, name) for name in names] == [1] * len(names)


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_status_is_never_what_a_machine_remembers(mount: Any, client: Clients, clock: int) -> None:
    there = mount(seconds=30)
    runs, looks = client(host="a"), client(host="b", clock=clock)
    for folder in (there.a / "x", there.b / "x"):
        assert looks.ask("state", folder) == ["NOT_STARTED", ""]
    (there.a / "x").mkdir()
    begun(there.a / "x", "a")
    here, seen = there.a / "x", there.b / "x"
    is_there_now(seen)
    assert looks.ask("state", seen)[0] == "DEAD"  # and remembers that there is neither claim nor result
    assert runs.ask("acquire", here) == "mine"
    assert looks.ask("state", seen)[0] == "RUNNING"
    assert looks.ask("acquire", seen) == "a"
    runs.ask("result", here)
    runs.ask("release", here)
    assert looks.ask("state", seen) == ["DONE", ""]


def test_a_result_that_was_taken_away_is_not_there_for_who_would_run_it(mount: Any) -> None:
    there = mount(seconds=30)
    (there.a / "result.json").write_text("{}")
    seen = there.b / "result.json"
    assert seen.exists()
    (there.a / "result.json").unlink()
    assert not is_there_now(seen)


def test_a_result_that_was_looked_for_too_early_is_there_once_it_is(mount: Any) -> None:
    there = mount(seconds=30)
    seen = there.b / "result.json"
    assert not seen.exists()
    (there.a / "result.json").write_text("{}")
    assert is_there_now(seen) and seen.exists()
    assert sorted(path.name for path in there.b.iterdir()) == ["result.json"]


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_living_claim_is_not_stale_by_the_clock_of_who_looks(mount: Any, client: Clients, clock: int) -> None:
    there = mount(seconds=30)
    runs, looks = client(host="a"), client(host="b", clock=clock)
    assert runs.ask("acquire", there.a) == "mine"
    assert looks.ask("acquire", there.b) == "a"
    assert runs.ask("is_held", there.a) is True
    # As old as a claim is whose owner has died on another machine.
    made = there.a / "claim.json"
    old = made.stat().st_mtime - 400
    os.utime(made, (old, old))
    runs.process.kill()
    later = there.b if not os.environ.get("HEYHI_TEST_MOUNTS") else there.a
    third = client(host="c", clock=clock)
    assert third.ask("acquire", there.a) == "mine", later
