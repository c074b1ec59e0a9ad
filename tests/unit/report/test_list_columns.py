"""Lists in tables, conditions and pages: one column for each, however overrides wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import heyhi
from heyhi import maybe_launch
from heyhi.config.shown_list import shown_text, shown_values
from heyhi.report.setting_values import guessed
from heyhi.report.where import Condition

PROTO = """
syntax = "proto2";
message Include { optional string path = 1; }
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 10; } }
message Layer { optional int32 width = 1; }
message Work {
  optional int32 seed = 1; repeated int32 sizes = 2; repeated double rates = 3; repeated string tags = 4;
  repeated Layer layers = 5; map<int32, double> scale = 6; optional string note = 7;
}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    (tmp_path / "conf").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.heyhi]\n")
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/work.prototxt").write_text('work { sizes: [8, 8] rates: 0.5 tags: "x" }\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep(root: Path, points: list[dict[str, Any]]) -> str:
    text = f"def yield_sweep():\n    for point in {points!r}:\n        yield 'conf/work.prototxt', point\n"
    (root / "sweep.py").write_text(text)
    return "sweep.py"


def launch(*points: dict[str, Any]) -> None:
    for point in points:
        maybe_launch(lambda cfg, **_: {"total": sum(cfg.sizes)}, cfg="conf/work.prototxt", overrides=point)


POINTS: list[dict[str, Any]] = [
    {"sizes": [64, 64], "seed": 1},
    {"sizes+": [4], "seed": 1},
    {"sizes.0": 3, "seed": 1},
    {"sizes": [], "seed": 1},
    {"seed": 1},
]


def test_a_list_is_one_column_however_it_was_written(root: Path) -> None:
    launch(*POINTS[:2])
    table = heyhi.table(sweep(root, POINTS))
    assert list(table["sizes"]) == ["[64, 64]", "[8, 8, 4]", "[3, 8]", "[]", "[8, 8]"]
    assert not [name for name in table.columns if name.startswith("sizes") and name != "sizes"]
    assert list(table["total"])[:2] == [128, 20]
    assert list(heyhi.table("sweep.py", where="sizes=[64,64]")["sizes"]) == ["[64, 64]"]
    assert len(heyhi.table("sweep.py", where="sizes=[]")) == 1


def test_replicates_are_put_together_by_whole_lists(root: Path) -> None:
    points = [{"sizes": sizes, "seed": seed} for sizes in ([1], [1, 2]) for seed in (1, 2)]
    launch(*points, {"sizes.0": 1, "sizes.1": 2, "seed": 3})
    table = heyhi.table(sweep(root, [*points, {"sizes": "[1,2]", "seed": 3}]), mean_over="seed")
    assert [*zip(table["sizes"], table["n"], strict=True)] == [("[1]", 2), ("[1, 2]", 3)]
    grouped = heyhi.table("sweep.py", group_by="sizes")
    assert list(grouped["sizes"]) == ["[1]", "[1, 2]"]


def test_replicates_may_need_each_their_own_in_a_list(root: Path) -> None:
    needs = [f"{{{{exp conf/work seed={seed}}}}}" for seed in (1, 2)]
    launch({"seed": 1}, {"seed": 2})
    points = [{"tags": [need, "x"], "note": note, "seed": 0} for need in needs for note in ("a", "b")]
    launch(*points)
    table = heyhi.table(sweep(root, points), mean_over="seed")
    assert [*zip(table["note (override)"], table["n"], strict=True)] == [("a", 2), ("b", 2)]


def test_a_config_on_disk_has_lists_as_lists(root: Path) -> None:
    launch({"sizes": [64, 64], "layers": [{"width": 3}]})
    [path] = (root / "results").rglob("config_flat.json")
    flat = json.loads(path.read_text())
    assert (flat["work.sizes"], flat["work.rates"], flat["work.tags"]) == ([64, 64], [0.5], ["x"])
    assert flat["work.layers.0.width"] == 3
    assert "work.layers" not in flat
    assert "includes" not in flat


def test_an_entry_of_a_map_with_whole_numbers_for_keys_is_no_element(root: Path) -> None:
    table = heyhi.table(sweep(root, [{"scale.1": 0.5}, {"scale.1": 0.25}]))
    assert list(table["scale.1"]) == [0.5, 0.25]


@pytest.mark.parametrize("name", ["status", "report"])
def test_conditions_choose_by_lists(root: Path, run: Any, name: str) -> None:
    launch(*POINTS[:2])
    sweep(root, POINTS)
    exit_code, out, _ = run(name, "sweep.py", "--where", "sizes=[64, 64]")
    assert exit_code == 0
    assert {"status": "DONE 1\n", "report": "[64, 64]"}[name] in out


@pytest.mark.parametrize(
    ("cell", "value", "holds"),
    [
        ("[64, 64]", "[64,64]", True),
        ("[64, 64]", "[64.0, 6.4e1]", True),
        ("[64, 64]", "[64]", False),
        ('[a, "b c"]', "[a,'b c']", True),
        (None, "[]", True),
        ("[64]", "[]", False),
        ("[64", "[64]", False),
    ],
)
def test_a_list_equals_itself_however_it_is_written(cell: str | None, value: str, holds: bool) -> None:
    assert Condition("x", "=", value).holds(cell) is holds
    assert Condition("x", "!=", value).holds(cell) is not holds


def test_a_list_is_shown_alike_from_wherever_it_was_read() -> None:
    assert shown_values([64.0, 0.1, True, "b c", "d"]) == '[64, 0.1, true, "b c", d]'
    assert guessed('[64,0.1,true,"b c",d]') == '[64, 0.1, true, "b c", d]'
    assert shown_text("[{width: 3},{width: 4}]") == "[{width: 3}, {width: 4}]"
    assert shown_text("[not, a] list") == "[not, a] list"
