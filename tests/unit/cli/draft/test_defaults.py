"""Whatever literals a script gives argparse: the project that `heyhi init --from` makes of it has its defaults."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import math
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heyhi
from heyhi.cli.main import main as heyhi_main

Call = tuple[list[str], dict[str, str]]  # flags, and other words with their code

TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "",
        '"',
        "\\",
        "a\nb",
        "*/ }",
        "// was: x",
        "{{ROOT_DIR}}",
        "é",
        "\x00",
        "\u2028",
        "100%",
        "'''",
        "\\n",
        "was: old",
    ]
)
INTS = st.integers(-(2**70), 2**70) | st.integers(-5, 5)
FLOATS = st.floats() | st.sampled_from([0.1, 1e-8, -0.0, 1e300])
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,6}", fullmatch=True) | st.sampled_from(
    [
        "launcher",
        "lambda",
        "class",
        "to_dict",
        "2x",
        "includes",
        "option",
        "message",
        "I",
        "self",
        "task",
        "cfg",
        "None",
    ]
)
WORDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True) | st.sampled_from(
    ["none", "option", "NULL", "a b"]
)


def code(value: Any) -> str:
    """Write a literal as a script may."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, list):
        return f"[{', '.join(map(code, value))}]"
    return ascii(value)


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    """Draw arguments: some words of `add_argument` that go together, for some names."""
    found: list[Call] = []
    for name in draw(st.lists(NAMES, unique_by=lambda name: name.replace("-", "_"), max_size=6)):
        words: dict[str, str] = {}
        if draw(st.booleans()):
            words["help"] = code(draw(TEXTS).replace("%", "%%"))
        kind = draw(st.sampled_from([None, "int", "float", "str", "bool", "own", "lambda text: text.upper()"]))
        values: Any = {
            "int": INTS,
            "float": FLOATS | INTS,
            "str": TEXTS,
            "bool": st.booleans(),
            None: TEXTS | FLOATS | INTS,
        }
        one = values.get(kind, TEXTS)
        action = draw(st.sampled_from(["", "", "", "store_true", "store_false", "count", "append", "boolean", "many"]))
        if action in ("store_true", "store_false"):
            words["action"] = code(action)
        elif action == "count":
            words |= {"action": '"count"', "default": code(draw(st.none() | st.integers(0, 3)))}
        elif action == "boolean":
            words["action"] = "argparse.BooleanOptionalAction"
            words["default"] = code(draw(st.none() | st.booleans()))
        else:
            is_many = action in ("append", "many")
            if kind is not None:
                words["type"] = kind
            default = draw(
                st.none() | (st.lists(one, max_size=3) if is_many and kind in ("int", "float", "str") else one)
            )
            words |= {"default": code(default)} if default is not None or draw(st.booleans()) else {}
            if action == "append":
                words["action"] = '"append"'
            if action == "many":
                words["nargs"] = draw(st.sampled_from(['"*"', '"+"', "2", "argparse.REMAINDER"]))
            if kind == "str" and draw(st.booleans()):
                choices = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
                words["choices"] = code(choices)
                if not is_many and draw(st.booleans()):
                    words["default"] = code(choices[-1])
            if is_many and default is not None and not isinstance(default, list):
                words.pop("default")  # argparse has one value then, and the script a list where one is given
        found.append(([f"--{name}"] if draw(st.booleans()) or name == "2x" else [f"-{name[0]}", f"--{name}"], words))
    return found


SCRIPT = """\
import argparse
def own(text):
    return ("own", text)
def parse_args():
    parser = argparse.ArgumentParser(conflict_handler="resolve")
{calls}
    return parser.parse_args()
def main(args):
    return args
if __name__ == "__main__":
    main(parse_args())
"""


def script_of(arguments: list[Call]) -> str:
    lines = []
    for flags, words in arguments:
        given = [*map(code, flags), *(f"{word}={text}" for word, text in words.items())]
        lines.append(f"    parser.add_argument({', '.join(given)})")
    return SCRIPT.format(calls="\n".join(lines) or "    pass")


