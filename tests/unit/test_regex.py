"""A pattern that is compiled when it is first used does what a compiled one does."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from heyhi.regex import regex


def test_it_is_asked_as_a_compiled_pattern_is() -> None:
    pattern = regex(r"(\d+)-(\w)", re.IGNORECASE)
    compiled = re.compile(r"(\d+)-(\w)", re.IGNORECASE)
    text = "12-a, 3-B"
    assert pattern.findall(text) == compiled.findall(text)
    assert pattern.sub(r"\2", text) == "a, B"
    assert [found.group(1) for found in pattern.finditer(text)] == ["12", "3"]
    assert pattern.fullmatch("1-x") and not pattern.fullmatch("1-x ")
    assert (pattern.pattern, pattern.groups) == (compiled.pattern, 2)
    assert regex(rb"\d+").split(b"a1b") == [b"a", b"b"]


def test_it_is_compiled_when_it_is_first_asked_and_not_before() -> None:
    pattern = regex("(unclosed")
    with pytest.raises(re.error):
        pattern.search("")


def test_it_is_copied_and_pickled() -> None:
    pattern = regex(r"\d+")
    pattern.search("1")
    assert copy.copy(pattern).findall("a1") == ["1"]
    fresh = regex(r"\d+")
    assert pickle.loads(pickle.dumps(fresh)).findall("a1") == ["1"]
