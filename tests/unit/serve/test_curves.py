"""Curves as a live page asks for them: bounded by pixels, read on while they grow, as a fresh reading has them."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.experiment import metrics_file
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.metrics_file import counting_blocks
from heyhi.project import Project, Settings
from heyhi.report.columns import ColumnCache
from heyhi.report.page_curves import curves_of
from heyhi.serve import curves as curves_module
from heyhi.serve.board import Board, Known
from heyhi.serve.curves import Curves, buckets_for


class Shown(Board):
    """A board that shows the folders below one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def experiment(self, key: str) -> Known | None:
        path = self.root / key
        project = Project(self.root, Settings(), self.root)
        return Known(project, ExperimentDir(path, self.root)) if path.is_dir() else None


def write(folder: Path, lines: list[dict[str, Any]], mode: str = "a") -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "metrics.jsonl").open(mode) as file:
        file.write("".join(json.dumps(one) + "\n" for one in lines))


def steps(count: int, begin: int = 0) -> list[dict[str, Any]]:
    return [{"step": step, "loss": 1 / (step + 1), "acc": step % 7} for step in range(begin, begin + count)]


def settle(folder: Path) -> None:
    """Have the files look as if they were written some time ago."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)


def of_a_report(folder: Path, metric: str, buckets: int) -> list[Any]:
    """Return the sets of a metric as the report's page has them."""
    blocks = (block.lines for block in counting_blocks(folder / "metrics.jsonl"))
    found = []
    for one in curves_of(blocks, buckets):
        if metric in one.y:
            parts = [one.x, {metric: one.y[metric]}, one.mean_x, {metric: one.mean[metric]} if one.mean else {}]
            found.append(parts)
    return found


def parts_in(answer: dict[str, Any], key: str) -> list[Any]:
    names = ("x", "y", "mean_x", "mean")
    sets = answer["curves"][key]
    return [[{k: answer["arrays"][i] for k, i in one.get(name, {}).items()} for name in names] for one in sets]


def test_a_curve_is_what_the_report_draws_of_it(tmp_path: Path) -> None:
    write(tmp_path / "a", steps(3000))
    answer = Curves(Shown(tmp_path)).answer(["a"], 800, ["loss"])
    assert parts_in(answer, "a") == of_a_report(tmp_path / "a", "loss", answer["points"])
    assert answer["x"] == ["step"]
    assert answer["metrics"] == {"a": ["loss", "acc"]}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 120), min_size=1, max_size=8), st.sampled_from([["loss"], ["acc"], ["loss", "acc"]]))
def test_a_growing_curve_is_what_a_fresh_server_sends(sizes: list[int], metrics: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_file, "_BLOCK_BYTES", 1000)
        root, at = Path(name), 0
        kept = Curves(Shown(root))
        for size in sizes:
            write(root / "a", steps(size, at))
            at += size
            assert kept.answer(["a"], 60, metrics) == Curves(Shown(root)).answer(["a"], 60, metrics)


VALUES = st.one_of(st.integers(-5, 5), st.floats(), st.just("text"), st.just(10**400), st.just({"in": 1.5}))
ODD_LINES = st.lists(
    st.dictionaries(st.sampled_from(["step", "epoch", "time", "attempt", "loss", "acc", "seen"]), VALUES, max_size=5),
    max_size=60,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(ODD_LINES, min_size=1, max_size=5))
def test_whatever_is_logged_a_growing_curve_is_what_a_fresh_server_sends(parts: list[list[dict[str, Any]]]) -> None:
    metrics = ["loss", "acc", "seen", "loss.in", "step"]
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics_file, "_BLOCK_BYTES", 500)
        root = Path(name)
        kept = Curves(Shown(root))
        for lines in parts:
            write(root / "a", lines)
            found = kept.answer(["a"], 40, metrics)
            assert found == Curves(Shown(root)).answer(["a"], 40, metrics)
            assert orjson.dumps(found)


def test_what_is_sent_is_bounded_by_points_not_by_lines(tmp_path: Path) -> None:
    for count in (5_000, 50_000):
        write(tmp_path / f"n{count}", [{"step": i, "loss": i * 7919 % 1013} for i in range(count)])
        answer = Curves(Shown(tmp_path)).answer([f"n{count}"], 500, ["loss"])
        assert 2_000 < len(json.dumps(answer)) < 500 * 24  # a value and a step, in base64
    assert buckets_for(10**9) <= 1024
    assert buckets_for(-5) > 0


