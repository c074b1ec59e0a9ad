"""Text that came from anywhere can be shown: in every encoding, on every terminal, in every file."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from heyhi.text import (
    MAX_LINE,
    cut_alike,
    data_output,
    duration,
    one_line,
    padded,
    quoted,
    quoted_words,
    readable,
    shell_line,
    shell_word,
    shown_streams,
    single_quoted,
    steering,
    streams_as_they_are,
    take_any_text,
    width_of,
    wrapped,
)

ANY = st.text(st.characters(codec=None), max_size=20)  # halves of surrogate pairs, too


def printed(text: str, encoding: str, errors: str = "strict", *, as_data: bool = False) -> bytes:
    raw = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline=""))
        take_any_text()
        print(text, end="", file=data_output() if as_data else None, flush=True)
        sys.stdout.detach()  # type: ignore[union-attr]
    return raw.getvalue()


@given(ANY)
def test_readable_text_can_be_written_and_has_no_control_characters(text: str) -> None:
    found = readable(text)
    assert found.encode().decode() == found
    assert not any((c < " " and c not in "\n\t") or "\x7f" <= c < "\xa0" for c in found)
    assert readable(found) == found
    if text.isprintable():
        assert found == text


@given(st.text(st.sampled_from("aZ09_é/=,.-+:@%'\"$ ~*"), max_size=5))
def test_a_word_is_quoted_as_python_quotes_it(text: str) -> None:
    assert shell_word(text) == quoted(text) == shlex.quote(text)
    assert quoted_words([text, "a b", text]) == shlex.join([text, "a b", text])
    assert shlex.split(single_quoted(text)) == [text]


def test_what_cannot_be_shown_is_its_escape() -> None:
    assert readable("caf\udce9 \ud800 \x1b[31m é😀\u3000\n") == "caf\\udce9 \\ud800 \\x1b[31m é😀\u3000\n"


def test_what_turns_the_direction_of_a_line_is_its_escape() -> None:
    assert readable("a\u202eb\u2066") == "a\\u202eb\\u2066" and readable("שלום é→\n") == "שלום é→\n"


@given(ANY, st.sampled_from(["ascii", "latin-1", "utf-8", "cp437", "shift_jis"]))
def test_every_text_is_taken_in_every_encoding(text: str, encoding: str) -> None:
    assert isinstance(printed(text, encoding), bytes)


def test_what_an_encoding_can_show_is_shown_and_a_path_keeps_its_bytes_where_a_program_reads_it() -> None:
    assert printed("0.9 ± 0.1 → é …", "ascii") == b"0.9 +- 0.1 -> \\xe9 ..."
    assert printed("0.9 ± 0.1 → é", "latin-1") == b"0.9 \xb1 0.1 -> \xe9"
    assert printed("/caf\udce9/x \ud800", "utf-8", as_data=True) == b"/caf\xe9/x \\ud800"
    assert printed("é", "utf-8", "surrogateescape") == "é".encode()


@given(ANY)
def test_nothing_that_is_printed_steers_a_terminal_and_programs_read_it_as_it_is(text: str) -> None:
    assert printed(text, "utf-8").decode() == readable(text)
    assert printed(text, "utf-8", as_data=True) == text.encode(errors="heyhi.shown")


Streams = Callable[[], list[io.StringIO]]


@pytest.fixture
def make_streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Return what takes the place of standard output and error: in the test itself, before which pytest sets them."""

    def make() -> list[io.StringIO]:
        found = [io.StringIO(), io.StringIO()]
        monkeypatch.setattr(sys, "stdout", found[0])
        monkeypatch.setattr(sys, "stderr", found[1])
        return found

    return make


def test_a_program_that_is_not_ours_has_its_streams_as_they_were(make_streams: Streams) -> None:
    streams = make_streams()
    with shown_streams():
        print("\x1b[1m", file=sys.stderr)
        with shown_streams():
            print("\a")
        print("\a")
    assert sys.stdout is streams[0] and sys.stderr is streams[1]
    assert streams[0].getvalue() == "\\x07\n\\x07\n" and streams[1].getvalue() == "\\x1b[1m\n"
    with shown_streams():
        sys.stdout = other = io.StringIO()
    assert sys.stdout is other


def test_what_a_task_prints_is_its_own_and_ours_is_shown_again_after_it(make_streams: Streams) -> None:
    streams = make_streams()
    take_any_text()
    ours = sys.stdout
    with streams_as_they_are():
        assert sys.stdout is streams[0]
        print("\x1b[1m")
        with shown_streams():
            print("\x1b[2m")
        sys.stderr = other = io.StringIO()
    assert sys.stdout is ours and steering(sys.stdout) is streams[0] and steering(sys.stderr) is other
    assert streams[0].getvalue() == "\x1b[1m\n\\x1b[2m\n"
    print("\r", file=sys.stderr)
    print("\r", file=steering(sys.stderr))
    assert other.getvalue() == "\\x0d\n\r\n".replace("x0d", "r")
    sys.stdout = None
    with streams_as_they_are(), shown_streams():
        assert sys.stdout is None


