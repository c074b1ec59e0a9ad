"""Records: what is written down of attempts and jobs, and read again, also by other versions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.errors import UnknownError
from heyhi.experiment.death import death_of
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.given import given_in
from heyhi.experiment.records import (
    NOT_KNOWN,
    End,
    History,
    Metrics,
    Record,
    Start,
    Submission,
    Used,
    to_records,
    wrong_fields,
)
from heyhi.experiment.used import sums_of
from heyhi.slurm.commands import Job

START = Start(1, "first", "2026-11-24T10:00:00+00:00", "n1", 12, "7", 0, "0a1b", True, "c0ff")
USED = Used(1.75, 30.0, 3.25, 0.5, 8)
END = End(1, "done", 0, "", 1.5, "2026-11-24T11:00:00+00:00", used=USED)
SETTLED = End(1, "TIMEOUT", 143, "", None, "2026-11-24T11:00:00+00:00", "7", "TIMEOUT", "n1")
JOB = Submission(
    "7", "2026-11-24T09:00:00+00:00", 1, 0.5, 8, 1, 64.0, "long", "c0de", {"gpu_type": "v100", "setup": ["a"]}
)


def test_the_lines_of_a_file_of_attempts(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path)
    local = START._replace(job_id="", commit="", dirty=False)
    for record in (START, local, END, SETTLED):
        folder.append_attempt(record)
    written = [list(json.loads(line).items()) for line in folder.attempts_path.read_text().splitlines()]
    assert dict(written[0]) == {
        "event": "start", "attempt": 1, "kind": "first", "time": START.time, "host": "n1", "pid": 12, "job_id": "7",
        "restart_count": 0, "commit": "0a1b", "dirty": True, "config": "c0ff",
    }  # fmt: skip
    assert dict(written[1]) == {**dict(written[0]), "job_id": None, "commit": None, "dirty": False}
    end = {"event": "end", "attempt": 1, "reason": "done", "exit_code": 0, "exception": ""}
    used = {"seconds": 1.75, "queued": 30.0, "cpu_seconds": 3.25, "mem_gb": 0.5, "gpus": 8}
    assert written[2] == list({**end, "seconds": 1.5, "time": END.time, "used": used}.items())
    end |= {"reason": "TIMEOUT", "exit_code": 143}
    assert written[3] == list({**end, "time": END.time, "job_id": "7", "job_state": "TIMEOUT", "host": "n1"}.items())
    assert folder.attempts() == [START, local, END, SETTLED]


def test_the_note_of_a_submission(tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path)
    assert folder.read_submission() is None
    folder.write_submission(JOB)
    assert list(json.loads(folder.job_path.read_text())) == (
        "job_id time attempt hours gpus nodes mem_gb_per_node partition code asked pack".split()  # noqa: SIM905
    )
    assert folder.history() == History([], JOB)


def test_what_another_version_wrote_is_read_as_far_as_it_is_known() -> None:
    lines: list[dict[str, Any]] = [
        {"event": "start", "attempt": 2, "new": {"x": 1}, "job_id": 77},
        {"event": "note", "attempt": 2},
        {"attempt": 3},
        {"event": ["start"]},
        {"event": "end", "attempt": 2, "reason": "failed", "of": "a newer kind"},
    ]
    assert to_records(lines) == [Start(2, job_id="77"), End(2, "failed")]


@pytest.mark.parametrize("wrong", [None, True, 1.5, "x", [], {}, [1], {"a": 1}])
def test_values_of_a_wrong_type_are_no_traceback(wrong: Any, tmp_path: Path) -> None:
    folder = ExperimentDir(tmp_path)
    for kind, event in ((Start, "start"), (End, "end")):
        line = {"event": event, **dict.fromkeys(kind._fields, wrong)}
        folder.attempts_path.write_text(json.dumps(line) + "\n")
        (record,) = folder.attempts()
        assert isinstance(record, kind) and {type(v) for v in record} <= {
            int,
            str,
            bool,
            float,
            type(None),
            tuple,
            dict,
            Used,
        }
        folder.append_attempt(record)
    folder.job_path.write_text(json.dumps({**dict.fromkeys(Submission._fields, wrong), "job_id": 7}))
    history = folder.history()
    assert isinstance(folder.read_submission(), Submission) and isinstance(history.current_job, str)
    assert isinstance(history.job_to_ask, str) and isinstance(history.job_ids, set)


@pytest.mark.parametrize("wrong", [10**30, -(10**30), 10**4000, math.nan, math.inf, -math.inf, 1e300])
def test_numbers_that_nobody_has_measured_count_as_absent(wrong: float) -> None:
    for kind in (Start, End, Submission):
        record = kind.from_dict(
            {**dict.fromkeys(kind._fields, wrong), "asked": {"hours": wrong}, "used": {"gpus": wrong}}
        )
        assert all(type(v) in (str, dict, tuple, bool, Used, type(None)) or v in (0, 1) for v in record), record
        assert getattr(record, "used", NOT_KNOWN) is NOT_KNOWN and not getattr(record, "asked", {})


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**30, -(10**400), 2**63, -1, 0, 1, 2])
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["start", "end", "done", "requeue", "killed", "TIMEOUT", "7", "2026-11-24T10:00:00+00:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from(sorted({"event", *Start._fields, *End._fields, *Submission._fields}))
_LINE = st.dictionaries(_NAMES, _JSON, max_size=12)
_RECORD = _LINE | st.builds(lambda event, line: {**line, "event": event}, st.sampled_from(["start", "end"]), _LINE)


@given(st.lists(_RECORD, max_size=5), _LINE)
def test_whatever_is_on_record_can_be_asked_and_told(lines: list[dict[str, Any]], job: dict[str, Any]) -> None:
    history = History(to_records(lines), Submission.from_dict(job))
    assert set(wrong_fields(lines)) <= {"event", *Start._fields, *End._fields}
    for name in [name for name, kind in vars(History).items() if isinstance(kind, property)]:
        getattr(history, name)
    now = Metrics(10, 3)
    for is_done in (True, False):
        told = [history.mixed(now, is_done=is_done), *map(str, history.logged(now)), str(given_in(history, now))]
    told += [death_of(history).text, death_of(history, Job("7", "TIMEOUT")).text, str(sums_of(history.ends))]
    told += [json.dumps(record.to_dict(), allow_nan=False) for record in history.attempts]
    "".join(told).encode()
    assert to_records(json.loads(json.dumps([one.to_dict() for one in history.attempts]))) == history.attempts


def test_what_becomes_a_word_or_a_name_of_a_file_is_none_that_does_harm() -> None:
    odd = ["--all", "1\n2", "../../x", "\0", "\ud800", "7 ", "", "٣", "9" * 30]
    for text in odd:
        assert [kind.from_dict({"job_id": text}).job_id for kind in (Start, End, Submission)] == ["", "", ""]
    for text in ["../../x", "\0", "\ud800", ".", "ä"]:
        assert Start.from_dict({"config": text}).config == ""
    start = Start.from_dict({"needs": {"\ud800": "\x1b[31m"}, "asked": {"\x1b": "\x1b", "l": ["\ud800"]}})
    assert json.dumps(start.to_dict(), ensure_ascii=False).isprintable()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\0", "[" * 100_000, "{}", '{"job_id": "--all"}', '{"job_id": 1.5}']
)
def test_a_damaged_note_is_named_with_how_to_mend_it(tmp_path: Path, text: str) -> None:
    folder = ExperimentDir(tmp_path)
    folder.job_path.write_text(text)
    with pytest.raises(UnknownError, match=rf"{folder.job_path}: is damaged.*remove it: rm {folder.job_path}"):
        folder.history()


@pytest.mark.parametrize(
    ("attempts", "submission", "unstarted", "current", "asked"),
    [
        ([], None, "", "", ""),
        ([], JOB, "7", "7", "7"),
        ([START], JOB, "", "7", "7"),
        ([START, END], JOB, "", "7", "7"),
        ([START, SETTLED], JOB, "", "7", ""),
        ([START, END._replace(reason="pruned")], JOB, "", "7", ""),
        ([START, END], Submission("8"), "8", "8", "8"),
        ([START, END, Start(2)], JOB, "", "", ""),
        ([End(0, "failed", 2, job_id="7")], JOB, "", "7", "7"),
        ([START, End(0, "CANCELLED", job_id="8", job_state="CANCELLED")], Submission("8"), "", "8", ""),
        ([START, End(0, "refused")], JOB, "", "7", ""),
    ],
)
def test_which_job_an_experiment_has(
    attempts: list[Record], submission: Submission | None, unstarted: str, current: str, asked: str
) -> None:
    history = History(attempts, submission)
    assert (history.unstarted_job, history.current_job, history.job_to_ask) == (unstarted, current, asked)


def test_only_the_last_end_makes_it_pruned() -> None:
    pruned = END._replace(reason="pruned")
    assert History([START, pruned]).pruned == pruned
    assert History([START, pruned, Start(2)]).pruned is None
    assert History([START, pruned], Submission("8")).pruned is None, "its next job has ended before it started"


@pytest.mark.parametrize("odd", [-1, float("nan"), float("inf"), True, "3", None, [1], {"x": 1}])
def test_odd_amounts_count_as_absent(odd: Any) -> None:
    used = Used.from_dict({**dict.fromkeys(Used._fields, odd), "mem_gb": 2, "new": 1})
    assert used == Used(mem_gb=2) and used.to_dict() == {"mem_gb": 2}
    assert Used.from_dict(dict.fromkeys(Used._fields, odd)) is Used.from_dict(odd) is NOT_KNOWN


def test_hours_are_known_where_their_parts_are() -> None:
    assert Used(seconds=1800, gpus=4, cpu_seconds=36).gpu_hours == 2 and Used(cpu_seconds=36).cpu_hours == 0.01
    assert Used(seconds=1800).gpu_hours is None and Used(gpus=4).gpu_hours is None and Used().cpu_hours is None


def test_why_an_attempt_ended_is_one_line_of_a_sane_length_on_record_and_when_it_is_read() -> None:
    long = "\x1b[2K" + "x" * 100_000 + "\n" + "y" * 100_000
    written = End(1, exception=long).to_dict()["exception"]
    (read,) = to_records([{"event": "end", "exception": long, "reason": long, "job_state": long}])
    assert isinstance(read, End)
    assert len(written) == 500 and {written, read.exception, read.reason, read.job_state} == {written}


def test_each_field_of_a_record_is_read_as_it_was_written() -> None:
    """A line is read by the names that it holds, so none of the class's may be unknown there."""
    start = Start(
        *(2, "retry", "t", "h", 3, "4", 5, "abc", True, "d1", "c1", 6, 7, {"n": "r"}, ("lr: 1 -> 2",), True),
        *({"gpus": 1}, "n[1-2]", "m:f", {0: 8}, "boot", 9),
    )
    used = Used(1.0, 2.0, 3.0, 4.0, 5.0)
    end = End(
        *(2, "failed", 1, "E", 3.5, "t", "4", "FAILED", "h", "e1", ("k",), 6, ("a.py",), used, True),
    )
    for record in (start, end):
        differing = [name for name in record._fields if getattr(record, name) != record._field_defaults[name]]
        assert differing == list(record._fields)
        line = json.loads(json.dumps(record.to_dict()))
        assert to_records([line]) == [record]
        assert to_records([dict(reversed(line.items()))]) == [record]
    assert to_records([{"event": "start"}, {"event": "end"}]) == [Start(), End()]