def test_only_what_was_asked_for_is_sent(tmp_path: Path) -> None:
    write(tmp_path / "a", [{"step": i, "epoch": i // 2, "loss": i, "acc": -i} for i in range(10)])
    answer = Curves(Shown(tmp_path)).answer(["a", "gone"], 500, ["acc"], ["epoch"])
    (one,) = answer["curves"]["a"]
    assert (list(one["x"]), list(one["y"])) == (["epoch"], ["acc"])
    assert "gone" not in answer["curves"]
    (usual,) = Curves(Shown(tmp_path)).answer(["a"], 500, ["acc"], ["never logged"])["curves"]["a"]
    assert list(usual["x"]) == ["step"]
    assert Curves(Shown(tmp_path)).answer(["a"], 500)["arrays"] == []


def test_what_the_page_has_is_not_sent_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, steps(10))
    kept = Curves(Shown(tmp_path))
    first = kept.answer(["a", "b"], 500, ["loss"])
    write(tmp_path / "b", steps(1, 10))
    second = kept.answer(["a", "b"], 500, ["loss"], have=[first["stamps"]["a"], first["stamps"]["b"]])
    assert second["same"] == ["a"]
    assert list(second["curves"]) == ["b"]


@pytest.mark.parametrize("mode", ["rewritten", "replaced", "cut", "emptied", "gone"])
def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_file, "_BLOCK_BYTES", 1000)
    write(tmp_path / "a", steps(500))
    settle(tmp_path / "a")
    kept, path = Curves(Shown(tmp_path)), tmp_path / "a/metrics.jsonl"
    kept.answer(["a"], 500, ["loss"])
    new = [{"step": step, "loss": step} for step in range(600)]
    if mode == "rewritten":
        write(tmp_path / "a", new, "w")
    elif mode == "replaced":
        path.unlink()
        write(tmp_path / "a", new)
    elif mode == "cut":
        os.truncate(path, 2000)
    elif mode == "emptied":
        os.truncate(path, 0)
    else:
        path.unlink()
    assert kept.answer(["a"], 500, ["loss"]) == Curves(Shown(tmp_path)).answer(["a"], 500, ["loss"])


def test_what_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", steps(50))
    settle(tmp_path / "a")
    kept = Curves(Shown(tmp_path))
    first = kept.answer(["a"], 500, ["loss", "acc"])
    monkeypatch.setattr(metrics_file, "open_found", lambda *_: pytest.fail("it was opened"))
    assert kept.answer(["a"], 500, ["loss", "acc"]) == first
    assert kept.answer(["a"], 500, ["acc"])["stamps"] != first["stamps"]


def test_several_that_ask_at_once_have_an_experiment_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", steps(50))
    settle(tmp_path / "a")
    kept, reads, all_there = Curves(Shown(tmp_path)), list[int](), threading.Barrier(4)
    opened = metrics_file.open_found
    monkeypatch.setattr(metrics_file, "open_found", lambda *of: reads.append(1) or opened(*of))

    def ask(_: int) -> dict[str, Any]:
        all_there.wait()
        return kept.answer(["a"], 500, ["loss"])

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(ask, range(4))
    assert all(other == first for other in others)
    assert len(reads) == 1


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / f"e{number}", [{"step": i, "loss": (i * 7919 + number) % 1013} for i in range(400)])
        settle(tmp_path / f"e{number}")
    kept = Curves(Shown(tmp_path), most_bytes=20_000)
    keys = [f"e{number}" for number in range(30)]
    answer = kept.answer(keys, 1000, ["loss"])
    assert kept.remembered <= 20_000
    assert answer == Curves(Shown(tmp_path)).answer(keys, 1000, ["loss"])


def test_the_memory_of_a_long_file_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_file, "_BLOCK_BYTES", 1000)
    write(tmp_path / "a", steps(2000))
    kept = Curves(Shown(tmp_path), most_bytes=100)
    before = kept.answer(["a"], 500, ["loss"])
    assert kept.remembered <= 100
    write(tmp_path / "a", steps(1, 2000))
    assert kept.answer(["a"], 500, ["loss"]) == Curves(Shown(tmp_path)).answer(["a"], 500, ["loss"]) != before


def test_attempts_that_cannot_be_read_and_files_that_are_none_cost_nothing_else(tmp_path: Path) -> None:
    write(tmp_path / "good", steps(5))
    write(tmp_path / "odd", steps(5))
    (tmp_path / "odd/attempts.jsonl").write_bytes(b"\xff\0{" * 50)
    (tmp_path / "fifo").mkdir()
    os.mkfifo(tmp_path / "fifo/metrics.jsonl")
    (tmp_path / "folder/metrics.jsonl").mkdir(parents=True)
    (tmp_path / "huge").mkdir()
    with (tmp_path / "huge/metrics.jsonl").open("wb") as file:
        file.truncate(1 << 40)
    answer = Curves(Shown(tmp_path)).answer(["good", "odd", "fifo", "folder", "huge"], 500, ["loss"])
    assert {key: len(sets) for key, sets in answer["curves"].items()} == {
        "good": 1,
        "odd": 1,
        "fifo": 0,
        "folder": 0,
        "huge": 0,
    }


