"""Reports: `heyhi report`, `heyhi.table`, and where a table goes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest

import heyhi
from heyhi import maybe_launch
from heyhi.cli.main import main
from heyhi.cli.parser import make_parser, parse
from heyhi.cli.reporting import shape_of
from heyhi.cli.selection import Selection
from heyhi.project import find_project
from heyhi.report.drift_lines import NO_CODE_LOOKED
from heyhi.report.gathered import Gathered
from heyhi.report.shape import Shape
from heyhi.report.terminal import show_progress
from heyhi.report.write import write_files

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; Check check = 3; } }
message Work { double lr = 1; int32 seed = 2; string note = 3; }
message Check { string of = 1; int32 noise = 2; }
"""
SWEEP = """
def yield_sweep():
    for lr in (0.1, 0.2):
        for seed in range(2):
            yield "conf/work.prototxt", {"lr": lr, "seed": seed}
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    (root / "conf").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/work.prototxt").write_text("work {}\n")
    (root / "conf/check.prototxt").write_text('check { of: "{{exp work.prototxt}}" }\n')
    (root / "conf/many.py").write_text(SWEEP)
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\nreports = ["csv", "xlsx"]\n')
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return root


def work(*, cfg: Any, **_: object) -> dict[str, float]:
    if cfg.lr == 0.2 and cfg.seed == 1:
        raise ValueError("it broke")
    Path("metrics.jsonl").write_text(f'{{"step": 1, "loss": {cfg.lr + cfg.seed / 100}}}\n')
    return {"accuracy": cfg.lr * 2 + cfg.seed / 10}


def launch_all() -> None:
    for lr in (0.1, 0.2):
        for seed in range(2):
            maybe_launch(work, cfg="conf/work.prototxt", overrides=[f"lr={lr}", f"seed={seed}"])


def test_a_report_before_anything_ran_has_a_row_for_each(run: Any, root: Path) -> None:
    code, out, _ = run("report")
    assert code == 0 and "4 experiments: 4 NOT_STARTED" in out
    assert "written: results/reports/many.csv, results/reports/many.xlsx" in out


def test_a_report_has_metrics_reasons_and_the_files_of_the_settings(run: Any, root: Path) -> None:
    launch_all()
    code, out, _ = run("report", "--sort=-accuracy")
    assert code == 0 and "ValueError: it broke" in out and "4 experiments: 1 DEAD, 3 DONE" in out
    rows = list(csv.DictReader((root / "results/reports/many.csv").open()))
    assert [row["accuracy"] for row in rows] == ["0.4", "0.30000000000000004", "0.2", ""]
    sheet = openpyxl.load_workbook(root / "results/reports/many.xlsx").active
    assert [c.value for c in sheet[1]] == [name if name != "updated" else "updated (UTC)" for name in rows[0]]


def test_grouped_numbers_are_the_same_in_every_output(run: Any, root: Path) -> None:
    launch_all()
    files = ["t.csv", "t.xlsx", "t.parquet"]
    code, out, _ = run("report", "--mean-over", *(w for f in files for w in ("--to", f)))
    assert code == 0 and "±" in out
    frame = heyhi.table(mean_over=["seed"])
    assert frame["missing"].tolist() == [None, "seed=1"]
    wanted = frame["accuracy"].tolist()
    rows = list(csv.DictReader((root / "t.csv").open()))
    assert [float(row["accuracy"]) for row in rows] == wanted
    assert float(rows[0]["accuracy.se"]) == frame["accuracy.se"][0]
    assert pq.read_table(root / "t.parquet").to_pydict()["accuracy"] == wanted
    heads, *cells = openpyxl.load_workbook(root / "t.xlsx").active.values
    assert [row[heads.index("accuracy")] for row in cells] == wanted


def test_nan_and_infinity_are_called_the_same_in_means(run: Any, root: Path) -> None:
    launch_all()
    paths = heyhi.table()["exp_path"]
    for path, value in zip(paths, ("NaN", "1", "Infinity", "1"), strict=True):
        (Path(path) / "result.json").write_text(f'{{"accuracy": {value}}}')
    out = run("report", "--mean-over", "--columns", "lr,accuracy")[1]
    assert "NaN ±" not in out and "Infinity" not in out
    rows = heyhi.table(mean_over="seed")
    assert rows["accuracy"].tolist() == [1, 1] and rows["diverged"].tolist() == ["seed=0: accuracy"] * 2


def test_best_pivot_and_columns(run: Any) -> None:
    launch_all()
    table = run("report", "--best", "accuracy", "--per", "lr", "--columns", "lr,accuracy,exp_id")[1]
    assert [line.split()[:2] for line in table.splitlines()[:3]] == [["lr", "accuracy"], ["0.1", "0.3"], ["0.2", "0.4"]]
    out = run("report", "--pivot", "lr", "seed", "accuracy", "--to", "p.csv")[1]
    assert (
        Path("p.csv").read_text().splitlines()[0]
        == "lr,seed=0,seed=0.se,seed=0.n,seed=1,seed=1.se,seed=1.n,seed=1.wanted"
    )
    assert "seed=0" in out
    # Of each cell it is said of how many of how many it is.
    lines = [
        re.split(r"\s{2,}", line.strip())
        for line in run("report", "--pivot", "lr", "status", "accuracy")[1].split("\n")
    ]
    assert lines[1:3] == [["0.1", "-", "0.250 ± 0.050"], ["0.2", "- (0/1)", "0.4"]]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--sort", "accuracyy"], "did you mean 'accuracy'"),
        (["--columns", "nope"], "no column 'nope'"),
        (["--best", "acuracy"], "did you mean 'accuracy'"),
        (["--pivot", "lr", "sed", "accuracy"], "did you mean 'seed'"),
        (["--to", "x.txt"], ".xlsx, .parquet or .html"),
        (["nosuch.py"], "doesn't exist"),
        (["--watch", "0"], "--watch"),
        (["--watch", "x"], "--watch: expected seconds"),
        (["--watch", "nan"], "--watch: expected seconds"),
        (["--per", "lr"], "--per goes with --best"),
        (["--group-by"], "--group-by takes keys, such as --group-by lr; to put seeds together: --mean-over"),
        (["--group-by", ","], "--group-by takes keys"),
        (["--spread", "sd"], "choose from"),
        (["--where", "lr"], "expected KEY=VALUE"),
        (["--to", "-.xlsx"], "-.xlsx: .xlsx is no text"),
        (["--to", "-", "--to", "-.md"], "--to - --to -.md: standard output holds one table\n"),
        (["--to", "-", "--watch", "5"], "standard output holds the table of one round: without --watch"),
    ],
)
def test_a_wrong_report_gets_one_message(run: Any, args: list[str], expected: str) -> None:
    launch_all()
    code, _, err = run("report", *args)
    assert code == 2 and expected in err and "Traceback" not in err


def test_conditions_that_nothing_meets_say_so_and_nothing_else(run: Any) -> None:
    launch_all()
    for more in ((), ("--columns", "lr,nosuch"), ("--mean-over", "--sort", "loss"), ("--best", "loss")):
        code, out, err = run("report", "--where", "lr=77", *more)
        said, written = out.splitlines()
        assert (code, err) == (0, "") and re.fullmatch(r"none of \d experiments meets --where lr=77", said)
        assert written.startswith("written: ")


def test_a_file_that_is_named_twice_is_written_once(run: Any) -> None:
    launch_all()
    out = run("report", "--to", "o.csv", "--to", "./o.csv", "--to", str(Path("o.csv").absolute()))[1]
    assert "written: o.csv\n" in out


def test_downward_is_a_dash_with_or_without_an_equals_sign(run: Any) -> None:
    launch_all()
    out = run("report", "--sort", "-accuracy")[1]
    assert out == run("report", "--sort=-accuracy")[1] != run("report", "--sort", "accuracy")[1]
    assert run("report", "--sort", "--drift")[0] == 2


@pytest.mark.parametrize("best", ["accuracy", "accuracy:max", "accuracy:min", "a:b", "a:min:max", ":min"])
def test_only_a_direction_at_the_end_of_a_key_is_one(best: str) -> None:
    shape = shape_of(parse(make_parser(), ["report", "--best", best, "--at-best", best]), find_project())
    expected = {"accuracy:max": ("accuracy", "max"), "accuracy:min": ("accuracy", "min"), "a:min:max": ("a:min", "max")}
    assert (shape.best, shape.direction) == expected.get(best, (best, None))
    assert (shape.at_best, shape.at_best_direction) == expected.get(best, (best, None))


def test_every_option_of_a_report_arrives_where_a_table_is_put_together() -> None:
    words = (
        "report --sort -a --sort=b --columns a,b --where x=1 --where y>2 --mean-over seed,fold --group-by lr, --per z"
    )
    words += " --spread ci95 --best loss:min --at-best acc --pivot r c k"
    shape = shape_of(parse(make_parser(), words.split()), find_project())
    assert shape == Shape(
        sort=("-a", "b"),
        columns=("a", "b"),
        where=("x=1", "y>2"),
        mean_over=("seed", "fold"),
        group_by=("lr",),
        per=("z",),
        spread="ci95",
        best="loss",
        direction="min",
        at_best="acc",
        pivot=("r", "c", "k"),
    )
    assert shape_of(parse(make_parser(), ["report", "--mean-over"]), find_project()).mean_over == ("seed",)


@pytest.mark.parametrize(
    "view",
    [
        ["--best", "accuracy"],
        ["--pivot", "lr", "seed", "accuracy"],
        ["--columns", "lr,accuracy"],
        ["--mean-over"],
    ],
)
def test_a_view_never_takes_the_place_of_the_whole_table(run: Any, root: Path, view: list[str]) -> None:
    launch_all()
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\nreports = ["csv", "html"]\n')
    run("report")
    files = [root / "results/reports/many.csv", root / "results/reports/many.html"]
    made = r'"made":"[^"]*"'  # when
    whole = [re.sub(made, "", path.read_text()) for path in files]
    for path in files:
        path.unlink()
    out = run("report", *view)[1]
    assert [re.sub(made, "", path.read_text()) for path in files] == whole
    assert "many.html (the whole table; --to FILE writes what is shown)" in out
    assert "written: v.csv\n" in run("report", *view, "--to", "v.csv")[1]
    assert (root / "v.csv").read_text().count("\n") < 5 or (root / "v.csv").read_text().startswith("lr,accuracy\n")


def test_sorted_the_whole_table_is_still_the_whole_table(run: Any, root: Path) -> None:
    launch_all()
    out = run("report", "--sort=-lr", "--needs")[1]
    assert "written: results/reports/many.csv, results/reports/many.xlsx\n" in out
    rows = list(csv.DictReader((root / "results/reports/many.csv").open()))
    assert [row["lr"] for row in rows] == ["0.2", "0.2", "0.1", "0.1"]


def test_sweeps_of_other_names_or_words_write_other_files(run: Any, root: Path) -> None:
    (root / "conf/bad").mkdir()
    for name in ("bad/sweep.py", "bad-sweep.py"):
        (root / "conf" / name).write_text(SWEEP)
    for words in (
        ["conf/bad/sweep.py"],
        ["conf/bad-sweep.py"],
        ["--cfg", "work", "--sweep", "lr=0.1,0.2"],
        ["--cfg", "work", "--sweep", "lr=0.1,0.3"],
        ["--cfg", "work"],
        ["conf/bad/sweep.py", "conf/bad-sweep.py"],
        ["conf/many.py", "conf/bad-sweep.py"],
    ):
        for _ in range(2):  # the same words write the same file
            assert run("report", *words)[0] == 0
    names = sorted(path.stem for path in (root / "results/reports").glob("*.csv"))
    assert len(names) == 7 and {"bad-sweep"} < set(names)
    assert sum(name.startswith("work-lr-0.1-0.") for name in names) == 2
    assert sum("+" in name for name in names) == 2


def test_a_page_is_titled_by_the_sweep_in_words(run: Any, root: Path) -> None:
    words = ["--cfg", "work", "--sweep", "lr=0.1,0.2", "seed=0"]
    assert run("report", *words, "--to", "a.html")[0] == 0
    assert "<title>--cfg work seed=0 --sweep lr=0.1,0.2</title>" in (root / "a.html").read_text()
    assert run("report", "conf/many.py", *words, "--to", "b.html")[0] == 0
    assert "<title>conf/many.py + --cfg work seed=0 --sweep lr=0.1,0.2</title>" in (root / "b.html").read_text()


@pytest.mark.parametrize(
    ("name", "begin"), [("-", "lr,accuracy\n"), ("-.md", "| lr | accuracy |\n"), ("-.json", "[\n")]
)
def test_on_standard_output_stands_the_table_and_nothing_else(run: Any, root: Path, name: str, begin: str) -> None:
    launch_all()
    code, out, err = run("report", "--columns", "lr,accuracy", "--to", name, "--to", f"t.{name[2:] or 'csv'}")
    assert code == 0 and out.startswith(begin) and out == (root / f"t.{name[2:] or 'csv'}").read_text()
    assert "4 experiments: 1 DEAD, 3 DONE" in err and f"written: t.{name[2:] or 'csv'}\n" in err
    assert not (root / name).exists()


def test_the_settings_may_name_every_format(run: Any, root: Path) -> None:
    launch_all()
    formats = ["csv", "tsv", "md", "tex", "json", "xlsx", "parquet", "html"]
    (root / "pyproject.toml").write_text(f'[tool.heyhi]\nsweep = "conf/many.py"\nreports = {formats}\n')
    out = run("report")[1]
    assert out.endswith(f"written: {', '.join(f'results/reports/many.{one}' for one in formats)}\n")
    found = json.loads((root / "results/reports/many.json").read_text())
    assert [row["accuracy"] for row in found] == [*heyhi.table()["accuracy"].tolist()[:3], None]
    assert r"\caption{conf/many.py}" in (root / "results/reports/many.tex").read_text()
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\nreports = []\n')
    assert "written" not in run("report")[1]


def test_times_say_their_zone(run: Any, root: Path) -> None:
    launch_all()
    when = 1_764_328_800
    for path in heyhi.table()["exp_path"]:
        for one in Path(path).iterdir():
            os.utime(one, (when, when))
    assert run("report", *(w for end in ("csv", "json", "xlsx", "parquet") for w in ("--to", f"t.{end}")))[0] == 0
    time = "2025-11-28T11:20:00+00:00"
    assert {row["updated"] for row in csv.DictReader((root / "t.csv").open())} == {time}
    assert {row["updated"] for row in json.loads((root / "t.json").read_text())} == {time}
    heads, *cells = openpyxl.load_workbook(root / "t.xlsx").active.values
    assert {str(row[heads.index("updated (UTC)")]) for row in cells} == {"2025-11-28 11:20:00"}
    column = pq.read_table(root / "t.parquet").column("updated")
    assert str(column.type) == "timestamp[ms, tz=UTC]" and {t.isoformat() for t in column.to_pylist()} == {time}


@pytest.mark.parametrize("word", ["conf/many.py", "results/p", "4711", "lr=0.1"])
def test_what_names_experiments_is_none_of_the_fields_to_average_over(run: Any, word: str) -> None:
    parsed = parse(make_parser(), ["report", "--mean-over", word])
    assert (parsed.mean_over, parsed.given) == ("", [("word", word)])
    assert run("report", "--mean-over", "conf/many.py") == run("report", "conf/many.py", "--mean-over")


def test_fields_in_which_nothing_differs_are_warned_about(run: Any) -> None:
    code, _, err = run("report", "--mean-over", "note")
    assert code == 0 and "warning: no experiments differ in 'note'" in err
    assert run("report", "--mean-over", "seed,note")[2] == ""


@pytest.mark.parametrize("fields", ["sed", "seed,sed"])
def test_a_field_to_average_over_that_no_config_has_is_refused(run: Any, root: Path, fields: str) -> None:
    code, out, err = run("report", "--mean-over", fields, "--to", "means.csv")
    assert code == 2 and not out and not (root / "means.csv").exists()
    assert err == "error: --mean-over sed: no config has a key 'sed' (did you mean 'seed'?)\n"
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\nreplicate = ["seed", "fold"]\n')
    assert run("report", "--mean-over")[0] == 0  # the project's own, for all of its sweeps


def test_a_result_that_nobody_has_yet_is_an_empty_column_until_one_is_done(run: Any, root: Path) -> None:
    asked = ("report", "--columns", "lr,loss,accuracy", "--to", "-")
    with contextlib.suppress(ValueError):
        maybe_launch(work, cfg="conf/work.prototxt", overrides=["lr=0.2", "seed=1"])
    path = next((root / "results").glob("p/**/identity.json")).parent
    (path / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    code, out, err = run(*asked)
    assert (code, out.splitlines()[0]) == (0, "lr,loss,accuracy") and "0.2,0.5,\n" in out.replace("\r", "")
    assert "no experiment is DONE yet, nor has accuracy" in err
    launch_all()
    assert run(*asked)[0] == 0
    code, _, err = run("report", "--columns", "lr,acuracy")
    assert code == 2 and "no column 'acuracy' (did you mean 'accuracy'?)" in err


def test_what_can_be_written_is_although_something_cannot(run: Any, root: Path) -> None:
    (root / "file").write_text("")
    code, out, err = run("report", "--to", "file/a.csv", "--to", "b.csv", "--to", "file/c.html", "--to", "d.html")
    assert code == 2 and "written: b.csv, d.html" in out
    assert err.count("error: ") == 2 and "file/a.csv" in err and "file/c.html" in err
    code, out, _ = run("report", "--to", "e.csv", "--to", "x.txt")
    assert code == 2 and out == "" and not (root / "e.csv").exists()


def test_writing_returns_what_was_written_and_why_the_rest_was_not(root: Path) -> None:
    (root / "file").write_text("")
    table, paths = heyhi.table(), [root / "a.csv", root / "file/b.csv", root / "c.xlsx"]
    written = write_files(paths, Shape().apply(Gathered(table, list, list)), find_project(), "many")
    assert written.files == [root / "a.csv", root / "c.xlsx"]
    (problem,) = written.problems
    assert str(problem).startswith(f"{root}/file/b.csv: can't be written: ")


def test_results_that_cannot_be_written_can_be_reported(run: Any, root: Path, tmp_path: Path) -> None:
    launch_all()
    shutil.rmtree(root / "results/.heyhi", ignore_errors=True)
    (root / "results/.heyhi").write_text("no folder, so that nothing can be written in it, not by root either")
    (root / "results/reports").write_text("")
    for _ in range(2):
        code, out, err = run("report", "--to", str(tmp_path / "t.csv"), "--to", str(tmp_path / "t.html"))
        assert code == 0 and "4 experiments: 1 DEAD, 3 DONE" in out and err == ""
    assert len(list(csv.DictReader((tmp_path / "t.csv").open()))) == 4
    code, out, err = run("report")
    assert code == 2 and "4 experiments: 1 DEAD, 3 DONE" in out and err.count("can't be written") == 2


def test_two_sweeps_make_one_table_and_a_shared_experiment_one_row(run: Any, root: Path) -> None:
    (root / "conf/other.py").write_text(
        "def yield_sweep():\n    yield 'work', {'lr': 0.1, 'seed': 0}\n    yield 'work', {'lr': 9}\n"
    )
    frame = heyhi.table(["conf/many.py", "conf/other.py"])
    assert len(frame) == 5
    assert "5 experiments" in run("report", "conf/many.py", "conf/other.py", "--to", "t.csv")[1]


def test_a_row_names_what_it_needs_and_can_show_its_columns(run: Any, root: Path) -> None:
    maybe_launch(work, cfg="conf/work.prototxt")
    (root / "conf/evals.py").write_text(
        "def yield_sweep():\n    for n in (1, 2):\n        yield 'check', {'noise': n}\n"
    )
    frame = heyhi.table("conf/evals.py", with_needs=True)
    assert set(frame["needs"]) == {"p/work/default_e3b0c44298fc1c14"}
    assert frame["work.status"].tolist() == ["DONE"] * 2 and frame["work.loss"].tolist() == [0.0, 0.0]
    assert "work.loss" not in heyhi.table("conf/evals.py").columns


def test_a_large_table_shows_progress_in_a_notebook_and_none_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(ticks)))
    for module, is_shown in (("ipykernel.iostream", True), ("io", False)):
        stream = type("Stream", (io.StringIO,), {"__module__": module})()
        monkeypatch.setattr("sys.stderr", stream)
        tick = show_progress(300)
        for _ in range(300):
            tick()
        assert ("200 of 300 experiments read" in stream.getvalue()) is is_shown
        assert stream.getvalue().rstrip(" \r").endswith("read") or not is_shown


def test_drift_is_a_column_when_it_is_asked_for(run: Any, root: Path) -> None:
    launch_all()
    (root / "conf/work.prototxt").write_text('work { note: "new" }\n')
    assert "drifted" not in heyhi.table().columns
    assert "work.note:  -> new" in heyhi.table(drift=True)["drifted"][0]
    assert run("report", "--drift")[0] == 0


def test_the_collector_of_the_sweep_file_chooses_the_columns(root: Path) -> None:
    launch_all()
    (root / "conf/many.py").write_text(
        SWEEP + "\ndef get_logs_data(handle):\n    return {'x': handle.result()['accuracy']}\n"
    )
    frame = heyhi.table()
    assert "loss" not in frame.columns and frame["x"][0] == 0.2
    assert "it broke" in frame["reason"][3] and "result.json" in frame["problem"][3]


def test_without_credentials_one_line_says_so_and_files_are_written(run: Any, root: Path) -> None:
    (root / "conf/many.py").write_text(SWEEP + '\nSHEET = ("file", "tab")\n')
    code, out, err = run("report")
    assert code == 0 and "written:" in out
    assert len([line for line in err.splitlines() if "file" in line]) == 1
    assert run("report", "--sheet", "other", "tab")[0] == 0
    assert run("sheets", "check")[0] == 1


def test_a_bad_sheet_setting_is_a_warning(run: Any, root: Path) -> None:
    (root / "conf/many.py").write_text(SWEEP + '\nSHEET = "file"\n')
    code, _, err = run("report")
    assert code == 0 and "expected (spreadsheet, worksheet)" in err


def test_a_page_is_written_with_what_lies_in_the_folders(run: Any, root: Path) -> None:
    launch_all()
    assert run("report", "--to", "page.html")[0] == 0
    page = (root / "page.html").read_text()
    assert "it broke" in page and "lr: 0.1" in page


def test_damaged_lines_of_a_file_are_said_in_its_row_each_time(
    run: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    launch_all()
    folder = Path(heyhi.table()["exp_path"][0])
    (folder / "metrics.jsonl").write_bytes(b'{"loss": 1}\n{"loss": \xff}\n[1]\n\n{"loss": 0.5}\n')
    (folder / "result.json").write_text('{"accuracy": 1}')
    caplog.clear()
    for _ in range(2):
        assert run("report", "--to", "t.csv", "--to", "t.html")[0] == 0
        row = next(csv.DictReader((root / "t.csv").open()))
        assert row["loss"] == "0.5"
        assert row["problem"] == "metrics.jsonl:2: is no JSON object, and 1 more line: left out"
    assert not caplog.messages


def test_watching_goes_on_after_a_round_that_failed(root: Path, run: Any) -> None:
    launch_all()
    (root / "conf/many.py").write_text("x = 1\n")
    watching = subprocess.Popen(
        [sys.executable, "-m", "heyhi.cli", "report", "--watch", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stderr is not None and watching.stdout is not None
    assert "yield_sweep" in watching.stderr.readline()
    (root / "conf/many.py").write_text(SWEEP)
    assert any("written:" in line for line in watching.stdout)
    watching.send_signal(2)
    assert watching.wait(timeout=60) == 130
    assert "Traceback" not in watching.stderr.read()


def test_watching_survives_whatever_goes_wrong_in_a_round(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch_all()
    errors = [OSError(5, "Input/output error", "x"), RuntimeError("odd"), KeyError("k"), RecursionError(), None]
    sources = Selection.sources

    def failing(self: Selection) -> Any:
        error = errors.pop(0) if errors else KeyboardInterrupt()
        if error is not None:
            raise error
        return sources(self)

    monkeypatch.setattr(Selection, "sources", failing)
    with pytest.raises(SystemExit) as end:
        main(["report", "--watch", "0.01"])
    out, err = capsys.readouterr()
    assert end.value.code == 130 and "4 experiments: 1 DEAD, 3 DONE" in out
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [
        "error: OSError: [Errno 5] Input/output error: 'x'",
        "error: RuntimeError: odd",
        "error: KeyError: 'k'",
        "error: RecursionError",
    ]


def test_a_watch_ends_when_nobody_reads_it(root: Path) -> None:
    command = [sys.executable, "-m", "heyhi.cli", "report", "--watch", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None and watching.stderr is not None
        assert watching.stdout.readline()
        watching.stdout.close()
        assert watching.wait(timeout=60) == 141
        assert watching.stderr.read() == ""


@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        ("report", "1"),
        ("report", ""),
        ("report conf/many.py --to -", "1"),
        ("report conf/many.py --to -", ""),
        ("status", "1"),
        ("--help", ""),
    ],
)
def test_a_full_standard_output_is_one_error_line(root: Path, words: str, unbuffered: str) -> None:
    command = [sys.executable, "-m", "heyhi.cli", *words.split()]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=env)
    assert ran.stderr.splitlines()[-1:] == ["error: standard output can't be written: No space left on device"]
    assert ran.returncode == 2 and ran.stderr.count("error") == 1 and "Traceback" not in ran.stderr


def test_a_report_whose_reader_has_seen_enough_is_quiet(root: Path) -> None:
    command = [sys.executable, "-m", "heyhi.cli", "report"]
    read, written = os.pipe()
    os.close(read)
    ran = subprocess.run(command, stdout=written, stderr=subprocess.PIPE, text=True)
    os.close(written)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_a_report_takes_a_config_and_what_is_swept(run: Any, root: Path) -> None:
    launch_all()
    code, out, err = run("report", "--cfg", "work", "--sweep", "lr=0.1,0.2", "seed=0", "--columns", "lr,accuracy")
    assert code == 0 and err == ""
    assert [line.split() for line in out.splitlines()[:3]] == [["lr", "accuracy"], ["0.1", "0.2"], ["0.2", "0.4"]]
    assert re.search(r"written: results/reports/work-seed-0-lr-0\.1-0\.2-\w{6}\.csv, results/reports/work-", out)
    one = run("report", "--cfg", "work", "--lr=0.2", "seed=1")[1]
    assert "1 experiment: 1 DEAD" in one and "written: results/reports/work-lr-0.2-seed-1-" in one
    words = ("--cfg", "work", "--sweep", "lr=0.1,0.2", "--sweep", "seed=0,1", "--zip")
    assert "2 experiments: 1 DEAD, 1 DONE" in run("report", *words)[1]


def test_the_words_of_expand_and_those_of_a_report_give_the_same_experiments(run: Any, root: Path) -> None:
    for words in (
        ("--cfg", "work", "--sweep", "lr=0.1,0.2", "seed=1", "lr=3"),
        ("--cfg", "work", "lr=1e-3", "--adhoc", "--out", "mine/%(redefines)s"),
        ("--cfg", "work", "--sweep", "seed=range(3)", "--out", "here/%(redefines)s"),
        ("conf/many.py",),
        (),
    ):
        targets = run("expand", *words)[1].split()
        assert run("report", *words, "--to", "t.csv")[0] == 0
        rows = list(csv.DictReader((root / "t.csv").open()))
        assert [f"results/{row['exp_id']}/result.json" for row in rows] == targets


@pytest.mark.parametrize("command", ["report", "expand", "plan", "status"])
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--sweep", "lr=1"], "--sweep goes with --cfg"),
        (["conf/many.py", "lr=1"], "'lr=1': overrides go with --cfg"),
        (["conf/many.py", "--adhoc"], "go with --cfg"),
        (["--cfg", "work", "lrr=1"], "did you mean 'lr'"),
        (["--cfg", "nosuch"], "nosuch"),
        (["--cfg", ""], "which config?"),
        (["--cfg", "work", "--sweep", "lr"], "lr"),
    ],
)
def test_wrong_words_get_the_same_message_whatever_the_command(
    run: Any, command: str, args: list[str], expected: str
) -> None:
    code, _, err = run(command, *args)
    assert code == 2 and expected in err and err.count("\n") == 1


def test_a_sweep_file_may_have_an_equals_sign_in_its_name(run: Any, root: Path) -> None:
    (root / "conf/many.py").rename(root / "conf/lr=x.py")
    assert "4 experiments" in run("report", "conf/lr=x.py")[1]


# --- drift, unasked -------------------------------------------------------------------------------------------------


def test_a_table_says_in_a_line_that_a_config_was_edited_in_between(run: Any, root: Path) -> None:
    launch_all()
    out = run("report")[1]
    assert "drifted" not in out and f"\n{NO_CODE_LOOKED}\n" in out
    assert NO_CODE_LOOKED not in run("report", "--drift")[1]
    (root / "conf/work.prototxt").write_text('work { note: "new" }\n')
    out = run("report")[1]
    assert (
        "\n4 drifted: launched with another config than the sweep has now (--drift names the keys, and other code)\n"
        in out
    )
    assert "\n4 drifted: launched with another config than would be composed today" in run("report", "--drift")[1]
    assert "\n2 drifted: " in run("report", "--cfg", "work", "--sweep", "lr=0.1,0.2", "seed=0", "--mean-over")[1]
    (root / "conf/work.prototxt").write_text("work {}\n")
    assert "drifted" not in run("report")[1]


def test_what_ran_since_the_edit_has_not_drifted(run: Any, root: Path) -> None:
    maybe_launch(work, cfg="conf/work.prototxt", overrides=["lr=0.1", "seed=0"])
    (root / "conf/work.prototxt").write_text('work { note: "new" }\n')
    run("expand", "conf/many.py")
    maybe_launch(work, cfg="conf/work.prototxt", overrides=["lr=0.1", "seed=1"])
    assert "\n1 drifted: " in run("report", "conf/many.py")[1]


def test_of_very_many_experiments_some_are_compared(run: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch_all()
    monkeypatch.setattr("heyhi.sweep.drift._MAX_COMPARED", 3)
    (root / "conf/work.prototxt").write_text('work { note: "new" }\n')
    assert "\nat least 2 drifted: " in run("report")[1]


def test_two_sweeps_are_each_compared_with_their_own_config(run: Any, root: Path) -> None:
    launch_all()
    (root / "conf/other.prototxt").write_text("work {}\n")
    maybe_launch(work, cfg="conf/other.prototxt", overrides=["lr=0.1"])
    (root / "conf/other.py").write_text("def yield_sweep():\n    yield 'other', {'lr': 0.1}\n")
    (root / "conf/other.prototxt").write_text('work { note: "new" }\n')
    assert "\n1 drifted: " in run("report", "conf/many.py", "conf/other.py", "--to", "t.csv")[1]


def test_a_damaged_experiment_stops_no_comparison(run: Any, root: Path) -> None:
    launch_all()
    (root / "conf/work.prototxt").write_text('work { note: "new" }\n')
    manifest = run("expand", "conf/many.py", "--manifest")[1].strip()
    first, second, *_ = heyhi.table()["exp_path"]
    (Path(first) / "identity.json").write_text("{")
    (Path(second) / "config_flat.json").write_bytes(b"\xff")
    code, out, _ = run("report", manifest)
    assert code == 0 and "\n2 drifted: " in out
    code, out, _ = run("report", manifest, "--drift")
    assert code == 0 and "identity.json" in (root / "results/reports/many.csv").read_text()


MANY = """
def yield_sweep():
    for seed in range(60):
        yield "conf/check.prototxt" if seed % 2 else "conf/work.prototxt", {"noise" if seed % 2 else "seed": seed}


