"""Reading what came out, and what is remembered of it."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import heyhi.experiment.metrics_file
import heyhi.files
from heyhi.config.identity import Identity
from heyhi.experiment.claim import Claim
from heyhi.experiment.directions import Directions
from heyhi.experiment.metrics import Summary
from heyhi.project import Project
from heyhi.report.read import Reader
from heyhi.report.readings import Entry, Reading, Readings

LONG_AGO = 1_000_000_000


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, results_override=tmp_path / "results")


def entry(project: Project, name: str = "p/a", *needs: str) -> Entry:
    root = project.results_root
    return Entry(name, str(root / name), Identity("c", ()), "t", tuple(str(root / n) for n in needs))


def write(one: Entry, **files: str | None) -> None:
    """Write files of an experiment as if long ago."""
    folder = Path(one.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "identity.json").write_text(json.dumps(one.identity.to_dict()))
    for name, text in files.items():
        path = folder / name.replace("_", ".")
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
            os.utime(path, (LONG_AGO, LONG_AGO))


def summed_up(lines: Sequence[dict[str, Any]], block: int = 1_000_000) -> dict[str, Any]:
    """Sum up metrics of which `a` and `b` are better when larger, in blocks of some lines."""
    summary = Summary(Directions(maximize=("[ab]",)))
    for place in range(0, len(lines), block):
        summary.add(lines[place : place + block])
    return summary.result()


START = '{"event": "start", "attempt": 1, "commit": "0123456789", "dirty": true, "job_id": 7}\n'
END = '{"event": "end", "attempt": 1, "reason": "done", "seconds": 2.5}\n'


def done(one: Entry, metrics: str = '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 3.0}\n', result: str = "{}") -> None:
    write(one, metrics_jsonl=metrics, attempts_jsonl=START + END, result_json=result)


def read(project: Project, *entries: Entry, **options: Any) -> list[Reading]:
    return rows(Reader(project, **options), entries, {})


def rows(reader: Reader, entries: Sequence[Entry], needs: Mapping[str, Sequence[str]]) -> list[Reading]:
    found = reader.read([one.folder for one in entries], lambda places: [entries[place] for place in places], needs)
    return [found.row(place) for place in range(len(entries))]


def test_last_best_and_result_with_attempts_and_code(project: Project) -> None:
    one = entry(project)
    done(one, result='{"accuracy": 0.5, "note": "x", "nested": {"a": 1}, "curve": [1, 2]}')
    (found,) = read(project, one)
    assert found.outcome == {"step": 2, "loss": 3.0, "loss.best": 2.0, "accuracy": 0.5, "note": "x", "nested.a": 1}
    assert found[:2] == ("DONE", "") and (found.attempts, found.seconds) == (1, 2.5)
    assert (found.job_id, found.code, found.updated) == ("7", "01234567+", LONG_AGO)


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"commit": "0123456789"}, "01234567"),
        ({"commit": "0123456789", "code": "e5f6a7b8c9d0e1f2"}, "01234567"),
        ({"commit": "0123456789", "code": "e5f6a7b8c9d0e1f2", "dirty": True}, "01234567+e5f6"),
        ({"code": "e5f6a7b8c9d0e1f2"}, "code e5f6a7b8"),
        ({}, None),
    ],
)
def test_edits_of_one_commit_are_told_apart(project: Project, facts: dict[str, Any], code: str | None) -> None:
    one = entry(project)
    write(one, attempts_jsonl=json.dumps({"event": "start", "attempt": 1, **facts}) + "\n" + END, result_json="{}")
    (found,) = read(project, one)
    assert found.code == code


def test_nan_and_infinity_stay_what_they_are_also_when_remembered(project: Project) -> None:
    one = entry(project)
    done(
        one,
        metrics='{"loss": NaN}\n{"loss": Infinity}\n',
        result='{"x": NaN, "big": 1e999, "int": 123456789012345678901}',
    )
    for _ in range(2):
        (found,) = read(project, one)
        assert found.outcome["loss"] == math.inf and math.isnan(found.outcome["x"])
        assert found.outcome["int"] == 123456789012345678901


def test_an_unchanged_experiment_is_not_read_again_and_a_changed_one_is(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    asked: list[str] = []

    def collector(handle: Any) -> dict[str, Any]:
        asked.append(handle.exp_path.name)
        return {"n": len(asked)}

    done(one), done(other)
    read(project, one, other, get_logs_data=collector, source=b"1")
    assert [f.outcome for f in read(project, one, other, get_logs_data=collector, source=b"1")] == [{"n": 1}, {"n": 2}]
    done(other, result='{"x": 10}')
    read(project, one, other, get_logs_data=collector, source=b"1")
    assert asked == ["a", "b", "b"]
    read(project, one, get_logs_data=collector, source=b"2")
    assert asked[3:] == ["a"]  # the function itself was changed


def test_metrics_that_change_after_the_result_are_read_again(project: Project) -> None:
    one, other, bare = entry(project, "p/a"), entry(project, "p/b"), entry(project, "p/c")
    done(one), done(other), write(bare, attempts_jsonl=START + END, result_json='{"x": 1}')
    read(project, one, other, bare)
    done(one, metrics='{"loss": 0.5}\n{"loss": 0.25}\n{"loss": 0.75}\n')
    write(bare, metrics_jsonl='{"loss": 7}\n')
    for _ in range(2):
        first, second, third = [found.outcome for found in read(project, one, other, bare)]
        assert first == {"loss": 0.75, "loss.best": 0.25}
        assert second == {"step": 2, "loss": 3.0, "loss.best": 2.0}
        assert third == {"loss": 7, "loss.best": 7, "x": 1}
    with Path(one.folder, "metrics.jsonl").open("a") as file:
        file.write('{"loss": 0.125}\n')
    now = read(project, one)[0]
    assert now.outcome == {"loss": 0.125, "loss.best": 0.125} and now.updated is not None and now.updated > LONG_AGO
    write(one, metrics_jsonl=None)
    assert read(project, one, other, bare)[0].outcome == {}


def test_what_was_just_written_or_still_runs_is_read_again(project: Project) -> None:
    one = entry(project)
    calls: list[int] = []

    def collector(_: Any) -> dict[str, Any]:
        calls.append(1)
        return {}

    write(one, metrics_jsonl='{"loss": 1}\n', attempts_jsonl=START)
    read(project, one, get_logs_data=collector), read(project, one, get_logs_data=collector)
    assert len(calls) == 2
    done(one)
    os.utime(f"{one.folder}/result.json")
    read(project, one, get_logs_data=collector), read(project, one, get_logs_data=collector)
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("attempts", "count", "problem"),
    [
        ("", 0, ""),
        ("garbage\n", 0, "attempts.jsonl: is damaged: no line of it is a record"),
        (START + END + START.replace("1", "2", 1), 2, ""),
    ],
    ids=["emptied", "garbage", "a line more"],
)
def test_attempts_of_what_is_done_are_remembered_until_they_change(
    project: Project, attempts: str, count: int, problem: str
) -> None:
    one = entry(project)
    done(one)
    assert [read(project, one)[0].attempts for _ in range(2)] == [1, 1]
    write(one, attempts_jsonl=attempts)
    for _ in range(2):
        (found,) = read(project, one)
        assert (found.status, found.attempts, found.updated) == ("DONE", count, LONG_AGO)
        assert found.problem.endswith(problem) and bool(found.problem) == bool(problem)


def test_what_is_done_is_not_remembered_while_its_end_may_still_come(project: Project) -> None:
    one = entry(project)
    done(one)
    path = Path(one.folder, "attempts.jsonl")
    os.utime(path)  # within the tick of a clock it may change again unseen
    stamp = path.stat()
    assert read(project, one)[0].attempts == 1
    path.write_text(START[:-1] + " " * len(END) + "\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert read(project, one)[0].seconds is None


def test_metrics_of_a_dead_one_are_remembered_until_it_goes_on(project: Project) -> None:
    one = entry(project)
    write(one, metrics_jsonl='{"loss": 1}\n', attempts_jsonl=START)
    assert [read(project, one)[0].outcome["loss"] for _ in range(2)] == [1, 1]
    write(one, metrics_jsonl='{"loss": 1}\n{"loss": 0.5}\n')
    assert read(project, one)[0].outcome["loss"] == 0.5
    assert read(project, one)[0].status == "DEAD"


HARMS: dict[str, Callable[[Path], object]] = {
    "removed": lambda file: file.unlink(),
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "a bit": lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"),
    "foreign": lambda file: file.write_bytes(b"SQLite format 3\0" + b"x" * 5000),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "no folder": lambda file: shutil.rmtree(file.parent),
    "read-only place": lambda file: (shutil.rmtree(file.parent), file.parent.write_text("")),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_remembered_can_be_lost_at_any_moment(project: Project, harm: str) -> None:
    one = entry(project)
    done(one)
    first = read(project, one)
    (file,) = (project.state_root / "readings").iterdir()
    HARMS[harm](file)
    assert read(project, one) == first == read(project, one)
    if file.is_file():
        assert list(file.parent.iterdir()) == [file] and file.stat().st_size > 100


@pytest.mark.parametrize(
    ("metrics", "loss"),
    [
        ('{"loss": 1}\n{"lo', 1),  # half-written
        ('{"loss": 1}', 1),
        ('{"loss": 1, "s": "x"}\n', 1),
        ('{"loss": 1}\n{"other": 2}\n', 1),
        ('{"loss": {"train": 1}}\n', None),
        ("[1]\n", None),
        ("5", None),
        ("5\n", None),
        ("{}", None),
        ("\n", None),
        ("\x00\xff\n", None),
        ("", None),
    ],
)
def test_odd_metrics_give_what_can_be_read(project: Project, metrics: str, loss: float | None) -> None:
    one = entry(project)
    done(one, metrics=metrics)
    (found,) = read(project, one)
    assert found.outcome.get("loss") == loss and found.status == "DONE"


def test_a_result_cut_short_is_a_problem_of_its_row_only(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one, result='{"x": '), done(other, result='{"x": 1}')
    for _ in range(2):
        bad, good = read(project, one, other)
        assert "result.json" in bad.problem and good.outcome["x"] == 1


def test_what_was_dropped_from_a_result_is_said_in_its_row(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one), done(other)
    start = '{"event": "start", "attempt": 2}\n'
    end = '{"event": "end", "attempt": 2, "reason": "done", "dropped": ["model", "x.\\ud800"]}\n'
    write(one, attempts_jsonl=START + END.replace("done", "failed").replace("2.5}", '2.5, "dropped": ["old"]}'))
    with Path(one.folder, "attempts.jsonl").open("a") as file:
        file.write(start + end)
    for _ in range(2):
        with_loss, without = read(project, one, other)
        assert with_loss.problem == "dropped from its result: model, x.\\ud800" and not without.problem
        assert with_loss.status == "DONE" and with_loss.outcome["loss"] == 3.0


def test_a_collector_that_raises_marks_its_row(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one), done(other)

    def collector(handle: Any) -> dict[str, Any]:
        return {"x": 1 / (handle.exp_path.name == "b")}

    bad, good = read(project, one, other, get_logs_data=collector)
    assert bad.problem == "get_logs_data: ZeroDivisionError: division by zero" and good.outcome == {"x": 1.0}


@pytest.mark.parametrize("odd", ["list", "None", "exit", "text", "vast", "bytes", "surrogate", "key"])
def test_whatever_a_collector_does_the_other_rows_come(project: Project, odd: str) -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def collector(handle: Any) -> Any:
        if handle.exp_path.name == "b":
            return {"x": 1}
        if odd == "exit":
            sys.exit(3)
        return {
            "list": [1], "None": None, "text": {"x": Mute()}, "vast": {"x": 10**5000}, "bytes": {"x": b"\xff"},
            "surrogate": {"x\udfff": "\ud800"}, "key": {Mute(): 1},
        }[odd]  # fmt: skip

    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one), done(other)
    for _ in range(2):
        bad, good = read(project, one, other, get_logs_data=collector)
        assert good.outcome == {"x": 1} and not good.problem
        assert bad.problem.startswith("get_logs_data: ") or odd in ("vast", "bytes", "surrogate")
        if odd == "vast":
            assert int(bad.outcome["x"], 16) == 10**5000


def test_a_dict_that_a_collector_returns_has_columns_of_its_own_as_one_in_a_result_has(project: Project) -> None:
    one = entry(project)
    done(one, metrics="", result='{"val": {"acc": 1, "top": {"5": 2}}, "name": "x"}')
    (plain,) = read(project, one)
    (found,) = read(project, one, get_logs_data=lambda handle: {**handle.result(), "none": None, "list": [1]})
    assert plain.outcome == {"val.acc": 1, "val.top.5": 2, "name": "x"}
    assert found.outcome == {**plain.outcome, "none": None, "list": "[1]"}


def test_absent_and_blocked_ones_have_readings(project: Project) -> None:
    need, one = entry(project, "p/need"), entry(project, "p/a", "p/need")
    write(need, attempts_jsonl=START)
    found = rows(Reader(project), [need, one], {one.folder: one.needs})
    assert [f.status for f in found] == ["DEAD", "BLOCKED"] and "p/need" in found[1].reason
    assert rows(Reader(project), [entry(project, "p/new")], {})[0] == Reading("NOT_STARTED")


def test_text_that_no_file_can_hold_is_shown_as_its_escape(project: Project) -> None:
    one = entry(project)
    done(one, result=json.dumps({"x": "\ud800", "\udfff": 1}))
    assert read(project, one)[0].outcome["x"] == "\\ud800"


def test_the_fast_way_and_the_careful_way_agree() -> None:
    regular = [{"step": i, "loss": 1 / (i + 1), "acc": i / 10} for i in range(9)]
    odd = [*regular[:-1], {**regular[-1], "note": "x"}]
    assert summed_up(regular) == summed_up(odd)
    assert summed_up(regular)["loss.best"] == 1 / 9 and "step.best" not in summed_up(regular)


REGULAR = ['{"step": 1, "loss": 0.5, "acc": -2}', '{"step": 2, "loss": 7, "acc": -0.25}']


@pytest.mark.parametrize(
    "lines",
    [
        REGULAR,
        [line.replace(" ", "") for line in REGULAR],
        [line + "\r" for line in REGULAR],
        ['{"loss": 3}', '{"loss": 4}'],
        ['{"loss": 12345678901234567890}', '{"loss": -0.0}'],
        ['{"loss": 1e5, "acc": 0.0e3}', '{"loss": 2e5, "acc": 0.0e0}'],
        ['{"loss": 1e-05}', '{"loss": 0.5}'],
        ['{"acc": 2, "loss": 1}', '{"loss": 2, "acc": 1}'],
        ['{"top1": 2, "top5": 1}', '{"top5": 1, "top1": 2}'],
        ['{"loss2": 3, "acc": 1}', '{"loss": 4, "acc": 1}'],
        ['{"1loss": 3, "acc": 1}', '{"loss": 4, "acc": 1}'],
        ['{"a:b": 1, "c,d": 2}', '{"a:b": 3, "c,d": 0}'],
        ['{"a}": 1, "{c": 2, "d e": 1}', '{"a}": 3, "{c": 0, "d e": 2}'],
        ['{"": 1, "x": 2}', '{"": 0, "x": 3}'],
        [r'{"\u00e9": 1, "a\"b": 2}', r'{"\u00e9": 3, "a\"b": 1}'],
        ['{"ä": 1}', '{"ä": 0}'],
        ['{"loss": 1, "loss": 2}', '{"loss": 3, "loss": 4}'],
        ['{"loss": true, "acc": 1}', '{"loss": false, "acc": 1}'],
        ['{"loss": "1"}', '{"loss": "2"}'],
        ['{"loss": null}', '{"loss": 1}'],
        ['{"val": {"loss": 1}}', '{"val": {"loss": 2}}'],
        ["{}", "{}"],
        ['{"step": 1, "loss": 2}', '{"step": 2}', '{"step": 3, "loss": 1}'],
    ],
)
def test_metrics_however_they_are_written_are_summed_up_alike(project: Project, lines: list[str]) -> None:
    one = entry(project)
    done(one, metrics="".join(f"{line}\n" for line in lines))
    records = [json.loads(line) for line in lines]
    odd = summed_up([*records, {"an odd one": 1}])  # which goes the careful way
    expected = {name: value for name, value in odd.items() if "odd one" not in name}
    assert repr(sorted(read(project, one)[0].outcome.items())) == repr(sorted(expected.items()))


@pytest.mark.parametrize(
    "damaged",
    [
        '{"step": 1, "loss": 0.5, "acc": 9',  # cut short, and gone on after
        '{"step": 1, "loss": 0.5, "acc5": }',
        '{"step": 1, "loss": 0.5, "acc"9: }',
        '{"step": 1, "loss": 0.5, "acc"9: 1}',
        '{"step": 1, "loss": 0.5, "acc":9 9}',
        '{"step": 1, "loss": 0.5, "acc": 1}9',
        '9{"step": 1, "loss": 0.5, "acc": 1}',
        '{9"step": 1, "loss": 0.5, "acc": 1}',
        '{"step": 1, "loss": 0.5, "acc": 01}',
        '{"step": 1, "loss": 0.5, "acc": 1.}',
        '{"step": 1, "loss": 0.5, "acc", 9}',
        '{"step": 1, "loss": 0.5, "acc": 9},',
    ],
)
def test_a_damaged_line_among_regular_ones_is_left_out(project: Project, damaged: str) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one, metrics="".join(f"{line}\n" for line in [REGULAR[0], damaged, REGULAR[1]]))
    done(other, metrics="".join(f"{line}\n" for line in REGULAR))
    found, expected = read(project, one, other)
    assert found._replace(problem="") == expected and found.outcome["acc.best"] == -0.25
    assert found.problem == "metrics.jsonl:2: is no JSON object: left out"


@pytest.mark.parametrize("at_best", [None, ("loss", "min")])
def test_damaged_lines_are_a_problem_of_their_row_every_time(project: Project, at_best: Any) -> None:
    several, single, good = (entry(project, f"p/{name}") for name in "abc")
    done(several, metrics='{"loss": 3}\n[1]\n{"loss": 2}\n{"loss"\n7\n{"loss": 4}\n{"lo')
    done(single, metrics='{"loss": 1}\n{"loss": 5\n'), done(good)
    for _ in range(2):
        found = read(project, several, single, good, at_best=at_best)
        assert [one.problem for one in found] == [
            "metrics.jsonl:2: is no JSON object, and 3 more lines: left out",
            "metrics.jsonl:2: is no JSON object: left out",
            "",
        ]
        assert [one.outcome["loss"] for one in found] == ([4, 1, 3.0] if at_best is None else [2, 1, 2.0])
    asked: list[int] = []
    reader = Reader(project, at_best=at_best)
    reader.read([e.folder for e in (several, single, good)], lambda places: asked.extend(places) or [], {})
    assert not asked  # they are remembered


def test_a_half_written_last_line_is_a_problem_once_its_writer_has_ended(project: Project) -> None:
    one = entry(project)
    write(one, metrics_jsonl='{"loss": 1}\n{"loss": 0.', attempts_jsonl=START)
    with Claim.acquire(Path(one.folder)):  # type: ignore[union-attr]
        for _ in range(2):
            (running,) = read(project, one)
            assert (running.status, running.outcome["loss"], running.problem) == ("RUNNING", 1, "")
    for _ in range(2):
        (dead,) = read(project, one)
        assert (dead.status, dead.problem) == ("DEAD", "metrics.jsonl:2: is no JSON object: left out")


def test_a_file_of_any_size_is_read_whole(project: Project) -> None:
    line = '{"step": 1, "loss": 0.500000000}'[:30] + "}\n"  # so that lines end where a block does
    assert len(line) == 32
    for count in (2048, 2049, 4096, 6144, 7000):
        one = entry(project, f"p/{count}")
        done(one, metrics=line * (count - 1) + line.replace("0.5", "0.1"))
        assert read(project, one)[0].outcome["loss"] == 0.1


def test_a_nan_hides_no_best_value_wherever_it_stands() -> None:
    for place, odd, block in itertools.product(range(3), (math.nan, math.inf, -math.inf), (1, 2, 3)):
        losses = [3.0, 1.0, 2.0]
        losses[place] = odd
        found = summed_up([{"step": i, "loss": loss, "acc": loss} for i, loss in enumerate(losses)], block)
        assert found["loss.best"] == min(v for v in losses if math.isfinite(v))
        assert found["acc.best"] == max(v for v in losses if math.isfinite(v))
    assert summed_up([{"loss": math.nan}, {"loss": math.inf}])["loss.best"] == math.inf
    assert math.isnan(summed_up([{"loss": math.nan}, {"loss": math.nan}])["loss.best"])


def test_lines_with_as_many_but_other_keys_are_not_mixed_up() -> None:
    assert summed_up([{"a": 1, "loss": 2}, {"b": 3, "loss": 1}]) == {
        **{"a": 1, "loss": 1, "b": 3},
        **{"a.best": 1, "loss.best": 1, "b.best": 3},
    }
    assert summed_up([{"a": "x", "loss": 2}, {"a": 3, "loss": 1}])["a.best"] == 3
    assert summed_up([{"a": 1, "loss": 2, "more": 4}, {"a": 1, "loss": 1}])["more"] == 4


def counting(calls: list[str]) -> Callable[[Any], dict[str, Any]]:
    def collector(handle: Any) -> dict[str, Any]:
        calls.append(handle.exp_path.name)
        return {"n": len(calls)}

    return collector


def test_tables_of_other_experiments_and_of_another_collector_are_not_mixed_up(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one), done(other)
    calls: list[str] = []
    for _ in range(2):
        assert [f.outcome["n"] for f in read(project, one, get_logs_data=counting(calls), source=b"1")] == [1]
        found = read(project, other, one, get_logs_data=counting(calls), source=b"1")
        assert [f.outcome["n"] for f in found] == [2, 3]
        assert [f.outcome["n"] for f in read(project, one, get_logs_data=counting(calls), source=b"2")] == [4]
        assert read(project, one)[0].outcome["loss"] == 3
    assert calls == ["a", "b", "a", "a"]


def test_a_table_kept_in_another_ones_place_is_ignored(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one), done(other, metrics='{"loss": 9}\n')
    folder = project.state_root / "readings"
    first = read(project, one)
    (file,) = folder.iterdir()
    second = read(project, other)
    (another,) = set(folder.iterdir()) - {file}
    shutil.copyfile(file, another)
    assert read(project, other) == second != first


def test_a_result_that_was_removed_changes_the_status_and_coming_back_changes_it_again(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one), done(other)
    first = read(project, one, other)
    write(one, result_json=None)
    assert [f.status for f in read(project, one, other)] == ["DEAD", "DONE"]
    shutil.rmtree(one.folder)
    assert read(project, one, other) == [Reading("NOT_STARTED"), first[1]]
    done(one)
    assert read(project, one, other) == first


def test_what_changes_is_read_as_if_nothing_were_remembered(project: Project) -> None:
    many = [entry(project, f"p/{i}") for i in range(4)]
    for one in many:
        done(one)
    read(project, *many)
    done(many[0], metrics='{"acc": 1}\n{"acc": 0.5}\n', result='{"x": "y"}')
    done(many[2], metrics="", result='{"loss": null, "z": NaN}')
    write(many[3], result_json=None)
    table = _table(project, many)
    assert list(table.outcome) == ["acc", "acc.best", "x", "step", "loss", "loss.best", "z"]
    again = _table(project, many)
    shutil.rmtree(project.state_root / "readings")
    assert repr(table) == repr(again) == repr(_table(project, many))
    for one in many:
        done(one, metrics='{"loss": 7}\n', result="{ }")
    assert list(_table(project, many).outcome) == ["loss", "loss.best"]


def _table(project: Project, entries: list[Entry]) -> Readings:
    folders = [one.folder for one in entries]
    return Reader(project).read(folders, lambda places: [entries[i] for i in places], {})


def test_only_what_changed_is_asked_for_and_each_is_ticked_once(project: Project) -> None:
    def collect(handle: Any) -> dict[str, Any]:  # who else would ask for more than a folder
        return {"x": handle.exp_path.name}

    many = [entry(project, f"p/{i}") for i in range(5)]
    for one in many:
        done(one)
    read(project, *many, get_logs_data=collect)
    done(many[3], result='{"x": 1}')
    asked: list[int] = []
    ticks: list[None] = []

    def entries_at(places: Sequence[int]) -> list[Entry]:
        asked.extend(places)
        return [many[place] for place in places]

    reader = Reader(project, collect)
    reader.read([one.folder for one in many], entries_at, {}, lambda: ticks.append(None))
    assert asked == [3] and len(ticks) == 5


# --- files that change while they are read


def _grown(path: Path) -> None:
    """Add to a file without changing its time, so that only its size tells of it."""
    with path.open("a") as file:
        file.write({"metrics.jsonl": '{"step": 3, "loss": 4.0}\n', "attempts.jsonl": attempt(2)}.get(path.name, " \n"))
    os.utime(path, (LONG_AGO, LONG_AGO))


def _replaced(path: Path) -> None:
    """Put another file in the place of one, as large and as old."""
    text = path.read_text()
    other = path.with_name("other")
    other.write_text(text.replace("2", "7").replace("3", "8"))
    os.utime(other, (LONG_AGO, LONG_AGO))
    other.replace(path)


@pytest.mark.parametrize("change", [_grown, _replaced])
@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl", "attempts.jsonl"])
def test_what_changes_while_it_is_read_is_read_again_the_next_time(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Path], None]
) -> None:
    one = entry(project)
    done(one, metrics='{"step": 2, "loss": 3.0}\n', result='{"score": 2}\n')
    opened = heyhi.files.open_found
    path = Path(one.folder, name)

    def open_and_change(given: Path | str, *more: Any) -> tuple[int, os.stat_result]:
        found = opened(given, *more)
        if str(given) == str(path):
            monkeypatch.undo()
            change(path)
        return found

    for module in (heyhi.files, heyhi.experiment.metrics_file):
        monkeypatch.setattr(module, "open_found", open_and_change)
    read(project, one)
    after = read(project, one)
    shutil.rmtree(project.state_root / "readings")
    assert heyhi.files.open_found is opened and after == read(project, one)


@pytest.mark.parametrize("name", ["metrics.jsonl", "attempts.jsonl"])
def test_a_file_that_comes_after_it_was_looked_for_is_read_the_next_time(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    one = entry(project)
    done(one)
    path, aside = Path(one.folder, name), Path(one.folder, "aside")
    path.rename(aside)
    opened = heyhi.files.open_found

    def miss(given: Path | str, *more: Any) -> tuple[int, os.stat_result]:
        try:
            return opened(given, *more)
        except FileNotFoundError:
            if str(given) == str(path):
                monkeypatch.undo()
                aside.rename(path)
            raise

    for module in (heyhi.files, heyhi.experiment.metrics_file):
        monkeypatch.setattr(module, "open_found", miss)
    (before,) = read(project, one)
    (after,) = read(project, one)
    assert path.exists() and (before.attempts, "loss" in before.outcome) in ((0, True), (1, False))
    assert (after.attempts, after.outcome["loss"]) == (1, 3.0)


def test_what_was_written_just_before_it_was_read_is_not_remembered(project: Project) -> None:
    one = entry(project)
    done(one)
    Path(one.folder, "metrics.jsonl").touch()
    read(project, one)
    assert not (project.state_root / "readings").exists()


@pytest.mark.parametrize("name", ["metrics.jsonl", "attempts.jsonl", "result.json"])
def test_what_can_not_be_read_is_read_once_it_can(project: Project, name: str) -> None:
    one = entry(project)
    done(one)
    path, aside = Path(one.folder, name), Path(one.folder, "aside")
    path.rename(aside)
    path.mkdir()
    (found,) = read(project, one)
    assert found.problem and found.updated is not None
    path.rmdir()
    aside.rename(path)
    (found,) = read(project, one)
    assert (found.problem, found.status, found.attempts, found.outcome["loss"]) == ("", "DONE", 1, 3.0)


def test_half_a_line_counts_neither_at_the_end_nor_with_the_next_one(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one), done(other)
    write(one, attempts_jsonl=START + END + '{"event": "start", "att')
    write(other, attempts_jsonl=START + END + '{"event": "start"\n"attempt": 2}\n')
    for found in read(project, one, other):
        assert found.attempts == 1


# --- what has changed of few experiments


def test_what_changed_of_few_is_written_beside_the_rest_until_it_is_much(project: Project) -> None:
    many = [entry(project, f"p/{i:02}") for i in range(60)]
    for one in many:
        done(one)
    first = read(project, *many)
    folder = project.state_root / "readings"
    (whole,) = folder.iterdir()
    inode = whole.stat().st_ino
    for round_, place in enumerate((3, 50, 3)):
        done(many[place], metrics=f'{{"step": 1, "m{round_}": 1.5}}\n', result=json.dumps({f"x{round_}": "." * round_}))
        changed = read(project, *many)
        assert changed == read(project, *many) and whole.stat().st_ino == inode
        assert changed[place].outcome == {"step": 1, f"m{round_}": 1.5, f"x{round_}": "." * round_}
    assert sum(one != other for one, other in zip(first, changed, strict=True)) == 2
    assert len(list(folder.iterdir())) == 2
    for place in (7, 8):
        done(many[place], result='{"y": 1}')
    changed = read(project, *many)
    assert whole.stat().st_ino != inode and changed == read(project, *many)
    shutil.rmtree(folder)
    assert changed == read(project, *many)


def test_what_was_written_beside_something_else_or_is_damaged_counts_for_nothing(project: Project) -> None:
    many = [entry(project, f"p/{i:02}") for i in range(60)]
    for one in many:
        done(one)
    read(project, *many)
    folder = project.state_root / "readings"
    (whole,) = folder.iterdir()
    done(many[0], result='{"x": 1}')
    changed = read(project, *many)
    (beside,) = set(folder.iterdir()) - {whole}
    kept = beside.read_bytes()
    beside.write_bytes(kept[:-1])
    assert read(project, *many) == changed
    done(many[0], result='{"x": 22}')
    shutil.rmtree(folder)
    changed = read(project, *many)
    beside.write_bytes(kept)  # of the whole that was there before
    assert read(project, *many) == changed and changed[0].outcome["x"] == 22


def test_nothing_is_written_where_nothing_changed(project: Project) -> None:
    one, running = entry(project, "p/a"), entry(project, "p/b")
    done(one), write(running, metrics_jsonl='{"loss": 1}\n', attempts_jsonl=START)
    read(project, one, running)
    (file,) = (project.state_root / "readings").iterdir()
    before = file.stat().st_ino
    first = read(project, one, running)
    assert file.stat().st_ino == before
    assert first == read(project, one, running) and [f.status for f in first] == ["DONE", "DEAD"]


def test_a_null_or_the_word_in_a_value_is_remembered_as_it_is(project: Project) -> None:
    one = entry(project)
    done(one)

    def collector(_: Any) -> dict[str, Any]:
        return {"a": None, "b": "null", "c": math.nan, "d": 1}

    for _ in range(2):
        (found,) = read(project, one, get_logs_data=collector)
        assert found.outcome["a"] is None and found.outcome["b"] == "null" and math.isnan(found.outcome["c"])


# --- directions, several attempts, and what was best


def declared(project: Project, **settings: Any) -> Project:
    return project._replace(settings=project.settings._replace(**settings))


def test_only_a_metric_with_a_direction_has_a_best_value_and_a_changed_setting_is_seen(project: Project) -> None:
    one = entry(project)
    done(one, metrics='{"latency_ms": 3, "loss": 1, "step": 1}\n{"latency_ms": 5, "loss": 1, "step": 2}\n')
    for _ in range(2):
        assert read(project, one)[0].outcome == {"latency_ms": 5, "loss": 1, "step": 2, "loss.best": 1}
        small = read(declared(project, minimize=("latency_*",)), one)[0].outcome
        large = read(declared(project, maximize=("latency_*",)), one)[0].outcome
        assert (small["latency_ms.best"], large["latency_ms.best"]) == (3, 5)


def attempt(number: int, size: int = 0, **more: Any) -> str:
    return json.dumps({"event": "start", "attempt": number, "metrics_size": size, **more}) + "\n"


def test_what_a_later_attempt_logged_again_is_no_best_value(project: Project) -> None:
    one = entry(project)
    first = '{"epoch": 1, "loss": 3}\n{"epoch": 2, "loss": 1}\n'
    write(one, metrics_jsonl=first + '{"epoch": 2, "loss": 2}\n', attempts_jsonl=attempt(1) + attempt(2, len(first)))
    for _ in range(2):
        assert read(project, one)[0].outcome == {"epoch": 2, "loss": 2, "loss.best": 2}
    write(one, metrics_jsonl=first + '{"epoch": 3, "loss": 2.5}\n')
    assert read(project, one)[0].outcome == {"epoch": 3, "loss": 2.5, "loss.best": 1}


def test_a_large_file_is_summed_up_as_a_small_one_is(project: Project) -> None:
    one = entry(project)
    lines = [{"step": i, "loss": abs(i - 7_000) + 0.5} for i in range(20_000)]
    lines[3_000] |= {"note": "x", "val": {"acc": 0.25}}
    done(one, metrics="".join(f"{json.dumps(line)}\n" for line in lines))
    assert read(project, one)[0].outcome == {
        "step": 19_999, "loss": 12_999.5, "val.acc": 0.25, "loss.best": 0.5, "val.acc.best": 0.25,
    }  # fmt: skip


def test_what_has_too_many_metrics_is_cut_and_says_so(project: Project) -> None:
    one = entry(project)
    done(one, metrics="".join(f'{{"loss": {i}, "m{i}": 1}}\n' for i in range(10_500)))
    (found,) = read(project, one)
    assert found.outcome["loss"] == 10_499 and len(found.outcome) == 10_001
    assert "metrics.jsonl: has more metrics than a table can have" in found.problem


def test_metrics_that_are_no_file_are_a_problem_of_their_row(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one), done(other)
    Path(one.folder, "metrics.jsonl").unlink()
    os.mkfifo(f"{one.folder}/metrics.jsonl")
    bad, good = read(project, one, other)
    assert "metrics.jsonl: can't be read: it is a FIFO, no file" in bad.problem and good.outcome["loss"] == 3.0


def test_records_that_are_damaged_are_a_problem_of_their_row(project: Project) -> None:
    odd = (
        json.dumps({"event": "end", "attempt": "1", "seconds": [], "new": 1, "used": [], "exception": "\ud800"}) + "\n"
    )
    said = {
        START + odd: "attempts.jsonl: of a wrong type, and left out: attempt, seconds, used",
        START + "{\n[]\n" + END: "attempts.jsonl:2 and 1 more: is no record: left out",
        START + "\0" * 50 + "\n": "attempts.jsonl:2: is no record: left out",
        START + "[" * 90_000 + "\n" + END: "attempts.jsonl:2: is no record: left out",
        "\0" * 50 + "\n": "attempts.jsonl: is damaged: no line of it is a record",
        "{}\n": "attempts.jsonl: is damaged: no line of it is a record",
        "\n" * 2_000_000: "attempts.jsonl: can't be read: it has more than the 100000 lines",
    }
    for number, (text, problem) in enumerate(said.items()):
        one = entry(project, f"p/{number}")
        write(one, attempts_jsonl=text, result_json='{"x": 1}')
        (found,) = read(project, one)
        assert found.outcome == {"x": 1} and found.status == "DONE" and problem in found.problem, found


@pytest.mark.parametrize(
    "text", ["[" * 90_000, '{"a": ' * 2000 + "1" + "}" * 2000, "9" * 9000, "[]", "\0", '"\xed\xa0\x80"']
)
def test_a_result_that_is_damaged_is_a_problem_of_its_row(project: Project, text: str) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    done(one, result=text), done(other)
    bad, good = read(project, one, other)
    assert "result.json: is no JSON" in bad.problem and bad.status == "DONE" and good.problem == ""


def test_a_result_that_no_table_can_show_is_left_out_of_it(project: Project) -> None:
    one = entry(project, "p/a")
    done(one)
    os.truncate(f"{one.folder}/result.json", 65 << 20)
    (found,) = read(project, one)
    assert "result.json: isn't in the table: it is larger than the 64 MB" in found.problem
    assert found.status == "DONE" and found.outcome["loss"] == 3.0


def test_at_best_gives_what_was_logged_there_and_is_remembered_apart(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    metrics = '{"epoch": 1, "loss": 1, "acc": 5}\n{"epoch": 2, "loss": 3, "acc": 4}\n'
    done(one, metrics=metrics, result='{"final": 1}'), done(other, metrics='{"epoch": 1, "x": 1}\n')
    for _ in range(2):
        found = read(project, one, other, at_best=("loss", "min"))
        assert [one.outcome for one in found] == [{"epoch": 1, "loss": 1, "acc": 5}, {}]
        assert read(project, one, at_best=("loss", "max"))[0].outcome == {"epoch": 2, "loss": 3, "acc": 4}
        assert read(project, one, at_best=("acc", "min"))[0].outcome["epoch"] == 2
        assert read(project, one)[0].outcome["final"] == 1
    found = read(project, one, get_logs_data=lambda _: {"mine": 1}, at_best=("loss", "min"))
    assert found[0].outcome == {"epoch": 1, "loss": 1, "acc": 5}


@pytest.mark.parametrize(
    ("sizes", "is_done", "code"),
    [
        ([0, 26], False, "aaaaaaaa → bbbbbbbb"),
        ([0, 0], True, "bbbbbbbb"),  # the first one logged nothing
        ([0, 52], True, "aaaaaaaa → bbbbbbbb"),  # the last one made the result
        ([0, 52], False, "bbbbbbbb"),  # nothing yet
    ],
)
def test_all_code_that_made_what_came_out_is_named(
    project: Project, sizes: list[int], is_done: bool, code: str
) -> None:
    one = entry(project)
    lines = [f'{{"step": {i}, "loss": 1.00}}\n' for i in (1, 2)]
    assert len("".join(lines)) == 52
    tails = [zlib.crc32("".join(lines)[:size].encode()) if size else 0 for size in sizes]
    starts = zip(sizes, tails, ("a" * 40, "b" * 40), strict=True)
    records = [attempt(n, size, metrics_tail=tail, commit=c) for n, (size, tail, c) in enumerate(starts, 1)]
    write(one, metrics_jsonl="".join(lines), attempts_jsonl="".join(records))
    write(one, result_json="{}") if is_done else None
    for _ in range(2):
        assert read(project, one)[0].code == code


def test_the_packages_of_the_last_attempt_are_named(project: Project) -> None:
    one = entry(project)
    end = json.dumps({"event": "end", "attempt": 1, "environment": "0123456789abcdef"}) + "\n"
    write(one, attempts_jsonl=attempt(1) + end, result_json="{}")
    for _ in range(2):
        assert read(project, one)[0].packages == "01234567"
    write(one, attempts_jsonl=attempt(1) + end + attempt(2))
    write(one, result_json="{ }")
    assert read(project, one)[0].packages is None


# --- what was used


def used_end(attempt: int, reason: str, seconds: float) -> str:
    used = {"seconds": seconds, "queued": 5, "cpu_seconds": 720, "mem_gb": attempt, "gpus": 2}
    return json.dumps({"event": "end", "attempt": attempt, "reason": reason, "used": used}) + "\n"


def test_what_attempts_used_is_read_and_remembered_and_what_was_in_vain_stands_apart(project: Project) -> None:
    one, other = entry(project, "p/a"), entry(project, "p/b")
    again = START.replace('"attempt": 1', '"attempt": 2')
    write(one, attempts_jsonl=START + used_end(1, "failed", 1800) + again + used_end(2, "done", 3600), result_json="{}")
    done(other)
    for _ in range(2):
        found, nothing = read(project, one, other)
        assert (found.gpu_hours, found.gpu_hours_lost, found.cpu_hours, found.cpu_hours_lost) == (2, 1, 0.2, 0.2)
        assert (found.mem_used, found.queued) == (2, 10) and nothing.gpu_hours is nothing.mem_used is None


def test_what_a_killed_attempt_noted_is_lost_and_is_no_news_of_it(project: Project) -> None:
    one = entry(project)
    start = {"event": "start", "attempt": 1, "pid": 7, "host": "elsewhere"}
    note: dict[str, Any] = {
        "attempt": 1,
        "time": "x",
        "pid": 7,
        "host": "elsewhere",
        "used": {"seconds": 1800, "gpus": 2},
    }
    write(one, attempts_jsonl=json.dumps(start) + "\n", metrics_jsonl='{"a": 1}\n')
    assert read(project, one)[0].gpu_hours_lost is None
    for seconds in (1800, 3600):
        (Path(one.folder) / ".used.json").write_text(json.dumps({**note, "used": {"seconds": seconds, "gpus": 2}}))
        for _ in range(2):
            (found,) = read(project, one)
            assert (found.status, found.gpu_hours, found.gpu_hours_lost) == ("DEAD", None, seconds / 1800)
            assert found.updated == LONG_AGO
    (Path(one.folder) / ".used.json").write_text(json.dumps({**note, "pid": 8}))
    assert read(project, one)[0].gpu_hours_lost is None
