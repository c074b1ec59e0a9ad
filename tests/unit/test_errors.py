"""Errors: the names that they suggest."""

from __future__ import annotations

import sys
import time

import pytest

from heyhi.errors import ConfigError, HeyhiError, OverrideError, reporting_errors, suggest


def test_near_names_are_suggested_whatever_their_case() -> None:
    assert suggest("momentun", ["lr", "momentum"]) == " (did you mean 'momentum'?)"
    assert suggest("relu", ["RELU", "TANH"]) == " (did you mean 'RELU'?)"
    assert suggest("momentum", ["lr", "sgd.momentum"]) == " (did you mean 'sgd.momentum'?)"
    assert suggest("x", ["sgd.x"], "a.") == " (did you mean 'a.sgd.x'?)"
    assert suggest("seed", ["seeds", "need", "speed", "feed"]).count(" or ") == 2


def test_nothing_near_is_nothing() -> None:
    assert suggest("abc", ["xyz"]) == ""
    assert suggest("abc", []) == ""
    assert suggest("", ["abc"]) == ""


def test_a_name_of_a_million_characters_takes_no_time() -> None:
    start = time.perf_counter()
    assert suggest("a" * 1_000_000, ["a" * 100] * 5000) == ""
    assert time.perf_counter() - start < 5


def test_an_error_made_anew_says_the_same() -> None:
    error = ConfigError("a\nb")
    again = error.anew()
    assert (type(again), str(again)) == (ConfigError, "a\nb")
    assert again is not error


def test_an_error_steers_no_terminal_whoever_shows_it() -> None:
    assert str(OverrideError("key '\x1b[2K\u202e'\nis\r")) == "key '\\x1b[2K\\u202e'\nis\\r"


def test_an_error_is_of_a_sane_length_whatever_it_quotes() -> None:
    found = str(OverrideError(f"key '{'x' * 1_000_000}' is no key of '/{'p' * 4000}'"))
    assert found == f"key '{'x' * 198}… is no key of '/{'p' * 4000}'"
    assert len(str(OverrideError("x y " * 1_000_000))) == 50_000


def test_a_program_that_is_not_ours_has_its_streams_back_when_errors_were_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = sys.stderr
    with pytest.raises(SystemExit), reporting_errors():
        raise HeyhiError("\a")
    assert sys.stderr is stream and capsys.readouterr().err == "error: \\x07\n"
