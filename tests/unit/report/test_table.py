"""Tables: a row for every experiment whatever its status, and what is wrong with one stops none of the others."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.identity import Identity
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.handle import Handle
from heyhi.experiment.names import Status
from heyhi.experiment.records import End, Start
from heyhi.project import Project, find_project
from heyhi.report.gathered import Gathered
from heyhi.report.outcomes import outcome_of, with_results
from heyhi.report.parts import read_part
from heyhi.report.read import Collector, Reader
from heyhi.report.shape import Shape
from heyhi.report.shaped import Shaped
from heyhi.report.table import frame_of
from heyhi.report.terminal import counted, print_table
from heyhi.report.text_files import to_csv


@pytest.fixture
def project(repository: Path, tmp_path: Path) -> Project:
    return find_project(repository)._replace(results_override=tmp_path / "results")


def collect(experiments: list[Experiment], get_logs_data: Collector | None = None, *, project: Project) -> pd.DataFrame:
    return frame_of([read_part(experiments, Reader(project, get_logs_data))])


def as_it_is(table: pd.DataFrame) -> Shaped:
    return Shape().apply(Gathered.of_table(table))


def experiment(project: Project, name: str, *overrides: str, needs: tuple[Experiment, ...] = ()) -> Experiment:
    exp_id = f"p/{name}"
    return Experiment(
        exp_id=exp_id,
        exp_path=project.results_root / exp_id,
        identity=Identity("conf/c02_sup_train/sl.prototxt", overrides),
        task="train",
        config=b"",
        needs=tuple(n.exp_path for n in needs),
    )


def start(experiment: Experiment, *metrics: Mapping[str, Any]) -> ExperimentDir:
    folder = ExperimentDir(experiment.exp_path)
    folder.path.mkdir(parents=True)
    folder.identity_path.write_text(json.dumps(experiment.identity.to_dict()))
    folder.append_attempt(Start(1, job_id="77", pid=1, host="h"))
    folder.metrics_path.write_text("".join(json.dumps(m) + "\n" for m in metrics))
    return folder


def end(folder: ExperimentDir, result: object = None, exception: str = "", seconds: float = 1.5) -> None:
    folder.append_attempt(End(1, exit_code=int(bool(exception)), exception=exception, seconds=seconds))
    if not exception:
        folder.write_result(result)


def cell(table: Any, row: int, column: str) -> Any:
    return table.iloc[row][column]


def test_every_experiment_has_a_row_whatever_its_status(project: Project) -> None:
    done, dead, absent = (experiment(project, name, f"lr={i}") for i, name in enumerate(("a", "b", "c")))
    blocked = experiment(project, "d", "lr=9", needs=(dead,))
    end(start(done, {"loss": 1.0}), {"accuracy": 0.5})
    end(start(dead, {"loss": 2.0}), exception="ValueError: boom")

    table = collect([done, dead, absent, blocked], project=project)

    assert list(table["status"]) == [Status.DONE, Status.DEAD, Status.NOT_STARTED, Status.BLOCKED]
    assert list(table["lr"]) == [0, 1, 2, 9]
    assert list(table["loss"]) == [1.0, 2.0, None, None]
    assert list(table["accuracy"]) == [0.5, None, None, None]
    assert "ValueError: boom" in cell(table, 1, "reason")
    assert cell(table, 3, "reason").startswith("by p/b, DEAD: ")
    assert list(table["attempts"]) == [1, 1, 0, 0]
    assert list(table["seconds"]) == [1.5, 1.5, None, None]
    assert list(table["exp_path"]) == [str(e.exp_path) for e in (done, dead, absent, blocked)]
    assert counted(table) == "4 experiments: 1 BLOCKED, 1 DEAD, 1 DONE, 1 NOT_STARTED"


def test_what_blocks_from_further_up_is_named(project: Project) -> None:
    dead = experiment(project, "dead")
    middle = experiment(project, "middle", needs=(dead,))
    last = experiment(project, "last", needs=(middle,))
    end(start(dead), exception="ValueError: boom")

    table = collect([dead, middle, last], project=project)

    assert list(table["status"]) == [Status.DEAD, Status.BLOCKED, Status.BLOCKED]
    assert cell(table, 2, "reason").startswith("by p/middle, BLOCKED: by p/dead, DEAD: ")


def test_metrics_give_their_last_and_their_best_value(project: Project) -> None:
    one, two = experiment(project, "a"), experiment(project, "b")
    start(
        one,
        {"epoch": 1, "lr": 0.2, "val_loss": 0.2, "accuracy": 0.9},
        {"epoch": 2, "lr": 0.1, "val_loss": 0.3, "accuracy": 0.7},
    )
    start(two, {"epoch": 1, "val_loss": 0.5, "accuracy": 0.1, "val": {"wer": 3}}, {"epoch": 2, "note": "text"})

    table = collect([one, two], project=project)

    assert list(table["val_loss"]) == [0.3, 0.5]
    assert list(table["val_loss.best"]) == [0.2, 0.5]
    assert list(table["accuracy.best"]) == [0.9, 0.1]
    assert list(table["val.wer"]) == [None, 3]
    assert list(table["val.wer.best"]) == [None, 3]  # a column that is there whatever the values are
    assert not {"lr.best", "note"} & set(table.columns)


def test_only_what_varies_has_a_column_and_the_config_too(project: Project) -> None:
    same = experiment(project, "a", "lr=0.1", "seed=1", "name=x")
    other = dataclasses.replace(
        experiment(project, "b", "lr=0.1", "seed=2", 'text="-a,b"'),
        identity=Identity("conf/other", ("lr=0.1", "seed=2")),
    )
    table = collect([same, other], project=project)
    assert list(table["cfg"]) == ["conf/c02_sup_train/sl.prototxt", "conf/other"]
    assert list(table["seed"]) == [1, 2]
    assert list(table["name"]) == ["x", None]
    assert "lr" not in table.columns


def test_a_metric_named_as_an_override_or_a_fixed_column_hides_neither(project: Project) -> None:
    experiments = [experiment(project, str(i), f"lr={i}", f"status={i}") for i in (1, 2)]
    for one in experiments:
        end(start(one), {"lr": 0.5, "seconds": 3})
    table = collect(experiments, project=project)
    assert list(table["lr"]) == [1, 2]
    assert list(table["lr (result)"]) == [0.5, 0.5]
    assert list(table["seconds (result)"]) == [3, 3]
    assert list(table["status (override)"]) == [1, 2]
    assert list(table["status"]) == ["DONE", "DONE"]


def test_nan_and_infinity_are_values_and_not_missing(project: Project) -> None:
    experiments = [experiment(project, str(i), f"seed={i}") for i in range(4)]
    values = [math.nan, math.inf, -math.inf]
    for one, value in zip(experiments, values, strict=False):
        end(start(one, {"loss": value}), {"loss": value})

    table = collect(experiments, project=project)

    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [line["loss"] for line in lines] == ["NaN", "Infinity", "-Infinity", ""]
    assert cell(table, 3, "loss") is None
    assert math.isnan(cell(table, 0, "loss"))


def test_text_that_a_spreadsheet_would_compute_is_marked_and_numbers_are_not(project: Project) -> None:
    bad = ["=1+1", "+1+1", "-cmd", "@x", 'fine, "quoted"\nline']
    experiments = [experiment(project, str(i), f"seed={-i}", f"text={text}") for i, text in enumerate(bad)]
    end(start(experiments[1]), {"=key": "=HYPERLINK()", "number": -5, "exact": 0.1})

    rows = list(csv.DictReader(io.StringIO(to_csv(collect(experiments, project=project)))))

    assert [row["text"] for row in rows] == [f"'{text}" for text in bad[:4]] + bad[4:]
    assert [row["seed"] for row in rows] == ["0", "-1", "-2", "-3", "-4"]
    assert (rows[1]["'=key"], rows[1]["number"], rows[1]["exact"]) == ("'=HYPERLINK()", "-5", "0.1")


def test_what_was_dropped_from_a_result_is_a_problem_of_its_row_only(project: Project) -> None:
    part, whole = (experiment(project, name, f"name={name}") for name in ("a", "b"))
    folder = start(part, {"loss": 1.0})
    folder.write_result({"y": 1, "model": object()})
    folder.append_attempt(End(1, reason="done", exit_code=0, dropped=("model",)))
    end(start(whole, {"loss": 5.0}), {"y": 3})

    table = collect([part, whole], project=project)

    assert list(table["y"]) == [1, 3] and "model" not in table
    assert list(table["problem"]) == ["dropped from its result: model", None]


def test_a_damaged_file_is_a_problem_of_its_row_only(project: Project) -> None:
    cut, lined, fine = (experiment(project, name, f"name={name}") for name in ("a", "b", "c"))
    folder = start(cut, {"loss": 1.0})
    end(folder, {"y": 1})
    folder.result_path.write_text('{"y": 1')
    folder = start(lined)
    folder.metrics_path.write_text('{"loss": 1.0}\nno JSON\n{"loss": 3.0}\n{"loss": 4')
    end(folder, {"y": 2})
    end(start(fine, {"loss": 5.0}), {"y": 3})

    table = collect([cut, lined, fine], project=project)

    assert list(table["status"]) == ["DONE"] * 3
    assert list(table["y"]) == [None, 2, 3]
    assert list(table["loss"]) == [1.0, 3.0, 5.0]
    assert "result.json: is no JSON" in cell(table, 0, "problem")
    assert cell(table, 1, "problem") == "metrics.jsonl:2: is no JSON object, and 1 more line: left out"


def test_a_collector_gives_the_columns_and_one_that_raises_marks_its_row(project: Project) -> None:
    experiments = [experiment(project, str(i), f"seed={i}") for i in range(4)]
    for one in experiments[:3]:
        end(start(one, {"loss": 1.0}), {"y": 10})

    class Scalar:  # as of a number library
        shape = ()

        def item(self) -> float:
            return 2.5

    def get_logs_data(handle: Handle) -> dict[str, Any]:
        if handle.overrides == ["seed=1"]:
            raise KeyError("no such metric")
        if handle.overrides == ["seed=2"]:
            return [1]  # type: ignore[return-value]
        assert handle.is_done() and handle.maybe_get_job_id() == "77" and handle.exp_id == "p/0"
        return {"twice": 2 * handle.result()["y"], "scalar": Scalar(), "list": [1, 2]}

    table = collect(experiments, get_logs_data, project=project)

    assert list(table["twice"]) == [20, None, None, None]
    assert cell(table, 0, "scalar") == 2.5
    assert cell(table, 0, "list") == "[1, 2]"
    assert "loss" not in table.columns
    assert cell(table, 1, "problem") == "get_logs_data: KeyError: 'no such metric'"
    assert cell(table, 2, "problem").startswith("get_logs_data: ")
    assert cell(table, 3, "problem") is None


def test_a_printed_table_is_plain_in_a_pipe_and_names_what_failed(project: Project) -> None:
    good, bad = experiment(project, "a", "lr=0.001"), experiment(project, "b", "lr=1", "name=[red]\x1b[31m")
    end(start(good, {"epoch": 0.123456789}))
    end(start(bad), exception="ValueError: boom")
    out = io.StringIO()

    print_table(as_it_is(collect([good, bad], project=project)), out)

    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["status", "lr", "name", "epoch", "attempts", "seconds", "job_id", "exp_id"]
    assert lines[1].split() == ["DONE", "0.001", "-", "0.12346", "1", "1.5", "77", "p/a"]
    assert r"[red]\x1b[31m" in lines[2] and "\x1b" not in out.getvalue()
    assert lines[3] == "DEAD    p/b: exit code 1: ValueError: boom"
    assert lines[4] == "2 experiments: 1 DEAD, 1 DONE"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [*range(40, 80, 3), 80, 200])
def test_on_a_terminal_no_line_of_the_table_is_wider_than_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    experiments = [experiment(project, str(i), *(f"setting_{k}={i}" for k in range(9))) for i in (1, 2)]
    end(start(experiments[0], {"time": 0.5}), {"test_accuracy": 0.25})
    out = Terminal()

    print_table(as_it_is(collect(experiments, project=project)), out)

    lines = re.sub(r"\x1b\[\d*m", "", out.getvalue()).splitlines()
    assert all(len(line) <= columns for line in lines)
    heads = lines[: next(i for i, line in enumerate(lines) if line.startswith("─"))]
    assert heads[-1].split()[0] == "status"
    assert re.search(r"test_(accuracy|.*accuracy)", "".join(heads), re.DOTALL)
    assert ("left out: " in out.getvalue()) == (columns < 200)


def test_long_cells_of_a_printed_table_are_cut_but_in_no_file(project: Project) -> None:
    experiments = [experiment(project, "x" * 240, "lr=1", "name=short"), experiment(project, "b", "lr=2")]
    text = "y" * 1_000_000
    end(start(experiments[0]), {"note": text, "k" * 1000: 1})
    end(start(experiments[1]), {"note": "short"})
    table = collect(experiments, project=project)
    out = io.StringIO()
    print_table(as_it_is(table), out)
    assert "y" * 199 + "…" in out.getvalue() and "y" * 200 not in out.getvalue()
    assert f"p/{'x' * 240}" in out.getvalue()
    assert len(out.getvalue()) < 4_000
    assert text in to_csv(table) and "k" * 1000 in to_csv(table)


def test_what_goes_wrong_at_length_is_cut_below_a_printed_table(project: Project) -> None:
    bad = experiment(project, "bad")
    end(start(bad), exception="ValueError: " + "z" * 1_000_000)
    out = io.StringIO()
    print_table(as_it_is(collect([bad], project=project)), out)
    assert "DEAD    p/bad: exit code 1: ValueError: zz" in out.getvalue() and len(out.getvalue()) < 4_000


def test_long_tables_are_cut_and_say_so(project: Project) -> None:
    out = io.StringIO()
    print_table(as_it_is(collect([experiment(project, str(i), f"seed={i}") for i in range(60)], project=project)), out)
    lines = out.getvalue().splitlines()
    assert lines[-2:] == ["… 10 more rows", "60 experiments: 60 NOT_STARTED"]


def test_a_table_of_nothing_is_a_table(project: Project) -> None:
    table = collect([], project=project)
    out = io.StringIO()
    print_table(as_it_is(table), out)
    assert out.getvalue().strip() == "0 experiments"
    assert to_csv(table).startswith("status,")


def test_on_a_narrow_terminal_the_column_that_tells_rows_apart_is_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    experiments = [experiment(project, str(i), f"a_long_name_of_a_size={i % 2}", f"lr={i}") for i in range(4)]
    out = Terminal()
    print_table(as_it_is(collect(experiments, project=project)), out)
    assert "lr" in re.sub(r"\x1b\[\d*m", "", out.getvalue()).partition("─")[0].split()


def test_rows_with_other_keys_and_metrics_have_what_they_have(project: Project) -> None:
    experiments = [
        experiment(project, "a", "lr=1"),
        experiment(project, "b", "size=2", "lr=3"),
        experiment(project, "c"),
    ]
    end(start(experiments[0], {"step": 1, "loss": 1.0}))
    end(start(experiments[1], {"step": 1, "acc": 2.0}), {"big": 2**63})

    table = collect(experiments, project=project)

    assert list(table["lr"]) == [1, 3, None] and list(table["size"]) == [None, 2, None]
    assert list(table["loss"]) == [1.0, None, None] and list(table["acc"]) == [None, 2.0, None]
    assert cell(table, 1, "big") == 2**63
    assert list(table.columns)[:4] == ["status", "lr", "size", "step"]


def test_as_many_overrides_of_other_keys_have_their_own_columns(project: Project) -> None:
    table = collect([experiment(project, "a", "lr=1"), experiment(project, "b", "size=2")], project=project)
    assert list(table["lr"]) == [1, None] and list(table["size"]) == [None, 2]


def test_a_column_of_numbers_has_their_type(project: Project) -> None:
    experiments = [experiment(project, str(i), f"seed={i}") for i in (0, 1)]
    for i, one in enumerate(experiments):
        end(start(one), {"int": i, "float": 0.5, "both": [1, 0.5][i], "wide": [2**63, -1][i]})
    table = collect(experiments, project=project)
    assert [str(table[c].dtype) for c in ("int", "float", "both")] == ["int64", "float64", "float64"]
    assert list(table["wide"]) == [2**63, -1]


def test_rows_of_two_configs_and_of_earlier_results_say_so_also_when_done(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    need = experiment(project, "need")
    end(start(need), {"a": 1})
    mixed, stale, fresh, alive = (experiment(project, name, needs=(need,)) for name in ("m", "s", "f", "r"))
    given = ExperimentDir(need.exp_path).result_digest()
    for one in (mixed, stale, fresh, alive):
        folder = ExperimentDir(one.exp_path)
        folder.path.mkdir(parents=True)
        folder.append_attempt(Start(1, needs={"p/need": given if one is not stale else "earlier"}))
    end(ExperimentDir(mixed.exp_path), exception="ValueError: boom")
    ExperimentDir(mixed.exp_path).append_attempt(
        Start(2, needs={"p/need": given}, changed=("train.lr: 0.1 -> 0.2",), is_mixed=True)
    )
    for one in (mixed, stale, fresh):
        end(ExperimentDir(one.exp_path), {"y": 1})

    for _ in range(2):  # read, and remembered
        table = collect([mixed, stale, fresh, alive], project=project)
        assert list(table["mixed"]) == ["train.lr 0.1 → 0.2 at attempt 2", None, None, None]
        assert list(table["stale"]) == [None, "made of an earlier result of p/need", None, None]
    assert counted(table).endswith("; 1 stale; 1 mixed")
    print_table(as_it_is(table))
    out = capsys.readouterr().out
    assert "stale   p/s: made of an earlier result of p/need\nmixed   p/m: train.lr 0.1 → 0.2 at attempt 2\n" in out
    assert "made of an earlier result" in to_csv(table) and "0.1 → 0.2 at attempt 2" in to_csv(table)

    ExperimentDir(need.exp_path).write_result({"a": 2})  # made anew: what was remembered of the others holds
    assert list(collect([mixed, stale, fresh, alive], project=project)["stale"])[2] == (
        "made of an earlier result of p/need"
    )
    assert not {"stale", "mixed"} & set(collect([need], project=project).columns)


def test_what_went_on_with_another_config_is_mixed_once_that_has_logged(project: Project) -> None:
    one = experiment(project, "m")
    folder = ExperimentDir(one.exp_path)
    folder.path.mkdir(parents=True)
    folder.append_attempt(Start(1))
    folder.metrics_path.write_text('{"loss": 2}\n')
    size, tail = folder.metrics_now()
    folder.append_attempt(
        Start(2, metrics_size=size, metrics_tail=tail, changed=("train.lr: 0.1 -> 0.2",), is_mixed=True)
    )
    assert "mixed" not in collect([one], project=project).columns
    folder.metrics_path.write_text('{"loss": 2}\n{"loss": 1}\n')
    assert list(collect([one], project=project)["mixed"]) == ["train.lr 0.1 → 0.2 at attempt 2"]


def test_a_result_that_differs_from_the_metric_of_its_name_has_a_column_beside_it(project: Project) -> None:
    differs, alike, dead, alone = (experiment(project, str(i), f"seed={i}") for i in range(4))
    end(start(differs, {"accuracy": 0.9}, {"accuracy": 0.6}), {"accuracy": 0.8, "note": "x"})
    end(start(alike, {"accuracy": 0.5}), {"accuracy": 0.5})
    end(start(dead, {"accuracy": 0.25}), exception="ValueError: boom")
    end(start(alone), {"accuracy": 0.7})
    for experiments in ([differs, alike, dead, alone], [alone, dead, alike, differs]):
        for _ in range(2):  # also as remembered
            found = collect(experiments, project=project).set_index("seed").sort_index()
            assert list(found["accuracy"]) == [0.6, 0.5, 0.25, None]
            assert list(found["accuracy.best"]) == [0.9, 0.5, 0.25, None]
            assert list(found["accuracy (result)"]) == [0.8, 0.5, None, 0.7]
    found = collect([alike, dead, alone], project=project)
    assert list(found["accuracy"]) == [0.5, 0.25, 0.7] and "accuracy (result)" not in found


def test_results_that_repeat_nan_or_whole_numbers_differ_in_nothing(project: Project) -> None:
    one = experiment(project, "a")
    end(start(one, {"loss": math.nan, "step": 3, "acc": 1}), {"loss": math.nan, "step": 3.0, "acc": True})
    found = collect([one], project=project)
    assert {name for name in found if "(result)" in name} == {"acc (result)"}
    assert found["acc"].tolist() == [1] and found["acc (result)"].tolist() == [True]


def test_nothing_is_hidden_where_metric_result_and_override_have_one_name(project: Project) -> None:
    experiments = [experiment(project, str(i), f"lr={i}") for i in (1, 2)]
    for one in experiments:
        end(start(one, {"lr": 0.5, "n (result)": 7, "n": 1}), {"lr": 0.25, "n": 2, "loss.best": 9})
    found = collect(experiments, project=project)
    assert list(found["lr"]) == [1, 2]
    assert list(found["lr (result)"]) == [0.5, 0.5]  # what was logged last
    assert list(found["lr (result) (result)"]) == [0.25, 0.25]
    assert [cell(found, 0, name) for name in ("n", "n (result)", "n (result) (result)")] == [1, 7, 2]
    assert {name for name in found.attrs["metrics"] if name.startswith("lr")} == {"lr (result)", "lr (result) (result)"}


SAID = st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, 2]))


@given(rows=st.lists(st.tuples(SAID, SAID), max_size=5))
def test_the_columns_of_metrics_and_results_say_what_each_experiment_said(
    rows: list[tuple[dict[str, int], dict[str, int]]],
) -> None:
    said = [outcome_of(dict(logged), result) for logged, result in rows]
    names = dict.fromkeys(name for one in said for name in one.values)
    columns = {name: [one.values.get(name) for one in said] for name in names}
    found = with_results(columns, [one.repeated for one in said], [one.returned for one in said])
    for name in {name for logged, result in rows for name in (*logged, *result)}:
        logged, results = [row[0].get(name) for row in rows], [row[1].get(name) for row in rows]
        if any(one is not None and two is not None and one != two for one, two in zip(logged, results, strict=True)):
            assert found[name] == logged and found[f"{name} (result)"] == results
        else:
            either = [one if one is not None else two for one, two in zip(logged, results, strict=True)]
            assert found[name] == either and f"{name} (result)" not in found


def test_equal_code_has_one_name_whether_it_was_committed_or_not(project: Project) -> None:
    clean, edited, other, both = (experiment(project, str(i), f"seed={i}") for i in range(4))
    for one, facts in (
        (edited, {"commit": "a" * 40, "dirty": True, "code": "878c4a26"}),
        (clean, {"commit": "b" * 40, "code": "878c4a26"}),
        (other, {"commit": "a" * 40, "dirty": True, "code": "0000ffff"}),
    ):
        folder = ExperimentDir(one.exp_path)
        folder.path.mkdir(parents=True)
        folder.append_attempt(Start(1, pid=1, host="h", **facts))
        end(folder, {"x": 1})
    folder = ExperimentDir(both.exp_path)
    folder.path.mkdir(parents=True)
    folder.append_attempt(Start(1, pid=1, host="h", commit="a" * 40, dirty=True, code="878c4a26"))
    line = '{"x": 1}\n'
    folder.metrics_path.write_text(line)
    facts = {"metrics_size": len(line), "metrics_tail": zlib.crc32(line.encode())}
    folder.append_attempt(Start(2, pid=1, host="h", commit="b" * 40, code="878c4a26", **facts))
    folder.append_attempt(End(2))
    folder.write_result({})
    for experiments in ([edited, clean, other, both], [both, other, clean, edited]):
        for _ in range(2):
            found = collect(experiments, project=project).set_index("seed").sort_index()
            assert list(found["code"]) == ["b" * 8, "b" * 8, "aaaaaaaa+0000", "b" * 8]
    assert list(collect([edited, other], project=project)["code"]) == ["aaaaaaaa+878c", "aaaaaaaa+0000"]
