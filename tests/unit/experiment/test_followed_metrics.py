"""Metrics that are summed up while they are written: whatever happens to the file, as a fresh reading has them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyhi.experiment import metrics_file
from heyhi.experiment.directions import Directions
from heyhi.experiment.followed_metrics import FollowedMetrics
from heyhi.experiment.metrics_file import Damage, Opened, Place, sum_up
from heyhi.experiment.records import Start

LINES = st.one_of(
    st.builds(lambda step, loss: {"step": step, "loss": loss}, st.integers(0, 30), st.floats(0, 9)),
    st.builds(lambda step: {"step": step, "val": {"accuracy": step / 7}}, st.integers(0, 30)),
    st.builds(lambda value: {"loss": value, "step": 1}, st.sampled_from([float("nan"), float("inf"), 1e300, 3])),
)
STEPS = st.one_of(
    st.tuples(st.just("lines"), st.lists(LINES, min_size=1, max_size=8)),
    st.tuples(st.just("raw"), st.sampled_from([b'{"step": 1', b"junk\n", b"\n", b'"', b"}\n", b'{"loss": 0.25}\n'])),
    st.tuples(st.just("cut"), st.integers(0, 400)),
    st.tuples(st.just("replaced"), st.lists(LINES, max_size=12)),
    st.tuples(st.just("attempt"), st.just(None)),
    st.tuples(st.just("removed"), st.just(None)),
)


def fresh(path: Path, starts: list[Start]) -> tuple[Any, ...]:
    damage = Damage()
    found = sum_up(path, starts, Directions(), damaged=damage, cut=damage.note_cut)
    return as_seen(found.result(), found.is_cut, damage)


def as_seen(result: dict[str, Any], is_cut: bool, damage: Damage) -> tuple[Any, ...]:
    # With the order of the names, and NaN like NaN.
    return json.dumps(result), is_cut, damage.is_cut, damage.text("f"), damage.text("f", is_over=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=12), st.integers(20, 200))
def test_whatever_happens_to_a_file_it_is_summed_up_as_if_it_were_read_for_the_first_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, Any]], block: int
) -> None:
    monkeypatch.setattr(metrics_file, "_BLOCK_BYTES", block)
    path, starts, followed = tmp_path / "metrics.jsonl", [Start(attempt=1)], FollowedMetrics(Directions())
    path.unlink(missing_ok=True)
    for what, given_ in steps:
        match what:
            case "lines":
                with path.open("ab") as file:
                    file.write("".join(f"{json.dumps(line)}\n" for line in given_).encode())
            case "raw":
                with path.open("ab") as file:
                    file.write(given_)
            case "cut" if path.exists():
                os.truncate(path, min(given_, path.stat().st_size))
            case "replaced":
                other = tmp_path / "other"
                other.write_text("".join(f"{json.dumps(line)}\n" for line in given_))
                other.replace(path)
            case "attempt":
                size = path.stat().st_size if path.exists() else 0
                starts.append(Start(attempt=len(starts) + 1, metrics_size=size))
            case "removed":
                path.unlink(missing_ok=True)
        damage = Damage()
        found = followed.sum_up(path, starts, damage)
        assert as_seen(found.result(), found.is_cut, damage) == fresh(path, starts)


def test_of_a_file_that_grows_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, followed = tmp_path / "metrics.jsonl", FollowedMetrics(Directions())
    with path.open("w") as file:
        file.writelines(f'{{"step": {step}, "loss": {1 / step}}}\n' for step in range(1, 100_001))
    assert followed.sum_up(path, [], Damage()).result()["loss"] == 1e-5
    read: list[int] = []
    real = Opened.pieces

    def note(self: Opened, damaged: Any, begin: Place) -> Any:
        read.append(begin.read)
        return real(self, damaged, begin)

    monkeypatch.setattr(Opened, "pieces", note)
    with path.open("a") as file:
        file.write('{"step": 100001, "loss": 0.5}\n')
    result = followed.sum_up(path, [], Damage()).result()
    assert (result["loss"], result["loss.best"]) == (0.5, 1e-5)
    assert len(read) == 1 and read[0] > path.stat().st_size - (1 << 18)
