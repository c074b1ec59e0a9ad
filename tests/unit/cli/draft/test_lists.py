"""Lists of a script that `heyhi init --from` has read: where no config names one, it is as the script has it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import heyhi
from heyhi.cli.main import main

from .conftest import Drafted, imported

Draft = Callable[..., Drafted]
PARSE = """\
import argparse
from pathlib import Path


def split(text):
    return text.split("+")


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 32], help="sizes of layers")
    parser.add_argument("--tags", nargs="*", default=["a", "b"])
    parser.add_argument("--pair", type=float, nargs=2, default=(0.1, 0.2))
    parser.add_argument("--add", action="append", default=["q"])
    parser.add_argument("--parts", type=split, default=["x", "y"])
    parser.add_argument("--folders", type=Path, nargs="+", default=[Path("a")])
    parser.add_argument("--empty", nargs="*", default=[])
    parser.add_argument("--none", nargs="*")
    parser.add_argument("--lr", type=float, default=0.1)
    return parser.parse_args()


"""
WITH_ARGS = "def main(args):\n    return vars(args)\n\n\nif __name__ == '__main__':\n    main(parse_args())\n"
BY_ITSELF = "def main():\n    return vars(parse_args())\n\n\nif __name__ == '__main__':\n    main()\n"


def ran(made: Drafted, config: str, *overrides: str) -> Any:
    """Write a config, and return what the script has of it."""
    (made.root / "conf/train/own.prototxt").write_text(config)
    return made.task_file().main("train", made.config(*overrides, name="own"), "ERROR")


@pytest.mark.parametrize("end", [WITH_ARGS, BY_ITSELF])
def test_a_config_that_names_no_list_has_those_of_the_script(
    end: str, drafted: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = drafted(PARSE + end)
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr=0.3"])
    wanted = vars(imported(made.root / "train.py").parse_args())
    assert ran(made, "train { lr: 0.3 }\n") == wanted
    assert ran(made, 'includes { path: "base" }\ntrain { lr: 0.3 }\n') == wanted
    empty = [f"{name}=[]" for name in ("hidden", "tags", "pair", "add", "parts", "folders", "empty", "none")]
    assert ran(made, 'includes { path: "base" }\ntrain { lr: 0.3 }\n', *empty) == wanted


@pytest.mark.parametrize("end", [WITH_ARGS, BY_ITSELF])
def test_a_list_that_a_config_names_is_the_script_s(end: str, drafted: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    made = drafted(PARSE + end)
    found = ran(made, "train { hidden: 8 pair: 1 pair: 2 none: 'n' empty: 'e' folders: 'f' }\n")
    assert (found["hidden"], list(found["pair"]), found["none"], found["empty"]) == ([8], [1.0, 2.0], ["n"], ["e"])
    assert [str(folder) for folder in found["folders"]] == ["f"]


def test_a_list_that_a_function_of_the_script_makes_of_a_text_is_given_as_the_list(drafted: Draft) -> None:
    assert ran(drafted(PARSE + WITH_ARGS), "train { parts: 'v' parts: 'w' }\n")["parts"] == ["v", "w"]


def test_describe_says_what_an_empty_list_is_taken_as(drafted: Draft, capsys: pytest.CaptureFixture[str]) -> None:
    made = drafted(PARSE + WITH_ARGS)
    (made.root / "conf/train/own.prototxt").write_text("train { lr: 0.3 }\n")
    assert main(["describe", "train/own", "hidden"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "sizes of layers. An empty list is the default of the script, [64, 32]." in said
    assert main(["describe", "train/base", "hidden"]) == 0
    assert "[64, 32]  conf/train/base.prototxt:" in capsys.readouterr().out
    assert main(["describe", "train/own", "empty"]) == 0
    assert "An empty list" not in capsys.readouterr().out
    assert heyhi.load_root_config(made.root / "conf/train/base.prototxt").task.hidden == (64, 32)


def test_a_switch_that_says_no_is_described_by_its_own_name(drafted: Draft) -> None:
    made = drafted(
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--no-shuffle', dest='shuffle', action='store_false', help='keep the order')\n"
        "parser.add_argument('--quiet', dest='loud', action='store_false')\nparser.parse_args()\n"
    )
    assert "  // --no-shuffle: keep the order.\n  optional bool shuffle" in made.proto.replace("order\n", "order.\n")
    assert "  // false is --quiet in the script." in made.proto
