"""A metrics file that is read on while it grows brings exactly what a reading from the begin brings."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.experiment import metrics_file
from heyhi.experiment.growing_metrics import GrowingMetrics
from heyhi.experiment.metrics_file import counting_blocks
from heyhi.experiment.records import Start

BLOCK = 150  # bytes, so that a few lines are several blocks
_serial = itertools.count()


class Lines:
    """Takes lines, and notes where it was made small."""

    def __init__(self) -> None:
        self.taken: list[Mapping[str, Any] | str] = []

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.taken += lines

    def thin(self) -> None:
        self.taken.append("thin")

    def copy(self) -> Lines:
        other = Lines()
        other.taken = list(self.taken)
        return other


def growing() -> GrowingMetrics[Lines]:
    return GrowingMetrics(Lines, Lines.copy)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_file, "_BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(metrics_file, "MOST_LINE_BYTES", 4 * BLOCK)


def line(step: int, name: str) -> bytes:
    return json.dumps({"step": step, name: next(_serial)}).encode() + b"\n"


LINES = st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["loss", "acc"])), min_size=1, max_size=12)
CHANGES = st.one_of(
    st.tuples(st.just("lines"), LINES),
    st.tuples(st.just("half a line"), st.just(())),
    st.tuples(st.just("a huge line"), st.integers(1, 12)),
    st.tuples(st.just("a hole"), st.just(())),
    st.tuples(st.just("an attempt"), st.just(())),
    st.tuples(st.just("an attempt that goes back"), st.integers(1, 400)),
    st.tuples(st.just("rewritten"), LINES),
    st.tuples(st.just("replaced"), LINES),
    st.tuples(st.just("cut"), st.integers(1, 400)),
    st.tuples(st.just("gone"), st.just(())),
)


def change(path: Path, starts: list[Start], what: str, how: Any) -> None:
    size = path.stat().st_size if path.exists() else 0
    with path.open("ab") as file:
        if what == "lines":
            file.write(b"".join(line(*one) for one in how))
        elif what == "half a line":
            file.write(line(1, "loss")[:-9])
        elif what == "a huge line":
            file.write(b"x" * (how * BLOCK))
        elif what == "a hole":
            file.truncate(size + 40 * BLOCK)
    if what.startswith("an attempt"):
        at = max(size - how, 0) if how else size
        os.truncate(path, at)
        starts.append(Start(attempt=len(starts) + 1, metrics_size=at))
    elif what == "rewritten":
        path.write_bytes(b"".join(line(*one) for one in how))
    elif what == "replaced":
        path.with_suffix(".new").write_bytes(b"".join(line(*one) for one in how))
        path.with_suffix(".new").replace(path)
    elif what == "cut":
        os.truncate(path, max(size - how, 0))
    elif what == "gone":
        path.unlink()
        starts.clear()


def expected(path: Path, starts: Sequence[Start]) -> list[Any]:
    return [one for block in counting_blocks(path, starts) for one in block.lines]


@settings(deadline=None)
@given(st.lists(CHANGES, max_size=12))
def test_what_is_read_on_is_what_a_reading_from_the_begin_brings(changes: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, starts, kept = Path(folder, "metrics.jsonl"), [Start(attempt=1)], growing()
        for what, how in changes:
            change(path, starts, what, how)
            found = kept.read(path, starts).taken
            assert found == growing().read(path, starts).taken
            assert [one for one in found if one != "thin"] == expected(path, starts)


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    path, kept = tmp_path / "metrics.jsonl", growing()
    # Of one length each, whatever was written before.
    path.write_bytes(b"".join(b'{"step": %03d}\n' % step for step in range(100, 200)))
    first = kept.read(path, [])
    reads: list[int] = []
    read_at = metrics_file.Opened.read_at

    def noted(self: metrics_file.Opened, offset: int, end: int | None = None) -> bytes:
        reads.append(offset)
        return read_at(self, offset, end)

    with path.open("ab") as file:
        file.write(b'{"step": 200}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_file.Opened, "read_at", noted)
        second = kept.read(path, [])
    assert len(second.taken) == len(first.taken) + 1
    assert min(reads) > path.stat().st_size - 5 * BLOCK


def test_a_second_attempt_that_goes_on_further_has_only_what_is_new_read(tmp_path: Path) -> None:
    path, kept = tmp_path / "metrics.jsonl", growing()
    path.write_bytes(b"".join(line(step, "loss") for step in range(50)))
    starts = [Start(attempt=1), Start(attempt=2, metrics_size=path.stat().st_size)]
    with path.open("ab") as file:
        file.write(b"".join(line(step, "loss") for step in range(40, 60)))
    kept.read(path, starts)
    before = kept.taken
    with path.open("ab") as file:
        file.write(b"".join(line(step, "loss") for step in range(60, 70)))
    found = kept.read(path, starts)
    assert kept.taken is before
    steps = [one["step"] for one in found.taken if not isinstance(one, str)]
    assert steps == [*range(40), *range(40, 70)]


def test_a_file_that_is_none_is_said_to_be_none_and_leaves_nothing_behind(tmp_path: Path) -> None:
    from heyhi.errors import ResultError

    path, kept = tmp_path / "metrics.jsonl", growing()
    path.write_bytes(b"".join(line(step, "loss") for step in range(100)))
    kept.read(path, [])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ResultError):
        kept.read(path, [])
    path.unlink()
    path.write_bytes(line(1, "loss"))
    assert len(kept.read(path, []).taken) == 1
