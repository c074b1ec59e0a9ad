"""The text of a plain message is read as protobuf's text format reads it, and any other one is left to that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.messages import message_class, pool_of
from heyhi.config.plain_reader import read_plain
from heyhi.config.schema import load_schema
from heyhi.project import find_project

from .test_messages import FILES

_POOL = pool_of(FILES, "mark")
_ROOT = message_class(_POOL.FindMessageTypeByName("p.Root"))
PIECES = [
    "i: 3", "i: -3", "i:3", "i: 03", "i: 0x1F", "i: 99999999999999999999", "i: 3.0", "i 3", "is: 1", "is: 2",
    "is: [1, 2]", "u: 7", "u: -7", "d: 1", "d: -1.5e-3", "d: .5", "d: 1f", "d: inf", "d: 1e999", "f: 1e39", "f: 0.1",
    "fs: 2", "b: true", "b: false", "b: 1", "b: True", "s: 'a b'", 's: "x"', 's: "a\\n"', 's: "a" "b"', 's: "ä # }"',
    's: "a', "s: a", "ss: 'x'", "y: 'a'", "in { n: 1 }", "in: { n: 1 }", "in {}", "in <n: 1>", "in { n: 1", "}",
    "ins { n: 1 }", "ins {}", "k: ONE", "k: 1", "k: TWO", "m { key: 'a' value: 'b' }", "# note", "nothing: 1", "i",
    ":", ",", ";", "[p.x]: 1", "i: 1b: true", "i: 1-", "s-: 1", "\r", "\t", "\f", "in { ins: 1 }", "i: # note\n 4",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=5), st.sampled_from([" ", "\n", "  \n\t", ""]))
def test_what_is_read_is_what_protobuf_reads(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    found = _ROOT()
    if read_plain(text, found):
        expected = text_format.Parse(text, _ROOT(), descriptor_pool=_POOL)
        assert found.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
    else:
        assert not found.ListFields()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "i: 3 d: -1.5e-3 f: 2 b: true s: 'a # b' k: ONE # note\nin { n: 1 } ins {} ins: { n: 2 }\nss: \"ä\" ss: 'b'",
    ],
)
def test_plain_texts_are_read(text: str) -> None:
    found: Any = _ROOT()
    assert read_plain(text, found)
    assert found == text_format.Parse(text, _ROOT(), descriptor_pool=_POOL)


@pytest.mark.parametrize(
    "text", ["i: 1 i: 1", "in {} in {}", "u: -1", "b: 2", "d: nan", "m {}", "s: 'a' 'b'", "in { n: 1", "in { n: 1 } }"]
)
def test_what_is_wrong_or_rare_is_left_to_protobuf(text: str) -> None:
    assert not read_plain(text, _ROOT())


def test_the_configs_of_the_example_are_plain(repository: Path) -> None:
    schema = load_schema(find_project(repository))
    configs = sorted((repository / "conf").glob("c*/*.prototxt"))
    assert configs
    for path in configs:
        assert read_plain(path.read_text(), schema.new_root()), path


def test_composing_a_plain_config_loads_no_text_format(repository: Path) -> None:
    code = (
        "import sys; from heyhi.config.compose import Composer; from heyhi.config.schema import load_schema\n"
        "from heyhi.project import find_project; project = find_project(); load_schema(project)\n"
        "schema = load_schema(project); Composer(project, schema).compose('c02_sup_train/sl', ['seed=3'])\n"
        "print([name for name in ('google.protobuf.text_format', 'google.protobuf.descriptor_pb2', 'dataclasses')"
        " if name in sys.modules])"
    )
    run = [sys.executable, "-c", code]
    for _ in range(2):  # the first one may have to compile the protos
        done = subprocess.run(run, cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
