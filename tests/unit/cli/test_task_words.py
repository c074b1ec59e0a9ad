"""An ordinary command line of a task file is read as its parser reads it, and any other one is left to that."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.cli.task_parser import make_parser, parse_with_overrides
from heyhi.cli.task_words import read_words

WORDS = [
    "--cfg", "-c", "c02", "lr=0.1", "I.launcher=slurm", "lr=-3", "a=", "=", "--out", "p/x", "--mode", "restart",
    "gentle_start", "--adhoc", "--print", "--print-flat", "--force", "-y", "--no-snapshot", "--log-level", "DEBUG",
    "--continue-drifted", "--redo-drifted", "--lr=3", "-1", "", "--", "--cfg=c02", "--pri", "--redo-drifted=code",
]  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=7))
def test_what_is_read_without_the_parser_is_what_it_reads(words: list[str]) -> None:
    found = read_words(["--cfg", "c02", *words])
    if found is not None:
        assert vars(found) == vars(parse_with_overrides(make_parser(), ["--cfg", "c02", *words]))


@pytest.mark.parametrize(
    "words",
    [
        ["--cfg", "c02"],
        ["lr=0.1", "-c", "c02", "I.launcher=slurm", "a={b: [1, 2]}", "lr=0.2"],
        ["--cfg", "c02", "--mode", "restart", "--force", "--out", "/p/x", "--log-level", "DEBUG", "--no-snapshot"],
        ["--adhoc", "--cfg", "c02", "--print-flat-all", "--continue-drifted", "x=-1"],
    ],
)
def test_ordinary_lines_need_no_parser(words: list[str]) -> None:
    found = read_words(words)
    assert found is not None
    assert vars(found) == vars(parse_with_overrides(make_parser(), words))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["lr=0.1"],
        ["--cfg", "c02", "--cfg", "c03"],
        ["--cfg", "c02", "--lr=0.1"],
        ["--cfg", "c02", "--print", "--print-flat"],
        ["--cfg", "c02", "--mode", "again"],
        ["--cfg", "c02", "word"],
        ["--cfg"],
        ["--cfg", "--print"],
    ],
)
def test_others_are_left_to_it(words: list[str]) -> None:
    assert read_words(words) is None


def test_argparse_is_not_loaded_for_an_ordinary_line() -> None:
    code = (
        "import sys, heyhi.cli.options, heyhi.cli.task_command\n"
        "from heyhi.cli.task_words import read_words\n"
        "read_words(['--cfg', 'c02', 'lr=1'])\n"
        "print('argparse' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
