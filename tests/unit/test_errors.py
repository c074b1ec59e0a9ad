"""Errors: the names that they suggest."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator

import pytest

from heyhi.errors import ConfigError, HeyhiError, ModeError, OverrideError, SweepError, reporting_errors, suggest
from heyhi.faults import Fault


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


def test_every_error_class_has_a_word_of_its_own_for_programs() -> None:
    import heyhi.control.cancel
    import heyhi.experiment.directions
    import heyhi.job.ranks
    import heyhi.report.page_libraries
    import heyhi.report.where
    import heyhi.sheets.cells
    import heyhi.slurm.commands  # noqa: F401 (whose classes are looked at)

    def below(kind: type[HeyhiError]) -> Iterator[type[HeyhiError]]:
        for one in kind.__subclasses__():
            if one.__module__.startswith("heyhi."):
                yield one
                yield from below(one)

    kinds = {HeyhiError, *below(HeyhiError)}
    words = [kind.error_code for kind in kinds]
    assert len(set(words)) == len(kinds) > 30
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", word) for word in words)


def test_a_longer_message_carries_what_the_quoted_one_is_about() -> None:
    inner = OverrideError(f"unknown key 'lrr'{suggest('lrr', ['lr', 'seed'])}")
    outer = SweepError(f"2 of 3 can't be composed: {inner}")
    assert (outer.fault.key, outer.fault.nearest) == ("lrr", ("lr",)) == inner.fault[:2]
    assert outer.fault.code == "override"
    assert SweepError("something else").fault == Fault(code="sweep")
    assert ModeError("wipe? say --force", fix="--force").anew().fault.fix == "--force"
