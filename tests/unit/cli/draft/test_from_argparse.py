"""What `heyhi init --from` makes of a script, and that its task file gives the script what argparse would have."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from heyhi.config.schema import load_schema
from heyhi.project import find_project

from .conftest import Drafted, imported
from .scripts import SCRIPTS

Draft = Callable[..., Drafted]
HEAD = "import argparse\nparser = argparse.ArgumentParser()\n"


def fields(text: str) -> dict[str, str]:
    """Return the declarations in a proto by their names."""
    lines = [line.strip() for line in text.splitlines()]
    declared = [line for line in lines if line.startswith(("optional", "repeated", "required"))]
    return {line.split()[2]: line.split(" = ")[0].rsplit(" ", 1)[0] + line.partition(" [")[2].rstrip("];")
            for line in declared}  # fmt: skip


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_proto_of_a_script_compiles_and_its_first_config_composes(name: str, drafted: Draft) -> None:
    made = drafted(SCRIPTS[name], name)
    assert load_schema(find_project(made.root)).tasks
    needs = {"hugging": ["model_name_or_path=x"], "tool": ["data=x"], "options": ["dataroot=x"]}.get(name, [])
    assert made.config(*needs, name="train" if name == "tool" else "base") is not None
    compile((made.root / "run.py").read_text(), "run.py", "exec")
    compile((made.root / f"conf/{name}/sweep.py").read_text(), "sweep.py", "exec")
    assert ("not read" in made.err) == (name == "unreadable")


@pytest.mark.parametrize("name", ["imagenet", "mnist", "hugging", "timm", "detr", "nano", "options"])
def test_a_script_that_reads_its_command_line_is_given_one(
    name: str, drafted: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "imagenet": (["lr=0.2", "evaluate=true", "data=/d", "seed=3"], ["/d", "--lr=0.2", "--evaluate", "--seed=3"]),
        "mnist": (["batch_size=8", "no_cuda=true"], ["--batch-size=8", "--no-cuda"]),
        "hugging": (["model_name_or_path=x", "task_name=mnli"], ["--task_name=mnli", "--model_name_or_path=x"]),
        "timm": (["decay_epochs=[5]", "mean=[0.5,-1]"], ["--mean", "0.5", "-1.0", "--decay-epochs", "5"]),
        "detr": (["aux_loss=false", "position_embedding=learned"], ["--position_embedding=learned", "--no_aux_loss"]),
        "nano": (["compile=true", "patience=-1"], ["--compile", "--patience=-1.0"]),
        "options": (["dataroot=x", "lambda_l1=3"], ["--dataroot=x", "--lambda_l1=3.0"]),
    }
    overrides, words = changes[name]
    made = drafted(SCRIPTS[name], name)
    given = made.words(*overrides)
    # An option that says no is given at its default, too: that changes nothing.
    assert [word for word in given if word != "--no-compile"] == words

    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    told = io.StringIO()
    with redirect_stdout(told):
        result = made.task_file().main(name, made.config(*overrides), "ERROR")
    if name in ("imagenet", "mnist", "hugging", "timm"):
        key, _, value = overrides[0].partition("=")
        assert str(result[key]).replace(" ", "") == value
    elif name != "detr":
        assert told.getvalue().startswith(name)


def test_a_function_that_takes_the_arguments_is_given_them_as_argparse_has_them(drafted: Draft) -> None:
    made = drafted(SCRIPTS["fitting"], "fitting")
    script = imported(made.root / "fitting.py")
    task_file = made.task_file()
    found = task_file.main("fitting", made.config(), "ERROR")
    assert found == {name: str(value) for name, value in vars(script.build().parse_args([])).items()}

    overrides = ["pair=3:4", "sizes=1", "maybe=5", "color=blue", "lambda_=2", 'opts={"a": 1}', "dims=[8,9]"]
    words = [
        "--pair=3:4",
        "--sizes=1",
        "--maybe=5",
        "--color=blue",
        "--lambda=2",
        '--opts={"a": 1}',
        "--dims",
        "8",
        "9",
    ]
    changed = task_file.main("fitting", made.config(*overrides), "ERROR")
    assert {**changed, "dims": "[8, 9]"} == {
        name: str(value) for name, value in vars(script.build().parse_args(words)).items()
    }


def test_fields_have_the_types_that_arguments_have(drafted: Draft) -> None:
    found = fields(drafted(SCRIPTS["fitting"], "fitting").proto)
    assert found == {
        "launcher": "optional Launcher",
        "lr": "optional doubledefault = 0.0003",
        "steps": "optional int32default = 1000",
        "color": "optional Colordefault = red",
        "use_it": "optional booldefault = true",
        "opts": "optional string",
        "maybe": "optional int32",
        "pair": 'optional stringdefault = "1:2"',
        "sizes": 'optional stringdefault = "3,4"',
        "dims": "repeated int32",
        "mode": 'optional stringdefault = "slow"',
        "out": 'optional stringdefault = "out/x"',
        "level": "optional Level.Kinddefault = all",
        "size": 'optional stringdefault = "x"',
        "big": "optional int64default = 1099511627776",
        "lambda_": "optional doubledefault = 0.5",
        "launcher_2": 'optional stringdefault = "none"',
    }
