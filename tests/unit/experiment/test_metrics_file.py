"""Reading a metrics file: of any size, and damaged anywhere."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import heyhi
from heyhi.errors import ResultError
from heyhi.experiment import metrics_file
from heyhi.experiment.directions import Directions
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.handle import Handle
from heyhi.experiment.metric_log import logging_to
from heyhi.experiment.metrics import Summary
from heyhi.experiment.metrics_file import all_blocks, counting_blocks, sum_up
from heyhi.experiment.records import Start


def lines_of(path: Path, damaged: list[int] | None = None) -> list[dict[str, Any]]:
    note = (damaged if damaged is not None else []).append
    return [line for block in counting_blocks(path, damaged=note) for line in block.lines]


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(data)
    return path


def test_where_there_is_no_file_there_are_no_metrics(tmp_path: Path) -> None:
    assert lines_of(tmp_path / "metrics.jsonl") == lines_of(written(tmp_path, b"")) == []


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_an_error_and_nobody_waits_for_it(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "metrics.jsonl"
    make(path)
    with pytest.raises(ResultError, match=r"metrics\.jsonl: can't be read: (it is a FIFO|it is a device|Is a dir)"):
        lines_of(path)


def test_a_hole_that_is_larger_than_a_disk_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"a": 1}\n')
    with path.open("ab") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b'\n{"a": 2}\n')
    damaged: list[int] = []
    assert lines_of(path, damaged) == [{"a": 1}, {"a": 2}] and damaged == [2]
    os.truncate(path, 1 << 40)
    assert lines_of(path) == [{"a": 1}]


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"metrics\.jsonl: can't be read: Not a directory"):
        lines_of(written(tmp_path, b"{}") / "metrics.jsonl")


def test_damaged_lines_are_left_out_and_called_by_number_whatever_lies_around_them(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"a": 1}\n{"a": 2},{"a": 3}\n\n{"a": 4,\n"b": 5}\n[6]\n\xff\n{"a": NaN}\n{"a": 8')
    damaged: list[int] = []
    found = lines_of(path, damaged)
    assert damaged == [2, 4, 5, 6, 7] and found[0] == {"a": 1} and math.isnan(found[1]["a"]) and len(found) == 2


def test_handle_leaves_a_half_written_last_line_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handle = Handle(tmp_path)
    assert handle.metrics() == []
    written(tmp_path, b'{"epoch": 1}\n{"epoch": NaN}\n{"epo')
    assert [len(line) for line in handle.metrics()] == [1, 1]
    assert not caplog.records


def test_a_damaged_line_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, b'{"epoch": 1}\n{"ep{"epoch": 2}\n\n[3]\n\xff\n{"epoch": 4}')
    for everything in (False, True):
        caplog.clear()
        assert [line["epoch"] for line in Handle(tmp_path).metrics(all=everything)] == [1, 4]
        named = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert named == [f"{path}:2: is no JSON object, and 2 more lines: left out"]


def test_a_handle_has_what_counts_and_all_with_their_attempts(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path)
    lines = ['{"epoch": 1, "loss": 3}', '{"epoch": 2, "loss": 2, "attempt": "mine"}', '{"epoch": 2, "loss": 1}']
    folder.append_attempt(Start(1))
    folder.append_attempt(Start(2, metrics_size=len("\n".join(lines[:2])) + 1))
    written(tmp_path, "".join(f"{line}\n" for line in lines).encode())
    handle = Handle(tmp_path)
    assert handle.metrics() == [json.loads(lines[0]), json.loads(lines[2])]
    assert [line["attempt"] for line in handle.metrics(all=True)] == [1, "mine", 2]


def test_a_line_of_some_megabytes_is_skipped_and_what_follows_is_read(tmp_path: Path) -> None:
    damaged: list[int] = []
    long = b'{"a": "%b"}\n' % (b"x" * 5_000_000)
    assert lines_of(written(tmp_path, b'{"a": 1}\n' + long + b'{"a": 3}\n{"a"\n' + long + b'{"a": 6}'), damaged) == [
        {"a": 1}, {"a": 3}, {"a": 6},
    ]  # fmt: skip
    assert damaged == [2, 4, 5]
    damaged.clear()
    assert lines_of(written(tmp_path, b"\0" * 5_000_000), damaged) == [] and damaged == [1]


pieces = st.lists(
    st.one_of(
        st.sampled_from([b"\n", b"\n\n", b"{", b"}", b",", b"\xff", b" ", b"NaN", b"[1]\n", b'{"a": {"b": 1}}\n']),
        st.integers(0, 99).map(lambda n: b'{"step": %d, "loss": 1}\n' % n),
    ),
    max_size=12,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=pieces, block=st.integers(1, 40), most=st.integers(200, 300), cuts=st.lists(st.integers(0, 200)))
def test_blocks_of_any_size_give_what_line_by_line_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[bytes], block: int, most: int, cuts: list[int]
) -> None:
    data = b"".join(parts)
    expected: list[tuple[int, Any]] = []
    bad, offset = [], 0
    begins = [min(cuts[at:]) for at in range(len(cuts))]
    for number, text in enumerate(data.splitlines(keepends=True) if b"\r" not in data else [], 1):
        attempt = next((i for i in range(len(cuts), 0, -1) if cuts[i - 1] <= offset), 0)
        try:
            one = json.loads(text.decode("utf-8", "replace"))
        except ValueError:
            one = None
        if isinstance(one, dict):
            expected.append((attempt, one))
        elif text.strip() and text.endswith(b"\n") and offset + len(text) - 1 not in begins:
            bad.append(number)  # else it was cut, and a later attempt has closed it off
        offset += len(text)
    monkeypatch.setattr(metrics_file, "_BLOCK_BYTES", block)
    monkeypatch.setattr(metrics_file, "MOST_LINE_BYTES", most)
    path, damaged = written(tmp_path, data), list[int]()
    starts = [Start(number, metrics_size=cut) for number, cut in enumerate(cuts, 1)]
    found = [(one.attempt, line) for one in all_blocks(path, starts, damaged=damaged.append) for line in one.lines]
    assert (found, damaged) == (expected, bad)


def test_a_large_file_is_never_held(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    chunk = b"".join(b'{"step": %d, "loss": 0.125, "val": {"loss": NaN}}\n' % step for step in range(20_000))
    with path.open("wb") as file:
        for _ in range(20):
            file.write(chunk)
        file.write(b"x" * 30_000_000)
        file.write(b"\n")
        for _ in range(5):
            file.write(chunk)
    size = path.stat().st_size
    code = (
        "import re, sys; from heyhi.experiment.metrics_file import counting_blocks;"
        "from heyhi.experiment.records import Start;"
        f"starts = [Start(1), Start(2, metrics_size={size // 2})];"
        "print(sum(len(b.lines) for b in counting_blocks(sys.argv[1], starts)));"
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    printed = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    lines, kilobytes = map(int, printed.split())
    assert lines == 500_000 and kilobytes < 60_000


def test_a_handle_takes_a_text_and_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, b'{"epoch": 1}\n')
    monkeypatch.chdir(tmp_path.parent)
    for path in (str(tmp_path), tmp_path.name, Path(tmp_path.name)):
        handle = heyhi.Handle(path)
        assert handle.exp_path == tmp_path and handle.metrics() == [{"epoch": 1}]
    monkeypatch.chdir("/")
    assert handle.metrics() == [{"epoch": 1}]


# --- lines of heyhi.log


def logged(path: Path, attempt: int, *lines: dict[str, Any], total: float | None = None) -> None:
    with logging_to(path, attempt=attempt):
        for line in lines:
            heyhi.log(line, total=total)


def summary_of(path: Path, starts: list[Start] | None = None) -> dict[str, Any]:
    return sum_up(path, starts or [], Directions(), damaged=lambda line: pytest.fail(f"line {line}")).result()


@pytest.mark.parametrize("total", [None, 50])
def test_when_and_by_whom_a_line_was_written_is_no_metric_and_neither_is_how_far_the_run_is_to_go(
    tmp_path: Path, total: int | None
) -> None:
    path = tmp_path / "metrics.jsonl"
    logged(path, 3, *({"step": step, "loss": 1 / step, "val": {"acc": step}} for step in range(1, 6)), total=total)
    wanted = {"step": 5, "loss": 0.2, "val.acc": 5, "loss.best": 0.2, "val.acc.best": 5}
    assert summary_of(path) == wanted
    with path.open("a") as file:
        file.write('{"step": 6, "loss": NaN}\n')
    assert summary_of(path)["step"] == 6 and not {"time", "attempt", "total"} & summary_of(path).keys()
    assert [Handle(tmp_path).metrics()[n].get("attempt") for n in (0, 5)] == [3, None]


def test_lines_that_differ_in_digits_only_are_summed_up_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    logged(path, 1, *({"step": step, "loss": step} for step in range(1, 4)))
    summary = Summary(Directions())
    assert summary.add_unparsed(path.read_bytes())
    assert summary.result() == {"step": 3, "loss": 3, "loss.best": 1}


@given(
    st.lists(st.sampled_from(["loss", "val_loss", "a,loss", "a:{}loss", "step"]), min_size=1, max_size=3),
    st.lists(
        st.lists(st.sampled_from(["0", "7", "-3", "0.5", "12.25", ""]), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    st.lists(st.sampled_from([""] * 12 + ["1", "1,", ",", "."]), min_size=12, max_size=12),
    st.sampled_from([": ", ":"]),
    st.sampled_from([", ", ","]),
)
def test_what_is_summed_up_unparsed_is_what_the_lines_say(
    names: list[str], values: list[list[str]], more: list[str], colon: str, comma: str
) -> None:
    starts = iter(more)
    pairs = (
        [f'"{next(starts)}{name}"{colon}{value}' for name, value in zip(names, row, strict=False)] for row in values
    )
    lines = [f"{{{comma.join(line)}}}\n" for line in pairs]
    unparsed, parsed = Summary(Directions()), Summary(Directions())
    if unparsed.add_unparsed("".join(lines).encode()):
        parsed.add(list(map(json.loads, lines)))
        assert unparsed.result() == parsed.result()


def test_names_that_a_task_gives_by_hand_stay_metrics(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"step": 1, "time": 3.5, "total": 7}\n{"step": 2, "attempt": 1, "total": 8}\n')
    assert summary_of(path) == {"step": 2, "time": 3.5, "total": 8, "attempt": 1}


def test_a_line_that_says_only_how_far_the_run_is_is_no_line_of_metrics(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with logging_to(path, attempt=1):
        heyhi.progress(1, 100)
        heyhi.log({"epoch": 1, "loss": 2})
        heyhi.progress(100, 100)
    assert summary_of(path) == {"epoch": 1, "loss": 2, "loss.best": 2}
    assert [line["loss"] for line in lines_of(path)] == [2]


def test_what_a_killed_attempt_left_half_written_is_no_damage_once_it_is_closed_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    logged(path, 1, {"step": 1, "loss": 3}, {"step": 2, "loss": 2})
    with path.open("a") as file:
        file.write('{"step": 3, "lo')
    starts = [Start(attempt=1), Start(attempt=2, metrics_size=path.stat().st_size)]
    logged(path, 2, {"step": 3, "loss": 1})

    assert summary_of(path, starts) == {"step": 3, "loss": 1, "loss.best": 1}
    blocks = list(counting_blocks(path, starts, damaged=lambda line: pytest.fail(f"line {line}")))
    assert [(block.attempt, line["step"]) for block in blocks for line in block.lines] == [(1, 1), (1, 2), (2, 3)]