def get_logs_data(handle):
    return {"seen": f"{handle.cfg_path.name} {handle.overrides[0]}", "y": handle.result()["y"]}
"""


def test_a_table_whose_experiments_changed_in_part_is_as_one_that_is_made_anew(root: Path) -> None:
    (root / "conf/many.py").write_text(MANY)
    folders = [Path(path) for path in heyhi.table()["exp_path"]]
    for number, folder in enumerate(folders[:-1]):
        folder.mkdir(parents=True)
        (folder / "identity.json").write_text('{"version": 2, "cfg": "c", "overrides": []}')
        (folder / "attempts.jsonl").write_text('{"event": "start", "attempt": 1}\n')
        (folder / "result.json").write_text(f'{{"y": {number}}}\n')
        os.utime(folder / "result.json", (1_000_000_000, 1_000_000_000))
    (manifest,) = (root / "results/.heyhi/looked-at").iterdir()
    remembered = root / "results/.heyhi/readings"
    for number in (4, 5, 6):
        (folders[number] / "result.json").write_text(f'{{"y": {number}00}}\n')
        (folders[number + 10] / "result.json").unlink()
        changed = heyhi.table(manifest, with_needs=True)
        again = heyhi.table(manifest, with_needs=True)
        shutil.rmtree(remembered)
        anew = heyhi.table(manifest, with_needs=True)
        pd.testing.assert_frame_equal(changed, anew)
        pd.testing.assert_frame_equal(again, anew)
        assert changed.attrs == anew.attrs
    assert list(anew["seen"][4:6]) == ["work.prototxt seed=4", "check.prototxt noise=5"]
    assert list(anew["y"][:7]) == [0, 1, 2, 3, 400, 500, 600] and set(anew["status"][14:17]) == {"DEAD"}
