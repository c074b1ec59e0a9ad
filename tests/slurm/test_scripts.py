"""What a program reads and does on a real cluster, by `--json` and exit codes alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Until = Callable[[Callable[[], object]], None]


@pytest.fixture(autouse=True)
def nothing_left(lab: Any) -> Iterator[None]:
    yield
    lab.heyhi("cancel", "--all", "--force")


def asked(lab: Any, *words: str) -> tuple[int, dict[str, Any]]:
    done = lab.heyhi(*words, "--json")
    return done.returncode, json.loads(done.stdout)


def test_a_program_launches_waits_cancels_and_starts_again(lab: Any, until: Until) -> None:
    lab.sweep({"x": 1}, {"x": 2, "do": "fail"}, {"x": 3, "do": "wait"})
    code, plan = asked(lab, "plan")
    assert (code, [row["action"] for row in plan["experiments"]]) == (0, ["start"] * 3)
    code, launched = asked(lab, "launch")
    assert code == 0 and launched["controller"]["is_new"], launched
    code, again = asked(lab, "launch")
    assert (code, again["controller"]["is_new"]) == (0, False)
    assert again["controller"]["pid"] == launched["controller"]["pid"]
    until(lambda: sorted(lab.ledger) == [1, 2, 3])

    waiting = next(row for row in asked(lab, "status")[1]["experiments"] if "x=3" in row["exp_id"])
    assert (waiting["status"], waiting["job_id"]) == ("RUNNING", lab.job(3))
    code, refused = asked(lab, "cancel", "conf/sweep.py", "--dry-run")
    assert {row["what"] for row in refused["found"]} >= {"controller", "job"} and code == 0
    code, cancelled = asked(lab, "cancel", waiting["job_id"])
    assert code == 0
    assert [(row["what"], row["job_id"], row["ended"]) for row in cancelled["found"]] == [("job", lab.job(3), True)]

    code, ended = asked(lab, "status", "--watch", "1", "conf/sweep.py")
    assert (code, ended["is_over"], ended["counts"]) == (1, True, {"DEAD": 2, "DONE": 1})
    lab.allow()
    code, dry = asked(lab, "retry", "--dead", "--dry-run", waiting["exp_id"])
    assert (code, [row["action"] for row in dry["experiments"]]) == (0, ["start"])
    code, retried = asked(lab, "retry", "--dead", "--foreground", waiting["exp_id"])
    assert (code, [row["action"] for row in retried["experiments"]]) == (0, ["start"]), retried
    assert [row["status"] for row in retried["experiments"]] == ["DONE"]
