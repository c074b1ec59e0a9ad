"""The HTML page as a file: what it holds, and that nothing in it can be taken for markup."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from heyhi.errors import ExtraError
from heyhi.report import page_libraries
from heyhi.report.page import Detail, PageData, render_page, write_page
from heyhi.report.page_curves import curves_of
from heyhi.report.page_libraries import PageError


def made(page: PageData) -> dict[str, Any]:
    """Return the data in a page."""
    text = render_page(page, folder=Path("/reports")).decode()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def table(*names: str, **columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"exp_id": list(names), **{k: pd.Series(v, dtype=object) for k, v in columns.items()}})


class Scripts(HTMLParser):
    """Takes a page apart as a browser does."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.policy = ""
        self.addresses: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[name] or "" for name in ("src", "href") if name in values]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""
        if tag == "script":
            self._inside = True
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def test_page_lets_run_only_the_scripts_that_it_carries_and_loads_nothing():
    parsed = Scripts()
    parsed.feed(render_page(PageData("t", table("e")), folder=Path("/reports")).decode())
    assert parsed.addresses == []
    data, *scripts = parsed.scripts
    json.loads(data)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts]
    assert "default-src 'none';" in parsed.policy
    assert f"script-src {' '.join(hashes)}" in parsed.policy
    assert "unsafe-eval" not in parsed.policy


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!--<script>", "&lt;", "\u2028", "\udc80", "{{plotly}}"]
)
def test_no_text_can_end_the_data_or_start_a_script(text: str):
    # pandas holds no half of a surrogate pair where pyarrow is installed; configs and logs may.
    row = "e" if text == "\udc80" else text
    page = PageData(
        text,
        table(row, **{row: [row]}),
        curves={row: curves_of([[{"step": 1, text: 1.0}]])},
        details={row: Detail(config=text, flat={text: text}, attempts=[{text: text}], log=[text])},
    )
    data = made(page)
    assert data["ids"] == [row]
    assert data["runs"]["rows"] == [[row, row]]
    assert list(data["curves"][0][0]["y"]) == [text]
    detail = data["details"][0]
    assert (detail["config"], detail["log"], detail["attempts"]) == (text, [text], [{text: text}])
    parsed = Scripts()
    parsed.feed(render_page(page, folder=Path("/reports")).decode())
    assert len(parsed.scripts) == 4
    assert not re.search("[<>&\u2028\u2029]", parsed.scripts[0])


def test_missing_values_are_told_from_nan_and_large_integers_keep_their_digits():
    values = [None, pd.NA, math.nan, math.inf, -math.inf, 2**53 + 1, 7, 0.5, True, np.float32(0.5), np.int64(3)]
    data = made(PageData("t", table(*map(str, range(len(values))), score=values)))
    assert [row[1] for row in data["runs"]["rows"]] == [
        None,
        None,
        ["NaN"],
        ["Infinity"],
        ["-Infinity"],
        [str(2**53 + 1)],
        7,
        0.5,
        "true",
        0.5,
        3,
    ]


def test_text_columns_have_no_nan():
    frame = pd.DataFrame({"exp_id": ["a", "b"], "reason": pd.Series(["timeout", None], dtype="str")})
    assert [row[1] for row in made(PageData("t", frame))["runs"]["rows"]] == ["timeout", None]


def test_table_without_exp_id_is_refused():
    with pytest.raises(PageError, match="exp_id"):
        render_page(PageData("t", pd.DataFrame({"lr": [1]})), folder=Path("/"))


def test_configs_are_parted_into_what_all_of_a_task_share_and_what_differs():
    flats = [
        {"train.lr": 0.1, "train.epochs": 5, "train.sgd.momentum": 0.9},
        {"train.lr": 0.2, "train.epochs": 5},
        {"eval.noise": 0.0, "eval.fast": True},
    ]
    details = {str(i): Detail(flat=flat) for i, flat in enumerate(flats)}
    data = made(PageData("t", table("0", "1", "2"), details=details))
    assert data["common"] == [{"train.epochs": "5"}, {"eval.noise": "0.0", "eval.fast": "true"}]
    assert [detail["flat"] for detail in data["details"]] == [
        {"common": 0, "own": {"train.lr": "0.1", "train.sgd.momentum": "0.9"}},
        {"common": 0, "own": {"train.lr": "0.2"}},
        {"common": 1, "own": {}},
    ]