@pytest.fixture(scope="module")
def make() -> Iterator[Callable[[str], Path]]:
    """Return what makes a project of a script's text, each time in a folder of its own."""
    base = Path(tempfile.mkdtemp())
    count = 0

    def made(text: str) -> Path:
        nonlocal count
        count += 1
        root = base / str(count)
        root.mkdir()
        (root / "train.py").write_text(text, encoding="utf-8")
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            assert heyhi_main(["init", str(root), "--from", str(root / "train.py")]) == 0
        return root

    yield made
    shutil.rmtree(base)


def module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def by_argparse(script: ModuleType, words: list[str]) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *words])
        return vars(script.parse_args())


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@settings(max_examples=40, deadline=None)
@given(calls())
def test_the_first_config_gives_the_script_what_argparse_would(
    make: Callable[[str], Path], arguments: list[Call]
) -> None:
    text = script_of(arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        try:
            root = make(text)
            script = module(root / "train.py", "train")
            wanted = by_argparse(script, [])
        except (SystemExit, argparse.ArgumentError):
            return  # argparse refuses it, too
        cfg = heyhi.load_root_config(root / "conf/train/base.prototxt").task
        patch.setitem(sys.modules, "train", script)
        given_args = module(root / "run.py", "run").main("train", cfg, "ERROR")
    found = vars(given_args)
    assert set(found) == set(wanted)
    assert {name: (found[name], wanted[name]) for name in wanted if not same(found[name], wanted[name])} == {}


# --- other values than the defaults, through a script's own parser ---------------------------------------------------

WHOLE_END = "vars(parse_args())\n"
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "float": st.floats(allow_nan=False),
    "str": st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="{"), max_size=8),
}


@st.composite
def settings_of_a_script(draw: st.DrawFn) -> tuple[list[Call], dict[str, Any]]:
    """Draw arguments, and values for the fields that they become."""
    found: list[Call] = []
    values: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 6))):
        name, kind = f"x{number}", draw(st.sampled_from(sorted(VALUES)))
        action = draw(st.sampled_from(["one", "flag", "no flag", "boolean", "count", "append", "many", "const", "own"]))
        words: dict[str, str] = {}
        one = VALUES[kind]
        value: Any = draw(one)
        if action in ("one", "append", "many"):
            words["type"] = kind
        if action in ("append", "many"):
            # A word that begins with a dash can't be one of several.
            some = one if action == "append" else one.filter(lambda v: not str(v).startswith("-"))
            value = draw(st.lists(some, max_size=3))
            words |= {"action": '"append"'} if action == "append" else {"nargs": '"*"'}
        elif action == "one" and draw(st.booleans()):
            words["default"] = code(draw(one))
        elif action in ("flag", "no flag", "boolean"):
            shown = {"flag": '"store_true"', "no flag": '"store_false"', "boolean": "argparse.BooleanOptionalAction"}
            words["action"], value = shown[action], draw(st.booleans())
        elif action == "count":
            words["action"], value = '"count"', draw(st.integers(1, 3))
        elif action == "const":
            words |= {"action": '"store_const"', "const": code(value), "default": code(draw(one))}
        elif action == "own":
            words |= {"type": "own", "default": '"a"'}
            value = draw(VALUES["str"])
        found.append(([f"--{name}"], words))
        if action != "const" and draw(st.booleans()):
            values[name] = value
    return found, values


@settings(max_examples=40, deadline=None)
@given(settings_of_a_script())
def test_the_command_line_that_a_config_comes_to_is_read_as_the_config(
    make: Callable[[str], Path], drawn: tuple[list[Call], dict[str, Any]]
) -> None:
    arguments, values = drawn
    values = {name: value for name, value in values.items() if value != []}  # an option can't be given no time at all
    by_function, as_a_whole = (
        make(script_of(arguments)),
        make(script_of(arguments).partition("if __name__")[0] + WHOLE_END),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setattr(sys, "argv", ["run.py"])
        patch.setitem(sys.modules, "train", module(by_function / "train.py", "train"))
        cfg = heyhi.load_root_config(by_function / "conf/train/base.prototxt", values).task
        wanted = vars(module(by_function / "run.py", "run").main("train", cfg, "ERROR"))
        words = module(as_a_whole / "run.py", "run").words("train", cfg)
        found = by_argparse(sys.modules["train"], words)
    assert {name: (found[name], wanted[name]) for name in wanted if not same(found[name], wanted[name])} == {}
