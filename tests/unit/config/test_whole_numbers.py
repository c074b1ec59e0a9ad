"""A whole number means the same in a config file and on the command line, or the command line refuses it."""

from __future__ import annotations

import pytest
from google.protobuf import text_format
from google.protobuf.wrappers_pb2 import DoubleValue, Int64Value
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.values import cast_scalar, whole_number
from heyhi.errors import OverrideError

FIELD = Int64Value.DESCRIPTOR.fields_by_name["value"]


@given(
    st.from_regex(r"-?(0[xX])?[0-9a-fA-F]{1,6}", fullmatch=True) | st.from_regex(r"-?0{0,2}[0-9]{1,4}", fullmatch=True)
)
def test_what_the_command_line_takes_a_file_reads_alike(text: str) -> None:
    try:
        number = cast_scalar(FIELD, text, "seed")
    except OverrideError as error:
        assert text in str(error)
    else:
        assert text_format.Parse(f"value: {text}", Int64Value()).value == number


@pytest.mark.parametrize(
    ("text", "number"), [("0x10", 16), ("-0X1f", -31), ("007", 7), ("0", 0), ("00", 0), (" 12 ", 12)]
)
def test_these_are_whole_numbers(text: str, number: int) -> None:
    assert whole_number(text) == number == cast_scalar(FIELD, text, "seed")


@pytest.mark.parametrize("text", ["010", "-010", "08", "0010", "+012"])
def test_a_leading_zero_that_would_change_a_number_is_refused(text: str) -> None:
    for field in (FIELD, DoubleValue.DESCRIPTOR.fields_by_name["value"]):
        with pytest.raises(OverrideError, match=r"in a config file, where a leading 0 means octal: write -?[0-9]+"):
            cast_scalar(field, text, "seed")


@pytest.mark.parametrize("text", ["1.0", "1_000", "0x", "x10", "", "0b1", "1e3"])
def test_these_are_none(text: str) -> None:
    assert whole_number(text) is None