def test_who_sees_data_on_a_terminal_is_a_person(make_streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = make_streams()
    take_any_text()
    assert data_output() is streams[0]
    monkeypatch.setattr(streams[0], "isatty", lambda: True)
    assert data_output() is sys.stdout and sys.stdout is not streams[0]


def test_a_shown_stream_is_in_all_else_the_one_that_it_stands_for(make_streams: Streams) -> None:
    streams = make_streams()
    take_any_text()
    assert sys.stdout.write("\x1b\n") == 2
    sys.stdout.writelines(["a\n", "\x9b\n"])
    sys.stdout.flush()
    assert streams[0].getvalue() == "\\x1b\na\n\\x9b\n" and sys.stdout.readable() and not sys.stdout.closed


def test_names_are_cut_where_they_are_alike() -> None:
    names = ["p/c/lr=0.1,seed=1,wd=0.01_0a", "p/c/lr=0.2,seed=1,wd=0.01_0b"]
    assert cut_alike(names, 28) == names
    assert cut_alike(names, 27) == ["…lr=0.1,…wd=0.01_0a", "…lr=0.2,…wd=0.01_0b"]
    assert cut_alike(names, 9) == ["…=0.01_0a", "…=0.01_0b"]
    assert cut_alike(names[:1], 9) == cut_alike([names[0], names[0]], 9)[:1] == ["…=0.01_0a"]
    assert cut_alike([], 9) == []


@given(st.lists(st.text("ab/,=é", max_size=12), max_size=5), st.integers(0, 30))
def test_cut_names_fit_unless_they_would_look_alike_and_are_whole_where_all_fit(names: list[str], width: int) -> None:
    found = cut_alike(names, width)
    assert len(found) == len(names) and len(set(found)) == len(set(names))
    ends = {f"…{name[len(name) - width + 1 :]}" for name in names}
    if width > 1 and len(ends) == len(set(names)) == len(ends | set(names)) - len(set(names)):
        assert all(len(name) <= width or name in names for name in found)
    if all(len(name) <= width for name in names):
        assert found == names


@settings(max_examples=20)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=20))
def test_a_command_that_is_copied_has_the_words_it_was_made_of(words: list[str]) -> None:
    words += ["caf\udce9", "it's \\ \x1b[2K\n\u202e1", "\x011", ""]
    line = shell_line(words)
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    assert done.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in words]


def test_a_word_that_can_be_shown_is_quoted_as_ever() -> None:
    assert shell_line(["a", "b c", "é", "it's"]) == "a 'b c' 'é' 'it'\"'\"'s'"
    assert shell_line(["\x1b[2K", "\ud800"]) == r"$'\033[2K' $'\355\240\200'"


def test_a_width_is_that_of_a_terminal() -> None:
    widths = {"lr=0.1": 6, "é→…": 3, "学習率": 6, "e\u0301": 1, "a\u200bb": 2, "\uff46": 2, "😀": 2, "": 0}
    assert {text: width_of(text) for text in widths} == widths
    assert padded("学", 4) == "学  " and padded("学", 4, is_right=True) == "  学" and padded("学習", 1) == "学習"


@given(st.text(st.sampled_from("ab é学😀\uff46\u0301"), max_size=9), st.integers(0, 20))
def test_what_is_padded_takes_as_many_columns_as_asked(text: str, width: int) -> None:
    assert width_of(padded(text, width)) == width_of(padded(text, width, is_right=True)) == max(width, cell_len(text))


def test_a_stream_that_is_closed_or_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", object())
    take_any_text()


def test_a_hash_goes_before_what_people_read_where_names_differ_without_it() -> None:
    names = [f"p/c/augment=strong,lr={lr}_0123456789abcde{n}" for n, lr in enumerate((0.1, 0.2))]
    other = "p/d/lr=0.1_0123456789abcdef"
    assert cut_alike([*names, other], 26) == [
        "…c/augment=strong,lr=0.1_…", "…c/augment=strong,lr=0.2_…", "…d/lr=0.1_0123456789abcdef",
    ]  # fmt: skip
    assert cut_alike(names, 10) == ["…lr=0.1_…", "…lr=0.2_…"]


def test_different_names_never_look_alike() -> None:
    assert cut_alike(["a/long_name", "b/long_name"], 4) == ["a/…", "b/…"]
    same_but_for_the_hash = [f"p/lr=0.1_000000000000000{n}" for n in (1, 2)]
    assert cut_alike(same_but_for_the_hash, 9) == ["…00000001", "…00000002"]


@given(st.text(), st.integers(1, 30))
def test_one_line_is_one_of_at_most_so_many_characters_that_can_be_shown(text: str, limit: int) -> None:
    found = one_line(text, limit)
    assert len(found) <= limit and "\n" not in found and readable(found) == found and found == found.strip()
    assert bool(found) == bool(text.strip())


def test_one_line_is_the_first_with_text_and_cut_where_it_is_long() -> None:
    assert one_line("\n \n  ValueError: a\tb\r\nmore\n") == "ValueError: a b"
    assert one_line("\r\x1b[2K DONE\u2028x") == "\\x1b[2K DONE\\u2028x"
    assert one_line("x" * 100_000, 10) == "xxxxxxxxx…" and len(one_line("x" * 100_000)) == MAX_LINE


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3900, "1 h 05 min"), (273_600, "3 d 04 h")],
)
def test_a_duration_has_its_two_greatest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.lists(st.text("ab -/", max_size=60), max_size=4), st.integers(6, 30))
def test_wrapped_lines_fit_and_lose_no_word(lines: list[str], width: int) -> None:
    found = wrapped(lines, width)
    assert " ".join(found).split() == " ".join(lines).split() and wrapped(lines, None) == lines
    assert all(len(line) <= width or len(line.split()) == 1 for line in found)
    assert wrapped(["  Slurm would refuse a: No"], 20) == ["  Slurm would refuse", "    a: No"]
