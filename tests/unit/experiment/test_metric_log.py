"""How metrics are written: whole lines, after what stands there, by one rank, and never at the cost of a training."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heyhi
from heyhi.errors import HeyhiError
from heyhi.experiment.metric_log import METRICS_VARIABLE, logging_to
from heyhi.experiment.metrics_file import counting_lines
from heyhi.experiment.records import Start


def lines_of(path: Path) -> list[dict[str, Any]]:
    return list(counting_lines(path))


def less_facts(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in ("time", "attempt")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_a_line_has_its_step_what_was_given_the_time_and_the_attempt(path: Path) -> None:
    before = round(time.time(), 3)
    with logging_to(path, attempt=2):
        heyhi.log({"loss": 0.1, "val": {"accuracy": 0.9}}, step=7, lr=1e-3)
    (line,) = lines_of(path)

    assert list(line) == ["step", "loss", "val", "lr", "time", "attempt"]
    assert less_facts(line) == {"step": 7, "loss": 0.1, "val": {"accuracy": 0.9}, "lr": 1e-3}
    assert line["attempt"] == 2
    assert before <= line["time"] <= time.time() + 0.001


def test_outside_of_an_experiment_a_line_goes_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        heyhi.log(name=name)
        heyhi.log(name=name)

    for name in ("one", "other"):
        assert [less_facts(line) for line in lines_of(tmp_path / name / "metrics.jsonl")] == [{"name": name}] * 2
        assert "attempt" not in lines_of(tmp_path / name / "metrics.jsonl")[0]


def test_in_an_experiment_a_line_goes_to_it_wherever_main_has_gone(
    path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logging_to(path, attempt=1):
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        heyhi.log(loss=1)
    assert [less_facts(line) for line in lines_of(path)] == [{"loss": 1}]
    assert not Path("metrics.jsonl").exists()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)  # others are read as floats
    | st.floats()
    | st.text(),
    lambda inner: st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=12,
)
names = st.text(min_size=1).filter(lambda name: name not in ("time", "attempt", "total"))


def is_named_once(line: Mapping[str, Any]) -> bool:
    """Return whether no two of its names are one where those in one another are joined by dots."""

    def joined(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
        for key, value in values.items():
            yield from joined(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]

    found = [*joined(line, "")]
    return len(found) == len({*found})


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and (one == other or (isinstance(one, float) and math.isnan(one)))


@settings(max_examples=50)
@given(st.lists(st.dictionaries(names, values, max_size=5).filter(is_named_once), min_size=1, max_size=4))
def test_whatever_is_logged_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, some: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("logged") / "metrics.jsonl"
    with logging_to(path, attempt=1):
        for one in some:
            heyhi.log(one)

    assert path.read_bytes().count(b"\n") == len(some)
    assert all(same(less_facts(line), one) for line, one in zip(lines_of(path), some, strict=True))


@pytest.mark.parametrize("there", [b'{"loss": 1}\n{"lo', b'{"loss": 1}\n{"loss": 2}', b"\x00\x00"])
def test_what_stands_there_stays_and_a_half_written_line_is_closed_off(path: Path, there: bytes) -> None:
    path.write_bytes(there)
    with logging_to(path, attempt=2):
        heyhi.log(loss=3)
        heyhi.log(loss=4)

    assert path.read_bytes().startswith(there + b'\n{"loss": 3, ')
    assert [line["loss"] for line in lines_of(path)][-2:] == [3, 4]


def test_a_line_that_another_program_leaves_open_meanwhile_is_closed_off_too(path: Path) -> None:
    with logging_to(path, attempt=1):
        heyhi.log(loss=1)
        with path.open("a") as file:
            file.write('{"loss": 2}')
        heyhi.log(loss=3)
        with path.open("a") as file:
            file.write('{"loss": 4}\n')
        heyhi.log(loss=5)
    assert [line["loss"] for line in lines_of(path)] == [1, 2, 3, 4, 5]
    assert b"\n\n" not in path.read_bytes()


def test_a_file_that_main_has_put_in_its_place_is_the_one_that_is_written(path: Path) -> None:
    with logging_to(path, attempt=1):
        heyhi.log(loss=1)
        path.unlink()
        heyhi.log(loss=2)
        other = path.with_name("other")
        other.write_text('{"loss": 0}\n')
        other.replace(path)
        heyhi.log(loss=3)
    assert [line["loss"] for line in lines_of(path)] == [0, 3]


def test_two_attempts_that_log_the_same_steps_count_once(path: Path) -> None:
    with logging_to(path, attempt=1):
        for step in range(5):
            heyhi.log(loss=step, step=step)
    size = path.stat().st_size
    with path.open("a") as file:
        file.write('{"step": 5, "lo')
    with logging_to(path, attempt=2):
        for step in range(3, 7):
            heyhi.log(loss=10 + step, step=step)

    starts = [Start(attempt=1), Start(attempt=2, metrics_size=size + len('{"step": 5, "lo'))]
    counting = list(counting_lines(path, starts))
    assert [(line["step"], line["loss"], line["attempt"]) for line in counting] == [
        *((step, step, 1) for step in range(3)),
        *((step, 10 + step, 2) for step in range(3, 7)),
    ]


def test_lines_of_many_threads_are_whole(path: Path) -> None:
    def write(thread: int) -> None:
        for step in range(50):
            heyhi.log({"thread": thread, "text": "x" * 500}, step=step)

    with logging_to(path, attempt=1):
        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = lines_of(path)
    assert len(found) == 8 * 50
    for number in range(8):
        assert [line["step"] for line in found if line["thread"] == number] == list(range(50))


def test_a_signals_handler_that_logs_while_a_line_is_written_waits_for_nobody(path: Path) -> None:
    heard: list[int] = []
    numbers = itertools.count()

    def hear(sign: int, frame: object) -> None:
        number = next(numbers)
        heyhi.log(heard=number)
        heard.append(number)

    before = signal.signal(signal.SIGALRM, hear)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        with logging_to(path, attempt=1):
            count = 0
            while len(heard) < 20:
                heyhi.log(loss=count)
                count += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    found = lines_of(path)
    assert [line["loss"] for line in found if "loss" in line] == list(range(count))
    assert sorted(line["heard"] for line in found if "heard" in line) == sorted(heard)


LOGGING = """
import os, sys
import heyhi
heyhi.log(loss=float(sys.argv[1]))
"""


def test_a_program_that_main_starts_writes_to_the_same_experiment(path: Path, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    with logging_to(path, attempt=3):
        heyhi.log(loss=1)
        subprocess.run([sys.executable, "-c", LOGGING, "2"], check=True, cwd=tmp_path / "below")
        heyhi.log(loss=3)
    assert [(line["loss"], line["attempt"]) for line in lines_of(path)] == [(1, 3), (2, 3), (3, 3)]


def test_of_the_ranks_that_main_starts_the_first_one_writes(path: Path) -> None:
    with logging_to(path, attempt=1):
        for rank in range(3):
            torchrun = {**os.environ, "RANK": str(rank), "WORLD_SIZE": "3"}
            subprocess.run([sys.executable, "-c", LOGGING, str(rank)], check=True, env=torchrun)
    assert [line["loss"] for line in lines_of(path)] == [0]


def test_a_process_that_has_told_torch_its_rank_has_that_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = """
import sys, types
library = types.ModuleType("torch.distributed")
library.is_available = library.is_initialized = lambda: True
library.get_rank = lambda: int(float(sys.argv[1]))
sys.modules["torch.distributed"] = library
"""
    with logging_to(path, attempt=1):
        for rank in range(2):
            subprocess.run([sys.executable, "-c", torch + LOGGING, str(rank)], check=True)
    assert [line["loss"] for line in lines_of(path)] == [0]


FORKING = """
import os, sys
from pathlib import Path
import heyhi
from heyhi.experiment.metric_log import logging_to
told = []
with logging_to(Path(sys.argv[1]), attempt=1, listeners=[lambda line: told.append(line["loss"])]):
    heyhi.log(loss=1)
    child = os.fork()
    if child == 0:
        heyhi.log(loss=2)
        os._exit(len(told))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    heyhi.log(loss=3)
