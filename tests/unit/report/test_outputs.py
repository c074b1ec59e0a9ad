"""What people and programs get of a table: means as text, what a terminal has room for, and files of text."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.report.cell_text import mean_text
from heyhi.report.fitting import fitting
from heyhi.report.shaped import Shaped, Spread
from heyhi.report.shown_table import ShownTable
from heyhi.report.terminal import print_table
from heyhi.report.text_files import to_csv, to_json, to_markdown, to_tex, to_tsv

INFINITE = (math.nan, math.inf, -math.inf)


def made(*, varying: tuple[str, ...] = (), notes: tuple[str, ...] = (), **columns: list[Any]) -> Shaped:
    """Return a table of experiments, by its columns."""
    count = len(next(iter(columns.values())))
    own = {"status": ["DONE"] * count, "reason": [None] * count, "exp_id": [f"p/{i}" for i in range(count)]}
    table = pd.DataFrame({**columns, **{k: v for k, v in own.items() if k not in columns}}, dtype=object)
    table = table[["status", *(name for name in table if name != "status")]]
    table.attrs["varying"] = list(varying)
    places = list(range(count))
    return Shaped(table, table, [[place] for place in places], [True] * count, places, notes=list(notes))


def means(*, spread: Spread = "se", members: int = 3, **columns: list[Any]) -> Shaped:
    """Return a table of means, each of so many experiments."""
    count = len(next(iter(columns.values())))
    whole = made(lr=[0] * count * members).table
    table = pd.DataFrame(columns, dtype=object)
    table.attrs["varying"] = ["lr"]
    rows = [list(range(i * members, (i + 1) * members)) for i in range(count)]
    groups = [i // members for i in range(count * members)]
    return Shaped(table, whole, rows, [True] * len(groups), groups, spread)


# --- means


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.913, 0.0042), "0.9130 ± 0.0042"),
        ((0.913, None), "0.913"),
        ((0.913049, 0.0996), "0.91 ± 0.10"),
        ((12345.678, 123.4), "12350 ± 120"),
        ((50, 29.0), "50 ± 29"),
        ((99.96, 0.5), "99.96 ± 0.50"),
        ((-0.5, 2.0), "-0.5 ± 2.0"),
        ((0.5, 0.0), "0.5 ± 0"),
        ((0.0, 0.012), "0.000 ± 0.012"),
        ((1.2345e-7, 2.1e-9), "(1.235 ± 0.021)e-07"),
        ((3.0e12, 4.5e11), "(3.00 ± 0.45)e+12"),
        ((1.0, 1e-30), "1 ± 1e-30"),
        ((math.nan, math.nan), "NaN ± NaN"),
        ((math.inf, None), "Infinity"),
        ((None, None), "-"),
        ((0.913, 0.0042, 2, 3), "0.9130 ± 0.0042 (2/3)"),
        ((0.913, None, 1, 3), "0.913 (1/3)"),
        ((0.913, 0.0042, 3, 3), "0.9130 ± 0.0042"),
        ((None, None, 0, 3), "- (0/3)"),
    ],
)
def test_a_mean_ends_where_its_spread_does(numbers: tuple[Any, ...], expected: str) -> None:
    assert mean_text(*numbers) == expected


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300))
def test_the_text_of_a_mean_is_short_and_says_the_number(mean: float, spread: float) -> None:
    text = mean_text(mean, spread)
    assert len(text) <= 40
    first, second, exponent = re.fullmatch(r"\(?(\S+) ± ([^\s)]+)\)?(e[+-]\d+)?", text).groups()  # type: ignore[union-attr]
    ten = exponent or "e0"
    # To half of the last of the two digits that count, or of five digits where there are fewer.
    near = max(spread * 0.051, abs(mean) * 1e-4)
    if math.isfinite(near) and "e" not in first + second:
        assert abs(float(f"{first}{ten}") - mean) <= near + abs(mean) * 1e-11
        assert float(f"{second}{ten}") == pytest.approx(spread, rel=0.051, abs=5e-324)


def test_spread_and_how_many_stand_in_the_cell_of_a_mean() -> None:
    shaped = means(
        status=["DONE", "2/3 DONE, 1/3 DEAD"],
        lr=[0.1, 0.2],
        **{"loss": [0.5, 0.25], "loss.ci95": [0.011, None], "acc": [0.9, 0.8], "acc.ci95": [0.1, 0.2]},
        **{"acc.n": [2, 1], "n": [3, 2], "wanted": [3, 3], "missing": [None, "seed=1"]},
        spread="ci95",
    )
    out = io.StringIO()
    print_table(shaped, out)
    lines = [re.split(r"\s{2,}", line.strip()) for line in out.getvalue().splitlines()[:3]]
    assert lines == [
        ["status", "lr", "loss ± ci95", "acc ± ci95", "n", "wanted", "missing"],
        ["DONE", "0.1", "0.500 ± 0.011", "0.90 ± 0.10 (2/3)", "3", "3", "-"],
        ["2/3 DONE, 1/3 DEAD", "0.2", "0.25 (2/3)", "0.80 ± 0.20 (1/3)", "2", "3", "seed=1"],
    ]


def test_how_many_count_is_said_also_where_these_columns_were_not_asked_for() -> None:
    shaped = means(lr=[0.1], **{"loss": [0.5], "loss.se": [0.01], "n": [2], "wanted": [3]})
    for text in (to_markdown(shaped, ["lr", "loss"]), to_tex(shaped, "t", ["lr", "loss"]).replace("\\pm", "±")):
        assert "0.500 ± 0.010" in text and "(2/3)" in text and "wanted" not in text
    assert "wanted" in to_markdown(shaped) and "wanted" in to_markdown(shaped, ["loss", "wanted"])
    # Of a pivot, each column says it of its own cells.
    cells = {"lr=1": [0.5], "lr=1.se": [0.01], "lr=1.n": [2], "lr=1.wanted": [3], "lr=2": [1.0], "lr=2.se": [0.5]}
    assert to_markdown(means(size=[1], **cells)).splitlines()[-1] == "| 1 | 0.500 ± 0.010 (2/3) | 1.00 ± 0.50 |"


# --- the terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, shaped: Shaped, columns: int = 80, asked: tuple[str, ...] = ()) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = Terminal()
    print_table(shaped, out, asked=asked)
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())


def shown(shaped: Shaped, columns: int, asked: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the columns that a terminal has room for."""
    varying, is_mean = shaped.table.attrs["varying"], shaped.spread is not None
    table = ShownTable.of(shaped, asked)
    return [c.name for c in fitting(table.columns, columns, varying=varying, asked=asked, is_mean=is_mean)]


