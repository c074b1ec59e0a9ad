"""Scalar values: cast by a field's type, and written back."""

from __future__ import annotations

import enum
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.values import cast_scalar, scalar_text, value_text
from heyhi.errors import OverrideError

if TYPE_CHECKING:
    from tests.unit.conftest import Lab


def field_of(lab: Lab, name: str) -> Any:
    if name.startswith("modern."):
        return lab.train.fields_by_name["modern"].message_type.fields_by_name[name.removeprefix("modern.")]
    return lab.train.fields_by_name[name]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("i32", "-2147483648", -(2**31)),
        ("i32", "+3", 3),
        ("i32", " 3 ", 3),
        ("i64", "9223372036854775807", 2**63 - 1),
        ("u32", "4294967295", 2**32 - 1),
        ("u64", "18446744073709551615", 2**64 - 1),
        ("u64", "0" * 40 + "7", 7),
        ("s32", "-5", -5),
        ("s64", "-9223372036854775808", -(2**63)),
        ("f32", "4294967295", 2**32 - 1),
        ("sf64", "-1", -1),
        ("lr", "1e-3", 0.001),
        ("lr", "0.10", 0.1),
        ("lr", "5", 5.0),
        ("lr", "inf", math.inf),
        ("lr", "-Infinity", -math.inf),
        ("lr", "1e308", 1e308),
        ("single", "0.1", 0.10000000149011612),
        ("single", "3.4028235e38", 3.4028234663852886e38),
        ("single", "inf", math.inf),
        ("flag", "TRUE", True),
        ("flag", "1", True),
        ("flag", "False", False),
        ("flag", "0", False),
        ("name", "a=b,c", "a=b,c"),
        ("name", "", ""),
        ("name", " a ", " a "),
        ("name", '"NULL"', "NULL"),
        ("name", '"a\\nb"', "a\nb"),
        ("name", '"unclosed', '"unclosed'),
        ("name", '"no" json"', '"no" json"'),
        ("name", "ä😀", "ä😀"),
        ("blob", "abc", b"abc"),
        ("blob", "\\x00\\n\\\\\\377é", b"\x00\n\\\xff\xc3\xa9"),
        ("color", "RED", 0),
        ("color", "DEEP_BLUE", -7),
        ("color", "-7", -7),
        ("color", "1", 1),
        ("modern.shape", "SQUARE", 1),
        ("modern.lr", "2", 2.0),
        ("modern.maybe", "-1", -1),
    ],
)
def test_text_is_cast_by_the_type_of_its_field(lab: Lab, name: str, text: str, value: object) -> None:
    cast = cast_scalar(field_of(lab, name), text, name)
    assert cast == value
    assert type(cast) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("i32", "abc", "key 'i32' is an integer (int32), not 'abc'"),
        ("i32", "1.5", "key 'i32' is an integer (int32), not '1.5'"),
        ("i32", "1_000", "key 'i32' is an integer (int32), not '1_000'"),
        ("i32", "", "key 'i32' is an integer (int32), not ''"),
        (
            "i32",
            "2147483648",
            "key 'i32': 2147483648 is out of range for an integer (int32): -2147483648 to 2147483647",
        ),
        ("u32", "-1", "key 'u32': -1 is out of range for an integer (uint32): 0 to 4294967295"),
        ("i32", "\u0661", "key 'i32' is an integer (int32), not '\u0661'"),
        ("lr", "fast", "key 'lr' is a number (double), not 'fast'"),
        ("lr", "1_0", "key 'lr' is a number (double), not '1_0'"),
        ("lr", "0x10", "key 'lr' is a number (double), not '0x10'"),
        ("lr", "1e999", "key 'lr': 1e999 is out of range for a number (double)"),
        ("single", "1e39", "key 'single': 1e39 is out of range for a number (float)"),
        ("single", "3.4028236e38", "key 'single': 3.4028236e38 is out of range for a number (float)"),
        ("flag", "yes", "key 'flag' is a bool (true, false, 1, 0), not 'yes'"),
        ("color", "red", "key 'color' is one of RED, GREEN, DEEP_BLUE, not 'red' (did you mean 'RED'?)"),
        ("color", "2", "key 'color' is one of RED, GREEN, DEEP_BLUE, not '2'"),
        ("color", "\ud800", "key 'color' is one of RED, GREEN, DEEP_BLUE, not '\\ud800'"),
        ("name", "\udcff", "key 'name': the string is no valid UTF-8: '\\udcff'"),
        ("name", '"\\ud800"', "key 'name': the string is no valid UTF-8: '\\ud800'"),
        ("blob", "\\q", "key 'blob': bytes are written with C escapes (\\n, \\x00, \\000, \\\\), not '\\q'"),
        ("blob", "\\", "key 'blob': bytes are written with C escapes (\\n, \\x00, \\000, \\\\), not '\\'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(lab: Lab, name: str, text: str, message: str) -> None:
    with pytest.raises(OverrideError) as raised:
        cast_scalar(field_of(lab, name), text, name)
    assert str(raised.value) == message


@pytest.mark.parametrize("name", ["lr", "single"])
def test_there_is_one_nan(lab: Lab, name: str) -> None:
    bits = {struct.pack("<d", cast_scalar(field_of(lab, name), text, name)) for text in ("nan", "-nan", "NaN")}
    assert bits == {struct.pack("<d", math.nan)}


def test_a_number_of_a_million_digits_is_out_of_range_at_once(lab: Lab) -> None:
    with pytest.raises(OverrideError, match=r"key 'i64': 9999.*… is out of range"):
        cast_scalar(field_of(lab, "i64"), "9" * 1_000_000, "i64")


class Mood(enum.Enum):
    GOOD = 1


class Name(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (None, "NULL"),
        (True, "true"),
        (3, "3"),
        (0.1, "0.1"),
        (1e-7, "1e-07"),
        (Mood.GOOD, "GOOD"),
        (Name.RED, "RED"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.5), "0.5"),
        (np.int64(-3), "-3"),
        (np.bool_(True), "true"),
        (np.str_("a"), "a"),
        (np.array(2.5), "2.5"),
        (Path("/a/b"), "/a/b"),
        (b"a\x00", "a\\000"),
    ],
)
def test_values_of_python_are_written_as_the_command_line_would(value: object, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize("value", [{1}, frozenset("a"), [{1}], 10**5000], ids=["set", "frozenset", "inside", "int"])
def test_what_is_no_single_value_is_an_error(value: object) -> None:
    with pytest.raises(OverrideError):
        value_text(value)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (-4.0, "-4"),
        (0.0, "0"),
        (-0.0, "-0.0"),
        (0.5, "0.5"),
        (1e-7, "1e-07"),
        (2.0**53 - 1, "9007199254740991"),
        (2.0**53, "9007199254740992.0"),
        (1e16, "1e+16"),
        (1e300, "1e+300"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
    ],
)
def test_a_whole_double_is_written_as_an_integer(shared_lab: Lab, number: float, text: str) -> None:
    field = field_of(shared_lab, "lr")
    assert scalar_text(field, number) == text
    assert repr(cast_scalar(field, text, "key")) == repr(number)


@given(data=st.data())
def test_a_scalar_reads_back_as_itself(shared_lab: Lab, data: st.DataObject) -> None:
    kinds = [shared_lab.train, field_of(shared_lab, "modern").message_type]
    fields = [f for kind in kinds for f in kind.fields if f.message_type is None]
    field = data.draw(st.sampled_from(fields))
    value = data.draw(shared_lab.scalars(field))
    text = scalar_text(field, value)
    again = cast_scalar(field, text, "key")
    assert repr(again) == repr(value)
    assert text != "NULL"
    assert "\0" not in text


@given(text=st.text(st.characters()), data=st.data())
def test_any_text_is_a_value_or_an_error(shared_lab: Lab, text: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from([f for f in shared_lab.train.fields if f.message_type is None]))
    try:
        value = cast_scalar(field, text, "key")
    except OverrideError:
        return
    assert repr(cast_scalar(field, scalar_text(field, value), "key")) == repr(value)