print(code, told)
"""


def test_a_forked_child_writes_its_own_lines_of_which_the_listeners_of_its_parent_hear_nothing(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKING, path], check=True, capture_output=True, text=True)
    assert [line["loss"] for line in lines_of(path)] == [1, 2, 3]
    assert done.stdout == "1 [1, 3]\n"


def test_nothing_is_written_where_another_has_the_experiment(path: Path) -> None:
    lost = [False, True]
    with logging_to(path, attempt=1, is_lost=lambda: lost.pop(0)):
        heyhi.log(loss=1)
        heyhi.log(loss=2)
    assert [line["loss"] for line in lines_of(path)] == [1]


def test_after_a_run_this_process_and_its_environment_are_as_they_were(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with logging_to(path, attempt=1):
        with logging_to(tmp_path / "inner.jsonl", attempt=1):
            heyhi.log(loss=1)
        heyhi.log(loss=2)
    heyhi.log(loss=3)
    assert METRICS_VARIABLE not in os.environ
    assert [lines_of(tmp_path / p)[0]["loss"] for p in ("inner.jsonl", path, "elsewhere/metrics.jsonl")] == [1, 2, 3]


def test_a_thread_that_main_has_left_running_writes_to_no_other_folder_when_the_run_is_over(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    is_over, logged = threading.Event(), threading.Event()

    def goes_on() -> None:
        heyhi.log(loss=1)
        logged.set()
        is_over.wait(60)
        heyhi.log(loss=2)

    thread = threading.Thread(target=goes_on)
    with logging_to(path, attempt=1):
        thread.start()
        assert logged.wait(60)
    is_over.set()
    thread.join()
    assert [line["loss"] for line in lines_of(path)] == [1]
    assert not Path("metrics.jsonl").exists()


# --- listeners


class Stop(BaseException):
    """What ends a training, as heyhi.Pruned does."""


def test_listeners_get_each_line_as_it_stands_in_the_file(path: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    with logging_to(path, attempt=1, listeners=[heard.append]):
        heyhi.log({"val": {"acc": 1}}, step=1)
        assert heard == lines_of(path)
        heyhi.log(loss=2)
    assert heard == lines_of(path)


def test_a_listener_that_fails_is_named_once_and_called_no_more(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def broken(line: Mapping[str, Any]) -> None:
        calls.append(line)
        raise ConnectionError("no route to host")

    heard: list[Mapping[str, Any]] = []
    with logging_to(path, attempt=1, listeners=[broken, heard.append]):
        heyhi.log(loss=1)
        heyhi.log(loss=2)
    assert len(calls) == 1
    assert len(heard) == len(lines_of(path)) == 2
    (record,) = caplog.records
    assert "broken gets no more metrics: ConnectionError: no route to host" in record.getMessage()


def test_what_is_no_exception_ends_the_training_each_time(path: Path) -> None:
    def stop(line: Mapping[str, Any]) -> None:
        raise Stop

    with logging_to(path, attempt=1, listeners=[stop]):
        for loss in (1, 2):
            with pytest.raises(Stop):
                heyhi.log(loss=loss)
    assert [line["loss"] for line in lines_of(path)] == [1, 2], "the line was written before"


def test_a_listener_that_logs_itself_is_not_told_of_that(path: Path) -> None:
    def counting(line: Mapping[str, Any]) -> None:
        heyhi.log(heard=line["loss"])

    with logging_to(path, attempt=1, listeners=[counting]):
        heyhi.log(loss=1)
    assert [less_facts(line) for line in lines_of(path)] == [{"loss": 1}, {"heard": 1}]


# --- what can't be written


# In a process of its own: the limit is of all files that it writes, pytest's own too.
LIMITED = """
import resource, signal, sys
from pathlib import Path
import heyhi
from heyhi.experiment.metric_log import logging_to