def test_names_of_metrics_are_listed_as_long_as_an_answer_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, [{"step": 1, **{f"m{i}": i for i in range(50)}}])
    monkeypatch.setattr(curves_module, "_MOST_NAMES", 60)
    answer = Curves(Shown(tmp_path)).answer(["a", "b"], 500, ["m1"])
    assert list(answer["metrics"]) == ["a"]
    assert answer["curves"]["b"]


def test_names_that_no_text_can_hold_are_sent_as_the_table_has_them(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/metrics.jsonl").write_text('{"step": 1, "l\\ud800ss": 2, "\\udc80": 3}\n' * 3)
    answer = Curves(Shown(tmp_path)).answer(["a"], 500, ["l\\ud800ss"])
    assert answer["metrics"] == {"a": ["l\\ud800ss", "\\udc80"]}
    assert list(answer["curves"]["a"][0]["y"]) == ["l\\ud800ss"]
    assert orjson.dumps(answer)


def many(root: Path, count: int = 20) -> list[str]:
    for number in range(count):
        write(root / f"e{number}", steps(30))
        settle(root / f"e{number}")
    return [f"e{number}" for number in range(count)]


def test_the_next_server_need_not_read_what_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = many(tmp_path)
    monkeypatch.setattr(curves_module, "_KEEP_SECONDS", 0.0)
    first = Curves(Shown(tmp_path)).answer(keys, 500, ["loss"])
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    write(tmp_path / "e3", steps(5, 30))
    changed = Curves(Shown(tmp_path)).answer(["e3"], 500, ["loss"])
    reads: list[str] = []
    opened = metrics_file.open_found
    monkeypatch.setattr(metrics_file, "open_found", lambda *of: reads.append(str(of[0])) or opened(*of))
    second = Curves(Shown(tmp_path)).answer(keys, 500, ["loss"])
    assert [Path(path).parent.name for path in reads] == ["e3"]
    assert parts_in(second, "e3") == parts_in(changed, "e3") != parts_in(first, "e3")
    for key in set(keys) - {"e3"}:
        assert parts_in(second, key) == parts_in(first, key)
    assert Curves(Shown(tmp_path)).answer(keys, 500, ["acc"])["curves"] != second["curves"]


@pytest.mark.parametrize("damage", ["cut", "bytes", "folder", "other columns"])
def test_what_is_kept_on_disk_may_be_damaged(tmp_path: Path, damage: str) -> None:
    keys = many(tmp_path)
    server = Curves(Shown(tmp_path))
    first = server.answer(keys, 500, ["loss"])
    server.keep()
    (kept,) = tmp_path.rglob("live-curves-*")
    if damage == "cut":
        os.truncate(kept, 500)
    elif damage == "bytes":
        kept.write_bytes(b"\0" * 1000)
    elif damage == "folder":
        kept.unlink()
        kept.mkdir()
    else:
        ColumnCache(kept.parent).store(kept.name.removesuffix(".columns"), {"keys": ["e1", 7], "stamps": [None]})
    assert Curves(Shown(tmp_path)).answer(keys, 500, ["loss"]) == first


def test_an_answer_has_so_much_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"e{number}" for number in range(10)]
    for number, key in enumerate(keys):
        write(tmp_path / key, [{"step": i, "loss": i * number % 17} for i in range(100)])
    monkeypatch.setattr(curves_module, "_MOST_SENT", 1000)
    found, left = set[str](), keys
    while left:
        answer = Curves(Shown(tmp_path)).answer(left, 500, ["loss"])
        assert len(answer["curves"]) <= 3
        found, left = found | set(answer["curves"]), answer["left"]
    assert found == set(keys)


def test_what_takes_long_to_read_is_left_to_an_answer_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"e{number}" for number in range(4)]
    for key in keys:
        write(tmp_path / key, [{"step": i, "loss": i} for i in range(1000 if key in ("e0", "e2") else 10)])
    monkeypatch.setattr(curves_module, "LONG_BYTES", 10_000)
    curves = Curves(Shown(tmp_path))

    def answered(keys: list[str]) -> tuple[list[str], list[str]]:
        answer = curves.answer(keys, 500, ["loss"])
        return list(answer["curves"]), answer["left"]

    assert answered(keys) == (["e1", "e3"], ["e0", "e2"])
    assert answered(["e0", "e2"]) == (["e0"], ["e2"])
    assert answered(["e2"]) == (["e2"], [])
    write(tmp_path / "e0", [{"step": 1000, "loss": 3}])
    assert answered(keys) == (keys, []), "of what was read, little is left to read"
