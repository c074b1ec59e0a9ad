"""Claims and statuses over two mounts of one folder whose machines remember for half a minute what they have seen."""

from __future__ import annotations

import contextlib
import json
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.experiment.records import Start
from heyhi.files import is_there_now

# HEYHI_TEST_ROUNDS=3000 is for who changes something about claims.
ROUNDS = int(os.environ.get("HEYHI_TEST_ROUNDS", "60"))
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
    deaths = 0
    for seed in range(2):
        some = {}
        for number, (side, folder) in enumerate([("a", there.a), ("a", there.a), ("b", there.b), ("b", there.b)]):
            one = client(host=f"{side}{number}", clock=clock if side == "b" else 0)
            one.begin("hammer", folder, there.book, 10, 10 * seed + number, 0.08)
            some[one.process.stdout] = one
        while some:
            for output in select.select(list(some), [], [])[0]:
                one = some.pop(output)
                if (answer := one.answer()) is None:
                    deaths += 1
                    age_claims_of(one.process.pid, there.a)
                else:
                    assert answer == 10
    assert troubles(there.book) == []
    assert deaths > 1


def age_claims_of(pid: int, folder: Path) -> None:
    """Make what a process that has died has claimed as old as if nobody had touched it for some minutes."""
    for path in folder.glob("claim*.json"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            if json.loads(path.read_text())["pid"] == pid:
                old = path.stat().st_mtime - 400
                os.utime(path, (old, old))


def test_a_link_that_was_answered_twice_is_ones_own(mount: Any, client: Clients) -> None:
    there = mount(seconds=30, lost=3)
    some = [client(host=side) for side in "ab"]
    for number, one in enumerate(some):
        one.begin("hammer", (there.a, there.b)[number], there.book, ROUNDS, number, 0)
    assert [one.answer() for one in some] == [ROUNDS] * 2
    assert troubles(there.book) == []
    assert [path.name for path in there.a.iterdir()] == []


PROTO = """
syntax = "proto2";
message Include { optional string path = 1; optional string mount = 2; }
message Job { optional int32 x = 1; }
message MetaCfg { repeated Include includes = 1; oneof task { Job job = 2; } }
"""


def project_in(folder: Path) -> None:
    """Write a project of one task, with its results, where several machines have it."""
    (folder / "conf").mkdir()
    (folder / "conf" / "conf.proto").write_text(PROTO)
    (folder / "conf" / "job.prototxt").write_text("job {}\n")
    (folder / "pyproject.toml").write_text("[tool.heyhi]\n")


@pytest.mark.parametrize("clock", CLOCKS)
def test_what_one_has_done_no_other_does_again(mount: Any, client: Clients, clock: int) -> None:
    there = mount(seconds=30)
    project_in(there.a)
    numbers = list(range(10))
    one, other = client(host="a"), client(host="b", clock=clock)
    assert other.ask("look", there.b, numbers) == one.ask("look", there.a, numbers) == [False] * 10
    one.begin("run", there.a, there.book, numbers[:6])
    other.begin("run", there.b, there.book, numbers[4:])
    one.answer(), other.answer()
    # Each has looked for all of them before they were done, and remembers that they weren't.
    assert one.ask("run", there.a, there.book, numbers) == ["DONE"] * 10
    assert other.ask("run", there.b, there.book, numbers) == ["DONE"] * 10
    assert [counted(there.book, f"x{n}") for n in numbers] == [1] * 10


def test_what_was_wiped_elsewhere_is_not_taken_for_done(mount: Any, client: Clients) -> None:
    there = mount(seconds=30)
    project_in(there.a)
    one, other = client(host="a"), client(host="b")
    assert other.ask("run", there.b, there.book, [1]) == ["DONE"]
    assert other.ask("look", there.b, [1]) == [True]
    one.ask("wipe", there.a, 1)
    assert other.ask("run", there.b, there.book, [1]) == ["DONE"]
    assert counted(there.book, "x1") == 2


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_status_is_never_what_a_machine_remembers(mount: Any, client: Clients, clock: int) -> None:
    there = mount(seconds=30)
    runs, looks = client(host="a"), client(host="b", clock=clock)
    for folder in (there.a / "x", there.b / "x"):
        assert looks.ask("state", folder) == ["NOT_STARTED", ""]
    (there.a / "x").mkdir()
    (there.a / "x/identity.json").write_text('{"version": 2, "cfg": "c", "overrides": []}')
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
    assert client(host="c", clock=clock).ask("acquire", there.a) == "mine"