path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

"""


def said_by(code: str, path: Path) -> list[str]:
    """Return what a program says that limits what its files may hold, as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED + textwrap.dedent(code), path], check=True, capture_output=True, text=True
    )
    return done.stderr.replace(f"{path}: ", "").splitlines()


def test_what_a_full_disk_refuses_is_said_once_and_written_later_in_whole_lines(path: Path) -> None:
    code = """
        with logging_to(path, attempt=1):
            heyhi.log(loss=1)
            size = path.stat().st_size
            limit(size + 10)
            heyhi.log(loss=2)
            heyhi.log(loss=3)
            assert path.stat().st_size == size, "no half of a line is left"
            limit(1 << 20)
            heyhi.log(loss=4)
    """
    (said,) = said_by(code, path)
    assert said == "can't be written: No space left on device; metrics are kept, and written when they can be"
    assert [line["loss"] for line in lines_of(path)] == [1, 2, 3, 4]


def test_what_is_lost_in_the_end_is_said(path: Path) -> None:
    code = """
        with logging_to(path, attempt=1):
            heyhi.log(loss=1)
            limit(path.stat().st_size)
            for _ in range(3):
                heyhi.log({"text": "x" * 500_000})
    """
    first, last = said_by(code, path)
    assert first.startswith("can't be written: File too large; ")
    assert last == "3 lines could not be written, and are lost"
    assert [line["loss"] for line in lines_of(path)] == [1]


@pytest.mark.parametrize("there", ["a folder", "a FIFO", "nothing, nor a folder"])
def test_what_is_no_file_ends_no_training(path: Path, there: str, caplog: pytest.LogCaptureFixture) -> None:
    if there == "a folder":
        path.mkdir()
    elif there == "a FIFO":
        os.mkfifo(path)
    else:
        path = path.parent / "none" / "metrics.jsonl"
    with logging_to(path, attempt=1):
        heyhi.log(loss=1)
    assert "can't be written" in caplog.records[0].getMessage()
    assert "1 line could not be written, and is lost" in caplog.records[-1].getMessage()


def test_a_line_that_nobody_would_read_is_refused_and_nothing_of_it_is_written(path: Path) -> None:
    with logging_to(path, attempt=1):
        heyhi.log(loss=1)
        with pytest.raises(HeyhiError, match=r"at most 4 MB, and this one would have 1\d\.\d MB"):
            heyhi.log({f"metric {number}": 1.0 for number in range(500_000)})
        heyhi.log(loss=2)
    assert [line["loss"] for line in lines_of(path)] == [1, 2]


# --- how far a run is


def test_progress_is_written_now_and_then_and_at_its_end(path: Path) -> None:
    with logging_to(path, attempt=1):
        for step in range(1, 1001):
            heyhi.progress(step, 1000)
    found = [less_facts(json.loads(line)) for line in path.read_text().splitlines()]
    assert found[0] == {"step": 1, "total": 1000}
    assert found[-1] == {"step": 1000, "total": 1000}
    assert len(found) < 20


def test_in_a_working_directory_that_was_removed_a_line_is_said_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    heyhi.log(loss=1, step=1)
    assert "metrics.jsonl: can't be written: No such file or directory" in caplog.text
