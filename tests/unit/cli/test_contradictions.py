"""Words that contradict one another: two members of one oneof on a command line, and in the points of a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import heyhi
from heyhi.errors import OverrideError, SweepError
from heyhi.project import find_project

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; } }
message Include { optional string path = 1; optional string mount = 2; }
message Cosine { optional int32 steps = 1; }
message Linear { optional int32 steps = 1; }
message Sgd {}
message Momentum {
  optional double decay = 1 [default = 0.9];
  oneof schedule { Cosine cosine = 2; Linear linear = 3; }
}
message Block { oneof kind { Sgd plain = 1; Momentum heavy = 2; } }
message Work {
  optional double lr = 1 [default = 0.1];
  optional string name = 2;
  oneof optimizer { Sgd sgd = 3; Momentum momentum = 4; double speed = 5; }
  repeated Block blocks = 6;
  optional Block block = 7;
}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf/common/optimizer").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "clash"\n')
    (tmp_path / "conf/conf.proto").write_text(PROTO)
    (tmp_path / "conf/a.prototxt").write_text("work { sgd {} }\n")
    (tmp_path / "conf/b.prototxt").write_text("work { momentum { decay: 0.7 } }\n")
    (tmp_path / "conf/common/optimizer/heavy.prototxt").write_text("decay: 0.3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "first", "second", "oneof"),
    [
        ("optimizer=sgd momentum.decay=0.5", 0, 1, "optimizer"),
        ("momentum.decay=0.5 optimizer=sgd", 0, 1, "optimizer"),
        ("lr=1 optimizer=sgd name=x --momentum.schedule=cosine", 1, 3, "optimizer"),
        ("sgd=SELECT momentum={decay:0.5}", 0, 1, "optimizer"),
        ("sgd={} momentum+={decay:0.5}", 0, 1, "optimizer"),
        ("speed=3 momentum.decay=0.5", 0, 1, "optimizer"),
        ("momentum.cosine.steps=1 momentum.linear.steps=1", 0, 1, "momentum.schedule"),
        ("momentum.schedule=linear momentum.cosine.steps=1", 0, 1, "momentum.schedule"),
        ("blocks=[{plain:{}}] blocks.0.plain=SELECT blocks.0.heavy.decay=1", 1, 2, "blocks.0.kind"),
        ("block.kind=plain block.heavy.decay=1", 0, 1, "block.kind"),
    ],
)
def test_two_members_of_a_oneof_on_one_line_are_refused(
    root: Path, run: Run, words: str, first: int, second: int, oneof: str
) -> None:
    given = words.split()
    one, other = (given[place].removeprefix("--") for place in (first, second))
    for command in (["print", "a"], ["expand", "--cfg", "a"]):
        code, _, err = run(*command, *given)
        said = f"'{one}' chooses another member of the oneof '{oneof}': leave one of the two out"
        assert (code, err) == (2, f"error: override '{other}': {said}\n")
    with pytest.raises(OverrideError, match="leave one of the two out"):
        heyhi.load_config("a", given)
    assert not (root / "results").exists()


@pytest.mark.parametrize(
    "words",
    [
        "momentum.decay=0.5",  # what the file chose may be changed
        "optimizer=momentum momentum.decay=0.5",
        "momentum.decay=0.5 optimizer=momentum",
        "optimizer=sgd optimizer=momentum momentum.decay=0.5",  # a key's last write counts
        "sgd=SELECT sgd=NULL momentum.decay=0.5",
        "sgd=SELECT optimizer=NULL momentum.decay=0.5",
        "optimizer=NULL momentum.decay=0.5",
        "optimizer=momentum sgd=NULL momentum.decay=0.5",
        "I.optimizer=heavy momentum.decay=0.5",
        "I.momentum=heavy optimizer=sgd optimizer=momentum momentum.decay=0.5",
        "momentum.cosine.steps=1 momentum={linear:{}} momentum.linear.steps=2 momentum.decay=0.5",
        "blocks.-1.plain=SELECT blocks.-1.heavy.decay=1 momentum.decay=0.5",
        "block.plain=SELECT block=NULL block.heavy.decay=1 momentum.decay=0.5",
    ],
)
def test_what_says_one_thing_only_is_composed(root: Path, words: str) -> None:
    assert heyhi.load_config("a", words.split()).momentum.decay == 0.5


def test_the_name_of_a_oneof_still_counts_over_an_include(root: Path) -> None:
    assert heyhi.load_config("a", ["I.optimizer=heavy", "optimizer=sgd"]).which_optimizer == "sgd"


def test_a_script_that_reads_errors_gets_the_key(root: Path, run: Run) -> None:
    code, out, _ = run("expand", "--json", "--cfg", "a", "optimizer=sgd", "momentum.decay=0.5")
    assert code == 2 and json.loads(out)["error"]["key"] == "momentum.decay"


def targets(out: str) -> set[str]:
    return {line for line in out.splitlines() if line.endswith("result.json")}


SGD, FEW, MUCH = (
    "results/p/a/default_",
    "results/p/a/momentum.decay=0.5_",
    "results/p/a/momentum.decay=0.8_",
)


@pytest.mark.parametrize("cfg", ["a", "b"])
def test_a_swept_key_is_left_out_where_another_member_is_swept_whichever_axis_comes_first(
    root: Path, run: Run, cfg: str
) -> None:
    axes = [["--sweep", "optimizer=sgd,momentum"], ["--sweep", "momentum.decay=0.5,0.8"]]
    found = []
    for words in (axes, axes[::-1]):
        code, out, err = run("expand", "--cfg", cfg, *words[0], *words[1])
        assert code == 0
        assert "warning: momentum.decay counts only where momentum is chosen: 2 of 4 points are without it\n" in err
        assert "again" not in err and "same config" not in err
        found.append(targets(out))
    assert found[0] == found[1] and len(found[0]) == 3
    if cfg == "a":
        assert all(any(path.startswith(start) for path in found[0]) for start in (SGD, FEW, MUCH))


def test_a_zipped_key_and_an_override_are_left_out_likewise(root: Path, run: Run) -> None:
    code, out, _ = run("expand", "--cfg", "a", "--zip", "optimizer=sgd,momentum", "--zip", "momentum.decay=0.5,0.8")
    assert code == 0 and len(targets(out)) == 2 and MUCH in out and SGD in out
    code, out, err = run("expand", "--cfg", "a", "momentum.decay=0.5", "--sweep", "optimizer=sgd,momentum")
    assert code == 0 and len(targets(out)) == 2 and FEW in out and SGD in out
    assert "1 of 2 points are without it" in err


def test_a_key_that_no_point_of_a_sweep_has_is_refused(root: Path, run: Run) -> None:
    code, out, err = run("expand", "--cfg", "a", "optimizer=sgd", "--sweep", "momentum.decay=0.5,0.8")
    assert (code, out) == (2, "heyhi-expand-failed\n")
    assert err == (
        "error: a: 2 of 2 experiments can't be composed:\n"
        "  override 'momentum.decay=0.5': 'optimizer=sgd' chooses another member of the oneof 'optimizer':"
        " leave one of the two out\n"
        "    in 2 points (0, 1), first: a optimizer=sgd momentum.decay=0.5\n"
    )
    code, _, err = run("expand", "--cfg", "a", "sgd=SELECT", "--sweep", "momentum.decay=0.5,0.8")
    assert code == 2 and "'sgd=SELECT' chooses another member" in err
    assert not (root / "results").exists()


def test_a_grid_in_a_sweep_file_is_read_alike(root: Path, run: Run) -> None:
    (root / "conf/many.py").write_text(
        "import heyhi\n\n\ndef yield_sweep():\n"
        "    for point in heyhi.grid({'momentum.decay': [0.5, 0.8], 'optimizer': ['sgd', 'momentum']}, lr=[1, 2]):\n"
        "        yield 'conf/a.prototxt', point\n"
    )
    code, out, err = run("expand", "conf/many.py")
    assert code == 0 and len(targets(out)) == 6
    assert "momentum.decay counts only where momentum is chosen: 4 of 8 points are without it" in err


def test_what_is_on_record_is_composed_again_though_it_would_be_refused_today(root: Path) -> None:
    from heyhi.config.compose import Composer
    from heyhi.config.schema import load_schema
    from heyhi.sweep.expand import expand

    project = find_project(root)
    schema = load_schema(project)
    point = ("conf/a.prototxt", ["sgd=SELECT", "momentum.decay=0.5"])
    composed = Composer(project, schema).compose(*point)
    assert composed.task_message.momentum.decay == 0.5  # type: ignore[attr-defined]
    found = expand(project, schema, [point], exp_ids=["p/a/before"])
    assert [one.identity for one in found.planned] == [composed.identity]
    with pytest.raises(SweepError, match="leave one of the two out"):
        expand(project, schema, [point])


@pytest.mark.parametrize(
    "value", ["${oc.env:HOME}/x", "x/${hydra:runtime.cwd}", "${now:%Y %H}", "${env:HOME}", "${lr}"]
)
def test_an_interpolation_is_told_to_be_text(root: Path, run: Run, value: str) -> None:
    said = value.removesuffix("/x").removeprefix("x/")
    line = (
        f"warning: override 'name={value}': '{said}' is text here: nothing is put in its place;"
        " templates are {{…}}: heyhi docs configs\n"
    )
    code, out, err = run("print", "a", f"name={value}")
    assert (code, err) == (0, line) and f'name: "{value}"' in out
    code, _, err = run("expand", "--cfg", "a", f"name={value}", "--sweep", "lr=1,2,3")
    assert code == 0 and err.count(line) == 1


@pytest.mark.parametrize("value", ["$HOME/x", "${HOME}/x", "${LR}", "${nothing}", "$lr", "a{lr}", "${}"])
def test_what_is_meant_for_a_shell_is_text_without_a_word(root: Path, run: Run, value: str) -> None:
    code, out, err = run("print", "a", f"name={value}")
    assert (code, err) == (0, "") and f'name: "{value}"' in out