def test_links_are_relative_and_can_be_nothing_but_paths():
    details = {
        "a": Detail(folder=Path("/reports/../results/p/lr=0.1"), log_path=Path("/results/p/lr=0.1/log #1?.txt")),
        "b": Detail(folder=Path("/reports/javascript:alert(1)")),
    }
    data = made(PageData("t", table("a", "b"), details=details))
    assert data["details"][0]["folder"] == "./../results/p/lr%3D0.1/"
    assert data["details"][0]["log_link"] == "./../results/p/lr%3D0.1/log%20%231%3F.txt"
    assert data["details"][1]["folder"] == "./javascript%3Aalert%281%29/"
    assert data["details"][1]["log_link"] == ""


def test_colours_of_a_terminal_are_left_out_of_logs():
    data = made(PageData("t", table("a"), details={"a": Detail(log=["\x1b[1;31mred\x1b[0m text\n"])}))
    assert data["details"][0]["log"] == ["red text"]


def test_writing_replaces_the_page_and_leaves_nothing_else(tmp_path: Path):
    for title in ("one", "two"):
        write_page(tmp_path / "report.html", PageData(title, table("e")))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "<title>two</title>" in (tmp_path / "report.html").read_text()


def test_library_that_is_missing_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "itables", None)
    with pytest.raises(ExtraError, match="the page needs plotly and itables, which aren't installed here: pip install"):
        render_page(PageData("t", table("e")), folder=Path("/"))


@pytest.mark.slow
def test_thousand_experiments_of_a_thousand_lines_are_written_in_five_seconds(tmp_path: Path):
    lines = [{"epoch": i, "step": 45 * i, **{f"m{k}": math.sin(i / 9 + k) for k in range(4)}} for i in range(1000)]
    names = [f"p/e{i}" for i in range(1000)]
    flat = {f"train.key{k}": k for k in range(40)}
    started = time.process_time()  # of this process only: others may have the processors
    page = PageData(
        "t",
        table(*names, score=[float(i) for i in range(1000)]),
        curves={name: curves_of([lines]) for name in names},
        details={
            name: Detail("x\n" * 50, {**flat, "train.lr": i}, [{"attempt": 1}], ["y"] * 20)
            for i, name in enumerate(names)
        },
        replicate=["seed"],
    )
    write_page(tmp_path / "report.html", page)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("a</script>", True),
        ("</SCript x", True),
        ("</ script", False),
        ("</scrip", False),
        ("<script>", False),
        ("", False),
    ],
)
def test_a_script_that_would_end_its_element_is_found(text: str, ends: bool) -> None:
    assert page_libraries._ends_a_script(text.encode()) is ends


def test_of_a_bundle_the_default_export_becomes_a_global() -> None:
    bundle = b"let reexport={a:1};var $t=2;export{x as y,$t as default};//end"
    assert page_libraries._as_global(bundle) == b"let reexport={a:1};var $t=2;globalThis.DataTable=$t;//end"
    with pytest.raises(PageError, match="exports no default"):
        page_libraries._as_global(b"export{x as y}")


@pytest.mark.parametrize("middle", ["", "x" * 9000])
def test_the_function_that_is_all_of_a_script_gets_parentheses(middle: str) -> None:
    script = f"/* a licence */(function(r,f){{f()}}(this,() => {{return '{middle}'}}));\n"
    wanted = script.replace("this,() =>", "this,(() =>").replace("'}", "'})")
    assert page_libraries._compiled_once(script.encode()) == wanted.encode()


def test_what_is_no_such_function_stays_as_it_is() -> None:
    assert page_libraries._compiled_once(b"var a = 1;\n") == b"var a = 1;\n"


def test_lines_of_a_script_end_as_a_browser_counts_them_for_its_hash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "some_scripts").mkdir()
    (tmp_path / "some_scripts/__init__.py").touch()
    (tmp_path / "some_scripts/a.js").write_bytes(b"a\r\nb\rc\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert page_libraries._packaged("some_scripts", "a.js") == b"a\nb\nc\n"
