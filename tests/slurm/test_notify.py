"""Who is told of launches on a real cluster: soon after the first death, and of the end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from heyhi.experiment.folder import ExperimentDir
from tests.listener import TOKEN, Listener, listening

Until = Callable[[Callable[[], object]], None]
_BAR_SECONDS = 30.0  # from a death to its message


@pytest.fixture(autouse=True)
def nothing_left(lab: Any) -> Iterator[None]:
    yield
    lab.heyhi("cancel", "--all", "--force")


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        yield found


def test_a_first_death_is_told_within_30_seconds_while_others_go_on(lab: Any, listener: Listener, until: Until) -> None:
    lab.sweep({"x": 1, "do": "fail"}, {"x": 2, "do": "wait"}, {"x": 3, "do": "fail"})
    done = lab.heyhi("launch", "--notify", listener.url)
    assert done.returncode == 0, done.stderr
    until(lambda: listener.got)
    told = time.time()
    text = listener.got[0].form["text"]
    assert "first death: p/work/do=fail,x=" in text
    assert "DEAD: exit code 1: ValueError: boom" in text
    folder = ExperimentDir(lab.root / "results" / listener.got[0].form["exp_id"])
    result = folder.history().last_end
    assert result is not None
    ended = time.mktime(time.strptime(result.time[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert told - ended < _BAR_SECONDS
    lab.allow()
    until(lambda: len(listener.got) == 2)
    end = listener.got[1].form
    assert end["counts"] == {"DONE": 1, "DEAD": 2}
    until(lambda: not list(lab.root.glob("results/.heyhi/controllers/*/claim.json")))
    assert listener.events == ["death", "end"]
    files = [path for path in lab.root.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in lab.run_words("scontrol", "show", "jobs").stdout


def test_what_is_tried_again_is_no_death_and_cancelling_is_told(lab: Any, listener: Listener, until: Until) -> None:
    (lab.root / "conf/work.prototxt").write_text("work { launcher { slurm { max_attempts: 2 } } }\n")
    lab.settings(f'notify = ["{listener.url}"]')
    lab.sweep({"x": 1, "do": "fail"}, {"x": 2, "do": "wait"})
    lab.heyhi("launch")
    until(lambda: listener.got)
    assert lab.ledger.count(1) == 2
    until(lambda: 2 in lab.ledger)
    assert lab.heyhi("cancel", "conf/sweep.py", "--force").returncode == 0
    assert listener.events == ["death", "end"]
    assert ": cancelled: " in listener.got[1].form["title"]
    rows = json.loads(lab.heyhi("status", "--json").stdout)["experiments"]
    assert {row["status"] for row in rows} == {"DEAD"}


def test_jobs_that_nobody_stays_for_tell_themselves(lab: Any, listener: Listener, until: Until) -> None:
    lab.sweep({"x": 1, "do": "fail"}, {"x": 2, "do": "none"}, {"x": 3, "do": "fail"})
    done = lab.heyhi("launch", "--controller", "none", "--notify", listener.url)
    assert done.returncode == 0, done.stderr
    assert f"tells:   http://{listener.host}/…" in done.stdout
    until(lambda: len(listener.got) == 2)
    assert listener.events == ["death", "end"]
    assert listener.got[1].form["counts"] == {"DONE": 1, "DEAD": 2}
    assert TOKEN not in lab.run_words("scontrol", "show", "jobs").stdout
    files = [path for path in lab.root.rglob("*") if path.is_file()]
    until(lambda: not [path for path in files if path.exists() and TOKEN.encode() in path.read_bytes()])