def sweep(count: int = 8) -> Shaped:
    """Return a table like that of a sweep: long exp ids, much that is the same for all."""
    numbers = list(range(count))
    return made(
        varying=("batch_size", "lr", "seed"),
        batch_size=[16 << (i % 2) for i in numbers],
        lr=[0.1 / (1 + i // 4) for i in numbers],
        seed=[i % 4 for i in numbers],
        epochs=[3] * count,
        step=[1000] * count,
        **{"val_loss": [0.123456 + i for i in numbers], "val_loss.best": [0.123456 + i for i in numbers]},
        test_accuracy=[0.9 - i / 100 for i in numbers],
        attempts=[1] * count,
        seconds=[1.5 + i for i in numbers],
        exp_id=[f"p/c02_sup_train/a_long_name_of_a_config/batch_size=16,seed={i}_0123456789abcdef" for i in numbers],
    )


def test_at_80_columns_what_varies_is_shown_and_what_is_the_same_is_named_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = on_terminal(monkeypatch, sweep())
    assert shown(sweep(), 80) == ["status", "batch_size", "lr", "seed", "val_loss", "test_accuracy", "exp_id"]
    assert text.splitlines()[1].split() == ["status", "size", "lr", "seed", "val_loss", "accuracy", "exp_id"]
    (said,) = re.findall(r"left out: (.*?) \(--columns chooses\)", " ".join(text.splitlines()))
    assert "epochs (all 3)" in said and "step (all 1000)" in said and "val_loss.best" in said
    assert "attempts (all 1)" in said
    assert all(len(line) <= 80 for line in text.splitlines())


def test_all_that_varies_has_room_before_a_second_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {f"a_key_{'of_' * (i % 3)}a_config_{i}": [i, i + 1, i + 2] for i in range(5)}
    shaped = made(varying=tuple(keys), **keys, val_loss=[1, 2, 3], **{"val_accuracy_of_the_best": [1, 2, 3]})
    assert set(shown(shaped, 80)) >= {"status", *keys, "val_accuracy_of_the_best"}
    assert all(len(line) <= 80 for line in on_terminal(monkeypatch, shaped).splitlines())


def test_an_exp_id_is_cut_at_its_begin_so_that_seeds_show(monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_terminal(monkeypatch, sweep(), columns=105)
    ends = re.findall(r"…\S*,seed=(\d)_0123456789abcdef", text)
    assert ends == list("01234567")
    assert "p/c02_sup_train/a_long_name" in on_terminal(monkeypatch, sweep(), columns=300)


def test_a_best_value_that_is_the_last_one_gives_way_first(monkeypatch: pytest.MonkeyPatch) -> None:
    shaped = sweep()
    for columns in range(60, 200, 7):
        names = shown(shaped, columns)
        assert "val_loss.best" not in names or {"val_loss", "seconds", "exp_id"} <= set(names)
    assert "left out" not in on_terminal(monkeypatch, shaped, columns=300)


def test_what_is_left_out_of_very_many_columns_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    shaped = made(lr=[1, 2], **{f"metric_{'x' * (i % 100)}_{i}": [i, i + 1] for i in range(500)})
    text = on_terminal(monkeypatch, shaped)
    assert re.search(r"and\s+\d{3}\s+more\s+\(--columns\s+chooses\)", text) and len(text) < 3_000


def test_a_loss_has_room_before_what_nobody_knows_and_before_its_own_best(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {f"{'odd' * 9}_{i}": [i, i + 1] for i in range(9)}
    shaped = made(lr=[1, 2], loss=[0.1, 0.2], **columns, **{"loss.best": [0.05, 0.2], "note": ["a", "b"]})
    head = on_terminal(monkeypatch, shaped, columns=24).splitlines()[0]
    assert "loss" in head and "loss.best" not in head and "odd" not in head


def test_chosen_columns_that_are_not_shown_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    shaped = made(
        lr=[1, 2], nothing=[None, None], exp_path=["/x/1", "/x/2"], **{f"m{i}": ["y" * 38, "z"] for i in range(5)}
    )
    asked = ("m3", "m2", "m1", "nothing", "exp_path")
    text = " ".join(on_terminal(monkeypatch, shaped, asked=asked).split())
    assert "no room for: " in text and "m1" in text.partition("no room for: ")[2].partition(" (a wider terminal")[0]
    assert "empty everywhere: nothing" in text
    out = io.StringIO()
    print_table(shaped, out, asked=asked)
    assert "/x/1" in out.getvalue() and "empty everywhere: nothing" in out.getvalue()
    print_table(shaped, out := io.StringIO())
    assert "/x/1" not in out.getvalue() and "empty" not in out.getvalue()


def test_a_pipe_gets_all_columns() -> None:
    out = io.StringIO()
    print_table(sweep(), out)
    assert {"epochs", "val_loss.best", "attempts"} <= set(out.getvalue().splitlines()[0].split())
    assert "left out" not in out.getvalue()


def test_notes_and_marks_are_said_below(monkeypatch: pytest.MonkeyPatch) -> None:
    shaped = made(
        notes=("best: smallest val_loss (assumed by its name)",),
        lr=[1, 2, 3],
        note=["bad data", None, "look at this"],
        excluded=[True, None, None],
    )
    out = io.StringIO()
    print_table(shaped, out)
    lines = out.getvalue().splitlines()
    assert "best: smallest val_loss (assumed by its name)" in lines
    assert "note    p/0: bad data (excluded)" in lines and "note    p/2: look at this" in lines
    assert lines[-1] == "3 experiments: 3 DONE; 2 noted; 1 excluded"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_marks_of_means_go_before_other_metrics(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    metrics = {f"a_long_metric_{i}{end}": [0.5 + i, 0.25] for i in range(9) for end in ("", ".se")}
    shaped = means(status=["DONE"] * 2, lr=[1, 2], **metrics, n=[3, 3], wanted=[3, 3], code=["2 versions", None])
    assert {"lr", "code", "a_long_metric_8"} <= set(shown(shaped, columns))
    assert "± se" in on_terminal(monkeypatch, shaped, columns).partition("─")[0]


# --- files of text

HOSTILE = [
    "=IMPORTXML(1)", "+1", "@x", "\tx", "a|b", "a\nb\r\nc", "*bold* _it_ `code`", "<script>x</script>", "[x](y)",
    "![x](y)", "a_b_c", r"\alpha $x$ {y} # % & ~ ^ _", "{{", "--", 'say "x"', "ü 漢", "\x00\x1b[31m", "a&amp;b",
]  # fmt: skip


def test_tsv_is_as_csv_with_tabs_and_a_line_for_each_row() -> None:
    table = made(text=HOSTILE, number=[0.1 + i for i in range(len(HOSTILE))]).table
    rows = list(csv.reader(io.StringIO(to_tsv(table)), delimiter="\t"))
    others = list(csv.reader(io.StringIO(to_csv(table), newline="")))
    assert rows == [[re.sub(r"[\t\r\n]+", " ", cell) for cell in row] for row in others]
    assert to_tsv(table).count("\n") == len(HOSTILE) + 1
    assert [row[1] for row in rows[1:5]] == ["'=IMPORTXML(1)", "'+1", "'@x", "' x"]


def test_json_is_strict_and_keeps_types_and_tells_nan_from_what_is_missing() -> None:
    values = [1, 0.5, True, None, "x", *INFINITE, 2**70, "\ud800", 1e300]
    table = made(**{"a b": values}, updated=[1764328800.4] * len(values)).table

    def refuse(name: str) -> None:
        raise AssertionError(name)

    rows = json.loads(to_json(table), parse_constant=refuse)
    found = [row["a b"] for row in rows]
    assert found == [1, 0.5, True, None, "x", "NaN", "Infinity", "-Infinity", 2**70, "\ud800", 1e300]
    assert [type(value) for value in found[:3]] == [int, float, bool]
    assert rows[0]["updated"] == "2025-11-28T11:20:00+00:00" and list(rows[0]) == list(table.columns)
    assert json.loads(to_json(table.head(0))) == []


def test_csv_says_times_with_their_zone_and_leaves_what_is_none() -> None:
    table = made(updated=[1764328800.4, None, math.nan, 1e300]).table
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["updated"] for row in rows] == ["2025-11-28T11:20:00+00:00", "", "NaN", "1e+300"]


@given(st.lists(st.text(max_size=30) | st.sampled_from(HOSTILE), min_size=1, max_size=5))
def test_a_row_of_markdown_is_a_line_and_its_cells_stay_apart(texts: list[str]) -> None:
    lines = to_markdown(made(lr=list(range(len(texts))), text=[f"x{text}" for text in texts])).splitlines()
    assert len(lines) == len(texts) + 2
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines} == {5}


def test_nothing_in_markdown_is_markup() -> None:
    text = to_markdown(made(lr=list(range(len(HOSTILE))), text=HOSTILE))
    bare = re.sub(r"\\.", "", text)
    assert not set("*`[]<~$&") & set(bare)
    assert r"\_it\_" in text and "a_b_c" in text
    assert text.splitlines()[:3] == [
        "| status | lr | text | exp_id |",
        "| :-- | --: | :-- | :-- |",
        "| DONE | 0 | =IMPORTXML(1) | p/0 |",
    ]


def test_a_table_for_latex_has_the_rules_of_booktabs_and_escapes_everything() -> None:
    shaped = means(
        lr=[0.1, 1e-7],
        **{"val_loss": [0.913, -1.25e-7], "val_loss.se": [0.0042, 2e-9], "accuracy": [math.nan, None]},
        n=[2, 2],
        wanted=[3, 3],
        name=["50 % of $x_1$", None],
    )
    text = to_tex(shaped, "conf/a_b.py #1", ["lr", "val_loss", "accuracy", "name"])
    assert re.findall(r"\\(\w+rule)", text) == ["toprule", "midrule", "bottomrule"]
    assert r"\caption{conf/a\_b.py \#1}" in text and r"\label{tab:conf-a-b.py-1}" in text
    rows = [line.strip() for line in text.splitlines() if line.endswith(r"\\")]
    assert rows == [
        r"lr & val\_loss \ensuremath{\pm} se & accuracy & name \\",
        r"$0.1$ & $0.9130 \pm 0.0042$ (2/3) & $\mathrm{NaN}$ & 50 \% of \$x\_1\$ \\",
        r"$1 \times 10^{-7}$ & $(-1.250 \pm 0.020) \times 10^{-7}$ (2/3) &  &  \\",
    ]


def test_no_text_is_a_command_to_latex() -> None:
    text = to_tex(made(lr=list(range(len(HOSTILE))), text=HOSTILE), "t" * 300 + r"\end{table}")
    known = {
        "begin", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "end", "usepackage", "ensuremath",
        "pm", "textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar", "ldots", "to",
    }  # fmt: skip
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= known
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body.strip().splitlines()} == {3}
    assert "--" not in body and text.count(r"\end{table}") == 1
