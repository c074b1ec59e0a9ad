"""Config files as text: their errors, and where they set what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.prototxt import line_of, parse_into, read_text, set_lines
from heyhi.errors import ConfigError

if TYPE_CHECKING:
    from tests.unit.conftest import Lab


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train {\n  lr: 0.1\n   lrr: 3\n}", "c:3:4: Train has no field 'lrr' (did you mean 'lr'?)"),
        (
            "train {\n\n  sgd { qqq: 3 } }",
            "c:3:9: Sgd has no field 'qqq' (it has: momentum, nesterov)",
        ),
        ("trian {}", "c:1:1: MetaCfg has no field 'trian' (did you mean 'train'?)"),
        ("train {\n  lr: fast\n}", "c:2:7: Couldn't parse float: fast"),
        ("train { i32: 2147483648 }", "c:1:14: Value out of range: 2147483648"),
        ("train { u32: -1 }", "c:1:14: Value out of range: -1"),
        ("train { i32: 1.5 }", "c:1:14: Couldn't parse integer: 1.5"),
        ("train { color: RAD }", "c:1:16: expected one of RED, GREEN, DEEP_BLUE, not 'RAD' (did you mean 'RED'?)"),
        ("train { name: 'abc }", 'c:1:15: String missing ending quote: "\'abc }"'),
        ("train { name: '\\377' }", "c:1:22: the string is no valid UTF-8"),
        ("train { layer: 3 }", 'c:1:16: Expected "{"'),
        ("train { lr: 1\n lr: 2 lrr: 3 }", "c:2:8: Train has no field 'lrr' (did you mean 'lr'?)"),
        (
            "train {}\ntrain {}\nstrict {}",
            "c:3:1: 'train' and 'strict' are both set; only one member of the oneof 'task' can be",
        ),
        (
            "train { sgd {} sgd {}\n adam {} }",
            "c:2:2: 'sgd' and 'adam' are both set; only one member of the oneof 'optimizer' can be",
        ),
        (
            "train { sgd {} }\ntrain { plain: 1 }",
            "c:2:9: 'sgd' and 'plain' are both set; only one member of the oneof 'optimizer' can be",
        ),
        ("train {}\nstrict {}", "c:2:1: 'train' and 'strict' are both set; only one member of the oneof 'task' can be"),
        ("train {\n lr: 1e999 }", "c:2: 'train.lr' is out of range for a number (double)"),
        (
            "train {\n\n modern { parts { y: -1e39 } } }",
            "c:3: 'train.modern.parts.y' is out of range for a number (float)",
        ),
        ("train { singles: [1,\n 1e39] }", "c:1: 'train.singles' is out of range for a number (float)"),
        ("train { scale { key: 'a' value: 1e999 } }", "c:1: 'train.scale' is out of range for a number (double)"),
        ("train {\n lr: 1\n", 'c:2:6: Expected "}" before the end of the file'),
        ("train", 'c:1:6: Expected "{" before the end of the file'),
        ("train {}\n}", "c:2:1: Expected identifier or number, got }"),
        ("train { [a.b]: 3 }", 'c:1:12: Message type "lab.Train" does not have extensions'),
        ("ä {}", "c:1:1: MetaCfg has no field 'ä' (it has: includes, strict, train)"),
    ],
)
def test_an_error_has_file_line_and_column_that_start_at_1(lab: Lab, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_into(text, lab.schema.new_root(), "c", lab.schema.pool)
    assert str(raised.value) == message


def parsed(lab: Lab, text: str) -> tuple[str, list[str]]:
    message = lab.schema.new_root()
    told = parse_into(text, message, "c", lab.schema.pool)
    return text_format.MessageToString(message, as_one_line=True).strip(), told


@pytest.mark.parametrize(
    ("text", "message", "told"),
    [
        ("train { lr: 1\n lr: 2 }", "train { lr: 2.0 }",
         ["c:2: 'train.lr' is set again; c:1 sets it, too: the last one counts"]),
        ("train { lr: 1\n lr: 2\n\n lr: 3 }", "train { lr: 3.0 }",
         ["c:4: 'train.lr' is set again; c:1 sets it, too: the last one counts"]),
        ("train { sgd { momentum: 1 }\n ints: 1 sgd { nesterov: true } ints: 2 }",
         "train { ints: 1 ints: 2 sgd { momentum: 1.0 nesterov: true } }",
         ["c:2: 'train.sgd' is set again; c:1 has one, too: they are merged"]),
        ("train { lr: 1 }\ntrain { lr: 2 name: 'x' }", 'train { lr: 2.0 name: "x" }',
         ["c: set again on lines: 'train' 1 and 2, 'train.lr' 1 and 2: messages are merged, of a scalar the last"
          " one counts"]),
        ("train { plain: 1\n plain: 2 }", "train { plain: 2.0 }",
         ["c:2: 'train.plain' is set again; c:1 sets it, too: the last one counts"]),
        ("train { layers { width: 1\n width: 2 } layers [{ width: 3 }, <width: 4>] }",
         "train { layers { width: 2 } layers { width: 3 } layers { width: 4 } }",
         ["c:2: 'train.layers.width' is set again; c:1 sets it, too: the last one counts"]),
        ("train { scale { key: 'a' value: 1\n value: 2 } }", 'train { scale { key: "a" value: 2.0 } }',
         ["c:2: 'train.scale.value' is set again; c:1 sets it, too: the last one counts"]),
        ("train { modern { count: 0\n count: 5 } }", "train { modern { count: 5 } }",
         ["c:2: 'train.modern.count' is set again; c:1 sets it, too: the last one counts"]),
        ("train { includes { path: 'a' } }\ntrain { includes { path: 'b' } }",
         'train { includes { path: "a" } includes { path: "b" } }',
         ["c:2: 'train' is set again; c:1 has one, too: they are merged"]),
        ("train { named { key: 'a' value { width: 1 } }\n named { key: 'a' value { name: 'x' } } }",
         'train { named { key: "a" value { name: "x" } } }',
         ["c:2: 'train.named.a' is set again; c:1 has it, too: the last one counts, and nothing of the other is left"]),
        ("train { by_int [{ key: -1 value: 'a' },\n { key: 1 value: 'b' },\n { key: # c\n 0x1 value: 'c' }] }",
         'train { by_int { key: -1 value: "a" } by_int { key: 1 value: "c" } }',
         ["c:3: 'train.by_int.1' is set again; c:2 has it, too: the last one counts, and nothing of the other is"
          " left"]),
        ("train { layer { sizes: 1 sizes: 2 }\n layer { sizes: [3, 4] } }",
         "train { layer { sizes: 1 sizes: 2 sizes: 3 sizes: 4 } }",
         ["c: set again on lines: 'train.layer' 1 and 2, 'train.layer.sizes' 1 and 2: messages are merged, lists"
          " are joined"]),
        ("train { named { key: 'a' value { width: 1 } } named { key: 'b' value { width: 2 } } ints: [1, 1] ints: 1 }",
         'train { ints: 1 ints: 1 ints: 1 named { key: "a" value { width: 1 } }'
         ' named { key: "b" value { width: 2 } } }', []),
    ],
)  # fmt: skip
def test_a_field_that_stands_twice_is_merged_and_told(lab: Lab, text: str, message: str, told: list[str]) -> None:
    assert parsed(lab, text) == (message, told)


def test_of_many_fields_that_stand_twice_some_are_told(lab: Lab) -> None:
    twice = "name: 'a' flag: true i32: 1 i64: 1 u32: 1 u64: 1 s32: 1 s64: 1 f32: 1 sf64: 1 lr: 1 single: 1\n" * 2
    [told] = parsed(lab, f"train {{ {twice} }}")[1]
    assert told.count("' 1 and 2") == 10
    assert told.endswith("'train.sf64' 1 and 2, 2 more: of a scalar the last one counts")


@given(pieces=st.lists(st.sampled_from(
    ["lr: 1", "lr: 2", "name: 'a'", "sgd { momentum: 1 }", "sgd { nesterov: true }", "layer { width: 1 }", "ints: 3",
     "layer { inside { width: 2 } }", "layer { inside { name: 'b' } sizes: 1 }", "modern { count: 1 }",
     "modern { count: 3 }", "layers { width: 1 }", "layers { width: 2 }"]), max_size=8
))  # fmt: skip
def test_pieces_that_stand_in_one_file_are_what_merging_them_one_by_one_gives(
    shared_lab: Lab, pieces: list[str]
) -> None:
    merged = shared_lab.new_train()
    for piece in pieces:
        one = shared_lab.new_train()
        assert parse_into(piece, one, "c", shared_lab.schema.pool) == []
        merged.MergeFrom(one)
    whole = shared_lab.new_train()
    told = parse_into("\n".join(pieces), whole, "c", shared_lab.schema.pool)
    assert whole == merged
    heads = [piece.split()[0] for piece in pieces if piece.split()[0] not in ("ints:", "layers")]
    assert bool(told) == (len(heads) > len(set(heads)))


@pytest.mark.parametrize("depth", [101, 5000])
def test_what_is_nested_too_deeply_is_said(lab: Lab, depth: int) -> None:
    text = "train { layer { " + "inside { " * depth + "}" * (depth + 2)
    with pytest.raises(ConfigError, match=r"^c: is nested too deeply \(protobuf allows 100 levels\)$"):
        parse_into(text, lab.schema.new_root(), "c", lab.schema.pool)


def test_infinity_is_a_number_where_it_is_written(lab: Lab) -> None:
    for text in ("train { lr: inf }", "train { single: -Infinity }", "train { lr: 1e308 single: 3e38 doubles: nan }"):
        parse_into(text, lab.schema.new_root(), "c", lab.schema.pool)


def test_a_file_that_is_no_text_is_said_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "c.prototxt"
    path.write_bytes(b"train {\n  name: '\xff'\n}")
    with pytest.raises(ConfigError) as raised:
        read_text(path, "c")
    assert str(raised.value) == "c:2:10: is no UTF-8 text (byte 0xff)"


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_text(tmp_path: Path, lab: Lab) -> None:
    path = tmp_path / "c.prototxt"
    path.write_bytes(b"\xef\xbb\xbftrain {\r\n  lr: 1\r\n  lrr: 2\r\n}\r\n")
    with pytest.raises(ConfigError, match=r"^c:3:3: Train has no field 'lrr'"):
        parse_into(read_text(path, "c"), lab.schema.new_root(), "c", lab.schema.pool)


def test_a_file_that_is_missing_or_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^c: can't be read: No such file or directory$"):
        read_text(tmp_path / "none", "c")
    with pytest.raises(ConfigError, match=r"^c: can't be read: Is a directory$"):
        read_text(tmp_path, "c")


@given(content=st.binary())
def test_any_bytes_are_a_config_or_an_error(shared_lab: Lab, content: bytes) -> None:
    path = shared_lab.root / "any.prototxt"
    path.write_bytes(content)
    try:
        parse_into(read_text(path, "c"), shared_lab.schema.new_root(), "c", shared_lab.schema.pool)
    except ConfigError as error:
        assert str(error).startswith("c")


PIECES = st.lists(
    st.sampled_from(
        ["train", "layer", "lr", "layers", "scale", "key", "value", "ints", "name", "color", "RED", "{", "}", "<", ">",
         "[", "]", ":", ",", ";", "1", "-", "1e9", "nan", '"a', '"a"', "'", "\\", "#", "\n", " ", "[lab.Train]", "0x",
         "ä", "sgd {}", "adam {}", "includes { path: 'x' }", "99999999999999999999"]
    )
)  # fmt: skip


@given(pieces=PIECES)
def test_anything_like_a_config_is_one_or_an_error(shared_lab: Lab, pieces: list[str]) -> None:
    text = " ".join(["train {", *pieces])
    for one in (text, text + " }"):
        list(set_lines(one))
        try:
            parse_into(one, shared_lab.schema.new_root(), "c", shared_lab.schema.pool)
        except ConfigError as error:
            assert str(error).startswith("c:")


def test_lines_are_found_among_all_that_text_messages_may_have() -> None:
    text = """# lr: 3
train {
  lr: 0.1 # name: 3
  ints: [1, 2], sgd <momentum: -.5 name: "} x: y" >
  layers: [{width: 1}, {width: 2
    name: 'a'}]
  color:
    RED
  strings: 'a' "lr: 3"
  flag: true; layer { }
  doubles: [1e5, inf] i32: 0x1F
  name: "it's"
  modern { }
}
"""
    lines: dict[str, list[int]] = {}
    for names, line in set_lines(text):
        lines.setdefault(".".join(names), []).append(line)
    assert lines == {
        "train": [2], "train.lr": [3], "train.ints": [4], "train.sgd": [4], "train.sgd.momentum": [4],
        "train.sgd.name": [4], "train.layers": [5], "train.layers.width": [5, 5], "train.layers.name": [6],
        "train.color": [7], "train.strings": [9], "train.flag": [10], "train.layer": [10], "train.doubles": [11],
        "train.i32": [11], "train.name": [12], "train.modern": [13],
    }  # fmt: skip
    assert line_of(text, ("train", "flag"), ("train", "color")) == 7
    assert line_of(text, ("train", "RED")) is None


@given(text=st.text())
def test_lines_of_any_text_end(text: str) -> None:
    assert all(line >= 1 for _, line in set_lines(text))
